#include <criterion/criterion.h>

#include "flyway.h"

static const struct {
    const char *file;
    const char *version; /* NULL: refused */
    const char *description;
} names[] = {
    {"V001__create_orders.sql",      "001",            "create orders"},
    {"V1.2__a.sql",                  "1.2",            "a"            },
    {"V1_2__a_b_c.sql",              "1.2",            "a b c"        },
    {"V20260102030405__x.sql",       "20260102030405", "x"            },
    {"V1__a__b.sql",                 "1",              "a  b"         },
    {"V1_a.sql",                     NULL,             NULL           },
    {"V__a.sql",                     NULL,             NULL           },
    {"V1__.sql",                     NULL,             NULL           },
    {"Vx__a.sql",                    NULL,             NULL           },
    {"V1.__a.sql",                   NULL,             NULL           },
    {"V1..2__a.sql",                 NULL,             NULL           },
    {"V-1__a.sql",                   NULL,             NULL           },
    {"V1.2.3.4.5.6.7.8.9__a.sql",    NULL,             NULL           },
    {"V99999999999999999999__a.sql", NULL,             NULL           },
    {"R__view.sql",                  NULL,             NULL           },
    {"v1__a.sql",                    NULL,             NULL           },
    {"V1__a.txt",                    NULL,             NULL           },
    {"",                             NULL,             NULL           },
};

Test(flyway, file_names_parse_as_flyway_reads_them)
{
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        struct flyway_name name;
        struct bv_error error = {0};
        int rc = flyway_name_parse(names[i].file, &name, &error);
        cr_expect_eq(rc, names[i].version ? 0 : BV_E_INVALID, "%s", names[i].file);
        if (rc != 0) {
            cr_expect_neq(error.text[0], '\0');
            continue;
        }
        cr_expect_str_eq(name.version, names[i].version);
        cr_expect_str_eq(name.description, names[i].description);
    }
}

static const struct {
    const char *less;
    const char *more;
} orders[] = {
    {"1",   "2"    },
    {"9",   "10"   },
    {"1.9", "1.10" },
    {"1",   "1.1"  },
    {"001", "2"    },
    {"1.2", "1.2.1"},
};

Test(flyway, versions_compare_as_numbers)
{
    for (size_t i = 0; i < BV_COUNT(orders); i++) {
        int64_t less[FLYWAY_VERSION_PARTS_MAX];
        int64_t more[FLYWAY_VERSION_PARTS_MAX];
        cr_assert_eq(flyway_version_parse(orders[i].less, less), 0);
        cr_assert_eq(flyway_version_parse(orders[i].more, more), 0);
        cr_expect_lt(
            flyway_version_compare(less, more), 0, "%s < %s", orders[i].less, orders[i].more);
        cr_expect_gt(flyway_version_compare(more, less), 0);
    }
    int64_t one[FLYWAY_VERSION_PARTS_MAX];
    int64_t one_zero[FLYWAY_VERSION_PARTS_MAX];
    cr_assert_eq(flyway_version_parse("001", one), 0);
    cr_assert_eq(flyway_version_parse("1.0", one_zero), 0);
    cr_expect_eq(flyway_version_compare(one, one_zero), 0);
}

/* The files of Flyway's own quickstart with the checksums that Flyway 7.15 printed for them. */
static const char create_person[] =
    "create table PERSON (\n    ID int not null,\n    NAME varchar(100) not null\n);\n";
static const char add_people[] = "insert into PERSON (ID, NAME) values (1, 'Axel');\n"
                                 "insert into PERSON (ID, NAME) values (2, 'Mr. Foo');\n"
                                 "insert into PERSON (ID, NAME) values (3, 'Ms. Bar');\n";

Test(flyway, checksum_equals_the_one_flyway_prints)
{
    cr_expect_eq(flyway_checksum(bv_bytes_of(create_person)), 1715188512);
    cr_expect_eq(flyway_checksum(bv_bytes_of(add_people)), 476766047);
}

Test(flyway, checksum_ignores_line_ends_and_byte_order_mark)
{
    int32_t plain = flyway_checksum(BV_BYTES("a\nb\n"));
    cr_expect_eq(flyway_checksum(BV_BYTES("a\r\nb")), plain);
    cr_expect_eq(flyway_checksum(BV_BYTES("\xEF\xBB\xBF"
                                          "a\nb\n")),
                 plain);
    cr_expect_neq(flyway_checksum(BV_BYTES("a\nc\n")), plain);
    cr_expect_eq(flyway_checksum(BV_BYTES("")), 0);
}

Test(flyway, a_position_counts_characters_not_bytes)
{
    struct bv_bytes text = BV_BYTES("-- \xC3\xA4\xC3\xB6\xC3\xBC\nselect x;\n");
    cr_expect_eq(sql_line_of_position(text, 6), 1);
    cr_expect_eq(sql_line_of_position(text, 8), 2);
    cr_expect_eq(sql_line_of_position(text, 1000), 3);
}

static const char script[] = "-- a comment; with a semicolon\n"
                             "create table a (t text default ';');\n" /* 2 */
                             ";;\n"
                             "/* block; /* nested; */ ; */\n"
                             "create function f() returns int language plpgsql as $body$\n" /* 5 */
                             "begin return 1; end; $$ ; \n"
                             "$body$;\n"
                             "insert into a values ('it''s; fine'), (E'\\';');\n" /* 8 */
                             "select 1 as \"odd;name\"; select $1\n"              /* 9, 9 */
                             "  + 2\n"
                             ";\n"
                             "select 3";

static const struct {
    size_t index;
    uint32_t line;
} statements[] = {
    {0, 2 },
    {1, 5 },
    {2, 8 },
    {3, 9 },
    {4, 9 },
    {5, 12},
    {9, 12},
};

Test(flyway, statements_are_found_through_quotes_and_comments)
{
    for (size_t i = 0; i < BV_COUNT(statements); i++)
        cr_expect_eq(sql_line_of_statement(bv_bytes_of(script), statements[i].index),
                     statements[i].line,
                     "statement %zu",
                     statements[i].index);
    cr_expect_eq(sql_line_of_statement(BV_BYTES(""), 0), 1);
    cr_expect_eq(sql_line_of_statement(BV_BYTES("'open"), 0), 1);
    cr_expect_eq(sql_line_of_statement(BV_BYTES("/* open"), 3), 1);
}
