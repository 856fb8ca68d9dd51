/* The life of a subscription: commits, rebalances, the pump, the way out. */
#include "kafka_consumer.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/json.h"

static const struct kafka_setting consumer_settings[] = {
    {"enable.auto.commit",                 "false"             },
    {"enable.auto.offset.store",           "false"             },
    {"partition.assignment.strategy",      "cooperative-sticky"},
    {"session.timeout.ms",                 "6000"              },
    {"heartbeat.interval.ms",              "1000"              },
    {"fetch.wait.max.ms",                  "50"                },
    {"fetch.error.backoff.ms",             "100"               },
    {"topic.metadata.refresh.interval.ms", "1000"              },
    {"allow.auto.create.topics",           "false"             },
    {"queued.min.messages",                "10000"             },
    {"queued.max.messages.kbytes",         "8192"              }, /* per partition */
    {"isolation.level",                    "read_committed"    },
    {"statistics.interval.ms",             "1000"              }, /* lag */
};

/* ---- commits ---- */

/* Hands what is done to an asynchronous commit. Requests to the coordinator keep their order, so a
 * commit before an unassign is seen before the partition goes. */
static void commit_done(struct kafka_subscription *subscription)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next) {
        if (lane->done_next < 0 || lane->done_next == lane->committed)
            continue;
        if (!list)
            list = rd_kafka_topic_partition_list_new(8);
        rd_kafka_topic_partition_list_add(list, lane->topic, lane->partition)->offset =
            lane->done_next;
        lane->committed = lane->done_next;
    }
    if (!list)
        return;
    rd_kafka_resp_err_t err = rd_kafka_commit(subscription->client, list, 1);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next)
            lane->committed = -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void commit_result(struct kafka_subscription *subscription, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    if (err == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *row = &list->elems[i];
        struct kafka_lane *lane = kafka_lane_find(subscription, row->topic, row->partition);
        rd_kafka_resp_err_t why = row->err ? row->err : err;
        if (why == RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        if (lane)
            lane->committed = -1; /* the next tick tries again */
        bv_log(subscription->bus->log,
               BV_DEBUG,
               "kafka.commit_failed",
               NULL,
               BV_F_TEXT("group", subscription->group),
               BV_F_TEXT("topic", row->topic),
               BV_F_INT("partition", row->partition),
               BV_F_TEXT("reason", rd_kafka_err2str(why)));
    }
}

/* ---- rebalance ---- */

static void log_refusal(struct kafka_subscription *subscription, rd_kafka_error_t *error)
{
    if (!error)
        return;
    bv_log(subscription->bus->log,
           BV_WARN,
           "kafka.rebalance_failed",
           NULL,
           BV_F_TEXT("group", subscription->group),
           BV_F_TEXT("reason", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
}

static size_t lane_count(const struct kafka_subscription *subscription)
{
    size_t count = 0;
    for (const struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next)
        count++;
    return count;
}

static void partitions_added(struct kafka_subscription *subscription,
                             rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        const char *topic = list->elems[i].topic;
        int32_t partition = list->elems[i].partition;
        struct kafka_lane *lane = kafka_lane_find(subscription, topic, partition);
        if (lane)
            kafka_lane_close(lane);
        if (!kafka_lane_open(subscription, topic, partition))
            abort(); /* no memory at start of a partition: as in deliver */
    }
    log_refusal(subscription, rd_kafka_incremental_assign(subscription->client, list));
}

static void partitions_revoked(struct kafka_subscription *subscription,
                               rd_kafka_topic_partition_list_t *list)
{
    if (!rd_kafka_assignment_lost(subscription->client))
        commit_done(subscription);
    for (int i = 0; i < list->cnt; i++) {
        struct kafka_lane *lane =
            kafka_lane_find(subscription, list->elems[i].topic, list->elems[i].partition);
        if (lane)
            kafka_lane_close(lane);
    }
    log_refusal(subscription, rd_kafka_incremental_unassign(subscription->client, list));
}

static void rebalance(struct kafka_subscription *subscription, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    const char *protocol = rd_kafka_rebalance_protocol(subscription->client);
    bool cooperative = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    subscription->was_assigned |= err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && subscription->state == SUBSCRIPTION_OPEN) {
        partitions_added(subscription, list);
    } else if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && cooperative) {
        partitions_revoked(subscription, list);
    } else {
        while (subscription->lanes)
            kafka_lane_close(subscription->lanes);
        rd_kafka_assign(subscription->client, NULL);
    }
    bv_log(subscription->bus->log,
           BV_INFO,
           "kafka.assigned",
           NULL,
           BV_F_TEXT("group", subscription->group),
           BV_F_TEXT("change", rd_kafka_err2name(err)),
           BV_F_INT("changed", list ? list->cnt : 0),
           BV_F_INT("partitions", lane_count(subscription)));
    if (subscription->state == SUBSCRIPTION_OPEN && subscription->assigned)
        subscription->assigned(subscription->argument, lane_count(subscription));
}

static void read_lag(struct kafka_subscription *subscription, rd_kafka_event_t *event)
{
    if (!subscription->bus->metrics)
        return;
    const struct bv_json *topics = bv_json_get(kafka_stats(subscription->bus, event), "topics");
    for (struct bv_json_iter topic = bv_json_iter(topics); topics && bv_json_next(&topic);) {
        int64_t lag = 0;
        char name[KAFKA_TOPIC_BYTES_MAX + 1];
        snprintf(name, sizeof name, "%.*s", BV_ARG(topic.key));
        const struct bv_json *rows = bv_json_get(topic.value, "partitions");
        for (struct bv_json_iter row = bv_json_iter(rows); rows && bv_json_next(&row);) {
            int64_t of_row = bv_json_int(bv_json_get(row.value, "consumer_lag"), -1);
            lag += of_row > 0 ? of_row : 0;
        }
        bv_gauge_set(kafka_series(subscription->bus, &kafka_lag_metric, subscription->group, name),
                     (double)lag);
    }
}

/* Another process has taken this member's name (KIP-345): to come back would throw that one out in
 * turn. The process must be replaced, and says so by not being ready. */
static void note_fatal(struct kafka_subscription *subscription, rd_kafka_event_t *event)
{
    if (!rd_kafka_event_error_is_fatal(event))
        return;
    char text[256] = "";
    rd_kafka_fatal_error(subscription->client, text, sizeof text);
    subscription->fatal = true;
    bv_log(subscription->bus->log,
           BV_ERROR,
           "kafka.consumer_fatal",
           NULL,
           BV_F_TEXT("group", subscription->group),
           BV_F_TEXT("reason", text));
}

static void consumer_event(struct kafka_subscription *subscription, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        rebalance(subscription, event);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        commit_result(subscription, event);
        break;
    case RD_KAFKA_EVENT_STATS:
        read_lag(subscription, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        note_fatal(subscription, event);
        kafka_log_event(subscription->bus, event);
        break;
    default:
        kafka_log_event(subscription->bus, event);
        break;
    }
    rd_kafka_event_destroy(event);
}

/* ---- the way out ---- */

static void close_begin(struct kafka_subscription *subscription)
{
    commit_done(subscription);
    while (subscription->lanes)
        kafka_lane_close(subscription->lanes);
    subscription->closing_since_ms = bv_mono_ms(bv_loop_env(subscription->bus->loop));
    subscription->closing_queue = rd_kafka_queue_new(subscription->client);
    kafka_wake_attach(&subscription->wake, subscription->closing_queue);
    log_refusal(subscription,
                rd_kafka_consumer_close_queue(subscription->client, subscription->closing_queue));
}

static void close_end(struct kafka_subscription *subscription)
{
    subscription->state = SUBSCRIPTION_CLOSED;
    bv_timer_close(&subscription->tick);
    bv_idle_close(&subscription->idle);
    if (subscription->closing_queue) {
        kafka_wake_detach(subscription->closing_queue);
        rd_kafka_queue_destroy(subscription->closing_queue);
        subscription->closing_queue = NULL;
    }
    if (subscription->queue) {
        kafka_wake_detach(subscription->queue);
        rd_kafka_queue_destroy(subscription->queue);
        subscription->queue = NULL;
    }
    kafka_wake_close(&subscription->wake);
}

static void subscription_free(struct kafka_subscription *subscription)
{
    struct kafka_subscription **at = &subscription->bus->subscriptions;
    while (*at && *at != subscription)
        at = &(*at)->next;
    if (*at)
        *at = subscription->next;
    /* librdkafka 2.0.2 aborts when a cooperative-sticky member is destroyed between its joining and
     * its first assignment (its issue 4312): such a client is left to the end of the process. */
    if (subscription->client && subscription->was_assigned)
        rd_kafka_destroy_flags(subscription->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(subscription->group);
    free(subscription);
}

/* Frees a subscription that has left its group once the last stale delivery is back: they hold
 * messages of its client. */
void kafka_subscription_settle(struct kafka_subscription *subscription)
{
    if (subscription->state == SUBSCRIPTION_CLOSED && !subscription->stale &&
        !subscription->pumping)
        subscription_free(subscription);
}

static bool left_group(const struct kafka_subscription *subscription)
{
    int64_t since_ms =
        bv_mono_ms(bv_loop_env(subscription->bus->loop)) - subscription->closing_since_ms;
    return rd_kafka_consumer_closed(subscription->client) || since_ms > KAFKA_CLOSE_MS;
}

static void close_step(struct kafka_subscription *subscription, int wait_ms)
{
    if (!subscription->closing_queue)
        close_begin(subscription);
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(subscription->closing_queue, wait_ms)))
        consumer_event(subscription, event);
    if (left_group(subscription))
        close_end(subscription);
}

/* ---- the pump ---- */

static bool pump_open(struct kafka_subscription *subscription)
{
    rd_kafka_event_t *event;
    while (subscription->state == SUBSCRIPTION_OPEN &&
           (event = rd_kafka_queue_poll(subscription->queue, 0)))
        consumer_event(subscription, event);
    int budget = KAFKA_BATCH;
    bool drained = true;
    for (struct kafka_lane *lane = subscription->lanes;
         lane && subscription->state == SUBSCRIPTION_OPEN;
         lane = lane->next)
        drained = kafka_lane_pump(lane, &budget) && drained;
    return drained;
}

static void pump(struct kafka_subscription *subscription)
{
    if (subscription->pumping || subscription->state == SUBSCRIPTION_CLOSED)
        return;
    subscription->pumping = true;
    kafka_wake_clear(&subscription->wake);
    bool drained = subscription->state != SUBSCRIPTION_OPEN || pump_open(subscription);
    if (subscription->state == SUBSCRIPTION_CLOSING)
        close_step(subscription, 0);
    else if (!drained)
        kafka_wake_again(&subscription->wake);
    subscription->pumping = false;
    kafka_subscription_settle(subscription);
}

static void subscription_wakes(void *argument, int events)
{
    (void)events;
    pump(argument);
}

static void subscription_idles(void *argument)
{
    pump(argument);
}

/* Retries whose timer found no memory, commits, and the poll that librdkafka wants from a living
 * application. */
static void subscription_ticks(void *argument)
{
    struct kafka_subscription *subscription = argument;
    if (subscription->state == SUBSCRIPTION_OPEN)
        commit_done(subscription);
    for (struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next) {
        for (struct kafka_delivery *row = lane->waiting ? lane->head : NULL; row; row = row->next) {
            if (row->state == DELIVERY_WAITING && !row->timer)
                kafka_delivery_wait(row, KAFKA_TICK_MS);
        }
    }
    pump(subscription);
}

/* ---- the bus's operations ---- */

void kafka_unsubscribe(struct bv_subscription **slot)
{
    struct kafka_subscription *subscription = (struct kafka_subscription *)*slot;
    *slot = NULL;
    subscription->state = SUBSCRIPTION_CLOSING;
    for (struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next) {
        for (struct kafka_delivery *delivery = lane->head; delivery; delivery = delivery->next)
            bv_timer_close(&delivery->timer); /* no callbacks afterwards */
    }
    pump(subscription);
}

void kafka_subscriptions_end(struct kafka_bus *bus, int64_t deadline_ms)
{
    const struct bv_env *env = bv_loop_env(bus->loop);
    while (bus->subscriptions) {
        struct kafka_subscription *subscription = bus->subscriptions;
        subscription->pumping = true;
        if (subscription->state == SUBSCRIPTION_OPEN)
            subscription->state = SUBSCRIPTION_CLOSING;
        while (subscription->state == SUBSCRIPTION_CLOSING) {
            close_step(subscription, 10);
            if (subscription->state == SUBSCRIPTION_CLOSING && bv_mono_ms(env) > deadline_ms)
                close_end(subscription);
        }
        while (subscription->stale) {
            struct kafka_delivery *delivery = subscription->stale;
            subscription->stale = delivery->next;
            kafka_delivery_free(delivery);
        }
        subscription_free(subscription);
    }
}

static int client_open(struct kafka_subscription *subscription,
                       const struct bv_subscription_config *config)
{
    const struct kafka_setting own[] = {
        {"group.id",          config->group                                         },
        {"auto.offset.reset", config->from == BV_FROM_LATEST ? "latest" : "earliest"},
        {"group.instance.id", subscription->bus->instance                           },
    };
    const size_t own_count = subscription->bus->instance[0] ? BV_COUNT(own) : BV_COUNT(own) - 1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_events(conf,
                             RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE |
                                 RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR |
                                 RD_KAFKA_EVENT_STATS | RD_KAFKA_EVENT_LOG);
    struct bv_error error = {0};
    int rc = kafka_conf_apply(conf, consumer_settings, BV_COUNT(consumer_settings), &error);
    if (rc == 0)
        rc = kafka_conf_apply(conf, own, own_count, &error);
    if (rc < 0) {
        bv_log(subscription->bus->log,
               BV_ERROR,
               "kafka.settings_refused",
               NULL,
               BV_F_TEXT("reason", error.text));
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    BV_TRY(kafka_client_open(subscription->bus, RD_KAFKA_CONSUMER, conf, &subscription->client));
    rd_kafka_set_log_queue(subscription->client, NULL);
    rd_kafka_poll_set_consumer(subscription->client);
    subscription->queue = rd_kafka_queue_get_consumer(subscription->client);
    kafka_wake_attach(&subscription->wake, subscription->queue);
    return 0;
}

static int topics_subscribe(struct kafka_subscription *subscription, const char *const *topics)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (size_t i = 0; topics[i]; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(subscription->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return kafka_code(err);
}

static bool config_good(const struct bv_subscription_config *config)
{
    return config->group && config->group[0] && config->topics && config->topics[0] &&
           config->prefetch <= 1024;
}

int kafka_subscribe(struct bv_bus *self,
                    const struct bv_subscription_config *config,
                    bv_bus_receive *receive,
                    void *argument,
                    struct bv_subscription **ret_subscription)
{
    struct kafka_bus *bus = (struct kafka_bus *)self;
    if (!config_good(config))
        return BV_E_INVALID;
    struct kafka_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return BV_E_NOMEM;
    *subscription = (struct kafka_subscription){
        .base.ops = &kafka_bus_ops,
        .bus = bus,
        .next = bus->subscriptions,
        .wake.fd = -1,
        .group = strdup(config->group),
        .prefetch = config->prefetch ? config->prefetch : 1,
        .receive = receive,
        .assigned = config->assigned,
        .argument = argument,
    };
    bus->subscriptions = subscription;
    int rc = subscription->group ? 0 : BV_E_NOMEM;
    if (rc == 0)
        rc = kafka_wake_open(&subscription->wake, bus->loop, subscription_wakes, subscription);
    if (rc == 0)
        rc = bv_idle_open(bus->loop, subscription_idles, subscription, &subscription->idle);
    if (rc == 0)
        rc = bv_timer_open(bus->loop, subscription_ticks, subscription, &subscription->tick);
    if (rc == 0)
        rc = client_open(subscription, config);
    if (rc == 0)
        rc = topics_subscribe(subscription, config->topics);
    if (rc < 0)
        goto fail;
    bv_timer_set(subscription->tick, KAFKA_TICK_MS, KAFKA_TICK_MS);
    *ret_subscription = &subscription->base;
    return 0;

fail:
    close_end(subscription);
    subscription_free(subscription);
    return rc;
}
