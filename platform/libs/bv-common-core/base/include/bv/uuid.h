/* UUIDs: version 7 (time-ordered) from a bv_env. Source: RFC 9562. Thread: any (no state). */
#ifndef BV_UUID_H
#define BV_UUID_H

#include "bv/env.h"

#define BV_UUID_TEXT_SIZE 37 /* with NUL */
struct bv_uuid {
    uint8_t octets[16];
};
/* Version 7 of the current wall clock: 48 bits of milliseconds, 12 bits of sub-millisecond time, 62
 * random bits (section 6.2, method 3). Ids made within one microsecond have no order among
 * themselves.
 * Effect: draws 8 random bytes. Errors: none. */
struct bv_uuid bv_uuid_v7(const struct bv_env *env);
void bv_uuid_format(struct bv_uuid uuid, char out[BV_UUID_TEXT_SIZE]); /* lower case */
BV_MUST_CHECK int
bv_uuid_parse(struct bv_bytes text,
              struct bv_uuid *ret_uuid); /* any version; either case; BV_E_INVALID */
int64_t
bv_uuid_v7_ms(struct bv_uuid uuid); /* milliseconds since 1970 of a version 7, -1 for others */

#endif
