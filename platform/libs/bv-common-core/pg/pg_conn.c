#include <stdio.h>
#include <stdlib.h>

#include "bv/log.h"
#include "bv/resilience.h"

#include "pg_internal.h"

/* PG_DOWN --timer--> PG_CONNECTING --PQconnectPoll--> PG_SETUP --on_connect done--> PG_READY
 *     ^-------------------- pg_conn_break: any failure, any state --------------------' */

static const struct bv_backoff connect_backoff = {
    .name = "pg-connect",
    .law = BV_BACKOFF_EXPONENTIAL_FULL_JITTER,
    .base_ms = 50,
    .cap_ms = 2000,
    .attempts_max = UINT32_MAX,
};
enum { ATTEMPT_CEILING = 16 }; /* the cap is long reached */

static void on_poll(void *argument, int events);

static void
log_change(const struct pg_conn *conn, enum bv_level level, const char *event, const char *why)
{
    bv_log(conn->pool->env->log,
           level,
           event,
           NULL,
           BV_F_INT("connection", conn - conn->pool->conns),
           BV_F_TEXT("why", why));
}

/* ---- ending ---- */

static void drop(struct pg_conn *conn)
{
    bv_poll_close(&conn->poll); /* before libpq closes the descriptor */
    if (conn->libpq)
        PQfinish(conn->libpq);
    conn->libpq = NULL;
    conn->state = PG_DOWN;
    memset(conn->prepared, PG_UNPREPARED, sizeof conn->prepared);
    memset(conn->renewed, 0, sizeof conn->renewed);
}

static void schedule(struct pg_conn *conn)
{
    int64_t delay_ms = 0;
    uint32_t attempt = conn->attempt < ATTEMPT_CEILING ? conn->attempt : ATTEMPT_CEILING;
    if (bv_backoff_next(conn->pool->env, &connect_backoff, attempt, &delay_ms) != 0)
        delay_ms = connect_backoff.cap_ms;
    conn->attempt++;
    bv_timer_set(conn->timer, delay_ms, 0);
}

static int rc_of_broken(const struct pg_call *call, int64_t now_ms)
{
    if (call->failed)
        return call->failure.error.code; /* the server had refused it: nothing took effect */
    return now_ms >= call->deadline_ms ? BV_E_TIMEOUT : BV_E_UNAVAILABLE;
}

void pg_conn_break(struct pg_conn *conn, const char *why)
{
    char reason[120];
    pg_message_line(why, reason, sizeof reason); /* why may live in the connection */
    bool was_ready = conn->state == PG_READY;
    if (was_ready || conn->attempt == 0)
        log_change(conn, BV_WARN, was_ready ? "pg.connection_lost" : "pg.connect_failed", reason);
    drop(conn);
    struct pg_call_list lost;
    pg_list_move(&conn->in_flight, &lost);
    if (was_ready)
        pg_pool_count_ready(conn->pool);
    if (!conn->pool->closing)
        schedule(conn);
    int64_t now_ms = bv_loop_now_ms(conn->pool->loop);
    for (struct pg_call *call = pg_list_pop(&lost); call; call = pg_list_pop(&lost)) {
        int rc = rc_of_broken(call, now_ms);
        if (!call->failed)
            bv_fail(&call->failure.error,
                    rc,
                    "connection to PostgreSQL lost, outcome unknown: %s",
                    reason);
        pg_pool_finish(conn->pool, call, rc);
    }
}

/* ---- connecting ---- */

static bool watch(struct pg_conn *conn, int events)
{
    if (!conn->poll &&
        bv_poll_open(conn->pool->loop, PQsocket(conn->libpq), on_poll, conn, &conn->poll) != 0) {
        pg_conn_break(conn, "cannot watch the socket");
        return false;
    }
    bv_poll_set(conn->poll, events);
    return true;
}

void pg_conn_start(struct pg_conn *conn)
{
    const struct pg_conninfo *info = &conn->pool->info;
    conn->libpq = PQconnectStartParams(
        (const char *const *)info->keywords, (const char *const *)info->values, 0);
    conn->state = PG_CONNECTING;
    if (!conn->libpq || PQstatus(conn->libpq) == CONNECTION_BAD) {
        pg_conn_break(conn, conn->libpq ? PQerrorMessage(conn->libpq) : "out of memory");
        return;
    }
    PQsetNoticeProcessor(conn->libpq, pg_ignore_notice, NULL);
    bv_timer_set(conn->timer, PG_CONNECT_TIMEOUT_MS, 0);
    watch(conn, BV_POLL_WRITE);
}

static void on_timer(void *argument)
{
    struct pg_conn *conn = argument;
    if (conn->state == PG_DOWN)
        pg_conn_start(conn);
    else
        pg_conn_break(conn, "no connection within the connect timeout");
}

/* All on_connect statements and one sync point. */
static bool send_setup(struct pg_conn *conn)
{
    for (size_t i = 0; i < conn->pool->on_connect_count; i++)
        if (!PQsendQueryParams(
                conn->libpq, conn->pool->on_connect[i], 0, NULL, NULL, NULL, NULL, 0))
            return false;
    return PQpipelineSync(conn->libpq) == 1;
}

static void connected(struct pg_conn *conn)
{
    conn->state = PG_SETUP;
    if (PQsetnonblocking(conn->libpq, 1) != 0 || !PQenterPipelineMode(conn->libpq) ||
        !send_setup(conn)) {
        pg_conn_break(conn, PQerrorMessage(conn->libpq));
        return;
    }
    if (watch(conn, BV_POLL_READ))
        pg_conn_flush(conn);
}

static void go_on_connecting(struct pg_conn *conn)
{
    bv_poll_close(&conn->poll); /* PQconnectPoll may close this socket and open another */
    switch (PQconnectPoll(conn->libpq)) {
    case PGRES_POLLING_READING:
        watch(conn, BV_POLL_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(conn, BV_POLL_WRITE);
        break;
    case PGRES_POLLING_OK:
        connected(conn);
        break;
    default:
        pg_conn_break(conn, PQerrorMessage(conn->libpq));
        break;
    }
}

/* One result of the setup; false when the connection is gone. */
static bool take_setup(struct pg_conn *conn, const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        conn->state = PG_READY;
        conn->attempt = 0;
        bv_timer_clear(conn->timer);
        log_change(conn, BV_DEBUG, "pg.connected", "");
        pg_pool_heard(conn->pool);
        pg_pool_count_ready(conn->pool);
        pg_pool_wake(conn->pool);
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        return true;
    default:
        pg_conn_break(conn, PQresultErrorMessage(result));
        return false;
    }
}

/* ---- sending ---- */

/* The statement's name on this connection: one that was spoilt leaves its name behind. */
static const char *name_of(const struct pg_conn *conn, uint16_t id, char space[PG_NAME_SIZE])
{
    const char *name = conn->pool->statements[id]->name;
    if (conn->renewed[id] == 0)
        return name;
    snprintf(space, PG_NAME_SIZE, "%u:%s", conn->renewed[id], name);
    return space;
}

static bool send_prepares(struct pg_conn *conn, struct pg_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        uint16_t id = call->queries[i].statement;
        if (conn->prepared[id] != PG_UNPREPARED)
            continue;
        const struct bv_pg_statement *statement = conn->pool->statements[id];
        char space[PG_NAME_SIZE];
        if (!PQsendPrepare(conn->libpq, name_of(conn, id, space), statement->sql, 0, NULL))
            return false;
        conn->prepared[id] = PG_PREPARE_SENT;
        call->prepares[call->prepare_count++] = id;
    }
    return true;
}

static bool send_queries(struct pg_conn *conn, const struct pg_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct pg_bound_query *query = &call->queries[i];
        char space[PG_NAME_SIZE];
        if (!PQsendQueryPrepared(conn->libpq,
                                 name_of(conn, query->statement, space),
                                 query->param_count,
                                 call->values + query->param_first,
                                 call->lengths + query->param_first,
                                 call->formats + query->param_first,
                                 0))
            return false;
    }
    return true;
}

void pg_conn_send(struct pg_conn *conn, struct pg_call *call)
{
    pg_list_push(&conn->in_flight, call);
    if (!send_prepares(conn, call) || !send_queries(conn, call) || PQpipelineSync(conn->libpq) != 1)
        pg_conn_break(conn, PQerrorMessage(conn->libpq));
}

void pg_conn_flush(struct pg_conn *conn)
{
    if (!conn->libpq || !conn->poll)
        return;
    int left = PQflush(conn->libpq);
    if (left < 0)
        pg_conn_break(conn, PQerrorMessage(conn->libpq));
    else
        watch(conn, left ? BV_POLL_READ | BV_POLL_WRITE : BV_POLL_READ);
}

/* ---- reading ---- */

static const char *label_of(const struct pg_conn *conn, const struct pg_call *call)
{
    if (call->step < call->prepare_count)
        return conn->pool->statements[call->prepares[call->step]]->name;
    size_t query = call->step - call->prepare_count;
    return query < call->count ? conn->pool->statements[call->queries[query].statement]->name
                               : "commit";
}

static size_t query_of(const struct pg_call *call)
{
    if (call->step >= call->prepare_count)
        return call->step - call->prepare_count; /* count: the commit itself */
    for (size_t i = 0; i < call->count; i++)
        if (call->queries[i].statement == call->prepares[call->step])
            return i;
    return 0;
}

/* "cached plan must not change result type": its message may be in any language. */
static bool is_spoilt(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    return sqlstate && function && strcmp(sqlstate, "0A000") == 0 &&
           strcmp(function, "RevalidateCachedQuery") == 0;
}

/* Calls behind that were sent under the old name find the statement unprepared or sent again. */
static void renew(struct pg_conn *conn, struct pg_call *call, uint16_t id)
{
    call->failure.error.code = BV_E_UNAVAILABLE;
    if (conn->prepared[id] != PG_PREPARED || conn->renewed[id] == UINT16_MAX)
        return;
    conn->prepared[id] = PG_UNPREPARED;
    conn->renewed[id]++;
}

static void take_refusal(struct pg_conn *conn, struct pg_call *call, const PGresult *result)
{
    if (!call->failed) { /* the first error is the cause, the rest was skipped */
        call->failed = true;
        pg_failure_of_result(result, label_of(conn, call), query_of(call), &call->failure);
    }
    size_t query = call->step - call->prepare_count;
    if (call->step < call->prepare_count)
        conn->prepared[call->prepares[call->step]] = PG_UNPREPARED;
    else if (query < call->count && strcmp(call->failure.sqlstate, "26000") == 0)
        conn->prepared[call->queries[query].statement] = PG_UNPREPARED;
    else if (query < call->count && is_spoilt(result))
        renew(conn, call, call->queries[query].statement);
}

/* COPY has no place in a pipeline: asked again, libpq gives the same result again, for ever. */
static void refuse_copy(struct pg_conn *conn, struct pg_call *call)
{
    call->failed = true;
    bv_fail(&call->failure.error, BV_E_INTERNAL, "%s: COPY is not for calls", label_of(conn, call));
    pg_conn_break(conn, "a call began a COPY");
}

/* One result for the oldest call in flight. Takes the result. */
static void take_result(struct pg_conn *conn, PGresult *result)
{
    struct pg_call *call = conn->in_flight.head;
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        pg_list_pop(&conn->in_flight);
        pg_pool_finish(conn->pool, call, call->failed ? call->failure.error.code : 0);
        return;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        if (call->step < call->prepare_count) {
            conn->prepared[call->prepares[call->step]] = PG_PREPARED;
        } else if (call->step - call->prepare_count < call->count &&
                   !call->results[call->step - call->prepare_count]) {
            call->results[call->step - call->prepare_count] = result;
            return;
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        if (call->step < call->prepare_count)
            conn->prepared[call->prepares[call->step]] = PG_UNPREPARED;
        break;
    case PGRES_FATAL_ERROR:
        take_refusal(conn, call, result);
        break;
    default:
        refuse_copy(conn, call);
        break;
    }
    PQclear(result);
}

/* libpq's own errors (connection lost, out of memory) have no SQLSTATE: they say nothing about the
 * call's fate. */
static bool is_local(const PGresult *result)
{
    return PQresultStatus(result) == PGRES_FATAL_ERROR &&
           !PQresultErrorField(result, PG_DIAG_SQLSTATE);
}

/* The NULL after a query's result. One more than there are queries: the server said why it ends the
 * connection (57P01), libpq gave that as the query's result, and nothing else will ever come. */
static void end_step(struct pg_conn *conn)
{
    bool lost = conn->state == PG_SETUP
                    ? PQstatus(conn->libpq) == CONNECTION_BAD
                    : conn->in_flight.head->step >=
                          conn->in_flight.head->prepare_count + conn->in_flight.head->count;
    if (lost)
        pg_conn_break(conn, PQerrorMessage(conn->libpq));
    else if (conn->state == PG_READY)
        conn->in_flight.head->step++;
}

/* Hands out what has arrived. libpq gives, per query, its result and then NULL; per sync point
 * PGRES_PIPELINE_SYNC without a NULL. */
static void read_results(struct pg_conn *conn)
{
    while (conn->libpq && (conn->state == PG_SETUP || conn->in_flight.head) &&
           !PQisBusy(conn->libpq)) {
        PGresult *result = PQgetResult(conn->libpq);
        if (!result) {
            end_step(conn);
        } else if (conn->state == PG_SETUP) {
            if (!take_setup(conn, result)) {
                PQclear(result);
                return;
            }
            PQclear(result);
        } else if (is_local(result)) {
            pg_conn_break(conn, PQresultErrorMessage(result));
            PQclear(result);
        } else {
            take_result(conn, result);
        }
    }
}

static void on_poll(void *argument, int events)
{
    struct pg_conn *conn = argument;
    if (conn->state == PG_CONNECTING) {
        go_on_connecting(conn);
        return;
    }
    bool readable = true;
    if (events & BV_POLL_READ)
        readable = PQconsumeInput(conn->libpq) == 1;
    read_results(conn);
    if (conn->libpq && (!readable || PQstatus(conn->libpq) == CONNECTION_BAD)) {
        pg_conn_break(conn, PQerrorMessage(conn->libpq));
        return;
    }
    if (events & BV_POLL_WRITE)
        pg_conn_flush(conn);
    pg_pool_wake(conn->pool);
}

/* ---- life ---- */

int pg_conn_init(struct pg_conn *conn, struct bv_pg *pool)
{
    *conn = (struct pg_conn){.pool = pool};
    pg_list_init(&conn->in_flight);
    return bv_timer_open(pool->loop, on_timer, conn, &conn->timer);
}

void pg_conn_release(struct pg_conn *conn)
{
    if (!conn->pool)
        return;
    assert(!conn->in_flight.head);
    drop(conn);
    bv_timer_close(&conn->timer);
    *conn = (struct pg_conn){0};
}
