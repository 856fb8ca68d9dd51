/* One libwebsockets context per actor, served by the actor's own thread; lws_cancel_service, the
 * one call that other threads may make, ends its wait after the scenario's thread left a wish in
 * the link.
 *
 *   scenario: link <- wish, cancel ->  thread: lws_service -> callback -> recording, link <- state
 */
#include "websocket_client.h"

#include "live.h"
#include <libwebsockets.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    MESSAGE_BYTES_MAX = 1 << 20,
    SCRATCH_BYTES_MAX = 16 << 20, /* one message, parsed */
    RX_BYTES = 16384,
    CONNECT_S = 30, /* the verbs' own deadlines are shorter */
    CLOSE_NORMAL = 1000,
    CLOSE_MOST = 4999,
};

struct websocket {
    struct bv_actor *actor;
    struct live_source source;
    struct live_link link;
    struct lws_context *
        context; /* owned; used by the actor's thread while that runs, but for lws_cancel_service */
    pthread_t thread;
    bool running;

    /* Written by the scenario's thread before it leaves a wish, read by the actor's own when it
     * takes it. */
    struct live_request request;
    struct live_address address;
    struct bv_bytes outgoing;  /* borrowed for the verb */
    atomic_bool outgoing_left; /* it went out, whatever became of the socket then */
    int64_t close_code;

    int64_t last_sequence; /* guarded by link.lock; BV_NO_NUMBER: none seen */

    /* Thread: the actor's own. */
    struct lws *wsi;
    struct bv_buf incoming;
    struct bv_buf frame;      /* LWS_PRE bytes and the message that goes out */
    struct bv_arena *scratch; /* owned */
    uint64_t answer_id;
    bool announced; /* the peer's close was recorded */
    bool leaving;   /* the lab cuts or closes: the end is no news */
};

/* ---- what arrives (the actor's own thread) ---- */

static void record_message(struct websocket *ws, bool binary)
{
    struct bv_message message = {
        .direction = BV_RECEIVED,
        .type = binary ? BV_BYTES("binary") : BV_BYTES("text"),
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .media_type = binary ? BV_BYTES("application/octet-stream") : BV_BYTES("text/plain"),
        .body = bv_buf_view(&ws->incoming),
        .mono_us = bv_mono_us(ws->actor->lab->env),
    };
    bv_arena_reset(ws->scratch);
    if (!binary)
        live_describe(ws->scratch, ws->source.key_path, &message);
    message.summary = live_summary(ws->scratch, &message);
    if (message.sequence != BV_NO_NUMBER) {
        pthread_mutex_lock(&ws->link.lock);
        ws->last_sequence = message.sequence;
        pthread_mutex_unlock(&ws->link.lock);
    }
    (void)bv_actor_record(ws->actor, &message, NULL);
}

static int on_receive(struct websocket *ws, struct lws *wsi, const char *data, size_t size)
{
    if (lws_is_first_fragment(wsi))
        bv_buf_reset(&ws->incoming);
    if (bv_buf_append(&ws->incoming, data, size) < 0) {
        (void)bv_actor_note(
            ws->actor, "a message over %d bytes; the socket is dropped", MESSAGE_BYTES_MAX);
        return -1;
    }
    if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0)
        record_message(ws, lws_frame_is_binary(wsi) != 0);
    return 0;
}

/* RFC 6455, 5.5.1: two bytes of code, then the reason; nothing at all is 1005. */
static void on_peer_close(struct websocket *ws, const unsigned char *data, size_t size)
{
    const int64_t code = size >= 2 ? data[0] << 8 | data[1] : 1005;
    const struct bv_bytes reason =
        size > 2 ? (struct bv_bytes){(const char *)data + 2, size - 2} : BV_BYTES_NONE;
    char summary[160];
    snprintf(summary, sizeof summary, "close %lld %.*s", (long long)code, BV_ARG(reason));
    const struct bv_message message = {
        .direction = BV_RECEIVED,
        .type = BV_BYTES("close"),
        .summary = bv_bytes_of(summary),
        .status = code,
        .sequence = BV_NO_NUMBER,
        .body = reason,
    };
    ws->announced = true;
    (void)bv_actor_record(ws->actor, &message, NULL);
}

static void on_established(struct websocket *ws)
{
    const struct live_answer answer = {.status = 101};
    ws->answer_id = live_answer_record(ws->actor, &ws->request, &answer);
    live_link_set(&ws->link, LIVE_OPEN, 101, ws->answer_id, "");
}

static void on_refused(struct websocket *ws, struct lws *wsi, const char *text, size_t size)
{
    char why[160];
    const struct bv_bytes reason =
        text ? (struct bv_bytes){text, strnlen(text, size)} : BV_BYTES("no connection");
    const int64_t status = wsi ? (int64_t)lws_http_client_http_response(wsi) : 0;
    ws->wsi = NULL;
    if (status >= 100) {
        const struct live_answer answer = {.status = status};
        snprintf(why, sizeof why, "status %lld", (long long)status);
        ws->answer_id = live_answer_record(ws->actor, &ws->request, &answer);
    } else {
        snprintf(why, sizeof why, "%.*s", BV_ARG(reason));
        ws->answer_id = 0;
        (void)bv_actor_note(ws->actor, "no answer: %s", why);
    }
    live_link_set(&ws->link, LIVE_REFUSED, status, ws->answer_id, why);
}

static void on_closed(struct websocket *ws)
{
    const bool leaving = ws->leaving;
    ws->wsi = NULL;
    ws->leaving = false;
    if (!leaving && !ws->announced)
        (void)bv_actor_note(ws->actor, "the connection broke without a close");
    const char *why = leaving         ? "closed by the lab"
                      : ws->announced ? "closed by the server"
                                      : "the connection broke";
    live_link_set(&ws->link, leaving ? LIVE_IDLE : LIVE_ENDED, 0, ws->answer_id, why);
    live_link_done(&ws->link, LIVE_WISH_CUT); /* whichever it was */
    live_link_done(&ws->link, LIVE_WISH_CLOSE);
    live_link_done(&ws->link, LIVE_WISH_SEND);
}

/* ---- what goes out (the actor's own thread) ---- */

static int on_handshake(struct websocket *ws, struct lws *wsi, unsigned char **at, size_t space)
{
    unsigned char *end = *at + space - 1;
    for (size_t i = 0; i < ws->request.field_count; i++) {
        const struct bv_http_field *field = &ws->request.fields[i];
        char name[64];
        snprintf(name, sizeof name, "%s:", field->name);
        if (lws_add_http_header_by_name(wsi,
                                        (const unsigned char *)name,
                                        (const unsigned char *)field->value.data,
                                        (int)field->value.size,
                                        at,
                                        end))
            return -1;
    }
    return 0;
}

static int on_writeable(struct websocket *ws, struct lws *wsi)
{
    const enum live_wish wish = live_link_wish(&ws->link);
    if (wish == LIVE_WISH_CLOSE) {
        ws->leaving = true;
        lws_close_reason(wsi, (enum lws_close_status)ws->close_code, NULL, 0);
        return -1;
    }
    if (wish != LIVE_WISH_SEND)
        return 0;
    static const char room[LWS_PRE] = {0};
    bv_buf_reset(&ws->frame);
    if (bv_buf_append(&ws->frame, room, sizeof room) < 0 ||
        bv_buf_bytes(&ws->frame, ws->outgoing) < 0)
        return -1;
    if (lws_write(
            wsi, (unsigned char *)ws->frame.data + LWS_PRE, ws->outgoing.size, LWS_WRITE_TEXT) < 0)
        return -1;
    atomic_store(&ws->outgoing_left, true);
    live_link_done(&ws->link, LIVE_WISH_SEND);
    return 0;
}

static int
on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *data, size_t size)
{
    struct lws_context *context = lws_get_context(wsi);
    struct websocket *ws = context ? lws_context_user(context) : NULL;
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return on_handshake(ws, wsi, data, size);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        on_established(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        on_refused(ws, wsi, data, size);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(ws, wsi, data, size);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writeable(ws, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(ws, data, size);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        on_closed(ws);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "bitvelocity-lab", .callback = on_lws, .rx_buffer_size = RX_BYTES},
    {0},
};

/* ---- the actor's own thread ---- */

static void connect_now(struct websocket *ws)
{
    char host[sizeof ws->address.host + 8];
    snprintf(host, sizeof host, "%s:%u", ws->address.host, ws->address.port);
    const struct lws_client_connect_info info = {
        .context = ws->context,
        .address = ws->address.host,
        .port = ws->address.port,
        .path = ws->request.path,
        .host = host,
        .origin = NULL,
        .pwsi = &ws->wsi,
        .local_protocol_name = protocols[0].name,
    };
    ws->announced = false;
    ws->leaving = false;
    bv_buf_reset(&ws->incoming);
    if (!lws_client_connect_via_info(&info) && live_link_state(&ws->link) == LIVE_CONNECTING)
        live_link_set(&ws->link, LIVE_REFUSED, 0, 0, "no connection");
}

/* The kernel drops the connection with a reset; then libwebsockets finds it gone. No close frame,
 * no FIN. */
static void cut_now(struct websocket *ws)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    const int fd = lws_get_socket_fd(ws->wsi);
    ws->leaving = true;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)connect(fd, &nowhere, sizeof nowhere);
    (void)bv_actor_note(ws->actor, "cut by the lab");
    lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void obey(struct websocket *ws, enum live_wish wish)
{
    if (wish == LIVE_WISH_NONE || wish == LIVE_WISH_STOP)
        return;
    if (wish == LIVE_WISH_OPEN) {
        live_link_done(&ws->link, wish);
        connect_now(ws);
    } else if (!ws->wsi) {
        live_link_done(&ws->link, wish); /* the peer was faster */
    } else if (wish == LIVE_WISH_CUT) {
        if (!ws->leaving)
            cut_now(ws); /* done when libwebsockets says closed */
    } else {
        lws_callback_on_writable(ws->wsi);
    }
}

static void *run(void *argument)
{
    struct websocket *ws = argument;
    pthread_setname_np(pthread_self(), "lab-websocket");
    for (;;) {
        const enum live_wish wish = live_link_wish(&ws->link);
        if (wish == LIVE_WISH_STOP)
            break;
        obey(ws, wish);
        if (lws_service(ws->context, 0) < 0)
            break;
    }
    return NULL;
}

/* ---- verbs (the scenario's thread) ---- */

static void wake(void *argument)
{
    struct websocket *ws = argument;
    lws_cancel_service(ws->context);
}

static int
request(struct bv_actor *actor, const struct live_opening *opening, struct bv_error *error)
{
    struct websocket *ws = actor->state;
    const enum live_state state = live_link_state(&ws->link);
    if (state == LIVE_OPEN || state == LIVE_CONNECTING)
        return bv_fail(
            error, BV_E_INVALID, "%s is open already; cut or close it first", actor->name);
    const int rc = live_request_make(actor, &ws->source, opening, &ws->request, error);
    if (rc != 0)
        return rc;
    BV_TRY(live_address_parse(bv_bytes_of(ws->request.base), &ws->address, error));
    live_link_ask(&ws->link, LIVE_WISH_OPEN);
    wake(ws);
    return 0;
}

enum { VERB_AFTER, VERB_AS };
static const struct bv_arg opens_args[] = {
    {"cursor",   "after", BV_ARG_INT,      BV_OPTIONAL, "last sequence seen"   },
    {"identity", "as",    BV_ARG_IDENTITY, BV_OPTIONAL, "for this request only"},
};

static struct live_opening opening_of(const struct bv_call *call)
{
    return (struct live_opening){
        .after = call->values[VERB_AFTER].present ? &call->values[VERB_AFTER].number : NULL,
        .identity = call->values[VERB_AS].present ? call->values[VERB_AS].text : BV_BYTES_NONE,
    };
}

static int open_with(struct bv_actor *actor,
                     const struct bv_call *call,
                     const struct live_opening *opening,
                     struct bv_error *error)
{
    struct websocket *ws = actor->state;
    const int rc = request(actor, opening, error);
    return rc != 0 ? rc : live_opened(actor, &ws->link, live_deadline(actor, call), error);
}

static int ws_opens(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    const struct live_opening opening = opening_of(call);
    return open_with(actor, call, &opening, error);
}

static int ws_reopens(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct websocket *ws = actor->state;
    struct live_opening opening = opening_of(call);
    pthread_mutex_lock(&ws->link.lock);
    const int64_t last = ws->last_sequence;
    pthread_mutex_unlock(&ws->link.lock);
    if (!opening.after && last != BV_NO_NUMBER)
        opening.after = &last;
    return open_with(actor, call, &opening, error);
}

static int ws_tries(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct websocket *ws = actor->state;
    const struct live_opening opening = opening_of(call);
    const int rc = request(actor, &opening, error);
    return rc != 0 ? rc : live_tried(actor, &ws->link, live_deadline(actor, call), error);
}

static int ws_cut(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct websocket *ws = actor->state;
    return live_leave(actor, &ws->link, LIVE_WISH_CUT, wake, ws, live_deadline(actor, call), error);
}

enum { CLOSES_CODE };
static const struct bv_arg closes_args[] = {
    {"code", "with code", BV_ARG_INT, BV_OPTIONAL, "close code, else 1000"},
};

static int ws_closes(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct websocket *ws = actor->state;
    const struct bv_value *code = &call->values[CLOSES_CODE];
    ws->close_code = code->present ? code->number : CLOSE_NORMAL;
    if (ws->close_code < CLOSE_NORMAL || ws->close_code > CLOSE_MOST)
        return bv_fail(error, BV_E_INVALID, "close codes are %d to %d", CLOSE_NORMAL, CLOSE_MOST);
    return live_leave(
        actor, &ws->link, LIVE_WISH_CLOSE, wake, ws, live_deadline(actor, call), error);
}

enum { SENDS_TEXT };
static const struct bv_arg sends_args[] = {
    {"text", NULL, BV_ARG_TEXT, BV_OPTIONAL, "the message; or a doc string"},
};

static int record_sent(struct bv_actor *actor, struct bv_bytes text, bool json)
{
    const struct bv_message message = {
        .direction = BV_SENT,
        .summary = BV_BYTES("message"),
        .type = BV_BYTES("text"),
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .media_type = json ? BV_BYTES("application/json") : BV_BYTES("text/plain"),
        .body = text,
    };
    return bv_actor_record(actor, &message, NULL);
}

static int ws_sends(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct websocket *ws = actor->state;
    const struct bv_bytes text = call->doc.data ? call->doc : call->values[SENDS_TEXT].text;
    enum live_state state = live_link_state(&ws->link);
    if (!text.data || text.size > MESSAGE_BYTES_MAX)
        return bv_fail(error,
                       BV_E_INVALID,
                       "what is to be sent? a text or a doc string of at most %d bytes",
                       MESSAGE_BYTES_MAX);
    if (state != LIVE_OPEN) {
        (void)bv_fail(error, BV_E_CLOSED, "%s is not open", actor->name);
        return BV_MISMATCH;
    }
    BV_TRY(record_sent(actor, text, bv_bytes_equal(call->doc_media_type, BV_BYTES("json"))));
    ws->outgoing = text;
    atomic_store(&ws->outgoing_left, false);
    live_link_ask(&ws->link, LIVE_WISH_SEND);
    wake(ws);
    (void)!live_link_settle(&ws->link, live_deadline(actor, call), &state);
    if (!atomic_load(&ws->outgoing_left)) {
        (void)bv_fail(error, BV_E_CLOSED, "the message did not leave");
        return BV_MISMATCH;
    }
    return 0;
}

static const struct bv_verb verbs[] = {
    {"opens",
     opens_args,                  BV_COUNT(opens_args),
     BV_TAKES_NOTHING,                                                 ws_opens,
     "connect; red unless the socket opens"                                                               },
    {"reopens",
     opens_args,                  BV_COUNT(opens_args),
     BV_TAKES_NOTHING,                                                 ws_reopens,
     "connect again, after the last sequence seen"                                                        },
    {"tries to open",
     opens_args,                  BV_COUNT(opens_args),
     BV_TAKES_NOTHING,                                                 ws_tries,
     "connect; the answer's status may be anything"                                                       },
    {"is cut",
     NULL,                        0,
     BV_TAKES_NOTHING,                                                 ws_cut,
     "reset the TCP connection, without a close frame"                                                    },
    {"closes",
     closes_args,                 BV_COUNT(closes_args),
     BV_TAKES_NOTHING,                                                 ws_closes,
     "close in order and wait for the server's close"                                                     },
    {"sends",         sends_args, BV_COUNT(sends_args),  BV_TAKES_DOC, ws_sends,   "send one text message"},
};

static const struct bv_probe probes[] = {
    {"type",
     BV_PROBE_PLAIN,             bv_probe_type,
     "member \"type\" of the message, else text, binary or close"                                     },
    {"sequence", BV_PROBE_PLAIN, bv_probe_sequence, "member \"sequence\" of the message"              },
    {"key",      BV_PROBE_PLAIN, bv_probe_key,      "what `keyed by` names in the message"            },
    {"json",     BV_PROBE_PATH,  bv_probe_json,     "value in the message"                            },
    {"body",     BV_PROBE_PLAIN, bv_probe_body,     "the message as text"                             },
    {"status",   BV_PROBE_PLAIN, bv_probe_status,   "HTTP status of the handshake, or code of a close"},
    {"count",    BV_PROBE_PLAIN, bv_probe_count,    "messages so far"                                 },
};

static int ws_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_call *call = check->call;
    if (!check->verb)
        return live_check_open(check, error);
    const int64_t code = call->values[CLOSES_CODE].number;
    if (check->verb->run == ws_closes && call->values[CLOSES_CODE].present &&
        code != BV_NO_NUMBER && (code < CLOSE_NORMAL || code > CLOSE_MOST))
        return BV_CHECK_FAIL(check,
                             BV_CHECK_ARGUMENT,
                             CLOSES_CODE,
                             error,
                             "close codes are %d to %d",
                             CLOSE_NORMAL,
                             CLOSE_MOST);
    if (check->verb->run == ws_sends && !call->values[SENDS_TEXT].present && !call->doc.data)
        return BV_CHECK_FAIL(
            check, BV_CHECK_STEP, 0, error, "what is to be sent? a text or a doc string");
    return 0;
}

/* ---- open and close ---- */

static void ws_close(struct bv_actor *actor)
{
    struct websocket *ws = actor->state;
    if (!ws)
        return;
    if (ws->running) {
        live_link_ask(&ws->link, LIVE_WISH_STOP);
        wake(ws);
        pthread_join(ws->thread, NULL);
    }
    ws->leaving = true;
    if (ws->context)
        lws_context_destroy(ws->context);
    bv_buf_release(&ws->incoming);
    bv_buf_release(&ws->frame);
    bv_arena_close(&ws->scratch);
    live_link_release(&ws->link);
    free(ws);
    actor->state = NULL;
}

static struct lws_context *make_context(struct websocket *ws)
{
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .gid = -1,
        .uid = -1,
        .user = ws,
        .timeout_secs = CONNECT_S,
        .http_proxy_address = "", /* else the environment's proxy is taken */
        .fd_limit_per_thread = 32,
    };
    lws_set_log_level(0, NULL);
    return lws_create_context(&info);
}

static int ws_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct websocket *ws = actor->state = calloc(1, sizeof *ws);
    if (!ws)
        return BV_E_NOMEM;
    ws->actor = actor;
    ws->last_sequence = BV_NO_NUMBER;
    ws->incoming.max = MESSAGE_BYTES_MAX;
    ws->frame.max = MESSAGE_BYTES_MAX + LWS_PRE;
    live_link_init(&ws->link, actor->lab->env);
    BV_TRY(live_source_read(actor, call, &ws->source, error));
    BV_TRY(bv_arena_open(SCRATCH_BYTES_MAX, &ws->scratch));
    ws->context = make_context(ws);
    if (!ws->context)
        return bv_fail(error, BV_E_LIMIT, "no WebSocket client for %s", actor->name);
    if (pthread_create(&ws->thread, NULL, run, ws) != 0)
        return bv_fail(error, BV_E_LIMIT, "no thread for %s", actor->name);
    ws->running = true;
    if (call->values[LIVE_ARG_IDLE].present)
        return 0;
    const struct live_opening opening = {.after = call->values[LIVE_ARG_AFTER].present
                                                      ? &call->values[LIVE_ARG_AFTER].number
                                                      : NULL};
    return open_with(actor, call, &opening, error);
}

const struct bv_protocol bv_protocol_websocket = {
    .name = "websocket",
    .summary = "one WebSocket, as its client",
    .open_args = live_open_args,
    .open_arg_count = LIVE_ARG_COUNT,
    .open = ws_open,
    .close = ws_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = ws_check,
};
