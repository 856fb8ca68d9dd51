#include "http_internal.h"
#include <stdio.h>

const char *const http_method_names[BV_METHOD_COUNT + 1] = {
    [BV_GET] = "GET",
    [BV_HEAD] = "HEAD",
    [BV_POST] = "POST",
    [BV_PUT] = "PUT",
    [BV_PATCH] = "PATCH",
    [BV_DELETE] = "DELETE",
    [BV_OPTIONS] = "OPTIONS",
    [BV_METHOD_COUNT] = "OTHER",
};

#define TABLES_BYTES_MAX (4u << 20)

int http_router_open(struct http_router *router)
{
    return bv_arena_open(TABLES_BYTES_MAX, &router->arena);
}

void http_router_release(struct http_router *router)
{
    bv_arena_close(&router->arena);
    memset(router, 0, sizeof *router);
}

static struct http_node *literal_child(const struct http_node *node, struct bv_bytes segment)
{
    for (struct http_node *child = node->child; child; child = child->sibling)
        if (bv_bytes_equal(child->literal, segment))
            return child;
    return NULL;
}

static struct http_node *
add_literal(struct http_router *router, struct http_node *node, struct bv_bytes segment)
{
    struct http_node *child = literal_child(node, segment);
    if (child)
        return child;
    child = bv_arena_new(router->arena, struct http_node);
    if (!child)
        return NULL;
    child->literal = bv_arena_copy(router->arena, segment);
    child->sibling = node->child;
    node->child = child;
    return child;
}

static bool name_good(struct bv_bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return name.size > 0;
}

static bool literal_good(struct bv_bytes text)
{
    return text.size > 0 && !memchr(text.data, '{', text.size) &&
           !memchr(text.data, '}', text.size) && !memchr(text.data, '%', text.size) &&
           !memchr(text.data, '?', text.size);
}

/* One pattern segment: descends, making nodes, and notes the name of a parameter in route. */
static int add_segment(struct http_router *router,
                       struct http_node **node,
                       struct bv_bytes segment,
                       struct http_route *route)
{
    struct http_node *next = NULL;
    if (segment.size > 2 && segment.data[0] == '{' && segment.data[segment.size - 1] == '}') {
        const struct bv_bytes name = {segment.data + 1, segment.size - 2};
        if (!name_good(name) || route->param_count == HTTP_PARAMS_MAX)
            return BV_E_INVALID;
        for (size_t i = 0; i < route->param_count; i++)
            if (bv_bytes_equal(route->params[i], name))
                return BV_E_INVALID;
        route->params[route->param_count++] = bv_arena_copy(router->arena, name);
        if (!(*node)->param)
            (*node)->param = bv_arena_new(router->arena, struct http_node);
        next = (*node)->param;
    } else {
        if (!literal_good(segment))
            return BV_E_INVALID;
        next = add_literal(router, *node, segment);
    }
    if (!next)
        return BV_E_NOMEM;
    *node = next;
    return 0;
}

static int add_path(struct http_router *router,
                    const char *path,
                    struct http_route *route,
                    struct http_node **ret_node)
{
    struct http_node *node = &router->root;
    const char *at = path;
    size_t depth = 0;
    if (*at != '/')
        return BV_E_INVALID;
    while (at[1] || depth > 0) { /* "/" alone is the root itself */
        const char *start = at + 1;
        const char *end = strchrnul(start, '/');
        if (++depth > HTTP_SEGMENTS_MAX)
            return BV_E_INVALID;
        BV_TRY(add_segment(router, &node, (struct bv_bytes){start, (size_t)(end - start)}, route));
        if (!*end)
            break;
        at = end;
    }
    *ret_node = node;
    return 0;
}

int http_router_add(struct http_router *router,
                    const struct bv_http_route *row,
                    void *context,
                    struct http_route **ret_route)
{
    struct http_node *node = NULL;
    if (!row->path || !row->handler || (unsigned)row->method >= BV_METHOD_COUNT)
        return BV_E_INVALID;
    struct http_route *route = bv_arena_new(router->arena, struct http_route);
    if (!route)
        return BV_E_NOMEM;
    route->row = *row;
    route->context = context;
    route->span_name =
        bv_arena_format(router->arena, "%s %s", http_method_names[row->method], row->path);
    BV_TRY(add_path(router, row->path, route, &node));
    if (node->routes[row->method])
        return BV_E_EXISTS;
    if (bv_arena_failed(router->arena))
        return BV_E_NOMEM;
    node->routes[row->method] = route;
    node->used = true;
    *ret_route = route;
    return 0;
}

/* Literal segments win; only where their branch ends without a route the parameter is tried. */
static const struct http_node *descend(const struct http_node *node,
                                       const struct bv_bytes *segments,
                                       size_t count,
                                       struct bv_bytes *params,
                                       size_t param_count)
{
    if (count == 0)
        return node->used ? node : NULL;
    const struct http_node *child = literal_child(node, segments[0]);
    if (child) {
        const struct http_node *found =
            descend(child, segments + 1, count - 1, params, param_count);
        if (found)
            return found;
    }
    if (!node->param || segments[0].size == 0 || param_count == HTTP_PARAMS_MAX)
        return NULL;
    const struct http_node *found =
        descend(node->param, segments + 1, count - 1, params, param_count + 1);
    if (found)
        params[param_count] = segments[0];
    return found;
}

const struct http_node *http_router_find(const struct http_router *router,
                                         const struct bv_bytes *segments,
                                         size_t count,
                                         struct bv_bytes ret_params[HTTP_PARAMS_MAX])
{
    return descend(&router->root, segments, count, ret_params, 0);
}

struct bv_bytes http_node_allow(const struct http_node *node, struct bv_arena *arena)
{
    char text[96];
    size_t size = 0;
    for (int method = 0; method < BV_METHOD_COUNT; method++) {
        const bool has = !node || node->routes[method] ||
                         (method == BV_HEAD && node->routes[BV_GET]) || method == BV_OPTIONS;
        if (has)
            size += (size_t)snprintf(text + size,
                                     sizeof text - size,
                                     "%s%s",
                                     size ? ", " : "",
                                     http_method_names[method]);
    }
    return bv_arena_copy(arena, (struct bv_bytes){text, size});
}
