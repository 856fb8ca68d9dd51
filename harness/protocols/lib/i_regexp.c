/* The pattern is compiled to a program: SET reads one character, SPLIT goes on in two places, JUMP
 * in another, BEGIN and END go on only at the ends of the text. {n,m} copies its atom by reading
 * its text again. A match runs all threads of the program side by side over the text; each place is
 * in a list once, so a step costs at most the length of the program. Source: RFC 9485; R. Cox,
 * "Regular Expression Matching: the Virtual Machine Approach", 2009. */
#include "i_regexp.h"

#include <locale.h>
#include <stdlib.h>
#include <wctype.h>

enum opcode { OP_SET, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH };
struct range {
    uint32_t low, high;
};
struct set {
    bool negated;
    struct range *ranges; /* arena */
    size_t count;
    struct category {
        const struct category_row *row;
        bool negated;
    } categories[4];
    size_t category_count;
};
struct instruction {
    enum opcode op;
    size_t to;    /* SPLIT, JUMP */
    size_t other; /* SPLIT */
    struct set set;
};
struct i_regexp {
    struct instruction *program; /* arena */
    size_t count;
    bool categories; /* some set has one: a locale is needed */
};

/* ---- general categories, as the C library's classes in C.UTF-8 have them ---- */

static bool is_l(wint_t c, locale_t locale)
{
    return iswalpha_l(c, locale) && !iswdigit_l(c, locale);
}
static bool is_lu(wint_t c, locale_t locale)
{
    return iswupper_l(c, locale) != 0;
}
static bool is_ll(wint_t c, locale_t locale)
{
    return iswlower_l(c, locale) != 0;
}
static bool is_n(wint_t c, locale_t locale)
{
    return iswdigit_l(c, locale) != 0;
}
static bool is_symbol(wint_t c)
{
    return (c < 0x80 && c && strchr("$+<=>^`|~", (int)c)) || (c >= 0x20a0 && c <= 0x20cf) ||
           (c >= 0x2190 && c <= 0x23ff) || (c >= 0x2500 && c <= 0x27bf);
}
static bool is_p(wint_t c, locale_t locale)
{
    return iswpunct_l(c, locale) && !is_symbol(c);
}
static bool is_s(wint_t c, locale_t locale)
{
    return iswpunct_l(c, locale) && is_symbol(c);
}
static bool is_z(wint_t c, locale_t locale)
{
    return c == 0xa0 || c == 0x202f || c == 0x2007 || (iswspace_l(c, locale) && c > 0x1f);
}
static const struct category_row {
    const char *name;
    bool (*holds)(wint_t c, locale_t locale);
} categories[] = {
    {"L",  is_l },
    {"Lu", is_lu},
    {"Ll", is_ll},
    {"N",  is_n },
    {"Nd", is_n },
    {"P",  is_p },
    {"S",  is_s },
    {"Z",  is_z },
};

/* ---- parser ---- */

struct parser {
    struct bv_arena *arena;
    struct bv_bytes text;
    size_t at;
    int depth;
    struct instruction *program;
    size_t count;
    size_t capacity;
    bool categories;
    struct bv_error *error;
};

static int refuse(struct parser *p, const char *what)
{
    return bv_fail(p->error,
                   BV_E_INVALID,
                   "expression \"%.*s\": %s at column %zu",
                   (int)(p->text.size < 40 ? p->text.size : 40),
                   p->text.data,
                   what,
                   p->at + 1);
}

/* The character at *at of well-formed UTF-8; *at moves behind. */
static uint32_t take_char(struct bv_bytes text, size_t *at)
{
    const unsigned char *p = (const unsigned char *)text.data + *at;
    const size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = size == 1 ? p[0] : p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++)
        c = c << 6 | (p[i] & 0x3fu);
    *at += size;
    return c;
}

static bool next_is(const struct parser *p, char c)
{
    return p->at < p->text.size && p->text.data[p->at] == c;
}

static int emit(struct parser *p, struct instruction instruction)
{
    if (p->count == I_REGEXP_PROGRAM_MAX)
        return refuse(p, "it is too large");
    if (p->count == p->capacity) {
        const size_t capacity = p->capacity ? p->capacity * 2 : 16;
        struct instruction *grown = bv_arena_resize(
            p->arena, p->program, p->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown)
            return BV_E_NOMEM;
        p->program = grown;
        p->capacity = capacity;
    }
    p->program[p->count++] = instruction;
    return 0;
}

static int add_range(struct parser *p, struct set *set, uint32_t low, uint32_t high)
{
    struct range *grown = bv_arena_resize(
        p->arena, set->ranges, set->count * sizeof *grown, (set->count + 1) * sizeof *grown);
    if (!grown)
        return BV_E_NOMEM;
    set->ranges = grown;
    grown[set->count++] = (struct range){low, high};
    return 0;
}

/* Behind "\p" or "\P". */
static int take_category(struct parser *p, struct set *set, bool negated)
{
    const char *end =
        next_is(p, '{') ? memchr(p->text.data + p->at, '}', p->text.size - p->at) : NULL;
    if (!end)
        return refuse(p, "\\p is followed by a category in braces");
    const struct bv_bytes name = {p->text.data + p->at + 1,
                                  (size_t)(end - p->text.data) - p->at - 1};
    for (size_t i = 0; i < BV_COUNT(categories); i++) {
        if (!bv_bytes_equal(name, bv_bytes_of(categories[i].name)))
            continue;
        if (set->category_count == BV_COUNT(set->categories))
            return refuse(p, "more than four categories");
        set->categories[set->category_count++] = (struct category){&categories[i], negated};
        p->categories = true;
        p->at += name.size + 2;
        return 0;
    }
    return refuse(p, "a category other than L, Lu, Ll, N, Nd, P, S, Z");
}

/* Behind a backslash: a single character. */
static int take_escape(struct parser *p, uint32_t *ret_char)
{
    static const char plain[] = "()*+-.?[\\]^{|}";
    const char c = p->at < p->text.size ? p->text.data[p->at] : '\0';
    if (c == 'n' || c == 'r' || c == 't')
        *ret_char = c == 'n' ? '\n' : c == 'r' ? '\r' : '\t';
    else if (c && strchr(plain, c))
        *ret_char = (uint32_t)c;
    else
        return refuse(p, "an escape other than \\n \\r \\t \\p \\P and of ()*+-.?[]^{|}\\");
    p->at++;
    return 0;
}

/* One character of a class. Outcome 1: it was a category, which is in the set now. */
static int take_class_char(struct parser *p, struct set *set, uint32_t *ret_char)
{
    if (p->at >= p->text.size)
        return refuse(p, "a class ends in ]");
    const char c = p->text.data[p->at];
    if (c == '[' || c == '-')
        return refuse(p, "[ and - are escaped in a class");
    if (c != '\\') {
        *ret_char = take_char(p->text, &p->at);
        return 0;
    }
    p->at++;
    if (next_is(p, 'p') || next_is(p, 'P')) {
        p->at++;
        const int rc = take_category(p, set, p->text.data[p->at - 1] == 'P');
        return rc < 0 ? rc : 1;
    }
    return take_escape(p, ret_char);
}

/* Behind "[". */
static int take_class(struct parser *p, struct set *set)
{
    bool empty = true;
    if (next_is(p, '^')) {
        set->negated = true;
        p->at++;
    }
    if (next_is(p, '-')) {
        p->at++;
        empty = false;
        BV_TRY(add_range(p, set, '-', '-'));
    }
    while (empty || !next_is(p, ']')) {
        uint32_t low = 0, high = 0;
        if (!empty && next_is(p, '-')) { /* only in front of the end */
            p->at++;
            if (!next_is(p, ']'))
                return refuse(p, "- is escaped within a class");
            BV_TRY(add_range(p, set, '-', '-'));
            break;
        }
        if (next_is(p, ']'))
            return refuse(p, "a class is not empty");
        int rc = take_class_char(p, set, &low);
        if (rc < 0)
            return rc;
        empty = false;
        if (rc == 1)
            continue;
        high = low;
        if (next_is(p, '-') && p->at + 1 < p->text.size && p->text.data[p->at + 1] != ']') {
            p->at++;
            if ((rc = take_class_char(p, set, &high)) < 0)
                return rc;
            if (rc == 1 || high < low)
                return refuse(p, "a range goes from a lower to a higher character");
        }
        BV_TRY(add_range(p, set, low, high));
    }
    p->at++;
    return 0;
}

static int take_alternatives(struct parser *p);

/* One atom, emitted. */
static int take_atom(struct parser *p)
{
    struct instruction instruction = {.op = OP_SET};
    struct set *set = &instruction.set;
    const char first = p->text.data[p->at];
    uint32_t c = 0;
    if (first == '(') {
        p->at++;
        if (++p->depth > I_REGEXP_DEPTH_MAX)
            return refuse(p, "groups are nested too deep");
        BV_TRY(take_alternatives(p));
        if (!next_is(p, ')'))
            return refuse(p, "a group ends in )");
        p->depth--;
        p->at++;
        return 0;
    }
    if (strchr(")*+?]{}", first))
        return refuse(p, "this character is escaped when it stands for itself");
    if (first == '.') {
        p->at++;
        set->negated = true;
        BV_TRY(add_range(p, set, '\n', '\n'));
        BV_TRY(add_range(p, set, '\r', '\r'));
    } else if (first == '[') {
        p->at++;
        BV_TRY(take_class(p, set));
    } else if (first == '\\') {
        p->at++;
        if (next_is(p, 'p') || next_is(p, 'P')) {
            p->at++;
            BV_TRY(take_category(p, set, p->text.data[p->at - 1] == 'P'));
        } else {
            BV_TRY(take_escape(p, &c));
            BV_TRY(add_range(p, set, c, c));
        }
    } else {
        c = take_char(p->text, &p->at);
        BV_TRY(add_range(p, set, c, c));
    }
    return emit(p, instruction);
}

static int take_number(struct parser *p, int64_t *ret_number)
{
    const size_t start = p->at;
    while (p->at < p->text.size && p->text.data[p->at] >= '0' && p->text.data[p->at] <= '9')
        p->at++;
    const struct bv_bytes digits = {p->text.data + start, p->at - start};
    return bv_bytes_int64(digits, 0, I_REGEXP_REPEAT_MAX, ret_number) == 0
               ? 0
               : refuse(p, "a repeat is {n}, {n,} or {n,m} with numbers up to 1000");
}

/* How often the atom in front may stand; max -1: without end. Outcome 1: once, nothing was said. */
static int take_quantifier(struct parser *p, int64_t *ret_min, int64_t *ret_max)
{
    const char c = p->at < p->text.size ? p->text.data[p->at] : '\0';
    *ret_min = c == '+' ? 1 : 0;
    *ret_max = c == '?' ? 1 : -1;
    if (c != '*' && c != '+' && c != '?' && c != '{')
        return 1;
    p->at++;
    if (c != '{')
        return 0;
    BV_TRY(take_number(p, ret_min));
    *ret_max = *ret_min;
    if (next_is(p, ',')) {
        p->at++;
        *ret_max = -1;
        if (!next_is(p, '}'))
            BV_TRY(take_number(p, ret_max));
    }
    if (!next_is(p, '}') || (*ret_max >= 0 && *ret_max < *ret_min))
        return refuse(p, "a repeat is {n}, {n,} or {n,m} with n up to m");
    p->at++;
    return 0;
}

/* The atom at start again. */
static int repeat_atom(struct parser *p, size_t start)
{
    const size_t behind = p->at;
    p->at = start;
    BV_TRY(emit(p, (struct instruction){.op = OP_JUMP, .to = p->count + 1})); /* counts */
    BV_TRY(take_atom(p));
    p->at = behind;
    return 0;
}

/* Optional copies and the loop behind the copies that must be there. */
static int emit_rest(struct parser *p, size_t start, int64_t min, int64_t max)
{
    if (max < 0) {
        const size_t split = p->count;
        BV_TRY(emit(p, (struct instruction){.op = OP_SPLIT, .to = split + 1}));
        BV_TRY(repeat_atom(p, start));
        BV_TRY(emit(p, (struct instruction){.op = OP_JUMP, .to = split}));
        p->program[split].other = p->count;
        return 0;
    }
    for (int64_t i = min; i < max; i++) {
        const size_t split = p->count;
        BV_TRY(emit(p, (struct instruction){.op = OP_SPLIT, .to = split + 1}));
        BV_TRY(repeat_atom(p, start));
        p->program[split].other = p->count;
    }
    return 0;
}

static int take_piece(struct parser *p)
{
    const size_t start = p->at, from = p->count;
    int64_t min = 1, max = 1;
    BV_TRY(take_atom(p));
    const int rc = take_quantifier(p, &min, &max);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    p->count = from; /* what was emitted is made again, as often as it is needed */
    for (int64_t i = 0; i < min; i++)
        BV_TRY(repeat_atom(p, start));
    return emit_rest(p, start, min, max);
}

static bool branch_ends(const struct parser *p, size_t at)
{
    return at >= p->text.size || p->text.data[at] == '|' || p->text.data[at] == ')';
}

static int take_branch(struct parser *p)
{
    if (next_is(p, '^')) {
        p->at++;
        BV_TRY(emit(p, (struct instruction){.op = OP_BEGIN}));
    }
    while (!branch_ends(p, p->at)) {
        if (!next_is(p, '$') || !branch_ends(p, p->at + 1)) {
            BV_TRY(take_piece(p));
            continue;
        }
        p->at++;
        BV_TRY(emit(p, (struct instruction){.op = OP_END}));
    }
    return 0;
}

/* branch *("|" branch): each branch but the last is split, branch, jump to the end. */
static int take_alternatives(struct parser *p)
{
    size_t last_jump = SIZE_MAX; /* chained through `to` until the end is known */
    for (;;) {
        const size_t split = p->count;
        BV_TRY(emit(p, (struct instruction){.op = OP_SPLIT, .to = split + 1, .other = split + 1}));
        BV_TRY(take_branch(p));
        if (!next_is(p, '|'))
            break;
        p->at++;
        BV_TRY(emit(p, (struct instruction){.op = OP_JUMP, .to = last_jump}));
        last_jump = p->count - 1;
        p->program[split].other = p->count;
    }
    while (last_jump != SIZE_MAX) {
        const size_t next = p->program[last_jump].to;
        p->program[last_jump].to = p->count;
        last_jump = next;
    }
    return 0;
}

int i_regexp_parse(struct bv_arena *arena,
                   struct bv_bytes text,
                   const struct i_regexp **ret_regexp,
                   struct bv_error *error)
{
    struct parser parser = {.arena = arena, .text = text, .error = error};
    if (!bv_bytes_utf8(text) || (text.size && memchr(text.data, 0, text.size)))
        return bv_fail(error, BV_E_INVALID, "an expression is UTF-8 without NUL");
    BV_TRY(take_alternatives(&parser));
    if (parser.at < text.size)
        return refuse(&parser, "a ) without its (");
    BV_TRY(emit(&parser, (struct instruction){.op = OP_MATCH}));
    struct i_regexp *regexp = bv_arena_new(arena, struct i_regexp);
    if (!regexp)
        return BV_E_NOMEM;
    *regexp = (struct i_regexp){parser.program, parser.count, parser.categories};
    *ret_regexp = regexp;
    return 0;
}

/* ---- matching ---- */

static bool set_has(const struct set *set, uint32_t c, locale_t locale)
{
    bool has = false;
    for (size_t i = 0; i < set->count && !has; i++)
        has = c >= set->ranges[i].low && c <= set->ranges[i].high;
    for (size_t i = 0; i < set->category_count && !has; i++)
        has = locale &&
              set->categories[i].row->holds((wint_t)c, locale) != set->categories[i].negated;
    return has != set->negated;
}

/* Places of the program in which a thread waits for a character; each at most once. */
struct threads {
    size_t *places;
    size_t count;
    size_t *seen; /* step in which a place was added last */
    size_t *stack;
};

enum edge { EDGE_NONE = 0, EDGE_BEGIN = 1, EDGE_END = 2 };
static enum edge edges_at(struct bv_bytes text, size_t at)
{
    const int begin = at == 0 ? EDGE_BEGIN : EDGE_NONE;
    return (enum edge)(begin | (at == text.size ? EDGE_END : EDGE_NONE));
}

/* Adds what is reached from place without reading; step differs for each place in the text. true:
 * the end of the program is. */
static bool add_thread(const struct i_regexp *regexp,
                       struct threads *threads,
                       size_t place,
                       size_t step,
                       enum edge edge)
{
    size_t depth = 0;
    bool matched = false;
    threads->stack[depth++] = place;
    while (depth > 0) {
        const size_t at = threads->stack[--depth];
        const struct instruction *instruction = &regexp->program[at];
        if (threads->seen[at] == step)
            continue;
        threads->seen[at] = step;
        switch (instruction->op) {
        case OP_MATCH:
            matched = true;
            break;
        case OP_SET:
            threads->places[threads->count++] = at;
            break;
        case OP_SPLIT:
            threads->stack[depth++] = instruction->other;
            threads->stack[depth++] = instruction->to;
            break;
        case OP_JUMP:
            threads->stack[depth++] = instruction->to;
            break;
        case OP_BEGIN:
        case OP_END:
            if (edge & (instruction->op == OP_BEGIN ? EDGE_BEGIN : EDGE_END))
                threads->stack[depth++] = at + 1;
            break;
        }
    }
    return matched;
}

static bool run(const struct i_regexp *regexp,
                struct threads now,
                struct threads next,
                struct bv_bytes text,
                enum i_regexp_extent extent,
                locale_t locale)
{
    size_t at = 0, step = 1;
    bool matched = add_thread(regexp, &now, 0, step, edges_at(text, 0));
    while (at < text.size && !(matched && extent == I_REGEXP_ANYWHERE)) {
        const uint32_t c = take_char(text, &at);
        step++;
        next.count = 0;
        matched = false;
        for (size_t i = 0; i < now.count; i++)
            if (set_has(&regexp->program[now.places[i]].set, c, locale))
                matched |= add_thread(regexp, &next, now.places[i] + 1, step, edges_at(text, at));
        if (extent == I_REGEXP_ANYWHERE)
            matched |= add_thread(regexp, &next, 0, step, edges_at(text, at));
        const struct threads before = now;
        now = next;
        next = before;
    }
    return matched;
}

static bool threads_make(struct bv_arena *arena, size_t count, struct threads *ret_threads)
{
    ret_threads->places = bv_arena_array(arena, size_t, count);
    ret_threads->seen = bv_arena_array(arena, size_t, count);
    ret_threads->stack = bv_arena_array(arena, size_t, 2 * count + 2);
    return ret_threads->places && ret_threads->seen && ret_threads->stack;
}

bool i_regexp_matches(const struct i_regexp *regexp,
                      struct bv_arena *arena,
                      struct bv_bytes text,
                      enum i_regexp_extent extent)
{
    struct threads now = {0}, next = {0};
    if (!bv_bytes_utf8(text) || !threads_make(arena, regexp->count, &now) ||
        !threads_make(arena, regexp->count, &next))
        return false;
    locale_t locale =
        regexp->categories ? newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) : (locale_t)0;
    const bool matched = run(regexp, now, next, text, extent, locale);
    if (locale)
        freelocale(locale);
    return matched;
}
