/* Every allocation of bv-base fails once: each operation is repeated with the first, second, ...
 * allocation failing until it succeeds; it must say so, leave nothing behind (the address sanitizer
 * looks) and work again afterwards. The linker turns the module's malloc, calloc and realloc into
 * the functions below. */
#include "bv/json.h"
#include "bv/log.h"
#include "bv/metrics.h"
#include "bv/resilience.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long countdown = -1; /* allocations that still succeed; negative: all */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);

static bool fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *data, size_t size)
{
    return fails() ? NULL : __real_realloc(data, size);
}

static int use_arena(void)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    BV_TRY(bv_arena_open(1 << 20, &arena));
    for (size_t size = 1; size < 20000; size = size * 3)
        if (!bv_arena_alloc(arena, size))
            return bv_arena_failed(arena) ? BV_E_NOMEM : BV_E_INTERNAL;
    void *block = bv_arena_alloc(arena, 50000);
    if (!block || !bv_arena_resize(arena, block, 50000, 100000))
        return bv_arena_failed(arena) ? BV_E_NOMEM : BV_E_INTERNAL;
    return 0;
}

static int use_buf(void)
{
    struct bv_buf buf = {.max = 1 << 20};
    int rc = 0;
    for (int i = 0; i < 3000 && rc == 0; i++)
        rc = bv_buf_text(&buf, "0123456789");
    if (rc != 0 && (!buf.failed || buf.size % 10 != 0))
        rc = BV_E_INTERNAL;
    bv_buf_release(&buf);
    return rc;
}

static int use_json(void)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct bv_buf buf = {.max = 1 << 20};
    const struct bv_json *root;
    bv_buf_char(&buf, '[');
    for (int i = 0; i < 3000; i++)
        bv_buf_text(&buf, "1,");
    bv_buf_text(&buf, "{}]");
    if (buf.failed) {
        bv_buf_release(&buf);
        return BV_E_NOMEM;
    }
    int rc = bv_arena_open(1 << 20, &arena);
    if (rc == 0)
        rc = bv_json_parse(arena, bv_buf_view(&buf), &root, NULL);
    bv_buf_release(&buf);
    return rc == BV_E_TOO_LARGE ? BV_E_NOMEM : rc;
}

static int use_log(void)
{
    struct bv_log *log;
    const struct bv_log_config config = {"x", "y", -1, BV_INFO, 4096};
    BV_TRY(bv_log_open(&config, &bv_clock_system, &log));
    bv_log(log, BV_INFO, "event", NULL, BV_F_INT("a", 1));
    bv_log_close(&log);
    return 0;
}

static double read_one(void *argument)
{
    (void)argument;
    return 1;
}

static int use_metrics(void)
{
    static const struct bv_metric rows[] = {
        {"c_total", BV_COUNTER,   "C.", "k", NULL, 0},
        {"h",       BV_HISTOGRAM, "H.", "",  NULL, 0},
        {"g",       BV_GAUGE,     "G.", "",  NULL, 0},
    };
    struct bv_metrics *metrics;
    BV_TRY(bv_metrics_open(2, &metrics));
    for (int i = 0; i < 4; i++) {
        const char *const label = (const char *const[]){"a", "b", "c", "d"}[i];
        bv_count(bv_metrics_series(metrics, &rows[0], &label, 1), 1);
    }
    bv_observe(bv_metrics_series(metrics, &rows[1], NULL, 0), 1);
    int rc = bv_metrics_callback(metrics, &rows[2], read_one, NULL);
    struct bv_buf buf = {.max = 1 << 16};
    int printed = bv_metrics_print(metrics, &buf);
    bv_buf_release(&buf);
    bv_metrics_close(&metrics);
    return rc != 0 ? rc : printed == BV_E_TOO_LARGE ? BV_E_NOMEM : printed;
}

static void count_call(void *argument, int rc, const void *result)
{
    (void)rc;
    (void)result;
    ++*(int *)argument;
}

static int use_flights(void)
{
    struct bv_flights *flights;
    int calls = 0;
    int joined = 0;
    int fault = 0;
    BV_TRY(bv_flights_open(4, 20, &flights));
    for (int i = 0; i < 12; i++) {
        int rc = bv_flight_join(flights, BV_BYTES("k"), count_call, &calls);
        joined += rc > 0 ? 1 : 0;
        fault = rc < 0 ? rc : fault;
    }
    bv_flight_land(flights, BV_BYTES("k"), 0, NULL);
    bv_flights_close(&flights);
    return calls == joined ? fault : BV_E_INTERNAL;
}

static const struct {
    const char *name;
    int (*use)(void);
    bool silent; /* faults along the way need not show in the result */
} rows[] = {
    {"arena",   use_arena,   false},
    {"buf",     use_buf,     false},
    {"json",    use_json,    false},
    {"log",     use_log,     false},
    {"metrics", use_metrics, true },
    {"flights", use_flights, false},
};

int main(void)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        long n = 0;
        for (;; n++) {
            countdown = n;
            int rc = rows[i].use();
            bool reached = countdown < 0; /* the fault was met */
            countdown = -1;
            if (!reached && rc == 0)
                break;
            if (rc != BV_E_NOMEM && !(rc == 0 && rows[i].silent)) {
                fprintf(stderr, "%s, allocation %ld: %d\n", rows[i].name, n, rc);
                return 1;
            }
        }
        if (n == 0) {
            fprintf(stderr, "%s met no fault\n", rows[i].name);
            return 1;
        }
    }
    return 0;
}
