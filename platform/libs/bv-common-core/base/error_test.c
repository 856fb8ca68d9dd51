#include "bv/error.h"

#include <criterion/criterion.h>
#include <string.h>

Test(error, each_code_has_its_own_row_and_word)
{
    for (int code = BV_E_BASE_ + 1; code < BV_E_END_; code++) {
        const struct bv_error_row *row = bv_error_row(code);
        cr_assert_eq(row->code, code);
        cr_assert(row->http_status >= 400 && row->http_status <= 599, "%s", row->name);
        cr_assert(row->grpc_status >= 1 && row->grpc_status <= 16, "%s", row->name);
        for (int other = BV_E_BASE_ + 1; other < code; other++)
            cr_assert_str_neq(bv_error_row(other)->word, row->word);
    }
}

Test(error, what_is_no_fault_reads_as_internal)
{
    cr_assert_eq(bv_error_row(0)->code, BV_E_INTERNAL);
    cr_assert_eq(bv_error_row(7)->code, BV_E_INTERNAL);
    cr_assert_eq(bv_error_row(BV_E_BASE_)->code, BV_E_INTERNAL);
    cr_assert_eq(bv_error_row(BV_E_END_)->code, BV_E_INTERNAL);
    cr_assert_eq(bv_error_row(-2000000000)->code, BV_E_INTERNAL);
    cr_assert_str_eq(bv_error_row(BV_E_LIMIT)->name, "BV_E_LIMIT");
}

Test(error, first_detail_wins_and_the_code_returns)
{
    struct bv_error error = {0};
    cr_assert_eq(bv_fail(&error, BV_E_LIMIT, "first %d", 1), BV_E_LIMIT);
    cr_assert_eq(bv_fail(&error, BV_E_IO, "second"), BV_E_IO);
    cr_assert_eq(error.code, BV_E_LIMIT);
    cr_assert_str_eq(error.text, "first 1");
    cr_assert_gt(error.line, 0);
    cr_assert_eq(bv_fail(NULL, BV_E_IO, "nobody asks"), BV_E_IO);
}

Test(error, long_detail_is_cut)
{
    struct bv_error error = {0};
    (void)bv_fail(&error, BV_E_IO, "%0400d", 1);
    cr_assert_eq(strlen(error.text), sizeof(error.text) - 1);
}

static int passes_on(int rc)
{
    BV_TRY(rc);
    return 0;
}

Test(error, try_passes_faults_only)
{
    cr_assert_eq(passes_on(0), 0);
    cr_assert_eq(passes_on(BV_E_CLOSED), BV_E_CLOSED);
}
