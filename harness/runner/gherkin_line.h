/* Inside the Gherkin parser: one line, what it may be, and the words of its language. Pure. Thread:
 * any. */
#ifndef BV_GHERKIN_LINE_H
#define BV_GHERKIN_LINE_H

#include "gherkin.h"

enum gherkin_line_kind {
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
    LINE_LANGUAGE, /* only as what is expected: such a line is a comment */
    LINE_OTHER
};
#define LINE_BIT(kind) (1u << (kind))

/* One language: gherkin_languages.c, printed by gherkin_languages.py from the official list. */
struct gherkin_title {
    struct bv_bytes word;
    enum gherkin_line_kind kind;
};
struct gherkin_step_word {
    struct bv_bytes word; /* with its space where the language has one */
    enum gherkin_keyword_type type;
};
struct gherkin_dialect {
    struct bv_bytes name;
    const struct gherkin_title *titles;
    size_t title_count;
    const struct gherkin_step_word *steps; /* the longest first */
    size_t step_count;
};
extern const struct gherkin_dialect gherkin_dialects[];
extern const size_t gherkin_dialect_count;
/* NULL: no such language. */
const struct gherkin_dialect *gherkin_dialect(struct bv_bytes name);

struct gherkin_line {
    struct bv_bytes raw;     /* without its end */
    struct bv_bytes trimmed; /* raw without leading white space */
    uint32_t number;
    enum gherkin_line_kind kind;
    struct bv_bytes keyword; /* of title lines and steps */
    struct bv_bytes rest;    /* what follows the keyword, trimmed */
    enum gherkin_keyword_type type;
};
/* Reads the line at *cursor and moves past it; kind is LINE_END when there is none. */
struct gherkin_line gherkin_line_read(const struct gherkin_dialect *dialect,
                                      const char **cursor,
                                      const char *end,
                                      uint32_t number);
/* Makes a line of another kind a step where its text begins as one. */
void gherkin_line_as_step(const struct gherkin_dialect *dialect, struct gherkin_line *line);
/* Column of a place in the line, in characters. */
uint32_t gherkin_line_column(const struct gherkin_line *line, const char *place);
struct gherkin_location gherkin_line_at(const struct gherkin_line *line);

/* White space is Unicode's, as Python's str.strip knows it, but for LF, which only cells hold.
 * Bytes of the one that text begins or ends with, 0: none. */
size_t gherkin_blank_begin(struct bv_bytes text);
size_t gherkin_blank_end(struct bv_bytes text);
struct bv_bytes gherkin_trim_left(struct bv_bytes text);
struct bv_bytes gherkin_trim(struct bv_bytes text);
struct bv_bytes gherkin_skip(struct bv_bytes text, size_t size);

#endif
