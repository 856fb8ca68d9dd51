#include "order_service.h"
#include "bv/event_service.h"

#define PG_CALLS_MAX 8192
#define PG_CALL_TIMEOUT_MS 5000
#define PG_PIPELINE_DEPTH 8
#define PRICE_ENTRIES 8192
#define PRICE_TIMEOUT_MS 2000
#define INVENTORY_CALLS_MAX 8192

extern const struct bv_bytes order_openapi;

static void service_release(void *state)
{
    struct order_service *service = state;
    bv_consumer_close(&service->payments);
    order_saga_close(&service->saga);
    order_stock_close(&service->stock);
    order_prices_close(&service->prices);
    if (service->store)
        service->store->ops->release(&service->store);
    bv_parked_pg_close(&service->parked);
    bv_outbox_relay_close(&service->relay);
    bv_bus_close(&service->bus);
    bv_guard_close(&service->guard);
}

static void committed(void *argument)
{
    struct order_service *service = argument;
    bv_outbox_relay_kick(service->relay);
}

static int open_saga(struct order_service *service)
{
    struct bv_loop *loop = bv_service_loop(service->frame);
    struct bv_metrics *metrics = bv_service_metrics(service->frame);
    const struct order_config *config = service->config;
    struct bv_pg_config pg = {.conninfo = config->pg_url,
                              .connections = config->pg_connections,
                              .calls_max = PG_CALLS_MAX,
                              .call_timeout_ms = PG_CALL_TIMEOUT_MS,
                              .pipeline_depth = PG_PIPELINE_DEPTH,
                              .application = "order",
                              .on_connect = bv_pg_plans_kept};
    struct order_prices_config prices = {
        config->product_url, config->price_ttl_ms, PRICE_ENTRIES, PRICE_TIMEOUT_MS};
    struct order_stock_config stock = {
        config->inventory_addr, config->inventory_timeout_ms, INVENTORY_CALLS_MAX};
    BV_TRY(order_store_pg_open(loop, &pg, metrics, committed, service, &service->store));
    BV_TRY(bv_parked_pg_open(order_store_pg_pool(service->store), &service->parked));
    BV_TRY(order_prices_open(
        loop, bv_service_httpc(service->frame), &prices, metrics, &service->prices));
    BV_TRY(order_stock_open(loop, &stock, metrics, &service->stock));
    struct order_saga_deps deps = {loop,
                                   bv_service_log(service->frame),
                                   metrics,
                                   service->store,
                                   service->prices,
                                   service->stock,
                                   config};
    return order_saga_open(&deps, &service->saga);
}

static int
service_init(void *state, struct bv_service *frame, const void *config, struct bv_error *error)
{
    struct order_service *service = state;
    (void)error;
    service->frame = frame;
    service->config = config;
    BV_TRY(bv_guard_attach(service->frame, service->config->auth_url, &service->guard));
    BV_TRY(bv_service_events_open(service->frame,
                                  "order",
                                  service->config->kafka_brokers,
                                  service->config->pg_url,
                                  &service->bus,
                                  &service->relay));
    return open_saga(service);
}

static int service_start(void *state, struct bv_error *error)
{
    struct order_service *service = state;
    (void)error;
    order_saga_start(service->saga);
    return order_payments_open(service);
}

static int service_ready(void *state, struct bv_error *error)
{
    struct order_service *service = state;
    if (!service->store->ops->ready(service->store))
        return bv_fail(error, BV_E_UNAVAILABLE, "PostgreSQL is not reachable");
    if (!bv_guard_ready(service->guard))
        return bv_fail(error, BV_E_UNAVAILABLE, "the keys of the auth service are not there yet");
    if (!bv_bus_ready(service->bus))
        return bv_fail(error, BV_E_UNAVAILABLE, "Kafka is not reachable");
    if (!order_stock_answers(service->stock)) /* orders are still read, moved and taken up later */
        (void)bv_fail(error, BV_E_UNAVAILABLE, "inventory does not answer: new orders get 503");
    return 0;
}

static void saga_stopped(void *argument)
{
    struct order_service *service = argument;
    bv_service_stopped(service->frame);
}

static void payments_stopped(void *argument)
{
    struct order_service *service = argument;
    order_saga_stop(service->saga, saga_stopped, service);
}

static void service_stop(void *state)
{
    struct order_service *service = state;
    bv_consumer_stop(service->payments, payments_stopped, service);
}

static const char *const topics_in[] = {"ecommerce.payments", NULL};
static const char *const topics_out[] = {"ecommerce.orders", NULL};

const struct bv_service_spec order_spec = {
    .name = "order",
    .purpose = "Places orders once, reserves their stock, and moves them through their states.",
    .options = order_options,
    .option_count = ORDER_OPTION_COUNT,
    .config_bytes = sizeof(struct order_config),
    .routes = order_routes,
    .route_count = ORDER_ROUTE_COUNT,
    .openapi = &order_openapi,
    .topics_in = topics_in,
    .topics_out = topics_out,
    .state_bytes = sizeof(struct order_service),
    .init = service_init,
    .start = service_start,
    .ready = service_ready,
    .stop = service_stop,
    .release = service_release,
};
