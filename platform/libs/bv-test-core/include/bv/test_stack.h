/* Access of integration tests to running servers, through variables that `bv exec` sets, or through
 * the environment file of a running stack that BV_TEST_ENV_FILE names (`bv up` prints where it is):
 *   BV_TEST_PG_URL          a PostgreSQL where databases may be created
 *   BV_TEST_KAFKA_BROKERS   host:port,…
 *   BV_TEST_REDIS_URL       redis://host:port
 * Invariant: a missing variable or server fails the test with the command to run; nothing is
 * skipped silently. Thread: any. */
#ifndef BV_TEST_STACK_H
#define BV_TEST_STACK_H

#include "bv/bytes.h"

/* The variable's value.
 * Effect:    when unset or empty: says how to get it on stderr and aborts the test.
 * Ownership: borrowed from the environment. */
const char *bv_test_need(const char *variable);

/* A fresh database on BV_TEST_PG_URL, migrated with platform/deploy/migrations/<folder>; folder
 * NULL: empty. Effect:    aborts the test with the reason when it cannot be made. The database
 * stays until the server goes. Ownership: the conninfo is freed by the caller. */
char *bv_test_database(const char *folder);

/* Runs sql (several statements may be given) on a connection of its own; aborts the test when it
 * fails. */
void bv_test_sql(const char *conninfo, const char *sql);
/* First column of the first row as a number; aborts the test when the query fails or has no row. */
int64_t bv_test_sql_int(const char *conninfo, const char *sql);

/* The folder of the sources, for fixtures and contracts: BV_TEST_SOURCE, otherwise where the build
 * was configured. */
const char *bv_test_source_folder(void);

#endif
