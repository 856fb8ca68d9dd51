#include "auth_service.h"
#include "bv/password.h"
#include <stdlib.h>

#define RETRY_MS 200

struct demo {
    const char *name;
    const char *scope;
};
static const struct demo users[] = {
    {"customer",       AUTH_SCOPE_CUSTOMER                                                        },
    {"other-customer", AUTH_SCOPE_CUSTOMER                                                        },
    {"staff",          "products:read products:write orders:manage inventory:read inventory:write"},
    {"admin",
     "products:read products:write orders:manage webhooks:manage keys:rotate inventory:read "
     "inventory:write"                                                                            },
};
static const struct demo clients[] = {
    {"lab",
     "products:read products:write orders:write orders:manage webhooks:manage inventory:read "
     "inventory:write"           },
    {"partner", "webhooks:manage"},
};

struct seed {
    struct auth_service *auth;
    char hash[BV_PASSWORD_HASH_MAX]; /* one for all demo users: hashing is slow and boot is not the
                                        place for it */
    int rc;
};

static void try_again_later(struct auth_service *auth)
{
    if (auth->seed_timer) /* else the service is being released */
        bv_timer_set(auth->seed_timer, RETRY_MS, 0);
}

static void seeded(void *argument, int rc, const struct bv_error *error)
{
    struct auth_service *auth = argument;
    (void)error;
    if (rc == 0 || rc == BV_E_EXISTS)
        auth->seeds_left--;
    else
        try_again_later(auth);
}

static void hash_work(void *argument)
{
    struct seed *seed = argument;
    seed->rc = bv_password_hash(bv_service_env(seed->auth->frame),
                                bv_bytes_of(seed->auth->config->demo_password),
                                seed->hash);
}

static void insert_users(struct seed *seed)
{
    struct auth_service *auth = seed->auth;
    for (size_t i = 0; i < BV_COUNT(users); i++) {
        char id[BV_UUID_TEXT_SIZE];
        bv_uuid_format(bv_uuid_v7(bv_service_env(auth->frame)), id);
        struct auth_user_row row = {bv_bytes_of(id),
                                    BV_BYTES("default"),
                                    bv_bytes_of(users[i].name),
                                    bv_bytes_of(seed->hash),
                                    bv_bytes_of(users[i].scope)};
        int rc = auth->store->ops->user_insert(auth->store, &row, seeded, auth);
        if (rc < 0)
            seeded(auth, rc, NULL);
    }
}

static void hash_done(void *argument)
{
    struct seed *seed = argument;
    if (seed->rc == 0)
        insert_users(seed);
    else
        try_again_later(seed->auth);
    free(seed);
}

static void insert_clients(struct auth_service *auth)
{
    char hash[65];
    auth_tokens_hash(bv_bytes_of(auth->config->demo_client_secret), hash);
    for (size_t i = 0; i < BV_COUNT(clients); i++) {
        int rc = auth->store->ops->client_upsert(auth->store,
                                                 bv_bytes_of(clients[i].name),
                                                 bv_bytes_of(hash),
                                                 bv_bytes_of(clients[i].scope),
                                                 seeded,
                                                 auth);
        if (rc < 0)
            seeded(auth, rc, NULL);
    }
}

static void seed_now(void *argument)
{
    struct auth_service *auth = argument;
    auth->seeds_left = 0;
    if (*auth->config->demo_client_secret) {
        auth->seeds_left += (int)BV_COUNT(clients);
        insert_clients(auth);
    }
    if (!*auth->config->demo_password)
        return;
    auth->seeds_left += (int)BV_COUNT(users);
    struct seed *seed = calloc(1, sizeof(*seed));
    if (seed)
        seed->auth = auth;
    if (!seed || bv_workers_run(auth->workers, hash_work, hash_done, seed) < 0) {
        free(seed);
        try_again_later(auth);
    }
}

void auth_seed_start(struct auth_service *auth)
{
    auth->seeds_left = 1;
    if (bv_timer_open(bv_service_loop(auth->frame), seed_now, auth, &auth->seed_timer) == 0)
        seed_now(auth);
}
