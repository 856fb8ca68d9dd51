#include "words.h"

#include <criterion/criterion.h>

static struct bv_arena *arena;
static struct word words[WORDS_MAX];
static size_t count;
static struct bv_error error;

static void setup(void)
{
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
}

static void teardown(void)
{
    bv_arena_close(&arena);
}

TestSuite(words, .init = setup, .fini = teardown);

static int split(const char *text)
{
    error = (struct bv_error){0};
    return words_split(arena, bv_bytes_of(text), words, &count, &error);
}

Test(words, splits_at_spaces_and_keeps_quoted_texts_whole)
{
    cr_assert_eq(split("buyer  posts \"/v1/a b\" with\tkey \"a\\\"b\\\\\""), 0);
    cr_assert_eq(count, 6);
    cr_expect_str_eq(words[2].text.data, "/v1/a b");
    cr_expect(words[2].quoted);
    cr_expect_eq(words[2].column, 14);
    cr_expect_str_eq(words[5].text.data, "a\"b\\");
    cr_expect_not(words[3].quoted);
}

Test(words, an_empty_quoted_text_is_a_word)
{
    cr_assert_eq(split("a \"\""), 0);
    cr_expect_eq(count, 2);
    cr_expect_eq(words[1].text.size, 0);
}

Test(words, open_quotes_and_glued_words_are_refused)
{
    cr_expect_eq(split("a \"b"), BV_E_INVALID);
    cr_expect(strstr(error.text, "column 3"), "%s", error.text);
    cr_expect_eq(split("\"a\"b"), BV_E_INVALID);
}

static int value(void *argument, struct bv_bytes name, struct bv_buf *buf, struct bv_error *fault)
{
    (void)argument;
    if (bv_bytes_equal(name, BV_BYTES("none")))
        return bv_fail(fault, BV_E_NOT_FOUND, "none");
    return bv_buf_format(buf, "<%.*s>", BV_ARG(name));
}

static void replaces(const char *text, int rc, const char *wanted)
{
    struct bv_buf buf = {.max = 4096};
    cr_expect_eq(words_replace(&buf, bv_bytes_of(text), value, NULL, &error), rc, "%s", text);
    if (rc == 0)
        cr_expect(bv_bytes_equal(bv_buf_view(&buf), bv_bytes_of(wanted)),
                  "%s gives %.*s",
                  text,
                  BV_ARG(bv_buf_view(&buf)));
    bv_buf_release(&buf);
}

Test(words, replaces_variables)
{
    replaces("a${b}c${d.e-f}", 0, "a<b>c<d.e-f>");
    replaces("${a}${b}", 0, "<a><b>");
    replaces("no $ here $", 0, "no $ here $");
    replaces("$${a} and $$", 0, "${a} and $$");
    replaces("${none}", BV_E_NOT_FOUND, "");
    replaces("${a", BV_E_INVALID, "");
    replaces("${}", BV_E_INVALID, "");
    replaces("${a b}", BV_E_INVALID, "");
}

static struct bv_bytes bulk(const char *name)
{
    static struct bv_buf buf = {.max = 8 << 20};
    bv_buf_reset(&buf);
    cr_assert(words_bulk_name(bv_bytes_of(name)), "%s", name);
    cr_assert_eq(words_bulk(bv_bytes_of(name), &buf), 0, "%s", name);
    return bv_buf_view(&buf);
}

Test(words, bulk_is_as_long_as_its_name_says)
{
    cr_expect(bv_bytes_equal(bulk("filler.3"), BV_BYTES("xxx")));
    cr_expect(bv_bytes_equal(bulk("deep.2"), BV_BYTES("[[]]")));
    cr_expect_eq(bulk("filler.1500000").size, 1500000);
}

Test(words, other_names_are_no_bulk)
{
    static const char *const names[] = {
        "filler", "filler.", "filler.0", "filler.-1", "filler.1500001", "deep.x", "run", ""};
    struct bv_buf buf = {.max = 100};
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        cr_expect(!words_bulk_name(bv_bytes_of(names[i])), "%s", names[i]);
        cr_expect_eq(words_bulk(bv_bytes_of(names[i]), &buf), BV_E_NOT_FOUND, "%s", names[i]);
    }
    cr_expect_eq(words_bulk(BV_BYTES("filler.101"), &buf), BV_E_TOO_LARGE);
}
