/* Options, stack, run, report. What a scenario does is in execute.c, who runs when in crew.c. */
#include "scenario.h"

#include "console.h"
#include "crew.h"
#include "cucumber.h"
#include "databases.h"
#include "dry_run.h"
#include "interrupt.h"
#include "protocols.h"
#include "reproduce.h"
#include "results.h"
#include "run_folder.h"
#include "seed.h"
#include "stack.h"
#include "story_settings.h"
#include "summary.h"
#include "tokens.h"
#include "bv/breakage.h"
#include "bv/config.h"
#include "bv/process.h"
#include "bv/terminal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_PASSED, EXIT_RED, EXIT_LAB };
enum {
    SERVICES_MAX = 64,
    ARENA_BYTES_MAX = 256 << 20,
    FULL_BYTES = 65536,          /* less than that on a disk is none */
    SEED_DRAWN_MAX = 1000000000, /* one that people can type */
    DRY_RUN_BYTES_MAX = 64 << 20,
};

struct session {
    struct scenario_options options;
    struct bv_env env;
    struct bv_arena *arena;
    char root[BV_PATH_MAX];
    struct contracts *contracts;
    struct plan_tables tables;
    const char *services[SERVICES_MAX];
    struct story stories[SCENARIO_FILES_MAX];
    size_t story_count;
    const struct tag_expression *tags; /* NULL: any */
    struct schedule schedule;
    int64_t seed;
    uint64_t draws;          /* the seed of all but the order, see choose_seed */
    char name[16];           /* of the run's stack and folder, never the same */
    char run[RUN_NAME_SIZE]; /* folder name */
    char run_id[16];         /* ${run} without its number */
    char folder[BV_PATH_MAX];
    char reproduce[REPRODUCE_BYTES];
    char settings[512];              /* of the own stack: the planted bug, what stories want */
    const volatile int *interrupted; /* the signal that ends the run */
    int interrupt_fd;
    struct bv_stack *stack;
    struct results *results;
    struct spans *spans; /* of the own stack; NULL: none */
    int64_t boot_ms;
    struct console console;
    pthread_mutex_t lock; /* while scenarios run: guards what follows, and questions to the stack */
    bool page;            /* index.html was written */
    bool crashed;         /* a service ended by itself: red, whatever the steps say */
    struct bv_error error;
};

/* ---- selection ---- */

struct wanted {
    const char *names[PLAN_NEEDS_MAX];
    size_t count;
    bool all;
    size_t scenarios;
    size_t steps;
};

static void want(struct wanted *wanted, const struct plan_scenario *scenario)
{
    wanted->scenarios++;
    wanted->steps += scenario->step_count;
    wanted->all = wanted->all || scenario->needs_all;
    for (size_t n = 0; n < scenario->need_count; n++) {
        bool known = false;
        for (size_t w = 0; w < wanted->count; w++)
            known = known || strcmp(wanted->names[w], scenario->needs[n]) == 0;
        if (!known && wanted->count < PLAN_NEEDS_MAX)
            wanted->names[wanted->count++] = scenario->needs[n];
    }
}

static int read_tags(struct session *session)
{
    if (!session->options.tags)
        return 0;
    BV_TRY(tag_expression_parse(
        session->arena, bv_bytes_of(session->options.tags), &session->tags, &session->error));
    return tag_expression_check(session->tags, &session->error);
}

static int none_selected(struct session *session)
{
    for (size_t s = 0; s < session->story_count; s++)
        if (session->stories[s].line_count)
            return bv_fail(&session->error,
                           BV_E_NOT_FOUND,
                           "no scenario is selected: none%s stands at line %u of %s",
                           session->tags ? " with these tags" : "",
                           session->stories[s].lines[0],
                           session->stories[s].shown);
    return bv_fail(&session->error,
                   BV_E_NOT_FOUND,
                   "no scenario is selected: none has the tags %.80s (bv scenario --dry-run shows "
                   "the tags)",
                   session->options.tags ? session->options.tags : "");
}

/* Which scenarios run, and when. */
static int collect(struct session *session, struct wanted *wanted)
{
    struct seed_random random;
    struct bv_env shuffle = {session->env.clock, &random.random, NULL};
    size_t total = 0;
    size_t count = 0;
    for (size_t s = 0; s < session->story_count; s++)
        total += session->stories[s].plan->scenario_count;
    struct schedule_job *jobs = bv_arena_array(session->arena, struct schedule_job, total + 1);
    if (!jobs)
        return BV_E_NOMEM;
    for (size_t s = 0; s < session->story_count; s++) {
        const struct plan *plan = session->stories[s].plan;
        for (size_t i = 0; i < plan->scenario_count; i++) {
            if (!story_selects(&session->stories[s], &plan->scenarios[i], session->tags))
                continue;
            want(wanted, &plan->scenarios[i]);
            jobs[count++] =
                (struct schedule_job){.plan = plan, .scenario = &plan->scenarios[i], .story = s};
        }
    }
    if (!count)
        return none_selected(session);
    seed_init(&random, (uint64_t)session->seed, SEED_ORDER);
    return schedule_make(session->arena,
                         jobs,
                         count,
                         session->options.order == SCENARIO_RANDOM ? &shuffle : NULL,
                         &session->schedule,
                         &session->error);
}

/* ---- seed ---- */

static void draw_letters(const struct bv_env *env, char *out, size_t count)
{
    static const char letters[] = "ABCDEFGHJKMNPQRSTVWXYZ0123456789";
    for (size_t i = 0; i < count; i++)
        out[i] = letters[bv_random_below(env, sizeof letters - 1)];
    out[count] = '\0';
}

/* A stack that keeps running remembers the names of earlier runs, so on one the seed gives the
 * order alone. */
static void choose_seed(struct session *session)
{
    struct seed_random random;
    struct bv_env env = {session->env.clock, &random.random, NULL};
    session->seed = session->options.seed >= 0
                        ? session->options.seed
                        : (int64_t)bv_random_below(&session->env, SEED_DRAWN_MAX);
    session->draws = (uint64_t)session->seed;
    if (session->options.stack)
        session->draws = bv_random_u64(&session->env);
    seed_init(&random, session->draws, SEED_RUN);
    draw_letters(&env, session->run_id, 8);
    draw_letters(&session->env, session->name, 8);
}

/* ---- planted bugs ---- */

/* BREAK=NAME: every service of the stack gets it, and those that have the place are broken. */
static int plant(struct session *session)
{
    BV_TRY(bv_break_choose(getenv("BREAK"), &session->error));
    if (!bv_break_chosen())
        return 0;
    if (session->options.stack)
        return bv_fail(&session->error,
                       BV_E_INVALID,
                       "BREAK needs a stack of its own: leave --stack out, or start that one with "
                       "bv up --set all.BV_BREAK=%s",
                       bv_break_chosen());
    snprintf(session->settings, sizeof session->settings, "all.BV_BREAK=%s", bv_break_chosen());
    return 0;
}

/* The folder of results as people type it. */
static const char *shown_folder(const struct session *session)
{
    size_t size = strlen(session->root);
    bool inside =
        strncmp(session->folder, session->root, size) == 0 && session->folder[size] == '/';
    return session->folder + (inside ? size + 1 : 0);
}

/* ---- one scenario ---- */

/* What listens to a scenario that runs. */
struct scene {
    struct session *session;
    const struct schedule_job *job;
    struct results_scenario *results;
    struct console_scenario *console;
};

/* What the services have told of their work by now. */
static void drain_spans(struct session *session)
{
    struct span_record span;
    while (session->spans && spans_take(session->spans, &span))
        results_span(session->results, &span);
}

static void on_scenario(void *argument,
                        const struct plan_scenario *scenario,
                        const struct bv_lab *lab,
                        int64_t start_us)
{
    struct scene *scene = argument;
    results_scenario(scene->results, scenario, lab, start_us);
}

static void on_step_begins(void *argument, const struct plan_step *step)
{
    struct scene *scene = argument;
    console_step_begins(scene->console, step);
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

static void on_scenario_end(void *argument,
                            const struct plan_scenario *scenario,
                            const struct scenario_outcome *outcome)
{
    struct scene *scene = argument;
    struct session *session = scene->session;
    char reproduce[REPRODUCE_BYTES];
    reproduce_scenario(
        &session->stories[scene->job->story], &session->schedule, scene->job, reproduce);
    results_scenario_end(scene->results, scenario, outcome, reproduce);
    console_scenario_end(scene->console, outcome, reproduce);
}

/* A service that ended is the platform's failure; a server or the supervisor, which takes the
 * services along, the lab's. The stack's folder goes with the run, so the copy of the log is named.
 */
static int check_parts(struct session *session)
{
    const struct bv_stack_part *ended = NULL;
    if (!session->stack || *session->interrupted)
        return 0;
    BV_TRY(bv_stack_refresh(session->stack, &session->error));
    for (size_t i = 0; i < bv_stack_count(session->stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(session->stack, i);
        if (strcmp(part->state, "ended") == 0 && (!ended || part->kind == BV_STACK_SERVER))
            ended = part;
    }
    if (!ended)
        return 0;
    session->crashed = ended->kind == BV_STACK_SERVICE;
    (void)bv_fail(&session->error,
                  BV_E_UNAVAILABLE,
                  "%s: %s, see %s/logs/%s.log",
                  ended->name,
                  ended->ended,
                  shown_folder(session),
                  ended->name);
    return session->crashed ? CREW_STOP : BV_E_UNAVAILABLE;
}

static void close_scene(struct scene *scene)
{
    results_scenario_close(&scene->results);
    if (scene->console)
        console_scenario_close(&scene->console);
    free(scene);
}

static int begin_scene(void *argument,
                       const struct schedule_job *job,
                       enum crew_company company,
                       struct execute_listener *ret_listener)
{
    struct session *session = argument;
    struct scene *scene = calloc(1, sizeof *scene);
    struct results_place place = {job->plan, job->story + 1, job->number};
    if (!scene)
        return BV_E_NOMEM;
    scene->session = session;
    scene->job = job;
    int rc = results_scenario_open(session->results,
                                   &place,
                                   company == CREW_ALONE ? RESULTS_DIRECT : RESULTS_BLOCK,
                                   &scene->results);
    if (rc == 0)
        rc = console_scenario(&session->console,
                              job->plan,
                              job->scenario,
                              company == CREW_ALONE ? CONSOLE_DIRECT : CONSOLE_BLOCK,
                              &scene->console);
    if (rc < 0) {
        close_scene(scene);
        return rc;
    }
    *ret_listener = (struct execute_listener){
        scene, on_scenario, on_step_begins, on_actor, on_message, on_step, on_scenario_end};
    return 0;
}

static int
end_scene(void *argument, const struct schedule_job *job, const struct execute_listener *listener)
{
    struct session *session = argument;
    (void)job;
    close_scene(listener->argument);
    drain_spans(session);
    pthread_mutex_lock(&session->lock);
    int rc = session->crashed ? CREW_STOP : check_parts(session);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

/* Somebody waits for an answer of a service: without the stack it does not come. */
static void end_stuck(void *argument)
{
    struct session *session = argument;
    if (!session->stack || session->options.stack || session->options.keep_stack)
        return;
    if (bv_stack_stop(bv_stack_name(session->stack), NULL, NULL, NULL) < 0)
        bv_complain("the stack does not stop");
}

/* ---- stack ---- */

static void on_boot(void *argument, const struct bv_stack_event *event)
{
    struct session *session = argument;
    FILE *file = session->console.file;
    char ms[BV_HUMAN_SIZE];
    if (!file || !event->part[0])
        return;
    if (strcmp(event->state, "preparing") == 0 || strcmp(event->state, "ready") == 0 ||
        strcmp(event->state, "failed") == 0 || strcmp(event->state, "retry") == 0)
        fprintf(file,
                "  %-14s %-7s %8s  %s\n",
                event->part,
                event->state,
                bv_human_ms(event->ms, ms),
                event->text ? event->text : "");
    fflush(file);
}

static int announce(struct session *session, const struct wanted *wanted)
{
    struct bv_stack_needs needs;
    FILE *file = session->console.file;
    if (wanted->all)
        BV_TRY(bv_stack_resolve(NULL, 0, &needs, &session->error));
    else
        BV_TRY(bv_stack_resolve(wanted->names, wanted->count, &needs, &session->error));
    if (!file)
        return 0;
    fprintf(file,
            "%zu scenario%s, %zu steps",
            wanted->scenarios,
            wanted->scenarios == 1 ? "" : "s",
            wanted->steps);
    if (session->options.jobs > 1)
        fprintf(file, ", %lld at a time", (long long)session->options.jobs);
    fprintf(file,
            "; %sseed %lld\n",
            session->options.order == SCENARIO_RANDOM ? "random order, " : "",
            (long long)session->seed);
    if (session->options.stack || (!wanted->count && !wanted->all))
        return 0;
    fprintf(file, "starting");
    for (size_t i = 0; i < needs.count; i++)
        fprintf(file, "%s%s", i ? ", " : " ", needs.names[i]);
    fprintf(file,
            ": about %d MB of memory, %d MB of disk, %d ports\n",
            needs.memory_mb,
            needs.disk_mb,
            needs.ports);
    fflush(file);
    return 0;
}

static int check_stack(struct session *session, const struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->count; i++)
        if (!bv_stack_find(session->stack, wanted->names[i]))
            return bv_fail(&session->error,
                           BV_E_NOT_FOUND,
                           "stack %s has no %s",
                           bv_stack_name(session->stack),
                           wanted->names[i]);
    return 0;
}

static int get_stack(struct session *session, const struct wanted *wanted)
{
    if (session->options.stack) {
        BV_TRY(bv_stack_open(session->options.stack, &session->stack, &session->error));
        return check_stack(session, wanted);
    }
    if (!wanted->count && !wanted->all)
        return 0; /* only actors that need no stack */
    BV_TRY(spans_open(&session->env, &session->spans, &session->error));
    struct bv_stack_spec spec = {
        .name = session->options.keep_stack ? session->name : NULL,
        .wanted = wanted->all ? NULL : wanted->names,
        .wanted_count = wanted->all ? 0 : wanted->count,
        .life = session->options.keep_stack ? BV_STACK_DETACHED : BV_STACK_FOREGROUND,
        .otlp_url = spans_url(session->spans),
        .cancel = session->interrupted,
        .settings = session->settings[0] ? session->settings : NULL,
        .progress = on_boot,
        .progress_argument = session,
    };
    BV_TRY(bv_stack_up(&spec, &session->stack, &session->error));
    BV_TRY(spans_start(session->spans, &session->error)); /* threads only now: the stack forks */
    char ms[BV_HUMAN_SIZE];
    char memory[BV_HUMAN_SIZE];
    struct bv_stack_health usage = {0};
    bv_stack_usage(session->stack, &usage);
    if (session->console.file)
        fprintf(session->console.file,
                "ready in %s, %s of memory\n",
                bv_human_ms(bv_stack_boot_ms(session->stack), ms),
                bv_human_bytes(usage.pss_bytes, memory));
    return 0;
}

/* Logs go to the report before the stack's folder does. */
static void keep_logs(struct session *session)
{
    for (size_t i = 0; session->stack && i < bv_stack_count(session->stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(session->stack, i);
        char path[BV_PATH_MAX];
        char relative[80];
        if (!part->log || !part->log[0] ||
            bv_path(path, NULL, "%s/logs/%s.log", session->folder, part->name) < 0 ||
            bv_fs_link_or_copy(part->log, path, NULL) < 0)
            continue;
        snprintf(relative, sizeof relative, "logs/%.60s.log", part->name);
        results_log(session->results, part->name, path, relative);
    }
}

static void let_go(struct session *session)
{
    if (!session->stack)
        return;
    if (session->options.stack || session->options.keep_stack) {
        if (session->options.keep_stack && session->console.file)
            fprintf(session->console.file,
                    "the stack keeps running; stop it with: bv down --name %s\n",
                    bv_stack_name(session->stack));
        bv_stack_close(&session->stack);
    } else {
        (void)bv_stack_down(&session->stack, NULL);
    }
}

/* ---- report ---- */

static int write_cucumber(struct session *session, const char *commit)
{
    struct cucumber_file files[SCENARIO_FILES_MAX];
    struct bv_error error = {0};
    for (size_t i = 0; i < session->story_count; i++)
        files[i] = (struct cucumber_file){session->stories[i].path, session->stories[i].plan};
    struct cucumber_run run = {session->folder, commit, files, session->story_count};
    if (cucumber_write(&run, &error) == 0)
        return 0;
    return bv_fail(&session->error, BV_E_IO, "no cucumber.ndjson: %s", error.text);
}

static struct summary summary_of(const struct session *session, int status)
{
    return (struct summary){.totals = results_totals(session->results),
                            .status = status,
                            .scenario_count = session->schedule.job_count,
                            .run = session->run,
                            .seed = session->seed,
                            .boot_ms = session->boot_ms,
                            .folder = session->folder,
                            .shown = shown_folder(session),
                            .page = session->page};
}

/* ---- the run ---- */

static int run_scenarios(struct session *session)
{
    char contracts[BV_PATH_MAX];
    struct tokens *tokens = NULL;
    BV_TRY(bv_path(contracts, &session->error, "%s/contracts", session->root));
    BV_TRY(tokens_open(&tokens));
    struct runner_lab_config lab = {.env = &session->env,
                                    .stack = session->stack,
                                    .contracts = session->stack ? session->contracts : NULL,
                                    .contracts_folder = contracts,
                                    .run = session->run_id,
                                    .tokens = tokens,
                                    .seed = &session->draws};
    struct crew_config crew = {
        .lab = &lab,
        .jobs = (size_t)session->options.jobs,
        .interrupt_fd = session->interrupt_fd,
        .hooks = {session, begin_scene, end_scene, end_stuck}
    };
    struct bv_error error = {0};
    results_environment(session->results, session->stack);
    int rc = crew_run(&crew, &session->schedule, &error);
    tokens_close(&tokens);
    const struct results_totals *totals = results_totals(session->results);
    if (rc == CREW_INTERRUPTED)
        return bv_fail(&session->error,
                       BV_E_CANCELLED,
                       "interrupted: %zu of %zu scenarios had ended by themselves",
                       totals->scenarios[VERDICT_PASSED] + totals->scenarios[VERDICT_FAILED],
                       session->schedule.job_count);
    if (rc < 0 && error.text[0] && !session->error.text[0])
        session->error = error;
    return rc;
}

static int exit_status(struct session *session, int rc)
{
    const struct results_totals *totals = results_totals(session->results);
    if (rc == 0 && totals->scenarios[VERDICT_BROKEN])
        rc = bv_fail(&session->error,
                     BV_E_INTERNAL,
                     "%zu scenario%s could not be judged: the lab failed, see above",
                     totals->scenarios[VERDICT_BROKEN],
                     totals->scenarios[VERDICT_BROKEN] == 1 ? "" : "s");
    return rc < 0                                                  ? EXIT_LAB
           : totals->scenarios[VERDICT_FAILED] || session->crashed ? EXIT_RED
                                                                   : EXIT_PASSED;
}

static int run(struct session *session, const struct wanted *wanted)
{
    const char *files[SCENARIO_FILES_MAX];
    char commit[RUN_COMMIT_SIZE];
    for (size_t i = 0; i < session->story_count; i++)
        files[i] = session->stories[i].shown;
    const struct run_folder_wish wish = {
        &session->env, session->root, session->options.out, session->name};
    BV_TRY(run_folder_make(&wish, session->run, session->folder, &session->error));
    reproduce_run(session->stories,
                  session->story_count,
                  &session->options,
                  session->seed,
                  session->reproduce);
    run_folder_commit(session->root, commit);
    struct results_run record = {.folder = session->folder,
                                 .run = session->run,
                                 .story = session->stories[0].operand,
                                 .files = files,
                                 .file_count = session->story_count,
                                 .tags = session->options.tags,
                                 .reproduce = session->reproduce,
                                 .commit = commit,
                                 .planted = bv_break_chosen(),
                                 .scenario_count = session->schedule.job_count,
                                 .jobs = session->options.jobs,
                                 .order = scenario_order_word(session->options.order),
                                 .seed = session->seed};
    BV_TRY(results_open(&session->env, &record, &session->results, &session->error));
    int rc = announce(session, wanted);
    if (rc == 0)
        rc = get_stack(session, wanted);
    if (rc == 0 && session->stack)
        rc = contracts_read(session->contracts, &session->error);
    if (rc == 0)
        rc = run_scenarios(session);
    keep_logs(session);
    session->boot_ms = session->stack ? bv_stack_boot_ms(session->stack) : 0;
    let_go(session); /* the services send their last spans when they stop */
    drain_spans(session);
    int status = exit_status(session, rc);
    const char *sentence = status == EXIT_LAB ? session->error.text : NULL;
    if (results_end(session->results, status, sentence) < 0) {
        (void)bv_fail(&session->error,
                      BV_E_IO,
                      "results could not be written to %s%s",
                      session->folder,
                      bv_fs_free_bytes(session->folder) < FULL_BYTES ? ": no space is left" : "");
        status = EXIT_LAB;
    }
    int written = write_cucumber(session, commit);
    if (written == 0)
        written =
            summary_page(session->folder, session->console.file, &session->page, &session->error);
    if (written < 0 && status != EXIT_LAB)
        status = EXIT_LAB;
    const struct summary summary = summary_of(session, status);
    if (session->options.json)
        summary_json(&summary);
    run_folder_latest(&wish, session->run);
    if (session->console.file)
        summary_print(&summary, session->console.file);
    if (session->crashed)
        bv_complain("%s", session->error.text);
    return status == EXIT_LAB ? BV_E_INTERNAL : status;
}

static int prepare(struct session *session)
{
    char folder[BV_PATH_MAX];
    BV_TRY(bv_arena_open(ARENA_BYTES_MAX, &session->arena));
    BV_TRY(story_root(session->root, &session->error));
    BV_TRY(bv_path(folder, &session->error, "%s/contracts", session->root));
    BV_TRY(contracts_open(folder, &session->contracts, &session->error));
    size_t count = 0;
    for (size_t i = 0; i < bv_stack_choice_count() && count < SERVICES_MAX; i++) {
        struct bv_stack_choice choice = bv_stack_choice(i);
        if (choice.kind == BV_STACK_SERVICE)
            session->services[count++] = choice.name;
    }
    session->tables = (struct plan_tables){
        .protocols = runner_protocols,
        .protocol_count = runner_protocol_count,
        .contracts = session->contracts,
        .services = session->services,
        .service_count = count,
    };
    return databases_read(
        session->arena, session->root, &session->tables.databases, &session->tables.database_count);
}

static int print_steps(struct session *session)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    BV_TRY(plan_print_grammar(&text, &session->tables));
    printf("%.*s", BV_ARG(bv_buf_view(&text)));
    return 0;
}

/* Every story of the command line, and its mistakes. */
static int read_stories(struct session *session)
{
    int refused = 0;
    for (size_t i = 0; i < session->options.operand_count; i++) {
        struct story story;
        bool merged = false;
        BV_TRY(story_find(
            session->arena, session->root, session->options.operands[i], &story, &session->error));
        for (size_t s = 0; s < session->story_count; s++)
            merged = merged || story_merge(&session->stories[s], &story);
        if (merged)
            continue;
        int rc = story_read(session->arena, &session->tables, &story, &session->error);
        if (rc < 0)
            return rc;
        refused += rc == PLAN_REFUSED;
        session->stories[session->story_count++] = story;
    }
    return refused ? bv_fail(&session->error,
                             BV_E_INVALID,
                             "%s: the story has mistakes, see above",
                             session->options.check ? "checked" : "nothing was run")
                   : 0;
}

/* The servers and services that the wanted scenarios need; none where nothing would start. */
static int
needs_of(struct session *session, const struct wanted *wanted, struct bv_stack_needs *ret_needs)
{
    *ret_needs = (struct bv_stack_needs){0};
    if (session->options.stack || (!wanted->count && !wanted->all))
        return 0;
    return bv_stack_resolve(wanted->all ? NULL : wanted->names,
                            wanted->all ? 0 : wanted->count,
                            ret_needs,
                            &session->error);
}

static int dry_run(struct session *session, const struct wanted *wanted)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = DRY_RUN_BYTES_MAX};
    struct bv_stack_needs needs;
    BV_TRY(needs_of(session, wanted, &needs));
    struct dry_run run = {.stories = session->stories,
                          .schedule = &session->schedule,
                          .options = &session->options,
                          .seed = session->seed,
                          .servers = needs.names,
                          .server_count = needs.count,
                          .memory_mb = needs.memory_mb,
                          .disk_mb = needs.disk_mb,
                          .ports = needs.ports};
    BV_TRY(session->options.json ? dry_run_json(&run, &text) : dry_run_text(&run, &text));
    printf("%.*s", BV_ARG(bv_buf_view(&text)));
    return 0;
}

static int scenario(struct session *session, int argc, char **argv)
{
    struct wanted wanted = {0};
    int rc = scenario_options_read(&session->options, argc, argv, &session->error);
    if (rc != 0)
        return rc < 0 ? rc : EXIT_PASSED;
    BV_TRY(plant(session));
    BV_TRY(prepare(session));
    if (session->options.steps)
        return print_steps(session);
    BV_TRY(read_tags(session));
    BV_TRY(read_stories(session));
    BV_TRY(story_settings_known(session->stories,
                                session->story_count,
                                session->tables.services,
                                session->tables.service_count,
                                &session->error));
    BV_TRY(story_settings_all(session->stories,
                              session->story_count,
                              session->options.stack,
                              session->settings,
                              sizeof session->settings,
                              &session->error));
    choose_seed(session);
    BV_TRY(collect(session, &wanted));
    if (session->options.check) {
        printf(
            "%zu scenarios, %zu steps: every actor, verb, probe, variable and contract is known\n",
            wanted.scenarios,
            wanted.steps);
        return 0;
    }
    if (session->options.dry_run)
        return dry_run(session, &wanted);
    BV_TRY(interrupt_catch(&session->interrupted, &session->interrupt_fd));
    console_close(&session->console);
    console_open(&session->console, session->options.json ? NULL : stdout);
    session->console.total = session->schedule.job_count;
    return run(session, &wanted);
}

int bv_scenario_main(int argc, char **argv)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return EXIT_LAB;
    session->env = (struct bv_env){&bv_clock_system, &bv_random_system, NULL};
    pthread_mutex_init(&session->lock, NULL);
    console_open(&session->console, NULL);
    int rc = scenario(session, argc, argv);
    if (rc < 0)
        bv_complain("%s", session->error.text[0] ? session->error.text : bv_error_row(rc)->title);
    if (session->stack)
        let_go(session);
    spans_close(&session->spans);
    results_close(&session->results);
    contracts_close(&session->contracts);
    bv_arena_close(&session->arena);
    console_close(&session->console);
    pthread_mutex_destroy(&session->lock);
    free(session);
    interrupt_end();
    return rc < 0 ? EXIT_LAB : rc;
}
