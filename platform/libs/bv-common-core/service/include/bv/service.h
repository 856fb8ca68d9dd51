/* The frame of every service: options, log, metrics, loop, HTTP server with /healthz /readyz /metrics /openapi.yaml, trace export, signals and
 * graceful stop with a deadline. main() is one call. Invariant: stop order is start order reversed. Thread: loop. */
#ifndef BV_SERVICE_H
#define BV_SERVICE_H

#include "bv/config.h"
#include "bv/http.h"
#include "bv/httpc.h"
#include "bv/pg.h"
#include "bv/redis.h"

struct bv_service_common { /* options every service has */
    const char *host;
    int64_t http_port;
    const char *log_level;
    const char *otlp_url;       /* "http://127.0.0.1:4318", "": no export */
    int64_t trace_sample_ppm;   /* of roots, 0..1000000 */
    int64_t drain_ms;
    int64_t connections_max;
    bool access_log;
};
struct bv_service; /* what init receives; everything in it lives until release has run */
struct bv_service_spec {
    const char *name;    /* "order" */
    const char *purpose; /* one sentence for --help */
    const struct bv_option *options;
    size_t option_count;
    size_t config_bytes; /* of the struct the options fill */
    const struct bv_http_route *routes; /* the API table, also printed by --describe */
    size_t route_count;
    const struct bv_bytes *openapi; /* embedded file, NULL: none */
    const char *const *topics_in;   /* for --describe, NULL-terminated; may be NULL */
    const char *const *topics_out;
    /* init builds the service (connects lazily), returns its state; start begins consuming; stop ends intake and must call bv_service_stopped when
     * in-flight work is done (or at once); release frees. ready: 0, or BV_E_UNAVAILABLE with the reason in error. */
    int (*init)(struct bv_service *service, const void *config, void **ret_state, struct bv_error *error);
    int (*start)(void *state, struct bv_error *error);
    int (*ready)(void *state, struct bv_error *error);
    void (*stop)(void *state);
    void (*release)(void **state);
};
/* Runs the program: --help, --describe (JSON: name, routes, options, topics: the lab reads it), --print-config, or serve until SIGTERM/SIGINT.
 * Exit status: 0 clean, 2 bad options, 1 fault. */
int bv_service_main(const struct bv_service_spec *spec, int argc, char **argv);

struct bv_loop *bv_service_loop(struct bv_service *service);
const struct bv_env *bv_service_env(struct bv_service *service);
struct bv_log *bv_service_log(struct bv_service *service);
struct bv_metrics *bv_service_metrics(struct bv_service *service);
struct bv_span_sink *bv_service_spans(struct bv_service *service);
struct bv_http_server *bv_service_http(struct bv_service *service);
struct bv_httpc *bv_service_httpc(struct bv_service *service);
const struct bv_service_common *bv_service_common(struct bv_service *service);
void bv_service_stopped(struct bv_service *service);
void bv_service_abort(struct bv_service *service, const struct bv_error *error); /* a fault that ends the process: logged, exit 1 */

#endif
