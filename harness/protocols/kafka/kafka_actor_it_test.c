#include "kafka_actor.h"

#include "bv/bus.h"
#include "bv/test_stack.h"
#include "bv/uuid.h"
#include "lab.h"
#include <criterion/criterion.h>
#include <stdio.h>

static struct lab lab;
static struct bv_lab_ops ops;
static char topic[64];

static const char *variable(struct bv_lab *base, const char *name)
{
    (void)base;
    return strcmp(name, "BV_KAFKA_BROKERS") == 0 ? bv_test_need("BV_TEST_KAFKA_BROKERS") : NULL;
}

static void declare(struct lab *to)
{
    lab_open(to, NULL, &bv_protocol_kafka);
    ops = *to->lab.ops;
    ops.stack_variable = variable;
    to->lab.ops = &ops;
    cr_assert_eq(
        lab_declare(to, LAB_WORDS("topic", topic, "producer", "payment")), 0, "%s", to->error.text);
}

static void setup(void)
{
    const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    struct bv_error error = {0};
    snprintf(topic, sizeof topic, "lab.actor.%llx", (unsigned long long)bv_random_u64(&env));
    struct bv_topic row = {.name = topic, .partitions = 3};
    cr_assert_eq(
        bv_kafka_topics_create(bv_test_need("BV_TEST_KAFKA_BROKERS"), &row, 1, 20000, &error),
        0,
        "%s",
        error.text);
    declare(&lab);
}

static void teardown(void)
{
    lab_close(&lab);
}

TestSuite(kafka_actor, .init = setup, .fini = teardown, .timeout = 60);

static int publish(const char *key, const char *payload)
{
    return lab_run(&lab,
                   "publishes",
                   LAB_WORDS("type", "ecommerce.payment.authorized.v1", "key", key),
                   payload);
}

/* Received and published messages are both of this actor: the nth received. */
Test(kafka_actor, publishes_a_full_envelope_and_receives_it)
{
    cr_assert_eq(publish("k-1", "{\"amountMinor\":5}"), 0, "%s", lab.error.text);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "type", NULL), "ecommerce.payment.authorized.v1");
    cr_expect_str_eq(lab_probe(&lab, message, "key", NULL), "k-1");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$.producer"), "payment");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$.payload.amountMinor"), "5");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$.partitionKey"), "k-1");
    cr_expect_str_eq(lab_probe(&lab, message, "header", "event-id"),
                     lab_probe(&lab, message, "json", "$.eventId"));
    char trace[33];
    bv_trace_id_format(&lab.lab.trace, trace);
    cr_expect(strstr(lab_probe(&lab, message, "header", "traceparent"), trace));
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$.traceId"), trace);
}

Test(kafka_actor, sees_everything_after_its_declaration_and_nothing_before)
{
    struct lab late;
    cr_assert_eq(publish("old", "{}"), 0);
    lab_received(&lab, 1);
    struct bv_lab_ops first = ops;
    declare(&late);
    lab.lab.ops = &first;
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "new-%d", i);
        cr_assert_eq(publish(key, "{}"), 0);
    }
    lab_received(&late, 10);
    for (size_t i = 1; i <= 10; i++)
        cr_expect_eq(strncmp(lab_probe(&late, lab_received(&late, i), "key", NULL), "new-", 4), 0);
    lab_close(&late);
}

Test(kafka_actor, an_unknown_topic_is_red)
{
    struct lab other;
    lab_open(&other, NULL, &bv_protocol_kafka);
    other.lab.ops = &ops;
    cr_expect_eq(lab_declare(&other, LAB_WORDS("topic", "lab.no-such-topic")), BV_MISMATCH);
    lab_close(&other);
}

Test(kafka_actor, a_payload_must_be_json)
{
    cr_expect_eq(publish("k", "nonsense"), BV_E_INVALID);
}

Test(kafka_actor, repeats_the_current_record_byte_for_byte)
{
    cr_expect_eq(lab_run(&lab, "repeats", LAB_WORDS(), NULL), BV_E_INVALID, "there is none yet");
    cr_assert_eq(publish("k", "{\"amountMinor\":5}"), 0);
    const struct bv_message *first = lab_received(&lab, 1);
    lab.actor.current = first;
    cr_assert_eq(lab_run(&lab, "repeats", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    const struct bv_message *second = lab_received(&lab, 2);
    cr_expect(bv_bytes_equal(second->body, first->body));
    cr_expect(bv_bytes_equal(second->key, first->key));
    cr_expect_str_eq(lab_probe(&lab, second, "header", "event-id"),
                     lab_probe(&lab, first, "json", "$.eventId"));
}

Test(kafka_actor, sends_whatever_it_is_given)
{
    cr_assert_eq(
        lab_run(&lab, "sends", LAB_WORDS("key", "k-1"), "no envelope"), 0, "%s", lab.error.text);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "body", NULL), "no envelope");
    cr_expect_str_eq(lab_probe(&lab, message, "key", NULL), "k-1");
    cr_expect_str_eq(lab_probe(&lab, message, "header", BV_KAFKA_POISON), "on purpose");
}
