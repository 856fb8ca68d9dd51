#include "summary.h"

#include "stack.h"
#include "bv/fs.h"
#include "bv/process.h"
#include "bv/terminal.h"
#include <unistd.h>

enum { PASSED, RED, LAB };

void summary_print(const struct summary *summary, FILE *file)
{
    static const char *const words[] = {[PASSED] = "passed", [RED] = "FAILED", [LAB] = "BROKEN"};
    const struct results_totals *totals = summary->totals;
    if (summary->status == LAB && !totals->steps[VERDICT_PASSED])
        return;
    fprintf(file,
            "\n%s%s%s  %zu of %zu scenarios passed, %zu steps, %zu messages, %zu checked against "
            "contracts, %zu broke them\n",
            bv_colour(file, summary->status == PASSED ? BV_GREEN : BV_RED),
            words[summary->status],
            bv_colour_end(file),
            totals->scenarios[VERDICT_PASSED],
            summary->scenario_count,
            totals->steps[VERDICT_PASSED],
            totals->messages,
            totals->contracts_checked,
            totals->contracts_violated);
    if (summary->page)
        fprintf(file, "report  %s/index.html\n", summary->shown);
}

void summary_json(const struct summary *summary)
{
    const struct results_totals *totals = summary->totals;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 65536};
    struct bv_json_writer w = bv_json_writer(&text);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "run", summary->run);
    bv_jw_kv_int(&w, "exit", summary->status);
    bv_jw_kv_int(&w, "seed", summary->seed);
    bv_jw_kv_int(&w, "passed", (int64_t)totals->scenarios[VERDICT_PASSED]);
    bv_jw_kv_int(&w, "failed", (int64_t)totals->scenarios[VERDICT_FAILED]);
    bv_jw_kv_int(&w, "broken", (int64_t)totals->scenarios[VERDICT_BROKEN]);
    bv_jw_kv_int(&w, "messages", (int64_t)totals->messages);
    bv_jw_kv_int(&w, "contractsChecked", (int64_t)totals->contracts_checked);
    bv_jw_kv_int(&w, "contractsViolated", (int64_t)totals->contracts_violated);
    bv_jw_kv_int(&w, "bootMs", summary->boot_ms);
    bv_jw_kv_text(&w, "folder", summary->folder);
    bv_jw_end(&w);
    printf("%.*s\n", BV_ARG(bv_buf_view(&text)));
}

int summary_page(const char *folder, FILE *console, bool *ret_page, struct bv_error *error)
{
    char program[BV_PATH_MAX];
    char programs[BV_PATH_MAX];
    char log[BV_PATH_MAX];
    struct bv_error why = {0};
    if (bv_stack_bin_dir(programs, sizeof programs, &why) < 0 ||
        bv_path(program, &why, "%s/bv-report", programs) < 0 ||
        bv_path(log, &why, "%s/logs/report.log", folder) < 0)
        return 0;
    if (access(program, X_OK) != 0) {
        if (console)
            fprintf(console, "no page: %s is not built\n", program);
        return 0;
    }
    const char *const argv[] = {program, folder, NULL};
    struct bv_spawn spawn = {
        .argv = argv, .in_fd = -1, .out_fd = -1, .uid = getuid(), .gid = getgid()};
    if (bv_run(&spawn, log, &why) < 0)
        return bv_fail(error, BV_E_IO, "the page was not written: %s", why.text);
    *ret_page = true;
    return 0;
}
