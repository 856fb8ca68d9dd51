#include "bv/bytes.h"

#include "number_text.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool bv_bytes_equal_nocase(struct bv_bytes a, struct bv_bytes b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool bv_bytes_starts(struct bv_bytes a, struct bv_bytes prefix)
{
    return a.size >= prefix.size &&
           (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

int bv_bytes_int64(struct bv_bytes text, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t at = negative ? 1 : 0;
    int64_t value = 0;
    if (text.size == at)
        return BV_E_INVALID;
    for (; at < text.size; at++) {
        int digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return BV_E_INVALID;
    }
    /* Summed as a negative number, whose range is the larger one. */
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return BV_E_INVALID;
    if (value < min || value > max)
        return BV_E_INVALID;
    *ret_value = value;
    return 0;
}

bool bv_bytes_utf8(struct bv_bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        uint64_t eight;
        if (text.size - at >= sizeof(eight)) {
            memcpy(&eight, text.data + at, sizeof(eight));
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof(eight);
                continue;
            }
        }
        size_t step = bv_utf8_step(text.data + at, text.size - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

bool bv_bytes_equal_constant_time(struct bv_bytes a, struct bv_bytes b)
{
    if (a.size != b.size)
        return false;
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a.size; i++)
        difference = (unsigned char)(difference | (a.data[i] ^ b.data[i]));
    return difference == 0;
}

void bv_buf_release(struct bv_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct bv_buf){0};
}

void bv_buf_reset(struct bv_buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

/* Keeps one byte beyond the capacity, so that vsnprintf has a place for its NUL. */
static int grow(struct bv_buf *buf, size_t size)
{
    if (buf->failed || size > buf->max || buf->size > buf->max - size) {
        buf->failed = true;
        return BV_E_TOO_LARGE;
    }
    size_t needed = buf->size + size;
    size_t capacity = buf->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buf->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    if (capacity > buf->max)
        capacity = buf->max;
    char *data = realloc(buf->data, capacity + 1);
    if (!data) {
        buf->failed = true;
        return BV_E_NOMEM;
    }
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

static inline int ensure(struct bv_buf *buf, size_t size)
{
    if (__builtin_expect(!buf->failed && buf->data && size <= buf->capacity - buf->size, 1))
        return 0;
    return grow(buf, size);
}

char *bv_buf_reserve(struct bv_buf *buf, size_t size)
{
    return ensure(buf, size) == 0 ? buf->data + buf->size : NULL;
}

int bv_buf_append(struct bv_buf *buf, const void *data, size_t size)
{
    if (size == 0)
        return buf->failed ? BV_E_TOO_LARGE : 0;
    BV_TRY(ensure(buf, size));
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    return 0;
}

int bv_buf_bytes(struct bv_buf *buf, struct bv_bytes bytes)
{
    return bv_buf_append(buf, bytes.data, bytes.size);
}

int bv_buf_text(struct bv_buf *buf, const char *text)
{
    return bv_buf_append(buf, text, strlen(text));
}

int bv_buf_char(struct bv_buf *buf, char c)
{
    BV_TRY(ensure(buf, 1));
    buf->data[buf->size++] = c;
    return 0;
}

int bv_buf_format(struct bv_buf *buf, const char *format, ...)
{
    va_list arguments;
    BV_TRY(ensure(buf, 1));
    size_t room = buf->capacity - buf->size;
    va_start(arguments, format);
    int size = vsnprintf(buf->data + buf->size, room + 1, format, arguments);
    va_end(arguments);
    if (size < 0) {
        buf->failed = true;
        return BV_E_INTERNAL;
    }
    if ((size_t)size > room) {
        BV_TRY(grow(buf, (size_t)size));
        va_start(arguments, format);
        vsnprintf(buf->data + buf->size, (size_t)size + 1, format, arguments);
        va_end(arguments);
    }
    buf->size += (size_t)size;
    return 0;
}

int bv_buf_int64(struct bv_buf *buf, int64_t value)
{
    char digits[BV_NUMBER_TEXT_MAX];
    return bv_buf_append(buf, digits, bv_int64_text(value, digits));
}

size_t bv_hex_encode(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    return 2 * size;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

int bv_hex_decode(struct bv_bytes text, void *out, size_t size)
{
    unsigned char *to = out;
    if (text.size % 2 != 0 || text.size / 2 != size)
        return BV_E_INVALID;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text.data[2 * i]);
        int low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return BV_E_INVALID;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t bv_base64_size(size_t size)
{
    return (size / 3 + (size % 3 != 0)) * 4;
}

static size_t encode64(const void *data, size_t size, char *out, const char *digits)
{
    const unsigned char *in = data;
    char *to = out;
    size_t at = 0;
    for (; size - at >= 3; at += 3) {
        unsigned bits = (unsigned)in[at] << 16 | (unsigned)in[at + 1] << 8 | in[at + 2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = digits[bits >> 6 & 63];
        *to++ = digits[bits & 63];
    }
    if (size - at == 0)
        return (size_t)(to - out);
    unsigned bits = (unsigned)in[at] << 16 | (size - at == 2 ? (unsigned)in[at + 1] << 8 : 0);
    *to++ = digits[bits >> 18];
    *to++ = digits[bits >> 12 & 63];
    if (size - at == 2)
        *to++ = digits[bits >> 6 & 63];
    return (size_t)(to - out);
}

size_t bv_base64_encode(const void *data, size_t size, char *out)
{
    size_t written = encode64(data, size, out, base64_digits);
    while (written % 4 != 0)
        out[written++] = '=';
    return written;
}

size_t bv_base64url_encode(const void *data, size_t size, char *out)
{
    return encode64(data, size, out, base64url_digits);
}

static int digit64(char c, char plus, char slash)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == plus ? 62 : c == slash ? 63 : -1;
}

/* text is without padding. */
static int decode64(struct bv_bytes text, char plus, char slash, void *out, size_t *ret_size)
{
    unsigned char *to = out;
    unsigned bits = 0;
    unsigned bit_count = 0;
    size_t size = 0;
    if (text.size % 4 == 1)
        return BV_E_INVALID;
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit64(text.data[i], plus, slash);
        if (digit < 0)
            return BV_E_INVALID;
        bits = bits << 6 | (unsigned)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            to[size++] = (unsigned char)(bits >> bit_count & 255);
            bits &= (1u << bit_count) - 1;
        }
    }
    if (bits != 0)
        return BV_E_INVALID;
    *ret_size = size;
    return 0;
}

int bv_base64_decode(struct bv_bytes text, void *out, size_t *ret_size)
{
    if (text.size % 4 != 0)
        return BV_E_INVALID;
    for (int i = 0; i < 2 && text.size > 0 && text.data[text.size - 1] == '='; i++)
        text.size--;
    return decode64(text, '+', '/', out, ret_size);
}

int bv_base64url_decode(struct bv_bytes text, void *out, size_t *ret_size)
{
    return decode64(text, '-', '_', out, ret_size);
}
