#include "http_internal.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096        /* a crowd must not make others wait for their SYN to be sent again */
#define ACCEPTS_PER_TURN 64 /* nor those that are in already for a crowd at the door */
#define ACCEPT_PAUSE_MS 50  /* after a failure, which may last: descriptors have run out */
#define OUT_BYTES_MAX (4u << 20) /* head and copied body of one reply */
#define OUT_KEEP_BYTES (256u << 10)

const struct bv_http_config bv_http_config_default = {
    .host = "127.0.0.1",
    .port = 0,
    .connections_max = 10000,
    .header_bytes_max = 16384,
    .arena_bytes_max = 4 << 20,
    .header_timeout_ms = 10000,
    .body_timeout_ms = 30000,
    .idle_timeout_ms = 60000,
    .write_timeout_ms = 20000,
    .request_timeout_ms = 10000,
    .output_bytes_max = 1 << 20,
    .gzip_bytes_min = 1400,
};

static const struct bv_metric metric_connections = {
    .name = "bv_http_connections", .type = BV_GAUGE, .help = "Open connections.", .labels = ""};
static const struct bv_metric metric_rejected = {.name = "bv_http_connections_rejected_total",
                                                 .type = BV_COUNTER,
                                                 .help = "Connections closed at once: too many.",
                                                 .labels = ""};
static const struct bv_metric metric_late = {.name = "bv_http_late_replies_total",
                                             .type = BV_COUNTER,
                                             .help = "Replies to requests that were gone.",
                                             .labels = ""};
static const struct bv_metric metric_timeouts = {
    .name = "bv_http_timeouts_total",
    .type = BV_COUNTER,
    .help = "Requests or writes that passed their deadline.",
    .labels = ""};
static const struct bv_metric metric_streams = {
    .name = "bv_http_streams", .type = BV_GAUGE, .help = "Open streams.", .labels = "kind"};
static const struct bv_metric metric_dropped = {.name = "bv_http_stream_messages_dropped_total",
                                                .type = BV_COUNTER,
                                                .help = "Messages that slow clients did not get.",
                                                .labels = ""};
static const struct bv_metric metric_slow = {.name = "bv_http_stream_slow_closed_total",
                                             .type = BV_COUNTER,
                                             .help = "Streams closed because their queue was full.",
                                             .labels = ""};

/* ---- small parts
 * ---------------------------------------------------------------------------------------------------------------
 */

void http_server_date(struct bv_http_server *server)
{
    const int64_t now_ms = http_now_ms(server);
    if (now_ms < server->date_until_ms)
        return;
    const int64_t wall_ms = bv_wall_us(server->env) / 1000;
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    server->date_until_ms = now_ms + 1000 - wall_ms % 1000;
    if (gmtime_r(&seconds, &parts))
        (void)strftime(
            server->date, sizeof server->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
}

static void on_flush(uv_timer_t *timer)
{
    struct bv_http_server *server = timer->data;
    server->flush_armed = false;
    bv_log_flush(server->deps.log);
}

void http_server_log_written(struct bv_http_server *server)
{
    if (server->flush_armed || server->closed)
        return;
    server->flush_armed = uv_timer_start(&server->flusher, on_flush, HTTP_LOG_FLUSH_MS, 0) == 0;
}

static void on_due(void *argument, struct http_timer *timer)
{
    (void)argument;
    http_connection_expired(
        (struct http_connection *)((char *)timer - offsetof(struct http_connection, timer)));
}

static void drain_cut(struct bv_http_server *server);

static void on_tick(uv_timer_t *timer)
{
    struct bv_http_server *server = timer->data;
    const int64_t now_ms = http_now_ms(server);
    http_wheel_tick(&server->wheel, now_ms, on_due, server);
    if (server->draining && server->connection_count > 0 && now_ms >= server->drain_at_ms)
        drain_cut(server);
    if (server->wheel.count > 0 || server->closed)
        return;
    uv_timer_stop(&server->ticker);
    server->ticking = false;
}

void http_server_tick_start(struct bv_http_server *server)
{
    server->wheel.ticked_ms =
        http_now_ms(server) / HTTP_TICK_MS * HTTP_TICK_MS; /* nothing is in the wheel */
    server->ticking = uv_timer_start(&server->ticker, on_tick, HTTP_TICK_MS, HTTP_TICK_MS) == 0;
}

void http_server_arm(struct bv_http_server *server)
{
    bv_idle_arm(server->idle);
}

void http_server_finish_later(struct bv_http_request *request)
{
    struct bv_http_server *server = request->server;
    request->finishing = true;
    request->next = server->finished;
    server->finished = request;
    http_server_arm(server);
}

static void finish_replied(struct bv_http_server *server)
{
    while (server->finished) {
        struct bv_http_request *request = server->finished;
        server->finished = request->next;
        request->next = NULL;
        request->finishing = false;
        if (request->connection)
            http_connection_finish(request->connection);
        else
            http_request_release(request);
    }
}

static void on_idle(void *argument)
{
    struct bv_http_server *server = argument;
    finish_replied(server);
    http_stream_flush_all(server);
    if (server->out.capacity > OUT_KEEP_BYTES)
        bv_buf_release(&server->out);
}

/* ---- accepting
 * -----------------------------------------------------------------------------------------------------------------
 */

static void on_accept_again(void *argument)
{
    struct bv_http_server *server = argument;
    if (server->listener)
        bv_poll_set(server->listener, BV_POLL_READ);
}

/* Who waits at the door stays there meanwhile: asking again at once would only burn the processor.
 */
static void accept_failed(struct bv_http_server *server, int code)
{
    if (!server->accept_failing)
        bv_log(server->deps.log,
               BV_WARN,
               "http.accept_failed",
               NULL,
               BV_F_TEXT("why", strerror(code)));
    server->accept_failing = true;
    bv_poll_set(server->listener, BV_POLL_NONE);
    bv_timer_set(server->accept_again, ACCEPT_PAUSE_MS, 0);
}

static void accept_waiting(struct bv_http_server *server, int max)
{
    for (int i = 0; i < max && server->listener; i++) {
        const int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            server->accept_failing = false;
            http_connection_accept(server, fd);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            accept_failed(server, errno);
            return;
        }
    }
}

static void on_connection(void *argument, int events)
{
    (void)events;
    accept_waiting(argument, ACCEPTS_PER_TURN);
}

/* ---- open
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void gauge_open(struct bv_http_server *server)
{
    struct bv_metrics *metrics = server->deps.metrics;
    static const char *const kinds[] = {"sse", "websocket"};
    if (!metrics)
        return;
    server->connections_gauge = bv_metrics_series(metrics, &metric_connections, NULL, 0);
    server->rejected = bv_metrics_series(metrics, &metric_rejected, NULL, 0);
    server->late = bv_metrics_series(metrics, &metric_late, NULL, 0);
    server->timeouts = bv_metrics_series(metrics, &metric_timeouts, NULL, 0);
    for (size_t i = 0; i < BV_COUNT(kinds); i++)
        server->streams[i] = bv_metrics_series(metrics, &metric_streams, &kinds[i], 1);
    server->stream_dropped = bv_metrics_series(metrics, &metric_dropped, NULL, 0);
    server->stream_slow = bv_metrics_series(metrics, &metric_slow, NULL, 0);
}

static int handles_open(struct bv_http_server *server)
{
    server->ticker.data = server->flusher.data = server;
    if (uv_timer_init(server->uv, &server->ticker) != 0)
        return BV_E_NOMEM;
    server->handles++;
    if (uv_timer_init(server->uv, &server->flusher) != 0)
        return BV_E_NOMEM;
    server->handles++;
    return 0;
}

int bv_http_server_open(const struct bv_http_config *config,
                        const struct bv_http_deps *deps,
                        struct bv_http_server **ret_server)
{
    struct bv_http_server *server = calloc(1, sizeof *server);
    int rc = BV_E_NOMEM;
    if (!server)
        return BV_E_NOMEM;
    server->config = *config;
    server->deps = *deps;
    server->env = bv_loop_env(deps->loop);
    server->uv = bv_loop_uv(deps->loop);
    server->out.max = OUT_BYTES_MAX;
    server->listen_fd = -1;
    http_wheel_init(&server->wheel, http_now_ms(server));
    server->read_bytes = HTTP_READ_BYTES;
    server->read_buffer = malloc(HTTP_READ_BYTES);
    server->sse_heartbeat = http_message_raw(BV_BYTES(": heartbeat\n\n"));
    server->websocket_ping = http_message_raw(BV_BYTES("\x89\x00"));
    if (!server->read_buffer || !server->sse_heartbeat || !server->websocket_ping)
        goto fail;
    if ((rc = http_router_open(&server->router)) != 0 ||
        (rc = bv_idle_open(deps->loop, on_idle, server, &server->idle)) != 0 ||
        (rc = bv_timer_open(deps->loop, on_accept_again, server, &server->accept_again)) != 0)
        goto fail;
    if ((rc = handles_open(server)) != 0)
        goto fail;
    gauge_open(server);
    http_stats_open(server, &server->unmatched, "unmatched");
    *ret_server = server;
    return 0;
fail:
    bv_http_server_close(&server);
    return rc;
}

int bv_http_server_routes(struct bv_http_server *server,
                          const struct bv_http_route *rows,
                          size_t count,
                          void *context)
{
    for (size_t i = 0; i < count; i++) {
        struct http_route *route = NULL;
        BV_TRY(http_router_add(&server->router, &rows[i], context, &route));
        http_stats_open(server, &route->stats, rows[i].path);
    }
    return 0;
}

void bv_http_server_authenticator(struct bv_http_server *server,
                                  bv_http_authenticate *authenticate,
                                  void *context)
{
    server->authenticate = authenticate;
    server->authenticate_context = context;
}

static int address_of(const struct bv_http_config *config, struct sockaddr_storage *address)
{
    const int port = (int)config->port;
    if (config->port < 0 || config->port > 65535)
        return -1;
    if (uv_ip4_addr(config->host, port, (struct sockaddr_in *)address) == 0)
        return 0;
    return uv_ip6_addr(config->host, port, (struct sockaddr_in6 *)address);
}

/* Writing to a socket whose peer is gone is an error to handle and no reason to die. */
static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

static int at_least_1(int64_t seconds)
{
    return seconds < 1 ? 1 : seconds > 30000 ? 30000 : (int)seconds;
}

/* A peer that vanished without a word is noticed by the kernel, also where nothing is owed to it
 * (streams without heartbeats) or little enough to fit the socket. Accepted sockets inherit these.
 */
static void notice_the_vanished(struct bv_http_server *server)
{
    const int fd = server->listen_fd;
    const int64_t idle_s = server->config.idle_timeout_ms / 1000;
    const struct {
        int level;
        int name;
        int value;
    } rows[] = {
        {SOL_SOCKET,  SO_KEEPALIVE,     1                                   },
        {IPPROTO_TCP, TCP_KEEPIDLE,     at_least_1(idle_s)                  },
        {IPPROTO_TCP, TCP_KEEPINTVL,    at_least_1(idle_s / 4)              },
        {IPPROTO_TCP, TCP_KEEPCNT,      3                                   },
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)server->config.write_timeout_ms},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) /* without them it only takes longer */
        (void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof rows[i].value);
}

static bool listen_at(struct bv_http_server *server, const struct sockaddr_storage *address)
{
    const int on = 1;
    const int off = 0;
    const socklen_t size =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    server->listen_fd =
        socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (server->listen_fd < 0)
        return false;
    if (address->ss_family == AF_INET6) /* "::" takes IPv4 as well, whatever the system's default */
        (void)setsockopt(server->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(server->listen_fd, (const struct sockaddr *)address, size) != 0)
        return false;
    notice_the_vanished(server);
    return listen(server->listen_fd, BACKLOG) == 0;
}

static void stop_listening(struct bv_http_server *server)
{
    bv_timer_clear(server->accept_again);
    bv_poll_close(&server->listener);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    server->listen_fd = -1;
}

int bv_http_server_start(struct bv_http_server *server, struct bv_error *error)
{
    const struct bv_http_config *config = &server->config;
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    ignore_sigpipe();
    if (address_of(config, &address) != 0)
        return bv_fail(error,
                       BV_E_INVALID,
                       "%s:%lld is no IP address and port.",
                       config->host,
                       (long long)config->port);
    if (!listen_at(server, &address)) {
        const int code = errno;
        stop_listening(server);
        return bv_fail(error,
                       code == EADDRINUSE ? BV_E_EXISTS : BV_E_IO,
                       "Cannot listen on %s:%lld: %s.",
                       config->host,
                       (long long)config->port,
                       strerror(code));
    }
    if (getsockname(server->listen_fd, (struct sockaddr *)&address, &size) != 0)
        return bv_fail(error, BV_E_IO, "Cannot read the port of the listener.");
    server->port =
        ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                            : ((struct sockaddr_in *)&address)->sin_port);
    const int rc = bv_poll_open(
        server->deps.loop, server->listen_fd, on_connection, server, &server->listener);
    if (rc != 0)
        return bv_fail(error, rc, "Cannot watch the listener.");
    bv_poll_set(server->listener, BV_POLL_READ);
    return 0;
}

int bv_http_server_port(const struct bv_http_server *server)
{
    return server->port;
}

struct bv_http_token bv_http_defer(struct bv_http_request *request)
{
    request->deferred = true;
    return (struct bv_http_token){request->server,
                                  (uint64_t)request->generation << 32 | request->slot};
}

struct bv_http_request *bv_http_find(struct bv_http_token token)
{
    struct bv_http_server *server = token.server;
    const uint32_t slot = (uint32_t)token.id;
    struct bv_http_request *request =
        server && slot < server->slot_count ? server->slots[slot] : NULL;
    if (request && request->generation == (uint32_t)(token.id >> 32) && request->connection &&
        !request->replied)
        return request;
    if (server)
        http_count(server->late);
    return NULL;
}

/* ---- end
 * -----------------------------------------------------------------------------------------------------------------------
 */

static void server_free(struct bv_http_server *server)
{
    for (size_t i = 0; i < server->slot_count; i++) {
        bv_arena_close(&server->slots[i]->arena);
        bv_buf_release(&server->slots[i]->head);
        bv_buf_release(&server->slots[i]->body);
        free(server->slots[i]);
    }
    free(server->slots);
    http_router_release(&server->router);
    bv_http_message_free(&server->sse_heartbeat);
    bv_http_message_free(&server->websocket_ping);
    bv_buf_release(&server->out);
    http_gzip_close(&server->gzip);
    free(server->read_buffer);
    free(server);
}

void http_server_unref(struct bv_http_server *server)
{
    if (server->closed && server->handles == 0 && atomic_load(&server->posts) == 0)
        server_free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct bv_http_server *server = handle->data;
    server->handles--;
    http_server_unref(server);
}

static void check_drained(struct bv_http_server *server)
{
    void (*drained)(void *argument) = server->drained;
    if (!server->draining || server->closed || server->connection_count > 0 || !drained)
        return;
    server->drained = NULL;
    drained(server->drained_argument);
}

void http_server_connection_gone(struct bv_http_server *server)
{
    server->handles--;
    server->connection_count--;
    if (server->closed) {
        http_server_unref(server);
        return;
    }
    if (server->connections_gauge)
        bv_gauge_set(server->connections_gauge, (double)server->connection_count);
    check_drained(server);
}

static void each_connection(struct bv_http_server *server,
                            void (*act)(struct http_connection *connection))
{
    struct http_connection *next = NULL;
    for (struct http_connection *connection = server->connections; connection; connection = next) {
        next = connection->next;
        act(connection);
    }
}

static void drain_cut(struct bv_http_server *server)
{
    each_connection(server, http_connection_close);
}

static void on_drain_check(void *argument)
{
    struct bv_http_server *server = argument;
    atomic_fetch_sub(&server->posts, 1);
    if (server->closed)
        http_server_unref(server);
    else
        check_drained(server);
}

void bv_http_server_drain(struct bv_http_server *server,
                          int64_t deadline_ms,
                          void (*drained)(void *argument),
                          void *argument)
{
    accept_waiting(server, BACKLOG); /* who has been let in by the kernel is answered */
    server->draining = true;
    server->drained = drained;
    server->drained_argument = argument;
    server->drain_at_ms = deadline_ms;
    stop_listening(server);
    each_connection(server, http_connection_drain);
    if (!server->ticking && server->connection_count > 0)
        http_server_tick_start(server);
    /* With nothing open, drained is still called from the loop and not from here. */
    atomic_fetch_add(&server->posts, 1);
    if (bv_loop_post(server->deps.loop, on_drain_check, server) != 0) {
        atomic_fetch_sub(&server->posts, 1);
        check_drained(server);
    }
}

void bv_http_server_close(struct bv_http_server **server_at)
{
    struct bv_http_server *server = *server_at;
    if (!server)
        return;
    *server_at = NULL;
    finish_replied(server);
    each_connection(server, http_connection_close);
    finish_replied(server);
    server->closed = true;
    if (server->deps.log)
        bv_log_flush(server->deps.log);
    bv_idle_close(&server->idle);
    if (server->accept_again)
        stop_listening(server);
    bv_timer_close(&server->accept_again);
    if (server->handles == 0) { /* half built */
        server_free(server);
        return;
    }
    if (server->ticker.loop)
        uv_close((uv_handle_t *)&server->ticker, on_handle_closed);
    if (server->flusher.loop)
        uv_close((uv_handle_t *)&server->flusher, on_handle_closed);
}
