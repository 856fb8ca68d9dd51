/*   token ── SHA-256 ──▶ cache of verified tokens ──hit──▶ principal
 *                               │ miss
 *                               ▼
 *              key set ──kid known──▶ bv_jwt_verify ──▶ cache, principal
 *                 │ kid unknown
 *                 ▼
 *   a fetch that began after the kid was first seen has not brought it ──▶ refused, remembered for
 * 5 s │ there was none yet ▼ BV_HTTP_LATER: the request waits for the next fetch (at most one a
 * second, for all together)
 */
#include "bv/guard.h"
#include "bv/resilience.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define LEEWAY_S 5
#define FETCH_TIMEOUT_MS 2000
#define REFETCH_GAP_MS 1000
#define CLAIMS_TEXT_MAX 1024
#define URL_MAX 512
#define UNKNOWN_KIDS_MAX 256 /* at once; further ones are refused unseen */
#define UNKNOWN_KEEP_MS 5000 /* longer than the wait for a fetch and the fetch */
#define WAITING_MAX 1024     /* questions answered with BV_HTTP_LATER between two fetches */

static const struct bv_backoff fetch_retry = {
    "guard-jwks", BV_BACKOFF_EXPONENTIAL_FULL_JITTER, 50, 2000, UINT32_MAX};

struct cached_token {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    int64_t expires_at_s; /* 0: empty */
    uint16_t sizes[4];    /* subject, tenant, client, scope, one after the other in text */
    char *text;           /* owned */
};

/* A key id that no key had. The fetch of number `decides` tells whether there is one. */
struct unknown_kid {
    uint64_t hash;
    uint64_t decides;
    int64_t until_ms; /* 0: empty */
};

struct bv_guard {
    struct bv_loop *loop;
    struct bv_httpc *client;
    struct bv_log *log;
    struct bv_guard_config config;
    struct bv_jose_keys *keys; /* owned; NULL until the first fetch */
    int64_t fetched_at_ms;
    int64_t asked_at_ms;
    bool fetching;
    uint64_t fetches; /* begun; their numbers count from 1 */
    uint64_t brought; /* number of the last that succeeded */
    uint64_t missed;  /* … and of the last that failed */
    uint64_t wanted;  /* a fetch of this number must begin */
    size_t waiting;
    struct unknown_kid unknown[UNKNOWN_KIDS_MAX];
    unsigned char jwks_digest[SHA256_DIGEST_LENGTH];
    void (*answered)(void *argument);
    void *answered_argument;
    uint32_t failures;
    struct bv_timer *timer;      /* owned */
    struct cached_token *tokens; /* owned, tokens_max entries, direct-mapped */
    bool *alive; /* shared with a running fetch, so that a late answer finds nobody */
    char jwks_url[URL_MAX];
};

struct fetch {
    struct bv_guard *guard;
    bool *alive;
};

static void forget_tokens(struct bv_guard *guard)
{
    for (int64_t i = 0; i < guard->config.tokens_max; i++) {
        free(guard->tokens[i].text);
        guard->tokens[i] = (struct cached_token){0};
    }
}

static void take_keys(struct bv_guard *guard, struct bv_jose_keys *keys, struct bv_bytes jwks)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)jwks.data, jwks.size, digest);
    bv_jose_keys_close(&guard->keys);
    guard->keys = keys;
    guard->fetched_at_ms = bv_loop_now_ms(guard->loop);
    guard->failures = 0;
    if (memcmp(digest, guard->jwks_digest, sizeof digest) != 0)
        forget_tokens(guard); /* a withdrawn key must not live on in the cache */
    memcpy(guard->jwks_digest, digest, sizeof digest);
    bv_timer_set(guard->timer, guard->config.ttl_ms, 0);
}

static void retry_later(struct bv_guard *guard, const struct bv_error *error)
{
    int64_t delay_ms = 0;
    if (bv_backoff_next(bv_loop_env(guard->loop),
                        &fetch_retry,
                        guard->failures < 16 ? guard->failures : 16,
                        &delay_ms) != 0)
        delay_ms = fetch_retry.cap_ms;
    if (guard->failures++ == 3)
        bv_log(guard->log,
               BV_WARN,
               "guard.keys_unavailable",
               NULL,
               BV_F_TEXT("url", guard->jwks_url),
               BV_F_TEXT("detail", error ? error->text : ""));
    bv_timer_set(guard->timer, delay_ms + 10, 0);
}

static void fetch_keys(struct bv_guard *guard);

/* The next fetch begins now, or as soon as a second has passed since the last. */
static void fetch_soon(struct bv_guard *guard)
{
    const int64_t wait_ms = guard->asked_at_ms + REFETCH_GAP_MS - bv_loop_now_ms(guard->loop);
    if (guard->fetching)
        return;
    if (guard->fetches > 0 && wait_ms > 0)
        bv_timer_set(guard->timer, wait_ms, 0);
    else
        fetch_keys(guard);
}

/* Tells everybody who waits; some may have to wait for one more. */
static void fetch_ended(struct bv_guard *guard, int rc)
{
    if (rc == 0)
        guard->brought = guard->fetches;
    else
        guard->missed = guard->fetches;
    guard->waiting = 0;
    if (rc == 0 && guard->wanted > guard->fetches)
        fetch_soon(guard);
    if (guard->answered)
        guard->answered(guard->answered_argument);
}

static void fetched(void *argument,
                    int rc,
                    const struct bv_httpc_response *response,
                    const struct bv_error *error)
{
    struct fetch *fetch = argument;
    struct bv_guard *guard = *fetch->alive ? fetch->guard : NULL;
    struct bv_jose_keys *keys = NULL;
    struct bv_error detail = {0};
    if (!guard) {
        free(fetch->alive);
        free(fetch);
        return;
    }
    free(fetch);
    guard->fetching = false;
    if (rc == 0 && response->status == 200)
        rc = bv_jose_keys_from_jwks(response->body, &keys, &detail);
    else if (rc == 0)
        rc = bv_fail(&detail, BV_E_PROTOCOL, "the JWKS answered status %d", response->status);
    else
        detail = *error;
    if (rc == 0)
        take_keys(guard, keys, response->body);
    else
        retry_later(guard, &detail);
    fetch_ended(guard, rc);
}

static void fetch_keys(struct bv_guard *guard)
{
    struct fetch *fetch;
    if (guard->fetching)
        return;
    guard->asked_at_ms = bv_loop_now_ms(guard->loop);
    guard->fetches++;
    fetch = malloc(sizeof(*fetch));
    if (!fetch) {
        retry_later(guard, NULL);
        fetch_ended(guard, BV_E_NOMEM);
        return;
    }
    *fetch = (struct fetch){.guard = guard, .alive = guard->alive};
    struct bv_httpc_request request = {
        .method = "GET", .url = guard->jwks_url, .timeout_ms = FETCH_TIMEOUT_MS};
    if (bv_httpc_send(guard->client, &request, fetched, fetch) == 0) {
        guard->fetching = true;
        return;
    }
    free(fetch);
    retry_later(guard, NULL);
    fetch_ended(guard, BV_E_UNAVAILABLE);
}

static void on_timer(void *argument)
{
    fetch_keys(argument);
}

void bv_guard_close(struct bv_guard **guard_pointer)
{
    struct bv_guard *guard = *guard_pointer;
    if (!guard)
        return;
    bv_timer_close(&guard->timer);
    if (guard->tokens)
        forget_tokens(guard);
    free(guard->tokens);
    bv_jose_keys_close(&guard->keys);
    if (guard->fetching)
        *guard->alive = false; /* the running fetch frees it */
    else
        free(guard->alive);
    free(guard);
    *guard_pointer = NULL;
}

int bv_guard_open(struct bv_loop *loop,
                  struct bv_httpc *client,
                  const struct bv_guard_config *config,
                  struct bv_log *log,
                  struct bv_guard **ret_guard)
{
    int rc = BV_E_NOMEM;
    struct bv_guard *guard = calloc(1, sizeof(*guard));
    if (!guard)
        return rc;
    guard->loop = loop;
    guard->client = client;
    guard->log = log;
    guard->config = *config;
    guard->alive = malloc(sizeof(*guard->alive));
    guard->tokens = calloc((size_t)config->tokens_max, sizeof(*guard->tokens));
    if (!guard->alive || !guard->tokens)
        goto fail;
    *guard->alive = true;
    if (snprintf(guard->jwks_url,
                 sizeof(guard->jwks_url),
                 "%s/.well-known/jwks.json",
                 config->auth_url) >= URL_MAX) {
        rc = BV_E_TOO_LARGE;
        goto fail;
    }
    rc = bv_timer_open(loop, on_timer, guard, &guard->timer);
    if (rc < 0)
        goto fail;
    fetch_keys(guard);
    *ret_guard = guard;
    return 0;
fail:
    bv_guard_close(&guard);
    return rc;
}

bool bv_guard_ready(const struct bv_guard *guard)
{
    return guard->keys && bv_loop_now_ms(guard->loop) - guard->fetched_at_ms <=
                              guard->config.ttl_ms + guard->config.stale_ms;
}

static struct bv_bytes *principal_part(struct bv_principal *principal, size_t index)
{
    struct bv_bytes *parts[] = {
        &principal->subject, &principal->tenant, &principal->client, &principal->scope};
    return parts[index];
}

static struct cached_token *slot_of(struct bv_guard *guard,
                                    const unsigned char digest[SHA256_DIGEST_LENGTH])
{
    uint64_t index;
    memcpy(&index, digest, sizeof(index));
    return &guard->tokens[index % (uint64_t)guard->config.tokens_max];
}

static int from_cache(const struct cached_token *slot,
                      struct bv_arena *arena,
                      struct bv_principal *ret_principal)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < BV_COUNT(slot->sizes); i++)
        total += slot->sizes[i];
    struct bv_bytes copy = bv_arena_copy(arena, (struct bv_bytes){slot->text, total});
    if (total > 0 && !copy.data)
        return BV_E_NOMEM;
    for (size_t i = 0; i < BV_COUNT(slot->sizes); i++) {
        *principal_part(ret_principal, i) = (struct bv_bytes){copy.data + at, slot->sizes[i]};
        at += slot->sizes[i];
    }
    return 0;
}

/* Not being able to remember costs the next signature check and nothing else. */
static void remember(struct cached_token *slot,
                     const unsigned char digest[SHA256_DIGEST_LENGTH],
                     int64_t expires_at_s,
                     struct bv_principal *principal)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < BV_COUNT(slot->sizes); i++)
        total += principal_part(principal, i)->size;
    if (total > CLAIMS_TEXT_MAX)
        return;
    char *text = malloc(total + 1);
    if (!text)
        return;
    free(slot->text);
    slot->text = text;
    for (size_t i = 0; i < BV_COUNT(slot->sizes); i++) {
        struct bv_bytes part = *principal_part(principal, i);
        if (part.size > 0)
            memcpy(text + at, part.data, part.size);
        slot->sizes[i] = (uint16_t)part.size;
        at += part.size;
    }
    memcpy(slot->digest, digest, SHA256_DIGEST_LENGTH);
    slot->expires_at_s = expires_at_s;
}

/* The entry of kid; NULL when there is no room for one more. */
static struct unknown_kid *unknown_entry(struct bv_guard *guard, struct bv_bytes kid)
{
    const int64_t now_ms = bv_loop_now_ms(guard->loop);
    struct unknown_kid *room = NULL;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    uint64_t hash;
    SHA256((const unsigned char *)kid.data, kid.size, digest);
    memcpy(&hash, digest, sizeof hash);
    for (size_t i = 0; i < UNKNOWN_KIDS_MAX; i++) {
        struct unknown_kid *entry = &guard->unknown[i];
        if (entry->until_ms <= now_ms)
            room = room ? room : entry;
        else if (entry->hash == hash)
            return entry;
    }
    if (room)
        *room = (struct unknown_kid){hash, guard->fetches + 1, now_ms + UNKNOWN_KEEP_MS};
    return room;
}

static int later(struct bv_guard *guard, struct bv_error *error)
{
    if (guard->waiting >= WAITING_MAX)
        return bv_fail(
            error,
            BV_E_UNAVAILABLE,
            "too many requests wait for the keys of the auth service; try again in a second");
    guard->waiting++;
    return BV_HTTP_LATER;
}

static int unknown_key(struct bv_guard *guard,
                       struct bv_arena *arena,
                       struct bv_bytes token,
                       const struct bv_error *refusal,
                       struct bv_error *error)
{
    struct bv_bytes kid;
    struct unknown_kid *entry = NULL;
    if (bv_jwt_key_id(token, arena, &kid) == 0)
        entry = unknown_entry(guard, kid);
    if (!entry || guard->brought >= entry->decides)
        return bv_fail(error, BV_E_UNAUTHENTICATED, "%s", refusal->text);
    if (guard->missed >= entry->decides) {
        entry->until_ms = 0;
        return bv_fail(error,
                       BV_E_UNAVAILABLE,
                       "the token names a new key, and the auth service does not answer; try again "
                       "in a second");
    }
    guard->wanted = entry->decides;
    fetch_soon(guard);
    return later(guard, error);
}

static int no_keys(struct bv_guard *guard, struct bv_error *error)
{
    if (guard->fetching)
        return later(guard, error);
    return bv_fail(error,
                   BV_E_UNAVAILABLE,
                   "the keys of the auth service are not there yet; try again in a second");
}

int bv_guard_authenticate(void *context,
                          struct bv_arena *arena,
                          struct bv_bytes token,
                          struct bv_principal *ret_principal,
                          struct bv_error *error)
{
    struct bv_guard *guard = context;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    int64_t now_s = bv_wall_us(bv_loop_env(guard->loop)) / 1000000;
    if (!bv_guard_ready(guard))
        return no_keys(guard, error);
    SHA256((const unsigned char *)token.data, token.size, digest);
    struct cached_token *slot = slot_of(guard, digest);
    if (slot->expires_at_s + LEEWAY_S > now_s && memcmp(slot->digest, digest, sizeof(digest)) == 0)
        return from_cache(slot, arena, ret_principal);

    struct bv_jwt_rules rules = {
        bv_bytes_of(guard->config.auth_url), bv_bytes_of(guard->config.audience), LEEWAY_S};
    struct bv_claims claims;
    struct bv_error detail = {0};
    int rc = bv_jwt_verify(guard->keys, &rules, now_s, token, arena, &claims, &detail);
    if (rc < 0 && strcmp(detail.pointer, "kid") == 0)
        return unknown_key(guard, arena, token, &detail, error);
    if (rc < 0) {
        if (error && error->code == 0)
            *error = detail;
        return rc;
    }
    *ret_principal =
        (struct bv_principal){claims.subject, claims.tenant, claims.client, claims.scope};
    remember(slot, digest, claims.expires_at_s, ret_principal);
    return 0;
}

void bv_guard_on_answer(struct bv_guard *guard, void (*function)(void *argument), void *argument)
{
    guard->answered = function;
    guard->answered_argument = argument;
}

static void ask_again(void *server)
{
    bv_http_authenticate_again(server);
}

int bv_guard_attach(struct bv_service *frame, const char *auth_url, struct bv_guard **ret_guard)
{
    const struct bv_guard_config config = {auth_url, "bitvelocity", 30000, 3600000, 8192};
    BV_TRY(bv_guard_open(bv_service_loop(frame),
                         bv_service_httpc(frame),
                         &config,
                         bv_service_log(frame),
                         ret_guard));
    bv_http_server_authenticator(bv_service_http(frame), bv_guard_authenticate, *ret_guard);
    bv_guard_on_answer(*ret_guard, ask_again, bv_service_http(frame));
    return 0;
}
