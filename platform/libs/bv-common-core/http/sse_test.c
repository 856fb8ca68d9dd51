#include "http_testing.h"

static struct bv_http_stream *stream;
static int closed_code = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct bv_http_stream_config stream_config = {.retry_ms = 1500};

static void on_closed(void *argument, struct bv_http_stream *closed, int code)
{
    (void)argument;
    pthread_mutex_lock(&lock);
    if (closed == stream)
        stream = NULL;
    closed_code = code;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int open_stream(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_stream_events events = {.closed = on_closed};
    (void)context;
    pthread_mutex_lock(&lock);
    const int rc = bv_http_sse_start(request, &stream_config, &events, &stream, error);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return rc;
}

static struct bv_http_token kept;

static int open_later(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    pthread_mutex_lock(&lock);
    kept = bv_http_defer(request);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return 0;
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/events",       .handler = open_stream},
    {.method = BV_GET, .path = "/events-later", .handler = open_later },
};

static struct testing t;
static struct client *c;

static void start(struct bv_http_config config)
{
    testing_start(&t, &config, routes, BV_COUNT(routes));
    c = client_open(&t);
}

static void begin(void)
{
    start(bv_http_config_default);
}

static void end(void)
{
    client_close(c);
    testing_stop(&t);
}

static void subscribe(void)
{
    client_send(c, "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    const char *end_of_head = client_await_text(c, "\r\n\r\n");
    cr_assert_not_null(end_of_head);
    cr_expect_not_null(strstr(c->data, "HTTP/1.1 200 OK\r\n"));
    cr_expect_not_null(strstr(c->data, "Content-Type: text/event-stream\r\n"));
    cr_expect_not_null(strstr(c->data, "Cache-Control: no-store\r\n"));
    cr_expect_null(strstr(c->data, "Content-Length"));
    client_drop(c, (size_t)(end_of_head - c->data) + 4);
}

/* What the loop thread shall do. */
struct order {
    const char *id;
    const char *event;
    const char *data;
    int count;
};

static void send_order(void *argument)
{
    const struct order *order = argument;
    struct bv_http_message *message = NULL;
    cr_assert_eq(
        bv_http_message_new(
            bv_bytes_of(order->id), bv_bytes_of(order->event), bv_bytes_of(order->data), &message),
        0);
    for (int i = 0; i < order->count; i++)
        cr_assert_eq(bv_http_stream_send(stream, message, BV_BYTES_NONE), 0);
    bv_http_message_free(&message);
}

static void close_stream(void *argument)
{
    (void)argument;
    bv_http_stream_close(stream, 1000, "done");
}

static void start_kept(void *argument)
{
    struct bv_error error = {0};
    struct bv_http_request *request = bv_http_find(kept);
    (void)argument;
    cr_assert_not_null(request);
    cr_assert_eq(open_stream(request, NULL, &error), 0);
}

static void post(void (*function)(void *), void *argument)
{
    cr_assert_eq(bv_loop_post(t.loop, function, argument), 0);
}

static void await_closed(int code)
{
    pthread_mutex_lock(&lock);
    while (closed_code < 0)
        pthread_cond_wait(&changed, &lock);
    cr_expect_eq(closed_code, code, "closed with %d", closed_code);
    pthread_mutex_unlock(&lock);
}

Test(sse, frames_are_ids_events_and_lines_of_data, .init = begin, .fini = end)
{
    static struct order orders[] = {
        {"17", "order.paid", "one\ntwo\r\nthree\rfour", 1},
        {"",   "",           "",                        1},
        {"18", "",           "{}",                      1},
    };
    subscribe();
    for (size_t i = 0; i < BV_COUNT(orders); i++)
        post(send_order, &orders[i]);
    cr_assert_not_null(client_await_text(c, "{}\n\n"));
    cr_expect_str_eq(c->data,
                     "retry: 1500\n\nid: 17\nevent: order.paid\ndata: one\ndata: two\ndata: "
                     "three\ndata: four\n\n"
                     "data: \n\nid: 18\ndata: {}\n\n");
}

Test(sse, pending_frames_leave_in_one_write, .init = begin, .fini = end)
{
    static struct order order = {"", "", "x", 40};
    static struct order last = {"", "", "end", 1};
    subscribe();
    cr_assert_not_null(client_await_text(c, "retry: 1500\n\n"));
    c->reads = 0;
    post(send_order, &order);
    post(send_order, &last);
    cr_assert_not_null(client_await_text(c, "data: end\n\n"));
    cr_expect_leq(c->reads, 2);
    cr_expect_eq(c->size,
                 strlen("retry: 1500\n\n") + 40 * strlen("data: x\n\n") + strlen("data: end\n\n"));
}

Test(sse, closing_ends_the_connection_after_what_was_sent, .init = begin, .fini = end)
{
    static struct order order = {"", "", "last", 1};
    subscribe();
    post(send_order, &order);
    post(close_stream, NULL);
    cr_assert_not_null(client_await_text(c, "data: last\n\n"));
    cr_expect(client_ended(c));
    await_closed(1000);
    testing_await_metric(&t, "bv_http_streams{kind=\"sse\"}", 0);
}

Test(sse, a_client_that_leaves_is_noticed, .init = begin, .fini = end)
{
    subscribe();
    testing_await_metric(&t, "bv_http_streams{kind=\"sse\"}", 1);
    cr_assert_eq(shutdown(c->fd, SHUT_WR), 0);
    await_closed(1006);
    cr_expect(client_ended(c));
}

Test(sse, heartbeats_keep_an_idle_stream_open, .fini = end)
{
    stream_config.heartbeat_ms = 40;
    begin();
    subscribe();
    cr_expect_not_null(client_await_text(c, ": heartbeat\n\n: heartbeat\n\n"));
}

Test(sse, idle_and_request_deadlines_do_not_touch_streams, .fini = end)
{
    static struct order order = {"", "", "still here", 1};
    struct bv_http_config config = bv_http_config_default;
    config.idle_timeout_ms = config.request_timeout_ms = config.header_timeout_ms =
        config.write_timeout_ms = 40;
    stream_config.heartbeat_ms = 200;
    start(config);
    subscribe();
    cr_expect_not_null(client_await_text(c, ": heartbeat\n\n"));
    post(send_order, &order);
    cr_expect_not_null(client_await_text(c, "data: still here\n\n"));
}

Test(sse, a_stream_may_start_after_the_handler, .init = begin, .fini = end)
{
    static struct order order = {"", "", "late", 1};
    client_send(c, "GET /events-later HTTP/1.1\r\nHost: x\r\n\r\n");
    pthread_mutex_lock(&lock);
    while (!kept.server)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    post(start_kept, NULL);
    post(send_order, &order);
    cr_expect_not_null(client_await_text(c, "data: late\n\n"));
}

Test(sse, head_of_a_stream_is_refused, .init = begin, .fini = end)
{
    client_send(c, "HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_not_null(client_await_text(c, "\r\n\r\n"));
    cr_expect_not_null(strstr(c->data, "HTTP/1.1 405"));
}

Test(sse, drain_ends_streams, .init = begin, .fini = end)
{
    subscribe();
    cr_assert_not_null(client_await_text(c, "retry"));
    bv_loop_stop(t.loop);
    cr_assert_eq(pthread_join(t.thread, NULL), 0);
    bv_http_server_drain(t.server, testing_now_ms() + TESTING_WAIT_MS, NULL, NULL);
    cr_assert_eq(pthread_create(&t.thread, NULL, testing_main, &t), 0);
    cr_expect(client_ended(c));
    await_closed(1001);
}

Test(sse, messages_with_line_ends_in_id_or_event_are_refused)
{
    struct bv_http_message *message = NULL;
    cr_expect_eq(bv_http_message_new(BV_BYTES("a\nb"), BV_BYTES_NONE, BV_BYTES("x"), &message),
                 BV_E_INVALID);
    cr_expect_eq(bv_http_message_new(BV_BYTES_NONE, BV_BYTES("a\rb"), BV_BYTES("x"), &message),
                 BV_E_INVALID);
    cr_expect_eq(bv_http_message_new(BV_BYTES_NONE, BV_BYTES_NONE, BV_BYTES("\xff"), &message),
                 BV_E_INVALID);
    cr_expect_null(message);
}
