#include "bv/json.h"

#include "json_value.h"
#include "number_text.h"
#include "utf8.h"

struct bv_json_writer bv_json_writer(struct bv_buf *buf)
{
    return (struct bv_json_writer){.buf = buf};
}

static bool in_object(const struct bv_json_writer *w)
{
    return w->depth > 0 && (w->object_bits >> (w->depth - 1) & 1) != 0;
}

static void before_value(struct bv_json_writer *w)
{
    assert(in_object(w) == w->keyed);  /* members have a key, elements have none */
    assert(w->depth > 0 || !w->comma); /* one value per document */
    if (w->comma)
        bv_buf_char(w->buf, ',');
    w->comma = true;
    w->keyed = false;
}

static void open_container(struct bv_json_writer *w, char bracket, uint64_t object)
{
    before_value(w);
    assert(w->depth < BV_JSON_DEPTH_MAX);
    bv_buf_char(w->buf, bracket);
    uint64_t bit = UINT64_C(1) << w->depth;
    w->object_bits = object ? w->object_bits | bit : w->object_bits & ~bit;
    w->depth++;
    w->comma = false;
}

void bv_jw_object(struct bv_json_writer *w)
{
    open_container(w, '{', 1);
}

void bv_jw_array(struct bv_json_writer *w)
{
    open_container(w, '[', 0);
}

void bv_jw_end(struct bv_json_writer *w)
{
    assert(w->depth > 0 && !w->keyed);
    bv_buf_char(w->buf, in_object(w) ? '}' : ']');
    w->depth--;
    w->comma = true;
}

/* 0: as it is; 1: part of a longer UTF-8 sequence; 'u': \u00xx; else the letter after the
 * backslash. */
static const char escapes[256] = {
    [0 ... 7] = 'u',
    ['\b'] = 'b',
    ['\t'] = 't',
    ['\n'] = 'n',
    [11] = 'u',
    ['\f'] = 'f',
    ['\r'] = 'r',
    [14 ... 31] = 'u',
    ['"'] = '"',
    ['\\'] = '\\',
    [128 ... 255] = 1,
};

static void append_escape(struct bv_buf *buf, unsigned char c, char escape)
{
    char text[6] = {'\\', escape, '0', '0'};
    if (escape == 'u')
        bv_hex_encode(&c, 1, text + 4);
    bv_buf_append(buf, text, escape == 'u' ? 6 : 2);
}

/* Is a byte among these eight a quote, a backslash, a control character or not ASCII? */
static inline bool any_special(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = ones * 0x80;
    uint64_t quote = eight ^ ones * '"';
    uint64_t slash = eight ^ ones * '\\';
    uint64_t hits = (quote - ones) | (slash - ones) | (eight - ones * 0x20) | eight;
    return (hits & highs) != 0;
}

/* Copies the leading bytes that need no escape and returns how many. */
static inline size_t copy_plain(char *to, struct bv_bytes text)
{
    size_t at = 0;
    uint64_t eight;
    for (; text.size - at >= sizeof(eight); at += sizeof(eight)) {
        memcpy(&eight, text.data + at, sizeof(eight));
        if (any_special(eight))
            break;
        memcpy(to + at, &eight, sizeof(eight));
    }
    for (; at < text.size && escapes[(unsigned char)text.data[at]] == 0; at++)
        to[at] = text.data[at];
    return at;
}

/* Appends what may hold anything. */
static void append_escaped(struct bv_buf *buf, struct bv_bytes text)
{
    size_t from = 0;
    size_t at = 0;
    while (at < text.size) {
        unsigned char c = (unsigned char)text.data[at];
        char escape = escapes[c];
        size_t step = escape == 0   ? 1
                      : escape == 1 ? bv_utf8_step(text.data + at, text.size - at)
                                    : 0;
        if (step > 0) {
            at += step;
            continue;
        }
        bv_buf_append(buf, text.data + from, at - from);
        if (escape == 1)
            bv_buf_text(buf, BV_UTF8_REPLACEMENT);
        else
            append_escape(buf, c, escape);
        from = ++at;
    }
    bv_buf_append(buf, text.data + from, at - from);
}

/* Most strings need no escape: they are copied while they are checked. */
void bv_json_quote(struct bv_buf *buf, struct bv_bytes text)
{
    char *to = bv_buf_reserve(buf, text.size + 2);
    if (!to)
        return; /* quoted it would be longer still */
    *to = '"';
    size_t plain = copy_plain(to + 1, text);
    buf->size += 1 + plain;
    if (plain == text.size) {
        to[1 + plain] = '"';
        buf->size++;
        return;
    }
    append_escaped(buf, (struct bv_bytes){text.data + plain, text.size - plain});
    bv_buf_char(buf, '"');
}

void bv_jw_key_bytes(struct bv_json_writer *w, struct bv_bytes key)
{
    assert(in_object(w) && !w->keyed);
    if (w->comma)
        bv_buf_char(w->buf, ',');
    bv_json_quote(w->buf, key);
    bv_buf_char(w->buf, ':');
    w->comma = false;
    w->keyed = true;
}

void bv_jw_key(struct bv_json_writer *w, const char *key)
{
    bv_jw_key_bytes(w, bv_bytes_of(key));
}

void bv_jw_string(struct bv_json_writer *w, struct bv_bytes text)
{
    before_value(w);
    bv_json_quote(w->buf, text);
}

void bv_jw_text(struct bv_json_writer *w, const char *text)
{
    if (text)
        bv_jw_string(w, bv_bytes_of(text));
    else
        bv_jw_null(w);
}

void bv_jw_int(struct bv_json_writer *w, int64_t value)
{
    before_value(w);
    bv_buf_int64(w->buf, value);
}

void bv_jw_real(struct bv_json_writer *w, double value)
{
    char text[BV_NUMBER_TEXT_MAX];
    if (!__builtin_isfinite(value)) {
        bv_jw_null(w);
        return;
    }
    before_value(w);
    bv_buf_append(w->buf, text, bv_double_text(value, text));
}

void bv_jw_bool(struct bv_json_writer *w, bool value)
{
    bv_jw_raw(w, value ? BV_BYTES("true") : BV_BYTES("false"));
}

void bv_jw_null(struct bv_json_writer *w)
{
    bv_jw_raw(w, BV_BYTES("null"));
}

void bv_jw_raw(struct bv_json_writer *w, struct bv_bytes json)
{
    before_value(w);
    bv_buf_bytes(w->buf, json);
}

void bv_jw_kv_string(struct bv_json_writer *w, const char *key, struct bv_bytes text)
{
    bv_jw_key(w, key);
    bv_jw_string(w, text);
}

void bv_jw_kv_text(struct bv_json_writer *w, const char *key, const char *text)
{
    bv_jw_key(w, key);
    bv_jw_text(w, text);
}

void bv_jw_kv_int(struct bv_json_writer *w, const char *key, int64_t value)
{
    bv_jw_key(w, key);
    bv_jw_int(w, value);
}

void bv_jw_kv_bool(struct bv_json_writer *w, const char *key, bool value)
{
    bv_jw_key(w, key);
    bv_jw_bool(w, value);
}

struct layout {
    struct bv_buf *buf;
    size_t indent; /* spaces per level, 0: compact */
};

static void new_line(const struct layout *layout, size_t depth)
{
    if (layout->indent == 0)
        return;
    bv_buf_char(layout->buf, '\n');
    for (size_t i = 0; i < depth * layout->indent; i++)
        bv_buf_char(layout->buf, ' ');
}

static void write_scalar(struct bv_buf *buf, const struct bv_json *value)
{
    char digits[BV_NUMBER_TEXT_MAX];
    switch (bv_json_type(value)) {
    case BV_JSON_STRING:
        bv_json_quote(buf, bv_json_string(value));
        break;
    case BV_JSON_INT:
        bv_buf_int64(buf, bv_json_int(value, 0));
        break;
    case BV_JSON_REAL:
        bv_buf_append(buf,
                      digits,
                      yyjson_is_uint(bv_json_raw(value))
                          ? bv_uint64_text(bv_json_raw(value)->uni.u64, digits)
                          : bv_double_text(bv_json_real(value, 0), digits));
        break;
    case BV_JSON_BOOL:
        bv_buf_text(buf, bv_json_bool(value, false) ? "true" : "false");
        break;
    default:
        bv_buf_text(buf, "null");
        break;
    }
}

/* Recursion ends at BV_JSON_DEPTH_MAX, which the parser enforces. */
static void write_value(const struct layout *layout, const struct bv_json *value, size_t depth)
{
    enum bv_json_type type = bv_json_type(value);
    if (type != BV_JSON_OBJECT && type != BV_JSON_ARRAY) {
        write_scalar(layout->buf, value);
        return;
    }
    bool first = true;
    bv_buf_char(layout->buf, type == BV_JSON_OBJECT ? '{' : '[');
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it); first = false) {
        if (!first)
            bv_buf_char(layout->buf, ',');
        new_line(layout, depth + 1);
        if (type == BV_JSON_OBJECT) {
            bv_json_quote(layout->buf, it.key);
            bv_buf_text(layout->buf, layout->indent > 0 ? ": " : ":");
        }
        write_value(layout, it.value, depth + 1);
    }
    if (!first)
        new_line(layout, depth);
    bv_buf_char(layout->buf, type == BV_JSON_OBJECT ? '}' : ']');
}

int bv_json_write(struct bv_buf *buf, const struct bv_json *value)
{
    write_value(&(struct layout){buf, 0}, value, 0);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

int bv_json_write_pretty(struct bv_buf *buf, const struct bv_json *value)
{
    write_value(&(struct layout){buf, 2}, value, 0);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
