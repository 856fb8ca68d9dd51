/* Input: a byte for the size of the pieces, then what a client sends after the upgrade. Properties:
 * what comes back is a sequence of whole frames as RFC 6455 wants them of a server: unmasked, no
 * reserved bits, control frames up to 125 bytes and not fragmented, texts in UTF-8, close codes
 * that may stand on the wire, nothing behind a close frame; the texts echoed do not depend on how
 * the stream was cut, and are within the limit for messages. */
#include "http_fuzzing.h"

enum { MESSAGE_MAX = 300 };

static void
echo(void *argument, struct bv_http_stream *stream, struct bv_bytes message, bool is_text)
{
    struct bv_http_message *answer = NULL;
    (void)argument;
    FUZZ_REQUIRE(message.size <= MESSAGE_MAX);
    FUZZ_REQUIRE(!is_text || bv_bytes_utf8(message));
    if (!is_text || bv_http_message_new(BV_BYTES_NONE, BV_BYTES_NONE, message, &answer) != 0)
        return;
    const int rc = bv_http_stream_send(stream, answer, BV_BYTES_NONE);
    FUZZ_REQUIRE(rc == 0 || rc == BV_E_CLOSED || rc == BV_E_LIMIT);
    bv_http_message_free(&answer);
}

static void closed(void *argument, struct bv_http_stream *stream, int code)
{
    (void)argument, (void)stream, (void)code;
}

static int upgrade(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct bv_http_stream *stream = NULL;
    (void)context;
    return bv_http_websocket_start(
        request,
        &(struct bv_http_stream_config){.message_bytes_max = MESSAGE_MAX},
        &(struct bv_http_stream_events){.message = echo, .closed = closed},
        &stream,
        error);
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/ws", .handler = upgrade},
};
static const char hello[] = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static bool code_good(int code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

/* One frame at *rest; texts are appended to texts. Returns its opcode. */
static int take_frame(struct bv_bytes *rest, struct bv_buf *texts)
{
    const unsigned char *at = (const unsigned char *)rest->data;
    FUZZ_REQUIRE(rest->size >= 2 && (at[0] & 0x70) == 0 && (at[1] & 0x80) == 0);
    const int opcode = at[0] & 0x0f;
    size_t size = at[1] & 0x7f, head = size == 126 ? 4 : 2;
    FUZZ_REQUIRE(size != 127 && rest->size >= head);
    if (size == 126)
        size = (size_t)at[2] << 8 | at[3];
    FUZZ_REQUIRE(rest->size - head >= size && (at[0] & 0x80));
    const struct bv_bytes body = {rest->data + head, size};
    FUZZ_REQUIRE(opcode == 1 || ((opcode == 8 || opcode == 9 || opcode == 10) && size <= 125));
    if (opcode == 1) {
        FUZZ_REQUIRE(bv_bytes_utf8(body) && size <= MESSAGE_MAX);
        bv_buf_bytes(texts, body);
        bv_buf_char(texts, '\xff');
    }
    if (opcode == 8 && size > 0) {
        FUZZ_REQUIRE(size >= 2 && code_good(at[head] << 8 | at[head + 1]));
        FUZZ_REQUIRE(bv_bytes_utf8((struct bv_bytes){body.data + 2, size - 2}));
    }
    *rest = (struct bv_bytes){body.data + size, rest->size - head - size};
    return opcode;
}

static void exchange(struct bv_bytes frames, size_t piece, struct bv_buf *texts)
{
    bv_auto(bv_buf_release) struct bv_buf input = {.max = 65536};
    bv_auto(bv_buf_release) struct bv_buf out = {.max = FUZZING_OUT_BYTES};
    bv_buf_append(&input, hello, sizeof hello - 1);
    bv_buf_bytes(&input, frames);
    fuzzing_exchange(fuzzing_server(routes, BV_COUNT(routes)), bv_buf_view(&input), piece, &out);
    const char *end = memmem(out.data, out.size, "\r\n\r\n", 4);
    FUZZ_REQUIRE(end && memcmp(out.data, "HTTP/1.1 101", 12) == 0);
    struct bv_bytes rest = {end + 4, out.size - (size_t)(end + 4 - out.data)};
    while (rest.size > 0)
        if (take_frame(&rest, texts) == 8)
            FUZZ_REQUIRE(rest.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf whole = {.max = FUZZING_OUT_BYTES};
    bv_auto(bv_buf_release) struct bv_buf cut = {.max = FUZZING_OUT_BYTES};
    struct bv_bytes input = fuzz_bytes(data, size);
    const size_t piece = fuzz_byte(&input) % 17u + 1;
    if (input.size > 4096)
        return 0;
    exchange(input, input.size + sizeof hello, &whole);
    exchange(input, piece, &cut);
    FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&whole), bv_buf_view(&cut)));
    return 0;
}
