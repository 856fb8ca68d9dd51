/* JSONPath, all of RFC 9535 but normalized paths: name, wildcard, index, slice and filter
 * selectors, child and descendant segments, comparisons, existence tests, && || ! and parentheses,
 * and the functions length, count, match, search, value. Beyond it: a literal expression of match
 * and search that is none (see i_regexp.h) is refused when the query is parsed, instead of matching
 * nothing. Numbers compare exactly when both are integers of int64, else as doubles.
 * Invariant: a query never costs more than the limits below, whatever it and the document are.
 * Thread: any (a query is immutable). */
#ifndef BV_JSON_PATH_H
#define BV_JSON_PATH_H

#include "bv/json.h"

enum {
    JSON_PATH_BYTES_MAX = 8192,
    JSON_PATH_DEPTH_MAX = 32,      /* filters, parentheses and calls within each other */
    JSON_PATH_NODES_MAX = 100000,  /* of one node list */
    JSON_PATH_VISITS_MAX = 2000000 /* values looked at during one evaluation */
};

struct json_path;

/* Parses a query that begins with $.
 * Ownership: the query lives in arena; text need not.
 * Errors:    BV_E_INVALID with the column and what was expected there; BV_E_NOMEM. */
BV_MUST_CHECK int json_path_parse(struct bv_arena *arena,
                                  struct bv_bytes text,
                                  const struct json_path **ret_path,
                                  struct bv_error *error);
/* Whether it is a singular query (RFC 9535, 2.3.5.1): names and indexes only, at most one node. */
bool json_path_singular(const struct json_path *path);

struct json_nodes {
    const struct bv_json **values; /* arena; in the order of the RFC, duplicates kept */
    size_t count;
};
/* Evaluates. root NULL counts as a document without anything: no nodes.
 * Ownership: the list lives in arena, its values in the document.
 * Errors:    BV_E_LIMIT past the limits above, BV_E_NOMEM. */
BV_MUST_CHECK int json_path_select(struct bv_arena *arena,
                                   const struct json_path *path,
                                   const struct bv_json *root,
                                   struct json_nodes *ret_nodes,
                                   struct bv_error *error);

/* Equal as RFC 9535, 2.3.5.2.2: numbers by value, objects whatever the order of their members. */
bool json_equal(const struct bv_json *a, const struct bv_json *b);

#endif
