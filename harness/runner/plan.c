/* Unrolling: feature and rule backgrounds, outline rows, tags; then each step goes to step.c. */
#include "step.h"

#include "bv/config.h"
#include <stdio.h>

/* One placeholder after the other, as Cucumber does: a value may hold the next one. */
static struct bv_bytes replace(struct bv_arena *arena,
                               struct bv_bytes text,
                               const struct gherkin_row *header,
                               const struct gherkin_row *row)
{
    if (!header || !memchr(text.data ? text.data : "", '<', text.size))
        return text;
    for (size_t c = 0; c < header->count; c++) {
        bv_auto(bv_buf_release) struct bv_buf buf = {.max = 4 << 20};
        struct bv_bytes name = header->cells[c].value;
        size_t count = 0;
        for (size_t i = 0; i < text.size;) {
            if (text.data[i] == '<' && text.size - i >= name.size + 2 &&
                memcmp(text.data + i + 1, name.data, name.size) == 0 &&
                text.data[i + 1 + name.size] == '>') {
                (void)bv_buf_bytes(&buf, row->cells[c].value);
                i += name.size + 2;
                count++;
            } else {
                (void)bv_buf_char(&buf, text.data[i++]);
            }
        }
        if (count)
            text = bv_arena_copy(arena, buf.data ? bv_buf_view(&buf) : BV_BYTES(""));
        if (!text.data || buf.failed) /* the arena remembers it, or 4 MB of text are none */
            return BV_BYTES("");
    }
    return text;
}

static const struct gherkin_step *unroll_step(struct compiler *compiler,
                                              const struct gherkin_step *step)
{
    if (!compiler->header)
        return step;
    struct gherkin_step *copy = bv_arena_new(compiler->arena, struct gherkin_step);
    if (!copy)
        return NULL;
    *copy = *step;
    copy->text = replace(compiler->arena, step->text, compiler->header, compiler->row);
    copy->doc.content =
        replace(compiler->arena, step->doc.content, compiler->header, compiler->row);
    copy->doc.media_type =
        replace(compiler->arena, step->doc.media_type, compiler->header, compiler->row);
    struct gherkin_row *rows =
        bv_arena_array(compiler->arena, struct gherkin_row, step->table.count + 1);
    for (size_t r = 0; rows && r < step->table.count; r++) {
        rows[r] = step->table.rows[r];
        struct gherkin_cell *cells =
            bv_arena_array(compiler->arena, struct gherkin_cell, rows[r].count + 1);
        for (size_t c = 0; cells && c < rows[r].count; c++) {
            cells[c] = step->table.rows[r].cells[c];
            cells[c].value =
                replace(compiler->arena, cells[c].value, compiler->header, compiler->row);
        }
        rows[r].cells = cells;
    }
    copy->table.rows = rows;
    return copy;
}

static void
add_steps(struct compiler *compiler, const struct gherkin_scenario *source, bool background)
{
    struct plan_scenario *scenario = compiler->scenario;
    for (size_t i = 0; source && i < source->step_count; i++) {
        struct plan_step *step = &scenario->steps[scenario->step_count];
        *step = (struct plan_step){.source = unroll_step(compiler, &source->steps[i]),
                                   .background = background,
                                   .line = source->steps[i].at.line,
                                   .exactly = -1};
        if (!step->source)
            return;
        enum gherkin_keyword_type type = step->source->type;
        bool follows = type == GHERKIN_CONJUNCTION || type == GHERKIN_UNKNOWN;
        step->type = !follows ? type : scenario->step_count ? step[-1].type : GHERKIN_CONTEXT;
        scenario->step_count++;
        step_compile(compiler, step);
    }
}

static void add_tags(struct plan_scenario *scenario, struct gherkin_tags tags)
{
    for (size_t i = 0; i < tags.count && scenario->tag_count < BV_COUNT(scenario->tags); i++)
        scenario->tags[scenario->tag_count++] = tags.list[i].name;
}

struct place {
    const struct gherkin_rule *feature;
    const struct gherkin_rule *rule; /* NULL: directly in the feature */
};

static size_t step_total(const struct place *place, const struct gherkin_scenario *source)
{
    size_t count = source->step_count;
    if (place->feature->background)
        count += place->feature->background->step_count;
    if (place->rule && place->rule->background)
        count += place->rule->background->step_count;
    return count;
}

/* One scenario, or one row of an outline. */
static int add_scenario(struct compiler *compiler,
                        const struct place *place,
                        const struct gherkin_scenario *source,
                        const struct gherkin_examples *examples,
                        uint32_t line)
{
    struct plan *plan = compiler->plan;
    struct plan_scenario *scenario = &plan->scenarios[plan->scenario_count++];
    compiler->scenario = scenario;
    compiler->actor_count = 0;
    compiler->variable_count = 0;
    scenario->source = source;
    scenario->line = line;
    scenario->name = replace(compiler->arena, source->name, compiler->header, compiler->row);
    scenario->in_rule = place->rule;
    scenario->examples = examples;
    scenario->row = compiler->row;
    scenario->rule = place->rule ? place->rule->name : BV_BYTES("");
    scenario->steps =
        bv_arena_array(compiler->arena, struct plan_step, step_total(place, source) + 1);
    if (!scenario->steps)
        return BV_E_NOMEM;
    add_tags(scenario, place->feature->tags);
    if (place->rule)
        add_tags(scenario, place->rule->tags);
    add_tags(scenario, source->tags);
    if (examples)
        add_tags(scenario, examples->tags);
    const struct gherkin_row *header = compiler->header;
    compiler->header = NULL; /* backgrounds have no placeholders */
    if (source->step_count)
        add_steps(compiler, place->feature->background, true);
    if (source->step_count && place->rule)
        add_steps(compiler, place->rule->background, true);
    compiler->header = header;
    add_steps(compiler, source, false);
    if (!source->step_count)
        compile_error(compiler, line, 0, "scenario \"%.*s\" has no steps", BV_ARG(source->name));
    return 0;
}

static int add_outline(struct compiler *compiler,
                       const struct place *place,
                       const struct gherkin_scenario *source)
{
    compiler->header = compiler->row = NULL;
    if (!source->example_count)
        return add_scenario(compiler, place, source, NULL, source->at.line);
    for (size_t e = 0; e < source->example_count; e++) {
        const struct gherkin_examples *examples = &source->examples[e];
        for (size_t r = 1; r < examples->table.count; r++) {
            compiler->header = &examples->table.rows[0];
            compiler->row = &examples->table.rows[r];
            BV_TRY(add_scenario(compiler, place, source, examples, compiler->row->at.line));
        }
    }
    return 0;
}

static size_t scenario_total(const struct gherkin_rule *rule)
{
    size_t count = 0;
    for (size_t i = 0; i < rule->scenario_count; i++) {
        const struct gherkin_scenario *scenario = &rule->scenarios[i];
        if (!scenario->example_count)
            count++;
        for (size_t e = 0; e < scenario->example_count; e++)
            if (scenario->examples[e].table.count)
                count += scenario->examples[e].table.count - 1;
    }
    return count;
}

/* A barrier that one scenario alone names is a mistake: it would meet nobody. */
static void check_barriers(struct compiler *compiler)
{
    const struct plan *plan = compiler->plan;
    for (size_t i = 0; i < plan->scenario_count; i++) {
        for (size_t s = 0; s < plan->scenarios[i].step_count; s++) {
            const struct plan_step *step = &plan->scenarios[i].steps[s];
            const char *others[32];
            size_t other_count = 0;
            size_t parties = 0;
            for (size_t o = 0; step->barrier && o < plan->scenario_count; o++) {
                bool names = false;
                for (size_t t = 0; t < plan->scenarios[o].step_count; t++) {
                    const char *name = plan->scenarios[o].steps[t].barrier;
                    names = names || (name && strcmp(name, step->barrier) == 0);
                    if (name && o != i && other_count < BV_COUNT(others))
                        others[other_count++] = name;
                }
                parties += names;
            }
            if (parties != 1)
                continue;
            const char *near = bv_nearest(step->barrier, others, other_count);
            compile_error(compiler,
                          step->line,
                          step->source->at.column,
                          "no other scenario names the barrier \"%.60s\"%s%s%s",
                          step->barrier,
                          near ? ": did you mean \"" : "",
                          near ? near : "",
                          near ? "\"?" : "");
        }
    }
}

int plan_make(struct bv_arena *arena,
              const struct plan_tables *tables,
              const char *file,
              struct bv_bytes text,
              struct plan **ret_plan)
{
    struct plan *plan = bv_arena_new(arena, struct plan);
    struct compiler *compiler = bv_arena_new(arena, struct compiler);
    struct gherkin_error error;
    if (!plan || !compiler)
        return BV_E_NOMEM;
    *compiler = (struct compiler){.arena = arena, .tables = tables, .plan = plan};
    plan->file = file;
    *ret_plan = plan;
    int rc = gherkin_parse(arena, text, &plan->document, &error);
    if (rc == BV_E_INVALID) {
        compile_error(compiler, error.at.line, error.at.column, "%s", error.text);
        return PLAN_REFUSED;
    }
    if (rc == BV_E_TOO_LARGE) {
        compile_error(compiler, 1, 0, "the file is larger than %d bytes", BV_GHERKIN_BYTES_MAX);
        return PLAN_REFUSED;
    }
    BV_TRY(rc);
    const struct gherkin_document *document = plan->document;
    size_t count = scenario_total(&document->feature);
    for (size_t i = 0; i < document->rule_count; i++)
        count += scenario_total(&document->rules[i]);
    plan->scenarios = bv_arena_array(arena, struct plan_scenario, count + 1);
    if (!plan->scenarios)
        return BV_E_NOMEM;
    struct place place = {&document->feature, NULL};
    for (size_t i = 0; i < document->feature.scenario_count; i++)
        BV_TRY(add_outline(compiler, &place, &document->feature.scenarios[i]));
    for (size_t r = 0; r < document->rule_count; r++) {
        place.rule = &document->rules[r];
        for (size_t i = 0; i < place.rule->scenario_count; i++)
            BV_TRY(add_outline(compiler, &place, &place.rule->scenarios[i]));
    }
    check_barriers(compiler);
    if (!plan->scenario_count)
        compile_error(compiler, 1, 0, "there is no scenario in this file");
    if (bv_arena_failed(arena))
        return BV_E_NOMEM;
    return plan->diagnostic_count ? PLAN_REFUSED : 0;
}
