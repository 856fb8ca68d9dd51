#include "bv/test_loop.h"

#include <stdlib.h>

struct run {
    struct bv_loop *loop;
    bool (*until)(void *argument);
    void *argument;
    int64_t deadline_ms;
    bool held;
};

const struct bv_env bv_test_env_system = {.clock = &bv_clock_system, .random = &bv_random_system};

static int64_t now_ms(void)
{
    return bv_mono_ms(&bv_test_env_system);
}

static void look(void *argument)
{
    struct run *run = argument;
    run->held = run->until(run->argument);
    if (run->held || now_ms() >= run->deadline_ms)
        bv_loop_stop(run->loop);
}

bool bv_test_run_until(struct bv_loop *loop,
                       bool (*until)(void *argument),
                       void *argument,
                       int64_t timeout_ms)
{
    struct run run = {loop, until, argument, now_ms() + timeout_ms, false};
    struct bv_timer *timer = NULL;
    if (bv_timer_open(loop, look, &run, &timer) < 0)
        abort();
    bv_timer_set(timer, 0, 1);
    if (bv_loop_run(loop) < 0)
        abort();
    bv_timer_close(&timer);
    return run.held;
}

static bool never(void *argument)
{
    (void)argument;
    return false;
}

void bv_test_run_for(struct bv_loop *loop, int64_t duration_ms)
{
    (void)bv_test_run_until(loop, never, NULL, duration_ms);
}
