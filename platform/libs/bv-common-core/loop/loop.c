#include "loop_private.h"

#include <stdlib.h>

#define LAST_ROUNDS_MAX 16 /* of posted calls at close */

struct bv_idle {
    struct loop_member member;
    struct bv_loop *loop; /* borrowed: closed after its members */
    void (*function)(void *argument);
    void *argument;
    struct bv_idle *next; /* in loop->armed or loop->running */
    bool armed;
};

int loop_fault(int uv_status)
{
    switch (uv_status) {
    case UV_ENOMEM:
        return BV_E_NOMEM;
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_EAGAIN:
        return BV_E_LIMIT;
    case UV_EEXIST:
        return BV_E_EXISTS;
    default:
        return BV_E_IO;
    }
}

void loop_member_add(struct bv_loop *loop,
                     struct loop_member *member,
                     void (*close)(struct loop_member *))
{
    member->close = close;
    member->next = &loop->members;
    member->previous = loop->members.previous;
    member->previous->next = member;
    loop->members.previous = member;
}

void loop_member_remove(struct loop_member *member)
{
    member->previous->next = member->next;
    member->next->previous = member->previous;
    member->next = member->previous = NULL;
}

/* ---- posted calls ---- */

static void run_posts(struct bv_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    struct post_queue taken = loop->waiting;
    loop->waiting = loop->draining;
    pthread_mutex_unlock(&loop->mutex);
    for (size_t i = 0; i < taken.count; i++)
        taken.items[i].function(taken.items[i].argument);
    taken.count = 0;
    loop->draining = taken; /* its memory serves the next swap */
}

static void on_wake(uv_async_t *handle)
{
    struct bv_loop *loop = handle->data;
    run_posts(loop);
    if (atomic_load(&loop->stopping))
        uv_stop(&loop->uv);
}

/* Room for one more; called with the mutex held. */
static int post_reserve(struct post_queue *queue)
{
    if (queue->count < queue->capacity)
        return 0;
    if (queue->count >= BV_LOOP_POSTS_MAX)
        return BV_E_LIMIT;
    size_t capacity = queue->capacity ? queue->capacity * 2 : 64;
    struct post *items = realloc(queue->items, capacity * sizeof(*items));
    if (!items)
        return BV_E_NOMEM;
    queue->items = items;
    queue->capacity = capacity;
    return 0;
}

int bv_loop_post(struct bv_loop *loop, void (*function)(void *argument), void *argument)
{
    pthread_mutex_lock(&loop->mutex);
    int rc = post_reserve(&loop->waiting);
    if (rc == 0)
        loop->waiting.items[loop->waiting.count++] = (struct post){function, argument};
    bool first = rc == 0 && loop->waiting.count == 1;
    pthread_mutex_unlock(&loop->mutex);
    if (first)
        uv_async_send(&loop->wake);
    return rc;
}

/* ---- timers ---- */

/* How long to wait for I/O is reckoned from libuv's time: that of now, not of when the turn began.
 */
static void on_before_io(uv_prepare_t *handle)
{
    uv_update_time(handle->loop);
}

/* ---- idles ---- */

static void on_no_wait(uv_idle_t *handle)
{
    (void)handle;
}

static void on_after_io(uv_check_t *handle)
{
    struct bv_loop *loop = handle->data;
    if (!loop->armed)
        return;
    loop->running = loop->armed;
    loop->armed = NULL;
    loop->armed_end = &loop->armed;
    while (loop->running) {
        struct bv_idle *idle = loop->running;
        loop->running = idle->next;
        idle->armed = false;
        idle->function(idle->argument); /* may arm or close any idle, itself included */
    }
    if (!loop->armed)
        uv_idle_stop(&loop->no_wait);
}

void bv_idle_arm(struct bv_idle *idle)
{
    if (idle->armed)
        return;
    struct bv_loop *loop = idle->loop;
    idle->armed = true;
    idle->next = NULL;
    *loop->armed_end = idle;
    loop->armed_end = &idle->next;
    uv_idle_start(&loop->no_wait, on_no_wait);
}

static void idle_unlink(struct bv_idle *idle)
{
    struct bv_loop *loop = idle->loop;
    for (struct bv_idle **at = &loop->running; *at; at = &(*at)->next)
        if (*at == idle) {
            *at = idle->next;
            return;
        }
    for (struct bv_idle **at = &loop->armed; *at; at = &(*at)->next)
        if (*at == idle) {
            *at = idle->next;
            if (loop->armed_end == &idle->next)
                loop->armed_end = at;
            return;
        }
}

static void idle_close(struct loop_member *member)
{
    struct bv_idle *idle = (struct bv_idle *)member;
    if (idle->armed)
        idle_unlink(idle);
    loop_member_remove(member);
    free(idle);
}

int bv_idle_open(struct bv_loop *loop,
                 void (*function)(void *),
                 void *argument,
                 struct bv_idle **ret_idle)
{
    struct bv_idle *idle = calloc(1, sizeof(*idle));
    if (!idle)
        return BV_E_NOMEM;
    idle->loop = loop;
    idle->function = function;
    idle->argument = argument;
    loop_member_add(loop, &idle->member, idle_close);
    *ret_idle = idle;
    return 0;
}

void bv_idle_close(struct bv_idle **idle)
{
    if (*idle)
        idle_close(&bv_take(idle)->member);
}

/* ---- the loop ---- */

int bv_loop_open(const struct bv_env *env, struct bv_loop **ret_loop)
{
    struct bv_loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return BV_E_NOMEM;
    int rc = uv_loop_init(&loop->uv);
    if (rc < 0) {
        free(loop);
        return loop_fault(rc);
    }
    loop->env = env;
    loop->members.next = loop->members.previous = &loop->members;
    loop->armed_end = &loop->armed;
    pthread_mutex_init(&loop->mutex, NULL);
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc < 0) {
        uv_loop_close(&loop->uv);
        pthread_mutex_destroy(&loop->mutex);
        free(loop);
        return loop_fault(rc);
    }
    loop->wake.data = loop;
    uv_prepare_init(&loop->uv, &loop->before_io);
    uv_prepare_start(&loop->before_io, on_before_io);
    uv_check_init(&loop->uv, &loop->after_io);
    loop->after_io.data = loop;
    uv_check_start(&loop->after_io, on_after_io);
    uv_idle_init(&loop->uv, &loop->no_wait);
    *ret_loop = loop;
    return 0;
}

static void close_foreign(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void bv_loop_close(struct bv_loop **loop_at)
{
    struct bv_loop *loop = bv_take(loop_at);
    if (!loop)
        return;
    for (int round = 0; round < LAST_ROUNDS_MAX && loop->waiting.count; round++)
        run_posts(loop);
    while (loop->members.next != &loop->members)
        loop->members.next->close(loop->members.next);
    while (uv_loop_close(&loop->uv) == UV_EBUSY) {
        uv_walk(&loop->uv, close_foreign, NULL);
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    pthread_mutex_destroy(&loop->mutex);
    free(loop->waiting.items);
    free(loop->draining.items);
    free(loop);
}

int bv_loop_run(struct bv_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT); /* `wake` keeps it alive until uv_stop */
    atomic_store(&loop->stopping, false);
    return 0;
}

void bv_loop_stop(struct bv_loop *loop)
{
    atomic_store(&loop->stopping, true);
    uv_async_send(&loop->wake);
}

const struct bv_env *bv_loop_env(const struct bv_loop *loop)
{
    return loop->env;
}

int64_t bv_loop_now_ms(const struct bv_loop *loop)
{
    if (loop->env->clock != &bv_clock_system)
        return bv_mono_ms(loop->env); /* a manual clock moves within a turn */
    struct bv_loop *cache = (struct bv_loop *)loop;
    uint64_t turn_at = uv_now(&loop->uv);
    if (turn_at != loop->now_read_at) {
        cache->now_ms = bv_mono_ms(loop->env);
        cache->now_read_at = turn_at;
    }
    return loop->now_ms;
}

void *bv_loop_uv(struct bv_loop *loop)
{
    return &loop->uv;
}
