/* Input: a query, a line end, a document. Properties: a refused query has a reason with a column; a
 * singular one names at most one value; every node is a value of the document; the same query twice
 * gives the same list; a list does not change when its query is written with more white space
 * between segments; limits end every evaluation. */
#include "json_path.h"

#include "fuzz.h"

static bool below(const struct bv_json *root, const struct bv_json *value)
{
    if (root == value)
        return true;
    for (struct bv_json_iter it = bv_json_iter(root); bv_json_next(&it);)
        if (below(it.value, value))
            return true;
    return false;
}

static int select_with(struct bv_arena *arena,
                       struct bv_bytes query,
                       const struct bv_json *root,
                       struct json_nodes *ret_nodes)
{
    const struct json_path *path = NULL;
    struct bv_error error = {0};
    int rc = json_path_parse(arena, query, &path, &error);
    if (rc == BV_E_INVALID)
        FUZZ_REQUIRE(!path && strstr(error.text, "column"));
    if (rc != 0)
        return rc;
    rc = json_path_select(arena, path, root, ret_nodes, &error);
    FUZZ_REQUIRE(rc == 0 || rc == BV_E_NOMEM || (rc == BV_E_LIMIT && error.text[0]));
    FUZZ_REQUIRE(rc != 0 || !json_path_singular(path) || ret_nodes->count <= 1);
    return rc;
}

static void check_same(const struct json_nodes *a, const struct json_nodes *b)
{
    FUZZ_REQUIRE(a->count == b->count);
    for (size_t i = 0; i < a->count; i++)
        FUZZ_REQUIRE(a->values[i] == b->values[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf wide = {.max = 16384};
    struct bv_bytes rest = fuzz_bytes(data, size);
    const struct bv_json *root = NULL;
    struct json_nodes nodes = {0}, again = {0};
    if (size > 4096 || bv_arena_open((size_t)64 << 20, &arena) < 0)
        return 0;
    const struct bv_bytes query = fuzz_part(&rest, '\n');
    if (bv_json_parse(arena, rest.size ? rest : BV_BYTES("{\"a\":[1,\"b\",{}]}"), &root, NULL) != 0)
        return 0;
    if (select_with(arena, query, root, &nodes) != 0)
        return 0;
    for (size_t i = 0; i < nodes.count && i < 32; i++)
        FUZZ_REQUIRE(below(root, nodes.values[i]));
    if (select_with(arena, query, root, &again) == 0)
        check_same(&nodes, &again);
    bv_buf_text(&wide, "$ \t");
    bv_buf_append(&wide, query.data + 1, query.size - 1);
    if (query.size > 1 && select_with(arena, bv_buf_view(&wide), root, &again) == 0)
        check_same(&nodes, &again);
    return 0;
}
