/* Subscriptions: one librdkafka consumer each.
 *
 *   consumer queue:  rebalance, commit results, errors, statistics, logs   (always drained)
 *   lane = partition queue, not forwarded to the consumer queue:           (drained while the lane
 * has room)
 *
 *     librdkafka prefetch ──> lane: [d3 d2 d1] out at the application, at most `prefetch`
 *                                    └─ acknowledged from the front: d1, d2 … move `done_next`, the
 * offset to commit
 *
 * A lane that is full or waits for a retry is simply not polled: other lanes and rebalances go on,
 * and librdkafka bounds what it prefetches. When a partition is revoked its lane goes; deliveries
 * that are out become stale (lane == NULL). */
#include "kafka_bus.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/json.h"

#define TICK_MS 200

enum delivery_state { DELIVERY_OUT, DELIVERY_WAITING, DELIVERY_DONE };
struct kafka_lane;
struct kafka_delivery {
    struct bv_delivery base;
    struct kafka_subscription *subscription;
    struct kafka_lane *lane;     /* NULL: stale */
    struct kafka_delivery *next; /* in the lane, by offset; among the stale ones otherwise */
    rd_kafka_event_t *event;     /* owned: holds the message */
    struct bv_timer *timer;      /* owned, made at the first retry */
    enum delivery_state state;
    struct bv_record record;
    struct bv_header headers[];
};
struct kafka_lane {
    struct kafka_subscription *subscription;
    struct kafka_lane *next;
    rd_kafka_queue_t *queue;
    struct kafka_delivery *head, *tail; /* not yet below done_next */
    uint32_t out;                       /* in the list */
    uint32_t waiting;                   /* of them, for a retry */
    int64_t done_next;                  /* offset after the last that is done in a row; -1: none */
    int64_t committed;                  /* last offset handed to a commit */
    struct bv_series *received;
    int32_t partition;
    char topic[KAFKA_TOPIC_BYTES_MAX + 1];
};
enum subscription_state { SUBSCRIPTION_OPEN, SUBSCRIPTION_CLOSING, SUBSCRIPTION_CLOSED };
struct kafka_subscription {
    struct bv_subscription base;
    struct kafka_bus *bus;
    struct kafka_subscription *next;
    enum subscription_state state;
    bool pumping; /* the pump is on the stack: nothing may be freed */
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    rd_kafka_queue_t *closing_queue; /* events of the way out */
    struct kafka_wake wake;
    struct bv_idle *idle;
    struct bv_timer *tick;
    struct kafka_lane *lanes;
    struct kafka_delivery *stale;
    int64_t closing_since_ms;
    char *group;
    uint32_t prefetch;
    bv_bus_receive *receive;
    void (*assigned)(void *argument, size_t partitions);
    void *argument;
};

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

/* ---- deliveries ---- */

static void delivery_free(struct kafka_delivery *delivery)
{
    bv_timer_close(&delivery->timer);
    rd_kafka_event_destroy(delivery->event);
    free(delivery);
}

static void stale_remove(struct kafka_delivery *delivery)
{
    struct kafka_delivery **at = &delivery->subscription->stale;
    while (*at && *at != delivery)
        at = &(*at)->next;
    if (*at)
        *at = delivery->next;
}

static void subscription_settle(struct kafka_subscription *subscription);

static void stale_end(struct kafka_delivery *delivery)
{
    struct kafka_subscription *subscription = delivery->subscription;
    stale_remove(delivery);
    delivery_free(delivery);
    subscription_settle(subscription);
}

/* What is done in a row from the front leaves the lane and may be committed. */
static void lane_advance(struct kafka_lane *lane)
{
    while (lane->head && lane->head->state == DELIVERY_DONE) {
        struct kafka_delivery *delivery = lane->head;
        lane->head = delivery->next;
        if (!lane->head)
            lane->tail = NULL;
        lane->out--;
        lane->done_next = delivery->record.offset + 1;
        delivery_free(delivery);
    }
}

void kafka_ack(struct bv_delivery *base)
{
    struct kafka_delivery *delivery = (struct kafka_delivery *)base;
    struct kafka_lane *lane = delivery->lane;
    if (!lane) {
        stale_end(delivery);
        return;
    }
    if (delivery->state == DELIVERY_WAITING)
        lane->waiting--;
    delivery->state = DELIVERY_DONE;
    bv_timer_close(&delivery->timer);
    bv_idle_arm(lane->subscription->idle);
    lane_advance(lane);
}

static void delivery_again(void *argument)
{
    struct kafka_delivery *delivery = argument;
    if (!delivery->lane || delivery->state != DELIVERY_WAITING)
        return;
    struct kafka_subscription *subscription = delivery->subscription;
    delivery->state = DELIVERY_OUT;
    delivery->lane->waiting--;
    bv_idle_arm(subscription->idle);
    subscription->receive(subscription->argument, &delivery->record, &delivery->base);
}

void kafka_retry(struct bv_delivery *base, int64_t delay_ms)
{
    struct kafka_delivery *delivery = (struct kafka_delivery *)base;
    if (!delivery->lane) {
        stale_end(delivery);
        return;
    }
    if (delivery->state != DELIVERY_OUT)
        return;
    delivery->state = DELIVERY_WAITING;
    delivery->lane->waiting++;
    if (!delivery->timer &&
        bv_timer_open(
            delivery->subscription->bus->loop, delivery_again, delivery, &delivery->timer) < 0)
        return; /* no memory: the tick gives it out again */
    bv_timer_set(delivery->timer, delay_ms > 0 ? delay_ms : 0, 0);
}

static struct kafka_delivery *
delivery_new(struct kafka_lane *lane, rd_kafka_event_t *event, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    size_t count = 0;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        count = rd_kafka_header_cnt(headers);
    struct kafka_delivery *delivery =
        calloc(1, sizeof *delivery + count * sizeof delivery->headers[0]);
    if (!delivery)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = "";
        const void *value = NULL;
        size_t size = 0;
        rd_kafka_header_get_all(headers, i, &name, &value, &size);
        delivery->headers[i] = (struct bv_header){
            bv_bytes_of(name), {value, size}
        };
    }
    rd_kafka_timestamp_type_t type;
    delivery->base.ops = &kafka_bus_ops;
    delivery->subscription = lane->subscription;
    delivery->lane = lane;
    delivery->event = event;
    delivery->record = (struct bv_record){
        .topic = bv_bytes_of(rd_kafka_topic_name(message->rkt)),
        .key = {message->key,     message->key_len},
        .value = {message->payload, message->len    },
        .headers = delivery->headers,
        .header_count = count,
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, &type),
    };
    return delivery;
}

/* ---- lanes ---- */

static struct kafka_lane *
lane_find(struct kafka_subscription *subscription, const char *topic, int32_t partition)
{
    for (struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next) {
        if (lane->partition == partition && strcmp(lane->topic, topic) == 0)
            return lane;
    }
    return NULL;
}

static struct kafka_lane *
lane_open(struct kafka_subscription *subscription, const char *topic, int32_t partition)
{
    struct kafka_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    lane->queue = rd_kafka_queue_get_partition(subscription->client, topic, partition);
    if (!lane->queue) {
        free(lane);
        return NULL;
    }
    rd_kafka_queue_forward(lane->queue, NULL);
    kafka_wake_attach(&subscription->wake, lane->queue);
    lane->subscription = subscription;
    lane->partition = partition;
    lane->done_next = -1;
    lane->committed = -1;
    snprintf(lane->topic, sizeof lane->topic, "%s", topic);
    lane->received =
        kafka_series(subscription->bus, &kafka_received_metric, subscription->group, topic);
    lane->next = subscription->lanes;
    subscription->lanes = lane;
    return lane;
}

/* Unlinks the lane; what is out becomes stale, what waits for a retry or for an earlier one ends
 * here. */
static void lane_close(struct kafka_lane *lane)
{
    struct kafka_subscription *subscription = lane->subscription;
    struct kafka_lane **at = &subscription->lanes;
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    while (lane->head) {
        struct kafka_delivery *delivery = lane->head;
        lane->head = delivery->next;
        if (delivery->state != DELIVERY_OUT) {
            delivery_free(delivery);
            continue;
        }
        bv_timer_close(&delivery->timer);
        delivery->lane = NULL;
        delivery->next = subscription->stale;
        subscription->stale = delivery;
    }
    kafka_wake_detach(lane->queue);
    rd_kafka_queue_destroy(lane->queue);
    free(lane);
}

static void
deliver(struct kafka_lane *lane, rd_kafka_event_t *event, const rd_kafka_message_t *message)
{
    struct kafka_subscription *subscription = lane->subscription;
    struct kafka_delivery *delivery = delivery_new(lane, event, message);
    if (!delivery) { /* no memory: skipping would lose it, so the process must go; its successor
                        resumes at the commit */
        bv_log(subscription->bus->log,
               BV_ERROR,
               "kafka.out_of_memory",
               NULL,
               BV_F_TEXT("topic", lane->topic));
        abort();
    }
    if (lane->tail)
        lane->tail->next = delivery;
    else
        lane->head = delivery;
    lane->tail = delivery;
    lane->out++;
    if (lane->received)
        bv_count(lane->received, 1);
    subscription->receive(subscription->argument, &delivery->record, &delivery->base);
}

static void partition_event(struct kafka_lane *lane, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message = rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH
                                            ? rd_kafka_event_message_next(event)
                                            : NULL;
    if (message && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        deliver(lane, event, message);
        return;
    }
    if (message)
        bv_log(lane->subscription->bus->log,
               BV_WARN,
               "kafka.fetch_failed",
               NULL,
               BV_F_TEXT("topic", lane->topic),
               BV_F_TEXT("reason", rd_kafka_err2str(message->err)));
    else
        kafka_log_event(lane->subscription->bus, event);
    rd_kafka_event_destroy(event);
}

/* Returns false when the lane may hold more than the budget allowed. */
static bool lane_pump(struct kafka_lane *lane, int *budget)
{
    struct kafka_subscription *subscription = lane->subscription;
    while (subscription->state == SUBSCRIPTION_OPEN && lane->out < subscription->prefetch &&
           lane->waiting == 0) {
        if ((*budget)-- <= 0)
            return false;
        rd_kafka_event_t *event = rd_kafka_queue_poll(lane->queue, 0);
        if (!event)
            return true;
        partition_event(lane, event);
    }
    return true;
}

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
        struct kafka_lane *lane = lane_find(subscription, row->topic, row->partition);
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
        struct kafka_lane *lane = lane_find(subscription, topic, partition);
        if (lane)
            lane_close(lane);
        if (!lane_open(subscription, topic, partition))
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
            lane_find(subscription, list->elems[i].topic, list->elems[i].partition);
        if (lane)
            lane_close(lane);
    }
    log_refusal(subscription, rd_kafka_incremental_unassign(subscription->client, list));
}

static void rebalance(struct kafka_subscription *subscription, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    const char *protocol = rd_kafka_rebalance_protocol(subscription->client);
    bool cooperative = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && subscription->state == SUBSCRIPTION_OPEN) {
        partitions_added(subscription, list);
    } else if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && cooperative) {
        partitions_revoked(subscription, list);
    } else {
        while (subscription->lanes)
            lane_close(subscription->lanes);
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
        lane_close(subscription->lanes);
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
    if (subscription->client)
        rd_kafka_destroy_flags(subscription->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(subscription->group);
    free(subscription);
}

/* Frees a subscription that has left its group once the last stale delivery is back: they hold
 * messages of its client. */
static void subscription_settle(struct kafka_subscription *subscription)
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
        drained = lane_pump(lane, &budget) && drained;
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
    subscription_settle(subscription);
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
        if (lane->waiting == 0)
            continue;
        for (struct kafka_delivery *delivery = lane->head; delivery; delivery = delivery->next) {
            if (delivery->state == DELIVERY_WAITING && !delivery->timer &&
                bv_timer_open(
                    subscription->bus->loop, delivery_again, delivery, &delivery->timer) == 0)
                bv_timer_set(delivery->timer, TICK_MS, 0);
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
            delivery_free(delivery);
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
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_events(conf,
                             RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE |
                                 RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR |
                                 RD_KAFKA_EVENT_STATS | RD_KAFKA_EVENT_LOG);
    struct bv_error error = {0};
    int rc = kafka_conf_apply(conf, consumer_settings, BV_COUNT(consumer_settings), &error);
    if (rc == 0)
        rc = kafka_conf_apply(conf, own, BV_COUNT(own), &error);
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
    bv_timer_set(subscription->tick, TICK_MS, TICK_MS);
    *ret_subscription = &subscription->base;
    return 0;

fail:
    close_end(subscription);
    subscription_free(subscription);
    return rc;
}
