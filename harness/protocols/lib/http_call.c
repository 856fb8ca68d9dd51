#include "bv/http_call.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { FIELDS_MAX = 48, LINE_MAX_BYTES = 32768 };

struct bv_http_caller {
    CURL *curl;
};

struct exchange {
    struct bv_arena *arena;
    struct bv_buf body;
    struct bv_http_field fields[FIELDS_MAX];
    size_t field_count;
    bool failed;
};

int bv_http_caller_open(struct bv_http_caller **ret_caller)
{
    struct bv_http_caller *caller = calloc(1, sizeof *caller);
    if (!caller)
        return BV_E_NOMEM;
    caller->curl = curl_easy_init();
    if (!caller->curl) {
        free(caller);
        return BV_E_NOMEM;
    }
    *ret_caller = caller;
    return 0;
}

void bv_http_caller_close(struct bv_http_caller **caller)
{
    if (!*caller)
        return;
    curl_easy_cleanup((*caller)->curl);
    free(*caller);
    *caller = NULL;
}

static size_t on_body(char *data, size_t size, size_t count, void *argument)
{
    struct exchange *exchange = argument;
    return bv_buf_append(&exchange->body, data, size * count) < 0 ? 0 : size * count;
}

static size_t on_field(char *data, size_t size, size_t count, void *argument)
{
    struct exchange *exchange = argument;
    size *= count;
    if (size > 5 && memcmp(data, "HTTP/", 5) == 0)
        exchange->field_count = 0; /* an interim answer came before */
    const char *colon = memchr(data, ':', size);
    if (!colon || exchange->field_count == FIELDS_MAX)
        return size;
    struct bv_bytes value = {colon + 1, size - (size_t)(colon + 1 - data)};
    while (value.size && strchr(" \t", value.data[0]))
        value = (struct bv_bytes){value.data + 1, value.size - 1};
    while (value.size && strchr(" \t\r\n", value.data[value.size - 1]))
        value.size--;
    char *name = bv_arena_text(exchange->arena, (struct bv_bytes){data, (size_t)(colon - data)});
    struct bv_http_field *field = &exchange->fields[exchange->field_count];
    *field = (struct bv_http_field){name, bv_arena_copy(exchange->arena, value)};
    if (!name || !field->value.data) {
        exchange->failed = true;
        return 0;
    }
    for (; *name; name++)
        if (*name >= 'A' && *name <= 'Z')
            *name = (char)(*name + 'a' - 'A');
    exchange->field_count++;
    return size;
}

static int code_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return BV_E_UNAVAILABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return BV_E_TIMEOUT;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return BV_E_CLOSED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return BV_E_INVALID;
    case CURLE_WRITE_ERROR:
        return BV_E_TOO_LARGE;
    case CURLE_ABORTED_BY_CALLBACK:
        return BV_E_CANCELLED;
    case CURLE_OUT_OF_MEMORY:
        return BV_E_NOMEM;
    default:
        return BV_E_PROTOCOL;
    }
}

static int fields_list(const struct bv_http_call *call, struct curl_slist **list)
{
    bv_auto(bv_buf_release) struct bv_buf line = {.max = LINE_MAX_BYTES};
    static const char *const quiet[] = {"Expect:", "User-Agent: bitvelocity-lab"};
    for (size_t i = 0; i < call->field_count + BV_COUNT(quiet); i++) {
        bv_buf_reset(&line);
        if (i < call->field_count)
            (void)bv_buf_format(&line,
                                "%s%s%.*s",
                                call->fields[i].name,
                                call->fields[i].value.size ? ": " : ";",
                                BV_ARG(call->fields[i].value));
        else
            (void)bv_buf_text(&line, quiet[i - call->field_count]);
        (void)bv_buf_char(&line, '\0');
        struct curl_slist *longer = line.failed ? NULL : curl_slist_append(*list, line.data);
        if (!longer)
            return BV_E_NOMEM;
        *list = longer;
    }
    return 0;
}

static int
on_progress(void *argument, curl_off_t down, curl_off_t downed, curl_off_t up, curl_off_t upped)
{
    const struct bv_http_call *call = argument;
    (void)down, (void)downed, (void)up, (void)upped;
    return call->cancelled(call->cancelled_argument);
}

static void set_up(CURL *curl,
                   const struct bv_http_call *call,
                   struct exchange *exchange,
                   struct curl_slist *list)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    if (call->cancelled) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    }
    if (strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (call->body.data) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
    } else if (strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0 ||
               strcmp(call->method, "PATCH") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
    }
}

static int finish(CURL *curl, struct exchange *exchange, struct bv_http_answer *ret_answer)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    struct bv_http_field *fields =
        bv_arena_array(exchange->arena, struct bv_http_field, exchange->field_count + 1);
    struct bv_bytes body = bv_arena_copy(exchange->arena, bv_buf_view(&exchange->body));
    if (!fields || !body.data)
        return BV_E_NOMEM;
    memcpy(fields, exchange->fields, exchange->field_count * sizeof *fields);
    *ret_answer = (struct bv_http_answer){
        .status = status, .fields = fields, .field_count = exchange->field_count, .body = body};
    ret_answer->media_type = bv_http_answer_field(ret_answer, "content-type");
    return 0;
}

int bv_http_call(struct bv_http_caller *caller,
                 const struct bv_http_call *call,
                 struct bv_arena *arena,
                 struct bv_http_answer *ret_answer,
                 struct bv_error *error)
{
    struct exchange exchange = {.arena = arena, .body = {.max = BV_HTTP_ANSWER_MAX}};
    struct curl_slist *list = NULL;
    int rc = fields_list(call, &list);
    if (rc == 0) {
        set_up(caller->curl, call, &exchange, list);
        CURLcode code = curl_easy_perform(caller->curl);
        if (code == CURLE_WRITE_ERROR && exchange.body.failed)
            rc = bv_fail(error,
                         BV_E_TOO_LARGE,
                         "%s %s: the answer has more than %d bytes",
                         call->method,
                         call->url,
                         BV_HTTP_ANSWER_MAX);
        else if (code != CURLE_OK)
            rc = bv_fail(error,
                         exchange.failed ? BV_E_NOMEM : code_of(code),
                         "%s %s: %s",
                         call->method,
                         call->url,
                         curl_easy_strerror(code));
        else
            rc = finish(caller->curl, &exchange, ret_answer);
    }
    curl_slist_free_all(list);
    bv_buf_release(&exchange.body);
    return rc;
}

struct bv_bytes bv_http_answer_field(const struct bv_http_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->field_count; i++)
        if (bv_bytes_equal_nocase(bv_bytes_of(answer->fields[i].name), bv_bytes_of(name)))
            return answer->fields[i].value;
    return BV_BYTES_NONE;
}
