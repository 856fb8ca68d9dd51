/* The saga of an order: PENDING is committed (with key, items and event) → stock is reserved →
 * RESERVED or REJECTED is committed → the answer. A crash between the steps leaves a PENDING order
 * that the sweeper takes up; every step is idempotent by order id and version.
 *
 *   request ──prices──▶ create batch ──commit──▶ reserve (gRPC) ──▶ apply batch ──commit──▶ reply
 *                           │ key seen before                          ▲
 *                           └──▶ stored answer                         └── sweeper, after a crash
 * or an inventory that did not answer
 *
 * Thread: loop. Source: Garcia-Molina and Salem, "Sagas", 1987; Idempotency-Key:
 * draft-ietf-httpapi-idempotency-key-header. */
#ifndef ORDER_SAGA_H
#define ORDER_SAGA_H

#include "order_batch.h"
#include "order_config.h"
#include "order_prices.h"
#include "order_stock.h"
#include "bv/log.h"
#include "bv/metrics.h"

struct order_saga;
struct order_saga_deps { /* all borrowed */
    struct bv_loop *loop;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct order_store *store;
    struct order_prices *prices;
    struct order_stock *stock;
    const struct order_config *config;
};
BV_MUST_CHECK int order_saga_open(const struct order_saga_deps *deps, struct order_saga **ret_saga);
void order_saga_start(struct order_saga *saga); /* begins sweeping */
void order_saga_stop(struct order_saga *saga,
                     void (*stopped)(void *argument),
                     void *argument); /* when nothing is under way */
void order_saga_close(struct order_saga **saga);

/* ---- placing an order ---- */

enum order_answer_kind {
    ORDER_ANSWER_STORED,      /* status and body, first given or replayed */
    ORDER_ANSWER_UNKNOWN_SKU, /* lines: bit per item */
    ORDER_ANSWER_CURRENCIES,
    ORDER_ANSWER_KEY_REUSED,
    ORDER_ANSWER_IN_PROGRESS,
    ORDER_ANSWER_FAULT, /* rc and error */
};
struct order_answer {
    enum order_answer_kind kind;
    int rc;
    const struct bv_error *error;
    int status;
    struct bv_bytes body;
    const char *order_id;
    uint64_t lines;
};
typedef void order_answer_done(void *argument, const struct order_answer *answer);
struct order_request {
    struct bv_bytes tenant, customer_id, key, fingerprint, correlation_id;
    struct bv_trace trace;
    const struct order_item *items; /* prices are filled in by the saga */
    size_t item_count;
};
/* Copies the request. done runs once, later. BV_E_NOMEM, BV_E_LIMIT. */
BV_MUST_CHECK int order_saga_place(struct order_saga *saga,
                                   const struct order_request *request,
                                   order_answer_done *done,
                                   void *argument);

/* ---- moving an order ---- */

struct order_move {
    struct bv_bytes tenant, order_id, correlation_id;
    struct bv_bytes
        only_customer; /* NONE: anybody's; otherwise another customer's order is BV_E_NOT_FOUND */
    enum order_event on;
    struct bv_bytes reason;         /* where the new state needs one */
    struct bv_bytes inbox_event_id; /* NONE: not caused by an event */
    int64_t amount_minor;           /* payments: must equal the total; -1: not checked */
    struct bv_bytes currency;
    struct bv_trace trace;
};
/* rc: 0 moved (order is the new one); BV_E_NOT_FOUND; ORDER_REFUSED and ORDER_TOO_EARLY as
 * order_decide says, with the order as it is; ORDER_SEEN: the event was applied before;
 * BV_E_UNPROCESSABLE: the amount differs; other faults of the store. */
#define ORDER_SEEN 3
typedef void
order_move_done(void *argument, int rc, const struct order *order, const struct bv_error *error);
BV_MUST_CHECK int order_saga_move(struct order_saga *saga,
                                  const struct order_move *move,
                                  order_move_done *done,
                                  void *argument);

#endif
