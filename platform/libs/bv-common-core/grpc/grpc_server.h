/* What the parts of the server share: methods, slots that wait for a call, calls, health and
 * reflection. Life of a call: slot (armed in the core) -> call_begin -> handler holds it -> ended
 * (status decided) -> settled (no event pending, no hold) -> freed or kept as a spare.
 * Thread: loop. */
#ifndef BV_GRPC_SERVER_H
#define BV_GRPC_SERVER_H

#include "bv/grpc.h"
#include "grpc_engine.h"
#include "grpc_listener.h"
#include "grpc_wire.h"

#define STATUS_COUNT 17 /* OK to UNAUTHENTICATED */

/* SINGLE: one request message; EACH: the handler runs for every message of a bidirectional
 * stream, and the next is read when the answers to the former have left (flow control); the
 * stream ends with OK at the client's half-close. */
enum rpc_reading { RPC_READ_SINGLE, RPC_READ_EACH };
struct rpc_method {
    const struct bv_grpc_method *row; /* borrowed */
    void *context;
    enum rpc_reading reading;
    void *registered; /* the core's handle */
    struct bv_series *seconds;
    struct bv_series *by_status[STATUS_COUNT];
};
struct rpc_health;
struct rpc_reflection;
struct rpc_slot;

struct bv_grpc_server {
    struct bv_grpc_server_config config;
    struct bv_grpc_deps deps;
    struct rpc_engine *engine;         /* owned */
    struct rpc_health *health;         /* owned */
    struct rpc_reflection *reflection; /* owned, NULL: none */
    struct rpc_method *methods;        /* owned; address fixed from start on */
    size_t method_count;
    grpc_server *core;             /* owned; NULL before start */
    struct rpc_listener *listener; /* owned; NULL before start and from the drain on */
    struct rpc_slot *slots;        /* owned array */
    size_t slot_count;
    struct bv_timer *sweep;     /* owned; deadlines */
    struct bv_timer *limit;     /* owned; of the drain */
    struct bv_grpc_call *calls; /* list of all live calls */
    struct bv_grpc_call *spare; /* list, at most SPARE_MAX */
    size_t call_count;
    size_t each_count; /* of them, those that read one message after the other */
    size_t spare_count;
    struct rpc_event shutdown;
    bool shutdown_started;
    bool shutdown_done;
    void (*drained)(void *argument);
    void *drained_argument;
    int port;
    struct bv_series *late;
    struct bv_series *refused;
};

/* Adds one row; used by the public table function, health and reflection. BV_E_INVALID,
 * BV_E_EXISTS, BV_E_NOMEM. */
BV_MUST_CHECK int rpc_server_add(struct bv_grpc_server *server,
                                 const struct bv_grpc_method *row,
                                 enum rpc_reading reading,
                                 void *context);
/* Whether any row belongs to the service of that name; "" always. */
bool rpc_server_knows(const struct bv_grpc_server *server, struct bv_bytes service);
/* Checks whether the drain is complete. */
void rpc_server_progress(struct bv_grpc_server *server);

static inline void rpc_count(struct bv_series *series)
{
    if (series)
        bv_count(series, 1);
}

/* What a slot received; call_begin takes ownership of all of it. */
struct rpc_incoming {
    struct rpc_method *method; /* NULL: none of that path */
    grpc_call *core;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload; /* NULL: none came */
    gpr_timespec deadline;
};
void rpc_call_begin(struct bv_grpc_server *server, struct rpc_incoming *incoming);
/* Ends the hold (cancelled runs) and the call with a status. Does nothing to a call that ended
 * before. */
void rpc_call_cut(struct bv_grpc_call *call, int code, const char *text);
void rpc_calls_sweep(struct bv_grpc_server *server); /* deadlines */
void rpc_calls_cut_streams(struct bv_grpc_server *server);
void rpc_calls_forget(struct bv_grpc_server *server); /* at close: no hold counts any more */
void rpc_calls_release_spare(struct bv_grpc_server *server);

BV_MUST_CHECK int rpc_health_open(struct bv_grpc_server *server, struct rpc_health **ret_health);
void rpc_health_close(struct rpc_health **health);
void rpc_health_set(struct rpc_health *health, enum bv_grpc_health state);

BV_MUST_CHECK int rpc_reflection_open(struct bv_grpc_server *server,
                                      struct rpc_reflection **ret_reflection);
BV_MUST_CHECK int rpc_reflection_add(struct rpc_reflection *reflection,
                                     struct bv_bytes descriptor_set);
void rpc_reflection_close(struct rpc_reflection **reflection);

#endif
