#include "bv/password.h"
#include <criterion/criterion.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

Test(password, accepts_the_password_and_nothing_else)
{
    char hash[BV_PASSWORD_HASH_MAX], again[BV_PASSWORD_HASH_MAX];
    cr_assert_eq(bv_password_hash(&env, BV_BYTES("correct horse"), hash), 0);
    cr_assert_eq(bv_password_hash(&env, BV_BYTES("correct horse"), again), 0);
    cr_assert_str_neq(hash, again, "each hash has a salt of its own");
    cr_assert_eq(bv_password_check(BV_BYTES("correct horse"), bv_bytes_of(hash)), 0);
    cr_assert_eq(bv_password_check(BV_BYTES("correct horsf"), bv_bytes_of(hash)),
                 BV_PASSWORD_WRONG);
    cr_assert_eq(bv_password_check(BV_BYTES_NONE, bv_bytes_of(hash)), BV_PASSWORD_WRONG);
}

Test(password, malformed_hashes_are_faults)
{
    static const char *const hashes[] = {
        "",
        "$scrypt$",
        "$scrypt$ln=30,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=1,t=1,p=1$AA$AA",
        "$scrypt$ln=15,r=8,p=1$AA$AA"};
    for (size_t i = 0; i < BV_COUNT(hashes); i++)
        cr_expect_eq(bv_password_check(BV_BYTES("x"), bv_bytes_of(hashes[i])),
                     BV_E_INVALID,
                     "%s",
                     hashes[i]);
}
