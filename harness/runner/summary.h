/* The end of a run: its page, and what is printed of it. Thread: main. */
#ifndef BV_SUMMARY_H
#define BV_SUMMARY_H

#include "results.h"
#include <stdio.h>

struct summary {
    const struct results_totals *totals;
    int status; /* exit status: 0 passed, 1 red, 2 the lab itself failed */
    size_t scenario_count;
    const char *run;
    int64_t seed;
    int64_t boot_ms;
    const char *folder;
    const char *shown; /* the same as people type it */
    bool page;         /* index.html was written */
};
/* Lines for people; none where nothing ran, since the sentence of the error says it. */
void summary_print(const struct summary *summary, FILE *file);
/* One JSON object and a newline on stdout. */
void summary_json(const struct summary *summary);

/* Writes folder/index.html by a program of its own: the runner knows no HTML. Where that is not
 * built, says so on console (NULL: nobody) and leaves *ret_page.
 * Errors: BV_E_IO: it failed. */
BV_MUST_CHECK int
summary_page(const char *folder, FILE *console, bool *ret_page, struct bv_error *error);

#endif
