/* bv_http: the HTTP/1.1 server of every service: routes by table, deferred replies, problem+json,
 * SSE, WebSocket. libuv and llhttp (strict) underneath. Invariants: status line, headers and body
 * leave in one write; a request is answered at most once, and the next one of its connection is not
 * looked at before; every size and wait has a limit; an idle connection holds about half a
 * kilobyte. What is refused before a handler runs: see "refusals" below. Thread: loop for
 * everything here, except bv_http_reply_any_thread. No function blocks. Sources: RFC 9110
 * (semantics), 9112 (HTTP/1.1), 9457 (problem details), 6750 (bearer tokens), 6455 (WebSocket),
 * WHATWG HTML section 9.2 (server-sent events). */
#ifndef BV_HTTP_H
#define BV_HTTP_H

#include "bv/arena.h"
#include "bv/http_types.h"
#include "bv/json.h"
#include "bv/log.h"
#include "bv/loop.h"
#include "bv/metrics.h"
#include "bv/trace.h"

enum bv_http_method {
    BV_GET,
    BV_HEAD,
    BV_POST,
    BV_PUT,
    BV_PATCH,
    BV_DELETE,
    BV_OPTIONS,
    BV_METHOD_COUNT
};
struct bv_http_request;
struct bv_http_server;

/* Answers the request (bv_http_reply and its like, or a stream), or defers it (bv_http_defer) and
 * sees to it that it is answered later. Returns 0, or a fault: then, if nothing was replied, the
 * fault is answered as bv_http_fail does, with the detail of *error. Returning 0 without either is
 * our own mistake and answered with 500. error is never NULL. */
typedef int bv_http_handler(struct bv_http_request *request, void *context, struct bv_error *error);

/* One row of a route table. Refusals, made from the row before the handler runs, as problem+json:
 *   400 malformed message, Host, path, escape, dot segment    401, 403 token or scope      404 no
 * such path   405 other method (Allow) 408 too slow    413 body over body_bytes_max    414, 431
 * header_bytes_max   415 consumes, or any Content-Encoding   417 Expect 501 coding other than
 * chunked, CONNECT    503 authenticator out of reach, too many connections    504 timeout_ms    505
 * version OPTIONS is answered with 204 and Allow where no row takes it. After a refusal that leaves
 * the input unclear the connection ends. */
struct bv_http_route {
    enum bv_http_method method;
    const char *path; /* "/v1/orders/{orderId}": literal or {name} segments, at most 8 names and 32
                         segments; literals win */
    const char
        *operation_id; /* as in the OpenAPI file; NULL for operational routes (health, metrics) */
    const char *scope; /* needed scope; "" = any authenticated caller; NULL = public, a token is not
                          looked at */
    bv_http_handler *handler; /* GET rows answer HEAD as well */
    size_t body_bytes_max;    /* 0: a body is refused */
    int64_t timeout_ms; /* from the last request byte to the reply; 0 = server default; past it 504
                           is sent, the late reply counted */
    const char *consumes; /* needed Content-Type of a body, without parameters ("application/json");
                             NULL: any */
};

/* Who calls. Filled by the authenticator, in the request's arena. */
struct bv_principal {
    struct bv_bytes subject;
    struct bv_bytes tenant;
    struct bv_bytes client;
    struct bv_bytes scope; /* space-separated */
};
bool bv_scope_has(struct bv_bytes scopes, const char *scope);
/* Verifies a bearer token, on rows with a scope, before the body is read; must not block.
 * Outcomes: BV_HTTP_LATER: it cannot tell yet. It is asked again when the body is there, and then
 * at each bv_http_authenticate_again; meanwhile the request waits, at most for its time (504).
 * Errors: BV_E_UNAUTHENTICATED (401 with error="invalid_token" and the detail), BV_E_UNAVAILABLE
 * when keys cannot be had (503). */
#define BV_HTTP_LATER 1
typedef int bv_http_authenticate(void *context,
                                 struct bv_arena *arena,
                                 struct bv_bytes token,
                                 struct bv_principal *ret_principal,
                                 struct bv_error *error);

struct bv_http_config {
    const char *host; /* an IPv4 or IPv6 address, "127.0.0.1"; borrowed for the server's life */
    int64_t port;     /* 0: any free one, see bv_http_server_port */
    int64_t connections_max;   /* further ones get 503 and are closed at once, counted */
    int64_t header_bytes_max;  /* target and fields together (414, 431); also chunk extensions and
                                  trailers */
    int64_t arena_bytes_max;   /* per request, beside its header and body bytes */
    int64_t header_timeout_ms; /* first byte to end of headers */
    int64_t body_timeout_ms;
    int64_t idle_timeout_ms;    /* keep-alive without a request; streams: then TCP asks if the peer
                                   is still there */
    int64_t write_timeout_ms;   /* no progress while output waits, or sent bytes not acknowledged */
    int64_t request_timeout_ms; /* default of routes */
    int64_t output_bytes_max;   /* queued output of a stream whose config does not say */
    int64_t gzip_bytes_min; /* bodies from this size are gzipped when accepted, of a text type and a
                               tenth smaller then; 0: never */
};
extern const struct bv_http_config bv_http_config_default;

struct bv_http_deps { /* all borrowed for the server's life; log, metrics, spans may be NULL */
    struct bv_loop *loop;
    struct bv_log *log; /* one line "http.request" per request, flushed within 50 ms; "http.fault"
                           for each 500 */
    struct bv_metrics *metrics;
    struct bv_span_sink *spans;
    uint32_t trace_sample_per_million; /* of requests that bring no traceparent */
};

/* Makes a server that does not listen yet. Deadlines hold to about 64 ms.
 * Ownership: config is copied; the caller closes the server, before the loop, log and metrics.
 * Errors: BV_E_NOMEM, and those of the loop. */
BV_MUST_CHECK int bv_http_server_open(const struct bv_http_config *config,
                                      const struct bv_http_deps *deps,
                                      struct bv_http_server **ret_server);
/* Adds a table; several may be added before start, each with the context that its handlers get.
 * Ownership: rows, their strings and context are borrowed for the server's life.
 * Errors: BV_E_INVALID for a bad pattern, BV_E_EXISTS for two rows of one method that match the
 * same, BV_E_NOMEM. */
BV_MUST_CHECK int bv_http_server_routes(struct bv_http_server *server,
                                        const struct bv_http_route *rows,
                                        size_t count,
                                        void *context);
/* Without one, rows with a scope answer 503. */
void bv_http_server_authenticator(struct bv_http_server *server,
                                  bv_http_authenticate *authenticate,
                                  void *context);
/* The authenticator may know more now: asks it again for every request that waits, in no order, and
 * runs the handlers of those it lets in. Not from within a handler or an authenticator. */
void bv_http_authenticate_again(struct bv_http_server *server);
/* Listens. SIGPIPE is ignored from now on, if it had its default action. Errors: BV_E_INVALID host
 * or port, BV_E_EXISTS port taken, BV_E_IO. */
BV_MUST_CHECK int bv_http_server_start(struct bv_http_server *server, struct bv_error *error);
int bv_http_server_port(const struct bv_http_server *server);
/* Graceful end: stops accepting, closes idle connections, answers what is in flight with
 * Connection: close, ends streams (1001), then calls drained once, from the loop; at the deadline
 * what is left is cut first. The server still has to be closed. Ranges: deadline_ms is absolute, as
 * bv_loop_now_ms counts. */
void bv_http_server_drain(struct bv_http_server *server,
                          int64_t deadline_ms,
                          void (*drained)(void *argument),
                          void *argument);
/* Cuts everything: `closed` of each stream runs, requests that are still owed a reply are gone. Not
 * from within a handler or stream event. Threads that may call bv_http_reply_any_thread must have
 * ended, or be done with this server's tokens. Accepts NULL, leaves NULL. */
void bv_http_server_close(struct bv_http_server **server);

/* ---- the request
 * ----------------------------------------------------------------------------------------------------------------
 */

/* All spans live in the request until its reply has left: to the end of the handler, or, for
 * deferred requests, to the end of the loop turn in which they are answered (so what lies in the
 * arena may be used after bv_http_reply). */
enum bv_http_method bv_http_method(const struct bv_http_request *request);
struct bv_bytes
bv_http_path(const struct bv_http_request *request); /* as sent, without the query */
struct bv_bytes bv_http_body(const struct bv_http_request *request); /* whole, unchunked */
struct bv_arena *bv_http_arena(struct bv_http_request *request);
const struct bv_principal *
bv_http_principal(const struct bv_http_request *request); /* NULL on public rows */
const struct bv_trace *bv_http_trace(
    const struct bv_http_request *request); /* the server span, child of a valid traceparent */
struct bv_bytes bv_http_correlation_id(
    const struct bv_http_request
        *request); /* field correlation-id, else the trace id; echoed in the reply */
int64_t bv_http_deadline_ms(
    const struct bv_http_request *request); /* absolute, monotonic; hand it on to calls */
struct bv_bytes
bv_http_header(const struct bv_http_request *request,
               const char *name); /* first field of that name, trimmed; NONE when absent */
struct bv_bytes
bv_http_param(const struct bv_http_request *request,
              const char *name); /* path parameter, percent-decoded UTF-8; NONE: no such name */
struct bv_bytes
bv_http_query(const struct bv_http_request *request,
              const char *name); /* first, decoded ('+' is a space), NONE when absent */
/* Credentials of Authorization: Bearer; on WebSocket upgrades also of "Sec-WebSocket-Protocol:
 * bearer, <token>", for browsers. NONE: none. */
struct bv_bytes bv_http_bearer(const struct bv_http_request *request);
/* First value of name in an application/x-www-form-urlencoded body (WHATWG URL, section 5.1),
 * decoded into arena; NONE when absent. Errors: BV_E_INVALID for a bad percent escape, BV_E_NOMEM.
 */
BV_MUST_CHECK int bv_http_form(struct bv_arena *arena,
                               struct bv_bytes body,
                               const char *name,
                               struct bv_bytes *ret_value);
/* The body as a JSON object, in the arena. Errors: BV_E_MEDIA_TYPE unless application/json or
 * +json; BV_E_INVALID: none, broken, no object. */
BV_MUST_CHECK int bv_http_json(struct bv_http_request *request,
                               const struct bv_json **ret_root,
                               struct bv_error *error);
/* A decimal query parameter; fallback when absent. Errors: BV_E_INVALID outside min..max or no
 * number. */
BV_MUST_CHECK int bv_http_query_int(const struct bv_http_request *request,
                                    const char *name,
                                    int64_t min,
                                    int64_t max,
                                    int64_t fallback,
                                    int64_t *ret_value,
                                    struct bv_error *error);

/* ---- replies
 * ----------------------------------------------------------------------------------------------------------------------
 */

struct bv_http_response {
    int status;
    const char *content_type; /* NULL without body */
    struct bv_bytes body;     /* need not outlive the call */
    struct bv_bytes etag;     /* quoted, strong; drives If-None-Match -> 304 on GET/HEAD; a gzipped
                                 body's tag ends in --gzip" */
    const struct bv_http_field *fields; /* beside Date, Content-Type, Content-Length, ETag, Vary,
                                           correlation-id, Connection */
    size_t field_count;
    bool body_in_arena; /* says that body lives in the request's arena; a hint, nothing of the
                           response is kept past the call */
};
/* Answers: in the handler, or later for deferred requests. HEAD, 204 and 304 go without body.
 * Errors: BV_E_CLOSED when it is answered already or the peer is gone (counted as late, harmless);
 * BV_E_INVALID when a field holds a line end; BV_E_NOMEM. After the latter two nothing was sent and
 * the request can still be answered. */
BV_MUST_CHECK int bv_http_reply(struct bv_http_request *request,
                                const struct bv_http_response *response);
/* JSON of a finished writer buffer in one step. Ownership: buf is released in any case. Errors: as
 * bv_http_reply; BV_E_NOMEM when buf failed. */
BV_MUST_CHECK int
bv_http_reply_json(struct bv_http_request *request, int status, struct bv_buf *buf);

/* Deferred replies: keep the token, not the request. A token of a request that is gone (answered,
 * peer left, timed out) finds nothing, which is counted in bv_http_late_replies_total. */
struct bv_http_token {
    struct bv_http_server *server;
    uint64_t id; /* slot and generation */
};
struct bv_http_token bv_http_defer(struct bv_http_request *request);
struct bv_http_request *bv_http_find(
    struct bv_http_token token); /* NULL when gone; the result is good for this turn of the loop */
/* problem+json by the error table: status, title and code word of code, detail and pointer of
 * *error (may be NULL). 500s, and what is marked as inside, keep their detail for the log line
 * "http.fault"; 401 gets WWW-Authenticate, 429, 503 and 504 Retry-After. Errors: as bv_http_reply.
 */
BV_MUST_CHECK int
bv_http_fail(struct bv_http_request *request, int code, const struct bv_error *error);
/* Copies the response and hands it to the loop, which answers if the request is still there.
 * Errors: BV_E_LIMIT when the loop's mailbox is full, BV_E_NOMEM. Thread: any. */
BV_MUST_CHECK int bv_http_reply_any_thread(struct bv_http_token token,
                                           const struct bv_http_response *response);

/* problem+json with members of its own (sold out: orderId, lines). Always: type, title, status,
 * detail, instance, code, traceId. */
struct bv_http_problem {
    int status;
    const char *type; /* NULL: "/problems/CODE" */
    const char *title;
    const char *code;
    const char *hint; /* how to fix, NULL: none */
    struct bv_bytes detail;
    void (*extra)(struct bv_json_writer *w,
                  const void *argument); /* writes further members; NULL: none */
    const void *argument;
    int64_t retry_after_s; /* 0: no Retry-After */
};
BV_MUST_CHECK int bv_http_reply_problem(struct bv_http_request *request,
                                        const struct bv_http_problem *problem);
/* Appends the problem to buf, for protocols that store an answer (idempotency) and replay it.
 * BV_E_TOO_LARGE when it does not fit. */
int bv_http_problem_encode(struct bv_http_request *request,
                           const struct bv_http_problem *problem,
                           struct bv_buf *buf);

/* ETag and If-Match: strong tags of a version, "\"7\"". */
#define BV_HTTP_ANY 1
void bv_http_etag_version(int64_t version, char out[24]);
/* If-Match as one version (RFC 9110 section 13.1.1). Outcomes: BV_HTTP_ANY for "*" (*ret_version
 * untouched). Errors: BV_E_PRECONDITION_REQUIRED when absent, BV_E_INVALID when not one tag,
 * BV_E_STALE for weak tags and tags that are no version. */
BV_MUST_CHECK int bv_http_if_match(const struct bv_http_request *request,
                                   int64_t *ret_version,
                                   struct bv_error *error);

/* ---- streams: SSE and WebSocket share one hub
 * ------------------------------------------------------------------------------------- */

struct bv_http_stream; /* owned by the server; may be used until `closed` has run */
/* Events come from the loop, never from within bv_http_stream_send or bv_http_stream_close. */
struct bv_http_stream_events {
    void (*message)(void *argument,
                    struct bv_http_stream *stream,
                    struct bv_bytes data,
                    bool text); /* WebSocket only, whole messages; may be NULL */
    /* Always, once, last. close_code: ours when we closed, the peer's when it did (1005: it gave
     * none), 1002, 1007, 1009 when it broke the rules, 1006 when it is gone without a word (an SSE
     * client that leaves always is). */
    void (*closed)(void *argument, struct bv_http_stream *stream, int close_code);
    void *argument;
};
struct bv_http_stream_config {
    size_t message_bytes_max; /* incoming; 1009 past it; 0: 64 KiB */
    size_t queue_bytes_max;   /* outgoing, per client; 0: output_bytes_max of the server */
    /* When a message does not fit the queue: close the stream (1013), drop the oldest waiting ones,
     * or first drop waiting ones of the same key. What is already on its way to the socket is never
     * dropped. */
    enum { BV_SLOW_CLOSE, BV_SLOW_DROP_OLDEST, BV_SLOW_COALESCE } slow_policy;
    int64_t
        heartbeat_ms; /* SSE comment, WebSocket ping; two unanswered pings close (1001); 0: none */
    int64_t retry_ms; /* SSE retry field, sent first; 0: none */
    const char *subprotocol; /* WebSocket: echoed when offered; NULL: none (but "bearer" is, when it
                                carried the token) */
};
/* Turn the request into a stream, in the handler or later for deferred ones; afterwards the request
 * is answered. events and config are copied. Errors: BV_E_CLOSED, BV_E_NOMEM; SSE: BV_E_METHOD for
 * HEAD; WebSocket: BV_E_INVALID when the handshake is no good, which is then already answered with
 * 426 or 400, so that a handler may pass every fault on. */
BV_MUST_CHECK int bv_http_sse_start(struct bv_http_request *request,
                                    const struct bv_http_stream_config *config,
                                    const struct bv_http_stream_events *events,
                                    struct bv_http_stream **ret_stream,
                                    struct bv_error *error);
BV_MUST_CHECK int bv_http_websocket_start(struct bv_http_request *request,
                                          const struct bv_http_stream_config *config,
                                          const struct bv_http_stream_events *events,
                                          struct bv_http_stream **ret_stream,
                                          struct bv_error *error);
/* A message for any number of clients: counted by reference, each kind of frame encoded once, when
 * first needed. WebSocket clients get data as a text message; SSE clients id, event (each may be
 * NONE) and data, line by line. Errors: BV_E_INVALID for no UTF-8, or a line end or NUL in id or
 * event; BV_E_NOMEM. */
struct bv_http_message;
BV_MUST_CHECK int bv_http_message_new(struct bv_bytes id,
                                      struct bv_bytes event,
                                      struct bv_bytes data,
                                      struct bv_http_message **ret_message);
void bv_http_message_free(
    struct bv_http_message **message); /* drops the caller's reference; streams hold their own */
/* Queues; all that waits for a client leaves in one write at the end of the loop turn. key is for
 * BV_SLOW_COALESCE, else NONE. Errors: BV_E_LIMIT: the queue is full and the policy closes the
 * stream (`closed` follows); BV_E_CLOSED: it is closing; BV_E_NOMEM. With the dropping policies 0
 * may mean that this message itself was dropped; dropped ones are counted. */
BV_MUST_CHECK int bv_http_stream_send(struct bv_http_stream *stream,
                                      struct bv_http_message *message,
                                      struct bv_bytes key);
/* WebSocket: sends a close frame (code, reason of at most 123 bytes) and waits up to two seconds
 * for the peer's; SSE: ends the stream. What was queued goes out first. Idempotent; `closed`
 * follows. */
void bv_http_stream_close(struct bv_http_stream *stream, int code, const char *reason);
size_t bv_http_stream_queued(
    const struct bv_http_stream *stream); /* bytes that wait, those on their way included */

#endif
