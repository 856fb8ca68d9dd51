/* The official parser is a generated table over token kinds; which kinds a line may be depends on
 * the state, and a line that is none of the expected kinds is description text where that is
 * allowed, else an error. Here each state is a function that asks "is this line one of those that
 * may stand here?" in the same order, and stops at the first that is not:
 *
 *   document    := language? tags? Feature description? background? scenario* rule*
 *   background  := Background description? step*
 *   scenario    := tags? Scenario description? step* examples*
 *   step        := Given|When|Then|And|But|* text (table? and doc string?, in either order)
 *   examples    := tags? Examples description? table?
 *   rule        := tags? Rule description? background? scenario*
 */
#include "gherkin_line.h"

#include <stdarg.h>
#include <stdio.h>

#define BIT(kind) LINE_BIT(kind)

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
    const struct gherkin_dialect *dialect;
    struct gherkin_line line;
    struct list comments; /* struct gherkin_comment */
    struct gherkin_error *error;
};

/* In the order in which the official parser lists what it expected. */
static const struct {
    enum gherkin_line_kind kind;
    const char *word;
} kind_words[] = {
    {LINE_END,        "end of file"},
    {LINE_LANGUAGE,   "language"   },
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

static void advance(struct parser *parser)
{
    parser->line =
        gherkin_line_read(parser->dialect, &parser->cursor, parser->end, parser->line.number + 1);
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
            parser, gherkin_line_at(&parser->line), "unexpected end of file, expected %s", words);
    struct bv_bytes text = gherkin_trim(parser->line.trimmed);
    int shown = text.size > 40 ? 40 : (int)text.size;
    while ((size_t)shown < text.size && ((unsigned char)text.data[shown] & 0xc0) == 0x80)
        shown--;
    return fail_at(parser,
                   gherkin_line_at(&parser->line),
                   "expected %s, got \"%.*s\"",
                   words,
                   shown,
                   text.data);
}

/* A comment may end a line of tags. */
static struct bv_bytes tags_of(const struct gherkin_line *line)
{
    struct bv_bytes text = gherkin_trim(line->trimmed);
    for (size_t i = 1; i < text.size; i++)
        if (text.data[i] == '#' && gherkin_blank_end((struct bv_bytes){text.data, i}))
            return gherkin_trim((struct bv_bytes){text.data, i});
    return text;
}

/* Cuts the first tag off *rest, which begins with @; returns what it is called, without the @ and
 * the white space around. */
static struct bv_bytes cut_tag(struct bv_bytes *rest)
{
    const char *next = memchr(rest->data + 1, '@', rest->size - 1);
    size_t size = next ? (size_t)(next - rest->data) : rest->size;
    struct bv_bytes word = gherkin_trim((struct bv_bytes){rest->data + 1, size - 1});
    *rest = gherkin_skip(*rest, size);
    return word;
}

static int check_tags(struct parser *parser, const struct gherkin_line *line)
{
    for (struct bv_bytes rest = tags_of(line); rest.size;) {
        uint32_t column = gherkin_line_column(line, rest.data);
        struct bv_bytes word = cut_tag(&rest);
        for (size_t i = 0; i < word.size; i++)
            if (gherkin_blank_begin(gherkin_skip(word, i)))
                return fail_at(parser,
                               (struct gherkin_location){line->number, column},
                               "a tag may not contain white space");
    }
    return 0;
}

/* Checks every tag from here to the line that they stand before, without moving. */
static int look_past_tags(struct parser *parser, enum gherkin_line_kind *ret_kind)
{
    struct gherkin_line line = parser->line;
    const char *cursor = parser->cursor;
    while (line.kind == LINE_TAG || line.kind == LINE_COMMENT || line.kind == LINE_EMPTY) {
        if (line.kind == LINE_TAG)
            BV_TRY(check_tags(parser, &line));
        line = gherkin_line_read(parser->dialect, &cursor, parser->end, line.number + 1);
    }
    *ret_kind = line.kind;
    return 0;
}

/* What follows the tags, comments and empty lines from here on; expect() has checked the tags. */
static enum gherkin_line_kind after_tags(struct parser *parser)
{
    enum gherkin_line_kind kind = LINE_END;
    return look_past_tags(parser, &kind) == 0 ? kind : LINE_END;
}

/* Passes over comments and empty lines to one of the kinds of expected. */
static int expect(struct parser *parser, uint32_t expected)
{
    enum gherkin_line_kind kind;
    BV_TRY(skip_blank(parser));
    if (!(BIT(parser->line.kind) & expected) && (expected & BIT(LINE_STEP)))
        gherkin_line_as_step(parser->dialect, &parser->line); /* Turkish: "Mevcut Durum:" */
    if (!(BIT(parser->line.kind) & expected))
        return unexpected(parser, expected);
    return parser->line.kind == LINE_TAG ? look_past_tags(parser, &kind) : 0;
}

/* ---- parts ---- */

static int parse_tags(struct parser *parser, uint32_t next, struct gherkin_tags *ret_tags)
{
    struct list tags = {0};
    while (parser->line.kind == LINE_TAG) {
        for (struct bv_bytes rest = tags_of(&parser->line); rest.size;) {
            const char *at = rest.data;
            struct bv_bytes word = cut_tag(&rest);
            struct gherkin_tag *tag = ADD(parser, &tags, struct gherkin_tag);
            char *name = word.data == at + 1 ? NULL : bv_arena_alloc(parser->arena, word.size + 1);
            if (!tag || (word.data != at + 1 && !name))
                return BV_E_NOMEM;
            tag->at.line = parser->line.number;
            tag->at.column = gherkin_line_column(&parser->line, at);
            tag->name = (struct bv_bytes){name ? name : at, word.size + 1};
            if (name) { /* "@ a" is the tag @a */
                name[0] = '@';
                memcpy(name + 1, word.data, word.size);
            }
        }
        advance(parser);
        BV_TRY(expect(parser, next | BIT(LINE_TAG)));
    }
    *ret_tags = (struct gherkin_tags){tags.data, tags.count};
    return 0;
}

/* Lines up to one of the kinds of next. Empty lines before the first that is none, be it a comment,
 * are not text; empty ones at the end are not either, unless they hold white space. */
static int parse_description(struct parser *parser, uint32_t next, struct bv_bytes *ret_description)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_GHERKIN_BYTES_MAX * 2};
    uint32_t stop = next | BIT(LINE_END) | BIT(LINE_TAG);
    size_t kept = 0;
    size_t lines = 0;
    bool begun = false;
    for (;; advance(parser)) {
        if (!(BIT(parser->line.kind) & stop) && (stop & BIT(LINE_STEP)))
            gherkin_line_as_step(parser->dialect, &parser->line);
        if (BIT(parser->line.kind) & stop)
            break;
        if (parser->line.kind == LINE_EMPTY && !begun)
            continue;
        begun = true;
        if (parser->line.kind == LINE_COMMENT) {
            BV_TRY(note_comment(parser));
            continue;
        }
        if (lines++)
            BV_TRY(bv_buf_char(&text, '\n'));
        BV_TRY(bv_buf_bytes(&text, parser->line.raw));
        if (parser->line.raw.size)
            kept = text.size;
    }
    *ret_description =
        bv_arena_copy(parser->arena, (struct bv_bytes){text.data ? text.data : "", kept});
    return ret_description->data ? expect(parser, stop) : BV_E_NOMEM;
}

static int parse_cells(struct parser *parser, struct gherkin_row *row)
{
    struct list cells = {0};
    struct bv_bytes text = gherkin_skip(parser->line.trimmed, 1);
    bv_auto(bv_buf_release) struct bv_buf cell = {.max = BV_GHERKIN_BYTES_MAX};
    const char *begin = text.data;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\\' && i + 1 < text.size && memchr("n|\\", text.data[i + 1], 3)) {
            c = text.data[++i];
            BV_TRY(bv_buf_char(&cell, c == 'n' ? '\n' : c));
        } else if (c != '|') {
            BV_TRY(bv_buf_char(&cell, c));
        } else {
            struct gherkin_cell *stored = ADD(parser, &cells, struct gherkin_cell);
            begin =
                gherkin_trim_left((struct bv_bytes){begin, (size_t)(text.data + i - begin)}).data;
            struct bv_bytes value = {cell.data ? cell.data : "", cell.size};
            if (!stored)
                return BV_E_NOMEM;
            stored->at = (struct gherkin_location){parser->line.number,
                                                   gherkin_line_column(&parser->line, begin)};
            stored->value = bv_arena_copy(parser->arena, gherkin_trim(value));
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

/* A table is complete, and its mistake found, when a line comes that may follow it. */
static int parse_table(struct parser *parser, uint32_t next, struct gherkin_table *ret_table)
{
    struct list rows = {0};
    struct gherkin_location at = gherkin_line_at(&parser->line);
    struct gherkin_location wrong = {0};
    while (parser->line.kind == LINE_ROW) {
        struct gherkin_row *row = ADD(parser, &rows, struct gherkin_row);
        if (!row)
            return BV_E_NOMEM;
        row->at = gherkin_line_at(&parser->line);
        BV_TRY(parse_cells(parser, row));
        if (row->count != ((struct gherkin_row *)rows.data)->count && !wrong.line)
            wrong = row->at;
        advance(parser);
        BV_TRY(expect(parser, next | BIT(LINE_ROW)));
    }
    if (wrong.line)
        return fail_at(parser, wrong, "inconsistent cell count within the table");
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
            text = gherkin_skip(text, 6);
        } else {
            BV_TRY(bv_buf_char(buf, text.data[0]));
            text = gherkin_skip(text, 1);
        }
    }
    return 0;
}

static int parse_doc(struct parser *parser, uint32_t next, struct gherkin_doc_string *doc)
{
    bv_auto(bv_buf_release) struct bv_buf raw = {.max = BV_GHERKIN_BYTES_MAX * 2};
    doc->at = gherkin_line_at(&parser->line);
    doc->delimiter = parser->line.trimmed.data[0];
    doc->media_type = gherkin_trim(gherkin_skip(parser->line.trimmed, 3));
    struct bv_bytes delimiter = {parser->line.trimmed.data, 3};
    uint32_t indent = gherkin_line_at(&parser->line).column - 1; /* in characters */
    bool first = true;
    for (advance(parser); !bv_bytes_starts(parser->line.trimmed, delimiter); advance(parser)) {
        if (parser->line.kind == LINE_END)
            return fail_at(parser,
                           gherkin_line_at(&parser->line),
                           "unexpected end of file, the doc string of line %u is not closed",
                           doc->at.line);
        struct bv_bytes text = parser->line.raw;
        if (!first)
            BV_TRY(bv_buf_char(&raw, '\n'));
        for (uint32_t i = 0; i < indent && gherkin_blank_begin(text); i++)
            text = gherkin_skip(text, gherkin_blank_begin(text));
        BV_TRY(bv_buf_bytes(&raw, text));
        first = false;
    }
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_GHERKIN_BYTES_MAX * 2};
    BV_TRY(unescape(&text, bv_buf_view(&raw), doc->delimiter));
    doc->content =
        bv_arena_copy(parser->arena, (struct bv_bytes){text.data ? text.data : "", text.size});
    advance(parser);
    return doc->content.data ? expect(parser, next) : BV_E_NOMEM;
}

/* A table and a doc string, in either order. next: what may follow the step. */
static int parse_argument(struct parser *parser, uint32_t next, struct gherkin_step *step)
{
    BV_TRY(expect(parser, next | BIT(LINE_ROW) | BIT(LINE_DOC)));
    if (parser->line.kind == LINE_ROW) {
        BV_TRY(parse_table(parser, next | BIT(LINE_DOC), &step->table));
        if (parser->line.kind == LINE_DOC)
            BV_TRY(parse_doc(parser, next, &step->doc));
    } else if (parser->line.kind == LINE_DOC) {
        BV_TRY(parse_doc(parser, next | BIT(LINE_ROW), &step->doc));
        if (parser->line.kind == LINE_ROW)
            BV_TRY(parse_table(parser, next, &step->table));
    }
    return 0;
}

static int parse_steps(struct parser *parser, uint32_t next, struct gherkin_scenario *scenario)
{
    struct list steps = {0};
    while (parser->line.kind == LINE_STEP) {
        struct gherkin_step *step = ADD(parser, &steps, struct gherkin_step);
        if (!step)
            return BV_E_NOMEM;
        step->at = gherkin_line_at(&parser->line);
        step->keyword = parser->line.keyword;
        step->type = parser->line.type;
        step->text = parser->line.rest;
        advance(parser);
        BV_TRY(parse_argument(parser, next | BIT(LINE_STEP), step));
    }
    scenario->steps = steps.data;
    scenario->step_count = steps.count;
    return 0;
}

static int parse_examples(struct parser *parser, uint32_t next, struct gherkin_scenario *scenario)
{
    struct list list = {0};
    while (after_tags(parser) == LINE_EXAMPLES) {
        struct gherkin_examples *examples = ADD(parser, &list, struct gherkin_examples);
        if (!examples)
            return BV_E_NOMEM;
        BV_TRY(parse_tags(parser, BIT(LINE_EXAMPLES), &examples->tags));
        examples->at = gherkin_line_at(&parser->line);
        examples->keyword = parser->line.keyword;
        examples->name = parser->line.rest;
        advance(parser);
        BV_TRY(parse_description(parser, next | BIT(LINE_ROW), &examples->description));
        if (parser->line.kind == LINE_ROW)
            BV_TRY(parse_table(parser, next, &examples->table));
        scenario->examples = list.data;
        scenario->example_count = list.count;
    }
    return 0;
}

static void
begin(struct parser *parser, struct gherkin_scenario *scenario, struct gherkin_tags tags)
{
    scenario->at = gherkin_line_at(&parser->line);
    scenario->tags = tags;
    scenario->keyword = parser->line.keyword;
    scenario->name = parser->line.rest;
    advance(parser);
}

static int parse_scenario(struct parser *parser, struct gherkin_scenario *scenario)
{
    uint32_t next =
        BIT(LINE_END) | BIT(LINE_TAG) | BIT(LINE_EXAMPLES) | BIT(LINE_SCENARIO) | BIT(LINE_RULE);
    struct gherkin_tags tags;
    BV_TRY(parse_tags(parser, BIT(LINE_SCENARIO), &tags));
    begin(parser, scenario, tags);
    BV_TRY(parse_description(parser, next | BIT(LINE_STEP), &scenario->description));
    BV_TRY(parse_steps(parser, next, scenario));
    return parse_examples(parser, next, scenario);
}

static int parse_background(struct parser *parser, struct gherkin_rule *rule)
{
    uint32_t next = BIT(LINE_END) | BIT(LINE_TAG) | BIT(LINE_SCENARIO) | BIT(LINE_RULE);
    struct gherkin_scenario *background = bv_arena_new(parser->arena, struct gherkin_scenario);
    if (!background)
        return BV_E_NOMEM;
    begin(parser, background, (struct gherkin_tags){0});
    BV_TRY(parse_description(parser, next | BIT(LINE_STEP), &background->description));
    BV_TRY(parse_steps(parser, next, background));
    rule->background = background;
    return 0;
}

/* From the title line of a feature or rule up to the next rule or the end. */
static int
parse_container(struct parser *parser, struct gherkin_rule *rule, struct gherkin_tags tags)
{
    struct list scenarios = {0};
    rule->at = gherkin_line_at(&parser->line);
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

/* "# language: fr" before the feature. Outcome LANGUAGE_LINE: the comment is one. */
enum { LANGUAGE_LINE = 1 };
static int take_language(struct parser *parser)
{
    struct bv_bytes text = gherkin_trim(gherkin_skip(parser->line.trimmed, 1));
    if (!bv_bytes_starts(text, BV_BYTES("language")))
        return 0;
    text = gherkin_trim_left(gherkin_skip(text, 8));
    if (text.size < 2 || text.data[0] != ':')
        return 0;
    text = gherkin_trim_left(gherkin_skip(text, 1));
    for (size_t i = 0; i < text.size; i++) {
        char letter = (char)(text.data[i] | 0x20);
        if ((letter < 'a' || letter > 'z') && text.data[i] != '-' && text.data[i] != '_')
            return 0;
    }
    if (!text.size)
        return 0;
    const struct gherkin_dialect *dialect = gherkin_dialect(text);
    if (!dialect)
        return fail_at(parser,
                       gherkin_line_at(&parser->line),
                       "Language not supported: %.*s",
                       (int)(text.size < 40 ? text.size : 40),
                       text.data);
    parser->dialect = dialect;
    return LANGUAGE_LINE;
}

/* Up to the first tag or the feature. */
static int parse_head(struct parser *parser)
{
    uint32_t next = BIT(LINE_END) | BIT(LINE_LANGUAGE) | BIT(LINE_TAG) | BIT(LINE_FEATURE);
    for (; parser->line.kind == LINE_EMPTY || parser->line.kind == LINE_COMMENT; advance(parser)) {
        if (parser->line.kind != LINE_COMMENT)
            continue;
        int rc = next & BIT(LINE_LANGUAGE) ? take_language(parser) : 0;
        if (rc < 0)
            return rc;
        if (rc == LANGUAGE_LINE)
            next = BIT(LINE_TAG) | BIT(LINE_FEATURE);
        else
            BV_TRY(note_comment(parser));
    }
    return expect(parser, next);
}

static int parse_document(struct parser *parser, struct gherkin_document *document)
{
    struct list rules = {0};
    struct gherkin_tags tags;
    BV_TRY(parse_head(parser));
    if (parser->line.kind == LINE_END)
        return 0;
    BV_TRY(parse_tags(parser, BIT(LINE_FEATURE), &tags));
    BV_TRY(parse_container(parser, &document->feature, tags));
    while (parser->line.kind != LINE_END) {
        struct gherkin_rule *rule = ADD(parser, &rules, struct gherkin_rule);
        if (!rule)
            return BV_E_NOMEM;
        BV_TRY(parse_tags(parser, BIT(LINE_RULE), &tags));
        BV_TRY(parse_container(parser, rule, tags));
        document->rules = rules.data;
        document->rule_count = rules.count;
    }
    return 0;
}

int gherkin_parse(struct bv_arena *arena,
                  struct bv_bytes text,
                  const struct gherkin_document **ret_document,
                  struct gherkin_error *error)
{
    memset(error, 0, sizeof *error);
    if (bv_bytes_starts(text, BV_BYTES("\xef\xbb\xbf")))
        text = gherkin_skip(text, 3);
    struct parser parser = {
        .arena = arena,
        .cursor = text.data,
        .end = text.data + text.size,
        .dialect = gherkin_dialect(BV_BYTES("en")),
        .error = error,
    };
    if (text.size > BV_GHERKIN_BYTES_MAX)
        return BV_E_TOO_LARGE;
    if (!bv_bytes_utf8(text))
        return fail_at(&parser, (struct gherkin_location){1, 1}, "the file is not UTF-8");
    struct gherkin_document *document = bv_arena_new(arena, struct gherkin_document);
    if (!document)
        return BV_E_NOMEM;
    advance(&parser);
    BV_TRY(parse_document(&parser, document));
    document->language = parser.dialect->name;
    document->comments = parser.comments.data;
    document->comment_count = parser.comments.count;
    *ret_document = document;
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}
