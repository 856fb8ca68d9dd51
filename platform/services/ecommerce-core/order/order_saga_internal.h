/* What the files of the saga share. */
#ifndef ORDER_SAGA_INTERNAL_H
#define ORDER_SAGA_INTERNAL_H

#include "order_events.h"
#include "order_saga.h"

#define ORDER_WORK_ARENA_MAX (64 * 1024)

struct order_saga {
    struct order_saga_deps deps;
    struct order_batch *creates; /* owned */
    struct order_batch *applies; /* owned */
    struct bv_timer *sweeper;    /* owned */
    uint32_t under_way;          /* placements, moves, sweeps and stock tasks */

    int64_t forgot_at_ms;
    int64_t settled_us; /* wall clock: every order placed before is known to have left PENDING,
                           unless its creation is in doubt */
    int64_t looked_before_us; /* of the latest look */
    int64_t doubt_us; /* creations from here on may be committed any time; ends at doubt_until_ms */
    int64_t doubt_until_ms;
    int64_t looked_back_at_ms;
    void (*stopped)(void *argument); /* set while stopping */
    void *stopped_argument;
    struct bv_series *placed[2]; /* reserved, sold out */
    struct bv_series *resumed;
};

void order_saga_begin(struct order_saga *saga);
void order_saga_end(struct order_saga *saga);
/* Deep copy into arena. BV_E_NOMEM. */
BV_MUST_CHECK int
order_copy(struct bv_arena *arena, const struct order *from, struct order *ret_order);
/* The creation of an order placed at created_at_us got no answer: a commit that hangs (a full disk,
 * a standby that is away) may show it long after. For an hour the sweeper looks back that far, once
 * a minute. */
void order_saga_doubt(struct order_saga *saga, int64_t created_at_us);
/* Takes up a PENDING order that was left behind. */
void order_saga_resume(struct order_saga *saga, const struct order *order);
/* Tells inventory and clears the task; failures stay for the sweeper. */
void order_saga_settle(struct order_saga *saga, const struct order_task *task);
/* The stored answer of an order that ended without its request: body of a conflict problem. */
void order_answer_conflict(struct bv_buf *buf, const struct order *order);

#endif
