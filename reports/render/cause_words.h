/* Short texts about records, for the sentences of a cause, and the words found in a step's
 * expectation. Internal to cause. Ownership: texts live in the arena of the report. Errors: none; a
 * text that does not fit is cut at 600 bytes, one without memory is empty. Thread: owner of the
 * arena. */
#ifndef BV_CAUSE_WORDS_H
#define BV_CAUSE_WORDS_H

#include "cause_graph.h"

struct bv_bytes words(const struct look *look, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds a fact to the cause, unless its text is empty or CAUSE_FACTS are there; message 0: none. */
void words_fact(struct look *look, const char *name, struct bv_bytes text, int64_t message);
const char *words_protocol(struct bv_bytes protocol); /* "event stream" of "sse" */
/* "…b953" of an id, whole when it is short. */
struct bv_bytes words_brief(const struct look *look, struct bv_bytes key);
/* The first word of text that has the form of an event type, "a.b.v1". */
struct bv_bytes words_type_in(struct bv_bytes text);
/* What follows "for key " up to a blank or comma. */
struct bv_bytes words_key_in(struct bv_bytes text);
/* "order → Kafka ecommerce.orders → ledger" */
struct bv_bytes words_hop(const struct look *look, const struct bv_json *message);
/* "POST /v1/orders → 201 (message 6), served by order in span 2c9e…" */
struct bv_bytes words_seen(const struct look *look, const struct bv_json *message);
/* "order, outbox publish, span 2c9e…"; empty: no span. */
struct bv_bytes words_span(const struct look *look, const struct bv_json *span);

#endif
