/* Where a consumer keeps its parked keys across restarts and rebalances. A vtable, and the one on
 * PostgreSQL. Invariant: a key is stored before its poison is acknowledged, so whoever owns the
 * partition next finds it. Thread: loop. */
#ifndef BV_PARKED_H
#define BV_PARKED_H

#include "bv/pg.h"

typedef void bv_parked_done(void *argument, int rc);
typedef void bv_parked_key(void *argument, struct bv_bytes topic, struct bv_bytes key);
struct bv_parked_store {
    /* Calls each for every key of the group, then done. Callbacks never come from within. */
    int (*load)(struct bv_parked_store *self,
                const char *group,
                bv_parked_key *each,
                bv_parked_done *done,
                void *argument);
    int (*park)(struct bv_parked_store *self,
                const char *group,
                struct bv_bytes topic,
                struct bv_bytes key,
                bv_parked_done *done,
                void *argument);
    int (*release)(struct bv_parked_store *self,
                   const char *group,
                   struct bv_bytes topic,
                   struct bv_bytes key,
                   bv_parked_done *done,
                   void *argument);
};

/* On the service's own pool, which is borrowed. Table (the service's migration creates it):
 *   CREATE TABLE parked_keys (consumer text NOT NULL, topic text NOT NULL, partition_key text NOT
 * NULL, parked_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, topic,
 * partition_key)); Close it after the consumers that use it and after the pool. */
BV_MUST_CHECK int bv_parked_pg_open(struct bv_pg *pg, struct bv_parked_store **ret_store);
void bv_parked_pg_close(struct bv_parked_store **store);

#endif
