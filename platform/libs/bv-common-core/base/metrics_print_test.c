#include "bv/metrics.h"

#include <criterion/criterion.h>
#include <math.h>

static struct bv_metrics *metrics;
static struct bv_buf buf = {.max = 1 << 16};

static void open_metrics(void)
{
    cr_assert_eq(bv_metrics_open(10, &metrics), 0);
}

static void close_metrics(void)
{
    bv_metrics_close(&metrics);
    bv_buf_release(&buf);
}

TestSuite(metrics_print, .init = open_metrics, .fini = close_metrics);

#define assert_printed(literal)                                                                    \
    do {                                                                                           \
        cr_assert_eq(bv_metrics_print(metrics, &buf), 0);                                          \
        cr_assert(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES(literal)), "%.*s", BV_ARG(buf));      \
    } while (0)

Test(metrics_print, counters_with_labels_in_order_of_registration)
{
    static const struct bv_metric row = {
        "a_total", BV_COUNTER, "Some\\help\n.", "route,status", NULL, 0};
    const char *const first[] = {"/z", "200"};
    const char *const second[] = {"q\"b\\n\n\xff", "404"};
    bv_count(bv_metrics_series(metrics, &row, first, 2), 18446744073709551615u);
    bv_metrics_series(metrics, &row, second, 2);
    assert_printed("# HELP a_total Some\\\\help\\n.\n# TYPE a_total counter\n"
                   "a_total{route=\"/z\",status=\"200\"} 18446744073709551615\n"
                   "a_total{route=\"q\\\"b\\\\n\\n\xef\xbf\xbd\",status=\"404\"} 0\n");
}

Test(metrics_print, gauges_of_every_kind_of_number)
{
    static const struct bv_metric row = {"g", BV_GAUGE, "G.", "k", NULL, 0};
    static const struct {
        const char *label;
        double value;
    } rows[] = {
        {"a", 0.1      },
        {"b", -3       },
        {"c", INFINITY },
        {"d", -INFINITY},
        {"e", NAN      },
        {"f", 1e300    }
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        bv_gauge_set(bv_metrics_series(metrics, &row, &rows[i].label, 1), rows[i].value);
    assert_printed("# HELP g G.\n# TYPE g gauge\ng{k=\"a\"} 0.1\ng{k=\"b\"} -3\ng{k=\"c\"} +Inf\n"
                   "g{k=\"d\"} -Inf\ng{k=\"e\"} NaN\ng{k=\"f\"} 1e300\n");
}

Test(metrics_print, histograms_are_cumulative)
{
    static const double bounds[] = {0.5, 1, 2.5};
    static const struct bv_metric row = {"h", BV_HISTOGRAM, "H.", "", bounds, 3};
    static const struct bv_metric labelled = {"l", BV_HISTOGRAM, "L.", "r", bounds, 1};
    const char *const value = "x";
    struct bv_series *series = bv_metrics_series(metrics, &row, NULL, 0);
    bv_observe(series, 0.5); /* a bound is inside its bucket */
    bv_observe(series, 0.75);
    bv_observe(series, 2);
    bv_observe(series, 100);
    bv_observe(bv_metrics_series(metrics, &labelled, &value, 1), 0.25);
    assert_printed("# HELP h H.\n# TYPE h histogram\n"
                   "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2.5\"} 3\n"
                   "h_bucket{le=\"+Inf\"} 4\nh_sum 103.25\nh_count 4\n"
                   "# HELP l L.\n# TYPE l histogram\n"
                   "l_bucket{r=\"x\",le=\"0.5\"} 1\nl_bucket{r=\"x\",le=\"+Inf\"} 1\n"
                   "l_sum{r=\"x\"} 0.25\nl_count{r=\"x\"} 1\n");
}

Test(metrics_print, a_full_buffer_is_told)
{
    static const struct bv_metric row = {"g", BV_GAUGE, "G.", "", NULL, 0};
    struct bv_buf small = {.max = 10};
    bv_metrics_series(metrics, &row, NULL, 0);
    cr_assert_eq(bv_metrics_print(metrics, &small), BV_E_TOO_LARGE);
    bv_buf_release(&small);
}
