#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bv/redis.h"

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct outcome {
    int calls;
    int rc;
    enum bv_redis_type type;
    int64_t number;
    size_t size;
    char text[64];
    char error[160];
};
struct fixture {
    struct bv_loop *loop;
    struct bv_redis *redis;
    struct bv_metrics *metrics;
    struct bv_timer *guard;
    struct bv_timer *probe;
    char url[280];
    char key[32]; /* of this process alone */
    size_t pending;
};
struct pending_command {
    struct fixture *fx;
    struct outcome *outcome;
};

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("a command did not end in time");
}

static void
on_done(void *argument, int rc, const struct bv_redis_reply *reply, const struct bv_error *error)
{
    struct pending_command *pending = argument;
    struct outcome *outcome = pending->outcome;
    cr_assert_eq(rc == 0, reply != NULL);
    cr_assert_eq(rc == 0, error == NULL);
    outcome->calls++;
    outcome->rc = rc;
    if (error)
        snprintf(outcome->error, sizeof outcome->error, "%s", error->text);
    if (reply) {
        outcome->type = bv_redis_type(reply);
        outcome->number = bv_redis_int(reply);
        outcome->size = bv_redis_size(reply);
        snprintf(outcome->text, sizeof outcome->text, "%.*s", BV_ARG(bv_redis_bytes(reply)));
        for (size_t i = 0; i < outcome->size; i++)
            strncat(outcome->text,
                    bv_redis_bytes(bv_redis_at(reply, i)).data
                        ? bv_redis_bytes(bv_redis_at(reply, i)).data
                        : "-",
                    20);
    }
    struct fixture *fx = pending->fx;
    free(pending);
    if (--fx->pending == 0)
        bv_loop_stop(fx->loop);
}

static int
try_start(struct fixture *fx, const char *const *words, size_t count, struct outcome *outcome)
{
    struct bv_bytes bytes[8];
    for (size_t i = 0; i < count; i++)
        bytes[i] = bv_bytes_of(words[i]);
    struct pending_command *pending = malloc(sizeof *pending);
    *pending = (struct pending_command){fx, outcome};
    int rc = bv_redis_send(fx->redis, bytes, count, on_done, pending);
    if (rc == 0)
        fx->pending++;
    else
        free(pending);
    cr_assert_eq(outcome->calls, 0, "done ran from within bv_redis_send");
    return rc;
}

static struct outcome run(struct fixture *fx, const char *const *words, size_t count)
{
    struct outcome outcome = {0};
    cr_assert_eq(try_start(fx, words, count, &outcome), 0);
    while (fx->pending > 0)
        cr_assert_eq(bv_loop_run(fx->loop), 0);
    cr_assert_eq(outcome.calls, 1);
    return outcome;
}
#define RUN(fx, ...)                                                                               \
    run((fx), (const char *const[]){__VA_ARGS__}, BV_COUNT(((const char *const[]){__VA_ARGS__})))

static void on_probe(void *argument)
{
    struct fixture *fx = argument;
    if (bv_redis_ready(fx->redis))
        bv_loop_stop(fx->loop);
}

static void await_ready(struct fixture *fx)
{
    bv_timer_set(fx->probe, 1, 1);
    while (!bv_redis_ready(fx->redis))
        cr_assert_eq(bv_loop_run(fx->loop), 0);
    bv_timer_clear(fx->probe);
}

static void
open_client(struct fixture *fx, const char *url, int64_t commands_max, int64_t timeout_ms)
{
    *fx = (struct fixture){0};
    snprintf(fx->url, sizeof fx->url, "%s", url);
    snprintf(fx->key, sizeof fx->key, "it:redis:%d", (int)getpid());
    cr_assert_eq(bv_loop_open(&env, &fx->loop), 0);
    cr_assert_eq(bv_metrics_open(64, &fx->metrics), 0);
    cr_assert_eq(bv_timer_open(fx->loop, on_guard, NULL, &fx->guard), 0);
    cr_assert_eq(bv_timer_open(fx->loop, on_probe, fx, &fx->probe), 0);
    bv_timer_set(fx->guard, 20000, 0);
    const struct bv_redis_config config = {fx->url, commands_max, timeout_ms};
    cr_assert_eq(bv_redis_open(fx->loop, &config, fx->metrics, &fx->redis), 0);
}

static void open_fixture(struct fixture *fx, int64_t commands_max, int64_t timeout_ms)
{
    const char *url = getenv("BV_TEST_REDIS_URL");
    cr_assert_not_null(url, "BV_TEST_REDIS_URL must name a Redis server, as redis://host:port");
    open_client(fx, url, commands_max, timeout_ms);
    await_ready(fx);
}

static void close_bare(struct fixture *fx)
{
    bv_redis_close(&fx->redis);
    bv_timer_close(&fx->guard);
    bv_timer_close(&fx->probe);
    bv_metrics_close(&fx->metrics);
    bv_loop_close(&fx->loop);
}

static void close_fixture(struct fixture *fx)
{
    RUN(fx, "DEL", fx->key);
    close_bare(fx);
}

Test(redis, replies_of_every_type_arrive)
{
    struct fixture fx;
    open_fixture(&fx, 100, 2000);
    cr_expect_eq(RUN(&fx, "GET", fx.key).type, BV_REDIS_NIL);
    struct outcome outcome = RUN(&fx, "SET", fx.key, "value");
    cr_expect_eq(outcome.type, BV_REDIS_STATUS);
    cr_expect_str_eq(outcome.text, "OK");
    outcome = RUN(&fx, "GET", fx.key);
    cr_expect_eq(outcome.type, BV_REDIS_STRING);
    cr_expect_str_eq(outcome.text, "value");
    outcome = RUN(&fx, "STRLEN", fx.key);
    cr_expect_eq(outcome.type, BV_REDIS_INT);
    cr_expect_eq(outcome.number, 5);
    outcome = RUN(&fx, "MGET", fx.key, "it:none");
    cr_expect_eq(outcome.type, BV_REDIS_ARRAY);
    cr_expect_eq(outcome.size, 2);
    cr_expect_str_eq(outcome.text, "value-");
    close_fixture(&fx);
}

Test(redis, an_error_reply_ends_its_command_only)
{
    struct fixture fx;
    open_fixture(&fx, 100, 2000);
    struct outcome before = {0};
    struct outcome wrong = {0};
    struct outcome after = {0};
    cr_assert_eq(try_start(&fx, (const char *[]){"SET", fx.key, "text"}, 3, &before), 0);
    cr_assert_eq(try_start(&fx, (const char *[]){"INCR", fx.key}, 2, &wrong), 0);
    cr_assert_eq(try_start(&fx, (const char *[]){"GET", fx.key}, 2, &after), 0);
    while (fx.pending > 0)
        cr_assert_eq(bv_loop_run(fx.loop), 0);
    cr_expect_eq(before.rc, 0);
    cr_expect_eq(wrong.rc, BV_E_PROTOCOL);
    cr_expect_not_null(strstr(wrong.error, "not an integer"), "%s", wrong.error);
    cr_expect_str_eq(after.text, "text");
    close_fixture(&fx);
}

Test(redis, an_error_inside_an_array_keeps_its_place)
{
    struct fixture fx;
    open_fixture(&fx, 100, 2000);
    RUN(&fx, "SET", fx.key, "text");
    RUN(&fx, "MULTI");
    RUN(&fx, "INCR", fx.key);
    RUN(&fx, "GET", fx.key);
    struct outcome outcome = RUN(&fx, "EXEC");
    cr_expect_eq(outcome.rc, 0);
    cr_expect_eq(outcome.size, 2);
    close_fixture(&fx);
}

Test(redis, ten_thousand_commands_are_answered_in_order)
{
    struct fixture fx;
    enum { COMMANDS = 10000 };
    open_fixture(&fx, COMMANDS, 5000);
    static struct outcome outcomes[COMMANDS];
    for (int i = 0; i < COMMANDS; i++)
        cr_assert_eq(try_start(&fx, (const char *[]){"INCR", fx.key}, 2, &outcomes[i]), 0);
    struct outcome past = {0};
    cr_expect_eq(try_start(&fx, (const char *[]){"INCR", fx.key}, 2, &past), BV_E_LIMIT);
    while (fx.pending > 0)
        cr_assert_eq(bv_loop_run(fx.loop), 0);
    for (int i = 0; i < COMMANDS; i++)
        cr_assert_eq(outcomes[i].number, i + 1);
    close_fixture(&fx);
}

Test(redis, values_larger_than_the_socket_buffers_pass)
{
    struct fixture fx;
    open_fixture(&fx, 100, 5000);
    enum { SIZE = 8000000 };
    char *value = malloc(SIZE + 1);
    memset(value, 'x', SIZE);
    value[SIZE] = '\0';
    cr_expect_eq(RUN(&fx, "SET", fx.key, value).rc, 0);
    free(value);
    cr_expect_eq(RUN(&fx, "STRLEN", fx.key).number, SIZE);
    cr_expect_eq(RUN(&fx, "GET", fx.key).rc, 0);
    close_fixture(&fx);
}

Test(redis, a_lost_connection_fails_what_is_in_flight_and_comes_back)
{
    struct fixture fx;
    open_fixture(&fx, 100, 5000);
    struct fixture killer;
    open_fixture(&killer, 100, 5000);
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)RUN(&fx, "CLIENT", "ID").number);
    struct outcome blocked = {0};
    cr_assert_eq(try_start(&fx, (const char *[]){"BLPOP", "it:redis:never", "10"}, 3, &blocked), 0);
    fx.pending++; /* so that the loop below runs on until ready */
    cr_assert_eq(RUN(&killer, "CLIENT", "KILL", "ID", id).number, 1);
    fx.pending--;
    while (fx.pending > 0)
        cr_assert_eq(bv_loop_run(fx.loop), 0);
    cr_expect_eq(blocked.rc, BV_E_UNAVAILABLE);
    cr_expect(!bv_redis_ready(fx.redis));
    struct outcome refused = {0};
    cr_expect_eq(try_start(&fx, (const char *[]){"PING"}, 1, &refused), BV_E_UNAVAILABLE);
    await_ready(&fx);
    cr_expect_str_eq(RUN(&fx, "PING").text, "PONG");
    close_bare(&killer);
    close_fixture(&fx);
}

Test(redis, a_command_past_its_timeout_costs_the_connection)
{
    struct fixture fx;
    open_fixture(&fx, 100, 150);
    int64_t id = RUN(&fx, "CLIENT", "ID").number;
    int64_t before_ms = bv_mono_ms(&env);
    cr_expect_eq(RUN(&fx, "BLPOP", "it:redis:never", "10").rc, BV_E_TIMEOUT);
    cr_expect_lt(bv_mono_ms(&env) - before_ms, 1500);
    await_ready(&fx);
    cr_expect_neq(RUN(&fx, "CLIENT", "ID").number, id);
    close_fixture(&fx);
}

Test(redis, closing_cancels_what_is_in_flight)
{
    struct fixture fx;
    open_fixture(&fx, 100, 2000);
    struct outcome outcome = {0};
    cr_assert_eq(try_start(&fx, (const char *[]){"BLPOP", "it:redis:never", "10"}, 3, &outcome), 0);
    close_bare(&fx);
    cr_expect_eq(outcome.calls, 1);
    cr_expect_eq(outcome.rc, BV_E_CANCELLED);
}

Test(redis, the_database_of_the_url_is_selected)
{
    struct fixture fx;
    open_fixture(&fx, 100, 2000);
    RUN(&fx, "SET", fx.key, "zero");
    char url[300];
    snprintf(url, sizeof url, "%s/5", fx.url);
    struct fixture five;
    open_client(&five, url, 100, 2000);
    await_ready(&five);
    cr_expect_eq(RUN(&five, "GET", fx.key).type, BV_REDIS_NIL);
    close_bare(&five);
    close_fixture(&fx);
}

Test(redis, done_may_be_left_out)
{
    struct fixture fx;
    open_fixture(&fx, 100, 2000);
    struct bv_bytes words[] = {BV_BYTES("SET"), bv_bytes_of(fx.key), BV_BYTES("v")};
    cr_assert_eq(bv_redis_send(fx.redis, words, 3, NULL, NULL), 0);
    cr_expect_str_eq(RUN(&fx, "GET", fx.key).text, "v");
    close_fixture(&fx);
}

/* ---- a server that misbehaves ---- */

struct fake {
    struct fixture *fx;
    struct bv_poll *poll;
    int fd;
    int peer;
    const char *answer; /* to whatever comes first */
};

static void on_fake(void *argument, int events)
{
    struct fake *fake = argument;
    (void)events;
    if (fake->peer >= 0)
        close(fake->peer);
    fake->peer = accept(fake->fd, NULL, NULL);
    cr_assert_geq(fake->peer, 0);
    cr_assert_eq(send(fake->peer, fake->answer, strlen(fake->answer), MSG_NOSIGNAL),
                 (ssize_t)strlen(fake->answer));
    if (strcmp(fake->answer, "+PONG\r\n") == 0)
        return;
    fake->answer = "+PONG\r\n"; /* polite on the next connection */
}

static void expect_recovery_from(const char *answer)
{
    struct fixture fx;
    struct fake fake = {.fd = socket(AF_INET, SOCK_STREAM, 0), .peer = -1, .answer = answer};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    cr_assert_eq(bind(fake.fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fake.fd, 8), 0);
    cr_assert_eq(getsockname(fake.fd, (struct sockaddr *)&address, &size), 0);
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", ntohs(address.sin_port));
    open_client(&fx, url, 10, 1000);
    cr_assert_eq(bv_poll_open(fx.loop, fake.fd, on_fake, &fake, &fake.poll), 0);
    bv_poll_set(fake.poll, BV_POLL_READ);
    await_ready(&fx);
    bv_poll_close(&fake.poll);
    close_bare(&fx);
    close(fake.peer);
    close(fake.fd);
}

Test(redis, a_server_that_is_loading_is_tried_again)
{
    expect_recovery_from("-LOADING Redis is loading the dataset in memory\r\n");
}

Test(redis, bytes_that_are_no_protocol_end_the_connection)
{
    expect_recovery_from("HTTP/1.1 400 Bad Request\r\n\r\n");
}

Test(redis, a_reply_nobody_asked_for_ends_the_connection)
{
    expect_recovery_from("+PONG\r\n+PONG\r\n");
}
