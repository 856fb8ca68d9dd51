#include "bv/test_stack.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/env.h"
#include "bv/pg_migrate.h"

static void give_up(const char *format, ...) BV_PRINTF(1, 2) __attribute__((noreturn));

static void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("test stack: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* Sets every KEY=value of an environment file that is not set yet; as `bv up` writes it. */
static void read_env_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[4096];
    if (!file)
        give_up("the environment file %s of the stack cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, '=');
        line[strcspn(line, "\r\n")] = '\0';
        if (!value)
            continue;
        *value++ = '\0';
        setenv(line, value, 0);
    }
    fclose(file);
}

const char *bv_test_need(const char *variable)
{
    const char *value = getenv(variable);
    const char *env_file = getenv("BV_TEST_ENV_FILE");
    if ((!value || !value[0]) && env_file && env_file[0]) {
        read_env_file(env_file);
        value = getenv(variable);
    }
    if (!value || !value[0])
        give_up("%s is not set: this test needs running servers. Run it as\n"
                "  bv exec -- ctest --test-dir BUILD -L integration",
                variable);
    return value;
}

const char *bv_test_source_folder(void)
{
    const char *folder = getenv("BV_TEST_SOURCE");
    return folder && folder[0] ? folder : BV_TEST_SOURCE_FOLDER;
}

/* conninfo as key='value' words with another database. */
static char *with_database(const char *conninfo, const char *name)
{
    char *reason = NULL;
    PQconninfoOption *rows = PQconninfoParse(conninfo, &reason);
    if (!rows)
        give_up("BV_TEST_PG_URL: %s", reason ? reason : "out of memory");
    struct bv_buf buf = {.max = 4096};
    for (const PQconninfoOption *row = rows; row->keyword; row++) {
        const char *value = strcmp(row->keyword, "dbname") == 0 ? name : row->val;
        if (!value || !value[0])
            continue;
        bv_buf_format(&buf, "%s='", row->keyword);
        for (; *value; value++) {
            if (*value == '\'' || *value == '\\')
                bv_buf_char(&buf, '\\');
            bv_buf_char(&buf, *value);
        }
        bv_buf_text(&buf, "' ");
    }
    PQconninfoFree(rows);
    bv_buf_char(&buf, '\0');
    if (buf.failed)
        give_up("BV_TEST_PG_URL is too long");
    return buf.data;
}

char *bv_test_database(const char *folder)
{
    const char *server = bv_test_need("BV_TEST_PG_URL");
    const struct bv_env env = {.clock = &bv_clock_system, .random = &bv_random_system};
    char name[64], path[1024];
    struct bv_error error = {0};
    snprintf(name,
             sizeof name,
             "test_%.20s_%016llx",
             folder ? folder : "empty",
             (unsigned long long)bv_random_u64(&env));
    for (char *c = name; *c; c++) {
        if (*c == '-' || *c == '/')
            *c = '_';
    }
    if (bv_pg_create_database(server, name, &error) < 0)
        give_up("creating database %s: %s", name, error.text);
    char *conninfo = with_database(server, name);
    if (!folder)
        return conninfo;
    uint32_t applied = 0;
    snprintf(
        path, sizeof path, "%s/platform/deploy/migrations/%s", bv_test_source_folder(), folder);
    if (bv_pg_migrate(conninfo, path, &applied, &error) < 0)
        give_up("migrating %s with %s: %s", name, path, error.text);
    return conninfo;
}

static PGresult *run_sql(PGconn *connection, const char *sql)
{
    if (PQstatus(connection) != CONNECTION_OK)
        give_up("connecting: %s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        give_up("%.200s: %s", sql, PQerrorMessage(connection));
    return result;
}

void bv_test_sql(const char *conninfo, const char *sql)
{
    PGconn *connection = PQconnectdb(conninfo);
    PQclear(run_sql(connection, sql));
    PQfinish(connection);
}

int64_t bv_test_sql_int(const char *conninfo, const char *sql)
{
    PGconn *connection = PQconnectdb(conninfo);
    PGresult *result = run_sql(connection, sql);
    if (PQntuples(result) == 0)
        give_up("%.200s: no row", sql);
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(connection);
    return value;
}
