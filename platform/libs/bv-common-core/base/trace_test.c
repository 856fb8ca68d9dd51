#include "bv/trace.h"

#include "test_env.h"

#include <criterion/criterion.h>

#define SAMPLE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Test(trace, traceparent_round_trip)
{
    struct bv_trace trace;
    char text[BV_TRACEPARENT_SIZE];
    char id[33];
    cr_assert_eq(bv_trace_parse(BV_BYTES(SAMPLE), &trace), 0);
    bv_trace_format(&trace, text);
    cr_assert_str_eq(text, SAMPLE);
    bv_trace_id_format(&trace, id);
    cr_assert_str_eq(id, "4bf92f3577b34da6a3ce929d0e0e4736");
    cr_assert_eq(trace.flags, BV_TRACE_SAMPLED);
    cr_assert(bv_trace_present(&trace));
}

Test(trace, later_versions_are_read_as_far_as_known)
{
    struct bv_trace trace;
    cr_assert_eq(
        bv_trace_parse(BV_BYTES("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"), &trace),
        0);
    cr_assert_eq(trace.flags, BV_TRACE_SAMPLED);
    cr_assert_eq(bv_trace_parse(
                     BV_BYTES("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-x"), &trace),
                 0);
    cr_assert_eq(trace.flags, 0);
}

Test(trace, malformed_values_are_refused)
{
    static const char *const rows[] = {
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        SAMPLE "-00",
        SAMPLE "x",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
    };
    struct bv_trace trace = {.flags = 77};
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_trace_parse(bv_bytes_of(rows[i]), &trace), BV_E_INVALID, "%s", rows[i]);
    cr_assert_eq(trace.flags, 77);
}

Test(trace, child_keeps_trace_and_decision)
{
    struct test_env test;
    uint64_t seed = 3;
    const struct bv_env *env = test_env_init(&test, &seed);
    struct bv_trace parent;
    cr_assert_eq(bv_trace_parse(BV_BYTES(SAMPLE), &parent), 0);
    struct bv_trace child = bv_trace_child(env, &parent, 0);
    cr_assert_eq(memcmp(child.trace_id, parent.trace_id, 16), 0);
    cr_assert_eq(memcmp(child.parent_id, parent.span_id, 8), 0);
    cr_assert_neq(memcmp(child.span_id, parent.span_id, 8), 0);
    cr_assert_eq(child.flags, BV_TRACE_SAMPLED);
    parent.flags = 0;
    cr_assert_eq(bv_trace_child(env, &parent, 1000000).flags, 0);
}

Test(trace, roots_are_sampled_by_rate)
{
    struct test_env test;
    uint64_t seed = 4;
    const struct bv_env *env = test_env_init(&test, &seed);
    const struct bv_trace empty = {.flags = BV_TRACE_SAMPLED};
    static const struct {
        uint32_t rate;
        int low;
        int high;
    } rows[] = {
        {0,       0,     0    },
        {1000000, 10000, 10000},
        {250000,  2300,  2700 }
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        int sampled = 0;
        for (int n = 0; n < 10000; n++) {
            struct bv_trace root = bv_trace_child(env, n % 2 == 0 ? NULL : &empty, rows[i].rate);
            cr_assert(bv_trace_present(&root));
            cr_assert_eq(memcmp(root.parent_id, "\0\0\0\0\0\0\0\0", 8), 0);
            sampled += root.flags & BV_TRACE_SAMPLED ? 1 : 0;
        }
        cr_assert(sampled >= rows[i].low && sampled <= rows[i].high, "%d", sampled);
    }
}

static void zero_fill(const struct bv_random *self, void *data, size_t size)
{
    (void)self;
    memset(data, 0, size);
}

Test(trace, ids_are_never_zero)
{
    const struct bv_random zeros = {zero_fill};
    const struct bv_env env = {NULL, &zeros, NULL};
    struct bv_trace root = bv_trace_child(&env, NULL, 0);
    struct bv_trace parsed;
    char text[BV_TRACEPARENT_SIZE];
    bv_trace_format(&root, text);
    cr_assert_eq(bv_trace_parse(bv_bytes_of(text), &parsed), 0);
}

struct counting_sink {
    struct bv_span_sink sink;
    int count;
};

static void count_span(struct bv_span_sink *self, const struct bv_span *span)
{
    (void)span;
    ((struct counting_sink *)self)->count++;
}

Test(trace, only_sampled_spans_reach_the_sink)
{
    struct counting_sink counting = {.sink = {count_span}};
    struct bv_span span = {.name = "x"};
    bv_span_finish(&counting.sink, &span);
    span.trace.flags = BV_TRACE_SAMPLED;
    bv_span_finish(&counting.sink, &span);
    bv_span_finish(NULL, &span);
    cr_assert_eq(counting.count, 1);
}
