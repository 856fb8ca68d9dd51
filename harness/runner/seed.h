/* Everything random of a run from one number. Each scenario draws from a stream of its own, so what
 * it gets does not depend on which scenarios run beside it. Invariant: same seed and stream, same
 * numbers in the order of the draws. Thread: drawing: any, without a lock; init: the owner.
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014
 * (splitmix64, whose state is a counter). */
#ifndef BV_SEED_H
#define BV_SEED_H

#include "bv/env.h"

#include <stdatomic.h>

/* Largest seed that a person may give: JSON keeps it exactly. */
#define SEED_MAX ((int64_t)1 << 53)

enum seed_stream { SEED_RUN, SEED_ORDER, SEED_SCENARIO /* + number of the scenario */ };

struct seed_random {
    struct bv_random random; /* first member */
    atomic_uint_least64_t state;
};
void seed_init(struct seed_random *random, uint64_t seed, uint64_t stream);

/* Puts order[0..count) into an order drawn from random (Fisher-Yates). */
void seed_shuffle(const struct bv_env *env, size_t *order, size_t count);

#endif
