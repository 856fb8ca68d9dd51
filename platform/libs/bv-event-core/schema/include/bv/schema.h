/* JSON Schema 2020-12 for a listed set of keywords (bv_schema_keywords); an unknown keyword is an
 * error when it is added, so that nothing is silently not checked. Passes the official test suite
 * for them (schema_suite_test.c lists what is left out and why). Invariant: after bv_schemas_link a
 * set is immutable: checking allocates nothing but what equality of objects needs. Thread: building
 * one owner; checking any. Source: JSON Schema 2020-12 core and validation.
 *
 * Limits, stated:
 *   pattern   ECMA-262 as far as POSIX extended expressions reach: escapes and classes are
 * translated; look-around and back-references are an error when added. format    an annotation, as
 * the specification has it; date-time, uuid and uri are asserted under BV_FORMAT_ASSERT. numbers
 * 64-bit integers and doubles; multipleOf of fractions allows for the rounding of doubles. depth
 * BV_SCHEMA_DEPTH_MAX references and subschemas deep: past it a value is refused, not followed. */
#ifndef BV_SCHEMA_H
#define BV_SCHEMA_H

#include "bv/json.h"

#define BV_SCHEMA_DEPTH_MAX 256

struct bv_schemas; /* a set of documents that may refer to each other by $id or file name */
enum bv_schema_format { BV_FORMAT_ANNOTATE, BV_FORMAT_ASSERT };
BV_MUST_CHECK int bv_schemas_open(struct bv_schemas **ret_schemas); /* formats are annotations */
void bv_schemas_format(struct bv_schemas *schemas,
                       enum bv_schema_format format); /* before the adds */
void bv_schemas_close(struct bv_schemas **schemas);

/* Adds one document.
 * Ranges:    name: file name or URI that $ref and bv_schemas_check use; text at most 4 MiB. A
 * document with a $id is known by both. Ownership: both are copied. Errors:    BV_E_INVALID with
 * pointer for unknown keywords and bad schemas; BV_E_EXISTS; BV_E_NOMEM. After an error the set may
 * only be closed. */
BV_MUST_CHECK int bv_schemas_add(struct bv_schemas *schemas,
                                 struct bv_bytes name,
                                 struct bv_bytes text,
                                 struct bv_error *error);
/* Every *.schema.json of a folder, known by its file name. BV_E_IO, and as bv_schemas_add; error
 * begins with the file name. */
BV_MUST_CHECK int
bv_schemas_add_folder(struct bv_schemas *schemas, const char *folder, struct bv_error *error);
/* Resolves every $ref; call once after the adds. BV_E_NOT_FOUND names the reference that leads
 * nowhere. */
BV_MUST_CHECK int bv_schemas_link(struct bv_schemas *schemas, struct bv_error *error);
bool bv_schemas_has(const struct bv_schemas *schemas, struct bv_bytes name);

#define BV_SCHEMA_UNKNOWN 1  /* outcome: no schema of that name */
#define BV_SCHEMA_MISMATCH 2 /* outcome: error has the pointer into value and the reason */
/* Checks value against the document called name, or a part of it ("name#/$defs/part").
 * Errors:    BV_E_NOMEM. error may be NULL. */
BV_MUST_CHECK int bv_schemas_check(const struct bv_schemas *schemas,
                                   struct bv_bytes name,
                                   const struct bv_json *value,
                                   struct bv_error *error);
extern const char *const bv_schema_keywords[];
extern const size_t bv_schema_keyword_count;

#endif
