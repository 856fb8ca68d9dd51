/* What is known of a red scenario: what a record says (rec_…), and which record led to which
 * (graph_…). Internal to cause. Invariant: reads the report only; what the records do not tell is
 * NULL, 0 or an empty text, never a guess. Ownership: what is returned lives as long as the report.
 * Errors: none. Thread: any. */
#ifndef BV_CAUSE_GRAPH_H
#define BV_CAUSE_GRAPH_H

#include "cause.h"

struct look {
    const struct report *report;
    const struct report_scenario *scenario;
    struct cause *cause; /* being told; its step is set from the beginning */
};

/* ---- one record, NULL allowed ---- */

struct bv_bytes rec_text(const struct bv_json *record, const char *member);
int64_t rec_number(const struct bv_json *record, const char *member);
bool rec_is(const struct bv_json *record, const char *member, const char *word);
bool rec_says(const struct bv_json *record, const char *member, const char *part);
bool rec_has_field(const struct bv_json *message, const char *name); /* a header, any case */
bool rec_is_arrival(const struct bv_json *message); /* received, and not an answer */
bool rec_is_refused(const struct bv_json *message); /* a delivery that will rightly come again */
/* Of what an envelope of Kafka or a delivery speaks of, 0: it has none. */
int64_t rec_version(const struct bv_json *message);
/* "ecommerce.orders" of "ecommerce.orders[2]@17 ecommerce.order.paid.v1"; empty: not of Kafka. */
struct bv_bytes rec_topic(const struct bv_json *message);
struct bv_bytes rec_name(const struct bv_json *message); /* its type, else its summary */
struct bv_bytes rec_event_id(const struct bv_json *message);

/* ---- what leads to what ---- */

const struct bv_json *graph_message(const struct look *look, int64_t id);
const struct bv_json *graph_answer(const struct look *look, const struct bv_json *asked);
/* The span whose member ("spanId", "parentSpanId") is id. */
const struct bv_json *graph_span(const struct look *look, const char *member, struct bv_bytes id);
/* Who serves what the message asks for: the service of the span whose parent the request is. */
struct bv_bytes graph_server(const struct look *look, const struct bv_json *asked);
/* Who sent what the actor received: by the span that it carries, its envelope, or where an earlier
 * message of this actor came from. */
struct bv_bytes graph_sender(const struct look *look, const struct bv_json *message);
/* The last request or record until us that changes something and speaks of key; of anything if key
 * is empty. */
const struct bv_json *graph_last_change(const struct look *look, struct bv_bytes key, int64_t us);
/* The last arrival of key before us at the actor; of any actor on Kafka if actor is empty. */
const struct bv_json *
graph_last_arrival(const struct look *look, struct bv_bytes actor, struct bv_bytes key, int64_t us);
/* What the actors sent that led to the message: up its spans; where they end, the first change of
 * the same thing that explains its version. */
const struct bv_json *graph_origin(const struct look *look, const struct bv_json *message);
/* The earlier arrival of what the message says, at the same actor. */
const struct bv_json *graph_twin(const struct look *look, const struct bv_json *message);
/* Records on Kafka with type and key of the message. */
size_t graph_count_on_kafka(const struct look *look, const struct bv_json *message);
/* The topic that the actor listens to; empty: it is none of Kafka. */
struct bv_bytes graph_topic_declared(const struct look *look, struct bv_bytes actor);
/* Who produces a type: as its envelope says anywhere in the run, else who served the request. */
struct bv_bytes graph_producer(const struct look *look,
                               struct bv_bytes type,
                               struct bv_bytes topic,
                               const struct bv_json *asked);
/* What Kafka brought of key that the actor did not: of the type if it is known. */
const struct bv_json *graph_undelivered(const struct look *look,
                                        struct bv_bytes actor,
                                        struct bv_bytes key,
                                        struct bv_bytes type);

#endif
