/* As compiler.py of gherkin-official makes them. */
#include "plan_pickle.h"

#include <stdio.h>

static void write_tags(struct bv_json_writer *w, const char *prefix, struct gherkin_tags tags)
{
    for (size_t i = 0; i < tags.count; i++) {
        bv_jw_object(w);
        bv_jw_key(w, "astNodeId");
        gherkin_message_id(w, prefix, tags.list[i].at);
        bv_jw_kv_string(w, "name", tags.list[i].name);
        bv_jw_end(w);
    }
}

static void write_table(struct bv_json_writer *w, const struct gherkin_table *table, int index)
{
    bv_jw_key(w, "dataTable");
    bv_jw_object(w);
    if (index)
        bv_jw_kv_int(w, "argumentIndex", index);
    bv_jw_key(w, "rows");
    bv_jw_array(w);
    for (size_t r = 0; r < table->count; r++) {
        bv_jw_object(w);
        bv_jw_key(w, "cells");
        bv_jw_array(w);
        for (size_t c = 0; c < table->rows[r].count; c++) {
            bv_jw_object(w);
            bv_jw_kv_string(w, "value", table->rows[r].cells[c].value);
            bv_jw_end(w);
        }
        bv_jw_end(w);
        bv_jw_end(w);
    }
    bv_jw_end(w);
    bv_jw_end(w);
}

static void write_argument(struct bv_json_writer *w, const struct gherkin_step *step)
{
    bool table = step->table.count > 0;
    bool doc = step->doc.at.line > 0;
    bool doc_first = step->doc.at.line < step->table.at.line;
    if (!table && !doc)
        return;
    bv_jw_key(w, "argument");
    bv_jw_object(w);
    if (table)
        write_table(w, &step->table, !doc ? 0 : doc_first ? 2 : 1);
    if (doc) {
        bv_jw_key(w, "docString");
        bv_jw_object(w);
        bv_jw_kv_string(w, "content", step->doc.content);
        if (table)
            bv_jw_kv_int(w, "argumentIndex", doc_first ? 1 : 2);
        if (step->doc.media_type.size)
            bv_jw_kv_string(w, "mediaType", step->doc.media_type);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static void write_nodes(struct bv_json_writer *w,
                        const char *prefix,
                        struct gherkin_location at,
                        const struct gherkin_row *row)
{
    bv_jw_key(w, "astNodeIds");
    bv_jw_array(w);
    gherkin_message_id(w, prefix, at);
    if (row)
        gherkin_message_id(w, prefix, row->at);
    bv_jw_end(w);
}

void plan_pickle_write(struct bv_json_writer *w,
                       const char *uri,
                       const char *prefix,
                       const struct plan *plan,
                       const struct plan_scenario *scenario)
{
    char id[96];
    enum gherkin_keyword_type type = GHERKIN_UNKNOWN;
    const struct gherkin_row *row = scenario->row;
    bv_jw_object(w);
    snprintf(id, sizeof id, "%sp%u", prefix, scenario->line);
    bv_jw_kv_text(w, "id", id);
    bv_jw_kv_text(w, "uri", uri);
    gherkin_message_location(w, row ? row->at : scenario->source->at);
    write_nodes(w, prefix, scenario->source->at, row);
    bv_jw_kv_string(w, "name", scenario->name);
    bv_jw_kv_string(w, "language", plan->document->language);
    bv_jw_key(w, "tags");
    bv_jw_array(w);
    write_tags(w, prefix, plan->document->feature.tags);
    if (scenario->in_rule)
        write_tags(w, prefix, scenario->in_rule->tags);
    write_tags(w, prefix, scenario->source->tags);
    if (scenario->examples)
        write_tags(w, prefix, scenario->examples->tags);
    bv_jw_end(w);
    bv_jw_key(w, "steps");
    bv_jw_array(w);
    for (size_t i = 0; i < scenario->step_count; i++) {
        const struct plan_step *step = &scenario->steps[i];
        type = step->source->type == GHERKIN_CONJUNCTION ? type : step->source->type;
        bv_jw_object(w);
        snprintf(id, sizeof id, "%sp%u.%zu", prefix, scenario->line, i + 1);
        bv_jw_kv_text(w, "id", id);
        bv_jw_kv_string(w, "text", step->source->text);
        bv_jw_kv_text(w, "type", gherkin_keyword_type_word(type));
        write_nodes(w, prefix, step->source->at, step->background ? NULL : row);
        write_argument(w, step->source);
        bv_jw_end(w);
    }
    bv_jw_end(w);
    bv_jw_end(w);
}
