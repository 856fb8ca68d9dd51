#include "story.h"

#include "bv/config.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STORIES_MAX = 64, FILE_BYTES_MAX = 1 << 20 };

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The checkout: $BV_ROOT, upward from here, or where this was built. */
int story_root(char root[BV_PATH_MAX], struct bv_error *error)
{
    char *here = getcwd(NULL, 0);
    const char *given = getenv("BV_ROOT");
    char path[BV_PATH_MAX];
    int rc = BV_E_NOT_FOUND;
    if (given)
        rc = bv_path(root, error, "%s", given);
    while (rc == BV_E_NOT_FOUND && here && here[0]) {
        if (bv_path(path, NULL, "%s/contracts/events", here) == 0 && is_folder(path))
            rc = bv_path(root, error, "%s", here);
        char *slash = strrchr(here, '/');
        if (slash)
            *slash = '\0';
    }
    free(here);
    if (rc == BV_E_NOT_FOUND && is_folder(BV_SOURCE_DIR "/contracts/events"))
        rc = bv_path(root, error, "%s", BV_SOURCE_DIR);
    return rc == BV_E_NOT_FOUND
               ? bv_fail(error, rc, "the checkout is not found: run inside it, or set BV_ROOT")
               : rc;
}

static const char *shown_path(const char *root, const char *path)
{
    size_t size = strlen(root);
    return strncmp(path, root, size) == 0 && path[size] == '/' ? path + size + 1 : path;
}

static size_t list_stories(struct bv_arena *arena, const char *root, const char *names[STORIES_MAX])
{
    char folder[BV_PATH_MAX];
    size_t count = 0;
    if (bv_path(folder, NULL, "%s/scenarios", root) < 0)
        return 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && count < STORIES_MAX && (entry = readdir(dir));) {
        const char *dot = strstr(entry->d_name, ".feature");
        if (dot && !dot[8])
            names[count++] = bv_arena_text(
                arena, (struct bv_bytes){entry->d_name, (size_t)(dot - entry->d_name)});
    }
    if (dir)
        closedir(dir);
    return count;
}

/* A name, or the path of a file, that does not exist. */
static int
unknown_story(struct bv_arena *arena, const char *root, const char *given, struct bv_error *error)
{
    const char *names[STORIES_MAX];
    size_t count = list_stories(arena, root, names);
    const char *slash = strrchr(given, '/');
    char name[64], list[160] = "";
    snprintf(name, sizeof name, "%.60s", slash ? slash + 1 : given);
    char *dot = strstr(name, ".feature");
    if (dot)
        *dot = '\0';
    const char *near = bv_nearest(name, names, count);
    if (slash || dot)
        return bv_fail(error,
                       BV_E_NOT_FOUND,
                       "%.90s does not exist%s%s%s",
                       given,
                       near ? ": did you mean the story " : "",
                       near ? near : "",
                       near ? "?" : "");
    for (size_t i = 0; i < count && !near; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    return bv_fail(error,
                   BV_E_NOT_FOUND,
                   "no story \"%.60s\" in scenarios/%s%s%s",
                   given,
                   near    ? ": did you mean "
                   : count ? ": there are "
                           : "",
                   near ? near : list,
                   near ? "?" : "");
}

int story_find(struct bv_arena *arena,
               const char *root,
               const char *operand,
               struct story *ret_story,
               struct bv_error *error)
{
    char path[BV_PATH_MAX];
    int64_t line = 0;
    const char *colon = strrchr(operand, ':');
    struct bv_bytes name = bv_bytes_of(operand);
    if (colon && bv_bytes_int64(bv_bytes_of(colon + 1), 1, 1000000, &line) == 0)
        name.size = (size_t)(colon - operand);
    char *text = bv_arena_text(arena, name);
    if (!text)
        return BV_E_NOMEM;
    bool file = strchr(text, '/') || strstr(text, ".feature");
    BV_TRY(file ? bv_path(path, error, "%s", text)
                : bv_path(path, error, "%s/scenarios/%s.feature", root, text));
    if (access(path, file ? F_OK : R_OK) != 0)
        return unknown_story(arena, root, text, error);
    *ret_story = (struct story){.operand = text,
                                .lines = {(uint32_t)line},
                                .line_count = line > 0,
                                .path = bv_arena_text(arena, bv_bytes_of(path))};
    ret_story->shown = ret_story->path ? shown_path(root, ret_story->path) : NULL;
    return ret_story->path ? 0 : BV_E_NOMEM;
}

int story_read(struct bv_arena *arena,
               const struct plan_tables *tables,
               struct story *story,
               struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = FILE_BYTES_MAX};
    BV_TRY(bv_fs_read(story->path, &text, error));
    struct bv_bytes copy = bv_arena_copy(arena, text.data ? bv_buf_view(&text) : BV_BYTES(""));
    if (!copy.data)
        return BV_E_NOMEM;
    int rc = plan_make(arena, tables, story->shown, copy, &story->plan);
    if (rc != PLAN_REFUSED)
        return rc;
    for (size_t i = 0; i < story->plan->diagnostic_count; i++) {
        const struct plan_diagnostic *diagnostic = &story->plan->diagnostics[i];
        if (diagnostic->column)
            fprintf(stderr,
                    "%s:%u:%u: %s\n",
                    story->shown,
                    diagnostic->line,
                    diagnostic->column,
                    diagnostic->text);
        else
            fprintf(stderr, "%s:%u: %s\n", story->shown, diagnostic->line, diagnostic->text);
    }
    return PLAN_REFUSED;
}

bool story_merge(struct story *story, const struct story *other)
{
    if (strcmp(story->path, other->path) != 0)
        return false;
    if (!story->line_count || !other->line_count)
        story->line_count = 0;
    for (size_t i = 0;
         story->line_count && i < other->line_count && story->line_count < STORY_LINES_MAX;
         i++)
        story->lines[story->line_count++] = other->lines[i];
    return true;
}

/* A line of the scenario, or of its row of examples. */
static bool stands_at(const struct plan_scenario *scenario, uint32_t line)
{
    const struct gherkin_scenario *source = scenario->source;
    uint32_t last =
        source->step_count ? source->steps[source->step_count - 1].at.line : source->at.line;
    if (line == scenario->line || line == source->at.line)
        return true;
    return !source->example_count && line >= source->at.line && line <= last;
}

bool story_selects(const struct story *story,
                   const struct plan_scenario *scenario,
                   const struct tag_expression *tags)
{
    bool meant = !story->line_count;
    for (size_t i = 0; i < story->line_count; i++)
        meant = meant || stands_at(scenario, story->lines[i]);
    return meant && (!tags || tag_expression_holds(tags, scenario->tags, scenario->tag_count));
}

bool story_is_plain(const struct story *story)
{
    return !strchr(story->operand, '/') && !strstr(story->operand, ".feature");
}
