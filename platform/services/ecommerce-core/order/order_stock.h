/* Inventory as the order service sees it: reserve, commit, release by gRPC, behind a circuit
 * breaker. Every call is idempotent by order id. Thread: loop. */
#ifndef ORDER_STOCK_H
#define ORDER_STOCK_H

#include "order_store.h"
#include "bv/grpc.h"
#include "bv/resilience.h"

struct order_shortage {
    struct bv_bytes sku;
    int64_t requested;
    int64_t available;
};
enum order_reserve_outcome {
    ORDER_RESERVE_HELD,
    ORDER_RESERVE_SOLD_OUT,
    ORDER_RESERVE_RELEASED_BEFORE
};
struct order_reservation {
    enum order_reserve_outcome outcome;
    const struct order_shortage *shortages;
    size_t shortage_count;
};
/* rc 0 with the reservation, for the duration of the call; BV_E_UNAVAILABLE, BV_E_TIMEOUT: unknown,
 * ask again. */
typedef void order_reserve_done(void *argument,
                                int rc,
                                const struct order_reservation *reservation,
                                const struct bv_error *error);
typedef void order_settle_done(void *argument, int rc, const struct bv_error *error);

struct order_stock;
struct order_stock_config {
    const char *target;
    int64_t timeout_ms;
    int64_t calls_max;
};
BV_MUST_CHECK int order_stock_open(struct bv_loop *loop,
                                   const struct order_stock_config *config,
                                   struct bv_metrics *metrics,
                                   struct order_stock **ret_stock);
/* Errors at once: BV_E_UNAVAILABLE while the breaker is open, BV_E_LIMIT. */
BV_MUST_CHECK int order_stock_reserve(struct order_stock *stock,
                                      const struct order *order,
                                      order_reserve_done *done,
                                      void *argument);
BV_MUST_CHECK int order_stock_settle(struct order_stock *stock,
                                     const struct order_task *task,
                                     const char *reason,
                                     order_settle_done *done,
                                     void *argument);
/* Whether inventory's last answer was one: for /readyz. */
bool order_stock_answers(const struct order_stock *stock);
void order_stock_close(struct order_stock **stock);

#endif
