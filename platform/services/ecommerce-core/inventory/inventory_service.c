#include "inventory_service.h"

#include "bv/event_service.h"

#include "bv/outbox.h"
#include "inventory_events.h"

#include <stdio.h>

#define MESSAGE_BYTES_MAX (64 * 1024) /* 50 lines of 64 bytes, with room */
#define PG_CALLS_MAX 4096
#define PG_PIPELINE_DEPTH 16
#define FEED_PREFETCH 64
#define EVENT_ARENA_BYTES (1024 * 1024)
#define DRAIN_SHARE 4 /* of drain_ms, for calls in flight */

extern const struct bv_bytes inventory_descriptors;

static const char *const topics[] = {INVENTORY_TOPIC, NULL};

/* ---- what others see of a commit ---- */

static void on_committed(void *argument, const struct inventory_change *changes, size_t count)
{
    struct inventory_service *service = argument;
    inventory_watches_committed(service->watches, changes, count);
    bv_outbox_relay_kick(service->relay);
}

/* Stock events of all replicas, our own too: hints that levels moved. Nothing is applied twice,
 * versions tell. */
static void on_event(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    struct inventory_service *service = argument;
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct inventory_news *news = NULL;
    size_t count = 0;
    int rc = bv_arena_open(EVENT_ARENA_BYTES, &arena);
    if (rc == 0)
        rc = inventory_events_read(arena, record->value, &news, &count);
    if (rc < 0)
        bv_log(bv_service_log(service->frame),
               BV_WARN,
               "inventory.event_unreadable",
               NULL,
               BV_F_INT("offset", record->offset),
               BV_F_TEXT("code", bv_error_row(rc)->name));
    for (size_t i = 0; i < count; i++) {
        struct inventory_stock_row row = {.key = news[i].key, .level = news[i].level};
        inventory_batch_learn(service->batch, &row, 1);
        inventory_watches_seen(service->watches, news[i].key, news[i].level.version);
    }
    inventory_watches_pump(service->watches);
    bv_bus_ack(delivery);
}

/* ---- life ---- */

static void service_release(void *state)
{
    struct inventory_service *service = state;
    bv_bus_unsubscribe(&service->feed);
    bv_outbox_relay_close(&service->relay);
    bv_bus_close(&service->bus);
    bv_pg_close(&service->pg); /* ends the calls of batch, watches and levels */
    inventory_batch_close(&service->batch);
    inventory_watches_close(&service->watches);
    if (service->store)
        service->store->ops->close(&service->store);
    bv_grpc_server_close(&service->grpc);
}

static int open_grpc(struct inventory_service *service)
{
    const struct bv_service_common *common = bv_service_common(service->frame);
    struct bv_grpc_server_config config = {
        common->host, service->config->grpc_port, service->config->calls_max, MESSAGE_BYTES_MAX};
    struct bv_grpc_deps deps = {bv_service_loop(service->frame),
                                bv_service_log(service->frame),
                                bv_service_metrics(service->frame),
                                bv_service_spans(service->frame),
                                (uint32_t)common->trace_sample_ppm};
    BV_TRY(bv_grpc_server_open(&config, &deps, &service->grpc));
    BV_TRY(
        bv_grpc_server_methods(service->grpc, inventory_methods, inventory_method_count, service));
    return bv_grpc_server_reflection(service->grpc, inventory_descriptors);
}

static int open_store(struct inventory_service *service)
{
    const struct inventory_config *config = service->config;
    struct bv_pg_config pg = {.conninfo = config->pg_url,
                              .connections = config->pg_connections,
                              .calls_max = PG_CALLS_MAX,
                              .call_timeout_ms = config->call_timeout_ms,
                              .pipeline_depth = PG_PIPELINE_DEPTH,
                              .application = "inventory",
                              .on_connect = bv_pg_plans_kept};
    BV_TRY(bv_pg_open(
        bv_service_loop(service->frame), &pg, bv_service_metrics(service->frame), &service->pg));
    return inventory_store_pg_open(service->pg, &service->store);
}

static int open_core(struct inventory_service *service)
{
    struct bv_metrics *metrics = bv_service_metrics(service->frame);
    struct inventory_batch_deps deps = {bv_service_loop(service->frame),
                                        bv_service_log(service->frame),
                                        metrics,
                                        service->store,
                                        on_committed,
                                        service};
    inventory_api_metrics(service, metrics);
    BV_TRY(inventory_watches_open(service->store,
                                  bv_service_env(service->frame),
                                  metrics,
                                  (size_t)service->config->watchers_max,
                                  &service->watches));
    return inventory_batch_open(&deps, service->config->queue_max, &service->batch);
}

static int
service_init(void *state, struct bv_service *frame, const void *config, struct bv_error *error)
{
    struct inventory_service *service = state;
    service->frame = frame;
    service->config = config;
    int rc = open_grpc(service);
    if (rc == 0)
        rc = open_store(service);
    if (rc == 0)
        rc = open_core(service);
    if (rc == 0)
        rc = bv_service_events_open(frame,
                                    "inventory",
                                    service->config->kafka_brokers,
                                    service->config->pg_url,
                                    &service->bus,
                                    &service->relay);
    return rc < 0 ? bv_fail(error, rc, "the service cannot be built") : 0;
}

static int open_feed(struct inventory_service *service)
{
    struct bv_uuid uuid = bv_uuid_v7(bv_service_env(service->frame));
    char text[BV_UUID_TEXT_SIZE];
    bv_uuid_format(uuid, text);
    snprintf(service->feed_group, sizeof service->feed_group, "inventory-feed-%s", text);
    struct bv_subscription_config config = {.group = service->feed_group,
                                            .topics = topics,
                                            .prefetch = FEED_PREFETCH,
                                            .from = BV_FROM_LATEST};
    return bv_bus_subscribe(service->bus, &config, on_event, service, &service->feed);
}

static int service_start(void *state, struct bv_error *error)
{
    struct inventory_service *service = state;
    int rc = open_feed(service);
    if (rc < 0)
        return bv_fail(error, rc, "the stock events cannot be subscribed to");
    BV_TRY(bv_grpc_server_start(service->grpc, error));
    bv_log(bv_service_log(service->frame),
           BV_INFO,
           "inventory.grpc_listening",
           NULL,
           BV_F_INT("port", bv_grpc_server_port(service->grpc)));
    return 0;
}

static int service_ready(void *state, struct bv_error *error)
{
    struct inventory_service *service = state;
    if (!service->store->ops->ready(service->store))
        return bv_fail(error, BV_E_UNAVAILABLE, "PostgreSQL is not reachable");
    if (!bv_bus_ready(service->bus))
        return bv_fail(error, BV_E_UNAVAILABLE, "Kafka is not reachable");
    return 0;
}

static void on_batch_idle(void *argument)
{
    struct inventory_service *service = argument;
    bv_service_stopped(service->frame);
}

static void on_grpc_drained(void *argument)
{
    struct inventory_service *service = argument;
    inventory_batch_stop(service->batch, on_batch_idle, service);
}

static void service_stop(void *state)
{
    struct inventory_service *service = state;
    bv_grpc_server_drain(service->grpc,
                         bv_service_common(service->frame)->drain_ms / DRAIN_SHARE,
                         on_grpc_drained,
                         service);
}

const struct bv_service_spec inventory_spec = {
    .name = "inventory",
    .purpose = "Stock of the shop: reserve, commit, release, count and watch levels over gRPC; "
               "never negative.",
    .options = inventory_options,
    .option_count = INVENTORY_OPTION_COUNT,
    .config_bytes = sizeof(struct inventory_config),
    .topics_in = topics,
    .topics_out = topics,
    .state_bytes = sizeof(struct inventory_service),
    .init = service_init,
    .start = service_start,
    .ready = service_ready,
    .stop = service_stop,
    .release = service_release,
};
