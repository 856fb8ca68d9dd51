/* Inside cucumber.ndjson: what the two passes share. Thread: one owner. */
#ifndef BV_CUCUMBER_LINES_H
#define BV_CUCUMBER_LINES_H

#include "cucumber.h"
#include "bv/json.h"

#include <stdio.h>

enum { CUCUMBER_DEFINITIONS_MAX = 512, CUCUMBER_ID_SIZE = 96 };
#define CUCUMBER_RUN_ID "run"
#define CUCUMBER_HOOK_ID "verdict"

struct cucumber_scene { /* one scenario of the results, in their order */
    bool red_alone;     /* no step says why */
};

/* A scenario is written when its end is known, or the next one begins. */
struct cucumber_open_scene {
    bool open;
    int64_t line;
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
    char definitions[CUCUMBER_DEFINITIONS_MAX][CUCUMBER_ID_SIZE];
    size_t definition_count;
    struct cucumber_scene *scenes; /* owned */
    size_t scene_count;
    size_t scene_capacity;
    /* The scenario of the current line. */
    size_t scene; /* number from 1 */
    char scenario[CUCUMBER_ID_SIZE];
    const struct plan *plan;
    char prefix[32]; /* of the ids of its file */
    bool red_step;
    bool hook_written;
    int64_t *places; /* owned: of its messages in the results, by id from 1; -1: none */
    int64_t end_us;  /* newest time seen */
};

/* Begins {"KIND": in the line, without the value's brace. */
struct bv_json_writer cucumber_begin(struct cucumber *c, const char *kind);
/* Ends and writes the line: the outer object, or the value's too. Errors: BV_E_IO, BV_E_TOO_LARGE.
 */
BV_MUST_CHECK int cucumber_finish(struct cucumber *c, struct bv_json_writer *w);
BV_MUST_CHECK int cucumber_end(struct cucumber *c, struct bv_json_writer *w);
/* Members: a duration, and the wall clock of a time of the run. */
void cucumber_span(struct bv_json_writer *w, const char *key, int64_t us);
void cucumber_time(struct cucumber *c, struct bv_json_writer *w, int64_t us);

/* Whether the member of a record is that text, and the text; empty: none. */
bool cucumber_is(const struct bv_json *record, const char *key, const char *value);
struct bv_bytes cucumber_member(const struct bv_json *record, const char *key);
/* Failed or broken. */
bool cucumber_red(const struct bv_json *record);
/* Notes the scenario whose record it is as the current one. false: its feature is unknown. */
bool cucumber_enter(struct cucumber *c, const struct bv_json *record);
/* NULL: the plan has none there. */
const struct plan_scenario *cucumber_scenario_at(const struct plan *plan, int64_t line);

/* First pass, for each record: pickles, step definitions, test cases. */
BV_MUST_CHECK int cucumber_plan_record(struct cucumber *c,
                                       struct cucumber_open_scene *scene,
                                       const struct bv_json *record);
/* Writes the scenario that is open, if one is. */
BV_MUST_CHECK int
cucumber_close_scene(struct cucumber *c, struct cucumber_open_scene *scene, bool red_alone);
/* Second pass, for each record but "end"; place: where its line begins; *in: within a scenario. */
BV_MUST_CHECK int
cucumber_event_record(struct cucumber *c, const struct bv_json *record, int64_t place, bool *in);
/* record NULL: there is none. */
BV_MUST_CHECK int cucumber_run_end(struct cucumber *c, const struct bv_json *record);

#endif
