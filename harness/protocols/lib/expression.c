#include "bv/expression.h"

#include "json_path.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- paths ---- */

enum { PATH_ARENA_BYTES = 64 << 20, PATH_TEXT_BYTES = 16 << 20 };

static int parse_one(struct bv_arena *arena,
                     struct bv_bytes text,
                     const struct json_path **ret_path,
                     struct bv_error *error)
{
    BV_TRY(json_path_parse(arena, text, ret_path, error));
    if (json_path_singular(*ret_path))
        return 0;
    return bv_fail(error,
                   BV_E_INVALID,
                   "path %.*s may name several values: here are names and indexes only",
                   (int)(text.size < 60 ? text.size : 60),
                   text.data);
}

int bv_path_check(struct bv_bytes text, struct bv_error *error)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct json_path *path = NULL;
    BV_TRY(bv_arena_open(PATH_ARENA_BYTES, &arena));
    return json_path_parse(arena, text, &path, error);
}

int bv_path_check_one(struct bv_bytes text, struct bv_error *error)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct json_path *path = NULL;
    BV_TRY(bv_arena_open(PATH_ARENA_BYTES, &arena));
    return parse_one(arena, text, &path, error);
}

int bv_path_find(const struct bv_json *root,
                 struct bv_bytes text,
                 const struct bv_json **ret_value,
                 struct bv_error *error)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct json_path *path = NULL;
    struct json_nodes nodes = {0};
    BV_TRY(bv_arena_open(PATH_ARENA_BYTES, &arena));
    BV_TRY(parse_one(arena, text, &path, error));
    BV_TRY(json_path_select(arena, path, root, &nodes, error));
    *ret_value = nodes.count ? nodes.values[0] : NULL;
    return 0;
}

/* The nodes as one JSON array. */
static int array_of(struct bv_arena *arena,
                    const struct json_nodes *nodes,
                    const struct bv_json **ret_array,
                    struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = PATH_TEXT_BYTES};
    for (size_t i = 0; i < nodes->count; i++) {
        bv_buf_char(&text, i ? ',' : '[');
        bv_json_write(&text, nodes->values[i]);
    }
    bv_buf_char(&text, ']');
    if (text.failed)
        return bv_fail(error, BV_E_LIMIT, "the values that the path names are too large together");
    return bv_json_parse(arena, bv_buf_view(&text), ret_array, error);
}

int bv_path_select(struct bv_arena *arena,
                   const struct bv_json *root,
                   struct bv_bytes text,
                   const struct bv_json **ret_value,
                   struct bv_error *error)
{
    bv_auto(bv_arena_close) struct bv_arena *scratch = NULL;
    const struct json_path *path = NULL;
    struct json_nodes nodes = {0};
    BV_TRY(bv_arena_open(PATH_ARENA_BYTES, &scratch));
    BV_TRY(json_path_parse(scratch, text, &path, error));
    BV_TRY(json_path_select(scratch, path, root, &nodes, error));
    if (nodes.count > 0 && !json_path_singular(path))
        return array_of(arena, &nodes, ret_value, error);
    *ret_value = nodes.count ? nodes.values[0] : NULL;
    return 0;
}

/* ---- operators ---- */

static const struct {
    const char *text;
    const char *help;
} ops[] = {
#define BV_X_(name, text, help) {text, help},
    BV_OP_LIST(BV_X_)
#undef BV_X_
};

const char *bv_op_text(enum bv_op op)
{
    return ops[op].text;
}

const char *bv_op_help(enum bv_op op)
{
    return ops[op].help;
}

int bv_op_parse(struct bv_bytes text, enum bv_op *ret_op)
{
    for (size_t i = 0; i < BV_COUNT(ops); i++) {
        if (bv_bytes_equal(text, bv_bytes_of(ops[i].text))) {
            *ret_op = (enum bv_op)i;
            return 0;
        }
    }
    return BV_E_INVALID;
}

/* Whole text as a number; integers stay exact. */
struct number {
    bool valid;
    bool exact;
    int64_t whole;
    double real;
};

static struct number number_of_text(struct bv_bytes text)
{
    struct number number = {0};
    if (bv_bytes_int64(text, INT64_MIN, INT64_MAX, &number.whole) == 0)
        return (struct number){true, true, number.whole, (double)number.whole};
    char copy[64];
    if (!text.size || text.size >= sizeof copy || !strchr("-.0123456789", text.data[0]))
        return number;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end = NULL;
    double real = strtod(copy, &end);
    return end == copy + text.size ? (struct number){true, false, 0, real} : number;
}

static struct number number_of_fact(const struct bv_fact *fact)
{
    if (fact->type == BV_FACT_INT)
        return (struct number){true, true, fact->number, (double)fact->number};
    if (fact->type == BV_FACT_TEXT)
        return number_of_text(fact->text);
    if (fact->type != BV_FACT_JSON)
        return (struct number){0};
    switch (bv_json_type(fact->json)) {
    case BV_JSON_INT:
        return (struct number){
            true, true, bv_json_int(fact->json, 0), (double)bv_json_int(fact->json, 0)};
    case BV_JSON_REAL:
        return (struct number){true, false, 0, bv_json_real(fact->json, 0)};
    case BV_JSON_STRING:
        return number_of_text(bv_json_string(fact->json));
    default:
        return (struct number){0};
    }
}

static int order(struct number a, struct number b)
{
    if (a.exact && b.exact)
        return (a.whole > b.whole) - (a.whole < b.whole);
    return (a.real > b.real) - (a.real < b.real);
}

/* Whether the step's text stands for the JSON value: bare for strings, as JSON for the rest. */
static bool json_is(const struct bv_json *json, struct bv_bytes value)
{
    if (bv_json_type(json) == BV_JSON_STRING)
        return bv_bytes_equal(bv_json_string(json), value);
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct bv_json *wanted = NULL;
    if (bv_arena_open((size_t)16 << 20, &arena) < 0 ||
        bv_json_parse(arena, value, &wanted, NULL) < 0)
        return false;
    return json_equal(json, wanted);
}

static bool fact_is(const struct bv_fact *fact, struct bv_bytes value)
{
    if (fact->type == BV_FACT_TEXT)
        return bv_bytes_equal(fact->text, value);
    if (fact->type == BV_FACT_JSON)
        return json_is(fact->json, value);
    struct number wanted = number_of_text(value);
    return wanted.valid && order(number_of_fact(fact), wanted) == 0;
}

int bv_fact_text(struct bv_buf *buf, const struct bv_fact *fact)
{
    switch (fact->type) {
    case BV_FACT_TEXT:
        return bv_buf_bytes(buf, fact->text);
    case BV_FACT_INT:
        return bv_buf_int64(buf, fact->number);
    case BV_FACT_JSON:
        if (bv_json_type(fact->json) == BV_JSON_STRING)
            return bv_buf_bytes(buf, bv_json_string(fact->json));
        return bv_json_write(buf, fact->json);
    default:
        return bv_buf_text(buf, "(absent)");
    }
}

/* On success the caller frees *ret_regex. */
static int compile(struct bv_bytes value, regex_t *ret_regex, struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf pattern = {.max = 65536};
    BV_TRY(bv_buf_bytes(&pattern, value));
    BV_TRY(bv_buf_char(&pattern, '\0'));
    int rc = regcomp(ret_regex, pattern.data, REG_EXTENDED | REG_NOSUB);
    if (rc == 0)
        return 0;
    char why[80];
    regerror(rc, ret_regex, why, sizeof why);
    return bv_fail(
        error, BV_E_INVALID, "\"%.60s\" is no extended expression: %s", pattern.data, why);
}

static int matches(const struct bv_fact *fact, struct bv_bytes value, struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_MESSAGE_BODY_MAX * 8};
    BV_TRY(bv_fact_text(&text, fact));
    BV_TRY(bv_buf_char(&text, '\0'));
    regex_t regex;
    BV_TRY(compile(value, &regex, error));
    int rc = regexec(&regex, text.data, 0, NULL, 0);
    regfree(&regex);
    return rc == 0 ? 0 : BV_MISMATCH;
}

static int contains(const struct bv_fact *fact, struct bv_bytes value)
{
    if (fact->type == BV_FACT_JSON && bv_json_type(fact->json) == BV_JSON_ARRAY) {
        for (struct bv_json_iter it = bv_json_iter(fact->json); bv_json_next(&it);)
            if (json_is(it.value, value))
                return 0;
        return BV_MISMATCH;
    }
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_MESSAGE_BODY_MAX * 8};
    BV_TRY(bv_fact_text(&text, fact));
    if (!value.size)
        return 0;
    return text.size && memmem(text.data, text.size, value.data, value.size) ? 0 : BV_MISMATCH;
}

static int no_number(enum bv_op op, struct bv_bytes value, struct bv_error *error)
{
    return bv_fail(error,
                   BV_E_INVALID,
                   "%s compares numbers, \"%.*s\" is none",
                   bv_op_text(op),
                   (int)(value.size < 60 ? value.size : 60),
                   value.data);
}

int bv_op_check(enum bv_op op, struct bv_bytes value, struct bv_error *error)
{
    regex_t regex;
    switch (op) {
    case BV_OP_EQ:
    case BV_OP_NE:
    case BV_OP_CONTAINS:
    case BV_OP_EXISTS:
        return 0;
    case BV_OP_MATCHES:
        BV_TRY(compile(value, &regex, error));
        regfree(&regex);
        return 0;
    default:
        return number_of_text(value).valid ? 0 : no_number(op, value, error);
    }
}

static int
ordered(const struct bv_fact *fact, enum bv_op op, struct bv_bytes value, struct bv_error *error)
{
    struct number wanted = number_of_text(value);
    if (!wanted.valid)
        return no_number(op, value, error);
    struct number actual = number_of_fact(fact);
    if (!actual.valid)
        return BV_MISMATCH;
    int sign = order(actual, wanted);
    bool holds = op == BV_OP_LT   ? sign < 0
                 : op == BV_OP_GT ? sign > 0
                 : op == BV_OP_LE ? sign <= 0
                                  : sign >= 0;
    return holds ? 0 : BV_MISMATCH;
}

int bv_fact_compare(const struct bv_fact *fact,
                    enum bv_op op,
                    struct bv_bytes value,
                    struct bv_error *error)
{
    if (fact->type == BV_FACT_ABSENT)
        return BV_MISMATCH;
    switch (op) {
    case BV_OP_EQ:
        return fact_is(fact, value) ? 0 : BV_MISMATCH;
    case BV_OP_NE:
        return fact_is(fact, value) ? BV_MISMATCH : 0;
    case BV_OP_MATCHES:
        return matches(fact, value, error);
    case BV_OP_CONTAINS:
        return contains(fact, value);
    case BV_OP_EXISTS:
        return 0;
    default:
        return ordered(fact, op, value, error);
    }
}

/* ---- durations ---- */

int bv_duration_parse(struct bv_bytes text, int64_t *ret_ms)
{
    static const struct {
        struct bv_bytes unit;
        int64_t ms;
    } units[] = {
        {{"ms", 2}, 1    },
        {{"s", 1},  1000 },
        {{"m", 1},  60000}
    };
    size_t digits = 0;
    while (digits < text.size && isdigit((unsigned char)text.data[digits]))
        digits++;
    struct bv_bytes unit = {text.data + digits, text.size - digits};
    int64_t number = 0;
    for (size_t i = 0; i < BV_COUNT(units); i++) {
        if (bv_bytes_equal(unit, units[i].unit) &&
            bv_bytes_int64(
                (struct bv_bytes){text.data, digits}, 1, 3600000 / units[i].ms, &number) == 0) {
            *ret_ms = number * units[i].ms;
            return 0;
        }
    }
    return BV_E_INVALID;
}
