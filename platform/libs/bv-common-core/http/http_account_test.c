#include "http_testing.h"

static struct {
    int count;
    char name[64];
    char route[64];
    char method[16];
    int64_t status;
    struct bv_trace trace;
    enum bv_span_kind kind;
    int error_code;
    int64_t took_us;
} seen; /* written on the loop thread before the reply is read here */

static void finish(struct bv_span_sink *self, const struct bv_span *span)
{
    (void)self;
    seen.count++;
    (void)snprintf(seen.name, sizeof seen.name, "%s", span->name);
    seen.route[0] = '\0';
    for (size_t i = 0; i < span->attribute_count; i++) {
        const struct bv_span_attribute *a = &span->attributes[i];
        if (strcmp(a->key, "http.route") == 0)
            (void)snprintf(seen.route, sizeof seen.route, "%.*s", BV_ARG(a->text));
        else if (strcmp(a->key, "http.request.method") == 0)
            (void)snprintf(seen.method, sizeof seen.method, "%.*s", BV_ARG(a->text));
        else if (strcmp(a->key, "http.response.status_code") == 0)
            seen.status = a->number;
    }
    seen.trace = span->trace;
    seen.kind = span->kind;
    seen.error_code = span->error_code;
    seen.took_us = span->end_wall_us - span->start_wall_us;
}

static int answer(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    if (bv_bytes_equal(bv_http_param(request, "id"), BV_BYTES("bad")))
        return bv_fail(error, BV_E_UNAVAILABLE, "not now");
    return bv_http_reply(request, &(struct bv_http_response){.status = 204});
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/things/{id}", .handler = answer},
    {.method = BV_GET, .path = "/secret", .handler = answer, .scope = "x"}
};

static struct testing t;
static struct bv_span_sink sink = {finish};
static struct client *c;
static struct client_reply reply;

static void begin(void)
{
    testing_open(&t, NULL, routes, BV_COUNT(routes));
    t.server->deps.spans = &sink;
    testing_run(&t);
    c = client_open(&t);
}

static void end(void)
{
    client_close(c);
    testing_stop(&t);
}

#define SAMPLED "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
#define ASK(path, fields)                                                                          \
    client_ask(c, &reply, "GET " path " HTTP/1.1\r\nHost: x\r\n" fields "\r\n")

/* The span of a request ends after its reply has left: the next reply on the connection proves that
 * it is there. */
static void turn(void)
{
    cr_assert_eq(ASK("/things/1", ""), 204);
}

Test(http_account, a_sampled_request_is_one_server_span, .init = begin, .fini = end)
{
    cr_assert_eq(ASK("/things/7", SAMPLED), 204);
    turn();
    cr_expect_eq(seen.count, 1);
    cr_expect_str_eq(seen.name, "GET /things/{id}");
    cr_expect_str_eq(seen.route, "/things/{id}");
    cr_expect_str_eq(seen.method, "GET");
    cr_expect_eq(seen.status, 204);
    cr_expect_eq(seen.kind, BV_SPAN_SERVER);
    cr_expect_eq(seen.error_code, 0);
    cr_expect_geq(seen.took_us, 0);
    cr_expect_eq(memcmp(seen.trace.parent_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8), 0);
}

Test(http_account, a_server_fault_marks_the_span, .init = begin, .fini = end)
{
    cr_assert_eq(ASK("/things/bad", SAMPLED), 503);
    turn();
    cr_expect_eq(seen.status, 503);
    cr_expect_neq(seen.error_code, 0);
}

Test(http_account, unmatched_paths_share_one_series, .init = begin, .fini = end)
{
    cr_assert_eq(ASK("/a", ""), 404);
    cr_assert_eq(ASK("/b", SAMPLED), 404);
    turn();
    cr_expect_str_eq(seen.name, "GET");
    cr_expect_str_eq(seen.route, "");
    cr_expect_eq(
        testing_metric(&t,
                       "bv_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"}"),
        2);
    cr_expect_eq(testing_metric(&t, "bv_http_request_seconds_count{route=\"unmatched\"}"), 2);
}

Test(http_account, rows_with_a_scope_need_an_authenticator, .init = begin, .fini = end)
{
    cr_expect_eq(ASK("/secret", "Authorization: Bearer x\r\n"), 503);
}
