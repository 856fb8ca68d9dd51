/* Inside of bv_http; not for other modules.
 *
 * A connection is a small struct (about half a kilobyte) and holds nothing else while it waits:
 * bytes are read into one buffer of the server, and the request object (header bytes, body, arena)
 * is lent from the server's pool from the first byte of a request until its reply has left.
 *
 *      IDLE -> HEAD -> BODY -> HANDLING -> (WRITING) -> IDLE       STREAM: SSE or WebSocket
 *         any of them -> LINGER (reply sent, input discarded until the peer ends) -> CLOSING
 *
 * The parser stops after each request, so a pipelined one is never looked at before the reply to
 * its predecessor has left. Thread: loop. */
#ifndef BV_HTTP_INTERNAL_H
#define BV_HTTP_INTERNAL_H

#include <llhttp.h>
#include <stdatomic.h>
#include <uv.h>

#include "bv/http.h"

#define HTTP_FIELDS_MAX 100   /* of one request */
#define HTTP_PARAMS_MAX 8     /* of one route */
#define HTTP_SEGMENTS_MAX 32  /* of one path */
#define HTTP_READ_BYTES 65536 /* the shared read buffer */
#define HTTP_DISCARD_BYTES_MAX                                                                     \
    65536 /* a refused request's body up to this size is read, so that the connection can stay */
#define HTTP_POOL_KEEP 256 /* free request objects that keep their memory */
#define HTTP_LINGER_MS 1000
#define HTTP_TICK_MS 32 /* granularity of deadlines */
#define HTTP_WHEEL_SLOTS 1024
#define HTTP_LOG_FLUSH_MS 50

/* ---- deadlines: a hashed wheel (Varghese and Lauck, 1987). Moving one later is a store; it is put
 * in its new slot when the old comes up. */
struct http_timer {
    struct http_timer *prev; /* NULL: not in the wheel */
    struct http_timer *next;
    int64_t slot_ms; /* where it is filed */
    int64_t due_ms;
};
struct http_wheel {
    struct http_timer slots[HTTP_WHEEL_SLOTS]; /* list heads */
    int64_t ticked_ms;                         /* slots up to here have been looked at */
    size_t count;
};
void http_wheel_init(struct http_wheel *wheel, int64_t now_ms);
void http_wheel_set(struct http_wheel *wheel, struct http_timer *timer, int64_t due_ms);
void http_wheel_clear(struct http_wheel *wheel, struct http_timer *timer);
/* Calls fire for each timer that is due (it is out of the wheel then). */
void http_wheel_tick(struct http_wheel *wheel,
                     int64_t now_ms,
                     void (*fire)(void *argument, struct http_timer *timer),
                     void *argument);

/* ---- routes
 * ------------------------------------------------------------------------------------------------------------------
 */

#define HTTP_STATS_MAX 24
struct http_stats { /* series of one route, found once each */
    const char *route;
    struct bv_series *seconds;
    struct {
        int status;
        int method; /* BV_METHOD_COUNT: one that we do not know */
        struct bv_series *total;
    } rows[HTTP_STATS_MAX];
    size_t count;
};
struct http_route {
    struct bv_http_route row;
    void *context;
    const char *span_name;
    struct bv_bytes params[HTTP_PARAMS_MAX];
    size_t param_count;
    struct http_stats stats;
};
struct http_node {
    struct bv_bytes literal; /* NONE for a parameter and the root */
    struct http_node *child; /* literal children */
    struct http_node *sibling;
    struct http_node *param; /* child that takes any segment */
    struct http_route *routes[BV_METHOD_COUNT];
    bool used; /* some route ends here */
};
struct http_router {
    struct bv_arena *arena; /* owned: nodes and routes */
    struct http_node root;
};
extern const char *const http_method_names[BV_METHOD_COUNT + 1];
int http_router_open(struct http_router *router);
void http_router_release(struct http_router *router);
int http_router_add(struct http_router *router,
                    const struct bv_http_route *row,
                    void *context,
                    struct http_route **ret_route);
/* The node of a path given as decoded segments; values of parameters go to ret_params in order.
 * NULL: no such path. */
const struct http_node *http_router_find(const struct http_router *router,
                                         const struct bv_bytes *segments,
                                         size_t count,
                                         struct bv_bytes ret_params[HTTP_PARAMS_MAX]);
/* "GET, HEAD, OPTIONS" */
struct bv_bytes http_node_allow(const struct http_node *node, struct bv_arena *arena);

/* ---- one request
 * ---------------------------------------------------------------------------------------------------------------
 */

struct http_connection;

struct http_field_at { /* offsets into head */
    uint32_t name;
    uint32_t name_size;
    uint32_t value;
    uint32_t value_size;
};
struct http_refusal {
    int status; /* 0: not refused */
    const char *code;
    const char *title;
    const char *www_authenticate; /* arena or static; NULL: none */
    bool broken;                  /* the stream cannot be read on */
    char detail[160];
};
struct bv_http_request {
    struct bv_http_server *server;
    struct http_connection *connection; /* NULL: the peer is gone */
    struct bv_http_request *next;       /* in the free or the finished list */
    uint32_t slot;
    uint32_t generation;
    struct bv_arena *arena;
    struct bv_buf head; /* target, then names and values */
    struct bv_buf body;
    struct bv_bytes target;
    struct bv_bytes path; /* as sent, without query */
    struct bv_bytes query;
    const struct http_node *node;
    struct http_route *route;
    struct bv_bytes params[HTTP_PARAMS_MAX];
    struct bv_principal *principal; /* arena */
    struct bv_bytes correlation;
    struct bv_trace trace;
    int64_t start_us;
    int64_t deadline_ms;
    size_t body_max;
    size_t overhead; /* bytes of chunk extensions and trailers */
    int method;      /* enum bv_http_method, or BV_METHOD_COUNT */
    int status;      /* of the reply */
    uint32_t target_size;
    uint32_t field_count;
    bool keep_alive;
    bool http10;
    bool body_expected;
    bool headers_done;
    bool discard; /* body is read and dropped */
    bool complete;
    bool in_handler;
    bool deferred;
    bool replied;
    bool auth_pending; /* the authenticator could not tell yet */
    bool auth_waiting; /* … and the request is whole: it waits to be asked again */
    bool finishing;    /* replied outside of its handler: waits in the finished list */
    char trace_id[33];
    struct http_refusal refusal;
    struct http_field_at fields[HTTP_FIELDS_MAX];
};
#define HTTP_NAME(r, i)                                                                            \
    ((struct bv_bytes){(r)->head.data + (r)->fields[i].name, (r)->fields[i].name_size})
#define HTTP_VALUE(r, i)                                                                           \
    ((struct bv_bytes){(r)->head.data + (r)->fields[i].value, (r)->fields[i].value_size})

/* Lends a request object to the connection. BV_E_NOMEM. */
int http_request_begin(struct http_connection *connection);
void http_request_trace(struct bv_http_request *request);
void http_request_release(struct bv_http_request *request);
/* Asks the authenticator: sets principal, refusal or auth_pending. */
void http_request_authenticate(struct bv_http_request *request);
/* Splits and decodes the target, finds the route. Refuses into request->refusal. */
void http_request_resolve(struct bv_http_request *request);
void http_request_refuse(struct bv_http_request *request,
                         int status,
                         const char *code,
                         const char *title,
                         const char *format,
                         ...) BV_PRINTF(5, 6);
void http_request_refuse_code(struct bv_http_request *request, int code, const char *format, ...)
    BV_PRINTF(3, 4);
/* Does a comma-separated list hold token (no case)? */
bool http_list_has(struct bv_bytes list, const char *token);
/* Next element of a comma-separated list, trimmed; false at the end. */
bool http_list_next(struct bv_bytes *rest, struct bv_bytes *ret_item);
struct bv_bytes http_trim(struct bv_bytes text);

/* ---- connections
 * ---------------------------------------------------------------------------------------------------------------
 */

enum http_phase {
    PHASE_IDLE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_HANDLING,
    PHASE_WRITING,
    PHASE_STREAM,
    PHASE_LINGER,
    PHASE_CLOSING
};

struct http_connection {
    uv_tcp_t tcp;
    llhttp_t parser;
    struct http_timer timer;
    struct bv_http_server *server;
    struct http_connection *prev;
    struct http_connection *next;
    struct bv_http_request *request; /* NULL while idle */
    struct bv_http_stream *stream;
    char *pending; /* bytes that came while a reply was owed; owned */
    size_t pending_size;
    size_t queued_seen; /* output that waited at the last look */
    enum http_phase phase;
    bool reading;
    int writing; /* queued writes on their way */
    bool close_after;
    bool broken; /* writing failed */
    bool eof;
    bool feeding;
};
extern const llhttp_settings_t http_parser_settings;

void http_connection_accept(struct bv_http_server *server, int fd); /* takes fd */
void http_connection_close(struct http_connection *connection);
/* The socket failed with this libuv error; the kernel's own timeout counts as one. */
void http_connection_lost(struct http_connection *connection, int status);
/* Ends our half and reads on until the peer has ended its own, or for a moment, so that no reset
 * overtakes what was sent (RFC 9112, section 9.6). */
void http_connection_linger(struct http_connection *connection);
void http_connection_feed(struct http_connection *connection, const char *data, size_t size);
/* The reply of the current request has been made: releases it and goes on. */
void http_connection_finish(struct http_connection *connection);
/* One write of up to two spans; what the socket does not take is copied and queued. */
void http_connection_write(struct http_connection *connection,
                           struct bv_bytes head,
                           struct bv_bytes body);
void http_connection_expired(struct http_connection *connection);
void http_connection_due(struct http_connection *connection, int64_t delay_ms);
void http_connection_read_start(struct http_connection *connection);
void http_connection_drain(struct http_connection *connection);
/* uri-host [ ":" port ]: what Host and the authority of a target must be. */
bool http_host_good(struct bv_bytes host);
/* llhttp stopped with a fault: the refusal that it means. */
void http_parse_refuse(struct http_connection *connection, int parser_errno);

/* ---- replies
 * -------------------------------------------------------------------------------------------------------------------
 */

int http_reply(struct bv_http_request *request, const struct bv_http_response *response);
int http_reply_refusal(struct bv_http_request *request);
/* bv_http_fail; where not even that can be sent, the connection ends. */
void http_fail_or_cut(struct bv_http_request *request, int code, const struct bv_error *error);
/* With up to two more fields. */
int http_reply_problem(struct bv_http_request *request,
                       const struct bv_http_problem *problem,
                       const struct bv_http_field *extra,
                       size_t extra_count);
/* Access log, metrics, span. status is what was sent, 499 for nobody. */
void http_account(struct bv_http_request *request, int status, size_t bytes);
void http_stats_open(struct bv_http_server *server, struct http_stats *stats, const char *route);

struct http_gzip; /* one deflate state, reset for each body */
void http_gzip_close(struct http_gzip **gzip);
/* Outcome 1: does not pay. *ret_out is valid until the next call. */
int http_gzip_encode(struct http_gzip **gzip, struct bv_bytes body, struct bv_bytes *ret_out);
bool http_gzip_compressible(const char *content_type);
bool http_gzip_accepted(struct bv_bytes accept_encoding);

/* ---- streams
 * -------------------------------------------------------------------------------------------------------------------
 */

enum http_stream_kind { HTTP_SSE, HTTP_WEBSOCKET };

struct bv_http_message {
    uint32_t references;
    struct bv_bytes id;
    struct bv_bytes event;
    struct bv_bytes data;
    struct bv_bytes frames[2]; /* owned, by kind; NONE until needed */
};
struct http_queued {
    struct bv_http_message *message; /* one reference */
    char *key;                       /* owned; NULL: none */
    size_t key_size;
};
struct bv_http_stream {
    struct bv_http_server *server;
    struct http_connection *connection;
    struct bv_http_stream *next_dirty;
    struct bv_http_stream_config config;
    struct bv_http_stream_events events;
    enum http_stream_kind kind;
    struct http_queued *queue; /* ring, owned */
    uint32_t queue_capacity;   /* power of two */
    uint32_t queue_first;
    uint32_t queue_count;
    uint32_t in_flight;  /* first entries that a queued write holds */
    size_t first_offset; /* bytes of the first entry that have left */
    size_t queued_bytes;
    uv_write_t write;
    void *websocket; /* wslay context */
    struct bv_bytes input;
    int64_t heartbeat_at_ms;
    int64_t progress_at_ms;
    int close_code;
    uint8_t pings_unanswered;
    bool dirty;
    bool receiving;
    bool closing; /* a close frame or the end is queued: nothing more is accepted */
    bool peer_closed;
    bool failed; /* the peer broke the protocol: what it says is not read any more */
    bool ended;  /* `closed` has run */
};
void http_stream_input(struct bv_http_stream *stream, struct bv_bytes data);
void http_stream_tick(struct bv_http_stream *stream);
void http_stream_end(struct bv_http_stream *stream,
                     int code); /* connection gone: runs `closed`, frees */
void http_stream_flush_all(struct bv_http_server *server);
int http_stream_new(struct bv_http_request *request,
                    enum http_stream_kind kind,
                    const struct bv_http_stream_config *config,
                    const struct bv_http_stream_events *events,
                    struct bv_http_stream **ret_stream);
/* Sends head as the reply and makes the connection a stream. */
int http_stream_begin(struct bv_http_stream *stream,
                      struct bv_http_request *request,
                      int status,
                      struct bv_bytes head);
int http_stream_queue(struct bv_http_stream *stream,
                      struct bv_http_message *message,
                      struct bv_bytes key);
void http_stream_drop_pending(struct bv_http_stream *stream);
/* One message that is sent as it is, whatever the kind. NULL: no memory. */
struct bv_http_message *http_message_raw(struct bv_bytes frame);
struct bv_bytes http_message_frame(struct bv_http_message *message, enum http_stream_kind kind);
struct bv_bytes http_sse_frame(const struct bv_http_message *message);
struct bv_bytes http_websocket_frame(const struct bv_http_message *message);
void http_websocket_input(struct bv_http_stream *stream);
void http_websocket_end(struct bv_http_stream *stream);
void http_websocket_close(struct bv_http_stream *stream, int code, const char *reason);

/* ---- the server
 * ----------------------------------------------------------------------------------------------------------------
 */

struct bv_http_server {
    struct bv_http_config config;
    struct bv_http_deps deps;
    const struct bv_env *env;
    uv_loop_t *uv;
    int listen_fd;                 /* -1: none */
    struct bv_poll *listener;      /* of listen_fd */
    struct bv_timer *accept_again; /* after a failure */
    uv_timer_t ticker;
    uv_timer_t flusher;
    struct bv_idle *idle;
    struct http_wheel wheel;
    struct http_router router;
    struct http_stats unmatched;
    bv_http_authenticate *authenticate;
    void *authenticate_context;
    struct http_connection *connections;
    struct bv_http_request **slots; /* all requests ever made */
    size_t slot_count;
    size_t slot_capacity;
    struct bv_http_request *free_requests;
    size_t free_count;
    struct bv_http_request *finished;
    struct bv_http_stream *dirty;
    struct bv_http_message *sse_heartbeat;
    struct bv_http_message *websocket_ping;
    char *read_buffer;
    size_t read_bytes; /* of it, at once: HTTP_READ_BYTES, less in tests of split input */
    struct bv_buf out; /* the reply that is being made */
    struct http_gzip *gzip;
    struct bv_series *connections_gauge;
    struct bv_series *rejected;
    struct bv_series *late;
    struct bv_series *timeouts;
    struct bv_series *streams[2];
    struct bv_series *stream_dropped;
    struct bv_series *stream_slow;
    int64_t connection_count;
    int64_t date_until_ms;
    char date[40]; /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */
    int port;
    bool accept_failing;
    bool draining;
    bool closed; /* bv_http_server_close was called: freed with the last handle */
    bool ticking;
    bool flush_armed;
    bool reading_shared; /* read_buffer is in use */
    int handles;         /* uv handles that are not closed yet */
    atomic_int posts;    /* replies from other threads on their way */
    int64_t drain_at_ms;
    void (*drained)(void *argument);
    void *drained_argument;
};
void http_server_date(struct bv_http_server *server);
void http_server_connection_gone(struct bv_http_server *server);
void http_server_log_written(struct bv_http_server *server);
void http_server_tick_start(struct bv_http_server *server);
void http_server_finish_later(struct bv_http_request *request); /* replied outside of its handler */
void http_server_arm(struct bv_http_server *server);            /* idle work waits */
void http_server_unref(struct bv_http_server *server);
void http_count(struct bv_series *series); /* NULL: nothing */
static inline int64_t http_now_ms(const struct bv_http_server *server)
{
    return bv_loop_now_ms(server->deps.loop);
}

#endif
