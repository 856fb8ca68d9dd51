/* HTTP client: libcurl multi on the loop, pooled keep-alive connections, deadlines, trace headers.
 * HTTP/1.1 over TCP or TLS (peer verified). Invariants: every accepted request ends in exactly one
 * call of done; redirects are not followed, no cookies are kept, neither proxies nor netrc are
 * taken from the environment, bodies are not decompressed. A request on a kept connection that the
 * peer closed meanwhile, before any byte of an answer, is sent once more on a fresh one. Thread:
 * loop, all functions. Source: RFC 9110, 9112; W3C Trace Context 1. */
#ifndef BV_HTTPC_H
#define BV_HTTPC_H

#include "bv/arena.h"
#include "bv/http_types.h"
#include "bv/loop.h"
#include "bv/trace.h"

struct bv_httpc;
struct bv_httpc_config {
    int64_t
        connections_max; /* 1..65536, kept ones included; further requests wait for a connection */
    int64_t connections_per_host_max; /* 1..65536 */
    int64_t requests_max;             /* waiting and running; BV_E_LIMIT past it */
    int64_t response_bytes_max;       /* body; BV_E_TOO_LARGE past it */
    const char *user_agent;           /* copied; NULL: none is sent */
    bool public_only; /* only public addresses (bv/address.h) are connected to, whatever a name
                         resolves to; BV_E_UNAVAILABLE otherwise */
};
extern const struct bv_httpc_config
    bv_httpc_config_default; /* 256, 64, 1024, 4 MiB, "bitvelocity" */
#define BV_HTTPC_FIELDS_MAX                                                                        \
    128 /* fields of a request and of a response each; BV_E_TOO_LARGE past it */
#define BV_HTTPC_FIELD_BYTES_MAX 65536 /* their bytes, likewise */

/* Errors: BV_E_INVALID (a config value out of range), BV_E_NOMEM. Ownership: config is copied; loop
 * is borrowed until close. */
BV_MUST_CHECK int bv_httpc_open(struct bv_loop *loop,
                                const struct bv_httpc_config *config,
                                struct bv_httpc **ret_client);
/* Running requests end with BV_E_CANCELLED before it returns; sending from their done is refused
 * with BV_E_CLOSED. Not within a done. */
void bv_httpc_close(struct bv_httpc **client);

struct bv_httpc_request {
    const char *method; /* "POST": 1..16 upper-case letters */
    const char *url;    /* http or https, absolute; userinfo is refused */
    const struct bv_http_field
        *fields; /* Content-Length and Transfer-Encoding are refused: the body says them */
    size_t field_count;
    struct bv_bytes body; /* copied; POST, PUT and PATCH send Content-Length: 0 for an empty one */
    int64_t timeout_ms;   /* whole exchange, waiting for a connection included; > 0 */
    const struct bv_trace *trace; /* adds traceparent; NULL: none */
};
struct bv_httpc_response {
    int status; /* 200..999; interim answers are skipped */
    struct bv_bytes body;
    const struct bv_http_field *fields; /* as received, in order; trailers are dropped */
    size_t field_count;
    int64_t elapsed_us; /* send to done */
};
/* First field of that name (case-insensitive), trimmed; BV_BYTES_NONE when absent. Ownership: the
 * response's. */
struct bv_bytes bv_httpc_field(const struct bv_httpc_response *response, const char *name);
/* rc 0: an answer came (any status). BV_E_TIMEOUT, BV_E_UNAVAILABLE (refused, reset, closed early,
 * no name), BV_E_PROTOCOL (no HTTP, TLS failed), BV_E_TOO_LARGE, BV_E_CANCELLED, BV_E_NOMEM
 * otherwise; response is then NULL and error has the detail. Everything lives for the call only.
 * Never called from within bv_httpc_send; may call bv_httpc_send. */
typedef void bv_httpc_done(void *argument,
                           int rc,
                           const struct bv_httpc_response *response,
                           const struct bv_error *error);
/* Effect:    starts the exchange; done(argument, ...) is called once when it has ended.
 * Ownership: the request and all it points to are copied.
 * Errors:    BV_E_INVALID (method, URL, field or timeout_ms), BV_E_LIMIT (requests_max),
 * BV_E_TOO_LARGE (fields), BV_E_CLOSED, BV_E_NOMEM; done is then never called. */
BV_MUST_CHECK int bv_httpc_send(struct bv_httpc *client,
                                const struct bv_httpc_request *request,
                                bv_httpc_done *done,
                                void *argument);
/* Requests that wait or run. */
size_t bv_httpc_pending(const struct bv_httpc *client);

#endif
