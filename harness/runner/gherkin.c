/* The official parser is a generated table over token kinds; which kinds a line may be depends on
 * the state, and a line that is none of the expected kinds is description text where that is
 * allowed, else an error. Here each state is a function that asks "is this line one of those that
 * may stand here?" in the same order:
 *
 *   document    := tags? Feature description? background? scenario* rule*
 *   background  := Background description? step*
 *   scenario    := tags? Scenario description? step* examples*
 *   step        := Given|When|Then|And|But|* text (table? and doc string?, in either order)
 *   examples    := tags? Examples description? table?
 *   rule        := tags? Rule description? background? scenario*
 */
#include "gherkin.h"

#include <stdarg.h>
#include <stdio.h>

enum line_kind {
    LINE_END,
    LINE_EMPTY,
    LINE_COMMENT,
    LINE_TAG,
    LINE_FEATURE,
    LINE_RULE,
    LINE_BACKGROUND,
    LINE_SCENARIO,
    LINE_EXAMPLES,
    LINE_STEP,
    LINE_DOC,
    LINE_ROW,
    LINE_OTHER
};
#define BIT(kind) (1u << (kind))

struct line {
    struct bv_bytes raw;     /* without its end */
    struct bv_bytes trimmed; /* raw without leading space */
    uint32_t number;
    enum line_kind kind;
    struct bv_bytes keyword; /* of title lines and steps */
    struct bv_bytes rest;    /* what follows the keyword, trimmed */
    enum gherkin_keyword_type type;
};

/* Grows an array of the arena by one zeroed element; NULL when exhausted. */
struct list {
    void *data;
    size_t count;
    size_t capacity;
};

struct parser {
    struct bv_arena *arena;
    const char *cursor; /* begin of the line after `line` */
    const char *end;
    struct line line;
    struct list comments; /* struct gherkin_comment */
    struct gherkin_error *error;
};

static const struct {
    struct bv_bytes word;
    enum line_kind kind;
} titles[] = {
#define TITLE(text, kind)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, kind                                                             \
    }
    TITLE("Feature", LINE_FEATURE),
    TITLE("Business Need", LINE_FEATURE),
    TITLE("Ability", LINE_FEATURE),
    TITLE("Rule", LINE_RULE),
    TITLE("Background", LINE_BACKGROUND),
    TITLE("Scenario Outline", LINE_SCENARIO),
    TITLE("Scenario Template", LINE_SCENARIO),
    TITLE("Scenarios", LINE_EXAMPLES),
    TITLE("Scenario", LINE_SCENARIO),
    TITLE("Examples", LINE_EXAMPLES),
    TITLE("Example", LINE_SCENARIO),
};

static const struct {
    struct bv_bytes word;
    enum gherkin_keyword_type type;
} step_words[] = {
    {{"* ", 2},     GHERKIN_UNKNOWN    },
    {{"Given ", 6}, GHERKIN_CONTEXT    },
    {{"When ", 5},  GHERKIN_ACTION     },
    {{"Then ", 5},  GHERKIN_OUTCOME    },
    {{"And ", 4},   GHERKIN_CONJUNCTION},
    {{"But ", 4},   GHERKIN_CONJUNCTION},
};

/* In the order in which the official parser lists what it expected. */
static const struct {
    enum line_kind kind;
    const char *word;
} kind_words[] = {
    {LINE_END,        "end of file"},
    {LINE_ROW,        "table row"  },
    {LINE_DOC,        "doc string" },
    {LINE_STEP,       "step"       },
    {LINE_TAG,        "tag"        },
    {LINE_EXAMPLES,   "Examples:"  },
    {LINE_FEATURE,    "Feature:"   },
    {LINE_BACKGROUND, "Background:"},
    {LINE_SCENARIO,   "Scenario:"  },
    {LINE_RULE,       "Rule:"      },
};

const char *gherkin_keyword_type_word(enum gherkin_keyword_type type)
{
    static const char *const words[] = {
#define BV_X_(name, word) word,
        GHERKIN_KEYWORD_TYPES(BV_X_)
#undef BV_X_
    };
    return words[type];
}

/* ---- bytes ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* White space beyond ASCII's, as UTF-8; text is trimmed of it too. */
static const struct bv_bytes wide_blanks[] = {
#define WIDE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    WIDE("\xc2\x85"),     WIDE("\xc2\xa0"),     WIDE("\xe1\x9a\x80"), WIDE("\xe2\x80\x80"),
    WIDE("\xe2\x80\x81"), WIDE("\xe2\x80\x82"), WIDE("\xe2\x80\x83"), WIDE("\xe2\x80\x84"),
    WIDE("\xe2\x80\x85"), WIDE("\xe2\x80\x86"), WIDE("\xe2\x80\x87"), WIDE("\xe2\x80\x88"),
    WIDE("\xe2\x80\x89"), WIDE("\xe2\x80\x8a"), WIDE("\xe2\x80\xa8"), WIDE("\xe2\x80\xa9"),
    WIDE("\xe2\x80\xaf"), WIDE("\xe2\x81\x9f"), WIDE("\xe3\x80\x80"),
};

/* Bytes of the white space that text begins with, 0: none. */
static size_t blank_begin(struct bv_bytes text)
{
    if (!text.size || blank(text.data[0]) ||
        ((unsigned char)text.data[0] >= 0x1c && (unsigned char)text.data[0] <= 0x1f))
        return text.size ? 1 : 0;
    for (size_t i = 0; ((unsigned char)text.data[0] & 0x80) && i < BV_COUNT(wide_blanks); i++)
        if (bv_bytes_starts(text, wide_blanks[i]))
            return wide_blanks[i].size;
    return 0;
}

static size_t blank_end(struct bv_bytes text)
{
    for (size_t size = 1; size <= 3 && size <= text.size; size++) {
        struct bv_bytes end = {text.data + text.size - size, size};
        if (blank_begin(end) == size)
            return size;
    }
    return 0;
}

static struct bv_bytes trim_left(struct bv_bytes text)
{
    for (size_t size; (size = blank_begin(text)) > 0;)
        text = (struct bv_bytes){text.data + size, text.size - size};
    return text;
}

static struct bv_bytes trim(struct bv_bytes text)
{
    text = trim_left(text);
    for (size_t size; (size = blank_end(text)) > 0;)
        text.size -= size;
    return text;
}

static struct bv_bytes skip(struct bv_bytes text, size_t size)
{
    return (struct bv_bytes){text.data + size, text.size - size};
}

/* Column of a place in the current line, in code points. */
static uint32_t column_of(const struct line *line, const char *place)
{
    uint32_t column = 1;
    for (const char *c = line->raw.data; c < place; c++)
        column += ((unsigned char)*c & 0xc0) != 0x80;
    return column;
}

static struct gherkin_location location(const struct line *line)
{
    return (struct gherkin_location){line->number, column_of(line, line->trimmed.data)};
}

static int fail_at(struct parser *parser, struct gherkin_location at, const char *format, ...)
    BV_PRINTF(3, 4);
static int fail_at(struct parser *parser, struct gherkin_location at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    parser->error->at = at;
    vsnprintf(parser->error->text, sizeof parser->error->text, format, arguments);
    va_end(arguments);
    return BV_E_INVALID;
}

static void *add(struct bv_arena *arena, struct list *list, size_t size)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        void *data = bv_arena_resize(arena, list->data, list->capacity * size, capacity * size);
        if (!data)
            return NULL;
        list->data = data;
        list->capacity = capacity;
    }
    char *place = (char *)list->data + list->count++ * size;
    memset(place, 0, size);
    return place;
}
#define ADD(parser, list, type) ((type *)add((parser)->arena, (list), sizeof(type)))

/* ---- lines ---- */

static bool title(struct line *line)
{
    for (size_t i = 0; i < BV_COUNT(titles); i++) {
        struct bv_bytes word = titles[i].word;
        if (bv_bytes_starts(line->trimmed, word) && line->trimmed.size > word.size &&
            line->trimmed.data[word.size] == ':') {
            line->kind = titles[i].kind;
            line->keyword = word;
            line->rest = trim(skip(line->trimmed, word.size + 1));
            return true;
        }
    }
    return false;
}

static bool step_line(struct line *line)
{
    for (size_t i = 0; i < BV_COUNT(step_words); i++) {
        if (bv_bytes_starts(line->trimmed, step_words[i].word)) {
            line->kind = LINE_STEP;
            line->keyword = step_words[i].word;
            line->type = step_words[i].type;
            line->rest = trim(skip(line->trimmed, step_words[i].word.size));
            return true;
        }
    }
    return false;
}

static void classify(struct line *line)
{
    struct bv_bytes text = line->trimmed;
    line->kind = LINE_OTHER;
    if (!text.size)
        line->kind = LINE_EMPTY;
    else if (text.data[0] == '#')
        line->kind = LINE_COMMENT;
    else if (text.data[0] == '@')
        line->kind = LINE_TAG;
    else if (text.data[0] == '|')
        line->kind = LINE_ROW;
    else if (bv_bytes_starts(text, BV_BYTES("\"\"\"")) || bv_bytes_starts(text, BV_BYTES("```")))
        line->kind = LINE_DOC;
    else if (!title(line))
        (void)step_line(line);
}

/* Reads the line at *cursor and moves past it. */
static struct line read_line(const char **cursor, const char *end, uint32_t number)
{
    struct line line = {
        .number = number, .raw = {*cursor, 0},
             .kind = LINE_END
    };
    if (*cursor >= end) {
        line.trimmed = line.raw;
        return line;
    }
    const char *stop = memchr(*cursor, '\n', (size_t)(end - *cursor));
    line.raw.size = (size_t)((stop ? stop : end) - *cursor);
    *cursor = stop ? stop + 1 : end;
    while (line.raw.size && line.raw.data[line.raw.size - 1] == '\r')
        line.raw.size--;
    line.trimmed = trim_left(line.raw);
    classify(&line);
    return line;
}

static void advance(struct parser *parser)
{
    parser->line = read_line(&parser->cursor, parser->end, parser->line.number + 1);
}

static int note_comment(struct parser *parser)
{
    struct gherkin_comment *comment = ADD(parser, &parser->comments, struct gherkin_comment);
    if (!comment)
        return BV_E_NOMEM;
    *comment = (struct gherkin_comment){
        {parser->line.number, 1},
        parser->line.raw
    };
    return 0;
}

/* Passes over what may stand between any two lines. */
static int skip_blank(struct parser *parser)
{
    for (;; advance(parser)) {
        if (parser->line.kind == LINE_COMMENT)
            BV_TRY(note_comment(parser));
        else if (parser->line.kind != LINE_EMPTY)
            return 0;
    }
}

static int unexpected(struct parser *parser, uint32_t expected)
{
    char words[120] = "";
    size_t size = 0;
    for (size_t i = 0; i < BV_COUNT(kind_words); i++) {
        if (expected & BIT(kind_words[i].kind))
            size += (size_t)snprintf(
                words + size, sizeof words - size, "%s%s", size ? ", " : "", kind_words[i].word);
    }
    if (parser->line.kind == LINE_END)
        return fail_at(
            parser, location(&parser->line), "unexpected end of file, expected %s", words);
    struct bv_bytes text = trim(parser->line.trimmed);
    int shown = text.size > 40 ? 40 : (int)text.size;
    while (shown && ((unsigned char)text.data[shown - 1] & 0x80) && text.size > 40)
        shown--;
    return fail_at(
        parser, location(&parser->line), "expected %s, got \"%.*s\"", words, shown, text.data);
}

/* What follows the tags, comments and empty lines from here on, without moving. */
static enum line_kind after_tags(const struct parser *parser)
{
    struct line line = parser->line;
    const char *cursor = parser->cursor;
    while (line.kind == LINE_TAG || line.kind == LINE_COMMENT || line.kind == LINE_EMPTY)
        line = read_line(&cursor, parser->end, line.number + 1);
    return line.kind;
}

/* ---- parts ---- */

static int tag_line(struct parser *parser, struct list *tags)
{
    struct bv_bytes text = parser->line.trimmed;
    for (size_t i = 1; i < text.size; i++) /* a comment may end the line */
        if (text.data[i] == '#' && blank(text.data[i - 1]))
            text.size = i;
    text = trim(text);
    while (text.size) {
        const char *next = memchr(text.data + 1, '@', text.size - 1);
        size_t size = next ? (size_t)(next - text.data) : text.size;
        struct bv_bytes name = trim((struct bv_bytes){text.data, size});
        struct gherkin_location at = {parser->line.number, column_of(&parser->line, name.data)};
        for (size_t i = 0; i < name.size; i++)
            if (blank_begin(skip(name, i)))
                return fail_at(parser, at, "a tag may not contain white space");
        if (name.size > 1) {
            struct gherkin_tag *tag = ADD(parser, tags, struct gherkin_tag);
            if (!tag)
                return BV_E_NOMEM;
            *tag = (struct gherkin_tag){at, name};
        }
        text = skip(text, size);
    }
    return 0;
}

static int parse_tags(struct parser *parser, struct gherkin_tags *ret_tags)
{
    struct list tags = {0};
    BV_TRY(skip_blank(parser));
    while (parser->line.kind == LINE_TAG) {
        BV_TRY(tag_line(parser, &tags));
        advance(parser);
        BV_TRY(skip_blank(parser));
    }
    *ret_tags = (struct gherkin_tags){tags.data, tags.count};
    return 0;
}

/* Lines up to one of the kinds of stop. */
static int parse_description(struct parser *parser, uint32_t stop, struct bv_bytes *ret_description)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_GHERKIN_BYTES_MAX * 2};
    BV_TRY(skip_blank(parser));
    size_t kept = 0; /* trailing empty lines are none of it */
    for (; !(BIT(parser->line.kind) & (stop | BIT(LINE_END) | BIT(LINE_TAG))); advance(parser)) {
        if (parser->line.kind == LINE_COMMENT) {
            BV_TRY(note_comment(parser));
            continue;
        }
        if (text.size)
            BV_TRY(bv_buf_char(&text, '\n'));
        BV_TRY(bv_buf_bytes(&text, parser->line.raw));
        if (parser->line.kind != LINE_EMPTY)
            kept = text.size;
        if (!kept)
            bv_buf_reset(&text);
    }
    *ret_description =
        bv_arena_copy(parser->arena, (struct bv_bytes){text.data ? text.data : "", kept});
    return ret_description->data ? 0 : BV_E_NOMEM;
}

static int parse_cells(struct parser *parser, struct gherkin_row *row)
{
    struct list cells = {0};
    struct bv_bytes text = skip(parser->line.trimmed, 1);
    bv_auto(bv_buf_release) struct bv_buf cell = {.max = BV_GHERKIN_BYTES_MAX};
    const char *begin = text.data;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\\' && i + 1 < text.size && strchr("n|\\", text.data[i + 1])) {
            c = text.data[++i];
            BV_TRY(bv_buf_char(&cell, c == 'n' ? '\n' : c));
        } else if (c != '|') {
            BV_TRY(bv_buf_char(&cell, c));
        } else {
            struct gherkin_cell *stored = ADD(parser, &cells, struct gherkin_cell);
            begin = trim_left((struct bv_bytes){begin, (size_t)(text.data + i - begin)}).data;
            struct bv_bytes value = {cell.data ? cell.data : "", cell.size};
            if (!stored)
                return BV_E_NOMEM;
            stored->at =
                (struct gherkin_location){parser->line.number, column_of(&parser->line, begin)};
            stored->value = bv_arena_copy(parser->arena, trim(value));
            if (!stored->value.data)
                return BV_E_NOMEM;
            bv_buf_reset(&cell);
            begin = text.data + i + 1;
        }
    }
    row->cells = cells.data;
    row->count = cells.count;
    return 0;
}

static int parse_table(struct parser *parser, struct gherkin_table *ret_table)
{
    struct list rows = {0};
    struct gherkin_location at = location(&parser->line);
    while (parser->line.kind == LINE_ROW) {
        struct gherkin_row *row = ADD(parser, &rows, struct gherkin_row);
        if (!row)
            return BV_E_NOMEM;
        row->at = location(&parser->line);
        BV_TRY(parse_cells(parser, row));
        if (row->count != ((struct gherkin_row *)rows.data)->count)
            return fail_at(parser, row->at, "inconsistent cell count within the table");
        advance(parser);
        BV_TRY(skip_blank(parser));
    }
    *ret_table = (struct gherkin_table){at, rows.data, rows.count};
    return 0;
}

/* \"\"\" stands for the delimiter inside the text. */
static int unescape(struct bv_buf *buf, struct bv_bytes text, char delimiter)
{
    const char escaped[6] = {'\\', delimiter, '\\', delimiter, '\\', delimiter};
    while (text.size) {
        if (text.size >= 6 && memcmp(text.data, escaped, 6) == 0) {
            for (int i = 0; i < 3; i++)
                BV_TRY(bv_buf_char(buf, delimiter));
            text = skip(text, 6);
        } else {
            BV_TRY(bv_buf_char(buf, text.data[0]));
            text = skip(text, 1);
        }
    }
    return 0;
}

static int parse_doc(struct parser *parser, struct gherkin_doc_string *doc)
{
    bv_auto(bv_buf_release) struct bv_buf raw = {.max = BV_GHERKIN_BYTES_MAX * 2};
    doc->at = location(&parser->line);
    doc->delimiter = parser->line.trimmed.data[0];
    doc->media_type = trim(skip(parser->line.trimmed, 3));
    struct bv_bytes delimiter = {parser->line.trimmed.data, 3};
    uint32_t indent = location(&parser->line).column - 1; /* in characters */
    bool first = true;
    for (advance(parser); !bv_bytes_starts(parser->line.trimmed, delimiter); advance(parser)) {
        if (parser->line.kind == LINE_END)
            return fail_at(parser, doc->at, "the doc string is not closed");
        struct bv_bytes text = parser->line.raw;
        if (!first)
            BV_TRY(bv_buf_char(&raw, '\n'));
        for (uint32_t i = 0; i < indent && blank_begin(text); i++)
            text = skip(text, blank_begin(text));
        BV_TRY(bv_buf_bytes(&raw, text));
        first = false;
    }
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_GHERKIN_BYTES_MAX * 2};
    BV_TRY(unescape(&text, bv_buf_view(&raw), doc->delimiter));
    doc->content =
        bv_arena_copy(parser->arena, (struct bv_bytes){text.data ? text.data : "", text.size});
    advance(parser);
    return doc->content.data ? skip_blank(parser) : BV_E_NOMEM;
}

static int parse_steps(struct parser *parser, struct gherkin_scenario *scenario)
{
    struct list steps = {0};
    while (parser->line.kind == LINE_STEP) {
        struct gherkin_step *step = ADD(parser, &steps, struct gherkin_step);
        if (!step)
            return BV_E_NOMEM;
        step->at = location(&parser->line);
        step->keyword = parser->line.keyword;
        step->type = parser->line.type;
        step->text = parser->line.rest;
        advance(parser);
        BV_TRY(skip_blank(parser));
        if (parser->line.kind == LINE_ROW)
            BV_TRY(parse_table(parser, &step->table));
        if (parser->line.kind == LINE_DOC)
            BV_TRY(parse_doc(parser, &step->doc));
        if (parser->line.kind == LINE_ROW && !step->table.count)
            BV_TRY(parse_table(parser, &step->table));
    }
    scenario->steps = steps.data;
    scenario->step_count = steps.count;
    return 0;
}

static int parse_examples(struct parser *parser, struct gherkin_scenario *scenario)
{
    struct list list = {0};
    while (after_tags(parser) == LINE_EXAMPLES) {
        struct gherkin_examples *examples = ADD(parser, &list, struct gherkin_examples);
        if (!examples)
            return BV_E_NOMEM;
        BV_TRY(parse_tags(parser, &examples->tags));
        examples->at = location(&parser->line);
        examples->keyword = parser->line.keyword;
        examples->name = parser->line.rest;
        advance(parser);
        BV_TRY(parse_description(parser,
                                 BIT(LINE_ROW) | BIT(LINE_EXAMPLES) | BIT(LINE_SCENARIO) |
                                     BIT(LINE_RULE),
                                 &examples->description));
        if (parser->line.kind == LINE_ROW)
            BV_TRY(parse_table(parser, &examples->table));
        scenario->examples = list.data;
        scenario->example_count = list.count;
    }
    return 0;
}

static void
begin(struct parser *parser, struct gherkin_scenario *scenario, struct gherkin_tags tags)
{
    scenario->at = location(&parser->line);
    scenario->tags = tags;
    scenario->keyword = parser->line.keyword;
    scenario->name = parser->line.rest;
    advance(parser);
}

static int parse_scenario(struct parser *parser, struct gherkin_scenario *scenario)
{
    uint32_t next = BIT(LINE_TAG) | BIT(LINE_EXAMPLES) | BIT(LINE_SCENARIO) | BIT(LINE_RULE);
    struct gherkin_tags tags;
    BV_TRY(parse_tags(parser, &tags));
    begin(parser, scenario, tags);
    BV_TRY(parse_description(parser, next | BIT(LINE_STEP), &scenario->description));
    BV_TRY(parse_steps(parser, scenario));
    BV_TRY(parse_examples(parser, scenario));
    if (parser->line.kind != LINE_END && !(BIT(parser->line.kind) & next))
        return unexpected(parser, next | BIT(LINE_STEP) | BIT(LINE_END));
    return 0;
}

static int parse_background(struct parser *parser, struct gherkin_rule *rule)
{
    uint32_t next = BIT(LINE_TAG) | BIT(LINE_SCENARIO) | BIT(LINE_RULE);
    struct gherkin_scenario *background = bv_arena_new(parser->arena, struct gherkin_scenario);
    if (!background)
        return BV_E_NOMEM;
    begin(parser, background, (struct gherkin_tags){0});
    BV_TRY(parse_description(parser, next | BIT(LINE_STEP), &background->description));
    BV_TRY(parse_steps(parser, background));
    if (parser->line.kind != LINE_END && !(BIT(parser->line.kind) & next))
        return unexpected(parser, next | BIT(LINE_STEP) | BIT(LINE_END));
    rule->background = background;
    return 0;
}

/* From the title line of a feature or rule up to the next rule or the end. */
static int
parse_container(struct parser *parser, struct gherkin_rule *rule, struct gherkin_tags tags)
{
    struct list scenarios = {0};
    rule->at = location(&parser->line);
    rule->tags = tags;
    rule->keyword = parser->line.keyword;
    rule->name = parser->line.rest;
    advance(parser);
    BV_TRY(parse_description(
        parser, BIT(LINE_BACKGROUND) | BIT(LINE_SCENARIO) | BIT(LINE_RULE), &rule->description));
    if (parser->line.kind == LINE_BACKGROUND)
        BV_TRY(parse_background(parser, rule));
    while (after_tags(parser) == LINE_SCENARIO) {
        struct gherkin_scenario *scenario = ADD(parser, &scenarios, struct gherkin_scenario);
        if (!scenario)
            return BV_E_NOMEM;
        BV_TRY(parse_scenario(parser, scenario));
    }
    rule->scenarios = scenarios.data;
    rule->scenario_count = scenarios.count;
    return 0;
}

/* "# language: en" before the feature. Outcome LANGUAGE_LINE: it is one. */
enum { LANGUAGE_LINE = 1 };
static int check_language(struct parser *parser)
{
    struct bv_bytes text = trim(skip(parser->line.trimmed, 1));
    if (!bv_bytes_starts(text, BV_BYTES("language")))
        return 0;
    text = trim_left(skip(text, 8));
    if (!text.size || text.data[0] != ':')
        return 0;
    text = trim(skip(text, 1));
    for (size_t i = 0; i < text.size; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", text.data[i]) ||
            !text.data[i])
            return 0;
    if (!text.size)
        return 0;
    if (bv_bytes_equal(text, BV_BYTES("en")))
        return LANGUAGE_LINE;
    return fail_at(parser,
                   location(&parser->line),
                   "language \"%.*s\" is not supported, only \"en\" is",
                   (int)(text.size < 20 ? text.size : 20),
                   text.data);
}

static int parse_document(struct parser *parser, struct gherkin_document *document)
{
    struct list rules = {0};
    struct gherkin_tags tags;
    bool language = false;
    for (; parser->line.kind == LINE_EMPTY || parser->line.kind == LINE_COMMENT; advance(parser)) {
        if (parser->line.kind != LINE_COMMENT)
            continue;
        int rc = language ? 0 : check_language(parser);
        if (rc < 0)
            return rc;
        language = language || rc == LANGUAGE_LINE;
        if (rc != LANGUAGE_LINE)
            BV_TRY(note_comment(parser));
    }
    BV_TRY(parse_tags(parser, &tags));
    if (parser->line.kind == LINE_END && !tags.count)
        return 0;
    if (parser->line.kind != LINE_FEATURE)
        return unexpected(parser, BIT(LINE_TAG) | BIT(LINE_FEATURE));
    BV_TRY(parse_container(parser, &document->feature, tags));
    while (after_tags(parser) == LINE_RULE) {
        struct gherkin_rule *rule = ADD(parser, &rules, struct gherkin_rule);
        if (!rule)
            return BV_E_NOMEM;
        BV_TRY(parse_tags(parser, &tags));
        BV_TRY(parse_container(parser, rule, tags));
        document->rules = rules.data;
        document->rule_count = rules.count;
    }
    BV_TRY(parse_tags(parser, &tags));
    if (parser->line.kind != LINE_END || tags.count)
        return unexpected(parser,
                          BIT(LINE_TAG) | BIT(LINE_SCENARIO) | BIT(LINE_RULE) |
                              (tags.count ? 0 : BIT(LINE_END)));
    return 0;
}

int gherkin_parse(struct bv_arena *arena,
                  struct bv_bytes text,
                  const struct gherkin_document **ret_document,
                  struct gherkin_error *error)
{
    memset(error, 0, sizeof *error);
    if (bv_bytes_starts(text, BV_BYTES("\xef\xbb\xbf")))
        text = skip(text, 3);
    struct parser parser = {
        .arena = arena, .cursor = text.data, .end = text.data + text.size, .error = error};
    if (text.size > BV_GHERKIN_BYTES_MAX)
        return BV_E_TOO_LARGE;
    if (!bv_bytes_utf8(text))
        return fail_at(&parser, (struct gherkin_location){1, 1}, "the file is not UTF-8");
    struct gherkin_document *document = bv_arena_new(arena, struct gherkin_document);
    if (!document)
        return BV_E_NOMEM;
    advance(&parser);
    BV_TRY(parse_document(&parser, document));
    document->comments = parser.comments.data;
    document->comment_count = parser.comments.count;
    *ret_document = document;
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}
