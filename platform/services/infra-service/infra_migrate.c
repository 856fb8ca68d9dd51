#include "infra_migrate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bv/config.h"
#include "bv/env.h"
#include "bv/pg_migrate.h"

#define AT(member) offsetof(struct infra_migrate_options, member)
static const struct bv_option options_table[] = {
    {"pg-url",
     AT(pg_url),
     BV_OPT_TEXT,   NULL,
     1, 4096,
     BV_SECRET_VALUE, "",
     "PostgreSQL server, as postgresql://user:password@host:port/database."},
    {"folder",
     AT(folder),
     BV_OPT_TEXT,   "",
     0, 900,
     BV_PUBLIC,       "",
     "One folder of V<version>__<description>.sql files."                  },
    {"root",
     AT(root),
     BV_OPT_TEXT,   "",
     0, 900,
     BV_PUBLIC,       "",
     "Folder of such folders, each named as its database."                 },
    {"database",
     AT(database),
     BV_OPT_TEXT,   "",
     0, 4096,
     BV_PUBLIC,       "",
     "Databases, separated by commas; by default named as the folders."    },
    {"all",
     AT(all),
     BV_OPT_SWITCH, "false",
     0, 1,
     BV_PUBLIC,       "",
     "Migrate every folder below --root."                                  },
};
#undef AT

/* ---- plan ---- */

static int add_job(struct infra_jobs *jobs,
                   struct bv_bytes database,
                   const char *parent,
                   const char *folder,
                   struct bv_error *error)
{
    if (jobs->count == INFRA_JOBS_MAX)
        return bv_fail(error, BV_E_LIMIT, "More than %d databases in one run.", INFRA_JOBS_MAX);
    struct infra_job *job = &jobs->rows[jobs->count];
    if (database.size == 0 || database.size >= sizeof job->database)
        return bv_fail(error,
                       BV_E_INVALID,
                       "\"%.*s\": a database's name has 1 to 63 bytes.",
                       BV_ARG(database));
    snprintf(job->database, sizeof job->database, "%.*s", BV_ARG(database));
    int size = parent
                   ? snprintf(job->folder, sizeof job->folder, "%s/%.*s", parent, BV_ARG(database))
                   : snprintf(job->folder, sizeof job->folder, "%s", folder);
    if (size < 0 || (size_t)size >= sizeof job->folder)
        return bv_fail(
            error, BV_E_INVALID, "The path of the folder of %s is too long.", job->database);
    jobs->count++;
    return 0;
}

static bool is_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder)
        closedir(folder);
    return folder != NULL;
}

static int check_folder(const struct infra_job *job, struct bv_error *error)
{
    return is_folder(job->folder)
               ? 0
               : bv_fail(
                     error, BV_E_NOT_FOUND, "%.100s: no such folder of migrations.", job->folder);
}

/* Every name of the list, with its folder below root, or with the one folder. */
static int plan_listed(const char *names,
                       const char *root,
                       const char *folder,
                       struct infra_jobs *jobs,
                       struct bv_error *error)
{
    for (const char *name = names;; name++) {
        size_t size = strcspn(name, ",");
        BV_TRY(add_job(jobs, (struct bv_bytes){name, size}, root, folder, error));
        BV_TRY(check_folder(&jobs->rows[jobs->count - 1], error));
        name += size;
        if (!*name)
            return 0;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct infra_job *)a)->database, ((const struct infra_job *)b)->database);
}

static int plan_all(const char *root, struct infra_jobs *jobs, struct bv_error *error)
{
    DIR *folder = opendir(root);
    if (!folder)
        return bv_fail(error, BV_E_IO, "%.100s: %s.", root, strerror(errno));
    int rc = 0;
    for (struct dirent *entry = readdir(folder); entry && rc == 0; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        rc = add_job(jobs, bv_bytes_of(entry->d_name), root, NULL, error);
        if (rc == 0 && !is_folder(jobs->rows[jobs->count - 1].folder))
            jobs->count--; /* a file beside the folders */
    }
    closedir(folder);
    qsort(jobs->rows, jobs->count, sizeof jobs->rows[0], by_name);
    return rc;
}

static struct bv_bytes last_part(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    return (struct bv_bytes){path + begin, end - begin};
}

int infra_migrate_plan(const struct infra_migrate_options *options,
                       struct infra_jobs *ret_jobs,
                       struct bv_error *error)
{
    ret_jobs->count = 0;
    bool has_folder = options->folder[0] != '\0';
    bool has_root = options->root[0] != '\0';
    bool has_names = options->database[0] != '\0';
    if (has_folder == has_root)
        return bv_fail(error, BV_E_INVALID, "Give either --folder or --root.");
    if (has_root && options->all == has_names)
        return bv_fail(error, BV_E_INVALID, "With --root give either --all or --database.");
    if (has_folder && options->all)
        return bv_fail(error, BV_E_INVALID, "--all goes with --root, not with --folder.");
    if (has_names)
        return plan_listed(
            options->database, has_root ? options->root : NULL, options->folder, ret_jobs, error);
    if (has_folder) {
        BV_TRY(add_job(ret_jobs, last_part(options->folder), NULL, options->folder, error));
        return check_folder(&ret_jobs->rows[0], error);
    }
    BV_TRY(plan_all(options->root, ret_jobs, error));
    return ret_jobs->count > 0
               ? 0
               : bv_fail(
                     error, BV_E_INVALID, "%.100s has no folders of migrations.", options->root);
}

/* ---- run ---- */

static int status_of(int rc)
{
    return rc == 0 ? 0 : rc == BV_E_CONFLICT || rc == BV_E_UNPROCESSABLE ? 1 : 2;
}

static int migrate(const char *pg_url,
                   const struct infra_job *job,
                   uint32_t *ret_applied,
                   struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf conninfo = {.max = 16384};
    BV_TRY(bv_pg_create_database(pg_url, job->database, error));
    BV_TRY(bv_pg_conninfo_database(pg_url, job->database, &conninfo, error));
    return bv_pg_migrate(conninfo.data, job->folder, ret_applied, error);
}

/* One job with its line; lines of parallel jobs stay whole because each is one write. */
static int run_job(const char *pg_url, const struct infra_job *job)
{
    int64_t begin_us = bv_clock_system.mono_us(&bv_clock_system);
    uint32_t applied = 0;
    struct bv_error error = {0};
    int rc = migrate(pg_url, job, &applied, &error);
    int64_t took_ms = (bv_clock_system.mono_us(&bv_clock_system) - begin_us) / 1000;
    if (rc == 0)
        dprintf(
            STDOUT_FILENO, "%s: %u applied, %lld ms\n", job->database, applied, (long long)took_ms);
    else
        dprintf(STDERR_FILENO, "infra-service: %s: %s\n", job->database, error.text);
    return status_of(rc);
}

static int wait_one(void)
{
    int status = 0;
    pid_t pid = 0;
    do
        pid = wait(&status);
    while (pid < 0 && errno == EINTR);
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static int worse(int a, int b)
{
    return a > b ? a : b;
}

int infra_migrate_run(const char *pg_url, const struct infra_jobs *jobs)
{
    if (jobs->count == 1)
        return run_job(pg_url, &jobs->rows[0]);
    int status = 0;
    size_t running = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        if (running == INFRA_PARALLEL) {
            status = worse(status, wait_one());
            running--;
        }
        pid_t pid = fork();
        if (pid == 0)
            _exit(run_job(pg_url, &jobs->rows[i]));
        if (pid > 0)
            running++;
        else
            status = worse(status,
                           run_job(pg_url, &jobs->rows[i])); /* no process to be had: here then */
    }
    for (; running > 0; running--)
        status = worse(status, wait_one());
    return status;
}

static int print_help(const struct bv_option_set *set)
{
    bv_auto(bv_buf_release) struct bv_buf help = {.max = 65536};
    if (bv_config_help(&help,
                       "infra-service migrate",
                       "Creates databases when missing and applies their migrations.",
                       set,
                       1) < 0)
        return 2;
    printf("%.*s", (int)help.size, help.data);
    return 0;
}

int infra_migrate_main(int argc, char **argv)
{
    struct infra_migrate_options options = {0};
    const struct bv_option_set set = {options_table, BV_COUNT(options_table), &options};
    struct bv_error error = {0};
    int rc = bv_config_read(&set, 1, argc, argv, &error);
    if (rc == BV_CONFIG_HELP)
        return print_help(&set);
    struct infra_jobs jobs;
    if (rc == 0)
        rc = infra_migrate_plan(&options, &jobs, &error);
    if (rc < 0) {
        fprintf(stderr, "infra-service: migrate: %s\n", error.text);
        return 2;
    }
    return infra_migrate_run(options.pg_url, &jobs);
}
