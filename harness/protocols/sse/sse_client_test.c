#include "sse_client.h"

#include "lab.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct hub {
    struct lab_server server;
    struct bv_http_stream *stream; /* loop thread */
    char last_event_id[64];        /* of the last request, "-" when there was none */
    char after[64];
    char authorization[128];
    char accept[64];
    const char *id;
    const char *say;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int closed; /* guarded by lock */
};

static void closed(void *argument, struct bv_http_stream *stream, int code)
{
    struct hub *hub = argument;
    (void)code;
    pthread_mutex_lock(&hub->lock);
    if (hub->stream == stream)
        hub->stream = NULL;
    hub->closed++;
    pthread_cond_broadcast(&hub->changed);
    pthread_mutex_unlock(&hub->lock);
}

static void keep(char *out, size_t size, struct bv_bytes value)
{
    snprintf(out, size, "%.*s", value.data ? (int)value.size : 1, value.data ? value.data : "-");
}

static int stream(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const struct bv_http_stream_config config = {
        .message_bytes_max = 1024, .queue_bytes_max = 4 << 20, .retry_ms = 1000};
    struct hub *hub = context;
    const struct bv_http_stream_events events = {NULL, closed, hub};
    keep(hub->last_event_id, sizeof hub->last_event_id, bv_http_header(request, "last-event-id"));
    keep(hub->after, sizeof hub->after, bv_http_query(request, "after"));
    keep(hub->authorization, sizeof hub->authorization, bv_http_header(request, "authorization"));
    keep(hub->accept, sizeof hub->accept, bv_http_header(request, "accept"));
    return bv_http_sse_start(request, &config, &events, &hub->stream, error);
}

static int refused(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request, (void)context;
    return bv_fail(error, BV_E_FORBIDDEN, "not for you");
}

static int no_stream(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_response response = {
        .status = 200, .content_type = "text/plain", .body = BV_BYTES("data: a\n\n")};
    (void)context, (void)error;
    return bv_http_reply(request, &response);
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/v1/stream",  .handler = stream   },
    {.method = BV_GET, .path = "/v1/refused", .handler = refused  },
    {.method = BV_GET, .path = "/v1/plain",   .handler = no_stream},
};

static void say(void *argument)
{
    struct hub *hub = argument;
    struct bv_http_message *message = NULL;
    cr_assert_not_null(hub->stream);
    cr_assert_eq(
        bv_http_message_new(bv_bytes_of(hub->id), BV_BYTES_NONE, bv_bytes_of(hub->say), &message),
        0);
    cr_assert_eq(bv_http_stream_send(hub->stream, message, BV_BYTES_NONE), 0);
    bv_http_message_free(&message);
}

static void shut(void *argument)
{
    struct hub *hub = argument;
    cr_assert_not_null(hub->stream);
    bv_http_stream_close(hub->stream, 1001, "");
}

static void hub_say(struct hub *hub, const char *id, const char *text)
{
    hub->id = id;
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

static bool hub_noticed(struct hub *hub)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAB_WAIT_MS / 1000;
    pthread_mutex_lock(&hub->lock);
    while (hub->closed == 0 && rc == 0)
        rc = pthread_cond_timedwait(&hub->changed, &hub->lock, &until);
    const bool noticed = hub->closed > 0;
    pthread_mutex_unlock(&hub->lock);
    return noticed;
}

#define STREAM_WORDS "target", "gateway", "path", "/v1/stream", "identity", "customer"
#define PAID                                                                                       \
    "{\"sequence\":42,\"type\":\"ecommerce.order.paid.v1\","                                       \
    "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\","                 \
    "\"data\":{\"orderId\":\"o-1\",\"state\":\"PAID\"}}"

static void declare(struct lab *lab, struct hub *hub)
{
    lab_open(lab, &hub->server, &bv_protocol_sse);
    cr_assert_eq(lab_declare(lab, LAB_WORDS(STREAM_WORDS)), 0, "%s", lab->error.text);
}

static void end(struct lab *lab, struct hub *hub)
{
    lab_close(lab);
    lab_server_stop(&hub->server);
}

Test(sse_client, records_an_event_with_its_id_type_sequence_key_and_trace)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    cr_expect_str_eq(hub.authorization, "Bearer " LAB_TOKEN);
    cr_expect_str_eq(hub.accept, "text/event-stream");
    cr_expect_str_eq(hub.last_event_id, "-");
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "status", ""), "200");
    hub_say(&hub, "42", PAID);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "id", ""), "42");
    cr_expect_str_eq(lab_probe(&lab, message, "event", ""), "message");
    cr_expect_str_eq(lab_probe(&lab, message, "type", ""), "ecommerce.order.paid.v1");
    cr_expect_str_eq(lab_probe(&lab, message, "sequence", ""), "42");
    cr_expect_str_eq(lab_probe(&lab, message, "key", ""), "o-1");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$.data.state"), "PAID");
    cr_expect_eq(message->trace.trace_id[0], 0x4b);
    end(&lab, &hub);
}

Test(sse_client, takes_the_key_from_where_the_declaration_says)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    lab_open(&lab, &hub.server, &bv_protocol_sse);
    cr_assert_eq(lab_declare(&lab, LAB_WORDS(STREAM_WORDS, "key", "$.data.state")), 0);
    hub_say(&hub, "42", PAID);
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 1), "key", ""), "PAID");
    end(&lab, &hub);
    hub_start(&hub);
    lab_open(&lab, &hub.server, &bv_protocol_sse);
    cr_expect_eq(lab_declare(&lab, LAB_WORDS(STREAM_WORDS, "key", "data.state")), BV_E_INVALID);
    end(&lab, &hub);
}

Test(sse_client, is_cut_and_reconnects_with_the_last_id)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    hub_say(&hub, "42", PAID);
    (void)lab_received(&lab, 1);
    cr_assert_eq(lab_run(&lab, "is cut", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_assert(hub_noticed(&hub));
    cr_assert_eq(lab_run(&lab, "reconnects", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_expect_str_eq(hub.last_event_id, "42");
    hub_say(&hub, "43", "{\"sequence\":43}");
    cr_expect_eq(lab_received(&lab, 2)->sequence, 43);
    end(&lab, &hub);
}

Test(sse_client, resumes_from_a_given_id)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    lab_open(&lab, &hub.server, &bv_protocol_sse);
    cr_assert_eq(lab_declare(&lab, LAB_WORDS(STREAM_WORDS, "idle", "")), 0);
    cr_assert_eq(
        lab_run(&lab, "resumes", LAB_WORDS("last event id", "7"), NULL), 0, "%s", lab.error.text);
    cr_expect_str_eq(hub.last_event_id, "7");
    cr_assert_eq(lab_run(&lab, "closes", LAB_WORDS(), NULL), 0);
    cr_assert(hub_noticed(&hub));
    cr_assert_eq(lab_run(&lab, "opens", LAB_WORDS("cursor", "9"), NULL), 0);
    cr_expect_str_eq(hub.last_event_id, "-");
    cr_expect_str_eq(hub.after, "9");
    end(&lab, &hub);
}

Test(sse_client, notes_the_end_of_the_stream)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    declare(&lab, &hub);
    lab_server_call(&hub.server, shut, &hub);
    cr_expect(lab_noted(&lab, "the server ended the stream"));
    cr_expect_eq(lab_count(&lab), 0);
    end(&lab, &hub);
}

Test(sse_client, is_red_when_the_answer_is_no_stream)
{
    static const char *const paths[] = {"/v1/refused", "/v1/plain", "/v1/nowhere"};
    static const char *const statuses[] = {"403", "200", "404"};
    for (size_t i = 0; i < BV_COUNT(paths); i++) {
        struct hub hub;
        struct lab lab;
        hub_start(&hub);
        lab_open(&lab, &hub.server, &bv_protocol_sse);
        cr_expect_eq(lab_declare(&lab, LAB_WORDS("target", "gateway", "path", paths[i])),
                     BV_MISMATCH,
                     "%s",
                     paths[i]);
        cr_assert_eq(lab_run(&lab, "tries to open", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
        cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "status", ""), statuses[i]);
        cr_expect_eq(lab_count(&lab), 0);
        end(&lab, &hub);
    }
}

Test(sse_client, shows_what_a_refusal_says)
{
    struct hub hub;
    struct lab lab;
    hub_start(&hub);
    lab_open(&lab, &hub.server, &bv_protocol_sse);
    cr_assert_eq(
        lab_declare(&lab, LAB_WORDS("target", "gateway", "path", "/v1/refused", "idle", "")), 0);
    cr_assert_eq(lab_run(&lab, "tries to open", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "header", "Content-Type"),
                     "application/problem+json");
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "json", "$.code"), "forbidden");
    end(&lab, &hub);
}

Test(sse_client, is_red_when_nobody_listens)
{
    struct lab lab;
    setenv("http_proxy", "127.0.0.1:1", 1);
    lab_open(&lab, NULL, &bv_protocol_sse);
    cr_expect_eq(lab_declare(&lab, LAB_WORDS(STREAM_WORDS)), BV_MISMATCH);
    cr_expect(lab_noted(&lab, "no answer"));
    lab_close(&lab);
}

/* A page without end where a stream was asked for, until the client has had enough. */
static void *serve_endless(void *argument)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n";
    static const char text[65536];
    const int fd = accept(*(int *)argument, NULL, NULL);
    ssize_t sent = send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
    while (sent > 0)
        sent = send(fd, text, sizeof text, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

Test(sse_client, an_answer_without_end_that_is_no_stream_is_refused, .timeout = 20)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;
    struct lab lab;
    lab_open(&lab, NULL, &bv_protocol_sse);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    cr_assert_eq(pthread_create(&thread, NULL, serve_endless, &fd), 0);
    snprintf(lab.url, sizeof lab.url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    lab.lab.timeout_ms = 3600000;
    cr_expect_eq(lab_declare(&lab, LAB_WORDS("target", "gateway", "path", "/endless")),
                 BV_MISMATCH);
    cr_expect(strstr(lab.error.text, "status 200, text/html"), "%s", lab.error.text);
    cr_assert_eq(pthread_join(thread, NULL), 0, "the client has left");
    lab_close(&lab);
    close(fd);
}
