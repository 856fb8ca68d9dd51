/* Two passes over results.jsonl. The first writes what was meant to happen: features, pickles, step
 * definitions, test cases. The second writes what happened, and needs one look ahead from the
 * first: a scenario may be red though every step is green (a message broke its contract while
 * nobody waited); since Cucumber's verdicts come from steps alone, such a test case ends with a
 * hook that fails. Messages stand before the step that matched them, so a step's attachments are
 * read again from the places that were noted. */
#include "cucumber_lines.h"

#include "bv/fs.h"
#include "gherkin_messages.h"

#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_BYTES_MAX = 512 << 20, LINE_BUFFER_BYTES = 32 << 20, SOURCE_BYTES_MAX = 1 << 20 };
#define PROTOCOL_VERSION "34.2.1"

/* ---- lines ---- */

/* Begins {"KIND": { */
struct bv_json_writer cucumber_begin(struct cucumber *c, const char *kind)
{
    bv_buf_reset(&c->line);
    struct bv_json_writer w = bv_json_writer(&c->line);
    bv_jw_object(&w);
    bv_jw_key(&w, kind);
    return w;
}

int cucumber_finish(struct cucumber *c, struct bv_json_writer *w)
{
    bv_jw_end(w);
    (void)bv_buf_char(&c->line, '\n');
    if (c->line.failed)
        return BV_E_TOO_LARGE;
    return fwrite(c->line.data, 1, c->line.size, c->out) == c->line.size ? 0 : BV_E_IO;
}

int cucumber_end(struct cucumber *c, struct bv_json_writer *w)
{
    bv_jw_end(w);
    return cucumber_finish(c, w);
}

void cucumber_span(struct bv_json_writer *w, const char *key, int64_t us)
{
    bv_jw_key(w, key);
    bv_jw_object(w);
    bv_jw_kv_int(w, "seconds", us / 1000000);
    bv_jw_kv_int(w, "nanos", us % 1000000 * 1000);
    bv_jw_end(w);
}

void cucumber_time(struct cucumber *c, struct bv_json_writer *w, int64_t us)
{
    cucumber_span(w, "timestamp", c->origin_us + us);
    c->end_us = us > c->end_us ? us : c->end_us;
}

/* ---- what records say ---- */

bool cucumber_is(const struct bv_json *record, const char *key, const char *value)
{
    return bv_bytes_equal(bv_json_string(bv_json_get(record, key)), bv_bytes_of(value));
}

/* Features are "f1", "f2", in the order of the files. */
static const struct plan *
plan_of(const struct cucumber *c, struct bv_bytes feature, char prefix[32])
{
    for (size_t i = 0; i < c->run->file_count; i++) {
        snprintf(prefix, 32, "f%zu", i + 1);
        if (bv_bytes_equal(feature, bv_bytes_of(prefix))) {
            snprintf(prefix, 32, "f%zu/", i + 1);
            return c->run->files[i].plan;
        }
    }
    return NULL;
}

const struct plan_scenario *cucumber_scenario_at(const struct plan *plan, int64_t line)
{
    for (size_t i = 0; plan && i < plan->scenario_count; i++)
        if (plan->scenarios[i].line == line)
            return &plan->scenarios[i];
    return NULL;
}

/* Notes what the record says about the scenario that runs. false: the record is of none. */
bool cucumber_enter(struct cucumber *c, const struct bv_json *record)
{
    struct bv_bytes id = bv_json_string(bv_json_get(record, "id"));
    if (id.size >= CUCUMBER_ID_SIZE - 16)
        return false;
    snprintf(c->scenario, sizeof c->scenario, "%.*s", BV_ARG(id));
    c->plan = plan_of(c, bv_json_string(bv_json_get(record, "feature")), c->prefix);
    c->scene++;
    c->red_step = false;
    return c->plan != NULL;
}

struct bv_bytes cucumber_member(const struct bv_json *record, const char *key)
{
    return bv_json_string(bv_json_get(record, key));
}

bool cucumber_red(const struct bv_json *record)
{
    return cucumber_is(record, "verdict", "failed") || cucumber_is(record, "verdict", "broken");
}

/* ---- the run and its files ---- */

static void
write_product(struct bv_json_writer *w, const char *key, const char *name, const char *version)
{
    bv_jw_key(w, key);
    bv_jw_object(w);
    bv_jw_kv_text(w, "name", name);
    if (version && version[0])
        bv_jw_kv_text(w, "version", version);
    bv_jw_end(w);
}

static int write_meta(struct cucumber *c)
{
    struct utsname host = {0};
    (void)uname(&host);
    struct bv_json_writer w = cucumber_begin(c, "meta");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "protocolVersion", PROTOCOL_VERSION);
    write_product(&w, "implementation", "BitVelocity", c->run->commit);
    write_product(&w, "runtime", "bv scenario", NULL);
    write_product(&w, "os", host.sysname, host.release);
    write_product(&w, "cpu", host.machine, NULL);
    return cucumber_end(c, &w);
}

static int write_file(struct cucumber *c, const struct cucumber_file *file, const char *prefix)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = SOURCE_BYTES_MAX + 1};
    struct bv_error ignored;
    bool read = bv_fs_read(file->path, &text, &ignored) == 0; /* it may have gone since */
    struct bv_json_writer w = cucumber_begin(c, "source");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "uri", file->plan->file);
    bv_jw_kv_string(&w, "data", read && text.data ? bv_buf_view(&text) : BV_BYTES(""));
    bv_jw_kv_text(&w, "mediaType", "text/x.cucumber.gherkin+plain");
    BV_TRY(cucumber_end(c, &w));
    w = cucumber_begin(c, "gherkinDocument");
    gherkin_message_document(&w, file->plan->file, prefix, file->plan->document);
    return cucumber_finish(c, &w);
}

/* ---- the passes ---- */

/* The next line that is a JSON object; NULL at the end. *ret_place is where it begins. */
static const struct bv_json *next_record(struct cucumber *c, int64_t *ret_place)
{
    for (;;) {
        const struct bv_json *record = NULL;
        struct bv_error ignored;
        bv_arena_reset(c->arena);
        *ret_place = ftello(c->results);
        ssize_t got = getline(&c->text, &c->text_size, c->results);
        if (got < 0)
            return NULL;
        if (got <= CUCUMBER_LINE_BYTES_MAX &&
            bv_json_parse(c->arena, (struct bv_bytes){c->text, (size_t)got}, &record, &ignored) ==
                0 &&
            bv_json_type(record) == BV_JSON_OBJECT)
            return record;
    }
}

static int rewind_results(struct cucumber *c)
{
    c->scene = 0;
    c->scenario[0] = '\0';
    return fseeko(c->results, 0, SEEK_SET) == 0 ? 0 : BV_E_IO;
}

static int first_pass(struct cucumber *c)
{
    struct cucumber_open_scene scene = {0};
    const struct bv_json *record;
    int64_t place;
    BV_TRY(rewind_results(c));
    while ((record = next_record(c, &place)))
        BV_TRY(cucumber_plan_record(c, &scene, record));
    return cucumber_close_scene(c, &scene, false);
}

static int second_pass(struct cucumber *c)
{
    const struct bv_json *record;
    bool in = false;
    bool ended = false;
    int64_t place;
    BV_TRY(rewind_results(c));
    while ((record = next_record(c, &place))) {
        if (cucumber_is(record, "record", "end")) {
            ended = true;
            BV_TRY(cucumber_run_end(c, record));
            break;
        }
        BV_TRY(cucumber_event_record(c, record, place, &in));
    }
    return ended ? 0 : cucumber_run_end(c, NULL);
}

/* "2026-11-23T01:15:00.000Z" as results_open writes it. */
static int read_origin(struct cucumber *c, struct bv_error *error)
{
    struct tm day = {0};
    char text[40];
    int64_t place;
    const struct bv_json *record = next_record(c, &place);
    if (!record || !cucumber_is(record, "record", "run"))
        return bv_fail(error, BV_E_INVALID, "results.jsonl does not begin with the record run");
    snprintf(text, sizeof text, "%.*s", BV_ARG(cucumber_member(record, "startedAt")));
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &day);
    if (!rest)
        return bv_fail(error, BV_E_INVALID, "results.jsonl: startedAt is no time");
    double fraction = *rest == '.' ? strtod(rest, NULL) : 0;
    c->origin_us = (int64_t)timegm(&day) * 1000000 + (int64_t)(fraction * 1e6 + 0.5);
    return 0;
}

static int write_all(struct cucumber *c, struct bv_error *error)
{
    BV_TRY(read_origin(c, error));
    BV_TRY(write_meta(c));
    for (size_t i = 0; i < c->run->file_count; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "f%zu/", i + 1);
        BV_TRY(write_file(c, &c->run->files[i], prefix));
    }
    struct bv_json_writer w = cucumber_begin(c, "testRunStarted");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", CUCUMBER_RUN_ID);
    cucumber_time(c, &w, 0);
    BV_TRY(cucumber_end(c, &w));
    BV_TRY(first_pass(c));
    return second_pass(c);
}

static void release(struct cucumber *c)
{
    if (c->results)
        fclose(c->results);
    if (c->out)
        fclose(c->out);
    bv_arena_close(&c->arena);
    bv_buf_release(&c->line);
    bv_buf_release(&c->body);
    free(c->text);
    free(c->scenes);
    free(c->places);
    free(c);
}

int cucumber_write(const struct cucumber_run *run, struct bv_error *error)
{
    char from[BV_PATH_MAX];
    char path[BV_PATH_MAX];
    char unfinished[BV_PATH_MAX];
    BV_TRY(bv_path(from, error, "%s/results.jsonl", run->folder));
    BV_TRY(bv_path(path, error, "%s/cucumber.ndjson", run->folder));
    BV_TRY(bv_path(unfinished, error, "%s/cucumber.ndjson.part", run->folder));
    struct cucumber *c = calloc(1, sizeof *c);
    if (!c)
        return BV_E_NOMEM;
    c->run = run;
    c->line.max = LINE_BUFFER_BYTES;
    c->body.max = CUCUMBER_LINE_BYTES_MAX * 2;
    c->places = malloc(CUCUMBER_MESSAGES_MAX * sizeof *c->places);
    c->results = fopen(from, "re");
    c->out = fopen(unfinished, "we");
    int rc = !c->places             ? BV_E_NOMEM
             : c->results && c->out ? bv_arena_open(ARENA_BYTES_MAX, &c->arena)
                                    : BV_E_IO;
    if (rc == 0)
        rc = write_all(c, error);
    if (c->out && fflush(c->out) != 0 && rc == 0)
        rc = BV_E_IO;
    release(c);
    if (rc == 0 && rename(unfinished, path) < 0)
        rc = BV_E_IO;
    if (rc < 0)
        (void)unlink(unfinished);
    return rc < 0 && !error->text[0] ? bv_fail(error, rc, "%s could not be written", path) : rc;
}
