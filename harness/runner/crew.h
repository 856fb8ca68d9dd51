/* Threads that run the scenarios of a schedule, each with a lab of its own. A unit starts when
 * nothing runs, or when it fits beside what runs; units start in order. So a unit that is larger
 * than the number of jobs runs all the same, alone, as does one that is isolated. Invariant: when
 * crew_run returns, no scenario runs and no thread is left. Thread: crew_run: the owner. */
#ifndef BV_CREW_H
#define BV_CREW_H

#include "execute.h"
#include "schedule.h"

enum { CREW_JOBS_MAX = 64, CREW_GRACE_MS = 1000 };

enum crew_company { CREW_ALONE /* nothing runs beside it */, CREW_TOGETHER };
struct crew_hooks { /* begins and ends are called by the scenario's thread */
    void *argument;
    /* *ret_listener is copied: its argument may be of the scenario. Errors: its own; the scenario
     * does not run then, and no other one starts. */
    int (*begins)(void *argument,
                  const struct schedule_job *job,
                  enum crew_company company,
                  struct execute_listener *ret_listener);
    /* After begins, whatever became of the scenario. Outcomes: CREW_STOP: start no further one.
     * Errors: its own, the same. listener is what begins gave. */
    int (*ends)(void *argument,
                const struct schedule_job *job,
                const struct execute_listener *listener);
    /* Interrupted for CREW_GRACE_MS, and some scenario still waits for a peer: make that end.
     * Called once, by the thread of crew_run. May be NULL. */
    void (*stuck)(void *argument);
};
#define CREW_STOP 1
struct crew_config { /* borrowed for the call */
    const struct runner_lab_config *lab;
    size_t jobs;      /* scenarios at the same time, 1..CREW_JOBS_MAX */
    int interrupt_fd; /* when it becomes readable, everything ends; -1: never */
    struct crew_hooks hooks;
};

/* Runs them all.
 * Effect:    as above. Signals that a process gets stay with the thread of the caller.
 * Outcomes:  CREW_INTERRUPTED: running scenarios were cut short, others did not start.
 * Errors:    the first of execute_scenario or of a hook; BV_E_NOMEM, BV_E_LIMIT (no thread). */
#define CREW_INTERRUPTED 1
BV_MUST_CHECK int
crew_run(const struct crew_config *config, const struct schedule *schedule, struct bv_error *error);

#endif
