#include "bv/bytes.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(bytes, integers_are_whole_spans_within_their_range)
{
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } rows[] = {
        {"0",                       0,            0        },
        {"-0",                      0,            0        },
        {"007",                     0,            7        },
        {"9223372036854775807",     0,            INT64_MAX},
        {"-9223372036854775808",    0,            INT64_MIN},
        {"9223372036854775808",     BV_E_INVALID, 0        },
        {"-9223372036854775809",    BV_E_INVALID, 0        },
        {"99999999999999999999999", BV_E_INVALID, 0        },
        {"",                        BV_E_INVALID, 0        },
        {"-",                       BV_E_INVALID, 0        },
        {"+1",                      BV_E_INVALID, 0        },
        {"1 ",                      BV_E_INVALID, 0        },
        {" 1",                      BV_E_INVALID, 0        },
        {"1x",                      BV_E_INVALID, 0        },
        {"0x1",                     BV_E_INVALID, 0        },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        int64_t value = 0;
        int rc = bv_bytes_int64(bv_bytes_of(rows[i].text), INT64_MIN, INT64_MAX, &value);
        cr_assert_eq(rc, rows[i].rc, "%s", rows[i].text);
        cr_assert_eq(value, rows[i].value, "%s", rows[i].text);
    }
    int64_t value = 77;
    cr_assert_eq(bv_bytes_int64(BV_BYTES("11"), 1, 10, &value), BV_E_INVALID);
    cr_assert_eq(bv_bytes_int64(BV_BYTES("0"), 1, 10, &value), BV_E_INVALID);
    cr_assert_eq(value, 77);
    cr_assert_eq(bv_bytes_int64(BV_BYTES_NONE, 1, 10, &value), BV_E_INVALID);
}

Test(bytes, comparisons)
{
    cr_assert(bv_bytes_equal_nocase(BV_BYTES("Content-TYPE"), BV_BYTES("content-type")));
    cr_assert_not(bv_bytes_equal_nocase(BV_BYTES("a["), BV_BYTES("a{")));
    cr_assert_not(bv_bytes_equal_nocase(BV_BYTES("a"), BV_BYTES("ab")));
    cr_assert(bv_bytes_starts(BV_BYTES("abc"), BV_BYTES("ab")));
    cr_assert(bv_bytes_starts(BV_BYTES("abc"), BV_BYTES_NONE));
    cr_assert_not(bv_bytes_starts(BV_BYTES("ab"), BV_BYTES("abc")));
    cr_assert(bv_bytes_equal_constant_time(BV_BYTES("secret"), BV_BYTES("secret")));
    cr_assert_not(bv_bytes_equal_constant_time(BV_BYTES("secret"), BV_BYTES("secreT")));
    cr_assert_not(bv_bytes_equal_constant_time(BV_BYTES("secret"), BV_BYTES("secre")));
    cr_assert(bv_bytes_equal_constant_time(BV_BYTES_NONE, BV_BYTES("")));
}

/* Decodes by the definition (value, then shortest form) and so checks the table-driven one. */
static bool utf8_by_definition(const unsigned char *p, size_t size)
{
    for (size_t at = 0; at < size;) {
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t n = p[at] < 0x80       ? 1
                   : p[at] >> 5 == 6  ? 2
                   : p[at] >> 4 == 14 ? 3
                   : p[at] >> 3 == 30 ? 4
                                      : 0;
        if (n == 0 || at + n > size)
            return false;
        uint32_t value = n == 1 ? p[at] : p[at] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
            if (p[at + i] >> 6 != 2)
                return false;
            value = value << 6 | (p[at + i] & 0x3fu);
        }
        if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
        at += n;
    }
    return true;
}

Test(bytes, utf8_agrees_with_its_definition)
{
    unsigned char text[4];
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            for (unsigned c = 0; c < 256; c += 7) {
                text[0] = (unsigned char)a;
                text[1] = (unsigned char)b;
                text[2] = (unsigned char)(c + a % 7);
                text[3] = (unsigned char)(0x80 + c % 0x50);
                for (size_t size = 1; size <= 4; size++) {
                    struct bv_bytes bytes = {(const char *)text, size};
                    cr_assert_eq(bv_bytes_utf8(bytes),
                                 utf8_by_definition(text, size),
                                 "%02x %02x %02x %02x, %zu",
                                 text[0],
                                 text[1],
                                 text[2],
                                 text[3],
                                 size);
                }
            }
    cr_assert(bv_bytes_utf8(BV_BYTES_NONE));
    cr_assert(bv_bytes_utf8(BV_BYTES("eight+++\xf0\x9f\x98\x80 and more than eight")));
    cr_assert_not(bv_bytes_utf8(BV_BYTES("eight+++eight++\xff")));
}

Test(buf, grows_to_its_maximum_and_not_beyond)
{
    struct bv_buf buf = {.max = 1000};
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(bv_buf_char(&buf, (char)('a' + i % 26)), 0);
    cr_assert_leq(buf.capacity, 1000);
    cr_assert_eq(bv_buf_char(&buf, '!'), BV_E_TOO_LARGE);
    cr_assert(buf.failed);
    cr_assert_eq(buf.size, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(buf.data[i], 'a' + i % 26);
    bv_buf_release(&buf);
}

Test(buf, failure_sticks_until_reset)
{
    struct bv_buf buf = {.max = 4};
    cr_assert_eq(bv_buf_text(&buf, "ab"), 0);
    cr_assert_eq(bv_buf_text(&buf, "cde"), BV_E_TOO_LARGE);
    cr_assert_eq(bv_buf_text(&buf, "c"), BV_E_TOO_LARGE, "no hole in a chain of appends");
    cr_assert_eq(bv_buf_append(&buf, NULL, 0), BV_E_TOO_LARGE);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES("ab")));
    bv_buf_reset(&buf);
    cr_assert_eq(buf.max, 4);
    cr_assert_eq(bv_buf_text(&buf, "wxyz"), 0);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES("wxyz")));
    bv_buf_release(&buf);
    bv_buf_release(&buf);
    bv_buf_release(NULL);
}

Test(buf, format_fills_the_very_last_byte)
{
    for (size_t max = 0; max < 600; max++) {
        struct bv_buf buf = {.max = max};
        int rc = bv_buf_format(&buf, "%0*d", 300, 7);
        cr_assert_eq(rc, max >= 300 ? 0 : BV_E_TOO_LARGE, "max %zu", max);
        cr_assert_eq(buf.size, max >= 300 ? 300 : 0);
        bv_buf_release(&buf);
    }
}

Test(buf, nothing_appends_to_nothing)
{
    struct bv_buf buf = {0};
    cr_assert_eq(bv_buf_append(&buf, NULL, 0), 0);
    cr_assert_eq(bv_buf_bytes(&buf, BV_BYTES_NONE), 0);
    cr_assert_null(bv_buf_reserve(&buf, 1));
    cr_assert(buf.failed);
}

Test(buf, integers)
{
    struct bv_buf buf = {.max = 100};
    bv_buf_int64(&buf, INT64_MIN);
    bv_buf_char(&buf, ' ');
    bv_buf_int64(&buf, INT64_MAX);
    bv_buf_char(&buf, ' ');
    bv_buf_int64(&buf, 0);
    cr_assert(
        bv_bytes_equal(bv_buf_view(&buf), BV_BYTES("-9223372036854775808 9223372036854775807 0")));
    bv_buf_release(&buf);
}

Test(encodings, rfc_4648_vectors)
{
    static const struct {
        const char *plain;
        const char *padded;
    } rows[] = {
        {"",       ""        },
        {"f",      "Zg=="    },
        {"fo",     "Zm8="    },
        {"foo",    "Zm9v"    },
        {"foob",   "Zm9vYg=="},
        {"fooba",  "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char out[16];
        size_t size = strlen(rows[i].plain);
        size_t written = bv_base64_encode(rows[i].plain, size, out);
        cr_assert_eq(written, bv_base64_size(size));
        cr_assert(bv_bytes_equal((struct bv_bytes){out, written}, bv_bytes_of(rows[i].padded)));
        size_t decoded = 99;
        cr_assert_eq(bv_base64_decode(bv_bytes_of(rows[i].padded), out, &decoded), 0);
        cr_assert(bv_bytes_equal((struct bv_bytes){out, decoded}, bv_bytes_of(rows[i].plain)));
    }
}

Test(encodings, every_byte_survives_the_round_trip)
{
    unsigned char data[256];
    char text[512];
    unsigned char back[256];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 167 + 13);
    for (size_t size = 0; size <= sizeof(data); size++) {
        size_t got = 999;
        struct bv_bytes encoded = {text, bv_base64url_encode(data, size, text)};
        cr_assert_null(memchr(text, '=', encoded.size));
        cr_assert_eq(bv_base64url_decode(encoded, back, &got), 0);
        cr_assert_eq(got, size);
        cr_assert_leq(got, encoded.size * 3 / 4);
        cr_assert_eq(memcmp(back, data, size), 0);
        encoded.size = bv_base64_encode(data, size, text);
        cr_assert_eq(bv_base64_decode(encoded, back, &got), 0);
        cr_assert_eq(got, size);
        cr_assert_eq(memcmp(back, data, size), 0);
        encoded.size = bv_hex_encode(data, size, text);
        cr_assert_eq(bv_hex_decode(encoded, back, size), 0);
        cr_assert_eq(memcmp(back, data, size), 0);
    }
}

Test(encodings, decoders_are_strict)
{
    static const char *const base64[] = {"Zg",
                                         "Zg=",
                                         "Zg===",
                                         "Z===",
                                         "====",
                                         "Zh==",
                                         "Zm9=",
                                         "Zm 9v",
                                         "Zm9v\n",
                                         "Zg==Zg==",
                                         "Zm-_",
                                         "=Zg="};
    static const char *const base64url[] = {"Z", "Zh", "Zm9", "Zg==", "Zm+/", "Zm 9", "Zm9vY"};
    unsigned char out[16];
    size_t size = 77;
    for (size_t i = 0; i < BV_COUNT(base64); i++)
        cr_assert_eq(
            bv_base64_decode(bv_bytes_of(base64[i]), out, &size), BV_E_INVALID, "%s", base64[i]);
    for (size_t i = 0; i < BV_COUNT(base64url); i++)
        cr_assert_eq(bv_base64url_decode(bv_bytes_of(base64url[i]), out, &size),
                     BV_E_INVALID,
                     "%s",
                     base64url[i]);
    cr_assert_eq(size, 77);
    cr_assert_eq(bv_hex_decode(BV_BYTES("0g"), out, 1), BV_E_INVALID);
    cr_assert_eq(bv_hex_decode(BV_BYTES("012"), out, 1), BV_E_INVALID);
    cr_assert_eq(bv_hex_decode(BV_BYTES("0123"), out, 1), BV_E_INVALID);
    cr_assert_eq(bv_hex_decode(BV_BYTES("aF"), out, 1), 0);
    cr_assert_eq(out[0], 0xaf);
}
