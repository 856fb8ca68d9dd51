/* Input: Last-Event-ID, a line end, the parameter "after". Properties: a cursor is taken exactly
 * when it is 1 to 16 digits up to 2^53-1, the header before the parameter; what is taken says the
 * same when written again; a refusal leaves the result alone and names which one it was. */
#include "notification_core.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bv_bytes rest = fuzz_bytes(data, size);
    struct bv_error error = {0};
    const bool has_header = fuzz_byte(&rest) & 1;
    const struct bv_bytes header = has_header ? fuzz_part(&rest, '\n') : BV_BYTES_NONE;
    const struct bv_bytes text = has_header ? header : rest;
    int64_t cursor = -77, again = -77;
    char digits[32];
    if (notification_cursor(header, rest, &cursor, &error) != 0) {
        FUZZ_REQUIRE(cursor == -77 && strstr(error.text, has_header ? "Last-Event-ID" : "after"));
        return 0;
    }
    FUZZ_REQUIRE(cursor >= 0 && cursor < INT64_C(1) << 53 && text.size <= 16);
    for (size_t i = 0; i < text.size; i++)
        FUZZ_REQUIRE(text.data[i] >= '0' && text.data[i] <= '9');
    snprintf(digits, sizeof digits, "%lld", (long long)cursor);
    FUZZ_REQUIRE(notification_cursor(BV_BYTES_NONE, bv_bytes_of(digits), &again, NULL) == 0);
    FUZZ_REQUIRE(cursor == again);
    return 0;
}
