#include "bv/resilience.h"

#include "test_env.h"

#include <criterion/criterion.h>
#include <signal.h>

static const enum bv_backoff_law laws[] = {BV_BACKOFF_LINEAR,
                                           BV_BACKOFF_LINEAR_JITTER,
                                           BV_BACKOFF_EXPONENTIAL,
                                           BV_BACKOFF_EXPONENTIAL_FULL_JITTER};

Test(backoff, laws_without_jitter_are_exact)
{
    static const int64_t linear[] = {100, 200, 300, 400, 450, 450};
    static const int64_t exponential[] = {100, 200, 400, 450, 450, 450};
    const struct bv_backoff a = {"a", BV_BACKOFF_LINEAR, 100, 450, 6};
    const struct bv_backoff b = {"b", BV_BACKOFF_EXPONENTIAL, 100, 450, 6};
    for (uint32_t i = 0; i < 6; i++) {
        int64_t delay_ms = -1;
        cr_assert_eq(bv_backoff_next(NULL, &a, i, &delay_ms), 0);
        cr_assert_eq(delay_ms, linear[i]);
        cr_assert_eq(bv_backoff_next(NULL, &b, i, &delay_ms), 0);
        cr_assert_eq(delay_ms, exponential[i]);
    }
}

Test(backoff, jitter_stays_in_its_band_and_reaches_both_ends)
{
    struct test_env test;
    uint64_t seed = 5;
    const struct bv_env *env = test_env_init(&test, &seed);
    const struct bv_backoff linear = {"l", BV_BACKOFF_LINEAR_JITTER, 10, 1000, 9};
    const struct bv_backoff full = {"f", BV_BACKOFF_EXPONENTIAL_FULL_JITTER, 10, 1000, 9};
    for (uint32_t attempt = 0; attempt < 4; attempt++) {
        int64_t least[2] = {INT64_MAX, INT64_MAX};
        int64_t most[2] = {-1, -1};
        for (int i = 0; i < 5000; i++) {
            int64_t d[2];
            cr_assert_eq(bv_backoff_next(env, &linear, attempt, &d[0]), 0);
            cr_assert_eq(bv_backoff_next(env, &full, attempt, &d[1]), 0);
            for (int k = 0; k < 2; k++) {
                least[k] = d[k] < least[k] ? d[k] : least[k];
                most[k] = d[k] > most[k] ? d[k] : most[k];
            }
        }
        cr_assert_eq(least[0], 5 * (attempt + 1));
        cr_assert_eq(most[0], 10 * (attempt + 1));
        cr_assert_eq(least[1], 0);
        cr_assert_eq(most[1], INT64_C(10) << attempt);
    }
}

Test(backoff, never_past_cap_whatever_the_attempt)
{
    struct test_env test;
    uint64_t seed = 6;
    const struct bv_env *env = test_env_init(&test, &seed);
    static const uint32_t attempts[] = {0, 1, 30, 31, 62, 63, 64, 1000000, UINT32_MAX - 1};
    static const int64_t bases[] = {0, 1, 1000, INT64_MAX};
    for (size_t l = 0; l < BV_COUNT(laws); l++)
        for (size_t b = 0; b < BV_COUNT(bases); b++)
            for (size_t a = 0; a < BV_COUNT(attempts); a++) {
                const struct bv_backoff policy = {"p", laws[l], bases[b], 30000, UINT32_MAX};
                int64_t delay_ms = -1;
                cr_assert_eq(bv_backoff_next(env, &policy, attempts[a], &delay_ms), 0);
                cr_assert(delay_ms >= 0 && delay_ms <= 30000, "%lld", (long long)delay_ms);
            }
}

Test(backoff, tries_end)
{
    const struct bv_backoff policy = {"p", BV_BACKOFF_LINEAR, 1, 1, 3};
    int64_t delay_ms = 77;
    cr_assert_eq(bv_backoff_next(NULL, &policy, 3, &delay_ms), BV_RETRY_EXHAUSTED);
    cr_assert_eq(delay_ms, 77);
    const struct bv_backoff none = {"n", BV_BACKOFF_LINEAR, 1, 1, 0};
    cr_assert_eq(bv_backoff_next(NULL, &none, 0, &delay_ms), BV_RETRY_EXHAUSTED);
}

static const struct bv_breaker_policy policy = {"p", 4, 3, 1000, 2};

static void fail_times(struct bv_breaker *breaker, int64_t now_ms, int count)
{
    int64_t wait_ms;
    for (int i = 0; i < count; i++) {
        cr_assert_eq(bv_breaker_enter(breaker, now_ms, &wait_ms), 0);
        bv_breaker_report(breaker, now_ms, BV_CALL_FAILED);
    }
}

Test(breaker, opens_at_the_threshold_within_the_window)
{
    struct bv_breaker breaker;
    int64_t wait_ms = 0;
    bv_breaker_init(&breaker, &policy);
    fail_times(&breaker, 0, 2);
    bv_breaker_report(&breaker, 0, BV_CALL_OK);
    bv_breaker_report(&breaker, 0, BV_CALL_OK);
    bv_breaker_report(&breaker, 0, BV_CALL_OK); /* the first failure has left the window of 4 */
    fail_times(&breaker, 5, 2);
    cr_assert_eq(breaker.state, BV_BREAKER_CLOSED);
    fail_times(&breaker, 5, 1);
    cr_assert_eq(breaker.state, BV_BREAKER_OPEN);
    cr_assert_eq(bv_breaker_enter(&breaker, 105, &wait_ms), BV_E_UNAVAILABLE);
    cr_assert_eq(wait_ms, 900);
    cr_assert_eq(bv_breaker_enter(&breaker, 1004, &wait_ms), BV_E_UNAVAILABLE);
    cr_assert_eq(wait_ms, 1);
}

Test(breaker, probes_close_it_again)
{
    struct bv_breaker breaker;
    int64_t wait_ms = 0;
    bv_breaker_init(&breaker, &policy);
    fail_times(&breaker, 0, 3);
    cr_assert_eq(bv_breaker_enter(&breaker, 1000, &wait_ms), 0);
    cr_assert_eq(bv_breaker_enter(&breaker, 1000, &wait_ms), 0);
    cr_assert_eq(breaker.state, BV_BREAKER_HALF_OPEN);
    cr_assert_eq(bv_breaker_enter(&breaker, 1000, &wait_ms), BV_E_UNAVAILABLE, "two probes only");
    bv_breaker_report(&breaker, 1001, BV_CALL_OK);
    cr_assert_eq(breaker.state, BV_BREAKER_HALF_OPEN);
    bv_breaker_report(&breaker, 1001, BV_CALL_OK);
    cr_assert_eq(breaker.state, BV_BREAKER_CLOSED);
    fail_times(&breaker, 1002, 2);
    cr_assert_eq(breaker.state, BV_BREAKER_CLOSED, "the window began anew");
}

Test(breaker, a_failed_probe_opens_it_again)
{
    struct bv_breaker breaker;
    int64_t wait_ms = 0;
    bv_breaker_init(&breaker, &policy);
    fail_times(&breaker, 0, 3);
    fail_times(&breaker, 1500, 1);
    cr_assert_eq(breaker.state, BV_BREAKER_OPEN);
    cr_assert_eq(bv_breaker_enter(&breaker, 1500, &wait_ms), BV_E_UNAVAILABLE);
    cr_assert_eq(wait_ms, 1000);
}

Test(breaker, ignored_calls_count_for_nothing)
{
    struct bv_breaker breaker;
    int64_t wait_ms = 0;
    bv_breaker_init(&breaker, &policy);
    fail_times(&breaker, 0, 2);
    for (int i = 0; i < 10; i++)
        bv_breaker_report(&breaker, 0, BV_CALL_IGNORED);
    fail_times(&breaker, 0, 1);
    cr_assert_eq(breaker.state, BV_BREAKER_OPEN);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(bv_breaker_enter(&breaker, 2000, &wait_ms), 0, "the place came back");
        bv_breaker_report(&breaker, 2000, BV_CALL_IGNORED);
    }
    cr_assert_eq(breaker.state, BV_BREAKER_HALF_OPEN);
}

Test(breaker, late_reports_change_nothing)
{
    struct bv_breaker breaker;
    bv_breaker_init(&breaker, &policy);
    fail_times(&breaker, 0, 3);
    const struct bv_breaker open = breaker;
    bv_breaker_report(&breaker, 10, BV_CALL_OK);
    bv_breaker_report(&breaker, 10, BV_CALL_FAILED);
    cr_assert_eq(breaker.state, open.state);
    cr_assert_eq(breaker.opened_at_ms, open.opened_at_ms);
}

/* A slow, obvious model beside the breaker, over every sequence of seven events. */
struct model {
    enum bv_breaker_state state;
    int history[16]; /* 1 failure, 0 success, since it closed */
    int size;
    int64_t opened_at_ms;
    int probes_ok;
    int probes_out;
};

static int model_enter(struct model *m, const struct bv_breaker_policy *p, int64_t now_ms)
{
    if (m->state == BV_BREAKER_CLOSED)
        return 0;
    if (m->state == BV_BREAKER_OPEN && now_ms - m->opened_at_ms < p->open_ms)
        return BV_E_UNAVAILABLE;
    if (m->state == BV_BREAKER_OPEN)
        *m = (struct model){.state = BV_BREAKER_HALF_OPEN};
    if (m->probes_ok + m->probes_out >= (int)p->probes)
        return BV_E_UNAVAILABLE;
    m->probes_out++;
    return 0;
}

static void model_report(struct model *m,
                         const struct bv_breaker_policy *p,
                         int64_t now_ms,
                         enum bv_call_result r)
{
    if (m->state == BV_BREAKER_HALF_OPEN && m->probes_out > 0) {
        m->probes_out--;
        if (r == BV_CALL_FAILED)
            *m = (struct model){.state = BV_BREAKER_OPEN, .opened_at_ms = now_ms};
        else if (r == BV_CALL_OK && ++m->probes_ok == (int)p->probes)
            *m = (struct model){.state = BV_BREAKER_CLOSED};
    } else if (m->state == BV_BREAKER_CLOSED && r != BV_CALL_IGNORED) {
        int failures = 0;
        m->history[m->size++] = r == BV_CALL_FAILED;
        for (int i = m->size - 1; i >= 0 && i >= m->size - (int)p->window; i--)
            failures += m->history[i];
        if (failures >= (int)p->failures_to_open)
            *m = (struct model){.state = BV_BREAKER_OPEN, .opened_at_ms = now_ms};
    }
}

Test(breaker, agrees_with_its_model_on_every_sequence)
{
    static const struct bv_breaker_policy policies[] = {
        {"a", 1,  1, 10, 1},
        {"b", 3,  2, 10, 1},
        {"c", 3,  2, 10, 2},
        {"d", 2,  2, 20, 3},
        {"e", 64, 2, 10, 1}
    };
    enum { EVENTS = 6, LENGTH = 7 };
    unsigned seen = 0;
    unsigned sequences = 1;
    for (int i = 0; i < LENGTH; i++)
        sequences *= EVENTS;
    for (size_t p = 0; p < BV_COUNT(policies); p++)
        for (unsigned sequence = 0; sequence < sequences; sequence++) {
            struct bv_breaker breaker;
            struct model m = {.state = BV_BREAKER_CLOSED};
            int64_t now_ms = 1000;
            bv_breaker_init(&breaker, &policies[p]);
            unsigned rest = sequence;
            for (int i = 0; i < LENGTH; i++, rest /= EVENTS) {
                unsigned event = rest % EVENTS;
                int64_t wait_ms = -1;
                if (event < 3) {
                    bv_breaker_report(&breaker, now_ms, (enum bv_call_result)event);
                    model_report(&m, &policies[p], now_ms, (enum bv_call_result)event);
                } else if (event == 3) {
                    int rc = bv_breaker_enter(&breaker, now_ms, &wait_ms);
                    cr_assert_eq(rc,
                                 model_enter(&m, &policies[p], now_ms),
                                 "%u of %s",
                                 sequence,
                                 policies[p].name);
                    cr_assert_eq(wait_ms > 0 && wait_ms <= policies[p].open_ms, rc < 0);
                } else {
                    now_ms += event == 4 ? 9 : 11;
                }
                if (breaker.state != m.state)
                    cr_assert_eq(breaker.state, m.state, "%u of %s", sequence, policies[p].name);
                seen |= 1u << breaker.state;
            }
        }
    cr_assert_eq(seen, 7, "all three states were walked");
}

Test(bulkhead, holds_its_limit)
{
    struct bv_bulkhead bulkhead = {.name = "b", .limit = 2};
    cr_assert_eq(bv_bulkhead_enter(&bulkhead), 0);
    cr_assert_eq(bv_bulkhead_enter(&bulkhead), 0);
    cr_assert_eq(bv_bulkhead_enter(&bulkhead), BV_E_LIMIT);
    cr_assert_eq(bulkhead.refused, 1);
    bv_bulkhead_leave(&bulkhead);
    cr_assert_eq(bv_bulkhead_enter(&bulkhead), 0);
    cr_assert_eq(bulkhead.used, 2);
}

Test(bulkhead, leaving_twice_is_our_mistake, .signal = SIGABRT)
{
    struct bv_bulkhead bulkhead = {.name = "b", .limit = 2};
    bv_bulkhead_leave(&bulkhead);
}

Test(token_bucket, the_wait_it_names_suffices_and_is_needed)
{
    static const double rates[] = {0.5, 1, 3, 7, 999, 12345.678};
    for (size_t r = 0; r < BV_COUNT(rates); r++) {
        struct bv_token_bucket bucket;
        int64_t now_us = 1000;
        int64_t wait_ms = 0;
        bv_token_bucket_init(&bucket, rates[r], 2, now_us);
        for (int i = 0; i < 2000; i++) {
            int rc = bv_token_bucket_take(&bucket, now_us, &wait_ms);
            if (rc == 0)
                continue;
            cr_assert_gt(wait_ms, 0);
            struct bv_token_bucket early = bucket;
            int64_t unused;
            if (wait_ms > 1)
                cr_assert_eq(
                    bv_token_bucket_take(&early, now_us + (wait_ms - 1) * 1000 - 1, &unused),
                    BV_E_LIMIT);
            now_us += wait_ms * 1000;
            cr_assert_eq(bv_token_bucket_take(&bucket, now_us, &wait_ms), 0, "rate %f", rates[r]);
        }
    }
}

Test(token_bucket, over_any_span_at_most_burst_plus_rate)
{
    struct bv_token_bucket bucket;
    int64_t wait_ms;
    int taken = 0;
    bv_token_bucket_init(&bucket, 10, 5, 0);
    for (int64_t now_us = 0; now_us <= 10000000; now_us += 777)
        taken += bv_token_bucket_take(&bucket, now_us, &wait_ms) == 0 ? 1 : 0;
    cr_assert(taken >= 104 && taken <= 105, "%d", taken);
    int idle = 0;
    for (int i = 0; i < 20; i++)
        idle += bv_token_bucket_take(&bucket, INT64_C(9000000000), &wait_ms) == 0 ? 1 : 0;
    cr_assert_eq(idle, 5, "idling earns no more than the burst");
    cr_assert_eq(bv_token_bucket_take(&bucket, 0, &wait_ms),
                 BV_E_LIMIT,
                 "a clock that goes back earns nothing");
}

Test(token_bucket, what_never_comes_is_said)
{
    struct bv_token_bucket bucket;
    int64_t wait_ms = 0;
    bv_token_bucket_init(&bucket, 0, 1, 0);
    cr_assert_eq(bv_token_bucket_take(&bucket, 0, &wait_ms), 0);
    cr_assert_eq(bv_token_bucket_take(&bucket, 0, &wait_ms), BV_E_LIMIT);
    cr_assert_eq(wait_ms, INT64_MAX);
}

Test(deadline, the_earlier_wins_and_zero_is_none)
{
    cr_assert_eq(bv_deadline_min(0, 0), 0);
    cr_assert_eq(bv_deadline_min(5, 0), 5);
    cr_assert_eq(bv_deadline_min(0, 5), 5);
    cr_assert_eq(bv_deadline_min(4, 5), 4);
    cr_assert_eq(bv_deadline_min(5, 4), 4);
}
