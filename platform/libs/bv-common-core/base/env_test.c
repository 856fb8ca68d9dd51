#include "bv/env.h"

#include "test_env.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct bv_env system_env = {&bv_clock_system, &bv_random_system, NULL};

Test(clock, system_clocks_run)
{
    int64_t before = bv_mono_us(&system_env);
    cr_assert_gt(bv_wall_us(&system_env), INT64_C(1700000000000000));
    cr_assert_geq(bv_mono_us(&system_env), before);
}

Test(random, all_sizes_are_filled_and_differ)
{
    unsigned char a[2000];
    unsigned char b[2000];
    for (size_t size = 16; size <= sizeof(a); size += 61) {
        memset(a, 0, sizeof(a));
        memset(b, 0, sizeof(b));
        bv_random_system.fill(&bv_random_system, a, size);
        bv_random_system.fill(&bv_random_system, b, size);
        cr_assert_neq(memcmp(a, b, size), 0);
        cr_assert_neq(memcmp(a + size - 8, "\0\0\0\0\0\0\0\0", 8), 0, "filled to its end");
        cr_assert_eq(size < sizeof(a) ? a[size] : 0, 0, "and no further");
    }
}

Test(random, a_forked_child_draws_other_numbers)
{
    int ends[2];
    uint64_t child_value = 0;
    (void)bv_random_u64(&system_env); /* the buffer is full now */
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        uint64_t value = bv_random_u64(&system_env);
        _exit(write(ends[1], &value, sizeof(value)) == sizeof(value) ? 0 : 1);
    }
    uint64_t own_value = bv_random_u64(&system_env);
    cr_assert_eq(read(ends[0], &child_value, sizeof(child_value)), sizeof(child_value));
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_neq(own_value, child_value);
}

Test(random, below_is_uniform_and_below)
{
    struct test_env test;
    uint64_t seed = 1;
    const struct bv_env *env = test_env_init(&test, &seed);
    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[bv_random_below(env, 7)]++;
    for (size_t i = 0; i < BV_COUNT(counts); i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%zu: %u", i, counts[i]);
    cr_assert_eq(bv_random_below(env, 1), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_lt(bv_random_below(env, UINT64_MAX - 1), UINT64_MAX - 1);
}

static void stuck_fill(const struct bv_random *self, void *data, size_t size)
{
    (void)self;
    static int calls;
    memset(data, calls++ == 0 ? 0 : 0xff, size);
}

Test(random, below_rejects_the_biased_part)
{
    const struct bv_random stuck = {stuck_fill};
    const struct bv_env env = {NULL, &stuck, NULL};
    /* 0 falls in the part of 2^64 mod 3 values that must be drawn again; all ones is the last
     * bucket. */
    cr_assert_eq(bv_random_below(&env, 3), 2);
}

Test(time, format_and_parse_agree)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0,                           "1970-01-01T00:00:00.000Z"},
        {-1,                          "1969-12-31T23:59:59.999Z"},
        {INT64_C(1767323045678901),   "2026-01-02T03:04:05.678Z"},
        {INT64_C(951782400000000),    "2000-02-29T00:00:00.000Z"},
        {INT64_C(4107542399999000),   "2100-02-28T23:59:59.999Z"},
        {INT64_C(-62167219200000000), "0000-01-01T00:00:00.000Z"},
        {INT64_C(253402300799999000), "9999-12-31T23:59:59.999Z"},
        {INT64_MIN,                   "0000-01-01T00:00:00.000Z"},
        {INT64_MAX,                   "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char text[BV_TIME_TEXT_SIZE];
        bv_time_format(rows[i].us, text);
        cr_assert_str_eq(text, rows[i].text);
    }
    for (int64_t day = -719528; day < 2932896; day += 13) {
        char text[BV_TIME_TEXT_SIZE];
        int64_t us = day * INT64_C(86400000000) + (day & 0xffff) * 1000;
        int64_t back = 0;
        bv_time_format(us, text);
        cr_assert_eq(bv_time_parse(bv_bytes_of(text), &back), 0, "%s", text);
        cr_assert_eq(back, us, "%s", text);
    }
}

Test(time, parse_knows_offsets_and_fractions)
{
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"1970-01-01T00:00:00Z",           0                       },
        {"1970-01-01t00:00:00z",           0                       },
        {"1970-01-01T01:30:00+01:30",      0                       },
        {"1969-12-31T23:00:00-01:00",      0                       },
        {"1970-01-01T00:00:00-00:00",      0                       },
        {"1970-01-01T00:00:00.5Z",         500000                  },
        {"1970-01-01T00:00:00.123456789Z", 123456                  },
        {"1990-12-31T23:59:60Z",           INT64_C(662688000000000)},
        {"1990-12-31T15:59:60-08:00",      INT64_C(662688000000000)},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        int64_t us = -7;
        cr_assert_eq(bv_time_parse(bv_bytes_of(rows[i].text), &us), 0, "%s", rows[i].text);
        cr_assert_eq(us, rows[i].us, "%s", rows[i].text);
    }
}

Test(time, parse_refuses_what_is_no_date_time)
{
    static const char *const rows[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00Zx",
        "+970-01-01T00:00:00Z",
    };
    int64_t us = 77;
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_time_parse(bv_bytes_of(rows[i]), &us), BV_E_INVALID, "%s", rows[i]);
    cr_assert_eq(us, 77);
}
