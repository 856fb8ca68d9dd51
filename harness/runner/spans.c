#include "spans.h"

#include "listener.h"
#include "bv/probe.h"
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest Request;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans ResourceSpans;
typedef Opentelemetry__Proto__Trace__V1__Span Span;

enum { PORT_TRIES = 20, FIRST_CAPACITY = 256 };

struct spans {
    struct listener *listener; /* owned */
    char url[64];
    pthread_mutex_t lock;     /* guards what follows */
    struct span_record *list; /* owned; [first, count) wait */
    size_t first;
    size_t count;
    size_t capacity;
    size_t dropped;
};

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text && text[0] ? text : "?");
}

static void copy_id(uint8_t *out, size_t size, ProtobufCBinaryData id)
{
    if (id.len == size)
        memcpy(out, id.data, size);
}

static const char *service_of(const ResourceSpans *spans)
{
    for (size_t i = 0; spans->resource && i < spans->resource->n_attributes; i++) {
        const Opentelemetry__Proto__Common__V1__KeyValue *pair = spans->resource->attributes[i];
        if (strcmp(pair->key, "service.name") == 0 && pair->value &&
            pair->value->value_case ==
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE)
            return pair->value->string_value;
    }
    return NULL;
}

static struct span_record record_of(const Span *span, const char *service)
{
    struct span_record record = {.start_wall_us = (int64_t)(span->start_time_unix_nano / 1000)};
    record.duration_us = (int64_t)(span->end_time_unix_nano / 1000) - record.start_wall_us;
    copy_id(record.trace_id, sizeof record.trace_id, span->trace_id);
    copy_id(record.span_id, sizeof record.span_id, span->span_id);
    copy_id(record.parent_id, sizeof record.parent_id, span->parent_span_id);
    copy_text(record.service, sizeof record.service, service);
    copy_text(record.name, sizeof record.name, span->name);
    if (span->status)
        record.status =
            span->status->code ==
                    OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR
                ? SPAN_ERROR
            : span->status->code ==
                    OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_OK
                ? SPAN_OK
                : SPAN_UNSET;
    return record;
}

int spans_read(struct bv_bytes body,
               void (*add)(void *argument, const struct span_record *span),
               void *argument)
{
    Request *request =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
            NULL, body.size, (const uint8_t *)(body.data ? body.data : ""));
    if (!request)
        return BV_E_INVALID;
    for (size_t r = 0; r < request->n_resource_spans; r++) {
        const ResourceSpans *resource = request->resource_spans[r];
        for (size_t s = 0; s < resource->n_scope_spans; s++) {
            for (size_t i = 0; i < resource->scope_spans[s]->n_spans; i++) {
                struct span_record record =
                    record_of(resource->scope_spans[s]->spans[i], service_of(resource));
                add(argument, &record);
            }
        }
    }
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(request,
                                                                                            NULL);
    return 0;
}

/* Called with the lock held. */
static bool make_room(struct spans *spans)
{
    if (spans->first == spans->count)
        spans->first = spans->count = 0;
    if (spans->count < spans->capacity)
        return true;
    size_t capacity = spans->capacity ? spans->capacity * 2 : FIRST_CAPACITY;
    struct span_record *list =
        capacity <= 2 * SPANS_MAX ? realloc(spans->list, capacity * sizeof *list) : NULL;
    if (!list)
        return false;
    spans->list = list;
    spans->capacity = capacity;
    return true;
}

static void add_record(void *argument, const struct span_record *record)
{
    struct spans *spans = argument;
    pthread_mutex_lock(&spans->lock);
    if (spans->count - spans->first < SPANS_MAX && make_room(spans))
        spans->list[spans->count++] = *record;
    else
        spans->dropped++;
    pthread_mutex_unlock(&spans->lock);
}

static struct listener_answer on_export(void *argument, const struct listener_request *request)
{
    if (!bv_bytes_equal(request->target, BV_BYTES("/v1/traces")))
        return (struct listener_answer){.status = 404};
    return (struct listener_answer){
        .status = spans_read(request->body, add_record, argument) < 0 ? 400 : 200};
}

int spans_open(const struct bv_env *env, struct spans **ret_spans, struct bv_error *error)
{
    struct spans *spans = calloc(1, sizeof *spans);
    if (!spans)
        return BV_E_NOMEM;
    pthread_mutex_init(&spans->lock, NULL);
    uint16_t port = 0;
    int rc = BV_E_EXISTS;
    for (int i = 0; rc == BV_E_EXISTS && i < PORT_TRIES; i++) {
        rc = bv_port_pick(NULL, 0, &port, error);
        if (rc == 0)
            rc = listener_bind(
                env, port, on_export, spans, &spans->listener, i + 1 < PORT_TRIES ? NULL : error);
    }
    if (rc < 0) {
        spans_close(&spans);
        return rc;
    }
    snprintf(spans->url, sizeof spans->url, "http://127.0.0.1:%u", port);
    *ret_spans = spans;
    return 0;
}

const char *spans_url(const struct spans *spans)
{
    return spans->url;
}

int spans_start(struct spans *spans, struct bv_error *error)
{
    return listener_start(spans->listener, error);
}

bool spans_take(struct spans *spans, struct span_record *ret_span)
{
    pthread_mutex_lock(&spans->lock);
    bool any = spans->first < spans->count;
    if (any)
        *ret_span = spans->list[spans->first++];
    pthread_mutex_unlock(&spans->lock);
    return any;
}

void spans_close(struct spans **spans)
{
    if (!*spans)
        return;
    listener_close(&(*spans)->listener);
    pthread_mutex_destroy(&(*spans)->lock);
    free((*spans)->list);
    free(*spans);
    *spans = NULL;
}
