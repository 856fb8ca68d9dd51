#include "bv/pg_migrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flyway.h"
#include "pg_internal.h"

enum { FILES_MAX = 4096, FILE_BYTES_MAX = 16 << 20 };

/* One lock per database, whoever migrates: "Flyway" as Flyway's own lock number spells it. */
#define LOCK_SQL "SELECT pg_advisory_lock(77431708279161)"
#define UNLOCK_SQL "SELECT pg_advisory_unlock(77431708279161)"

static const char history_sql[] =
    "CREATE TABLE flyway_schema_history ("
    " installed_rank INT NOT NULL,"
    " version VARCHAR(50),"
    " description VARCHAR(200) NOT NULL,"
    " type VARCHAR(20) NOT NULL,"
    " script VARCHAR(1000) NOT NULL,"
    " checksum INTEGER,"
    " installed_by VARCHAR(100) NOT NULL,"
    " installed_on TIMESTAMP NOT NULL DEFAULT now(),"
    " execution_time INTEGER NOT NULL,"
    " success BOOLEAN NOT NULL,"
    " CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank));"
    "CREATE INDEX flyway_schema_history_s_idx ON flyway_schema_history (success)";

static const char insert_sql[] =
    "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, "
    "checksum, installed_by, execution_time, success)"
    " SELECT coalesce(max(installed_rank), 0) + 1, $1, $2, 'SQL', $3, $4::int, current_user, "
    "$5::int, true FROM flyway_schema_history";

struct file {
    char *script; /* owned: the file's name */
    struct flyway_name name;
    struct bv_bytes text; /* owned, NUL-terminated */
    int32_t checksum;
    bool applied;
};
struct migration {
    const char *folder; /* borrowed */
    PGconn *libpq;      /* owned */
    struct file *files; /* owned, in order of version */
    size_t count;
    struct bv_error *error; /* borrowed, may be NULL */
};

static void migration_release(struct migration *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->files[i].script);
        free((char *)(uintptr_t)m->files[i].text.data);
    }
    free(m->files);
    if (m->libpq)
        PQfinish(m->libpq);
    *m = (struct migration){0};
}

static void clear_result(PGresult **result)
{
    PQclear(*result);
}

/* ---- files ---- */

static int read_whole(int fd, char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BV_E_IO;
        done += (size_t)n;
    }
    data[size] = '\0';
    return 0;
}

static int read_file(struct migration *m, struct file *file)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", m->folder, file->script);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bv_fail(m->error, BV_E_IO, "%s: %s", file->script, strerror(errno));
    struct stat status;
    char *data = NULL;
    int rc = BV_E_IO;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_BYTES_MAX) {
        data = malloc((size_t)status.st_size + 1);
        rc = data ? read_whole(fd, data, (size_t)status.st_size) : BV_E_NOMEM;
    }
    close(fd);
    if (rc < 0) {
        free(data);
        return bv_fail(m->error,
                       rc,
                       "%s: cannot be read, or is larger than %d bytes",
                       file->script,
                       FILE_BYTES_MAX);
    }
    file->text = (struct bv_bytes){data, (size_t)status.st_size};
    file->checksum = flyway_checksum(file->text);
    if (memchr(data, '\0', file->text.size))
        return bv_fail(m->error, BV_E_INVALID, "%s: has a NUL byte", file->script);
    return 0;
}

static int by_version(const void *a, const void *b)
{
    return flyway_version_compare(((const struct file *)a)->name.parts,
                                  ((const struct file *)b)->name.parts);
}

static int add_file(struct migration *m, const char *script)
{
    if (m->count == FILES_MAX)
        return bv_fail(m->error, BV_E_LIMIT, "%s: more than %d migrations", m->folder, FILES_MAX);
    struct file file = {0};
    BV_TRY(flyway_name_parse(script, &file.name, m->error));
    struct file *files = realloc(m->files, (m->count + 1) * sizeof *files);
    if (!files)
        return bv_fail(m->error, BV_E_NOMEM, "%s: out of memory", script);
    m->files = files;
    file.script = strdup(script);
    m->files[m->count++] = file;
    if (!file.script)
        return bv_fail(m->error, BV_E_NOMEM, "%s: out of memory", script);
    return read_file(m, &m->files[m->count - 1]);
}

static bool is_migration(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > 4 && strcmp(name + size - 4, ".sql") == 0;
}

static int list_files(struct migration *m)
{
    DIR *folder = opendir(m->folder);
    if (!folder)
        return bv_fail(m->error, BV_E_IO, "%s: %s", m->folder, strerror(errno));
    int rc = 0;
    for (struct dirent *entry = readdir(folder); entry && rc == 0; entry = readdir(folder))
        if (is_migration(entry->d_name))
            rc = add_file(m, entry->d_name);
    closedir(folder);
    if (rc < 0)
        return rc;
    if (m->count > 1)
        qsort(m->files, m->count, sizeof *m->files, by_version);
    for (size_t i = 1; i < m->count; i++)
        if (by_version(&m->files[i - 1], &m->files[i]) == 0)
            return bv_fail(m->error,
                           BV_E_INVALID,
                           "%s and %s have the same version",
                           m->files[i - 1].script,
                           m->files[i].script);
    return 0;
}

/* ---- the database ---- */

static int
connect_to(const char *conninfo, const char *database, PGconn **ret_libpq, struct bv_error *error)
{
    bv_auto(pg_conninfo_release) struct pg_conninfo info = {0};
    BV_TRY(pg_conninfo_open(conninfo, database, "bv-migrate", &info, error));
    PGconn *libpq =
        PQconnectdbParams((const char *const *)info.keywords, (const char *const *)info.values, 0);
    if (!libpq || PQstatus(libpq) != CONNECTION_OK) {
        char line[120];
        pg_message_line(libpq ? PQerrorMessage(libpq) : "out of memory", line, sizeof line);
        PQfinish(libpq);
        return bv_fail(error, BV_E_UNAVAILABLE, "PostgreSQL: %s", line);
    }
    *ret_libpq = libpq;
    return 0;
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

/* Ours, not a file's: any error is the server's state. */
static int failed(const PGresult *result, const char *what, struct bv_error *error)
{
    struct bv_pg_failure failure;
    pg_failure_of_result(result, what, 0, &failure);
    int code = failure.sqlstate[0] ? failure.error.code : BV_E_UNAVAILABLE;
    return bv_fail(error, code, "%s", failure.error.text);
}

static int run(struct migration *m, const char *sql, const char *what)
{
    bv_auto(clear_result) PGresult *result = PQexec(m->libpq, sql);
    return is_good(result) ? 0 : failed(result, what, m->error);
}

static int open_history(struct migration *m)
{
    bv_auto(clear_result) PGresult *found =
        PQexec(m->libpq, "SELECT to_regclass('flyway_schema_history')");
    if (!is_good(found))
        return failed(found, "history", m->error);
    return PQgetisnull(found, 0, 0) ? run(m, history_sql, "history") : 0;
}

static struct file *file_of_version(struct migration *m, const int64_t *parts)
{
    for (size_t i = 0; i < m->count; i++)
        if (flyway_version_compare(m->files[i].name.parts, parts) == 0)
            return &m->files[i];
    return NULL;
}

static int check_row(struct migration *m, const PGresult *rows, int row, int64_t *newest)
{
    const char *version = PQgetvalue(rows, row, 0);
    const char *script = PQgetvalue(rows, row, 1);
    int64_t parts[FLYWAY_VERSION_PARTS_MAX];
    if (flyway_version_parse(version, parts) != 0)
        return bv_fail(m->error,
                       BV_E_CONFLICT,
                       "history has the version \"%s\", which is no version",
                       version);
    if (PQgetvalue(rows, row, 3)[0] != 't')
        return bv_fail(m->error,
                       BV_E_CONFLICT,
                       "history says that %s failed: repair the database first",
                       script);
    struct file *file = file_of_version(m, parts);
    if (!file)
        return bv_fail(
            m->error, BV_E_CONFLICT, "%s was applied, but is missing in the folder", script);
    if (!PQgetisnull(rows, row, 2) && strtol(PQgetvalue(rows, row, 2), NULL, 10) != file->checksum)
        return bv_fail(
            m->error,
            BV_E_CONFLICT,
            "%s changed after it was applied (checksum %s, now %d): add a new file instead",
            file->script,
            PQgetvalue(rows, row, 2),
            file->checksum);
    file->applied = true;
    if (flyway_version_compare(parts, newest) > 0)
        memcpy(newest, parts, sizeof parts);
    return 0;
}

/* Marks what was applied; refuses a history that the folder contradicts. */
static int check_history(struct migration *m)
{
    bv_auto(clear_result) PGresult *rows =
        PQexec(m->libpq,
               "SELECT version, script, checksum, success FROM flyway_schema_history WHERE type = "
               "'SQL' ORDER BY installed_rank");
    if (!is_good(rows))
        return failed(rows, "history", m->error);
    int64_t newest[FLYWAY_VERSION_PARTS_MAX] = {-1};
    for (int row = 0; row < PQntuples(rows); row++)
        BV_TRY(check_row(m, rows, row, newest));
    for (size_t i = 0; i < m->count; i++)
        if (!m->files[i].applied && flyway_version_compare(m->files[i].name.parts, newest) < 0)
            return bv_fail(m->error,
                           BV_E_CONFLICT,
                           "%s appeared below a version that is already applied",
                           m->files[i].script);
    return 0;
}

/* ---- applying ---- */

static int
file_failed(struct migration *m, const struct file *file, const PGresult *result, size_t statements)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (!sqlstate)
        return failed(result, file->script, m->error);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    uint32_t line = position ? sql_line_of_position(file->text, strtoll(position, NULL, 10))
                             : sql_line_of_statement(file->text, statements);
    int code = pg_code_of_sqlstate(sqlstate);
    if (code != BV_E_UNAVAILABLE && code != BV_E_TIMEOUT)
        code = BV_E_UNPROCESSABLE;
    return bv_fail(m->error,
                   code,
                   "%s:%u: %s (%s)",
                   file->script,
                   line,
                   PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
                   sqlstate);
}

/* The whole file as one simple query; the count of its results names the statement that failed. */
static int run_file(struct migration *m, const struct file *file)
{
    const char *sql = bv_bytes_starts(file->text, BV_BYTES("\xEF\xBB\xBF")) ? file->text.data + 3
                                                                            : file->text.data;
    if (!PQsendQuery(m->libpq, sql))
        return bv_fail(m->error, BV_E_UNAVAILABLE, "%s: the connection broke", file->script);
    int rc = 0;
    size_t statements = 0;
    for (PGresult *result = PQgetResult(m->libpq); result; result = PQgetResult(m->libpq)) {
        if (rc == 0 && !is_good(result))
            rc = PQresultStatus(result) == PGRES_FATAL_ERROR
                     ? file_failed(m, file, result, statements)
                     : bv_fail(m->error,
                               BV_E_UNPROCESSABLE,
                               "%s:%u: COPY from the client has no place in a migration",
                               file->script,
                               sql_line_of_statement(file->text, statements));
        bool copying =
            PQresultStatus(result) == PGRES_COPY_IN || PQresultStatus(result) == PGRES_COPY_OUT;
        PQclear(result);
        if (copying)
            return rc; /* the connection is given up with the migration */
        statements++;
    }
    if (rc == 0 && PQtransactionStatus(m->libpq) != PQTRANS_INTRANS)
        rc =
            bv_fail(m->error,
                    BV_E_UNPROCESSABLE,
                    "%s: ends its transaction (COMMIT or ROLLBACK), which belongs to the migration",
                    file->script);
    return rc;
}

static int record(struct migration *m, const struct file *file, int64_t took_ms)
{
    char checksum[16];
    char took[24];
    snprintf(checksum, sizeof checksum, "%d", file->checksum);
    snprintf(took, sizeof took, "%lld", (long long)took_ms);
    const char *const values[] = {
        file->name.version, file->name.description, file->script, checksum, took};
    bv_auto(clear_result) PGresult *result =
        PQexecParams(m->libpq, insert_sql, BV_COUNT(values), NULL, values, NULL, NULL, 0);
    return is_good(result) ? 0 : failed(result, "history", m->error);
}

static int64_t mono_ms(void)
{
    return bv_clock_system.mono_us(&bv_clock_system) / 1000;
}

static int apply(struct migration *m, const struct file *file)
{
    BV_TRY(run(m, "BEGIN", file->script));
    int64_t begin_ms = mono_ms();
    BV_TRY(run_file(m, file));
    BV_TRY(record(m, file, mono_ms() - begin_ms));
    return run(m, "COMMIT", file->script);
}

int bv_pg_migrate(const char *conninfo,
                  const char *folder,
                  uint32_t *ret_applied,
                  struct bv_error *error)
{
    bv_auto(migration_release) struct migration m = {.folder = folder, .error = error};
    BV_TRY(list_files(&m));
    BV_TRY(connect_to(conninfo, NULL, &m.libpq, error));
    PQsetNoticeProcessor(m.libpq, pg_ignore_notice, NULL);
    BV_TRY(run(&m, "SET lock_timeout = '60s'", "session"));
    BV_TRY(run(&m, LOCK_SQL, "advisory lock"));
    BV_TRY(open_history(&m));
    BV_TRY(check_history(&m));
    uint32_t applied = 0;
    for (size_t i = 0; i < m.count; i++) {
        if (m.files[i].applied)
            continue;
        BV_TRY(apply(&m, &m.files[i]));
        applied++;
    }
    BV_TRY(
        run(&m, UNLOCK_SQL, "advisory lock")); /* after a failure the end of the session unlocks */
    *ret_applied = applied;
    return 0;
}

/* ---- databases ---- */

static bool is_database_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= 63 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size &&
           (name[0] < '0' || name[0] > '9') && name[0] != '-';
}

static void close_libpq(PGconn **libpq)
{
    PQfinish(*libpq);
}

int bv_pg_create_database(const char *conninfo, const char *name, struct bv_error *error)
{
    if (!is_database_name(name))
        return bv_fail(error,
                       BV_E_INVALID,
                       "\"%.70s\": a database's name is 1 to 63 of a-z, 0-9, _ and -, and begins "
                       "with a letter or _",
                       name);
    bv_auto(close_libpq) PGconn *libpq = NULL;
    BV_TRY(connect_to(conninfo, NULL, &libpq, error));
    bv_auto(clear_result) PGresult *found = PQexecParams(
        libpq, "SELECT 1 FROM pg_database WHERE datname = $1", 1, NULL, &name, NULL, NULL, 0);
    if (!is_good(found))
        return failed(found, name, error);
    if (PQntuples(found) == 1)
        return 0;
    char sql[96];
    snprintf(sql, sizeof sql, "CREATE DATABASE \"%s\"", name);
    bv_auto(clear_result) PGresult *created = PQexec(libpq, sql);
    const char *sqlstate = PQresultErrorField(created, PG_DIAG_SQLSTATE);
    bool raced = sqlstate && (strcmp(sqlstate, "42P04") == 0 ||
                              strcmp(sqlstate, "23505") == 0); /* another was quicker */
    return is_good(created) || raced ? 0 : failed(created, name, error);
}
