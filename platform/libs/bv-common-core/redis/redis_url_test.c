#include <criterion/criterion.h>

#include "redis_internal.h"

static const struct {
    const char *url;
    const char *host; /* NULL: refused */
    const char *port;
    const char *user;
    const char *password;
    int64_t database;
} rows[] = {
    {"redis://127.0.0.1:7000", "127.0.0.1", "7000", "",   "",       0},
    {"redis://localhost",      "localhost", "6379", "",   "",       0},
    {"redis://localhost/3",    "localhost", "6379", "",   "",       3},
    {"redis://localhost:1/",   "localhost", "1",    "",   "",       0},
    {"redis://:secret@h:1/2",  "h",         "1",    "",   "secret", 2},
    {"redis://u:p%40%2F%3a@h", "h",         "6379", "u",  "p@/:",   0},
    {"redis://u:a@b@h",        "h",         "6379", "u",  "a@b",    0},
    {"redis://[::1]:7000/1",   "::1",       "7000", "",   "",       1},
    {"redis://[::1]",          "::1",       "6379", "",   "",       0},
    {"redis://[::1]x",         NULL,        NULL,   NULL, NULL,     0},
    {"redis://",               NULL,        NULL,   NULL, NULL,     0},
    {"redis://h:",             NULL,        NULL,   NULL, NULL,     0},
    {"redis://h:0",            NULL,        NULL,   NULL, NULL,     0},
    {"redis://h:65536",        NULL,        NULL,   NULL, NULL,     0},
    {"redis://h/x",            NULL,        NULL,   NULL, NULL,     0},
    {"redis://nopassword@h",   NULL,        NULL,   NULL, NULL,     0},
    {"redis://u:p%4@h",        NULL,        NULL,   NULL, NULL,     0},
    {"redis://u:p%00@h",       NULL,        NULL,   NULL, NULL,     0},
    {"http://h",               NULL,        NULL,   NULL, NULL,     0},
    {"",                       NULL,        NULL,   NULL, NULL,     0},
};

Test(redis_url, every_form_is_taken_apart_or_refused)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct redis_url url;
        struct bv_error error = {0};
        int rc = redis_url_parse(rows[i].url, &url, &error);
        cr_assert_eq(rc, rows[i].host ? 0 : BV_E_INVALID, "%s", rows[i].url);
        if (rc != 0)
            continue;
        cr_expect_str_eq(url.host, rows[i].host);
        cr_expect_str_eq(url.port, rows[i].port);
        cr_expect_str_eq(url.user, rows[i].user);
        cr_expect_str_eq(url.password, rows[i].password);
        cr_expect_eq(url.database, rows[i].database);
    }
}

Test(redis_url, a_refusal_does_not_show_the_password)
{
    struct redis_url url;
    struct bv_error error = {0};
    cr_assert_eq(redis_url_parse("redis://u:hunter2@h:x", &url, &error), BV_E_INVALID);
    cr_expect_null(strstr(error.text, "hunter2"));
}
