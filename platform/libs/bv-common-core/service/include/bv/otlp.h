/* Export of finished spans as OTLP/HTTP protobuf, batched, bounded, never blocking. Thread: finish: any; the rest: loop.
 * Source: OpenTelemetry Protocol 1.3 (opentelemetry-proto 1.3.2). */
#ifndef BV_OTLP_H
#define BV_OTLP_H

#include "bv/httpc.h"
#include "bv/metrics.h"
#include "bv/trace.h"

struct bv_otlp;
struct bv_otlp_config {
    const char *url;      /* base, "/v1/traces" is appended */
    const char *service;
    const char *instance;
    int64_t batch_max;    /* spans per request */
    int64_t queue_max;    /* spans waiting; past it the newest is dropped and counted */
    int64_t interval_ms;
};
BV_MUST_CHECK int bv_otlp_open(struct bv_loop *loop, struct bv_httpc *client, const struct bv_otlp_config *config, struct bv_metrics *metrics, struct bv_otlp **ret_otlp);
struct bv_span_sink *bv_otlp_sink(struct bv_otlp *otlp);
void bv_otlp_flush(struct bv_otlp *otlp, void (*done)(void *argument), void *argument); /* at stop */
void bv_otlp_close(struct bv_otlp **otlp);

#endif
