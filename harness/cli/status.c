#include "cli.h"

#include "stack.h"

#include "bv/terminal.h"

#include <stdlib.h>

enum { FLAG_NAME, FLAG_JSON };
enum { PROBE_MS = 2000, JSON_BYTES_MAX = 1 << 20 };

static void table_row(struct bv_table *table,
                      const char *name,
                      int pid,
                      int port,
                      const struct bv_stack_health *health)
{
    char rss[BV_HUMAN_SIZE], pss[BV_HUMAN_SIZE];
    bv_table_cell(table, BV_BOLD, "%s", name);
    if (pid)
        bv_table_cell(table, BV_PLAIN, "%d", pid);
    else
        bv_table_cell(table, BV_PLAIN, "%s", "");
    if (port)
        bv_table_cell(table, BV_PLAIN, "%d", port);
    else
        bv_table_cell(table, BV_PLAIN, "%s", "");
    bv_table_cell(table, BV_PLAIN, "%s", bv_human_bytes(health->rss_bytes, rss));
    bv_table_cell(table, BV_PLAIN, "%s", bv_human_bytes(health->pss_bytes, pss));
    bv_table_cell(table, BV_PLAIN, "%.2f", (double)health->cpu_ms / 1000);
    bv_table_cell(table,
                  health->healthy ? BV_GREEN : BV_RED,
                  "%s%s%s",
                  health->healthy ? "ok" : "DOWN",
                  health->text[0] ? ": " : "",
                  health->text);
}

static void json_row(struct bv_json_writer *w,
                     const char *name,
                     int pid,
                     int port,
                     const struct bv_stack_health *health)
{
    bv_jw_object(w);
    bv_jw_kv_text(w, "name", name);
    bv_jw_kv_int(w, "pid", pid);
    bv_jw_kv_int(w, "port", port);
    bv_jw_kv_int(w, "rss_bytes", health->rss_bytes);
    bv_jw_kv_int(w, "pss_bytes", health->pss_bytes);
    bv_jw_kv_int(w, "cpu_ms", health->cpu_ms);
    bv_jw_kv_int(w, "processes", health->processes);
    bv_jw_kv_bool(w, "healthy", health->healthy != 0);
    bv_jw_kv_text(w, "text", health->text);
    bv_jw_end(w);
}

static bool show(const struct bv_stack *stack, struct bv_table *table, struct bv_json_writer *w)
{
    bool all_well = true;
    struct bv_stack_health health;
    for (size_t i = 0; i < bv_stack_count(stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(stack, i);
        if (part->kind == BV_STACK_DATABASE)
            continue;
        bv_stack_probe(part, PROBE_MS, &health);
        all_well = all_well && health.healthy;
        if (w)
            json_row(w, part->name, part->pid, part->port, &health);
        else
            table_row(table, part->name, part->pid, part->port, &health);
    }
    bv_stack_usage(stack, &health);
    health.healthy = all_well;
    int supervisor = (int)bv_json_int(bv_json_get(bv_stack_json(stack), "supervisor_pid"), 0);
    if (w)
        json_row(w, "total", supervisor, 0, &health);
    else
        table_row(table, "total", supervisor, 0, &health);
    return all_well;
}

static bool show_json(const struct bv_stack *stack)
{
    struct bv_buf text = {.max = JSON_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&text);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "name", bv_stack_name(stack));
    bv_jw_kv_text(&w, "run", bv_stack_run_folder(stack));
    bv_jw_key(&w, "parts");
    bv_jw_array(&w);
    bool all_well = show(stack, NULL, &w);
    bv_jw_end(&w);
    bv_jw_end(&w);
    printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
    bv_buf_release(&text);
    return all_well;
}

static bool show_table(const struct bv_stack *stack)
{
    static const char *const titles[] = {"PART", "PID", "PORT", "RSS", "PSS", "CPU s", "HEALTH"};
    static const enum bv_align aligns[] = {
        BV_LEFT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_LEFT};
    struct bv_table *table = NULL;
    if (bv_table_open(titles, aligns, BV_COUNT(titles), &table) < 0)
        return false;
    bool all_well = show(stack, table, NULL);
    bv_table_print(table, stdout);
    bv_table_close(&table);
    return all_well;
}

static void name_others(const char *name)
{
    char **names = NULL;
    size_t count = 0;
    if (bv_stack_list(&names, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) != 0)
            fprintf(stderr, "another stack runs: bv status --name %s\n", names[i]);
    free(names);
}

int cli_status(int argc, char **argv)
{
    struct cli_line line;
    int rc = cli_read(cli_find("status"), argc, argv, &line);
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    const char *name = line.values[FLAG_NAME] ? line.values[FLAG_NAME] : "default";
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    rc = bv_stack_open(name, &stack, &error);
    if (rc == 0)
        rc = bv_stack_refresh(stack, &error);
    int status = CLI_FAULT;
    if (rc == 0)
        status = (line.values[FLAG_JSON] ? show_json(stack) : show_table(stack)) ? CLI_OK : CLI_RED;
    else
        cli_fault(&error);
    if (!line.values[FLAG_JSON])
        name_others(name);
    bv_stack_close(&stack);
    return status;
}
