/* cucumber.ndjson: what a run found as Cucumber Messages (cucumber/messages 34), for Cucumber's own
 * formatters and for whatever else reads them. Made when the run is over, from the plans and
 * results.jsonl alone, so it does not matter how scenarios were scheduled. Invariants: one message
 * per line; ids repeat from run to run (nodes: "f1/LINE:COLUMN", pickles: "f1/pLINE", test cases
 * and steps: the ids of results.jsonl); nothing is in it that results.jsonl does not hold, so its
 * redactions hold here too. Thread: one owner at a time. */
#ifndef BV_CUCUMBER_H
#define BV_CUCUMBER_H

#include "plan.h"

enum {
    CUCUMBER_BODY_BYTES_MAX = 64 << 10, /* of one attachment; more is cut, and it says so */
    CUCUMBER_STEP_MESSAGES_MAX = 50,    /* attachments of one step */
    CUCUMBER_MESSAGES_MAX = 65536,      /* of one scenario that can be attached */
    CUCUMBER_LINE_BYTES_MAX = 16 << 20  /* longer lines of results.jsonl are passed over */
};

struct cucumber_file {
    const char *path;
    const struct plan *plan; /* plan->file is what its feature record says */
};
struct cucumber_run {
    const char *folder; /* holds results.jsonl */
    const char *commit; /* "" or NULL: unknown */
    const struct cucumber_file *files;
    size_t file_count;
};

/* Writes cucumber.ndjson into the run's folder.
 * Effect:    reads results.jsonl twice, line by line; the file appears whole or not at all.
 * Ranges:    see the limits above.
 * Ownership: run is borrowed for the call.
 * Outcomes:  none.
 * Errors:    BV_E_IO, BV_E_NOMEM, BV_E_INVALID: results.jsonl begins with no record "run".
 * Thread:    owner.
 * Source:    https://github.com/cucumber/messages, messages.schema.json. */
BV_MUST_CHECK int cucumber_write(const struct cucumber_run *run, struct bv_error *error);

#endif
