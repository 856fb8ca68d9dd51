#include "inventory_batch.h"

#include "inventory_plan.h"
#include "bv/failpoint.h"

#include <stdlib.h>

enum phase { PHASE_IDLE, PHASE_LOADING, PHASE_APPLYING };

struct inventory_batch {
    struct inventory_batch_deps deps;
    struct bv_idle *idle;          /* owned */
    struct inventory_cache *cache; /* owned */
    struct inventory_plan plan;
    struct inventory_op *head; /* waiting, in order of arrival */
    struct inventory_op **tail;
    int64_t waiting;
    int64_t waiting_max;
    enum phase phase;
    struct inventory_op *ops[INVENTORY_BATCH_MAX]; /* the batch in flight */
    size_t count;
    uint32_t attempt; /* 0: decided on what is known; after a lost one everything the batch names is
                         loaded */
    size_t cap;       /* of the next batch */
    size_t suspects;  /* at the head of the queue: one of them makes the store refuse */
    bool stopped;
    void (*stopped_idle)(void *argument);
    void *stopped_argument;
    struct bv_series *size_series;
    struct bv_series *conflict_series;
    struct bv_series *bisect_series;
};

static const double size_bounds[] = {1, 2, 4, 8, 16, 32, 64};
static const struct bv_metric metric_size = {"bv_inventory_batch_operations",
                                             BV_HISTOGRAM,
                                             "Operations committed together.",
                                             "",
                                             size_bounds,
                                             BV_COUNT(size_bounds)};
static const struct bv_metric metric_conflicts = {
    "bv_inventory_conflicts_total",
    BV_COUNTER,
    "Batches that another replica was faster than; decided again.",
    "",
    NULL,
    0};
static const struct bv_metric metric_bisections = {
    "bv_inventory_bisections_total",
    BV_COUNTER,
    "Batches the database refused; tried again in halves.",
    "",
    NULL,
    0};
static const struct bv_metric metric_waiting = {
    "bv_inventory_waiting", BV_GAUGE, "Operations waiting for the next batch.", "", NULL, 0};

static void batch_begin(struct inventory_batch *batch);

static double read_waiting(void *argument)
{
    return (double)((struct inventory_batch *)argument)->waiting;
}

/* ---- the ends of a batch ---- */

static void batch_over(struct inventory_batch *batch)
{
    batch->phase = PHASE_IDLE;
    batch->count = 0;
    if (batch->head) {
        bv_idle_arm(batch->idle);
    } else if (batch->stopped && batch->stopped_idle) {
        void (*idle)(void *argument) = batch->stopped_idle;
        batch->stopped_idle = NULL;
        idle(batch->stopped_argument);
    }
}

static void count_suspects(struct inventory_batch *batch, size_t tried)
{
    batch->suspects = batch->suspects > tried ? batch->suspects - tried : 0;
    batch->cap = batch->suspects > 0 && batch->suspects < INVENTORY_BATCH_MAX ? batch->suspects
                                                                              : INVENTORY_BATCH_MAX;
}

/* Answers every operation; done may submit new ones, which wait for the next batch. */
static void batch_answer(struct inventory_batch *batch, int rc, const struct bv_error *error)
{
    struct inventory_op *ops[INVENTORY_BATCH_MAX];
    size_t count = batch->count;
    memcpy(ops, batch->ops, count * sizeof ops[0]);
    count_suspects(batch, count);
    for (size_t i = 0; i < count; i++) {
        struct bv_error own = {0};
        int op_rc = rc < 0 ? rc : ops[i]->rc;
        if (rc < 0 && error)
            own = *error;
        else if (op_rc < 0)
            bv_fail(&own,
                    op_rc,
                    "%s is known with other content",
                    ops[i]->kind == INVENTORY_OP_ADJUST ? "the idempotency key" : "the order");
        ops[i]->done(ops[i], op_rc, op_rc < 0 ? &own : NULL);
    }
    BV_FAILPOINT(INVENTORY_ANSWERED);
    batch_over(batch);
}

static void batch_fail(struct inventory_batch *batch, int rc, const struct bv_error *error)
{
    inventory_cache_forget(batch->cache);
    batch_answer(batch, rc, error);
}

static void batch_committed(struct inventory_batch *batch)
{
    bv_observe(batch->size_series, (double)batch->count);
    if (batch->plan.change_count > 0)
        batch->deps.committed(batch->deps.argument, batch->plan.changes, batch->plan.change_count);
    inventory_cache_commit(batch->cache); /* after the changes were told: their keys live in it */
    batch_answer(batch, 0, NULL);
}

/* Puts the batch back to the head of the queue, in order, and halves it. */
static void batch_bisect(struct inventory_batch *batch)
{
    size_t count = batch->count;
    bv_count(batch->bisect_series, 1);
    inventory_cache_forget(batch->cache);
    for (size_t i = count; i-- > 0;) {
        if (!batch->head)
            batch->tail = &batch->ops[i]->next;
        batch->ops[i]->next = batch->head;
        batch->head = batch->ops[i];
        batch->waiting++;
    }
    batch->suspects = batch->suspects > count ? batch->suspects : count;
    batch->cap = count / 2;
    batch_over(batch);
}

static void batch_again(struct inventory_batch *batch)
{
    bv_count(batch->conflict_series, 1);
    inventory_cache_forget(batch->cache);
    if (++batch->attempt < INVENTORY_ATTEMPTS_MAX) {
        batch_begin(batch);
        return;
    }
    struct bv_error error = {0};
    bv_fail(&error,
            BV_E_UNAVAILABLE,
            "other replicas were faster %d times in a row: repeat the call",
            INVENTORY_ATTEMPTS_MAX);
    batch_fail(batch, BV_E_UNAVAILABLE, &error);
}

static bool refused_for_content(int rc)
{
    static const int others[] = {
        BV_E_UNAVAILABLE, BV_E_TIMEOUT, BV_E_CANCELLED, BV_E_CLOSED, BV_E_LIMIT, BV_E_NOMEM};
    for (size_t i = 0; i < BV_COUNT(others); i++)
        if (rc == others[i])
            return false;
    return true;
}

static void on_applied(void *argument, int rc, const struct bv_error *error)
{
    struct inventory_batch *batch = argument;
    if (rc == 0) {
        BV_FAILPOINT(INVENTORY_APPLY_AFTER_COMMIT);
        batch_committed(batch);
    } else if (rc == BV_E_CONFLICT) {
        batch_again(batch);
    } else if (refused_for_content(rc) && batch->count > 1) {
        batch_bisect(batch);
    } else {
        bv_log(batch->deps.log,
               BV_WARN,
               "inventory.batch_failed",
               &batch->ops[0]->trace,
               BV_F_INT("operations", batch->count),
               BV_F_TEXT("code", bv_error_row(rc)->name),
               BV_F_TEXT("why", error->text));
        batch_fail(batch, rc, error);
    }
}

/* ---- one batch ---- */

static void batch_decide(struct inventory_batch *batch)
{
    struct inventory_write write;
    int rc = 0;
    inventory_plan_begin(&batch->plan);
    for (size_t i = 0; i < batch->count && rc == 0; i++)
        rc = inventory_plan_decide(&batch->plan, batch->ops[i]);
    if (rc == 0 && !batch->plan.writes) {
        batch_committed(batch);
        return;
    }
    if (rc == 0)
        rc = inventory_plan_write(&batch->plan, &write);
    if (rc == 0) {
        batch->phase = PHASE_APPLYING;
        BV_FAILPOINT(INVENTORY_APPLY_BEFORE_SEND);
        rc = batch->deps.store->ops->apply(batch->deps.store, &write, on_applied, batch);
        BV_FAILPOINT(INVENTORY_APPLY_IN_DOUBT);
    }
    if (rc < 0) {
        struct bv_error error = {0};
        bv_fail(&error, rc, "the batch cannot be written");
        on_applied(batch, rc, &error);
    }
}

static void
on_loaded(void *argument, int rc, const struct inventory_found *found, const struct bv_error *error)
{
    struct inventory_batch *batch = argument;
    struct bv_error own = {0};
    if (rc == 0 && (rc = inventory_cache_learn(batch->cache, found)) < 0) {
        bv_fail(&own, rc, "what was loaded cannot be kept");
        error = &own;
    }
    if (rc < 0)
        batch_fail(batch, rc, error);
    else
        batch_decide(batch);
}

struct wanting {
    struct inventory_key *skus;
    struct bv_bytes *orders;
    struct inventory_key *adjustments;
    struct inventory_want want;
};

static bool
lacks(const struct inventory_batch *batch, enum inventory_kind kind, struct inventory_key key)
{
    return batch->attempt > 0 || !inventory_cache_find(batch->cache, kind, key);
}

/* A Reserve of an unknown order is taken for new: the primary key tells if it is not. One of an
 * order that is known as RESERVED is answered without a write that would tell: another replica may
 * have released it. */
static bool wants_reservation(const struct inventory_batch *batch, const struct inventory_op *op)
{
    struct inventory_key order = {BV_BYTES_NONE, op->order_id};
    const struct inventory_reservation_entry *entry =
        inventory_cache_find(batch->cache, INVENTORY_KIND_RESERVATION, order);
    if (batch->attempt > 0)
        return true;
    if (op->kind == INVENTORY_OP_RESERVE)
        return entry && entry->committed == INVENTORY_RESERVED;
    return !entry;
}

static void
want_op(const struct inventory_batch *batch, const struct inventory_op *op, struct wanting *w)
{
    for (size_t i = 0; i < op->line_count; i++) {
        struct inventory_key key = {op->tenant, op->lines[i].sku};
        if (lacks(batch, INVENTORY_KIND_LEVEL, key))
            w->skus[w->want.sku_count++] = key;
    }
    if (op->kind == INVENTORY_OP_ADJUST) {
        struct inventory_key sku = {op->tenant, op->sku};
        struct inventory_key key = {op->tenant, op->key};
        if (lacks(batch, INVENTORY_KIND_LEVEL, sku))
            w->skus[w->want.sku_count++] = sku;
        if (batch->attempt > 0)
            w->adjustments[w->want.adjustment_count++] = key;
        return;
    }
    if (wants_reservation(batch, op))
        w->orders[w->want.order_count++] = op->order_id;
}

/* Second step for commits and releases: the lines of a reservation that was just loaded name levels
 * that may not be known. */
static void
want_lines(const struct inventory_batch *batch, const struct inventory_op *op, struct wanting *w)
{
    struct inventory_key order = {BV_BYTES_NONE, op->order_id};
    const struct inventory_reservation_entry *entry = NULL;
    if (op->kind == INVENTORY_OP_COMMIT || op->kind == INVENTORY_OP_RELEASE)
        entry = inventory_cache_find(batch->cache, INVENTORY_KIND_RESERVATION, order);
    for (size_t i = 0; entry && i < entry->line_count; i++) {
        struct inventory_key key = {bv_bytes_of(entry->tenant), entry->lines[i].sku};
        if (lacks(batch, INVENTORY_KIND_LEVEL, key))
            w->skus[w->want.sku_count++] = key;
    }
}

static int wanting_open(const struct inventory_batch *batch, struct wanting *w)
{
    size_t skus = batch->count * INVENTORY_LINES_MAX;
    *w = (struct wanting){.skus = malloc(skus * sizeof *w->skus),
                          .orders = malloc(batch->count * sizeof *w->orders),
                          .adjustments = malloc(batch->count * sizeof *w->adjustments)};
    w->want.skus = w->skus;
    w->want.order_ids = w->orders;
    w->want.adjustments = w->adjustments;
    return w->skus && w->orders && w->adjustments ? 0 : BV_E_NOMEM;
}

static void wanting_release(struct wanting *w)
{
    free(w->skus);
    free(w->orders);
    free(w->adjustments);
}

/* Loads what is wanted, or goes on at once when nothing is. */
static void load_then(struct inventory_batch *batch, struct wanting *w, inventory_loaded *then)
{
    const struct inventory_want *want = &w->want;
    int rc = 0;
    if (want->sku_count + want->order_count + want->adjustment_count == 0) {
        const struct inventory_found nothing = {0};
        then(batch, 0, &nothing, NULL);
        return;
    }
    batch->phase = PHASE_LOADING;
    rc = batch->deps.store->ops->load(batch->deps.store, want, then, batch);
    if (rc < 0) {
        struct bv_error error = {0};
        bv_fail(&error, rc, "levels cannot be loaded");
        then(batch, rc, NULL, &error);
    }
}

static void on_orders_loaded(void *argument,
                             int rc,
                             const struct inventory_found *found,
                             const struct bv_error *error)
{
    struct inventory_batch *batch = argument;
    struct wanting w = {0};
    if (rc == 0)
        rc = inventory_cache_learn(batch->cache, found);
    if (rc == 0)
        rc = wanting_open(batch, &w);
    if (rc < 0) {
        struct bv_error own = {0};
        if (!error) {
            bv_fail(&own, rc, "what was loaded cannot be kept");
            error = &own;
        }
        wanting_release(&w);
        batch_fail(batch, rc, error);
        return;
    }
    for (size_t i = 0; i < batch->count; i++)
        want_lines(batch, batch->ops[i], &w);
    load_then(batch, &w, on_loaded);
    wanting_release(&w);
}

static void batch_begin(struct inventory_batch *batch)
{
    struct wanting w;
    if (wanting_open(batch, &w) < 0) {
        wanting_release(&w);
        struct bv_error error = {0};
        bv_fail(&error, BV_E_NOMEM, "no memory for a batch");
        batch_fail(batch, BV_E_NOMEM, &error);
        return;
    }
    batch->phase = PHASE_LOADING;
    for (size_t i = 0; i < batch->count; i++)
        want_op(batch, batch->ops[i], &w);
    load_then(batch, &w, on_orders_loaded);
    wanting_release(&w);
}

static struct inventory_op *queue_pop(struct inventory_batch *batch)
{
    struct inventory_op *op = batch->head;
    if (!op)
        return NULL;
    batch->head = op->next;
    if (!batch->head)
        batch->tail = &batch->head;
    batch->waiting--;
    return op;
}

static void expire(struct inventory_op *op)
{
    struct bv_error error = {0};
    bv_fail(&error, BV_E_TIMEOUT, "the deadline passed while the call waited: nothing was done");
    op->done(op, BV_E_TIMEOUT, &error);
}

static void batch_form(void *argument)
{
    struct inventory_batch *batch = argument;
    int64_t now_ms = bv_mono_ms(bv_loop_env(batch->deps.loop));
    if (batch->phase != PHASE_IDLE)
        return;
    while (batch->count < batch->cap) {
        struct inventory_op *op = queue_pop(batch);
        if (!op)
            break;
        if (op->deadline_ms > 0 && op->deadline_ms <= now_ms) {
            count_suspects(batch, batch->suspects > 0 ? 1 : 0);
            expire(op);
        } else {
            batch->ops[batch->count++] = op;
        }
    }
    batch->attempt = 0;
    if (batch->count > 0)
        batch_begin(batch);
    else
        batch_over(batch);
}

/* ---- life ---- */

int inventory_batch_open(const struct inventory_batch_deps *deps,
                         int64_t waiting_max,
                         struct inventory_batch **ret_batch)
{
    struct inventory_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return BV_E_NOMEM;
    batch->deps = *deps;
    batch->waiting_max = waiting_max;
    batch->tail = &batch->head;
    batch->cap = INVENTORY_BATCH_MAX;
    batch->size_series = bv_metrics_series(deps->metrics, &metric_size, NULL, 0);
    batch->conflict_series = bv_metrics_series(deps->metrics, &metric_conflicts, NULL, 0);
    batch->bisect_series = bv_metrics_series(deps->metrics, &metric_bisections, NULL, 0);
    int rc = bv_metrics_callback(deps->metrics, &metric_waiting, read_waiting, batch);
    if (rc == 0)
        rc = bv_idle_open(deps->loop, batch_form, batch, &batch->idle);
    if (rc == 0)
        rc = inventory_cache_open(&batch->cache);
    if (rc == 0)
        rc = inventory_plan_init(&batch->plan, batch->cache, bv_loop_env(deps->loop));
    if (rc < 0) {
        inventory_batch_close(&batch);
        return rc;
    }
    *ret_batch = batch;
    return 0;
}

int inventory_batch_submit(struct inventory_batch *batch, struct inventory_op *op)
{
    if (batch->stopped)
        return BV_E_CLOSED;
    if (batch->waiting >= batch->waiting_max)
        return BV_E_LIMIT;
    op->next = NULL;
    *batch->tail = op;
    batch->tail = &op->next;
    batch->waiting++;
    if (batch->phase == PHASE_IDLE)
        bv_idle_arm(batch->idle);
    return 0;
}

void inventory_batch_stop(struct inventory_batch *batch,
                          void (*idle)(void *argument),
                          void *argument)
{
    batch->stopped = true;
    batch->stopped_idle = idle;
    batch->stopped_argument = argument;
    if (batch->phase == PHASE_IDLE && !batch->head)
        batch_over(batch);
}

void inventory_batch_learn(struct inventory_batch *batch,
                           const struct inventory_stock_row *rows,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct inventory_level_entry *entry =
            inventory_cache_find(batch->cache, INVENTORY_KIND_LEVEL, rows[i].key);
        if (entry && !entry->node.touched && rows[i].level.version > entry->committed.version)
            entry->committed = entry->working = rows[i].level;
    }
}

void inventory_batch_close(struct inventory_batch **batch_at)
{
    struct inventory_batch *batch = *batch_at;
    if (!batch)
        return;
    *batch_at = NULL;
    struct bv_error error = {0};
    bv_fail(&error, BV_E_CANCELLED, "the service is stopping");
    for (struct inventory_op *op = queue_pop(batch); op; op = queue_pop(batch))
        op->done(op, BV_E_CANCELLED, &error);
    inventory_plan_release(&batch->plan);
    inventory_cache_close(&batch->cache);
    bv_idle_close(&batch->idle);
    free(batch);
}
