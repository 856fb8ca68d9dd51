#include "notification_service.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/webhook.h"

#define BODY_BYTES_MAX 8192
#define ANSWER_BYTES_MAX (1024 * 1024)
#define LIMIT_MAX 100
#define LIMIT 20
#define DESCRIPTION_CHARACTERS_MAX 200

/* ---- live ---- */

/* Expiry of a token whose signature the guard has checked; 0: it cannot be told. */
static int64_t token_expiry(struct bv_http_request *request)
{
    struct bv_bytes token = bv_http_bearer(request);
    const char *first = token.size ? memchr(token.data, '.', token.size) : NULL;
    const char *end = token.data + token.size;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    const struct bv_json *claims = NULL;
    size_t size = 0;
    if (!second)
        return 0;
    struct bv_bytes part = {first + 1, (size_t)(second - first - 1)};
    char *text = bv_arena_alloc_raw(bv_http_arena(request), part.size + 1);
    if (!text || bv_base64url_decode(part, text, &size) < 0 ||
        bv_json_parse(bv_http_arena(request), (struct bv_bytes){text, size}, &claims, NULL) < 0)
        return 0;
    return bv_json_int(bv_json_get(claims, "exp"), 0);
}

static int open_live(struct bv_http_request *request,
                     struct notification_service *service,
                     enum notification_transport transport,
                     struct bv_error *error)
{
    struct notification_join join = {.transport = transport, .expires_at_s = token_expiry(request)};
    BV_TRY(notification_cursor(
        transport == NOTIFICATION_SSE ? bv_http_header(request, "Last-Event-ID") : BV_BYTES_NONE,
        bv_http_query(request, "after"),
        &join.cursor,
        error));
    return notification_hub_join(service->hub, request, &join, error);
}

static int open_websocket(struct bv_http_request *request, void *context, struct bv_error *error)
{
    return open_live(request, context, NOTIFICATION_WEBSOCKET, error);
}

static int open_stream(struct bv_http_request *request, void *context, struct bv_error *error)
{
    return open_live(request, context, NOTIFICATION_SSE, error);
}

/* ---- waiting for the store ---- */

struct waiting {
    struct bv_http_token token;
    int64_t limit;
    char secret[BV_WEBHOOK_SECRET_TEXT]; /* of a new subscription */
};

static struct waiting *waiting_new(struct bv_http_request *request)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting)
        waiting->token = bv_http_defer(request);
    return waiting;
}

/* Ends the wait: NULL when the peer is gone. */
static struct bv_http_request *waiting_end(void *argument, struct waiting *ret_waiting)
{
    *ret_waiting = *(struct waiting *)argument;
    free(argument);
    return bv_http_find(ret_waiting->token);
}

static void reply_lost(const struct waiting *waiting, int rc, const struct bv_error *error)
{
    struct bv_http_request *request = bv_http_find(waiting->token);
    if (rc < 0 && request && bv_http_fail(request, rc, error) < 0)
        return; /* the connection itself is gone: nobody is left to tell */
}

static int fail_missing(struct bv_error *error)
{
    return bv_fail(error, BV_E_NOT_FOUND, "there is no such subscription among yours");
}

static struct notification_owner owner_of(const struct bv_http_request *request)
{
    const struct bv_principal *principal = bv_http_principal(request);
    return (struct notification_owner){principal->tenant, principal->subject};
}

/* The path parameter as a UUID in canonical form; anything else names no subscription. */
static int
read_id(struct bv_http_request *request, char id[BV_UUID_TEXT_SIZE], struct bv_error *error)
{
    struct bv_uuid uuid;
    if (bv_uuid_parse(bv_http_param(request, "id"), &uuid) < 0)
        return fail_missing(error);
    bv_uuid_format(uuid, id);
    return 0;
}

/* ---- subscriptions ---- */

static void
write_webhook(struct bv_json_writer *w, const struct notification_webhook *row, const char *secret)
{
    bv_jw_object(w);
    bv_jw_kv_string(w, "id", row->webhook_id);
    bv_jw_kv_string(w, "url", row->url);
    bv_jw_key(w, "eventTypes");
    bv_jw_raw(w, row->event_types);
    if (row->description.data)
        bv_jw_kv_string(w, "description", row->description);
    if (secret)
        bv_jw_kv_text(w, "secret", secret);
    bv_jw_kv_string(w, "createdAt", row->created_at);
    if (row->disabled_at.data)
        bv_jw_kv_string(w, "disabledAt", row->disabled_at);
    bv_jw_end(w);
}

static void created(void *argument,
                    int rc,
                    const struct notification_webhook *rows,
                    size_t count,
                    const struct bv_error *error)
{
    struct waiting waiting;
    struct bv_http_request *request = waiting_end(argument, &waiting);
    (void)count;
    if (!request || rc < 0) {
        reply_lost(&waiting, rc, error);
        return;
    }
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    write_webhook(&w, &rows[0], waiting.secret);
    const char *location =
        bv_arena_format(bv_http_arena(request), "/v1/webhooks/%.*s", BV_ARG(rows[0].webhook_id));
    struct bv_http_field fields[] = {
        {"Location",      bv_bytes_of(location)},
        {"Cache-Control", BV_BYTES("no-store") },
    };
    rc = buf.failed || !location
             ? BV_E_NOMEM
             : bv_http_reply(request,
                             &(struct bv_http_response){.status = 201,
                                                        .content_type = "application/json",
                                                        .body = bv_buf_view(&buf),
                                                        .fields = fields,
                                                        .field_count = BV_COUNT(fields)});
    bv_buf_release(&buf);
    reply_lost(&waiting, rc, NULL);
}

static int refuse(struct bv_error *error, const char *pointer, const char *what)
{
    int rc = bv_fail(error, BV_E_UNPROCESSABLE, "%s", what);
    if (error)
        snprintf(error->pointer, sizeof(error->pointer), "%s", pointer);
    return rc;
}

static int refuse_type(struct bv_error *error, size_t index, const char *what)
{
    char pointer[32];
    snprintf(pointer, sizeof(pointer), "/eventTypes/%zu", index);
    return refuse(error, pointer, what);
}

/* Known names, each once. */
static int check_types(const struct bv_json *types, struct bv_error *error)
{
    size_t count = bv_json_size(types);
    if (bv_json_type(types) != BV_JSON_ARRAY || count == 0 || count > NOTIFICATION_TYPE_COUNT)
        return refuse(error, "/eventTypes", "eventTypes is an array of 1 to 10 event types");
    for (size_t i = 0; i < count; i++) {
        struct bv_bytes type = bv_json_string(bv_json_at(types, i));
        if (!type.data || !notification_type_known(type))
            return refuse_type(error, i, "is no event type of an order");
        for (size_t j = 0; j < i; j++)
            if (bv_bytes_equal(type, bv_json_string(bv_json_at(types, j))))
                return refuse_type(error, i, "appears twice");
    }
    return 0;
}

static size_t characters(struct bv_bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

struct posted {
    struct bv_bytes url, description;
    const struct bv_json *types;
};
static const struct bv_field posted_fields[] = {
    {"url",         offsetof(struct posted, url),         BV_FIELD_STRING, true,  0, 0},
    {"eventTypes",  offsetof(struct posted, types),       BV_FIELD_JSON,   true,  0, 0},
    {"description", offsetof(struct posted, description), BV_FIELD_STRING, false, 0, 0},
};

static int read_posted(struct bv_http_request *request,
                       enum notification_private privacy,
                       struct posted *ret_posted,
                       struct bv_error *error)
{
    const struct bv_json *root;
    struct posted posted = {0};
    BV_TRY(bv_http_json(request, &root, error));
    BV_TRY(bv_json_decode(root, posted_fields, BV_COUNT(posted_fields), BV_STRICT, &posted, error));
    int rc = notification_url_check(posted.url, privacy, error);
    if (rc < 0) {
        if (error)
            snprintf(error->pointer, sizeof(error->pointer), "/url");
        return rc;
    }
    BV_TRY(check_types(posted.types, error));
    if (posted.description.data && (characters(posted.description) > DESCRIPTION_CHARACTERS_MAX ||
                                    memchr(posted.description.data, '\0', posted.description.size)))
        return refuse(error, "/description", "has at most 200 characters, none of them NUL");
    *ret_posted = posted;
    return 0;
}

static int create_webhook(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct notification_service *service = context;
    const struct bv_env *env = bv_service_env(service->frame);
    struct notification_owner owner = owner_of(request);
    struct posted posted = {0};
    char id[BV_UUID_TEXT_SIZE];
    BV_TRY(read_posted(request,
                       service->config->webhook_allow_private ? NOTIFICATION_PRIVATE_ALLOWED
                                                              : NOTIFICATION_PRIVATE_REFUSED,
                       &posted,
                       error));
    bv_auto(bv_buf_release) struct bv_buf types = {.max = BODY_BYTES_MAX};
    BV_TRY(bv_json_write(&types, posted.types));
    bv_uuid_format(bv_uuid_v7(env), id);
    struct waiting *waiting = waiting_new(request);
    if (!waiting)
        return BV_E_NOMEM;
    bv_webhook_secret(env, waiting->secret);
    struct notification_webhook webhook = {.webhook_id = bv_bytes_of(id),
                                           .tenant = owner.tenant,
                                           .owner = owner.owner,
                                           .url = posted.url,
                                           .event_types = bv_buf_view(&types),
                                           .description = posted.description,
                                           .secret = bv_bytes_of(waiting->secret)};
    int rc = service->store->ops->webhook_insert(
        service->store, &webhook, service->config->webhooks_per_owner, created, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static void write_page_end(struct bv_json_writer *w, const char *next)
{
    bv_jw_end(w);
    bv_jw_kv_text(w, "nextCursor", next);
    bv_jw_end(w);
}

static void listed(void *argument,
                   int rc,
                   const struct notification_webhook *rows,
                   size_t count,
                   const struct bv_error *error)
{
    struct waiting waiting;
    struct bv_http_request *request = waiting_end(argument, &waiting);
    if (!request || rc < 0) {
        reply_lost(&waiting, rc, error);
        return;
    }
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    size_t limit = (size_t)waiting.limit;
    char next[BV_UUID_TEXT_SIZE];
    bv_jw_object(&w);
    bv_jw_key(&w, "items");
    bv_jw_array(&w);
    for (size_t i = 0; i < count && i < limit; i++)
        write_webhook(&w, &rows[i], NULL);
    if (count > limit)
        snprintf(next, sizeof(next), "%.*s", BV_ARG(rows[limit - 1].webhook_id));
    write_page_end(&w, count > limit ? next : NULL);
    reply_lost(&waiting, bv_http_reply_json(request, 200, &buf), NULL);
}

static int list_webhooks(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct notification_service *service = context;
    struct bv_bytes cursor = bv_http_query(request, "cursor");
    struct bv_uuid uuid;
    int64_t limit;
    BV_TRY(bv_http_query_int(request, "limit", 1, LIMIT_MAX, LIMIT, &limit, error));
    if (cursor.data && bv_uuid_parse(cursor, &uuid) < 0)
        return bv_fail(error, BV_E_INVALID, "cursor is the nextCursor of a page before");
    struct waiting *waiting = waiting_new(request);
    if (!waiting)
        return BV_E_NOMEM;
    waiting->limit = limit;
    int rc = service->store->ops->webhook_list(
        service->store, owner_of(request), cursor, limit + 1, listed, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static void got(void *argument,
                int rc,
                const struct notification_webhook *rows,
                size_t count,
                const struct bv_error *error)
{
    struct waiting waiting;
    struct bv_error missing = {0};
    struct bv_http_request *request = waiting_end(argument, &waiting);
    if (rc == 0 && count == 0) {
        rc = fail_missing(&missing);
        error = &missing;
    }
    if (!request || rc < 0) {
        reply_lost(&waiting, rc, error);
        return;
    }
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    write_webhook(&w, &rows[0], NULL);
    reply_lost(&waiting, bv_http_reply_json(request, 200, &buf), NULL);
}

static void deleted(void *argument,
                    int rc,
                    const struct notification_webhook *rows,
                    size_t count,
                    const struct bv_error *error)
{
    struct waiting waiting;
    struct bv_error missing = {0};
    struct bv_http_request *request = waiting_end(argument, &waiting);
    (void)rows;
    if (rc == 0 && count == 0) {
        rc = fail_missing(&missing);
        error = &missing;
    }
    if (request && rc == 0)
        rc = bv_http_reply(request, &(struct bv_http_response){.status = 204});
    reply_lost(&waiting, rc, error);
}

typedef int one_operation(struct notification_store *self,
                          struct notification_owner owner,
                          struct bv_bytes webhook_id,
                          notification_webhooks_done *done,
                          void *argument);

static int on_one(struct bv_http_request *request,
                  struct notification_service *service,
                  one_operation *operation,
                  notification_webhooks_done *done,
                  struct bv_error *error)
{
    char id[BV_UUID_TEXT_SIZE];
    BV_TRY(read_id(request, id, error));
    struct waiting *waiting = waiting_new(request);
    if (!waiting)
        return BV_E_NOMEM;
    int rc = operation(service->store, owner_of(request), bv_bytes_of(id), done, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static int get_webhook(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct notification_service *service = context;
    return on_one(request, service, service->store->ops->webhook_get, got, error);
}

static int delete_webhook(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct notification_service *service = context;
    return on_one(request, service, service->store->ops->webhook_delete, deleted, error);
}

/* ---- the delivery log ---- */

static void write_delivery(struct bv_json_writer *w, const struct notification_delivery_row *row)
{
    bv_jw_object(w);
    bv_jw_kv_string(w, "deliveryId", row->delivery_id);
    bv_jw_kv_string(w, "type", row->type);
    bv_jw_kv_string(w, "orderId", row->order_id);
    bv_jw_kv_int(w, "version", row->version);
    bv_jw_kv_string(w, "state", row->state);
    bv_jw_kv_string(w, "createdAt", row->created_at);
    if (row->next_attempt_at.data)
        bv_jw_kv_string(w, "nextAttemptAt", row->next_attempt_at);
    bv_jw_key(w, "attempts");
    bv_jw_raw(w, row->attempts);
    bv_jw_end(w);
}

static void deliveries_listed(void *argument,
                              int rc,
                              bool known,
                              const struct notification_delivery_row *rows,
                              size_t count,
                              const struct bv_error *error)
{
    struct waiting waiting;
    struct bv_error missing = {0};
    struct bv_http_request *request = waiting_end(argument, &waiting);
    if (rc == 0 && !known) {
        rc = fail_missing(&missing);
        error = &missing;
    }
    if (!request || rc < 0) {
        reply_lost(&waiting, rc, error);
        return;
    }
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    size_t limit = (size_t)waiting.limit;
    char next[24];
    bv_jw_object(&w);
    bv_jw_key(&w, "items");
    bv_jw_array(&w);
    for (size_t i = 0; i < count && i < limit; i++)
        write_delivery(&w, &rows[i]);
    if (count > limit)
        snprintf(next, sizeof(next), "%lld", (long long)rows[limit - 1].number);
    write_page_end(&w, count > limit ? next : NULL);
    reply_lost(&waiting, bv_http_reply_json(request, 200, &buf), NULL);
}

static int list_deliveries(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct notification_service *service = context;
    struct bv_bytes cursor = bv_http_query(request, "cursor");
    int64_t limit, before = INT64_MAX;
    char id[BV_UUID_TEXT_SIZE];
    BV_TRY(read_id(request, id, error));
    BV_TRY(bv_http_query_int(request, "limit", 1, LIMIT_MAX, LIMIT, &limit, error));
    if (cursor.data && bv_bytes_int64(cursor, 1, INT64_MAX, &before) < 0)
        return bv_fail(error, BV_E_INVALID, "cursor is the nextCursor of a page before");
    struct waiting *waiting = waiting_new(request);
    if (!waiting)
        return BV_E_NOMEM;
    waiting->limit = limit;
    int rc = service->store->ops->delivery_list(service->store,
                                                owner_of(request),
                                                bv_bytes_of(id),
                                                before,
                                                limit + 1,
                                                deliveries_listed,
                                                waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static const char manage[] = "webhooks:manage";

/* One row per line. */
/* clang-format off */
const struct bv_http_route notification_routes[NOTIFICATION_ROUTE_COUNT] = {
    {BV_GET,    "/v1/live",                     "openLive",       "",     open_websocket,  0,              0, NULL              },
    {BV_GET,    "/v1/stream",                   "openStream",     "",     open_stream,     0,              0, NULL              },
    {BV_POST,   "/v1/webhooks",                 "createWebhook",  manage, create_webhook,  BODY_BYTES_MAX, 0, "application/json"},
    {BV_GET,    "/v1/webhooks",                 "listWebhooks",   manage, list_webhooks,   0,              0, NULL              },
    {BV_GET,    "/v1/webhooks/{id}",            "getWebhook",     manage, get_webhook,     0,              0, NULL              },
    {BV_DELETE, "/v1/webhooks/{id}",            "deleteWebhook",  manage, delete_webhook,  0,              0, NULL              },
    {BV_GET,    "/v1/webhooks/{id}/deliveries", "listDeliveries", manage, list_deliveries, 0,              0, NULL              },
};
/* clang-format on */
