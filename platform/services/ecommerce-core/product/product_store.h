/* Persistence of the catalogue as semantic operations; Postgres implements it. Writes put their
 * event in the outbox in the same transaction. Completions run on the loop thread, never from
 * within the call; rows live for their duration. Faults as in bv/pg.h. Thread: loop. */
#ifndef PRODUCT_STORE_H
#define PRODUCT_STORE_H

#include "product_core.h"
#include "bv/outbox.h"
#include "bv/pg.h"

/* rc 0 with product NULL: none. */
typedef void
product_found(void *argument, int rc, const struct product *product, const struct bv_error *error);
typedef void product_listed(void *argument,
                            int rc,
                            const struct product *products,
                            size_t count,
                            const struct bv_error *error);
/* saved false: the version had moved on, or the SKU was there already. */
typedef void product_saved(void *argument, int rc, bool saved, const struct bv_error *error);

struct product_query {
    struct bv_bytes tenant, text, tag, after_sku; /* NONE: not asked */
    int64_t limit;
};
struct product_change {
    const struct product
        *product; /* as it shall be, version included; expected is version - 1, 0 inserts */
    const char *event_type;
    struct bv_trace trace;
    struct bv_bytes correlation_id;
};
struct product_store;
struct product_store_ops {
    int (*find)(struct product_store *self,
                struct bv_bytes tenant,
                struct bv_bytes sku,
                product_found *done,
                void *argument); /* tombstones too: look at deleted */
    int (*list)(struct product_store *self,
                const struct product_query *query,
                product_listed *done,
                void *argument);
    int (*save)(struct product_store *self,
                const struct product_change *change,
                product_saved *done,
                void *argument);
    bool (*ready)(struct product_store *self);
    void (*release)(struct product_store **self);
};
struct product_store {
    const struct product_store_ops *ops;
};
BV_MUST_CHECK int product_store_pg_open(struct bv_loop *loop,
                                        const struct bv_pg_config *config,
                                        struct bv_metrics *metrics,
                                        struct product_store **ret_store);

#endif
