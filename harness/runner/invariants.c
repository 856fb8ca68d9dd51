#include "invariants.h"

enum identity { BY_EVENT_ID, BY_SEQUENCE };
static const struct stream {
    const char *protocol;
    const char *types; /* how they begin */
    const char *thing; /* JSON pointers into the body */
    const char *version;
    enum identity identity;
    bool gapless; /* a screen may be opened anywhere and skip what it has seen */
} streams[] = {
    {"kafka",     "ecommerce.order.",   "/payload/orderId", "/payload/version", BY_EVENT_ID, true },
    {"kafka",     "ecommerce.product.", "/payload/sku",     "/payload/version", BY_EVENT_ID, true },
    {"websocket", "ecommerce.order.",   "/data/orderId",    "/data/version",    BY_SEQUENCE, false},
    {"sse",       "ecommerce.order.",   "/data/orderId",    "/data/version",    BY_SEQUENCE, false},
};

/* What an actor knows of one order or product. */
struct line {
    struct line *next;
    const struct stream *stream;
    const char *actor;
    struct bv_bytes thing;
    int64_t last; /* highest version */
    struct seen *seen;
};
struct seen {
    struct seen *next;
    int64_t version;
    const struct bv_message *message; /* the first */
};

static const struct stream *stream_of(const struct bv_message *message)
{
    for (size_t i = 0; i < BV_COUNT(streams); i++)
        if (strcmp(streams[i].protocol, message->protocol) == 0 &&
            bv_bytes_starts(message->type, bv_bytes_of(streams[i].types)))
            return &streams[i];
    return NULL;
}

/* FNV-1a, 32 bits. */
static uint32_t hash(uint32_t seed, struct bv_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        seed = (seed ^ (unsigned char)bytes.data[i]) * 0x01000193u;
    return seed;
}

static struct line *line_of(struct invariants *invariants,
                            const struct stream *stream,
                            const struct bv_message *message,
                            struct bv_bytes thing,
                            struct bv_arena *arena)
{
    uint32_t bucket =
        hash(hash(0x811c9dc5u, bv_bytes_of(message->actor)), thing) % INVARIANTS_BUCKETS;
    struct line *line = invariants->lines[bucket];
    while (line && (line->stream != stream || strcmp(line->actor, message->actor) != 0 ||
                    !bv_bytes_equal(line->thing, thing)))
        line = line->next;
    if (line)
        return line;
    line = bv_arena_new(arena, struct line);
    if (!line)
        return NULL;
    *line = (struct line){invariants->lines[bucket], stream, message->actor, thing, 0, NULL};
    invariants->lines[bucket] = line;
    return line;
}

static struct bv_bytes event_id(const struct bv_message *message)
{
    return bv_json_string(bv_json_get(message->json, "eventId"));
}

static void violate(struct bv_message *message, const char *text)
{
    message->violation = text ? bv_bytes_of(text) : BV_BYTES_NONE;
}

/* The version was here before: as the same message again, or as another one? */
static void check_once(const struct stream *stream,
                       const struct bv_message *first,
                       int64_t version,
                       struct bv_bytes thing,
                       struct bv_message *message,
                       struct bv_arena *arena)
{
    if (stream->identity == BY_SEQUENCE && first->sequence != message->sequence)
        violate(message,
                bv_arena_format(arena,
                                "version %lld of %.*s came twice: with sequence %lld and with %lld",
                                (long long)version,
                                BV_ARG(thing),
                                (long long)first->sequence,
                                (long long)message->sequence));
    else if (stream->identity == BY_EVENT_ID && !bv_bytes_equal(event_id(first), event_id(message)))
        violate(message,
                bv_arena_format(arena,
                                "version %lld of %.*s came twice: as event %.*s and as %.*s",
                                (long long)version,
                                BV_ARG(thing),
                                BV_ARG(event_id(first)),
                                BV_ARG(event_id(message))));
    else if (stream->identity == BY_EVENT_ID && !bv_bytes_equal(first->body, message->body))
        violate(message,
                bv_arena_format(
                    arena, "event %.*s came again with other content", BV_ARG(event_id(message))));
}

static void
check(struct line *line, int64_t version, struct bv_message *message, struct bv_arena *arena)
{
    for (const struct seen *seen = line->seen; seen; seen = seen->next) {
        if (seen->version == version) {
            check_once(line->stream, seen->message, version, line->thing, message, arena);
            return;
        }
    }
    if (line->stream->gapless && line->last && version > line->last + 1)
        violate(message,
                bv_arena_format(arena,
                                "version %lld of %.*s never came: version %lld follows %lld",
                                (long long)line->last + 1,
                                BV_ARG(line->thing),
                                (long long)version,
                                (long long)line->last));
    struct seen *seen = bv_arena_new(arena, struct seen);
    if (!seen)
        return; /* the recording is full, and says so */
    *seen = (struct seen){line->seen, version, message};
    line->seen = seen;
    line->last = version > line->last ? version : line->last;
}

void invariants_inspect(void *argument, struct bv_message *message, struct bv_arena *arena)
{
    struct invariants *invariants = argument;
    contracts_inspect(invariants->contracts, message, arena);
    if (message->direction != BV_RECEIVED || message->violation.size || !message->json)
        return;
    const struct stream *stream = stream_of(message);
    if (!stream)
        return;
    struct bv_bytes thing =
        bv_json_string(bv_json_pointer(message->json, bv_bytes_of(stream->thing)));
    int64_t version = bv_json_int(bv_json_pointer(message->json, bv_bytes_of(stream->version)), 0);
    struct line *line =
        thing.size && version > 0 ? line_of(invariants, stream, message, thing, arena) : NULL;
    if (line)
        check(line, version, message, arena);
}
