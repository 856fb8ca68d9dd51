#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/otlp.h"
#include "fake_peer.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"
#include "otlp_span.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define BUSY "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
#define BAD "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest Request;
typedef Opentelemetry__Proto__Trace__V1__Span Span;

/* Every draw is 2^52, small against the 64 bits drawn from: full jitter then waits a millisecond or
 * none. */
static void fill_small(const struct bv_random *self, void *data, size_t size)
{
    (void)self;
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)data)[i] = i % 8 == 6 ? 0x10 : 0;
}
static const struct bv_random small_random = {fill_small};
static const struct bv_env env = {&bv_clock_system, &small_random, NULL};

struct bench {
    struct bv_loop *loop;
    struct bv_httpc *client;
    struct bv_metrics *metrics;
    struct bv_otlp *otlp;
    struct fake_peer *peer;
    struct bv_timer *guard;
    size_t requests_to_stop;
    int flushed;
};

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("nothing came within ten seconds");
}

static void on_request(void *argument)
{
    struct bench *bench = argument;
    if (fake_peer_requests(bench->peer) == bench->requests_to_stop)
        bv_loop_stop(bench->loop);
}

static void open_bench(struct bench *bench,
                       const struct fake_answer *script,
                       size_t count,
                       int64_t batch_max,
                       int64_t queue_max)
{
    *bench = (struct bench){.requests_to_stop = 1};
    cr_assert_eq(bv_loop_open(&env, &bench->loop), 0);
    cr_assert_eq(bv_timer_open(bench->loop, on_guard, NULL, &bench->guard), 0);
    bv_timer_set(bench->guard, 10000, 0);
    cr_assert_eq(fake_peer_open(bench->loop, script, count, &bench->peer), 0);
    fake_peer_on_request(bench->peer, on_request, bench);
    cr_assert_eq(bv_httpc_open(bench->loop, &bv_httpc_config_default, &bench->client), 0);
    cr_assert_eq(bv_metrics_open(16, &bench->metrics), 0);
    const struct bv_otlp_config config = {
        .url = fake_peer_url(bench->peer, "/"),
        .service = "order",
        .instance = "order-1",
        .batch_max = batch_max,
        .queue_max = queue_max,
        .interval_ms = 5,
    };
    cr_assert_eq(bv_otlp_open(bench->loop, bench->client, &config, bench->metrics, &bench->otlp),
                 0);
}

static void close_bench(struct bench *bench)
{
    bv_otlp_close(&bench->otlp);
    bv_httpc_close(&bench->client);
    fake_peer_close(&bench->peer);
    bv_metrics_close(&bench->metrics);
    bv_timer_close(&bench->guard);
    bv_loop_close(&bench->loop);
}

static double outcome(struct bench *bench, const char *name)
{
    struct bv_buf text = {.max = 1 << 20};
    cr_assert_eq(bv_metrics_print(bench->metrics, &text), 0);
    cr_assert_eq(bv_buf_char(&text, '\0'), 0);
    char wanted[80];
    snprintf(wanted, sizeof(wanted), "bv_otlp_spans_total{outcome=\"%s\"} ", name);
    const char *at = strstr(text.data, wanted);
    double value = at ? strtod(at + strlen(wanted), NULL) : -1;
    bv_buf_release(&text);
    return value;
}

static struct bv_span span_of(const char *name)
{
    struct bv_span span = {.name = name,
                           .kind = BV_SPAN_SERVER,
                           .start_wall_us = 1700000000000001,
                           .end_wall_us = 1700000000000777};
    memset(span.trace.trace_id, 0xAB, 16);
    memset(span.trace.span_id, 0xCD, 8);
    span.trace.flags = BV_TRACE_SAMPLED;
    return span;
}

static void finish_some(struct bench *bench, size_t count)
{
    struct bv_span span = span_of("GET /v1/orders");
    for (size_t i = 0; i < count; i++)
        bv_span_finish(bv_otlp_sink(bench->otlp), &span);
}

static Request *request_of(struct bench *bench, size_t index)
{
    struct bv_bytes body = fake_peer_body(bench->peer, index);
    Request *request =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
            NULL, body.size, (const uint8_t *)body.data);
    cr_assert_not_null(request, "the body is no ExportTraceServiceRequest");
    cr_assert_eq(request->n_resource_spans, 1);
    cr_assert_eq(request->resource_spans[0]->n_scope_spans, 1);
    return request;
}

static size_t span_count(struct bench *bench, size_t index)
{
    Request *request = request_of(bench, index);
    size_t count = request->resource_spans[0]->scope_spans[0]->n_spans;
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(request,
                                                                                            NULL);
    return count;
}

static void on_flushed(void *argument)
{
    struct bench *bench = argument;
    bench->flushed++;
    bv_loop_stop(bench->loop);
}

static void flush(struct bench *bench)
{
    bv_otlp_flush(bench->otlp, on_flushed, bench);
    cr_assert_eq(bv_loop_run(bench->loop), 0);
    cr_assert_eq(bench->flushed, 1);
}

static const struct fake_answer polite[] = {
    {OK_EMPTY, FAKE_KEEP}
};

Test(otlp, span_arrives_as_it_was)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    struct bv_trace cause = {.flags = 1};
    memset(cause.trace_id, 0x11, 16);
    memset(cause.span_id, 0x22, 8);
    const struct bv_span_attribute attributes[] = {
        {"http.route",     BV_BYTES("/v1/orders/{orderId}"), 0  },
        {"http.status",    {NULL, 0},                        503},
        {"http.nothing",   BV_BYTES(""),                     0  },
        {"http.illformed",
         BV_BYTES("a\xFF"
                  "b"),
         0                                                      },
    };
    struct bv_span span = span_of("POST /v1/orders");
    memset(span.trace.parent_id, 0xEF, 8);
    span.attributes = attributes;
    span.attribute_count = BV_COUNT(attributes);
    span.links = &cause;
    span.link_count = 1;
    span.error_code = BV_E_UNAVAILABLE;
    bv_span_finish(bv_otlp_sink(bench.otlp), &span);
    cr_assert_eq(bv_loop_run(bench.loop), 0);

    struct bv_bytes head = fake_peer_request(bench.peer, 0);
    cr_assert(bv_bytes_starts(head, BV_BYTES("POST /v1/traces HTTP/1.1\r\n")));
    cr_assert_not_null(strstr(head.data, "Content-Type: application/x-protobuf\r\n"));
    Request *request = request_of(&bench, 0);
    const Opentelemetry__Proto__Resource__V1__Resource *resource =
        request->resource_spans[0]->resource;
    cr_assert_eq(resource->n_attributes, 2);
    cr_assert_str_eq(resource->attributes[0]->value->string_value, "order");
    cr_assert_str_eq(resource->attributes[1]->value->string_value, "order-1");
    cr_assert_eq(request->resource_spans[0]->scope_spans[0]->n_spans, 1);
    const Span *got = request->resource_spans[0]->scope_spans[0]->spans[0];
    cr_assert_str_eq(got->name, "POST /v1/orders");
    cr_assert_eq(got->trace_id.len, 16);
    cr_assert_arr_eq(got->trace_id.data, span.trace.trace_id, 16);
    cr_assert_eq(got->span_id.len, 8);
    cr_assert_arr_eq(got->parent_span_id.data, span.trace.parent_id, 8);
    cr_assert_eq(got->kind, OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_SERVER);
    cr_assert_eq(got->start_time_unix_nano, 1700000000000001000);
    cr_assert_eq(got->end_time_unix_nano, 1700000000000777000);
    cr_assert_eq(got->n_attributes, 4);
    cr_assert_str_eq(got->attributes[0]->key, "http.route");
    cr_assert_str_eq(got->attributes[0]->value->string_value, "/v1/orders/{orderId}");
    cr_assert_eq(got->attributes[1]->value->int_value, 503);
    cr_assert_str_eq(got->attributes[2]->value->string_value, "");
    cr_assert_str_eq(got->attributes[3]->value->string_value, "a?b");
    cr_assert_eq(got->n_links, 1);
    cr_assert_arr_eq(got->links[0]->span_id.data, cause.span_id, 8);
    cr_assert_eq(got->status->code,
                 OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR);
    cr_assert_str_eq(got->status->message, "unavailable");
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(request,
                                                                                            NULL);
    close_bench(&bench);
}

Test(otlp, root_without_error_says_neither_parent_nor_status)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    finish_some(&bench, 1);
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    Request *request = request_of(&bench, 0);
    const Span *got = request->resource_spans[0]->scope_spans[0]->spans[0];
    cr_assert_eq(got->parent_span_id.len, 0);
    cr_assert_null(got->status);
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(request,
                                                                                            NULL);
    close_bench(&bench);
}

Test(otlp, span_beyond_its_limits_is_cut_and_says_so)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    static char text[5000];
    memset(text, 'x', sizeof(text));
    memcpy(text + BV_OTLP_TEXT_BYTES_MAX - 1, "\xC3\xA4", 2); /* the cut falls into a character */
    struct bv_span_attribute attributes[BV_OTLP_ATTRIBUTES_MAX + 3];
    for (size_t i = 0; i < BV_COUNT(attributes); i++)
        attributes[i] = (struct bv_span_attribute){.key = "n", .number = (int64_t)i};
    attributes[0] = (struct bv_span_attribute){
        .key = "long", .text = {text, sizeof(text)}
    };
    static struct bv_trace links[BV_OTLP_LINKS_MAX + 5];
    struct bv_span span = span_of("s");
    span.attributes = attributes;
    span.attribute_count = BV_COUNT(attributes);
    span.links = links;
    span.link_count = BV_COUNT(links);
    bv_span_finish(bv_otlp_sink(bench.otlp), &span);
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    Request *request = request_of(&bench, 0);
    const Span *got = request->resource_spans[0]->scope_spans[0]->spans[0];
    cr_assert_eq(got->n_attributes, BV_OTLP_ATTRIBUTES_MAX);
    cr_assert_eq(got->dropped_attributes_count, 3);
    cr_assert_eq(strlen(got->attributes[0]->value->string_value), BV_OTLP_TEXT_BYTES_MAX - 1);
    cr_assert_eq(got->n_links, BV_OTLP_LINKS_MAX);
    cr_assert_eq(got->dropped_links_count, 5);
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(request,
                                                                                            NULL);
    close_bench(&bench);
}

Test(otlp, unsampled_span_is_not_sent)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    struct bv_span span = span_of("quiet");
    span.trace.flags = 0;
    bv_span_finish(bv_otlp_sink(bench.otlp), &span);
    flush(&bench);
    cr_assert_eq(fake_peer_requests(bench.peer), 0);
    close_bench(&bench);
}

Test(otlp, flush_sends_all_in_batches)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    finish_some(&bench, 25);
    bench.requests_to_stop = 0;
    flush(&bench);
    cr_assert_eq(fake_peer_requests(bench.peer), 3);
    cr_assert_eq(span_count(&bench, 0), 10);
    cr_assert_eq(span_count(&bench, 2), 5);
    cr_assert_eq(outcome(&bench, "exported"), 25);
    close_bench(&bench);
}

Test(otlp, full_queue_drops_the_newest_and_counts_it)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 20);
    finish_some(&bench, 23);
    cr_assert_eq(outcome(&bench, "dropped_full"), 3);
    bench.requests_to_stop = 0;
    flush(&bench);
    cr_assert_eq(outcome(&bench, "exported"), 20);
    close_bench(&bench);
}

Test(otlp, busy_collector_gets_the_same_batch_again)
{
    static const struct fake_answer script[] = {
        {BUSY,     FAKE_KEEP },
        {"",       FAKE_RESET},
        {OK_EMPTY, FAKE_KEEP }
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), 10, 100);
    finish_some(&bench, 4);
    bench.requests_to_stop = 3;
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    cr_assert_eq(span_count(&bench, 2), 4);
    cr_assert(bv_bytes_equal(fake_peer_body(bench.peer, 0), fake_peer_body(bench.peer, 2)));
    flush(&bench);
    cr_assert_eq(outcome(&bench, "exported"), 4);
    cr_assert_eq(outcome(&bench, "dropped_failed"), 0);
    close_bench(&bench);
}

Test(otlp, tries_are_bounded)
{
    static const struct fake_answer script[] = {
        {BUSY, FAKE_KEEP}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), 10, 100);
    finish_some(&bench, 4);
    bench.requests_to_stop = 5; /* the first and four more */
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    flush(&bench);
    cr_assert_eq(fake_peer_requests(bench.peer), 5);
    cr_assert_eq(outcome(&bench, "dropped_failed"), 4);
    close_bench(&bench);
}

Test(otlp, refused_batch_is_not_repeated)
{
    static const struct fake_answer script[] = {
        {BAD,      FAKE_KEEP},
        {OK_EMPTY, FAKE_KEEP}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), 4, 100);
    finish_some(&bench, 8);
    bench.requests_to_stop = 2;
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    flush(&bench);
    cr_assert_eq(outcome(&bench, "dropped_failed"), 4);
    cr_assert_eq(outcome(&bench, "exported"), 4);
    close_bench(&bench);
}

Test(otlp, spans_that_the_collector_rejects_are_counted)
{
    /* partial_success { rejected_spans: 3 } */
    static const struct fake_answer script[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x0A\x02\x08\x03", FAKE_KEEP}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), 10, 100);
    finish_some(&bench, 4);
    bench.requests_to_stop = 0;
    flush(&bench);
    cr_assert_eq(outcome(&bench, "rejected"), 3);
    cr_assert_eq(outcome(&bench, "exported"), 1);
    close_bench(&bench);
}

Test(otlp, flush_to_a_dead_collector_ends_and_drops)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    fake_peer_vanish(bench.peer);
    finish_some(&bench, 25);
    flush(&bench);
    cr_assert_eq(outcome(&bench, "dropped_failed"), 25);
    close_bench(&bench);
}

Test(otlp, close_counts_what_it_drops)
{
    static const struct fake_answer script[] = {
        {"", FAKE_SILENT}
    };
    struct bench bench;
    open_bench(&bench, script, 1, 10, 100);
    finish_some(&bench, 12);
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    bv_otlp_close(&bench.otlp);
    cr_assert_eq(outcome(&bench, "dropped_failed"), 12);
    close_bench(&bench);
}

#define FINISHERS 3
#define FINISHES 500

static void *finisher_main(void *argument)
{
    struct bv_span span = span_of("threads");
    for (int i = 0; i < FINISHES; i++)
        bv_span_finish(argument, &span);
    return NULL;
}

Test(otlp, spans_may_end_on_any_thread)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 100, FINISHERS * FINISHES);
    pthread_t threads[FINISHERS];
    for (size_t i = 0; i < FINISHERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, finisher_main, bv_otlp_sink(bench.otlp)), 0);
    for (size_t i = 0; i < FINISHERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    bench.requests_to_stop = 0;
    flush(&bench);
    cr_assert_eq(outcome(&bench, "exported"), FINISHERS * FINISHES);
    close_bench(&bench);
}

Test(otlp, config_out_of_range_is_refused)
{
    struct bench bench;
    open_bench(&bench, polite, 1, 10, 100);
    struct bv_otlp *otlp = NULL;
    struct bv_otlp_config config = {.url = "http://127.0.0.1:1",
                                    .service = "x",
                                    .batch_max = 10,
                                    .queue_max = 9,
                                    .interval_ms = 5};
    cr_assert_eq(bv_otlp_open(bench.loop, bench.client, &config, bench.metrics, &otlp),
                 BV_E_INVALID);
    cr_assert_null(otlp);
    close_bench(&bench);
}
