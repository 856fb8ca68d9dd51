/* What the files of the JOSE layer share: the key row and the algorithm table. Not for other
 * modules. */
#ifndef BV_JOSE_INTERNAL_H
#define BV_JOSE_INTERNAL_H

#include "bv/jose.h"
#include <openssl/evp.h>

struct bv_jose_algorithm {
    enum bv_jose_alg alg;
    const char *name;   /* "alg" of RFC 7518 / RFC 8037 */
    const char *digest; /* NULL: the algorithm brings its own */
    int key_type;       /* EVP_PKEY_... */
    size_t signature_bytes_max;
};

struct bv_jose_key {
    EVP_PKEY *pkey; /* owned */
    const struct bv_jose_algorithm *algorithm;
    char kid[BV_KEY_ID_MAX + 1];
};

struct bv_jose_keys {
    size_t count;
    size_t keys_max;
    struct bv_jose_key **rows; /* owned, keys_max entries */
};

const struct bv_jose_algorithm *bv_jose_algorithm(enum bv_jose_alg alg);
const struct bv_jose_key *bv_jose_keys_find(const struct bv_jose_keys *keys, struct bv_bytes kid);
/* Public key from JWK members; BV_E_INVALID for bad numbers, outcome 1 for a kind that is not ours.
 */
#define BV_JOSE_OTHER_KIND 1
BV_MUST_CHECK int bv_jose_key_from_jwk(const struct bv_json *jwk,
                                       struct bv_jose_key **ret_key,
                                       struct bv_error *error);
/* Public members of one key as a JWK object. */
int bv_jose_key_to_jwk(const struct bv_jose_key *key, struct bv_json_writer *w);

#endif
