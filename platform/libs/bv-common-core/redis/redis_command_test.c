#include <criterion/criterion.h>

#include "redis_internal.h"

Test(redis_command, words_become_bulk_strings)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 256};
    struct bv_bytes words[] = {
        BV_BYTES("SET"), {"a\r\n\0b", 5},
         BV_BYTES("")
    };
    cr_assert_eq(redis_command_append(&buf, words, 3), 0);
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$5\r\na\r\n\0b\r\n$0\r\n\r\n";
    cr_assert_eq(buf.size, sizeof expected - 1);
    cr_assert_arr_eq(buf.data, expected, sizeof expected - 1);
}

Test(redis_command, a_command_that_does_not_fit_leaves_the_buffer_as_it_was)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 40};
    struct bv_bytes ping = BV_BYTES("PING");
    struct bv_bytes large[] = {BV_BYTES("ECHO"),
                               BV_BYTES("0123456789012345678901234567890123456789")};
    cr_assert_eq(redis_command_append(&buf, &ping, 1), 0);
    size_t size = buf.size;
    cr_assert_eq(redis_command_append(&buf, large, 2), BV_E_TOO_LARGE);
    cr_assert_eq(buf.size, size);
    cr_assert_eq(redis_command_append(&buf, &ping, 1), 0);
    cr_assert_eq(buf.size, 2 * size);
}

Test(redis_command, no_words_or_too_many_are_invalid)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 1 << 20};
    static struct bv_bytes words[REDIS_WORDS_MAX + 1];
    cr_expect_eq(redis_command_append(&buf, words, 0), BV_E_INVALID);
    cr_expect_eq(redis_command_append(&buf, words, REDIS_WORDS_MAX + 1), BV_E_INVALID);
    cr_expect_eq(redis_command_append(&buf, words, REDIS_WORDS_MAX), 0);
}
