#include "http_internal.h"
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#define LEVEL 4               /* most of the gain at a third of the time of level 6 */
#define WINDOW_BITS (15 + 16) /* 16: gzip framing */

struct http_gzip {
    z_stream stream;
    bool ready;
    char *out; /* owned */
    size_t capacity;
};

void http_gzip_close(struct http_gzip **gzip)
{
    if (!*gzip)
        return;
    if ((*gzip)->ready)
        (void)deflateEnd(&(*gzip)->stream);
    free((*gzip)->out);
    free(*gzip);
    *gzip = NULL;
}

static int prepare(struct http_gzip **gzip, size_t size)
{
    if (!*gzip)
        *gzip = calloc(1, sizeof **gzip);
    struct http_gzip *g = *gzip;
    if (!g)
        return BV_E_NOMEM;
    if (!g->ready)
        g->ready =
            deflateInit2(&g->stream, LEVEL, Z_DEFLATED, WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (!g->ready)
        return BV_E_NOMEM;
    if (g->capacity < size) {
        char *out = realloc(g->out, size);
        if (!out)
            return BV_E_NOMEM;
        g->out = out;
        g->capacity = size;
    }
    return 0;
}

int http_gzip_encode(struct http_gzip **gzip, struct bv_bytes body, struct bv_bytes *ret_out)
{
    const size_t room = body.size - body.size / 10; /* pays when a tenth is saved */
    BV_TRY(prepare(gzip, room));
    struct http_gzip *g = *gzip;
    if (body.size > UINT32_MAX / 2 || deflateReset(&g->stream) != Z_OK)
        return 1;
    g->stream.next_in = (Bytef *)(uintptr_t)body.data;
    g->stream.avail_in = (uInt)body.size;
    g->stream.next_out = (Bytef *)g->out;
    g->stream.avail_out = (uInt)room;
    if (deflate(&g->stream, Z_FINISH) != Z_STREAM_END)
        return 1;
    *ret_out = (struct bv_bytes){g->out, room - g->stream.avail_out};
    return 0;
}

bool http_gzip_compressible(const char *content_type)
{
    static const char *const types[] = {"application/json",
                                        "application/javascript",
                                        "application/xml",
                                        "application/yaml",
                                        "application/graphql-response+json",
                                        "image/svg+xml"};
    if (!content_type)
        return false;
    const struct bv_bytes type = {content_type, strcspn(content_type, "; ")};
    if (strncasecmp(content_type, "text/", 5) == 0)
        return true;
    for (size_t i = 0; i < BV_COUNT(types); i++)
        if (bv_bytes_equal_nocase(type, bv_bytes_of(types[i])))
            return true;
    return (type.size > 5 && strncasecmp(type.data + type.size - 5, "+json", 5) == 0) ||
           (type.size > 4 && strncasecmp(type.data + type.size - 4, "+xml", 4) == 0);
}

/* "gzip;q=0" refuses; a weight of only zeros is zero. */
static bool weight_positive(struct bv_bytes parameters)
{
    const char *q = parameters.data;
    const char *end = q + parameters.size;
    for (; q + 1 < end; q++) {
        if ((*q != 'q' && *q != 'Q') || q[1] != '=')
            continue;
        for (q += 2; q < end && *q != ';'; q++)
            if (*q >= '1' && *q <= '9')
                return true;
        return false;
    }
    return true;
}

bool http_gzip_accepted(struct bv_bytes accept_encoding)
{
    struct bv_bytes item;
    bool any = false;
    while (http_list_next(&accept_encoding, &item)) {
        const char *semicolon = memchr(item.data, ';', item.size);
        const size_t name_size = semicolon ? (size_t)(semicolon - item.data) : item.size;
        const struct bv_bytes name = http_trim((struct bv_bytes){item.data, name_size});
        const bool wanted =
            weight_positive((struct bv_bytes){item.data + name_size, item.size - name_size});
        if (bv_bytes_equal_nocase(name, BV_BYTES("gzip")) ||
            bv_bytes_equal_nocase(name, BV_BYTES("x-gzip")))
            return wanted;
        if (bv_bytes_equal(name, BV_BYTES("*")))
            any = wanted;
    }
    return any;
}
