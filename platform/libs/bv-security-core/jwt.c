/* header.payload.signature, each part base64url (RFC 7515 compact serialisation).
 *
 *   token ──split──▶ header ──kid──▶ key row ──alg must equal the row's──▶ EVP verify ──▶ claims by
 * rules
 *
 * The token never chooses an algorithm: its alg is compared with the key's row and nothing else
 * (RFC 8725, 3.1). */
#include "jose_internal.h"

struct parts {
    struct bv_bytes header;
    struct bv_bytes payload;
    struct bv_bytes signature;
    struct bv_bytes signed_text;
};

static int refuse(struct bv_error *error, const char *reason)
{
    return bv_fail(error, BV_E_UNAUTHENTICATED, "the token was refused: %s", reason);
}

static bool split(struct bv_bytes token, struct parts *ret_parts)
{
    const char *first = token.size ? memchr(token.data, '.', token.size) : NULL;
    if (!first)
        return false;
    const char *end = token.data + token.size;
    const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return false;
    ret_parts->header = (struct bv_bytes){token.data, (size_t)(first - token.data)};
    ret_parts->payload = (struct bv_bytes){first + 1, (size_t)(second - first - 1)};
    ret_parts->signature = (struct bv_bytes){second + 1, (size_t)(end - second - 1)};
    ret_parts->signed_text = (struct bv_bytes){token.data, (size_t)(second - token.data)};
    return true;
}

static int
decode_part(struct bv_arena *arena, struct bv_bytes part, const struct bv_json **ret_root)
{
    char *text = bv_arena_alloc(arena, part.size + 1);
    size_t size;
    if (!text)
        return BV_E_NOMEM;
    BV_TRY(bv_base64url_decode(part, text, &size));
    BV_TRY(bv_json_parse(arena, (struct bv_bytes){text, size}, ret_root, NULL));
    return bv_json_type(*ret_root) == BV_JSON_OBJECT ? 0 : BV_E_INVALID;
}

static bool signature_holds(const struct bv_jose_key *key, const struct parts *parts)
{
    unsigned char signature[512 + 8];
    size_t size;
    if (parts->signature.size > key->algorithm->signature_bytes_max * 4 / 3 + 4 ||
        bv_base64url_decode(parts->signature, signature, &size) < 0)
        return false;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context &&
              EVP_DigestVerifyInit_ex(
                  context, NULL, key->algorithm->digest, NULL, NULL, key->pkey, NULL) > 0 &&
              EVP_DigestVerify(context,
                               signature,
                               size,
                               (const unsigned char *)parts->signed_text.data,
                               parts->signed_text.size) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

/* aud is a string or an array of strings (RFC 7519, 4.1.3). */
static bool audience_has(const struct bv_json *aud, struct bv_bytes wanted)
{
    if (bv_json_type(aud) == BV_JSON_STRING)
        return bv_bytes_equal(bv_json_string(aud), wanted);
    for (struct bv_json_iter it = bv_json_iter(aud); bv_json_next(&it);)
        if (bv_bytes_equal(bv_json_string(it.value), wanted))
            return true;
    return false;
}

static int check_claims(const struct bv_json *root,
                        const struct bv_jwt_rules *rules,
                        int64_t now_s,
                        struct bv_claims *claims,
                        struct bv_error *error)
{
    claims->issuer = bv_json_string(bv_json_get(root, "iss"));
    claims->subject = bv_json_string(bv_json_get(root, "sub"));
    claims->scope = bv_json_string(bv_json_get(root, "scope"));
    claims->tenant = bv_json_string(bv_json_get(root, "tenant"));
    claims->client = bv_json_string(bv_json_get(root, "client_id"));
    claims->token_id = bv_json_string(bv_json_get(root, "jti"));
    claims->issued_at_s = bv_json_int(bv_json_get(root, "iat"), 0);
    claims->expires_at_s = bv_json_int(bv_json_get(root, "exp"), INT64_MIN);
    claims->not_before_s = bv_json_int(bv_json_get(root, "nbf"), 0);
    claims->audience = rules->audience;
    if (claims->expires_at_s == INT64_MIN)
        return refuse(error, "it has no expiry (exp)");
    if (now_s - rules->leeway_s >= claims->expires_at_s)
        return refuse(error, "it has expired; sign in again or refresh");
    if (now_s + rules->leeway_s < claims->not_before_s)
        return refuse(error, "it is not valid yet (nbf)");
    if (!bv_bytes_equal(claims->issuer, rules->issuer))
        return refuse(error, "it comes from another issuer (iss)");
    if (!audience_has(bv_json_get(root, "aud"), rules->audience))
        return refuse(error, "it is meant for another audience (aud)");
    if (claims->subject.size == 0)
        return refuse(error, "it has no subject (sub)");
    return 0;
}

/* Whether any key could have this algorithm: a token of none is not worth a look for its key. */
static bool algorithm_offered(struct bv_bytes alg)
{
    return bv_bytes_equal(alg, BV_BYTES("RS256")) || bv_bytes_equal(alg, BV_BYTES("EdDSA"));
}

static bool key_id_good(struct bv_bytes kid)
{
    if (kid.size == 0 || kid.size > BV_KEY_ID_MAX)
        return false;
    for (size_t i = 0; i < kid.size; i++) {
        const char c = kid.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c && strchr("._~-", c))))
            return false;
    }
    return true;
}

int bv_jwt_key_id(struct bv_bytes token, struct bv_arena *arena, struct bv_bytes *ret_kid)
{
    struct parts parts;
    const struct bv_json *header = NULL;
    if (token.size > BV_JWT_BYTES_MAX || !split(token, &parts) ||
        decode_part(arena, parts.header, &header) < 0)
        return BV_E_UNAUTHENTICATED;
    const struct bv_bytes kid = bv_json_string(bv_json_get(header, "kid"));
    if (!key_id_good(kid))
        return BV_E_UNAUTHENTICATED;
    *ret_kid = kid;
    return 0;
}

int bv_jwt_verify(const struct bv_jose_keys *keys,
                  const struct bv_jwt_rules *rules,
                  int64_t now_s,
                  struct bv_bytes token,
                  struct bv_arena *arena,
                  struct bv_claims *ret_claims,
                  struct bv_error *error)
{
    struct parts parts;
    const struct bv_json *header = NULL, *payload = NULL;
    if (token.size > BV_JWT_BYTES_MAX)
        return refuse(error, "it is longer than 8192 bytes");
    if (!split(token, &parts) || decode_part(arena, parts.header, &header) < 0)
        return refuse(error, "it is malformed");
    if (bv_json_get(header, "crit"))
        return refuse(error, "it names critical extensions, none is supported");
    if (!algorithm_offered(bv_json_string(bv_json_get(header, "alg"))))
        return refuse(error, "its algorithm is not offered (alg)");
    const struct bv_jose_key *key =
        bv_jose_keys_find(keys, bv_json_string(bv_json_get(header, "kid")));
    if (!key) {
        if (error)
            memcpy(error->pointer, "kid", 4);
        return refuse(error, "its key is unknown (kid)");
    }
    if (!bv_bytes_equal(bv_json_string(bv_json_get(header, "alg")),
                        bv_bytes_of(key->algorithm->name)))
        return refuse(error, "its algorithm is not its key's (alg)");
    if (!signature_holds(key, &parts))
        return refuse(error, "its signature is wrong");
    if (decode_part(arena, parts.payload, &payload) < 0)
        return refuse(error, "its payload is malformed");
    struct bv_claims claims = {0};
    BV_TRY(check_claims(payload, rules, now_s, &claims, error));
    *ret_claims = claims;
    return 0;
}

static int write_claims(struct bv_buf *buf, const struct bv_claims *claims)
{
    struct bv_json_writer w = bv_json_writer(buf);
    const struct {
        const char *name;
        struct bv_bytes text;
    } texts[] = {
        {"iss",       claims->issuer  },
        {"sub",       claims->subject },
        {"aud",       claims->audience},
        {"scope",     claims->scope   },
        {"tenant",    claims->tenant  },
        {"client_id", claims->client  },
        {"jti",       claims->token_id},
    };
    bv_jw_object(&w);
    for (size_t i = 0; i < BV_COUNT(texts); i++)
        if (texts[i].text.size > 0)
            bv_jw_kv_string(&w, texts[i].name, texts[i].text);
    bv_jw_kv_int(&w, "iat", claims->issued_at_s);
    bv_jw_kv_int(&w, "exp", claims->expires_at_s);
    if (claims->not_before_s > 0)
        bv_jw_kv_int(&w, "nbf", claims->not_before_s);
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

static int append_base64url(struct bv_buf *buf, const void *data, size_t size)
{
    char *room = bv_buf_reserve(buf, bv_base64_size(size));
    if (!room)
        return BV_E_TOO_LARGE;
    buf->size += bv_base64url_encode(data, size, room);
    return 0;
}

static int sign_into(const struct bv_jose_key *key, struct bv_buf *buf, size_t from)
{
    unsigned char signature[512];
    size_t size = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok =
        context &&
        EVP_DigestSignInit_ex(context, NULL, key->algorithm->digest, NULL, NULL, key->pkey, NULL) >
            0 &&
        EVP_DigestSign(
            context, signature, &size, (const unsigned char *)buf->data + from, buf->size - from) >
            0;
    EVP_MD_CTX_free(context);
    if (!ok)
        return BV_E_INTERNAL;
    BV_TRY(bv_buf_char(buf, '.'));
    return append_base64url(buf, signature, size);
}

int bv_jwt_sign(const struct bv_jose_key *key, const struct bv_claims *claims, struct bv_buf *buf)
{
    size_t from = buf->size;
    struct bv_buf part = {.max = BV_JWT_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&part);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "alg", key->algorithm->name);
    bv_jw_kv_text(&w, "kid", key->kid);
    bv_jw_kv_text(&w, "typ", "at+jwt");
    bv_jw_end(&w);
    int rc = part.failed ? BV_E_TOO_LARGE : append_base64url(buf, part.data, part.size);
    bv_buf_reset(&part);
    if (rc == 0)
        rc = write_claims(&part, claims);
    if (rc == 0)
        rc = bv_buf_char(buf, '.');
    if (rc == 0)
        rc = append_base64url(buf, part.data, part.size);
    bv_buf_release(&part);
    return rc < 0 ? rc : sign_into(key, buf, from);
}
