/* Source: Prometheus text exposition format 0.0.4. */
#include "metrics_internal.h"

#include "number_text.h"
#include "utf8.h"

void bv_metrics_escape(struct bv_buf *buf, struct bv_bytes text)
{
    for (size_t at = 0; at < text.size;) {
        size_t step = bv_utf8_step(text.data + at, text.size - at);
        char c = text.data[at];
        if (c == '"' || c == '\\' || c == '\n') {
            bv_buf_char(buf, '\\');
            bv_buf_char(buf, c == '\n' ? 'n' : c);
        } else if (step == 0) {
            bv_buf_text(buf, BV_UTF8_REPLACEMENT);
        } else {
            bv_buf_append(buf, text.data + at, step);
        }
        at += step == 0 ? 1 : step;
    }
}

/* Help is escaped like a label value, except for quotes. */
static void append_help(struct bv_buf *buf, const char *help)
{
    for (; *help; help++) {
        if (*help == '\\' || *help == '\n')
            bv_buf_char(buf, '\\');
        bv_buf_char(buf, *help == '\n' ? 'n' : *help);
    }
}

static void append_number(struct bv_buf *buf, double value)
{
    const double whole_max = 9007199254740992.0;
    char text[BV_NUMBER_TEXT_MAX];
    if (__builtin_isnan(value))
        bv_buf_text(buf, "NaN");
    else if (__builtin_isinf(value))
        bv_buf_text(buf, value > 0 ? "+Inf" : "-Inf");
    else if (value > -whole_max && value < whole_max && value == (double)(int64_t)value)
        bv_buf_int64(buf, (int64_t)value);
    else
        bv_buf_append(buf, text, bv_double_text(value, text));
}

static void append_uint64(struct bv_buf *buf, uint64_t value)
{
    char text[BV_NUMBER_TEXT_MAX];
    bv_buf_append(buf, text, bv_uint64_text(value, text));
}

/* name_suffix{labels} and the blank before the value */
static void append_name(struct bv_buf *buf, const struct bv_series *series, const char *suffix)
{
    bv_buf_text(buf, series->family->row->name);
    bv_buf_text(buf, suffix);
    if (series->labels[0] != '\0') {
        bv_buf_char(buf, '{');
        bv_buf_text(buf, series->labels);
        bv_buf_char(buf, '}');
    }
    bv_buf_char(buf, ' ');
}

static void
print_bucket(struct bv_buf *buf, const struct bv_series *series, double bound, uint64_t count)
{
    bv_buf_text(buf, series->family->row->name);
    bv_buf_text(buf, "_bucket{");
    bv_buf_text(buf, series->labels);
    if (series->labels[0] != '\0')
        bv_buf_char(buf, ',');
    bv_buf_text(buf, "le=\"");
    append_number(buf, bound);
    bv_buf_text(buf, "\"} ");
    append_uint64(buf, count);
    bv_buf_char(buf, '\n');
}

static void print_histogram(struct bv_buf *buf, const struct bv_series *series)
{
    const struct family *family = series->family;
    uint64_t count = 0;
    for (size_t i = 0; i <= family->bound_count; i++) {
        count += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
        double bound = i < family->bound_count ? family->bounds[i] : __builtin_inf();
        print_bucket(buf, series, bound, count);
    }
    append_name(buf, series, "_sum");
    append_number(buf, bv_bits_double(atomic_load_explicit(&series->number, memory_order_relaxed)));
    bv_buf_char(buf, '\n');
    append_name(buf, series, "_count");
    append_uint64(buf, count);
    bv_buf_char(buf, '\n');
}

static void print_series(struct bv_buf *buf, const struct bv_series *series)
{
    enum bv_metric_type type = series->family->row->type;
    if (type == BV_HISTOGRAM) {
        print_histogram(buf, series);
        return;
    }
    append_name(buf, series, "");
    if (type == BV_COUNTER && !series->read)
        append_uint64(buf, atomic_load_explicit(&series->number, memory_order_relaxed));
    else
        append_number(buf, bv_series_value(series));
    bv_buf_char(buf, '\n');
}

static void print_family(struct bv_buf *buf, const struct family *family)
{
    static const char *const types[] = {
        [BV_COUNTER] = "counter", [BV_GAUGE] = "gauge", [BV_HISTOGRAM] = "histogram"};
    bv_buf_text(buf, "# HELP ");
    bv_buf_text(buf, family->row->name);
    bv_buf_char(buf, ' ');
    append_help(buf, family->row->help ? family->row->help : "");
    bv_buf_text(buf, "\n# TYPE ");
    bv_buf_text(buf, family->row->name);
    bv_buf_char(buf, ' ');
    bv_buf_text(buf, types[family->row->type]);
    bv_buf_char(buf, '\n');
    for (const struct bv_series *series = family->first; series; series = series->next)
        print_series(buf, series);
}

int bv_metrics_print(struct bv_metrics *metrics, struct bv_buf *buf)
{
    pthread_mutex_lock(&metrics->lock);
    for (const struct family *family = metrics->first; family; family = family->next)
        print_family(buf, family);
    pthread_mutex_unlock(&metrics->lock);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
