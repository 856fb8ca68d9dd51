/* The service's signing keys: loaded from the store, one signs, retired ones stay in the JWKS until
 * the last token that they signed has expired. Invariant: once ready, there is always an active
 * key. Thread: loop (generation runs on a worker). */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H

#include "auth_config.h"
#include "auth_store.h"
#include "bv/jose.h"
#include "bv/log.h"
#include "bv/loop.h"

struct auth_keys;
struct auth_keys_deps {
    struct bv_loop *loop;
    struct bv_log *log;
    struct bv_workers *workers;
    struct auth_store *store;
    const struct auth_config *config;
};
BV_MUST_CHECK int auth_keys_open(const struct auth_keys_deps *deps, struct auth_keys **ret_keys);
void auth_keys_start(struct auth_keys *keys); /* loads, makes the first key when there is none,
                                                 reloads every keys_reload_ms */
bool auth_keys_ready(const struct auth_keys *keys);
struct bv_bytes auth_keys_jwks(const struct auth_keys *keys); /* JSON; until the next reload */
/* How long a retired key is needed. */
int64_t auth_keys_keep_s(const struct auth_config *config);
/* Set that verifies tokens of this issuer. */
const struct bv_jose_keys *auth_keys_set(const struct auth_keys *keys);
/* BV_E_UNAVAILABLE before the first load. */
BV_MUST_CHECK int
auth_keys_sign(const struct auth_keys *keys, const struct bv_claims *claims, struct bv_buf *buf);
struct auth_rotated {
    struct bv_bytes kid, alg, created_at, previous_kid;
};
typedef void auth_rotated_done(void *argument,
                               int rc,
                               const struct auth_rotated *rotated,
                               const struct bv_error *error);
/* A new key signs from done on. BV_E_CONFLICT while another rotation runs; BV_E_LIMIT while tokens
 * may be about of as many keys as the JWKS has room for. */
BV_MUST_CHECK int auth_keys_rotate(struct auth_keys *keys, auth_rotated_done *done, void *argument);
void auth_keys_close(struct auth_keys **keys); /* after the workers are closed */

#endif
