/* Evaluation, segment by segment: the node list of one is the input of the next (RFC 9535, 2.1.2).
 */
#include "json_path_private.h"

#include <stdlib.h>

struct evaluation {
    struct bv_arena *arena;
    const struct bv_json *root;
    size_t visits;
    struct bv_error *error;
};
struct list {
    const struct bv_json **values;
    size_t count;
    size_t capacity;
};

static int visit(struct evaluation *e)
{
    if (++e->visits <= JSON_PATH_VISITS_MAX)
        return 0;
    return bv_fail(
        e->error, BV_E_LIMIT, "the path looks at more than %d values", JSON_PATH_VISITS_MAX);
}

static int add(struct evaluation *e, struct list *list, const struct bv_json *value)
{
    BV_TRY(visit(e));
    if (list->count == JSON_PATH_NODES_MAX)
        return bv_fail(
            e->error, BV_E_LIMIT, "the path names more than %d values", JSON_PATH_NODES_MAX);
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 8;
        const struct bv_json **grown = bv_arena_resize(
            e->arena, list->values, list->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown)
            return BV_E_NOMEM;
        list->values = grown;
        list->capacity = capacity;
    }
    list->values[list->count++] = value;
    return 0;
}

/* ---- values ---- */

static bool is_number(const struct bv_json *value)
{
    return bv_json_type(value) == BV_JSON_INT || bv_json_type(value) == BV_JSON_REAL;
}

/* -1, 0, 1; both are numbers. */
static int number_order(const struct bv_json *a, const struct bv_json *b)
{
    if (bv_json_type(a) == BV_JSON_INT && bv_json_type(b) == BV_JSON_INT) {
        const int64_t x = bv_json_int(a, 0), y = bv_json_int(b, 0);
        return (x > y) - (x < y);
    }
    const double x = bv_json_real(a, 0), y = bv_json_real(b, 0);
    return (x > y) - (x < y);
}

static bool containers_equal(const struct bv_json *a, const struct bv_json *b)
{
    if (bv_json_size(a) != bv_json_size(b))
        return false;
    struct bv_json_iter other = bv_json_iter(b);
    for (struct bv_json_iter it = bv_json_iter(a); bv_json_next(&it);) {
        const struct bv_json *value = NULL;
        if (bv_json_type(a) == BV_JSON_OBJECT)
            value = bv_json_get_bytes(b, it.key);
        else if (bv_json_next(&other))
            value = other.value;
        if (!value || !json_equal(it.value, value))
            return false;
    }
    return true;
}

bool json_equal(const struct bv_json *a, const struct bv_json *b)
{
    if (is_number(a) && is_number(b))
        return number_order(a, b) == 0;
    if (bv_json_type(a) != bv_json_type(b))
        return false;
    switch (bv_json_type(a)) {
    case BV_JSON_BOOL:
        return bv_json_bool(a, false) == bv_json_bool(b, false);
    case BV_JSON_STRING:
        return bv_bytes_equal(bv_json_string(a), bv_json_string(b));
    case BV_JSON_ARRAY:
    case BV_JSON_OBJECT:
        return containers_equal(a, b);
    default:
        return true;
    }
}

/* By Unicode scalar values, which UTF-8 keeps in order. */
static bool text_below(struct bv_bytes a, struct bv_bytes b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size ? memcmp(a.data, b.data, size) : 0;
    return order < 0 || (order == 0 && a.size < b.size);
}

static bool value_below(const struct bv_json *a, const struct bv_json *b)
{
    if (is_number(a) && is_number(b))
        return number_order(a, b) < 0;
    return bv_json_type(a) == BV_JSON_STRING && bv_json_type(b) == BV_JSON_STRING &&
           text_below(bv_json_string(a), bv_json_string(b));
}

/* NULL stands for Nothing, which equals itself only. */
static bool compares(const struct bv_json *a, enum comparison comparison, const struct bv_json *b)
{
    const bool equal = a && b ? json_equal(a, b) : a == b;
    const bool both = a && b;
    switch (comparison) {
    case COMPARE_EQ:
        return equal;
    case COMPARE_NE:
        return !equal;
    case COMPARE_LT:
        return both && value_below(a, b);
    case COMPARE_GT:
        return both && value_below(b, a);
    case COMPARE_LE:
        return equal || (both && value_below(a, b));
    case COMPARE_GE:
        return equal || (both && value_below(b, a));
    }
    return false;
}

/* ---- functions ---- */

static int select_nodes(struct evaluation *e,
                        const struct json_path *path,
                        const struct bv_json *current,
                        struct list *ret_list);

static int number_value(struct evaluation *e, size_t number, const struct bv_json **ret_value)
{
    char text[24];
    struct bv_buf buf = {.max = sizeof text};
    bv_buf_int64(&buf, (int64_t)number);
    const int rc = bv_json_parse(e->arena, bv_buf_view(&buf), ret_value, NULL);
    bv_buf_release(&buf);
    return rc;
}

static int operand_value(struct evaluation *e,
                         const struct operand *operand,
                         const struct bv_json *current,
                         const struct bv_json **ret_value);

/* Outcome 1: Nothing. Strings count Unicode scalar values. */
static int length_of(const struct bv_json *value, size_t *ret_length)
{
    const enum bv_json_type type = bv_json_type(value);
    if (!value || (type != BV_JSON_STRING && type != BV_JSON_ARRAY && type != BV_JSON_OBJECT))
        return 1;
    *ret_length = bv_json_size(value);
    if (type != BV_JSON_STRING)
        return 0;
    const struct bv_bytes text = bv_json_string(value);
    *ret_length = 0;
    for (size_t i = 0; i < text.size; i++)
        *ret_length += (text.data[i] & 0xc0) != 0x80;
    return 0;
}

static int call_value(struct evaluation *e,
                      const struct operand *call,
                      const struct bv_json *current,
                      const struct bv_json **ret_value)
{
    const struct operand *argument = call->arguments[0];
    const struct bv_json *value = NULL;
    struct list nodes = {0};
    size_t length = 0;
    *ret_value = NULL;
    if (call->function == FUNCTION_LENGTH) {
        BV_TRY(operand_value(e, argument, current, &value));
        return length_of(value, &length) == 0 ? number_value(e, length, ret_value) : 0;
    }
    BV_TRY(select_nodes(e, argument->query, current, &nodes));
    if (call->function == FUNCTION_COUNT)
        return number_value(e, nodes.count, ret_value);
    *ret_value = nodes.count == 1 ? nodes.values[0] : NULL;
    return 0;
}

/* What an operand of type ValueType stands for; NULL: Nothing. */
static int operand_value(struct evaluation *e,
                         const struct operand *operand,
                         const struct bv_json *current,
                         const struct bv_json **ret_value)
{
    struct list nodes = {0};
    BV_TRY(visit(e));
    switch (operand->kind) {
    case OPERAND_LITERAL:
        *ret_value = operand->literal;
        return 0;
    case OPERAND_FUNCTION:
        return call_value(e, operand, current, ret_value);
    case OPERAND_QUERY:
        BV_TRY(select_nodes(e, operand->query, current, &nodes));
        *ret_value = nodes.count == 1 ? nodes.values[0] : NULL;
        return 0;
    }
    return 0;
}

static int call_logical(struct evaluation *e,
                        const struct operand *call,
                        const struct bv_json *current,
                        bool *ret_holds)
{
    const struct bv_json *text = NULL, *pattern = NULL;
    const struct i_regexp *regexp = call->regexp;
    *ret_holds = false;
    BV_TRY(operand_value(e, call->arguments[0], current, &text));
    BV_TRY(operand_value(e, call->arguments[1], current, &pattern));
    if (bv_json_type(text) != BV_JSON_STRING || bv_json_type(pattern) != BV_JSON_STRING)
        return 0;
    if (!regexp) { /* from the document: one that is none matches nothing */
        const int rc = i_regexp_parse(e->arena, bv_json_string(pattern), &regexp, NULL);
        if (rc == BV_E_INVALID)
            return 0;
        BV_TRY(rc);
    }
    *ret_holds =
        i_regexp_matches(regexp,
                         e->arena,
                         bv_json_string(text),
                         call->function == FUNCTION_MATCH ? I_REGEXP_WHOLE : I_REGEXP_ANYWHERE);
    return bv_arena_failed(e->arena) ? BV_E_NOMEM : 0;
}

/* ---- filters ---- */

static int test_operand(struct evaluation *e,
                        const struct operand *operand,
                        const struct bv_json *current,
                        bool *ret_holds)
{
    struct list nodes = {0};
    if (operand->kind == OPERAND_FUNCTION)
        return call_logical(e, operand, current, ret_holds);
    BV_TRY(select_nodes(e, operand->query, current, &nodes));
    *ret_holds = nodes.count > 0;
    return 0;
}

static int holds(struct evaluation *e,
                 const struct expression *expression,
                 const struct bv_json *current,
                 bool *ret_holds)
{
    const struct bv_json *a = NULL, *b = NULL;
    BV_TRY(visit(e));
    switch (expression->kind) {
    case EXPRESSION_OR:
    case EXPRESSION_AND:
        BV_TRY(holds(e, expression->left, current, ret_holds));
        if (*ret_holds == (expression->kind == EXPRESSION_AND))
            BV_TRY(holds(e, expression->right, current, ret_holds));
        break;
    case EXPRESSION_COMPARE:
        BV_TRY(operand_value(e, expression->a, current, &a));
        BV_TRY(operand_value(e, expression->b, current, &b));
        *ret_holds = compares(a, expression->comparison, b);
        break;
    case EXPRESSION_TEST:
        BV_TRY(test_operand(e, expression->a, current, ret_holds));
        break;
    }
    *ret_holds ^= expression->negated;
    return 0;
}

/* ---- selectors ---- */

/* RFC 9535, 2.3.4.2.2. */
static int select_slice(struct evaluation *e,
                        const struct selector *selector,
                        const struct bv_json *value,
                        struct list *list)
{
    const int64_t size = (int64_t)bv_json_size(value), step = selector->step;
    const int64_t first = step > 0 ? 0 : -1, last = step > 0 ? size : size - 1;
    int64_t start = selector->has_start ? selector->index : step > 0 ? 0 : size - 1;
    int64_t end = selector->has_end ? selector->end : step > 0 ? size : -size - 1;
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    start = start < first ? first : start > last ? last : start;
    end = end < first ? first : end > last ? last : end;
    if (step == 0)
        return 0;
    struct list all = {0};
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);)
        BV_TRY(add(e, &all, it.value));
    for (int64_t i = start; step > 0 ? i < end : i > end; i += step)
        BV_TRY(add(e, list, all.values[i]));
    return 0;
}

static int select_children(struct evaluation *e,
                           const struct selector *selector,
                           const struct bv_json *value,
                           struct list *list)
{
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        bool chosen = true;
        BV_TRY(visit(e));
        if (selector->kind == SELECT_FILTER)
            BV_TRY(holds(e, selector->filter, it.value, &chosen));
        if (chosen)
            BV_TRY(add(e, list, it.value));
    }
    return 0;
}

static int apply(struct evaluation *e,
                 const struct selector *selector,
                 const struct bv_json *value,
                 struct list *list)
{
    const bool array = bv_json_type(value) == BV_JSON_ARRAY;
    const bool object = bv_json_type(value) == BV_JSON_OBJECT;
    const struct bv_json *found = NULL;
    switch (selector->kind) {
    case SELECT_NAME:
        found = object ? bv_json_get_bytes(value, selector->name) : NULL;
        return found ? add(e, list, found) : 0;
    case SELECT_INDEX: {
        const int64_t size = array ? (int64_t)bv_json_size(value) : 0;
        const int64_t place = selector->index < 0 ? size + selector->index : selector->index;
        found = place >= 0 && place < size ? bv_json_at(value, (size_t)place) : NULL;
        return found ? add(e, list, found) : 0;
    }
    case SELECT_SLICE:
        return array ? select_slice(e, selector, value, list) : 0;
    case SELECT_WILDCARD:
    case SELECT_FILTER:
        return array || object ? select_children(e, selector, value, list) : 0;
    }
    return 0;
}

/* value, then what is below it, each before its own children. Depth: BV_JSON_DEPTH_MAX. */
static int apply_segment(struct evaluation *e,
                         const struct segment *segment,
                         const struct bv_json *value,
                         struct list *list)
{
    BV_TRY(visit(e));
    for (const struct selector *s = segment->selectors; s; s = s->next)
        BV_TRY(apply(e, s, value, list));
    if (!segment->descendant)
        return 0;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);)
        BV_TRY(apply_segment(e, segment, it.value, list));
    return 0;
}

static int select_nodes(struct evaluation *e,
                        const struct json_path *path,
                        const struct bv_json *current,
                        struct list *ret_list)
{
    struct list now = {0};
    BV_TRY(add(e, &now, path->relative ? current : e->root));
    for (const struct segment *segment = path->segments; segment; segment = segment->next) {
        struct list next = {0};
        for (size_t i = 0; i < now.count; i++)
            BV_TRY(apply_segment(e, segment, now.values[i], &next));
        now = next;
    }
    *ret_list = now;
    return 0;
}

int json_path_select(struct bv_arena *arena,
                     const struct json_path *path,
                     const struct bv_json *root,
                     struct json_nodes *ret_nodes,
                     struct bv_error *error)
{
    struct evaluation evaluation = {.arena = arena, .root = root, .error = error};
    struct list list = {0};
    if (root)
        BV_TRY(select_nodes(&evaluation, path, root, &list));
    *ret_nodes = (struct json_nodes){list.values, list.count};
    return 0;
}
