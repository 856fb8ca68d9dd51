#include "product_service.h"
#include "bv/test_openapi.h"
#include <criterion/criterion.h>

extern const struct bv_bytes product_openapi;

Test(product_api, routes_are_those_of_the_openapi_file)
{
    struct bv_buf differences = {.max = 65536};
    cr_assert_eq(bv_test_openapi(
                     product_spec.routes, product_spec.route_count, product_openapi, &differences),
                 0);
    cr_expect_eq(differences.size, 0, "%.*s", (int)differences.size, differences.data);
    bv_buf_release(&differences);
}
