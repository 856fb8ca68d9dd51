#include <criterion/criterion.h>
#include <stdio.h>

#include "bv/schema.h"

static struct bv_arena *arena;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(16u << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

static const struct bv_json *json(const char *text)
{
    const struct bv_json *root = NULL;
    struct bv_error error = {0};
    cr_assert_eq(
        bv_json_parse(arena, bv_bytes_of(text), &root, &error), 0, "%s: %s", text, error.text);
    return root;
}

static int
add(struct bv_schemas *schemas, const char *name, const char *text, struct bv_error *error)
{
    return bv_schemas_add(schemas, bv_bytes_of(name), bv_bytes_of(text), error);
}

/* Checks value against schema alone; a schema that is refused gives its fault. */
static int check(const char *schema, const char *value, struct bv_error *error)
{
    struct bv_schemas *schemas = NULL;
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    int rc = add(schemas, "s", schema, error);
    if (rc == 0)
        rc = bv_schemas_link(schemas, error);
    if (rc == 0)
        rc = bv_schemas_check(schemas, BV_BYTES("s"), json(value), error);
    bv_schemas_close(&schemas);
    return rc;
}

TestSuite(schema, .init = setup, .fini = teardown);

Test(schema, refuses_what_it_would_not_check)
{
    static const struct {
        const char *schema;
        const char *pointer;
    } rows[] = {
        {"{\"propertees\": {}}",                                       "/propertees"          },
        {"{\"properties\": {\"a\": {\"minimun\": 1}}}",                "/properties/a/minimun"},
        {"{\"allOf\": [true, {\"$dynamicRef\": \"#\"}]}",              "/allOf/1/$dynamicRef" },
        {"{\"type\": \"float\"}",                                      "/type"                },
        {"{\"minLength\": -1}",                                        "/minLength"           },
        {"{\"minLength\": 1.5}",                                       "/minLength"           },
        {"{\"multipleOf\": 0}",                                        "/multipleOf"          },
        {"{\"pattern\": \"(\"}",                                       "/pattern"             },
        {"{\"required\": \"a\"}",                                      "/required"            },
        {"{\"anyOf\": []}",                                            "/anyOf"               },
        {"{\"$schema\": \"http://json-schema.org/draft-07/schema#\"}", "/$schema"             },
        {"{\"$defs\": {\"a\": {\"x\": 1}}}",                           "/$defs/a/x"           },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_error error = {0};
        cr_expect_eq(check(rows[i].schema, "1", &error), BV_E_INVALID, "%s", rows[i].schema);
        cr_expect_str_eq(error.pointer, rows[i].pointer, "%s: %s", rows[i].schema, error.text);
    }
}

Test(schema, says_where_and_why_a_value_does_not_match)
{
    struct bv_error error = {0};
    cr_assert_eq(check("{\"properties\": {\"a/b\": {\"items\": {\"type\": \"integer\"}}}}",
                       "{\"a/b\": [1, 2, \"x\"]}",
                       &error),
                 BV_SCHEMA_MISMATCH);
    cr_assert_str_eq(error.pointer, "/a~1b/2");
    cr_assert_str_eq(error.text, "/a~1b/2: has the wrong type");
}

Test(schema, a_failing_branch_leaves_no_error_behind)
{
    struct bv_error error = {0};
    cr_assert_eq(check("{\"anyOf\": [{\"type\": \"string\"}, {\"minimum\": 1}]}", "3", &error), 0);
    cr_assert_eq(error.code, 0);
}

Test(schema, follows_escaped_pointers)
{
    static const char schema[] =
        "{\"$defs\": {\"t~d\": {\"type\": \"integer\"}, \"s/h\": {\"type\": \"string\"}, \"p%c\": "
        "true},"
        "\"properties\": {\"t\": {\"$ref\": \"#/$defs/t~0d\"}, \"s\": {\"$ref\": \"#/$defs/s~1h\"},"
        "\"p\": {\"$ref\": \"#/$defs/p%25c\"}}}";
    struct bv_error error = {0};
    cr_assert_eq(check(schema, "{\"t\": 1, \"s\": \"x\", \"p\": 1}", &error), 0, "%s", error.text);
    cr_assert_eq(check(schema, "{\"t\": \"x\"}", NULL), BV_SCHEMA_MISMATCH);
}

Test(schema, a_reference_that_leads_nowhere_is_found_at_link)
{
    struct bv_error error = {0};
    cr_assert_eq(check("{\"$ref\": \"missing.json#/$defs/a\"}", "1", &error), BV_E_NOT_FOUND);
    cr_assert(strstr(error.text, "missing.json"), "%s", error.text);
}

Test(schema, an_endless_reference_ends)
{
    cr_assert_eq(check("{\"$ref\": \"#\"}", "1", NULL), BV_SCHEMA_MISMATCH);
    cr_assert_eq(check("{\"not\": {\"$ref\": \"#\"}}", "1", NULL), BV_SCHEMA_MISMATCH);
    cr_assert_eq(check("{\"anyOf\": [{\"$ref\": \"#\"}, {\"$ref\": \"#\"}]}", "1", NULL),
                 BV_SCHEMA_MISMATCH);
}

Test(schema, documents_refer_to_each_other_in_any_order)
{
    struct bv_schemas *schemas = NULL;
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    cr_assert_eq(add(schemas,
                     "a.schema.json",
                     "{\"$id\": \"https://x.example/e/a.schema.json\", \"$ref\": "
                     "\"b.schema.json#/$defs/n\"}",
                     NULL),
                 0);
    cr_assert_eq(add(schemas,
                     "b.schema.json",
                     "{\"$id\": \"https://x.example/e/b.schema.json\", \"$defs\": {\"n\": "
                     "{\"type\": \"integer\"}}}",
                     NULL),
                 0);
    cr_assert_eq(add(schemas, "b.schema.json", "true", NULL), BV_E_EXISTS);
    bv_schemas_close(&schemas);
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    cr_assert_eq(add(schemas,
                     "a.schema.json",
                     "{\"$id\": \"https://x.example/e/a.schema.json\", \"$ref\": "
                     "\"b.schema.json#/$defs/n\"}",
                     NULL),
                 0);
    cr_assert_eq(add(schemas,
                     "b.schema.json",
                     "{\"$id\": \"https://x.example/e/b.schema.json\", \"$defs\": {\"n\": "
                     "{\"type\": \"integer\"}}}",
                     NULL),
                 0);
    cr_assert_eq(bv_schemas_link(schemas, NULL), 0);
    cr_assert_eq(bv_schemas_check(schemas, BV_BYTES("a.schema.json"), json("1"), NULL), 0);
    cr_assert_eq(bv_schemas_check(
                     schemas, BV_BYTES("https://x.example/e/a.schema.json"), json("\"1\""), NULL),
                 BV_SCHEMA_MISMATCH);
    cr_assert_eq(bv_schemas_check(schemas, BV_BYTES("b.schema.json#/$defs/n"), json("\"1\""), NULL),
                 BV_SCHEMA_MISMATCH);
    cr_assert_eq(bv_schemas_check(schemas, BV_BYTES("c.schema.json"), json("1"), NULL),
                 BV_SCHEMA_UNKNOWN);
    cr_assert(bv_schemas_has(schemas, BV_BYTES("b.schema.json#/$defs/n")));
    cr_assert_not(bv_schemas_has(schemas, BV_BYTES("b.schema.json#/$defs/m")));
    bv_schemas_close(&schemas);
}

Test(schema, formats_are_annotations_unless_asserted)
{
    static const struct {
        const char *format;
        const char *bad;
        const char *good;
    } rows[] = {
        {"date-time", "\"2026-13-01T00:00:00Z\"", "\"2026-12-01T00:00:00Z\""                },
        {"uuid",      "\"01936f3e\"",             "\"01936f3e-7c21-7d10-a5b2-6e0f9c1d2a01\""},
        {"uri",       "\"/relative\"",            "\"https://a.example/b?c#d\""             },
        {"uri",       "\"http://a b\"",           "\"urn:a:b\""                             },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char schema[64];
        struct bv_schemas *schemas = NULL;
        snprintf(schema, sizeof schema, "{\"format\": \"%s\"}", rows[i].format);
        cr_expect_eq(check(schema, rows[i].bad, NULL), 0);
        cr_assert_eq(bv_schemas_open(&schemas), 0);
        bv_schemas_format(schemas, BV_FORMAT_ASSERT);
        cr_assert_eq(add(schemas, "s", schema, NULL), 0);
        cr_assert_eq(bv_schemas_link(schemas, NULL), 0);
        cr_expect_eq(bv_schemas_check(schemas, BV_BYTES("s"), json(rows[i].bad), NULL),
                     BV_SCHEMA_MISMATCH,
                     "%s",
                     rows[i].bad);
        cr_expect_eq(bv_schemas_check(schemas, BV_BYTES("s"), json(rows[i].good), NULL),
                     0,
                     "%s",
                     rows[i].good);
        bv_schemas_close(&schemas);
    }
}

Test(schema, unique_items_is_quick_on_long_arrays)
{
    struct bv_buf text = {.max = 4u << 20};
    bv_buf_text(&text, "[0");
    for (int i = 1; i < 100000; i++)
        bv_buf_format(&text, ",%d", i);
    bv_buf_text(&text, "]");
    bv_buf_char(&text, '\0');
    cr_assert_eq(check("{\"uniqueItems\": true}", text.data, NULL), 0);
    bv_buf_release(&text);
}

Test(schema, integers_compare_exactly_and_equal_whatever_their_writing)
{
    cr_assert_eq(check("{\"maximum\": 9007199254740992}", "9007199254740993", NULL),
                 BV_SCHEMA_MISMATCH);
    cr_assert_eq(check("{\"const\": 1}", "1.0", NULL), 0);
    cr_assert_eq(check("{\"uniqueItems\": true}",
                       "[{\"a\": 1, \"b\": [2]}, {\"b\": [2.0], \"a\": 1}]",
                       NULL),
                 BV_SCHEMA_MISMATCH);
}

Test(schema, our_event_contracts_accept_their_own_examples)
{
    static const char folder[] = BV_CONTRACTS_FOLDER "/events";
    struct bv_schemas *schemas = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    bv_schemas_format(schemas, BV_FORMAT_ASSERT);
    cr_assert_eq(bv_schemas_add_folder(schemas, folder, &error), 0, "%s", error.text);
    cr_assert_eq(bv_schemas_link(schemas, &error), 0, "%s", error.text);
    static const char *const names[] = {"ecommerce.order.created.v1",
                                        "ecommerce.order.paid.v1",
                                        "ecommerce.payment.authorized.v1",
                                        "ecommerce.stock.reserved.v1",
                                        "ecommerce.product.updated.v1"};
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        char path[512], name[128], *text = bv_arena_alloc(arena, 65536);
        snprintf(path, sizeof path, "%s/%s.schema.json", folder, names[i]);
        snprintf(name, sizeof name, "%s.schema.json", names[i]);
        FILE *file = fopen(path, "rb");
        cr_assert_not_null(file, "%s", path);
        text[fread(text, 1, 65535, file)] = '\0';
        fclose(file);
        const struct bv_json *examples = bv_json_get(json(text), "examples");
        cr_assert_gt(bv_json_size(examples), 0, "%s", name);
        for (struct bv_json_iter it = bv_json_iter(examples); bv_json_next(&it);)
            cr_expect_eq(bv_schemas_check(schemas, bv_bytes_of(name), it.value, &error),
                         0,
                         "%s: %s",
                         name,
                         error.text);
        cr_expect_eq(bv_schemas_check(schemas, bv_bytes_of(name), json("{}"), NULL),
                     BV_SCHEMA_MISMATCH);
    }
    bv_schemas_close(&schemas);
}
