#include <criterion/criterion.h>
#include <pthread.h>

#include "bv/loop.h"

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

/* One pool; jobs pass a gate, so that a test decides when they may end. */
struct pool {
    struct bv_loop *loop;
    struct bv_workers *workers;
    pthread_t loop_thread;
    int worked;
    int done;
    int done_to_stop;
    char name[16];
    pthread_cond_t gate_opens;
    pthread_mutex_t mutex; /* guards `open` and `worked` */
    bool open;
};

static void open_pool(struct pool *pool, uint32_t threads, uint32_t queue_max)
{
    *pool = (struct pool){.loop_thread = pthread_self(),
                          .mutex = PTHREAD_MUTEX_INITIALIZER,
                          .gate_opens = PTHREAD_COND_INITIALIZER};
    cr_assert_eq(bv_loop_open(&env, &pool->loop), 0);
    cr_assert_eq(bv_workers_open(pool->loop, "bank", threads, queue_max, &pool->workers), 0);
}

static void open_gate(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->open = true;
    pthread_cond_broadcast(&pool->gate_opens);
    pthread_mutex_unlock(&pool->mutex);
}

static void pass_gate(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->open)
        pthread_cond_wait(&pool->gate_opens, &pool->mutex);
    pool->worked++;
    pthread_getname_np(pthread_self(), pool->name, sizeof(pool->name));
    pthread_mutex_unlock(&pool->mutex);
}

static void count_done(void *argument)
{
    struct pool *pool = argument;
    cr_assert(pthread_equal(pthread_self(), pool->loop_thread));
    if (++pool->done == pool->done_to_stop)
        bv_loop_stop(pool->loop);
}

static void close_pool(struct pool *pool)
{
    bv_workers_close(&pool->workers);
    bv_loop_close(&pool->loop);
}

Test(workers, job_runs_on_a_named_thread_and_ends_on_the_loop)
{
    struct pool pool;
    open_pool(&pool, 1, 4);
    open_gate(&pool);
    pool.done_to_stop = 1;
    cr_assert_eq(bv_workers_run(pool.workers, pass_gate, count_done, &pool), 0);
    cr_assert_eq(bv_loop_run(pool.loop), 0);
    cr_assert_eq(pool.worked, 1);
    cr_assert_str_eq(pool.name, "bank-0");
    close_pool(&pool);
}

Test(workers, refuses_jobs_past_threads_and_queue)
{
    struct pool pool;
    open_pool(&pool, 2, 3);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(bv_workers_run(pool.workers, pass_gate, count_done, &pool), 0);
    cr_assert_eq(bv_workers_run(pool.workers, pass_gate, count_done, &pool), BV_E_LIMIT);
    open_gate(&pool);
    pool.done_to_stop = 5;
    cr_assert_eq(bv_loop_run(pool.loop), 0);
    cr_assert_eq(bv_workers_run(pool.workers, pass_gate, count_done, &pool), 0, "room again");
    close_pool(&pool);
    cr_assert_eq(pool.done, 6);
}

Test(workers, close_runs_what_was_accepted)
{
    struct pool pool;
    open_pool(&pool, 1, 8);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(bv_workers_run(pool.workers, pass_gate, i % 2 ? count_done : NULL, &pool), 0);
    open_gate(&pool);
    close_pool(&pool);
    cr_assert_eq(pool.worked, 6);
    cr_assert_eq(pool.done, 3);
}

static void done_wants_more(void *argument)
{
    struct pool *pool = argument;
    pool->done++;
    cr_assert_eq(bv_workers_run(pool->workers, pass_gate, count_done, pool), BV_E_CLOSED);
}

Test(workers, a_done_that_close_calls_gets_no_new_job)
{
    struct pool pool;
    open_pool(&pool, 1, 8);
    open_gate(&pool);
    cr_assert_eq(bv_workers_run(pool.workers, pass_gate, done_wants_more, &pool), 0);
    close_pool(&pool);
    cr_assert_eq(pool.worked, 1);
    cr_assert_eq(pool.done, 1);
    cr_assert_null(pool.workers);
}

Test(workers, refuses_sizes_out_of_range)
{
    struct bv_loop *loop = NULL;
    struct bv_workers *workers = NULL;
    cr_assert_eq(bv_loop_open(&env, &loop), 0);
    cr_assert_eq(bv_workers_open(loop, "", 1, 1, &workers), BV_E_INVALID);
    cr_assert_eq(bv_workers_open(loop, "a-name-too-long", 1, 1, &workers), BV_E_INVALID);
    cr_assert_eq(bv_workers_open(loop, "bank", 0, 1, &workers), BV_E_INVALID);
    cr_assert_eq(bv_workers_open(loop, "bank", 65, 1, &workers), BV_E_INVALID);
    cr_assert_null(workers);
    bv_loop_close(&loop);
}
