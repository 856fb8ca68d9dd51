#include "metrics_internal.h"

#include <stdlib.h>

const double bv_latency_bounds[] = {
    .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
const size_t bv_latency_bound_count = BV_COUNT(bv_latency_bounds);

static const struct bv_metric lost_row = {.name = "bv_lost", .type = BV_GAUGE, .labels = ""};

static struct bv_series *series_new(const struct family *family)
{
    size_t buckets = family->row->type == BV_HISTOGRAM ? family->bound_count + 1 : 0;
    struct bv_series *series = calloc(1, sizeof(*series) + buckets * sizeof(series->buckets[0]));
    if (series)
        series->family = family;
    return series;
}

static void series_free(struct bv_series *series)
{
    if (!series)
        return;
    free(series->values);
    free(series->labels);
    free(series);
}

static void family_free(struct family *family)
{
    while (family->first) {
        struct bv_series *next = family->first->next;
        series_free(family->first);
        family->first = next;
    }
    free(family->slots);
    free(family);
}

int bv_metrics_open(size_t series_max_per_metric, struct bv_metrics **ret_metrics)
{
    struct bv_metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return BV_E_NOMEM;
    metrics->series_max = series_max_per_metric > 0 ? series_max_per_metric : 1;
    metrics->lost_family.row = &lost_row;
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->lost = series_new(&metrics->lost_family);
    if (!metrics->lost) {
        bv_metrics_close(&metrics);
        return BV_E_NOMEM;
    }
    *ret_metrics = metrics;
    return 0;
}

void bv_metrics_close(struct bv_metrics **metrics)
{
    if (!metrics || !*metrics)
        return;
    while ((*metrics)->first) {
        struct family *next = (*metrics)->first->next;
        family_free((*metrics)->first);
        (*metrics)->first = next;
    }
    series_free((*metrics)->lost);
    pthread_mutex_destroy(&(*metrics)->lock);
    free(*metrics);
    *metrics = NULL;
}

static size_t count_labels(const char *labels)
{
    size_t count = labels[0] != '\0' ? 1 : 0;
    for (; *labels; labels++)
        count += *labels == ',' ? 1 : 0;
    return count;
}

static struct family *family_of(struct bv_metrics *metrics, const struct bv_metric *row)
{
    for (struct family *f = metrics->first; f; f = f->next)
        if (f->row == row || strcmp(f->row->name, row->name) == 0)
            return f;
    struct family *family = calloc(1, sizeof(*family));
    if (!family)
        return NULL;
    size_t slots = 4;
    while (slots < 2 * (metrics->series_max + 1))
        slots *= 2;
    family->slots = calloc(slots, sizeof(struct bv_series *));
    if (!family->slots) {
        free(family);
        return NULL;
    }
    family->slot_mask = slots - 1;
    family->row = row;
    family->bounds = row->bounds ? row->bounds : bv_latency_bounds;
    family->bound_count = row->bounds ? row->bound_count : bv_latency_bound_count;
    family->label_count = count_labels(row->labels);
    if (metrics->last)
        metrics->last->next = family;
    else
        metrics->first = family;
    metrics->last = family;
    return family;
}

/* FNV-1a over the values with their NULs; the label sets are bounded, so nobody gains by
 * collisions. */
static uint64_t hash_values(const char *const *values, size_t count)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *p = (const unsigned char *)values[i];
        do
            hash = (hash ^ *p) * UINT64_C(1099511628211);
        while (*p++);
    }
    return hash;
}

static bool same_values(const struct bv_series *series, const char *const *values, size_t count)
{
    const char *stored = series->values;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(values[i]) + 1;
        if (memcmp(stored, values[i], size) != 0)
            return false;
        stored += size;
    }
    return true;
}

static struct bv_series **
slot_of(struct family *family, uint64_t hash, const char *const *values, size_t count)
{
    for (size_t at = hash & family->slot_mask;; at = (at + 1) & family->slot_mask) {
        struct bv_series *series = family->slots[at];
        if (!series || (series->hash == hash && same_values(series, values, count)))
            return &family->slots[at];
    }
}

static int name_series(struct bv_series *series, const char *const *values, size_t count)
{
    struct bv_buf raw = {.max = SIZE_MAX / 2};
    struct bv_buf labels = {.max = SIZE_MAX / 2};
    const char *name = series->family->row->labels;
    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(name, ",");
        if (i > 0)
            bv_buf_char(&labels, ',');
        bv_buf_append(&labels, name, size);
        bv_buf_text(&labels, "=\"");
        bv_metrics_escape(&labels, bv_bytes_of(values[i]));
        bv_buf_char(&labels, '"');
        bv_buf_append(&raw, values[i], strlen(values[i]) + 1);
        name += size + (name[size] == ',' ? 1 : 0);
    }
    bv_buf_char(&labels, '\0');
    series->values = raw.data;
    series->labels = labels.data;
    return raw.failed || labels.failed ? BV_E_NOMEM : 0;
}

static struct bv_series *
series_add(struct family *family, struct bv_series **slot, const char *const *values, uint64_t hash)
{
    struct bv_series *series = series_new(family);
    if (!series)
        return NULL;
    series->hash = hash;
    if (name_series(series, values, family->label_count) < 0) {
        series_free(series);
        return NULL;
    }
    if (family->last)
        family->last->next = series;
    else
        family->first = series;
    family->last = series;
    family->count++;
    *slot = series;
    return series;
}

static struct bv_series *other_series(struct family *family)
{
    enum { LABELS_MAX = 16 };
    static const char *const others[LABELS_MAX] = {"other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other",
                                                   "other"};
    assert(family->label_count <= LABELS_MAX);
    if (!family->other) {
        uint64_t hash = hash_values(others, family->label_count);
        struct bv_series **slot = slot_of(family, hash, others, family->label_count);
        family->other = *slot ? *slot : series_add(family, slot, others, hash);
    }
    return family->other;
}

struct bv_series *bv_metrics_series(struct bv_metrics *metrics,
                                    const struct bv_metric *row,
                                    const char *const *values,
                                    size_t count)
{
    struct bv_series *series = NULL;
    uint64_t hash = hash_values(values, count);
    pthread_mutex_lock(&metrics->lock);
    struct family *family = family_of(metrics, row);
    if (family) {
        assert(count == family->label_count);
        struct bv_series **slot = slot_of(family, hash, values, count);
        series = *slot;
        if (!series && family->count < metrics->series_max)
            series = series_add(family, slot, values, hash);
        if (!series)
            series = other_series(family);
    }
    pthread_mutex_unlock(&metrics->lock);
    return series ? series : metrics->lost;
}

int bv_metrics_callback(struct bv_metrics *metrics,
                        const struct bv_metric *row,
                        double (*read)(void *),
                        void *argument)
{
    assert(row->labels[0] == '\0' && row->type != BV_HISTOGRAM);
    struct bv_series *series = bv_metrics_series(metrics, row, NULL, 0);
    if (series == metrics->lost)
        return BV_E_NOMEM;
    pthread_mutex_lock(&metrics->lock);
    series->argument = argument;
    series->read = read;
    pthread_mutex_unlock(&metrics->lock);
    return 0;
}

static void add_double(atomic_uint_fast64_t *bits, double by)
{
    uint64_t seen = atomic_load_explicit(bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bits,
                                                  &seen,
                                                  bv_double_bits(bv_bits_double(seen) + by),
                                                  memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* The lost series takes any update. */
static bool takes(const struct bv_series *series, enum bv_metric_type type)
{
    return series->family->row->type == type || series->family->row == &lost_row;
}

void bv_count(struct bv_series *series, uint64_t by)
{
    assert(takes(series, BV_COUNTER));
    atomic_fetch_add_explicit(&series->number, by, memory_order_relaxed);
}

void bv_gauge_set(struct bv_series *series, double value)
{
    assert(takes(series, BV_GAUGE));
    atomic_store_explicit(&series->number, bv_double_bits(value), memory_order_relaxed);
}

void bv_gauge_add(struct bv_series *series, double by)
{
    assert(takes(series, BV_GAUGE));
    add_double(&series->number, by);
}

void bv_observe(struct bv_series *series, double value)
{
    const struct family *family = series->family;
    assert(takes(series, BV_HISTOGRAM));
    if (family->row->type != BV_HISTOGRAM)
        return; /* the lost series has no buckets */
    size_t bucket = 0;
    while (bucket < family->bound_count && !(value <= family->bounds[bucket]))
        bucket++;
    atomic_fetch_add_explicit(&series->buckets[bucket], 1, memory_order_relaxed);
    add_double(&series->number, value);
}

double bv_series_value(const struct bv_series *series)
{
    const struct family *family = series->family;
    if (series->read)
        return series->read(series->argument);
    uint64_t number = atomic_load_explicit(&series->number, memory_order_relaxed);
    if (family->row->type == BV_COUNTER)
        return (double)number;
    if (family->row->type == BV_GAUGE)
        return bv_bits_double(number);
    uint64_t count = 0;
    for (size_t i = 0; i <= family->bound_count; i++)
        count += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
    return (double)count;
}
