/* What a person watching sees: one line per step with its time; at a red one what was expected,
 * what was there, the last messages of the actor, and the one command that reproduces it. The lines
 * of scenarios that run at the same time are printed scenario by scenario, each when it has ended;
 * a terminal shows below them what runs. Colours and moving lines only on a terminal. Thread: those
 * of the console: any; those of a scenario: its thread; open and close: the owner. */
#ifndef BV_CONSOLE_H
#define BV_CONSOLE_H

#include "execute.h"

#include <pthread.h>
#include <stdio.h>

enum { CONSOLE_RUNNING_MAX = 64 };
struct console {
    FILE *file; /* NULL: silent */
    bool terminal;
    bool marks;           /* the terminal shows more than ASCII */
    pthread_mutex_t lock; /* guards what follows, and writing to file while scenarios run */
    const struct plan *shown;
    size_t total;
    size_t done;
    const struct plan_scenario *running[CONSOLE_RUNNING_MAX]; /* in blocks; NULL: free */
};
void console_open(struct console *console, FILE *file);
void console_close(struct console *console);

/* A scenario begins. CONSOLE_DIRECT: its lines appear as they happen, nothing else may run.
 * Errors: BV_E_NOMEM. */
enum console_mode { CONSOLE_DIRECT, CONSOLE_BLOCK };
struct console_scenario;
BV_MUST_CHECK int console_scenario(struct console *console,
                                   const struct plan *plan,
                                   const struct plan_scenario *scenario,
                                   enum console_mode mode,
                                   struct console_scenario **ret_part);
void console_step_begins(struct console_scenario *part, const struct plan_step *step);
void console_step(struct console_scenario *part,
                  const struct plan_step *step,
                  const struct step_outcome *outcome,
                  struct bv_recording *recording);
void console_scenario_end(struct console_scenario *part,
                          const struct scenario_outcome *outcome,
                          const char *reproduce);
/* Prints what a block holds and frees it. */
void console_scenario_close(struct console_scenario **part);

#endif
