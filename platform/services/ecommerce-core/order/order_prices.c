#include "order_prices.h"
#include "order_core.h"
#include <stdio.h>
#include <stdlib.h>

#define URL_MAX 512
#define FLIGHTS_MAX 1024
#define WAITERS_MAX 8192
#define ARENA_MAX (256 * 1024)

struct entry {
    char sku[ORDER_SKU_MAX + 1];
    struct order_price price;
    int64_t expires_at_ms; /* 0: empty */
};

struct order_prices {
    struct bv_loop *loop;
    struct bv_httpc *client;
    struct order_prices_config config;
    struct entry *entries;      /* owned */
    struct bv_flights *flights; /* owned */
    struct bv_series *hits, *misses;
};

/* A GET under way, shared by everybody who asks for the SKU meanwhile. */
struct fetch {
    struct order_prices *prices;
    char sku[ORDER_SKU_MAX + 1];
};
struct waiter {
    order_price_done *done;
    void *argument;
};

static const struct bv_metric lookups = {"order_price_lookups_total",
                                         BV_COUNTER,
                                         "Price look-ups by where they were answered.",
                                         "source",
                                         NULL,
                                         0};

static struct entry *slot_of(struct order_prices *prices, struct bv_bytes sku)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < sku.size; i++)
        hash = (hash ^ (unsigned char)sku.data[i]) * UINT64_C(1099511628211);
    return &prices->entries[hash % (uint64_t)prices->config.entries];
}

int order_prices_find(struct order_prices *prices,
                      struct bv_bytes sku,
                      struct order_price *ret_price)
{
    struct entry *entry = slot_of(prices, sku);
    if (entry->expires_at_ms <= bv_loop_now_ms(prices->loop) ||
        !bv_bytes_equal(bv_bytes_of(entry->sku), sku)) {
        bv_count(prices->misses, 1);
        return ORDER_PRICE_MISS;
    }
    bv_count(prices->hits, 1);
    *ret_price = entry->price;
    return 0;
}

static void remember(struct order_prices *prices, const char *sku, const struct order_price *price)
{
    struct entry *entry = slot_of(prices, bv_bytes_of(sku));
    memcpy(entry->sku, sku, strlen(sku) + 1);
    entry->price = *price;
    entry->expires_at_ms = bv_loop_now_ms(prices->loop) + prices->config.ttl_ms;
}

static int read_price(struct bv_bytes body, struct order_price *ret_price)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct bv_json *root;
    BV_TRY(bv_arena_open(ARENA_MAX, &arena));
    if (bv_json_parse(arena, body, &root, NULL) < 0)
        return BV_E_PROTOCOL;
    struct bv_bytes currency = bv_json_string(bv_json_get(root, "currency"));
    int64_t price = bv_json_int(bv_json_get(root, "priceMinor"), -1);
    if (price < 0 || price > ORDER_PRICE_MAX || currency.size != 3)
        return BV_E_PROTOCOL;
    ret_price->price_minor = price;
    snprintf(ret_price->currency, sizeof(ret_price->currency), "%.*s", BV_ARG(currency));
    return 0;
}

static void fetched(void *argument,
                    int rc,
                    const struct bv_httpc_response *response,
                    const struct bv_error *error)
{
    struct fetch *fetch = argument;
    struct order_prices *prices = fetch->prices;
    struct order_price price;
    const struct order_price *found = NULL;
    (void)error;
    if (rc == 0 && response->status == 200) {
        rc = read_price(response->body, &price);
        if (rc == 0) {
            remember(prices, fetch->sku, &price);
            found = &price;
        }
    } else if (rc == 0 && response->status != 404) {
        rc = BV_E_UNAVAILABLE;
    }
    bv_flight_land(prices->flights, bv_bytes_of(fetch->sku), rc, found);
    free(fetch);
}

static void landed(void *argument, int rc, const void *result)
{
    struct waiter waiter = *(struct waiter *)argument;
    free(argument);
    waiter.done(waiter.argument, rc, result);
}

static int lead(struct order_prices *prices, struct bv_bytes sku, const struct bv_trace *trace)
{
    char url[URL_MAX];
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return BV_E_NOMEM;
    fetch->prices = prices;
    snprintf(fetch->sku, sizeof(fetch->sku), "%.*s", BV_ARG(sku));
    snprintf(url, sizeof(url), "%s/v1/products/%s", prices->config.product_url, fetch->sku);
    struct bv_httpc_request request = {
        .method = "GET", .url = url, .timeout_ms = prices->config.timeout_ms, .trace = trace};
    int rc = bv_httpc_send(prices->client, &request, fetched, fetch);
    if (rc < 0)
        free(fetch);
    return rc;
}

int order_prices_fetch(struct order_prices *prices,
                       struct bv_bytes sku,
                       const struct bv_trace *trace,
                       order_price_done *done,
                       void *argument)
{
    struct waiter *waiter = malloc(sizeof(*waiter));
    if (!waiter)
        return BV_E_NOMEM;
    *waiter = (struct waiter){done, argument};
    int rc = bv_flight_join(prices->flights, sku, landed, waiter);
    if (rc < 0) {
        free(waiter);
        return rc;
    }
    if (rc == BV_FLIGHT_LEADER) {
        rc = lead(prices, sku, trace);
        if (rc < 0)
            bv_flight_land(
                prices->flights, sku, rc, NULL); /* tells every waiter, ourselves included */
    }
    return 0;
}

void order_prices_close(struct order_prices **prices_pointer)
{
    struct order_prices *prices = *prices_pointer;
    if (!prices)
        return;
    bv_flights_close(&prices->flights);
    free(prices->entries);
    free(prices);
    *prices_pointer = NULL;
}

int order_prices_open(struct bv_loop *loop,
                      struct bv_httpc *client,
                      const struct order_prices_config *config,
                      struct bv_metrics *metrics,
                      struct order_prices **ret_prices)
{
    struct order_prices *prices = calloc(1, sizeof(*prices));
    if (!prices)
        return BV_E_NOMEM;
    prices->loop = loop;
    prices->client = client;
    prices->config = *config;
    prices->hits = bv_metrics_series(metrics, &lookups, (const char *const[]){"cache"}, 1);
    prices->misses = bv_metrics_series(metrics, &lookups, (const char *const[]){"product"}, 1);
    prices->entries = calloc((size_t)config->entries, sizeof(*prices->entries));
    int rc =
        prices->entries ? bv_flights_open(FLIGHTS_MAX, WAITERS_MAX, &prices->flights) : BV_E_NOMEM;
    if (rc < 0)
        order_prices_close(&prices);
    else
        *ret_prices = prices;
    return rc;
}
