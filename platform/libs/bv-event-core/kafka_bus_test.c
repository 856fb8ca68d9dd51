/* The bus without brokers, and against librdkafka's own mock cluster for faults. */
#include <criterion/criterion.h>

#include "kafka_consumer.h"

#include <dlfcn.h>
#include <librdkafka/rdkafka_mock.h>

#include "bv/test_loop.h"

/* Stands before librdkafka's own: so many clients cannot be made, as when threads run out. */
static int refused_clients;

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *text, size_t size)
{
    rd_kafka_t *(*real)(rd_kafka_type_t, rd_kafka_conf_t *, char *, size_t) =
        (rd_kafka_t * (*)(rd_kafka_type_t, rd_kafka_conf_t *, char *, size_t))
            dlsym(RTLD_NEXT, "rd_kafka_new");
    if (refused_clients == 0)
        return real(type, conf, text, size);
    refused_clients--;
    return NULL;
}

struct bench {
    struct bv_loop *loop;
    struct bv_bus *bus;
    size_t reported;
    size_t acked;
    int last_rc;
    size_t wanted;
};

static void bench_open(struct bench *bench, const char *brokers, int64_t queue_max)
{
    *bench = (struct bench){0};
    const struct bv_kafka_config config = {.brokers = brokers, .queue_max = queue_max};
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench->loop), 0);
    cr_assert_eq(bv_kafka_open(bench->loop, &config, NULL, NULL, &bench->bus), 0);
}

static void bench_close(struct bench *bench)
{
    bv_bus_close(&bench->bus);
    bv_loop_close(&bench->loop);
}

static void published(void *argument, int rc, const struct bv_error *error)
{
    struct bench *bench = argument;
    cr_assert_eq(rc, error->code);
    bench->reported++;
    bench->acked += rc == 0;
    bench->last_rc = rc;
}

static int publish(struct bench *bench, struct bv_bytes topic)
{
    const struct bv_record record = {
        .topic = topic, .key = BV_BYTES("k"), .value = BV_BYTES("v"), .partition = -1};
    return bv_bus_publish(bench->bus, &record, published, bench);
}

static bool all_reported(void *argument)
{
    const struct bench *bench = argument;
    return bench->reported >= bench->wanted;
}

Test(kafka_bus, queues_without_brokers_up_to_its_limit_and_cancels_at_close)
{
    struct bench bench;
    bench_open(&bench, "127.0.0.1:1", 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    cr_assert_eq(publish(&bench, BV_BYTES("t")), BV_E_LIMIT);
    bv_test_run_for(bench.loop, 300);
    cr_assert_eq(bench.reported, 0);
    cr_assert_not(bv_bus_ready(bench.bus));
    bench_close(&bench);
    cr_assert_eq(bench.reported, 3);
    cr_assert_eq(bench.last_rc, BV_E_CANCELLED);
}

Test(kafka_bus, refuses_what_can_never_be_published)
{
    struct bench bench;
    char long_name[300];
    memset(long_name, 'x', sizeof long_name);
    bench_open(&bench, "127.0.0.1:1", 3);
    cr_assert_eq(publish(&bench, BV_BYTES("")), BV_E_INVALID);
    cr_assert_eq(publish(&bench, (struct bv_bytes){long_name, sizeof long_name}), BV_E_INVALID);
    bench_close(&bench);
}

Test(kafka_bus, refuses_a_bad_configuration)
{
    struct bv_loop *loop = NULL;
    struct bv_bus *bus = NULL;
    static const struct bv_kafka_config rows[] = {
        {.brokers = NULL},
        {.brokers = ""},
        {.brokers = "127.0.0.1:1", .queue_max = -1},
        {.brokers = "127.0.0.1:1", .linger_ms = 1001},
    };
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &loop), 0);
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_kafka_open(loop, &rows[i], NULL, NULL, &bus), BV_E_INVALID, "row %zu", i);
    bv_loop_close(&loop);
}

static void received(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    (void)record;
    ++*(size_t *)argument;
    bv_bus_ack(delivery);
}

Test(kafka_bus, a_subscription_without_brokers_closes_in_time)
{
    static const char *const topics[] = {"t", NULL};
    const struct bv_subscription_config config = {.group = "g", .topics = topics};
    struct bv_subscription *subscription = NULL;
    struct bench bench;
    size_t count = 0;
    bench_open(&bench, "127.0.0.1:1", 3);
    cr_assert_eq(bv_bus_subscribe(bench.bus, &config, received, &count, &subscription), 0);
    bv_test_run_for(bench.loop, 300);
    int64_t before_ms = bv_mono_ms(&bv_test_env_system);
    bench_close(&bench);
    cr_assert_lt(bv_mono_ms(&bv_test_env_system) - before_ms, 6500);
    cr_assert_eq(count, 0);
}

static rd_kafka_t *mock_open(rd_kafka_mock_cluster_t **ret_cluster)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    *ret_cluster = rd_kafka_mock_cluster_new(client, 1);
    rd_kafka_mock_topic_create(*ret_cluster, "t", 1, 1);
    return client;
}

Test(kafka_bus, transient_broker_errors_are_retried_without_loss)
{
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *mock = mock_open(&cluster);
    struct bench bench;
    bench_open(&bench, rd_kafka_mock_cluster_bootstraps(cluster), 0);
    rd_kafka_mock_push_request_errors(cluster,
                                      0 /* Produce */,
                                      3,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    bench.wanted = 20;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 20000));
    cr_assert_eq(bench.acked, 20);
    bench_close(&bench);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(mock);
}

Test(kafka_bus, a_fatal_producer_is_replaced)
{
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *mock = mock_open(&cluster);
    struct bench bench;
    bench_open(&bench, rd_kafka_mock_cluster_bootstraps(cluster), 0);
    cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    bench.wanted = 1;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 10000));
    struct kafka_bus *bus = (struct kafka_bus *)bench.bus;
    rd_kafka_test_fatal_error(
        bus->producer, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "planted");
    bv_test_run_for(bench.loop, 300);
    int rc = publish(&bench, BV_BYTES("t"));
    cr_assert_eq(rc, 0, "%d fatal %d", rc, bus->fatal);
    bench.wanted = 2;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 10000));
    cr_assert_eq(bench.acked, 2);
    bench_close(&bench);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(mock);
}

static bool no_more_refusals(void *argument)
{
    (void)argument;
    return refused_clients == 0;
}

static bool has_producer(void *argument)
{
    return ((struct kafka_bus *)argument)->producer != NULL;
}

Test(kafka_bus, a_fatal_producer_that_cannot_be_replaced_at_once_is_later)
{
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *mock = mock_open(&cluster);
    struct bench bench;
    bench_open(&bench, rd_kafka_mock_cluster_bootstraps(cluster), 0);
    cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    bench.wanted = 1;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 10000));
    struct kafka_bus *bus = (struct kafka_bus *)bench.bus;
    refused_clients = 2;
    rd_kafka_test_fatal_error(
        bus->producer, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "planted");
    cr_assert(bv_test_run_until(bench.loop, no_more_refusals, NULL, 10000));
    cr_assert_not(bv_bus_ready(bench.bus));
    cr_assert_eq(publish(&bench, BV_BYTES("t")), BV_E_LIMIT);
    cr_assert(bv_test_run_until(bench.loop, has_producer, bus, 10000));
    cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    bench.wanted = 2;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 10000));
    cr_assert_eq(bench.acked, 2);
    bench_close(&bench);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(mock);
}

static bool is_ready(void *argument)
{
    return bv_bus_ready(((struct bench *)argument)->bus);
}

static bool is_not_ready(void *argument)
{
    return !is_ready(argument);
}

Test(kafka_bus, a_consumer_that_can_never_go_on_ends_readiness)
{
    static const char *const topics[] = {"t", NULL};
    const struct bv_subscription_config config = {.group = "g", .topics = topics};
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *mock = mock_open(&cluster);
    struct bv_subscription *subscription = NULL;
    struct bench bench;
    size_t count = 0;
    bench_open(&bench, rd_kafka_mock_cluster_bootstraps(cluster), 0);
    cr_assert_eq(bv_bus_subscribe(bench.bus, &config, received, &count, &subscription), 0);
    cr_assert(bv_test_run_until(bench.loop, is_ready, &bench, 10000));
    rd_kafka_test_fatal_error(((struct kafka_subscription *)subscription)->client,
                              RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
                              "planted");
    cr_assert(bv_test_run_until(bench.loop, is_not_ready, &bench, 5000));
    bench_close(&bench);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(mock);
}

Test(kafka_bus, what_is_published_while_the_broker_is_away_arrives_when_it_is_back)
{
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *mock = mock_open(&cluster);
    struct bench bench;
    bench_open(&bench, rd_kafka_mock_cluster_bootstraps(cluster), 0);
    cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    bench.wanted = 1;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 10000));
    rd_kafka_mock_broker_set_down(cluster, 1);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(publish(&bench, BV_BYTES("t")), 0);
    bv_test_run_for(bench.loop, 700);
    cr_assert_eq(bench.reported, 1);
    cr_assert_not(bv_bus_ready(bench.bus));
    rd_kafka_mock_broker_set_up(cluster, 1);
    bench.wanted = 51;
    cr_assert(bv_test_run_until(bench.loop, all_reported, &bench, 20000));
    cr_assert_eq(bench.acked, 51);
    bench_close(&bench);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(mock);
}
