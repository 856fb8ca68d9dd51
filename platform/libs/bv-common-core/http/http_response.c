#include "http_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* X(status, reason). RFC 9110 section 15, 6585, 499 is the access log's word for a peer that left.
 */
#define STATUS_LIST(X)                                                                             \
    X(101, "Switching Protocols")                                                                  \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(203, "Non-Authoritative Information")                                                        \
    X(204, "No Content")                                                                           \
    X(205, "Reset Content")                                                                        \
    X(206, "Partial Content")                                                                      \
    X(207, "Multi-Status")                                                                         \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(402, "Payment Required")                                                                     \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(412, "Precondition Failed")                                                                  \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(416, "Range Not Satisfiable")                                                                \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(423, "Locked")                                                                               \
    X(425, "Too Early")                                                                            \
    X(426, "Upgrade Required")                                                                     \
    X(428, "Precondition Required")                                                                \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(451, "Unavailable For Legal Reasons")                                                        \
    X(499, "Client Closed Request")                                                                \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")                                                           \
    X(507, "Insufficient Storage")

static struct bv_bytes status_line(int status, char unknown[32])
{
    switch (status) {
#define STATUS_CASE(number, reason)                                                                \
    case number:                                                                                   \
        return BV_BYTES("HTTP/1.1 " #number " " reason "\r\n");
        STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default:
        break;
    }
    const int size = snprintf(unknown, 32, "HTTP/1.1 %d \r\n", status);
    return (struct bv_bytes){unknown, (size_t)size};
}

/* ---- conditional requests (RFC 9110 section 13)
 * -------------------------------------------------------------------------------- */

/* A gzipped body is another representation and needs another strong tag: "7" and "7--gzip". */
#define GZIP_TAG "--gzip\""

static struct bv_bytes tag_core(struct bv_bytes tag)
{
    const size_t suffix = sizeof GZIP_TAG - 1;
    if (tag.size >= 2 && tag.data[0] == 'W' && tag.data[1] == '/')
        tag = (struct bv_bytes){tag.data + 2, tag.size - 2};
    if (tag.size < 2 || tag.data[0] != '"' || tag.data[tag.size - 1] != '"')
        return BV_BYTES_NONE;
    if (tag.size > suffix && memcmp(tag.data + tag.size - suffix, GZIP_TAG, suffix) == 0)
        return (struct bv_bytes){tag.data + 1, tag.size - suffix - 1};
    return (struct bv_bytes){tag.data + 1, tag.size - 2};
}

static bool none_match_hits(struct bv_bytes field, struct bv_bytes etag)
{
    const struct bv_bytes core = tag_core(etag);
    struct bv_bytes item;
    if (!core.data)
        return false;
    if (bv_bytes_equal(field, BV_BYTES("*")))
        return true;
    while (http_list_next(&field, &item)) {
        const struct bv_bytes other = tag_core(item);
        if (other.data && bv_bytes_equal(other, core))
            return true;
    }
    return false;
}

void bv_http_etag_version(int64_t version, char out[24])
{
    (void)snprintf(out, 24, "\"%lld\"", (long long)version);
}

int bv_http_if_match(const struct bv_http_request *request,
                     int64_t *ret_version,
                     struct bv_error *error)
{
    const struct bv_bytes field = bv_http_header(request, "if-match");
    if (!field.data)
        return bv_fail(error,
                       BV_E_PRECONDITION_REQUIRED,
                       "If-Match is needed: send the ETag of the version that you change.");
    if (bv_bytes_equal(field, BV_BYTES("*")))
        return BV_HTTP_ANY;
    const struct bv_bytes core = tag_core(field);
    if (!core.data || memchr(core.data, '"', core.size))
        return bv_fail(error, BV_E_INVALID, "If-Match must be one entity tag.");
    if (field.data[0] == 'W')
        return bv_fail(error, BV_E_STALE, "A weak entity tag never matches.");
    if (bv_bytes_int64(core, 0, INT64_MAX, ret_version) != 0)
        return bv_fail(error, BV_E_STALE, "This entity tag is none of ours.");
    return 0;
}

/* ---- encoding
 * ------------------------------------------------------------------------------------------------------------------
 */

struct reply { /* what is about to be sent */
    int status;
    struct bv_bytes body;
    struct bv_bytes etag;
    bool gzipped;
    bool vary;
    bool close;
    bool has_body; /* the status allows one */
};

static bool field_good(const struct bv_http_field *field)
{
    const char *name = field->name;
    if (!name || !*name)
        return false;
    for (; *name; name++)
        if (*name <= ' ' || *name >= 0x7f || *name == ':')
            return false;
    for (size_t i = 0; i < field->value.size; i++)
        if (field->value.data[i] == '\r' || field->value.data[i] == '\n' ||
            field->value.data[i] == '\0')
            return false;
    return true;
}

static char *put(char *at, struct bv_bytes bytes)
{
    if (bytes.size)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}
#define PUT(at, literal) put((at), BV_BYTES(literal))

static char *put_size(char *at, size_t value)
{
    char digits[24];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

static char *put_etag(char *at, const struct reply *reply)
{
    const bool suffix =
        reply->gzipped && reply->etag.size >= 2 && reply->etag.data[reply->etag.size - 1] == '"';
    at = PUT(at, "ETag: ");
    at = put(at, (struct bv_bytes){reply->etag.data, reply->etag.size - (suffix ? 1 : 0)});
    if (suffix)
        at = PUT(at, GZIP_TAG);
    return PUT(at, "\r\n");
}

static size_t head_bound(const struct bv_http_request *request,
                         const struct bv_http_response *response)
{
    size_t size = 512 + request->correlation.size + response->etag.size;
    size += response->content_type ? strlen(response->content_type) : 0;
    for (size_t i = 0; i < response->field_count; i++)
        size += strlen(response->fields[i].name) + response->fields[i].value.size + 4;
    return size;
}

static char *encode_head(char *at,
                         const struct bv_http_request *request,
                         const struct bv_http_response *response,
                         const struct reply *reply)
{
    char unknown[32];
    at = put(at, status_line(reply->status, unknown));
    at = put(at, bv_bytes_of(request->server->date));
    if (reply->has_body && response->content_type) {
        at = PUT(at, "Content-Type: ");
        at = put(at, bv_bytes_of(response->content_type));
        at = PUT(at, "\r\n");
    }
    if (reply->has_body) {
        at = PUT(at, "Content-Length: ");
        at = put_size(at, reply->body.size);
        at = PUT(at, "\r\n");
    }
    if (reply->gzipped && reply->has_body)
        at = PUT(at, "Content-Encoding: gzip\r\n");
    if (reply->vary)
        at = PUT(at, "Vary: Accept-Encoding\r\n");
    if (reply->etag.size)
        at = put_etag(at, reply);
    for (size_t i = 0; i < response->field_count; i++) {
        at = put(at, bv_bytes_of(response->fields[i].name));
        at = PUT(at, ": ");
        at = put(at, response->fields[i].value);
        at = PUT(at, "\r\n");
    }
    at = PUT(at, "correlation-id: ");
    at = put(at, request->correlation);
    if (reply->close)
        return PUT(at, "\r\nConnection: close\r\n\r\n");
    if (request->http10)
        return PUT(at, "\r\nConnection: keep-alive\r\n\r\n");
    return PUT(at, "\r\n\r\n");
}

static void choose_gzip(struct bv_http_request *request,
                        const struct bv_http_response *response,
                        struct reply *reply)
{
    struct bv_http_server *server = request->server;
    const int64_t min = server->config.gzip_bytes_min;
    struct bv_bytes packed;
    if (min <= 0 || reply->body.size < (size_t)min ||
        !http_gzip_compressible(response->content_type))
        return;
    for (size_t i = 0; i < response->field_count; i++)
        if (strcasecmp(response->fields[i].name, "content-encoding") == 0)
            return;
    reply->vary = true;
    if (!http_gzip_accepted(bv_http_header(request, "accept-encoding")))
        return;
    if (http_gzip_encode(&server->gzip, reply->body, &packed) != 0)
        return;
    reply->body = packed;
    reply->gzipped = true;
}

static void choose(struct bv_http_request *request,
                   const struct bv_http_response *response,
                   struct reply *reply)
{
    struct http_connection *connection = request->connection;
    const bool reading = request->method == BV_GET || request->method == BV_HEAD;
    *reply =
        (struct reply){.status = response->status, .body = response->body, .etag = response->etag};
    if (reading && response->status == 200 && response->etag.size &&
        none_match_hits(bv_http_header(request, "if-none-match"), response->etag))
        reply->status = 304;
    choose_gzip(request, response, reply);
    reply->has_body = reply->status != 304 && reply->status != 204 && reply->status >= 200;
    if (!request->keep_alive || request->refusal.broken || request->server->draining)
        connection->close_after = true;
    reply->close = connection->close_after;
}

#define COPY_BYTES_MAX 32768 /* larger bodies go out as a second span of the same write */

int http_reply(struct bv_http_request *request, const struct bv_http_response *response)
{
    struct bv_http_server *server = request->server;
    struct http_connection *connection = request->connection;
    struct reply reply;
    if (request->replied || !connection) {
        http_count(server->late);
        return BV_E_CLOSED;
    }
    for (size_t i = 0; i < response->field_count; i++)
        if (!field_good(&response->fields[i]))
            return BV_E_INVALID;
    choose(request, response, &reply);
    http_server_date(server);
    const struct bv_bytes body =
        reply.has_body && request->method != BV_HEAD ? reply.body : BV_BYTES_NONE;
    const bool copied = body.size <= COPY_BYTES_MAX;
    bv_buf_reset(&server->out);
    char *start =
        bv_buf_reserve(&server->out, head_bound(request, response) + (copied ? body.size : 0));
    if (!start)
        return BV_E_NOMEM;
    char *end = encode_head(start, request, response, &reply);
    if (copied)
        end = put(end, body);
    const size_t size = (size_t)(end - start);
    request->replied = true;
    http_connection_write(
        connection, (struct bv_bytes){start, size}, copied ? BV_BYTES_NONE : body);
    http_account(request, reply.status, size + (copied ? 0 : body.size));
    if (request->deferred && !request->in_handler)
        http_server_finish_later(request);
    return 0;
}

int bv_http_reply(struct bv_http_request *request, const struct bv_http_response *response)
{
    return http_reply(request, response);
}

int bv_http_reply_json(struct bv_http_request *request, int status, struct bv_buf *buf)
{
    int rc = BV_E_NOMEM;
    if (!buf->failed)
        rc = http_reply(request,
                        &(struct bv_http_response){
                            .status = status,
                            .content_type = "application/json",
                            .body = bv_buf_view(buf),
                        });
    bv_buf_release(buf);
    return rc;
}

/* ---- replies from other threads
 * ------------------------------------------------------------------------------------------------
 */

struct posted { /* one block with all its texts */
    struct bv_http_token token;
    struct bv_http_response response;
    struct bv_http_field *fields;
    char text[];
};

static void on_posted(void *argument)
{
    struct posted *posted = argument;
    struct bv_http_server *server = posted->token.server;
    atomic_fetch_sub(&server->posts, 1);
    if (!server->closed) {
        struct bv_http_request *request = bv_http_find(posted->token);
        if (request && http_reply(request, &posted->response) != 0 && !request->replied)
            http_fail_or_cut(request, BV_E_INTERNAL, NULL);
    }
    free(posted->fields);
    free(posted);
    http_server_unref(server);
}

static size_t posted_size(const struct bv_http_response *response)
{
    size_t size = response->body.size + response->etag.size +
                  (response->content_type ? strlen(response->content_type) : 0) + 1;
    for (size_t i = 0; i < response->field_count; i++)
        size += strlen(response->fields[i].name) + 1 + response->fields[i].value.size;
    return size;
}

static const char *keep(char **at, const void *data, size_t size)
{
    char *start = *at;
    if (size)
        memcpy(start, data, size);
    *at += size;
    return start;
}

static void posted_fill(struct posted *posted, const struct bv_http_response *response)
{
    char *at = posted->text;
    posted->response = *response;
    posted->response.body.data = keep(&at, response->body.data, response->body.size);
    posted->response.etag.data = keep(&at, response->etag.data, response->etag.size);
    if (response->content_type)
        posted->response.content_type =
            keep(&at, response->content_type, strlen(response->content_type) + 1);
    for (size_t i = 0; i < response->field_count; i++) {
        const struct bv_http_field *field = &response->fields[i];
        posted->fields[i].name = keep(&at, field->name, strlen(field->name) + 1);
        posted->fields[i].value =
            (struct bv_bytes){keep(&at, field->value.data, field->value.size), field->value.size};
    }
    posted->response.fields = posted->fields;
}

int bv_http_reply_any_thread(struct bv_http_token token, const struct bv_http_response *response)
{
    struct posted *posted = malloc(sizeof *posted + posted_size(response));
    struct bv_http_field *fields = calloc(response->field_count + 1, sizeof *fields);
    if (!posted || !fields) {
        free(posted);
        free(fields);
        return BV_E_NOMEM;
    }
    posted->token = token;
    posted->fields = fields;
    posted_fill(posted, response);
    atomic_fetch_add(&token.server->posts, 1);
    const int rc = bv_loop_post(token.server->deps.loop, on_posted, posted);
    if (rc != 0) {
        atomic_fetch_sub(&token.server->posts, 1);
        free(fields);
        free(posted);
    }
    return rc;
}
