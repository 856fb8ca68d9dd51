/* Inside of bv-pg. A call waits in the pool's queue until the turn ends, then goes to the least
 * busy connection and stays in that connection's in-flight list until its sync point comes back. On
 * the wire one call is:
 *
 *     Parse(new statement)*  (Bind Execute)(query 0) ... (Bind Execute)(query n-1)  Sync
 *
 * Prepares go first, so that a failing query never aborts a prepare that later calls of the
 * pipeline rely on. Thread: loop. */
#ifndef BV_PG_INTERNAL_H
#define BV_PG_INTERNAL_H

#include <libpq-fe.h>

#include "bv/pg.h"

enum {
    PG_CONNECTIONS_MAX = 16,
    PG_DEPTH_MAX = 64,
    PG_QUERIES_MAX = 64,
    PG_PARAMS_MAX = 64,
    PG_STATEMENTS_MAX = 512,
    PG_STATEMENT_SLOTS = 1024, /* power of two, twice the maximum */
    PG_CONNECT_TIMEOUT_MS = 5000,
    PG_GRACE_MIN_MS = 50,
    PG_GRACE_MAX_MS = 1000,
    PG_SILENT_MS = 2000, /* then connections that owe nothing are probed */
    PG_PROBE_MS = 500,
    PG_NAME_SIZE = 64, /* as the server's NAMEDATALEN */
};

/* ---- calls ---- */

struct pg_bound_query {
    uint16_t statement; /* id in the pool's table */
    uint16_t param_count;
    uint32_t param_first; /* index into values, lengths, formats */
};
struct pg_call {
    struct pg_call *next; /* in the one list that holds the call */
    bv_pg_done *done;
    void *argument;
    int64_t started_us;
    int64_t deadline_ms;
    size_t count;
    struct pg_bound_query *queries; /* this and the next four: inside the call's own block */
    const char **values;
    int *lengths;
    int *formats;
    PGresult **results; /* owned, NULL until they arrive */
    uint16_t *prepares; /* ids of the statements prepared by this call on its connection */
    size_t prepare_count;
    size_t step; /* next result: 0..prepare_count-1 prepares, then queries, then the sync point */
    bool failed; /* failure is set */
    struct bv_pg_failure failure;
};
struct pg_call_list {
    struct pg_call *head;
    struct pg_call **tail; /* address of the last next, or of head */
    size_t count;
};
void pg_list_init(struct pg_call_list *list);
void pg_list_push(struct pg_call_list *list, struct pg_call *call);
struct pg_call *pg_list_pop(struct pg_call_list *list); /* NULL when empty */
/* to becomes from, from becomes empty */
void pg_list_move(struct pg_call_list *from, struct pg_call_list *to);

/* Checks and copies queries and parameters into one block. ids: the statements' ids.
 * Errors: BV_E_INVALID (count, parameter count, a NUL inside a text parameter), BV_E_TOO_LARGE (1
 * GiB), BV_E_NOMEM. */
BV_MUST_CHECK int pg_call_new(const struct bv_pg_query *queries,
                              const uint16_t *ids,
                              size_t count,
                              struct pg_call **ret_call);
void pg_call_free(struct pg_call **call);

/* ---- results and failures ---- */

int pg_code_of_sqlstate(const char *sqlstate); /* BV_E_...; NULL and unknown: BV_E_INTERNAL */
/* Fills *failure from a result of status PGRES_FATAL_ERROR; label names the statement. */
void pg_failure_of_result(const PGresult *result,
                          const char *label,
                          size_t query_index,
                          struct bv_pg_failure *failure);
/* The first line of one of libpq's messages, without its newline. */
void pg_message_line(const char *message, char *out, size_t size);
/* A PQnoticeProcessor: libpq's own writes to stderr. */
void pg_ignore_notice(void *argument, const char *message);

/* ---- connection parameters ---- */

struct pg_conninfo {
    char **keywords; /* owned, NULL-terminated, as PQconnectStartParams takes them */
    char **values;   /* owned */
};
/* Parses conninfo and adds: application_name, client_encoding UTF8, gssencmode disable, and sslmode
 * disable when every host is the loopback or a local socket; what conninfo itself says wins.
 * database and application may be NULL. */
BV_MUST_CHECK int pg_conninfo_open(const char *conninfo,
                                   const char *database,
                                   const char *application,
                                   struct pg_conninfo *ret_info,
                                   struct bv_error *error);
void pg_conninfo_release(struct pg_conninfo *info);

/* ---- one connection ---- */

enum pg_conn_state { PG_DOWN, PG_CONNECTING, PG_SETUP, PG_READY };
enum pg_prepare_state { PG_UNPREPARED, PG_PREPARE_SENT, PG_PREPARED };
struct pg_conn {
    struct bv_pg *pool; /* borrowed: the pool holds the connection */
    enum pg_conn_state state;
    PGconn *libpq;          /* owned; NULL when down */
    struct bv_poll *poll;   /* owned */
    struct bv_timer *timer; /* owned: next try when down, connect timeout otherwise */
    struct pg_call_list in_flight;
    uint32_t attempt;                    /* failed tries since the connection was last ready */
    uint8_t prepared[PG_STATEMENTS_MAX]; /* enum pg_prepare_state by statement id */
    uint16_t renewed[PG_STATEMENTS_MAX]; /* times it was prepared anew, under another name */
};
BV_MUST_CHECK int pg_conn_init(struct pg_conn *conn, struct bv_pg *pool);
void pg_conn_start(struct pg_conn *conn);   /* begins to connect; failures lead to the next try */
void pg_conn_release(struct pg_conn *conn); /* in_flight must be empty */
/* Sends the call and takes it into in_flight; on failure the connection breaks, and the call ends
 * as any call in flight. */
void pg_conn_send(struct pg_conn *conn, struct pg_call *call);
void pg_conn_flush(struct pg_conn *conn);
/* Drops the connection and schedules the next try. Calls in flight end: with the server's refusal
 * when it had come, with BV_E_TIMEOUT past their deadline, with BV_E_UNAVAILABLE otherwise. */
void pg_conn_break(struct pg_conn *conn, const char *why);

/* ---- the pool, as connections see it ---- */

struct bv_pg {
    struct bv_loop *loop;     /* borrowed */
    const struct bv_env *env; /* borrowed */
    struct pg_conninfo info;
    char **on_connect; /* owned copies; the first sets statement_timeout */
    size_t on_connect_count;
    size_t calls_max;
    size_t depth;
    int64_t call_timeout_ms;
    int64_t grace_ms;      /* longer that the server may take to say that it cancelled a call */
    struct pg_conn *conns; /* owned, conn_count of them */
    size_t conn_count;
    struct pg_call_list waiting;
    size_t calls;     /* waiting and in flight */
    int64_t heard_us; /* when the server last ended a call */
    bool hung;        /* it owes every connection an answer: calls are refused until it says
                         something */
    struct bv_idle *idle;
    struct bv_timer *sweep;
    bool sweeping;
    bool closing;
    const struct bv_pg_statement *statements[PG_STATEMENTS_MAX]; /* borrowed, static */
    uint16_t statement_count;
    uint16_t slots[PG_STATEMENT_SLOTS]; /* id + 1, 0 free; open addressing by address */
    struct bv_metrics *metrics;         /* borrowed, may be NULL */
    struct bv_series *seconds;
    struct bv_series *connections;
    struct bv_series *queue;
    struct bv_series *ok;
};
/* Ends a call: metrics, done, memory. The call must be in no list. */
void pg_pool_finish(struct bv_pg *pool, struct pg_call *call, int rc);
/* The server said something: it does not hang. */
void pg_pool_heard(struct bv_pg *pool);
/* A connection has room: waiting calls are handed out at the end of the turn. */
void pg_pool_wake(struct bv_pg *pool);
void pg_pool_count_ready(struct bv_pg *pool); /* the number of ready connections changed */

#endif
