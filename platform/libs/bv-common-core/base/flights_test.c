#include "bv/resilience.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct bv_flights *flights;

struct seen {
    int calls;
    int rc;
    const void *result;
};

static void note(void *argument, int rc, const void *result)
{
    struct seen *seen = argument;
    *seen = (struct seen){seen->calls + 1, rc, result};
}

Test(flights, one_leads_the_others_follow_all_get_the_result)
{
    struct seen seen[3] = {{0}};
    int result = 7;
    cr_assert_eq(bv_flights_open(4, 4, &flights), 0);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("k"), note, &seen[0]), BV_FLIGHT_LEADER);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("k"), note, &seen[1]), BV_FLIGHT_FOLLOWER);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("other"), note, &seen[2]), BV_FLIGHT_LEADER);
    bv_flight_land(flights, BV_BYTES("k"), BV_E_IO, &result);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(seen[i].calls, 1);
        cr_assert_eq(seen[i].rc, BV_E_IO);
        cr_assert_eq(seen[i].result, &result);
    }
    cr_assert_eq(seen[2].calls, 0);
    cr_assert_eq(
        bv_flight_join(flights, BV_BYTES("k"), note, &seen[0]), BV_FLIGHT_LEADER, "a new flight");
    bv_flights_close(&flights);
    cr_assert_null(flights);
    cr_assert_eq(seen[2].calls, 1);
    cr_assert_eq(seen[2].rc, BV_E_CANCELLED);
    cr_assert_eq(seen[0].calls, 2);
    bv_flights_close(&flights);
}

Test(flights, keys_and_waiters_are_bounded)
{
    struct seen seen = {0};
    cr_assert_eq(bv_flights_open(2, 3, &flights), 0);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("a"), note, &seen), BV_FLIGHT_LEADER);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("a"), note, &seen), BV_FLIGHT_FOLLOWER);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("a"), note, &seen), BV_FLIGHT_FOLLOWER);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("a"), note, &seen), BV_E_LIMIT);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES(""), note, &seen), BV_FLIGHT_LEADER);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("c"), note, &seen), BV_E_LIMIT);
    bv_flight_land(flights, BV_BYTES("a"), 0, NULL);
    cr_assert_eq(seen.calls, 3);
    bv_flight_land(flights, BV_BYTES("a"), 0, NULL);
    cr_assert_eq(seen.calls, 3, "an unknown key lands nothing");
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("c"), note, &seen), BV_FLIGHT_LEADER);
    bv_flights_close(&flights);
}

static int again_rc;
static void join_again(void *argument, int rc, const void *result)
{
    (void)rc;
    (void)result;
    again_rc = bv_flight_join(flights, BV_BYTES("k"), note, argument);
}

Test(flights, a_waiter_may_join_again)
{
    struct seen seen = {0};
    cr_assert_eq(bv_flights_open(1, 1, &flights), 0);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("k"), join_again, &seen), BV_FLIGHT_LEADER);
    bv_flight_land(flights, BV_BYTES("k"), 0, NULL);
    cr_assert_eq(again_rc, BV_FLIGHT_LEADER);
    cr_assert_eq(seen.calls, 0);
    bv_flight_land(flights, BV_BYTES("k"), 0, NULL);
    cr_assert_eq(seen.calls, 1);
    cr_assert_eq(bv_flight_join(flights, BV_BYTES("k"), join_again, &seen), BV_FLIGHT_LEADER);
    bv_flights_close(&flights);
    cr_assert_eq(again_rc, BV_E_CLOSED, "but not while closing");
}

/* Random joins and landings against a plain array of counts. */
Test(flights, agrees_with_its_model)
{
    enum { KEYS = 40, KEYS_MAX = 16, WAITERS_MAX = 5 };
    static struct seen seen[KEYS];
    int waiting[KEYS] = {0};
    int calls[KEYS] = {0};
    int open = 0;
    uint64_t seed = 9;
    cr_assert_eq(bv_flights_open(KEYS_MAX, WAITERS_MAX, &flights), 0);
    for (int round = 0; round < 50000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t k = (size_t)(seed >> 33) % KEYS;
        char key[16];
        snprintf(key, sizeof(key), "key-%zu", k);
        if (seed >> 60 < 6) {
            bv_flight_land(flights, bv_bytes_of(key), 0, NULL);
            calls[k] += waiting[k];
            open -= waiting[k] > 0 ? 1 : 0;
            waiting[k] = 0;
        } else {
            int expected = waiting[k] == 0
                               ? (open < KEYS_MAX ? BV_FLIGHT_LEADER : BV_E_LIMIT)
                               : (waiting[k] < WAITERS_MAX ? BV_FLIGHT_FOLLOWER : BV_E_LIMIT);
            cr_assert_eq(bv_flight_join(flights, bv_bytes_of(key), note, &seen[k]), expected);
            open += expected == BV_FLIGHT_LEADER ? 1 : 0;
            waiting[k] += expected > 0 ? 1 : 0;
        }
        cr_assert_eq(seen[k].calls, calls[k]);
    }
    bv_flights_close(&flights);
    for (size_t k = 0; k < KEYS; k++)
        cr_assert_eq(seen[k].calls, calls[k] + waiting[k]);
}
