#include "auth_store.h"
#include <stdlib.h>

#define KEYS_MAX 16

struct pg_store {
    struct auth_store base;
    struct bv_pg *pg; /* borrowed */
};

/* What a callback needs to come back to its asker. */
struct ask {
    union {
        auth_user_done *user;
        auth_keys_done *keys;
        auth_refresh_done *refresh;
        auth_store_done *plain;
    } done;
    void *argument;
};

static const struct bv_pg_statement user_insert_sql = {
    "auth_user_insert",
    "INSERT INTO users (user_id, tenant, username, password_hash, scope) VALUES ($1::uuid, $2, $3, "
    "$4, $5)"};
static const struct bv_pg_statement user_by_name_sql = {
    "auth_user_by_name",
    "SELECT user_id::text, tenant, username, password_hash, scope FROM users WHERE tenant = $1 AND "
    "username = $2"};
static const struct bv_pg_statement user_by_id_sql = {
    "auth_user_by_id",
    "SELECT user_id::text, tenant, username, password_hash, scope FROM users WHERE user_id = "
    "$1::uuid"};
static const struct bv_pg_statement client_upsert_sql = {
    "auth_client_upsert",
    "INSERT INTO clients (client_id, secret_hash, scope) VALUES ($1, $2, $3) "
    "ON CONFLICT (client_id) DO UPDATE SET secret_hash = EXCLUDED.secret_hash, scope = "
    "EXCLUDED.scope"};
static const struct bv_pg_statement client_by_id_sql = {
    "auth_client_by_id",
    "SELECT client_id, tenant, client_id, secret_hash, scope FROM clients WHERE client_id = $1"};
static const struct bv_pg_statement refresh_insert_sql = {
    "auth_refresh_insert",
    "INSERT INTO refresh_tokens (token_hash, family, user_id, scope, expires_at) "
    "VALUES ($1, $2::uuid, $3::uuid, $4, now() + make_interval(secs => $5::bigint))"};
/* Rotation and revocation of one family take turns: otherwise a revocation would miss the token
 * that a rotation puts in place meanwhile. */
static const struct bv_pg_statement refresh_lock_sql = {
    "auth_refresh_lock",
    "SELECT pg_advisory_xact_lock(hashtextextended(family::text, 0))::text FROM refresh_tokens "
    "WHERE "
    "token_hash = $1"};
static const struct bv_pg_statement family_lock_sql = {
    "auth_family_lock", "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))::text"};
/* The UPDATE decides the race of two presenters: one of them finds used_at set. */
static const struct bv_pg_statement refresh_rotate_sql = {
    "auth_refresh_rotate",
    "WITH taken AS (UPDATE refresh_tokens SET used_at = now() WHERE token_hash = $1 AND used_at IS "
    "NULL AND revoked_at IS NULL "
    "AND expires_at > now() AND array_remove(string_to_array($4, ' '), '') <@ "
    "string_to_array(scope, ' ') RETURNING family, user_id, scope), "
    "placed AS (INSERT INTO refresh_tokens (token_hash, family, user_id, scope, expires_at) "
    "SELECT $2, family, user_id, scope, now() + make_interval(secs => $3::bigint) FROM taken "
    "RETURNING 1) "
    "SELECT u.user_id::text, u.tenant, u.username, '', taken.scope, taken.family::text FROM taken "
    "JOIN users u USING (user_id), placed"};
static const struct bv_pg_statement refresh_state_sql = {
    "auth_refresh_state",
    "SELECT used_at IS NOT NULL, revoked_at IS NOT NULL, extract(epoch FROM expires_at)::bigint, "
    "family::text "
    "FROM refresh_tokens WHERE token_hash = $1"};
static const struct bv_pg_statement family_revoke_sql = {
    "auth_family_revoke",
    "UPDATE refresh_tokens SET revoked_at = now() WHERE family = $1::uuid AND revoked_at IS NULL"};
static const struct bv_pg_statement keys_load_sql = {
    "auth_keys_load",
    "SELECT kid, alg, pem, to_char(created_at AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), retired_at IS NOT NULL "
    "FROM signing_keys WHERE retired_at IS NULL OR retired_at > now() - make_interval(secs => "
    "$1::bigint) "
    "ORDER BY retired_at DESC NULLS FIRST LIMIT 16"};
static const struct bv_pg_statement key_retire_sql = {
    "auth_key_retire",
    "UPDATE signing_keys SET retired_at = now() WHERE kid = $1 AND retired_at IS NULL"};
static const struct bv_pg_statement key_insert_sql = {
    "auth_key_insert", "INSERT INTO signing_keys (kid, alg, pem) VALUES ($1, $2, $3)"};
/* Whole families: as long as one of its tokens is good, the reuse of any must be known. */
static const struct bv_pg_statement sweep_refresh_sql = {
    "auth_sweep_refresh",
    "DELETE FROM refresh_tokens WHERE token_hash IN (SELECT t.token_hash FROM refresh_tokens t "
    "WHERE t.expires_at < now() - interval '1 hour' AND NOT EXISTS (SELECT 1 FROM refresh_tokens l "
    "WHERE l.family = t.family AND l.expires_at >= now() - interval '1 hour') LIMIT 5000)"};
static const struct bv_pg_statement sweep_keys_sql = {
    "auth_sweep_keys",
    "DELETE FROM signing_keys WHERE retired_at < now() - interval '1 day' - make_interval(secs => "
    "$1::bigint)"};

static int call(struct auth_store *self,
                const struct bv_pg_query *queries,
                size_t count,
                bv_pg_done *done,
                struct ask ask)
{
    return bv_pg_ask(((struct pg_store *)self)->pg, queries, count, done, &ask, sizeof(ask));
}

static void on_plain(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)results, (void)count;
    const struct ask ask = *(const struct ask *)argument;
    ask.done.plain(ask.argument, rc, rc < 0 ? &failure->error : NULL);
}

static struct auth_user_row user_row(const struct bv_pg_result *result)
{
    return (struct auth_user_row){bv_pg_text(result, 0, 0),
                                  bv_pg_text(result, 0, 1),
                                  bv_pg_text(result, 0, 2),
                                  bv_pg_text(result, 0, 3),
                                  bv_pg_text(result, 0, 4)};
}

static void on_user(void *argument,
                    int rc,
                    const struct bv_pg_result *const *results,
                    size_t count,
                    const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    if (rc < 0 || bv_pg_rows(results[0]) == 0) {
        ask.done.user(ask.argument, rc, NULL, rc < 0 ? &failure->error : NULL);
        return;
    }
    struct auth_user_row user = user_row(results[0]);
    ask.done.user(ask.argument, 0, &user, NULL);
}

static int user_insert(struct auth_store *self,
                       const struct auth_user_row *user,
                       auth_store_done *done,
                       void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(user->user_id),
                                   BV_PG_P_TEXT(user->tenant),
                                   BV_PG_P_TEXT(user->username),
                                   BV_PG_P_TEXT(user->password_hash),
                                   BV_PG_P_TEXT(user->scope)};
    struct bv_pg_query query = {&user_insert_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_plain, (struct ask){.done.plain = done, .argument = argument});
}

static int user_by_name(struct auth_store *self,
                        struct bv_bytes tenant,
                        struct bv_bytes username,
                        auth_user_done *done,
                        void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(username)};
    struct bv_pg_query query = {&user_by_name_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_user, (struct ask){.done.user = done, .argument = argument});
}

static int
user_by_id(struct auth_store *self, struct bv_bytes user_id, auth_user_done *done, void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(user_id)};
    struct bv_pg_query query = {&user_by_id_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_user, (struct ask){.done.user = done, .argument = argument});
}

static int client_upsert(struct auth_store *self,
                         struct bv_bytes client_id,
                         struct bv_bytes secret_hash,
                         struct bv_bytes scope,
                         auth_store_done *done,
                         void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(client_id), BV_PG_P_TEXT(secret_hash), BV_PG_P_TEXT(scope)};
    struct bv_pg_query query = {&client_upsert_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_plain, (struct ask){.done.plain = done, .argument = argument});
}

static int client_by_id(struct auth_store *self,
                        struct bv_bytes client_id,
                        auth_user_done *done,
                        void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(client_id)};
    struct bv_pg_query query = {&client_by_id_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_user, (struct ask){.done.user = done, .argument = argument});
}

static int refresh_insert(struct auth_store *self,
                          const struct auth_refresh_new *token,
                          auth_store_done *done,
                          void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(token->token_hash),
                                   BV_PG_P_TEXT(token->family),
                                   BV_PG_P_TEXT(token->user_id),
                                   BV_PG_P_TEXT(token->scope),
                                   BV_PG_P_INT(token->ttl_s)};
    struct bv_pg_query query = {&refresh_insert_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_plain, (struct ask){.done.plain = done, .argument = argument});
}

static void on_rotate(void *argument,
                      int rc,
                      const struct bv_pg_result *const *results,
                      size_t count,
                      const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct auth_refresh_grant grant = {0};
    if (rc < 0) {
        ask.done.refresh(ask.argument, rc, NULL, &failure->error);
        return;
    }
    if (bv_pg_rows(results[1]) > 0) {
        grant.rotated = true;
        grant.user = user_row(results[1]);
        grant.scope = grant.user.scope;
        grant.family = bv_pg_text(results[1], 0, 5);
    }
    if (bv_pg_rows(results[2]) > 0) {
        grant.row = (struct auth_refresh_row){true,
                                              bv_pg_bool(results[2], 0, 0),
                                              bv_pg_bool(results[2], 0, 1),
                                              bv_pg_int(results[2], 0, 2)};
        grant.family = bv_pg_text(results[2], 0, 3);
    }
    ask.done.refresh(ask.argument, 0, &grant, NULL);
}

static int refresh_rotate(struct auth_store *self,
                          struct bv_bytes old_hash,
                          struct bv_bytes new_hash,
                          struct bv_bytes wished,
                          int64_t ttl_s,
                          auth_refresh_done *done,
                          void *argument)
{
    struct bv_pg_param rotate[] = {
        BV_PG_P_TEXT(old_hash), BV_PG_P_TEXT(new_hash), BV_PG_P_INT(ttl_s), BV_PG_P_TEXT(wished)};
    struct bv_pg_query queries[] = {
        {&refresh_lock_sql,   rotate, 1               },
        {&refresh_rotate_sql, rotate, BV_COUNT(rotate)},
        {&refresh_state_sql,  rotate, 1               }
    };
    return call(self,
                queries,
                BV_COUNT(queries),
                on_rotate,
                (struct ask){.done.refresh = done, .argument = argument});
}

static int family_revoke(struct auth_store *self,
                         struct bv_bytes family,
                         auth_store_done *done,
                         void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(family)};
    struct bv_pg_query queries[] = {
        {&family_lock_sql,   params, BV_COUNT(params)},
        {&family_revoke_sql, params, BV_COUNT(params)}
    };
    return call(self,
                queries,
                BV_COUNT(queries),
                on_plain,
                (struct ask){.done.plain = done, .argument = argument});
}

static void on_keys(void *argument,
                    int rc,
                    const struct bv_pg_result *const *results,
                    size_t count,
                    const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct auth_key_row rows[KEYS_MAX];
    size_t n = 0;
    for (size_t i = 0; rc == 0 && i < bv_pg_rows(results[0]) && n < KEYS_MAX; i++)
        rows[n++] = (struct auth_key_row){bv_pg_text(results[0], i, 0),
                                          bv_pg_text(results[0], i, 1),
                                          bv_pg_text(results[0], i, 2),
                                          bv_pg_text(results[0], i, 3),
                                          bv_pg_bool(results[0], i, 4)};
    ask.done.keys(ask.argument, rc, rc < 0 ? NULL : rows, n, rc < 0 ? &failure->error : NULL);
}

static int keys_load(struct auth_store *self, int64_t keep_s, auth_keys_done *done, void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_INT(keep_s)};
    struct bv_pg_query query = {&keys_load_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_keys, (struct ask){.done.keys = done, .argument = argument});
}

static int key_activate(struct auth_store *self,
                        struct bv_bytes previous_kid,
                        struct bv_bytes kid,
                        struct bv_bytes alg,
                        struct bv_bytes pem,
                        auth_store_done *done,
                        void *argument)
{
    struct bv_pg_param retire[] = {BV_PG_P_TEXT(previous_kid)};
    struct bv_pg_param insert[] = {BV_PG_P_TEXT(kid), BV_PG_P_TEXT(alg), BV_PG_P_TEXT(pem)};
    struct bv_pg_query queries[] = {
        {&key_retire_sql, retire, 1               },
        {&key_insert_sql, insert, BV_COUNT(insert)}
    };
    return call(self,
                queries,
                BV_COUNT(queries),
                on_plain,
                (struct ask){.done.plain = done, .argument = argument});
}

static int sweep(struct auth_store *self, int64_t keep_s, auth_store_done *done, void *argument)
{
    struct bv_pg_param keep[] = {BV_PG_P_INT(keep_s)};
    struct bv_pg_query queries[] = {
        {&sweep_refresh_sql, NULL, 0},
        {&sweep_keys_sql,    keep, 1}
    };
    return call(self,
                queries,
                BV_COUNT(queries),
                on_plain,
                (struct ask){.done.plain = done, .argument = argument});
}

static void store_release(struct auth_store **self)
{
    free(*self);
    *self = NULL;
}

int auth_store_pg_open(struct bv_pg *pg, struct auth_store **ret_store)
{
    static const struct auth_store_ops ops = {
        .user_insert = user_insert,
        .user_by_name = user_by_name,
        .user_by_id = user_by_id,
        .client_upsert = client_upsert,
        .client_by_id = client_by_id,
        .refresh_insert = refresh_insert,
        .refresh_rotate = refresh_rotate,
        .family_revoke = family_revoke,
        .keys_load = keys_load,
        .key_activate = key_activate,
        .sweep = sweep,
        .release = store_release,
    };
    struct pg_store *store = calloc(1, sizeof(*store));
    if (!store)
        return BV_E_NOMEM;
    store->base.ops = &ops;
    store->pg = pg;
    *ret_store = &store->base;
    return 0;
}
