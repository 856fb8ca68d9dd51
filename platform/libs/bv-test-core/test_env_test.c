#include <criterion/criterion.h>

#include "bv/test_env.h"
#include "bv/uuid.h"

Test(test_env, the_same_seed_gives_the_same_numbers)
{
    struct bv_test_env a, b, c;
    bv_test_env_init(&a, 7);
    bv_test_env_init(&b, 7);
    bv_test_env_init(&c, 8);
    uint64_t x = bv_random_u64(&a.env);
    cr_assert_eq(x, bv_random_u64(&b.env));
    cr_assert_neq(x, bv_random_u64(&c.env));
    cr_assert_neq(x, bv_random_u64(&a.env));
}

Test(test_env, time_moves_only_by_hand)
{
    struct bv_test_env test;
    char text[BV_TIME_TEXT_SIZE];
    bv_test_env_init(&test, 1);
    bv_time_format(bv_wall_us(&test.env), text);
    cr_assert_str_eq(text, "2026-01-02T03:04:05.000Z");
    bv_test_env_advance_ms(&test, 1500);
    cr_assert_eq(bv_mono_ms(&test.env), 3600000 + 1500);
    bv_test_env_jump_ms(&test, -500);
    cr_assert_eq(bv_mono_ms(&test.env), 3600000 + 1500);
    bv_time_format(bv_wall_us(&test.env), text);
    cr_assert_str_eq(text, "2026-01-02T03:04:06.000Z");
    cr_assert_eq(bv_uuid_v7_ms(bv_uuid_v7(&test.env)), bv_wall_us(&test.env) / 1000);
}
