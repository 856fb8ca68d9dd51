/* Input: id, timestamp, header and body, separated by NUL. Properties: verify(sign(x)) holds, also
 * among other signatures; it fails with another byte in the body, the id or the signature, and with
 * a timestamp outside of the tolerance; an arbitrary header holds only when the right signature is
 * one of its words; a secret that is none signs nothing. */
#include "bv/webhook.h"

#include "fuzz.h"

static const struct bv_bytes secret = {"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", 50};
enum { TOLERANCE_S = 300 };

static int verify(struct bv_bytes id, int64_t at_s, struct bv_bytes header, struct bv_bytes body)
{
    char timestamp[32];
    struct bv_error error = {0};
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)at_s);
    const int rc = bv_webhook_verify(
        secret, id, bv_bytes_of(timestamp), header, body, 1700000000, TOLERANCE_S, &error);
    FUZZ_REQUIRE(rc == 0 || (rc == BV_E_UNAUTHENTICATED && error.text[0]));
    return rc;
}

static bool has_word(struct bv_bytes header, struct bv_bytes word)
{
    while (header.size > 0)
        if (bv_bytes_equal(fuzz_part(&header, ' '), word))
            return true;
    return false;
}

static void
check_changed(struct bv_bytes id, int64_t at_s, struct bv_bytes header, struct bv_bytes body)
{
    bv_auto(bv_buf_release) struct bv_buf other = {.max = 1 << 20};
    bv_buf_bytes(&other, body);
    bv_buf_char(&other, 'x');
    FUZZ_REQUIRE(verify(id, at_s, header, bv_buf_view(&other)) != 0);
    if (body.size > 0) {
        other.size--;
        other.data[body.size / 2] ^= 1;
        FUZZ_REQUIRE(verify(id, at_s, header, bv_buf_view(&other)) != 0);
    }
    bv_buf_reset(&other);
    bv_buf_bytes(&other, id);
    bv_buf_char(&other, 'x');
    FUZZ_REQUIRE(verify(bv_buf_view(&other), at_s, header, body) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf among = {.max = 1 << 20};
    char text[BV_WEBHOOK_SIGNATURE_TEXT];
    struct bv_bytes rest = fuzz_bytes(data, size);
    if (size > 8192)
        return 0;
    const struct bv_bytes id = fuzz_part(&rest, '\0');
    const struct bv_bytes timestamp = fuzz_part(&rest, '\0');
    const struct bv_bytes header = fuzz_part(&rest, '\0');
    const struct bv_bytes body = rest;
    int64_t at_s = 1700000000;
    if (bv_bytes_int64(timestamp, 0, INT64_MAX / 2, &at_s) != 0)
        FUZZ_REQUIRE(
            bv_webhook_verify(secret, id, timestamp, header, body, at_s, TOLERANCE_S, NULL) != 0);
    FUZZ_REQUIRE(bv_webhook_sign(secret, id, at_s, body, text) == 0);
    const bool recent = at_s >= 1700000000 - TOLERANCE_S && at_s <= 1700000000 + TOLERANCE_S;
    FUZZ_REQUIRE((verify(id, at_s, bv_bytes_of(text), body) == 0) == recent);
    FUZZ_REQUIRE(!recent ||
                 (verify(id, at_s, header, body) == 0) == has_word(header, bv_bytes_of(text)));
    bv_buf_bytes(&among, header);
    bv_buf_format(&among, " %s v1,x", text);
    FUZZ_REQUIRE((verify(id, at_s, bv_buf_view(&among), body) == 0) == recent);
    if (recent)
        check_changed(id, at_s, bv_bytes_of(text), body);
    FUZZ_REQUIRE(bv_bytes_starts(header, BV_BYTES("whsec_")) ||
                 bv_webhook_sign(header, id, at_s, body, text) != 0);
    return 0;
}
