#include "postgres_actor.h"

#include "bv/test_stack.h"
#include "lab.h"
#include <criterion/criterion.h>
#include <stdio.h>

static struct lab lab;
static struct bv_lab_ops ops;

static const char *variable(struct bv_lab *base, const char *name)
{
    (void)base;
    return strcmp(name, "BV_PG_URL") == 0 ? bv_test_need("BV_TEST_PG_URL") : NULL;
}

static int declare(const char *database)
{
    lab_open(&lab, NULL, &bv_protocol_postgres);
    ops = *lab.lab.ops;
    ops.stack_variable = variable;
    lab.lab.ops = &ops;
    return lab_declare(&lab, LAB_WORDS("database", database));
}

static void teardown(void)
{
    lab_close(&lab);
}

TestSuite(postgres_actor, .fini = teardown, .timeout = 30);

Test(postgres_actor, rows_are_json_with_their_types)
{
    cr_assert_eq(declare("postgres"), 0, "%s", lab.error.text);
    cr_assert_eq(
        lab_run(&lab,
                "queries",
                LAB_WORDS(
                    "sql",
                    "select 7::bigint as n, true as b, null as z, 'a\"b' as t, 1.50::numeric as d, "
                    "'{\"x\":[1]}'::jsonb as j union all select 8, false, 'q', '', 0, '{}'"),
                NULL),
        0,
        "%s",
        lab.error.text);
    const struct bv_message *message = lab.actor.current;
    cr_expect_str_eq(lab_probe(&lab, message, "rows", NULL), "2");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$[0].n"), "7");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$[0].b"), "true");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$[0].z"), "null");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$[0].t"), "a\"b");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$[0].j.x[0]"), "1");
    cr_expect_str_eq(lab_probe(&lab, message, "json", "$[1].z"), "q");
}

Test(postgres_actor, it_only_looks)
{
    cr_assert_eq(declare("postgres"), 0);
    cr_expect_eq(lab_run(&lab, "queries", LAB_WORDS("sql", "create table lab_x (a int)"), NULL),
                 BV_E_INVALID);
    cr_expect(strstr(lab.error.text, "read-only"), "%s", lab.error.text);
}

Test(postgres_actor, a_wrong_statement_and_a_missing_one_are_the_labs_fault)
{
    cr_assert_eq(declare("postgres"), 0);
    cr_expect_eq(lab_run(&lab, "queries", LAB_WORDS("sql", "selekt 1"), NULL), BV_E_INVALID);
    cr_expect_eq(lab_run(&lab, "queries", LAB_WORDS(NULL), NULL), BV_E_INVALID);
}

Test(postgres_actor, a_missing_database_is_red)
{
    cr_expect_eq(declare("lab_no_such_database"), BV_MISMATCH);
}

static int query(const char *sql)
{
    return lab_run(&lab, "queries", LAB_WORDS("sql", sql), NULL);
}

Test(postgres_actor, a_server_that_does_not_answer_is_red_in_time_and_asked_again)
{
    cr_assert_eq(declare("postgres"), 0);
    lab.lab.timeout_ms = 50; /* the statement takes longer than the test may */
    cr_expect_eq(query("select pg_sleep(9)"), BV_MISMATCH);
    cr_expect(strstr(lab.error.text, "no answer within its time"), "%s", lab.error.text);
    lab.lab.timeout_ms = LAB_WAIT_MS;
    cr_assert_eq(query("select 7 as n"), 0, "%s", lab.error.text);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "json", "$[0].n"), "7");
}

Test(postgres_actor, a_connection_that_is_ended_is_red_and_made_again)
{
    cr_assert_eq(declare("postgres"), 0);
    cr_expect_eq(query("select pg_terminate_backend(pg_backend_pid())"), BV_MISMATCH);
    cr_assert_eq(query("select 7 as n"), 0, "%s", lab.error.text);
    cr_expect_eq(query("create table lab_x (a int)"), BV_E_INVALID, "still read-only");
}

Test(postgres_actor, a_whole_table_is_refused_and_the_next_question_answered)
{
    cr_assert_eq(declare("postgres"), 0);
    cr_expect_eq(query("select repeat('x', 1000) as t from generate_series(1, 1000000)"),
                 BV_E_TOO_LARGE);
    cr_assert_eq(query("select t from generate_series(1, 3) as t"), 0, "%s", lab.error.text);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "rows", NULL), "3");
    cr_assert_eq(query("select 1 where false"), 0, "%s", lab.error.text);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "body", NULL), "[]");
}

/* From a second connection, while the first has nothing to do. */
Test(postgres_actor, a_connection_that_postgresql_ended_meanwhile_is_made_again)
{
    static struct bv_actor other;
    cr_assert_eq(declare("postgres"), 0);
    cr_assert_eq(query("select pg_backend_pid() as pid"), 0);
    char sql[120];
    snprintf(sql,
             sizeof sql,
             "select pg_terminate_backend(%s, 5000)",
             lab_probe(&lab, lab.actor.current, "json", "$[0].pid"));
    other = lab.actor;
    other.state = NULL;
    struct bv_call call = {.values = {{.present = true, .text = BV_BYTES("postgres")}}};
    cr_assert_eq(bv_protocol_postgres.open(&other, &call, &lab.error), 0);
    call.values[0].text = bv_bytes_of(sql);
    cr_assert_eq(bv_protocol_postgres.verbs[0].run(&other, &call, &lab.error), 0);
    bv_protocol_postgres.close(&other);
    cr_assert_eq(query("select 7 as n"), 0, "%s", lab.error.text);
}
