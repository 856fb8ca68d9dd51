/* Input: a base, a line end, a reference. Properties (RFC 3986, 5.2): resolving is idempotent: the
 * result resolved against the same base is itself; it has no fragment and no dot segment of a
 * hierarchical path; an empty reference gives the base; decoding never grows. */
#include "schema_private.h"

#include "fuzz.h"

static bool hierarchical(const char *uri)
{
    const char *slashes = strstr(uri, "://");
    return slashes && strcspn(uri, "/?#:") == (size_t)(slashes - uri) && slashes != uri;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct bv_bytes rest = fuzz_bytes(data, size), fragment = BV_BYTES_NONE;
    char out[URI_MAX], again[URI_MAX];
    if (size > 2000 || memchr(rest.data, 0, size) || bv_arena_open(1 << 20, &arena) < 0)
        return 0;
    const struct bv_bytes line = fuzz_part(&rest, '\n');
    const char *base = bv_arena_text(arena, line);
    const int rc = uri_resolve(base, rest, out, &fragment);
    FUZZ_REQUIRE(rc == 0 || rc == BV_E_INVALID);
    const struct bv_bytes decoded = uri_decode(arena, rest);
    FUZZ_REQUIRE(decoded.size <= rest.size);
    if (rc != 0)
        return 0;
    FUZZ_REQUIRE(!strchr(out, '#') && fragment.size <= rest.size);
    /* an empty path takes the base as it is, dots and all */
    if (!hierarchical(base) || !hierarchical(out) || strstr(base, "/."))
        return 0;
    const char *path = strstr(out, "://") + 3;
    path += strcspn(path, "/?");
    const size_t path_size = strcspn(path, "?");
    FUZZ_REQUIRE(!memmem(path, path_size, "/../", 4) && !memmem(path, path_size, "/./", 3));
    FUZZ_REQUIRE(uri_resolve(base, bv_bytes_of(out), again, &fragment) == 0);
    FUZZ_REQUIRE(strcmp(out, again) == 0 && fragment.size == 0);
    return 0;
}
