/* An OpenAPI 3.1 file (YAML) as JSON, its schemas rewritten so that they stand alone as one JSON
 * Schema document. Thread: any. */
#ifndef BV_OPENAPI_H
#define BV_OPENAPI_H

#include "bv/json.h"

/* Appends the YAML text as JSON: anchors are refused, plain scalars follow the YAML 1.2 core
 * schema. Errors: BV_E_INVALID with line and reason. */
BV_MUST_CHECK int
openapi_from_yaml(struct bv_buf *json, struct bv_bytes yaml, struct bv_error *error);

/* Appends one JSON Schema document with $defs: components.schemas under their names, and each body
 * of a request or answer with a JSON media type as "OPERATION.request" and "OPERATION.STATUS".
 * References inside the file follow; keywords that are mere annotations are left out. Errors:
 * BV_E_INVALID. */
BV_MUST_CHECK int
openapi_schemas(struct bv_buf *schema, const struct bv_json *openapi, struct bv_error *error);

/* What a reference such as {"$ref": "#/components/responses/NotFound"} stands for; node itself when
 * it is none; NULL when it leads nowhere. */
const struct bv_json *openapi_follow(const struct bv_json *openapi, const struct bv_json *node);

#endif
