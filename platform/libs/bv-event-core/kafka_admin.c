/* Creating topics, blocking. */
#include "kafka_bus.h"

#include <stdio.h>

static rd_kafka_NewTopic_t *row_of(const struct bv_topic *topic, struct bv_error *error)
{
    char text[256] = "", retention[24];
    rd_kafka_NewTopic_t *row =
        rd_kafka_NewTopic_new(topic->name, topic->partitions, -1, text, sizeof text);
    if (!row) {
        (void)bv_fail(error, BV_E_INVALID, "topic %s: %s", topic->name, text);
        return NULL;
    }
    snprintf(retention, sizeof retention, "%lld", (long long)topic->retention_ms);
    if (topic->retention_ms != 0)
        rd_kafka_NewTopic_set_config(row, "retention.ms", retention);
    return row;
}

static int read_results(rd_kafka_event_t *event, struct bv_error *error)
{
    if (!event)
        return bv_fail(error, BV_E_TIMEOUT, "creating topics: no answer from the brokers");
    if (rd_kafka_event_error(event)) {
        rd_kafka_resp_err_t err = rd_kafka_event_error(event);
        int code = err == RD_KAFKA_RESP_ERR__TIMED_OUT ? BV_E_TIMEOUT : BV_E_IO;
        return bv_fail(error, code, "creating topics: %s", rd_kafka_event_error_string(event));
    }
    size_t count = 0;
    const rd_kafka_topic_result_t **rows =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = rd_kafka_topic_result_error(rows[i]);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return bv_fail(error,
                           kafka_code(err),
                           "topic %s: %s",
                           rd_kafka_topic_result_name(rows[i]),
                           rd_kafka_topic_result_error_string(rows[i]));
    }
    return 0;
}

static int request(rd_kafka_t *client,
                   rd_kafka_NewTopic_t **rows,
                   size_t count,
                   int timeout_ms,
                   struct bv_error *error)
{
    char text[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_CreateTopics(client, rows, count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    int rc = read_results(event, error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return rc;
}

#define TOPICS_MAX 256

int bv_kafka_topics_create(const char *brokers,
                           const struct bv_topic *topics,
                           size_t count,
                           int64_t timeout_ms,
                           struct bv_error *error)
{
    if (count == 0)
        return 0;
    if (count > TOPICS_MAX || timeout_ms < 1 || timeout_ms > 600000)
        return bv_fail(error,
                       BV_E_INVALID,
                       "at most %d topics at once, a timeout of 1 to 600000 ms",
                       TOPICS_MAX);
    const struct kafka_setting settings[] = {
        {"bootstrap.servers",        brokers},
        {"reconnect.backoff.ms",     "50"   },
        {"reconnect.backoff.max.ms", "500"  },
        {"log_level",                "2"    },
    };
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = kafka_conf_apply(conf, settings, BV_COUNT(settings), error);
    rd_kafka_t *client = rc == 0 ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text) : NULL;
    if (!client) {
        rd_kafka_conf_destroy(conf);
        return rc < 0 ? rc : bv_fail(error, BV_E_INVALID, "kafka: %s", text);
    }
    rd_kafka_NewTopic_t *rows[TOPICS_MAX] = {0};
    for (size_t i = 0; i < count && rc == 0; i++) {
        rows[i] = row_of(&topics[i], error);
        rc = rows[i] ? 0 : BV_E_INVALID;
    }
    if (rc == 0)
        rc = request(client, rows, count, (int)timeout_ms, error);
    for (size_t i = 0; i < count && rows[i]; i++)
        rd_kafka_NewTopic_destroy(rows[i]);
    rd_kafka_destroy(client);
    return rc;
}
