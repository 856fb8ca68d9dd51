/* Configuration by table: one row gives environment variable, flag, type, default, range, help,
 * README table and redaction. Precedence: flag, then environment, then default. One struct per
 * program, read once, then const. Thread: start only. */
#ifndef BV_CONFIG_H
#define BV_CONFIG_H

#include "bv/bytes.h"

enum bv_option_type {
    BV_OPT_TEXT,     /* const char *; min/max are byte lengths */
    BV_OPT_INT,      /* int64_t */
    BV_OPT_SWITCH,   /* bool: flag without value, or env 0/1/true/false */
    BV_OPT_DURATION, /* int64_t milliseconds; accepts 250ms, 5s, 2m, 1h, or a bare number of
                        milliseconds */
    BV_OPT_SIZE      /* int64_t bytes; accepts 64k, 8m, 1g (powers of 1024) */
};
struct bv_option {
    const char *key; /* "http-port": flag --http-port, environment BV_HTTP_PORT */
    size_t offset;
    enum bv_option_type type;
    const char *fallback; /* default as text; NULL: the option is required */
    int64_t min;
    int64_t max;
    enum { BV_PUBLIC, BV_SECRET_VALUE } secrecy;
    const char *unit; /* for help, "" when none */
    const char *help; /* one sentence */
};
struct bv_option_set { /* several tables may fill one struct or several */
    const struct bv_option *rows;
    size_t count;
    void *target;
};
/* Reads flags, environment and defaults into the targets.
 * Effect:    `--key value`, `--key=value`, `--switch`, `--switch=false`; of repeated flags the last
 *            wins; a variable that a flag overrides is not looked at. A key in several sets fills
 *            each.
 * Ranges:    min and max hold for defaults as well.
 * Ownership: text values borrow argv, environ or the table.
 * Outcomes:  BV_CONFIG_HELP when --help was given (targets untouched; the caller prints help).
 * Errors:    BV_E_INVALID with the key as pointer, the value (secrets "***"), its problem and the
 *            range; unknown flags name the nearest known one.
 * Thread:    start. */
#define BV_CONFIG_HELP 1
BV_MUST_CHECK int bv_config_read(const struct bv_option_set *sets,
                                 size_t set_count,
                                 int argc,
                                 char **argv,
                                 struct bv_error *error);
/* Printers, all from the table. Secrets print "***". Errors: BV_E_TOO_LARGE when buf failed. */
int bv_config_help(struct bv_buf *buf,
                   const char *program,
                   const char *purpose,
                   const struct bv_option_set *sets,
                   size_t set_count);
int bv_config_markdown(struct bv_buf *buf,
                       const struct bv_option_set *sets,
                       size_t set_count); /* README table */
int bv_config_print(struct bv_buf *buf,
                    const struct bv_option_set *sets,
                    size_t set_count); /* effective values as JSON, secrets "***" */
/* Nearest of words (at most 63 bytes each) by edit distance, at most 3; NULL when none: for "did
 * you mean". Of equally near ones the first. Ownership: the result is one of words. Thread: any. */
const char *bv_nearest(const char *word, const char *const *words, size_t count);

#endif
