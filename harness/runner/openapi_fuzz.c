/* Input: YAML. Properties: what is taken is one JSON document (unless a member is
 * there twice); JSON is YAML, so that document read
 * as YAML gives itself; the schemas made of it are JSON as well; a refusal has its reason. */
#include "openapi.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf once = {.max = 1 << 20};
    bv_auto(bv_buf_release) struct bv_buf twice = {.max = 1 << 20};
    bv_auto(bv_buf_release) struct bv_buf schema = {.max = 4 << 20};
    const struct bv_json *root = NULL, *schemas = NULL;
    struct bv_error error = {0};
    if (size > 8192 || bv_arena_open((size_t)64 << 20, &arena) < 0)
        return 0;
    if (openapi_from_yaml(&once, fuzz_bytes(data, size), &error) != 0) {
        FUZZ_REQUIRE(error.text[0] || once.failed);
        return 0;
    }
    if (bv_json_parse(arena, bv_buf_view(&once), &root, &error) != 0) {
        /* only for what JSON cannot say: a member twice, a number beyond double */
        FUZZ_REQUIRE(strstr(error.text, "twice") || strstr(error.text, "number"));
        return 0;
    }
    FUZZ_REQUIRE(openapi_from_yaml(&twice, bv_buf_view(&once), NULL) == 0);
    FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&once), bv_buf_view(&twice)));
    if (openapi_schemas(&schema, root, &error) != 0) {
        FUZZ_REQUIRE(error.text[0] || schema.failed);
        return 0;
    }
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&schema), &schemas, NULL) == 0);
    return 0;
}
