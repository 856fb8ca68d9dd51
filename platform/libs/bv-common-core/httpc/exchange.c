#include "httpc_private.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bv/address.h"

#define METHOD_SIZE_MAX 16
#define KEPT_BUFFER_BYTES 65536 /* a pooled exchange keeps buffers up to this size */
#define ARENA_BYTES_MAX (4 * BV_HTTPC_FIELD_BYTES_MAX + 64 * BV_HTTPC_FIELDS_MAX + 16384)

/* ---- the answer, as curl hands it over ---- */

static int add_field(struct exchange *exchange, struct bv_bytes line, size_t colon)
{
    if (exchange->field_count == BV_HTTPC_FIELDS_MAX)
        return BV_E_TOO_LARGE;
    if (!exchange->fields)
        exchange->fields =
            bv_arena_array(exchange->arena, struct bv_http_field, BV_HTTPC_FIELDS_MAX);
    size_t begin = colon + 1;
    size_t end = line.size;
    while (begin < end && (line.data[begin] == ' ' || line.data[begin] == '\t'))
        begin++;
    while (end > begin && (line.data[end - 1] == ' ' || line.data[end - 1] == '\t'))
        end--;
    char *name = bv_arena_text(exchange->arena, (struct bv_bytes){line.data, colon});
    struct bv_bytes value =
        bv_arena_copy(exchange->arena, (struct bv_bytes){line.data + begin, end - begin});
    if (!exchange->fields || !name || !value.data)
        return BV_E_NOMEM;
    exchange->fields[exchange->field_count++] = (struct bv_http_field){name, value};
    return 0;
}

static void begin_head(struct exchange *exchange, struct bv_bytes line)
{
    const char *space = memchr(line.data, ' ', line.size);
    int64_t status = 0;
    if (!space || line.data + line.size - space < 4 ||
        bv_bytes_int64((struct bv_bytes){space + 1, 3}, 100, 999, &status) != 0)
        status = 0;
    exchange->status = (int)status;
    exchange->field_count = 0;
}

static int take_head_line(struct exchange *exchange, struct bv_bytes line)
{
    if (exchange->head_complete)
        return 0;
    exchange->field_bytes += line.size;
    if (exchange->field_bytes > BV_HTTPC_FIELD_BYTES_MAX)
        return BV_E_TOO_LARGE;
    while (line.size && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.size--;
    if (line.size == 0) {
        exchange->head_complete = exchange->status >= 200;
        return 0;
    }
    if (bv_bytes_starts(line, BV_BYTES("HTTP/"))) {
        begin_head(exchange, line);
        return 0;
    }
    const char *colon = memchr(line.data, ':', line.size);
    return colon ? add_field(exchange, line, (size_t)(colon - line.data)) : 0;
}

static size_t on_head_line(char *data, size_t one, size_t size, void *argument)
{
    (void)one;
    struct exchange *exchange = argument;
    exchange->fault = take_head_line(exchange, (struct bv_bytes){data, size});
    return exchange->fault ? 0 : size;
}

static size_t on_body(char *data, size_t one, size_t size, void *argument)
{
    (void)one;
    struct exchange *exchange = argument;
    exchange->fault = bv_buf_append(&exchange->body, data, size);
    return exchange->fault ? 0 : size;
}

/* ---- the request ---- */

static bool is_token(const char *name)
{
    if (!*name)
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
            return false;
    return true;
}

static bool is_method(const char *method)
{
    size_t size = strlen(method);
    return size >= 1 && size <= METHOD_SIZE_MAX &&
           strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == size;
}

static bool is_value(struct bv_bytes value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] == '\r' || value.data[i] == '\n' || value.data[i] == '\0')
            return false;
    return true;
}

/* curl's list, its nodes in the arena: nothing to free. */
struct header_list {
    struct bv_arena *arena;
    struct curl_slist *first;
    struct curl_slist **end;
    size_t count;
    size_t bytes;
};

static int add_line(struct header_list *list, char *line)
{
    struct curl_slist *node = bv_arena_new(list->arena, struct curl_slist);
    if (!line || !node)
        return BV_E_NOMEM;
    node->data = line;
    *list->end = node;
    list->end = &node->next;
    return 0;
}

static int add_header(struct header_list *list, const char *name, struct bv_bytes value)
{
    list->bytes += strlen(name) + value.size + 4;
    if (++list->count > BV_HTTPC_FIELDS_MAX || list->bytes > BV_HTTPC_FIELD_BYTES_MAX)
        return BV_E_TOO_LARGE;
    if (value.size == 0) /* curl's spelling of a field without value */
        return add_line(list, bv_arena_format(list->arena, "%s;", name));
    return add_line(list, bv_arena_format(list->arena, "%s: %.*s", name, BV_ARG(value)));
}

static int
add_fields(struct header_list *list, const struct bv_httpc_request *request, bool *ret_has_type)
{
    *ret_has_type = false;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct bv_http_field *field = &request->fields[i];
        struct bv_bytes name = bv_bytes_of(field->name);
        if (!is_token(field->name) || !is_value(field->value) ||
            bv_bytes_equal_nocase(name, BV_BYTES("content-length")) ||
            bv_bytes_equal_nocase(name, BV_BYTES("transfer-encoding")))
            return BV_E_INVALID;
        *ret_has_type |= bv_bytes_equal_nocase(name, BV_BYTES("content-type"));
        BV_TRY(add_header(list, field->name, field->value));
    }
    return 0;
}

static int fill_headers(struct exchange *exchange, const struct bv_httpc_request *request)
{
    struct header_list list = {.arena = exchange->arena, .end = &list.first};
    bool has_type;
    BV_TRY(add_fields(&list, request, &has_type));
    if (request->trace && bv_trace_present(request->trace)) {
        char traceparent[BV_TRACEPARENT_SIZE];
        bv_trace_format(request->trace, traceparent);
        BV_TRY(add_header(&list, "traceparent", bv_bytes_of(traceparent)));
    }
    /* A name with a colon alone takes curl's own field away. */
    BV_TRY(add_line(&list, bv_arena_text(list.arena, BV_BYTES("Expect:"))));
    if (!has_type)
        BV_TRY(add_line(&list, bv_arena_text(list.arena, BV_BYTES("Content-Type:"))));
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, list.first);
    return 0;
}

static int fill_url(struct exchange *exchange, const char *url)
{
    char *scheme = NULL;
    if (curl_url_set(exchange->url, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(exchange->url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return BV_E_INVALID;
    bool known = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
    curl_free(scheme);
    if (!known)
        return BV_E_INVALID;
    curl_easy_setopt(exchange->easy, CURLOPT_CURLU, exchange->url);
    return 0;
}

static int fill_body(struct exchange *exchange,
                     const struct bv_httpc_request *request,
                     size_t response_bytes_max)
{
    CURL *easy = exchange->easy;
    const char *method = request->method;
    bool head = strcmp(method, "HEAD") == 0;
    bool carries = request->body.size || strcmp(method, "POST") == 0 ||
                   strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_NOBODY, head ? 1L : 0L);
    if (carries && !head) {
        exchange->request_body.max =
            request->body.size + 1; /* a byte more, so that an empty body has an address */
        if (bv_buf_bytes(&exchange->request_body, request->body) != 0 ||
            bv_buf_char(&exchange->request_body, '\0') != 0)
            return BV_E_NOMEM;
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->request_body.data);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, head ? NULL : method);
    /* Refuses by Content-Length before the body flows; of HEAD that length means nothing. */
    curl_easy_setopt(
        easy, CURLOPT_MAXFILESIZE_LARGE, head ? (curl_off_t)0 : (curl_off_t)response_bytes_max);
    return 0;
}

int exchange_fill(struct exchange *exchange,
                  const struct bv_httpc_request *request,
                  size_t response_bytes_max)
{
    if (!request->method || !is_method(request->method) || !request->url ||
        request->timeout_ms <= 0)
        return BV_E_INVALID;
    BV_TRY(fill_url(exchange, request->url));
    BV_TRY(fill_headers(exchange, request));
    return fill_body(exchange, request, response_bytes_max);
}

/* ---- life ---- */

/* The address that is really connected to: a name may resolve to anything, and to something else
 * next time. */
static curl_socket_t open_public(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *exchange = context;
    bool allowed = false;
    (void)purpose;
    if (address->family == AF_INET)
        allowed = bv_address_public_v4(
            ntohl(((const struct sockaddr_in *)(const void *)&address->addr)->sin_addr.s_addr));
    else if (address->family == AF_INET6)
        allowed = bv_address_public_v6(
            ((const struct sockaddr_in6 *)(const void *)&address->addr)->sin6_addr.s6_addr);
    if (!allowed) {
        snprintf(exchange->reason, sizeof(exchange->reason), "the host has no public address");
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype, address->protocol);
}

static void set_up(struct exchange *exchange, const char *user_agent)
{
    CURL *easy = exchange->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->reason);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Else the end of an exchange waits for the thread that looks its name up. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
}

int exchange_new(struct bv_httpc *client,
                 size_t response_bytes_max,
                 const char *user_agent,
                 bool public_only,
                 struct exchange **ret_exchange)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return BV_E_NOMEM;
    exchange->client = client;
    exchange->body.max = response_bytes_max;
    exchange->easy = curl_easy_init();
    exchange->url = curl_url();
    if (!exchange->easy || !exchange->url ||
        bv_arena_open(ARENA_BYTES_MAX, &exchange->arena) != 0) {
        exchange_free(&exchange);
        return BV_E_NOMEM;
    }
    set_up(exchange, user_agent);
    if (public_only) {
        curl_easy_setopt(exchange->easy, CURLOPT_OPENSOCKETFUNCTION, open_public);
        curl_easy_setopt(exchange->easy, CURLOPT_OPENSOCKETDATA, exchange);
    }
    *ret_exchange = exchange;
    return 0;
}

void exchange_free(struct exchange **exchange_at)
{
    struct exchange *exchange = bv_take(exchange_at);
    if (!exchange)
        return;
    bv_timer_close(&exchange->deadline);
    if (exchange->easy)
        curl_easy_cleanup(exchange->easy);
    curl_url_cleanup(exchange->url);
    bv_arena_close(&exchange->arena);
    bv_buf_release(&exchange->request_body);
    bv_buf_release(&exchange->body);
    free(exchange);
}

static void shrink(struct bv_buf *buf)
{
    size_t max = buf->max;
    if (buf->capacity > KEPT_BUFFER_BYTES)
        bv_buf_release(buf);
    else
        bv_buf_reset(buf);
    buf->max = max;
}

void exchange_empty(struct exchange *exchange)
{
    bv_timer_clear(exchange->deadline);
    curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, NULL);
    bv_arena_reset(exchange->arena);
    shrink(&exchange->request_body);
    shrink(&exchange->body);
    exchange->fields = NULL;
    exchange->field_count = 0;
    exchange->field_bytes = 0;
    exchange->status = 0;
    exchange->head_complete = false;
    exchange->fault = 0;
    exchange->done = NULL;
    exchange->argument = NULL;
    exchange->reason[0] = '\0';
}

/* ---- how it ended ---- */

static const struct {
    CURLcode curl;
    int code;
} faults[] = {
    {CURLE_COULDNT_RESOLVE_HOST,    BV_E_UNAVAILABLE},
    {CURLE_COULDNT_CONNECT,         BV_E_UNAVAILABLE},
    {CURLE_SEND_ERROR,              BV_E_UNAVAILABLE},
    {CURLE_RECV_ERROR,              BV_E_UNAVAILABLE},
    {CURLE_GOT_NOTHING,             BV_E_UNAVAILABLE},
    {CURLE_PARTIAL_FILE,            BV_E_UNAVAILABLE},
    {CURLE_NO_CONNECTION_AVAILABLE, BV_E_UNAVAILABLE},
    {CURLE_OPERATION_TIMEDOUT,      BV_E_TIMEOUT    },
    {CURLE_FILESIZE_EXCEEDED,       BV_E_TOO_LARGE  },
    {CURLE_OUT_OF_MEMORY,           BV_E_NOMEM      },
};

int exchange_result(const struct exchange *exchange, CURLcode result, struct bv_error *error)
{
    if (exchange->fault)
        return bv_fail(error,
                       exchange->fault,
                       "the answer does not fit its limits (status %d, %zu bytes of body taken)",
                       exchange->status,
                       exchange->body.size);
    if (result == CURLE_OK && exchange->status >= 200 && exchange->head_complete)
        return 0;
    /* curl takes what came before the connection ended for all there is */
    if (result == CURLE_OK && exchange->status >= 200)
        return bv_fail(error, BV_E_UNAVAILABLE, "the connection ended within the answer's head");
    int code = BV_E_PROTOCOL;
    for (size_t i = 0; i < BV_COUNT(faults); i++)
        if (faults[i].curl == result)
            code = faults[i].code;
    const char *reason = exchange->reason[0] ? exchange->reason : curl_easy_strerror(result);
    return bv_fail(
        error, code, "%s", result == CURLE_OK ? "the answer has no valid status line" : reason);
}
