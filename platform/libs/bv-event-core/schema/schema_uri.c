#include "schema_private.h"

struct parts {
    struct bv_bytes scheme, authority, path, query, fragment;
    bool has_authority, has_query, has_fragment;
};

static struct bv_bytes until(struct bv_bytes *rest, const char *stops)
{
    size_t size = 0;
    while (size < rest->size && !strchr(stops, rest->data[size]))
        size++;
    struct bv_bytes part = {rest->data, size};
    *rest = (struct bv_bytes){rest->data + size, rest->size - size};
    return part;
}

static void drop(struct bv_bytes *rest, size_t size)
{
    *rest = (struct bv_bytes){rest->data + size, rest->size - size};
}

/* RFC 3986, appendix B. */
static struct parts split(struct bv_bytes text)
{
    struct parts parts = {0};
    struct bv_bytes rest = text, scheme = until(&rest, ":/?#");
    if (scheme.size > 0 && rest.size > 0 && rest.data[0] == ':') {
        parts.scheme = scheme;
        drop(&rest, 1);
    } else {
        rest = text;
    }
    if (bv_bytes_starts(rest, BV_BYTES("//"))) {
        drop(&rest, 2);
        parts.has_authority = true;
        parts.authority = until(&rest, "/?#");
    }
    parts.path = until(&rest, "?#");
    if (rest.size > 0 && rest.data[0] == '?') {
        drop(&rest, 1);
        parts.has_query = true;
        parts.query = until(&rest, "#");
    }
    if (rest.size > 0) {
        drop(&rest, 1);
        parts.has_fragment = true;
        parts.fragment = rest;
    }
    return parts;
}

/* Appends path without its dot segments (5.2.4). */
static void put_path(struct bv_buf *out, struct bv_bytes path)
{
    size_t floor = out->size;
    while (path.size > 0) {
        struct bv_bytes segment = path;
        if (path.data[0] == '/')
            drop(&path, 1);
        (void)until(&path, "/");
        segment.size -= path.size;
        struct bv_bytes name = segment;
        if (name.data[0] == '/')
            drop(&name, 1);
        bool last = path.size == 0;
        bool up = bv_bytes_equal(name, BV_BYTES(".."));
        if (!up && !bv_bytes_equal(name, BV_BYTES("."))) {
            bv_buf_bytes(out, segment);
            continue;
        }
        while (up && out->size > floor && out->data[out->size - 1] != '/')
            out->size--;
        if (up && out->size > floor)
            out->size--;
        if (last)
            bv_buf_char(out, '/');
    }
}

static void put_merged(struct bv_buf *out, const struct parts *base, struct bv_bytes path)
{
    struct bv_buf merged = {.max = URI_MAX};
    size_t keep = base->path.size;
    while (keep > 0 && base->path.data[keep - 1] != '/')
        keep--;
    if (base->has_authority && base->path.size == 0)
        bv_buf_char(&merged, '/');
    bv_buf_append(&merged, base->path.data, keep);
    bv_buf_bytes(&merged, path);
    put_path(out, bv_buf_view(&merged));
    out->failed = out->failed || merged.failed;
    bv_buf_release(&merged);
}

static void put_target(struct bv_buf *out, const struct parts *base, const struct parts *reference)
{
    bool absolute = reference->scheme.size > 0;
    bool own_authority = absolute || reference->has_authority;
    struct bv_bytes scheme = absolute ? reference->scheme : base->scheme;
    if (scheme.size > 0) {
        bv_buf_bytes(out, scheme);
        bv_buf_char(out, ':');
    }
    const struct parts *authority = own_authority ? reference : base;
    if (authority->has_authority) {
        bv_buf_text(out, "//");
        bv_buf_bytes(out, authority->authority);
    }
    bool own_path = own_authority || reference->path.size > 0;
    if (!own_path)
        bv_buf_bytes(out, base->path);
    else if (own_authority && !reference->has_authority)
        bv_buf_bytes(out, reference->path); /* urn: */
    else if (own_authority || reference->path.data[0] == '/')
        put_path(out, reference->path);
    else
        put_merged(out, base, reference->path);
    const struct parts *query = own_path || reference->has_query ? reference : base;
    if (query->has_query) {
        bv_buf_char(out, '?');
        bv_buf_bytes(out, query->query);
    }
}

int uri_resolve(const char *base,
                struct bv_bytes reference,
                char out[URI_MAX],
                struct bv_bytes *ret_fragment)
{
    struct parts base_parts = split(bv_bytes_of(base)), parts = split(reference);
    struct bv_buf buf = {.max = URI_MAX};
    put_target(&buf, &base_parts, &parts);
    bv_buf_char(&buf, '\0');
    int rc = buf.failed ? BV_E_INVALID : 0;
    if (rc == 0)
        memcpy(out, buf.data, buf.size);
    bv_buf_release(&buf);
    *ret_fragment = parts.fragment;
    return rc;
}

struct bv_bytes uri_decode(struct bv_arena *arena, struct bv_bytes text)
{
    char *out = bv_arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; out && i < text.size; i++) {
        if (text.data[i] == '%' && i + 2 < text.size &&
            bv_hex_decode((struct bv_bytes){text.data + i + 1, 2}, out + size, 1) == 0) {
            i += 2;
            size++;
        } else {
            out[size++] = text.data[i];
        }
    }
    return (struct bv_bytes){out, size};
}
