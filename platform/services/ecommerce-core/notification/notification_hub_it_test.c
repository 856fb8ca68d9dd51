#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bv/test_env.h"
#include "notification_service.h"
#include "notification_testing.h"

/* ---- a replica: store, hub, listener and HTTP server ---- */

struct replica {
    struct bench bench;
    struct notification_service service; /* of which the live routes use the hub alone */
    struct notification_listen *listen;
    struct bv_http_server *http;
};

/* Any token will do; the user is the part before its first point. */
static int authenticate(void *context,
                        struct bv_arena *arena,
                        struct bv_bytes token,
                        struct bv_principal *ret_principal,
                        struct bv_error *error)
{
    const char *point = memchr(token.data, '.', token.size);
    (void)context, (void)arena, (void)error;
    *ret_principal = (struct bv_principal){
        .subject = {token.data, point ? (size_t)(point - token.data) : token.size},
        .tenant = BV_BYTES("default")
    };
    return 0;
}

static void on_hint(void *argument, struct bv_bytes payload)
{
    struct replica *replica = argument;
    struct notification_hint hint;
    cr_assert_eq(notification_hint_parse(payload, &hint), 0);
    notification_hub_hint(replica->service.hub, &hint);
}

static void on_missed(void *argument)
{
    notification_hub_resync(((struct replica *)argument)->service.hub);
}

static bool is_listening(void *argument)
{
    return notification_listen_ready(((struct replica *)argument)->listen);
}

static void replica_open(struct replica *replica,
                         const struct replica *peer,
                         struct notification_hub_config config)
{
    *replica = (struct replica){0};
    if (peer)
        bench_open_on(&replica->bench, peer->bench.loop, peer->bench.conninfo);
    else
        bench_open(&replica->bench);
    struct bv_loop *loop = replica->bench.loop;
    struct notification_listen_events events = {on_hint, on_missed, replica};
    struct bv_http_config http = bv_http_config_default;
    http.host = "127.0.0.1";
    http.port = 0;
    cr_assert_eq(notification_hub_open(
                     loop, &config, replica->bench.store, NULL, NULL, &replica->service.hub),
                 0);
    cr_assert_eq(
        notification_listen_open(loop, replica->bench.conninfo, NULL, &events, &replica->listen),
        0);
    cr_assert_eq(bv_http_server_open(&http, &(struct bv_http_deps){.loop = loop}, &replica->http),
                 0);
    cr_assert_eq(
        bv_http_server_routes(
            replica->http, notification_routes, NOTIFICATION_ROUTE_COUNT, &replica->service),
        0);
    bv_http_server_authenticator(replica->http, authenticate, NULL);
    cr_assert_eq(bv_http_server_start(replica->http, NULL), 0);
    cr_assert(bv_test_run_until(loop, is_listening, replica, WAIT_MS));
}

static void replica_close(struct replica *replica, bool last)
{
    notification_listen_close(&replica->listen);
    bv_pg_close(&replica->bench.pg);
    bv_http_server_close(&replica->http);
    notification_hub_close(&replica->service.hub);
    if (last)
        bench_close(&replica->bench);
    else
        bench_close_on(&replica->bench);
}

static const struct notification_hub_config usual = {
    .queue_bytes = 65536, .clients_per_user = 4, .heartbeat_ms = 10000, .keep_count = 100000};

/* ---- a client: raw bytes, so that nothing hides what was sent ---- */

struct reader {
    struct bv_loop *loop;
    struct bv_poll *poll;
    int fd;
    struct bv_buf text;
    size_t seen;  /* bytes of text that were looked at */
    int64_t last; /* sequence of the last message */
    size_t messages, resets;
    bool closed, broken; /* broken: a gap, a duplicate, or data that is not its id's */
};

static void on_line(struct reader *reader, struct bv_bytes line)
{
    int64_t id;
    char want[64];
    if (bv_bytes_starts(line, BV_BYTES("id: "))) {
        cr_assert_eq(
            bv_bytes_int64((struct bv_bytes){line.data + 4, line.size - 4}, 0, INT64_MAX, &id), 0);
        if (reader->last >= 0 && id != reader->last + 1)
            reader->broken = true; /* a reset mends it below */
        reader->last = id;
    } else if (bv_bytes_starts(line, BV_BYTES("data: {\"type\":\"reset\""))) {
        reader->resets++;
        reader->broken = false;
    } else if (bv_bytes_starts(line, BV_BYTES("data: "))) {
        int size =
            snprintf(want, sizeof(want), "data: {\"sequence\":%lld,", (long long)reader->last);
        reader->broken |= !bv_bytes_starts(line, (struct bv_bytes){want, (size_t)size});
        reader->messages++;
    } else {
        cr_assert(!bv_bytes_starts(line, BV_BYTES("event:")));
    }
}

static void on_readable(void *argument, int events)
{
    struct reader *reader = argument;
    char *place = bv_buf_reserve(&reader->text, 65536);
    (void)events;
    cr_assert_not_null(place);
    ssize_t size = recv(reader->fd, place, 65536, 0);
    if (size <= 0) {
        reader->closed = size == 0 || errno != EAGAIN;
        if (reader->closed)
            bv_poll_set(reader->poll, BV_POLL_NONE);
        return;
    }
    reader->text.size += (size_t)size;
    for (;;) {
        const char *start = reader->text.data + reader->seen;
        const char *end = memchr(start, '\n', reader->text.size - reader->seen);
        if (!end)
            return;
        on_line(reader, (struct bv_bytes){start, (size_t)(end - start)});
        reader->seen += (size_t)(end - start) + 1;
    }
}

static void reader_connect(struct reader *reader,
                           const struct replica *replica,
                           int receive_bytes,
                           const char *head)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)bv_http_server_port(replica->http))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *reader = (struct reader){.loop = replica->bench.loop,
                              .fd = socket(AF_INET, SOCK_STREAM, 0),
                              .last = -1,
                              .text = {.max = 64 << 20}};
    if (receive_bytes > 0)
        setsockopt(reader->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    cr_assert_eq(connect(reader->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(send(reader->fd, head, strlen(head), 0), (ssize_t)strlen(head));
}

static void reader_watch(struct reader *reader)
{
    cr_assert_eq(bv_poll_open(reader->loop, reader->fd, on_readable, reader, &reader->poll), 0);
    bv_poll_set(reader->poll, BV_POLL_READ);
}

/* cursor -1: none. */
static void
reader_open(struct reader *reader, const struct replica *replica, const char *token, int64_t cursor)
{
    char head[512], field[64] = "";
    if (cursor >= 0)
        snprintf(field, sizeof(field), "Last-Event-ID: %lld\r\n", (long long)cursor);
    snprintf(head,
             sizeof(head),
             "GET /v1/stream HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\n%s\r\n",
             token,
             field);
    reader_connect(reader, replica, 0, head);
    reader->last = cursor;
    reader_watch(reader);
}

static void reader_close(struct reader *reader)
{
    bv_poll_close(&reader->poll);
    close(reader->fd);
    bv_buf_release(&reader->text);
}

static bool has_started(void *argument)
{
    return ((struct reader *)argument)->seen > 0;
}

static bool is_closed(void *argument)
{
    return ((struct reader *)argument)->closed;
}

struct wanted {
    struct reader *readers;
    size_t count;
    int64_t last;
};

static bool all_have(void *argument)
{
    const struct wanted *wanted = argument;
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->readers[i].last != wanted->last)
            return false;
    return true;
}

static void await_last(struct reader *readers, size_t count, int64_t last)
{
    struct wanted wanted = {readers, count, last};
    bool had = bv_test_run_until(readers->loop, all_have, &wanted, WAIT_MS);
    for (size_t i = 0; i < count; i++) {
        cr_assert(had || readers[i].last == last,
                  "reader %zu is at %lld, not %lld",
                  i,
                  (long long)readers[i].last,
                  (long long)last);
        cr_assert(!readers[i].broken, "reader %zu has a gap or a duplicate", i);
    }
}

/* Commits on a replica, pushing as the service does. */
static void publish(struct replica *replica, const char *user, int order)
{
    struct told told;
    const struct notification_event *event = tell(&told, user, order, 1, CREATED);
    struct taking taking = take_all(&replica->bench, event, 1);
    struct notification_live live = {
        taking.sequences[0], event->type, event->occurred_at, event->traceparent, event->data};
    cr_assert_eq(replica->bench.rc, 0);
    cr_assert(taking.sequences[0] > 0);
    notification_hub_offer(replica->service.hub, event->tenant, event->user_id, &live);
}

/* ---- tests ---- */

/* Clients of two replicas come, go and resume while both commit: everyone gets everything once, in
 * sequence. */
Test(notification_hub, resumes_without_gap_or_duplicate_while_others_publish, .timeout = 60)
{
    enum { ROUNDS = 400, READERS = 6 };
    struct replica replicas[2];
    struct reader readers[READERS];
    struct bv_test_env dice;
    bv_test_env_init(&dice, 7);
    replica_open(&replicas[0], NULL, usual);
    replica_open(&replicas[1], &replicas[0], usual);
    for (int i = 0; i < READERS; i++)
        reader_open(&readers[i], &replicas[i % 2], "ada.x", 0);
    for (int order = 1; order <= ROUNDS; order++) {
        publish(&replicas[bv_random_below(&dice.env, 2)], "ada", order);
        if (bv_random_below(&dice.env, 4) > 0)
            continue;
        struct reader *reader = &readers[bv_random_below(&dice.env, READERS)];
        int64_t last = reader->last;
        cr_assert(!reader->broken, "gap or duplicate before %lld", (long long)last);
        reader_close(reader);
        reader_open(reader, &replicas[bv_random_below(&dice.env, 2)], "ada.x", last);
    }
    await_last(readers, READERS, ROUNDS);
    for (int i = 0; i < READERS; i++) {
        cr_assert_eq(readers[i].resets, 0);
        reader_close(&readers[i]);
    }
    replica_close(&replicas[1], false);
    replica_close(&replicas[0], true);
}

Test(notification_hub, begins_now_without_a_cursor_and_sees_only_its_user)
{
    struct replica replica;
    struct reader reader;
    replica_open(&replica, NULL, usual);
    publish(&replica, "ada", 1);
    publish(&replica, "ada", 2);
    reader_open(&reader, &replica, "ada.x", -1);
    cr_assert(bv_test_run_until(replica.bench.loop, has_started, &reader, WAIT_MS));
    publish(&replica, "bob", 3); /* whoever sees the stream open misses nothing */
    publish(&replica, "ada", 4);
    await_last(&reader, 1, 3);
    cr_assert_eq(reader.messages, 1);
    reader_close(&reader);
    replica_close(&replica, true);
}

/* More than a page and more than the queue holds. */
Test(notification_hub, replays_a_long_backlog, .timeout = 60)
{
    struct replica replica;
    struct reader reader;
    replica_open(&replica, NULL, usual);
    bv_test_sql(replica.bench.conninfo,
                "INSERT INTO user_sequences VALUES ('default', 'ada', 1000);"
                "INSERT INTO live_messages SELECT 'default', 'ada', n, 'ecommerce.order.paid.v1', "
                "now(), 't',"
                " '{\"x\":\"' || repeat('y', 2000) || '\"}' FROM generate_series(1, 1000) n");
    reader_open(&reader, &replica, "ada.x", 0);
    await_last(&reader, 1, 1000);
    cr_assert_eq(reader.messages, 1000);
    reader_close(&reader);
    replica_close(&replica, true);
}

Test(notification_hub, resets_a_cursor_that_is_too_old_or_unknown)
{
    struct replica replica;
    struct reader readers[3];
    replica_open(&replica, NULL, usual);
    for (int order = 1; order <= 5; order++)
        publish(&replica, "ada", order);
    bv_test_sql(replica.bench.conninfo, "DELETE FROM live_messages WHERE sequence <= 3");
    reader_open(&readers[0], &replica, "ada.x", 2); /* 3 is gone */
    reader_open(&readers[1], &replica, "ada.x", 77);
    reader_open(&readers[2], &replica, "ada.x", 3);
    publish(&replica, "ada", 6);
    await_last(readers, 3, 6);
    cr_assert_eq(readers[0].resets, 1);
    cr_assert_eq(readers[1].resets, 1);
    cr_assert_eq(readers[2].resets, 0);
    char *first = strstr(readers[0].text.data, "\"orders\":[");
    cr_assert_not_null(first);
    cr_assert_not_null(strstr(first, "000000000005"), "the snapshot has the newest order");
    for (int i = 0; i < 3; i++)
        reader_close(&readers[i]);
    replica_close(&replica, true);
}

Test(notification_hub, keeps_so_many_messages_per_user)
{
    struct replica replica;
    struct notification_hub_config config = usual;
    config.keep_count = 5;
    replica_open(&replica, NULL, config);
    for (int order = 1; order <= 9; order++)
        publish(&replica, "ada", order);
    publish(&replica,
            "bob",
            10); /* calls keep no order: the last trim has ended before this one, or with it */
    bv_test_run_for(replica.bench.loop, 50);
    cr_assert_eq(bv_test_sql_int(replica.bench.conninfo,
                                 "SELECT min(sequence) FROM live_messages WHERE user_id = 'ada'"),
                 5);
    replica_close(&replica, true);
}

Test(notification_hub, reads_again_what_it_could_not_hear)
{
    struct replica east, west;
    struct reader reader;
    replica_open(&east, NULL, usual);
    replica_open(&west, &east, usual);
    reader_open(&reader, &west, "ada.x", 0);
    publish(&east, "ada", 1);
    await_last(&reader, 1, 1);
    bv_test_sql(east.bench.conninfo,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'notification-listen' AND datname = current_database()");
    publish(&east, "ada", 2);
    await_last(&reader, 1, 2);
    publish(&east, "ada", 3);
    await_last(&reader, 1, 3);
    reader_close(&reader);
    replica_close(&west, false);
    replica_close(&east, true);
}

/* Offered from nowhere: the store is not asked, as there is no gap. */
static void offer_big(struct replica *replica, int64_t sequence, struct bv_bytes data)
{
    struct notification_live live = {
        sequence, BV_BYTES(PAID), BV_BYTES("2026-11-23T01:15:04.250Z"), BV_BYTES("t"), data};
    notification_hub_offer(replica->service.hub, BV_BYTES("default"), BV_BYTES("ada"), &live);
}

Test(notification_hub, closes_a_client_that_does_not_read)
{
    struct replica replica;
    struct reader slow, quick;
    struct bv_buf data = {.max = 65536};
    replica_open(&replica, NULL, usual);
    reader_connect(
        &slow,
        &replica,
        4096,
        "GET /v1/stream?after=0 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ada.x\r\n\r\n");
    reader_open(&quick, &replica, "ada.x", 0);
    cr_assert(bv_test_run_until(replica.bench.loop, has_started, &quick, WAIT_MS));
    bv_test_run_for(replica.bench.loop, 100); /* both have read that there is nothing */
    cr_assert_eq(notification_hub_clients(replica.service.hub), 2);
    bv_buf_text(&data, "{\"x\":\"");
    memset(bv_buf_reserve(&data, 20000), 'y', 20000);
    data.size += 20000;
    bv_buf_text(&data, "\"}");
    for (int64_t sequence = 1;
         sequence <= 1000 && notification_hub_clients(replica.service.hub) == 2;
         sequence++) {
        offer_big(&replica, sequence, bv_buf_view(&data));
        await_last(&quick, 1, sequence);
    }
    bv_test_run_for(replica.bench.loop, 10);
    reader_watch(&slow); /* what it was sent, then the end */
    slow.last = 0;
    cr_assert(bv_test_run_until(replica.bench.loop, is_closed, &slow, WAIT_MS));
    cr_assert(!slow.broken);
    cr_assert(!quick.closed);
    cr_assert_lt(slow.last, quick.last);
    reader_close(&slow);
    reader_close(&quick);
    bv_buf_release(&data);
    replica_close(&replica, true);
}

/* The store as it is, with its pages counted. */
static const struct notification_store_ops *counted_ops;
static size_t counted_pages;

static int counted_page(struct notification_store *self,
                        struct bv_bytes tenant,
                        struct bv_bytes user_id,
                        int64_t after,
                        int64_t limit,
                        notification_page_done *done,
                        void *argument)
{
    counted_pages++;
    return counted_ops->page(self, tenant, user_id, after, limit, done, argument);
}

/* Its queue is half full and stays so: there is nothing to read for it. */
Test(notification_hub, reads_nothing_for_a_client_that_has_no_room)
{
    struct replica replica;
    struct reader slow;
    struct notification_hub_config config = usual;
    config.queue_bytes = 1 << 20;
    replica_open(&replica, NULL, config);
    bv_test_sql(replica.bench.conninfo,
                "INSERT INTO user_sequences VALUES ('default', 'ada', 3000);"
                "INSERT INTO live_messages SELECT 'default', 'ada', n, '" CREATED "', now(), 't',"
                " '{\"x\":\"' || repeat('y', 6000) || '\"}' FROM generate_series(1, 3000) n");
    counted_ops = replica.bench.store->ops;
    struct notification_store_ops ops = *counted_ops;
    ops.page = counted_page;
    replica.bench.store->ops = &ops;
    reader_connect(
        &slow,
        &replica,
        4096,
        "GET /v1/stream?after=0 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ada.x\r\n\r\n");
    size_t before = SIZE_MAX;
    for (int i = 0; i < 50 && (counted_pages == 0 || counted_pages != before); i++) {
        before = counted_pages;
        bv_test_run_for(replica.bench.loop, 200);
    }
    cr_expect_eq(counted_pages, before, "still read, after %zu pages", before);
    reader_watch(&slow); /* and goes on as soon as there is room */
    slow.last = 0;
    await_last(&slow, 1, 3000);
    reader_close(&slow);
    replica.bench.store->ops = counted_ops;
    replica_close(&replica, true);
}

Test(notification_hub, bounds_the_connections_of_one_user)
{
    struct replica replica;
    struct reader readers[5];
    replica_open(&replica, NULL, usual);
    for (int i = 0; i < 5; i++) {
        reader_open(&readers[i], &replica, "ada.x", 0);
        cr_assert(bv_test_run_until(replica.bench.loop, has_started, &readers[i], WAIT_MS));
    }
    cr_assert(bv_bytes_starts(bv_buf_view(&readers[3].text), BV_BYTES("HTTP/1.1 200 ")));
    cr_assert(bv_bytes_starts(bv_buf_view(&readers[4].text), BV_BYTES("HTTP/1.1 429 ")));
    cr_assert_eq(notification_hub_clients(replica.service.hub), 4);
    for (int i = 0; i < 5; i++)
        reader_close(&readers[i]);
    bv_test_run_for(replica.bench.loop, 50);
    cr_assert_eq(notification_hub_clients(replica.service.hub), 0);
    replica_close(&replica, true);
}

Test(notification_hub, ends_with_the_token)
{
    struct replica replica;
    struct reader reader;
    char claims[64], part[128], token[160];
    replica_open(&replica, NULL, usual);
    int64_t now_s = bv_wall_us(&bv_test_env_system) / 1000000;
    snprintf(claims, sizeof(claims), "{\"exp\":%lld}", (long long)now_s + 1);
    part[bv_base64url_encode(claims, strlen(claims), part)] = '\0';
    snprintf(token, sizeof(token), "ada.%s.x", part);
    reader_open(&reader, &replica, token, 0);
    cr_assert(bv_test_run_until(replica.bench.loop, is_closed, &reader, 5000));
    cr_assert_geq(bv_wall_us(&bv_test_env_system) / 1000000, now_s + 1);
    reader_close(&reader);
    replica_close(&replica, true);
}

/* ---- WebSocket: the same messages ---- */

static bool has_frame(void *argument)
{
    const struct reader *reader = argument;
    return reader->text.size > 0 &&
           memmem(reader->text.data, reader->text.size, "\"customerId\":\"ada\"}}", 20);
}

static bool has_close(void *argument)
{
    const struct reader *reader = argument;
    return reader->text.size > 0 && memmem(reader->text.data, reader->text.size, "\x88", 1);
}

Test(notification_hub, websocket_frames_are_the_messages_of_the_stream)
{
    struct replica replica;
    struct reader socket, stream;
    static const char data_frame[] = "\x81\x81\x00\x00\x00\x00x";
    replica_open(&replica, NULL, usual);
    reader_connect(&socket,
                   &replica,
                   0,
                   "GET /v1/live?after=0 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer "
                   "ada.x\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                   "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    reader_watch(&socket);
    reader_open(&stream, &replica, "ada.x", 0);
    publish(&replica, "ada", 1);
    await_last(&stream, 1, 1);
    cr_assert(bv_test_run_until(replica.bench.loop, has_frame, &socket, WAIT_MS));
    cr_assert(bv_bytes_starts(bv_buf_view(&socket.text), BV_BYTES("HTTP/1.1 101 ")));
    const char *event = strstr(stream.text.data, "data: ") + 6;
    size_t size = strcspn(event, "\n");
    cr_assert_not_null(memmem(socket.text.data, socket.text.size, event, size));
    bv_buf_reset(&socket.text);
    socket.seen = 0;
    cr_assert_eq(send(socket.fd, data_frame, sizeof(data_frame) - 1, 0),
                 (ssize_t)sizeof(data_frame) - 1);
    cr_assert(bv_test_run_until(replica.bench.loop, has_close, &socket, WAIT_MS));
    cr_assert_eq(socket.text.data[2] << 8 | (unsigned char)socket.text.data[3], 1003);
    reader_close(&socket);
    reader_close(&stream);
    replica_close(&replica, true);
}
