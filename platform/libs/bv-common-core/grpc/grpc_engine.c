#include "grpc_engine.h"

#include <grpc/support/log.h>
#include <pthread.h>
#include <stdlib.h>

struct rpc_engine {
    grpc_completion_queue *queue; /* owned */
    struct bv_wake *wake;         /* owned */
    pthread_t thread;
    size_t outstanding; /* loop thread only */
    bool running;       /* the thread was started */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t arrived;
    struct rpc_event *head;
    struct rpc_event **tail;
};

/* The core would write lines of its own to stderr, among our JSON lines; what matters comes back as
 * a status. */
static void core_is_silent(gpr_log_func_args *args)
{
    (void)args;
}

static struct rpc_event *engine_take(struct rpc_engine *engine)
{
    struct rpc_event *events = engine->head;
    engine->head = NULL;
    engine->tail = &engine->head;
    return events;
}

static void engine_run(struct rpc_engine *engine, struct rpc_event *events)
{
    while (events) {
        struct rpc_event *event = events;
        events = event->next; /* before run: it may free or reuse the event */
        engine->outstanding--;
        event->run(event, event->ok);
    }
}

static void engine_deliver(void *argument)
{
    struct rpc_engine *engine = argument;
    pthread_mutex_lock(&engine->lock);
    struct rpc_event *events = engine_take(engine);
    pthread_mutex_unlock(&engine->lock);
    engine_run(engine, events);
}

static void engine_push(struct rpc_engine *engine, struct rpc_event *event)
{
    pthread_mutex_lock(&engine->lock);
    bool first = !engine->head;
    event->next = NULL;
    *engine->tail = event;
    engine->tail = &event->next;
    pthread_cond_signal(&engine->arrived);
    pthread_mutex_unlock(&engine->lock);
    if (first)
        bv_wake_send(engine->wake);
}

static void *engine_poll(void *argument)
{
    struct rpc_engine *engine = argument;
    for (;;) {
        grpc_event got =
            grpc_completion_queue_next(engine->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (got.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct rpc_event *event = got.tag;
        (void)atomic_load_explicit(&event->handed, memory_order_acquire);
        event->ok = got.success != 0;
        engine_push(engine, event);
    }
}

int rpc_engine_open(struct bv_loop *loop, struct rpc_engine **ret_engine)
{
    struct rpc_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return BV_E_NOMEM;
    engine->tail = &engine->head;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->arrived, NULL);
    gpr_set_log_function(core_is_silent);
    grpc_init();
    engine->queue = grpc_completion_queue_create_for_next(NULL);
    int rc = bv_wake_open(loop, engine_deliver, engine, &engine->wake);
    if (rc == 0) {
        engine->running = pthread_create(&engine->thread, NULL, engine_poll, engine) == 0;
        rc = engine->running ? 0 : BV_E_INTERNAL;
    }
    if (rc < 0) {
        rpc_engine_close(&engine);
        return rc;
    }
    pthread_setname_np(engine->thread, "bv-grpc");
    *ret_engine = engine;
    return 0;
}

void rpc_engine_drain(struct rpc_engine *engine)
{
    while (engine->outstanding > 0) {
        pthread_mutex_lock(&engine->lock);
        while (!engine->head)
            pthread_cond_wait(&engine->arrived, &engine->lock);
        struct rpc_event *events = engine_take(engine);
        pthread_mutex_unlock(&engine->lock);
        engine_run(engine, events);
    }
}

void rpc_engine_close(struct rpc_engine **engine_at)
{
    struct rpc_engine *engine = *engine_at;
    if (!engine)
        return;
    *engine_at = NULL;
    rpc_engine_drain(engine);
    grpc_completion_queue_shutdown(engine->queue);
    if (engine->running)
        pthread_join(engine->thread, NULL);
    grpc_completion_queue_destroy(engine->queue);
    grpc_shutdown_blocking();
    bv_wake_close(&engine->wake); /* after the thread, which sends it */
    pthread_cond_destroy(&engine->arrived);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

grpc_completion_queue *rpc_engine_queue(struct rpc_engine *engine)
{
    return engine->queue;
}

void rpc_engine_starts(struct rpc_engine *engine, struct rpc_event *event)
{
    engine->outstanding++;
    atomic_store_explicit(&event->handed, true, memory_order_release);
}

void rpc_engine_batch(struct rpc_engine *engine,
                      grpc_call *call,
                      const grpc_op *ops,
                      size_t count,
                      struct rpc_event *event)
{
    rpc_engine_starts(engine, event);
    grpc_call_error rc = grpc_call_start_batch(call, ops, count, event, NULL);
    if (rc != GRPC_CALL_OK)
        abort(); /* a batch that the core refuses is a bug here: continuing would leak the call
                    silently */
}
