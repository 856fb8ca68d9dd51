/* The listening socket of a server. The core's own stops listening for ever once the process is out
 * of descriptors; this one pauses and goes on. Thread: loop. */
#ifndef BV_GRPC_LISTENER_H
#define BV_GRPC_LISTENER_H

#include "bv/loop.h"

struct rpc_listener;

/* Binds, listens, and hands over each connection that comes: a non-blocking descriptor, which is
 * arrived's from then on.
 * Ranges: host a numeric address or a name, of IPv4 or IPv6; port 0: any free one.
 * Errors: BV_E_UNAVAILABLE when the address cannot be bound; BV_E_NOMEM, BV_E_IO. */
BV_MUST_CHECK int rpc_listener_open(struct bv_loop *loop,
                                    const char *host,
                                    int64_t port,
                                    void (*arrived)(void *argument, int fd),
                                    void *argument,
                                    struct rpc_listener **ret_listener);
int rpc_listener_port(const struct rpc_listener *listener);
void rpc_listener_close(struct rpc_listener **listener); /* not within arrived */

#endif
