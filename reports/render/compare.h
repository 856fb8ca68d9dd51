/* What changed since the last green run of the same story: scenarios that were green, messages that
 * no longer come or are new, steps that take much longer or much less. Invariant: only differences
 * beyond noise are named: a step counts from COMPARE_FACTOR times and COMPARE_LEAST_US on; names
 * that a run draws anew (ids, its own token) do not count. Thread: one owner at a time. */
#ifndef BV_COMPARE_H
#define BV_COMPARE_H

#include "html.h"
#include "records.h"

enum { COMPARE_FACTOR = 3, COMPARE_LEAST_US = 100000, COMPARE_LINES = 40, COMPARE_CANDIDATES = 8 };

struct compare_line {
    size_t scenario;      /* index in the newer run */
    const char *what;     /* "was green", "missing", "new", "slower", "faster" */
    struct bv_bytes text; /* arena of the newer */
    bool bad;
};
struct comparison {
    struct compare_line lines[COMPARE_LINES];
    size_t count;
    size_t left_out;
};

/* Compares newer with older, scenarios by name. Effect: memory of newer->arena. Errors: none. */
void compare_runs(const struct report *newer, const struct report *older, struct comparison *ret);

/* Finds the newest green run of report's story in the folders beside folder that are named as runs
 * are and came before it; planted bugs and other stories do not count. Effect:    reads the
 * results.jsonl of at most COMPARE_CANDIDATES folders. Ownership: the caller releases *ret_older.
 * Outcomes:  COMPARE_NONE: there is none, *ret_older is all-zero.
 * Errors:    none: what cannot be read does not count. */
#define COMPARE_NONE 1
int compare_find(const char *folder, const struct report *report, struct report *ret_older);

/* Nothing when there is no older run. */
void put_comparison(struct html *html,
                    const struct report *newer,
                    const struct report *older,
                    const struct comparison *comparison);

#endif
