/* What other replicas committed: one connection that LISTENs on channel "live" and hands on each
 * payload. Invariant: whatever may have been missed is announced: after every (re)connection
 * `missed` is called, before any further payload. A silent connection is asked every 5 s and
 * replaced when it does not answer by the next time. Thread: loop. Source: PostgreSQL 15, 34.9
 * "Asynchronous Notification". */
#ifndef NOTIFICATION_LISTEN_H
#define NOTIFICATION_LISTEN_H

#include "bv/log.h"
#include "bv/loop.h"

struct notification_listen;
struct notification_listen_events {
    void (*hint)(void *argument, struct bv_bytes payload);
    void (*missed)(void *argument);
    void *argument;
};
/* Begins to connect. Ownership: conninfo and log are borrowed until close, events are copied.
 * Errors: BV_E_NOMEM and those of timers; a server that is away is none: it is tried again, 50 ms
 * to 2 s apart. */
BV_MUST_CHECK int notification_listen_open(struct bv_loop *loop,
                                           const char *conninfo,
                                           struct bv_log *log,
                                           const struct notification_listen_events *events,
                                           struct notification_listen **ret_listen);
bool notification_listen_ready(const struct notification_listen *listen); /* LISTEN is in effect */
void notification_listen_close(struct notification_listen **listen);

#endif
