/* One mutex guards the list; messages are written once, before they enter it, into an arena that
 * only grows. Readers copy the pointer out under the lock and look at the message without it. */
#include "bv/recording.h"

#include "bv/protocol.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FIRST_CAPACITY = 256, NOTE_BYTES = 240 };

struct bv_recording {
    struct bv_recording_config config;
    pthread_cond_t grown; /* on CLOCK_MONOTONIC */
    pthread_mutex_t lock; /* guards everything below */
    struct bv_arena *arena;
    const struct bv_message **messages; /* owned array; messages live in arena */
    size_t count;
    size_t capacity;
    bool full;
    bool interrupted;
};

const char *bv_direction_word(enum bv_direction direction)
{
    static const char *const words[] = {
#define BV_X_(name, word) word,
        BV_DIRECTION_LIST(BV_X_)
#undef BV_X_
    };
    return words[direction];
}

int bv_recording_open(const struct bv_recording_config *config, struct bv_recording **ret_recording)
{
    struct bv_recording *recording = calloc(1, sizeof *recording);
    if (!recording)
        return BV_E_NOMEM;
    recording->config = *config;
    if (!recording->config.bytes_max)
        recording->config.bytes_max = (size_t)64 << 20;
    if (!recording->config.count_max)
        recording->config.count_max = 100000;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&recording->grown, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&recording->lock, NULL);
    int rc = bv_arena_open(recording->config.bytes_max, &recording->arena);
    if (rc < 0)
        bv_recording_close(&recording);
    else
        *ret_recording = recording;
    return rc;
}

void bv_recording_close(struct bv_recording **recording)
{
    if (!*recording)
        return;
    pthread_mutex_destroy(&(*recording)->lock);
    pthread_cond_destroy(&(*recording)->grown);
    bv_arena_close(&(*recording)->arena);
    free((*recording)->messages);
    free(*recording);
    *recording = NULL;
}

static struct bv_bytes copy(struct bv_arena *arena, struct bv_bytes bytes)
{
    return bytes.data ? bv_arena_copy(arena, bytes) : BV_BYTES("");
}

static void copy_fields(struct bv_arena *arena, struct bv_message *message)
{
    if (message->field_count > BV_MESSAGE_FIELDS_MAX)
        message->field_count = BV_MESSAGE_FIELDS_MAX;
    struct bv_http_field *fields =
        bv_arena_array(arena, struct bv_http_field, message->field_count + 1);
    if (!fields) {
        message->field_count = 0;
        return;
    }
    for (size_t i = 0; i < message->field_count; i++) {
        fields[i].name = bv_arena_text(arena, bv_bytes_of(message->fields[i].name));
        fields[i].value = copy(arena, message->fields[i].value);
    }
    message->fields = fields;
}

static void read_trace(struct bv_message *message)
{
    if (bv_trace_present(&message->trace))
        return;
    for (size_t i = 0; i < message->field_count; i++) {
        struct bv_bytes name = bv_bytes_of(message->fields[i].name);
        if (bv_bytes_equal_nocase(name, BV_BYTES("traceparent")) &&
            bv_trace_parse(message->fields[i].value, &message->trace) == 0)
            return;
    }
}

static bool looks_like_json(struct bv_bytes body)
{
    size_t at = 0;
    while (at < body.size && strchr(" \t\r\n", body.data[at]))
        at++;
    return at < body.size && (body.data[at] == '{' || body.data[at] == '[');
}

/* Fills a copy in the arena; NULL when the arena is exhausted. */
static struct bv_message *store(struct bv_recording *recording, const struct bv_message *message)
{
    struct bv_arena *arena = recording->arena;
    struct bv_message *stored = bv_arena_new(arena, struct bv_message);
    if (!stored)
        return NULL;
    *stored = *message;
    if (!stored->body_bytes)
        stored->body_bytes = stored->body.size;
    if (stored->body.size > BV_MESSAGE_BODY_MAX)
        stored->body.size = BV_MESSAGE_BODY_MAX;
    stored->actor = bv_arena_text(arena, bv_bytes_of(message->actor));
    stored->protocol = bv_arena_text(arena, bv_bytes_of(message->protocol));
    stored->summary = copy(arena, message->summary);
    stored->type = copy(arena, message->type);
    stored->key = copy(arena, message->key);
    stored->media_type = copy(arena, message->media_type);
    stored->body = copy(arena, stored->body);
    copy_fields(arena, stored);
    read_trace(stored);
    if (!stored->wall_us)
        stored->wall_us = bv_wall_us(recording->config.env);
    if (!stored->mono_us)
        stored->mono_us = bv_mono_us(recording->config.env);
    stored->contract = copy(arena, message->contract);
    stored->violation = copy(arena, message->violation);
    stored->flaw = BV_BYTES("");
    if (bv_arena_failed(arena))
        return NULL;
    const struct bv_json *json = NULL;
    if (looks_like_json(stored->body) && message->body.size <= BV_MESSAGE_JSON_MAX &&
        bv_json_parse(arena, message->body, &json, NULL) == 0) /* the whole, also where it is cut */
        stored->json = json;
    if (recording->config.inspect)
        recording->config.inspect(recording->config.inspect_argument, stored, arena);
    return bv_arena_failed(arena) ? NULL : stored;
}

static int make_room(struct bv_recording *recording)
{
    if (recording->count >= recording->config.count_max)
        return BV_E_LIMIT;
    if (recording->count < recording->capacity)
        return 0;
    size_t capacity = recording->capacity ? recording->capacity * 2 : FIRST_CAPACITY;
    const struct bv_message **messages = realloc(recording->messages, capacity * sizeof(*messages));
    if (!messages)
        return BV_E_LIMIT;
    recording->messages = messages;
    recording->capacity = capacity;
    return 0;
}

int bv_recording_append(struct bv_recording *recording,
                        const struct bv_message *message,
                        uint64_t *ret_id)
{
    pthread_mutex_lock(&recording->lock);
    struct bv_message *stored = NULL;
    if (!recording->full && make_room(recording) == 0)
        stored = store(recording, message);
    if (!stored) {
        recording->full = true;
        pthread_cond_broadcast(&recording->grown);
        pthread_mutex_unlock(&recording->lock);
        return BV_E_LIMIT;
    }
    recording->messages[recording->count++] = stored;
    stored->id = recording->count;
    if (ret_id)
        *ret_id = stored->id;
    pthread_cond_broadcast(&recording->grown);
    pthread_mutex_unlock(&recording->lock);
    return 0;
}

static int append_note(struct bv_recording *recording,
                       const char *actor,
                       const char *protocol,
                       const char *format,
                       va_list arguments)
{
    char text[NOTE_BYTES];
    int size = vsnprintf(text, sizeof text, format, arguments);
    if (size < 0)
        size = 0;
    struct bv_message note = {
        .actor = actor,
        .protocol = protocol,
        .direction = BV_NOTE,
        .summary = {text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1},
        .status = BV_NO_NUMBER,
        .sequence = BV_NO_NUMBER,
    };
    return bv_recording_append(recording, &note, NULL);
}

int bv_recording_note(struct bv_recording *recording,
                      const char *actor,
                      const char *protocol,
                      const char *format,
                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    int rc = append_note(recording, actor, protocol, format, arguments);
    va_end(arguments);
    return rc;
}

bool bv_recording_full(struct bv_recording *recording)
{
    pthread_mutex_lock(&recording->lock);
    bool full = recording->full;
    pthread_mutex_unlock(&recording->lock);
    return full;
}

void bv_recording_interrupt(struct bv_recording *recording)
{
    pthread_mutex_lock(&recording->lock);
    recording->interrupted = true;
    pthread_cond_broadcast(&recording->grown);
    pthread_mutex_unlock(&recording->lock);
}

bool bv_recording_interrupted(struct bv_recording *recording)
{
    pthread_mutex_lock(&recording->lock);
    bool interrupted = recording->interrupted;
    pthread_mutex_unlock(&recording->lock);
    return interrupted;
}

uint64_t bv_recording_last(struct bv_recording *recording)
{
    pthread_mutex_lock(&recording->lock);
    uint64_t last = recording->count;
    pthread_mutex_unlock(&recording->lock);
    return last;
}

const struct bv_message *bv_recording_at(struct bv_recording *recording, uint64_t id)
{
    const struct bv_message *message = NULL;
    pthread_mutex_lock(&recording->lock);
    if (id >= 1 && id <= recording->count)
        message = recording->messages[id - 1];
    pthread_mutex_unlock(&recording->lock);
    return message;
}

/* The message after `seen`, waiting for it until the deadline; NULL when there is none. A manual
 * clock never makes the wait longer than what it says now. */
static const struct bv_message *
next_message(struct bv_recording *recording, uint64_t seen, int64_t deadline_mono_us)
{
    const struct bv_message *message = NULL;
    pthread_mutex_lock(&recording->lock);
    int64_t left_us = deadline_mono_us - bv_mono_us(recording->config.env);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (left_us > 0) {
        int64_t nanoseconds = until.tv_nsec + left_us % 1000000 * 1000;
        until.tv_sec += left_us / 1000000 + nanoseconds / 1000000000;
        until.tv_nsec = nanoseconds % 1000000000;
    }
    int rc = left_us > 0 ? 0 : ETIMEDOUT;
    while (seen >= recording->count && rc != ETIMEDOUT && !recording->interrupted &&
           !recording->full)
        rc = pthread_cond_timedwait(&recording->grown, &recording->lock, &until);
    if (seen < recording->count)
        message = recording->messages[seen];
    pthread_mutex_unlock(&recording->lock);
    return message;
}

int bv_recording_await(struct bv_recording *recording,
                       uint64_t after,
                       int64_t deadline_mono_us,
                       bv_match *match,
                       void *argument,
                       const struct bv_message **ret_message)
{
    for (uint64_t seen = after;; seen++) {
        const struct bv_message *message = next_message(recording, seen, deadline_mono_us);
        if (!message)
            return BV_NOT_YET;
        if (match(argument, message)) {
            *ret_message = message;
            return 0;
        }
    }
}

int bv_actor_record(struct bv_actor *actor, const struct bv_message *message, uint64_t *ret_id)
{
    struct bv_message named = *message;
    named.actor = actor->name;
    named.protocol = actor->protocol->name;
    return bv_recording_append(actor->lab->recording, &named, ret_id);
}

int bv_actor_note(struct bv_actor *actor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int rc =
        append_note(actor->lab->recording, actor->name, actor->protocol->name, format, arguments);
    va_end(arguments);
    return rc;
}

static bool received_by(void *argument, const struct bv_message *message)
{
    const struct bv_actor *actor = argument;
    return message->direction == BV_RECEIVED && strcmp(message->actor, actor->name) == 0;
}

int bv_actor_await(struct bv_actor *actor,
                   uint64_t after,
                   int64_t deadline_mono_us,
                   const struct bv_message **ret_message)
{
    int rc = bv_recording_await(
        actor->lab->recording, after, deadline_mono_us, received_by, actor, ret_message);
    if (rc == 0)
        actor->current = *ret_message;
    return rc;
}

int64_t bv_actor_left_ms(const struct bv_actor *actor, const struct bv_call *call)
{
    int64_t left_ms = (call->deadline_mono_us - bv_mono_us(actor->lab->env)) / 1000;
    if (!call->deadline_mono_us || left_ms > actor->lab->timeout_ms)
        return actor->lab->timeout_ms;
    return left_ms > 0 ? left_ms : 1;
}

bool bv_peer_gone(int fd)
{
    struct pollfd look = {fd, POLLRDHUP, 0};
    return poll(&look, 1, 0) > 0;
}

struct bv_trace bv_actor_trace(struct bv_actor *actor, char ret_traceparent[BV_TRACEPARENT_SIZE])
{
    struct bv_trace trace = bv_trace_child(actor->lab->env, &actor->lab->trace, 1000000);
    bv_trace_format(&trace, ret_traceparent);
    return trace;
}

bool bv_is_base_url(struct bv_bytes target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < BV_COUNT(schemes); i++) {
        size_t size = strlen(schemes[i]);
        if (target.size > size && memcmp(target.data, schemes[i], size) == 0)
            return target.data[target.size - 1] != '/';
    }
    return false;
}
