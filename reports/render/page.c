#include "page.h"

#include "bv/fs.h"

#include "compare.h"
#include "data.h"
#include "scenario.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

extern const struct bv_bytes report_css;
extern const char report_css_sha256[65];
extern const struct bv_bytes report_js;
extern const char report_js_sha256[65];
extern const struct bv_bytes report_latency_js;
extern const char report_latency_js_sha256[65];
extern const struct bv_bytes report_theme_js;
extern const char report_theme_js_sha256[65];

enum {
    COMMIT_BYTES = 7,       /* as git abbreviates */
    SCENARIOS_IN_PAGE = 24, /* with more, the page holds their heads and the data the rest */
};

static struct bv_bytes text_of(const struct bv_json *record, const char *member)
{
    struct bv_bytes text = bv_json_string(bv_json_get(record, member));
    return text.data ? text : BV_BYTES("");
}

static struct bv_bytes story_of(const struct report *report)
{
    struct bv_bytes story = text_of(report->run, "story");
    return story.size ? story : BV_BYTES("run");
}

/* ---- head and tool bar ---- */

static void put_head(struct html *html, const struct report *report)
{
    char style[64], theme[64], latency[64], script[64];
    report_csp_source(report_css_sha256, style);
    report_csp_source(report_theme_js_sha256, theme);
    report_csp_source(report_latency_js_sha256, latency);
    report_csp_source(report_js_sha256, script);
    html_raw(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html_put(html,
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
             "data:; base-uri 'none'; "
             "form-action 'none'; style-src '{}'; script-src '{}' '{}' '{}'\">\n",
             bv_bytes_of(style),
             bv_bytes_of(theme),
             bv_bytes_of(latency),
             bv_bytes_of(script));
    html_put(html,
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta "
             "name=\"color-scheme\" "
             "content=\"light dark\">\n<title>{}: {}</title>\n",
             story_of(report),
             bv_bytes_of(report_verdict_word(report_run_verdict(report))));
    html_raw(html, "<style>");
    html_asset(html, report_css);
    html_raw(html, "</style>\n<script>");
    html_asset(html, report_theme_js);
    html_raw(html, "</script>\n</head>\n");
}

static void put_filters(struct html *html, const size_t counts[REPORT_VERDICTS])
{
    html_raw(html,
             "<div class=\"filters\" role=\"group\" aria-label=\"Show scenarios by verdict\">\n"
             "<button type=\"button\" aria-pressed=\"true\" data-filter=\"all\">All</button>\n");
    for (int v = 0; v < REPORT_VERDICTS; v++)
        if (counts[v])
            html_put(html,
                     "<button type=\"button\" aria-pressed=\"false\" data-filter=\"{}\" "
                     "class=\"f-{}\">{} "
                     "<span class=\"n\">{}</span></button>\n",
                     bv_bytes_of(report_verdict_word((enum report_verdict)v)),
                     bv_bytes_of(report_verdict_word((enum report_verdict)v)),
                     bv_bytes_of(report_verdict_title((enum report_verdict)v)),
                     html_int(html, (int64_t)counts[v]));
    html_raw(html, "</div>\n");
}

static void
put_bar(struct html *html, const struct report *report, const size_t counts[REPORT_VERDICTS])
{
    enum report_verdict verdict = report_run_verdict(report);
    html_put(html,
             "<body>\n<a class=\"skip\" href=\"#scenarios\">Skip to the scenarios</a>\n<header "
             "class=\"bar\">\n"
             "<a class=\"brand\" href=\"#top\"><span class=\"v v-{}\" "
             "aria-hidden=\"true\"></span><b>BitVelocity</b> "
             "<span class=\"story\">{}</span></a>\n",
             bv_bytes_of(report_verdict_word(verdict)),
             story_of(report));
    html_raw(html,
             "<search class=\"find\"><label class=\"sr\" for=\"q\">Search steps, messages and "
             "headers</label>"
             "<input id=\"q\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" "
             "placeholder=\"Search steps, messages, headers\"><kbd aria-hidden=\"true\">/</kbd>"
             "<output id=\"hits\" for=\"q\"></output></search>\n");
    put_filters(html, counts);
    html_raw(html,
             "<div class=\"tools\"><button type=\"button\" id=\"theme\" title=\"Theme "
             "(t)\">Theme</button>"
             "<button type=\"button\" id=\"help\" title=\"Keys (?)\" aria-label=\"Keyboard "
             "shortcuts\">?</button></div>\n"
             "</header>\n");
}

/* ---- verdict ---- */

static void
put_headline(struct html *html, const struct report *report, const size_t counts[REPORT_VERDICTS])
{
    enum report_verdict verdict = report_run_verdict(report);
    size_t all = report->scenario_count;
    html_put(html,
             "<h1 class=\"t-{}\"><span class=\"v v-{} big\" aria-hidden=\"true\"></span>",
             bv_bytes_of(report_verdict_word(verdict)),
             bv_bytes_of(report_verdict_word(verdict)));
    struct bv_bytes scenarios = html_count(html, all, "scenario");
    if (verdict == REPORT_PASSED)
        html_put(html, "{} passed", html_count(html, counts[REPORT_PASSED], "scenario"));
    else if (counts[REPORT_FAILED])
        html_put(
            html, "{} of {} failed", html_int(html, (int64_t)counts[REPORT_FAILED]), scenarios);
    else if (counts[REPORT_BROKEN])
        html_put(html,
                 "The lab broke in {} of {}",
                 html_int(html, (int64_t)counts[REPORT_BROKEN]),
                 scenarios);
    else if (verdict == REPORT_BROKEN)
        html_raw(html, "The lab itself failed");
    else if (verdict == REPORT_FAILED)
        html_raw(html, "The run failed");
    else if (verdict == REPORT_SKIPPED)
        html_put(html, "{} skipped", scenarios);
    else
        html_put(html,
                 "The run did not finish: {} of {} passed",
                 html_int(html, (int64_t)counts[REPORT_PASSED]),
                 scenarios);
    if (counts[REPORT_FAILED] && counts[REPORT_BROKEN])
        html_put(html, ", {} broken", html_int(html, (int64_t)counts[REPORT_BROKEN]));
    if (counts[REPORT_SKIPPED] && verdict != REPORT_SKIPPED)
        html_put(html, ", {} skipped", html_int(html, (int64_t)counts[REPORT_SKIPPED]));
    html_raw(html, "</h1>\n");
}

static void fact(struct html *html, const char *name, struct bv_bytes value, struct bv_bytes detail)
{
    if (!value.size)
        return;
    html_put(html, "<div><dt>{}</dt><dd>{}", bv_bytes_of(name), value);
    if (detail.size)
        html_put(html, " <span class=\"dim\">{}</span>", detail);
    html_raw(html, "</dd></div>\n");
}

static size_t count_all(const struct report *report, size_t *ret_steps)
{
    size_t messages = 0;
    *ret_steps = 0;
    for (size_t i = 0; i < report->scenario_count; i++) {
        messages += report->scenarios[i].messages.count;
        *ret_steps += report->scenarios[i].steps.count;
    }
    return messages;
}

static void put_facts(struct html *html, const struct report *report)
{
    const struct bv_json *stack = bv_json_get(report->environment, "stack");
    const struct bv_json *host = bv_json_get(report->environment, "host");
    const struct bv_json *contracts = bv_json_get(report->end, "contracts");
    size_t steps = 0;
    size_t messages = count_all(report, &steps);
    html_raw(html, "<dl class=\"facts\">\n");
    fact(html, "Planted bug", text_of(report->run, "break"), BV_BYTES("on purpose"));
    fact(html,
         "Duration",
         html_duration(html, report_last_us(report)),
         html_count(html, steps, "step"));
    html_put(html,
             "<div><dt>Started</dt><dd><time datetime=\"{}\">{}</time></dd></div>\n",
             text_of(report->run, "startedAt"),
             text_of(report->run, "startedAt"));
    fact(html, "Messages", html_int(html, (int64_t)messages), BV_BYTES("sent and received"));
    if (contracts)
        html_put(html,
                 "<div><dt>Contracts</dt><dd>{} checked <span class=\"{}\">{} "
                 "violated</span></dd></div>\n",
                 html_int(html, bv_json_int(bv_json_get(contracts, "checked"), 0)),
                 bv_json_int(bv_json_get(contracts, "violated"), 0) ? BV_BYTES("t-failed")
                                                                    : BV_BYTES("dim"),
                 html_int(html, bv_json_int(bv_json_get(contracts, "violated"), 0)));
    if (stack)
        fact(html,
             "Stack ready in",
             html_duration(html, bv_json_int(bv_json_get(stack, "bootMs"), 0) * 1000),
             html_count(html, bv_json_size(bv_json_get(report->environment, "parts")), "process"));
    if (bv_json_int(bv_json_get(stack, "rssBytes"), 0))
        fact(html,
             "Stack memory",
             html_size(html, bv_json_int(bv_json_get(stack, "rssBytes"), 0)),
             BV_BYTES("resident"));
    if (host)
        fact(html,
             "Machine",
             html_count(html, (size_t)bv_json_int(bv_json_get(host, "cpus"), 0), "core"),
             html_size(html, bv_json_int(bv_json_get(host, "memoryBytes"), 0)));
    struct bv_bytes commit = text_of(report->run, "commit");
    if (commit.size > COMMIT_BYTES)
        commit.size = COMMIT_BYTES;
    fact(html, "Commit", commit, BV_BYTES(""));
    html_raw(html, "</dl>\n");
}

static void put_process(struct html *html,
                        const struct bv_json *part,
                        const struct report_logs *logs,
                        int64_t slowest_ms)
{
    struct bv_bytes name = text_of(part, "name");
    int64_t ready_ms = bv_json_int(bv_json_get(part, "readyMs"), -1);
    html_put(html,
             "<tr><th scope=\"row\">{}</th><td>{} <span class=\"dim\">{}</span></td>",
             name,
             text_of(part, "kind"),
             text_of(part, "version"));
    if (ready_ms >= 0)
        html_put(html,
                 "<td class=\"num\">{}</td><td class=\"ready\"><svg class=\"meter\" viewBox=\"0 0 "
                 "100 6\" "
                 "preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{}\" "
                 "height=\"6\"/></svg></td>",
                 html_duration(html, ready_ms * 1000),
                 html_real(html, slowest_ms ? 100.0 * (double)ready_ms / (double)slowest_ms : 0));
    else
        html_raw(html, "<td></td><td></td>");
    html_put(html, "<td class=\"mono\">{}</td><td>", text_of(part, "url"));
    for (size_t i = 0; i < logs->part_count; i++) {
        const struct report_log_part *log = &logs->parts[i];
        if (!bv_bytes_equal(log->name, name))
            continue;
        if (log->missing)
            html_raw(html, "<span class=\"dim\">no log</span>");
        else
            html_put(html, "{}", html_count(html, log->kept, "line"));
        if (log->left_out)
            html_put(html,
                     " <span class=\"dim\">+ {} left out</span>",
                     html_int(html, (int64_t)log->left_out));
    }
    html_raw(html, "</td></tr>\n");
}

static void
put_environment(struct html *html, const struct report *report, const struct report_logs *logs)
{
    const struct bv_json *parts = bv_json_get(report->environment, "parts");
    const struct bv_json *host = bv_json_get(report->environment, "host");
    struct bv_bytes again = text_of(report->run, "reproduce");
    if (again.size)
        put_command(html, again);
    if (!bv_json_size(parts))
        return;
    int64_t slowest_ms = 0;
    for (struct bv_json_iter it = bv_json_iter(parts); bv_json_next(&it);)
        if (bv_json_int(bv_json_get(it.value, "readyMs"), 0) > slowest_ms)
            slowest_ms = bv_json_int(bv_json_get(it.value, "readyMs"), 0);
    html_put(html,
             "<details class=\"env\"><summary>Environment <span class=\"dim\">{} · {} · {} · "
             "{}</span></summary>\n",
             html_count(html, bv_json_size(parts), "process"),
             text_of(host, "os"),
             text_of(host, "kernel"),
             text_of(bv_json_get(report->environment, "stack"), "isolation"));
    html_raw(
        html,
        "<section class=\"scroll\" tabindex=\"0\" aria-label=\"Processes of the "
        "stack\"><table>\n<thead><tr>"
        "<th scope=\"col\">Process</th><th scope=\"col\">Kind</th>"
        "<th scope=\"col\" class=\"num\">Ready after</th><td></td><th scope=\"col\">Address</th>"
        "<th scope=\"col\">Log kept</th></tr></thead>\n<tbody>\n");
    for (struct bv_json_iter it = bv_json_iter(parts); bv_json_next(&it);)
        put_process(html, it.value, logs, slowest_ms);
    html_raw(html, "</tbody></table></section></details>\n");
}

/* ---- notes on the reading itself ---- */

static void put_unknown(struct html *html, const struct report *report)
{
    html_put(html,
             "<li>{} of a kind that this report does not know:",
             html_count(html, report->unknown_records, "record"));
    for (size_t i = 0; i < report->unknown_kinds; i++)
        html_put(html,
                 " <code>{}</code> ({})",
                 report->unknown[i].name,
                 html_int(html, (int64_t)report->unknown[i].count));
    html_raw(html, " left out.</li>\n");
}

static void put_notes(struct html *html,
                      const struct report *report,
                      const struct report_logs *logs,
                      size_t cap)
{
    size_t left_out = 0;
    for (size_t i = 0; i < logs->part_count; i++)
        left_out += logs->parts[i].left_out;
    bool unfinished = !report->end;
    if (!report->bad_lines && !report->unknown_records && !report->strays && !unfinished &&
        cap == SIZE_MAX && !left_out)
        return;
    html_raw(html, "<aside class=\"notes\" aria-label=\"Notes on this report\"><ul>\n");
    if (unfinished)
        html_raw(html,
                 "<li>The results have no end: the run was stopped, or is still going on.</li>\n");
    if (report->bad_lines)
        html_put(html,
                 "<li>{} of results.jsonl could not be read and is left out (line {}: {}).</li>\n",
                 html_count(html, report->bad_lines, "line"),
                 html_int(html, (int64_t)report->bad_line_first),
                 report->bad_reason.data ? report->bad_reason : BV_BYTES(""));
    if (report->unknown_records)
        put_unknown(html, report);
    if (report->strays)
        html_put(html,
                 "<li>{} of scenarios that never began left out.</li>\n",
                 html_count(html, report->strays, "record"));
    if (cap != SIZE_MAX)
        html_put(html,
                 "<li>Bodies over {} are cut in this page; results.jsonl has them whole.</li>\n",
                 html_size(html, (int64_t)cap));
    if (left_out)
        html_put(html,
                 "<li>{} left out; the logs folder has them.</li>\n",
                 html_count(html, left_out, "log line"));
    html_raw(html, "</ul></aside>\n");
}

/* ---- the page ---- */

static void put_navigation(struct html *html, const struct report *report)
{
    double whole = (double)report_last_us(report);
    bool many = report->scenario_count > SCENARIOS_IN_PAGE; /* the overview has their bars */
    html_put(html,
             "<nav aria-label=\"Scenarios\" class=\"{}\"><div class=\"head\"><h2>Scenarios</h2>"
             "<a href=\"#latency\" class=\"to\">Latency</a></div>\n<ol>\n",
             many ? BV_BYTES("many") : BV_BYTES("few"));
    for (size_t i = 0; i < report->scenario_count; i++) {
        const struct report_scenario *scenario = &report->scenarios[i];
        enum report_verdict verdict = report_scenario_verdict(scenario);
        double length = (double)(scenario->end_us - scenario->us);
        html_put(html,
                 "<li data-s=\"{}\"><a href=\"#s{}\"><span class=\"v v-{}\"></span><span "
                 "class=\"name\">{}"
                 "<span class=\"sr\">, {}</span></span><span class=\"num\">{}</span>",
                 html_int(html, (int64_t)i),
                 html_int(html, (int64_t)i + 1),
                 bv_bytes_of(report_verdict_word(verdict)),
                 text_of(scenario->record, "name"),
                 bv_bytes_of(report_verdict_word(verdict)),
                 html_duration(html, scenario->end_us - scenario->us));
        if (!many)
            html_put(html,
                     "<svg class=\"span\" viewBox=\"0 0 1000 4\" preserveAspectRatio=\"none\" "
                     "aria-hidden=\"true\"><rect class=\"r-{}\" "
                     "x=\"{}\" width=\"{}\" height=\"4\"/></svg>",
                     bv_bytes_of(report_verdict_word(verdict)),
                     html_real(html, whole > 0 ? 1000 * (double)scenario->us / whole : 0),
                     html_real(html,
                               whole > 0 && length * 1000 / whole > 6 ? length * 1000 / whole : 6));
        html_raw(html, "</a></li>\n");
    }
    html_raw(html, "</ol></nav>\n");
}

/* ---- data: plain while it is small, else packed ---- */

#define DATA_PLAIN_BYTES_MAX ((size_t)768 << 10)
#define DATA_PACKED_BYTES_MAX ((size_t)1400 << 10) /* of the page, and for each scenario … */
#define DATA_PACKED_SCENARIO_BYTES_MAX ((size_t)16 << 10) /* … of a larger run */

/* What the page is made of beside the records. */
struct content {
    struct cause *causes;    /* arena, one per scenario */
    struct bv_bytes *folded; /* arena, one per scenario */
    struct report older;     /* owned; the last green run, all-zero: none */
    struct comparison since; /* with it */
    struct html data;        /* owned */
    struct bv_buf packed;    /* owned; base64 of the deflated data, empty: plain */
    size_t cap;
};

static void content_release(struct content *content)
{
    html_release(&content->data);
    bv_buf_release(&content->packed);
    report_release(&content->older);
    *content = (struct content){0};
}

static int pack(struct bv_bytes data, struct bv_buf *ret_packed)
{
    uLongf size = compressBound((uLong)data.size);
    Bytef *deflated = malloc(size);
    char *text = NULL;
    int rc = BV_E_NOMEM;
    if (deflated &&
        compress2(deflated, &size, (const Bytef *)data.data, (uLong)data.size, 6) == Z_OK &&
        (text = malloc(bv_base64_size(size) + 1)))
        rc = bv_buf_append(ret_packed, text, bv_base64_encode(deflated, size, text));
    free(text);
    free(deflated);
    return rc;
}

/* Scenarios but the open ones, rendered beside the page. */
static int fold(struct html *html, const struct report *report, struct content *content)
{
    for (size_t i = 0; report->scenario_count > SCENARIOS_IN_PAGE && i < report->scenario_count;
         i++) {
        bv_auto(html_release) struct html inside = {.out.max = html->out.max,
                                                    .scratch.max = html->scratch.max};
        if (scenario_is_open(report, i))
            continue;
        put_scenario_inside(&inside, report, &content->causes[i], i);
        content->folded[i] = bv_arena_copy(report->arena, bv_buf_view(&inside.out));
        html->redacted += inside.redacted;
        if (inside.out.failed || !content->folded[i].data)
            return BV_E_LIMIT;
    }
    return 0;
}

static int write_data(struct content *content,
                      const struct report *report,
                      const struct report_logs *logs,
                      size_t bodies_max)
{
    const struct report_data input = {report, logs, content->causes, content->folded, bodies_max};
    content->data.out.size = 0;
    content->data.redacted = 0;
    content->packed.size = 0;
    BV_TRY(report_data_write(&content->data, &input, &content->cap));
    if (content->data.out.size <= DATA_PLAIN_BYTES_MAX)
        return 0;
    return pack(bv_buf_view(&content->data.out), &content->packed);
}

static int make_content(struct html *html,
                        const struct report *report,
                        const struct report_logs *logs,
                        struct content *content)
{
    size_t room = DATA_PACKED_BYTES_MAX;
    if (report->scenario_count > SCENARIOS_IN_PAGE)
        room += report->scenario_count * DATA_PACKED_SCENARIO_BYTES_MAX;
    content->data = (struct html){.out.max = html->out.max, .scratch.max = html->scratch.max};
    content->packed.max = html->out.max;
    content->causes = bv_arena_array(report->arena, struct cause, report->scenario_count + 1);
    content->folded = bv_arena_array(report->arena, struct bv_bytes, report->scenario_count + 1);
    if (!content->causes || !content->folded)
        return BV_E_LIMIT;
    for (size_t i = 0; i < report->scenario_count; i++)
        cause_find(report, &report->scenarios[i], &content->causes[i]);
    BV_TRY(fold(html, report, content));
    BV_TRY(write_data(content, report, logs, REPORT_BODY_BYTES_MAX));
    if (content->packed.size > room)
        return write_data(content, report, logs, REPORT_BODY_BYTES_SHORT);
    return 0;
}

static void put_data(struct html *html, const struct content *content)
{
    if (content->packed.size) {
        html_raw(html, "<script type=\"application/octet-stream\" id=\"data\">");
        html_asset(html, bv_buf_view(&content->packed));
    } else {
        html_raw(html, "<script type=\"application/json\" id=\"data\">");
        html_asset(html, bv_buf_view(&content->data.out));
    }
    html_raw(html, "</script>\n");
}

static void put_page(struct html *html,
                     const struct report *report,
                     const struct report_logs *logs,
                     const struct content *content)
{
    size_t counts[REPORT_VERDICTS];
    report_count(report, counts);
    put_head(html, report);
    put_bar(html, report, counts);
    html_raw(html, "<main id=\"top\">\n<section class=\"hero\" aria-label=\"Verdict\">\n");
    put_headline(html, report, counts);
    struct bv_bytes sentence = text_of(report->end, "error");
    if (sentence.size)
        html_put(html, "<p class=\"error\">{}</p>\n", sentence);
    html_raw(html, "</section>\n");
    put_failures(html, report, content->causes);
    html_raw(html, "<section class=\"about-run\" aria-label=\"The run\">\n");
    put_facts(html, report);
    put_environment(html, report, logs);
    put_comparison(html, report, &content->older, &content->since);
    html_raw(html, "</section>\n");
    put_notes(html, report, logs, content->cap);
    if (report->scenario_count > 1)
        html_raw(html, "<figure class=\"run\" id=\"overview\"></figure>\n");
    html_raw(html, "<div class=\"columns\">\n");
    put_navigation(html, report);
    html_raw(
        html,
        "<div>\n<section id=\"scenarios\" aria-label=\"Scenarios\" tabindex=\"-1\">\n<noscript><p "
        "class=\"notes\">Messages, timelines and logs are shown "
        "by a script, which is off.</p></noscript>\n");
    for (size_t i = 0; i < report->scenario_count; i++)
        put_scenario_section(html, report, &content->causes[i], i, content->folded[i].size > 0);
    html_raw(html,
             "<p id=\"nothing\" class=\"nothing\" hidden>Nothing matches.</p>\n</section>\n"
             "<section id=\"latency\" class=\"latency\" aria-label=\"Latency\" "
             "tabindex=\"-1\"></section>\n</div></div>\n");
    put_data(html, content);
    html_put(html,
             "</main>\n<footer><p>{} · one file, nothing is loaded · {} redacted by the "
             "report</p></footer>\n",
             text_of(report->run, "run"),
             html_count(html, html->redacted + content->data.redacted, "secret"));
    html_raw(html, "<script>");
    html_asset(html, report_latency_js);
    html_raw(html, "</script>\n<script>");
    html_asset(html, report_js);
    html_raw(html, "</script>\n</body>\n</html>\n");
}

int report_page_of(struct bv_bytes results,
                   const char *folder,
                   struct html *html,
                   struct bv_error *error)
{
    bv_auto(report_release) struct report report = {0};
    bv_auto(content_release) struct content content = {0};
    struct report_logs logs = {0};
    BV_TRY(report_read(results, &report, error));
    int rc = folder ? report_logs_read(&report, folder, &logs) : 0;
    if (folder && compare_find(folder, &report, &content.older) == 0)
        compare_runs(&report, &content.older, &content.since);
    if (rc == 0)
        rc = make_content(html, &report, &logs, &content);
    if (rc == 0)
        put_page(html, &report, &logs, &content);
    if (rc == 0 && html->out.failed)
        rc = BV_E_TOO_LARGE;
    return rc < 0 ? bv_fail(error, rc, "the report does not fit its memory") : 0;
}

int report_page(const char *folder, struct html *html, struct bv_error *error)
{
    char path[BV_PATH_MAX];
    bv_auto(bv_buf_release) struct bv_buf results = {.max = REPORT_FILE_BYTES_MAX};
    BV_TRY(bv_path(path, error, "%s/results.jsonl", folder));
    BV_TRY(bv_fs_read(path, &results, error));
    return report_page_of(bv_buf_view(&results), folder, html, error);
}
