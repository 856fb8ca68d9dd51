/* Prometheus metrics: counters, gauges and histograms declared as tables, printed in the text
 * exposition format 0.0.4. Invariant: label sets are bounded by series_max per metric; past it a
 * series named "other" collects the rest.
 * Thread: updates from any thread (relaxed atomics); the rest from any thread too, but behind
 * a mutex. */
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

/* Opens an empty registry; series_max_per_metric at least 1 (the "other" series comes on top).
 * Ownership: the caller closes it, after the last update. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int bv_metrics_open(size_t series_max_per_metric, struct bv_metrics **ret_metrics);
void bv_metrics_close(struct bv_metrics **metrics);
/* The series of one label set, made when new.
 * Effect:    past series_max the metric's "other" series (each label "other"); without memory a
 *            series that is never printed.
 * Ranges:    count equals the number of names in row->labels (at most 16); values in that order,
 *            any bytes but NUL. Rows of one name are one metric.
 * Ownership: row is borrowed for the registry's life (static table), values for the call; the
 *            series lives as long as the registry.
 * Outcomes:  none. Errors: none; never NULL. */
struct bv_series *bv_metrics_series(struct bv_metrics *metrics,
                                    const struct bv_metric *row,
                                    const char *const *values,
                                    size_t count);
/* Updates. Each touches only its own series type: bv_count counters, bv_gauge_* gauges, bv_observe
 * histograms (of which NaN counts in the last bucket). Lock-free. Thread: any. */
void bv_count(struct bv_series *series, uint64_t by);
void bv_gauge_set(struct bv_series *series, double value);
void bv_gauge_add(struct bv_series *series, double by);
void bv_observe(struct bv_series *series, double value); /* histogram */
double bv_series_value(
    const struct bv_series *series); /* counter or gauge; histograms: count of observations */
/* A gauge (or counter) without labels that is read at scrape time.
 * Effect:    read(argument) runs in bv_metrics_print, which holds the registry's mutex: of this
 *            module it may call the updates only.
 * Ownership: argument is borrowed for the registry's life.
 * Errors:    BV_E_NOMEM. */
BV_MUST_CHECK int bv_metrics_callback(struct bv_metrics *metrics,
                                      const struct bv_metric *row,
                                      double (*read)(void *),
                                      void *argument);
/* Appends all metrics in order of registration. Errors: BV_E_TOO_LARGE when buf failed.
 * Source: Prometheus text exposition format 0.0.4. */
int bv_metrics_print(struct bv_metrics *metrics, struct bv_buf *buf);
/* Adds process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds and
 * process_start_time_seconds, read from the system at each scrape. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int bv_metrics_process(struct bv_metrics *metrics);

#endif
