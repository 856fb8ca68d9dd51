#include "reproduce.h"

#include "bv/breakage.h"
#include <stdarg.h>
#include <stdio.h>

struct line {
    char *out;
    size_t size;
};

static void add(struct line *line, const char *format, ...) BV_PRINTF(2, 3);
static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    if (line->size >= REPRODUCE_BYTES)
        return;
    va_start(arguments, format);
    int size = vsnprintf(line->out + line->size, REPRODUCE_BYTES - line->size, format, arguments);
    va_end(arguments);
    line->size += size > 0 ? (size_t)size : 0;
}

/* "make scenario STORY=" or "bv scenario ", with the planted bug. */
static void add_program(struct line *line, bool plain)
{
    const char *bug = bv_break_chosen();
    if (plain)
        add(line, "make scenario%s%s STORY=", bug ? " BREAK=" : "", bug ? bug : "");
    else
        add(line, "%s%s%sbv scenario ", bug ? "BREAK=" : "", bug ? bug : "", bug ? " " : "");
}

static void add_story(struct line *line, const struct story *story)
{
    if (!story->line_count)
        add(line, "%s", story->operand);
    for (size_t i = 0; i < story->line_count; i++)
        add(line, "%s%s:%u", i ? " " : "", story->operand, story->lines[i]);
}

static bool has_options(const struct scenario_options *options)
{
    return options->tags || options->jobs > 1 || options->order == SCENARIO_RANDOM ||
           options->seed >= 0;
}

static void add_options(struct line *line, const struct scenario_options *options, int64_t seed)
{
    const char *gap = "";
    if (options->tags) {
        add(line, "--tags '%s'", options->tags);
        gap = " ";
    }
    if (options->jobs > 1) {
        add(line, "%s--jobs %lld", gap, (long long)options->jobs);
        gap = " ";
    }
    if (options->order == SCENARIO_RANDOM) {
        add(line, "%s--order random", gap);
        gap = " ";
    }
    if (options->order == SCENARIO_RANDOM || options->seed >= 0)
        add(line, "%s--seed %lld", gap, (long long)seed);
}

void reproduce_run(const struct story *stories,
                   size_t count,
                   const struct scenario_options *options,
                   int64_t seed,
                   char out[REPRODUCE_BYTES])
{
    struct line line = {out, 0};
    bool plain = true;
    bool several = count > 1 || stories[0].line_count > 1;
    for (size_t i = 0; i < count; i++)
        plain = plain && story_is_plain(&stories[i]);
    add_program(&line, plain);
    if (plain && several)
        add(&line, "\"");
    for (size_t i = 0; i < count; i++) {
        if (i)
            add(&line, " ");
        add_story(&line, &stories[i]);
    }
    if (plain && several)
        add(&line, "\"");
    if (!has_options(options))
        return;
    add(&line, plain ? " ARGS=\"" : " ");
    add_options(&line, options, seed);
    if (plain)
        add(&line, "\"");
}

void reproduce_scenario(const struct story *story,
                        const struct schedule *schedule,
                        const struct schedule_job *job,
                        char out[REPRODUCE_BYTES])
{
    struct story copy = *story;
    struct scenario_options none = {.jobs = 1, .seed = -1};
    size_t unit = 0;
    while (schedule->units[unit].first + schedule->units[unit].count < job->number)
        unit++;
    const struct schedule_unit *together = &schedule->units[unit];
    copy.line_count = 0; /* more than can be named: all of the story */
    for (size_t i = 0; together->count <= STORY_LINES_MAX && i < together->count; i++)
        copy.lines[copy.line_count++] = schedule->jobs[together->first + i].scenario->line;
    reproduce_run(&copy, 1, &none, 0, out);
}
