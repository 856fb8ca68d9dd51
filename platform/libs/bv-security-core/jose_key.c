#include "jose_internal.h"
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#define RSA_BITS 2048
#define RSA_BYTES_MAX 512 /* 4096-bit modulus */
#define ED25519_BYTES 32

static const struct bv_jose_algorithm algorithms[] = {
    {BV_JOSE_RS256, "RS256", "SHA256", EVP_PKEY_RSA,     RSA_BYTES_MAX},
    {BV_JOSE_EDDSA, "EdDSA", NULL,     EVP_PKEY_ED25519, 64           },
};

const struct bv_jose_algorithm *bv_jose_algorithm(enum bv_jose_alg alg)
{
    for (size_t i = 0; i < BV_COUNT(algorithms); i++)
        if (algorithms[i].alg == alg)
            return &algorithms[i];
    return NULL;
}

void bv_jose_key_free(struct bv_jose_key **key)
{
    if (!*key)
        return;
    EVP_PKEY_free((*key)->pkey);
    free(*key);
    *key = NULL;
}

struct bv_bytes bv_jose_key_id(const struct bv_jose_key *key)
{
    return bv_bytes_of(key->kid);
}

enum bv_jose_alg bv_jose_key_alg(const struct bv_jose_key *key)
{
    return key->algorithm->alg;
}

static int rsa_number(const struct bv_jose_key *key,
                      const char *name,
                      char out[RSA_BYTES_MAX * 4 / 3 + 4],
                      size_t *ret_size)
{
    BIGNUM *number = NULL;
    if (!EVP_PKEY_get_bn_param(key->pkey, name, &number))
        return BV_E_INTERNAL;
    unsigned char raw[RSA_BYTES_MAX];
    int size = BN_num_bytes(number);
    if (size > 0 && size <= RSA_BYTES_MAX)
        BN_bn2bin(number, raw);
    BN_free(number);
    if (size <= 0 || size > RSA_BYTES_MAX)
        return BV_E_TOO_LARGE;
    *ret_size = bv_base64url_encode(raw, (size_t)size, out);
    return 0;
}

static int ed25519_point(const struct bv_jose_key *key, char out[48], size_t *ret_size)
{
    unsigned char raw[ED25519_BYTES];
    size_t size = sizeof(raw);
    if (!EVP_PKEY_get_raw_public_key(key->pkey, raw, &size))
        return BV_E_INTERNAL;
    *ret_size = bv_base64url_encode(raw, size, out);
    return 0;
}

/* The members of a JWK that RFC 7638 hashes, in its order: lexicographic, no white space. */
static int jwk_required(const struct bv_jose_key *key, struct bv_json_writer *w)
{
    if (key->algorithm->alg == BV_JOSE_RS256) {
        char e[RSA_BYTES_MAX * 4 / 3 + 4], n[RSA_BYTES_MAX * 4 / 3 + 4];
        size_t e_size, n_size;
        BV_TRY(rsa_number(key, OSSL_PKEY_PARAM_RSA_E, e, &e_size));
        BV_TRY(rsa_number(key, OSSL_PKEY_PARAM_RSA_N, n, &n_size));
        bv_jw_kv_string(w, "e", (struct bv_bytes){e, e_size});
        bv_jw_kv_text(w, "kty", "RSA");
        bv_jw_kv_string(w, "n", (struct bv_bytes){n, n_size});
        return 0;
    }
    char x[48];
    size_t x_size;
    BV_TRY(ed25519_point(key, x, &x_size));
    bv_jw_kv_text(w, "crv", "Ed25519");
    bv_jw_kv_text(w, "kty", "OKP");
    bv_jw_kv_string(w, "x", (struct bv_bytes){x, x_size});
    return 0;
}

static int thumbprint(struct bv_jose_key *key)
{
    struct bv_buf buf = {.max = 4096};
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_jw_object(&w);
    int rc = jwk_required(key, &w);
    bv_jw_end(&w);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (rc == 0 &&
        (buf.failed || !EVP_Digest(buf.data, buf.size, digest, &size, EVP_sha256(), NULL)))
        rc = BV_E_INTERNAL;
    bv_buf_release(&buf);
    if (rc < 0)
        return rc;
    key->kid[bv_base64url_encode(digest, size, key->kid)] = '\0';
    return 0;
}

/* Takes pkey in every case. */
static int key_new(EVP_PKEY *pkey,
                   enum bv_jose_alg alg,
                   struct bv_bytes kid,
                   struct bv_jose_key **ret_key,
                   struct bv_error *error)
{
    const struct bv_jose_algorithm *row = bv_jose_algorithm(alg);
    struct bv_jose_key *key = calloc(1, sizeof(*key));
    if (!key) {
        EVP_PKEY_free(pkey);
        return BV_E_NOMEM;
    }
    key->pkey = pkey;
    key->algorithm = row;
    int rc = 0;
    if (!row || EVP_PKEY_get_base_id(pkey) != row->key_type)
        rc = bv_fail(error, BV_E_INVALID, "the key is not of the kind that its algorithm needs");
    else if (alg == BV_JOSE_RS256 &&
             (EVP_PKEY_get_bits(pkey) < RSA_BITS || EVP_PKEY_get_bits(pkey) > RSA_BYTES_MAX * 8))
        rc = bv_fail(error,
                     BV_E_INVALID,
                     "RSA keys have %d to %d bits, this one has %d",
                     RSA_BITS,
                     RSA_BYTES_MAX * 8,
                     EVP_PKEY_get_bits(pkey));
    else if (kid.size > BV_KEY_ID_MAX)
        rc = bv_fail(error, BV_E_TOO_LARGE, "a key id has at most %d bytes", BV_KEY_ID_MAX);
    else if (kid.size > 0)
        memcpy(key->kid, kid.data, kid.size);
    else
        rc = thumbprint(key);
    if (rc < 0) {
        bv_jose_key_free(&key);
        return rc;
    }
    *ret_key = key;
    return 0;
}

int bv_jose_key_generate(enum bv_jose_alg alg, struct bv_jose_key **ret_key, struct bv_error *error)
{
    EVP_PKEY *pkey =
        alg == BV_JOSE_RS256 ? EVP_RSA_gen(RSA_BITS) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        return bv_fail(error, BV_E_INTERNAL, "OpenSSL could not generate a key");
    return key_new(pkey, alg, BV_BYTES_NONE, ret_key, error);
}

int bv_jose_key_from_pem(struct bv_bytes pem,
                         enum bv_jose_alg alg,
                         struct bv_bytes kid,
                         struct bv_jose_key **ret_key,
                         struct bv_error *error)
{
    if (pem.size > 16384)
        return bv_fail(error, BV_E_TOO_LARGE, "a PEM key has at most 16384 bytes");
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    if (!bio)
        return BV_E_NOMEM;
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, "");
    if (!pkey) {
        (void)BIO_reset(bio);
        pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, "");
    }
    BIO_free(bio);
    if (!pkey)
        return bv_fail(error, BV_E_INVALID, "not a PEM private or public key");
    return key_new(pkey, alg, kid, ret_key, error);
}

int bv_jose_key_to_pem(const struct bv_jose_key *key, struct bv_buf *buf)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return BV_E_NOMEM;
    int rc = BV_E_INTERNAL;
    char *data = NULL;
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL)) {
        long size = BIO_get_mem_data(bio, &data);
        rc = size > 0 ? bv_buf_append(buf, data, (size_t)size) : BV_E_INTERNAL;
    }
    BIO_free(bio);
    return rc;
}

static int rsa_from_jwk(struct bv_bytes n, struct bv_bytes e, EVP_PKEY **ret_pkey)
{
    unsigned char n_raw[RSA_BYTES_MAX + 8], e_raw[16];
    size_t n_size, e_size;
    if (n.size > RSA_BYTES_MAX * 4 / 3 || e.size > 16)
        return BV_E_TOO_LARGE;
    BV_TRY(bv_base64url_decode(n, n_raw, &n_size));
    BV_TRY(bv_base64url_decode(e, e_raw, &e_size));
    /* An exponent of 1 would make every text its own signature (RFC 8017, 3.1: odd, from 3). */
    if (e_size == 0 || !(e_raw[e_size - 1] & 1) || (e_size == 1 && e_raw[0] == 1) || e_raw[0] == 0)
        return BV_E_INVALID;
    BIGNUM *n_number = BN_bin2bn(n_raw, (int)n_size, NULL);
    BIGNUM *e_number = BN_bin2bn(e_raw, (int)e_size, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (n_number && e_number && build &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n_number) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e_number))
        params = OSSL_PARAM_BLD_to_param(build);
    bool ok = params && context && EVP_PKEY_fromdata_init(context) > 0 &&
              EVP_PKEY_fromdata(context, ret_pkey, EVP_PKEY_PUBLIC_KEY, params) > 0;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n_number);
    BN_free(e_number);
    return ok ? 0 : BV_E_INVALID;
}

static int ed25519_from_jwk(struct bv_bytes x, EVP_PKEY **ret_pkey)
{
    unsigned char raw[48];
    size_t size;
    if (x.size > 64)
        return BV_E_TOO_LARGE;
    BV_TRY(bv_base64url_decode(x, raw, &size));
    if (size != ED25519_BYTES)
        return BV_E_INVALID;
    *ret_pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, size);
    return *ret_pkey ? 0 : BV_E_INVALID;
}

int bv_jose_key_from_jwk(const struct bv_json *jwk,
                         struct bv_jose_key **ret_key,
                         struct bv_error *error)
{
    struct bv_bytes kty = bv_json_string(bv_json_get(jwk, "kty"));
    struct bv_bytes kid = bv_json_string(bv_json_get(jwk, "kid"));
    const struct bv_json *use = bv_json_get(jwk, "use");
    EVP_PKEY *pkey = NULL;
    enum bv_jose_alg alg;
    int rc;
    if (use && !bv_bytes_equal(bv_json_string(use), BV_BYTES("sig")))
        return BV_JOSE_OTHER_KIND;
    if (bv_bytes_equal(kty, BV_BYTES("RSA"))) {
        alg = BV_JOSE_RS256;
        rc = rsa_from_jwk(
            bv_json_string(bv_json_get(jwk, "n")), bv_json_string(bv_json_get(jwk, "e")), &pkey);
    } else if (bv_bytes_equal(kty, BV_BYTES("OKP")) &&
               bv_bytes_equal(bv_json_string(bv_json_get(jwk, "crv")), BV_BYTES("Ed25519"))) {
        alg = BV_JOSE_EDDSA;
        rc = ed25519_from_jwk(bv_json_string(bv_json_get(jwk, "x")), &pkey);
    } else {
        return BV_JOSE_OTHER_KIND;
    }
    struct bv_bytes named = bv_json_string(bv_json_get(jwk, "alg"));
    if (named.size > 0 && !bv_bytes_equal(named, bv_bytes_of(bv_jose_algorithm(alg)->name))) {
        EVP_PKEY_free(pkey);
        return BV_JOSE_OTHER_KIND;
    }
    if (rc < 0)
        return bv_fail(
            error, BV_E_INVALID, "a JWK of kind %.*s has a malformed number", BV_ARG(kty));
    return key_new(pkey, alg, kid, ret_key, error);
}

int bv_jose_key_to_jwk(const struct bv_jose_key *key, struct bv_json_writer *w)
{
    bv_jw_object(w);
    int rc = jwk_required(key, w);
    bv_jw_kv_text(w, "kid", key->kid);
    bv_jw_kv_text(w, "alg", key->algorithm->name);
    bv_jw_kv_text(w, "use", "sig");
    bv_jw_end(w);
    return rc;
}
