/* Input: eight bytes, an integer and a double. Properties: both read back exactly by strtoll and
 * strtod; the decimal of a double is the shortest that does: none with fewer digits reads back. */
#include <math.h>

#include "number_text.h"

#include "fuzz.h"

static int digits_of(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        if (*text == '0') {
            zeros += count > 0;
            continue;
        }
        count += zeros + 1;
        zeros = 0;
    }
    return count;
}

static void check_double(double value)
{
    char text[BV_NUMBER_TEXT_MAX + 1], shorter[64];
    text[bv_double_text(value, text)] = '\0';
    const double back = strtod(text, NULL);
    FUZZ_REQUIRE(memcmp(&back, &value, sizeof value) == 0);
    const int digits = digits_of(text);
    FUZZ_REQUIRE(digits <= 17);
    if (digits > 1) {
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, value);
        const double other = strtod(shorter, NULL);
        FUZZ_REQUIRE(other < value || other > value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[BV_NUMBER_TEXT_MAX + 1];
    uint64_t bits = 0;
    double real = 0;
    if (size < sizeof bits)
        return 0;
    memcpy(&bits, data, sizeof bits);
    memcpy(&real, data, sizeof real);
    text[bv_uint64_text(bits, text)] = '\0';
    FUZZ_REQUIRE(strtoull(text, NULL, 10) == bits && strlen(text) <= 20);
    text[bv_int64_text((int64_t)bits, text)] = '\0';
    FUZZ_REQUIRE(strtoll(text, NULL, 10) == (int64_t)bits && strlen(text) <= 20);
    if (isfinite(real))
        check_double(real);
    return 0;
}
