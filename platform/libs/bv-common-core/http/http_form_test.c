#include "bv/http.h"
#include <criterion/criterion.h>
#include <stdio.h>

static int form(const char *body, const char *name, char out[64])
{
    struct bv_arena *arena = NULL;
    struct bv_bytes value;
    cr_assert_eq(bv_arena_open(65536, &arena), 0);
    int rc = bv_http_form(arena, bv_bytes_of(body), name, &value);
    if (rc == 0)
        snprintf(out, 64, "%.*s", BV_ARG(value));
    bv_arena_close(&arena);
    return rc;
}

Test(http_form, finds_and_decodes)
{
    static const struct {
        const char *body, *name, *value;
    } rows[] = {
        {"a=1&b=2",     "b",  "2"    },
        {"a=1&a=2",     "a",  "1"    },
        {"a=x+y%2Bz",   "a",  "x y+z"},
        {"%61b=%C3%A9", "ab", "é"   },
        {"a",           "a",  ""     },
        {"a=&b=",       "b",  ""     },
        {"",            "a",  ""     },
        {"&&a=1&&",     "a",  "1"    },
        {"a=b=c",       "a",  "b=c"  },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char out[64] = "?";
        cr_expect_eq(form(rows[i].body, rows[i].name, out), 0, "%s", rows[i].body);
        cr_expect_str_eq(out, rows[i].value, "%s", rows[i].body);
    }
}

Test(http_form, bad_escapes_are_refused)
{
    static const char *const bodies[] = {"a=%", "a=%4", "a=%G0", "a=%0G", "%=1"};
    for (size_t i = 0; i < BV_COUNT(bodies); i++) {
        char out[64];
        cr_expect_eq(form(bodies[i], "a", out), BV_E_INVALID, "%s", bodies[i]);
    }
}
