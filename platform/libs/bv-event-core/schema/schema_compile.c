/* One function per kind of keyword value; the table says which keyword is which. */
#include "schema_private.h"

#include <stdio.h>

static int
bad(struct compiler *compiler, const struct node *node, const char *keyword, const char *what)
{
    int rc = bv_fail(compiler->error, BV_E_INVALID, "%s/%s: %s", node->pointer, keyword, what);
    if (compiler->error && compiler->error->pointer[0] == '\0')
        snprintf(compiler->error->pointer,
                 sizeof compiler->error->pointer,
                 "%s/%s",
                 node->pointer,
                 keyword);
    return rc;
}

static const char *
pointer_to(struct compiler *compiler, const char *parent, const char *keyword, struct bv_bytes name)
{
    return name.data ? bv_arena_format(compiler->arena, "%s/%s/%.*s", parent, keyword, BV_ARG(name))
                     : bv_arena_format(compiler->arena, "%s/%s", parent, keyword);
}

struct keyword;
typedef int compile_keyword(struct compiler *compiler,
                            struct node *node,
                            const struct keyword *keyword,
                            const struct bv_json *value);
struct keyword {
    const char *name;
    compile_keyword *compile;
    size_t offset; /* of the member of struct node that it fills */
    unsigned bit;  /* bounds only */
};

static void *member(struct node *node, const struct keyword *keyword)
{
    return (char *)node + keyword->offset;
}

static int annotation(struct compiler *compiler,
                      struct node *node,
                      const struct keyword *keyword,
                      const struct bv_json *value)
{
    (void)compiler, (void)node, (void)keyword, (void)value;
    return 0;
}

static int text(struct compiler *compiler,
                struct node *node,
                const struct keyword *keyword,
                const struct bv_json *value)
{
    if (bv_json_type(value) != BV_JSON_STRING)
        return bad(compiler, node, keyword->name, "needs a string");
    if (keyword->offset)
        *(struct bv_bytes *)member(node, keyword) = bv_json_string(value);
    return 0;
}

static int subschema(struct compiler *compiler,
                     struct node *node,
                     const struct keyword *keyword,
                     const struct bv_json *value)
{
    const char *pointer = pointer_to(compiler, node->pointer, keyword->name, BV_BYTES_NONE);
    return schema_compile(compiler, value, node->base, pointer, member(node, keyword));
}

static int subschema_list(struct compiler *compiler,
                          struct node *node,
                          const struct keyword *keyword,
                          const struct bv_json *value)
{
    size_t count = bv_json_size(value), i = 0;
    if (bv_json_type(value) != BV_JSON_ARRAY || count == 0)
        return bad(compiler, node, keyword->name, "needs an array of schemas");
    struct node **items = bv_arena_array(compiler->arena, struct node *, count);
    if (!items)
        return BV_E_NOMEM;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it); i++) {
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        const char *pointer =
            pointer_to(compiler, node->pointer, keyword->name, bv_bytes_of(index));
        BV_TRY(schema_compile(compiler, it.value, node->base, pointer, &items[i]));
    }
    *(struct node_list *)member(node, keyword) = (struct node_list){items, count};
    return 0;
}

static int subschema_map_of(struct compiler *compiler,
                            struct node *node,
                            const struct keyword *keyword,
                            const struct bv_json *value,
                            bool patterns)
{
    size_t count = bv_json_size(value), i = 0;
    if (bv_json_type(value) != BV_JSON_OBJECT)
        return bad(compiler, node, keyword->name, "needs an object of schemas");
    struct named_node *items = bv_arena_array(compiler->arena, struct named_node, count + 1);
    if (!items)
        return BV_E_NOMEM;
    if (keyword->offset)
        *(struct named_nodes *)member(node, keyword) = (struct named_nodes){items, count};
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it); i++) {
        const char *pointer = pointer_to(compiler, node->pointer, keyword->name, it.key);
        items[i].name = it.key;
        if (patterns) {
            int rc = pattern_open(it.key, &items[i].pattern, compiler->error);
            if (rc < 0)
                return rc == BV_E_NOMEM ? rc
                                        : bad(compiler, node, keyword->name, "has a bad pattern");
        }
        BV_TRY(schema_compile(compiler, it.value, node->base, pointer, &items[i].node));
    }
    return 0;
}

static int subschema_map(struct compiler *compiler,
                         struct node *node,
                         const struct keyword *keyword,
                         const struct bv_json *value)
{
    return subschema_map_of(compiler, node, keyword, value, false);
}

static int pattern_map(struct compiler *compiler,
                       struct node *node,
                       const struct keyword *keyword,
                       const struct bv_json *value)
{
    return subschema_map_of(compiler, node, keyword, value, true);
}

static const struct {
    const char *name;
    unsigned bits;
} type_names[] = {
    {"null",    TYPE_BIT(BV_JSON_NULL)  },
    {"boolean", TYPE_BIT(BV_JSON_BOOL)  },
    {"integer", TYPE_INTEGER            },
    {"number",  TYPE_NUMBER             },
    {"string",  TYPE_BIT(BV_JSON_STRING)},
    {"array",   TYPE_BIT(BV_JSON_ARRAY) },
    {"object",  TYPE_BIT(BV_JSON_OBJECT)},
};

static unsigned type_bits(const struct bv_json *value)
{
    for (size_t i = 0; i < BV_COUNT(type_names); i++) {
        if (bv_bytes_equal(bv_json_string(value), bv_bytes_of(type_names[i].name)))
            return type_names[i].bits;
    }
    return 0;
}

static int types(struct compiler *compiler,
                 struct node *node,
                 const struct keyword *keyword,
                 const struct bv_json *value)
{
    if (bv_json_type(value) == BV_JSON_STRING) {
        node->types = type_bits(value);
        return node->types ? 0 : bad(compiler, node, keyword->name, "is no type");
    }
    if (bv_json_type(value) != BV_JSON_ARRAY || bv_json_size(value) == 0)
        return bad(compiler, node, keyword->name, "needs a type or an array of types");
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        unsigned bits = type_bits(it.value);
        if (!bits)
            return bad(compiler, node, keyword->name, "has a member that is no type");
        node->types |= bits;
    }
    return 0;
}

static int any_value(struct compiler *compiler,
                     struct node *node,
                     const struct keyword *keyword,
                     const struct bv_json *value)
{
    (void)compiler;
    *(const struct bv_json **)member(node, keyword) = value;
    return 0;
}

static int array_value(struct compiler *compiler,
                       struct node *node,
                       const struct keyword *keyword,
                       const struct bv_json *value)
{
    if (bv_json_type(value) != BV_JSON_ARRAY)
        return bad(compiler, node, keyword->name, "needs an array");
    return any_value(compiler, node, keyword, value);
}

static bool all_strings(const struct bv_json *array)
{
    for (struct bv_json_iter it = bv_json_iter(array); bv_json_next(&it);) {
        if (bv_json_type(it.value) != BV_JSON_STRING)
            return false;
    }
    return bv_json_type(array) == BV_JSON_ARRAY;
}

static int names(struct compiler *compiler,
                 struct node *node,
                 const struct keyword *keyword,
                 const struct bv_json *value)
{
    if (!all_strings(value))
        return bad(compiler, node, keyword->name, "needs an array of names");
    return any_value(compiler, node, keyword, value);
}

static int names_map(struct compiler *compiler,
                     struct node *node,
                     const struct keyword *keyword,
                     const struct bv_json *value)
{
    if (bv_json_type(value) != BV_JSON_OBJECT)
        return bad(compiler, node, keyword->name, "needs an object of arrays of names");
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        if (!all_strings(it.value))
            return bad(compiler, node, keyword->name, "needs arrays of names");
    }
    return any_value(compiler, node, keyword, value);
}

static bool is_number(const struct bv_json *value)
{
    return bv_json_type(value) == BV_JSON_INT || bv_json_type(value) == BV_JSON_REAL;
}

static int bound(struct compiler *compiler,
                 struct node *node,
                 const struct keyword *keyword,
                 const struct bv_json *value)
{
    if (!is_number(value))
        return bad(compiler, node, keyword->name, "needs a number");
    if (keyword->bit == BOUND_MULTIPLE && bv_json_real(value, 0) <= 0)
        return bad(compiler, node, keyword->name, "needs a number above 0");
    node->bounds |= keyword->bit;
    return any_value(compiler, node, keyword, value);
}

static int count_limit(struct compiler *compiler,
                       struct node *node,
                       const struct keyword *keyword,
                       const struct bv_json *value)
{
    double real = bv_json_real(value, -1);
    if (!is_number(value) || real < 0 || real > 1e15 || real != (double)(int64_t)real)
        return bad(compiler, node, keyword->name, "needs a whole number of at least 0");
    *(int64_t *)member(node, keyword) = (int64_t)real;
    return 0;
}

static int flag(struct compiler *compiler,
                struct node *node,
                const struct keyword *keyword,
                const struct bv_json *value)
{
    if (bv_json_type(value) != BV_JSON_BOOL)
        return bad(compiler, node, keyword->name, "needs true or false");
    *(bool *)member(node, keyword) = bv_json_bool(value, false);
    return 0;
}

static int regular(struct compiler *compiler,
                   struct node *node,
                   const struct keyword *keyword,
                   const struct bv_json *value)
{
    if (bv_json_type(value) != BV_JSON_STRING)
        return bad(compiler, node, keyword->name, "needs a string");
    int rc = pattern_open(bv_json_string(value), &node->pattern, compiler->error);
    return rc == BV_E_NOMEM || rc == 0 ? rc : bad(compiler, node, keyword->name, "is no pattern");
}

static int dialect(struct compiler *compiler,
                   struct node *node,
                   const struct keyword *keyword,
                   const struct bv_json *value)
{
    static const char known[] = "https://json-schema.org/draft/2020-12/schema";
    struct bv_bytes name = bv_json_string(value);
    if (name.size > 0 && name.data[name.size - 1] == '#')
        name.size--;
    return bv_bytes_equal(name, bv_bytes_of(known))
               ? 0
               : bad(compiler, node, keyword->name, "is not draft 2020-12");
}

#define AT(member) offsetof(struct node, member)
#define KEYWORDS(X)                                                                                \
    X("$schema", dialect, 0, 0)                                                                    \
    X("$id", text, 0, 0)                                                                           \
    X("$anchor", text, 0, 0)                                                                       \
    X("$ref", text, AT(reference), 0)                                                              \
    X("$defs", subschema_map, 0, 0)                                                                \
    X("$comment", text, 0, 0)                                                                      \
    X("title", text, 0, 0)                                                                         \
    X("description", text, 0, 0)                                                                   \
    X("examples", annotation, 0, 0)                                                                \
    X("default", annotation, 0, 0)                                                                 \
    X("deprecated", annotation, 0, 0)                                                              \
    X("readOnly", annotation, 0, 0)                                                                \
    X("writeOnly", annotation, 0, 0)                                                               \
    X("type", types, AT(types), 0)                                                                 \
    X("enum", array_value, AT(enumeration), 0)                                                     \
    X("const", any_value, AT(constant), 0)                                                         \
    X("multipleOf", bound, AT(multiple), BOUND_MULTIPLE)                                           \
    X("minimum", bound, AT(minimum), BOUND_MINIMUM)                                                \
    X("maximum", bound, AT(maximum), BOUND_MAXIMUM)                                                \
    X("exclusiveMinimum", bound, AT(above), BOUND_ABOVE)                                           \
    X("exclusiveMaximum", bound, AT(below), BOUND_BELOW)                                           \
    X("minLength", count_limit, AT(length_min), 0)                                                 \
    X("maxLength", count_limit, AT(length_max), 0)                                                 \
    X("pattern", regular, AT(pattern), 0)                                                          \
    X("format", text, AT(format), 0)                                                               \
    X("prefixItems", subschema_list, AT(prefix_items), 0)                                          \
    X("items", subschema, AT(items), 0)                                                            \
    X("contains", subschema, AT(contains), 0)                                                      \
    X("minContains", count_limit, AT(contains_min), 0)                                             \
    X("maxContains", count_limit, AT(contains_max), 0)                                             \
    X("minItems", count_limit, AT(items_min), 0)                                                   \
    X("maxItems", count_limit, AT(items_max), 0)                                                   \
    X("uniqueItems", flag, AT(unique_items), 0)                                                    \
    X("properties", subschema_map, AT(properties), 0)                                              \
    X("patternProperties", pattern_map, AT(pattern_properties), 0)                                 \
    X("additionalProperties", subschema, AT(additional_properties), 0)                             \
    X("propertyNames", subschema, AT(property_names), 0)                                           \
    X("required", names, AT(required), 0)                                                          \
    X("dependentRequired", names_map, AT(dependent_required), 0)                                   \
    X("dependentSchemas", subschema_map, AT(dependent_schemas), 0)                                 \
    X("minProperties", count_limit, AT(properties_min), 0)                                         \
    X("maxProperties", count_limit, AT(properties_max), 0)                                         \
    X("allOf", subschema_list, AT(all_of), 0)                                                      \
    X("anyOf", subschema_list, AT(any_of), 0)                                                      \
    X("oneOf", subschema_list, AT(one_of), 0)                                                      \
    X("not", subschema, AT(not ), 0)                                                               \
    X("if", subschema, AT(condition), 0)                                                           \
    X("then", subschema, AT(then), 0)                                                              \
    X("else", subschema, AT(otherwise), 0)

#define KEYWORD_ROW(name, compile, offset, bit) {name, compile, offset, bit},
static const struct keyword keywords[] = {KEYWORDS(KEYWORD_ROW)};
#define KEYWORD_NAME(name, compile, offset, bit) name,
const char *const bv_schema_keywords[] = {KEYWORDS(KEYWORD_NAME)};
const size_t bv_schema_keyword_count = BV_COUNT(keywords);

static const struct keyword *keyword_find(struct bv_bytes name)
{
    for (size_t i = 0; i < BV_COUNT(keywords); i++) {
        if (bv_bytes_equal(name, bv_bytes_of(keywords[i].name)))
            return &keywords[i];
    }
    return NULL;
}

/* $id begins a resource of its own, $anchor names a place in it. */
static int identify(struct compiler *compiler, struct node *node)
{
    struct bv_bytes id = bv_json_string(bv_json_get(node->json, "$id"));
    struct bv_bytes anchor = bv_json_string(bv_json_get(node->json, "$anchor"));
    char uri[URI_MAX];
    struct bv_bytes fragment;
    if (id.data) {
        if (uri_resolve(node->base, id, uri, &fragment) < 0 || fragment.size > 0)
            return bad(compiler, node, "$id", "is too long or has a fragment");
        node->base = bv_arena_text(compiler->arena, bv_bytes_of(uri));
        if (!node->base)
            return BV_E_NOMEM;
        BV_TRY(schema_resource_add(compiler, node->base, node));
    }
    if (!anchor.data)
        return 0;
    const char *name = bv_arena_format(compiler->arena, "%s#%.*s", node->base, BV_ARG(anchor));
    return name ? schema_resource_add(compiler, name, node) : BV_E_NOMEM;
}

static int compile_object(struct compiler *compiler, struct node *node)
{
    BV_TRY(identify(compiler, node));
    for (struct bv_json_iter it = bv_json_iter(node->json); bv_json_next(&it);) {
        const struct keyword *keyword = keyword_find(it.key);
        char name[48];
        snprintf(
            name, sizeof name, "%.*s", (int)(it.key.size < 40 ? it.key.size : 40), it.key.data);
        if (!keyword)
            return bad(compiler, node, name, "unknown keyword");
        BV_TRY(keyword->compile(compiler, node, keyword, it.value));
    }
    return 0;
}

int schema_compile(struct compiler *compiler,
                   const struct bv_json *json,
                   const char *base,
                   const char *pointer,
                   struct node **ret_node)
{
    struct node *node = bv_arena_new(compiler->arena, struct node);
    if (!node || !pointer)
        return bv_fail(compiler->error, BV_E_NOMEM, "a schema needs more memory than its limit");
    *node = (struct node){
        .next = compiler->schemas->nodes,
        .json = json,
        .base = base,
        .pointer = pointer,
        .length_max = INT64_MAX,
        .items_max = INT64_MAX,
        .properties_max = INT64_MAX,
        .contains_min = 1,
        .contains_max = INT64_MAX,
    };
    compiler->schemas->nodes = node;
    *ret_node = node;
    if (bv_json_type(json) == BV_JSON_BOOL) {
        node->kind = bv_json_bool(json, true) ? NODE_TRUE : NODE_FALSE;
        return 0;
    }
    if (bv_json_type(json) != BV_JSON_OBJECT)
        return bv_fail(
            compiler->error, BV_E_INVALID, "%s: a schema is an object, true or false", pointer);
    return compile_object(compiler, node);
}
