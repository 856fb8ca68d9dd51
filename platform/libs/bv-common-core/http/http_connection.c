#include "http_internal.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Output that the socket did not take at once. */
struct rest {
    uv_write_t write;
    struct http_connection *connection;
    size_t size;
    char data[];
};

/* ---- deadlines
 * -----------------------------------------------------------------------------------------------------------------
 */

void http_connection_due(struct http_connection *connection, int64_t delay_ms)
{
    struct bv_http_server *server = connection->server;
    if (connection->phase == PHASE_CLOSING)
        return;
    if (!server->ticking)
        http_server_tick_start(server);
    http_wheel_set(&server->wheel, &connection->timer, http_now_ms(server) + delay_ms);
}

/* ---- end
 * -----------------------------------------------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct http_connection *connection = handle->data;
    struct bv_http_server *server = connection->server;
    free(connection->pending);
    free(connection);
    http_server_connection_gone(server);
}

static void request_abandon(struct http_connection *connection)
{
    struct bv_http_request *request = connection->request;
    connection->request = NULL;
    if (!request)
        return;
    request->connection = NULL;
    if (!request->replied) {
        request->replied = true;
        http_account(request, 499, 0);
    }
    if (!request->in_handler && !request->finishing)
        http_request_release(request);
}

void http_connection_close(struct http_connection *connection)
{
    struct bv_http_server *server = connection->server;
    if (connection->phase == PHASE_CLOSING)
        return;
    connection->phase = PHASE_CLOSING;
    http_wheel_clear(&server->wheel, &connection->timer);
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next)
        connection->next->prev = connection->prev;
    if (connection->stream)
        http_stream_end(connection->stream, 1006);
    connection->stream = NULL;
    request_abandon(connection);
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

void http_connection_lost(struct http_connection *connection, int status)
{
    if (status == UV_ETIMEDOUT && connection->phase != PHASE_CLOSING)
        http_count(connection->server->timeouts);
    http_connection_close(connection);
}

void http_connection_linger(struct http_connection *connection)
{
    const bool gone = connection->broken || connection->eof;
    uv_os_fd_t fd = -1;
    if (gone || uv_fileno((uv_handle_t *)&connection->tcp, &fd) != 0 ||
        shutdown(fd, SHUT_WR) != 0) {
        http_connection_close(connection);
        return;
    }
    connection->phase = PHASE_LINGER;
    free(connection->pending);
    connection->pending = NULL;
    connection->pending_size = 0;
    http_connection_due(connection, HTTP_LINGER_MS);
    http_connection_read_start(connection);
}

/* ---- output
 * --------------------------------------------------------------------------------------------------------------------
 */

static void resume(struct http_connection *connection);

static void on_written(uv_write_t *write, int status)
{
    struct rest *rest = (struct rest *)write;
    struct http_connection *connection = rest->connection;
    free(rest);
    connection->writing--;
    if (connection->phase == PHASE_CLOSING)
        return;
    if (status != 0) {
        http_connection_lost(connection, status);
        return;
    }
    if (connection->phase == PHASE_WRITING)
        resume(connection);
}

static void queue_rest(struct http_connection *connection,
                       struct bv_bytes head,
                       struct bv_bytes body,
                       size_t sent)
{
    struct rest *rest = malloc(sizeof *rest + head.size + body.size - sent);
    if (!rest) {
        connection->broken = true;
        return;
    }
    const size_t from_head = sent < head.size ? sent : head.size;
    const size_t from_body = sent - from_head;
    rest->connection = connection;
    rest->size = head.size + body.size - sent;
    memcpy(rest->data, head.data + from_head, head.size - from_head);
    if (body.size > from_body)
        memcpy(rest->data + (head.size - from_head), body.data + from_body, body.size - from_body);
    const uv_buf_t buf = uv_buf_init(rest->data, (unsigned)rest->size);
    if (uv_write(&rest->write, (uv_stream_t *)&connection->tcp, &buf, 1, on_written) != 0) {
        free(rest);
        connection->broken = true;
        return;
    }
    connection->writing++;
    connection->queued_seen = rest->size;
}

void http_connection_write(struct http_connection *connection,
                           struct bv_bytes head,
                           struct bv_bytes body)
{
    const uv_buf_t bufs[2] = {
        uv_buf_init((char *)(uintptr_t)head.data, (unsigned)head.size),
        uv_buf_init((char *)(uintptr_t)body.data, (unsigned)body.size),
    };
    if (connection->broken || connection->phase == PHASE_CLOSING)
        return;
    int sent = uv_try_write((uv_stream_t *)&connection->tcp, bufs, body.size ? 2 : 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        connection->broken = true;
    else if ((size_t)sent < head.size + body.size)
        queue_rest(connection, head, body, (size_t)sent);
}

/* ---- requests
 * ------------------------------------------------------------------------------------------------------------------
 */

static void answer_options(struct bv_http_request *request)
{
    const struct bv_http_field allow = {"Allow", http_node_allow(request->node, request->arena)};
    if (http_reply(request,
                   &(struct bv_http_response){.status = 204, .fields = &allow, .field_count = 1}) !=
        0)
        request->replied = request->connection->broken = true;
}

/* Refuses or runs the handler. */
static void answer(struct bv_http_request *request)
{
    struct bv_error error = {0};
    if (request->refusal.status != 0) {
        if (http_reply_refusal(request) != 0)
            request->replied = request->connection->broken = true;
        return;
    }
    const struct bv_http_route *row = &request->route->row;
    const int rc = row->handler(request, request->route->context, &error);
    if (request->replied || (rc == 0 && request->deferred))
        return;
    if (rc == 0)
        (void)bv_fail(
            &error, BV_E_INTERNAL, "The handler of %s neither replied nor deferred.", row->path);
    http_fail_or_cut(request, rc < 0 ? rc : BV_E_INTERNAL, &error);
}

static void handle(struct bv_http_request *request)
{
    http_request_trace(request); /* where the fields did not even end */
    if (request->refusal.status == 0 && !request->route) {
        answer_options(request);
        return;
    }
    if (request->refusal.status == 0) {
        const int64_t timeout_ms = request->route->row.timeout_ms > 0
                                       ? request->route->row.timeout_ms
                                       : request->server->config.request_timeout_ms;
        request->deadline_ms = http_now_ms(request->server) + timeout_ms;
        if (request->auth_pending)
            http_request_authenticate(request);
        request->auth_waiting = request->deferred = request->auth_pending;
    }
    if (!request->auth_waiting)
        answer(request);
}

static void authenticate_again(struct bv_http_request *request)
{
    http_request_authenticate(request);
    if (request->auth_pending)
        return;
    request->auth_waiting = request->deferred = false;
    request->in_handler = true;
    answer(request);
    request->in_handler = false;
    if (!request->connection) /* closed meanwhile */
        http_request_release(request);
    else if (request->replied)
        http_server_finish_later(request);
}

void bv_http_authenticate_again(struct bv_http_server *server)
{
    for (size_t i = 0; i < server->slot_count; i++) {
        struct bv_http_request *request = server->slots[i];
        if (request->auth_waiting && request->connection && !request->replied)
            authenticate_again(request);
    }
}

/* A whole request is there, or one that is refused before its end. */
static void dispatch(struct http_connection *connection)
{
    struct bv_http_request *request = connection->request;
    connection->phase = PHASE_HANDLING;
    request->in_handler = true;
    handle(request);
    request->in_handler = false;
    if (!request->connection) { /* closed meanwhile */
        http_request_release(request);
    } else if (request->replied) {
        http_connection_finish(connection);
    } else {
        const int64_t left_ms = request->deadline_ms - http_now_ms(connection->server);
        http_connection_due(connection, left_ms > 0 ? left_ms : 0);
    }
}

void http_connection_finish(struct http_connection *connection)
{
    struct bv_http_request *request = connection->request;
    connection->request = NULL;
    request->connection = NULL;
    http_request_release(request);
    if (connection->broken) {
        http_connection_close(connection);
        return;
    }
    if (connection->stream) {
        connection->phase = PHASE_STREAM;
        resume(connection);
        return;
    }
    connection->phase = PHASE_WRITING;
    if (connection->writing)
        http_connection_due(connection, connection->server->config.write_timeout_ms);
    else
        resume(connection);
}

/* The reply has left the process: next request, or the end. */
static void resume(struct http_connection *connection)
{
    if (connection->phase == PHASE_WRITING) {
        if (connection->close_after || connection->server->draining) {
            http_connection_linger(connection);
            return;
        }
        connection->phase = PHASE_IDLE;
        http_connection_due(connection, connection->server->config.idle_timeout_ms);
    }
    if (connection->feeding) /* the loop in feed goes on */
        return;
    if (connection->pending_size > 0) {
        char *pending = connection->pending;
        const size_t size = connection->pending_size;
        connection->pending = NULL;
        connection->pending_size = 0;
        http_connection_feed(connection, pending, size);
        free(pending);
    }
    if (connection->phase == PHASE_CLOSING || connection->pending_size > 0)
        return;
    if (!connection->eof)
        http_connection_read_start(connection);
    else if (connection->phase != PHASE_HANDLING && connection->phase != PHASE_WRITING)
        http_connection_close(connection);
}

/* ---- input
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void stash(struct http_connection *connection, const char *data, size_t size)
{
    char *grown = realloc(connection->pending, connection->pending_size + size);
    if (!grown) {
        http_connection_close(connection);
        return;
    }
    memcpy(grown + connection->pending_size, data, size);
    connection->pending = grown;
    connection->pending_size += size;
    if (connection->reading)
        uv_read_stop((uv_stream_t *)&connection->tcp);
    connection->reading = false;
}

static void refused(struct http_connection *connection, int parser_errno)
{
    if (!connection->request)
        http_request_begin(connection);
    if (!connection->request) { /* nothing to answer with: no memory */
        http_connection_close(connection);
        return;
    }
    http_parse_refuse(connection, parser_errno);
    connection->request->refusal.broken = true;
    dispatch(connection);
}

static void feed(struct http_connection *connection, const char *data, size_t size)
{
    while (size > 0) {
        switch (connection->phase) {
        case PHASE_CLOSING:
        case PHASE_LINGER:
            return;
        case PHASE_STREAM:
            http_stream_input(connection->stream, (struct bv_bytes){data, size});
            return;
        case PHASE_HANDLING:
        case PHASE_WRITING:
            stash(connection, data, size);
            return;
        case PHASE_IDLE:
        case PHASE_HEAD:
        case PHASE_BODY:
            break;
        }
        const llhttp_errno_t rc = llhttp_execute(&connection->parser, data, size);
        if (rc == HPE_OK)
            return;
        if (rc != HPE_PAUSED) {
            refused(connection, (int)rc);
            return;
        }
        const size_t used = (size_t)(llhttp_get_error_pos(&connection->parser) - data);
        data += used;
        size -= used;
        llhttp_resume(&connection->parser);
        dispatch(connection);
    }
}

void http_connection_feed(struct http_connection *connection, const char *data, size_t size)
{
    connection->feeding = true;
    feed(connection, data, size);
    connection->feeding = false;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_connection *connection = handle->data;
    (void)suggested;
    *buf = uv_buf_init(connection->server->read_buffer, (unsigned)connection->server->read_bytes);
}

static void on_eof(struct http_connection *connection)
{
    connection->eof = true;
    connection->reading = false;
    uv_read_stop((uv_stream_t *)&connection->tcp);
    /* A half-closed peer still gets the reply that is owed. */
    if (connection->phase != PHASE_HANDLING && connection->phase != PHASE_WRITING)
        http_connection_close(connection);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct http_connection *connection = stream->data;
    if (size > 0) {
        http_connection_feed(connection, buf->base, (size_t)size);
    } else if (size == UV_EOF) {
        on_eof(connection);
    } else if (size < 0) {
        http_connection_lost(connection, (int)size);
    }
}

void http_connection_read_start(struct http_connection *connection)
{
    if (connection->reading || connection->phase == PHASE_CLOSING)
        return;
    if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) != 0)
        http_connection_close(connection);
    else
        connection->reading = true;
}

/* ---- timeouts
 * ------------------------------------------------------------------------------------------------------------------
 */

static void expired_reading(struct http_connection *connection)
{
    struct bv_http_request *request = connection->request;
    http_count(connection->server->timeouts);
    http_request_refuse(
        request, 408, "request-timeout", "Request timeout", "The request did not arrive in time.");
    request->refusal.broken = true;
    dispatch(connection);
}

static void expired_handling(struct http_connection *connection)
{
    struct bv_error error = {0};
    struct bv_http_request *request = connection->request;
    if (request->replied)
        return;
    http_count(connection->server->timeouts);
    (void)bv_fail(&error, BV_E_TIMEOUT, "The request was not answered within its time.");
    http_fail_or_cut(request, BV_E_TIMEOUT, &error);
}

static void expired_writing(struct http_connection *connection)
{
    const size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
    if (queued >= connection->queued_seen) {
        http_count(connection->server->timeouts);
        http_connection_close(connection);
        return;
    }
    connection->queued_seen = queued;
    http_connection_due(connection, connection->server->config.write_timeout_ms);
}

void http_connection_expired(struct http_connection *connection)
{
    switch (connection->phase) {
    case PHASE_HEAD:
    case PHASE_BODY:
        expired_reading(connection);
        break;
    case PHASE_HANDLING:
        expired_handling(connection);
        break;
    case PHASE_WRITING:
        expired_writing(connection);
        break;
    case PHASE_STREAM:
        http_stream_tick(connection->stream);
        break;
    case PHASE_IDLE:
    case PHASE_LINGER:
    case PHASE_CLOSING:
        http_connection_close(connection);
        break;
    }
}

/* ---- begin
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* A request that has arrived but is not read yet: it is answered, as the peer may not send it
 * twice. */
static bool input_waits(struct http_connection *connection)
{
    uv_os_fd_t fd = -1;
    int size = 0;
    return uv_fileno((uv_handle_t *)&connection->tcp, &fd) == 0 &&
           ioctl(fd, FIONREAD, &size) == 0 && size > 0;
}

void http_connection_drain(struct http_connection *connection)
{
    if (connection->phase == PHASE_IDLE && !input_waits(connection))
        http_connection_close(connection);
    else if (connection->phase == PHASE_STREAM)
        bv_http_stream_close(connection->stream, 1001, "going away");
}

static void refuse_connection(struct http_connection *connection)
{
    static const char reply[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: "
                                "close\r\nContent-Length: 0\r\n\r\n";
    const uv_buf_t buf = uv_buf_init((char *)(uintptr_t)reply, sizeof reply - 1);
    http_count(connection->server->rejected);
    (void)uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);
    http_connection_close(connection);
}

void http_connection_accept(struct bv_http_server *server, int fd)
{
    struct http_connection *connection = calloc(1, sizeof *connection);
    if (!connection || uv_tcp_init(server->uv, &connection->tcp) != 0) {
        free(connection);
        close(fd);
        return;
    }
    connection->server = server;
    connection->tcp.data = connection;
    server->handles++;
    server->connection_count++;
    connection->next = server->connections;
    if (connection->next)
        connection->next->prev = connection;
    server->connections = connection;
    if (server->connections_gauge)
        bv_gauge_set(server->connections_gauge, (double)server->connection_count);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        close(fd);
        http_connection_close(connection);
        return;
    }
    if (server->connection_count > server->config.connections_max || server->draining) {
        refuse_connection(connection);
        return;
    }
    (void)uv_tcp_nodelay(&connection->tcp, 1);
    llhttp_init(&connection->parser, HTTP_REQUEST, &http_parser_settings);
    connection->parser.data = connection;
    http_connection_due(connection, server->config.idle_timeout_ms);
    http_connection_read_start(connection);
}
