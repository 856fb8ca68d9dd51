#include "bv/json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

static struct bv_arena *arena;

static void open_arena(void)
{
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
}

static void close_arena(void)
{
    bv_arena_close(&arena);
}

TestSuite(json, .init = open_arena, .fini = close_arena);

static const struct bv_json *parse(const char *text)
{
    const struct bv_json *root = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_json_parse(arena, bv_bytes_of(text), &root, &error), 0, "%s", error.text);
    return root;
}

Test(json, values_have_types)
{
    static const struct {
        const char *text;
        enum bv_json_type type;
    } rows[] = {
        {"null",                           BV_JSON_NULL  },
        {"true",                           BV_JSON_BOOL  },
        {"0",                              BV_JSON_INT   },
        {"-9223372036854775808",           BV_JSON_INT   },
        {"9223372036854775807",            BV_JSON_INT   },
        {"9223372036854775808",            BV_JSON_REAL  },
        {"123456789012345678901234567890", BV_JSON_REAL  },
        {"1.0",                            BV_JSON_REAL  },
        {"1e3",                            BV_JSON_REAL  },
        {"\"\"",                           BV_JSON_STRING},
        {"[]",                             BV_JSON_ARRAY },
        {" { } ",                          BV_JSON_OBJECT},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_json_type(parse(rows[i].text)), rows[i].type, "%s", rows[i].text);
}

Test(json, readers_give_values_or_the_default)
{
    const struct bv_json *root =
        parse("{\"i\":-5,\"r\":2.5,\"big\":18446744073709551615,\"s\":\"a\\u0000b\",\"b\":true,"
              "\"n\":null,\"a\":[1,[2],{\"x\":3}]}");
    cr_assert_eq(bv_json_size(root), 7);
    cr_assert_eq(bv_json_int(bv_json_get(root, "i"), 9), -5);
    cr_assert_eq(bv_json_int(bv_json_get(root, "r"), 9), 9);
    cr_assert_eq(bv_json_int(bv_json_get(root, "big"), 9), 9);
    cr_assert_eq(bv_json_int(bv_json_get(root, "absent"), 9), 9);
    cr_assert_eq(bv_json_real(bv_json_get(root, "r"), 9), 2.5);
    cr_assert_eq(bv_json_real(bv_json_get(root, "i"), 9), -5);
    cr_assert_eq(bv_json_real(bv_json_get(root, "big"), 9), 18446744073709551615.0);
    cr_assert_eq(bv_json_real(bv_json_get(root, "s"), 9), 9);
    cr_assert_eq(bv_json_bool(bv_json_get(root, "b"), false), true);
    cr_assert_eq(bv_json_bool(bv_json_get(root, "i"), false), false);
    struct bv_bytes text = bv_json_string(bv_json_get(root, "s"));
    cr_assert(bv_bytes_equal(text, BV_BYTES("a\0b")));
    cr_assert_eq(text.data[text.size], '\0');
    cr_assert_null(bv_json_string(bv_json_get(root, "i")).data);
    const struct bv_json *array = bv_json_get(root, "a");
    cr_assert_eq(bv_json_size(array), 3);
    cr_assert_eq(bv_json_int(bv_json_at(bv_json_at(array, 1), 0), 9), 2);
    cr_assert_null(bv_json_at(array, 3));
    cr_assert_null(bv_json_at(root, 0));
    cr_assert_null(bv_json_get(array, "x"));
    cr_assert_null(bv_json_get(NULL, "x"));
    cr_assert_null(bv_json_get_bytes(root, BV_BYTES_NONE));
    cr_assert_eq(bv_json_type(NULL), BV_JSON_NULL);
    cr_assert_eq(bv_json_size(NULL), 0);
}

Test(json, iteration_visits_all_in_order)
{
    const struct bv_json *root = parse("{\"a\":[10,[11,12],13],\"b\":{},\"c\":\"x\"}");
    char keys[8] = "";
    size_t count = 0;
    for (struct bv_json_iter it = bv_json_iter(root); bv_json_next(&it);)
        keys[count++] = it.key.data[0];
    cr_assert_str_eq(keys, "abc");
    int64_t sum = 0;
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(root, "a")); bv_json_next(&it);)
        sum = sum * 100 + bv_json_int(it.value, 99);
    cr_assert_eq(sum, 109913);
    struct bv_json_iter scalar = bv_json_iter(bv_json_get(root, "c"));
    cr_assert_not(bv_json_next(&scalar));
    struct bv_json_iter nothing = bv_json_iter(NULL);
    cr_assert_not(bv_json_next(&nothing));
}

Test(json, malformed_text_names_its_position)
{
    static const char *const rows[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "// c\n1",
        "01",
        "1.",
        "+1",
        "nul",
        "\"\x01\"",
        "\"\xff\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "1 2",
        "{\"a\" 1}",
        "NaN",
        "1e999",
        "\xef\xbb\xbf{}",
        "[1 2]",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "{1:2}",
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        const struct bv_json *root = NULL;
        struct bv_error error = {0};
        cr_assert_eq(
            bv_json_parse(arena, bv_bytes_of(rows[i]), &root, &error), BV_E_INVALID, "%s", rows[i]);
        cr_assert_null(root);
        cr_assert_eq(strncmp(error.text, "JSON at byte ", 13), 0, "%s", error.text);
    }
}

Test(json, text_need_not_end_in_nul)
{
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_json_parse(arena, (struct bv_bytes){"[12]3", 4}, &root, NULL), 0);
    cr_assert_eq(bv_json_int(bv_json_at(root, 0), 0), 12);
}

Test(json, depth_is_capped)
{
    char text[2 * BV_JSON_DEPTH_MAX + 8];
    for (size_t depth = 1; depth <= BV_JSON_DEPTH_MAX + 1; depth++) {
        const struct bv_json *root = NULL;
        struct bv_error error = {0};
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        bool fits = depth <= BV_JSON_DEPTH_MAX;
        int rc = bv_json_parse(arena, (struct bv_bytes){text, 2 * depth}, &root, &error);
        cr_assert_eq(rc, fits ? 0 : BV_E_INVALID, "depth %zu", depth);
        if (!fits)
            cr_assert_str_eq(error.text, "JSON at byte 64: nested deeper than 64.");
    }
}

Test(json, wide_and_flat_is_not_deep)
{
    struct bv_buf buf = {.max = 1 << 16};
    bv_buf_char(&buf, '[');
    for (int i = 0; i < 500; i++)
        bv_buf_text(&buf, i == 0 ? "[{\"a\":[]}]" : ",[{\"a\":[]}]");
    bv_buf_char(&buf, ']');
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_json_parse(arena, bv_buf_view(&buf), &root, NULL), 0);
    cr_assert_eq(bv_json_size(root), 500);
    bv_buf_release(&buf);
}

Test(json, a_flood_of_brackets_is_refused_without_a_stack)
{
    static char text[100000];
    const struct bv_json *root = NULL;
    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    int rc = bv_json_parse(arena, (struct bv_bytes){text, sizeof(text)}, &root, NULL);
    cr_assert(rc == BV_E_INVALID || rc == BV_E_TOO_LARGE);
}

Test(json, duplicate_keys_are_refused_in_small_and_large_objects)
{
    static const char *const rows[] = {
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":2,\"\\u0061\":3}",
        "[{\"x\":{\"k\":1,\"k\":1}}]",
        "{\"\":1,\"\":2}",
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        const struct bv_json *root = NULL;
        struct bv_error error = {0};
        cr_assert_eq(
            bv_json_parse(arena, bv_bytes_of(rows[i]), &root, &error), BV_E_INVALID, "%s", rows[i]);
        cr_assert_not_null(strstr(error.text, "twice"), "%s", error.text);
    }
    struct bv_error error = {0};
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_json_parse(arena, BV_BYTES("{\"a\":1, \"a\":2}"), &root, &error), BV_E_INVALID);
    cr_assert_str_eq(error.text, "JSON at byte 9: member \"a\" appears twice.");
}

static int parse_members(int count, int repeated)
{
    struct bv_buf buf = {.max = 1 << 16};
    const struct bv_json *root = NULL;
    bv_buf_char(&buf, '{');
    for (int i = 0; i < count; i++)
        bv_buf_format(&buf, "%s\"k%d\":[%d]", i == 0 ? "" : ",", i == count - 1 ? repeated : i, i);
    bv_buf_char(&buf, '}');
    bv_arena_reset(arena);
    int rc = bv_json_parse(arena, bv_buf_view(&buf), &root, NULL);
    bv_buf_release(&buf);
    return rc;
}

Test(json, duplicates_are_found_at_every_object_size)
{
    for (int count = 2; count < 60; count++) {
        cr_assert_eq(parse_members(count, count - 1), 0, "%d members", count);
        for (int repeated = 0; repeated < count - 1; repeated += 3)
            cr_assert_eq(parse_members(count, repeated), BV_E_INVALID, "%d of %d", repeated, count);
    }
}

Test(json, a_document_past_the_arena_is_too_large)
{
    struct bv_arena *small;
    struct bv_buf buf = {.max = 1 << 16};
    bv_buf_char(&buf, '[');
    for (int i = 0; i < 2000; i++)
        bv_buf_text(&buf, i == 0 ? "1" : ",1");
    bv_buf_char(&buf, ']');
    for (size_t cap = 0; cap < 90000; cap += 511) {
        const struct bv_json *root = NULL;
        cr_assert_eq(bv_arena_open(cap, &small), 0);
        int rc = bv_json_parse(small, bv_buf_view(&buf), &root, NULL);
        cr_assert(rc == BV_E_TOO_LARGE || (rc == 0 && cap > 13 * 2000), "cap %zu: %d", cap, rc);
        cr_assert_leq(bv_arena_used(small), cap);
        bv_arena_close(&small);
    }
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_json_parse(arena, bv_buf_view(&buf), &root, NULL), 0);
    cr_assert_leq(bv_arena_used(arena), 13 * buf.size, "as the header promises");
    bv_buf_release(&buf);
}

Test(json, pointers_of_rfc_6901)
{
    const struct bv_json *root =
        parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
              "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8,\"o\":{\"p\":[{\"q\":9}]}}");
    static const struct {
        const char *pointer;
        int64_t value;
    } rows[] = {
        {"/",        0},
        {"/a~1b",    1},
        {"/c%d",     2},
        {"/e^f",     3},
        {"/g|h",     4},
        {"/i\\j",    5},
        {"/k\"l",    6},
        {"/ ",       7},
        {"/m~0n",    8},
        {"/o/p/0/q", 9},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_json_int(bv_json_pointer(root, bv_bytes_of(rows[i].pointer)), -1),
                     rows[i].value,
                     "%s",
                     rows[i].pointer);
    cr_assert_eq(bv_json_pointer(root, BV_BYTES("")), root);
    cr_assert_eq(bv_json_pointer(root, BV_BYTES("/foo/1")),
                 bv_json_at(bv_json_get(root, "foo"), 1));
    static const char *const absent[] = {"foo",
                                         "/foo/2",
                                         "/foo/-",
                                         "/foo/01",
                                         "/foo/+1",
                                         "/foo/-0",
                                         "/foo/",
                                         "/foo/0/x",
                                         "/m~n",
                                         "/m~2n",
                                         "/m~",
                                         "/o/p/q",
                                         "/foo/99999999999999999999",
                                         "//"};
    for (size_t i = 0; i < BV_COUNT(absent); i++)
        cr_assert_null(bv_json_pointer(root, bv_bytes_of(absent[i])), "%s", absent[i]);
}

Test(json, writing_a_document_gives_it_back)
{
    static const char compact[] = "{\"a\":[1,-2,2.5,1.0,-0.0,1e300,18446744073709551615,0.1],\"s\":"
                                  "\"\\\"\\\\\\n\\u0000\\u001f\xc3\xa9\","
                                  "\"t\":[true,false,null,[],{}],\"\":{\"x\":[[[]]]}}";
    struct bv_buf buf = {.max = 1 << 16};
    cr_assert_eq(bv_json_write(&buf, parse(compact)), 0);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), bv_bytes_of(compact)), "%.*s", BV_ARG(buf));
    bv_buf_reset(&buf);
    cr_assert_eq(bv_json_write_pretty(&buf, parse("{\"a\":[1,{}],\"b\":[]}")), 0);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf),
                             BV_BYTES("{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}")),
              "%.*s",
              BV_ARG(buf));
    bv_buf_release(&buf);
    struct bv_buf small = {.max = 10};
    cr_assert_eq(bv_json_write(&small, parse(compact)), BV_E_TOO_LARGE);
    bv_buf_release(&small);
}

Test(json, the_deepest_document_can_be_written)
{
    char text[2 * BV_JSON_DEPTH_MAX + 1] = "";
    memset(text, '[', BV_JSON_DEPTH_MAX);
    memset(text + BV_JSON_DEPTH_MAX, ']', BV_JSON_DEPTH_MAX);
    struct bv_buf buf = {.max = 1 << 16};
    cr_assert_eq(bv_json_write(&buf, parse(text)), 0);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), bv_bytes_of(text)));
    bv_buf_release(&buf);
}
