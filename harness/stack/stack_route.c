#include "stack_route.h"

#include "stack.h"

static struct bv_bytes next_segment(struct bv_bytes *rest)
{
    const char *slash = rest->size ? memchr(rest->data, '/', rest->size) : NULL;
    struct bv_bytes segment = {rest->data, slash ? (size_t)(slash - rest->data) : rest->size};
    size_t used = segment.size + (slash != NULL);
    *rest = (struct bv_bytes){rest->data + used, rest->size - used};
    return segment;
}

static bool is_parameter(struct bv_bytes segment)
{
    return segment.size > 2 && segment.data[0] == '{' && segment.data[segment.size - 1] == '}';
}

int stack_route_fit(struct bv_bytes pattern, struct bv_bytes path)
{
    int literal = 1;
    bool pattern_open = pattern.size > 0, path_open = path.size > 0;
    while (pattern_open && path_open) {
        /* a slash at the end opens one more, empty segment: "/a/" is not "/a" */
        bool pattern_more = memchr(pattern.data, '/', pattern.size) != NULL;
        bool path_more = memchr(path.data, '/', path.size) != NULL;
        struct bv_bytes want = next_segment(&pattern), have = next_segment(&path);
        if (is_parameter(want) ? have.size == 0 : !bv_bytes_equal(want, have))
            return 0;
        literal += !is_parameter(want);
        pattern_open = pattern_more;
        path_open = path_more;
    }
    return pattern_open == path_open ? literal : 0;
}

static int fit_of(const struct bv_stack_part *part, struct bv_bytes method, struct bv_bytes path)
{
    int best = 0;
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(part->describe, "routes"));
         bv_json_next(&it);) {
        if (!bv_bytes_equal(bv_json_string(bv_json_get(it.value, "method")), method))
            continue;
        int fit = stack_route_fit(bv_json_string(bv_json_get(it.value, "path")), path);
        best = fit > best ? fit : best;
    }
    return best;
}

const struct bv_stack_part *
bv_stack_route(const struct bv_stack *stack, const char *method, const char *path)
{
    const struct bv_bytes without_query = {path, strcspn(path, "?#")};
    const struct bv_stack_part *found = NULL;
    int best = 0;
    for (size_t i = 0; i < bv_stack_count(stack); i++) {
        const struct bv_stack_part *part = bv_stack_at(stack, i);
        int fit = fit_of(part, bv_bytes_of(method), without_query);
        if (fit > best) {
            best = fit;
            found = part;
        }
    }
    return found;
}
