/* `infra-service migrate`: brings databases up to their folders of migrations. One process per
 * database, a few at a time.
 * Invariant: a database is created only when its folder was found; databases fail alone.
 * Thread: main, before any other. */
#ifndef INFRA_MIGRATE_H
#define INFRA_MIGRATE_H

#include "bv/bytes.h"

enum { INFRA_JOBS_MAX = 64, INFRA_PARALLEL = 4 };

struct infra_migrate_options {
    const char *pg_url;   /* may name any existing database of the server */
    const char *folder;   /* one folder of migrations, "" when root is used */
    const char *root;     /* a folder of such folders, each named as its database */
    const char *database; /* names separated by commas, "" for the folders' names */
    bool all;             /* every folder of root */
};
struct infra_job {
    char database[64];
    char folder[1024];
};
struct infra_jobs {
    struct infra_job rows[INFRA_JOBS_MAX];
    size_t count;
};

/* What the options ask for, in order of name.
 * Effect:    reads the folder names below root.
 * Errors:    BV_E_INVALID with a sentence (folder and root both or neither, root without all or
 *            database, an empty or too long name, nothing to do), BV_E_IO (unreadable root),
 *            BV_E_NOT_FOUND (a database without a folder), BV_E_LIMIT (more than 64).
 * Thread:    main. */
BV_MUST_CHECK int infra_migrate_plan(const struct infra_migrate_options *options,
                                     struct infra_jobs *ret_jobs,
                                     struct bv_error *error);

/* Creates and migrates each database; one line per database on stdout, one sentence per failure on
 * stderr. Returns the exit status, the worst of all: 0 all are up to date; 1 a migration was
 * refused or failed; 2 it could not be tried. */
int infra_migrate_run(const char *pg_url, const struct infra_jobs *jobs);

/* The subcommand: argv[0] is "migrate". Returns the exit status. */
int infra_migrate_main(int argc, char **argv);

#endif
