/* `within DURATION NAME VERB ... until PROBE OP VALUE ...`: asks again until the answer is as it
 * should be, for values that are pulled and not pushed.
 *
 *   try 1  PENDING    told: the first
 *   try 2  PENDING    alike: only counted
 *   try 3  PAID       told: another answer
 *   try 4  PAID       alike
 *   try 5  CONFIRMED  told: the last
 *
 * Invariants: the first try is made at once; between two tries passes the backoff, POLL_FIRST_MS at
 * first and doubled up to POLL_MOST_MS, never more than half of the time that is left; none begins
 * in the last POLL_LEAST_MS. All tries are recorded and checked against their contracts; the
 * results are told only of the first, of those whose answer differs from the one before (at most
 * POLL_TOLD_MAX) and of the last, and how many there were. Thread: scenario thread; waits. */
#ifndef BV_POLLING_H
#define BV_POLLING_H

#include "lab.h"
#include "plan.h"

enum { POLL_FIRST_MS = 10, POLL_MOST_MS = 250, POLL_LEAST_MS = 10, POLL_TOLD_MAX = 6 };

/* Asks once and gives up at deadline_us. Outcomes: BV_MISMATCH: nobody answered, error says why;
 * POLL_OFFENDED: the answer breaks its contract. Errors: the lab's own, which end the poll. */
#define POLL_OFFENDED 3
typedef int poll_ask(void *argument, int64_t deadline_us, struct bv_error *error);

/* The messages of one try: first..last, those of the actor among them. */
struct poll_span {
    uint64_t first;
    uint64_t last;
};
struct poll_report { /* everything in the scenario's arena */
    const char *expected;
    const char *actual;
    size_t tries;
    struct poll_span told[POLL_TOLD_MAX + 1]; /* the last is that of the last try */
    size_t told_count;
    struct poll_span *hushed; /* in order of id: not to be told */
    size_t hushed_count;
};
/* Effect:   actor->current is the last answer. Outcomes: 0 also when an answer broke its contract:
 * the caller judges it anyway. BV_MISMATCH: it never was as it should be; report and error say what
 * it was. Errors: those of ask, BV_E_CANCELLED when the lab is interrupted, BV_E_INVALID for values
 * that do not compare, BV_E_NOT_FOUND for a variable, BV_E_NOMEM. */
BV_MUST_CHECK int poll_run(struct runner_lab *lab,
                           struct bv_actor *actor,
                           const struct plan_step *step,
                           poll_ask *ask,
                           void *argument,
                           struct poll_report *ret_report,
                           struct bv_error *error);

/* Whether message, of the actor that polled, is one of those that are not told. */
bool poll_hushed(const struct poll_report *report, const struct bv_message *message);

#endif
