#include "story_settings.h"

#include <stdio.h>

static bool form_good(struct bv_bytes setting)
{
    const char *dot = memchr(setting.data, '.', setting.size);
    const char *equals = memchr(setting.data, '=', setting.size);
    return dot && equals && dot > setting.data && equals > dot + 4 &&
           memcmp(dot + 1, "BV_", 3) == 0 && !memchr(setting.data, ',', setting.size);
}

/* "PART.BV_KEY=" */
static struct bv_bytes name_of(struct bv_bytes setting)
{
    const char *equals = memchr(setting.data, '=', setting.size);
    return (struct bv_bytes){setting.data,
                             equals ? (size_t)(equals - setting.data) + 1 : setting.size};
}

/* What buf has under the name of setting; NONE: nothing. */
static struct bv_bytes present(const struct bv_buf *buf, struct bv_bytes setting)
{
    struct bv_bytes rest = bv_buf_view(buf);
    while (rest.size > 0) {
        const char *comma = memchr(rest.data, ',', rest.size);
        const struct bv_bytes one = {rest.data, comma ? (size_t)(comma - rest.data) : rest.size};
        const size_t used = one.size + (comma ? 1 : 0);
        rest = (struct bv_bytes){rest.data + used, rest.size - used};
        if (bv_bytes_equal(name_of(one), name_of(setting)))
            return one;
    }
    return BV_BYTES_NONE;
}

int story_settings(struct bv_buf *buf,
                   const struct gherkin_document *document,
                   const char *file,
                   struct bv_error *error)
{
    static const struct bv_bytes prefix = {"@setting:", 9};
    const struct gherkin_tags *tags = &document->feature.tags;
    for (size_t i = 0; i < tags->count; i++) {
        const struct bv_bytes name = tags->list[i].name;
        const uint32_t line = tags->list[i].at.line;
        if (!bv_bytes_starts(name, prefix))
            continue;
        const struct bv_bytes setting = {name.data + prefix.size, name.size - prefix.size};
        if (!form_good(setting))
            return bv_fail(error,
                           BV_E_INVALID,
                           "%s:%u: a setting is @setting:SERVICE.BV_OPTION=value",
                           file,
                           line);
        const struct bv_bytes other = present(buf, setting);
        if (other.data && !bv_bytes_equal(other, setting))
            return bv_fail(error,
                           BV_E_INVALID,
                           "%s:%u: another story of this run wants %.*s: run them one by one",
                           file,
                           line,
                           BV_ARG(other));
        if (other.data)
            continue;
        bv_buf_text(buf, buf->size ? "," : "");
        bv_buf_bytes(buf, setting);
    }
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

int story_settings_all(const struct story *stories,
                       size_t count,
                       const char *running_stack,
                       char *settings,
                       size_t size,
                       struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = size - 1};
    bv_buf_text(&buf, settings);
    for (size_t i = 0; i < count; i++)
        BV_TRY(story_settings(&buf, stories[i].plan->document, stories[i].shown, error));
    if (running_stack && buf.size > 0)
        fprintf(stderr,
                "note: the story is written for services with these settings: bv up --set %.*s\n",
                BV_ARG(bv_buf_view(&buf)));
    snprintf(settings, size, "%.*s", BV_ARG(bv_buf_view(&buf)));
    return 0;
}
