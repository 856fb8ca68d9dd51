/* W3C trace context and finished spans. Sources: W3C Trace Context 1 (traceparent), W3C Baggage is
 * not carried. Export (OTLP) is bv/otlp.h, above. Thread: any (values only). */
#ifndef BV_TRACE_H
#define BV_TRACE_H

#include "bv/env.h"

struct bv_trace {
    uint8_t trace_id[16]; /* all-zero: no trace */
    uint8_t span_id[8];   /* of the current span */
    uint8_t parent_id[8]; /* all-zero: root */
    uint8_t flags;        /* bit 0: sampled */
};
#define BV_TRACE_SAMPLED 1u
#define BV_TRACEPARENT_SIZE 56 /* "00-<32>-<16>-<2>" and NUL */

/* Reads a traceparent header.
 * Effect:    parent_id is left zero, span_id is the sender's: derive a child before use.
 * Ranges:    of the flags only "sampled" is kept; versions 01..fe are read as far as version 00
 *            goes.
 * Outcomes:  none.
 * Errors:    BV_E_INVALID (ret_trace untouched): wrong form, upper case, version ff, an all-zero
 *            id.
 * Thread:    any.
 * Source:    W3C Trace Context 1, sections 3.2 and 4.3. */
BV_MUST_CHECK int bv_trace_parse(struct bv_bytes traceparent, struct bv_trace *ret_trace);
void bv_trace_format(const struct bv_trace *trace, char out[BV_TRACEPARENT_SIZE]); /* version 00 */
/* A new span under parent, or a new root when parent is NULL or empty.
 * Effect:    draws ids from env->random. A child keeps the parent's sampling decision; a root is
 *            sampled with probability sample_per_million / 1e6.
 * Outcomes:  none. Errors: none. Thread: any that may use env->random. */
struct bv_trace bv_trace_child(const struct bv_env *env,
                               const struct bv_trace *parent,
                               uint32_t sample_per_million);
bool bv_trace_present(const struct bv_trace *trace);
void bv_trace_id_format(const struct bv_trace *trace, char out[33]); /* 32 digits and NUL */

enum bv_span_kind {
    BV_SPAN_INTERNAL = 1,
    BV_SPAN_SERVER,
    BV_SPAN_CLIENT,
    BV_SPAN_PRODUCER,
    BV_SPAN_CONSUMER
};
struct bv_span_attribute {
    const char *key;      /* static */
    struct bv_bytes text; /* used when data != NULL */
    int64_t number;
};
struct bv_span {
    struct bv_trace trace;
    const char *name; /* static or living until bv_spans_end returns */
    enum bv_span_kind kind;
    int64_t start_wall_us;
    int64_t end_wall_us;
    int error_code; /* 0 ok */
    const struct bv_span_attribute *attributes;
    size_t attribute_count;
    const struct bv_trace *links; /* batches link to the work they carry */
    size_t link_count;
};
/* Where finished spans go; copies what it keeps, never blocks, drops (counted) when full. NULL
 * sink: nothing happens. */
struct bv_span_sink {
    void (*finish)(struct bv_span_sink *self, const struct bv_span *span);
};
static inline void bv_span_finish(struct bv_span_sink *sink, const struct bv_span *span)
{
    if (sink && (span->trace.flags & BV_TRACE_SAMPLED))
        sink->finish(sink, span);
}

#endif
