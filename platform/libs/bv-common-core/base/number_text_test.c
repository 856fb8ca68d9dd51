#include "number_text.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

Test(number_text, agrees_with_printf)
{
    uint64_t value = 1;
    for (int i = 0; i < 2000; i++) {
        char expected[32];
        char text[BV_NUMBER_TEXT_MAX];
        value = value * 6364136223846793005u + 1442695040888963407u;
        uint64_t shifted = value >> (i % 64);
        snprintf(expected, sizeof(expected), "%" PRIu64, shifted);
        size_t size = bv_uint64_text(shifted, text);
        cr_assert(bv_bytes_equal((struct bv_bytes){text, size}, bv_bytes_of(expected)));
        snprintf(expected, sizeof(expected), "%" PRId64, (int64_t)shifted);
        size = bv_int64_text((int64_t)shifted, text);
        cr_assert(bv_bytes_equal((struct bv_bytes){text, size}, bv_bytes_of(expected)));
    }
}

Test(number_text, digits_are_padded)
{
    char text[5] = "";
    bv_digits_text(42, 4, text);
    cr_assert_str_eq(text, "0042");
}
