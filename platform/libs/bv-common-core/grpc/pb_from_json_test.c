#include "bv/grpc.h"
#include "peer.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>

typedef Bitvelocity__Peer__V1__Kinds kinds_message;

static int
parse(struct bv_arena *arena, const char *json, kinds_message **ret_kinds, struct bv_error *error)
{
    return bv_pb_from_json(arena,
                           &bitvelocity__peer__v1__kinds__descriptor,
                           bv_bytes_of(json),
                           (ProtobufCMessage **)ret_kinds,
                           error);
}

/* Text in, text out; what is left at its default is not compared. */
static const char all_kinds[] = "{\"anInt32\":-2147483648,\"anInt64\":\"-9223372036854775808\","
                                "\"aUint32\":4294967295,\"aUint64\":\"18446744073709551615\","
                                "\"aSint32\":-1,\"aSint64\":\"-1\",\"aFixed32\":7,\"aFixed64\":"
                                "\"8\",\"aSfixed32\":-9,\"aSfixed64\":\"-10\",\"aFloat\":0.1,"
                                "\"aDouble\":-0.5,\"aBool\":true,\"aString\":\"grüß "
                                "\\\"x\\\"\",\"aBytes\":\"AAH/\",\"aColour\":\"DARK_BLUE\","
                                "\"anInner\":{\"name\":\"a\",\"child\":{\"name\":\"b\"}},"
                                "\"manyInt64\":[\"1\",\"-2\"],\"manyString\":[\"x\",\"\"],"
                                "\"manyInner\":[{\"name\":\"c\"},{\"name\":\"\"}],\"manyColour\":["
                                "\"RED\",9],\"manyBool\":[true,false],\"choiceText\":\"t\"}";

Test(pb_json, carries_all_kinds_there_and_back)
{
    struct bv_arena *arena = NULL;
    kinds_message *kinds = NULL;
    struct bv_error error = {0};
    struct bv_buf text = {.max = 65536};
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(parse(arena, all_kinds, &kinds, &error), 0, "%s", error.text);
    cr_expect_eq(kinds->a_uint64, UINT64_MAX);
    cr_expect_eq(kinds->a_bytes.len, 3);
    cr_expect_eq(kinds->choice_case, BITVELOCITY__PEER__V1__KINDS__CHOICE_CHOICE_TEXT);
    cr_assert_eq(bv_pb_to_json(&text, &kinds->base), 0);
    bv_buf_char(&text, '\0');
    cr_expect_str_eq(text.data, all_kinds);
    bv_buf_release(&text);
    bv_arena_close(&arena);
}

Test(pb_json, accepts_the_other_spellings)
{
    static const struct {
        const char *json;
        const char *same;
    } rows[] = {
        {"{\"an_int64\":5}",                    "{\"anInt64\":\"5\"}"        },
        {"{\"aColour\":2}",                     "{\"aColour\":\"DARK_BLUE\"}"},
        {"{\"anInt32\":\"-5\"}",                "{\"anInt32\":-5}"           },
        {"{\"anInt32\":3.0}",                   "{\"anInt32\":3}"            },
        {"{\"aUint64\":12}",                    "{\"aUint64\":\"12\"}"       },
        {"{\"aBytes\":\"-_8=\"}",               "{\"aBytes\":\"+/8=\"}"      },
        {"{\"aBytes\":\"-_8\"}",                "{\"aBytes\":\"+/8=\"}"      },
        {"{\"aDouble\":\"-Infinity\"}",         "{\"aDouble\":\"-Infinity\"}"},
        {"{\"aDouble\":4}",                     "{\"aDouble\":4.0}"          },
        {"{\"aString\":null,\"anInner\":null}", "{}"                         },
        {"{\"choiceInner\":{}}",                "{\"choiceInner\":{}}"       },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_arena *arena = NULL;
        kinds_message *first = NULL;
        kinds_message *second = NULL;
        struct bv_error error = {0};
        struct bv_buf texts[2] = {{.max = 65536}, {.max = 65536}};
        cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
        cr_assert_eq(
            parse(arena, rows[i].json, &first, &error), 0, "%s: %s", rows[i].json, error.text);
        cr_assert_eq(
            parse(arena, rows[i].same, &second, &error), 0, "%s: %s", rows[i].same, error.text);
        cr_assert_eq(bv_pb_to_json(&texts[0], &first->base), 0);
        cr_assert_eq(bv_pb_to_json(&texts[1], &second->base), 0);
        cr_expect(bv_bytes_equal(bv_buf_view(&texts[0]), bv_buf_view(&texts[1])),
                  "%s: %.*s",
                  rows[i].json,
                  BV_ARG(bv_buf_view(&texts[0])));
        bv_buf_release(&texts[0]);
        bv_buf_release(&texts[1]);
        bv_arena_close(&arena);
    }
}

Test(pb_json, refuses_what_does_not_fit_and_points_at_it)
{
    static const struct {
        const char *json;
        const char *pointer;
    } rows[] = {
        {"{\"nope\":1}",                                 "/nope"              },
        {"{\"anInner\":{\"child\":{\"nope\":1}}}",       "/anInner/child/nope"},
        {"{\"manyInner\":[{},{\"nope\":1}]}",            "/manyInner/1/nope"  },
        {"{\"anInt32\":2147483648}",                     "/anInt32"           },
        {"{\"anInt32\":1.5}",                            "/anInt32"           },
        {"{\"anInt32\":\"1x\"}",                         "/anInt32"           },
        {"{\"anInt32\":true}",                           "/anInt32"           },
        {"{\"anInt64\":\"9223372036854775808\"}",        "/anInt64"           },
        {"{\"aUint32\":-1}",                             "/aUint32"           },
        {"{\"aUint64\":\"18446744073709551616\"}",       "/aUint64"           },
        {"{\"aUint64\":\"\"}",                           "/aUint64"           },
        {"{\"aFloat\":1e39}",                            "/aFloat"            },
        {"{\"aDouble\":\"1\"}",                          "/aDouble"           },
        {"{\"aBool\":\"true\"}",                         "/aBool"             },
        {"{\"aString\":1}",                              "/aString"           },
        {"{\"aString\":\"a\\u0000b\"}",                  "/aString"           },
        {"{\"aBytes\":\"*\"}",                           "/aBytes"            },
        {"{\"aColour\":\"PINK\"}",                       "/aColour"           },
        {"{\"anInner\":[]}",                             "/anInner"           },
        {"{\"manyInt64\":{}}",                           "/manyInt64"         },
        {"{\"manyInt64\":[1,null]}",                     "/manyInt64/1"       },
        {"{\"choiceText\":\"a\",\"choiceNumber\":1}",    "/choiceNumber"      },
        {"{\"choiceText\":\"a\",\"choice_text\":\"b\"}", "/choice_text"       },
        {"[]",                                           ""                   },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_arena *arena = NULL;
        kinds_message *kinds = NULL;
        struct bv_error error = {0};
        cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
        cr_expect_eq(
            parse(arena, rows[i].json, &kinds, &error), BV_E_UNPROCESSABLE, "%s", rows[i].json);
        cr_expect_str_eq(error.pointer, rows[i].pointer, "%s", rows[i].json);
        bv_arena_close(&arena);
    }
}

Test(pb_json, writes_defaults_but_not_unset_messages)
{
    Bitvelocity__Peer__V1__Inner inner = BITVELOCITY__PEER__V1__INNER__INIT;
    struct bv_buf text = {.max = 65536};
    cr_assert_eq(bv_pb_to_json(&text, &inner.base), 0);
    cr_expect(bv_bytes_equal(bv_buf_view(&text), BV_BYTES("{\"name\":\"\"}")));
    bv_buf_release(&text);
}

Test(pb_json, refuses_messages_that_are_nested_too_deep)
{
    Bitvelocity__Peer__V1__Inner inner[100];
    for (size_t i = 0; i < BV_COUNT(inner); i++) {
        bitvelocity__peer__v1__inner__init(&inner[i]);
        inner[i].child = i ? &inner[i - 1] : NULL;
    }
    struct bv_buf text = {.max = 65536};
    cr_expect_eq(bv_pb_to_json(&text, &inner[99].base), BV_E_UNPROCESSABLE);
    bv_buf_reset(&text);
    cr_expect_eq(bv_pb_to_json(&text, &inner[40].base), 0);
    bv_buf_release(&text);
    struct bv_buf small = {.max = 8};
    cr_expect_eq(bv_pb_to_json(&small, &inner[1].base), BV_E_TOO_LARGE);
    bv_buf_release(&small);
}
