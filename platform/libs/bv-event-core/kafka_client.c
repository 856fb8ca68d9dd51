/* What producer, consumers and admin share: settings, error codes, the eventfd, logs, statistics,
 * series. */
#include "kafka_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bv/json.h"

int kafka_wake_open(struct kafka_wake *wake,
                    struct bv_loop *loop,
                    void (*function)(void *argument, int events),
                    void *argument)
{
    wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake->fd < 0)
        return BV_E_IO;
    int rc = bv_poll_open(loop, wake->fd, function, argument, &wake->poll);
    if (rc < 0) {
        close(wake->fd);
        wake->fd = -1;
        return rc;
    }
    bv_poll_set(wake->poll, BV_POLL_READ);
    return 0;
}

void kafka_wake_attach(const struct kafka_wake *wake, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, wake->fd, &one, sizeof one);
    kafka_wake_again(wake); /* what came before the attachment */
}

void kafka_wake_detach(rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void kafka_wake_again(const struct kafka_wake *wake)
{
    static const uint64_t one = 1;
    ssize_t written = write(wake->fd, &one, sizeof one);
    (void)written; /* EAGAIN: the counter is full, so the descriptor is readable already */
}

void kafka_wake_clear(const struct kafka_wake *wake)
{
    uint64_t count;
    ssize_t got = read(wake->fd, &count, sizeof count);
    (void)got; /* EAGAIN: cleared already */
}

void kafka_wake_close(struct kafka_wake *wake)
{
    if (!wake->poll)
        return;
    bv_poll_close(&wake->poll);
    close(wake->fd);
    wake->fd = -1;
}

struct bv_series *kafka_series(struct kafka_bus *bus,
                               const struct bv_metric *metric,
                               const char *first,
                               const char *second)
{
    if (!bus->metrics)
        return NULL;
    for (struct kafka_series *row = bus->series; row; row = row->next) {
        if (row->metric == metric && strcmp(row->first, first) == 0 &&
            strcmp(row->second, second) == 0)
            return row->series;
    }
    const char *values[] = {first, second};
    struct bv_series *series = bv_metrics_series(bus->metrics, metric, values, BV_COUNT(values));
    struct kafka_series *row = calloc(1, sizeof *row);
    if (!row)
        return series;
    *row = (struct kafka_series){.next = bus->series, .metric = metric, .series = series};
    snprintf(row->first, sizeof row->first, "%s", first);
    snprintf(row->second, sizeof row->second, "%s", second);
    bus->series = row;
    return series;
}

static const struct {
    rd_kafka_resp_err_t err;
    int code;
} codes[] = {
    {RD_KAFKA_RESP_ERR__QUEUE_FULL,                  BV_E_LIMIT      },
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,           BV_E_TOO_LARGE  },
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,        BV_E_TOO_LARGE  },
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,               BV_E_NOT_FOUND  },
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,           BV_E_NOT_FOUND  },
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,        BV_E_NOT_FOUND  },
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,   BV_E_FORBIDDEN  },
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, BV_E_FORBIDDEN  },
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,              BV_E_INVALID    },
    {RD_KAFKA_RESP_ERR__INVALID_ARG,                 BV_E_INVALID    },
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE,                 BV_E_CANCELLED  },
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,              BV_E_CANCELLED  },
    {RD_KAFKA_RESP_ERR__DESTROY,                     BV_E_CANCELLED  },
    {RD_KAFKA_RESP_ERR__FATAL,                       BV_E_UNAVAILABLE},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,               BV_E_TIMEOUT    },
    {RD_KAFKA_RESP_ERR__TIMED_OUT,                   BV_E_TIMEOUT    },
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,            BV_E_TIMEOUT    },
};

int kafka_code(rd_kafka_resp_err_t err)
{
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    for (size_t i = 0; i < BV_COUNT(codes); i++) {
        if (codes[i].err == err)
            return codes[i].code;
    }
    return BV_E_IO;
}

int kafka_conf_apply(rd_kafka_conf_t *conf,
                     const struct kafka_setting *rows,
                     size_t count,
                     struct bv_error *error)
{
    char text[256];
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_conf_set(conf, rows[i].name, rows[i].value, text, sizeof text) !=
            RD_KAFKA_CONF_OK)
            return bv_fail(error, BV_E_INVALID, "kafka: %s", text);
    }
    return 0;
}

/* Reconnecting is quick (50 ms to 1 s) because services and brokers start at the same time. */
static const struct kafka_setting common[] = {
    {"log.queue",                "true"},
    {"socket.nagle.disable",     "true"},
    {"reconnect.backoff.ms",     "50"  },
    {"reconnect.backoff.max.ms", "1000"},
};

int kafka_client_open(struct kafka_bus *bus,
                      rd_kafka_type_t type,
                      rd_kafka_conf_t *conf,
                      rd_kafka_t **ret_client)
{
    const struct kafka_setting own[] = {
        {"bootstrap.servers", bus->brokers  },
        {"client.id",         bus->client_id},
    };
    struct bv_error error = {0};
    int rc = kafka_conf_apply(conf, common, BV_COUNT(common), &error);
    if (rc == 0)
        rc = kafka_conf_apply(conf, own, BV_COUNT(own), &error);
    char text[256] = "";
    if (rc == 0) {
        *ret_client = rd_kafka_new(type, conf, text, sizeof text);
        if (*ret_client)
            return 0;
        rc = BV_E_INVALID;
    }
    rd_kafka_conf_destroy(conf);
    bv_log(bus->log,
           BV_ERROR,
           "kafka.client_refused",
           NULL,
           BV_F_TEXT("reason", text[0] ? text : error.text));
    return rc;
}

void kafka_log_event(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    const char *facility = "", *text = "";
    int level = 7;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_LOG)
        rd_kafka_event_log(event, &facility, &text, &level);
    else
        text = rd_kafka_event_error_string(event);
    /* librdkafka calls a broker that is away an error several times a second; readiness tells that
     * better. */
    bv_log(bus->log,
           level <= 2 ? BV_ERROR : BV_DEBUG,
           "kafka.client",
           NULL,
           BV_F_TEXT("facility", facility),
           BV_F_TEXT("text", text ? text : ""));
}

const struct bv_json *kafka_stats(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    const struct bv_json *root = NULL;
    struct bv_error error = {0};
    bv_arena_reset(bus->stats_arena);
    if (bv_json_parse(bus->stats_arena, bv_bytes_of(rd_kafka_event_stats(event)), &root, &error) <
        0) {
        bv_log(
            bus->log, BV_DEBUG, "kafka.statistics_unread", NULL, BV_F_TEXT("reason", error.text));
        return NULL;
    }
    return root;
}
