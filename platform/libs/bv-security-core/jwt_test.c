#include "bv/jose.h"
#include <criterion/criterion.h>
#include <stdio.h>

static const int64_t now_s = 1000000;

struct fixture {
    struct bv_arena *arena;
    struct bv_jose_keys *keys;
    struct bv_jose_key *signer; /* same key as in keys, private */
    struct bv_buf token;
};

static struct bv_claims good_claims(void)
{
    return (struct bv_claims){
        .issuer = BV_BYTES("http://auth"),
        .subject = BV_BYTES("user-1"),
        .audience = BV_BYTES("bitvelocity"),
        .scope = BV_BYTES("orders:write products:read"),
        .tenant = BV_BYTES("default"),
        .token_id = BV_BYTES("t1"),
        .issued_at_s = now_s,
        .expires_at_s = now_s + 300,
    };
}

static const struct bv_jwt_rules rules = {
    {"http://auth", 11},
    {"bitvelocity", 11},
    5
};

/* The verifier's key set is what a service has: it went through JWKS JSON. */
static struct fixture make(enum bv_jose_alg alg)
{
    struct fixture f = {.token = {.max = BV_JWT_BYTES_MAX}};
    struct bv_buf jwks = {.max = 65536};
    struct bv_json_writer w = bv_json_writer(&jwks);
    struct bv_jose_keys *own = NULL;
    struct bv_jose_key *copy = NULL;
    struct bv_buf pem = {.max = 16384};
    cr_assert_eq(bv_arena_open(1 << 20, &f.arena), 0);
    cr_assert_eq(bv_jose_key_generate(alg, &f.signer, NULL), 0);
    cr_assert_eq(bv_jose_key_to_pem(f.signer, &pem), 0);
    cr_assert_eq(bv_jose_key_from_pem(bv_buf_view(&pem), alg, BV_BYTES_NONE, &copy, NULL), 0);
    cr_assert_eq(bv_jose_keys_open(4, &own), 0);
    cr_assert_eq(bv_jose_keys_add(own, &copy), 0);
    cr_assert_eq(bv_jose_keys_to_jwks(own, &w), 0);
    cr_assert_null(memmem(jwks.data, jwks.size, "\"d\"", 3), "a JWKS never holds private members");
    cr_assert_eq(bv_jose_keys_from_jwks(bv_buf_view(&jwks), &f.keys, NULL), 0);
    bv_jose_keys_close(&own);
    bv_buf_release(&jwks);
    bv_buf_release(&pem);
    return f;
}

static void drop(struct fixture *f)
{
    bv_arena_close(&f->arena);
    bv_jose_keys_close(&f->keys);
    bv_jose_key_free(&f->signer);
    bv_buf_release(&f->token);
}

static int verify(struct fixture *f, struct bv_bytes token, struct bv_error *error)
{
    struct bv_claims claims;
    return bv_jwt_verify(f->keys, &rules, now_s, token, f->arena, &claims, error);
}

static void round_trip(enum bv_jose_alg alg)
{
    struct fixture f = make(alg);
    struct bv_claims claims = good_claims(), got;
    cr_assert_eq(bv_jwt_sign(f.signer, &claims, &f.token), 0);
    cr_assert_eq(bv_jwt_verify(f.keys, &rules, now_s, bv_buf_view(&f.token), f.arena, &got, NULL),
                 0);
    cr_assert(bv_bytes_equal(got.subject, claims.subject));
    cr_assert(bv_bytes_equal(got.scope, claims.scope));
    cr_assert_eq(got.expires_at_s, claims.expires_at_s);
    drop(&f);
}

Test(jwt, rs256_round_trip)
{
    round_trip(BV_JOSE_RS256);
}

Test(jwt, eddsa_round_trip)
{
    round_trip(BV_JOSE_EDDSA);
}

Test(jwt, every_changed_byte_is_refused)
{
    struct fixture f = make(BV_JOSE_EDDSA);
    struct bv_claims claims = good_claims();
    cr_assert_eq(bv_jwt_sign(f.signer, &claims, &f.token), 0);
    for (size_t i = 0; i < f.token.size; i++) {
        char was = f.token.data[i];
        f.token.data[i] = was == 'A' ? 'B' : 'A';
        cr_expect_eq(verify(&f, bv_buf_view(&f.token), NULL), BV_E_UNAUTHENTICATED, "byte %zu", i);
        f.token.data[i] = was;
        bv_arena_reset(f.arena);
    }
    cr_assert_eq(verify(&f, bv_buf_view(&f.token), NULL), 0);
    drop(&f);
}

Test(jwt, claims_outside_the_rules_are_refused)
{
    struct fixture f = make(BV_JOSE_EDDSA);
    struct bv_claims rows[6];
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        rows[i] = good_claims();
    rows[0].expires_at_s = now_s - 6;
    rows[1].not_before_s = now_s + 6;
    rows[2].issuer = BV_BYTES("http://other");
    rows[3].audience = BV_BYTES("elsewhere");
    rows[4].subject = BV_BYTES_NONE;
    rows[5].expires_at_s = now_s - 5; /* exactly at the end of the leeway */
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        bv_buf_reset(&f.token);
        cr_assert_eq(bv_jwt_sign(f.signer, &rows[i], &f.token), 0);
        cr_expect_eq(verify(&f, bv_buf_view(&f.token), NULL), BV_E_UNAUTHENTICATED, "row %zu", i);
    }
    drop(&f);
}

static size_t encode(const char *json, char *out)
{
    return bv_base64url_encode(json, strlen(json), out);
}

Test(jwt, the_token_never_chooses_its_algorithm)
{
    static const char *const algorithms[] = {"none", "None", "HS256", "RS256", "ES256", ""};
    struct fixture f = make(BV_JOSE_EDDSA);
    struct bv_claims claims = good_claims();
    cr_assert_eq(bv_jwt_sign(f.signer, &claims, &f.token), 0);
    char *payload = strchr(f.token.data, '.');
    for (size_t i = 0; i < BV_COUNT(algorithms); i++) {
        char header[256], token[4096];
        struct bv_bytes kid = bv_jose_key_id(f.signer);
        snprintf(header,
                 sizeof(header),
                 "{\"alg\":\"%s\",\"kid\":\"%.*s\"}",
                 algorithms[i],
                 BV_ARG(kid));
        size_t size = encode(header, token);
        size_t rest = f.token.size - (size_t)(payload - f.token.data);
        memcpy(token + size, payload, rest);
        struct bv_error error = {0};
        cr_expect_eq(verify(&f, (struct bv_bytes){token, size + rest}, &error),
                     BV_E_UNAUTHENTICATED,
                     "%s",
                     algorithms[i]);
        cr_expect(strstr(error.text, "algorithm"), "%s: %s", algorithms[i], error.text);
    }
    drop(&f);
}

Test(jwt, malformed_tokens_are_refused)
{
    static const char *const tokens[] = {
        "", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30.", "\xff.\xff.\xff", "W10.e30.AA"};
    struct fixture f = make(BV_JOSE_EDDSA);
    for (size_t i = 0; i < BV_COUNT(tokens); i++)
        cr_expect_eq(
            verify(&f, bv_bytes_of(tokens[i]), NULL), BV_E_UNAUTHENTICATED, "%s", tokens[i]);
    drop(&f);
}

Test(jwks, skips_keys_of_other_kinds)
{
    struct bv_jose_keys *keys = NULL;
    cr_assert_eq(
        bv_jose_keys_from_jwks(BV_BYTES("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\","
                                        "\"y\":\"AA\"},{\"kty\":\"oct\",\"k\":\"AA\"}]}"),
                               &keys,
                               NULL),
        0);
    bv_jose_keys_close(&keys);
    cr_assert_eq(bv_jose_keys_from_jwks(BV_BYTES("{\"keys\":{}}"), &keys, NULL), BV_E_INVALID);
    cr_assert_eq(
        bv_jose_keys_from_jwks(
            BV_BYTES("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}"), &keys, NULL),
        BV_E_INVALID);
}

/* RFC 7517, 4.2: a key that is published to encrypt to signs nothing. */
Test(jwks, skips_keys_that_are_not_for_signatures)
{
    static const struct {
        const char *use;
        bool taken;
    } rows[] = {
        {"",                 true },
        {"\"use\":\"sig\",", true },
        {"\"use\":\"enc\",", false},
        {"\"use\":7,",       false},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_jose_keys *keys = NULL;
        struct bv_buf jwks = {.max = 4096};
        struct bv_json_writer w = bv_json_writer(&jwks);
        char json[256];
        snprintf(json,
                 sizeof json,
                 "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",%s"
                 "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
                 rows[i].use);
        cr_assert_eq(bv_jose_keys_from_jwks(bv_bytes_of(json), &keys, NULL), 0);
        cr_assert_eq(bv_jose_keys_to_jwks(keys, &w), 0);
        cr_expect_eq(bv_bytes_equal(bv_buf_view(&jwks), BV_BYTES("{\"keys\":[]}")),
                     !rows[i].taken,
                     "%s",
                     rows[i].use);
        bv_jose_keys_close(&keys);
        bv_buf_release(&jwks);
    }
}

/* With an exponent of 1 every text would be its own signature. */
Test(jwks, an_rsa_key_needs_a_sound_exponent)
{
    static const char *const exponents[] = {"\"\"", "\"AQ\"", "\"AAE\"", "\"Ag\"", "7", "\"AQAA\""};
    for (size_t i = 0; i < BV_COUNT(exponents); i++) {
        struct bv_jose_keys *keys = NULL;
        struct bv_error error = {0};
        char json[600], modulus[343];
        memset(modulus, 'v', sizeof modulus - 1);
        modulus[sizeof modulus - 2] = 'w'; /* no stray bits */
        modulus[sizeof modulus - 1] = '\0';
        snprintf(json,
                 sizeof json,
                 "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":%s}]}",
                 modulus,
                 exponents[i]);
        cr_expect_eq(bv_jose_keys_from_jwks(bv_bytes_of(json), &keys, &error),
                     BV_E_INVALID,
                     "%s",
                     exponents[i]);
        cr_expect_neq(error.text[0], '\0');
        cr_expect_null(keys);
    }
}

Test(jwks, more_keys_than_the_limit_are_refused_with_a_reason)
{
    bv_auto(bv_buf_release) struct bv_buf json = {.max = 65536};
    struct bv_jose_keys *keys = NULL;
    struct bv_error error = {0};
    bv_buf_text(&json, "{\"keys\":[");
    for (int i = 0; i < 17; i++)
        bv_buf_format(&json,
                      "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k%d\","
                      "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
                      i ? "," : "",
                      i);
    bv_buf_text(&json, "]}");
    cr_expect_eq(bv_jose_keys_from_jwks(bv_buf_view(&json), &keys, &error), BV_E_LIMIT);
    cr_expect_not_null(strstr(error.text, "16"), "%s", error.text);
}
