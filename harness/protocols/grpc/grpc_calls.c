/* The actor's thread runs a loop with one client on it. A call is made by the scenario's thread
 * (request and texts in an arena of the call), handed to the loop, and ends there: what it brought
 * is recorded, then the call is freed.
 *
 *   scenario: request -> record sent -> post ............ await the answer in the recording
 *   loop:                                start -> done -> record received -> free */
#include "grpc_calls.h"

#include "bv/expression.h"
#include "bv/grpc.h"
#include "grpc_methods.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CALLS_MAX = 64,
    MESSAGE_BYTES_MAX = 4 << 20,
    CALL_ARENA_BYTES_MAX = 16 << 20,
    FIELDS_MAX = 4,
    LATE_US = 1000000, /* how long after its own deadline a call may still be answered with
                          DEADLINE_EXCEEDED */
};

struct grpc {
    struct bv_actor *actor;
    const char *address;      /* lives as long as the lab */
    struct bv_bytes identity; /* arena of the lab */
    const char *key_path;     /* arena of the lab; NULL: messages have no key */
    struct bv_loop *loop;     /* the actor's thread's, but for bv_loop_post and bv_loop_stop */
    pthread_t thread;
    bool running;

    /* Thread: the actor's own. */
    struct bv_grpc_client *client;
    struct grpc_call *streams; /* list */
    bool closing;              /* nothing is recorded any more */

    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    pthread_mutex_t lock;   /* guards what follows */
    enum { STARTING, READY, FAILED } state;
    size_t stream_count;
};

/* Owned by whoever runs it: the scenario's thread until it is posted, the loop then. */
struct grpc_call {
    struct grpc *grpc;
    struct bv_arena *arena; /* owned; holds this struct's texts and message, and what an answer is
                               recorded from */
    struct grpc_method method;
    ProtobufCMessage *message;
    struct bv_http_field fields[FIELDS_MAX];
    size_t field_count;
    struct bv_trace trace;
    int64_t timeout_ms;
    uint64_t sent_id;
    int64_t sent_us;
    int64_t answers; /* messages of a stream so far */
    struct bv_grpc_stream *stream;
    struct grpc_call *next; /* in grpc->streams */
};

static void call_free(struct grpc_call *call)
{
    bv_arena_close(&call->arena);
    free(call);
}

static struct bv_bytes field_of(const struct grpc_call *call, const char *name)
{
    for (size_t i = 0; i < call->field_count; i++)
        if (strcmp(call->fields[i].name, name) == 0)
            return call->fields[i].value;
    return BV_BYTES_NONE;
}

/* ---- what arrives (the actor's own thread) ---- */

static struct bv_bytes json_of(const ProtobufCMessage *message, struct bv_buf *buf)
{
    return message && bv_pb_to_json(buf, message) == 0 ? bv_buf_view(buf) : BV_BYTES_NONE;
}

static void read_key(struct grpc_call *call, struct bv_message *message)
{
    const struct bv_json *root = NULL;
    const struct bv_json *key = NULL;
    bv_arena_reset(call->arena); /* the request has left, and its texts are not used after that */
    if (call->grpc->key_path && bv_json_parse(call->arena, message->body, &root, NULL) == 0 &&
        bv_path_find(root, bv_bytes_of(call->grpc->key_path), &key, NULL) == 0)
        message->key = bv_json_string(key);
}

static struct bv_message answer_of(const struct grpc_call *call, int64_t status)
{
    struct bv_message message = {
        .direction = BV_RECEIVED,
        .type = bv_bytes_of(call->method.name),
        .status = status,
        .sequence = BV_NO_NUMBER,
        .answers = call->sent_id,
        .trace = call->trace,
        .mono_us = bv_mono_us(call->grpc->actor->lab->env),
    };
    message.latency_us = message.mono_us - call->sent_us;
    return message;
}

static void record_answer(struct grpc_call *call,
                          int rc,
                          const ProtobufCMessage *reply,
                          const struct bv_error *error)
{
    char summary[300];
    bv_auto(bv_buf_release) struct bv_buf json = {.max = MESSAGE_BYTES_MAX * 2};
    const int64_t status = rc == 0 ? 0 : bv_error_row(rc)->grpc_status;
    struct bv_message message = answer_of(call, status);
    const struct bv_http_field text = {"grpc-message", bv_bytes_of(error ? error->text : "")};
    snprintf(summary,
             sizeof summary,
             "%s -> %s%s%s",
             call->method.name,
             grpc_status_word(status),
             rc ? ": " : "",
             rc && error ? error->text : "");
    message.summary = bv_bytes_of(summary);
    if (rc != 0) {
        message.fields = &text;
        message.field_count = 1;
    } else {
        message.body = json_of(reply, &json);
        message.media_type = BV_BYTES("application/json");
        read_key(call, &message);
    }
    (void)bv_actor_record(call->grpc->actor, &message, NULL);
}

static void
call_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    struct grpc_call *call = argument;
    if (!call->grpc->closing)
        record_answer(call, rc, reply, error);
    call_free(call);
}

static void stream_message(void *argument, const ProtobufCMessage *reply)
{
    struct grpc_call *call = argument;
    char summary[128];
    bv_auto(bv_buf_release) struct bv_buf json = {.max = MESSAGE_BYTES_MAX * 2};
    struct bv_message message = answer_of(call, BV_NO_NUMBER);
    message.sequence = ++call->answers;
    message.body = json_of(reply, &json);
    message.media_type = BV_BYTES("application/json");
    if (call->answers > 1)
        message.latency_us = 0;
    read_key(call, &message);
    snprintf(summary, sizeof summary, "%s #%lld", call->method.name, (long long)call->answers);
    message.summary = bv_bytes_of(summary);
    (void)bv_actor_record(call->grpc->actor, &message, NULL);
}

static void stream_left(struct grpc *grpc)
{
    pthread_mutex_lock(&grpc->lock);
    grpc->stream_count--;
    pthread_cond_broadcast(&grpc->changed);
    pthread_mutex_unlock(&grpc->lock);
}

/* The end of a stream is a note: it is none of the messages that a story counts. */
static void
stream_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    struct grpc_call *call = argument;
    struct grpc *grpc = call->grpc;
    char summary[300];
    const int64_t status = rc == 0 ? 0 : bv_error_row(rc)->grpc_status;
    struct bv_message message = answer_of(call, status);
    (void)reply;
    message.direction = BV_NOTE;
    message.latency_us = 0;
    snprintf(summary,
             sizeof summary,
             "%s ended: %s%s%s",
             call->method.name,
             grpc_status_word(status),
             error && error->text[0] ? ": " : "",
             error ? error->text : "");
    message.summary = bv_bytes_of(summary);
    if (!grpc->closing)
        (void)bv_actor_record(grpc->actor, &message, NULL);
    for (struct grpc_call **at = &grpc->streams; *at; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            break;
        }
    }
    call_free(call);
    stream_left(grpc);
}

/* ---- on the loop ---- */

static struct bv_grpc_request request_of(const struct grpc_call *call)
{
    return (struct bv_grpc_request){
        .path = call->method.path,
        .message = call->message,
        .reply = call->method.reply,
        .timeout_ms = call->timeout_ms,
        .trace = &call->trace,
        .correlation_id = field_of(call, "correlation-id"),
        .authorization = field_of(call, "authorization"),
    };
}

static void start_call(void *argument)
{
    struct grpc_call *call = argument;
    struct bv_error error = {0};
    const struct bv_grpc_request request = request_of(call);
    const int rc = bv_grpc_send(call->grpc->client, &request, call_done, call);
    if (rc < 0) {
        bv_fail(&error, rc, "the call cannot be made: %s", bv_error_row(rc)->title);
        call_done(call, rc, NULL, &error);
    }
}

static void start_stream(void *argument)
{
    struct grpc_call *call = argument;
    struct grpc *grpc = call->grpc;
    struct bv_error error = {0};
    const struct bv_grpc_request request = request_of(call);
    call->next = grpc->streams;
    grpc->streams = call;
    const int rc = bv_grpc_stream_open(
        grpc->client, &request, stream_message, stream_done, call, &call->stream);
    if (rc < 0) {
        bv_fail(&error, rc, "the stream cannot be opened: %s", bv_error_row(rc)->title);
        stream_done(call, rc, NULL, &error);
    }
}

static void stop_streams(void *argument)
{
    struct grpc *grpc = argument;
    for (struct grpc_call *call = grpc->streams; call; call = call->next)
        bv_grpc_stream_cancel(call->stream);
}

static void set_state(struct grpc *grpc, int state)
{
    pthread_mutex_lock(&grpc->lock);
    grpc->state = state == 0 ? READY : FAILED;
    pthread_cond_broadcast(&grpc->changed);
    pthread_mutex_unlock(&grpc->lock);
}

static void *run(void *argument)
{
    struct grpc *grpc = argument;
    const struct bv_grpc_client_config config = {grpc->address, CALLS_MAX, MESSAGE_BYTES_MAX};
    pthread_setname_np(pthread_self(), "lab-grpc");
    int rc = bv_loop_open(grpc->actor->lab->env, &grpc->loop);
    if (rc == 0)
        rc = bv_grpc_client_open(grpc->loop, &config, &grpc->client);
    set_state(grpc, rc);
    if (rc == 0)
        rc = bv_loop_run(grpc->loop);
    grpc->closing = true;
    bv_grpc_client_close(&grpc->client);
    bv_loop_close(&grpc->loop);
    return NULL;
}

/* ---- making a call (the scenario's thread) ---- */

static void add_field(struct grpc_call *call, const char *name, const char *value)
{
    assert(call->field_count < FIELDS_MAX);
    call->fields[call->field_count++] = (struct bv_http_field){name, bv_bytes_of(value)};
}

static int call_fields(struct grpc_call *call, const struct bv_value *as, struct bv_error *error)
{
    struct bv_actor *actor = call->grpc->actor;
    const char *token = NULL;
    char traceparent[BV_TRACEPARENT_SIZE];
    int rc = actor->lab->ops->token(
        actor->lab, as->present ? as->text : call->grpc->identity, &token, error);
    if (rc != 0)
        return rc;
    if (token)
        add_field(call, "authorization", bv_arena_format(call->arena, "Bearer %s", token));
    call->trace = bv_actor_trace(actor, traceparent);
    add_field(call, "traceparent", bv_arena_text(call->arena, bv_bytes_of(traceparent)));
    add_field(call, "correlation-id", bv_arena_text(call->arena, bv_bytes_of(actor->lab->run)));
    return bv_arena_failed(call->arena) ? BV_E_NOMEM : 0;
}

static int record_sent(struct grpc_call *call, struct bv_bytes doc)
{
    call->sent_us = bv_mono_us(call->grpc->actor->lab->env);
    const struct bv_message message = {
        .direction = BV_SENT,
        .summary = bv_bytes_of(call->method.name),
        .type = bv_bytes_of(call->method.name),
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = call->fields,
        .field_count = call->field_count,
        .media_type = BV_BYTES("application/json"),
        .body = doc,
        .trace = call->trace,
        .mono_us = call->sent_us,
    };
    return bv_actor_record(call->grpc->actor, &message, &call->sent_id);
}

struct asked {
    struct bv_bytes method;
    enum grpc_shape shape;
    const struct bv_value *as;
    struct bv_bytes doc;
};

static int call_fill(struct grpc_call *call, const struct asked *asked, struct bv_error *error)
{
    const struct bv_bytes doc = asked->doc.size ? asked->doc : BV_BYTES("{}");
    BV_TRY(bv_arena_open(CALL_ARENA_BYTES_MAX, &call->arena));
    BV_TRY(grpc_method_find(asked->method, &call->method, error));
    if (call->method.shape != asked->shape)
        return bv_fail(error,
                       BV_E_INVALID,
                       "%s is %s",
                       call->method.name,
                       asked->shape == GRPC_SHAPE_UNARY ? "a stream: use `watches`"
                                                        : "no stream: use `calls`");
    BV_TRY(bv_pb_from_json(call->arena, call->method.request, doc, &call->message, error));
    const int rc = call_fields(call, asked->as, error);
    if (rc != 0)
        return rc;
    return record_sent(call, doc);
}

static int call_make(struct bv_actor *actor,
                     const struct asked *asked,
                     struct grpc_call **ret_call,
                     struct bv_error *error)
{
    struct grpc_call *call = calloc(1, sizeof *call);
    if (!call)
        return BV_E_NOMEM;
    call->grpc = actor->state;
    const int rc = call_fill(call, asked, error);
    if (rc != 0)
        call_free(call);
    else
        *ret_call = call;
    return rc;
}

struct answering {
    const char *actor;
    uint64_t sent_id;
};

static bool answers(void *argument, const struct bv_message *message)
{
    const struct answering *answering = argument;
    return message->answers == answering->sent_id && strcmp(message->actor, answering->actor) == 0;
}

/* The first thing that comes back is made current: an answer, a message of the stream, or the note
 * of its end. */
static int await_answer(struct bv_actor *actor,
                        uint64_t sent_id,
                        int64_t deadline_mono_us,
                        struct bv_error *error)
{
    struct answering answering = {actor->name, sent_id};
    const struct bv_message *message = NULL;
    if (bv_recording_await(
            actor->lab->recording, sent_id, deadline_mono_us, answers, &answering, &message) ==
        BV_NOT_YET) {
        (void)bv_fail(error, BV_E_TIMEOUT, "no answer within its time");
        return BV_MISMATCH;
    }
    actor->current = message;
    return 0;
}

static int64_t deadline_of(const struct bv_actor *actor, const struct bv_call *call)
{
    const int64_t latest = bv_mono_us(actor->lab->env) + actor->lab->timeout_ms * 1000;
    return call->deadline_mono_us && call->deadline_mono_us < latest ? call->deadline_mono_us
                                                                     : latest;
}

/* ---- verbs ---- */

enum { CALLS_METHOD, CALLS_AS };
static const struct bv_arg calls_args[] = {
    {"method",   NULL, BV_ARG_TEXT,     BV_REQUIRED, "\"Adjust\", or \"Health/Check\" where two have it"},
    {"identity", "as", BV_ARG_IDENTITY, BV_OPTIONAL, "for this call only"                               },
};

static int grpc_calls(struct bv_actor *actor, const struct bv_call *step, struct bv_error *error)
{
    struct grpc *grpc = actor->state;
    const int64_t deadline = deadline_of(actor, step);
    const struct asked asked = {
        step->values[CALLS_METHOD].text, GRPC_SHAPE_UNARY, &step->values[CALLS_AS], step->doc};
    struct grpc_call *call = NULL;
    int rc = call_make(actor, &asked, &call, error);
    if (rc != 0)
        return rc;
    const uint64_t sent_id = call->sent_id;
    const int64_t left_ms = (deadline - call->sent_us) / 1000;
    call->timeout_ms = left_ms > 1 ? left_ms : 1;
    rc = bv_loop_post(grpc->loop, start_call, call);
    if (rc < 0) {
        call_free(call);
        return rc;
    }
    return await_answer(actor, sent_id, deadline + LATE_US, error);
}

enum { WATCHES_METHOD, WATCHES_AS, WATCHES_QUIETLY };
static const struct bv_arg watches_args[] = {
    {"method",   NULL,      BV_ARG_TEXT,     BV_OPTIONAL, "else \"Watch\""                          },
    {"identity", "as",      BV_ARG_IDENTITY, BV_OPTIONAL, "for this call only"                      },
    {"quietly",  "quietly", BV_ARG_FLAG,     BV_OPTIONAL, "the stream need not begin with a message"},
};

static int grpc_watches(struct bv_actor *actor, const struct bv_call *step, struct bv_error *error)
{
    struct grpc *grpc = actor->state;
    const struct bv_value *method = &step->values[WATCHES_METHOD];
    const struct asked asked = {method->present ? method->text : BV_BYTES("Watch"),
                                GRPC_SHAPE_SERVER_STREAM,
                                &step->values[WATCHES_AS],
                                step->doc};
    struct grpc_call *call = NULL;
    int rc = call_make(actor, &asked, &call, error);
    if (rc != 0)
        return rc;
    const uint64_t sent_id = call->sent_id;
    pthread_mutex_lock(&grpc->lock);
    grpc->stream_count++;
    pthread_mutex_unlock(&grpc->lock);
    rc = bv_loop_post(grpc->loop, start_stream, call);
    if (rc < 0) {
        call_free(call);
        stream_left(grpc);
        return rc;
    }
    if (step->values[WATCHES_QUIETLY].present)
        return 0;
    rc = await_answer(actor, sent_id, deadline_of(actor, step), error);
    if (rc == 0 && actor->current->direction == BV_NOTE) {
        (void)bv_fail(error, BV_E_CLOSED, "%.*s", BV_ARG(actor->current->summary));
        return BV_MISMATCH;
    }
    return rc;
}

static struct timespec monotonic_after(int64_t left_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t nanoseconds = until.tv_nsec + (left_us > 0 ? left_us % 1000000 * 1000 : 0);
    until.tv_sec += (left_us > 0 ? left_us / 1000000 : 0) + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    return until;
}

static int grpc_stops(struct bv_actor *actor, const struct bv_call *step, struct bv_error *error)
{
    struct grpc *grpc = actor->state;
    const struct timespec until =
        monotonic_after(deadline_of(actor, step) - bv_mono_us(actor->lab->env));
    int waited = 0;
    BV_TRY(bv_loop_post(grpc->loop, stop_streams, grpc));
    pthread_mutex_lock(&grpc->lock);
    while (grpc->stream_count > 0 && waited == 0)
        waited = pthread_cond_timedwait(&grpc->changed, &grpc->lock, &until);
    const size_t left = grpc->stream_count;
    pthread_mutex_unlock(&grpc->lock);
    return left == 0
               ? 0
               : bv_fail(error, BV_E_TIMEOUT, "%zu streams of %s do not end", left, actor->name);
}

static const struct bv_verb verbs[] = {
    {"calls",
     calls_args,             BV_COUNT(calls_args),
     BV_TAKES_DOC | BV_ASKS,
     grpc_calls,                                                                     "unary call; the doc string is the request as JSON"},
    {"watches",
     watches_args,           BV_COUNT(watches_args),
     BV_TAKES_DOC,                                                     grpc_watches,
     "follow a server stream; waits for its first message"                                                                              },
    {"stops watching", NULL, 0,                      BV_TAKES_NOTHING, grpc_stops,   "cancel all streams of this actor"                 },
};

/* ---- before the run ---- */

static int grpc_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_call *call = check->call;
    const bool watches = check->verb && check->verb->run == grpc_watches;
    const struct bv_value *method = &call->values[CALLS_METHOD];
    struct grpc_method found;
    ProtobufCMessage *message = NULL;
    if (!check->verb || (!watches && check->verb->run != grpc_calls) ||
        (method->present && !method->text.data))
        return 0;
    check->place = BV_CHECK_ARGUMENT;
    check->index = CALLS_METHOD;
    BV_TRY(grpc_method_find(method->present ? method->text : BV_BYTES("Watch"), &found, error));
    if (watches != (found.shape == GRPC_SHAPE_SERVER_STREAM))
        return bv_fail(error,
                       BV_E_INVALID,
                       "%s is %s",
                       found.name,
                       watches ? "no stream: use `calls`" : "a stream: use `watches`");
    check->place = BV_CHECK_DOC;
    return call->doc.size && !check->doc_open
               ? bv_pb_from_json(check->arena, found.request, call->doc, &message, error)
               : 0;
}

/* ---- probes ---- */

static int probe_status(const struct bv_actor *actor,
                        const struct bv_message *message,
                        struct bv_bytes argument,
                        struct bv_arena *arena,
                        struct bv_fact *ret_fact,
                        struct bv_error *error)
{
    (void)actor, (void)argument, (void)arena, (void)error;
    *ret_fact = (struct bv_fact){.type = BV_FACT_ABSENT};
    if (message->status != BV_NO_NUMBER)
        *ret_fact = (struct bv_fact){.type = BV_FACT_TEXT,
                                     .text = bv_bytes_of(grpc_status_word(message->status))};
    return 0;
}

static int probe_message(const struct bv_actor *actor,
                         const struct bv_message *message,
                         struct bv_bytes argument,
                         struct bv_arena *arena,
                         struct bv_fact *ret_fact,
                         struct bv_error *error)
{
    (void)argument;
    return bv_probe_header(actor, message, BV_BYTES("grpc-message"), arena, ret_fact, error);
}

static const struct bv_probe probes[] = {
    {"status",   BV_PROBE_PLAIN, probe_status,      "OK, NOT_FOUND and so on; of an answer"          },
    {"message",  BV_PROBE_PLAIN, probe_message,     "text of a status other than OK"                 },
    {"json",     BV_PROBE_PATH,  bv_probe_json,     "value in the reply; 64-bit integers are strings"},
    {"type",     BV_PROBE_PLAIN, bv_probe_type,     "service and method"                             },
    {"key",      BV_PROBE_PLAIN, bv_probe_key,      "what `keyed by` names in the reply"             },
    {"sequence", BV_PROBE_PLAIN, bv_probe_sequence, "number of a message in its stream, from 1"      },
    {"latency",  BV_PROBE_PLAIN, bv_probe_latency,  "milliseconds from call to answer"               },
    {"count",    BV_PROBE_PLAIN, bv_probe_count,    "answers and stream messages so far"             },
};

/* ---- open and close ---- */

enum { OPEN_TARGET, OPEN_AS, OPEN_KEY };
static const struct bv_arg open_args[] = {
    {"target",   "at",       BV_ARG_TARGET,   BV_REQUIRED, "the service"                          },
    {"identity", "as",       BV_ARG_IDENTITY, BV_OPTIONAL, "who calls; nobody when it is left out"},
    {"key",      "keyed by", BV_ARG_TEXT,     BV_OPTIONAL, "JSON path of a reply's key"           },
};

static void grpc_close(struct bv_actor *actor)
{
    struct grpc *grpc = actor->state;
    if (!grpc)
        return;
    if (grpc->running) {
        if (grpc->state == READY)
            bv_loop_stop(grpc->loop);
        pthread_join(grpc->thread, NULL);
    }
    pthread_mutex_destroy(&grpc->lock);
    pthread_cond_destroy(&grpc->changed);
    free(grpc);
    actor->state = NULL;
}

static int read_open(struct grpc *grpc, const struct bv_call *call, struct bv_error *error)
{
    struct bv_lab *lab = grpc->actor->lab;
    const struct bv_value *as = &call->values[OPEN_AS];
    const struct bv_value *key = &call->values[OPEN_KEY];
    const char *target = bv_arena_text(lab->arena, call->values[OPEN_TARGET].text);
    grpc->identity = bv_arena_copy(lab->arena, as->present ? as->text : BV_BYTES("nobody"));
    if (key->present) {
        BV_TRY(bv_path_check_one(key->text, error));
        grpc->key_path = bv_arena_text(lab->arena, key->text);
    }
    if (bv_arena_failed(lab->arena))
        return BV_E_NOMEM;
    const char *token = NULL; /* log in now, so that a refusal shows at the declaration */
    const int rc = lab->ops->grpc_address(lab, target, &grpc->address, error);
    return rc != 0 ? rc : lab->ops->token(lab, grpc->identity, &token, error);
}

static int grpc_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct grpc *grpc = actor->state = calloc(1, sizeof *grpc);
    pthread_condattr_t attributes;
    if (!grpc)
        return BV_E_NOMEM;
    grpc->actor = actor;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&grpc->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&grpc->lock, NULL);
    const int rc = read_open(grpc, call, error);
    if (rc != 0)
        return rc;
    if (pthread_create(&grpc->thread, NULL, run, grpc) != 0)
        return bv_fail(error, BV_E_LIMIT, "no thread for %s", actor->name);
    grpc->running = true;
    pthread_mutex_lock(&grpc->lock);
    while (grpc->state == STARTING)
        pthread_cond_wait(&grpc->changed, &grpc->lock);
    pthread_mutex_unlock(&grpc->lock);
    return grpc->state == READY ? 0
                                : bv_fail(error, BV_E_LIMIT, "no gRPC client for %s", actor->name);
}

const struct bv_protocol bv_protocol_grpc = {
    .name = "grpc",
    .summary = "calls and streams of a service's gRPC server",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = grpc_open,
    .close = grpc_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = grpc_check,
};
