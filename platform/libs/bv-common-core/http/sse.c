/* Server-sent events (WHATWG HTML, section 9.2). The stream ends with its connection (no
 * Content-Length, Connection: close), so that one frame serves every client as it is. */
#include "http_internal.h"
#include <stdlib.h>

static size_t frame_bound(const struct bv_http_message *message)
{
    size_t lines = 1;
    for (size_t i = 0; i < message->data.size; i++)
        lines += message->data.data[i] == '\n' || message->data.data[i] == '\r';
    return message->id.size + message->event.size + message->data.size + lines * 7 + 24;
}

static char *put_line(char *at, const char *name, struct bv_bytes value)
{
    at = stpcpy(at, name);
    memcpy(at, value.data, value.size);
    at += value.size;
    *at++ = '\n';
    return at;
}

/* CR, LF and CRLF each end a line of data. */
static char *put_data(char *at, struct bv_bytes data)
{
    size_t from = 0;
    for (size_t i = 0; i <= data.size; i++) {
        if (i < data.size && data.data[i] != '\n' && data.data[i] != '\r')
            continue;
        at = put_line(at, "data: ", (struct bv_bytes){data.data + from, i - from});
        if (i + 1 < data.size && data.data[i] == '\r' && data.data[i + 1] == '\n')
            i++;
        from = i + 1;
    }
    return at;
}

struct bv_bytes http_sse_frame(const struct bv_http_message *message)
{
    char *frame = malloc(frame_bound(message));
    char *at = frame;
    if (!frame)
        return BV_BYTES_NONE;
    if (message->id.size)
        at = put_line(at, "id: ", message->id);
    if (message->event.size)
        at = put_line(at, "event: ", message->event);
    at = put_data(at, message->data);
    *at++ = '\n';
    return (struct bv_bytes){frame, (size_t)(at - frame)};
}

int bv_http_sse_start(struct bv_http_request *request,
                      const struct bv_http_stream_config *config,
                      const struct bv_http_stream_events *events,
                      struct bv_http_stream **ret_stream,
                      struct bv_error *error)
{
    struct bv_http_stream *stream = NULL;
    bv_auto(bv_buf_release) struct bv_buf head = {.max = 2048};
    if (request->method == BV_HEAD)
        return bv_fail(error, BV_E_METHOD, "An event stream is read by GET.");
    http_server_date(request->server);
    bv_buf_text(&head, "HTTP/1.1 200 OK\r\n");
    bv_buf_text(&head, request->server->date);
    bv_buf_text(&head,
                "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: "
                "no\r\ncorrelation-id: ");
    bv_buf_bytes(&head, request->correlation);
    bv_buf_text(&head, "\r\nConnection: close\r\n\r\n");
    if (config->retry_ms > 0)
        bv_buf_format(&head, "retry: %lld\n\n", (long long)config->retry_ms);
    if (head.failed)
        return bv_fail(error, BV_E_NOMEM, "No memory for a stream.");
    const int rc = http_stream_new(request, HTTP_SSE, config, events, &stream);
    if (rc != 0)
        return bv_fail(error, rc, "The stream cannot be opened.");
    *ret_stream = stream;
    return http_stream_begin(stream, request, 200, bv_buf_view(&head));
}
