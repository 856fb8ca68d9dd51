#include "postgres_actor.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPEN_DATABASE };
static const struct bv_arg open_args[] = {
    {"database",
     "database", BV_ARG_TEXT,
     BV_REQUIRED, "name of the database on the stack's server"},
};

static void postgres_close(struct bv_actor *actor)
{
    PQfinish(actor->state);
    actor->state = NULL;
}

static int bad(struct bv_error *error, int code, const char *message)
{
    int size = (int)strcspn(message, "\n");
    return bv_fail(error, code, "%.*s", size, message);
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
    PGconn *connection = actor->state = PQconnectdbParams(keys, values, 1);
    if (!connection)
        return BV_E_NOMEM;
    if (PQstatus(connection) != CONNECTION_OK) {
        (void)bad(error, BV_E_UNAVAILABLE, PQerrorMessage(connection));
        return BV_MISMATCH;
    }
    return 0;
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

static void write_rows(struct bv_buf *buf, const PGresult *result)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_array(&w);
    for (int row = 0; row < PQntuples(result); row++) {
        bv_jw_object(&w);
        for (int column = 0; column < PQnfields(result); column++) {
            bv_jw_key(&w, PQfname(result, column));
            write_value(&w, result, row, column);
        }
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
}

static int
postgres_query(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    struct bv_lab *lab = actor->lab;
    struct bv_bytes sql = call->doc.data ? call->doc : call->values[QUERY_SQL].text;
    if (!sql.size)
        return bv_fail(
            error, BV_E_INVALID, "there is no SQL: give it in quotes or as a doc string");
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
    BV_TRY(bv_actor_record(actor, &question, &id));
    PGresult *result = PQexec(actor->state, text);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        int rc = bad(error, BV_E_INVALID, PQresultErrorMessage(result));
        PQclear(result);
        return rc;
    }
    struct bv_buf rows = {.max = BV_MESSAGE_BODY_MAX};
    write_rows(&rows, result);
    struct bv_message answer = {
        .direction = BV_RECEIVED,
        .summary = bv_bytes_of(bv_arena_format(lab->arena, "%d rows", PQntuples(result))),
        .type = BV_BYTES("rows"),
        .status = BV_NO_NUMBER,
        .sequence = PQntuples(result),
        .answers = id,
        .media_type = BV_BYTES("application/json"),
        .body = bv_buf_view(&rows),
        .mono_us = bv_mono_us(lab->env)};
    answer.latency_us = answer.mono_us - question.mono_us;
    PQclear(result);
    int rc = rows.failed ? bv_fail(error, BV_E_TOO_LARGE, "more than 256 KiB of rows")
                         : bv_actor_record(actor, &answer, &id);
    if (rc == 0)
        actor->current = bv_recording_at(lab->recording, id);
    bv_buf_release(&rows);
    return rc;
}

static const struct bv_verb verbs[] = {
    {"queries", query_args, BV_COUNT(query_args), BV_TAKES_DOC, postgres_query, "run one SELECT"},
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
};
