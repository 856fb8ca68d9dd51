/* Persistence of inventory, as a vtable of its own operations: what is known of levels,
 * reservations and adjustments is loaded; a batch that was decided on that knowledge is applied
 * whole, or refused as stale when anything of it has moved since.
 * Invariant: every row of a batch names the version it was decided on, so several replicas cannot
 * overwrite each other.
 * Thread: loop. Every done runs once, later, on the loop. Spans handed to done live for its
 * duration. */
#ifndef INVENTORY_STORE_H
#define INVENTORY_STORE_H

#include "bv/outbox.h"
#include "bv/pg.h"
#include "inventory_core.h"

#define INVENTORY_SKU_BYTES_MAX 64
#define INVENTORY_TENANT_BYTES_MAX 63
#define INVENTORY_KEY_BYTES_MAX 128
#define INVENTORY_REASON_BYTES_MAX 200
#define INVENTORY_LINES_MAX 50

#define INVENTORY_CAUSES(X)                                                                        \
    X(RESERVE)                                                                                     \
    X(COMMIT)                                                                                      \
    X(RELEASE)                                                                                     \
    X(ADJUST)
#define INVENTORY_CAUSE_(name) INVENTORY_CAUSE_##name,
enum inventory_cause { INVENTORY_CAUSES(INVENTORY_CAUSE_) INVENTORY_CAUSE_COUNT };
extern const char *const inventory_cause_names[INVENTORY_CAUSE_COUNT];

struct inventory_key { /* a SKU or an idempotency key of a tenant */
    struct bv_bytes tenant;
    struct bv_bytes name;
};
struct inventory_line {
    struct bv_bytes sku;
    int64_t quantity;
    int64_t available; /* of a line that fell short: what there was; -1 otherwise */
};
struct inventory_stock_row {
    struct inventory_key key;
    int64_t expected; /* applying: version it was decided on, 0: no row */
    struct inventory_level level;
};
struct inventory_change { /* a ledger row: level.version names it */
    struct inventory_key key;
    struct inventory_level level; /* after */
    struct inventory_delta delta;
    enum inventory_cause cause;
    struct bv_bytes order_id; /* empty for ADJUST */
    struct bv_bytes reason;   /* of RELEASE and ADJUST, else empty */
    int64_t at_us;
};
struct inventory_reservation {
    struct bv_bytes order_id;
    struct bv_bytes tenant;
    int64_t expected; /* as above */
    enum inventory_state state;
    int64_t version;
    const struct inventory_line *lines; /* none for a TOMBSTONE */
    size_t line_count;
};
struct inventory_adjustment {
    struct inventory_key key;
    struct bv_bytes sku;
    int64_t delta;
    struct bv_bytes reason;
    enum inventory_answer answer;
    struct inventory_level level; /* after */
};

struct inventory_want { /* any part may be empty */
    const struct inventory_key *skus;
    size_t sku_count;
    const struct bv_bytes *order_ids;
    size_t order_count;
    const struct inventory_key *adjustments;
    size_t adjustment_count;
};
struct inventory_found { /* what exists of it, in no order */
    const struct inventory_stock_row *stock;
    size_t stock_count;
    const struct inventory_reservation *reservations;
    size_t reservation_count;
    const struct inventory_adjustment *adjustments;
    size_t adjustment_count;
};
struct inventory_write {
    struct inventory_stock_row *stock; /* sorted by tenant, then sku: the order of locking */
    size_t stock_count;
    const struct inventory_change *changes; /* in order of version per SKU */
    size_t change_count;
    const struct inventory_reservation *reservations;
    size_t reservation_count;
    const struct inventory_adjustment *adjustments;
    size_t adjustment_count;
    struct bv_outbox_rows *outbox; /* closed */
    int64_t at_us;
};

typedef void inventory_loaded(void *argument,
                              int rc,
                              const struct inventory_found *found,
                              const struct bv_error *error);
typedef void inventory_applied(void *argument, int rc, const struct bv_error *error);
typedef void inventory_listed(void *argument,
                              int rc,
                              const struct inventory_change *changes,
                              size_t count,
                              const struct bv_error *error);

struct inventory_store;
struct inventory_store_ops {
    /* Errors, here and below: BV_E_LIMIT, BV_E_NOMEM, BV_E_CLOSED, BV_E_TOO_LARGE: done is then not
     * called. rc of done: those of bv_pg. */
    int (*load)(struct inventory_store *self,
                const struct inventory_want *want,
                inventory_loaded *done,
                void *argument);
    /* Every level of a tenant. */
    int (*load_tenant)(struct inventory_store *self,
                       struct bv_bytes tenant,
                       inventory_loaded *done,
                       void *argument);
    /* rc of done: 0 committed; BV_E_CONFLICT: something moved, nothing was written;
     * BV_E_UNAVAILABLE, BV_E_TIMEOUT, BV_E_CANCELLED: unknown; others: refused for its content,
     * nothing was written. */
    int (*apply)(struct inventory_store *self,
                 const struct inventory_write *write,
                 inventory_applied *done,
                 void *argument);
    /* Ledger rows of each key with a version above after[i], sorted by sku and version, at most
     * limit of them. */
    int (*history)(struct inventory_store *self,
                   const struct inventory_key *skus,
                   const int64_t *after,
                   size_t count,
                   size_t limit,
                   inventory_listed *done,
                   void *argument);
    bool (*ready)(const struct inventory_store *self);
    void (*close)(struct inventory_store **self);
};
struct inventory_store {
    const struct inventory_store_ops *ops;
};

/* On a pool that outlives the store's calls (close the pool first: its calls end with
 * BV_E_CANCELLED).
 * Errors: BV_E_NOMEM. */
BV_MUST_CHECK int inventory_store_pg_open(struct bv_pg *pg, struct inventory_store **ret_store);

/* Lines as the reservations table keeps them. */
int inventory_lines_encode(struct bv_buf *buf, const struct inventory_line *lines, size_t count);
BV_MUST_CHECK int inventory_lines_decode(struct bv_arena *arena,
                                         struct bv_bytes text,
                                         struct inventory_line **ret_lines,
                                         size_t *ret_count);

#endif
