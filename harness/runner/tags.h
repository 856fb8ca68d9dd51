/* Tag expressions: which scenarios are meant. Literals are joined by `not`, `and`, `or` (in this
 * order of binding; `and` and `or` from left to right) and parentheses; a backslash makes a
 * parenthesis, a space or a backslash part of a literal. Pure. Thread: any.
 * Source: Cucumber tag expressions (github.com/cucumber/tag-expressions). */
#ifndef BV_TAGS_H
#define BV_TAGS_H

#include "bv/arena.h"
#include "bv/error.h"

enum { TAGS_DEPTH_MAX = 64 };
struct tag_expression;
/* Ranges:    text without a word holds always; parentheses and `not` nest at most TAGS_DEPTH_MAX
 *            deep.
 * Ownership: in arena.
 * Errors:    BV_E_INVALID: what was expected, and at which column; BV_E_NOMEM. */
BV_MUST_CHECK int tag_expression_parse(struct bv_arena *arena,
                                       struct bv_bytes text,
                                       const struct tag_expression **ret_expression,
                                       struct bv_error *error);
bool tag_expression_holds(const struct tag_expression *expression,
                          const struct bv_bytes *tags,
                          size_t count);
/* Literals that can hold for no scenario, since tags begin with '@'. Errors: BV_E_INVALID names the
 * first, and its column. */
BV_MUST_CHECK int tag_expression_check(const struct tag_expression *expression,
                                       struct bv_error *error);

#endif
