/* The consumer on a real Kafka and a real PostgreSQL: inbox, dead letters, parked keys across
 * restarts, replay. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/consumer.h"
#include "bv/parked.h"
#include "bv/test_loop.h"
#include "bv/test_stack.h"

#define SCHEMA                                                                                     \
    "CREATE TABLE inbox (consumer text NOT NULL, event_id uuid NOT NULL, received_at timestamptz " \
    "NOT NULL DEFAULT now(),"                                                                      \
    " PRIMARY KEY (consumer, event_id));"                                                          \
    "CREATE TABLE parked_keys (consumer text NOT NULL, topic text NOT NULL, partition_key text "   \
    "NOT NULL,"                                                                                    \
    " parked_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, topic, "                \
    "partition_key));"                                                                             \
    "CREATE TABLE effect (n bigserial PRIMARY KEY, key int NOT NULL, number int NOT NULL);"
#define TYPE "test.thing.changed.v1"

struct dead {
    struct bv_subscription *subscription;
    size_t count;
    char reason[64][128];
    char attempts[64][16];
};
struct bench {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_pg *pg;
    struct bv_parked_store *parked;
    struct bv_consumer *consumer;
    char *conninfo; /* owned */
    char topic[40], dlq[48], group[48];
    int poison;
    struct dead dead;
    int64_t wanted;
};
static struct bench bench;

/* The effect happens when the inbox has just taken the event: both in one transaction. */
static const struct bv_pg_statement effect_statement = {
    "effect",
    "WITH taken AS (INSERT INTO inbox (consumer, event_id) VALUES ($1, $2::uuid) ON CONFLICT DO "
    "NOTHING RETURNING 1)"
    " INSERT INTO effect (key, number) SELECT $3::int, $4::int FROM taken"};

static void committed(void *argument,
                      int rc,
                      const struct bv_pg_result *const *results,
                      size_t count,
                      const struct bv_pg_failure *failure)
{
    (void)results, (void)count;
    bv_consumer_done(argument, rc, failure ? &failure->error : NULL);
}

static void handle(void *context,
                   struct bv_consumer_event *under_way,
                   const struct bv_event *event,
                   const struct bv_record *record)
{
    (void)context, (void)record;
    int64_t key = bv_json_int(bv_json_get(event->payload, "key"), -1);
    int64_t number = bv_json_int(bv_json_get(event->payload, "number"), -1);
    char id[BV_UUID_TEXT_SIZE];
    struct bv_error error = {0};
    if (number == bench.poison) {
        bv_consumer_done(under_way,
                         bv_fail(&error, BV_E_UNPROCESSABLE, "no such thing: %d", (int)number),
                         &error);
        return;
    }
    bv_uuid_format(event->id, id);
    const struct bv_pg_param params[] = {
        BV_PG_P_CSTR(bench.group), BV_PG_P_CSTR(id), BV_PG_P_INT(key), BV_PG_P_INT(number)};
    const struct bv_pg_query query = {&effect_statement, params, BV_COUNT(params)};
    int rc = bv_pg_call(bench.pg, &query, 1, committed, under_way);
    if (rc < 0)
        bv_consumer_done(under_way, rc, NULL);
}

static const struct bv_consumer_row rows[] = {
    {TYPE, handle},
};

static void consumer_open(uint32_t prefetch)
{
    const char *const topics[] = {bench.topic, NULL};
    const struct bv_consumer_config config = {.group = bench.group,
                                              .topics = topics,
                                              .rows = rows,
                                              .row_count = 1,
                                              .prefetch = prefetch,
                                              .parked = bench.parked};
    cr_assert_eq(
        bv_consumer_open(bench.loop, bench.bus, &config, NULL, NULL, NULL, NULL, &bench.consumer),
        0);
}

static void
dead_letter(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    struct dead *dead = argument;
    snprintf(dead->reason[dead->count],
             sizeof dead->reason[0],
             "%.*s",
             BV_ARG(bv_record_header(record, "dlq-reason")));
    snprintf(dead->attempts[dead->count],
             sizeof dead->attempts[0],
             "%.*s",
             BV_ARG(bv_record_header(record, "dlq-attempts")));
    cr_assert(bv_bytes_equal(bv_record_header(record, "dlq-topic"), bv_bytes_of(bench.topic)));
    cr_assert_gt(bv_record_header(record, "dlq-partition").size, 0);
    cr_assert_gt(bv_record_header(record, "dlq-offset").size, 0);
    dead->count++;
    bv_bus_ack(delivery);
}

static void bench_open(void)
{
    const char *brokers = bv_test_need("BV_TEST_KAFKA_BROKERS");
    struct bv_error error = {0};
    bench = (struct bench){.poison = -1, .conninfo = bv_test_database(NULL)};
    bv_test_sql(bench.conninfo, SCHEMA);
    snprintf(bench.topic,
             sizeof bench.topic,
             "it.events.%016llx",
             (unsigned long long)bv_random_u64(&bv_test_env_system));
    snprintf(bench.dlq, sizeof bench.dlq, "%s.dlq", bench.topic);
    snprintf(bench.group, sizeof bench.group, "%s.g", bench.topic);
    const struct bv_topic topics[] = {
        {bench.topic, 3, 0},
        {bench.dlq,   1, 0},
    };
    cr_assert_eq(bv_kafka_topics_create(brokers, topics, 2, 10000, &error), 0, "%s", error.text);
    const struct bv_kafka_config kafka = {.brokers = brokers};
    const struct bv_pg_config pg = {.conninfo = bench.conninfo,
                                    .connections = 1,
                                    .calls_max = 1000,
                                    .call_timeout_ms = 5000,
                                    .pipeline_depth = 16,
                                    .application = "consumer-it"};
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    cr_assert_eq(bv_kafka_open(bench.loop, &kafka, NULL, NULL, &bench.bus), 0);
    cr_assert_eq(bv_pg_open(bench.loop, &pg, NULL, &bench.pg), 0);
    cr_assert_eq(bv_parked_pg_open(bench.pg, &bench.parked), 0);
    char reader[64];
    snprintf(reader, sizeof reader, "%s.reader", bench.topic);
    const char *const dead_topics[] = {bench.dlq, NULL};
    const struct bv_subscription_config config = {
        .group = reader, .topics = dead_topics, .prefetch = 16};
    cr_assert_eq(
        bv_bus_subscribe(bench.bus, &config, dead_letter, &bench.dead, &bench.dead.subscription),
        0);
}

static void bench_close(void)
{
    bv_consumer_close(&bench.consumer);
    bv_bus_close(&bench.bus);
    bv_pg_close(&bench.pg);
    bv_parked_pg_close(&bench.parked);
    bv_loop_close(&bench.loop);
    free(bench.conninfo);
}

/* The id is a function of the number, so that a replay is the same event. */
static void publish(int key, int number, const char *replay)
{
    char key_text[16], payload[64], id[BV_UUID_TEXT_SIZE];
    struct bv_buf buf = {.max = 4096};
    struct bv_uuid uuid;
    snprintf(id, sizeof id, "01936f3e-7c21-7d10-a5b2-%012x", (unsigned)number);
    cr_assert_eq(bv_uuid_parse(bv_bytes_of(id), &uuid), 0);
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(payload, sizeof payload, "{\"key\":%d,\"number\":%d}", key, number);
    struct bv_event event = {.id = uuid,
                             .type = BV_BYTES(TYPE),
                             .producer = BV_BYTES("it"),
                             .partition_key = bv_bytes_of(key_text),
                             .payload_text = bv_bytes_of(payload)};
    bv_event_stamp(&bv_test_env_system, &event);
    cr_assert_eq(bv_event_encode(&buf, &event), 0);
    const struct bv_header headers[] = {
        {BV_BYTES("dlq-replay"), bv_bytes_of(replay)},
    };
    const struct bv_record record = {.topic = bv_bytes_of(bench.topic),
                                     .key = bv_bytes_of(key_text),
                                     .value = bv_buf_view(&buf),
                                     .headers = headers,
                                     .header_count = replay != NULL};
    cr_assert_eq(bv_bus_publish(bench.bus, &record, NULL, NULL), 0);
    bv_buf_release(&buf);
}

static bool effects_reached(void *argument)
{
    (void)argument;
    return bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM effect") >= bench.wanted;
}

static void await_effects(int64_t wanted)
{
    bench.wanted = wanted;
    cr_assert(bv_test_run_until(bench.loop, effects_reached, NULL, 20000));
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM effect"), wanted);
}

static bool dead_reached(void *argument)
{
    (void)argument;
    return (int64_t)bench.dead.count >= bench.wanted;
}

static void await_dead(int64_t wanted)
{
    bench.wanted = wanted;
    cr_assert(bv_test_run_until(bench.loop, dead_reached, NULL, 20000), "%zu", bench.dead.count);
}

#define DISORDER                                                                                   \
    "SELECT count(*) FROM (SELECT number - lag(number) OVER (PARTITION BY key ORDER BY n) AS "     \
    "step FROM effect) s WHERE step <= 0"

Test(consumer, duplicates_have_one_effect_and_keys_keep_their_order)
{
    bench_open();
    for (int i = 0; i < 400; i++) {
        publish(i % 10, i, NULL);
        if (i % 7 == 0)
            publish(i % 10, i, NULL);
    }
    consumer_open(16);
    await_effects(400);
    bv_test_run_for(bench.loop, 300);
    await_effects(400);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, DISORDER), 0);
    cr_assert_eq(bench.dead.count, 0);
    bench_close();
}

Test(consumer, a_restart_in_the_middle_repeats_no_effect)
{
    bench_open();
    for (int i = 0; i < 300; i++)
        publish(i % 10, i, NULL);
    consumer_open(16);
    bench.wanted = 50;
    cr_assert(bv_test_run_until(bench.loop, effects_reached, NULL, 20000));
    bv_consumer_close(&bench.consumer); /* in flight: some effects commit, their offsets do not */
    consumer_open(16);
    await_effects(300);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, DISORDER), 0);
    bench_close();
}

Test(consumer, poison_parks_its_key_across_a_restart_until_its_replay)
{
    bench_open();
    bench.poison = 0;
    consumer_open(8);
    publish(5, 0, NULL);
    publish(6, 1, NULL);
    publish(5, 2, NULL);
    await_dead(2);
    cr_assert_str_eq(bench.dead.reason[0], "no such thing: 0");
    cr_assert_str_eq(bench.dead.attempts[0], "1");
    cr_assert_str_eq(bench.dead.reason[1], "an earlier event of this key is parked");
    await_effects(1);
    cr_assert_eq(bv_test_sql_int(bench.conninfo,
                                 "SELECT count(*) FROM parked_keys WHERE partition_key = 'k5'"),
                 1);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM inbox"),
                 1); /* poison is not marked */
    bv_consumer_close(&bench.consumer);
    bench.poison = -1;
    consumer_open(8);
    publish(5, 3, NULL);
    await_dead(3);
    publish(5, 0, "next");
    publish(5, 2, "next");
    publish(5, 3, "last");
    publish(5, 4, NULL);
    await_effects(5);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, DISORDER), 0);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM parked_keys"), 0);
    bench_close();
}
