#include <criterion/criterion.h>
#include <stdio.h>

#include "bv/test_bus.h"
#include "bv/test_loop.h"

#define RECORDS 300
#define KEYS 7

struct bench {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_subscription *subscription;
    size_t reported, ok;
    size_t received;
    int times[RECORDS];
    int last[KEYS];
    size_t disorder;
    bool published_ok[RECORDS];
};
static struct bench bench;
struct ticket {
    int value;
};
static struct ticket tickets[RECORDS];

static void done(void *argument, int rc, const struct bv_error *error)
{
    cr_assert_eq(rc, error->code);
    bench.reported++;
    bench.ok += rc == 0;
    bench.published_ok[((struct ticket *)argument)->value] = rc == 0;
}

static void receive(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    (void)argument;
    int64_t value = 0;
    cr_assert_eq(bv_bytes_int64(record->value, 0, RECORDS - 1, &value), 0);
    int key = (int)(value % KEYS);
    bench.received++;
    if (bench.times[value]++ == 0) {
        bench.disorder += value < bench.last[key];
        bench.last[key] = (int)value;
    }
    bv_bus_ack(delivery);
}

static void run(const struct bv_test_bus_config *config, uint32_t prefetch)
{
    static const char *const topics[] = {"t", NULL};
    const struct bv_subscription_config subscription = {
        .group = "g", .topics = topics, .prefetch = prefetch};
    bench = (struct bench){0};
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    cr_assert_eq(bv_test_bus_open(bench.loop, config, &bench.bus), 0);
    cr_assert_eq(bv_bus_subscribe(bench.bus, &subscription, receive, NULL, &bench.subscription), 0);
    for (int i = 0; i < RECORDS; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i % KEYS);
        snprintf(value, sizeof value, "%d", i);
        tickets[i].value = i;
        const struct bv_record record = {
            .topic = BV_BYTES("t"), .key = bv_bytes_of(key), .value = bv_bytes_of(value)};
        cr_assert_eq(bv_bus_publish(bench.bus, &record, done, &tickets[i]), 0);
        cr_assert_eq(bench.reported, 0, "never from within publish");
    }
}

static bool drained(void *argument)
{
    (void)argument;
    return bench.reported == RECORDS && bv_test_bus_lag(bench.bus, "g", "t") == 0 &&
           bench.received >= bv_test_bus_count(bench.bus, "t");
}

static void finish(void)
{
    cr_assert(bv_test_run_until(bench.loop, drained, NULL, 10000));
}

static void close_all(void)
{
    bv_bus_close(&bench.bus);
    bv_loop_close(&bench.loop);
}

Test(test_bus, is_polite_by_default)
{
    run(&(struct bv_test_bus_config){.partitions = 3}, 1);
    finish();
    cr_assert_eq(bench.ok, RECORDS);
    cr_assert_eq(bench.received, RECORDS);
    cr_assert_eq(bench.disorder, 0);
    close_all();
}

Test(test_bus, loses_nothing_it_acknowledged_and_keeps_the_order_of_keys_under_every_fault)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run(&(struct bv_test_bus_config){.seed = seed,
                                         .partitions = 3,
                                         .drop_per_mille = 100,
                                         .lost_ack_per_mille = 100,
                                         .duplicate_per_mille = 100,
                                         .reorder_per_mille = 200,
                                         .rebalance_per_mille = 20,
                                         .delay_ms_max = 3},
            5);
        finish();
        cr_assert_eq(bench.disorder, 0, "seed %llu", (unsigned long long)seed);
        size_t lost = 0, twice = 0, silent = 0;
        for (int i = 0; i < RECORDS; i++) {
            lost += bench.published_ok[i] && bench.times[i] == 0;
            twice += bench.times[i] > 1;
            silent += !bench.published_ok[i] && bench.times[i] > 0;
        }
        cr_assert_eq(lost, 0, "seed %llu", (unsigned long long)seed);
        cr_assert_gt(twice, 0); /* the faults take effect */
        cr_assert_gt(silent, 0);
        cr_assert_lt(bench.ok, RECORDS);
        close_all();
    }
}

static size_t overtakes(void)
{
    size_t count = 0;
    int64_t before = -1, value = 0;
    for (size_t i = 0; i < bv_test_bus_count(bench.bus, "t"); i++) {
        cr_assert_eq(
            bv_bytes_int64(bv_test_bus_record(bench.bus, "t", i)->value, 0, RECORDS, &value), 0);
        count += value < before;
        before = value;
    }
    return count;
}

Test(test_bus, reorders_records_of_different_keys_by_seed)
{
    run(&(struct bv_test_bus_config){.seed = 3, .reorder_per_mille = 300}, 1);
    finish();
    size_t first = overtakes();
    cr_assert_gt(first, 10);
    close_all();
    run(&(struct bv_test_bus_config){.seed = 3, .reorder_per_mille = 300}, 1);
    finish();
    cr_assert_eq(overtakes(), first);
    close_all();
}

Test(test_bus, an_outage_refuses_until_it_ends)
{
    run(&(struct bv_test_bus_config){0}, 1);
    finish();
    bv_test_bus_outage(bench.bus, BV_E_UNAVAILABLE);
    cr_assert_not(bv_bus_ready(bench.bus));
    const struct bv_record record = {.topic = BV_BYTES("t"), .value = BV_BYTES("1")};
    size_t ok = bench.ok;
    bench.reported = 0;
    cr_assert_eq(bv_bus_publish(bench.bus, &record, done, &tickets[1]), 0);
    bv_test_run_for(bench.loop, 20);
    cr_assert_eq(bench.reported, 1);
    cr_assert_eq(bench.ok, ok);
    bv_test_bus_outage(bench.bus, 0);
    cr_assert_eq(bv_bus_publish(bench.bus, &record, done, &tickets[1]), 0);
    bv_test_run_for(bench.loop, 20);
    cr_assert_eq(bench.ok, ok + 1);
    close_all();
}
