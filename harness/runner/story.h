/* The stories of a command line: where they lie, what they say, which of their scenarios are meant.
 * Thread: main. */
#ifndef BV_STORY_H
#define BV_STORY_H

#include "plan.h"
#include "tags.h"
#include "bv/fs.h"

enum { STORY_LINES_MAX = 16 };
struct story {           /* texts are the arena's */
    const char *operand; /* as given, without the line */
    const char *path;
    const char
        *shown; /* the path as people type it: relative to the checkout where it lies inside */
    uint32_t lines[STORY_LINES_MAX]; /* only the scenarios there */
    size_t line_count;               /* 0: all of it */
    struct plan *plan;
};

/* The checkout: $BV_ROOT, upward from the working folder, or where this was built. Errors:
 * BV_E_NOT_FOUND. */
BV_MUST_CHECK int story_root(char root[BV_PATH_MAX], struct bv_error *error);
/* Finds what "NAME", "NAME:LINE" or "FILE[:LINE]" means. Errors: BV_E_NOT_FOUND with the nearest
 * story, BV_E_NOMEM. */
BV_MUST_CHECK int story_find(struct bv_arena *arena,
                             const char *root,
                             const char *operand,
                             struct story *ret_story,
                             struct bv_error *error);
/* Adds what other names to story when both are the same file. false: they are not. Errors: none; at
 * most STORY_LINES_MAX lines come together, since that many operands do. */
bool story_merge(struct story *story, const struct story *other);
/* Reads and plans it. Outcomes: PLAN_REFUSED: its mistakes were printed to stderr. Errors: BV_E_IO,
 * BV_E_NOMEM. */
BV_MUST_CHECK int story_read(struct bv_arena *arena,
                             const struct plan_tables *tables,
                             struct story *story,
                             struct bv_error *error);
/* Whether the scenario is meant: by its line, and by tags (NULL: any). */
bool story_selects(const struct story *story,
                   const struct plan_scenario *scenario,
                   const struct tag_expression *tags);
/* Whether it is named as in scenarios/, not as a file. */
bool story_is_plain(const struct story *story);

#endif
