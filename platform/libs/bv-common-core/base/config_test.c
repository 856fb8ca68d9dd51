#include "bv/config.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct settings {
    const char *host;
    int64_t port;
    bool verbose;
    int64_t drain_ms;
    int64_t cache_bytes;
    const char *key;
};
#define AT(member) offsetof(struct settings, member)
static const struct bv_option rows[] = {
    {"host",      AT(host),        BV_OPT_TEXT,     "127.0.0.1", 1, 255,     BV_PUBLIC,       "", "a"},
    {"http-port", AT(port),        BV_OPT_INT,      "8080",      1, 65535,   BV_PUBLIC,       "", "b"},
    {"verbose",   AT(verbose),     BV_OPT_SWITCH,   "0",         0, 0,       BV_PUBLIC,       "", "c"},
    {"drain",     AT(drain_ms),    BV_OPT_DURATION, "5s",        0, 3600000, BV_PUBLIC,       "", "d"},
    {"cache",     AT(cache_bytes), BV_OPT_SIZE,     "64k",       0, 1 << 30, BV_PUBLIC,       "", "e"},
    {"key",       AT(key),         BV_OPT_TEXT,     "",          0, 8,       BV_SECRET_VALUE, "", "f"},
};

static struct settings settings;
static struct bv_error error;
static const struct bv_option_set set = {rows, BV_COUNT(rows), &settings};

#define read_options(...)                                                                          \
    read_list((char *[]){(char *)"program", ##__VA_ARGS__},                                        \
              (int)BV_COUNT(((char *[]){(char *)"program", ##__VA_ARGS__})))

static int read_list(char **argv, int argc)
{
    error = (struct bv_error){0};
    return bv_config_read(&set, 1, argc, argv, &error);
}

Test(config, defaults_come_from_the_table)
{
    cr_assert_eq(read_options(), 0);
    cr_assert_str_eq(settings.host, "127.0.0.1");
    cr_assert_eq(settings.port, 8080);
    cr_assert_eq(settings.verbose, false);
    cr_assert_eq(settings.drain_ms, 5000);
    cr_assert_eq(settings.cache_bytes, 65536);
    cr_assert_str_eq(settings.key, "");
}

Test(config, flag_wins_over_environment_wins_over_default)
{
    setenv("BV_HTTP_PORT", "1000", 1);
    setenv("BV_VERBOSE", "true", 1);
    cr_assert_eq(read_options(), 0);
    cr_assert_eq(settings.port, 1000);
    cr_assert_eq(settings.verbose, true);
    cr_assert_eq(read_options("--http-port", "2000", "--verbose=false"), 0);
    cr_assert_eq(settings.port, 2000);
    cr_assert_eq(settings.verbose, false);
    setenv("BV_HTTP_PORT", "junk", 1);
    cr_assert_eq(read_options("--http-port=3000", "--http-port", "3001"), 0);
    cr_assert_eq(settings.port, 3001, "the last flag wins, the bad variable is not read");
}

Test(config, durations_and_sizes)
{
    static const struct {
        char *duration;
        int64_t ms;
        char *size;
        int64_t bytes;
    } good[] = {
        {"250ms", 250,     "0",  0      },
        {"5s",    5000,    "3k", 3072   },
        {"2m",    120000,  "8M", 8 << 20},
        {"1h",    3600000, "1g", 1 << 30},
        {"17",    17,      "17", 17     },
        {"0",     0,       "1K", 1024   },
    };
    for (size_t i = 0; i < BV_COUNT(good); i++) {
        cr_assert_eq(read_options("--drain", good[i].duration, "--cache", good[i].size), 0);
        cr_assert_eq(settings.drain_ms, good[i].ms);
        cr_assert_eq(settings.cache_bytes, good[i].bytes);
    }
    static char *const bad[] = {
        "", "s", "5 s", "5d", "1.5s", "-1s", "2h", "9223372036854775807h", "5ss"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        cr_assert_eq(read_options("--drain", bad[i]), BV_E_INVALID, "%s", bad[i]);
        cr_assert_str_eq(error.pointer, "drain");
    }
    cr_assert_eq(read_options("--cache", "2g"), BV_E_INVALID);
}

Test(config, refusals_tell_the_key_the_value_and_the_range)
{
    cr_assert_eq(read_options("--http-port", "70000"), BV_E_INVALID);
    cr_assert_str_eq(error.text, "--http-port is \"70000\", it must be an integer, 1 to 65535.");
    cr_assert_str_eq(error.pointer, "http-port");
    cr_assert_eq(read_options("--http-port"), BV_E_INVALID);
    cr_assert_str_eq(error.text, "--http-port needs a value.");
    cr_assert_eq(read_options("--verbose=maybe"), BV_E_INVALID);
    cr_assert_str_eq(error.text, "--verbose is \"maybe\", it must be 0, 1, true or false.");
    cr_assert_eq(read_options("--host", ""), BV_E_INVALID);
    cr_assert_eq(read_options("--htp-port", "1"), BV_E_INVALID);
    cr_assert_str_eq(error.text, "--htp-port is not known; did you mean --http-port?");
    cr_assert_eq(read_options("--quite-something-else"), BV_E_INVALID);
    cr_assert_str_eq(error.text, "--quite-something-else is not known; --help lists the options.");
    cr_assert_eq(read_options("stray"), BV_E_INVALID);
    cr_assert_eq(read_options("-v"), BV_E_INVALID);
    cr_assert_eq(read_options("--"), BV_E_INVALID);
    cr_assert_eq(read_options("--key", "hunter2hunter2"), BV_E_INVALID);
    cr_assert_null(strstr(error.text, "hunter2"));
}

Test(config, help_is_an_outcome_before_any_error)
{
    settings.port = 7;
    cr_assert_eq(read_options("--nonsense", "--help"), BV_CONFIG_HELP);
    cr_assert_eq(settings.port, 7);
}

Test(config, what_has_no_default_is_required)
{
    static const struct bv_option needed[] = {
        {"pg-url", 0, BV_OPT_TEXT, NULL, 1, 100, BV_PUBLIC, "", "Where the database is."}
    };
    const char *url = NULL;
    const struct bv_option_set sets[] = {
        set, {needed, 1, &url}
    };
    char *bare[] = {"program"};
    char *given[] = {"program", "--pg-url", "x", "--http-port", "5"};
    cr_assert_eq(bv_config_read(sets, 2, 1, bare, &error), BV_E_INVALID);
    cr_assert_str_eq(error.text,
                     "--pg-url (environment BV_PG_URL) is required: Where the database is.");
    cr_assert_eq(bv_config_read(sets, 2, 5, given, &error), 0);
    cr_assert_str_eq(url, "x");
    cr_assert_eq(settings.port, 5);
}

Test(config, nearest_word)
{
    static const char *const words[] = {"publish", "await", "receive", "is"};
    cr_assert_str_eq(bv_nearest("pubish", words, 4), "publish");
    cr_assert_str_eq(bv_nearest("recieve", words, 4), "receive");
    cr_assert_str_eq(bv_nearest("await", words, 4), "await");
    cr_assert_null(bv_nearest("xyzzyfoo", words, 4));
    cr_assert_null(bv_nearest("", words, 4));
    cr_assert_null(bv_nearest("qz", words, 4), "sharing nothing is not near");
    cr_assert_null(bv_nearest("await", words, 0));
    cr_assert_null(bv_nearest(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", words, 4));
}
