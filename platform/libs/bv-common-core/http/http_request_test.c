#include "http_testing.h"

static int show(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct bv_buf buf = {.max = 65536};
    int64_t limit = 0;
    (void)context;
    BV_TRY(bv_http_query_int(request, "limit", 1, 100, 20, &limit, error));
    const struct bv_bytes q = bv_http_query(request, "q");
    const struct bv_bytes header = bv_http_header(request, "X-A");
    const struct bv_principal *principal = bv_http_principal(request);
    bv_buf_format(
        &buf,
        "id=%.*s name=%.*s q=%s%.*s limit=%lld x-a=%s%.*s subject=%.*s correlation=%.*s path=%.*s",
        BV_ARG(bv_http_param(request, "id")),
        BV_ARG(bv_http_param(request, "name")),
        q.data ? "" : "none",
        BV_ARG(q),
        (long long)limit,
        header.data ? "" : "none",
        BV_ARG(header),
        principal ? (int)principal->subject.size : 4,
        principal ? principal->subject.data : "none",
        BV_ARG(bv_http_correlation_id(request)),
        BV_ARG(bv_http_path(request)));
    const int rc =
        bv_http_reply(request,
                      &(struct bv_http_response){
                          .status = 200, .content_type = "text/plain", .body = bv_buf_view(&buf)});
    bv_buf_release(&buf);
    return rc;
}

static int json(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_json *root = NULL;
    (void)context;
    BV_TRY(bv_http_json(request, &root, error));
    struct bv_buf buf = {.max = 65536};
    bv_json_write(&buf, root);
    return bv_http_reply_json(request, 201, &buf);
}

static int trace(struct bv_http_request *request, void *context, struct bv_error *error)
{
    char text[BV_TRACEPARENT_SIZE];
    (void)context;
    (void)error;
    cr_assert_gt(bv_http_deadline_ms(request), testing_now_ms());
    bv_trace_format(bv_http_trace(request), text);
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "text/plain",
                                                    .body = bv_bytes_of(text)});
}

static atomic_bool keys_came; /* what a token "later-..." waits for */
static struct bv_idle *keys_idle;

static void on_keys(void *argument)
{
    bv_http_authenticate_again(argument);
}

/* Keys come: asked again, in the loop's thread. Thread: any. */
static int bring_keys(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context, (void)error;
    keys_came = true;
    bv_idle_arm(keys_idle);
    return bv_http_reply(request, &(struct bv_http_response){.status = 204});
}

static int poke(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context, (void)error;
    bv_idle_arm(keys_idle);
    return bv_http_reply(request, &(struct bv_http_response){.status = 204});
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/show/{id}/{name}", .handler = show},
    {.method = BV_POST, .path = "/json", .handler = json, .body_bytes_max = 1000},
    {.method = BV_GET, .path = "/trace", .handler = trace},
    {.method = BV_GET, .path = "/any/{id}", .handler = show, .scope = ""},
    {.method = BV_GET, .path = "/read/{id}", .handler = show, .scope = "things:read"},
    {.method = BV_POST,
     .path = "/write",
     .handler = json,
     .scope = "",
     .body_bytes_max = 1000,
     .timeout_ms = 2000},
    {.method = BV_GET, .path = "/soon/{id}", .handler = show, .scope = "", .timeout_ms = 100},
    {.method = BV_POST, .path = "/keys", .handler = bring_keys},
    {.method = BV_POST, .path = "/poke", .handler = poke},
};

static int authenticate(void *context,
                        struct bv_arena *arena,
                        struct bv_bytes token,
                        struct bv_principal *ret_principal,
                        struct bv_error *error)
{
    (void)context;
    if (bv_bytes_equal(token, BV_BYTES("away")))
        return bv_fail(error, BV_E_UNAVAILABLE, "No keys.");
    if (bv_bytes_starts(token, BV_BYTES("later-")) && !keys_came)
        return BV_HTTP_LATER;
    if (bv_bytes_starts(token, BV_BYTES("later-")))
        token = (struct bv_bytes){token.data + 6, token.size - 6};
    if (!bv_bytes_equal(token, BV_BYTES("alice")) && !bv_bytes_equal(token, BV_BYTES("bob")))
        return bv_fail(error, BV_E_UNAUTHENTICATED, "The token is not ours.");
    ret_principal->subject = bv_arena_copy(arena, token);
    ret_principal->scope = bv_bytes_equal(token, BV_BYTES("alice")) ? BV_BYTES("a things:read b")
                                                                    : BV_BYTES("things:reader");
    return 0;
}

static struct testing t;
static struct client *c;
static struct client_reply reply;

static void keys_close(void)
{
    bv_idle_close(&keys_idle);
}

static void begin(void)
{
    testing_open(&t, NULL, routes, BV_COUNT(routes));
    bv_http_server_authenticator(t.server, authenticate, NULL);
    cr_assert_eq(bv_idle_open(t.loop, on_keys, t.server, &keys_idle), 0);
    t.stopped = keys_close;
    testing_run(&t);
    c = client_open(&t);
}

static void end(void)
{
    client_close(c);
    testing_stop(&t);
}

static int ask(const char *path, const char *fields)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, fields);
    return client_ask(c, &reply, text);
}

Test(http_request, parameters_and_query_are_decoded, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/show/a%20b/%C3%BC%2Fx?x=1&q=a+b%26c&limit=7&q=second", "x-A: \t v 1 \t\r\n"),
                 200);
    cr_expect_not_null(
        strstr(reply.body, "id=a b name=\xC3\xBC/x q=a b&c limit=7 x-a=v 1 subject=none"),
        "%s",
        reply.body);
    cr_expect_not_null(strstr(reply.body, "path=/show/a%20b/%C3%BC%2Fx"), "%s", reply.body);
}

Test(http_request, what_is_absent_is_none_and_what_is_empty_is_empty, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/show/1/2", ""), 200);
    cr_expect_not_null(strstr(reply.body, "q=none limit=20 x-a=none"), "%s", reply.body);
    cr_expect_eq(ask("/show/1/2?q", "X-A:\r\n"), 200);
    cr_expect_not_null(strstr(reply.body, "q= limit=20 x-a= "), "%s", reply.body);
    cr_expect_eq(ask("/show/1/2?&&q=&", ""), 200);
    cr_expect_not_null(strstr(reply.body, "q= limit=20"), "%s", reply.body);
}

Test(http_request, query_numbers_have_a_range, .init = begin, .fini = end)
{
    static const char *const bad[] = {"0", "101", "x", "", "1x", "99999999999999999999"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/show/1/2?limit=%s", bad[i]);
        cr_expect_eq(ask(path, ""), 400, "%s", bad[i]);
    }
}

Test(http_request, json_bodies_are_objects_of_the_right_type, .init = begin, .fini = end)
{
#define POST_JSON(type, size, body)                                                                \
    "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: " type "\r\nContent-Length: " size            \
    "\r\n\r\n" body
    cr_expect_eq(client_ask(c, &reply, POST_JSON("application/json", "9", "{\"a\": 1} ")), 201);
    cr_expect_str_eq(reply.body, "{\"a\":1}");
    cr_expect_eq(client_ask(c, &reply, POST_JSON("application/x+json; charset=utf-8", "2", "{}")),
                 201);
    cr_expect_eq(client_ask(c, &reply, POST_JSON("text/plain", "2", "{}")), 415);
    cr_expect_eq(client_ask(c, &reply, POST_JSON("application/json", "2", "[]")), 400);
    cr_expect_eq(client_ask(c, &reply, POST_JSON("application/json", "2", "{,")), 400);
    cr_expect_eq(client_ask(c, &reply, POST_JSON("application/json", "0", "")), 400);
}

Test(http_request, scopes_are_enforced_before_the_handler, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/any/1", ""), 401);
    cr_expect_not_null(strstr(reply.head, "WWW-Authenticate: Bearer\r\n"));
    cr_expect_not_null(strstr(reply.body, "\"code\":\"unauthorized\""));
    cr_expect_eq(ask("/any/1", "Authorization: Basic YTpi\r\n"), 401);
    cr_expect_eq(ask("/any/1", "Authorization: Bearer mallory\r\n"), 401);
    cr_expect_not_null(strstr(reply.head, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"));
    cr_expect_eq(ask("/any/1", "Authorization: Bearer away\r\n"), 503);
    cr_expect_not_null(strstr(reply.head, "Retry-After: "));
    cr_expect_eq(ask("/any/1", "authorization: bEARER bob\r\n"), 200);
    cr_expect_not_null(strstr(reply.body, "subject=bob"));
    cr_expect_eq(ask("/read/1", "Authorization: Bearer bob\r\n"), 403);
    cr_expect_not_null(
        strstr(reply.head,
               "WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"things:read\"\r\n"));
    cr_expect_eq(ask("/read/1", "Authorization: Bearer alice\r\n"), 200);
    cr_expect_eq(ask("/show/1/2", "Authorization: Bearer mallory\r\n"),
                 200,
                 "public routes do not look at tokens");
}

Test(http_request, a_token_in_the_protocol_list_counts_on_upgrades_only, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/any/1", "Sec-WebSocket-Protocol: bearer, alice\r\n"), 401);
    cr_expect_eq(ask("/any/1",
                     "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Protocol: chat, "
                     "bearer, alice\r\n"),
                 200);
    cr_expect_not_null(strstr(reply.body, "subject=alice"));
}

Test(http_request, the_trace_goes_on_in_a_child, .init = begin, .fini = end)
{
    cr_expect_eq(
        ask("/trace", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        200);
    cr_expect_not_null(strstr(reply.body, "00-0af7651916cd43dd8448eb211c80319c-"));
    cr_expect_null(strstr(reply.body, "b7ad6b7169203331"), "the span must be new");
    cr_expect_not_null(strstr(reply.head, "correlation-id: 0af7651916cd43dd8448eb211c80319c\r\n"));
    cr_expect_eq(ask("/trace", "traceparent: nonsense\r\nCorrelation-Id: cart-17\r\n"), 200);
    cr_expect_not_null(strstr(reply.head, "correlation-id: cart-17\r\n"));
    cr_expect_eq(ask("/trace", "Correlation-Id: has space\r\n"), 200);
    cr_expect_null(strstr(reply.head, "has space"));
}

Test(http_request,
     problems_of_unknown_paths_say_where_and_in_which_trace,
     .init = begin,
     .fini = end)
{
    cr_expect_eq(ask("/nope?secret=1",
                     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
                 404);
    cr_expect_not_null(strstr(reply.body, "\"instance\":\"/nope\""));
    cr_expect_not_null(strstr(reply.body, "\"traceId\":\"0af7651916cd43dd8448eb211c80319c\""));
}

Test(http_request, lists_are_split_and_trimmed)
{
    struct bv_bytes rest = BV_BYTES(" a ,, b;q=1\t,");
    struct bv_bytes item;
    cr_expect(http_list_next(&rest, &item) && bv_bytes_equal(item, BV_BYTES("a")));
    cr_expect(http_list_next(&rest, &item) && bv_bytes_equal(item, BV_BYTES("b;q=1")));
    cr_expect_not(http_list_next(&rest, &item));
    cr_expect(http_list_has(BV_BYTES("keep-alive, Upgrade"), "upgrade"));
    cr_expect_not(http_list_has(BV_BYTES_NONE, "upgrade"));
}

/* What waits for its authenticator: goes in, is refused, leaves, or runs out of time. */
static void begin_waiting(struct client **clients, size_t count, const char *const *requests)
{
    for (size_t i = 0; i < count; i++) {
        clients[i] = client_open(&t);
        client_send(clients[i], requests[i]);
    }
    cr_assert_eq(client_ask(c, &reply, "POST /poke HTTP/1.1\r\nHost: x\r\n\r\n"), 204);
}

#define WRITE(token)                                                                               \
    "POST /write HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " token                              \
    "\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"

Test(http_request, a_request_waits_for_its_authenticator, .init = begin, .fini = end)
{
    static const char *const requests[] = {
        WRITE("later-alice"),
        WRITE("later-mallory"),
        "GET /read/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer later-bob\r\n\r\n",
        "GET /any/9 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer later-bob\r\n\r\n"
        "GET /any/8 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n",
        WRITE("later-alice"),
    };
    struct client *clients[5];
    begin_waiting(clients, 5, requests);
    client_close(clients[4]); /* nobody waits any more */
    cr_assert_eq(client_ask(c, &reply, "POST /keys HTTP/1.1\r\nHost: x\r\n\r\n"), 204);
    client_read(clients[0], &reply);
    cr_expect_eq(reply.status, 201, "%s", reply.body);
    client_read(clients[1], &reply);
    cr_expect_eq(reply.status, 401);
    cr_expect_not_null(strstr(reply.head, "WWW-Authenticate: Bearer error=\"invalid_token\""));
    client_read(clients[2], &reply);
    cr_expect_eq(reply.status, 403);
    client_read(clients[3], &reply);
    cr_expect_not_null(strstr(reply.body, "subject=bob"), "%s", reply.body);
    client_read(clients[3], &reply);
    cr_expect_not_null(strstr(reply.body, "subject=alice"), "%s", reply.body);
    for (size_t i = 0; i < 4; i++)
        client_close(clients[i]);
}

Test(http_request, who_waits_for_an_authenticator_too_long_gets_504, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/soon/1", "Authorization: Bearer later-alice\r\n"), 504);
    cr_expect_eq(client_ask(c, &reply, "POST /keys HTTP/1.1\r\nHost: x\r\n\r\n"), 204);
    cr_expect_eq(ask("/soon/1", "Authorization: Bearer later-alice\r\n"), 200);
}
