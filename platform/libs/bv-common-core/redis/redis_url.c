#include <stdio.h>

#include "redis_internal.h"

static int from_hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decodes into out with a NUL; false when it does not fit, is malformed or has a NUL. */
static bool decode(struct bv_bytes text, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.size ? from_hex(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? from_hex(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || used + 1 >= size)
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}

static bool parse_user(struct bv_bytes text, struct redis_url *url)
{
    const char *colon = memchr(text.data, ':', text.size);
    if (!colon)
        return false;
    size_t user_size = (size_t)(colon - text.data);
    return decode((struct bv_bytes){text.data, user_size}, url->user, sizeof url->user) &&
           decode((struct bv_bytes){colon + 1, text.size - user_size - 1},
                  url->password,
                  sizeof url->password);
}

static bool parse_host(struct bv_bytes text, struct redis_url *url)
{
    struct bv_bytes host = text;
    struct bv_bytes port = BV_BYTES_NONE;
    const char *end =
        text.size > 0 && text.data[0] == '[' ? memchr(text.data, ']', text.size) : NULL;
    const char *colon = end ? memchr(end, ':', text.size - (size_t)(end - text.data))
                            : memchr(text.data, ':', text.size);
    if (colon) {
        host.size = (size_t)(colon - text.data);
        port = (struct bv_bytes){colon + 1, text.size - host.size - 1};
    }
    if (end && end + 1 != (colon ? colon : text.data + text.size))
        return false;
    if (end)
        host = (struct bv_bytes){text.data + 1, (size_t)(end - text.data) - 1};
    int64_t number = REDIS_PORT_DEFAULT;
    if (host.size == 0 || host.size >= sizeof url->host ||
        (colon && bv_bytes_int64(port, 1, 65535, &number) != 0))
        return false;
    snprintf(url->host, sizeof url->host, "%.*s", BV_ARG(host));
    snprintf(url->port, sizeof url->port, "%u", (unsigned)number & 0xFFFFu);
    return true;
}

int redis_url_parse(const char *text, struct redis_url *ret_url, struct bv_error *error)
{
    static const char form[] = "A Redis URL is redis://[[user]:password@]host[:port][/database].";
    struct redis_url url = {0};
    struct bv_bytes rest = bv_bytes_of(text);
    if (!bv_bytes_starts(rest, BV_BYTES("redis://")))
        return bv_fail(error, BV_E_INVALID, "%s", form);
    rest = (struct bv_bytes){rest.data + 8, rest.size - 8};
    const char *at = memrchr(rest.data, '@', rest.size);
    if (at) {
        struct bv_bytes user = {rest.data, (size_t)(at - rest.data)};
        if (!parse_user(user, &url))
            return bv_fail(error, BV_E_INVALID, "%s", form);
        rest = (struct bv_bytes){at + 1, rest.size - user.size - 1};
    }
    const char *slash = memchr(rest.data, '/', rest.size);
    struct bv_bytes database = BV_BYTES_NONE;
    if (slash) {
        database = (struct bv_bytes){slash + 1, rest.size - (size_t)(slash - rest.data) - 1};
        rest.size = (size_t)(slash - rest.data);
    }
    if (!parse_host(rest, &url) ||
        (database.size > 0 && bv_bytes_int64(database, 0, REDIS_DATABASE_MAX, &url.database) != 0))
        return bv_fail(error, BV_E_INVALID, "%s", form);
    *ret_url = url;
    return 0;
}
