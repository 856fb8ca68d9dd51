/* Properties: each decoder takes exactly what its encoder writes (bytes to text to bytes), what a
 * decoder accepts encodes to the same text (hexadecimal: to its lower case), decoded sizes keep
 * their bound; integers agree with strtoll and UTF-8 with iconv, two foreign readers. */
#include <ctype.h>
#include <errno.h>
#include <iconv.h>

#include "fuzz.h"

enum { SIZE_MAX_BYTES = 4096 };

static void check_encoders(struct bv_bytes bytes)
{
    char text[2 * SIZE_MAX_BYTES + 8], back[2 * SIZE_MAX_BYTES + 8];
    size_t size = bv_hex_encode(bytes.data, bytes.size, text);
    FUZZ_REQUIRE(size == 2 * bytes.size);
    FUZZ_REQUIRE(bv_hex_decode((struct bv_bytes){text, size}, back, bytes.size) == 0);
    FUZZ_REQUIRE(memcmp(back, bytes.data, bytes.size) == 0);
    size_t count = bv_base64_encode(bytes.data, bytes.size, text);
    FUZZ_REQUIRE(count == bv_base64_size(bytes.size));
    FUZZ_REQUIRE(bv_base64_decode((struct bv_bytes){text, count}, back, &size) == 0);
    FUZZ_REQUIRE(bv_bytes_equal(bytes, (struct bv_bytes){back, size}));
    count = bv_base64url_encode(bytes.data, bytes.size, text);
    FUZZ_REQUIRE(bv_base64url_decode((struct bv_bytes){text, count}, back, &size) == 0);
    FUZZ_REQUIRE(bv_bytes_equal(bytes, (struct bv_bytes){back, size}));
}

static void check_decoders(struct bv_bytes text)
{
    /* On the heap and of the exact size, so that a byte too much is seen. */
    char *out = malloc(text.size * 3 / 4 + 1);
    char again[SIZE_MAX_BYTES + 8];
    size_t size = 0;
    FUZZ_REQUIRE(out);
    if (bv_base64_decode(text, out, &size) == 0) {
        FUZZ_REQUIRE(size <= text.size * 3 / 4);
        const size_t count = bv_base64_encode(out, size, again);
        FUZZ_REQUIRE(bv_bytes_equal(text, (struct bv_bytes){again, count}));
    }
    if (bv_base64url_decode(text, out, &size) == 0) {
        FUZZ_REQUIRE(size <= text.size * 3 / 4);
        const size_t count = bv_base64url_encode(out, size, again);
        FUZZ_REQUIRE(bv_bytes_equal(text, (struct bv_bytes){again, count}));
    }
    if (bv_hex_decode(text, out, text.size / 2) == 0) {
        const size_t count = bv_hex_encode(out, text.size / 2, again);
        FUZZ_REQUIRE(count == text.size);
        for (size_t i = 0; i < count; i++)
            FUZZ_REQUIRE(again[i] == tolower((unsigned char)text.data[i]));
    }
    free(out);
}

static void check_int64(struct bv_bytes text)
{
    char copy[64], back[32];
    int64_t value = 77;
    const int rc = bv_bytes_int64(text, INT64_MIN, INT64_MAX, &value);
    FUZZ_REQUIRE(rc == 0 || value == 77);
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, '\0', text.size)) {
        FUZZ_REQUIRE(rc != 0 || text.size >= sizeof copy);
        return;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end = NULL;
    errno = 0;
    const long long peer = strtoll(copy, &end, 10);
    const bool plain = copy[0] == '-' || isdigit((unsigned char)copy[0]);
    const bool accepted = plain && end == copy + text.size && errno == 0;
    if (copy[0] != '+') /* whether a plus may stand there is ours to say */
        FUZZ_REQUIRE((rc == 0) == accepted);
    FUZZ_REQUIRE(rc != 0 || value == peer);
    if (rc == 0) {
        snprintf(back, sizeof back, "%lld", peer);
        FUZZ_REQUIRE(bv_bytes_int64(bv_bytes_of(back), peer, peer, &value) == 0 && value == peer);
    }
}

static void check_utf8(struct bv_bytes text)
{
    static iconv_t peer;
    uint32_t out[SIZE_MAX_BYTES];
    if (!peer)
        peer = iconv_open("UTF-32LE", "UTF-8");
    FUZZ_REQUIRE(peer != (iconv_t)-1);
    char *in = (char *)(uintptr_t)text.data, *to = (char *)out;
    size_t left = text.size, room = sizeof out;
    iconv(peer, NULL, NULL, NULL, NULL);
    bool well = iconv(peer, &in, &left, &to, &room) != (size_t)-1;
    FUZZ_REQUIRE(bv_bytes_utf8(text) == well);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SIZE_MAX_BYTES)
        return 0;
    const struct bv_bytes input = fuzz_bytes(data, size);
    check_encoders(input);
    check_decoders(input);
    check_int64(input);
    check_utf8(input);
    return 0;
}
