#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bv/pg.h"
#include "bv/pg_migrate.h"

/* Each test is a process of its own with a schema of its own, which every connection's search_path
 * names. */

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct outcome {
    int calls; /* of done */
    int rc;
    int64_t number; /* first column of the last result's first row */
    int64_t affected;
    size_t rows;
    char text[64]; /* the same as text */
    struct bv_pg_failure failure;
};
struct fixture {
    struct bv_loop *loop;
    struct bv_pg *pg;
    struct bv_metrics *metrics;
    struct bv_timer *guard;
    struct bv_timer *probe;
    size_t pending;
    char schema[32];
    char search_path[64];
    const char *on_connect[3];
};

static const char *url(void)
{
    const char *text = getenv("BV_TEST_PG_URL");
    cr_assert_not_null(
        text,
        "BV_TEST_PG_URL must name a PostgreSQL server, as postgresql://user@host:port/database");
    return text;
}

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("a call did not end in time");
}

static void run_while_pending(struct fixture *fx)
{
    while (fx->pending > 0) /* a stop from before the run ends the run at once */
        cr_assert_eq(bv_loop_run(fx->loop), 0);
}

static struct bv_pg_config usual_config(struct fixture *fx)
{
    return (struct bv_pg_config){
        .conninfo = url(),
        .connections = 1,
        .calls_max = 4096,
        .call_timeout_ms = 5000,
        .pipeline_depth = 64,
        .application = "pg_it_test",
        .on_connect = fx->on_connect,
    };
}

struct pending_call {
    struct fixture *fx;
    struct outcome *outcome;
};

static void on_done(void *argument,
                    int rc,
                    const struct bv_pg_result *const *results,
                    size_t count,
                    const struct bv_pg_failure *failure)
{
    struct pending_call *pending = argument;
    struct outcome *outcome = pending->outcome;
    outcome->calls++;
    outcome->rc = rc;
    cr_assert_eq(failure == NULL, rc == 0);
    cr_assert_eq(results == NULL, rc != 0);
    if (failure)
        outcome->failure = *failure;
    if (rc == 0) {
        const struct bv_pg_result *last = results[count - 1];
        outcome->rows = bv_pg_rows(last);
        outcome->affected = bv_pg_affected(last);
        if (outcome->rows > 0 && !bv_pg_is_null(last, 0, 0)) {
            outcome->number = bv_pg_int(last, 0, 0);
            struct bv_bytes text = bv_pg_text(last, 0, 0);
            snprintf(outcome->text, sizeof outcome->text, "%.*s", BV_ARG(text));
        }
    }
    struct fixture *fx = pending->fx;
    free(pending);
    if (--fx->pending == 0)
        bv_loop_stop(fx->loop);
}

static void start_call(struct fixture *fx,
                       const struct bv_pg_query *queries,
                       size_t count,
                       struct outcome *outcome)
{
    struct pending_call *pending = malloc(sizeof *pending);
    *pending = (struct pending_call){fx, outcome};
    fx->pending++;
    cr_assert_eq(bv_pg_call(fx->pg, queries, count, on_done, pending), 0);
    cr_assert_eq(outcome->calls, 0, "done ran from within bv_pg_call");
}

static struct outcome call(struct fixture *fx, const struct bv_pg_query *queries, size_t count)
{
    struct outcome outcome = {0};
    start_call(fx, queries, count, &outcome);
    run_while_pending(fx);
    cr_assert_eq(outcome.calls, 1);
    return outcome;
}

static struct outcome call_one(struct fixture *fx, const struct bv_pg_statement *statement)
{
    return call(fx, &(struct bv_pg_query){statement, NULL, 0}, 1);
}

static void must(struct outcome outcome)
{
    cr_assert_eq(outcome.rc, 0, "%s", outcome.failure.error.text);
}

static void open_pool(struct fixture *fx, const struct bv_pg_config *config)
{
    cr_assert_eq(bv_pg_open(fx->loop, config, fx->metrics, &fx->pg), 0);
}

static void open_bare(struct fixture *fx)
{
    *fx = (struct fixture){0};
    snprintf(fx->schema, sizeof fx->schema, "it_%d", (int)getpid());
    snprintf(fx->search_path, sizeof fx->search_path, "SET search_path = %s", fx->schema);
    fx->on_connect[0] = fx->search_path;
    cr_assert_eq(bv_loop_open(&env, &fx->loop), 0);
    cr_assert_eq(bv_metrics_open(64, &fx->metrics), 0);
    cr_assert_eq(bv_timer_open(fx->loop, on_guard, NULL, &fx->guard), 0);
    bv_timer_set(fx->guard, 30000, 0);
}

static const struct bv_pg_statement create_items = {
    "create_items",
    "CREATE TABLE items (id int PRIMARY KEY, name text CONSTRAINT items_name_key UNIQUE, stock int "
    "CONSTRAINT stock_not_negative CHECK (stock >= 0))"};
static const struct bv_pg_statement insert_item = {
    "insert_item", "INSERT INTO items (id, name, stock) VALUES ($1, $2, $3)"};
static const struct bv_pg_statement count_items = {"count_items", "SELECT count(*) FROM items"};

static void open_fixture(struct fixture *fx, const struct bv_pg_config *config)
{
    open_bare(fx);
    struct bv_pg_config usual = usual_config(fx);
    if (config) {
        usual = *config;
        usual.conninfo = url();
        usual.on_connect = fx->on_connect;
    }
    open_pool(fx, &usual);
    static char sql[64];
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", fx->schema);
    static const struct bv_pg_statement create_schema = {"create_schema", sql};
    must(call_one(fx, &create_schema));
    must(call_one(fx, &create_items));
}

static void close_fixture(struct fixture *fx)
{
    static char sql[64];
    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS %s CASCADE", fx->schema);
    static const struct bv_pg_statement drop_schema = {"drop_schema", sql};
    must(call_one(fx, &drop_schema));
    bv_pg_close(&fx->pg);
    bv_timer_close(&fx->guard);
    bv_metrics_close(&fx->metrics);
    bv_loop_close(&fx->loop);
}

static struct bv_pg_query
insert_query(struct bv_pg_param params[3], int64_t id, const char *name, int64_t stock)
{
    params[0] = BV_PG_P_INT(id);
    params[1] = BV_PG_P_CSTR(name);
    params[2] = BV_PG_P_INT(stock);
    return (struct bv_pg_query){&insert_item, params, 3};
}

Test(pg, a_call_of_several_queries_is_one_transaction)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct bv_pg_param params[3][3];
    struct bv_pg_query queries[] = {insert_query(params[0], 1, "a", 1),
                                    insert_query(params[1], 2, "b", 1),
                                    insert_query(params[2], 3, "a", 1)};
    struct outcome outcome = call(&fx, queries, 3);
    cr_assert_eq(outcome.rc, BV_E_EXISTS);
    cr_expect_str_eq(outcome.failure.sqlstate, "23505");
    cr_expect_str_eq(outcome.failure.constraint, "items_name_key");
    cr_expect_eq(outcome.failure.query_index, 2);
    cr_expect_not_null(
        strstr(outcome.failure.error.text, "insert_item"), "%s", outcome.failure.error.text);
    cr_assert_eq(call_one(&fx, &count_items).number, 0);
    must(call(&fx, queries, 2));
    cr_assert_eq(call_one(&fx, &count_items).number, 2);
    close_fixture(&fx);
}

Test(pg, the_failing_query_is_named_wherever_it_stands)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    for (size_t bad = 0; bad < 3; bad++) {
        struct bv_pg_param params[3][3];
        struct bv_pg_query queries[3];
        static const char *const names[] = {"a", "b", "c"};
        for (size_t i = 0; i < 3; i++)
            queries[i] = insert_query(params[i], (int64_t)i, names[i], i == bad ? -1 : 1);
        struct outcome outcome = call(&fx, queries, 3);
        cr_assert_eq(outcome.rc, BV_E_UNPROCESSABLE);
        cr_assert_eq(outcome.failure.query_index, bad);
        cr_assert_str_eq(outcome.failure.constraint, "stock_not_negative");
    }
    close_fixture(&fx);
}

static const struct bv_pg_statement create_deferred = {
    "create_deferred",
    "CREATE TABLE parts (id int, item int CONSTRAINT parts_item_fkey REFERENCES items DEFERRABLE "
    "INITIALLY DEFERRED)"};
static const struct bv_pg_statement insert_part = {"insert_part",
                                                   "INSERT INTO parts VALUES (1, 99)"};

Test(pg, a_commit_that_fails_is_reported_past_the_last_query)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    must(call_one(&fx, &create_deferred));
    struct bv_pg_query queries[] = {
        {&insert_part, NULL, 0},
        {&count_items, NULL, 0}
    };
    struct outcome outcome = call(&fx, queries, 2);
    cr_assert_eq(outcome.rc, BV_E_UNPROCESSABLE);
    cr_expect_eq(outcome.failure.query_index, 2);
    cr_expect_str_eq(outcome.failure.constraint, "parts_item_fkey");
    close_fixture(&fx);
}

static const struct bv_pg_statement echo_params = {
    "echo_params",
    "SELECT $1::text || '|' || coalesce($2::int8::text, 'null') || '|' || encode($3::bytea, 'hex') "
    "|| '|' || ($4::text[])[2]"};

Test(pg, parameters_arrive_as_they_were_given)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    bv_auto(bv_buf_release) struct bv_buf array = {.max = 256};
    bv_pg_array_open(&array);
    bv_pg_array_text(&array, BV_BYTES("first"));
    bv_pg_array_text(&array, BV_BYTES("q\"\\,{}"));
    bv_pg_array_close(&array);
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(BV_BYTES("")),
        BV_PG_P_INT(INT64_MIN),
        BV_PG_P_BINARY(((struct bv_bytes){"\x00\xff\x01", 3})),
        BV_PG_P_TEXT(bv_buf_view(&array)),
    };
    struct outcome outcome = call(&fx, &(struct bv_pg_query){&echo_params, params, 4}, 1);
    must(outcome);
    cr_expect_str_eq(outcome.text, "|-9223372036854775808|00ff01|q\"\\,{}");
    params[1] = BV_PG_P_NULL;
    outcome = call(&fx, &(struct bv_pg_query){&echo_params, params, 4}, 1);
    cr_expect_str_eq(outcome.text, "|null|00ff01|q\"\\,{}");
    close_fixture(&fx);
}

Test(pg, calls_that_cannot_be_sent_are_refused_at_once)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct bv_pg_param nul = BV_PG_P_TEXT(((struct bv_bytes){"a\0b", 3}));
    static const struct bv_pg_statement same_name = {"count_items", "SELECT 1"};
    must(call_one(&fx, &count_items));
    cr_expect_eq(bv_pg_call(fx.pg, &(struct bv_pg_query){&insert_item, &nul, 1}, 1, on_done, NULL),
                 BV_E_INVALID);
    cr_expect_eq(bv_pg_call(fx.pg, &(struct bv_pg_query){&same_name, NULL, 0}, 1, on_done, NULL),
                 BV_E_INVALID);
    cr_expect_eq(bv_pg_call(fx.pg, &(struct bv_pg_query){&count_items, NULL, 65}, 1, on_done, NULL),
                 BV_E_INVALID);
    cr_expect_eq(bv_pg_call(fx.pg, NULL, 0, on_done, NULL), BV_E_INVALID);
    close_fixture(&fx);
}

static void pipeline(const struct bv_pg_config *config)
{
    struct fixture fx;
    open_fixture(&fx, config);
    enum { CALLS = 1000 };
    static struct outcome outcomes[CALLS];
    for (int i = 0; i < CALLS; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i % 997); /* three duplicates */
        struct bv_pg_param params[3];
        struct bv_pg_query query = insert_query(params, i, name, i);
        start_call(&fx, &query, 1, &outcomes[i]);
    }
    run_while_pending(&fx);
    size_t refused = 0;
    for (int i = 0; i < CALLS; i++) {
        cr_assert_eq(outcomes[i].calls, 1);
        cr_assert(outcomes[i].rc == 0 || outcomes[i].rc == BV_E_EXISTS,
                  "%s",
                  outcomes[i].failure.error.text);
        refused += outcomes[i].rc != 0;
    }
    cr_expect_eq(refused, 3);
    cr_expect_eq(call_one(&fx, &count_items).number, CALLS - 3);
    close_fixture(&fx);
}

Test(pg, a_thousand_calls_go_through_one_pipeline_and_fail_alone)
{
    pipeline(NULL);
}

Test(pg, a_thousand_calls_spread_over_four_connections)
{
    pipeline(&(struct bv_pg_config){
        .connections = 4, .calls_max = 2000, .call_timeout_ms = 5000, .pipeline_depth = 8});
}

static const struct bv_pg_statement select_late = {"select_late", "SELECT count(*) FROM late"};
static const struct bv_pg_statement create_late = {"create_late", "CREATE TABLE late (id int)"};

Test(pg, a_failed_prepare_is_tried_again_by_the_next_call)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct outcome first = {0};
    struct outcome second = {0};
    start_call(&fx, &(struct bv_pg_query){&select_late, NULL, 0}, 1, &first);
    start_call(&fx, &(struct bv_pg_query){&select_late, NULL, 0}, 1, &second);
    run_while_pending(&fx);
    cr_expect_eq(first.rc, BV_E_INTERNAL);
    cr_expect_str_eq(first.failure.sqlstate, "42P01");
    cr_expect_eq(second.rc, BV_E_UNAVAILABLE, "its prepare was the first call's");
    must(call_one(&fx, &create_late));
    must(call_one(&fx, &select_late));
    close_fixture(&fx);
}

Test(pg, a_statement_prepared_in_a_failing_call_stays_prepared)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct bv_pg_param params[3];
    struct bv_pg_query queries[] = {
        insert_query(params, 1, "a", -1), {&count_items, NULL, 0}
    };
    cr_assert_eq(call(&fx, queries, 2).rc, BV_E_UNPROCESSABLE);
    must(call_one(&fx, &count_items)); /* preparing it twice would fail with 42P05 */
    must(call_one(&fx, &count_items));
    close_fixture(&fx);
}

static const struct bv_pg_statement own_pid = {"own_pid", "SELECT pg_backend_pid()"};
static const struct bv_pg_statement copy_out = {"copy_out", "COPY items TO STDOUT"};
static const struct bv_pg_statement copy_in = {"copy_in", "COPY items FROM STDIN"};

/* libpq answers every question of such a connection with the same result. */
Test(pg, a_copy_fails_its_call_and_costs_the_connection, .timeout = 20)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    cr_expect_eq(call_one(&fx, &copy_out).rc, BV_E_INTERNAL);
    must(call_one(&fx, &count_items));
    cr_expect_eq(call_one(&fx, &copy_in).rc, BV_E_INTERNAL);
    must(call_one(&fx, &count_items));
    close_fixture(&fx);
}

static const struct bv_pg_statement all_items = {"all_items", "SELECT * FROM items"};
static const struct bv_pg_statement widen[] = {
    {"widen_0", "ALTER TABLE items ADD COLUMN colour text"        },
    {"widen_1", "ALTER TABLE items ALTER COLUMN stock TYPE bigint"},
};

/* "cached plan must not change result type": the statement as it was prepared is spoilt for ever.
 */
Test(pg, a_statement_whose_table_changes_is_prepared_anew)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    int64_t pid = call_one(&fx, &own_pid).number;
    for (size_t i = 0; i < BV_COUNT(widen); i++) {
        struct outcome outcomes[3] = {0};
        must(call_one(&fx, &all_items));
        must(call_one(&fx, &widen[i]));
        for (size_t k = 0; k < BV_COUNT(outcomes); k++)
            start_call(&fx, &(struct bv_pg_query){&all_items, NULL, 0}, 1, &outcomes[k]);
        run_while_pending(&fx);
        for (size_t k = 0; k < BV_COUNT(outcomes); k++) {
            cr_expect_eq(outcomes[k].rc, BV_E_UNAVAILABLE, "it took no effect: try again");
            cr_expect_str_eq(outcomes[k].failure.sqlstate, "0A000");
        }
        must(call_one(&fx, &all_items));
        must(call_one(&fx, &all_items));
    }
    cr_expect_eq(call_one(&fx, &own_pid).number, pid, "the connection stays");
    close_fixture(&fx);
}

static const struct bv_pg_statement terminate = {"terminate", "SELECT pg_terminate_backend($1)"};
static const struct bv_pg_statement cancel = {"cancel", "SELECT pg_cancel_backend($1)"};
static const struct bv_pg_statement sleep_long = {"sleep_long", "SELECT pg_sleep(20)"};

static void on_probe(void *argument)
{
    bv_loop_stop(((struct fixture *)argument)->loop);
}

/* Lets the loop turn for a while, so that what was queued is on the wire. */
static void turn(struct fixture *fx, int64_t for_ms)
{
    cr_assert_eq(bv_timer_open(fx->loop, on_probe, fx, &fx->probe), 0);
    bv_timer_set(fx->probe, for_ms, 0);
    cr_assert_eq(bv_loop_run(fx->loop), 0);
    bv_timer_close(&fx->probe);
}

Test(pg, a_backend_that_dies_fails_its_calls_and_the_pool_recovers)
{
    struct fixture fx;
    open_fixture(
        &fx,
        &(struct bv_pg_config){
            .connections = 1, .calls_max = 10, .call_timeout_ms = 10000, .pipeline_depth = 2});
    int64_t victim = call_one(&fx, &own_pid).number;
    struct fixture killer;
    open_bare(&killer);
    struct bv_pg_config config = usual_config(&killer);
    open_pool(&killer, &config);

    struct outcome running = {0};
    struct outcome behind = {0};
    struct outcome waiting = {0};
    start_call(&fx, &(struct bv_pg_query){&sleep_long, NULL, 0}, 1, &running);
    start_call(&fx, &(struct bv_pg_query){&count_items, NULL, 0}, 1, &behind);
    start_call(&fx, &(struct bv_pg_query){&count_items, NULL, 0}, 1, &waiting); /* past the depth */
    turn(&fx, 50);
    struct bv_pg_param pid = BV_PG_P_INT(victim);
    must(call(&killer, &(struct bv_pg_query){&terminate, &pid, 1}, 1));
    run_while_pending(&fx);
    cr_expect_eq(running.rc, BV_E_UNAVAILABLE);
    cr_expect_eq(behind.rc, BV_E_UNAVAILABLE);
    cr_expect_str_eq(behind.failure.sqlstate, "", "outcome unknown");
    must(waiting);
    cr_expect_neq(call_one(&fx, &own_pid).number, victim);
    close_fixture(&fx);
    bv_pg_close(&killer.pg);
    bv_timer_close(&killer.guard);
    bv_metrics_close(&killer.metrics);
    bv_loop_close(&killer.loop);
}

Test(pg, an_idle_connection_that_dies_is_noticed_and_replaced)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct bv_pg_param pid = BV_PG_P_INT(call_one(&fx, &own_pid).number);
    struct outcome outcome = call(&fx, &(struct bv_pg_query){&terminate, &pid, 1}, 1); /* itself */
    cr_expect_eq(outcome.rc, BV_E_UNAVAILABLE);
    cr_expect_str_eq(outcome.failure.sqlstate, "57P01");
    cr_expect(outcome.failure.error.inside, "names a statement: not for peers");
    must(call_one(&fx, &count_items));
    close_fixture(&fx);
}

static const struct bv_pg_statement count_backends = {
    "count_backends", "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"};
static const struct bv_pg_statement length_of = {"length_of", "SELECT length($1::text)"};

/* What the server said last and the end of its stream are both there before the loop looks: libpq
 * takes the one for the result of the call that is just being written, and the other swallows all
 * that would follow. */
Test(pg, a_call_written_to_a_connection_already_ended_fails_once, .timeout = 40)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct fixture killer;
    open_bare(&killer);
    struct bv_pg_config config = usual_config(&killer);
    open_pool(&killer, &config);
    static char large[2 * 1024 * 1024];
    memset(large, 'x', sizeof large - 1);

    for (int round = 0; round < 2; round++) {
        struct bv_pg_param pid = BV_PG_P_INT(call_one(&fx, &own_pid).number);
        must(call(&killer, &(struct bv_pg_query){&terminate, &pid, 1}, 1));
        while (call(&killer, &(struct bv_pg_query){&count_backends, &pid, 1}, 1).number > 0)
            continue;
        struct bv_pg_param text = BV_PG_P_CSTR(round == 0 ? "small" : large);
        struct outcome outcome = call(&fx, &(struct bv_pg_query){&length_of, &text, 1}, 1);
        cr_expect_eq(outcome.rc, BV_E_UNAVAILABLE);
        cr_expect_eq(outcome.calls, 1);
        must(call_one(&fx, &count_items));
    }
    close_fixture(&fx);
    bv_pg_close(&killer.pg);
    bv_timer_close(&killer.guard);
    bv_metrics_close(&killer.metrics);
    bv_loop_close(&killer.loop);
}

Test(pg, the_server_ends_a_call_past_its_timeout_and_keeps_the_connection)
{
    struct fixture fx;
    open_fixture(
        &fx,
        &(struct bv_pg_config){
            .connections = 1, .calls_max = 10, .call_timeout_ms = 300, .pipeline_depth = 1});
    int64_t pid = call_one(&fx, &own_pid).number;
    struct outcome outcome = call_one(&fx, &sleep_long);
    cr_expect_eq(outcome.rc, BV_E_TIMEOUT);
    cr_expect_str_eq(outcome.failure.sqlstate, "57014");
    cr_expect_eq(call_one(&fx, &own_pid).number, pid);
    close_fixture(&fx);
}

Test(pg, a_server_that_does_not_answer_costs_its_connection)
{
    struct fixture fx;
    open_bare(&fx);
    fx.on_connect[1] = "SET statement_timeout = 0";
    struct bv_pg_config config = usual_config(&fx);
    config.call_timeout_ms = 200;
    open_pool(&fx, &config);
    int64_t pid = call_one(&fx, &own_pid).number;
    int64_t before_ms = bv_mono_ms(&env);
    struct outcome outcome = call_one(&fx, &sleep_long);
    cr_expect_eq(outcome.rc, BV_E_TIMEOUT);
    cr_expect_str_eq(outcome.failure.sqlstate, "");
    cr_expect_lt(bv_mono_ms(&env) - before_ms, 2000);
    cr_expect_neq(call_one(&fx, &own_pid).number, pid);
    close_fixture(&fx);
}

static void turn_until(struct fixture *fx, bool ready)
{
    int64_t deadline_ms = bv_mono_ms(&env) + 10000;
    while (bv_pg_ready(fx->pg) != ready) {
        cr_assert_lt(bv_mono_ms(&env), deadline_ms);
        turn(fx, 20);
    }
}

static int64_t answered_calls(struct fixture *fx)
{
    bv_auto(bv_buf_release) struct bv_buf page = {.max = 1 << 20};
    cr_assert_eq(bv_metrics_print(fx->metrics, &page), 0);
    cr_assert_eq(bv_buf_append(&page, "", 1), 0);
    const char *line = strstr(page.data, "bv_pg_calls_total{outcome=\"ok\"} ");
    return line ? strtoll(strchr(line, '}') + 1, NULL, 10) : 0;
}

Test(pg, a_server_that_hangs_refuses_at_once_until_it_answers, .timeout = 40)
{
    struct fixture fx;
    open_fixture(
        &fx,
        &(struct bv_pg_config){
            .connections = 2, .calls_max = 10, .call_timeout_ms = 20000, .pipeline_depth = 4});
    struct fixture other;
    open_bare(&other);
    struct bv_pg_config config = usual_config(&other);
    open_pool(&other, &config);
    int64_t first = call_one(&fx, &own_pid).number;
    struct outcome slow[2] = {0};
    struct outcome refused = {0};

    /* One slow call is no hang: the connection that is owed nothing is probed. */
    start_call(&fx, &(struct bv_pg_query){&sleep_long, NULL, 0}, 1, &slow[0]);
    int64_t answered = answered_calls(&fx);
    while (answered_calls(&fx) == answered)
        turn(&fx, 20);
    cr_expect(bv_pg_ready(fx.pg));
    start_call(&fx, &(struct bv_pg_query){&own_pid, NULL, 0}, 1, &refused);
    while (refused.calls == 0)
        turn(&fx, 20);
    must(refused);
    int64_t second = refused.number;

    start_call(&fx, &(struct bv_pg_query){&sleep_long, NULL, 0}, 1, &slow[1]);
    turn_until(&fx, false);
    refused = (struct outcome){0};
    start_call(&fx, &(struct bv_pg_query){&count_items, NULL, 0}, 1, &refused);
    turn(&fx, 20);
    cr_expect_eq(refused.calls, 1, "at once, not behind the others");
    cr_expect_eq(refused.rc, BV_E_UNAVAILABLE);
    cr_expect_eq(slow[0].calls + slow[1].calls, 0);

    struct bv_pg_param pid = BV_PG_P_INT(second);
    must(call(&other, &(struct bv_pg_query){&cancel, &pid, 1}, 1));
    turn_until(&fx, true);
    pid = BV_PG_P_INT(first);
    must(call(&other, &(struct bv_pg_query){&cancel, &pid, 1}, 1));
    run_while_pending(&fx);
    close_fixture(&fx);
    bv_pg_close(&other.pg);
    bv_timer_close(&other.guard);
    bv_metrics_close(&other.metrics);
    bv_loop_close(&other.loop);
}

Test(pg, without_a_server_calls_wait_for_their_timeout)
{
    struct fixture fx;
    open_bare(&fx);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound but not listening: the port refuses */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    char conninfo[64];
    snprintf(conninfo,
             sizeof conninfo,
             "postgresql://bv@127.0.0.1:%d/postgres",
             ntohs(address.sin_port));
    struct bv_pg_config config = usual_config(&fx);
    config.conninfo = conninfo;
    config.call_timeout_ms = 200;
    open_pool(&fx, &config);
    cr_expect(!bv_pg_ready(fx.pg));
    struct outcome outcome = call_one(&fx, &own_pid);
    cr_expect_eq(outcome.rc, BV_E_TIMEOUT);
    bv_pg_close(&fx.pg);
    close(fd);
    bv_timer_close(&fx.guard);
    bv_metrics_close(&fx.metrics);
    bv_loop_close(&fx.loop);
}

Test(pg, past_calls_max_a_call_is_refused)
{
    struct fixture fx;
    open_fixture(
        &fx,
        &(struct bv_pg_config){
            .connections = 1, .calls_max = 2, .call_timeout_ms = 5000, .pipeline_depth = 1});
    struct outcome outcomes[2] = {0};
    start_call(&fx, &(struct bv_pg_query){&count_items, NULL, 0}, 1, &outcomes[0]);
    start_call(&fx, &(struct bv_pg_query){&count_items, NULL, 0}, 1, &outcomes[1]);
    cr_expect_eq(bv_pg_call(fx.pg, &(struct bv_pg_query){&count_items, NULL, 0}, 1, on_done, NULL),
                 BV_E_LIMIT);
    run_while_pending(&fx);
    must(outcomes[1]);
    must(call_one(&fx, &count_items));
    close_fixture(&fx);
}

Test(pg, closing_cancels_every_call_once)
{
    struct fixture fx;
    open_fixture(
        &fx,
        &(struct bv_pg_config){
            .connections = 1, .calls_max = 10, .call_timeout_ms = 5000, .pipeline_depth = 1});
    struct outcome running = {0};
    struct outcome waiting = {0};
    start_call(&fx, &(struct bv_pg_query){&sleep_long, NULL, 0}, 1, &running);
    start_call(&fx, &(struct bv_pg_query){&sleep_long, NULL, 0}, 1, &waiting);
    turn(&fx, 30);
    bv_pg_close(&fx.pg);
    cr_expect_null(fx.pg);
    cr_expect_eq(running.calls, 1);
    cr_expect_eq(running.rc, BV_E_CANCELLED);
    cr_expect_eq(waiting.calls, 1);
    cr_expect_eq(waiting.rc, BV_E_CANCELLED);
    struct bv_pg_config config = usual_config(&fx);
    open_pool(&fx, &config);
    close_fixture(&fx);
}

struct chain {
    struct fixture *fx;
    int left;
};

static void on_chain(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    struct chain *chain = argument;
    (void)results;
    (void)count;
    cr_assert_eq(rc, 0, "%s", failure ? failure->error.text : "");
    if (--chain->left == 0)
        bv_loop_stop(chain->fx->loop);
    else
        cr_assert_eq(
            bv_pg_call(
                chain->fx->pg, &(struct bv_pg_query){&count_items, NULL, 0}, 1, on_chain, chain),
            0);
}

Test(pg, done_may_call_again)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct chain chain = {&fx, 100};
    cr_assert_eq(
        bv_pg_call(fx.pg, &(struct bv_pg_query){&count_items, NULL, 0}, 1, on_chain, &chain), 0);
    cr_assert_eq(bv_loop_run(fx.loop), 0);
    cr_assert_eq(chain.left, 0);
    close_fixture(&fx);
}

Test(pg, outcomes_and_connections_are_counted)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    struct bv_pg_param params[3];
    struct bv_pg_query query = insert_query(params, 1, "a", 1);
    must(call(&fx, &query, 1));
    cr_assert_eq(call(&fx, &query, 1).rc, BV_E_EXISTS);
    bv_auto(bv_buf_release) struct bv_buf page = {.max = 1 << 20};
    cr_assert_eq(bv_metrics_print(fx.metrics, &page), 0);
    cr_assert_eq(bv_buf_append(&page, "", 1), 0);
    static const char *const lines[] = {"bv_pg_calls_total{outcome=\"ok\"} 3\n",
                                        "bv_pg_calls_total{outcome=\"already-exists\"} 1\n",
                                        "bv_pg_connections 1\n",
                                        "bv_pg_queue 0\n",
                                        "bv_pg_call_seconds_count 4\n"};
    for (size_t i = 0; i < BV_COUNT(lines); i++)
        cr_expect_not_null(strstr(page.data, lines[i]), "%s not in\n%s", lines[i], page.data);
    close_fixture(&fx);
}

static const struct bv_pg_statement large = {"large",
                                             "SELECT length($1::text), repeat('x', 3000000)"};

Test(pg, parameters_and_results_larger_than_the_socket_buffers_pass)
{
    struct fixture fx;
    open_fixture(&fx, NULL);
    enum { SIZE = 5000000 };
    char *text = malloc(SIZE);
    memset(text, 'y', SIZE);
    struct bv_pg_param param = BV_PG_P_TEXT(((struct bv_bytes){text, SIZE}));
    struct outcome outcomes[4] = {0};
    for (size_t i = 0; i < 4; i++)
        start_call(&fx, &(struct bv_pg_query){&large, &param, 1}, 1, &outcomes[i]);
    free(text);
    run_while_pending(&fx);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(outcomes[i].number, SIZE, "%s", outcomes[i].failure.error.text);
    close_fixture(&fx);
}
