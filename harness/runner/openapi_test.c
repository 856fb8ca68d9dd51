#include "openapi.h"

#include <criterion/criterion.h>

static const struct {
    const char *yaml;
    const char *json; /* NULL: refused */
} rows[] = {
    {"a: 1\nb: [x, \"2\", ~, true]\n",   "{\"a\":1,\"b\":[\"x\",\"2\",null,true]}"              },
    {"a: -0.5\nb: 010\nc: 1.\nd: -.5\n", "{\"a\":-0.5,\"b\":\"010\",\"c\":\"1.\",\"d\":\"-.5\"}"},
    {"",                                 NULL                                                   },
    {"# nothing\n",                      NULL                                                   },
    {"a: 1\n---\nb: 2\n",                NULL                                                   },
    {"- &a x\n- *a\n",                   NULL                                                   },
    {"? [a, b]\n: c\n",                  NULL                                                   },
    {"a: [1\n",                          NULL                                                   },
};

Test(openapi, one_document_becomes_json_or_is_refused_with_a_reason)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        bv_auto(bv_buf_release) struct bv_buf json = {.max = 65536};
        struct bv_error error = {0};
        const int rc = openapi_from_yaml(&json, bv_bytes_of(rows[i].yaml), &error);
        cr_assert_eq(rc, rows[i].json ? 0 : BV_E_INVALID, "%s: %s", rows[i].yaml, error.text);
        if (rows[i].json)
            cr_expect(bv_bytes_equal(bv_buf_view(&json), bv_bytes_of(rows[i].json)),
                      "%.*s",
                      BV_ARG(bv_buf_view(&json)));
        else
            cr_expect_neq(error.text[0], '\0', "%s", rows[i].yaml);
    }
}
