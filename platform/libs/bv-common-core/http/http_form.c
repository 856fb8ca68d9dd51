#include "bv/http.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* '+' is a space here, unlike in a path. */
static int decode(struct bv_arena *arena, struct bv_bytes text, struct bv_bytes *ret_value)
{
    char *out = bv_arena_alloc(arena, text.size + 1);
    size_t size = 0;
    if (!out)
        return BV_E_NOMEM;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            bool whole = text.size - i > 2;
            int high = whole ? hex_digit(text.data[i + 1]) : -1;
            int low = whole ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return BV_E_INVALID;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        out[size++] = c;
    }
    *ret_value = (struct bv_bytes){out, size};
    return 0;
}

int bv_http_form(struct bv_arena *arena,
                 struct bv_bytes body,
                 const char *name,
                 struct bv_bytes *ret_value)
{
    *ret_value = BV_BYTES_NONE;
    while (body.size > 0) {
        const char *amp = memchr(body.data, '&', body.size);
        size_t size = amp ? (size_t)(amp - body.data) : body.size;
        const char *equals = memchr(body.data, '=', size);
        struct bv_bytes key, raw_key = {body.data, equals ? (size_t)(equals - body.data) : size};
        BV_TRY(decode(arena, raw_key, &key));
        if (bv_bytes_equal(key, bv_bytes_of(name)))
            return equals ? decode(arena,
                                   (struct bv_bytes){equals + 1, size - raw_key.size - 1},
                                   ret_value)
                          : 0;
        body.data += size + (amp ? 1 : 0);
        body.size -= size + (amp ? 1 : 0);
    }
    return 0;
}
