#include <criterion/criterion.h>
#include <ftw.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bv/pg_migrate.h"

/* Each test has a database and a folder of its own. */

struct fixture {
    char folder[256];
    char database[32];
    struct bv_buf conninfo;
};

static const char *url(void)
{
    const char *text = getenv("BV_TEST_PG_URL");
    cr_assert_not_null(
        text,
        "BV_TEST_PG_URL must name a PostgreSQL server, as postgresql://user@host:port/database");
    return text;
}

static void open_fixture(struct fixture *fx)
{
    *fx = (struct fixture){.conninfo = {.max = 4096}};
    const char *temporary = getenv("TMPDIR");
    snprintf(fx->folder, sizeof fx->folder, "%s/bv-migrate-XXXXXX", temporary ? temporary : "/tmp");
    cr_assert_not_null(mkdtemp(fx->folder));
    snprintf(fx->database, sizeof fx->database, "it_migrate_%d", (int)getpid());
    struct bv_error error = {0};
    cr_assert_eq(bv_pg_create_database(url(), fx->database, &error), 0, "%s", error.text);
    cr_assert_eq(bv_pg_conninfo_database(url(), fx->database, &fx->conninfo, NULL), 0);
}

/* First column of the first row; "" when there is none. */
static void query(const char *conninfo, const char *sql, char *out, size_t size)
{
    PGconn *libpq = PQconnectdb(conninfo);
    PGresult *result = PQexec(libpq, sql);
    snprintf(out,
             size,
             "%s",
             PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : PQresultErrorMessage(result));
    PQclear(result);
    PQfinish(libpq);
}

static void expect_query(struct fixture *fx, const char *sql, const char *expected)
{
    char got[512];
    query(fx->conninfo.data, sql, got, sizeof got);
    cr_expect_str_eq(got, expected, "%s gave %s", sql, got);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void close_fixture(struct fixture *fx)
{
    char sql[80];
    char got[8];
    snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", fx->database);
    query(url(), sql, got, sizeof got);
    bv_buf_release(&fx->conninfo);
    nftw(fx->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(struct fixture *fx, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", fx->folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_file(struct fixture *fx, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", fx->folder, name);
    cr_assert_eq(unlink(path), 0);
}

static void expect_applied(struct fixture *fx, uint32_t expected)
{
    struct bv_error error = {0};
    uint32_t applied = 99;
    cr_assert_eq(
        bv_pg_migrate(fx->conninfo.data, fx->folder, &applied, &error), 0, "%s", error.text);
    cr_assert_eq(applied, expected);
}

static void expect_refused(struct fixture *fx, int code, const char *text)
{
    struct bv_error error = {0};
    uint32_t applied = 99;
    cr_assert_eq(
        bv_pg_migrate(fx->conninfo.data, fx->folder, &applied, &error), code, "%s", error.text);
    cr_assert_eq(applied, 99);
    cr_assert_not_null(strstr(error.text, text), "\"%s\" not in \"%s\"", text, error.text);
}

Test(pg_migrate, files_apply_in_order_of_version_and_once)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, "V10__third.sql", "insert into orders values (3);");
    write_file(&fx,
               "V001__create_orders.sql",
               "create table orders (id int);\ncreate function f() returns int language plpgsql as "
               "$$ begin return 1; end $$;\n");
    write_file(&fx, "V2__second.sql", "insert into orders values (2);\n");
    write_file(&fx, "README.md", "skipped");
    expect_applied(&fx, 3);
    expect_applied(&fx, 0);
    expect_query(&fx, "select string_agg(id::text, ',') from orders", "2,3");
    expect_query(&fx,
                 "select string_agg(concat_ws('|', installed_rank, version, description, type, "
                 "script, success), ';' order by installed_rank)"
                 " from flyway_schema_history",
                 "1|001|create "
                 "orders|SQL|V001__create_orders.sql|t;2|2|second|SQL|V2__second.sql|t;3|10|third|"
                 "SQL|V10__third.sql|t");
    write_file(&fx, "V11__fourth.sql", "-- nothing to do\n");
    expect_applied(&fx, 1);
    close_fixture(&fx);
}

Test(pg_migrate, the_history_holds_the_checksum_that_flyway_prints)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx,
               "V1__Create_person_table.sql",
               "create table PERSON (\n    ID int not null,\n    NAME varchar(100) not null\n);\n");
    expect_applied(&fx, 1);
    expect_query(&fx, "select checksum from flyway_schema_history", "1715188512");
    close_fixture(&fx);
}

Test(pg_migrate, a_history_that_the_folder_contradicts_is_refused)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, "V2__a.sql", "create table a (id int);\n");
    write_file(&fx, "V3__b.sql", "create table b (id int);\n");
    expect_applied(&fx, 2);
    write_file(&fx, "V2__a.sql", "create table a (id bigint);\n");
    expect_refused(&fx, BV_E_CONFLICT, "V2__a.sql changed");
    write_file(&fx, "V2__a.sql", "create table a (id int);\r\n"); /* line ends do not count */
    expect_applied(&fx, 0);
    write_file(&fx, "V1__late.sql", "create table c (id int);\n");
    expect_refused(&fx, BV_E_CONFLICT, "V1__late.sql appeared below");
    remove_file(&fx, "V1__late.sql");
    remove_file(&fx, "V3__b.sql");
    expect_refused(&fx, BV_E_CONFLICT, "V3__b.sql was applied, but is missing");
    close_fixture(&fx);
}

Test(pg_migrate, a_failing_file_is_named_with_its_line_and_leaves_no_trace)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, "V1__good.sql", "create table a (id int primary key);\n");
    write_file(
        &fx, "V2__bad.sql", "insert into a values (1);\n\ninsert into a\n  values (nonsense);\n");
    expect_refused(&fx, BV_E_UNPROCESSABLE, "V2__bad.sql:4: column \"nonsense\" does not exist");
    expect_query(&fx, "select count(*) from a", "0");
    expect_query(&fx, "select count(*) from flyway_schema_history", "1");
    write_file(&fx,
               "V2__bad.sql",
               "-- no position: the statement counts\ninsert into a values (1);\n\ninsert into a "
               "values (1);\n");
    expect_refused(&fx, BV_E_UNPROCESSABLE, "V2__bad.sql:4: duplicate key");
    write_file(&fx, "V2__bad.sql", "insert into a values (1);\n");
    expect_applied(&fx, 1);
    close_fixture(&fx);
}

Test(pg_migrate, a_file_may_not_end_its_transaction)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, "V1__commit.sql", "create table a (id int); commit;\n");
    expect_refused(&fx, BV_E_UNPROCESSABLE, "ends its transaction");
    write_file(&fx, "V1__commit.sql", "copy pg_class to stdout;\n");
    expect_refused(&fx, BV_E_UNPROCESSABLE, "V1__commit.sql:1: COPY");
    close_fixture(&fx);
}

Test(pg_migrate, bad_names_and_equal_versions_stop_before_anything_runs)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, "V1__a.sql", "create table a (id int);\n");
    write_file(&fx, "V1.0__b.sql", "create table b (id int);\n");
    expect_refused(&fx, BV_E_INVALID, "have the same version");
    remove_file(&fx, "V1.0__b.sql");
    write_file(&fx, "create_c.sql", "create table c (id int);\n");
    expect_refused(&fx, BV_E_INVALID, "create_c.sql");
    expect_query(&fx, "select count(*) from pg_tables where schemaname = 'public'", "0");
    close_fixture(&fx);
}

Test(pg_migrate, concurrent_migrations_of_one_database_apply_each_file_once)
{
    struct fixture fx;
    open_fixture(&fx);
    write_file(&fx, "V1__a.sql", "create table a (id int); select pg_sleep(0.05);\n");
    write_file(&fx, "V2__b.sql", "insert into a values (1);\n");
    pid_t children[4];
    for (size_t i = 0; i < BV_COUNT(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            uint32_t applied = 0;
            _exit(bv_pg_migrate(fx.conninfo.data, fx.folder, &applied, NULL) == 0 ? (int)applied
                                                                                  : 99);
        }
    }
    int sum = 0;
    for (size_t i = 0; i < BV_COUNT(children); i++) {
        int status = 0;
        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        sum += WEXITSTATUS(status);
    }
    cr_expect_eq(sum, 2);
    expect_query(&fx, "select count(*) from a", "1");
    close_fixture(&fx);
}

Test(pg_migrate, creating_a_database_twice_is_fine_and_odd_names_are_refused)
{
    struct fixture fx;
    open_fixture(&fx);
    cr_expect_eq(bv_pg_create_database(url(), fx.database, NULL), 0);
    static const char *const bad[] = {"", "a\"b", "1a", "-a", "A", "a b", "a;drop"};
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_eq(bv_pg_create_database(url(), bad[i], NULL), BV_E_INVALID, "%s", bad[i]);
    close_fixture(&fx);
}

Test(pg_migrate, a_server_that_is_not_there_is_unavailable)
{
    struct fixture fx;
    open_fixture(&fx);
    uint32_t applied = 0;
    struct bv_error error = {0};
    cr_expect_eq(bv_pg_migrate("host=127.0.0.1 port=1", fx.folder, &applied, &error),
                 BV_E_UNAVAILABLE,
                 "%s",
                 error.text);
    cr_expect_eq(bv_pg_migrate(fx.conninfo.data, "no/such/folder", &applied, NULL), BV_E_IO);
    close_fixture(&fx);
}
