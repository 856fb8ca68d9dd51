#include "i_regexp.h"

#include <criterion/criterion.h>

static struct bv_arena *arena;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(16 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(i_regexp, .init = setup, .fini = teardown);

static const struct {
    const char *pattern, *text;
    bool whole, anywhere;
} rows[] = {
    {"",                    "",          true,  true },
    {"",                    "a",         false, true },
    {"a|bc|",               "bc",        true,  true },
    {"a|bc",                "xbcx",      false, true },
    {"(ab)*",               "ababab",    true,  true },
    {"(a*)*b",              "aaaaaaaac", false, false},
    {"a{2,3}",              "a",         false, false},
    {"a{2,3}",              "aaa",       true,  true },
    {"a{2,3}",              "aaaa",      false, true },
    {"a{2,}",               "aaaaa",     true,  true },
    {"^ab|c$",              "xc",        false, true },
    {"^ab|c$",              "xab",       false, false},
    {"(^a)*b$",             "ab",        true,  true },
    {"a^b$c",               "a^b$c",     true,  true },
    {"a{0}b",               "b",         true,  true },
    {"(a|b){3}",            "aba",       true,  true },
    {"[^a-c-]x",            "dx",        true,  true },
    {"[^a-c-]x",            "-x",        false, false},
    {"[-a]+",               "a-a",       true,  true },
    {"[a-]+",               "a-a",       true,  true },
    {".",                   "\n",        false, false},
    {".",                   "\xc3\xa9",  true,  true },
    {"\\p{L}+",             "\xc3\xa9z", true,  true },
    {"\\P{Lu}",             "A",         false, false},
    {"[\\p{Nd}x]+",         "1x2",       true,  true },
    {"\\.\\n\\\\",          ".\n\\",     true,  true },
    {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9",  true,  true },
};

Test(i_regexp, matches_whole_texts_and_parts)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        const struct i_regexp *regexp = NULL;
        struct bv_error error = {0};
        const struct bv_bytes text = bv_bytes_of(rows[i].text);
        cr_assert_eq(i_regexp_parse(arena, bv_bytes_of(rows[i].pattern), &regexp, &error),
                     0,
                     "%s: %s",
                     rows[i].pattern,
                     error.text);
        cr_expect_eq(i_regexp_matches(regexp, arena, text, I_REGEXP_WHOLE),
                     rows[i].whole,
                     "whole %s",
                     rows[i].pattern);
        cr_expect_eq(i_regexp_matches(regexp, arena, text, I_REGEXP_ANYWHERE),
                     rows[i].anywhere,
                     "anywhere %s",
                     rows[i].pattern);
    }
}

Test(i_regexp, what_the_rfc_does_not_have_is_refused_with_its_column)
{
    static const char *const bad[] = {
        "(",        ")",   "*",     "a**",     "a{",      "a{2,1}", "a{1001}",
        "[",        "[]",  "[a",    "[b-a]",   "[a-b-c]", "\\d",    "\\1",
        "\\p{Foo}", "\\p", "(?:a)", "a{4}{9}", "[[a]]",   "\\",     "((a{99}){99}){99}",
        "\xff"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        const struct i_regexp *regexp = NULL;
        struct bv_error error = {0};
        cr_expect_eq(i_regexp_parse(arena, bv_bytes_of(bad[i]), &regexp, &error),
                     BV_E_INVALID,
                     "%s",
                     bad[i]);
        cr_expect_neq(error.text[0], '\0');
    }
}
