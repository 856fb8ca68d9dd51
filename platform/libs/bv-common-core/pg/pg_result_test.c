#include <criterion/criterion.h>

#include "pg_internal.h"

static const struct {
    const char *sqlstate;
    int code;
} rows[] = {
    {"23505", BV_E_EXISTS       },
    {"23P01", BV_E_CONFLICT     },
    {"23502", BV_E_UNPROCESSABLE},
    {"23503", BV_E_UNPROCESSABLE},
    {"23514", BV_E_UNPROCESSABLE},
    {"P0001", BV_E_UNPROCESSABLE},
    {"P0002", BV_E_INTERNAL     },
    {"40001", BV_E_CONFLICT     },
    {"40P01", BV_E_CONFLICT     },
    {"40003", BV_E_UNAVAILABLE  },
    {"55P03", BV_E_CONFLICT     },
    {"55000", BV_E_INTERNAL     },
    {"57014", BV_E_TIMEOUT      },
    {"57P01", BV_E_UNAVAILABLE  },
    {"53100", BV_E_UNAVAILABLE  },
    {"53300", BV_E_UNAVAILABLE  },
    {"08006", BV_E_UNAVAILABLE  },
    {"25006", BV_E_UNAVAILABLE  },
    {"26000", BV_E_UNAVAILABLE  },
    {"42601", BV_E_INTERNAL     },
    {"22P02", BV_E_INTERNAL     },
    {"",      BV_E_INTERNAL     },
    {NULL,    BV_E_INTERNAL     },
};

Test(pg_result, every_sqlstate_maps_to_its_code)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_eq(pg_code_of_sqlstate(rows[i].sqlstate),
                     rows[i].code,
                     "%s",
                     rows[i].sqlstate ? rows[i].sqlstate : "NULL");
}

Test(pg_result, a_message_is_its_first_line_cut_to_size)
{
    char out[8];
    pg_message_line("one\ntwo", out, sizeof out);
    cr_expect_str_eq(out, "one");
    pg_message_line("longer than that", out, sizeof out);
    cr_expect_str_eq(out, "longer ");
    pg_message_line(NULL, out, sizeof out);
    cr_expect_str_eq(out, "");
}
