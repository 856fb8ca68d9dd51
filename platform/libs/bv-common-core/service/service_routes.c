/* The routes that every service has. */
#include <stdio.h>

#include "service_private.h"

#define METRICS_BYTES_MAX (16u << 20)

static int get_healthz(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    static const struct bv_http_response response = {
        .status = 200,
        .content_type = "application/json",
        .body = BV_BYTES("{\"status\":\"ok\"}"),
    };
    return bv_http_reply(request, &response);
}

/* Ready, with less than all: what is missing is named. */
static int reply_degraded(struct bv_http_request *request, const struct bv_error *missing)
{
    struct bv_buf body = {.max = 1024};
    struct bv_json_writer w = bv_json_writer(&body);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "status", "degraded");
    bv_jw_kv_text(&w, "detail", missing->text);
    bv_jw_end(&w);
    return bv_http_reply_json(request, 200, &body);
}

static int get_readyz(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct bv_service *service = context;
    if (service->phase != PHASE_SERVING)
        return bv_fail(
            error, BV_E_UNAVAILABLE, "The service is %s.", service_phase_name(service->phase));
    if (service->spec->ready)
        BV_TRY(service->spec->ready(service->state, error));
    if (error->text[0])
        return reply_degraded(request, error);
    static const struct bv_http_response response = {
        .status = 200,
        .content_type = "application/json",
        .body = BV_BYTES("{\"status\":\"ready\"}"),
    };
    return bv_http_reply(request, &response);
}

static int get_metrics(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct bv_service *service = context;
    struct bv_buf text = {.max = METRICS_BYTES_MAX};
    int rc = bv_metrics_print(service->metrics, &text);
    const struct bv_http_response response = {
        .status = 200,
        .content_type = "text/plain; version=0.0.4; charset=utf-8",
        .body = bv_buf_view(&text),
    };
    if (rc == 0)
        rc = bv_http_reply(request, &response);
    else
        rc = bv_fail(error, rc, "The metrics do not fit %u bytes.", METRICS_BYTES_MAX);
    bv_buf_release(&text);
    return rc;
}

static int get_openapi(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)error;
    struct bv_service *service = context;
    const struct bv_http_response response = {
        .status = 200,
        .content_type = "application/yaml",
        .body = *service->spec->openapi,
        .etag = bv_bytes_of(service->openapi_etag),
    };
    return bv_http_reply(request, &response);
}

static const struct bv_http_route frame_routes[] = {
    {.method = BV_GET, .path = "/healthz", .handler = get_healthz},
    {.method = BV_GET, .path = "/readyz",  .handler = get_readyz },
    {.method = BV_GET, .path = "/metrics", .handler = get_metrics},
};
static const struct bv_http_route openapi_route[] = {
    {.method = BV_GET, .path = "/openapi.yaml", .handler = get_openapi},
};

/* A strong tag of the bytes: FNV-1a, 64 bits. It tells versions apart, nothing more. */
static void make_etag(struct bv_bytes bytes, char out[ETAG_SIZE])
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * 0x100000001b3u;
    snprintf(out, ETAG_SIZE, "\"%016llx\"", (unsigned long long)hash);
}

int service_routes_add(struct bv_service *service)
{
    BV_TRY(bv_http_server_routes(service->http, frame_routes, BV_COUNT(frame_routes), service));
    if (!service->spec->openapi)
        return 0;
    make_etag(*service->spec->openapi, service->openapi_etag);
    return bv_http_server_routes(service->http, openapi_route, BV_COUNT(openapi_route), service);
}
