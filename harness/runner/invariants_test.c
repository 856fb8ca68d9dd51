#include "invariants.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
static struct contracts *contracts;
static struct invariants invariants;
static struct bv_recording *recording;

static void setup(void)
{
    struct bv_error error = {0};
    cr_assert_eq(contracts_open(BV_CONTRACTS, &contracts, &error), 0, "%s", error.text);
    cr_assert_eq(contracts_read(contracts, &error), 0, "%s", error.text);
    invariants = (struct invariants){.contracts = contracts};
    struct bv_recording_config config = {
        .env = &env, .inspect = invariants_inspect, .inspect_argument = &invariants};
    cr_assert_eq(bv_recording_open(&config, &recording), 0);
}

static void teardown(void)
{
    bv_recording_close(&recording);
    contracts_close(&contracts);
}

TestSuite(invariants, .init = setup, .fini = teardown);

#define ORDER "01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e0"
#define SHOWN                                                                                      \
    "\"state\":\"PAID\",\"customerId\":\"c\",\"items\":[{\"sku\":\"M\",\"quantity\":2,"            \
    "\"unitPriceMinor\":1250}],\"totalMinor\":2500,\"currency\":\"EUR\"}"

static const char *append(struct bv_message *message)
{
    uint64_t id = 0;
    cr_assert_eq(bv_recording_append(recording, message, &id), 0);
    struct bv_bytes violation = bv_recording_at(recording, id)->violation;
    return violation.size ? violation.data : "";
}

/* Version of order n as event e, received by actor; "" or its violation. */
static const char *
record(const char *actor, int order, int version, int event, const char *correlation)
{
    static const char parent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    char body[1000], key[40], id[40];
    snprintf(key, sizeof key, ORDER "%d", order);
    snprintf(id, sizeof id, "01936f3e-7c21-7d10-a5b2-6e0f9c1d2a%02d", event);
    snprintf(body,
             sizeof body,
             "{\"eventId\":\"%s\",\"eventType\":\"ecommerce.order.paid.v1\",\"occurredAt\":"
             "\"2026-11-23T01:15:01.250Z\",\"producer\":\"order\",\"traceId\":"
             "\"4bf92f3577b34da6a3ce929d0e0e4736\",\"correlationId\":\"%s\",\"payload\":{"
             "\"orderId\":\"%s\",\"version\":%d," SHOWN
             ",\"schemaVersion\":\"1.0\",\"tenantId\":\"default\",\"partitionKey\":\"%s\"}",
             id,
             correlation,
             key,
             version,
             key);
    struct bv_http_field fields[] = {
        {"traceparent",    bv_bytes_of(parent)                },
        {"correlation-id", bv_bytes_of(correlation)           },
        {"event-type",     BV_BYTES("ecommerce.order.paid.v1")},
        {"event-id",       bv_bytes_of(id)                    },
    };
    struct bv_message message = {.actor = actor,
                                 .protocol = "kafka",
                                 .direction = BV_RECEIVED,
                                 .summary = BV_BYTES("ecommerce.orders[0]@1 x"),
                                 .type = fields[2].value,
                                 .key = bv_bytes_of(key),
                                 .status = BV_NO_NUMBER,
                                 .sequence = BV_NO_NUMBER,
                                 .fields = fields,
                                 .field_count = BV_COUNT(fields),
                                 .body = bv_bytes_of(body)};
    return append(&message);
}

static const char *frame(const char *protocol, int version, int sequence)
{
    char body[1000];
    snprintf(body,
             sizeof body,
             "{\"sequence\":%d,\"type\":\"ecommerce.order.paid.v1\",\"occurredAt\":"
             "\"2026-11-23T01:15:01.250Z\",\"traceparent\":"
             "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\",\"data\":{\"orderId\":"
             "\"" ORDER "1\",\"version\":%d," SHOWN "}",
             sequence,
             version);
    struct bv_message message = {.actor = "screen",
                                 .protocol = protocol,
                                 .direction = BV_RECEIVED,
                                 .type = BV_BYTES("ecommerce.order.paid.v1"),
                                 .status = BV_NO_NUMBER,
                                 .sequence = sequence,
                                 .body = bv_bytes_of(body)};
    return append(&message);
}

Test(invariants, an_event_may_come_again)
{
    cr_expect_str_eq(record("ledger", 1, 4, 1, "a"), "", "whoever comes late begins anywhere");
    cr_expect_str_eq(record("ledger", 1, 5, 2, "a"), "");
    cr_expect_str_eq(record("ledger", 1, 4, 1, "a"), "");
    cr_expect_str_eq(record("ledger", 1, 5, 2, "a"), "");
    cr_expect_str_eq(record("ledger", 1, 6, 3, "a"), "");
    cr_expect_str_eq(record("ledger", 2, 1, 4, "a"), "", "another order counts by itself");
    cr_expect_str_eq(record("other", 1, 8, 5, "a"), "", "another actor too");
}

Test(invariants, a_version_that_never_came_is_missed)
{
    (void)record("ledger", 1, 1, 1, "a");
    const char *violation = record("ledger", 1, 3, 3, "a");
    cr_expect(strstr(violation, "version 2 of " ORDER "1 never came: version 3 follows 1"),
              "%s",
              violation);
    cr_expect_str_eq(record("ledger", 1, 4, 4, "a"), "", "said once");
}

Test(invariants, a_version_is_announced_by_one_event)
{
    (void)record("ledger", 1, 1, 1, "a");
    const char *violation = record("ledger", 1, 1, 2, "a");
    cr_expect(strstr(violation, "version 1 of " ORDER "1 came twice: as event"), "%s", violation);
    violation = record("ledger", 1, 1, 1, "b");
    cr_expect(strstr(violation, "came again with other content"), "%s", violation);
}

Test(invariants, a_screen_is_told_once)
{
    static const char *const protocols[] = {"websocket", "sse"};
    for (size_t i = 0; i < BV_COUNT(protocols); i++) {
        cr_expect_str_eq(frame(protocols[i], 1, 1), "");
        cr_expect_str_eq(frame(protocols[i], 4, 4), "", "what a screen skips is its own affair");
        cr_expect_str_eq(frame(protocols[i], 1, 1), "", "asked for from the beginning");
        const char *violation = frame(protocols[i], 4, 5);
        cr_expect(strstr(violation, "came twice: with sequence 4 and with 5"), "%s", violation);
    }
}
