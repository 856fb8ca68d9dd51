#include "http_testing.h"

#include <semaphore.h>
#include <sys/syscall.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* What the handlers leave for the test: written on the loop thread, read after a reply or under the
 * lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct bv_http_token kept[64];
static size_t kept_count;

static int hello(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "text/plain",
                                                    .body = bv_http_param(request, "name")});
}

static int later(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    const struct bv_http_token token = bv_http_defer(request);
    pthread_mutex_lock(&lock);
    kept[kept_count++] = token;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int big(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    const size_t size = 8u << 20;
    char *body = bv_arena_alloc(bv_http_arena(request), size);
    cr_assert_not_null(body);
    memset(body, 'b', size);
    return bv_http_reply(request,
                         &(struct bv_http_response){
                             .status = 200,
                             .content_type = "application/octet-stream",
                             .body = {body, size},
                             .body_in_arena = true
    });
}

static int faulty(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request;
    (void)context;
    return bv_fail(error, BV_E_CONFLICT, "It is %s.", "taken");
}

static int broken(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request;
    (void)context;
    return bv_fail(error, BV_E_IO, "the password is hunter2");
}

static int unstored(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request;
    (void)context;
    error->inside = true;
    return bv_fail(error, BV_E_UNAVAILABLE, "find_user: the host db.example is gone");
}

static int forgetful(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request;
    (void)context;
    (void)error;
    return 0;
}

static int twice(struct bv_http_request *request, void *context, struct bv_error *error)
{
    cr_assert_eq(hello(request, context, error), 0);
    cr_assert_eq(hello(request, context, error), BV_E_CLOSED);
    return bv_fail(error, BV_E_IO, "after the reply");
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/hello/{name}", .handler = hello},
    {.method = BV_GET, .path = "/later", .handler = later},
    {.method = BV_GET, .path = "/soon", .handler = later, .timeout_ms = 50},
    {.method = BV_POST, .path = "/body", .handler = hello, .body_bytes_max = 100},
    {.method = BV_GET, .path = "/big", .handler = big},
    {.method = BV_GET, .path = "/faulty", .handler = faulty},
    {.method = BV_GET, .path = "/broken", .handler = broken},
    {.method = BV_GET, .path = "/unstored", .handler = unstored},
    {.method = BV_GET, .path = "/forgetful", .handler = forgetful},
    {.method = BV_GET, .path = "/twice", .handler = twice},
};

static struct testing t;
static struct client_reply reply;

static void begin(void)
{
    struct bv_http_config config = bv_http_config_default;
    config.arena_bytes_max = 16 << 20;
    testing_start(&t, &config, routes, BV_COUNT(routes));
}

static void end(void)
{
    testing_stop(&t);
}

static struct bv_http_token await_token(size_t index)
{
    pthread_mutex_lock(&lock);
    while (kept_count <= index)
        pthread_cond_wait(&changed, &lock);
    const struct bv_http_token token = kept[index];
    pthread_mutex_unlock(&lock);
    return token;
}

static void answer(struct bv_http_token token, const char *text)
{
    const struct bv_http_field field = {"X-From", BV_BYTES("worker")};
    const struct bv_http_response response = {.status = 200,
                                              .content_type = "text/plain",
                                              .body = bv_bytes_of(text),
                                              .fields = &field,
                                              .field_count = 1};
    cr_assert_eq(bv_http_reply_any_thread(token, &response), 0);
}

Test(http_server, a_reply_is_one_write_and_the_connection_stays, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    for (int i = 0; i < 50; i++) {
        c->reads = 0;
        cr_assert_eq(client_ask(c, &reply, GET("/hello/you")), 200);
        cr_expect_str_eq(reply.body, "you");
        cr_expect_eq(c->reads, 1);
    }
    testing_await_metric(&t, "bv_http_connections", 1);
    client_close(c);
    testing_await_metric(&t, "bv_http_connections", 0);
    cr_expect_eq(testing_metric(&t,
                                "bv_http_requests_total{route=\"/hello/{name}\",method=\"GET\","
                                "status=\"200\"}"),
                 50);
}

Test(http_server, pipelined_requests_are_answered_in_order, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    client_send(c,
                GET("/hello/1") GET("/later") GET("/hello/3") GET("/nope") GET("/later")
                    GET("/hello/6"));
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "1");
    answer(await_token(0), "2");
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "2");
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "3");
    client_read(c, &reply);
    cr_expect_eq(reply.status, 404);
    answer(await_token(1), "5");
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "5");
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "6");
    client_close(c);
}

Test(http_server, a_request_behind_an_owed_reply_is_not_looked_at, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    client_send(c, GET("/later") GET("/later"));
    const struct bv_http_token first = await_token(0);
    struct client *other = client_open(&t);
    cr_assert_eq(client_ask(other, &reply, GET("/hello/x")), 200); /* the loop has turned */
    pthread_mutex_lock(&lock);
    cr_expect_eq(kept_count, 1);
    pthread_mutex_unlock(&lock);
    answer(first, "1");
    answer(await_token(1), "2");
    client_read(c, &reply);
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "2");
    client_close(other);
    client_close(c);
}

Test(http_server, a_long_pipeline_is_answered_whole, .init = begin, .fini = end)
{
    enum { COUNT = 2000 };
    char *text = malloc(COUNT * 64);
    size_t size = 0;
    struct client *c = client_open(&t);
    cr_assert_not_null(text);
    for (int i = 0; i < COUNT; i++)
        size += (size_t)snprintf(
            text + size, COUNT * 64 - size, "GET /hello/%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
    client_send_bytes(c, text, size / 2);
    client_send_bytes(c, text + size / 2, size - size / 2);
    for (int i = 0; i < COUNT; i++) {
        client_read(c, &reply);
        cr_assert_eq((int)strtol(reply.body, NULL, 10), i);
    }
    free(text);
    client_close(c);
}

Test(http_server, a_reply_from_another_thread_carries_its_fields, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    client_send(c, GET("/later"));
    answer(await_token(0), "done");
    client_read(c, &reply);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply.body, "done");
    cr_expect_not_null(strstr(reply.head, "X-From: worker\r\n"));
    client_close(c);
}

Test(http_server, a_second_and_a_late_reply_are_counted_and_harmless, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    client_send(c, GET("/soon"));
    client_read(c, &reply);
    cr_expect_eq(reply.status, 504);
    cr_expect_not_null(strstr(reply.body, "\"code\":\"deadline-exceeded\""));
    cr_expect_not_null(strstr(reply.head, "Retry-After: 1\r\n"));
    answer(await_token(0), "late");
    testing_await_metric(&t, "bv_http_late_replies_total", 1);
    cr_expect_eq(client_ask(c, &reply, GET("/hello/next")), 200);
    cr_expect_str_eq(reply.body, "next");
    answer(await_token(0), "later still"); /* the slot has been lent again since */
    testing_await_metric(&t, "bv_http_late_replies_total", 2);
    cr_expect_eq(client_ask(c, &reply, GET("/hello/end")), 200);
    cr_expect_str_eq(reply.body, "end");
    client_close(c);
}

Test(http_server, a_peer_that_is_gone_makes_its_reply_late, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    client_send(c, GET("/later"));
    const struct bv_http_token token = await_token(0);
    client_reset(c);
    testing_await_metric(&t, "bv_http_connections", 0);
    answer(token, "nobody listens");
    testing_await_metric(&t, "bv_http_late_replies_total", 1);
    cr_expect_eq(testing_metric(
                     &t, "bv_http_requests_total{route=\"/later\",method=\"GET\",status=\"499\"}"),
                 1);
}

Test(http_server, writing_to_a_peer_that_left_is_no_signal, .init = begin, .fini = end)
{
    for (int i = 0; i < 50; i++) {
        struct client *c = client_open(&t);
        client_send(c, GET("/hello/1") GET("/hello/2") GET("/hello/3") GET("/hello/4"));
        client_reset(c);
        c = client_open(&t);
        client_send(c, GET("/later") GET("/hello/2"));
        (void)await_token((size_t)i);
        client_close(c);
        answer(await_token((size_t)i), "x");
    }
    struct client *c = client_open(&t);
    cr_expect_eq(client_ask(c, &reply, GET("/hello/x")), 200);
    client_close(c);
    testing_await_metric(&t, "bv_http_connections", 0);
}

Test(http_server, a_half_closed_peer_gets_what_it_is_owed, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    client_send(c, GET("/later") GET("/hello/2"));
    cr_assert_eq(shutdown(c->fd, SHUT_WR), 0);
    answer(await_token(0), "1");
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "1");
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "2");
    cr_expect(client_ended(c));
    client_close(c);
}

Test(http_server, output_that_the_socket_does_not_take_waits, .init = begin, .fini = end)
{
    struct client *c = client_open_buffer(&t, 4096);
    size_t left = 8u << 20;
    client_send(c, GET("/big") GET("/hello/after"));
    const char *body = client_await_text(c, "\r\n\r\n");
    cr_assert_not_null(body);
    client_drop(c, (size_t)(body - c->data) + 4);
    while (left > 0) {
        if (c->size == 0)
            cr_assert_gt(client_more(c), 0);
        const size_t taken = c->size < left ? c->size : left;
        client_drop(c, taken);
        left -= taken;
    }
    client_read(c, &reply);
    cr_expect_str_eq(reply.body, "after");
    client_close(c);
}

Test(http_server, faults_become_problems_by_the_table, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    cr_expect_eq(client_ask(c, &reply, GET("/faulty")), 409);
    cr_expect_not_null(strstr(reply.head, "Content-Type: application/problem+json\r\n"));
    cr_expect_not_null(strstr(reply.body, "\"type\":\"/problems/conflict\""));
    cr_expect_not_null(strstr(reply.body, "\"detail\":\"It is taken.\""));
    cr_expect_not_null(strstr(reply.body, "\"instance\":\"/faulty\""));
    cr_expect_eq(client_ask(c, &reply, GET("/broken")), 500);
    cr_expect_null(strstr(reply.body, "hunter2"), "inner details must not leave");
    cr_expect_eq(client_ask(c, &reply, GET("/unstored")), 503);
    cr_expect_not_null(strstr(reply.body, "\"detail\":\"Temporarily unavailable\""));
    cr_expect_eq(client_ask(c, &reply, GET("/forgetful")), 500);
    cr_expect_eq(client_ask(c, &reply, GET("/hello/x")), 200);
    client_close(c);
}

Test(http_server, a_request_is_never_answered_twice, .init = begin, .fini = end)
{
    struct client *c = client_open(&t);
    cr_expect_eq(client_ask(c, &reply, GET("/twice")), 200);
    cr_expect_eq(client_ask(c, &reply, GET("/hello/next")), 200);
    cr_expect_str_eq(reply.body, "next");
    cr_expect_eq(c->size, 0);
    client_close(c);
}

/* ---- limits and deadlines
 * ------------------------------------------------------------------------------------------------------
 */

static void start_with(struct bv_http_config config)
{
    testing_start(&t, &config, routes, BV_COUNT(routes));
}

static struct bv_http_config short_config(void)
{
    struct bv_http_config config = bv_http_config_default;
    config.arena_bytes_max = 16 << 20;
    config.header_timeout_ms = 200;
    config.body_timeout_ms = 200;
    config.idle_timeout_ms = 200;
    config.write_timeout_ms = 200;
    config.request_timeout_ms = 200;
    return config;
}

Test(http_server, an_idle_connection_is_closed_without_a_word, .fini = end)
{
    start_with(short_config());
    struct client *c = client_open(&t);
    cr_expect(client_ended(c));
    cr_expect_eq(c->size, 0);
    client_close(c);
    c = client_open(&t);
    cr_expect_eq(client_ask(c, &reply, GET("/hello/x")), 200);
    cr_expect(client_ended(c));
    cr_expect_eq(c->size, 0);
    client_close(c);
}

Test(http_server, slow_headers_and_slow_bodies_get_408, .fini = end)
{
    start_with(short_config());
    struct client *c = client_open(&t);
    cr_expect_eq(client_ask(c, &reply, "GET / HTTP/1.1\r\nHos"), 408);
    cr_expect(client_ended(c));
    client_close(c);
    c = client_open(&t);
    cr_expect_eq(
        client_ask(c, &reply, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"),
        408);
    cr_expect(client_ended(c));
    cr_expect_eq(c->size, 0);
    client_close(c);
    testing_await_metric(&t, "bv_http_timeouts_total", 2);
}

Test(http_server, dripping_header_bytes_does_not_extend_the_deadline, .fini = end)
{
    start_with(short_config());
    struct client *c = client_open(&t);
    const int64_t deadline = testing_now_ms() + TESTING_WAIT_MS;
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    struct pollfd readable = {.fd = c->fd, .events = POLLIN};
    while (poll(&readable, 1, 5) == 0 && testing_now_ms() < deadline)
        client_send(c, "a");
    client_read(c, &reply);
    cr_expect_eq(reply.status, 408);
    client_close(c);
}

Test(http_server, an_unanswered_request_gets_504, .fini = end)
{
    start_with(short_config());
    struct client *c = client_open(&t);
    cr_expect_eq(client_ask(c, &reply, GET("/later")), 504);
    client_close(c);
}

Test(http_server, a_peer_that_does_not_read_is_cut, .fini = end)
{
    start_with(short_config());
    struct client *c = client_open_buffer(&t, 4096);
    client_send(c, GET("/big"));
    testing_await_metric(&t, "bv_http_timeouts_total", 1);
    testing_await_metric(&t, "bv_http_connections", 0);
    client_close(c);
}

Test(http_server, connections_over_the_limit_are_turned_away, .fini = end)
{
    struct bv_http_config config = bv_http_config_default;
    config.connections_max = 2;
    start_with(config);
    struct client *a = client_open(&t);
    struct client *b = client_open(&t);
    cr_expect_eq(client_ask(a, &reply, GET("/hello/a")), 200);
    cr_expect_eq(client_ask(b, &reply, GET("/hello/b")), 200);
    struct client *c = client_open(&t);
    client_read(c, &reply);
    cr_expect_eq(reply.status, 503);
    cr_expect_not_null(strstr(reply.head, "Retry-After: 1\r\n"));
    cr_expect(client_ended(c));
    testing_await_metric(&t, "bv_http_connections_rejected_total", 1);
    client_close(a);
    testing_await_metric(&t, "bv_http_connections", 1);
    struct client *d = client_open(&t);
    cr_expect_eq(client_ask(d, &reply, GET("/hello/d")), 200);
    client_close(b);
    client_close(c);
    client_close(d);
}

/* ---- accepting
 * -----------------------------------------------------------------------------------------------------------------
 */

/* In place of libc's for this program: the process is out of descriptors, as some other thread's
 * doing. */
static atomic_bool descriptors_gone;
static atomic_int accepts_failed;

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    if (!atomic_load(&descriptors_gone))
        return (int)syscall(SYS_accept4, fd, address, size, flags);
    atomic_fetch_add(&accepts_failed, 1);
    errno = EMFILE;
    return -1;
}

Test(http_server,
     without_descriptors_others_are_served_and_newcomers_wait,
     .init = begin,
     .fini = end)
{
    struct client *in = client_open(&t);
    cr_expect_eq(client_ask(in, &reply, GET("/hello/x")), 200);
    atomic_store(&descriptors_gone, true);
    struct client *newcomer = client_open(&t);
    client_send(newcomer, GET("/hello/y"));
    for (int i = 0; i < 400; i++)
        cr_assert_eq(client_ask(in, &reply, GET("/hello/x")), 200);
    const int failed = atomic_load(&accepts_failed);
    cr_expect_lt(failed, 200, "the loop turns about a failing accept");
    atomic_store(&descriptors_gone, false);
    client_read(newcomer, &reply);
    cr_expect_eq(reply.status, 200);
    client_close(in);
    client_close(newcomer);
}

/* ---- drain and close
 * -----------------------------------------------------------------------------------------------------------
 */

static bool drained;

static void on_drained(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&lock);
    drained = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static int64_t drain_deadline_ms;

static void drain(void *argument)
{
    struct testing *testing = argument;
    bv_http_server_drain(
        testing->server, bv_loop_now_ms(testing->loop) + drain_deadline_ms, on_drained, NULL);
}

static void await_drained(void)
{
    pthread_mutex_lock(&lock);
    while (!drained)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

Test(http_server, drain_answers_what_is_in_flight_and_closes_the_rest, .init = begin, .fini = end)
{
    struct client *idle = client_open(&t);
    struct client *busy = client_open(&t);
    cr_expect_eq(client_ask(idle, &reply, GET("/hello/x")), 200);
    client_send(busy, GET("/later"));
    const struct bv_http_token token = await_token(0);
    drain_deadline_ms = TESTING_WAIT_MS;
    cr_assert_eq(bv_loop_post(t.loop, drain, &t), 0);
    cr_expect(client_ended(idle));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_expect_neq(connect(fd, (struct sockaddr *)&address, sizeof address), 0, "it still accepts");
    close(fd);
    answer(token, "last");
    client_read(busy, &reply);
    cr_expect_str_eq(reply.body, "last");
    cr_expect_not_null(strstr(reply.head, "Connection: close\r\n"));
    cr_expect(client_ended(busy));
    await_drained();
    client_close(idle);
    client_close(busy);
}

static sem_t requests_sent;
static sem_t loop_waits;

static void drain_behind(void *argument)
{
    sem_post(&loop_waits);
    sem_wait(&requests_sent);
    drain(argument);
}

/* Both are in the kernel's hands when the drain begins: one on a connection that was idle, one on a
 * connection that was not accepted yet. */
Test(http_server, drain_answers_requests_that_had_arrived, .init = begin, .fini = end)
{
    struct client *idle = client_open(&t);
    cr_expect_eq(client_ask(idle, &reply, GET("/hello/x")), 200);
    sem_init(&requests_sent, 0, 0);
    sem_init(&loop_waits, 0, 0);
    drain_deadline_ms = TESTING_WAIT_MS;
    cr_assert_eq(bv_loop_post(t.loop, drain_behind, &t), 0);
    sem_wait(&loop_waits);
    client_send(idle, GET("/hello/again"));
    struct client *late = client_open(&t);
    client_send(late, GET("/hello/late"));
    sem_post(&requests_sent);
    client_read(idle, &reply);
    cr_expect_str_eq(reply.body, "again");
    cr_expect_not_null(strstr(reply.head, "Connection: close\r\n"));
    client_read(late, &reply);
    cr_expect_str_eq(reply.body, "late");
    await_drained();
    client_close(idle);
    client_close(late);
}

Test(http_server, drain_cuts_at_its_deadline, .init = begin, .fini = end)
{
    struct client *busy = client_open(&t);
    client_send(busy, GET("/later"));
    (void)await_token(0);
    drain_deadline_ms = 50;
    cr_assert_eq(bv_loop_post(t.loop, drain, &t), 0);
    cr_expect(client_ended(busy));
    await_drained();
    client_close(busy);
}

Test(http_server, drain_of_nothing_is_called_back_too, .init = begin, .fini = end)
{
    drain_deadline_ms = TESTING_WAIT_MS;
    cr_assert_eq(bv_loop_post(t.loop, drain, &t), 0);
    await_drained();
}

Test(http_server, closes_with_requests_and_output_under_way, .init = begin, .fini = end)
{
    struct client *owed = client_open(&t);
    struct client *reading = client_open_buffer(&t, 4096);
    struct client *half = client_open(&t);
    client_send(owed, GET("/later") GET("/later"));
    client_send(reading, GET("/big"));
    client_send(half, "GET / HT");
    (void)await_token(0);
    cr_assert_eq(client_more(reading) > 0, true);
    client_close(half);
    client_close(owed);
    client_close(reading);
}

Test(http_server, a_bad_address_and_a_taken_port_are_told, .init = begin, .fini = end)
{
    struct bv_http_config config = bv_http_config_default;
    struct bv_loop *loop = NULL;
    struct bv_http_server *server = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_loop_open(&testing_env, &loop), 0);
    const struct bv_http_deps deps = {.loop = loop};
    config.port = t.port;
    cr_assert_eq(bv_http_server_open(&config, &deps, &server), 0);
    cr_expect_eq(bv_http_server_start(server, &error), BV_E_EXISTS);
    cr_expect_not_null(strstr(error.text, "Cannot listen"));
    bv_http_server_close(&server);
    config.host = "example.org";
    error = (struct bv_error){0};
    cr_assert_eq(bv_http_server_open(&config, &deps, &server), 0);
    cr_expect_eq(bv_http_server_start(server, &error), BV_E_INVALID);
    bv_http_server_close(&server);
    bv_loop_close(&loop);
}

Test(http_server, every_request_is_one_log_line, .init = begin, .fini = end)
{
    char text[8192] = "";
    size_t size = 0;
    struct client *c = client_open(&t);
    cr_expect_eq(client_ask(c,
                            &reply,
                            "GET /hello/x HTTP/1.1\r\nHost: x\r\ntraceparent: "
                            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"),
                 200);
    struct pollfd readable = {.fd = t.log_pipe[0], .events = POLLIN};
    cr_assert_eq(poll(&readable, 1, TESTING_WAIT_MS), 1);
    const ssize_t got = read(t.log_pipe[0], text, sizeof text - 1);
    cr_assert_gt(got, 0);
    size = (size_t)got;
    cr_expect_eq(text[size - 1], '\n');
    cr_expect_eq(strchr(text, '\n'), text + size - 1, "more than one line: %s", text);
    static const char *const parts[] = {"\"http.request\"",
                                        "\"method\":\"GET\"",
                                        "\"route\":\"/hello/{name}\"",
                                        "\"status\":200",
                                        "\"duration_ms\":",
                                        "\"bytes\":",
                                        "0af7651916cd43dd8448eb211c80319c"};
    for (size_t i = 0; i < BV_COUNT(parts); i++)
        cr_expect_not_null(strstr(text, parts[i]), "%s is not in %s", parts[i], text);
    client_close(c);
}
