/* gRPC server and client: gRPC C core with protobuf-c messages, and the JSON mapping of such
 * messages. A polling thread per server or client hands completions to the loop in batches, so
 * that handlers and callbacks run on the loop thread like all else. Deadlines, metadata
 * (traceparent, correlation-id, authorization), the standard health service and server reflection
 * are built in.
 * Invariant: shutdown drains calls first (the core aborts the process otherwise).
 * Thread: loop, without exception.
 * What a foreign peer can hold is bounded: 8 kB of metadata, 128 MB of unread messages, 10 s for an
 * answer that nobody takes, 15 s for a peer that vanished; compression is not offered. Requests
 * with texts that are not UTF-8 are refused. The client makes its connection anew when the peer is
 * silent for 15 s while calls wait. conformance/README.md says which status comes when.
 * Sources: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), grpc.health.v1, grpc.reflection.v1alpha and v1. */
#ifndef BV_GRPC_H
#define BV_GRPC_H

#include "bv/arena.h"
#include "bv/log.h"
#include "bv/loop.h"
#include "bv/metrics.h"
#include "bv/trace.h"
#include <protobuf-c/protobuf-c.h>

/* ---- server ---- */

struct bv_grpc_server;
/* One call being served. Whoever handles it holds it until exactly one of: bv_grpc_reply,
 * bv_grpc_fail, bv_grpc_stream_end was called, bv_grpc_stream_send returned BV_E_LIMIT, or
 * `cancelled` has run. After that it must not be touched. A peer that leaves or a deadline that
 * passes before a unary reply does not end the hold: the late reply is harmless and counted. */
struct bv_grpc_call;

/* Called with the decoded request, which lives in the call's arena until the hold ends. Answer
 * now or later with bv_grpc_reply or bv_grpc_fail; streams: bv_grpc_stream_send any number of
 * times, then bv_grpc_stream_end. Returns 0, or a fault when the call was not answered: it is
 * then answered with the status of the error table and the text of *error. */
typedef int bv_grpc_handler(struct bv_grpc_call *call,
                            const ProtobufCMessage *request,
                            void *context,
                            struct bv_error *error);
enum bv_grpc_shape { BV_GRPC_UNARY, BV_GRPC_SERVER_STREAM };
struct bv_grpc_method { /* static const: one row per line */
    const char *path;   /* "/bitvelocity.inventory.v1.Inventory/Reserve" */
    enum bv_grpc_shape shape;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    bv_grpc_handler *handler;
    int64_t timeout_ms; /* cap on the caller's deadline (checked every 50 ms); 0: none (streams) */
};
struct bv_grpc_server_config {
    const char *host;          /* "127.0.0.1" */
    int64_t port;              /* 0: any free one, see bv_grpc_server_port */
    int64_t calls_max;         /* calls held or being answered; RESOURCE_EXHAUSTED past it */
    int64_t message_bytes_max; /* of a request; RESOURCE_EXHAUSTED past it */
};
struct bv_grpc_deps { /* all borrowed for the server's life; log, metrics, spans may be NULL */
    struct bv_loop *loop;
    struct bv_log *log;
    /* bv_grpc_server_calls_total{method,code}, bv_grpc_server_seconds{method}, ... */
    struct bv_metrics *metrics;
    struct bv_span_sink *spans;
    uint32_t trace_sample_per_million;
};
/* Effect: a server with the health service; starts a polling thread, does not listen yet.
 * Ownership: *config and what it points to are borrowed until start; closed with
 * bv_grpc_server_close.
 * Errors: BV_E_NOMEM, BV_E_INTERNAL (no thread). */
BV_MUST_CHECK int bv_grpc_server_open(const struct bv_grpc_server_config *config,
                                      const struct bv_grpc_deps *deps,
                                      struct bv_grpc_server **ret_server);
/* Adds a table before start; context is handed to its handlers. Rows are borrowed for the
 * server's life.
 * Errors: BV_E_INVALID for a path without "/package.Service/Method", BV_E_EXISTS for a path
 * twice, BV_E_NOMEM. */
BV_MUST_CHECK int bv_grpc_server_methods(struct bv_grpc_server *server,
                                         const struct bv_grpc_method *rows,
                                         size_t count,
                                         void *context);
/* Adds the files of a google.protobuf.FileDescriptorSet (protoc --include_imports
 * --descriptor_set_out) to what reflection answers; may be called more than once before start;
 * bytes are borrowed for the server's life. Without a call there is no reflection.
 * Errors: BV_E_INVALID for malformed bytes, BV_E_NOMEM. */
BV_MUST_CHECK int bv_grpc_server_reflection(struct bv_grpc_server *server,
                                            struct bv_bytes descriptor_set);
/* Listens and serves; health says SERVING.
 * Errors: BV_E_UNAVAILABLE when the address cannot be bound; BV_E_NOMEM. */
BV_MUST_CHECK int bv_grpc_server_start(struct bv_grpc_server *server, struct bv_error *error);
int bv_grpc_server_port(const struct bv_grpc_server *server); /* 0 before start */
enum bv_grpc_health { BV_GRPC_NOT_SERVING, BV_GRPC_SERVING };
/* What Check answers and Watch tells. */
void bv_grpc_server_health(struct bv_grpc_server *server, enum bv_grpc_health health);
/* Graceful stop: health says NOT_SERVING, new calls are refused, streams end with UNAVAILABLE
 * (`cancelled` runs), unary calls may finish. Calls drained(argument) once, from the loop: when
 * the last call ended, or after within_ms, when what is left was cut. */
void bv_grpc_server_drain(struct bv_grpc_server *server,
                          int64_t within_ms,
                          void (*drained)(void *argument),
                          void *argument);
/* Cuts what is left and frees. Blocks for as long as the core needs to end its calls
 * (milliseconds). Whoever still holds calls must have ended them or forget them. Not from within
 * a handler. */
void bv_grpc_server_close(struct bv_grpc_server **server);

struct bv_arena *bv_grpc_arena(struct bv_grpc_call *call);
const struct bv_trace *bv_grpc_trace(const struct bv_grpc_call *call); /* the server span */
int64_t bv_grpc_deadline_ms(const struct bv_grpc_call *call); /* monotonic (bv_mono_ms), 0: none */
/* The first of that key; NONE when absent. */
struct bv_bytes bv_grpc_metadata(const struct bv_grpc_call *call, const char *key);
/* Metadata correlation-id, else the trace id. */
struct bv_bytes bv_grpc_correlation_id(const struct bv_grpc_call *call);
/* Ends the hold with OK and one message of the row's reply type. Always 0: a message that cannot
 * be encoded is answered with INTERNAL, a late reply is dropped and counted. */
int bv_grpc_reply(struct bv_grpc_call *call, const ProtobufCMessage *reply);
/* Ends the hold of a unary call or stream with the gRPC status of a BV_E_ code; error (may be
 * NULL) gives the text. Always returns 0, so that a handler may `return bv_grpc_fail(...)`. */
int bv_grpc_fail(struct bv_grpc_call *call, int code, const struct bv_error *error);
/* Streams. cancelled runs once, from the loop, when the peer left, the deadline passed or the
 * server drains; the hold ends with it. Without it the holder must end the stream itself. */
void bv_grpc_stream_on_cancel(struct bv_grpc_call *call,
                              void (*cancelled)(void *argument, struct bv_grpc_call *call),
                              void *argument);
/* Queues one message (encoded at once; the message stays the caller's).
 * Errors: BV_E_LIMIT when 256 wait: the stream is cut with RESOURCE_EXHAUSTED, its hold ended,
 * `cancelled` does not run; BV_E_NOMEM: nothing was queued, the stream goes on. */
#define BV_GRPC_STREAM_QUEUE_MAX 256
BV_MUST_CHECK int bv_grpc_stream_send(struct bv_grpc_call *call, const ProtobufCMessage *message);
/* For senders that go at the reader's pace: how many messages may be queued now, and a callback,
 * from the loop, each time the queue has run empty while the call is held (it may send and end). */
size_t bv_grpc_stream_room(const struct bv_grpc_call *call);
void bv_grpc_stream_on_room(struct bv_grpc_call *call,
                            void (*room)(void *argument, struct bv_grpc_call *call),
                            void *argument);
/* Ends the hold: what is queued is sent, then the status: code 0 is OK, else a BV_E_ code with
 * text (may be NULL). */
void bv_grpc_stream_end(struct bv_grpc_call *call, int code, const char *text);

/* ---- client: one channel per target; calls share it; it reconnects by itself ---- */

struct bv_grpc_client;
struct bv_grpc_client_config {
    const char *target;        /* "127.0.0.1:9090"; copied */
    int64_t calls_max;         /* calls and streams in flight; BV_E_LIMIT past it */
    int64_t message_bytes_max; /* of a reply */
};
/* Connects lazily. Errors: BV_E_NOMEM, BV_E_INTERNAL (no thread). */
BV_MUST_CHECK int bv_grpc_client_open(struct bv_loop *loop,
                                      const struct bv_grpc_client_config *config,
                                      struct bv_grpc_client **ret_client);
/* Calls in flight end with BV_E_CANCELLED: their done runs before this returns. Not from within a
 * done or message callback. */
void bv_grpc_client_close(struct bv_grpc_client **client);
struct bv_grpc_request { /* borrowed for the call of send or open only, except reply (static) */
    const char *path;
    const ProtobufCMessage *message;
    const ProtobufCMessageDescriptor *reply;
    int64_t timeout_ms;             /* > 0 for unary; streams: 0 means none */
    const struct bv_trace *trace;   /* the caller's client span, sent as traceparent; NULL: none */
    struct bv_bytes correlation_id; /* or NONE */
    struct bv_bytes authorization;  /* "Bearer ..." or NONE */
};
/* rc 0 with reply (lives for the duration of done). Otherwise reply is NULL, rc the BV_E_ code of
 * the status (UNAVAILABLE, DEADLINE_EXCEEDED -> BV_E_TIMEOUT, ALREADY_EXISTS -> BV_E_EXISTS,
 * RESOURCE_EXHAUSTED -> BV_E_LIMIT, ...), error its text. */
typedef void
bv_grpc_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error);
/* Unary call; done runs exactly once, from the loop, never from within. While the channel cannot
 * connect, calls fail fast with BV_E_UNAVAILABLE.
 * Errors (done then never runs): BV_E_LIMIT, BV_E_NOMEM, BV_E_INVALID (a metadata value that no
 * header can carry). */
BV_MUST_CHECK int bv_grpc_send(struct bv_grpc_client *client,
                               const struct bv_grpc_request *request,
                               bv_grpc_done *done,
                               void *argument);
/* Server stream: message runs for each reply, then done once (reply NULL). The handle is valid
 * until done runs. Errors as above. */
struct bv_grpc_stream;
typedef void bv_grpc_message(void *argument, const ProtobufCMessage *reply);
BV_MUST_CHECK int bv_grpc_stream_open(struct bv_grpc_client *client,
                                      const struct bv_grpc_request *request,
                                      bv_grpc_message *message,
                                      bv_grpc_done *done,
                                      void *argument,
                                      struct bv_grpc_stream **ret_stream);
/* done follows from the loop with BV_E_CANCELLED; no message runs after this. */
void bv_grpc_stream_cancel(struct bv_grpc_stream *stream);

/* ---- protobuf <-> JSON over descriptors (proto3 language guide, "JSON Mapping") ---- */

/* Reads one JSON object into a new message in arena. Names in lowerCamelCase or as in the .proto;
 * enums by name or number; 64-bit integers as numbers or strings; bytes in base64 of either
 * alphabet; null leaves the default. Well-known types and maps have no special form. Depth at
 * most BV_JSON_DEPTH_MAX.
 * Errors: BV_E_INVALID (no JSON), BV_E_UNPROCESSABLE with error->pointer (unknown field, wrong
 * type, out of range, two members of one oneof), BV_E_NOMEM. */
BV_MUST_CHECK int bv_pb_from_json(struct bv_arena *arena,
                                  const ProtobufCMessageDescriptor *type,
                                  struct bv_bytes json,
                                  ProtobufCMessage **ret_message,
                                  struct bv_error *error);
/* Appends message as JSON: lowerCamelCase, enums by name (numbers when unknown), 64-bit integers
 * as strings, bytes as base64. Fields without presence are always written; unset messages and
 * oneofs are left out. BV_E_TOO_LARGE when it does not fit, BV_E_UNPROCESSABLE when nested deeper
 * than BV_JSON_DEPTH_MAX. */
BV_MUST_CHECK int bv_pb_to_json(struct bv_buf *buf, const ProtobufCMessage *message);

#endif
