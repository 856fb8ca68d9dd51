/* Redis: one pipelined connection on the loop (hiredis), reconnecting with backoff. Thread: loop. */
#ifndef BV_REDIS_H
#define BV_REDIS_H

#include "bv/loop.h"
#include "bv/metrics.h"

struct bv_redis;
struct bv_redis_config {
    const char *url; /* redis://[:password@]host:port[/db] */
    int64_t commands_max;    /* in flight; BV_E_LIMIT past it */
    int64_t command_timeout_ms;
};
BV_MUST_CHECK int bv_redis_open(struct bv_loop *loop, const struct bv_redis_config *config, struct bv_metrics *metrics, struct bv_redis **ret_redis);
void bv_redis_close(struct bv_redis **redis);
bool bv_redis_ready(const struct bv_redis *redis);

enum bv_redis_type { BV_REDIS_NIL, BV_REDIS_STRING, BV_REDIS_INT, BV_REDIS_ARRAY, BV_REDIS_STATUS };
struct bv_redis_reply; /* for the duration of done */
enum bv_redis_type bv_redis_type(const struct bv_redis_reply *reply);
struct bv_bytes bv_redis_bytes(const struct bv_redis_reply *reply);
int64_t bv_redis_int(const struct bv_redis_reply *reply);
size_t bv_redis_size(const struct bv_redis_reply *reply);
const struct bv_redis_reply *bv_redis_at(const struct bv_redis_reply *reply, size_t index);
/* rc 0 with reply; BV_E_UNAVAILABLE (not connected: fails at once), BV_E_TIMEOUT, BV_E_PROTOCOL (error reply), BV_E_CANCELLED. Never called from within the send. */
typedef void bv_redis_done(void *argument, int rc, const struct bv_redis_reply *reply, const struct bv_error *error);
/* words: the command and its arguments, binary-safe. done may be NULL. */
BV_MUST_CHECK int bv_redis_send(struct bv_redis *redis, const struct bv_bytes *words, size_t count, bv_redis_done *done, void *argument);

#endif
