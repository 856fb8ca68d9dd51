/* What a run would do, without doing it: the servers that would start, and every scenario in the
 * order of the run with its steps resolved to actor, protocol, target and verb. Variables stay as
 * written, since most get their value from an answer. Pure. Thread: main. */
#ifndef BV_DRY_RUN_H
#define BV_DRY_RUN_H

#include "scenario_options.h"
#include "schedule.h"
#include "story.h"

struct dry_run { /* borrowed for the call */
    const struct story *stories;
    const struct schedule *schedule;
    const struct scenario_options *options;
    int64_t seed;
    const char *const *servers; /* that would start, in this order; none with --stack */
    size_t server_count;
    int memory_mb;
    int disk_mb;
    int ports;
};
/* For people. Errors: BV_E_TOO_LARGE past buf->max. */
BV_MUST_CHECK int dry_run_text(const struct dry_run *run, struct bv_buf *buf);
/* One JSON object with a newline. Errors: the same. */
BV_MUST_CHECK int dry_run_json(const struct dry_run *run, struct bv_buf *buf);

#endif
