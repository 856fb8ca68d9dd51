#include "server_clients.h"

#include "bv/probe.h"
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <sys/time.h>

enum { METADATA_TRY_MS = 500 };

/* ---- PostgreSQL ---- */

static int fail_from(PGconn *conn, int code, struct bv_error *error)
{
    char text[120];
    snprintf(text, sizeof text, "%s", PQerrorMessage(conn));
    text[strcspn(text, "\n")] = '\0';
    return bv_fail(error, code, "PostgreSQL: %s", text);
}

static int
connect_until(uint16_t port, int64_t deadline_ms, PGconn **ret_conn, struct bv_error *error)
{
    char conninfo[128];
    snprintf(conninfo,
             sizeof conninfo,
             "host=127.0.0.1 port=%u user=bv dbname=postgres connect_timeout=2",
             port);
    for (;;) {
        BV_TRY(bv_port_await(port, deadline_ms, NULL, error));
        PGconn *conn = PQconnectdb(conninfo);
        if (PQstatus(conn) == CONNECTION_OK) {
            PGresult *one = PQexec(conn, "SELECT 1");
            bool ok = PQresultStatus(one) == PGRES_TUPLES_OK;
            PQclear(one);
            if (ok) {
                *ret_conn = conn;
                return 0;
            }
        }
        int rc = bv_now_ms() >= deadline_ms ? fail_from(conn, BV_E_TIMEOUT, error) : 0;
        PQfinish(conn);
        BV_TRY(rc);
        bv_retry_pause(); /* "the database system is starting up" */
    }
}

static int probe_postgres(uint16_t port, int64_t deadline_ms, struct bv_error *error)
{
    PGconn *conn = NULL;
    BV_TRY(connect_until(port, deadline_ms, &conn, error));
    PQfinish(conn);
    return 0;
}

/* ---- Redis ---- */

static int probe_redis(uint16_t port, int64_t deadline_ms, struct bv_error *error)
{
    for (;;) {
        BV_TRY(bv_port_await(port, deadline_ms, NULL, error));
        const struct timeval limit = {.tv_sec = 1};
        redisContext *context = redisConnectWithTimeout("127.0.0.1", port, limit);
        redisReply *reply = NULL;
        if (context && !context->err && redisSetTimeout(context, limit) == REDIS_OK)
            reply = redisCommand(context, "PING");
        bool ok = reply && reply->type == REDIS_REPLY_STATUS;
        if (reply)
            freeReplyObject(reply);
        if (context)
            redisFree(context);
        if (ok)
            return 0;
        if (bv_now_ms() >= deadline_ms)
            return bv_fail(error, BV_E_TIMEOUT, "Redis on port %u does not answer PING", port);
        bv_retry_pause();
    }
}

/* ---- Kafka ---- */

static void silence(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

static int client_open(uint16_t port, rd_kafka_t **ret_client, struct bv_error *error)
{
    char brokers[32], reason[160] = "";
    snprintf(brokers, sizeof brokers, "127.0.0.1:%u", port);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, silence);
    static const char *const rows[][2] = {
        {"reconnect.backoff.ms",     "10"},
        {"reconnect.backoff.max.ms", "50"},
        {"broker.address.family",    "v4"}
    };
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof reason);
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        rd_kafka_conf_set(conf, rows[i][0], rows[i][1], reason, sizeof reason);
    *ret_client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (*ret_client)
        return 0;
    rd_kafka_conf_destroy(conf);
    return bv_fail(error, BV_E_UNAVAILABLE, "librdkafka: %s", reason);
}

static int metadata_until(rd_kafka_t *client, int64_t deadline_ms, struct bv_error *error)
{
    for (;;) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, NULL, &metadata, METADATA_TRY_MS);
        int brokers = err == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->broker_cnt : 0;
        if (metadata)
            rd_kafka_metadata_destroy(metadata);
        if (brokers > 0)
            return 0;
        if (bv_now_ms() >= deadline_ms)
            return bv_fail(
                error, BV_E_TIMEOUT, "Kafka: no broker in Metadata (%s)", rd_kafka_err2str(err));
        bv_retry_pause();
    }
}

static int probe_kafka(uint16_t port, int64_t deadline_ms, struct bv_error *error)
{
    rd_kafka_t *client = NULL;
    BV_TRY(bv_port_await(port, deadline_ms, NULL, error));
    BV_TRY(client_open(port, &client, error));
    int rc = metadata_until(client, deadline_ms, error);
    rd_kafka_destroy(client);
    return rc;
}

static int topics_result(rd_kafka_event_t *event, struct bv_error *error)
{
    if (!event)
        return bv_fail(error, BV_E_TIMEOUT, "Kafka: no answer to CreateTopics");
    if (rd_kafka_event_error(event))
        return bv_fail(
            error, BV_E_UNAVAILABLE, "Kafka: CreateTopics: %s", rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[i]);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return bv_fail(error,
                           BV_E_UNAVAILABLE,
                           "Kafka: topic %s: %s",
                           rd_kafka_topic_result_name(results[i]),
                           rd_kafka_err2str(err));
    }
    return 0;
}

static int request_topics(rd_kafka_t *client,
                          const struct stack_topic *list,
                          size_t count,
                          int64_t deadline_ms,
                          struct bv_error *error)
{
    rd_kafka_NewTopic_t *topics[32];
    char reason[160];
    if (count > BV_COUNT(topics))
        return bv_fail(error, BV_E_LIMIT, "%zu topics, at most %zu", count, BV_COUNT(topics));
    for (size_t i = 0; i < count; i++)
        topics[i] =
            rd_kafka_NewTopic_new(list[i].name, list[i].partitions, 1, reason, sizeof reason);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    int64_t left = deadline_ms - bv_now_ms();
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_operation_timeout(options, 5000, reason, sizeof reason);
    rd_kafka_CreateTopics(client, topics, count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, left > 0 ? (int)left : 0);
    int rc = topics_result(event, error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy_array(topics, count);
    return rc;
}

static bool
has_leaders(const struct rd_kafka_metadata *metadata, const struct stack_topic *list, size_t count)
{
    size_t led = 0;
    for (int t = 0; t < metadata->topic_cnt; t++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[t];
        for (size_t i = 0; i < count; i++) {
            if (strcmp(topic->topic, list[i].name) != 0 || topic->err)
                continue;
            int leaders = 0;
            for (int p = 0; p < topic->partition_cnt; p++)
                leaders += topic->partitions[p].leader >= 0 && !topic->partitions[p].err;
            led += leaders == list[i].partitions;
        }
    }
    return led == count;
}

static int create_topics(uint16_t port,
                         const struct stack_topic *list,
                         size_t count,
                         int64_t deadline_ms,
                         struct bv_error *error)
{
    rd_kafka_t *client = NULL;
    BV_TRY(bv_port_await(port, deadline_ms, NULL, error));
    BV_TRY(client_open(port, &client, error));
    int rc = metadata_until(client, deadline_ms, error);
    if (rc == 0)
        rc = request_topics(client, list, count, deadline_ms, error);
    for (bool led = false; rc == 0 && !led;) {
        const struct rd_kafka_metadata *metadata = NULL;
        if (rd_kafka_metadata(client, 1, NULL, &metadata, METADATA_TRY_MS) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            led = has_leaders(metadata, list, count);
            rd_kafka_metadata_destroy(metadata);
        }
        if (!led && bv_now_ms() >= deadline_ms)
            rc = bv_fail(error, BV_E_TIMEOUT, "Kafka: topics without a leader");
        else if (!led)
            bv_retry_pause();
    }
    rd_kafka_destroy(client);
    return rc;
}

const struct stack_clients bv_stack_clients = {
    .postgres = probe_postgres,
    .redis = probe_redis,
    .kafka = probe_kafka,
    .kafka_topics = create_topics,
};
