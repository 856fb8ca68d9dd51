#include "notification_events.h"

#include <stdlib.h>

#include "bv/breakage.h"
#include "bv/failpoint.h"

#define DATA_BYTES_MAX (128 * 1024)
#define USER_BYTES_MAX 64

static const struct bv_metric batch_metric = {
    .name = "bv_notification_batch_events",
    .type = BV_GAUGE,
    .help = "Events of the last transaction.",
    .labels = "",
};
static const struct bv_metric known_metric = {
    .name = "bv_notification_known_total",
    .type = BV_COUNTER,
    .help = "Events that were taken in before and had no effect.",
    .labels = "",
};

/* ---- reading ---- */

struct told {
    struct bv_bytes order_id, customer_id, state, currency;
    int64_t version, total_minor;
    const struct bv_json *items;
    struct bv_bytes reason;
};
static const struct bv_field told_fields[] = {
    {"orderId",    offsetof(struct told, order_id),    BV_FIELD_STRING, true,  36, 36            },
    {"version",    offsetof(struct told, version),     BV_FIELD_INT64,  true,  1,  INT64_MAX     },
    {"state",      offsetof(struct told, state),       BV_FIELD_STRING, true,  1,  32            },
    {"customerId", offsetof(struct told, customer_id), BV_FIELD_STRING, true,  1,  USER_BYTES_MAX},
    {"items",      offsetof(struct told, items),       BV_FIELD_JSON,   true,  0,  0             },
    {"totalMinor", offsetof(struct told, total_minor), BV_FIELD_INT64,  true,  0,  INT64_MAX     },
    {"currency",   offsetof(struct told, currency),    BV_FIELD_STRING, true,  3,  3             },
    {"reason",     offsetof(struct told, reason),      BV_FIELD_STRING, false, 1,  1024          },
};

int notification_event_read(struct bv_arena *arena,
                            const struct bv_event *event,
                            const struct bv_trace *trace,
                            struct notification_event *ret_event,
                            struct bv_error *error)
{
    struct told told = {0};
    struct bv_uuid order_id;
    bv_auto(bv_buf_release) struct bv_buf data = {.max = DATA_BYTES_MAX};
    char *texts =
        bv_arena_alloc(arena, 2 * BV_UUID_TEXT_SIZE + BV_TIME_TEXT_SIZE + BV_TRACEPARENT_SIZE);
    BV_TRY(bv_json_decode(
        event->payload, told_fields, BV_COUNT(told_fields), BV_LENIENT, &told, error));
    if (bv_uuid_parse(told.order_id, &order_id) < 0)
        return bv_fail(error, BV_E_UNPROCESSABLE, "orderId is no UUID");
    if (memchr(told.customer_id.data, '\0', told.customer_id.size))
        return bv_fail(error, BV_E_UNPROCESSABLE, "customerId has a NUL");
    if (bv_json_write(&data, event->payload) < 0)
        return bv_fail(
            error, BV_E_UNPROCESSABLE, "the payload has more than %d bytes", DATA_BYTES_MAX);
    struct bv_bytes kept = bv_arena_copy(arena, bv_buf_view(&data));
    if (!texts || !kept.data)
        return bv_fail(error, BV_E_TOO_LARGE, "the event is too large");
    char *event_text = texts, *order_text = texts + BV_UUID_TEXT_SIZE;
    char *time_text = order_text + BV_UUID_TEXT_SIZE, *trace_text = time_text + BV_TIME_TEXT_SIZE;
    bv_uuid_format(event->id, event_text);
    bv_uuid_format(order_id, order_text);
    bv_time_format(event->occurred_at_us, time_text);
    bv_trace_format(trace, trace_text);
    *ret_event = (struct notification_event){.event_id = bv_bytes_of(event_text),
                                             .tenant = event->tenant,
                                             .user_id = told.customer_id,
                                             .order_id = bv_bytes_of(order_text),
                                             .version = told.version,
                                             .type = event->type,
                                             .occurred_at = bv_bytes_of(time_text),
                                             .traceparent = bv_bytes_of(trace_text),
                                             .correlation_id = event->correlation_id,
                                             .data = kept};
    return 0;
}

/* ---- batches ---- */

struct intake_item {
    struct intake_item *next;
    const struct notification_event *event; /* borrowed until done */
    notification_intake_done *done;
    void *argument;
    bool alone; /* was in a batch that failed */
};
struct intake_queue {
    struct intake_item *head;
    struct intake_item **tail;
};
struct notification_intake {
    struct notification_store *store;
    struct notification_intake_config config;
    struct notification_intake_events events;
    struct bv_idle *idle;
    struct intake_queue waiting;
    struct intake_item *out; /* the batch that is committing, in order */
    size_t out_count;
    struct bv_series *batch, *known; /* NULL without metrics */
};

static void send_next(struct notification_intake *intake);

static void item_end(struct intake_item *item, int rc, const struct bv_error *error)
{
    notification_intake_done *done = item->done;
    void *argument = item->argument;
    free(item);
    done(argument, rc, error);
}

static bool transient(int rc)
{
    return rc == BV_E_UNAVAILABLE || rc == BV_E_TIMEOUT || rc == BV_E_CONFLICT ||
           rc == BV_E_LIMIT || rc == BV_E_NOMEM || rc == BV_E_CANCELLED || rc == BV_E_CLOSED;
}

/* Puts the batch back in front, each to go alone. */
static void split(struct notification_intake *intake, struct intake_item *batch)
{
    struct intake_item *last = batch;
    for (struct intake_item *item = batch; item; item = item->next) {
        item->alone = true;
        last = item;
    }
    last->next = intake->waiting.head;
    if (!intake->waiting.head)
        intake->waiting.tail = &last->next;
    intake->waiting.head = batch;
}

static void on_taken(void *argument,
                     int rc,
                     const struct notification_taken *taken,
                     const struct bv_error *error)
{
    struct notification_intake *intake = argument;
    struct intake_item *batch = intake->out;
    size_t count = intake->out_count, i = 0;
    if (rc == 0)
        BV_FAILPOINT(NOTIFICATION_TAKE_AFTER_COMMIT);
    intake->out = NULL;
    intake->out_count = 0;
    if (rc < 0 && count > 1 && !transient(rc)) {
        split(intake, batch);
        batch = NULL;
    }
    for (struct intake_item *item = batch, *next; item; item = next, i++) {
        next = item->next;
        if (rc == 0 && taken->sequences[i] > 0)
            intake->events.committed(intake->events.argument, item->event, taken->sequences[i]);
        else if (rc == 0 && intake->known)
            bv_count(intake->known, 1);
        item_end(item, rc, error);
    }
    if (rc == 0 && taken->deliveries > 0)
        intake->events.deliveries(intake->events.argument);
    send_next(intake);
}

/* Cuts the next batch off the queue into intake->out. */
static void cut(struct notification_intake *intake)
{
    struct intake_item **end = &intake->waiting.head;
    size_t max = intake->waiting.head->alone ? 1 : (size_t)intake->config.batch_max;
    while (*end && intake->out_count < max && (intake->out_count == 0 || !(*end)->alone)) {
        end = &(*end)->next;
        intake->out_count++;
    }
    intake->out = intake->waiting.head;
    intake->waiting.head = *end;
    if (!*end)
        intake->waiting.tail = &intake->waiting.head;
    *end = NULL;
}

static void send_next(struct notification_intake *intake)
{
    struct notification_event *events = NULL;
    if (intake->out || !intake->waiting.head)
        return;
    cut(intake);
    size_t count = 0;
    events = malloc(intake->out_count * sizeof(*events));
    for (struct intake_item *item = intake->out; item && events; item = item->next)
        events[count++] = *item->event;
    BV_FAILPOINT(NOTIFICATION_TAKE_BEFORE_SEND);
    int rc = events ? intake->store->ops->take(intake->store, events, count, on_taken, intake)
                    : BV_E_NOMEM;
    BV_FAILPOINT(NOTIFICATION_TAKE_IN_DOUBT);
    free(events);
    if (intake->batch)
        bv_gauge_set(intake->batch, (double)intake->out_count);
    if (rc == 0)
        return;
    struct intake_item *batch = intake->out;
    intake->out = NULL;
    intake->out_count = 0;
    if (batch->next && !transient(rc)) {
        split(intake, batch);
        bv_idle_arm(intake->idle);
        return;
    }
    for (struct intake_item *next; batch; batch = next) {
        next = batch->next;
        item_end(batch, rc, NULL);
    }
    if (intake->waiting.head)
        bv_idle_arm(intake->idle);
}

static void on_idle(void *argument)
{
    send_next(argument);
}

int notification_intake_open(struct bv_loop *loop,
                             const struct notification_intake_config *config,
                             struct notification_store *store,
                             struct bv_metrics *metrics,
                             const struct notification_intake_events *events,
                             struct notification_intake **ret_intake)
{
    struct notification_intake *intake = calloc(1, sizeof(*intake));
    if (!intake)
        return BV_E_NOMEM;
    intake->store = store;
    intake->config = *config;
    intake->events = *events;
    intake->waiting.tail = &intake->waiting.head;
    if (metrics) {
        intake->batch = bv_metrics_series(metrics, &batch_metric, NULL, 0);
        intake->known = bv_metrics_series(metrics, &known_metric, NULL, 0);
    }
    int rc = bv_idle_open(loop, on_idle, intake, &intake->idle);
    if (rc < 0) {
        notification_intake_close(&intake);
        return rc;
    }
    *ret_intake = intake;
    return 0;
}

int notification_intake_add(struct notification_intake *intake,
                            const struct notification_event *event,
                            notification_intake_done *done,
                            void *argument)
{
    struct intake_item *item = malloc(sizeof(*item));
    if (!item)
        return BV_E_NOMEM;
    *item = (struct intake_item){NULL, event, done, argument, false};
    *intake->waiting.tail = item;
    intake->waiting.tail = &item->next;
    if (!intake->out)
        bv_idle_arm(intake->idle);
    return 0;
}

void notification_intake_close(struct notification_intake **intake_at)
{
    struct notification_intake *intake = *intake_at;
    *intake_at = NULL;
    if (!intake)
        return;
    bv_idle_close(&intake->idle);
    for (struct intake_item *item = intake->waiting.head, *next; item; item = next) {
        next = item->next;
        item_end(item, BV_E_CANCELLED, NULL);
    }
    free(intake);
}

/* ---- the consumer's side ---- */

static void on_done(void *argument, int rc, const struct bv_error *error)
{
    bv_consumer_done(argument, rc, error);
}

/* Planted: a new id and a version above all before it, so that inbox, order and partner know
 * nothing of an earlier record that told the same. */
static int take_for_new(struct bv_arena *arena,
                        const struct bv_record *record,
                        struct notification_event *event)
{
    struct bv_uuid id;
    char *text = bv_arena_alloc(arena, BV_UUID_TEXT_SIZE);
    if (!text || bv_uuid_parse(event->event_id, &id) < 0)
        return BV_E_NOMEM;
    memcpy(id.octets + 8, &record->offset, sizeof(record->offset));
    bv_uuid_format(id, text);
    event->event_id = bv_bytes_of(text);
    event->version = record->offset + 1;
    return 0;
}

static void on_event(void *context,
                     struct bv_consumer_event *under_way,
                     const struct bv_event *event,
                     const struct bv_record *record)
{
    struct bv_error error = {0};
    struct bv_arena *arena = bv_consumer_arena(under_way);
    struct notification_event *read = bv_arena_new(arena, struct notification_event);
    int rc = read
                 ? notification_event_read(arena, event, bv_consumer_trace(under_way), read, &error)
                 : BV_E_NOMEM;
    if (rc == 0 && bv_breaks(BV_BREAK_DUPLICATE_EFFECT))
        rc = take_for_new(arena, record, read);
    if (rc == 0)
        rc = notification_intake_add(context, read, on_done, under_way);
    if (rc < 0)
        bv_consumer_done(under_way, rc, &error);
}

const struct bv_consumer_row notification_consumer_rows[NOTIFICATION_TYPE_COUNT] = {
    {"ecommerce.order.created.v1",        on_event},
    {"ecommerce.order.reserved.v1",       on_event},
    {"ecommerce.order.rejected.v1",       on_event},
    {"ecommerce.order.paid.v1",           on_event},
    {"ecommerce.order.payment_failed.v1", on_event},
    {"ecommerce.order.confirmed.v1",      on_event},
    {"ecommerce.order.shipped.v1",        on_event},
    {"ecommerce.order.delivered.v1",      on_event},
    {"ecommerce.order.cancelled.v1",      on_event},
    {"ecommerce.order.refunded.v1",       on_event},
};
