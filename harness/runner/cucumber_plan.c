/* What was meant to happen: pickles, step definitions, test cases. */
#include "cucumber_lines.h"

#include "plan_pickle.h"

#include <stdlib.h>

static void write_reference(struct bv_json_writer *w, const char *uri)
{
    bv_jw_key(w, "sourceReference");
    bv_jw_object(w);
    bv_jw_kv_text(w, "uri", uri);
    bv_jw_end(w);
}

/* ---- step definitions: one per way to say something ---- */

static void definition_of(const struct plan_step *step,
                          char id[CUCUMBER_ID_SIZE],
                          char pattern[2 * CUCUMBER_ID_SIZE])
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
        snprintf(id, CUCUMBER_ID_SIZE, "actor %.40s", protocol);
        snprintf(pattern, 2 * CUCUMBER_ID_SIZE, "^actor (\\S+) is %.40s(.*)$", protocol);
        return;
    case PLAN_VERB:
        snprintf(id, CUCUMBER_ID_SIZE, "%.30s %.60s", protocol, step->verb ? step->verb->name : "");
        snprintf(pattern,
                 2 * CUCUMBER_ID_SIZE,
                 "^(\\S+) %.60s(.*)$",
                 step->verb ? step->verb->name : "");
        return;
    case PLAN_POLL:
        snprintf(id, CUCUMBER_ID_SIZE, "%.30s %.60s until", protocol, step->verb->name);
        snprintf(pattern,
                 2 * CUCUMBER_ID_SIZE,
                 "^(?:within (\\S+) )?(\\S+) %.60s(.*) until (.+)$",
                 step->verb->name);
        return;
    case PLAN_PROBE:
        snprintf(id, CUCUMBER_ID_SIZE, "%.40s probe", protocol);
        snprintf(pattern, 2 * CUCUMBER_ID_SIZE, "^(\\S+) (.+)$");
        return;
    case PLAN_SAVE:
    case PLAN_RECEIVES:
    case PLAN_BARRIER:
        snprintf(id, CUCUMBER_ID_SIZE, "%s", of_kind[step->kind]);
        snprintf(pattern, 2 * CUCUMBER_ID_SIZE, "%s", patterns[step->kind]);
        return;
    }
}

static bool defined(const struct cucumber *c, const char *id)
{
    for (size_t i = 0; i < c->definition_count; i++)
        if (strcmp(c->definitions[i], id) == 0)
            return true;
    return false;
}

/* Writes the definition of step unless it is written, or there are too many. */
static int define(struct cucumber *c, const struct plan_step *step)
{
    char id[CUCUMBER_ID_SIZE];
    char pattern[2 * CUCUMBER_ID_SIZE];
    definition_of(step, id, pattern);
    if (defined(c, id) || c->definition_count == CUCUMBER_DEFINITIONS_MAX)
        return 0;
    snprintf(c->definitions[c->definition_count++], CUCUMBER_ID_SIZE, "%s", id);
    struct bv_json_writer w = cucumber_begin(c, "stepDefinition");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", id);
    bv_jw_key(&w, "pattern");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "source", pattern);
    bv_jw_kv_text(&w, "type", "REGULAR_EXPRESSION");
    bv_jw_end(&w);
    write_reference(&w, "bv scenario --steps");
    return cucumber_end(c, &w);
}

/* ---- test cases ---- */

static int write_test_case(struct cucumber *c, const struct plan_scenario *scenario, bool with_hook)
{
    char id[CUCUMBER_ID_SIZE + 32];
    struct bv_json_writer w = cucumber_begin(c, "pickle");
    plan_pickle_write(&w, c->plan->file, c->prefix, c->plan, scenario);
    BV_TRY(cucumber_finish(c, &w));
    for (size_t i = 0; i < scenario->step_count; i++)
        BV_TRY(define(c, &scenario->steps[i]));
    w = cucumber_begin(c, "testCase");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", c->scenario);
    snprintf(id, sizeof id, "%sp%u", c->prefix, scenario->line);
    bv_jw_kv_text(&w, "pickleId", id);
    bv_jw_kv_text(&w, "testRunStartedId", CUCUMBER_RUN_ID);
    bv_jw_key(&w, "testSteps");
    bv_jw_array(&w);
    for (size_t i = 0; i < scenario->step_count; i++) {
        char pattern[2 * CUCUMBER_ID_SIZE];
        bv_jw_object(&w);
        snprintf(id, sizeof id, "%s.%zu", c->scenario, i + 1);
        bv_jw_kv_text(&w, "id", id);
        snprintf(id, sizeof id, "%sp%u.%zu", c->prefix, scenario->line, i + 1);
        bv_jw_kv_text(&w, "pickleStepId", id);
        definition_of(&scenario->steps[i], id, pattern);
        bv_jw_key(&w, "stepDefinitionIds");
        bv_jw_array(&w);
        if (defined(c, id))
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
        snprintf(id, sizeof id, "%s." CUCUMBER_HOOK_ID, c->scenario);
        bv_jw_kv_text(&w, "id", id);
        bv_jw_kv_text(&w, "hookId", CUCUMBER_HOOK_ID);
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    return cucumber_end(c, &w);
}

static int write_hook(struct cucumber *c)
{
    if (c->hook_written)
        return 0;
    c->hook_written = true;
    struct bv_json_writer w = cucumber_begin(c, "hook");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "id", CUCUMBER_HOOK_ID);
    bv_jw_kv_text(&w, "name", "what every message must keep");
    bv_jw_kv_text(&w, "type", "AFTER_TEST_CASE");
    write_reference(&w, "contracts/");
    return cucumber_end(c, &w);
}

static int note_scene(struct cucumber *c, bool red_alone)
{
    if (c->scene_count == c->scene_capacity) {
        size_t capacity = c->scene_capacity ? c->scene_capacity * 2 : 64;
        struct cucumber_scene *scenes = realloc(c->scenes, capacity * sizeof *scenes);
        if (!scenes)
            return BV_E_NOMEM;
        c->scenes = scenes;
        c->scene_capacity = capacity;
    }
    c->scenes[c->scene_count++] = (struct cucumber_scene){red_alone};
    return 0;
}

int cucumber_close_scene(struct cucumber *c, struct cucumber_open_scene *scene, bool red_alone)
{
    const struct plan_scenario *scenario =
        scene->open ? cucumber_scenario_at(c->plan, scene->line) : NULL;
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

int cucumber_plan_record(struct cucumber *c,
                         struct cucumber_open_scene *scene,
                         const struct bv_json *record)
{
    if (cucumber_is(record, "record", "scenario")) {
        BV_TRY(cucumber_close_scene(c, scene, false));
        scene->open = true;
        scene->line = bv_json_int(bv_json_get(record, "line"), 0);
        (void)cucumber_enter(c, record);
    } else if (cucumber_is(record, "record", "step")) {
        c->red_step = c->red_step || cucumber_red(record);
    } else if (cucumber_is(record, "record", "scenario-end")) {
        return cucumber_close_scene(c, scene, cucumber_red(record) && !c->red_step);
    }
    return 0;
}
