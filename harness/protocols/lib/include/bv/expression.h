/* Small languages of the lab's steps: JSON paths, comparisons, durations. (bv_nearest is in
 * bv/config.h.) A path is a JSONPath query of RFC 9535 (json_path.h says how much of it: all).
 * Invariant: nothing here fails on odd input other than by an error. Thread: any (no state). */
#ifndef BV_EXPRESSION_H
#define BV_EXPRESSION_H

#include "bv/protocol.h"

/* Whether text is a path. Errors: BV_E_INVALID with the column and what was expected there. */
BV_MUST_CHECK int bv_path_check(struct bv_bytes text, struct bv_error *error);
/* The same, and it names at most one value: names and indexes only ($ .name ['name'] [0] [-1]). */
BV_MUST_CHECK int bv_path_check_one(struct bv_bytes text, struct bv_error *error);
/* The value that path names in root, NULL when there is none. Errors: those of bv_path_check_one.
 */
BV_MUST_CHECK int bv_path_find(const struct bv_json *root,
                               struct bv_bytes path,
                               const struct bv_json **ret_value,
                               struct bv_error *error);
/* What a probe sees: of a path that names at most one value that value; of any other the array of
 * all that it names, in the order of the RFC, even when it is one; NULL when there is none. So the
 * form of the path, never the document, decides whether an array is compared.
 * Ownership: *ret_value is in root or arena. Errors: those of bv_path_check, BV_E_LIMIT. */
BV_MUST_CHECK int bv_path_select(struct bv_arena *arena,
                                 const struct bv_json *root,
                                 struct bv_bytes path,
                                 const struct bv_json **ret_value,
                                 struct bv_error *error);

/* X(name, text, what it means) */
#define BV_OP_LIST(X)                                                                              \
    X(BV_OP_EQ, "==", "equal; numbers by value, JSON texts by structure")                          \
    X(BV_OP_NE, "!=", "present and not equal")                                                     \
    X(BV_OP_LE, "<=", "number at most")                                                            \
    X(BV_OP_GE, ">=", "number at least")                                                           \
    X(BV_OP_LT, "<", "number below")                                                               \
    X(BV_OP_GT, ">", "number above")                                                               \
    X(BV_OP_MATCHES, "matches", "text holds the POSIX extended expression")                        \
    X(BV_OP_CONTAINS, "contains", "text holds the text, or array has the element")                 \
    X(BV_OP_EXISTS, "exists", "is there, null included; takes no value")
enum bv_op {
#define BV_X_(name, text, help) name,
    BV_OP_LIST(BV_X_)
#undef BV_X_
        BV_OP_COUNT
};
const char *bv_op_text(enum bv_op op);
const char *bv_op_help(enum bv_op op);
/* BV_E_INVALID when text is none. */
BV_MUST_CHECK int bv_op_parse(struct bv_bytes text, enum bv_op *ret_op);

/* Whether value may stand behind op: an expression behind matches, a number behind < <= > >=.
 * Errors: BV_E_INVALID. */
BV_MUST_CHECK int bv_op_check(enum bv_op op, struct bv_bytes value, struct bv_error *error);

/* Whether `fact op value` holds.
 * Ranges:    value is the step's text; for EXISTS it is ignored. An absent fact satisfies no
 * operator. Outcomes:  BV_MISMATCH when it does not hold. Errors:    BV_E_INVALID: value is no
 * number for < <= > >=, or no regular expression. */
BV_MUST_CHECK int bv_fact_compare(const struct bv_fact *fact,
                                  enum bv_op op,
                                  struct bv_bytes value,
                                  struct bv_error *error);
/* A fact as text for people and for variables: strings bare, other JSON compact, "(absent)". buf is
 * appended to. */
int bv_fact_text(struct bv_buf *buf, const struct bv_fact *fact);

/* "250ms", "5s", "2m" to milliseconds, 1 ms .. 1 h. BV_E_INVALID otherwise. */
BV_MUST_CHECK int bv_duration_parse(struct bv_bytes text, int64_t *ret_ms);

#endif
