#include <stdlib.h>

#include "pg_internal.h"

static const struct {
    const char *prefix; /* class or whole SQLSTATE; the first match wins */
    int code;
} sqlstates[] = {
    {"23505", BV_E_EXISTS       }, /* unique_violation */
    {"23P01", BV_E_CONFLICT     }, /* exclusion_violation */
    {"23",    BV_E_UNPROCESSABLE}, /* not null, foreign key, check */
    {"P0001", BV_E_UNPROCESSABLE}, /* raise_exception */
    {"40003", BV_E_UNAVAILABLE  }, /* statement_completion_unknown */
    {"40",    BV_E_CONFLICT     }, /* serialization_failure, deadlock_detected */
    {"55P03", BV_E_CONFLICT     }, /* lock_not_available */
    {"57014", BV_E_TIMEOUT      }, /* query_canceled: statement_timeout */
    {"57P",   BV_E_UNAVAILABLE  }, /* shutdown, crash, starting up */
    {"53",    BV_E_UNAVAILABLE  }, /* disk full, out of memory, too many connections */
    {"08",    BV_E_UNAVAILABLE  }, /* connection exceptions */
    {"25006", BV_E_UNAVAILABLE  }, /* read_only_sql_transaction: not the primary */
    {"26000",
     BV_E_UNAVAILABLE           }, /* its prepare failed in a call before; the next call prepares again */
};

int pg_code_of_sqlstate(const char *sqlstate)
{
    if (!sqlstate)
        return BV_E_INTERNAL;
    for (size_t i = 0; i < BV_COUNT(sqlstates); i++)
        if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
            return sqlstates[i].code;
    return BV_E_INTERNAL;
}

void pg_message_line(const char *message, char *out, size_t size)
{
    size_t n = 0;
    while (message && message[n] && message[n] != '\n' && n + 1 < size) {
        out[n] = message[n];
        n++;
    }
    out[n] = '\0';
}

void pg_ignore_notice(void *argument, const char *message)
{
    (void)argument;
    (void)message;
}

static void copy_field(const PGresult *result, int field, char *out, size_t size)
{
    pg_message_line(PQresultErrorField(result, field), out, size);
}

void pg_failure_of_result(const PGresult *result,
                          const char *label,
                          size_t query_index,
                          struct bv_pg_failure *failure)
{
    *failure = (struct bv_pg_failure){.query_index = query_index};
    copy_field(result, PG_DIAG_SQLSTATE, failure->sqlstate, sizeof failure->sqlstate);
    copy_field(result, PG_DIAG_CONSTRAINT_NAME, failure->constraint, sizeof failure->constraint);
    char message[120];
    copy_field(result, PG_DIAG_MESSAGE_PRIMARY, message, sizeof message);
    if (!message[0])
        pg_message_line(PQresultErrorMessage(result), message, sizeof message);
    bv_fail(&failure->error,
            pg_code_of_sqlstate(failure->sqlstate[0] ? failure->sqlstate : NULL),
            "%s: %s (%s)",
            label,
            message,
            failure->sqlstate[0] ? failure->sqlstate : "no SQLSTATE");
}

static const PGresult *raw(const struct bv_pg_result *result)
{
    return (const PGresult *)result;
}

static const char *cell(const struct bv_pg_result *result, size_t row, int column)
{
    assert(row < bv_pg_rows(result) && column >= 0 && column < PQnfields(raw(result)));
    return PQgetvalue(raw(result), (int)row, column);
}

size_t bv_pg_rows(const struct bv_pg_result *result)
{
    return (size_t)PQntuples(raw(result));
}

int64_t bv_pg_affected(const struct bv_pg_result *result)
{
    return strtoll(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
}

bool bv_pg_is_null(const struct bv_pg_result *result, size_t row, int column)
{
    assert(row < bv_pg_rows(result) && column >= 0 && column < PQnfields(raw(result)));
    return PQgetisnull(raw(result), (int)row, column) != 0;
}

struct bv_bytes bv_pg_text(const struct bv_pg_result *result, size_t row, int column)
{
    const char *text = cell(result, row, column);
    return (struct bv_bytes){text, (size_t)PQgetlength(raw(result), (int)row, column)};
}

int64_t bv_pg_int(const struct bv_pg_result *result, size_t row, int column)
{
    return strtoll(cell(result, row, column), NULL, 10);
}

bool bv_pg_bool(const struct bv_pg_result *result, size_t row, int column)
{
    return cell(result, row, column)[0] == 't';
}
