#include "config_internal.h"

#include "bv/json.h"

enum { ENV_SIZE = 64 };

static const char *const type_names[] = {
    [BV_OPT_TEXT] = "text",
    [BV_OPT_INT] = "integer",
    [BV_OPT_SWITCH] = "switch",
    [BV_OPT_DURATION] = "duration",
    [BV_OPT_SIZE] = "size",
};

static const char *shown_default(const struct bv_option *row)
{
    if (!row->fallback)
        return "required";
    if (row->secrecy == BV_SECRET_VALUE)
        return row->fallback[0] != '\0' ? "***" : "none";
    return row->fallback[0] != '\0' ? row->fallback : "none";
}

static void append_range(struct bv_buf *buf, const struct bv_option *row)
{
    if (row->type == BV_OPT_SWITCH)
        return;
    bv_buf_int64(buf, row->min);
    bv_buf_text(buf, " to ");
    bv_buf_int64(buf, row->max);
    const char *unit = row->unit && row->unit[0] != '\0' ? row->unit
                       : row->type == BV_OPT_DURATION    ? "ms"
                       : row->type == BV_OPT_INT         ? ""
                                                         : "bytes";
    if (unit[0] != '\0') {
        bv_buf_char(buf, ' ');
        bv_buf_text(buf, unit);
    }
}

static void help_row(struct bv_buf *buf, const struct bv_option *row)
{
    char name[ENV_SIZE];
    bv_option_env_name(row->key, name, sizeof(name));
    bv_buf_text(buf, "  --");
    bv_buf_text(buf, row->key);
    if (row->type != BV_OPT_SWITCH) {
        bv_buf_text(buf, " <");
        bv_buf_text(buf, type_names[row->type]);
        bv_buf_char(buf, '>');
    }
    bv_buf_text(buf, "\n      ");
    bv_buf_text(buf, row->help);
    bv_buf_text(buf, "\n      environment ");
    bv_buf_text(buf, name);
    bv_buf_text(buf, "; default ");
    bv_buf_text(buf, shown_default(row));
    if (row->type != BV_OPT_SWITCH)
        bv_buf_text(buf, "; range ");
    append_range(buf, row);
    bv_buf_char(buf, '\n');
}

int bv_config_help(struct bv_buf *buf,
                   const char *program,
                   const char *purpose,
                   const struct bv_option_set *sets,
                   size_t set_count)
{
    bv_buf_text(buf, "Usage: ");
    bv_buf_text(buf, program);
    bv_buf_text(buf, " [--option value]...\n");
    bv_buf_text(buf, purpose);
    bv_buf_text(buf,
                "\n\nOptions (a flag wins over the environment, which wins over the default):\n");
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++)
            help_row(buf, &sets[s].rows[i]);
    bv_buf_text(buf, "  --help\n      Prints this text.\n");
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

static void append_cell(struct bv_buf *buf, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            bv_buf_char(buf, '\\');
        bv_buf_char(buf, *text == '\n' ? ' ' : *text);
    }
}

int bv_config_markdown(struct bv_buf *buf, const struct bv_option_set *sets, size_t set_count)
{
    bv_buf_text(buf, "| option | environment | type | default | range | meaning |\n");
    bv_buf_text(buf, "|---|---|---|---|---|---|\n");
    for (size_t s = 0; s < set_count; s++) {
        for (size_t i = 0; i < sets[s].count; i++) {
            const struct bv_option *row = &sets[s].rows[i];
            char name[ENV_SIZE];
            bv_option_env_name(row->key, name, sizeof(name));
            bv_buf_text(buf, "| `--");
            bv_buf_text(buf, row->key);
            bv_buf_text(buf, "` | `");
            bv_buf_text(buf, name);
            bv_buf_text(buf, "` | ");
            bv_buf_text(buf, type_names[row->type]);
            bv_buf_text(buf, " | ");
            append_cell(buf, shown_default(row));
            bv_buf_text(buf, " | ");
            append_range(buf, row);
            bv_buf_text(buf, " | ");
            append_cell(buf, row->help);
            bv_buf_text(buf, " |\n");
        }
    }
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

static void print_value(struct bv_json_writer *w, const struct bv_option *row, const void *target)
{
    const char *slot = (const char *)target + row->offset;
    const char *text;
    int64_t number;
    bool on;
    if (row->secrecy == BV_SECRET_VALUE) {
        bv_jw_text(w, "***");
        return;
    }
    switch (row->type) {
    case BV_OPT_TEXT:
        memcpy(&text, slot, sizeof(text));
        bv_jw_text(w, text);
        break;
    case BV_OPT_SWITCH:
        memcpy(&on, slot, sizeof(on));
        bv_jw_bool(w, on);
        break;
    default:
        memcpy(&number, slot, sizeof(number));
        bv_jw_int(w, number);
        break;
    }
}

int bv_config_print(struct bv_buf *buf, const struct bv_option_set *sets, size_t set_count)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    for (size_t s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s].count; i++) {
            bv_jw_key(&w, sets[s].rows[i].key);
            print_value(&w, &sets[s].rows[i], sets[s].target);
        }
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
