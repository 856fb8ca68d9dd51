/* WebSocket (RFC 6455). wslay reads frames, joins fragments, checks masks, UTF-8 and close codes,
 * and writes the control frames that these call for; what we send are whole unmasked frames,
 * encoded once for all clients. */
#include "http_internal.h"
#include <openssl/sha.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#define CONTROL_BYTES_MAX 131072 /* room for control frames where messages fill the queue */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* ---- frames out
 * ----------------------------------------------------------------------------------------------------------------
 */

struct bv_bytes http_websocket_frame(const struct bv_http_message *message)
{
    const size_t size = message->data.size;
    unsigned char *frame = malloc(size + 10);
    size_t at = 0;
    if (!frame)
        return BV_BYTES_NONE;
    frame[at++] = 0x80 | WSLAY_TEXT_FRAME;
    if (size < 126) {
        frame[at++] = (unsigned char)size;
    } else if (size < 65536) {
        frame[at++] = 126;
        frame[at++] = (unsigned char)(size >> 8);
        frame[at++] = (unsigned char)size;
    } else {
        frame[at++] = 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            frame[at++] = (unsigned char)(size >> shift);
    }
    if (size)
        memcpy(frame + at, message->data.data, size);
    return (struct bv_bytes){(char *)frame, at + size};
}

static void queue_raw(struct bv_http_stream *stream, struct bv_bytes frame)
{
    struct bv_http_message *message = http_message_raw(frame);
    if (!message || http_stream_queue(stream, message, BV_BYTES_NONE) != 0)
        stream->connection->broken = true;
    bv_http_message_free(&message);
}

void http_websocket_close(struct bv_http_stream *stream, int code, const char *reason)
{
    char frame[4 + 123];
    struct bv_bytes text = bv_bytes_of(reason);
    if (text.size > 123)
        text.size = 123;
    frame[0] = (char)(0x80 | WSLAY_CONNECTION_CLOSE);
    frame[1] = (char)(2 + text.size);
    frame[2] = (char)(code >> 8);
    frame[3] = (char)code;
    if (text.size)
        memcpy(frame + 4, text.data, text.size);
    queue_raw(stream, (struct bv_bytes){frame, 4 + text.size});
}

/* ---- frames in
 * -----------------------------------------------------------------------------------------------------------------
 */

static ssize_t
on_recv(wslay_event_context_ptr context, uint8_t *buf, size_t size, int flags, void *argument)
{
    struct bv_http_stream *stream = argument;
    (void)flags;
    if (stream->input.size == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    const size_t taken = stream->input.size < size ? stream->input.size : size;
    memcpy(buf, stream->input.data, taken);
    stream->input.data += taken;
    stream->input.size -= taken;
    return (ssize_t)taken;
}

/* wslay hands over a frame's header and payload separately: they are collected in the reply buffer
 * of the server. */
static ssize_t on_send(
    wslay_event_context_ptr context, const uint8_t *data, size_t size, int flags, void *argument)
{
    struct bv_http_stream *stream = argument;
    (void)flags;
    if (bv_buf_append(&stream->server->out, data, size) == 0)
        return (ssize_t)size;
    wslay_event_set_error(context, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int send_control(struct bv_http_stream *stream, wslay_event_context_ptr context)
{
    struct bv_buf *out = &stream->server->out;
    if (!wslay_event_want_write(context))
        return 0;
    bv_buf_reset(out);
    if (wslay_event_send(context) != 0)
        return BV_E_NOMEM;
    /* Pongs for a peer that reads nothing must not heap up. */
    if (stream->queued_bytes + out->size > stream->config.queue_bytes_max + CONTROL_BYTES_MAX) {
        http_count(stream->server->stream_slow);
        return BV_E_LIMIT;
    }
    if (out->size > 0)
        queue_raw(stream, bv_buf_view(out));
    return 0;
}

/* wslay lets half a code pass, and a reason that is no UTF-8 when it comes in small pieces. */
static void check_close(struct bv_http_stream *stream, struct bv_bytes payload)
{
    const bool half = payload.size == 1;
    if (!half &&
        (payload.size <= 2 || bv_bytes_utf8((struct bv_bytes){payload.data + 2, payload.size - 2})))
        return;
    stream->failed = true;
    bv_http_stream_close(stream,
                         half ? WSLAY_CODE_PROTOCOL_ERROR : WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA,
                         half ? "protocol error" : "no UTF-8");
}

static void on_message(wslay_event_context_ptr context,
                       const struct wslay_event_on_msg_recv_arg *message,
                       void *argument)
{
    struct bv_http_stream *stream = argument;
    if (message->opcode == WSLAY_CONNECTION_CLOSE)
        check_close(stream, (struct bv_bytes){(const char *)message->msg, message->msg_length});
    if (wslay_is_ctrl_frame(message->opcode) || stream->closing || !stream->events.message)
        return;
    if (send_control(stream, context) != 0) { /* pongs of pings that came within this message */
        stream->connection->broken = true;
        return;
    }
    stream->events.message(stream->events.argument,
                           stream,
                           (struct bv_bytes){(const char *)message->msg, message->msg_length},
                           message->opcode == WSLAY_TEXT_FRAME);
}

/* A close frame went out by wslay: the answer to the peer's, or a fault of the peer (1002, 1007,
 * 1009). */
static void note_close(struct bv_http_stream *stream, wslay_event_context_ptr context)
{
    const bool theirs = wslay_event_get_close_received(context) != 0;
    if (theirs)
        stream->peer_closed = true;
    else if (!stream->closing)
        stream->failed = true;
    if (!stream->closing) {
        const int code = theirs ? wslay_event_get_status_code_received(context)
                                : wslay_event_get_status_code_sent(context);
        stream->closing = true;
        stream->close_code = code ? code : 1005;
        stream->heartbeat_at_ms = http_now_ms(stream->server) + 2000;
        http_connection_due(stream->connection, 2000);
    }
}

void http_websocket_input(struct bv_http_stream *stream)
{
    wslay_event_context_ptr context = stream->websocket;
    stream->pings_unanswered = 0;
    if (stream->peer_closed || !context)
        return;
    const bool was_closing = stream->closing;
    const int rc = wslay_event_recv(context);
    if (rc != 0) { /* a broken frame: wslay would close without a code */
        stream->failed = true;
        bv_http_stream_close(stream, WSLAY_CODE_PROTOCOL_ERROR, "protocol error");
        return;
    }
    /* After our own close frame only the peer's is of interest. */
    if (!was_closing && !stream->closing && send_control(stream, context) != 0)
        stream->connection->broken = true;
    if (wslay_event_get_close_received(context) || wslay_event_get_close_sent(context))
        note_close(stream, context);
    if (stream->connection->broken)
        http_connection_close(stream->connection);
    else if (stream->peer_closed && stream->queue_count == 0 && stream->in_flight == 0)
        http_connection_linger(stream->connection);
}

void http_websocket_end(struct bv_http_stream *stream)
{
    if (stream->websocket)
        wslay_event_context_free(stream->websocket);
    stream->websocket = NULL;
}

/* ---- handshake
 * -----------------------------------------------------------------------------------------------------------------
 */

static int
refuse(struct bv_http_request *request, struct bv_error *error, int status, const char *detail)
{
    struct bv_http_problem problem = {
        .status = status,
        .title = status == 426 ? "Upgrade required" : "Malformed request",
        .code = status == 426 ? "upgrade-required" : "bad-request",
        .detail = bv_bytes_of(detail),
    };
    static const struct bv_http_field fields[] = {
        {"Upgrade",               {"websocket", 9}},
        {"Sec-WebSocket-Version", {"13", 2}       },
    };
    (void)http_reply_problem(request, &problem, fields, status == 426 ? 2 : 0);
    return bv_fail(error, BV_E_INVALID, "%s", detail);
}

static bool key_good(struct bv_bytes key)
{
    char raw[24];
    size_t size = 0;
    return key.size == 24 && bv_base64_decode(key, raw, &size) == 0 && size == 16;
}

static bool key_alone(const struct bv_http_request *request)
{
    size_t keys = 0;
    for (uint32_t i = 0; i < request->field_count; i++)
        keys += bv_bytes_equal_nocase(HTTP_NAME(request, i), BV_BYTES("sec-websocket-key"));
    return keys == 1;
}

static int check_handshake(struct bv_http_request *request, struct bv_error *error)
{
    if (request->method != BV_GET || request->http10 ||
        !http_list_has(bv_http_header(request, "upgrade"), "websocket") ||
        !http_list_has(bv_http_header(request, "connection"), "upgrade"))
        return refuse(request, error, 426, "This path speaks WebSocket: upgrade the connection.");
    if (!bv_bytes_equal(bv_http_header(request, "sec-websocket-version"), BV_BYTES("13")))
        return refuse(request, error, 426, "Sec-WebSocket-Version must be 13.");
    if (!key_alone(request) || !key_good(bv_http_header(request, "sec-websocket-key")))
        return refuse(request, error, 400, "Sec-WebSocket-Key must be 16 bytes in base64, once.");
    return 0;
}

/* What the client offered and we take; a token given as a protocol is answered by its marker. */
static const char *choose_protocol(const struct bv_http_request *request, const char *ours)
{
    const struct bv_bytes offered = bv_http_header(request, "sec-websocket-protocol");
    if (ours && http_list_has(offered, ours))
        return ours;
    return http_list_has(offered, "bearer") ? "bearer" : NULL;
}

static void write_head(struct bv_http_request *request, const char *protocol, struct bv_buf *head)
{
    char source[24 + sizeof GUID];
    unsigned char digest[SHA_DIGEST_LENGTH];
    char accept[32];
    const struct bv_bytes key = bv_http_header(request, "sec-websocket-key");
    memcpy(source, key.data, 24);
    memcpy(source + 24, GUID, sizeof GUID - 1);
    SHA1((const unsigned char *)source, 24 + sizeof GUID - 1, digest);
    const size_t accept_size = bv_base64_encode(digest, sizeof digest, accept);
    http_server_date(request->server);
    bv_buf_text(head, "HTTP/1.1 101 Switching Protocols\r\n");
    bv_buf_text(head, request->server->date);
    bv_buf_text(head, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    bv_buf_append(head, accept, accept_size);
    if (protocol)
        bv_buf_format(head, "\r\nSec-WebSocket-Protocol: %s", protocol);
    bv_buf_text(head, "\r\ncorrelation-id: ");
    bv_buf_bytes(head, request->correlation);
    bv_buf_text(head, "\r\n\r\n");
}

static int open_context(struct bv_http_stream *stream)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_msg_recv_callback = on_message,
    };
    wslay_event_context_ptr context = NULL;
    if (wslay_event_context_server_init(&context, &callbacks, stream) != 0)
        return BV_E_NOMEM;
    wslay_event_config_set_max_recv_msg_length(context, stream->config.message_bytes_max);
    stream->websocket = context;
    return 0;
}

int bv_http_websocket_start(struct bv_http_request *request,
                            const struct bv_http_stream_config *config,
                            const struct bv_http_stream_events *events,
                            struct bv_http_stream **ret_stream,
                            struct bv_error *error)
{
    struct bv_http_stream *stream = NULL;
    bv_auto(bv_buf_release) struct bv_buf head = {.max = 2048};
    if (request->replied || !request->connection)
        return bv_fail(error, BV_E_CLOSED, "The peer is gone.");
    BV_TRY(check_handshake(request, error));
    write_head(request, choose_protocol(request, config->subprotocol), &head);
    int rc = head.failed ? BV_E_NOMEM
                         : http_stream_new(request, HTTP_WEBSOCKET, config, events, &stream);
    if (rc == 0 && (rc = open_context(stream)) != 0)
        free(stream);
    if (rc != 0)
        return bv_fail(error, rc, "The stream cannot be opened.");
    *ret_stream = stream;
    return http_stream_begin(stream, request, 101, bv_buf_view(&head));
}
