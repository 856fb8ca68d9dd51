#include "json_path.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct bv_arena *arena;

static void setup(void)
{
    cr_assert_eq(bv_arena_open((size_t)256 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(json_path, .init = setup, .fini = teardown);

static const struct bv_json *json(struct bv_bytes text)
{
    const struct bv_json *root = NULL;
    cr_assert_eq(bv_json_parse(arena, text, &root, NULL), 0);
    return root;
}

/* The nodes as the text of a JSON array. */
static const char *select_text(const char *query, const char *document)
{
    const struct json_path *path = NULL;
    struct json_nodes nodes = {0};
    struct bv_error error = {0};
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    cr_assert_eq(json_path_parse(arena, bv_bytes_of(query), &path, &error), 0, "%s", error.text);
    cr_assert_eq(json_path_select(arena, path, json(bv_bytes_of(document)), &nodes, &error), 0);
    for (size_t i = 0; i < nodes.count; i++) {
        bv_buf_text(&text, i ? " " : "");
        bv_json_write(&text, nodes.values[i]);
    }
    return bv_arena_text(arena, bv_buf_view(&text));
}

static const struct {
    const char *query, *document, *nodes;
} rows[] = {
    {"$",                                 "{\"a\":1}",                               "{\"a\":1}"                    },
    {"$.a['b'][\"c\"]",                   "{\"a\":{\"b\":{\"c\":1}}}",               "1"                            },
    {"$[1,0,-1]",                         "[1,2,3]",                                 "2 1 3"                        },
    {"$[1:3]",                            "[0,1,2,3]",                               "1 2"                          },
    {"$[::-2]",                           "[0,1,2,3]",                               "3 1"                          },
    {"$[:2:0]",                           "[0,1]",                                   ""                             },
    {"$..a",                              "{\"a\":[{\"a\":1}],\"b\":{\"a\":2}}",     "[{\"a\":1}] 1 2"              },
    {"$.*.x",                             "{\"a\":{\"x\":1},\"b\":{\"x\":2}}",       "1 2"                          },
    {"$[?@.n > 1 && @.s != 'x']",         "[{\"n\":2},{\"n\":3,\"s\":\"x\"}]",       "{\"n\":2}"                    },
    {"$[?!@.a || @.a == null]",           "[{\"a\":null},{\"a\":1},{}]",             "{\"a\":null} {}"              },
    {"$[?(@.a == 1 || @.b) && !(@.c)].a", "[{\"a\":1},{\"a\":1,\"c\":0}]",           "1"                            },
    {"$.items[?@.id == $.wanted]",
     "{\"wanted\":2,\"items\":[{\"id\":1},{\"id\":2}]}",                             "{\"id\":2}"                   },
    {"$[?length(@) == 3]",
     "[\"a\\u00e9\\ud83d\\ude00\",[1],\"ab\"]",                                      "\"a\xc3\xa9\xf0\x9f\x98\x80\""},
    {"$[?count(@.*) > 1]",                "[[1],[1,2]]",                             "[1,2]"                        },
    {"$[?value(@..x) == 1]",
     "[{\"x\":1},{\"y\":{\"x\":1}},[{\"x\":1},{\"x\":1}]]",                          "{\"x\":1} {\"y\":{\"x\":1}}"  },
    {"$[?match(@, '[a-c]+\\\\.d?')]",     "[\"ab.\",\"ab.d\",\"ab.dd\",\"abd\"]",    "\"ab.\" \"ab.d\""             },
    {"$[?search(@.t, '\\\\p{Lu}{2}')].t", "[{\"t\":\"xAB\"},{\"t\":\"A b\"}]",       "\"xAB\""                      },
    {"$['\\u00e9','\\ud83d\\ude00']",     "{\"\xc3\xa9\":1,\"\xf0\x9f\x98\x80\":2}", "1 2"                          },
    {"$[?@ == 1.0]",                      "[1,1.5,\"1\"]",                           "1"                            },
    {"$[?@ < 'b']",                       "[\"a\",\"b\",1]",                         "\"a\""                        },
    {"$ .a\n[ 0 , 1 ]",                   "{\"a\":[1,2]}",                           "1 2"                          },
};

Test(json_path, every_kind_of_selector_finds_its_nodes)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_str_eq(
            select_text(rows[i].query, rows[i].document), rows[i].nodes, "%s", rows[i].query);
}

static const struct {
    const char *query;
    int column;
    const char *expected;
} refusals[] = {
    {"",                                                                        1,  "begins with $"      },
    {"a",                                                                       1,  "begins with $"      },
    {"$a",                                                                      2,  ". or ["             },
    {"$.",                                                                      3,  "a name"             },
    {"$.1",                                                                     3,  "a name"             },
    {"$.a-b",                                                                   4,  ". or ["             },
    {"$[",                                                                      3,  "a quoted name"      },
    {"$['a",                                                                    3,  "no end"             },
    {"$['a'",                                                                   6,  ", or ]"             },
    {"$['\\x']",                                                                5,  "an escape"          },
    {"$['\\ud800']",                                                            4,  "a surrogate"        },
    {"$[01]",                                                                   3,  "leading zero"       },
    {"$[9007199254740992]",                                                     3,  "2^53"               },
    {"$[?@.a =]",                                                               8,  ", or ]"             },
    {"$[?1]",                                                                   5,  "a comparison"       },
    {"$[?@.* == 1]",                                                            4,  "one value"          },
    {"$[?length(@)]",                                                           13, "a comparison"       },
    {"$[?match(@.a)]",                                                          13, "a second argument"  },
    {"$[?count(1)]",                                                            10, "a query"            },
    {"$[?lenght(@) == 1]",                                                      4,  "length()"           },
    {"$[?match(@, '[b-a]')]",                                                   5,  "lower to a higher"  },
    {"$[?match(@.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, @.*)]",
     67,                                                                            "a value is expected"},
    {"$.a ",                                                                    4,  ". or ["             },
};

Test(json_path, a_refusal_says_the_column_and_what_was_expected)
{
    for (size_t i = 0; i < BV_COUNT(refusals); i++) {
        const struct json_path *path = NULL;
        struct bv_error error = {0};
        char column[32];
        snprintf(column, sizeof column, "column %d", refusals[i].column);
        cr_expect_eq(json_path_parse(arena, bv_bytes_of(refusals[i].query), &path, &error),
                     BV_E_INVALID,
                     "%s",
                     refusals[i].query);
        cr_expect(strstr(error.text, refusals[i].expected) && strstr(error.text, column),
                  "%s: %s",
                  refusals[i].query,
                  error.text);
    }
}

Test(json_path, depth_nodes_and_visits_are_limited)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    const struct json_path *path = NULL;
    struct json_nodes nodes;
    struct bv_error error = {0};
    bv_buf_text(&text, "$[?");
    for (int i = 0; i < JSON_PATH_DEPTH_MAX; i++)
        bv_buf_char(&text, '(');
    cr_expect_eq(json_path_parse(arena, bv_buf_view(&text), &path, &error), BV_E_INVALID);
    cr_expect_not_null(strstr(error.text, "less nesting"), "%s", error.text);
    error = (struct bv_error){0};
    bv_buf_reset(&text);
    bv_buf_char(&text, '[');
    for (int i = 0; i < 3000; i++)
        bv_buf_text(&text, i ? ",0" : "0");
    bv_buf_char(&text, ']');
    cr_assert_eq(json_path_parse(arena, BV_BYTES("$[?count($[?count($.*)>0])>0]"), &path, NULL), 0);
    cr_expect_eq(json_path_select(arena, path, json(bv_buf_view(&text)), &nodes, &error),
                 BV_E_LIMIT);
    cr_expect_not_null(strstr(error.text, "looks at more"), "%s", error.text);
    bv_buf_reset(&text);
    bv_buf_char(&text, '$');
    for (int i = 0; i < 20; i++)
        bv_buf_text(&text, "..[*,*]");
    cr_assert_eq(json_path_parse(arena, bv_buf_view(&text), &path, NULL), 0);
    cr_expect_eq(json_path_select(
                     arena, path, json(BV_BYTES("[[[[[[[[[[[[[[1]]]]]]]]]]]]]]")), &nodes, &error),
                 BV_E_LIMIT);
}

/* ---- the compliance test suite of the RFC's community, where the test tools have it ---- */

static struct bv_bytes cts(void)
{
    FILE *file = fopen(BV_JSONPATH_CTS, "rb");
    char *text = bv_arena_alloc_raw(arena, 4 << 20);
    if (!file)
        return BV_BYTES_NONE;
    const size_t size = fread(text, 1, 4 << 20, file);
    fclose(file);
    return (struct bv_bytes){text, size};
}

static bool nodes_are(const struct json_nodes *nodes, const struct bv_json *wanted)
{
    size_t i = 0;
    if (nodes->count != bv_json_size(wanted))
        return false;
    for (struct bv_json_iter it = bv_json_iter(wanted); bv_json_next(&it);)
        if (!json_equal(nodes->values[i++], it.value))
            return false;
    return true;
}

static bool case_passes(const struct bv_json *one)
{
    const struct json_path *path = NULL;
    struct json_nodes nodes = {0};
    const int rc =
        json_path_parse(arena, bv_json_string(bv_json_get(one, "selector")), &path, NULL);
    if (bv_json_bool(bv_json_get(one, "invalid_selector"), false))
        return rc == BV_E_INVALID;
    if (rc != 0 || json_path_select(arena, path, bv_json_get(one, "document"), &nodes, NULL) != 0)
        return false;
    if (bv_json_get(one, "result"))
        return nodes_are(&nodes, bv_json_get(one, "result"));
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(one, "results")); bv_json_next(&it);)
        if (nodes_are(&nodes, it.value))
            return true;
    return false;
}

Test(json_path, passes_the_compliance_test_suite)
{
    const struct bv_bytes text = cts();
    if (!text.data)
        cr_skip_test("%s is not there (make deps GROUP=test)", BV_JSONPATH_CTS);
    const struct bv_json *tests = bv_json_get(json(text), "tests");
    cr_assert_geq(bv_json_size(tests), 600);
    for (struct bv_json_iter it = bv_json_iter(tests); bv_json_next(&it);)
        cr_expect(case_passes(it.value),
                  "%s: %s",
                  bv_json_string(bv_json_get(it.value, "name")).data,
                  bv_json_string(bv_json_get(it.value, "selector")).data);
}
