#include "dry_run.h"

#include "bv/json.h"

static const char *const kinds[] = {[PLAN_ACTOR] = "declare",
                                    [PLAN_VERB] = "act",
                                    [PLAN_POLL] = "poll",
                                    [PLAN_PROBE] = "probe",
                                    [PLAN_SAVE] = "save",
                                    [PLAN_RECEIVES] = "receive",
                                    [PLAN_BARRIER] = "barrier"};

/* ---- what a step says ---- */

static const struct bv_arg *rows_of(const struct plan_step *step, size_t *ret_count)
{
    *ret_count = step->kind == PLAN_ACTOR ? step->protocol->open_arg_count
                 : step->verb             ? step->verb->arg_count
                                          : 0;
    return step->kind == PLAN_ACTOR ? step->protocol->open_args
           : step->verb             ? step->verb->args
                                    : NULL;
}

/* "gateway" or a service: where the actor of the step was declared. Empty: the protocol knows. */
static struct bv_bytes target_of(const struct plan_scenario *scenario, const struct plan_step *step)
{
    for (size_t i = 0; step->actor && i < scenario->step_count; i++) {
        const struct plan_step *declaration = &scenario->steps[i];
        if (declaration->kind != PLAN_ACTOR || strcmp(declaration->actor, step->actor) != 0)
            continue;
        for (size_t a = 0; a < declaration->protocol->open_arg_count; a++)
            if (declaration->protocol->open_args[a].type == BV_ARG_TARGET &&
                declaration->arguments[a].present)
                return declaration->arguments[a].text;
        break;
    }
    return BV_BYTES("");
}

static void add_filter(struct bv_buf *buf, const struct plan_filter *filter)
{
    (void)bv_buf_text(buf, filter->probe->name);
    if (filter->argument.size)
        (void)bv_buf_format(buf, " %.*s", BV_ARG(filter->argument));
    (void)bv_buf_format(buf, " %s", bv_op_text(filter->op));
    if (filter->op != BV_OP_EXISTS)
        (void)bv_buf_format(buf, " %.*s", BV_ARG(filter->value));
}

static void add_filters(struct bv_buf *buf, const struct plan_step *step, const char *before)
{
    for (size_t i = 0; i < step->filter_count; i++) {
        (void)bv_buf_text(buf, i ? " and " : before);
        add_filter(buf, &step->filters[i]);
    }
}

static void add_arguments(struct bv_buf *buf, const struct plan_step *step)
{
    size_t count = 0;
    const struct bv_arg *rows = rows_of(step, &count);
    for (size_t i = 0; i < count; i++) {
        const struct plan_argument *argument = &step->arguments[i];
        for (size_t p = 0; p < argument->pair_count; p++)
            (void)bv_buf_format(buf,
                                " %s:%.*s=%.*s",
                                rows[i].name,
                                BV_ARG(argument->pairs[p].name),
                                BV_ARG(argument->pairs[p].value));
        if (!argument->present || argument->pair_count || rows[i].type == BV_ARG_TARGET)
            continue;
        if (rows[i].type == BV_ARG_FLAG)
            (void)bv_buf_format(buf, " %s", rows[i].name);
        else
            (void)bv_buf_format(buf, " %s=%.*s", rows[i].name, BV_ARG(argument->text));
    }
}

static void add_receives(struct bv_buf *buf, const struct plan_step *step)
{
    (void)bv_buf_text(buf, step->wait == PLAN_NEVER ? "never receives" : "receives");
    if (step->wait == PLAN_EXACTLY)
        (void)bv_buf_format(buf, " exactly %lld", (long long)step->exactly);
    if (step->wait == PLAN_ORDER)
        (void)bv_buf_text(buf, " in order");
    if (step->event.data)
        (void)bv_buf_format(buf, " %.*s", BV_ARG(step->event));
    if (step->key.data)
        (void)bv_buf_format(buf, " for key %.*s", BV_ARG(step->key));
    add_filters(buf, step, " with ");
    if (step->order_probe)
        (void)bv_buf_format(buf, " by %s", step->order_probe->name);
    (void)bv_buf_format(buf, " within %lld ms", (long long)step->within_ms);
}

static void add_step(struct bv_buf *buf, const struct plan_step *step)
{
    switch (step->kind) {
    case PLAN_ACTOR:
        (void)bv_buf_text(buf, "opens");
        add_arguments(buf, step);
        break;
    case PLAN_VERB:
        (void)bv_buf_text(buf, step->verb->name);
        add_arguments(buf, step);
        break;
    case PLAN_POLL:
        (void)bv_buf_text(buf, step->verb->name);
        add_arguments(buf, step);
        add_filters(buf, step, " until ");
        (void)bv_buf_format(buf, " within %lld ms", (long long)step->within_ms);
        break;
    case PLAN_PROBE:
        add_filters(buf, step, "");
        break;
    case PLAN_SAVE:
        (void)bv_buf_format(buf,
                            "saves %s from %s %.*s",
                            step->variable,
                            step->filters[0].probe->name,
                            BV_ARG(step->filters[0].argument));
        break;
    case PLAN_RECEIVES:
        add_receives(buf, step);
        break;
    case PLAN_BARRIER:
        (void)bv_buf_format(
            buf, "meets at \"%s\" within %lld ms", step->barrier, (long long)step->within_ms);
        break;
    }
    if (step->source->doc.at.line)
        (void)bv_buf_format(buf, " + doc string of %zu bytes", step->source->doc.content.size);
    if (step->source->table.count)
        (void)bv_buf_format(buf, " + table of %zu rows", step->source->table.count);
}

/* ---- text ---- */

static void
text_scenario(const struct schedule_job *job, const struct schedule_unit *unit, struct bv_buf *buf)
{
    const struct plan_scenario *scenario = job->scenario;
    (void)bv_buf_format(buf,
                        "\n%zu  %.*s  %s:%u",
                        job->number,
                        BV_ARG(scenario->name),
                        job->plan->file,
                        scenario->line);
    for (size_t i = 0; i < scenario->tag_count; i++)
        (void)bv_buf_format(buf, " %.*s", BV_ARG(scenario->tags[i]));
    if (unit->count > 1)
        (void)bv_buf_format(
            buf, "  (%zu to %zu at the same time)", unit->first + 1, unit->first + unit->count);
    (void)bv_buf_char(buf, '\n');
    for (size_t i = 0; i < scenario->step_count; i++) {
        const struct plan_step *step = &scenario->steps[i];
        struct bv_bytes target = target_of(scenario, step);
        (void)bv_buf_format(buf,
                            "%6u  %-10s %-9s %-12.*s ",
                            step->line,
                            step->actor ? step->actor : "",
                            step->protocol ? step->protocol->name : "",
                            BV_ARG(target));
        add_step(buf, step);
        (void)bv_buf_char(buf, '\n');
    }
}

int dry_run_text(const struct dry_run *run, struct bv_buf *buf)
{
    const struct schedule *schedule = run->schedule;
    (void)bv_buf_format(buf,
                        "dry run: nothing is started or written\n%zu scenario%s, %lld at a time, "
                        "%s order, seed %lld\n",
                        schedule->job_count,
                        schedule->job_count == 1 ? "" : "s",
                        (long long)run->options->jobs,
                        scenario_order_word(run->options->order),
                        (long long)run->seed);
    if (run->options->stack)
        (void)bv_buf_format(buf, "on the stack %s\n", run->options->stack);
    for (size_t i = 0; i < run->server_count; i++)
        (void)bv_buf_format(buf, "%s%s", i ? ", " : "would start ", run->servers[i]);
    if (run->server_count)
        (void)bv_buf_format(buf,
                            ": about %d MB of memory, %d MB of disk, %d ports\n",
                            run->memory_mb,
                            run->disk_mb,
                            run->ports);
    for (size_t u = 0; u < schedule->unit_count; u++)
        for (size_t i = 0; i < schedule->units[u].count; i++)
            text_scenario(&schedule->jobs[schedule->units[u].first + i], &schedule->units[u], buf);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

/* ---- JSON ---- */

static void json_arguments(struct bv_json_writer *w, const struct plan_step *step)
{
    size_t count = 0;
    const struct bv_arg *rows = rows_of(step, &count);
    bv_jw_key(w, "arguments");
    bv_jw_object(w);
    for (size_t i = 0; i < count; i++) {
        const struct plan_argument *argument = &step->arguments[i];
        if (argument->pair_count) {
            bv_jw_key(w, rows[i].name);
            bv_jw_object(w);
            for (size_t p = 0; p < argument->pair_count; p++)
                bv_jw_kv_string(w, argument->pairs[p].name.data, argument->pairs[p].value);
            bv_jw_end(w);
        } else if (argument->present && rows[i].type == BV_ARG_FLAG) {
            bv_jw_kv_bool(w, rows[i].name, true);
        } else if (argument->present) {
            bv_jw_kv_string(w, rows[i].name, argument->text);
        }
    }
    bv_jw_end(w);
}

static void json_step(struct bv_json_writer *w,
                      const struct plan_scenario *scenario,
                      const struct plan_step *step)
{
    struct bv_buf text = {.max = 1 << 20};
    struct bv_bytes target = target_of(scenario, step);
    bv_jw_object(w);
    bv_jw_kv_int(w, "line", step->line);
    bv_jw_kv_string(w, "text", step->source->text);
    bv_jw_kv_text(w, "kind", kinds[step->kind]);
    if (step->actor)
        bv_jw_kv_text(w, "actor", step->actor);
    if (step->protocol)
        bv_jw_kv_text(w, "protocol", step->protocol->name);
    if (target.size)
        bv_jw_kv_string(w, "target", target);
    if (step->verb)
        bv_jw_kv_text(w, "verb", step->verb->name);
    if (step->verb || step->kind == PLAN_ACTOR)
        json_arguments(w, step);
    if (step->kind == PLAN_BARRIER)
        bv_jw_kv_text(w, "barrier", step->barrier);
    if (step->kind == PLAN_SAVE)
        bv_jw_kv_text(w, "variable", step->variable);
    if (step->kind == PLAN_RECEIVES || step->kind == PLAN_POLL || step->kind == PLAN_BARRIER)
        bv_jw_kv_int(w, "withinMs", step->within_ms);
    add_step(&text, step);
    bv_jw_kv_string(w, "does", bv_buf_view(&text));
    bv_buf_release(&text);
    bv_jw_end(w);
}

static void json_scenario(struct bv_json_writer *w,
                          const struct schedule_job *job,
                          const struct schedule_unit *unit)
{
    const struct plan_scenario *scenario = job->scenario;
    bv_jw_object(w);
    bv_jw_kv_int(w, "number", (int64_t)job->number);
    bv_jw_kv_text(w, "file", job->plan->file);
    bv_jw_kv_int(w, "line", scenario->line);
    bv_jw_kv_string(w, "name", scenario->name);
    bv_jw_key(w, "tags");
    bv_jw_array(w);
    for (size_t i = 0; i < scenario->tag_count; i++)
        bv_jw_string(w, scenario->tags[i]);
    bv_jw_end(w);
    bv_jw_key(w, "together"); /* numbers of those that run at the same time, its own among them */
    bv_jw_array(w);
    for (size_t i = 0; unit->count > 1 && i < unit->count; i++)
        bv_jw_int(w, (int64_t)(unit->first + i + 1));
    bv_jw_end(w);
    bv_jw_key(w, "steps");
    bv_jw_array(w);
    for (size_t i = 0; i < scenario->step_count; i++)
        json_step(w, scenario, &scenario->steps[i]);
    bv_jw_end(w);
    bv_jw_end(w);
}

int dry_run_json(const struct dry_run *run, struct bv_buf *buf)
{
    const struct schedule *schedule = run->schedule;
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_bool(&w, "dryRun", true);
    bv_jw_kv_int(&w, "jobs", run->options->jobs);
    bv_jw_kv_text(&w, "order", scenario_order_word(run->options->order));
    bv_jw_kv_int(&w, "seed", run->seed);
    if (run->options->stack)
        bv_jw_kv_text(&w, "stack", run->options->stack);
    bv_jw_key(&w, "servers");
    bv_jw_array(&w);
    for (size_t i = 0; i < run->server_count; i++)
        bv_jw_text(&w, run->servers[i]);
    bv_jw_end(&w);
    bv_jw_kv_int(&w, "memoryMb", run->memory_mb);
    bv_jw_kv_int(&w, "diskMb", run->disk_mb);
    bv_jw_kv_int(&w, "ports", run->ports);
    bv_jw_key(&w, "scenarios");
    bv_jw_array(&w);
    for (size_t u = 0; u < schedule->unit_count; u++)
        for (size_t i = 0; i < schedule->units[u].count; i++)
            json_scenario(&w, &schedule->jobs[schedule->units[u].first + i], &schedule->units[u]);
    bv_jw_end(&w);
    bv_jw_end(&w);
    (void)bv_buf_char(buf, '\n');
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
