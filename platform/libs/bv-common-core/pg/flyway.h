/* What Flyway's file names, checksums and versions mean; no database here. Pure; thread: any.
 * Source: Flyway documentation, "Versioned migrations"; checksum as Flyway 5 to 10 compute it. */
#ifndef BV_FLYWAY_H
#define BV_FLYWAY_H

#include "bv/bytes.h"

enum { FLYWAY_VERSION_PARTS_MAX = 8 };
struct flyway_name {
    char version[51]; /* as the history table shows it: "001", "1.2" ("1_2" in the file name) */
    char description[201];                   /* underscores turned into spaces */
    int64_t parts[FLYWAY_VERSION_PARTS_MAX]; /* missing ones are 0: 1 equals 1.0 */
};

/* "V001__create_orders.sql" and the like. BV_E_INVALID with the reason in *error. */
BV_MUST_CHECK int
flyway_name_parse(const char *file_name, struct flyway_name *ret_name, struct bv_error *error);
/* A version alone, as the history table has it: "1.2". */
BV_MUST_CHECK int flyway_version_parse(const char *version,
                                       int64_t ret_parts[FLYWAY_VERSION_PARTS_MAX]);
int flyway_version_compare(const int64_t *a, const int64_t *b); /* < 0, 0, > 0 */
/* CRC-32 (ISO-HDLC, zlib's) over the lines without their ends (\n, \r, \r\n); a byte order mark at
 * the start is left out. */
int32_t flyway_checksum(struct bv_bytes text);
/* Line (from 1) of the character position (from 1, in UTF-8 characters) that PostgreSQL reports. */
uint32_t sql_line_of_position(struct bv_bytes text, int64_t position);
/* Line on which statement number index (from 0; empty ones do not count) begins; the last
 * statement's when there are fewer. Knows comments, quotes, dollar quotes and nested block
 * comments; the body of a SQL-standard function (BEGIN ATOMIC) counts as several. */
uint32_t sql_line_of_statement(struct bv_bytes text, size_t index);

#endif
