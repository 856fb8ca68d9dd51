#include "bv/metrics.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static const struct bv_metric requests = {
    "bv_requests_total", BV_COUNTER, "Requests.", "route,status", NULL, 0};
static const struct bv_metric depth = {"bv_depth", BV_GAUGE, "Depth.", "", NULL, 0};
static const struct bv_metric latency = {
    "bv_latency_seconds", BV_HISTOGRAM, "Latency.", "", NULL, 0};

static struct bv_metrics *metrics;

static void open_metrics(void)
{
    cr_assert_eq(bv_metrics_open(4, &metrics), 0);
}

static void close_metrics(void)
{
    bv_metrics_close(&metrics);
    cr_assert_null(metrics);
    bv_metrics_close(&metrics);
}

TestSuite(metrics, .init = open_metrics, .fini = close_metrics);

static struct bv_series *request_series(const char *route, const char *status)
{
    const char *const values[] = {route, status};
    return bv_metrics_series(metrics, &requests, values, 2);
}

Test(metrics, one_label_set_is_one_series)
{
    struct bv_series *a = request_series("/a", "200");
    cr_assert_eq(a, request_series("/a", "200"));
    cr_assert_neq(a, request_series("/a", "404"));
    cr_assert_neq(request_series("/ab", "c"), request_series("/a", "bc"));
    bv_count(a, 2);
    bv_count(a, 3);
    cr_assert_eq(bv_series_value(a), 5);
}

Test(metrics, rows_of_one_name_are_one_metric)
{
    static const struct bv_metric twin = {
        "bv_requests_total", BV_COUNTER, "Requests.", "route,status", NULL, 0};
    const char *const values[] = {"/a", "200"};
    cr_assert_eq(request_series("/a", "200"), bv_metrics_series(metrics, &twin, values, 2));
}

Test(metrics, past_the_maximum_other_collects)
{
    struct bv_series *others[50];
    for (int i = 0; i < 50; i++) {
        char route[16];
        snprintf(route, sizeof(route), "/%d", i);
        others[i] = request_series(route, "200");
        cr_assert_not_null(others[i]);
        bv_count(others[i], 1);
    }
    for (int i = 4; i < 50; i++)
        cr_assert_eq(others[i], others[4]);
    cr_assert_neq(others[3], others[4]);
    cr_assert_eq(bv_series_value(others[4]), 46);
    cr_assert_eq(request_series("other", "other"), others[4]);
    cr_assert_eq(request_series("/2", "200"), others[2], "known ones are still found");
}

Test(metrics, gauges_move_both_ways)
{
    struct bv_series *series = bv_metrics_series(metrics, &depth, NULL, 0);
    bv_gauge_set(series, 10.5);
    bv_gauge_add(series, -12);
    cr_assert_eq(bv_series_value(series), -1.5);
}

static void *hammer(void *argument)
{
    struct bv_series **series = argument;
    for (int i = 0; i < 20000; i++) {
        bv_count(series[0], 1);
        bv_gauge_add(series[1], 0.5);
        bv_observe(series[2], 0.5);
        cr_assert_eq(request_series("/a", "200"), series[0]);
    }
    return NULL;
}

Test(metrics, no_update_of_any_thread_is_lost)
{
    struct bv_series *series[3] = {request_series("/a", "200"),
                                   bv_metrics_series(metrics, &depth, NULL, 0),
                                   bv_metrics_series(metrics, &latency, NULL, 0)};
    pthread_t threads[4];
    for (size_t i = 0; i < BV_COUNT(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, series), 0);
    for (size_t i = 0; i < BV_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < BV_COUNT(series); i++)
        cr_assert_eq(bv_series_value(series[i]), i == 1 ? 40000 : 80000);
}

Test(metrics, a_counter_is_no_gauge, .signal = SIGABRT)
{
    bv_gauge_set(request_series("/a", "200"), 1);
}

static double read_seven(void *argument)
{
    return *(const double *)argument;
}

Test(metrics, callbacks_are_read_when_asked)
{
    double seven = 7;
    cr_assert_eq(bv_metrics_callback(metrics, &depth, read_seven, &seven), 0);
    cr_assert_eq(bv_series_value(bv_metrics_series(metrics, &depth, NULL, 0)), 7);
    seven = 8;
    cr_assert_eq(bv_series_value(bv_metrics_series(metrics, &depth, NULL, 0)), 8);
}
