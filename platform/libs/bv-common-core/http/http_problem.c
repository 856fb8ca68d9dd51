#include "http_internal.h"
#include <stdio.h>

#define PROBLEM_BYTES_MAX 65536

static void write_members(struct bv_http_request *request,
                          const struct bv_http_problem *problem,
                          struct bv_json_writer *w)
{
    const struct bv_bytes path = request->path;
    char type[96] = "about:blank";
    if (problem->code)
        (void)snprintf(type, sizeof type, "/problems/%s", problem->code);
    bv_jw_kv_text(w, "type", problem->type ? problem->type : type);
    bv_jw_kv_text(w, "title", problem->title ? problem->title : "");
    bv_jw_kv_int(w, "status", problem->status);
    bv_jw_kv_string(w, "detail", problem->detail.data ? problem->detail : BV_BYTES(""));
    bv_jw_kv_string(w, "instance", path.data ? path : BV_BYTES(""));
    bv_jw_kv_text(w, "code", problem->code ? problem->code : "");
    if (problem->hint)
        bv_jw_kv_text(w, "hint", problem->hint);
    bv_jw_kv_text(w, "traceId", request->trace_id);
}

int bv_http_problem_encode(struct bv_http_request *request,
                           const struct bv_http_problem *problem,
                           struct bv_buf *buf)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    write_members(request, problem, &w);
    if (problem->extra)
        problem->extra(&w, problem->argument);
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

int http_reply_problem(struct bv_http_request *request,
                       const struct bv_http_problem *problem,
                       const struct bv_http_field *extra,
                       size_t extra_count)
{
    struct bv_http_field fields[4];
    size_t count = 0;
    char seconds[24];
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = PROBLEM_BYTES_MAX};
    BV_TRY(bv_http_problem_encode(request, problem, &buf));
    for (; count < extra_count && count < BV_COUNT(fields) - 2; count++)
        fields[count] = extra[count];
    fields[count++] = (struct bv_http_field){"Cache-Control", BV_BYTES("no-store")};
    if (problem->retry_after_s > 0) {
        (void)snprintf(seconds, sizeof seconds, "%lld", (long long)problem->retry_after_s);
        fields[count++] = (struct bv_http_field){"Retry-After", bv_bytes_of(seconds)};
    }
    return http_reply(request,
                      &(struct bv_http_response){
                          .status = problem->status,
                          .content_type = "application/problem+json",
                          .body = bv_buf_view(&buf),
                          .fields = fields,
                          .field_count = count,
                      });
}

int bv_http_reply_problem(struct bv_http_request *request, const struct bv_http_problem *problem)
{
    return http_reply_problem(request, problem, NULL, 0);
}

static void write_errors(struct bv_json_writer *w, const void *argument)
{
    const struct bv_error *error = argument;
    if (!error || !error->pointer[0])
        return;
    bv_jw_key(w, "errors");
    bv_jw_array(w);
    bv_jw_object(w);
    bv_jw_kv_text(w, "pointer", error->pointer);
    bv_jw_kv_text(w, "detail", error->text);
    bv_jw_end(w);
    bv_jw_end(w);
}

static void log_fault(struct bv_http_request *request,
                      const struct bv_error_row *row,
                      const struct bv_error *error)
{
    struct bv_http_server *server = request->server;
    const struct bv_error none = {0};
    const struct bv_error *e = error ? error : &none;
    bv_log(server->deps.log,
           row->http_status == 500 ? BV_ERROR : BV_WARN,
           "http.fault",
           &request->trace,
           BV_F_TEXT("code", row->name),
           BV_F_TEXT("detail", e->text),
           BV_F_TEXT("file", e->file ? e->file : ""),
           BV_F_INT("line", e->line),
           BV_F_TEXT("route", request->route ? request->route->row.path : ""));
}

/* What went wrong inside is for the log; the peer learns that it did. */
static struct bv_bytes public_detail(const struct bv_error_row *row, const struct bv_error *error)
{
    if (row->http_status == 500)
        return BV_BYTES("Something went wrong in this service; the trace id finds it in the logs.");
    if (error && error->inside)
        return bv_bytes_of(row->title);
    return error && error->text[0] ? bv_bytes_of(error->text) : bv_bytes_of(row->title);
}

/* Whoever is told to come back is told when. */
static bool repeatable(int status)
{
    return status == 503 || status == 504 || status == 429;
}

int bv_http_fail(struct bv_http_request *request, int code, const struct bv_error *error)
{
    const struct bv_error_row *row = bv_error_row(code);
    const struct bv_http_field authenticate = {"WWW-Authenticate", BV_BYTES("Bearer")};
    const bool later = repeatable(row->http_status);
    if (request->replied)
        return http_reply(request, NULL);
    if (row->http_status == 500 || (error && error->inside))
        log_fault(request, row, error);
    const struct bv_http_problem problem = {
        .status = row->http_status,
        .title = row->title,
        .code = row->word,
        .detail = public_detail(row, error),
        .extra = write_errors,
        .argument = error,
        .retry_after_s = later ? 1 : 0,
    };
    return http_reply_problem(request, &problem, &authenticate, row->http_status == 401 ? 1 : 0);
}

void http_fail_or_cut(struct bv_http_request *request, int code, const struct bv_error *error)
{
    if (bv_http_fail(request, code, error) == 0 || request->replied || !request->connection)
        return;
    request->replied = true;
    request->connection->broken = true;
    if (request->deferred && !request->in_handler)
        http_server_finish_later(request);
}

static const char *hint_of(const struct http_refusal *refusal)
{
    switch (refusal->status) {
    case 405:
        return "The Allow field lists the methods of this path.";
    case 413:
        return "Send a smaller body.";
    default:
        return NULL;
    }
}

int http_reply_refusal(struct bv_http_request *request)
{
    const struct http_refusal *refusal = &request->refusal;
    struct bv_http_field field = {0};
    size_t count = 0;
    if (refusal->www_authenticate) {
        field = (struct bv_http_field){"WWW-Authenticate", bv_bytes_of(refusal->www_authenticate)};
        count = 1;
    } else if (refusal->status == 405) {
        field = (struct bv_http_field){"Allow", http_node_allow(request->node, request->arena)};
        count = 1;
    }
    const struct bv_http_problem problem = {
        .status = refusal->status,
        .title = refusal->title,
        .code = refusal->code,
        .hint = hint_of(refusal),
        .detail = bv_bytes_of(refusal->detail),
        .retry_after_s = repeatable(refusal->status) ? 1 : 0,
    };
    return http_reply_problem(request, &problem, &field, count);
}
