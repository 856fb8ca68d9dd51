#include "stack_world.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

Test(world, names_are_letters_digits_and_hyphens)
{
    static const char *const good[] = {"default", "run-0a1b2c3d", "A", "abcdefghijklmnopqrstuvwx"};
    static const char *const bad[] = {
        "", "-x", "a/b", "..", "a b", "abcdefghijklmnopqrstuvwxy", "x\n"};
    for (size_t i = 0; i < BV_COUNT(good); i++)
        cr_expect_eq(stack_name_check(good[i], NULL), 0, "%s", good[i]);
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_eq(stack_name_check(bad[i], NULL), BV_E_INVALID, "%s", bad[i]);
}

Test(world, a_name_is_held_by_one)
{
    char root[] = "/tmp/bvworld-XXXXXX";
    cr_assert_not_null(mkdtemp(root));
    int first = -1, second = -1;
    cr_assert_eq(stack_lock(root, "a", &first, NULL), 0);
    cr_assert_eq(stack_lock(root, "a", &second, NULL), STACK_LOCKED);
    close(first);
    cr_assert_eq(stack_lock(root, "a", &second, NULL), 0);
    close(second);
    cr_assert_eq(bv_fs_remove_tree(root, NULL), 0);
}

Test(world, a_class_path_is_sorted_and_only_jars)
{
    char root[] = "/tmp/bvworld-XXXXXX", path[BV_PATH_MAX], expected[BV_PATH_MAX];
    cr_assert_not_null(mkdtemp(root));
    static const char *const names[] = {"b.jar", "a.jar", "notes.txt", ".jar"};
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        cr_assert_eq(bv_path(path, NULL, "%s/%s", root, names[i]), 0);
        cr_assert_eq(bv_fs_write(path, BV_BYTES("x"), 0600, NULL), 0);
    }
    struct bv_buf classes = {.max = 4096};
    cr_assert_eq(stack_class_path(root, &classes, NULL), 0);
    cr_assert_eq(bv_path(expected, NULL, "%s/a.jar:%s/b.jar", root, root), 0);
    cr_assert_str_eq(classes.data, expected);
    bv_buf_release(&classes);
    cr_assert_eq(bv_fs_remove_tree(root, NULL), 0);
}
