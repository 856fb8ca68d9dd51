#include "bv/test_env.h"

static const struct bv_test_env *test_of_clock(const struct bv_clock *clock)
{
    return (const struct bv_test_env *)(const void *)((const char *)clock -
                                                      offsetof(struct bv_test_env, clock));
}

static int64_t wall_us(const struct bv_clock *self)
{
    return test_of_clock(self)->wall_us;
}

static int64_t mono_us(const struct bv_clock *self)
{
    return test_of_clock(self)->mono_us;
}

static void fill(const struct bv_random *self, void *data, size_t size)
{
    /* the vtable is const, the generator behind it is not */
    struct bv_test_env *test =
        (struct bv_test_env *)((uintptr_t)self - offsetof(struct bv_test_env, random));
    unsigned char *out = data;
    while (size > 0) {
        uint64_t z = test->state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        size_t part = size < sizeof z ? size : sizeof z;
        memcpy(out, &z, part);
        out += part;
        size -= part;
    }
}

void bv_test_env_init(struct bv_test_env *test, uint64_t seed)
{
    *test = (struct bv_test_env){
        .clock = {wall_us, mono_us},
        .random = {fill},
        .wall_us = INT64_C(1767323045000000),
        .mono_us = INT64_C(3600000000),
        .state = seed,
    };
    test->env = (struct bv_env){.clock = &test->clock, .random = &test->random};
}

void bv_test_env_advance_ms(struct bv_test_env *test, int64_t by_ms)
{
    assert(by_ms >= 0);
    test->wall_us += by_ms * 1000;
    test->mono_us += by_ms * 1000;
}

void bv_test_env_jump_ms(struct bv_test_env *test, int64_t by_ms)
{
    test->wall_us += by_ms * 1000;
}
