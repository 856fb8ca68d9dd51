/* llhttp is strict by default (bad chunks, Content-Length beside Transfer-Encoding, spaces before
 * the colon, folded lines, control characters). What it leaves to its user is here: the version,
 * exactly one Host of good form, caps on everything, codings. */
#include "http_internal.h"

static struct http_connection *connection_of(llhttp_t *parser)
{
    return parser->data;
}

static int refuse(struct bv_http_request *request,
                  int status,
                  const char *code,
                  const char *title,
                  const char *detail)
{
    http_request_refuse(request, status, code, title, "%s", detail);
    request->refusal.broken = true;
    return HPE_USER;
}

static int bad(struct bv_http_request *request, const char *detail)
{
    return refuse(request, 400, "bad-request", "Malformed request", detail);
}

static int message_begin(llhttp_t *parser)
{
    struct http_connection *connection = connection_of(parser);
    if (http_request_begin(connection) != 0)
        return HPE_USER;
    connection->phase = PHASE_HEAD;
    http_connection_due(connection, connection->server->config.header_timeout_ms);
    return 0;
}

/* Trailers and chunk extensions are dropped, but counted. */
static int overhead(struct bv_http_request *request, size_t size)
{
    request->overhead += size;
    if (request->overhead > (size_t)request->server->config.header_bytes_max)
        return bad(request, "Chunk extensions or trailers are too large.");
    return 0;
}

static int head_append(struct bv_http_request *request, const char *at, size_t size)
{
    if (request->headers_done)
        return overhead(request, size);
    if (bv_buf_append(&request->head, at, size) != 0) {
        if (request->target_size == 0)
            return refuse(request,
                          414,
                          "uri-too-long",
                          "URI too long",
                          "The request target is longer than this server takes.");
        return refuse(request,
                      431,
                      "header-too-large",
                      "Request header fields too large",
                      "The request line and header fields are larger than this server takes.");
    }
    return 0;
}

/* llhttp takes RTSP and ICE as well; the first piece of the name tells them apart. */
static int on_protocol(llhttp_t *parser, const char *at, size_t size)
{
    if (size > 0 && (*at == 'R' || *at == 'I'))
        return bad(connection_of(parser)->request, "The protocol is not HTTP.");
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
    return head_append(connection_of(parser)->request, at, size);
}

static int on_url_complete(llhttp_t *parser)
{
    struct bv_http_request *request = connection_of(parser)->request;
    request->target_size = (uint32_t)request->head.size;
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t size)
{
    struct bv_http_request *request = connection_of(parser)->request;
    struct http_field_at *field = &request->fields[request->field_count];
    if (request->headers_done)
        return overhead(request, size);
    if (request->field_count == HTTP_FIELDS_MAX)
        return refuse(request,
                      431,
                      "header-too-large",
                      "Request header fields too large",
                      "There are more than 100 header fields.");
    if (field->name_size == 0)
        field->name = (uint32_t)request->head.size;
    field->name_size += (uint32_t)size;
    return head_append(request, at, size);
}

static int on_value(llhttp_t *parser, const char *at, size_t size)
{
    struct bv_http_request *request = connection_of(parser)->request;
    struct http_field_at *field = &request->fields[request->field_count];
    if (request->headers_done)
        return overhead(request, size);
    if (field->value_size == 0)
        field->value = (uint32_t)request->head.size;
    field->value_size += (uint32_t)size;
    return head_append(request, at, size);
}

static int on_value_complete(llhttp_t *parser)
{
    struct bv_http_request *request = connection_of(parser)->request;
    struct http_field_at *field = &request->fields[request->field_count];
    if (request->headers_done)
        return overhead(request, 4);
    while (field->value_size > 0) {
        const char last = request->head.data[field->value + field->value_size - 1];
        if (last != ' ' && last != '\t')
            break;
        field->value_size--;
    }
    request->field_count++;
    if (request->field_count < HTTP_FIELDS_MAX)
        request->fields[request->field_count] = (struct http_field_at){0};
    return 0;
}

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$&'()*+,;=%", c));
}

/* uri-host [ ":" port ] of RFC 3986 section 3.2.2; no user information. */
bool http_host_good(struct bv_bytes host)
{
    size_t i = 0;
    if (host.size == 0)
        return false;
    if (host.data[0] == '[') {
        for (i = 1; i < host.size && host.data[i] != ']'; i++)
            if (!strchr("0123456789abcdefABCDEF:.", host.data[i]) || !host.data[i])
                return false;
        if (i == host.size || i < 3)
            return false;
        i++;
    } else {
        for (; i < host.size && host.data[i] != ':'; i++) {
            if (!host_char(host.data[i]))
                return false;
            if (host.data[i] == '%' &&
                (i + 2 >= host.size || !strchr("0123456789abcdefABCDEF", host.data[i + 1]) ||
                 !strchr("0123456789abcdefABCDEF", host.data[i + 2])))
                return false;
        }
        if (i == 0)
            return false;
    }
    if (i == host.size)
        return true;
    if (host.data[i++] != ':')
        return false;
    int64_t port = 0;
    const struct bv_bytes digits = {host.data + i, host.size - i};
    for (size_t k = 0; k < digits.size; k++)
        if (digits.data[k] < '0' || digits.data[k] > '9')
            return false;
    return digits.size == 0 || bv_bytes_int64(digits, 0, 65535, &port) == 0;
}

static int check_host(struct bv_http_request *request)
{
    size_t hosts = 0;
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (request->fields[i].name_size != 4 ||
            !bv_bytes_equal_nocase(HTTP_NAME(request, i), BV_BYTES("host")))
            continue;
        hosts++;
        if (!http_host_good(HTTP_VALUE(request, i)))
            return bad(request, "The Host field is malformed.");
    }
    if (hosts > 1)
        return bad(request, "There is more than one Host field.");
    if (hosts == 0 && !request->http10)
        return bad(request, "The Host field is missing.");
    return 0;
}

static int check_codings(llhttp_t *parser, struct bv_http_request *request)
{
    const bool chunked = (parser->flags & F_TRANSFER_ENCODING) != 0;
    if (chunked && request->http10)
        return bad(request, "HTTP/1.0 has no Transfer-Encoding.");
    if (chunked && (parser->flags & F_CONTENT_LENGTH))
        return bad(request, "Content-Length and Transfer-Encoding exclude each other.");
    if (!chunked)
        return 0;
    size_t count = 0;
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (!bv_bytes_equal_nocase(HTTP_NAME(request, i), BV_BYTES("transfer-encoding")))
            continue;
        if (!bv_bytes_equal_nocase(HTTP_VALUE(request, i), BV_BYTES("chunked")) || ++count > 1)
            return refuse(request,
                          501,
                          "unimplemented",
                          "Not implemented",
                          "The only transfer coding here is chunked.");
    }
    return 0;
}

static int method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET:
        return BV_GET;
    case HTTP_HEAD:
        return BV_HEAD;
    case HTTP_POST:
        return BV_POST;
    case HTTP_PUT:
        return BV_PUT;
    case HTTP_PATCH:
        return BV_PATCH;
    case HTTP_DELETE:
        return BV_DELETE;
    case HTTP_OPTIONS:
        return BV_OPTIONS;
    default:
        return BV_METHOD_COUNT;
    }
}

/* Something refused a request whose body is still to come: small ones are read and dropped, others
 * end the connection. */
static int refuse_before_body(llhttp_t *parser, struct bv_http_request *request, bool expect)
{
    if (!request->body_expected)
        return 0;
    request->discard = true;
    if (!expect && !(parser->flags & F_CHUNKED) && parser->content_length <= HTTP_DISCARD_BYTES_MAX)
        return 0;
    request->refusal.broken = true;
    return HPE_USER;
}

static int check_expect(struct bv_http_request *request, bool *ret_expect)
{
    const struct bv_bytes expect = bv_http_header(request, "expect");
    *ret_expect = false;
    if (!expect.data || request->http10)
        return 0;
    if (!bv_bytes_equal_nocase(expect, BV_BYTES("100-continue")))
        return refuse(request,
                      417,
                      "expectation-failed",
                      "Expectation failed",
                      "The only expectation here is 100-continue.");
    *ret_expect = request->body_expected;
    return 0;
}

static int check_body(llhttp_t *parser, struct bv_http_request *request)
{
    if (request->refusal.status != 0 || !request->body_expected)
        return 0;
    request->body_max = request->route ? request->route->row.body_bytes_max : 0;
    request->body.max = request->body_max;
    if (request->body_max == 0 ||
        (!(parser->flags & F_CHUNKED) && parser->content_length > request->body_max))
        http_request_refuse_code(request,
                                 BV_E_TOO_LARGE,
                                 request->body_max ? "The body is larger than %zu bytes."
                                                   : "This route takes no body.",
                                 request->body_max);
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_connection *connection = connection_of(parser);
    struct bv_http_request *request = connection->request;
    bool expect = false;
    int rc = 0;
    parser->upgrade = 0; /* an upgrade is our own decision, made when the request is handled */
    request->headers_done = true;
    request->http10 = parser->http_minor == 0;
    request->method = method_of(parser->method);
    request->body_expected = (parser->flags & F_CHUNKED) || parser->content_length > 0;
    request->target = (struct bv_bytes){request->head.data, request->target_size};
    if (parser->http_major != 1 || parser->http_minor > 1)
        return refuse(request,
                      505,
                      "http-version",
                      "HTTP version not supported",
                      "This server speaks HTTP/1.1 and HTTP/1.0.");
    request->keep_alive =
        llhttp_should_keep_alive(parser) != 0 && !(parser->flags & F_CONNECTION_CLOSE);
    if ((rc = check_host(request)) != 0 || (rc = check_codings(parser, request)) != 0 ||
        (rc = check_expect(request, &expect)) != 0)
        return rc;
    if (parser->method == HTTP_CONNECT)
        return refuse(request, 501, "unimplemented", "Not implemented", "This server is no proxy.");
    http_request_resolve(request);
    if ((rc = check_body(parser, request)) != 0)
        return rc;
    if (request->refusal.status != 0)
        return refuse_before_body(parser, request, expect);
    if (request->body_expected) {
        connection->phase = PHASE_BODY;
        http_connection_due(connection, connection->server->config.body_timeout_ms);
    }
    if (expect)
        http_connection_write(connection, BV_BYTES("HTTP/1.1 100 Continue\r\n\r\n"), BV_BYTES_NONE);
    return 0;
}

static int body_too_large(struct bv_http_request *request)
{
    http_request_refuse_code(
        request, BV_E_TOO_LARGE, "The body is larger than %zu bytes.", request->body_max);
    request->refusal.broken = true;
    return HPE_USER;
}

/* A chunk that cannot fit is refused before its data come. */
static int on_chunk_header(llhttp_t *parser)
{
    struct bv_http_request *request = connection_of(parser)->request;
    if (!request->discard && parser->content_length > request->body_max - request->body.size)
        return body_too_large(request);
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
    struct bv_http_request *request = connection_of(parser)->request;
    if (request->discard)
        return 0;
    /* The buffer may have been lent before, with more room than this route gives. */
    if (size > request->body_max - request->body.size ||
        bv_buf_append(&request->body, at, size) != 0)
        return body_too_large(request);
    return 0;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t size)
{
    (void)at;
    return overhead(connection_of(parser)->request, size + 1);
}

static int on_message_complete(llhttp_t *parser)
{
    struct bv_http_request *request = connection_of(parser)->request;
    request->complete = true;
    if (parser->flags &
        F_CONNECTION_CLOSE) /* a trailer may say so: the parser takes nothing more */
        request->keep_alive = false;
    return HPE_PAUSED;
}

const llhttp_settings_t http_parser_settings = {
    .on_message_begin = message_begin,
    .on_protocol = on_protocol,
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_message_complete = on_message_complete,
};

void http_parse_refuse(struct http_connection *connection, int parser_errno)
{
    struct bv_http_request *request = connection->request;
    const char *reason = llhttp_get_error_reason(&connection->parser);
    if (request->refusal.status != 0)
        return;
    const bool version = parser_errno == HPE_INVALID_VERSION && reason &&
                         strcmp(reason, "Invalid HTTP version") == 0;
    if (version || parser_errno == HPE_PAUSED_H2_UPGRADE)
        (void)refuse(request,
                     505,
                     "http-version",
                     "HTTP version not supported",
                     "This server speaks HTTP/1.1 and HTTP/1.0.");
    else
        (void)bad(request, reason && *reason ? reason : "The request is malformed.");
}
