#include "crew.h"

#include "testing_protocol.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SCENARIOS_MAX = 64 };
static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
static struct bv_arena *arena;
static struct plan *plan;
static struct schedule schedule;

/* What the hooks saw. */
static struct seen {
    pthread_mutex_t lock;
    size_t running;
    size_t most;
    size_t begun;
    size_t beside_isolated;
    bool isolated;
    enum crew_company company;
    enum verdict verdicts[SCENARIOS_MAX]; /* by number - 1 */
    char errors[SCENARIOS_MAX][400];
    int stop_after; /* 0: never */
    int interrupt_fd;
    size_t interrupt_at; /* scenarios that run; 0: never */
} seen;

struct scene {
    const struct schedule_job *job;
};

static void
on_end(void *argument, const struct plan_scenario *scenario, const struct scenario_outcome *outcome)
{
    struct scene *scene = argument;
    (void)scenario;
    seen.verdicts[scene->job->number - 1] = outcome->verdict;
    snprintf(seen.errors[scene->job->number - 1],
             sizeof seen.errors[0],
             "%s",
             outcome->error ? outcome->error : "");
}

static int begins(void *argument,
                  const struct schedule_job *job,
                  enum crew_company company,
                  struct execute_listener *ret_listener)
{
    (void)argument;
    struct scene *scene = malloc(sizeof *scene);
    cr_assert(scene);
    scene->job = job;
    *ret_listener = (struct execute_listener){.argument = scene, .scenario_ends = on_end};
    pthread_mutex_lock(&seen.lock);
    bool isolated =
        job->scenario->tag_count && bv_bytes_equal(job->scenario->tags[0], BV_BYTES("@isolated"));
    seen.beside_isolated += seen.running && (isolated || seen.isolated);
    seen.isolated = isolated;
    seen.begun++;
    seen.running++;
    seen.most = seen.running > seen.most ? seen.running : seen.most;
    seen.company = company;
    uint64_t one = 1;
    if (seen.interrupt_at && seen.running == seen.interrupt_at)
        cr_assert_eq(write(seen.interrupt_fd, &one, sizeof one), sizeof one);
    pthread_mutex_unlock(&seen.lock);
    return 0;
}

static int
ends(void *argument, const struct schedule_job *job, const struct execute_listener *listener)
{
    (void)argument, (void)job;
    free(listener->argument);
    pthread_mutex_lock(&seen.lock);
    seen.running--;
    bool stop = seen.stop_after && --seen.stop_after == 0;
    pthread_mutex_unlock(&seen.lock);
    return stop ? CREW_STOP : 0;
}

/* Runs every scenario of the text, the first line of which is the feature's. */
static int run(const char *text, size_t jobs)
{
    static const struct bv_protocol *const protocols[] = {&testing_protocol};
    struct plan_tables tables = {protocols, 1, NULL, NULL, 0, NULL, 0};
    struct schedule_job list[SCENARIOS_MAX];
    struct bv_error error = {0};
    cr_assert_eq(bv_arena_open(64 << 20, &arena), 0);
    int rc = plan_make(arena, &tables, "x.feature", bv_arena_copy(arena, bv_bytes_of(text)), &plan);
    cr_assert_eq(rc, 0, "%s", plan->diagnostics[0].text);
    for (size_t i = 0; i < plan->scenario_count; i++)
        list[i] = (struct schedule_job){.plan = plan, .scenario = &plan->scenarios[i]};
    cr_assert_eq(schedule_make(arena, list, plan->scenario_count, NULL, &schedule, &error), 0);
    uint64_t seed = 1;
    struct runner_lab_config lab = {.env = &env, .run = "RUN", .seed = &seed};
    seen.interrupt_fd = eventfd(0, EFD_CLOEXEC);
    struct crew_config config = {
        .lab = &lab,
        .jobs = jobs,
        .interrupt_fd = seen.interrupt_fd,
        .hooks = {NULL, begins, ends, NULL}
    };
    rc = crew_run(&config, &schedule, &error);
    close(seen.interrupt_fd);
    cr_expect_eq(seen.running, 0);
    return rc;
}

#define MEETS(name, barrier)                                                                       \
    "Scenario: " name "\nGiven actor a is echo\nAnd barrier \"" barrier "\" within 20s\n"
#define QUICK(name) "Scenario: " name "\nGiven actor a is echo\nWhen a says x\nThen a count == 1\n"

Test(crew, one_job_runs_one_after_the_other_alone)
{
    cr_expect_eq(run("Feature: f\n" QUICK("a") QUICK("b") QUICK("c"), 1), 0);
    cr_expect_eq(seen.most, 1);
    cr_expect_eq(seen.begun, 3);
    cr_expect_eq(seen.company, CREW_ALONE);
}

Test(crew, parties_of_a_barrier_run_together_whatever_the_jobs)
{
    cr_expect_eq(run("Feature: f\n" MEETS("a", "m") QUICK("q") MEETS("b", "m") MEETS("c", "m"), 1),
                 0);
    cr_expect_eq(seen.most, 3);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(seen.verdicts[i], VERDICT_PASSED, "%s", seen.errors[i]);
    cr_expect_eq(schedule.jobs[3].scenario, &plan->scenarios[1], "the party runs before the other");
}

Test(crew, never_more_run_than_jobs)
{
    cr_expect_eq(run("Feature: f\n" QUICK("a") QUICK("b") MEETS("c", "m") MEETS("d", "m") QUICK("e")
                         QUICK("f") QUICK("g") QUICK("h"),
                     2),
                 0);
    cr_expect_leq(seen.most, 2);
    cr_expect_eq(seen.begun, 8);
}

Test(crew, a_party_that_fails_before_a_barrier_releases_the_others)
{
    cr_expect_eq(run("Feature: f\n" MEETS("waits", "m") "Scenario: fails\nGiven actor a is echo\n"
                                                        "When a refuses\nThen barrier m\n",
                     1),
                 0);
    cr_expect_eq(seen.verdicts[0], VERDICT_FAILED);
    cr_expect_str_eq(seen.errors[0],
                     "line 4: barrier 'm': scenario \"fails\" (line 5) ended before it");
    cr_expect_eq(seen.verdicts[1], VERDICT_FAILED);
}

Test(crew, a_party_that_does_not_come_in_time_turns_the_others_red)
{
    cr_expect_eq(run("Feature: f\nScenario: waits\nGiven barrier m within 10ms\nScenario: late\n"
                     "Given actor a is echo\nThen never within 100ms a receives\nThen barrier m\n",
                     1),
                 0);
    cr_expect_str_eq(seen.errors[0],
                     "line 3: barrier 'm': scenario \"late\" (line 4) did not come within 10 ms");
    cr_expect_eq(seen.verdicts[1], VERDICT_FAILED, "who gave up does not count as arrived");
}

Test(crew, a_barrier_named_again_is_met_again)
{
    cr_expect_eq(run("Feature: f\nScenario: a\nGiven barrier m\nAnd barrier m\nScenario: b\nGiven "
                     "barrier m\nAnd barrier m\n",
                     1),
                 0);
    cr_expect_eq(seen.verdicts[0], VERDICT_PASSED, "%s", seen.errors[0]);
    cr_expect_eq(seen.verdicts[1], VERDICT_PASSED, "%s", seen.errors[1]);
}

Test(crew, nothing_runs_beside_an_isolated_scenario)
{
    cr_expect_eq(run("Feature: f\n" QUICK("a") QUICK("b") "@isolated\n" QUICK("c") QUICK("d")
                         QUICK("e") "@isolated\n" QUICK("g"),
                     4),
                 0);
    cr_expect_eq(seen.beside_isolated, 0);
    cr_expect_eq(seen.begun, 6);
}

Test(crew, a_hook_that_says_stop_starts_no_more)
{
    seen.stop_after = 2;
    cr_expect_eq(run("Feature: f\n" QUICK("a") QUICK("b") QUICK("c") QUICK("d"), 1), 0);
    cr_expect_eq(seen.begun, 2);
}

Test(crew, an_interrupt_ends_waits_and_barriers_at_once, .timeout = 30)
{
    seen.interrupt_at = 3;
    cr_expect_eq(run("Feature: f\nScenario: a\nGiven actor a is echo\nThen never within 2m a "
                     "receives\n" MEETS("b", "m") "Scenario: c\nGiven actor a is echo\nThen within "
                                                  "2m a receives \"x\"\nAnd barrier m\n" QUICK("d"),
                     3),
                 CREW_INTERRUPTED);
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(seen.verdicts[i], VERDICT_BROKEN, "%zu: %s", i, seen.errors[i]);
    cr_expect_eq(seen.begun, 3);
}

Test(crew, what_a_scenario_is_called_does_not_depend_on_the_others)
{
    static const char text[] =
        "Feature: f\nScenario: a\nGiven actor a is echo\nWhen a says \"${run}\"\nThen a receives "
        "\"RUN-1\"\nScenario: b\nGiven actor a is echo\nWhen a says \"${run} ${run.id}\"\nThen a "
        "receives \"RUN-2 RUN\"\n";
    cr_expect_eq(run(text, 2), 0);
    cr_expect_eq(seen.verdicts[0], VERDICT_PASSED, "%s", seen.errors[0]);
    cr_expect_eq(seen.verdicts[1], VERDICT_PASSED, "%s", seen.errors[1]);
}
