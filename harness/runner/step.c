#include "step_words.h"

#include "bv/config.h"
#include <stdio.h>

enum { DEFAULT_WITHIN_MS = 5000, BARRIER_WITHIN_MS = 30000 };

/* ---- probes ---- */

static const struct bv_probe *take_probe(struct compiler *compiler, struct bv_bytes *ret_argument)
{
    const struct bv_protocol *protocol = compiler->step->protocol;
    const struct bv_probe *probe = NULL;
    for (size_t i = 0; i < protocol->probe_count && !probe; i++)
        if (step_accept(compiler, protocol->probes[i].name))
            probe = &protocol->probes[i];
    *ret_argument = BV_BYTES_NONE;
    if (!probe || probe->argument == BV_PROBE_PLAIN)
        return probe;
    if (!step_take_text(
            compiler, probe->argument == BV_PROBE_PATH ? "a path" : "a name", ret_argument))
        return NULL;
    struct bv_error error = {0};
    if (probe->argument == BV_PROBE_PATH && !step_has_variable(*ret_argument) &&
        bv_path_check(*ret_argument, &error) < 0) {
        compiler->at--;
        STEP_FAIL(compiler, "%s", error.text);
        return NULL;
    }
    return probe;
}

static void unknown_probe(struct compiler *compiler, const char *what)
{
    const struct bv_protocol *protocol = compiler->step->protocol;
    const char *known[CANDIDATES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < protocol->verb_count && count < CANDIDATES_MAX; i++)
        known[count++] = protocol->verbs[i].name;
    for (size_t i = 0; i < protocol->probe_count && count < CANDIDATES_MAX; i++)
        known[count++] = protocol->probes[i].name;
    if (count < CANDIDATES_MAX)
        known[count++] = "receives";
    char text[64];
    snprintf(text, sizeof text, "%s of %s", what, protocol->name);
    step_suggest(compiler, text, known, count);
}

static bool op_here(const struct compiler *compiler, enum bv_op *ret_op)
{
    const struct word *word = step_peek(compiler);
    return word && !word->quoted && bv_op_parse(word->text, ret_op) == 0;
}

static void unknown_op(struct compiler *compiler)
{
    const char *known[BV_OP_COUNT];
    for (int i = 0; i < BV_OP_COUNT; i++)
        known[i] = bv_op_text((enum bv_op)i);
    step_suggest(compiler, "operator", known, BV_OP_COUNT);
}

static struct plan_filter *add_filter(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    if (step->filter_count < PLAN_FILTERS_MAX)
        return &step->filters[step->filter_count++];
    STEP_FAIL(compiler, "at most %d conditions in one step", PLAN_FILTERS_MAX);
    return NULL;
}

/* OP and VALUE after a probe. */
static void
take_condition(struct compiler *compiler, const struct bv_probe *probe, struct bv_bytes argument)
{
    enum bv_op op;
    if (!op_here(compiler, &op)) {
        unknown_op(compiler);
        return;
    }
    compiler->at++;
    struct bv_bytes value = BV_BYTES("");
    if (op != BV_OP_EXISTS && !step_take_text(compiler, "a value", &value))
        return;
    struct bv_error error = {0};
    if (!step_has_variable(value) && bv_op_check(op, value, &error) < 0) {
        compiler->at--;
        STEP_FAIL(compiler, "%s", error.text);
        return;
    }
    struct plan_filter *filter = add_filter(compiler);
    if (filter)
        *filter = (struct plan_filter){probe, argument, op, value};
}

/* ---- the forms of a step ---- */

/* Line of a declaration further down in the scenario, 0: there is none. */
static uint32_t declared_later(struct compiler *compiler, struct bv_bytes name)
{
    const struct gherkin_scenario *source = compiler->scenario->source;
    for (size_t i = 0; i < source->step_count; i++) {
        struct word words[WORDS_MAX];
        size_t count = 0;
        const struct gherkin_step *step = &source->steps[i];
        if (step->at.line > compiler->step->line &&
            words_split(compiler->arena, step->text, words, &count, NULL) == 0 && count > 2 &&
            bv_bytes_equal(words[0].text, BV_BYTES("actor")) && bv_bytes_equal(words[1].text, name))
            return step->at.line;
    }
    return 0;
}

static struct compiler_actor *take_actor(struct compiler *compiler)
{
    const struct word *word = step_peek(compiler);
    const char *known[PLAN_ACTORS_MAX + 4];
    size_t count = 0;
    for (size_t i = 0; i < compiler->actor_count; i++) {
        if (word && !word->quoted &&
            bv_bytes_equal(word->text, bv_bytes_of(compiler->actors[i].name))) {
            compiler->at++;
            compiler->step->actor = compiler->actors[i].name;
            compiler->step->protocol = compiler->actors[i].protocol;
            return &compiler->actors[i];
        }
        known[count++] = compiler->actors[i].name;
    }
    uint32_t later = word && !word->quoted ? declared_later(compiler, word->text) : 0;
    if (later) {
        STEP_FAIL(compiler,
                  "actor \"%.60s\" is declared only later, at line %u",
                  word->text.data,
                  (unsigned)later);
        return NULL;
    }
    known[count++] = "actor";
    known[count++] = "save";
    known[count++] = "within";
    known[count++] = "barrier";
    step_suggest(compiler, "actor", known, count);
    return NULL;
}

static bool valid_name(struct bv_bytes name)
{
    static const char *const reserved[] = {
        "actor", "save", "within", "never", "barrier", "stack", "run", "uuid", "now", "trace"};
    for (size_t i = 0; i < BV_COUNT(reserved); i++)
        if (bv_bytes_equal(name, bv_bytes_of(reserved[i])))
            return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-')))
            return false;
    }
    return name.size > 0 && name.size < 48;
}

static void compile_actor(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    const struct plan_tables *tables = compiler->tables;
    step->kind = PLAN_ACTOR;
    const struct word *name = step_peek(compiler);
    if (!name || name->quoted || !valid_name(name->text)) {
        STEP_FAIL(compiler, "\"%.60s\" is no name for an actor", step_shown(compiler));
        return;
    }
    for (size_t i = 0; i < compiler->actor_count; i++)
        if (bv_bytes_equal(name->text, bv_bytes_of(compiler->actors[i].name)))
            STEP_FAIL(compiler, "actor \"%s\" is declared already", name->text.data);
    step->actor = name->text.data;
    compiler->at++;
    if (!step_expect(compiler, "is"))
        return;
    const char *known[CANDIDATES_MAX];
    for (size_t i = 0; i < tables->protocol_count && !step->protocol; i++) {
        known[i] = tables->protocols[i]->name;
        if (step_accept(compiler, known[i]))
            step->protocol = tables->protocols[i];
    }
    if (!step->protocol) {
        step_suggest(compiler, "protocol", known, tables->protocol_count);
        return;
    }
    struct bv_error error = {0};
    if (step->protocol->load)
        step->protocol = step->protocol->load(step->protocol, &error);
    if (!step->protocol) {
        STEP_FAIL(compiler, "%s", error.text);
        return;
    }
    const struct bv_protocol *protocol = step->protocol;
    step_take_arguments(compiler, protocol->open_args, protocol->open_arg_count);
    if (step_peek(compiler))
        STEP_FAIL(compiler, "\"%.60s\" is too much here", step_shown(compiler));
    if (protocol->needs)
        step_need(compiler, protocol->needs);
    const char *target = NULL;
    for (size_t i = 0; i < protocol->open_arg_count; i++)
        if (protocol->open_args[i].type == BV_ARG_TARGET && step->arguments[i].present)
            target = step->arguments[i].text.data;
    if (compiler->actor_count == PLAN_ACTORS_MAX) {
        STEP_FAIL(compiler, "at most %d actors in a scenario", PLAN_ACTORS_MAX);
        return;
    }
    compiler->actors[compiler->actor_count++] =
        (struct compiler_actor){step->actor, protocol, target};
    if (!compiler->failed)
        step_check_requests(compiler, protocol->open_args, protocol->open_arg_count, target);
    if (!compiler->failed)
        step_check_topic(compiler, protocol->open_args, protocol->open_arg_count);
    if (!compiler->failed)
        step_check_database(compiler, protocol->open_args, protocol->open_arg_count);
    step_check_call(compiler, protocol->open_args, protocol->open_arg_count);
}

static void compile_save(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    step->kind = PLAN_SAVE;
    const struct word *name = step_peek(compiler);
    if (!name || name->quoted || !valid_name(name->text)) {
        STEP_FAIL(compiler, "\"%.60s\" is no name for a variable", step_shown(compiler));
        return;
    }
    step->variable = name->text.data;
    compiler->at++;
    if (compiler->variable_count < PLAN_VARIABLES_MAX) /* known from here on, also when the rest is
                                                          wrong: one mistake, one message */
        compiler->variables[compiler->variable_count++] = name->text;
    else
        STEP_FAIL(compiler, "at most %d variables in a scenario", PLAN_VARIABLES_MAX);
    struct bv_bytes argument;
    if (!step_expect(compiler, "from") || !take_actor(compiler))
        return;
    const struct bv_probe *probe = take_probe(compiler, &argument);
    if (!probe) {
        unknown_probe(compiler, "probe");
        return;
    }
    step->filters[step->filter_count++] =
        (struct plan_filter){.probe = probe, .argument = argument, .op = BV_OP_EXISTS};
    if (step_peek(compiler))
        STEP_FAIL(compiler, "\"%.60s\" is too much here", step_shown(compiler));
}

/* A condition of receives: PROBE OP VALUE, "signed" alone, or, for an order, a probe whose values
 * are the cells. */
static void receive_condition(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    struct bv_bytes argument;
    enum bv_op op;
    const struct bv_probe *probe = take_probe(compiler, &argument);
    if (!probe) {
        unknown_probe(compiler, "condition");
        return;
    }
    if (op_here(compiler, &op)) {
        take_condition(compiler, probe, argument);
    } else if (strcmp(probe->name, "signed") == 0) {
        struct plan_filter *filter = add_filter(compiler);
        if (filter)
            *filter = (struct plan_filter){probe, argument, BV_OP_EQ, BV_BYTES("yes")};
    } else if (step->wait == PLAN_ORDER && !step->order_probe) {
        step->order_probe = probe;
        step->order_argument = argument;
    } else {
        unknown_op(compiler);
    }
}

static void check_order(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    bool types = !step->order_probe || strcmp(step->order_probe->name, "type") == 0;
    const struct gherkin_table *table = &step->source->table;
    if (types && step->event.data && table->count)
        STEP_FAIL(compiler, "the cells are the types: name no type before them");
    for (size_t r = 0; types && r < table->count; r++) {
        for (size_t c = 0; c < table->rows[r].count; c++) {
            const char *near = NULL;
            struct bv_bytes type = table->rows[r].cells[c].value;
            if (strcmp(step->protocol->name, "kafka") == 0 && !step_has_variable(type) &&
                step_have_contracts(compiler) &&
                !contracts_event(compiler->tables->contracts, type, &near))
                compile_error(compiler,
                              table->rows[r].at.line,
                              table->rows[r].cells[c].at.column,
                              "no contract contracts/events/%.*s.schema.json%s%s%s",
                              BV_ARG(type),
                              near ? ": did you mean \"" : "",
                              near ? near : "",
                              near ? "\"?" : "");
        }
    }
}

static bool event_shaped(struct bv_bytes text)
{
    return step_starts(text, "ecommerce.");
}

static void compile_receives(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    int64_t number = 0;
    step->kind = PLAN_RECEIVES;
    if (step_accept(compiler, "exactly")) {
        const struct word *word = step_peek(compiler);
        if (!word || bv_bytes_int64(word->text, 0, 1000000, &number) < 0)
            STEP_FAIL(compiler, "\"exactly\" wants a number, not \"%.60s\"", step_shown(compiler));
        if (step->wait == PLAN_NEVER)
            STEP_FAIL(compiler, "\"never\" and \"exactly\" do not go together");
        step->wait = PLAN_EXACTLY;
        step->exactly = number;
        compiler->at++;
    }
    while (!compiler->failed && step_peek(compiler)) {
        if (step_accept(compiler, "and") || step_accept(compiler, "with"))
            continue;
        if (step_accept(compiler, "in order")) {
            if (step->wait != PLAN_ONCE)
                STEP_FAIL(compiler, "\"in order\" does not go with \"never\" or \"exactly\"");
            step->wait = PLAN_ORDER;
        } else if (step_accept(compiler, "for key")) {
            (void)step_take_text(compiler, "a key", &step->key);
        } else if (step_peek(compiler)->quoted && !step->event.data) {
            if (step_take_text(compiler, "a type", &step->event) &&
                (event_shaped(step->event) || strcmp(step->protocol->name, "kafka") == 0))
                step_check_event(compiler, step->event);
        } else {
            receive_condition(compiler);
        }
    }
    step_check_payload(compiler, step->wait == PLAN_ORDER ? BV_NEEDS_TABLE : BV_TAKES_NOTHING);
    if (step->wait == PLAN_ORDER)
        check_order(compiler);
}

/* PROBE OP VALUE [and ...] to the end of the step. */
static void take_conditions(struct compiler *compiler, const char *what)
{
    do {
        struct bv_bytes argument;
        const struct bv_probe *probe = take_probe(compiler, &argument);
        if (!probe) {
            unknown_probe(compiler, what);
            return;
        }
        take_condition(compiler, probe, argument);
    } while (!compiler->failed && step_accept(compiler, "and"));
    if (step_peek(compiler))
        STEP_FAIL(compiler, "\"%.60s\" is too much here", step_shown(compiler));
}

/* At the word "until" of a verb that is not one to ask again: which ones are. */
static void refuse_until(struct compiler *compiler)
{
    const struct bv_protocol *protocol = compiler->step->protocol;
    bv_auto(bv_buf_release) struct bv_buf known = {.max = 200};
    for (size_t i = 0; i < protocol->verb_count; i++)
        if (protocol->verbs[i].takes & BV_ASKS)
            (void)bv_buf_format(
                &known, "%s\"%s\"", known.size ? ", " : "", protocol->verbs[i].name);
    STEP_FAIL(compiler,
              "\"%s\" is not asked again and again: \"until\" goes with %.*s",
              compiler->step->verb->name,
              known.size ? (int)known.size : 24,
              known.size ? known.data : "no verb of this protocol");
}

static void compile_verb(struct compiler *compiler,
                         const struct bv_verb *verb,
                         const struct compiler_actor *actor)
{
    struct plan_step *step = compiler->step;
    step->kind = PLAN_VERB;
    step->verb = verb;
    step_take_arguments(compiler, verb->args, verb->arg_count);
    if (!compiler->failed)
        step_check_requests(compiler, verb->args, verb->arg_count, actor->target);
    bool until = !compiler->failed && step_matches(compiler, "until") > 0;
    if (until && !(verb->takes & BV_ASKS)) {
        refuse_until(compiler);
    } else if (until) {
        step->kind = PLAN_POLL;
        step->within_ms = step->within_ms ? step->within_ms : DEFAULT_WITHIN_MS;
        compiler->at++;
        take_conditions(compiler, "condition");
    } else if (!compiler->failed && step->within_ms) {
        STEP_FAIL(compiler,
                  (verb->takes & BV_ASKS) ? "until when? write \"until PROBE OP VALUE\" at the end"
                                          : "\"within\" is for what is waited for, not for \"%s\"",
                  verb->name);
    }
    step_check_payload(compiler, verb->takes);
    step_check_call(compiler, verb->args, verb->arg_count);
}

static const struct bv_verb *take_verb(struct compiler *compiler)
{
    const struct bv_protocol *protocol = compiler->step->protocol;
    const struct bv_verb *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < protocol->verb_count; i++) {
        size_t words = step_matches(compiler, protocol->verbs[i].name);
        if (words > longest) {
            longest = words;
            found = &protocol->verbs[i];
        }
    }
    compiler->at += longest;
    return found;
}

static void compile_act(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    const struct compiler_actor *actor = take_actor(compiler);
    if (!actor)
        return;
    if (step_accept(compiler, "receives")) {
        step->within_ms = DEFAULT_WITHIN_MS;
        compile_receives(compiler);
        return;
    }
    const struct bv_verb *verb = take_verb(compiler);
    if (verb) {
        compile_verb(compiler, verb, actor);
        return;
    }
    step->kind = PLAN_PROBE;
    take_conditions(compiler, "verb or probe");
    step_check_payload(compiler, BV_TAKES_NOTHING);
}

static bool take_within(struct compiler *compiler)
{
    const struct word *word = step_peek(compiler);
    if (!word || bv_duration_parse(word->text, &compiler->step->within_ms) < 0) {
        STEP_FAIL(compiler,
                  "\"within\" wants a duration such as 250ms, 5s, 2m, not \"%.60s\"",
                  step_shown(compiler));
        return false;
    }
    compiler->at++;
    return true;
}

static void compile_barrier(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    struct bv_bytes name;
    step->kind = PLAN_BARRIER;
    step->within_ms = BARRIER_WITHIN_MS;
    if (!step_take_text(compiler, "a name", &name))
        return;
    if (step_has_variable(name)) {
        compiler->at--;
        STEP_FAIL(compiler, "who meets is known before the run: the name has no variables");
        return;
    }
    step->barrier = name.data;
    if (step_accept(compiler, "within") && !take_within(compiler))
        return;
    if (step_peek(compiler))
        STEP_FAIL(compiler, "\"%.60s\" is too much here", step_shown(compiler));
}

static void compile_within(struct compiler *compiler)
{
    const struct compiler_actor *actor = take_within(compiler) ? take_actor(compiler) : NULL;
    if (!actor)
        return;
    if (step_accept(compiler, "receives")) {
        compile_receives(compiler);
        return;
    }
    const struct bv_verb *verb = compiler->step->wait == PLAN_NEVER ? NULL : take_verb(compiler);
    if (verb)
        compile_verb(compiler, verb, actor);
    else
        (void)step_expect(compiler, "receives");
}

void step_compile(struct compiler *compiler, struct plan_step *step)
{
    struct bv_error error = {0};
    compiler->step = step;
    compiler->failed = false;
    compiler->at = compiler->count = 0;
    if (words_split(
            compiler->arena, step->source->text, compiler->words, &compiler->count, &error) < 0) {
        STEP_FAIL(compiler, "%s", error.text[0] ? error.text : "out of memory");
        return;
    }
    if (!compiler->count) {
        STEP_FAIL(compiler, "the step is empty");
    } else if (step_accept(compiler, "actor")) {
        compile_actor(compiler);
        step_check_payload(compiler, BV_TAKES_NOTHING);
    } else if (step_accept(compiler, "save")) {
        compile_save(compiler);
        step_check_payload(compiler, BV_TAKES_NOTHING);
    } else if (step_accept(compiler, "barrier")) {
        compile_barrier(compiler);
        step_check_payload(compiler, BV_TAKES_NOTHING);
    } else if (step_accept(compiler, "never within")) {
        step->wait = PLAN_NEVER;
        compile_within(compiler);
    } else if (step_accept(compiler, "within")) {
        compile_within(compiler);
    } else {
        compile_act(compiler);
    }
}
