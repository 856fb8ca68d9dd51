/* A clock moved by hand and seeded randomness for the tests of this folder. Thread: one. */
#ifndef BV_TEST_ENV_H
#define BV_TEST_ENV_H

#include "bv/env.h"

struct test_env {
    struct bv_clock clock; /* must be first: the hooks find the rest from it */
    int64_t now_us;
    struct bv_random random;
    uint64_t *seed; /* borrowed */
    struct bv_env env;
};

static inline int64_t test_env_now(const struct bv_clock *self)
{
    return ((const struct test_env *)self)->now_us;
}

/* splitmix64 */
static inline void test_env_fill(const struct bv_random *self, void *data, size_t size)
{
    const char *base = (const char *)self - offsetof(struct test_env, random);
    uint64_t *seed = ((const struct test_env *)base)->seed;
    unsigned char *to = data;
    for (size_t i = 0; i < size; i++) {
        uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        to[i] = (unsigned char)((z ^ z >> 31) >> 13);
    }
}

/* Everything in test is overwritten; it must not move afterwards. */
static inline const struct bv_env *test_env_init(struct test_env *test, uint64_t *seed)
{
    *test = (struct test_env){
        .clock = {test_env_now, test_env_now},
        .now_us = INT64_C(1767323045678901), /* 2026-01-02T03:04:05.678901Z */
        .random = {test_env_fill},
        .seed = seed
    };
    test->env = (struct bv_env){&test->clock, &test->random, NULL};
    return &test->env;
}

#endif
