/* The exporter: finish() queues from any thread, the loop sends.
 *
 *   finish ─▶ queue ──(first span: timer; batch full: at once)──▶ batch ─▶ POST ─▶ exported
 *                                                                   ▲        │
 *                                                                   └─backoff┘ 429, 502, 503, 504,
 * no answer
 */
#include "bv/otlp.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/log.h"
#include "bv/resilience.h"
#include "otlp_span.h"

#define URL_SIZE 513
#define SERVICE_SIZE 129
#define BATCH_LIMIT 8192
#define QUEUE_LIMIT 1048576
#define INTERVAL_LIMIT_MS 60000
#define REQUEST_BYTES_MAX (64u << 20)
#define TIMEOUT_MS 5000
#define FLUSH_TIMEOUT_MS 2000

static const struct bv_backoff export_backoff = {
    .name = "otlp-export",
    .law = BV_BACKOFF_EXPONENTIAL_FULL_JITTER,
    .base_ms = 250,
    .cap_ms = 5000,
    .attempts_max = 4,
};

static const struct bv_metric spans_total = {
    .name = "bv_otlp_spans_total",
    .type = BV_COUNTER,
    .help = "Finished spans by what became of them.",
    .labels = "outcome",
};

enum outcome { EXPORTED, DROPPED_FULL, DROPPED_FAILED, REJECTED, OUTCOME_COUNT };
static const char *const outcome_names[OUTCOME_COUNT] = {
    [EXPORTED] = "exported",
    [DROPPED_FULL] = "dropped_full",
    [DROPPED_FAILED] = "dropped_failed",
    [REJECTED] = "rejected",
};

struct span_list {
    struct otlp_span *first;
    struct otlp_span **end;
    size_t count;
};

/* One POST under way; outlives an exporter that is closed meanwhile. */
struct flight {
    struct bv_otlp *otlp; /* NULL: the exporter is gone */
};

struct bv_otlp {
    struct bv_span_sink sink; /* first: finish() gets its address */
    struct bv_loop *loop;     /* borrowed */
    struct bv_httpc *client;  /* borrowed */
    struct bv_series *outcomes[OUTCOME_COUNT];
    struct bv_wake *wake;
    struct bv_timer *timer; /* the batch's interval, or the wait before a retry */
    struct bv_buf body;     /* the batch: kept until its last try has ended */
    size_t batch_count;
    uint32_t attempt;
    struct flight *flight; /* NULL: none under way */
    enum { IDLE, COLLECTING, SENDING, BACKING_OFF } state;
    bool failing; /* the last try failed: the log tells changes only */
    bool flushing;
    void (*flushed)(void *argument);
    void *flushed_argument;
    int64_t interval_ms;
    size_t batch_max;
    size_t queue_max;
    char url[URL_SIZE];
    char service[SERVICE_SIZE];
    char instance[SERVICE_SIZE];
    pthread_mutex_t mutex; /* guards the queue */
    struct span_list queue;
};

static void send_next(struct bv_otlp *otlp);

static void count_spans(struct bv_otlp *otlp, enum outcome outcome, size_t count)
{
    if (count)
        bv_count(otlp->outcomes[outcome], count);
}

static size_t queued(struct bv_otlp *otlp)
{
    pthread_mutex_lock(&otlp->mutex);
    size_t count = otlp->queue.count;
    pthread_mutex_unlock(&otlp->mutex);
    return count;
}

/* Takes the first spans off the queue, at most max. */
static struct span_list take_spans(struct bv_otlp *otlp, size_t max)
{
    pthread_mutex_lock(&otlp->mutex);
    struct span_list taken = {.first = otlp->queue.first};
    struct otlp_span **at = &taken.first;
    while (*at && taken.count < max) {
        at = &(*at)->next;
        taken.count++;
    }
    otlp->queue.first = *at;
    otlp->queue.count -= taken.count;
    if (!otlp->queue.first)
        otlp->queue.end = &otlp->queue.first;
    *at = NULL;
    pthread_mutex_unlock(&otlp->mutex);
    return taken;
}

static void free_spans(struct otlp_span *span)
{
    while (span) {
        struct otlp_span *next = span->next;
        free(span);
        span = next;
    }
}

/* ---- the end of a batch ---- */

static void drop_queue(struct bv_otlp *otlp)
{
    struct span_list rest = take_spans(otlp, SIZE_MAX);
    count_spans(otlp, DROPPED_FAILED, rest.count);
    free_spans(rest.first);
}

/* Waits for more, or goes on when a batch is full already. */
static void settle(struct bv_otlp *otlp)
{
    bv_buf_reset(&otlp->body);
    otlp->batch_count = 0;
    otlp->attempt = 0;
    size_t count = queued(otlp);
    otlp->state = count ? COLLECTING : IDLE;
    if (count >= otlp->batch_max || otlp->flushing)
        send_next(otlp);
    else if (count)
        bv_timer_set(otlp->timer, otlp->interval_ms, 0);
}

static void tell_failing(struct bv_otlp *otlp, int status, const struct bv_error *error)
{
    if (!otlp->failing)
        bv_log(bv_loop_env(otlp->loop)->log,
               BV_WARN,
               "otlp.export_failed",
               NULL,
               BV_F_TEXT("url", otlp->url),
               BV_F_INT("status", status),
               BV_F_TEXT("error", error->text));
    otlp->failing = true;
}

static void end_batch(struct bv_otlp *otlp, bool exported, int64_t rejected)
{
    size_t refused = !exported ? 0 : rejected < 0 ? 0 : (size_t)rejected;
    if (refused > otlp->batch_count)
        refused = otlp->batch_count;
    count_spans(otlp, REJECTED, refused);
    count_spans(otlp, exported ? EXPORTED : DROPPED_FAILED, otlp->batch_count - refused);
    if (exported && otlp->failing)
        bv_log(bv_loop_env(otlp->loop)->log,
               BV_INFO,
               "otlp.export_recovered",
               NULL,
               BV_F_TEXT("url", otlp->url));
    if (exported)
        otlp->failing = false;
    else if (otlp->flushing)
        drop_queue(otlp);
    settle(otlp);
}

/* ---- tries ---- */

static bool retryable(int rc, int status)
{
    if (rc != 0)
        return rc != BV_E_CANCELLED && rc != BV_E_CLOSED;
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Retry-After in seconds wins over a shorter backoff, up to the policy's cap. */
static int64_t asked_delay_ms(const struct bv_httpc_response *response)
{
    int64_t seconds = 0;
    if (!response ||
        bv_bytes_int64(bv_httpc_field(response, "retry-after"), 0, 86400, &seconds) != 0)
        return 0;
    return seconds * 1000 < export_backoff.cap_ms ? seconds * 1000 : export_backoff.cap_ms;
}

static void after_failure(struct bv_otlp *otlp,
                          int rc,
                          const struct bv_httpc_response *response,
                          const struct bv_error *error)
{
    int status = response ? response->status : 0;
    tell_failing(otlp, status, error);
    int64_t delay_ms = 0;
    if (otlp->flushing || !retryable(rc, status) ||
        bv_backoff_next(bv_loop_env(otlp->loop), &export_backoff, otlp->attempt, &delay_ms) != 0) {
        end_batch(otlp, false, 0);
        return;
    }
    int64_t asked_ms = asked_delay_ms(response);
    otlp->attempt++;
    otlp->state = BACKING_OFF;
    bv_timer_set(otlp->timer, asked_ms > delay_ms ? asked_ms : delay_ms, 0);
}

static void on_answer(void *argument,
                      int rc,
                      const struct bv_httpc_response *response,
                      const struct bv_error *error)
{
    struct flight *flight = argument;
    struct bv_otlp *otlp = flight->otlp;
    free(flight);
    if (!otlp)
        return;
    otlp->flight = NULL;
    if (rc == 0 && response->status >= 200 && response->status < 300)
        end_batch(otlp, true, otlp_response_rejected(response->body));
    else
        after_failure(otlp, rc, response, error);
}

static void try_batch(struct bv_otlp *otlp)
{
    static const struct bv_http_field fields[] = {
        {"Content-Type", BV_BYTES("application/x-protobuf")}
    };
    const struct bv_httpc_request request = {
        .method = "POST",
        .url = otlp->url,
        .fields = fields,
        .field_count = BV_COUNT(fields),
        .body = bv_buf_view(&otlp->body),
        .timeout_ms = otlp->flushing ? FLUSH_TIMEOUT_MS : TIMEOUT_MS,
    };
    struct flight *flight = malloc(sizeof(*flight));
    int rc = BV_E_NOMEM;
    if (flight) {
        flight->otlp = otlp;
        rc = bv_httpc_send(otlp->client, &request, on_answer, flight);
    }
    if (rc < 0) {
        free(flight);
        struct bv_error error = {0};
        bv_fail(&error, rc, "the request could not be started: %s", bv_error_row(rc)->title);
        after_failure(otlp, rc, NULL, &error);
        return;
    }
    otlp->flight = flight;
    otlp->state = SENDING;
}

static void end_flush(struct bv_otlp *otlp)
{
    void (*flushed)(void *) = otlp->flushed;
    otlp->flushed = NULL;
    if (flushed)
        flushed(otlp->flushed_argument);
}

static void send_next(struct bv_otlp *otlp)
{
    bv_timer_clear(otlp->timer);
    struct span_list batch = take_spans(otlp, otlp->batch_max);
    if (batch.count == 0) {
        otlp->state = IDLE;
        if (otlp->flushing)
            end_flush(otlp);
        return;
    }
    bv_buf_reset(&otlp->body);
    otlp->batch_count = batch.count;
    int rc =
        otlp_request_encode(otlp->service, otlp->instance, batch.first, batch.count, &otlp->body);
    free_spans(batch.first);
    if (rc < 0)
        end_batch(otlp, false, 0);
    else
        try_batch(otlp);
}

/* ---- when ---- */

static void on_timer(void *argument)
{
    struct bv_otlp *otlp = argument;
    if (otlp->state == BACKING_OFF)
        try_batch(otlp);
    else if (otlp->state == COLLECTING)
        send_next(otlp);
}

static void on_wake(void *argument)
{
    struct bv_otlp *otlp = argument;
    if (otlp->state == SENDING || otlp->state == BACKING_OFF)
        return; /* settle() looks again */
    size_t count = queued(otlp);
    if (count >= otlp->batch_max) {
        send_next(otlp);
    } else if (count && otlp->state == IDLE) {
        otlp->state = COLLECTING;
        bv_timer_set(otlp->timer, otlp->interval_ms, 0);
    }
}

static void finish(struct bv_span_sink *sink, const struct bv_span *span)
{
    struct bv_otlp *otlp = (struct bv_otlp *)sink;
    struct otlp_span *encoded = NULL;
    if (otlp_span_encode(span, &encoded) != 0) {
        count_spans(otlp, DROPPED_FULL, 1);
        return;
    }
    pthread_mutex_lock(&otlp->mutex);
    bool full = otlp->queue.count >= otlp->queue_max;
    if (!full) {
        *otlp->queue.end = encoded;
        otlp->queue.end = &encoded->next;
        otlp->queue.count++;
    }
    size_t count = otlp->queue.count;
    pthread_mutex_unlock(&otlp->mutex);
    if (full) {
        free(encoded);
        count_spans(otlp, DROPPED_FULL, 1);
    } else if (count == 1 || count == otlp->batch_max) {
        bv_wake_send(otlp->wake);
    }
}

/* ---- life ---- */

static bool in_range(int64_t value, int64_t min, int64_t max)
{
    return value >= min && value <= max;
}

static int take_config(struct bv_otlp *otlp, const struct bv_otlp_config *config)
{
    if (!in_range(config->batch_max, 1, BATCH_LIMIT) ||
        !in_range(config->queue_max, config->batch_max, QUEUE_LIMIT) ||
        !in_range(config->interval_ms, 1, INTERVAL_LIMIT_MS))
        return BV_E_INVALID;
    size_t base = strlen(config->url);
    while (base && config->url[base - 1] == '/')
        base--;
    const char *instance = config->instance ? config->instance : "";
    if (base + strlen("/v1/traces") >= URL_SIZE || strlen(config->service) >= SERVICE_SIZE ||
        strlen(instance) >= SERVICE_SIZE)
        return BV_E_INVALID;
    snprintf(otlp->url, sizeof(otlp->url), "%.*s/v1/traces", (int)base, config->url);
    memcpy(otlp->service, config->service, strlen(config->service));
    memcpy(otlp->instance, instance, strlen(instance));
    otlp->batch_max = (size_t)config->batch_max;
    otlp->queue_max = (size_t)config->queue_max;
    otlp->interval_ms = config->interval_ms;
    return 0;
}

int bv_otlp_open(struct bv_loop *loop,
                 struct bv_httpc *client,
                 const struct bv_otlp_config *config,
                 struct bv_metrics *metrics,
                 struct bv_otlp **ret_otlp)
{
    struct bv_otlp *otlp = calloc(1, sizeof(*otlp));
    if (!otlp)
        return BV_E_NOMEM;
    otlp->sink.finish = finish;
    otlp->loop = loop;
    otlp->client = client;
    otlp->body.max = REQUEST_BYTES_MAX;
    otlp->queue.end = &otlp->queue.first;
    pthread_mutex_init(&otlp->mutex, NULL);
    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        otlp->outcomes[i] = bv_metrics_series(metrics, &spans_total, &outcome_names[i], 1);
    int rc = take_config(otlp, config);
    if (rc == 0)
        rc = bv_wake_open(loop, on_wake, otlp, &otlp->wake);
    if (rc == 0)
        rc = bv_timer_open(loop, on_timer, otlp, &otlp->timer);
    if (rc < 0) {
        bv_otlp_close(&otlp);
        return rc;
    }
    *ret_otlp = otlp;
    return 0;
}

struct bv_span_sink *bv_otlp_sink(struct bv_otlp *otlp)
{
    return &otlp->sink;
}

void bv_otlp_flush(struct bv_otlp *otlp, void (*done)(void *argument), void *argument)
{
    otlp->flushing = true;
    otlp->flushed = done;
    otlp->flushed_argument = argument;
    if (otlp->state == BACKING_OFF) {
        bv_timer_clear(otlp->timer);
        try_batch(otlp);
    } else if (otlp->state != SENDING) {
        send_next(otlp);
    }
}

void bv_otlp_close(struct bv_otlp **otlp_at)
{
    struct bv_otlp *otlp = bv_take(otlp_at);
    if (!otlp)
        return;
    if (otlp->flight)
        otlp->flight->otlp = NULL;
    count_spans(otlp, DROPPED_FAILED, otlp->batch_count);
    drop_queue(otlp);
    bv_wake_close(&otlp->wake);
    bv_timer_close(&otlp->timer);
    bv_buf_release(&otlp->body);
    pthread_mutex_destroy(&otlp->mutex);
    free(otlp);
}
