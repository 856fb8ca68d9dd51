#include "compare.h"

#include "bv/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static struct bv_bytes text_of(const struct bv_json *record, const char *member)
{
    struct bv_bytes text = bv_json_string(bv_json_get(record, member));
    return text.data ? text : BV_BYTES("");
}

/* ---- the older run ---- */

enum { RUN_NAME_BYTES = 20 }; /* 20261123-051013-ABCP */

static int is_run(const struct dirent *entry)
{
    const char *name = entry->d_name;
    if (strlen(name) != RUN_NAME_BYTES || name[8] != '-' || name[15] != '-')
        return 0;
    return strspn(name, "0123456789") == 8;
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static bool is_green(const struct report *older, const struct report *report)
{
    return report_run_verdict(older) == REPORT_PASSED && older->end &&
           !text_of(older->run, "break").size &&
           bv_bytes_equal(text_of(older->run, "story"), text_of(report->run, "story"));
}

/* A quick look before everything is parsed: the story's name and a green end. */
static bool may_be_green(struct bv_bytes results, struct bv_bytes story)
{
    static const char end[] = "\"record\":\"end\"", green[] = "\"verdict\":\"passed\"";
    const char *last = results.data;
    struct bv_bytes head = {results.data, results.size < 1024 ? results.size : 1024};
    if (results.size < 2 || !memmem(head.data, head.size, story.data, story.size))
        return false;
    const char *line = memrchr(results.data, '\n', results.size - 1);
    last = line ? line : last;
    size_t size = (size_t)(results.data + results.size - last);
    return memmem(last, size, end, sizeof end - 1) && memmem(last, size, green, sizeof green - 1);
}

static bool read_run(const char *parent,
                     const char *name,
                     const struct report *report,
                     struct report *ret_older)
{
    char path[BV_PATH_MAX];
    bv_auto(bv_buf_release) struct bv_buf results = {.max = REPORT_FILE_BYTES_MAX};
    if (bv_path(path, NULL, "%s/../%s/results.jsonl", parent, name) < 0 ||
        bv_fs_read(path, &results, NULL) < 0 ||
        !may_be_green(bv_buf_view(&results), text_of(report->run, "story")) ||
        report_read(bv_buf_view(&results), ret_older, NULL) < 0)
        return false;
    if (is_green(ret_older, report))
        return true;
    report_release(ret_older);
    return false;
}

int compare_find(const char *folder, const struct report *report, struct report *ret_older)
{
    char path[BV_PATH_MAX];
    struct dirent **list = NULL;
    struct bv_bytes own = text_of(report->run, "run");
    *ret_older = (struct report){0};
    if (own.size != RUN_NAME_BYTES || bv_path(path, NULL, "%s/..", folder) < 0)
        return COMPARE_NONE;
    int count = scandir(path, &list, is_run, newest_first), rc = COMPARE_NONE, tried = 0;
    for (int i = 0; i < count; i++) {
        if (rc == COMPARE_NONE && tried < COMPARE_CANDIDATES &&
            memcmp(list[i]->d_name, own.data, RUN_NAME_BYTES) < 0) {
            tried++;
            if (read_run(folder, list[i]->d_name, report, ret_older))
                rc = 0;
        }
        free(list[i]);
    }
    free(list);
    return rc;
}

/* ---- names without what a run draws anew ---- */

static bool is_id_char(char c)
{
    return isdigit((unsigned char)c) || (c >= 'a' && c <= 'f') || c == '-';
}

/* Ids of 8 digits or more become "…", as does the token of the scenario's run. */
static struct bv_bytes
general(const struct report *report, struct bv_bytes text, struct bv_bytes run)
{
    bv_auto(bv_buf_release) struct bv_buf out = {.max = 1 << 16};
    for (size_t i = 0; i < text.size;) {
        size_t end = i, digits = 0;
        if (run.size && text.size - i >= run.size &&
            memcmp(text.data + i, run.data, run.size) == 0) {
            bv_buf_text(&out, "…");
            i += run.size;
            continue;
        }
        while (text.data[i] != '-' && end < text.size && is_id_char(text.data[end]))
            digits += isdigit((unsigned char)text.data[end++]) != 0;
        if (end - i >= 8 && digits >= 3) {
            bv_buf_text(&out, "…");
            i = end;
        } else {
            end = end > i ? end : i + 1;
            bv_buf_append(&out, text.data + i, end - i);
            i = end;
        }
    }
    return bv_arena_copy(report->arena, bv_buf_view(&out));
}

/* ---- differences ---- */

struct pair {
    const struct report *newer;
    const struct report_scenario *now, *then;
    size_t index; /* of now */
    struct comparison *out;
};

static void note(const struct pair *pair, const char *what, bool bad, struct bv_bytes text)
{
    struct comparison *out = pair->out;
    if (out->count == COMPARE_LINES)
        out->left_out++;
    else
        out->lines[out->count++] = (struct compare_line){pair->index, what, text, bad};
}

static struct bv_bytes joined(const struct pair *pair, struct bv_bytes a, struct bv_bytes b)
{
    char *text = bv_arena_format(pair->newer->arena, "%.*s %.*s", BV_ARG(a), BV_ARG(b));
    return bv_bytes_of(text ? text : "");
}

static void compare_steps(const struct pair *pair)
{
    struct html words = {0};
    size_t steps = pair->now->steps.count < pair->then->steps.count ? pair->now->steps.count
                                                                    : pair->then->steps.count;
    for (size_t i = 0; i < steps; i++) {
        const struct bv_json *now = pair->now->steps.list[i], *then = pair->then->steps.list[i];
        int64_t after = bv_json_int(bv_json_get(now, "durationUs"), 0);
        int64_t before = bv_json_int(bv_json_get(then, "durationUs"), 0);
        struct bv_bytes text = text_of(now, "text");
        if (!bv_bytes_equal(text, text_of(then, "text")))
            return; /* another scenario by now */
        if (report_verdict_of(now) != REPORT_PASSED || report_verdict_of(then) != REPORT_PASSED)
            continue;
        bool slower = after - before >= COMPARE_LEAST_US && after >= before * COMPARE_FACTOR;
        bool faster = before - after >= COMPARE_LEAST_US && before >= after * COMPARE_FACTOR;
        if (!slower && !faster)
            continue;
        struct bv_bytes a = html_duration(&words, before), b = html_duration(&words, after);
        char *told = bv_arena_format(pair->newer->arena,
                                     "step %zu: %.*s (%.*s, was %.*s)",
                                     i + 1,
                                     BV_ARG(text),
                                     BV_ARG(b),
                                     BV_ARG(a));
        note(pair, slower ? "slower" : "faster", slower, bv_bytes_of(told ? told : ""));
    }
}

struct kind {
    struct bv_bytes actor, type;
    int now, then;
};

static void count_kinds(const struct pair *pair,
                        const struct report_scenario *scenario,
                        bool newer,
                        struct kind *kinds,
                        size_t *count)
{
    struct bv_bytes run = text_of(scenario->record, "run");
    for (size_t i = 0; i < scenario->messages.count; i++) {
        const struct bv_json *message = scenario->messages.list[i];
        struct bv_bytes actor = text_of(message, "actor");
        struct bv_bytes type = general(pair->newer, text_of(message, "type"), run);
        size_t k = 0;
        /* Answers follow from the steps; what others send is what a run may lose. */
        if (!bv_bytes_equal(text_of(message, "direction"), BV_BYTES("received")) || !type.size ||
            bv_json_get(message, "answers"))
            continue;
        while (k < *count &&
               !(bv_bytes_equal(kinds[k].actor, actor) && bv_bytes_equal(kinds[k].type, type)))
            k++;
        if (k == *count)
            kinds[(*count)++] = (struct kind){.actor = actor, .type = type};
        kinds[k].now += newer;
        kinds[k].then += !newer;
    }
}

static void compare_messages(const struct pair *pair)
{
    enum {
        MESSAGES_COMPARED = 2000, /* the list is walked for each */
        MISSING_AFTER_RED = 2,    /* the first ones tell; the others could not come any more */
    };
    size_t count = 0, most = pair->now->messages.count + pair->then->messages.count;
    struct kind *kinds = bv_arena_array(pair->newer->arena, struct kind, most + 1);
    if (!kinds || most > MESSAGES_COMPARED)
        return;
    count_kinds(pair, pair->then, false, kinds, &count);
    count_kinds(pair, pair->now, true, kinds, &count);
    bool red = report_is_red(report_scenario_verdict(pair->now));
    size_t missing = 0;
    for (size_t k = 0; k < count; k++) {
        if (kinds[k].then && !kinds[k].now && (!red || missing++ < MISSING_AFTER_RED))
            note(pair, "missing", true, joined(pair, kinds[k].actor, kinds[k].type));
        if (kinds[k].now && !kinds[k].then)
            note(pair, "new", false, joined(pair, kinds[k].actor, kinds[k].type));
    }
}

static const struct report_scenario *same_name(const struct report *report, struct bv_bytes name)
{
    for (size_t i = 0; i < report->scenario_count; i++)
        if (bv_bytes_equal(text_of(report->scenarios[i].record, "name"), name))
            return &report->scenarios[i];
    return NULL;
}

void compare_runs(const struct report *newer, const struct report *older, struct comparison *ret)
{
    *ret = (struct comparison){0};
    for (size_t i = 0; i < newer->scenario_count; i++) {
        const struct report_scenario *now = &newer->scenarios[i];
        const struct report_scenario *then = same_name(older, text_of(now->record, "name"));
        struct pair pair = {newer, now, then, i, ret};
        if (!then) {
            note(&pair, "new", false, BV_BYTES("the scenario itself"));
            continue;
        }
        for (size_t n = 0; n < now->steps.count; n++)
            if (report_is_red(report_verdict_of(now->steps.list[n]))) {
                char *text = bv_arena_format(newer->arena,
                                             "step %zu: %.*s",
                                             n + 1,
                                             BV_ARG(text_of(now->steps.list[n], "text")));
                note(&pair, "was green", true, bv_bytes_of(text ? text : ""));
                break;
            }
        compare_messages(&pair);
        compare_steps(&pair);
    }
}

/* ---- markup ---- */

void put_comparison(struct html *html,
                    const struct report *newer,
                    const struct report *older,
                    const struct comparison *comparison)
{
    size_t last = SIZE_MAX;
    if (!older->run)
        return;
    html_put(html,
             "<details class=\"env since\"><summary>Since the last green run <span "
             "class=\"dim\">{} · {}</span></summary>\n",
             text_of(older->run, "run"),
             comparison->count
                 ? html_count(html, comparison->count + comparison->left_out, "difference")
                 : BV_BYTES("nothing changed beyond noise"));
    if (comparison->count)
        html_raw(html, "<ul>\n");
    for (size_t i = 0; i < comparison->count; i++) {
        const struct compare_line *line = &comparison->lines[i];
        html_put(html, "<li>");
        if (line->scenario != last)
            html_put(html,
                     "<a href=\"#s{}\">{}</a>",
                     html_int(html, (int64_t)line->scenario + 1),
                     text_of(newer->scenarios[line->scenario].record, "name"));
        last = line->scenario;
        html_put(html,
                 "<p><b class=\"{}\">{}</b> <span class=\"mono\">{}</span></p></li>\n",
                 line->bad ? BV_BYTES("t-failed") : BV_BYTES("dim"),
                 bv_bytes_of(line->what),
                 line->text);
    }
    if (comparison->count)
        html_raw(html, "</ul>\n");
    if (comparison->left_out)
        html_put(html,
                 "<p class=\"dim\">and {} more</p>\n",
                 html_int(html, (int64_t)comparison->left_out));
    html_raw(html, "</details>\n");
}
