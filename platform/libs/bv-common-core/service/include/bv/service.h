/* The frame of every service: options, log, metrics, loop, HTTP server with /healthz /readyz
 * /metrics /openapi.yaml, trace export, signals and graceful stop with a deadline. main() is one
 * call:
 *
 *     int main(int argc, char **argv) { return bv_service_main(&order_spec, argc, argv); }
 *
 * Start:  options, log, metrics, loop, HTTP client, trace export, HTTP server, init, routes, start,
 * listen. SERVING from here on. Stop:   readiness off, HTTP drained, stop, spans flushed, release,
 * and the rest in reverse order of start. Invariant: stop order is start order reversed; past
 * drain_ms the process ends with exit status 1 and a log line, whatever still runs. Log events:
 * service.started {host, port, pid}, service.stopping {reason}, service.stopped {took},
 * service.failed, service.aborted, service.stop_overdue {phase}, service.broken {switch, what}: the
 * planted bug that BV_BREAK names (bv/breakage.h). Nothing is printed on stdout while
 * serving. SIGPIPE is ignored. Thread: loop, all functions. */
#ifndef BV_SERVICE_H
#define BV_SERVICE_H

#include "bv/config.h"
#include "bv/http.h"
#include "bv/httpc.h"

struct bv_service_common { /* options every service has; the key of http_port is "http-port", its
                              variable BV_HTTP_PORT, and so on */
    const char *host;
    int64_t http_port;        /* 0: any free one, see service.started */
    const char *log_level;    /* debug, info, warn, error */
    const char *otlp_url;     /* "http://127.0.0.1:4318", "": no export */
    int64_t trace_sample_ppm; /* of roots, 0..1000000 */
    int64_t drain_ms;         /* from the signal to the end of the process */
    int64_t connections_max;
    bool access_log;
    const char *instance; /* in logs and spans; "": host name and process id */
};
struct bv_service; /* what init receives; everything in it lives until release has run */
struct bv_service_spec {
    const char *name;    /* "order" */
    const char *purpose; /* one sentence for --help */
    const struct bv_option *options;
    size_t option_count;
    size_t config_bytes;                /* of the struct the options fill; 0: init gets NULL */
    const struct bv_http_route *routes; /* the API table, printed by --describe and registered by
                                           the frame after init, with the state as context */
    size_t route_count;
    const struct bv_bytes *openapi; /* embedded file, NULL: none */
    const char *const *topics_in;   /* for --describe, NULL-terminated; may be NULL */
    const char *const *topics_out;
    size_t state_bytes; /* of the service's own struct, which the frame makes all-zero and frees */
    /* init builds the service in state (connects lazily). Errors: any fault, with detail in error:
     * release is called, the process ends with exit status 1. It may set the authenticator and open
     * streams' hubs on bv_service_http. */
    int (*init)(void *state,
                struct bv_service *service,
                const void *config,
                struct bv_error *error);
    int (*start)(void *state,
                 struct bv_error *error); /* begins consuming; NULL: nothing to do. After a fault
                                             release is called, stop is not */
    int (*ready)(
        void *state,
        struct bv_error *error); /* 0, or BV_E_UNAVAILABLE with the reason; 0 with a text in *error:
                                    ready with less than all ("degraded"); cheap; NULL: always */
    /* Ends intake and must call bv_service_stopped when in-flight work is done (or at once). Runs
     * after the HTTP server has drained. NULL: nothing to do. */
    void (*stop)(void *state);
    void (*release)(void *state); /* of what state holds, half-built or not at all; NULL: nothing */
};
/* Effect:    runs the program: --help, --describe, --print-config, --print-options (Markdown, for
 * the README), or serves until SIGTERM or SIGINT; a second signal ends it at once (exit status 1).
 *            --describe prints {name, purpose, routes: [{method, path, operationId, scope,
 * bodyBytesMax}], options: [{key, environment, type, default, min, max, unit, secret, help}],
 * topicsIn, topicsOut} and needs no option; the frame's own routes are left out. Ownership: spec is
 * borrowed for the call. Errors:    exit status 0 clean, 2 bad options (text on stderr), 1 fault
 * (one JSON line on stderr). Thread:    main; once per process. */
int bv_service_main(const struct bv_service_spec *spec, int argc, char **argv);

struct bv_loop *bv_service_loop(struct bv_service *service);
const struct bv_env *bv_service_env(struct bv_service *service);
struct bv_log *bv_service_log(struct bv_service *service);
struct bv_metrics *bv_service_metrics(struct bv_service *service);
struct bv_span_sink *
bv_service_spans(struct bv_service *service); /* NULL without export, as bv_span_finish takes it */
struct bv_http_server *bv_service_http(struct bv_service *service);
struct bv_httpc *bv_service_httpc(struct bv_service *service);
const struct bv_service_common *bv_service_common(struct bv_service *service);
void bv_service_stopped(struct bv_service *service);
/* A fault that ends the process: logged, graceful stop, exit status 1. Also from init and start,
 * which then should return. */
void bv_service_abort(struct bv_service *service, const struct bv_error *error);

#endif
