/* PostgreSQL: a pool of pipelined connections on the loop. Statements between two sync points are
 * one transaction, so a call is atomic; done runs after its commit is known. Named statements are
 * prepared once per connection. Calls of one loop turn go out together at its end, each to the
 * least busy connection: order between calls is not kept. Lost connections come back with
 * exponential backoff and full jitter (50 ms to 2 s).
 * When the server says nothing for 2 s, the connections that it owes nothing are probed; when
 * nothing comes to these for 0.5 s either, it hangs: calls end at once with BV_E_UNAVAILABLE until
 * it says something or a new connection is up (a circuit breaker; its probes are what it owes).
 * Metrics: bv_pg_calls_total{outcome}, bv_pg_call_seconds, bv_pg_connections, bv_pg_queue.
 * Invariant: every accepted call ends with exactly one done, never from within bv_pg_call.
 * Thread: loop.
 * Source: PostgreSQL 15, 34.5 "Pipeline Mode"; 55.2.3 "Extended Query" (a transaction up to Sync).
 */
#ifndef BV_PG_H
#define BV_PG_H

#include "bv/arena.h"
#include "bv/loop.h"
#include "bv/metrics.h"

struct bv_pg;
struct bv_pg_config {
    const char *conninfo;    /* key=value or URL; secret. Host names are resolved blocking: prefer
                                addresses */
    int64_t connections;     /* 1..16 */
    int64_t calls_max;       /* 1.. waiting and running; BV_E_LIMIT past it */
    int64_t call_timeout_ms; /* 1.. also the server's statement_timeout; an unanswered call's
                                connection is replaced */
    int64_t pipeline_depth;  /* calls in flight on one connection, 1..64 */
    const char *application; /* application_name; may be NULL */
    const char *const *on_connect; /* statements run on every new connection before any call;
                                      NULL-terminated, may be NULL */
};
/* For on_connect of services: one plan per statement, by index. Their statements are the same for
 * one row and for many, and a plan that was made while the tables were empty would scan them for
 * ever. */
extern const char *const bv_pg_plans_kept[];
/* Opens the pool and begins to connect; calls wait until a connection is up.
 * Effect:    without sslmode in conninfo, encryption is off when every host is the loopback or a
 *            local socket.
 * Ownership: config is copied; loop and metrics (may be NULL) outlive the pool. The caller closes
 * it. Errors:    BV_E_INVALID (conninfo, a value out of range), BV_E_NOMEM. A server that is not
 * there is no error here: see bv_pg_ready. Thread:    loop. */
BV_MUST_CHECK int bv_pg_open(struct bv_loop *loop,
                             const struct bv_pg_config *config,
                             struct bv_metrics *metrics,
                             struct bv_pg **ret_pg);
/* Every call still waiting or in flight ends with BV_E_CANCELLED (in flight: outcome unknown);
 * bv_pg_call from their done gets BV_E_CLOSED. Not from within a done. */
void bv_pg_close(struct bv_pg **pg);
/* For /readyz: at least one connection is up, and the server does not hang. */
bool bv_pg_ready(const struct bv_pg *pg);

struct bv_pg_statement { /* static const; name is unique per program; at most 512 in one pool */
    const char *name;
    const char *sql; /* one statement, no COPY; must be preparable before the call it is first used
                        in takes effect */
};
enum bv_pg_param_kind { BV_PG_NULL, BV_PG_TEXT, BV_PG_INT, BV_PG_BINARY };
struct bv_pg_param {
    enum bv_pg_param_kind kind;
    struct bv_bytes bytes; /* TEXT: no NUL inside; BINARY: the type's wire format (bytea: the bytes
                              as they are) */
    int64_t number;
};
#define BV_PG_P_NULL ((struct bv_pg_param){.kind = BV_PG_NULL})
#define BV_PG_P_TEXT(b) ((struct bv_pg_param){.kind = BV_PG_TEXT, .bytes = (b)})
#define BV_PG_P_CSTR(s) ((struct bv_pg_param){.kind = BV_PG_TEXT, .bytes = bv_bytes_of(s)})
/* sent as text: fits any number type */
#define BV_PG_P_INT(n) ((struct bv_pg_param){.kind = BV_PG_INT, .number = (int64_t)(n)})
#define BV_PG_P_BINARY(b) ((struct bv_pg_param){.kind = BV_PG_BINARY, .bytes = (b)})
struct bv_pg_query {
    const struct bv_pg_statement *statement;
    const struct bv_pg_param *params;
    size_t param_count; /* at most 64; for many rows pass arrays: unnest($1::text[], ...) built by
                           bv_pg_array_* */
};
/* Array parameters in text form: {"a","b \"c\"",NULL,7}. Append to an empty buffer, then pass as
 * BV_PG_P_TEXT(bv_buf_view(&buf)). Check buf.failed once at the end (the buffer's max).
 * Texts are quoted and escaped; no NUL inside. Thread: any. */
void bv_pg_array_open(struct bv_buf *buf);
void bv_pg_array_text(struct bv_buf *buf, struct bv_bytes value);
void bv_pg_array_int(struct bv_buf *buf, int64_t value);
void bv_pg_array_null(struct bv_buf *buf);
void bv_pg_array_close(struct bv_buf *buf);

/* Result of one statement; for the duration of done. row < bv_pg_rows, column from 0 within the
 * statement's columns (asserted). */
struct bv_pg_result;
size_t bv_pg_rows(const struct bv_pg_result *result);
/* Rows of INSERT, UPDATE, DELETE, SELECT; 0 for the rest. */
int64_t bv_pg_affected(const struct bv_pg_result *result);
bool bv_pg_is_null(const struct bv_pg_result *result, size_t row, int column);
/* Text format, NUL-terminated. A NULL gives an empty span, 0, false. */
struct bv_bytes bv_pg_text(const struct bv_pg_result *result, size_t row, int column);
int64_t bv_pg_int(const struct bv_pg_result *result, size_t row, int column);
bool bv_pg_bool(const struct bv_pg_result *result, size_t row, int column);

/* rc 0: committed; results[i] belongs to queries[i], count is the call's, failure NULL.
 * Otherwise results NULL, count 0, and nothing took effect, except that the outcome is unknown (a
 * retry must be idempotent) when failure->sqlstate is "" and rc is BV_E_UNAVAILABLE (connection
 * lost), BV_E_TIMEOUT (no answer) or BV_E_CANCELLED (pool closed).
 * - BV_E_EXISTS: unique violation (23505).
 * - BV_E_CONFLICT: serialization, deadlock (40), lock not available (55P03), exclusion (23P01).
 * - BV_E_UNPROCESSABLE: check, foreign key, not null (23), raised by a function (P0001).
 * - BV_E_TIMEOUT: statement_timeout (57014); waited for a connection or for an answer longer than
 *   call_timeout_ms (for an answer up to a quarter more, at most 1 s, as the server's own
 *   cancellation, whose outcome is known, should come first).
 * - BV_E_UNAVAILABLE: connection lost (08), shutdown (57P), resources (53), read-only server
 *   (25006), the statement's prepare failed in a call before (26000; the next call prepares again),
 *   its table has changed since it was prepared (0A000; likewise).
 * - BV_E_CANCELLED: bv_pg_close.
 * - BV_E_INTERNAL: the rest. */
struct bv_pg_failure {
    struct bv_error error; /* text names statement, message and SQLSTATE */
    char sqlstate[6];      /* "" when the server said nothing */
    char constraint[64];   /* "" when none */
    size_t query_index;    /* the query that failed; the call's count when the commit did (deferred
                              constraints) */
};
typedef void bv_pg_done(void *argument,
                        int rc,
                        const struct bv_pg_result *const *results,
                        size_t count,
                        const struct bv_pg_failure *failure);
/* Queues one transaction of count statements.
 * Effect:    sent at the end of this loop turn when a connection has room; waits otherwise, also
 *            while no connection is up.
 * Ranges:    count 1..64; parameters of one call below 1 GiB.
 * Ownership: parameters are copied; statements must stay (static). done owns nothing: what it keeps
 *            it copies. It may call bv_pg_call.
 * Errors:    (done is then not called) BV_E_LIMIT past calls_max or 512 statements, BV_E_INVALID
 *            (counts, a NUL in a text parameter, two statements of one name), BV_E_TOO_LARGE,
 *            BV_E_NOMEM, BV_E_CLOSED while the pool closes.
 * Thread:    loop; does not block. */
BV_MUST_CHECK int bv_pg_call(struct bv_pg *pg,
                             const struct bv_pg_query *queries,
                             size_t count,
                             bv_pg_done *done,
                             void *argument);

/* bv_pg_call that carries what its completion needs to come back to its asker.
 * Effect:    copies ask_bytes bytes of ask; done gets the copy as its argument, for the duration of
 * the call. Outcomes:  none. Errors: as bv_pg_call, and BV_E_NOMEM; done is then never called.
 * Thread: loop. */
BV_MUST_CHECK int bv_pg_ask(struct bv_pg *pg,
                            const struct bv_pg_query *queries,
                            size_t count,
                            bv_pg_done *done,
                            const void *ask,
                            size_t ask_bytes);

#endif
