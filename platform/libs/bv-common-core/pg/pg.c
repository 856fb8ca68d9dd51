#include "bv/pg.h"

#include <stdio.h>
#include <stdlib.h>

#include "bv/log.h"

#include "pg_internal.h"

static const struct bv_metric calls_metric = {
    .name = "bv_pg_calls_total",
    .type = BV_COUNTER,
    .help = "PostgreSQL calls by outcome",
    .labels = "outcome",
};
static const struct bv_metric seconds_metric = {
    .name = "bv_pg_call_seconds",
    .type = BV_HISTOGRAM,
    .help = "Time from bv_pg_call to its done, queueing included",
    .labels = "",
};
static const struct bv_metric connections_metric = {
    .name = "bv_pg_connections",
    .type = BV_GAUGE,
    .help = "PostgreSQL connections that take calls",
    .labels = "",
};
static const struct bv_metric queue_metric = {
    .name = "bv_pg_queue",
    .type = BV_GAUGE,
    .help = "Calls that wait for a connection",
    .labels = "",
};

static void gauge(struct bv_series *series, double value)
{
    if (series)
        bv_gauge_set(series, value);
}

/* ---- statements ---- */

/* Outcome: the id. BV_E_LIMIT when the table is full, BV_E_INVALID when two texts share a name. */
static int
statement_id(struct bv_pg *pool, const struct bv_pg_statement *statement, uint16_t *ret_id)
{
    size_t slot = ((uintptr_t)statement >> 4) * 0x9E3779B97F4A7C15u >> 32;
    for (;; slot++) {
        uint16_t *entry = &pool->slots[slot & (PG_STATEMENT_SLOTS - 1)];
        if (*entry == 0) {
            if (pool->statement_count == PG_STATEMENTS_MAX)
                return BV_E_LIMIT;
            for (uint16_t i = 0; i < pool->statement_count; i++)
                if (strcmp(pool->statements[i]->name, statement->name) == 0)
                    return BV_E_INVALID;
            pool->statements[pool->statement_count] = statement;
            *entry = ++pool->statement_count;
        }
        if (pool->statements[*entry - 1] == statement) {
            *ret_id = (uint16_t)(*entry - 1);
            return 0;
        }
    }
}

/* ---- calls ---- */

static void count_call(struct bv_pg *pool, const struct pg_call *call, int rc)
{
    if (!pool->metrics)
        return;
    const char *outcome = rc == 0 ? "ok" : bv_error_row(rc)->word;
    bv_count(rc == 0 ? pool->ok : bv_metrics_series(pool->metrics, &calls_metric, &outcome, 1), 1);
    bv_observe(pool->seconds, (double)(bv_mono_us(pool->env) - call->started_us) / 1e6);
}

void pg_pool_heard(struct bv_pg *pool)
{
    pool->heard_us = bv_mono_us(pool->env);
    if (pool->hung)
        bv_log(pool->env->log, BV_INFO, "pg.answers_again", NULL);
    pool->hung = false;
}

void pg_pool_finish(struct bv_pg *pool, struct pg_call *call, int rc)
{
    pool->calls--;
    if (rc == 0 || call->failure.sqlstate[0])
        pg_pool_heard(pool);
    count_call(pool, call, rc);
    call->failure.error.inside = true;
    if (rc == 0)
        call->done(call->argument,
                   0,
                   (const struct bv_pg_result *const *)call->results,
                   call->count,
                   NULL);
    else
        call->done(call->argument, rc, NULL, 0, &call->failure);
    pg_call_free(&call);
}

static void finish_all(struct bv_pg *pool, struct pg_call_list *list, int rc, const char *why)
{
    struct pg_call_list taken;
    pg_list_move(list, &taken);
    for (struct pg_call *call = pg_list_pop(&taken); call; call = pg_list_pop(&taken)) {
        bv_fail(&call->failure.error, rc, "%s", why);
        pg_pool_finish(pool, call, rc);
    }
}

static struct pg_conn *least_busy(struct bv_pg *pool)
{
    struct pg_conn *best = NULL;
    for (size_t i = 0; i < pool->conn_count; i++) {
        struct pg_conn *conn = &pool->conns[i];
        if (conn->state == PG_READY && conn->in_flight.count < pool->depth &&
            (!best || conn->in_flight.count < best->in_flight.count))
            best = conn;
    }
    return best;
}

/* How long the server has owed this connection an answer and said nothing to anybody. */
static int64_t owed_ms(const struct bv_pg *pool, const struct pg_conn *conn)
{
    const struct pg_call *oldest = conn->in_flight.head;
    if (!oldest)
        return 0;
    int64_t since_us = oldest->started_us > pool->heard_us ? oldest->started_us : pool->heard_us;
    return (bv_mono_us(pool->env) - since_us) / 1000;
}

static bool is_silent(const struct bv_pg *pool)
{
    for (size_t i = 0; i < pool->conn_count; i++)
        if (owed_ms(pool, &pool->conns[i]) > PG_SILENT_MS)
            return true;
    return false;
}

/* A server that hangs keeps its sockets. One slow call is no proof: every connection must be owed
 * an answer, if only to a probe. */
static bool looks_hung(const struct bv_pg *pool)
{
    for (size_t i = 0; i < pool->conn_count; i++)
        if (pool->conns[i].state == PG_READY && owed_ms(pool, &pool->conns[i]) < PG_PROBE_MS)
            return false;
    return is_silent(pool);
}

static bool hangs(struct bv_pg *pool)
{
    if (!pool->hung && looks_hung(pool)) {
        pool->hung = true;
        bv_log(pool->env->log, BV_WARN, "pg.hangs", NULL, BV_F_INT("calls", pool->calls));
    }
    return pool->hung;
}

/* Runs once per turn: the calls of the turn go out together. */
static void dispatch(void *argument)
{
    struct bv_pg *pool = argument;
    uint32_t touched = 0;
    if (pool->waiting.head && hangs(pool))
        finish_all(pool, &pool->waiting, BV_E_UNAVAILABLE, "PostgreSQL does not answer");
    while (pool->waiting.head) {
        struct pg_conn *conn = least_busy(pool);
        if (!conn)
            break;
        touched |= 1u << (conn - pool->conns);
        pg_conn_send(conn, pg_list_pop(&pool->waiting));
    }
    for (size_t i = 0; i < pool->conn_count; i++)
        if (touched & (1u << i))
            pg_conn_flush(&pool->conns[i]);
    gauge(pool->queue, (double)pool->waiting.count);
}

void pg_pool_wake(struct bv_pg *pool)
{
    if (pool->waiting.head && !pool->closing)
        bv_idle_arm(pool->idle);
}

void pg_pool_count_ready(struct bv_pg *pool)
{
    size_t ready = 0;
    for (size_t i = 0; i < pool->conn_count; i++)
        ready += pool->conns[i].state == PG_READY;
    gauge(pool->connections, (double)ready);
}

static const struct bv_pg_statement probe_statement = {"bv_pg_probe", "SELECT 1"};

static void probed(void *argument,
                   int rc,
                   const struct bv_pg_result *const *results,
                   size_t count,
                   const struct bv_pg_failure *failure)
{
    (void)argument; /* that the server said something is all */
    (void)rc;
    (void)results;
    (void)count;
    (void)failure;
}

/* Asks on every connection that owes nothing whether the server is there. Without memory, not. */
static void probe(struct bv_pg *pool)
{
    uint16_t id = 0;
    if (statement_id(pool, &probe_statement, &id) != 0)
        return;
    for (size_t i = 0; i < pool->conn_count; i++) {
        struct pg_call *call = NULL;
        if (pool->conns[i].state != PG_READY || pool->conns[i].in_flight.head ||
            pg_call_new(&(struct bv_pg_query){&probe_statement, NULL, 0}, &id, 1, &call) != 0)
            continue;
        call->done = probed;
        call->started_us = bv_mono_us(pool->env);
        call->deadline_ms = bv_loop_now_ms(pool->loop) + pool->call_timeout_ms;
        pool->calls++;
        pg_conn_send(&pool->conns[i], call);
        pg_conn_flush(&pool->conns[i]);
    }
}

/* Every list is in order of deadline, so its head tells. */
static void sweep(void *argument)
{
    struct bv_pg *pool = argument;
    int64_t now_ms = bv_loop_now_ms(pool->loop);
    while (pool->waiting.head && now_ms >= pool->waiting.head->deadline_ms) {
        struct pg_call *call = pg_list_pop(&pool->waiting);
        bv_fail(&call->failure.error,
                BV_E_TIMEOUT,
                "no PostgreSQL connection had room within %lld ms",
                (long long)pool->call_timeout_ms);
        pg_pool_finish(pool, call, BV_E_TIMEOUT);
    }
    for (size_t i = 0; i < pool->conn_count; i++) {
        const struct pg_call *oldest = pool->conns[i].in_flight.head;
        if (oldest && now_ms >= oldest->deadline_ms + pool->grace_ms)
            pg_conn_break(&pool->conns[i], "no answer within the call timeout");
    }
    if (is_silent(pool))
        probe(pool);
    gauge(pool->queue, (double)pool->waiting.count);
    if (pool->calls == 0) {
        bv_timer_clear(pool->sweep);
        pool->sweeping = false;
    }
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static void start_sweep(struct bv_pg *pool)
{
    if (pool->sweeping)
        return;
    int64_t every_ms = clamp(pool->call_timeout_ms / 8, 5, 100);
    bv_timer_set(pool->sweep, every_ms, every_ms);
    pool->sweeping = true;
}

/* ---- asking ---- */

int bv_pg_call(struct bv_pg *pg,
               const struct bv_pg_query *queries,
               size_t count,
               bv_pg_done *done,
               void *argument)
{
    if (pg->closing)
        return BV_E_CLOSED;
    if (count == 0 || count > PG_QUERIES_MAX)
        return BV_E_INVALID;
    if (pg->calls >= pg->calls_max)
        return BV_E_LIMIT;
    uint16_t ids[PG_QUERIES_MAX];
    for (size_t i = 0; i < count; i++) {
        if (!queries[i].statement)
            return BV_E_INVALID;
        BV_TRY(statement_id(pg, queries[i].statement, &ids[i]));
    }
    struct pg_call *call = NULL;
    BV_TRY(pg_call_new(queries, ids, count, &call));
    call->done = done;
    call->argument = argument;
    call->started_us = bv_mono_us(pg->env);
    call->deadline_ms = bv_loop_now_ms(pg->loop) + pg->call_timeout_ms;
    pg_list_push(&pg->waiting, call);
    pg->calls++;
    start_sweep(pg);
    bv_idle_arm(pg->idle);
    return 0;
}

/* ---- life ---- */

const char *const bv_pg_plans_kept[] = {
    "SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off", NULL};

static int copy_on_connect(struct bv_pg *pool, const char *const *statements)
{
    size_t count = 1;
    while (statements && statements[count - 1])
        count++;
    pool->on_connect = calloc(count, sizeof(char *));
    if (!pool->on_connect)
        return BV_E_NOMEM;
    char first[64];
    snprintf(first, sizeof first, "SET statement_timeout = %lld", (long long)pool->call_timeout_ms);
    for (size_t i = 0; i < count; i++) {
        pool->on_connect[i] = strdup(i == 0 ? first : statements[i - 1]);
        if (!pool->on_connect[i])
            return BV_E_NOMEM;
        pool->on_connect_count = i + 1;
    }
    return 0;
}

static void open_series(struct bv_pg *pool)
{
    if (!pool->metrics)
        return;
    const char *ok = "ok";
    pool->ok = bv_metrics_series(pool->metrics, &calls_metric, &ok, 1);
    pool->seconds = bv_metrics_series(pool->metrics, &seconds_metric, NULL, 0);
    pool->connections = bv_metrics_series(pool->metrics, &connections_metric, NULL, 0);
    pool->queue = bv_metrics_series(pool->metrics, &queue_metric, NULL, 0);
}

static int open_parts(struct bv_pg *pool, const struct bv_pg_config *config)
{
    struct bv_error error = {0};
    int rc = pg_conninfo_open(config->conninfo, NULL, config->application, &pool->info, &error);
    if (rc < 0) {
        bv_log(pool->env->log, BV_ERROR, "pg.conninfo_invalid", NULL, BV_F_TEXT("why", error.text));
        return rc;
    }
    BV_TRY(copy_on_connect(pool, config->on_connect));
    BV_TRY(bv_idle_open(pool->loop, dispatch, pool, &pool->idle));
    BV_TRY(bv_timer_open(pool->loop, sweep, pool, &pool->sweep));
    pool->conns = calloc((size_t)config->connections, sizeof *pool->conns);
    if (!pool->conns)
        return BV_E_NOMEM;
    for (size_t i = 0; i < (size_t)config->connections; i++) {
        BV_TRY(pg_conn_init(&pool->conns[i], pool));
        pool->conn_count = i + 1;
    }
    open_series(pool);
    return 0;
}

int bv_pg_open(struct bv_loop *loop,
               const struct bv_pg_config *config,
               struct bv_metrics *metrics,
               struct bv_pg **ret_pg)
{
    if (config->connections < 1 || config->connections > PG_CONNECTIONS_MAX ||
        config->pipeline_depth < 1 || config->pipeline_depth > PG_DEPTH_MAX ||
        config->calls_max < 1 || config->call_timeout_ms < 1)
        return BV_E_INVALID;
    struct bv_pg *pool = calloc(1, sizeof *pool);
    if (!pool)
        return BV_E_NOMEM;
    pool->loop = loop;
    pool->env = bv_loop_env(loop);
    pool->metrics = metrics;
    pool->calls_max = (size_t)config->calls_max;
    pool->depth = (size_t)config->pipeline_depth;
    pool->call_timeout_ms = config->call_timeout_ms;
    pool->grace_ms = clamp(config->call_timeout_ms / 4, PG_GRACE_MIN_MS, PG_GRACE_MAX_MS);
    pg_list_init(&pool->waiting);
    int rc = open_parts(pool, config);
    if (rc < 0) {
        bv_pg_close(&pool);
        return rc;
    }
    for (size_t i = 0; i < pool->conn_count; i++)
        pg_conn_start(&pool->conns[i]);
    *ret_pg = pool;
    return 0;
}

void bv_pg_close(struct bv_pg **pg)
{
    struct bv_pg *pool = *pg;
    if (!pool)
        return;
    pool->closing = true;
    for (size_t i = 0; i < pool->conn_count; i++)
        finish_all(pool, &pool->conns[i].in_flight, BV_E_CANCELLED, "the pool closes");
    finish_all(pool, &pool->waiting, BV_E_CANCELLED, "the pool closes");
    for (size_t i = 0; i < pool->conn_count; i++)
        pg_conn_release(&pool->conns[i]);
    free(pool->conns);
    bv_timer_close(&pool->sweep);
    bv_idle_close(&pool->idle);
    for (size_t i = 0; i < pool->on_connect_count; i++)
        free(pool->on_connect[i]);
    free(pool->on_connect);
    pg_conninfo_release(&pool->info);
    free(pool);
    *pg = NULL;
}

bool bv_pg_ready(const struct bv_pg *pg)
{
    if (pg->hung || looks_hung(pg))
        return false;
    for (size_t i = 0; i < pg->conn_count; i++)
        if (pg->conns[i].state == PG_READY)
            return true;
    return false;
}
