/* Export of finished spans as OTLP/HTTP protobuf: batched, bounded, never blocking. A span is
 * encoded where it ends; batches leave one at a time. Invariants: at most queue_max spans wait;
 * every span ends in exactly one outcome of bv_otlp_spans_total{outcome}: "exported",
 * "dropped_full" (queue), "dropped_failed" (collector unreachable or refusing, retries used up, or
 * the exporter closed), "rejected" (by the collector's partial success). Thread: finish: any; the
 * rest: loop. Sources: OpenTelemetry Protocol 1.3 (opentelemetry-proto 1.3.2), "OTLP/HTTP" with its
 * list of retryable answers. */
#ifndef BV_OTLP_H
#define BV_OTLP_H

#include "bv/httpc.h"
#include "bv/metrics.h"
#include "bv/trace.h"

struct bv_otlp;
struct bv_otlp_config {
    const char *url;      /* base, "/v1/traces" is appended; at most 512 bytes with it */
    const char *service;  /* resource attribute service.name; at most 128 bytes */
    const char *instance; /* service.instance.id; NULL or "": none */
    int64_t batch_max;    /* spans per request, 1..8192 */
    int64_t queue_max;    /* spans waiting, batch_max..1048576; past it the newest is dropped and
                             counted */
    int64_t
        interval_ms; /* a batch that is not full leaves this long after its first span; 1..60000 */
};
/* Limits of one span; what is beyond them is left out and counted in the span's dropped_..._count,
 * text is cut. */
#define BV_OTLP_ATTRIBUTES_MAX 32
#define BV_OTLP_TEXT_BYTES_MAX 1024
#define BV_OTLP_LINKS_MAX 128

/* Ownership: config is copied; loop, client and metrics are borrowed until close.
 * Errors:    BV_E_INVALID (a value out of range), BV_E_NOMEM. */
BV_MUST_CHECK int bv_otlp_open(struct bv_loop *loop,
                               struct bv_httpc *client,
                               const struct bv_otlp_config *config,
                               struct bv_metrics *metrics,
                               struct bv_otlp **ret_otlp);
struct bv_span_sink *bv_otlp_sink(
    struct bv_otlp *otlp); /* lives as long as the exporter; nobody may finish a span after close */
/* Sends what waits, without retries, then calls done(argument), at once when nothing waits. A
 * collector that fails makes the rest dropped. Once, at stop. */
void bv_otlp_flush(struct bv_otlp *otlp, void (*done)(void *argument), void *argument);
/* Drops what waits or is under way (counted). done of an unfinished flush is not called. */
void bv_otlp_close(struct bv_otlp **otlp);

#endif
