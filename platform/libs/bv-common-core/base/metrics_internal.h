/* What a registry holds; private to the metrics files. Thread: see bv/metrics.h. */
#ifndef BV_METRICS_INTERNAL_H
#define BV_METRICS_INTERNAL_H

#include "bv/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

/* Doubles are kept as their bits, so that plain integer atomics serve everywhere. */
struct bv_series {
    struct bv_series *next;      /* owned: in order of registration */
    const struct family *family; /* borrowed: owns this series */
    uint64_t hash;
    char *values; /* owned: the label values, each with its NUL; NULL without labels */
    char *labels; /* owned: route="/x",status="200" escaped; "" without labels */
    double (*read)(void *argument); /* callback gauges */
    void *argument;
    atomic_uint_fast64_t number; /* counter: the count; gauge: bits of the value; histogram: sum */
    atomic_uint_fast64_t buckets[]; /* histograms: bound_count + 1, each on its own */
};

struct family {
    struct family *next;         /* owned */
    const struct bv_metric *row; /* borrowed: static table */
    const double *bounds;        /* borrowed */
    size_t bound_count;
    size_t label_count;
    struct bv_series *first; /* owned */
    struct bv_series *last;
    struct bv_series *other;  /* takes what does not fit */
    struct bv_series **slots; /* owned: open addressing, at most half full */
    size_t slot_mask;
    size_t count;
};

struct bv_metrics {
    size_t series_max;
    pthread_mutex_t lock;
    struct family *first; /* owned; this and all below: guarded by lock */
    struct family *last;
    struct family lost_family; /* for lost */
    struct bv_series *lost;    /* owned: where updates go when memory ran out; never printed */
};

static inline double bv_bits_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint64_t bv_double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Appends text as a label value: escaped, valid UTF-8, without its quotes. */
void bv_metrics_escape(struct bv_buf *buf, struct bv_bytes text);

#endif
