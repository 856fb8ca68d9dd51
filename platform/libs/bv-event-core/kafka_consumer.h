/* Inside of subscriptions: one librdkafka consumer each.
 *
 *   consumer queue:  rebalance, commit results, errors, statistics, logs     (always drained)
 *   lane = partition queue, not forwarded to the consumer queue:    (drained while it has room)
 *
 *     librdkafka prefetch ──> lane: [d3 d2 d1] out at the application, at most `prefetch`
 *                                    └─ acknowledged from the front: d1, d2 … move `done_next`,
 *                                       the offset to commit
 *
 * A lane that is full or waits for a retry is simply not polled: other lanes and rebalances go on,
 * and librdkafka bounds what it prefetches. When a partition is revoked its lane goes; deliveries
 * that are out become stale (lane == NULL). */
#ifndef BV_KAFKA_CONSUMER_H
#define BV_KAFKA_CONSUMER_H

#include "kafka_bus.h"

#define KAFKA_TICK_MS 200 /* between commits */

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
    bool fatal;        /* its client will never receive again */
    bool was_assigned; /* a first assignment came, an empty one included */
    int64_t closing_since_ms;
    char *group;
    uint32_t prefetch;
    bv_bus_receive *receive;
    void (*assigned)(void *argument, size_t partitions);
    void *argument;
};

struct kafka_lane *
kafka_lane_find(struct kafka_subscription *subscription, const char *topic, int32_t partition);
/* NULL when memory is out. */
struct kafka_lane *
kafka_lane_open(struct kafka_subscription *subscription, const char *topic, int32_t partition);
/* Unlinks the lane; what is out becomes stale, what waits for a retry or for an earlier one ends.
 */
void kafka_lane_close(struct kafka_lane *lane);
/* Receives while there is room; false when the lane may hold more than the budget allowed. */
bool kafka_lane_pump(struct kafka_lane *lane, int *budget);
void kafka_delivery_free(struct kafka_delivery *delivery);
/* Gives it out again after delay_ms; without memory for a timer nothing happens yet. */
void kafka_delivery_wait(struct kafka_delivery *delivery, int64_t delay_ms);
/* Frees a subscription that has left its group once the last stale delivery is back: they hold
 * messages of its client. */
void kafka_subscription_settle(struct kafka_subscription *subscription);

#endif
