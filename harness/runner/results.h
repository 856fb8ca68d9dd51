/* Writes what a run found: results.jsonl (reports/schema) as it happens, junit.xml at the end.
 * Secrets are redacted here. Invariant: every line is complete when the next begins. Thread:
 * scenario thread. */
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
    const char *planted; /* name of the planted bug (bv/breakage.h), NULL: none */
};
/* Opens the files and writes the record "run"; its time is 0 from then on. Errors: BV_E_IO. */
BV_MUST_CHECK int results_open(const struct bv_env *env,
                               const struct results_run *run,
                               struct results **ret_results,
                               struct bv_error *error);
void results_close(struct results **results);

void results_environment(struct results *results, const struct bv_stack *stack);
void results_feature(struct results *results, const struct plan *plan, size_t number);
/* A listener for execute_scenario; reproduce is printed into the end of the scenario. */
void results_scenario(struct results *results,
                      const struct plan_scenario *scenario,
                      const struct bv_lab *lab,
                      int64_t start_us);
void results_actor(struct results *results, const struct plan_step *step, int64_t at_us);
void results_message(struct results *results, const struct bv_message *message);
void results_step(struct results *results,
                  const struct plan_step *step,
                  size_t index,
                  const struct step_outcome *outcome);
void results_scenario_end(struct results *results,
                          const struct plan_scenario *scenario,
                          const struct scenario_outcome *outcome,
                          const char *reproduce);
/* A span of a service; skipped unless its trace is that of a scenario. */
void results_span(struct results *results, const struct span_record *span);
void results_log(struct results *results, const char *part, const char *path, const char *relative);
/* Totals of the run, summed from the scenarios. */
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
