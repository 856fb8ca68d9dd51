/* What one request leaves behind: a line, two metrics, a span. */
#include "http_internal.h"

static const struct bv_metric requests_total = {.name = "bv_http_requests_total",
                                                .type = BV_COUNTER,
                                                .help = "Requests answered.",
                                                .labels = "route,method,status"};
static const struct bv_metric request_seconds = {
    .name = "bv_http_request_seconds",
    .type = BV_HISTOGRAM,
    .help = "Time from the first byte of a request to its reply.",
    .labels = "route"};

void http_count(struct bv_series *series)
{
    if (series)
        bv_count(series, 1);
}

void http_stats_open(struct bv_http_server *server, struct http_stats *stats, const char *route)
{
    stats->route = route;
    stats->count = 0;
    if (server->deps.metrics)
        stats->seconds = bv_metrics_series(server->deps.metrics, &request_seconds, &route, 1);
}

static struct bv_series *
find_total(struct bv_http_server *server, struct http_stats *stats, int method, int status)
{
    char text[4] = {(char)('0' + status / 100 % 10),
                    (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10),
                    '\0'};
    const char *values[] = {stats->route, http_method_names[method], text};
    struct bv_series *total =
        bv_metrics_series(server->deps.metrics, &requests_total, values, BV_COUNT(values));
    if (stats->count < HTTP_STATS_MAX) {
        stats->rows[stats->count].status = status;
        stats->rows[stats->count].method = method;
        stats->rows[stats->count].total = total;
        stats->count++;
    }
    return total;
}

static void count_request(struct bv_http_server *server,
                          struct http_stats *stats,
                          int method,
                          int status,
                          int64_t took_us)
{
    struct bv_series *total = NULL;
    if (!server->deps.metrics)
        return;
    for (size_t i = 0; i < stats->count && !total; i++)
        if (stats->rows[i].status == status && stats->rows[i].method == method)
            total = stats->rows[i].total;
    if (!total)
        total = find_total(server, stats, method, status);
    bv_count(total, 1);
    bv_observe(stats->seconds, (double)took_us / 1e6);
}

static void finish_span(struct bv_http_request *request, int status, int64_t took_us)
{
    struct bv_http_server *server = request->server;
    const int64_t end_us = bv_wall_us(server->env);
    const struct bv_span_attribute attributes[] = {
        {.key = "http.request.method",       .text = bv_bytes_of(http_method_names[request->method])            },
        {.key = "http.response.status_code", .number = status                                                   },
        {.key = "url.path",                  .text = request->path.data ? request->path : BV_BYTES("")          },
        {.key = "http.route",                .text = bv_bytes_of(request->route ? request->route->row.path : "")},
    };
    const struct bv_span span = {
        .trace = request->trace,
        .name = request->route ? request->route->span_name : http_method_names[request->method],
        .kind = BV_SPAN_SERVER,
        .start_wall_us = end_us - took_us,
        .end_wall_us = end_us,
        .error_code = status >= 500 ? BV_E_INTERNAL : 0,
        .attributes = attributes,
        .attribute_count = BV_COUNT(attributes) - (request->route ? 0 : 1),
    };
    bv_span_finish(server->deps.spans, &span);
}

void http_account(struct bv_http_request *request, int status, size_t bytes)
{
    struct bv_http_server *server = request->server;
    struct http_stats *stats = request->route ? &request->route->stats : &server->unmatched;
    const int64_t took_us = bv_mono_us(server->env) - request->start_us;
    request->status = status;
    count_request(server, stats, request->method, status, took_us);
    bv_log(server->deps.log,
           BV_INFO,
           "http.request",
           &request->trace,
           BV_F_TEXT("method", http_method_names[request->method]),
           BV_F_TEXT("route", stats->route),
           BV_F_INT("status", status),
           BV_F_US("duration_ms", took_us),
           BV_F_INT("bytes", bytes));
    if (server->deps.log)
        http_server_log_written(server);
    if (server->deps.spans && (request->trace.flags & BV_TRACE_SAMPLED))
        finish_span(request, status, took_us);
}
