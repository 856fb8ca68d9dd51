/* gRPC server and client: gRPC C core with protobuf-c messages. A polling thread per completion queue hands everything to the loop, so
 * handlers and callbacks run on the loop thread like all else. Deadlines, metadata (traceparent, correlation-id), the standard health service and server
 * reflection are built in. Shutdown drains calls first (the core aborts otherwise). Thread: loop. */
#ifndef BV_GRPC_H
#define BV_GRPC_H

#include "bv/arena.h"
#include "bv/log.h"
#include "bv/loop.h"
#include "bv/metrics.h"
#include "bv/trace.h"
#include <protobuf-c/protobuf-c.h>

struct bv_grpc_server;
struct bv_grpc_call; /* one call being served; valid until its reply or status was sent and `gone` ran */

/* Called with the decoded request (lives in the call's arena). Answer now or later with bv_grpc_reply / bv_grpc_fail; streams: bv_grpc_stream_send, then bv_grpc_stream_end.
 * Returning a fault answers with the status of the error table. */
typedef int bv_grpc_handler(struct bv_grpc_call *call, const ProtobufCMessage *request, void *context, struct bv_error *error);
enum bv_grpc_shape { BV_GRPC_UNARY, BV_GRPC_SERVER_STREAM };
struct bv_grpc_method {
    const char *path; /* "/bitvelocity.inventory.v1.Inventory/Reserve" */
    enum bv_grpc_shape shape;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    bv_grpc_handler *handler;
    const char *scope; /* as in HTTP routes; NULL: public */
    int64_t timeout_ms; /* cap on the caller's deadline; 0: none (streams) */
};
struct bv_grpc_server_config {
    const char *host;
    int64_t port; /* 0: any */
    int64_t calls_max; /* RESOURCE_EXHAUSTED past it */
    int64_t message_bytes_max;
};
struct bv_grpc_deps {
    struct bv_loop *loop;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct bv_span_sink *spans;
    uint32_t trace_sample_per_million;
};
BV_MUST_CHECK int bv_grpc_server_open(const struct bv_grpc_server_config *config, const struct bv_grpc_deps *deps, struct bv_grpc_server **ret_server);
BV_MUST_CHECK int bv_grpc_server_methods(struct bv_grpc_server *server, const struct bv_grpc_method *rows, size_t count, void *context);
/* File descriptor sets for reflection (protoc --descriptor_set_out --include_imports); may be called more than once. */
BV_MUST_CHECK int bv_grpc_server_reflection(struct bv_grpc_server *server, struct bv_bytes descriptor_set);
BV_MUST_CHECK int bv_grpc_server_start(struct bv_grpc_server *server, struct bv_error *error);
int bv_grpc_server_port(const struct bv_grpc_server *server);
void bv_grpc_server_serving(struct bv_grpc_server *server, bool serving); /* what health answers */
void bv_grpc_server_drain(struct bv_grpc_server *server, int64_t deadline_ms, void (*drained)(void *argument), void *argument);
void bv_grpc_server_close(struct bv_grpc_server **server);

struct bv_arena *bv_grpc_arena(struct bv_grpc_call *call);
const struct bv_trace *bv_grpc_trace(const struct bv_grpc_call *call);
int64_t bv_grpc_deadline_ms(const struct bv_grpc_call *call); /* monotonic, 0 none */
struct bv_bytes bv_grpc_metadata(const struct bv_grpc_call *call, const char *key);
BV_MUST_CHECK int bv_grpc_reply(struct bv_grpc_call *call, const ProtobufCMessage *reply);
BV_MUST_CHECK int bv_grpc_fail(struct bv_grpc_call *call, int code, const struct bv_error *error);
/* Streams: bounded queue of 256 messages, BV_E_LIMIT ends the stream with RESOURCE_EXHAUSTED. cancelled runs once when the peer leaves or the deadline passes. */
void bv_grpc_stream_on_cancel(struct bv_grpc_call *call, void (*cancelled)(void *argument, struct bv_grpc_call *call), void *argument);
BV_MUST_CHECK int bv_grpc_stream_send(struct bv_grpc_call *call, const ProtobufCMessage *message);
void bv_grpc_stream_end(struct bv_grpc_call *call, int code, const char *text);

/* Client. One channel per target; concurrent calls share it; it reconnects by itself. */
struct bv_grpc_client;
struct bv_grpc_client_config {
    const char *target; /* "127.0.0.1:9090" */
    int64_t calls_max;
    int64_t message_bytes_max;
};
BV_MUST_CHECK int bv_grpc_client_open(struct bv_loop *loop, const struct bv_grpc_client_config *config, struct bv_grpc_client **ret_client);
void bv_grpc_client_close(struct bv_grpc_client **client); /* calls in flight end with BV_E_CANCELLED, before it returns */
struct bv_grpc_request {
    const char *path;
    const ProtobufCMessage *message;
    const ProtobufCMessageDescriptor *reply;
    int64_t timeout_ms; /* > 0 for unary */
    const struct bv_trace *trace;
    struct bv_bytes correlation_id;
    struct bv_bytes authorization; /* "Bearer ..." or NONE */
};
/* rc 0 with reply (for the duration of the call). Otherwise the BV_E_ code of the status: UNAVAILABLE, DEADLINE_EXCEEDED -> BV_E_TIMEOUT, ... */
typedef void bv_grpc_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error);
BV_MUST_CHECK int bv_grpc_send(struct bv_grpc_client *client, const struct bv_grpc_request *request, bv_grpc_done *done, void *argument);
/* Server stream: message runs for each reply; done (reply NULL) once at the end. Cancel with bv_grpc_stream_cancel. */
struct bv_grpc_stream;
BV_MUST_CHECK int bv_grpc_stream_open(struct bv_grpc_client *client, const struct bv_grpc_request *request,
                                      void (*message)(void *argument, const ProtobufCMessage *reply), bv_grpc_done *done, void *argument,
                                      struct bv_grpc_stream **ret_stream);
void bv_grpc_stream_cancel(struct bv_grpc_stream *stream);

/* protobuf <-> JSON over descriptors (proto3 JSON mapping: lowerCamelCase names, enums by name, int64 as strings, bytes base64). */
BV_MUST_CHECK int bv_pb_from_json(struct bv_arena *arena, const ProtobufCMessageDescriptor *type, struct bv_bytes json, ProtobufCMessage **ret_message,
                                  struct bv_error *error);
int bv_pb_to_json(struct bv_buf *buf, const ProtobufCMessage *message);

#endif
