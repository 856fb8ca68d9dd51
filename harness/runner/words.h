/* The words of one step: bare words, and texts in double quotes with \" \\ \n. Pure. Thread: any.
 */
#ifndef BV_WORDS_H
#define BV_WORDS_H

#include "bv/arena.h"

struct word {
    struct bv_bytes text; /* without quotes and escapes, NUL-terminated; in the arena */
    bool quoted;
    uint32_t column; /* in bytes from the begin of the step's text, from 1 */
};
#define WORDS_MAX 96
/* Errors: BV_E_INVALID for an open quote or something glued to one, BV_E_LIMIT past WORDS_MAX,
 * BV_E_NOMEM. */
BV_MUST_CHECK int words_split(struct bv_arena *arena,
                              struct bv_bytes text,
                              struct word ret_words[WORDS_MAX],
                              size_t *ret_count,
                              struct bv_error *error);

/* Finds ${name} from *at on: its place and name; *at moves behind it. "$${" stands for "${" and is
 * passed over. Outcomes: WORDS_NO_VARIABLE at the end. Errors: BV_E_INVALID for an open brace or a
 * bad name ([A-Za-z0-9_.-]+). */
#define WORDS_NO_VARIABLE 1
struct word_variable {
    size_t begin; /* of the $ */
    size_t end;   /* behind the } */
    struct bv_bytes name;
};
BV_MUST_CHECK int words_variable(struct bv_bytes text,
                                 size_t *at,
                                 struct word_variable *ret_variable,
                                 struct bv_error *error);

/* Texts of a size, for limits: "filler.100000" is as many letters x, "deep.500" as many [ and then
 * as many ]. Ranges: 1 to WORDS_BULK_MAX. words_bulk: BV_E_NOT_FOUND when name is none of them. */
#define WORDS_BULK_MAX 1500000
bool words_bulk_name(struct bv_bytes name);
BV_MUST_CHECK int words_bulk(struct bv_bytes name, struct bv_buf *buf);

/* Appends text with every variable replaced by what value_of says. Errors: those of words_variable
 * and of value_of. */
typedef int
words_value(void *argument, struct bv_bytes name, struct bv_buf *buf, struct bv_error *error);
BV_MUST_CHECK int words_replace(struct bv_buf *buf,
                                struct bv_bytes text,
                                words_value *value_of,
                                void *argument,
                                struct bv_error *error);

#endif
