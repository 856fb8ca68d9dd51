/* The chain that the order flow is made of, and where it can break:
 *
 *   request -> service, answer        CAUSE_ANSWER
 *   service -> outbox -> Kafka        CAUSE_MISSING (lost row), CAUSE_UNTRACED
 *   Kafka -> consumer                 CAUSE_MISSING (never taken), CAUSE_DUPLICATE (taken twice)
 *   consumer -> screen or partner     CAUSE_MISSING, CAUSE_UNSIGNED
 *
 * Who sent a message is the service of the span that it carries; who served a request is the
 * service of the span whose parent the request is. */
#include "cause.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct look {
    const struct report *report;
    const struct report_scenario *scenario;
    struct cause *cause;
};

const char *cause_word(enum cause_kind kind)
{
    static const char *const words[] = {
#define BV_X_(name, word) word,
        CAUSE_LIST(BV_X_)
#undef BV_X_
    };
    return words[kind];
}

/* ---- records ---- */

static struct bv_bytes text_of(const struct bv_json *record, const char *member)
{
    struct bv_bytes text = bv_json_string(bv_json_get(record, member));
    return text.data ? text : BV_BYTES("");
}

static int64_t number_of(const struct bv_json *record, const char *member)
{
    return bv_json_int(bv_json_get(record, member), 0);
}

static bool is(const struct bv_json *record, const char *member, const char *word)
{
    return bv_bytes_equal(text_of(record, member), bv_bytes_of(word));
}

static bool holds(struct bv_bytes text, struct bv_bytes part)
{
    return part.size && text.size && memmem(text.data, text.size, part.data, part.size);
}

static bool says(const struct bv_json *record, const char *member, const char *part)
{
    return holds(text_of(record, member), bv_bytes_of(part));
}

static bool has_field(const struct bv_json *message, const char *name)
{
    const struct bv_json *fields = bv_json_get(message, "fields");
    for (struct bv_json_iter it = bv_json_iter(fields); bv_json_next(&it);)
        if (bv_bytes_equal_nocase(text_of(it.value, "name"), bv_bytes_of(name)))
            return true;
    return false;
}

static bool is_arrival(const struct bv_json *message)
{
    return is(message, "direction", "received") && !number_of(message, "answers");
}

/* Where an envelope of Kafka and a delivery keep the version of what they speak of. */
static int64_t version_of(const struct bv_json *message)
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

static const struct bv_json *message_of(const struct look *look, int64_t id)
{
    for (size_t i = 0; id && i < look->scenario->messages.count; i++)
        if (number_of(look->scenario->messages.list[i], "id") == id)
            return look->scenario->messages.list[i];
    return NULL;
}

static const struct bv_json *answer_to(const struct look *look, const struct bv_json *asked)
{
    for (size_t i = 0; asked && i < look->scenario->messages.count; i++)
        if (number_of(look->scenario->messages.list[i], "answers") == number_of(asked, "id"))
            return look->scenario->messages.list[i];
    return NULL;
}

static const struct bv_json *
span_with(const struct look *look, const char *member, struct bv_bytes id)
{
    for (size_t i = 0; id.size && i < look->scenario->spans.count; i++)
        if (bv_bytes_equal(text_of(look->scenario->spans.list[i], member), id))
            return look->scenario->spans.list[i];
    return NULL;
}

/* ---- words ---- */

static struct bv_bytes format(const struct look *look, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
static struct bv_bytes format(const struct look *look, const char *pattern, ...)
{
    char text[600];
    va_list values;
    va_start(values, pattern);
    int size = vsnprintf(text, sizeof text, pattern, values);
    va_end(values);
    if (size < 0)
        return BV_BYTES("");
    size_t kept = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
    struct bv_bytes copy = bv_arena_copy(look->report->arena, (struct bv_bytes){text, kept});
    return copy.data ? copy : BV_BYTES("");
}

static void fact(struct look *look, const char *name, struct bv_bytes text, int64_t message)
{
    struct cause *cause = look->cause;
    if (text.size && cause->fact_count < CAUSE_FACTS)
        cause->facts[cause->fact_count++] = (struct cause_fact){name, text, message};
}

static const char *protocol_title(struct bv_bytes protocol)
{
    static const char *const rows[][2] = {
        {"kafka",     "Kafka"       },
        {"rest",      "REST"        },
        {"grpc",      "gRPC"        },
        {"websocket", "WebSocket"   },
        {"sse",       "event stream"},
        {"webhook",   "webhook"     },
        {"postgres",  "PostgreSQL"  },
        {"redis",     "Redis"       },
        {"soap",      "SOAP"        },
        {"graphql",   "GraphQL"     },
        {"amqp",      "AMQP"        },
        {"mqtt",      "MQTT"        }
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        if (bv_bytes_equal(protocol, bv_bytes_of(rows[i][0])))
            return rows[i][1];
    return protocol.size ? "the wire" : "?";
}

/* "…b953" of an id, whole when it is short. */
static struct bv_bytes brief(const struct look *look, struct bv_bytes key)
{
    if (key.size < 20)
        return key;
    return format(look, "…%.*s", 4, key.data + key.size - 4);
}

/* "ecommerce.orders" of "ecommerce.orders[2]@17 ecommerce.order.paid.v1". */
static struct bv_bytes topic_of(const struct bv_json *message)
{
    struct bv_bytes summary = text_of(message, "summary");
    size_t size = 0;
    while (size < summary.size && summary.data[size] != '[' && summary.data[size] != ' ')
        size++;
    return (struct bv_bytes){summary.data, is(message, "protocol", "kafka") ? size : 0};
}

static struct bv_bytes name_of(const struct bv_json *message)
{
    struct bv_bytes type = text_of(message, "type");
    return type.size ? type : text_of(message, "summary");
}

/* The first word of text that has the form of an event type, "a.b.v1". */
static struct bv_bytes type_in(struct bv_bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t end = at;
        while (end < text.size &&
               (strchr("._-", text.data[end]) || (text.data[end] >= '0' && text.data[end] <= '9') ||
                (text.data[end] >= 'a' && text.data[end] <= 'z')))
            end++;
        if (end - at > 5 && text.data[end - 1] >= '0' && text.data[end - 1] <= '9') {
            size_t digits = end;
            while (digits > at && text.data[digits - 1] >= '0' && text.data[digits - 1] <= '9')
                digits--;
            if (digits >= at + 2 && text.data[digits - 1] == 'v' && text.data[digits - 2] == '.')
                return (struct bv_bytes){text.data + at, end - at};
        }
        at = end > at ? end : end + 1;
    }
    return BV_BYTES("");
}

/* What follows "for key " up to a blank or comma. */
static struct bv_bytes key_in(struct bv_bytes text)
{
    static const char before[] = "for key ";
    const char *at = text.size ? memmem(text.data, text.size, before, sizeof before - 1) : NULL;
    if (!at)
        return BV_BYTES("");
    at += sizeof before - 1;
    size_t size = 0;
    while (at + size < text.data + text.size && !strchr(" ,\n", at[size]))
        size++;
    return (struct bv_bytes){at, size};
}

/* ---- parties ---- */

/* Who serves what the message asks for; empty: unknown. */
static struct bv_bytes server_of(const struct look *look, const struct bv_json *asked)
{
    return text_of(span_with(look, "parentSpanId", text_of(asked, "spanId")), "service");
}

/* Who sent what the actor received: the span that it carries, its envelope, the service that an
 * earlier message of this actor came from. */
static struct bv_bytes sender_of(const struct look *look, const struct bv_json *message)
{
    struct bv_bytes service =
        text_of(span_with(look, "spanId", text_of(message, "spanId")), "service");
    if (!service.size)
        service = text_of(bv_json_get(message, "json"), "producer");
    if (service.size || !is_arrival(message))
        return service;
    for (size_t i = 0; i < look->scenario->messages.count && !service.size; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (is_arrival(other) && bv_bytes_equal(text_of(other, "actor"), text_of(message, "actor")))
            service = text_of(span_with(look, "spanId", text_of(other, "spanId")), "service");
    }
    return service;
}

/* "order → Kafka ecommerce.orders → ledger" */
static struct bv_bytes hop_of(const struct look *look, const struct bv_json *message)
{
    struct bv_bytes actor = text_of(message, "actor"), topic = topic_of(message);
    const char *protocol = protocol_title(text_of(message, "protocol"));
    if (!is_arrival(message)) {
        const struct bv_json *asked = message_of(look, number_of(message, "answers"));
        struct bv_bytes server = server_of(look, asked ? asked : message);
        if (!server.size)
            return format(look, "%.*s → %s", BV_ARG(actor), protocol);
        return format(look, "%.*s → %s → %.*s", BV_ARG(actor), protocol, BV_ARG(server));
    }
    struct bv_bytes sender = sender_of(look, message);
    if (!sender.size)
        sender = BV_BYTES("a service");
    return format(look,
                  "%.*s → %s%s%.*s → %.*s",
                  BV_ARG(sender),
                  protocol,
                  topic.size ? " " : "",
                  BV_ARG(topic),
                  BV_ARG(actor));
}

/* "POST /v1/orders → 201 (message 6), order in span 2c9e…" */
static struct bv_bytes seen(const struct look *look, const struct bv_json *message)
{
    const struct bv_json *answer = answer_to(look, message);
    const struct bv_json *span = span_with(look, "parentSpanId", text_of(message, "spanId"));
    struct bv_bytes status = BV_BYTES(""), where = BV_BYTES("");
    if (answer && is(answer, "protocol", "rest"))
        status = format(look, " → %d", (int)number_of(answer, "status"));
    if (span)
        where = format(look,
                       ", served by %.*s in span %.*s",
                       BV_ARG(text_of(span, "service")),
                       BV_ARG(text_of(span, "spanId")));
    return format(look,
                  "%.*s%.*s (message %d)%.*s",
                  BV_ARG(name_of(message)),
                  BV_ARG(status),
                  (int)number_of(answer ? answer : message, "id"),
                  BV_ARG(where));
}

/* The last request or record before us that changes something and speaks of key. */
static const struct bv_json *last_change(const struct look *look, struct bv_bytes key, int64_t us)
{
    static const char *const reads[] = {"GET ", "HEAD ", "OPTIONS ", "Inventory/Get"};
    const struct bv_json *best = NULL;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        bool reading = !is(message, "direction", "sent") || number_of(message, "us") > us;
        for (size_t r = 0; r < BV_COUNT(reads); r++)
            reading = reading || bv_bytes_starts(name_of(message), bv_bytes_of(reads[r]));
        if (reading)
            continue;
        const struct bv_json *answer = answer_to(look, message);
        bool about = !key.size || holds(text_of(message, "summary"), key) ||
                     bv_bytes_equal(text_of(message, "key"), key) ||
                     bv_bytes_equal(text_of(bv_json_get(answer, "json"), "orderId"), key);
        if (about && (!best || number_of(message, "us") >= number_of(best, "us")))
            best = message;
    }
    return best;
}

/* The last arrival of key before the message, at the same actor; of any actor on Kafka if actor is
 * empty. */
static const struct bv_json *
last_arrival(const struct look *look, struct bv_bytes actor, struct bv_bytes key, int64_t us)
{
    const struct bv_json *best = NULL;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        if (!is_arrival(message) || number_of(message, "us") >= us)
            continue;
        if (actor.size ? !bv_bytes_equal(text_of(message, "actor"), actor)
                       : !is(message, "protocol", "kafka"))
            continue;
        if ((!key.size || bv_bytes_equal(text_of(message, "key"), key)) &&
            (!best || number_of(message, "us") >= number_of(best, "us")))
            best = message;
    }
    return best;
}

/* ---- a message that should not be as it is ---- */

static void blame(struct look *look, enum cause_kind kind, const struct bv_json *message)
{
    struct cause *cause = look->cause;
    cause->kind = kind;
    cause->to = number_of(message, "id");
    cause->us = number_of(message, "us");
    cause->actor = text_of(message, "actor");
    cause->hop = hop_of(look, message);
}

/* What the actors sent that led to the message: up its spans, which may be nested SPANS_NESTED
 * deep; where they end, the first change of the same thing that explains its version. */
static const struct bv_json *origin_of(const struct look *look, const struct bv_json *message)
{
    enum { SPANS_NESTED = 32 };
    const struct bv_json *span = span_with(look, "spanId", text_of(message, "spanId"));
    for (int depth = 0; span && depth < SPANS_NESTED; depth++) {
        struct bv_bytes parent = text_of(span, "parentSpanId");
        for (size_t i = 0; parent.size && i < look->scenario->messages.count; i++)
            if (is(look->scenario->messages.list[i], "direction", "sent") &&
                bv_bytes_equal(text_of(look->scenario->messages.list[i], "spanId"), parent))
                return look->scenario->messages.list[i];
        span = span_with(look, "spanId", parent);
    }
    struct bv_bytes key = text_of(message, "key");
    const struct bv_json *last = last_change(look, key, number_of(message, "us"));
    for (const struct bv_json *asked = last; asked;) {
        if (version_of(answer_to(look, asked)) >= version_of(message))
            last = asked;
        asked = last_change(look, key, number_of(asked, "us") - 1);
    }
    return last;
}

/* The span that sent it, and the request that started all. */
static void trail(struct look *look, const struct bv_json *message)
{
    const struct bv_json *span = span_with(look, "spanId", text_of(message, "spanId"));
    const struct bv_json *asked = origin_of(look, message);
    if (span)
        fact(look,
             "Sent by",
             format(look,
                    "%.*s, %.*s, span %.*s",
                    BV_ARG(text_of(span, "service")),
                    BV_ARG(text_of(span, "name")),
                    BV_ARG(text_of(span, "spanId"))),
             0);
    if (asked) {
        look->cause->from = number_of(asked, "id");
        fact(look, "Begun by", seen(look, asked), look->cause->from);
    }
}

static void count_same(struct look *look, const struct bv_json *message, const char *header)
{
    size_t same = 0;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (other != message && is_arrival(other) && !has_field(other, header) &&
            bv_bytes_equal(text_of(other, "protocol"), text_of(message, "protocol")))
            same++;
    }
    if (same)
        fact(look,
             "The same fault",
             format(look, "%zu more message%s of this scenario", same, same == 1 ? "" : "s"),
             0);
}

static void untraced(struct look *look, const struct bv_json *message)
{
    blame(look, CAUSE_UNTRACED, message);
    struct bv_bytes sender = sender_of(look, message);
    look->cause->sentence = format(
        look,
        "%.*s (message %d) came without the header traceparent, sent by %.*s: the trace ends "
        "here, and what follows belongs to another one.",
        BV_ARG(name_of(message)),
        (int)number_of(message, "id"),
        BV_ARG(sender.size ? sender : BV_BYTES("a service")));
    trail(look, message);
    count_same(look, message, "traceparent");
}

static void unsigned_delivery(struct look *look, const struct bv_json *message)
{
    blame(look, CAUSE_UNSIGNED, message);
    bool bad = is(message, "signature", "bad");
    look->cause->sentence = format(look,
                                   "the delivery %.*s (message %d) %s.",
                                   BV_ARG(name_of(message)),
                                   (int)number_of(message, "id"),
                                   bad ? "has a signature that does not fit its content and secret"
                                       : "came without the header webhook-signature");
    trail(look, message);
    if (!bad)
        count_same(look, message, "webhook-signature");
}

static struct bv_bytes event_id(const struct bv_json *message)
{
    struct bv_bytes id = text_of(bv_json_get(message, "json"), "eventId");
    const struct bv_json *fields = bv_json_get(message, "fields");
    for (struct bv_json_iter it = bv_json_iter(fields); !id.size && bv_json_next(&it);)
        if (bv_bytes_equal_nocase(text_of(it.value, "name"), BV_BYTES("webhook-id")))
            id = text_of(it.value, "value");
    return id;
}

static bool is_refused(const struct bv_json *message) /* a delivery that will rightly come again */
{
    return number_of(message, "status") >= 400;
}

/* A screen that opens again is rightly told again, under the same number. */
static bool is_replay(const struct bv_json *message, const struct bv_json *before)
{
    return !is(message, "protocol", "kafka") && !is(message, "protocol", "webhook") &&
           number_of(message, "sequence") == number_of(before, "sequence");
}

/* The earlier arrival of what the message says, at the same actor. */
static const struct bv_json *twin_of(const struct look *look, const struct bv_json *message)
{
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (other == message)
            return NULL;
        if (is_arrival(other) && !is_refused(other) &&
            bv_bytes_equal(text_of(other, "actor"), text_of(message, "actor")) &&
            bv_bytes_equal(name_of(other), name_of(message)) &&
            bv_bytes_equal(text_of(other, "key"), text_of(message, "key")) &&
            version_of(other) == version_of(message) && !is_replay(message, other))
            return other;
    }
    return NULL;
}

static size_t count_on_kafka(const struct look *look, const struct bv_json *message)
{
    size_t count = 0;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (is_arrival(other) && is(other, "protocol", "kafka") &&
            bv_bytes_equal(text_of(other, "type"), text_of(message, "type")) &&
            bv_bytes_equal(text_of(other, "key"), text_of(message, "key")))
            count++;
    }
    return count;
}

static void duplicate(struct look *look, const struct bv_json *message, const struct bv_json *twin)
{
    blame(look, CAUSE_DUPLICATE, message);
    struct bv_bytes id = event_id(message), first = event_id(twin), key = text_of(message, "key");
    struct bv_bytes ids = BV_BYTES("");
    if (number_of(message, "sequence") != number_of(twin, "sequence") &&
        !is(message, "protocol", "kafka"))
        ids = format(look,
                     ", as number %d and again as number %d",
                     (int)number_of(twin, "sequence"),
                     (int)number_of(message, "sequence"));
    else if (id.size && first.size)
        ids = bv_bytes_equal(id, first)
                  ? format(look, ", the same event id %.*s", BV_ARG(id))
                  : format(look, ", as event %.*s and as %.*s", BV_ARG(first), BV_ARG(id));
    look->cause->sentence = format(look,
                                   "%.*s of %.*s arrives twice: messages %d and %d%.*s.",
                                   BV_ARG(name_of(message)),
                                   BV_ARG(brief(look, key)),
                                   (int)number_of(twin, "id"),
                                   (int)number_of(message, "id"),
                                   BV_ARG(ids));
    size_t sources = is(message, "protocol", "kafka") ? 0 : count_on_kafka(look, message);
    if (sources)
        fact(look,
             "On Kafka",
             format(look,
                    "%zu record%s of it%s",
                    sources,
                    sources == 1 ? "" : "s",
                    sources == 1 ? ", so the effect was doubled behind Kafka"
                                 : ": a repeated one must not count again"),
             0);
    trail(look, message);
    look->cause->from = number_of(twin, "id");
}

/* A later version follows one that is not the one before it. */
static void gap(struct look *look, const struct bv_json *message)
{
    struct bv_bytes key = text_of(message, "key"), sender = sender_of(look, message);
    const struct bv_json *before =
        last_arrival(look, text_of(message, "actor"), key, number_of(message, "us"));
    int64_t version = version_of(message), last = before ? version_of(before) : 0;
    blame(look, CAUSE_MISSING, message);
    if (topic_of(message).size && sender.size)
        look->cause->hop =
            format(look, "%.*s → Kafka %.*s", BV_ARG(sender), BV_ARG(topic_of(message)));
    look->cause->expected = format(look, "version %d", (int)last + 1);
    look->cause->sentence =
        format(look,
               "version %d of %.*s never came: %.*s (message %d) is version %d and follows version "
               "%d, so an outbox row of %.*s never became a record.",
               (int)last + 1,
               BV_ARG(brief(look, key)),
               BV_ARG(name_of(message)),
               (int)number_of(message, "id"),
               (int)version,
               (int)last,
               BV_ARG(sender.size ? sender : BV_BYTES("the service")));
    const struct bv_json *asked =
        last_change(look, key, before ? number_of(before, "us") : number_of(message, "us"));
    if (asked)
        fact(look, "Begun by", seen(look, asked), number_of(asked, "id"));
    if (before) {
        look->cause->from = number_of(before, "id");
        fact(look, "Last before it", text_of(before, "summary"), look->cause->from);
    }
    fact(look, "Next after it", text_of(message, "summary"), number_of(message, "id"));
}

static void contract(struct look *look, const struct bv_json *message)
{
    blame(look, CAUSE_CONTRACT, message);
    look->cause->sentence = format(look,
                                   "%.*s (message %d) breaks its contract: %.*s.",
                                   BV_ARG(name_of(message)),
                                   (int)number_of(message, "id"),
                                   BV_ARG(text_of(message, "violation")));
    fact(look, "Contract", text_of(message, "contract"), 0);
    if (is_arrival(message))
        trail(look, message);
}

/* The first message that offends, if one does. */
static bool from_violation(struct look *look)
{
    const struct bv_json *message = NULL;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (text_of(other, "violation").size &&
            (!message || number_of(other, "us") < number_of(message, "us")))
            message = other;
    }
    /* What the red step itself names goes before what came first elsewhere. */
    const struct bv_json *named = bv_json_at(bv_json_get(look->cause->step, "violations"), 0);
    if (named && message_of(look, bv_json_int(named, 0)))
        message = message_of(look, bv_json_int(named, 0));
    if (!message)
        return false;
    const struct bv_json *twin = twin_of(look, message);
    if (says(message, "violation", "traceparent") && !has_field(message, "traceparent"))
        untraced(look, message);
    else if (says(message, "violation", "signature"))
        unsigned_delivery(look, message);
    else if (twin && (says(message, "violation", "twice") || says(message, "violation", "again")))
        duplicate(look, message, twin);
    else if (says(message, "violation", "never came"))
        gap(look, message);
    else
        contract(look, message);
    return true;
}

/* ---- a step that was not told what it asked for ---- */

static bool is_of_step(const struct bv_json *step, const struct bv_json *message)
{
    return bv_bytes_equal(text_of(step, "actor"), text_of(message, "actor"));
}

/* A message of the step's actor that lacks what every message of its kind has. */
static bool from_lacks(struct look *look)
{
    const struct bv_json *step = look->cause->step;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        bool pushed = is(message, "protocol", "kafka") || is(message, "protocol", "webhook");
        if (!is_of_step(step, message) || !is_arrival(message) || !pushed)
            continue;
        if (!has_field(message, "traceparent")) {
            untraced(look, message);
            return true;
        }
        if (is(message, "protocol", "webhook") &&
            (is(message, "signature", "bad") || !has_field(message, "webhook-signature"))) {
            unsigned_delivery(look, message);
            return true;
        }
    }
    return false;
}

static bool from_twins(struct look *look)
{
    const struct bv_json *step = look->cause->step;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        const struct bv_json *twin = NULL;
        if (is_of_step(step, message) && is_arrival(message) && !is_refused(message) &&
            (twin = twin_of(look, message))) {
            duplicate(look, message, twin);
            return true;
        }
    }
    return false;
}

static struct bv_bytes topic_declared(const struct look *look, struct bv_bytes actor)
{
    for (size_t i = 0; i < look->scenario->actors.count; i++) {
        struct bv_bytes text = text_of(look->scenario->actors.list[i], "text");
        const char *from = NULL, *to = NULL;
        if (!bv_bytes_equal(text_of(look->scenario->actors.list[i], "name"), actor) ||
            !is(look->scenario->actors.list[i], "protocol", "kafka"))
            continue;
        from = memchr(text.data, '"', text.size);
        if (from)
            to = memchr(from + 1, '"', (size_t)(text.data + text.size - from - 1));
        if (to)
            return (struct bv_bytes){from + 1, (size_t)(to - from - 1)};
    }
    return BV_BYTES("");
}

/* Who produces a type: as its envelope says anywhere in the run, else who served the request. */
static struct bv_bytes producer_of(const struct look *look,
                                   struct bv_bytes type,
                                   struct bv_bytes topic,
                                   const struct bv_json *asked)
{
    struct bv_bytes by_topic = BV_BYTES("");
    for (size_t s = 0; s < look->report->scenario_count; s++)
        for (size_t i = 0; i < look->report->scenarios[s].messages.count; i++) {
            const struct bv_json *message = look->report->scenarios[s].messages.list[i];
            struct bv_bytes producer = text_of(bv_json_get(message, "json"), "producer");
            if (!producer.size || !is_arrival(message))
                continue;
            if (type.size && bv_bytes_equal(text_of(message, "type"), type))
                return producer;
            if (topic.size && bv_bytes_equal(topic_of(message), topic))
                by_topic = producer;
        }
    return by_topic.size ? by_topic : asked ? server_of(look, asked) : BV_BYTES("");
}

/* What Kafka brought of key that the actor did not: of the type if it is known. */
static const struct bv_json *undelivered(const struct look *look,
                                         struct bv_bytes actor,
                                         struct bv_bytes key,
                                         struct bv_bytes type)
{
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        if (!is_arrival(message) || !is(message, "protocol", "kafka") ||
            (key.size && !bv_bytes_equal(text_of(message, "key"), key)) ||
            (type.size && !bv_bytes_equal(text_of(message, "type"), type)))
            continue;
        bool delivered = false;
        for (size_t n = 0; n < look->scenario->messages.count && !delivered; n++) {
            const struct bv_json *other = look->scenario->messages.list[n];
            delivered = is_arrival(other) && !is_refused(other) &&
                        bv_bytes_equal(text_of(other, "actor"), actor) &&
                        bv_bytes_equal(text_of(other, "type"), text_of(message, "type"));
        }
        if (!delivered)
            return message;
    }
    return NULL;
}

/* It is on Kafka: lost on the way from there. */
static void lost_behind_kafka(struct look *look, const struct bv_json *record, const char *protocol)
{
    struct cause *cause = look->cause;
    const struct bv_json *arrived = last_arrival(look, cause->actor, BV_BYTES(""), INT64_MAX);
    const struct bv_json *span = span_with(look, "parentSpanId", text_of(record, "spanId"));
    struct bv_bytes type = text_of(record, "type"), topic = topic_of(record);
    struct bv_bytes service = text_of(span, "service");
    if (!service.size && arrived)
        service = sender_of(look, arrived);
    if (!service.size)
        service = BV_BYTES("the consumer");
    cause->from = number_of(record, "id");
    cause->expected = type;
    if (span) {
        cause->hop =
            format(look, "%.*s → %s → %.*s", BV_ARG(service), protocol, BV_ARG(cause->actor));
        cause->sentence = format(look,
                                 "%.*s took %.*s from Kafka (message %d), but it never reached "
                                 "%.*s.",
                                 BV_ARG(service),
                                 BV_ARG(type),
                                 (int)cause->from,
                                 BV_ARG(cause->actor));
        fact(look,
             "Taken in",
             format(look,
                    "%.*s, %.*s, span %.*s",
                    BV_ARG(service),
                    BV_ARG(text_of(span, "name")),
                    BV_ARG(text_of(span, "spanId"))),
             0);
        return;
    }
    cause->hop = format(look, "Kafka %.*s → %.*s", BV_ARG(topic), BV_ARG(service));
    cause->sentence = format(look,
                             "%.*s is on Kafka (message %d), but no span of %.*s shows that it was "
                             "taken.",
                             BV_ARG(type),
                             (int)cause->from,
                             BV_ARG(service));
}

/* It is not on Kafka: lost between the service's commit and there. */
static void lost_before_kafka(struct look *look,
                              const struct bv_json *asked,
                              struct bv_bytes topic,
                              struct bv_bytes key,
                              struct bv_bytes type)
{
    struct cause *cause = look->cause;
    struct bv_bytes producer = producer_of(look, type, topic, asked);
    const struct bv_json *answer = answer_to(look, asked);
    const struct bv_json *kafka = last_arrival(look, BV_BYTES(""), key, INT64_MAX);
    int64_t told = version_of(answer), published = kafka ? version_of(kafka) : 0;
    struct bv_bytes what = type.size ? type : BV_BYTES("the next event");
    if (!producer.size)
        producer = BV_BYTES("the service");
    cause->hop = format(look, "%.*s → Kafka %.*s", BV_ARG(producer), BV_ARG(topic));
    if (told > published)
        cause->sentence = format(look,
                                 "%.*s of %.*s never came: %.*s answered version %d, but Kafka has "
                                 "version %d, so the outbox row never became a record.",
                                 BV_ARG(what),
                                 BV_ARG(brief(look, key)),
                                 BV_ARG(producer),
                                 (int)told,
                                 (int)published);
    else
        cause->sentence = format(look,
                                 "%.*s of %.*s never came: nothing of it is on Kafka.",
                                 BV_ARG(what),
                                 BV_ARG(brief(look, key)));
    if (asked) {
        cause->from = number_of(answer ? answer : asked, "id");
        fact(look, "Last seen", seen(look, asked), cause->from);
    }
    if (kafka)
        fact(look, "Last on Kafka", text_of(kafka, "summary"), number_of(kafka, "id"));
}

static bool from_waiting(struct look *look)
{
    struct cause *cause = look->cause;
    const struct bv_json *step = cause->step;
    struct bv_bytes expected = text_of(step, "expected"), key = key_in(expected);
    struct bv_bytes type = type_in(expected);
    if (!says(step, "text", " receives"))
        return false;
    if (says(step, "text", " never ") || says(step, "actual", "already"))
        return from_twins(look);
    cause->kind = CAUSE_MISSING;
    cause->actor = text_of(step, "actor");
    cause->us = number_of(step, "us") + number_of(step, "durationUs");
    cause->expected = type;
    struct bv_bytes topic = topic_declared(look, cause->actor);
    const struct bv_json *asked = last_change(look, key, number_of(step, "us"));
    const struct bv_json *arrived = last_arrival(look, cause->actor, BV_BYTES(""), INT64_MAX);
    const struct bv_json *record = topic.size ? NULL : undelivered(look, cause->actor, key, type);
    struct bv_bytes protocol = text_of(arrived, "protocol");
    for (size_t i = 0; i < look->scenario->actors.count && !protocol.size; i++)
        if (bv_bytes_equal(text_of(look->scenario->actors.list[i], "name"), cause->actor))
            protocol = text_of(look->scenario->actors.list[i], "protocol");
    if (!topic.size && !record)
        topic = topic_of(last_arrival(look, BV_BYTES(""), key, INT64_MAX));
    if (record)
        lost_behind_kafka(look, record, protocol_title(protocol));
    else if (topic.size)
        lost_before_kafka(look, asked, topic, key, type);
    else
        return false;
    return true;
}

/* A request that was answered, but not as expected. */
static bool from_answer(struct look *look)
{
    const struct bv_json *ids = bv_json_get(look->cause->step, "messages");
    const struct bv_json *answer = NULL;
    for (struct bv_json_iter it = bv_json_iter(ids); bv_json_next(&it);) {
        const struct bv_json *message = message_of(look, bv_json_int(it.value, 0));
        if (message && number_of(message, "answers"))
            answer = message;
    }
    if (!answer)
        return false;
    const struct bv_json *asked = message_of(look, number_of(answer, "answers")), *deepest = NULL;
    blame(look, CAUSE_ANSWER, answer);
    look->cause->from = number_of(asked, "id");
    struct bv_bytes server = server_of(look, asked);
    for (size_t i = 0; i < look->scenario->spans.count; i++) {
        const struct bv_json *span = look->scenario->spans.list[i];
        if (is(span, "status", "error") && number_of(span, "us") >= number_of(asked, "us") - 3000 &&
            number_of(span, "us") <= number_of(answer, "us") &&
            (!deepest || number_of(span, "us") >= number_of(deepest, "us")))
            deepest = span;
    }
    look->cause->sentence =
        format(look,
               "%.*s answered %.*s (message %d), which is not what the step asks "
               "for.",
               BV_ARG(server.size ? server : BV_BYTES("the service")),
               BV_ARG(text_of(answer, "summary")),
               (int)number_of(answer, "id"));
    if (deepest)
        fact(look,
             "Failed inside",
             format(look,
                    "%.*s, %.*s, span %.*s",
                    BV_ARG(text_of(deepest, "service")),
                    BV_ARG(text_of(deepest, "name")),
                    BV_ARG(text_of(deepest, "spanId"))),
             0);
    return true;
}

static bool from_lab(struct look *look)
{
    struct cause *cause = look->cause;
    if (report_verdict_of(cause->step) != REPORT_BROKEN)
        return false;
    cause->kind = CAUSE_LAB;
    cause->actor = text_of(cause->step, "actor");
    cause->us = number_of(cause->step, "us") + number_of(cause->step, "durationUs");
    for (size_t i = 0; i < look->scenario->actors.count; i++)
        if (bv_bytes_equal(text_of(look->scenario->actors.list[i], "name"), cause->actor))
            cause->hop = format(look,
                                "lab → %s → %.*s",
                                protocol_title(text_of(look->scenario->actors.list[i], "protocol")),
                                BV_ARG(cause->actor));
    cause->sentence = BV_BYTES("the lab itself could not do this; it says nothing about the "
                               "platform.");
    return true;
}

/* In this order: the first that finds something has the word. */
typedef bool detector(struct look *look);
static detector *const detectors[] = {
    from_lab, from_violation, from_lacks, from_waiting, from_twins, from_answer};

void cause_find(const struct report *report,
                const struct report_scenario *scenario,
                struct cause *ret_cause)
{
    struct look look = {report, scenario, ret_cause};
    *ret_cause = (struct cause){0};
    for (size_t i = 0; i < scenario->steps.count && !ret_cause->step; i++)
        if (report_is_red(report_verdict_of(scenario->steps.list[i]))) {
            ret_cause->step = scenario->steps.list[i];
            ret_cause->step_number = i + 1;
        }
    if (!report_is_red(report_scenario_verdict(scenario)))
        return;
    for (size_t i = 0; i < BV_COUNT(detectors); i++) {
        struct cause empty = {.step = ret_cause->step, .step_number = ret_cause->step_number};
        if ((ret_cause->step || detectors[i] == from_violation) && detectors[i](&look))
            return;
        *ret_cause = empty;
    }
}
