#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infra_migrate.h"

enum { DATABASES = 3 };

struct fixture {
    char root[256];
    struct infra_jobs jobs;
};

static void
write_file(const struct fixture *fx, size_t database, const char *name, const char *text)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", fx->jobs.rows[database].folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *url(void)
{
    const char *text = getenv("BV_TEST_PG_URL");
    cr_assert_not_null(
        text,
        "BV_TEST_PG_URL must name a PostgreSQL server, as postgresql://user@host:port/database");
    return text;
}

static void shell(const char *format, const char *argument)
{
    char command[1024];
    snprintf(command, sizeof command, format, url(), argument);
    cr_assert_eq(system(command), 0, "%s", command);
}

/* Folders for databases that are new, as their names hold the process id. */
static void open_fixture(struct fixture *fx)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(fx->root, sizeof fx->root, "%s/bv-infra-XXXXXX", temporary ? temporary : "/tmp");
    cr_assert_not_null(mkdtemp(fx->root));
    for (int i = 0; i < DATABASES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/it_infra_%d_%d", fx->root, (int)getpid(), i);
        cr_assert_eq(mkdir(path, 0700), 0);
    }
    struct infra_migrate_options options = {url(), "", fx->root, "", true};
    cr_assert_eq(infra_migrate_plan(&options, &fx->jobs, NULL), 0);
    cr_assert_eq(fx->jobs.count, DATABASES);
    for (size_t i = 0; i < DATABASES; i++)
        write_file(fx, i, "V001__create_a.sql", "create table a (id int primary key);\n");
}

static void close_fixture(struct fixture *fx)
{
    for (size_t i = 0; i < DATABASES; i++)
        shell("psql -q %s -c 'drop database if exists %s with (force)'", fx->jobs.rows[i].database);
    shell(": %s; rm -r %s", fx->root);
}

Test(infra_migrate, new_databases_are_created_and_brought_up_to_date)
{
    static struct fixture fx;
    open_fixture(&fx);
    cr_expect_eq(infra_migrate_run(url(), &fx.jobs), 0);
    cr_expect_eq(infra_migrate_run(url(), &fx.jobs), 0);
    close_fixture(&fx);
}

Test(infra_migrate, a_failing_database_turns_the_status_and_leaves_the_others_alone)
{
    static struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, 1, "V002__bad.sql", "insert into nowhere values (1);\n");
    cr_expect_eq(infra_migrate_run(url(), &fx.jobs), 1);
    write_file(&fx, 1, "V002__bad.sql", "insert into a values (1);\n");
    cr_expect_eq(infra_migrate_run(url(), &fx.jobs), 0);
    write_file(&fx, 2, "V001__create_a.sql", "create table a (id bigint primary key);\n");
    cr_expect_eq(infra_migrate_run(url(), &fx.jobs), 1);
    close_fixture(&fx);
}

Test(infra_migrate, what_could_not_be_tried_is_two)
{
    static struct fixture fx;
    open_fixture(&fx);
    cr_expect_eq(infra_migrate_run("postgresql://bv@127.0.0.1:1/postgres", &fx.jobs), 2);
    write_file(&fx, 0, "no_version.sql", "select 1;\n");
    cr_expect_eq(infra_migrate_run(url(), &fx.jobs), 2);
    close_fixture(&fx);
}

Test(infra_migrate, wrong_flags_are_two)
{
    char *unknown[] = {"migrate", "--pg-url", "postgresql://h/x", "--al", NULL};
    cr_expect_eq(infra_migrate_main(4, unknown), 2);
    char *nothing[] = {"migrate", "--pg-url", "postgresql://h/x", NULL};
    cr_expect_eq(infra_migrate_main(3, nothing), 2);
    char *help[] = {"migrate", "--help", NULL};
    cr_expect_eq(infra_migrate_main(2, help), 0);
}
