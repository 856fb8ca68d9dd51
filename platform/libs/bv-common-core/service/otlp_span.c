/* Generated protobuf-c structs are filled on the stack and packed at once: nothing of a span is
 * copied twice. Packed spans enter the request as "unknown fields" with the field number of
 * `spans`, which protobuf-c writes as they are. */
#include "otlp_span.h"

#include <stdlib.h>

#include "bv/otlp.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

#define SCRATCH_BYTES 8192 /* NUL-terminated copies of one span's texts */
#define SPANS_FIELD 2      /* of ScopeSpans */

typedef Opentelemetry__Proto__Trace__V1__Span Span;
typedef Opentelemetry__Proto__Trace__V1__Span__Link Link;
typedef Opentelemetry__Proto__Trace__V1__Status Status;
typedef Opentelemetry__Proto__Common__V1__KeyValue KeyValue;
typedef Opentelemetry__Proto__Common__V1__AnyValue AnyValue;

struct scratch {
    char text[SCRATCH_BYTES];
    size_t used;
    KeyValue pairs[BV_OTLP_ATTRIBUTES_MAX];
    AnyValue values[BV_OTLP_ATTRIBUTES_MAX];
    KeyValue *pair_list[BV_OTLP_ATTRIBUTES_MAX];
    Link links[BV_OTLP_LINKS_MAX];
    Link *link_list[BV_OTLP_LINKS_MAX];
};

/* proto3 strings are UTF-8: a cut falls between characters, and other bytes of an ill-formed text
 * become '?'. NULL when the scratch is full. */
static char *keep_text(struct scratch *scratch, struct bv_bytes text)
{
    if (text.size > BV_OTLP_TEXT_BYTES_MAX) {
        text.size = BV_OTLP_TEXT_BYTES_MAX;
        while (text.size && ((unsigned char)text.data[text.size] & 0xC0) == 0x80)
            text.size--;
    }
    if (text.size + 1 > sizeof(scratch->text) - scratch->used)
        return NULL;
    char *kept = scratch->text + scratch->used;
    bool sound = bv_bytes_utf8(text);
    for (size_t i = 0; i < text.size; i++)
        kept[i] = text.data[i] == '\0' || (!sound && (unsigned char)text.data[i] >= 0x80)
                      ? '?'
                      : text.data[i];
    kept[text.size] = '\0';
    scratch->used += text.size + 1;
    return kept;
}

static ProtobufCBinaryData octets(const uint8_t *data, size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *)data};
}

static bool all_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i])
            return false;
    return true;
}

static bool fill_pair(struct scratch *scratch, size_t at, const struct bv_span_attribute *attribute)
{
    KeyValue *pair = &scratch->pairs[at];
    AnyValue *value = &scratch->values[at];
    opentelemetry__proto__common__v1__key_value__init(pair);
    opentelemetry__proto__common__v1__any_value__init(value);
    pair->key = (char *)attribute->key;
    pair->value = value;
    if (attribute->text.data) {
        value->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value->string_value = keep_text(scratch, attribute->text);
        return value->string_value != NULL;
    }
    value->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
    value->int_value = attribute->number;
    return true;
}

static void fill_attributes(struct scratch *scratch, const struct bv_span *from, Span *span)
{
    for (size_t i = 0; i < from->attribute_count; i++) {
        if (span->n_attributes == BV_OTLP_ATTRIBUTES_MAX ||
            !fill_pair(scratch, span->n_attributes, &from->attributes[i])) {
            span->dropped_attributes_count++;
            continue;
        }
        scratch->pair_list[span->n_attributes] = &scratch->pairs[span->n_attributes];
        span->n_attributes++;
    }
    span->attributes = scratch->pair_list;
}

static void fill_links(struct scratch *scratch, const struct bv_span *from, Span *span)
{
    size_t count = from->link_count < BV_OTLP_LINKS_MAX ? from->link_count : BV_OTLP_LINKS_MAX;
    for (size_t i = 0; i < count; i++) {
        Link *link = &scratch->links[i];
        opentelemetry__proto__trace__v1__span__link__init(link);
        link->trace_id = octets(from->links[i].trace_id, 16);
        link->span_id = octets(from->links[i].span_id, 8);
        link->flags = from->links[i].flags;
        scratch->link_list[i] = link;
    }
    span->links = scratch->link_list;
    span->n_links = count;
    span->dropped_links_count = (uint32_t)(from->link_count - count);
}

static void fill_status(const struct bv_span *from, Status *status)
{
    opentelemetry__proto__trace__v1__status__init(status);
    if (from->error_code == 0)
        return;
    status->code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
    status->message = (char *)bv_error_row(from->error_code)->word;
}

static int pack_span(const Span *span, struct otlp_span **ret_encoded)
{
    size_t size = opentelemetry__proto__trace__v1__span__get_packed_size(span);
    struct otlp_span *encoded = malloc(sizeof(*encoded) + size + 10);
    if (!encoded)
        return BV_E_NOMEM;
    size_t at = 0;
    for (size_t rest = size; rest || at == 0; rest >>= 7)
        encoded->bytes[at++] = (uint8_t)((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
    opentelemetry__proto__trace__v1__span__pack(span, encoded->bytes + at);
    encoded->next = NULL;
    encoded->size = at + size;
    *ret_encoded = encoded;
    return 0;
}

int otlp_span_encode(const struct bv_span *from, struct otlp_span **ret_encoded)
{
    struct scratch scratch;
    Span span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
    Status status;
    scratch.used = 0;
    span.trace_id = octets(from->trace.trace_id, 16);
    span.span_id = octets(from->trace.span_id, 8);
    if (!all_zero(from->trace.parent_id, 8))
        span.parent_span_id = octets(from->trace.parent_id, 8);
    span.flags = from->trace.flags;
    span.name = keep_text(&scratch, bv_bytes_of(from->name));
    span.kind = (Opentelemetry__Proto__Trace__V1__Span__SpanKind)from->kind; /* same numbers */
    span.start_time_unix_nano = (uint64_t)from->start_wall_us * 1000;
    span.end_time_unix_nano = (uint64_t)from->end_wall_us * 1000;
    fill_attributes(&scratch, from, &span);
    fill_links(&scratch, from, &span);
    fill_status(from, &status);
    span.status = from->error_code ? &status : NULL;
    return pack_span(&span, ret_encoded);
}

/* ---- the request ---- */

static void text_pair(KeyValue *pair, AnyValue *value, const char *key, const char *text)
{
    opentelemetry__proto__common__v1__key_value__init(pair);
    opentelemetry__proto__common__v1__any_value__init(value);
    value->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
    value->string_value = (char *)text;
    pair->key = (char *)key;
    pair->value = value;
}

static int pack_request(Opentelemetry__Proto__Trace__V1__ScopeSpans *scope_spans,
                        const char *service,
                        const char *instance,
                        struct bv_buf *buf)
{
    KeyValue pairs[2];
    AnyValue values[2];
    KeyValue *pair_list[2] = {&pairs[0], &pairs[1]};
    text_pair(&pairs[0], &values[0], "service.name", service);
    text_pair(&pairs[1], &values[1], "service.instance.id", instance);
    Opentelemetry__Proto__Resource__V1__Resource resource =
        OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
    resource.attributes = pair_list;
    resource.n_attributes = instance[0] ? 2 : 1;
    Opentelemetry__Proto__Trace__V1__ResourceSpans resource_spans =
        OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
    Opentelemetry__Proto__Trace__V1__ResourceSpans *resource_list[] = {&resource_spans};
    resource_spans.resource = &resource;
    resource_spans.scope_spans = &scope_spans;
    resource_spans.n_scope_spans = 1;
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest request =
        OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
    request.resource_spans = resource_list;
    request.n_resource_spans = 1;
    size_t size =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__get_packed_size(
            &request);
    char *out = bv_buf_reserve(buf, size);
    if (!out)
        return BV_E_NOMEM;
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__pack(&request,
                                                                                   (uint8_t *)out);
    buf->size += size;
    return 0;
}

int otlp_request_encode(const char *service,
                        const char *instance,
                        const struct otlp_span *first,
                        size_t count,
                        struct bv_buf *buf)
{
    ProtobufCMessageUnknownField *spans = calloc(count, sizeof(*spans));
    if (!spans)
        return BV_E_NOMEM;
    for (size_t i = 0; i < count; i++, first = first->next)
        spans[i] = (ProtobufCMessageUnknownField){
            .tag = SPANS_FIELD,
            .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
            .len = first->size,
            .data = (uint8_t *)first->bytes,
        };
    Opentelemetry__Proto__Common__V1__InstrumentationScope scope =
        OPENTELEMETRY__PROTO__COMMON__V1__INSTRUMENTATION_SCOPE__INIT;
    scope.name = (char *)"bitvelocity";
    Opentelemetry__Proto__Trace__V1__ScopeSpans scope_spans =
        OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
    scope_spans.scope = &scope;
    scope_spans.base.n_unknown_fields = (unsigned)count;
    scope_spans.base.unknown_fields = spans;
    int rc = pack_request(&scope_spans, service, instance, buf);
    free(spans);
    return rc;
}

int64_t otlp_response_rejected(struct bv_bytes body)
{
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse *response =
        opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(
            NULL, body.size, (const uint8_t *)body.data);
    if (!response)
        return 0;
    int64_t rejected = response->partial_success ? response->partial_success->rejected_spans : 0;
    opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(
        response, NULL);
    return rejected;
}
