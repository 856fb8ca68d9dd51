#include "postgres_actor.h"

#include "bv/test_stack.h"
#include "lab.h"
#include <criterion/criterion.h>

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
