#include "product_service.h"
#include "bv/event_service.h"
#include <stdio.h>

#define PG_CONNECTIONS 2
#define PG_CALLS_MAX 4096
#define PG_CALL_TIMEOUT_MS 3000
#define PG_PIPELINE_DEPTH 16
#define REDIS_COMMANDS_MAX 8192
#define REDIS_TIMEOUT_MS 500

extern const struct bv_bytes product_openapi;

static void service_release(void *state)
{
    struct product_service *service = state;
    bv_consumer_close(&service->flushes);
    bv_outbox_relay_close(&service->relay);
    bv_bus_close(&service->bus);
    bv_redis_close(&service->redis); /* look-ups under way go on to the store … */
    if (service->store)
        service->store->ops->release(&service->store); /* … and end there */
    product_catalogue_close(&service->catalogue);
    bv_guard_close(&service->guard);
}

/* Another replica's change, or our own once more: dropping twice is harmless, so no inbox is
 * needed. */
static void heard(void *context,
                  struct bv_consumer_event *under_way,
                  const struct bv_event *event,
                  const struct bv_record *record)
{
    struct product_service *service = context;
    struct product product = {.tenant = event->tenant, .sku = event->partition_key};
    (void)record;
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(event->payload, "tags"));
         bv_json_next(&it);)
        if (product.tag_count < PRODUCT_TAGS_MAX)
            product.tags[product.tag_count++] = bv_json_string(it.value);
    product_catalogue_flush(service->catalogue, &product);
    bv_consumer_done(under_way, 0, NULL);
}

static int open_flushes(struct product_service *service)
{
    static const char *const topics[] = {"ecommerce.products", NULL};
    static const struct bv_consumer_row rows[] = {
        {"ecommerce.product.created.v1", heard},
        {"ecommerce.product.updated.v1", heard},
        {"ecommerce.product.deleted.v1", heard},
    };
    char id[BV_UUID_TEXT_SIZE];
    bv_uuid_format(bv_uuid_v7(bv_service_env(service->frame)), id);
    snprintf(service->group,
             sizeof(service->group),
             "product-cache-%s",
             id); /* every replica hears every change */
    struct bv_consumer_config config = {.group = service->group,
                                        .topics = topics,
                                        .rows = rows,
                                        .row_count = BV_COUNT(rows),
                                        .prefetch = 64,
                                        .from = BV_FROM_LATEST};
    return bv_consumer_open(bv_service_loop(service->frame),
                            service->bus,
                            &config,
                            bv_service_log(service->frame),
                            bv_service_metrics(service->frame),
                            bv_service_spans(service->frame),
                            service,
                            &service->flushes);
}

static int open_catalogue(struct product_service *service)
{
    struct bv_loop *loop = bv_service_loop(service->frame);
    struct bv_metrics *metrics = bv_service_metrics(service->frame);
    const struct product_config *config = service->config;
    struct bv_pg_config pg = {.conninfo = config->pg_url,
                              .connections = PG_CONNECTIONS,
                              .calls_max = PG_CALLS_MAX,
                              .call_timeout_ms = PG_CALL_TIMEOUT_MS,
                              .pipeline_depth = PG_PIPELINE_DEPTH,
                              .application = "product"};
    struct bv_redis_config redis = {config->redis_url, REDIS_COMMANDS_MAX, REDIS_TIMEOUT_MS};
    struct product_catalogue_config catalogue = {
        config->cache_ttl_ms, config->cache_entries, config->redis_ttl_ms};
    BV_TRY(product_store_pg_open(loop, &pg, metrics, &service->store));
    BV_TRY(bv_redis_open(loop, &redis, metrics, &service->redis));
    struct product_catalogue_deps deps = {
        loop, bv_service_log(service->frame), metrics, service->store, service->redis};
    return product_catalogue_open(&catalogue, &deps, &service->catalogue);
}

static int
service_init(void *state, struct bv_service *frame, const void *config, struct bv_error *error)
{
    struct product_service *service = state;
    (void)error;
    service->frame = frame;
    service->config = config;
    BV_TRY(bv_guard_attach(service->frame, service->config->auth_url, &service->guard));
    BV_TRY(open_catalogue(service));
    return bv_service_events_open(service->frame,
                                  "product",
                                  service->config->kafka_brokers,
                                  service->config->pg_url,
                                  &service->bus,
                                  &service->relay);
}

static int service_start(void *state, struct bv_error *error)
{
    (void)error;
    return open_flushes(state);
}

static int service_ready(void *state, struct bv_error *error)
{
    struct product_service *service = state;
    if (!service->store->ops->ready(service->store))
        return bv_fail(error, BV_E_UNAVAILABLE, "PostgreSQL is not reachable");
    if (!bv_guard_ready(service->guard))
        return bv_fail(error, BV_E_UNAVAILABLE, "the keys of the auth service are not there yet");
    /* Redis and Kafka may be away: the service goes on, slower and with its events waiting in the
     * outbox. */
    if (!bv_redis_ready(service->redis))
        (void)bv_fail(
            error, BV_E_UNAVAILABLE, "Redis is not reachable: every read asks PostgreSQL");
    else if (!bv_bus_ready(service->bus))
        (void)bv_fail(error, BV_E_UNAVAILABLE, "Kafka is not reachable: events wait in the outbox");
    return 0;
}

static void flushes_stopped(void *argument)
{
    struct product_service *service = argument;
    bv_service_stopped(service->frame);
}

static void service_stop(void *state)
{
    struct product_service *service = state;
    bv_consumer_stop(service->flushes, flushes_stopped, service);
}

static const char *const topics_in[] = {"ecommerce.products", NULL};
static const char *const topics_out[] = {"ecommerce.products", NULL};

const struct bv_service_spec product_spec = {
    .name = "product",
    .purpose = "The catalogue: products over REST, read through memory and Redis, changes "
               "announced on Kafka.",
    .options = product_options,
    .option_count = PRODUCT_OPTION_COUNT,
    .config_bytes = sizeof(struct product_config),
    .routes = product_routes,
    .route_count = PRODUCT_ROUTE_COUNT,
    .openapi = &product_openapi,
    .topics_in = topics_in,
    .topics_out = topics_out,
    .state_bytes = sizeof(struct product_service),
    .init = service_init,
    .start = service_start,
    .ready = service_ready,
    .stop = service_stop,
    .release = service_release,
};
