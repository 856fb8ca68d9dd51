#include "bv/log.h"

#include "bv/json.h"
#include "bv/trace.h"
#include "test_env.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static int ends[2];
static char out[1 << 18];
static size_t out_size;
static struct test_env test;
static uint64_t seed;

static struct bv_log *open_log(size_t buffer_bytes_max)
{
    struct bv_log *log = NULL;
    test_env_init(&test, &seed);
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    const struct bv_log_config config = {"order", "order-1", ends[1], BV_INFO, buffer_bytes_max};
    cr_assert_eq(bv_log_open(&config, &test.clock, &log), 0);
    return log;
}

static const char *drain(void)
{
    for (;;) {
        ssize_t got = read(ends[0], out + out_size, sizeof(out) - 1 - out_size);
        if (got <= 0)
            break;
        out_size += (size_t)got;
    }
    out[out_size] = '\0';
    return out;
}

/* Each line is one JSON object that ends in '\n'; returns how many. */
static int check_lines(const char *text)
{
    int count = 0;
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(1 << 16, &arena), 0);
    for (const char *end = strchr(text, '\n'); *text; end = strchr(text, '\n'), count++) {
        const struct bv_json *root = NULL;
        cr_assert_not_null(end, "a torn line: %.80s", text);
        struct bv_bytes line = {text, (size_t)(end - text)};
        cr_assert_eq(bv_json_parse(arena, line, &root, NULL), 0, "%.*s", BV_ARG(line));
        cr_assert_eq(bv_json_type(root), BV_JSON_OBJECT);
        bv_arena_reset(arena);
        text = end + 1;
    }
    bv_arena_close(&arena);
    return count;
}

Test(log, a_line_is_one_object_with_all_fields)
{
    struct bv_log *log = open_log(4096);
    struct bv_trace trace;
    cr_assert_eq(
        bv_trace_parse(BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), &trace),
        0);
    bv_log(log,
           BV_INFO,
           "order.placed",
           &trace,
           BV_F_INT("items", -3),
           BV_F_TEXT("name", "a \"quoted\"\n\xff"),
           BV_F_BOOL("paid", 5),
           BV_F_US("took_ms", 12345),
           BV_F_US("skew_ms", -7),
           BV_F_TEXT("none", NULL),
           BV_F_SECRET("key"));
    cr_assert_str_eq(drain(), "", "it waits for the flush");
    bv_log_flush(log);
    cr_assert_str_eq(
        drain(),
        "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"service\":\"order\","
        "\"instance\":\"order-1\",\"event\":\"order.placed\","
        "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\","
        "\"items\":-3,\"name\":\"a \\\"quoted\\\"\\n\xef\xbf\xbd\",\"paid\":true,"
        "\"took_ms\":12.345,\"skew_ms\":-0.007,\"none\":null,\"key\":\"***\"}\n");
    cr_assert_eq(check_lines(out), 1);
    bv_log_close(&log);
    cr_assert_null(log);
    bv_log_close(&log);
}

Test(log, secrets_never_appear)
{
    static const char *const keys[] = {"authorization",
                                       "Proxy-Authorization",
                                       "password",
                                       "dbPassword",
                                       "SECRET",
                                       "client_secret",
                                       "token",
                                       "refresh_token",
                                       "accessToken",
                                       "cookie",
                                       "Set-Cookie",
                                       "tokens"};
    struct bv_log *log = open_log(65536);
    for (size_t i = 0; i < BV_COUNT(keys); i++)
        bv_log(log, BV_INFO, "x", NULL, BV_F_TEXT(keys[i], "hunter2"));
    bv_log(log, BV_INFO, "x", NULL, BV_F_TEXT("toke", "visible1"), BV_F_TEXT("", "visible2"));
    bv_log_flush(log);
    cr_assert_null(strstr(drain(), "hunter2"));
    cr_assert_not_null(strstr(out, "visible1"));
    cr_assert_not_null(strstr(out, "visible2"));
    cr_assert_eq(check_lines(out), (int)BV_COUNT(keys) + 1);
    bv_log_close(&log);
}

Test(log, levels_filter_and_warnings_flush)
{
    struct bv_log *log = open_log(4096);
    bv_log(log, BV_DEBUG, "hidden", NULL);
    bv_log(log, BV_INFO, "first", NULL);
    cr_assert_str_eq(drain(), "");
    bv_log(log, BV_WARN, "second", NULL);
    cr_assert_not_null(strstr(drain(), "first"));
    cr_assert_not_null(strstr(out, "second"));
    cr_assert_null(strstr(out, "hidden"));
    bv_log_level_set(log, BV_ERROR);
    cr_assert_not(bv_log_wants(log, BV_WARN));
    bv_log_line(log, BV_WARN, "hidden", NULL, NULL, 0);
    bv_log_level_set(log, BV_DEBUG);
    bv_log(log, BV_DEBUG, "third", NULL);
    bv_log_close(&log);
    cr_assert_not_null(strstr(drain(), "third"), "closing flushes");
    cr_assert_null(strstr(out, "hidden"));
}

Test(log, without_a_log_nothing_happens)
{
    bv_log((struct bv_log *)NULL, BV_ERROR, "x", NULL, BV_F_INT("a", 1));
    bv_log_line(NULL, BV_ERROR, "x", NULL, NULL, 0);
    bv_log_flush(NULL);
    bv_log_level_set(NULL, BV_DEBUG);
    cr_assert_not(bv_log_wants(NULL, BV_ERROR));
}

Test(log, a_full_buffer_flushes_itself)
{
    struct bv_log *log = open_log(1024);
    for (int i = 0; i < 100; i++)
        bv_log(log, BV_INFO, "tick", NULL, BV_F_INT("i", i));
    drain();
    cr_assert_gt(out_size, 5000);
    bv_log_close(&log);
    cr_assert_eq(check_lines(drain()), 100);
}

Test(log, a_line_larger_than_the_buffer_is_cut_whole)
{
    static char big[5000];
    memset(big, 'x', sizeof(big));
    struct bv_log *log = open_log(1024);
    bv_log(log, BV_INFO, "before", NULL);
    bv_log(log, BV_INFO, "huge", NULL, BV_F_STR("a", ((struct bv_bytes){big, sizeof(big)})));
    bv_log(log, BV_INFO, "after", NULL);
    bv_log_close(&log);
    cr_assert_eq(check_lines(drain()), 3);
    cr_assert_not_null(strstr(out, "\"event\":\"huge\",\"truncated\":true}"));
}

Test(log, a_stuck_reader_costs_whole_lines_and_is_told)
{
    static char filler[4096];
    struct bv_log *log = open_log(1024);
    while (write(ends[1], filler, sizeof(filler)) > 0)
        ;
    for (int i = 0; i < 50; i++)
        bv_log(log, BV_WARN, "tick", NULL, BV_F_INT("i", i));
    drain();
    out_size = 0; /* forget the filler */
    bv_log_flush(log);
    bv_log(log, BV_INFO, "again", NULL);
    bv_log_close(&log);
    int lines = check_lines(drain());
    const char *told = strstr(out, "\"event\":\"log.lines_dropped\",\"lines\":");
    cr_assert_not_null(told);
    int dropped =
        (int)strtol(told + strlen("\"event\":\"log.lines_dropped\",\"lines\":"), NULL, 10);
    cr_assert_gt(dropped, 0);
    cr_assert_eq(lines + dropped, 50 + 2, "each line is there or counted");
}

/* The pipe that a container runtime or a shell gives: writing to it waits. */
static struct bv_log *open_blocking(size_t buffer_bytes_max)
{
    struct bv_log *log = open_log(buffer_bytes_max);
    bv_log_close(&log);
    close(ends[0]);
    close(ends[1]);
    cr_assert_eq(pipe2(ends, 0), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    const struct bv_log_config config = {"order", "order-1", ends[1], BV_INFO, buffer_bytes_max};
    cr_assert_eq(bv_log_open(&config, &test.clock, &log), 0);
    return log;
}

static int lines_told(const char *text)
{
    static const char event[] = "\"event\":\"log.lines_dropped\",\"lines\":";
    int sum = 0;
    for (const char *at = text; (at = strstr(at, event)); at += sizeof(event) - 1)
        sum += (int)strtol(at + sizeof(event) - 1, NULL, 10) - 1; /* it is a line of its own */
    return sum;
}

Test(log, a_reader_that_takes_nothing_never_stops_the_writer, .timeout = 10)
{
    struct bv_log *log = open_blocking(8192);
    for (int i = 0; i < 1000; i++)
        bv_log(log, i % 2 ? BV_WARN : BV_INFO, "tick", NULL, BV_F_INT("i", i));
    drain();
    bv_log_flush(log);
    bv_log(log, BV_INFO, "again", NULL);
    bv_log_close(&log);
    int lines = check_lines(drain());
    cr_assert_gt(lines_told(out), 0);
    cr_assert_eq(lines + lines_told(out), 1001, "each line is there or counted");
}

static void *read_until_end(void *argument)
{
    (void)argument;
    fcntl(ends[0], F_SETFL, 0);
    return (void *)(uintptr_t)drain();
}

Test(log, at_close_a_slow_reader_gets_the_rest, .timeout = 10)
{
    pthread_t reader;
    struct bv_log *log = open_blocking(65536);
    for (int i = 0; i < 1000; i++)
        bv_log(log, BV_INFO, "tick", NULL, BV_F_INT("i", i));
    cr_assert_eq(pthread_create(&reader, NULL, read_until_end, NULL), 0);
    bv_log_close(&log);
    close(ends[1]);
    pthread_join(reader, NULL);
    cr_assert_eq(check_lines(out), 1000);
}

static void file_size_max(rlim_t bytes)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A limit on the file's size is what a full disk is: a part is written, then nothing. */
Test(log, a_full_disk_costs_whole_lines_and_is_told)
{
    struct bv_log *log = NULL;
    FILE *file = tmpfile();
    test_env_init(&test, &seed);
    signal(SIGXFSZ, SIG_IGN);
    const struct bv_log_config config = {"order", NULL, fileno(file), BV_INFO, 2048};
    cr_assert_eq(bv_log_open(&config, &test.clock, &log), 0);
    file_size_max(1000);
    for (int i = 0; i < 40; i++)
        bv_log(log, i % 2 ? BV_WARN : BV_INFO, "tick", NULL, BV_F_INT("i", i));
    file_size_max(RLIM_INFINITY);
    for (int i = 0; i < 3; i++)
        bv_log(log, BV_WARN, "again", NULL, BV_F_INT("i", i));
    bv_log_close(&log);
    rewind(file);
    char *text = out;
    out[fread(out, 1, sizeof(out) - 1, file)] = '\0';
    int whole = 0;
    int torn = 0;
    for (char *line = strsep(&text, "\n"); text; line = strsep(&text, "\n")) {
        bool is_whole = line[strlen(line) - 1] == '}' && strstr(line + 1, "{\"ts\"") == NULL;
        whole += is_whole;
        torn += !is_whole;
        if (strstr(line, "log.lines_dropped"))
            whole += lines_told(line);
    }
    cr_assert_eq(torn, 1, "the line within which the disk was full ends where it was cut");
    cr_assert_eq(whole, 43, "each line is there or counted, not %d", whole);
    fclose(file);
}

static void *write_many(void *argument)
{
    for (int i = 0; i < 200; i++)
        bv_log((struct bv_log *)argument,
               i % 10 == 0 ? BV_WARN : BV_INFO,
               "from.thread",
               NULL,
               BV_F_INT("i", i));
    return NULL;
}

Test(log, lines_of_several_threads_stay_whole)
{
    struct bv_log *log = NULL;
    FILE *file = tmpfile();
    test_env_init(&test, &seed);
    const struct bv_log_config config = {"order", NULL, fileno(file), BV_INFO, 2048};
    cr_assert_eq(bv_log_open(&config, &test.clock, &log), 0);
    pthread_t threads[4];
    for (size_t i = 0; i < BV_COUNT(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, log), 0);
    for (size_t i = 0; i < BV_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    bv_log_close(&log);
    rewind(file);
    out[fread(out, 1, sizeof(out) - 1, file)] = '\0';
    cr_assert_eq(check_lines(out), 800);
    fclose(file);
}

Test(log, level_names)
{
    enum bv_level level = BV_DEBUG;
    cr_assert_eq(bv_level_parse(BV_BYTES("error"), &level), 0);
    cr_assert_eq(level, BV_ERROR);
    cr_assert_eq(bv_level_parse(BV_BYTES("Error"), &level), BV_E_INVALID);
    cr_assert_eq(bv_level_parse(BV_BYTES_NONE, &level), BV_E_INVALID);
    cr_assert_eq(level, BV_ERROR);
}
