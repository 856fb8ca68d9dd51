#include "peer_service.h"
#include "peer.pb-c.h"

#include <stdlib.h>

#define DELAY_CAP_MS 2000

extern const struct bv_bytes peer_descriptors;

static int peer_echo(struct bv_grpc_call *call,
                     const ProtobufCMessage *message,
                     void *context,
                     struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_grpc_reply(call, message);
}

static int64_t left_ms(struct peer_service *service, const struct bv_grpc_call *call)
{
    int64_t deadline_ms = bv_grpc_deadline_ms(call);
    return deadline_ms ? deadline_ms - bv_mono_ms(bv_loop_env(service->loop)) : -1;
}

static int peer_meta(struct bv_grpc_call *call,
                     const ProtobufCMessage *message,
                     void *context,
                     struct bv_error *error)
{
    (void)error;
    const Bitvelocity__Peer__V1__MetaRequest *request = (const void *)message;
    struct bv_arena *arena = bv_grpc_arena(call);
    Bitvelocity__Peer__V1__MetaReply reply = BITVELOCITY__PEER__V1__META_REPLY__INIT;
    char trace_id[33];
    bv_trace_id_format(bv_grpc_trace(call), trace_id);
    reply.value = bv_arena_text(arena, bv_grpc_metadata(call, request->key));
    reply.correlation_id = bv_arena_text(arena, bv_grpc_correlation_id(call));
    reply.trace_id = trace_id;
    reply.left_ms = left_ms(context, call);
    return bv_grpc_reply(call, &reply.base);
}

static int code_of(int status)
{
#define ROW(name, http, grpc, word, title) {name, grpc},
    static const int rows[][2] = {BV_ERROR_LIST(ROW)};
#undef ROW
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        if (rows[i][1] == status)
            return rows[i][0];
    return BV_E_INTERNAL;
}

static int peer_fail(struct bv_grpc_call *call,
                     const ProtobufCMessage *message,
                     void *context,
                     struct bv_error *error)
{
    (void)call;
    (void)context;
    const Bitvelocity__Peer__V1__FailRequest *request = (const void *)message;
    return bv_fail(error, code_of(request->status), "%s", request->text);
}

struct delayed {
    struct peer_service *service;
    struct bv_grpc_call *call;
    struct bv_timer *timer;
};

static void delay_due(void *argument)
{
    struct delayed *delayed = argument;
    Bitvelocity__Peer__V1__MetaReply reply = BITVELOCITY__PEER__V1__META_REPLY__INIT;
    delayed->service->delayed--;
    bv_timer_close(&delayed->timer);
    (void)bv_grpc_reply(delayed->call, &reply.base);
    free(delayed);
}

static int peer_delay(struct bv_grpc_call *call,
                      const ProtobufCMessage *message,
                      void *context,
                      struct bv_error *error)
{
    struct peer_service *service = context;
    const Bitvelocity__Peer__V1__DelayRequest *request = (const void *)message;
    struct delayed *delayed = calloc(1, sizeof *delayed);
    if (!delayed)
        return bv_fail(error, BV_E_NOMEM, "no memory");
    *delayed = (struct delayed){service, call, NULL};
    int rc = bv_timer_open(service->loop, delay_due, delayed, &delayed->timer);
    if (rc < 0) {
        free(delayed);
        return rc;
    }
    service->delayed++;
    bv_timer_set(delayed->timer, request->delay_ms, 0);
    return 0;
}

static void count_gone(void *argument, struct bv_grpc_call *call)
{
    (void)call;
    ((struct peer_service *)argument)->cancelled++;
}

static int peer_count(struct bv_grpc_call *call,
                      const ProtobufCMessage *message,
                      void *context,
                      struct bv_error *error)
{
    struct peer_service *service = context;
    const Bitvelocity__Peer__V1__CountRequest *request = (const void *)message;
    char *fill = bv_arena_alloc(bv_grpc_arena(call), (size_t)request->fill_bytes + 1);
    if (!fill)
        return bv_fail(error, BV_E_TOO_LARGE, "fill_bytes is too large");
    memset(fill, 'x', (size_t)request->fill_bytes);
    bool stay = request->stay != 0;
    int32_t count = request->count;
    bv_grpc_stream_on_cancel(call, count_gone, service);
    for (int32_t i = 1; i <= count; i++) {
        Bitvelocity__Peer__V1__CountReply reply = BITVELOCITY__PEER__V1__COUNT_REPLY__INIT;
        reply.number = i;
        reply.fill = fill;
        if (bv_grpc_stream_send(call, &reply.base) < 0) {
            service->limited++;
            return 0;
        }
    }
    if (!stay)
        bv_grpc_stream_end(call, 0, NULL);
    return 0;
}

#define METRICS_BYTES_MAX (64 * 1024)

static int peer_metrics(struct bv_grpc_call *call,
                        const ProtobufCMessage *message,
                        void *context,
                        struct bv_error *error)
{
    (void)message;
    const struct peer_service *service = context;
    Bitvelocity__Peer__V1__MetricsReply reply = BITVELOCITY__PEER__V1__METRICS_REPLY__INIT;
    struct bv_buf text = {.max = METRICS_BYTES_MAX};
    if (service->metrics)
        bv_metrics_print(service->metrics, &text);
    int rc = bv_buf_char(&text, '\0');
    if (rc == 0) {
        reply.text = text.data;
        rc = bv_grpc_reply(call, &reply.base);
    } else {
        rc = bv_fail(error, rc, "too many metrics");
    }
    bv_buf_release(&text);
    return rc;
}

#define PEER(name) "/bitvelocity.peer.v1.Peer/" name
static const struct bv_grpc_method peer_rows[] = {
    {PEER("Echo"),
     BV_GRPC_UNARY,         &bitvelocity__peer__v1__kinds__descriptor,
     &bitvelocity__peer__v1__kinds__descriptor,
     peer_echo,    5000        },
    {PEER("Meta"),
     BV_GRPC_UNARY,         &bitvelocity__peer__v1__meta_request__descriptor,
     &bitvelocity__peer__v1__meta_reply__descriptor,
     peer_meta,    0           },
    {PEER("Fail"),
     BV_GRPC_UNARY,         &bitvelocity__peer__v1__fail_request__descriptor,
     &bitvelocity__peer__v1__meta_reply__descriptor,
     peer_fail,    5000        },
    {PEER("Delay"),
     BV_GRPC_UNARY,         &bitvelocity__peer__v1__delay_request__descriptor,
     &bitvelocity__peer__v1__meta_reply__descriptor,
     peer_delay,   DELAY_CAP_MS},
    {PEER("Count"),
     BV_GRPC_SERVER_STREAM, &bitvelocity__peer__v1__count_request__descriptor,
     &bitvelocity__peer__v1__count_reply__descriptor,
     peer_count,   0           },
    {PEER("Metrics"),
     BV_GRPC_UNARY,         &bitvelocity__peer__v1__metrics_request__descriptor,
     &bitvelocity__peer__v1__metrics_reply__descriptor,
     peer_metrics, 5000        },
};

int peer_service_add(struct peer_service *service, struct bv_grpc_server *server)
{
    BV_TRY(bv_grpc_server_methods(server, peer_rows, BV_COUNT(peer_rows), service));
    return bv_grpc_server_reflection(server, peer_descriptors);
}
