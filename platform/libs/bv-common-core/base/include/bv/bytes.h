/* Byte spans and growing buffers with a maximum.
 * Invariant: a buffer never grows past its maximum; a failed append leaves it unchanged and marks
 * it failed, so a chain of appends needs one check at its end.
 * Thread: one owner at a time; pure functions: any.
 * Unless a function says otherwise: no effect but its result, arguments borrowed for the call, no
 * outcomes, no errors. */
#ifndef BV_BYTES_H
#define BV_BYTES_H

#include "bv/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bv_bytes {
    const char *data; /* borrowed; not NUL-terminated unless the maker says so */
    size_t size;
};
#define BV_BYTES(literal) ((struct bv_bytes){("" literal), sizeof(literal) - 1})
#define BV_BYTES_NONE ((struct bv_bytes){NULL, 0})
/* printf("%.*s", BV_ARG(bytes)) */
#define BV_ARG(b) (int)(b).size, (b).data

static inline struct bv_bytes bv_bytes_of(const char *text)
{
    return (struct bv_bytes){text, text ? strlen(text) : 0};
}
static inline bool bv_bytes_equal(struct bv_bytes a, struct bv_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* ASCII case-insensitive, as HTTP field names compare. */
bool bv_bytes_equal_nocase(struct bv_bytes a, struct bv_bytes b);
bool bv_bytes_starts(struct bv_bytes a, struct bv_bytes prefix);
/* Whole span as a decimal int64 within [min, max]; BV_E_INVALID otherwise (empty, sign alone,
 * trailing bytes, overflow). */
BV_MUST_CHECK int
bv_bytes_int64(struct bv_bytes text, int64_t min, int64_t max, int64_t *ret_value);
bool bv_bytes_utf8(struct bv_bytes text); /* well-formed UTF-8 (Unicode 15, table 3-7) */

struct bv_buf {
    char *data; /* owned */
    size_t size;
    size_t capacity;
    size_t max;
    bool failed; /* an append did not fit (BV_E_TOO_LARGE) or memory ran out */
};
/* All-zero plus max is an empty buffer: struct bv_buf b = {.max = 65536};
 * bv_buf_release frees it and leaves all-zero (max too); NULL and all-zero are accepted.
 * bv_buf_reset empties it and clears failed, but keeps memory and max. */
void bv_buf_release(struct bv_buf *buf);
void bv_buf_reset(struct bv_buf *buf);
/* The appends.
 * Effect:    copy bytes to the end, growing by doubling; all or nothing.
 * Ranges:    size 0 is allowed (data may then be NULL); the source must not lie in buf.
 * Outcomes:  none.
 * Errors:    BV_E_TOO_LARGE past max or when an earlier append failed, BV_E_NOMEM; both set failed,
 *            and every later append fails until bv_buf_reset.
 * Thread:    owner. */
int bv_buf_append(struct bv_buf *buf, const void *data, size_t size);
int bv_buf_bytes(struct bv_buf *buf, struct bv_bytes bytes);
int bv_buf_text(struct bv_buf *buf, const char *text);
int bv_buf_char(struct bv_buf *buf, char c);
int bv_buf_format(struct bv_buf *buf, const char *format, ...) BV_PRINTF(2, 3);
int bv_buf_int64(struct bv_buf *buf, int64_t value);
/* Makes room for size more bytes and returns where to write them (then add to ->size); NULL, and
 * failed is set, when that would pass max or memory ran out. The place is valid until the next
 * call. */
char *bv_buf_reserve(struct bv_buf *buf, size_t size);
static inline struct bv_bytes bv_buf_view(const struct bv_buf *buf)
{
    return (struct bv_bytes){buf->data, buf->size};
}

/* Encodings. Return the number of bytes written; out must hold the stated size. No NUL is added.
 * Decoders accept either case of hex digits and write *ret_size on success only; after BV_E_INVALID
 * out holds anything. Source: RFC 4648. */
size_t bv_hex_encode(const void *data, size_t size, char *out); /* out: 2 * size */
BV_MUST_CHECK int
bv_hex_decode(struct bv_bytes text, void *out, size_t size);          /* exactly 2 * size digits */
size_t bv_base64_size(size_t size);                                   /* with padding */
size_t bv_base64_encode(const void *data, size_t size, char *out);    /* RFC 4648 section 4 */
size_t bv_base64url_encode(const void *data, size_t size, char *out); /* section 5, no padding */
/* Decode; strict: no white space, no stray bits. *ret_size <= text.size * 3 / 4. BV_E_INVALID
 * otherwise. */
BV_MUST_CHECK int bv_base64_decode(struct bv_bytes text, void *out, size_t *ret_size);
BV_MUST_CHECK int bv_base64url_decode(struct bv_bytes text, void *out, size_t *ret_size);
bool bv_bytes_equal_constant_time(struct bv_bytes a,
                                  struct bv_bytes b); /* for secrets; leaks the sizes only */

#endif
