#include "bv/terminal.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(terminal, sizes_are_short_and_never_round_up_to_a_thousand)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } rows[] = {
        {0,          "0 B"    },
        {999,        "999 B"  },
        {1000,       "1.0 kB" },
        {99949,      "99.9 kB"},
        {999499,     "999 kB" },
        {999500,     "1.0 MB" },
        {1440000000, "1.4 GB" },
        {-1,         "-"      },
    };
    char out[BV_HUMAN_SIZE];
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_str_eq(bv_human_bytes(rows[i].bytes, out), rows[i].text);
}

Test(terminal, durations_choose_their_unit)
{
    char out[BV_HUMAN_SIZE];
    cr_expect_str_eq(bv_human_ms(999, out), "999 ms");
    cr_expect_str_eq(bv_human_ms(2414, out), "2.41 s");
    cr_expect_str_eq(bv_human_ms(185000, out), "3 min 5 s");
}

Test(terminal, a_table_in_a_file_is_aligned_and_plain)
{
    static const char *const titles[] = {"A", "NUMBER"};
    static const enum bv_align aligns[] = {BV_LEFT, BV_RIGHT};
    struct bv_table *table = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    cr_assert_eq(bv_table_open(titles, aligns, 2, &table), 0);
    bv_table_cell(table, BV_RED, "%s", "größe");
    bv_table_cell(table, BV_PLAIN, "%d", 7);
    bv_table_print(table, file);
    fclose(file);
    cr_assert_str_eq(text, "A      NUMBER\ngröße       7\n");
    bv_table_close(&table);
    cr_assert_null(table);
    free(text);
}

Test(terminal, a_table_grows_past_its_first_room)
{
    static const char *const titles[] = {"A"};
    static const enum bv_align aligns[] = {BV_LEFT};
    struct bv_table *table = NULL;
    cr_assert_eq(bv_table_open(titles, aligns, 1, &table), 0);
    for (int i = 0; i < 1000; i++)
        bv_table_cell(table, BV_PLAIN, "%d", i);
    bv_table_close(&table);
}
