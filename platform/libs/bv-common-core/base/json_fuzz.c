/* Properties: what parses is written to a text that parses to the same values and is written the
 * same again, compact and pretty; a pointer made of a member's name finds that member; a refusal
 * has its reason and leaves the result alone; nesting keeps its limit. */
#include "bv/json.h"

#include "fuzz.h"

enum { ARENA_BYTES = 8 << 20, TEXT_BYTES = 1 << 20 };

static size_t depth_of(const struct bv_json *value)
{
    size_t deepest = 0;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        const size_t inner = depth_of(it.value);
        deepest = inner > deepest ? inner : deepest;
    }
    const enum bv_json_type type = bv_json_type(value);
    return deepest + (type == BV_JSON_ARRAY || type == BV_JSON_OBJECT ? 1 : 0);
}

/* RFC 6901, section 3: ~ is ~0 and / is ~1. */
static void check_pointers(const struct bv_json *root)
{
    for (struct bv_json_iter it = bv_json_iter(root); bv_json_next(&it);) {
        bv_auto(bv_buf_release) struct bv_buf pointer = {.max = TEXT_BYTES};
        if (bv_json_type(root) != BV_JSON_OBJECT)
            break;
        bv_buf_char(&pointer, '/');
        for (size_t i = 0; i < it.key.size; i++) {
            const char c = it.key.data[i];
            c == '~' || c == '/' ? bv_buf_text(&pointer, c == '~' ? "~0" : "~1")
                                 : bv_buf_char(&pointer, c);
        }
        FUZZ_REQUIRE(bv_json_pointer(root, bv_buf_view(&pointer)) == it.value);
        FUZZ_REQUIRE(bv_json_get_bytes(root, it.key) == it.value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf once = {.max = TEXT_BYTES};
    bv_auto(bv_buf_release) struct bv_buf twice = {.max = TEXT_BYTES};
    bv_auto(bv_buf_release) struct bv_buf pretty = {.max = TEXT_BYTES};
    const struct bv_json *root = NULL, *again = NULL, *third = NULL;
    struct bv_error error = {0};
    if (size > 16384 || bv_arena_open(ARENA_BYTES, &arena) < 0)
        return 0;
    const int rc = bv_json_parse(arena, fuzz_bytes(data, size), &root, &error);
    if (rc < 0) {
        FUZZ_REQUIRE(!root && (rc == BV_E_INVALID || rc == BV_E_TOO_LARGE) && error.text[0]);
        return 0;
    }
    FUZZ_REQUIRE(depth_of(root) <= BV_JSON_DEPTH_MAX);
    check_pointers(root);
    FUZZ_REQUIRE(bv_json_write(&once, root) == 0 && bv_bytes_utf8(bv_buf_view(&once)));
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&once), &again, NULL) == 0);
    FUZZ_REQUIRE(bv_json_write(&twice, again) == 0);
    FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&once), bv_buf_view(&twice)));
    FUZZ_REQUIRE(bv_json_write_pretty(&pretty, root) == 0);
    FUZZ_REQUIRE(bv_json_parse(arena, bv_buf_view(&pretty), &third, NULL) == 0);
    bv_buf_reset(&twice);
    FUZZ_REQUIRE(bv_json_write(&twice, third) == 0);
    FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&once), bv_buf_view(&twice)));
    return 0;
}
