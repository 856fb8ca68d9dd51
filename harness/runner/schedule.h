/* Which scenarios run, in which order, and which of them at the same time. A unit is what must run
 * together: scenarios of one file that share a barrier, directly or through others, or one scenario
 * alone. A unit with a scenario of the tag @isolated runs with nothing beside it. Invariants: every
 * chosen scenario is in one unit; the scenarios of a unit stand together; a unit stands where its
 * first scenario does. Pure. Thread: any. */
#ifndef BV_SCHEDULE_H
#define BV_SCHEDULE_H

#include "barrier.h"

struct schedule_job {
    const struct plan *plan;
    const struct plan_scenario *scenario;
    size_t story;  /* of the run, from 0 */
    size_t number; /* of the scenario in the run, from 1 */
};
struct schedule_unit {
    size_t first; /* of jobs */
    size_t count;
    bool isolated; /* nothing may run beside it */
};
struct schedule {
    struct schedule_job *jobs;
    size_t job_count;
    struct schedule_unit *units;
    size_t unit_count;
    size_t largest; /* scenarios of the largest unit */
};

/* Orders jobs (their number is set here) as given, or drawn from shuffle when it is not NULL.
 * Ownership: in arena; jobs is borrowed for the call.
 * Errors:    BV_E_LIMIT when more than BARRIER_PARTIES_MAX must meet, BV_E_NOMEM. */
BV_MUST_CHECK int schedule_make(struct bv_arena *arena,
                                const struct schedule_job *jobs,
                                size_t count,
                                const struct bv_env *shuffle,
                                struct schedule *ret_schedule,
                                struct bv_error *error);

#endif
