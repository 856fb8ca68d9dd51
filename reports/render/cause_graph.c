/* Linear walks: a scenario has some hundred messages and spans, and only red ones are looked at. */
#include "cause_graph.h"

#include <string.h>

/* ---- records ---- */

struct bv_bytes rec_text(const struct bv_json *record, const char *member)
{
    struct bv_bytes text = bv_json_string(bv_json_get(record, member));
    return text.data ? text : BV_BYTES("");
}

int64_t rec_number(const struct bv_json *record, const char *member)
{
    return bv_json_int(bv_json_get(record, member), 0);
}

bool rec_is(const struct bv_json *record, const char *member, const char *word)
{
    return bv_bytes_equal(rec_text(record, member), bv_bytes_of(word));
}

static bool holds(struct bv_bytes text, struct bv_bytes part)
{
    return part.size && text.size && memmem(text.data, text.size, part.data, part.size);
}

bool rec_says(const struct bv_json *record, const char *member, const char *part)
{
    return holds(rec_text(record, member), bv_bytes_of(part));
}

bool rec_has_field(const struct bv_json *message, const char *name)
{
    const struct bv_json *fields = bv_json_get(message, "fields");
    for (struct bv_json_iter it = bv_json_iter(fields); bv_json_next(&it);)
        if (bv_bytes_equal_nocase(rec_text(it.value, "name"), bv_bytes_of(name)))
            return true;
    return false;
}

bool rec_is_arrival(const struct bv_json *message)
{
    return rec_is(message, "direction", "received") && !rec_number(message, "answers");
}

bool rec_is_refused(const struct bv_json *message) /* a delivery that will rightly come again */
{
    return rec_number(message, "status") >= 400;
}

int64_t rec_version(const struct bv_json *message)
{
    static const char *const places[] = {"/payload/version", "/data/version", "/version"};
    const struct bv_json *json = bv_json_get(message, "json");
    for (size_t i = 0; i < BV_COUNT(places); i++) {
        int64_t version = bv_json_int(bv_json_pointer(json, bv_bytes_of(places[i])), 0);
        if (version)
            return version;
    }
    return 0;
}

struct bv_bytes rec_topic(const struct bv_json *message)
{
    struct bv_bytes summary = rec_text(message, "summary");
    size_t size = 0;
    while (size < summary.size && summary.data[size] != '[' && summary.data[size] != ' ')
        size++;
    return (struct bv_bytes){summary.data, rec_is(message, "protocol", "kafka") ? size : 0};
}

struct bv_bytes rec_name(const struct bv_json *message)
{
    struct bv_bytes type = rec_text(message, "type");
    return type.size ? type : rec_text(message, "summary");
}

struct bv_bytes rec_event_id(const struct bv_json *message)
{
    struct bv_bytes id = rec_text(bv_json_get(message, "json"), "eventId");
    const struct bv_json *fields = bv_json_get(message, "fields");
    for (struct bv_json_iter it = bv_json_iter(fields); !id.size && bv_json_next(&it);)
        if (bv_bytes_equal_nocase(rec_text(it.value, "name"), BV_BYTES("webhook-id")))
            id = rec_text(it.value, "value");
    return id;
}

/* ---- what leads to what ---- */

const struct bv_json *graph_message(const struct look *look, int64_t id)
{
    for (size_t i = 0; id && i < look->scenario->messages.count; i++)
        if (rec_number(look->scenario->messages.list[i], "id") == id)
            return look->scenario->messages.list[i];
    return NULL;
}

const struct bv_json *graph_answer(const struct look *look, const struct bv_json *asked)
{
    for (size_t i = 0; asked && i < look->scenario->messages.count; i++)
        if (rec_number(look->scenario->messages.list[i], "answers") == rec_number(asked, "id"))
            return look->scenario->messages.list[i];
    return NULL;
}

const struct bv_json *graph_span(const struct look *look, const char *member, struct bv_bytes id)
{
    for (size_t i = 0; id.size && i < look->scenario->spans.count; i++)
        if (bv_bytes_equal(rec_text(look->scenario->spans.list[i], member), id))
            return look->scenario->spans.list[i];
    return NULL;
}

struct bv_bytes graph_server(const struct look *look, const struct bv_json *asked)
{
    return rec_text(graph_span(look, "parentSpanId", rec_text(asked, "spanId")), "service");
}

struct bv_bytes graph_sender(const struct look *look, const struct bv_json *message)
{
    struct bv_bytes service =
        rec_text(graph_span(look, "spanId", rec_text(message, "spanId")), "service");
    if (!service.size)
        service = rec_text(bv_json_get(message, "json"), "producer");
    if (service.size || !rec_is_arrival(message))
        return service;
    for (size_t i = 0; i < look->scenario->messages.count && !service.size; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (rec_is_arrival(other) &&
            bv_bytes_equal(rec_text(other, "actor"), rec_text(message, "actor")))
            service = rec_text(graph_span(look, "spanId", rec_text(other, "spanId")), "service");
    }
    return service;
}

const struct bv_json *graph_last_change(const struct look *look, struct bv_bytes key, int64_t us)
{
    static const char *const reads[] = {"GET ", "HEAD ", "OPTIONS ", "Inventory/Get"};
    const struct bv_json *best = NULL;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        bool reading = !rec_is(message, "direction", "sent") || rec_number(message, "us") > us;
        for (size_t r = 0; r < BV_COUNT(reads); r++)
            reading = reading || bv_bytes_starts(rec_name(message), bv_bytes_of(reads[r]));
        if (reading)
            continue;
        const struct bv_json *answer = graph_answer(look, message);
        bool about = !key.size || holds(rec_text(message, "summary"), key) ||
                     bv_bytes_equal(rec_text(message, "key"), key) ||
                     bv_bytes_equal(rec_text(bv_json_get(answer, "json"), "orderId"), key);
        if (about && (!best || rec_number(message, "us") >= rec_number(best, "us")))
            best = message;
    }
    return best;
}

const struct bv_json *
graph_last_arrival(const struct look *look, struct bv_bytes actor, struct bv_bytes key, int64_t us)
{
    const struct bv_json *best = NULL;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        if (!rec_is_arrival(message) || rec_number(message, "us") >= us)
            continue;
        if (actor.size ? !bv_bytes_equal(rec_text(message, "actor"), actor)
                       : !rec_is(message, "protocol", "kafka"))
            continue;
        if ((!key.size || bv_bytes_equal(rec_text(message, "key"), key)) &&
            (!best || rec_number(message, "us") >= rec_number(best, "us")))
            best = message;
    }
    return best;
}

const struct bv_json *graph_origin(const struct look *look, const struct bv_json *message)
{
    enum { SPANS_NESTED = 32 };
    const struct bv_json *span = graph_span(look, "spanId", rec_text(message, "spanId"));
    for (int depth = 0; span && depth < SPANS_NESTED; depth++) {
        struct bv_bytes parent = rec_text(span, "parentSpanId");
        for (size_t i = 0; parent.size && i < look->scenario->messages.count; i++)
            if (rec_is(look->scenario->messages.list[i], "direction", "sent") &&
                bv_bytes_equal(rec_text(look->scenario->messages.list[i], "spanId"), parent))
                return look->scenario->messages.list[i];
        span = graph_span(look, "spanId", parent);
    }
    struct bv_bytes key = rec_text(message, "key");
    const struct bv_json *last = graph_last_change(look, key, rec_number(message, "us"));
    for (const struct bv_json *asked = last; asked;) {
        if (rec_version(graph_answer(look, asked)) >= rec_version(message))
            last = asked;
        asked = graph_last_change(look, key, rec_number(asked, "us") - 1);
    }
    return last;
}

/* A screen that opens again is rightly told again, under the same number. */
static bool is_replay(const struct bv_json *message, const struct bv_json *before)
{
    return !rec_is(message, "protocol", "kafka") && !rec_is(message, "protocol", "webhook") &&
           rec_number(message, "sequence") == rec_number(before, "sequence");
}

enum { COMPARED_MAX = 4000 }; /* messages of one scenario, each with each */

const struct bv_json *graph_twin(const struct look *look, const struct bv_json *message)
{
    if (look->scenario->messages.count > COMPARED_MAX)
        return NULL;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (other == message)
            return NULL;
        if (rec_is_arrival(other) && !rec_is_refused(other) &&
            bv_bytes_equal(rec_text(other, "actor"), rec_text(message, "actor")) &&
            bv_bytes_equal(rec_name(other), rec_name(message)) &&
            bv_bytes_equal(rec_text(other, "key"), rec_text(message, "key")) &&
            rec_version(other) == rec_version(message) && !is_replay(message, other))
            return other;
    }
    return NULL;
}

size_t graph_count_on_kafka(const struct look *look, const struct bv_json *message)
{
    size_t count = 0;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (rec_is_arrival(other) && rec_is(other, "protocol", "kafka") &&
            bv_bytes_equal(rec_text(other, "type"), rec_text(message, "type")) &&
            bv_bytes_equal(rec_text(other, "key"), rec_text(message, "key")))
            count++;
    }
    return count;
}

struct bv_bytes graph_topic_declared(const struct look *look, struct bv_bytes actor)
{
    for (size_t i = 0; i < look->scenario->actors.count; i++) {
        struct bv_bytes text = rec_text(look->scenario->actors.list[i], "text");
        const char *from = NULL, *to = NULL;
        if (!bv_bytes_equal(rec_text(look->scenario->actors.list[i], "name"), actor) ||
            !rec_is(look->scenario->actors.list[i], "protocol", "kafka"))
            continue;
        from = memchr(text.data, '"', text.size);
        if (from)
            to = memchr(from + 1, '"', (size_t)(text.data + text.size - from - 1));
        if (to)
            return (struct bv_bytes){from + 1, (size_t)(to - from - 1)};
    }
    return BV_BYTES("");
}

struct bv_bytes graph_producer(const struct look *look,
                               struct bv_bytes type,
                               struct bv_bytes topic,
                               const struct bv_json *asked)
{
    struct bv_bytes by_topic = BV_BYTES("");
    for (size_t s = 0; s < look->report->scenario_count; s++)
        for (size_t i = 0; i < look->report->scenarios[s].messages.count; i++) {
            const struct bv_json *message = look->report->scenarios[s].messages.list[i];
            struct bv_bytes producer = rec_text(bv_json_get(message, "json"), "producer");
            if (!producer.size || !rec_is_arrival(message))
                continue;
            if (type.size && bv_bytes_equal(rec_text(message, "type"), type))
                return producer;
            if (topic.size && bv_bytes_equal(rec_topic(message), topic))
                by_topic = producer;
        }
    return by_topic.size ? by_topic : asked ? graph_server(look, asked) : BV_BYTES("");
}

const struct bv_json *graph_undelivered(const struct look *look,
                                        struct bv_bytes actor,
                                        struct bv_bytes key,
                                        struct bv_bytes type)
{
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        if (!rec_is_arrival(message) || !rec_is(message, "protocol", "kafka") ||
            (key.size && !bv_bytes_equal(rec_text(message, "key"), key)) ||
            (type.size && !bv_bytes_equal(rec_text(message, "type"), type)))
            continue;
        bool delivered = false;
        for (size_t n = 0; n < look->scenario->messages.count && !delivered; n++) {
            const struct bv_json *other = look->scenario->messages.list[n];
            delivered = rec_is_arrival(other) && !rec_is_refused(other) &&
                        bv_bytes_equal(rec_text(other, "actor"), actor) &&
                        bv_bytes_equal(rec_text(other, "type"), rec_text(message, "type"));
        }
        if (!delivered)
            return message;
    }
    return NULL;
}
