#include "story_settings.h"

#include "stack.h"
#include "bv/config.h"
#include "bv/fs.h"
#include "bv/process.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTIONS_BYTES_MAX = 262144, OPTIONS_MAX = 256 };

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
        const struct gherkin_location at = tags->list[i].at;
        if (!bv_bytes_starts(name, prefix))
            continue;
        const struct bv_bytes setting = {name.data + prefix.size, name.size - prefix.size};
        if (!form_good(setting))
            return bv_fail(error,
                           BV_E_INVALID,
                           "%s:%u:%u: a setting is @setting:SERVICE.BV_OPTION=value",
                           file,
                           at.line,
                           at.column);
        const struct bv_bytes other = present(buf, setting);
        if (other.data && !bv_bytes_equal(other, setting))
            return bv_fail(error,
                           BV_E_INVALID,
                           "%s:%u:%u: another story of this run wants %.*s: run them one by one",
                           file,
                           at.line,
                           at.column,
                           BV_ARG(other));
        if (other.data)
            continue;
        bv_buf_text(buf, buf->size ? "," : "");
        bv_buf_bytes(buf, setting);
    }
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

/* ---- known ones ---- */

/* What a service prints of its options goes into buf; nothing when it cannot be asked. */
static void ask_options(const char *folder, struct bv_bytes service, struct bv_buf *buf)
{
    char program[BV_PATH_MAX];
    int fd = memfd_create("options", MFD_CLOEXEC);
    const char *const argv[] = {program, "--print-options", NULL};
    const struct bv_spawn spawn = {
        .argv = argv, .in_fd = -1, .out_fd = fd, .uid = getuid(), .gid = getgid()};
    pid_t pid = -1, shown = -1;
    int status = 0;
    if (fd >= 0 && bv_path(program, NULL, "%s/%.*s", folder, BV_ARG(service)) == 0 &&
        access(program, X_OK) == 0 && bv_spawn(&spawn, &pid, &shown, NULL) == 0) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        char *place = bv_buf_reserve(buf, OPTIONS_BYTES_MAX);
        ssize_t size = status == 0 && place ? pread(fd, place, OPTIONS_BYTES_MAX, 0) : 0;
        buf->size += size > 0 ? (size_t)size : 0;
    }
    if (fd >= 0)
        close(fd);
}

/* The words `BV_...` of a table of options, in arena. */
static size_t
option_names(struct bv_arena *arena, struct bv_bytes table, const char *ret_names[OPTIONS_MAX])
{
    size_t count = 0;
    for (const char *at;
         count < OPTIONS_MAX && table.size && (at = memmem(table.data, table.size, "`BV_", 4));) {
        const struct bv_bytes rest = {at + 1, table.size - (size_t)(at + 1 - table.data)};
        const char *end = memchr(rest.data, '`', rest.size);
        if (!end)
            break;
        ret_names[count] =
            bv_arena_text(arena, (struct bv_bytes){rest.data, (size_t)(end - rest.data)});
        count += ret_names[count] != NULL;
        table = (struct bv_bytes){end + 1, rest.size - (size_t)(end + 1 - rest.data)};
    }
    return count;
}

static int unknown(struct bv_error *error,
                   const char *what,
                   struct bv_bytes word,
                   const char *const *known,
                   size_t count)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", BV_ARG(word));
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i], text) == 0)
            return 0;
    const char *near = bv_nearest(text, known, count);
    return bv_fail(error,
                   BV_E_INVALID,
                   "unknown %s \"%s\"%s%s%s",
                   what,
                   text,
                   near ? ": did you mean \"" : "",
                   near ? near : "",
                   near ? "\"?" : "");
}

static int check_one(struct bv_bytes setting,
                     const char *folder,
                     const char *const *services,
                     size_t service_count,
                     struct bv_error *error)
{
    const char *dot = memchr(setting.data, '.', setting.size);
    const char *equals = memchr(setting.data, '=', setting.size);
    const struct bv_bytes service = {setting.data, (size_t)(dot - setting.data)};
    const struct bv_bytes option = {dot + 1, (size_t)(equals - dot - 1)};
    const char *names[OPTIONS_MAX];
    bv_auto(bv_buf_release) struct bv_buf table = {.max = OPTIONS_BYTES_MAX};
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    if (bv_bytes_equal(service, BV_BYTES("all")))
        return 0; /* whoever knows it takes it */
    BV_TRY(unknown(error, "service", service, services, service_count));
    BV_TRY(bv_arena_open(1 << 20, &arena));
    ask_options(folder, service, &table);
    const size_t count = option_names(arena, bv_buf_view(&table), names);
    return count ? unknown(error, "option", option, names, count) : 0;
}

int story_settings_check(const struct gherkin_document *document,
                         const char *file,
                         const char *folder,
                         const char *const *services,
                         size_t service_count,
                         struct bv_error *error)
{
    static const struct bv_bytes prefix = {"@setting:", 9};
    const struct gherkin_tags *tags = &document->feature.tags;
    for (size_t i = 0; i < tags->count; i++) {
        const struct bv_bytes name = tags->list[i].name;
        struct bv_error why = {0};
        if (!bv_bytes_starts(name, prefix))
            continue;
        const struct bv_bytes setting = {name.data + prefix.size, name.size - prefix.size};
        if (form_good(setting) && check_one(setting, folder, services, service_count, &why) < 0)
            return bv_fail(error,
                           BV_E_INVALID,
                           "%s:%u:%u: %s",
                           file,
                           tags->list[i].at.line,
                           tags->list[i].at.column,
                           why.text);
    }
    return 0;
}

int story_settings_known(const struct story *stories,
                         size_t count,
                         const char *const *services,
                         size_t service_count,
                         struct bv_error *error)
{
    char folder[BV_PATH_MAX];
    BV_TRY(bv_stack_bin_dir(folder, sizeof folder, error));
    for (size_t i = 0; i < count; i++)
        BV_TRY(story_settings_check(
            stories[i].plan->document, stories[i].shown, folder, services, service_count, error));
    return 0;
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
