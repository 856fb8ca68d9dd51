#include "bv/arena.h"

#include <criterion/criterion.h>

Test(arena, memory_is_zeroed_and_aligned_even_after_reset)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 3000; size += 37) {
            unsigned char *data = bv_arena_alloc(arena, size);
            cr_assert_not_null(data);
            cr_assert_eq((uintptr_t)data % 16, 0);
            for (size_t i = 0; i < size; i++)
                cr_assert_eq(data[i], 0);
            memset(data, 0xee, size);
        }
        bv_arena_reset(arena);
        cr_assert_eq(bv_arena_used(arena), 0);
    }
    bv_arena_close(&arena);
    cr_assert_null(arena);
    bv_arena_close(&arena);
}

Test(arena, allocations_do_not_overlap)
{
    struct bv_arena *arena;
    unsigned char *blocks[400];
    cr_assert_eq(bv_arena_open(1 << 24, &arena), 0);
    for (size_t i = 0; i < BV_COUNT(blocks); i++) {
        blocks[i] = bv_arena_alloc_raw(arena, 1 + i * i % 5000);
        memset(blocks[i], (int)(i % 251), 1 + i * i % 5000);
    }
    for (size_t i = 0; i < BV_COUNT(blocks); i++)
        for (size_t j = 0; j < 1 + i * i % 5000; j++)
            cr_assert_eq(blocks[i][j], i % 251);
    bv_arena_close(&arena);
}

Test(arena, cap_holds_for_every_size)
{
    for (size_t size = 1; size < 9000; size = size * 2 + 1) {
        struct bv_arena *arena;
        size_t given = 0;
        cr_assert_eq(bv_arena_open(20000, &arena), 0);
        while (bv_arena_alloc(arena, size))
            given += size;
        cr_assert_leq(given, 20000);
        cr_assert_leq(bv_arena_used(arena), 20000);
        cr_assert(bv_arena_failed(arena));
        bv_arena_reset(arena);
        cr_assert_not(bv_arena_failed(arena));
        cr_assert_not_null(bv_arena_alloc(arena, size));
        bv_arena_close(&arena);
    }
}

Test(arena, absurd_sizes_are_refused)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(SIZE_MAX, &arena), 0);
    cr_assert_null(bv_arena_alloc_array(arena, SIZE_MAX / 2, 3));
    cr_assert_null(bv_arena_copy(arena, (struct bv_bytes){"", SIZE_MAX}).data);
    bv_arena_close(&arena);
    cr_assert_eq(bv_arena_open(1000, &arena), 0);
    cr_assert_null(bv_arena_alloc(arena, SIZE_MAX));
    cr_assert_null(bv_arena_alloc(arena, SIZE_MAX - 7));
    void *data = bv_arena_alloc(arena, 10);
    cr_assert_null(bv_arena_resize(arena, data, 10, SIZE_MAX - 3));
    bv_arena_close(&arena);
}

Test(arena, copies_end_in_nul)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(100000, &arena), 0);
    struct bv_bytes copy = bv_arena_copy(arena, (struct bv_bytes){"abcdef", 3});
    cr_assert_eq(copy.size, 3);
    cr_assert_str_eq(copy.data, "abc");
    copy = bv_arena_copy(arena, BV_BYTES_NONE);
    cr_assert_str_eq(copy.data, "");
    cr_assert_str_eq(bv_arena_format(arena, "%s-%d", "x", 5), "x-5");
    char *longer = bv_arena_format(arena, "%05000d", 1);
    cr_assert_eq(strlen(longer), 5000);
    bv_arena_close(&arena);
}

Test(arena, resize_keeps_content_in_chunks_and_blocks)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(1 << 22, &arena), 0);
    for (int crowded = 0; crowded < 2; crowded++) {
        size_t size = 5;
        unsigned char *data = bv_arena_resize(arena, NULL, 0, size);
        memset(data, 1, size);
        while (size < 300000) {
            size_t bigger = size + size / 2 + 1;
            if (crowded)
                cr_assert_not_null(bv_arena_alloc(arena, 24)); /* no longer the newest */
            data = bv_arena_resize(arena, data, size, bigger);
            cr_assert_not_null(data);
            memset(data + size, (int)(bigger % 251), bigger - size);
            for (size_t i = 0; i < 5; i++)
                cr_assert_eq(data[i], 1);
            for (size_t i = size; i < bigger; i += 1 + i / 50)
                cr_assert_eq(data[i], bigger % 251);
            size = bigger;
        }
        size_t used = bv_arena_used(arena);
        data = bv_arena_resize(arena, data, size, 2000);
        cr_assert_lt(bv_arena_used(arena), used, "a block gives back");
        cr_assert_eq(data[4], 1);
        bv_arena_reset(arena);
    }
    bv_arena_close(&arena);
}

Test(arena, resize_respects_the_cap)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(10000, &arena), 0);
    char *data = bv_arena_alloc(arena, 6000);
    data[5999] = 'x';
    cr_assert_null(bv_arena_resize(arena, data, 6000, 10001));
    cr_assert_eq(data[5999], 'x', "the old block survives");
    cr_assert_not_null(bv_arena_resize(arena, data, 6000, 10000));
    bv_arena_close(&arena);
}

struct notes {
    char text[16];
    size_t size;
};
static struct notes notes;

static void note(void *argument)
{
    notes.text[notes.size++] = *(const char *)argument;
}

Test(arena, deferred_functions_run_newest_first_and_once)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(100000, &arena), 0);
    cr_assert_eq(bv_arena_defer(arena, note, "a"), 0);
    cr_assert_eq(bv_arena_defer(arena, note, "b"), 0);
    bv_arena_reset(arena);
    cr_assert_eq(bv_arena_defer(arena, note, "c"), 0);
    bv_arena_close(&arena);
    cr_assert_str_eq(notes.text, "bac");
}

Test(arena, a_deferred_function_that_does_not_fit_runs_at_once)
{
    struct bv_arena *arena;
    cr_assert_eq(bv_arena_open(40, &arena), 0);
    cr_assert_eq(bv_arena_defer(arena, note, "a"), 0);
    cr_assert_eq(bv_arena_defer(arena, note, "b"), BV_E_NOMEM);
    cr_assert_str_eq(notes.text, "b");
    bv_arena_close(&arena);
    cr_assert_str_eq(notes.text, "ba");
}

Test(arena, leaves_its_scope_by_cleanup)
{
    {
        bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
        cr_assert_eq(bv_arena_open(1000, &arena), 0);
        cr_assert_eq(bv_arena_defer(arena, note, "s"), 0);
    }
    cr_assert_str_eq(notes.text, "s");
}
