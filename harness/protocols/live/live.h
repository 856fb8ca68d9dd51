/* What the protocols of live updates (websocket, sse) share: where to connect, what a live message
 * says about itself, and the hand-over between the scenario's thread, which asks, and the
 * protocol's own thread, which does. Invariant: a link carries one wish at a time; whoever waits
 * sees every state in which the link comes to rest. Thread: stated per function. */
#ifndef BV_LIVE_H
#define BV_LIVE_H

#include "bv/protocol.h"
#include <pthread.h>

#define LIVE_KEY_DEFAULT "$.data.orderId"
#define LIVE_LINE_MAX 2048 /* bytes of a path or a bearer token with its word */

/* "http://127.0.0.1:14001" taken apart. */
struct live_address {
    char host[128];
    uint16_t port;
};
/* Ranges: http only, an optional final slash. Errors: BV_E_INVALID. Thread: any. */
BV_MUST_CHECK int
live_address_parse(struct bv_bytes url, struct live_address *ret_address, struct bv_error *error);

/* path, with "after=N" added to its query; after NULL: path alone.
 * Ownership: in arena; NULL when it is exhausted. Thread: owner of arena. */
char *live_path(struct bv_arena *arena, struct bv_bytes path, const int64_t *after);

/* Fills type, key, sequence and trace of message from members of its body: "type", what key_path
 * names, "sequence", "traceparent". A body that is no JSON object leaves message as it was. Texts
 * lie in scratch. Thread: owner of scratch. */
void live_describe(struct bv_arena *scratch, const char *key_path, struct bv_message *message);
/* One line for people: "order.paid 42", from type and sequence; in scratch. */
struct bv_bytes live_summary(struct bv_arena *scratch, const struct bv_message *message);

/* ---- the request that opens ---- */

#define LIVE_FIELDS_MAX 8
/* Where an actor connects, as it was declared. Texts in the lab's arena. */
struct live_source {
    const char *target;
    const char *path;
    struct bv_bytes identity;
    const char *key_path; /* JSON path of the key of a message */
};
/* What a declaration says: the arguments of open of both protocols. */
enum live_arg {
    LIVE_ARG_TARGET,
    LIVE_ARG_PATH,
    LIVE_ARG_AS,
    LIVE_ARG_AFTER,
    LIVE_ARG_KEY,
    LIVE_ARG_IDLE,
    LIVE_ARG_COUNT
};
extern const struct bv_arg live_open_args[LIVE_ARG_COUNT];
/* Reads them, `after` and `idle` excepted. Errors: BV_E_NOMEM, BV_E_INVALID (path of the key).
 * Thread: scenario. */
BV_MUST_CHECK int live_source_read(struct bv_actor *actor,
                                   const struct bv_call *call,
                                   struct live_source *ret_source,
                                   struct bv_error *error);
/* How one verb departs from that. NULL and NONE: as declared. */
struct live_opening {
    const int64_t *after;
    struct bv_bytes last_event_id;
    struct bv_bytes identity;
};
struct live_request {
    const char *base; /* "http://127.0.0.1:14001"; lives as long as the lab */
    const char *path; /* with its query */
    struct bv_http_field fields[LIVE_FIELDS_MAX];
    size_t field_count;
    struct bv_trace trace;
    uint64_t sent_id;
    int64_t sent_us;
};
/* Resolves, logs in and records the request as sent. Texts in the lab's arena.
 * Outcomes: BV_MISMATCH as in the lab's operations. Errors: BV_E_NOMEM, BV_E_INVALID (path).
 * Thread: scenario. */
BV_MUST_CHECK int live_request_make(struct bv_actor *actor,
                                    const struct live_source *source,
                                    const struct live_opening *opening,
                                    struct live_request *ret_request,
                                    struct bv_error *error);
/* What the server said to it; body and fields may be empty. */
struct live_answer {
    int64_t status;
    const struct bv_http_field *fields;
    size_t field_count;
    struct bv_bytes media_type;
    struct bv_bytes body;
};
/* Records the answer as a note (it is none of the messages that the story waits for); 0 when the
 * recording is full. Thread: any. */
uint64_t live_answer_record(struct bv_actor *actor,
                            const struct live_request *request,
                            const struct live_answer *answer);

/* ---- the link ---- */

enum live_state { LIVE_IDLE, LIVE_CONNECTING, LIVE_OPEN, LIVE_REFUSED, LIVE_ENDED };
enum live_wish {
    LIVE_WISH_NONE,
    LIVE_WISH_OPEN,
    LIVE_WISH_CUT,
    LIVE_WISH_CLOSE,
    LIVE_WISH_SEND,
    LIVE_WISH_STOP
};

struct live_link {
    const struct bv_env *env; /* borrowed */
    pthread_cond_t changed;   /* on CLOCK_MONOTONIC */
    pthread_mutex_t lock;     /* guards what follows */
    enum live_state state;
    enum live_wish wish;
    int64_t status;     /* of the HTTP answer, 0: none came */
    uint64_t answer_id; /* of its message in the recording, 0: none */
    char why[160];      /* of REFUSED and ENDED */
};
void live_link_init(struct live_link *link, const struct bv_env *env);
void live_link_release(struct live_link *link); /* no other user left */
/* Leaves a wish; with LIVE_WISH_OPEN the state becomes CONNECTING. The caller wakes the protocol's
 * thread. Thread: scenario. */
void live_link_ask(struct live_link *link, enum live_wish wish);
/* What is wished, without taking it; then, once it is done or can be dropped, take it. Thread:
 * protocol's. */
enum live_wish live_link_wish(struct live_link *link);
void live_link_done(struct live_link *link, enum live_wish wish);
/* A new state, told to whoever waits. Thread: protocol's. */
void live_link_set(struct live_link *link,
                   enum live_state state,
                   int64_t status,
                   uint64_t answer_id,
                   const char *why);
enum live_state live_link_state(struct live_link *link); /* Thread: any */
/* Waits until the wish is done and the link is at rest (not CONNECTING).
 * Outcomes: BV_NOT_YET when the deadline came first. Thread: scenario; blocks until
 * deadline_mono_us. */
BV_MUST_CHECK int
live_link_settle(struct live_link *link, int64_t deadline_mono_us, enum live_state *ret_state);

/* Asks to leave (LIVE_WISH_CUT, LIVE_WISH_CLOSE) and waits; wake rouses the protocol's thread.
 * Outcomes: BV_MISMATCH when the server ended the connection before, or does not answer the close.
 * Errors: BV_E_INVALID when it was never opened. Thread: scenario. */
BV_MUST_CHECK int live_leave(struct bv_actor *actor,
                             struct live_link *link,
                             enum live_wish wish,
                             void (*wake)(void *argument),
                             void *argument,
                             int64_t deadline_mono_us,
                             struct bv_error *error);
/* When a verb gives up: the step's deadline, and never later than the lab's timeout from now.
 * Thread: scenario. */
int64_t live_deadline(const struct bv_actor *actor, const struct bv_call *call);
/* After LIVE_WISH_OPEN: waits, makes the HTTP answer current. Outcomes: BV_MISMATCH with the reason
 * unless it is open. Thread: scenario. */
BV_MUST_CHECK int live_opened(struct bv_actor *actor,
                              struct live_link *link,
                              int64_t deadline_mono_us,
                              struct bv_error *error);
/* What is wrong with a declaration by live_open_args. A bv_protocol.check for those. */
BV_MUST_CHECK int live_check_open(struct bv_check *check, struct bv_error *error);
/* The same where either answer will do: BV_MISMATCH only when none came. */
BV_MUST_CHECK int live_tried(struct bv_actor *actor,
                             struct live_link *link,
                             int64_t deadline_mono_us,
                             struct bv_error *error);

#endif
