#include "http_internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the pool
 * ------------------------------------------------------------------------------------------------------------------
 */

#define HEAD_KEEP_BYTES 8192
#define BODY_KEEP_BYTES 16384

static struct bv_http_request *request_new(struct bv_http_server *server)
{
    if (server->slot_count == server->slot_capacity) {
        const size_t capacity = server->slot_capacity ? server->slot_capacity * 2 : 64;
        struct bv_http_request **slots = realloc(server->slots, capacity * sizeof *slots);
        if (!slots)
            return NULL;
        server->slots = slots;
        server->slot_capacity = capacity;
    }
    struct bv_http_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->server = server;
    request->slot = (uint32_t)server->slot_count;
    server->slots[server->slot_count++] = request;
    return request;
}

static struct bv_http_request *request_take(struct bv_http_server *server)
{
    struct bv_http_request *request = server->free_requests;
    if (request) {
        server->free_requests = request->next;
        server->free_count--;
    } else if (!(request = request_new(server))) {
        return NULL;
    }
    request->next = NULL;
    if (!request->arena &&
        bv_arena_open((size_t)server->config.arena_bytes_max, &request->arena) != 0) {
        request->next = server->free_requests;
        server->free_requests = request;
        server->free_count++;
        return NULL;
    }
    request->head.max = (size_t)server->config.header_bytes_max;
    return request;
}

int http_request_begin(struct http_connection *connection)
{
    struct bv_http_request *request = request_take(connection->server);
    if (!request)
        return BV_E_NOMEM;
    connection->request = request;
    request->connection = connection;
    request->method = BV_METHOD_COUNT;
    request->start_us = bv_mono_us(connection->server->env);
    return 0;
}

static void memory_release(struct bv_http_request *request, bool keep)
{
    if (!keep) {
        bv_arena_close(&request->arena);
        bv_buf_release(&request->head);
        bv_buf_release(&request->body);
        return;
    }
    bv_arena_reset(request->arena);
    if (request->head.capacity > HEAD_KEEP_BYTES)
        bv_buf_release(&request->head);
    else
        bv_buf_reset(&request->head);
    if (request->body.capacity > BODY_KEEP_BYTES)
        bv_buf_release(&request->body);
    else
        bv_buf_reset(&request->body);
}

void http_request_release(struct bv_http_request *request)
{
    struct bv_http_server *server = request->server;
    memory_release(request, server->free_count < HTTP_POOL_KEEP);
    request->generation++;
    const uint32_t slot = request->slot;
    const uint32_t generation = request->generation;
    struct bv_arena *arena = request->arena;
    const struct bv_buf head = request->head;
    const struct bv_buf body = request->body;
    /* The field table is long and needs no clearing beyond its first row. */
    memset(request, 0, offsetof(struct bv_http_request, fields) + sizeof request->fields[0]);
    request->server = server;
    request->slot = slot;
    request->generation = generation;
    request->arena = arena;
    request->head = head;
    request->body = body;
    request->next = server->free_requests;
    server->free_requests = request;
    server->free_count++;
}

/* ---- refusals
 * ------------------------------------------------------------------------------------------------------------------
 */

static void refuse_text(struct bv_http_request *request, const char *format, va_list list)
{
    (void)vsnprintf(request->refusal.detail, sizeof request->refusal.detail, format, list);
}

void http_request_refuse(struct bv_http_request *request,
                         int status,
                         const char *code,
                         const char *title,
                         const char *format,
                         ...)
{
    va_list list;
    request->refusal.status = status;
    request->refusal.code = code;
    request->refusal.title = title;
    va_start(list, format);
    refuse_text(request, format, list);
    va_end(list);
}

void http_request_refuse_code(struct bv_http_request *request, int code, const char *format, ...)
{
    const struct bv_error_row *row = bv_error_row(code);
    va_list list;
    request->refusal.status = row->http_status;
    request->refusal.code = row->word;
    request->refusal.title = row->title;
    va_start(list, format);
    refuse_text(request, format, list);
    va_end(list);
}

/* ---- target
 * --------------------------------------------------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum plus { PLUS_STAYS, PLUS_IS_SPACE };

/* Percent-decoding into the arena; NONE for a bad escape, NUL, bytes that are no UTF-8, or no
 * memory. */
static struct bv_bytes decode(struct bv_arena *arena, struct bv_bytes text, enum plus plus)
{
    const bool as_it_is = !memchr(text.data, '%', text.size) &&
                          !(plus == PLUS_IS_SPACE && memchr(text.data, '+', text.size));
    if (text.size == 0 || as_it_is)
        return text;
    char *out = bv_arena_alloc(arena, text.size + 1);
    size_t size = 0;
    if (!out)
        return BV_BYTES_NONE;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '+' && plus == PLUS_IS_SPACE) {
            c = ' ';
        } else if (c == '%') {
            const int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            const int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return BV_BYTES_NONE;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[size++] = c;
    }
    const struct bv_bytes decoded = {out, size};
    return bv_bytes_utf8(decoded) ? decoded : BV_BYTES_NONE;
}

static size_t scheme_size(struct bv_bytes target)
{
    static const struct bv_bytes schemes[] = {
        {"http://",  7},
        {"https://", 8}
    };
    for (size_t i = 0; i < BV_COUNT(schemes); i++)
        if (target.size >= schemes[i].size &&
            bv_bytes_equal_nocase((struct bv_bytes){target.data, schemes[i].size}, schemes[i]))
            return schemes[i].size;
    return 0;
}

/* http://authority/path?query -> /path?query, NONE when there is neither; false when the authority
 * is no good. */
static bool skip_authority(struct bv_bytes *target)
{
    const size_t scheme = scheme_size(*target);
    const char *start = target->data + scheme;
    const char *end = target->data + target->size;
    const char *at = start;
    if (scheme == 0)
        return false;
    while (at < end && *at != '/' && *at != '?')
        at++;
    *target = (struct bv_bytes){at, (size_t)(end - at)};
    return http_host_good((struct bv_bytes){start, (size_t)(at - start)});
}

/* Outcome false: the target has no form that we take. */
static bool split_target(struct bv_http_request *request)
{
    struct bv_bytes target = request->target;
    for (size_t i = 0; i < target.size; i++)
        if (target.data[i] <= ' ' || target.data[i] >= 0x7f || target.data[i] == '#')
            return false;
    if (target.size == 0 || (target.data[0] != '/' && !skip_authority(&target)))
        return false;
    const char *mark = target.size ? memchr(target.data, '?', target.size) : NULL;
    request->path =
        (struct bv_bytes){target.data, mark ? (size_t)(mark - target.data) : target.size};
    if (request->path.size == 0)
        request->path = BV_BYTES("/");
    if (mark)
        request->query =
            (struct bv_bytes){mark + 1, (size_t)(target.data + target.size - mark) - 1};
    return true;
}

static bool dots(struct bv_bytes segment)
{
    return bv_bytes_equal(segment, BV_BYTES(".")) || bv_bytes_equal(segment, BV_BYTES(".."));
}

/* Outcomes: 1 the path is malformed, 2 it has more segments than any route. */
static int split_path(struct bv_http_request *request, struct bv_bytes *segments, size_t *ret_count)
{
    const char *at = request->path.data + 1;
    const char *end = request->path.data + request->path.size;
    size_t count = 0;
    if (request->path.size == 1) {
        *ret_count = 0;
        return 0;
    }
    for (;;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const struct bv_bytes raw = {at, (size_t)((slash ? slash : end) - at)};
        const struct bv_bytes segment = decode(request->arena, raw, PLUS_STAYS);
        if (!segment.data || dots(segment))
            return 1;
        if (count == HTTP_SEGMENTS_MAX)
            return 2;
        segments[count++] = segment;
        if (!slash)
            break;
        at = slash + 1;
    }
    *ret_count = count;
    return 0;
}

static bool query_good(struct bv_http_request *request)
{
    return request->query.size == 0 || decode(request->arena, request->query, PLUS_IS_SPACE).data;
}

static void find_node(struct bv_http_request *request)
{
    struct bv_bytes segments[HTTP_SEGMENTS_MAX];
    size_t count = 0;
    const int rc = split_path(request, segments, &count);
    if (rc == 1)
        http_request_refuse_code(
            request, BV_E_INVALID, "The path has a bad escape or a dot segment.");
    else if (!query_good(request))
        http_request_refuse_code(request, BV_E_INVALID, "The query has a bad escape.");
    else if (rc == 2 || !(request->node = http_router_find(
                              &request->server->router, segments, count, request->params)))
        http_request_refuse_code(request, BV_E_NOT_FOUND, "There is nothing at this path.");
}

static void find_route(struct bv_http_request *request)
{
    if (request->method == BV_METHOD_COUNT)
        request->route = NULL;
    else
        request->route = request->node->routes[request->method];
    if (!request->route && request->method == BV_HEAD)
        request->route = request->node->routes[BV_GET];
    if (!request->route && request->method != BV_OPTIONS)
        http_request_refuse_code(request, BV_E_METHOD, "This path does not take this method.");
}

/* ---- who calls, and in what trace
 * ---------------------------------------------------------------------------------------------- */

static bool correlation_good(struct bv_bytes text)
{
    if (text.size == 0 || text.size > 128)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return false;
    return true;
}

void http_request_trace(struct bv_http_request *request)
{
    struct bv_trace parent;
    if (request->correlation.data)
        return;
    const struct bv_http_server *server = request->server;
    const bool has = bv_trace_parse(bv_http_header(request, "traceparent"), &parent) == 0;
    request->trace =
        bv_trace_child(server->env, has ? &parent : NULL, server->deps.trace_sample_per_million);
    bv_trace_id_format(&request->trace, request->trace_id);
    request->correlation = bv_http_header(request, "correlation-id");
    if (!correlation_good(request->correlation))
        request->correlation = (struct bv_bytes){request->trace_id, 32};
}

static bool is_upgrade(const struct bv_http_request *request)
{
    return http_list_has(bv_http_header(request, "upgrade"), "websocket");
}

struct bv_bytes bv_http_bearer(const struct bv_http_request *request)
{
    const struct bv_bytes field = bv_http_header(request, "authorization");
    if (field.size > 7 &&
        bv_bytes_equal_nocase((struct bv_bytes){field.data, 7}, BV_BYTES("bearer ")))
        return http_trim((struct bv_bytes){field.data + 7, field.size - 7});
    if (field.data || !is_upgrade(request))
        return BV_BYTES_NONE;
    /* Browsers cannot set fields on a WebSocket: "Sec-WebSocket-Protocol: bearer, <token>". */
    struct bv_bytes rest = bv_http_header(request, "sec-websocket-protocol");
    struct bv_bytes item;
    while (http_list_next(&rest, &item))
        if (bv_bytes_equal_nocase(item, BV_BYTES("bearer")))
            return http_list_next(&rest, &item) ? item : BV_BYTES_NONE;
    return BV_BYTES_NONE;
}

void http_request_authenticate(struct bv_http_request *request)
{
    struct bv_http_server *server = request->server;
    const char *scope = request->route->row.scope;
    struct bv_error error = {0};
    const struct bv_bytes token = bv_http_bearer(request);
    if (!server->authenticate) {
        http_request_refuse_code(request, BV_E_UNAVAILABLE, "This server has no authenticator.");
        return;
    }
    if (token.size == 0) {
        http_request_refuse_code(request,
                                 BV_E_UNAUTHENTICATED,
                                 "A bearer token is needed: Authorization: Bearer <token>.");
        request->refusal.www_authenticate = "Bearer";
        return;
    }
    struct bv_principal *principal = bv_arena_new(request->arena, struct bv_principal);
    const int rc = principal
                       ? server->authenticate(
                             server->authenticate_context, request->arena, token, principal, &error)
                       : BV_E_NOMEM;
    request->auth_pending = rc == BV_HTTP_LATER;
    if (request->auth_pending)
        return;
    if (rc != 0) {
        http_request_refuse_code(
            request, rc, "%s", error.text[0] ? error.text : "The bearer token is not accepted.");
        request->refusal.www_authenticate =
            rc == BV_E_UNAUTHENTICATED ? "Bearer error=\"invalid_token\"" : NULL;
        return;
    }
    request->principal = principal;
    if (*scope && !bv_scope_has(principal->scope, scope)) {
        http_request_refuse_code(request, BV_E_FORBIDDEN, "The scope %s is needed.", scope);
        request->refusal.www_authenticate = bv_arena_format(
            request->arena, "Bearer error=\"insufficient_scope\", scope=\"%s\"", scope);
    }
}

/* The type without parameters, as bytes of the field. */
static struct bv_bytes media_type(const struct bv_http_request *request)
{
    struct bv_bytes type = bv_http_header(request, "content-type");
    const char *semicolon = type.data ? memchr(type.data, ';', type.size) : NULL;
    if (semicolon)
        type.size = (size_t)(semicolon - type.data);
    return http_trim(type);
}

static void check_content(struct bv_http_request *request)
{
    const char *consumes = request->route->row.consumes;
    const struct bv_bytes encoding = bv_http_header(request, "content-encoding");
    if (!request->body_expected)
        return;
    if (encoding.data && !bv_bytes_equal_nocase(encoding, BV_BYTES("identity")))
        http_request_refuse_code(request, BV_E_MEDIA_TYPE, "Content-Encoding is not taken here.");
    else if (consumes && !bv_bytes_equal_nocase(media_type(request), bv_bytes_of(consumes)))
        http_request_refuse_code(request, BV_E_MEDIA_TYPE, "Content-Type must be %s.", consumes);
}

void http_request_resolve(struct bv_http_request *request)
{
    http_request_trace(request);
    if (request->method == BV_OPTIONS && bv_bytes_equal(request->target, BV_BYTES("*"))) {
        request->path = request->target;
        return;
    }
    if (!split_target(request)) {
        http_request_refuse_code(request, BV_E_INVALID, "The request target is malformed.");
        return;
    }
    find_node(request);
    if (request->refusal.status == 0)
        find_route(request);
    if (request->refusal.status == 0 && request->route && request->route->row.scope)
        http_request_authenticate(request);
    if (request->refusal.status == 0 && request->route)
        check_content(request);
}

/* ---- views
 * ---------------------------------------------------------------------------------------------------------------------
 */

struct bv_bytes http_trim(struct bv_bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

bool http_list_next(struct bv_bytes *rest, struct bv_bytes *ret_item)
{
    while (rest->size > 0) {
        const char *comma = memchr(rest->data, ',', rest->size);
        const size_t size = comma ? (size_t)(comma - rest->data) : rest->size;
        const struct bv_bytes item = http_trim((struct bv_bytes){rest->data, size});
        const size_t used = comma ? size + 1 : size;
        rest->data += used;
        rest->size -= used;
        if (item.size > 0) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

bool http_list_has(struct bv_bytes list, const char *token)
{
    struct bv_bytes item;
    while (http_list_next(&list, &item))
        if (bv_bytes_equal_nocase(item, bv_bytes_of(token)))
            return true;
    return false;
}

static struct bv_bytes next_word(struct bv_bytes *words)
{
    while (words->size > 0 && *words->data == ' ')
        *words = (struct bv_bytes){words->data + 1, words->size - 1};
    const char *space = words->size > 0 ? memchr(words->data, ' ', words->size) : NULL;
    const struct bv_bytes word = {words->data, space ? (size_t)(space - words->data) : words->size};
    *words = (struct bv_bytes){words->data + word.size, words->size - word.size};
    return word;
}

bool bv_scope_has(struct bv_bytes scopes, const char *scope)
{
    struct bv_bytes wanted = bv_bytes_of(scope), one, granted, word;
    while ((one = next_word(&wanted)).size > 0) {
        granted = scopes;
        while ((word = next_word(&granted)).size > 0)
            if (bv_bytes_equal(word, one))
                return true;
    }
    return false;
}

enum bv_http_method bv_http_method(const struct bv_http_request *request)
{
    return (enum bv_http_method)request->method;
}

struct bv_bytes bv_http_path(const struct bv_http_request *request)
{
    return request->path;
}

struct bv_bytes bv_http_body(const struct bv_http_request *request)
{
    return bv_buf_view(&request->body);
}

struct bv_arena *bv_http_arena(struct bv_http_request *request)
{
    return request->arena;
}

const struct bv_principal *bv_http_principal(const struct bv_http_request *request)
{
    return request->principal;
}

const struct bv_trace *bv_http_trace(const struct bv_http_request *request)
{
    return &request->trace;
}

struct bv_bytes bv_http_correlation_id(const struct bv_http_request *request)
{
    return request->correlation;
}

int64_t bv_http_deadline_ms(const struct bv_http_request *request)
{
    return request->deadline_ms;
}

struct bv_bytes bv_http_header(const struct bv_http_request *request, const char *name)
{
    const struct bv_bytes wanted = bv_bytes_of(name);
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (request->fields[i].name_size != wanted.size ||
            !bv_bytes_equal_nocase(HTTP_NAME(request, i), wanted))
            continue;
        const struct bv_bytes value = HTTP_VALUE(request, i);
        return value.size ? value : BV_BYTES("");
    }
    return BV_BYTES_NONE;
}

struct bv_bytes bv_http_param(const struct bv_http_request *request, const char *name)
{
    const struct bv_bytes wanted = bv_bytes_of(name);
    const struct http_route *route = request->route;
    for (size_t i = 0; route && i < route->param_count; i++)
        if (bv_bytes_equal(route->params[i], wanted))
            return request->params[i];
    return BV_BYTES_NONE;
}

struct bv_bytes bv_http_query(const struct bv_http_request *request, const char *name)
{
    const struct bv_bytes wanted = bv_bytes_of(name);
    const char *at = request->query.data;
    const char *end = at ? at + request->query.size : at;
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        const char *key_end = equals ? equals : stop;
        const struct bv_bytes key =
            decode(request->arena, (struct bv_bytes){at, (size_t)(key_end - at)}, PLUS_IS_SPACE);
        if (key.data && bv_bytes_equal(key, wanted))
            return decode(request->arena,
                          equals ? (struct bv_bytes){equals + 1, (size_t)(stop - equals) - 1}
                                 : BV_BYTES(""),
                          PLUS_IS_SPACE);
        at = stop + 1;
    }
    return BV_BYTES_NONE;
}

int bv_http_query_int(const struct bv_http_request *request,
                      const char *name,
                      int64_t min,
                      int64_t max,
                      int64_t fallback,
                      int64_t *ret_value,
                      struct bv_error *error)
{
    const struct bv_bytes text = bv_http_query(request, name);
    if (!text.data) {
        *ret_value = fallback;
        return 0;
    }
    if (bv_bytes_int64(text, min, max, ret_value) == 0)
        return 0;
    return bv_fail(error,
                   BV_E_INVALID,
                   "Query parameter %s must be an integer in %lld..%lld.",
                   name,
                   (long long)min,
                   (long long)max);
}

static bool json_type(struct bv_bytes type)
{
    const struct bv_bytes suffix =
        type.size > 5 ? (struct bv_bytes){type.data + type.size - 5, 5} : BV_BYTES_NONE;
    return bv_bytes_equal_nocase(type, BV_BYTES("application/json")) ||
           bv_bytes_equal_nocase(suffix, BV_BYTES("+json"));
}

int bv_http_json(struct bv_http_request *request,
                 const struct bv_json **ret_root,
                 struct bv_error *error)
{
    const struct bv_json *root = NULL;
    if (request->body.size > 0 && !json_type(media_type(request)))
        return bv_fail(error, BV_E_MEDIA_TYPE, "Content-Type must be application/json.");
    if (request->body.size == 0)
        return bv_fail(error, BV_E_INVALID, "A JSON body is needed.");
    BV_TRY(bv_json_parse(request->arena, bv_http_body(request), &root, error));
    if (bv_json_type(root) != BV_JSON_OBJECT)
        return bv_fail(error, BV_E_INVALID, "The body must be a JSON object.");
    *ret_root = root;
    return 0;
}
