#include "http_internal.h"
#include <criterion/criterion.h>

static struct http_wheel wheel;
static int64_t fired_at[8];
static struct http_timer timers[8];
static int64_t clock_ms;

static void fire(void *argument, struct http_timer *timer)
{
    (void)argument;
    fired_at[timer - timers] = clock_ms;
}

static void run_until(int64_t end_ms)
{
    for (; clock_ms <= end_ms; clock_ms += 10)
        http_wheel_tick(&wheel, clock_ms, fire, NULL);
}

static void begin(void)
{
    clock_ms = 1000000;
    http_wheel_init(&wheel, clock_ms);
}

Test(http_wheel, fires_within_one_tick_after_the_deadline, .init = begin)
{
    static const int64_t delays[] = {0, 1, 31, 32, 33, 1000, 32768, 200000};
    for (size_t i = 0; i < BV_COUNT(delays); i++)
        http_wheel_set(&wheel, &timers[i], clock_ms + delays[i]);
    run_until(1000000 + 201000);
    for (size_t i = 0; i < BV_COUNT(delays); i++) {
        cr_expect_geq(fired_at[i], 1000000 + delays[i], "delay %lld", (long long)delays[i]);
        cr_expect_leq(fired_at[i],
                      1000000 + delays[i] + 2 * HTTP_TICK_MS + 10,
                      "delay %lld",
                      (long long)delays[i]);
    }
    cr_expect_eq(wheel.count, 0);
}

Test(http_wheel, moves_later_and_earlier, .init = begin)
{
    http_wheel_set(&wheel, &timers[0], clock_ms + 500);
    http_wheel_set(&wheel, &timers[0], clock_ms + 5000);
    http_wheel_set(&wheel, &timers[1], clock_ms + 5000);
    http_wheel_set(&wheel, &timers[1], clock_ms + 500);
    run_until(1000000 + 6000);
    cr_expect_geq(fired_at[0], 1005000);
    cr_expect_leq(fired_at[1], 1000600);
    cr_expect_geq(fired_at[1], 1000500);
}

Test(http_wheel, cleared_ones_never_fire, .init = begin)
{
    http_wheel_set(&wheel, &timers[0], clock_ms + 100);
    http_wheel_clear(&wheel, &timers[0]);
    http_wheel_clear(&wheel, &timers[0]);
    run_until(1001000);
    cr_expect_eq(fired_at[0], 0);
    cr_expect_eq(wheel.count, 0);
}

Test(http_wheel, survives_a_long_sleep, .init = begin)
{
    http_wheel_set(&wheel, &timers[0], clock_ms + 100);
    http_wheel_set(&wheel, &timers[1], clock_ms + 10000000);
    clock_ms += 5000000;
    http_wheel_tick(&wheel, clock_ms, fire, NULL);
    cr_expect_eq(fired_at[0], clock_ms);
    cr_expect_eq(fired_at[1], 0);
    clock_ms += 5000000 + HTTP_TICK_MS;
    run_until(clock_ms + 40000);
    cr_expect_neq(fired_at[1], 0);
}

/* As a stream's next heartbeat, or the deadline of a request that is answered then. */
static void fire_and_set_next(void *argument, struct http_timer *timer)
{
    fire(argument, timer);
    if (timer == &timers[0])
        http_wheel_set(&wheel, &timers[1], clock_ms + 100);
}

Test(http_wheel, what_is_set_when_a_long_sleep_ends_fires_in_time, .init = begin)
{
    http_wheel_set(&wheel, &timers[0], clock_ms + 100);
    clock_ms += 5000000;
    const int64_t woken_ms = clock_ms;
    http_wheel_tick(&wheel, clock_ms, fire_and_set_next, NULL);
    run_until(woken_ms + 1000);
    cr_expect_geq(fired_at[1], woken_ms + 100);
    cr_expect_leq(fired_at[1], woken_ms + 100 + 2 * HTTP_TICK_MS + 10);
}
