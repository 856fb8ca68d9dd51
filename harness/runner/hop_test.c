#include "hop.h"

#include <criterion/criterion.h>

static const char *hop(struct bv_message message, const char *body)
{
    static struct bv_arena *arena;
    if (!arena)
        cr_assert_eq(bv_arena_open(1 << 16, &arena), 0);
    if (body)
        cr_assert_eq(bv_json_parse(arena, bv_bytes_of(body), &message.json, NULL), 0);
    return hop_of(arena, &message);
}

Test(hop, names_sender_protocol_and_receiver)
{
    struct bv_message record = {.actor = "ledger",
                                .protocol = "kafka",
                                .direction = BV_RECEIVED,
                                .summary = BV_BYTES("ecommerce.orders[3]@17 ecommerce.x.v1")};
    cr_expect_str_eq(hop(record, "{\"producer\":\"order\"}"),
                     "order -> Kafka ecommerce.orders -> ledger");
    cr_expect_str_eq(hop(record, NULL), "a service -> Kafka ecommerce.orders -> ledger");
    struct bv_message answer = {.actor = "buyer",
                                .protocol = "rest",
                                .direction = BV_RECEIVED,
                                .contract = BV_BYTES("order#/$defs/createOrder.201")};
    cr_expect_str_eq(hop(answer, NULL), "order -> REST -> buyer");
    struct bv_message delivery = {
        .actor = "partner", .protocol = "webhook", .direction = BV_RECEIVED};
    cr_expect_str_eq(hop(delivery, NULL), "notification -> webhook -> partner");
    struct bv_message sent = {.actor = "payments",
                              .protocol = "kafka",
                              .direction = BV_SENT,
                              .summary = BV_BYTES("ecommerce.payments ecommerce.x.v1")};
    cr_expect_str_eq(hop(sent, NULL), "payments -> Kafka ecommerce.payments");
}
