#include "torture_facts.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(torture_facts, rows_are_kept_by_table_in_order)
{
    struct torture_facts *facts = NULL;
    cr_assert_eq(torture_facts_open(&facts), 0);
    torture_note(facts, TORTURE_WRONG, "k1\t%s", "a");
    torture_note(facts, TORTURE_MOVES, "x\t%d\tPAID", 3);
    torture_note(facts, TORTURE_WRONG, "k2\t%s", "b");
    cr_expect(bv_bytes_equal(torture_facts_rows(facts, TORTURE_WRONG), BV_BYTES("k1\ta\nk2\tb\n")));
    cr_expect(bv_bytes_equal(torture_facts_rows(facts, TORTURE_MOVES), BV_BYTES("x\t3\tPAID\n")));
    cr_expect_eq(torture_facts_count(facts, TORTURE_WRONG), 2);
    cr_expect_eq(torture_facts_count(facts, TORTURE_ACKS), 0);
    cr_expect_not(torture_facts_lost(facts));
    torture_facts_close(&facts);
    cr_expect_null(facts);
}

Test(torture_facts, a_fact_that_does_not_fit_spoils_the_conclusion)
{
    struct torture_facts *facts = NULL;
    char *long_text = calloc(1, 8192);
    cr_assert_eq(torture_facts_open(&facts), 0);
    cr_assert_not_null(long_text);
    memset(long_text, 'x', 8191);
    torture_note(facts, TORTURE_WRONG, "%s", long_text);
    cr_expect(torture_facts_lost(facts));
    torture_facts_close(&facts);
    free(long_text);
}
