/* The producer side and the life of the bus. */
#include "kafka_consumer.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/json.h"

const struct bv_metric kafka_published_metric = {
    .name = "bv_bus_published_total",
    .type = BV_COUNTER,
    .help = "Records published, by topic and result (ok or the error word).",
    .labels = "topic,result",
};
const struct bv_metric kafka_received_metric = {
    .name = "bv_bus_received_total",
    .type = BV_COUNTER,
    .help = "Records received, redeliveries after a retry not counted.",
    .labels = "group,topic",
};
const struct bv_metric kafka_lag_metric = {
    .name = "bv_bus_lag",
    .type = BV_GAUGE,
    .help = "Records between the committed offset and the end, over the partitions of this member.",
    .labels = "group,topic",
};
static const struct bv_metric queue_metric = {
    .name = "bv_bus_queue",
    .type = BV_GAUGE,
    .help = "Published records that wait for their acknowledgement.",
    .labels = "",
};

/* message.timeout.ms 0: a record that timed out before its successor would break the order of its
 * key. */
static const struct kafka_setting producer_settings[] = {
    {"enable.idempotence",                 "true"          },
    {"acks",                               "all"           },
    {"message.timeout.ms",                 "0"             },
    {"partitioner",                        "murmur2_random"}, /* the Java clients' choice: one key, one partition */
    {"queue.buffering.max.kbytes",         "262144"        },
    {"topic.metadata.refresh.interval.ms", "1000"          },
    {"topic.metadata.propagation.max.ms",  "10000"         },
    {"statistics.interval.ms",             "250"           }, /* how soon readiness is seen */
};

enum { TICK_MS = 200, EAGER_MS = 5, EAGER_TICKS = 200 };

struct kafka_publish {
    bv_bus_done *done;
    void *argument;
};

static void report_one(struct kafka_bus *bus, const rd_kafka_message_t *message)
{
    struct kafka_publish *publish = message->_private;
    struct bv_error error = {0};
    int rc = kafka_code(message->err);
    if (rc < 0)
        (void)bv_fail(&error,
                      rc,
                      "publishing to %s: %s",
                      rd_kafka_topic_name(message->rkt),
                      rd_kafka_err2str(message->err));
    const char *result = rc == 0 ? "ok" : bv_error_row(rc)->word;
    struct bv_series *series =
        kafka_series(bus, &kafka_published_metric, rd_kafka_topic_name(message->rkt), result);
    if (series)
        bv_count(series, 1);
    bus->waiting--;
    bus->heard_ms = bv_mono_ms(bv_loop_env(bus->loop));
    if (rc == 0)
        bus->up = true;
    if (publish->done)
        publish->done(publish->argument, rc, &error);
    free(publish);
}

static void read_broker_states(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    const struct bv_json *brokers = bv_json_get(kafka_stats(bus, event), "brokers");
    if (!brokers)
        return;
    bool up = false;
    for (struct bv_json_iter it = bv_json_iter(brokers); bv_json_next(&it);)
        up = up || bv_bytes_equal(bv_json_string(bv_json_get(it.value, "state")), BV_BYTES("UP"));
    if (up != bus->up)
        bv_log(bus->log,
               up ? BV_INFO : BV_WARN,
               up ? "kafka.connected" : "kafka.disconnected",
               NULL,
               BV_F_TEXT("brokers", bus->brokers));
    bus->up = up;
}

static void serve_event(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        while ((message = rd_kafka_event_message_next(event)))
            report_one(bus, message);
        break;
    case RD_KAFKA_EVENT_STATS:
        read_broker_states(bus, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        if (rd_kafka_event_error_is_fatal(event))
            bus->fatal = true;
        if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            bus->up = false;
        kafka_log_event(bus, event);
        break;
    default:
        kafka_log_event(bus, event);
        break;
    }
    rd_kafka_event_destroy(event);
}

static int producer_open(struct kafka_bus *bus)
{
    char queue_max[24], linger[24];
    snprintf(queue_max, sizeof queue_max, "%lld", (long long)bus->queue_max);
    snprintf(linger, sizeof linger, "%lld", (long long)bus->linger_ms);
    const struct kafka_setting own[] = {
        {"queue.buffering.max.messages", queue_max},
        {"linger.ms",                    linger   },
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_events(
        conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS | RD_KAFKA_EVENT_LOG);
    struct bv_error error = {0};
    int rc = kafka_conf_apply(conf, producer_settings, BV_COUNT(producer_settings), &error);
    if (rc == 0)
        rc = kafka_conf_apply(conf, own, BV_COUNT(own), &error);
    if (rc < 0) {
        bv_log(bus->log, BV_ERROR, "kafka.settings_refused", NULL, BV_F_TEXT("reason", error.text));
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    BV_TRY(kafka_client_open(bus, RD_KAFKA_PRODUCER, conf, &bus->producer));
    rd_kafka_set_log_queue(bus->producer, NULL);
    bus->queue = rd_kafka_queue_get_main(bus->producer);
    kafka_wake_attach(&bus->wake, bus->queue);
    return 0;
}

/* Reports everything that is still out as cancelled, then drops the client. */
static void producer_close(struct kafka_bus *bus)
{
    if (!bus->producer)
        return;
    rd_kafka_purge(bus->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    for (int i = 0; i < 100 && bus->waiting > 0; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(bus->queue, 20);
        if (event)
            serve_event(bus, event);
        i = event ? 0 : i;
    }
    while (bus->topics) {
        struct kafka_topic *topic = bus->topics;
        bus->topics = topic->next;
        rd_kafka_topic_destroy(topic->handle);
        free(topic);
    }
    kafka_wake_detach(bus->queue);
    rd_kafka_queue_destroy(bus->queue);
    bus->queue = NULL;
    rd_kafka_destroy(bus->producer);
    bus->producer = NULL;
}

/* An idempotent producer that met a fatal error refuses all further work. What was out is reported,
 * in order, and its publishers try again on a fresh one. */
static void producer_renew(struct kafka_bus *bus)
{
    char text[256] = "";
    if (bus->producer) { /* not when a try before this one could not open its own */
        rd_kafka_fatal_error(bus->producer, text, sizeof text);
        bv_log(bus->log, BV_ERROR, "kafka.producer_replaced", NULL, BV_F_TEXT("reason", text));
    }
    producer_close(bus);
    if (producer_open(bus) == 0)
        bus->fatal = false;
}

static void bus_wakes(void *argument, int events)
{
    (void)events;
    struct kafka_bus *bus = argument;
    kafka_wake_clear(&bus->wake);
    rd_kafka_event_t *event = NULL;
    int served = 0;
    while (served++ < KAFKA_BATCH && bus->queue && (event = rd_kafka_queue_poll(bus->queue, 0)))
        serve_event(bus, event);
    if (event)
        kafka_wake_again(&bus->wake);
    if (bus->fatal && !bus->closing)
        producer_renew(bus);
}

/* Asks for a connection. Without anything to send librdkafka leaves a lost connection as it is, and
 * a service that waits for readiness before it sends would wait for ever. With no time to wait the
 * request itself is not made: nothing blocks. */
static void nudge(struct kafka_bus *bus)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(bus->producer, 0, NULL, &metadata, 0) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(metadata);
}

/* The first answer of a broker brings the cluster's id: seen here at once, not with the next
 * statistics, since a service is ready only then. */
static void look_eagerly(struct kafka_bus *bus)
{
    char *id = bus->producer && !bus->up ? rd_kafka_clusterid(bus->producer, 0) : NULL;
    if (id) {
        rd_kafka_mem_free(bus->producer, id);
        bus->up = true;
        bv_log(bus->log, BV_INFO, "kafka.connected", NULL, BV_F_TEXT("brokers", bus->brokers));
    }
    bus->eager = bus->up ? 0 : bus->eager - 1;
    if (bus->eager == 0)
        bv_timer_set(bus->tick, TICK_MS, TICK_MS);
}

/* A second way in, so that a lost wake-up costs 200 ms and not for ever; retries a replacement that
 * failed. */
static void bus_ticks(void *argument)
{
    struct kafka_bus *bus = argument;
    if (bus->eager > 0)
        look_eagerly(bus);
    if (bus->queue_series)
        bv_gauge_set(bus->queue_series, (double)bus->waiting);
    if (!bus->up && bus->producer)
        nudge(bus);
    bus_wakes(bus, 0);
}

static rd_kafka_headers_t *headers_of(const struct bv_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct bv_header *row = &record->headers[i];
        rd_kafka_header_add(headers,
                            row->key.data,
                            (ssize_t)row->key.size,
                            row->value.data,
                            (ssize_t)row->value.size);
    }
    return headers;
}

/* Asks for the leaders of a topic when the first record for it comes: left alone, librdkafka asks
 * with its next look at all topics, up to a second later. */
static void topic_learn(struct kafka_bus *bus, const char *name)
{
    for (const struct kafka_topic *topic = bus->topics; topic; topic = topic->next)
        if (strcmp(topic->name, name) == 0)
            return;
    struct kafka_topic *topic = calloc(1, sizeof *topic);
    if (topic && (topic->handle = rd_kafka_topic_new(bus->producer, name, NULL))) {
        snprintf(topic->name, sizeof topic->name, "%s", name);
        topic->next = bus->topics;
        bus->topics = topic;
    } else {
        free(topic); /* it only comes later */
    }
}

static int
bus_publish(struct bv_bus *self, const struct bv_record *record, bv_bus_done *done, void *argument)
{
    struct kafka_bus *bus = (struct kafka_bus *)self;
    char topic[KAFKA_TOPIC_BYTES_MAX + 1];
    if (bus->closing)
        return BV_E_CLOSED;
    if (record->topic.size == 0 || record->topic.size >= sizeof topic ||
        record->header_count > BV_RECORD_HEADERS_MAX)
        return BV_E_INVALID;
    if (bus->waiting >= (size_t)bus->queue_max || !bus->producer)
        return BV_E_LIMIT;
    memcpy(topic, record->topic.data, record->topic.size);
    topic[record->topic.size] = '\0';
    topic_learn(bus, topic);
    struct kafka_publish *publish = calloc(1, sizeof *publish);
    if (!publish)
        return BV_E_NOMEM;
    *publish = (struct kafka_publish){.done = done, .argument = argument};
    rd_kafka_headers_t *headers = headers_of(record);
    rd_kafka_resp_err_t err = rd_kafka_producev(
        bus->producer,
        RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_KEY(record->key.data, record->key.size),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.size),
        RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_OPAQUE(publish),
        RD_KAFKA_V_END);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (bus->waiting++ == 0)
            bus->heard_ms = bv_mono_ms(bv_loop_env(bus->loop));
        return 0;
    }
    rd_kafka_headers_destroy(headers);
    free(publish);
    if (err == RD_KAFKA_RESP_ERR__FATAL) {
        bus->fatal = true;
        kafka_wake_again(&bus->wake);
        return BV_E_LIMIT;
    }
    return kafka_code(err);
}

/* A broker that hangs keeps its sockets; what it owes for long tells. */
static bool silent(const struct kafka_bus *bus)
{
    return bus->waiting > 0 && bv_mono_ms(bv_loop_env(bus->loop)) - bus->heard_ms > KAFKA_SILENT_MS;
}

static bool any_subscription_fatal(const struct kafka_bus *bus)
{
    const struct kafka_subscription *subscription = bus->subscriptions;
    while (subscription && !subscription->fatal)
        subscription = subscription->next;
    return subscription != NULL;
}

static bool bus_ready(struct bv_bus *self)
{
    const struct kafka_bus *bus = (const struct kafka_bus *)self;
    return !silent(bus) && bus->up && !bus->fatal && !bus->closing && !any_subscription_fatal(bus);
}

static void bus_free(struct kafka_bus **slot)
{
    struct kafka_bus *bus = *slot;
    *slot = NULL;
    bv_timer_close(&bus->tick);
    kafka_wake_close(&bus->wake);
    bv_arena_close(&bus->stats_arena);
    while (bus->series) {
        struct kafka_series *row = bus->series;
        bus->series = row->next;
        free(row);
    }
    free(bus->brokers);
    free(bus->client_id);
    free(bus->instance);
    free(bus);
}

static void bus_close(struct bv_bus **self)
{
    struct kafka_bus *bus = (struct kafka_bus *)*self;
    *self = NULL;
    const struct bv_env *env = bv_loop_env(bus->loop);
    int64_t deadline_ms = bv_mono_ms(env) + KAFKA_CLOSE_MS;
    bus->closing = true;
    kafka_subscriptions_end(bus, deadline_ms);
    while (bus->waiting > 0 && !bus->fatal && bv_mono_ms(env) < deadline_ms) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(bus->queue, 20);
        if (event)
            serve_event(bus, event);
    }
    producer_close(bus);
    bus_free(&bus);
}

const struct bv_bus_ops kafka_bus_ops = {
    .publish = bus_publish,
    .subscribe = kafka_subscribe,
    .ack = kafka_ack,
    .retry = kafka_retry,
    .unsubscribe = kafka_unsubscribe,
    .ready = bus_ready,
    .close = bus_close,
};

static int config_check(const struct bv_kafka_config *config)
{
    bool good = config->brokers && config->brokers[0] && config->queue_max >= 0 &&
                config->queue_max <= 1000000 && config->linger_ms >= 0 && config->linger_ms <= 1000;
    return good ? 0 : BV_E_INVALID;
}

int bv_kafka_open(struct bv_loop *loop,
                  const struct bv_kafka_config *config,
                  struct bv_log *log,
                  struct bv_metrics *metrics,
                  struct bv_bus **ret_bus)
{
    BV_TRY(config_check(config));
    struct kafka_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return BV_E_NOMEM;
    *bus = (struct kafka_bus){
        .base.ops = &kafka_bus_ops,
        .loop = loop,
        .log = log,
        .metrics = metrics,
        .brokers = strdup(config->brokers),
        .client_id = strdup(config->client_id ? config->client_id : "bitvelocity"),
        .instance = strdup(config->instance ? config->instance : ""),
        .queue_max = config->queue_max ? config->queue_max : 10000,
        .linger_ms = config->linger_ms,
        .wake.fd = -1,
    };
    int rc = bus->brokers && bus->client_id && bus->instance ? 0 : BV_E_NOMEM;
    if (rc == 0)
        rc = bv_arena_open(4 * 1024 * 1024, &bus->stats_arena);
    if (rc == 0)
        rc = kafka_wake_open(&bus->wake, loop, bus_wakes, bus);
    if (rc == 0)
        rc = bv_timer_open(loop, bus_ticks, bus, &bus->tick);
    if (rc == 0)
        rc = producer_open(bus);
    if (rc < 0)
        goto fail;
    if (metrics)
        bus->queue_series = bv_metrics_series(metrics, &queue_metric, NULL, 0);
    bus->eager = EAGER_TICKS;
    bv_timer_set(bus->tick, EAGER_MS, EAGER_MS);
    *ret_bus = &bus->base;
    return 0;

fail:
    producer_close(bus);
    bus_free(&bus);
    return rc;
}
