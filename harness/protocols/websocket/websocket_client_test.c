#include "websocket_client.h"

#include "lab.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* ---- the server: one socket at a time, scripted from the test ---- */

struct hub {
    struct lab_server server;
    struct bv_http_stream *stream; /* loop thread */
    int opened;
    int closed_code; /* of the last close, 0: none yet */
    int closed;
    char target[256];
    char authorization[128];
    char traceparent[80];
    char heard[256]; /* one after the other */
    int messages;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *say;
    int close_with;
};

static void heard(void *argument, struct bv_http_stream *stream, struct bv_bytes data, bool text)
{
    struct hub *hub = argument;
    (void)stream, (void)text;
    pthread_mutex_lock(&hub->lock);
    const size_t before = strlen(hub->heard);
    snprintf(hub->heard + before, sizeof hub->heard - before, "%.*s", BV_ARG(data));
    hub->messages++;
    pthread_cond_broadcast(&hub->changed);
    pthread_mutex_unlock(&hub->lock);
}

static void closed(void *argument, struct bv_http_stream *stream, int code)
{
    struct hub *hub = argument;
    pthread_mutex_lock(&hub->lock);
    if (hub->stream == stream)
        hub->stream = NULL;
    hub->closed_code = code;
    hub->closed++;
    pthread_cond_broadcast(&hub->changed);
    pthread_mutex_unlock(&hub->lock);
}

static int live(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const struct bv_http_stream_config config = {.message_bytes_max = 65536,
                                                        .queue_bytes_max = 4 << 20};
    struct hub *hub = context;
    const struct bv_http_stream_events events = {heard, closed, hub};
    const struct bv_bytes after = bv_http_query(request, "after");
    snprintf(hub->target, sizeof hub->target, "%.*s", BV_ARG(after));
    snprintf(hub->authorization,
             sizeof hub->authorization,
             "%.*s",
             BV_ARG(bv_http_header(request, "authorization")));
    snprintf(hub->traceparent,
             sizeof hub->traceparent,
             "%.*s",
             BV_ARG(bv_http_header(request, "traceparent")));
    hub->opened++; /* before the answer leaves, which the test waits for */
    return bv_http_websocket_start(request, &config, &events, &hub->stream, error);
}

static int refused(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request, (void)context;
    return bv_fail(error, BV_E_FORBIDDEN, "not for you");
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/v1/live",    .handler = live   },
    {.method = BV_GET, .path = "/v1/refused", .handler = refused},
};

static void say(void *argument)
{
    struct hub *hub = argument;
    struct bv_http_message *message = NULL;
    cr_assert_not_null(hub->stream);
    cr_assert_eq(bv_http_message_new(BV_BYTES_NONE, BV_BYTES_NONE, bv_bytes_of(hub->say), &message),
                 0);
    cr_assert_eq(bv_http_stream_send(hub->stream, message, BV_BYTES_NONE), 0);
    bv_http_message_free(&message);
}

static void shut(void *argument)
{
    struct hub *hub = argument;
    cr_assert_not_null(hub->stream);
    bv_http_stream_close(hub->stream, hub->close_with, "token expired");
}

static void hub_say(struct hub *hub, const char *text)
{
    hub->say = text;
    lab_server_call(&hub->server, say, hub);
}

static void hub_start(struct hub *hub)
{
    *hub = (struct hub){0};
    pthread_mutex_init(&hub->lock, NULL);
    pthread_cond_init(&hub->changed, NULL);
    lab_server_start(&hub->server, routes, BV_COUNT(routes), NULL, 0, hub);
}

static bool hub_wait(struct hub *hub, const int *number, int wanted)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAB_WAIT_MS / 1000;
    pthread_mutex_lock(&hub->lock);
    while (*number < wanted && rc == 0)
        rc = pthread_cond_timedwait(&hub->changed, &hub->lock, &until);
    const bool reached = *number >= wanted;
    pthread_mutex_unlock(&hub->lock);
    return reached;
}

#define LIVE_WORDS "target", "gateway", "path", "/v1/live", "identity", "customer"
#define PAID                                                                                       \
    "{\"sequence\":42,\"type\":\"ecommerce.order.paid.v1\","                                       \
    "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\","                 \
    "\"data\":{\"orderId\":\"o-1\",\"state\":\"PAID\"}}"

static void declare(struct lab *lab, struct hub *hub)
{
    lab_open(lab, &hub->server, &bv_protocol_websocket);
    cr_assert_eq(lab_declare(lab, LAB_WORDS(LIVE_WORDS)), 0, "%s", lab->error.text);
}

Test(websocket, records_a_message_with_its_type_sequence_key_and_trace)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    cr_expect_str_eq(hub.authorization, "Bearer " LAB_TOKEN);
    cr_expect_eq(strlen(hub.traceparent), 55);
    hub_say(&hub, PAID);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "type", ""), "ecommerce.order.paid.v1");
    cr_expect_str_eq(lab_probe(&lab, message, "sequence", ""), "42");
    cr_expect_str_eq(lab_probe(&lab, message, "key", ""), "o-1");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$.data.state"), "PAID");
    cr_expect_eq(message->trace.trace_id[0], 0x4b);
    cr_expect_str_eq(message->protocol, "websocket");
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, puts_a_message_of_many_reads_together)
{
    struct hub hub;
    struct lab lab;
    static char big[300000];
    memset(big, 'x', sizeof big - 1);
    hub_start(&hub);
    declare(&lab, &hub);
    hub_say(&hub, big);
    hub_say(&hub, "small");
    cr_expect_eq(lab_received(&lab, 1)->body_bytes, sizeof big - 1);
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 2), "body", ""), "small");
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, is_cut_without_a_close_frame_and_reopens_after_the_last_sequence)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    hub_say(&hub, PAID);
    (void)lab_received(&lab, 1);
    cr_assert_eq(lab_run(&lab, "is cut", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_assert(hub_wait(&hub, &hub.closed, 1), "the server does not notice");
    cr_expect_eq(hub.closed_code, 1006, "%d", hub.closed_code);
    cr_assert_eq(lab_run(&lab, "reopens", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_expect_str_eq(hub.target, "42");
    cr_expect_eq(hub.opened, 2);
    hub_say(&hub, "{\"sequence\":43,\"type\":\"x\"}");
    cr_expect_eq(lab_received(&lab, 2)->sequence, 43);
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, closes_with_a_code_and_opens_after_a_cursor)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    cr_assert_eq(lab_run(&lab, "closes", LAB_WORDS("code", "4001"), NULL), 0, "%s", lab.error.text);
    cr_assert(hub_wait(&hub, &hub.closed, 1));
    cr_expect_eq(hub.closed_code, 4001, "%d", hub.closed_code);
    cr_expect_eq(lab_count(&lab), 0, "an answered close is no message");
    cr_assert_eq(lab_run(&lab, "opens", LAB_WORDS("cursor", "7"), NULL), 0, "%s", lab.error.text);
    cr_expect_str_eq(hub.target, "7");
    cr_expect_eq(lab_run(&lab, "closes", LAB_WORDS("code", "99"), NULL), BV_E_INVALID);
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, records_the_close_of_the_server)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    hub.close_with = 1008;
    lab_server_call(&hub.server, shut, &hub);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "type", ""), "close");
    cr_expect_str_eq(lab_probe(&lab, message, "status", ""), "1008");
    cr_expect_str_eq(lab_probe(&lab, message, "body", ""), "token expired");
    cr_assert(hub_wait(&hub, &hub.closed, 1));
    int rc = lab_run(&lab, "is cut", LAB_WORDS(), NULL);
    cr_expect(rc == BV_MISMATCH || rc == 0, "%d", rc);
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, sends_texts_and_doc_strings)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    cr_assert_eq(lab_run(&lab, "sends", LAB_WORDS("text", "hello"), NULL), 0, "%s", lab.error.text);
    cr_assert_eq(lab_run(&lab, "sends", LAB_WORDS(), "{\"a\":1}"), 0, "%s", lab.error.text);
    cr_assert(hub_wait(&hub, &hub.messages, 2));
    cr_expect_str_eq(hub.heard, "hello{\"a\":1}");
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, is_red_when_the_handshake_is_refused)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    lab_open(&lab, &hub.server, &bv_protocol_websocket);
    cr_expect_eq(lab_declare(&lab, LAB_WORDS("target", "gateway", "path", "/v1/refused")),
                 BV_MISMATCH);
    cr_expect_str_eq(lab.error.text, "refused: status 403");
    cr_assert_eq(lab_run(&lab, "tries to open", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "status", ""), "403");
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, is_red_when_nobody_listens_or_no_route_serves_the_path)
{
    struct lab lab;
    lab_open(&lab, NULL, &bv_protocol_websocket);
    cr_expect_eq(lab_declare(&lab, LAB_WORDS(LIVE_WORDS)), BV_MISMATCH, "%s", lab.error.text);
    lab_close(&lab);
    lab_open(&lab, NULL, &bv_protocol_websocket);
    cr_expect_eq(lab_declare(&lab, LAB_WORDS("target", "gateway", "path", "/unknown")),
                 BV_MISMATCH);
    lab_close(&lab);
}

Test(websocket, does_not_use_the_proxy_of_the_environment)
{
    struct hub hub;
    struct lab lab;
    setenv("http_proxy", "127.0.0.1:1", 1);
    hub_start(&hub);
    declare(&lab, &hub);
    cr_expect_eq(hub.opened, 1);
    lab_close(&lab);
    lab_server_stop(&hub.server);
}

Test(websocket, stays_unconnected_when_declared_idle)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    lab_open(&lab, &hub.server, &bv_protocol_websocket);
    cr_assert_eq(lab_declare(&lab, LAB_WORDS(LIVE_WORDS, "idle", "")), 0);
    cr_expect_eq(lab_run(&lab, "is cut", LAB_WORDS(), NULL), BV_E_INVALID);
    cr_expect_eq(lab_run(&lab, "sends", LAB_WORDS("text", "x"), NULL), BV_MISMATCH);
    cr_assert_eq(lab_run(&lab, "opens", LAB_WORDS(), NULL), 0);
    cr_expect_eq(lab_run(&lab, "opens", LAB_WORDS(), NULL), BV_E_INVALID, "open already");
    cr_expect_eq(hub.opened, 1);
    lab_close(&lab);
    lab_server_stop(&hub.server);
}
