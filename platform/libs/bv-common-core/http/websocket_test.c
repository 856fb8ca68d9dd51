#include "http_testing.h"

static struct bv_http_stream *stream;
static int closed_code = -1;
static int closed_count;
static size_t message_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct bv_http_stream_config stream_config = {.message_bytes_max = 70000,
                                                     .subprotocol = "chat.v1"};

static void on_message(void *argument, struct bv_http_stream *from, struct bv_bytes data, bool text)
{
    struct bv_http_message *message = NULL;
    (void)argument;
    message_count++;
    if (!text) {
        bv_http_stream_close(from, 1003, "text only");
        return;
    }
    if (bv_bytes_equal(data, BV_BYTES("bye"))) {
        bv_http_stream_close(from, 1000, "bye");
        return;
    }
    cr_assert_eq(bv_http_message_new(BV_BYTES_NONE, BV_BYTES_NONE, data, &message), 0);
    cr_assert_eq(bv_http_stream_send(from, message, BV_BYTES_NONE), 0);
    bv_http_message_free(&message);
}

static void on_closed(void *argument, struct bv_http_stream *closed, int code)
{
    (void)argument;
    (void)closed;
    pthread_mutex_lock(&lock);
    stream = NULL;
    closed_code = code;
    closed_count++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int open_socket(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_stream_events events = {.message = on_message, .closed = on_closed};
    (void)context;
    return bv_http_websocket_start(request, &stream_config, &events, &stream, error);
}

static int authenticate(void *context,
                        struct bv_arena *arena,
                        struct bv_bytes token,
                        struct bv_principal *ret_principal,
                        struct bv_error *error)
{
    (void)context;
    (void)arena;
    if (!bv_bytes_equal(token, BV_BYTES("secret.token")))
        return bv_fail(error, BV_E_UNAUTHENTICATED, "no");
    ret_principal->subject = BV_BYTES("alice");
    return 0;
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/socket", .handler = open_socket},
    {.method = BV_GET, .path = "/private", .handler = open_socket, .scope = ""},
};

static struct testing t;
static struct client *c;
static struct client_reply reply;

static void begin(void)
{
    testing_open(&t, NULL, routes, BV_COUNT(routes));
    bv_http_server_authenticator(t.server, authenticate, NULL);
    testing_run(&t);
    c = client_open(&t);
}

static void end(void)
{
    client_close(c);
    testing_stop(&t);
}

#define UPGRADE "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static int ask(const char *path, const char *fields)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, fields);
    return client_ask(c, &reply, text);
}

static void connect_socket(void)
{
    cr_assert_eq(ask("/socket", UPGRADE VERSION KEY), 101);
    cr_expect_eq(c->size, 0);
}

/* A masked client frame. first: FIN and opcode. */
static void send_frame(int first, const void *data, size_t size)
{
    static const unsigned char mask[4] = {1, 2, 3, 4};
    unsigned char *frame = malloc(size + 14);
    const unsigned char *bytes = data;
    size_t at = 0;
    cr_assert_not_null(frame);
    frame[at++] = (unsigned char)first;
    if (size < 126) {
        frame[at++] = (unsigned char)(0x80 | size);
    } else if (size < 65536) {
        frame[at++] = 0x80 | 126;
        frame[at++] = (unsigned char)(size >> 8);
        frame[at++] = (unsigned char)size;
    } else {
        frame[at++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            frame[at++] = (unsigned char)((uint64_t)size >> shift);
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < size; i++)
        frame[at++] = bytes[i] ^ mask[i % 4];
    client_send_bytes(c, frame, at);
    free(frame);
}

static void send_text(const char *text)
{
    send_frame(0x81, text, strlen(text));
}

struct frame {
    int first;
    size_t size;
    unsigned char data[1 << 17];
};
static struct frame frame;

/* Next frame of the server; false at the end of the stream. */
static bool read_frame(void)
{
    size_t head = 2;
    while (c->size < 2)
        if (client_more(c) == 0)
            return false;
    const unsigned char *at = (const unsigned char *)c->data;
    size_t size = at[1];
    cr_assert_lt(size, 128, "servers do not mask");
    head = size == 126 ? 4 : size == 127 ? 10 : 2;
    while (c->size < head)
        cr_assert_gt(client_more(c), 0);
    if (head == 4)
        size = (size_t)at[2] << 8 | at[3];
    for (size_t i = 2; head == 10 && i < 10; i++)
        size = (i == 2 ? 0 : size << 8) | at[i];
    while (c->size < head + size)
        cr_assert_gt(client_more(c), 0);
    frame.first = at[0];
    frame.size = size;
    memcpy(frame.data, at + head, size);
    frame.data[size] = '\0';
    client_drop(c, head + size);
    return true;
}

static int close_code_of_frame(void)
{
    cr_assert_eq(frame.first, 0x88, "a close frame, not %02x", frame.first);
    return frame.size >= 2 ? frame.data[0] << 8 | frame.data[1] : 1005;
}

static void await_closed(int code)
{
    pthread_mutex_lock(&lock);
    while (closed_code < 0)
        pthread_cond_wait(&changed, &lock);
    cr_expect_eq(closed_code, code, "closed with %d, not %d", closed_code, code);
    cr_expect_eq(closed_count, 1);
    pthread_mutex_unlock(&lock);
}

/* The server fails the connection with this code, and ends it once we have answered. */
static void expect_failure(int code)
{
    cr_assert(read_frame());
    cr_expect_eq(close_code_of_frame(), code, "%d, not %d", close_code_of_frame(), code);
    send_frame(0x88, frame.data, 2);
    cr_expect_not(read_frame(), "nothing after the close frame");
    await_closed(code);
}

Test(websocket, the_handshake_of_the_rfc_is_answered, .init = begin, .fini = end)
{
    connect_socket();
    cr_expect_not_null(
        strstr(reply.head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    cr_expect_not_null(strcasestr(reply.head, "\r\nupgrade: websocket\r\n"));
    cr_expect_not_null(strcasestr(reply.head, "\r\nconnection: upgrade\r\n"));
    cr_expect_null(strstr(reply.head, "Sec-WebSocket-Protocol"));
    testing_await_metric(&t, "bv_http_streams{kind=\"websocket\"}", 1);
}

Test(websocket, bad_handshakes_are_refused_and_the_connection_stays, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/socket", ""), 426);
    cr_expect_not_null(strstr(reply.head, "Upgrade: websocket\r\n"));
    cr_expect_eq(ask("/socket", "Upgrade: websocket\r\n" VERSION KEY), 426);
    cr_expect_eq(ask("/socket", UPGRADE KEY "Sec-WebSocket-Version: 8\r\n"), 426);
    cr_expect_not_null(strstr(reply.head, "Sec-WebSocket-Version: 13\r\n"));
    cr_expect_eq(ask("/socket", UPGRADE VERSION), 400);
    cr_expect_eq(ask("/socket", UPGRADE VERSION "Sec-WebSocket-Key: short\r\n"), 400);
    connect_socket();
}

Test(websocket, protocols_are_echoed_when_offered, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/socket", UPGRADE VERSION KEY "Sec-WebSocket-Protocol: other, chat.v1\r\n"),
                 101);
    cr_expect_not_null(strstr(reply.head, "Sec-WebSocket-Protocol: chat.v1\r\n"));
}

Test(websocket, a_browser_gives_its_token_as_a_protocol, .init = begin, .fini = end)
{
    cr_expect_eq(ask("/private", UPGRADE VERSION KEY), 401);
    cr_expect_eq(ask("/private", UPGRADE VERSION KEY "Sec-WebSocket-Protocol: bearer, wrong\r\n"),
                 401);
    cr_expect_eq(
        ask("/private", UPGRADE VERSION KEY "Sec-WebSocket-Protocol: bearer, secret.token\r\n"),
        101);
    cr_expect_not_null(strstr(reply.head, "Sec-WebSocket-Protocol: bearer\r\n"));
    cr_expect_null(strstr(reply.head, "secret"));
}

Test(websocket, messages_of_all_sizes_come_back, .init = begin, .fini = end)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    char *text = malloc(70000);
    memset(text, 'x', 70000);
    connect_socket();
    for (size_t i = 0; i < BV_COUNT(sizes); i++) {
        send_frame(0x81, text, sizes[i]);
        cr_assert(read_frame());
        cr_expect_eq(frame.first, 0x81);
        cr_expect_eq(frame.size, sizes[i], "%zu", sizes[i]);
    }
    free(text);
}

Test(websocket, data_right_behind_the_handshake_is_not_lost, .init = begin, .fini = end)
{
    char text[1024];
    const int size = snprintf(
        text, sizeof text, "GET /socket HTTP/1.1\r\nHost: x\r\n" UPGRADE VERSION KEY "\r\n");
    memcpy(text + size, "\x81\x82\x00\x00\x00\x00hi", 8);
    client_send_bytes(c, text, (size_t)size + 8);
    client_read(c, &reply);
    cr_assert_eq(reply.status, 101);
    cr_assert(read_frame());
    cr_expect_str_eq((char *)frame.data, "hi");
}

Test(websocket, fragments_are_joined_with_control_frames_between, .init = begin, .fini = end)
{
    connect_socket();
    send_frame(0x01, "one ", 4);
    send_frame(0x89, "ping!", 5);
    send_frame(0x00, "t\xC3", 2);
    cr_assert(read_frame());
    cr_expect_eq(frame.first, 0x8A);
    cr_expect_str_eq((char *)frame.data, "ping!");
    send_frame(0x80, "\xBC", 1);
    cr_assert(read_frame());
    cr_expect_eq(frame.first, 0x81);
    cr_expect_str_eq((char *)frame.data, "one t\xC3\xBC");
    cr_expect_eq(message_count, 1);
}

Test(websocket, bytes_may_come_one_by_one, .init = begin, .fini = end)
{
    static const unsigned char bytes[] = {0x81, 0x83, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 'c' ^ 3};
    connect_socket();
    for (size_t i = 0; i < sizeof bytes; i++)
        client_send_bytes(c, bytes + i, 1);
    cr_assert(read_frame());
    cr_expect_str_eq((char *)frame.data, "abc");
}

Test(websocket, many_messages_in_one_read_are_answered_in_one_write, .init = begin, .fini = end)
{
    connect_socket();
    unsigned char all[50 * 7];
    for (size_t i = 0; i < 50; i++)
        memcpy(all + i * 7, "\x81\x81\x00\x00\x00\x00m", 7);
    c->reads = 0;
    client_send_bytes(c, all, sizeof all);
    for (int i = 0; i < 50; i++)
        cr_assert(read_frame());
    cr_expect_leq(c->reads, 2);
}

Test(websocket, the_peers_close_is_answered_with_its_code, .init = begin, .fini = end)
{
    connect_socket();
    send_frame(0x88, "\x03\xE9gone", 6);
    cr_assert(read_frame());
    cr_expect_eq(close_code_of_frame(), 1001);
    cr_expect_not(read_frame());
    await_closed(1001);
}

Test(websocket, a_close_without_a_code_is_1005, .init = begin, .fini = end)
{
    connect_socket();
    send_frame(0x88, "", 0);
    cr_assert(read_frame());
    cr_expect_eq(frame.first, 0x88);
    cr_expect_not(read_frame());
    await_closed(1005);
}

Test(websocket, our_close_waits_for_the_peers, .init = begin, .fini = end)
{
    connect_socket();
    send_text("bye");
    cr_assert(read_frame());
    cr_expect_eq(close_code_of_frame(), 1000);
    cr_expect_str_eq((char *)frame.data + 2, "bye");
    send_text("not looked at any more");
    send_frame(0x88, "\x03\xE8", 2);
    cr_expect_not(read_frame());
    await_closed(1000);
    cr_expect_eq(message_count, 1);
}

Test(websocket, a_peer_that_never_answers_our_close_is_cut, .init = begin, .fini = end)
{
    connect_socket();
    send_text("bye");
    cr_assert(read_frame());
    cr_expect_not(read_frame());
    await_closed(1000);
}

Test(websocket, a_peer_that_vanishes_is_1006, .init = begin, .fini = end)
{
    connect_socket();
    send_text("x");
    cr_assert(read_frame());
    cr_assert_eq(shutdown(c->fd, SHUT_RDWR), 0);
    await_closed(1006);
    testing_await_metric(&t, "bv_http_connections", 0);
}

Test(websocket, binary_is_refused_with_1003_by_this_handler, .init = begin, .fini = end)
{
    connect_socket();
    send_frame(0x82, "\x00\xff", 2);
    expect_failure(1003);
}

Test(websocket, a_message_over_the_limit_is_1009, .init = begin, .fini = end)
{
    char *text = calloc(1, 70001);
    connect_socket();
    send_frame(0x81, text, 70001);
    cr_assert(read_frame());
    cr_expect_eq(close_code_of_frame(), 1009);
    free(text);
}

Test(websocket, fragments_over_the_limit_are_1009, .init = begin, .fini = end)
{
    char *text = malloc(40000);
    memset(text, 'x', 40000);
    connect_socket();
    send_frame(0x01, text, 40000);
    send_frame(0x80, text, 40000);
    cr_assert(read_frame());
    cr_expect_eq(close_code_of_frame(), 1009);
    free(text);
}

Test(websocket, text_that_is_no_utf8_is_1007, .init = begin, .fini = end)
{
    connect_socket();
    send_frame(0x81, "\xC3\x28", 2);
    expect_failure(1007);
}

/* Each on a connection of its own; all are protocol errors. */
static const struct bad_frame {
    const char *name;
    unsigned char bytes[16];
    size_t size;
} bad_frames[] = {
    {"unmasked",                 {0x81, 0x01, 'a'},                    3},
    {"reserved bit",             {0xC1, 0x81, 0, 0, 0, 0, 'a'},        7},
    {"reserved opcode",          {0x83, 0x81, 0, 0, 0, 0, 'a'},        7},
    {"reserved control opcode",  {0x8B, 0x80, 0, 0, 0, 0},             6},
    {"continuation of nothing",  {0x80, 0x81, 0, 0, 0, 0, 'a'},        7},
    {"fragmented ping",          {0x09, 0x80, 0, 0, 0, 0},             6},
    {"long ping",                {0x89, 0xFE, 0, 126, 0, 0, 0, 0},     8},
    {"length not minimal",       {0x81, 0xFE, 0, 5, 0, 0, 0, 0},       8},
    {"close with one byte",      {0x88, 0x81, 0, 0, 0, 0, 3},          7},
    {"close with reserved code", {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED}, 8},
};

Test(websocket, protocol_errors_are_1002, .init = begin, .fini = end)
{
    for (size_t i = 0; i < BV_COUNT(bad_frames); i++) {
        connect_socket();
        client_send_bytes(c, bad_frames[i].bytes, bad_frames[i].size);
        cr_assert(read_frame(), "%s", bad_frames[i].name);
        cr_expect_eq(
            close_code_of_frame(), 1002, "%s: %d", bad_frames[i].name, close_code_of_frame());
        client_close(c);
        c = client_open(&t);
    }
}

Test(websocket, pings_are_sent_and_answers_keep_the_connection, .fini = end)
{
    stream_config.heartbeat_ms = 250;
    begin();
    connect_socket();
    for (int i = 0; i < 4; i++) {
        cr_assert(read_frame());
        cr_assert_eq(frame.first, 0x89);
        send_frame(0x8A, frame.data, frame.size);
    }
    send_text("alive");
    do
        cr_assert(read_frame());
    while (frame.first == 0x89);
    cr_expect_str_eq((char *)frame.data, "alive");
}

Test(websocket, two_unanswered_pings_close_with_1001, .fini = end)
{
    stream_config.heartbeat_ms = 40;
    begin();
    connect_socket();
    cr_assert(read_frame() && frame.first == 0x89);
    cr_assert(read_frame() && frame.first == 0x89);
    cr_assert(read_frame());
    cr_expect_eq(close_code_of_frame(), 1001);
    cr_expect_not(read_frame());
    await_closed(1001);
}

Test(websocket, closing_the_server_tells_every_stream, .init = begin)
{
    connect_socket();
    send_text("x");
    cr_assert(read_frame());
    testing_stop(&t);
    cr_expect_eq(closed_count, 1);
    client_close(c);
}

/* However small the pieces are in which it comes. */
Test(websocket, a_close_reason_that_is_no_utf8_is_1007, .init = begin, .fini = end)
{
    static const unsigned char close_frame[] = {0x88, 0x85, 0, 0, 0, 0, 0x03, 0xE8, 'b', 'y', 0x84};
    connect_socket();
    for (size_t i = 0; i < sizeof close_frame; i++)
        client_send_bytes(c, &close_frame[i], 1);
    expect_failure(1007);
}
