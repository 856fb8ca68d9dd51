/* The hub side of SSE and WebSocket: messages are encoded once per kind and shared by reference;
 * each client has a bounded ring of them, which leaves in one gathered write at the end of the loop
 * turn. What a queued write holds (in_flight) stays where it is. */
#include "http_internal.h"
#include <stdlib.h>

#define WRITE_SPANS_MAX 64
#define QUEUE_KEEP 64 /* ring entries that an empty queue keeps */
#define CLOSE_WAIT_MS 2000
#define MESSAGE_BYTES_DEFAULT 65536

/* ---- messages
 * ------------------------------------------------------------------------------------------------------------------
 */

static bool single_line(struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return false;
    return true;
}

int bv_http_message_new(struct bv_bytes id,
                        struct bv_bytes event,
                        struct bv_bytes data,
                        struct bv_http_message **ret_message)
{
    if (!single_line(id) || !single_line(event) || !bv_bytes_utf8(id) || !bv_bytes_utf8(event) ||
        !bv_bytes_utf8(data))
        return BV_E_INVALID;
    struct bv_http_message *message =
        calloc(1, sizeof *message + id.size + event.size + data.size + 1);
    if (!message)
        return BV_E_NOMEM;
    char *at = (char *)(message + 1);
    message->references = 1;
    message->id = (struct bv_bytes){at, id.size};
    message->event = (struct bv_bytes){at + id.size, event.size};
    message->data = (struct bv_bytes){at + id.size + event.size, data.size};
    if (id.size)
        memcpy(at, id.data, id.size);
    if (event.size)
        memcpy(at + id.size, event.data, event.size);
    if (data.size)
        memcpy(at + id.size + event.size, data.data, data.size);
    *ret_message = message;
    return 0;
}

struct bv_http_message *http_message_raw(struct bv_bytes frame)
{
    struct bv_http_message *message = calloc(1, sizeof *message);
    char *copy = malloc(frame.size + 1);
    if (!message || !copy) {
        free(message);
        free(copy);
        return NULL;
    }
    memcpy(copy, frame.data, frame.size);
    message->references = 1;
    message->frames[HTTP_SSE] = (struct bv_bytes){copy, frame.size};
    message->frames[HTTP_WEBSOCKET] = message->frames[HTTP_SSE];
    return message;
}

void bv_http_message_free(struct bv_http_message **message_at)
{
    struct bv_http_message *message = *message_at;
    *message_at = NULL;
    if (!message || --message->references > 0)
        return;
    if (message->frames[1].data != message->frames[0].data)
        free((void *)(uintptr_t)message->frames[1].data);
    free((void *)(uintptr_t)message->frames[0].data);
    free(message);
}

struct bv_bytes http_message_frame(struct bv_http_message *message, enum http_stream_kind kind)
{
    if (!message->frames[kind].data)
        message->frames[kind] =
            kind == HTTP_SSE ? http_sse_frame(message) : http_websocket_frame(message);
    return message->frames[kind];
}

/* ---- the ring
 * ------------------------------------------------------------------------------------------------------------------
 */

static struct http_queued *entry_at(const struct bv_http_stream *stream, uint32_t index)
{
    return &stream->queue[(stream->queue_first + index) & (stream->queue_capacity - 1)];
}

static size_t entry_bytes(const struct bv_http_stream *stream, uint32_t index)
{
    return entry_at(stream, index)->message->frames[stream->kind].size;
}

static bool grow(struct bv_http_stream *stream)
{
    const uint32_t capacity = stream->queue_capacity ? stream->queue_capacity * 2 : 8;
    struct http_queued *queue = calloc(capacity, sizeof *queue);
    if (!queue)
        return false;
    for (uint32_t i = 0; i < stream->queue_count; i++)
        queue[i] = *entry_at(stream, i);
    free(stream->queue);
    stream->queue = queue;
    stream->queue_capacity = capacity;
    stream->queue_first = 0;
    return true;
}

static void entry_release(struct bv_http_stream *stream, uint32_t index)
{
    struct http_queued *entry = entry_at(stream, index);
    free(entry->key);
    bv_http_message_free(&entry->message);
    *entry = (struct http_queued){0};
}

static void pop_first(struct bv_http_stream *stream)
{
    stream->queued_bytes -= entry_bytes(stream, 0) - stream->first_offset;
    stream->first_offset = 0;
    entry_release(stream, 0);
    stream->queue_first = (stream->queue_first + 1) & (stream->queue_capacity - 1);
    stream->queue_count--;
}

static void remove_at(struct bv_http_stream *stream, uint32_t index)
{
    stream->queued_bytes -= entry_bytes(stream, index);
    entry_release(stream, index);
    for (uint32_t i = index; i + 1 < stream->queue_count; i++)
        *entry_at(stream, i) = *entry_at(stream, i + 1);
    *entry_at(stream, stream->queue_count - 1) = (struct http_queued){0};
    stream->queue_count--;
}

/* Entries before this one have left in part or wait inside the kernel's queue: they must go out
 * whole. */
static uint32_t first_removable(const struct bv_http_stream *stream)
{
    return stream->in_flight > 0 ? stream->in_flight : stream->first_offset > 0 ? 1 : 0;
}

void http_stream_drop_pending(struct bv_http_stream *stream)
{
    const uint32_t first = first_removable(stream);
    while (stream->queue_count > first)
        remove_at(stream, stream->queue_count - 1);
}

static void mark_dirty(struct bv_http_stream *stream)
{
    if (stream->dirty || stream->ended)
        return;
    stream->dirty = true;
    stream->next_dirty = stream->server->dirty;
    stream->server->dirty = stream;
    http_server_arm(stream->server);
}

int http_stream_queue(struct bv_http_stream *stream,
                      struct bv_http_message *message,
                      struct bv_bytes key)
{
    const struct bv_bytes frame = http_message_frame(message, stream->kind);
    char *copy = NULL;
    if (!frame.data || (stream->queue_count == stream->queue_capacity && !grow(stream)))
        return BV_E_NOMEM;
    if (key.size && !(copy = malloc(key.size)))
        return BV_E_NOMEM;
    if (key.size)
        memcpy(copy, key.data, key.size);
    if (stream->queue_count == 0)
        stream->progress_at_ms = http_now_ms(stream->server);
    message->references++;
    *entry_at(stream, stream->queue_count) = (struct http_queued){message, copy, key.size};
    stream->queue_count++;
    stream->queued_bytes += frame.size;
    mark_dirty(stream);
    return 0;
}

/* ---- sending
 * -------------------------------------------------------------------------------------------------------------------
 */

static void drop_same_key(struct bv_http_stream *stream, struct bv_bytes key)
{
    for (uint32_t i = stream->queue_count; i > first_removable(stream); i--) {
        const struct http_queued *entry = entry_at(stream, i - 1);
        if (entry->key && bv_bytes_equal((struct bv_bytes){entry->key, entry->key_size}, key)) {
            remove_at(stream, i - 1);
            http_count(stream->server->stream_dropped);
        }
    }
}

/* Makes room for size bytes by the stream's policy. BV_E_LIMIT: there is none. */
static int make_room(struct bv_http_stream *stream, size_t size, struct bv_bytes key)
{
    const size_t max = stream->config.queue_bytes_max;
    if (stream->queued_bytes + size <= max)
        return 0;
    if (stream->config.slow_policy == BV_SLOW_CLOSE)
        return BV_E_LIMIT;
    if (stream->config.slow_policy == BV_SLOW_COALESCE && key.size)
        drop_same_key(stream, key);
    while (stream->queued_bytes + size > max && stream->queue_count > first_removable(stream)) {
        remove_at(stream, first_removable(stream));
        http_count(stream->server->stream_dropped);
    }
    return stream->queued_bytes + size <= max ? 0 : BV_E_LIMIT;
}

int bv_http_stream_send(struct bv_http_stream *stream,
                        struct bv_http_message *message,
                        struct bv_bytes key)
{
    if (stream->closing || stream->ended)
        return BV_E_CLOSED;
    const struct bv_bytes frame = http_message_frame(message, stream->kind);
    if (!frame.data)
        return BV_E_NOMEM;
    if (make_room(stream, frame.size, key) == 0)
        return http_stream_queue(stream, message, key);
    if (stream->config.slow_policy != BV_SLOW_CLOSE) {
        http_count(
            stream->server
                ->stream_dropped); /* this one is dropped: what is on its way fills the queue */
        return 0;
    }
    http_count(stream->server->stream_slow);
    http_stream_drop_pending(stream);
    bv_http_stream_close(stream, 1013, "too slow");
    return BV_E_LIMIT;
}

size_t bv_http_stream_queued(const struct bv_http_stream *stream)
{
    return stream->queued_bytes;
}

static void sent(struct bv_http_stream *stream, size_t size)
{
    if (size > 0)
        stream->progress_at_ms = http_now_ms(stream->server);
    while (stream->queue_count > 0) {
        const size_t left = entry_bytes(stream, 0) - stream->first_offset;
        if (size < left) {
            stream->first_offset += size;
            stream->queued_bytes -= size;
            return;
        }
        size -= left;
        pop_first(stream);
    }
}

static unsigned gather(const struct bv_http_stream *stream, uv_buf_t *bufs)
{
    unsigned count = 0;
    for (; count < stream->queue_count && count < WRITE_SPANS_MAX; count++) {
        const struct bv_bytes frame = entry_at(stream, count)->message->frames[stream->kind];
        const size_t offset = count == 0 ? stream->first_offset : 0;
        bufs[count] =
            uv_buf_init((char *)(uintptr_t)frame.data + offset, (unsigned)(frame.size - offset));
    }
    return count;
}

static void stream_free(struct bv_http_stream *stream)
{
    while (stream->queue_count > 0)
        pop_first(stream);
    free(stream->queue);
    free(stream);
}

/* Everything is out: an ended SSE stream closes; a WebSocket waits for the peer's close frame. */
static void drained(struct bv_http_stream *stream)
{
    if (stream->queue_capacity > QUEUE_KEEP) {
        free(stream->queue);
        stream->queue = NULL;
        stream->queue_capacity = stream->queue_first = 0;
    }
    if (!stream->closing || stream->connection->writing)
        return;
    if (stream->kind == HTTP_SSE || stream->failed || stream->peer_closed)
        http_connection_linger(stream->connection);
}

static void flush(struct bv_http_stream *stream);

static void on_stream_written(uv_write_t *write, int status)
{
    struct bv_http_stream *stream = write->data;
    if (stream->ended) { /* the socket is gone; the write was the last holder */
        stream_free(stream);
        return;
    }
    while (stream->in_flight > 0) {
        pop_first(stream);
        stream->in_flight--;
    }
    stream->progress_at_ms = http_now_ms(stream->server);
    if (status != 0)
        http_connection_lost(stream->connection, status);
    else
        flush(stream);
}

static void flush(struct bv_http_stream *stream)
{
    uv_buf_t bufs[WRITE_SPANS_MAX];
    uv_stream_t *tcp = (uv_stream_t *)&stream->connection->tcp;
    while (stream->in_flight == 0 && stream->queue_count > 0) {
        const unsigned count = gather(stream, bufs);
        const int size = uv_try_write(tcp, bufs, count);
        if (size < 0 && size != UV_EAGAIN) {
            http_connection_close(stream->connection);
            return;
        }
        const uint32_t before = stream->queue_count;
        sent(stream, size > 0 ? (size_t)size : 0);
        if (before - stream->queue_count == count)
            continue;
        const unsigned rest = gather(stream, bufs);
        stream->write.data = stream;
        if (uv_write(&stream->write, tcp, bufs, rest, on_stream_written) != 0) {
            http_connection_close(stream->connection);
            return;
        }
        stream->in_flight = rest;
    }
    if (stream->queue_count == 0)
        drained(stream);
}

void http_stream_flush_all(struct bv_http_server *server)
{
    while (server->dirty) {
        struct bv_http_stream *stream = server->dirty;
        server->dirty = stream->next_dirty;
        stream->next_dirty = NULL;
        stream->dirty = false;
        flush(stream);
    }
}

/* ---- life
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void set_due(struct bv_http_stream *stream)
{
    const struct bv_http_server *server = stream->server;
    const int64_t now_ms = http_now_ms(server);
    int64_t due_ms = stream->heartbeat_at_ms;
    const int64_t write_ms = stream->progress_at_ms + server->config.write_timeout_ms;
    if (stream->queue_count > 0 && write_ms < due_ms)
        due_ms = write_ms;
    if (due_ms - now_ms >
        server->config.write_timeout_ms) /* output may begin to wait at any time */
        due_ms = now_ms + server->config.write_timeout_ms;
    http_connection_due(stream->connection, due_ms > now_ms ? due_ms - now_ms : 0);
}

int http_stream_new(struct bv_http_request *request,
                    enum http_stream_kind kind,
                    const struct bv_http_stream_config *config,
                    const struct bv_http_stream_events *events,
                    struct bv_http_stream **ret_stream)
{
    if (request->replied || !request->connection)
        return BV_E_CLOSED;
    struct bv_http_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return BV_E_NOMEM;
    stream->server = request->server;
    stream->connection = request->connection;
    stream->config = *config;
    if (stream->config.queue_bytes_max == 0)
        stream->config.queue_bytes_max = (size_t)request->server->config.output_bytes_max;
    if (stream->config.message_bytes_max == 0)
        stream->config.message_bytes_max = MESSAGE_BYTES_DEFAULT;
    stream->events = *events;
    stream->kind = kind;
    *ret_stream = stream;
    return 0;
}

int http_stream_begin(struct bv_http_stream *stream,
                      struct bv_http_request *request,
                      int status,
                      struct bv_bytes head)
{
    struct bv_http_server *server = request->server;
    struct http_connection *connection = request->connection;
    const int64_t now_ms = http_now_ms(server);
    connection->stream = stream;
    request->replied = true;
    http_connection_write(connection, head, BV_BYTES_NONE);
    http_account(request, status, head.size);
    if (server->streams[stream->kind])
        bv_gauge_add(server->streams[stream->kind], 1);
    stream->progress_at_ms = now_ms;
    stream->heartbeat_at_ms =
        stream->config.heartbeat_ms > 0 ? now_ms + stream->config.heartbeat_ms : INT64_MAX / 2;
    if (server->draining)
        bv_http_stream_close(stream, 1001, "going away");
    if (request->deferred && !request->in_handler)
        http_server_finish_later(request);
    connection->phase = PHASE_STREAM;
    set_due(stream);
    return 0;
}

void http_stream_end(struct bv_http_stream *stream, int code)
{
    struct bv_http_server *server = stream->server;
    if (stream->ended)
        return;
    if (stream->dirty) {
        struct bv_http_stream **at = &server->dirty;
        while (*at != stream)
            at = &(*at)->next_dirty;
        *at = stream->next_dirty;
        stream->dirty = false;
    }
    stream->ended = stream->closing = true;
    if (server->streams[stream->kind])
        bv_gauge_add(server->streams[stream->kind], -1);
    if (stream->events.closed)
        stream->events.closed(
            stream->events.argument, stream, stream->close_code ? stream->close_code : code);
    http_websocket_end(stream);
    if (stream->in_flight == 0)
        stream_free(stream);
}

void bv_http_stream_close(struct bv_http_stream *stream, int code, const char *reason)
{
    if (stream->closing || stream->ended)
        return;
    if (stream->kind == HTTP_WEBSOCKET)
        http_websocket_close(stream, code, reason);
    stream->closing = true;
    stream->close_code = code;
    stream->heartbeat_at_ms = http_now_ms(stream->server) + CLOSE_WAIT_MS; /* then it is cut */
    mark_dirty(stream);
    if (stream->connection->phase == PHASE_STREAM)
        set_due(stream);
}

static void heartbeat(struct bv_http_stream *stream)
{
    struct bv_http_server *server = stream->server;
    if (stream->kind == HTTP_WEBSOCKET && stream->pings_unanswered >= 2) {
        bv_http_stream_close(stream, 1001, "no answer to pings");
        return;
    }
    stream->heartbeat_at_ms = http_now_ms(server) + stream->config.heartbeat_ms;
    if (stream->kind == HTTP_WEBSOCKET)
        stream->pings_unanswered++;
    if (stream->queue_count ==
        0) /* waiting output is sign of life enough, and must not grow by heartbeats */
        (void)http_stream_queue(stream,
                                stream->kind == HTTP_SSE ? server->sse_heartbeat
                                                         : server->websocket_ping,
                                BV_BYTES_NONE);
}

void http_stream_tick(struct bv_http_stream *stream)
{
    const int64_t now_ms = http_now_ms(stream->server);
    const bool stuck = stream->queue_count > 0 &&
                       now_ms - stream->progress_at_ms >= stream->server->config.write_timeout_ms;
    if (stuck || (stream->closing && now_ms >= stream->heartbeat_at_ms)) {
        if (stuck)
            http_count(stream->server->timeouts);
        http_connection_close(stream->connection);
        return;
    }
    if (!stream->closing && now_ms >= stream->heartbeat_at_ms)
        heartbeat(stream);
    set_due(stream);
}

void http_stream_input(struct bv_http_stream *stream, struct bv_bytes data)
{
    if (stream->kind != HTTP_WEBSOCKET) /* whatever an SSE client says is not for us */
        return;
    stream->input = data;
    http_websocket_input(stream);
}
