/* Documents as Cucumber Messages have them (cucumber/messages, GherkinDocument). Invariant: the id
 * of a node is PREFIX LINE:COLUMN, so whoever knows a place knows the id. Pure. Thread: any. */
#ifndef BV_GHERKIN_MESSAGES_H
#define BV_GHERKIN_MESSAGES_H

#include "gherkin.h"
#include "bv/json.h"

/* Writes the value of "gherkinDocument". prefix: what tells the ids of one file from another's. */
void gherkin_message_document(struct bv_json_writer *w,
                              const char *uri,
                              const char *prefix,
                              const struct gherkin_document *document);
/* Writes one id as a string. */
void gherkin_message_id(struct bv_json_writer *w, const char *prefix, struct gherkin_location at);
/* Writes the member "location". */
void gherkin_message_location(struct bv_json_writer *w, struct gherkin_location at);

#endif
