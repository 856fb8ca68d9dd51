/* Two librdkafka handles per actor: a consumer that one thread polls, and a producer made on the
 * first publish. */
#include "kafka_actor.h"

#include "bv/event.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALL_MS = 10000, POLL_MS = 200, SETTLE_MS = 3000, AGAIN_MS = 50, HEADERS_MAX = 32 };

struct kafka {
    struct bv_actor *actor;
    const char *topic;     /* arena */
    const char *producer;  /* arena: name in the envelope */
    rd_kafka_t *consumer;  /* owned */
    rd_kafka_t *publisher; /* owned, NULL until the first publish */
    pthread_t thread;
    bool running;
    atomic_bool stopping;
};

enum { OPEN_TOPIC, OPEN_PRODUCER };
static const struct bv_arg open_args[] = {
    {"topic",    "topic", BV_ARG_TEXT, BV_REQUIRED, "name of the topic"                                        },
    {"producer",
     "producer",          BV_ARG_TEXT,
     BV_OPTIONAL,                                   "producer in the envelopes that it publishes, else \"lab\""},
};

/* ---- consuming ---- */

static size_t read_headers(const rd_kafka_message_t *record, struct bv_http_field *fields)
{
    rd_kafka_headers_t *headers = NULL;
    size_t count = 0;
    if (rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    const char *name = NULL;
    const void *value = NULL;
    size_t size = 0;
    while (count < HEADERS_MAX && rd_kafka_header_get_all(headers, count, &name, &value, &size) ==
                                      RD_KAFKA_RESP_ERR_NO_ERROR)
        fields[count++] = (struct bv_http_field){
            name, {value, size}
        };
    return count;
}

static void on_record(struct kafka *kafka, const rd_kafka_message_t *record)
{
    struct bv_http_field fields[HEADERS_MAX];
    struct bv_message message = {
        .direction = BV_RECEIVED,
        .key = {record->key,     record->key_len},
        .body = {record->payload, record->len    },
        .status = BV_NO_NUMBER,
        .sequence = record->offset,
        .media_type = BV_BYTES("application/json"),
        .fields = fields,
        .field_count = read_headers(record, fields),
    };
    for (size_t i = 0; i < message.field_count; i++)
        if (strcmp(fields[i].name, "event-type") == 0)
            message.type = fields[i].value;
    char summary[256];
    int size = snprintf(summary,
                        sizeof summary,
                        "%s[%d]@%lld %.*s",
                        kafka->topic,
                        record->partition,
                        (long long)record->offset,
                        (int)(message.type.size < 120 ? message.type.size : 120),
                        message.type.size ? message.type.data : "");
    message.summary =
        (struct bv_bytes){summary, size > 0 && (size_t)size < sizeof summary ? (size_t)size : 0};
    (void)bv_actor_record(kafka->actor, &message, NULL); /* a full recording is remembered there */
}

static void *consume(void *argument)
{
    struct kafka *kafka = argument;
    pthread_setname_np(pthread_self(), "lab-kafka");
    while (!atomic_load(&kafka->stopping)) {
        rd_kafka_message_t *record = rd_kafka_consumer_poll(kafka->consumer, POLL_MS);
        if (!record)
            continue;
        if (!record->err)
            on_record(kafka, record);
        else if (record->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            (void)bv_actor_note(kafka->actor, "Kafka: %s", rd_kafka_message_errstr(record));
        rd_kafka_message_destroy(record);
    }
    return NULL;
}

struct outcome {
    bool done;
    rd_kafka_resp_err_t code;
};

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *record, void *opaque)
{
    (void)handle, (void)opaque;
    struct outcome *outcome = record->_private;
    *outcome = (struct outcome){true, record->err};
}

struct setting {
    const char *name;
    const char *value;
};

static int make(struct kafka *kafka,
                rd_kafka_type_t type,
                const struct setting *settings,
                size_t count,
                rd_kafka_t **ret_handle,
                struct bv_error *error)
{
    char why[160];
    const char *brokers =
        kafka->actor->lab->ops->stack_variable(kafka->actor->lab, "BV_KAFKA_BROKERS");
    if (!brokers)
        return bv_fail(error, BV_E_UNAVAILABLE, "the stack has no Kafka");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    int rc = rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    for (size_t i = 0; rc == RD_KAFKA_CONF_OK && i < count; i++)
        rc = rd_kafka_conf_set(conf, settings[i].name, settings[i].value, why, sizeof why);
    rd_kafka_t *handle = rc == RD_KAFKA_CONF_OK ? rd_kafka_new(type, conf, why, sizeof why) : NULL;
    if (!handle) {
        rd_kafka_conf_destroy(conf);
        return bv_fail(error, BV_E_INTERNAL, "Kafka: %s", why);
    }
    *ret_handle = handle;
    return 0;
}

static int
red(struct bv_error *error, const char *what, const char *topic, rd_kafka_resp_err_t code)
{
    (void)bv_fail(error, BV_E_UNAVAILABLE, "%s %s: %s", what, topic, rd_kafka_err2str(code));
    return BV_MISMATCH;
}

/* The topic as the brokers know it; *ret_metadata is the caller's in any case. */
static rd_kafka_resp_err_t describe(struct kafka *kafka,
                                    rd_kafka_topic_t *topic,
                                    const struct rd_kafka_metadata **ret_metadata)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(kafka->consumer, 0, topic, ret_metadata, CALL_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if ((*ret_metadata)->topic_cnt != 1 ||
        ((*ret_metadata)->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
         (*ret_metadata)->topics[0].partition_cnt == 0))
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    return (*ret_metadata)->topics[0].err;
}

/* Each partition at its high watermark. A topic made a moment ago may not be known, or not be led,
 * everywhere yet: asked again until SETTLE_MS have passed. */
static rd_kafka_resp_err_t
add_ends(struct kafka *kafka, rd_kafka_topic_t *topic, rd_kafka_topic_partition_list_t *list)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = describe(kafka, topic, &metadata);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < metadata->topics[0].partition_cnt;
         i++) {
        int32_t partition = metadata->topics[0].partitions[i].id;
        int64_t low = 0;
        int64_t high = 0;
        code = rd_kafka_query_watermark_offsets(
            kafka->consumer, kafka->topic, partition, &low, &high, CALL_MS);
        rd_kafka_topic_partition_list_add(list, kafka->topic, partition)->offset = high;
    }
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    return code;
}

static int
ends_of(struct kafka *kafka, rd_kafka_topic_partition_list_t **ret_list, struct bv_error *error)
{
    int64_t give_up_us = bv_mono_us(kafka->actor->lab->env) + SETTLE_MS * 1000;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka->consumer, kafka->topic, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t code = add_ends(kafka, topic, list);
    while (code != RD_KAFKA_RESP_ERR_NO_ERROR && bv_mono_us(kafka->actor->lab->env) < give_up_us) {
        rd_kafka_poll(kafka->consumer, AGAIN_MS); /* its events meanwhile */
        rd_kafka_topic_partition_list_destroy(list);
        list = rd_kafka_topic_partition_list_new(8);
        code = add_ends(kafka, topic, list);
    }
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_partition_list_destroy(list);
        return red(error, "topic", kafka->topic, code);
    }
    *ret_list = list;
    return 0;
}

static int kafka_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    static const struct setting settings[] = {
        {"group.id",                 "lab"  }, /* never joined: assigned by hand */
        {"enable.auto.commit",       "false"},
        {"auto.offset.reset",        "error"},
        {"allow.auto.create.topics", "false"},
        {"fetch.wait.max.ms",        "100"  },
        {"log_level",                "2"    },
    };
    struct kafka *kafka = actor->state = calloc(1, sizeof *kafka);
    if (!kafka)
        return BV_E_NOMEM;
    kafka->actor = actor;
    kafka->topic = bv_arena_text(actor->lab->arena, call->values[OPEN_TOPIC].text);
    kafka->producer = call->values[OPEN_PRODUCER].present
                          ? bv_arena_text(actor->lab->arena, call->values[OPEN_PRODUCER].text)
                          : "lab";
    if (!kafka->topic || !kafka->producer)
        return BV_E_NOMEM;
    BV_TRY(make(kafka, RD_KAFKA_CONSUMER, settings, BV_COUNT(settings), &kafka->consumer, error));
    rd_kafka_poll_set_consumer(kafka->consumer);
    rd_kafka_topic_partition_list_t *list = NULL;
    int rc = ends_of(kafka, &list, error);
    if (rc != 0)
        return rc;
    rd_kafka_resp_err_t code = rd_kafka_assign(kafka->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return red(error, "assigning", kafka->topic, code);
    if (pthread_create(&kafka->thread, NULL, consume, kafka) != 0)
        return bv_fail(error, BV_E_LIMIT, "no thread for the consumer");
    kafka->running = true;
    return 0;
}

static void kafka_close(struct bv_actor *actor)
{
    struct kafka *kafka = actor->state;
    if (!kafka)
        return;
    if (kafka->running) {
        atomic_store(&kafka->stopping, true);
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka->consumer);
        rd_kafka_queue_yield(queue); /* else the poll would end by its time */
        rd_kafka_queue_destroy(queue);
        pthread_join(kafka->thread, NULL);
    }
    if (kafka->consumer) {
        rd_kafka_assign(kafka->consumer, NULL);
        rd_kafka_destroy_flags(kafka->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    if (kafka->publisher)
        rd_kafka_destroy(kafka->publisher);
    free(kafka);
    actor->state = NULL;
}

/* ---- publishing ---- */

enum { PUBLISH_TYPE, PUBLISH_KEY };
static const struct bv_arg publish_args[] = {
    {"type", NULL,      BV_ARG_EVENT, BV_REQUIRED, "event type; the doc string is its payload"},
    {"key",  "for key", BV_ARG_TEXT,  BV_REQUIRED, "partition key"                            },
};

static int publisher_of(struct kafka *kafka, struct bv_error *error)
{
    static const struct setting settings[] = {
        {"enable.idempotence", "true"          },
        {"linger.ms",          "0"             },
        {"partitioner",        "murmur2_random"}, /* as the services: a key keeps its partition */
        {"message.timeout.ms", "10000"         },
        {"message.max.bytes",  "2000000"       }, /* the broker's limit is what counts */
        {"log_level",          "2"             }
    };
    if (kafka->publisher)
        return 0;
    return make(kafka, RD_KAFKA_PRODUCER, settings, BV_COUNT(settings), &kafka->publisher, error);
}

static int encode(struct kafka *kafka,
                  const struct bv_call *call,
                  struct bv_event *event,
                  struct bv_buf *body,
                  struct bv_error *error)
{
    struct bv_lab *lab = kafka->actor->lab;
    const struct bv_json *payload = NULL;
    BV_TRY(bv_json_parse(lab->arena, call->doc, &payload, error));
    *event = (struct bv_event){
        .type = call->values[PUBLISH_TYPE].text,
        .producer = bv_bytes_of(kafka->producer),
        .trace = event->trace,
        .correlation_id = bv_bytes_of(lab->run),
        .partition_key = call->values[PUBLISH_KEY].text,
        .payload = payload,
    };
    bv_event_stamp(lab->env, event);
    if (bv_event_encode(body, event) < 0)
        return bv_fail(
            error, BV_E_INVALID, "no envelope can hold this: check type, producer and key");
    return 0;
}

static int
send_record(struct kafka *kafka, const struct bv_message *message, struct bv_error *error)
{
    struct outcome outcome = {0};
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->field_count);
    for (size_t i = 0; i < message->field_count; i++)
        rd_kafka_header_add(headers,
                            message->fields[i].name,
                            -1,
                            message->fields[i].value.data,
                            (ssize_t)message->fields[i].value.size);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        kafka->publisher,
        RD_KAFKA_V_TOPIC(kafka->topic),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(message->key.data, message->key.size),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)message->body.data, message->body.size),
        RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(&outcome),
        RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
        return red(error, "publishing to", kafka->topic, code);
    }
    /* message.timeout.ms guarantees an outcome, which points into this frame: wait for it. */
    while (!outcome.done)
        rd_kafka_poll(kafka->publisher, 100);
    return outcome.code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : red(error, "publishing to", kafka->topic, outcome.code);
}

static int kafka_publish(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct kafka *kafka = actor->state;
    char traceparent[BV_TRACEPARENT_SIZE];
    char id[BV_UUID_TEXT_SIZE];
    bv_auto(bv_buf_release) struct bv_buf body = {.max = BV_EVENT_BYTES_MAX};
    struct bv_event event = {.trace = bv_actor_trace(actor, traceparent)};
    BV_TRY(publisher_of(kafka, error));
    BV_TRY(encode(kafka, call, &event, &body, error));
    bv_uuid_format(event.id, id);
    struct bv_http_field fields[] = {
        {"traceparent",    bv_bytes_of(traceparent)},
        {"correlation-id", event.correlation_id    },
        {"event-type",     event.type              },
        {"event-id",       bv_bytes_of(id)         },
    };
    char *summary = bv_arena_format(actor->lab->arena, "%s %.*s", kafka->topic, BV_ARG(event.type));
    struct bv_message message = {
        .direction = BV_SENT,
        .summary = bv_bytes_of(summary),
        .type = event.type,
        .key = event.partition_key,
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = fields,
        .field_count = BV_COUNT(fields),
        .media_type = BV_BYTES("application/json"),
        .body = bv_buf_view(&body),
        .trace = event.trace,
    };
    BV_TRY(bv_actor_record(actor, &message, NULL));
    return send_record(kafka, &message, error);
}

enum { SEND_KEY, SEND_HEADER };
static const struct bv_arg send_args[] = {
    {"key",    "for key", BV_ARG_TEXT, BV_OPTIONAL, "key of the record; none when it is left out"},
    {"header", "header",  BV_ARG_PAIR, BV_OPTIONAL, "one more header"                            },
};

/* The doc string as it stands; ""\"hex: the bytes of its digits. */
static int raw_body(const struct bv_call *call,
                    struct bv_arena *arena,
                    struct bv_bytes *ret_body,
                    struct bv_error *error)
{
    *ret_body = call->doc;
    if (!bv_bytes_equal(call->doc_media_type, BV_BYTES("hex")))
        return 0;
    char *bytes = bv_arena_alloc(arena, call->doc.size / 2 + 1);
    if (!bytes)
        return BV_E_NOMEM;
    if (call->doc.size % 2 || bv_hex_decode(call->doc, bytes, call->doc.size / 2) < 0)
        return bv_fail(error, BV_E_INVALID, "the doc string is not pairs of hex digits");
    *ret_body = (struct bv_bytes){bytes, call->doc.size / 2};
    return 0;
}

static int kafka_send(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct kafka *kafka = actor->state;
    struct bv_arena *arena = actor->lab->arena;
    const struct bv_value *headers = &call->values[SEND_HEADER];
    struct bv_http_field fields[BV_PAIRS_MAX + 1] = {
        {BV_KAFKA_POISON, BV_BYTES("on purpose")}
    };
    struct bv_message message = {
        .direction = BV_SENT,
        .summary = bv_bytes_of(bv_arena_format(arena, "%s raw record", kafka->topic)),
        .key = call->values[SEND_KEY].text,
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = fields,
        .field_count = 1,
    };
    BV_TRY(raw_body(call, arena, &message.body, error));
    for (size_t i = 0; i < headers->pair_count; i++)
        fields[message.field_count++] = (struct bv_http_field){
            bv_arena_text(arena, headers->pairs[i].name), headers->pairs[i].value};
    if (bv_arena_failed(arena))
        return BV_E_NOMEM;
    BV_TRY(publisher_of(kafka, error));
    BV_TRY(bv_actor_record(actor, &message, NULL));
    return send_record(kafka, &message, error);
}

/* The same record once more, as a producer does that did not see its acknowledgement. */
static int kafka_repeat(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct kafka *kafka = actor->state;
    const struct bv_message *current = actor->current;
    (void)call;
    if (!current)
        return bv_fail(error, BV_E_INVALID, "%s has no record to repeat yet", actor->name);
    struct bv_message message = {
        .direction = BV_SENT,
        .summary = bv_bytes_of(bv_arena_format(
            actor->lab->arena, "%s %.*s again", kafka->topic, BV_ARG(current->type))),
        .type = current->type,
        .key = current->key,
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = current->fields,
        .field_count = current->field_count,
        .media_type = current->media_type,
        .body = current->body,
        .trace = current->trace,
    };
    BV_TRY(publisher_of(kafka, error));
    BV_TRY(bv_actor_record(actor, &message, NULL));
    return send_record(kafka, &message, error);
}

static int kafka_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_call *call = check->call;
    const struct bv_json *payload = NULL;
    struct bv_bytes bytes;
    check->place = BV_CHECK_DOC;
    if (!check->verb)
        return 0;
    if (check->verb->run == kafka_publish)
        return bv_json_parse(check->arena, call->doc, &payload, error);
    if (check->verb->run == kafka_send && !check->doc_open)
        return raw_body(call, check->arena, &bytes, error);
    return 0;
}

static const struct bv_verb verbs[] = {
    {"repeats",
     NULL,         0,
     BV_TAKES_NOTHING, kafka_repeat,
     "publish the current record once more, byte for byte: at least once means twice"     },
    {"sends",
     send_args,    BV_COUNT(send_args),
     BV_NEEDS_DOC,     kafka_send,
     "send the doc string as it stands (hex: as bytes): a record that breaks its contract"},
    {"publishes",
     publish_args, BV_COUNT(publish_args),
     BV_NEEDS_DOC,     kafka_publish,
     "publish one event: full envelope and headers around the doc string"                 },
};

static const struct bv_probe probes[] = {
    {"type",     BV_PROBE_PLAIN, bv_probe_type,     "event type, from the header event-type"},
    {"key",      BV_PROBE_PLAIN, bv_probe_key,      "key of the record"                     },
    {"header",   BV_PROBE_NAME,  bv_probe_header,   "header of the record"                  },
    {"json",     BV_PROBE_PATH,  bv_probe_json,     "value in the envelope"                 },
    {"body",     BV_PROBE_PLAIN, bv_probe_body,     "the envelope as text"                  },
    {"sequence", BV_PROBE_PLAIN, bv_probe_sequence, "offset"                                },
    {"count",    BV_PROBE_PLAIN, bv_probe_count,    "records received so far"               },
};

const struct bv_protocol bv_protocol_kafka = {
    .name = "kafka",
    .summary = "a topic, read from its end and written to",
    .needs = "kafka",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = kafka_open,
    .close = kafka_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = kafka_check,
};
