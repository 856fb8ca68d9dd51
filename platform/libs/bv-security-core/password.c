#include "bv/password.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>

#define SALT_BYTES 16
#define HASH_BYTES 32
#define LOG2_N 15
#define BLOCK_R 8
#define PARALLEL_P 1
#define MEMORY_BYTES_MAX (64u * 1024 * 1024)

static int derive(struct bv_bytes password,
                  const unsigned char *salt,
                  unsigned log2_n,
                  unsigned char out[HASH_BYTES])
{
    uint64_t n = (uint64_t)1 << log2_n;
    uint32_t r = BLOCK_R, p = PARALLEL_P;
    uint64_t memory = MEMORY_BYTES_MAX;
    char empty = 0;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD,
                                          password.size ? (void *)(uintptr_t)password.data : &empty,
                                          password.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, SALT_BYTES),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    int rc = context && EVP_KDF_derive(context, out, HASH_BYTES, params) > 0 ? 0 : BV_E_NOMEM;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return rc;
}

int bv_password_hash(const struct bv_env *env,
                     struct bv_bytes password,
                     char out[BV_PASSWORD_HASH_MAX])
{
    unsigned char salt[SALT_BYTES], hash[HASH_BYTES];
    char salt_text[24], hash_text[44];
    env->random->fill(env->random, salt, sizeof(salt));
    BV_TRY(derive(password, salt, LOG2_N, hash));
    /* PHC strings use base64 without padding and with + and /: the padding is cut off here. */
    bv_base64_encode(salt, sizeof(salt), salt_text);
    bv_base64_encode(hash, sizeof(hash), hash_text);
    snprintf(out,
             BV_PASSWORD_HASH_MAX,
             "$scrypt$ln=%d,r=%d,p=%d$%.22s$%.43s",
             LOG2_N,
             BLOCK_R,
             PARALLEL_P,
             salt_text,
             hash_text);
    OPENSSL_cleanse(hash, sizeof(hash));
    return 0;
}

static int unpad_decode(const char *text, size_t size, unsigned char *out, size_t expected)
{
    char padded[64];
    size_t decoded;
    size_t full = (size + 3) / 4 * 4;
    if (full > sizeof(padded))
        return BV_E_INVALID;
    memset(padded, '=', sizeof(padded));
    memcpy(padded, text, size);
    BV_TRY(bv_base64_decode((struct bv_bytes){padded, full}, out, &decoded));
    return decoded == expected ? 0 : BV_E_INVALID;
}

int bv_password_check(struct bv_bytes password, struct bv_bytes hash)
{
    char text[BV_PASSWORD_HASH_MAX];
    unsigned log2_n, r, p;
    char salt_text[32], hash_text[64];
    unsigned char salt[48], wanted[48], got[HASH_BYTES];
    if (hash.size >= sizeof(text))
        return BV_E_INVALID;
    memcpy(text, hash.data, hash.size);
    text[hash.size] = '\0';
    if (sscanf(text,
               "$scrypt$ln=%2u,r=%2u,p=%2u$%22[A-Za-z0-9+/]$%43[A-Za-z0-9+/]",
               &log2_n,
               &r,
               &p,
               salt_text,
               hash_text) != 5)
        return BV_E_INVALID;
    if (log2_n < 10 || log2_n > 15 || r != BLOCK_R || p != PARALLEL_P)
        return BV_E_INVALID;
    BV_TRY(unpad_decode(salt_text, strlen(salt_text), salt, SALT_BYTES));
    BV_TRY(unpad_decode(hash_text, strlen(hash_text), wanted, HASH_BYTES));
    BV_TRY(derive(password, salt, log2_n, got));
    int differs = CRYPTO_memcmp(wanted, got, HASH_BYTES);
    OPENSSL_cleanse(got, sizeof(got));
    return differs ? BV_PASSWORD_WRONG : 0;
}
