/* The live hub: WebSocket and SSE clients by user, each of which gets its user's messages exactly
 * once and in sequence.
 *
 * Every client has a cursor, the last sequence it was sent, and takes message n only when its
 * cursor is n - 1. So there is nothing to buffer and no moment of joining: what a commit of this
 * process or a page of the store brings is offered to all clients of the user, and whoever is
 * further behind makes the user be read from the store again, after the lowest cursor. A client
 * that has just come is one that is behind; one whose cursor lies outside what is kept gets a reset
 * with a snapshot first. Commits of other replicas come as hints (see notification_listen.h); after
 * a lost connection all users are read again. Slow clients: one that is up to date and whose queue
 * is full is closed (1013); one that catches up is sent no more than half its queue at a time, and
 * is closed by the server's write timeout when nothing moves. Thread: loop. */
#ifndef NOTIFICATION_HUB_H
#define NOTIFICATION_HUB_H

#include "bv/http.h"
#include "notification_store.h"

struct notification_hub;
struct notification_hub_config {
    int64_t queue_bytes; /* of one client */
    int64_t clients_per_user;
    int64_t heartbeat_ms;
    int64_t keep_count; /* messages kept per user: older ones are trimmed at commit */
};
/* Ownership: loop, store, log and metrics are borrowed for the hub's life; log may be NULL; config
 * is copied. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int notification_hub_open(struct bv_loop *loop,
                                        const struct notification_hub_config *config,
                                        struct notification_store *store,
                                        struct bv_log *log,
                                        struct bv_metrics *metrics,
                                        struct notification_hub **ret_hub);
/* After the HTTP server has closed its streams, or it forgets them: their callbacks are harmless
 * afterwards. Before the store. */
void notification_hub_close(struct notification_hub **hub);

enum notification_transport { NOTIFICATION_SSE, NOTIFICATION_WEBSOCKET };
struct notification_join {
    enum notification_transport transport;
    int64_t cursor;       /* of notification_cursor */
    int64_t expires_at_s; /* wall clock: closed (1008) then; 0: never */
};
/* Turns the request into a live client of its principal, at once, or, without a cursor, when it is
 * known what "now" is. The request is not used afterwards.
 * Errors: BV_E_LIMIT (clients of that user), BV_E_NOMEM, those of the store, and those of the
 * handshake, answered already. What comes later is answered here. */
BV_MUST_CHECK int notification_hub_join(struct notification_hub *hub,
                                        struct bv_http_request *request,
                                        const struct notification_join *join,
                                        struct bv_error *error);

/* A message that this process committed. */
void notification_hub_offer(struct notification_hub *hub,
                            struct bv_bytes tenant,
                            struct bv_bytes user_id,
                            const struct notification_live *live);
/* Some replica committed up to that sequence; sequences that were offered or read already change
 * nothing. */
void notification_hub_hint(struct notification_hub *hub, const struct notification_hint *hint);
/* Hints may have been missed. */
void notification_hub_resync(struct notification_hub *hub);
size_t notification_hub_clients(const struct notification_hub *hub);

#endif
