/* grpc_peer serve               serves until SIGTERM; prints its port as the first line
 * grpc_peer call HOST:PORT      calls a foreign server of peer.proto; exit status 0 when all
 * answers are as they must be
 * grpc_peer ask HOST:PORT       calls it ten times a second until SIGTERM, and prints a line per
 * answer: "ok", or the name of the error */
#include "peer.pb-c.h"
#include "peer_service.h"

#include <signal.h>
#include <stdio.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

static void stop_loop(void *argument)
{
    bv_loop_stop(argument);
}

struct serving {
    struct bv_loop *loop;
    struct bv_grpc_server *server;
};

static void on_signal(void *argument, int number)
{
    struct serving *serving = argument;
    (void)number;
    bv_grpc_server_drain(serving->server, 2000, stop_loop, serving->loop);
}

static int serve(struct bv_loop *loop)
{
    struct bv_metrics *metrics = NULL;
    struct peer_service service = {.loop = loop};
    struct serving serving = {.loop = loop};
    struct bv_signal *term = NULL;
    struct bv_error error = {0};
    struct bv_grpc_server_config config = {"127.0.0.1", 0, 1000, 1 << 20};
    int rc = bv_metrics_open(1000, &metrics);
    service.metrics = metrics;
    struct bv_grpc_deps deps = {.loop = loop, .metrics = metrics};
    if (rc == 0)
        rc = bv_grpc_server_open(&config, &deps, &serving.server);
    if (rc == 0)
        rc = peer_service_add(&service, serving.server);
    if (rc == 0)
        rc = bv_grpc_server_start(serving.server, &error);
    if (rc == 0)
        rc = bv_signal_open(loop, SIGTERM, on_signal, &serving, &term);
    if (rc == 0) {
        printf("%d\n", bv_grpc_server_port(serving.server));
        fflush(stdout);
        rc = bv_loop_run(loop);
    }
    bv_signal_close(&term);
    bv_grpc_server_close(&serving.server);
    bv_metrics_close(&metrics);
    return rc;
}

/* ---- calling ---- */

struct calling {
    struct bv_loop *loop;
    unsigned open;
    unsigned wrong;
    unsigned messages;
    struct bv_grpc_stream *stream;
};

static void
expect(struct calling *calling, bool good, const char *what, int rc, const struct bv_error *error)
{
    printf("%s %s (rc %d %s)\n", good ? "ok  " : "FAIL", what, rc, error ? error->text : "");
    calling->wrong += good ? 0 : 1;
    if (--calling->open == 0)
        bv_loop_stop(calling->loop);
}

static void
echo_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    const Bitvelocity__Peer__V1__Kinds *kinds = (const void *)reply;
    expect(argument,
           rc == 0 && kinds->an_int64 == -7 && strcmp(kinds->a_string, "grüß") == 0,
           "echo",
           rc,
           error);
}

static void
meta_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    const Bitvelocity__Peer__V1__MetaReply *meta = (const void *)reply;
    expect(argument,
           rc == 0 && strcmp(meta->value, "Bearer abc") == 0 &&
               strcmp(meta->correlation_id, "corr-1") == 0 &&
               strcmp(meta->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736") == 0 &&
               meta->left_ms > 0 && meta->left_ms <= 5100,
           "metadata, trace and deadline arrive",
           rc,
           error);
}

static void
fail_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    expect(argument,
           rc == BV_E_NOT_FOUND && !reply && strcmp(error->text, "no such thing") == 0,
           "NOT_FOUND with text",
           rc,
           error);
}

static void
delay_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    (void)reply;
    expect(argument, rc == BV_E_TIMEOUT, "the deadline ends a slow call", rc, error);
}

static void
unknown_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    (void)reply;
    expect(argument, rc == BV_E_UNIMPLEMENTED, "an unknown method", rc, error);
}

static void count_message(void *argument, const ProtobufCMessage *reply)
{
    struct calling *calling = argument;
    const Bitvelocity__Peer__V1__CountReply *count = (const void *)reply;
    if (count->number == (int32_t)++calling->messages && count->number == 5 && calling->stream)
        bv_grpc_stream_cancel(calling->stream);
}

static void
count_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    (void)reply;
    struct calling *calling = argument;
    expect(calling,
           rc == BV_E_CANCELLED && calling->messages == 5,
           "a stream is cancelled after 5 messages",
           rc,
           error);
}

#define PEER(name) "/bitvelocity.peer.v1.Peer/" name

static int call_all(struct calling *calling, struct bv_grpc_client *client)
{
    struct bv_trace trace = {0};
    BV_TRY(bv_trace_parse(BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                          &trace));
    Bitvelocity__Peer__V1__Kinds kinds = BITVELOCITY__PEER__V1__KINDS__INIT;
    kinds.an_int64 = -7;
    kinds.a_string = (char *)(uintptr_t) "grüß";
    Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
    meta.key = (char *)(uintptr_t) "authorization";
    Bitvelocity__Peer__V1__FailRequest fail = BITVELOCITY__PEER__V1__FAIL_REQUEST__INIT;
    fail.status = 5;
    fail.text = (char *)(uintptr_t) "no such thing";
    Bitvelocity__Peer__V1__DelayRequest delay = BITVELOCITY__PEER__V1__DELAY_REQUEST__INIT;
    delay.delay_ms = 1500;
    const struct {
        const char *path;
        const ProtobufCMessage *message;
        const ProtobufCMessageDescriptor *reply;
        int64_t timeout_ms;
        bv_grpc_done *done;
    } calls[] = {
        {PEER("Echo"),    &kinds.base, &bitvelocity__peer__v1__kinds__descriptor,      5000, echo_done   },
        {PEER("Meta"),    &meta.base,  &bitvelocity__peer__v1__meta_reply__descriptor, 5000, meta_done   },
        {PEER("Fail"),    &fail.base,  &bitvelocity__peer__v1__meta_reply__descriptor, 5000, fail_done   },
        {PEER("Delay"),
         &delay.base,
         &bitvelocity__peer__v1__meta_reply__descriptor,
         100,                                                                                delay_done  },
        {PEER("Unknown"),
         &delay.base,
         &bitvelocity__peer__v1__meta_reply__descriptor,
         5000,                                                                               unknown_done},
    };
    for (size_t i = 0; i < BV_COUNT(calls); i++) {
        struct bv_grpc_request request = {calls[i].path,
                                          calls[i].message,
                                          calls[i].reply,
                                          calls[i].timeout_ms,
                                          &trace,
                                          BV_BYTES("corr-1"),
                                          BV_BYTES("Bearer abc")};
        BV_TRY(bv_grpc_send(client, &request, calls[i].done, calling));
        calling->open++;
    }
    Bitvelocity__Peer__V1__CountRequest count = BITVELOCITY__PEER__V1__COUNT_REQUEST__INIT;
    count.count = 5;
    count.stay = 1;
    struct bv_grpc_request request = {.path = PEER("Count"),
                                      .message = &count.base,
                                      .reply = &bitvelocity__peer__v1__count_reply__descriptor};
    calling->open++;
    return bv_grpc_stream_open(
        client, &request, count_message, count_done, calling, &calling->stream);
}

static int call(struct bv_loop *loop, const char *target)
{
    struct calling calling = {.loop = loop};
    struct bv_grpc_client *client = NULL;
    struct bv_grpc_client_config config = {target, 100, 1 << 20};
    int rc = bv_grpc_client_open(loop, &config, &client);
    if (rc == 0)
        rc = call_all(&calling, client);
    if (rc == 0)
        rc = bv_loop_run(loop);
    bv_grpc_client_close(&client);
    return rc < 0 || calling.wrong ? 1 : 0;
}

/* ---- asking on and on ---- */

#define ASK_EVERY_MS 100
#define ASK_TIMEOUT_MS 1000

struct asking {
    struct bv_loop *loop;
    struct bv_grpc_client *client;
};

static void
asked(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    (void)argument;
    (void)reply;
    (void)error;
    printf("%s\n", rc == 0 ? "ok" : bv_error_row(rc)->name);
    fflush(stdout);
}

static void ask_due(void *argument)
{
    struct asking *asking = argument;
    Bitvelocity__Peer__V1__MetaRequest meta = BITVELOCITY__PEER__V1__META_REQUEST__INIT;
    struct bv_grpc_request request = {.path = PEER("Meta"),
                                      .message = &meta.base,
                                      .reply = &bitvelocity__peer__v1__meta_reply__descriptor,
                                      .timeout_ms = ASK_TIMEOUT_MS};
    int rc = bv_grpc_send(asking->client, &request, asked, asking);
    if (rc < 0)
        asked(asking, rc, NULL, NULL);
}

static void ask_over(void *argument, int number)
{
    (void)number;
    bv_loop_stop(((struct asking *)argument)->loop);
}

static int ask(struct bv_loop *loop, const char *target)
{
    struct asking asking = {.loop = loop};
    struct bv_timer *timer = NULL;
    struct bv_signal *term = NULL;
    struct bv_grpc_client_config config = {target, 100, 1 << 20};
    int rc = bv_grpc_client_open(loop, &config, &asking.client);
    if (rc == 0)
        rc = bv_timer_open(loop, ask_due, &asking, &timer);
    if (rc == 0)
        rc = bv_signal_open(loop, SIGTERM, ask_over, &asking, &term);
    if (rc == 0) {
        bv_timer_set(timer, 0, ASK_EVERY_MS);
        rc = bv_loop_run(loop);
    }
    bv_timer_close(&timer);
    bv_signal_close(&term);
    bv_grpc_client_close(&asking.client);
    return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct bv_loop *loop = NULL;
    if (bv_loop_open(&env, &loop) < 0)
        return 2;
    int status = 2;
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        status = serve(loop) == 0 ? 0 : 1;
    else if (argc == 3 && strcmp(argv[1], "call") == 0)
        status = call(loop, argv[2]);
    else if (argc == 3 && strcmp(argv[1], "ask") == 0)
        status = ask(loop, argv[2]);
    else
        fprintf(stderr, "usage: grpc_peer serve | call HOST:PORT | ask HOST:PORT\n");
    bv_loop_close(&loop);
    return status;
}
