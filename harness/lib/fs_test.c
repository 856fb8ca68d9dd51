#include "bv/fs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/bvfs-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void teardown(void)
{
    cr_assert_eq(bv_fs_remove_tree(folder, NULL), 0);
    cr_assert_neq(access(folder, F_OK), 0);
}

static const char *below(const char *name)
{
    static char path[4][BV_PATH_MAX];
    static size_t next;
    char *out = path[next++ % 4];
    cr_assert_eq(bv_path(out, NULL, "%s/%s", folder, name), 0);
    return out;
}

TestSuite(fs, .init = setup, .fini = teardown);

Test(fs, a_path_that_does_not_fit_is_refused)
{
    char out[BV_PATH_MAX];
    struct bv_error error = {0};
    cr_assert_eq(bv_path(out, &error, "%0600d", 1), BV_E_LIMIT);
    cr_assert_neq(error.text[0], '\0');
}

Test(fs, what_is_written_is_read_back)
{
    struct bv_buf buf = {.max = 64};
    cr_assert_eq(bv_fs_write(below("f"), BV_BYTES("hello"), 0600, NULL), 0);
    cr_assert_eq(bv_fs_read(below("f"), &buf, NULL), 0);
    cr_assert_str_eq(buf.data, "hello");
    cr_assert_eq(buf.size, 5);
    struct stat st;
    cr_assert_eq(stat(below("f"), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    bv_buf_release(&buf);
}

Test(fs, reading_knows_missing_from_too_large)
{
    struct bv_buf buf = {.max = 4};
    cr_assert_eq(bv_fs_read(below("none"), &buf, NULL), BV_E_NOT_FOUND);
    cr_assert_eq(bv_fs_write(below("f"), BV_BYTES("hello"), 0600, NULL), 0);
    cr_assert_eq(bv_fs_read(below("f"), &buf, NULL), BV_E_TOO_LARGE);
    bv_buf_release(&buf);
}

Test(fs, a_tree_is_copied_with_modes_times_and_links)
{
    cr_assert_eq(bv_fs_mkdirs(below("a/b/c"), 0750, NULL), 0);
    cr_assert_eq(bv_fs_write(below("a/b/f"), BV_BYTES("data"), 0640, NULL), 0);
    cr_assert_eq(symlink("b/f", below("a/link")), 0);
    cr_assert_eq(bv_fs_copy_tree(below("a"), below("copy"), NULL), 0);
    struct stat from, to;
    cr_assert_eq(stat(below("a/b/f"), &from), 0);
    cr_assert_eq(stat(below("copy/b/f"), &to), 0);
    cr_assert_eq(to.st_mode, from.st_mode);
    cr_assert_eq(to.st_mtim.tv_nsec, from.st_mtim.tv_nsec);
    cr_assert_eq(lstat(below("copy/link"), &to), 0);
    cr_assert(S_ISLNK(to.st_mode));
    cr_assert_eq(stat(below("copy/b/c"), &to), 0);
    cr_assert(S_ISDIR(to.st_mode));
}

Test(fs, removing_a_tree_does_not_follow_links)
{
    cr_assert_eq(bv_fs_mkdirs(below("kept"), 0700, NULL), 0);
    cr_assert_eq(bv_fs_write(below("kept/f"), BV_BYTES("x"), 0600, NULL), 0);
    cr_assert_eq(bv_fs_mkdirs(below("gone"), 0700, NULL), 0);
    cr_assert_eq(symlink(below("kept"), below("gone/link")), 0);
    cr_assert_eq(bv_fs_remove_tree(below("gone"), NULL), 0);
    cr_assert_eq(access(below("kept/f"), F_OK), 0);
    cr_assert_eq(bv_fs_remove_tree(below("never-was"), NULL), 0);
}

Test(fs, an_own_folder_is_no_link_and_nobody_elses)
{
    cr_assert_eq(bv_fs_own_folder(below("own"), 0711, NULL), 0);
    cr_assert_eq(bv_fs_own_folder(below("own"), 0711, NULL), 0);
    cr_assert_eq(symlink(below("own"), below("link")), 0);
    cr_assert_eq(bv_fs_own_folder(below("link"), 0711, NULL), BV_E_FORBIDDEN);
    cr_assert_eq(mkdir(below("open"), 0700), 0);
    cr_assert_eq(chmod(below("open"), 0777), 0);
    cr_assert_eq(bv_fs_own_folder(below("open"), 0711, NULL), BV_E_FORBIDDEN);
}

Test(fs, a_link_or_copy_replaces_what_was_there)
{
    struct bv_buf buf = {.max = 64};
    cr_assert_eq(bv_fs_write(below("new"), BV_BYTES("new"), 0700, NULL), 0);
    cr_assert_eq(bv_fs_write(below("old"), BV_BYTES("old"), 0700, NULL), 0);
    cr_assert_eq(bv_fs_link_or_copy(below("new"), below("old"), NULL), 0);
    cr_assert_eq(bv_fs_read(below("old"), &buf, NULL), 0);
    cr_assert_str_eq(buf.data, "new");
    bv_buf_release(&buf);
}

Test(fs, reach_follows_the_modes_of_the_parents)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody else");
    cr_assert_eq(bv_fs_mkdirs(below("shut/in"), 0755, NULL), 0);
    chmod(folder, 0755);
    cr_assert(bv_fs_reachable(below("shut/in"), X_OK, 65534, 65534));
    chmod(below("shut"), 0700);
    cr_assert_not(bv_fs_reachable(below("shut/in"), X_OK, 65534, 65534));
    cr_assert(bv_fs_reachable(below("shut/in"), X_OK, 0, 0));
}

Test(fs, free_space_is_known_below_folders_that_do_not_exist_yet)
{
    cr_assert_gt(bv_fs_free_bytes(below("not/yet/there")), 0);
    cr_assert_eq(bv_fs_used_bytes(below("not/yet")), 0);
}
