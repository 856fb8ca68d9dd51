/* The common probe readers. */
#include "bv/expression.h"

static int text_fact(struct bv_bytes text, struct bv_fact *ret_fact)
{
    *ret_fact = text.size ? (struct bv_fact){.type = BV_FACT_TEXT, .text = text}
                          : (struct bv_fact){.type = BV_FACT_ABSENT};
    return 0;
}

static int number_fact(int64_t number, struct bv_fact *ret_fact)
{
    *ret_fact = number != BV_NO_NUMBER ? (struct bv_fact){.type = BV_FACT_INT, .number = number}
                                       : (struct bv_fact){.type = BV_FACT_ABSENT};
    return 0;
}

#define PROBE(name)                                                                                \
    int bv_probe_##name(const struct bv_actor *actor,                                              \
                        const struct bv_message *message,                                          \
                        struct bv_bytes argument,                                                  \
                        struct bv_arena *arena,                                                    \
                        struct bv_fact *ret_fact,                                                  \
                        struct bv_error *error)
#define UNUSED (void)actor, (void)message, (void)argument, (void)arena, (void)error

PROBE(status)
{
    UNUSED;
    return number_fact(message->status, ret_fact);
}

PROBE(header)
{
    UNUSED;
    for (size_t i = 0; i < message->field_count; i++) {
        if (bv_bytes_equal_nocase(bv_bytes_of(message->fields[i].name), argument)) {
            *ret_fact = (struct bv_fact){.type = BV_FACT_TEXT, .text = message->fields[i].value};
            return 0;
        }
    }
    *ret_fact = (struct bv_fact){.type = BV_FACT_ABSENT};
    return 0;
}

PROBE(json)
{
    (void)actor;
    const struct bv_json *value = NULL;
    if (!message->json && message->body_bytes > BV_MESSAGE_JSON_MAX)
        return bv_fail(error,
                       BV_E_TOO_LARGE,
                       "the body has %zu bytes, and paths are read in up to %d",
                       message->body_bytes,
                       BV_MESSAGE_JSON_MAX);
    BV_TRY(bv_path_select(arena, message->json, argument, &value, error));
    *ret_fact = value ? (struct bv_fact){.type = BV_FACT_JSON, .json = value}
                      : (struct bv_fact){.type = BV_FACT_ABSENT};
    return 0;
}

PROBE(body)
{
    UNUSED;
    *ret_fact = (struct bv_fact){.type = BV_FACT_TEXT, .text = message->body};
    return 0;
}

PROBE(type)
{
    UNUSED;
    return text_fact(message->type, ret_fact);
}

PROBE(key)
{
    UNUSED;
    return text_fact(message->key, ret_fact);
}

PROBE(sequence)
{
    UNUSED;
    return number_fact(message->sequence, ret_fact);
}

PROBE(signed)
{
    UNUSED;
    static const char *const words[] = {"no", "yes", "badly", "unknown"};
    return text_fact(bv_bytes_of(words[message->signature]), ret_fact);
}

PROBE(summary)
{
    UNUSED;
    return text_fact(message->summary, ret_fact);
}

PROBE(latency)
{
    UNUSED;
    return number_fact(message->latency_us ? message->latency_us / 1000 : BV_NO_NUMBER, ret_fact);
}

PROBE(count)
{
    UNUSED;
    struct bv_recording *recording = actor->lab->recording;
    uint64_t last = bv_recording_last(recording);
    int64_t count = 0;
    for (uint64_t id = actor->opened + 1; id <= last; id++) {
        const struct bv_message *seen = bv_recording_at(recording, id);
        count += seen->direction == BV_RECEIVED && strcmp(seen->actor, actor->name) == 0;
    }
    return number_fact(count, ret_fact);
}
