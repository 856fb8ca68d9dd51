#include "bv/webhook.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define SECRET_BYTES_MAX 64
#define SECRET_BYTES 32
#define MAC_BYTES 32

static const char prefix[] = "whsec_";

void bv_webhook_secret(const struct bv_env *env, char out[BV_WEBHOOK_SECRET_TEXT])
{
    unsigned char secret[SECRET_BYTES];
    env->random->fill(env->random, secret, sizeof(secret));
    memcpy(out, prefix, sizeof(prefix) - 1);
    size_t size = bv_base64_encode(secret, sizeof(secret), out + sizeof(prefix) - 1);
    out[sizeof(prefix) - 1 + size] = '\0';
}

/* MAC over "id.timestamp.body", fed in parts so that the body is not copied. */
static int mac(struct bv_bytes secret,
               struct bv_bytes id,
               struct bv_bytes timestamp,
               struct bv_bytes body,
               unsigned char out[MAC_BYTES])
{
    unsigned char key[SECRET_BYTES_MAX];
    size_t key_size, out_size;
    if (!bv_bytes_starts(secret, BV_BYTES("whsec_")))
        return BV_E_INVALID;
    struct bv_bytes encoded = {secret.data + sizeof(prefix) - 1,
                               secret.size - (sizeof(prefix) - 1)};
    if (encoded.size > SECRET_BYTES_MAX)
        return BV_E_INVALID;
    BV_TRY(bv_base64_decode(encoded, key, &key_size));
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key, key_size);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    out_size = MAC_BYTES;
    bool ok = pkey && context &&
              EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, pkey, NULL) > 0 &&
              EVP_DigestSignUpdate(context, id.data, id.size) > 0 &&
              EVP_DigestSignUpdate(context, ".", 1) > 0 &&
              EVP_DigestSignUpdate(context, timestamp.data, timestamp.size) > 0 &&
              EVP_DigestSignUpdate(context, ".", 1) > 0 &&
              (body.size == 0 || EVP_DigestSignUpdate(context, body.data, body.size) > 0) &&
              EVP_DigestSignFinal(context, out, &out_size) > 0;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    return ok ? 0 : BV_E_INTERNAL;
}

int bv_webhook_sign(struct bv_bytes secret,
                    struct bv_bytes id,
                    int64_t timestamp_s,
                    struct bv_bytes body,
                    char out[BV_WEBHOOK_SIGNATURE_TEXT])
{
    unsigned char digest[MAC_BYTES];
    char timestamp[24];
    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)timestamp_s);
    BV_TRY(mac(secret, id, bv_bytes_of(timestamp), body, digest));
    memcpy(out, "v1,", 3);
    size_t size = bv_base64_encode(digest, sizeof(digest), out + 3);
    out[3 + size] = '\0';
    return 0;
}

static bool any_matches(struct bv_bytes header, struct bv_bytes wanted)
{
    bool found = false;
    while (header.size > 0) {
        const char *space = memchr(header.data, ' ', header.size);
        size_t size = space ? (size_t)(space - header.data) : header.size;
        found |= bv_bytes_equal_constant_time((struct bv_bytes){header.data, size}, wanted);
        header.data += size + (space ? 1 : 0);
        header.size -= size + (space ? 1 : 0);
    }
    return found;
}

int bv_webhook_verify(struct bv_bytes secret,
                      struct bv_bytes id,
                      struct bv_bytes timestamp,
                      struct bv_bytes signature_header,
                      struct bv_bytes body,
                      int64_t now_s,
                      int64_t tolerance_s,
                      struct bv_error *error)
{
    int64_t at;
    if (bv_bytes_int64(timestamp, 0, INT64_MAX / 2, &at) < 0)
        return bv_fail(error, BV_E_UNAUTHENTICATED, "webhook-timestamp is not a number of seconds");
    if (at < now_s - tolerance_s || at > now_s + tolerance_s)
        return bv_fail(error,
                       BV_E_UNAUTHENTICATED,
                       "webhook-timestamp is more than %lld s away from now",
                       (long long)tolerance_s);
    unsigned char digest[MAC_BYTES];
    char wanted[BV_WEBHOOK_SIGNATURE_TEXT] = "v1,";
    BV_TRY(mac(secret, id, timestamp, body, digest));
    size_t size = 3 + bv_base64_encode(digest, sizeof(digest), wanted + 3);
    if (!any_matches(signature_header, (struct bv_bytes){wanted, size}))
        return bv_fail(error, BV_E_UNAUTHENTICATED, "webhook-signature does not match the body");
    return 0;
}
