/* The server that the conformance tests talk to: bv_http as it is, with handlers that say what
 * reached them. It prints "port N" and serves until SIGTERM, then closes everything, so that the
 * sanitizers see each byte freed. What the tests assert is counted here and read at /stats:
 * requests that reached a handler, and above all those for /smuggled, which no test ever asks for
 * openly.
 *
 *   any /echo, /echo/{tail}    what arrived, as JSON              POST /raw       the body as it is
 *   POST /small                takes 16 bytes, application/json   GET /smuggled   counted, must not
 * be GET /later?ms=             replies after ms (never: ms=-1)    GET /big?bytes= a body of
 * letters GET /ws, /ws/limited (1 KiB), /ws/alive (pings each second)   GET /sse        an event,
 * then heartbeats GET /stats, /metrics       not counted
 *
 * Thread: loop. */
#include "http_internal.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/config.h"

#define WS_MESSAGE_BYTES_MAX (20u << 20) /* Autobahn's largest is 16 MiB */
#define BIG_BYTES_MAX (16u << 20)

struct echo_config {
    struct bv_http_config http;
    int64_t read_bytes;
    int64_t send_buffer;
};

struct echo {
    struct bv_loop *loop;
    struct bv_http_server *server;
    struct bv_metrics *metrics;
    struct bv_signal *term;
    int64_t handled;
    int64_t smuggled;
    int64_t streams_opened;
    int64_t streams_closed;
    int last_close;
};

struct later { /* a reply that is still owed */
    struct bv_http_token token;
    struct bv_timer *timer;
};

/* ---- HTTP
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void write_text(struct bv_json_writer *w, const char *key, struct bv_bytes text)
{
    bv_jw_key(w, key);
    if (bv_bytes_utf8(text))
        bv_jw_string(w, text);
    else
        bv_jw_null(w);
}

static void write_fields(struct bv_json_writer *w, const struct bv_http_request *request)
{
    bv_jw_key(w, "fields");
    bv_jw_array(w);
    for (uint32_t i = 0; i < request->field_count; i++) {
        bv_jw_object(w);
        write_text(w, "name", HTTP_NAME(request, i));
        write_text(w, "value", HTTP_VALUE(request, i));
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static int post_echo(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct echo *echo = context;
    struct bv_buf buf = {.max = 8u << 20};
    struct bv_json_writer w = bv_json_writer(&buf);
    (void)error;
    echo->handled++;
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "method", http_method_names[request->method]);
    write_text(&w, "path", bv_http_path(request));
    write_text(&w, "tail", bv_http_param(request, "tail"));
    write_text(&w, "query", request->query);
    bv_jw_kv_int(&w, "bodyBytes", (int64_t)bv_http_body(request).size);
    write_text(&w, "body", bv_http_body(request));
    write_fields(&w, request);
    bv_jw_end(&w);
    return bv_http_reply_json(request, 200, &buf);
}

static int post_raw(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct echo *echo = context;
    (void)error;
    echo->handled++;
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "application/octet-stream",
                                                    .body = bv_http_body(request)});
}

static int get_smuggled(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct echo *echo = context;
    (void)error;
    echo->smuggled++;
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "text/plain",
                                                    .body = BV_BYTES("smuggled")});
}

static int get_big(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct echo *echo = context;
    int64_t size = 0;
    echo->handled++;
    BV_TRY(bv_http_query_int(request, "bytes", 0, BIG_BYTES_MAX, 1 << 20, &size, error));
    char *body = malloc((size_t)size + 1);
    if (!body)
        return bv_fail(error, BV_E_NOMEM, "No memory for the body.");
    memset(body, 'b', (size_t)size);
    const int rc = bv_http_reply(request,
                                 &(struct bv_http_response){
                                     .status = 200,
                                     .content_type = "application/octet-stream",
                                     .body = {body, (size_t)size}
    });
    free(body);
    return rc;
}

static void on_later(void *argument)
{
    struct later *later = argument;
    struct bv_http_request *request = bv_http_find(later->token);
    const struct bv_http_response response = {
        .status = 200, .content_type = "text/plain", .body = BV_BYTES("later")};
    if (request && bv_http_reply(request, &response) != 0)
        abort(); /* it was found this turn */
    bv_timer_close(&later->timer);
    free(later);
}

static int get_later(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct echo *echo = context;
    int64_t delay_ms = 0;
    echo->handled++;
    BV_TRY(bv_http_query_int(request, "ms", -1, 60000, 20, &delay_ms, error));
    const struct bv_http_token token = bv_http_defer(request);
    if (delay_ms < 0)
        return 0;
    struct later *later = calloc(1, sizeof *later);
    if (!later || bv_timer_open(echo->loop, on_later, later, &later->timer) != 0) {
        free(later);
        return bv_fail(error, BV_E_NOMEM, "No memory for a timer.");
    }
    later->token = token;
    bv_timer_set(later->timer, delay_ms, 0);
    return 0;
}

/* ---- streams
 * -------------------------------------------------------------------------------------------------------------------
 */

/* bv_http sends text only: a binary frame is made here. */
static struct bv_http_message *binary_message(struct bv_bytes data)
{
    const struct bv_http_message source = {.data = data};
    const struct bv_bytes frame = http_websocket_frame(&source);
    if (!frame.data)
        return NULL;
    ((char *)(uintptr_t)frame.data)[0] = (char)0x82;
    struct bv_http_message *message = http_message_raw(frame);
    free((void *)(uintptr_t)frame.data);
    return message;
}

static void
on_message(void *argument, struct bv_http_stream *stream, struct bv_bytes data, bool text)
{
    struct bv_http_message *message = NULL;
    (void)argument;
    if (text && bv_bytes_starts(data, BV_BYTES("close "))) {
        int64_t code = 1000;
        if (bv_bytes_int64((struct bv_bytes){data.data + 6, data.size - 6}, 1000, 4999, &code) != 0)
            code = 1011;
        bv_http_stream_close(stream, (int)code, "as you wish");
        return;
    }
    if (!text)
        message = binary_message(data);
    else if (bv_http_message_new(BV_BYTES_NONE, BV_BYTES_NONE, data, &message) != 0)
        message = NULL; /* no UTF-8: wslay should have stopped it */
    if (!message || bv_http_stream_send(stream, message, BV_BYTES_NONE) != 0)
        bv_http_stream_close(stream, 1011, "cannot echo");
    bv_http_message_free(&message);
}

static void on_closed(void *argument, struct bv_http_stream *stream, int close_code)
{
    struct echo *echo = argument;
    (void)stream;
    echo->streams_closed++;
    echo->last_close = close_code;
}

static int open_websocket(struct bv_http_request *request,
                          struct echo *echo,
                          const struct bv_http_stream_config *config,
                          struct bv_error *error)
{
    const struct bv_http_stream_events events = {on_message, on_closed, echo};
    struct bv_http_stream *stream = NULL;
    BV_TRY(bv_http_websocket_start(request, config, &events, &stream, error));
    echo->handled++;
    echo->streams_opened++;
    return 0;
}

static int get_ws(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const struct bv_http_stream_config config = {.message_bytes_max = WS_MESSAGE_BYTES_MAX,
                                                        .queue_bytes_max = 64u << 20,
                                                        .subprotocol = "echo.v1"};
    return open_websocket(request, context, &config, error);
}

static int get_ws_limited(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const struct bv_http_stream_config config = {.message_bytes_max = 1024};
    return open_websocket(request, context, &config, error);
}

static int get_ws_alive(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const struct bv_http_stream_config config = {.heartbeat_ms = 1000};
    return open_websocket(request, context, &config, error);
}

static int get_sse(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const struct bv_http_stream_config config = {.heartbeat_ms = 1000, .retry_ms = 500};
    struct echo *echo = context;
    const struct bv_http_stream_events events = {NULL, on_closed, echo};
    struct bv_http_stream *stream = NULL;
    struct bv_http_message *message = NULL;
    BV_TRY(bv_http_sse_start(request, &config, &events, &stream, error));
    echo->handled++;
    echo->streams_opened++;
    if (bv_http_message_new(BV_BYTES("1"), BV_BYTES("hello"), BV_BYTES("one\ntwo"), &message) !=
            0 ||
        bv_http_stream_send(stream, message, BV_BYTES_NONE) != 0)
        bv_http_stream_close(stream, 1011, "no memory");
    bv_http_message_free(&message);
    return 0;
}

/* ---- what the tests read
 * -------------------------------------------------------------------------------------------------------
 */

static int get_stats(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct echo *echo = context;
    struct bv_buf buf = {.max = 4096};
    struct bv_json_writer w = bv_json_writer(&buf);
    (void)error;
    bv_jw_object(&w);
    bv_jw_kv_int(&w, "handled", echo->handled);
    bv_jw_kv_int(&w, "smuggled", echo->smuggled);
    bv_jw_kv_int(&w, "connections", echo->server->connection_count);
    bv_jw_kv_int(&w, "streamsOpened", echo->streams_opened);
    bv_jw_kv_int(&w, "streamsClosed", echo->streams_closed);
    bv_jw_kv_int(&w, "lastClose", echo->last_close);
    bv_jw_end(&w);
    return bv_http_reply_json(request, 200, &buf);
}

static int get_metrics(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct echo *echo = context;
    struct bv_buf text = {.max = 1u << 20};
    (void)error;
    int rc = bv_metrics_print(echo->metrics, &text);
    if (rc == 0)
        rc = bv_http_reply(request,
                           &(struct bv_http_response){.status = 200,
                                                      .content_type = "text/plain; version=0.0.4",
                                                      .body = bv_buf_view(&text)});
    bv_buf_release(&text);
    return rc;
}

#define ECHO_BODY_BYTES_MAX (1u << 20)
static const struct bv_http_route routes[] = {
    {.method = BV_GET,
     .path = "/echo",
     .handler = post_echo,
     .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_POST,
     .path = "/echo",
     .handler = post_echo,
     .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_PUT,
     .path = "/echo",
     .handler = post_echo,
     .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_PATCH,
     .path = "/echo",
     .handler = post_echo,
     .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_DELETE,
     .path = "/echo",
     .handler = post_echo,
     .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_GET, .path = "/echo/{tail}", .handler = post_echo},
    {.method = BV_POST, .path = "/raw", .handler = post_raw, .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_POST,
     .path = "/small",
     .handler = post_echo,
     .body_bytes_max = 16,
     .consumes = "application/json"},
    {.method = BV_GET, .path = "/smuggled", .handler = get_smuggled},
    {.method = BV_POST,
     .path = "/smuggled",
     .handler = get_smuggled,
     .body_bytes_max = ECHO_BODY_BYTES_MAX},
    {.method = BV_GET, .path = "/later", .handler = get_later},
    {.method = BV_GET, .path = "/big", .handler = get_big},
    {.method = BV_GET, .path = "/ws", .handler = get_ws},
    {.method = BV_GET, .path = "/ws/limited", .handler = get_ws_limited},
    {.method = BV_GET, .path = "/ws/alive", .handler = get_ws_alive},
    {.method = BV_GET, .path = "/sse", .handler = get_sse},
    {.method = BV_GET, .path = "/stats", .handler = get_stats},
    {.method = BV_GET, .path = "/metrics", .handler = get_metrics},
};

/* ---- main
 * ----------------------------------------------------------------------------------------------------------------------
 */

#define AT(field) offsetof(struct echo_config, field)
static const struct bv_option options[] = {
    {"port",               AT(http.port), BV_OPT_INT, "0",     0, 65535,   BV_PUBLIC, "",      "0: any free one"},
    {"read-bytes",
     AT(read_bytes),
     BV_OPT_INT,                                      "65536",
     1,                                                           65536,
     BV_PUBLIC,                                                                       "bytes",
     "input is read in such bits"                                                                               },
    {"send-buffer",
     AT(send_buffer),
     BV_OPT_SIZE,                                     "0",
     0,                                                           1 << 24,
     BV_PUBLIC,                                                                       "bytes",
     "of each socket; 0: the kernel's choice"                                                                   },
    {"connections-max",
     AT(http.connections_max),
     BV_OPT_INT,                                      "10000",
     1,                                                           100000,
     BV_PUBLIC,                                                                       "",
     "further ones get 503"                                                                                     },
    {"header-timeout-ms",
     AT(http.header_timeout_ms),
     BV_OPT_DURATION,                                 "10s",
     10,                                                          600000,
     BV_PUBLIC,                                                                       "",
     "whole header"                                                                                             },
    {"body-timeout-ms",
     AT(http.body_timeout_ms),
     BV_OPT_DURATION,                                 "30s",
     10,                                                          600000,
     BV_PUBLIC,                                                                       "",
     "whole body"                                                                                               },
    {"idle-timeout-ms",
     AT(http.idle_timeout_ms),
     BV_OPT_DURATION,                                 "60s",
     10,                                                          600000,
     BV_PUBLIC,                                                                       "",
     "keep-alive"                                                                                               },
    {"write-timeout-ms",
     AT(http.write_timeout_ms),
     BV_OPT_DURATION,                                 "20s",
     10,                                                          600000,
     BV_PUBLIC,                                                                       "",
     "output without progress"                                                                                  },
    {"request-timeout-ms",
     AT(http.request_timeout_ms),
     BV_OPT_DURATION,                                 "10s",
     10,                                                          600000,
     BV_PUBLIC,                                                                       "",
     "handler"                                                                                                  },
};

static void on_term(void *argument, int number)
{
    (void)number;
    struct echo *echo = argument;
    bv_loop_stop(echo->loop);
}

static int serve(struct echo *echo, const struct echo_config *config, struct bv_error *error)
{
    static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    BV_TRY(bv_loop_open(&env, &echo->loop));
    BV_TRY(bv_metrics_open(1000, &echo->metrics));
    BV_TRY(bv_metrics_process(echo->metrics));
    BV_TRY(bv_signal_open(echo->loop, SIGTERM, on_term, echo, &echo->term));
    const struct bv_http_deps deps = {.loop = echo->loop, .metrics = echo->metrics};
    BV_TRY(bv_http_server_open(&config->http, &deps, &echo->server));
    echo->server->read_bytes = (size_t)config->read_bytes;
    BV_TRY(bv_http_server_routes(echo->server, routes, BV_COUNT(routes), echo));
    BV_TRY(bv_http_server_start(echo->server, error));
    const int send_buffer = (int)config->send_buffer;
    uv_os_fd_t fd = -1;
    if (send_buffer > 0 && uv_fileno((uv_handle_t *)&echo->server->listener, &fd) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    printf("port %d\n", bv_http_server_port(echo->server));
    fflush(stdout);
    return bv_loop_run(echo->loop);
}

int main(int argc, char **argv)
{
    struct echo_config config = {.http = bv_http_config_default};
    const struct bv_option_set set = {options, BV_COUNT(options), &config};
    struct bv_error error = {0};
    struct echo echo = {0};
    int rc = bv_config_read(&set, 1, argc, argv, &error);
    if (rc == 0)
        rc = serve(&echo, &config, &error);
    if (rc != 0)
        fprintf(stderr, "http_echo: %s\n", error.text[0] ? error.text : "cannot start");
    bv_http_server_close(&echo.server);
    bv_signal_close(&echo.term);
    bv_loop_close(&echo.loop);
    bv_metrics_close(&echo.metrics);
    return rc == 0 ? 0 : 2;
}
