#include "bv/test_openapi.h"
#include <criterion/criterion.h>

static const char yaml[] =
    "openapi: 3.1.0\npaths:\n  /v1/a/{id}:\n    get: { operationId: getA, x-scope: public, "
    "x-body-limit-bytes: 0 }\n"
    "    put: { operationId: putA, x-scope: 'a:write b:write', x-body-limit-bytes: 100 }\n";
static const struct bv_http_route good[] = {
    {.method = BV_GET, .path = "/v1/a/{id}", .operation_id = "getA"},
    {.method = BV_PUT,
     .path = "/v1/a/{id}",
     .operation_id = "putA",
     .scope = "a:write b:write",
     .body_bytes_max = 100},
};

static size_t differences(const struct bv_http_route *rows, size_t count)
{
    struct bv_buf buf = {.max = 4096};
    size_t lines = 0;
    cr_assert_eq(bv_test_openapi(rows, count, bv_bytes_of(yaml), &buf), 0);
    for (size_t i = 0; i < buf.size; i++)
        lines += buf.data[i] == '\n';
    bv_buf_release(&buf);
    return lines;
}

Test(test_openapi, agrees_with_an_equal_table)
{
    cr_expect_eq(differences(good, 2), 0);
}

Test(test_openapi, sees_each_kind_of_difference)
{
    struct bv_http_route rows[2] = {good[0], good[1]};
    cr_expect_eq(differences(good, 1), 1, "an operation without a row");
    rows[0].operation_id = "getB";
    cr_expect_eq(differences(rows, 2), 1, "operationId");
    rows[0] = good[0];
    rows[0].scope = "";
    cr_expect_eq(differences(rows, 2), 1, "scope");
    rows[0] = good[0];
    rows[0].body_bytes_max = 1;
    cr_expect_eq(differences(rows, 2), 1, "body limit");
    rows[0] = good[0];
    rows[0].path = "/v1/b";
    cr_expect_eq(differences(rows, 2), 2, "a row without an operation, and the other way round");
}

Test(test_openapi, refuses_what_is_no_contract)
{
    struct bv_buf buf = {.max = 4096};
    cr_expect_eq(bv_test_openapi(good, 2, BV_BYTES("{"), &buf), BV_E_INVALID);
    cr_expect_eq(bv_test_openapi(good, 2, BV_BYTES("a: 1"), &buf), BV_E_INVALID);
    bv_buf_release(&buf);
}
