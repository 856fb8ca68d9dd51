/* Password hashing: scrypt in PHC string form "$scrypt$ln=15,r=8,p=1$salt$hash" (Argon2id needs a
 * newer OpenSSL than Debian 12 has). Blocking, about 50 ms and 32 MiB each: run it on a bv_workers
 * pool. Source: RFC 7914; PHC string format. Thread: any. */
#ifndef BV_PASSWORD_H
#define BV_PASSWORD_H

#include "bv/env.h"

#define BV_PASSWORD_HASH_MAX 160
BV_MUST_CHECK int bv_password_hash(const struct bv_env *env,
                                   struct bv_bytes password,
                                   char out[BV_PASSWORD_HASH_MAX]);
#define BV_PASSWORD_WRONG 1
/* Outcome BV_PASSWORD_WRONG. BV_E_INVALID for a malformed hash. Constant time in the password. */
BV_MUST_CHECK int bv_password_check(struct bv_bytes password, struct bv_bytes hash);

#endif
