/* Walking schema and value together. The path to the value under test is a list on the stack,
 * written out for the first mismatch only. Branches that may fail (anyOf, oneOf, not, if, contains)
 * run without an error. */
#include "schema_private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/uuid.h"

struct step {
    const struct step *up;
    struct bv_bytes name; /* data NULL: index */
    size_t index;
};
struct check {
    const struct bv_schemas *schemas;
    struct bv_error *error;
    const struct step *at;
    int depth;
    bool fault;    /* out of memory */
    bool too_deep; /* decided: no branch may turn it around */
};

static int apply(struct check *check, const struct node *node, const struct bv_json *value);

/* ---- reporting ---- */

static void put_path(struct bv_buf *out, const struct step *at)
{
    if (!at)
        return;
    put_path(out, at->up);
    bv_buf_char(out, '/');
    if (!at->name.data)
        bv_buf_int64(out, (int64_t)at->index);
    for (size_t i = 0; i < at->name.size; i++) {
        char c = at->name.data[i];
        if (c == '~' || c == '/')
            bv_buf_text(out, c == '~' ? "~0" : "~1");
        else
            bv_buf_char(out, c);
    }
}

static int mismatch(struct check *check, const char *format, ...) BV_PRINTF(2, 3);

static int mismatch(struct check *check, const char *format, ...)
{
    if (!check->error || check->error->code)
        return BV_SCHEMA_MISMATCH;
    char reason[100];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    struct bv_buf path = {.max = 4096};
    put_path(&path, check->at);
    (void)bv_fail(check->error,
                  BV_E_UNPROCESSABLE,
                  "%.*s: %s",
                  (int)(path.size < 60 ? path.size : 60),
                  path.size ? path.data : "",
                  reason);
    size_t size =
        path.size < sizeof check->error->pointer ? path.size : sizeof check->error->pointer - 1;
    if (size)
        memcpy(check->error->pointer, path.data, size);
    check->error->pointer[size] = '\0';
    bv_buf_release(&path);
    return BV_SCHEMA_MISMATCH;
}

/* One branch whose mismatch is no mismatch of the whole. */
static bool holds(struct check *check, const struct node *node, const struct bv_json *value)
{
    struct bv_error *error = check->error;
    check->error = NULL;
    int rc = apply(check, node, value);
    check->error = error;
    return rc == 0;
}

static int apply_at(struct check *check,
                    const struct node *node,
                    const struct bv_json *value,
                    struct step step)
{
    step.up = check->at;
    check->at = &step;
    int rc = apply(check, node, value);
    check->at = step.up;
    return rc;
}

/* ---- equality ---- */

static bool is_number(const struct bv_json *value)
{
    return bv_json_type(value) == BV_JSON_INT || bv_json_type(value) == BV_JSON_REAL;
}

/* -1, 0 or 1. Two 64-bit integers compare exactly, everything else as doubles. */
static int number_compare(const struct bv_json *a, const struct bv_json *b)
{
    if (bv_json_type(a) == BV_JSON_INT && bv_json_type(b) == BV_JSON_INT) {
        int64_t x = bv_json_int(a, 0), y = bv_json_int(b, 0);
        return (x > y) - (x < y);
    }
    double x = bv_json_real(a, 0), y = bv_json_real(b, 0);
    return (x > y) - (x < y);
}

static bool arrays_equal(const struct bv_json *a, const struct bv_json *b)
{
    struct bv_json_iter x = bv_json_iter(a), y = bv_json_iter(b);
    while (bv_json_next(&x) && bv_json_next(&y)) {
        if (!schema_equal(x.value, y.value))
            return false;
    }
    return true;
}

static bool objects_equal(const struct bv_json *a, const struct bv_json *b)
{
    for (struct bv_json_iter it = bv_json_iter(a); bv_json_next(&it);) {
        const struct bv_json *other = bv_json_get_bytes(b, it.key);
        if (!other || !schema_equal(it.value, other))
            return false;
    }
    return true;
}

bool schema_equal(const struct bv_json *a, const struct bv_json *b)
{
    if (is_number(a) && is_number(b))
        return number_compare(a, b) == 0;
    if (bv_json_type(a) != bv_json_type(b) || bv_json_size(a) != bv_json_size(b))
        return false;
    switch (bv_json_type(a)) {
    case BV_JSON_BOOL:
        return bv_json_bool(a, false) == bv_json_bool(b, false);
    case BV_JSON_STRING:
        return bv_bytes_equal(bv_json_string(a), bv_json_string(b));
    case BV_JSON_ARRAY:
        return arrays_equal(a, b);
    case BV_JSON_OBJECT:
        return objects_equal(a, b);
    default:
        return true;
    }
}

static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

static uint64_t hash_bytes(struct bv_bytes bytes)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * UINT64_C(1099511628211);
    return hash;
}

/* Equal values have equal hashes: numbers by their double, objects by a sum over their members. */
static uint64_t hash_value(const struct bv_json *value)
{
    if (is_number(value)) {
        double real = bv_json_real(value, 0) + 0.0; /* -0.0 becomes 0.0 */
        uint64_t bits;
        memcpy(&bits, &real, sizeof bits);
        return mix(bits ^ 1);
    }
    uint64_t hash = mix((uint64_t)bv_json_type(value) + 2 + (uint64_t)bv_json_bool(value, false));
    if (bv_json_type(value) == BV_JSON_STRING)
        return mix(hash ^ hash_bytes(bv_json_string(value)));
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        if (bv_json_type(value) == BV_JSON_ARRAY)
            hash = mix(hash ^ hash_value(it.value));
        else
            hash += mix(hash_bytes(it.key) ^ mix(hash_value(it.value)));
    }
    return hash;
}

struct hashed {
    uint64_t hash;
    const struct bv_json *value;
};

static int hashed_compare(const void *a, const void *b)
{
    uint64_t x = ((const struct hashed *)a)->hash, y = ((const struct hashed *)b)->hash;
    return (x > y) - (x < y);
}

int schema_unique(const struct bv_json *array, bool *ret_unique)
{
    size_t count = bv_json_size(array), i = 0;
    *ret_unique = true;
    if (count < 2)
        return 0;
    struct hashed *items = malloc(count * sizeof *items);
    if (!items)
        return BV_E_NOMEM;
    for (struct bv_json_iter it = bv_json_iter(array); bv_json_next(&it); i++)
        items[i] = (struct hashed){hash_value(it.value), it.value};
    qsort(items, count, sizeof *items, hashed_compare);
    for (i = 1; i < count && *ret_unique; i++) {
        for (size_t j = i; j > 0 && items[j - 1].hash == items[i].hash && *ret_unique; j--)
            *ret_unique = !schema_equal(items[j - 1].value, items[i].value);
    }
    free(items);
    return 0;
}

/* ---- keywords by type of value ---- */

static bool whole(const struct bv_json *value)
{
    double real = bv_json_real(value, 0.5);
    return bv_json_type(value) == BV_JSON_INT ||
           (bv_json_type(value) == BV_JSON_REAL && real == floor(real) && isfinite(real));
}

static bool type_allowed(unsigned types, const struct bv_json *value)
{
    return types == 0 || types & TYPE_BIT(bv_json_type(value)) ||
           (types & TYPE_INTEGER && whole(value));
}

static int check_any(struct check *check, const struct node *node, const struct bv_json *value)
{
    if (!type_allowed(node->types, value))
        return mismatch(check, "has the wrong type");
    if (node->constant && !schema_equal(node->constant, value))
        return mismatch(check, "is not the constant");
    if (!node->enumeration)
        return 0;
    for (struct bv_json_iter it = bv_json_iter(node->enumeration); bv_json_next(&it);) {
        if (schema_equal(it.value, value))
            return 0;
    }
    return mismatch(check, "is none of the listed values");
}

/* Quotients beyond 2^53 are whole as far as doubles can tell; others may miss a whole number by
 * their rounding. */
static bool is_multiple(const struct bv_json *value, const struct bv_json *of)
{
    if (bv_json_type(value) == BV_JSON_INT && bv_json_type(of) == BV_JSON_INT)
        return bv_json_int(value, 0) % bv_json_int(of, 1) == 0;
    double quotient = bv_json_real(value, 0) / bv_json_real(of, 1);
    return isfinite(quotient) && fabs(quotient - nearbyint(quotient)) <= fabs(quotient) * 4e-16;
}

static int check_number(struct check *check, const struct node *node, const struct bv_json *value)
{
    if (node->bounds & BOUND_MINIMUM && number_compare(value, node->minimum) < 0)
        return mismatch(check, "is less than %g", bv_json_real(node->minimum, 0));
    if (node->bounds & BOUND_MAXIMUM && number_compare(value, node->maximum) > 0)
        return mismatch(check, "is more than %g", bv_json_real(node->maximum, 0));
    if (node->bounds & BOUND_ABOVE && number_compare(value, node->above) <= 0)
        return mismatch(check, "is not above %g", bv_json_real(node->above, 0));
    if (node->bounds & BOUND_BELOW && number_compare(value, node->below) >= 0)
        return mismatch(check, "is not below %g", bv_json_real(node->below, 0));
    if (node->bounds & BOUND_MULTIPLE && !is_multiple(value, node->multiple))
        return mismatch(check, "is no multiple of %g", bv_json_real(node->multiple, 0));
    return 0;
}

static int64_t characters(struct bv_bytes text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static bool uri_shape(struct bv_bytes text)
{
    size_t i = 0;
    while (i < text.size && (strchr("+-.", text.data[i]) || (text.data[i] | 32) >= 'a' ||
                             (text.data[i] >= '0' && text.data[i] <= '9'))) {
        if (text.data[i] == '\0' ||
            (i == 0 && !((text.data[i] | 32) >= 'a' && (text.data[i] | 32) <= 'z')))
            return false;
        i++;
    }
    if (i == 0 || i >= text.size || text.data[i] != ':')
        return false;
    for (; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c > '~' || strchr("<>\"{}|\\^`", c))
            return false;
    }
    return true;
}

static bool date_time_shape(struct bv_bytes text)
{
    int64_t unused;
    return bv_time_parse(text, &unused) == 0;
}

static bool uuid_shape(struct bv_bytes text)
{
    struct bv_uuid unused;
    return bv_uuid_parse(text, &unused) == 0;
}

static const struct {
    const char *name;
    bool (*holds)(struct bv_bytes text);
} formats[] = {
    {"date-time", date_time_shape},
    {"uuid",      uuid_shape     },
    {"uri",       uri_shape      },
};

static int check_string(struct check *check, const struct node *node, const struct bv_json *value)
{
    struct bv_bytes text = bv_json_string(value);
    if (node->length_min > 0 || node->length_max < INT64_MAX) {
        int64_t length = characters(text);
        if (length < node->length_min)
            return mismatch(check, "is shorter than %lld", (long long)node->length_min);
        if (length > node->length_max)
            return mismatch(check, "is longer than %lld", (long long)node->length_max);
    }
    if (node->pattern && !pattern_matches(node->pattern, text))
        return mismatch(check, "does not match the pattern");
    for (size_t i = 0;
         node->format.data && check->schemas->format == BV_FORMAT_ASSERT && i < BV_COUNT(formats);
         i++) {
        if (bv_bytes_equal(node->format, bv_bytes_of(formats[i].name)) && !formats[i].holds(text))
            return mismatch(check, "is no %s", formats[i].name);
    }
    return 0;
}

static int check_items(struct check *check, const struct node *node, const struct bv_json *value)
{
    size_t i = 0;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it); i++) {
        const struct node *of_item =
            i < node->prefix_items.count ? node->prefix_items.items[i] : node->items;
        if (of_item && apply_at(check, of_item, it.value, (struct step){.index = i}) != 0)
            return BV_SCHEMA_MISMATCH;
    }
    return 0;
}

static int check_contains(struct check *check, const struct node *node, const struct bv_json *value)
{
    int64_t found = 0;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);)
        found += holds(check, node->contains, it.value);
    if (found < node->contains_min)
        return mismatch(check, "contains too few matching items");
    return found > node->contains_max ? mismatch(check, "contains too many matching items") : 0;
}

static int check_array(struct check *check, const struct node *node, const struct bv_json *value)
{
    int64_t size = (int64_t)bv_json_size(value);
    if (size < node->items_min)
        return mismatch(check, "has fewer than %lld items", (long long)node->items_min);
    if (size > node->items_max)
        return mismatch(check, "has more than %lld items", (long long)node->items_max);
    if (node->unique_items) {
        bool unique = true;
        check->fault = schema_unique(value, &unique) < 0 || check->fault;
        if (!unique)
            return mismatch(check, "has equal items");
    }
    if (node->contains && check_contains(check, node, value) != 0)
        return BV_SCHEMA_MISMATCH;
    return check_items(check, node, value);
}

static const struct node *named(const struct named_nodes *nodes, struct bv_bytes name)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (bv_bytes_equal(nodes->items[i].name, name))
            return nodes->items[i].node;
    }
    return NULL;
}

static int check_member(struct check *check,
                        const struct node *node,
                        struct bv_bytes name,
                        const struct bv_json *value)
{
    const struct step step = {.name = name};
    const struct node *own = named(&node->properties, name);
    bool covered = own != NULL;
    if (own && apply_at(check, own, value, step) != 0)
        return BV_SCHEMA_MISMATCH;
    for (size_t i = 0; i < node->pattern_properties.count; i++) {
        const struct named_node *row = &node->pattern_properties.items[i];
        if (!pattern_matches(row->pattern, name))
            continue;
        covered = true;
        if (apply_at(check, row->node, value, step) != 0)
            return BV_SCHEMA_MISMATCH;
    }
    if (covered || !node->additional_properties)
        return 0;
    if (node->additional_properties->kind == NODE_FALSE)
        return mismatch(check, "member \"%.60s\" is not allowed", name.data);
    return apply_at(check, node->additional_properties, value, step);
}

static int
check_required(struct check *check, const struct bv_json *names, const struct bv_json *value)
{
    for (struct bv_json_iter it = bv_json_iter(names); bv_json_next(&it);) {
        struct bv_bytes name = bv_json_string(it.value);
        if (!bv_json_get_bytes(value, name))
            return mismatch(check, "member \"%.60s\" is missing", name.data);
    }
    return 0;
}

/* A name as a value of its own, for propertyNames. */
static int check_name(struct check *check, const struct node *node, struct bv_bytes name)
{
    struct bv_arena *arena = NULL;
    struct bv_buf text = {.max = name.size * 6 + 16};
    struct bv_json_writer w = bv_json_writer(&text);
    const struct bv_json *value = NULL;
    bv_jw_string(&w, name);
    int rc = 0;
    if (text.failed || bv_arena_open(text.size * 4 + 65536, &arena) < 0 ||
        bv_json_parse(arena, bv_buf_view(&text), &value, NULL) < 0)
        check->fault = true;
    else if (!holds(check, node, value))
        rc = mismatch(check, "member \"%.60s\" has a name that is not allowed", name.data);
    bv_arena_close(&arena);
    bv_buf_release(&text);
    return rc;
}

static int
check_dependents(struct check *check, const struct node *node, const struct bv_json *value)
{
    for (struct bv_json_iter it = bv_json_iter(node->dependent_required);
         node->dependent_required && bv_json_next(&it);) {
        if (bv_json_get_bytes(value, it.key) && check_required(check, it.value, value) != 0)
            return BV_SCHEMA_MISMATCH;
    }
    for (size_t i = 0; i < node->dependent_schemas.count; i++) {
        const struct named_node *row = &node->dependent_schemas.items[i];
        if (bv_json_get_bytes(value, row->name) && apply(check, row->node, value) != 0)
            return BV_SCHEMA_MISMATCH;
    }
    return 0;
}

static int check_object(struct check *check, const struct node *node, const struct bv_json *value)
{
    int64_t size = (int64_t)bv_json_size(value);
    if (size < node->properties_min)
        return mismatch(check, "has fewer than %lld members", (long long)node->properties_min);
    if (size > node->properties_max)
        return mismatch(check, "has more than %lld members", (long long)node->properties_max);
    if (node->required && check_required(check, node->required, value) != 0)
        return BV_SCHEMA_MISMATCH;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        if (node->property_names && check_name(check, node->property_names, it.key) != 0)
            return BV_SCHEMA_MISMATCH;
        if (check_member(check, node, it.key, it.value) != 0)
            return BV_SCHEMA_MISMATCH;
    }
    return check_dependents(check, node, value);
}

/* ---- combinations ---- */

static int
check_combinations(struct check *check, const struct node *node, const struct bv_json *value)
{
    for (size_t i = 0; i < node->all_of.count; i++) {
        if (apply(check, node->all_of.items[i], value) != 0)
            return BV_SCHEMA_MISMATCH;
    }
    bool any = node->any_of.count == 0;
    for (size_t i = 0; i < node->any_of.count && !any; i++)
        any = holds(check, node->any_of.items[i], value);
    if (!any)
        return mismatch(check, "matches no alternative of anyOf");
    size_t of_one = 0;
    for (size_t i = 0; i < node->one_of.count; i++)
        of_one += holds(check, node->one_of.items[i], value);
    if (node->one_of.count && of_one != 1)
        return mismatch(check, "matches %zu alternatives of oneOf", of_one);
    if (node->not &&holds(check, node->not, value))
        return mismatch(check, "matches what it must not");
    if (!node->condition)
        return 0;
    const struct node *branch = holds(check, node->condition, value) ? node->then : node->otherwise;
    return branch ? apply(check, branch, value) : 0;
}

static int check_by_type(struct check *check, const struct node *node, const struct bv_json *value)
{
    switch (bv_json_type(value)) {
    case BV_JSON_INT:
    case BV_JSON_REAL:
        return check_number(check, node, value);
    case BV_JSON_STRING:
        return check_string(check, node, value);
    case BV_JSON_ARRAY:
        return check_array(check, node, value);
    case BV_JSON_OBJECT:
        return check_object(check, node, value);
    default:
        return 0;
    }
}

static int apply(struct check *check, const struct node *node, const struct bv_json *value)
{
    if (node->kind == NODE_TRUE)
        return 0;
    if (node->kind == NODE_FALSE)
        return mismatch(check, "nothing is allowed here");
    check->too_deep = check->too_deep || check->depth == BV_SCHEMA_DEPTH_MAX;
    if (check->too_deep)
        return BV_SCHEMA_MISMATCH;
    check->depth++;
    int rc = check_any(check, node, value);
    if (rc == 0 && node->target)
        rc = apply(check, node->target, value);
    if (rc == 0)
        rc = check_by_type(check, node, value);
    if (rc == 0)
        rc = check_combinations(check, node, value);
    check->depth--;
    return rc;
}

int schema_check_node(const struct bv_schemas *schemas,
                      const struct node *node,
                      const struct bv_json *value,
                      struct bv_error *error)
{
    struct check check = {.schemas = schemas, .error = error};
    int rc = apply(&check, node, value);
    if (check.too_deep)
        rc = mismatch(&check, "needs more than %d schemas inside one another", BV_SCHEMA_DEPTH_MAX);
    return check.fault ? bv_fail(error, BV_E_NOMEM, "no memory for checking") : rc;
}
