#include "auth_service.h"

#include <string.h>

#define PG_CONNECTIONS 2
#define PG_CALLS_MAX 1024
#define PG_CALL_TIMEOUT_MS 3000
#define PG_PIPELINE_DEPTH 16
#define THROTTLED_NAMES_MAX 65536 /* 16 bytes each */
#define SWEEP_FIRST_MS 1000
#define SWEEP_MS 60000

extern const struct bv_bytes auth_openapi;

/* Workers and pool first: what they end may still set a timer or count a failure. */
static void service_release(void *state)
{
    struct auth_service *auth = state;
    bv_workers_close(&auth->workers);
    bv_pg_close(&auth->pg);
    bv_timer_close(&auth->seed_timer);
    bv_timer_close(&auth->sweep_timer);
    auth_throttle_close(&auth->throttle);
    auth_keys_close(&auth->keys);
    if (auth->store)
        auth->store->ops->release(&auth->store);
}

static int
service_init(void *state, struct bv_service *frame, const void *config, struct bv_error *error)
{
    struct auth_service *auth = state;
    auth->frame = frame;
    auth->config = config;
    if (strcmp(auth->config->signing_alg, "RS256") != 0 &&
        strcmp(auth->config->signing_alg, "EdDSA") != 0)
        return bv_fail(error, BV_E_INVALID, "signing-alg is RS256 or EdDSA");
    struct bv_loop *loop = bv_service_loop(auth->frame);
    struct bv_pg_config pg = {
        .conninfo = auth->config->pg_url,
        .connections = PG_CONNECTIONS,
        .calls_max = PG_CALLS_MAX,
        .call_timeout_ms = PG_CALL_TIMEOUT_MS,
        .pipeline_depth = PG_PIPELINE_DEPTH,
        .application = "auth",
    };
    const struct bv_env *env = bv_service_env(auth->frame);
    env->random->fill(env->random, auth->throttle_key, sizeof(auth->throttle_key));
    BV_TRY(auth_throttle_open(THROTTLED_NAMES_MAX,
                              auth->config->login_failures,
                              auth->config->login_refill_ms,
                              &auth->throttle));
    BV_TRY(bv_workers_open(loop,
                           "auth-hash",
                           (uint32_t)auth->config->hash_threads,
                           (uint32_t)auth->config->hash_queue,
                           &auth->workers));
    BV_TRY(bv_pg_open(loop, &pg, bv_service_metrics(auth->frame), &auth->pg));
    BV_TRY(auth_store_pg_open(auth->pg, &auth->store));
    struct auth_keys_deps deps = {
        loop, bv_service_log(auth->frame), auth->workers, auth->store, auth->config};
    BV_TRY(auth_keys_open(&deps, &auth->keys));
    struct bv_http_server *http = bv_service_http(auth->frame);
    bv_http_server_authenticator(http, auth_api_authenticate, auth);
    return 0; /* the frame registers spec.routes with the state as context */
}

static void on_swept(void *argument, int rc, const struct bv_error *error)
{
    struct auth_service *auth = argument;
    if (rc < 0 && rc != BV_E_CANCELLED)
        bv_log(bv_service_log(auth->frame),
               BV_WARN,
               "auth.sweep_failed",
               NULL,
               BV_F_TEXT("why", error->text));
}

static void on_sweep(void *argument)
{
    struct auth_service *auth = argument;
    (void)!auth->store->ops->sweep(
        auth->store, auth_keys_keep_s(auth->config), on_swept, auth); /* or the next minute */
}

static int service_start(void *state, struct bv_error *error)
{
    struct auth_service *auth = state;
    (void)error;
    auth_keys_start(auth->keys);
    auth_seed_start(auth);
    BV_TRY(bv_timer_open(bv_service_loop(auth->frame), on_sweep, auth, &auth->sweep_timer));
    bv_timer_set(auth->sweep_timer, SWEEP_FIRST_MS, SWEEP_MS);
    return 0;
}

static int service_ready(void *state, struct bv_error *error)
{
    struct auth_service *auth = state;
    if (!bv_pg_ready(auth->pg))
        return bv_fail(error, BV_E_UNAVAILABLE, "PostgreSQL is not reachable");
    if (!auth_keys_ready(auth->keys))
        return bv_fail(error, BV_E_UNAVAILABLE, "no signing key is loaded yet");
    if (auth->seeds_left > 0)
        return bv_fail(error, BV_E_UNAVAILABLE, "demo identities are being made");
    return 0;
}

static void service_stop(void *state)
{
    struct auth_service *auth = state;
    bv_timer_clear(auth->sweep_timer);
    bv_service_stopped(auth->frame);
}

const struct bv_service_spec auth_spec = {
    .name = "auth",
    .purpose = "Users, login, refresh rotation, client credentials and the keys that verify every "
               "token of the platform.",
    .options = auth_options,
    .option_count = AUTH_OPTION_COUNT,
    .config_bytes = sizeof(struct auth_config),
    .routes = auth_routes,
    .route_count = AUTH_ROUTE_COUNT,
    .openapi = &auth_openapi,
    .state_bytes = sizeof(struct auth_service),
    .init = service_init,
    .start = service_start,
    .ready = service_ready,
    .stop = service_stop,
    .release = service_release,
};
