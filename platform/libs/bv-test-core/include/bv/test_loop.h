/* Driving a loop from a test. Thread: the loop's. */
#ifndef BV_TEST_LOOP_H
#define BV_TEST_LOOP_H

#include "bv/loop.h"

/* Runs the loop until until(argument) holds (looked at every millisecond) or timeout_ms have
 * passed; returns whether it held. Errors: aborts when the loop cannot be run. */
bool bv_test_run_until(struct bv_loop *loop,
                       bool (*until)(void *argument),
                       void *argument,
                       int64_t timeout_ms);
/* Runs the loop for that long: for "nothing happens" claims only. */
void bv_test_run_for(struct bv_loop *loop, int64_t duration_ms);
/* The system's clock and random numbers. */
extern const struct bv_env bv_test_env_system;

#endif
