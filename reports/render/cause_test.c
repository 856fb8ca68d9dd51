#include "cause.h"

#include "bv/fs.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct report report;
static struct bv_buf text;

static void setup(void)
{
    text = (struct bv_buf){.max = 8 << 20};
}

static void teardown(void)
{
    report_release(&report);
    bv_buf_release(&text);
}

TestSuite(cause, .init = setup, .fini = teardown);

static void read_text(struct bv_bytes results)
{
    struct bv_error error = {0};
    report_release(&report);
    cr_assert_eq(report_read(results, &report, &error), 0, "%s", error.text);
}

static void read_break(const char *name)
{
    char path[BV_PATH_MAX];
    struct bv_error error = {0};
    snprintf(path, sizeof path, BV_TESTDATA "/breaks/%s.jsonl", name);
    cr_assert_eq(bv_fs_read(path, &text, &error), 0, "%s", error.text);
    read_text(bv_buf_view(&text));
}

static struct cause cause_of(const char *scenario)
{
    struct cause cause = {0};
    for (size_t i = 0; i < report.scenario_count; i++)
        if (bv_bytes_equal(report.scenarios[i].id, bv_bytes_of(scenario)))
            cause_find(&report, &report.scenarios[i], &cause);
    return cause;
}

static void expect_text(struct bv_bytes found, const char *wanted)
{
    cr_expect(bv_bytes_equal(found, bv_bytes_of(wanted)),
              "\"%.*s\" is not \"%s\"",
              BV_ARG(found),
              wanted);
}

static void expect_part(struct bv_bytes found, const char *part)
{
    cr_expect(memmem(found.data, found.size, part, strlen(part)) != NULL,
              "\"%.*s\" has no \"%s\"",
              BV_ARG(found),
              part);
}

static void expect_kind(const struct cause *cause, enum cause_kind kind)
{
    cr_expect_eq(cause->kind, kind, "%s is not %s", cause_word(cause->kind), cause_word(kind));
}

Test(cause, a_lost_outbox_row_is_named_where_the_record_is_missed)
{
    read_break("lose-outbox-row");
    struct cause cause = cause_of("s2");
    expect_kind(&cause, CAUSE_MISSING);
    expect_text(cause.hop, "order → Kafka ecommerce.orders");
    expect_text(cause.expected, "ecommerce.order.reserved.v1");
    expect_part(cause.sentence, "ecommerce.order.reserved.v1 of …b953 never came");
    expect_part(cause.sentence, "order answered version 2, but Kafka has version 1");
    cr_assert_eq(cause.fact_count, 2);
    cr_expect_str_eq(cause.facts[0].name, "Last seen");
    expect_text(cause.facts[0].text,
                "POST /v1/orders → 201 (message 6), served by order in span 2c9e2ba5a74e3a07");
    cr_expect_eq(cause.facts[0].message, 6);
    cr_expect_eq(cause.from, 6);
    cr_expect_eq(cause.to, 0);
    cr_expect_eq(cause.step_number, 16);
}

Test(cause, a_lost_outbox_row_is_named_where_a_later_version_shows_it)
{
    read_break("lose-outbox-row");
    struct cause cause = cause_of("s6");
    expect_kind(&cause, CAUSE_MISSING);
    expect_text(cause.hop, "order → Kafka ecommerce.orders");
    expect_part(cause.sentence, "version 2 of …4ed1 never came");
    expect_part(cause.sentence, "(message 13) is version 3 and follows version 1");
    cr_expect_eq(cause.to, 13);
}

Test(cause, a_screen_that_waits_in_vain_does_not_take_the_blame_for_the_outbox)
{
    read_break("lose-outbox-row");
    struct cause cause = cause_of("s7");
    expect_kind(&cause, CAUSE_MISSING);
    expect_text(cause.hop, "order → Kafka ecommerce.orders");
    expect_text(cause.actor, "screen");
}

Test(cause, a_record_without_traceparent_names_its_sender_and_what_began_it)
{
    read_break("drop-trace-header");
    struct cause cause = cause_of("s2");
    expect_kind(&cause, CAUSE_UNTRACED);
    expect_text(cause.hop, "order → Kafka ecommerce.orders → ledger");
    expect_part(cause.sentence,
                "ecommerce.order.created.v1 (message 10) came without the header traceparent, sent "
                "by order");
    cr_expect_eq(cause.to, 10);
    cr_assert_geq(cause.fact_count, 2);
    expect_part(cause.facts[0].text, "POST /v1/orders → 201 (message 6), served by order");
    expect_text(cause.facts[1].text, "2 more messages of this scenario");
    cause = cause_of("s6"); /* red for its messages, all steps green */
    expect_kind(&cause, CAUSE_UNTRACED);
    cr_expect_null(cause.step);
}

Test(cause, an_unsigned_delivery_names_the_service_whose_span_sent_it)
{
    read_break("skip-signature");
    struct cause cause = cause_of("s8");
    expect_kind(&cause, CAUSE_UNSIGNED);
    expect_text(cause.hop, "notification → webhook → partner");
    expect_part(cause.sentence, "(message 12) came without the header webhook-signature");
    expect_part(cause.facts[0].text, "notification, POST webhook, span ");
    expect_part(cause.facts[1].text, "POST /v1/orders → 201");
}

Test(cause, a_doubled_effect_names_both_messages_and_what_kafka_had)
{
    read_break("duplicate-effect");
    struct cause cause = cause_of("s6");
    expect_kind(&cause, CAUSE_DUPLICATE);
    expect_text(cause.hop, "notification → WebSocket → screen");
    expect_part(cause.sentence,
                "arrives twice: messages 16 and 23, as number 3 and again as number 4");
    cr_expect_eq(cause.from, 16);
    cr_expect_eq(cause.to, 23);
    expect_part(cause.facts[0].text, "2 records of it: a repeated one must not count again");
}

/* ---- small stories of one scenario ---- */

#define OPEN                                                                                       \
    "{\"record\":\"scenario\",\"id\":\"s1\",\"us\":0,\"name\":\"x\"}\n"                            \
    "{\"record\":\"actor\",\"scenario\":\"s1\",\"us\":0,\"name\":\"screen\",\"protocol\":"         \
    "\"websocket\"}\n"                                                                             \
    "{\"record\":\"actor\",\"scenario\":\"s1\",\"us\":0,\"name\":\"ledger\",\"protocol\":"         \
    "\"kafka\",\"text\":\"actor ledger is kafka topic \\\"a.orders\\\"\"}\n"
#define SENT(id, us)                                                                               \
    "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":" #id ",\"actor\":\"buyer\","              \
    "\"protocol\":\"rest\",\"direction\":\"sent\",\"us\":" #us ",\"summary\":\"POST /orders\","    \
    "\"type\":\"POST /orders\",\"spanId\":\"00000000000000a" #id "\"}\n"
#define RECORD(id, us, type, more)                                                                 \
    "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":" #id ",\"actor\":\"ledger\","             \
    "\"protocol\":\"kafka\",\"direction\":\"received\",\"us\":" #us                                \
    ",\"summary\":\"a.orders[0]@0 " type "\",\"type\":\"" type                                     \
    "\",\"key\":\"k-1\",\"spanId\":\"00000000000000b" #id "\","                                    \
    "\"fields\":[{\"name\":\"traceparent\",\"value\":\"00\"}],\"json\":{\"producer\":\"order\","   \
    "\"payload\":{\"version\":1}}" more "}\n"
#define RED(text, more)                                                                            \
    "{\"record\":\"step\",\"id\":\"s1.1\",\"scenario\":\"s1\",\"us\":900,\"durationUs\":100,"      \
    "\"line\":1,\"keyword\":\"Then\",\"text\":\"" text "\",\"verdict\":\"failed\"" more "}\n"      \
    "{\"record\":\"scenario-end\",\"scenario\":\"s1\",\"us\":1000,\"durationUs\":1000,"            \
    "\"verdict\":\"failed\"}\n"

#define WAITS                                                                                      \
    RED("within 5s screen receives \\\"a.order.paid.v1\\\"",                                       \
        ",\"actor\":\"screen\",\"expected\":\"a.order.paid.v1 for key k-1 within 5000 ms\"")

Test(cause, what_kafka_has_and_a_consumer_took_was_lost_behind_it)
{
    read_text(BV_BYTES(OPEN SENT(1, 10) RECORD(2, 20, "a.order.paid.v1", "") WAITS
                       "{\"record\":\"span\",\"scenario\":\"s1\",\"us\":30,\"service\":\"push\","
                       "\"name\":\"a.order.paid.v1\",\"spanId\":\"00000000000000c1\","
                       "\"parentSpanId\":\"00000000000000b2\"}\n"));
    struct cause cause = cause_of("s1");
    expect_kind(&cause, CAUSE_MISSING);
    expect_text(cause.hop, "push → WebSocket → screen");
    expect_part(cause.sentence, "push took a.order.paid.v1 from Kafka (message 2)");
}

Test(cause, what_kafka_has_and_nobody_took_was_lost_at_the_consumer)
{
    read_text(BV_BYTES(OPEN SENT(1, 10) RECORD(2, 20, "a.order.paid.v1", "") WAITS));
    struct cause cause = cause_of("s1");
    expect_text(cause.hop, "Kafka a.orders → the consumer");
    expect_part(cause.sentence, "a.order.paid.v1 is on Kafka (message 2), but no span");
}

Test(cause, what_kafka_has_not_was_lost_before_it)
{
    read_text(BV_BYTES(OPEN SENT(1, 10) RECORD(2, 20, "a.order.created.v1", "") RED(
        "within 5s ledger receives",
        ",\"actor\":\"ledger\",\"expected\":\"a.order.paid.v1 for key k-1 within 5000 ms\"")));
    struct cause cause = cause_of("s1");
    expect_text(cause.hop, "order → Kafka a.orders");
    expect_text(cause.sentence, "a.order.paid.v1 of k-1 never came: nothing of it is on Kafka.");
}

Test(cause, two_records_where_one_was_wanted_are_a_duplicate_even_without_a_violation)
{
    read_text(BV_BYTES(
        OPEN SENT(1, 10) RECORD(2, 20, "a.order.paid.v1", "") RECORD(3, 30, "a.order.paid.v1", "")
            RED("ledger receives exactly 1", ",\"actor\":\"ledger\",\"actual\":\"2 already\"")));
    struct cause cause = cause_of("s1");
    expect_kind(&cause, CAUSE_DUPLICATE);
    expect_text(cause.hop, "order → Kafka a.orders → ledger");
    expect_part(cause.sentence, "messages 2 and 3");
}

Test(cause, a_wrong_answer_names_the_deepest_span_that_failed)
{
    read_text(BV_BYTES(OPEN SENT(
        1,
        10) "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":2,\"actor\":\"buyer\",\"protocol\":"
            "\"rest\",\"direction\":\"received\",\"us\":50,\"summary\":\"POST /orders -> 503\","
            "\"answers\":1,\"status\":503}\n" RED(
                "buyer status == 201",
                ",\"actor\":\"buyer\",\"messages\":[2]") "{\"record\":\"span\",\"scenario\":\"s1\","
                                                         "\"us\":20,\"service\":\"order\",\"name\":"
                                                         "\"POST\","
                                                         "\"spanId\":\"00000000000000c1\","
                                                         "\"parentSpanId\":\"00000000000000a1\","
                                                         "\"status\":\"error\"}\n"
                                                         "{\"record\":\"span\",\"scenario\":\"s1\","
                                                         "\"us\":25,\"service\":\"stock\",\"name\":"
                                                         "\"Reserve\","
                                                         "\"spanId\":\"00000000000000c2\","
                                                         "\"parentSpanId\":\"00000000000000c1\","
                                                         "\"status\":\"error\"}"
                                                         "\n"));
    struct cause cause = cause_of("s1");
    expect_kind(&cause, CAUSE_ANSWER);
    expect_text(cause.hop, "buyer → REST → order");
    expect_part(cause.facts[0].text, "stock, Reserve, span 00000000000000c2");
}

Test(cause, a_broken_lab_is_not_blamed_on_the_platform)
{
    read_text(BV_BYTES(
        OPEN "{\"record\":\"step\",\"id\":\"s1.1\",\"scenario\":\"s1\",\"us\":1,\"durationUs\":1,"
             "\"line\":1,\"keyword\":\"Given\",\"text\":\"x\",\"verdict\":\"broken\",\"actor\":"
             "\"screen\"}\n"
             "{\"record\":\"scenario-end\",\"scenario\":\"s1\",\"us\":9,\"durationUs\":9,"
             "\"verdict\":\"broken\"}\n"));
    struct cause cause = cause_of("s1");
    expect_kind(&cause, CAUSE_LAB);
    expect_text(cause.hop, "lab → WebSocket → screen");
}

Test(cause, where_the_results_are_silent_nothing_is_said)
{
    read_text(BV_BYTES(OPEN RED("the moon is full", "")));
    struct cause cause = cause_of("s1");
    expect_kind(&cause, CAUSE_NONE);
    cr_expect_eq(cause.sentence.size, 0);
    cr_expect_eq(cause.step_number, 1);
    read_text(BV_BYTES("{\"record\":\"scenario\",\"id\":\"s1\",\"us\":0,\"name\":\"x\"}\n"));
    cause = cause_of("s1");
    expect_kind(&cause, CAUSE_NONE);
}

/* Comparing each of them with each would take minutes. */
Test(cause, a_flood_of_messages_does_not_hold_up_the_page, .timeout = 60)
{
    text.max = 64 << 20;
    cr_assert_eq(bv_buf_text(&text, OPEN), 0);
    for (int i = 1; i <= 60000; i++)
        cr_assert_eq(bv_buf_format(&text,
                                   "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":%d,"
                                   "\"actor\":\"screen\",\"protocol\":\"websocket\",\"direction\":"
                                   "\"received\",\"us\":%d,\"summary\":\"tick\",\"type\":\"tick\","
                                   "\"json\":{\"n\":%d}}\n",
                                   i,
                                   i % 900,
                                   i),
                     0);
    cr_assert_eq(bv_buf_text(&text, WAITS), 0);
    read_text(bv_buf_view(&text));
    (void)cause_of("s1");
    cr_expect_eq(report.scenario_count, 1);
}
