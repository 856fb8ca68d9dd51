/* An OTLP/HTTP collector on loopback: the services of the run's own stack send their spans here,
 * the results get them. Invariant: at most SPANS_MAX wait; further ones are dropped and counted.
 * Thread: take: any; the rest: the owner. Source: OpenTelemetry Protocol 1.3, OTLP/HTTP with
 * protobuf. */
#ifndef BV_SPANS_H
#define BV_SPANS_H

#include "bv/env.h"

enum { SPANS_MAX = 20000 };
enum span_status { SPAN_UNSET, SPAN_OK, SPAN_ERROR };
struct span_record {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* all-zero: root */
    int64_t start_wall_us;
    int64_t duration_us;
    enum span_status status;
    char service[48];
    char name[96];
};

struct spans;
/* Binds a port, so that the URL is known before the stack starts; what arrives waits until
 * spans_start. Errors: BV_E_IO, BV_E_LIMIT, BV_E_NOMEM. env is borrowed. */
BV_MUST_CHECK int
spans_open(const struct bv_env *env, struct spans **ret_spans, struct bv_error *error);
const char *spans_url(const struct spans *spans);
/* Begins to read. Errors: BV_E_LIMIT. */
BV_MUST_CHECK int spans_start(struct spans *spans, struct bv_error *error);
/* Moves the oldest span out. false: none waits. */
bool spans_take(struct spans *spans, struct span_record *ret_span);
void spans_close(struct spans **spans);

/* Reads one request body. Effect: calls add for each span. Errors: BV_E_INVALID: no such message.
 * Thread: any. */
BV_MUST_CHECK int spans_read(struct bv_bytes body,
                             void (*add)(void *argument, const struct span_record *span),
                             void *argument);

#endif
