#include "bv/expression.h"

#include <criterion/criterion.h>

static struct bv_arena *arena;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(expression, .init = setup, .fini = teardown);

static const struct bv_json *json(const char *text)
{
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_json_parse(arena, bv_bytes_of(text), &root, NULL), 0);
    return root;
}

static void finds(const char *path, const char *wanted)
{
    const struct bv_json *root =
        json("{\"a\":{\"b\":[{\"c\":1},{\"c\":2}],\"x y\":true,\"n\":null},\"\":3}");
    const struct bv_json *value = NULL;
    struct bv_error error = {0};
    struct bv_buf text = {.max = 4096};
    cr_assert_eq(
        bv_path_find(root, bv_bytes_of(path), &value, &error), 0, "%s: %s", path, error.text);
    if (value)
        cr_assert_eq(bv_json_write(&text, value), 0);
    else
        cr_assert_eq(bv_buf_text(&text, "(absent)"), 0);
    cr_expect(bv_bytes_equal(bv_buf_view(&text), bv_bytes_of(wanted)),
              "%s is %.*s",
              path,
              BV_ARG(bv_buf_view(&text)));
    bv_buf_release(&text);
}

Test(expression, path_names_one_value)
{
    finds("$.a.b[0].c", "1");
    finds("$['a'].b[-1]['c']", "2");
    finds("$.a[\"x y\"]", "true");
    finds("$.a.n", "null");
    finds("$.a.b[2]", "(absent)");
    finds("$.a.b[-3]", "(absent)");
    finds("$.a.q.r", "(absent)");
    finds("$['']", "3");
}

Test(expression, bad_paths_are_refused_with_their_place)
{
    static const char *const bad[] = {
        "", "a", "$a", "$.", "$.a.", "$[", "$[x]", "$['a", "$['a'x", "$.a-b", "$[?@.a=1]"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        struct bv_error error = {0};
        cr_expect_eq(bv_path_check(bv_bytes_of(bad[i]), &error), BV_E_INVALID, "%s", bad[i]);
        cr_expect(strstr(error.text, "column"), "%s", error.text);
    }
}

static void selects(const char *path, const char *wanted)
{
    const struct bv_json *root = json("{\"a\":[{\"c\":1},{\"c\":2}],\"n\":null}");
    const struct bv_json *value = NULL;
    struct bv_buf text = {.max = 4096};
    cr_assert_eq(bv_path_select(arena, root, bv_bytes_of(path), &value, NULL), 0, "%s", path);
    if (value)
        cr_assert_eq(bv_json_write(&text, value), 0);
    else
        cr_assert_eq(bv_buf_text(&text, "(absent)"), 0);
    cr_expect(bv_bytes_equal(bv_buf_view(&text), bv_bytes_of(wanted)),
              "%s is %.*s",
              path,
              BV_ARG(bv_buf_view(&text)));
    bv_buf_release(&text);
}

Test(expression, a_path_that_may_name_several_gives_an_array_of_them)
{
    selects("$.a[0].c", "1");
    selects("$..c", "[1,2]");
    selects("$.a[?@.c > 1].c", "[2]");
    selects("$.a[?@.c > 2].c", "(absent)");
    selects("$.n", "null");
    selects("$[*]", "[[{\"c\":1},{\"c\":2}],null]");
}

Test(expression, where_one_value_is_needed_only_such_paths_are_taken)
{
    struct bv_error error = {0};
    const struct bv_json *value = NULL;
    cr_expect_eq(bv_path_check_one(BV_BYTES("$.a[0]['b'][-1]"), &error), 0);
    cr_expect_eq(bv_path_check_one(BV_BYTES("$..a"), &error), BV_E_INVALID);
    cr_expect_not_null(strstr(error.text, "several"), "%s", error.text);
    cr_expect_eq(bv_path_find(json("{}"), BV_BYTES("$[*]"), &value, NULL), BV_E_INVALID);
}

static int compare_json(const char *fact, const char *op, const char *value)
{
    enum bv_op parsed;
    struct bv_fact read = {.type = BV_FACT_JSON, .json = json(fact)};
    cr_assert_eq(bv_op_parse(bv_bytes_of(op), &parsed), 0);
    return bv_fact_compare(&read, parsed, bv_bytes_of(value), NULL);
}

Test(expression, compares_json)
{
    static const struct {
        const char *fact, *op, *value;
        int rc;
    } rows[] = {
        {"\"PAID\"",            "==",       "PAID",                     0           },
        {"\"PAID\"",            "==",       "\"PAID\"",                 BV_MISMATCH },
        {"201",                 "==",       "201",                      0           },
        {"2.50",                "==",       "2.5",                      0           },
        {"201",                 "==",       "0201",                     BV_MISMATCH },
        {"true",                "==",       "true",                     0           },
        {"null",                "==",       "null",                     0           },
        {"null",                "exists",   "",                         0           },
        {"{\"a\":1,\"b\":[2]}", "==",       "{ \"b\": [2], \"a\": 1 }", 0           },
        {"[1,2]",               "==",       "[2,1]",                    BV_MISMATCH },
        {"[\"a\",\"b\"]",       "contains", "b",                        0           },
        {"[\"ab\"]",            "contains", "b",                        BV_MISMATCH },
        {"\"abc\"",             "contains", "bc",                       0           },
        {"\"abc\"",             "matches",  "^a.c$",                    0           },
        {"\"abc\"",             "matches",  "^b",                       BV_MISMATCH },
        {"\"abc\"",             "matches",  "(",                        BV_E_INVALID},
        {"5",                   "<",        "6",                        0           },
        {"5",                   "<=",       "5",                        0           },
        {"5",                   ">",        "5",                        BV_MISMATCH },
        {"\"8\"",               ">=",       "7.5",                      0           },
        {"\"x\"",               ">=",       "7",                        BV_MISMATCH },
        {"5",                   "<",        "x",                        BV_E_INVALID},
        {"5",                   "!=",       "6",                        0           },
        {"9007199254740993",    "==",       "9007199254740992",         BV_MISMATCH },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_eq(compare_json(rows[i].fact, rows[i].op, rows[i].value),
                     rows[i].rc,
                     "%s %s %s",
                     rows[i].fact,
                     rows[i].op,
                     rows[i].value);
}

Test(expression, absent_satisfies_nothing)
{
    struct bv_fact fact = {.type = BV_FACT_ABSENT};
    for (int op = 0; op < BV_OP_COUNT; op++)
        cr_expect_eq(bv_fact_compare(&fact, (enum bv_op)op, BV_BYTES("1"), NULL), BV_MISMATCH);
}

Test(expression, durations)
{
    int64_t ms = 0;
    cr_expect(bv_duration_parse(BV_BYTES("250ms"), &ms) == 0 && ms == 250);
    cr_expect(bv_duration_parse(BV_BYTES("5s"), &ms) == 0 && ms == 5000);
    cr_expect(bv_duration_parse(BV_BYTES("2m"), &ms) == 0 && ms == 120000);
    static const char *const bad[] = {"", "5", "s", "0s", "-1s", "5 s", "61m", "1h", "1.5s"};
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_eq(bv_duration_parse(bv_bytes_of(bad[i]), &ms), BV_E_INVALID, "%s", bad[i]);
}
