/* A clock that only tests move, and random numbers from a seed.
 * Invariant: same seed, same calls, same numbers. Thread: one owner at a time. */
#ifndef BV_TEST_ENV_H
#define BV_TEST_ENV_H

#include "bv/env.h"

/* Must not be moved in memory after init: env points into it. */
struct bv_test_env {
    struct bv_env env; /* hand &test.env to the code under test */
    struct bv_clock clock;
    struct bv_random random;
    int64_t wall_us;
    int64_t mono_us;
    uint64_t state;
};
/* Wall clock at 2026-01-02T03:04:05Z, monotonic clock at one hour, random numbers of seed
 * (splitmix64), no log. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014. */
void bv_test_env_init(struct bv_test_env *test, uint64_t seed);
void bv_test_env_advance_ms(struct bv_test_env *test, int64_t by_ms); /* both clocks; by_ms >= 0 */
void bv_test_env_jump_ms(struct bv_test_env *test,
                         int64_t by_ms); /* the wall clock alone, either way */

#endif
