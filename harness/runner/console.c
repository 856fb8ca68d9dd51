#include "console.h"

#include "bv/terminal.h"
#include <stdlib.h>
#include <unistd.h>

enum { LAST_MESSAGES = 6, BODY_SHOWN = 400 };

void console_open(struct console *console, FILE *file)
{
    *console = (struct console){.file = file, .terminal = file && isatty(fileno(file))};
    const char *term = getenv("TERM");
    if (term && strcmp(term, "dumb") == 0)
        console->terminal = false;
}

void console_feature(struct console *console, const struct plan *plan)
{
    console->source = plan->file;
    if (console->file)
        fprintf(console->file,
                "\n%s%.*s%s  %s\n",
                bv_colour(console->file, BV_BOLD),
                BV_ARG(plan->document->feature.name),
                bv_colour_end(console->file),
                plan->file);
}

void console_scenario(struct console *console, const struct plan_scenario *scenario)
{
    if (!console->file)
        return;
    fprintf(console->file,
            "\n  %s%.*s%s",
            bv_colour(console->file, BV_BOLD),
            BV_ARG(scenario->name),
            bv_colour_end(console->file));
    for (size_t i = 0; i < scenario->tag_count; i++)
        fprintf(console->file,
                " %s%.*s%s",
                bv_colour(console->file, BV_DIM),
                BV_ARG(scenario->tags[i]),
                bv_colour_end(console->file));
    fputc('\n', console->file);
}

void console_step_begins(struct console *console, const struct plan_step *step)
{
    if (!console->file || !console->terminal)
        return;
    fprintf(
        console->file, "    . %.*s%.*s", BV_ARG(step->source->keyword), BV_ARG(step->source->text));
    fflush(console->file);
}

static void show_message(FILE *file, const struct bv_message *message)
{
    bv_auto(bv_buf_release) struct bv_buf body = {.max = 1 << 20};
    if (message->json) {
        struct bv_json_writer w = bv_json_writer(&body);
        bv_redact_json(&w, message->json);
    }
    fprintf(file,
            "        %3llu %-8s %.*s%s%.*s\n",
            (unsigned long long)message->id,
            bv_direction_word(message->direction),
            (int)(message->summary.size < 160 ? message->summary.size : 160),
            message->summary.data,
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

static void show_red(struct console *console,
                     const struct plan_step *step,
                     const struct step_outcome *outcome,
                     struct bv_recording *recording)
{
    FILE *file = console->file;
    fprintf(file,
            "      %s:%u: %s\n",
            console->source,
            step->line,
            outcome->error ? outcome->error : "");
    if (outcome->expected)
        fprintf(file, "      expected  %s\n", outcome->expected);
    if (outcome->actual)
        fprintf(file, "      actual    %s\n", outcome->actual);
    if (step->actor)
        show_last(file, step->actor, recording);
}

void console_step(struct console *console,
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
    FILE *file = console->file;
    if (!file)
        return;
    if (outcome->verdict == VERDICT_SKIPPED) {
        console->skipped++;
        return;
    }
    if (console->terminal)
        fputs("\r\033[K", file);
    fprintf(file,
            "    %s%s%s %.*s%.*s",
            bv_colour(file, looks[outcome->verdict].colour),
            console->terminal ? looks[outcome->verdict].mark : looks[outcome->verdict].plain,
            bv_colour_end(file),
            BV_ARG(step->source->keyword),
            BV_ARG(step->source->text));
    fprintf(file,
            "  %s%lld ms%s\n",
            bv_colour(file, BV_DIM),
            (long long)(outcome->duration_us + 500) / 1000,
            bv_colour_end(file));
    if (outcome->verdict == VERDICT_FAILED || outcome->verdict == VERDICT_BROKEN)
        show_red(console, step, outcome, recording);
    fflush(file);
}

void console_scenario_end(struct console *console,
                          const struct scenario_outcome *outcome,
                          const char *reproduce)
{
    size_t skipped = console->skipped;
    console->skipped = 0;
    if (!console->file || outcome->verdict == VERDICT_PASSED)
        return;
    if (skipped)
        fprintf(console->file,
                "    %s%zu step%s after it skipped%s\n",
                bv_colour(console->file, BV_DIM),
                skipped,
                skipped == 1 ? "" : "s",
                bv_colour_end(console->file));
    if (outcome->steps[VERDICT_FAILED] + outcome->steps[VERDICT_BROKEN] == 0 && outcome->error)
        fprintf(console->file,
                "    %sFAILED%s after the last step: %s\n",
                bv_colour(console->file, BV_RED),
                bv_colour_end(console->file),
                outcome->error);
    fprintf(console->file,
            "      reproduce  %s%s%s\n",
            bv_colour(console->file, BV_CYAN),
            reproduce,
            bv_colour_end(console->file));
}
