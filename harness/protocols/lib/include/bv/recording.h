/* The recording of one scenario: everything that its actors sent and received, on one clock, in one
 * list. Invariants: append-only; a message is complete before it appears and never changes
 * afterwards, so a pointer to it stays good until the recording is closed; ids count 1, 2, 3 in
 * list order. A wait searches from a cursor and then sleeps on a condition until something is
 * appended, so nothing is lost to a race and nobody polls. Thread: every function: any, except open
 * and close (scenario thread, no other user left). */
#ifndef BV_RECORDING_H
#define BV_RECORDING_H

#include "bv/env.h"
#include "bv/http_types.h"
#include "bv/json.h"
#include "bv/trace.h"

/* X(name, word in results.jsonl) */
#define BV_DIRECTION_LIST(X)                                                                       \
    X(BV_SENT, "sent")                                                                             \
    X(BV_RECEIVED, "received")                                                                     \
    X(BV_NOTE, "note") /* what the lab saw beside messages: connected, cut, refused */
enum bv_direction {
#define BV_X_(name, word) name,
    BV_DIRECTION_LIST(BV_X_)
#undef BV_X_
};
const char *bv_direction_word(enum bv_direction direction);

enum bv_signature {
    BV_UNSIGNED,
    BV_SIGNED_WELL,
    BV_SIGNED_BADLY,
    BV_SIGNED_UNKNOWN /* no secret to check with */
};

#define BV_MESSAGE_BODY_MAX (256 * 1024)  /* bytes kept of a body */
#define BV_MESSAGE_JSON_MAX (1024 * 1024) /* bytes of a body that are still read as JSON */
#define BV_MESSAGE_FIELDS_MAX 48
#define BV_NO_NUMBER INT64_MIN

/* One message. Zero and BV_NO_NUMBER mean "has none". When appended, every span is copied; members
 * marked (recording) are filled in. */
struct bv_message {
    uint64_t id;          /* (recording) */
    const char *actor;    /* its name */
    const char *protocol; /* "kafka" */
    enum bv_direction direction;
    int64_t wall_us;         /* (recording) when 0 */
    int64_t mono_us;         /* (recording) when 0; the clock of every duration in the results */
    struct bv_bytes summary; /* one line for people: "POST /v1/orders -> 201" */
    struct bv_bytes type;    /* event type, gRPC method, HTTP method and path */
    struct bv_bytes key;     /* partition key, idempotency key, stream id */
    int64_t status;          /* HTTP status, gRPC status, close code */
    int64_t sequence;        /* stream sequence, Kafka offset */
    uint64_t answers;        /* id of the message that this one answers, 0: none */
    const struct bv_http_field *fields; /* headers, metadata */
    size_t field_count;
    struct bv_bytes media_type; /* "application/json", empty: unknown */
    struct bv_bytes body;
    size_t body_bytes;     /* size before it was cut to BV_MESSAGE_BODY_MAX; 0: body.size */
    struct bv_trace trace; /* of the span that sent it, from traceparent */
    enum bv_signature signature;
    const struct bv_json *json; /* (recording) body as JSON, NULL when it is none */
    struct bv_bytes
        contract; /* (inspector) schema or operation it was checked against, empty: none known */
    struct bv_bytes violation; /* (inspector) how it breaks that contract, empty: it holds */
    struct bv_bytes flaw; /* (inspector) of a request: how it breaks its contract, which may be on
                             purpose; accepting it is a violation */
    int64_t latency_us;   /* of an answer, since its request; 0: none */
};

/* Header of a Kafka record that the lab made wrong on purpose: no contract binds it. */
#define BV_KAFKA_POISON "lab-poison"

/* Checks one message against its contract before it appears: sets contract and violation (texts in
 * arena). Called in the appending thread, one call at a time. */
typedef void bv_inspect(void *argument, struct bv_message *message, struct bv_arena *arena);

struct bv_recording;
/* Ranges: at most bytes_max of memory and count_max messages. inspect may be NULL. Errors:
 * BV_E_NOMEM. env is borrowed. */
struct bv_recording_config {
    const struct bv_env *env;
    bv_inspect *inspect;
    void *inspect_argument;
    size_t bytes_max; /* 0: 64 MiB */
    size_t count_max; /* 0: 100000 */
};
BV_MUST_CHECK int bv_recording_open(const struct bv_recording_config *config,
                                    struct bv_recording **ret_recording);
void bv_recording_close(struct bv_recording **recording);

/* Appends a copy of message and wakes every wait.
 * Effect:    parses the body as JSON when it looks like it, takes the trace from a traceparent
 * field when trace is empty. Ranges:    fields past BV_MESSAGE_FIELDS_MAX are dropped. Ownership:
 * message is borrowed for the call; *ret_id (may be NULL) is the id it got. Outcomes:  none.
 * Errors:    BV_E_LIMIT when the recording is full (remembered: bv_recording_full, the scenario
 * then fails). Thread:    any; takes the recording's lock for microseconds. */
int bv_recording_append(struct bv_recording *recording,
                        const struct bv_message *message,
                        uint64_t *ret_id);
/* A note: direction BV_NOTE with this summary. */
int bv_recording_note(struct bv_recording *recording,
                      const char *actor,
                      const char *protocol,
                      const char *format,
                      ...) BV_PRINTF(4, 5);
/* Once it is, every wait that finds nothing ends with BV_NOT_YET at once: nothing can come. */
bool bv_recording_full(struct bv_recording *recording);
/* From now on every wait that finds nothing ends with BV_NOT_YET at once: the run is over. */
void bv_recording_interrupt(struct bv_recording *recording);
bool bv_recording_interrupted(struct bv_recording *recording);

uint64_t bv_recording_last(struct bv_recording *recording); /* newest id, 0: none */
const struct bv_message *bv_recording_at(struct bv_recording *recording,
                                         uint64_t id); /* NULL when there is none */

/* Whether message is the one that is waited for. Pure; called without the lock, in the waiting
 * thread, once per message. */
typedef bool bv_match(void *argument, const struct bv_message *message);

/* Waits for the next match after a cursor.
 * Effect:    offers every message with id > after, in order, also those appended while waiting,
 * until match says true. Ranges:    deadline_mono_us on env->clock's monotonic clock; one in the
 * past means: look, do not wait. Ownership: *ret_message is borrowed from the recording. Outcomes:
 * BV_NOT_YET when the deadline passed without a match (*ret_message untouched). Errors:    none.
 * Thread:    any, may block until the deadline. */
#define BV_NOT_YET 1
#define BV_MISMATCH 2
BV_MUST_CHECK int bv_recording_await(struct bv_recording *recording,
                                     uint64_t after,
                                     int64_t deadline_mono_us,
                                     bv_match *match,
                                     void *argument,
                                     const struct bv_message **ret_message);

/* ---- secrets
 * ----------------------------------------------------------------------------------------------------------------
 */

/* Names of fields and JSON members whose values must not leave the machine: authorization, cookies,
 * passwords, tokens, secrets. The recording keeps them, since a scenario must be able to use them;
 * everything that writes results goes through these. */
bool bv_secret_name(struct bv_bytes name);
#define BV_REDACTED "[redacted]"
/* Appends json with the values of secret members replaced, at any depth. */
void bv_redact_json(struct bv_json_writer *w, const struct bv_json *json);
/* Appends text with the values of secrets in it replaced: of parameters and assignments with such a
 * name (?token=..., password = '...', "secret": "..."), of bearer and basic credentials, of the
 * password in a URL. Ranges: at most BV_MESSAGE_BODY_MAX bytes of text, the rest is left out. */
void bv_redact_text(struct bv_buf *buf, struct bv_bytes text);
/* The record "message" of results.jsonl (reports/schema), redacted; one object, no newline.
 * origin_mono_us is time 0 of the run. */
void bv_message_write(struct bv_json_writer *w,
                      const char *scenario,
                      const struct bv_message *message,
                      int64_t origin_mono_us);

#endif
