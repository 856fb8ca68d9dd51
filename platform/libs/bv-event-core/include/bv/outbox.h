/* Transactional outbox: rows are written in the transaction of the state change; a relay produces them in order per key and deletes them.
 * Guarantee: at least once, in `sequence` order per partition key. One relay per database at a time (session advisory lock).
 * Source: Richardson, "Microservices Patterns", ch. 3. Table (each service's migration creates it):
 *   CREATE TABLE outbox (id uuid PRIMARY KEY, topic text NOT NULL, partition_key text NOT NULL, sequence bigint NOT NULL, event_type text NOT NULL,
 *                        headers text NOT NULL, envelope text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
 *   CREATE INDEX outbox_order ON outbox (created_at, partition_key, sequence);
 * headers is one JSON object of strings. Thread: loop. */
#ifndef BV_OUTBOX_H
#define BV_OUTBOX_H

#include "bv/bus.h"
#include "bv/event.h"
#include "bv/pg.h"

/* One row to insert: collect several in arrays and write them in the statement of the state change
 * (INSERT INTO outbox SELECT * FROM unnest($1::uuid[], $2::text[], ...)). */
struct bv_outbox_rows {
    struct bv_buf id, topic, partition_key, sequence, event_type, headers, envelope; /* Postgres array literals */
    size_t count;
};
void bv_outbox_rows_open(struct bv_outbox_rows *rows, size_t bytes_max_each);
/* Encodes event (stamped by the caller) and its headers: traceparent, correlation-id, event-type, event-id. */
BV_MUST_CHECK int bv_outbox_rows_add(struct bv_outbox_rows *rows, const char *topic, int64_t sequence, const struct bv_event *event);
void bv_outbox_rows_close(struct bv_outbox_rows *rows); /* ends the literals; then params may be taken */
#define BV_OUTBOX_PARAMS 7
void bv_outbox_rows_params(const struct bv_outbox_rows *rows, struct bv_pg_param params[BV_OUTBOX_PARAMS]);
void bv_outbox_rows_release(struct bv_outbox_rows *rows);

struct bv_outbox_relay;
struct bv_outbox_config {
    const char *conninfo; /* the relay opens its own connection for the lock */
    int64_t lock_key;     /* advisory lock of this database's relay */
    int64_t batch_max;    /* rows per round, default 500 */
    int64_t poll_ms;      /* rounds without a kick, default 500 */
};
BV_MUST_CHECK int bv_outbox_relay_open(struct bv_loop *loop, const struct bv_outbox_config *config, struct bv_bus *bus, struct bv_log *log, struct bv_metrics *metrics,
                                       struct bv_span_sink *spans, struct bv_outbox_relay **ret_relay);
void bv_outbox_relay_kick(struct bv_outbox_relay *relay); /* call after each commit that wrote rows: the relay runs at once */
void bv_outbox_relay_close(struct bv_outbox_relay **relay);

#endif
