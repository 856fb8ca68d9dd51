/* Input: bytes that drive the writer: opening, closing, keys and values in any order that nests.
 * Properties: what comes out is one JSON document; a text of well-formed UTF-8 reads back as it
 * was, any other as well-formed UTF-8; integers and finite reals read back exactly; a buffer that
 * is too small fails instead of being cut. */
#include <math.h>

#include "bv/json.h"

#include "fuzz.h"

enum { OUT_BYTES = 1 << 20, DEPTH = 20 };

static void write_value(struct bv_json_writer *w, struct bv_bytes *rest)
{
    uint64_t bits = 0;
    double real = 0;
    switch (fuzz_byte(rest) % 7) {
    case 0:
        bv_jw_string(w, fuzz_part(rest, '\x01'));
        break;
    case 1:
        bv_jw_bool(w, fuzz_byte(rest) & 1);
        break;
    case 2:
        bv_jw_null(w);
        break;
    case 3:
        bv_jw_array(w);
        break;
    case 4:
        bv_jw_object(w);
        break;
    default:
        for (int i = 0; i < 8; i++)
            bits = bits << 8 | fuzz_byte(rest);
        memcpy(&real, &bits, sizeof real);
        if (bits & 1)
            bv_jw_real(w, real);
        else
            bv_jw_int(w, (int64_t)bits);
    }
}

static void write_all(struct bv_buf *buf, struct bv_bytes input)
{
    struct bv_json_writer w = bv_json_writer(buf);
    int64_t key = 0;
    bv_jw_array(&w);
    while (input.size > 0) {
        const uint8_t choice = fuzz_byte(&input);
        if (choice % 4 == 0 && w.depth > 1) {
            bv_jw_end(&w);
            continue;
        }
        if (w.depth > DEPTH)
            break;
        if (w.object_bits >> (w.depth - 1) & 1) {
            char name[32]; /* members need different names */
            snprintf(name, sizeof name, "k%lld", (long long)key++);
            bv_jw_key(&w, name);
        }
        write_value(&w, &input);
    }
    while (w.depth > 0)
        bv_jw_end(&w);
}

static void check_quote(struct bv_bytes text)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf quoted = {.max = OUT_BYTES};
    const struct bv_json *value = NULL;
    bv_json_quote(&quoted, text);
    FUZZ_REQUIRE(bv_arena_open(OUT_BYTES, &arena) == 0);
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&quoted), &value, NULL) == 0);
    const struct bv_bytes back = bv_json_string(value);
    FUZZ_REQUIRE(bv_bytes_utf8(text) ? bv_bytes_equal(back, text) : back.size >= text.size);
}

static void check_numbers(struct bv_bytes input)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf out = {.max = 1024};
    struct bv_json_writer w = bv_json_writer(&out);
    const struct bv_json *value = NULL;
    uint64_t bits = 0;
    double real = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | fuzz_byte(&input);
    memcpy(&real, &bits, sizeof real);
    bv_jw_array(&w);
    bv_jw_int(&w, (int64_t)bits);
    bv_jw_real(&w, real);
    bv_jw_end(&w);
    FUZZ_REQUIRE(bv_arena_open(65536, &arena) == 0);
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&out), &value, NULL) == 0);
    FUZZ_REQUIRE(bv_json_int(bv_json_at(value, 0), 0) == (int64_t)bits);
    const double back = bv_json_real(bv_json_at(value, 1), NAN);
    FUZZ_REQUIRE(isfinite(real) ? !(back < real) && !(back > real)
                                : bv_json_type(bv_json_at(value, 1)) == BV_JSON_NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf out = {.max = OUT_BYTES};
    const struct bv_json *root = NULL;
    if (size > 4096 || bv_arena_open((size_t)16 << 20, &arena) < 0)
        return 0;
    const struct bv_bytes input = fuzz_bytes(data, size);
    check_quote(input);
    check_numbers(input);
    write_all(&out, input);
    FUZZ_REQUIRE(!out.failed);
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&out), &root, NULL) == 0);
    bv_auto(bv_buf_release) struct bv_buf tight = {.max = out.size - 1};
    write_all(&tight, input);
    FUZZ_REQUIRE(tight.failed && tight.size <= tight.max);
    return 0;
}
