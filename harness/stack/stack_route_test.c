#include "stack_route.h"

#include <criterion/criterion.h>

static int fit(const char *pattern, const char *path)
{
    return stack_route_fit(bv_bytes_of(pattern), bv_bytes_of(path));
}

Test(stack_route, literal_paths_fit_themselves_only)
{
    cr_expect_gt(fit("/v1/orders", "/v1/orders"), 0);
    cr_expect_eq(fit("/v1/orders", "/v1/order"), 0);
    cr_expect_eq(fit("/v1/orders", "/v1/orders/"), 0);
    cr_expect_eq(fit("/v1/orders", "/v1"), 0);
    cr_expect_eq(fit("/v1/orders", ""), 0);
    cr_expect_gt(fit("/", "/"), 0);
    cr_expect_eq(fit("/", "/v1"), 0);
}

Test(stack_route, a_parameter_takes_one_whole_segment)
{
    cr_expect_gt(fit("/v1/orders/{id}", "/v1/orders/17"), 0);
    cr_expect_eq(fit("/v1/orders/{id}", "/v1/orders/"), 0);
    cr_expect_eq(fit("/v1/orders/{id}", "/v1/orders/17/ship"), 0);
    cr_expect_gt(fit("/v1/orders/{id}/ship", "/v1/orders/17/ship"), 0);
    cr_expect_eq(fit("/v1/orders/{id}/ship", "/v1/orders/17/stop"), 0);
}

Test(stack_route, more_literal_segments_fit_better)
{
    cr_expect_gt(fit("/v1/orders/search", "/v1/orders/search"),
                 fit("/v1/orders/{id}", "/v1/orders/search"));
}
