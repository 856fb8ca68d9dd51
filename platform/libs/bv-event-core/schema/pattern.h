/* Regular expressions of JSON Schema (ECMA-262) on POSIX extended ones: translated, then compiled
 * by regcomp under C.UTF-8. Matching answers yes or no, so lazy quantifiers mean what greedy ones
 * do. Not translatable, hence refused: look-around, back-references, \p, \k, complement escapes
 * inside a larger class, and ranges of more than 1024 characters beyond ASCII. Thread: matching
 * any. */
#ifndef BV_PATTERN_H
#define BV_PATTERN_H

#include "bv/bytes.h"

struct pattern;
/* Errors: BV_E_INVALID with the reason, BV_E_NOMEM. */
BV_MUST_CHECK int
pattern_open(struct bv_bytes text, struct pattern **ret_pattern, struct bv_error *error);
void pattern_close(struct pattern **pattern);
bool pattern_matches(const struct pattern *pattern, struct bv_bytes text); /* anywhere in text */
/* The translation, for tests. Appends to out. */
BV_MUST_CHECK int
pattern_translate(struct bv_bytes text, struct bv_buf *out, struct bv_error *error);

#endif
