#include "spans.h"

#include "bv/http_call.h"

#include <criterion/criterion.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>
#include <stdio.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

/* One span of service "order" as its exporter would send it; size of the message in out. */
static size_t pack(uint8_t *out)
{
    static uint8_t trace_id[16] = {1, 2}, span_id[8] = {3}, parent_id[8] = {4};
    Opentelemetry__Proto__Trace__V1__Status status = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;
    status.code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
    Opentelemetry__Proto__Trace__V1__Span span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
    span.trace_id = (ProtobufCBinaryData){16, trace_id};
    span.span_id = (ProtobufCBinaryData){8, span_id};
    span.parent_span_id = (ProtobufCBinaryData){8, parent_id};
    span.name = (char *)(uintptr_t) "POST /v1/orders";
    span.start_time_unix_nano = 5000000;
    span.end_time_unix_nano = 7500000;
    span.status = &status;
    Opentelemetry__Proto__Trace__V1__Span *spans[] = {&span};
    Opentelemetry__Proto__Trace__V1__ScopeSpans scope =
        OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
    scope.n_spans = 1;
    scope.spans = spans;
    Opentelemetry__Proto__Trace__V1__ScopeSpans *scopes[] = {&scope};
    Opentelemetry__Proto__Common__V1__AnyValue value =
        OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
    value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
    value.string_value = (char *)(uintptr_t) "order";
    Opentelemetry__Proto__Common__V1__KeyValue pair =
        OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT;
    pair.key = (char *)(uintptr_t) "service.name";
    pair.value = &value;
    Opentelemetry__Proto__Common__V1__KeyValue *pairs[] = {&pair};
    Opentelemetry__Proto__Resource__V1__Resource resource =
        OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
    resource.n_attributes = 1;
    resource.attributes = pairs;
    Opentelemetry__Proto__Trace__V1__ResourceSpans group =
        OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
    group.resource = &resource;
    group.n_scope_spans = 1;
    group.scope_spans = scopes;
    Opentelemetry__Proto__Trace__V1__ResourceSpans *groups[] = {&group};
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest request =
        OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
    request.n_resource_spans = 1;
    request.resource_spans = groups;
    return opentelemetry__proto__collector__trace__v1__export_trace_service_request__pack(&request,
                                                                                          out);
}

static int64_t post(const char *base, const char *path, struct bv_bytes body)
{
    struct bv_http_caller *caller = NULL;
    struct bv_arena *arena = NULL;
    struct bv_http_answer answer = {0};
    char url[128];
    snprintf(url, sizeof url, "%s%s", base, path);
    struct bv_http_call call = {.method = "POST", .url = url, .body = body, .timeout_ms = 5000};
    cr_assert_eq(bv_http_caller_open(&caller), 0);
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(bv_http_call(caller, &call, arena, &answer, NULL), 0);
    bv_http_caller_close(&caller);
    bv_arena_close(&arena);
    return answer.status;
}

Test(spans, collects_what_a_service_exports)
{
    uint8_t body[1024];
    size_t size = pack(body);
    struct spans *spans = NULL;
    struct span_record record;
    struct bv_error error = {0};
    cr_assert_eq(spans_open(&env, &spans, &error), 0, "%s", error.text);
    cr_assert_eq(spans_start(spans, &error), 0);
    cr_expect_not(spans_take(spans, &record));
    cr_assert_eq(post(spans_url(spans), "/v1/traces", (struct bv_bytes){(const char *)body, size}),
                 200);
    cr_assert(spans_take(spans, &record));
    cr_expect_str_eq(record.service, "order");
    cr_expect_str_eq(record.name, "POST /v1/orders");
    cr_expect_eq(record.trace_id[1], 2);
    cr_expect_eq(record.parent_id[0], 4);
    cr_expect_eq(record.start_wall_us, 5000);
    cr_expect_eq(record.duration_us, 2500);
    cr_expect_eq(record.status, SPAN_ERROR);
    cr_expect_not(spans_take(spans, &record));
    spans_close(&spans);
}

Test(spans, refuses_other_paths_and_bodies)
{
    struct spans *spans = NULL;
    cr_assert_eq(spans_open(&env, &spans, NULL), 0);
    cr_assert_eq(spans_start(spans, NULL), 0);
    cr_expect_eq(post(spans_url(spans), "/v1/logs", BV_BYTES("x")), 404);
    cr_expect_eq(post(spans_url(spans), "/v1/traces", BV_BYTES("no protobuf")), 400);
    spans_close(&spans);
}
