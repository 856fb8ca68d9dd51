#include "contracts.h"

#include <criterion/criterion.h>

static struct contracts *contracts;
static struct bv_arena *arena;

static void setup(void)
{
    struct bv_error error = {0};
    cr_assert_eq(contracts_open(BV_CONTRACTS, &contracts, &error), 0, "%s", error.text);
    cr_assert_eq(contracts_read(contracts, &error), 0, "%s", error.text);
    cr_assert_eq(bv_arena_open(1 << 22, &arena), 0);
}

static void teardown(void)
{
    contracts_close(&contracts);
    bv_arena_close(&arena);
}

TestSuite(contracts, .init = setup, .fini = teardown);

static struct bv_message rest(const char *type, int64_t status, const char *body)
{
    struct bv_message message = {.protocol = "rest",
                                 .direction = BV_RECEIVED,
                                 .type = bv_bytes_of(type),
                                 .status = status,
                                 .body = bv_bytes_of(body),
                                 .sequence = BV_NO_NUMBER};
    if (body[0])
        cr_assert_eq(bv_json_parse(arena, message.body, &message.json, NULL), 0);
    contracts_inspect(contracts, &message, arena);
    return message;
}

Test(contracts, knows_events_and_the_nearest_one)
{
    const char *near = NULL;
    cr_expect(contracts_event(contracts, BV_BYTES("ecommerce.order.paid.v1"), &near));
    cr_expect_not(contracts_event(contracts, BV_BYTES("ecommerce.order.payed.v1"), &near));
    cr_assert_not_null(near);
    cr_expect_str_eq(near, "ecommerce.order.paid.v1");
}

Test(contracts, finds_the_operation_by_method_and_path)
{
    const struct contract_operation *found =
        contracts_operation(contracts, NULL, "GET", BV_BYTES("/v1/orders/${order}?x=1"));
    cr_assert_not_null(found);
    cr_expect_str_eq(found->id, "getOrder");
    cr_expect_str_eq(found->service, "order");
    cr_expect_null(contracts_operation(contracts, NULL, "DELETE", BV_BYTES("/v1/orders/x")));
    cr_expect_null(contracts_operation(contracts, "auth", "GET", BV_BYTES("/v1/orders/x")));
    cr_expect_null(contracts_operation(contracts, NULL, "GET", BV_BYTES("/v1/order")));
}

Test(contracts, accepts_an_answer_that_keeps_to_its_operation)
{
    struct bv_message message = rest(
        "POST /v1/orders",
        201,
        "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"version\":2,\"state\":"
        "\"RESERVED\",\"customerId\":\"x\","
        "\"items\":[{\"sku\":\"M\",\"quantity\":2,\"unitPriceMinor\":1250}],\"totalMinor\":2500,"
        "\"currency\":\"EUR\","
        "\"createdAt\":\"2026-11-23T01:15:00.100Z\",\"updatedAt\":\"2026-11-23T01:15:00.100Z\"}");
    cr_expect_eq(message.violation.size, 0, "%.*s", BV_ARG(message.violation));
    cr_expect(message.contract.size);
}

Test(contracts, finds_a_missing_member_an_unknown_status_and_a_bad_problem)
{
    cr_expect(rest("POST /v1/orders", 201, "{\"orderId\":\"x\"}").violation.size);
    cr_expect(rest("POST /v1/orders", 202, "{}").violation.size);
    cr_expect(rest("GET /v1/orders/x", 404, "{\"title\":\"no\"}").violation.size);
}

Test(contracts, an_event_must_carry_its_headers_and_key)
{
    struct bv_http_field fields[] = {
        {"event-type", BV_BYTES("ecommerce.stock.nothing.v1")}
    };
    struct bv_message message = {.protocol = "kafka",
                                 .direction = BV_RECEIVED,
                                 .type = fields[0].value,
                                 .fields = fields,
                                 .field_count = 1,
                                 .body = BV_BYTES("{}")};
    cr_assert_eq(bv_json_parse(arena, message.body, &message.json, NULL), 0);
    contracts_inspect(contracts, &message, arena);
    cr_expect(strstr(message.violation.data, "no such contract"), "%s", message.violation.data);
}

/* A delivery whose fields end before the field of that name (NULL: all). */
static const char *delivery(const char *without, enum bv_signature signature)
{
    static const struct bv_http_field all[] = {
        {"webhook-id",        BV_BYTES("msg_1")                                                  },
        {"webhook-timestamp", BV_BYTES("1764000000")                                             },
        {"webhook-signature", BV_BYTES("v1,x")                                                   },
        {"traceparent",       BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
        {"correlation-id",    BV_BYTES("c")                                                      },
    };
    struct bv_message message = {
        .protocol = "webhook",
        .direction = BV_RECEIVED,
        .fields = all,
        .signature = signature,
        .body = BV_BYTES(
            "{\"type\":\"ecommerce.order.paid.v1\",\"timestamp\":\"2026-11-23T01:15:01.250Z\","
            "\"data\":{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"version\":3,"
            "\"state\":\"PAID\",\"customerId\":\"c\",\"items\":[{\"sku\":\"M\",\"quantity\":2,"
            "\"unitPriceMinor\":1250}],\"totalMinor\":2500,\"currency\":\"EUR\"}}")};
    while (message.field_count < BV_COUNT(all) &&
           (!without || strcmp(all[message.field_count].name, without) != 0))
        message.field_count++;
    cr_assert_eq(bv_json_parse(arena, message.body, &message.json, NULL), 0);
    contracts_inspect(contracts, &message, arena);
    return message.violation.size ? message.violation.data : "";
}

Test(contracts, a_webhook_must_be_signed_and_traced)
{
    cr_expect_str_eq(delivery(NULL, BV_SIGNED_WELL), "");
    cr_expect_str_eq(delivery(NULL, BV_SIGNED_UNKNOWN), "", "no secret to check with");
    cr_expect_str_eq(delivery("webhook-signature", BV_UNSIGNED),
                     "header webhook-signature is missing");
    cr_expect_str_eq(delivery("traceparent", BV_SIGNED_WELL), "header traceparent is missing");
    const char *violation = delivery(NULL, BV_SIGNED_BADLY);
    cr_expect(strstr(violation, "does not fit"), "%s", violation);
}

Test(contracts, a_request_that_breaks_its_contract_has_a_flaw_and_no_violation)
{
    struct bv_message message = {.protocol = "rest",
                                 .direction = BV_SENT,
                                 .type = BV_BYTES("POST /v1/orders"),
                                 .body = BV_BYTES("{\"items\":[]}")};
    cr_assert_eq(bv_json_parse(arena, message.body, &message.json, NULL), 0);
    contracts_inspect(contracts, &message, arena);
    cr_expect(message.flaw.size);
    cr_expect_eq(message.violation.size, 0);
}

Test(contracts, every_schema_of_every_openapi_file_is_understood)
{
    static const char *const wanted[] = {"auth", "notification", "order", "product"};
    const char *const *services = contracts_services(contracts);
    for (size_t i = 0; i < BV_COUNT(wanted); i++) {
        cr_assert_not_null(services[i]);
        cr_expect_str_eq(services[i], wanted[i]);
    }
}

Test(contracts, knows_topics_their_dead_letters_and_the_nearest_operation)
{
    const char *near = NULL;
    cr_expect(contracts_topic(contracts, BV_BYTES("ecommerce.orders"), &near));
    cr_expect(contracts_topic(contracts, BV_BYTES("ecommerce.stock.dlq"), &near));
    cr_expect_not(contracts_topic(contracts, BV_BYTES("ecommerce.order"), &near));
    cr_expect_str_eq(near, "ecommerce.orders");
    cr_expect_not(contracts_topic(contracts, BV_BYTES("/v1/live"), &near), "a socket is no topic");
    near = contracts_nearest(contracts, NULL, "GET", BV_BYTES("/v1/orderz?limit=1"));
    cr_assert_not_null(near);
    cr_expect_str_eq(near, "/v1/orders");
}
