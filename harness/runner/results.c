#include "results.h"

#include "stack.h"
#include "bv/fs.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 16 << 20,
    XML_BYTES_MAX = 64 << 20,
    TAIL_LINES = 20,
    TAIL_BYTES = 16384,
    SCENARIOS_TRACED_MAX = 1024
};

struct results {
    const struct bv_env *env;
    FILE *file;
    struct bv_buf line;
    struct bv_buf cases; /* <testcase>s of junit.xml */
    char folder[BV_PATH_MAX];
    char story[64];
    char scenario[16];  /* id of the one that runs */
    const char *source; /* path of its file, borrowed */
    const char *feature_name;
    size_t feature_number;
    size_t scenario_number;
    int64_t origin_us; /* monotonic */
    int64_t origin_wall_us;
    uint8_t traces[SCENARIOS_TRACED_MAX][16]; /* of the scenarios, by number from 1 */
    struct results_totals totals;
    bool failed; /* something could not be written */
};

/* ---- lines ---- */

static struct bv_json_writer begin(struct results *results, const char *record)
{
    bv_buf_reset(&results->line);
    struct bv_json_writer w = bv_json_writer(&results->line);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "record", record);
    return w;
}

static void flush(struct results *results)
{
    (void)bv_buf_char(&results->line, '\n');
    if (results->line.failed ||
        fwrite(results->line.data, 1, results->line.size, results->file) != results->line.size ||
        fflush(results->file) != 0)
        results->failed = true;
}

static void end(struct results *results, struct bv_json_writer *w)
{
    bv_jw_end(w);
    flush(results);
}

static void text(struct bv_json_writer *w, const char *key, const char *value)
{
    if (value && value[0])
        bv_jw_kv_text(w, key, value);
}

static void bytes(struct bv_json_writer *w, const char *key, struct bv_bytes value)
{
    if (value.size)
        bv_jw_kv_string(w, key, value);
}

static int64_t since(const struct results *results, int64_t mono_us)
{
    return mono_us > results->origin_us ? mono_us - results->origin_us : 0;
}

static int64_t now(const struct results *results)
{
    return since(results, bv_mono_us(results->env));
}

static void ids(struct bv_json_writer *w, const char *key, const uint64_t *list, size_t count)
{
    bv_jw_key(w, key);
    bv_jw_array(w);
    for (size_t i = 0; i < count; i++)
        bv_jw_int(w, (int64_t)list[i]);
    bv_jw_end(w);
}

/* ---- records ---- */

int results_open(const struct bv_env *env,
                 const struct results_run *run,
                 struct results **ret_results,
                 struct bv_error *error)
{
    char path[BV_PATH_MAX];
    char time[BV_TIME_TEXT_SIZE];
    struct results *results = calloc(1, sizeof *results);
    if (!results)
        return BV_E_NOMEM;
    results->env = env;
    results->line.max = LINE_BYTES_MAX;
    results->cases.max = XML_BYTES_MAX;
    results->origin_us = bv_mono_us(env);
    results->origin_wall_us = bv_wall_us(env);
    snprintf(results->story, sizeof results->story, "%s", run->story);
    int rc = bv_path(results->folder, error, "%s", run->folder);
    if (rc == 0)
        rc = bv_path(path, error, "%s/results.jsonl", run->folder);
    if (rc == 0 && !(results->file = fopen(path, "we")))
        rc = bv_fail(error, BV_E_IO, "%s: %s", path, strerror(errno));
    if (rc < 0) {
        results_close(&results);
        return rc;
    }
    bv_time_format(results->origin_wall_us, time);
    struct bv_json_writer w = begin(results, "run");
    bv_jw_kv_int(&w, "schema", 1);
    bv_jw_kv_text(&w, "run", run->run);
    bv_jw_kv_text(&w, "startedAt", time);
    bv_jw_kv_text(&w, "story", run->story);
    bv_jw_key(&w, "files");
    bv_jw_array(&w);
    for (size_t i = 0; i < run->file_count; i++)
        bv_jw_text(&w, run->files[i]);
    bv_jw_end(&w);
    bv_jw_kv_text(&w, "tags", run->tags ? run->tags : "");
    bv_jw_kv_text(&w, "reproduce", run->reproduce);
    bv_jw_kv_text(&w, "commit", run->commit ? run->commit : "");
    text(&w, "break", run->planted);
    end(results, &w);
    *ret_results = results;
    return 0;
}

void results_close(struct results **results)
{
    if (!*results)
        return;
    if ((*results)->file)
        fclose((*results)->file);
    bv_buf_release(&(*results)->line);
    bv_buf_release(&(*results)->cases);
    free(*results);
    *results = NULL;
}

const struct results_totals *results_totals(const struct results *results)
{
    return &results->totals;
}

static void read_os(char out[128])
{
    char line[256];
    FILE *file = fopen("/etc/os-release", "re");
    snprintf(out, 128, "Linux");
    while (file && fgets(line, sizeof line, file)) {
        static const char key[] = "PRETTY_NAME=\"";
        if (strncmp(line, key, sizeof key - 1) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(
                out, 128, "%.*s", (int)strcspn(line + sizeof key - 1, "\""), line + sizeof key - 1);
        }
    }
    if (file)
        fclose(file);
}

static void write_host(struct bv_json_writer *w)
{
    struct utsname name;
    struct sysinfo memory = {0};
    char os[128];
    read_os(os);
    bv_jw_key(w, "host");
    bv_jw_object(w);
    bv_jw_kv_text(w, "os", os);
    if (uname(&name) == 0)
        bv_jw_kv_text(w, "kernel", name.release);
    bv_jw_kv_int(w, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    (void)sysinfo(&memory);
    bv_jw_kv_int(w, "memoryBytes", (int64_t)memory.totalram * memory.mem_unit);
    bv_jw_end(w);
}

/* "scheme://user:password@host" without what stands before the @. */
static void write_url(struct bv_json_writer *w, const char *url)
{
    const char *at = url ? strchr(url, '@') : NULL;
    const char *scheme = url ? strstr(url, "://") : NULL;
    char shown[BV_PATH_MAX];
    if (!at || !scheme || at < scheme)
        text(w, "url", url);
    else if (snprintf(shown, sizeof shown, "%.*s%s", (int)(scheme + 3 - url), url, at + 1) <
             (int)sizeof shown)
        text(w, "url", shown);
}

void results_environment(struct results *results, const struct bv_stack *stack)
{
    static const char *const kinds[] = {"server", "database", "service"};
    struct bv_json_writer w = begin(results, "environment");
    bv_jw_kv_int(&w, "us", now(results));
    bv_jw_key(&w, "stack");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "name", stack ? bv_stack_name(stack) : "none");
    bv_jw_kv_int(&w, "bootMs", stack ? bv_stack_boot_ms(stack) : 0);
    if (stack) {
        struct bv_stack_health usage = {0};
        bv_stack_usage(stack, &usage);
        bv_jw_kv_text(&w, "isolation", bv_stack_isolation(stack));
        bv_jw_kv_int(&w, "rssBytes", usage.pss_bytes > 0 ? usage.pss_bytes : 0);
    }
    bv_jw_end(&w);
    bv_jw_key(&w, "parts");
    bv_jw_array(&w);
    for (size_t i = 0; stack && i < bv_stack_count(stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(stack, i);
        bv_jw_object(&w);
        bv_jw_kv_text(&w, "name", part->name);
        bv_jw_kv_text(&w, "kind", kinds[part->kind]);
        write_url(&w, part->url);
        bv_jw_kv_int(&w, "readyMs", part->ready_ms > 0 ? part->ready_ms : 0);
        if (part->log && part->log[0]) {
            char path[BV_PATH_MAX];
            if (snprintf(path, sizeof path, "logs/%s.log", part->name) > 0)
                bv_jw_kv_text(&w, "log", path);
        }
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    write_host(&w);
    end(results, &w);
}

static void write_tags(struct bv_json_writer *w, const struct bv_bytes *tags, size_t count)
{
    bv_jw_key(w, "tags");
    bv_jw_array(w);
    for (size_t i = 0; i < count; i++)
        bv_jw_string(w, tags[i]);
    bv_jw_end(w);
}

void results_feature(struct results *results, const struct plan *plan, size_t number)
{
    const struct gherkin_rule *feature = &plan->document->feature;
    char id[16];
    snprintf(id, sizeof id, "f%zu", number);
    results->feature_number = number;
    results->source = plan->file;
    results->feature_name = feature->name.data;
    struct bv_json_writer w = begin(results, "feature");
    bv_jw_kv_text(&w, "id", id);
    bv_jw_kv_text(&w, "file", plan->file);
    bv_jw_kv_int(&w, "line", feature->at.line);
    bv_jw_kv_string(&w, "name", feature->name);
    bytes(&w, "description", feature->description);
    bv_jw_key(&w, "tags");
    bv_jw_array(&w);
    for (size_t i = 0; i < feature->tags.count; i++)
        bv_jw_string(&w, feature->tags.list[i].name);
    bv_jw_end(&w);
    end(results, &w);
}

void results_scenario(struct results *results,
                      const struct plan_scenario *scenario,
                      const struct bv_lab *lab,
                      int64_t start_us)
{
    char feature[16];
    char trace[33];
    snprintf(results->scenario, sizeof results->scenario, "s%zu", ++results->scenario_number);
    snprintf(feature, sizeof feature, "f%zu", results->feature_number);
    bv_trace_id_format(&lab->trace, trace);
    if (results->scenario_number <= SCENARIOS_TRACED_MAX)
        memcpy(results->traces[results->scenario_number - 1], lab->trace.trace_id, 16);
    struct bv_json_writer w = begin(results, "scenario");
    bv_jw_kv_text(&w, "id", results->scenario);
    bv_jw_kv_text(&w, "feature", feature);
    bv_jw_kv_int(&w, "us", since(results, start_us));
    bv_jw_kv_int(&w, "line", scenario->line);
    bv_jw_kv_string(&w, "name", scenario->name);
    bytes(&w, "description", scenario->source->description);
    bytes(&w, "rule", scenario->rule);
    write_tags(&w, scenario->tags, scenario->tag_count);
    bv_jw_kv_text(&w, "run", lab->run);
    bv_jw_kv_text(&w, "traceId", trace);
    end(results, &w);
}

void results_actor(struct results *results, const struct plan_step *step, int64_t at_us)
{
    struct bv_json_writer w = begin(results, "actor");
    bv_jw_kv_text(&w, "scenario", results->scenario);
    bv_jw_kv_int(&w, "us", since(results, at_us));
    bv_jw_kv_text(&w, "name", step->actor);
    bv_jw_kv_text(&w, "protocol", step->protocol->name);
    bv_jw_kv_string(&w, "text", step->source->text);
    end(results, &w);
}

void results_message(struct results *results, const struct bv_message *message)
{
    bv_buf_reset(&results->line);
    struct bv_json_writer w = bv_json_writer(&results->line);
    bv_message_write(&w, results->scenario, message, results->origin_us);
    flush(results);
}

static void write_source(struct bv_json_writer *w, const struct gherkin_step *source)
{
    if (source->doc.at.line) {
        bv_jw_kv_string(w, "docString", source->doc.content);
        bytes(w, "docMediaType", source->doc.media_type);
    }
    if (!source->table.count)
        return;
    bv_jw_key(w, "table");
    bv_jw_array(w);
    for (size_t r = 0; r < source->table.count; r++) {
        bv_jw_array(w);
        for (size_t c = 0; c < source->table.rows[r].count; c++)
            bv_jw_string(w, source->table.rows[r].cells[c].value);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

void results_step(struct results *results,
                  const struct plan_step *step,
                  size_t index,
                  const struct step_outcome *outcome)
{
    static const char *const types[] = {"context", "action", "outcome"};
    char id[40];
    struct bv_bytes keyword = step->source->keyword;
    while (keyword.size && keyword.data[keyword.size - 1] == ' ')
        keyword.size--;
    snprintf(id, sizeof id, "%s.%zu", results->scenario, index + 1);
    struct bv_json_writer w = begin(results, "step");
    bv_jw_kv_text(&w, "id", id);
    bv_jw_kv_text(&w, "scenario", results->scenario);
    bv_jw_kv_int(&w, "us", since(results, outcome->start_us));
    bv_jw_kv_int(&w, "durationUs", outcome->duration_us);
    text(&w, "file", results->source);
    bv_jw_kv_int(&w, "line", step->line);
    bv_jw_kv_string(&w, "keyword", keyword);
    if (step->type <= GHERKIN_OUTCOME)
        bv_jw_kv_text(&w, "type", types[step->type]);
    bv_jw_kv_string(&w, "text", step->source->text);
    if (step->background)
        bv_jw_kv_bool(&w, "background", true);
    write_source(&w, step->source);
    bv_jw_kv_text(&w, "verdict", verdict_word(outcome->verdict));
    text(&w, "actor", step->actor);
    text(&w, "expected", outcome->expected);
    text(&w, "actual", outcome->actual);
    text(&w, "error", outcome->error);
    text(&w, "reason", outcome->reason);
    ids(&w, "messages", outcome->messages, outcome->message_count);
    if (outcome->violation_count)
        ids(&w, "violations", outcome->violations, outcome->violation_count);
    if (bv_trace_present(&outcome->trace)) {
        char span[16];
        bv_jw_kv_string(
            &w, "spanId", (struct bv_bytes){span, bv_hex_encode(outcome->trace.span_id, 8, span)});
    }
    end(results, &w);
}

/* ---- junit.xml ---- */

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

static void add_case(struct results *results,
                     const struct plan_scenario *scenario,
                     const struct scenario_outcome *outcome)
{
    struct bv_buf *buf = &results->cases;
    const char *tag = outcome->verdict == VERDICT_BROKEN    ? "error"
                      : outcome->verdict == VERDICT_SKIPPED ? "skipped"
                                                            : "failure";
    (void)bv_buf_text(buf, "    <testcase classname=\"");
    xml(buf, bv_bytes_of(results->feature_name));
    (void)bv_buf_text(buf, "\" name=\"");
    xml(buf, scenario->name);
    (void)bv_buf_text(buf, "\" file=\"");
    xml(buf, bv_bytes_of(results->source));
    (void)bv_buf_format(
        buf, "\" line=\"%u\" time=\"%.3f\"", scenario->line, (double)outcome->duration_us / 1e6);
    if (outcome->verdict == VERDICT_PASSED) {
        (void)bv_buf_text(buf, "/>\n");
        return;
    }
    (void)bv_buf_format(buf, ">\n      <%s message=\"", tag);
    xml(buf, bv_bytes_of(outcome->error ? outcome->error : ""));
    (void)bv_buf_text(buf, "\"/>\n    </testcase>\n");
}

static void write_junit(struct results *results)
{
    char path[BV_PATH_MAX];
    char time[BV_TIME_TEXT_SIZE];
    struct bv_buf buf = {.max = XML_BYTES_MAX + 4096};
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
                        (double)now(results) / 1e6,
                        time);
    (void)bv_buf_bytes(&buf, bv_buf_view(&results->cases));
    (void)bv_buf_text(&buf, "  </testsuite>\n</testsuites>\n");
    if (buf.failed || bv_path(path, NULL, "%s/junit.xml", results->folder) < 0 ||
        bv_fs_write(path, bv_buf_view(&buf), 0644, NULL) < 0)
        results->failed = true;
    bv_buf_release(&buf);
}

static void write_id(struct bv_json_writer *w, const char *key, const uint8_t *id, size_t size)
{
    char hex[32];
    bv_jw_kv_string(w, key, (struct bv_bytes){hex, bv_hex_encode(id, size, hex)});
}

void results_span(struct results *results, const struct span_record *span)
{
    static const char *const statuses[] = {"unset", "ok", "error"};
    static const uint8_t none[8] = {0};
    char scenario[24];
    size_t number = 0;
    while (number < results->scenario_number && number < SCENARIOS_TRACED_MAX &&
           memcmp(results->traces[number], span->trace_id, 16) != 0)
        number++;
    if (number == results->scenario_number || number == SCENARIOS_TRACED_MAX)
        return;
    int64_t us = span->start_wall_us - results->origin_wall_us;
    snprintf(scenario, sizeof scenario, "s%zu", number + 1);
    struct bv_json_writer w = begin(results, "span");
    bv_jw_kv_text(&w, "scenario", scenario);
    bv_jw_kv_int(&w, "us", us > 0 ? us : 0);
    bv_jw_kv_int(&w, "durationUs", span->duration_us > 0 ? span->duration_us : 0);
    bv_jw_kv_text(&w, "service", span->service);
    bv_jw_kv_text(&w, "name", span->name);
    write_id(&w, "traceId", span->trace_id, 16);
    write_id(&w, "spanId", span->span_id, 8);
    if (memcmp(span->parent_id, none, 8) != 0)
        write_id(&w, "parentSpanId", span->parent_id, 8);
    bv_jw_kv_text(&w, "status", statuses[span->status]);
    end(results, &w);
}

/* ---- ends ---- */

static void write_counts(struct bv_json_writer *w, const char *key, const size_t *counts)
{
    bv_jw_key(w, key);
    bv_jw_object(w);
    for (int i = 0; i < VERDICT_COUNT; i++)
        bv_jw_kv_int(w, verdict_word((enum verdict)i), (int64_t)counts[i]);
    bv_jw_end(w);
}

void results_scenario_end(struct results *results,
                          const struct plan_scenario *scenario,
                          const struct scenario_outcome *outcome,
                          const char *reproduce)
{
    struct results_totals *totals = &results->totals;
    totals->scenarios[outcome->verdict]++;
    for (int i = 0; i < VERDICT_COUNT; i++)
        totals->steps[i] += outcome->steps[i];
    totals->messages += outcome->messages;
    totals->contracts_checked += outcome->contracts_checked;
    totals->contracts_violated += outcome->contracts_violated;
    add_case(results, scenario, outcome);
    struct bv_json_writer w = begin(results, "scenario-end");
    bv_jw_kv_text(&w, "scenario", results->scenario);
    bv_jw_kv_int(&w, "us", now(results));
    bv_jw_kv_int(&w, "durationUs", outcome->duration_us);
    bv_jw_kv_text(&w, "verdict", verdict_word(outcome->verdict));
    text(&w, "error", outcome->error);
    write_counts(&w, "steps", outcome->steps);
    bv_jw_kv_int(&w, "messages", (int64_t)outcome->messages);
    bv_jw_kv_text(&w, "reproduce", reproduce);
    end(results, &w);
}

/* The last lines of a log, without reading more than TAIL_BYTES of it. */
static void write_tail(struct bv_json_writer *w, FILE *file)
{
    char data[TAIL_BYTES];
    (void)fseek(file, 0, SEEK_END);
    long size = ftell(file);
    long from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    (void)fseek(file, from, SEEK_SET);
    size_t got = fread(data, 1, sizeof data, file);
    size_t lines = 0;
    size_t begin_at = got;
    while (begin_at > 0 && lines <= TAIL_LINES)
        lines += data[--begin_at] == '\n' && begin_at + 1 < got;
    bv_jw_key(w, "tail");
    bv_jw_array(w);
    struct bv_bytes rest = {data + begin_at, got - begin_at};
    while (rest.size) {
        const char *stop = memchr(rest.data, '\n', rest.size);
        size_t length = stop ? (size_t)(stop - rest.data) : rest.size;
        if (length)
            bv_jw_string(w, (struct bv_bytes){rest.data, length});
        length += stop ? 1 : 0;
        rest = (struct bv_bytes){rest.data + length, rest.size - length};
    }
    bv_jw_end(w);
    bv_jw_kv_int(w, "bytes", size > 0 ? size : 0);
}

void results_log(struct results *results, const char *part, const char *path, const char *relative)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    char *line = NULL;
    size_t capacity = 0;
    int64_t errors = 0;
    while (getline(&line, &capacity, file) > 0)
        errors += strstr(line, "\"level\":\"error\"") != NULL;
    free(line);
    struct bv_json_writer w = begin(results, "log");
    bv_jw_kv_text(&w, "part", part);
    bv_jw_kv_text(&w, "path", relative);
    bv_jw_kv_int(&w, "errors", errors);
    write_tail(&w, file);
    end(results, &w);
    fclose(file);
}

int results_end(struct results *results, int exit_status, const char *error)
{
    static const char *const verdicts[] = {"passed", "failed", "broken"};
    struct rusage usage;
    struct bv_json_writer w = begin(results, "end");
    bv_jw_kv_int(&w, "us", now(results));
    bv_jw_kv_text(&w, "verdict", verdicts[exit_status]);
    bv_jw_kv_int(&w, "exit", exit_status);
    text(&w, "error", error);
    write_counts(&w, "scenarios", results->totals.scenarios);
    bv_jw_key(&w, "contracts");
    bv_jw_object(&w);
    bv_jw_kv_int(&w, "checked", (int64_t)results->totals.contracts_checked);
    bv_jw_kv_int(&w, "violated", (int64_t)results->totals.contracts_violated);
    bv_jw_end(&w);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        bv_jw_kv_int(&w,
                     "cpuMs",
                     (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
    end(results, &w);
    write_junit(results);
    return results->failed ? BV_E_IO : 0;
}
