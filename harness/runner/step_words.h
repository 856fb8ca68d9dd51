/* Inside the plan: what every form of step is made of. The words are read from left to right;
 * compiler->at is the next one. Each function that finds a mistake makes a diagnostic at that word
 * and sets compiler->failed; later ones then stay silent. */
#ifndef BV_STEP_WORDS_H
#define BV_STEP_WORDS_H

#include "step.h"

enum { CANDIDATES_MAX = 96 };

/* A diagnostic at the next word, unless the step has one. */
#define STEP_FAIL(compiler, ...)                                                                   \
    do {                                                                                           \
        if (!(compiler)->failed)                                                                   \
            compile_error((compiler), (compiler)->step->line, step_column(compiler), __VA_ARGS__); \
    } while (0)

uint32_t step_column(const struct compiler *compiler);
const struct word *step_peek(const struct compiler *compiler); /* NULL at the end */
const char *step_shown(const struct compiler *compiler);       /* the next word, for messages */
/* Number of next words that are these (separated by spaces, none quoted), 0: they are not. */
size_t step_matches(const struct compiler *compiler, const char *words);
bool step_accept(struct compiler *compiler,
                 const char *words); /* passes over them when they are next */
bool step_expect(struct compiler *compiler,
                 const char *words); /* the same, a mistake when they are not */
/* The next word is an unknown `what`: names the nearest known one. */
void step_suggest(struct compiler *compiler,
                  const char *what,
                  const char *const *known,
                  size_t count);
bool step_take_text(struct compiler *compiler,
                    const char *what,
                    struct bv_bytes *ret_text); /* one word, its variables checked */
bool step_starts(struct bv_bytes text, const char *prefix);
bool step_has_variable(struct bv_bytes text);
void step_check_event(struct compiler *compiler,
                      struct bv_bytes type); /* the word just taken must be a contract */
void step_need(struct compiler *compiler,
               const char *name); /* server or service that the scenario needs */
/* Arguments of a declaration or verb by their rows, into compiler->step->arguments. */
void step_take_arguments(struct compiler *compiler, const struct bv_arg *rows, size_t count);
/* The topic of a Kafka actor must be in contracts/asyncapi, the database of a PostgreSQL actor one
 * of the stack's. */
void step_check_topic(struct compiler *compiler, const struct bv_arg *rows, size_t count);
void step_check_database(struct compiler *compiler, const struct bv_arg *rows, size_t count);
/* Whether the contracts are there to ask; they are read at the first time. */
bool step_have_contracts(struct compiler *compiler);
/* Request paths among them must be operations of contracts/openapi. */
void step_check_requests(struct compiler *compiler,
                         const struct bv_arg *rows,
                         size_t count,
                         const char *target);
/* What the step's protocol has to say of it; after everything else was found good. */
void step_check_call(struct compiler *compiler, const struct bv_arg *rows, size_t count);
/* Appends text with 0 for each variable: one may stand for a text inside quotes or for a bare
 * number, and 0 fits both. Errors: a variable that is none. */
BV_MUST_CHECK int step_zeroed(struct bv_bytes text, struct bv_buf *buf, struct bv_error *error);
/* Doc string and table against enum bv_takes; their variables; JSON. */
void step_check_payload(struct compiler *compiler, int takes);

#endif
