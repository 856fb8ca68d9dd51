/* PostgreSQL: a pool of pipelined connections on the loop. Statements between two sync points are one transaction, so a call is atomic;
 * done runs after its commit is known. Named statements are prepared once per connection. Thread: loop. Source: libpq pipeline mode. */
#ifndef BV_PG_H
#define BV_PG_H

#include "bv/arena.h"
#include "bv/loop.h"
#include "bv/metrics.h"

struct bv_pg;
struct bv_pg_config {
    const char *conninfo;       /* key=value or URL; secret */
    int64_t connections;        /* 1..16 */
    int64_t calls_max;          /* waiting and running; BV_E_LIMIT past it */
    int64_t call_timeout_ms;    /* a call older than this fails with BV_E_TIMEOUT and its connection is replaced */
    int64_t pipeline_depth;     /* calls in flight on one connection, 1..64 */
    const char *application;    /* application_name */
    const char *const *on_connect; /* statements run on every new connection before any call; NULL-terminated, may be NULL */
};
BV_MUST_CHECK int bv_pg_open(struct bv_loop *loop, const struct bv_pg_config *config, struct bv_metrics *metrics, struct bv_pg **ret_pg);
void bv_pg_close(struct bv_pg **pg); /* calls in flight end with BV_E_CANCELLED */
bool bv_pg_ready(const struct bv_pg *pg); /* at least one connection is up: for /readyz */

struct bv_pg_statement { /* static const; name is unique per program */
    const char *name;
    const char *sql;
};
enum bv_pg_param_kind { BV_PG_NULL, BV_PG_TEXT, BV_PG_INT, BV_PG_BINARY };
struct bv_pg_param {
    enum bv_pg_param_kind kind;
    struct bv_bytes bytes;
    int64_t number;
};
#define BV_PG_P_NULL ((struct bv_pg_param){.kind = BV_PG_NULL})
#define BV_PG_P_TEXT(b) ((struct bv_pg_param){.kind = BV_PG_TEXT, .bytes = (b)})
#define BV_PG_P_CSTR(s) ((struct bv_pg_param){.kind = BV_PG_TEXT, .bytes = bv_bytes_of(s)})
#define BV_PG_P_INT(n) ((struct bv_pg_param){.kind = BV_PG_INT, .number = (int64_t)(n)})
#define BV_PG_P_BINARY(b) ((struct bv_pg_param){.kind = BV_PG_BINARY, .bytes = (b)})
struct bv_pg_query {
    const struct bv_pg_statement *statement;
    const struct bv_pg_param *params;
    size_t param_count; /* at most 64; for many rows pass arrays: unnest($1::text[], ...) built by bv_pg_array_* */
};
/* Array parameters in text form: {a,"b c",NULL}. Append to a buffer, then pass as BV_PG_P_TEXT(bv_buf_view(&buf)). */
void bv_pg_array_open(struct bv_buf *buf);
void bv_pg_array_text(struct bv_buf *buf, struct bv_bytes value); /* quoted and escaped */
void bv_pg_array_int(struct bv_buf *buf, int64_t value);
void bv_pg_array_null(struct bv_buf *buf);
void bv_pg_array_close(struct bv_buf *buf);

struct bv_pg_result; /* result of one statement; for the duration of done */
size_t bv_pg_rows(const struct bv_pg_result *result);
int64_t bv_pg_affected(const struct bv_pg_result *result);
bool bv_pg_is_null(const struct bv_pg_result *result, size_t row, int column);
struct bv_bytes bv_pg_text(const struct bv_pg_result *result, size_t row, int column); /* text format, NUL-terminated */
int64_t bv_pg_int(const struct bv_pg_result *result, size_t row, int column);
bool bv_pg_bool(const struct bv_pg_result *result, size_t row, int column);

/* rc 0: committed; results[i] belongs to queries[i]. Otherwise nothing took effect, except BV_E_UNAVAILABLE after the commit was sent (unknown: retry must be
 * idempotent). BV_E_EXISTS unique violation, BV_E_CONFLICT serialization/deadlock/lock, BV_E_UNPROCESSABLE check/foreign key/not null/raised (P0001),
 * BV_E_TIMEOUT, BV_E_CANCELLED, BV_E_INTERNAL for the rest; failure names the statement, constraint and SQLSTATE. */
struct bv_pg_failure {
    struct bv_error error;
    char sqlstate[6];
    char constraint[64];
    size_t query_index;
};
typedef void bv_pg_done(void *argument, int rc, const struct bv_pg_result *const *results, size_t count, const struct bv_pg_failure *failure);
/* Copies the parameters. Never calls done from within. */
BV_MUST_CHECK int bv_pg_call(struct bv_pg *pg, const struct bv_pg_query *queries, size_t count, bv_pg_done *done, void *argument);

#endif
