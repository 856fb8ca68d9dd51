/* Input: the text of a step. Properties: words are parts of it in order, within their limit; quoted
 * again they split into the same words; replacing every variable by a text that holds none leaves
 * none behind, and "$${" becomes "${"; a refusal has its reason. */
#include "words.h"

#include "fuzz.h"

static int
value_of(void *argument, struct bv_bytes name, struct bv_buf *buf, struct bv_error *error)
{
    (void)argument, (void)error;
    FUZZ_REQUIRE(name.size > 0);
    return bv_buf_text(buf, "v");
}

static void quote(struct bv_buf *buf, struct bv_bytes text)
{
    bv_buf_char(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c == '"' || c == '\\' || c == '\n')
            bv_buf_char(buf, '\\');
        bv_buf_char(buf, c == '\n' ? 'n' : c);
    }
    bv_buf_char(buf, '"');
}

static void check_variables(struct bv_bytes text)
{
    bv_auto(bv_buf_release) struct bv_buf replaced = {.max = 1 << 20};
    struct word_variable variable;
    struct bv_error error = {0};
    size_t at = 0, count = 0;
    int rc;
    while ((rc = words_variable(text, &at, &variable, &error)) == 0) {
        FUZZ_REQUIRE(variable.begin < variable.end && variable.end <= text.size && at <= text.size);
        count++;
    }
    FUZZ_REQUIRE(rc == WORDS_NO_VARIABLE || (rc == BV_E_INVALID && error.text[0]));
    const int replacing = words_replace(&replaced, text, value_of, NULL, NULL);
    FUZZ_REQUIRE((replacing == 0) == (rc == WORDS_NO_VARIABLE));
    FUZZ_REQUIRE(replacing != 0 || replaced.size <= text.size);
    if (replacing == 0 && count == 0 && !memmem(text.data, text.size, "$${", 3))
        FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&replaced), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct word words[WORDS_MAX], again[WORDS_MAX];
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    bv_auto(bv_buf_release) struct bv_buf quoted = {.max = 1 << 20};
    const struct bv_bytes text = fuzz_bytes(data, size);
    struct bv_error error = {0};
    size_t count = 0, count_again = 0;
    if (size > 4096 || memchr(text.data, 0, size) || bv_arena_open(8 << 20, &arena) < 0)
        return 0;
    check_variables(text);
    if (words_split(arena, text, words, &count, &error) != 0) {
        FUZZ_REQUIRE(error.text[0]);
        return 0;
    }
    FUZZ_REQUIRE(count <= WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        FUZZ_REQUIRE(words[i].column >= 1 && words[i].column <= size);
        FUZZ_REQUIRE(i == 0 || words[i].column > words[i - 1].column);
        bv_buf_text(&quoted, i ? " " : "");
        quote(&quoted, words[i].text);
    }
    FUZZ_REQUIRE(words_split(arena, bv_buf_view(&quoted), again, &count_again, NULL) == 0);
    FUZZ_REQUIRE(count_again == count);
    for (size_t i = 0; i < count; i++)
        FUZZ_REQUIRE(again[i].quoted && bv_bytes_equal(words[i].text, again[i].text));
    return 0;
}
