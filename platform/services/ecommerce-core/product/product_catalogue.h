/* The read path of the catalogue: encoded answers in memory → Redis (read-through, per key and per
 * tag) → the store.
 *
 *   GET /v1/products/{sku} ──▶ memory, at most memory_ttl_ms old ──▶ Redis ──▶ Postgres     one
 * asker per key goes on, the others wait for it product.created/updated/deleted (own writes at
 * once, other replicas' by Kafka) ──▶ drops the key and every list of its tags
 *
 * Staleness: a replica's own writes are seen at once; another replica's after its event, and after
 * memory_ttl_ms at the latest unless a reader put the old value into Redis between the commit and
 * the event: redis_ttl_ms then. Redis that is away costs speed, never an answer. Thread: loop. */
#ifndef PRODUCT_CATALOGUE_H
#define PRODUCT_CATALOGUE_H

#include "product_store.h"
#include "bv/log.h"
#include "bv/metrics.h"
#include "bv/redis.h"

struct product_answer {
    bool found;
    char etag[24];
    struct bv_bytes body; /* JSON; until the loop turns */
};
struct product_catalogue;
struct product_catalogue_config {
    int64_t memory_ttl_ms;
    int64_t memory_entries; /* direct-mapped */
    int64_t redis_ttl_ms;
};
struct product_catalogue_deps {
    struct bv_loop *loop;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct product_store *store;
    struct bv_redis *redis;
};
BV_MUST_CHECK int product_catalogue_open(const struct product_catalogue_config *config,
                                         const struct product_catalogue_deps *deps,
                                         struct product_catalogue **ret_catalogue);
void product_catalogue_close(struct product_catalogue **catalogue);

/* What memory has; NULL: ask product_catalogue_fetch. */
const struct product_answer *product_catalogue_peek(struct product_catalogue *catalogue,
                                                    struct bv_bytes tenant,
                                                    struct bv_bytes sku);
/* answer NULL when rc < 0. done may run within the call when the answer is at hand. */
typedef void product_answered(void *argument,
                              int rc,
                              const struct product_answer *answer,
                              const struct bv_error *error);
BV_MUST_CHECK int product_catalogue_fetch(struct product_catalogue *catalogue,
                                          struct bv_bytes tenant,
                                          struct bv_bytes sku,
                                          product_answered *done,
                                          void *argument);
/* One page of a list, encoded. */
BV_MUST_CHECK int product_catalogue_list(struct product_catalogue *catalogue,
                                         const struct product_query *query,
                                         product_answered *done,
                                         void *argument);
/* After a committed change, own or heard of. */
void product_catalogue_flush(struct product_catalogue *catalogue, const struct product *product);

#endif
