#include "story_settings.h"

#include <criterion/criterion.h>

static struct bv_arena *arena;
static struct bv_buf buf = {.max = 200};
static struct bv_error error;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_buf_release(&buf);
    bv_arena_close(&arena);
}

TestSuite(story_settings, .init = setup, .fini = teardown);

static int take(const char *tags)
{
    const struct gherkin_document *document = NULL;
    struct gherkin_error at;
    const char *text = bv_arena_format(arena, "%s\nFeature: f\n", tags);
    cr_assert_eq(gherkin_parse(arena, bv_bytes_of(text), &document, &at), 0);
    return story_settings(&buf, document, "x.feature", &error);
}

Test(story_settings, tags_of_the_feature_are_joined_once_each)
{
    cr_assert_eq(take("@a @setting:order.BV_X=1 @setting:notification.BV_Y=20ms"), 0);
    cr_assert_eq(take("@setting:order.BV_X=1"), 0);
    cr_expect(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES("order.BV_X=1,notification.BV_Y=20ms")));
}

Test(story_settings, two_wishes_for_one_option_are_refused)
{
    cr_assert_eq(take("@setting:order.BV_X=1"), 0);
    cr_expect_eq(take("\n@setting:order.BV_X=2"), BV_E_INVALID);
    cr_expect_not_null(strstr(error.text, "x.feature:2: another story"), "%s", error.text);
}

Test(story_settings, other_forms_are_refused)
{
    static const char *const bad[] = {"@setting:",
                                      "@setting:order",
                                      "@setting:order.X=1",
                                      "@setting:order.BV_X",
                                      "@setting:BV_X=1",
                                      "@setting:order.BV_X=1,2"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        error = (struct bv_error){0};
        cr_expect_eq(take(bad[i]), BV_E_INVALID, "%s", bad[i]);
    }
}
