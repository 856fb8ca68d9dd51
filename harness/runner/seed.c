#include "seed.h"

static const uint64_t GAMMA = 0x9e3779b97f4a7c15U;

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

static void fill(const struct bv_random *self, void *data, size_t size)
{
    struct seed_random *random = (struct seed_random *)(uintptr_t)self; /* its first member */
    char *at = data;
    while (size) {
        uint64_t value =
            mix(atomic_fetch_add_explicit(&random->state, GAMMA, memory_order_relaxed) + GAMMA);
        size_t part = size < sizeof value ? size : sizeof value;
        memcpy(at, &value, part);
        at += part;
        size -= part;
    }
}

void seed_init(struct seed_random *random, uint64_t seed, uint64_t stream)
{
    random->random.fill = fill;
    atomic_store_explicit(
        &random->state, mix(mix(seed + GAMMA) + stream * GAMMA), memory_order_relaxed);
}

void seed_shuffle(const struct bv_env *env, size_t *order, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)bv_random_below(env, i);
        size_t held = order[i - 1];
        order[i - 1] = order[other];
        order[other] = held;
    }
}
