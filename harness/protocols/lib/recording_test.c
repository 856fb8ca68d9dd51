#include "bv/protocol.h"

#include <criterion/criterion.h>
#include <pthread.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
static struct bv_recording *recording;

static void setup(void)
{
    struct bv_recording_config config = {.env = &env};
    cr_assert_eq(bv_recording_open(&config, &recording), 0);
}

static void teardown(void)
{
    bv_recording_close(&recording);
}

TestSuite(recording, .init = setup, .fini = teardown);

static uint64_t append(const char *actor, const char *body)
{
    uint64_t id = 0;
    struct bv_message message = {.actor = actor,
                                 .protocol = "test",
                                 .direction = BV_RECEIVED,
                                 .summary = BV_BYTES("x"),
                                 .status = BV_NO_NUMBER,
                                 .sequence = BV_NO_NUMBER,
                                 .body = bv_bytes_of(body)};
    cr_assert_eq(bv_recording_append(recording, &message, &id), 0);
    return id;
}

static bool is_body(void *argument, const struct bv_message *message)
{
    return bv_bytes_equal(message->body, bv_bytes_of(argument));
}

static int64_t in_ms(int64_t ms)
{
    return bv_mono_us(&env) + ms * 1000;
}

Test(recording, counts_ids_and_copies_what_it_keeps)
{
    char body[] = "{\"a\":1}";
    cr_expect_eq(append("a", body), 1);
    body[0] = 'x';
    const struct bv_message *message = bv_recording_at(recording, 1);
    cr_expect(bv_bytes_equal(message->body, BV_BYTES("{\"a\":1}")));
    cr_expect_eq(bv_json_int(bv_json_get(message->json, "a"), 0), 1);
    cr_expect_null(bv_recording_at(recording, 2));
    cr_expect_null(bv_recording_at(recording, 0));
}

Test(recording, await_finds_what_came_before_it)
{
    const struct bv_message *message = NULL;
    append("a", "one");
    append("a", "two");
    cr_assert_eq(bv_recording_await(recording, 0, in_ms(-1), is_body, "two", &message), 0);
    cr_expect_eq(message->id, 2);
}

Test(recording, await_begins_after_the_cursor)
{
    const struct bv_message *message = NULL;
    append("a", "one");
    cr_expect_eq(bv_recording_await(recording, 1, in_ms(5), is_body, "one", &message), BV_NOT_YET);
    cr_expect_null(message);
}

Test(recording, await_ends_at_its_deadline)
{
    const struct bv_message *message = NULL;
    int64_t begin = bv_mono_us(&env);
    cr_expect_eq(bv_recording_await(recording, 0, in_ms(30), is_body, "never", &message),
                 BV_NOT_YET);
    cr_expect_geq(bv_mono_us(&env) - begin, 30000);
}

static void *interrupt(void *argument)
{
    bv_recording_interrupt(argument);
    return NULL;
}

Test(recording, an_interrupt_ends_a_wait_and_later_ones_at_once, .timeout = 30)
{
    const struct bv_message *message = NULL;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, interrupt, recording), 0);
    cr_expect_eq(bv_recording_await(recording, 0, in_ms(120000), is_body, "x", &message),
                 BV_NOT_YET);
    pthread_join(thread, NULL);
    cr_expect_eq(bv_recording_await(recording, 0, in_ms(120000), is_body, "x", &message),
                 BV_NOT_YET);
    append("a", "x");
    cr_expect_eq(bv_recording_await(recording, 0, in_ms(120000), is_body, "x", &message),
                 0,
                 "what is there is still found");
}

enum { WRITERS = 4, EACH = 500 };

static void *write_many(void *argument)
{
    for (int i = 0; i < EACH; i++)
        append(argument, "same");
    return NULL;
}

Test(recording, loses_nothing_between_threads)
{
    static char names[WRITERS][2] = {"a", "b", "c", "d"};
    pthread_t threads[WRITERS];
    const struct bv_message *message = NULL;
    uint64_t seen = 0;
    for (int i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    for (int i = 0; i < WRITERS * EACH; i++) {
        cr_assert_eq(bv_recording_await(recording, seen, in_ms(10000), is_body, "same", &message),
                     0);
        cr_assert_eq(message->id, seen + 1);
        seen = message->id;
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(bv_recording_last(recording), WRITERS * EACH);
}

Test(recording, full_is_remembered)
{
    struct bv_recording_config config = {.env = &env, .count_max = 1};
    struct bv_recording *small = NULL;
    struct bv_message message = {.actor = "a", .protocol = "p"};
    cr_assert_eq(bv_recording_open(&config, &small), 0);
    cr_expect_eq(bv_recording_append(small, &message, NULL), 0);
    cr_expect_not(bv_recording_full(small));
    cr_expect_eq(bv_recording_append(small, &message, NULL), BV_E_LIMIT);
    cr_expect(bv_recording_full(small));
    bv_recording_close(&small);
}

Test(recording, takes_the_trace_from_the_header)
{
    struct bv_http_field fields[] = {
        {"TraceParent", BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}
    };
    struct bv_message message = {.actor = "a", .protocol = "p", .fields = fields, .field_count = 1};
    cr_assert_eq(bv_recording_append(recording, &message, NULL), 0);
    cr_expect(bv_trace_present(&bv_recording_at(recording, 1)->trace));
}

Test(recording, long_bodies_are_cut_and_their_size_kept)
{
    static char body[BV_MESSAGE_BODY_MAX + 10];
    struct bv_message message = {
        .actor = "a", .protocol = "p", .body = {body, sizeof body}
    };
    cr_assert_eq(bv_recording_append(recording, &message, NULL), 0);
    cr_expect_eq(bv_recording_at(recording, 1)->body.size, BV_MESSAGE_BODY_MAX);
    cr_expect_eq(bv_recording_at(recording, 1)->body_bytes, sizeof body);
}

Test(actor, a_base_url_is_a_target_of_its_own)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {
        {"http://127.0.0.1:8080",  true },
        {"https://host/base",      true },
        {"http://127.0.0.1:8080/", false},
        {"http://",                false},
        {"gateway",                false},
        {"ftp://127.0.0.1",        false},
        {"",                       false},
    };
    for (size_t i = 0; i < BV_COUNT(cases); i++)
        cr_assert_eq(bv_is_base_url(bv_bytes_of(cases[i].text)), cases[i].is, "%s", cases[i].text);
}

static void *fill(void *argument)
{
    const struct bv_message message = {.actor = "a",
                                       .protocol = "test",
                                       .direction = BV_RECEIVED,
                                       .status = BV_NO_NUMBER,
                                       .sequence = BV_NO_NUMBER};
    while (bv_recording_append(argument, &message, NULL) == 0)
        ;
    return NULL;
}

/* Nothing can come any more: the deadline is an hour away. */
Test(recording, a_full_one_ends_every_wait, .timeout = 20)
{
    const struct bv_recording_config config = {.env = &env, .count_max = 3};
    const struct bv_message *message = NULL;
    struct bv_recording *small = NULL;
    pthread_t thread;
    cr_assert_eq(bv_recording_open(&config, &small), 0);
    cr_assert_eq(pthread_create(&thread, NULL, fill, small), 0);
    cr_expect_eq(bv_recording_await(small, 0, in_ms(3600000), is_body, "never", &message),
                 BV_NOT_YET);
    pthread_join(thread, NULL);
    cr_expect(bv_recording_full(small));
    cr_expect_eq(bv_recording_last(small), 3);
    bv_recording_close(&small);
}
