/* The auth service: users, login, refresh rotation, client credentials, JWKS. Everything here lives
 * on the loop thread. */
#ifndef AUTH_SERVICE_H
#define AUTH_SERVICE_H

#include "auth_config.h"
#include "auth_keys.h"
#include "auth_store.h"
#include "auth_throttle.h"
#include "bv/http.h"
#include "bv/service.h"

struct auth_service {
    struct bv_service *frame;         /* borrowed */
    const struct auth_config *config; /* borrowed */
    struct bv_workers *workers;       /* owned: scrypt and key generation */
    struct bv_pg *pg;                 /* owned */
    struct auth_store *store;         /* owned */
    struct auth_keys *keys;           /* owned */
    struct auth_throttle *throttle;   /* owned */
    unsigned char throttle_key[16];   /* random: names are hashed with it */
    struct bv_timer *seed_timer;      /* owned */
    struct bv_timer *sweep_timer;     /* owned */
    int seeds_left; /* demo identities not in the store yet; -1: seeding has not begun */
};
extern const struct bv_service_spec auth_spec;

/* auth_api.c */
#define AUTH_ROUTE_COUNT 7
extern const struct bv_http_route auth_routes[AUTH_ROUTE_COUNT];
int auth_api_authenticate(void *context,
                          struct bv_arena *arena,
                          struct bv_bytes token,
                          struct bv_principal *ret_principal,
                          struct bv_error *error);

/* auth_tokens.c */
#define AUTH_REFRESH_TEXT 48
struct auth_issue {
    struct bv_bytes subject, tenant, client, scope;
};
/* Appends a signed access token. */
BV_MUST_CHECK int
auth_tokens_access(struct auth_service *auth, const struct auth_issue *issue, struct bv_buf *buf);
void auth_tokens_refresh(const struct bv_env *env,
                         char out[AUTH_REFRESH_TEXT]); /* "rt_" and 32 random bytes */
/* The throttle of failed logins; the first AUTH_NAME_BYTES_MAX bytes of a name count. */
#define AUTH_NAME_BYTES_MAX 256
bool auth_login_allowed(const struct auth_service *auth, struct bv_bytes username);
void auth_login_failed(struct auth_service *auth, struct bv_bytes username);
void auth_tokens_hash(struct bv_bytes secret,
                      char out[65]); /* SHA-256 in hex: how the store knows it */

/* auth_seed.c: demo identities of a lab stack; idempotent, retried until the store has them. */
void auth_seed_start(struct auth_service *auth);

#define AUTH_SCOPE_CUSTOMER "products:read orders:write"

#endif
