/* Input: an expression, a line end, a text. Properties: what matches the whole matches somewhere;
 * put between .* it matches the whole when it matches somewhere (texts of one line); an alternative
 * more never loses a match; a text escaped by hand matches itself; refusals have a reason. */
#include "i_regexp.h"

#include "fuzz.h"

static int parse(struct bv_arena *arena,
                 const struct i_regexp **ret_regexp,
                 const char *before,
                 struct bv_bytes pattern,
                 const char *behind)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 65536};
    struct bv_error error = {0};
    bv_buf_text(&text, before);
    bv_buf_bytes(&text, pattern);
    bv_buf_text(&text, behind);
    const int rc =
        i_regexp_parse(arena, bv_arena_copy(arena, bv_buf_view(&text)), ret_regexp, &error);
    FUZZ_REQUIRE(rc != BV_E_INVALID || error.text[0]);
    return rc;
}

static void check_itself(struct bv_arena *arena, struct bv_bytes text)
{
    bv_auto(bv_buf_release) struct bv_buf escaped = {.max = 65536};
    const struct i_regexp *regexp = NULL;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] && strchr("()*+-.?[\\]^{|}", text.data[i]))
            bv_buf_char(&escaped, '\\');
        text.data[i] == '$' ? bv_buf_text(&escaped, "[$]") : bv_buf_char(&escaped, text.data[i]);
    }
    if (parse(arena, &regexp, "", bv_buf_view(&escaped), "") == 0)
        FUZZ_REQUIRE(i_regexp_matches(regexp, arena, text, I_REGEXP_WHOLE) ||
                     bv_arena_failed(arena));
    else
        FUZZ_REQUIRE(!bv_bytes_utf8(text) || memchr(text.data, 0, text.size) || text.size > 900);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct bv_bytes text = fuzz_bytes(data, size);
    const struct i_regexp *regexp = NULL, *around = NULL, *more = NULL;
    if (size > 1024 || bv_arena_open((size_t)64 << 20, &arena) < 0)
        return 0;
    const struct bv_bytes pattern = fuzz_part(&text, '\n');
    check_itself(arena, text);
    if (parse(arena, &regexp, "", pattern, "") != 0)
        return 0;
    const bool whole = i_regexp_matches(regexp, arena, text, I_REGEXP_WHOLE);
    const bool anywhere = i_regexp_matches(regexp, arena, text, I_REGEXP_ANYWHERE);
    FUZZ_REQUIRE(!whole || anywhere);
    const bool one_line =
        !memchr(text.data, '\n', text.size) && !memchr(text.data, '\r', text.size);
    if (one_line && parse(arena, &around, ".*(", pattern, ").*") == 0)
        FUZZ_REQUIRE(i_regexp_matches(around, arena, text, I_REGEXP_WHOLE) == anywhere ||
                     bv_arena_failed(arena));
    if (parse(arena, &more, "zz|", pattern, "") == 0)
        FUZZ_REQUIRE(!whole || i_regexp_matches(more, arena, text, I_REGEXP_WHOLE) ||
                     bv_arena_failed(arena));
    return 0;
}
