/* The load under which services die: clients that place orders with idempotency keys and repeat the
 * same key until it is answered, that repeat answered keys, cancel, pay (some twice), confirm. What
 * was acknowledged is noted; an answer that breaks a promise by itself (a repeated key with other
 * bytes, an order that is gone) is noted as wrong. Invariant: a client never gives up a key while
 * the load runs, so at its end every key is answered. Thread: main; clients are threads. */
#ifndef TORTURE_LOAD_H
#define TORTURE_LOAD_H

#include "torture_facts.h"
#include "torture_kafka.h"

struct torture_load;
struct torture_load_config {
    const char *auth_url;
    const char *order_url;
    const char *password; /* of the demo users */
    struct torture_kafka *kafka;
    struct torture_facts *facts;
    uint32_t clients;      /* 1 to TORTURE_CLIENTS_MAX */
    uint32_t orders_per_s; /* of all clients together */
};
#define TORTURE_CLIENTS_MAX 64
/* Stock keeping units of the load: PLENTY have more than any run takes, SCARCE have
 * TORTURE_SCARCE_UNITS, NONE have nothing, so that orders for them are sold out. */
#define TORTURE_SCARCE_UNITS 40
struct torture_sku {
    const char *sku;
    int64_t units;
};
extern const struct torture_sku torture_skus[];
extern const size_t torture_sku_count;

/* Starts the clients. Errors: BV_E_LIMIT (threads), BV_E_UNAVAILABLE (no login). config is copied,
 * its pointers borrowed. */
BV_MUST_CHECK int torture_load_start(const struct torture_load_config *config,
                                     struct torture_load **ret_load,
                                     struct bv_error *error);
/* Lets every client end what it has begun, within timeout_ms; keys that are not answered by then
 * are noted as wrong. */
void torture_load_stop(struct torture_load **load, int64_t timeout_ms);

#endif
