#include "product_service.h"
#include <stdlib.h>

#define LIST_LIMIT 20
#define LIST_LIMIT_MAX 100
#define QUERY_BYTES_MAX 100
#define BODY_BYTES_MAX 32768

struct waiting {
    struct product_service *service;
    struct bv_http_token token;
    bool is_list;
};

static void reply_checked(struct bv_http_request *request, int rc, const struct bv_error *error)
{
    if (rc < 0 && bv_http_fail(request, rc, error) < 0)
        return; /* the connection itself is gone: nobody is left to tell */
}

static int reply_missing(struct bv_http_request *request)
{
    struct bv_error error = {0};
    (void)bv_fail(&error, BV_E_NOT_FOUND, "there is no product with this SKU");
    return bv_http_fail(request, BV_E_NOT_FOUND, &error);
}

static int reply_answer(struct bv_http_request *request, const struct product_answer *answer)
{
    if (!answer->found)
        return reply_missing(request);
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "application/json",
                                                    .body = answer->body,
                                                    .etag = bv_bytes_of(answer->etag)});
}

static void
answered(void *argument, int rc, const struct product_answer *answer, const struct bv_error *error)
{
    struct waiting waiting = *(struct waiting *)argument;
    free(argument);
    struct bv_http_request *request = bv_http_find(waiting.token);
    if (!request)
        return;
    struct product_answer page = rc == 0 ? *answer : (struct product_answer){0};
    if (waiting.is_list)
        page.etag[0] = '\0';
    if (rc == 0)
        rc = reply_answer(request, &page);
    reply_checked(request, rc, error);
}

static struct waiting *waiting_new(struct product_service *service, struct bv_http_request *request)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (waiting)
        *waiting = (struct waiting){.service = service, .token = bv_http_defer(request)};
    return waiting;
}

/* Public routes have no principal: the catalogue of the default tenant is what the street sees. */
static struct bv_bytes tenant_of(const struct bv_http_request *request)
{
    const struct bv_principal *principal = bv_http_principal(request);
    return principal ? principal->tenant : BV_BYTES("default");
}

static int get_product(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct product_service *service = context;
    struct bv_bytes sku = bv_http_param(request, "sku");
    struct bv_bytes tenant = tenant_of(request);
    (void)error;
    const struct product_answer *answer = product_catalogue_peek(service->catalogue, tenant, sku);
    if (answer)
        return reply_answer(request, answer);
    if (!product_sku_valid(sku))
        return reply_missing(request);
    struct waiting *waiting = waiting_new(service, request);
    if (!waiting)
        return BV_E_NOMEM;
    int rc = product_catalogue_fetch(service->catalogue, tenant, sku, answered, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

static int list_products(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct product_service *service = context;
    struct product_query query = {.tenant = tenant_of(request),
                                  .text = bv_http_query(request, "q"),
                                  .tag = bv_http_query(request, "tag")};
    struct bv_bytes cursor = bv_http_query(request, "cursor");
    char after[PRODUCT_SKU_MAX + 8];
    BV_TRY(bv_http_query_int(request, "limit", 1, LIST_LIMIT_MAX, LIST_LIMIT, &query.limit, error));
    if (query.text.data && (query.text.size == 0 || query.text.size > QUERY_BYTES_MAX))
        return bv_fail(error, BV_E_INVALID, "q has 1 to %d bytes", QUERY_BYTES_MAX);
    if (query.tag.data && !product_tag_valid(query.tag))
        return bv_fail(
            error, BV_E_INVALID, "tag is 1 to 32 of a-z 0-9 - and begins with a letter or digit");
    if (cursor.data) {
        size_t size;
        if (product_cursor_read(cursor, after, &size) < 0)
            return bv_fail(error, BV_E_INVALID, "cursor is not one that a page gave as nextCursor");
        query.after_sku = (struct bv_bytes){after, size};
    }
    struct waiting *waiting = waiting_new(service, request);
    if (!waiting)
        return BV_E_NOMEM;
    waiting->is_list = true;
    int rc = product_catalogue_list(service->catalogue, &query, answered, waiting);
    if (rc < 0)
        free(waiting);
    return rc;
}

/* ---- writing: load → check → save with the version that was loaded ---- */

struct writing {
    struct product_service *service;
    struct bv_http_token token;
    struct bv_arena *arena; /* the request's: the request is looked up again before each use */
    enum { WRITE_CREATE, WRITE_REPLACE, WRITE_DELETE } kind;
    int64_t expected; /* of If-Match; -1: any */
    struct product product;
    const char *event_type;
};

static void writing_fail(struct writing *writing,
                         struct bv_http_request *request,
                         int rc,
                         const struct bv_error *error)
{
    reply_checked(request, rc, error);
    free(writing);
}

static int reply_written(struct bv_http_request *request, const struct writing *writing)
{
    struct bv_buf buf = {.max = PRODUCT_JSON_MAX};
    char etag[24];
    const char *location =
        bv_arena_format(bv_http_arena(request), "/v1/products/%.*s", BV_ARG(writing->product.sku));
    struct bv_http_field fields[] = {
        {"Location", bv_bytes_of(location)}
    };
    if (writing->kind == WRITE_DELETE)
        return bv_http_reply(request, &(struct bv_http_response){.status = 204});
    struct bv_json_writer w = bv_json_writer(&buf);
    product_write(&w, &writing->product);
    bv_http_etag_version(writing->product.version, etag);
    bool created = writing->kind == WRITE_CREATE;
    int rc = buf.failed
                 ? BV_E_TOO_LARGE
                 : bv_http_reply(request,
                                 &(struct bv_http_response){.status = created ? 201 : 200,
                                                            .content_type = "application/json",
                                                            .body = bv_buf_view(&buf),
                                                            .etag = bv_bytes_of(etag),
                                                            .fields = fields,
                                                            .field_count = created ? 1 : 0});
    bv_buf_release(&buf);
    return rc;
}

static int fail_stale(struct bv_error *error)
{
    return bv_fail(
        error,
        BV_E_STALE,
        "the product has changed since you read it; read it again and repeat with its ETag");
}

static int fail_exists(struct bv_error *error)
{
    return bv_fail(error, BV_E_CONFLICT, "a product with this SKU exists; change it with PUT");
}

static void saved(void *argument, int rc, bool took, const struct bv_error *error)
{
    struct writing *writing = argument;
    struct product_service *service = writing->service;
    struct bv_http_request *request = bv_http_find(writing->token);
    struct bv_error detail = {0};
    if (rc == 0 && took)
        bv_outbox_relay_kick(service->relay);
    if (!request) { /* gone, and its arena with it: the event flushes the caches */
        free(writing);
        return;
    }
    if (rc == 0 && took)
        product_catalogue_flush(service->catalogue, &writing->product);
    if (rc == 0 && !took)
        rc = writing->kind == WRITE_CREATE ? fail_exists(&detail) : fail_stale(&detail);
    if (rc == 0)
        rc = reply_written(request, writing);
    writing_fail(writing, request, rc, detail.code ? &detail : error);
}

static int save(struct writing *writing, struct bv_http_request *request)
{
    struct product_change change = {.product = &writing->product,
                                    .event_type = writing->event_type,
                                    .trace = *bv_http_trace(request),
                                    .correlation_id = bv_http_correlation_id(request)};
    return writing->service->store->ops->save(writing->service->store, &change, saved, writing);
}

/* Checks the loaded row against the wish; fills what the new version keeps of the old. */
static int check_loaded(struct writing *writing, const struct product *old, struct bv_error *error)
{
    struct product *fresh = &writing->product;
    bool exists = old && !old->deleted;
    if (writing->kind == WRITE_CREATE && exists)
        return fail_exists(error);
    if (writing->kind != WRITE_CREATE && !exists)
        return bv_fail(error, BV_E_NOT_FOUND, "there is no product with this SKU");
    if (exists && writing->expected >= 0 && writing->expected != old->version)
        return fail_stale(error);
    fresh->version = old ? old->version + 1 : 1;
    if (exists)
        fresh->created_at_us = old->created_at_us;
    return 0;
}

static int keep_content(struct writing *writing, const struct product *old)
{
    struct product *fresh = &writing->product;
    fresh->name = bv_arena_copy(writing->arena, old->name);
    fresh->description = bv_arena_copy(writing->arena, old->description);
    fresh->price_minor = old->price_minor;
    fresh->currency = bv_arena_copy(writing->arena, old->currency);
    fresh->tag_count = old->tag_count;
    for (size_t i = 0; i < old->tag_count; i++)
        fresh->tags[i] = bv_arena_copy(writing->arena, old->tags[i]);
    fresh->deleted = true;
    return bv_arena_failed(writing->arena) ? BV_E_NOMEM : 0;
}

static void loaded(void *argument, int rc, const struct product *old, const struct bv_error *error)
{
    struct writing *writing = argument;
    struct bv_http_request *request = bv_http_find(writing->token);
    struct bv_error detail = {0};
    if (!request) {
        free(writing);
        return;
    }
    if (rc == 0)
        rc = check_loaded(writing, old, &detail);
    if (rc == 0 && writing->kind == WRITE_DELETE)
        rc = keep_content(writing, old);
    if (rc == 0)
        rc = save(writing, request);
    if (rc < 0)
        writing_fail(writing, request, rc, detail.code ? &detail : error);
}

static int start_writing(struct bv_http_request *request, const struct writing *template)
{
    struct writing *writing = malloc(sizeof(*writing));
    if (!writing)
        return BV_E_NOMEM;
    struct product_service *service = template->service;
    *writing = *template;
    writing->token = bv_http_defer(request);
    writing->arena = bv_http_arena(request);
    writing->product.tenant = tenant_of(request);
    writing->product.created_at_us = writing->product.updated_at_us =
        bv_wall_us(bv_service_env(service->frame));
    int rc = service->store->ops->find(
        service->store, writing->product.tenant, writing->product.sku, loaded, writing);
    if (rc < 0)
        free(writing);
    return rc;
}

static int create_product(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct writing writing = {.service = context,
                              .kind = WRITE_CREATE,
                              .expected = -1,
                              .event_type = "ecommerce.product.created.v1"};
    const struct bv_json *root;
    BV_TRY(bv_http_json(request, &root, error));
    BV_TRY(product_read(root, PRODUCT_FORM_NEW, &writing.product, error));
    return start_writing(request, &writing);
}

static int
read_if_match(struct bv_http_request *request, int64_t *ret_expected, struct bv_error *error)
{
    int rc = bv_http_if_match(request, ret_expected, error);
    if (rc == BV_HTTP_ANY)
        *ret_expected = -1;
    return rc < 0 ? rc : 0;
}

static int replace_product(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct writing writing = {
        .service = context, .kind = WRITE_REPLACE, .event_type = "ecommerce.product.updated.v1"};
    const struct bv_json *root;
    BV_TRY(read_if_match(request, &writing.expected, error));
    BV_TRY(bv_http_json(request, &root, error));
    BV_TRY(product_read(root, PRODUCT_FORM_CONTENT, &writing.product, error));
    writing.product.sku = bv_http_param(request, "sku");
    return start_writing(request, &writing);
}

static int delete_product(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct writing writing = {
        .service = context, .kind = WRITE_DELETE, .event_type = "ecommerce.product.deleted.v1"};
    BV_TRY(read_if_match(request, &writing.expected, error));
    writing.product.sku = bv_http_param(request, "sku");
    return start_writing(request, &writing);
}

const struct bv_http_route product_routes[PRODUCT_ROUTE_COUNT] = {
    {BV_GET,    "/v1/products",       "listProducts",   NULL, list_products,   0, 0, NULL},
    {BV_POST,
     "/v1/products",                  "createProduct",
     "products:write",                                        create_product,
     BODY_BYTES_MAX,                                                              0,
     "application/json"                                                                  },
    {BV_GET,    "/v1/products/{sku}", "getProduct",     NULL, get_product,     0, 0, NULL},
    {BV_PUT,
     "/v1/products/{sku}",            "replaceProduct",
     "products:write",                                        replace_product,
     BODY_BYTES_MAX,                                                              0,
     "application/json"                                                                  },
    {BV_DELETE,
     "/v1/products/{sku}",            "deleteProduct",
     "products:write",                                        delete_product,
     0,                                                                           0,
     NULL                                                                                },
};
