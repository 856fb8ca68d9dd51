/* Moving an order: load → decide → apply with the version that was loaded; a version that moved on
 * begins anew. */
#include "order_saga_internal.h"
#include "bv/failpoint.h"
#include <stdlib.h>

#define ATTEMPTS_MAX 8

struct moving {
    struct order_saga *saga;
    struct bv_arena *arena; /* owned */
    order_move_done *done;
    void *argument;
    struct order_move move; /* spans in arena */
    uint32_t attempts;
    struct order order;
    struct order_change change;
    struct order_job job;
    struct bv_buf answer;
};

static void load(struct moving *moving);

static void
finish(struct moving *moving, int rc, const struct order *order, const struct bv_error *error)
{
    struct order_saga *saga = moving->saga;
    moving->done(moving->argument, rc, order, error);
    bv_buf_release(&moving->answer);
    bv_arena_close(&moving->arena);
    free(moving);
    order_saga_end(saga);
}

static void applied(void *argument, int rc, const struct bv_error *error)
{
    struct moving *moving = argument;
    if (rc < 0) {
        finish(moving, rc, NULL, error);
        return;
    }
    if (!moving->change.applied) {
        if (++moving->attempts >= ATTEMPTS_MAX)
            finish(moving, BV_E_CONFLICT, NULL, NULL);
        else
            load(moving);
        return;
    }
    if (moving->change.stock != ORDER_STOCK_NONE) {
        struct order_task task = {.tenant = moving->order.tenant,
                                  .task = moving->change.stock,
                                  .trace = moving->order.trace};
        memcpy(task.order_id, moving->order.order_id, sizeof(task.order_id));
        order_saga_settle(moving->saga, &task);
    }
    BV_FAILPOINT(ORDER_MOVE_BEFORE_REPLY);
    finish(moving, 0, &moving->order, NULL);
}

static int
check_amount(const struct moving *moving, const struct order *order, struct bv_error *error)
{
    const struct order_move *move = &moving->move;
    if (move->amount_minor < 0 || (move->amount_minor == order->total_minor &&
                                   bv_bytes_equal(move->currency, order->currency)))
        return 0;
    return bv_fail(error,
                   BV_E_UNPROCESSABLE,
                   "the payment of %lld %.*s does not match the order's %lld %.*s",
                   (long long)move->amount_minor,
                   BV_ARG(move->currency),
                   (long long)order->total_minor,
                   BV_ARG(order->currency));
}

static int
apply(struct moving *moving, const struct order *loaded, const struct order_transition *row)
{
    struct order *order = &moving->order;
    BV_TRY(order_copy(moving->arena, loaded, order));
    if (order->state == ORDER_PENDING) { /* the request that placed it will find this answer */
        bv_buf_reset(&moving->answer);
        order_answer_conflict(&moving->answer, order);
    }
    moving->change = (struct order_change){
        .order = order, .stock = row->stock, .inbox_event_id = moving->move.inbox_event_id};
    if (order->state == ORDER_PENDING) {
        moving->change.answer_status = 409;
        moving->change.answer = bv_buf_view(&moving->answer);
    }
    order->state = row->to;
    order->version++;
    order->reason = moving->move.reason;
    order->trace = moving->move.trace;
    order->updated_at_us = bv_wall_us(bv_loop_env(moving->saga->deps.loop));
    moving->job = (struct order_job){.row = &moving->change, .done = applied, .argument = moving};
    return order_batch_add(moving->saga->applies, &moving->job);
}

static void loaded(void *argument,
                   int rc,
                   const struct order *orders,
                   size_t count,
                   bool inbox_seen,
                   const struct bv_error *error)
{
    struct moving *moving = argument;
    const struct order_transition *row;
    struct bv_error detail = {0};
    if (rc == 0 &&
        (count == 0 || (moving->move.only_customer.size > 0 &&
                        !bv_bytes_equal(moving->move.only_customer, orders[0].customer_id))))
        rc = BV_E_NOT_FOUND;
    if (rc < 0) {
        finish(moving, rc, NULL, error);
        return;
    }
    rc = inbox_seen ? ORDER_SEEN : order_decide(orders[0].state, moving->move.on, &row);
    if (rc == 0)
        rc = check_amount(moving, &orders[0], &detail);
    if (rc != 0) {
        finish(moving, rc, &orders[0], &detail);
        return;
    }
    rc = apply(moving, &orders[0], row);
    if (rc < 0)
        finish(moving, rc, NULL, NULL);
}

static void load(struct moving *moving)
{
    struct order_store *store = moving->saga->deps.store;
    int rc = store->ops->load(store,
                              moving->move.tenant,
                              moving->move.order_id,
                              moving->move.inbox_event_id,
                              loaded,
                              moving);
    if (rc < 0)
        finish(moving, rc, NULL, NULL);
}

int order_saga_move(struct order_saga *saga,
                    const struct order_move *move,
                    order_move_done *done,
                    void *argument)
{
    struct moving *moving = calloc(1, sizeof(*moving));
    int rc = moving ? bv_arena_open(ORDER_WORK_ARENA_MAX * 2, &moving->arena) : BV_E_NOMEM;
    if (rc < 0) {
        free(moving);
        return rc;
    }
    moving->saga = saga;
    moving->done = done;
    moving->argument = argument;
    moving->answer.max = ORDER_JSON_MAX;
    moving->move = *move;
    struct bv_bytes *spans[] = {&moving->move.tenant,
                                &moving->move.order_id,
                                &moving->move.correlation_id,
                                &moving->move.only_customer,
                                &moving->move.reason,
                                &moving->move.inbox_event_id,
                                &moving->move.currency};
    for (size_t i = 0; i < BV_COUNT(spans); i++)
        *spans[i] = bv_arena_copy(moving->arena, *spans[i]);
    if (bv_arena_failed(moving->arena)) {
        bv_arena_close(&moving->arena);
        free(moving);
        return BV_E_NOMEM;
    }
    order_saga_begin(saga);
    load(moving);
    return 0;
}
