#include "pattern.h"

#include <locale.h>
#include <regex.h>
#include <stdlib.h>

#define RANGES_MAX 256
#define WIDE_MAX 1024 /* characters of a range beyond ASCII */
#define CODE_MAX 0x10ffff

struct range {
    uint32_t low, high;
};
struct scan {
    struct bv_bytes text;
    size_t at;
    struct bv_buf *out;
    struct bv_error *error;
    bool atom; /* something to repeat stands before */
};

static int refuse(struct scan *scan, const char *what)
{
    return bv_fail(scan->error, BV_E_INVALID, "pattern at byte %zu: %s", scan->at, what);
}

/* White space and line ends of ECMA-262: \s. */
static const struct range space_ranges[] = {
    {0x09,   0x0d  },
    {0x20,   0x20  },
    {0xa0,   0xa0  },
    {0x1680, 0x1680},
    {0x2000, 0x200a},
    {0x2028, 0x2029},
    {0x202f, 0x202f},
    {0x205f, 0x205f},
    {0x3000, 0x3000},
    {0xfeff, 0xfeff},
};
static const struct range digit_ranges[] = {
    {'0', '9'},
};
static const struct range word_ranges[] = {
    {'0', '9'},
    {'A', 'Z'},
    {'_', '_'},
    {'a', 'z'},
};
static const struct class_escape {
    char letter;
    const struct range *ranges;
    size_t count;
} class_escapes[] = {
    {'d', digit_ranges, BV_COUNT(digit_ranges)},
    {'w', word_ranges,  BV_COUNT(word_ranges) },
    {'s', space_ranges, BV_COUNT(space_ranges)},
};

static const struct class_escape *class_escape(char letter)
{
    for (size_t i = 0; i < BV_COUNT(class_escapes); i++) {
        if (class_escapes[i].letter == letter)
            return &class_escapes[i];
    }
    return NULL;
}

static void put_code(struct bv_buf *out, uint32_t code)
{
    char bytes[4];
    size_t size = 0;
    if (code < 0x80) {
        bytes[size++] = (char)code;
    } else if (code < 0x800) {
        bytes[size++] = (char)(0xc0 | code >> 6);
        bytes[size++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        bytes[size++] = (char)(0xe0 | code >> 12);
        bytes[size++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[size++] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[size++] = (char)(0xf0 | code >> 18);
        bytes[size++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[size++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[size++] = (char)(0x80 | (code & 0x3f));
    }
    bv_buf_append(out, bytes, size);
}

static void put_literal(struct bv_buf *out, uint32_t code)
{
    if (code < 0x80 && strchr("\\^$.[]|()*+?{}", (int)code))
        bv_buf_char(out, '\\');
    put_code(out, code);
}

/* The next character of the text, which is well-formed UTF-8. */
static uint32_t next_code(struct scan *scan)
{
    unsigned char lead = (unsigned char)scan->text.data[scan->at++];
    if (lead < 0x80)
        return lead;
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    uint32_t code = lead & (0x3fu >> more);
    for (; more > 0 && scan->at < scan->text.size; more--)
        code = code << 6 | ((unsigned char)scan->text.data[scan->at++] & 0x3fu);
    return code;
}

/* ---- a class ---- */

/* ']' must come first, '-' last, '^' not first and '[' not before ".:=": they are taken out of
 * their ranges and placed by hand. */
struct class_text {
    struct range ranges[RANGES_MAX];
    size_t count;
    bool has_close, has_dash, has_caret, has_open;
};

static int class_add(struct scan *scan, struct class_text *text, uint32_t low, uint32_t high)
{
    if (low > high)
        return refuse(scan, "a range of a class ends before it begins");
    static const char special[] = "]-^[";
    bool *const flags[] = {&text->has_close, &text->has_dash, &text->has_caret, &text->has_open};
    for (size_t i = 0; i < BV_COUNT(flags); i++) {
        uint32_t code = (unsigned char)special[i];
        if (code < low || code > high)
            continue;
        *flags[i] = true;
        if (code > low) {
            int rc = class_add(scan, text, low, code - 1);
            if (rc < 0)
                return rc;
        }
        return code < high ? class_add(scan, text, code + 1, high) : 0;
    }
    if (low == 0)
        low = 1;
    if (low <= 0x7f && high > 0x7f) {
        BV_TRY(class_add(scan, text, low, 0x7f));
        low = 0x80;
    }
    if (low > 0x7f && high - low > WIDE_MAX)
        return refuse(scan, "a range beyond ASCII is too wide");
    if (text->count == RANGES_MAX)
        return refuse(scan, "a class has too many parts");
    if (low <= high)
        text->ranges[text->count++] = (struct range){low, high};
    return 0;
}

/* glibc compiles no range of characters beyond ASCII in this locale: they are written out one by
 * one. */
static void put_range(struct bv_buf *out, struct range range)
{
    if (range.low > 0x7f) {
        for (uint32_t code = range.low; code <= range.high; code++)
            put_code(out, code);
        return;
    }
    put_code(out, range.low);
    if (range.high == range.low)
        return;
    bv_buf_char(out, '-');
    put_code(out, range.high);
}

static void class_put(struct bv_buf *out, const struct class_text *text, bool negated)
{
    bool plain = text->count > 0 || text->has_close || text->has_open || text->has_dash;
    if (text->has_caret && !plain && !negated) {
        bv_buf_text(out, "\\^");
        return;
    }
    bv_buf_text(out, negated ? "[^" : "[");
    if (text->has_close)
        bv_buf_char(out, ']');
    for (size_t i = 0; i < text->count; i++)
        put_range(out, text->ranges[i]);
    if (text->has_open)
        bv_buf_char(out, '[');
    if (text->has_caret && (text->count > 0 || text->has_close || text->has_open || negated))
        bv_buf_char(out, '^');
    else if (text->has_caret) { /* only '^' and '-': the dash goes first */
        bv_buf_text(out, "-^]");
        return;
    }
    if (text->has_dash)
        bv_buf_char(out, '-');
    bv_buf_char(out, ']');
}

static int hex_code(struct scan *scan, size_t digits, uint32_t *ret_code)
{
    uint32_t code = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = scan->at < scan->text.size ? scan->text.data[scan->at++] : 'x';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return refuse(scan, "hexadecimal digits are missing");
        code = code << 4 | (uint32_t)digit;
    }
    *ret_code = code;
    return 0;
}

/* \u1234, \u{12345}, or a pair of surrogates. */
static int unicode_code(struct scan *scan, uint32_t *ret_code)
{
    if (scan->at < scan->text.size && scan->text.data[scan->at] == '{') {
        uint32_t code = 0;
        const char *end = memchr(scan->text.data + scan->at, '}', scan->text.size - scan->at);
        size_t digits = end ? (size_t)(end - scan->text.data) - scan->at - 1 : 0;
        scan->at++;
        if (digits < 1 || digits > 6)
            return refuse(scan, "\\u{} has one to six digits");
        BV_TRY(hex_code(scan, digits, &code));
        scan->at++;
        *ret_code = code;
        return code <= CODE_MAX ? 0 : refuse(scan, "no such character");
    }
    uint32_t high = 0, low = 0;
    BV_TRY(hex_code(scan, 4, &high));
    *ret_code = high;
    if (high < 0xd800 || high > 0xdfff)
        return 0;
    if (scan->at + 1 >= scan->text.size || scan->text.data[scan->at] != '\\' ||
        scan->text.data[scan->at + 1] != 'u')
        return refuse(scan, "half of a surrogate pair");
    scan->at += 2;
    BV_TRY(hex_code(scan, 4, &low));
    *ret_code = 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
    return 0;
}

/* A character escape, after the backslash. */
static int escaped_code(struct scan *scan, uint32_t *ret_code)
{
    static const char letters[] = "tnrvf", meanings[] = "\t\n\r\v\f";
    if (scan->at >= scan->text.size)
        return refuse(scan, "it ends with a backslash");
    uint32_t code = next_code(scan);
    const char *found = code < 0x80 && code ? strchr(letters, (int)code) : NULL;
    if (found) {
        *ret_code = (unsigned char)meanings[found - letters];
        return 0;
    }
    if (code == 'x')
        return hex_code(scan, 2, ret_code);
    if (code == 'u')
        return unicode_code(scan, ret_code);
    if (code == 'c' && scan->at < scan->text.size) {
        char letter = scan->text.data[scan->at++];
        if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
            return refuse(scan, "\\c needs a letter");
        *ret_code = (uint32_t)letter & 0x1fu;
        return 0;
    }
    bool letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') ||
                  (code >= '0' && code <= '9');
    if (letter)
        return refuse(scan, "this escape is not supported");
    *ret_code = code;
    return 0;
}

/* One member of a class. Returns 1 when it was a class escape, which is added already. */
static int class_member(struct scan *scan, struct class_text *text, uint32_t *ret_code)
{
    uint32_t code = next_code(scan);
    if (code != '\\') {
        *ret_code = code;
        return 0;
    }
    char letter = scan->at < scan->text.size ? scan->text.data[scan->at] : '\0';
    const struct class_escape *escape = class_escape(letter);
    if (escape) {
        scan->at++;
        for (size_t i = 0; i < escape->count; i++)
            BV_TRY(class_add(scan, text, escape->ranges[i].low, escape->ranges[i].high));
        return 1;
    }
    if (letter == 'b') {
        scan->at++;
        *ret_code = '\b';
        return 0;
    }
    return escaped_code(scan, ret_code);
}

/* [\s\S] and its like: any character. */
static bool anything_class(struct scan *scan)
{
    static const char *const rows[] = {
        "\\s\\S]", "\\S\\s]", "\\d\\D]", "\\D\\d]", "\\w\\W]", "\\W\\w]", "^]"};
    struct bv_bytes rest = {scan->text.data + scan->at, scan->text.size - scan->at};
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        if (!bv_bytes_starts(rest, bv_bytes_of(rows[i])))
            continue;
        scan->at += strlen(rows[i]);
        bv_buf_text(scan->out, "(.|\n)");
        return true;
    }
    return false;
}

static bool class_ends(const struct scan *scan)
{
    return scan->at < scan->text.size && scan->text.data[scan->at] == ']';
}

static int class_translate(struct scan *scan)
{
    struct class_text text = {.count = 0};
    if (anything_class(scan))
        return 0;
    bool negated = scan->at < scan->text.size && scan->text.data[scan->at] == '^';
    scan->at += negated;
    if (class_ends(scan))
        return refuse(scan, "an empty class matches nothing");
    while (scan->at < scan->text.size && !class_ends(scan)) {
        uint32_t low = 0, high = 0;
        int rc = class_member(scan, &text, &low);
        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;
        high = low;
        bool range = scan->at + 1 < scan->text.size && scan->text.data[scan->at] == '-' &&
                     scan->text.data[scan->at + 1] != ']';
        if (range) {
            scan->at++;
            rc = class_member(scan, &text, &high);
            if (rc < 0)
                return rc;
            if (rc > 0) { /* a class escape ends no range: both ends are literal */
                BV_TRY(class_add(scan, &text, '-', '-'));
                high = low;
            }
        }
        BV_TRY(class_add(scan, &text, low, high));
    }
    if (!class_ends(scan))
        return refuse(scan, "a class does not end");
    scan->at++;
    class_put(scan->out, &text, negated);
    return 0;
}

/* ---- outside of classes ---- */

static int escape_translate(struct scan *scan)
{
    char letter = scan->at < scan->text.size ? scan->text.data[scan->at] : '\0';
    bool complement = letter == 'D' || letter == 'W' || letter == 'S';
    const struct class_escape *escape = class_escape(complement ? (char)(letter + 32) : letter);
    if (escape) {
        struct class_text text = {.count = 0};
        scan->at++;
        for (size_t i = 0; i < escape->count; i++)
            BV_TRY(class_add(scan, &text, escape->ranges[i].low, escape->ranges[i].high));
        class_put(scan->out, &text, complement);
        return 0;
    }
    if (letter == 'b' || letter == 'B') { /* glibc has them */
        scan->at++;
        bv_buf_char(scan->out, '\\');
        bv_buf_char(scan->out, letter);
        return 0;
    }
    uint32_t code = 0;
    BV_TRY(escaped_code(scan, &code));
    if (code == 0)
        return refuse(scan, "NUL is not supported");
    put_literal(scan->out, code);
    return 0;
}

static int group_translate(struct scan *scan)
{
    struct bv_bytes rest = {scan->text.data + scan->at, scan->text.size - scan->at};
    if (bv_bytes_starts(rest, BV_BYTES("?:"))) {
        scan->at += 2;
    } else if (bv_bytes_starts(rest, BV_BYTES("?<")) && rest.size > 2 && rest.data[2] != '=' &&
               rest.data[2] != '!') {
        const char *end = memchr(rest.data, '>', rest.size);
        if (!end)
            return refuse(scan, "the name of a group does not end");
        scan->at += (size_t)(end - rest.data) + 1;
    } else if (rest.size > 0 && rest.data[0] == '?') {
        return refuse(scan, "look-around is not supported");
    }
    bv_buf_char(scan->out, '(');
    return 0;
}

/* Length of {n}, {n,} or {n,m} at scan->at, 0 for any other brace, which is literal. */
static size_t repeat_size(const struct scan *scan)
{
    size_t at = scan->at + 1, digits = 0;
    for (; at < scan->text.size && scan->text.data[at] >= '0' && scan->text.data[at] <= '9'; at++)
        digits++;
    if (digits && at < scan->text.size && scan->text.data[at] == ',')
        at++;
    while (digits && at < scan->text.size && scan->text.data[at] >= '0' &&
           scan->text.data[at] <= '9')
        at++;
    return digits && at < scan->text.size && scan->text.data[at] == '}' ? at + 1 - scan->at : 0;
}

/* A repetition of a repetition is an error, as in ECMA-262: regcomp would take it, and exponential
 * time. */
static int repeat_translate(struct scan *scan, size_t size)
{
    if (!scan->atom)
        return refuse(scan, "nothing to repeat");
    bv_buf_append(scan->out, scan->text.data + scan->at, size);
    scan->at += size;
    if (scan->at < scan->text.size && scan->text.data[scan->at] == '?')
        scan->at++; /* lazy */
    scan->atom = false;
    return 0;
}

static int one_translate(struct scan *scan)
{
    char c = scan->text.data[scan->at];
    size_t repeat = c == '{' ? repeat_size(scan) : c == '*' || c == '+' || c == '?';
    if (repeat)
        return repeat_translate(scan, repeat);
    scan->atom = c != '(' && c != '|' && c != '^' && c != '$';
    uint32_t code = next_code(scan);
    switch (code) {
    case '\\':
        return escape_translate(scan);
    case '[':
        return class_translate(scan);
    case '(':
        return group_translate(scan);
    case '.':
        bv_buf_text(scan->out, "[^\n\r\xe2\x80\xa8\xe2\x80\xa9]");
        return 0;
    case ')':
    case '|':
    case '^':
    case '$':
        bv_buf_char(scan->out, (char)code);
        return 0;
    case 0:
        return refuse(scan, "NUL is not supported");
    default:
        put_literal(scan->out, code);
        return 0;
    }
}

int pattern_translate(struct bv_bytes text, struct bv_buf *out, struct bv_error *error)
{
    struct scan scan = {.text = text, .out = out, .error = error};
    if (!bv_bytes_utf8(text))
        return refuse(&scan, "not UTF-8");
    while (scan.at < text.size)
        BV_TRY(one_translate(&scan));
    return out->failed ? bv_fail(error, BV_E_TOO_LARGE, "a pattern is too long") : 0;
}

struct pattern {
    regex_t regex;
    locale_t locale; /* owned */
};

static int compile(struct pattern *pattern, const char *text, struct bv_error *error)
{
    locale_t before = uselocale(pattern->locale);
    int rc = regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB);
    uselocale(before);
    if (rc == 0)
        return 0;
    char reason[80];
    regerror(rc, &pattern->regex, reason, sizeof reason);
    return bv_fail(error, BV_E_INVALID, "pattern: %s", reason);
}

int pattern_open(struct bv_bytes text, struct pattern **ret_pattern, struct bv_error *error)
{
    struct bv_buf buf = {.max = 65536};
    int rc = pattern_translate(text, &buf, error);
    if (rc == 0 && bv_buf_char(&buf, '\0') < 0)
        rc = BV_E_TOO_LARGE;
    struct pattern *pattern = rc == 0 ? calloc(1, sizeof *pattern) : NULL;
    if (rc == 0 && !pattern)
        rc = BV_E_NOMEM;
    if (rc == 0) {
        pattern->locale = newlocale(LC_CTYPE_MASK | LC_COLLATE_MASK, "C.UTF-8", (locale_t)0);
        rc = pattern->locale ? compile(pattern, buf.data, error)
                             : bv_fail(error, BV_E_INTERNAL, "no locale C.UTF-8");
    }
    bv_buf_release(&buf);
    if (rc < 0) {
        if (pattern && pattern->locale)
            freelocale(pattern->locale);
        free(pattern);
        return rc;
    }
    *ret_pattern = pattern;
    return 0;
}

void pattern_close(struct pattern **slot)
{
    struct pattern *pattern = *slot;
    if (!pattern)
        return;
    *slot = NULL;
    regfree(&pattern->regex);
    freelocale(pattern->locale);
    free(pattern);
}

bool pattern_matches(const struct pattern *pattern, struct bv_bytes text)
{
    regmatch_t span = {.rm_so = 0, .rm_eo = (regoff_t)text.size};
    locale_t before = uselocale(pattern->locale);
    int rc = regexec(&pattern->regex, text.data ? text.data : "", 1, &span, REG_STARTEND);
    uselocale(before);
    return rc == 0;
}
