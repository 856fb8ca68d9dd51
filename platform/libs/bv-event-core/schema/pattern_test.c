#include <criterion/criterion.h>

#include "pattern.h"

static const struct {
    const char *pattern;
    const char *text;
    bool matches;
} rows[] = {
    {"^[a-z]+$",            "abc",              true },
    {"^[a-z]+$",            "abC",              false},
    {"b",                   "abc",              true },
    {"^\\d{3}-\\d{2}$",     "123-45",           true },
    {"^\\d{3}-\\d{2}$",     "123-4x",           false},
    {"^\\w+$",              "a_9",              true },
    {"^\\w+$",              "a-9",              false},
    {"^\\W$",               "-",                true },
    {"^\\s$",               "\xc2\xa0",         true },
    {"^\\S+$",              "a b",              false},
    {"^[^\\d]+$",           "ab",               true },
    {"^[^\\d]+$",           "a1",               false},
    {"^[\\w.-]+$",          "a.b-c",            true },
    {"^[]]$",               NULL,               false}, /* ECMA: an empty class, then ] */
    {"^[\\]]$",             "]",                true },
    {"^[a\\-z]$",           "-",                true },
    {"^[a\\-z]$",           "b",                false},
    {"^[\\^]$",             "^",                true },
    {"^[\\^-]+$",           "^-",               true },
    {"^[[]$",               "[",                true },
    {"^[+--]$",             ",",                true },
    {"^[Z-a]$",             "]",                true },
    {"^.$",                 "\xc3\xa4",         true },
    {"^.{2}$",              "\xc3\xa4",         false},
    {"^.$",                 "\n",               false},
    {"^[\\s\\S]$",          "\n",               true },
    {"^(?:ab)+?$",          "abab",             true },
    {"^a{2,3}$",            "aaa",              true },
    {"^a{2,3}$",            "a",                false},
    {"^a{,3}$",             "a{,3}",            true },
    {"^[\\u00e4-\\u00f6]$", "\xc3\xa5",         true },
    {"^[a-\\u00f6]$",       "\xc3\xa5",         true },
    {"^[^a-\\u00f6]$",      "\xc3\xa5",         false},
    {"^[\\u4e00-\\u9fff]$", NULL,               false},
    {"^\\u00e4$",           "\xc3\xa4",         true },
    {"^\\u{1F600}$",        "\xf0\x9f\x98\x80", true },
    {"^\\x41\\t\\/$",       "A\t/",             true },
    {"^a|b$",               "xb",               true },
    {"^\\$\\.\\*$",         "$.*",              true },
    {"(?=a)",               NULL,               false},
    {"a**",                 NULL,               false},
    {"a{2}{3}",             NULL,               false},
    {"*a",                  NULL,               false},
    {"(+)",                 NULL,               false},
    {"a|?",                 NULL,               false},
    {"^(a*)*?b$",           "aab",              true },
    {"(?!a)",               NULL,               false},
    {"(a)\\1",              NULL,               false},
    {"[z-a]",               NULL,               false},
    {"[a",                  NULL,               false},
    {"(",                   NULL,               false},
    {"\\",                  NULL,               false},
    {"\\p{L}",              NULL,               false},
};

/* A NULL text: the pattern is refused. */
Test(pattern, answers_as_ecma_262_does)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct pattern *pattern = NULL;
        struct bv_error error = {0};
        int rc = pattern_open(bv_bytes_of(rows[i].pattern), &pattern, &error);
        cr_expect_eq(
            rc, rows[i].text ? 0 : BV_E_INVALID, "%s: %d %s", rows[i].pattern, rc, error.text);
        if (rc < 0)
            continue;
        cr_expect_eq(pattern_matches(pattern, bv_bytes_of(rows[i].text)),
                     rows[i].matches,
                     "%s on %s",
                     rows[i].pattern,
                     rows[i].text);
        pattern_close(&pattern);
    }
}

Test(pattern, looks_no_further_than_the_given_bytes)
{
    struct pattern *pattern = NULL;
    cr_assert_eq(pattern_open(BV_BYTES("^ab$"), &pattern, NULL), 0);
    cr_assert(pattern_matches(pattern, (struct bv_bytes){"abc", 2}));
    cr_assert_not(pattern_matches(pattern, BV_BYTES("ab\0c")));
    pattern_close(&pattern);
}
