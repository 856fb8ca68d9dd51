#include "bv/trace.h"

enum { VERSION_00_SIZE = BV_TRACEPARENT_SIZE - 1 };

static bool all_zero(const uint8_t *octets, size_t size)
{
    uint8_t bits = 0;
    for (size_t i = 0; i < size; i++)
        bits |= octets[i];
    return bits == 0;
}

static bool lower_hex(const char *text, size_t size, uint8_t *out)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] >= 'A' && text[i] <= 'F')
            return false;
    return bv_hex_decode((struct bv_bytes){text, size}, out, size / 2) == 0;
}

/* 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 * 0  3                                36               53 */
int bv_trace_parse(struct bv_bytes traceparent, struct bv_trace *ret_trace)
{
    struct bv_trace trace = {.flags = 0};
    const char *text = traceparent.data;
    uint8_t version;
    if (traceparent.size < VERSION_00_SIZE || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return BV_E_INVALID;
    if (!lower_hex(text, 2, &version) || version == 0xff)
        return BV_E_INVALID;
    if (traceparent.size > VERSION_00_SIZE && (version == 0 || text[VERSION_00_SIZE] != '-'))
        return BV_E_INVALID;
    if (!lower_hex(text + 3, 32, trace.trace_id) || !lower_hex(text + 36, 16, trace.span_id) ||
        !lower_hex(text + 53, 2, &trace.flags))
        return BV_E_INVALID;
    if (all_zero(trace.trace_id, sizeof(trace.trace_id)) ||
        all_zero(trace.span_id, sizeof(trace.span_id)))
        return BV_E_INVALID;
    trace.flags &= BV_TRACE_SAMPLED;
    *ret_trace = trace;
    return 0;
}

void bv_trace_format(const struct bv_trace *trace, char out[BV_TRACEPARENT_SIZE])
{
    memcpy(out, "00-", 3);
    bv_hex_encode(trace->trace_id, sizeof(trace->trace_id), out + 3);
    out[35] = '-';
    bv_hex_encode(trace->span_id, sizeof(trace->span_id), out + 36);
    out[52] = '-';
    bv_hex_encode(&trace->flags, 1, out + 53);
    out[55] = '\0';
}

static void random_id(const struct bv_env *env, uint8_t *id, size_t size)
{
    env->random->fill(env->random, id, size);
    if (all_zero(id, size))
        id[size - 1] = 1;
}

struct bv_trace
bv_trace_child(const struct bv_env *env, const struct bv_trace *parent, uint32_t sample_per_million)
{
    struct bv_trace trace = {.flags = 0};
    random_id(env, trace.span_id, sizeof(trace.span_id));
    if (parent && bv_trace_present(parent)) {
        memcpy(trace.trace_id, parent->trace_id, sizeof(trace.trace_id));
        memcpy(trace.parent_id, parent->span_id, sizeof(trace.parent_id));
        trace.flags = parent->flags;
        return trace;
    }
    random_id(env, trace.trace_id, sizeof(trace.trace_id));
    if (sample_per_million >= 1000000 ||
        (sample_per_million > 0 && bv_random_below(env, 1000000) < sample_per_million))
        trace.flags = BV_TRACE_SAMPLED;
    return trace;
}

bool bv_trace_present(const struct bv_trace *trace)
{
    return !all_zero(trace->trace_id, sizeof(trace->trace_id));
}

void bv_trace_id_format(const struct bv_trace *trace, char out[33])
{
    bv_hex_encode(trace->trace_id, sizeof(trace->trace_id), out);
    out[32] = '\0';
}
