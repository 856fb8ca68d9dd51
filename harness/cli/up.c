#include "cli.h"

#include "stack.h"

#include "bv/fs.h"
#include "bv/terminal.h"

#include <stdlib.h>

enum {
    FLAG_NAME,
    FLAG_FIXED,
    FLAG_DURABLE,
    FLAG_JSON,
    FLAG_BIN_DIR,
    FLAG_OTLP,
    FLAG_LOG_LEVEL,
    FLAG_SET,
    FLAG_SECONDS,
    FLAG_RESTART
};
enum { STACK_JSON_BYTES_MAX = 8 << 20, BOOT_SECONDS_MAX = 3600 };

static void print_parts(const struct bv_stack *stack)
{
    static const char *const titles[] = {"PART", "URL", "GRPC", "PID", "READY"};
    static const enum bv_align aligns[] = {BV_LEFT, BV_LEFT, BV_LEFT, BV_RIGHT, BV_RIGHT};
    struct bv_table *table = NULL;
    if (bv_table_open(titles, aligns, BV_COUNT(titles), &table) < 0)
        return;
    for (size_t i = 0; i < bv_stack_count(stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(stack, i);
        char ready[BV_HUMAN_SIZE];
        if (part->kind == BV_STACK_DATABASE)
            continue;
        bv_table_cell(table, BV_BOLD, "%s", part->name);
        bv_table_cell(table, BV_CYAN, "%s", part->url);
        bv_table_cell(table, BV_CYAN, "%s", part->grpc_addr);
        bv_table_cell(table, BV_PLAIN, "%d", part->pid);
        bv_table_cell(table, BV_PLAIN, "%s", bv_human_ms(part->ready_ms, ready));
    }
    bv_table_print(table, stdout);
    bv_table_close(&table);
}

static void print_stack(const struct bv_stack *stack)
{
    char time[BV_HUMAN_SIZE], pss[BV_HUMAN_SIZE], rss[BV_HUMAN_SIZE];
    struct bv_stack_health usage;
    print_parts(stack);
    printf("\nenvironment  %s/env/\nlogs         %s/log/  (bv logs -f)\n",
           bv_stack_run_folder(stack),
           bv_stack_run_folder(stack));
    bv_stack_usage(stack, &usage);
    printf("ready in %s%s%s, memory %s%s%s (RSS, shared pages counted once per process: %s), held "
           "by a %s\n",
           bv_colour(stdout, BV_BOLD),
           bv_human_ms(bv_stack_boot_ms(stack), time),
           bv_colour_end(stdout),
           bv_colour(stdout, BV_BOLD),
           bv_human_bytes(usage.pss_bytes, pss),
           bv_colour_end(stdout),
           bv_human_bytes(usage.rss_bytes, rss),
           bv_stack_isolation(stack));
}

static int print_json(const struct bv_stack *stack)
{
    struct bv_buf text = {.max = STACK_JSON_BYTES_MAX};
    int rc = bv_json_write_pretty(&text, bv_stack_json(stack));
    if (rc == 0)
        printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
    bv_buf_release(&text);
    return rc == 0 ? CLI_OK : CLI_FAULT;
}

static int boot_ms(const char *seconds, int64_t *ret_ms)
{
    int64_t value = 0;
    if (seconds && bv_bytes_int64(bv_bytes_of(seconds), 1, BOOT_SECONDS_MAX, &value) < 0) {
        bv_complain("--boot-seconds must be 1 to %d, not '%s'", BOOT_SECONDS_MAX, seconds);
        return BV_E_INVALID;
    }
    *ret_ms = value * 1000;
    return 0;
}

int cli_up(int argc, char **argv)
{
    struct cli_line line;
    int rc = cli_read(cli_find("up"), argc, argv, &line);
    int64_t limit_ms = 0;
    if (rc == CLI_HELPED)
        return CLI_OK;
    if (rc < 0 || boot_ms(line.values[FLAG_SECONDS], &limit_ms) < 0)
        return CLI_FAULT;
    struct cli_progress progress = {0};
    const char *name = line.values[FLAG_NAME] ? line.values[FLAG_NAME] : "default";
    const struct bv_stack_spec spec = {
        .name = name,
        .wanted = line.operands,
        .wanted_count = line.operand_count,
        .life = BV_STACK_DETACHED,
        .durability = line.values[FLAG_DURABLE] ? BV_STACK_DURABLE : BV_STACK_EPHEMERAL,
        .ports = line.values[FLAG_FIXED] ? BV_STACK_PORTS_FIXED : BV_STACK_PORTS_RANDOM,
        .restart = line.values[FLAG_RESTART] ? BV_STACK_RESTART_ENDED : BV_STACK_RESTART_NEVER,
        .bin_dir = line.values[FLAG_BIN_DIR],
        .otlp_url = line.values[FLAG_OTLP],
        .log_level = line.values[FLAG_LOG_LEVEL],
        .settings = line.values[FLAG_SET],
        .boot_ms_max = limit_ms,
        .progress = cli_progress,
        .progress_argument = &progress,
        .cancel = cli_catch_interrupts(),
    };
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    if (cli_announce(&spec, &error) < 0 || bv_stack_up(&spec, &stack, &error) < 0) {
        cli_show_failure(name, &progress);
        return cli_fault(&error);
    }
    rc = CLI_OK;
    if (line.values[FLAG_JSON])
        rc = print_json(stack);
    else
        print_stack(stack);
    bv_stack_close(&stack);
    return rc;
}

void cli_up_help(void)
{
    static const char *const titles[] = {
        "PART", "KIND", "--fixed-ports", "GRPC", "RAM MB", "DISK MB"};
    static const enum bv_align aligns[] = {
        BV_LEFT, BV_LEFT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_RIGHT};
    struct bv_table *table = NULL;
    if (bv_table_open(titles, aligns, BV_COUNT(titles), &table) < 0)
        return;
    for (size_t i = 0; i < bv_stack_choice_count(); i++) {
        const struct bv_stack_choice choice = bv_stack_choice(i);
        bv_table_cell(table, BV_BOLD, "%s", choice.name);
        bv_table_cell(table, BV_PLAIN, "%s", choice.kind == BV_STACK_SERVER ? "server" : "service");
        bv_table_cell(table, BV_PLAIN, "%d", choice.fixed_port);
        if (choice.fixed_grpc_port)
            bv_table_cell(table, BV_PLAIN, "%d", choice.fixed_grpc_port);
        else
            bv_table_cell(table, BV_PLAIN, "%s", "");
        bv_table_cell(table, BV_PLAIN, "%d", choice.memory_mb);
        bv_table_cell(table, BV_PLAIN, "%d", choice.disk_mb);
    }
    printf("\nwhat can be started:\n");
    bv_table_print(table, stdout);
    bv_table_close(&table);
}
