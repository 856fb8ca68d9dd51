/* Two passes over results.jsonl. The first writes what was meant to happen: features, pickles, step
 * definitions, test cases. The second writes what happened, and needs one look ahead from the
 * first: a scenario may be red though every step is green (a message broke its contract while
 * nobody waited); since Cucumber's verdicts come from steps alone, such a test case ends with a
 * hook that fails. Messages stand before the step that matched them, so a step's attachments are
 * read again from the places that were noted. */
#include "cucumber.h"

#include "bv/fs.h"
#include "bv/json.h"
#include "plan_pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    DEFINITIONS_MAX = 512,
    ID_SIZE = 96,
    ARENA_BYTES_MAX = 512 << 20,
    LINE_BUFFER_BYTES = 32 << 20,
    SOURCE_BYTES_MAX = 1 << 20
};
#define PROTOCOL_VERSION "34.2.1"
#define RUN_ID "run"
#define HOOK_ID "verdict"

struct scene {      /* one scenario of the results, in their order */
    bool red_alone; /* no step says why */
};

struct cucumber {
    const struct cucumber_run *run;
    FILE *results;
    FILE *out;
    struct bv_arena *arena; /* of one line */
    char *text;             /* of getline */
    size_t text_size;
    struct bv_buf line; /* that is being written */
    struct bv_buf body; /* of an attachment */
    int64_t origin_us;  /* wall clock of the run's 0 */
    char definitions[DEFINITIONS_MAX][ID_SIZE];
    size_t definition_count;
    struct scene *scenes; /* owned */
    size_t scene_count;
    size_t scene_capacity;
    /* The scenario of the current line. */
    size_t scene; /* number from 1 */
    char scenario[ID_SIZE];
    const struct plan *plan;
    char prefix[32]; /* of the ids of its file */
    bool red_step;
    bool hook_written;
    int64_t *places; /* owned: of its messages in the results, by id from 1; -1: none */
    int64_t end_us;  /* newest time seen */
};

/* ---- writing ---- */

/* Begins {"KIND": { */
static struct bv_json_writer begin(struct cucumber *c, const char *kind)
{
    bv_buf_reset(&c->line);
    struct bv_json_writer w = bv_json_writer(&c->line);
    bv_jw_object(&w);
    bv_jw_key(&w, kind);
    return w;
}

static int finish(struct cucumber *c, struct bv_json_writer *w)
{
    bv_jw_end(w);
    (void)bv_buf_char(&c->line, '\n');
    if (c->line.failed)
        return BV_E_TOO_LARGE;
    return fwrite(c->line.data, 1, c->line.size, c->out) == c->line.size ? 0 : BV_E_IO;
}

static int end(struct cucumber *c, struct bv_json_writer *w)
{
    bv_jw_end(w);
    return finish(c, w);
}

static void write_span(struct bv_json_writer *w, const char *key, int64_t us)
{
    bv_jw_key(w, key);
    bv_jw_object(w);
    bv_jw_kv_int(w, "seconds", us / 1000000);
    bv_jw_kv_int(w, "nanos", us % 1000000 * 1000);
    bv_jw_end(w);
}

static void write_time(struct cucumber *c, struct bv_json_writer *w, int64_t us)
{
    write_span(w, "timestamp", c->origin_us + us);
    c->end_us = us > c->end_us ? us : c->end_us;
}

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
    struct bv_json_writer w = begin(c, "meta");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "protocolVersion", PROTOCOL_VERSION);
    write_product(&w, "implementation", "BitVelocity", c->run->commit);
    write_product(&w, "runtime", "bv scenario", NULL);
    write_product(&w, "os", host.sysname, host.release);
    write_product(&w, "cpu", host.machine, NULL);
    return end(c, &w);
}

static int write_file(struct cucumber *c, const struct cucumber_file *file, const char *prefix)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = SOURCE_BYTES_MAX + 1};
    struct bv_error ignored;
    bool read = bv_fs_read(file->path, &text, &ignored) == 0; /* it may have gone since */
    struct bv_json_writer w = begin(c, "source");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "uri", file->plan->file);
    bv_jw_kv_string(&w, "data", read && text.data ? bv_buf_view(&text) : BV_BYTES(""));
    bv_jw_kv_text(&w, "mediaType", "text/x.cucumber.gherkin+plain");
    BV_TRY(end(c, &w));
    w = begin(c, "gherkinDocument");
    gherkin_message_document(&w, file->plan->file, prefix, file->plan->document);
    return finish(c, &w);
}

static void write_reference(struct bv_json_writer *w, const char *uri)
{
    bv_jw_key(w, "sourceReference");
    bv_jw_object(w);
    bv_jw_kv_text(w, "uri", uri);
    bv_jw_end(w);
}

/* ---- step definitions: one per way to say something ---- */

static void definition_of(const struct plan_step *step, char id[ID_SIZE], char pattern[2 * ID_SIZE])
{
    static const char *const of_kind[] = {
        [PLAN_SAVE] = "save", [PLAN_RECEIVES] = "receives", [PLAN_BARRIER] = "barrier"};
    static const char *const patterns[] = {
        [PLAN_SAVE] = "^save (\\S+) from (\\S+) (.+)$",
        [PLAN_RECEIVES] = "^(?:never )?(?:within (\\S+) )?(\\S+) receives(.*)$",
        [PLAN_BARRIER] = "^barrier (\\S+)(?: within (\\S+))?$"};
    const char *protocol = step->protocol ? step->protocol->name : "";
    switch (step->kind) {
    case PLAN_ACTOR:
        snprintf(id, ID_SIZE, "actor %.40s", protocol);
        snprintf(pattern, 2 * ID_SIZE, "^actor (\\S+) is %.40s(.*)$", protocol);
        return;
    case PLAN_VERB:
        snprintf(id, ID_SIZE, "%.30s %.60s", protocol, step->verb ? step->verb->name : "");
        snprintf(pattern, 2 * ID_SIZE, "^(\\S+) %.60s(.*)$", step->verb ? step->verb->name : "");
        return;
    case PLAN_PROBE:
        snprintf(id, ID_SIZE, "%.40s probe", protocol);
        snprintf(pattern, 2 * ID_SIZE, "^(\\S+) (.+)$");
        return;
    case PLAN_SAVE:
    case PLAN_RECEIVES:
    case PLAN_BARRIER:
        snprintf(id, ID_SIZE, "%s", of_kind[step->kind]);
        snprintf(pattern, 2 * ID_SIZE, "%s", patterns[step->kind]);
        return;
    }
}

/* Writes the definition of step unless it is written; *ret_id is empty when there are too many. */
static int define(struct cucumber *c, const struct plan_step *step, char ret_id[ID_SIZE])
{
    char pattern[2 * ID_SIZE];
    definition_of(step, ret_id, pattern);
    for (size_t i = 0; i < c->definition_count; i++)
        if (strcmp(c->definitions[i], ret_id) == 0)
            return 0;
    if (c->definition_count == DEFINITIONS_MAX) {
        ret_id[0] = '\0';
        return 0;
    }
    snprintf(c->definitions[c->definition_count++], ID_SIZE, "%s", ret_id);
    struct bv_json_writer w = begin(c, "stepDefinition");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", ret_id);
    bv_jw_key(&w, "pattern");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "source", pattern);
    bv_jw_kv_text(&w, "type", "REGULAR_EXPRESSION");
    bv_jw_end(&w);
    write_reference(&w, "bv scenario --steps");
    return end(c, &w);
}

/* ---- where a record belongs ---- */

static bool is(const struct bv_json *record, const char *key, const char *value)
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

static const struct plan_scenario *scenario_at(const struct plan *plan, int64_t line)
{
    for (size_t i = 0; plan && i < plan->scenario_count; i++)
        if (plan->scenarios[i].line == line)
            return &plan->scenarios[i];
    return NULL;
}

/* Notes what the record says about the scenario that runs. false: the record is of none. */
static bool enter(struct cucumber *c, const struct bv_json *record)
{
    struct bv_bytes id = bv_json_string(bv_json_get(record, "id"));
    if (id.size >= ID_SIZE - 16)
        return false;
    snprintf(c->scenario, sizeof c->scenario, "%.*s", BV_ARG(id));
    c->plan = plan_of(c, bv_json_string(bv_json_get(record, "feature")), c->prefix);
    c->scene++;
    c->red_step = false;
    return c->plan != NULL;
}

static bool red(const struct bv_json *record)
{
    return is(record, "verdict", "failed") || is(record, "verdict", "broken");
}

/* ---- first pass ---- */

static int write_test_case(struct cucumber *c, const struct plan_scenario *scenario, bool with_hook)
{
    char id[ID_SIZE + 32];
    struct bv_json_writer w = begin(c, "pickle");
    plan_pickle_write(&w, c->plan->file, c->prefix, c->plan, scenario);
    BV_TRY(finish(c, &w));
    for (size_t i = 0; i < scenario->step_count; i++)
        BV_TRY(define(c, &scenario->steps[i], id));
    w = begin(c, "testCase");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", c->scenario);
    snprintf(id, sizeof id, "%sp%u", c->prefix, scenario->line);
    bv_jw_kv_text(&w, "pickleId", id);
    bv_jw_kv_text(&w, "testRunStartedId", RUN_ID);
    bv_jw_key(&w, "testSteps");
    bv_jw_array(&w);
    for (size_t i = 0; i < scenario->step_count; i++) {
        char pattern[2 * ID_SIZE];
        bv_jw_object(&w);
        snprintf(id, sizeof id, "%s.%zu", c->scenario, i + 1);
        bv_jw_kv_text(&w, "id", id);
        snprintf(id, sizeof id, "%sp%u.%zu", c->prefix, scenario->line, i + 1);
        bv_jw_kv_text(&w, "pickleStepId", id);
        definition_of(&scenario->steps[i], id, pattern);
        bv_jw_key(&w, "stepDefinitionIds");
        bv_jw_array(&w);
        bv_jw_text(&w, id);
        bv_jw_end(&w);
        bv_jw_key(&w, "stepMatchArgumentsLists");
        bv_jw_array(&w);
        bv_jw_object(&w);
        bv_jw_key(&w, "stepMatchArguments");
        bv_jw_array(&w);
        bv_jw_end(&w);
        bv_jw_end(&w);
        bv_jw_end(&w);
        bv_jw_end(&w);
    }
    if (with_hook) {
        bv_jw_object(&w);
        snprintf(id, sizeof id, "%s." HOOK_ID, c->scenario);
        bv_jw_kv_text(&w, "id", id);
        bv_jw_kv_text(&w, "hookId", HOOK_ID);
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    return end(c, &w);
}

static int write_hook(struct cucumber *c)
{
    if (c->hook_written)
        return 0;
    c->hook_written = true;
    struct bv_json_writer w = begin(c, "hook");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", HOOK_ID);
    bv_jw_kv_text(&w, "name", "what every message must keep");
    bv_jw_kv_text(&w, "type", "AFTER_TEST_CASE");
    write_reference(&w, "contracts/");
    return end(c, &w);
}

static int note_scene(struct cucumber *c, bool red_alone)
{
    if (c->scene_count == c->scene_capacity) {
        size_t capacity = c->scene_capacity ? c->scene_capacity * 2 : 64;
        struct scene *scenes = realloc(c->scenes, capacity * sizeof *scenes);
        if (!scenes)
            return BV_E_NOMEM;
        c->scenes = scenes;
        c->scene_capacity = capacity;
    }
    c->scenes[c->scene_count++] = (struct scene){red_alone};
    return 0;
}

/* A scenario is written when its end is known, or the next one begins. */
struct open_scene {
    bool open;
    int64_t line;
};

static int close_scene(struct cucumber *c, struct open_scene *scene, bool red_alone)
{
    const struct plan_scenario *scenario = scene->open ? scenario_at(c->plan, scene->line) : NULL;
    if (!scene->open)
        return 0;
    scene->open = false;
    BV_TRY(note_scene(c, red_alone));
    if (!scenario)
        return 0;
    if (red_alone)
        BV_TRY(write_hook(c));
    return write_test_case(c, scenario, red_alone);
}

static int plan_record(struct cucumber *c, struct open_scene *scene, const struct bv_json *record)
{
    if (is(record, "record", "scenario")) {
        BV_TRY(close_scene(c, scene, false));
        scene->open = true;
        scene->line = bv_json_int(bv_json_get(record, "line"), 0);
        (void)enter(c, record);
    } else if (is(record, "record", "step")) {
        c->red_step = c->red_step || red(record);
    } else if (is(record, "record", "scenario-end")) {
        return close_scene(c, scene, red(record) && !c->red_step);
    }
    return 0;
}

/* ---- second pass ---- */

static void write_case_id(struct cucumber *c, struct bv_json_writer *w, const char *key)
{
    char id[ID_SIZE + 8];
    snprintf(id, sizeof id, "%s/0", c->scenario);
    bv_jw_kv_text(w, key, id);
}

static struct bv_bytes member(const struct bv_json *record, const char *key)
{
    return bv_json_string(bv_json_get(record, key));
}

/* What people read below the red step. */
static void compose(struct bv_buf *text, const struct bv_json *record)
{
    static const struct {
        const char *key;
        const char *before;
    } parts[] = {
        {"error",    ""            },
        {"reason",   ""            },
        {"expected", "  expected: "},
        {"actual",   "  actual:   "},
    };
    bv_buf_reset(text);
    if (is(record, "verdict", "broken"))
        (void)bv_buf_text(text, "the lab itself failed: ");
    for (size_t i = 0; i < BV_COUNT(parts); i++) {
        struct bv_bytes value = member(record, parts[i].key);
        if (!value.size)
            continue;
        if (i && text->size)
            (void)bv_buf_char(text, '\n');
        (void)bv_buf_text(text, parts[i].before);
        (void)bv_buf_bytes(text, value);
    }
}

static void write_result(struct cucumber *c,
                         struct bv_json_writer *w,
                         const struct bv_json *record,
                         int64_t duration_us)
{
    bool failed = red(record);
    compose(&c->body, record);
    bv_jw_key(w, "testStepResult");
    bv_jw_object(w);
    write_span(w, "duration", duration_us);
    bv_jw_kv_text(w,
                  "status",
                  failed                            ? "FAILED"
                  : is(record, "verdict", "passed") ? "PASSED"
                                                    : "SKIPPED");
    if (c->body.size)
        bv_jw_kv_string(w, "message", bv_buf_view(&c->body));
    if (failed) {
        bv_jw_key(w, "exception");
        bv_jw_object(w);
        bv_jw_kv_string(w, "type", member(record, "verdict"));
        if (c->body.size)
            bv_jw_kv_string(w, "message", bv_buf_view(&c->body));
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static int write_step_event(struct cucumber *c,
                            const char *kind,
                            const char *id,
                            int64_t us,
                            const struct bv_json *finished)
{
    struct bv_json_writer w = begin(c, kind);
    bv_jw_object(&w);
    write_case_id(c, &w, "testCaseStartedId");
    bv_jw_kv_text(&w, "testStepId", id);
    if (finished)
        write_result(c, &w, finished, bv_json_int(bv_json_get(finished, "durationUs"), 0));
    write_time(c, &w, us);
    return end(c, &w);
}

/* The line of a message, from the place that was noted. NULL: not to be had. */
static const struct bv_json *message_at(struct cucumber *c, int64_t place)
{
    const struct bv_json *record = NULL;
    struct bv_error ignored;
    off_t here = ftello(c->results);
    char *text = NULL;
    size_t size = 0;
    ssize_t got = fseeko(c->results, place, SEEK_SET) == 0 ? getline(&text, &size, c->results) : -1;
    if (got > 0 &&
        bv_json_parse(c->arena, (struct bv_bytes){text, (size_t)got}, &record, &ignored) < 0)
        record = NULL;
    free(text);
    return fseeko(c->results, here, SEEK_SET) == 0 ? record : NULL;
}

static int write_attachment(struct cucumber *c, const char *step, const struct bv_json *message)
{
    struct bv_bytes summary = member(message, "summary");
    char name[160];
    bv_buf_reset(&c->body);
    (void)bv_json_write_pretty(&c->body, message);
    bool whole = !c->body.failed && c->body.size <= CUCUMBER_BODY_BYTES_MAX;
    struct bv_bytes body = bv_buf_view(&c->body);
    if (!whole) {
        body.size = body.size < CUCUMBER_BODY_BYTES_MAX ? body.size : CUCUMBER_BODY_BYTES_MAX;
        while (body.size && ((unsigned char)body.data[body.size] & 0xc0) == 0x80)
            body.size--;
        c->body.size = body.size;
        (void)bv_buf_text(&c->body, "\n... cut here; results.jsonl has all of it");
        body = bv_buf_view(&c->body);
    }
    snprintf(name,
             sizeof name,
             "%lld %.*s %.*s %.*s",
             (long long)bv_json_int(bv_json_get(message, "id"), 0),
             BV_ARG(member(message, "actor")),
             BV_ARG(member(message, "direction")),
             summary.size > 80 ? 80 : (int)summary.size,
             summary.data ? summary.data : "");
    struct bv_json_writer w = begin(c, "attachment");
    bv_jw_object(&w);
    write_case_id(c, &w, "testCaseStartedId");
    bv_jw_kv_text(&w, "testStepId", step);
    bv_jw_kv_text(&w, "contentEncoding", "IDENTITY");
    bv_jw_kv_text(&w, "mediaType", whole ? "application/json" : "text/plain");
    bv_jw_kv_string(&w, "fileName", bv_bytes_of(name)); /* cut UTF-8 becomes U+FFFD */
    bv_jw_kv_string(&w, "body", body);
    write_time(c, &w, bv_json_int(bv_json_get(message, "us"), 0));
    return end(c, &w);
}

static int write_step(struct cucumber *c, const struct bv_json *record)
{
    char id[ID_SIZE];
    int64_t us = bv_json_int(bv_json_get(record, "us"), 0);
    size_t attached = 0;
    snprintf(id, sizeof id, "%.*s", BV_ARG(member(record, "id")));
    BV_TRY(write_step_event(c, "testStepStarted", id, us, NULL));
    struct bv_json_iter it = bv_json_iter(bv_json_get(record, "messages"));
    while (bv_json_next(&it) && attached < CUCUMBER_STEP_MESSAGES_MAX) {
        int64_t number = bv_json_int(it.value, 0);
        int64_t place = number > 0 && number <= CUCUMBER_MESSAGES_MAX ? c->places[number - 1] : -1;
        const struct bv_json *message = place >= 0 ? message_at(c, place) : NULL;
        if (message) {
            BV_TRY(write_attachment(c, id, message));
            attached++;
        }
    }
    us += bv_json_int(bv_json_get(record, "durationUs"), 0);
    return write_step_event(c, "testStepFinished", id, us, record);
}

static int write_case_begin(struct cucumber *c, const struct bv_json *record)
{
    struct bv_json_writer w = begin(c, "testCaseStarted");
    bv_jw_object(&w);
    write_case_id(c, &w, "id");
    bv_jw_kv_text(&w, "testCaseId", c->scenario);
    bv_jw_kv_int(&w, "attempt", 0);
    write_time(c, &w, bv_json_int(bv_json_get(record, "us"), 0));
    return end(c, &w);
}

static int write_case_end(struct cucumber *c, const struct bv_json *record)
{
    char id[ID_SIZE + 16];
    int64_t us = bv_json_int(bv_json_get(record, "us"), 0);
    if (c->scene <= c->scene_count && c->scenes[c->scene - 1].red_alone) {
        struct bv_json_writer w;
        snprintf(id, sizeof id, "%s." HOOK_ID, c->scenario);
        BV_TRY(write_step_event(c, "testStepStarted", id, us, NULL));
        w = begin(c, "testStepFinished");
        bv_jw_object(&w);
        write_case_id(c, &w, "testCaseStartedId");
        bv_jw_kv_text(&w, "testStepId", id);
        write_result(c, &w, record, 0);
        write_time(c, &w, us);
        BV_TRY(end(c, &w));
    }
    struct bv_json_writer w = begin(c, "testCaseFinished");
    bv_jw_object(&w);
    write_case_id(c, &w, "testCaseStartedId");
    bv_jw_kv_bool(&w, "willBeRetried", false);
    write_time(c, &w, us);
    return end(c, &w);
}

static int write_run_end(struct cucumber *c, const struct bv_json *record)
{
    struct bv_bytes error = record ? member(record, "error") : BV_BYTES("the run did not end");
    struct bv_json_writer w = begin(c, "testRunFinished");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "testRunStartedId", RUN_ID);
    bv_jw_kv_bool(&w, "success", record && is(record, "verdict", "passed"));
    if (error.size)
        bv_jw_kv_string(&w, "message", error);
    write_time(c, &w, record ? bv_json_int(bv_json_get(record, "us"), 0) : c->end_us);
    return end(c, &w);
}

static void note_message(struct cucumber *c, const struct bv_json *record, int64_t place)
{
    int64_t id = bv_json_int(bv_json_get(record, "id"), 0);
    if (id > 0 && id <= CUCUMBER_MESSAGES_MAX)
        c->places[id - 1] = place;
}

static int event_record(struct cucumber *c, const struct bv_json *record, int64_t place, bool *in)
{
    if (is(record, "record", "scenario")) {
        memset(c->places, 0xff, CUCUMBER_MESSAGES_MAX * sizeof *c->places);
        *in = enter(c, record) && scenario_at(c->plan, bv_json_int(bv_json_get(record, "line"), 0));
        return *in ? write_case_begin(c, record) : 0;
    }
    if (!*in)
        return 0;
    if (is(record, "record", "message")) {
        if (is(record, "scenario", c->scenario))
            note_message(c, record, place);
    } else if (is(record, "record", "step")) {
        return write_step(c, record);
    } else if (is(record, "record", "scenario-end")) {
        *in = false;
        return write_case_end(c, record);
    }
    return 0;
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
    struct open_scene scene = {0};
    const struct bv_json *record;
    int64_t place;
    BV_TRY(rewind_results(c));
    while ((record = next_record(c, &place)))
        BV_TRY(plan_record(c, &scene, record));
    return close_scene(c, &scene, false);
}

static int second_pass(struct cucumber *c)
{
    const struct bv_json *record;
    bool in = false;
    bool ended = false;
    int64_t place;
    BV_TRY(rewind_results(c));
    while ((record = next_record(c, &place))) {
        if (is(record, "record", "end")) {
            ended = true;
            BV_TRY(write_run_end(c, record));
            break;
        }
        BV_TRY(event_record(c, record, place, &in));
    }
    return ended ? 0 : write_run_end(c, NULL);
}

/* "2026-11-23T01:15:00.000Z" as results_open writes it. */
static int read_origin(struct cucumber *c, struct bv_error *error)
{
    struct tm day = {0};
    char text[40];
    int64_t place;
    const struct bv_json *record = next_record(c, &place);
    if (!record || !is(record, "record", "run"))
        return bv_fail(error, BV_E_INVALID, "results.jsonl does not begin with the record run");
    snprintf(text, sizeof text, "%.*s", BV_ARG(member(record, "startedAt")));
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
    struct bv_json_writer w = begin(c, "testRunStarted");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", RUN_ID);
    write_time(c, &w, 0);
    BV_TRY(end(c, &w));
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
