/* The event envelope: one JSON shape on every bus. Sources: contracts/events/envelope.schema.json; CloudEvents is not used (see decision-log).
 * Invariant: an envelope that decodes has every member, a UUIDv7 id and a known shape of type name. Thread: any (values only). */
#ifndef BV_EVENT_H
#define BV_EVENT_H

#include "bv/arena.h"
#include "bv/json.h"
#include "bv/trace.h"
#include "bv/uuid.h"

struct bv_event {
    struct bv_uuid id;
    struct bv_bytes type;           /* "ecommerce.order.created.v1" */
    int64_t occurred_at_us;
    struct bv_bytes producer;       /* "order-service" */
    struct bv_trace trace;          /* traceId in the envelope, whole traceparent in the headers */
    struct bv_bytes correlation_id;
    struct bv_bytes schema_version; /* "1.0" */
    struct bv_bytes tenant;
    struct bv_bytes partition_key;
    const struct bv_json *payload;  /* decoded events */
    struct bv_bytes payload_text;   /* events to encode: one JSON value */
};
#define BV_EVENT_BYTES_MAX (256 * 1024)
/* Fills id, occurred_at_us, schema_version, tenant "default" where empty. */
void bv_event_stamp(const struct bv_env *env, struct bv_event *event);
int bv_event_encode(struct bv_buf *buf, const struct bv_event *event);
/* BV_E_INVALID (no JSON), BV_E_UNPROCESSABLE (pointer says which member). Everything lives in arena. */
BV_MUST_CHECK int bv_event_decode(struct bv_arena *arena, struct bv_bytes text, struct bv_event *ret_event, struct bv_error *error);

#endif
