/* Group commit: rows that arrive while earlier batches are under way leave together in one
 * transaction. No timer: an idle service commits a lone row at once, a busy one fills its batches
 * by itself. Rows that wait while the store is away end with the batch before them. A batch that
 * fails for a reason that is one row's own is bisected until that row stands alone. Thread: loop.
 */
#ifndef ORDER_BATCH_H
#define ORDER_BATCH_H

#include "order_store.h"
#include "bv/loop.h"

/* Embedded in the asker's own state; lives until done. */
struct order_job {
    void *row; /* struct order_creation or order_change */
    void (*done)(void *argument,
                 int rc,
                 const struct bv_error *error); /* rc 0: committed, results are in the row */
    void *argument;
    struct order_job *next;
};
typedef int order_batch_run(struct order_store *store,
                            void *const *rows,
                            size_t count,
                            order_batch_done *done,
                            void *argument);

#define ORDER_BATCH_ROWS_MAX 64
struct order_batch;
struct order_batch_config {
    order_batch_run *run;
    uint32_t batches_max; /* under way at once */
    uint32_t queue_max;   /* rows waiting */
};
BV_MUST_CHECK int order_batch_open(struct bv_loop *loop,
                                   struct order_store *store,
                                   const struct order_batch_config *config,
                                   struct order_batch **ret_batch);
/* Errors: BV_E_LIMIT when the queue is full. done is never called from within. */
BV_MUST_CHECK int order_batch_add(struct order_batch *batch, struct order_job *job);
bool order_batch_idle(const struct order_batch *batch);
void order_batch_close(
    struct order_batch **batch); /* when idle; waiting jobs end with BV_E_CANCELLED */

#endif
