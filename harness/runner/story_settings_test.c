#include "story_settings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct bv_arena *arena;
static struct bv_buf buf = {.max = 200};
static struct bv_error error;
static char folder[] = "/tmp/story-settings-XXXXXX";

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
    cr_expect_not_null(strstr(error.text, "x.feature:2:1: another story"), "%s", error.text);
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

static int check(const char *tags)
{
    static const char *const services[] = {"order", "notification"};
    const struct gherkin_document *document = NULL;
    struct gherkin_error at;
    const char *text = bv_arena_format(arena, "%s\nFeature: f\n", tags);
    error = (struct bv_error){0};
    cr_assert_eq(gherkin_parse(arena, bv_bytes_of(text), &document, &at), 0);
    return story_settings_check(document, "x.feature", folder, services, 2, &error);
}

Test(story_settings, an_option_that_the_service_does_not_have_is_refused)
{
    char program[sizeof folder + 16];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(program, sizeof program, "%s/notification", folder);
    FILE *file = fopen(program, "w");
    cr_assert_not_null(file);
    fputs("#!/bin/sh\necho '| `--webhook-timeout` | `BV_WEBHOOK_TIMEOUT` |'\n"
          "echo '| `--port` | `BV_PORT` |'\n",
          file);
    cr_assert_eq(fchmod(fileno(file), 0700), 0);
    cr_assert_eq(fclose(file), 0);
    cr_expect_eq(check("@a @setting:notification.BV_PORT=1"), 0, "%s", error.text);
    cr_expect_eq(check("@setting:all.BV_ANY=1 @setting:order.BV_ANY=1"), 0, "no program to ask");
    cr_expect_eq(check("@a @setting:notification.BV_WEBHOOK_TIMEOT=1s"), BV_E_INVALID);
    cr_expect_str_eq(error.text,
                     "x.feature:1:4: unknown option \"BV_WEBHOOK_TIMEOT\": did you mean "
                     "\"BV_WEBHOOK_TIMEOUT\"?");
    cr_expect_eq(check("@setting:notificaton.BV_PORT=1"), BV_E_INVALID);
    cr_expect_str_eq(error.text,
                     "x.feature:1:1: unknown service \"notificaton\": did you mean "
                     "\"notification\"?");
    unlink(program);
    rmdir(folder);
}
