/* Prometheus metrics: counters, gauges and histograms declared as tables, printed in the text
 * exposition format 0.0.4. Invariant: label sets are bounded by series_max per metric; past it a
 * series named "other" collects the rest. Thread: updates from any thread (relaxed atomics);
 * registering at start only. */
#ifndef BV_METRICS_H
#define BV_METRICS_H

#include "bv/bytes.h"

struct bv_metrics;
struct bv_series; /* one label set of one metric; get it once at start where the path is hot, keep
                     the pointer */

enum bv_metric_type { BV_COUNTER, BV_GAUGE, BV_HISTOGRAM };
struct bv_metric {
    const char *name; /* bv_http_requests_total */
    enum bv_metric_type type;
    const char *help;
    const char *labels;   /* comma-separated label names, "" for none: "route,status" */
    const double *bounds; /* histograms: ascending upper bounds; NULL: bv_latency_bounds */
    size_t bound_count;
};
extern const double
    bv_latency_bounds[]; /* seconds: .0005 .001 .0025 .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10 */
extern const size_t bv_latency_bound_count;

BV_MUST_CHECK int bv_metrics_open(size_t series_max_per_metric, struct bv_metrics **ret_metrics);
void bv_metrics_close(struct bv_metrics **metrics);
/* values: one per label name, in order. Never NULL: falls back to the metric's "other" series. row
 * is borrowed for life (static table). */
struct bv_series *bv_metrics_series(struct bv_metrics *metrics,
                                    const struct bv_metric *row,
                                    const char *const *values,
                                    size_t count);
void bv_count(struct bv_series *series, uint64_t by);
void bv_gauge_set(struct bv_series *series, double value);
void bv_gauge_add(struct bv_series *series, double by);
void bv_observe(struct bv_series *series, double value); /* histogram */
double bv_series_value(
    const struct bv_series *series); /* counter or gauge; histograms: count of observations */
/* A gauge read at scrape time. */
BV_MUST_CHECK int bv_metrics_callback(struct bv_metrics *metrics,
                                      const struct bv_metric *row,
                                      double (*read)(void *),
                                      void *argument);
int bv_metrics_print(struct bv_metrics *metrics, struct bv_buf *buf);
/* Adds process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds,
 * process_start_time_seconds. */
BV_MUST_CHECK int bv_metrics_process(struct bv_metrics *metrics);

#endif
