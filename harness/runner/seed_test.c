#include "seed.h"

#include <criterion/criterion.h>

static uint64_t draw(uint64_t seed, uint64_t stream, int which)
{
    struct seed_random random;
    struct bv_env env = {&bv_clock_system, &random.random, NULL};
    uint64_t value = 0;
    seed_init(&random, seed, stream);
    for (int i = 0; i <= which; i++)
        value = bv_random_u64(&env);
    return value;
}

Test(seed, same_seed_and_stream_same_numbers)
{
    cr_expect_eq(draw(7, 3, 5), draw(7, 3, 5));
    cr_expect_neq(draw(7, 3, 5), draw(7, 3, 4));
    cr_expect_neq(draw(7, 3, 0), draw(8, 3, 0));
}

Test(seed, streams_do_not_overlap)
{
    for (uint64_t stream = 0; stream < 50; stream++)
        for (int i = 0; i < 50; i++)
            cr_expect_neq(draw(7, stream, i), draw(7, stream + 1, 0));
}

Test(seed, a_shuffle_is_a_permutation_that_the_seed_decides)
{
    size_t first[100], again[100], other[100];
    bool there[100] = {0};
    size_t *lists[] = {first, again, other};
    static const uint64_t seeds[] = {5, 5, 6};
    for (size_t l = 0; l < 3; l++) {
        struct seed_random random;
        struct bv_env env = {&bv_clock_system, &random.random, NULL};
        seed_init(&random, seeds[l], SEED_ORDER);
        for (size_t i = 0; i < 100; i++)
            lists[l][i] = i;
        seed_shuffle(&env, lists[l], 100);
    }
    cr_expect_arr_eq(first, again, sizeof first);
    cr_expect_arr_neq(first, other, sizeof first);
    for (size_t i = 0; i < 100; i++)
        there[first[i]] = true;
    for (size_t i = 0; i < 100; i++)
        cr_expect(there[i]);
}
