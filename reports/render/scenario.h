/* The static part of a scenario on the page: its steps as written with verdicts and timing, and
 * what went wrong. Messages, timeline and logs are filled in by the script from the data. Thread:
 * one owner at a time. */
#ifndef BV_SCENARIO_H
#define BV_SCENARIO_H

#include "cause.h"
#include "html.h"
#include "records.h"

/* A command line with a button that copies it. */
void put_command(struct html *html, struct bv_bytes command);
/* What went wrong: a card for the first red scenario at each hop, FAILURE_CARDS at most, with the
 * step, the hop, expected and actual and the command that runs it again; a short one for each of
 * the others, FAILURE_LINES at most; nothing when all is green. causes has one element per
 * scenario. */
enum { FAILURE_CARDS = 5, FAILURE_LINES = 60 };
void put_failures(struct html *html, const struct report *report, const struct cause *causes);
/* Scenario number index, 0-based. Its element has the id s<index + 1>, its steps s<index + 1>-<n>.
 * folded: without what is inside, which the script adds when it is opened. */
void put_scenario_section(struct html *html,
                          const struct report *report,
                          const struct cause *cause,
                          size_t index,
                          bool folded);
/* What is inside: the cause, the place of the timeline, the steps. */
void put_scenario_inside(struct html *html,
                         const struct report *report,
                         const struct cause *cause,
                         size_t index);
bool scenario_is_open(const struct report *report, size_t index); /* when the page opens */

#endif
