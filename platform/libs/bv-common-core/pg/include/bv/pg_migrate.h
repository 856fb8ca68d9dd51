/* Migrations: Flyway file names (V001__what.sql) and history table, applied in order under an
 * advisory lock, checksums verified.
 * Invariant: a file and its row in flyway_schema_history are one transaction; Flyway itself can go
 * on where this stopped, and the other way round.
 * Thread: any; blocks: for infra-service and tests, never on a loop thread. */
#ifndef BV_PG_MIGRATE_H
#define BV_PG_MIGRATE_H

#include "bv/bytes.h"

/* Applies every file of folder that the history of the database lacks.
 * Effect:    creates flyway_schema_history when missing; waits up to 60 s for another migration of
 *            the same database, and for any other lock. Each file runs as one simple query, so
 *            dollar quotes need no care; a failing file leaves no trace.
 * Ranges:    files V<version>__<description>.sql; version: up to 8 numbers separated by . or _; up
 *            to 4096 files of 16 MiB. Names that end otherwise than in .sql or begin with a dot are
 *            skipped. *ret_applied: files applied by this call.
 * Ownership: arguments are borrowed for the call; error may be NULL.
 * Outcomes:  none; *ret_applied is 0 when there was nothing to do.
 * Errors:    BV_E_CONFLICT when an applied file changed (checksum), is missing, or a lower version
 *            appeared; BV_E_UNPROCESSABLE with "file:line: message" for a failing statement, or a
 *            file that ends its transaction; BV_E_INVALID for a bad file name or connection string;
 *            BV_E_IO for an unreadable folder; BV_E_UNAVAILABLE; BV_E_LIMIT; BV_E_NOMEM.
 * Thread:    any; blocks.
 * Source:    Flyway documentation, "Versioned migrations" and "Flyway schema history table". */
BV_MUST_CHECK int bv_pg_migrate(const char *conninfo,
                                const char *folder,
                                uint32_t *ret_applied,
                                struct bv_error *error);

/* Creates database name when missing (connects with conninfo). Racing creators all succeed.
 * Ranges:    name: 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or _.
 * Errors:    BV_E_INVALID for a bad name or connection string, BV_E_UNAVAILABLE, BV_E_INTERNAL (not
 *            permitted, and the like).
 * Thread:    any; blocks. */
BV_MUST_CHECK int
bv_pg_create_database(const char *conninfo, const char *name, struct bv_error *error);

/* Appends conninfo in key='value' form with its database replaced by database; a NUL follows, which
 * buf->size does not count. The result holds the password: a secret.
 * Effect:    parses only; encryption is off by default when every host is the loopback or a local
 *            socket, as in bv_pg_open.
 * Errors:    BV_E_INVALID for a bad connection string, BV_E_TOO_LARGE past buf->max.
 * Thread:    any. */
BV_MUST_CHECK int bv_pg_conninfo_database(const char *conninfo,
                                          const char *database,
                                          struct bv_buf *buf,
                                          struct bv_error *error);

#endif
