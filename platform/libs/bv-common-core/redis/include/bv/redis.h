/* Redis: one pipelined connection on the loop, reconnecting with exponential backoff and full
 * jitter (20 ms to 1 s). The commands of one loop turn go out in one write at its end, and are
 * answered in order. Metrics: bv_redis_commands_total{outcome}, bv_redis_command_seconds,
 * bv_redis_up.
 * Invariant: every accepted command ends with exactly one done, never from within bv_redis_send.
 * Thread: loop.
 * Source: Redis protocol specification (RESP2); replies parsed by hiredis. */
#ifndef BV_REDIS_H
#define BV_REDIS_H

#include "bv/loop.h"
#include "bv/metrics.h"

struct bv_redis;
struct bv_redis_config {
    const char *url; /* redis://[[user]:password@]host[:port][/db]; secret; copied. Host names are
                        resolved blocking: prefer addresses */
    int64_t commands_max;       /* 1.. in flight; BV_E_LIMIT past it */
    int64_t command_timeout_ms; /* 1.. an unanswered command's connection is replaced */
};
/* Opens the client and begins to connect (AUTH and SELECT as the URL says).
 * Ownership: config is copied; loop and metrics (may be NULL) outlive the client. The caller closes
 *            it.
 * Errors:    BV_E_INVALID (url, a value out of range), BV_E_NOMEM. A server that is not there is no
 *            error here: see bv_redis_ready.
 * Thread:    loop. */
BV_MUST_CHECK int bv_redis_open(struct bv_loop *loop,
                                const struct bv_redis_config *config,
                                struct bv_metrics *metrics,
                                struct bv_redis **ret_redis);
/* Commands in flight end with BV_E_CANCELLED. Not from within a done. */
void bv_redis_close(struct bv_redis **redis);
bool bv_redis_ready(const struct bv_redis *redis);

/* A reply and all below it: for the duration of done. Functions of another type than the reply's
 * give an empty span, 0 or NULL. bv_redis_bytes is NUL-terminated; for STRING and STATUS, and the
 * text of an ERROR inside an ARRAY (of EXEC, for one). */
enum bv_redis_type {
    BV_REDIS_NIL,
    BV_REDIS_STRING,
    BV_REDIS_INT,
    BV_REDIS_ARRAY,
    BV_REDIS_STATUS,
    BV_REDIS_ERROR
};
struct bv_redis_reply;
enum bv_redis_type bv_redis_type(const struct bv_redis_reply *reply);
struct bv_bytes bv_redis_bytes(const struct bv_redis_reply *reply);
int64_t bv_redis_int(const struct bv_redis_reply *reply);
size_t bv_redis_size(const struct bv_redis_reply *reply); /* elements of an ARRAY */
const struct bv_redis_reply *bv_redis_at(const struct bv_redis_reply *reply, size_t index);

/* rc 0 with reply, error NULL. Otherwise reply NULL and error set: BV_E_UNAVAILABLE (connection
 * lost: the command may have taken effect), BV_E_TIMEOUT (the same), BV_E_PROTOCOL (error reply:
 * its text is in error), BV_E_CANCELLED (bv_redis_close). */
typedef void bv_redis_done(void *argument,
                           int rc,
                           const struct bv_redis_reply *reply,
                           const struct bv_error *error);
/* Queues one command.
 * Ranges:    words: the command and its arguments, binary-safe, 1..1024 of them, 512 MiB together.
 *            No SUBSCRIBE, MONITOR or CLIENT REPLY: every command has one reply.
 * Ownership: words are copied. done may be NULL, and may call bv_redis_send.
 * Errors:    (done is then not called) BV_E_UNAVAILABLE (not connected: fails at once), BV_E_LIMIT
 *            past commands_max, BV_E_INVALID (count), BV_E_TOO_LARGE (or no memory).
 * Thread:    loop; does not block. */
BV_MUST_CHECK int bv_redis_send(struct bv_redis *redis,
                                const struct bv_bytes *words,
                                size_t count,
                                bv_redis_done *done,
                                void *argument);

#endif
