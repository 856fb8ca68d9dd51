/* What the files of bv-loop share: the loop's fields and the list of handles that are still open on
 * it. */
#ifndef BV_LOOP_PRIVATE_H
#define BV_LOOP_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "bv/loop.h"

/* First member of every handle. Closing goes through `close`, so that bv_loop_close can end what
 * its owners left. */
struct loop_member {
    struct loop_member *next;
    struct loop_member *previous;
    void (*close)(struct loop_member *member);
};

struct post {
    void (*function)(void *argument);
    void *argument;
};
struct post_queue {
    struct post *items; /* owned */
    size_t count;
    size_t capacity;
};

struct bv_loop {
    uv_loop_t uv;
    const struct bv_env *env; /* borrowed: lives longer than the loop */
    uv_async_t wake;
    uv_prepare_t before_io;
    uv_check_t after_io;
    uv_idle_t no_wait; /* active while an idle is armed: the loop then polls without waiting */
    atomic_bool stopping;
    struct loop_member members; /* ring head */
    struct bv_idle *armed;      /* in order of arming */
    struct bv_idle **armed_end;
    struct bv_idle *running; /* taken off `armed`, waiting for their call of this turn */
    uint64_t now_read_at;    /* uv_now when now_ms was read */
    int64_t now_ms;
    struct post_queue draining; /* loop thread only */
    pthread_mutex_t mutex;      /* guards the line below */
    struct post_queue waiting;
};

int loop_fault(int uv_status); /* libuv's negative status as BV_E_... */
void loop_member_add(struct bv_loop *loop,
                     struct loop_member *member,
                     void (*close)(struct loop_member *));
void loop_member_remove(struct loop_member *member);

#endif
