#include "bv/expression.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- paths ---- */

/* Walks one segment at *at. Outcome 1: member (name), 2: index. 0: end of the path. */
enum { PATH_END, PATH_MEMBER, PATH_INDEX };

static int bad_path(struct bv_bytes path, size_t at, const char *what, struct bv_error *error)
{
    return bv_fail(error, BV_E_INVALID, "path %.*s: %s at column %zu", BV_ARG(path), what, at + 1);
}

static bool name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || (c & 0x80);
}

static int bracket(struct bv_bytes path,
                   size_t *at,
                   struct bv_bytes *ret_name,
                   int64_t *ret_index,
                   struct bv_error *error)
{
    size_t start = *at + 1;
    char quote = start < path.size ? path.data[start] : '\0';
    if (quote == '\'' || quote == '"') {
        const char *end = memchr(path.data + start + 1, quote, path.size - start - 1);
        size_t close = end ? (size_t)(end - path.data) + 1 : path.size;
        if (close >= path.size || path.data[close] != ']')
            return bad_path(path, start, "a name in brackets ends in a quote and ]", error);
        *ret_name = (struct bv_bytes){path.data + start + 1, close - 1 - start - 1};
        *at = close + 1;
        return PATH_MEMBER;
    }
    const char *end = memchr(path.data + start, ']', path.size - start);
    size_t close = end ? (size_t)(end - path.data) : path.size;
    struct bv_bytes digits = {path.data + start, close - start};
    if (!end || bv_bytes_int64(digits, -1000000, 1000000, ret_index) < 0)
        return bad_path(path, start, "brackets hold an index or a quoted name", error);
    *at = close + 1;
    return PATH_INDEX;
}

static int segment(struct bv_bytes path,
                   size_t *at,
                   struct bv_bytes *ret_name,
                   int64_t *ret_index,
                   struct bv_error *error)
{
    if (*at >= path.size)
        return PATH_END;
    if (path.data[*at] == '[')
        return bracket(path, at, ret_name, ret_index, error);
    if (path.data[*at] != '.')
        return bad_path(path, *at, "expected . or [", error);
    size_t start = *at + 1;
    size_t end = start;
    while (end < path.size && name_byte(path.data[end]))
        end++;
    if (end == start)
        return bad_path(path, start, "expected a name", error);
    *ret_name = (struct bv_bytes){path.data + start, end - start};
    *at = end;
    return PATH_MEMBER;
}

int bv_path_find(const struct bv_json *root,
                 struct bv_bytes path,
                 const struct bv_json **ret_value,
                 struct bv_error *error)
{
    if (!path.size || path.data[0] != '$')
        return bad_path(path, 0, "a path begins with $", error);
    const struct bv_json *value = root;
    struct bv_bytes name = BV_BYTES_NONE;
    int64_t index = 0;
    size_t at = 1;
    for (;;) {
        int kind = segment(path, &at, &name, &index, error);
        if (kind < 0)
            return kind;
        if (kind == PATH_END)
            break;
        if (kind == PATH_MEMBER) {
            value = bv_json_get_bytes(value, name);
        } else {
            int64_t size = (int64_t)bv_json_size(value);
            int64_t place = index < 0 ? size + index : index;
            value = place >= 0 ? bv_json_at(value, (size_t)place) : NULL;
        }
    }
    *ret_value = value;
    return 0;
}

int bv_path_check(struct bv_bytes text, struct bv_error *error)
{
    const struct bv_json *value = NULL;
    return bv_path_find(NULL, text, &value, error);
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

static bool json_equal(const struct bv_json *a, const struct bv_json *b)
{
    if (bv_json_type(a) != bv_json_type(b))
        return (bv_json_type(a) == BV_JSON_INT || bv_json_type(a) == BV_JSON_REAL) &&
               (bv_json_type(b) == BV_JSON_INT || bv_json_type(b) == BV_JSON_REAL) &&
               !(bv_json_real(a, 0) < bv_json_real(b, 1)) &&
               !(bv_json_real(a, 0) > bv_json_real(b, 1));
    switch (bv_json_type(a)) {
    case BV_JSON_BOOL:
        return bv_json_bool(a, false) == bv_json_bool(b, false);
    case BV_JSON_INT:
        return bv_json_int(a, 0) == bv_json_int(b, 0);
    case BV_JSON_REAL:
        return !(bv_json_real(a, 0) < bv_json_real(b, 0)) &&
               !(bv_json_real(a, 0) > bv_json_real(b, 0));
    case BV_JSON_STRING:
        return bv_bytes_equal(bv_json_string(a), bv_json_string(b));
    case BV_JSON_ARRAY:
    case BV_JSON_OBJECT:
        break;
    default:
        return true;
    }
    if (bv_json_size(a) != bv_json_size(b))
        return false;
    size_t index = 0;
    for (struct bv_json_iter it = bv_json_iter(a); bv_json_next(&it); index++) {
        const struct bv_json *other =
            bv_json_type(a) == BV_JSON_ARRAY ? bv_json_at(b, index) : bv_json_get_bytes(b, it.key);
        if (!other || !json_equal(it.value, other))
            return false;
    }
    return true;
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

static int matches(const struct bv_fact *fact, struct bv_bytes value, struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_MESSAGE_BODY_MAX * 8};
    bv_auto(bv_buf_release) struct bv_buf pattern = {.max = 65536};
    BV_TRY(bv_fact_text(&text, fact));
    BV_TRY(bv_buf_char(&text, '\0'));
    BV_TRY(bv_buf_bytes(&pattern, value));
    BV_TRY(bv_buf_char(&pattern, '\0'));
    regex_t regex;
    int rc = regcomp(&regex, pattern.data, REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        char why[80];
        regerror(rc, &regex, why, sizeof why);
        return bv_fail(
            error, BV_E_INVALID, "\"%s\" is no extended expression: %s", pattern.data, why);
    }
    rc = regexec(&regex, text.data, 0, NULL, 0);
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

static int
ordered(const struct bv_fact *fact, enum bv_op op, struct bv_bytes value, struct bv_error *error)
{
    struct number wanted = number_of_text(value);
    if (!wanted.valid)
        return bv_fail(error,
                       BV_E_INVALID,
                       "%s compares numbers, \"%.*s\" is none",
                       bv_op_text(op),
                       BV_ARG(value));
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
