/* JSON Schema 2020-12 for a listed set of keywords (bv_schema_keywords); an unknown keyword is an error at load. Passes the official test suite for them.
 * Thread: validating any (immutable after load). Source: JSON Schema 2020-12 core and validation. */
#ifndef BV_SCHEMA_H
#define BV_SCHEMA_H

#include "bv/json.h"

struct bv_schemas; /* a set of documents that may refer to each other by $id or file name */
BV_MUST_CHECK int bv_schemas_open(struct bv_schemas **ret_schemas);
void bv_schemas_close(struct bv_schemas **schemas);
/* name: file name or URI that $ref uses. BV_E_INVALID with pointer for unknown keywords and bad schemas; BV_E_EXISTS. */
BV_MUST_CHECK int bv_schemas_add(struct bv_schemas *schemas, struct bv_bytes name, struct bv_bytes text, struct bv_error *error);
/* Every *.schema.json of a folder. */
BV_MUST_CHECK int bv_schemas_add_folder(struct bv_schemas *schemas, const char *folder, struct bv_error *error);
BV_MUST_CHECK int bv_schemas_link(struct bv_schemas *schemas, struct bv_error *error); /* resolves every $ref; call once after the adds */
#define BV_SCHEMA_UNKNOWN 1  /* outcome: no schema of that name */
#define BV_SCHEMA_MISMATCH 2 /* outcome: error has pointer and reason */
BV_MUST_CHECK int bv_schemas_check(const struct bv_schemas *schemas, struct bv_bytes name, const struct bv_json *value, struct bv_error *error);
extern const char *const bv_schema_keywords[];
extern const size_t bv_schema_keyword_count;

#endif
