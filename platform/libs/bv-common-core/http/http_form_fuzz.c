/* Input: pairs "name NUL value NUL", and the same bytes as a body. Properties: what is encoded as a
 * form (WHATWG URL, 5.2) reads back, the first of equal names, also with every byte escaped; any
 * body gives a value not longer than itself, or BV_E_INVALID, which needs a %. */
#include "bv/http.h"

#include "fuzz.h"

enum { PAIRS_MAX = 8 };

static void encode(struct bv_buf *buf, struct bv_bytes text, bool all)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*-._";
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!all && c == ' ')
            bv_buf_char(buf, '+');
        else if (!all && c && strchr(plain, c))
            bv_buf_char(buf, c);
        else
            bv_buf_format(buf, "%%%02X", (unsigned char)c);
    }
}

static void check_pairs(struct bv_arena *arena, struct bv_bytes input, bool all)
{
    bv_auto(bv_buf_release) struct bv_buf body = {.max = 1 << 20};
    struct bv_bytes names[PAIRS_MAX], values[PAIRS_MAX], found;
    size_t count = 0;
    while (count < PAIRS_MAX && input.size > 0) {
        names[count] = fuzz_part(&input, '\0');
        values[count] = fuzz_part(&input, '\0');
        bv_buf_text(&body, count ? "&" : "");
        encode(&body, names[count], all);
        bv_buf_char(&body, '=');
        encode(&body, values[count], all);
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        size_t first = 0;
        while (!bv_bytes_equal(names[first], names[i]))
            first++;
        const char *name = bv_arena_text(arena, names[i]);
        FUZZ_REQUIRE(bv_http_form(arena, bv_buf_view(&body), name, &found) == 0);
        FUZZ_REQUIRE(found.data && bv_bytes_equal(found, values[first]));
    }
    FUZZ_REQUIRE(bv_http_form(arena, bv_buf_view(&body), "\x01none\x01", &found) == 0);
    FUZZ_REQUIRE(!found.data || (size_t)count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct bv_bytes input = fuzz_bytes(data, size);
    struct bv_bytes value = BV_BYTES("untouched");
    if (size > 4096 || bv_arena_open(8 << 20, &arena) < 0)
        return 0;
    check_pairs(arena, input, false);
    check_pairs(arena, input, true);
    const int rc = bv_http_form(arena, input, "a", &value);
    FUZZ_REQUIRE(rc == 0 || (rc == BV_E_INVALID && memchr(input.data, '%', size)));
    FUZZ_REQUIRE(rc != 0 || value.size < size || size == 0);
    return 0;
}
