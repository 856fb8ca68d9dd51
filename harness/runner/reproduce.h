/* The command that runs something again. Pure but for the planted bug of the process. Thread: any.
 */
#ifndef BV_REPRODUCE_H
#define BV_REPRODUCE_H

#include "scenario_options.h"
#include "schedule.h"
#include "story.h"

enum { REPRODUCE_BYTES = 512 }; /* longer ones are cut */

/* The whole run: its stories, tags, jobs, and the seed where the order or the numbers come from a
 * given one. */
void reproduce_run(const struct story *stories,
                   size_t count,
                   const struct scenario_options *options,
                   int64_t seed,
                   char out[REPRODUCE_BYTES]);
/* One scenario, together with those that it must meet. */
void reproduce_scenario(const struct story *story,
                        const struct schedule *schedule,
                        const struct schedule_job *job,
                        char out[REPRODUCE_BYTES]);

#endif
