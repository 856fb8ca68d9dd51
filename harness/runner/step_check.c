/* What the protocols themselves can tell of a declaration or a verb before anything runs. */
#include "step_words.h"

static int zero(void *argument, struct bv_bytes name, struct bv_buf *buf, struct bv_error *error)
{
    (void)argument, (void)name, (void)error;
    return bv_buf_char(buf, '0');
}

int step_zeroed(struct bv_bytes text, struct bv_buf *buf, struct bv_error *error)
{
    return words_replace(buf, text, zero, NULL, error);
}

static struct bv_bytes known_text(struct bv_bytes text)
{
    return step_has_variable(text) ? BV_BYTES_NONE : text;
}

static void
set_value(const struct bv_arg *row, const struct plan_argument *argument, struct bv_value *value)
{
    value->present = argument->present;
    value->pair_count = argument->pair_count;
    for (size_t i = 0; i < argument->pair_count; i++)
        value->pairs[i] = (struct bv_pair){known_text(argument->pairs[i].name),
                                           known_text(argument->pairs[i].value)};
    value->text = known_text(argument->text);
    value->number = BV_NO_NUMBER;
    if (!value->text.data)
        return;
    if (row->type == BV_ARG_INT &&
        bv_bytes_int64(value->text, INT64_MIN, INT64_MAX, &value->number) < 0)
        value->number = BV_NO_NUMBER;
    if (row->type == BV_ARG_DURATION && bv_duration_parse(value->text, &value->number) < 0)
        value->number = BV_NO_NUMBER;
}

static bool set_table(struct compiler *compiler, struct bv_cells *ret_cells)
{
    const struct gherkin_table *table = &compiler->step->source->table;
    if (!table->count)
        return true;
    size_t columns = table->rows[0].count;
    struct bv_bytes *cells =
        bv_arena_array(compiler->arena, struct bv_bytes, table->count * columns + 1);
    if (!cells)
        return false;
    for (size_t r = 0; r < table->count; r++)
        for (size_t c = 0; c < columns; c++)
            cells[r * columns + c] = known_text(table->rows[r].cells[c].value);
    *ret_cells = (struct bv_cells){table->count, columns, cells};
    return true;
}

static bool set_doc(struct compiler *compiler, struct bv_call *call, bool *ret_open)
{
    const struct gherkin_doc_string *doc = &compiler->step->source->doc;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 4 << 20};
    if (!doc->at.line)
        return true;
    *ret_open = step_has_variable(doc->content);
    if (step_zeroed(doc->content, &text, NULL) < 0)
        return false; /* said already */
    call->doc = bv_arena_copy(compiler->arena, text.data ? bv_buf_view(&text) : BV_BYTES(""));
    call->doc_media_type = doc->media_type;
    return call->doc.data != NULL;
}

static void blame(struct compiler *compiler, const struct bv_check *check, const char *text)
{
    const struct gherkin_step *source = compiler->step->source;
    const struct gherkin_table *table = &source->table;
    size_t columns = check->call->table.columns;
    if (check->place == BV_CHECK_DOC && source->doc.at.line) {
        compile_error(compiler, source->doc.at.line, source->doc.at.column, "%s", text);
        return;
    }
    if (check->place == BV_CHECK_CELL && columns && check->index / columns < table->count) {
        const struct gherkin_row *row = &table->rows[check->index / columns];
        compile_error(
            compiler, row->at.line, row->cells[check->index % columns].at.column, "%s", text);
        return;
    }
    compiler->at = check->place == BV_CHECK_ARGUMENT && check->index < BV_ARGS_MAX
                       ? compiler->argument_at[check->index]
                       : compiler->count;
    STEP_FAIL(compiler, "%s", text);
}

void step_check_call(struct compiler *compiler, const struct bv_arg *rows, size_t count)
{
    const struct plan_step *step = compiler->step;
    struct bv_error error = {0};
    if (compiler->failed || !step->protocol->check)
        return;
    struct bv_call *call = bv_arena_new(compiler->arena, struct bv_call);
    struct bv_check check = {.verb = step->verb, .call = call, .arena = compiler->arena};
    if (!call)
        return; /* the arena remembers it */
    for (size_t i = 0; i < count; i++)
        set_value(&rows[i], &step->arguments[i], &call->values[i]);
    if (!set_table(compiler, &call->table) || !set_doc(compiler, call, &check.doc_open))
        return;
    if (step->protocol->check(&check, &error) < 0)
        blame(compiler, &check, error.text);
}
