/* `receives` in its four forms, over the recording. Thread: scenario thread; waits. */
#ifndef BV_RECEIVE_H
#define BV_RECEIVE_H

#include "lab.h"
#include "plan.h"

struct receive_report { /* texts in the scenario's arena */
    const char *expected;
    const char *actual;
    uint64_t messages[16];
    size_t message_count;
};
/* Effect:   moves actor->cursor and ->current to the last match. A message of the actor that breaks
 * its contract ends the wait early, as if all were well: the caller judges it anyway.
 * Outcomes: BV_MISMATCH: it did not happen (or did, for never); the report and error say what was
 * there instead. Errors:   BV_E_INVALID for values that do not compare, BV_E_NOT_FOUND for a
 * variable, BV_E_NOMEM. */
BV_MUST_CHECK int receive_run(struct runner_lab *lab,
                              struct bv_actor *actor,
                              const struct plan_step *step,
                              struct receive_report *ret_report,
                              struct bv_error *error);

#endif
