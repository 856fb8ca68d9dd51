#include "forge.h"

#include "bv/json.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>

enum { TOKEN_BYTES_MAX = 32768, SIGNATURE_BYTES_MAX = 1024, PADDING_BYTES = 9000 };

enum signer { ISSUER, STRANGER, PUBLIC_KEY_AS_SECRET, NOBODY };
enum edit {
    AS_IT_IS,
    EXPIRED,
    NOT_YET,
    ETERNAL,
    OTHER_ISSUER,
    OTHER_AUDIENCE,
    NO_SUBJECT,
    MORE_SCOPE,
    PADDED
};

/* alg, kid: NULL as the issuer has it. */
/* clang-format off */
static const struct row {
    const char *name;
    enum signer signer;
    enum edit edit;
    const char *alg;
    const char *kid; /* "": the member is left out */
    bool keeps_signature;
    const char *help;
} rows[] = {
    {"genuine",        ISSUER,               AS_IT_IS,       NULL,    NULL,                       false, "good: shows that the forger's hand is steady"},
    {"expired",        ISSUER,               EXPIRED,        NULL,    NULL,                       false, "exp a minute ago"},
    {"not-yet",        ISSUER,               NOT_YET,        NULL,    NULL,                       false, "nbf in ten minutes"},
    {"eternal",        ISSUER,               ETERNAL,        NULL,    NULL,                       false, "no exp"},
    {"other-issuer",   ISSUER,               OTHER_ISSUER,   NULL,    NULL,                       false, "iss of somebody else"},
    {"other-audience", ISSUER,               OTHER_AUDIENCE, NULL,    NULL,                       false, "aud of somebody else"},
    {"no-subject",     ISSUER,               NO_SUBJECT,     NULL,    NULL,                       false, "no sub"},
    {"padded",         ISSUER,               PADDED,         NULL,    NULL,                       false, "longer than 8 KiB"},
    {"other-key",      STRANGER,             AS_IT_IS,       NULL,    NULL,                       false, "a key of the forger's own under the issuer's kid"},
    {"unknown-key",    STRANGER,             AS_IT_IS,       NULL,    "made-up-by-the-forger",    false, "the same under a kid that nobody published"},
    {"no-key-id",      STRANGER,             AS_IT_IS,       NULL,    "",                         false, "no kid"},
    {"key-id-path",    STRANGER,             AS_IT_IS,       NULL,    "../../../../../dev/null",  false, "a path for a kid"},
    {"key-id-sql",     STRANGER,             AS_IT_IS,       NULL,    "x' UNION SELECT '",        false, "SQL for a kid"},
    {"none",           NOBODY,               MORE_SCOPE,     "none",  NULL,                       false, "alg none, no signature"},
    {"hmac",           PUBLIC_KEY_AS_SECRET, MORE_SCOPE,     "HS256", NULL,                       false, "HS256 with the public key as the secret"},
    {"tampered",       NOBODY,               MORE_SCOPE,     NULL,    NULL,                       true,  "more scope under the genuine signature"},
    {"unsigned",       NOBODY,               AS_IT_IS,       NULL,    NULL,                       false, "an empty signature"},
};
/* clang-format on */

size_t forge_kind_count(void)
{
    return BV_COUNT(rows);
}

struct forge_kind forge_kind_at(size_t index)
{
    return (struct forge_kind){rows[index].name, rows[index].help};
}

static const struct row *row_of(struct bv_bytes kind, struct bv_error *error)
{
    char names[160] = "";
    size_t size = 0;
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        if (bv_bytes_equal(kind, bv_bytes_of(rows[i].name)))
            return &rows[i];
        int more = snprintf(names + size, sizeof names - size, "%s%s", i ? " " : "", rows[i].name);
        if (more > 0 && size + (size_t)more < sizeof names)
            size += (size_t)more;
    }
    (void)bv_fail(error, BV_E_NOT_FOUND, "nothing is forged as \"%.40s\": %s", kind.data, names);
    return NULL;
}

/* ---- the text ---- */

static struct bv_bytes part_of(struct bv_bytes token, int index)
{
    for (; index > 0; index--) {
        const char *dot = memchr(token.data, '.', token.size);
        if (!dot)
            return BV_BYTES("");
        token = (struct bv_bytes){dot + 1, token.size - (size_t)(dot + 1 - token.data)};
    }
    const char *dot = token.size ? memchr(token.data, '.', token.size) : NULL;
    return dot ? (struct bv_bytes){token.data, (size_t)(dot - token.data)} : token;
}

static int append_base64url(struct bv_buf *buf, const void *data, size_t size)
{
    char *room = bv_buf_reserve(buf, bv_base64_size(size));
    if (!room)
        return BV_E_TOO_LARGE;
    buf->size += bv_base64url_encode(data, size, room);
    return 0;
}

static int
write_header(const struct row *row, const struct forge_material *material, struct bv_buf *token)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1024};
    struct bv_json_writer w = bv_json_writer(&text);
    bv_jw_object(&w);
    bv_jw_kv_string(&w, "alg", row->alg ? bv_bytes_of(row->alg) : material->alg);
    if (!row->kid || row->kid[0])
        bv_jw_kv_string(&w, "kid", row->kid ? bv_bytes_of(row->kid) : material->kid);
    bv_jw_kv_text(&w, "typ", "at+jwt");
    bv_jw_end(&w);
    return text.failed ? BV_E_TOO_LARGE : append_base64url(token, text.data, text.size);
}

/* Members that the edit makes anew. */
static const struct {
    enum edit edit;
    const char *member;
} edited[] = {
    {EXPIRED,        "exp"  },
    {ETERNAL,        "exp"  },
    {OTHER_ISSUER,   "iss"  },
    {OTHER_AUDIENCE, "aud"  },
    {NO_SUBJECT,     "sub"  },
    {MORE_SCOPE,     "scope"},
};

static bool replaced(enum edit edit, struct bv_bytes member)
{
    for (size_t i = 0; i < BV_COUNT(edited); i++)
        if (edited[i].edit == edit && bv_bytes_equal(member, bv_bytes_of(edited[i].member)))
            return true;
    return false;
}

static void write_edit(enum edit edit, int64_t now_s, struct bv_json_writer *w)
{
    static const char padding[PADDING_BYTES / 6]; /* each NUL becomes \u0000 */
    static const char *const scope =
        "orders:write orders:manage products:write keys:rotate webhooks:manage";
    if (edit == EXPIRED)
        bv_jw_kv_int(w, "exp", now_s - 60);
    if (edit == NOT_YET)
        bv_jw_kv_int(w, "nbf", now_s + 600);
    if (edit == OTHER_ISSUER)
        bv_jw_kv_text(w, "iss", "https://issuer.example");
    if (edit == OTHER_AUDIENCE)
        bv_jw_kv_text(w, "aud", "somebody-else");
    if (edit == MORE_SCOPE)
        bv_jw_kv_text(w, "scope", scope);
    if (edit == PADDED)
        bv_jw_kv_string(w, "padding", (struct bv_bytes){padding, sizeof padding});
}

static int write_payload(const struct row *row,
                         const struct forge_material *material,
                         struct bv_arena *arena,
                         struct bv_buf *token,
                         struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = TOKEN_BYTES_MAX / 2};
    const struct bv_bytes part = part_of(material->genuine, 1);
    const struct bv_json *claims = NULL;
    char *plain = bv_arena_alloc(arena, part.size + 1);
    size_t size = 0;
    if (!plain)
        return BV_E_NOMEM;
    if (bv_base64url_decode(part, plain, &size) < 0 ||
        bv_json_parse(arena, (struct bv_bytes){plain, size}, &claims, NULL) < 0)
        return bv_fail(error, BV_E_INVALID, "the genuine token is no JWT");
    struct bv_json_writer w = bv_json_writer(&text);
    bv_jw_object(&w);
    for (struct bv_json_iter it = bv_json_iter(claims); bv_json_next(&it);) {
        if (replaced(row->edit, it.key))
            continue;
        bv_auto(bv_buf_release) struct bv_buf value = {.max = TOKEN_BYTES_MAX / 2};
        BV_TRY(bv_json_write(&value, it.value));
        bv_jw_key_bytes(&w, it.key);
        bv_jw_raw(&w, bv_buf_view(&value));
    }
    write_edit(row->edit, material->now_s, &w);
    bv_jw_end(&w);
    return text.failed ? BV_E_TOO_LARGE : append_base64url(token, text.data, text.size);
}

/* ---- the signature ---- */

static EVP_PKEY *issuers_key(const struct forge_material *material)
{
    BIO *bio = BIO_new_mem_buf(material->pem.data, (int)material->pem.size);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

/* Another key of the same kind. */
static EVP_PKEY *strangers_key(const EVP_PKEY *issuers)
{
    return EVP_PKEY_get_base_id(issuers) == EVP_PKEY_ED25519
               ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
               : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
}

static bool sign(EVP_PKEY *key, const struct bv_buf *token, unsigned char *out, size_t *size)
{
    const bool edwards = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    *size = SIGNATURE_BYTES_MAX;
    bool good =
        context &&
        EVP_DigestSignInit(context, NULL, edwards ? NULL : EVP_sha256(), NULL, key) > 0 &&
        EVP_DigestSign(context, out, size, (const unsigned char *)token->data, token->size) > 0;
    EVP_MD_CTX_free(context);
    return good;
}

/* What a verifier that lets the token choose would do with its public key. */
static bool
sign_with_public(EVP_PKEY *key, const struct bv_buf *token, unsigned char *out, size_t *size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    unsigned length = 0;
    bool good = bio && PEM_write_bio_PUBKEY(bio, key) > 0;
    const long pem_size = good ? BIO_get_mem_data(bio, &pem) : 0;
    good = good && HMAC(EVP_sha256(),
                        pem,
                        (int)pem_size,
                        (const unsigned char *)token->data,
                        token->size,
                        out,
                        &length);
    *size = length;
    BIO_free(bio);
    return good;
}

static bool signature_of(const struct row *row,
                         EVP_PKEY *issuers,
                         const struct bv_buf *token,
                         unsigned char *out,
                         size_t *size)
{
    if (row->signer == PUBLIC_KEY_AS_SECRET)
        return sign_with_public(issuers, token, out, size);
    if (row->signer == ISSUER)
        return sign(issuers, token, out, size);
    EVP_PKEY *key = strangers_key(issuers);
    const bool good = key && sign(key, token, out, size);
    EVP_PKEY_free(key);
    return good;
}

static int append_signature(const struct row *row,
                            const struct forge_material *material,
                            struct bv_buf *token,
                            struct bv_error *error)
{
    unsigned char signature[SIGNATURE_BYTES_MAX];
    size_t size = 0;
    if (row->signer == NOBODY) {
        BV_TRY(bv_buf_char(token, '.'));
        return row->keeps_signature ? bv_buf_bytes(token, part_of(material->genuine, 2)) : 0;
    }
    EVP_PKEY *issuers = issuers_key(material);
    const bool good = issuers && signature_of(row, issuers, token, signature, &size);
    EVP_PKEY_free(issuers);
    if (!good)
        return bv_fail(error, BV_E_INVALID, "the issuer's key cannot be used");
    BV_TRY(bv_buf_char(token, '.'));
    return append_base64url(token, signature, size);
}

int forge_token(const struct forge_material *material,
                struct bv_bytes kind,
                struct bv_arena *arena,
                const char **ret_token,
                struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf token = {.max = TOKEN_BYTES_MAX};
    const struct row *row = row_of(kind, error);
    if (!row)
        return BV_E_NOT_FOUND;
    BV_TRY(write_header(row, material, &token));
    BV_TRY(bv_buf_char(&token, '.'));
    BV_TRY(write_payload(row, material, arena, &token, error));
    BV_TRY(append_signature(row, material, &token, error));
    *ret_token = bv_arena_text(arena, bv_buf_view(&token));
    return *ret_token ? 0 : BV_E_NOMEM;
}
