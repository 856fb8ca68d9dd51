#include "auth_keys.h"
#include <stdlib.h>

#define KEYS_MAX 16
#define JWKS_BYTES_MAX (32 * 1024)

struct auth_keys {
    struct auth_keys_deps deps;
    struct bv_jose_keys *set;   /* owned */
    struct bv_jose_key *signer; /* owned; NULL until loaded */
    size_t count;               /* of the set */
    struct bv_buf jwks;
    char created_at[32];    /* of the signer */
    struct bv_timer *timer; /* owned */
    bool loading;           /* a load is under way */
    bool load_again;        /* … and what it brings may be older than what is wanted */
    bool generating;        /* from the wish for a new key to its answer */
    bool activated;         /* the new key is in the store: the load that follows answers */
    enum bv_jose_alg new_alg;
    struct bv_jose_key *fresh; /* owned; made by the worker */
    int fresh_rc;
    char previous_kid[BV_KEY_ID_MAX + 1];
    auth_rotated_done *rotated; /* who asked; NULL: the first key */
    void *rotated_argument;
};

static void load(struct auth_keys *keys);

static enum bv_jose_alg alg_of(struct bv_bytes name)
{
    return bv_bytes_equal(name, BV_BYTES("EdDSA")) ? BV_JOSE_EDDSA : BV_JOSE_RS256;
}

static const char *alg_name(enum bv_jose_alg alg)
{
    return alg == BV_JOSE_EDDSA ? "EdDSA" : "RS256";
}

static void answer_rotation(struct auth_keys *keys, int rc, const struct bv_error *error)
{
    auth_rotated_done *done = keys->rotated;
    keys->generating = false;
    keys->activated = false;
    keys->rotated = NULL;
    if (!done)
        return;
    struct auth_rotated rotated = {0};
    if (rc == 0)
        rotated = (struct auth_rotated){bv_jose_key_id(keys->signer),
                                        bv_bytes_of(alg_name(bv_jose_key_alg(keys->signer))),
                                        bv_bytes_of(keys->created_at),
                                        bv_bytes_of(keys->previous_kid)};
    done(keys->rotated_argument, rc, rc == 0 ? &rotated : NULL, error);
}

static int take_row(struct bv_jose_keys *set,
                    const struct auth_key_row *row,
                    struct bv_jose_key **ret_signer,
                    char created_at[32])
{
    struct bv_jose_key *key = NULL;
    BV_TRY(bv_jose_key_from_pem(row->pem, alg_of(row->alg), row->kid, &key, NULL));
    if (!row->retired && !*ret_signer) {
        BV_TRY(bv_jose_key_from_pem(row->pem, alg_of(row->alg), row->kid, ret_signer, NULL));
        size_t size = row->created_at.size < 31 ? row->created_at.size : 31;
        memcpy(created_at, row->created_at.data, size);
        created_at[size] = '\0';
    }
    int rc = bv_jose_keys_add(set, &key);
    bv_jose_key_free(&key);
    return rc;
}

static int take_rows(struct auth_keys *keys, const struct auth_key_row *rows, size_t count)
{
    bv_auto(bv_jose_keys_close) struct bv_jose_keys *set = NULL;
    bv_auto(bv_jose_key_free) struct bv_jose_key *signer = NULL;
    BV_TRY(bv_jose_keys_open(KEYS_MAX, &set));
    for (size_t i = 0; i < count; i++)
        BV_TRY(take_row(set, &rows[i], &signer, keys->created_at));
    if (!signer)
        return BV_E_NOT_FOUND;
    bv_buf_reset(&keys->jwks);
    struct bv_json_writer w = bv_json_writer(&keys->jwks);
    BV_TRY(bv_jose_keys_to_jwks(set, &w));
    bv_jose_keys_close(&keys->set);
    bv_jose_key_free(&keys->signer);
    keys->set = bv_take(&set);
    keys->signer = bv_take(&signer);
    keys->count = count;
    return keys->jwks.failed ? BV_E_TOO_LARGE : 0;
}

static void activated(void *argument, int rc, const struct bv_error *error)
{
    struct auth_keys *keys = argument;
    bv_jose_key_free(&keys->fresh);
    if (rc < 0 && rc != BV_E_EXISTS) { /* EXISTS: another replica was first, its key is as good */
        answer_rotation(keys, rc, error);
        return;
    }
    keys->activated = true;
    load(keys);
}

static void generate(void *argument)
{
    struct auth_keys *keys = argument;
    keys->fresh_rc = bv_jose_key_generate(keys->new_alg, &keys->fresh, NULL);
}

static void generated(void *argument)
{
    struct auth_keys *keys = argument;
    struct bv_buf pem = {.max = 16384};
    int rc = keys->fresh_rc;
    if (rc == 0)
        rc = bv_jose_key_to_pem(keys->fresh, &pem);
    if (rc == 0)
        rc = keys->deps.store->ops->key_activate(keys->deps.store,
                                                 bv_bytes_of(keys->previous_kid),
                                                 bv_jose_key_id(keys->fresh),
                                                 bv_bytes_of(alg_name(keys->new_alg)),
                                                 bv_buf_view(&pem),
                                                 activated,
                                                 keys);
    if (pem.data)
        memset(pem.data, 0, pem.size);
    bv_buf_release(&pem);
    if (rc < 0) {
        bv_jose_key_free(&keys->fresh);
        answer_rotation(keys, rc, NULL);
    }
}

static int generate_later(struct auth_keys *keys)
{
    keys->new_alg = alg_of(bv_bytes_of(keys->deps.config->signing_alg));
    struct bv_bytes previous = keys->signer ? bv_jose_key_id(keys->signer) : BV_BYTES_NONE;
    if (previous.size > 0)
        memcpy(keys->previous_kid, previous.data, previous.size);
    keys->previous_kid[previous.size] = '\0';
    int rc = bv_workers_run(keys->deps.workers, generate, generated, keys);
    keys->generating = rc == 0;
    return rc;
}

static void loaded(void *argument,
                   int rc,
                   const struct auth_key_row *rows,
                   size_t count,
                   const struct bv_error *error)
{
    struct auth_keys *keys = argument;
    keys->loading = false;
    if (keys->load_again) {
        load(keys);
        return;
    }
    if (rc == 0)
        rc = take_rows(keys, rows, count);
    if (rc == BV_E_NOT_FOUND && !keys->generating)
        rc = generate_later(keys);
    else if (keys->activated)
        answer_rotation(keys, rc, error);
    if (rc < 0)
        bv_log(keys->deps.log,
               BV_WARN,
               "auth.keys_not_loaded",
               NULL,
               BV_F_TEXT("fault", bv_error_row(rc)->word),
               BV_F_TEXT("detail", error ? error->text : ""));
    bv_timer_set(keys->timer, keys->signer ? keys->deps.config->keys_reload_ms : 100, 0);
}

/* Another replica signs with a retired key until its next load. */
int64_t auth_keys_keep_s(const struct auth_config *config)
{
    return (config->access_ttl_ms + config->keys_reload_ms) / 1000 + 60;
}

static void load(struct auth_keys *keys)
{
    int64_t keep_s = auth_keys_keep_s(keys->deps.config);
    keys->load_again = keys->loading;
    if (keys->loading)
        return;
    keys->loading = keys->deps.store->ops->keys_load(keys->deps.store, keep_s, loaded, keys) == 0;
    if (!keys->loading)
        bv_timer_set(keys->timer, 100, 0);
}

static void on_timer(void *argument)
{
    struct auth_keys *keys = argument;
    if (keys->generating && !keys->activated)
        bv_timer_set(keys->timer, 100, 0);
    else
        load(keys);
}

int auth_keys_open(const struct auth_keys_deps *deps, struct auth_keys **ret_keys)
{
    struct auth_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return BV_E_NOMEM;
    keys->deps = *deps;
    keys->jwks.max = JWKS_BYTES_MAX;
    int rc = bv_timer_open(deps->loop, on_timer, keys, &keys->timer);
    if (rc < 0)
        auth_keys_close(&keys);
    else
        *ret_keys = keys;
    return rc;
}

void auth_keys_start(struct auth_keys *keys)
{
    load(keys);
}

bool auth_keys_ready(const struct auth_keys *keys)
{
    return keys->signer;
}

struct bv_bytes auth_keys_jwks(const struct auth_keys *keys)
{
    return bv_buf_view(&keys->jwks);
}

const struct bv_jose_keys *auth_keys_set(const struct auth_keys *keys)
{
    return keys->set;
}

int auth_keys_sign(const struct auth_keys *keys, const struct bv_claims *claims, struct bv_buf *buf)
{
    return keys->signer ? bv_jwt_sign(keys->signer, claims, buf) : BV_E_UNAVAILABLE;
}

int auth_keys_rotate(struct auth_keys *keys, auth_rotated_done *done, void *argument)
{
    if (keys->generating)
        return BV_E_CONFLICT;
    if (!keys->signer)
        return BV_E_UNAVAILABLE;
    if (keys->count >= KEYS_MAX)
        return BV_E_LIMIT;
    keys->rotated = done;
    keys->rotated_argument = argument;
    int rc = generate_later(keys);
    if (rc < 0)
        keys->rotated = NULL;
    return rc;
}

void auth_keys_close(struct auth_keys **keys_pointer)
{
    struct auth_keys *keys = *keys_pointer;
    if (!keys)
        return;
    bv_timer_close(&keys->timer);
    bv_jose_keys_close(&keys->set);
    bv_jose_key_free(&keys->signer);
    bv_jose_key_free(&keys->fresh);
    bv_buf_release(&keys->jwks);
    free(keys);
    *keys_pointer = NULL;
}
