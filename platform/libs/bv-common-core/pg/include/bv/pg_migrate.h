/* Migrations: Flyway file names (V001__what.sql) and history table, applied in order under an advisory lock, checksums verified.
 * Blocking; for infra-service and tests, never on a loop thread. */
#ifndef BV_PG_MIGRATE_H
#define BV_PG_MIGRATE_H

#include "bv/bytes.h"

/* Applies every file of folder that the history of the database lacks, each in its own transaction. *ret_applied counts them.
 * Errors: BV_E_CONFLICT when an applied file changed (checksum), is missing, or a lower version appeared; BV_E_UNPROCESSABLE with file:line for a failing
 * statement; BV_E_UNAVAILABLE; BV_E_INVALID for a bad file name. */
BV_MUST_CHECK int bv_pg_migrate(const char *conninfo, const char *folder, uint32_t *ret_applied, struct bv_error *error);
/* Creates database name when missing (connects with conninfo). */
BV_MUST_CHECK int bv_pg_create_database(const char *conninfo, const char *name, struct bv_error *error);

#endif
