#include "execute.h"

#include "testing_protocol.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
static struct bv_arena *arena;
static struct contracts *contracts;
static struct scenario_outcome outcome;
static char expected[400], actual[400], error_text[400];
static size_t messages, tries, step_messages;

static void setup(void)
{
    struct bv_error error = {0};
    cr_assert_eq(bv_arena_open(16 << 20, &arena), 0);
    cr_assert_eq(contracts_open(BV_CONTRACTS, &contracts, &error), 0, "%s", error.text);
    cr_assert_eq(contracts_read(contracts, &error), 0, "%s", error.text);
}

static void teardown(void)
{
    contracts_close(&contracts);
    bv_arena_close(&arena);
}

TestSuite(execute, .init = setup, .fini = teardown);

static void on_step(void *argument,
                    const struct plan_step *step,
                    size_t index,
                    const struct step_outcome *step_outcome,
                    struct bv_recording *recording)
{
    (void)argument, (void)step, (void)index, (void)recording;
    tries = step_outcome->tries;
    step_messages = step_outcome->message_count;
    if (step_outcome->verdict != VERDICT_FAILED && step_outcome->verdict != VERDICT_BROKEN)
        return;
    snprintf(expected, sizeof expected, "%s", step_outcome->expected ? step_outcome->expected : "");
    snprintf(actual, sizeof actual, "%s", step_outcome->actual ? step_outcome->actual : "");
    snprintf(error_text, sizeof error_text, "%s", step_outcome->error ? step_outcome->error : "");
}

static void on_message(void *argument, const struct bv_message *message)
{
    (void)argument, (void)message;
    messages++;
}

/* Runs the steps after `actor a is echo`. */
static enum verdict run(const char *steps)
{
    static const struct bv_protocol *const protocols[] = {&testing_protocol};
    const struct execute_listener listener = {.message = on_message, .step_ends = on_step};
    struct plan_tables tables = {protocols, 1, contracts, NULL, 0, NULL, 0};
    struct runner_lab_config config = {&env, NULL, contracts, BV_CONTRACTS, "RUN", NULL, NULL};
    struct runner_lab *lab = NULL;
    struct plan *plan = NULL;
    char file[8192];
    snprintf(file, sizeof file, "Feature: f\nScenario: s\nGiven actor a is echo\n%s\n", steps);
    expected[0] = actual[0] = error_text[0] = '\0';
    messages = 0;
    int rc = plan_make(arena, &tables, "x.feature", bv_arena_copy(arena, bv_bytes_of(file)), &plan);
    cr_assert_eq(rc, 0, "%s", plan->diagnostics[0].text);
    cr_assert_eq(runner_lab_open(&config, &lab), 0);
    cr_assert_eq(execute_scenario(lab, &plan->scenarios[0], 1, NULL, &listener, &outcome), 0);
    runner_lab_close(&lab);
    return outcome.verdict;
}

Test(execute, a_story_that_holds_is_green)
{
    enum verdict verdict = run("When a says one for key k numbered 1\n\"\"\"json\n{ \"n\": 7, "
                               "\"s\": \"x-${run}\" }\n\"\"\"\n"
                               "Then a receives \"one\" for key k with json \"$.n\" >= 7\n"
                               "And a json \"$.s\" == \"x-RUN-1\" and sequence == 1\n"
                               "And save n from a json \"$.n\"\n"
                               "When a says two for key k${n}\n"
                               "Then a receives key == k7\n"
                               "And a count == 2\n"
                               "And never within 5ms a receives \"one\"");
    cr_expect_eq(verdict, VERDICT_PASSED, "%s: %s, not %s", error_text, actual, expected);
    cr_expect_eq(outcome.steps[VERDICT_PASSED], 9);
    cr_expect_eq(messages, 2);
}

Test(execute, a_wrong_expectation_is_red_and_the_rest_skipped)
{
    cr_expect_eq(run("When a says one\n\"\"\"json\n{ \"n\": 7 }\n\"\"\"\nThen a receives "
                     "\"one\"\nAnd a json \"$.n\" == 8\nAnd a count == 1"),
                 VERDICT_FAILED);
    cr_expect_str_eq(expected, "json $.n == 8");
    cr_expect_str_eq(actual, "7");
    cr_expect_eq(outcome.steps[VERDICT_SKIPPED], 1);
}

Test(execute, what_does_not_come_is_red_and_the_nearest_is_named)
{
    cr_expect_eq(run("When a says one for key k\nAnd a says two for key x\nThen within 5ms a "
                     "receives \"one\" for key y"),
                 VERDICT_FAILED);
    cr_expect(
        strstr(actual, "2 messages, none matches; nearest is 1 (one): its key is k"), "%s", actual);
}

Test(execute, order_is_checked)
{
    cr_expect_eq(run("When a says one\nAnd a says two\nAnd a says one\nAnd a says three\nThen "
                     "within 5ms a receives in order\n| one | two |\n| three | |"),
                 VERDICT_FAILED,
                 "an empty cell is a type nobody has");
    cr_expect_eq(run("When a says one\nAnd a says two\nAnd a says three\nThen a receives in "
                     "order\n| one | three |"),
                 VERDICT_PASSED);
    cr_expect_eq(
        run("When a says one\nAnd a says two\nThen within 5ms a receives in order\n| two | one |"),
        VERDICT_FAILED);
    cr_expect(strstr(expected, "number 2 in order: one"), "%s", expected);
    cr_expect_eq(run("When a says x numbered 1\nAnd a says x numbered 2\nThen a receives in order "
                     "sequence\n| 1 | 2 |"),
                 VERDICT_PASSED);
}

Test(execute, exactly_counts_since_the_declaration)
{
    cr_expect_eq(run("When a says x\nAnd a says x\nThen a receives \"x\"\nAnd within 5ms a "
                     "receives exactly 2 \"x\""),
                 VERDICT_PASSED);
    cr_expect_eq(run("When a says x\nAnd a says x\nThen within 5ms a receives exactly 1 \"x\""),
                 VERDICT_FAILED);
    cr_expect_eq(run("When a says x\nThen within 5ms a receives exactly 2 \"x\""), VERDICT_FAILED);
    cr_expect_eq(run("Then within 5ms a receives exactly 0"), VERDICT_PASSED);
}

Test(execute, never_is_red_when_it_comes)
{
    cr_expect_eq(run("When a says x\nThen never within 1s a receives \"x\""), VERDICT_FAILED);
    cr_expect(strstr(actual, "message 1"), "%s", actual);
}

Test(execute, refusals_are_red_and_faults_are_broken)
{
    cr_expect_eq(run("When a refuses"), VERDICT_FAILED);
    cr_expect_str_eq(error_text, "refused");
    cr_expect_eq(run("When a breaks"), VERDICT_BROKEN);
    cr_expect_eq(run("Given actor b is echo in mood bad"), VERDICT_FAILED);
    cr_expect_eq(run("Then a json \"$.x\" == 1"), VERDICT_FAILED);
    cr_expect_str_eq(actual, "a has no message yet");
    cr_expect_eq(run("When a says x\nThen save v from a header nope"), VERDICT_FAILED);
}

Test(execute, a_secret_is_not_said_when_it_is_red)
{
    cr_expect_eq(run("When a says x\n\"\"\"json\n{ \"secret\": \"whsec_1\" }\n\"\"\"\nThen a "
                     "receives \"x\"\nAnd a json \"$.secret\" == y"),
                 VERDICT_FAILED);
    cr_expect_str_eq(actual, "[redacted]");
}

Test(execute, a_message_that_breaks_its_contract_is_red_though_nobody_asked)
{
    cr_expect_eq(run("When a offends\nThen a count == 1"), VERDICT_FAILED);
    cr_expect_str_eq(expected, "the law");
    cr_expect_str_eq(actual, "/a: is missing");
    cr_expect(strstr(error_text, "message 1 of a (x) breaks its contract"), "%s", error_text);
    cr_expect_eq(outcome.contracts_violated, 1);
    cr_expect_eq(outcome.steps[VERDICT_SKIPPED], 1);
}

Test(execute, a_step_of_the_actor_answers_for_its_messages_and_does_not_wait_on)
{
    cr_expect_eq(run("Given actor b is echo\nWhen a offends for b\nAnd a says x\nThen a receives "
                     "\"x\"\nAnd within 1m b receives \"never\"\nAnd a count == 1"),
                 VERDICT_FAILED);
    cr_expect_eq(outcome.steps[VERDICT_PASSED], 5, "only the step of b is red");
    cr_expect_eq(outcome.steps[VERDICT_SKIPPED], 1);
    cr_expect(strstr(error_text, "a service -> echo -> b: /a: is missing"), "%s", error_text);
    cr_expect_lt(outcome.duration_us, 30000000);
}

Test(execute, a_message_that_no_step_answers_for_makes_the_scenario_red)
{
    cr_expect_eq(run("Given actor b is echo\nWhen a offends for b\nAnd a says x"), VERDICT_FAILED);
    cr_expect_eq(outcome.steps[VERDICT_PASSED], 4, "every step is green");
    cr_expect_eq(outcome.contracts_violated, 1);
}

/* ---- polling ---- */

Test(execute, a_pulled_value_is_asked_for_until_it_is_there)
{
    cr_expect_eq(
        run("Then within 5s a counts until json \"$.n\" == 4 and sequence >= 4\nAnd a json "
            "\"$.n\" == 4\nAnd a counts from 10 until json \"$.n\" exists"),
        VERDICT_PASSED,
        "%s: %s, not %s",
        error_text,
        actual,
        expected);
    cr_expect_eq(tries, 1, "of the last step: the first answer was it");
}

Test(execute, tries_that_found_nothing_new_are_only_counted)
{
    cr_expect_eq(run("Then within 20s a counts until json \"$.n\" == 9"), VERDICT_PASSED);
    cr_expect_eq(tries, 9);
    cr_expect_eq(
        messages, 14, "six kinds of answer and the last, each with its question: %zu", messages);
    cr_expect_eq(step_messages, 14);
    cr_expect_eq(run("Then within 20s a counts until json \"$.half\" == 4"), VERDICT_PASSED);
    cr_expect_eq(tries, 8);
    cr_expect_eq(messages, 10, "n = 1, 2, 4, 6 and 8: %zu", messages);
    cr_expect_eq(outcome.messages, 10);
}

Test(execute, a_poll_that_fails_says_what_the_last_answer_was)
{
    cr_expect_eq(run("Then within 200ms a counts until json \"$.n\" == nine and sequence > 1"),
                 VERDICT_FAILED);
    cr_expect_str_eq(expected, "json $.n == nine, sequence > 1 within 200 ms");
    char said[80];
    snprintf(said, sizeof said, "json $.n is %zu; %zu tries", tries, tries);
    cr_expect(strstr(actual, said), "%s, not %s", actual, said);
    cr_expect(strstr(actual, "last answer: count"), "%s", actual);
    cr_expect(strstr(error_text, "never answered as it should"), "%s", error_text);
    cr_expect(strstr(error_text, "a was asked"), "%s", error_text);
    cr_expect_gt(tries, 3);
    cr_expect_lt(tries, 40, "it backs off");
}

Test(execute, nobody_there_is_a_try_too)
{
    cr_expect_eq(run("Then within 5s a counts refusing 2 until json \"$.n\" == 5"), VERDICT_PASSED);
    cr_expect_eq(tries, 5);
    cr_expect_eq(run("Then within 50ms a counts refusing 1 until json \"$.n\" == 5"),
                 VERDICT_FAILED);
    cr_expect(strstr(actual, "no answer: nobody there"), "%s", actual);
    cr_expect(strstr(error_text, "no answer at all"), "%s", error_text);
}

Test(execute, a_poll_ends_at_an_answer_that_breaks_its_contract)
{
    cr_expect_eq(run("Then within 1m a counts offends 3 until json \"$.n\" == 70"), VERDICT_FAILED);
    cr_expect_eq(tries, 3);
    cr_expect(strstr(actual, "/n: is wrong"), "%s", actual);
    cr_expect_eq(outcome.contracts_violated, 1);
}

Test(execute, a_fault_of_the_lab_ends_a_poll)
{
    cr_expect_eq(run("Then within 1m a counts until sequence < ${a.url}"), VERDICT_BROKEN);
    cr_expect_eq(tries, 1);
}

Test(execute, what_is_expected_of_a_secret_is_not_said_either)
{
    cr_expect_eq(run("When a says x\n\"\"\"json\n{ \"secret\": \"whsec_1\", \"a\": { \"token\": "
                     "\"tok_1\" } }\n\"\"\"\nThen a receives \"x\"\nAnd save s from a json "
                     "\"$.secret\"\nAnd a json \"$.a\" == ${s}"),
                 VERDICT_FAILED);
    cr_expect_str_eq(actual, "{\"token\":\"[redacted]\"}");
    cr_expect_eq(
        run("When a says x\n\"\"\"json\n{ \"secret\": \"whsec_1\" }\n\"\"\"\nThen a "
            "receives \"x\"\nAnd save s from a json \"$.secret\"\nWhen a says y\n\"\"\"json\n"
            "{ \"secret\": \"whsec_2\" }\n\"\"\"\nThen within 5ms a receives json "
            "\"$.secret\" == ${s}"),
        VERDICT_FAILED);
    cr_expect(!strstr(actual, "whsec") && !strstr(expected, "whsec"), "%s, %s", actual, expected);
}

Test(execute, a_full_recording_is_the_labs_limit_whatever_the_step_says)
{
    cr_expect_eq(run("When a floods"), VERDICT_BROKEN);
    cr_expect(strstr(error_text, "recording of this scenario is full"), "%s", error_text);
    cr_expect_eq(outcome.messages, 100000);
}

Test(execute, what_people_read_names_no_secret_in_a_text)
{
    cr_expect_eq(
        run("When a says \"GET /x?token=abc1\"\nThen a receives \"GET /x?token=abc1\"\nAnd a "
            "type == \"GET /y?token=abc2\""),
        VERDICT_FAILED);
    cr_expect_str_eq(actual, "GET /x?token=[redacted]");
    cr_expect(!strstr(expected, "abc2"), "%s", expected);
}

Test(execute, an_answer_says_more_than_a_try_that_the_deadline_ended)
{
    cr_expect_eq(run("Then within 200ms a counts stalling 4 until json \"$.n\" == nine"),
                 VERDICT_FAILED);
    cr_expect_eq(tries, 4);
    cr_expect_str_eq(
        actual,
        "json $.n is 3; 4 tries, the last 1 alike but for one that the deadline ended; "
        "last answer: count");
    cr_expect_eq(run("When a counts\nThen within 30ms a counts refusing 1 until sequence == 9"),
                 VERDICT_FAILED);
    cr_expect(!strstr(actual, "last answer"), "that of another step is none: %s", actual);
}

Test(execute, what_the_lab_saw_meanwhile_is_said_when_nothing_arrived)
{
    cr_expect_eq(run("When a notes\nThen within 5ms a receives \"x\""), VERDICT_FAILED);
    cr_expect_str_eq(actual, "nothing arrived; the connection broke (note 1)");
}
