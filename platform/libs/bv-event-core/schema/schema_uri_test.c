#include <criterion/criterion.h>

#include "schema_private.h"

/* RFC 3986, section 5.4, without the fragments, which travel apart. */
static const struct {
    const char *reference;
    const char *target;
} rows[] = {
    {"g:h",        "g:h"               },
    {"g",          "http://a/b/c/g"    },
    {"./g",        "http://a/b/c/g"    },
    {"g/",         "http://a/b/c/g/"   },
    {"/g",         "http://a/g"        },
    {"//g",        "http://g"          },
    {"?y",         "http://a/b/c/d;p?y"},
    {"g?y",        "http://a/b/c/g?y"  },
    {"",           "http://a/b/c/d;p?q"},
    {".",          "http://a/b/c/"     },
    {"./",         "http://a/b/c/"     },
    {"..",         "http://a/b/"       },
    {"../g",       "http://a/b/g"      },
    {"../..",      "http://a/"         },
    {"../../g",    "http://a/g"        },
    {"../../../g", "http://a/g"        },
    {"/./g",       "http://a/g"        },
    {"/../g",      "http://a/g"        },
    {"g.",         "http://a/b/c/g."   },
    {"..g",        "http://a/b/c/..g"  },
    {"./g/.",      "http://a/b/c/g/"   },
    {"g/../h",     "http://a/b/c/h"    },
};

Test(schema_uri, resolves_the_examples_of_rfc_3986)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char out[URI_MAX];
        struct bv_bytes fragment;
        cr_assert_eq(
            uri_resolve("http://a/b/c/d;p?q", bv_bytes_of(rows[i].reference), out, &fragment), 0);
        cr_expect_str_eq(out, rows[i].target, "%s: %s", rows[i].reference, out);
    }
}

Test(schema_uri, a_name_without_scheme_is_a_base_too)
{
    char out[URI_MAX];
    struct bv_bytes fragment;
    cr_assert_eq(
        uri_resolve("order.schema.json", BV_BYTES("common.schema.json#/$defs/a"), out, &fragment),
        0);
    cr_assert_str_eq(out, "common.schema.json");
    cr_assert(bv_bytes_equal(fragment, BV_BYTES("/$defs/a")));
    cr_assert_eq(uri_resolve("order.schema.json", BV_BYTES("#"), out, &fragment), 0);
    cr_assert_str_eq(out, "order.schema.json");
}
