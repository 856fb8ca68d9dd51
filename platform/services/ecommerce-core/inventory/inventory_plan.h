/* Decides operations on the cache's working state and collects what is to be written. Uses
 * inventory_core for every decision.
 * Invariant: everything a decision looked at is touched, so that the store checks it.
 * Thread: loop. */
#ifndef INVENTORY_PLAN_H
#define INVENTORY_PLAN_H

#include "inventory_batch.h"
#include "inventory_cache.h"

#define INVENTORY_CHANGES_MAX (INVENTORY_BATCH_MAX * INVENTORY_LINES_MAX)

struct inventory_plan {
    struct inventory_cache *cache;    /* borrowed */
    const struct bv_env *env;         /* borrowed */
    struct bv_arena *arena;           /* owned: rows of the write */
    struct inventory_change *changes; /* owned, INVENTORY_CHANGES_MAX */
    size_t change_count;
    struct bv_outbox_rows outbox; /* owned */
    int64_t at_us;
    bool writes;
};
BV_MUST_CHECK int inventory_plan_init(struct inventory_plan *plan,
                                      struct inventory_cache *cache,
                                      const struct bv_env *env);
void inventory_plan_release(struct inventory_plan *plan);
void inventory_plan_begin(struct inventory_plan *plan);
/* Fills op->rc, answer, level and the availability of its lines. Returns a fault only when the
 * batch cannot go on: BV_E_NOMEM, or BV_E_CONFLICT when a reservation and its levels cannot have
 * been true at the same time (one of them is old). */
BV_MUST_CHECK int inventory_plan_decide(struct inventory_plan *plan, struct inventory_op *op);
/* What is to be written; lives until the next begin. BV_E_NOMEM, BV_E_TOO_LARGE. */
BV_MUST_CHECK int inventory_plan_write(struct inventory_plan *plan,
                                       struct inventory_write *ret_write);

#endif
