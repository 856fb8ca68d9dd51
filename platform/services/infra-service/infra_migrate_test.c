#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infra_migrate.h"

/* A root with the folders "auth" and "order", a file and a hidden folder; the test's process leaves
 * it behind empty-handed. */
static void make_root(char *root, size_t size)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(root, size, "%s/bv-infra-XXXXXX", temporary ? temporary : "/tmp");
    cr_assert_not_null(mkdtemp(root));
    static const char *const folders[] = {"order", "auth", ".hidden"};
    char path[512];
    for (size_t i = 0; i < BV_COUNT(folders); i++) {
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        cr_assert_eq(mkdir(path, 0700), 0);
    }
    snprintf(path, sizeof path, "%s/README.md", root);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
}

static void remove_root(const char *root)
{
    static const char *const entries[] = {"order", "auth", ".hidden", "README.md", ""};
    char path[512];
    for (size_t i = 0; i < BV_COUNT(entries); i++) {
        snprintf(path, sizeof path, "%s/%s", root, entries[i]);
        cr_assert_eq(remove(path), 0, "%s", path);
    }
}

static struct infra_migrate_options
options_of(const char *folder, const char *root, const char *database, bool all)
{
    return (struct infra_migrate_options){"postgresql://h/x", folder, root, database, all};
}

Test(infra_migrate, all_takes_every_folder_in_order_of_name)
{
    char root[256];
    make_root(root, sizeof root);
    static struct infra_jobs jobs;
    struct infra_migrate_options options = options_of("", root, "", true);
    cr_assert_eq(infra_migrate_plan(&options, &jobs, NULL), 0);
    cr_assert_eq(jobs.count, 2);
    cr_expect_str_eq(jobs.rows[0].database, "auth");
    cr_expect_str_eq(jobs.rows[1].database, "order");
    char path[512];
    snprintf(path, sizeof path, "%s/order", root);
    cr_expect_str_eq(jobs.rows[1].folder, path);
    remove_root(root);
}

Test(infra_migrate, a_folder_is_named_as_its_database_unless_told_otherwise)
{
    char root[256];
    make_root(root, sizeof root);
    char folder[512];
    snprintf(folder, sizeof folder, "%s/order/", root);
    static struct infra_jobs jobs;
    struct infra_migrate_options options = options_of(folder, "", "", false);
    cr_assert_eq(infra_migrate_plan(&options, &jobs, NULL), 0);
    cr_assert_eq(jobs.count, 1);
    cr_expect_str_eq(jobs.rows[0].database, "order");
    options = options_of(folder, "", "east,west", false);
    cr_assert_eq(infra_migrate_plan(&options, &jobs, NULL), 0);
    cr_assert_eq(jobs.count, 2);
    cr_expect_str_eq(jobs.rows[1].database, "west");
    cr_expect_str_eq(jobs.rows[1].folder, folder);
    remove_root(root);
}

static const struct {
    const char *folder;
    const char *root; /* "ROOT" stands for the test's own */
    const char *database;
    bool all;
    int rc;
} refused[] = {
    {"",        "",        "",           false, BV_E_INVALID  },
    {"x",       "ROOT",    "",           true,  BV_E_INVALID  },
    {"",        "ROOT",    "",           false, BV_E_INVALID  },
    {"",        "ROOT",    "order",      true,  BV_E_INVALID  },
    {"x",       "",        "",           true,  BV_E_INVALID  },
    {"",        "ROOT",    "order,",     false, BV_E_INVALID  },
    {"",        "ROOT",    "order,nope", false, BV_E_NOT_FOUND},
    {"",        "no/such", "",           true,  BV_E_IO       },
    {"no/such", "",        "",           false, BV_E_NOT_FOUND},
};

Test(infra_migrate, options_that_contradict_each_other_are_refused_with_a_sentence)
{
    char root[256];
    make_root(root, sizeof root);
    static struct infra_jobs jobs;
    for (size_t i = 0; i < BV_COUNT(refused); i++) {
        struct bv_error error = {0};
        const char *given = strcmp(refused[i].root, "ROOT") == 0 ? root : refused[i].root;
        struct infra_migrate_options options =
            options_of(refused[i].folder, given, refused[i].database, refused[i].all);
        cr_expect_eq(infra_migrate_plan(&options, &jobs, &error),
                     refused[i].rc,
                     "row %zu: %s",
                     i,
                     error.text);
        cr_expect_neq(error.text[0], '\0');
    }
    remove_root(root);
}
