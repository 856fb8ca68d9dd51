/* Inside the results: what run and scenario records share. */
#ifndef BV_RESULTS_LINES_H
#define BV_RESULTS_LINES_H

#include "results.h"
#include "bv/fs.h"

#include <pthread.h>
#include <stdio.h>

enum { RESULTS_LINE_BYTES_MAX = 16 << 20, RESULTS_CASE_BYTES_MAX = 1 << 20 };

struct results {
    const struct bv_env *env;
    int64_t origin_us; /* monotonic */
    int64_t origin_wall_us;
    char folder[BV_PATH_MAX];
    char story[64];
    size_t expected;      /* scenarios; the size of cases and traces */
    pthread_mutex_t lock; /* guards what follows */
    FILE *file;
    struct bv_buf line;
    char **cases;          /* owned: <testcase> of each scenario by number from 1, for junit.xml */
    uint8_t (*traces)[16]; /* owned: of the scenarios that began, by number from 1 */
    size_t last;           /* highest number that began */
    bool *features;        /* owned: whose record is written, by number from 1 */
    size_t feature_count;
    struct results_totals totals;
    bool failed; /* something could not be written */
};

/* Empties line and begins a record in it. */
struct bv_json_writer results_begin(struct bv_buf *line, const char *record);
/* Ends the record of w, or a line that is whole but for its newline, and writes it to the file.
 * With the lock held. */
void results_end_line(struct results *results, struct bv_json_writer *w);
void results_write(struct results *results, struct bv_bytes bytes);
/* Members that are left out when they are empty. */
void results_text(struct bv_json_writer *w, const char *key, const char *value);
void results_bytes(struct bv_json_writer *w, const char *key, struct bv_bytes value);
int64_t results_since(const struct results *results, int64_t mono_us);
void results_counts(struct bv_json_writer *w, const char *key, const size_t *counts);
/* The record of a feature unless it is written. With the lock held. */
void results_feature(struct results *results, const struct plan *plan, size_t number);

/* One <testcase>, malloc'd. */
char *junit_case(const struct plan *plan,
                 const struct plan_scenario *scenario,
                 const struct scenario_outcome *outcome);
/* junit.xml of all cases in the order of their numbers. Errors: BV_E_IO, BV_E_NOMEM. */
BV_MUST_CHECK int junit_write(const struct results *results, int64_t duration_us);

#endif
