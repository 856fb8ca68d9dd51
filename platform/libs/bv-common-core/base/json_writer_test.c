#include "bv/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>

static struct bv_buf buf = {.max = 1 << 20};

static void release_buf(void)
{
    bv_buf_release(&buf);
}

TestSuite(json_writer, .fini = release_buf);

#define assert_written(literal)                                                                    \
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES(literal)), "%.*s", BV_ARG(buf))

Test(json_writer, commas_and_nesting)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_object(&w);
    bv_jw_kv_int(&w, "a", -1);
    bv_jw_key(&w, "b");
    bv_jw_array(&w);
    bv_jw_array(&w);
    bv_jw_end(&w);
    bv_jw_object(&w);
    bv_jw_end(&w);
    bv_jw_bool(&w, true);
    bv_jw_null(&w);
    bv_jw_real(&w, 0.5);
    bv_jw_end(&w);
    bv_jw_kv_text(&w, "c", NULL);
    bv_jw_kv_string(&w, "d", BV_BYTES_NONE);
    bv_jw_kv_bool(&w, "e", false);
    bv_jw_key(&w, "f");
    bv_jw_raw(&w, BV_BYTES("{\"raw\":1}"));
    bv_jw_end(&w);
    assert_written("{\"a\":-1,\"b\":[[],{},true,null,0.5],\"c\":null,\"d\":\"\",\"e\":false,\"f\":{"
                   "\"raw\":1}}");
}

Test(json_writer, numbers)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_array(&w);
    bv_jw_int(&w, INT64_MIN);
    bv_jw_int(&w, INT64_MAX);
    bv_jw_real(&w, NAN);
    bv_jw_real(&w, -INFINITY);
    bv_jw_real(&w, 0.1);
    bv_jw_real(&w, 3);
    bv_jw_real(&w, -0.0);
    bv_jw_real(&w, 5e-324);
    bv_jw_real(&w, -1.7976931348623157e308);
    bv_jw_end(&w);
    assert_written("[-9223372036854775808,9223372036854775807,null,null,0.1,3.0,-0.0,5e-324,-1."
                   "7976931348623157e308]");
}

Test(json_writer, escapes)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_string(&w, BV_BYTES("\"\\/\b\f\n\r\t\x01\x1f\x7f\0\xc3\xa9\xf0\x9f\x98\x80"));
    assert_written("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\xc3\xa9\xf0\x9f\x98\x80\"");
}

Test(json_writer, bad_utf8_becomes_the_replacement_character)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_string(&w,
                 BV_BYTES("a\xff"
                          "b\xc3"
                          "c\xed\xa0\x80"
                          "d\xc0\x80\xf0\x9f\x98"));
    assert_written("\"a\xef\xbf\xbd"
                   "b\xef\xbf\xbd"
                   "c\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                   "d\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* Any bytes in: valid JSON out, and valid input comes back unchanged. */
Test(json_writer, what_is_written_parses_to_the_same_text)
{
    uint64_t seed = 7;
    for (int round = 0; round < 3000; round++) {
        char text[40];
        size_t size = (size_t)(round % 40);
        for (size_t i = 0; i < size; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)(seed >> 33);
            if (round % 3 == 0)
                text[i] = (char)(text[i] & 0x7f);
        }
        struct bv_arena *arena;
        const struct bv_json *root = NULL;
        struct bv_json_writer w = bv_json_writer(&buf);
        bv_buf_reset(&buf);
        bv_jw_string(&w, (struct bv_bytes){text, size});
        cr_assert_eq(bv_arena_open(10000, &arena), 0);
        cr_assert_eq(bv_json_parse(arena, bv_buf_view(&buf), &root, NULL), 0);
        struct bv_bytes back = bv_json_string(root);
        if (bv_bytes_utf8((struct bv_bytes){text, size}))
            cr_assert(bv_bytes_equal(back, (struct bv_bytes){text, size}));
        bv_arena_close(&arena);
    }
}

Test(json_writer, reals_read_back_exactly)
{
    uint64_t seed = 11;
    for (int round = 0; round < 3000; round++) {
        double value;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = seed ^ seed >> 29;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        struct bv_json_writer w = bv_json_writer(&buf);
        bv_buf_reset(&buf);
        bv_jw_real(&w, value);
        bv_buf_char(&buf, '\0');
        double back = strtod(buf.data, NULL);
        cr_assert_eq(memcmp(&back, &value, sizeof(back)), 0, "%s", buf.data);
    }
}

Test(json_writer, no_room_marks_the_buffer_failed)
{
    struct bv_buf small = {.max = 12};
    struct bv_json_writer w = bv_json_writer(&small);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "key", "a value that is too long");
    bv_jw_end(&w);
    cr_assert(small.failed);
    cr_assert_leq(small.size, 12);
    bv_buf_release(&small);
}

Test(json_writer, sixty_four_levels_fit)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    for (int i = 0; i < BV_JSON_DEPTH_MAX; i++) {
        if (i % 2 == 0) {
            bv_jw_array(&w);
        } else {
            bv_jw_object(&w);
            bv_jw_key(&w, "k");
        }
        if (i == BV_JSON_DEPTH_MAX - 1)
            bv_jw_null(&w);
    }
    for (int i = 0; i < BV_JSON_DEPTH_MAX; i++)
        bv_jw_end(&w);
    struct bv_arena *arena;
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_arena_open(100000, &arena), 0);
    cr_assert_eq(bv_json_parse(arena, bv_buf_view(&buf), &root, NULL), 0);
    bv_arena_close(&arena);
}

Test(json_writer, a_member_without_key_is_our_mistake, .signal = SIGABRT)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_object(&w);
    bv_jw_int(&w, 1);
}

Test(json_writer, a_key_without_value_is_our_mistake, .signal = SIGABRT)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_object(&w);
    bv_jw_key(&w, "a");
    bv_jw_end(&w);
}

Test(json_writer, two_documents_are_our_mistake, .signal = SIGABRT)
{
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_int(&w, 1);
    bv_jw_int(&w, 2);
}
