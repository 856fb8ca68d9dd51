/* What fuzz targets share: the entry, the assertion that stays in every build, and how one input is
 * cut into several. Pure. Thread: any. */
#ifndef BV_FUZZ_H
#define BV_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "bv/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the target: what does not hold is printed, then abort(). */
#define FUZZ_REQUIRE(holds)                                                                        \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct bv_bytes fuzz_bytes(const uint8_t *data, size_t size)
{
    return (struct bv_bytes){size ? (const char *)data : "", size};
}

/* The part of *rest before the next separator, all of it when there is none; *rest moves behind. */
static inline struct bv_bytes fuzz_part(struct bv_bytes *rest, char separator)
{
    const char *end = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    const struct bv_bytes part = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
    const size_t used = part.size + (end ? 1 : 0);
    *rest = (struct bv_bytes){rest->data + used, rest->size - used};
    return part;
}

/* The first byte of *rest, 0 when there is none; *rest moves behind. */
static inline uint8_t fuzz_byte(struct bv_bytes *rest)
{
    if (rest->size == 0)
        return 0;
    const uint8_t byte = (uint8_t)rest->data[0];
    *rest = (struct bv_bytes){rest->data + 1, rest->size - 1};
    return byte;
}

#endif
