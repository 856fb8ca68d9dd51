/* The static part of a scenario on the page: its steps as written with verdicts and timing, and
 * what went wrong. Messages, timeline and logs are filled in by the script from the data. Thread:
 * one owner at a time. */
#ifndef BV_SCENARIO_H
#define BV_SCENARIO_H

#include "html.h"
#include "records.h"

/* A command line with a button that copies it. */
void put_command(struct html *html, struct bv_bytes command);
/* The list of red scenarios, each with its first red step; nothing when all is green. */
void put_failures(struct html *html, const struct report *report);
/* Scenario number index, 0-based. Its element has the id s<index + 1>, its steps s<index + 1>-<n>.
 */
void put_scenario_section(struct html *html, const struct report *report, size_t index);

#endif
