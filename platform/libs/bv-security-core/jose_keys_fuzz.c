/* Input: a JWKS document. Properties: what is read is written with public members only, and what
 * was written reads again and is written the same; at most 16 keys; a refusal has a reason and
 * leaves no set behind. */
#include "bv/jose.h"

#include "fuzz.h"

static int print(struct bv_buf *buf, struct bv_bytes json, struct bv_error *error)
{
    bv_auto(bv_jose_keys_close) struct bv_jose_keys *keys = NULL;
    const int rc = bv_jose_keys_from_jwks(json, &keys, error);
    FUZZ_REQUIRE((rc == 0) == (keys != NULL));
    if (rc != 0)
        return rc;
    struct bv_json_writer w = bv_json_writer(buf);
    FUZZ_REQUIRE(bv_jose_keys_to_jwks(keys, &w) == 0 && !buf->failed);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf once = {.max = 1 << 20};
    bv_auto(bv_buf_release) struct bv_buf twice = {.max = 1 << 20};
    static const char *const secrets[] = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"};
    const struct bv_json *root = NULL;
    struct bv_error error = {0};
    if (size > 16384)
        return 0;
    if (print(&once, fuzz_bytes(data, size), &error) != 0) {
        FUZZ_REQUIRE(error.text[0]);
        return 0;
    }
    FUZZ_REQUIRE(print(&twice, bv_buf_view(&once), NULL) == 0);
    FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&once), bv_buf_view(&twice)));
    FUZZ_REQUIRE(bv_arena_open(8 << 20, &arena) == 0);
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&once), &root, NULL) == 0);
    const struct bv_json *rows = bv_json_get(root, "keys");
    FUZZ_REQUIRE(bv_json_size(rows) <= 16);
    for (struct bv_json_iter it = bv_json_iter(rows); bv_json_next(&it);)
        for (size_t i = 0; i < BV_COUNT(secrets); i++)
            FUZZ_REQUIRE(!bv_json_get(it.value, secrets[i]));
    return 0;
}
