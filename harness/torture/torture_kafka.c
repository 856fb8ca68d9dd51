#include "torture_kafka.h"

#include "bv/event.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { ASK_MS = 5000, POLL_MS = 1000, PARTITIONS_MAX = 64, EVENT_BYTES_MAX = 8192 };

static const struct bv_env system_env = {.clock = &bv_clock_system, .random = &bv_random_system};

struct torture_kafka {
    char brokers[256];
    struct torture_facts *facts; /* borrowed */
    rd_kafka_t *producer;        /* owned */
    atomic_int refused;
};

struct setting {
    const char *name;
    const char *value;
};

static int client_open(struct torture_kafka *kafka,
                       rd_kafka_type_t type,
                       const struct setting *rows,
                       size_t count,
                       rd_kafka_t **ret_client,
                       struct bv_error *error)
{
    char text[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* what matters comes back as an error */
    rd_kafka_conf_res_t rc =
        rd_kafka_conf_set(conf, "bootstrap.servers", kafka->brokers, text, sizeof text);
    for (size_t i = 0; i < count && rc == RD_KAFKA_CONF_OK; i++)
        rc = rd_kafka_conf_set(conf, rows[i].name, rows[i].value, text, sizeof text);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
        rd_kafka_conf_set_opaque(conf, kafka);
    }
    *ret_client = rc == RD_KAFKA_CONF_OK ? rd_kafka_new(type, conf, text, sizeof text) : NULL;
    if (*ret_client)
        return 0;
    rd_kafka_conf_destroy(conf);
    return bv_fail(error, BV_E_INVALID, "kafka: %s", text);
}

void torture_kafka_close(struct torture_kafka **kafka)
{
    if (!*kafka)
        return;
    if ((*kafka)->producer)
        rd_kafka_destroy((*kafka)->producer);
    free(*kafka);
    *kafka = NULL;
}

int torture_kafka_open(const char *brokers,
                       struct torture_facts *facts,
                       struct torture_kafka **ret_kafka,
                       struct bv_error *error)
{
    static const struct setting rows[] = {
        {"enable.idempotence", "true"},
        {"linger.ms",          "1"   },
    };
    struct torture_kafka *kafka = calloc(1, sizeof *kafka);
    if (!kafka)
        return BV_E_NOMEM;
    snprintf(kafka->brokers, sizeof kafka->brokers, "%s", brokers);
    kafka->facts = facts;
    int rc = client_open(kafka, RD_KAFKA_PRODUCER, rows, BV_COUNT(rows), &kafka->producer, error);
    if (rc < 0) {
        torture_kafka_close(&kafka);
        return rc;
    }
    *ret_kafka = kafka;
    return 0;
}

/* ---- paying ---- */

static void write_payload(struct bv_buf *buf, const struct torture_payment *payment)
{
    char id[BV_UUID_TEXT_SIZE], at[BV_TIME_TEXT_SIZE];
    struct bv_json_writer w = bv_json_writer(buf);
    bv_uuid_format(bv_uuid_v7(&system_env), id);
    bv_time_format(bv_wall_us(&system_env), at);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "paymentId", id);
    bv_jw_kv_text(&w, "orderId", payment->order_id);
    bv_jw_kv_int(&w, "amountMinor", payment->amount_minor);
    bv_jw_kv_string(&w, "currency", payment->currency);
    bv_jw_kv_text(&w, payment->declined ? "declinedAt" : "authorizedAt", at);
    if (payment->declined)
        bv_jw_kv_text(&w, "reason", "insufficient funds");
    bv_jw_end(&w);
}

/* Reports that are due; a refused record is counted. */
static void serve_reports(struct torture_kafka *kafka)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(kafka->producer);
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(queue, 0))) {
        const rd_kafka_message_t *message;
        while (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR &&
               (message = rd_kafka_event_message_next(event)))
            if (message->err)
                atomic_fetch_add(&kafka->refused, 1);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
}

int torture_kafka_pay(struct torture_kafka *kafka, const struct torture_payment *payment)
{
    struct bv_buf payload = {.max = EVENT_BYTES_MAX}, envelope = {.max = EVENT_BYTES_MAX};
    char id[BV_UUID_TEXT_SIZE];
    struct bv_event event = {.type = payment->declined
                                         ? BV_BYTES("ecommerce.payment.declined.v1")
                                         : BV_BYTES("ecommerce.payment.authorized.v1"),
                             .producer = BV_BYTES("payment"),
                             .partition_key = bv_bytes_of(payment->order_id)};
    write_payload(&payload, payment);
    event.payload_text = bv_buf_view(&payload);
    bv_event_stamp(&system_env, &event);
    int rc = payload.failed ? BV_E_NOMEM : bv_event_encode(&envelope, &event);
    for (int i = 0; rc == 0 && i < payment->copies; i++) {
        rd_kafka_resp_err_t err =
            rd_kafka_producev(kafka->producer,
                              RD_KAFKA_V_TOPIC("ecommerce.payments"),
                              RD_KAFKA_V_KEY(payment->order_id, strlen(payment->order_id)),
                              RD_KAFKA_V_VALUE(envelope.data, envelope.size),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_END);
        if (err && i == 0)
            rc = BV_E_LIMIT;
    }
    bv_uuid_format(event.id, id);
    if (rc == 0)
        torture_note(kafka->facts,
                     TORTURE_PAYMENTS,
                     "%s\t%s\t%s",
                     id,
                     payment->order_id,
                     payment->declined ? "declined" : "authorized");
    serve_reports(kafka);
    bv_buf_release(&payload);
    bv_buf_release(&envelope);
    return rc;
}

int torture_kafka_flush(struct torture_kafka *kafka, int timeout_ms, struct bv_error *error)
{
    for (int waited_ms = 0; waited_ms < timeout_ms; waited_ms += 100) {
        serve_reports(kafka);
        if (rd_kafka_outq_len(kafka->producer) == 0)
            break;
        rd_kafka_flush(kafka->producer, 100);
    }
    if (rd_kafka_outq_len(kafka->producer) > 0)
        return bv_fail(error, BV_E_TIMEOUT, "payments are not acknowledged by Kafka");
    if (atomic_load(&kafka->refused) > 0)
        return bv_fail(error, BV_E_IO, "Kafka refused a payment");
    return 0;
}

/* ---- topics ---- */

static int
partitions_of(rd_kafka_t *client, const char *topic, int *ret_count, struct bv_error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, handle, &metadata, ASK_MS);
    int count = !err && metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    if (count < 1 || count > PARTITIONS_MAX)
        return bv_fail(error, BV_E_UNAVAILABLE, "no metadata of topic %s", topic);
    *ret_count = count;
    return 0;
}

static int reader_open(struct torture_kafka *kafka,
                       const char *group,
                       rd_kafka_t **ret_client,
                       struct bv_error *error)
{
    const struct setting rows[] = {
        {"group.id",             group           },
        {"enable.auto.commit",   "false"         },
        {"auto.offset.reset",    "earliest"      },
        {"enable.partition.eof", "true"          },
        {"isolation.level",      "read_committed"},
    };
    BV_TRY(client_open(kafka, RD_KAFKA_CONSUMER, rows, BV_COUNT(rows), ret_client, error));
    rd_kafka_poll_set_consumer(*ret_client);
    return 0;
}

static int lag_of(rd_kafka_t *client, const char *topic, int64_t *ret_lag, struct bv_error *error)
{
    int count = 0;
    int64_t lag = 0;
    BV_TRY(partitions_of(client, topic, &count, error));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, i);
    rd_kafka_resp_err_t err = rd_kafka_committed(client, list, ASK_MS);
    for (int i = 0; i < list->cnt && !err; i++) {
        int64_t low = 0, high = 0;
        err = rd_kafka_query_watermark_offsets(
            client, topic, list->elems[i].partition, &low, &high, ASK_MS);
        lag += high - (list->elems[i].offset < low ? low : list->elems[i].offset);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err)
        return bv_fail(error, BV_E_UNAVAILABLE, "offsets of %s: %s", topic, rd_kafka_err2str(err));
    *ret_lag = lag;
    return 0;
}

int torture_kafka_lag(struct torture_kafka *kafka,
                      const char *group,
                      const char *topic,
                      int64_t *ret_lag,
                      struct bv_error *error)
{
    rd_kafka_t *client = NULL;
    BV_TRY(reader_open(kafka, group, &client, error));
    int rc = lag_of(client, topic, ret_lag, error);
    rd_kafka_destroy(client);
    return rc;
}

static int read_to_ends(rd_kafka_t *client,
                        int left,
                        void (*take)(void *argument, const struct torture_record *record),
                        void *argument,
                        struct bv_error *error)
{
    for (int idle = 0; left > 0 && idle < 15; idle++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, POLL_MS);
        if (!message)
            continue;
        idle = 0;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            left--;
        else if (!message->err)
            take(argument,
                 &(struct torture_record){
                     .key = {message->key,     message->key_len},
                     .value = {message->payload, message->len    },
                     .partition = message->partition,
                     .offset = message->offset
            });
        rd_kafka_message_destroy(message);
    }
    return left > 0 ? bv_fail(error, BV_E_TIMEOUT, "a topic was not read to its end") : 0;
}

int torture_kafka_read(struct torture_kafka *kafka,
                       const char *topic,
                       void (*take)(void *argument, const struct torture_record *record),
                       void *argument,
                       struct bv_error *error)
{
    rd_kafka_t *client = NULL;
    int count = 0;
    BV_TRY(reader_open(kafka, "torture-reader", &client, error));
    int rc = partitions_of(client, topic, &count, error);
    if (rc == 0) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
        for (int i = 0; i < count; i++)
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
        rd_kafka_assign(client, list);
        rd_kafka_topic_partition_list_destroy(list);
        rc = read_to_ends(client, count, take, argument, error);
    }
    rd_kafka_destroy(client);
    return rc;
}
