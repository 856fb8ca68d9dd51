/* The records of the run, and what a line is. Those of a scenario: results_scenario.c. */
#include "results_lines.h"

#include "stack.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { TAIL_LINES = 20, TAIL_BYTES = 16384 };

/* ---- lines ---- */

struct bv_json_writer results_begin(struct bv_buf *line, const char *record)
{
    bv_buf_reset(line);
    struct bv_json_writer w = bv_json_writer(line);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "record", record);
    return w;
}

void results_write(struct results *results, struct bv_bytes bytes)
{
    if (fwrite(bytes.data, 1, bytes.size, results->file) != bytes.size ||
        fflush(results->file) != 0)
        results->failed = true;
}

void results_end_line(struct results *results, struct bv_json_writer *w)
{
    bv_jw_end(w);
    (void)bv_buf_char(&results->line, '\n');
    if (results->line.failed)
        results->failed = true;
    else
        results_write(results, bv_buf_view(&results->line));
}

void results_text(struct bv_json_writer *w, const char *key, const char *value)
{
    if (value && value[0])
        bv_jw_kv_text(w, key, value);
}

void results_bytes(struct bv_json_writer *w, const char *key, struct bv_bytes value)
{
    if (value.size)
        bv_jw_kv_string(w, key, value);
}

int64_t results_since(const struct results *results, int64_t mono_us)
{
    return mono_us > results->origin_us ? mono_us - results->origin_us : 0;
}

static int64_t now(const struct results *results)
{
    return results_since(results, bv_mono_us(results->env));
}

void results_counts(struct bv_json_writer *w, const char *key, const size_t *counts)
{
    bv_jw_key(w, key);
    bv_jw_object(w);
    for (int i = 0; i < VERDICT_COUNT; i++)
        bv_jw_kv_int(w, verdict_word((enum verdict)i), (int64_t)counts[i]);
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
    results->line.max = RESULTS_LINE_BYTES_MAX;
    results->expected = run->scenario_count;
    results->feature_count = run->file_count;
    results->cases = calloc(run->scenario_count + 1, sizeof *results->cases);
    results->traces = calloc(run->scenario_count + 1, sizeof *results->traces);
    results->features = calloc(run->file_count + 1, sizeof *results->features);
    pthread_mutex_init(&results->lock, NULL);
    results->origin_us = bv_mono_us(env);
    results->origin_wall_us = bv_wall_us(env);
    snprintf(results->story, sizeof results->story, "%s", run->story);
    int rc = results->cases && results->traces && results->features ? 0 : BV_E_NOMEM;
    if (rc == 0)
        rc = bv_path(results->folder, error, "%s", run->folder);
    if (rc == 0)
        rc = bv_path(path, error, "%s/results.jsonl", run->folder);
    if (rc == 0 && !(results->file = fopen(path, "we")))
        rc = bv_fail(error, BV_E_IO, "%s: %s", path, strerror(errno));
    if (rc < 0) {
        results_close(&results);
        return rc;
    }
    bv_time_format(results->origin_wall_us, time);
    struct bv_json_writer w = results_begin(&results->line, "run");
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
    bv_jw_kv_int(&w, "jobs", run->jobs);
    bv_jw_kv_text(&w, "order", run->order);
    bv_jw_kv_int(&w, "seed", run->seed);
    results_text(&w, "break", run->planted);
    results_end_line(results, &w);
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
    for (size_t i = 0; (*results)->cases && i < (*results)->expected; i++)
        free((*results)->cases[i]);
    free((*results)->cases);
    free((*results)->traces);
    free((*results)->features);
    pthread_mutex_destroy(&(*results)->lock);
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
        results_text(w, "url", url);
    else if (snprintf(shown, sizeof shown, "%.*s%s", (int)(scheme + 3 - url), url, at + 1) <
             (int)sizeof shown)
        results_text(w, "url", shown);
}

void results_environment(struct results *results, const struct bv_stack *stack)
{
    static const char *const kinds[] = {"server", "database", "service"};
    pthread_mutex_lock(&results->lock);
    struct bv_json_writer w = results_begin(&results->line, "environment");
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
        char version[BV_STACK_VERSION_BYTES];
        bv_stack_version(part, version);
        if (version[0])
            bv_jw_kv_text(&w, "version", version);
        if (part->log && part->log[0]) {
            char path[BV_PATH_MAX];
            if (snprintf(path, sizeof path, "logs/%s.log", part->name) > 0)
                bv_jw_kv_text(&w, "log", path);
        }
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    write_host(&w);
    results_end_line(results, &w);
    pthread_mutex_unlock(&results->lock);
}

void results_feature(struct results *results, const struct plan *plan, size_t number)
{
    const struct gherkin_rule *feature = &plan->document->feature;
    char id[16];
    if (results->features[number - 1])
        return;
    results->features[number - 1] = true;
    snprintf(id, sizeof id, "f%zu", number);
    struct bv_json_writer w = results_begin(&results->line, "feature");
    bv_jw_kv_text(&w, "id", id);
    bv_jw_kv_text(&w, "file", plan->file);
    bv_jw_kv_int(&w, "line", feature->at.line);
    bv_jw_kv_string(&w, "name", feature->name);
    results_bytes(&w, "description", feature->description);
    bv_jw_key(&w, "tags");
    bv_jw_array(&w);
    for (size_t i = 0; i < feature->tags.count; i++)
        bv_jw_string(&w, feature->tags.list[i].name);
    bv_jw_end(&w);
    results_end_line(results, &w);
}

static void write_id(struct bv_json_writer *w, const char *key, const uint8_t *id, size_t size)
{
    char hex[32];
    bv_jw_kv_string(w, key, (struct bv_bytes){hex, bv_hex_encode(id, size, hex)});
}

/* Number of the scenario that has the trace, 0: none. With the lock held. */
static size_t scenario_of(const struct results *results, const uint8_t trace_id[16])
{
    for (size_t i = 0; i < results->last; i++)
        if (memcmp(results->traces[i], trace_id, 16) == 0)
            return i + 1;
    return 0;
}

void results_span(struct results *results, const struct span_record *span)
{
    static const char *const statuses[] = {"unset", "ok", "error"};
    static const uint8_t none[8] = {0};
    char scenario[24];
    pthread_mutex_lock(&results->lock);
    size_t number = scenario_of(results, span->trace_id);
    if (number) {
        int64_t us = span->start_wall_us - results->origin_wall_us;
        snprintf(scenario, sizeof scenario, "s%zu", number);
        struct bv_json_writer w = results_begin(&results->line, "span");
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
        results_end_line(results, &w);
    }
    pthread_mutex_unlock(&results->lock);
}

/* ---- ends ---- */

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
    pthread_mutex_lock(&results->lock);
    struct bv_json_writer w = results_begin(&results->line, "log");
    bv_jw_kv_text(&w, "part", part);
    bv_jw_kv_text(&w, "path", relative);
    bv_jw_kv_int(&w, "errors", errors);
    write_tail(&w, file);
    results_end_line(results, &w);
    pthread_mutex_unlock(&results->lock);
    fclose(file);
}

int results_end(struct results *results, int exit_status, const char *error)
{
    static const char *const verdicts[] = {"passed", "failed", "broken"};
    struct rusage usage;
    pthread_mutex_lock(&results->lock);
    struct bv_json_writer w = results_begin(&results->line, "end");
    bv_jw_kv_int(&w, "us", now(results));
    bv_jw_kv_text(&w, "verdict", verdicts[exit_status]);
    bv_jw_kv_int(&w, "exit", exit_status);
    results_text(&w, "error", error);
    results_counts(&w, "scenarios", results->totals.scenarios);
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
    results_end_line(results, &w);
    bool failed = junit_write(results, now(results)) < 0 || results->failed;
    pthread_mutex_unlock(&results->lock);
    return failed ? BV_E_IO : 0;
}
