/* Options of the auth service. */
#ifndef AUTH_CONFIG_H
#define AUTH_CONFIG_H

#include "bv/config.h"

struct auth_config {
    const char *pg_url;
    const char *issuer;
    const char *audience;
    const char *signing_alg; /* "RS256" or "EdDSA": of keys made from now on */
    int64_t access_ttl_ms;
    int64_t refresh_ttl_ms;
    int64_t keys_reload_ms;
    int64_t hash_threads;
    int64_t hash_queue;
    int64_t hash_wait_ms;
    int64_t login_failures;
    int64_t login_refill_ms;
    const char *demo_password;      /* "": no demo users */
    const char *demo_client_secret; /* "": no demo clients */
};
#define AUTH_OPTION_COUNT 14
extern const struct bv_option auth_options[AUTH_OPTION_COUNT];

#endif
