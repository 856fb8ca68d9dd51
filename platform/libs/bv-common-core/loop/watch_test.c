#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bv/loop.h"

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct watch {
    struct bv_loop *loop;
    struct bv_timer *timer;
    struct bv_poll *poll;
    struct bv_signal *signal;
    int fds[2];
    int calls;
    int events;
    int number;
};

static struct watch open_watch(void)
{
    struct watch watch = {
        .fds = {-1, -1}
    };
    cr_assert_eq(bv_loop_open(&env, &watch.loop), 0);
    return watch;
}

static void on_timer_stop(void *argument)
{
    struct watch *watch = argument;
    watch->calls++;
    bv_loop_stop(watch->loop);
}

Test(watch, timer_fires_once_after_its_delay)
{
    struct watch watch = open_watch();
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_stop, &watch, &watch.timer), 0);
    int64_t before = bv_mono_ms(&env);
    bv_timer_set(watch.timer, 20, 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 1);
    cr_assert_geq(bv_mono_ms(&env) - before, 15);
    bv_timer_close(&watch.timer);
    cr_assert_null(watch.timer);
    bv_loop_close(&watch.loop);
}

static int64_t set_at_ms;

static void busy(void *argument)
{
    struct watch *watch = argument;
    int64_t until_ms = bv_mono_ms(&env) + 80;
    while (bv_mono_ms(&env) < until_ms)
        continue;
    set_at_ms = bv_mono_ms(&env);
    bv_timer_set(watch->timer, 60, 0);
}

Test(watch, timer_is_counted_from_when_it_is_set_however_long_the_turn)
{
    struct watch watch = open_watch();
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_stop, &watch, &watch.timer), 0);
    cr_assert_eq(bv_loop_post(watch.loop, busy, &watch), 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 1);
    cr_assert_geq(bv_mono_ms(&env) - set_at_ms, 55);
    bv_timer_close(&watch.timer);
    bv_loop_close(&watch.loop);
}

static void on_timer_again(void *argument)
{
    struct watch *watch = argument;
    if (watch->calls++ == 0)
        cr_assert_eq(write(watch->fds[1], "x", 1), 1);
    bv_timer_set(watch->timer, 0, 0);
}

static void on_poll_stop(void *argument, int events)
{
    (void)events;
    bv_loop_stop(((struct watch *)argument)->loop);
}

Test(watch, timer_that_sets_itself_to_zero_lets_descriptors_have_their_turn, .timeout = 10)
{
    struct watch watch = open_watch();
    cr_assert_eq(pipe(watch.fds), 0);
    cr_assert_eq(bv_poll_open(watch.loop, watch.fds[0], on_poll_stop, &watch, &watch.poll), 0);
    bv_poll_set(watch.poll, BV_POLL_READ);
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_again, &watch, &watch.timer), 0);
    bv_timer_set(watch.timer, 0, 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    bv_poll_close(&watch.poll);
    bv_timer_close(&watch.timer);
    bv_loop_close(&watch.loop);
    close(watch.fds[0]);
    close(watch.fds[1]);
}

static void on_timer_close_at_three(void *argument)
{
    struct watch *watch = argument;
    if (++watch->calls == 3) {
        bv_timer_close(&watch->timer);
        bv_loop_stop(watch->loop);
    }
}

Test(watch, repeating_timer_may_close_itself)
{
    struct watch watch = open_watch();
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_close_at_three, &watch, &watch.timer), 0);
    bv_timer_set(watch.timer, 1, 1);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 3);
    cr_assert_null(watch.timer);
    bv_loop_close(&watch.loop);
}

static void on_timer_never(void *argument)
{
    (void)argument;
    cr_assert_fail("a cleared timer fired");
}

Test(watch, cleared_timer_stays_silent)
{
    struct watch watch = open_watch();
    struct bv_timer *cleared = NULL;
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_never, &watch, &cleared), 0);
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_stop, &watch, &watch.timer), 0);
    bv_timer_set(cleared, 1, 0);
    bv_timer_clear(cleared);
    bv_timer_set(watch.timer, 5, 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    bv_timer_close(&cleared);
    bv_timer_close(&watch.timer);
    bv_loop_close(&watch.loop);
}

static void on_events(void *argument, int events)
{
    struct watch *watch = argument;
    watch->calls++;
    watch->events |= events;
    if (events & BV_POLL_READ) {
        char byte;
        (void)!read(watch->fds[0], &byte, 1);
        bv_poll_close(&watch->poll);
        bv_loop_stop(watch->loop);
    } else if (events & BV_POLL_WRITE) {
        bv_poll_set(watch->poll, BV_POLL_READ);
        cr_assert_eq(write(watch->fds[1], "x", 1), 1);
    }
}

Test(watch, poll_reports_writable_then_readable)
{
    struct watch watch = open_watch();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, watch.fds), 0);
    cr_assert_eq(bv_poll_open(watch.loop, watch.fds[0], on_events, &watch, &watch.poll), 0);
    bv_poll_set(watch.poll, BV_POLL_READ | BV_POLL_WRITE);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.events, BV_POLL_READ | BV_POLL_WRITE);
    cr_assert_eq(watch.calls, 2);
    cr_assert_null(watch.poll);
    close(watch.fds[0]);
    close(watch.fds[1]);
    bv_loop_close(&watch.loop);
}

Test(watch, poll_tells_of_a_peer_that_left)
{
    struct watch watch = open_watch();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, watch.fds), 0);
    cr_assert_eq(bv_poll_open(watch.loop, watch.fds[0], on_events, &watch, &watch.poll), 0);
    bv_poll_set(watch.poll, BV_POLL_READ);
    close(watch.fds[1]);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 1);
    close(watch.fds[0]);
    bv_loop_close(&watch.loop);
}

Test(watch, paused_poll_stays_silent)
{
    struct watch watch = open_watch();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, watch.fds), 0);
    cr_assert_eq(bv_poll_open(watch.loop, watch.fds[0], on_events, &watch, &watch.poll), 0);
    cr_assert_eq(bv_timer_open(watch.loop, on_timer_stop, &watch, &watch.timer), 0);
    bv_poll_set(watch.poll, BV_POLL_READ);
    bv_poll_set(watch.poll, BV_POLL_NONE);
    cr_assert_eq(write(watch.fds[1], "x", 1), 1);
    bv_timer_set(watch.timer, 5, 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 1, "only the timer");
    cr_assert_eq(watch.events, 0);
    bv_poll_close(&watch.poll);
    bv_timer_close(&watch.timer);
    close(watch.fds[0]);
    close(watch.fds[1]);
    bv_loop_close(&watch.loop);
}

Test(watch, poll_refuses_what_cannot_be_watched)
{
    struct watch watch = open_watch();
    cr_assert_lt(bv_poll_open(watch.loop, -1, on_events, &watch, &watch.poll), 0);
    cr_assert_null(watch.poll);
    bv_loop_close(&watch.loop);
}

static void *send_thrice(void *argument)
{
    for (int i = 0; i < 3; i++)
        bv_wake_send(argument);
    return NULL;
}

static void on_wake_close(void *argument)
{
    struct watch *watch = argument;
    watch->calls++;
    bv_loop_stop(watch->loop);
}

Test(watch, wakes_from_another_thread_join_into_one_call)
{
    struct watch watch = open_watch();
    struct bv_wake *wake = NULL;
    pthread_t thread;
    cr_assert_eq(bv_wake_open(watch.loop, on_wake_close, &watch, &wake), 0);
    cr_assert_eq(pthread_create(&thread, NULL, send_thrice, wake), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 1);
    bv_wake_send(wake);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.calls, 2, "the next one is not lost");
    bv_wake_close(&wake);
    cr_assert_null(wake);
    bv_loop_close(&watch.loop);
}

static void on_number(void *argument, int number)
{
    struct watch *watch = argument;
    watch->number = number;
    bv_loop_stop(watch->loop);
}

Test(watch, signal_arrives_on_the_loop)
{
    struct watch watch = open_watch();
    cr_assert_eq(bv_signal_open(watch.loop, SIGTERM, on_number, &watch, &watch.signal), 0);
    cr_assert_eq(raise(SIGTERM), 0);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_eq(watch.number, SIGTERM);
    bv_signal_close(&watch.signal);
    cr_assert_null(watch.signal);
    bv_loop_close(&watch.loop);
}

Test(watch, signal_that_cannot_be_caught_is_refused)
{
    struct watch watch = open_watch();
    cr_assert_lt(bv_signal_open(watch.loop, SIGKILL, on_number, &watch, &watch.signal), 0);
    bv_loop_close(&watch.loop);
}

/* ---- a peer that resets the connection while its last bytes still wait ---- */

static void open_tcp_pair(int fds[2])
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fds[0], (struct sockaddr *)&address, size), 0);
    fds[1] = accept(listener, NULL, NULL);
    cr_assert_geq(fds[1], 0);
    close(listener);
}

static void on_byte(void *argument, int events)
{
    struct watch *watch = argument;
    char byte;
    cr_assert(events & BV_POLL_READ);
    watch->calls++;
    if (recv(watch->fds[0], &byte, 1, 0) != 1)
        bv_loop_stop(watch->loop);
}

static void on_never(void *argument)
{
    (void)argument;
    cr_assert_fail("the descriptor is no longer watched");
}

Test(watch, an_error_on_the_descriptor_does_not_end_the_watch)
{
    struct watch watch = open_watch();
    open_tcp_pair(watch.fds);
    cr_assert_eq(bv_timer_open(watch.loop, on_never, &watch, &watch.timer), 0);
    bv_timer_set(watch.timer, 5000, 0);
    cr_assert_eq(send(watch.fds[1], "abc", 3, 0), 3);
    struct linger reset = {.l_onoff = 1};
    cr_assert_eq(setsockopt(watch.fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(watch.fds[1]);
    cr_assert_eq(bv_poll_open(watch.loop, watch.fds[0], on_byte, &watch, &watch.poll), 0);
    bv_poll_set(watch.poll, BV_POLL_READ);
    cr_assert_eq(bv_loop_run(watch.loop), 0);
    cr_assert_geq(watch.calls, 2, "bytes, then the error");
    bv_poll_close(&watch.poll);
    bv_timer_close(&watch.timer);
    close(watch.fds[0]);
    bv_loop_close(&watch.loop);
}
