#include "torture_report.h"

#include "bv/json.h"
#include "bv/terminal.h"

#include <stdio.h>
#include <stdlib.h>

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Median and maximum of the recoveries in milliseconds, 0 when there was none. */
static void recovery_ms(const struct torture_target *target, int64_t *ret_median, int64_t *ret_max)
{
    *ret_median = *ret_max = 0;
    if (target->fired == 0)
        return;
    int64_t *sorted = calloc(target->fired, sizeof *sorted);
    if (!sorted)
        return;
    memcpy(sorted, target->recovery_us, target->fired * sizeof *sorted);
    qsort(sorted, target->fired, sizeof *sorted, compare);
    *ret_median = sorted[target->fired / 2] / 1000;
    *ret_max = sorted[target->fired - 1] / 1000;
    free(sorted);
}

static bool target_green(const struct torture_report *report, const struct torture_target *target)
{
    return target->fired == report->rounds && target->lost == 0 && target->doubled == 0;
}

bool torture_report_green(const struct torture_report *report)
{
    bool green = true;
    for (size_t i = 0; i < report->target_count; i++)
        green = green && target_green(report, &report->targets[i]);
    for (size_t i = 0; i < torture_check_count; i++)
        green = green && report->findings[i].violations == 0;
    return green;
}

static void print_targets(const struct torture_report *report)
{
    static const char *const titles[] = {
        "SERVICE", "CRASH POINT", "FIRED", "WAIT ms", "MEDIAN ms", "MAX ms", "LOST", "DOUBLED"};
    static const enum bv_align aligns[] = {
        BV_LEFT, BV_LEFT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_RIGHT, BV_RIGHT};
    struct bv_table *table = NULL;
    if (bv_table_open(titles, aligns, BV_COUNT(titles), &table) < 0)
        return;
    for (size_t i = 0; i < report->target_count; i++) {
        const struct torture_target *target = &report->targets[i];
        int64_t median, max;
        recovery_ms(target, &median, &max);
        bv_table_cell(table, BV_PLAIN, "%s", target->service);
        bv_table_cell(table, BV_PLAIN, "%s", bv_failpoint_rows[target->point].name);
        bv_table_cell(table,
                      target->fired == report->rounds ? BV_GREEN : BV_RED,
                      "%u/%u",
                      target->fired,
                      report->rounds);
        bv_table_cell(
            table, BV_PLAIN, "%lld", (long long)(target->waited_us / 1000 / report->rounds));
        bv_table_cell(table, BV_PLAIN, "%lld", (long long)median);
        bv_table_cell(table, BV_PLAIN, "%lld", (long long)max);
        bv_table_cell(table, target->lost ? BV_RED : BV_PLAIN, "%u", target->lost);
        bv_table_cell(table, target->doubled ? BV_RED : BV_PLAIN, "%u", target->doubled);
    }
    bv_table_print(table, stdout);
    bv_table_close(&table);
}

static void print_findings(const struct torture_report *report)
{
    for (size_t i = 0; i < torture_check_count; i++) {
        const struct torture_finding *finding = &report->findings[i];
        if (finding->violations == 0)
            continue;
        printf("%s%s%s: %lld %s\n",
               bv_colour(stdout, BV_RED),
               torture_checks[i].promise,
               bv_colour_end(stdout),
               (long long)finding->violations,
               torture_kind_name(torture_checks[i].kind));
        for (size_t e = 0; e < TORTURE_EXAMPLES && finding->examples[e][0]; e++)
            printf("    %s\n", finding->examples[e]);
    }
}

void torture_report_print(const struct torture_report *report)
{
    char took[BV_HUMAN_SIZE];
    size_t kept = 0;
    uint64_t deaths = 0, wanted = (uint64_t)report->target_count * report->rounds;
    bool green = torture_report_green(report);
    for (size_t i = 0; i < report->target_count; i++)
        deaths += report->targets[i].fired;
    for (size_t i = 0; i < torture_check_count; i++)
        kept += report->findings[i].violations == 0;
    print_targets(report);
    printf("\n");
    print_findings(report);
    printf(
        "%zu orders, %zu transitions and %zu payments acknowledged; %zu events, %zu deliveries\n",
        report->orders,
        report->moves,
        report->payments,
        report->events,
        report->deliveries);
    printf("%s%s%s: %llu of %llu deaths, %zu of %zu promises kept, %s\n",
           bv_colour(stdout, green ? BV_GREEN : BV_RED),
           green ? "nothing lost, nothing doubled" : "BROKEN",
           bv_colour_end(stdout),
           (unsigned long long)deaths,
           (unsigned long long)wanted,
           kept,
           torture_check_count,
           bv_human_ms(report->took_ms, took));
}

static void write_target(struct bv_json_writer *w,
                         const struct torture_report *report,
                         const struct torture_target *target)
{
    int64_t median, max;
    recovery_ms(target, &median, &max);
    bv_jw_object(w);
    bv_jw_kv_text(w, "service", target->service);
    bv_jw_kv_text(w, "point", bv_failpoint_rows[target->point].name);
    bv_jw_kv_int(w, "rounds", report->rounds);
    bv_jw_kv_int(w, "fired", target->fired);
    bv_jw_kv_int(w, "recoveryMedianMs", median);
    bv_jw_kv_int(w, "recoveryMaxMs", max);
    bv_jw_kv_int(w, "lost", target->lost);
    bv_jw_kv_int(w, "doubled", target->doubled);
    bv_jw_end(w);
}

static void write_finding(struct bv_json_writer *w,
                          const struct torture_check *check,
                          const struct torture_finding *finding)
{
    bv_jw_object(w);
    bv_jw_kv_text(w, "promise", check->promise);
    bv_jw_kv_text(w, "kind", torture_kind_name(check->kind));
    bv_jw_kv_int(w, "violations", finding->violations);
    bv_jw_key(w, "examples");
    bv_jw_array(w);
    for (size_t e = 0; e < TORTURE_EXAMPLES && finding->examples[e][0]; e++)
        bv_jw_text(w, finding->examples[e]);
    bv_jw_end(w);
    bv_jw_end(w);
}

int torture_report_json(const struct torture_report *report, struct bv_buf *buf)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_bool(&w, "green", torture_report_green(report));
    bv_jw_kv_int(&w, "tookMs", report->took_ms);
    bv_jw_kv_int(&w, "orders", (int64_t)report->orders);
    bv_jw_kv_int(&w, "transitions", (int64_t)report->moves);
    bv_jw_kv_int(&w, "payments", (int64_t)report->payments);
    bv_jw_kv_int(&w, "events", (int64_t)report->events);
    bv_jw_kv_int(&w, "deliveries", (int64_t)report->deliveries);
    bv_jw_key(&w, "points");
    bv_jw_array(&w);
    for (size_t i = 0; i < report->target_count; i++)
        write_target(&w, report, &report->targets[i]);
    bv_jw_end(&w);
    bv_jw_key(&w, "promises");
    bv_jw_array(&w);
    for (size_t i = 0; i < torture_check_count; i++)
        write_finding(&w, &torture_checks[i], &report->findings[i]);
    bv_jw_end(&w);
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
