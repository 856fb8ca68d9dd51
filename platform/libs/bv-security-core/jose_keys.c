#include "jose_internal.h"
#include <stdlib.h>

#define JWKS_KEYS_MAX 16
#define JWKS_BYTES_MAX (64 * 1024)

int bv_jose_keys_open(size_t keys_max, struct bv_jose_keys **ret_keys)
{
    struct bv_jose_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return BV_E_NOMEM;
    keys->keys_max = keys_max;
    keys->rows = calloc(keys_max, sizeof(*keys->rows));
    if (!keys->rows) {
        free(keys);
        return BV_E_NOMEM;
    }
    *ret_keys = keys;
    return 0;
}

void bv_jose_keys_close(struct bv_jose_keys **keys)
{
    if (!*keys)
        return;
    for (size_t i = 0; i < (*keys)->count; i++)
        bv_jose_key_free(&(*keys)->rows[i]);
    free((*keys)->rows);
    free(*keys);
    *keys = NULL;
}

int bv_jose_keys_add(struct bv_jose_keys *keys, struct bv_jose_key **key)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->rows[i]->kid, (*key)->kid) == 0) {
            bv_jose_key_free(&keys->rows[i]);
            keys->rows[i] = bv_take(key);
            return 0;
        }
    }
    if (keys->count == keys->keys_max)
        return BV_E_LIMIT;
    keys->rows[keys->count++] = bv_take(key);
    return 0;
}

const struct bv_jose_key *bv_jose_keys_find(const struct bv_jose_keys *keys, struct bv_bytes kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (bv_bytes_equal(bv_bytes_of(keys->rows[i]->kid), kid))
            return keys->rows[i];
    return NULL;
}

static int add_jwk(struct bv_jose_keys *keys, const struct bv_json *jwk, struct bv_error *error)
{
    struct bv_jose_key *key = NULL;
    int rc = bv_jose_key_from_jwk(jwk, &key, error);
    if (rc == BV_JOSE_OTHER_KIND)
        return 0;
    if (rc == 0 && (rc = bv_jose_keys_add(keys, &key)) == BV_E_LIMIT)
        rc = bv_fail(error, rc, "a JWKS has at most %d keys", JWKS_KEYS_MAX);
    bv_jose_key_free(&key);
    return rc;
}

int bv_jose_keys_from_jwks(struct bv_bytes json,
                           struct bv_jose_keys **ret_keys,
                           struct bv_error *error)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_jose_keys_close) struct bv_jose_keys *keys = NULL;
    const struct bv_json *root = NULL;
    BV_TRY(bv_arena_open(JWKS_BYTES_MAX * 8, &arena));
    BV_TRY(bv_json_parse(arena, json, &root, error));
    const struct bv_json *rows = bv_json_get(root, "keys");
    if (bv_json_type(rows) != BV_JSON_ARRAY)
        return bv_fail(error, BV_E_INVALID, "a JWKS needs an array \"keys\"");
    BV_TRY(bv_jose_keys_open(JWKS_KEYS_MAX, &keys));
    for (struct bv_json_iter it = bv_json_iter(rows); bv_json_next(&it);)
        BV_TRY(add_jwk(keys, it.value, error));
    *ret_keys = bv_take(&keys);
    return 0;
}

int bv_jose_keys_to_jwks(const struct bv_jose_keys *keys, struct bv_json_writer *w)
{
    int rc = 0;
    bv_jw_object(w);
    bv_jw_key(w, "keys");
    bv_jw_array(w);
    for (size_t i = 0; i < keys->count; i++) {
        int one = bv_jose_key_to_jwk(keys->rows[i], w);
        rc = rc < 0 ? rc : one;
    }
    bv_jw_end(w);
    bv_jw_end(w);
    return rc;
}
