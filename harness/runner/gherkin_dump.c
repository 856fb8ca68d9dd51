/* Prints what the parser makes of each file of the command line, one JSON line each, for
 * gherkin_agreement.py: {"gherkinDocument", "pickles"}, or {"error": {line, column, text}}. */
#include "plan_pickle.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES_MAX = 256 << 20, LINE_BYTES_MAX = 64 << 20 };

static int read_file(const char *path, struct bv_buf *text)
{
    char data[4096];
    size_t got;
    FILE *file = fopen(path, "rb");
    if (!file)
        return BV_E_IO;
    while ((got = fread(data, 1, sizeof data, file)) > 0)
        (void)bv_buf_bytes(text, (struct bv_bytes){data, got});
    fclose(file);
    return text->failed ? BV_E_TOO_LARGE : 0;
}

static void write_error(struct bv_json_writer *w, const struct gherkin_error *error)
{
    bv_jw_key(w, "error");
    bv_jw_object(w);
    bv_jw_kv_int(w, "line", error->at.line);
    bv_jw_kv_int(w, "column", error->at.column);
    bv_jw_kv_text(w, "text", error->text);
    bv_jw_end(w);
}

static int write_document(struct bv_json_writer *w,
                          struct bv_arena *arena,
                          const struct plan_tables *tables,
                          const struct gherkin_document *document,
                          struct bv_bytes text)
{
    struct plan *plan;
    bv_jw_key(w, "gherkinDocument");
    gherkin_message_document(w, "file", "", document);
    int rc =
        plan_make(arena, tables, "file", text, &plan); /* knows no protocol: refused, yet made */
    if (rc < 0)
        return rc;
    bv_jw_key(w, "pickles");
    bv_jw_array(w);
    for (size_t i = 0; i < plan->scenario_count; i++)
        plan_pickle_write(w, "file", "", plan, &plan->scenarios[i]);
    bv_jw_end(w);
    return 0;
}

static int dump(const struct plan_tables *tables, const char *path)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_GHERKIN_BYTES_MAX + 1};
    bv_auto(bv_buf_release) struct bv_buf line = {.max = LINE_BYTES_MAX};
    const struct gherkin_document *document;
    struct gherkin_error error;
    BV_TRY(bv_arena_open(ARENA_BYTES_MAX, &arena));
    BV_TRY(read_file(path, &text));
    struct bv_bytes bytes = {text.data ? text.data : "", text.size};
    struct bv_json_writer w = bv_json_writer(&line);
    bv_jw_object(&w);
    int rc = gherkin_parse(arena, bytes, &document, &error);
    if (rc == 0)
        rc = write_document(&w, arena, tables, document, bytes);
    else if (rc == BV_E_INVALID)
        write_error(&w, &error);
    bv_jw_end(&w);
    printf("%.*s\n", BV_ARG(bv_buf_view(&line)));
    return rc == BV_E_INVALID ? 0 : rc;
}

int main(int argc, char **argv)
{
    struct bv_error error = {0};
    struct contracts *contracts = NULL;
    if (contracts_open("no-contracts", &contracts, &error) < 0)
        return EXIT_FAILURE;
    const struct plan_tables tables = {.contracts = contracts};
    int rc = 0;
    for (int i = 1; i < argc && rc == 0; i++)
        rc = dump(&tables, argv[i]);
    contracts_close(&contracts);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
