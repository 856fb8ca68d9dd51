/* Decisions of the notification service: where a live client resumes, what becomes of a delivery,
 * which URLs may be called. Pure: no I/O, no clock, no allocation (encoders append to the caller's
 * buffer). Thread: any. */
#ifndef NOTIFICATION_CORE_H
#define NOTIFICATION_CORE_H

#include "bv/bytes.h"

/* ---- live messages ---- */

#define NOTIFICATION_SEQUENCE_MAX INT64_C(9007199254740991)
#define NOTIFICATION_CURSOR_NOW INT64_C(-1) /* no cursor was given */

enum notification_start { NOTIFICATION_REPLAY, NOTIFICATION_RESET };
struct notification_resume {
    enum notification_start start;
    int64_t after; /* REPLAY: go on after this sequence */
};
/* Where a client goes on.
 * Ranges:    cursor NOTIFICATION_CURSOR_NOW, or the last sequence seen, 0 meaning all that is kept;
 * messages first..last are kept, first == last + 1 when none is. Outcomes:  none. RESET: the cursor
 * is older than what is kept, or was never given out. Errors:    none. */
struct notification_resume notification_resume(int64_t cursor, int64_t first, int64_t last);

/* Cursor of a request: Last-Event-ID wins over after; both BV_BYTES_NONE: NOTIFICATION_CURSOR_NOW.
 * Errors:    BV_E_INVALID with the parameter named. */
BV_MUST_CHECK int notification_cursor(struct bv_bytes last_event_id,
                                      struct bv_bytes after,
                                      int64_t *ret_cursor,
                                      struct bv_error *error);

struct notification_live {
    int64_t sequence;
    struct bv_bytes type, occurred_at, traceparent;
    struct bv_bytes data; /* one JSON object */
};
/* One live message as contracts/asyncapi/live-message.schema.json has it; orders: JSON objects with
 * commas between. Errors: buf is marked failed. */
void notification_live_encode(struct bv_buf *buf, const struct notification_live *live);
void notification_reset_encode(struct bv_buf *buf, int64_t sequence, struct bv_bytes orders);

/* What replicas tell each other at commit: "SEQUENCE TENANT_BYTES TENANT USER" with TENANT and USER
 * run together, as both may hold any character. The spans point into payload. BV_E_INVALID
 * otherwise. */
struct notification_hint {
    int64_t sequence;
    struct bv_bytes tenant, user_id;
};
BV_MUST_CHECK int notification_hint_parse(struct bv_bytes payload,
                                          struct notification_hint *ret_hint);

/* ---- deliveries ----
 *
 *     WAITING --CLAIMED--> SENDING --ACCEPTED--> DELIVERED
 *        ^                    |---EXHAUSTED, GONE, WITHDRAWN--> FAILED
 *        '--REFUSED, LOST-----'        WAITING --WITHDRAWN----> FAILED
 *
 * In the store WAITING and SENDING are both PENDING; SENDING is one whose lease runs. */
#define NOTIFICATION_STATES(X) X(WAITING) X(SENDING) X(DELIVERED) X(FAILED)
#define NOTIFICATION_EVENTS(X)                                                                     \
    X(CLAIMED)   /* a worker took it */                                                            \
    X(ACCEPTED)  /* 2xx */                                                                         \
    X(REFUSED)   /* any other answer, or none, with tries left */                                  \
    X(EXHAUSTED) /* the same, on the last try */                                                   \
    X(GONE)      /* 410: the subscription ends */                                                  \
    X(LOST)      /* the worker's lease ran out */                                                  \
    X(WITHDRAWN) /* the subscription ended meanwhile */
#define NOTIFICATION_ENUM_STATE(name) NOTIFICATION_##name,
#define NOTIFICATION_ENUM_EVENT(name) NOTIFICATION_ON_##name,
enum notification_state { NOTIFICATION_STATES(NOTIFICATION_ENUM_STATE) NOTIFICATION_STATE_COUNT };
enum notification_on { NOTIFICATION_EVENTS(NOTIFICATION_ENUM_EVENT) NOTIFICATION_ON_COUNT };
enum notification_effect {
    NOTIFICATION_NOTHING,
    NOTIFICATION_SEND,
    NOTIFICATION_FINISH,
    NOTIFICATION_BACK_OFF,
    NOTIFICATION_GIVE_UP,
    NOTIFICATION_DISABLE /* give up, and end the subscription */
};
struct notification_step {
    enum notification_state to;
    enum notification_effect effect;
};
/* The step of the table above. Outcome: NOTIFICATION_REFUSED_STEP, *ret_step untouched: no row.
 * Errors: none. */
#define NOTIFICATION_REFUSED_STEP 1
BV_MUST_CHECK int notification_deliver(enum notification_state from,
                                       enum notification_on on,
                                       struct notification_step *ret_step);
const char *notification_state_name(enum notification_state state);
const char *notification_on_name(enum notification_on on);
/* What an attempt came to. rc 0 and the status of the answer, or the fault there was instead;
 * attempt counts from 1. */
enum notification_on
notification_attempt_ended(int rc, int status, int64_t attempt, int64_t attempts_max);
#define NOTIFICATION_RETRY_AFTER_MAX_MS INT64_C(3600000)
/* Delay before the next try: that of the backoff, or, when it is longer, what the partner asked for
 * by Retry-After, of 429 and 503 only and up to an hour.
 * Ranges: retry_after in seconds; BV_BYTES_NONE or anything else (a date too) counts as not said.
 * Source: RFC 9110, 10.2.3; RFC 6585, section 4. Thread: any. */
int64_t notification_retry_delay(int64_t backoff_ms, int status, struct bv_bytes retry_after);

/* ---- subscriptions ---- */

#define NOTIFICATION_URL_MIN 10
#define NOTIFICATION_URL_MAX 2048
enum notification_private { NOTIFICATION_PRIVATE_REFUSED, NOTIFICATION_PRIVATE_ALLOWED };
/* Whether a URL may be subscribed: http or https, 10..2048 visible ASCII characters, a host,
 * neither user info nor fragment; where private ones are refused, no address or name that
 * bv/address.h does not call public. Names are judged again when they are resolved (bv_httpc,
 * public_only). Errors: BV_E_UNPROCESSABLE with the reason. */
BV_MUST_CHECK int notification_url_check(struct bv_bytes url,
                                         enum notification_private privacy,
                                         struct bv_error *error);
/* One of the order event types of the contract. */
bool notification_type_known(struct bv_bytes type);
extern const char *const notification_types[];
#define NOTIFICATION_TYPE_COUNT 10

#endif
