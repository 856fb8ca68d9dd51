/* Numbers as text without printf; private to bv-base. Thread: any. */
#ifndef BV_NUMBER_TEXT_H
#define BV_NUMBER_TEXT_H

#include "bv/bytes.h"

#define BV_NUMBER_TEXT_MAX 40 /* room that every out below must have */

/* Write decimal digits (no NUL) and return how many, at most 20. */
size_t bv_uint64_text(uint64_t value, char *out);
size_t bv_int64_text(int64_t value, char *out);
/* Shortest decimal that reads back as the same double ("0.1", "2.0", "1e300"); value is finite.
 * Returns the size, no NUL. */
size_t bv_double_text(double value, char *out);
/* Writes value in `digits` digits with leading zeros, most significant first. */
static inline void bv_digits_text(uint32_t value, size_t digits, char *out)
{
    while (digits > 0) {
        digits--;
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

#endif
