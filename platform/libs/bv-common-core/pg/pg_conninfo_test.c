#include <criterion/criterion.h>

#include "bv/pg_migrate.h"

#include "pg_internal.h"

static const char *value(const struct pg_conninfo *info, const char *keyword)
{
    for (size_t i = 0; info->keywords[i]; i++)
        if (strcmp(info->keywords[i], keyword) == 0)
            return info->values[i];
    return "(none)";
}

static const struct {
    const char *conninfo;
    const char *sslmode;
} ssl_rows[] = {
    {"postgresql://bv@127.0.0.1:5432/x",            "disable"},
    {"host=localhost dbname=x",                     "disable"},
    {"host=/var/run/postgresql",                    "disable"},
    {"dbname=x",                                    "disable"},
    {"postgresql://bv@[::1]/x",                     "disable"},
    {"postgresql://bv@db.example/x",                "(none)" },
    {"host=127.0.0.1,db.example",                   "(none)" },
    {"host=db.example hostaddr=127.0.0.1",          "disable"},
    {"host=127.db.example",                         "(none)" },
    {"host=localhost hostaddr=10.0.0.1",            "(none)" },
    {"postgresql://bv@127.0.0.1/x?sslmode=require", "require"},
};

Test(pg_conninfo, encryption_is_off_by_default_on_the_loopback_only)
{
    for (size_t i = 0; i < BV_COUNT(ssl_rows); i++) {
        bv_auto(pg_conninfo_release) struct pg_conninfo info = {0};
        cr_assert_eq(pg_conninfo_open(ssl_rows[i].conninfo, NULL, NULL, &info, NULL), 0);
        cr_expect_str_eq(value(&info, "sslmode"), ssl_rows[i].sslmode, "%s", ssl_rows[i].conninfo);
    }
}

Test(pg_conninfo, what_the_string_says_wins_over_the_application_name)
{
    bv_auto(pg_conninfo_release) struct pg_conninfo own = {0};
    cr_assert_eq(pg_conninfo_open("application_name=a", NULL, "b", &own, NULL), 0);
    cr_expect_str_eq(value(&own, "application_name"), "a");
    bv_auto(pg_conninfo_release) struct pg_conninfo given = {0};
    cr_assert_eq(pg_conninfo_open("dbname=x", NULL, "b", &given, NULL), 0);
    cr_expect_str_eq(value(&given, "application_name"), "b");
}

Test(pg_conninfo, a_broken_string_is_invalid_and_says_why)
{
    bv_auto(pg_conninfo_release) struct pg_conninfo info = {0};
    struct bv_error error = {0};
    cr_assert_eq(pg_conninfo_open("hots=1", NULL, NULL, &info, &error), BV_E_INVALID);
    cr_expect_not_null(strstr(error.text, "hots"), "%s", error.text);
}

Test(pg_conninfo, the_database_is_replaced_and_values_survive_quoting)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 4096};
    cr_assert_eq(bv_pg_conninfo_database(
                     "postgresql://bv:a'%5C%20b@127.0.0.1:6000/postgres", "order", &buf, NULL),
                 0);
    cr_assert_eq(buf.data[buf.size], '\0');
    bv_auto(pg_conninfo_release) struct pg_conninfo info = {0};
    cr_assert_eq(pg_conninfo_open(buf.data, NULL, NULL, &info, NULL), 0);
    cr_expect_str_eq(value(&info, "dbname"), "order");
    cr_expect_str_eq(value(&info, "password"), "a'\\ b");
    cr_expect_str_eq(value(&info, "port"), "6000");
}
