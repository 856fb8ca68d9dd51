/* The event loop of a process: timers, descriptors, and calls handed over from other threads. libuv underneath; its types stay out.
 * Invariant: one loop thread owns all mutable state of a service; only functions marked "Thread: any" may be called elsewhere. */
#ifndef BV_LOOP_H
#define BV_LOOP_H

#include "bv/env.h"

struct bv_loop;

BV_MUST_CHECK int bv_loop_open(const struct bv_env *env, struct bv_loop **ret_loop);
void bv_loop_close(struct bv_loop **loop); /* closes what is left on it; must not run inside a callback */
/* Runs until bv_loop_stop. */
BV_MUST_CHECK int bv_loop_run(struct bv_loop *loop);
void bv_loop_stop(struct bv_loop *loop); /* Thread: any, also from a signal handler */
const struct bv_env *bv_loop_env(const struct bv_loop *loop);
int64_t bv_loop_now_ms(const struct bv_loop *loop); /* monotonic, cached once per turn */

/* Calls function(argument) on the loop thread soon, in order per posting thread. Bounded: BV_E_LIMIT past 65536 waiting. Thread: any. */
BV_MUST_CHECK int bv_loop_post(struct bv_loop *loop, void (*function)(void *argument), void *argument);
/* Calls function(argument) once, after the I/O callbacks of the current turn: the place where batches form. Idempotent while pending. */
struct bv_idle;
BV_MUST_CHECK int bv_idle_open(struct bv_loop *loop, void (*function)(void *), void *argument, struct bv_idle **ret_idle);
void bv_idle_arm(struct bv_idle *idle);
void bv_idle_close(struct bv_idle **idle);

struct bv_timer;
BV_MUST_CHECK int bv_timer_open(struct bv_loop *loop, void (*function)(void *argument), void *argument, struct bv_timer **ret_timer);
void bv_timer_set(struct bv_timer *timer, int64_t delay_ms, int64_t repeat_ms); /* repeat 0: once; replaces an earlier setting */
void bv_timer_clear(struct bv_timer *timer);
void bv_timer_close(struct bv_timer **timer); /* safe inside its own callback */

/* Watches a descriptor, level-triggered. The descriptor stays the caller's. */
enum bv_poll_events { BV_POLL_NONE = 0, BV_POLL_READ = 1, BV_POLL_WRITE = 2 };
struct bv_poll;
BV_MUST_CHECK int bv_poll_open(struct bv_loop *loop, int fd, void (*function)(void *argument, int events), void *argument,
                               struct bv_poll **ret_poll);
void bv_poll_set(struct bv_poll *poll, int events);
void bv_poll_close(struct bv_poll **poll); /* before the descriptor is closed; safe inside its own callback */

/* A named, bounded pool of threads for blocking work (scrypt, blocking clients): the bulkhead. done runs on the loop thread.
 * BV_E_LIMIT when queue_max jobs wait. */
struct bv_workers;
BV_MUST_CHECK int bv_workers_open(struct bv_loop *loop, const char *name, uint32_t threads, uint32_t queue_max, struct bv_workers **ret_workers);
BV_MUST_CHECK int bv_workers_run(struct bv_workers *workers, void (*work)(void *argument), void (*done)(void *argument), void *argument);
void bv_workers_close(struct bv_workers **workers); /* waits for running jobs, runs done for all finished, drops none silently */

/* SIGTERM, SIGINT and the like on the loop thread. */
struct bv_signal;
BV_MUST_CHECK int bv_signal_open(struct bv_loop *loop, int number, void (*function)(void *argument, int number), void *argument, struct bv_signal **ret_signal);
void bv_signal_close(struct bv_signal **handle);

/* For adapters inside bv-common-core only: the uv_loop_t as void. */
void *bv_loop_uv(struct bv_loop *loop);

#endif
