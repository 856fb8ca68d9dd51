/* The killing: for each service a lane, a thread that arms one crash point after another in a
 * shuffled order, waits until the board says that the process died there, and until its successor
 * is ready. Lanes run side by side, so services also die together. Thread: main; lanes are threads
 * of their own. */
#ifndef TORTURE_ROUNDS_H
#define TORTURE_ROUNDS_H

#include "bv/failpoint.h"

#include <stddef.h>

struct torture_target { /* one crash point in one service */
    const char *service;
    enum bv_failpoint point;
    int primer; /* crash point that first leaves behind what this one needs; -1: none */
    uint32_t asked, fired;
    int64_t waited_us;    /* in all, from arming to death */
    int64_t *recovery_us; /* owned: of each death, until /readyz said 200 again */
    uint32_t lost, doubled;
};
struct torture_death { /* wall clock, to find the death before a violation */
    int64_t wall_ms;
    size_t target;
};
struct torture_lane_place {
    const char *service;
    struct bv_failpoint_board *board; /* borrowed */
    uint16_t port;
};

struct torture_rounds;
struct torture_rounds_config {
    const struct torture_lane_place *places;
    size_t place_count;
    const char *only; /* "order.create,relay": points that begin with one of these, or
                         "inventory/relay.deleted" for one service; NULL: all */
    uint32_t rounds;
    int64_t fire_ms_max; /* until an armed point counts as missed; 0: 30000 */
    const volatile int *cancel;
    void (*progress)(void *argument, uint32_t done, uint32_t of);
    void *progress_argument;
};
/* Errors: BV_E_INVALID (only names no point), BV_E_NOMEM. config is copied, its pointers borrowed.
 */
BV_MUST_CHECK int torture_rounds_open(const struct torture_rounds_config *config,
                                      struct torture_rounds **ret_rounds,
                                      struct bv_error *error);
/* Runs all rounds of all lanes; blocks. Errors: BV_E_CANCELLED; BV_E_TIMEOUT: a service did not
 * come back. */
BV_MUST_CHECK int torture_rounds_run(struct torture_rounds *rounds, struct bv_error *error);
size_t torture_rounds_targets(struct torture_rounds *rounds, struct torture_target **ret_targets);
/* The target of the last death before or just after wall_ms that this violation may stem from: the
 * first death at or after wall_ms. NULL when there is none. */
struct torture_target *torture_rounds_blame(struct torture_rounds *rounds, int64_t wall_ms);
void torture_rounds_close(struct torture_rounds **rounds);

#endif
