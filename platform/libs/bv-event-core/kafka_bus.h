/* Inside of the Kafka bus: what its files share. librdkafka's types stay in these files.
 *
 *   librdkafka threads ──queues──> eventfd ──bv_poll──> loop: drained in batches, at most
 * KAFKA_BATCH per turn
 *
 * One eventfd wakes for several queues: librdkafka writes it when a queue goes from empty to not
 * empty, so a queue must be polled until empty, or looked at again when there is room (after an
 * acknowledgement) or in the next turn (kafka_wake_again). */
#ifndef BV_KAFKA_BUS_H
#define BV_KAFKA_BUS_H

#include "bv/bus.h"

#include <librdkafka/rdkafka.h>

#define KAFKA_BATCH 512
#define KAFKA_TOPIC_BYTES_MAX 249
#define KAFKA_CLOSE_MS 5000
#define KAFKA_SILENT_MS 3000 /* a broker that reports on nothing for so long counts as away */

struct kafka_wake {
    int fd; /* owned; eventfd */
    struct bv_poll *poll;
};
int kafka_wake_open(struct kafka_wake *wake,
                    struct bv_loop *loop,
                    void (*function)(void *argument, int events),
                    void *argument);
void kafka_wake_attach(const struct kafka_wake *wake, rd_kafka_queue_t *queue);
void kafka_wake_detach(rd_kafka_queue_t *queue);
void kafka_wake_again(const struct kafka_wake *wake); /* function runs in the next turn */
void kafka_wake_clear(const struct kafka_wake *wake);
void kafka_wake_close(struct kafka_wake *wake); /* after its queues were detached */

/* Series per label pair, looked up by the first record of each and kept: the hot path compares
 * short strings. */
struct kafka_series {
    struct kafka_series *next;
    const struct bv_metric *metric;
    struct bv_series *series;
    char first[KAFKA_TOPIC_BYTES_MAX + 1];
    char second[KAFKA_TOPIC_BYTES_MAX + 1];
};
/* Topics published to. */
struct kafka_topic {
    struct kafka_topic *next;
    rd_kafka_topic_t *handle;
    char name[KAFKA_TOPIC_BYTES_MAX + 1];
};
struct kafka_publish;
struct kafka_subscription;
struct kafka_bus {
    struct bv_bus base;
    struct bv_loop *loop;       /* borrowed */
    struct bv_log *log;         /* borrowed, may be NULL */
    struct bv_metrics *metrics; /* borrowed, may be NULL */
    char *brokers;              /* owned */
    char *client_id;            /* owned */
    char *instance;             /* owned; "": none */
    int64_t queue_max;
    int64_t linger_ms;
    rd_kafka_t *producer;
    rd_kafka_queue_t *queue;
    struct kafka_wake wake;
    struct kafka_topic *topics; /* of the producer */
    struct bv_timer *tick;
    struct bv_arena *stats_arena;
    struct kafka_series *series;
    struct bv_series *queue_series; /* NULL without metrics */
    struct kafka_subscription *subscriptions;
    size_t waiting;   /* publishes without a report */
    int64_t heard_ms; /* last report; or when the first of those that wait was sent */
    bool up;          /* a broker is connected */
    int eager;        /* ticks that still look for the first answer of a broker */
    bool fatal;       /* the producer must be replaced */
    bool closing;
};
extern const struct bv_bus_ops kafka_bus_ops;
extern const struct bv_metric kafka_published_metric, kafka_received_metric, kafka_lag_metric;

struct bv_series *kafka_series(struct kafka_bus *bus,
                               const struct bv_metric *metric,
                               const char *first,
                               const char *second); /* NULL without metrics */
int kafka_code(rd_kafka_resp_err_t err);
/* Rows of {name, value}; BV_E_INVALID names the first that librdkafka refuses. */
struct kafka_setting {
    const char *name;
    const char *value;
};
int kafka_conf_apply(rd_kafka_conf_t *conf,
                     const struct kafka_setting *rows,
                     size_t count,
                     struct bv_error *error);
int kafka_client_open(struct kafka_bus *bus,
                      rd_kafka_type_t type,
                      rd_kafka_conf_t *conf,
                      rd_kafka_t **ret_client);
void kafka_log_event(struct kafka_bus *bus, rd_kafka_event_t *event);
/* Parses a statistics event; the value lives until the next call. NULL when it cannot be read. */
const struct bv_json *kafka_stats(struct kafka_bus *bus, rd_kafka_event_t *event);

int kafka_subscribe(struct bv_bus *self,
                    const struct bv_subscription_config *config,
                    bv_bus_receive *receive,
                    void *argument,
                    struct bv_subscription **ret_subscription);
void kafka_unsubscribe(struct bv_subscription **subscription);
void kafka_ack(struct bv_delivery *delivery);
void kafka_retry(struct bv_delivery *delivery, int64_t delay_ms);
/* Ends every subscription within the deadline (blocks). */
void kafka_subscriptions_end(struct kafka_bus *bus, int64_t deadline_ms);

#endif
