/* What the parser and the evaluation of JSON paths share. */
#ifndef BV_JSON_PATH_PRIVATE_H
#define BV_JSON_PATH_PRIVATE_H

#include "i_regexp.h"
#include "json_path.h"

enum selector_kind { SELECT_NAME, SELECT_WILDCARD, SELECT_INDEX, SELECT_SLICE, SELECT_FILTER };
struct selector {
    struct selector *next;
    enum selector_kind kind;
    struct bv_bytes name;
    int64_t index; /* also a slice's start */
    int64_t end;
    int64_t step;
    bool has_start;
    bool has_end;
    struct expression *filter;
};
struct segment {
    struct segment *next;
    bool descendant;
    struct selector *selectors; /* at least one */
};
struct json_path {
    bool relative; /* begins with @ */
    bool singular;
    struct segment *segments;
};

/* X(name, text, type of its result, parameters) */
#define JSON_FUNCTION_LIST(X)                                                                      \
    X(FUNCTION_LENGTH, "length", TYPE_VALUE, TYPE_VALUE, TYPE_NONE)                                \
    X(FUNCTION_COUNT, "count", TYPE_VALUE, TYPE_NODES, TYPE_NONE)                                  \
    X(FUNCTION_MATCH, "match", TYPE_LOGICAL, TYPE_VALUE, TYPE_VALUE)                               \
    X(FUNCTION_SEARCH, "search", TYPE_LOGICAL, TYPE_VALUE, TYPE_VALUE)                             \
    X(FUNCTION_VALUE, "value", TYPE_VALUE, TYPE_NODES, TYPE_NONE)
enum value_type { TYPE_NONE, TYPE_VALUE, TYPE_NODES, TYPE_LOGICAL };
enum function_name {
#define BV_X_(name, text, result, first, second) name,
    JSON_FUNCTION_LIST(BV_X_)
#undef BV_X_
};

enum operand_kind { OPERAND_LITERAL, OPERAND_QUERY, OPERAND_FUNCTION };
struct operand {
    enum operand_kind kind;
    const struct bv_json *literal;
    const struct json_path *query;
    enum function_name function;
    enum value_type type; /* of the function's result */
    struct operand *arguments[2];
    const struct i_regexp *regexp; /* of a literal second argument */
};

enum comparison { COMPARE_EQ, COMPARE_NE, COMPARE_LE, COMPARE_GE, COMPARE_LT, COMPARE_GT };
enum expression_kind { EXPRESSION_OR, EXPRESSION_AND, EXPRESSION_COMPARE, EXPRESSION_TEST };
struct expression {
    enum expression_kind kind;
    bool negated;
    struct expression *left; /* OR, AND */
    struct expression *right;
    enum comparison comparison;
    struct operand *a; /* COMPARE, TEST */
    struct operand *b;
};

#endif
