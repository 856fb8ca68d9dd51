/* The relay on a real PostgreSQL and a real Kafka: nothing lost, first occurrences in order, one
 * leader. */
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bv/outbox.h"
#include "bv/test_loop.h"
#include "bv/test_stack.h"

#define SCHEMA                                                                                     \
    "CREATE TABLE outbox (id uuid PRIMARY KEY, topic text NOT NULL, partition_key text NOT NULL,"  \
    " sequence bigint NOT NULL, event_type text NOT NULL, headers text NOT NULL, envelope text "   \
    "NOT NULL,"                                                                                    \
    " created_at timestamptz NOT NULL DEFAULT clock_timestamp());"                                 \
    "CREATE INDEX outbox_order ON outbox (created_at, sequence);"
#define KEYS_MAX 64
#define SEQUENCES_MAX 256

/* What came out of the topic. */
struct log_reader {
    size_t received;
    size_t firsts; /* distinct events */
    size_t out_of_order;
    bool seen[KEYS_MAX][SEQUENCES_MAX];
    int last[KEYS_MAX];
    struct bv_subscription *subscription;
};
struct bench {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_outbox_relay *relay;
    char *conninfo; /* owned */
    char topic[40];
    struct log_reader reader;
    size_t wanted;
};
static struct bench bench;

static void bus_open(void)
{
    const struct bv_kafka_config config = {.brokers = bv_test_need("BV_TEST_KAFKA_BROKERS"),
                                           .client_id = "relay-it"};
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    cr_assert_eq(bv_kafka_open(bench.loop, &config, NULL, NULL, &bench.bus), 0);
}

static void relay_open(struct bv_outbox_relay **relay, int64_t batch_max)
{
    const struct bv_outbox_config config = {
        .conninfo = bench.conninfo, .batch_max = batch_max, .poll_ms = 50};
    cr_assert_eq(bv_outbox_relay_open(bench.loop, &config, bench.bus, NULL, NULL, NULL, relay), 0);
}

static void names_open(void)
{
    struct bv_error error = {0};
    bench.conninfo = bv_test_database(NULL);
    bv_test_sql(bench.conninfo, SCHEMA);
    snprintf(bench.topic,
             sizeof bench.topic,
             "it.outbox.%016llx",
             (unsigned long long)bv_random_u64(&bv_test_env_system));
    const struct bv_topic topic = {bench.topic, 3, 0};
    cr_assert_eq(
        bv_kafka_topics_create(bv_test_need("BV_TEST_KAFKA_BROKERS"), &topic, 1, 10000, &error),
        0,
        "%s",
        error.text);
}

static void bench_close(void)
{
    bv_outbox_relay_close(&bench.relay);
    bv_bus_close(&bench.bus);
    bv_loop_close(&bench.loop);
    free(bench.conninfo);
}

/* Writes `count` events, `keys` keys in turn, as one transaction, sequences from `from`. */
static void write_rows(int keys, int from, int count)
{
    struct bv_outbox_rows rows;
    bv_outbox_rows_open(&rows, 8u << 20);
    for (int i = 0; i < count; i++) {
        char key[16], payload[64];
        snprintf(key, sizeof key, "key-%d", i % keys);
        snprintf(payload,
                 sizeof payload,
                 "{\"key\":%d,\"sequence\":%d,\"quote\":\"a\\\"b\\\\c{}\"}",
                 i % keys,
                 from + i / keys);
        struct bv_event event = {.type = BV_BYTES("test.outbox.written.v1"),
                                 .producer = BV_BYTES("it"),
                                 .partition_key = bv_bytes_of(key),
                                 .payload_text = bv_bytes_of(payload)};
        bv_event_stamp(&bv_test_env_system, &event);
        cr_assert_eq(bv_outbox_rows_add(&rows, bench.topic, from + i / keys, &event), 0);
    }
    bv_outbox_rows_close(&rows);
    cr_assert_eq(rows.count, (size_t)count);
    struct bv_pg_param params[BV_OUTBOX_PARAMS];
    bv_outbox_rows_params(&rows, params);
    const char *values[BV_OUTBOX_PARAMS];
    char *copies[BV_OUTBOX_PARAMS];
    for (int i = 0; i < BV_OUTBOX_PARAMS; i++)
        values[i] = copies[i] = strndup(params[i].bytes.data, params[i].bytes.size);
    PGconn *connection = PQconnectdb(bench.conninfo);
    PGresult *result = PQexecParams(
        connection,
        "INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope)"
        " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[],"
        " $6::text[], $7::text[])",
        BV_OUTBOX_PARAMS,
        NULL,
        values,
        NULL,
        NULL,
        0);
    cr_assert_eq(PQresultStatus(result), PGRES_COMMAND_OK, "%s", PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
    for (int i = 0; i < BV_OUTBOX_PARAMS; i++)
        free(copies[i]);
    bv_outbox_rows_release(&rows);
}

static void received(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    struct log_reader *reader = argument;
    struct bv_arena *arena = NULL;
    struct bv_event event;
    struct bv_error error = {0};
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(bv_event_decode(arena, record->value, &event, &error), 0, "%s", error.text);
    int key = (int)bv_json_int(bv_json_get(event.payload, "key"), -1);
    int sequence = (int)bv_json_int(bv_json_get(event.payload, "sequence"), -1);
    char id[BV_UUID_TEXT_SIZE];
    bv_uuid_format(event.id, id);
    cr_assert(bv_bytes_equal(bv_record_header(record, "event-id"), bv_bytes_of(id)));
    cr_assert(bv_bytes_equal(bv_record_header(record, "event-type"), event.type));
    cr_assert_eq(bv_record_header(record, "traceparent").size, 55);
    reader->received++;
    if (!reader->seen[key][sequence]) {
        reader->firsts++;
        reader->out_of_order += sequence <= reader->last[key];
        reader->last[key] = sequence;
    }
    reader->seen[key][sequence] = true;
    bv_arena_close(&arena);
    bv_bus_ack(delivery);
}

static void read_topic(void)
{
    char group[64];
    const char *const topics[] = {bench.topic, NULL};
    snprintf(group, sizeof group, "%s.reader", bench.topic);
    memset(bench.reader.last, -1, sizeof bench.reader.last);
    const struct bv_subscription_config config = {.group = group, .topics = topics, .prefetch = 64};
    cr_assert_eq(
        bv_bus_subscribe(bench.bus, &config, received, &bench.reader, &bench.reader.subscription),
        0);
}

static bool all_read(void *argument)
{
    (void)argument;
    return bench.reader.firsts >= bench.wanted;
}

static bool table_empty(void *argument)
{
    (void)argument;
    return bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM outbox") == 0;
}

Test(outbox_relay, publishes_in_sequence_order_per_key_though_keys_interleave)
{
    names_open();
    bus_open();
    read_topic();
    write_rows(20, 0, 1000);
    /* each key's rows in order, the keys shifted against one another by minutes */
    bv_test_sql(bench.conninfo,
                "UPDATE outbox SET created_at = now() + sequence * interval '1 second' "
                "- abs(hashtext(partition_key) % 500) * interval '1 second'");
    relay_open(&bench.relay, 37); /* batches that cut keys in the middle */
    bench.wanted = 1000;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 30000), "%zu", bench.reader.firsts);
    cr_assert(bv_test_run_until(bench.loop, table_empty, NULL, 5000));
    cr_assert_eq(bench.reader.out_of_order, 0);
    cr_assert_eq(bench.reader.received, 1000);
    bench_close();
}

Test(outbox_relay, within_a_batch_the_sequence_decides_whatever_the_clock_says)
{
    names_open();
    bus_open();
    read_topic();
    write_rows(20, 0, 400);
    bv_test_sql(bench.conninfo,
                "UPDATE outbox SET created_at = now() - sequence * interval '1 second'");
    relay_open(&bench.relay, 500);
    bench.wanted = 400;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 30000), "%zu", bench.reader.firsts);
    cr_assert_eq(bench.reader.out_of_order, 0);
    bench_close();
}

static bool leads(void *argument)
{
    return bv_outbox_relay_leads(*(struct bv_outbox_relay **)argument);
}

Test(outbox_relay, a_kick_publishes_at_once)
{
    names_open();
    bus_open();
    read_topic();
    const struct bv_outbox_config config = {.conninfo = bench.conninfo, .poll_ms = 20000};
    cr_assert_eq(
        bv_outbox_relay_open(bench.loop, &config, bench.bus, NULL, NULL, NULL, &bench.relay), 0);
    cr_assert(bv_test_run_until(bench.loop, leads, &bench.relay, 5000));
    bv_test_run_for(bench.loop, 300);
    write_rows(1, 0, 3);
    bv_outbox_relay_kick(bench.relay);
    bv_outbox_relay_kick(bench.relay);
    bench.wanted = 3;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 10000));
    bench_close();
}

Test(outbox_relay, one_of_two_leads_and_the_other_takes_over)
{
    names_open();
    bus_open();
    read_topic();
    struct bv_outbox_relay *second = NULL;
    relay_open(&bench.relay, 0);
    cr_assert(bv_test_run_until(bench.loop, leads, &bench.relay, 5000));
    relay_open(&second, 0);
    bv_test_run_for(bench.loop, 400);
    cr_assert_not(bv_outbox_relay_leads(second));
    write_rows(2, 0, 10);
    bench.wanted = 10;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 10000));
    cr_assert(bv_test_run_until(bench.loop, table_empty, NULL, 5000));
    bv_outbox_relay_close(&bench.relay);
    write_rows(2, 5, 10);
    bench.wanted = 20;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 10000));
    cr_assert(bv_outbox_relay_leads(second));
    cr_assert_eq(bench.reader.received, 20);
    bv_outbox_relay_close(&second);
    bench_close();
}

Test(outbox_relay, a_lost_connection_loses_the_lead_until_it_is_back)
{
    names_open();
    bus_open();
    read_topic();
    relay_open(&bench.relay, 0);
    cr_assert(bv_test_run_until(bench.loop, leads, &bench.relay, 5000));
    bv_test_sql(bench.conninfo,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'outbox-relay' AND datname = current_database()");
    write_rows(2, 0, 10);
    bench.wanted = 10;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 10000));
    cr_assert(bv_outbox_relay_leads(bench.relay));
    cr_assert_eq(bench.reader.out_of_order, 0);
    bench_close();
}

/* Deletes wait for this lock: the place between publishing and deleting. */
#define BLOCK_DELETES                                                                              \
    "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS"                                  \
    " $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN OLD; END $$;"                             \
    "CREATE TRIGGER stall BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION stall();"

static void relay_that_dies(void)
{
    bus_open();
    relay_open(&bench.relay, 0);
    bv_test_run_for(bench.loop, 60000);
    _exit(3);
}

static bool stalled(void *argument)
{
    (void)argument;
    return bv_test_sql_int(
               bench.conninfo,
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outbox-relay'"
               " AND datname = current_database() AND wait_event_type = 'Lock'") == 1;
}

Test(outbox_relay, a_crash_between_publishing_and_deleting_repeats_but_loses_and_reorders_nothing)
{
    names_open();
    bv_test_sql(bench.conninfo, BLOCK_DELETES);
    write_rows(10, 0, 300);
    PGconn *blocker = PQconnectdb(bench.conninfo);
    PQclear(PQexec(blocker, "SELECT pg_advisory_lock(42)"));
    pid_t child = fork(); /* before any thread of a client exists here */
    cr_assert_geq(child, 0);
    if (child == 0)
        relay_that_dies();
    bus_open();
    read_topic();
    cr_assert(bv_test_run_until(bench.loop, stalled, NULL, 20000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    bv_test_sql(bench.conninfo,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                "'outbox-relay'"
                " AND datname = current_database()");
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM outbox"), 300);
    PQfinish(blocker);
    write_rows(10, 30, 100);
    relay_open(&bench.relay, 0);
    bench.wanted = 400;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 30000));
    cr_assert(bv_test_run_until(bench.loop, table_empty, NULL, 5000));
    bv_test_run_for(bench.loop, 300);
    cr_assert_eq(bench.reader.firsts, 400);
    cr_assert_eq(bench.reader.out_of_order, 0);
    cr_assert_eq(bench.reader.received, 700);
    bench_close();
}

static bool somebody_leads(void *argument)
{
    (void)argument;
    return bv_test_sql_int(bench.conninfo,
                           "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database "
                           "= (SELECT oid FROM pg_database WHERE datname = current_database())") ==
           1;
}

/* Its session stays with the server as that of a machine which lost its power does. */
Test(outbox_relay, a_leader_that_stands_still_loses_the_lead)
{
    names_open();
    pid_t child = fork(); /* before any thread of a client exists here */
    cr_assert_geq(child, 0);
    if (child == 0)
        relay_that_dies();
    bus_open();
    read_topic();
    cr_assert(bv_test_run_until(bench.loop, somebody_leads, NULL, 20000));
    kill(child, SIGSTOP);
    write_rows(2, 0, 10);
    relay_open(&bench.relay, 0);
    bench.wanted = 10;
    bool taken_over = bv_test_run_until(bench.loop, all_read, NULL, 40000);
    kill(child, SIGCONT);
    bv_test_run_for(bench.loop, 500); /* what it still has in hand comes out */
    bool still_leads = bv_outbox_relay_leads(bench.relay);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert(taken_over);
    cr_assert(still_leads);
    cr_assert_eq(bench.reader.out_of_order, 0);
    bench_close();
}

Test(outbox_relay, a_row_that_is_refused_blocks_its_key_alone)
{
    names_open();
    bus_open();
    read_topic();
    write_rows(4, 0, 40);
    /* key-1's third row cannot be published: its topic's name is too long for any broker */
    bv_test_sql(bench.conninfo,
                "UPDATE outbox SET topic = repeat('x', 300) WHERE partition_key = 'key-1' AND "
                "sequence = 2");
    relay_open(&bench.relay, 0);
    bench.wanted = 32;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 20000));
    bv_test_run_for(bench.loop, 1500);
    cr_assert_eq(bench.reader.firsts, 32);
    cr_assert_eq(bv_test_sql_int(bench.conninfo,
                                 "SELECT count(*) FROM outbox WHERE partition_key = 'key-1'"),
                 8);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM outbox"), 8);
    char repair[160];
    snprintf(repair, sizeof repair, "UPDATE outbox SET topic = '%s'", bench.topic);
    bv_test_sql(bench.conninfo, repair);
    bench.wanted = 40;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 10000));
    cr_assert_eq(bench.reader.out_of_order, 0);
    bench_close();
}

/* BV_TEST_KAFKA_RESTART is a command that kills the broker with SIGKILL, starts it again and
 * returns at once. */
/* A bus that has no such topic. */
struct refusing_bus {
    struct bv_bus base;
    size_t asked;
};

static int
refuse(struct bv_bus *self, const struct bv_record *record, bv_bus_done *done, void *argument)
{
    (void)record, (void)done, (void)argument;
    ((struct refusing_bus *)self)->asked++;
    return BV_E_NOT_FOUND;
}

/* A bus whose broker says nothing until it is asked to. */
struct silent_bus {
    struct bv_bus base;
    bv_bus_done *done;
    void *argument;
};

static int
swallow(struct bv_bus *self, const struct bv_record *record, bv_bus_done *done, void *argument)
{
    struct silent_bus *bus = (struct silent_bus *)self;
    (void)record;
    bus->done = done;
    bus->argument = argument;
    return 0;
}

static bool is_swallowed(void *argument)
{
    return ((struct silent_bus *)argument)->done != NULL;
}

Test(outbox_relay, a_leader_that_waits_for_the_broker_keeps_the_lead)
{
    static const struct bv_bus_ops ops = {.publish = swallow};
    struct silent_bus bus = {.base.ops = &ops};
    const struct bv_error none = {0};
    names_open();
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    write_rows(1, 0, 1);
    const struct bv_outbox_config config = {.conninfo = bench.conninfo, .poll_ms = 500};
    cr_assert_eq(
        bv_outbox_relay_open(bench.loop, &config, &bus.base, NULL, NULL, NULL, &bench.relay), 0);
    cr_assert(bv_test_run_until(bench.loop, is_swallowed, &bus, 10000));
    bv_test_run_for(bench.loop, 11500); /* longer than a session may be idle */
    cr_assert(somebody_leads(NULL));
    bus.done(bus.argument, 0, &none);
    cr_assert(bv_test_run_until(bench.loop, table_empty, NULL, 5000));
    bv_outbox_relay_close(&bench.relay);
    bv_loop_close(&bench.loop);
    free(bench.conninfo);
}

static void kick_often(void *argument)
{
    (void)argument;
    bv_outbox_relay_kick(bench.relay);
}

Test(outbox_relay, more_failing_keys_than_it_remembers_do_not_make_it_spin)
{
    static const struct bv_bus_ops ops = {.publish = refuse};
    struct refusing_bus bus = {.base.ops = &ops};
    struct bv_timer *kicks = NULL;
    names_open();
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    write_rows(400, 0, 400);
    const struct bv_outbox_config config = {.conninfo = bench.conninfo, .poll_ms = 500};
    cr_assert_eq(
        bv_outbox_relay_open(bench.loop, &config, &bus.base, NULL, NULL, NULL, &bench.relay), 0);
    cr_assert_eq(bv_timer_open(bench.loop, kick_often, NULL, &kicks), 0);
    bv_timer_set(kicks, 1, 1);
    bv_test_run_for(bench.loop, 1500);
    cr_assert_geq(bus.asked, 400, "every row was tried");
    cr_assert_leq(bus.asked, 4 * 400, "%zu publishes in 1.5 s", bus.asked);
    bv_timer_close(&kicks);
    bv_outbox_relay_close(&bench.relay);
    bv_loop_close(&bench.loop);
    free(bench.conninfo);
}

Test(outbox_relay, a_killed_broker_loses_nothing)
{
    const char *restart = getenv("BV_TEST_KAFKA_RESTART");
    if (!restart || !restart[0])
        cr_skip_test("BV_TEST_KAFKA_RESTART is not set: no broker of our own to kill");
    names_open();
    bus_open();
    read_topic();
    relay_open(&bench.relay, 20);
    write_rows(10, 0, 500);
    bench.wanted = 100;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 20000));
    cr_assert_eq(system(restart), 0);
    write_rows(10, 50, 500);
    bench.wanted = 1000;
    cr_assert(bv_test_run_until(bench.loop, all_read, NULL, 60000), "%zu", bench.reader.firsts);
    cr_assert(bv_test_run_until(bench.loop, table_empty, NULL, 10000));
    cr_assert_eq(bench.reader.out_of_order, 0);
    fprintf(stderr, "received %zu of 1000\n", bench.reader.received);
    bench_close();
}
