/* Resilience policies as pure state: they decide, the caller acts. Each call site names its policy
 * in one table.
 * Thread: owner's loop; none of these blocks, and only single-flight allocates after init. */
#ifndef BV_RESILIENCE_H
#define BV_RESILIENCE_H

#include "bv/env.h"

/* Backoff. Delay before try number attempt+1: LINEAR base*(attempt+1); LINEAR_JITTER uniform in
 * [linear/2, linear]; EXPONENTIAL base*2^attempt; EXPONENTIAL_FULL_JITTER uniform in [0,
 * exponential]; all capped at cap_ms. Source: Brooker, "Exponential Backoff and Jitter", AWS
 * Architecture Blog, 2015. */
enum bv_backoff_law {
    BV_BACKOFF_LINEAR,
    BV_BACKOFF_LINEAR_JITTER,
    BV_BACKOFF_EXPONENTIAL,
    BV_BACKOFF_EXPONENTIAL_FULL_JITTER
};
struct bv_backoff {
    const char *name;
    enum bv_backoff_law law;
    int64_t base_ms;
    int64_t cap_ms;
    uint32_t attempts_max; /* tries after the first */
};
/* Delay before the next try.
 * Effect:    the laws with jitter draw from env->random (env may be NULL for the others).
 * Ranges:    attempt counts the failures after the first try, from 0; *ret_delay_ms 0..cap_ms.
 * Ownership: policy is borrowed for the call.
 * Outcomes:  BV_RETRY_EXHAUSTED when attempt >= attempts_max (ret_delay_ms untouched).
 * Errors:    none.
 * Thread:    loop. */
#define BV_RETRY_EXHAUSTED 1
BV_MUST_CHECK int bv_backoff_next(const struct bv_env *env,
                                  const struct bv_backoff *policy,
                                  uint32_t attempt,
                                  int64_t *ret_delay_ms);

/* Circuit breaker: CLOSED counts failures over a sliding count window; OPEN refuses for open_ms;
 * HALF_OPEN lets probes through. Source: Nygard, "Release It!", 2nd ed., ch. 5. */
enum bv_breaker_state { BV_BREAKER_CLOSED, BV_BREAKER_OPEN, BV_BREAKER_HALF_OPEN };
struct bv_breaker_policy {
    const char *name;
    uint32_t window;           /* last n calls, 1..64 */
    uint32_t failures_to_open; /* within the window, 1..window */
    int64_t open_ms;
    uint32_t probes; /* successes that close it, also calls at once while HALF_OPEN; from 1 */
};
struct bv_breaker {
    const struct bv_breaker_policy *policy; /* borrowed */
    enum bv_breaker_state state;
    uint64_t outcomes; /* bit ring, 1 = failure */
    uint32_t seen;
    uint32_t probes_ok;
    uint32_t probes_out;
    int64_t opened_at_ms;
};
void bv_breaker_init(struct bv_breaker *breaker, const struct bv_breaker_policy *policy);
/* Asks leave for one call. Each 0 must be followed by one report: a probe without one holds its
 * place.
 * Effect:    OPEN turns HALF_OPEN once open_ms have passed.
 * Ranges:    now_ms is monotonic; *ret_retry_after_ms is the rest of open_ms, or, while probes are
 *            on their way, open_ms as an upper estimate.
 * Outcomes:  none.
 * Errors:    BV_E_UNAVAILABLE: refused (ret_retry_after_ms is written only then).
 * Thread:    loop.
 * bv_breaker_report: IGNORED (cancelled, the caller's own fault) leaves the window alone and gives
 * a probe's place back; a failed probe opens again; reports while OPEN change nothing. */
BV_MUST_CHECK int
bv_breaker_enter(struct bv_breaker *breaker, int64_t now_ms, int64_t *ret_retry_after_ms);
enum bv_call_result { BV_CALL_OK, BV_CALL_FAILED, BV_CALL_IGNORED };
void bv_breaker_report(struct bv_breaker *breaker, int64_t now_ms, enum bv_call_result result);

/* Bulkhead: at most `limit` calls at once. BV_E_LIMIT when full (counted in refused); each 0 is
 * followed by one leave. */
struct bv_bulkhead {
    const char *name;
    uint32_t limit;
    uint32_t used;
    uint64_t refused;
};
BV_MUST_CHECK int bv_bulkhead_enter(struct bv_bulkhead *bulkhead);
void bv_bulkhead_leave(struct bv_bulkhead *bulkhead);

/* Token bucket. Rates in tokens per second, burst in tokens; starts full. A clock that goes back
 * adds nothing. */
struct bv_token_bucket {
    double rate_per_s;
    double burst;
    double tokens;
    int64_t at_us;
};
void bv_token_bucket_init(struct bv_token_bucket *bucket,
                          double rate_per_s,
                          double burst,
                          int64_t now_us);
/* 0 and a token is gone, or BV_E_LIMIT and the wait until one is there (INT64_MAX: never). */
BV_MUST_CHECK int
bv_token_bucket_take(struct bv_token_bucket *bucket, int64_t now_us, int64_t *ret_wait_ms);

/* Deadlines travel as absolute monotonic milliseconds; 0 means none. The earlier wins. */
static inline int64_t bv_deadline_min(int64_t a_ms, int64_t b_ms)
{
    return a_ms == 0 ? b_ms : b_ms == 0 ? a_ms : (a_ms < b_ms ? a_ms : b_ms);
}

/* Single-flight: many askers of one key, one call. Keys are copied; waiters_max bounds the askers
 * of one key.
 * bv_flight_join
 * Effect:    remembers done, which runs once: at the landing, or at close with BV_E_CANCELLED.
 * Ranges:    1 <= waiters_max, leader included; keys are any bytes.
 * Ownership: key is copied, argument borrowed until done.
 * Outcomes:  BV_FLIGHT_LEADER: the caller makes the call and then bv_flight_land, whatever came of
 *            it; BV_FLIGHT_FOLLOWER: done will be called.
 * Errors:    BV_E_LIMIT (keys or waiters), BV_E_NOMEM, BV_E_CLOSED within close; done will not run.
 * Thread:    loop. */
struct bv_flights;
#define BV_FLIGHT_LEADER 1
#define BV_FLIGHT_FOLLOWER 2
typedef void bv_flight_done(void *argument, int rc, const void *result);
BV_MUST_CHECK int
bv_flights_open(size_t keys_max, size_t waiters_max, struct bv_flights **ret_flights);
void bv_flights_close(struct bv_flights **flights);
BV_MUST_CHECK int bv_flight_join(struct bv_flights *flights,
                                 struct bv_bytes key,
                                 bv_flight_done *done,
                                 void *argument);
/* Calls every waiter in order of joining, leader included; result is borrowed by each for its call.
 * The key is free before the first of them runs and may be joined again. Unknown key: nothing. */
void bv_flight_land(struct bv_flights *flights, struct bv_bytes key, int rc, const void *result);

#endif
