/* Consumer of events: decodes, checks, calls the handler, commits after the effect, parks poison in
 * <topic>.dlq. Guarantee: at least once; the handler's inbox makes the effect idempotent: it writes
 * the event id in the transaction of its effect, and what is there already is done: CREATE TABLE
 * inbox (consumer text NOT NULL, event_id uuid NOT NULL, received_at timestamptz NOT NULL DEFAULT
 * now(), PRIMARY KEY (consumer, event_id)); Rows of the inbox may be deleted once they are older
 * than the retention of the topic and its DLQ. Order: events of one key are handled one after
 * another, whatever prefetch is; others at once up to prefetch per partition. Poison parks its key:
 * later events of that key follow it into the DLQ until it is released, so that order per key
 * holds; so does an event whose partitionKey is not the key of its record; poison is never marked
 * in the inbox. Parked keys are kept by a store (bv/parked.h); without one they are kept in memory
 * only: a restart or a rebalance then forgets them, and later events of such a key overtake the one
 * in the DLQ. Replay: whoever replays publishes the DLQ's records of a key, in order, to the topic
 * with header dlq-replay "next", the last one with "last". They are handled although the key is
 * parked; the effect of the last releases the key. At most 65536 keys are remembered: past that a
 * poisoned key is not parked, and its later events are handled. DLQ record: key, value and headers
 * as they were, and dlq-reason, dlq-attempts, dlq-topic, dlq-partition, dlq-offset; of a record
 * that is too large for the DLQ the key and these only, and dlq-cut-bytes, the size of its value. A
 * key that no event can have (over 128 bytes, not UTF-8) is not parked. Metrics:
 * bv_consumer_events_total{group,result}, bv_consumer_seconds{group},
 * bv_consumer_parked_keys{group}. Thread: loop. */
#ifndef BV_CONSUMER_H
#define BV_CONSUMER_H

#include "bv/bus.h"
#include "bv/event.h"
#include "bv/resilience.h"

struct bv_consumer;
struct bv_consumer_event; /* the event under way */
/* Do the effect, then call bv_consumer_done, at once or later, exactly once. event and record live
 * until then. */
typedef void bv_consumer_handler(void *context,
                                 struct bv_consumer_event *under_way,
                                 const struct bv_event *event,
                                 const struct bv_record *record);
struct bv_consumer_row {
    const char *event_type;
    bv_consumer_handler *handler;
};
struct bv_schemas;
struct bv_parked_store;
struct bv_consumer_config {
    const char *group;         /* also the name in the inbox */
    const char *const *topics; /* NULL-terminated */
    const struct bv_consumer_row
        *rows; /* types without a row are acknowledged and counted as ignored, but another version
                  of a type that has one is poison */
    size_t row_count;
    const struct bv_backoff
        *retry; /* transient faults; exhausted: DLQ. NULL: 10 tries, full jitter, 100 ms to 10 s */
    const struct bv_schemas
        *schemas;      /* "<event type>.schema.json"; NULL: only the envelope is checked */
    uint32_t prefetch; /* per partition, 0: 1 */
    struct bv_parked_store *parked; /* NULL: in memory */
    enum bv_bus_from from;          /* where a new group begins */
};
/* Everything is borrowed for the consumer's life but config itself; log, metrics, spans may be
 * NULL. Errors: BV_E_INVALID; BV_E_NOT_FOUND when a row's type has no schema; BV_E_NOMEM. */
BV_MUST_CHECK int bv_consumer_open(struct bv_loop *loop,
                                   struct bv_bus *bus,
                                   const struct bv_consumer_config *config,
                                   struct bv_log *log,
                                   struct bv_metrics *metrics,
                                   struct bv_span_sink *spans,
                                   void *context,
                                   struct bv_consumer **ret_consumer);
/* rc 0: the effect is committed. A transient fault (UNAVAILABLE, TIMEOUT, CONFLICT, LIMIT, NOMEM,
 * CANCELLED, CLOSED) is tried again by the policy, its key waiting; any other fault parks the event
 * with error's text (may be NULL) as reason. */
void bv_consumer_done(struct bv_consumer_event *under_way, int rc, const struct bv_error *error);
const struct bv_trace *bv_consumer_trace(
    const struct bv_consumer_event *under_way); /* consumer span, child of the producer's */
struct bv_arena *bv_consumer_arena(struct bv_consumer_event *under_way);
uint32_t bv_consumer_attempt(const struct bv_consumer_event *under_way); /* 0 the first time */
/* Starts nothing new, lets what is under way finish, leaves the group, then calls stopped, later
 * and once. */
void bv_consumer_stop(struct bv_consumer *consumer,
                      void (*stopped)(void *argument),
                      void *argument);
/* Before the bus is closed. What is under way is forgotten (and received again by others); its
 * bv_consumer_done is harmless, its record is gone. */
void bv_consumer_close(struct bv_consumer **consumer);

#endif
