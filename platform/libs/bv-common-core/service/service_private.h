/* What the files of the frame share. */
#ifndef BV_SERVICE_PRIVATE_H
#define BV_SERVICE_PRIVATE_H

#include "bv/otlp.h"
#include "bv/service.h"

#define INSTANCE_SIZE 129
#define ETAG_SIZE 24

/* In the order they are passed through; the name stands in service.stop_overdue and in /readyz. */
#define SERVICE_PHASES(X)                                                                          \
    X(PHASE_STARTING, "starting")                                                                  \
    X(PHASE_SERVING, "serving")                                                                    \
    X(PHASE_DRAINING, "draining")                                                                  \
    X(PHASE_STOPPING, "stopping")                                                                  \
    X(PHASE_FLUSHING, "flushing spans")                                                            \
    X(PHASE_ENDED, "ended")
enum service_phase {
#define PHASE_(name, text) name,
    SERVICE_PHASES(PHASE_)
#undef PHASE_
};
const char *service_phase_name(enum service_phase phase);

struct bv_service {
    const struct bv_service_spec *spec; /* borrowed: the caller's of bv_service_main */
    struct bv_service_common common;
    void *config; /* owned; the spec's struct */
    enum bv_level level;
    char instance[INSTANCE_SIZE];
    char openapi_etag[ETAG_SIZE];
    struct bv_env env;
    struct bv_log *log;
    struct bv_log *http_log; /* without an access log: lines from WARN on */
    struct bv_metrics *metrics;
    struct bv_loop *loop;
    struct bv_signal *on_term;
    struct bv_signal *on_int;
    struct bv_timer *log_flush;
    struct bv_timer *overdue;
    struct bv_httpc *httpc;
    struct bv_otlp *otlp; /* NULL: no export */
    struct bv_http_server *http;
    void *state; /* the spec's */
    enum service_phase phase;
    int64_t stop_at_us;
    int exit_status;
};

extern const struct bv_option service_common_options[];
extern const size_t service_common_option_count;

/* Registers /healthz, /readyz, /metrics and /openapi.yaml. */
BV_MUST_CHECK int service_routes_add(struct bv_service *service);
/* Writers of --describe and of the lines that --help adds. Errors: BV_E_TOO_LARGE. */
BV_MUST_CHECK int service_describe(const struct bv_service_spec *spec, struct bv_buf *buf);

#endif
