/* Slow consumers: the client does not read, the stream's queue fills, and its policy says what
 * goes. */
#include "http_testing.h"

#define ITEM_BYTES 4000
#define QUEUE_BYTES 100000

static struct bv_http_stream *stream;
static int closed_code = -1;
static int last_sent = -1;
static int refused_rc;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct bv_http_stream_config stream_config = {.queue_bytes_max = QUEUE_BYTES};

static void on_closed(void *argument, struct bv_http_stream *closed, int code)
{
    (void)argument;
    (void)closed;
    pthread_mutex_lock(&lock);
    stream = NULL;
    closed_code = code;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int open_sse(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_stream_events events = {.closed = on_closed};
    (void)context;
    return bv_http_sse_start(request, &stream_config, &events, &stream, error);
}

static int open_websocket(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_stream_events events = {.closed = on_closed};
    (void)context;
    return bv_http_websocket_start(request, &stream_config, &events, &stream, error);
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/events", .handler = open_sse      },
    {.method = BV_GET, .path = "/socket", .handler = open_websocket},
};

static struct testing t;
static struct client *c;

static int64_t write_timeout_ms = TESTING_WAIT_MS;

static void start(void)
{
    struct bv_http_config config = bv_http_config_default;
    config.write_timeout_ms = write_timeout_ms;
    testing_start(&t, &config, routes, BV_COUNT(routes));
    c = client_open_buffer(&t, 4096);
}

static void end(void)
{
    client_close(c);
    testing_stop(&t);
}

static void ask(const char *path)
{
    char text[512];
    (void)snprintf(
        text,
        sizeof text,
        "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        path);
    client_send(c, text);
    const char *head = client_await_text(c, "\r\n\r\n");
    cr_assert_not_null(head);
    client_drop(c, (size_t)(head - c->data) + 4);
}

static struct bv_bytes binary_key; /* in place of the text */

static int send_item(int number, const char *key)
{
    char data[ITEM_BYTES];
    struct bv_http_message *message = NULL;
    memset(data, '.', sizeof data);
    const int size = snprintf(data, sizeof data, "<%s %d>", key, number);
    data[size] = '.';
    cr_assert_eq(bv_http_message_new(
                     BV_BYTES_NONE, BV_BYTES_NONE, (struct bv_bytes){data, sizeof data}, &message),
                 0);
    const int rc =
        bv_http_stream_send(stream, message, binary_key.size ? binary_key : bv_bytes_of(key));
    bv_http_message_free(&message);
    return rc;
}

/* Sends numbered items until the queue has been full for a while; turns of the loop in between let
 * it drain into the socket. */
static bool filled;
static int number;
static bool two_keys;

static void fill(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100 && stream; i++) {
        refused_rc = send_item(number, two_keys && number == 0 ? "once" : "k");
        if (refused_rc != 0)
            break;
        last_sent = number++;
        cr_assert_leq(bv_http_stream_queued(stream), QUEUE_BYTES);
    }
    if (refused_rc == 0 && number < 4000) {
        cr_assert_eq(bv_loop_post(t.loop, fill, NULL), 0);
        return;
    }
    pthread_mutex_lock(&lock);
    filled = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void fill_queue(void)
{
    cr_assert_eq(bv_loop_post(t.loop, fill, NULL), 0);
    pthread_mutex_lock(&lock);
    while (!filled)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

/* Reads all until the item of that number has come; false at the end of the stream. Counts the
 * items. */
static bool read_until(int wanted, int *ret_items)
{
    char mark[32];
    (void)snprintf(mark, sizeof mark, "<k %d>", wanted);
    *ret_items = 0;
    for (;;) {
        const char *at = c->data;
        const bool found = strstr(c->data, mark) != NULL;
        for (const char *item = strchr(at, '<'); item && strchr(item, '>');
             item = strchr(item + 1, '<'))
            ++*ret_items;
        const char *keep = strrchr(c->data, '<');
        if (found)
            return true;
        if (keep && !strchr(keep, '>'))
            client_drop(c, (size_t)(keep - c->data));
        else
            client_drop(c, c->size);
        if (client_more(c) == 0)
            return false;
    }
}

Test(http_stream, drop_oldest_keeps_the_newest, .init = start, .fini = end)
{
    int items = 0;
    stream_config.slow_policy = BV_SLOW_DROP_OLDEST;
    ask("/events");
    fill_queue();
    cr_expect_eq(last_sent, 3999);
    cr_expect(read_until(3999, &items), "the newest item must arrive");
    cr_expect_lt(items, 4000);
    cr_expect_gt(testing_metric(&t, "bv_http_stream_messages_dropped_total"), 1000);
    cr_expect_eq(items + (int)testing_metric(&t, "bv_http_stream_messages_dropped_total"),
                 4000,
                 "%d + %g",
                 items,
                 testing_metric(&t, "bv_http_stream_messages_dropped_total"));
}

Test(http_stream, coalesce_keeps_the_newest_of_a_key, .init = start, .fini = end)
{
    int items = 0;
    stream_config.slow_policy = BV_SLOW_COALESCE;
    ask("/events");
    fill_queue();
    cr_expect(read_until(3999, &items));
    cr_expect_gt(testing_metric(&t, "bv_http_stream_messages_dropped_total"), 1000);
}

Test(http_stream, coalesce_takes_any_bytes_for_a_key, .init = start, .fini = end)
{
    int items = 0;
    binary_key = BV_BYTES("k\0and a long tail behind the NUL");
    stream_config.slow_policy = BV_SLOW_COALESCE;
    ask("/events");
    fill_queue();
    cr_expect(read_until(3999, &items));
}

Test(http_stream, close_ends_a_slow_sse_client, .init = start, .fini = end)
{
    int items = 0;
    stream_config.slow_policy = BV_SLOW_CLOSE;
    ask("/events");
    fill_queue();
    cr_expect_eq(refused_rc, BV_E_LIMIT);
    cr_expect_not(read_until(999999, &items), "it ends");
    cr_expect_leq(items, last_sent + 1);
    testing_await_metric(&t, "bv_http_stream_slow_closed_total", 1);
    testing_await_metric(&t, "bv_http_streams{kind=\"sse\"}", 0);
    cr_expect_eq(closed_code, 1013);
}

Test(http_stream, close_tells_a_slow_websocket_1013, .init = start, .fini = end)
{
    stream_config.slow_policy = BV_SLOW_CLOSE;
    ask("/socket");
    fill_queue();
    cr_expect_eq(refused_rc, BV_E_LIMIT);
    char last[4] = {0};
    for (;;) { /* the close frame is the last thing said: 88 size 03 f5 */
        if (c->size > 200)
            client_drop(c, c->size - 200);
        if (client_more(c) == 0)
            break;
    }
    const char *close_frame = memmem(c->data, c->size, "\x88\x0a\x03\xf5", 4);
    cr_assert_not_null(close_frame);
    memcpy(last, close_frame, 4);
    cr_expect_eq((size_t)(close_frame - c->data) + 12, c->size);
    testing_await_metric(&t, "bv_http_streams{kind=\"websocket\"}", 0);
    cr_expect_eq(closed_code, 1013);
}

Test(http_stream, a_client_that_takes_nothing_is_cut_after_the_write_timeout, .fini = end)
{
    write_timeout_ms = 300;
    start();
    stream_config.slow_policy = BV_SLOW_DROP_OLDEST;
    ask("/events");
    fill_queue();
    testing_await_metric(&t, "bv_http_timeouts_total", 1);
    testing_await_metric(&t, "bv_http_streams{kind=\"sse\"}", 0);
    cr_expect_eq(closed_code, 1006);
}

Test(http_stream, the_server_closes_with_streams_under_way, .init = start, .fini = end)
{
    stream_config.slow_policy = BV_SLOW_DROP_OLDEST;
    ask("/socket");
    fill_queue();
}
