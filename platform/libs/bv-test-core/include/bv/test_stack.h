/* Access of integration tests to running servers: variables that `bv exec` sets. A missing variable fails the test with the command to run.
 * Thread: any. */
#ifndef BV_TEST_STACK_H
#define BV_TEST_STACK_H

#include "bv/bytes.h"

const char *bv_test_need(const char *variable); /* aborts the test with a message when unset */
/* A fresh database on BV_TEST_PG_URL migrated with platform/deploy/migrations/<folder>; the conninfo is freed by the caller. */
char *bv_test_database(const char *folder);

#endif
