/* Encoding of spans: one packed span at a time, and the request around packed spans. Thread: any
 * (no state). */
#ifndef BV_OTLP_SPAN_H
#define BV_OTLP_SPAN_H

#include "bv/trace.h"

/* One span as it will stand in the request: its length as varint, then the packed message. */
struct otlp_span {
    struct otlp_span *next;
    size_t size;
    uint8_t bytes[];
};

/* Errors: BV_E_NOMEM. Ownership: the caller frees *ret_encoded. */
BV_MUST_CHECK int otlp_span_encode(const struct bv_span *span, struct otlp_span **ret_encoded);
/* Appends an ExportTraceServiceRequest with the first count spans of the list. */
BV_MUST_CHECK int otlp_request_encode(const char *service,
                                      const char *instance,
                                      const struct otlp_span *first,
                                      size_t count,
                                      struct bv_buf *buf);
/* partial_success.rejected_spans of an ExportTraceServiceResponse; 0 when there is none or the body
 * is unreadable. */
int64_t otlp_response_rejected(struct bv_bytes body);

#endif
