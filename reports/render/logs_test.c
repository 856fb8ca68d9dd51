#include "logs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct report report;
static struct report_logs logs;
static char folder[64];

static void setup(void)
{
    setenv("TZ", "UTC", 1);
    memcpy(folder, "/tmp/bv-logs-test-XXXXXX", 25);
    cr_assert_not_null(mkdtemp(folder));
}

static void teardown(void)
{
    char path[96];
    static const char *const names[] = {"a.log", "b.log"};
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    report_release(&report);
}

TestSuite(logs, .init = setup, .fini = teardown);

static void file(const char *name, const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    fputs(text, out);
    fclose(out);
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define HEAD                                                                                       \
    "{\"record\":\"run\",\"startedAt\":\"2026-11-23T01:15:00.000Z\"}\n"                            \
    "{\"record\":\"scenario\",\"id\":\"s1\",\"us\":1000000,\"traceId\":\"" TRACE "\"}\n"           \
    "{\"record\":\"scenario-end\",\"scenario\":\"s1\",\"us\":2000000,\"verdict\":\"passed\"}\n"

static void read_logs(const char *records)
{
    struct bv_error error = {0};
    cr_assert_eq(report_read(bv_bytes_of(records), &report, &error), 0);
    cr_assert_eq(report_logs_read(&report, folder, &logs), 0);
}

static const struct {
    const char *text;
    int64_t us; /* -1: undated */
    enum report_log_level level;
    const char *trace;
} lines[] = {
    {"{\"ts\":\"2026-11-23T01:15:00.250000Z\",\"level\":\"warn\",\"event\":\"x\",\"trace_id\":"
     "\"" TRACE "\"}",
     1795396500250000,                                                               REPORT_LOG_WARN,
     TRACE                                                                                                 },
    {"{\"ts\":\"2026-11-23T01:15:00.250Z\",\"level\":\"info\",\"event\":\"x\"}",
     1795396500250000,                                                               REPORT_LOG_INFO,
     ""                                                                                                    },
    {"{\"event\":\"no time\"}",                                                  -1, 0,                NULL},
    {"2026-11-23 01:15:00.250 UTC [31842] shop ERROR:  deadlock detected",
     1795396500250000,                                                               REPORT_LOG_ERROR,
     ""                                                                                                    },
    {"2026-11-23 01:15:00.250 UTC [31842]  LOG:  starting PostgreSQL",
     1795396500250000,                                                               REPORT_LOG_INFO,
     ""                                                                                                    },
    {"[2026-11-23 01:15:00,250] WARN something (kafka.server)",
     1795396500250000,                                                               REPORT_LOG_WARN,
     ""                                                                                                    },
    {"31789:M 23 Nov 2026 01:15:00.250 * Ready to accept connections",
     1795396500250000,                                                               REPORT_LOG_INFO,
     ""                                                                                                    },
    {"31789:M 23 ovD 2026 01:15:00.250 * no month",                              -1, 0,                NULL},
    {"\tat java.base/java.lang.Thread.run",                                      -1, 0,                NULL},
    {"",                                                                         -1, 0,                NULL},
};

Test(logs, every_process_of_the_stack_is_understood)
{
    for (size_t i = 0; i < BV_COUNT(lines); i++) {
        struct report_log_line line = {0};
        int64_t us = -1;
        int rc = report_log_line_read(bv_bytes_of(lines[i].text), &line, &us);
        cr_expect_eq(rc, lines[i].us < 0 ? REPORT_LOG_UNDATED : 0, "%s", lines[i].text);
        cr_expect_eq(us, lines[i].us, "%s: %lld", lines[i].text, (long long)us);
        if (rc == 0) {
            cr_expect_eq(line.level, lines[i].level, "%s", lines[i].text);
            cr_expect(bv_bytes_equal(line.trace, bv_bytes_of(lines[i].trace)), "%s", lines[i].text);
        }
    }
}

Test(logs, local_time_of_a_server_becomes_the_clock_of_the_run)
{
    setenv("TZ", "Asia/Tokyo", 1);
    struct report_log_line line = {0};
    int64_t us = 0;
    cr_assert_eq(report_log_line_read(BV_BYTES("[2026-11-23 10:15:00,250] INFO x"), &line, &us), 0);
    cr_expect_eq(us, 1795396500250000);
}

Test(logs, lines_outside_every_scenario_are_dropped)
{
    file("a.log",
         "2026-11-23 01:15:00.500 UTC early\n2026-11-23 01:15:01.500 UTC "
         "within\n\tcontinued\n2026-11-23 01:15:09.000 UTC late\n");
    read_logs(HEAD "{\"record\":\"log\",\"part\":\"a\",\"path\":\"a.log\"}\n");
    cr_assert_eq(logs.line_count, 2);
    cr_expect_eq(logs.lines[0].us, 1500000);
    cr_expect(bv_bytes_equal(logs.lines[1].text, BV_BYTES("\tcontinued")));
    cr_expect_eq(logs.parts[0].kept, 2);
}

Test(logs, lines_of_all_processes_are_in_order_of_time)
{
    file("a.log", "2026-11-23 01:15:01.300 UTC third\n");
    file("b.log", "2026-11-23 01:15:01.100 UTC first\n2026-11-23 01:15:01.200 UTC second\n");
    read_logs(HEAD "{\"record\":\"log\",\"part\":\"a\",\"path\":\"a.log\"}\n{\"record\":\"log\","
                   "\"part\":\"b\",\"path\":\"b.log\"}\n");
    cr_assert_eq(logs.line_count, 3);
    cr_expect_eq(logs.lines[0].us, 1100000);
    cr_expect_eq(logs.lines[2].part, 0);
}

Test(logs, health_probes_are_noise_unless_they_warn)
{
    file("a.log",
         "{\"ts\":\"2026-11-23T01:15:01.5Z\",\"level\":\"info\",\"event\":\"http.request\","
         "\"route\":\"/readyz\"}\n"
         "{\"ts\":\"2026-11-23T01:15:01.6Z\",\"level\":\"warn\",\"event\":\"http.request\","
         "\"route\":\"/readyz\"}\n");
    read_logs(HEAD "{\"record\":\"log\",\"part\":\"a\",\"path\":\"a.log\"}\n");
    cr_assert_eq(logs.line_count, 1);
    cr_expect_eq(logs.lines[0].level, REPORT_LOG_WARN);
}

Test(logs, when_room_is_short_warnings_and_the_trace_stay)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 8 << 20};
    for (int i = 0; i < 4000; i++)
        bv_buf_format(&text,
                      "{\"ts\":\"2026-11-23T01:15:01.1Z\",\"level\":\"info\",\"event\":\"noise\","
                      "\"n\":\"%0200d\"}\n",
                      i);
    bv_buf_text(&text,
                "{\"ts\":\"2026-11-23T01:15:01.2Z\",\"level\":\"info\",\"event\":\"ours\",\"trace_"
                "id\":\"" TRACE "\"}\n"
                "{\"ts\":\"2026-11-23T01:15:01.3Z\",\"level\":\"error\",\"event\":\"bad\"}\n");
    bv_buf_char(&text, '\0');
    file("a.log", text.data);
    read_logs(HEAD "{\"record\":\"log\",\"part\":\"a\",\"path\":\"a.log\"}\n");
    size_t bytes = 0;
    for (size_t i = 0; i < logs.line_count; i++)
        bytes += logs.lines[i].text.size;
    cr_expect(bytes <= REPORT_LOG_BYTES_MAX);
    cr_expect_eq(logs.lines[logs.line_count - 1].level, REPORT_LOG_ERROR);
    cr_expect(bv_bytes_equal(logs.lines[logs.line_count - 2].trace, BV_BYTES(TRACE)));
    cr_expect_eq(logs.parts[0].kept + logs.parts[0].left_out, 4002);
    cr_expect(logs.parts[0].left_out > 1000);
}

Test(logs, a_long_line_is_cut)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    bv_buf_format(&text, "2026-11-23 01:15:01.500 UTC %010000d\n", 7);
    bv_buf_char(&text, '\0');
    file("a.log", text.data);
    read_logs(HEAD "{\"record\":\"log\",\"part\":\"a\",\"path\":\"a.log\"}\n");
    cr_assert_eq(logs.line_count, 1);
    cr_expect_eq(logs.lines[0].text.size, REPORT_LOG_LINE_BYTES_MAX);
}

static const char *const outside[] = {
    "/etc/hostname", "../a.log", "x/../../a.log", "absent.log", ""};

Test(logs, a_path_that_leaves_the_folder_or_is_absent_is_missing)
{
    for (size_t i = 0; i < BV_COUNT(outside); i++) {
        bv_auto(bv_buf_release) struct bv_buf records = {.max = 4096};
        bv_buf_format(
            &records, HEAD "{\"record\":\"log\",\"part\":\"a\",\"path\":\"%s\"}\n", outside[i]);
        bv_buf_char(&records, '\0');
        read_logs(records.data);
        cr_expect(logs.parts[0].missing, "%s", outside[i]);
        report_release(&report);
    }
}
