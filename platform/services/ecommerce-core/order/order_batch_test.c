/* Group commit over a store that answers when the test says. */
#include "order_batch.h"
#include "bv/test_loop.h"
#include <criterion/criterion.h>

#define JOBS_MAX 8
#define DEADLINE_MS 10000

static struct {
    struct order_store store;
    bool ready;
    order_batch_done *done; /* of the transaction under way */
    void *argument;
    int runs;
    int wanted_runs;
    size_t rows;
} memory;

static bool ready(struct order_store *self)
{
    (void)self;
    return memory.ready;
}

static int run(struct order_store *store,
               void *const *rows,
               size_t count,
               order_batch_done *done,
               void *argument)
{
    (void)store, (void)rows;
    memory.runs++;
    memory.rows = count;
    memory.done = done;
    memory.argument = argument;
    return 0;
}

static struct {
    struct bv_loop *loop;
    struct order_batch *batch;
    struct order_job jobs[JOBS_MAX];
    int rc[JOBS_MAX]; /* 1: not done */
} bench;

static void note(void *argument, int rc, const struct bv_error *error)
{
    (void)error;
    *(int *)argument = rc;
}

static void add(int first, int count)
{
    for (int i = first; i < first + count; i++) {
        bench.rc[i] = 1;
        bench.jobs[i] = (struct order_job){.done = note, .argument = &bench.rc[i]};
        cr_assert_eq(order_batch_add(bench.batch, &bench.jobs[i]), 0);
    }
}

static bool has_run(void *argument)
{
    (void)argument;
    return memory.runs >= memory.wanted_runs;
}

static void await_run(int number)
{
    memory.wanted_runs = number;
    cr_assert(bv_test_run_until(bench.loop, has_run, NULL, DEADLINE_MS), "%d runs", memory.runs);
}

/* One job under way, two waiting. */
static void bench_open(void)
{
    static const struct order_store_ops ops = {.ready = ready};
    static const struct order_batch_config config = {run, 1, 16};
    memory.store.ops = &ops;
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    cr_assert_eq(order_batch_open(bench.loop, &memory.store, &config, &bench.batch), 0);
    add(0, 1);
    await_run(1);
    add(1, 2);
}

static void bench_close(void)
{
    order_batch_close(&bench.batch);
    bv_loop_close(&bench.loop);
}

Test(order_batch, who_waits_for_a_database_that_is_away_waits_no_second_deadline)
{
    bench_open();
    memory.ready = false;
    memory.done(memory.argument, BV_E_TIMEOUT, NULL);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(bench.rc[i], BV_E_TIMEOUT, "job %d: %d", i, bench.rc[i]);
    cr_assert(order_batch_idle(bench.batch));
    memory.ready = true;
    add(0, 2);
    await_run(2);
    cr_expect_eq(memory.rows, 2, "what comes later is tried");
    memory.done(memory.argument, 0, NULL);
    cr_expect_eq(bench.rc[0], 0);
    cr_expect_eq(bench.rc[1], 0);
    bench_close();
}

Test(order_batch, who_waits_is_tried_when_only_the_batch_before_failed)
{
    bench_open();
    memory.ready = true;
    memory.done(memory.argument, BV_E_TIMEOUT, NULL); /* a row was locked for too long */
    cr_expect_eq(bench.rc[0], BV_E_TIMEOUT);
    await_run(2);
    cr_expect_eq(memory.rows, 2);
    memory.done(memory.argument, 0, NULL);
    cr_expect_eq(bench.rc[1], 0);
    cr_expect_eq(bench.rc[2], 0);
    bench_close();
}
