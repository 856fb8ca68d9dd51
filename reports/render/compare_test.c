#include "compare.h"

#include "bv/fs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct report newer, older;
static struct comparison found;

static void teardown(void)
{
    report_release(&newer);
    report_release(&older);
}

TestSuite(compare, .fini = teardown);

#define SCENARIO(token)                                                                            \
    "{\"record\":\"scenario\",\"id\":\"s1\",\"us\":0,\"name\":\"x\",\"run\":\"" token "\"}\n"
#define STEP(number, text, us, verdict)                                                            \
    "{\"record\":\"step\",\"id\":\"s1." #number                                                    \
    "\",\"scenario\":\"s1\",\"us\":0,\"durationUs\":" #us                                          \
    ",\"line\":1,\"keyword\":\"Then\",\"text\":\"" text "\",\"verdict\":\"" verdict "\"}\n"
#define GOT(number, type)                                                                          \
    "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":" #number ",\"actor\":\"ledger\","         \
    "\"direction\":\"received\",\"us\":1,\"type\":\"" type "\"}\n"

static void compare(const char *now, const char *then)
{
    struct bv_error error = {0};
    cr_assert_eq(report_read(bv_bytes_of(now), &newer, &error), 0);
    cr_assert_eq(report_read(bv_bytes_of(then), &older, &error), 0);
    compare_runs(&newer, &older, &found);
}

static void expect_line(size_t index, const char *what, const char *text)
{
    cr_assert_lt(index, found.count);
    cr_expect_str_eq(found.lines[index].what, what);
    cr_expect(bv_bytes_equal(found.lines[index].text, bv_bytes_of(text)),
              "\"%.*s\" is not \"%s\"",
              BV_ARG(found.lines[index].text),
              text);
}

Test(compare, what_a_run_draws_anew_is_no_difference)
{
    compare(SCENARIO("9AAA-1") GOT(1, "GET /orders/01a206ac-40cc-7f99-be2b-854f9a8f248b")
                GOT(2, "GET /products/MUG-9AAA-1") STEP(1, "a", 130000, "passed"),
            SCENARIO("8BBB-1") GOT(1, "GET /orders/77a206d0-0555-79f3-a7f0-e9762233b953")
                GOT(2, "GET /products/MUG-8BBB-1") STEP(1, "a", 50000, "passed"));
    cr_expect_eq(found.count, 0);
}

Test(compare, a_step_counts_from_three_times_and_a_tenth_of_a_second_on)
{
    compare(SCENARIO("A") STEP(1, "a", 400000, "passed") STEP(2, "b", 90000, "passed")
                STEP(3, "c", 10000, "passed"),
            SCENARIO("A") STEP(1, "a", 100000, "passed") STEP(2, "b", 10000, "passed")
                STEP(3, "c", 900000, "passed"));
    cr_expect_eq(found.count, 2);
    expect_line(0, "slower", "step 1: a (400 ms, was 100 ms)");
    expect_line(1, "faster", "step 3: c (10 ms, was 900 ms)");
}

Test(compare, missing_and_new_messages_and_red_steps_are_named)
{
    compare(SCENARIO("A") GOT(1, "order.paid.v1") STEP(1, "a", 1, "passed")
                STEP(2, "b", 1, "failed"),
            SCENARIO("A") GOT(1, "order.reserved.v1") STEP(1, "a", 1, "passed")
                STEP(2, "b", 1, "passed"));
    cr_expect_eq(found.count, 3);
    expect_line(0, "was green", "step 2: b");
    expect_line(1, "missing", "ledger order.reserved.v1");
    expect_line(2, "new", "ledger order.paid.v1");
}

#define RUN(name, story, more)                                                                     \
    "{\"record\":\"run\",\"schema\":1,\"run\":\"" name "\",\"startedAt\":\"\",\"story\":\"" story  \
    "\"" more "}\n"
#define END(verdict) "{\"record\":\"end\",\"us\":1,\"verdict\":\"" verdict "\",\"exit\":0}\n"

Test(compare, the_last_green_run_of_the_story_is_found_beside_it)
{
    static const struct {
        const char *name, *text;
    } runs[] = {
        {"20261123-010000-AAAA", RUN("20261123-010000-AAAA", "flow",  "") END("passed")                },
        {"20261123-020000-AAAA", RUN("20261123-020000-AAAA", "flow",  "") END("passed")                },
        {"20261123-030000-AAAA", RUN("20261123-030000-AAAA", "flow",  "") END("failed")                },
        {"20261123-040000-AAAA", RUN("20261123-040000-AAAA", "other", "") END("passed")                },
        {"20261123-050000-AAAA",
         RUN("20261123-050000-AAAA",                         "flow",  ",\"break\":\"x\"") END("passed")},
        {"20261123-060000-AAAA", RUN("20261123-060000-AAAA", "flow",  "") END("passed")                },
        {"20261123-070000-AAAA", RUN("20261123-070000-AAAA", "flow",  "") END("passed")                },
    };
    char folder[] = "/tmp/bv-compare-XXXXXX", path[BV_PATH_MAX];
    cr_assert_not_null(mkdtemp(folder));
    for (size_t i = 0; i < BV_COUNT(runs); i++) {
        cr_assert_eq(bv_path(path, NULL, "%s/%s", folder, runs[i].name), 0);
        cr_assert_eq(bv_fs_mkdirs(path, 0755, NULL), 0);
        cr_assert_eq(bv_path(path, NULL, "%s/%s/results.jsonl", folder, runs[i].name), 0);
        cr_assert_eq(bv_fs_write(path, bv_bytes_of(runs[i].text), 0644, NULL), 0);
    }
    cr_assert_eq(report_read(bv_bytes_of(runs[5].text), &newer, NULL), 0);
    cr_assert_eq(bv_path(path, NULL, "%s/%s", folder, runs[5].name), 0);
    cr_assert_eq(compare_find(path, &newer, &older), 0);
    cr_expect(bv_bytes_equal(bv_json_string(bv_json_get(older.run, "run")),
                             bv_bytes_of("20261123-020000-AAAA")));
    report_release(&newer);
    report_release(&older);
    cr_assert_eq(report_read(bv_bytes_of(runs[0].text), &newer, NULL), 0);
    cr_expect_eq(compare_find(path, &newer, &older), COMPARE_NONE);
    cr_assert_eq(bv_fs_remove_tree(folder, NULL), 0);
}
