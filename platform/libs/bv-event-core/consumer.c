/* The life of a consumer and of the events under way. The list of events is in order of arrival: an
 * event starts when no earlier one of its key is in the list. */
#include "bv/consumer.h"
#include "bv/failpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/schema.h"

#include "consumer_private.h"

static const struct bv_metric events_metric = {
    .name = "bv_consumer_events_total",
    .type = BV_COUNTER,
    .help =
        "Events by result: done, ignored (no handler), retried (one per try), parked (in the DLQ).",
    .labels = "group,result",
};
static const struct bv_metric seconds_metric = {
    .name = "bv_consumer_seconds",
    .type = BV_HISTOGRAM,
    .help = "Time in the handler.",
    .labels = "group",
};
static const struct bv_metric parked_metric = {
    .name = "bv_consumer_parked_keys",
    .type = BV_GAUGE,
    .help = "Keys whose events go to the DLQ until they are released.",
    .labels = "group",
};
static const char *const result_names[RESULT_COUNT] = {"done", "ignored", "retried", "parked"};

static const struct bv_backoff default_retry = {
    .name = "consumer",
    .law = BV_BACKOFF_EXPONENTIAL_FULL_JITTER,
    .base_ms = 100,
    .cap_ms = 10000,
    .attempts_max = 10,
};
static const int transient_faults[] = {BV_E_UNAVAILABLE,
                                       BV_E_TIMEOUT,
                                       BV_E_CONFLICT,
                                       BV_E_LIMIT,
                                       BV_E_NOMEM,
                                       BV_E_CANCELLED,
                                       BV_E_CLOSED};

static const struct bv_env *env_of(const struct bv_consumer *consumer)
{
    return bv_loop_env(consumer->loop);
}

void consumer_count(struct bv_consumer *consumer, enum consumer_result result)
{
    if (consumer->results[result])
        bv_count(consumer->results[result], 1);
}

/* ---- the list ---- */

static void list_append(struct bv_consumer *consumer, struct bv_consumer_event *under_way)
{
    under_way->previous = consumer->tail;
    if (consumer->tail)
        consumer->tail->next = under_way;
    else
        consumer->head = under_way;
    consumer->tail = under_way;
}

static void list_remove(struct bv_consumer *consumer, struct bv_consumer_event *under_way)
{
    if (under_way->previous)
        under_way->previous->next = under_way->next;
    else
        consumer->head = under_way->next;
    if (under_way->next)
        under_way->next->previous = under_way->previous;
    else
        consumer->tail = under_way->previous;
}

static void under_way_free(struct bv_consumer_event *under_way)
{
    bv_timer_close(&under_way->timer);
    bv_arena_close(&under_way->arena);
    free(under_way);
}

bool under_way_orphan(struct bv_consumer_event *under_way)
{
    if (under_way->consumer)
        return false;
    under_way_free(under_way);
    return true;
}

void under_way_finish(struct bv_consumer_event *under_way)
{
    struct bv_consumer *consumer = under_way->consumer;
    bv_bus_ack(under_way->delivery);
    BV_FAILPOINT(CONSUMER_ACKNOWLEDGED);
    list_remove(consumer, under_way);
    under_way_free(under_way);
    consumer_settle(consumer);
}

void consumer_settle(struct bv_consumer *consumer)
{
    if (consumer->head || consumer->stopping)
        bv_idle_arm(consumer->idle);
}

/* The timer calls a function that can differ from wait to wait, so it is made anew for each. */
void under_way_wait(struct bv_consumer_event *under_way,
                    int64_t delay_ms,
                    void (*function)(void *under_way))
{
    bv_timer_close(&under_way->timer);
    if (bv_timer_open(under_way->consumer->loop, function, under_way, &under_way->timer) == 0)
        bv_timer_set(under_way->timer, delay_ms, 0);
}

/* ---- one event ---- */

static struct bv_bytes replay_of(const struct bv_consumer_event *under_way)
{
    return bv_record_header(&under_way->record, "dlq-replay");
}

/* The parent is the producer's span when the headers carry it, else whatever trace the envelope
 * names. */
static void trace_begin(struct bv_consumer_event *under_way)
{
    struct bv_trace parent = under_way->event.trace;
    struct bv_trace sent;
    if (bv_trace_parse(bv_record_header(&under_way->record, "traceparent"), &sent) == 0)
        parent = sent;
    under_way->event.trace = parent;
    under_way->trace = bv_trace_child(env_of(under_way->consumer), &parent, 0);
}

static const struct bv_consumer_row *row_find(const struct bv_consumer *consumer,
                                              struct bv_bytes type)
{
    for (size_t i = 0; i < consumer->config.row_count; i++) {
        if (bv_bytes_equal(type, bv_bytes_of(consumer->config.rows[i].event_type)))
            return &consumer->config.rows[i];
    }
    return NULL;
}

/* Of "a.b.c.v2" everything up to the 2; empty when it has no version. */
static struct bv_bytes stem_of(struct bv_bytes type)
{
    size_t size = type.size;
    while (size > 0 && type.data[size - 1] >= '0' && type.data[size - 1] <= '9')
        size--;
    return (struct bv_bytes){type.data, size == type.size ? 0 : size};
}

/* A version of a fact that is handled here, but not this one: skipping it would lose the fact. */
static bool version_unknown(const struct bv_consumer *consumer, struct bv_bytes type)
{
    const struct bv_bytes stem = stem_of(type);
    for (size_t i = 0; i < consumer->config.row_count; i++) {
        if (stem.size > 0 &&
            bv_bytes_equal(stem, stem_of(bv_bytes_of(consumer->config.rows[i].event_type))))
            return true;
    }
    return false;
}

static int schema_check(struct bv_consumer_event *under_way, struct bv_error *error)
{
    const struct bv_schemas *schemas = under_way->consumer->config.schemas;
    char name[BV_EVENT_TYPE_BYTES_MAX + 16];
    if (!schemas)
        return 0;
    snprintf(name, sizeof name, "%.*s.schema.json", BV_ARG(under_way->event.type));
    int rc = bv_schemas_check(schemas, bv_bytes_of(name), under_way->event.envelope, error);
    return rc > 0 ? BV_E_UNPROCESSABLE : rc;
}

static void handle(struct bv_consumer_event *under_way)
{
    struct bv_consumer *consumer = under_way->consumer;
    under_way->state = UNDER_WAY_HANDLING;
    under_way->busy = true;
    under_way->start_mono_us = bv_mono_us(env_of(consumer));
    under_way->start_wall_us = bv_wall_us(env_of(consumer));
    BV_FAILPOINT(CONSUMER_BEFORE_EFFECT);
    under_way->row->handler(consumer->context, under_way, &under_way->event, &under_way->record);
}

static void begin(struct bv_consumer_event *under_way)
{
    struct bv_consumer *consumer = under_way->consumer;
    const struct bv_record *record = &under_way->record;
    struct bv_error error = {0};
    int rc = bv_event_decode(under_way->arena, record->value, &under_way->event, &error);
    trace_begin(under_way);
    if (rc < 0) {
        under_way_park(under_way, error.text);
        return;
    }
    under_way->row = row_find(consumer, under_way->event.type);
    if (!under_way->row && version_unknown(consumer, under_way->event.type)) {
        under_way_park(under_way, "this version of the event is not known here");
        return;
    }
    if (!under_way->row) {
        consumer_count(consumer, RESULT_IGNORED);
        under_way_finish(under_way);
        return;
    }
    if (!bv_bytes_equal(record->key, under_way->event.partition_key)) {
        under_way_park(under_way, "the record's key is not the partitionKey");
        return;
    }
    bool parked = parked_keys_has(&consumer->keys, record->topic, record->key);
    if (parked && replay_of(under_way).size == 0) {
        under_way_park(under_way, "an earlier event of this key is parked");
        return;
    }
    rc = schema_check(under_way, &error);
    if (rc < 0)
        under_way_park(under_way, error.text);
    else
        handle(under_way);
}

static void try_again(void *argument)
{
    struct bv_consumer_event *under_way = argument;
    if (!under_way->consumer->stopping)
        handle(under_way);
}

static bool transient(int rc)
{
    for (size_t i = 0; i < BV_COUNT(transient_faults); i++) {
        if (rc == transient_faults[i])
            return true;
    }
    return false;
}

static void span_finish(struct bv_consumer_event *under_way, int rc)
{
    struct bv_consumer *consumer = under_way->consumer;
    const struct bv_span span = {.trace = under_way->trace,
                                 .name = under_way->row->event_type,
                                 .kind = BV_SPAN_CONSUMER,
                                 .start_wall_us = under_way->start_wall_us,
                                 .end_wall_us = bv_wall_us(env_of(consumer)),
                                 .error_code = rc};
    bv_span_finish(consumer->spans, &span);
    if (consumer->seconds)
        bv_observe(consumer->seconds,
                   (double)(bv_mono_us(env_of(consumer)) - under_way->start_mono_us) / 1e6);
}

static void fault(struct bv_consumer_event *under_way, int rc, const struct bv_error *error)
{
    struct bv_consumer *consumer = under_way->consumer;
    const struct bv_backoff *policy =
        consumer->config.retry ? consumer->config.retry : &default_retry;
    const char *reason = error && error->text[0] ? error->text : bv_error_row(rc)->title;
    int64_t delay_ms = 0;
    if (!transient(rc) ||
        bv_backoff_next(env_of(consumer), policy, under_way->attempts, &delay_ms) != 0) {
        under_way_park(under_way, reason);
        return;
    }
    consumer_count(consumer, RESULT_RETRIED);
    bv_log(consumer->log,
           BV_INFO,
           "consumer.retry",
           &under_way->trace,
           BV_F_TEXT("group", consumer->group),
           BV_F_INT("attempt", under_way->attempts),
           BV_F_INT("delay_ms", delay_ms),
           BV_F_TEXT("reason", reason));
    under_way->attempts++;
    under_way->state = UNDER_WAY_BACKOFF;
    under_way->trace = bv_trace_child(env_of(consumer), &under_way->event.trace, 0);
    under_way_wait(under_way, delay_ms, try_again);
    consumer_settle(consumer);
}

void bv_consumer_done(struct bv_consumer_event *under_way, int rc, const struct bv_error *error)
{
    if (under_way_orphan(under_way))
        return;
    struct bv_consumer *consumer = under_way->consumer;
    assert(under_way->state == UNDER_WAY_HANDLING && rc <= 0);
    under_way->busy = false;
    span_finish(under_way, rc);
    if (rc < 0) {
        fault(under_way, rc, error);
        return;
    }
    BV_FAILPOINT(CONSUMER_AFTER_EFFECT);
    if (bv_bytes_equal(replay_of(under_way), BV_BYTES("last"))) {
        under_way_release_key(under_way);
        return;
    }
    consumer_count(consumer, RESULT_DONE);
    under_way_finish(under_way);
}

const struct bv_trace *bv_consumer_trace(const struct bv_consumer_event *under_way)
{
    return &under_way->trace;
}

struct bv_arena *bv_consumer_arena(struct bv_consumer_event *under_way)
{
    return under_way->arena;
}

uint32_t bv_consumer_attempt(const struct bv_consumer_event *under_way)
{
    return under_way->attempts;
}

/* ---- starting ---- */

static bool startable(const struct bv_consumer_event *under_way)
{
    const struct bv_consumer *consumer = under_way->consumer;
    if (consumer->stopping || !consumer->loaded)
        return false;
    if (under_way->record.key.size == 0)
        return true;
    for (const struct bv_consumer_event *other = consumer->head; other != under_way;
         other = other->next) {
        if (bv_bytes_equal(other->record.key, under_way->record.key) &&
            bv_bytes_equal(other->record.topic, under_way->record.topic))
            return false;
    }
    return true;
}

static void receive(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    struct bv_consumer *consumer = argument;
    struct bv_consumer_event *under_way = calloc(1, sizeof *under_way);
    if (!under_way ||
        bv_arena_open(((size_t)1 << 20) + record->value.size * 32, &under_way->arena) < 0) {
        free(under_way);
        bv_bus_retry(delivery, 100);
        return;
    }
    under_way->consumer = consumer;
    under_way->delivery = delivery;
    under_way->record = *record;
    list_append(consumer, under_way);
    if (startable(under_way))
        begin(under_way);
}

static void assigned(void *argument, size_t partitions)
{
    if (partitions > 0)
        consumer_load_keys(argument);
}

static void load_again(void *argument)
{
    consumer_load_keys(argument);
}

/* ---- stopping ---- */

static bool any_busy(const struct bv_consumer *consumer)
{
    for (const struct bv_consumer_event *under_way = consumer->head; under_way;
         under_way = under_way->next) {
        if (under_way->busy)
            return true;
    }
    return false;
}

/* Leaves the group; then every delivery is stale, and acknowledging it only frees it. */
static void leave(struct bv_consumer *consumer)
{
    bv_bus_unsubscribe(&consumer->subscription);
    while (consumer->head) {
        struct bv_consumer_event *under_way = consumer->head;
        list_remove(consumer, under_way);
        bv_bus_ack(under_way->delivery);
        under_way->delivery = NULL;
        under_way->consumer = NULL;
        if (!under_way->busy)
            under_way_free(under_way);
    }
}

/* From the front after each start: a handler may end other events than its own. */
static void start_startable(struct bv_consumer *consumer)
{
    struct bv_consumer_event *under_way = consumer->head;
    while (under_way && !consumer->stopping) {
        if (under_way->state == UNDER_WAY_QUEUED && startable(under_way)) {
            begin(under_way);
            under_way = consumer->head;
        } else {
            under_way = under_way->next;
        }
    }
}

static void settle(void *argument)
{
    struct bv_consumer *consumer = argument;
    if (!consumer->stopping) {
        start_startable(consumer);
        return;
    }
    if (!consumer->stopped || any_busy(consumer))
        return;
    leave(consumer);
    void (*stopped)(void *) = consumer->stopped;
    consumer->stopped = NULL;
    stopped(consumer->stopped_argument);
}

void bv_consumer_stop(struct bv_consumer *consumer, void (*stopped)(void *argument), void *argument)
{
    consumer->stopping = true;
    consumer->stopped = stopped;
    consumer->stopped_argument = argument;
    bv_idle_arm(consumer->idle);
}

void bv_consumer_close(struct bv_consumer **slot)
{
    struct bv_consumer *consumer = *slot;
    if (!consumer)
        return;
    *slot = NULL;
    consumer->stopping = true;
    leave(consumer);
    consumer_load_forget(consumer);
    bv_idle_close(&consumer->idle);
    bv_timer_close(&consumer->load_timer);
    parked_keys_release(&consumer->keys);
    parked_keys_release(&consumer->incoming);
    free(consumer->group);
    free(consumer);
}

/* ---- opening ---- */

static int schemas_present(const struct bv_consumer_config *config)
{
    char name[BV_EVENT_TYPE_BYTES_MAX + 16];
    for (size_t i = 0; i < config->row_count && config->schemas; i++) {
        snprintf(name, sizeof name, "%s.schema.json", config->rows[i].event_type);
        if (!bv_schemas_has(config->schemas, bv_bytes_of(name)))
            return BV_E_NOT_FOUND;
    }
    return 0;
}

static void series_open(struct bv_consumer *consumer, struct bv_metrics *metrics)
{
    if (!metrics)
        return;
    const char *values[] = {consumer->group, NULL};
    consumer->seconds = bv_metrics_series(metrics, &seconds_metric, values, 1);
    consumer->parked_gauge = bv_metrics_series(metrics, &parked_metric, values, 1);
    for (int i = 0; i < RESULT_COUNT; i++) {
        values[1] = result_names[i];
        consumer->results[i] = bv_metrics_series(metrics, &events_metric, values, 2);
    }
}

static int parts_open(struct bv_consumer *consumer)
{
    BV_TRY(bv_idle_open(consumer->loop, settle, consumer, &consumer->idle));
    BV_TRY(bv_timer_open(consumer->loop, load_again, consumer, &consumer->load_timer));
    const struct bv_subscription_config subscription = {
        .group = consumer->group,
        .topics = consumer->config.topics,
        .prefetch = consumer->config.prefetch,
        .from = consumer->config.from,
        .assigned = assigned,
    };
    return bv_bus_subscribe(
        consumer->bus, &subscription, receive, consumer, &consumer->subscription);
}

int bv_consumer_open(struct bv_loop *loop,
                     struct bv_bus *bus,
                     const struct bv_consumer_config *config,
                     struct bv_log *log,
                     struct bv_metrics *metrics,
                     struct bv_span_sink *spans,
                     void *context,
                     struct bv_consumer **ret_consumer)
{
    if (!config->group || !config->group[0] || !config->topics || !config->topics[0])
        return BV_E_INVALID;
    BV_TRY(schemas_present(config));
    struct bv_consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        return BV_E_NOMEM;
    *consumer = (struct bv_consumer){
        .loop = loop,
        .bus = bus,
        .log = log,
        .spans = spans,
        .config = *config,
        .group = strdup(config->group),
        .context = context,
        .loaded = !config->parked,
    };
    int rc = consumer->group ? 0 : BV_E_NOMEM;
    if (rc == 0) {
        series_open(consumer, metrics);
        rc = parts_open(consumer);
    }
    if (rc < 0) {
        bv_consumer_close(&consumer);
        return rc;
    }
    *ret_consumer = consumer;
    return 0;
}
