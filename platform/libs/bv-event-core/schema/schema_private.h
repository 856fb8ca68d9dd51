/* Inside of the schema set.
 *
 *   add:  text ──parse──> JSON ──compile──> tree of nodes; every resource ($id, name) and anchor
 * gets a row link: every $ref: URI of the node's base, resource by URI, then pointer or anchor ──>
 * node check: walks nodes and value together; nothing is looked up by name any more */
#ifndef BV_SCHEMA_PRIVATE_H
#define BV_SCHEMA_PRIVATE_H

#include "bv/schema.h"

#include "pattern.h"

#define URI_MAX 512

struct node;
struct node_list {
    struct node *const *items;
    size_t count;
};
struct named_node {
    struct bv_bytes name;
    struct pattern *pattern; /* patternProperties; owned */
    struct node *node;
};
struct named_nodes {
    struct named_node *items;
    size_t count;
};
struct dependent {
    struct bv_bytes name;
    const struct bv_json *names; /* array of strings */
};
enum bound_bits {
    BOUND_MINIMUM = 1,
    BOUND_MAXIMUM = 2,
    BOUND_ABOVE = 4,
    BOUND_BELOW = 8,
    BOUND_MULTIPLE = 16
};
/* What a schema says; a limit that is not set is at its neutral value. */
struct node {
    struct node *next; /* of all nodes of the set */
    const struct bv_json *json;
    const char *base;    /* URI that relative references resolve against */
    const char *pointer; /* where it stands in its document, for messages */
    enum { NODE_SCHEMA, NODE_TRUE, NODE_FALSE } kind;
    unsigned types; /* bits of enum bv_json_type, TYPE_INTEGER; 0: any */
    unsigned bounds;
    const struct bv_json *enumeration, *constant;
    const struct bv_json *minimum, *maximum, *above, *below, *multiple;
    int64_t length_min, length_max;
    struct pattern *pattern; /* owned */
    struct bv_bytes format;
    struct node_list prefix_items;
    struct node *items, *contains;
    int64_t contains_min, contains_max;
    int64_t items_min, items_max;
    bool unique_items;
    struct named_nodes properties, pattern_properties, dependent_schemas;
    struct node *additional_properties, *property_names;
    const struct bv_json *required;
    const struct bv_json *dependent_required;
    int64_t properties_min, properties_max;
    struct bv_bytes reference;
    struct node *target; /* of reference, after link */
    struct node_list all_of, any_of, one_of;
    struct node * not, *condition, *then, *otherwise;
};
#define TYPE_BIT(type) (1u << (type))
#define TYPE_NUMBER (TYPE_BIT(BV_JSON_INT) | TYPE_BIT(BV_JSON_REAL))
#define TYPE_INTEGER (1u << 16)

/* A URI without fragment, or with a plain-name one (anchor), and what it names. */
struct resource {
    struct resource *next;
    const char *uri;
    struct node *node;
};
struct document {
    struct document *next;
    struct bv_arena *arena; /* owned: text, values, nodes, rows */
};
struct bv_schemas {
    struct document *documents;
    struct resource *resources;
    struct node *nodes;
    enum bv_schema_format format;
    bool linked;
};

/* RFC 3986, section 5.2: resolves reference against base; the fragment goes to *ret_fragment
 * (without '#'), the rest to out. BV_E_INVALID when it does not fit URI_MAX. */
BV_MUST_CHECK int uri_resolve(const char *base,
                              struct bv_bytes reference,
                              char out[URI_MAX],
                              struct bv_bytes *ret_fragment);
/* Percent-decodes in place of a copy in arena. */
struct bv_bytes uri_decode(struct bv_arena *arena, struct bv_bytes text);

struct compiler {
    struct bv_schemas *schemas;
    struct bv_arena *arena;
    struct bv_error *error;
};
BV_MUST_CHECK int schema_compile(struct compiler *compiler,
                                 const struct bv_json *json,
                                 const char *base,
                                 const char *pointer,
                                 struct node **ret_node);
BV_MUST_CHECK int
schema_resource_add(struct compiler *compiler, const char *uri, struct node *node);
struct node *schema_resource_find(const struct bv_schemas *schemas, const char *uri);
/* 0 or BV_SCHEMA_MISMATCH. */
int schema_check_node(const struct bv_schemas *schemas,
                      const struct node *node,
                      const struct bv_json *value,
                      struct bv_error *error);
BV_MUST_CHECK int schema_unique(const struct bv_json *array, bool *ret_unique); /* BV_E_NOMEM */
bool schema_equal(const struct bv_json *a, const struct bv_json *b);

#endif
