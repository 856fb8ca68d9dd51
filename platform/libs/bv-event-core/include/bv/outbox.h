/* Transactional outbox: rows are written in the transaction of the state change; a relay produces
 * them and deletes them. Guarantee: at least once, and the first occurrence of each event comes in
 * `sequence` order per partition key. One relay per database at a time (session advisory lock); a
 * relay that loses its connection stops until it has the lock again. A writer must insert a key's
 * next row only after the one before is committed, as a row lock or a version check on the
 * aggregate makes it; created_at is the clock at the insertion, not at the start of the
 * transaction. A relay that stands still for 10 s (or four polls, if that is longer) loses the
 * lock: the server ends its session. Source: Richardson, "Microservices Patterns", ch. 3. Table
 * (each service's migration creates it): CREATE TABLE outbox (id uuid PRIMARY KEY, topic text NOT
 * NULL, partition_key text NOT NULL, sequence bigint NOT NULL, event_type text NOT NULL, headers
 * text NOT NULL, envelope text NOT NULL, created_at timestamptz NOT NULL DEFAULT
 * clock_timestamp()); CREATE INDEX outbox_order ON outbox (created_at, sequence); headers is one
 * JSON object of strings. Thread: loop. */
#ifndef BV_OUTBOX_H
#define BV_OUTBOX_H

#include "bv/bus.h"
#include "bv/event.h"
#include "bv/pg.h"

/* Rows to insert, as array parameters of the statement that changes the state:
 *   INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope)
 *   SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
 * $7::text[]) All-zero is releasable. */
struct bv_outbox_rows {
    struct bv_buf id, topic, partition_key, sequence, event_type, headers,
        envelope; /* Postgres array literals */
    size_t count;
};
void bv_outbox_rows_open(struct bv_outbox_rows *rows, size_t bytes_max_each);
/* Encodes event (stamped by the caller) and its headers: traceparent, correlation-id, event-type,
 * event-id. Errors: BV_E_INVALID (event), BV_E_TOO_LARGE, BV_E_NOMEM: the rows are then as before.
 */
BV_MUST_CHECK int bv_outbox_rows_add(struct bv_outbox_rows *rows,
                                     const char *topic,
                                     int64_t sequence,
                                     const struct bv_event *event);
void bv_outbox_rows_close(
    struct bv_outbox_rows *rows); /* ends the literals; then params may be taken */
#define BV_OUTBOX_PARAMS 7
void bv_outbox_rows_params(const struct bv_outbox_rows *rows,
                           struct bv_pg_param params[BV_OUTBOX_PARAMS]);
void bv_outbox_rows_release(struct bv_outbox_rows *rows);

/* The headers of an event as records carry them, for those who publish without an outbox.
 * Ownership: spans point into event and storage. *ret_headers has BV_EVENT_HEADERS rows. */
#define BV_EVENT_HEADERS 4
struct bv_event_headers {
    struct bv_header rows[BV_EVENT_HEADERS];
    char traceparent[BV_TRACEPARENT_SIZE];
    char trace_id[33];
    char id[BV_UUID_TEXT_SIZE];
};
void bv_event_headers(const struct bv_event *event, struct bv_event_headers *ret_headers);

/* The relay. A round: take the lock (again: the same session may), delete what the last round
 * published, select the oldest keys' rows in order, publish them all, wait for every
 * acknowledgement. A key stops at its first failure: its later rows stay and are published again
 * after it. A failed key is left alone for a second, so that it does not hold up others. Crash
 * between publishing and deleting: the rows are published again. Metrics:
 * bv_outbox_published_total{result}, bv_outbox_leader (0 or 1), bv_outbox_batch,
 * bv_outbox_age_seconds (oldest row of the round). Spans: one producer span per row, child of the
 * row's traceparent. */
struct bv_outbox_relay;
struct bv_outbox_config {
    const char *conninfo; /* the relay opens its own connection for the lock */
    int64_t lock_key;     /* advisory lock of this database's relay; 0: one fixed key (locks are per
                             database) */
    int64_t batch_max;    /* rows per round, 1..10000; 0: 500 */
    int64_t poll_ms;      /* rounds without a kick, 10..60000; 0: 500 */
    int64_t gather_ms; /* under load rounds begin so far apart, 1..1000; 0: 5. A full batch does not
                          wait */
};
/* bus, log, metrics, spans are borrowed for the relay's life; log, metrics, spans may be NULL.
 * config is copied. Errors: BV_E_INVALID, BV_E_NOMEM. A database that is away is no error. */
BV_MUST_CHECK int bv_outbox_relay_open(struct bv_loop *loop,
                                       const struct bv_outbox_config *config,
                                       struct bv_bus *bus,
                                       struct bv_log *log,
                                       struct bv_metrics *metrics,
                                       struct bv_span_sink *spans,
                                       struct bv_outbox_relay **ret_relay);
/* Call after each commit that wrote rows: the relay runs at once. Kicks during a round make one
 * further round. NULL: nothing. */
void bv_outbox_relay_kick(struct bv_outbox_relay *relay);
bool bv_outbox_relay_leads(
    const struct bv_outbox_relay *relay); /* held the lock in its last round */
/* Before the bus is closed. Publishes that are out finish without it: their rows are published
 * again by the next relay. */
void bv_outbox_relay_close(struct bv_outbox_relay **relay);

#endif
