/* The records of one scenario: written as they happen, or kept and appended in one block. */
#include "results_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { COPY_BYTES = 65536 };

struct results_scenario {
    struct results *results; /* borrowed */
    struct results_place place;
    enum results_mode mode;
    char id[16];
    struct bv_buf line;
    struct bv_buf block; /* RESULTS_BLOCK: what is not in spill */
    int spill;           /* an unlinked file; -1: none */
    size_t spilled;
    bool failed;
};

/* ---- lines ---- */

static void keep(struct results_scenario *part, const char *data, size_t size)
{
    while (size) {
        ssize_t got = write(part->spill, data, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            part->failed = true;
            return;
        }
        data += got;
        size -= (size_t)got;
        part->spilled += (size_t)got;
    }
}

/* Past RESULTS_BLOCK_BYTES a block goes to a file that has no name and ends with its descriptor. */
static void spill(struct results_scenario *part)
{
    char path[BV_PATH_MAX];
    if (part->spill < 0)
        part->spill = open(part->results->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (part->spill < 0 && bv_path(path, NULL, "%s/.spill-XXXXXX", part->results->folder) == 0 &&
        (part->spill = mkostemp(path, O_CLOEXEC)) >= 0)
        unlink(path);
    if (part->spill < 0)
        part->failed = true;
    else if (part->block.size)
        keep(part, part->block.data, part->block.size);
    bv_buf_reset(&part->block);
}

static void flush(struct results_scenario *part)
{
    struct results *results = part->results;
    (void)bv_buf_char(&part->line, '\n');
    struct bv_bytes line = bv_buf_view(&part->line);
    if (part->line.failed) {
        part->failed = true;
    } else if (part->mode == RESULTS_DIRECT) {
        pthread_mutex_lock(&results->lock);
        results_write(results, line);
        pthread_mutex_unlock(&results->lock);
    } else {
        if (part->block.size + line.size > RESULTS_BLOCK_BYTES)
            spill(part);
        if (line.size > RESULTS_BLOCK_BYTES && part->spill >= 0)
            keep(part, line.data, line.size);
        else
            (void)bv_buf_bytes(&part->block, line);
    }
    if (line.size > RESULTS_BLOCK_BYTES) { /* a rare one: its memory goes back */
        bv_buf_release(&part->line);
        part->line.max = RESULTS_LINE_BYTES_MAX;
    }
}

static void end(struct results_scenario *part, struct bv_json_writer *w)
{
    bv_jw_end(w);
    flush(part);
}

/* The block, under the lock of the results. */
static void append(struct results_scenario *part)
{
    struct results *results = part->results;
    char data[COPY_BYTES];
    off_t at = 0;
    ssize_t got;
    while ((size_t)at < part->spilled && (got = pread(part->spill, data, sizeof data, at)) > 0) {
        results_write(results, (struct bv_bytes){data, (size_t)got});
        at += got;
    }
    if ((size_t)at < part->spilled || part->block.failed)
        part->failed = true;
    if (part->block.size)
        results_write(results, bv_buf_view(&part->block));
}

/* ---- life ---- */

int results_scenario_open(struct results *results,
                          const struct results_place *place,
                          enum results_mode mode,
                          struct results_scenario **ret_part)
{
    struct results_scenario *part = calloc(1, sizeof *part);
    if (!part)
        return BV_E_NOMEM;
    *part = (struct results_scenario){.results = results,
                                      .place = *place,
                                      .mode = mode,
                                      .line = {.max = RESULTS_LINE_BYTES_MAX},
                                      .block = {.max = RESULTS_BLOCK_BYTES + 1},
                                      .spill = -1};
    snprintf(part->id, sizeof part->id, "s%zu", place->number);
    *ret_part = part;
    return 0;
}

void results_scenario_close(struct results_scenario **part)
{
    if (!*part)
        return;
    pthread_mutex_lock(&(*part)->results->lock);
    (*part)->results->failed = (*part)->results->failed || (*part)->failed;
    pthread_mutex_unlock(&(*part)->results->lock);
    if ((*part)->spill >= 0)
        close((*part)->spill);
    bv_buf_release(&(*part)->line);
    bv_buf_release(&(*part)->block);
    free(*part);
    *part = NULL;
}

/* ---- records ---- */

static void ids(struct bv_json_writer *w, const char *key, const uint64_t *list, size_t count)
{
    bv_jw_key(w, key);
    bv_jw_array(w);
    for (size_t i = 0; i < count; i++)
        bv_jw_int(w, (int64_t)list[i]);
    bv_jw_end(w);
}

static void write_tags(struct bv_json_writer *w, const struct bv_bytes *tags, size_t count)
{
    bv_jw_key(w, "tags");
    bv_jw_array(w);
    for (size_t i = 0; i < count; i++)
        bv_jw_string(w, tags[i]);
    bv_jw_end(w);
}

void results_scenario(struct results_scenario *part,
                      const struct plan_scenario *scenario,
                      const struct bv_lab *lab,
                      int64_t start_us)
{
    struct results *results = part->results;
    size_t number = part->place.number;
    char feature[16];
    char trace[33];
    snprintf(feature, sizeof feature, "f%zu", part->place.feature);
    bv_trace_id_format(&lab->trace, trace);
    pthread_mutex_lock(&results->lock);
    memcpy(results->traces[number - 1], lab->trace.trace_id, 16);
    results->last = number > results->last ? number : results->last;
    if (part->mode == RESULTS_DIRECT)
        results_feature(results, part->place.plan, part->place.feature);
    pthread_mutex_unlock(&results->lock);
    struct bv_json_writer w = results_begin(&part->line, "scenario");
    bv_jw_kv_text(&w, "id", part->id);
    bv_jw_kv_text(&w, "feature", feature);
    bv_jw_kv_int(&w, "us", results_since(results, start_us));
    bv_jw_kv_int(&w, "line", scenario->line);
    bv_jw_kv_string(&w, "name", scenario->name);
    results_bytes(&w, "description", scenario->source->description);
    results_bytes(&w, "rule", scenario->rule);
    write_tags(&w, scenario->tags, scenario->tag_count);
    bv_jw_kv_text(&w, "run", lab->run);
    bv_jw_kv_text(&w, "traceId", trace);
    end(part, &w);
}

void results_actor(struct results_scenario *part, const struct plan_step *step, int64_t at_us)
{
    struct bv_json_writer w = results_begin(&part->line, "actor");
    bv_jw_kv_text(&w, "scenario", part->id);
    bv_jw_kv_int(&w, "us", results_since(part->results, at_us));
    bv_jw_kv_text(&w, "name", step->actor);
    bv_jw_kv_text(&w, "protocol", step->protocol->name);
    bv_jw_kv_string(&w, "text", step->source->text);
    end(part, &w);
}

void results_message(struct results_scenario *part, const struct bv_message *message)
{
    bv_buf_reset(&part->line);
    struct bv_json_writer w = bv_json_writer(&part->line);
    bv_message_write(&w, part->id, message, part->results->origin_us);
    flush(part);
}

static void write_source(struct bv_json_writer *w, const struct gherkin_step *source)
{
    if (source->doc.at.line) {
        bv_jw_kv_string(w, "docString", source->doc.content);
        results_bytes(w, "docMediaType", source->doc.media_type);
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

void results_step(struct results_scenario *part,
                  const struct plan_step *step,
                  size_t index,
                  const struct step_outcome *outcome)
{
    static const char *const types[] = {"context", "action", "outcome"};
    char id[40];
    struct bv_bytes keyword = step->source->keyword;
    while (keyword.size && keyword.data[keyword.size - 1] == ' ')
        keyword.size--;
    snprintf(id, sizeof id, "%s.%zu", part->id, index + 1);
    struct bv_json_writer w = results_begin(&part->line, "step");
    bv_jw_kv_text(&w, "id", id);
    bv_jw_kv_text(&w, "scenario", part->id);
    bv_jw_kv_int(&w, "us", results_since(part->results, outcome->start_us));
    bv_jw_kv_int(&w, "durationUs", outcome->duration_us);
    results_text(&w, "file", part->place.plan->file);
    bv_jw_kv_int(&w, "line", step->line);
    bv_jw_kv_string(&w, "keyword", keyword);
    if (step->type <= GHERKIN_OUTCOME)
        bv_jw_kv_text(&w, "type", types[step->type]);
    bv_jw_kv_string(&w, "text", step->source->text);
    if (step->background)
        bv_jw_kv_bool(&w, "background", true);
    write_source(&w, step->source);
    bv_jw_kv_text(&w, "verdict", verdict_word(outcome->verdict));
    results_text(&w, "actor", step->actor);
    results_text(&w, "expected", outcome->expected);
    results_text(&w, "actual", outcome->actual);
    results_text(&w, "error", outcome->error);
    results_text(&w, "reason", outcome->reason);
    ids(&w, "messages", outcome->messages, outcome->message_count);
    if (outcome->tries)
        bv_jw_kv_int(&w, "tries", (int64_t)outcome->tries);
    if (step->barrier && outcome->barrier_parties) {
        bv_jw_key(&w, "barrier");
        bv_jw_object(&w);
        bv_jw_kv_text(&w, "name", step->barrier);
        bv_jw_kv_int(&w, "parties", (int64_t)outcome->barrier_parties);
        bv_jw_kv_int(&w, "arrived", (int64_t)outcome->barrier_arrived);
        bv_jw_end(&w);
    }
    if (outcome->violation_count)
        ids(&w, "violations", outcome->violations, outcome->violation_count);
    if (bv_trace_present(&outcome->trace)) {
        char span[16];
        bv_jw_kv_string(
            &w, "spanId", (struct bv_bytes){span, bv_hex_encode(outcome->trace.span_id, 8, span)});
    }
    end(part, &w);
}

void results_scenario_end(struct results_scenario *part,
                          const struct plan_scenario *scenario,
                          const struct scenario_outcome *outcome,
                          const char *reproduce)
{
    struct results *results = part->results;
    struct results_totals *totals = &results->totals;
    struct bv_json_writer w = results_begin(&part->line, "scenario-end");
    bv_jw_kv_text(&w, "scenario", part->id);
    bv_jw_kv_int(&w, "us", results_since(results, outcome->start_us + outcome->duration_us));
    bv_jw_kv_int(&w, "durationUs", outcome->duration_us);
    bv_jw_kv_text(&w, "verdict", verdict_word(outcome->verdict));
    results_text(&w, "error", outcome->error);
    results_counts(&w, "steps", outcome->steps);
    bv_jw_kv_int(&w, "messages", (int64_t)outcome->messages);
    bv_jw_kv_text(&w, "reproduce", reproduce);
    end(part, &w);
    char *text = junit_case(part->place.plan, scenario, outcome);
    pthread_mutex_lock(&results->lock);
    if (part->mode == RESULTS_BLOCK) {
        results_feature(results, part->place.plan, part->place.feature);
        append(part);
    }
    totals->scenarios[outcome->verdict]++;
    for (int i = 0; i < VERDICT_COUNT; i++)
        totals->steps[i] += outcome->steps[i];
    totals->messages += outcome->messages;
    totals->contracts_checked += outcome->contracts_checked;
    totals->contracts_violated += outcome->contracts_violated;
    results->failed = results->failed || !text;
    results->cases[part->place.number - 1] = text;
    pthread_mutex_unlock(&results->lock);
}
