#include "http_internal.h"
#include <criterion/criterion.h>

static int handler(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request;
    (void)context;
    (void)error;
    return 0;
}

static struct http_router router;

static int add(enum bv_http_method method, const char *path)
{
    struct http_route *route = NULL;
    return http_router_add(
        &router,
        &(struct bv_http_route){.method = method, .path = path, .handler = handler},
        NULL,
        &route);
}

static const struct http_node *find(const char *path, struct bv_bytes *params)
{
    struct bv_bytes segments[HTTP_SEGMENTS_MAX];
    size_t count = 0;
    for (const char *at = path; *at == '/' && path[1];) {
        const char *end = strchrnul(at + 1, '/');
        segments[count++] = (struct bv_bytes){at + 1, (size_t)(end - at) - 1};
        at = end;
    }
    return http_router_find(&router, segments, count, params);
}

static void begin(void)
{
    cr_assert_eq(http_router_open(&router), 0);
}

static void end(void)
{
    http_router_release(&router);
}

Test(http_router, literal_segments_win_and_parameters_catch_the_rest, .init = begin, .fini = end)
{
    struct bv_bytes params[HTTP_PARAMS_MAX] = {0};
    cr_assert_eq(add(BV_GET, "/"), 0);
    cr_assert_eq(add(BV_GET, "/v1/orders"), 0);
    cr_assert_eq(add(BV_GET, "/v1/orders/{orderId}"), 0);
    cr_assert_eq(add(BV_GET, "/v1/orders/recent"), 0);
    cr_assert_eq(add(BV_GET, "/v1/{kind}/recent/{day}"), 0);
    cr_assert_eq(add(BV_GET, "/v1/orders/{orderId}/lines/{line}"), 0);
    cr_expect_str_eq(find("/", params)->routes[BV_GET]->row.path, "/");
    cr_expect_str_eq(find("/v1/orders", params)->routes[BV_GET]->row.path, "/v1/orders");
    cr_expect_str_eq(find("/v1/orders/recent", params)->routes[BV_GET]->row.path,
                     "/v1/orders/recent");
    cr_expect_str_eq(find("/v1/orders/17", params)->routes[BV_GET]->row.path,
                     "/v1/orders/{orderId}");
    cr_expect(bv_bytes_equal(params[0], BV_BYTES("17")));
    cr_expect_str_eq(find("/v1/orders/recent/lines/2", params)->routes[BV_GET]->row.path,
                     "/v1/orders/{orderId}/lines/{line}");
    cr_expect(bv_bytes_equal(params[0], BV_BYTES("recent")) &&
              bv_bytes_equal(params[1], BV_BYTES("2")));
    cr_expect_str_eq(find("/v1/orders/recent/today", params)->routes[BV_GET]->row.path,
                     "/v1/{kind}/recent/{day}");
    cr_expect(bv_bytes_equal(params[0], BV_BYTES("orders")) &&
              bv_bytes_equal(params[1], BV_BYTES("today")));
}

Test(http_router, other_paths_are_not_found, .init = begin, .fini = end)
{
    static const char *const paths[] = {
        "/", "/v1", "/v1/orders/", "/v1/orders/1/2", "/v1/ordersx", "/V1/orders", "//v1/orders"};
    struct bv_bytes params[HTTP_PARAMS_MAX];
    cr_assert_eq(add(BV_GET, "/v1/orders"), 0);
    cr_assert_eq(add(BV_GET, "/v1/orders/{orderId}"), 0);
    for (size_t i = 0; i < BV_COUNT(paths); i++)
        cr_expect_null(find(paths[i], params), "%s", paths[i]);
}

Test(http_router, two_routes_that_match_the_same_are_refused, .init = begin, .fini = end)
{
    cr_assert_eq(add(BV_GET, "/a/{x}"), 0);
    cr_expect_eq(add(BV_GET, "/a/{y}"), BV_E_EXISTS);
    cr_expect_eq(add(BV_POST, "/a/{y}"), 0);
}

Test(http_router, bad_patterns_are_refused, .init = begin, .fini = end)
{
    static const char *const paths[] = {"",
                                        "a",
                                        "/a//b",
                                        "/a/",
                                        "/{}",
                                        "/{a",
                                        "/a}",
                                        "/{a}/{a}",
                                        "/x{a}",
                                        "/{a-b}",
                                        "/a?b",
                                        "/a%20",
                                        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"};
    for (size_t i = 0; i < BV_COUNT(paths); i++)
        cr_expect_eq(add(BV_GET, paths[i]), BV_E_INVALID, "%s", paths[i]);
}

Test(http_router, allow_lists_head_beside_get, .init = begin, .fini = end)
{
    struct bv_bytes params[HTTP_PARAMS_MAX];
    cr_assert_eq(add(BV_GET, "/a"), 0);
    cr_assert_eq(add(BV_PUT, "/a"), 0);
    const struct bv_bytes allow = http_node_allow(find("/a", params), router.arena);
    cr_expect(bv_bytes_equal(allow, BV_BYTES("GET, HEAD, PUT, OPTIONS")), "%.*s", BV_ARG(allow));
}
