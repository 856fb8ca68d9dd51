/* Contract of a service's routes: the table in C and the OpenAPI file must list the same
 * operations. Thread: tests. Source: OpenAPI 3.1; x-scope and x-body-limit-bytes as
 * contracts/README.md explains them. */
#ifndef BV_TEST_OPENAPI_H
#define BV_TEST_OPENAPI_H

#include "bv/http.h"

/* Compares both ways: every operation of yaml (method, path, operationId, x-scope,
 * x-body-limit-bytes) against rows, and every row against yaml. Effect:    appends one line per
 * difference to differences; an empty buffer means that both agree. Errors:    BV_E_INVALID when
 * yaml is no OpenAPI file. */
BV_MUST_CHECK int bv_test_openapi(const struct bv_http_route *rows,
                                  size_t count,
                                  struct bv_bytes yaml,
                                  struct bv_buf *differences);

#endif
