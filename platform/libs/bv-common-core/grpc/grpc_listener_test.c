#include "grpc_listener.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES_MAX 128
#define GUARD_MS 10000

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct fixture {
    struct bv_loop *loop;
    struct bv_timer *timer;
    struct rpc_listener *listener;
    unsigned arrived;
    unsigned due;
};

static void on_arrived(void *argument, int fd)
{
    struct fixture *f = argument;
    f->arrived++;
    cr_assert_eq(close(fd), 0);
    bv_loop_stop(f->loop);
}

static void on_due(void *argument)
{
    struct fixture *f = argument;
    f->due++;
    bv_loop_stop(f->loop);
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    cr_assert_eq(bv_loop_open(&env, &f->loop), 0);
    cr_assert_eq(bv_timer_open(f->loop, on_due, f, &f->timer), 0);
    cr_assert_eq(rpc_listener_open(f->loop, "127.0.0.1", 0, on_arrived, f, &f->listener), 0);
}

static void fixture_close(struct fixture *f)
{
    rpc_listener_close(&f->listener);
    bv_timer_close(&f->timer);
    bv_loop_close(&f->loop);
}

static int connect_to(const struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)rpc_listener_port(f->listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

Test(grpc_listener, hands_over_what_connects)
{
    struct fixture f;
    fixture_open(&f);
    int first = connect_to(&f);
    int second = connect_to(&f);
    bv_timer_set(f.timer, GUARD_MS, 0);
    while (f.arrived < 2 && f.due == 0)
        cr_assert_eq(bv_loop_run(f.loop), 0);
    cr_expect_eq(f.arrived, 2);
    close(first);
    close(second);
    fixture_close(&f);
}

Test(grpc_listener, pauses_without_descriptors_and_goes_on_with_them)
{
    static const struct rlimit few = {FILES_MAX, FILES_MAX};
    int taken[FILES_MAX];
    size_t count = 0;
    struct fixture f;
    fixture_open(&f);
    int client = connect_to(&f);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < FILES_MAX && (taken[count] = dup(client)) >= 0)
        count++;
    bv_timer_set(f.timer, 50, 0);
    while (f.due == 0)
        cr_assert_eq(bv_loop_run(f.loop), 0);
    cr_expect_eq(f.arrived, 0);
    while (count > 0)
        close(taken[--count]);
    bv_timer_set(f.timer, GUARD_MS, 0);
    while (f.arrived == 0 && f.due == 1)
        cr_assert_eq(bv_loop_run(f.loop), 0);
    cr_expect_eq(f.arrived, 1);
    close(client);
    fixture_close(&f);
}

Test(grpc_listener, says_when_an_address_cannot_be_bound)
{
    struct fixture f;
    fixture_open(&f);
    struct rpc_listener *second = NULL;
    int port = rpc_listener_port(f.listener);
    cr_expect_eq(rpc_listener_open(f.loop, "127.0.0.1", port, on_arrived, &f, &second),
                 BV_E_UNAVAILABLE);
    cr_expect_eq(rpc_listener_open(f.loop, "192.0.2.1", 0, on_arrived, &f, &second),
                 BV_E_UNAVAILABLE);
    cr_expect_eq(rpc_listener_open(f.loop, "no host", 0, on_arrived, &f, &second),
                 BV_E_UNAVAILABLE);
    cr_expect_null(second);
    fixture_close(&f);
}
