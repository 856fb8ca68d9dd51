#include "console.h"

#include "bv/terminal.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LAST_MESSAGES = 6, BODY_SHOWN = 400, COLUMNS_MAX = 240 };

struct console_scenario {
    struct console *console; /* borrowed */
    const struct plan *plan;
    const struct plan_scenario *scenario;
    enum console_mode mode;
    FILE *out;   /* where its lines go: the console's file, or a text in memory; NULL: silent */
    char *block; /* owned: that text */
    size_t block_size;
    size_t skipped; /* steps not shown yet */
};

/* As locale(7) chooses: the first of these that is set. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (value && value[0])
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

void console_open(struct console *console, FILE *file)
{
    *console = (struct console){.file = file, .terminal = file && isatty(fileno(file))};
    console->marks = console->terminal && speaks_utf8();
    pthread_mutex_init(&console->lock, NULL);
    const char *term = getenv("TERM");
    if (term && strcmp(term, "dumb") == 0)
        console->terminal = false;
}

void console_close(struct console *console)
{
    pthread_mutex_destroy(&console->lock);
}

/* ---- what runs; with the lock held ---- */

static void clear_live(const struct console *console)
{
    if (console->terminal)
        fputs("\r\033[K", console->file);
}

/* What is rewritten in place must not wrap: only its last row would be cleared. */
static size_t columns_of(const struct console *console)
{
    struct winsize window = {.ws_col = 80};
    (void)ioctl(fileno(console->file), TIOCGWINSZ, &window);
    return window.ws_col > 1 && window.ws_col < COLUMNS_MAX ? window.ws_col - 1u : 79;
}

static void show_live(const struct console *console)
{
    char line[COLUMNS_MAX * 4];
    if (!console->terminal)
        return;
    size_t columns = columns_of(console);
    int size =
        snprintf(line, sizeof line, "  %zu of %zu done, running", console->done, console->total);
    const char *comma = ": ";
    for (size_t i = 0; i < CONSOLE_RUNNING_MAX && size >= 0 && (size_t)size < columns; i++) {
        if (!console->running[i])
            continue;
        size +=
            snprintf(line + size,
                     sizeof line - (size_t)size,
                     "%s%.*s",
                     comma,
                     (int)(console->running[i]->name.size < columns ? console->running[i]->name.size
                                                                    : columns),
                     console->running[i]->name.data);
        comma = "; ";
    }
    size_t shown = 0;
    size_t end = 0; /* columns are characters, cut between two of them */
    while (line[end] && (shown < columns || ((unsigned char)line[end] & 0xc0) == 0x80))
        shown += ((unsigned char)line[end++] & 0xc0) != 0x80;
    if (*comma == ';')
        fprintf(console->file,
                "%s%.*s%s",
                bv_colour(console->file, BV_DIM),
                (int)end,
                line,
                bv_colour_end(console->file));
    fflush(console->file);
}

static void replace_running(struct console *console,
                            const struct plan_scenario *from,
                            const struct plan_scenario *to)
{
    for (size_t i = 0; i < CONSOLE_RUNNING_MAX; i++) {
        if (console->running[i] == from) {
            console->running[i] = to;
            return;
        }
    }
}

/* ---- a scenario ---- */

static void show_feature(struct console *console, const struct plan *plan)
{
    if (console->shown != plan)
        fprintf(console->file,
                "\n%s%.*s%s  %s\n",
                bv_colour(console->file, BV_BOLD),
                BV_ARG(plan->document->feature.name),
                bv_colour_end(console->file),
                plan->file);
    console->shown = plan;
}

static void show_name(const struct console_scenario *part)
{
    FILE *file = part->console->file; /* decides on colours */
    fprintf(part->out,
            "\n  %s%.*s%s",
            bv_colour(file, BV_BOLD),
            BV_ARG(part->scenario->name),
            bv_colour_end(file));
    for (size_t i = 0; i < part->scenario->tag_count; i++)
        fprintf(part->out,
                " %s%.*s%s",
                bv_colour(file, BV_DIM),
                BV_ARG(part->scenario->tags[i]),
                bv_colour_end(file));
    fputc('\n', part->out);
}

int console_scenario(struct console *console,
                     const struct plan *plan,
                     const struct plan_scenario *scenario,
                     enum console_mode mode,
                     struct console_scenario **ret_part)
{
    struct console_scenario *part = calloc(1, sizeof *part);
    if (!part)
        return BV_E_NOMEM;
    *part = (struct console_scenario){
        .console = console, .plan = plan, .scenario = scenario, .mode = mode, .out = console->file};
    if (console->file && mode == CONSOLE_BLOCK &&
        !(part->out = open_memstream(&part->block, &part->block_size))) {
        free(part);
        return BV_E_NOMEM;
    }
    *ret_part = part;
    if (!console->file)
        return 0;
    pthread_mutex_lock(&console->lock);
    if (mode == CONSOLE_DIRECT) {
        show_feature(console, plan);
    } else {
        replace_running(console, NULL, scenario);
        clear_live(console);
        show_live(console);
    }
    show_name(part);
    pthread_mutex_unlock(&console->lock);
    return 0;
}

void console_scenario_close(struct console_scenario **part)
{
    if (!*part)
        return;
    struct console *console = (*part)->console;
    if (console->file && (*part)->mode == CONSOLE_BLOCK) {
        fclose((*part)->out);
        pthread_mutex_lock(&console->lock);
        console->done++;
        replace_running(console, (*part)->scenario, NULL);
        clear_live(console);
        show_feature(console, (*part)->plan);
        fwrite((*part)->block, 1, (*part)->block_size, console->file);
        fflush(console->file);
        show_live(console);
        pthread_mutex_unlock(&console->lock);
        free((*part)->block);
    }
    free(*part);
    *part = NULL;
}

void console_step_begins(struct console_scenario *part, const struct plan_step *step)
{
    if (!part->out || part->mode == CONSOLE_BLOCK || !part->console->terminal)
        return;
    char line[COLUMNS_MAX + 1];
    snprintf(line,
             columns_of(part->console) + 1,
             "    . %.*s%.*s",
             BV_ARG(step->source->keyword),
             BV_ARG(step->source->text));
    fputs(line, part->out);
    fflush(part->out);
}

static void show_message(FILE *file, const struct bv_message *message)
{
    bv_auto(bv_buf_release) struct bv_buf body = {.max = 1 << 20};
    bv_auto(bv_buf_release) struct bv_buf summary = {.max = 4096};
    bv_redact_text(&summary,
                   (struct bv_bytes){message->summary.data,
                                     message->summary.size < 1000 ? message->summary.size : 1000});
    if (message->json) {
        struct bv_json_writer w = bv_json_writer(&body);
        bv_redact_json(&w, message->json);
    }
    fprintf(file,
            "        %3llu %-8s %.*s%s%.*s\n",
            (unsigned long long)message->id,
            bv_direction_word(message->direction),
            (int)(summary.size < 160 ? summary.size : 160),
            summary.data ? summary.data : "",
            body.size ? "  " : "",
            (int)(body.size < BODY_SHOWN ? body.size : BODY_SHOWN),
            body.data ? body.data : "");
}

static void show_last(FILE *file, const char *actor, struct bv_recording *recording)
{
    uint64_t last = bv_recording_last(recording);
    uint64_t from = last;
    for (int found = 0; from > 0 && found < LAST_MESSAGES; from--)
        found += strcmp(bv_recording_at(recording, from)->actor, actor) == 0;
    bool any = false;
    for (uint64_t id = from + 1; id <= last; id++) {
        const struct bv_message *message = bv_recording_at(recording, id);
        if (strcmp(message->actor, actor) != 0)
            continue;
        if (!any)
            fprintf(file, "      last messages of %s:\n", actor);
        any = true;
        show_message(file, message);
    }
}

static void show_red(const struct console_scenario *part,
                     const struct plan_step *step,
                     const struct step_outcome *outcome,
                     struct bv_recording *recording)
{
    FILE *file = part->out;
    fprintf(file,
            "      %s:%u: %s\n",
            part->plan->file,
            step->line,
            outcome->error ? outcome->error : "");
    if (outcome->expected)
        fprintf(file, "      expected  %s\n", outcome->expected);
    if (outcome->actual)
        fprintf(file, "      actual    %s\n", outcome->actual);
    if (step->actor)
        show_last(file, step->actor, recording);
}

void console_step(struct console_scenario *part,
                  const struct plan_step *step,
                  const struct step_outcome *outcome,
                  struct bv_recording *recording)
{
    static const struct {
        enum bv_colour colour;
        const char *mark;
        const char *plain;
    } looks[] = {
        {BV_GREEN,  "\u2713", "ok"    },
        {BV_RED,    "\u2717", "FAILED"},
        {BV_YELLOW, "!",      "BROKEN"}
    };
    FILE *out = part->out;
    FILE *file = part->console->file;
    if (!out)
        return;
    if (outcome->verdict == VERDICT_SKIPPED) {
        part->skipped++;
        return;
    }
    if (part->console->terminal && part->mode == CONSOLE_DIRECT)
        fputs("\r\033[K", out);
    fprintf(out,
            "    %s%s%s %.*s%.*s",
            bv_colour(file, looks[outcome->verdict].colour),
            part->console->marks ? looks[outcome->verdict].mark : looks[outcome->verdict].plain,
            bv_colour_end(file),
            BV_ARG(step->source->keyword),
            BV_ARG(step->source->text));
    fprintf(out,
            "  %s%lld ms",
            bv_colour(file, BV_DIM),
            (long long)(outcome->duration_us + 500) / 1000);
    if (outcome->tries)
        fprintf(out, ", %zu tr%s", outcome->tries, outcome->tries == 1 ? "y" : "ies");
    fprintf(out, "%s\n", bv_colour_end(file));
    if (outcome->verdict == VERDICT_FAILED || outcome->verdict == VERDICT_BROKEN)
        show_red(part, step, outcome, recording);
    if (part->mode == CONSOLE_DIRECT)
        fflush(out);
}

void console_scenario_end(struct console_scenario *part,
                          const struct scenario_outcome *outcome,
                          const char *reproduce)
{
    size_t skipped = part->skipped;
    part->skipped = 0;
    if (!part->out || outcome->verdict == VERDICT_PASSED)
        return;
    if (skipped)
        fprintf(part->out,
                "    %s%zu step%s after it skipped%s\n",
                bv_colour(part->console->file, BV_DIM),
                skipped,
                skipped == 1 ? "" : "s",
                bv_colour_end(part->console->file));
    if (outcome->steps[VERDICT_FAILED] + outcome->steps[VERDICT_BROKEN] == 0 && outcome->error)
        fprintf(part->out,
                "    %sFAILED%s after the last step: %s\n",
                bv_colour(part->console->file, BV_RED),
                bv_colour_end(part->console->file),
                outcome->error);
    fprintf(part->out,
            "      reproduce  %s%s%s\n",
            bv_colour(part->console->file, BV_CYAN),
            reproduce,
            bv_colour_end(part->console->file));
}
