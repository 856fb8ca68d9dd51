/* What happened: test cases and steps, with their messages attached. */
#include "cucumber_lines.h"

#include <stdlib.h>

static void write_case_id(struct cucumber *c, struct bv_json_writer *w, const char *key)
{
    char id[CUCUMBER_ID_SIZE + 8];
    snprintf(id, sizeof id, "%s/0", c->scenario);
    bv_jw_kv_text(w, key, id);
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
    if (cucumber_is(record, "verdict", "broken"))
        (void)bv_buf_text(text, "the lab itself failed: ");
    for (size_t i = 0; i < BV_COUNT(parts); i++) {
        struct bv_bytes value = cucumber_member(record, parts[i].key);
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
    bool failed = cucumber_red(record);
    compose(&c->body, record);
    bv_jw_key(w, "testStepResult");
    bv_jw_object(w);
    cucumber_span(w, "duration", duration_us);
    bv_jw_kv_text(w,
                  "status",
                  failed                                     ? "FAILED"
                  : cucumber_is(record, "verdict", "passed") ? "PASSED"
                                                             : "SKIPPED");
    if (c->body.size)
        bv_jw_kv_string(w, "message", bv_buf_view(&c->body));
    if (failed) {
        bv_jw_key(w, "exception");
        bv_jw_object(w);
        bv_jw_kv_string(w, "type", cucumber_member(record, "verdict"));
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
    struct bv_json_writer w = cucumber_begin(c, kind);
    bv_jw_object(&w);
    write_case_id(c, &w, "testCaseStartedId");
    bv_jw_kv_text(&w, "testStepId", id);
    if (finished)
        write_result(c, &w, finished, bv_json_int(bv_json_get(finished, "durationUs"), 0));
    cucumber_time(c, &w, us);
    return cucumber_end(c, &w);
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
    struct bv_bytes summary = cucumber_member(message, "summary");
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
             BV_ARG(cucumber_member(message, "actor")),
             BV_ARG(cucumber_member(message, "direction")),
             summary.size > 80 ? 80 : (int)summary.size,
             summary.data ? summary.data : "");
    struct bv_json_writer w = cucumber_begin(c, "attachment");
    bv_jw_object(&w);
    write_case_id(c, &w, "testCaseStartedId");
    bv_jw_kv_text(&w, "testStepId", step);
    bv_jw_kv_text(&w, "contentEncoding", "IDENTITY");
    bv_jw_kv_text(&w, "mediaType", whole ? "application/json" : "text/plain");
    bv_jw_kv_string(&w, "fileName", bv_bytes_of(name)); /* cut UTF-8 becomes U+FFFD */
    bv_jw_kv_string(&w, "body", body);
    cucumber_time(c, &w, bv_json_int(bv_json_get(message, "us"), 0));
    return cucumber_end(c, &w);
}

static int write_step(struct cucumber *c, const struct bv_json *record)
{
    char id[CUCUMBER_ID_SIZE];
    int64_t us = bv_json_int(bv_json_get(record, "us"), 0);
    size_t attached = 0;
    snprintf(id, sizeof id, "%.*s", BV_ARG(cucumber_member(record, "id")));
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
    struct bv_json_writer w = cucumber_begin(c, "testCaseStarted");
    bv_jw_object(&w);
    write_case_id(c, &w, "id");
    bv_jw_kv_text(&w, "testCaseId", c->scenario);
    bv_jw_kv_int(&w, "attempt", 0);
    cucumber_time(c, &w, bv_json_int(bv_json_get(record, "us"), 0));
    return cucumber_end(c, &w);
}

static int write_case_end(struct cucumber *c, const struct bv_json *record)
{
    char id[CUCUMBER_ID_SIZE + 16];
    int64_t us = bv_json_int(bv_json_get(record, "us"), 0);
    if (c->scene <= c->scene_count && c->scenes[c->scene - 1].red_alone) {
        struct bv_json_writer w;
        snprintf(id, sizeof id, "%s." CUCUMBER_HOOK_ID, c->scenario);
        BV_TRY(write_step_event(c, "testStepStarted", id, us, NULL));
        w = cucumber_begin(c, "testStepFinished");
        bv_jw_object(&w);
        write_case_id(c, &w, "testCaseStartedId");
        bv_jw_kv_text(&w, "testStepId", id);
        write_result(c, &w, record, 0);
        cucumber_time(c, &w, us);
        BV_TRY(cucumber_end(c, &w));
    }
    struct bv_json_writer w = cucumber_begin(c, "testCaseFinished");
    bv_jw_object(&w);
    write_case_id(c, &w, "testCaseStartedId");
    bv_jw_kv_bool(&w, "willBeRetried", false);
    cucumber_time(c, &w, us);
    return cucumber_end(c, &w);
}

int cucumber_run_end(struct cucumber *c, const struct bv_json *record)
{
    struct bv_bytes error =
        record ? cucumber_member(record, "error") : BV_BYTES("the run did not end");
    struct bv_json_writer w = cucumber_begin(c, "testRunFinished");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "testRunStartedId", CUCUMBER_RUN_ID);
    bv_jw_kv_bool(&w, "success", record && cucumber_is(record, "verdict", "passed"));
    if (error.size)
        bv_jw_kv_string(&w, "message", error);
    cucumber_time(c, &w, record ? bv_json_int(bv_json_get(record, "us"), 0) : c->end_us);
    return cucumber_end(c, &w);
}

static void note_message(struct cucumber *c, const struct bv_json *record, int64_t place)
{
    int64_t id = bv_json_int(bv_json_get(record, "id"), 0);
    if (id > 0 && id <= CUCUMBER_MESSAGES_MAX)
        c->places[id - 1] = place;
}

int cucumber_event_record(struct cucumber *c, const struct bv_json *record, int64_t place, bool *in)
{
    if (cucumber_is(record, "record", "scenario")) {
        memset(c->places, 0xff, CUCUMBER_MESSAGES_MAX * sizeof *c->places);
        *in = cucumber_enter(c, record) &&
              cucumber_scenario_at(c->plan, bv_json_int(bv_json_get(record, "line"), 0));
        return *in ? write_case_begin(c, record) : 0;
    }
    if (!*in)
        return 0;
    if (cucumber_is(record, "record", "message")) {
        if (cucumber_is(record, "scenario", c->scenario))
            note_message(c, record, place);
    } else if (cucumber_is(record, "record", "step")) {
        return write_step(c, record);
    } else if (cucumber_is(record, "record", "scenario-end")) {
        *in = false;
        return write_case_end(c, record);
    }
    return 0;
}
