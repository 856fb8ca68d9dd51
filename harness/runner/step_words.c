#include "step_words.h"

#include "bv/config.h"
#include <stdarg.h>
#include <stdio.h>

void compile_error(
    struct compiler *compiler, uint32_t line, uint32_t column, const char *format, ...)
{
    struct plan *plan = compiler->plan;
    char text[240];
    compiler->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < plan->diagnostic_count;
         i++) /* a background is compiled once per scenario */
        if (plan->diagnostics[i].line == line && strcmp(plan->diagnostics[i].text, text) == 0)
            return;
    if (plan->diagnostic_count == PLAN_DIAGNOSTICS_MAX)
        return;
    struct plan_diagnostic *diagnostic = &plan->diagnostics[plan->diagnostic_count++];
    *diagnostic = (struct plan_diagnostic){.line = line, .column = column};
    memcpy(diagnostic->text, text, sizeof text);
}

/* ---- cursor over the words ---- */

uint32_t step_column(const struct compiler *compiler)
{
    const struct gherkin_step *source = compiler->step->source;
    uint32_t begin = source->at.column + (uint32_t)source->keyword.size;
    if (compiler->header || !compiler->count)
        return source->at.column;
    const struct word *last = &compiler->words[compiler->count - 1];
    return begin +
           (compiler->at < compiler->count ? compiler->words[compiler->at].column
                                           : last->column + (uint32_t)last->text.size) -
           1;
}

const struct word *step_peek(const struct compiler *compiler)
{
    return compiler->at < compiler->count ? &compiler->words[compiler->at] : NULL;
}

/* Whether the words from here on are these (separated by spaces, none quoted); how many. */
size_t step_matches(const struct compiler *compiler, const char *words)
{
    size_t count = 0;
    while (*words) {
        size_t size = strcspn(words, " ");
        size_t index = compiler->at + count;
        if (index >= compiler->count || compiler->words[index].quoted ||
            !bv_bytes_equal(compiler->words[index].text, (struct bv_bytes){words, size}))
            return 0;
        count++;
        words += size + (words[size] == ' ');
    }
    return count;
}

bool step_accept(struct compiler *compiler, const char *words)
{
    size_t count = step_matches(compiler, words);
    compiler->at += count;
    return count > 0;
}

const char *step_shown(const struct compiler *compiler)
{
    const struct word *word = step_peek(compiler);
    return word ? word->text.data : "the end of the step";
}

bool step_expect(struct compiler *compiler, const char *words)
{
    if (step_accept(compiler, words))
        return true;
    STEP_FAIL(compiler, "expected \"%s\", found \"%.60s\"", words, step_shown(compiler));
    return false;
}

void step_suggest(struct compiler *compiler,
                  const char *what,
                  const char *const *known,
                  size_t count)
{
    const struct word *word = step_peek(compiler);
    const char *near = word ? bv_nearest(word->text.data, known, count) : NULL;
    if (near)
        STEP_FAIL(compiler,
                  "unknown %s \"%.60s\": did you mean \"%s\"?",
                  what,
                  step_shown(compiler),
                  near);
    else
        STEP_FAIL(compiler,
                  "unknown %s \"%.60s\" (bv scenario --steps lists them)",
                  what,
                  step_shown(compiler));
}

/* ---- variables ---- */

bool step_starts(struct bv_bytes text, const char *prefix)
{
    return bv_bytes_starts(text, bv_bytes_of(prefix));
}

static bool known_variable(const struct compiler *compiler, struct bv_bytes name)
{
    static const char *const built_in[] = {"run", "run.id", "uuid", "now", "trace"};
    for (size_t i = 0; i < BV_COUNT(built_in); i++)
        if (bv_bytes_equal(name, bv_bytes_of(built_in[i])))
            return true;
    if (step_starts(name, "stack.") || words_bulk_name(name))
        return true;
    for (size_t i = 0; i < compiler->variable_count; i++)
        if (bv_bytes_equal(name, compiler->variables[i]))
            return true;
    const char *dot = memchr(name.data, '.', name.size);
    for (size_t i = 0; dot && i < compiler->actor_count; i++) {
        const struct compiler_actor *actor = &compiler->actors[i];
        size_t size = (size_t)(dot - name.data);
        struct bv_bytes member = {dot + 1, name.size - size - 1};
        for (size_t v = 0;
             bv_bytes_equal((struct bv_bytes){name.data, size}, bv_bytes_of(actor->name)) &&
             v < actor->protocol->variable_count;
             v++)
            if (bv_bytes_equal(member, bv_bytes_of(actor->protocol->variables[v])))
                return true;
    }
    return false;
}

static void unknown_variable(struct compiler *compiler, struct bv_bytes name)
{
    const char *known[CANDIDATES_MAX] = {"run", "run.id", "uuid", "now", "trace"};
    size_t count = 5;
    char text[64];
    for (size_t i = 0; i < compiler->variable_count && count < CANDIDATES_MAX; i++)
        known[count++] = compiler->variables[i].data;
    for (size_t i = 0; i < compiler->actor_count; i++)
        for (size_t v = 0;
             v < compiler->actors[i].protocol->variable_count && count < CANDIDATES_MAX;
             v++) {
            const struct compiler_actor *actor = &compiler->actors[i];
            known[count] = bv_arena_format(
                compiler->arena, "%s.%s", actor->name, actor->protocol->variables[v]);
            count += known[count] != NULL;
        }
    snprintf(text, sizeof text, "%.*s", (int)(name.size < 63 ? name.size : 63), name.data);
    const char *near = bv_nearest(text, known, count);
    STEP_FAIL(compiler,
              "variable ${%s} is not set before this step%s%s%s",
              text,
              near ? ": did you mean ${" : "",
              near ? near : "",
              near ? "}?" : "");
}

/* Checks the variables of a text that the step uses. */
static void check_text(struct compiler *compiler, struct bv_bytes text)
{
    struct bv_error error = {0};
    struct word_variable variable;
    size_t at = 0;
    int rc;
    while ((rc = words_variable(text, &at, &variable, &error)) == 0)
        if (!known_variable(compiler, variable.name))
            unknown_variable(compiler, variable.name);
    if (rc < 0)
        STEP_FAIL(compiler, "%s", error.text);
}

bool step_has_variable(struct bv_bytes text)
{
    return text.size && memmem(text.data, text.size, "${", 2) != NULL;
}

/* ---- needs ---- */

void step_need(struct compiler *compiler, const char *name)
{
    struct plan_scenario *scenario = compiler->scenario;
    for (size_t i = 0; i < scenario->need_count; i++)
        if (strcmp(scenario->needs[i], name) == 0)
            return;
    if (scenario->need_count < PLAN_NEEDS_MAX)
        scenario->needs[scenario->need_count++] = name;
}

/* Protocols whose texts are request paths: checked against contracts/openapi, and telling which
 * service a gateway's path needs. */
static const struct {
    const char *protocol;
    const char *verb; /* NULL: of the declaration */
    const char *argument;
    const char *method;
} request_paths[] = {
    {"rest",      "gets",    "path", "GET"   },
    {"rest",      "heads",   "path", "HEAD"  },
    {"rest",      "posts",   "path", "POST"  },
    {"rest",      "puts",    "path", "PUT"   },
    {"rest",      "patches", "path", "PATCH" },
    {"rest",      "deletes", "path", "DELETE"},
    {"websocket", NULL,      "path", "GET"   },
    {"sse",       NULL,      "path", "GET"   },
};

static bool operational(struct bv_bytes path)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics", "/openapi.yaml"};
    for (size_t i = 0; i < BV_COUNT(paths); i++)
        if (step_starts(path, paths[i]))
            return true;
    return false;
}

bool step_have_contracts(struct compiler *compiler)
{
    struct bv_error error = {0};
    if (contracts_read(compiler->tables->contracts, &error) == 0)
        return true;
    STEP_FAIL(compiler, "%s", error.text);
    return false;
}

static void no_operation(struct compiler *compiler,
                         const char *service,
                         const char *method,
                         struct bv_bytes path)
{
    const char *near = contracts_nearest(compiler->tables->contracts, service, method, path);
    STEP_FAIL(compiler,
              "no operation %s %.*s in contracts/openapi%s%s%s%s%s",
              method,
              (int)(path.size < 80 ? path.size : 80),
              path.data,
              service ? " of " : "",
              service ? service : "",
              near ? ": did you mean \"" : "",
              near ? near : "",
              near ? "\"?" : "");
}

static void
check_path(struct compiler *compiler, const char *target, const char *method, struct bv_bytes path)
{
    bool gateway = !target || strcmp(target, "gateway") == 0;
    if (target && bv_is_base_url(bv_bytes_of(target)))
        return; /* somebody else's server: its operations are not ours to know */
    if (path.size >= 2 && path.data[0] == '$') {
        compiler->scenario->needs_all = compiler->scenario->needs_all || gateway;
        return;
    }
    if ((!gateway && operational(path)) || !step_have_contracts(compiler))
        return;
    const struct contract_operation *operation =
        contracts_operation(compiler->tables->contracts, gateway ? NULL : target, method, path);
    if (operation)
        step_need(compiler, operation->service);
    else
        no_operation(compiler, gateway ? NULL : target, method, path);
}

static const struct plan_argument *
argument_of(const struct plan_step *step, const struct bv_arg *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0 && step->arguments[i].present)
            return &step->arguments[i];
    return NULL;
}

void step_check_requests(struct compiler *compiler,
                         const struct bv_arg *rows,
                         size_t count,
                         const char *target)
{
    const struct plan_step *step = compiler->step;
    size_t at = compiler->at;
    for (size_t i = 0; i < BV_COUNT(request_paths); i++) {
        if (strcmp(request_paths[i].protocol, step->protocol->name) != 0 ||
            (request_paths[i].verb == NULL) != (step->verb == NULL) ||
            (step->verb && strcmp(request_paths[i].verb, step->verb->name) != 0))
            continue;
        const struct plan_argument *path =
            argument_of(step, rows, count, request_paths[i].argument);
        if (!path)
            continue;
        compiler->at = compiler->argument_at[path - step->arguments];
        check_path(compiler, target, request_paths[i].method, path->text);
        compiler->at = at;
    }
}

void step_check_topic(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    const struct plan_step *step = compiler->step;
    const struct plan_argument *topic = argument_of(step, rows, count, "topic");
    const char *near = NULL;
    if (strcmp(step->protocol->name, "kafka") != 0 || !topic || step_has_variable(topic->text) ||
        !step_have_contracts(compiler) ||
        contracts_topic(compiler->tables->contracts, topic->text, &near))
        return;
    compiler->at = compiler->argument_at[topic - step->arguments];
    STEP_FAIL(compiler,
              "no topic \"%.80s\" in contracts/asyncapi%s%s%s",
              topic->text.data,
              near ? ": did you mean \"" : "",
              near ? near : "",
              near ? "\"?" : "");
}

void step_check_database(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    const struct plan_step *step = compiler->step;
    const struct plan_tables *tables = compiler->tables;
    const struct plan_argument *name = argument_of(step, rows, count, "database");
    if (strcmp(step->protocol->name, "postgres") != 0 || !name || !tables->database_count ||
        step_has_variable(name->text))
        return;
    for (size_t i = 0; i < tables->database_count; i++)
        if (bv_bytes_equal(name->text, bv_bytes_of(tables->databases[i])))
            return;
    compiler->at = compiler->argument_at[name - step->arguments];
    step_suggest(compiler, "database", tables->databases, tables->database_count);
}

/* ---- arguments ---- */

bool step_take_text(struct compiler *compiler, const char *what, struct bv_bytes *ret_text)
{
    const struct word *word = step_peek(compiler);
    if (!word) {
        STEP_FAIL(compiler, "%s is missing at the end of the step", what);
        return false;
    }
    check_text(compiler, word->text);
    *ret_text = word->text;
    compiler->at++;
    return !compiler->failed;
}

void step_check_event(struct compiler *compiler, struct bv_bytes type)
{
    const char *near = NULL;
    if (step_has_variable(type) || !step_have_contracts(compiler) ||
        contracts_event(compiler->tables->contracts, type, &near))
        return;
    compiler->at--;
    STEP_FAIL(compiler,
              "no contract contracts/events/%.*s.schema.json%s%s%s",
              BV_ARG(type),
              near ? ": did you mean \"" : "",
              near ? near : "",
              near ? "\"?" : "");
}

static void take_identity(struct compiler *compiler, struct plan_argument *argument)
{
    static const char *const names[] = {
        "nobody", "customer", "other-customer", "staff", "admin", "lab", "partner"};
    struct bv_bytes text;
    if (step_accept(compiler, "token")) {
        if (step_take_text(compiler, "a token", &text))
            argument->text = bv_bytes_of(bv_arena_format(compiler->arena, "token %s", text.data));
        return;
    }
    bool fresh = step_accept(compiler, "new");
    const struct word *word = step_peek(compiler);
    bool known = word && fresh;
    for (size_t i = 0; word && i < BV_COUNT(names); i++)
        known = known || bv_bytes_equal(word->text, bv_bytes_of(names[i]));
    if (!known) {
        step_suggest(compiler, "identity", names, BV_COUNT(names));
        return;
    }
    argument->text = fresh
                         ? bv_bytes_of(bv_arena_format(compiler->arena, "new %s", word->text.data))
                         : word->text;
    compiler->at++;
    if (!fresh && bv_bytes_equal(word->text, BV_BYTES("nobody")))
        return;
    step_need(compiler, "auth");
}

static void take_target(struct compiler *compiler, struct plan_argument *argument)
{
    const char *known[CANDIDATES_MAX] = {"gateway"};
    size_t count = 1;
    for (size_t i = 0; i < compiler->tables->service_count && count < CANDIDATES_MAX; i++)
        known[count++] = compiler->tables->services[i];
    const struct word *word = step_peek(compiler);
    if (word && bv_is_base_url(word->text)) {
        argument->text = word->text;
        compiler->at++;
        return;
    }
    for (size_t i = 0; word && i < count; i++) {
        if (!bv_bytes_equal(word->text, bv_bytes_of(known[i])))
            continue;
        if (i > 0)
            step_need(compiler, known[i]);
        argument->text = bv_bytes_of(known[i]);
        compiler->at++;
        return;
    }
    step_suggest(compiler, "target", known, count);
}

/* The value of one row; its words have been read. */
static void
take_value(struct compiler *compiler, const struct bv_arg *row, struct plan_argument *argument)
{
    int64_t number = 0;
    if (argument->present && row->type != BV_ARG_PAIR) {
        STEP_FAIL(compiler, "%s is given twice", row->name);
        return;
    }
    argument->present = true;
    switch (row->type) {
    case BV_ARG_FLAG:
        break;
    case BV_ARG_TARGET:
        take_target(compiler, argument);
        break;
    case BV_ARG_IDENTITY:
        take_identity(compiler, argument);
        break;
    case BV_ARG_PAIR:
        if (argument->pair_count == BV_PAIRS_MAX) {
            STEP_FAIL(compiler, "%s may stand %d times at most", row->name, BV_PAIRS_MAX);
            return;
        }
        if (step_take_text(compiler, "a name", &argument->pairs[argument->pair_count].name) &&
            step_take_text(compiler, "a value", &argument->pairs[argument->pair_count].value))
            argument->pair_count++;
        break;
    default:
        if (!step_take_text(compiler, row->name, &argument->text))
            return;
        if (row->type == BV_ARG_EVENT)
            step_check_event(compiler, argument->text);
        bool open = step_has_variable(argument->text);
        if (row->type == BV_ARG_INT && !open &&
            bv_bytes_int64(argument->text, INT64_MIN, INT64_MAX, &number) < 0)
            STEP_FAIL(compiler, "%s is a number, not \"%.60s\"", row->name, argument->text.data);
        if (row->type == BV_ARG_DURATION && !open && bv_duration_parse(argument->text, &number) < 0)
            STEP_FAIL(compiler,
                      "%s is a duration such as 250ms, 5s, 2m, not \"%.60s\"",
                      row->name,
                      argument->text.data);
    }
}

/* Longest words first, so that "with key" is not read as "with". */
static const struct bv_arg *option_here(const struct compiler *compiler,
                                        const struct bv_arg *rows,
                                        size_t count,
                                        size_t *ret_words)
{
    const struct bv_arg *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < count; i++) {
        size_t words = rows[i].words ? step_matches(compiler, rows[i].words) : 0;
        if (words > *ret_words) {
            *ret_words = words;
            found = &rows[i];
        }
    }
    return found;
}

static void unknown_option(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    const char *known[BV_ARGS_MAX + 1];
    size_t known_count = 0;
    if (compiler->step->verb && (compiler->step->verb->takes & BV_ASKS))
        known[known_count++] = "until";
    for (size_t i = 0; i < count; i++)
        if (rows[i].words)
            known[known_count++] = rows[i].words;
    step_suggest(compiler, "word", known, known_count);
}

void step_take_arguments(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    struct plan_step *step = compiler->step;
    size_t words = 0;
    for (size_t i = 0; i < count && !compiler->failed && !rows[i].words; i++) {
        if (rows[i].presence == BV_OPTIONAL &&
            (!step_peek(compiler) || step_matches(compiler, "until")))
            continue;
        if (rows[i].presence == BV_OPTIONAL && option_here(compiler, rows, count, &words))
            continue;
        compiler->argument_at[i] = compiler->at;
        take_value(compiler, &rows[i], &step->arguments[i]);
    }
    while (!compiler->failed && step_peek(compiler) && !step_matches(compiler, "until")) {
        const struct bv_arg *row = option_here(compiler, rows, count, &words);
        if (!row) {
            unknown_option(compiler, rows, count);
            return;
        }
        compiler->at += words;
        compiler->argument_at[row - rows] = compiler->at;
        take_value(compiler, row, &step->arguments[row - rows]);
    }
    for (size_t i = 0; i < count; i++)
        if (rows[i].presence == BV_REQUIRED && !step->arguments[i].present)
            STEP_FAIL(compiler,
                      "%s is missing%s%s%s",
                      rows[i].name,
                      rows[i].words ? ": write \"" : "",
                      rows[i].words ? rows[i].words : "",
                      rows[i].words ? " ...\"" : "");
}

/* ---- doc strings and tables ---- */

void step_check_payload(struct compiler *compiler, int takes)
{
    const struct gherkin_step *source = compiler->step->source;
    bool doc = source->doc.at.line != 0;
    bool table = source->table.count != 0;
    compiler->at = compiler->count;
    if (doc && !(takes & BV_TAKES_DOC))
        STEP_FAIL(compiler, "this step takes no doc string");
    if (table && !(takes & BV_TAKES_TABLE))
        STEP_FAIL(compiler, "this step takes no table");
    if ((takes & BV_NEEDS_DOC) == BV_NEEDS_DOC && !doc)
        STEP_FAIL(compiler, "this step needs a doc string");
    if ((takes & BV_NEEDS_TABLE) == BV_NEEDS_TABLE && !table)
        STEP_FAIL(compiler, "this step needs a table");
    check_text(compiler, source->doc.content);
    for (size_t r = 0; r < source->table.count; r++)
        for (size_t c = 0; c < source->table.rows[r].count; c++)
            check_text(compiler, source->table.rows[r].cells[c].value);
    if (!doc || !bv_bytes_equal(source->doc.media_type, BV_BYTES("json")) || compiler->failed)
        return;
    struct bv_error error = {0};
    const struct bv_json *json = NULL;
    bv_auto(bv_arena_close) struct bv_arena *scratch = NULL;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 4 << 20};
    if (step_zeroed(source->doc.content, &text, &error) == 0 &&
        bv_arena_open((size_t)64 << 20, &scratch) == 0 &&
        bv_json_parse(scratch, bv_buf_view(&text), &json, &error) < 0)
        compile_error(compiler,
                      source->doc.at.line,
                      source->doc.at.column,
                      "the doc string is no JSON: %s",
                      error.text);
}
