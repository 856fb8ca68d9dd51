/* Loopback ports and the plainest probes: which ports are free, does somebody accept, what does GET
 * answer. Invariant: nothing here waits past its deadline. All calls block: never on a loop thread.
 * Thread: any. */
#ifndef BV_PROBE_H
#define BV_PROBE_H

#include "bv/bytes.h"

/* Listeners live below the ports that the kernel hands to clients, so that no client can sit on
 * one. */
enum { BV_PORT_MIN = 10000, BV_PORT_BELOW = 32768 };

/* Whether 127.0.0.1:port can be bound now. */
bool bv_port_free(uint16_t port);

/* A random free port in BV_PORT_MIN..BV_PORT_BELOW-1 (or below the kernel's own client range when
 * that begins lower) that is none of the taken ones. Only a probe: the server may still lose the
 * race, retry then. Errors: BV_E_LIMIT after 1000 tries. */
BV_MUST_CHECK int
bv_port_pick(const uint16_t *taken, size_t count, uint16_t *ret_port, struct bv_error *error);

/* Connects to 127.0.0.1:port, trying again until deadline_ms (bv_now_ms clock). *ret_fd is the
 * caller's; NULL: closed at once. Errors: BV_E_TIMEOUT. */
BV_MUST_CHECK int
bv_port_await(uint16_t port, int64_t deadline_ms, int *ret_fd, struct bv_error *error);

/* One GET of path from 127.0.0.1:port over HTTP/1.1; *ret_status is the status code, body (may be
 * NULL) receives at most body->max bytes of the answer's body. Errors: BV_E_UNAVAILABLE (nobody
 * accepts), BV_E_TIMEOUT, BV_E_PROTOCOL. */
BV_MUST_CHECK int bv_http_probe(uint16_t port,
                                const char *path,
                                int64_t deadline_ms,
                                int *ret_status,
                                struct bv_buf *body,
                                struct bv_error *error);

int64_t bv_now_ms(void);   /* monotonic milliseconds */
void bv_retry_pause(void); /* the short pause between two tries of a probe: 5 ms */

#endif
