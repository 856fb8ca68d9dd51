/* One thread per actor runs a curl multi handle with at most one transfer. Waiting is
 * curl_multi_poll, which the scenario's thread ends by curl_multi_wakeup after it left a wish in
 * the link. */
#include "sse_client.h"

#include "live.h"
#include "sse_parser.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    LINE_BYTES_MAX = 1 << 20,
    BODY_BYTES_MAX = 65536,      /* of an answer that is no stream */
    SCRATCH_BYTES_MAX = 8 << 20, /* one event, parsed; or the fields of an answer */
    FIELD_BYTES_MAX = 32768,     /* one field of a request */
    ID_BYTES_MAX = 256,
    FIELDS_MAX = 32,
    POLL_MS = 60000,
};

struct sse {
    struct bv_actor *actor;
    struct live_source source;
    struct live_link link;
    CURLM *multi; /* owned */
    pthread_t thread;
    bool running;

    struct live_request request; /* written by the scenario's thread while no transfer runs */
    char last_id[ID_BYTES_MAX];  /* guarded by link.lock: what Last-Event-ID says on `reconnects` */

    /* Thread: the actor's own. */
    CURL *curl;                     /* owned; NULL between transfers */
    struct curl_slist *fields_sent; /* owned */
    curl_socket_t socket;
    bool streaming; /* the answer was a stream */
    struct sse_parser parser;
    struct bv_arena *scratch;      /* owned; of one event */
    struct bv_arena *answer_arena; /* owned; of one answer */
    struct bv_http_field fields[FIELDS_MAX];
    size_t field_count;
    struct bv_buf body;
};

/* ---- what arrives (the actor's own thread) ---- */

static void on_event(void *argument, const struct sse_event *event)
{
    struct sse *sse = argument;
    const struct bv_http_field fields[] = {
        {"id",    event->id  },
        {"event", event->type}
    };
    struct bv_message message = {
        .direction = BV_RECEIVED,
        .type = event->type,
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = fields,
        .field_count = BV_COUNT(fields),
        .media_type = BV_BYTES("text/plain"),
        .body = event->data,
        .mono_us = bv_mono_us(sse->actor->lab->env),
    };
    int64_t id = 0;
    if (bv_bytes_int64(event->id, 0, INT64_MAX, &id) == 0)
        message.sequence = id;
    bv_arena_reset(sse->scratch);
    live_describe(sse->scratch, sse->source.key_path, &message);
    message.summary = live_summary(sse->scratch, &message);
    pthread_mutex_lock(&sse->link.lock);
    snprintf(sse->last_id, sizeof sse->last_id, "%.*s", BV_ARG(event->id));
    pthread_mutex_unlock(&sse->link.lock);
    (void)bv_actor_record(sse->actor, &message, NULL);
}

static struct bv_bytes answer_field(const struct sse *sse, const char *name)
{
    for (size_t i = 0; i < sse->field_count; i++)
        if (strcmp(sse->fields[i].name, name) == 0)
            return sse->fields[i].value;
    return BV_BYTES_NONE;
}

static uint64_t record_answer(struct sse *sse, int64_t status)
{
    const struct live_answer answer = {
        .status = status,
        .fields = sse->fields,
        .field_count = sse->field_count,
        .media_type = answer_field(sse, "content-type"),
        .body = bv_buf_view(&sse->body),
    };
    return live_answer_record(sse->actor, &sse->request, &answer);
}

static void answer_began(struct sse *sse)
{
    static const struct bv_bytes wanted = {"text/event-stream", 17};
    long status = 0;
    curl_easy_getinfo(sse->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) {
        sse->field_count = 0;
        return;
    }
    const struct bv_bytes type = answer_field(sse, "content-type");
    sse->streaming = status == 200 && type.size >= wanted.size &&
                     strncasecmp(type.data, wanted.data, wanted.size) == 0 &&
                     (type.size == wanted.size || strchr("; \t", type.data[wanted.size]));
    if (!sse->streaming)
        return;
    sse_parser_reset(&sse->parser);
    live_link_set(&sse->link, LIVE_OPEN, status, record_answer(sse, status), "");
}

static struct bv_bytes trimmed(struct bv_bytes text)
{
    while (text.size && strchr(" \t", text.data[0]))
        text = (struct bv_bytes){text.data + 1, text.size - 1};
    while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
        text.size--;
    return text;
}

static size_t on_field(char *data, size_t one, size_t size, void *argument)
{
    struct sse *sse = argument;
    const char *colon = memchr(data, ':', size);
    (void)one;
    if (trimmed((struct bv_bytes){data, size}).size == 0) {
        answer_began(sse);
        return size;
    }
    if (!colon || sse->field_count == FIELDS_MAX)
        return size;
    char *name = bv_arena_text(sse->answer_arena, (struct bv_bytes){data, (size_t)(colon - data)});
    const struct bv_bytes value =
        trimmed((struct bv_bytes){colon + 1, size - (size_t)(colon - data) - 1});
    if (!name)
        return 0;
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 'a' - 'A');
    sse->fields[sse->field_count++] =
        (struct bv_http_field){name, bv_arena_copy(sse->answer_arena, value)};
    return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *argument)
{
    struct sse *sse = argument;
    (void)one;
    if (sse->streaming)
        return sse_parser_feed(&sse->parser, (struct bv_bytes){data, size}) == 0 ? size : 0;
    /* What does not fit is cut off, and the transfer with it: it may have no end. */
    return bv_buf_append(&sse->body, data, size) == 0 ? size : 0;
}

static int on_socket(void *argument, curl_socket_t socket, curlsocktype purpose)
{
    struct sse *sse = argument;
    (void)purpose;
    sse->socket = socket;
    return CURL_SOCKOPT_OK;
}

/* ---- transfers (the actor's own thread) ---- */

static void transfer_end(struct sse *sse)
{
    if (sse->curl) {
        curl_multi_remove_handle(sse->multi, sse->curl);
        curl_easy_cleanup(sse->curl);
    }
    curl_slist_free_all(sse->fields_sent);
    sse->curl = NULL;
    sse->fields_sent = NULL;
    sse->socket = CURL_SOCKET_BAD;
    sse->streaming = false;
    sse->field_count = 0;
    bv_buf_reset(&sse->body);
    bv_arena_reset(sse->answer_arena);
}

static int fields_list(const struct live_request *request, struct curl_slist **list)
{
    static const char *const always[] = {
        "Accept: text/event-stream", "Cache-Control: no-store", "User-Agent: bitvelocity-lab"};
    bv_auto(bv_buf_release) struct bv_buf line = {.max = FIELD_BYTES_MAX};
    for (size_t i = 0; i < request->field_count + BV_COUNT(always); i++) {
        bv_buf_reset(&line);
        if (i < request->field_count)
            (void)bv_buf_format(
                &line, "%s: %.*s", request->fields[i].name, BV_ARG(request->fields[i].value));
        else
            (void)bv_buf_text(&line, always[i - request->field_count]);
        (void)bv_buf_char(&line, '\0');
        struct curl_slist *longer = line.failed ? NULL : curl_slist_append(*list, line.data);
        if (!longer)
            return BV_E_NOMEM;
        *list = longer;
    }
    return 0;
}

static void set_up(struct sse *sse, const char *url)
{
    curl_easy_setopt(sse->curl, CURLOPT_URL, url);
    curl_easy_setopt(sse->curl, CURLOPT_HTTPHEADER, sse->fields_sent);
    curl_easy_setopt(sse->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(sse->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(sse->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(sse->curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(sse->curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(sse->curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(sse->curl, CURLOPT_HEADERDATA, sse);
    curl_easy_setopt(sse->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(sse->curl, CURLOPT_WRITEDATA, sse);
    curl_easy_setopt(sse->curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(sse->curl, CURLOPT_SOCKOPTDATA, sse);
}

static void transfer_begin(struct sse *sse)
{
    bv_auto(bv_buf_release) struct bv_buf url = {.max = LIVE_LINE_MAX * 2};
    transfer_end(sse);
    (void)bv_buf_format(&url, "%s%s", sse->request.base, sse->request.path);
    (void)bv_buf_char(&url, '\0');
    sse->curl = curl_easy_init();
    if (url.failed || !sse->curl || fields_list(&sse->request, &sse->fields_sent) < 0) {
        live_link_set(&sse->link, LIVE_REFUSED, 0, 0, "the request cannot be made");
        return;
    }
    set_up(sse, url.data);
    if (curl_multi_add_handle(sse->multi, sse->curl) != CURLM_OK)
        live_link_set(&sse->link, LIVE_REFUSED, 0, 0, "the request cannot be made");
}

/* A reset instead of an orderly end: nothing tells the server but the broken connection. */
static void transfer_cut(struct sse *sse)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (sse->curl && sse->socket != CURL_SOCKET_BAD)
        (void)setsockopt(sse->socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    transfer_end(sse);
}

static void transfer_ended(struct sse *sse, CURLcode code)
{
    char why[160];
    long status = 0;
    curl_easy_getinfo(sse->curl, CURLINFO_RESPONSE_CODE, &status);
    if (sse->streaming) {
        snprintf(why,
                 sizeof why,
                 "%s",
                 code == CURLE_OK ? "the server ended the stream" : curl_easy_strerror(code));
        (void)bv_actor_note(sse->actor, "%s", why);
        live_link_set(&sse->link, LIVE_ENDED, status, sse->link.answer_id, why);
    } else if (code == CURLE_OK || status >= 200) {
        snprintf(
            why, sizeof why, "status %ld, %.*s", status, BV_ARG(answer_field(sse, "content-type")));
        live_link_set(&sse->link, LIVE_REFUSED, status, record_answer(sse, status), why);
    } else {
        (void)bv_actor_note(sse->actor, "no answer: %s", curl_easy_strerror(code));
        live_link_set(&sse->link, LIVE_REFUSED, 0, 0, curl_easy_strerror(code));
    }
    transfer_end(sse);
}

/* ---- the actor's own thread ---- */

static void leave(struct sse *sse, enum live_wish wish)
{
    const bool was_connected = sse->curl != NULL;
    wish == LIVE_WISH_CUT ? transfer_cut(sse) : transfer_end(sse);
    if (was_connected)
        (void)bv_actor_note(sse->actor,
                            wish == LIVE_WISH_CUT ? "cut by the lab" : "closed by the lab");
    live_link_set(&sse->link, LIVE_IDLE, 0, 0, "closed by the lab");
}

static void *run(void *argument)
{
    struct sse *sse = argument;
    pthread_setname_np(pthread_self(), "lab-sse");
    for (;;) {
        const enum live_wish wish = live_link_wish(&sse->link);
        if (wish == LIVE_WISH_STOP)
            break;
        if (wish == LIVE_WISH_OPEN)
            transfer_begin(sse);
        else if (wish != LIVE_WISH_NONE)
            leave(sse, wish);
        if (wish != LIVE_WISH_NONE)
            live_link_done(&sse->link, wish);
        int left = 0;
        (void)curl_multi_perform(sse->multi, &left);
        for (CURLMsg *ended; (ended = curl_multi_info_read(sse->multi, &left));)
            if (ended->msg == CURLMSG_DONE)
                transfer_ended(sse, ended->data.result);
        (void)curl_multi_poll(sse->multi, NULL, 0, POLL_MS, NULL);
    }
    transfer_end(sse);
    return NULL;
}

/* ---- verbs (the scenario's thread) ---- */

static void wake(void *argument)
{
    struct sse *sse = argument;
    (void)curl_multi_wakeup(sse->multi);
}

static void ask(struct sse *sse, enum live_wish wish)
{
    live_link_ask(&sse->link, wish);
    wake(sse);
}

static int
request(struct bv_actor *actor, const struct live_opening *opening, struct bv_error *error)
{
    struct sse *sse = actor->state;
    const enum live_state state = live_link_state(&sse->link);
    if (state == LIVE_OPEN || state == LIVE_CONNECTING)
        return bv_fail(
            error, BV_E_INVALID, "%s is open already; cut or close it first", actor->name);
    const int rc = live_request_make(actor, &sse->source, opening, &sse->request, error);
    if (rc == 0)
        ask(sse, LIVE_WISH_OPEN);
    return rc;
}

enum { VERB_AFTER, VERB_FROM, VERB_AS };
static const struct bv_arg opens_args[] = {
    {"cursor",        "after", BV_ARG_INT,      BV_OPTIONAL, "last sequence seen, as the query says it"},
    {"last event id", "from",  BV_ARG_TEXT,     BV_OPTIONAL, "Last-Event-ID"                           },
    {"identity",      "as",    BV_ARG_IDENTITY, BV_OPTIONAL, "for this request only"                   },
};
enum { RESUMES_FROM };
static const struct bv_arg resumes_args[] = {
    {"last event id", "from", BV_ARG_TEXT, BV_REQUIRED, "Last-Event-ID"},
};

static struct live_opening opening_of(const struct bv_call *call)
{
    return (struct live_opening){
        .after = call->values[VERB_AFTER].present ? &call->values[VERB_AFTER].number : NULL,
        .last_event_id =
            call->values[VERB_FROM].present ? call->values[VERB_FROM].text : BV_BYTES_NONE,
        .identity = call->values[VERB_AS].present ? call->values[VERB_AS].text : BV_BYTES_NONE,
    };
}

static int open_with(struct bv_actor *actor,
                     const struct bv_call *call,
                     const struct live_opening *opening,
                     struct bv_error *error)
{
    struct sse *sse = actor->state;
    const int rc = request(actor, opening, error);
    return rc != 0 ? rc : live_opened(actor, &sse->link, live_deadline(actor, call), error);
}

static int sse_opens(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    const struct live_opening opening = opening_of(call);
    return open_with(actor, call, &opening, error);
}

static int sse_tries(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct sse *sse = actor->state;
    const struct live_opening opening = opening_of(call);
    const int rc = request(actor, &opening, error);
    return rc != 0 ? rc : live_tried(actor, &sse->link, live_deadline(actor, call), error);
}

static int sse_resumes(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    const struct live_opening opening = {.last_event_id = call->values[RESUMES_FROM].text};
    return open_with(actor, call, &opening, error);
}

static int
sse_reconnects(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct sse *sse = actor->state;
    char id[ID_BYTES_MAX];
    pthread_mutex_lock(&sse->link.lock);
    memcpy(id, sse->last_id, sizeof id);
    pthread_mutex_unlock(&sse->link.lock);
    const struct live_opening opening = {.last_event_id = id[0] ? bv_bytes_of(id) : BV_BYTES_NONE};
    return open_with(actor, call, &opening, error);
}

static int leave_by(struct bv_actor *actor,
                    const struct bv_call *call,
                    enum live_wish wish,
                    struct bv_error *error)
{
    struct sse *sse = actor->state;
    return live_leave(actor, &sse->link, wish, wake, sse, live_deadline(actor, call), error);
}

static int sse_cut(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    return leave_by(actor, call, LIVE_WISH_CUT, error);
}

static int sse_closes(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    return leave_by(actor, call, LIVE_WISH_CLOSE, error);
}

static const struct bv_verb verbs[] = {
    {"opens",
     opens_args,            BV_COUNT(opens_args),
     BV_TAKES_NOTHING,                                                sse_opens,
     "connect; red unless a stream answers"                                                                        },
    {"tries to open",
     opens_args,            BV_COUNT(opens_args),
     BV_TAKES_NOTHING,                                                sse_tries,
     "connect; the answer's status may be anything"                                                                },
    {"resumes",
     resumes_args,          BV_COUNT(resumes_args),
     BV_TAKES_NOTHING,                                                sse_resumes,
     "connect with Last-Event-ID"                                                                                  },
    {"reconnects",
     NULL,                  0,
     BV_TAKES_NOTHING,                                                sse_reconnects,
     "connect with the id of the last event received"                                                              },
    {"is cut",        NULL, 0,                      BV_TAKES_NOTHING, sse_cut,        "reset the TCP connection"   },
    {"closes",        NULL, 0,                      BV_TAKES_NOTHING, sse_closes,     "end the connection in order"},
};

/* ---- probes ---- */

static int field_fact(const struct bv_message *message, const char *name, struct bv_fact *ret_fact)
{
    *ret_fact = (struct bv_fact){.type = BV_FACT_ABSENT};
    for (size_t i = 0; i < message->field_count; i++)
        if (message->direction == BV_RECEIVED && strcmp(message->fields[i].name, name) == 0)
            *ret_fact = (struct bv_fact){.type = BV_FACT_TEXT, .text = message->fields[i].value};
    return 0;
}

static int probe_id(const struct bv_actor *actor,
                    const struct bv_message *message,
                    struct bv_bytes argument,
                    struct bv_arena *arena,
                    struct bv_fact *ret_fact,
                    struct bv_error *error)
{
    (void)actor, (void)argument, (void)arena, (void)error;
    return field_fact(message, "id", ret_fact);
}

static int probe_event(const struct bv_actor *actor,
                       const struct bv_message *message,
                       struct bv_bytes argument,
                       struct bv_arena *arena,
                       struct bv_fact *ret_fact,
                       struct bv_error *error)
{
    (void)actor, (void)argument, (void)arena, (void)error;
    return field_fact(message, "event", ret_fact);
}

static const struct bv_probe probes[] = {
    {"id",       BV_PROBE_PLAIN, probe_id,          "id of the event"                                  },
    {"event",    BV_PROBE_PLAIN, probe_event,       "the event field; \"message\" when there was none" },
    {"type",     BV_PROBE_PLAIN, bv_probe_type,     "member \"type\" of the data, else the event field"},
    {"sequence", BV_PROBE_PLAIN, bv_probe_sequence, "member \"sequence\" of the data, else the id"     },
    {"key",      BV_PROBE_PLAIN, bv_probe_key,      "what `keyed by` names in the data"                },
    {"json",     BV_PROBE_PATH,  bv_probe_json,     "value in the data, or in the body of a refusal"   },
    {"body",     BV_PROBE_PLAIN, bv_probe_body,     "the data as text"                                 },
    {"status",
     BV_PROBE_PLAIN,             bv_probe_status,
     "HTTP status of the answer to `opens` and its like"                                               },
    {"header",   BV_PROBE_NAME,  bv_probe_header,   "response header of that answer"                   },
    {"count",    BV_PROBE_PLAIN, bv_probe_count,    "events so far"                                    },
};

static int sse_check(struct bv_check *check, struct bv_error *error)
{
    return check->verb ? 0 : live_check_open(check, error);
}

/* ---- open and close ---- */

static void sse_close(struct bv_actor *actor)
{
    struct sse *sse = actor->state;
    if (!sse)
        return;
    if (sse->running) {
        ask(sse, LIVE_WISH_STOP);
        pthread_join(sse->thread, NULL);
    }
    if (sse->multi)
        curl_multi_cleanup(sse->multi);
    sse_parser_release(&sse->parser);
    bv_buf_release(&sse->body);
    bv_arena_close(&sse->scratch);
    bv_arena_close(&sse->answer_arena);
    live_link_release(&sse->link);
    free(sse);
    actor->state = NULL;
}

static int sse_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct sse *sse = actor->state = calloc(1, sizeof *sse);
    if (!sse)
        return BV_E_NOMEM;
    sse->actor = actor;
    sse->socket = CURL_SOCKET_BAD;
    sse->body.max = BODY_BYTES_MAX;
    live_link_init(&sse->link, actor->lab->env);
    sse_parser_init(&sse->parser,
                    &(struct sse_parser_config){LINE_BYTES_MAX, LINE_BYTES_MAX, on_event, sse});
    BV_TRY(live_source_read(actor, call, &sse->source, error));
    BV_TRY(bv_arena_open(SCRATCH_BYTES_MAX, &sse->scratch));
    BV_TRY(bv_arena_open(SCRATCH_BYTES_MAX, &sse->answer_arena));
    sse->multi = curl_multi_init();
    if (!sse->multi)
        return BV_E_NOMEM;
    if (pthread_create(&sse->thread, NULL, run, sse) != 0)
        return bv_fail(error, BV_E_LIMIT, "no thread for %s", actor->name);
    sse->running = true;
    if (call->values[LIVE_ARG_IDLE].present)
        return 0;
    const struct live_opening opening = {.after = call->values[LIVE_ARG_AFTER].present
                                                      ? &call->values[LIVE_ARG_AFTER].number
                                                      : NULL};
    return open_with(actor, call, &opening, error);
}

const struct bv_protocol bv_protocol_sse = {
    .name = "sse",
    .summary = "a stream of server-sent events",
    .open_args = live_open_args,
    .open_arg_count = LIVE_ARG_COUNT,
    .open = sse_open,
    .close = sse_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = sse_check,
};
