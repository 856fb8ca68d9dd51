#include "step.h"

#include "bv/config.h"
#include <stdarg.h>
#include <stdio.h>

enum { DEFAULT_WITHIN_MS = 5000, CANDIDATES_MAX = 96 };

void compile_error(struct compiler *compiler, uint32_t line, uint32_t column, const char *format, ...)
{
    struct plan *plan = compiler->plan;
    char text[240];
    compiler->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < plan->diagnostic_count; i++) /* a background is compiled once per scenario */
        if (plan->diagnostics[i].line == line && strcmp(plan->diagnostics[i].text, text) == 0)
            return;
    if (plan->diagnostic_count == PLAN_DIAGNOSTICS_MAX)
        return;
    struct plan_diagnostic *diagnostic = &plan->diagnostics[plan->diagnostic_count++];
    *diagnostic = (struct plan_diagnostic){.line = line, .column = column};
    memcpy(diagnostic->text, text, sizeof text);
}

/* ---- cursor over the words ---- */

static uint32_t column(const struct compiler *compiler)
{
    const struct gherkin_step *source = compiler->step->source;
    uint32_t begin = source->at.column + (uint32_t)source->keyword.size;
    if (compiler->header || !compiler->count)
        return source->at.column;
    const struct word *last = &compiler->words[compiler->count - 1];
    return begin + (compiler->at < compiler->count ? compiler->words[compiler->at].column
                                                   : last->column + (uint32_t)last->text.size) - 1;
}

#define FAIL(compiler, ...)                                                                        \
    do {                                                                                           \
        if (!(compiler)->failed)                                                                   \
            compile_error((compiler), (compiler)->step->line, column(compiler), __VA_ARGS__);      \
    } while (0)

static const struct word *peek(const struct compiler *compiler)
{
    return compiler->at < compiler->count ? &compiler->words[compiler->at] : NULL;
}

/* Whether the words from here on are these (separated by spaces, none quoted); how many. */
static size_t matches(const struct compiler *compiler, const char *words)
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

static bool accept(struct compiler *compiler, const char *words)
{
    size_t count = matches(compiler, words);
    compiler->at += count;
    return count > 0;
}

static const char *shown(const struct compiler *compiler)
{
    const struct word *word = peek(compiler);
    return word ? word->text.data : "the end of the step";
}

static bool expect(struct compiler *compiler, const char *words)
{
    if (accept(compiler, words))
        return true;
    FAIL(compiler, "expected \"%s\", found \"%.60s\"", words, shown(compiler));
    return false;
}

static void suggest(struct compiler *compiler, const char *what, const char *const *known, size_t count)
{
    const struct word *word = peek(compiler);
    const char *near = word ? bv_nearest(word->text.data, known, count) : NULL;
    if (near)
        FAIL(compiler, "unknown %s \"%.60s\": did you mean \"%s\"?", what, shown(compiler), near);
    else
        FAIL(compiler, "unknown %s \"%.60s\" (bv scenario --steps lists them)", what, shown(compiler));
}

/* ---- variables ---- */

static bool starts(struct bv_bytes text, const char *prefix)
{
    return bv_bytes_starts(text, bv_bytes_of(prefix));
}

static bool known_variable(const struct compiler *compiler, struct bv_bytes name)
{
    static const char *const built_in[] = {"run", "uuid", "now", "trace"};
    for (size_t i = 0; i < BV_COUNT(built_in); i++)
        if (bv_bytes_equal(name, bv_bytes_of(built_in[i])))
            return true;
    if (starts(name, "stack."))
        return true;
    for (size_t i = 0; i < compiler->variable_count; i++)
        if (bv_bytes_equal(name, compiler->variables[i]))
            return true;
    const char *dot = memchr(name.data, '.', name.size);
    for (size_t i = 0; dot && i < compiler->actor_count; i++) {
        const struct compiler_actor *actor = &compiler->actors[i];
        size_t size = (size_t)(dot - name.data);
        struct bv_bytes member = {dot + 1, name.size - size - 1};
        for (size_t v = 0; bv_bytes_equal((struct bv_bytes){name.data, size}, bv_bytes_of(actor->name)) &&
                           v < actor->protocol->variable_count; v++)
            if (bv_bytes_equal(member, bv_bytes_of(actor->protocol->variables[v])))
                return true;
    }
    return false;
}

static void unknown_variable(struct compiler *compiler, struct bv_bytes name)
{
    const char *known[CANDIDATES_MAX] = {"run", "uuid", "now", "trace"};
    size_t count = 4;
    char text[64];
    for (size_t i = 0; i < compiler->variable_count && count < CANDIDATES_MAX; i++)
        known[count++] = compiler->variables[i].data;
    for (size_t i = 0; i < compiler->actor_count; i++)
        for (size_t v = 0; v < compiler->actors[i].protocol->variable_count && count < CANDIDATES_MAX; v++) {
            const struct compiler_actor *actor = &compiler->actors[i];
            known[count] = bv_arena_format(compiler->arena, "%s.%s", actor->name, actor->protocol->variables[v]);
            count += known[count] != NULL;
        }
    snprintf(text, sizeof text, "%.*s", (int)(name.size < 63 ? name.size : 63), name.data);
    const char *near = bv_nearest(text, known, count);
    FAIL(compiler, "variable ${%s} is not set before this step%s%s%s", text, near ? ": did you mean ${" : "",
         near ? near : "", near ? "}?" : "");
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
        FAIL(compiler, "%s", error.text);
}

static bool has_variable(struct bv_bytes text)
{
    return text.size && memmem(text.data, text.size, "${", 2) != NULL;
}

/* ---- needs ---- */

static void need(struct compiler *compiler, const char *name)
{
    struct plan_scenario *scenario = compiler->scenario;
    for (size_t i = 0; i < scenario->need_count; i++)
        if (strcmp(scenario->needs[i], name) == 0)
            return;
    if (scenario->need_count < PLAN_NEEDS_MAX)
        scenario->needs[scenario->need_count++] = name;
}

/* Protocols whose texts are request paths: checked against contracts/openapi, and telling which service a gateway's path needs. */
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
        if (starts(path, paths[i]))
            return true;
    return false;
}

static void check_path(struct compiler *compiler, const char *target, const char *method, struct bv_bytes path)
{
    bool gateway = !target || strcmp(target, "gateway") == 0;
    if (path.size >= 2 && path.data[0] == '$') {
        compiler->scenario->needs_all = compiler->scenario->needs_all || gateway;
        return;
    }
    if (!gateway && operational(path))
        return;
    const struct contract_operation *operation =
        contracts_operation(compiler->tables->contracts, gateway ? NULL : target, method, path);
    if (operation)
        need(compiler, operation->service);
    else
        FAIL(compiler, "no operation %s %.*s in contracts/openapi%s%s", method, BV_ARG(path), gateway ? "" : " of ",
             gateway ? "" : target);
}

static const struct plan_argument *argument_of(const struct plan_step *step, const struct bv_arg *rows, size_t count,
                                               const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0 && step->arguments[i].present)
            return &step->arguments[i];
    return NULL;
}

static void check_requests(struct compiler *compiler, const struct bv_arg *rows, size_t count, const char *target)
{
    const struct plan_step *step = compiler->step;
    for (size_t i = 0; i < BV_COUNT(request_paths); i++) {
        if (strcmp(request_paths[i].protocol, step->protocol->name) != 0 ||
            (request_paths[i].verb == NULL) != (step->verb == NULL) ||
            (step->verb && strcmp(request_paths[i].verb, step->verb->name) != 0))
            continue;
        const struct plan_argument *path = argument_of(step, rows, count, request_paths[i].argument);
        if (path)
            check_path(compiler, target, request_paths[i].method, path->text);
    }
}

/* ---- arguments ---- */

static bool take_text(struct compiler *compiler, const char *what, struct bv_bytes *ret_text)
{
    const struct word *word = peek(compiler);
    if (!word) {
        FAIL(compiler, "%s is missing at the end of the step", what);
        return false;
    }
    check_text(compiler, word->text);
    *ret_text = word->text;
    compiler->at++;
    return !compiler->failed;
}

static void check_event(struct compiler *compiler, struct bv_bytes type)
{
    const char *near = NULL;
    if (has_variable(type) || contracts_event(compiler->tables->contracts, type, &near))
        return;
    compiler->at--;
    FAIL(compiler, "no contract contracts/events/%.*s.schema.json%s%s%s", BV_ARG(type), near ? ": did you mean \"" : "",
         near ? near : "", near ? "\"?" : "");
}

static void take_identity(struct compiler *compiler, struct plan_argument *argument)
{
    static const char *const names[] = {"nobody", "customer", "other-customer", "staff", "admin", "lab", "partner"};
    bool fresh = accept(compiler, "new");
    const struct word *word = peek(compiler);
    bool known = word && fresh;
    for (size_t i = 0; word && i < BV_COUNT(names); i++)
        known = known || bv_bytes_equal(word->text, bv_bytes_of(names[i]));
    if (!known) {
        suggest(compiler, "identity", names, BV_COUNT(names));
        return;
    }
    argument->text = fresh ? bv_bytes_of(bv_arena_format(compiler->arena, "new %s", word->text.data)) : word->text;
    compiler->at++;
    if (!fresh && bv_bytes_equal(word->text, BV_BYTES("nobody")))
        return;
    need(compiler, "auth");
}

static void take_target(struct compiler *compiler, struct plan_argument *argument)
{
    const char *known[CANDIDATES_MAX] = {"gateway"};
    size_t count = 1;
    for (size_t i = 0; i < compiler->tables->service_count && count < CANDIDATES_MAX; i++)
        known[count++] = compiler->tables->services[i];
    const struct word *word = peek(compiler);
    for (size_t i = 0; word && i < count; i++) {
        if (!bv_bytes_equal(word->text, bv_bytes_of(known[i])))
            continue;
        if (i > 0)
            need(compiler, known[i]);
        argument->text = bv_bytes_of(known[i]);
        compiler->at++;
        return;
    }
    suggest(compiler, "target", known, count);
}

/* The value of one row; its words have been read. */
static void take_value(struct compiler *compiler, const struct bv_arg *row, struct plan_argument *argument)
{
    int64_t number = 0;
    if (argument->present && row->type != BV_ARG_PAIR) {
        FAIL(compiler, "%s is given twice", row->name);
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
            FAIL(compiler, "%s may stand %d times at most", row->name, BV_PAIRS_MAX);
            return;
        }
        if (take_text(compiler, "a name", &argument->pairs[argument->pair_count].name) &&
            take_text(compiler, "a value", &argument->pairs[argument->pair_count].value))
            argument->pair_count++;
        break;
    default:
        if (!take_text(compiler, row->name, &argument->text))
            return;
        if (row->type == BV_ARG_EVENT)
            check_event(compiler, argument->text);
        bool open = has_variable(argument->text);
        if (row->type == BV_ARG_INT && !open && bv_bytes_int64(argument->text, INT64_MIN, INT64_MAX, &number) < 0)
            FAIL(compiler, "%s is a number, not \"%.60s\"", row->name, argument->text.data);
        if (row->type == BV_ARG_DURATION && !open && bv_duration_parse(argument->text, &number) < 0)
            FAIL(compiler, "%s is a duration such as 250ms, 5s, 2m, not \"%.60s\"", row->name, argument->text.data);
    }
}

/* Longest words first, so that "with key" is not read as "with". */
static const struct bv_arg *option_here(const struct compiler *compiler, const struct bv_arg *rows, size_t count,
                                        size_t *ret_words)
{
    const struct bv_arg *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < count; i++) {
        size_t words = rows[i].words ? matches(compiler, rows[i].words) : 0;
        if (words > *ret_words) {
            *ret_words = words;
            found = &rows[i];
        }
    }
    return found;
}

static void unknown_option(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    const char *known[BV_ARGS_MAX];
    size_t known_count = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i].words)
            known[known_count++] = rows[i].words;
    suggest(compiler, "word", known, known_count);
}

static void take_arguments(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    struct plan_step *step = compiler->step;
    size_t words = 0;
    for (size_t i = 0; i < count && !compiler->failed && !rows[i].words; i++) {
        if (!peek(compiler) && rows[i].presence == BV_OPTIONAL)
            continue;
        if (rows[i].presence == BV_OPTIONAL && option_here(compiler, rows, count, &words))
            continue;
        take_value(compiler, &rows[i], &step->arguments[i]);
    }
    while (!compiler->failed && peek(compiler)) {
        const struct bv_arg *row = option_here(compiler, rows, count, &words);
        if (!row) {
            unknown_option(compiler, rows, count);
            return;
        }
        compiler->at += words;
        take_value(compiler, row, &step->arguments[row - rows]);
    }
    for (size_t i = 0; i < count; i++)
        if (rows[i].presence == BV_REQUIRED && !step->arguments[i].present)
            FAIL(compiler, "%s is missing%s%s%s", rows[i].name, rows[i].words ? ": write \"" : "",
                 rows[i].words ? rows[i].words : "", rows[i].words ? " ...\"" : "");
}

/* ---- doc strings and tables ---- */

static int zero(void *argument, struct bv_bytes name, struct bv_buf *buf, struct bv_error *error)
{
    (void)argument, (void)name, (void)error;
    return bv_buf_char(buf, '0');
}

static void check_payload(struct compiler *compiler, int takes)
{
    const struct gherkin_step *source = compiler->step->source;
    bool doc = source->doc.at.line != 0;
    bool table = source->table.count != 0;
    compiler->at = compiler->count;
    if (doc && !(takes & BV_TAKES_DOC))
        FAIL(compiler, "this step takes no doc string");
    if (table && !(takes & BV_TAKES_TABLE))
        FAIL(compiler, "this step takes no table");
    if ((takes & BV_NEEDS_DOC) == BV_NEEDS_DOC && !doc)
        FAIL(compiler, "this step needs a doc string");
    if ((takes & BV_NEEDS_TABLE) == BV_NEEDS_TABLE && !table)
        FAIL(compiler, "this step needs a table");
    check_text(compiler, source->doc.content);
    for (size_t r = 0; r < source->table.count; r++)
        for (size_t c = 0; c < source->table.rows[r].count; c++)
            check_text(compiler, source->table.rows[r].cells[c].value);
    if (!doc || !bv_bytes_equal(source->doc.media_type, BV_BYTES("json")) || compiler->failed)
        return;
    /* A variable may stand for a text inside quotes or for a bare number: 0 fits both. */
    struct bv_error error = {0};
    const struct bv_json *json = NULL;
    bv_auto(bv_arena_close) struct bv_arena *scratch = NULL;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 4 << 20};
    if (words_replace(&text, source->doc.content, zero, NULL, &error) == 0 &&
        bv_arena_open((size_t)64 << 20, &scratch) == 0 &&
        bv_json_parse(scratch, bv_buf_view(&text), &json, &error) < 0)
        compile_error(compiler, source->doc.at.line, source->doc.at.column, "the doc string is no JSON: %s", error.text);
}

/* ---- probes ---- */

static const struct bv_probe *take_probe(struct compiler *compiler, struct bv_bytes *ret_argument)
{
    const struct bv_protocol *protocol = compiler->step->protocol;
    const struct bv_probe *probe = NULL;
    for (size_t i = 0; i < protocol->probe_count && !probe; i++)
        if (accept(compiler, protocol->probes[i].name))
            probe = &protocol->probes[i];
    *ret_argument = BV_BYTES_NONE;
    if (!probe || probe->argument == BV_PROBE_PLAIN)
        return probe;
    if (!take_text(compiler, probe->argument == BV_PROBE_PATH ? "a path" : "a name", ret_argument))
        return NULL;
    struct bv_error error = {0};
    if (probe->argument == BV_PROBE_PATH && !has_variable(*ret_argument) && bv_path_check(*ret_argument, &error) < 0) {
        compiler->at--;
        FAIL(compiler, "%s", error.text);
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
    suggest(compiler, text, known, count);
}

static bool op_here(const struct compiler *compiler, enum bv_op *ret_op)
{
    const struct word *word = peek(compiler);
    return word && !word->quoted && bv_op_parse(word->text, ret_op) == 0;
}

static void unknown_op(struct compiler *compiler)
{
    const char *known[BV_OP_COUNT];
    for (int i = 0; i < BV_OP_COUNT; i++)
        known[i] = bv_op_text((enum bv_op)i);
    suggest(compiler, "operator", known, BV_OP_COUNT);
}

static struct plan_filter *add_filter(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    if (step->filter_count < PLAN_FILTERS_MAX)
        return &step->filters[step->filter_count++];
    FAIL(compiler, "at most %d conditions in one step", PLAN_FILTERS_MAX);
    return NULL;
}

/* OP and VALUE after a probe. */
static void take_condition(struct compiler *compiler, const struct bv_probe *probe, struct bv_bytes argument)
{
    enum bv_op op;
    if (!op_here(compiler, &op)) {
        unknown_op(compiler);
        return;
    }
    compiler->at++;
    struct bv_bytes value = BV_BYTES("");
    if (op != BV_OP_EXISTS && !take_text(compiler, "a value", &value))
        return;
    struct plan_filter *filter = add_filter(compiler);
    if (filter)
        *filter = (struct plan_filter){probe, argument, op, value};
}

/* ---- the forms of a step ---- */

static struct compiler_actor *take_actor(struct compiler *compiler)
{
    const struct word *word = peek(compiler);
    const char *known[PLAN_ACTORS_MAX + 3];
    size_t count = 0;
    for (size_t i = 0; i < compiler->actor_count; i++) {
        if (word && !word->quoted && bv_bytes_equal(word->text, bv_bytes_of(compiler->actors[i].name))) {
            compiler->at++;
            compiler->step->actor = compiler->actors[i].name;
            compiler->step->protocol = compiler->actors[i].protocol;
            return &compiler->actors[i];
        }
        known[count++] = compiler->actors[i].name;
    }
    known[count++] = "actor";
    known[count++] = "save";
    known[count++] = "within";
    suggest(compiler, "actor", known, count);
    return NULL;
}

static bool valid_name(struct bv_bytes name)
{
    static const char *const reserved[] = {"actor", "save", "within", "never", "stack", "run", "uuid", "now", "trace"};
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
    const struct word *name = peek(compiler);
    if (!name || name->quoted || !valid_name(name->text)) {
        FAIL(compiler, "\"%.60s\" is no name for an actor", shown(compiler));
        return;
    }
    for (size_t i = 0; i < compiler->actor_count; i++)
        if (bv_bytes_equal(name->text, bv_bytes_of(compiler->actors[i].name)))
            FAIL(compiler, "actor \"%s\" is declared already", name->text.data);
    step->actor = name->text.data;
    compiler->at++;
    if (!expect(compiler, "is"))
        return;
    const char *known[CANDIDATES_MAX];
    for (size_t i = 0; i < tables->protocol_count && !step->protocol; i++) {
        known[i] = tables->protocols[i]->name;
        if (accept(compiler, known[i]))
            step->protocol = tables->protocols[i];
    }
    if (!step->protocol) {
        suggest(compiler, "protocol", known, tables->protocol_count);
        return;
    }
    const struct bv_protocol *protocol = step->protocol;
    take_arguments(compiler, protocol->open_args, protocol->open_arg_count);
    if (protocol->needs)
        need(compiler, protocol->needs);
    const char *target = NULL;
    for (size_t i = 0; i < protocol->open_arg_count; i++)
        if (protocol->open_args[i].type == BV_ARG_TARGET && step->arguments[i].present)
            target = step->arguments[i].text.data;
    if (compiler->actor_count == PLAN_ACTORS_MAX) {
        FAIL(compiler, "at most %d actors in a scenario", PLAN_ACTORS_MAX);
        return;
    }
    compiler->actors[compiler->actor_count++] = (struct compiler_actor){step->actor, protocol, target};
    if (!compiler->failed)
        check_requests(compiler, protocol->open_args, protocol->open_arg_count, target);
}

static void compile_save(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    step->kind = PLAN_SAVE;
    const struct word *name = peek(compiler);
    if (!name || name->quoted || !valid_name(name->text)) {
        FAIL(compiler, "\"%.60s\" is no name for a variable", shown(compiler));
        return;
    }
    step->variable = name->text.data;
    compiler->at++;
    if (compiler->variable_count < PLAN_VARIABLES_MAX) /* known from here on, also when the rest is wrong: one mistake, one message */
        compiler->variables[compiler->variable_count++] = name->text;
    else
        FAIL(compiler, "at most %d variables in a scenario", PLAN_VARIABLES_MAX);
    struct bv_bytes argument;
    if (!expect(compiler, "from") || !take_actor(compiler))
        return;
    const struct bv_probe *probe = take_probe(compiler, &argument);
    if (!probe) {
        unknown_probe(compiler, "probe");
        return;
    }
    step->filters[step->filter_count++] = (struct plan_filter){.probe = probe, .argument = argument, .op = BV_OP_EXISTS};
    if (peek(compiler))
        FAIL(compiler, "\"%.60s\" is too much here", shown(compiler));
}

/* A condition of receives: PROBE OP VALUE, "signed" alone, or, for an order, a probe whose values are the cells. */
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
        FAIL(compiler, "the cells are the types: name no type before them");
    for (size_t r = 0; types && r < table->count; r++) {
        for (size_t c = 0; c < table->rows[r].count; c++) {
            const char *near = NULL;
            struct bv_bytes type = table->rows[r].cells[c].value;
            if (strcmp(step->protocol->name, "kafka") == 0 && !has_variable(type) &&
                !contracts_event(compiler->tables->contracts, type, &near))
                compile_error(compiler, table->rows[r].at.line, table->rows[r].cells[c].at.column,
                              "no contract contracts/events/%.*s.schema.json%s%s%s", BV_ARG(type),
                              near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
    }
}

static bool event_shaped(struct bv_bytes text)
{
    return starts(text, "ecommerce.");
}

static void compile_receives(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    int64_t number = 0;
    step->kind = PLAN_RECEIVES;
    if (accept(compiler, "exactly")) {
        const struct word *word = peek(compiler);
        if (!word || bv_bytes_int64(word->text, 0, 1000000, &number) < 0)
            FAIL(compiler, "\"exactly\" wants a number, not \"%.60s\"", shown(compiler));
        if (step->wait == PLAN_NEVER)
            FAIL(compiler, "\"never\" and \"exactly\" do not go together");
        step->wait = PLAN_EXACTLY;
        step->exactly = number;
        compiler->at++;
    }
    while (!compiler->failed && peek(compiler)) {
        if (accept(compiler, "and") || accept(compiler, "with"))
            continue;
        if (accept(compiler, "in order")) {
            if (step->wait != PLAN_ONCE)
                FAIL(compiler, "\"in order\" does not go with \"never\" or \"exactly\"");
            step->wait = PLAN_ORDER;
        } else if (accept(compiler, "for key")) {
            (void)take_text(compiler, "a key", &step->key);
        } else if (peek(compiler)->quoted && !step->event.data) {
            if (take_text(compiler, "a type", &step->event) && event_shaped(step->event))
                check_event(compiler, step->event);
        } else {
            receive_condition(compiler);
        }
    }
    check_payload(compiler, step->wait == PLAN_ORDER ? BV_NEEDS_TABLE : BV_TAKES_NOTHING);
    if (step->wait == PLAN_ORDER)
        check_order(compiler);
}

static void compile_verb(struct compiler *compiler, const struct bv_verb *verb, const struct compiler_actor *actor)
{
    compiler->step->kind = PLAN_VERB;
    compiler->step->verb = verb;
    take_arguments(compiler, verb->args, verb->arg_count);
    if (!compiler->failed)
        check_requests(compiler, verb->args, verb->arg_count, actor->target);
    check_payload(compiler, verb->takes);
}

static const struct bv_verb *take_verb(struct compiler *compiler)
{
    const struct bv_protocol *protocol = compiler->step->protocol;
    const struct bv_verb *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < protocol->verb_count; i++) {
        size_t words = matches(compiler, protocol->verbs[i].name);
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
    if (accept(compiler, "receives")) {
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
    do {
        struct bv_bytes argument;
        const struct bv_probe *probe = take_probe(compiler, &argument);
        if (!probe) {
            unknown_probe(compiler, "verb or probe");
            return;
        }
        take_condition(compiler, probe, argument);
    } while (!compiler->failed && accept(compiler, "and"));
    if (peek(compiler))
        FAIL(compiler, "\"%.60s\" is too much here", shown(compiler));
    check_payload(compiler, BV_TAKES_NOTHING);
}

static void compile_within(struct compiler *compiler)
{
    struct plan_step *step = compiler->step;
    const struct word *word = peek(compiler);
    if (!word || bv_duration_parse(word->text, &step->within_ms) < 0) {
        FAIL(compiler, "\"within\" wants a duration such as 250ms, 5s, 2m, not \"%.60s\"", shown(compiler));
        return;
    }
    compiler->at++;
    if (take_actor(compiler) && expect(compiler, "receives"))
        compile_receives(compiler);
}

void step_compile(struct compiler *compiler, struct plan_step *step)
{
    struct bv_error error = {0};
    compiler->step = step;
    compiler->failed = false;
    compiler->at = compiler->count = 0;
    if (words_split(compiler->arena, step->source->text, compiler->words, &compiler->count, &error) < 0) {
        FAIL(compiler, "%s", error.text[0] ? error.text : "out of memory");
        return;
    }
    if (!compiler->count) {
        FAIL(compiler, "the step is empty");
    } else if (accept(compiler, "actor")) {
        compile_actor(compiler);
        check_payload(compiler, BV_TAKES_NOTHING);
    } else if (accept(compiler, "save")) {
        compile_save(compiler);
        check_payload(compiler, BV_TAKES_NOTHING);
    } else if (accept(compiler, "never within")) {
        step->wait = PLAN_NEVER;
        compile_within(compiler);
    } else if (accept(compiler, "within")) {
        compile_within(compiler);
    } else {
        compile_act(compiler);
    }
}
