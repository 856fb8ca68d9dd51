#include "order_stock.h"
#include "inventory.pb-c.h"
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_BYTES_MAX (1024 * 1024)

static const struct bv_breaker_policy breaker_policy = {"inventory", 20, 10, 1000, 2};
static const struct bv_metric refused_metric = {"order_inventory_refused_total",
                                                BV_COUNTER,
                                                "Calls that the open circuit breaker refused.",
                                                "",
                                                NULL,
                                                0};

struct order_stock {
    struct bv_loop *loop;
    struct bv_grpc_client *client; /* owned */
    struct order_stock_config config;
    struct bv_breaker breaker;
    struct bv_series *refused;
    bool silent; /* the last call got no answer */
};

struct ask {
    struct order_stock *stock;
    union {
        order_reserve_done *reserve;
        order_settle_done *settle;
    } done;
    void *argument;
};

static struct ask take_ask(void *argument)
{
    struct ask ask = *(struct ask *)argument;
    free(argument);
    return ask;
}

static void report(struct order_stock *stock, int rc)
{
    bool peer_failed =
        rc == BV_E_UNAVAILABLE || rc == BV_E_TIMEOUT || rc == BV_E_INTERNAL || rc == BV_E_LIMIT;
    stock->silent = peer_failed;
    enum bv_call_result result = rc == 0       ? BV_CALL_OK
                                 : peer_failed ? BV_CALL_FAILED
                                               : BV_CALL_IGNORED;
    bv_breaker_report(&stock->breaker, bv_loop_now_ms(stock->loop), result);
}

static int enter(struct order_stock *stock)
{
    int64_t retry_after_ms;
    int rc = bv_breaker_enter(&stock->breaker, bv_loop_now_ms(stock->loop), &retry_after_ms);
    if (rc < 0)
        bv_count(stock->refused, 1);
    return rc;
}

static int send(struct order_stock *stock,
                const struct bv_grpc_request *request,
                bv_grpc_done *done,
                struct ask ask)
{
    BV_TRY(enter(stock));
    struct ask *copy = malloc(sizeof(*copy));
    int rc = copy ? 0 : BV_E_NOMEM;
    if (rc == 0) {
        *copy = ask;
        rc = bv_grpc_send(stock->client, request, done, copy);
    }
    if (rc < 0) {
        free(copy);
        report(stock, rc);
    }
    return rc;
}

static void
on_reserved(void *argument, int rc, const ProtobufCMessage *message, const struct bv_error *error)
{
    struct ask ask = take_ask(argument);
    struct order_shortage shortages[ORDER_ITEMS_MAX];
    struct order_reservation reservation = {.shortages = shortages};
    report(ask.stock, rc);
    if (rc < 0) {
        ask.done.reserve(ask.argument, rc, NULL, error);
        return;
    }
    const Bitvelocity__Inventory__V1__ReserveReply *reply =
        (const Bitvelocity__Inventory__V1__ReserveReply *)message;
    switch (reply->outcome) {
    case BITVELOCITY__INVENTORY__V1__RESERVE_REPLY__OUTCOME__RESERVED:
        reservation.outcome = ORDER_RESERVE_HELD;
        break;
    case BITVELOCITY__INVENTORY__V1__RESERVE_REPLY__OUTCOME__SOLD_OUT:
        reservation.outcome = ORDER_RESERVE_SOLD_OUT;
        break;
    default:
        reservation.outcome = ORDER_RESERVE_RELEASED_BEFORE;
    }
    for (size_t i = 0; i < reply->n_shortages && i < ORDER_ITEMS_MAX; i++)
        shortages[reservation.shortage_count++] =
            (struct order_shortage){bv_bytes_of(reply->shortages[i]->sku),
                                    reply->shortages[i]->requested,
                                    reply->shortages[i]->available};
    ask.done.reserve(ask.argument, 0, &reservation, NULL);
}

/* Protobuf wants NUL-terminated text; spans of an order are copied here for the duration of the
 * encoding. */
static char *text_of(struct bv_bytes bytes, char *out, size_t room)
{
    snprintf(out, room, "%.*s", BV_ARG(bytes));
    return out;
}

int order_stock_reserve(struct order_stock *stock,
                        const struct order *order,
                        order_reserve_done *done,
                        void *argument)
{
    Bitvelocity__Inventory__V1__ReserveRequest message =
        BITVELOCITY__INVENTORY__V1__RESERVE_REQUEST__INIT;
    Bitvelocity__Inventory__V1__Line lines[ORDER_ITEMS_MAX], *line_pointers[ORDER_ITEMS_MAX];
    char skus[ORDER_ITEMS_MAX][ORDER_SKU_MAX + 1], tenant[65];
    for (size_t i = 0; i < order->item_count; i++) {
        bitvelocity__inventory__v1__line__init(&lines[i]);
        lines[i].sku = text_of(order->items[i].sku, skus[i], sizeof(skus[i]));
        lines[i].quantity = (uint32_t)order->items[i].quantity;
        line_pointers[i] = &lines[i];
    }
    message.order_id = (char *)(uintptr_t)order->order_id;
    message.tenant_id = text_of(order->tenant, tenant, sizeof(tenant));
    message.lines = line_pointers;
    message.n_lines = order->item_count;
    struct bv_grpc_request request = {
        .path = "/bitvelocity.inventory.v1.Inventory/Reserve",
        .message = &message.base,
        .reply = &bitvelocity__inventory__v1__reserve_reply__descriptor,
        .timeout_ms = stock->config.timeout_ms,
        .trace = &order->trace,
        .correlation_id = order->correlation_id,
    };
    return send(stock,
                &request,
                on_reserved,
                (struct ask){.stock = stock, .done.reserve = done, .argument = argument});
}

static void
on_settled(void *argument, int rc, const ProtobufCMessage *message, const struct bv_error *error)
{
    struct ask ask = take_ask(argument);
    (void)message; /* every outcome is final: what was not held needs no release, what was released
                      cannot be committed */
    report(ask.stock, rc);
    ask.done.settle(ask.argument, rc, error);
}

int order_stock_settle(struct order_stock *stock,
                       const struct order_task *task,
                       const char *reason,
                       order_settle_done *done,
                       void *argument)
{
    Bitvelocity__Inventory__V1__CommitRequest commit =
        BITVELOCITY__INVENTORY__V1__COMMIT_REQUEST__INIT;
    Bitvelocity__Inventory__V1__ReleaseRequest release =
        BITVELOCITY__INVENTORY__V1__RELEASE_REQUEST__INIT;
    char tenant[65];
    text_of(task->tenant, tenant, sizeof(tenant));
    commit.order_id = release.order_id = (char *)(uintptr_t)task->order_id;
    commit.tenant_id = release.tenant_id = tenant;
    release.reason = (char *)(uintptr_t)reason;
    bool commits = task->task == ORDER_STOCK_COMMIT;
    struct bv_grpc_request request = {
        .path = commits ? "/bitvelocity.inventory.v1.Inventory/Commit"
                        : "/bitvelocity.inventory.v1.Inventory/Release",
        .message = commits ? &commit.base : &release.base,
        .reply = commits ? &bitvelocity__inventory__v1__commit_reply__descriptor
                         : &bitvelocity__inventory__v1__release_reply__descriptor,
        .timeout_ms = stock->config.timeout_ms,
        .trace = bv_trace_present(&task->trace) ? &task->trace : NULL,
    };
    return send(stock,
                &request,
                on_settled,
                (struct ask){.stock = stock, .done.settle = done, .argument = argument});
}

bool order_stock_answers(const struct order_stock *stock)
{
    return !stock->silent;
}

void order_stock_close(struct order_stock **stock)
{
    if (!*stock)
        return;
    bv_grpc_client_close(&(*stock)->client);
    free(*stock);
    *stock = NULL;
}

int order_stock_open(struct bv_loop *loop,
                     const struct order_stock_config *config,
                     struct bv_metrics *metrics,
                     struct order_stock **ret_stock)
{
    struct order_stock *stock = calloc(1, sizeof(*stock));
    if (!stock)
        return BV_E_NOMEM;
    stock->loop = loop;
    stock->config = *config;
    stock->refused = bv_metrics_series(metrics, &refused_metric, NULL, 0);
    bv_breaker_init(&stock->breaker, &breaker_policy);
    struct bv_grpc_client_config client = {config->target, config->calls_max, MESSAGE_BYTES_MAX};
    int rc = bv_grpc_client_open(loop, &client, &stock->client);
    if (rc < 0) {
        free(stock);
        return rc;
    }
    *ret_stock = stock;
    return 0;
}
