/* Deliveries and lanes: see the picture in kafka_consumer.h. */
#include "kafka_consumer.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- deliveries ---- */

void kafka_delivery_free(struct kafka_delivery *delivery)
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

static void stale_end(struct kafka_delivery *delivery)
{
    struct kafka_subscription *subscription = delivery->subscription;
    stale_remove(delivery);
    kafka_delivery_free(delivery);
    kafka_subscription_settle(subscription);
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
        kafka_delivery_free(delivery);
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

void kafka_delivery_wait(struct kafka_delivery *delivery, int64_t delay_ms)
{
    struct bv_loop *loop = delivery->subscription->bus->loop;
    if (!delivery->timer && bv_timer_open(loop, delivery_again, delivery, &delivery->timer) < 0)
        return; /* the tick comes back to it */
    bv_timer_set(delivery->timer, delay_ms, 0);
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
    kafka_delivery_wait(delivery, delay_ms > 0 ? delay_ms : 0);
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

struct kafka_lane *
kafka_lane_find(struct kafka_subscription *subscription, const char *topic, int32_t partition)
{
    for (struct kafka_lane *lane = subscription->lanes; lane; lane = lane->next) {
        if (lane->partition == partition && strcmp(lane->topic, topic) == 0)
            return lane;
    }
    return NULL;
}

struct kafka_lane *
kafka_lane_open(struct kafka_subscription *subscription, const char *topic, int32_t partition)
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
void kafka_lane_close(struct kafka_lane *lane)
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
            kafka_delivery_free(delivery);
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
bool kafka_lane_pump(struct kafka_lane *lane, int *budget)
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
