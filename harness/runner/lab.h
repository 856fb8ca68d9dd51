/* The lab as actors see it (struct bv_lab), over a running stack: variables, identities and their
 * tokens, routes. One lab runs one scenario at a time; labs of one run share stack, contracts and
 * tokens. Tokens of the demo identities live for the run; a "new" identity is registered once per
 * scenario. Thread: scenario thread, unless stated. */
#ifndef BV_LAB_H
#define BV_LAB_H

#include "contracts.h"
#include "bv/protocol.h"

struct bv_stack;
struct runner_lab;
struct tokens;

struct runner_lab_config { /* borrowed for the lab's life */
    const struct bv_env *env;
    const struct bv_stack *stack; /* NULL: none (steps that need one fail) */
    struct contracts *contracts;
    const char *contracts_folder;
    const char *run;       /* of the whole run: upper case letters and digits */
    struct tokens *tokens; /* shared with the other labs of the run; NULL: an own one */
    const uint64_t *seed;  /* what a scenario draws comes from it and its number; NULL: from env */
};
BV_MUST_CHECK int runner_lab_open(const struct runner_lab_config *config,
                                  struct runner_lab **ret_lab);
void runner_lab_close(struct runner_lab **lab);

/* A scenario begins: empty recording, no variables, ${run} is RUN-number. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int runner_lab_begin(struct runner_lab *lab, size_t number);
/* It ends: recording and arena go. Actors must be closed. */
void runner_lab_end(struct runner_lab *lab);
/* Every wait of this scenario and of later ones ends at once. Thread: any. */
void runner_lab_interrupt(struct runner_lab *lab);
bool runner_lab_interrupted(struct runner_lab *lab); /* Thread: any */
struct bv_lab *runner_lab_base(struct runner_lab *lab);

/* Variables replaced; the result lives in the scenario's arena, NUL-terminated. Errors:
 * BV_E_INVALID, BV_E_NOT_FOUND (unknown variable). */
BV_MUST_CHECK int runner_lab_replace(struct runner_lab *lab,
                                     struct bv_bytes text,
                                     struct bv_bytes *ret_text,
                                     struct bv_error *error);
/* Sets ${name}; a later value wins. */
BV_MUST_CHECK int runner_lab_set(struct runner_lab *lab, const char *name, struct bv_bytes value);

#endif
