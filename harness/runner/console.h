/* What a person watching sees: one line per step with its time; at a red one what was expected,
 * what was there, the last messages of the actor, and the one command that reproduces it. Colours
 * and the moving line only on a terminal. Thread: scenario thread. */
#ifndef BV_CONSOLE_H
#define BV_CONSOLE_H

#include "execute.h"

#include <stdio.h>

struct console {
    FILE *file;         /* NULL: silent */
    const char *source; /* path of the feature file */
    bool terminal;
    size_t skipped; /* steps not shown yet */
};
void console_open(struct console *console, FILE *file);
void console_feature(struct console *console, const struct plan *plan);
void console_scenario(struct console *console, const struct plan_scenario *scenario);
void console_step_begins(struct console *console, const struct plan_step *step);
void console_step(struct console *console,
                  const struct plan_step *step,
                  const struct step_outcome *outcome,
                  struct bv_recording *recording);
void console_scenario_end(struct console *console,
                          const struct scenario_outcome *outcome,
                          const char *reproduce);

#endif
