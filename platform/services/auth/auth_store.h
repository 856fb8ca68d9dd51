/* Persistence of the auth service: semantic operations as a vtable; Postgres implements it. Replies
 * come on the loop thread, never from within the call. Spans in rows live for the callback only.
 * Faults as in bv/pg.h. Thread: loop. */
#ifndef AUTH_STORE_H
#define AUTH_STORE_H

#include "auth_core.h"
#include "bv/pg.h"
#include "bv/uuid.h"

struct auth_user_row {
    struct bv_bytes user_id, tenant, username, password_hash, scope;
};
struct auth_key_row {
    struct bv_bytes kid, alg, pem, created_at;
    bool retired;
};
struct auth_refresh_grant { /* a rotated token's owner */
    struct auth_refresh_row row;
    bool rotated; /* the new token is in place; user is filled */
    struct bv_bytes family;
    struct auth_user_row user;
    struct bv_bytes scope;
};
/* rows: NULL when rc < 0. */
typedef void auth_user_done(void *argument,
                            int rc,
                            const struct auth_user_row *user,
                            const struct bv_error *error);
typedef void auth_keys_done(void *argument,
                            int rc,
                            const struct auth_key_row *rows,
                            size_t count,
                            const struct bv_error *error);
typedef void auth_refresh_done(void *argument,
                               int rc,
                               const struct auth_refresh_grant *grant,
                               const struct bv_error *error);
typedef void auth_store_done(void *argument, int rc, const struct bv_error *error);

struct auth_refresh_new {
    struct bv_bytes token_hash; /* SHA-256, hex */
    struct bv_bytes family;
    struct bv_bytes user_id;
    struct bv_bytes scope;
    int64_t ttl_s;
};

struct auth_store {
    const struct auth_store_ops *ops;
};
struct auth_store_ops {
    /* BV_E_EXISTS when the name is taken. */
    int (*user_insert)(struct auth_store *self,
                       const struct auth_user_row *user,
                       auth_store_done *done,
                       void *argument);
    int (*user_by_name)(struct auth_store *self,
                        struct bv_bytes tenant,
                        struct bv_bytes username,
                        auth_user_done *done,
                        void *argument); /* NULL user: none */
    int (*user_by_id)(struct auth_store *self,
                      struct bv_bytes user_id,
                      auth_user_done *done,
                      void *argument);
    int (*client_upsert)(struct auth_store *self,
                         struct bv_bytes client_id,
                         struct bv_bytes secret_hash,
                         struct bv_bytes scope,
                         auth_store_done *done,
                         void *argument);
    /* user.user_id = client id, password_hash = the secret's hash. */
    int (*client_by_id)(struct auth_store *self,
                        struct bv_bytes client_id,
                        auth_user_done *done,
                        void *argument);
    int (*refresh_insert)(struct auth_store *self,
                          const struct auth_refresh_new *token,
                          auth_store_done *done,
                          void *argument);
    /* One atomic step: a fresh old token is marked used and new_hash takes its place in the family;
     * otherwise grant.row says what the old one is. wished: scopes separated by spaces; a token
     * that was not granted all of them stays as it is. Takes turns with family_revoke. */
    int (*refresh_rotate)(struct auth_store *self,
                          struct bv_bytes old_hash,
                          struct bv_bytes new_hash,
                          struct bv_bytes wished,
                          int64_t ttl_s,
                          auth_refresh_done *done,
                          void *argument);
    int (*family_revoke)(struct auth_store *self,
                         struct bv_bytes family,
                         auth_store_done *done,
                         void *argument);
    /* Keys that sign or still verify: the active one and those retired less than keep_s ago, newest
     * first. */
    int (*keys_load)(struct auth_store *self, int64_t keep_s, auth_keys_done *done, void *argument);
    /* Retires previous_kid (empty: there is none) and inserts the new one in one step; BV_E_EXISTS
     * when another replica was first. */
    int (*key_activate)(struct auth_store *self,
                        struct bv_bytes previous_kid,
                        struct bv_bytes kid,
                        struct bv_bytes alg,
                        struct bv_bytes pem,
                        auth_store_done *done,
                        void *argument);
    /* Deletes families whose last token expired an hour ago and keys retired a day and keep_s ago,
     * some thousands of rows at a time. */
    int (*sweep)(struct auth_store *self, int64_t keep_s, auth_store_done *done, void *argument);
    void (*release)(struct auth_store **self);
};

BV_MUST_CHECK int auth_store_pg_open(struct bv_pg *pg,
                                     struct auth_store **ret_store); /* pg is borrowed */

#endif
