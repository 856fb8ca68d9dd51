/* HTTP client: libcurl multi on the loop, pooled connections, deadlines, trace headers. Thread: loop. */
#ifndef BV_HTTPC_H
#define BV_HTTPC_H

#include "bv/arena.h"
#include "bv/http_types.h"
#include "bv/loop.h"
#include "bv/trace.h"

struct bv_httpc;
struct bv_httpc_config {
    int64_t connections_max;
    int64_t connections_per_host_max;
    int64_t requests_max; /* waiting and running; BV_E_LIMIT past it */
    int64_t response_bytes_max;
    const char *user_agent;
};
extern const struct bv_httpc_config bv_httpc_config_default;
BV_MUST_CHECK int bv_httpc_open(struct bv_loop *loop, const struct bv_httpc_config *config, struct bv_httpc **ret_client);
void bv_httpc_close(struct bv_httpc **client); /* running requests end with BV_E_CANCELLED */

struct bv_httpc_request {
    const char *method; /* "POST" */
    const char *url;    /* http or https, absolute; userinfo is refused */
    const struct bv_http_field *fields;
    size_t field_count;
    struct bv_bytes body;          /* copied */
    int64_t timeout_ms;            /* whole exchange; > 0 */
    const struct bv_trace *trace;  /* adds traceparent; NULL: none */
};
struct bv_httpc_response {
    int status;
    struct bv_bytes body;
    const struct bv_http_field *fields;
    size_t field_count;
    int64_t elapsed_us;
};
struct bv_bytes bv_httpc_field(const struct bv_httpc_response *response, const char *name);
/* rc 0: an answer came (any status). BV_E_TIMEOUT, BV_E_UNAVAILABLE (refused, reset, no name), BV_E_PROTOCOL, BV_E_TOO_LARGE, BV_E_CANCELLED otherwise; response
 * is then NULL and error has the detail. Everything lives for the call only. Never called from within bv_httpc_send. */
typedef void bv_httpc_done(void *argument, int rc, const struct bv_httpc_response *response, const struct bv_error *error);
BV_MUST_CHECK int bv_httpc_send(struct bv_httpc *client, const struct bv_httpc_request *request, bv_httpc_done *done, void *argument);

#endif
