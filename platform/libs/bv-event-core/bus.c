#include "bv/bus.h"

struct bv_bytes bv_record_header(const struct bv_record *record, const char *key)
{
    struct bv_bytes name = bv_bytes_of(key);
    for (size_t i = record->header_count; i-- > 0;) {
        if (bv_bytes_equal(record->headers[i].key, name))
            return record->headers[i].value;
    }
    return BV_BYTES_NONE;
}
