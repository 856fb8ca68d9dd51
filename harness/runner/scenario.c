/* Options, files, stack, run, report. What a scenario does is in execute.c. */
#include "scenario.h"

#include "console.h"
#include "protocols.h"
#include "results.h"
#include "scenario_options.h"
#include "stack.h"
#include "bv/breakage.h"
#include "bv/config.h"
#include "bv/fs.h"
#include "bv/process.h"
#include "bv/terminal.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_PASSED, EXIT_RED, EXIT_LAB };
enum {

    STORIES_MAX = 64,
    FILE_BYTES_MAX = 1 << 20,
    ARENA_BYTES_MAX = 256 << 20,
    PROBE_MS = 500,
};

struct story {
    const char *operand; /* as given */
    const char *path;
    uint32_t line; /* only the scenario there, 0: all */
    struct plan *plan;
};

struct session {
    struct scenario_options options;
    struct bv_env env;
    struct bv_arena *arena;
    char root[BV_PATH_MAX];
    struct contracts *contracts;
    struct plan_tables tables;
    const char *services[STORIES_MAX];
    struct story stories[SCENARIO_FILES_MAX];
    size_t story_count;
    char run[32];    /* folder name */
    char run_id[16]; /* ${run} without its number */
    char folder[BV_PATH_MAX];
    char reproduce[256];
    char settings[64]; /* of the own stack: the planted bug */
    struct bv_stack *stack;
    struct results *results;
    struct spans *spans; /* of the own stack; NULL: none */
    int64_t boot_ms;
    struct console console;
    const struct story *current;
    bool crashed; /* a service ended by itself: red, whatever the steps say */
    struct bv_error error;
};

/* ---- files ---- */

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The checkout: $BV_ROOT, upward from here, or where this was built. */
static int find_root(struct session *session)
{
    char *here = getcwd(NULL, 0);
    const char *given = getenv("BV_ROOT");
    char path[BV_PATH_MAX];
    int rc = BV_E_NOT_FOUND;
    if (given)
        rc = bv_path(session->root, &session->error, "%s", given);
    while (rc == BV_E_NOT_FOUND && here && here[0]) {
        if (bv_path(path, NULL, "%s/contracts/events", here) == 0 && is_folder(path))
            rc = bv_path(session->root, &session->error, "%s", here);
        char *slash = strrchr(here, '/');
        if (slash)
            *slash = '\0';
    }
    free(here);
    if (rc == BV_E_NOT_FOUND && is_folder(BV_SOURCE_DIR "/contracts/events"))
        rc = bv_path(session->root, &session->error, "%s", BV_SOURCE_DIR);
    return rc == BV_E_NOT_FOUND
               ? bv_fail(&session->error,
                         rc,
                         "the checkout is not found: run inside it, or set BV_ROOT")
               : rc;
}

static int unknown_story(struct session *session, const char *name)
{
    char folder[BV_PATH_MAX];
    const char *names[STORIES_MAX];
    size_t count = 0;
    BV_TRY(bv_path(folder, &session->error, "%s/scenarios", session->root));
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && count < STORIES_MAX && (entry = readdir(dir));) {
        const char *dot = strstr(entry->d_name, ".feature");
        if (dot && !dot[8])
            names[count++] = bv_arena_text(
                session->arena, (struct bv_bytes){entry->d_name, (size_t)(dot - entry->d_name)});
    }
    if (dir)
        closedir(dir);
    const char *near = bv_nearest(name, names, count);
    return bv_fail(&session->error,
                   BV_E_NOT_FOUND,
                   "no story \"%.60s\" in scenarios/%s%s%s",
                   name,
                   near ? ": did you mean " : "",
                   near ? near : "",
                   near ? "?" : "");
}

static int find_story(struct session *session, const char *operand, struct story *story)
{
    char path[BV_PATH_MAX];
    int64_t line = 0;
    const char *colon = strrchr(operand, ':');
    struct bv_bytes name = bv_bytes_of(operand);
    if (colon && bv_bytes_int64(bv_bytes_of(colon + 1), 1, 1000000, &line) == 0)
        name.size = (size_t)(colon - operand);
    char *text = bv_arena_text(session->arena, name);
    if (!text)
        return BV_E_NOMEM;
    bool file = strchr(text, '/') || strstr(text, ".feature");
    BV_TRY(file ? bv_path(path, &session->error, "%s", text)
                : bv_path(path, &session->error, "%s/scenarios/%s.feature", session->root, text));
    if (access(path, R_OK) != 0 && !file)
        return unknown_story(session, text);
    *story = (struct story){.operand = text,
                            .line = (uint32_t)line,
                            .path = bv_arena_text(session->arena, bv_bytes_of(path))};
    return story->path ? 0 : BV_E_NOMEM;
}

/* The path as people type it: relative to the checkout where it lies inside. */
static const char *shown_path(const struct session *session, const char *path)
{
    size_t size = strlen(session->root);
    return strncmp(path, session->root, size) == 0 && path[size] == '/' ? path + size + 1 : path;
}

static int read_story(struct session *session, struct story *story)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = FILE_BYTES_MAX};
    BV_TRY(bv_fs_read(story->path, &text, &session->error));
    struct bv_bytes copy =
        bv_arena_copy(session->arena, text.data ? bv_buf_view(&text) : BV_BYTES(""));
    const char *shown = shown_path(session, story->path);
    if (!copy.data)
        return BV_E_NOMEM;
    int rc = plan_make(session->arena, &session->tables, shown, copy, &story->plan);
    if (rc != PLAN_REFUSED)
        return rc;
    for (size_t i = 0; i < story->plan->diagnostic_count; i++) {
        const struct plan_diagnostic *diagnostic = &story->plan->diagnostics[i];
        if (diagnostic->column)
            fprintf(stderr,
                    "%s:%u:%u: %s\n",
                    shown,
                    diagnostic->line,
                    diagnostic->column,
                    diagnostic->text);
        else
            fprintf(stderr, "%s:%u: %s\n", shown, diagnostic->line, diagnostic->text);
    }
    return PLAN_REFUSED;
}

/* ---- selection ---- */

static int selects(const struct session *session,
                   const struct story *story,
                   const struct plan_scenario *scenario,
                   struct bv_error *error)
{
    if (story->line && story->line != scenario->line && story->line != scenario->source->at.line) {
        /* any line inside the scenario */
        const struct gherkin_scenario *source = scenario->source;
        uint32_t last =
            source->step_count ? source->steps[source->step_count - 1].at.line : source->at.line;
        if (source->example_count || story->line < source->at.line || story->line > last)
            return 0;
    }
    return plan_selects(scenario, bv_bytes_of(session->options.tags), error);
}

struct wanted {
    const char *names[PLAN_NEEDS_MAX];
    size_t count;
    bool all;
    size_t scenarios;
    size_t steps;
};

static int collect(struct session *session, struct wanted *wanted)
{
    for (size_t s = 0; s < session->story_count; s++) {
        const struct plan *plan = session->stories[s].plan;
        for (size_t i = 0; i < plan->scenario_count; i++) {
            const struct plan_scenario *scenario = &plan->scenarios[i];
            int rc = selects(session, &session->stories[s], scenario, &session->error);
            if (rc < 0)
                return rc;
            if (rc != PLAN_SELECTED)
                continue;
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
    }
    if (!wanted->scenarios)
        return bv_fail(&session->error, BV_E_NOT_FOUND, "no scenario is selected");
    return 0;
}

/* ---- folder of the run ---- */

static int make_folder(struct session *session)
{
    static const char letters[] = "ABCDEFGHJKMNPQRSTVWXYZ0123456789";
    char path[BV_PATH_MAX];
    struct tm parts;
    time_t seconds = bv_wall_us(&session->env) / 1000000;
    for (size_t i = 0; i < 8; i++)
        session->run_id[i] = letters[bv_random_below(&session->env, sizeof letters - 1)];
    gmtime_r(&seconds, &parts);
    snprintf(session->run,
             sizeof session->run,
             "%04d%02d%02d-%02d%02d%02d-%.4s",
             (parts.tm_year + 1900) % 10000,
             (parts.tm_mon + 1) % 100,
             parts.tm_mday % 100,
             parts.tm_hour % 100,
             parts.tm_min % 100,
             parts.tm_sec % 100,
             session->run_id);
    if (session->options.out)
        BV_TRY(bv_path(session->folder, &session->error, "%s", session->options.out));
    else
        BV_TRY(bv_path(
            session->folder, &session->error, "%s/reports/out/%s", session->root, session->run));
    BV_TRY(bv_path(path, &session->error, "%s/logs", session->folder));
    return bv_fs_mkdirs(path, 0755, &session->error);
}

/* reports/out/latest -> RUN, in one step. */
static void point_latest(const struct session *session)
{
    char fresh[BV_PATH_MAX];
    char latest[BV_PATH_MAX];
    if (session->options.out || bv_path(latest, NULL, "%s/reports/out/latest", session->root) < 0 ||
        bv_path(fresh, NULL, "%s/reports/out/.latest-%s", session->root, session->run_id) < 0)
        return;
    if (symlink(session->run, fresh) == 0 && rename(fresh, latest) != 0)
        unlink(fresh);
}

static void read_commit(const struct session *session, char out[64])
{
    char head[BV_PATH_MAX];
    char path[BV_PATH_MAX];
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 4096};
    out[0] = '\0';
    if (bv_path(head, NULL, "%s/.git/HEAD", session->root) < 0 || bv_fs_read(head, &text, NULL) < 0)
        return;
    if (strncmp(text.data, "ref: ", 5) == 0) {
        text.data[strcspn(text.data, "\n")] = '\0';
        if (bv_path(path, NULL, "%s/.git/%s", session->root, text.data + 5) < 0)
            return;
        bv_buf_reset(&text);
        if (bv_fs_read(path, &text, NULL) < 0)
            return;
    }
    snprintf(out,
             64,
             "%.*s",
             (int)strcspn(text.data, "\n") < 12 ? (int)strcspn(text.data, "\n") : 12,
             text.data);
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

/* "make scenario STORY=order-flow" or "bv scenario x.feature", with the planted bug. */
static int reproduce_begin(char out[256], const char *operand, bool plain)
{
    const char *bug = bv_break_chosen();
    return plain ? snprintf(out,
                            256,
                            "make scenario%s%s STORY=%s",
                            bug ? " BREAK=" : "",
                            bug ? bug : "",
                            operand)
                 : snprintf(out,
                            256,
                            "%s%s%sbv scenario %s",
                            bug ? "BREAK=" : "",
                            bug ? bug : "",
                            bug ? " " : "",
                            operand);
}

/* ---- reproduce lines ---- */

static void reproduce_run(struct session *session)
{
    const struct story *story = &session->stories[0];
    bool plain = session->story_count == 1 && !strchr(story->operand, '/') &&
                 !strstr(story->operand, ".feature");
    int size = reproduce_begin(session->reproduce, story->operand, plain);
    for (size_t i = 1;
         i < session->story_count && size > 0 && (size_t)size < sizeof session->reproduce;
         i++)
        size += snprintf(session->reproduce + size,
                         sizeof session->reproduce - (size_t)size,
                         " %s",
                         session->stories[i].operand);
    if (session->options.tags && size > 0 && (size_t)size < sizeof session->reproduce)
        snprintf(session->reproduce + size,
                 sizeof session->reproduce - (size_t)size,
                 plain ? " ARGS=\"--tags '%s'\"" : " --tags '%s'",
                 session->options.tags);
}

static void reproduce_scenario(const struct session *session,
                               const struct plan_scenario *scenario,
                               char out[256])
{
    const char *operand = session->current->operand;
    bool plain = !strchr(operand, '/') && !strstr(operand, ".feature");
    int size = reproduce_begin(out, operand, plain);
    if (size > 0 && size < 256)
        snprintf(out + size, 256 - (size_t)size, ":%u", scenario->line);
}

/* ---- listening to the execution ---- */

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
    struct session *session = argument;
    results_scenario(session->results, scenario, lab, start_us);
    console_scenario(&session->console, scenario);
}

static void on_step_begins(void *argument, const struct plan_step *step)
{
    struct session *session = argument;
    console_step_begins(&session->console, step);
}

static void on_actor(void *argument, const struct plan_step *step, int64_t at_us)
{
    struct session *session = argument;
    results_actor(session->results, step, at_us);
}

static void on_message(void *argument, const struct bv_message *message)
{
    struct session *session = argument;
    results_message(session->results, message);
}

static void on_step(void *argument,
                    const struct plan_step *step,
                    size_t index,
                    const struct step_outcome *outcome,
                    struct bv_recording *recording)
{
    struct session *session = argument;
    results_step(session->results, step, index, outcome);
    console_step(&session->console, step, outcome, recording);
}

static void on_scenario_end(void *argument,
                            const struct plan_scenario *scenario,
                            const struct scenario_outcome *outcome)
{
    struct session *session = argument;
    char reproduce[256];
    reproduce_scenario(session, scenario, reproduce);
    results_scenario_end(session->results, scenario, outcome, reproduce);
    console_scenario_end(&session->console, outcome, reproduce);
    drain_spans(session);
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
            "%zu scenario%s, %zu steps\n",
            wanted->scenarios,
            wanted->scenarios == 1 ? "" : "s",
            wanted->steps);
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
        .name = session->options.keep_stack ? session->run_id : NULL,
        .wanted = wanted->all ? NULL : wanted->names,
        .wanted_count = wanted->all ? 0 : wanted->count,
        .life = session->options.keep_stack ? BV_STACK_DETACHED : BV_STACK_FOREGROUND,
        .otlp_url = spans_url(session->spans),
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
                    "the stack keeps running; stop it with: bv down %s\n",
                    bv_stack_name(session->stack));
        bv_stack_close(&session->stack);
    } else {
        (void)bv_stack_down(&session->stack, NULL);
    }
}

/* ---- report ---- */

/* Rendered by a program of its own: the runner knows no HTML. */
static void render(struct session *session)
{
    char program[BV_PATH_MAX];
    char folder[BV_PATH_MAX];
    char log[BV_PATH_MAX];
    struct bv_error error = {0};
    if (bv_stack_bin_dir(folder, sizeof folder, &error) < 0 ||
        bv_path(program, &error, "%s/bv-report", folder) < 0 ||
        bv_path(log, &error, "%s/logs/report.log", session->folder) < 0)
        return;
    if (access(program, X_OK) != 0) {
        if (session->console.file)
            fprintf(session->console.file, "no page: %s is not built\n", program);
        return;
    }
    const char *const argv[] = {program, session->folder, NULL};
    struct bv_spawn spawn = {
        .argv = argv, .in_fd = -1, .out_fd = -1, .uid = getuid(), .gid = getgid()};
    if (bv_run(&spawn, log, &error) < 0)
        bv_complain("the page was not written: %s (see %s)", error.text, log);
}

static void print_summary(const struct session *session, int status)
{
    const struct results_totals *totals = results_totals(session->results);
    FILE *file = session->console.file;
    if (!file)
        return;
    if (status == EXIT_LAB &&
        !totals->steps[VERDICT_PASSED]) /* nothing ran: the sentence says it */
        return;
    fprintf(file,
            "\n%s%s%s  %zu of %zu scenarios passed, %zu steps, %zu messages, %zu checked against "
            "contracts, %zu broke them\n",
            bv_colour(file, status == EXIT_PASSED ? BV_GREEN : BV_RED),
            status == EXIT_PASSED ? "passed" : "FAILED",
            bv_colour_end(file),
            totals->scenarios[VERDICT_PASSED],
            totals->scenarios[VERDICT_PASSED] + totals->scenarios[VERDICT_FAILED] +
                totals->scenarios[VERDICT_BROKEN],
            totals->steps[VERDICT_PASSED],
            totals->messages,
            totals->contracts_checked,
            totals->contracts_violated);
    fprintf(file, "report  %s/index.html\n", shown_path(session, session->folder));
}

static void print_json(const struct session *session, int status)
{
    const struct results_totals *totals = results_totals(session->results);
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 65536};
    struct bv_json_writer w = bv_json_writer(&text);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "run", session->run);
    bv_jw_kv_int(&w, "exit", status);
    bv_jw_kv_int(&w, "passed", (int64_t)totals->scenarios[VERDICT_PASSED]);
    bv_jw_kv_int(&w, "failed", (int64_t)totals->scenarios[VERDICT_FAILED]);
    bv_jw_kv_int(&w, "broken", (int64_t)totals->scenarios[VERDICT_BROKEN]);
    bv_jw_kv_int(&w, "messages", (int64_t)totals->messages);
    bv_jw_kv_int(&w, "contractsChecked", (int64_t)totals->contracts_checked);
    bv_jw_kv_int(&w, "contractsViolated", (int64_t)totals->contracts_violated);
    bv_jw_kv_int(&w, "bootMs", session->boot_ms);
    bv_jw_kv_text(&w, "folder", session->folder);
    bv_jw_end(&w);
    printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
}

/* ---- the run ---- */

/* A service that ended is the platform's failure, a server that ended the lab's. */
static int check_parts(struct session *session)
{
    if (!session->stack || bv_stack_check(session->stack, &session->error) == 0)
        return 0;
    for (size_t i = 0; i < bv_stack_count(session->stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(session->stack, i);
        struct bv_stack_health health = {0};
        if (part->kind != BV_STACK_SERVICE)
            continue;
        bv_stack_probe(part, PROBE_MS, &health);
        session->crashed = session->crashed || health.processes == 0;
    }
    return session->crashed ? 0 : session->error.code;
}

static int run_scenarios(struct session *session, struct runner_lab *lab)
{
    const struct execute_listener listener = {
        session, on_scenario, on_step_begins, on_actor, on_message, on_step, on_scenario_end};
    size_t number = 0;
    for (size_t s = 0; s < session->story_count; s++) {
        session->current = &session->stories[s];
        const struct plan *plan = session->current->plan;
        results_feature(session->results, plan, s + 1);
        console_feature(&session->console, plan);
        for (size_t i = 0; i < plan->scenario_count; i++) {
            struct scenario_outcome outcome;
            if (selects(session, session->current, &plan->scenarios[i], NULL) != PLAN_SELECTED)
                continue;
            BV_TRY(execute_scenario(lab, &plan->scenarios[i], ++number, NULL, &listener, &outcome));
            int rc = check_parts(session);
            if (rc < 0 || session->crashed)
                return rc;
        }
    }
    return 0;
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
    char commit[64];
    char contracts[BV_PATH_MAX];
    struct runner_lab *lab = NULL;
    for (size_t i = 0; i < session->story_count; i++)
        files[i] = shown_path(session, session->stories[i].path);
    BV_TRY(make_folder(session));
    reproduce_run(session);
    read_commit(session, commit);
    BV_TRY(bv_path(contracts, &session->error, "%s/contracts", session->root));
    struct results_run record = {session->folder,
                                 session->run,
                                 session->stories[0].operand,
                                 files,
                                 session->story_count,
                                 session->options.tags,
                                 session->reproduce,
                                 commit,
                                 bv_break_chosen()};
    BV_TRY(results_open(&session->env, &record, &session->results, &session->error));
    int rc = announce(session, wanted);
    if (rc == 0)
        rc = get_stack(session, wanted);
    if (rc == 0 && session->stack)
        rc = contracts_read(session->contracts, &session->error);
    struct runner_lab_config config = {&session->env,
                                       session->stack,
                                       session->stack ? session->contracts : NULL,
                                       contracts,
                                       session->run_id,
                                       NULL,
                                       NULL};
    if (rc == 0)
        rc = runner_lab_open(&config, &lab);
    if (rc == 0) {
        results_environment(session->results, session->stack);
        rc = run_scenarios(session, lab);
    }
    runner_lab_close(&lab);
    keep_logs(session);
    session->boot_ms = session->stack ? bv_stack_boot_ms(session->stack) : 0;
    let_go(session); /* the services send their last spans when they stop */
    drain_spans(session);
    int status = exit_status(session, rc);
    const char *sentence = status == EXIT_LAB ? session->error.text : NULL;
    if (results_end(session->results, status, sentence) < 0) {
        (void)bv_fail(
            &session->error, BV_E_IO, "results could not be written to %s", session->folder);
        status = EXIT_LAB;
    }
    if (session->options.json)
        print_json(session, status);
    render(session);
    point_latest(session);
    print_summary(session, status);
    if (session->crashed)
        bv_complain("%s", session->error.text);
    return status == EXIT_LAB ? BV_E_INTERNAL : status;
}

static int prepare(struct session *session)
{
    char folder[BV_PATH_MAX];
    BV_TRY(bv_arena_open(ARENA_BYTES_MAX, &session->arena));
    BV_TRY(find_root(session));
    BV_TRY(bv_path(folder, &session->error, "%s/contracts", session->root));
    BV_TRY(contracts_open(folder, &session->contracts, &session->error));
    size_t count = 0;
    for (size_t i = 0; i < bv_stack_choice_count() && count < STORIES_MAX; i++) {
        struct bv_stack_choice choice = bv_stack_choice(i);
        if (choice.kind == BV_STACK_SERVICE)
            session->services[count++] = choice.name;
    }
    session->tables = (struct plan_tables){
        runner_protocols, runner_protocol_count, session->contracts, session->services, count};
    return 0;
}

static int print_steps(struct session *session)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    BV_TRY(plan_print_grammar(&text, &session->tables));
    printf("%.*s", BV_ARG(bv_buf_view(&text)));
    return 0;
}

static int scenario(struct session *session, int argc, char **argv)
{
    struct wanted wanted = {0};
    int refused = 0;
    int rc = scenario_options_read(&session->options, argc, argv, &session->error);
    if (rc != 0)
        return rc < 0 ? rc : EXIT_PASSED;
    BV_TRY(plant(session));
    BV_TRY(prepare(session));
    if (session->options.steps)
        return print_steps(session);
    console_open(&session->console, session->options.json ? NULL : stdout);
    for (size_t i = 0; i < session->options.operand_count; i++) {
        struct story *story = &session->stories[session->story_count++];
        BV_TRY(find_story(session, session->options.operands[i], story));
        rc = read_story(session, story);
        if (rc < 0)
            return rc;
        refused += rc == PLAN_REFUSED;
    }
    if (refused)
        return bv_fail(&session->error,
                       BV_E_INVALID,
                       "%s: the story has mistakes, see above",
                       session->options.check ? "checked" : "nothing was run");
    BV_TRY(collect(session, &wanted));
    if (!session->options.check)
        return run(session, &wanted);
    printf("%zu scenarios, %zu steps: every actor, verb, probe, variable and contract is known\n",
           wanted.scenarios,
           wanted.steps);
    return 0;
}

int bv_scenario_main(int argc, char **argv)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return EXIT_LAB;
    session->env = (struct bv_env){&bv_clock_system, &bv_random_system, NULL};
    int rc = scenario(session, argc, argv);
    if (rc < 0)
        bv_complain("%s", session->error.text[0] ? session->error.text : bv_error_row(rc)->title);
    if (session->stack)
        let_go(session);
    spans_close(&session->spans);
    results_close(&session->results);
    contracts_close(&session->contracts);
    bv_arena_close(&session->arena);
    free(session);
    return rc < 0 ? EXIT_LAB : rc;
}
