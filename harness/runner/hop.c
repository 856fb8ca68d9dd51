#include "hop.h"

#include <stdio.h>

/* Who sends it, where the message does not say. */
static const struct hop_row {
    const char *protocol;
    const char *shown;
    const char *sender; /* NULL: the message or its contract names it */
} rows[] = {
    {"kafka",     "Kafka",        NULL          },
    {"rest",      "REST",         NULL          },
    {"grpc",      "gRPC",         NULL          },
    {"websocket", "WebSocket",    "notification"},
    {"sse",       "event stream", "notification"},
    {"webhook",   "webhook",      "notification"},
};

/* "order" of the contract "order#/$defs/createOrder.201". */
static struct bv_bytes owner_of(struct bv_bytes contract)
{
    const char *hash = contract.size ? memchr(contract.data, '#', contract.size) : NULL;
    return hash ? (struct bv_bytes){contract.data, (size_t)(hash - contract.data)} : BV_BYTES_NONE;
}

/* " ecommerce.orders" of the summary "ecommerce.orders[2]@17 ecommerce.order.paid.v1". */
static struct bv_bytes topic_of(struct bv_bytes summary)
{
    size_t size = 0;
    while (size < summary.size && summary.data[size] != '[' && summary.data[size] != ' ')
        size++;
    return (struct bv_bytes){summary.data, size};
}

const char *hop_of(struct bv_arena *arena, const struct bv_message *message)
{
    const struct hop_row *row = NULL;
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        if (strcmp(rows[i].protocol, message->protocol) == 0)
            row = &rows[i];
    const char *protocol = row ? row->shown : message->protocol;
    bool kafka = row == &rows[0];
    struct bv_bytes topic = kafka ? topic_of(message->summary) : BV_BYTES("");
    if (message->direction == BV_SENT)
        return bv_arena_format(arena,
                               "%s -> %s%s%.*s",
                               message->actor,
                               protocol,
                               topic.size ? " " : "",
                               BV_ARG(topic));
    struct bv_bytes sender = row && row->sender ? bv_bytes_of(row->sender)
                             : kafka ? bv_json_string(bv_json_get(message->json, "producer"))
                                     : owner_of(message->contract);
    if (!sender.size)
        sender = BV_BYTES("a service");
    return bv_arena_format(arena,
                           "%.*s -> %s%s%.*s -> %s",
                           BV_ARG(sender),
                           protocol,
                           topic.size ? " " : "",
                           BV_ARG(topic),
                           message->actor);
}
