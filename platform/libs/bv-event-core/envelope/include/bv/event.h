/* The event envelope: one JSON shape on every bus.
 * Invariant: an envelope that decodes has every member and no other, a UUIDv7 id and a type name of
 * known shape; one that encodes decodes again to the same values (times to the millisecond).
 * Source: contracts/events/envelope.schema.json; CloudEvents is not used. Thread: any (values
 * only). */
#ifndef BV_EVENT_H
#define BV_EVENT_H

#include "bv/arena.h"
#include "bv/json.h"
#include "bv/trace.h"
#include "bv/uuid.h"

struct bv_event {
    struct bv_uuid id;
    struct bv_bytes type;           /* "ecommerce.order.created.v1" */
    int64_t occurred_at_us;         /* wall clock; the envelope keeps milliseconds */
    struct bv_bytes producer;       /* "order" */
    struct bv_trace trace;          /* traceId in the envelope, whole traceparent in the headers */
    struct bv_bytes correlation_id; /* empty when encoding: the trace id is written */
    struct bv_bytes schema_version; /* "1.0" */
    struct bv_bytes tenant;
    struct bv_bytes partition_key;
    const struct bv_json *payload; /* decoded events; encoded when payload_text is empty */
    struct bv_bytes payload_text; /* events to encode: one JSON object, vouched for by the caller */
    const struct bv_json *envelope; /* decoded events: the whole document, for schema checks */
};
#define BV_EVENT_BYTES_MAX (256 * 1024)
#define BV_EVENT_TYPE_BYTES_MAX 100
#define BV_EVENT_KEY_BYTES_MAX 128 /* partition key and correlation id */

/* Completes an event before it is encoded.
 * Effect:    fills what is empty: id (version 7), occurred_at_us (now, whole milliseconds),
 * schema_version "1.0", tenant "default", trace (a new root, not sampled). What is set stays.
 * Ownership: filled spans point to static text.
 * Errors:    none. */
void bv_event_stamp(const struct bv_env *env, struct bv_event *event);

/* Appends the envelope to buf.
 * Errors:    BV_E_INVALID when a member is missing or of the wrong shape (not stamped; type,
 * producer, tenant, key, version); BV_E_TOO_LARGE past BV_EVENT_BYTES_MAX or buf's maximum. buf is
 * then as it was before. */
BV_MUST_CHECK int bv_event_encode(struct bv_buf *buf, const struct bv_event *event);

/* Reads an envelope.
 * Effect:    *ret_event is written only on success; its trace has the trace id alone (the span is
 * in the headers). Ownership: everything lives in arena. Errors:    BV_E_INVALID (no JSON),
 * BV_E_UNPROCESSABLE (pointer says which member), BV_E_TOO_LARGE (over BV_EVENT_BYTES_MAX or the
 * arena's cap). */
BV_MUST_CHECK int bv_event_decode(struct bv_arena *arena,
                                  struct bv_bytes text,
                                  struct bv_event *ret_event,
                                  struct bv_error *error);

/* Shapes of the contract, for those who check before they build. */
bool bv_event_type_valid(struct bv_bytes type);     /* domain.aggregate.fact.vN */
bool bv_event_name_valid(struct bv_bytes producer); /* [a-z][a-z0-9-]{0,62} */

#endif
