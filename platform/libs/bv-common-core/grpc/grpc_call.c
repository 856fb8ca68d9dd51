#include "grpc_server.h"

#include <grpc/slice.h>
#include <stdio.h>
#include <stdlib.h>

#define SPARE_MAX 256
#define ARENA_SLACK_BYTES (64 * 1024)
#define LEAVE_MS 10000 /* for an answer to a reader that takes nothing of it */
#define EACH_MAX 64    /* calls that read one message after the other */
#define METADATA_BYTES_MAX 8192
#define ARENA_FACTOR 8 /* decoded messages are larger than encoded ones */

struct bv_grpc_call {
    struct bv_grpc_server *server;
    struct rpc_method *method;
    grpc_call *core; /* owned */
    grpc_metadata_array metadata;
    struct bv_arena *arena;         /* owned; kept while the call is a spare */
    struct bv_arena *message_arena; /* owned; of one message of a bidirectional stream, else NULL */
    struct bv_grpc_call *previous;
    struct bv_grpc_call *next;
    int64_t deadline_ms;
    int64_t leave_by_ms; /* once ended */
    int64_t start_mono_us;
    int64_t start_wall_us;
    struct bv_trace trace;
    char trace_id[33];

    struct rpc_event close_event; /* the call is over; unary: with the reply */
    struct rpc_event write_event;
    struct rpc_event read_event;
    unsigned pending;   /* events to come, and code on the stack that still needs the call */
    int peer_cancelled; /* written by the core with close_event */
    bool held;
    bool ended;  /* status decided */
    bool sent;   /* status handed to the core */
    bool broken; /* the core takes nothing any more */
    bool writing;
    bool reading;
    int code; /* BV_E_, 0 OK */
    char text[160];

    void (*cancelled)(void *argument, struct bv_grpc_call *call);
    void *cancelled_argument;
    void (*room)(void *argument, struct bv_grpc_call *call);
    void *room_argument;
    grpc_byte_buffer **queue; /* owned ring, streams only */
    size_t queue_head;
    size_t queue_count;
    grpc_byte_buffer *leaving;  /* owned; of the write under way */
    grpc_byte_buffer *incoming; /* owned; of the read under way */
};

static void call_read(struct bv_grpc_call *call);

static bool call_streams(const struct bv_grpc_call *call)
{
    return call->method && call->method->row->shape == BV_GRPC_SERVER_STREAM;
}

/* ---- start and end of a call's memory ---- */

static struct bv_grpc_call *call_new(struct bv_grpc_server *server)
{
    struct bv_grpc_call *call = server->spare;
    if (call) {
        server->spare = call->next;
        server->spare_count--;
        struct bv_arena *arena = call->arena;
        *call = (struct bv_grpc_call){.arena = arena};
    } else {
        call = calloc(1, sizeof *call);
        size_t cap = ARENA_SLACK_BYTES + ARENA_FACTOR * (size_t)server->config.message_bytes_max;
        if (!call || bv_arena_open(cap, &call->arena) < 0) {
            free(call);
            return NULL;
        }
    }
    call->server = server;
    call->next = server->calls;
    if (server->calls)
        server->calls->previous = call;
    server->calls = call;
    if (server->call_count++ == 0)
        bv_timer_set(server->sweep, 50, 50);
    return call;
}

static void call_drop_queue(struct bv_grpc_call *call)
{
    while (call->queue_count > 0) {
        grpc_byte_buffer_destroy(call->queue[call->queue_head]);
        call->queue_head = (call->queue_head + 1) % BV_GRPC_STREAM_QUEUE_MAX;
        call->queue_count--;
    }
}

static struct bv_series *
status_series(struct bv_grpc_server *server, struct rpc_method *method, int status)
{
    static const struct bv_metric total = {"bv_grpc_server_calls_total",
                                           BV_COUNTER,
                                           "Calls answered, by status code.",
                                           "method,code",
                                           NULL,
                                           0};
    if (!method->by_status[status]) {
        char number[12];
        snprintf(number, sizeof number, "%d", status);
        method->by_status[status] = bv_metrics_series(
            server->deps.metrics, &total, (const char *const[]){method->row->path, number}, 2);
    }
    return method->by_status[status];
}

static void call_report(struct bv_grpc_call *call)
{
    struct bv_grpc_server *server = call->server;
    if (!call->method)
        return;
    int code = call->code == 0 && !call->sent ? BV_E_CANCELLED : call->code;
    int status = code == 0 ? 0 : bv_error_row(code)->grpc_status;
    const struct bv_env *env = bv_loop_env(server->deps.loop);
    int64_t took_us = bv_mono_us(env) - call->start_mono_us;
    if (server->deps.metrics) {
        bv_count(status_series(server, call->method, status), 1);
        bv_observe(call->method->seconds, (double)took_us / 1e6);
    }
    bv_log(server->deps.log,
           BV_DEBUG,
           "grpc.call",
           &call->trace,
           BV_F_TEXT("method", call->method->row->path),
           BV_F_INT("status", status),
           BV_F_US("ms", took_us));
    struct bv_span_attribute attributes[] = {
        {.key = "rpc.system", .text = BV_BYTES("grpc")},
        {.key = "rpc.grpc.status_code", .text = BV_BYTES_NONE, .number = status},
    };
    struct bv_span span = {.trace = call->trace,
                           .name = call->method->row->path,
                           .kind = BV_SPAN_SERVER,
                           .start_wall_us = call->start_wall_us,
                           .end_wall_us = call->start_wall_us + took_us,
                           .error_code = code,
                           .attributes = attributes,
                           .attribute_count = BV_COUNT(attributes)};
    bv_span_finish(server->deps.spans, &span);
}

static void call_free(struct bv_grpc_call *call)
{
    struct bv_grpc_server *server = call->server;
    call_report(call);
    call_drop_queue(call);
    free(call->queue);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_unref(call->core);
    server->each_count -= call->message_arena != NULL;
    bv_arena_close(&call->message_arena);
    if (call->previous)
        call->previous->next = call->next;
    else
        server->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    if (--server->call_count == 0)
        bv_timer_clear(server->sweep);
    if (server->spare_count < SPARE_MAX) {
        bv_arena_reset(call->arena);
        call->next = server->spare;
        server->spare = call;
        server->spare_count++;
    } else {
        bv_arena_close(&call->arena);
        free(call);
    }
    rpc_server_progress(server);
}

/* Frees the call when nothing refers to it any more. The call may be gone afterwards. */
static void call_settle(struct bv_grpc_call *call)
{
    if (call->pending == 0 && !call->held)
        call_free(call);
}

void rpc_calls_release_spare(struct bv_grpc_server *server)
{
    while (server->spare) {
        struct bv_grpc_call *call = server->spare;
        server->spare = call->next;
        bv_arena_close(&call->arena);
        free(call);
    }
    server->spare_count = 0;
}

/* ---- handing things to the core ---- */

static void
call_batch(struct bv_grpc_call *call, const grpc_op *ops, size_t count, struct rpc_event *event)
{
    call->pending++;
    rpc_engine_batch(call->server->engine, call->core, ops, count, event);
}

static void call_set_status(struct bv_grpc_call *call, int code, const char *text)
{
    call->ended = true;
    call->leave_by_ms = bv_loop_now_ms(call->server->deps.loop) + LEAVE_MS;
    call->code = code;
    if (code != 0 && (!text || text[0] == '\0'))
        text = bv_error_row(code)->title;
    snprintf(call->text, sizeof call->text, "%s", text && code != 0 ? text : "");
}

static grpc_op call_status_op(struct bv_grpc_call *call, grpc_slice *details)
{
    *details = grpc_slice_from_copied_string(call->text);
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status =
        call->code == 0 ? GRPC_STATUS_OK : (grpc_status_code)bv_error_row(call->code)->grpc_status;
    op.data.send_status_from_server.status_details = call->text[0] ? details : NULL;
    call->sent = true;
    return op;
}

static void close_ran(struct rpc_event *event, bool ok)
{
    struct bv_grpc_call *call =
        (struct bv_grpc_call *)((char *)event - offsetof(struct bv_grpc_call, close_event));
    (void)ok;
    grpc_byte_buffer_destroy(call->leaving);
    call->leaving = NULL;
    if (call->peer_cancelled) {
        call->broken = true;
        call_drop_queue(call);
        rpc_call_cut(call, BV_E_CANCELLED, NULL);
        if (call->code == 0) {
            call->code = BV_E_CANCELLED; /* answered, but nobody was there to hear it */
            rpc_count(call->server->late);
        }
    }
    call->pending--;
    call_settle(call);
}

/* Everything a call without streaming sends, in one batch; with the end of the call, so that it
 * costs one event. */
static void call_answer(struct bv_grpc_call *call, grpc_byte_buffer *message)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.recv_close_on_server.cancelled = &call->peer_cancelled;
    size_t count = 2;
    if (message) {
        call->leaving = message;
        ops[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
        ops[count++].data.send_message.send_message = message;
    }
    grpc_slice details;
    ops[count++] = call_status_op(call, &details);
    call->close_event.run = close_ran;
    call_batch(call, ops, count, &call->close_event);
    grpc_slice_unref(details);
}

static void call_write(struct bv_grpc_call *call);

static void write_ran(struct rpc_event *event, bool ok)
{
    struct bv_grpc_call *call =
        (struct bv_grpc_call *)((char *)event - offsetof(struct bv_grpc_call, write_event));
    grpc_byte_buffer_destroy(call->leaving);
    call->leaving = NULL;
    call->leave_by_ms = bv_loop_now_ms(call->server->deps.loop) + LEAVE_MS;
    call->writing = false;
    if (!ok) {
        call->broken = true;
        call_drop_queue(call);
    }
    call_write(call);
    if (!call->writing && !call->ended && !call->broken && call->held && call->room)
        call->room(call->room_argument, call);
    if (call->method->reading == RPC_READ_EACH)
        call_read(call);
    call->pending--;
    call_settle(call);
}

/* Streams: one write at a time, messages first, the status last. */
static void call_write(struct bv_grpc_call *call)
{
    if (call->writing || call->broken)
        return;
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    grpc_slice details = grpc_empty_slice();
    if (call->queue_count > 0) {
        call->leaving = call->queue[call->queue_head];
        call->queue_head = (call->queue_head + 1) % BV_GRPC_STREAM_QUEUE_MAX;
        call->queue_count--;
        op.data.send_message.send_message = call->leaving;
        op.flags = call->queue_count > 0 ? GRPC_WRITE_BUFFER_HINT : 0;
    } else if (call->ended && !call->sent) {
        op = call_status_op(call, &details);
    } else {
        return;
    }
    call->writing = true;
    call_batch(call, &op, 1, &call->write_event);
    grpc_slice_unref(details);
}

static void call_open_stream(struct bv_grpc_call *call)
{
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &call->peer_cancelled;
    call->close_event.run = close_ran;
    call_batch(call, &close, 1, &call->close_event);
    grpc_op headers = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    call->write_event.run = write_ran;
    call->writing = true;
    call_batch(call, &headers, 1, &call->write_event);
}

/* ---- receiving ---- */

static void call_end_with(struct bv_grpc_call *call, int code, const char *text)
{
    if (call->ended)
        return;
    call_set_status(call, code, text);
    if (call_streams(call))
        call_write(call);
    else
        call_answer(call, NULL);
}

/* Decodes and calls the handler. The caller holds a pending count. */
static void
call_handle(struct bv_grpc_call *call, struct bv_arena *arena, grpc_byte_buffer *payload)
{
    struct bv_error error = {0};
    ProtobufCMessage *request = NULL;
    int rc = rpc_decode(arena, call->method->row->request, payload, &request);
    if (rc < 0)
        bv_fail(&error, rc, "the message is no %s", call->method->row->request->name);
    else
        rc = call->method->row->handler(call, request, call->method->context, &error);
    assert(rc <= 0);
    if (rc < 0) {
        call->held = false;
        call_end_with(call, rc, error.text);
    }
}

static void read_ran(struct rpc_event *event, bool ok)
{
    struct bv_grpc_call *call =
        (struct bv_grpc_call *)((char *)event - offsetof(struct bv_grpc_call, read_event));
    grpc_byte_buffer *payload = call->incoming;
    call->incoming = NULL;
    call->reading = false;
    if (!ok || !payload) { /* half-close, or the call broke: then close_ran says how it ends */
        call->held = false;
        if (!grpc_call_failed_before_recv_message(call->core))
            call_end_with(call, 0, NULL);
    } else if (!call->ended) {
        bv_arena_reset(call->message_arena);
        call_handle(call, call->message_arena, payload);
        call_read(call);
    }
    grpc_byte_buffer_destroy(payload);
    call->pending--;
    call_settle(call);
}

/* Reads the next message, unless answers to the last are still leaving: write_ran comes back here.
 */
static void call_read(struct bv_grpc_call *call)
{
    if (call->reading || call->writing || call->ended || call->broken)
        return;
    call->reading = true;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->incoming;
    call->read_event.run = read_ran;
    call_batch(call, &op, 1, &call->read_event);
}

static void call_clock(struct bv_grpc_call *call, gpr_timespec deadline)
{
    const struct bv_env *env = bv_loop_env(call->server->deps.loop);
    call->start_mono_us = bv_mono_us(env);
    call->start_wall_us = bv_wall_us(env);
    int64_t now_ms = call->start_mono_us / 1000;
    if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) != 0) {
        gpr_timespec left = gpr_time_sub(gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC),
                                         gpr_now(GPR_CLOCK_MONOTONIC));
        call->deadline_ms = now_ms + gpr_time_to_millis(left);
    }
    int64_t cap_ms = call->method ? call->method->row->timeout_ms : 0;
    if (cap_ms > 0 && (call->deadline_ms == 0 || call->deadline_ms > now_ms + cap_ms))
        call->deadline_ms = now_ms + cap_ms;
}

static void call_trace(struct bv_grpc_call *call)
{
    struct bv_trace parent = {0};
    bool given = bv_trace_parse(rpc_metadata_find(&call->metadata, "traceparent"), &parent) == 0;
    call->trace = bv_trace_child(bv_loop_env(call->server->deps.loop),
                                 given ? &parent : NULL,
                                 call->server->deps.trace_sample_per_million);
    bv_trace_id_format(&call->trace, call->trace_id);
}

static size_t metadata_bytes(const grpc_metadata_array *metadata)
{
    size_t bytes = 0;
    for (size_t i = 0; i < metadata->count; i++)
        bytes += GRPC_SLICE_LENGTH(metadata->metadata[i].key) +
                 GRPC_SLICE_LENGTH(metadata->metadata[i].value);
    return bytes;
}

static int
call_admit(struct bv_grpc_call *call, const struct rpc_incoming *incoming, const char **ret_text)
{
    struct bv_grpc_server *server = call->server;
    if (!incoming->method) {
        *ret_text = "no such method";
        return BV_E_UNIMPLEMENTED;
    }
    if (server->shutdown_started) {
        *ret_text = "the server is stopping";
        return BV_E_UNAVAILABLE;
    }
    if (server->call_count > (size_t)server->config.calls_max) {
        rpc_count(server->refused);
        *ret_text = "too many calls at once";
        return BV_E_LIMIT;
    }
    if (incoming->method->reading == RPC_READ_SINGLE && !incoming->payload) {
        *ret_text = "no whole request message came";
        return BV_E_INVALID;
    }
    if (metadata_bytes(&call->metadata) > METADATA_BYTES_MAX) {
        *ret_text = "too much metadata";
        return BV_E_LIMIT;
    }
    if (incoming->method->reading == RPC_READ_EACH && server->each_count >= EACH_MAX) {
        rpc_count(server->refused);
        *ret_text = "too many streams of this kind at once";
        return BV_E_LIMIT;
    }
    if (call_streams(call)) {
        call->queue = calloc(BV_GRPC_STREAM_QUEUE_MAX, sizeof(grpc_byte_buffer *));
        if (!call->queue)
            return BV_E_NOMEM;
    }
    if (incoming->method->reading == RPC_READ_EACH)
        BV_TRY(bv_arena_open(ARENA_SLACK_BYTES +
                                 ARENA_FACTOR * (size_t)server->config.message_bytes_max,
                             &call->message_arena));
    server->each_count += call->message_arena != NULL;
    return 0;
}

void rpc_call_begin(struct bv_grpc_server *server, struct rpc_incoming *incoming)
{
    struct bv_grpc_call *call = call_new(server);
    if (!call) {
        (void)grpc_call_cancel_with_status(
            incoming->core, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory", NULL);
        grpc_call_unref(incoming->core);
        grpc_metadata_array_destroy(&incoming->metadata);
        grpc_byte_buffer_destroy(incoming->payload);
        return;
    }
    call->method = incoming->method;
    call->core = incoming->core;
    call->metadata = incoming->metadata;
    call_clock(call, incoming->deadline);
    call_trace(call);
    call->pending++;
    const char *text = NULL;
    int rc = call_admit(call, incoming, &text);
    if (rc < 0) {
        call_set_status(call, rc, text);
        call_answer(call, NULL);
    } else {
        call->held = true;
        if (call_streams(call))
            call_open_stream(call);
        if (call->method->reading == RPC_READ_SINGLE)
            call_handle(call, call->arena, incoming->payload);
        /* otherwise write_ran begins to read once the headers have left */
    }
    grpc_byte_buffer_destroy(incoming->payload);
    call->pending--;
    call_settle(call);
}

/* ---- ends from outside ---- */

void rpc_call_cut(struct bv_grpc_call *call, int code, const char *text)
{
    call->pending++;
    if (!call->ended)
        call_end_with(call, code, text);
    if (call->held && call->cancelled && call_streams(call)) {
        call->held = false;
        call->cancelled(call->cancelled_argument, call);
    }
    if (call->method && call->method->reading == RPC_READ_EACH)
        call->held = false; /* nobody but this file holds it */
    call->pending--;
}

void rpc_calls_sweep(struct bv_grpc_server *server)
{
    int64_t now_ms = bv_mono_ms(bv_loop_env(server->deps.loop));
    struct bv_grpc_call *call = server->calls;
    while (call) {
        if (call->ended && !call->broken && call->leave_by_ms <= now_ms) {
            call->broken = true; /* close_ran follows */
            call_drop_queue(call);
            (void)grpc_call_cancel(call->core, NULL);
        }
        if (call->ended || call->deadline_ms == 0 || call->deadline_ms > now_ms) {
            call = call->next;
            continue;
        }
        rpc_call_cut(
            call, BV_E_TIMEOUT, NULL); /* its callback may end any other call: begin again */
        call = server->calls;
    }
}

void rpc_calls_cut_streams(struct bv_grpc_server *server)
{
    struct bv_grpc_call *call = server->calls;
    while (call) {
        if (call->ended || !call_streams(call)) {
            call = call->next;
            continue;
        }
        rpc_call_cut(call, BV_E_UNAVAILABLE, "the server is stopping");
        call = server->calls;
    }
}

void rpc_calls_forget(struct bv_grpc_server *server)
{
    struct bv_grpc_call *next = NULL;
    for (struct bv_grpc_call *call = server->calls; call; call = next) {
        next = call->next;
        call->held = false;
        call->broken = true;
        call_drop_queue(call);
        if (!call->ended) {
            call_set_status(call, BV_E_CANCELLED, NULL);
            (void)grpc_call_cancel(call->core, NULL);
        }
        call_settle(call);
    }
}

/* ---- what handlers call ---- */

struct bv_arena *bv_grpc_arena(struct bv_grpc_call *call)
{
    return call->arena;
}

const struct bv_trace *bv_grpc_trace(const struct bv_grpc_call *call)
{
    return &call->trace;
}

int64_t bv_grpc_deadline_ms(const struct bv_grpc_call *call)
{
    return call->deadline_ms;
}

struct bv_bytes bv_grpc_metadata(const struct bv_grpc_call *call, const char *key)
{
    return rpc_metadata_find(&call->metadata, key);
}

struct bv_bytes bv_grpc_correlation_id(const struct bv_grpc_call *call)
{
    struct bv_bytes given = rpc_metadata_find(&call->metadata, "correlation-id");
    return given.size > 0 && given.size <= 128 ? given : bv_bytes_of(call->trace_id);
}

int bv_grpc_reply(struct bv_grpc_call *call, const ProtobufCMessage *reply)
{
    assert(call->held);
    call->held = false;
    if (call->ended) {
        rpc_count(call->server->late);
        call_settle(call);
        return 0;
    }
    assert(!call_streams(call));
    grpc_byte_buffer *message = rpc_encode(reply);
    call_set_status(call, message ? 0 : BV_E_NOMEM, NULL);
    call_answer(call, message);
    return 0;
}

int bv_grpc_fail(struct bv_grpc_call *call, int code, const struct bv_error *error)
{
    assert(call->held);
    call->held = false;
    if (call->ended)
        rpc_count(call->server->late);
    call_end_with(call, code, error ? error->text : NULL);
    call_settle(call);
    return 0;
}

void bv_grpc_stream_on_cancel(struct bv_grpc_call *call,
                              void (*cancelled)(void *argument, struct bv_grpc_call *call),
                              void *argument)
{
    call->cancelled = cancelled;
    call->cancelled_argument = argument;
}

int bv_grpc_stream_send(struct bv_grpc_call *call, const ProtobufCMessage *message)
{
    assert(call_streams(call));
    if (call->ended || call->broken)
        return 0; /* over already; `cancelled` tells, or the holder ends it */
    if (call->queue_count == BV_GRPC_STREAM_QUEUE_MAX) {
        call_set_status(call, BV_E_LIMIT, "the reader is too slow");
        call->broken = true;
        call->held = false;
        call_drop_queue(call);
        (void)grpc_call_cancel_with_status(
            call->core, GRPC_STATUS_RESOURCE_EXHAUSTED, call->text, NULL);
        return BV_E_LIMIT;
    }
    grpc_byte_buffer *buffer = rpc_encode(message);
    if (!buffer)
        return BV_E_NOMEM;
    call->queue[(call->queue_head + call->queue_count++) % BV_GRPC_STREAM_QUEUE_MAX] = buffer;
    call_write(call);
    return 0;
}

size_t bv_grpc_stream_room(const struct bv_grpc_call *call)
{
    return BV_GRPC_STREAM_QUEUE_MAX - call->queue_count;
}

void bv_grpc_stream_on_room(struct bv_grpc_call *call,
                            void (*room)(void *argument, struct bv_grpc_call *call),
                            void *argument)
{
    call->room = room;
    call->room_argument = argument;
}

void bv_grpc_stream_end(struct bv_grpc_call *call, int code, const char *text)
{
    assert(call_streams(call));
    call->held = false;
    call_end_with(call, code, text);
    call_settle(call);
}
