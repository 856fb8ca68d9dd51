/* Regular expressions as RFC 9485 (I-Regexp) defines them, for the functions match and search of
 * JSON paths. Matching takes time linear in the text (all states at once, as Thompson's), whatever
 * the pattern. Of the general categories those that the C library knows: \p{L} \p{Lu} \p{Ll}
 * \p{N} \p{Nd} \p{P} \p{S} \p{Z}; others are refused. Unlike in the RFC, ^ first in a branch and
 * $ last in it are the ends of the text, as the JSONPath compliance test suite has it. Thread: any
 * (an expression is immutable). */
#ifndef BV_I_REGEXP_H
#define BV_I_REGEXP_H

#include "bv/arena.h"

enum { I_REGEXP_PROGRAM_MAX = 4000, I_REGEXP_REPEAT_MAX = 1000, I_REGEXP_DEPTH_MAX = 32 };

struct i_regexp;
/* Ownership: everything in arena.
 * Errors:    BV_E_INVALID with column and what is wrong; also when it needs more than the limits
 *            above; BV_E_NOMEM. */
BV_MUST_CHECK int i_regexp_parse(struct bv_arena *arena,
                                 struct bv_bytes text,
                                 const struct i_regexp **ret_regexp,
                                 struct bv_error *error);

enum i_regexp_extent { I_REGEXP_WHOLE, I_REGEXP_ANYWHERE };
/* Whether it matches the whole text, or some part of it. false for texts that are no UTF-8. Memory
 * for the states is taken from arena; without any left: false. */
bool i_regexp_matches(const struct i_regexp *regexp,
                      struct bv_arena *arena,
                      struct bv_bytes text,
                      enum i_regexp_extent extent);

#endif
