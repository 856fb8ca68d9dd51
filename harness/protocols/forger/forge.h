/* Bearer tokens that must not open anything, made with all that an attacker could have, and for
 * claims that are wrong with the issuer's own key: only then does the claim alone decide. Thread:
 * any. Source: RFC 7515, 7519, 8725 (the attacks are those of its section 2). */
#ifndef BV_FORGE_H
#define BV_FORGE_H

#include "bv/arena.h"

/* What the forger has in hand; borrowed for the call. */
struct forge_material {
    struct bv_bytes genuine; /* a good token, "header.payload.signature" */
    struct bv_bytes pem;     /* the issuer's private key, PKCS#8 */
    struct bv_bytes alg;     /* "RS256" or "EdDSA" */
    struct bv_bytes kid;
    int64_t now_s;
};

struct forge_kind {
    const char *name;
    const char *help;
};
size_t forge_kind_count(void);
struct forge_kind forge_kind_at(size_t index);

/* *ret_token lives in arena. Errors: BV_E_NOT_FOUND: no such kind, *error lists them; BV_E_INVALID:
 * material that is none; BV_E_NOMEM. */
BV_MUST_CHECK int forge_token(const struct forge_material *material,
                              struct bv_bytes kind,
                              struct bv_arena *arena,
                              const char **ret_token,
                              struct bv_error *error);

#endif
