#include "order_saga_internal.h"
#include "bv/failpoint.h"
#include <stdlib.h>

#define SWEEP_ROWS 64
#define FORGET_INTERVAL_MS 60000
#define SETTLED_SLACK_US 60000000 /* an order may be stored this much later than it was placed */
#define DOUBT_MS 3600000
#define LOOK_BACK_INTERVAL_MS 60000

static const struct bv_metric placed_metric = {"order_placed_total",
                                               BV_COUNTER,
                                               "Orders that reached their first answer.",
                                               "outcome",
                                               NULL,
                                               0};
static const struct bv_metric resumed_metric = {
    "order_resumed_total", BV_COUNTER, "PENDING orders that the sweeper took up.", "", NULL, 0};

void order_saga_begin(struct order_saga *saga)
{
    saga->under_way++;
}

void order_saga_end(struct order_saga *saga)
{
    saga->under_way--;
    if (saga->under_way == 0 && saga->stopped) {
        void (*stopped)(void *) = saga->stopped;
        saga->stopped = NULL;
        stopped(saga->stopped_argument);
    }
}

int order_copy(struct bv_arena *arena, const struct order *from, struct order *ret_order)
{
    struct order copy = *from;
    struct order_item *items = bv_arena_array(arena, struct order_item, from->item_count + 1);
    if (!items)
        return BV_E_NOMEM;
    for (size_t i = 0; i < from->item_count; i++) {
        items[i] = from->items[i];
        items[i].sku = bv_arena_copy(arena, from->items[i].sku);
    }
    struct bv_bytes *spans[] = {
        &copy.tenant, &copy.customer_id, &copy.currency, &copy.reason, &copy.correlation_id};
    for (size_t i = 0; i < BV_COUNT(spans); i++)
        *spans[i] = bv_arena_copy(arena, *spans[i]);
    copy.items = items;
    *ret_order = copy;
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}

/* ---- stock tasks ---- */

struct settling {
    struct order_saga *saga;
    struct order_task task;
    char tenant[65];
};

static void settling_end(struct settling *settling)
{
    struct order_saga *saga = settling->saga;
    free(settling);
    order_saga_end(saga);
}

static void cleared(void *argument, int rc, const struct bv_error *error)
{
    (void)error; /* a task that stays is done again, which is harmless */
    if (rc == 0)
        BV_FAILPOINT(ORDER_TASK_AFTER_CLEAR);
    settling_end(argument);
}

static void settled(void *argument, int rc, const struct bv_error *error)
{
    struct settling *settling = argument;
    struct order_store *store = settling->saga->deps.store;
    (void)error;
    if (rc == 0 && settling->task.task == ORDER_STOCK_COMMIT)
        BV_FAILPOINT(ORDER_COMMIT_AFTER_REPLY);
    else if (rc == 0)
        BV_FAILPOINT(ORDER_RELEASE_AFTER_REPLY);
    if (rc == 0)
        rc = store->ops->task_clear(
            store, bv_bytes_of(settling->task.order_id), settling->task.task, cleared, settling);
    else
        bv_log(settling->saga->deps.log,
               BV_WARN,
               "order.stock_task_postponed",
               NULL,
               BV_F_TEXT("orderId", settling->task.order_id),
               BV_F_TEXT("fault", bv_error_row(rc)->word));
    if (rc < 0)
        settling_end(settling);
}

void order_saga_settle(struct order_saga *saga, const struct order_task *task)
{
    if (task->task == ORDER_STOCK_COMMIT)
        BV_FAILPOINT(ORDER_COMMIT_BEFORE_SEND);
    else
        BV_FAILPOINT(ORDER_RELEASE_BEFORE_SEND);
    struct settling *settling = calloc(1, sizeof(*settling));
    if (!settling)
        return;
    settling->saga = saga;
    settling->task = *task;
    size_t size = task->tenant.size < sizeof(settling->tenant) ? task->tenant.size
                                                               : sizeof(settling->tenant) - 1;
    memcpy(settling->tenant, task->tenant.data, size);
    settling->task.tenant = (struct bv_bytes){settling->tenant, size};
    order_saga_begin(saga);
    const char *reason =
        task->task == ORDER_STOCK_RELEASE ? "the order ended" : "the order was confirmed";
    if (order_stock_settle(saga->deps.stock, &settling->task, reason, settled, settling) < 0)
        settling_end(settling);
}

/* ---- sweeping ---- */

static void sweep_again(struct order_saga *saga)
{
    if (!saga->stopped)
        bv_timer_set(saga->sweeper, saga->deps.config->sweep_interval_ms, 0);
    order_saga_end(saga);
}

static void forgot(void *argument, int rc, const struct bv_error *error)
{
    struct order_saga *saga = argument;
    (void)error;
    if (rc == ORDER_FORGET_MORE) /* the next sweep goes on with it */
        saga->forgot_at_ms -= FORGET_INTERVAL_MS;
    sweep_again(saga);
}

static void forget_sometimes(struct order_saga *saga)
{
    struct order_store *store = saga->deps.store;
    int64_t now_ms = bv_loop_now_ms(saga->deps.loop);
    if (now_ms - saga->forgot_at_ms < FORGET_INTERVAL_MS) {
        sweep_again(saga);
        return;
    }
    saga->forgot_at_ms = now_ms;
    if (store->ops->forget(store,
                           saga->deps.config->key_retention_ms,
                           saga->deps.config->inbox_retention_ms,
                           forgot,
                           saga) < 0)
        sweep_again(saga);
}

static void tasks_found(void *argument,
                        int rc,
                        const struct order_task *tasks,
                        size_t count,
                        const struct bv_error *error)
{
    struct order_saga *saga = argument;
    (void)rc, (void)error; /* a database that is away is reported by readiness, not here */
    if (count > 0)
        BV_FAILPOINT(ORDER_SWEEP_FOUND_TASKS);
    for (size_t i = 0; i < count; i++)
        order_saga_settle(saga, &tasks[i]);
    forget_sometimes(saga);
}

static void pending_found(void *argument,
                          int rc,
                          const struct order *orders,
                          size_t count,
                          bool inbox_seen,
                          const struct bv_error *error)
{
    struct order_saga *saga = argument;
    struct order_store *store = saga->deps.store;
    (void)rc, (void)inbox_seen, (void)error;
    if (rc == 0)
        saga->settled_us =
            (count > 0 ? orders[0].created_at_us : saga->looked_before_us) - SETTLED_SLACK_US;
    if (count > 0)
        BV_FAILPOINT(ORDER_SWEEP_FOUND_PENDING);
    for (size_t i = 0; i < count; i++)
        order_saga_resume(saga, &orders[i]);
    if (count > 0)
        BV_FAILPOINT(ORDER_SWEEP_RESUMED);
    if (store->ops->tasks(store, saga->deps.config->sweep_age_ms, SWEEP_ROWS, tasks_found, saga) <
        0)
        sweep_again(saga);
}

void order_saga_doubt(struct order_saga *saga, int64_t created_at_us)
{
    int64_t now_ms = bv_loop_now_ms(saga->deps.loop);
    if (now_ms >= saga->doubt_until_ms || created_at_us < saga->doubt_us)
        saga->doubt_us = created_at_us;
    saga->doubt_until_ms = now_ms + DOUBT_MS;
}

/* Where the next look begins: nearly always at what is not settled yet. */
static int64_t look_from_us(struct order_saga *saga)
{
    int64_t now_ms = bv_loop_now_ms(saga->deps.loop);
    int64_t back_us = saga->doubt_us - SETTLED_SLACK_US;
    if (now_ms >= saga->doubt_until_ms ||
        now_ms - saga->looked_back_at_ms < LOOK_BACK_INTERVAL_MS || back_us >= saga->settled_us)
        return saga->settled_us;
    saga->looked_back_at_ms = now_ms;
    return back_us;
}

static void sweep(void *argument)
{
    struct order_saga *saga = argument;
    struct order_store *store = saga->deps.store;
    order_saga_begin(saga);
    saga->looked_before_us =
        bv_wall_us(bv_loop_env(saga->deps.loop)) - saga->deps.config->sweep_age_ms * 1000;
    if (store->ops->pending(
            store, look_from_us(saga), saga->looked_before_us, SWEEP_ROWS, pending_found, saga) < 0)
        sweep_again(saga);
}

/* ---- life ---- */

static int run_create(struct order_store *store,
                      void *const *rows,
                      size_t count,
                      order_batch_done *done,
                      void *argument)
{
    return store->ops->create(store, (struct order_creation *const *)rows, count, done, argument);
}

static int run_apply(struct order_store *store,
                     void *const *rows,
                     size_t count,
                     order_batch_done *done,
                     void *argument)
{
    return store->ops->apply(store, (struct order_change *const *)rows, count, done, argument);
}

int order_saga_open(const struct order_saga_deps *deps, struct order_saga **ret_saga)
{
    struct order_saga *saga = calloc(1, sizeof(*saga));
    if (!saga)
        return BV_E_NOMEM;
    saga->deps = *deps;
    saga->placed[0] =
        bv_metrics_series(deps->metrics, &placed_metric, (const char *const[]){"reserved"}, 1);
    saga->placed[1] =
        bv_metrics_series(deps->metrics, &placed_metric, (const char *const[]){"sold_out"}, 1);
    saga->resumed = bv_metrics_series(deps->metrics, &resumed_metric, NULL, 0);
    struct order_batch_config creates = {
        run_create, (uint32_t)deps->config->batches_max, (uint32_t)deps->config->queue_max};
    struct order_batch_config applies = {
        run_apply, (uint32_t)deps->config->batches_max, (uint32_t)deps->config->queue_max};
    int rc = order_batch_open(deps->loop, deps->store, &creates, &saga->creates);
    if (rc == 0)
        rc = order_batch_open(deps->loop, deps->store, &applies, &saga->applies);
    if (rc == 0)
        rc = bv_timer_open(deps->loop, sweep, saga, &saga->sweeper);
    if (rc < 0)
        order_saga_close(&saga);
    else
        *ret_saga = saga;
    return rc;
}

void order_saga_start(struct order_saga *saga)
{
    saga->forgot_at_ms = bv_loop_now_ms(saga->deps.loop);
    order_saga_doubt(saga, bv_wall_us(bv_loop_env(saga->deps.loop))); /* of who was here before */
    bv_timer_set(saga->sweeper, 0, 0);
}

void order_saga_stop(struct order_saga *saga, void (*stopped)(void *argument), void *argument)
{
    bv_timer_clear(saga->sweeper);
    saga->stopped = stopped;
    saga->stopped_argument = argument;
    order_saga_begin(saga);
    order_saga_end(saga); /* nothing under way: stopped runs at once */
}

void order_saga_close(struct order_saga **saga_pointer)
{
    struct order_saga *saga = *saga_pointer;
    if (!saga)
        return;
    bv_timer_close(&saga->sweeper);
    order_batch_close(&saga->creates);
    order_batch_close(&saga->applies);
    free(saga);
    *saga_pointer = NULL;
}
