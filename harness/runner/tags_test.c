#include "tags.h"

#include <criterion/criterion.h>

static struct bv_arena *arena;
static struct bv_error error;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(tags, .init = setup, .fini = teardown);

/* 1: holds for a scenario with @a @b @f and "@x (y)"; 0: it does not; negative: refused. */
static int holds(const char *text)
{
    static const struct bv_bytes tags[] = {
        {"@a",     2},
        {"@b",     2},
        {"@f",     2},
        {"@x (y)", 6}
    };
    const struct tag_expression *expression = NULL;
    error = (struct bv_error){0};
    int rc = tag_expression_parse(arena, bv_bytes_of(text), &expression, &error);
    return rc < 0 ? rc : tag_expression_holds(expression, tags, BV_COUNT(tags));
}

Test(tags, operators_bind_as_in_cucumber)
{
    static const struct {
        const char *text;
        int wanted;
    } rows[] = {
        {"",                      1},
        {"  ",                    1},
        {"@a",                    1},
        {"@c",                    0},
        {"not @c",                1},
        {"not not @c",            0},
        {"@c or @a",              1},
        {"@a and @c",             0},
        {"@a and not @c",         1},
        {"@c and @a or @b",       1},
        {"@c and (@a or @b)",     0},
        {"not @c and @c",         0},
        {"not (@c and @c)",       1},
        {"((@a))and(@b)",         1},
        {"@x\\ \\(y\\)",          1},
        {"\t@a\n and @b",         1},
        {"a",                     0},
        {"@a or @c and not (@a)", 1}
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_eq(holds(rows[i].text), rows[i].wanted, "%s: %s", rows[i].text, error.text);
}

Test(tags, a_mistake_is_named_with_its_column)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"@a and",    "tags, column 7: expected a tag, \"not\" or \"(\", found the end" },
        {"@a @b",     "tags, column 4: expected \"and\" or \"or\", found \"@b\""        },
        {"(@a or @b", "tags, column 1: this parenthesis is not closed"                  },
        {"@a)",       "tags, column 3: expected \"and\" or \"or\", found \")\""         },
        {"or @a",     "tags, column 1: expected a tag, \"not\" or \"(\", found \"or\""  },
        {"()",        "tags, column 2: expected a tag, \"not\" or \"(\", found \")\""   },
        {"@a\\b",     "tags, column 3: a backslash stands before ( ) \\ or a space only"},
        {"@a\\",      "tags, column 3: nothing follows the backslash"                   },
        {"(@a @b)",   "tags, column 5: expected \"and\", \"or\" or \")\", found \"@b\"" },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_expect_eq(holds(rows[i].text), BV_E_INVALID, "%s", rows[i].text);
        cr_expect_str_eq(error.text, rows[i].says);
    }
}

Test(tags, a_tag_without_its_sign_is_a_mistake_of_the_command_line)
{
    const struct tag_expression *expression = NULL;
    cr_assert_eq(tag_expression_parse(arena, BV_BYTES("@a and not slow"), &expression, &error), 0);
    cr_expect_eq(tag_expression_check(expression, &error), BV_E_INVALID);
    cr_expect_str_eq(error.text, "tags, column 12: tags begin with @: did you mean @slow?");
}

Test(tags, nesting_is_limited)
{
    char text[2 * TAGS_DEPTH_MAX + 8] = "";
    for (size_t i = 0; i < TAGS_DEPTH_MAX - 1; i++)
        text[i] = '(';
    strcat(text, "@a");
    cr_expect_eq(holds(text), BV_E_INVALID);
    cr_expect(strstr(error.text, "not closed"), "%s", error.text);
    text[TAGS_DEPTH_MAX - 1] = text[TAGS_DEPTH_MAX] = '(';
    memcpy(text + TAGS_DEPTH_MAX + 1, "@a", sizeof "@a");
    cr_expect_eq(holds(text), BV_E_INVALID);
    cr_expect(strstr(error.text, "nested"), "%s", error.text);
}
