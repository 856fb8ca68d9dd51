/* Reading results.jsonl (reports/schema) into a tree that the page walks: run, features, scenarios
 * with their steps and messages. Invariant: what a line holds is kept as the parsed JSON; nothing
 * here trusts it to have a member or the right type. A line that is no JSON object, a record of an
 * unknown kind and one that names an unknown scenario are left out and counted, never an error.
 * Thread: one owner at a time. */
#ifndef BV_RECORDS_H
#define BV_RECORDS_H

#include "bv/json.h"

#define REPORT_FILE_BYTES_MAX ((size_t)256 << 20)    /* of results.jsonl */
#define REPORT_MEMORY_BYTES_MAX ((size_t)2048 << 20) /* of the whole tree */
enum { REPORT_KINDS_NAMED = 8 };

/* X(name, word, title) */
#define REPORT_VERDICT_LIST(X)                                                                     \
    X(REPORT_PASSED, "passed", "Passed")                                                           \
    X(REPORT_FAILED, "failed", "Failed")                                                           \
    X(REPORT_BROKEN, "broken", "Broken")                                                           \
    X(REPORT_SKIPPED, "skipped", "Skipped")                                                        \
    X(REPORT_UNFINISHED, "unfinished", "Unfinished") /* the run ended before it */
enum report_verdict {
#define BV_X_(name, word, title) name,
    REPORT_VERDICT_LIST(BV_X_)
#undef BV_X_
        REPORT_VERDICTS,
};
const char *report_verdict_word(enum report_verdict verdict);
const char *report_verdict_title(enum report_verdict verdict);
enum report_verdict report_verdict_of(const struct bv_json *record); /* its member "verdict" */
bool report_is_red(enum report_verdict verdict);                     /* failed or broken */

struct report_items {
    const struct bv_json **list; /* arena */
    size_t count;
};

struct report_scenario {
    const struct bv_json *record;  /* "scenario"; never NULL */
    const struct bv_json *end;     /* "scenario-end", NULL: it did not end */
    const struct bv_json *feature; /* NULL: unknown */
    struct bv_bytes id;
    int64_t us;
    int64_t end_us; /* of what is known of it */
    struct report_items actors, steps, messages, spans;
};

struct report_kind {
    struct bv_bytes name;
    size_t count;
};

struct report {
    struct bv_arena *arena;                        /* owned; everything below lives in it */
    const struct bv_json *run, *environment, *end; /* NULL: absent */
    struct report_items features, logs;
    struct report_scenario *scenarios;
    size_t scenario_count;
    size_t lines;
    size_t bad_lines;           /* no JSON object */
    size_t bad_line_first;      /* 1 is the first line */
    struct bv_bytes bad_reason; /* of that one */
    size_t strays;              /* records of a scenario that no record opened */
    struct report_kind unknown[REPORT_KINDS_NAMED];
    size_t unknown_kinds; /* named ones */
    size_t unknown_records;
};

/* Reads text, the content of a results.jsonl, whole or cut off anywhere.
 * Effect:    none beside the memory.
 * Ranges:    at most REPORT_MEMORY_BYTES_MAX of memory.
 * Ownership: the caller releases *report; text is borrowed for the call.
 * Outcomes:  none.
 * Errors:    BV_E_NOMEM, BV_E_LIMIT (memory); *report is then all-zero.
 * Thread:    owner. */
BV_MUST_CHECK int
report_read(struct bv_bytes text, struct report *ret_report, struct bv_error *error);
void report_release(struct report *report);

enum report_verdict report_scenario_verdict(const struct report_scenario *scenario);
enum report_verdict report_run_verdict(const struct report *report);
/* How many scenarios came to each verdict. */
void report_count(const struct report *report, size_t ret_counts[REPORT_VERDICTS]);
int64_t report_last_us(const struct report *report);
/* Wall clock of time 0, microseconds since 1970; 0 when the run does not say. */
int64_t report_origin_us(const struct report *report);
/* Parses RFC 3339 ("2026-11-23T01:15:00.123456Z", also with a blank for the T); BV_E_INVALID
 * otherwise. */
BV_MUST_CHECK int report_time(struct bv_bytes text, int64_t *ret_us);

#endif
