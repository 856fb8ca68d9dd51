/* Prices of the catalogue: a bounded cache in memory before product's REST API, one call per SKU at
 * a time. Staleness: a price is at most ttl_ms old when an order is priced with it (stated in the
 * README). Thread: loop. */
#ifndef ORDER_PRICES_H
#define ORDER_PRICES_H

#include "bv/httpc.h"
#include "bv/json.h"
#include "bv/metrics.h"
#include "bv/resilience.h"

struct order_price {
    int64_t price_minor;
    char currency[4];
};
struct order_prices;
struct order_prices_config {
    const char *product_url; /* base */
    int64_t ttl_ms;
    int64_t entries; /* direct-mapped: a collision costs one call */
    int64_t timeout_ms;
};
BV_MUST_CHECK int order_prices_open(struct bv_loop *loop,
                                    struct bv_httpc *client,
                                    const struct order_prices_config *config,
                                    struct bv_metrics *metrics,
                                    struct order_prices **ret_prices);
/* Outcome: ORDER_PRICE_MISS, then fetch. */
#define ORDER_PRICE_MISS 1
BV_MUST_CHECK int
order_prices_find(struct order_prices *prices, struct bv_bytes sku, struct order_price *ret_price);
/* price NULL with rc 0: the SKU is not in the catalogue. BV_E_UNAVAILABLE, BV_E_TIMEOUT: product
 * does not answer. */
typedef void order_price_done(void *argument, int rc, const struct order_price *price);
BV_MUST_CHECK int order_prices_fetch(struct order_prices *prices,
                                     struct bv_bytes sku,
                                     const struct bv_trace *trace,
                                     order_price_done *done,
                                     void *argument);
void order_prices_close(struct order_prices **prices);

#endif
