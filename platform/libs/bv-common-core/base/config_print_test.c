#include "bv/config.h"

#include <criterion/criterion.h>

struct settings {
    int64_t port;
    bool verbose;
    const char *key;
    int64_t drain_ms;
};
static const struct bv_option rows[] = {
    {"http-port",
     offsetof(struct settings, port),
     BV_OPT_INT,      "8080",
     1, 65535,
     BV_PUBLIC,       "",
     "Port | listens."},
    {"verbose",
     offsetof(struct settings, verbose),
     BV_OPT_SWITCH,   "0",
     0, 0,
     BV_PUBLIC,       "",
     "Talks."         },
    {"key",
     offsetof(struct settings, key),
     BV_OPT_TEXT,     "dev-key",
     0, 99,
     BV_SECRET_VALUE, "",
     "Signs."         },
    {"drain",
     offsetof(struct settings, drain_ms),
     BV_OPT_DURATION, NULL,
     0, 9000,
     BV_PUBLIC,       "",
     "Waits."         },
};
static struct settings settings = {80, true, "hunter2", 250};
static const struct bv_option_set set = {rows, BV_COUNT(rows), &settings};
static struct bv_buf buf = {.max = 1 << 16};

static void release_buf(void)
{
    bv_buf_release(&buf);
}

TestSuite(config_print, .fini = release_buf);

#define assert_text(literal)                                                                       \
    cr_assert(bv_bytes_equal(bv_buf_view(&buf), BV_BYTES(literal)), "%.*s", BV_ARG(buf))

Test(config_print, effective_values_without_secrets)
{
    cr_assert_eq(bv_config_print(&buf, &set, 1), 0);
    assert_text("{\"http-port\":80,\"verbose\":true,\"key\":\"***\",\"drain\":250}");
}

Test(config_print, readme_table)
{
    cr_assert_eq(bv_config_markdown(&buf, &set, 1), 0);
    assert_text(
        "| option | environment | type | default | range | meaning |\n"
        "|---|---|---|---|---|---|\n"
        "| `--http-port` | `BV_HTTP_PORT` | integer | 8080 | 1 to 65535 | Port \\| listens. |\n"
        "| `--verbose` | `BV_VERBOSE` | switch | 0 |  | Talks. |\n"
        "| `--key` | `BV_KEY` | text | *** | 0 to 99 bytes | Signs. |\n"
        "| `--drain` | `BV_DRAIN` | duration | required | 0 to 9000 ms | Waits. |\n");
}

Test(config_print, help_names_every_option)
{
    cr_assert_eq(bv_config_help(&buf, "order", "Takes orders.", &set, 1), 0);
    bv_buf_char(&buf, '\0');
    cr_assert_eq(strncmp(buf.data, "Usage: order [--option value]...\nTakes orders.\n", 47), 0);
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_assert_not_null(strstr(buf.data, rows[i].key));
        cr_assert_not_null(strstr(buf.data, rows[i].help));
    }
    cr_assert_not_null(
        strstr(buf.data, "environment BV_HTTP_PORT; default 8080; range 1 to 65535\n"));
    cr_assert_null(strstr(buf.data, "dev-key"));
}

Test(config_print, a_full_buffer_is_told)
{
    struct bv_buf small = {.max = 10};
    cr_assert_eq(bv_config_help(&small, "order", "", &set, 1), BV_E_TOO_LARGE);
    bv_buf_release(&small);
}
