#include "inventory_plan.h"

#include "inventory_events.h"

#include <stdlib.h>

#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define OUTBOX_BYTES_MAX ((size_t)32 * 1024 * 1024)

int inventory_plan_init(struct inventory_plan *plan,
                        struct inventory_cache *cache,
                        const struct bv_env *env)
{
    *plan = (struct inventory_plan){.cache = cache, .env = env};
    plan->changes = calloc(INVENTORY_CHANGES_MAX, sizeof *plan->changes);
    if (!plan->changes)
        return BV_E_NOMEM;
    return bv_arena_open(ARENA_BYTES_MAX, &plan->arena);
}

void inventory_plan_release(struct inventory_plan *plan)
{
    bv_outbox_rows_release(&plan->outbox);
    bv_arena_close(&plan->arena);
    free(plan->changes);
    *plan = (struct inventory_plan){0};
}

void inventory_plan_begin(struct inventory_plan *plan)
{
    bv_arena_reset(plan->arena);
    bv_outbox_rows_release(&plan->outbox);
    bv_outbox_rows_open(&plan->outbox, OUTBOX_BYTES_MAX);
    plan->change_count = 0;
    plan->at_us = bv_wall_us(plan->env) / 1000 * 1000;
    plan->writes = false;
}

static struct inventory_level_entry *
level_of(struct inventory_plan *plan, struct bv_bytes tenant, struct bv_bytes sku)
{
    struct inventory_key key = {tenant, sku};
    struct inventory_level_entry *entry =
        inventory_cache_make(plan->cache, INVENTORY_KIND_LEVEL, key);
    if (entry)
        inventory_cache_touch(plan->cache, INVENTORY_KIND_LEVEL, &entry->node);
    return entry;
}

static void change_add(struct inventory_plan *plan,
                       const struct inventory_op *op,
                       struct inventory_level_entry *entry,
                       struct inventory_delta delta,
                       enum inventory_cause cause)
{
    bool ordered = cause != INVENTORY_CAUSE_ADJUST;
    bool reasoned = cause == INVENTORY_CAUSE_ADJUST || cause == INVENTORY_CAUSE_RELEASE;
    assert(plan->change_count < INVENTORY_CHANGES_MAX);
    plan->changes[plan->change_count++] =
        (struct inventory_change){.key = inventory_node_key(&entry->node),
                                  .level = entry->working,
                                  .delta = delta,
                                  .cause = cause,
                                  .order_id = ordered ? op->order_id : BV_BYTES_NONE,
                                  .reason = reasoned ? op->reason : BV_BYTES_NONE,
                                  .at_us = plan->at_us};
}

static int
fact_add(struct inventory_plan *plan, const struct inventory_op *op, size_t first, int64_t sequence)
{
    const struct inventory_change *changes = &plan->changes[first];
    struct inventory_fact fact = {.cause = changes->cause,
                                  .trace = &op->trace,
                                  .correlation_id = op->correlation_id,
                                  .tenant = op->tenant,
                                  .order_id = changes->order_id,
                                  .reason = changes->reason,
                                  .sequence = sequence,
                                  .at_us = plan->at_us,
                                  .changes = changes,
                                  .change_count = plan->change_count - first};
    return inventory_events_add(&plan->outbox, plan->env, &fact);
}

/* ---- orders ---- */

static bool lines_equal(const struct inventory_reservation_entry *entry,
                        const struct inventory_op *op)
{
    if (entry->line_count != op->line_count)
        return false;
    for (size_t i = 0; i < op->line_count; i++) {
        bool found = false;
        for (size_t k = 0; k < entry->line_count && !found; k++)
            found = bv_bytes_equal(entry->lines[k].sku, op->lines[i].sku) &&
                    entry->lines[k].quantity == op->lines[i].quantity;
        if (!found)
            return false;
    }
    return true;
}

/* Weighs the lines of a new order and notes what each short one found. */
static int
weigh(struct inventory_plan *plan, struct inventory_op *op, enum inventory_event *ret_event)
{
    struct inventory_draw draws[INVENTORY_LINES_MAX];
    for (size_t i = 0; i < op->line_count; i++) {
        struct inventory_level_entry *entry = level_of(plan, op->tenant, op->lines[i].sku);
        if (!entry)
            return BV_E_NOMEM;
        draws[i] = (struct inventory_draw){&entry->working, op->lines[i].quantity};
        int64_t available = inventory_available(&entry->working);
        op->lines[i].available = available < op->lines[i].quantity ? available : -1;
    }
    *ret_event = inventory_core_weigh(draws, op->line_count);
    return 0;
}

static int order_fits(struct inventory_plan *plan,
                      const struct inventory_op *op,
                      const struct inventory_reservation_entry *entry,
                      enum inventory_effect effect)
{
    for (size_t i = 0; i < entry->line_count; i++) {
        const struct inventory_level_entry *level = level_of(plan, op->tenant, entry->lines[i].sku);
        if (!level)
            return BV_E_NOMEM;
        if (!inventory_core_fits(effect, entry->lines[i].quantity, &level->working))
            return BV_E_CONFLICT;
    }
    return 0;
}

static int order_move(struct inventory_plan *plan,
                      struct inventory_op *op,
                      struct inventory_reservation_entry *entry,
                      const struct inventory_transition *row)
{
    static const enum inventory_cause causes[] = {[INVENTORY_EFFECT_HOLD] = INVENTORY_CAUSE_RESERVE,
                                                  [INVENTORY_EFFECT_TAKE] = INVENTORY_CAUSE_COMMIT,
                                                  [INVENTORY_EFFECT_FREE] =
                                                      INVENTORY_CAUSE_RELEASE};
    plan->writes = true;
    entry->working = row->to;
    entry->working_version++;
    if (row->effect == INVENTORY_EFFECT_NOTHING)
        return 0;
    BV_TRY(order_fits(plan, op, entry, row->effect));
    size_t first = plan->change_count;
    for (size_t i = 0; i < entry->line_count; i++) {
        struct inventory_level_entry *level = level_of(plan, op->tenant, entry->lines[i].sku);
        if (!level)
            return BV_E_NOMEM;
        struct inventory_delta delta =
            inventory_core_move(row->effect, entry->lines[i].quantity, &level->working);
        change_add(plan, op, level, delta, causes[row->effect]);
    }
    return fact_add(plan, op, first, entry->working_version);
}

static int order_begin(struct inventory_reservation_entry *entry, const struct inventory_op *op)
{
    memcpy(entry->tenant, op->tenant.data, op->tenant.size);
    entry->tenant[op->tenant.size] = '\0';
    return op->kind == INVENTORY_OP_RESERVE
               ? inventory_cache_lines(entry, op->lines, op->line_count)
               : 0;
}

/* The lines' availability as it was when the order was first refused. */
static void recall_shortages(const struct inventory_reservation_entry *entry,
                             struct inventory_op *op)
{
    for (size_t i = 0; i < op->line_count; i++)
        for (size_t k = 0; k < entry->line_count; k++)
            if (bv_bytes_equal(entry->lines[k].sku, op->lines[i].sku))
                op->lines[i].available = entry->lines[k].available;
}

static int decide_order(struct inventory_plan *plan, struct inventory_op *op)
{
    static const enum inventory_event events[] = {[INVENTORY_OP_RESERVE] = INVENTORY_ON_ENOUGH,
                                                  [INVENTORY_OP_COMMIT] = INVENTORY_ON_COMMIT,
                                                  [INVENTORY_OP_RELEASE] = INVENTORY_ON_RELEASE};
    struct inventory_key key = {BV_BYTES_NONE, op->order_id};
    struct inventory_reservation_entry *entry =
        inventory_cache_make(plan->cache, INVENTORY_KIND_RESERVATION, key);
    if (!entry)
        return BV_E_NOMEM;
    inventory_cache_touch(plan->cache, INVENTORY_KIND_RESERVATION, &entry->node);
    enum inventory_event event = events[op->kind];
    bool known = entry->working != INVENTORY_NONE;
    if (known && !bv_bytes_equal(bv_bytes_of(entry->tenant),
                                 op->tenant)) { /* not this tenant's: nothing is said of it */
        op->rc = op->kind == INVENTORY_OP_RESERVE ? BV_E_EXISTS : 0;
        op->answer = INVENTORY_ANSWER_NOT_RESERVED;
        return 0;
    }
    if (known && op->kind == INVENTORY_OP_RESERVE && entry->working != INVENTORY_TOMBSTONE &&
        !lines_equal(entry, op)) {
        op->rc = BV_E_EXISTS;
        return 0;
    }
    if (!known && op->kind == INVENTORY_OP_RESERVE)
        BV_TRY(weigh(plan, op, &event));
    const struct inventory_transition *row = inventory_core_next(entry->working, event);
    op->answer = row->answer;
    if (row->to == row->from) {
        recall_shortages(entry, op);
        return 0;
    }
    if (!known)
        BV_TRY(order_begin(entry, op));
    return order_move(plan, op, entry, row);
}

/* ---- adjustments ---- */

static int decide_adjust(struct inventory_plan *plan, struct inventory_op *op)
{
    struct inventory_key key = {op->tenant, op->key};
    struct inventory_adjustment_entry *entry =
        inventory_cache_make(plan->cache, INVENTORY_KIND_ADJUSTMENT, key);
    if (!entry)
        return BV_E_NOMEM;
    inventory_cache_touch(plan->cache, INVENTORY_KIND_ADJUSTMENT, &entry->node);
    if (entry->answered) {
        bool same = entry->delta == op->delta && bv_bytes_equal(bv_bytes_of(entry->sku), op->sku);
        op->rc = same ? 0 : BV_E_EXISTS;
        op->answer = entry->answer;
        op->level = entry->level;
        return 0;
    }
    struct inventory_level_entry *level = level_of(plan, op->tenant, op->sku);
    if (!level)
        return BV_E_NOMEM;
    plan->writes = true;
    op->answer = inventory_core_adjust(&level->working, op->delta);
    op->level = level->working;
    entry->answered = true;
    entry->delta = op->delta;
    entry->answer = op->answer;
    entry->level = op->level;
    entry->reason = op->reason;
    memcpy(entry->sku, op->sku.data, op->sku.size);
    entry->sku[op->sku.size] = '\0';
    if (op->answer != INVENTORY_ANSWER_ADJUSTED)
        return 0;
    change_add(
        plan, op, level, (struct inventory_delta){.on_hand = op->delta}, INVENTORY_CAUSE_ADJUST);
    return fact_add(plan, op, plan->change_count - 1, op->level.version);
}

int inventory_plan_decide(struct inventory_plan *plan, struct inventory_op *op)
{
    op->rc = 0;
    for (size_t i = 0; i < op->line_count; i++)
        op->lines[i].available = -1;
    return op->kind == INVENTORY_OP_ADJUST ? decide_adjust(plan, op) : decide_order(plan, op);
}

/* ---- what is to be written ---- */

static int stock_order(const void *a, const void *b)
{
    const struct inventory_stock_row *rows[2] = {a, b};
    struct inventory_key left = rows[0]->key;
    struct inventory_key right = rows[1]->key;
    size_t tenant = left.tenant.size < right.tenant.size ? left.tenant.size : right.tenant.size;
    int order = memcmp(left.tenant.data, right.tenant.data, tenant);
    if (order != 0 || left.tenant.size != right.tenant.size)
        return order ? order : (left.tenant.size < right.tenant.size ? -1 : 1);
    size_t name = left.name.size < right.name.size ? left.name.size : right.name.size;
    order = memcmp(left.name.data, right.name.data, name);
    return order ? order : (left.name.size > right.name.size) - (left.name.size < right.name.size);
}

static size_t list_size(const struct inventory_node *node)
{
    size_t count = 0;
    for (; node; node = node->touched_next)
        count++;
    return count;
}

static int write_stock(struct inventory_plan *plan, struct inventory_write *write)
{
    const struct inventory_node *node = inventory_cache_touched(plan->cache, INVENTORY_KIND_LEVEL);
    struct inventory_stock_row *rows =
        bv_arena_array(plan->arena, struct inventory_stock_row, list_size(node) + 1);
    if (!rows)
        return BV_E_NOMEM;
    for (; node; node = node->touched_next) {
        const struct inventory_level_entry *entry = (const struct inventory_level_entry *)node;
        if (entry->working.version > 0) /* what does not exist and still will not needs no check */
            rows[write->stock_count++] = (struct inventory_stock_row){
                inventory_node_key(node), entry->committed.version, entry->working};
    }
    qsort(rows, write->stock_count, sizeof *rows, stock_order);
    write->stock = rows;
    return 0;
}

static int write_reservations(struct inventory_plan *plan, struct inventory_write *write)
{
    const struct inventory_node *node =
        inventory_cache_touched(plan->cache, INVENTORY_KIND_RESERVATION);
    struct inventory_reservation *rows =
        bv_arena_array(plan->arena, struct inventory_reservation, list_size(node) + 1);
    if (!rows)
        return BV_E_NOMEM;
    for (; node; node = node->touched_next) {
        const struct inventory_reservation_entry *entry =
            (const struct inventory_reservation_entry *)node;
        if (entry->working_version == entry->committed_version)
            continue;
        rows[write->reservation_count++] =
            (struct inventory_reservation){.order_id = inventory_node_key(node).name,
                                           .tenant = bv_bytes_of(entry->tenant),
                                           .expected = entry->committed_version,
                                           .state = entry->working,
                                           .version = entry->working_version,
                                           .lines = entry->lines,
                                           .line_count = entry->line_count};
    }
    write->reservations = rows;
    return 0;
}

static int write_adjustments(struct inventory_plan *plan, struct inventory_write *write)
{
    const struct inventory_node *node =
        inventory_cache_touched(plan->cache, INVENTORY_KIND_ADJUSTMENT);
    struct inventory_adjustment *rows =
        bv_arena_array(plan->arena, struct inventory_adjustment, list_size(node) + 1);
    if (!rows)
        return BV_E_NOMEM;
    for (; node; node = node->touched_next) {
        const struct inventory_adjustment_entry *entry =
            (const struct inventory_adjustment_entry *)node;
        if (!entry->committed)
            rows[write->adjustment_count++] =
                (struct inventory_adjustment){inventory_node_key(node),
                                              bv_bytes_of(entry->sku),
                                              entry->delta,
                                              entry->reason,
                                              entry->answer,
                                              entry->level};
    }
    write->adjustments = rows;
    return 0;
}

int inventory_plan_write(struct inventory_plan *plan, struct inventory_write *ret_write)
{
    *ret_write = (struct inventory_write){.changes = plan->changes,
                                          .change_count = plan->change_count,
                                          .outbox = &plan->outbox,
                                          .at_us = plan->at_us};
    bv_outbox_rows_close(&plan->outbox);
    BV_TRY(write_stock(plan, ret_write));
    BV_TRY(write_reservations(plan, ret_write));
    return write_adjustments(plan, ret_write);
}
