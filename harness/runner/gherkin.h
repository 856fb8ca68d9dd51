/* Gherkin documents as gherkin-official parses them (cucumber/gherkin, gherkin.berp), in all its
 * languages; gherkin_agreement.py compares both. Invariant: every node knows its line and column,
 * both from 1; texts are exactly what the official AST holds (names trimmed, doc strings without
 * their indentation and escapes, cells unescaped). Pure; everything lives in the caller's arena.
 * Thread: any. */
#ifndef BV_GHERKIN_H
#define BV_GHERKIN_H

#include "bv/arena.h"

#define BV_GHERKIN_BYTES_MAX (1024 * 1024)

struct gherkin_location {
    uint32_t line;
    uint32_t column; /* in characters (code points) */
};
struct gherkin_tag {
    struct gherkin_location at;
    struct bv_bytes name; /* with its @ */
};
struct gherkin_tags {
    const struct gherkin_tag *list;
    size_t count;
};
struct gherkin_cell {
    struct gherkin_location at;
    struct bv_bytes value;
};
struct gherkin_row {
    struct gherkin_location at;
    const struct gherkin_cell *cells;
    size_t count; /* the same in every row of a table */
};
struct gherkin_table {
    struct gherkin_location at;
    const struct gherkin_row *rows;
    size_t count; /* 0: no table */
};
struct gherkin_doc_string {
    struct gherkin_location at; /* line 0: none */
    struct bv_bytes content;
    struct bv_bytes media_type;
    char delimiter; /* '"' or '`' */
};
/* X(name, word of the official AST) */
#define GHERKIN_KEYWORD_TYPES(X)                                                                   \
    X(GHERKIN_CONTEXT, "Context")                                                                  \
    X(GHERKIN_ACTION, "Action")                                                                    \
    X(GHERKIN_OUTCOME, "Outcome")                                                                  \
    X(GHERKIN_CONJUNCTION, "Conjunction")                                                          \
    X(GHERKIN_UNKNOWN, "Unknown")
enum gherkin_keyword_type {
#define BV_X_(name, word) name,
    GHERKIN_KEYWORD_TYPES(BV_X_)
#undef BV_X_
};
struct gherkin_step {
    struct gherkin_location at;
    struct bv_bytes keyword; /* "Given " with its space, "* " */
    enum gherkin_keyword_type type;
    struct bv_bytes text;
    struct gherkin_doc_string doc;
    struct gherkin_table table;
};
struct gherkin_examples {
    struct gherkin_location at;
    struct gherkin_tags tags;
    struct bv_bytes keyword;
    struct bv_bytes name;
    struct bv_bytes description;
    struct gherkin_table table; /* first row is the header */
};
struct gherkin_scenario { /* a background too: without tags and examples */
    struct gherkin_location at;
    struct gherkin_tags tags;
    struct bv_bytes keyword;
    struct bv_bytes name;
    struct bv_bytes description;
    const struct gherkin_step *steps;
    size_t step_count;
    const struct gherkin_examples *examples;
    size_t example_count;
};
struct gherkin_rule {
    struct gherkin_location at;
    struct gherkin_tags tags;
    struct bv_bytes keyword;
    struct bv_bytes name;
    struct bv_bytes description;
    const struct gherkin_scenario *background; /* NULL: none */
    const struct gherkin_scenario *scenarios;
    size_t scenario_count;
};
struct gherkin_comment {
    struct gherkin_location at;
    struct bv_bytes text;
};
struct gherkin_document {
    struct gherkin_rule
        feature; /* its own background and scenarios; at.line 0: the file holds no feature */
    const struct gherkin_rule *rules;
    size_t rule_count;
    const struct gherkin_comment *comments;
    size_t comment_count;
    struct bv_bytes language; /* "en" unless the file says "# language: ..." */
};
struct gherkin_error {
    struct gherkin_location at;
    char text[160];
};

/* Parses a whole file.
 * Ranges:    up to BV_GHERKIN_BYTES_MAX of UTF-8; a byte order mark is skipped; LF or CRLF.
 * Ownership: text must live as long as arena's content; *ret_document lives in arena.
 * Outcomes:  none.
 * Errors:    BV_E_INVALID with place and reason in *error (the first one), BV_E_TOO_LARGE,
 * BV_E_NOMEM when the arena is exhausted. Source:    https://github.com/cucumber/gherkin,
 * gherkin.berp and the token matcher of gherkin-official. */
BV_MUST_CHECK int gherkin_parse(struct bv_arena *arena,
                                struct bv_bytes text,
                                const struct gherkin_document **ret_document,
                                struct gherkin_error *error);

/* Appends the document in one canonical layout, without comments; parsing that and printing again
 * gives the same bytes. Errors: BV_E_TOO_LARGE when buf failed. */
int gherkin_print(struct bv_buf *buf, const struct gherkin_document *document);

const char *gherkin_keyword_type_word(enum gherkin_keyword_type type);

#endif
