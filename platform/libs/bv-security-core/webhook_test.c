#include "bv/webhook.h"
#include <criterion/criterion.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
/* Vector of the Standard Webhooks reference libraries. */
static const struct bv_bytes secret = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 38};
static const struct bv_bytes id = {"msg_p5jXN8AQM9LWM0D4loKWxJek", 28};
static const struct bv_bytes body = {"{\"test\": 2432232314}", 20};
static const int64_t at_s = 1614265330;

Test(webhook, signs_the_reference_vector)
{
    char signature[BV_WEBHOOK_SIGNATURE_TEXT];
    cr_assert_eq(bv_webhook_sign(secret, id, at_s, body, signature), 0);
    cr_assert_str_eq(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static int verify(const char *signature, int64_t now_s, struct bv_bytes text)
{
    return bv_webhook_verify(
        secret, id, BV_BYTES("1614265330"), bv_bytes_of(signature), text, now_s, 300, NULL);
}

Test(webhook, verifies_any_of_several_signatures)
{
    cr_expect_eq(verify("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", at_s, body), 0);
    cr_expect_eq(verify("v1,AAAA v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", at_s, body),
                 BV_E_UNAUTHENTICATED);
    cr_expect_eq(verify("", at_s, body), BV_E_UNAUTHENTICATED);
}

Test(webhook, refuses_another_body_and_another_time)
{
    static const char good[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    cr_expect_eq(verify(good, at_s, BV_BYTES("{\"test\": 2432232315}")), BV_E_UNAUTHENTICATED);
    cr_expect_eq(verify(good, at_s + 300, body), 0);
    cr_expect_eq(verify(good, at_s + 301, body), BV_E_UNAUTHENTICATED);
    cr_expect_eq(verify(good, at_s - 301, body), BV_E_UNAUTHENTICATED);
}

Test(webhook, secrets_are_random_and_usable)
{
    char a[BV_WEBHOOK_SECRET_TEXT], b[BV_WEBHOOK_SECRET_TEXT], signature[BV_WEBHOOK_SIGNATURE_TEXT];
    bv_webhook_secret(&env, a);
    bv_webhook_secret(&env, b);
    cr_assert_str_neq(a, b);
    cr_assert_eq(bv_webhook_sign(bv_bytes_of(a), id, at_s, body, signature), 0);
    cr_assert_eq(bv_webhook_sign(BV_BYTES("nosecret"), id, at_s, body, signature), BV_E_INVALID);
}
