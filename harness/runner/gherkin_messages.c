/* Members stand in the order in which the official parser prints them. */
#include "gherkin_messages.h"

#include <stdio.h>

void gherkin_message_id(struct bv_json_writer *w, const char *prefix, struct gherkin_location at)
{
    char id[96];
    snprintf(id, sizeof id, "%s%u:%u", prefix, at.line, at.column);
    bv_jw_text(w, id);
}

void gherkin_message_location(struct bv_json_writer *w, struct gherkin_location at)
{
    bv_jw_key(w, "location");
    bv_jw_object(w);
    bv_jw_kv_int(w, "line", at.line);
    bv_jw_kv_int(w, "column", at.column);
    bv_jw_end(w);
}

static void id_and_place(struct bv_json_writer *w, const char *prefix, struct gherkin_location at)
{
    bv_jw_key(w, "id");
    gherkin_message_id(w, prefix, at);
    gherkin_message_location(w, at);
}

static void write_tags(struct bv_json_writer *w, const char *prefix, struct gherkin_tags tags)
{
    bv_jw_key(w, "tags");
    bv_jw_array(w);
    for (size_t i = 0; i < tags.count; i++) {
        bv_jw_object(w);
        id_and_place(w, prefix, tags.list[i].at);
        bv_jw_kv_string(w, "name", tags.list[i].name);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static void write_row(struct bv_json_writer *w, const char *prefix, const struct gherkin_row *row)
{
    bv_jw_object(w);
    id_and_place(w, prefix, row->at);
    bv_jw_key(w, "cells");
    bv_jw_array(w);
    for (size_t c = 0; c < row->count; c++) {
        bv_jw_object(w);
        gherkin_message_location(w, row->cells[c].at);
        bv_jw_kv_string(w, "value", row->cells[c].value);
        bv_jw_end(w);
    }
    bv_jw_end(w);
    bv_jw_end(w);
}

static void write_rows(struct bv_json_writer *w,
                       const char *key,
                       const char *prefix,
                       const struct gherkin_table *table,
                       size_t first)
{
    bv_jw_key(w, key);
    bv_jw_array(w);
    for (size_t r = first; r < table->count; r++)
        write_row(w, prefix, &table->rows[r]);
    bv_jw_end(w);
}

static void
write_step(struct bv_json_writer *w, const char *prefix, const struct gherkin_step *step)
{
    bv_jw_object(w);
    id_and_place(w, prefix, step->at);
    bv_jw_kv_string(w, "keyword", step->keyword);
    bv_jw_kv_text(w, "keywordType", gherkin_keyword_type_word(step->type));
    bv_jw_kv_string(w, "text", step->text);
    if (step->table.count) {
        bv_jw_key(w, "dataTable");
        bv_jw_object(w);
        gherkin_message_location(w, step->table.at);
        write_rows(w, "rows", prefix, &step->table, 0);
        bv_jw_end(w);
    }
    if (step->doc.at.line) {
        const char mark[3] = {step->doc.delimiter, step->doc.delimiter, step->doc.delimiter};
        bv_jw_key(w, "docString");
        bv_jw_object(w);
        gherkin_message_location(w, step->doc.at);
        bv_jw_kv_string(w, "content", step->doc.content);
        bv_jw_kv_string(w, "delimiter", (struct bv_bytes){mark, 3});
        if (step->doc.media_type.size)
            bv_jw_kv_string(w, "mediaType", step->doc.media_type);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static void write_title(struct bv_json_writer *w,
                        struct bv_bytes keyword,
                        struct bv_bytes name,
                        struct bv_bytes description)
{
    bv_jw_kv_string(w, "keyword", keyword);
    bv_jw_kv_string(w, "name", name);
    bv_jw_kv_string(w, "description", description);
}

static void write_examples(struct bv_json_writer *w,
                           const char *prefix,
                           const struct gherkin_examples *examples)
{
    bv_jw_object(w);
    id_and_place(w, prefix, examples->at);
    write_tags(w, prefix, examples->tags);
    write_title(w, examples->keyword, examples->name, examples->description);
    if (examples->table.count) {
        bv_jw_key(w, "tableHeader");
        write_row(w, prefix, &examples->table.rows[0]);
    }
    write_rows(w, "tableBody", prefix, &examples->table, 1);
    bv_jw_end(w);
}

enum scenario_kind { BACKGROUND, SCENARIO };
static void write_scenario(struct bv_json_writer *w,
                           const char *prefix,
                           const struct gherkin_scenario *scenario,
                           enum scenario_kind kind)
{
    bv_jw_object(w);
    bv_jw_key(w, kind == BACKGROUND ? "background" : "scenario");
    bv_jw_object(w);
    id_and_place(w, prefix, scenario->at);
    if (kind == SCENARIO)
        write_tags(w, prefix, scenario->tags);
    write_title(w, scenario->keyword, scenario->name, scenario->description);
    bv_jw_key(w, "steps");
    bv_jw_array(w);
    for (size_t i = 0; i < scenario->step_count; i++)
        write_step(w, prefix, &scenario->steps[i]);
    bv_jw_end(w);
    if (kind == SCENARIO) {
        bv_jw_key(w, "examples");
        bv_jw_array(w);
        for (size_t i = 0; i < scenario->example_count; i++)
            write_examples(w, prefix, &scenario->examples[i]);
        bv_jw_end(w);
    }
    bv_jw_end(w);
    bv_jw_end(w);
}

/* What a feature and a rule have in common, into the array of children. */
static void
write_children(struct bv_json_writer *w, const char *prefix, const struct gherkin_rule *of)
{
    if (of->background)
        write_scenario(w, prefix, of->background, BACKGROUND);
    for (size_t i = 0; i < of->scenario_count; i++)
        write_scenario(w, prefix, &of->scenarios[i], SCENARIO);
}

static void
write_rule(struct bv_json_writer *w, const char *prefix, const struct gherkin_rule *rule)
{
    bv_jw_object(w);
    bv_jw_key(w, "rule");
    bv_jw_object(w);
    id_and_place(w, prefix, rule->at);
    write_tags(w, prefix, rule->tags);
    write_title(w, rule->keyword, rule->name, rule->description);
    bv_jw_key(w, "children");
    bv_jw_array(w);
    write_children(w, prefix, rule);
    bv_jw_end(w);
    bv_jw_end(w);
    bv_jw_end(w);
}

static void
write_feature(struct bv_json_writer *w, const char *prefix, const struct gherkin_document *document)
{
    const struct gherkin_rule *feature = &document->feature;
    bv_jw_key(w, "feature");
    bv_jw_object(w);
    gherkin_message_location(w, feature->at);
    write_tags(w, prefix, feature->tags);
    bv_jw_kv_string(w, "language", document->language);
    write_title(w, feature->keyword, feature->name, feature->description);
    bv_jw_key(w, "children");
    bv_jw_array(w);
    write_children(w, prefix, feature);
    for (size_t i = 0; i < document->rule_count; i++)
        write_rule(w, prefix, &document->rules[i]);
    bv_jw_end(w);
    bv_jw_end(w);
}

void gherkin_message_document(struct bv_json_writer *w,
                              const char *uri,
                              const char *prefix,
                              const struct gherkin_document *document)
{
    bv_jw_object(w);
    bv_jw_kv_text(w, "uri", uri);
    if (document->feature.at.line)
        write_feature(w, prefix, document);
    bv_jw_key(w, "comments");
    bv_jw_array(w);
    for (size_t i = 0; i < document->comment_count; i++) {
        bv_jw_object(w);
        gherkin_message_location(w, document->comments[i].at);
        bv_jw_kv_string(w, "text", document->comments[i].text);
        bv_jw_end(w);
    }
    bv_jw_end(w);
    bv_jw_end(w);
}
