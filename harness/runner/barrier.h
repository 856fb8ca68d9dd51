/* Where parallel scenarios of one file meet: a step `barrier "NAME"` ends when every party, which
 * is every scenario of the unit that names it, has arrived. A scenario may name a barrier again:
 * its n-th arrival meets the n-th of the others. Invariant: nobody waits for a party that has ended
 * or past its own time. Thread: every function: any; open and close: the owner, with no other user
 * left. Source: the idea is VTest2's (vtc_barrier.c). */
#ifndef BV_BARRIER_H
#define BV_BARRIER_H

#include "plan.h"

enum { BARRIER_PARTIES_MAX = 64 };
struct barriers;
/* Ranges: 1..BARRIER_PARTIES_MAX scenarios, borrowed for the life of the result. Errors:
 * BV_E_NOMEM, BV_E_LIMIT. */
BV_MUST_CHECK int barriers_open(const struct plan_scenario *const *scenarios,
                                size_t count,
                                struct barriers **ret_barriers);
void barriers_close(struct barriers **barriers);

struct barrier_report {
    size_t parties;
    size_t arrived; /* when this party left it, itself included */
};
/* scenario arrives at the barrier and waits for the others.
 * Ranges:    within_ms >= 0. barriers NULL: the scenario is the only party.
 * Outcomes:  BV_MISMATCH: the time is over, or a party ended before it arrived; error says who.
 * Errors:    BV_E_CANCELLED after barriers_interrupt.
 * Thread:    any, may block for within_ms. */
BV_MUST_CHECK int barriers_meet(struct barriers *barriers,
                                const struct plan_scenario *scenario,
                                const char *name,
                                int64_t within_ms,
                                struct barrier_report *ret_report,
                                struct bv_error *error);
/* scenario has ended; whoever waits for it is released. */
void barriers_leave(struct barriers *barriers, const struct plan_scenario *scenario);
/* Every wait ends now, and later ones at once. */
void barriers_interrupt(struct barriers *barriers);

/* Whether the scenario has a step at the barrier of that name. Pure. */
bool barrier_named(const struct plan_scenario *scenario, const char *name);

#endif
