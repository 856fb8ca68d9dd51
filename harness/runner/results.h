/* Writes what a run found: results.jsonl (reports/schema), junit.xml at the end. Secrets are
 * redacted here. Invariants: every line is complete when the next begins; the lines of a scenario
 * stand together, whatever else runs; totals and junit.xml do not depend on who ended first.
 * Thread: those of the run: any; those of a scenario: its thread; open, end and close: the owner.
 */
#ifndef BV_RESULTS_H
#define BV_RESULTS_H

#include "execute.h"
#include "spans.h"

struct bv_stack;
struct results;
struct results_run {
    const char *folder; /* exists */
    const char *run;
    const char *story;
    const char *const *files;
    size_t file_count;
    const char *tags;
    const char *reproduce;
    const char *commit;
    const char *planted;   /* name of the planted bug (bv/breakage.h), NULL: none */
    size_t scenario_count; /* that will run: their numbers are 1..scenario_count */
    int64_t jobs;
    const char *order; /* "defined", "random" */
    int64_t seed;
};
/* Opens the files and writes the record "run"; its time is 0 from then on. Errors: BV_E_IO. */
BV_MUST_CHECK int results_open(const struct bv_env *env,
                               const struct results_run *run,
                               struct results **ret_results,
                               struct bv_error *error);
void results_close(struct results **results);

void results_environment(struct results *results, const struct bv_stack *stack);

/* The records of one scenario. RESULTS_DIRECT: each line when it happens, for scenarios that run
 * alone. RESULTS_BLOCK: all at its end; at most RESULTS_BLOCK_BYTES wait in memory, the rest in an
 * unlinked file of the run's folder. */
enum results_mode { RESULTS_DIRECT, RESULTS_BLOCK };
enum { RESULTS_BLOCK_BYTES = 1 << 20 };
struct results_place {
    const struct plan *plan;
    size_t feature; /* number of its file in the run, from 1 */
    size_t number;  /* of the scenario in the run, from 1 */
};
struct results_scenario;
BV_MUST_CHECK int results_scenario_open(struct results *results,
                                        const struct results_place *place,
                                        enum results_mode mode,
                                        struct results_scenario **ret_part);
void results_scenario_close(struct results_scenario **part);
/* A listener for execute_scenario; reproduce is printed into the end of the scenario. */
void results_scenario(struct results_scenario *part,
                      const struct plan_scenario *scenario,
                      const struct bv_lab *lab,
                      int64_t start_us);
void results_actor(struct results_scenario *part, const struct plan_step *step, int64_t at_us);
void results_message(struct results_scenario *part, const struct bv_message *message);
void results_step(struct results_scenario *part,
                  const struct plan_step *step,
                  size_t index,
                  const struct step_outcome *outcome);
void results_scenario_end(struct results_scenario *part,
                          const struct plan_scenario *scenario,
                          const struct scenario_outcome *outcome,
                          const char *reproduce);
/* A span of a service; skipped unless its trace is that of a scenario. */
void results_span(struct results *results, const struct span_record *span);
void results_log(struct results *results, const char *part, const char *path, const char *relative);
/* Totals of the run, summed from the scenarios that ended. */
struct results_totals {
    size_t scenarios[VERDICT_COUNT];
    size_t steps[VERDICT_COUNT];
    size_t messages;
    size_t contracts_checked;
    size_t contracts_violated;
};
const struct results_totals *results_totals(const struct results *results);
/* Writes the last record and junit.xml. error: the one sentence of exit 2, NULL. Errors: BV_E_IO
 * when anything could not be written. */
BV_MUST_CHECK int results_end(struct results *results, int exit_status, const char *error);

#endif
