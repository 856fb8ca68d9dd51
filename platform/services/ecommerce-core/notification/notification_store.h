/* Persistence of the notification service: its own operations, not SQL, as a vtable; Postgres
 * implements it. Every operation is one transaction. Completions run on the loop thread, exactly
 * once, never from within the call; everything given to them lives for their duration. What a call
 * is given is copied. Faults as in bv/pg.h; a call that returns one never completes. Thread: loop.
 */
#ifndef NOTIFICATION_STORE_H
#define NOTIFICATION_STORE_H

#include "notification_core.h"
#include "bv/pg.h"
#include "bv/uuid.h"

struct notification_event { /* one transition of an order, as told by ecommerce.orders */
    struct bv_bytes event_id, tenant, user_id, order_id; /* ids in canonical form */
    int64_t version;
    struct bv_bytes type, occurred_at, traceparent, correlation_id;
    struct bv_bytes data; /* the order, one JSON object */
};
/* sequences[i] belongs to events[i]; 0: it was known already and nothing was done. deliveries: rows
 * that were added. */
struct notification_taken {
    const int64_t *sequences;
    size_t count;
    int64_t deliveries;
};
typedef void notification_taken_done(void *argument,
                                     int rc,
                                     const struct notification_taken *taken,
                                     const struct bv_error *error);

struct notification_page { /* messages after the cursor, in order; first..last are kept (first ==
                              last + 1: none) */
    int64_t first, last;
    const struct notification_live *rows;
    size_t count;
};
typedef void notification_page_done(void *argument,
                                    int rc,
                                    const struct notification_page *page,
                                    const struct bv_error *error);
struct notification_snapshot {
    int64_t last;
    struct bv_bytes orders; /* JSON objects with commas between, newest first */
};
typedef void notification_snapshot_done(void *argument,
                                        int rc,
                                        const struct notification_snapshot *snapshot,
                                        const struct bv_error *error);

struct notification_webhook {
    struct bv_bytes webhook_id, tenant, owner, url;
    struct bv_bytes event_types; /* JSON array */
    struct bv_bytes description; /* BV_BYTES_NONE: none */
    struct bv_bytes secret;      /* insert only */
    struct bv_bytes created_at;  /* read only */
    struct bv_bytes disabled_at; /* read only; BV_BYTES_NONE: enabled */
};
/* count 0: not found, or not the owner's. Inserting: BV_E_LIMIT when the owner has per_owner_max
 * already. */
typedef void notification_webhooks_done(void *argument,
                                        int rc,
                                        const struct notification_webhook *rows,
                                        size_t count,
                                        const struct bv_error *error);

struct notification_delivery_row {
    int64_t number; /* page cursor */
    struct bv_bytes delivery_id, type, order_id;
    int64_t version;
    struct bv_bytes state, created_at, next_attempt_at;
    struct bv_bytes attempts; /* JSON array */
};
/* known: the subscription is there and the owner's. */
typedef void notification_deliveries_done(void *argument,
                                          int rc,
                                          bool known,
                                          const struct notification_delivery_row *rows,
                                          size_t count,
                                          const struct bv_error *error);

struct notification_owner {
    struct bv_bytes tenant, owner;
};

struct notification_busy { /* attempts of this process under way, per subscription */
    struct bv_bytes webhook_id;
    int64_t count;
};
struct notification_claim {
    int64_t limit;
    int64_t each_max;
    int64_t lease_ms; /* another worker may take it after that */
    const struct notification_busy *busy;
    size_t busy_count;
};
struct notification_claimed {
    int64_t number, attempt; /* attempt counts from 1 and fences the end */
    struct bv_bytes webhook_id, delivery_id, url, secret;
    struct bv_bytes type, occurred_at, traceparent, correlation_id, data;
    int64_t age_ms; /* since the transition was taken in */
};
/* next_due_ms: until the next one becomes due, -1: none waits for a time. */
typedef void notification_claimed_done(void *argument,
                                       int rc,
                                       const struct notification_claimed *rows,
                                       size_t count,
                                       int64_t next_due_ms,
                                       const struct bv_error *error);
struct notification_ended {
    int64_t number, attempt;
    struct bv_bytes webhook_id;
    struct notification_step step; /* of notification_deliver, from SENDING */
    int64_t delay_ms;              /* of BACK_OFF */
    struct bv_bytes log; /* the attempt, JSON object as in the contract; BV_BYTES_NONE: none was
                            made (lease returned) */
};
typedef void notification_store_done(void *argument, int rc, const struct bv_error *error);

struct notification_retention {
    int64_t live_ms, orders_ms, deliveries_ms, inbox_ms;
};

struct notification_store {
    const struct notification_store_ops *ops;
};
struct notification_store_ops {
    /* One transaction for all: ids into the inbox, the next sequence of each user, messages,
     * snapshot, a delivery per matching subscription, and a hint to every replica (channel "live").
     * Events of one user get their sequences in the order given. */
    int (*take)(struct notification_store *self,
                const struct notification_event *events,
                size_t count,
                notification_taken_done *done,
                void *argument);
    int (*page)(struct notification_store *self,
                struct bv_bytes tenant,
                struct bv_bytes user_id,
                int64_t after,
                int64_t limit,
                notification_page_done *done,
                void *argument);
    int (*snapshot)(struct notification_store *self,
                    struct bv_bytes tenant,
                    struct bv_bytes user_id,
                    int64_t bytes_max,
                    notification_snapshot_done *done,
                    void *argument);
    /* Drops a user's messages up to and with that sequence. done may be NULL. */
    int (*trim)(struct notification_store *self,
                struct bv_bytes tenant,
                struct bv_bytes user_id,
                int64_t through);

    int (*webhook_insert)(struct notification_store *self,
                          const struct notification_webhook *webhook,
                          int64_t per_owner_max,
                          notification_webhooks_done *done,
                          void *argument);
    /* Newest first, those before the cursor (BV_BYTES_NONE: from the newest). */
    int (*webhook_list)(struct notification_store *self,
                        struct notification_owner owner,
                        struct bv_bytes before,
                        int64_t limit,
                        notification_webhooks_done *done,
                        void *argument);
    int (*webhook_get)(struct notification_store *self,
                       struct notification_owner owner,
                       struct bv_bytes webhook_id,
                       notification_webhooks_done *done,
                       void *argument);
    /* One row of which only webhook_id is filled, or none. Its deliveries go with it. */
    int (*webhook_delete)(struct notification_store *self,
                          struct notification_owner owner,
                          struct bv_bytes webhook_id,
                          notification_webhooks_done *done,
                          void *argument);
    int (*delivery_list)(struct notification_store *self,
                         struct notification_owner owner,
                         struct bv_bytes webhook_id,
                         int64_t before,
                         int64_t limit,
                         notification_deliveries_done *done,
                         void *argument);

    /* Leases deliveries that are due: per order and subscription only the earliest that is PENDING.
     */
    int (*claim)(struct notification_store *self,
                 const struct notification_claim *claim,
                 notification_claimed_done *done,
                 void *argument);
    /* Writes what became of an attempt. A lease that was lost meanwhile makes it nothing. */
    int (*ended)(struct notification_store *self,
                 const struct notification_ended *ended,
                 notification_store_done *done,
                 void *argument);
    int (*sweep)(struct notification_store *self,
                 const struct notification_retention *retention,
                 notification_store_done *done,
                 void *argument);
    bool (*ready)(struct notification_store *self);
    void (*release)(struct notification_store **self);
};

/* pg is borrowed and closed before the store is released. */
BV_MUST_CHECK int notification_store_pg_open(struct bv_pg *pg,
                                             struct notification_store **ret_store);

#endif
