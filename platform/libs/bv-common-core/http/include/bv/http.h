/* bv_http: the HTTP/1.1 server of every service: routes by table, deferred replies, problem+json, SSE, WebSocket upgrade.
 * libuv + llhttp (strict). Invariants: status line, headers and body leave in one write; a connection never has two replies for one
 * request; each request owns one arena that lives until its reply has left; every size and wait has a limit. Thread: loop, unless stated.
 * Sources: RFC 9110, 9112, 9457 (problem details), 6455 (WebSocket), WHATWG HTML "server-sent events". */
#ifndef BV_HTTP_H
#define BV_HTTP_H

#include "bv/arena.h"
#include "bv/http_types.h"
#include "bv/json.h"
#include "bv/log.h"
#include "bv/loop.h"
#include "bv/metrics.h"
#include "bv/trace.h"

enum bv_http_method { BV_GET, BV_HEAD, BV_POST, BV_PUT, BV_PATCH, BV_DELETE, BV_OPTIONS, BV_METHOD_COUNT };
struct bv_http_request;
struct bv_http_server;

/* Returns 0 (answered, or deferred and answered later) or a fault, which the server turns into problem+json by the error table with
 * the detail of *error. Positive values are our own mistake. */
typedef int bv_http_handler(struct bv_http_request *request, void *context, struct bv_error *error);

struct bv_http_route {
    enum bv_http_method method;
    const char *path;         /* "/v1/orders/{orderId}": literal or {name} segments */
    const char *operation_id; /* as in the OpenAPI file; NULL for operational routes (health, metrics) */
    const char *scope;        /* needed scopes, space-separated, any one suffices; "" = any authenticated caller; NULL = public */
    bv_http_handler *handler; /* GET routes answer HEAD as well */
    size_t body_bytes_max;    /* 0: a body is refused */
    int64_t timeout_ms;       /* from the last request byte to the reply; 0 = server default; past it 504 is sent, the late reply counted */
    const char *consumes;     /* needed Content-Type without parameters ("application/json"), NULL: any */
};

/* Who calls. Filled by the authenticator, in the request's arena. */
struct bv_principal {
    struct bv_bytes subject;
    struct bv_bytes tenant;
    struct bv_bytes client;
    struct bv_bytes scope; /* space-separated */
};
bool bv_scope_has(struct bv_bytes scopes, const char *scope); /* any word of scope is among scopes */
/* Verifies a bearer token. BV_E_UNAUTHENTICATED with detail; BV_E_UNAVAILABLE when keys cannot be had. */
typedef int bv_http_authenticate(void *context, struct bv_arena *arena, struct bv_bytes token, struct bv_principal *ret_principal, struct bv_error *error);

struct bv_http_config {
    const char *host; /* "127.0.0.1" */
    int64_t port;     /* 0: any free one, see bv_http_server_port */
    int64_t connections_max;      /* further ones are accepted and closed at once, counted */
    int64_t header_bytes_max;     /* request line and all fields; 431 past it */
    int64_t arena_bytes_max;      /* per request, on top of the body cap */
    int64_t header_timeout_ms;    /* first byte to end of headers */
    int64_t body_timeout_ms;
    int64_t idle_timeout_ms;      /* keep-alive without a request */
    int64_t write_timeout_ms;     /* no progress while output waits */
    int64_t request_timeout_ms;   /* default of routes */
    int64_t output_bytes_max;     /* queued output of one streaming connection */
    int64_t gzip_bytes_min;       /* bodies from this size are gzipped when accepted and compressible; 0: never */
};
extern const struct bv_http_config bv_http_config_default;

struct bv_http_deps { /* all borrowed for the server's life; log, metrics, spans may be NULL */
    struct bv_loop *loop;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct bv_span_sink *spans;
    uint32_t trace_sample_per_million;
};
/* Routes of several tables may be added before start; the context is handed to every handler of that table. Errors: BV_E_INVALID for a bad
 * pattern, BV_E_EXISTS for two routes that match the same. */
BV_MUST_CHECK int bv_http_server_open(const struct bv_http_config *config, const struct bv_http_deps *deps, struct bv_http_server **ret_server);
BV_MUST_CHECK int bv_http_server_routes(struct bv_http_server *server, const struct bv_http_route *rows, size_t count, void *context);
void bv_http_server_authenticator(struct bv_http_server *server, bv_http_authenticate *authenticate, void *context);
BV_MUST_CHECK int bv_http_server_start(struct bv_http_server *server, struct bv_error *error); /* listens */
int bv_http_server_port(const struct bv_http_server *server);
/* Graceful: stops accepting, answers what is in flight with Connection: close, ends streams with their close codes, then calls drained; at the deadline
 * what is left is cut. */
void bv_http_server_drain(struct bv_http_server *server, int64_t deadline_ms, void (*drained)(void *argument), void *argument);
void bv_http_server_close(struct bv_http_server **server);

/* The request as a handler sees it. All spans live in the arena until the reply has left. */
enum bv_http_method bv_http_method(const struct bv_http_request *request);
struct bv_bytes bv_http_path(const struct bv_http_request *request);
struct bv_bytes bv_http_body(const struct bv_http_request *request);
struct bv_arena *bv_http_arena(struct bv_http_request *request);
const struct bv_principal *bv_http_principal(const struct bv_http_request *request); /* NULL on public routes without a token */
const struct bv_trace *bv_http_trace(const struct bv_http_request *request);         /* the server span */
struct bv_bytes bv_http_correlation_id(const struct bv_http_request *request);       /* header correlation-id, else the trace id */
int64_t bv_http_deadline_ms(const struct bv_http_request *request);                  /* monotonic; hand it on to calls */
struct bv_bytes bv_http_header(const struct bv_http_request *request, const char *name); /* first field of that name, trimmed; NONE when absent */
struct bv_bytes bv_http_param(const struct bv_http_request *request, const char *name);  /* path parameter, percent-decoded */
struct bv_bytes bv_http_query(const struct bv_http_request *request, const char *name);  /* first, percent-decoded, NONE when absent */
struct bv_bytes bv_http_bearer(const struct bv_http_request *request);                   /* credentials of Authorization: Bearer */
/* First value of name in an application/x-www-form-urlencoded body (WHATWG URL, section 5.1), decoded into arena; NONE when absent.
 * Errors: BV_E_INVALID for a bad percent escape, BV_E_NOMEM. */
BV_MUST_CHECK int bv_http_form(struct bv_arena *arena, struct bv_bytes body, const char *name, struct bv_bytes *ret_value);
/* Whole-body JSON object; checks the content type. BV_E_INVALID / BV_E_MEDIA_TYPE. */
BV_MUST_CHECK int bv_http_json(struct bv_http_request *request, const struct bv_json **ret_root, struct bv_error *error);
BV_MUST_CHECK int bv_http_query_int(const struct bv_http_request *request, const char *name, int64_t min, int64_t max, int64_t fallback,
                                    int64_t *ret_value, struct bv_error *error);

struct bv_http_response {
    int status;
    const char *content_type; /* NULL without body */
    struct bv_bytes body;     /* copied unless body_in_arena */
    struct bv_bytes etag;     /* quoted; drives If-None-Match -> 304 on GET/HEAD */
    const struct bv_http_field *fields;
    size_t field_count;
    bool body_in_arena; /* true: lives in the request's arena, no copy is made */
};
/* Answers now. Loop thread only, in the handler or after bv_http_defer. */
BV_MUST_CHECK int bv_http_reply(struct bv_http_request *request, const struct bv_http_response *response);
/* JSON of a finished writer buffer in one step; buf is released. */
BV_MUST_CHECK int bv_http_reply_json(struct bv_http_request *request, int status, struct bv_buf *buf);

/* Deferred replies: keep the token, not the request. A token of a request that is gone (peer left, timed out) is refused harmlessly and counted. */
struct bv_http_token {
    struct bv_http_server *server;
    uint64_t id; /* slot and generation */
};
struct bv_http_token bv_http_defer(struct bv_http_request *request);
struct bv_http_request *bv_http_find(struct bv_http_token token);                     /* loop thread; NULL when gone */
BV_MUST_CHECK int bv_http_fail(struct bv_http_request *request, int code, const struct bv_error *error); /* problem+json by the table */
/* From any thread: copies the response, wakes the loop. BV_E_LIMIT when the mailbox is full. */
BV_MUST_CHECK int bv_http_reply_any_thread(struct bv_http_token token, const struct bv_http_response *response);

/* problem+json with members of its own (sold out: orderId, lines). extra writes further members; type is a path such as "/problems/sold-out". */
struct bv_http_problem {
    int status;
    const char *type; /* NULL: "/problems/" and code */
    const char *title;
    const char *code;
    const char *hint; /* how to fix, NULL: none */
    struct bv_bytes detail;
    void (*extra)(struct bv_json_writer *w, const void *argument);
    const void *argument;
    int64_t retry_after_s; /* 0: no Retry-After */
};
BV_MUST_CHECK int bv_http_reply_problem(struct bv_http_request *request, const struct bv_http_problem *problem);
/* Encodes the problem into buf, for protocols that store an answer (idempotency) and replay it. */
int bv_http_problem_encode(struct bv_http_request *request, const struct bv_http_problem *problem, struct bv_buf *buf);

/* ETag / If-Match helpers: strong tags of a version, "\"7\"". Outcome of parse: BV_HTTP_ANY for "*". */
#define BV_HTTP_ANY 1
void bv_http_etag_version(int64_t version, char out[24]);
/* If-Match as one version. BV_E_PRECONDITION_REQUIRED when absent, BV_E_INVALID when malformed (weak tags never match: BV_E_STALE). */
BV_MUST_CHECK int bv_http_if_match(const struct bv_http_request *request, int64_t *ret_version, struct bv_error *error);

/* ---- streams: SSE and WebSocket share one hub ---------------------------------------------------------------------------------- */

struct bv_http_stream; /* an upgraded or streaming connection, owned by the server until `closed` has run */
struct bv_http_stream_events {
    void (*message)(void *argument, struct bv_http_stream *stream, struct bv_bytes data, bool text); /* WebSocket only, whole messages */
    void (*closed)(void *argument, struct bv_http_stream *stream, int close_code);                  /* always, once, last */
    void *argument;
};
struct bv_http_stream_config {
    size_t message_bytes_max; /* incoming; 1009 past it */
    size_t queue_bytes_max;   /* outgoing, per client */
    enum { BV_SLOW_CLOSE, BV_SLOW_DROP_OLDEST, BV_SLOW_COALESCE } slow_policy; /* full queue: close (1013 / end of stream), drop, or newest per key */
    int64_t heartbeat_ms; /* SSE comment, WebSocket ping; two unanswered pings close (1001) */
    int64_t retry_ms;     /* SSE retry field, sent first; 0: none */
    const char *subprotocol; /* WebSocket: echoed when offered */
};
/* Turns the request into a stream. WebSocket: checks the handshake (426 with Upgrade otherwise). The request must not be used afterwards. */
BV_MUST_CHECK int bv_http_sse_start(struct bv_http_request *request, const struct bv_http_stream_config *config, const struct bv_http_stream_events *events,
                                    struct bv_http_stream **ret_stream, struct bv_error *error);
BV_MUST_CHECK int bv_http_websocket_start(struct bv_http_request *request, const struct bv_http_stream_config *config,
                                          const struct bv_http_stream_events *events, struct bv_http_stream **ret_stream, struct bv_error *error);
/* A message encoded once for any number of clients; reference-counted. SSE frame and WebSocket frame are both prepared lazily, once. */
struct bv_http_message;
BV_MUST_CHECK int bv_http_message_new(struct bv_bytes id, struct bv_bytes event, struct bv_bytes data, struct bv_http_message **ret_message);
void bv_http_message_free(struct bv_http_message **message); /* drops one reference */
/* Queues; pending frames of a client leave in one write. BV_E_LIMIT: policy CLOSE closed it; key is for COALESCE, may be NONE. */
BV_MUST_CHECK int bv_http_stream_send(struct bv_http_stream *stream, struct bv_http_message *message, struct bv_bytes key);
void bv_http_stream_close(struct bv_http_stream *stream, int code, const char *reason); /* WebSocket close code, or end of an SSE stream */
size_t bv_http_stream_queued(const struct bv_http_stream *stream);

#endif
