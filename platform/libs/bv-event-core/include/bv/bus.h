/* Publish/subscribe over a partitioned log, as a vtable: Kafka implements it, bv-test-core has one
 * that drops, delays, duplicates and reorders. Guarantee: at least once; order per key (records of
 * one key share a partition; a partition is received in order). Thread: loop. Every callback runs
 * on the loop, never from within the call that asked for it. */
#ifndef BV_BUS_H
#define BV_BUS_H

#include "bv/log.h"
#include "bv/loop.h"
#include "bv/metrics.h"

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
    int32_t partition;    /* received: where it stood; publishing: ignored, the key decides */
    int64_t offset;       /* received only */
    int64_t timestamp_ms; /* received only, as the log has it */
};
#define BV_RECORD_HEADERS_MAX 32
struct bv_bytes bv_record_header(const struct bv_record *record,
                                 const char *key); /* last of that name; NONE */

struct bv_bus;
struct bv_bus_ops;
/* rc 0: acknowledged by all in-sync replicas. Otherwise refused for good (BV_E_TOO_LARGE,
 * BV_E_NOT_FOUND topic, BV_E_FORBIDDEN, BV_E_IO), or BV_E_CANCELLED by close: then it may or may
 * not be in the log. error lives for the call. */
typedef void bv_bus_done(void *argument, int rc, const struct bv_error *error);
/* Handles given out by an implementation, which extends them; the members are for the wrappers
 * below. */
struct bv_delivery {
    const struct bv_bus_ops *ops;
};
struct bv_subscription {
    const struct bv_bus_ops *ops;
};
/* A record arrived. It lives until bv_bus_ack or bv_bus_retry of its delivery; each delivery must
 * get one of the two, also after its partition went to another member or the subscription ended:
 * then it is stale and the call only frees it. */
typedef void
bv_bus_receive(void *argument, const struct bv_record *record, struct bv_delivery *delivery);
enum bv_bus_from { BV_FROM_EARLIEST, BV_FROM_LATEST };
struct bv_subscription_config {
    const char *group;
    const char *const *topics; /* NULL-terminated; topics that do not exist yet are picked up within
                                  about a second of their creation */
    uint32_t prefetch; /* unacknowledged deliveries per partition, 1..1024; 1 keeps strict order of
                          effects; 0 means 1 */
    enum bv_bus_from from; /* for a group without a committed offset */
    /* Optional: the partitions of this member changed; when some were added it is called before
     * anything of them is received. */
    void (*assigned)(void *argument, size_t partitions);
};
struct bv_bus_ops {
    /* Copies the record. Outcome by done, once. Errors: BV_E_LIMIT when queue_max records wait,
     * BV_E_INVALID (no topic, too many headers), BV_E_CLOSED, BV_E_NOMEM: done is then not called.
     */
    int (*publish)(struct bv_bus *self,
                   const struct bv_record *record,
                   bv_bus_done *done,
                   void *argument);
    /* config and its strings are copied. Deliveries of a partition come in order; up to `prefetch`
     * of them are out at once. */
    int (*subscribe)(struct bv_bus *self,
                     const struct bv_subscription_config *config,
                     bv_bus_receive *receive,
                     void *argument,
                     struct bv_subscription **ret_subscription);
    /* The effect is done: the offset is committed once all earlier deliveries of the partition are
     * acknowledged. Ends the delivery. */
    void (*ack)(struct bv_delivery *delivery);
    /* Gives the same delivery to receive again, delay_ms later; until it is acknowledged nothing
     * new of its partition is received. Stale: ends it. */
    void (*retry)(struct bv_delivery *delivery, int64_t delay_ms);
    /* Commits what is acknowledged and leaves the group; no callbacks afterwards. Deliveries that
     * are out become stale. */
    void (*unsubscribe)(struct bv_subscription **subscription);
    /* For /readyz: a broker is connected, and owes no report for long; and no subscription has
     * ended for good. */
    bool (*ready)(struct bv_bus *self);
    /* Ends subscriptions, flushes with a deadline of 5 s (blocks for it); unacknowledged publishes
     * end with BV_E_CANCELLED. Not within a callback of the bus. */
    void (*close)(struct bv_bus **self);
};
struct bv_bus {
    const struct bv_bus_ops *ops;
};

/* The same by name. close and unsubscribe accept NULL and leave NULL. */
static inline BV_MUST_CHECK int bv_bus_publish(struct bv_bus *bus,
                                               const struct bv_record *record,
                                               bv_bus_done *done,
                                               void *argument)
{
    return bus->ops->publish(bus, record, done, argument);
}
static inline BV_MUST_CHECK int bv_bus_subscribe(struct bv_bus *bus,
                                                 const struct bv_subscription_config *config,
                                                 bv_bus_receive *receive,
                                                 void *argument,
                                                 struct bv_subscription **ret_subscription)
{
    return bus->ops->subscribe(bus, config, receive, argument, ret_subscription);
}
static inline void bv_bus_ack(struct bv_delivery *delivery)
{
    delivery->ops->ack(delivery);
}
static inline void bv_bus_retry(struct bv_delivery *delivery, int64_t delay_ms)
{
    delivery->ops->retry(delivery, delay_ms);
}
static inline void bv_bus_unsubscribe(struct bv_subscription **subscription)
{
    if (*subscription)
        (*subscription)->ops->unsubscribe(subscription);
}
static inline bool bv_bus_ready(struct bv_bus *bus)
{
    return bus->ops->ready(bus);
}
static inline void bv_bus_close(struct bv_bus **bus)
{
    if (*bus)
        (*bus)->ops->close(bus);
}

struct bv_kafka_config {
    const char *brokers;   /* "127.0.0.1:9092,…" */
    const char *client_id; /* NULL: "bitvelocity" */
    const char *instance;  /* NULL or "": none. A name that this replica keeps over restarts and no
                              other has: its consumers are static members of their groups */
    int64_t queue_max;     /* records waiting for acknowledgement, 1..1000000; 0: 10000 */
    int64_t linger_ms;     /* 0..1000: how long a batch waits for company */
};
/* Kafka by librdkafka, driven by eventfds on the loop: all callbacks and all state are the loop's.
 * Producer:  idempotent, acks=all, message.timeout.ms=0: a publish ends when it is acknowledged or
 * refused for good, never by time. While the brokers are away it waits in the queue, in order; the
 * queue full is BV_E_LIMIT. An unknown topic is refused after 10 s. Consumers: one per
 * subscription, cooperative-sticky, offsets committed after the effect every 200 ms, at rebalance
 * and at unsubscribe; session timeout 6 s, so what a crashed member held is received again by
 * others after that time; with an instance name (KIP-345) the restarted member itself takes it up
 * again at once. A process whose name another one took receives no more and is not ready for the
 * rest of its life: restart it. Metrics:   bv_bus_published_total{topic,result},
 * bv_bus_received_total{group,topic}, bv_bus_queue, bv_bus_lag{group,topic}. Ownership: loop, log
 * and metrics are borrowed for the bus's life; log and metrics may be NULL. config is copied.
 * Errors:    BV_E_INVALID (config), BV_E_NOMEM, BV_E_IO. Brokers that are away are no error. */
BV_MUST_CHECK int bv_kafka_open(struct bv_loop *loop,
                                const struct bv_kafka_config *config,
                                struct bv_log *log,
                                struct bv_metrics *metrics,
                                struct bv_bus **ret_bus);

struct bv_topic {
    const char *name;
    int partitions;
    int64_t retention_ms; /* -1: for ever, 0: broker's default */
};
/* Creates what is missing, with the broker's default replication; what exists is left as it is.
 * Blocking, for tools and tests. Errors:    BV_E_TIMEOUT after timeout_ms (1..600000),
 * BV_E_INVALID, BV_E_IO; error says which topic and why. */
BV_MUST_CHECK int bv_kafka_topics_create(const char *brokers,
                                         const struct bv_topic *topics,
                                         size_t count,
                                         int64_t timeout_ms,
                                         struct bv_error *error);

#endif
