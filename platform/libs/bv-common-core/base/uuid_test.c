#include "bv/uuid.h"

#include "test_env.h"

#include <criterion/criterion.h>

Test(uuid, version_7_carries_time_version_and_variant)
{
    struct test_env test;
    uint64_t seed = 1;
    const struct bv_env *env = test_env_init(&test, &seed);
    char text[BV_UUID_TEXT_SIZE];
    struct bv_uuid uuid = bv_uuid_v7(env);
    bv_uuid_format(uuid, text);
    cr_assert_eq(bv_uuid_v7_ms(uuid), test.now_us / 1000);
    cr_assert_eq(text[14], '7');
    cr_assert_not_null(strchr("89ab", text[19]));
    cr_assert_eq(strlen(text), 36);
    cr_assert_eq((uuid.octets[6] & 15) << 8 | uuid.octets[7], 901 * 4096 / 1000);
}

Test(uuid, order_follows_microseconds)
{
    struct test_env test;
    uint64_t seed = 2;
    const struct bv_env *env = test_env_init(&test, &seed);
    struct bv_uuid last = bv_uuid_v7(env);
    for (int i = 0; i < 5000; i++) {
        test.now_us++;
        struct bv_uuid next = bv_uuid_v7(env);
        cr_assert_gt(memcmp(&next, &last, sizeof(next)), 0);
        last = next;
    }
    struct bv_uuid twin = bv_uuid_v7(env);
    cr_assert_neq(memcmp(&twin, &last, sizeof(twin)), 0);
}

Test(uuid, text_round_trip_in_either_case)
{
    struct bv_uuid uuid;
    char text[BV_UUID_TEXT_SIZE];
    cr_assert_eq(bv_uuid_parse(BV_BYTES("017F22E2-79B0-7cc3-98c4-DC0C0C07398F"), &uuid), 0);
    bv_uuid_format(uuid, text);
    cr_assert_str_eq(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    cr_assert_eq(bv_uuid_v7_ms(uuid), INT64_C(1645557742000), "RFC 9562, appendix A.6");
    cr_assert_eq(bv_uuid_parse(BV_BYTES("c232ab00-9414-11ec-b3c8-9f6bdeced846"), &uuid), 0);
    cr_assert_eq(bv_uuid_v7_ms(uuid), -1, "version 1");
}

Test(uuid, malformed_text_is_refused)
{
    static const char *const rows[] = {
        "",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2x79b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "{17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b07-cc3-98c4-dc0c0c07398f",
    };
    struct bv_uuid uuid = {{9}};
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_assert_eq(bv_uuid_parse(bv_bytes_of(rows[i]), &uuid), BV_E_INVALID, "%s", rows[i]);
    cr_assert_eq(uuid.octets[0], 9);
}
