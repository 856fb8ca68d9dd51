#include "scenario.h"

#include <string.h>

static struct bv_bytes text_of(const struct bv_json *record, const char *member)
{
    struct bv_bytes text = bv_json_string(bv_json_get(record, member));
    return text.data ? text : BV_BYTES("");
}

static struct bv_bytes word(enum report_verdict verdict)
{
    return bv_bytes_of(report_verdict_word(verdict));
}

void put_command(struct html *html, struct bv_bytes command)
{
    html_put(html,
             "<div class=\"cmd\"><span class=\"sr\">Run it again: </span><code>{}</code>"
             "<button type=\"button\" class=\"copy\" data-copy=\"{}\">Copy</button></div>\n",
             command,
             command);
}

static int64_t length_of(const struct report_scenario *scenario)
{
    int64_t us = bv_json_int(bv_json_get(scenario->end, "durationUs"), -1);
    return us >= 0 ? us : scenario->end_us - scenario->us;
}

bool scenario_is_open(const struct report *report, size_t index)
{
    size_t first_red = 0;
    while (first_red < report->scenario_count &&
           !report_is_red(report_scenario_verdict(&report->scenarios[first_red])))
        first_red++;
    if (first_red == report->scenario_count)
        return index == 0;
    return index == first_red;
}

/* ---- steps ---- */

/* Step text with its quoted words set apart. */
static void put_step_text(struct html *html, struct bv_bytes text)
{
    bool quoted = false;
    while (text.size) {
        const char *quote = memchr(text.data + (quoted ? 1 : 0), '"', text.size - (quoted ? 1 : 0));
        size_t size = quote ? (size_t)(quote - text.data) + (quoted ? 1 : 0) : text.size;
        struct bv_bytes piece = {text.data, size};
        if (quoted && quote)
            html_put(html, "<i>{}</i>", piece);
        else
            html_text(html, piece);
        quoted = quote && !quoted;
        text = (struct bv_bytes){text.data + size, text.size - size};
    }
}

static void put_table(struct html *html, const struct bv_json *table)
{
    if (!bv_json_size(table))
        return;
    html_raw(html, "<table class=\"cells\"><tbody>\n");
    for (struct bv_json_iter row = bv_json_iter(table); bv_json_next(&row);) {
        html_raw(html, "<tr>");
        for (struct bv_json_iter cell = bv_json_iter(row.value); bv_json_next(&cell);)
            html_put(html, "<td>{}</td>", bv_json_string(cell.value));
        html_raw(html, "</tr>\n");
    }
    html_raw(html, "</tbody></table>\n");
}

static void put_sides(struct html *html, const struct bv_json *step)
{
    struct bv_bytes expected = text_of(step, "expected");
    struct bv_bytes actual = text_of(step, "actual");
    if (expected.size || actual.size)
        html_put(html,
                 "<dl class=\"diff\"><div><dt>Expected</dt><dd><pre>{}</pre></dd></div>"
                 "<div><dt>Actual</dt><dd><pre>{}</pre></dd></div></dl>\n",
                 expected,
                 actual);
}

static void put_difference(struct html *html, const struct bv_json *step)
{
    struct bv_bytes error = text_of(step, "error");
    struct bv_bytes expected = text_of(step, "expected");
    struct bv_bytes actual = text_of(step, "actual");
    if (!error.size && !expected.size && !actual.size)
        return;
    html_put(html, "<div class=\"fail fail-{}\">\n", word(report_verdict_of(step)));
    if (error.size)
        html_put(html, "<p class=\"why\">{}</p>\n", error);
    put_sides(html, step);
    html_raw(html, "</div>\n");
}

static void
put_step_body(struct html *html, const struct report_scenario *scenario, const struct bv_json *step)
{
    struct bv_bytes doc = text_of(step, "docString");
    struct bv_bytes reason = text_of(step, "reason");
    struct bv_bytes file = text_of(step, "file");
    put_difference(html, step);
    if (reason.size)
        html_put(html, "<p class=\"reason\">Skipped: {}</p>\n", reason);
    if (doc.size)
        html_put(html, "<pre class=\"doc\">{}</pre>\n", doc);
    put_table(html, bv_json_get(step, "table"));
    html_raw(html, "<div class=\"fill\"></div>\n");
    html_put(html,
             "<p class=\"place dim\"><span class=\"mono\">{}:{}</span></p>\n",
             file.size ? file : text_of(scenario->feature, "file"),
             html_int(html, bv_json_int(bv_json_get(step, "line"), 0)));
}

static void
put_step(struct html *html, const struct report_scenario *scenario, size_t index, size_t number)
{
    const struct bv_json *step = scenario->steps.list[number];
    enum report_verdict verdict = report_verdict_of(step);
    int64_t us = bv_json_int(bv_json_get(step, "us"), 0) - scenario->us;
    int64_t duration_us = bv_json_int(bv_json_get(step, "durationUs"), 0);
    double whole = (double)(scenario->end_us - scenario->us);
    double width = whole > 0 ? 1000 * (double)duration_us / whole : 0;
    size_t messages = bv_json_size(bv_json_get(step, "messages"));
    bool background = bv_json_bool(bv_json_get(step, "background"), false);
    html_put(html,
             "<li class=\"step{}\" id=\"s{}-{}\" data-v=\"{}\" data-n=\"{}\"><details{}><summary>",
             background ? BV_BYTES(" back") : BV_BYTES(""),
             html_int(html, (int64_t)index + 1),
             html_int(html, (int64_t)number + 1),
             word(verdict),
             html_int(html, (int64_t)number),
             report_is_red(verdict) ? BV_BYTES(" open") : BV_BYTES(""));
    html_put(html,
             "<span class=\"v v-{}\"></span><span class=\"sr\">{}: </span><span "
             "class=\"what\"><b>{}</b> ",
             word(verdict),
             bv_bytes_of(report_verdict_title(verdict)),
             text_of(step, "keyword"));
    put_step_text(html, text_of(step, "text"));
    html_raw(html, "</span>");
    html_put(html,
             "<span class=\"count\">{}</span>",
             messages ? html_count(html, messages, "message") : BV_BYTES(""));
    html_put(html,
             "<svg class=\"span\" viewBox=\"0 0 1000 6\" preserveAspectRatio=\"none\" "
             "aria-hidden=\"true\"><rect class=\"r-{}\" x=\"{}\" "
             "width=\"{}\" height=\"6\"/></svg><span class=\"num\">{}</span></summary>\n<div "
             "class=\"body\">\n",
             word(verdict),
             html_real(html, whole > 0 ? 1000 * (double)us / whole : 0),
             html_real(html, width > 8 ? width : 8),
             verdict == REPORT_SKIPPED ? BV_BYTES("–") : html_duration(html, duration_us));
    put_step_body(html, scenario, step);
    html_raw(html, "</div></details></li>\n");
}

/* ---- scenario ---- */

static bool has_tag(const struct bv_json *record, struct bv_bytes tag)
{
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(record, "tags")); bv_json_next(&it);)
        if (bv_bytes_equal(bv_json_string(it.value), tag))
            return true;
    return false;
}

/* Its own tags: those of the feature say nothing about one scenario. */
static void put_tags(struct html *html, const struct report_scenario *scenario)
{
    const struct bv_json *tags = bv_json_get(scenario->record, "tags");
    for (struct bv_json_iter it = bv_json_iter(tags); bv_json_next(&it);)
        if (!has_tag(scenario->feature, bv_json_string(it.value)))
            html_put(html, "<span class=\"tag\">{}</span> ", bv_json_string(it.value));
}

static void put_feature(struct html *html, const struct bv_json *feature)
{
    html_put(html,
             "<header class=\"feature\"><h2>{} <span class=\"dim mono\">{}</span></h2><p "
             "class=\"about\">{}</p></header>\n",
             text_of(feature, "name"),
             text_of(feature, "file"),
             text_of(feature, "description"));
}

static void put_scenario_head(struct html *html,
                              const struct report_scenario *scenario,
                              size_t index,
                              bool open)
{
    enum report_verdict verdict = report_scenario_verdict(scenario);
    html_put(html,
             "<details class=\"scenario\" id=\"s{}\" data-s=\"{}\" data-v=\"{}\"{}>\n<summary>",
             html_int(html, (int64_t)index + 1),
             html_int(html, (int64_t)index),
             word(verdict),
             open ? BV_BYTES(" open") : BV_BYTES(""));
    html_put(html,
             "<span class=\"v v-{}\"></span><h3><span class=\"sr\">{}: </span>{}</h3><span "
             "class=\"tags\">",
             word(verdict),
             bv_bytes_of(report_verdict_title(verdict)),
             text_of(scenario->record, "name"));
    put_tags(html, scenario);
    html_put(html,
             "</span><span class=\"count\">{}</span><span class=\"count\">{}</span><span "
             "class=\"num\">{}</span></summary>\n",
             html_count(html, scenario->steps.count, "step"),
             html_count(html, scenario->messages.count, "message"),
             html_duration(html, length_of(scenario)));
}

/* The hop and what happened there; the step says what it wanted further down. */
static void put_cause(struct html *html, const struct cause *cause, size_t index)
{
    if (!cause->sentence.size)
        return;
    html_raw(html, "<p class=\"hop\">");
    if (cause->hop.size)
        html_put(html, "<b>{}</b> ", cause->hop);
    html_put(html, "<span>{}</span></p>\n", cause->sentence);
    if (!cause->fact_count)
        return;
    html_raw(html, "<dl class=\"trail\">");
    for (size_t i = 0; i < cause->fact_count; i++) {
        const struct cause_fact *fact = &cause->facts[i];
        html_put(html, "<div><dt>{}</dt><dd>", bv_bytes_of(fact->name));
        if (fact->message)
            html_put(html,
                     "<a href=\"#s{}-m{}\">{}</a>",
                     html_int(html, (int64_t)index + 1),
                     html_int(html, fact->message),
                     fact->text);
        else
            html_text(html, fact->text);
        html_raw(html, "</dd></div>\n");
    }
    html_raw(html, "</dl>\n");
}

void put_scenario_inside(struct html *html,
                         const struct report *report,
                         const struct cause *cause,
                         size_t index)
{
    const struct report_scenario *scenario = &report->scenarios[index];
    struct bv_bytes again = text_of(scenario->end, "reproduce");
    struct bv_bytes error = text_of(scenario->end, "error");
    struct bv_bytes description = text_of(scenario->record, "description");
    bool red = report_is_red(report_scenario_verdict(scenario));
    html_raw(html, "<div class=\"inside\">\n");
    if (description.size)
        html_put(html, "<p class=\"about\">{}</p>\n", description);
    if (red && cause->sentence.size)
        put_cause(html, cause, index);
    else if (red && error.size)
        html_put(html, "<p class=\"error\">{}</p>\n", error);
    if (red && again.size)
        put_command(html, again);
    html_put(html,
             "<figure class=\"tl\" data-s=\"{}\"></figure>\n<ol class=\"steps\">\n",
             html_int(html, (int64_t)index));
    for (size_t i = 0; i < scenario->steps.count; i++)
        put_step(html, scenario, index, i);
    html_put(html,
             "</ol>\n<div class=\"all\" data-s=\"{}\"></div>\n</div>",
             html_int(html, (int64_t)index));
}

void put_scenario_section(struct html *html,
                          const struct report *report,
                          const struct cause *cause,
                          size_t index,
                          bool folded)
{
    const struct report_scenario *scenario = &report->scenarios[index];
    if (scenario->feature &&
        (index == 0 || report->scenarios[index - 1].feature != scenario->feature))
        put_feature(html, scenario->feature);
    put_scenario_head(html, scenario, index, scenario_is_open(report, index));
    if (!folded)
        put_scenario_inside(html, report, cause, index);
    html_raw(html, "</details>\n");
}

/* ---- what failed ---- */

static void put_failure_place(struct html *html,
                              const struct report_scenario *scenario,
                              const struct cause *cause,
                              size_t index)
{
    enum report_verdict verdict = report_scenario_verdict(scenario);
    html_put(html, "<a class=\"title\" href=\"#s{}", html_int(html, (int64_t)index + 1));
    if (cause->step)
        html_put(html, "-{}", html_int(html, (int64_t)cause->step_number));
    html_put(html,
             "\"><span class=\"v v-{}\"></span><span class=\"sr\">{}: </span><b>{}</b>",
             word(verdict),
             bv_bytes_of(report_verdict_title(verdict)),
             text_of(scenario->record, "name"));
    if (cause->step) {
        html_put(html,
                 " <span class=\"dim\">step {}, line {}</span> <span class=\"what\">{} ",
                 html_int(html, (int64_t)cause->step_number),
                 html_int(html, bv_json_int(bv_json_get(cause->step, "line"), 0)),
                 text_of(cause->step, "keyword"));
        put_step_text(html, text_of(cause->step, "text"));
        html_raw(html, "</span>");
    }
    html_raw(html, "</a>\n");
}

static void put_failure_card(struct html *html,
                             const struct report_scenario *scenario,
                             const struct cause *cause,
                             size_t index)
{
    struct bv_bytes again = text_of(scenario->end, "reproduce");
    struct bv_bytes error = text_of(cause->step ? cause->step : scenario->end, "error");
    html_put(html, "<li class=\"card fail-{}\">", word(report_scenario_verdict(scenario)));
    put_failure_place(html, scenario, cause, index);
    if (cause->sentence.size)
        put_cause(html, cause, index);
    if (error.size && (!cause->sentence.size || cause->kind == CAUSE_LAB))
        html_put(html, "<p class=\"why\">{}</p>\n", error);
    put_sides(html, cause->step);
    if (again.size)
        put_command(html, again);
    html_raw(html, "</li>\n");
}

/* One that a card above tells of, but for its place and how to run it; its own words if none does.
 */
static void put_failure_line(struct html *html,
                             const struct report_scenario *scenario,
                             const struct cause *cause,
                             size_t index,
                             bool told)
{
    struct bv_bytes again = text_of(scenario->end, "reproduce");
    struct bv_bytes error = text_of(cause->step ? cause->step : scenario->end, "error");
    html_put(html, "<li class=\"line fail-{}\">", word(report_scenario_verdict(scenario)));
    put_failure_place(html, scenario, cause, index);
    if (!told)
        html_put(html, "<p class=\"why\">{}</p>\n", cause->sentence.size ? cause->sentence : error);
    if (again.size)
        html_put(html,
                 "<button type=\"button\" class=\"copy\" title=\"{}\" data-copy=\"{}\">Copy "
                 "command</button>",
                 again,
                 again);
    html_raw(html, "</li>\n");
}

/* Red scenarios with the same hop as number index. */
static size_t same_hop(const struct report *report, const struct cause *causes, size_t index)
{
    size_t count = 0;
    for (size_t i = 0; i < report->scenario_count; i++)
        if (causes[index].hop.size && causes[i].kind != CAUSE_NONE &&
            bv_bytes_equal(causes[i].hop, causes[index].hop))
            count++;
    return count;
}

/* Many red scenarios often have one reason: the hop that most of them share. */
static void
put_common(struct html *html, const struct report *report, const struct cause *causes, size_t red)
{
    size_t best = 0, most = 1;
    for (size_t i = 0; i < report->scenario_count && i < FAILURE_LINES; i++)
        if (same_hop(report, causes, i) > most) {
            most = same_hop(report, causes, i);
            best = i;
        }
    if (most > 1)
        html_put(html,
                 "<p class=\"common\">{} of {} break at the same hop: <b>{}</b></p>\n",
                 html_int(html, (int64_t)most),
                 html_int(html, (int64_t)red),
                 causes[best].hop);
}

/* A second scenario that breaks at the same hop needs no second card. */
static bool told_before(const struct report *report, const struct cause *causes, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (causes[index].hop.size && causes[index].kind == causes[i].kind &&
            bv_bytes_equal(causes[i].hop, causes[index].hop) &&
            report_is_red(report_scenario_verdict(&report->scenarios[i])))
            return true;
    return false;
}

void put_failures(struct html *html, const struct report *report, const struct cause *causes)
{
    size_t counts[REPORT_VERDICTS];
    size_t shown = 0, cards = 0;
    report_count(report, counts);
    size_t red = counts[REPORT_FAILED] + counts[REPORT_BROKEN];
    if (red == 0)
        return;
    html_raw(html,
             "<section class=\"failures\" aria-label=\"What went wrong\">\n<h2>What went "
             "wrong</h2>\n");
    put_common(html, report, causes, red);
    html_raw(html, "<ol>\n");
    for (size_t i = 0; i < report->scenario_count && shown < FAILURE_CARDS + FAILURE_LINES; i++) {
        const struct report_scenario *scenario = &report->scenarios[i];
        if (!report_is_red(report_scenario_verdict(scenario)))
            continue;
        shown++;
        bool told = told_before(report, causes, i);
        if (cards < FAILURE_CARDS && !told) {
            cards++;
            put_failure_card(html, scenario, &causes[i], i);
        } else {
            put_failure_line(html, scenario, &causes[i], i, told);
        }
    }
    html_raw(html, "</ol>\n");
    if (red > shown)
        html_put(html,
                 "<p class=\"dim\">and {} more: the filters above show them.</p>\n",
                 html_int(html, (int64_t)(red - shown)));
    html_raw(html, "</section>\n");
}
