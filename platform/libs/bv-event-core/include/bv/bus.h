/* Publish/subscribe over a partitioned log, as a vtable: Kafka implements it, bv-test-core has one that drops, delays, duplicates and reorders.
 * Guarantee: at least once; order per key. Thread: loop; implementations use threads of their own and come back through the loop. */
#ifndef BV_BUS_H
#define BV_BUS_H

#include "bv/loop.h"
#include "bv/metrics.h"
#include "bv/log.h"

struct bv_header {
    struct bv_bytes key;
    struct bv_bytes value;
};
struct bv_record {
    struct bv_bytes topic;
    struct bv_bytes key;
    struct bv_bytes value;
    const struct bv_header *headers;
    size_t header_count;
    int32_t partition; /* received records; -1 to publish by key */
    int64_t offset;
    int64_t timestamp_ms;
};
struct bv_bytes bv_record_header(const struct bv_record *record, const char *key); /* last of that name; NONE */

struct bv_bus;
/* rc 0: acknowledged by all in-sync replicas. Never called from within publish. */
typedef void bv_bus_done(void *argument, int rc, const struct bv_error *error);
/* Received. The record lives until bv_bus_ack(delivery) or bv_bus_retry. Deliveries of one partition come one after another in order, up to `prefetch` unacknowledged per
 * partition when the subscription asks for it. */
struct bv_delivery;
typedef void bv_bus_receive(void *argument, const struct bv_record *record, struct bv_delivery *delivery);
struct bv_subscription_config {
    const char *group;
    const char *const *topics; /* NULL-terminated */
    uint32_t prefetch;         /* unacknowledged deliveries per partition, 1 keeps strict order of effects */
    enum { BV_FROM_EARLIEST, BV_FROM_LATEST } from;
};
struct bv_subscription;
struct bv_bus_ops {
    int (*publish)(struct bv_bus *self, const struct bv_record *record, bv_bus_done *done, void *argument); /* copies; BV_E_LIMIT when the queue is full */
    int (*subscribe)(struct bv_bus *self, const struct bv_subscription_config *config, bv_bus_receive *receive, void *argument, struct bv_subscription **ret_subscription);
    void (*ack)(struct bv_delivery *delivery);                   /* effect is done: its offset may be committed */
    void (*retry)(struct bv_delivery *delivery, int64_t delay_ms); /* redeliver later; the partition waits */
    void (*unsubscribe)(struct bv_subscription **subscription); /* commits, leaves the group; no callbacks afterwards */
    bool (*ready)(struct bv_bus *self);
    void (*close)(struct bv_bus **self); /* flushes with a deadline of 5 s; unacknowledged publishes end with BV_E_CANCELLED */
};
struct bv_bus {
    const struct bv_bus_ops *ops;
};

struct bv_kafka_config {
    const char *brokers;   /* "127.0.0.1:9092" */
    const char *client_id;
    int64_t queue_max;     /* records waiting for acknowledgement */
    int64_t linger_ms;
};
/* Idempotent producer, acks=all; consumers with manual commit after effect, cooperative-sticky. */
BV_MUST_CHECK int bv_kafka_open(struct bv_loop *loop, const struct bv_kafka_config *config, struct bv_log *log, struct bv_metrics *metrics, struct bv_bus **ret_bus);
/* Creates what is missing; blocking, for tools and tests. */
struct bv_topic {
    const char *name;
    int partitions;
    int64_t retention_ms; /* -1: for ever, 0: broker's default */
};
BV_MUST_CHECK int bv_kafka_topics_create(const char *brokers, const struct bv_topic *topics, size_t count, int64_t timeout_ms, struct bv_error *error);

#endif
