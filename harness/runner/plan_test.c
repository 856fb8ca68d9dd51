#include "plan.h"

#include "testing_protocol.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct bv_arena *arena;
static struct contracts *contracts;
static struct plan *plan;

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

TestSuite(plan, .init = setup, .fini = teardown);

static int make(const char *text)
{
    static const struct bv_protocol *const protocols[] = {&testing_protocol};
    static const char *const services[] = {"order", "inventory"};
    static const char *const databases[] = {"orders", "auth"};
    static struct plan_tables tables;
    tables = (struct plan_tables){protocols, 1, contracts, services, 2, databases, 2};
    return plan_make(arena, &tables, "x.feature", bv_bytes_of(text), &plan);
}

/* The steps of one scenario after `actor a is echo`. */
static int steps(const char *text)
{
    char file[4096];
    snprintf(file, sizeof file, "Feature: f\nScenario: s\nGiven actor a is echo\n%s\n", text);
    return make(file);
}

static void refuses(const char *text, const char *what)
{
    cr_assert_eq(steps(text), PLAN_REFUSED, "%s", text);
    cr_expect(strstr(plan->diagnostics[0].text, what), "%s: %s", text, plan->diagnostics[0].text);
}

Test(plan, resolves_every_form_of_step)
{
    int rc = steps("When a says \"hello\" numbered 3 for key k\n"
                   "Then a type == hello and key != x and json \"$.a\" exists\n"
                   "And save v from a json \"$.a\"\n"
                   "And a receives \"hello\" for key ${v} with json \"$.a\" == 1 and signed\n"
                   "And within 5s a receives exactly 2 type == hello\n"
                   "And never within 10ms a receives \"x\"\n"
                   "And within 1s a receives in order json \"$.a\" for key k\n | 1 | 2 |\n"
                   "* a says ${a.url}");
    cr_assert_eq(rc, 0, "%s", plan->diagnostics[0].text);
    const struct plan_step *list = plan->scenarios[0].steps;
    cr_assert_eq(plan->scenarios[0].step_count, 9);
    cr_expect_eq(list[0].kind, PLAN_ACTOR);
    cr_expect_eq(list[1].kind, PLAN_VERB);
    cr_expect(list[1].arguments[1].present && list[1].arguments[2].present);
    cr_expect_eq(list[2].filter_count, 3);
    cr_expect_eq(list[3].kind, PLAN_SAVE);
    cr_expect_eq(list[4].filter_count, 2);
    cr_expect_eq(list[4].within_ms, 5000);
    cr_expect_eq(list[5].exactly, 2);
    cr_expect_eq(list[6].wait, PLAN_NEVER);
    cr_expect_eq(list[7].wait, PLAN_ORDER);
    cr_assert_not_null(list[7].order_probe);
    cr_expect_eq(list[8].type, GHERKIN_OUTCOME, "* takes the type of the step before");
}

Test(plan, names_the_nearest_known_word)
{
    refuses("Then b type == x", "unknown actor \"b\"");
    refuses("When a sais x", "did you mean \"says\"?");
    refuses("When a says x for kex y", "unknown word \"for\"");
    refuses("Then a typ == x", "did you mean \"type\"?");
    refuses("Then a type = x", "did you mean \"==\"?");
    refuses("Given actor b is ecko", "did you mean \"echo\"?");
    refuses("And save order from a key\nWhen a says ${ordr}",
            "${ordr} is not set before this step: did you mean ${order}?");
}

Test(plan, refuses_what_cannot_be_run)
{
    refuses("Given actor a is echo", "declared already");
    refuses("Given actor save is echo", "no name for an actor");
    refuses("When a says", "type is missing");
    refuses("When a says x numbered y", "is a number");
    refuses("When a says x numbered 1 numbered 2", "given twice");
    refuses("When a refuses\n\"\"\"\nx\n\"\"\"", "takes no doc string");
    refuses("When a says x\n\"\"\"json\n{ \"a\": ${run} \n\"\"\"", "no JSON");
    refuses("Then within 5 a receives x", "wants a duration");
    refuses("Then within 5s a receives in order", "needs a table");
    refuses("Then a json \"a.b\" == 1", "begins with $");
    refuses("Then a receives \"ecommerce.order.payed.v1\"",
            "did you mean \"ecommerce.order.paid.v1\"?");
    refuses("Then a type == x y", "too much here");
    refuses("Then a type", "unknown operator");
    refuses("When a says \"x", "not closed");
    refuses("When a says ${x", "${ needs a name");
}

Test(plan, a_variable_stands_for_text_or_number_in_json)
{
    cr_expect_eq(steps("When a says x\n\"\"\"json\n{ \"a\": ${run}, \"b\": \"${run}\" }\n\"\"\""),
                 0,
                 "%s",
                 plan->diagnostics[0].text);
}

Test(plan, one_mistake_gives_one_message)
{
    cr_assert_eq(steps("And save v from a kez\nWhen a says ${v}\nWhen a says ${v}"), PLAN_REFUSED);
    cr_expect_eq(plan->diagnostic_count, 1);
}

Test(plan, unrolls_outlines_and_backgrounds)
{
    int rc = make("@f\nFeature: f\nBackground:\nGiven actor a is echo\nRule: r\nBackground:\nWhen "
                  "a says first\n"
                  "@s\nScenario Outline: with <x>\nWhen a says <x>\n\"\"\"\n<x> "
                  "<y>\n\"\"\"\n@e\nExamples:\n| x | y |\n| 1 | 2 |\n| 3 | 4 |\n");
    cr_assert_eq(rc, 0, "%s", plan->diagnostics[0].text);
    cr_assert_eq(plan->scenario_count, 2);
    const struct plan_scenario *scenario = &plan->scenarios[1];
    cr_expect(bv_bytes_equal(scenario->name, BV_BYTES("with 3")));
    cr_expect_eq(scenario->tag_count, 3);
    cr_assert_eq(scenario->step_count, 3);
    cr_expect(scenario->steps[1].background);
    cr_expect(bv_bytes_equal(scenario->steps[2].source->doc.content, BV_BYTES("3 4")));
    cr_expect_eq(scenario->line, 18);
}

Test(plan, says_where_the_gherkin_is_wrong)
{
    cr_assert_eq(make("Feature: f\nScenario: s\nGiven x\nnonsense\n"), PLAN_REFUSED);
    cr_expect_eq(plan->diagnostics[0].line, 4);
    cr_assert_eq(make(""), PLAN_REFUSED);
    cr_expect(strstr(plan->diagnostics[0].text, "no scenario"));
}

Test(plan, a_barrier_needs_somebody_to_meet)
{
    cr_expect_eq(make("Feature: f\nScenario: s\nGiven barrier \"all here\"\nScenario: t\nGiven "
                      "barrier \"all here\" within 2s\n"),
                 0);
    cr_expect_str_eq(plan->scenarios[1].steps[0].barrier, "all here");
    cr_expect_eq(plan->scenarios[1].steps[0].within_ms, 2000);
    static const struct {
        const char *step;
        const char *says;
    } rows[] = {
        {"barrier \"al here\"",
         "no other scenario names the barrier \"al here\": did you mean \"all here\"?"},
        {"barrier",               "a name"                                            },
        {"barrier ${run}",        "the name has no variables"                         },
        {"barrier x within soon", "\"within\" wants a duration"                       },
        {"barrier x and more",    "\"and\" is too much here"                          },
        {"barier \"all here\"",   "did you mean \"barrier\"?"                         }
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char text[400];
        snprintf(text,
                 sizeof text,
                 "Feature: f\nScenario: s\nGiven barrier \"all here\"\nScenario: t\nGiven barrier "
                 "\"all here\"\nScenario: u\nGiven %s\n",
                 rows[i].step);
        cr_expect_eq(make(text), PLAN_REFUSED, "%s", rows[i].step);
        cr_expect(strstr(plan->diagnostics[0].text, rows[i].says),
                  "%s: %s",
                  rows[i].step,
                  plan->diagnostics[0].text);
    }
}

Test(plan, a_verb_that_asks_may_be_asked_until)
{
    cr_assert_eq(steps("Then within 2s a counts from 3 until json \"$.n\" == 4 and sequence > 1\n"
                       "And a counts until sequence exists"),
                 0,
                 "%s",
                 plan->diagnostics[0].text);
    const struct plan_step *list = plan->scenarios[0].steps;
    cr_expect_eq(list[1].kind, PLAN_POLL);
    cr_expect_eq(list[1].within_ms, 2000);
    cr_expect_eq(list[1].filter_count, 2);
    cr_expect(list[1].arguments[0].present);
    cr_expect_eq(list[2].kind, PLAN_POLL);
    cr_expect_eq(list[2].within_ms, 5000);
    static const struct {
        const char *step;
        const char *says;
    } rows[] = {
        {"within 2s a counts",                           "until when?"                                    },
        {"within 2s a says x",                           "\"within\" is for what is waited for"           },
        {"a says x until type == x",
         "is not asked again and again: \"until\" goes with \"counts\""                                   },
        {"within 2s a says x until type == x",           "is not asked again and again"                   },
        {"a counts until",                               "unknown condition of echo"                      },
        {"a counts until sequnce == 1",                  "did you mean \"sequence\"?"                     },
        {"a counts until sequence = 1",                  "unknown operator"                               },
        {"a counts until sequence == 1 from 3",          "\"from\" is too much here"                      },
        {"a counts unitl sequence == 1",                 "unknown word \"unitl\": did you mean \"until\"?"},
        {"within 2s a sequence == 1",                    "expected \"receives\""                          },
        {"never within 2s a counts until sequence == 1", "expected \"receives\""                          },
        {"a counts until json \"$.[\" == 1",             "at column 3"                                    },
        {"actor b is echo until sequence == 1",          "\"until\" is too much here"                     },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char text[200];
        snprintf(text, sizeof text, "Then %s", rows[i].step);
        refuses(text, rows[i].says);
    }
}

/* First diagnostic of the steps: where and what. */
static void says_at(const char *text, uint32_t line, uint32_t column, const char *what)
{
    refuses(text, what);
    cr_expect_eq(plan->diagnostics[0].line, line, "%s: line %u", text, plan->diagnostics[0].line);
    cr_expect_eq(
        plan->diagnostics[0].column, column, "%s: column %u", text, plan->diagnostics[0].column);
}

Test(plan, what_a_protocol_can_tell_is_told_at_its_place)
{
    says_at("Given actor b is echo in mood odd", 4, 31, "no such mood");
    says_at("When a says x numbered 13", 4, 24, "an unlucky number");
    says_at("When a lists\n  | 1 | 2 |\n  | ${run} | odd |", 6, 14, "no such cell");
    says_at("When a says x\n\"\"\"\n!\n\"\"\"", 5, 1, "do not shout");
    cr_expect_eq(steps("When a says x numbered ${run}\nAnd a lists\n| ${run} |"), 0, "unknown yet");
}

Test(plan, a_value_that_cannot_be_compared_is_told)
{
    says_at("Then a type matches \"([\"", 4, 21, "no extended expression");
    says_at("Then a sequence < seven", 4, 19, "compares numbers");
    says_at("Then a receives sequence >= x", 4, 29, "compares numbers");
    cr_expect_eq(steps("Then a sequence < ${run} and type matches \"^${run}(\""), 0, "unknown yet");
}

Test(plan, an_actor_that_comes_later_is_named)
{
    says_at("Then b count == 0\nGiven actor b is echo",
            4,
            6,
            "\"b\" is declared only later, at line 5");
}

Test(plan, grammar_names_every_verb_and_probe)
{
    static const struct bv_protocol *const protocols[] = {&testing_protocol};
    struct plan_tables tables = {protocols, 1, contracts, NULL, 0, NULL, 0};
    struct bv_buf text = {.max = 65536};
    cr_assert_eq(plan_print_grammar(&text, &tables), 0);
    (void)bv_buf_char(&text, '\0');
    cr_expect(strstr(text.data, "NAME says TEXT [for key TEXT] [numbered NUMBER]"));
    cr_expect(strstr(text.data, "NAME json PATH OP VALUE"));
    cr_expect(strstr(text.data, "${NAME.url}"));
    bv_buf_release(&text);
}
