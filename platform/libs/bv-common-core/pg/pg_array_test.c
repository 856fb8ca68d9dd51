#include <criterion/criterion.h>

#include "bv/pg.h"

static void expect(const struct bv_buf *buf, const char *text)
{
    cr_assert(!buf->failed);
    cr_assert_eq(buf->size, strlen(text), "got %.*s", (int)buf->size, buf->data);
    cr_assert_arr_eq(buf->data, text, buf->size);
}

Test(pg_array, empty_array_is_two_braces)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 64};
    bv_pg_array_open(&buf);
    bv_pg_array_close(&buf);
    expect(&buf, "{}");
}

Test(pg_array, quotes_backslashes_and_separators_stay_inside_their_element)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 256};
    bv_pg_array_open(&buf);
    bv_pg_array_text(&buf, BV_BYTES("plain"));
    bv_pg_array_text(&buf, BV_BYTES("a\"b\\c"));
    bv_pg_array_text(&buf, BV_BYTES("{,}"));
    bv_pg_array_text(&buf, BV_BYTES("NULL"));
    bv_pg_array_text(&buf, BV_BYTES("\\"));
    bv_pg_array_close(&buf);
    expect(&buf, "{\"plain\",\"a\\\"b\\\\c\",\"{,}\",\"NULL\",\"\\\\\"}");
}

Test(pg_array, empty_text_is_not_null)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 64};
    bv_pg_array_open(&buf);
    bv_pg_array_text(&buf, BV_BYTES(""));
    bv_pg_array_null(&buf);
    bv_pg_array_text(&buf, BV_BYTES_NONE);
    bv_pg_array_close(&buf);
    expect(&buf, "{\"\",NULL,\"\"}");
}

Test(pg_array, numbers_are_bare)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 64};
    bv_pg_array_open(&buf);
    bv_pg_array_int(&buf, -7);
    bv_pg_array_int(&buf, INT64_MAX);
    bv_pg_array_null(&buf);
    bv_pg_array_close(&buf);
    expect(&buf, "{-7,9223372036854775807,NULL}");
}

Test(pg_array, past_the_maximum_the_buffer_reports_failure)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 8};
    bv_pg_array_open(&buf);
    bv_pg_array_text(&buf, BV_BYTES("longer than eight"));
    bv_pg_array_close(&buf);
    cr_assert(buf.failed);
}
