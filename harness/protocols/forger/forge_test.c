#include "forge.h"

#include "bv/jose.h"
#include <criterion/criterion.h>
#include <stdio.h>

static const int64_t now_s = 2000000000;

struct fixture {
    struct bv_arena *arena;
    struct bv_jose_keys *published;
    struct bv_buf genuine, pem;
    struct forge_material material;
};

static void make(enum bv_jose_alg alg, struct fixture *f)
{
    struct bv_jose_key *signer = NULL;
    const struct bv_claims claims = {.issuer = BV_BYTES("http://auth"),
                                     .subject = BV_BYTES("user-1"),
                                     .audience = BV_BYTES("bitvelocity"),
                                     .scope = BV_BYTES("orders:write"),
                                     .issued_at_s = now_s,
                                     .expires_at_s = now_s + 300};
    *f = (struct fixture){.genuine = {.max = BV_JWT_BYTES_MAX}, .pem = {.max = 16384}};
    cr_assert_eq(bv_arena_open(1 << 20, &f->arena), 0);
    cr_assert_eq(bv_jose_key_generate(alg, &signer, NULL), 0);
    cr_assert_eq(bv_jose_key_to_pem(signer, &f->pem), 0);
    cr_assert_eq(bv_jwt_sign(signer, &claims, &f->genuine), 0);
    f->material = (struct forge_material){
        .genuine = bv_buf_view(&f->genuine),
        .pem = bv_buf_view(&f->pem),
        .alg = alg == BV_JOSE_EDDSA ? BV_BYTES("EdDSA") : BV_BYTES("RS256"),
        .kid = bv_arena_copy(f->arena, bv_jose_key_id(signer)),
        .now_s = now_s,
    };
    cr_assert_eq(bv_jose_keys_open(4, &f->published), 0);
    cr_assert_eq(bv_jose_keys_add(f->published, &signer), 0);
}

static void drop(struct fixture *f)
{
    bv_jose_keys_close(&f->published);
    bv_buf_release(&f->genuine);
    bv_buf_release(&f->pem);
    bv_arena_close(&f->arena);
}

/* The platform's own verifier lets the genuine one in, so what keeps the others out is their flaw.
 */
static void judge(enum bv_jose_alg alg)
{
    const struct bv_jwt_rules rules = {BV_BYTES("http://auth"), BV_BYTES("bitvelocity"), 5};
    struct fixture f;
    make(alg, &f);
    for (size_t i = 0; i < forge_kind_count(); i++) {
        const char *kind = forge_kind_at(i).name;
        const char *token = NULL;
        struct bv_claims claims;
        struct bv_error error = {0};
        cr_assert_eq(forge_token(&f.material, bv_bytes_of(kind), f.arena, &token, &error),
                     0,
                     "%s",
                     error.text);
        const int rc =
            bv_jwt_verify(f.published, &rules, now_s, bv_bytes_of(token), f.arena, &claims, &error);
        cr_expect_eq(rc,
                     strcmp(kind, "genuine") == 0 ? 0 : BV_E_UNAUTHENTICATED,
                     "%s: %s",
                     kind,
                     error.text);
        cr_expect(strcmp(kind, "expired") != 0 || strstr(error.text, "expired"), "%s", error.text);
        cr_expect(strcmp(kind, "padded") != 0 || strlen(token) > BV_JWT_BYTES_MAX);
    }
    drop(&f);
}

Test(forge, only_the_genuine_one_passes_with_an_edwards_key)
{
    judge(BV_JOSE_EDDSA);
}

Test(forge, only_the_genuine_one_passes_with_an_rsa_key)
{
    judge(BV_JOSE_RS256);
}

Test(forge, an_unknown_kind_is_told_what_there_is)
{
    struct fixture f;
    struct bv_error error = {0};
    const char *token = NULL;
    make(BV_JOSE_EDDSA, &f);
    cr_expect_eq(forge_token(&f.material, BV_BYTES("perfect"), f.arena, &token, &error),
                 BV_E_NOT_FOUND);
    cr_expect_not_null(strstr(error.text, "expired"), "%s", error.text);
    drop(&f);
}
