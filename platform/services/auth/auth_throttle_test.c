#include "auth_throttle.h"
#include <criterion/criterion.h>

#define REFILL_MS 1000

static struct auth_throttle *throttle;

static void begin(void)
{
    cr_assert_eq(auth_throttle_open(8, 3, REFILL_MS, &throttle), 0);
}

static void end(void)
{
    auth_throttle_close(&throttle);
}

static void fail(uint64_t name, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++)
        auth_throttle_failed(throttle, name, now_ms);
}

Test(auth_throttle, so_many_failures_pass_and_then_one_per_refill, .init = begin, .fini = end)
{
    int64_t now_ms = 5000;
    for (int i = 0; i < 3; i++) {
        cr_expect(auth_throttle_allows(throttle, 1, now_ms), "%d", i);
        fail(1, 1, now_ms);
    }
    cr_expect_not(auth_throttle_allows(throttle, 1, now_ms));
    cr_expect_not(auth_throttle_allows(throttle, 1, now_ms + REFILL_MS - 1));
    now_ms += REFILL_MS;
    cr_expect(auth_throttle_allows(throttle, 1, now_ms));
    fail(1, 1, now_ms);
    cr_expect_not(auth_throttle_allows(throttle, 1, now_ms));
    now_ms += 3 * REFILL_MS;
    fail(1, 2, now_ms);
    cr_expect(auth_throttle_allows(throttle, 1, now_ms), "it was full again");
}

Test(auth_throttle, names_do_not_hold_up_one_another, .init = begin, .fini = end)
{
    fail(1, 3, 0);
    cr_expect_not(auth_throttle_allows(throttle, 1, 0));
    for (uint64_t name = 2; name < 5; name++)
        cr_expect(auth_throttle_allows(throttle, name, 0));
}

Test(auth_throttle,
     failures_that_were_under_way_cost_no_more_than_a_burst,
     .init = begin,
     .fini = end)
{
    fail(1, 100, 0);
    cr_expect_not(auth_throttle_allows(throttle, 1, REFILL_MS - 1));
    cr_expect(auth_throttle_allows(throttle, 1, REFILL_MS));
}

/* Eight places, sets of four: even names share one. */
Test(auth_throttle, a_flood_of_names_leaves_the_worst_in_place, .init = begin, .fini = end)
{
    fail(2, 3, 0);
    for (uint64_t name = 4; name < 4000; name += 2)
        fail(name, 1, 0);
    cr_expect_not(auth_throttle_allows(throttle, 2, 0));
    fail(1, 3, 0);
    cr_expect_not(auth_throttle_allows(throttle, 1, 0), "the other set has room");
}
