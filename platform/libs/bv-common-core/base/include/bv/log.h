/* JSON-lines log: a fixed event name, then typed fields; one object per line.
 * Invariant: lines are whole (buffered, written at flush); secrets never appear:
 * fields of kind SECRET print "***" and so do string fields whose key is a secret's name
 * (authorization, password, secret, token, cookie). Thread: loop of the owner; bv_log_line itself:
 * any (mutex). */
#ifndef BV_LOG_H
#define BV_LOG_H

#include "bv/env.h"

enum bv_level { BV_DEBUG, BV_INFO, BV_WARN, BV_ERROR };

struct bv_log_field {
    const char *key;
    enum {
        BV_LOG_INT,
        BV_LOG_STRING,
        BV_LOG_BOOL,
        BV_LOG_SECRET,
        BV_LOG_MS
    } kind; /* MS: microseconds in, milliseconds with 3 decimals out */
    int64_t number;
    struct bv_bytes text;
};
#define BV_F_INT(k, v)                                                                             \
    ((struct bv_log_field){.key = (k), .kind = BV_LOG_INT, .number = (int64_t)(v)})
#define BV_F_STR(k, v) ((struct bv_log_field){.key = (k), .kind = BV_LOG_STRING, .text = (v)})
#define BV_F_TEXT(k, v)                                                                            \
    ((struct bv_log_field){.key = (k), .kind = BV_LOG_STRING, .text = bv_bytes_of(v)})
#define BV_F_BOOL(k, v)                                                                            \
    ((struct bv_log_field){.key = (k), .kind = BV_LOG_BOOL, .number = (v) ? 1 : 0})
#define BV_F_US(k, v) ((struct bv_log_field){.key = (k), .kind = BV_LOG_MS, .number = (int64_t)(v)})
#define BV_F_SECRET(k) ((struct bv_log_field){.key = (k), .kind = BV_LOG_SECRET})

struct bv_log_config {
    const char *service;  /* borrowed for the log's life */
    const char *instance; /* borrowed; may be NULL */
    int fd;               /* where lines go, usually 2 */
    enum bv_level level;
    size_t buffer_bytes_max; /* lines wait here until bv_log_flush; a full buffer flushes itself */
};
struct bv_trace;
/* Opens a log.
 * Effect:    allocates buffer_bytes_max now (at least 1 KiB); writes nothing yet.
 * Ownership: clock and the strings of config are borrowed for the log's life, fd is not closed; the
 *            caller closes the log.
 * Outcomes:  none.
 * Errors:    BV_E_NOMEM.
 * Thread:    start. */
BV_MUST_CHECK int bv_log_open(const struct bv_log_config *config,
                              const struct bv_clock *clock,
                              struct bv_log **ret_log);
/* Flushes, and waits up to a second for a reader that takes nothing; accepts NULL, leaves NULL. */
void bv_log_close(struct bv_log **log);
/* Writes the waiting lines: to a file in one write, else whole lines up to PIPE_BUF bytes at a
 * time. Never waits for a reader: what a full pipe refuses stays in the buffer. When the buffer is
 * full too, and when a write fails (disk full, no reader), lines are dropped whole, counted, and
 * told later by a line log.lines_dropped. NULL log: nothing. Thread: any. */
void bv_log_flush(struct bv_log *log);
void bv_log_level_set(struct bv_log *log, enum bv_level level);
bool bv_log_wants(const struct bv_log *log, enum bv_level level); /* NULL log: false */
/* Appends one line: ts, level, service, instance, event, trace_id, span_id, then the fields.
 * Effect:    WARN and ERROR flush at once; a line larger than the buffer is written without its
 *            fields and with "truncated":true. Below the level, or with a NULL log: nothing.
 * Ranges:    event and keys are fixed names; string fields are escaped, NULL text prints null, bad
 *            UTF-8 becomes U+FFFD. A string whose key contains a secret's name in any case
 *            ("setCookie", "refresh_token") prints "***".
 * Ownership: everything is borrowed for the call; trace may be NULL.
 * Outcomes:  none. Errors: none. Thread: any. */
void bv_log_line(struct bv_log *log,
                 enum bv_level level,
                 const char *event,
                 const struct bv_trace *trace,
                 const struct bv_log_field *fields,
                 size_t count);
#define bv_log(log_, level_, event_, trace_, ...)                                                  \
    do {                                                                                           \
        if (bv_log_wants((log_), (level_))) {                                                      \
            const struct bv_log_field bv_fields_[] = {__VA_ARGS__};                                \
            bv_log_line((log_), (level_), (event_), (trace_), bv_fields_, BV_COUNT(bv_fields_));   \
        }                                                                                          \
    } while (0)
/* "debug", "info", "warn" or "error"; BV_E_INVALID otherwise. Thread: any. */
BV_MUST_CHECK int bv_level_parse(struct bv_bytes text, enum bv_level *ret_level);

#endif
