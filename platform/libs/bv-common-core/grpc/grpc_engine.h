/* One completion queue, the thread that polls it, and the way of its events to the loop.
 *
 *     core ──► polling thread ──► list ──(one wake-up per batch)──► loop ──► event->run
 *
 * Whatever arrived while the loop was busy is delivered by one wake-up. Invariant: `outstanding`
 * counts started operations whose event has not run; the queue is shut down only at zero, because
 * the core aborts the process otherwise. Thread: loop, apart from the polling thread inside. */
#ifndef BV_GRPC_ENGINE_H
#define BV_GRPC_ENGINE_H

#include "bv/loop.h"
#include <grpc/grpc.h>
#include <stdatomic.h>

struct rpc_event { /* embedded in what waits; given to the core as tag */
    void (*run)(struct rpc_event *event, bool ok);
    struct rpc_event *next;
    bool ok;
    atomic_bool handed; /* pairs loop and polling thread in our own code too, for who cannot look
                           into the core (the thread sanitizer) */
};
struct rpc_engine;

/* Initialises the core on first use.
 * Errors: BV_E_NOMEM, BV_E_INTERNAL when no thread can be started. */
BV_MUST_CHECK int rpc_engine_open(struct bv_loop *loop, struct rpc_engine **ret_engine);
void rpc_engine_drain(struct rpc_engine *engine); /* runs events, blocking, until none is
                                                     outstanding; not inside an event */
/* Drains, then joins the thread. */
void rpc_engine_close(struct rpc_engine **engine);
grpc_completion_queue *rpc_engine_queue(struct rpc_engine *engine);
/* One operation with that event is about to be handed to the core. */
void rpc_engine_starts(struct rpc_engine *engine, struct rpc_event *event);
/* Starts a batch whose completion runs event. A refusal is our own mistake and asserts. */
void rpc_engine_batch(struct rpc_engine *engine,
                      grpc_call *call,
                      const grpc_op *ops,
                      size_t count,
                      struct rpc_event *event);

#endif
