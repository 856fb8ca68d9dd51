/* Properties: a URL that is taken, written again from its parts with everything escaped, is taken
 * and has the same parts; a refusal leaves the result alone and never shows what stands before @.
 */
#include "redis_internal.h"

#include "fuzz.h"

static void escape(struct bv_buf *buf, const char *text)
{
    for (; *text; text++)
        bv_buf_format(buf, "%%%02X", (unsigned char)*text);
}

static void rebuild(struct bv_buf *buf, const struct redis_url *url)
{
    const bool v6 = strchr(url->host, ':') != NULL;
    bv_buf_text(buf, "redis://");
    escape(buf, url->user);
    bv_buf_char(buf, ':');
    escape(buf, url->password);
    bv_buf_format(buf,
                  "@%s%s%s:%s/%lld",
                  v6 ? "[" : "",
                  url->host,
                  v6 ? "]" : "",
                  url->port,
                  (long long)url->database);
    bv_buf_char(buf, '\0');
}

static void check_secret(const char *text, const struct bv_error *error)
{
    const char *colon = strlen(text) > 8 ? strchr(text + 8, ':') : NULL;
    const char *at = colon ? strrchr(colon, '@') : NULL;
    if (at && at - colon > 12) /* longer than any word of the message */
        FUZZ_REQUIRE(
            !memmem(error->text, strlen(error->text), colon + 1, (size_t)(at - colon) - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 65536};
    bv_auto(bv_buf_release) struct bv_buf again = {.max = 65536};
    struct redis_url url, before, second;
    struct bv_error error = {0};
    if (size > 4096)
        return 0;
    bv_buf_append(&text, data, size);
    bv_buf_char(&text, '\0');
    memset(&url, 0x77, sizeof url);
    before = url;
    if (redis_url_parse(text.data, &url, &error) != 0) {
        FUZZ_REQUIRE(memcmp(&url, &before, sizeof url) == 0 && error.text[0]);
        check_secret(text.data, &error);
        return 0;
    }
    int64_t port = 0;
    FUZZ_REQUIRE(url.host[0] && url.database >= 0 && url.database <= REDIS_DATABASE_MAX);
    FUZZ_REQUIRE(bv_bytes_int64(bv_bytes_of(url.port), 1, 65535, &port) == 0);
    rebuild(&again, &url);
    FUZZ_REQUIRE(redis_url_parse(again.data, &second, NULL) == 0);
    FUZZ_REQUIRE(strcmp(url.host, second.host) == 0 && strcmp(url.port, second.port) == 0);
    FUZZ_REQUIRE(strcmp(url.user, second.user) == 0 && strcmp(url.password, second.password) == 0);
    FUZZ_REQUIRE(url.database == second.database);
    return 0;
}
