/* Crash points: named moments at which a process of a test build kills itself (SIGKILL, so nothing
 * is flushed, closed or answered), to prove that what was promised survives a crash there.
 * A point costs two loads while it is not armed and nothing at all without BV_TEST_SWITCHES.
 * Armed by environment or, while the process runs, through a file that both sides map (the board);
 * the dying process counts its death there first, so a survivor can prove that the point was hit.
 * Invariant: a release build has no point; one board arms at most one point at a time. Thread: any;
 * bv_failpoint_start: main, before other threads. */
#ifndef BV_FAILPOINT_H
#define BV_FAILPOINT_H

#include "bv/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* X(symbol, name, services that pass it, the moment) */
#define BV_FAILPOINTS(X)                                                                           \
    X(ORDER_CREATE_BEFORE_SEND,                                                                    \
      "order.create.before-send",                                                                  \
      "order",                                                                                     \
      "a batch of new orders is formed, its statement not sent")                                   \
    X(ORDER_CREATE_IN_DOUBT,                                                                       \
      "order.create.in-doubt",                                                                     \
      "order",                                                                                     \
      "the statement was handed to the connection: it may commit or not")                          \
    X(ORDER_CREATE_AFTER_COMMIT,                                                                   \
      "order.create.after-commit",                                                                 \
      "order",                                                                                     \
      "PENDING, key and event are committed, stock is not asked for")                              \
    X(ORDER_RESERVE_IN_DOUBT,                                                                      \
      "order.reserve.in-doubt",                                                                    \
      "order",                                                                                     \
      "inventory was asked to reserve, its answer is not there")                                   \
    X(ORDER_RESERVE_AFTER_REPLY,                                                                   \
      "order.reserve.after-reply",                                                                 \
      "order",                                                                                     \
      "inventory holds the stock, RESERVED is not committed")                                      \
    X(ORDER_REJECT_AFTER_REPLY,                                                                    \
      "order.reject.after-reply",                                                                  \
      "order",                                                                                     \
      "inventory is sold out, REJECTED is not committed")                                          \
    X(ORDER_APPLY_BEFORE_SEND,                                                                     \
      "order.apply.before-send",                                                                   \
      "order",                                                                                     \
      "a batch of transitions is formed, its statement not sent")                                  \
    X(ORDER_APPLY_IN_DOUBT,                                                                        \
      "order.apply.in-doubt",                                                                      \
      "order",                                                                                     \
      "the transitions were handed to the connection: they may commit or not")                     \
    X(ORDER_APPLY_AFTER_COMMIT,                                                                    \
      "order.apply.after-commit",                                                                  \
      "order",                                                                                     \
      "transitions are committed, nobody was told")                                                \
    X(ORDER_PLACE_BEFORE_REPLY,                                                                    \
      "order.place.before-reply",                                                                  \
      "order",                                                                                     \
      "RESERVED and the answer of the key are committed, the reply is not sent")                   \
    X(ORDER_REJECT_BEFORE_REPLY,                                                                   \
      "order.reject.before-reply",                                                                 \
      "order",                                                                                     \
      "REJECTED and the answer of the key are committed, the reply is not sent")                   \
    X(ORDER_KEY_BEFORE_REPLY,                                                                      \
      "order.key.before-reply",                                                                    \
      "order",                                                                                     \
      "the stored answer of a repeated key was found, the reply is not sent")                      \
    X(ORDER_MOVE_BEFORE_REPLY,                                                                     \
      "order.move.before-reply",                                                                   \
      "order",                                                                                     \
      "a cancel, confirm or payment is committed, its asker not told")                             \
    X(ORDER_RELEASE_BEFORE_SEND,                                                                   \
      "order.release.before-send",                                                                 \
      "order",                                                                                     \
      "the order has ended, inventory was not told to release")                                    \
    X(ORDER_RELEASE_AFTER_REPLY,                                                                   \
      "order.release.after-reply",                                                                 \
      "order",                                                                                     \
      "inventory has released, the task stands")                                                   \
    X(ORDER_COMMIT_BEFORE_SEND,                                                                    \
      "order.commit.before-send",                                                                  \
      "order",                                                                                     \
      "the order is CONFIRMED, inventory was not told to commit")                                  \
    X(ORDER_COMMIT_AFTER_REPLY,                                                                    \
      "order.commit.after-reply",                                                                  \
      "order",                                                                                     \
      "inventory has committed the stock, the task stands")                                        \
    X(ORDER_TASK_AFTER_CLEAR, "order.task.after-clear", "order", "a stock task was cleared")       \
    X(ORDER_SWEEP_FOUND_PENDING,                                                                   \
      "order.sweep.found-pending",                                                                 \
      "order",                                                                                     \
      "the sweeper found PENDING orders, none is resumed")                                         \
    X(ORDER_SWEEP_RESUMED,                                                                         \
      "order.sweep.resumed",                                                                       \
      "order",                                                                                     \
      "the sweeper has resumed PENDING orders, none has its answer")                               \
    X(ORDER_SWEEP_FOUND_TASKS,                                                                     \
      "order.sweep.found-tasks",                                                                   \
      "order",                                                                                     \
      "the sweeper found stock tasks, none is told")                                               \
    X(INVENTORY_APPLY_BEFORE_SEND,                                                                 \
      "inventory.apply.before-send",                                                               \
      "inventory",                                                                                 \
      "a batch is decided, its statement not sent")                                                \
    X(INVENTORY_APPLY_IN_DOUBT,                                                                    \
      "inventory.apply.in-doubt",                                                                  \
      "inventory",                                                                                 \
      "the batch was handed to the connection: it may commit or not")                              \
    X(INVENTORY_APPLY_AFTER_COMMIT,                                                                \
      "inventory.apply.after-commit",                                                              \
      "inventory",                                                                                 \
      "the batch is committed, no caller was answered")                                            \
    X(INVENTORY_ANSWERED,                                                                          \
      "inventory.answered",                                                                        \
      "inventory",                                                                                 \
      "the answers were handed to gRPC, which may have sent them or not")                          \
    X(RELAY_SELECTED,                                                                              \
      "relay.selected",                                                                            \
      "order,inventory",                                                                           \
      "the relay has read rows of the outbox, none is produced")                                   \
    X(RELAY_PRODUCED,                                                                              \
      "relay.produced",                                                                            \
      "order,inventory",                                                                           \
      "the rows were handed to the producer, none is acknowledged")                                \
    X(RELAY_REPORTED,                                                                              \
      "relay.reported",                                                                            \
      "order,inventory",                                                                           \
      "the first of the rows is acknowledged, none is marked")                                     \
    X(RELAY_PUBLISHED,                                                                             \
      "relay.published",                                                                           \
      "order,inventory",                                                                           \
      "all rows are acknowledged, none is deleted")                                                \
    X(RELAY_DELETE_IN_DOUBT,                                                                       \
      "relay.delete.in-doubt",                                                                     \
      "order,inventory",                                                                           \
      "the deletion was handed to the connection: it may commit or not")                           \
    X(RELAY_DELETED, "relay.deleted", "order,inventory", "published rows are deleted")             \
    X(CONSUMER_BEFORE_EFFECT,                                                                      \
      "consumer.before-effect",                                                                    \
      "order,notification",                                                                        \
      "an event was received and read, its handler not called")                                    \
    X(CONSUMER_AFTER_EFFECT,                                                                       \
      "consumer.after-effect",                                                                     \
      "order,notification",                                                                        \
      "the effect of an event is committed, its offset is not")                                    \
    X(CONSUMER_ACKNOWLEDGED,                                                                       \
      "consumer.acknowledged",                                                                     \
      "order,notification",                                                                        \
      "an event is done, the commit of its offset is due")                                         \
    X(NOTIFICATION_TAKE_BEFORE_SEND,                                                               \
      "notification.take.before-send",                                                             \
      "notification",                                                                              \
      "a batch of events is formed, its statement not sent")                                       \
    X(NOTIFICATION_TAKE_IN_DOUBT,                                                                  \
      "notification.take.in-doubt",                                                                \
      "notification",                                                                              \
      "the batch was handed to the connection: it may commit or not")                              \
    X(NOTIFICATION_TAKE_AFTER_COMMIT,                                                              \
      "notification.take.after-commit",                                                            \
      "notification",                                                                              \
      "sequences and deliveries are committed, nobody was told")                                   \
    X(NOTIFICATION_WEBHOOK_CLAIMED,                                                                \
      "notification.webhook.claimed",                                                              \
      "notification",                                                                              \
      "deliveries are claimed, none is sent")                                                      \
    X(NOTIFICATION_WEBHOOK_IN_DOUBT,                                                               \
      "notification.webhook.in-doubt",                                                             \
      "notification",                                                                              \
      "a delivery was handed to the client: it may reach the partner or not")                      \
    X(NOTIFICATION_WEBHOOK_ACCEPTED,                                                               \
      "notification.webhook.accepted",                                                             \
      "notification",                                                                              \
      "the partner accepted a delivery, which is not marked")                                      \
    X(NOTIFICATION_WEBHOOK_MARKED,                                                                 \
      "notification.webhook.marked",                                                               \
      "notification",                                                                              \
      "the end of an attempt is committed")

enum bv_failpoint {
#define BV_X_(symbol, name, services, moment) BV_FAILPOINT_##symbol,
    BV_FAILPOINTS(BV_X_)
#undef BV_X_
        BV_FAILPOINT_COUNT,
};
struct bv_failpoint_row {
    const char *name;     /* "order.create.in-doubt" */
    const char *services; /* "order,inventory" */
    const char *moment;   /* one sentence */
};
extern const struct bv_failpoint_row bv_failpoint_rows[BV_FAILPOINT_COUNT];
/* Errors: BV_E_NOT_FOUND for a name that is none. */
BV_MUST_CHECK int bv_failpoint_find(const char *name, enum bv_failpoint *ret_point);

#define BV_FAILPOINT_MAGIC 0x62764650u
/* Shared by the process under test and its tormentor. */
struct bv_failpoint_board {
    uint32_t magic;
    uint32_t points;                            /* BV_FAILPOINT_COUNT of its maker */
    _Atomic uint32_t armed;                     /* the point + 1; 0: none */
    _Atomic uint32_t passages;                  /* left until it fires */
    _Atomic int64_t fired_at_us;                /* CLOCK_MONOTONIC, of the last death */
    _Atomic uint32_t fired[BV_FAILPOINT_COUNT]; /* deaths at each point */
};

/* Passes a point: dies when it is armed and its passage has come. */
#ifdef BV_TEST_SWITCHES
#define BV_FAILPOINT(symbol) bv_failpoint_pass(BV_FAILPOINT_##symbol)
#else
#define BV_FAILPOINT(symbol) ((void)BV_FAILPOINT_##symbol)
#endif
extern struct bv_failpoint_board *bv_failpoint_board; /* of this process; never NULL */
void bv_failpoint_reached(enum bv_failpoint point);
static inline void bv_failpoint_pass(enum bv_failpoint point)
{
    if (atomic_load_explicit(&bv_failpoint_board->armed, memory_order_relaxed) ==
        (uint32_t)point + 1)
        bv_failpoint_reached(point);
}
bool bv_failpoints_compiled(void); /* whether this build has points */

/* Reads the environment of the process: BV_FAILPOINT=NAME or NAME@N dies at the N-th passage (1 and
 * up), BV_FAILPOINT_FILE=PATH maps a board that others may arm. Without BV_TEST_SWITCHES both are
 * ignored. Errors: BV_E_INVALID (no such point, bad count, a board of another build), BV_E_IO. */
BV_MUST_CHECK int bv_failpoint_start(struct bv_error *error);

/* ---- the tormentor's side ---- */

/* Makes the file of a board, mode 0666 (the process may be another user's), and maps it. Errors:
 * BV_E_IO. Ownership: bv_failpoint_board_close unmaps; the file is the caller's to remove. */
BV_MUST_CHECK int bv_failpoint_board_make(const char *path,
                                          struct bv_failpoint_board **ret_board,
                                          struct bv_error *error);
/* Maps fd, which stays the caller's. BV_E_IO. */
BV_MUST_CHECK int bv_failpoint_board_map(int fd, struct bv_failpoint_board **ret_board);
void bv_failpoint_board_close(struct bv_failpoint_board **board);
/* Arms point to fire at its passage-th passage from now, 1 and up; replaces what was armed. */
void bv_failpoint_arm(struct bv_failpoint_board *board, enum bv_failpoint point, uint32_t passage);
void bv_failpoint_disarm(struct bv_failpoint_board *board);
/* Waits until a process has died at point, that is until the count of deaths is no longer before;
 * blocks. Errors: BV_E_TIMEOUT. Source: futex(2). */
BV_MUST_CHECK int bv_failpoint_await(struct bv_failpoint_board *board,
                                     enum bv_failpoint point,
                                     uint32_t before,
                                     int64_t timeout_ms);

#endif
