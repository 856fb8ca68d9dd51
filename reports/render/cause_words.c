#include "cause_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct bv_bytes words(const struct look *look, const char *pattern, ...)
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

void words_fact(struct look *look, const char *name, struct bv_bytes text, int64_t message)
{
    struct cause *cause = look->cause;
    if (text.size && cause->fact_count < CAUSE_FACTS)
        cause->facts[cause->fact_count++] = (struct cause_fact){name, text, message};
}

const char *words_protocol(struct bv_bytes protocol)
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

struct bv_bytes words_brief(const struct look *look, struct bv_bytes key)
{
    if (key.size < 20)
        return key;
    return words(look, "…%.*s", 4, key.data + key.size - 4);
}

struct bv_bytes words_type_in(struct bv_bytes text)
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

struct bv_bytes words_key_in(struct bv_bytes text)
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

struct bv_bytes words_hop(const struct look *look, const struct bv_json *message)
{
    struct bv_bytes actor = rec_text(message, "actor"), topic = rec_topic(message);
    const char *protocol = words_protocol(rec_text(message, "protocol"));
    if (!rec_is_arrival(message)) {
        const struct bv_json *asked = graph_message(look, rec_number(message, "answers"));
        struct bv_bytes server = graph_server(look, asked ? asked : message);
        if (!server.size)
            return words(look, "%.*s → %s", BV_ARG(actor), protocol);
        return words(look, "%.*s → %s → %.*s", BV_ARG(actor), protocol, BV_ARG(server));
    }
    struct bv_bytes sender = graph_sender(look, message);
    if (!sender.size)
        sender = BV_BYTES("a service");
    return words(look,
                 "%.*s → %s%s%.*s → %.*s",
                 BV_ARG(sender),
                 protocol,
                 topic.size ? " " : "",
                 BV_ARG(topic),
                 BV_ARG(actor));
}

struct bv_bytes words_seen(const struct look *look, const struct bv_json *message)
{
    const struct bv_json *answer = graph_answer(look, message);
    const struct bv_json *span = graph_span(look, "parentSpanId", rec_text(message, "spanId"));
    struct bv_bytes status = BV_BYTES(""), where = BV_BYTES("");
    if (answer && rec_is(answer, "protocol", "rest"))
        status = words(look, " → %d", (int)rec_number(answer, "status"));
    if (span)
        where = words(look,
                      ", served by %.*s in span %.*s",
                      BV_ARG(rec_text(span, "service")),
                      BV_ARG(rec_text(span, "spanId")));
    return words(look,
                 "%.*s%.*s (message %d)%.*s",
                 BV_ARG(rec_name(message)),
                 BV_ARG(status),
                 (int)rec_number(answer ? answer : message, "id"),
                 BV_ARG(where));
}

struct bv_bytes words_span(const struct look *look, const struct bv_json *span)
{
    if (!span)
        return BV_BYTES("");
    return words(look,
                 "%.*s, %.*s, span %.*s",
                 BV_ARG(rec_text(span, "service")),
                 BV_ARG(rec_text(span, "name")),
                 BV_ARG(rec_text(span, "spanId")));
}
