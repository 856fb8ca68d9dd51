/* Timers, descriptors, wake-ups and signals: each one libuv handle, freed when libuv has let go of
 * it. */
#include "loop_private.h"

#include <stdlib.h>

struct bv_timer {
    struct loop_member member;
    uv_timer_t uv;
    void (*function)(void *argument);
    void *argument;
};

struct bv_poll {
    struct loop_member member;
    uv_poll_t uv;
    int wanted; /* UV_READABLE and UV_WRITABLE, as last set */
    void (*function)(void *argument, int events);
    void *argument;
};

struct bv_wake {
    struct loop_member member;
    uv_async_t uv;
    void (*function)(void *argument);
    void *argument;
};

struct bv_signal {
    struct loop_member member;
    uv_signal_t uv;
    void (*function)(void *argument, int number);
    void *argument;
};

static void free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Every handle's `data` is the object that holds it. */
static void close_handle(struct loop_member *member, uv_handle_t *handle)
{
    loop_member_remove(member);
    uv_close(handle, free_closed);
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *handle)
{
    struct bv_timer *timer = handle->data;
    timer->function(timer->argument);
}

static void timer_close(struct loop_member *member)
{
    close_handle(member, (uv_handle_t *)&((struct bv_timer *)member)->uv);
}

int bv_timer_open(struct bv_loop *loop,
                  void (*function)(void *argument),
                  void *argument,
                  struct bv_timer **ret_timer)
{
    struct bv_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return BV_E_NOMEM;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    timer->function = function;
    timer->argument = argument;
    loop_member_add(loop, &timer->member, timer_close);
    *ret_timer = timer;
    return 0;
}

/* libuv counts from the time at which the turn began; after long work that would take the work's
 * time off the delay. (Moving libuv's own time within a turn could keep it at its timers.) */
static uint64_t turn_so_far_ms(const uv_loop_t *loop)
{
    const uint64_t now_ms = uv_hrtime() / 1000000;
    const uint64_t began_ms = uv_now(loop);
    return now_ms > began_ms ? now_ms - began_ms : 0;
}

void bv_timer_set(struct bv_timer *timer, int64_t delay_ms, int64_t repeat_ms)
{
    uv_timer_start(&timer->uv,
                   on_timer,
                   turn_so_far_ms(timer->uv.loop) + (delay_ms > 0 ? (uint64_t)delay_ms : 0),
                   repeat_ms > 0 ? (uint64_t)repeat_ms : 0);
}

void bv_timer_clear(struct bv_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

void bv_timer_close(struct bv_timer **timer)
{
    if (*timer)
        timer_close(&bv_take(timer)->member);
}

/* ---- descriptors ---- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct bv_poll *poll = handle->data;
    if (status < 0) /* libuv has stopped watching; level-triggered means until the reader sees it */
        uv_poll_start(handle, poll->wanted, on_poll);
    int ready = status < 0 ? BV_POLL_READ | BV_POLL_WRITE : 0;
    if (events & UV_READABLE)
        ready |= BV_POLL_READ;
    if (events & UV_WRITABLE)
        ready |= BV_POLL_WRITE;
    poll->function(poll->argument, ready);
}

static void poll_close(struct loop_member *member)
{
    close_handle(member, (uv_handle_t *)&((struct bv_poll *)member)->uv);
}

int bv_poll_open(struct bv_loop *loop,
                 int fd,
                 void (*function)(void *argument, int events),
                 void *argument,
                 struct bv_poll **ret_poll)
{
    struct bv_poll *poll = calloc(1, sizeof(*poll));
    if (!poll)
        return BV_E_NOMEM;
    int rc = uv_poll_init(&loop->uv, &poll->uv, fd);
    if (rc < 0) {
        free(poll);
        return loop_fault(rc);
    }
    poll->uv.data = poll;
    poll->function = function;
    poll->argument = argument;
    loop_member_add(loop, &poll->member, poll_close);
    *ret_poll = poll;
    return 0;
}

void bv_poll_set(struct bv_poll *poll, int events)
{
    int wanted =
        (events & BV_POLL_READ ? UV_READABLE : 0) | (events & BV_POLL_WRITE ? UV_WRITABLE : 0);
    if (wanted == poll->wanted)
        return; /* each change costs a system call */
    poll->wanted = wanted;
    if (wanted)
        uv_poll_start(&poll->uv, wanted, on_poll);
    else
        uv_poll_stop(&poll->uv);
}

void bv_poll_close(struct bv_poll **poll)
{
    if (*poll)
        poll_close(&bv_take(poll)->member);
}

/* ---- wake-ups ---- */

static void on_wake(uv_async_t *handle)
{
    struct bv_wake *wake = handle->data;
    wake->function(wake->argument);
}

static void wake_close(struct loop_member *member)
{
    close_handle(member, (uv_handle_t *)&((struct bv_wake *)member)->uv);
}

int bv_wake_open(struct bv_loop *loop,
                 void (*function)(void *argument),
                 void *argument,
                 struct bv_wake **ret_wake)
{
    struct bv_wake *wake = calloc(1, sizeof(*wake));
    if (!wake)
        return BV_E_NOMEM;
    int rc = uv_async_init(&loop->uv, &wake->uv, on_wake);
    if (rc < 0) {
        free(wake);
        return loop_fault(rc);
    }
    wake->uv.data = wake;
    wake->function = function;
    wake->argument = argument;
    loop_member_add(loop, &wake->member, wake_close);
    *ret_wake = wake;
    return 0;
}

void bv_wake_send(struct bv_wake *wake)
{
    uv_async_send(&wake->uv);
}

void bv_wake_close(struct bv_wake **wake)
{
    if (*wake)
        wake_close(&bv_take(wake)->member);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    struct bv_signal *signal = handle->data;
    signal->function(signal->argument, number);
}

static void signal_close(struct loop_member *member)
{
    close_handle(member, (uv_handle_t *)&((struct bv_signal *)member)->uv);
}

int bv_signal_open(struct bv_loop *loop,
                   int number,
                   void (*function)(void *argument, int number),
                   void *argument,
                   struct bv_signal **ret_signal)
{
    struct bv_signal *signal = calloc(1, sizeof(*signal));
    if (!signal)
        return BV_E_NOMEM;
    int rc = uv_signal_init(&loop->uv, &signal->uv);
    if (rc < 0) {
        free(signal);
        return loop_fault(rc);
    }
    signal->uv.data = signal;
    signal->function = function;
    signal->argument = argument;
    loop_member_add(loop, &signal->member, signal_close);
    rc = uv_signal_start(&signal->uv, on_signal, number);
    if (rc < 0) {
        signal_close(&signal->member);
        return loop_fault(rc);
    }
    *ret_signal = signal;
    return 0;
}

void bv_signal_close(struct bv_signal **handle)
{
    if (*handle)
        signal_close(&bv_take(handle)->member);
}
