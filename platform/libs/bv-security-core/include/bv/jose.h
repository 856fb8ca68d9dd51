/* JWT, JWS and JWK on OpenSSL EVP. The key's row fixes the algorithm; a token whose alg differs is
 * refused; "none" and HMAC never verify. Sources: RFC 7515, 7517, 7518, 7519, 8037, 8725. Thread:
 * verify: any on an immutable key set; the rest: one owner. */
#ifndef BV_JOSE_H
#define BV_JOSE_H

#include "bv/arena.h"
#include "bv/json.h"

enum bv_jose_alg { BV_JOSE_RS256, BV_JOSE_EDDSA };
#define BV_KEY_ID_MAX 64
struct bv_jose_key; /* private or public */
BV_MUST_CHECK int
bv_jose_key_generate(enum bv_jose_alg alg,
                     struct bv_jose_key **ret_key,
                     struct bv_error *error); /* RS256: 2048 bit, slow: on a worker. Randomness is
                                                 OpenSSL's own, never a seeded one */
BV_MUST_CHECK int bv_jose_key_from_pem(struct bv_bytes pem,
                                       enum bv_jose_alg alg,
                                       struct bv_bytes kid,
                                       struct bv_jose_key **ret_key,
                                       struct bv_error *error);
int bv_jose_key_to_pem(const struct bv_jose_key *key, struct bv_buf *buf); /* PKCS#8; secret */
void bv_jose_key_free(struct bv_jose_key **key);
struct bv_bytes
bv_jose_key_id(const struct bv_jose_key *key); /* RFC 7638 thumbprint unless given */
enum bv_jose_alg bv_jose_key_alg(const struct bv_jose_key *key);

struct bv_jose_keys; /* a set by key id */
BV_MUST_CHECK int bv_jose_keys_open(size_t keys_max, struct bv_jose_keys **ret_keys);
BV_MUST_CHECK int bv_jose_keys_add(struct bv_jose_keys *keys,
                                   struct bv_jose_key **key); /* takes it; same kid replaces */
BV_MUST_CHECK int
bv_jose_keys_from_jwks(struct bv_bytes json,
                       struct bv_jose_keys **ret_keys,
                       struct bv_error *error); /* skips keys of other kinds and uses */
int bv_jose_keys_to_jwks(const struct bv_jose_keys *keys,
                         struct bv_json_writer *w); /* public parts only */
void bv_jose_keys_close(struct bv_jose_keys **keys);

struct bv_claims {
    struct bv_bytes issuer, subject, audience, scope, tenant, client, token_id;
    int64_t issued_at_s, expires_at_s, not_before_s;
};
/* Signs: header {alg,kid,typ:"at+jwt"}. */
BV_MUST_CHECK int
bv_jwt_sign(const struct bv_jose_key *key, const struct bv_claims *claims, struct bv_buf *buf);
struct bv_jwt_rules {
    struct bv_bytes issuer;   /* must equal */
    struct bv_bytes audience; /* must be in aud */
    int64_t leeway_s;
};
/* BV_E_UNAUTHENTICATED with the reason: malformed, unknown key, algorithm, signature, expired, not
 * yet valid, issuer, audience. Claims live in arena. */
BV_MUST_CHECK int bv_jwt_verify(const struct bv_jose_keys *keys,
                                const struct bv_jwt_rules *rules,
                                int64_t now_s,
                                struct bv_bytes token,
                                struct bv_arena *arena,
                                struct bv_claims *ret_claims,
                                struct bv_error *error);
/* The key id that a token names, in arena; nothing is verified. Errors: BV_E_UNAUTHENTICATED when
 * it names none that a key of ours could have: 1 to BV_KEY_ID_MAX of A-Z a-z 0-9 . _ ~ -. */
BV_MUST_CHECK int
bv_jwt_key_id(struct bv_bytes token, struct bv_arena *arena, struct bv_bytes *ret_kid);
#define BV_JWT_BYTES_MAX 8192

#endif
