#include "order_events.h"
#include "order_service.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_BYTES_MAX (16 * 1024)
#define LIST_BYTES_MAX (2 * 1024 * 1024)
#define LIST_LIMIT_MAX 100
#define LIST_LIMIT 20
#define BODY_BYTES_MAX 16384

/* ---- answers ---- */

static void reply_lost(const struct bv_http_token *token, int rc)
{
    struct bv_http_request *request = bv_http_find(*token);
    if (rc < 0 && request && bv_http_fail(request, rc, NULL) < 0)
        return; /* the connection itself is gone: nobody is left to tell */
}

static int reply_problem(struct bv_http_request *request,
                         int status,
                         const char *code,
                         const char *title,
                         struct bv_bytes detail,
                         const char *hint,
                         int64_t retry_after_s)
{
    struct bv_http_problem problem = {.status = status,
                                      .code = code,
                                      .title = title,
                                      .detail = detail,
                                      .hint = hint,
                                      .retry_after_s = retry_after_s};
    return bv_http_reply_problem(request, &problem);
}

/* The stored answer of a key, first given or replayed: the same bytes. */
static int reply_stored(struct bv_http_request *request, const struct order_answer *answer)
{
    const char *location =
        bv_arena_format(bv_http_arena(request), "/v1/orders/%s", answer->order_id);
    struct bv_http_field fields[] = {
        {"Location", bv_bytes_of(location)}
    };
    bool is_order = answer->status == 201;
    return bv_http_reply(
        request,
        &(struct bv_http_response){
            .status = answer->status,
            .content_type = is_order ? "application/json" : "application/problem+json",
            .body = answer->body,
            .etag = is_order ? BV_BYTES("\"2\"") : BV_BYTES_NONE, /* RESERVED is always version 2 */
            .fields = fields,
            .field_count = is_order ? 1 : 0});
}

static void write_unknown(struct bv_json_writer *w, const void *argument)
{
    const uint64_t *lines = argument;
    bv_jw_key(w, "errors");
    bv_jw_array(w);
    for (size_t i = 0; i < ORDER_ITEMS_MAX; i++) {
        char pointer[32];
        if (!(*lines & (UINT64_C(1) << i)))
            continue;
        snprintf(pointer, sizeof(pointer), "/items/%zu/sku", i);
        bv_jw_object(w);
        bv_jw_kv_text(w, "pointer", pointer);
        bv_jw_kv_text(w, "detail", "is not in the catalogue");
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static int reply_unknown(struct bv_http_request *request, const struct order_answer *answer)
{
    int count = __builtin_popcountll(answer->lines);
    const char *detail = bv_arena_format(bv_http_arena(request),
                                         "%d line%s a product that is not in the catalogue",
                                         count,
                                         count == 1 ? " names" : "s name");
    struct bv_http_problem problem = {.status = 422,
                                      .code = "unknown-sku",
                                      .title = "Unknown SKU",
                                      .detail = bv_bytes_of(detail),
                                      .hint = "look it up in GET /v1/products",
                                      .extra = write_unknown,
                                      .argument = &answer->lines};
    return bv_http_reply_problem(request, &problem);
}

static int reply_fault(struct bv_http_request *request, const struct order_answer *answer)
{
    if (answer->rc == BV_E_UNAVAILABLE || answer->rc == BV_E_TIMEOUT)
        return reply_problem(request,
                             503,
                             "unavailable",
                             "Temporarily unavailable",
                             BV_BYTES("a service that the order needs does not answer; if it was "
                                      "stored it goes on by itself"),
                             "repeat the request with the same Idempotency-Key",
                             1);
    return bv_http_fail(request, answer->rc, answer->error);
}

static int reply_answer(struct bv_http_request *request, const struct order_answer *answer)
{
    switch (answer->kind) {
    case ORDER_ANSWER_STORED:
        return reply_stored(request, answer);
    case ORDER_ANSWER_UNKNOWN_SKU:
        return reply_unknown(request, answer);
    case ORDER_ANSWER_CURRENCIES:
        return reply_problem(request,
                             422,
                             "invalid",
                             "Well formed, but not acceptable",
                             BV_BYTES("the lines are priced in different currencies"),
                             "place one order for each currency",
                             0);
    case ORDER_ANSWER_KEY_REUSED:
        return reply_problem(request,
                             422,
                             "idempotency-key-reused",
                             "Idempotency-Key is already used",
                             BV_BYTES("this key came before with another body"),
                             "take a new key for a new order",
                             0);
    case ORDER_ANSWER_IN_PROGRESS:
        return reply_problem(request,
                             409,
                             "idempotency-in-progress",
                             "Request in progress",
                             BV_BYTES("a request with this Idempotency-Key is being processed"),
                             "repeat it a little later with the same key",
                             1);
    default:
        return reply_fault(request, answer);
    }
}

/* ---- POST /v1/orders ---- */

struct posted_line {
    struct bv_bytes sku;
    int64_t quantity;
};
static const struct bv_field line_fields[] = {
    {"sku",      offsetof(struct posted_line, sku),      BV_FIELD_STRING, true, 1, ORDER_SKU_MAX     },
    {"quantity",
     offsetof(struct posted_line,             quantity),
     BV_FIELD_INT64,                                                      true,
     1,                                                                            ORDER_QUANTITY_MAX},
};

static int refuse(struct bv_error *error, const char *pointer, size_t line, const char *what)
{
    int rc = bv_fail(error, BV_E_UNPROCESSABLE, "%s", what);
    if (error)
        snprintf(error->pointer, sizeof(error->pointer), pointer, line);
    return rc;
}

static int read_line(const struct bv_json *value,
                     size_t line,
                     struct order_item *items,
                     struct bv_error *error)
{
    struct posted_line posted = {0};
    char inner[64];
    int rc = bv_json_decode(value, line_fields, BV_COUNT(line_fields), BV_STRICT, &posted, error);
    if (rc < 0) {
        if (error) {
            memcpy(inner, error->pointer, sizeof(inner));
            snprintf(error->pointer, sizeof(error->pointer), "/items/%zu%.30s", line, inner);
        }
        return rc;
    }
    if (!order_sku_valid(posted.sku))
        return refuse(error,
                      "/items/%zu/sku",
                      line,
                      "a SKU is 1 to 64 of A-Z 0-9 . _ - and begins with a letter or digit");
    for (size_t i = 0; i < line; i++)
        if (bv_bytes_equal(items[i].sku, posted.sku))
            return refuse(
                error, "/items/%zu/sku", line, "each SKU may appear once; add the quantities up");
    items[line] = (struct order_item){posted.sku, posted.quantity, 0};
    return 0;
}

static int read_items(const struct bv_json *root,
                      struct order_item *items,
                      size_t *ret_count,
                      struct bv_error *error)
{
    struct {
        const struct bv_json *items;
    } posted = {NULL};
    const struct bv_field fields[] = {
        {"items", 0, BV_FIELD_JSON, true, 0, 0}
    };
    BV_TRY(bv_json_decode(root, fields, 1, BV_STRICT, &posted, error));
    size_t count = bv_json_size(posted.items);
    if (bv_json_type(posted.items) != BV_JSON_ARRAY || count == 0 || count > ORDER_ITEMS_MAX)
        return refuse(error, "/items", 0, "items is an array of 1 to 50 lines");
    size_t line = 0;
    for (struct bv_json_iter it = bv_json_iter(posted.items); bv_json_next(&it); line++)
        BV_TRY(read_line(it.value, line, items, error));
    *ret_count = count;
    return 0;
}

static int
read_key(struct bv_http_request *request, struct bv_bytes *ret_key, struct bv_error *error)
{
    struct bv_bytes field = bv_http_header(request, "Idempotency-Key");
    if (field.size == 0)
        return bv_fail(error,
                       BV_E_INVALID,
                       "the header Idempotency-Key is missing; send a fresh unique value, and the "
                       "same one when you repeat");
    if (order_key_parse(field, ret_key) < 0)
        return bv_fail(error,
                       BV_E_INVALID,
                       "Idempotency-Key has 1 to %d printable ASCII characters but \" and \\",
                       ORDER_KEY_MAX);
    return 0;
}

struct waiting {
    struct bv_http_token token;
    struct order_service *service;
};

static struct waiting *waiting_new(struct order_service *service, struct bv_http_request *request)
{
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (waiting)
        *waiting = (struct waiting){bv_http_defer(request), service};
    return waiting;
}

static void placed(void *argument, const struct order_answer *answer)
{
    struct waiting waiting = *(struct waiting *)argument;
    free(argument);
    struct bv_http_request *request = bv_http_find(waiting.token);
    if (request)
        reply_lost(&waiting.token, reply_answer(request, answer));
}

static int create_order(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct order_service *service = context;
    const struct bv_principal *principal = bv_http_principal(request);
    const struct bv_json *root;
    struct order_item items[ORDER_ITEMS_MAX];
    struct order_request placing = {.tenant = principal->tenant,
                                    .customer_id = principal->subject,
                                    .correlation_id = bv_http_correlation_id(request),
                                    .trace = *bv_http_trace(request),
                                    .items = items};
    BV_TRY(read_key(request, &placing.key, error));
    BV_TRY(bv_http_json(request, &root, error));
    BV_TRY(read_items(root, items, &placing.item_count, error));
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char fingerprint[2 * SHA256_DIGEST_LENGTH];
    struct bv_bytes body = bv_http_body(request);
    SHA256((const unsigned char *)body.data, body.size, digest);
    placing.fingerprint =
        (struct bv_bytes){fingerprint, bv_hex_encode(digest, sizeof(digest), fingerprint)};
    struct waiting *waiting = waiting_new(service, request);
    if (!waiting)
        return BV_E_NOMEM;
    int rc = order_saga_place(service->saga, &placing, placed, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

/* ---- reading ---- */

static int reply_order(struct bv_http_request *request, const struct order *order)
{
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    char etag[24];
    order_write(&w, order, ORDER_SHAPE_API);
    bv_http_etag_version(order->version, etag);
    int rc = buf.failed
                 ? BV_E_TOO_LARGE
                 : bv_http_reply(request,
                                 &(struct bv_http_response){.status = 200,
                                                            .content_type = "application/json",
                                                            .body = bv_buf_view(&buf),
                                                            .etag = bv_bytes_of(etag)});
    bv_buf_release(&buf);
    return rc;
}

/* A customer sees the own orders, staff all of the tenant. */
static struct bv_bytes visible_to(const struct bv_principal *principal)
{
    return bv_scope_has(principal->scope, "orders:manage") ? BV_BYTES_NONE : principal->subject;
}

static int fail_missing(struct bv_http_request *request)
{
    struct bv_error error = {0};
    (void)bv_fail(&error, BV_E_NOT_FOUND, "there is no such order among those that you may see");
    return bv_http_fail(request, BV_E_NOT_FOUND, &error);
}

static void read_done(void *argument,
                      int rc,
                      const struct order *orders,
                      size_t count,
                      bool inbox_seen,
                      const struct bv_error *error)
{
    struct waiting waiting = *(struct waiting *)argument;
    free(argument);
    (void)inbox_seen;
    struct bv_http_request *request = bv_http_find(waiting.token);
    if (!request)
        return;
    struct bv_bytes only = visible_to(bv_http_principal(request));
    if (rc < 0)
        rc = bv_http_fail(request, rc, error);
    else if (count == 0 || (only.size > 0 && !bv_bytes_equal(only, orders[0].customer_id)))
        rc = fail_missing(request);
    else
        rc = reply_order(request, &orders[0]);
    reply_lost(&waiting.token, rc);
}

/* The path parameter as a UUID in canonical form; anything else names no order. */
static int
read_id(struct bv_http_request *request, char id[BV_UUID_TEXT_SIZE], struct bv_error *error)
{
    struct bv_uuid uuid;
    if (bv_uuid_parse(bv_http_param(request, "orderId"), &uuid) < 0)
        return bv_fail(error, BV_E_NOT_FOUND, "an order id is a UUID");
    bv_uuid_format(uuid, id);
    return 0;
}

static int get_order(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct order_service *service = context;
    char id[BV_UUID_TEXT_SIZE];
    BV_TRY(read_id(request, id, error));
    struct waiting *waiting = waiting_new(service, request);
    if (!waiting)
        return BV_E_NOMEM;
    int rc = service->store->ops->load(service->store,
                                       bv_http_principal(request)->tenant,
                                       bv_bytes_of(id),
                                       BV_BYTES_NONE,
                                       read_done,
                                       waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static void list_done(void *argument,
                      int rc,
                      const struct order *orders,
                      size_t count,
                      bool inbox_seen,
                      const struct bv_error *error)
{
    struct waiting waiting = *(struct waiting *)argument;
    free(argument);
    (void)inbox_seen;
    struct bv_http_request *request = bv_http_find(waiting.token);
    if (!request)
        return;
    if (rc < 0) {
        reply_lost(&waiting.token, bv_http_fail(request, rc, error));
        return;
    }
    int64_t limit = LIST_LIMIT;
    (void)!bv_http_query_int(
        request, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit, NULL); /* was checked when asked */
    size_t shown = count > (size_t)limit ? (size_t)limit : count;
    struct bv_buf buf = {.max = LIST_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_object(&w);
    bv_jw_key(&w, "items");
    bv_jw_array(&w);
    for (size_t i = 0; i < shown; i++)
        order_write(&w, &orders[i], ORDER_SHAPE_API);
    bv_jw_end(&w);
    bv_jw_key(&w, "nextCursor");
    if (count > shown)
        bv_jw_text(&w, orders[shown - 1].order_id);
    else
        bv_jw_null(&w);
    bv_jw_end(&w);
    reply_lost(&waiting.token, bv_http_reply_json(request, 200, &buf));
}

static int list_orders(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct order_service *service = context;
    const struct bv_principal *principal = bv_http_principal(request);
    struct bv_bytes state = bv_http_query(request, "state");
    struct bv_bytes cursor = bv_http_query(request, "cursor");
    struct order_list_query query = {
        .tenant = principal->tenant, .customer_id = visible_to(principal), .state = -1};
    enum order_state parsed;
    struct bv_uuid before;
    char before_id[BV_UUID_TEXT_SIZE];
    int64_t limit;
    BV_TRY(bv_http_query_int(request, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &limit, error));
    query.limit = limit + 1; /* one more tells whether there is a next page */
    if (state.data) {
        if (order_state_parse(state, &parsed) < 0)
            return bv_fail(error,
                           BV_E_INVALID,
                           "state is none of PENDING, RESERVED, PAID, CONFIRMED, SHIPPED, "
                           "DELIVERED, REJECTED, ...");
        query.state = (int)parsed;
    }
    if (cursor.data) {
        if (bv_uuid_parse(cursor, &before) < 0)
            return bv_fail(error, BV_E_INVALID, "cursor is not one that a page gave as nextCursor");
        bv_uuid_format(before, before_id);
        query.before_id = bv_bytes_of(before_id);
    }
    struct waiting *waiting = waiting_new(service, request);
    if (!waiting)
        return BV_E_NOMEM;
    int rc = service->store->ops->list(service->store, &query, list_done, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

/* ---- transitions ---- */

static void moved(void *argument, int rc, const struct order *order, const struct bv_error *error)
{
    struct waiting waiting = *(struct waiting *)argument;
    free(argument);
    struct bv_http_request *request = bv_http_find(waiting.token);
    if (!request)
        return;
    if (rc == 0) {
        rc = reply_order(request, order);
    } else if (rc == BV_E_NOT_FOUND) {
        rc = fail_missing(request);
    } else if (rc < 0) {
        rc = bv_http_fail(request, rc, error);
    } else {
        struct bv_error detail = {0};
        (void)bv_fail(&detail,
                      BV_E_CONFLICT,
                      "the order is %s: this step does not follow from there",
                      order_state_name(order->state));
        rc = bv_http_fail(request, BV_E_CONFLICT, &detail);
    }
    reply_lost(&waiting.token, rc);
}

static int move_order(struct bv_http_request *request,
                      struct order_service *service,
                      enum order_event on,
                      struct bv_bytes reason,
                      struct bv_error *error)
{
    const struct bv_principal *principal = bv_http_principal(request);
    char id[BV_UUID_TEXT_SIZE];
    BV_TRY(read_id(request, id, error));
    struct waiting *waiting = waiting_new(service, request);
    if (!waiting)
        return BV_E_NOMEM;
    struct order_move move = {.tenant = principal->tenant,
                              .order_id = bv_bytes_of(id),
                              .correlation_id = bv_http_correlation_id(request),
                              .only_customer = visible_to(principal),
                              .on = on,
                              .reason = reason,
                              .amount_minor = -1,
                              .trace = *bv_http_trace(request)};
    int rc = order_saga_move(service->saga, &move, moved, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static int confirm_order(struct bv_http_request *request, void *context, struct bv_error *error)
{
    return move_order(request, context, ORDER_ON_CONFIRM, BV_BYTES_NONE, error);
}

static int ship_order(struct bv_http_request *request, void *context, struct bv_error *error)
{
    return move_order(request, context, ORDER_ON_SHIP, BV_BYTES_NONE, error);
}

static int deliver_order(struct bv_http_request *request, void *context, struct bv_error *error)
{
    return move_order(request, context, ORDER_ON_DELIVER, BV_BYTES_NONE, error);
}

static int cancel_order(struct bv_http_request *request, void *context, struct bv_error *error)
{
    bool staff = visible_to(bv_http_principal(request)).size == 0;
    return move_order(request,
                      context,
                      ORDER_ON_CANCEL,
                      staff ? BV_BYTES("cancelled by staff")
                            : BV_BYTES("cancelled by the customer"),
                      error);
}

static const char either[] = "orders:write orders:manage";

const struct bv_http_route order_routes[ORDER_ROUTE_COUNT] = {
    {BV_POST,
     "/v1/orders",                           "createOrder",
     "orders:write",                                                          create_order,
     BODY_BYTES_MAX,                                                                            0,
     "application/json"                                                                                },
    {BV_GET,  "/v1/orders",                  "listOrders",   either,          list_orders,   0, 0, NULL},
    {BV_GET,  "/v1/orders/{orderId}",        "getOrder",     either,          get_order,     0, 0, NULL},
    {BV_POST,
     "/v1/orders/{orderId}/confirm",         "confirmOrder",
     "orders:manage",                                                         confirm_order,
     0,                                                                                         0,
     NULL                                                                                              },
    {BV_POST, "/v1/orders/{orderId}/ship",   "shipOrder",    "orders:manage", ship_order,    0, 0, NULL},
    {BV_POST,
     "/v1/orders/{orderId}/deliver",         "deliverOrder",
     "orders:manage",                                                         deliver_order,
     0,                                                                                         0,
     NULL                                                                                              },
    {BV_POST, "/v1/orders/{orderId}/cancel", "cancelOrder",  either,          cancel_order,  0, 0, NULL},
};
