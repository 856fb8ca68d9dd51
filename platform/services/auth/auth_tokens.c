#include "auth_service.h"
#include <openssl/sha.h>

#define SECRET_BYTES 32

int auth_tokens_access(struct auth_service *auth,
                       const struct auth_issue *issue,
                       struct bv_buf *buf)
{
    const struct bv_env *env = bv_service_env(auth->frame);
    char id[BV_UUID_TEXT_SIZE];
    int64_t now_s = bv_wall_us(env) / 1000000;
    bv_uuid_format(bv_uuid_v7(env), id);
    struct bv_claims claims = {
        .issuer = bv_bytes_of(auth->config->issuer),
        .subject = issue->subject,
        .audience = bv_bytes_of(auth->config->audience),
        .scope = issue->scope,
        .tenant = issue->tenant,
        .client = issue->client,
        .token_id = bv_bytes_of(id),
        .issued_at_s = now_s,
        .expires_at_s = now_s + auth->config->access_ttl_ms / 1000,
    };
    return auth_keys_sign(auth->keys, &claims, buf);
}

void auth_tokens_refresh(const struct bv_env *env, char out[AUTH_REFRESH_TEXT])
{
    unsigned char secret[SECRET_BYTES];
    env->random->fill(env->random, secret, sizeof(secret));
    memcpy(out, "rt_", 3);
    out[3 + bv_base64url_encode(secret, sizeof(secret), out + 3)] = '\0';
}

/* What the throttle knows a name by. */
static uint64_t throttle_name(const struct auth_service *auth, struct bv_bytes username)
{
    unsigned char keyed[sizeof(auth->throttle_key) + AUTH_NAME_BYTES_MAX];
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const size_t size = username.size < AUTH_NAME_BYTES_MAX ? username.size : AUTH_NAME_BYTES_MAX;
    uint64_t name;
    memcpy(keyed, auth->throttle_key, sizeof(auth->throttle_key));
    if (size > 0)
        memcpy(keyed + sizeof(auth->throttle_key), username.data, size);
    SHA256(keyed, sizeof(auth->throttle_key) + size, digest);
    memcpy(&name, digest, sizeof(name));
    return name;
}

static int64_t throttle_now_ms(const struct auth_service *auth)
{
    return bv_mono_us(bv_service_env(auth->frame)) / 1000;
}

bool auth_login_allowed(const struct auth_service *auth, struct bv_bytes username)
{
    return auth_throttle_allows(
        auth->throttle, throttle_name(auth, username), throttle_now_ms(auth));
}

void auth_login_failed(struct auth_service *auth, struct bv_bytes username)
{
    auth_throttle_failed(auth->throttle, throttle_name(auth, username), throttle_now_ms(auth));
}

void auth_tokens_hash(struct bv_bytes secret, char out[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)secret.data, secret.size, digest);
    out[bv_hex_encode(digest, sizeof(digest), out)] = '\0';
}
