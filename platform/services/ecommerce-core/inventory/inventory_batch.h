/* Group commit: operations that arrive while the last batch is being committed form the next one;
 * no timers.
 *
 *     submit ─► queue ─► load what is not known ─► decide in order of arrival
 *                           ▲                                 │
 *       another was first ──┘                                 ▼
 *       answer, tell watchers ◄── committed ── apply in one statement
 *
 * A batch that is refused for its content is halved until the one culprit stands alone (bisection).
 * Invariant: one batch is in flight; an operation is answered once, after its commit is known.
 * Thread: loop. */
#ifndef INVENTORY_BATCH_H
#define INVENTORY_BATCH_H

#include "bv/log.h"
#include "bv/loop.h"
#include "bv/metrics.h"
#include "inventory_store.h"

#define INVENTORY_BATCH_MAX 64
/* Batches lost in a row to other replicas, about a millisecond each, before UNAVAILABLE. */
#define INVENTORY_ATTEMPTS_MAX 50

enum inventory_op_kind {
    INVENTORY_OP_RESERVE,
    INVENTORY_OP_COMMIT,
    INVENTORY_OP_RELEASE,
    INVENTORY_OP_ADJUST,
    INVENTORY_OP_COUNT
};
struct inventory_op { /* the caller's memory until done has run; input checked by the caller */
    enum inventory_op_kind kind;
    struct bv_bytes tenant;
    struct bv_bytes order_id;     /* all but ADJUST: lower-case UUID */
    struct inventory_line *lines; /* RESERVE: each SKU once; `available` is filled for short lines
                                     when SOLD_OUT, else -1 */
    size_t line_count;
    struct bv_bytes sku; /* ADJUST */
    struct bv_bytes key; /* ADJUST */
    int64_t delta;       /* ADJUST */
    struct bv_bytes reason;
    int64_t deadline_ms; /* monotonic, 0 none: not begun after it */
    struct bv_trace trace;
    struct bv_bytes correlation_id;
    /* rc 0: answer (and level for ADJUST) hold. BV_E_EXISTS: the order or key is known with other
     * content. BV_E_TIMEOUT, BV_E_UNAVAILABLE, BV_E_CANCELLED: outcome unknown or nothing done; may
     * be repeated. Others: the store's. */
    void (*done)(struct inventory_op *op, int rc, const struct bv_error *error);
    void *context;

    enum inventory_answer answer;
    struct inventory_level level;
    int rc;                    /* private */
    struct inventory_op *next; /* private */
};

struct inventory_batch_deps { /* borrowed; log may be NULL */
    struct bv_loop *loop;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct inventory_store *store;
    /* Called after each commit, before the answers, with every change in version order per SKU. */
    void (*committed)(void *argument, const struct inventory_change *changes, size_t count);
    void *argument;
};
struct inventory_batch;
/* Errors: BV_E_NOMEM. waiting_max: operations that may wait, 1..1000000. */
BV_MUST_CHECK int inventory_batch_open(const struct inventory_batch_deps *deps,
                                       int64_t waiting_max,
                                       struct inventory_batch **ret_batch);
/* Errors (done is then not called): BV_E_LIMIT when waiting_max operations wait, BV_E_CLOSED
 * after stop. */
BV_MUST_CHECK int inventory_batch_submit(struct inventory_batch *batch, struct inventory_op *op);
/* Takes no more; idle runs once nothing waits or is in flight, perhaps from within. */
void inventory_batch_stop(struct inventory_batch *batch,
                          void (*idle)(void *argument),
                          void *argument);
/* Takes in a level seen elsewhere (an event of another replica), so that the next batch is not
 * decided on an old one. */
void inventory_batch_learn(struct inventory_batch *batch,
                           const struct inventory_stock_row *rows,
                           size_t count);
/* Operations still waiting end with BV_E_CANCELLED. After the store's calls have ended. */
void inventory_batch_close(struct inventory_batch **batch);

#endif
