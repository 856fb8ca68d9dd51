/* PROBE [ARGUMENT] OP VALUE with its variables replaced, held against one message. What people read
 * of it names no secret: neither the value that was expected of one nor what was there.
 * Thread: scenario thread. */
#ifndef BV_CONDITION_H
#define BV_CONDITION_H

#include "lab.h"
#include "plan.h"

struct condition {
    const struct bv_probe *probe;
    struct bv_bytes argument;
    enum bv_op op;
    struct bv_bytes value;
};
BV_MUST_CHECK int condition_from(struct runner_lab *lab,
                                 const struct plan_filter *from,
                                 struct condition *ret_condition,
                                 struct bv_error *error);
/* Effect:   reads message, NULL: one that has nothing. Errors: BV_E_INVALID for a bad argument. */
BV_MUST_CHECK int condition_read(const struct condition *condition,
                                 const struct bv_actor *actor,
                                 const struct bv_message *message,
                                 struct bv_fact *ret_fact,
                                 struct bv_error *error);
/* Effect:   reads and compares.
 * Outcomes: BV_MISMATCH: it does not hold. Errors: BV_E_INVALID for what does not compare. */
BV_MUST_CHECK int condition_holds(const struct condition *condition,
                                  const struct bv_actor *actor,
                                  const struct bv_message *message,
                                  struct bv_error *error);
/* For people, in the scenario's arena: "json $.state == PAID", and what message has there, cut. */
const char *condition_text(struct bv_arena *arena, const struct condition *condition);
const char *condition_seen(const struct condition *condition,
                           const struct bv_actor *actor,
                           const struct bv_message *message);
/* Whether the last name of a path, or a field's name, is a secret's. */
bool condition_secret(struct bv_bytes argument);

#endif
