/* The order service: orders over REST, the saga with inventory, payments from Kafka. Everything
 * here lives on the loop thread. */
#ifndef ORDER_SERVICE_H
#define ORDER_SERVICE_H

#include "order_saga.h"
#include "bv/bus.h"
#include "bv/consumer.h"
#include "bv/guard.h"
#include "bv/http.h"
#include "bv/outbox.h"
#include "bv/parked.h"
#include "bv/service.h"

struct order_service {
    struct bv_service *frame;          /* borrowed */
    const struct order_config *config; /* borrowed */
    struct bv_guard *guard;            /* owned */
    struct bv_bus *bus;                /* owned */
    struct bv_outbox_relay *relay;     /* owned */
    struct order_store *store;         /* owned */
    struct order_prices *prices;       /* owned */
    struct order_stock *stock;         /* owned */
    struct order_saga *saga;           /* owned */
    struct bv_parked_store *parked;    /* owned */
    struct bv_consumer *payments;      /* owned; NULL until start */
};
extern const struct bv_service_spec order_spec;

#define ORDER_ROUTE_COUNT 7
extern const struct bv_http_route order_routes[ORDER_ROUTE_COUNT]; /* order_api.c */

/* order_payments.c: consumes ecommerce.payments. */
BV_MUST_CHECK int order_payments_open(struct order_service *service);

#endif
