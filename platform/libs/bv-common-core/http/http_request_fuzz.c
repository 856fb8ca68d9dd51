/* Input: a request target. Properties: path and query are parts of it; what resolves has parameters
 * and query values in UTF-8 without NUL, and no parameter is a dot segment; percent-encoding them
 * again, every byte of them, resolves to the same route and the same values; a refusal has status
 * and code. */
#include "http_fuzzing.h"

static int none(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request, (void)context, (void)error;
    return BV_E_INTERNAL;
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/",                            .handler = none},
    {.method = BV_GET, .path = "/things/{id}",                 .handler = none},
    {.method = BV_GET, .path = "/things/{id}/parts/{name}",    .handler = none},
    {.method = BV_GET, .path = "/things/special/parts/{name}", .handler = none},
};

static void resolve(struct bv_http_request *request, struct bv_arena *arena, struct bv_bytes target)
{
    *request = (struct bv_http_request){.server = fuzzing_server(routes, BV_COUNT(routes)),
                                        .arena = arena,
                                        .method = BV_GET,
                                        .target = target};
    http_request_resolve(request);
    FUZZ_REQUIRE((request->refusal.status == 0) == (request->route != NULL));
    FUZZ_REQUIRE(request->refusal.status == 0 || (request->refusal.code && request->refusal.title));
}

static bool inside(struct bv_bytes part, struct bv_bytes whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void encode(struct bv_buf *buf, struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        bv_buf_format(buf, "%%%02x", (unsigned char)text.data[i]);
}

static void check_text(struct bv_bytes text)
{
    FUZZ_REQUIRE(bv_bytes_utf8(text) && !(text.size && memchr(text.data, 0, text.size)));
}

/* The route's pattern with the values in place of its names. */
static void rebuild(struct bv_buf *buf, const struct bv_http_request *request)
{
    size_t next = 0;
    for (const char *at = request->route->row.path; *at; at++) {
        if (*at != '{') {
            bv_buf_char(buf, *at);
            continue;
        }
        encode(buf, request->params[next++]);
        at = strchr(at, '}');
    }
    const struct bv_bytes q = bv_http_query(request, "q");
    bv_buf_text(buf, q.data ? "?other=%41&q=" : "");
    encode(buf, q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf target = {.max = 1 << 20};
    static struct bv_http_request first, second;
    const struct bv_bytes input = fuzz_bytes(data, size);
    if (size == 0 || size > 8192 || bv_arena_open(4 << 20, &arena) < 0)
        return 0;
    resolve(&first, arena, input);
    FUZZ_REQUIRE(inside(first.path, input) ||
                 bv_bytes_equal(first.path, BV_BYTES("/"))); /* "http://host" has none */
    FUZZ_REQUIRE(inside(first.query, input));
    if (!first.route)
        return 0;
    const struct bv_bytes q = bv_http_query(&first, "q");
    check_text(q);
    for (size_t i = 0; i < first.route->param_count; i++) {
        check_text(first.params[i]);
        FUZZ_REQUIRE(!bv_bytes_equal(first.params[i], BV_BYTES("..")));
        FUZZ_REQUIRE(first.params[i].size > 0);
    }
    rebuild(&target, &first);
    resolve(&second, arena, bv_buf_view(&target));
    FUZZ_REQUIRE(second.route == first.route);
    for (size_t i = 0; i < first.route->param_count; i++)
        FUZZ_REQUIRE(bv_bytes_equal(first.params[i], second.params[i]));
    const struct bv_bytes again = bv_http_query(&second, "q");
    FUZZ_REQUIRE(bv_bytes_equal(q, again) && !q.data == !again.data);
    return 0;
}
