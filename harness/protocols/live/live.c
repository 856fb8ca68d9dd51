#include "live.h"

#include "bv/expression.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

/* ---- addresses and paths ---- */

int live_address_parse(struct bv_bytes url,
                       struct live_address *ret_address,
                       struct bv_error *error)
{
    static const struct bv_bytes scheme = {"http://", 7};
    if (!bv_bytes_starts(url, scheme))
        return bv_fail(error, BV_E_INVALID, "%.*s is no http address", BV_ARG(url));
    struct bv_bytes rest = {url.data + scheme.size, url.size - scheme.size};
    if (rest.size && rest.data[rest.size - 1] == '/')
        rest.size--;
    const char *colon = rest.size ? memrchr(rest.data, ':', rest.size) : NULL;
    const size_t host_bytes = colon ? (size_t)(colon - rest.data) : rest.size;
    int64_t port = 80;
    struct live_address address = {0};
    if (host_bytes == 0 || host_bytes >= sizeof address.host || memchr(rest.data, '/', rest.size))
        return bv_fail(error, BV_E_INVALID, "%.*s is no http address", BV_ARG(url));
    if (colon && bv_bytes_int64(
                     (struct bv_bytes){colon + 1, rest.size - host_bytes - 1}, 1, 65535, &port) < 0)
        return bv_fail(error, BV_E_INVALID, "%.*s has no port", BV_ARG(url));
    memcpy(address.host, rest.data, host_bytes);
    address.port = (uint16_t)port;
    *ret_address = address;
    return 0;
}

char *live_path(struct bv_arena *arena, struct bv_bytes path, const int64_t *after)
{
    if (!after)
        return bv_arena_text(arena, path);
    const char separator = memchr(path.data, '?', path.size) ? '&' : '?';
    return bv_arena_format(arena, "%.*s%cafter=%lld", BV_ARG(path), separator, (long long)*after);
}

/* ---- messages ---- */

void live_describe(struct bv_arena *scratch, const char *key_path, struct bv_message *message)
{
    const struct bv_json *root = NULL;
    const struct bv_json *key = NULL;
    if (bv_json_parse(scratch, message->body, &root, NULL) < 0 ||
        bv_json_type(root) != BV_JSON_OBJECT)
        return;
    message->media_type = BV_BYTES("application/json");
    const struct bv_bytes type = bv_json_string(bv_json_get(root, "type"));
    if (type.size)
        message->type = type;
    message->sequence = bv_json_int(bv_json_get(root, "sequence"), message->sequence);
    if (bv_path_find(root, bv_bytes_of(key_path), &key, NULL) == 0 && bv_json_string(key).size)
        message->key = bv_json_string(key);
    const struct bv_bytes traceparent = bv_json_string(bv_json_get(root, "traceparent"));
    if (traceparent.size && bv_trace_parse(traceparent, &message->trace) < 0)
        message->trace = (struct bv_trace){0};
}

struct bv_bytes live_summary(struct bv_arena *scratch, const struct bv_message *message)
{
    const char *text =
        message->sequence == BV_NO_NUMBER
            ? bv_arena_format(scratch, "%.*s", BV_ARG(message->type))
            : bv_arena_format(
                  scratch, "%.*s #%lld", BV_ARG(message->type), (long long)message->sequence);
    return bv_bytes_of(text);
}

/* ---- the request that opens ---- */

const struct bv_arg live_open_args[LIVE_ARG_COUNT] = {
    [LIVE_ARG_TARGET] =
        {"target",   "at",    BV_ARG_TARGET,   BV_REQUIRED, "gateway, a service, or \"http://host:port\""         },
    [LIVE_ARG_PATH] = {"path",     "path",  BV_ARG_TEXT,     BV_REQUIRED, "where it connects"                                   },
    [LIVE_ARG_AS] =
        {"identity", "as",    BV_ARG_IDENTITY, BV_OPTIONAL, "who listens; nobody when it is left out"             },
    [LIVE_ARG_AFTER] =
        {"cursor",   "after", BV_ARG_INT,      BV_OPTIONAL, "last sequence seen; without it: from now on"         },
    [LIVE_ARG_KEY] = {"key",
                           "keyed by",          BV_ARG_TEXT,
                           BV_OPTIONAL,                                       "JSON path of a message's key, else " LIVE_KEY_DEFAULT},
    [LIVE_ARG_IDLE] =
        {"idle",     "idle",  BV_ARG_FLAG,     BV_OPTIONAL, "not connected until a verb says so"                  },
};

int live_check_open(struct bv_check *check, struct bv_error *error)
{
    const struct bv_bytes path = check->call->values[LIVE_ARG_PATH].text;
    const struct bv_bytes key = check->call->values[LIVE_ARG_KEY].text;
    if (path.data && (!path.size || path.data[0] != '/' || strpbrk(path.data, " \t\r\n")))
        return BV_CHECK_FAIL(
            check, BV_CHECK_ARGUMENT, LIVE_ARG_PATH, error, "\"%.60s\" is no path", path.data);
    check->place = BV_CHECK_ARGUMENT;
    check->index = LIVE_ARG_KEY;
    return key.data ? bv_path_check_one(key, error) : 0;
}

int live_source_read(struct bv_actor *actor,
                     const struct bv_call *call,
                     struct live_source *ret_source,
                     struct bv_error *error)
{
    struct bv_arena *arena = actor->lab->arena;
    const struct bv_value *values = call->values;
    const struct bv_bytes key =
        values[LIVE_ARG_KEY].present ? values[LIVE_ARG_KEY].text : BV_BYTES(LIVE_KEY_DEFAULT);
    const struct bv_bytes identity =
        values[LIVE_ARG_AS].present ? values[LIVE_ARG_AS].text : BV_BYTES("nobody");
    BV_TRY(bv_path_check_one(key, error));
    *ret_source = (struct live_source){
        .target = bv_arena_text(arena, values[LIVE_ARG_TARGET].text),
        .path = bv_arena_text(arena, values[LIVE_ARG_PATH].text),
        .identity = bv_arena_copy(arena, identity),
        .key_path = bv_arena_text(arena, key),
    };
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}

static void add_field(struct live_request *request, const char *name, const char *value)
{
    assert(request->field_count < LIVE_FIELDS_MAX);
    request->fields[request->field_count++] = (struct bv_http_field){name, bv_bytes_of(value)};
}

static int request_fields(struct bv_actor *actor,
                          struct bv_bytes identity,
                          const struct live_opening *opening,
                          struct live_request *request,
                          struct bv_error *error)
{
    struct bv_arena *arena = actor->lab->arena;
    const char *token = NULL;
    char traceparent[BV_TRACEPARENT_SIZE];
    int rc = actor->lab->ops->token(actor->lab, identity, &token, error);
    if (rc != 0)
        return rc;
    if (token)
        add_field(request, "authorization", bv_arena_format(arena, "Bearer %s", token));
    if (opening->last_event_id.data)
        add_field(request, "last-event-id", bv_arena_text(arena, opening->last_event_id));
    request->trace = bv_actor_trace(actor, traceparent);
    add_field(request, "traceparent", bv_arena_text(arena, bv_bytes_of(traceparent)));
    add_field(request, "correlation-id", actor->lab->run);
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}

int live_request_make(struct bv_actor *actor,
                      const struct live_source *source,
                      const struct live_opening *opening,
                      struct live_request *ret_request,
                      struct bv_error *error)
{
    struct bv_lab *lab = actor->lab;
    struct live_request request = {
        .path = live_path(lab->arena, bv_bytes_of(source->path), opening->after)};
    if (source->path[0] != '/' || strpbrk(source->path, " \t\r\n"))
        return bv_fail(error, BV_E_INVALID, "\"%.100s\" is no path", source->path);
    if (!request.path)
        return BV_E_NOMEM;
    int rc = lab->ops->resolve(lab, source->target, "GET", request.path, &request.base, error);
    if (rc == 0)
        rc = request_fields(actor,
                            opening->identity.data ? opening->identity : source->identity,
                            opening,
                            &request,
                            error);
    if (rc != 0)
        return rc;
    request.sent_us = bv_mono_us(lab->env);
    const struct bv_message message = {
        .direction = BV_SENT,
        .summary = bv_bytes_of(bv_arena_format(lab->arena, "GET %s", request.path)),
        .type = bv_bytes_of(bv_arena_format(lab->arena, "GET %s", request.path)),
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
        .fields = request.fields,
        .field_count = request.field_count,
        .trace = request.trace,
        .mono_us = request.sent_us,
    };
    BV_TRY(bv_actor_record(actor, &message, &request.sent_id));
    *ret_request = request;
    return 0;
}

uint64_t live_answer_record(struct bv_actor *actor,
                            const struct live_request *request,
                            const struct live_answer *answer)
{
    char summary[200];
    char type[160];
    uint64_t id = 0;
    snprintf(type, sizeof type, "GET %s", request->path);
    snprintf(summary, sizeof summary, "%s -> %lld", type, (long long)answer->status);
    struct bv_message message = {
        .direction = BV_NOTE,
        .summary = bv_bytes_of(summary),
        .type = bv_bytes_of(type),
        .status = answer->status,
        .sequence = BV_NO_NUMBER,
        .answers = request->sent_id,
        .fields = answer->fields,
        .field_count = answer->field_count,
        .media_type = answer->media_type,
        .body = answer->body,
        .trace = request->trace,
        .mono_us = bv_mono_us(actor->lab->env),
    };
    message.latency_us = message.mono_us - request->sent_us;
    return bv_actor_record(actor, &message, &id) == 0 ? id : 0;
}

/* ---- the link ---- */

void live_link_init(struct live_link *link, const struct bv_env *env)
{
    pthread_condattr_t attributes;
    *link = (struct live_link){.env = env};
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&link->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&link->lock, NULL);
}

void live_link_release(struct live_link *link)
{
    pthread_mutex_destroy(&link->lock);
    pthread_cond_destroy(&link->changed);
}

void live_link_ask(struct live_link *link, enum live_wish wish)
{
    pthread_mutex_lock(&link->lock);
    link->wish = wish;
    if (wish == LIVE_WISH_OPEN) {
        link->state = LIVE_CONNECTING;
        link->status = 0;
        link->answer_id = 0;
        link->why[0] = '\0';
    }
    pthread_mutex_unlock(&link->lock);
}

enum live_wish live_link_wish(struct live_link *link)
{
    pthread_mutex_lock(&link->lock);
    const enum live_wish wish = link->wish;
    pthread_mutex_unlock(&link->lock);
    return wish;
}

void live_link_done(struct live_link *link, enum live_wish wish)
{
    pthread_mutex_lock(&link->lock);
    if (link->wish == wish)
        link->wish = LIVE_WISH_NONE;
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->lock);
}

void live_link_set(struct live_link *link,
                   enum live_state state,
                   int64_t status,
                   uint64_t answer_id,
                   const char *why)
{
    pthread_mutex_lock(&link->lock);
    link->state = state;
    link->status = status;
    link->answer_id = answer_id;
    snprintf(link->why, sizeof link->why, "%s", why);
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->lock);
}

enum live_state live_link_state(struct live_link *link)
{
    pthread_mutex_lock(&link->lock);
    const enum live_state state = link->state;
    pthread_mutex_unlock(&link->lock);
    return state;
}

static struct timespec monotonic_after(int64_t left_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t nanoseconds = until.tv_nsec + left_us % 1000000 * 1000;
    until.tv_sec += left_us / 1000000 + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    return until;
}

int live_link_settle(struct live_link *link, int64_t deadline_mono_us, enum live_state *ret_state)
{
    const int64_t left_us = deadline_mono_us - bv_mono_us(link->env);
    const struct timespec until = monotonic_after(left_us > 0 ? left_us : 0);
    int rc = 0;
    pthread_mutex_lock(&link->lock);
    while ((link->wish != LIVE_WISH_NONE || link->state == LIVE_CONNECTING) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&link->changed, &link->lock, &until);
    const bool settled = link->wish == LIVE_WISH_NONE && link->state != LIVE_CONNECTING;
    if (settled)
        *ret_state = link->state;
    pthread_mutex_unlock(&link->lock);
    return settled ? 0 : BV_NOT_YET;
}

int64_t live_deadline(const struct bv_actor *actor, const struct bv_call *call)
{
    const int64_t latest = bv_mono_us(actor->lab->env) + actor->lab->timeout_ms * 1000;
    return call->deadline_mono_us && call->deadline_mono_us < latest ? call->deadline_mono_us
                                                                     : latest;
}

int live_tried(struct bv_actor *actor,
               struct live_link *link,
               int64_t deadline_mono_us,
               struct bv_error *error)
{
    enum live_state state = LIVE_IDLE;
    if (live_link_settle(link, deadline_mono_us, &state) == BV_NOT_YET) {
        (void)bv_fail(error, BV_E_TIMEOUT, "no answer to the request within its time");
        return BV_MISMATCH;
    }
    pthread_mutex_lock(&link->lock);
    const uint64_t answer_id = link->answer_id;
    if (!answer_id)
        (void)bv_fail(error, BV_E_UNAVAILABLE, "%s", link->why);
    pthread_mutex_unlock(&link->lock);
    if (!answer_id)
        return BV_MISMATCH;
    actor->current = bv_recording_at(actor->lab->recording, answer_id);
    return 0;
}

int live_opened(struct bv_actor *actor,
                struct live_link *link,
                int64_t deadline_mono_us,
                struct bv_error *error)
{
    int rc = live_tried(actor, link, deadline_mono_us, error);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&link->lock);
    /* It may have been open and have ended since: what came in between is recorded, so that is no
     * refusal. */
    if (link->state == LIVE_REFUSED) {
        (void)bv_fail(error, BV_E_UNAVAILABLE, "refused: %s", link->why);
        rc = BV_MISMATCH;
    }
    pthread_mutex_unlock(&link->lock);
    return rc;
}

int live_leave(struct bv_actor *actor,
               struct live_link *link,
               enum live_wish wish,
               void (*wake)(void *argument),
               void *argument,
               int64_t deadline_mono_us,
               struct bv_error *error)
{
    enum live_state state = live_link_state(link);
    if (state == LIVE_ENDED) {
        (void)bv_fail(error, BV_E_CLOSED, "%s had ended before: %s", actor->name, link->why);
        return BV_MISMATCH;
    }
    if (state != LIVE_OPEN)
        return bv_fail(error, BV_E_INVALID, "%s is not open", actor->name);
    live_link_ask(link, wish);
    wake(argument);
    if (live_link_settle(link, deadline_mono_us, &state) == BV_NOT_YET) {
        (void)bv_fail(error, BV_E_TIMEOUT, "the connection of %s does not end", actor->name);
        return BV_MISMATCH;
    }
    return 0;
}
