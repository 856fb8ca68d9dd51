#include "auth_core.h"
#include <criterion/criterion.h>

Test(auth_core, every_refresh_row_has_its_effect)
{
    for (int bits = 0; bits < 16; bits++) {
        struct auth_refresh_row row = {bits & 1, bits & 2, bits & 4, bits & 8 ? 100 : 200};
        enum auth_refresh_state state;
        enum auth_effect effect = auth_refresh_decide(&row, 150, &state);
        if (!row.found)
            cr_expect_eq(state, AUTH_REFRESH_UNKNOWN);
        cr_expect_eq(effect == AUTH_ROTATE,
                     row.found && !row.used && !row.revoked && row.expires_at_s > 150,
                     "bits %d",
                     bits);
        cr_expect_eq(
            effect == AUTH_REVOKE_FAMILY, row.found && row.used && !row.revoked, "bits %d", bits);
        cr_expect_eq(*auth_refresh_text(state) == '\0', effect == AUTH_ROTATE);
    }
}

Test(auth_core, a_token_expires_at_its_second)
{
    struct auth_refresh_row row = {.found = true, .expires_at_s = 150};
    enum auth_refresh_state state;
    cr_expect_eq(auth_refresh_decide(&row, 149, &state), AUTH_ROTATE);
    cr_expect_eq(auth_refresh_decide(&row, 150, &state), AUTH_REFUSE);
    cr_expect_eq(state, AUTH_REFRESH_EXPIRED);
}

Test(auth_core, scope_narrows_and_never_widens)
{
    static const struct {
        const char *granted, *wished, *out; /* out NULL: exceeded */
    } rows[] = {
        {"a:b c:d", "",        "a:b c:d"},
        {"a:b c:d", "c:d",     "c:d"    },
        {"a:b c:d", "c:d a:b", "c:d a:b"},
        {"a:b",     "a:b a:b", "a:b"    },
        {"a:b",     " a:b  ",  "a:b"    },
        {"a:b c:d", "a:bc",    NULL     },
        {"a:b",     "x:y",     NULL     },
        {"",        "a:b",     NULL     },
        {"",        "",        ""       },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char out[64];
        int rc = auth_scope_narrow(bv_bytes_of(rows[i].granted), bv_bytes_of(rows[i].wished), out);
        cr_expect_eq(rc, rows[i].out ? 0 : AUTH_SCOPE_EXCEEDED, "row %zu", i);
        if (rc == 0 && rows[i].out)
            cr_expect_str_eq(out, rows[i].out, "row %zu", i);
    }
}

Test(auth_core, usernames)
{
    static const char *const good[] = {"ada", "a-1", "a.b_c", "000"};
    static const char *const bad[] = {"", "ab", "Ada", "-ada", "a da", "ada\n", "ädä", ".ab"};
    for (size_t i = 0; i < BV_COUNT(good); i++)
        cr_expect(auth_username_valid(bv_bytes_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_not(auth_username_valid(bv_bytes_of(bad[i])), "%s", bad[i]);
}

Test(auth_core, client_ids_are_visible_ascii)
{
    static const struct bv_bytes good[] = {BV_BYTES("lab"), BV_BYTES("a b~")};
    static const struct bv_bytes bad[] = {
        BV_BYTES(""), BV_BYTES("lab\0x"), BV_BYTES("\xff"), BV_BYTES("\xc3\xa4"), BV_BYTES("a\n")};
    for (size_t i = 0; i < BV_COUNT(good); i++)
        cr_expect(auth_client_id_valid(good[i]), "row %zu", i);
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_not(auth_client_id_valid(bad[i]), "row %zu", i);
}

Test(auth_core, lengths_are_those_of_characters)
{
    cr_expect(auth_length_valid(BV_BYTES("\xc3\xa4\xe2\x82\xac"), 2, 2));
    cr_expect_not(auth_length_valid(BV_BYTES("\xc3\xa4"), 2, 3));
    cr_expect_not(auth_length_valid(BV_BYTES("abcd"), 2, 3));
    cr_expect(auth_length_valid(BV_BYTES(""), 0, 3));
}

Test(auth_core, scopes_are_scope_tokens)
{
    static const struct bv_bytes good[] = {BV_BYTES(""), BV_BYTES("a:b c"), BV_BYTES("!#[]~")};
    static const struct bv_bytes bad[] = {BV_BYTES("a\0b"),
                                          BV_BYTES("\xff"),
                                          BV_BYTES("a\tb"),
                                          BV_BYTES("\""),
                                          BV_BYTES("a\\b"),
                                          BV_BYTES("\x7f")};
    for (size_t i = 0; i < BV_COUNT(good); i++)
        cr_expect(auth_scope_valid(good[i]), "row %zu", i);
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_not(auth_scope_valid(bad[i]), "row %zu", i);
}
