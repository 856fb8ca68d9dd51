/* What a run that a test can hold cannot show: a red scenario whose steps are green, a run that was
 * cut off, messages that are too large, lines that are none. */
#include "cucumber.h"

#include "testing_protocol.h"
#include "bv/fs.h"
#include "bv/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct bv_arena *arena;
static struct contracts *contracts;
static struct bv_error error;
static char folder[] = "/tmp/cucumber-test-XXXXXX";
static struct bv_buf written = {.max = 8 << 20};

static void setup(void)
{
    cr_assert_eq(bv_arena_open(64 << 20, &arena), 0);
    cr_assert_eq(contracts_open("no-contracts", &contracts, &error), 0);
    cr_assert(mkdtemp(folder));
}

static void teardown(void)
{
    cr_expect_eq(bv_fs_remove_tree(folder, &error), 0);
    bv_buf_release(&written);
    contracts_close(&contracts);
    bv_arena_close(&arena);
}

TestSuite(cucumber, .init = setup, .fini = teardown);

#define RUN "{\"record\":\"run\",\"schema\":1,\"startedAt\":\"2026-11-23T01:15:00.250Z\"}\n"
#define SCENARIO                                                                                   \
    "{\"record\":\"scenario\",\"id\":\"s1\",\"feature\":\"f1\",\"us\":1000,\"line\":3}\n"
#define STEP                                                                                       \
    "{\"record\":\"step\",\"id\":\"s1.1\",\"us\":2000,\"durationUs\":1500000,\"verdict\":"         \
    "\"passed\",\"messages\":[1]}\n"
#define RED_END                                                                                    \
    "{\"record\":\"scenario-end\",\"scenario\":\"s1\",\"us\":2000000,\"verdict\":\"failed\","      \
    "\"error\":\"message 1 breaks its contract\"}\n"
#define END "{\"record\":\"end\",\"us\":3000000,\"verdict\":\"failed\"}\n"

/* Writes the messages of a run that found results; its story has one scenario, in line 3. */
static int write_messages(const char *results)
{
    static const struct bv_protocol *const protocols[] = {&testing_protocol};
    const struct plan_tables tables = {protocols, 1, contracts, NULL, 0, NULL, 0};
    struct bv_bytes text =
        BV_BYTES("@t\nFeature: f\nScenario: s\nGiven actor a is echo\nWhen a says x\n");
    struct plan *plan;
    char path[BV_PATH_MAX];
    char story[BV_PATH_MAX];
    cr_assert_eq(bv_path(path, &error, "%s/results.jsonl", folder), 0);
    cr_assert_eq(bv_path(story, &error, "%s/x.feature", folder), 0);
    cr_assert_eq(bv_fs_write(path, bv_bytes_of(results), 0600, &error), 0);
    cr_assert_eq(bv_fs_write(story, text, 0600, &error), 0);
    cr_assert_eq(plan_make(arena, &tables, "x.feature", text, &plan), 0);
    struct cucumber_file file = {story, plan};
    struct cucumber_run run = {folder, "", &file, 1};
    int rc = cucumber_write(&run, &error);
    cr_assert_eq(bv_path(path, &error, "%s/cucumber.ndjson", folder), 0);
    bv_buf_reset(&written);
    cr_assert_eq(bv_fs_read(path, &written, &error) == 0, rc == 0);
    return rc;
}

/* How often the line that was written holds what. */
static size_t count(const char *what)
{
    size_t found = 0;
    const char *at = written.data;
    const char *end = written.data + written.size;
    while ((at = memmem(at, (size_t)(end - at), what, strlen(what)))) {
        found++;
        at += strlen(what);
    }
    return found;
}

Test(cucumber, a_red_scenario_of_green_steps_ends_with_a_hook_that_fails)
{
    cr_assert_eq(write_messages(RUN SCENARIO STEP RED_END END), 0, "%s", error.text);
    cr_expect_eq(count("{\"hook\":{\"id\":\"verdict\""), 1);
    cr_expect_eq(count("{\"id\":\"s1.verdict\",\"hookId\":\"verdict\"}"), 1);
    cr_expect_eq(count("\"status\":\"FAILED\",\"message\":\"message 1 breaks its contract\""), 1);
    cr_expect_eq(count("\"success\":false"), 1);
}

Test(cucumber, a_red_step_needs_no_hook)
{
    cr_assert_eq(write_messages(RUN SCENARIO
                                "{\"record\":\"step\",\"id\":\"s1.1\",\"us\":1,\"durationUs\":1,"
                                "\"verdict\":\"broken\",\"error\":\"no way\"}\n" RED_END END),
                 0);
    cr_expect_eq(count("hook"), 0);
    cr_expect_eq(count("\"status\":\"FAILED\",\"message\":\"the lab itself failed: no way\""), 1);
}

Test(cucumber, times_are_those_of_the_wall_clock)
{
    cr_assert_eq(write_messages(RUN SCENARIO STEP RED_END END), 0);
    cr_expect_eq(count("{\"testRunStarted\":{\"id\":\"run\",\"timestamp\":{\"seconds\":1795396500,"
                       "\"nanos\":250000000}}}"),
                 1);
    cr_expect_eq(count("\"duration\":{\"seconds\":1,\"nanos\":500000000},\"status\":\"PASSED\"},"
                       "\"timestamp\":{\"seconds\":1795396501,\"nanos\":752000000}"),
                 1);
}

Test(cucumber, a_run_that_was_cut_off_says_so)
{
    cr_assert_eq(write_messages(RUN SCENARIO STEP "{\"record\":\"st"), 0);
    cr_expect_eq(count("{\"testCase\":{\"id\":\"s1\""), 1);
    cr_expect_eq(count("\"success\":false,\"message\":\"the run did not end\""), 1);
    cr_expect_eq(count("testCaseFinished"), 0);
}

Test(cucumber, what_is_no_record_of_the_run_is_passed_over)
{
    cr_assert_eq(write_messages(RUN "no json\n[1]\n" STEP SCENARIO
                                    "{\"record\":\"scenario\",\"id\":\"s2\",\"feature\":\"f9\","
                                    "\"us\":1,\"line\":3}\n" STEP END),
                 0);
    cr_expect_eq(count("{\"testCaseStarted\""), 1);
    cr_expect_eq(count("{\"testStepStarted\""), 0);
}

Test(cucumber, a_large_message_is_cut)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    (void)bv_buf_text(&text,
                      RUN SCENARIO "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":1,"
                                   "\"us\":5,\"text\":\"");
    for (int i = 0; i < CUCUMBER_BODY_BYTES_MAX; i++)
        (void)bv_buf_text(&text, "\xc3\xa9");
    (void)bv_buf_text(&text, "\"}\n" STEP RED_END END);
    (void)bv_buf_char(&text, '\0');
    cr_assert_eq(write_messages(text.data), 0);
    cr_expect_eq(count("{\"attachment\":"), 1);
    cr_expect_eq(count("... cut here; results.jsonl has all of it"), 1);
    cr_expect_lt(written.size, CUCUMBER_BODY_BYTES_MAX + 8192);
    cr_expect_gt(written.size, CUCUMBER_BODY_BYTES_MAX);
    cr_expect_eq(count("\xef\xbf\xbd"), 0, "cut within a character");
}

Test(cucumber, a_step_has_a_bounded_number_of_attachments)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    (void)bv_buf_text(&text, RUN SCENARIO);
    for (int i = 1; i <= 2 * CUCUMBER_STEP_MESSAGES_MAX; i++)
        (void)bv_buf_format(
            &text, "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":%d,\"us\":5}\n", i);
    (void)bv_buf_text(&text,
                      "{\"record\":\"step\",\"id\":\"s1.2\",\"us\":6,\"verdict\":\"passed\","
                      "\"messages\":[0,-1,99999999999,1000");
    for (int i = 1; i <= 2 * CUCUMBER_STEP_MESSAGES_MAX; i++)
        (void)bv_buf_format(&text, ",%d", i);
    (void)bv_buf_text(&text, "]}\n" END);
    (void)bv_buf_char(&text, '\0');
    cr_assert_eq(write_messages(text.data), 0);
    cr_expect_eq(count("{\"attachment\":"), CUCUMBER_STEP_MESSAGES_MAX);
}

Test(cucumber, refuses_a_file_that_is_no_run)
{
    cr_expect_eq(write_messages(""), BV_E_INVALID);
    cr_expect_eq(write_messages(SCENARIO), BV_E_INVALID);
    cr_expect(strstr(error.text, "record run"), "%s", error.text);
}
