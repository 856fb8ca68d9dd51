/* The facts of inventory as events on ecommerce.stock, written to the outbox with the change
 * itself. Key: the order id, or the SKU for an adjustment; sequence: version of the reservation
 * or of the level.
 * Thread: any (no state). */
#ifndef INVENTORY_EVENTS_H
#define INVENTORY_EVENTS_H

#include "inventory_store.h"

#define INVENTORY_TOPIC "ecommerce.stock"

struct inventory_fact {
    enum inventory_cause cause;
    const struct bv_trace *trace;
    struct bv_bytes correlation_id;
    struct bv_bytes tenant;
    struct bv_bytes order_id; /* empty for ADJUST */
    struct bv_bytes reason;   /* of RELEASE and ADJUST */
    int64_t sequence;
    int64_t at_us;
    const struct inventory_change *changes; /* one per line */
    size_t change_count;                    /* 1..INVENTORY_LINES_MAX */
};
/* Adds one row.
 * Errors: those of bv_outbox_rows_add.
 * Source: contracts/events/ecommerce.stock.*.v1.schema.json. */
BV_MUST_CHECK int inventory_events_add(struct bv_outbox_rows *rows,
                                       const struct bv_env *env,
                                       const struct inventory_fact *fact);

/* What a stock event says of one SKU. */
struct inventory_news {
    struct inventory_key key;
    struct inventory_level level;
};
/* Reads the levels of an event of the topic, at most INVENTORY_LINES_MAX, into arena.
 * BV_E_INVALID, BV_E_UNPROCESSABLE, BV_E_NOMEM. */
BV_MUST_CHECK int inventory_events_read(struct bv_arena *arena,
                                        struct bv_bytes envelope,
                                        struct inventory_news **ret_news,
                                        size_t *ret_count);

#endif
