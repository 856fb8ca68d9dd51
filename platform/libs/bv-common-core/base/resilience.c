#include "bv/resilience.h"

#include <math.h>

/* base * factor, not beyond cap */
static int64_t capped(int64_t base, int64_t factor, int64_t cap)
{
    int64_t product;
    return __builtin_mul_overflow(base, factor, &product) || product > cap ? cap : product;
}

static int64_t upper_delay(const struct bv_backoff *policy, uint32_t attempt)
{
    bool linear = policy->law == BV_BACKOFF_LINEAR || policy->law == BV_BACKOFF_LINEAR_JITTER;
    int64_t factor = linear         ? (int64_t)attempt + 1
                     : attempt > 62 ? INT64_MAX
                                    : INT64_C(1) << attempt;
    return policy->base_ms == 0 ? 0 : capped(policy->base_ms, factor, policy->cap_ms);
}

static int64_t uniform(const struct bv_env *env, int64_t from, int64_t to)
{
    return from + (int64_t)bv_random_below(env, (uint64_t)(to - from) + 1);
}

int bv_backoff_next(const struct bv_env *env,
                    const struct bv_backoff *policy,
                    uint32_t attempt,
                    int64_t *ret_delay_ms)
{
    assert(policy->base_ms >= 0 && policy->cap_ms >= 0);
    if (attempt >= policy->attempts_max)
        return BV_RETRY_EXHAUSTED;
    int64_t upper = upper_delay(policy, attempt);
    switch (policy->law) {
    case BV_BACKOFF_LINEAR_JITTER:
        upper = uniform(env, upper / 2, upper);
        break;
    case BV_BACKOFF_EXPONENTIAL_FULL_JITTER:
        upper = uniform(env, 0, upper);
        break;
    default:
        break;
    }
    *ret_delay_ms = upper;
    return 0;
}

/*            failures in the window >= failures_to_open
 *   CLOSED ------------------------------------------------> OPEN
 *     ^                                                      |  ^
 *     | `probes` successes                    open_ms passed |  | a probe failed
 *     +------------------------ HALF_OPEN <------------------+  |
 *                                   +---------------------------+          */
void bv_breaker_init(struct bv_breaker *breaker, const struct bv_breaker_policy *policy)
{
    assert(policy->window >= 1 && policy->window <= 64);
    assert(policy->failures_to_open >= 1 && policy->failures_to_open <= policy->window);
    assert(policy->probes >= 1 && policy->open_ms >= 0);
    *breaker = (struct bv_breaker){.policy = policy, .state = BV_BREAKER_CLOSED};
}

static void trip(struct bv_breaker *breaker, int64_t now_ms)
{
    *breaker = (struct bv_breaker){
        .policy = breaker->policy, .state = BV_BREAKER_OPEN, .opened_at_ms = now_ms};
}

int bv_breaker_enter(struct bv_breaker *breaker, int64_t now_ms, int64_t *ret_retry_after_ms)
{
    const struct bv_breaker_policy *policy = breaker->policy;
    if (breaker->state == BV_BREAKER_CLOSED)
        return 0;
    if (breaker->state == BV_BREAKER_OPEN) {
        int64_t left = breaker->opened_at_ms + policy->open_ms - now_ms;
        if (left > 0) {
            *ret_retry_after_ms = left;
            return BV_E_UNAVAILABLE;
        }
        breaker->state = BV_BREAKER_HALF_OPEN;
    }
    if (breaker->probes_ok + breaker->probes_out >= policy->probes) {
        *ret_retry_after_ms = policy->open_ms; /* the probes on their way decide before that */
        return BV_E_UNAVAILABLE;
    }
    breaker->probes_out++;
    return 0;
}

static void report_closed(struct bv_breaker *breaker, int64_t now_ms, enum bv_call_result result)
{
    const struct bv_breaker_policy *policy = breaker->policy;
    uint64_t mask = policy->window == 64 ? UINT64_MAX : (UINT64_C(1) << policy->window) - 1;
    breaker->outcomes = (breaker->outcomes << 1 | (result == BV_CALL_FAILED ? 1 : 0)) & mask;
    breaker->seen += breaker->seen < policy->window ? 1 : 0;
    if ((uint32_t)__builtin_popcountll(breaker->outcomes) >= policy->failures_to_open)
        trip(breaker, now_ms);
}

static void report_probe(struct bv_breaker *breaker, int64_t now_ms, enum bv_call_result result)
{
    if (breaker->probes_out == 0)
        return; /* a call from before the breaker opened */
    breaker->probes_out--;
    if (result == BV_CALL_FAILED)
        trip(breaker, now_ms);
    else if (result == BV_CALL_OK && ++breaker->probes_ok >= breaker->policy->probes)
        bv_breaker_init(breaker, breaker->policy);
}

void bv_breaker_report(struct bv_breaker *breaker, int64_t now_ms, enum bv_call_result result)
{
    if (breaker->state == BV_BREAKER_HALF_OPEN)
        report_probe(breaker, now_ms, result);
    else if (breaker->state == BV_BREAKER_CLOSED && result != BV_CALL_IGNORED)
        report_closed(breaker, now_ms, result);
}

int bv_bulkhead_enter(struct bv_bulkhead *bulkhead)
{
    if (bulkhead->used >= bulkhead->limit) {
        bulkhead->refused++;
        return BV_E_LIMIT;
    }
    bulkhead->used++;
    return 0;
}

void bv_bulkhead_leave(struct bv_bulkhead *bulkhead)
{
    assert(bulkhead->used > 0);
    bulkhead->used--;
}

void bv_token_bucket_init(struct bv_token_bucket *bucket,
                          double rate_per_s,
                          double burst,
                          int64_t now_us)
{
    *bucket = (struct bv_token_bucket){
        .rate_per_s = rate_per_s, .burst = burst, .tokens = burst, .at_us = now_us};
}

int bv_token_bucket_take(struct bv_token_bucket *bucket, int64_t now_us, int64_t *ret_wait_ms)
{
    const double one = 1 - 1e-9; /* forgives the rounding of many small refills */
    if (now_us > bucket->at_us) {
        double earned = (double)(now_us - bucket->at_us) * bucket->rate_per_s / 1e6;
        bucket->tokens = fmin(bucket->burst, bucket->tokens + earned);
        bucket->at_us = now_us;
    }
    if (bucket->tokens >= one) {
        bucket->tokens -= 1;
        return 0;
    }
    double wait_ms = ceil((1 - bucket->tokens) / bucket->rate_per_s * 1000);
    bool never = bucket->burst < one || !(wait_ms < 9e15);
    *ret_wait_ms = never ? INT64_MAX : (int64_t)wait_ms;
    return BV_E_LIMIT;
}
