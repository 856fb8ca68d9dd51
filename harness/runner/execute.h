/* Runs one scenario of a plan, step by step, and tells a listener what happened.
 * Invariants: actors are closed in reverse order whatever happens; after a step that is not green
 * the rest is skipped; a message that breaks its contract makes the next step of its actor red,
 * or the scenario when there is none. Thread: scenario thread. */
#ifndef BV_EXECUTE_H
#define BV_EXECUTE_H

#include "barrier.h"
#include "lab.h"
#include "plan.h"

/* X(name, word in results.jsonl) */
#define VERDICT_LIST(X)                                                                            \
    X(VERDICT_PASSED, "passed")                                                                    \
    X(VERDICT_FAILED, "failed")                                                                    \
    X(VERDICT_BROKEN, "broken")                                                                    \
    X(VERDICT_SKIPPED, "skipped")
enum verdict {
#define BV_X_(name, word) name,
    VERDICT_LIST(BV_X_)
#undef BV_X_
        VERDICT_COUNT
};
const char *verdict_word(enum verdict verdict);

enum { OUTCOME_MESSAGES_MAX = 16 };
struct step_outcome { /* texts live in the scenario's arena; NULL: none */
    enum verdict verdict;
    int64_t start_us; /* monotonic */
    int64_t duration_us;
    const char *expected;
    const char *actual;
    const char *error;
    const char *reason;
    uint64_t messages[OUTCOME_MESSAGES_MAX];
    size_t message_count;
    uint64_t violations[OUTCOME_MESSAGES_MAX];
    size_t violation_count;
    size_t tries;           /* of a step that polls; 0: it does not */
    size_t barrier_parties; /* of a step at a barrier; 0: none */
    size_t barrier_arrived; /* of them, when this one went on */
    struct bv_trace trace;
};
struct scenario_outcome {
    enum verdict verdict;
    int64_t start_us;
    int64_t duration_us;
    const char *error;
    size_t steps[VERDICT_COUNT];
    size_t messages;
    size_t contracts_checked;
    size_t contracts_violated;
};
struct execute_listener { /* each may be NULL */
    void *argument;
    void (*scenario_begins)(void *argument,
                            const struct plan_scenario *scenario,
                            const struct bv_lab *lab,
                            int64_t start_us);
    void (*step_begins)(void *argument, const struct plan_step *step);
    void (*actor)(void *argument, const struct plan_step *step, int64_t at_us);
    void (*message)(void *argument, const struct bv_message *message);
    void (*step_ends)(void *argument,
                      const struct plan_step *step,
                      size_t index,
                      const struct step_outcome *outcome,
                      struct bv_recording *recording);
    void (*scenario_ends)(void *argument,
                          const struct plan_scenario *scenario,
                          const struct scenario_outcome *outcome);
};

/* Effect: everything above. number is the scenario's in the run, for ${run}. barriers are where it
 * meets those that run beside it, NULL: it meets nobody. Once the lab is interrupted the step at
 * hand is broken and the rest skipped. Errors: BV_E_NOMEM; anything else is a verdict. */
BV_MUST_CHECK int execute_scenario(struct runner_lab *lab,
                                   const struct plan_scenario *scenario,
                                   size_t number,
                                   struct barriers *barriers,
                                   const struct execute_listener *listener,
                                   struct scenario_outcome *ret_outcome);

#endif
