/* Input: lines of patterns, an empty line, a path. Properties: the table finds what a plain search
 * through its rows finds: the row that matches and has a literal segment at the first place where
 * matching rows differ; parameters are the path's segments in order; a pattern that is refused
 * leaves no route behind. */
#include "http_internal.h"

#include "fuzz.h"

enum { ROWS_MAX = 12 };

static int none(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request, (void)context, (void)error;
    return BV_E_INTERNAL;
}

static size_t split(struct bv_bytes path, struct bv_bytes segments[HTTP_SEGMENTS_MAX])
{
    size_t count = 0;
    if (path.size <= 1)
        return 0;
    struct bv_bytes rest = {path.data + 1, path.size - 1};
    for (bool more = true; more && count < HTTP_SEGMENTS_MAX;) {
        more = memchr(rest.data, '/', rest.size) != NULL;
        segments[count++] = fuzz_part(&rest, '/');
    }
    return count;
}

/* Segment by segment: 'l' a literal that is equal, 'p' a parameter; NULL: no match. */
static const char *
fit(const char *pattern, const struct bv_bytes *path, size_t count, char out[HTTP_SEGMENTS_MAX + 1])
{
    struct bv_bytes segments[HTTP_SEGMENTS_MAX];
    if (split(bv_bytes_of(pattern), segments) != count)
        return NULL;
    memset(out, 0, HTTP_SEGMENTS_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        const bool literal = segments[i].data[0] != '{';
        if (literal ? !bv_bytes_equal(segments[i], path[i]) : path[i].size == 0)
            return NULL;
        out[i] = literal ? 'l' : 'p';
    }
    return out;
}

static void check_path(const struct http_router *router,
                       struct http_route *const *rows,
                       size_t row_count,
                       struct bv_bytes path)
{
    struct bv_bytes segments[HTTP_SEGMENTS_MAX], params[HTTP_PARAMS_MAX];
    char one[HTTP_SEGMENTS_MAX + 1], best[HTTP_SEGMENTS_MAX + 1] = "";
    const struct http_route *wanted = NULL;
    const size_t count = split(path, segments);
    for (size_t i = 0; i < row_count; i++)
        if (fit(rows[i]->row.path, segments, count, one) && (!wanted || strcmp(one, best) < 0)) {
            memcpy(best, one, sizeof best);
            wanted = rows[i];
        }
    const struct http_node *node = http_router_find(router, segments, count, params);
    FUZZ_REQUIRE((node ? node->routes[BV_GET] : NULL) == wanted);
    size_t next = 0;
    for (size_t i = 0; wanted && i < count; i++)
        if (best[i] == 'p')
            FUZZ_REQUIRE(bv_bytes_equal(params[next++], segments[i]));
    FUZZ_REQUIRE(!wanted || next == wanted->param_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct http_router router = {0};
    struct http_route *rows[ROWS_MAX];
    struct bv_bytes rest = fuzz_bytes(data, size), line;
    size_t count = 0;
    if (size > 4096 || memchr(rest.data, 0, size) || bv_arena_open(1 << 20, &arena) < 0)
        return 0;
    FUZZ_REQUIRE(http_router_open(&router) == 0);
    while ((line = fuzz_part(&rest, '\n')).size > 0 && count < ROWS_MAX) {
        const struct bv_http_route row = {
            .method = BV_GET, .path = bv_arena_text(arena, line), .handler = none};
        const int rc = http_router_add(&router, &row, NULL, &rows[count]);
        FUZZ_REQUIRE(rc == 0 || rc == BV_E_INVALID || rc == BV_E_EXISTS);
        count += rc == 0;
    }
    if (rest.size > 0 && rest.data[0] == '/')
        check_path(&router, rows, count, rest);
    http_router_release(&router);
    return 0;
}
