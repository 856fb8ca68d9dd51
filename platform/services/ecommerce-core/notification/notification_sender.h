/* Webhook deliveries: takes what is due from the store, signs and posts it, writes down how it
 * went. Guarantee: at least once; per subscription and order in version order: a later transition
 * waits until the earlier one is DELIVERED or FAILED. A delivery is leased while it is under way,
 * so any replica goes on with what a dead one had once the lease ends (the timeout and 2 s); a
 * replica that stops hands its leases back. Policy: linear backoff (base, 2 base, 3 base ...),
 * longer where 429 or 503 asks for it by Retry-After, up to attempts, then FAILED. 2xx accepts; 410
 * ends the subscription; redirects are not followed; answers over 64 KiB count as failures.
 * Bulkheads: concurrency in all, concurrency_each per subscription; what is over waits in the
 * store. Delays: none on the good path (kick after commit, and after each end); otherwise a timer
 * for the next due time, and a look every second for what other replicas left. Thread: loop.
 * Source: Standard Webhooks 1.0.0. */
#ifndef NOTIFICATION_SENDER_H
#define NOTIFICATION_SENDER_H

#include "bv/httpc.h"
#include "bv/log.h"
#include "bv/metrics.h"
#include "bv/resilience.h"
#include "notification_store.h"

struct notification_sender;
struct notification_sender_config {
    int64_t backoff_base_ms;
    int64_t attempts;
    int64_t timeout_ms;
    int64_t concurrency;
    int64_t concurrency_each;
    enum notification_private privacy;
};
/* Owns its HTTP client: partners must not use up the connections of other calls. Ownership: loop,
 * store, log, metrics and spans are borrowed for its life; log, metrics and spans may be NULL;
 * config is copied. Errors: BV_E_NOMEM, BV_E_INVALID. */
BV_MUST_CHECK int notification_sender_open(struct bv_loop *loop,
                                           const struct notification_sender_config *config,
                                           struct notification_store *store,
                                           struct bv_log *log,
                                           struct bv_metrics *metrics,
                                           struct bv_span_sink *spans,
                                           struct notification_sender **ret_sender);
void notification_sender_start(struct notification_sender *sender); /* begins to look */
void notification_sender_kick(
    struct notification_sender *sender); /* something may be due; NULL: nothing */
/* Takes nothing more; what is under way after patience_ms is cancelled and its leases are handed
 * back; then calls stopped, once. */
void notification_sender_stop(struct notification_sender *sender,
                              int64_t patience_ms,
                              void (*stopped)(void *argument),
                              void *argument);
/* After the store's calls have ended. Attempts under way are forgotten; their leases run out. */
void notification_sender_close(struct notification_sender **sender);

#endif
