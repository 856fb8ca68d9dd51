/* Unary calls are one batch and one event. A stream is three kinds of events: headers sent, each
 * message, the status; it is over when the status is here and none of the others is pending. */
#include "bv/grpc.h"
#include "grpc_engine.h"
#include "grpc_wire.h"

#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>

#define METADATA_MAX 3
#define RECONNECT_FIRST_MS 100
#define CONNECT_TIMEOUT_MS 2000 /* of one attempt: a busy machine takes its time */
#define RECONNECT_MAX_MS 2000
#define KEEPALIVE_MS 10000     /* a silent peer with calls of ours is asked whether it is there */
#define KEEPALIVE_WAIT_MS 5000 /* and when it does not say so, the connection is made anew */
#define ARENA_SLACK_BYTES (64 * 1024)
#define ARENA_FACTOR 8

struct bv_grpc_client {
    struct bv_loop *loop;
    struct rpc_engine *engine; /* owned */
    grpc_channel *channel;     /* owned */
    struct bv_arena *arena;    /* owned; of the reply being delivered */
    int64_t calls_max;
    int64_t call_count;
    struct bv_grpc_stream *calls; /* list */
};

struct bv_grpc_stream { /* unary calls too */
    struct bv_grpc_client *client;
    struct bv_grpc_stream *previous;
    struct bv_grpc_stream *next;
    grpc_call *core; /* owned */
    const ProtobufCMessageDescriptor *reply;
    bv_grpc_message *message; /* NULL: unary */
    bv_grpc_done *done;
    void *argument;

    struct rpc_event send_event;
    struct rpc_event read_event;
    struct rpc_event status_event;
    unsigned pending;
    bool cancelled;
    int code; /* fault of our own (a reply that does not decode); wins over the status */

    grpc_byte_buffer *outgoing; /* owned */
    grpc_byte_buffer *incoming; /* owned */
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice details;
};

int bv_grpc_client_open(struct bv_loop *loop,
                        const struct bv_grpc_client_config *config,
                        struct bv_grpc_client **ret_client)
{
    struct bv_grpc_client *client = calloc(1, sizeof *client);
    if (!client)
        return BV_E_NOMEM;
    client->loop = loop;
    client->calls_max = config->calls_max;
    int rc = bv_arena_open(ARENA_SLACK_BYTES + ARENA_FACTOR * (size_t)config->message_bytes_max,
                           &client->arena);
    if (rc == 0)
        rc = rpc_engine_open(loop, &client->engine);
    if (rc < 0) {
        bv_grpc_client_close(&client);
        return rc;
    }
    grpc_arg list[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = (int)config->message_bytes_max                                        },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
         .value.integer = RECONNECT_FIRST_MS                                                    },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
         .value.integer = CONNECT_TIMEOUT_MS                                                    },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
         .value.integer = RECONNECT_MAX_MS                                                      },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_KEEPALIVE_TIME_MS,
         .value.integer = KEEPALIVE_MS                                                          },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
         .value.integer = KEEPALIVE_WAIT_MS                                                     },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA,
         .value.integer = 0                                                                     },
        {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ENABLE_RETRIES,            .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ENABLE_HTTP_PROXY,         .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, .value.integer = 1},
    };
    grpc_channel_args args = {BV_COUNT(list), list};
    grpc_channel_credentials *open_to_all = grpc_insecure_credentials_create();
    client->channel = grpc_channel_create(config->target, open_to_all, &args);
    grpc_channel_credentials_release(open_to_all);
    *ret_client = client;
    return 0;
}

void bv_grpc_client_close(struct bv_grpc_client **client_at)
{
    struct bv_grpc_client *client = *client_at;
    if (!client)
        return;
    *client_at = NULL;
    client->calls_max = 0; /* callbacks may not start new calls */
    for (struct bv_grpc_stream *call = client->calls; call; call = call->next)
        bv_grpc_stream_cancel(call);
    if (client->engine)
        rpc_engine_drain(client->engine);
    if (client->channel)
        grpc_channel_destroy(client->channel);
    rpc_engine_close(&client->engine);
    bv_arena_close(&client->arena);
    free(client);
}

/* ---- one call ---- */

static void call_free(struct bv_grpc_stream *call)
{
    struct bv_grpc_client *client = call->client;
    if (call->previous)
        call->previous->next = call->next;
    else
        client->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    client->call_count--;
    grpc_byte_buffer_destroy(call->outgoing);
    grpc_byte_buffer_destroy(call->incoming);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_slice_unref(call->details);
    if (call->core)
        grpc_call_unref(call->core);
    free(call);
}

static int
call_decode(struct bv_grpc_stream *call, ProtobufCMessage **ret_reply, struct bv_error *error)
{
    bv_arena_reset(call->client->arena);
    int rc = call->incoming
                 ? rpc_decode(call->client->arena, call->reply, call->incoming, ret_reply)
                 : BV_E_PROTOCOL;
    if (rc < 0)
        (void)bv_fail(error, BV_E_PROTOCOL, "the reply is no %.100s", call->reply->name);
    return rc < 0 ? BV_E_PROTOCOL : 0;
}

static int call_result(struct bv_grpc_stream *call, struct bv_error *error)
{
    if (call->code < 0)
        return bv_fail(error, call->code, "a reply is no %.100s", call->reply->name);
    int rc = call->cancelled ? BV_E_CANCELLED : rpc_code_of_status(call->status);
    if (rc < 0) {
        struct bv_bytes text = rpc_slice_bytes(&call->details);
        (void)bv_fail(error,
                      rc,
                      "%.*s",
                      (int)(text.size < 150 ? text.size : 150),
                      text.data ? text.data : "");
    }
    return rc;
}

static void unary_ran(struct rpc_event *event, bool ok)
{
    struct bv_grpc_stream *call =
        (struct bv_grpc_stream *)((char *)event - offsetof(struct bv_grpc_stream, status_event));
    (void)ok; /* always true with a status */
    struct bv_error error = {0};
    ProtobufCMessage *reply = NULL;
    int rc = call_result(call, &error);
    if (rc == 0)
        rc = call_decode(call, &reply, &error);
    call->done(call->argument, rc, rc == 0 ? reply : NULL, &error);
    call_free(call);
}

static void stream_settle(struct bv_grpc_stream *call)
{
    if (call->pending > 0)
        return;
    struct bv_error error = {0};
    int rc = call_result(call, &error);
    call->done(call->argument, rc, NULL, &error);
    call_free(call);
}

static void
stream_batch(struct bv_grpc_stream *call, const grpc_op *ops, size_t count, struct rpc_event *event)
{
    call->pending++;
    rpc_engine_batch(call->client->engine, call->core, ops, count, event);
}

static void stream_read(struct bv_grpc_stream *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->incoming;
    stream_batch(call, &op, 1, &call->read_event);
}

static void stream_read_ran(struct rpc_event *event, bool ok)
{
    struct bv_grpc_stream *call =
        (struct bv_grpc_stream *)((char *)event - offsetof(struct bv_grpc_stream, read_event));
    if (ok && call->incoming) {
        struct bv_error error = {0};
        ProtobufCMessage *reply = NULL;
        if (!call->cancelled && call->code == 0) {
            int rc = call_decode(call, &reply, &error);
            if (rc == 0) {
                call->message(call->argument, reply);
            } else {
                call->code = rc;
                (void)grpc_call_cancel(call->core, NULL);
            }
        }
        grpc_byte_buffer_destroy(call->incoming);
        call->incoming = NULL;
        stream_read(call);
    }
    call->pending--;
    stream_settle(call);
}

static void stream_other_ran(struct bv_grpc_stream *call)
{
    call->pending--;
    stream_settle(call);
}

static void stream_send_ran(struct rpc_event *event, bool ok)
{
    (void)ok;
    stream_other_ran(
        (struct bv_grpc_stream *)((char *)event - offsetof(struct bv_grpc_stream, send_event)));
}

static void stream_status_ran(struct rpc_event *event, bool ok)
{
    (void)ok;
    stream_other_ran(
        (struct bv_grpc_stream *)((char *)event - offsetof(struct bv_grpc_stream, status_event)));
}

void bv_grpc_stream_cancel(struct bv_grpc_stream *stream)
{
    stream->cancelled = true;
    (void)grpc_call_cancel(stream->core, NULL);
}

/* ---- starting ---- */

static size_t request_metadata(const struct bv_grpc_request *request, grpc_metadata *entries)
{
    size_t count = 0;
    char traceparent[BV_TRACEPARENT_SIZE];
    if (request->trace && bv_trace_present(request->trace)) {
        bv_trace_format(request->trace, traceparent);
        entries[count++] = (grpc_metadata){grpc_slice_from_static_string("traceparent"),
                                           grpc_slice_from_copied_string(traceparent),
                                           {{0}}};
    }
    const struct {
        const char *key;
        struct bv_bytes value;
    } others[] = {
        {"correlation-id", request->correlation_id},
        {"authorization",  request->authorization },
    };
    for (size_t i = 0; i < BV_COUNT(others); i++)
        if (others[i].value.data)
            entries[count++] = (grpc_metadata){
                grpc_slice_from_static_string(others[i].key),
                grpc_slice_from_copied_buffer(others[i].value.data, others[i].value.size),
                {{0}}};
    return count;
}

static int call_new(struct bv_grpc_client *client,
                    const struct bv_grpc_request *request,
                    struct bv_grpc_stream **ret_call)
{
    if (client->call_count >= client->calls_max)
        return BV_E_LIMIT;
    struct bv_grpc_stream *call = calloc(1, sizeof *call);
    if (!call)
        return BV_E_NOMEM;
    call->client = client;
    call->reply = request->reply;
    call->details = grpc_empty_slice();
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    call->next = client->calls;
    if (client->calls)
        client->calls->previous = call;
    client->calls = call;
    client->call_count++;
    call->outgoing = rpc_encode(request->message);
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (request->timeout_ms > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_millis(request->timeout_ms, GPR_TIMESPAN));
    grpc_slice path = grpc_slice_from_copied_string(request->path);
    call->core = grpc_channel_create_call(client->channel,
                                          NULL,
                                          GRPC_PROPAGATE_DEFAULTS,
                                          rpc_engine_queue(client->engine),
                                          path,
                                          NULL,
                                          deadline,
                                          NULL);
    grpc_slice_unref(path);
    *ret_call = call;
    return 0;
}

static bool metadata_legal(const grpc_metadata *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!grpc_header_nonbin_value_is_legal(entries[i].value))
            return false;
    return true;
}

/* Sends the request, with the receiving operations of the shape. */
static int call_start(struct bv_grpc_stream *call, const struct bv_grpc_request *request)
{
    grpc_metadata entries[METADATA_MAX];
    size_t count = request_metadata(request, entries);
    int rc = 0;
    if (!metadata_legal(entries, count)) {
        rc = BV_E_INVALID;
    } else {
        grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                          {.op = GRPC_OP_SEND_MESSAGE},
                          {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                          {.op = GRPC_OP_RECV_INITIAL_METADATA},
                          {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
                          {.op = GRPC_OP_RECV_MESSAGE}};
        ops[0].data.send_initial_metadata.count = count;
        ops[0].data.send_initial_metadata.metadata = entries;
        ops[1].data.send_message.send_message = call->outgoing;
        ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
        ops[4].data.recv_status_on_client.trailing_metadata = &call->trailing;
        ops[4].data.recv_status_on_client.status = &call->status;
        ops[4].data.recv_status_on_client.status_details = &call->details;
        ops[5].data.recv_message.recv_message = &call->incoming;
        if (call->message) {
            stream_batch(call, ops, 4, &call->send_event);
            stream_batch(call, &ops[4], 1, &call->status_event);
            stream_read(call);
        } else {
            rpc_engine_batch(call->client->engine, call->core, ops, 6, &call->status_event);
        }
    }
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(entries[i].value);
    return rc;
}

int bv_grpc_send(struct bv_grpc_client *client,
                 const struct bv_grpc_request *request,
                 bv_grpc_done *done,
                 void *argument)
{
    assert(request->timeout_ms > 0);
    struct bv_grpc_stream *call = NULL;
    BV_TRY(call_new(client, request, &call));
    call->done = done;
    call->argument = argument;
    call->status_event.run = unary_ran;
    int rc = call_start(call, request);
    if (rc < 0)
        call_free(call);
    return rc;
}

int bv_grpc_stream_open(struct bv_grpc_client *client,
                        const struct bv_grpc_request *request,
                        bv_grpc_message *message,
                        bv_grpc_done *done,
                        void *argument,
                        struct bv_grpc_stream **ret_stream)
{
    struct bv_grpc_stream *call = NULL;
    BV_TRY(call_new(client, request, &call));
    call->message = message;
    call->done = done;
    call->argument = argument;
    call->send_event.run = stream_send_ran;
    call->read_event.run = stream_read_ran;
    call->status_event.run = stream_status_ran;
    int rc = call_start(call, request);
    if (rc < 0) {
        call_free(call);
        return rc;
    }
    *ret_stream = call;
    return 0;
}
