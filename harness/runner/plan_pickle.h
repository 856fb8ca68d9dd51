/* The scenarios of a plan as Cucumber's pickles: what runs, with outlines unrolled and backgrounds
 * in front. Pure. Thread: any. */
#ifndef BV_PLAN_PICKLE_H
#define BV_PLAN_PICKLE_H

#include "gherkin_messages.h"
#include "plan.h"

/* Writes the value of "pickle". Its id is PREFIX "p" LINE, those of its steps have "." and their
 * number from 1 behind; astNodeIds are those of gherkin_message_document with the same prefix. */
void plan_pickle_write(struct bv_json_writer *w,
                       const char *uri,
                       const char *prefix,
                       const struct plan *plan,
                       const struct plan_scenario *scenario);

#endif
