/* The event loop of a process: timers, descriptors, and calls handed over from other threads. libuv
 * underneath; its types stay out. Invariant: one loop thread owns all mutable state of a service;
 * only functions marked "Thread: any" may be called elsewhere. Order of a turn: due timers, I/O and
 * posted calls, then the armed idles. Callbacks never nest: none runs from within a function of
 * this header, bv_loop_run, bv_workers_close and bv_loop_close excepted.
 * Errors of every ..._open: BV_E_NOMEM; BV_E_LIMIT when the process is out of descriptors or
 * threads; BV_E_IO otherwise. Ownership: handles are the caller's, who closes them before the loop;
 * `close` accepts NULL and leaves NULL. function and argument must stay valid until close. Source:
 * libuv 1.44 documentation, "Design overview". */
#ifndef BV_LOOP_H
#define BV_LOOP_H

#include "bv/env.h"

struct bv_loop;

/* env is borrowed for the loop's life. Thread: the one that will run the loop. */
BV_MUST_CHECK int bv_loop_open(const struct bv_env *env, struct bv_loop **ret_loop);
/* Effect:    makes the posted calls that still wait, so that what they carry is freed, then closes
 * what is left (the backstop: owners close earlier); must not run inside a callback. Calls posted
 * by those calls are made too, 16 rounds of it at most. Ownership: pointers to handles that were
 * left on the loop are dead afterwards. Thread:    loop; waits for jobs of workers that were not
 * closed. */
void bv_loop_close(struct bv_loop **loop);
/* Runs until bv_loop_stop; may be called again after that. A stop that came before makes one turn.
 * Errors: none. Thread: loop; blocks. */
BV_MUST_CHECK int bv_loop_run(struct bv_loop *loop);
/* Ends bv_loop_run after the current turn. Idempotent. Thread: any, also from a signal handler. */
void bv_loop_stop(struct bv_loop *loop);
const struct bv_env *bv_loop_env(const struct bv_loop *loop);
/* Monotonic milliseconds of the environment's clock; of the system clock, read once per turn.
 * Thread: loop. */
int64_t bv_loop_now_ms(const struct bv_loop *loop);

#define BV_LOOP_POSTS_MAX 65536
/* Effect:    calls function(argument) on the loop thread soon, in order per posting thread. A call
 * posted from a posted call runs in a later turn, so posting cannot starve I/O. Every accepted call
 * is made once, at the latest by bv_loop_close: what it uses must live until then. Errors:
 * BV_E_LIMIT past BV_LOOP_POSTS_MAX waiting, BV_E_NOMEM; function is then never called. Thread:
 * any, while the loop is open. */
BV_MUST_CHECK int
bv_loop_post(struct bv_loop *loop, void (*function)(void *argument), void *argument);

/* A wake-up of its own: function(argument) runs on the loop thread soon after bv_wake_send; several
 * sends may become one call, none is lost. Unlike a posted call it ends with its handle. Thread:
 * open and close: loop; send: any, while it is open. */
struct bv_wake;
BV_MUST_CHECK int bv_wake_open(struct bv_loop *loop,
                               void (*function)(void *argument),
                               void *argument,
                               struct bv_wake **ret_wake);
void bv_wake_send(struct bv_wake *wake);
void bv_wake_close(struct bv_wake **wake); /* safe inside its own callback */

/* Calls function(argument) once per arming, after the I/O callbacks of the current turn: the place
 * where batches form. Arming is idempotent while pending; arming within an idle's call means the
 * next turn, which then does not wait. Thread: loop. */
struct bv_idle;
BV_MUST_CHECK int bv_idle_open(struct bv_loop *loop,
                               void (*function)(void *argument),
                               void *argument,
                               struct bv_idle **ret_idle);
void bv_idle_arm(struct bv_idle *idle);
void bv_idle_close(
    struct bv_idle **idle); /* a pending call is not made; safe inside its own callback */

/* Timers. Resolution one millisecond, counted from the call. A timer that sets itself to 0 runs
 * about once per millisecond, others between. Thread: loop. */
struct bv_timer;
BV_MUST_CHECK int bv_timer_open(struct bv_loop *loop,
                                void (*function)(void *argument),
                                void *argument,
                                struct bv_timer **ret_timer);
void bv_timer_set(
    struct bv_timer *timer,
    int64_t delay_ms,
    int64_t repeat_ms); /* repeat 0: once; replaces an earlier setting; below 0 counts as 0 */
void bv_timer_clear(struct bv_timer *timer);
void bv_timer_close(struct bv_timer **timer); /* safe inside its own callback */

/* Watches a descriptor, level-triggered. The descriptor stays the caller's and is made
 * non-blocking. A descriptor in error is reported as readable and writable: reading it tells the
 * reason. Errors: BV_E_EXISTS when it is watched already. Thread: loop. */
enum bv_poll_events { BV_POLL_NONE = 0, BV_POLL_READ = 1, BV_POLL_WRITE = 2 };
struct bv_poll;
BV_MUST_CHECK int bv_poll_open(struct bv_loop *loop,
                               int fd,
                               void (*function)(void *argument, int events),
                               void *argument,
                               struct bv_poll **ret_poll);
void bv_poll_set(struct bv_poll *poll,
                 int events); /* the whole set of enum bv_poll_events, BV_POLL_NONE pauses */
void bv_poll_close(
    struct bv_poll **poll); /* before the descriptor is closed; safe inside its own callback */

/* A named, bounded pool of threads for blocking work (scrypt, blocking clients): the bulkhead.
 * Thread: loop, all three functions. */
struct bv_workers;
/* Ranges: name 1..11 bytes (threads are named "name-0" and so on), threads 1..64, queue_max
 * 0..65536; BV_E_INVALID otherwise. */
BV_MUST_CHECK int bv_workers_open(struct bv_loop *loop,
                                  const char *name,
                                  uint32_t threads,
                                  uint32_t queue_max,
                                  struct bv_workers **ret_workers);
/* Effect: runs work(argument) on one of the threads, then done(argument) on the loop thread, later
 * than this call; done may be NULL. Errors: BV_E_LIMIT when `threads` jobs run (or have finished
 * and await their done) and queue_max more wait; BV_E_CLOSED from a done that bv_workers_close
 * calls; BV_E_NOMEM. Then neither is called. */
BV_MUST_CHECK int bv_workers_run(struct bv_workers *workers,
                                 void (*work)(void *argument),
                                 void (*done)(void *argument),
                                 void *argument);
/* Takes no new job, runs all that were accepted, calls every done that is due, ends the threads.
 * Must not run inside a done of the same pool. Blocks. */
void bv_workers_close(struct bv_workers **workers);

/* SIGTERM, SIGINT and the like on the loop thread. While any handle of a number is open, its
 * default action is off. Thread: loop. */
struct bv_signal;
BV_MUST_CHECK int bv_signal_open(struct bv_loop *loop,
                                 int number,
                                 void (*function)(void *argument, int number),
                                 void *argument,
                                 struct bv_signal **ret_signal);
void bv_signal_close(struct bv_signal **handle);

/* For adapters inside bv-common-core only: the uv_loop_t as void. Handles put on it are closed by
 * who put them there. */
void *bv_loop_uv(struct bv_loop *loop);

#endif
