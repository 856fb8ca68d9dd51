/* junit.xml: one test suite, a test case per scenario. Source: the format that Jenkins and GitLab
 * read (testmoapp/junitxml). */
#include "results_lines.h"

#include <stdlib.h>

enum { XML_BYTES_MAX = 64 << 20 };

static void xml(struct bv_buf *buf, struct bv_bytes value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c == '&')
            (void)bv_buf_text(buf, "&amp;");
        else if (c == '<')
            (void)bv_buf_text(buf, "&lt;");
        else if (c == '>')
            (void)bv_buf_text(buf, "&gt;");
        else if (c == '"')
            (void)bv_buf_text(buf, "&quot;");
        else if ((unsigned char)c >= ' ' || c == '\t' || c == '\n')
            (void)bv_buf_char(buf, c);
    }
}

char *junit_case(const struct plan *plan,
                 const struct plan_scenario *scenario,
                 const struct scenario_outcome *outcome)
{
    struct bv_buf buf = {.max = RESULTS_CASE_BYTES_MAX};
    const char *tag = outcome->verdict == VERDICT_BROKEN    ? "error"
                      : outcome->verdict == VERDICT_SKIPPED ? "skipped"
                                                            : "failure";
    (void)bv_buf_text(&buf, "    <testcase classname=\"");
    xml(&buf, plan->document->feature.name);
    (void)bv_buf_text(&buf, "\" name=\"");
    xml(&buf, scenario->name);
    (void)bv_buf_text(&buf, "\" file=\"");
    xml(&buf, bv_bytes_of(plan->file));
    (void)bv_buf_format(
        &buf, "\" line=\"%u\" time=\"%.3f\"", scenario->line, (double)outcome->duration_us / 1e6);
    if (outcome->verdict == VERDICT_PASSED) {
        (void)bv_buf_text(&buf, "/>\n");
    } else {
        (void)bv_buf_format(&buf, ">\n      <%s message=\"", tag);
        xml(&buf, bv_bytes_of(outcome->error ? outcome->error : ""));
        (void)bv_buf_text(&buf, "\"/>\n    </testcase>\n");
    }
    char *text = buf.failed ? NULL : strndup(buf.data, buf.size);
    bv_buf_release(&buf);
    return text;
}

int junit_write(const struct results *results, int64_t duration_us)
{
    char path[BV_PATH_MAX];
    char time[BV_TIME_TEXT_SIZE];
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = XML_BYTES_MAX};
    const size_t *counts = results->totals.scenarios;
    size_t total = counts[VERDICT_PASSED] + counts[VERDICT_FAILED] + counts[VERDICT_BROKEN] +
                   counts[VERDICT_SKIPPED];
    bv_time_format(results->origin_wall_us, time);
    (void)bv_buf_format(
        &buf, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"");
    xml(&buf, bv_bytes_of(results->story));
    (void)bv_buf_format(&buf,
                        "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" "
                        "time=\"%.3f\" timestamp=\"%s\">\n",
                        total,
                        counts[VERDICT_FAILED],
                        counts[VERDICT_BROKEN],
                        counts[VERDICT_SKIPPED],
                        (double)duration_us / 1e6,
                        time);
    for (size_t i = 0; i < results->expected; i++)
        if (results->cases[i])
            (void)bv_buf_text(&buf, results->cases[i]);
    (void)bv_buf_text(&buf, "  </testsuite>\n</testsuites>\n");
    if (buf.failed)
        return BV_E_NOMEM;
    BV_TRY(bv_path(path, NULL, "%s/junit.xml", results->folder));
    return bv_fs_write(path, bv_buf_view(&buf), 0644, NULL);
}
