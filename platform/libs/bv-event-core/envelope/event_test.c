#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/event.h"

static const struct bv_env env = {.clock = &bv_clock_system, .random = &bv_random_system};
static struct bv_arena *arena;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(4u << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(event, .init = setup, .fini = teardown);

static struct bv_event example(void)
{
    return (struct bv_event){.type = BV_BYTES("ecommerce.order.created.v1"),
                             .producer = BV_BYTES("order"),
                             .correlation_id = BV_BYTES("c-1"),
                             .partition_key = BV_BYTES("k \"1\""),
                             .payload_text = BV_BYTES("{\"a\":[1,2],\"b\":null}")};
}

Test(event, what_is_encoded_decodes_to_the_same)
{
    struct bv_buf buf = {.max = BV_EVENT_BYTES_MAX}, again = {.max = BV_EVENT_BYTES_MAX};
    struct bv_event event = example(), decoded;
    struct bv_error error = {0};
    bv_event_stamp(&env, &event);
    cr_assert_eq(bv_event_encode(&buf, &event), 0);
    cr_assert_eq(bv_event_decode(arena, bv_buf_view(&buf), &decoded, &error), 0, "%s", error.text);
    cr_assert_eq(memcmp(&decoded.id, &event.id, sizeof event.id), 0);
    cr_assert_eq(decoded.occurred_at_us, event.occurred_at_us);
    cr_assert(bv_bytes_equal(decoded.partition_key, event.partition_key));
    cr_assert(bv_bytes_equal(decoded.tenant, BV_BYTES("default")));
    cr_assert_eq(memcmp(decoded.trace.trace_id, event.trace.trace_id, 16), 0);
    cr_assert_eq(bv_event_encode(&again, &decoded), 0);
    cr_assert(bv_bytes_equal(bv_buf_view(&again), bv_buf_view(&buf)));
    bv_buf_release(&buf);
    bv_buf_release(&again);
}

Test(event, what_is_stamped_stays)
{
    struct bv_event event = example();
    bv_event_stamp(&env, &event);
    struct bv_event before = event;
    bv_event_stamp(&env, &event);
    cr_assert_eq(memcmp(&event, &before, sizeof event), 0);
    cr_assert_eq(event.occurred_at_us % 1000, 0);
}

Test(event, an_incomplete_event_is_not_encoded_and_leaves_the_buffer_alone)
{
    struct bv_buf buf = {.max = 1000};
    bv_buf_text(&buf, "kept");
    struct bv_event event = example();
    cr_assert_eq(bv_event_encode(&buf, &event), BV_E_INVALID); /* not stamped */
    bv_event_stamp(&env, &event);
    struct bv_event bad = event;
    bad.type = BV_BYTES("order.created");
    cr_assert_eq(bv_event_encode(&buf, &bad), BV_E_INVALID);
    bad = event;
    bad.partition_key = BV_BYTES_NONE;
    cr_assert_eq(bv_event_encode(&buf, &bad), BV_E_INVALID);
    bad = event;
    bad.payload_text = BV_BYTES_NONE;
    cr_assert_eq(bv_event_encode(&buf, &bad), BV_E_INVALID);
    char *long_text = calloc(1, 2000);
    snprintf(long_text, 2000, "{\"a\":\"%01900d\"}", 0);
    bad = event;
    bad.payload_text = bv_bytes_of(long_text);
    cr_assert_eq(bv_event_encode(&buf, &bad), BV_E_TOO_LARGE);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES("kept")));
    cr_assert_not(buf.failed);
    free(long_text);
    bv_buf_release(&buf);
}

#define ENVELOPE(id, type, at, producer, trace, extra)                                             \
    "{\"eventId\":\"" id "\",\"eventType\":\"" type "\",\"occurredAt\":\"" at                      \
    "\",\"producer\":\"" producer "\","                                                            \
    "\"traceId\":\"" trace                                                                         \
    "\",\"correlationId\":\"c\",\"payload\":{},\"schemaVersion\":\"1.0\",\"tenantId\":\"t\","      \
    "\"partitionKey\":\"k\"" extra "}"
#define ID "01936f3e-7c21-7d10-a5b2-6e0f9c1d2a01"
#define TYPE "a.b.c.v1"
#define AT "2026-11-23T01:15:01.250Z"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static const struct {
    const char *text;
    int rc;
    const char *pointer;
} rows[] = {
    {ENVELOPE(ID, TYPE, AT, "order", TRACE, ""), 0, ""},
    {ENVELOPE("01936F3E-7c21-7d10-a5b2-6e0f9c1d2a01", TYPE, AT, "order", TRACE, ""),
     BV_E_UNPROCESSABLE, "/eventId"},
    {ENVELOPE("01936f3e-7c21-4d10-a5b2-6e0f9c1d2a01", TYPE, AT, "order", TRACE, ""),
     BV_E_UNPROCESSABLE, "/eventId"},
    {ENVELOPE(ID, "a.b.v1", AT, "order", TRACE, ""), BV_E_UNPROCESSABLE, "/eventType"},
    {ENVELOPE(ID, "a.b.c.v0", AT, "order", TRACE, ""), BV_E_UNPROCESSABLE, "/eventType"},
    {ENVELOPE(ID, "a.b.c.v1x", AT, "order", TRACE, ""), BV_E_UNPROCESSABLE, "/eventType"},
    {ENVELOPE(ID, "A.b.c.v1", AT, "order", TRACE, ""), BV_E_UNPROCESSABLE, "/eventType"},
    {ENVELOPE(ID, TYPE, "2026-11-23T01:15:01+00:00", "order", TRACE, ""),
     BV_E_UNPROCESSABLE, "/occurredAt"},
    {ENVELOPE(ID, TYPE, "2026-11-31T01:15:01Z", "order", TRACE, ""),
     BV_E_UNPROCESSABLE, "/occurredAt"},
    {ENVELOPE(ID, TYPE, AT, "Order", TRACE, ""), BV_E_UNPROCESSABLE, "/producer"},
    {ENVELOPE(ID, TYPE, AT, "order", "00000000000000000000000000000000", ""),
     BV_E_UNPROCESSABLE, "/traceId"},
    {ENVELOPE(ID, TYPE, AT, "order", "4BF92F3577B34DA6A3CE929D0E0E4736", ""),
     BV_E_UNPROCESSABLE, "/traceId"},
    {ENVELOPE(ID, TYPE, AT, "order", TRACE, ",\"more\":1"), BV_E_UNPROCESSABLE, "/more"},
    {"{\"eventId\":\"" ID "\"}", BV_E_UNPROCESSABLE, "/eventType"},
    {"[]", BV_E_UNPROCESSABLE, ""},
    {"{", BV_E_INVALID, ""},
    {"", BV_E_INVALID, ""},
};

Test(event, decoding_says_which_member_is_wrong)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_event event = {0};
        struct bv_error error = {0};
        cr_expect_eq(bv_event_decode(arena, bv_bytes_of(rows[i].text), &event, &error),
                     rows[i].rc,
                     "row %zu: %s",
                     i,
                     error.text);
        cr_expect_str_eq(error.pointer, rows[i].pointer, "row %zu: %s", i, error.text);
        cr_expect(rows[i].rc == 0 || event.type.data == NULL, "row %zu writes its result", i);
    }
}
