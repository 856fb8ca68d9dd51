/* Consumer of events: decodes, validates, calls the handler once per event id, commits after the effect, parks poison in <topic>.dlq.
 * The inbox makes effects idempotent: the handler writes the event id in the transaction of its effect:
 *   CREATE TABLE inbox (consumer text NOT NULL, event_id uuid NOT NULL, received_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, event_id));
 * Poison parks its key: later events of that key follow it into the DLQ until it is replayed, so that order per key holds; poison is never marked in the inbox.
 * Thread: loop. */
#ifndef BV_CONSUMER_H
#define BV_CONSUMER_H

#include "bv/bus.h"
#include "bv/event.h"
#include "bv/resilience.h"

struct bv_consumer;
struct bv_consumer_event; /* the event under way */
/* Do the effect, then call bv_consumer_done(event, rc): 0 done; a transient fault (UNAVAILABLE, TIMEOUT, CONFLICT, LIMIT, NOMEM) is retried by the policy; any other fault parks it in the DLQ.
 * Everything in event lives until then. */
typedef void bv_consumer_handler(void *context, struct bv_consumer_event *under_way, const struct bv_event *event, const struct bv_record *record);
struct bv_consumer_row {
    const char *event_type;
    bv_consumer_handler *handler;
};
struct bv_schemas;
struct bv_consumer_config {
    const char *group;         /* also the name in the inbox */
    const char *const *topics; /* NULL-terminated */
    const struct bv_consumer_row *rows; /* types without a row are acknowledged and counted as ignored */
    size_t row_count;
    const struct bv_backoff *retry;  /* transient faults; exhausted: DLQ */
    const struct bv_schemas *schemas; /* NULL: envelopes are decoded but payloads not validated */
    uint32_t prefetch;
};
BV_MUST_CHECK int bv_consumer_open(struct bv_loop *loop, struct bv_bus *bus, const struct bv_consumer_config *config, struct bv_log *log, struct bv_metrics *metrics,
                                   struct bv_span_sink *spans, void *context, struct bv_consumer **ret_consumer);
void bv_consumer_done(struct bv_consumer_event *under_way, int rc, const struct bv_error *error);
const struct bv_trace *bv_consumer_trace(const struct bv_consumer_event *under_way); /* consumer span, child of the producer's */
struct bv_arena *bv_consumer_arena(struct bv_consumer_event *under_way);
void bv_consumer_stop(struct bv_consumer *consumer, void (*stopped)(void *argument), void *argument); /* lets what is under way finish */
void bv_consumer_close(struct bv_consumer **consumer);

#endif
