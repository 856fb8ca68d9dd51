/* Persistence of orders: the service's own operations, not SQL, as a vtable; Postgres implements
 * it, the simulator another. Group commit: operations that change orders come as batches, each one
 * transaction; see order_batch.h. Completions run on the loop thread, never from within the call.
 * Everything given to a completion lives for its duration. Faults as in bv/pg.h. Thread: loop. */
#ifndef ORDER_STORE_H
#define ORDER_STORE_H

#include "order_core.h"
#include "bv/pg.h"
#include "bv/trace.h"
#include "bv/uuid.h"

struct order {
    char order_id[BV_UUID_TEXT_SIZE];
    struct bv_bytes tenant;
    struct bv_bytes customer_id;
    enum order_state state;
    int64_t version;
    const struct order_item *items;
    size_t item_count;
    int64_t total_minor;
    struct bv_bytes currency;
    struct bv_bytes reason; /* NONE: none */
    struct bv_bytes correlation_id;
    struct bv_trace trace; /* of the request that made the latest change */
    int64_t created_at_us;
    int64_t updated_at_us;
};

struct order_creation {
    const struct order *order; /* PENDING, version 1 */
    struct bv_bytes key;       /* idempotency key */
    struct bv_bytes fingerprint;
    bool created; /* result: false when the key was there before */
};
struct order_change {
    const struct order *order; /* as it shall be: state, version (one more than now), reason,
                                  updated_at_us, trace */
    enum order_stock_task stock;
    struct bv_bytes inbox_event_id; /* the event that caused it, NONE: none */
    int answer_status;              /* answer of the idempotency key, 0: leave it */
    struct bv_bytes answer;
    bool applied; /* result: false when the version had moved on, or the event was applied before */
};

enum { ORDER_KEY_NONE, ORDER_KEY_IN_PROGRESS, ORDER_KEY_ANSWERED };
struct order_key_row {
    int kind;
    struct bv_bytes fingerprint;
    char order_id[BV_UUID_TEXT_SIZE];
    int status;
    struct bv_bytes answer;
};

typedef void order_batch_done(void *argument, int rc, const struct bv_error *error);
typedef void order_key_done(void *argument,
                            int rc,
                            const struct order_key_row *row,
                            const struct bv_error *error);
/* orders: newest first for lists. inbox_seen answers the event id of the question. */
typedef void order_rows_done(void *argument,
                             int rc,
                             const struct order *orders,
                             size_t count,
                             bool inbox_seen,
                             const struct bv_error *error);
struct order_task {
    char order_id[BV_UUID_TEXT_SIZE];
    struct bv_bytes tenant;
    enum order_stock_task task;
    struct bv_trace trace; /* of the transition; empty when the sweeper took the task up */
};
typedef void order_tasks_done(void *argument,
                              int rc,
                              const struct order_task *tasks,
                              size_t count,
                              const struct bv_error *error);

struct order_list_query {
    struct bv_bytes tenant;
    struct bv_bytes customer_id; /* NONE: of all customers */
    int state;                   /* -1: any */
    struct bv_bytes before_id;   /* NONE: from the newest */
    int64_t limit;
};

#define ORDER_FORGET_MAX 20000
#define ORDER_FORGET_MORE 1

struct order_store;
struct order_store_ops {
    /* One transaction over all rows; results in the rows. A row whose key exists is left out and
     * `created` stays false. */
    int (*create)(struct order_store *self,
                  struct order_creation *const *rows,
                  size_t count,
                  order_batch_done *done,
                  void *argument);
    int (*apply)(struct order_store *self,
                 struct order_change *const *rows,
                 size_t count,
                 order_batch_done *done,
                 void *argument);
    int (*key_find)(struct order_store *self,
                    struct bv_bytes tenant,
                    struct bv_bytes customer_id,
                    struct bv_bytes key,
                    order_key_done *done,
                    void *argument);
    int (*load)(struct order_store *self,
                struct bv_bytes tenant,
                struct bv_bytes order_id,
                struct bv_bytes inbox_event_id,
                order_rows_done *done,
                void *argument);
    int (*list)(struct order_store *self,
                const struct order_list_query *query,
                order_rows_done *done,
                void *argument);
    /* PENDING orders that were placed at or after from_us and before before_us, oldest first: by
     * the clock of the service, which stamps them. */
    int (*pending)(struct order_store *self,
                   int64_t from_us,
                   int64_t before_us,
                   int64_t limit,
                   order_rows_done *done,
                   void *argument);
    int (*tasks)(struct order_store *self,
                 int64_t age_ms,
                 int64_t limit,
                 order_tasks_done *done,
                 void *argument);
    int (*task_clear)(struct order_store *self,
                      struct bv_bytes order_id,
                      enum order_stock_task task,
                      order_batch_done *done,
                      void *argument);
    /* Forgets idempotency keys and inbox rows older than their retention, at most
     * ORDER_FORGET_MAX of each, so that one call never outlasts its deadline. Outcome:
     * ORDER_FORGET_MORE: there may be more. */
    int (*forget)(struct order_store *self,
                  int64_t key_age_ms,
                  int64_t inbox_age_ms,
                  order_batch_done *done,
                  void *argument);
    bool (*ready)(struct order_store *self);
    void (*release)(struct order_store **self);
};
struct order_store {
    const struct order_store_ops *ops;
};

struct bv_outbox_relay;
/* committed(argument) runs after each commit that wrote outbox rows: kick the relay there. */
BV_MUST_CHECK int order_store_pg_open(struct bv_loop *loop,
                                      const struct bv_pg_config *config,
                                      struct bv_metrics *metrics,
                                      void (*committed)(void *argument),
                                      void *argument,
                                      struct order_store **ret_store);

/* The pool of a store that order_store_pg_open made, for what lives in the same database. */
struct bv_pg *order_store_pg_pool(struct order_store *store);

#endif
