/* Types that HTTP servers and clients share. */
#ifndef BV_HTTP_TYPES_H
#define BV_HTTP_TYPES_H

#include "bv/bytes.h"

struct bv_http_field {
    const char *name;
    struct bv_bytes value; /* CR, LF and NUL are refused */
};

#endif
