#include "records.h"

#include <criterion/criterion.h>

static struct report report;

static void teardown(void)
{
    report_release(&report);
}

TestSuite(records, .fini = teardown);

static void read_text(const char *text)
{
    struct bv_error error = {0};
    cr_assert_eq(report_read(bv_bytes_of(text), &report, &error), 0, "%s", error.text);
}

#define SCENARIO "{\"record\":\"scenario\",\"id\":\"s1\",\"us\":10,\"name\":\"a\"}\n"

Test(records, a_scenario_gathers_what_names_it)
{
    read_text(
        "{\"record\":\"feature\",\"id\":\"f1\",\"name\":\"F\"}\n"
        "{\"record\":\"scenario\",\"id\":\"s1\",\"feature\":\"f1\",\"us\":10,\"name\":\"a\"}\n"
        "{\"record\":\"scenario\",\"id\":\"s2\",\"us\":11,\"name\":\"b\"}\n"
        "{\"record\":\"actor\",\"scenario\":\"s1\",\"us\":12,\"name\":\"buyer\"}\n"
        "{\"record\":\"message\",\"scenario\":\"s2\",\"id\":1,\"us\":13}\n"
        "{\"record\":\"step\",\"scenario\":\"s1\",\"us\":12,\"durationUs\":8,\"text\":\"x\"}\n"
        "{\"record\":\"scenario-end\",\"scenario\":\"s1\",\"us\":19,\"durationUs\":9,\"verdict\":"
        "\"passed\"}\n");
    cr_assert_eq(report.scenario_count, 2);
    const struct report_scenario *first = &report.scenarios[0];
    cr_expect_eq(first->actors.count, 1);
    cr_expect_eq(first->steps.count, 1);
    cr_expect_eq(first->messages.count, 0);
    cr_expect_eq(first->end_us, 20);
    cr_expect(bv_bytes_equal(bv_json_string(bv_json_get(first->feature, "name")), BV_BYTES("F")));
    cr_expect_eq(report.scenarios[1].messages.count, 1);
    cr_expect_null(report.scenarios[1].feature);
}

Test(records, lists_keep_every_element_when_they_grow)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    bv_buf_text(&text, SCENARIO);
    for (int i = 1; i <= 1000; i++)
        bv_buf_format(&text, "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":%d}\n", i);
    bv_buf_char(&text, '\0');
    read_text(text.data);
    cr_assert_eq(report.scenarios[0].messages.count, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(bv_json_int(bv_json_get(report.scenarios[0].messages.list[i], "id"), 0),
                     i + 1);
}

Test(records, a_broken_line_is_counted_and_the_rest_is_read)
{
    read_text("{\"record\":\"run\",\"story\":\"x\"}\n\n[1]\n{\"record\":\n" SCENARIO
              "{\"record\":\"message\",\"scena");
    cr_expect_eq(report.bad_lines, 3);
    cr_expect_eq(report.bad_line_first, 3);
    cr_expect(report.bad_reason.size > 0);
    cr_expect_eq(report.scenario_count, 1);
    cr_expect_not_null(report.run);
}

Test(records, unknown_kinds_are_counted_by_name)
{
    read_text("{\"record\":\"metric\"}\n{\"record\":\"metric\"}\n{\"x\":1}\n{\"record\":7}\n");
    cr_expect_eq(report.unknown_records, 4);
    cr_assert_eq(report.unknown_kinds, 2);
    cr_expect(bv_bytes_equal(report.unknown[0].name, BV_BYTES("metric")));
    cr_expect_eq(report.unknown[0].count, 2);
    cr_expect(bv_bytes_equal(report.unknown[1].name, BV_BYTES("(none)")));
}

Test(records, more_kinds_than_have_room_are_still_counted)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 16};
    for (int i = 0; i < REPORT_KINDS_NAMED + 5; i++)
        bv_buf_format(&text, "{\"record\":\"kind%d\"}\n", i);
    bv_buf_char(&text, '\0');
    read_text(text.data);
    cr_expect_eq(report.unknown_kinds, REPORT_KINDS_NAMED);
    cr_expect_eq(report.unknown_records, REPORT_KINDS_NAMED + 5);
}

Test(records, what_names_no_scenario_is_a_stray)
{
    read_text("{\"record\":\"message\",\"scenario\":\"s9\",\"id\":1}\n{\"record\":\"step\"}\n");
    cr_expect_eq(report.strays, 2);
}

Test(records, a_span_finds_its_scenario_by_its_trace)
{
    read_text("{\"record\":\"scenario\",\"id\":\"s1\",\"us\":1,\"traceId\":"
              "\"4bf92f3577b34da6a3ce929d0e0e4736\"}\n"
              "{\"record\":\"span\",\"us\":2,\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}\n"
              "{\"record\":\"span\",\"us\":2,\"traceId\":\"00f92f3577b34da6a3ce929d0e0e4736\"}\n");
    cr_expect_eq(report.scenarios[0].spans.count, 1);
    cr_expect_eq(report.strays, 0);
}

static const struct {
    const char *ends; /* verdicts of scenarios, 0: it has no end */
    const char *end;  /* verdict of the run */
    enum report_verdict wanted;
} verdicts[] = {
    {"p",  "passed",  REPORT_PASSED    },
    {"pf", "failed",  REPORT_FAILED    },
    {"pf", NULL,      REPORT_FAILED    },
    {"pb", "broken",  REPORT_BROKEN    },
    {"fb", "broken",  REPORT_FAILED    },
    {"p",  NULL,      REPORT_UNFINISHED},
    {"p?", NULL,      REPORT_UNFINISHED},
    {"",   "broken",  REPORT_BROKEN    },
    {"s",  "skipped", REPORT_SKIPPED   },
    {"pf", "passed",  REPORT_FAILED    }, /* a run cannot be greener than its scenarios */
};

Test(records, the_verdict_of_a_run_is_its_reddest)
{
    for (size_t i = 0; i < BV_COUNT(verdicts); i++) {
        static const char *const words[] = {
            ['p'] = "passed", ['f'] = "failed", ['b'] = "broken", ['s'] = "skipped", ['?'] = NULL};
        bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 16};
        for (const char *c = verdicts[i].ends; *c; c++) {
            bv_buf_format(
                &text, "{\"record\":\"scenario\",\"id\":\"%td\"}\n", c - verdicts[i].ends);
            if (words[(unsigned char)*c])
                bv_buf_format(
                    &text,
                    "{\"record\":\"scenario-end\",\"scenario\":\"%td\",\"verdict\":\"%s\"}\n",
                    c - verdicts[i].ends,
                    words[(unsigned char)*c]);
        }
        if (verdicts[i].end)
            bv_buf_format(&text, "{\"record\":\"end\",\"verdict\":\"%s\"}\n", verdicts[i].end);
        bv_buf_char(&text, '\0');
        read_text(text.data);
        cr_expect_eq(report_run_verdict(&report), verdicts[i].wanted, "row %zu", i);
        report_release(&report);
    }
}

static const struct {
    const char *text;
    int64_t wanted; /* -1: refused */
} times[] = {
    {"1970-01-01T00:00:00Z",            0               },
    {"2026-11-23T01:15:00.000Z",        1795396500000000},
    {"2026-11-23T01:15:00.123456Z",     1795396500123456},
    {"2026-11-23T01:15:00.1234567Z",    1795396500123456},
    {"2026-11-23T02:15:00+01:00",       1795396500000000},
    {"2026-11-22T20:15:00-05:00",       1795396500000000},
    {"2026-11-23 01:15:00.250 UTC [1]", 1795396500250000},
    {"2026-11-23T01:15:00",             -1              },
    {"2026-11-23T01:15:0",              -1              },
    {"2026/11/23T01:15:00Z",            -1              },
    {"",                                -1              },
};

Test(records, times_are_rfc_3339)
{
    for (size_t i = 0; i < BV_COUNT(times); i++) {
        int64_t us = -1;
        int rc = report_time(bv_bytes_of(times[i].text), &us);
        cr_expect_eq(rc, times[i].wanted < 0 ? BV_E_INVALID : 0, "%s", times[i].text);
        cr_expect_eq(us, times[i].wanted, "%s: %lld", times[i].text, (long long)us);
    }
}
