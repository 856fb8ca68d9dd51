/* Recursive descent, one function per rule of RFC 9535, appendix A. */
#include "json_path_private.h"

#include <stdlib.h>

struct parser {
    struct bv_arena *arena;
    struct bv_bytes text;
    size_t at;
    int depth;
    struct bv_error *error;
};

#define INTEGER_MAX ((INT64_C(1) << 53) - 1) /* I-JSON, RFC 7493 */

/* What of the path stands in a message, with room for the rest: whole characters. */
static int shown_size(struct bv_bytes text)
{
    size_t size = text.size < 40 ? text.size : 40;
    while (size > 0 && size < text.size && (text.data[size] & 0xc0) == 0x80)
        size--;
    return (int)size;
}

static int expected_at(struct parser *p, size_t at, const char *what)
{
    return bv_fail(p->error,
                   BV_E_INVALID,
                   "path %.*s: %s at column %zu",
                   shown_size(p->text),
                   p->text.data,
                   what,
                   at + 1);
}

static int expected(struct parser *p, const char *what)
{
    return expected_at(p, p->at, what);
}

static char peek(const struct parser *p)
{
    return p->at < p->text.size ? p->text.data[p->at] : '\0';
}

static bool accept(struct parser *p, const char *token)
{
    if (!bv_bytes_starts((struct bv_bytes){p->text.data + p->at, p->text.size - p->at},
                         bv_bytes_of(token)))
        return false;
    p->at += strlen(token);
    return true;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->text.size && strchr(" \t\n\r", p->text.data[p->at]))
        p->at++;
}

static int deeper(struct parser *p)
{
    return ++p->depth > JSON_PATH_DEPTH_MAX ? expected(p, "less nesting") : 0;
}

/* ---- literals ---- */

static bool hex4(struct parser *p, uint32_t *ret_unit)
{
    unsigned char raw[2];
    if (p->text.size - p->at < 4 ||
        bv_hex_decode((struct bv_bytes){p->text.data + p->at, 4}, raw, 2) != 0)
        return false;
    *ret_unit = (uint32_t)raw[0] << 8 | raw[1];
    p->at += 4;
    return true;
}

static void put_char(struct bv_buf *buf, uint32_t c)
{
    if (c < 0x80) {
        bv_buf_char(buf, (char)c);
        return;
    }
    if (c < 0x800) {
        bv_buf_char(buf, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            bv_buf_char(buf, (char)(0xe0 | c >> 12));
        } else {
            bv_buf_char(buf, (char)(0xf0 | c >> 18));
            bv_buf_char(buf, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        bv_buf_char(buf, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    bv_buf_char(buf, (char)(0x80 | (c & 0x3f)));
}

/* Behind "\u". */
static int take_unicode(struct parser *p, struct bv_buf *out)
{
    uint32_t high = 0, low = 0;
    const size_t start = p->at - 2;
    if (!hex4(p, &high))
        return expected(p, "four hexadecimal digits are expected");
    if (high >= 0xd800 && high <= 0xdfff) {
        if (high > 0xdbff || !accept(p, "\\u") || !hex4(p, &low) || low < 0xdc00 || low > 0xdfff)
            return expected_at(p, start, "a surrogate stands without its other half");
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    put_char(out, high);
    return 0;
}

static int take_escape(struct parser *p, char quote, struct bv_buf *out)
{
    static const char names[] = "bfnrt/\\", values[] = "\b\f\n\r\t/\\";
    const char c = peek(p);
    const char *name = c ? strchr(names, c) : NULL;
    if (!name && c != quote && c != 'u')
        return expected(p, "an escape is \\b \\f \\n \\r \\t \\/ \\\\ \\uXXXX or of the quote");
    p->at++;
    if (c == 'u')
        return take_unicode(p, out);
    bv_buf_char(out, name ? values[name - names] : c);
    return 0;
}

/* A string in either quotes, appended to out. */
static int take_string(struct parser *p, struct bv_buf *out)
{
    const char quote = p->text.data[p->at];
    const size_t start = p->at++;
    while (p->at < p->text.size && peek(p) != quote) {
        const unsigned char c = (unsigned char)peek(p);
        if (c < 0x20)
            return expected(p, "control characters are escaped");
        p->at++;
        if (c == '\\')
            BV_TRY(take_escape(p, quote, out));
        else
            bv_buf_char(out, (char)c);
    }
    if (p->at == p->text.size)
        return expected_at(p, start, "this text has no end");
    p->at++;
    return out->failed ? BV_E_NOMEM : 0;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* int = "0" / (["-"] DIGIT1 *DIGIT); at its begin stands a digit or "-". */
static int take_int(struct parser *p, int64_t *ret_value)
{
    const size_t start = p->at;
    if (peek(p) == '-')
        p->at++;
    const size_t digits = p->at;
    while (digit(peek(p)))
        p->at++;
    const struct bv_bytes text = {p->text.data + start, p->at - start};
    const bool zero = p->at > digits && p->text.data[digits] == '0';
    if (p->at == digits || (zero && text.size > 1))
        return expected_at(p, start, "an integer has no leading zero, and 0 no sign");
    if (bv_bytes_int64(text, -INTEGER_MAX, INTEGER_MAX, ret_value) != 0)
        return expected_at(p, start, "an integer is within +-(2^53 - 1)");
    return 0;
}

static int take_json(struct parser *p, struct bv_bytes text, const struct bv_json **ret_value)
{
    const int rc = bv_json_parse(p->arena, text, ret_value, NULL);
    return rc == BV_E_INVALID ? expected(p, "a number in range is expected") : rc;
}

/* number = (int / "-0") [frac] [exp]: JSON's, whose own parser judges it. */
static int take_number(struct parser *p, const struct bv_json **ret_value)
{
    const size_t start = p->at;
    while (peek(p) && strchr("+-.eE0123456789", peek(p)))
        p->at++;
    const struct bv_bytes text = {p->text.data + start, p->at - start};
    if (bv_json_parse(p->arena, text, ret_value, NULL) != 0)
        return bv_arena_failed(p->arena) ? BV_E_NOMEM
                                         : expected_at(p, start, "a number is as in JSON");
    return 0;
}

/* Outcome 1: no literal stands here. */
static int take_literal(struct parser *p, const struct bv_json **ret_value)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = JSON_PATH_BYTES_MAX};
    bv_auto(bv_buf_release) struct bv_buf quoted = {.max = 8 * JSON_PATH_BYTES_MAX};
    static const char *const words[] = {"true", "false", "null"};
    const char c = peek(p);
    if (c == '"' || c == '\'') {
        BV_TRY(take_string(p, &text));
        bv_json_quote(&quoted, bv_buf_view(&text));
        return take_json(p, bv_buf_view(&quoted), ret_value);
    }
    if (c == '-' || digit(c))
        return take_number(p, ret_value);
    for (size_t i = 0; i < BV_COUNT(words); i++)
        if (accept(p, words[i]))
            return take_json(p, bv_bytes_of(words[i]), ret_value);
    return 1;
}

/* ---- selectors and segments ---- */

static int take_or(struct parser *p, struct expression **ret_expression);

/* [start] S ":" S [end S] [":" [S step]], the start being taken already. */
static int take_slice(struct parser *p, struct selector *selector)
{
    selector->kind = SELECT_SLICE;
    selector->step = 1;
    p->at++; /* the colon */
    skip_space(p);
    if (peek(p) == '-' || digit(peek(p))) {
        selector->has_end = true;
        BV_TRY(take_int(p, &selector->end));
        skip_space(p);
    }
    if (!accept(p, ":"))
        return 0;
    const size_t behind = p->at;
    skip_space(p);
    if (peek(p) == '-' || digit(peek(p)))
        return take_int(p, &selector->step);
    p->at = behind;
    return 0;
}

static int take_index_or_slice(struct parser *p, struct selector *selector)
{
    if (peek(p) != ':') {
        BV_TRY(take_int(p, &selector->index));
        selector->kind = SELECT_INDEX;
        const size_t behind = p->at;
        skip_space(p);
        if (peek(p) != ':') {
            p->at = behind;
            return 0;
        }
        selector->has_start = true;
    }
    return take_slice(p, selector);
}

static int take_selector(struct parser *p, struct selector **ret_selector)
{
    struct selector *selector = bv_arena_new(p->arena, struct selector);
    const char c = peek(p);
    if (!selector)
        return BV_E_NOMEM;
    *ret_selector = selector;
    if (c == '"' || c == '\'') {
        bv_auto(bv_buf_release) struct bv_buf name = {.max = JSON_PATH_BYTES_MAX};
        BV_TRY(take_string(p, &name));
        selector->kind = SELECT_NAME;
        selector->name = bv_arena_copy(p->arena, bv_buf_view(&name));
        return selector->name.data ? 0 : BV_E_NOMEM;
    }
    if (accept(p, "*")) {
        selector->kind = SELECT_WILDCARD;
        return 0;
    }
    if (accept(p, "?")) {
        selector->kind = SELECT_FILTER;
        skip_space(p);
        return take_or(p, &selector->filter);
    }
    if (c == '-' || c == ':' || digit(c))
        return take_index_or_slice(p, selector);
    return expected(p, "a quoted name, *, an index, a slice or ?filter is expected");
}

/* Behind "[". */
static int take_bracketed(struct parser *p, struct segment *segment)
{
    struct selector **end = &segment->selectors;
    do {
        skip_space(p);
        BV_TRY(take_selector(p, end));
        end = &(*end)->next;
        skip_space(p);
    } while (accept(p, ","));
    return accept(p, "]") ? 0 : expected(p, ", or ] is expected");
}

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) ||
           (!first && digit(c));
}

/* Behind "." or "..": * or a name. */
static int take_shorthand(struct parser *p, struct segment *segment)
{
    const size_t start = p->at;
    struct selector *selector = bv_arena_new(p->arena, struct selector);
    if (!selector)
        return BV_E_NOMEM;
    segment->selectors = selector;
    if (accept(p, "*")) {
        selector->kind = SELECT_WILDCARD;
        return 0;
    }
    while (p->at < p->text.size && name_char(p->text.data[p->at], p->at == start))
        p->at++;
    if (p->at == start)
        return expected(p, "a name (letter or _ first), or * is expected");
    selector->kind = SELECT_NAME;
    selector->name =
        bv_arena_copy(p->arena, (struct bv_bytes){p->text.data + start, p->at - start});
    return selector->name.data ? 0 : BV_E_NOMEM;
}

/* Outcome 1: no segment stands here; what was passed over is given back. */
static int take_segment(struct parser *p, struct segment **ret_segment)
{
    const size_t before = p->at;
    skip_space(p);
    const char c = peek(p);
    if (c != '[' && c != '.') {
        p->at = before;
        return 1;
    }
    struct segment *segment = bv_arena_new(p->arena, struct segment);
    if (!segment)
        return BV_E_NOMEM;
    *ret_segment = segment;
    if (accept(p, "[")) {
        BV_TRY(take_bracketed(p, segment));
        return 0;
    }
    segment->descendant = accept(p, "..");
    if (!segment->descendant)
        p->at++;
    else if (accept(p, "["))
        return take_bracketed(p, segment);
    return take_shorthand(p, segment);
}

static bool segment_singular(const struct segment *segment)
{
    const struct selector *only = segment->selectors;
    return !segment->descendant && !only->next &&
           (only->kind == SELECT_NAME || only->kind == SELECT_INDEX);
}

/* At $ or @. */
static int take_query(struct parser *p, const struct json_path **ret_query)
{
    struct json_path *query = bv_arena_new(p->arena, struct json_path);
    if (!query)
        return BV_E_NOMEM;
    struct segment **end = &query->segments;
    query->relative = p->text.data[p->at++] == '@';
    query->singular = true;
    for (;;) {
        const int rc = take_segment(p, end);
        if (rc < 0)
            return rc;
        if (rc == 1)
            break;
        query->singular = query->singular && segment_singular(*end);
        end = &(*end)->next;
    }
    *ret_query = query;
    return 0;
}

/* ---- filters ---- */

static const struct {
    const char *name;
    enum value_type result;
    enum value_type first;
    enum value_type second;
} functions[] = {
#define BV_X_(name, text, result, first, second) {text, result, first, second},
    JSON_FUNCTION_LIST(BV_X_)
#undef BV_X_
};

static int take_operand(struct parser *p, struct operand **ret_operand);

/* Whether operand may be the argument of a parameter of that type (RFC 9535, 2.4.3). */
static bool argument_fits(const struct operand *operand, enum value_type type)
{
    if (operand->kind == OPERAND_FUNCTION)
        return operand->type == type;
    if (operand->kind == OPERAND_LITERAL)
        return type == TYPE_VALUE;
    return type == TYPE_NODES || operand->query->singular;
}

static int take_argument(struct parser *p, struct operand *call, size_t index)
{
    const enum value_type type =
        index == 0 ? functions[call->function].first : functions[call->function].second;
    const size_t start = p->at;
    BV_TRY(take_operand(p, &call->arguments[index]));
    if (argument_fits(call->arguments[index], type))
        return 0;
    return expected_at(p,
                       start,
                       type == TYPE_NODES ? "a query is expected"
                                          : "a value is expected: a literal, a query for at most "
                                            "one, length(), count() or value()");
}

/* Behind "name(". */
static int take_arguments(struct parser *p, struct operand *call)
{
    const size_t count = functions[call->function].second == TYPE_NONE ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        skip_space(p);
        if (i > 0 && !accept(p, ","))
            return expected(p, "a comma and a second argument are expected");
        skip_space(p);
        BV_TRY(take_argument(p, call, i));
    }
    skip_space(p);
    if (!accept(p, ")"))
        return expected(p,
                        count == 1 ? ") after the one argument is expected"
                                   : ") after the two arguments is expected");
    const struct operand *second = call->arguments[1];
    if (second && second->kind == OPERAND_LITERAL &&
        bv_json_type(second->literal) == BV_JSON_STRING)
        return i_regexp_parse(p->arena, bv_json_string(second->literal), &call->regexp, p->error);
    return 0;
}

static int take_call(struct parser *p, struct operand *operand)
{
    const size_t start = p->at;
    while ((peek(p) >= 'a' && peek(p) <= 'z') || peek(p) == '_' || digit(peek(p)))
        p->at++;
    const struct bv_bytes name = {p->text.data + start, p->at - start};
    for (size_t i = 0; i < BV_COUNT(functions); i++) {
        if (!bv_bytes_equal(name, bv_bytes_of(functions[i].name)) || !accept(p, "("))
            continue;
        operand->kind = OPERAND_FUNCTION;
        operand->function = (enum function_name)i;
        operand->type = functions[i].result;
        BV_TRY(deeper(p));
        BV_TRY(take_arguments(p, operand));
        p->depth--;
        return 0;
    }
    return expected_at(p,
                       start,
                       "@, $, a literal, or length(), count(), match(), search(), value() is "
                       "expected");
}

static int take_operand(struct parser *p, struct operand **ret_operand)
{
    struct operand *operand = bv_arena_new(p->arena, struct operand);
    if (!operand)
        return BV_E_NOMEM;
    *ret_operand = operand;
    if (peek(p) == '@' || peek(p) == '$') {
        operand->kind = OPERAND_QUERY;
        BV_TRY(deeper(p));
        BV_TRY(take_query(p, &operand->query));
        p->depth--;
        return 0;
    }
    const int rc = take_literal(p, &operand->literal);
    if (rc != 1)
        return rc;
    return take_call(p, operand);
}

/* Outcome 1: no operator. */
static int take_comparison(struct parser *p, enum comparison *ret_comparison)
{
    static const char *const texts[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (size_t i = 0; i < BV_COUNT(texts); i++) {
        if (accept(p, texts[i])) {
            *ret_comparison = (enum comparison)i;
            return 0;
        }
    }
    return 1;
}

static int check_comparable(struct parser *p, const struct operand *operand, size_t at)
{
    return argument_fits(operand, TYPE_VALUE)
               ? 0
               : expected_at(p, at, "only what has one value is compared");
}

/* [!] ( "(" expression ")" / test ) / comparison */
static int take_basic(struct parser *p, struct expression **ret_expression)
{
    const bool negated = accept(p, "!");
    if (negated)
        skip_space(p);
    if (accept(p, "(")) {
        skip_space(p);
        BV_TRY(take_or(p, ret_expression));
        skip_space(p);
        (*ret_expression)->negated ^= negated;
        return accept(p, ")") ? 0 : expected(p, "), an operator, && or || is expected");
    }
    struct expression *expression = bv_arena_new(p->arena, struct expression);
    if (!expression)
        return BV_E_NOMEM;
    const size_t first = p->at;
    BV_TRY(take_operand(p, &expression->a));
    const size_t behind = p->at;
    skip_space(p);
    *ret_expression = expression;
    if (!negated && take_comparison(p, &expression->comparison) == 0) {
        expression->kind = EXPRESSION_COMPARE;
        BV_TRY(check_comparable(p, expression->a, first));
        skip_space(p);
        const size_t second = p->at;
        BV_TRY(take_operand(p, &expression->b));
        return check_comparable(p, expression->b, second);
    }
    p->at = behind;
    expression->kind = EXPRESSION_TEST;
    expression->negated = negated;
    if (expression->a->kind == OPERAND_LITERAL ||
        (expression->a->kind == OPERAND_FUNCTION && expression->a->type != TYPE_LOGICAL))
        return expected(p, "a comparison (== != <= >= < >) is expected");
    return 0;
}

/* One level of precedence: operands of next joined by token. */
static int take_joined(struct parser *p,
                       const char *token,
                       enum expression_kind kind,
                       int (*next)(struct parser *p, struct expression **ret_expression),
                       struct expression **ret_expression)
{
    BV_TRY(next(p, ret_expression));
    for (;;) {
        const size_t behind = p->at;
        skip_space(p);
        if (!accept(p, token)) {
            p->at = behind;
            return 0;
        }
        struct expression *joined = bv_arena_new(p->arena, struct expression);
        if (!joined)
            return BV_E_NOMEM;
        joined->kind = kind;
        joined->left = *ret_expression;
        skip_space(p);
        BV_TRY(next(p, &joined->right));
        *ret_expression = joined;
    }
}

static int take_and(struct parser *p, struct expression **ret_expression)
{
    return take_joined(p, "&&", EXPRESSION_AND, take_basic, ret_expression);
}

static int take_or(struct parser *p, struct expression **ret_expression)
{
    BV_TRY(deeper(p));
    BV_TRY(take_joined(p, "||", EXPRESSION_OR, take_and, ret_expression));
    p->depth--;
    return 0;
}

int json_path_parse(struct bv_arena *arena,
                    struct bv_bytes text,
                    const struct json_path **ret_path,
                    struct bv_error *error)
{
    struct parser parser = {.arena = arena, .text = text, .error = error};
    if (!text.size || text.data[0] != '$')
        return expected(&parser, "a path begins with $");
    if (text.size > JSON_PATH_BYTES_MAX || !bv_bytes_utf8(text) || memchr(text.data, 0, text.size))
        return bv_fail(error,
                       BV_E_INVALID,
                       "path at column 1: it is UTF-8 without NUL, up to %d bytes",
                       JSON_PATH_BYTES_MAX);
    const struct json_path *path = NULL;
    BV_TRY(take_query(&parser, &path));
    if (parser.at < text.size)
        return expected(&parser, ". or [ is expected");
    *ret_path = path;
    return 0;
}

bool json_path_singular(const struct json_path *path)
{
    return path->singular;
}
