#include "cli.h"

#include "bv/failpoint.h"
#include "bv/json.h"
#include "bv/terminal.h"

/* A release program does not even know their names: see cmake/no_switches.cmake. */
#ifndef BV_TEST_SWITCHES

static int no_crash_points(void)
{
    bv_complain("this build has no crash points: make torture builds one that has");
    return CLI_FAULT;
}

int cli_torture(int argc, char **argv)
{
    (void)argc, (void)argv;
    return no_crash_points();
}

int cli_failpoints(int argc, char **argv)
{
    struct cli_line line;
    int rc = cli_read(cli_find("failpoints"), argc, argv, &line);
    return rc == CLI_HELPED ? CLI_OK : no_crash_points();
}

#else

enum { FLAG_JSON };
enum { OUTPUT_BYTES_MAX = 1 << 16 };

int cli_torture(int argc, char **argv)
{
    return cli_become("bv-torture", argc - 1, argv + 1);
}

static void print_table(void)
{
    static const char *const titles[] = {"CRASH POINT", "SERVICES", "THE MOMENT"};
    static const enum bv_align aligns[] = {BV_LEFT, BV_LEFT, BV_LEFT};
    struct bv_table *table = NULL;
    if (bv_table_open(titles, aligns, BV_COUNT(titles), &table) < 0)
        return;
    for (size_t i = 0; i < BV_FAILPOINT_COUNT; i++) {
        bv_table_cell(table, BV_PLAIN, "%s", bv_failpoint_rows[i].name);
        bv_table_cell(table, BV_PLAIN, "%s", bv_failpoint_rows[i].services);
        bv_table_cell(table, BV_PLAIN, "%s", bv_failpoint_rows[i].moment);
    }
    bv_table_print(table, stdout);
    bv_table_close(&table);
}

static int print_json(void)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = OUTPUT_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&text);
    bv_jw_array(&w);
    for (size_t i = 0; i < BV_FAILPOINT_COUNT; i++) {
        bv_jw_object(&w);
        bv_jw_kv_text(&w, "name", bv_failpoint_rows[i].name);
        bv_jw_kv_text(&w, "services", bv_failpoint_rows[i].services);
        bv_jw_kv_text(&w, "moment", bv_failpoint_rows[i].moment);
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
    return text.failed ? CLI_FAULT : CLI_OK;
}

int cli_failpoints(int argc, char **argv)
{
    struct cli_line line;
    int rc = cli_read(cli_find("failpoints"), argc, argv, &line);
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    if (line.values[FLAG_JSON])
        return print_json();
    print_table();
    printf(
        "\nBV_FAILPOINT=NAME[@PASSAGE] arms one in a service's environment; bv torture hits them "
        "all.\n");
    return CLI_OK;
}

#endif
