/* The lab as actors see it (struct bv_lab), over a running stack: variables, identities and their tokens, routes.
 * Tokens of the demo identities live for the run; a "new" identity is registered once per scenario. Thread: scenario thread. */
#ifndef BV_LAB_H
#define BV_LAB_H

#include "contracts.h"
#include "bv/protocol.h"

struct bv_stack;
struct lab;

struct lab_config { /* borrowed for the lab's life */
    const struct bv_env *env;
    const struct bv_stack *stack; /* NULL: none (steps that need one fail) */
    struct contracts *contracts;
    const char *contracts_folder;
    const char *run; /* of the whole run: upper case letters and digits */
};
BV_MUST_CHECK int lab_open(const struct lab_config *config, struct lab **ret_lab);
void lab_close(struct lab **lab);

/* A scenario begins: empty recording, no variables, ${run} is RUN-number. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int lab_begin(struct lab *lab, size_t number);
/* It ends: recording and arena go. Actors must be closed. */
void lab_end(struct lab *lab);
struct bv_lab *lab_base(struct lab *lab);

/* Variables replaced; the result lives in the scenario's arena, NUL-terminated. Errors: BV_E_INVALID, BV_E_NOT_FOUND (unknown variable). */
BV_MUST_CHECK int lab_replace(struct lab *lab, struct bv_bytes text, struct bv_bytes *ret_text, struct bv_error *error);
/* Sets ${name}; a later value wins. */
BV_MUST_CHECK int lab_set(struct lab *lab, const char *name, struct bv_bytes value);

#endif
