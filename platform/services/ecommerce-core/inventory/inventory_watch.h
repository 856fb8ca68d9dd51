/* Watch streams: a snapshot, then every change of each SKU in version order without a gap, at the
 * reader's pace. The ledger is the truth: changes of this replica are sent as they commit;
 * whenever a version is skipped, known from elsewhere (an event of another replica) or the reader
 * is slow, the missing ones are read from the ledger. So no change is lost, and no queue grows.
 * Invariant: per watcher and SKU the versions sent are consecutive.
 * Thread: loop. */
#ifndef INVENTORY_WATCH_H
#define INVENTORY_WATCH_H

#include "bv/grpc.h"
#include "inventory_store.h"

struct inventory_watches;
/* metrics may not be NULL; all borrowed. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int inventory_watches_open(struct inventory_store *store,
                                         const struct bv_env *env,
                                         struct bv_metrics *metrics,
                                         size_t watchers_max,
                                         struct inventory_watches **ret_watches);
/* Takes over the call. No SKUs: all of the tenant, new ones too. tenant and skus live as long as
 * the call.
 * Errors (the call is then still the caller's): BV_E_LIMIT past watchers_max, BV_E_NOMEM, those
 * of the store. */
BV_MUST_CHECK int inventory_watches_add(struct inventory_watches *watches,
                                        struct bv_grpc_call *call,
                                        struct bv_bytes tenant,
                                        const struct bv_bytes *skus,
                                        size_t count);
void inventory_watches_committed(struct inventory_watches *watches,
                                 const struct inventory_change *changes,
                                 size_t count);
/* A version was seen elsewhere; what is missing up to it is read from the ledger. */
void inventory_watches_seen(struct inventory_watches *watches,
                            struct inventory_key sku,
                            int64_t version);
/* After a row of inventory_watches_seen. */
void inventory_watches_pump(struct inventory_watches *watches);
/* After the store's calls have ended; streams that are left are ended with UNAVAILABLE. */
void inventory_watches_close(struct inventory_watches **watches);

#endif
