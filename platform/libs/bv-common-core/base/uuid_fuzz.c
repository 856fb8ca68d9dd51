/* Properties: a text is taken exactly when it is 8-4-4-4-12 hexadecimal digits; parse and format
 * give the text in lower case; a refusal leaves the result alone; the time of a version 7 is 48
 * bits. */
#include <ctype.h>

#include "bv/uuid.h"

#include "fuzz.h"

static bool form_of_uuid(struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.data[i] != '-' : !isxdigit((unsigned char)text.data[i]))
            return false;
    }
    return text.size == BV_UUID_TEXT_SIZE - 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bv_bytes text = fuzz_bytes(data, size);
    struct bv_uuid uuid = {{[0 ... 15] = 0xa5}}, again;
    char shown[BV_UUID_TEXT_SIZE];
    const int rc = bv_uuid_parse(text, &uuid);
    FUZZ_REQUIRE((rc == 0) == form_of_uuid(text));
    if (rc != 0) {
        for (size_t i = 0; i < sizeof uuid.octets; i++)
            FUZZ_REQUIRE(uuid.octets[i] == 0xa5);
        return 0;
    }
    bv_uuid_format(uuid, shown);
    for (size_t i = 0; i < text.size; i++)
        FUZZ_REQUIRE(shown[i] == tolower((unsigned char)text.data[i]));
    FUZZ_REQUIRE(bv_uuid_parse(bv_bytes_of(shown), &again) == 0);
    FUZZ_REQUIRE(memcmp(&uuid, &again, sizeof uuid) == 0);
    const int64_t ms = bv_uuid_v7_ms(uuid);
    FUZZ_REQUIRE(shown[14] == '7' ? ms < INT64_C(1) << 48 : ms == -1);
    return 0;
}
