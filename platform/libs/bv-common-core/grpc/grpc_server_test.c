#include "bv/grpc.h"
#include "peer.pb-c.h"
#include "peer_service.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define PEER(name) "/bitvelocity.peer.v1.Peer/" name
#define GUARD_MS 10000

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct fixture {
    struct bv_loop *loop;
    struct bv_metrics *metrics;
    struct bv_grpc_server *server;
    struct bv_grpc_client *client;
    struct peer_service service;
    struct bv_timer *guard;
    unsigned open;     /* calls whose done has not run */
    unsigned limited;  /* of them, ended with BV_E_LIMIT */
    unsigned messages; /* of streams */
    unsigned drained;
    int rc;
    char text[160];
    struct bv_grpc_stream *stream;
};

static void guard_due(void *argument)
{
    (void)argument;
    cr_assert(false, "nothing happened for %d ms", GUARD_MS);
}

static void fixture_start(struct fixture *f, int64_t calls_max)
{
    *f = (struct fixture){0};
    cr_assert_eq(bv_loop_open(&env, &f->loop), 0);
    cr_assert_eq(bv_metrics_open(100, &f->metrics), 0);
    cr_assert_eq(bv_timer_open(f->loop, guard_due, f, &f->guard), 0);
    bv_timer_set(f->guard, GUARD_MS, 0);
    struct bv_grpc_server_config config = {"127.0.0.1", 0, calls_max, 1 << 16};
    struct bv_grpc_deps deps = {.loop = f->loop, .metrics = f->metrics};
    cr_assert_eq(bv_grpc_server_open(&config, &deps, &f->server), 0);
    f->service.loop = f->loop;
    cr_assert_eq(peer_service_add(&f->service, f->server), 0);
    cr_assert_eq(bv_grpc_server_start(f->server, NULL), 0);
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%d", bv_grpc_server_port(f->server));
    struct bv_grpc_client_config to = {target, 1000, 1 << 16};
    cr_assert_eq(bv_grpc_client_open(f->loop, &to, &f->client), 0);
}

static void fixture_close(struct fixture *f)
{
    bv_grpc_client_close(&f->client);
    bv_grpc_server_close(&f->server);
    bv_timer_close(&f->guard);
    bv_metrics_close(&f->metrics);
    bv_loop_close(&f->loop);
}

static void
on_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    struct fixture *f = argument;
    (void)reply;
    f->rc = rc;
    snprintf(f->text, sizeof f->text, "%s", error->text);
    f->open--;
    f->limited += rc == BV_E_LIMIT;
    bv_loop_stop(f->loop);
}

static void
send_to(struct fixture *f, const char *path, const ProtobufCMessage *message, int64_t timeout_ms)
{
    struct bv_grpc_request request = {.path = path,
                                      .message = message,
                                      .reply = &bitvelocity__peer__v1__meta_reply__descriptor,
                                      .timeout_ms = timeout_ms};
    cr_assert_eq(bv_grpc_send(f->client, &request, on_done, f), 0);
    f->open++;
}

static void send_delay(struct fixture *f, int delay_ms, int64_t timeout_ms)
{
    Bitvelocity__Peer__V1__DelayRequest delay = BITVELOCITY__PEER__V1__DELAY_REQUEST__INIT;
    delay.delay_ms = delay_ms;
    send_to(f, PEER("Delay"), &delay.base, timeout_ms);
}

static void on_message(void *argument, const ProtobufCMessage *reply)
{
    struct fixture *f = argument;
    const Bitvelocity__Peer__V1__CountReply *count = (const void *)reply;
    cr_assert_eq(count->number, (int32_t)++f->messages, "messages keep their order");
    bv_loop_stop(f->loop);
}

static void open_count(struct fixture *f, int count, int fill_bytes)
{
    Bitvelocity__Peer__V1__CountRequest request = BITVELOCITY__PEER__V1__COUNT_REQUEST__INIT;
    request.count = count;
    request.stay = 1;
    request.fill_bytes = fill_bytes;
    struct bv_grpc_request open = {.path = PEER("Count"),
                                   .message = &request.base,
                                   .reply = &bitvelocity__peer__v1__count_reply__descriptor};
    cr_assert_eq(bv_grpc_stream_open(f->client, &open, on_message, on_done, f, &f->stream), 0);
    f->open++;
}

static void run(struct fixture *f)
{
    cr_assert_eq(bv_loop_run(f->loop), 0);
}

/* A fixture whose connection stands: on a busy machine the first attempt may need longer than a
 * test's deadline. */
static void fixture_open(struct fixture *f, int64_t calls_max)
{
    fixture_start(f, calls_max);
    do {
        Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
        send_to(f, PEER("Meta"), &meta.base, 5000);
        run(f);
    } while (f->rc != 0);
}

static void run_all(struct fixture *f)
{
    while (f->open > 0)
        run(f);
}

static void on_drained(void *argument)
{
    struct fixture *f = argument;
    f->drained++;
    bv_loop_stop(f->loop);
}

/* Calls in vain until the server has taken up the delayed call. */
static void await_delayed(struct fixture *f)
{
    while (f->service.delayed == 0) {
        Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
        unsigned others = f->open;
        send_to(f, PEER("Meta"), &meta.base, 5000);
        while (f->open > others)
            run(f);
    }
}

Test(grpc_server, answers_many_calls_at_once)
{
    struct fixture f;
    fixture_open(&f, 1000);
    for (int i = 0; i < 500; i++) {
        Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
        send_to(&f, PEER("Meta"), &meta.base, 5000);
    }
    run_all(&f);
    cr_expect_eq(f.rc, 0, "%s", f.text);
    fixture_close(&f);
}

Test(grpc_server, maps_every_fault_to_its_status_and_back)
{
    static const int codes[] = {BV_E_INVALID,
                                BV_E_UNAUTHENTICATED,
                                BV_E_FORBIDDEN,
                                BV_E_NOT_FOUND,
                                BV_E_TIMEOUT,
                                BV_E_CONFLICT,
                                BV_E_EXISTS,
                                BV_E_STALE,
                                BV_E_CANCELLED,
                                BV_E_UNIMPLEMENTED,
                                BV_E_UNAVAILABLE,
                                BV_E_INTERNAL};
    struct fixture f;
    fixture_open(&f, 1000);
    for (size_t i = 0; i < BV_COUNT(codes); i++) {
        Bitvelocity__Peer__V1__FailRequest fail = BITVELOCITY__PEER__V1__FAIL_REQUEST__INIT;
        fail.status = bv_error_row(codes[i])->grpc_status;
        fail.text = (char *)(uintptr_t) "why, in words: 100 %";
        send_to(&f, PEER("Fail"), &fail.base, 5000);
        run(&f);
        cr_expect_eq(f.rc,
                     codes[i],
                     "%s came back as %s",
                     bv_error_row(codes[i])->name,
                     bv_error_row(f.rc)->name);
        cr_expect_str_eq(f.text, "why, in words: 100 %");
    }
    fixture_close(&f);
}

Test(grpc_server, refuses_calls_over_its_limit_and_recovers)
{
    struct fixture f;
    fixture_open(&f, 2);
    send_delay(&f, 60, 5000);
    send_delay(&f, 60, 5000);
    send_delay(&f, 60, 5000);
    run_all(&f);
    cr_expect_eq(f.limited, 1);
    send_delay(&f, 1, 5000);
    run(&f);
    cr_expect_eq(f.rc, 0);
    fixture_close(&f);
}

Test(grpc_server, ends_a_call_at_its_deadline_and_takes_the_late_reply)
{
    struct fixture f;
    fixture_open(&f, 100);
    send_delay(&f, 1200, 600);
    await_delayed(&f);
    run(&f);
    cr_expect_eq(f.rc, BV_E_TIMEOUT);
    cr_expect_eq(f.service.delayed, 1, "the handler still holds it");
    send_delay(&f, 1200, 5000);
    run(&f);
    cr_expect_eq(f.rc, 0);
    cr_expect_eq(f.service.delayed, 0);
    struct bv_buf text = {.max = 1 << 20};
    bv_metrics_print(f.metrics, &text);
    cr_expect(bv_buf_char(&text, '\0') == 0 &&
                  strstr(text.data, "bv_grpc_server_late_replies_total 1"),
              "%s",
              text.data);
    bv_buf_release(&text);
    fixture_close(&f);
}

Test(grpc_server, tells_a_stream_when_its_reader_left)
{
    struct fixture f;
    fixture_open(&f, 100);
    open_count(&f, 1, 0);
    run(&f); /* the message */
    bv_grpc_stream_cancel(f.stream);
    run(&f);
    cr_expect_eq(f.rc, BV_E_CANCELLED);
    send_delay(&f, 100, 5000); /* until the server has heard of it */
    run(&f);
    cr_expect_eq(f.service.cancelled, 1);
    fixture_close(&f);
}

Test(grpc_server, cuts_a_reader_that_is_too_slow)
{
    struct fixture f;
    fixture_open(&f, 100);
    open_count(&f, 300, 30000);
    run_all(&f);
    cr_expect_eq(f.rc, BV_E_LIMIT, "%d %s", f.rc, f.text);
    cr_expect_eq(f.service.limited, 1);
    cr_expect_eq(f.service.cancelled, 0);
    fixture_close(&f);
}

Test(grpc_server, drains_calls_ends_streams_and_refuses_new_ones)
{
    struct fixture f;
    fixture_open(&f, 100);
    open_count(&f, 1, 0);
    run(&f);
    send_delay(&f, 200, 5000);
    await_delayed(&f);
    bv_grpc_server_drain(f.server, 5000, on_drained, &f);
    cr_expect_eq(f.service.cancelled, 1, "streams end at once");
    run_all(&f);
    cr_expect_eq(f.rc, 0, "the call in flight was answered");
    while (f.drained == 0)
        run(&f);
    Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
    send_to(&f, PEER("Meta"), &meta.base, 1000);
    run(&f);
    cr_expect_eq(f.rc, BV_E_UNAVAILABLE);
    fixture_close(&f);
}

Test(grpc_server, cuts_what_is_left_at_the_drain_deadline)
{
    struct fixture f;
    fixture_open(&f, 100);
    send_delay(&f, 1500, 5000);
    await_delayed(&f);
    bv_grpc_server_drain(f.server, 50, on_drained, &f);
    while (f.drained == 0 || f.open > 0)
        run(&f);
    cr_expect_neq(f.rc, 0);
    cr_expect_eq(f.service.delayed, 1);
    struct bv_timer *wait = NULL;
    cr_assert_eq(bv_timer_open(f.loop, on_drained, &f, &wait), 0);
    bv_timer_set(wait, 50, 50);
    while (f.service.delayed > 0) /* the late reply reaches a call that is still valid */
        run(&f);
    bv_timer_close(&wait);
    fixture_close(&f);
}

Test(grpc_server, refuses_bad_and_double_paths_and_a_taken_port)
{
    struct fixture f;
    fixture_open(&f, 10);
    struct bv_grpc_server_config config = {"127.0.0.1", bv_grpc_server_port(f.server), 10, 1000};
    struct bv_grpc_deps deps = {.loop = f.loop};
    struct bv_grpc_server *second = NULL;
    cr_assert_eq(bv_grpc_server_open(&config, &deps, &second), 0);
    static const char *const bad[] = {"", "a.B/C", "/a.B", "//C", "/a.B/", "/a.B/C/D"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        struct bv_grpc_method row = {.path = bad[i]};
        cr_expect_eq(bv_grpc_server_methods(second, &row, 1, NULL), BV_E_INVALID, "%s", bad[i]);
    }
    struct bv_grpc_method row = {.path = "/grpc.health.v1.Health/Check"};
    cr_expect_eq(bv_grpc_server_methods(second, &row, 1, NULL), BV_E_EXISTS);
    struct bv_error error = {0};
    cr_expect_eq(bv_grpc_server_start(second, &error), BV_E_UNAVAILABLE);
    cr_expect(strstr(error.text, "127.0.0.1"));
    bv_grpc_server_close(&second);
    fixture_close(&f);
}
