/* The bus on a real Kafka: order, redelivery, rebalance, limits. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bv/bus.h"
#include "bv/test_loop.h"
#include "bv/test_stack.h"

#define RECEIVED_MAX 4096

struct inbox {
    struct bv_subscription *subscription;
    uint32_t retries_wanted; /* the first record is retried so often before it is acknowledged */
    uint32_t retried;
    bool hold; /* acknowledge nothing */
    size_t count;
    size_t assigned;
    int value[RECEIVED_MAX];
    int key[RECEIVED_MAX];
    int32_t partition[RECEIVED_MAX];
    struct bv_delivery *held[RECEIVED_MAX];
    size_t held_count;
    char traceparent[64];
};
struct bench {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_metrics *metrics;
    char topic[64];
    char group[64];
    size_t acked;
    size_t failed;
    int last_rc;
    size_t wanted;
    struct inbox *inbox;
};

static struct bv_bus *bus_open(const struct bench *bench, const char *instance, int64_t queue_max)
{
    struct bv_bus *bus = NULL;
    const struct bv_kafka_config config = {.brokers = bv_test_need("BV_TEST_KAFKA_BROKERS"),
                                           .client_id = "it",
                                           .instance = instance,
                                           .queue_max = queue_max};
    cr_assert_eq(bv_kafka_open(bench->loop, &config, NULL, bench->metrics, &bus), 0);
    return bus;
}

static void bench_open(struct bench *bench, int partitions, int64_t queue_max)
{
    const char *brokers = bv_test_need("BV_TEST_KAFKA_BROKERS");
    *bench = (struct bench){0};
    unsigned long long unique = bv_random_u64(&bv_test_env_system);
    snprintf(bench->topic, sizeof bench->topic, "it.%016llx", unique);
    snprintf(bench->group, sizeof bench->group, "group-%016llx", unique);
    struct bv_error error = {0};
    const struct bv_topic topic = {bench->topic, partitions, 0};
    if (partitions > 0)
        cr_assert_eq(
            bv_kafka_topics_create(brokers, &topic, 1, 10000, &error), 0, "%s", error.text);
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench->loop), 0);
    cr_assert_eq(bv_metrics_open(64, &bench->metrics), 0);
    bench->bus = bus_open(bench, NULL, queue_max);
}

static void bench_close(struct bench *bench)
{
    bv_bus_close(&bench->bus);
    bv_metrics_close(&bench->metrics);
    bv_loop_close(&bench->loop);
}

static void published(void *argument, int rc, const struct bv_error *error)
{
    (void)error;
    struct bench *bench = argument;
    bench->last_rc = rc;
    if (rc == 0)
        bench->acked++;
    else
        bench->failed++;
}

static int publish(struct bench *bench, int key, int value)
{
    char key_text[16], value_text[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(value_text, sizeof value_text, "%d", value);
    const struct bv_header headers[] = {
        {BV_BYTES("traceparent"),
         BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
    };
    const struct bv_record record = {
        .topic = bv_bytes_of(bench->topic),
        .key = bv_bytes_of(key_text),
        .value = bv_bytes_of(value_text),
        .headers = headers,
        .header_count = 1,
        .partition = -1,
    };
    return bv_bus_publish(bench->bus, &record, published, bench);
}

static bool all_reported(void *argument)
{
    const struct bench *bench = argument;
    return bench->acked + bench->failed >= bench->wanted;
}

static bool all_received(void *argument)
{
    const struct bench *bench = argument;
    return bench->inbox->count >= bench->wanted;
}

static bool is_ready(void *argument)
{
    return bv_bus_ready(((struct bench *)argument)->bus);
}

static int number(struct bv_bytes text)
{
    int64_t value = -1;
    cr_assert_eq(bv_bytes_int64(text, 0, 1000000, &value), 0);
    return (int)value;
}

static void received(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    struct inbox *inbox = argument;
    if (inbox->retried < inbox->retries_wanted) {
        inbox->retried++;
        bv_bus_retry(delivery, 20);
        return;
    }
    cr_assert_lt(inbox->count, RECEIVED_MAX);
    inbox->value[inbox->count] = number(record->value);
    inbox->key[inbox->count] =
        number((struct bv_bytes){record->key.data + 1, record->key.size - 1});
    inbox->partition[inbox->count] = record->partition;
    struct bv_bytes traceparent = bv_record_header(record, "traceparent");
    snprintf(inbox->traceparent, sizeof inbox->traceparent, "%.*s", BV_ARG(traceparent));
    inbox->count++;
    if (inbox->hold)
        inbox->held[inbox->held_count++] = delivery;
    else
        bv_bus_ack(delivery);
}

static void assigned(void *argument, size_t partitions)
{
    ((struct inbox *)argument)->assigned = partitions;
}

static void subscribe(struct bench *bench, struct inbox *inbox, uint32_t prefetch)
{
    const char *const topics[] = {bench->topic, NULL};
    const struct bv_subscription_config config = {.group = bench->group,
                                                  .topics = topics,
                                                  .prefetch = prefetch,
                                                  .from = BV_FROM_EARLIEST,
                                                  .assigned = assigned};
    cr_assert_eq(bv_bus_subscribe(bench->bus, &config, received, inbox, &inbox->subscription), 0);
    bench->inbox = inbox;
}

static void publish_all(struct bench *bench, int from, int count, int keys)
{
    for (int i = from; i < from + count; i++)
        cr_assert_eq(publish(bench, i % keys, i), 0);
    bench->wanted = bench->acked + bench->failed + (size_t)count;
    cr_assert(bv_test_run_until(bench->loop, all_reported, bench, 20000));
}

static void assert_order_per_key(const struct inbox *inbox, int keys)
{
    int last[64];
    for (int i = 0; i < keys; i++)
        last[i] = -1;
    for (size_t i = 0; i < inbox->count; i++) {
        cr_assert_gt(inbox->value[i],
                     last[inbox->key[i]],
                     "key %d: %d after %d",
                     inbox->key[i],
                     inbox->value[i],
                     last[inbox->key[i]]);
        last[inbox->key[i]] = inbox->value[i];
    }
}

static struct inbox first, second;

Test(kafka_bus, keeps_order_per_key_over_1000_records)
{
    struct bench bench;
    bench_open(&bench, 4, 0);
    subscribe(&bench, &first, 16);
    publish_all(&bench, 0, 1000, 10);
    cr_assert_eq(bench.failed, 0);
    bench.wanted = 1000;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000), "%zu", first.count);
    bv_test_run_for(bench.loop, 200);
    cr_assert_eq(first.count, 1000);
    assert_order_per_key(&first, 10);
    cr_assert_str_eq(first.traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    cr_assert_eq(first.assigned, 4);
    bench_close(&bench);
}

Test(kafka_bus, a_retry_comes_before_the_next_record_of_its_partition)
{
    struct bench bench;
    bench_open(&bench, 1, 0);
    publish_all(&bench, 0, 20, 1);
    first.retries_wanted = 3;
    subscribe(&bench, &first, 1);
    bench.wanted = 20;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    cr_assert_eq(first.retried, 3);
    assert_order_per_key(&first, 1);
    cr_assert_eq(first.value[0], 0);
    bench_close(&bench);
}

Test(kafka_bus, prefetch_bounds_what_is_out)
{
    struct bench bench;
    bench_open(&bench, 1, 0);
    publish_all(&bench, 0, 50, 1);
    first.hold = true;
    subscribe(&bench, &first, 7);
    bench.wanted = 7;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    bv_test_run_for(bench.loop, 300);
    cr_assert_eq(first.count, 7);
    first.hold = false;
    /* acknowledged backwards: the offset must wait for the first */
    for (size_t i = first.held_count; i-- > 0;)
        bv_bus_ack(first.held[i]);
    bench.wanted = 50;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    assert_order_per_key(&first, 1);
    bench_close(&bench);
}

Test(kafka_bus, acknowledged_records_do_not_come_again_and_others_do)
{
    struct bench bench;
    bench_open(&bench, 1, 0);
    publish_all(&bench, 0, 10, 1);
    first.hold = true;
    subscribe(&bench, &first, 10);
    bench.wanted = 10;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    bv_bus_ack(first.held[0]);
    bv_bus_ack(first.held[1]);
    bv_bus_ack(first.held[3]); /* 2 is missing: 3 may not be committed */
    bv_bus_unsubscribe(&first.subscription);
    bv_bus_ack(first.held[2]); /* stale: harmless */
    for (size_t i = 4; i < 10; i++)
        bv_bus_retry(first.held[i], 0);
    subscribe(&bench, &second, 10);
    bench.wanted = 8;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    bv_test_run_for(bench.loop, 300);
    cr_assert_eq(second.count, 8);
    cr_assert_eq(second.value[0], 2);
    bench_close(&bench);
}

/* A member that takes ten records, acknowledges three of them, waits for the commit and dies. */
static void dying_member(const char *brokers, const char *topic, const char *group)
{
    struct bench bench = {0};
    snprintf(bench.topic, sizeof bench.topic, "%s", topic);
    snprintf(bench.group, sizeof bench.group, "%s", group);
    const struct bv_kafka_config config = {.brokers = brokers};
    if (bv_loop_open(&bv_test_env_system, &bench.loop) < 0 ||
        bv_kafka_open(bench.loop, &config, NULL, NULL, &bench.bus) < 0)
        _exit(3);
    first.hold = true;
    subscribe(&bench, &first, 10);
    bench.wanted = 10;
    if (!bv_test_run_until(bench.loop, all_received, &bench, 20000))
        _exit(4);
    for (size_t i = 0; i < 3; i++)
        bv_bus_ack(first.held[i]);
    bv_test_run_for(bench.loop, 600);
    raise(SIGKILL);
}

Test(kafka_bus, what_a_killed_member_held_is_received_again)
{
    const char *brokers = bv_test_need("BV_TEST_KAFKA_BROKERS");
    char topic[32], group[64];
    snprintf(
        topic, sizeof topic, "it.%016llx", (unsigned long long)bv_random_u64(&bv_test_env_system));
    snprintf(group, sizeof group, "group-%s", topic);
    pid_t child = fork(); /* before any thread of a client exists here */
    cr_assert_geq(child, 0);
    if (child == 0)
        dying_member(brokers, topic, group);
    struct bench bench;
    bench_open(&bench, 0, 0);
    snprintf(bench.topic, sizeof bench.topic, "%s", topic);
    snprintf(bench.group, sizeof bench.group, "%s", group);
    struct bv_error error = {0};
    const struct bv_topic row = {topic, 1, 0};
    cr_assert_eq(bv_kafka_topics_create(brokers, &row, 1, 10000, &error), 0, "%s", error.text);
    publish_all(&bench, 0, 10, 1);
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
    memset(&first, 0, sizeof first);
    subscribe(&bench, &first, 10);
    bench.wanted = 7;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 30000));
    bv_test_run_for(bench.loop, 300);
    cr_assert_eq(first.count, 7);
    cr_assert_eq(first.value[0], 3);
    bench_close(&bench);
}

static bool both_have_some(void *argument)
{
    (void)argument;
    return first.assigned > 0 && second.assigned > 0 && first.assigned + second.assigned == 4;
}

Test(kafka_bus, a_second_member_takes_half_and_a_held_delivery_goes_stale)
{
    struct bench bench;
    bench_open(&bench, 4, 0);
    publish_all(&bench, 0, 200, 40);
    first.hold = true;
    subscribe(&bench, &first, 1);
    bench.wanted = 4;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    subscribe(&bench, &second, 4);
    cr_assert(bv_test_run_until(bench.loop, both_have_some, NULL, 20000));
    cr_assert_eq(first.assigned, 2);
    bv_test_run_for(bench.loop, 300);
    first.hold = false;
    for (size_t i = 0; i < first.held_count; i++)
        bv_bus_ack(first.held[i]); /* two of four are stale */
    bench.inbox = &second;
    bv_test_run_for(bench.loop, 2000);
    /* every record once, but the two whose first delivery went stale came again to the other member
     */
    bool seen[200] = {false};
    size_t repeated = 0;
    for (size_t i = 0; i < first.count; i++)
        seen[first.value[i]] = true;
    for (size_t i = 0; i < second.count; i++) {
        repeated += seen[second.value[i]];
        seen[second.value[i]] = true;
    }
    for (int i = 0; i < 200; i++)
        cr_assert(seen[i], "%d is lost", i);
    cr_assert_eq(repeated, 2);
    cr_assert_eq(first.count + second.count, 202);
    bench_close(&bench);
}

Test(kafka_bus, a_topic_that_is_created_late_is_found)
{
    struct bench bench;
    bench_open(&bench, 0, 0);
    subscribe(&bench, &first, 1);
    bv_test_run_for(bench.loop, 700);
    const struct bv_topic topic = {bench.topic, 2, -1};
    struct bv_error error = {0};
    cr_assert_eq(bv_kafka_topics_create(getenv("BV_TEST_KAFKA_BROKERS"), &topic, 1, 10000, &error),
                 0,
                 "%s",
                 error.text);
    cr_assert_eq(bv_kafka_topics_create(getenv("BV_TEST_KAFKA_BROKERS"), &topic, 1, 10000, &error),
                 0,
                 "again");
    publish_all(&bench, 0, 5, 2);
    bench.wanted = 5;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 5000));
    bench_close(&bench);
}

Test(kafka_bus, an_unknown_topic_is_refused_not_awaited_for_ever)
{
    struct bench bench;
    bench_open(&bench, 0, 0);
    cr_assert_eq(publish(&bench, 0, 0), 0);
    bench.wanted = 1;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 15000));
    cr_assert_eq(bench.last_rc, BV_E_NOT_FOUND);
    bench_close(&bench);
}

Test(kafka_bus, is_ready_once_a_broker_answers)
{
    struct bench bench;
    bench_open(&bench, 1, 0);
    cr_assert(bv_test_run_until(bench.loop, is_ready, &bench, 5000));
    bench_close(&bench);
}

Test(kafka_bus, an_idle_member_stays_in_its_group)
{
    struct bench bench;
    bench_open(&bench, 1, 0);
    subscribe(&bench, &first, 1);
    bv_test_run_for(bench.loop, 8000); /* longer than the session */
    cr_assert_eq(first.assigned, 1);
    publish_all(&bench, 0, 1, 1);
    bench.wanted = 1;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 2000));
    bench_close(&bench);
}

static bool is_not_ready(void *argument)
{
    return !is_ready(argument);
}

/* BV_TEST_KAFKA_RESTART is a command that kills the broker with SIGKILL, starts it again and
 * returns at once. */
Test(kafka_bus, an_idle_bus_notices_that_the_broker_went_and_came_back)
{
    const char *restart = getenv("BV_TEST_KAFKA_RESTART");
    if (!restart || !restart[0])
        cr_skip_test("BV_TEST_KAFKA_RESTART is not set: no broker of our own to kill");
    struct bench bench;
    bench_open(&bench, 1, 0);
    subscribe(&bench, &first, 1);
    cr_assert(bv_test_run_until(bench.loop, is_ready, &bench, 5000));
    bv_test_run_for(bench.loop, 2000);
    cr_assert(bv_bus_ready(bench.bus), "idle is ready");
    cr_assert_eq(system(restart), 0);
    cr_assert(bv_test_run_until(bench.loop, is_not_ready, &bench, 3000));
    cr_assert(bv_test_run_until(bench.loop, is_ready, &bench, 60000));
    publish_all(&bench, 0, 3, 1);
    bench.wanted = 3;
    cr_assert(bv_test_run_until(bench.loop, all_received, &bench, 20000));
    bench_close(&bench);
}

static bool has_partitions(void *argument)
{
    return ((const struct inbox *)argument)->assigned > 0;
}

Test(kafka_bus, who_lost_its_name_to_another_process_is_not_ready)
{
    static struct inbox loser, winner;
    struct bench bench;
    bench_open(&bench, 2, 0);
    bv_bus_close(&bench.bus);
    bench.bus = bus_open(&bench, bench.group, 0);
    subscribe(&bench, &loser, 4);
    cr_assert(bv_test_run_until(bench.loop, has_partitions, &loser, 30000));
    cr_assert(bv_test_run_until(bench.loop, is_ready, &bench, 10000));
    struct bench twin = bench;
    twin.bus = bus_open(&bench, bench.group, 0);
    subscribe(&twin, &winner, 4);
    cr_assert(bv_test_run_until(bench.loop, is_not_ready, &bench, 30000));
    cr_assert(bv_test_run_until(bench.loop, has_partitions, &winner, 30000));
    cr_assert(bv_test_run_until(bench.loop, is_ready, &twin, 10000));
    bv_bus_close(&twin.bus);
    bench_close(&bench);
}
