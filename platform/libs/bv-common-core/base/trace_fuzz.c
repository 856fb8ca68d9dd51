/* Properties: a traceparent that is taken has ids that are not zero and the form of W3C Trace
 * Context; written as version 00 it is taken again and is the same; a child keeps trace and
 * sampling and has another span; a refusal leaves the result alone. */
#include "bv/trace.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bv_bytes header = fuzz_bytes(data, size);
    struct bv_trace trace, before, again;
    char text[BV_TRACEPARENT_SIZE], id[33];
    memset(&trace, 0x5a, sizeof trace);
    memcpy(&before, &trace, sizeof trace);
    if (bv_trace_parse(header, &trace) != 0) {
        FUZZ_REQUIRE(memcmp(&before, &trace, sizeof trace) == 0);
        return 0;
    }
    FUZZ_REQUIRE(bv_trace_present(&trace) && size >= BV_TRACEPARENT_SIZE - 1);
    FUZZ_REQUIRE(size == BV_TRACEPARENT_SIZE - 1 || memcmp(data, "00", 2) != 0);
    bv_trace_format(&trace, text);
    FUZZ_REQUIRE(strlen(text) == BV_TRACEPARENT_SIZE - 1);
    FUZZ_REQUIRE(memcmp(text + 2, data + 2, 51) == 0); /* ids as they came */
    FUZZ_REQUIRE(bv_trace_parse(bv_bytes_of(text), &again) == 0);
    FUZZ_REQUIRE(memcmp(&trace, &again, sizeof trace) == 0);
    bv_trace_id_format(&trace, id);
    FUZZ_REQUIRE(strlen(id) == 32 && memcmp(id, data + 3, 32) == 0);
    const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    const struct bv_trace child = bv_trace_child(&env, &trace, 0);
    FUZZ_REQUIRE(memcmp(child.trace_id, trace.trace_id, sizeof trace.trace_id) == 0);
    FUZZ_REQUIRE(memcmp(child.parent_id, trace.span_id, sizeof trace.span_id) == 0);
    FUZZ_REQUIRE(child.flags == trace.flags && (trace.flags & ~BV_TRACE_SAMPLED) == 0);
    return 0;
}
