/* Input: a byte, then a token, or, where the byte is odd, claims separated by NUL. Properties: of
 * arbitrary tokens only the one is accepted that the fixed key signed, byte by byte; what is signed
 * verifies to the same claims, and no longer when one byte of it is another; nothing is written for
 * a refused token, and every refusal says why. */
#include "bv/jose.h"

#include "fuzz.h"

/* The example key of RFC 8037, appendix A. */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                          "-----END PRIVATE KEY-----\n";
static const int64_t now_s = 1700000000;
static const struct bv_jwt_rules rules = {
    .issuer = {"fuzz", 4},
      .audience = {"api",  3},
      .leeway_s = 5
};
static const struct bv_claims known_claims = {
    .issuer = {"fuzz",        4 },
    .subject = {"alice",       5 },
    .audience = {"api",         3 },
    .scope = {"orders:read", 11},
    .issued_at_s = 1699999990,
    .expires_at_s = 1700000600
};

struct fixed {
    struct bv_jose_key *key;
    struct bv_jose_keys *keys;
    struct bv_buf token;
};

static const struct fixed *fixed(void)
{
    static struct fixed f = {.token.max = BV_JWT_BYTES_MAX};
    struct bv_jose_key *copy = NULL;
    if (f.key)
        return &f;
    const struct bv_bytes text = bv_bytes_of(pem);
    const struct bv_bytes kid = BV_BYTES("k1");
    FUZZ_REQUIRE(bv_jose_key_from_pem(text, BV_JOSE_EDDSA, kid, &f.key, NULL) == 0);
    FUZZ_REQUIRE(bv_jose_key_from_pem(text, BV_JOSE_EDDSA, kid, &copy, NULL) == 0);
    FUZZ_REQUIRE(bv_jose_keys_open(4, &f.keys) == 0 && bv_jose_keys_add(f.keys, &copy) == 0);
    FUZZ_REQUIRE(bv_jwt_sign(f.key, &known_claims, &f.token) == 0);
    return &f;
}

static int verify(struct bv_arena *arena, struct bv_bytes token, struct bv_claims *claims)
{
    struct bv_error error = {0};
    struct bv_claims before;
    memset(claims, 0x33, sizeof *claims);
    memset(&before, 0x33, sizeof before);
    const int rc = bv_jwt_verify(fixed()->keys, &rules, now_s, token, arena, claims, &error);
    FUZZ_REQUIRE(rc == 0 || (rc == BV_E_UNAUTHENTICATED && error.text[0]));
    FUZZ_REQUIRE(rc == 0 || memcmp(claims, &before, sizeof before) == 0);
    return rc;
}

static void check_signed(struct bv_arena *arena, struct bv_bytes input)
{
    bv_auto(bv_buf_release) struct bv_buf token = {.max = BV_JWT_BYTES_MAX};
    struct bv_claims claims = known_claims, back;
    const uint8_t place = fuzz_byte(&input), flip = fuzz_byte(&input);
    claims.subject = fuzz_part(&input, '\0');
    claims.scope = fuzz_part(&input, '\0');
    claims.tenant = fuzz_part(&input, '\0');
    claims.client = fuzz_part(&input, '\0');
    claims.token_id = fuzz_part(&input, '\0');
    const int rc = bv_jwt_sign(fixed()->key, &claims, &token);
    FUZZ_REQUIRE(rc == 0 || rc == BV_E_TOO_LARGE);
    if (rc != 0 || !bv_bytes_utf8(claims.subject) || !bv_bytes_utf8(claims.scope))
        return;
    const bool good = verify(arena, bv_buf_view(&token), &back) == 0;
    FUZZ_REQUIRE(good == (claims.subject.size > 0));
    if (!good)
        return;
    FUZZ_REQUIRE(bv_bytes_equal(back.subject, claims.subject));
    FUZZ_REQUIRE(bv_bytes_equal(back.scope, claims.scope));
    FUZZ_REQUIRE(back.expires_at_s == claims.expires_at_s);
    char *byte = &token.data[(size_t)place * token.size / 256];
    const char was = *byte;
    *byte = (char)(was ^ (flip ? flip : 1));
    FUZZ_REQUIRE(verify(arena, bv_buf_view(&token), &back) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct bv_bytes input = fuzz_bytes(data, size);
    struct bv_claims claims;
    if (size > 2 * BV_JWT_BYTES_MAX || bv_arena_open(4 << 20, &arena) < 0)
        return 0;
    if (fuzz_byte(&input) & 1) {
        check_signed(arena, input);
        return 0;
    }
    /* '!' stands for the good token, so that what is near it is found */
    const struct bv_bytes token = bv_buf_view(&fixed()->token);
    if (input.size > 0 && input.data[0] == '!') {
        bv_auto(bv_buf_release) struct bv_buf near = {.max = 65536};
        bv_buf_bytes(&near, token);
        bv_buf_append(&near, input.data + 1, input.size - 1);
        FUZZ_REQUIRE((verify(arena, bv_buf_view(&near), &claims) == 0) == (input.size == 1));
        return 0;
    }
    FUZZ_REQUIRE(verify(arena, input, &claims) != 0 || bv_bytes_equal(input, token));
    return 0;
}
