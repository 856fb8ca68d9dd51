#include "data.h"

#include <criterion/criterion.h>

static struct html html;
static struct report report;
static size_t cap;

static void setup(void)
{
    html = (struct html){.out.max = 64 << 20, .scratch.max = 64 << 20};
}

static void teardown(void)
{
    html_release(&html);
    report_release(&report);
}

TestSuite(data, .init = setup, .fini = teardown);

/* The document, read back. */
static const struct bv_json *render(struct bv_bytes records)
{
    static const struct report_logs none;
    struct bv_error error = {0};
    const struct bv_json *json = NULL;
    const struct report_data input = {
        .report = &report, .logs = &none, .bodies_max = REPORT_BODY_BYTES_SHORT};
    cr_assert_eq(report_read(records, &report, &error), 0);
    cr_assert_eq(report_data_write(&html, &input, &cap), 0);
    cr_assert_eq(
        bv_json_parse(report.arena, bv_buf_view(&html.out), &json, &error), 0, "%s", error.text);
    return json;
}

static struct bv_bytes text_at(const struct bv_json *json, const char *pointer)
{
    return bv_json_string(bv_json_pointer(json, bv_bytes_of(pointer)));
}

static void is(struct bv_bytes got, const char *wanted)
{
    cr_expect(bv_bytes_equal(got, bv_bytes_of(wanted)),
              "got \"%.*s\", wanted \"%s\"",
              BV_ARG(got),
              wanted);
}

#define HEAD                                                                                       \
    "{\"record\":\"scenario\",\"id\":\"s1\",\"us\":1}\n{\"record\":\"actor\",\"scenario\":\"s1\"," \
    "\"name\":\"a\",\"protocol\":\"rest\"}\n"

Test(data, a_json_body_stays_the_text_it_was)
{
    const struct bv_json *json = render(BV_BYTES(
        HEAD "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":1,\"actor\":\"a\",\"direction\":"
             "\"sent\",\"json\":{\"n\":9007199254740993,\"a\":[1,true,null]}}\n"));
    is(text_at(json, "/scenarios/0/messages/0/b"), "{\"n\":9007199254740993,\"a\":[1,true,null]}");
    cr_expect_eq(cap, SIZE_MAX);
}

Test(data, an_actor_that_was_never_declared_gets_a_lane)
{
    const struct bv_json *json =
        render(BV_BYTES(HEAD "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":1,\"actor\":"
                             "\"ghost\",\"protocol\":\"kafka\",\"direction\":\"received\"}\n"));
    is(text_at(json, "/scenarios/0/actors/1/0"), "ghost");
    is(text_at(json, "/scenarios/0/actors/1/1"), "kafka");
    cr_expect_eq(bv_json_int(bv_json_pointer(json, BV_BYTES("/scenarios/0/messages/0/a")), -1), 1);
}

Test(data, members_of_the_wrong_type_read_as_absent)
{
    const struct bv_json *json = render(BV_BYTES(
        HEAD
        "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":\"x\",\"actor\":7,\"direction\":[],"
        "\"us\":null,\"summary\":{},\"status\":\"200\",\"fields\":[1,{}],\"text\":3}\n"
        "{\"record\":\"step\",\"scenario\":\"s1\",\"messages\":[\"1\",2,{}],\"verdict\":9}\n"));
    cr_expect_eq(bv_json_int(bv_json_pointer(json, BV_BYTES("/scenarios/0/messages/0/d")), -1), 2);
    cr_expect_null(bv_json_pointer(json, BV_BYTES("/scenarios/0/messages/0/st")));
    cr_expect_eq(bv_json_int(bv_json_pointer(json, BV_BYTES("/scenarios/0/steps/0/2")), -1),
                 REPORT_UNFINISHED);
    cr_expect_eq(bv_json_size(bv_json_pointer(json, BV_BYTES("/scenarios/0/steps/0/4"))), 1);
}

Test(data, secrets_in_bodies_headers_and_keys_are_taken_out)
{
    render(BV_BYTES(HEAD "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":1,\"actor\":\"a\","
                         "\"direction\":\"sent\",\"key\":\"whsec_AAAABBBB\","
                         "\"fields\":[{\"name\":\"x\",\"value\":\"Bearer "
                         "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln\"}],"
                         "\"json\":{\"key\":\"whsec_CCCCDDDD\"}}\n"));
    cr_expect_null(memmem(html.out.data, html.out.size, "whsec_", 6));
    cr_expect_null(memmem(html.out.data, html.out.size, "eyJ", 3));
    cr_expect_eq(html.redacted, 3);
}

static void huge(struct bv_buf *records, int count, size_t size, const char *unit)
{
    bv_buf_text(records, HEAD);
    for (int i = 1; i <= count; i++) {
        bv_buf_format(records,
                      "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":%d,\"actor\":\"a\","
                      "\"direction\":\"sent\",\"text\":\"",
                      i);
        for (size_t at = 0; at < size; at += strlen(unit))
            bv_buf_text(records, unit);
        bv_buf_text(records, "\"}\n");
    }
}

Test(data, bodies_share_their_room_and_say_when_they_are_cut)
{
    bv_auto(bv_buf_release) struct bv_buf records = {.max = 64 << 20};
    huge(&records, 40, 200000, "x");
    const struct bv_json *json = render(bv_buf_view(&records));
    cr_expect_eq(cap, 16384);
    cr_expect_eq(text_at(json, "/scenarios/0/messages/39/b").size, 16384);
    cr_expect_eq(bv_json_int(bv_json_pointer(json, BV_BYTES("/scenarios/0/messages/39/c")), 0),
                 200000);
    cr_expect(html.out.size < 2000000);
}

Test(data, a_cut_splits_no_character)
{
    bv_auto(bv_buf_release) struct bv_buf records = {.max = 64 << 20};
    huge(&records, 40, 200001, "\xe2\x82\xac");
    const struct bv_json *json = render(bv_buf_view(&records));
    struct bv_bytes body = text_at(json, "/scenarios/0/messages/0/b");
    cr_expect_eq(body.size, 16383);
    cr_expect(bv_bytes_utf8(body));
}

Test(data, what_a_red_step_names_keeps_more_of_its_body)
{
    bv_auto(bv_buf_release) struct bv_buf records = {.max = 64 << 20};
    huge(&records, 1500, 4000, "x");
    bv_buf_text(&records,
                "{\"record\":\"step\",\"scenario\":\"s1\",\"text\":\"t\",\"verdict\":\"failed\","
                "\"messages\":[7]}\n");
    const struct bv_json *json = render(bv_buf_view(&records));
    cr_expect_eq(cap, 256);
    cr_expect_eq(text_at(json, "/scenarios/0/messages/5/b").size, 256);
    cr_expect_eq(text_at(json, "/scenarios/0/messages/6/b").size, 4000);
}
