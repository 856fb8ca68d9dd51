/* What crosses threads in a run: many scenarios on eight workers, with barriers among them, write
 * results and console lines; afterwards the lines of each scenario stand together in results.jsonl,
 * also those that did not fit in memory, and totals and junit.xml are whole. Plain program for the
 * thread sanitizer, since Criterion's process model aborts under it; exit status 0 is success.
 * Writes below the working folder. */
#include "console.h"
#include "bv/check.h"
#include "crew.h"
#include "results.h"
#include "testing_protocol.h"
#include "tokens.h"
#include "bv/fs.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    JOBS = 8,
    PLAIN = 120,
    PAIRS = 20,
    RED_PAIRS = 10, /* one waits at a barrier, the other ends before it */
    BIG = 2,
    TOTAL = PLAIN + 2 * PAIRS + 2 * RED_PAIRS + BIG
};

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct run {
    struct results *results;
    struct console console;
};
struct scene {
    struct results_scenario *results;
    struct console_scenario *console;
};

static void on_scenario(void *argument,
                        const struct plan_scenario *scenario,
                        const struct bv_lab *lab,
                        int64_t start_us)
{
    struct scene *scene = argument;
    results_scenario(scene->results, scenario, lab, start_us);
}

static void on_actor(void *argument, const struct plan_step *step, int64_t at_us)
{
    struct scene *scene = argument;
    results_actor(scene->results, step, at_us);
}

static void on_message(void *argument, const struct bv_message *message)
{
    struct scene *scene = argument;
    results_message(scene->results, message);
}

static void on_step(void *argument,
                    const struct plan_step *step,
                    size_t index,
                    const struct step_outcome *outcome,
                    struct bv_recording *recording)
{
    struct scene *scene = argument;
    results_step(scene->results, step, index, outcome);
    console_step(scene->console, step, outcome, recording);
}

static void
on_end(void *argument, const struct plan_scenario *scenario, const struct scenario_outcome *outcome)
{
    struct scene *scene = argument;
    results_scenario_end(scene->results, scenario, outcome, "again");
    console_scenario_end(scene->console, outcome, "again");
}

static int begins(void *argument,
                  const struct schedule_job *job,
                  enum crew_company company,
                  struct execute_listener *ret_listener)
{
    struct run *run = argument;
    struct scene *scene = calloc(1, sizeof *scene);
    struct results_place place = {job->plan, 1, job->number};
    CHECK(scene && company == CREW_TOGETHER);
    CHECK(results_scenario_open(run->results, &place, RESULTS_BLOCK, &scene->results) == 0);
    CHECK(console_scenario(
              &run->console, job->plan, job->scenario, CONSOLE_BLOCK, &scene->console) == 0);
    *ret_listener =
        (struct execute_listener){scene, on_scenario, NULL, on_actor, on_message, on_step, on_end};
    return 0;
}

static int
ends(void *argument, const struct schedule_job *job, const struct execute_listener *listener)
{
    struct scene *scene = listener->argument;
    (void)argument, (void)job;
    results_scenario_close(&scene->results);
    console_scenario_close(&scene->console);
    free(scene);
    return 0;
}

static void write_story(struct bv_buf *text)
{
    (void)bv_buf_text(text, "Feature: many\n");
    for (int i = 0; i < PLAIN; i++)
        (void)bv_buf_format(text,
                            "Scenario: plain %d\nGiven actor a is echo\nWhen a says x for key "
                            "${uuid}\nThen a receives \"x\"\nAnd a count == 1\n",
                            i);
    for (int i = 0; i < 2 * PAIRS; i++)
        (void)bv_buf_format(
            text,
            "Scenario: party %d\nGiven actor a is echo\nAnd barrier \"b%d\"\nWhen a "
            "says x\nThen a count == 1\n",
            i,
            i / 2);
    for (int i = 0; i < RED_PAIRS; i++)
        (void)bv_buf_format(
            text,
            "Scenario: left %d\nGiven barrier \"r%d\"\nScenario: ends %d\nGiven actor "
            "a is echo\nWhen a refuses\nThen barrier \"r%d\"\n",
            i,
            i,
            i,
            i);
    for (int i = 0; i < BIG; i++) {
        (void)bv_buf_format(text, "Scenario: big %d\nGiven actor a is echo\n", i);
        for (int m = 0; m < 8; m++)
            (void)bv_buf_text(
                text, "When a says x\n\"\"\"json\n{ \"x\": \"${filler.200000}\" }\n\"\"\"\n");
    }
}

/* Every line between a scenario's first and last is its own. */
static void check_lines(const char *folder)
{
    char path[BV_PATH_MAX];
    char *line = NULL;
    size_t capacity = 0;
    size_t ended = 0;
    char current[64] = "";
    CHECK(bv_path(path, NULL, "%s/results.jsonl", folder) == 0);
    FILE *file = fopen(path, "re");
    CHECK(file);
    while (getline(&line, &capacity, file) > 0) {
        char record[32] = "";
        char id[32] = "";
        (void)sscanf(line, "{\"record\":\"%31[^\"]\"", record);
        const char *scenario =
            strstr(line, strcmp(record, "scenario") == 0 ? "\"id\":\"" : "\"scenario\":\"");
        CHECK(line[strlen(line) - 2] == '}');
        if (scenario)
            (void)sscanf(strchr(scenario, ':'), ":\"%31[^\"]\"", id);
        if (strcmp(record, "scenario") == 0) {
            CHECK(!current[0]);
            snprintf(current, sizeof current, "%s", id);
        } else if (strcmp(record, "scenario-end") == 0) {
            CHECK(strcmp(current, id) == 0);
            current[0] = '\0';
            ended++;
        } else if (strcmp(record, "actor") == 0 || strcmp(record, "message") == 0) {
            CHECK(strcmp(current, id) == 0);
        }
    }
    CHECK(ended == TOTAL);
    free(line);
    fclose(file);
}

int main(void)
{
    static const char folder[] = "crew-threads";
    static const struct bv_protocol *const protocols[] = {&testing_protocol};
    static struct schedule_job list[TOTAL];
    struct plan_tables tables = {protocols, 1, NULL, NULL, 0, NULL, 0};
    struct bv_buf text = {.max = 1 << 20};
    struct bv_error error = {0};
    struct bv_arena *arena = NULL;
    struct plan *plan = NULL;
    struct schedule schedule;
    struct run run = {0};
    struct tokens *tokens = NULL;
    uint64_t seed = 1;
    const char *files[] = {"many.feature"};
    CHECK(bv_fs_mkdirs(folder, 0755, &error) == 0);
    write_story(&text);
    CHECK(bv_arena_open(64 << 20, &arena) == 0 && tokens_open(&tokens) == 0);
    CHECK(plan_make(arena, &tables, files[0], bv_buf_view(&text), &plan) == 0);
    CHECK(plan->scenario_count == TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        list[i] = (struct schedule_job){.plan = plan, .scenario = &plan->scenarios[i]};
    CHECK(schedule_make(arena, list, TOTAL, NULL, &schedule, &error) == 0);
    struct results_run record = {.folder = folder,
                                 .run = "r",
                                 .story = "many",
                                 .files = files,
                                 .file_count = 1,
                                 .reproduce = "again",
                                 .scenario_count = TOTAL,
                                 .jobs = JOBS,
                                 .order = "defined",
                                 .seed = 1};
    CHECK(results_open(&env, &record, &run.results, &error) == 0);
    FILE *silent = fopen("/dev/null", "we");
    console_open(&run.console, silent);
    struct runner_lab_config lab = {.env = &env, .run = "RUN", .tokens = tokens, .seed = &seed};
    struct crew_config config = {
        .lab = &lab, .jobs = JOBS, .interrupt_fd = -1, .hooks = {&run, begins, ends, NULL}
    };
    CHECK(crew_run(&config, &schedule, &error) == 0);
    CHECK(results_totals(run.results)->scenarios[VERDICT_FAILED] == 2 * RED_PAIRS);
    CHECK(results_totals(run.results)->scenarios[VERDICT_PASSED] == TOTAL - 2 * RED_PAIRS);
    CHECK(results_end(run.results, 1, NULL) == 0);
    check_lines(folder);
    results_close(&run.results);
    console_close(&run.console);
    fclose(silent);
    tokens_close(&tokens);
    bv_buf_release(&text);
    bv_arena_close(&arena);
    return 0;
}
