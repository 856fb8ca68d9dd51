/* One step of UTF-8 decoding, shared by the validator and the writers.
 * Source: The Unicode Standard 15, table 3-7 (well-formed byte sequences). Thread: any. */
#ifndef BV_UTF8_H
#define BV_UTF8_H

#include "bv/bytes.h"

#define BV_UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Size (1..4) of the well-formed sequence that starts at text; 0 when there is none.
 * Ranges: left is the number of readable bytes, at least 1. */
static inline size_t bv_utf8_step(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (left < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xf0) {
        unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = p[0] == 0xed ? 0x9f : 0xbf;
        return p[1] >= low && p[1] <= high ? 3 : 0;
    }
    unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xf4 ? 0x8f : 0xbf;
    return left >= 4 && (p[3] & 0xc0) == 0x80 && p[1] >= low && p[1] <= high ? 4 : 0;
}

#endif
