#include "bv/json.h"

#include <criterion/criterion.h>

struct item {
    struct bv_bytes sku;
    int64_t count;
    bool gift;
    const struct bv_json *note;
};
static const struct bv_field fields[] = {
    {"sku",   offsetof(struct item, sku),   BV_FIELD_STRING, true,  1, 8 },
    {"count", offsetof(struct item, count), BV_FIELD_INT64,  true,  1, 99},
    {"gift",  offsetof(struct item, gift),  BV_FIELD_BOOL,   false, 0, 0 },
    {"a/b~c", offsetof(struct item, note),  BV_FIELD_JSON,   false, 0, 0 },
};

static struct bv_arena *arena;

static int
decode(const char *text, enum bv_strictness strictness, struct item *item, struct bv_error *error)
{
    const struct bv_json *root = NULL;
    if (!arena)
        cr_assert_eq(bv_arena_open(1 << 16, &arena), 0);
    cr_assert_eq(bv_json_parse(arena, bv_bytes_of(text), &root, error), 0);
    return bv_json_decode(root, fields, BV_COUNT(fields), strictness, item, error);
}

static void close_arena(void)
{
    bv_arena_close(&arena);
}

TestSuite(json_decode, .fini = close_arena);

Test(json_decode, fields_land_in_the_struct)
{
    struct item item = {.gift = true, .note = NULL};
    struct bv_error error = {0};
    cr_assert_eq(decode("{\"count\":2,\"sku\":\"MUG\",\"a/b~c\":null}", BV_STRICT, &item, &error),
                 0);
    cr_assert(bv_bytes_equal(item.sku, BV_BYTES("MUG")));
    cr_assert_eq(item.count, 2);
    cr_assert(item.gift, "a missing optional field stays as it was");
    cr_assert_not_null(item.note, "null is a value for BV_FIELD_JSON");
    cr_assert_eq(decode("{\"count\":2,\"sku\":\"MUG\",\"gift\":false}", BV_STRICT, &item, &error),
                 0);
    cr_assert_not(item.gift);
}

Test(json_decode, each_refusal_names_its_member)
{
    static const struct {
        const char *text;
        const char *pointer;
        const char *detail;
    } rows[] = {
        {"[]",                                            "",        "A JSON object is needed."                },
        {"{\"count\":2}",                                 "/sku",    "sku is missing."                         },
        {"{\"sku\":5,\"count\":2}",                       "/sku",    "sku must be a string."                   },
        {"{\"sku\":null,\"count\":2}",                    "/sku",    "sku must be a string."                   },
        {"{\"sku\":\"\",\"count\":2}",                    "/sku",    "sku must be 1 to 8 bytes long, it has 0."},
        {"{\"sku\":\"123456789\",\"count\":2}",           "/sku",    "sku must be 1 to 8 bytes long, it has 9."},
        {"{\"sku\":\"M\\u0000X\",\"count\":2}",           "/sku",    "sku must not contain U+0000."            },
        {"{\"sku\":\"M\",\"count\":0}",                   "/count",  "count must be 1 to 99, it is 0."         },
        {"{\"sku\":\"M\",\"count\":100}",                 "/count",  "count must be 1 to 99, it is 100."       },
        {"{\"sku\":\"M\",\"count\":1.0}",                 "/count",  "count must be an integer."               },
        {"{\"sku\":\"M\",\"count\":\"1\"}",               "/count",  "count must be an integer."               },
        {"{\"sku\":\"M\",\"count\":9223372036854775808}", "/count",  "count must be an integer."               },
        {"{\"sku\":\"M\",\"count\":1,\"gift\":1}",        "/gift",   "gift must be true or false."             },
        {"{\"sku\":\"M\",\"count\":1,\"x/~y\":1}",        "/x~1~0y", "x/~y is not a known member."             },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct item item = {.gift = false};
        struct bv_error error = {0};
        cr_assert_eq(
            decode(rows[i].text, BV_STRICT, &item, &error), BV_E_UNPROCESSABLE, "%s", rows[i].text);
        cr_assert_str_eq(error.pointer, rows[i].pointer);
        cr_assert_str_eq(error.text, rows[i].detail);
    }
}

Test(json_decode, lenient_lets_unknown_members_pass)
{
    struct item item = {.gift = false};
    cr_assert_eq(decode("{\"sku\":\"M\",\"count\":1,\"x\":1}", BV_LENIENT, &item, NULL), 0);
    cr_assert_eq(decode("{\"sku\":\"M\",\"count\":1,\"x\":1}", BV_STRICT, &item, NULL),
                 BV_E_UNPROCESSABLE);
}

Test(json_decode, a_long_member_name_is_cut_in_the_pointer)
{
    struct item item = {.gift = false};
    struct bv_error error = {0};
    cr_assert_eq(decode("{\"sku\":\"M\",\"count\":1,\"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
                        "~~~~~~~~~~~~~~\":1}",
                        BV_STRICT,
                        &item,
                        &error),
                 BV_E_UNPROCESSABLE);
    cr_assert_leq(strlen(error.pointer), sizeof(error.pointer) - 1);
    cr_assert_eq(error.pointer[strlen(error.pointer) - 2], '~', "no torn escape");
}
