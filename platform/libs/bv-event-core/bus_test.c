#include <criterion/criterion.h>

#include "bv/bus.h"

Test(bus, the_last_header_of_a_name_counts)
{
    const struct bv_header headers[] = {
        {BV_BYTES("a"), BV_BYTES("1")},
        {BV_BYTES("b"), BV_BYTES("2")},
        {BV_BYTES("a"), BV_BYTES("3")},
    };
    const struct bv_record record = {.headers = headers, .header_count = 3};
    cr_assert(bv_bytes_equal(bv_record_header(&record, "a"), BV_BYTES("3")));
    cr_assert_null(bv_record_header(&record, "A").data);
}
