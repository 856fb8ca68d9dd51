#include "notification_service.h"

#include "bv/event_service.h"

#define PG_CALLS_MAX 8192
#define PG_CALL_TIMEOUT_MS 5000
#define PG_PIPELINE_DEPTH 16
#define PREFETCH 256
#define SWEEP_FIRST_MS 5000
#define SWEEP_MS 60000

extern const struct bv_bytes notification_openapi;

static const struct bv_backoff intake_retry = {
    "notification-intake", BV_BACKOFF_EXPONENTIAL_FULL_JITTER, 50, 5000, 60};

/* The pool first: then every call of the store has ended, and nobody is called any more. */
static void service_release(void *state)
{
    struct notification_service *service = state;
    bv_timer_close(&service->sweep);
    notification_listen_close(&service->listen);
    bv_pg_close(&service->pg);
    bv_consumer_close(&service->consumer);
    notification_intake_close(&service->intake);
    notification_sender_close(&service->sender);
    notification_hub_close(&service->hub);
    bv_parked_pg_close(&service->parked);
    bv_bus_close(&service->bus);
    if (service->store)
        service->store->ops->release(&service->store);
    bv_guard_close(&service->guard);
}

/* ---- from one part to the other ---- */

static void on_committed(void *argument, const struct notification_event *event, int64_t sequence)
{
    struct notification_service *service = argument;
    struct notification_live live = {
        sequence, event->type, event->occurred_at, event->traceparent, event->data};
    notification_hub_offer(service->hub, event->tenant, event->user_id, &live);
}

static void on_deliveries(void *argument)
{
    struct notification_service *service = argument;
    notification_sender_kick(service->sender);
}

static void on_hint(void *argument, struct bv_bytes payload)
{
    struct notification_service *service = argument;
    struct notification_hint hint;
    if (notification_hint_parse(payload, &hint) == 0)
        notification_hub_hint(service->hub, &hint);
}

static void on_missed(void *argument)
{
    struct notification_service *service = argument;
    notification_hub_resync(service->hub);
}

static void on_swept(void *argument, int rc, const struct bv_error *error)
{
    struct notification_service *service = argument;
    if (rc < 0 && rc != BV_E_CANCELLED)
        bv_log(bv_service_log(service->frame),
               BV_WARN,
               "notification.sweep_failed",
               NULL,
               BV_F_TEXT("why", error->text));
}

static void on_sweep(void *argument)
{
    struct notification_service *service = argument;
    struct notification_retention retention = {service->config->live_keep_ms,
                                               service->config->orders_keep_ms,
                                               service->config->delivery_keep_ms,
                                               service->config->inbox_keep_ms};
    (void)!service->store->ops->sweep(
        service->store, &retention, on_swept, service); /* the next minute makes up for it */
}

/* ---- building ---- */

static int open_store(struct notification_service *service)
{
    struct bv_pg_config pg = {.conninfo = service->config->pg_url,
                              .connections = service->config->pg_connections,
                              .calls_max = PG_CALLS_MAX,
                              .call_timeout_ms = PG_CALL_TIMEOUT_MS,
                              .pipeline_depth = PG_PIPELINE_DEPTH,
                              .application = "notification"};
    BV_TRY(bv_pg_open(
        bv_service_loop(service->frame), &pg, bv_service_metrics(service->frame), &service->pg));
    BV_TRY(bv_parked_pg_open(service->pg, &service->parked));
    return notification_store_pg_open(service->pg, &service->store);
}

static int open_parts(struct notification_service *service)
{
    const struct notification_config *config = service->config;
    struct bv_loop *loop = bv_service_loop(service->frame);
    struct bv_log *log = bv_service_log(service->frame);
    struct bv_metrics *metrics = bv_service_metrics(service->frame);
    struct notification_hub_config hub = {config->live_queue_bytes,
                                          config->live_clients_per_user,
                                          config->live_heartbeat_ms,
                                          config->live_keep_count};
    struct notification_sender_config sender = {config->webhook_backoff_base_ms,
                                                config->webhook_attempts,
                                                config->webhook_timeout_ms,
                                                config->webhook_concurrency,
                                                config->webhook_concurrency_each,
                                                config->webhook_allow_private
                                                    ? NOTIFICATION_PRIVATE_ALLOWED
                                                    : NOTIFICATION_PRIVATE_REFUSED};
    struct notification_intake_config intake = {config->intake_batch_max};
    struct notification_intake_events committed = {on_committed, on_deliveries, service};
    struct notification_listen_events hints = {on_hint, on_missed, service};
    BV_TRY(notification_hub_open(loop, &hub, service->store, log, metrics, &service->hub));
    BV_TRY(notification_sender_open(loop,
                                    &sender,
                                    service->store,
                                    log,
                                    metrics,
                                    bv_service_spans(service->frame),
                                    &service->sender));
    BV_TRY(notification_intake_open(
        loop, &intake, service->store, metrics, &committed, &service->intake));
    BV_TRY(notification_listen_open(loop, config->pg_url, log, &hints, &service->listen));
    return bv_timer_open(loop, on_sweep, service, &service->sweep);
}

static int
service_init(void *state, struct bv_service *frame, const void *config, struct bv_error *error)
{
    struct notification_service *service = state;
    (void)error;
    service->frame = frame;
    service->config = config;
    BV_TRY(bv_guard_attach(service->frame, service->config->auth_url, &service->guard));
    BV_TRY(open_store(service));
    BV_TRY(open_parts(service));
    return bv_service_events_open(
        service->frame, "notification", service->config->kafka_brokers, NULL, &service->bus, NULL);
}

static const char *const topics_in[] = {"ecommerce.orders", NULL};
static const char *const topics_out[] = {"ecommerce.orders.dlq", NULL};

static int service_start(void *state, struct bv_error *error)
{
    struct notification_service *service = state;
    struct bv_consumer_config config = {.group = "notification",
                                        .topics = topics_in,
                                        .rows = notification_consumer_rows,
                                        .row_count = NOTIFICATION_TYPE_COUNT,
                                        .retry = &intake_retry,
                                        .prefetch = PREFETCH,
                                        .parked = service->parked};
    (void)error;
    notification_sender_start(service->sender);
    bv_timer_set(service->sweep, SWEEP_FIRST_MS, SWEEP_MS);
    return bv_consumer_open(bv_service_loop(service->frame),
                            service->bus,
                            &config,
                            bv_service_log(service->frame),
                            bv_service_metrics(service->frame),
                            bv_service_spans(service->frame),
                            service->intake,
                            &service->consumer);
}

static int service_ready(void *state, struct bv_error *error)
{
    struct notification_service *service = state;
    if (!service->store->ops->ready(service->store))
        return bv_fail(error, BV_E_UNAVAILABLE, "PostgreSQL is not reachable");
    if (!notification_listen_ready(service->listen))
        return bv_fail(error, BV_E_UNAVAILABLE, "the listening connection to PostgreSQL is not up");
    if (!bv_guard_ready(service->guard))
        return bv_fail(error, BV_E_UNAVAILABLE, "the keys of the auth service are not there yet");
    if (!bv_bus_ready(service->bus))
        return bv_fail(error, BV_E_UNAVAILABLE, "Kafka is not reachable");
    return 0;
}

static void sender_stopped(void *argument)
{
    struct notification_service *service = argument;
    bv_service_stopped(service->frame);
}

static void consumer_stopped(void *argument)
{
    struct notification_service *service = argument;
    notification_sender_stop(
        service->sender, bv_service_common(service->frame)->drain_ms / 3, sender_stopped, service);
}

static void service_stop(void *state)
{
    struct notification_service *service = state;
    bv_timer_clear(service->sweep);
    bv_consumer_stop(service->consumer, consumer_stopped, service);
}

const struct bv_service_spec notification_spec = {
    .name = "notification",
    .purpose =
        "Live order status over WebSocket and SSE, resumable, and signed webhooks to partners.",
    .options = notification_options,
    .option_count = NOTIFICATION_OPTION_COUNT,
    .config_bytes = sizeof(struct notification_config),
    .routes = notification_routes,
    .route_count = NOTIFICATION_ROUTE_COUNT,
    .openapi = &notification_openapi,
    .topics_in = topics_in,
    .topics_out = topics_out,
    .state_bytes = sizeof(struct notification_service),
    .init = service_init,
    .start = service_start,
    .ready = service_ready,
    .stop = service_stop,
    .release = service_release,
};
