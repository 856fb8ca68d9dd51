/* Wiring of the inventory service: pool, store, group commit, watches, relay, event feed, gRPC
 * server. Start order is member order; stop order is its reverse.
 * Thread: loop. */
#ifndef INVENTORY_SERVICE_H
#define INVENTORY_SERVICE_H

#include "bv/grpc.h"
#include "bv/service.h"
#include "inventory_batch.h"
#include "inventory_config.h"
#include "inventory_watch.h"

struct inventory_service {
    struct bv_service *frame;              /* borrowed */
    const struct inventory_config *config; /* borrowed */
    struct bv_grpc_server *grpc;           /* owned */
    struct bv_pg *pg;                      /* owned */
    struct inventory_store *store;         /* owned */
    struct inventory_watches *watches;     /* owned */
    struct inventory_batch *batch;         /* owned */
    struct bv_bus *bus;                    /* owned */
    struct bv_outbox_relay *relay;         /* owned */
    struct bv_subscription *feed;          /* owned: stock events of all replicas */
    char feed_group[64];
    struct bv_series *answers[INVENTORY_OP_COUNT][INVENTORY_ANSWER_COUNT];
};
extern const struct bv_service_spec inventory_spec;

/* The gRPC methods (inventory_api.c); context is the service. */
extern const struct bv_grpc_method inventory_methods[];
extern const size_t inventory_method_count;
void inventory_api_metrics(struct inventory_service *service, struct bv_metrics *metrics);

#endif
