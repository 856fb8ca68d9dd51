#include "postgres_actor.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

struct postgres {
    PGconn *connection; /* owned */
    bool stale;         /* what comes next on it is unknown: to be made again */
};

enum {
    ROWS_KIB_MAX = BV_MESSAGE_BODY_MAX / 1024,
    ASK_AGAIN_MS = 200, /* whether the run was interrupted */
};
#define NO_SQL "there is no SQL: give it in quotes or as a doc string"

enum { OPEN_DATABASE };
static const struct bv_arg open_args[] = {
    {"database",
     "database", BV_ARG_TEXT,
     BV_REQUIRED, "name of the database on the stack's server"},
};

static void postgres_close(struct bv_actor *actor)
{
    struct postgres *postgres = actor->state;
    if (!postgres)
        return;
    PQfinish(postgres->connection);
    free(postgres);
    actor->state = NULL;
}

static int bad(struct bv_error *error, int code, const char *message)
{
    int size = (int)strcspn(message, "\n");
    return bv_fail(error, code, "%.*s", size, message);
}

static int red(struct bv_error *error, const char *message)
{
    (void)bad(error, BV_E_UNAVAILABLE, message[0] ? message : "the connection broke");
    return BV_MISMATCH;
}

static int postgres_open(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    const char *url = actor->lab->ops->stack_variable(actor->lab, "BV_PG_URL");
    if (!url)
        return bv_fail(error, BV_E_UNAVAILABLE, "the stack has no PostgreSQL");
    char *database = bv_arena_text(actor->lab->arena, call->values[OPEN_DATABASE].text);
    if (!database)
        return BV_E_NOMEM;
    /* The first dbname is expanded, the second is plain and wins. */
    const char *const keys[] = {
        "dbname", "dbname", "options", "connect_timeout", "application_name", NULL};
    const char *const values[] = {url,
                                  database,
                                  "-c default_transaction_read_only=on -c statement_timeout=10000",
                                  "5",
                                  "bitvelocity-lab",
                                  NULL};
    struct postgres *postgres = actor->state = calloc(1, sizeof *postgres);
    if (!postgres)
        return BV_E_NOMEM;
    postgres->connection = PQconnectdbParams(keys, values, 1);
    if (!postgres->connection)
        return BV_E_NOMEM;
    if (PQstatus(postgres->connection) != CONNECTION_OK)
        return red(error, PQerrorMessage(postgres->connection));
    return PQsetnonblocking(postgres->connection, 1) == 0 ? 0 : BV_E_NOMEM;
}

enum { QUERY_SQL };
static const struct bv_arg query_args[] = {
    {"sql", NULL, BV_ARG_TEXT, BV_OPTIONAL, "one statement; or as a doc string"},
};

enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_JSONB = 3802
};

static void write_value(struct bv_json_writer *w, const PGresult *result, int row, int column)
{
    struct bv_bytes text = {PQgetvalue(result, row, column),
                            (size_t)PQgetlength(result, row, column)};
    if (PQgetisnull(result, row, column)) {
        bv_jw_null(w);
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
        bv_jw_bool(w, text.data[0] == 't');
        break;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_JSON:
    case OID_JSONB:
        bv_jw_raw(w, text);
        break;
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        if (strpbrk(text.data, "NI")) /* NaN, Infinity */
            bv_jw_string(w, text);
        else
            bv_jw_raw(w, text);
        break;
    default:
        bv_jw_string(w, text);
    }
}

static void write_row(struct bv_json_writer *w, const PGresult *result)
{
    bv_jw_object(w);
    for (int column = 0; column < PQnfields(result); column++) {
        bv_jw_key(w, PQfname(result, column));
        write_value(w, result, 0, column);
    }
    bv_jw_end(w);
}

/* ---- waiting: a server that is frozen is one that does not answer in time ---- */

struct waiting {
    struct bv_lab *lab;
    int64_t deadline_us;
};

/* Outcomes: BV_NOT_YET when the time is over. Errors: BV_E_CANCELLED. */
static int wait_for(const struct waiting *waiting, PGconn *connection, short events)
{
    struct pollfd fd = {PQsocket(connection), events, 0};
    for (;;) {
        int64_t left_us = waiting->deadline_us - bv_mono_us(waiting->lab->env);
        if (left_us <= 0)
            return BV_NOT_YET;
        if (bv_recording_interrupted(waiting->lab->recording))
            return BV_E_CANCELLED;
        int ready =
            poll(&fd, 1, left_us < ASK_AGAIN_MS * 1000 ? (int)(left_us / 1000 + 1) : ASK_AGAIN_MS);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return BV_E_IO;
    }
}

static int late(struct postgres *postgres, int rc, struct bv_error *error)
{
    postgres->stale = true;
    return rc == BV_NOT_YET ? red(error, "no answer within its time") : rc;
}

static int
connect_again(struct postgres *postgres, const struct waiting *waiting, struct bv_error *error)
{
    PGconn *connection = postgres->connection;
    if (!postgres->stale && PQstatus(connection) == CONNECTION_OK &&
        !bv_peer_gone(PQsocket(connection)))
        return 0;
    postgres->stale = true;
    if (!PQresetStart(connection))
        return red(error, PQerrorMessage(connection));
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED)
            return red(error, PQerrorMessage(connection));
        int rc = wait_for(waiting, connection, state == PGRES_POLLING_READING ? POLLIN : POLLOUT);
        if (rc != 0)
            return late(postgres, rc, error);
        state = PQresetPoll(connection);
    }
    postgres->stale = false;
    return PQsetnonblocking(connection, 1) == 0 ? 0 : BV_E_NOMEM;
}

/* The next result, *ret_result NULL: that was all. */
static int next_result(struct postgres *postgres,
                       const struct waiting *waiting,
                       PGresult **ret_result,
                       struct bv_error *error)
{
    PGconn *connection = postgres->connection;
    int unsent;
    while ((unsent = PQflush(connection)) == 1 || PQisBusy(connection)) {
        int rc = wait_for(waiting, connection, (short)(POLLIN | (unsent == 1 ? POLLOUT : 0)));
        if (rc != 0)
            return late(postgres, rc, error);
        if (!PQconsumeInput(connection)) {
            postgres->stale = true;
            return red(error, PQerrorMessage(connection));
        }
    }
    *ret_result = PQgetResult(connection);
    return 0;
}

/* ---- asking ---- */

/* Refused as a statement it is the story's fault; refused, cut or cancelled as a call it is red. */
static int refusal(struct postgres *postgres, const PGresult *result, struct bv_error *error)
{
    static const char *const classes[] = {"08", "53", "57", "58"};
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorMessage(result);
    bool call = !state || PQstatus(postgres->connection) != CONNECTION_OK;
    for (size_t i = 0; state && i < BV_COUNT(classes); i++)
        call = call || strncmp(state, classes[i], 2) == 0;
    return call ? red(error, message) : bad(error, BV_E_INVALID, message);
}

/* One row after the other, so that a whole table is refused and not read. */
static int take_rows(struct postgres *postgres,
                     const struct waiting *waiting,
                     struct bv_buf *rows,
                     int *ret_count,
                     struct bv_error *error)
{
    struct bv_json_writer w = bv_json_writer(rows);
    PGresult *result = NULL;
    int rc = 0;
    int count = 0;
    bv_jw_array(&w);
    while (rc == 0 && (rc = next_result(postgres, waiting, &result, error)) == 0 && result) {
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_SINGLE_TUPLE)
            write_row(&w, result);
        else if (status != PGRES_TUPLES_OK)
            rc = refusal(postgres, result, error);
        count += status == PGRES_SINGLE_TUPLE;
        if (rows->failed)
            rc = bv_fail(error, BV_E_TOO_LARGE, "more than %d KiB of rows", ROWS_KIB_MAX);
        PQclear(result);
    }
    bv_jw_end(&w);
    if (rc != 0)
        postgres->stale = true; /* something of the answer may still come */
    else if (rows->failed)
        rc = bv_fail(error, BV_E_TOO_LARGE, "more than %d KiB of rows", ROWS_KIB_MAX);
    *ret_count = count;
    return rc;
}

static int ask(struct bv_actor *actor,
               const struct bv_call *call,
               const char *sql,
               struct bv_buf *rows,
               int *ret_count,
               struct bv_error *error)
{
    struct postgres *postgres = actor->state;
    const struct waiting waiting = {
        actor->lab,
        bv_mono_us(actor->lab->env) + bv_actor_left_ms(actor, call) * 1000,
    };
    int rc = connect_again(postgres, &waiting, error);
    if (rc != 0)
        return rc;
    if (!PQsendQueryParams(postgres->connection, sql, 0, NULL, NULL, NULL, NULL, 0)) {
        postgres->stale = true;
        return red(error, PQerrorMessage(postgres->connection));
    }
    (void)PQsetSingleRowMode(postgres->connection);
    return take_rows(postgres, &waiting, rows, ret_count, error);
}

static int
postgres_query(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct bv_lab *lab = actor->lab;
    struct bv_bytes sql = call->doc.data ? call->doc : call->values[QUERY_SQL].text;
    if (!sql.size)
        return bv_fail(error, BV_E_INVALID, NO_SQL);
    char *text = bv_arena_text(lab->arena, sql);
    if (!text)
        return BV_E_NOMEM;
    struct bv_message question = {.direction = BV_SENT,
                                  .summary = sql,
                                  .type = BV_BYTES("SQL"),
                                  .status = BV_NO_NUMBER,
                                  .sequence = BV_NO_NUMBER,
                                  .media_type = BV_BYTES("application/sql"),
                                  .body = sql,
                                  .mono_us = bv_mono_us(lab->env)};
    uint64_t id = 0;
    int count = 0;
    bv_auto(bv_buf_release) struct bv_buf rows = {.max = (size_t)ROWS_KIB_MAX * 1024};
    BV_TRY(bv_actor_record(actor, &question, &id));
    int rc = ask(actor, call, text, &rows, &count, error);
    if (rc != 0) {
        (void)bv_actor_note(actor, "%s", error->text);
        return rc;
    }
    struct bv_message answer = {.direction = BV_RECEIVED,
                                .summary =
                                    bv_bytes_of(bv_arena_format(lab->arena, "%d rows", count)),
                                .type = BV_BYTES("rows"),
                                .status = BV_NO_NUMBER,
                                .sequence = count,
                                .answers = id,
                                .media_type = BV_BYTES("application/json"),
                                .body = bv_buf_view(&rows),
                                .mono_us = bv_mono_us(lab->env)};
    answer.latency_us = answer.mono_us - question.mono_us;
    BV_TRY(bv_actor_record(actor, &answer, &id));
    actor->current = bv_recording_at(lab->recording, id);
    return 0;
}

static int postgres_check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_call *call = check->call;
    if (!check->verb || call->values[QUERY_SQL].present || call->doc.size)
        return 0;
    return BV_CHECK_FAIL(check, BV_CHECK_STEP, 0, error, NO_SQL);
}

static const struct bv_verb verbs[] = {
    {"queries",
     query_args, BV_COUNT(query_args),
     BV_TAKES_DOC | BV_ASKS,
     postgres_query, "run one SELECT"},
};

static const struct bv_probe probes[] = {
    {"rows",    BV_PROBE_PLAIN, bv_probe_sequence, "number of rows"                },
    {"json",    BV_PROBE_PATH,  bv_probe_json,     "value in the rows: $[0].column"},
    {"body",    BV_PROBE_PLAIN, bv_probe_body,     "the rows as JSON text"         },
    {"latency", BV_PROBE_PLAIN, bv_probe_latency,  "milliseconds of the query"     },
};

const struct bv_protocol bv_protocol_postgres = {
    .name = "postgres",
    .summary = "a look into a database, read-only",
    .needs = "postgres",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = postgres_open,
    .close = postgres_close,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = postgres_check,
};
