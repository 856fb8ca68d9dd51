#include "notification_sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/breakage.h"
#include "bv/failpoint.h"
#include "bv/json.h"
#include "bv/trace.h"
#include "bv/webhook.h"

#define POLL_MS 1000
#define CLAIM_MAX 256
#define LEASE_MARGIN_MS 2000
#define RESPONSE_BYTES_MAX (64 * 1024)
#define BODY_BYTES_MAX (256 * 1024)
#define ERROR_BYTES_MAX 200

static const struct bv_metric deliveries_metric = {
    .name = "bv_webhook_deliveries_total",
    .type = BV_COUNTER,
    .help = "Attempts by outcome: ACCEPTED, REFUSED (tried again), EXHAUSTED, GONE, LOST (handed "
            "back).",
    .labels = "outcome",
};
static const struct bv_metric seconds_metric = {
    .name = "bv_webhook_attempt_seconds",
    .type = BV_HISTOGRAM,
    .help = "Duration of attempts.",
    .labels = "",
};
static const struct bv_metric lag_metric = {
    .name = "bv_webhook_lag_seconds",
    .type = BV_HISTOGRAM,
    .help = "From the transition's being taken in to its being accepted.",
    .labels = "",
};
static const struct bv_metric under_way_metric = {
    .name = "bv_webhook_under_way",
    .type = BV_GAUGE,
    .help = "Attempts under way.",
    .labels = "",
};

struct partner { /* a subscription with attempts under way */
    struct partner *next;
    char webhook_id[BV_UUID_TEXT_SIZE];
    int64_t count;
};
struct attempt {
    struct attempt *next, *previous;
    struct notification_sender *sender;
    struct partner *partner;
    int64_t number, attempt, age_ms;
    int64_t start_wall_us, start_mono_us;
    struct bv_trace trace;
};
struct notification_sender {
    struct bv_loop *loop;
    struct notification_store *store;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct bv_span_sink *spans;
    struct bv_httpc *client; /* owned */
    struct bv_timer *timer;  /* owned: the next look */
    struct bv_timer *patience;
    struct notification_sender_config config;
    struct bv_backoff policy;
    struct partner *partners; /* owned */
    struct attempt *attempts; /* owned */
    int64_t under_way;
    struct bv_series *outcomes[NOTIFICATION_ON_COUNT], *seconds, *lag,
        *gauge; /* NULL without metrics */
    bool claiming;
    bool again; /* kicked while claiming */
    bool started, stopping, closing;
    void (*stopped)(void *argument);
    void *stopped_argument;
};

static const struct bv_env *env_of(const struct notification_sender *sender)
{
    return bv_loop_env(sender->loop);
}

/* ---- who is busy ---- */

static struct partner *partner_enter(struct notification_sender *sender, struct bv_bytes webhook_id)
{
    struct partner *partner = sender->partners;
    while (partner && !bv_bytes_equal(bv_bytes_of(partner->webhook_id), webhook_id))
        partner = partner->next;
    if (!partner) {
        partner = calloc(1, sizeof(*partner));
        if (!partner || webhook_id.size >= sizeof(partner->webhook_id)) {
            free(partner);
            return NULL;
        }
        memcpy(partner->webhook_id, webhook_id.data, webhook_id.size);
        partner->next = sender->partners;
        sender->partners = partner;
    }
    partner->count++;
    return partner;
}

static void partner_leave(struct notification_sender *sender, struct partner *partner)
{
    if (--partner->count > 0)
        return;
    struct partner **at = &sender->partners;
    while (*at != partner)
        at = &(*at)->next;
    *at = partner->next;
    free(partner);
}

static void attempt_free(struct attempt *attempt)
{
    struct notification_sender *sender = attempt->sender;
    partner_leave(sender, attempt->partner);
    *(attempt->previous ? &attempt->previous->next : &sender->attempts) = attempt->next;
    if (attempt->next)
        attempt->next->previous = attempt->previous;
    sender->under_way--;
    if (sender->gauge)
        bv_gauge_set(sender->gauge, (double)sender->under_way);
    free(attempt);
}

static void finish_stopping(struct notification_sender *sender)
{
    void (*stopped)(void *argument) = sender->stopped;
    if (sender->under_way > 0 || sender->claiming || !stopped)
        return;
    sender->stopped = NULL;
    bv_timer_clear(sender->patience);
    stopped(sender->stopped_argument);
}

/* The place of an attempt is free: go on, or finish stopping. */
static void attempt_leave(struct attempt *attempt)
{
    struct notification_sender *sender = attempt->sender;
    attempt_free(attempt);
    if (sender->stopping)
        finish_stopping(sender);
    else
        notification_sender_kick(sender);
}

/* ---- how it went ---- */

static void on_ended(void *argument, int rc, const struct bv_error *error)
{
    struct attempt *attempt = argument;
    if (rc == 0)
        BV_FAILPOINT(NOTIFICATION_WEBHOOK_MARKED);
    if (rc < 0) /* the lease runs out, then it is delivered again */
        bv_log(attempt->sender->log,
               BV_WARN,
               "notification.delivery_not_noted",
               &attempt->trace,
               BV_F_INT("number", attempt->number),
               BV_F_TEXT("why", error ? error->text : bv_error_row(rc)->word));
    attempt_leave(attempt);
}

static void write_log(struct bv_buf *buf,
                      const struct attempt *attempt,
                      int status,
                      int64_t duration_ms,
                      const char *why)
{
    char at[BV_TIME_TEXT_SIZE];
    struct bv_json_writer w = bv_json_writer(buf);
    bv_time_format(attempt->start_wall_us, at);
    bv_jw_object(&w);
    bv_jw_kv_int(&w, "attempt", attempt->attempt);
    bv_jw_kv_text(&w, "at", at);
    bv_jw_kv_int(&w, "durationMs", duration_ms);
    if (status >= 100 && status <= 599)
        bv_jw_kv_int(&w, "httpStatus", status);
    else
        bv_jw_kv_string(&w, "error", (struct bv_bytes){why, strnlen(why, ERROR_BYTES_MAX)});
    bv_jw_end(&w);
}

static void
account(struct attempt *attempt, enum notification_on on, int rc, int status, int64_t duration_us)
{
    struct notification_sender *sender = attempt->sender;
    struct bv_span_attribute attributes[] = {
        {"http.response.status_code", BV_BYTES_NONE, status          },
        {"webhook.attempt",           BV_BYTES_NONE, attempt->attempt},
    };
    struct bv_span span = {.trace = attempt->trace,
                           .name = "POST webhook",
                           .kind = BV_SPAN_CLIENT,
                           .start_wall_us = attempt->start_wall_us,
                           .end_wall_us = attempt->start_wall_us + duration_us,
                           .error_code = on == NOTIFICATION_ON_ACCEPTED ? 0
                                         : rc < 0                       ? rc
                                                                        : BV_E_PROTOCOL,
                           .attributes = attributes,
                           .attribute_count = BV_COUNT(attributes)};
    bv_span_finish(sender->spans, &span);
    if (!sender->metrics)
        return;
    bv_count(sender->outcomes[on], 1);
    bv_observe(sender->seconds, (double)duration_us / 1e6);
    if (on == NOTIFICATION_ON_ACCEPTED)
        bv_observe(sender->lag, (double)attempt->age_ms / 1e3 + (double)duration_us / 1e6);
}

static void report(struct attempt *attempt, enum notification_on on)
{
    enum bv_level level =
        on == NOTIFICATION_ON_EXHAUSTED || on == NOTIFICATION_ON_GONE ? BV_WARN : BV_DEBUG;
    bv_log(attempt->sender->log,
           level,
           "notification.delivery_attempted",
           &attempt->trace,
           BV_F_TEXT("webhook", attempt->partner->webhook_id),
           BV_F_INT("number", attempt->number),
           BV_F_INT("attempt", attempt->attempt),
           BV_F_TEXT("outcome", notification_on_name(on)));
}

/* How an attempt went. */
struct ending {
    int rc;
    int status;                  /* 0: no answer */
    struct bv_bytes retry_after; /* NONE: not said */
    const char *why;             /* there was no answer */
};

static void end_attempt(struct attempt *attempt, const struct ending *ending)
{
    int rc = ending->rc;
    const int status = ending->status;
    struct notification_sender *sender = attempt->sender;
    int64_t duration_us = bv_mono_us(env_of(sender)) - attempt->start_mono_us;
    struct bv_buf log = {.max = 1024};
    enum notification_on on =
        rc == BV_E_CANCELLED && sender->stopping
            ? NOTIFICATION_ON_LOST
            : notification_attempt_ended(rc, status, attempt->attempt, sender->config.attempts);
    struct notification_ended ended = {.number = attempt->number,
                                       .attempt = attempt->attempt,
                                       .webhook_id = bv_bytes_of(attempt->partner->webhook_id)};
    int step_rc = notification_deliver(NOTIFICATION_SENDING, on, &ended.step);
    assert(step_rc == 0); /* every end of an attempt has a row */
    (void)step_rc;
    if (ended.step.effect == NOTIFICATION_BACK_OFF &&
        bv_backoff_next(
            env_of(sender), &sender->policy, (uint32_t)attempt->attempt - 1, &ended.delay_ms) != 0)
        ended.delay_ms = sender->policy.cap_ms;
    if (ended.step.effect == NOTIFICATION_BACK_OFF)
        ended.delay_ms = notification_retry_delay(ended.delay_ms, status, ending->retry_after);
    if (on == NOTIFICATION_ON_ACCEPTED)
        BV_FAILPOINT(NOTIFICATION_WEBHOOK_ACCEPTED);
    account(attempt, on, rc, status, duration_us);
    report(attempt, on);
    if (on != NOTIFICATION_ON_LOST) {
        write_log(&log, attempt, rc == 0 ? status : 0, duration_us / 1000, ending->why);
        ended.log = bv_buf_view(&log);
    }
    rc = sender->store->ops->ended(sender->store, &ended, on_ended, attempt);
    bv_buf_release(&log);
    if (rc < 0)
        on_ended(attempt, rc, NULL);
}

static void on_response(void *argument,
                        int rc,
                        const struct bv_httpc_response *response,
                        const struct bv_error *error)
{
    struct attempt *attempt = argument;
    if (attempt->sender->closing)
        attempt_free(attempt);
    else
        end_attempt(
            attempt,
            &(struct ending){rc,
                             response ? response->status : 0,
                             response ? bv_httpc_field(response, "retry-after") : BV_BYTES_NONE,
                             error ? error->text : ""});
}

/* ---- sending ---- */

static void write_body(struct bv_buf *buf, const struct notification_claimed *row)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_string(&w, "type", row->type);
    bv_jw_kv_string(&w, "timestamp", row->occurred_at);
    bv_jw_key(&w, "data");
    bv_jw_raw(&w, row->data);
    bv_jw_end(&w);
}

static int
post(struct attempt *attempt, const struct notification_claimed *row, struct bv_error *error)
{
    struct notification_sender *sender = attempt->sender;
    char signature[BV_WEBHOOK_SIGNATURE_TEXT], timestamp[24], url[NOTIFICATION_URL_MAX + 1];
    bv_auto(bv_buf_release) struct bv_buf body = {.max = BODY_BYTES_MAX};
    int64_t now_s = attempt->start_wall_us / 1000000;
    BV_TRY(notification_url_check(row->url, sender->config.privacy, error));
    snprintf(url, sizeof(url), "%.*s", BV_ARG(row->url));
    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)now_s);
    write_body(&body, row);
    if (body.failed)
        return bv_fail(error, BV_E_TOO_LARGE, "the body is too large");
    BV_TRY(bv_webhook_sign(row->secret, row->delivery_id, now_s, bv_buf_view(&body), signature));
    struct bv_http_field fields[] = {
        {"content-type",      BV_BYTES("application/json")},
        {"webhook-id",        row->delivery_id            },
        {"webhook-timestamp", bv_bytes_of(timestamp)      },
        {"correlation-id",    row->correlation_id         },
        {"webhook-signature", bv_bytes_of(signature)      },
    };
    const size_t unsigned_count = BV_COUNT(fields) - 1;
    struct bv_httpc_request request = {
        .method = "POST",
        .url = url,
        .fields = fields,
        .field_count = bv_breaks(BV_BREAK_SKIP_SIGNATURE) ? unsigned_count : BV_COUNT(fields),
        .body = bv_buf_view(&body),
        .timeout_ms = sender->config.timeout_ms,
        .trace = &attempt->trace};
    int rc = bv_httpc_send(sender->client, &request, on_response, attempt);
    BV_FAILPOINT(NOTIFICATION_WEBHOOK_IN_DOUBT);
    return rc < 0 ? bv_fail(error, rc, "the request could not be sent: %s", bv_error_row(rc)->word)
                  : 0;
}

static void begin(struct notification_sender *sender, const struct notification_claimed *row)
{
    struct bv_error error = {0};
    struct bv_trace cause = {0};
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    struct partner *partner = attempt ? partner_enter(sender, row->webhook_id) : NULL;
    if (!partner) {
        free(attempt); /* the lease runs out */
        return;
    }
    bool caused = bv_trace_parse(row->traceparent, &cause) == 0;
    *attempt = (struct attempt){.next = sender->attempts,
                                .sender = sender,
                                .partner = partner,
                                .number = row->number,
                                .attempt = row->attempt,
                                .age_ms = row->age_ms,
                                .start_wall_us = bv_wall_us(env_of(sender)),
                                .start_mono_us = bv_mono_us(env_of(sender)),
                                .trace = bv_trace_child(env_of(sender), caused ? &cause : NULL, 0)};
    if (sender->attempts)
        sender->attempts->previous = attempt;
    sender->attempts = attempt;
    sender->under_way++;
    if (sender->gauge)
        bv_gauge_set(sender->gauge, (double)sender->under_way);
    int rc =
        sender->stopping ? BV_E_CANCELLED : post(attempt, row, &error); /* too late: handed back */
    if (rc < 0)
        end_attempt(attempt, &(struct ending){.rc = rc, .why = error.text});
}

/* ---- claiming ---- */

static void on_claimed(void *argument,
                       int rc,
                       const struct notification_claimed *rows,
                       size_t count,
                       int64_t next_due_ms,
                       const struct bv_error *error)
{
    struct notification_sender *sender = argument;
    bool again = sender->again || count == CLAIM_MAX;
    sender->claiming = sender->again = false;
    if (!sender->stopping)
        bv_timer_set(
            sender->timer, next_due_ms >= 0 && next_due_ms < POLL_MS ? next_due_ms : POLL_MS, 0);
    if (rc < 0) {
        if (rc != BV_E_CANCELLED)
            bv_log(sender->log,
                   BV_WARN,
                   "notification.claim_failed",
                   NULL,
                   BV_F_TEXT("why", error->text));
        count = 0;
        again = false;
    }
    if (count > 0)
        BV_FAILPOINT(NOTIFICATION_WEBHOOK_CLAIMED);
    for (size_t i = 0; i < count; i++)
        begin(sender, &rows[i]);
    if (again)
        notification_sender_kick(sender);
    finish_stopping(sender);
}

void notification_sender_kick(struct notification_sender *sender)
{
    struct notification_busy busy[CLAIM_MAX];
    size_t busy_count = 0;
    if (!sender || !sender->started || sender->stopping)
        return;
    int64_t room = sender->config.concurrency - sender->under_way;
    if (sender->claiming || room <= 0) {
        sender->again = sender->claiming;
        return; /* no room: the end of an attempt kicks */
    }
    for (struct partner *partner = sender->partners; partner && busy_count < CLAIM_MAX;
         partner = partner->next)
        busy[busy_count++] =
            (struct notification_busy){bv_bytes_of(partner->webhook_id), partner->count};
    struct notification_claim claim = {.limit = room < CLAIM_MAX ? room : CLAIM_MAX,
                                       .each_max = sender->config.concurrency_each,
                                       .lease_ms = sender->config.timeout_ms + LEASE_MARGIN_MS,
                                       .busy = busy,
                                       .busy_count = busy_count};
    sender->claiming = true;
    if (sender->store->ops->claim(sender->store, &claim, on_claimed, sender) < 0) {
        sender->claiming = false;
        bv_timer_set(sender->timer, POLL_MS, 0);
    }
}

static void on_timer(void *argument)
{
    struct notification_sender *sender = argument;
    bv_timer_set(sender->timer, POLL_MS, 0);
    notification_sender_kick(sender);
}

/* ---- life ---- */

static void make_series(struct notification_sender *sender)
{
    for (int i = 0; i < NOTIFICATION_ON_COUNT; i++) {
        const char *name = notification_on_name((enum notification_on)i);
        if (i == NOTIFICATION_ON_CLAIMED || i == NOTIFICATION_ON_WITHDRAWN)
            continue; /* no end of an attempt */
        sender->outcomes[i] = bv_metrics_series(sender->metrics, &deliveries_metric, &name, 1);
    }
    sender->seconds = bv_metrics_series(sender->metrics, &seconds_metric, NULL, 0);
    sender->lag = bv_metrics_series(sender->metrics, &lag_metric, NULL, 0);
    sender->gauge = bv_metrics_series(sender->metrics, &under_way_metric, NULL, 0);
}

static void on_patience_over(void *argument)
{
    struct notification_sender *sender = argument;
    bv_httpc_close(&sender->client); /* what is under way ends as LOST */
}

static int build(struct notification_sender *sender)
{
    struct bv_httpc_config http = {.connections_max = sender->config.concurrency,
                                   .connections_per_host_max = sender->config.concurrency,
                                   .requests_max = sender->config.concurrency,
                                   .response_bytes_max = RESPONSE_BYTES_MAX,
                                   .user_agent = "BitVelocity-Webhooks/1",
                                   .public_only =
                                       sender->config.privacy == NOTIFICATION_PRIVATE_REFUSED};
    BV_TRY(bv_timer_open(sender->loop, on_timer, sender, &sender->timer));
    BV_TRY(bv_timer_open(sender->loop, on_patience_over, sender, &sender->patience));
    return bv_httpc_open(sender->loop, &http, &sender->client);
}

int notification_sender_open(struct bv_loop *loop,
                             const struct notification_sender_config *config,
                             struct notification_store *store,
                             struct bv_log *log,
                             struct bv_metrics *metrics,
                             struct bv_span_sink *spans,
                             struct notification_sender **ret_sender)
{
    struct notification_sender *sender = calloc(1, sizeof(*sender));
    if (!sender)
        return BV_E_NOMEM;
    sender->loop = loop;
    sender->config = *config;
    sender->store = store;
    sender->log = log;
    sender->metrics = metrics;
    sender->spans = spans;
    sender->policy = (struct bv_backoff){"webhook-delivery",
                                         BV_BACKOFF_LINEAR,
                                         config->backoff_base_ms,
                                         config->backoff_base_ms * config->attempts,
                                         (uint32_t)config->attempts - 1};
    if (metrics)
        make_series(sender);
    int rc = build(sender);
    if (rc < 0) {
        notification_sender_close(&sender);
        return rc;
    }
    *ret_sender = sender;
    return 0;
}

void notification_sender_start(struct notification_sender *sender)
{
    sender->started = true;
    notification_sender_kick(sender);
}

void notification_sender_stop(struct notification_sender *sender,
                              int64_t patience_ms,
                              void (*stopped)(void *argument),
                              void *argument)
{
    sender->stopping = true;
    bv_timer_clear(sender->timer);
    if (sender->under_way == 0 && !sender->claiming) {
        stopped(argument);
        return;
    }
    sender->stopped = stopped;
    sender->stopped_argument = argument;
    bv_timer_set(sender->patience, patience_ms, 0);
}

void notification_sender_close(struct notification_sender **sender_at)
{
    struct notification_sender *sender = *sender_at;
    *sender_at = NULL;
    if (!sender)
        return;
    sender->closing = true;
    bv_httpc_close(&sender->client);
    bv_timer_close(&sender->timer);
    bv_timer_close(&sender->patience);
    while (sender->attempts)
        attempt_free(sender->attempts);
    free(sender);
}
