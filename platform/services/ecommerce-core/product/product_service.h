/* The product service: the catalogue over REST, cached. Everything here lives on the loop thread.
 */
#ifndef PRODUCT_SERVICE_H
#define PRODUCT_SERVICE_H

#include "product_catalogue.h"
#include "product_config.h"
#include "bv/consumer.h"
#include "bv/guard.h"
#include "bv/http.h"
#include "bv/outbox.h"
#include "bv/service.h"

struct product_service {
    struct bv_service *frame;            /* borrowed */
    const struct product_config *config; /* borrowed */
    struct bv_guard *guard;              /* owned */
    struct bv_bus *bus;                  /* owned */
    struct bv_outbox_relay *relay;       /* owned */
    struct bv_redis *redis;              /* owned */
    struct product_store *store;         /* owned */
    struct product_catalogue *catalogue; /* owned */
    struct bv_consumer *flushes;         /* owned; NULL until start */
    char group[64];
};
extern const struct bv_service_spec product_spec;

#define PRODUCT_ROUTE_COUNT 5
extern const struct bv_http_route product_routes[PRODUCT_ROUTE_COUNT]; /* product_api.c */

#endif
