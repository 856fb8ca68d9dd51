#include "bv/breakage.h"

#include <criterion/criterion.h>

Test(breakage, nothing_is_broken_unless_asked)
{
    cr_assert_eq(bv_break_choose(NULL, NULL), 0);
    cr_assert_eq(bv_break_choose("", NULL), 0);
    for (int i = 0; i < BV_BREAK_COUNT; i++)
        cr_expect_not(bv_breaks((enum bv_break)i));
    cr_expect_null(bv_break_chosen());
    cr_expect_null(bv_break_text());
}

Test(breakage, one_name_breaks_one_thing)
{
    cr_assert_eq(bv_break_choose("lose-outbox-row", NULL), 0);
    for (int i = 0; i < BV_BREAK_COUNT; i++)
        cr_expect_eq(bv_breaks((enum bv_break)i), i == BV_BREAK_LOSE_OUTBOX_ROW);
    cr_expect_str_eq(bv_break_chosen(), "lose-outbox-row");
    cr_expect(strstr(bv_break_text(), "outbox relays"));
}

Test(breakage, an_unknown_name_is_refused_with_the_nearest_and_breaks_nothing)
{
    struct bv_error error = {0};
    cr_expect_eq(bv_break_choose("skip-signatur", &error), BV_E_INVALID);
    cr_expect(strstr(error.text, "did you mean skip-signature?"), "%s", error.text);
    cr_expect_null(bv_break_chosen());
    struct bv_error other = {0};
    cr_expect_eq(bv_break_choose("sabotage", &other), BV_E_INVALID);
    cr_expect(strstr(other.text, "there are drop-trace-header, "), "%s", other.text);
}
