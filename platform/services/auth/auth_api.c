#include "auth_service.h"
#include "bv/password.h"
#include <stdio.h>
#include <stdlib.h>

#define TOKEN_BYTES_MAX 4096
#define ANSWER_BYTES_MAX 16384
#define SCOPE_BYTES_MAX 512
#define CHARACTER_BYTES_MAX 4
#define USERNAME_LENGTH_MAX 64
#define USERNAME_BYTES_MAX AUTH_NAME_BYTES_MAX /* 64 characters */
#define PASSWORD_LENGTH_MIN 12
#define PASSWORD_LENGTH_MAX 128
#define PASSWORD_BYTES_MAX (PASSWORD_LENGTH_MAX * CHARACTER_BYTES_MAX)
#define CLIENT_SECRET_BYTES_MAX 128

static const struct bv_http_field no_store[] = {
    {"Cache-Control", {"no-store", 8}}
};

static int reply_no_store(struct bv_http_request *request, int status, struct bv_buf *buf)
{
    int rc = buf->failed
                 ? BV_E_NOMEM
                 : bv_http_reply(request,
                                 &(struct bv_http_response){.status = status,
                                                            .content_type = "application/json",
                                                            .body = bv_buf_view(buf),
                                                            .fields = no_store,
                                                            .field_count = 1});
    bv_buf_release(buf);
    return rc;
}

int auth_api_authenticate(void *context,
                          struct bv_arena *arena,
                          struct bv_bytes token,
                          struct bv_principal *ret_principal,
                          struct bv_error *error)
{
    struct auth_service *auth = context;
    struct bv_claims claims;
    struct bv_jwt_rules rules = {
        bv_bytes_of(auth->config->issuer), bv_bytes_of(auth->config->audience), 5};
    if (!auth_keys_ready(auth->keys))
        return bv_fail(error, BV_E_UNAVAILABLE, "no signing key is loaded yet");
    int64_t now_s = bv_wall_us(bv_service_env(auth->frame)) / 1000000;
    BV_TRY(bv_jwt_verify(auth_keys_set(auth->keys), &rules, now_s, token, arena, &claims, error));
    *ret_principal =
        (struct bv_principal){claims.subject, claims.tenant, claims.client, claims.scope};
    return 0;
}

/* A request under way: the HTTP request may be gone when an answer comes, so work keeps only its
 * token and copies. */
struct work {
    struct auth_service *auth;
    struct bv_http_token token;
    int rc;            /* of the worker */
    int64_t queued_us; /* for the worker */
    char username[USERNAME_BYTES_MAX + 1];
    char password[PASSWORD_BYTES_MAX + 1]; /* wiped when the work ends */
    size_t password_size;
    char hash[BV_PASSWORD_HASH_MAX];
    char user_id[BV_UUID_TEXT_SIZE];
    char family[BV_UUID_TEXT_SIZE];
    char scope[SCOPE_BYTES_MAX + 1];
    char refresh[AUTH_REFRESH_TEXT];
    bool oauth; /* answers in the words of RFC 6749 */
};

static struct work *work_new(struct auth_service *auth, struct bv_http_request *request)
{
    struct work *work = calloc(1, sizeof(*work));
    if (work) {
        work->auth = auth;
        work->token = bv_http_defer(request);
    }
    return work;
}

static void work_end(struct work *work)
{
    explicit_bzero(work->password, sizeof(work->password));
    explicit_bzero(work->refresh, sizeof(work->refresh));
    free(work);
}

static void text_set(char *out, size_t room, struct bv_bytes text)
{
    size_t size = text.size < room - 1 ? text.size : room - 1;
    if (size > 0)
        memcpy(out, text.data, size);
    out[size] = '\0';
}

/* Ends the work with a fault by the error table. */
static void work_fail(struct work *work, int code, const struct bv_error *error)
{
    struct bv_http_request *request = bv_http_find(work->token);
    if (request && bv_http_fail(request, code, error) < 0)
        bv_log(bv_service_log(work->auth->frame),
               BV_WARN,
               "auth.reply_lost",
               NULL,
               BV_F_INT("code", code));
    work_end(work);
}

/* ---- answers ---- */

static void write_pair(struct work *work, struct bv_json_writer *w, struct bv_bytes access)
{
    static const char *const styles[][4] = {
        {"accessToken",  "refreshToken",  "tokenType",  "expiresIn" }, /* the platform's own JSON */
        {"access_token", "refresh_token", "token_type", "expires_in"}, /* RFC 6749 */
    };
    const char *const *names = styles[work->oauth ? 1 : 0];
    bv_jw_object(w);
    bv_jw_kv_string(w, names[0], access);
    if (*work->refresh)
        bv_jw_kv_text(w, names[1], work->refresh);
    bv_jw_kv_text(w, names[2], "Bearer");
    bv_jw_kv_int(w, names[3], work->auth->config->access_ttl_ms / 1000);
    bv_jw_kv_text(w, "scope", work->scope);
    bv_jw_end(w);
}

/* Signs an access token for subject and ends the work with the pair. */
static void answer_pair(struct work *work, const struct auth_issue *issue)
{
    struct bv_buf access = {.max = TOKEN_BYTES_MAX}, buf = {.max = ANSWER_BYTES_MAX};
    struct bv_http_request *request = bv_http_find(work->token);
    int rc = request ? auth_tokens_access(work->auth, issue, &access) : 0;
    if (request && rc == 0) {
        struct bv_json_writer w = bv_json_writer(&buf);
        write_pair(work, &w, bv_buf_view(&access));
        rc = reply_no_store(request, 200, &buf);
    }
    bv_buf_release(&access);
    if (rc < 0)
        work_fail(work, rc, NULL);
    else
        work_end(work);
}

static void answer_oauth_error(struct work *work, int status, const char *code, const char *text)
{
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_http_request *request = bv_http_find(work->token);
    struct bv_json_writer w = bv_json_writer(&buf);
    const struct bv_http_field fields[] = {
        no_store[0], {"WWW-Authenticate", BV_BYTES("Basic realm=\"bitvelocity\"")}
    };
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "error", code);
    if (*text)
        bv_jw_kv_text(&w, "error_description", text);
    bv_jw_end(&w);
    struct bv_http_response response = {.status = status,
                                        .content_type = "application/json",
                                        .body = bv_buf_view(&buf),
                                        .fields = fields,
                                        .field_count = status == 401 ? 2 : 1};
    if (request && bv_http_reply(request, &response) < 0)
        bv_log(bv_service_log(work->auth->frame),
               BV_WARN,
               "auth.reply_lost",
               NULL,
               BV_F_INT("status", status));
    bv_buf_release(&buf);
    work_end(work);
}

/* ---- users ---- */

struct credentials {
    struct bv_bytes username, password;
};
static const struct bv_field credential_fields[] = {
    {"username",
     offsetof(struct credentials, username),
     BV_FIELD_STRING, true,
     1, USERNAME_BYTES_MAX},
    {"password",
     offsetof(struct credentials, password),
     BV_FIELD_STRING, true,
     1, PASSWORD_BYTES_MAX},
};

static int refuse(struct bv_error *error, const char *pointer, const char *what)
{
    if (error)
        snprintf(error->pointer, sizeof(error->pointer), "%s", pointer);
    return bv_fail(error, BV_E_UNPROCESSABLE, "%s", what);
}

static int
check_lengths(const struct credentials *credentials, size_t password_min, struct bv_error *error)
{
    if (!auth_length_valid(credentials->username, 1, USERNAME_LENGTH_MAX))
        return refuse(error, "/username", "username has 1 to 64 characters");
    if (!auth_length_valid(credentials->password, password_min, PASSWORD_LENGTH_MAX))
        return refuse(error, "/password", "a password has 12 to 128 characters");
    return 0;
}

static int start_credentials(struct bv_http_request *request,
                             struct auth_service *auth,
                             size_t password_min,
                             struct work **ret_work,
                             struct bv_error *error)
{
    const struct bv_json *root;
    struct credentials credentials = {0};
    BV_TRY(bv_http_json(request, &root, error));
    BV_TRY(bv_json_decode(
        root, credential_fields, BV_COUNT(credential_fields), BV_STRICT, &credentials, error));
    BV_TRY(check_lengths(&credentials, password_min, error));
    struct work *work = work_new(auth, request);
    if (!work)
        return BV_E_NOMEM;
    text_set(work->username, sizeof(work->username), credentials.username);
    text_set(work->password, sizeof(work->password), credentials.password);
    work->password_size = credentials.password.size;
    *ret_work = work;
    return 0;
}

static struct bv_bytes password_of(const struct work *work)
{
    return (struct bv_bytes){work->password, work->password_size};
}

static void user_inserted(void *argument, int rc, const struct bv_error *error)
{
    struct work *work = argument;
    struct bv_error detail = {0};
    struct bv_http_request *request = bv_http_find(work->token);
    if (rc == BV_E_EXISTS) {
        (void)bv_fail(
            &detail, BV_E_CONFLICT, "the name %s is taken; choose another", work->username);
        work_fail(work, BV_E_CONFLICT, &detail);
        return;
    }
    if (rc < 0 || !request) {
        work_fail(work, rc, error);
        return;
    }
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    char at[BV_TIME_TEXT_SIZE];
    bv_time_format(bv_wall_us(bv_service_env(work->auth->frame)), at);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "userId", work->user_id);
    bv_jw_kv_text(&w, "username", work->username);
    bv_jw_kv_text(&w, "scope", work->scope);
    bv_jw_kv_text(&w, "createdAt", at);
    bv_jw_end(&w);
    rc = bv_http_reply_json(request, 201, &buf);
    if (rc < 0)
        work_fail(work, rc, NULL);
    else
        work_end(work);
}

static int queue_work(struct work *work, void (*run)(void *work), void (*done)(void *work))
{
    work->queued_us = bv_mono_us(bv_service_env(work->auth->frame));
    return bv_workers_run(work->auth->workers, run, done, work);
}

/* A hash that comes too late for its client would only make the others wait: a queue that grew long
 * empties at once. Thread: worker. */
static bool waited_too_long(struct work *work)
{
    int64_t waited_us = bv_mono_us(bv_service_env(work->auth->frame)) - work->queued_us;
    bool late = waited_us > work->auth->config->hash_wait_ms * 1000;
    if (late)
        work->rc = BV_E_LIMIT;
    return late;
}

static const char busy[] = "too many logins at once; try again in a second";

static void hash_work(void *argument)
{
    struct work *work = argument;
    if (waited_too_long(work))
        return;
    work->rc = bv_password_hash(bv_service_env(work->auth->frame), password_of(work), work->hash);
}

static void hash_done(void *argument)
{
    struct work *work = argument;
    struct auth_service *auth = work->auth;
    struct auth_user_row row = {bv_bytes_of(work->user_id),
                                BV_BYTES("default"),
                                bv_bytes_of(work->username),
                                bv_bytes_of(work->hash),
                                bv_bytes_of(work->scope)};
    int rc = work->rc;
    struct bv_error detail = {0};
    if (rc == BV_E_LIMIT)
        (void)bv_fail(&detail, rc, "%s", busy);
    else if (rc == 0)
        rc = auth->store->ops->user_insert(auth->store, &row, user_inserted, work);
    if (rc < 0)
        work_fail(work, rc, detail.code ? &detail : NULL);
}

static int create_user(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct auth_service *auth = context;
    struct work *work;
    BV_TRY(start_credentials(request, auth, PASSWORD_LENGTH_MIN, &work, error));
    if (!auth_username_valid(bv_bytes_of(work->username))) {
        work_end(work);
        return refuse(error,
                      "/username",
                      "a username has 3 to 64 of a-z 0-9 . _ - and begins with a letter or digit");
    }
    bv_uuid_format(bv_uuid_v7(bv_service_env(auth->frame)), work->user_id);
    text_set(work->scope, sizeof(work->scope), BV_BYTES(AUTH_SCOPE_CUSTOMER));
    int rc = queue_work(work, hash_work, hash_done);
    if (rc < 0)
        work_end(work);
    return rc == BV_E_LIMIT ? bv_fail(error, rc, "%s", busy) : rc;
}

/* ---- login ---- */

static void login_stored(void *argument, int rc, const struct bv_error *error)
{
    struct work *work = argument;
    if (rc < 0) {
        work_fail(work, rc, error);
        return;
    }
    struct auth_issue issue = {
        bv_bytes_of(work->user_id), BV_BYTES("default"), BV_BYTES_NONE, bv_bytes_of(work->scope)};
    answer_pair(work, &issue);
}

static void check_work(void *argument)
{
    struct work *work = argument;
    if (waited_too_long(work))
        return;
    work->rc = bv_password_check(password_of(work), bv_bytes_of(work->hash));
}

static void check_done(void *argument)
{
    struct work *work = argument;
    struct auth_service *auth = work->auth;
    if (work->rc != 0 || *work->user_id == '\0') {
        struct bv_error detail = {0};
        int code = work->rc < 0 ? work->rc : BV_E_UNAUTHENTICATED;
        if (code == BV_E_UNAUTHENTICATED)
            auth_login_failed(auth, bv_bytes_of(work->username));
        (void)bv_fail(
            &detail, code, "%s", code == BV_E_LIMIT ? busy : "the name or the password is wrong");
        work_fail(work, code, &detail);
        return;
    }
    char hash[65];
    const struct bv_env *env = bv_service_env(auth->frame);
    auth_tokens_refresh(env, work->refresh);
    auth_tokens_hash(bv_bytes_of(work->refresh), hash);
    bv_uuid_format(bv_uuid_v7(env), work->family);
    struct auth_refresh_new fresh = {bv_bytes_of(hash),
                                     bv_bytes_of(work->family),
                                     bv_bytes_of(work->user_id),
                                     bv_bytes_of(work->scope),
                                     auth->config->refresh_ttl_ms / 1000};
    int rc = auth->store->ops->refresh_insert(auth->store, &fresh, login_stored, work);
    if (rc < 0)
        work_fail(work, rc, NULL);
}

static void
login_user(void *argument, int rc, const struct auth_user_row *user, const struct bv_error *error)
{
    /* An unknown user costs the same time as a wrong password. */
    static const char nobody[] =
        "$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    struct work *work = argument;
    if (rc < 0) {
        work_fail(work, rc, error);
        return;
    }
    text_set(work->hash, sizeof(work->hash), user ? user->password_hash : bv_bytes_of(nobody));
    if (user) {
        text_set(work->user_id, sizeof(work->user_id), user->user_id);
        text_set(work->scope, sizeof(work->scope), user->scope);
    }
    rc = queue_work(work, check_work, check_done);
    if (rc < 0) {
        struct bv_error detail = {0};
        (void)bv_fail(&detail, rc, "%s", busy);
        work_fail(work, rc, &detail);
    }
}

static int login(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct auth_service *auth = context;
    struct work *work;
    BV_TRY(start_credentials(request, auth, 1, &work, error));
    if (!auth_login_allowed(auth, bv_bytes_of(work->username))) {
        work_end(work);
        return bv_fail(error, BV_E_LIMIT, "too many logins with this name failed; try again later");
    }
    int rc = auth->store->ops->user_by_name(
        auth->store, BV_BYTES("default"), bv_bytes_of(work->username), login_user, work);
    if (rc < 0)
        work_end(work);
    return rc;
}

/* ---- who am I ---- */

static void
write_me(struct bv_buf *buf, const struct bv_principal *principal, struct bv_bytes username)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_string(&w, "userId", principal->subject);
    if (username.size > 0)
        bv_jw_kv_string(&w, "username", username);
    if (principal->client.size > 0)
        bv_jw_kv_string(&w, "clientId", principal->client);
    bv_jw_kv_string(&w, "scope", principal->scope);
    bv_jw_kv_string(&w, "tenantId", principal->tenant);
    bv_jw_end(&w);
}

static void
me_user(void *argument, int rc, const struct auth_user_row *user, const struct bv_error *error)
{
    struct work *work = argument;
    struct bv_http_request *request = bv_http_find(work->token);
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    if (rc == 0 && !user)
        rc = BV_E_UNAUTHENTICATED;
    if (rc == 0 && request) {
        write_me(&buf, bv_http_principal(request), user->username);
        rc = bv_http_reply_json(request, 200, &buf);
    }
    if (rc < 0)
        work_fail(work, rc, error);
    else
        work_end(work);
}

static int me(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct auth_service *auth = context;
    const struct bv_principal *principal = bv_http_principal(request);
    (void)error;
    if (principal->client.size > 0) {
        struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
        write_me(&buf, principal, BV_BYTES_NONE);
        return bv_http_reply_json(request, 200, &buf);
    }
    struct work *work = work_new(auth, request);
    if (!work)
        return BV_E_NOMEM;
    int rc = auth->store->ops->user_by_id(auth->store, principal->subject, me_user, work);
    if (rc < 0)
        work_end(work);
    return rc;
}

/* ---- OAuth 2.0 token endpoint ---- */

static void client_found(void *argument,
                         int rc,
                         const struct auth_user_row *client,
                         const struct bv_error *error)
{
    struct work *work = argument;
    char presented[65], scope[SCOPE_BYTES_MAX + 1];
    if (rc < 0) {
        work_fail(work, rc, error);
        return;
    }
    auth_tokens_hash(password_of(work), presented);
    if (!client || !bv_bytes_equal_constant_time(client->password_hash, bv_bytes_of(presented))) {
        answer_oauth_error(work, 401, "invalid_client", "the client id or its secret is wrong");
        return;
    }
    if (client->scope.size > SCOPE_BYTES_MAX ||
        auth_scope_narrow(client->scope, bv_bytes_of(work->scope), scope) != 0) {
        answer_oauth_error(
            work, 400, "invalid_scope", "the client was not granted all of the asked scopes");
        return;
    }
    text_set(work->scope, sizeof(work->scope), bv_bytes_of(scope));
    struct auth_issue issue = {
        client->user_id, client->tenant, client->user_id, bv_bytes_of(work->scope)};
    answer_pair(work, &issue);
}

/* Authorization: Basic base64(id:secret), both form-encoded (RFC 6749 section 2.3.1); our ids and
 * secrets need no encoding. */
static bool basic_credentials(struct bv_http_request *request, struct work *work)
{
    struct bv_bytes header = bv_http_header(request, "Authorization");
    char plain[256];
    size_t size;
    if (header.size < 6 || header.size > 300 ||
        !bv_bytes_equal_nocase((struct bv_bytes){header.data, 6}, BV_BYTES("Basic ")))
        return false;
    if (bv_base64_decode((struct bv_bytes){header.data + 6, header.size - 6}, plain, &size) < 0)
        return false;
    const char *colon = memchr(plain, ':', size);
    size_t id_size = colon ? (size_t)(colon - plain) : 0;
    size_t secret_size = colon ? size - id_size - 1 : 0;
    struct bv_bytes id = {plain, id_size};
    if (!auth_client_id_valid(id) || secret_size > CLIENT_SECRET_BYTES_MAX)
        return false;
    text_set(work->username, sizeof(work->username), id);
    text_set(work->password, sizeof(work->password), (struct bv_bytes){colon + 1, secret_size});
    work->password_size = secret_size;
    explicit_bzero(plain, sizeof(plain));
    return true;
}

static int grant_client(struct work *work, struct bv_http_request *request)
{
    struct auth_service *auth = work->auth;
    if (!basic_credentials(request, work)) {
        answer_oauth_error(
            work, 401, "invalid_client", "send client id and secret with HTTP Basic");
        return 0;
    }
    int rc = auth->store->ops->client_by_id(
        auth->store, bv_bytes_of(work->username), client_found, work);
    if (rc < 0)
        work_end(work);
    return rc;
}

static void family_revoked(void *argument, int rc, const struct bv_error *error)
{
    struct work *work = argument;
    if (rc < 0)
        work_fail(work, rc, error);
    else
        answer_oauth_error(work, 400, "invalid_grant", auth_refresh_text(AUTH_REFRESH_USED));
}

static void refresh_refused(struct work *work, const struct auth_refresh_grant *grant)
{
    struct auth_service *auth = work->auth;
    enum auth_refresh_state state;
    int64_t now_s = bv_wall_us(bv_service_env(auth->frame)) / 1000000;
    enum auth_effect effect = auth_refresh_decide(&grant->row, now_s, &state);
    if (effect == AUTH_ROTATE && *work->scope) { /* good, and still so: the wish was too much */
        answer_oauth_error(
            work, 400, "invalid_scope", "the session was not granted all of the asked scopes");
        return;
    }
    if (effect == AUTH_ROTATE) /* the database's clock is ahead of ours */
        state = AUTH_REFRESH_EXPIRED;
    if (effect != AUTH_REVOKE_FAMILY) {
        answer_oauth_error(work, 400, "invalid_grant", auth_refresh_text(state));
        return;
    }
    bv_log(bv_service_log(auth->frame),
           BV_WARN,
           "auth.refresh_reused",
           NULL,
           BV_F_STR("family", grant->family));
    int rc = auth->store->ops->family_revoke(auth->store, grant->family, family_revoked, work);
    if (rc < 0)
        work_fail(work, rc, NULL);
}

static void refresh_rotated(void *argument,
                            int rc,
                            const struct auth_refresh_grant *grant,
                            const struct bv_error *error)
{
    struct work *work = argument;
    char scope[SCOPE_BYTES_MAX + 1];
    if (rc < 0) {
        work_fail(work, rc, error);
        return;
    }
    if (!grant->rotated) {
        refresh_refused(work, grant);
        return;
    }
    if (grant->scope.size > SCOPE_BYTES_MAX ||
        auth_scope_narrow(grant->scope, bv_bytes_of(work->scope), scope) != 0) {
        answer_oauth_error(
            work, 400, "invalid_scope", "the session was not granted all of the asked scopes");
        return;
    }
    text_set(work->scope, sizeof(work->scope), bv_bytes_of(scope));
    struct auth_issue issue = {
        grant->user.user_id, grant->user.tenant, BV_BYTES_NONE, bv_bytes_of(work->scope)};
    answer_pair(work, &issue);
}

static int grant_refresh(struct work *work, struct bv_bytes presented)
{
    struct auth_service *auth = work->auth;
    char old_hash[65], new_hash[65];
    if (presented.size == 0 || presented.size > 512) {
        answer_oauth_error(work, 400, "invalid_request", "refresh_token is missing or too long");
        return 0;
    }
    auth_tokens_refresh(bv_service_env(auth->frame), work->refresh);
    auth_tokens_hash(presented, old_hash);
    auth_tokens_hash(bv_bytes_of(work->refresh), new_hash);
    int rc = auth->store->ops->refresh_rotate(auth->store,
                                              bv_bytes_of(old_hash),
                                              bv_bytes_of(new_hash),
                                              bv_bytes_of(work->scope),
                                              auth->config->refresh_ttl_ms / 1000,
                                              refresh_rotated,
                                              work);
    if (rc < 0)
        work_end(work);
    return rc;
}

/* The parameter, which no request may repeat (RFC 6749 section 3.2). */
static int form_once(struct bv_http_request *request, const char *name, struct bv_bytes *ret_value)
{
    struct bv_bytes rest = bv_http_body(request);
    *ret_value = BV_BYTES_NONE;
    while (rest.size > 0) {
        const char *amp = memchr(rest.data, '&', rest.size);
        const struct bv_bytes one = {rest.data, amp ? (size_t)(amp - rest.data) : rest.size};
        struct bv_bytes value;
        BV_TRY(bv_http_form(bv_http_arena(request), one, name, &value));
        if (value.data && ret_value->data)
            return BV_E_INVALID;
        if (value.data)
            *ret_value = value;
        rest.data += one.size + (amp ? 1 : 0);
        rest.size -= one.size + (amp ? 1 : 0);
    }
    return 0;
}

static int issue_token(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct work *work = work_new(context, request);
    struct bv_bytes grant, scope, refresh;
    if (!work)
        return BV_E_NOMEM;
    work->oauth = true;
    int rc = form_once(request, "grant_type", &grant);
    if (rc == 0)
        rc = form_once(request, "scope", &scope);
    if (rc == 0)
        rc = form_once(request, "refresh_token", &refresh);
    if (rc < 0 || scope.size > SCOPE_BYTES_MAX || grant.size == 0) {
        answer_oauth_error(
            work, 400, "invalid_request", "the body is not a form with one grant_type");
        return 0;
    }
    if (!auth_scope_valid(scope)) {
        answer_oauth_error(work, 400, "invalid_scope", "a scope has a character that none has");
        return 0;
    }
    (void)error;
    text_set(work->scope, sizeof(work->scope), scope);
    if (bv_bytes_equal(grant, BV_BYTES("client_credentials")))
        return grant_client(work, request);
    if (bv_bytes_equal(grant, BV_BYTES("refresh_token")))
        return grant_refresh(work, refresh);
    answer_oauth_error(
        work, 400, "unsupported_grant_type", "client_credentials and refresh_token are served");
    return 0;
}

/* ---- keys and metadata ---- */

static int jwks(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct auth_service *auth = context;
    static const struct bv_http_field cached[] = {
        {"Cache-Control", {"public, max-age=60", 18}}
    };
    if (!auth_keys_ready(auth->keys))
        return bv_fail(error, BV_E_UNAVAILABLE, "no signing key is loaded yet");
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "application/json",
                                                    .body = auth_keys_jwks(auth->keys),
                                                    .fields = cached,
                                                    .field_count = 1});
}

static void
write_list(struct bv_json_writer *w, const char *key, const char *const *items, size_t count)
{
    bv_jw_key(w, key);
    bv_jw_array(w);
    for (size_t i = 0; i < count; i++)
        bv_jw_text(w, items[i]);
    bv_jw_end(w);
}

static int metadata(struct bv_http_request *request, void *context, struct bv_error *error)
{
    static const char *const grants[] = {"client_credentials", "refresh_token"};
    static const char *const methods[] = {"client_secret_basic", "none"};
    static const char *const scopes[] = {"products:read",
                                         "products:write",
                                         "orders:write",
                                         "orders:manage",
                                         "webhooks:manage",
                                         "keys:rotate",
                                         "inventory:read",
                                         "inventory:write"};
    struct auth_service *auth = context;
    struct bv_arena *arena = bv_http_arena(request);
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&buf);
    const char *token = bv_arena_format(arena, "%s/oauth2/token", auth->config->issuer);
    const char *keys = bv_arena_format(arena, "%s/.well-known/jwks.json", auth->config->issuer);
    if (!token || !keys)
        return bv_fail(error, BV_E_NOMEM, "out of request memory");
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "issuer", auth->config->issuer);
    bv_jw_kv_text(&w, "token_endpoint", token);
    bv_jw_kv_text(&w, "jwks_uri", keys);
    write_list(&w, "response_types_supported", NULL, 0);
    write_list(&w, "grant_types_supported", grants, BV_COUNT(grants));
    write_list(&w, "token_endpoint_auth_methods_supported", methods, BV_COUNT(methods));
    write_list(&w, "scopes_supported", scopes, BV_COUNT(scopes));
    bv_jw_end(&w);
    return bv_http_reply_json(request, 200, &buf);
}

static void
rotated(void *argument, int rc, const struct auth_rotated *key, const struct bv_error *error)
{
    struct work *work = argument;
    struct bv_http_request *request = bv_http_find(work->token);
    struct bv_buf buf = {.max = ANSWER_BYTES_MAX};
    if (rc == 0 && request) {
        struct bv_json_writer w = bv_json_writer(&buf);
        bv_jw_object(&w);
        bv_jw_kv_string(&w, "kid", key->kid);
        bv_jw_kv_string(&w, "alg", key->alg);
        bv_jw_kv_string(&w, "createdAt", key->created_at);
        bv_jw_kv_string(&w, "previousKid", key->previous_kid);
        bv_jw_end(&w);
        rc = bv_http_reply_json(request, 200, &buf);
    }
    if (rc < 0)
        work_fail(work, rc, error);
    else
        work_end(work);
}

static int rotate_keys(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct auth_service *auth = context;
    struct work *work = work_new(auth, request);
    if (!work)
        return BV_E_NOMEM;
    int rc = auth_keys_rotate(auth->keys, rotated, work);
    if (rc < 0)
        work_end(work);
    if (rc == BV_E_LIMIT)
        return bv_fail(error, rc, "no room for another key, or no thread to make it; try later");
    return rc == BV_E_CONFLICT ? bv_fail(error, rc, "another rotation is under way; wait for it")
                               : rc;
}

const struct bv_http_route auth_routes[AUTH_ROUTE_COUNT] = {
    {BV_POST, "/v1/users",                      "createUser",        NULL,          create_user, 4096, 0, "application/json"},
    {BV_POST, "/v1/login",                      "login",             NULL,          login,       4096, 0, "application/json"},
    {BV_GET,  "/v1/me",                         "getMe",             "",            me,          0,    0, NULL              },
    {BV_POST,
     "/oauth2/token",                           "issueToken",
     NULL,                                                                          issue_token,
     8192,                                                                                             0,
     "application/x-www-form-urlencoded"                                                                                    },
    {BV_GET,  "/.well-known/jwks.json",         "getJwks",           NULL,          jwks,        0,    0, NULL              },
    {BV_GET,
     "/.well-known/oauth-authorization-server", "getServerMetadata",
     NULL,                                                                          metadata,
     0,                                                                                                0,
     NULL                                                                                                                   },
    {BV_POST, "/v1/keys/rotate",                "rotateKeys",        "keys:rotate", rotate_keys, 0,    0, NULL              },
};
