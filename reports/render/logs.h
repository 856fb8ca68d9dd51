/* The processes' logs of a run, cut to what a reader of its scenarios needs.
 * Invariant: only lines that fall into a scenario's time are kept, within REPORT_LOG_BYTES_MAX;
 * when that is not enough, warnings and errors stay first, then lines of a scenario's trace, then
 * lines beside red steps. What was left out is counted per process. Thread: one owner at a time. */
#ifndef BV_LOGS_H
#define BV_LOGS_H

#include "records.h"

#define REPORT_LOG_BYTES_MAX ((size_t)384 << 10)                   /* of all lines kept */
#define REPORT_LOG_FILE_BYTES_MAX ((size_t)64 << 20)               /* read of one file, its end */
#define REPORT_LOG_LINE_BYTES_MAX ((size_t)2 << 10)                /* kept of one line */
enum { REPORT_LOG_EARLY_US = 20000, REPORT_LOG_LATE_US = 100000 }; /* around a scenario */

enum report_log_level { REPORT_LOG_DEBUG, REPORT_LOG_INFO, REPORT_LOG_WARN, REPORT_LOG_ERROR };

struct report_log_line {
    int64_t us;            /* since the run began */
    struct bv_bytes text;  /* arena of the report */
    struct bv_bytes trace; /* 32 digits in text, empty: none */
    size_t part;
    enum report_log_level level;
    int rank; /* 0 is kept first */
};

struct report_log_part {
    struct bv_bytes name;
    struct bv_bytes path;
    size_t kept;
    size_t left_out; /* fell into a scenario's time, but not into the limit */
    bool missing;    /* the file cannot be read, or its path leaves the run's folder */
};

struct report_logs {
    struct report_log_part *parts; /* arena of the report */
    size_t part_count;
    struct report_log_line *lines; /* by us */
    size_t line_count;
};

/* Reads the logs that the records "log" name, relative to folder.
 * Effect:    reads files.
 * Ranges:    times without a zone are this machine's.
 * Ownership: *ret_logs lives in report->arena.
 * Outcomes:  none; a file that cannot be read is marked missing.
 * Errors:    BV_E_NOMEM, BV_E_LIMIT (the report's memory).
 * Thread:    owner; blocks. */
BV_MUST_CHECK int
report_logs_read(const struct report *report, const char *folder, struct report_logs *ret_logs);

/* Reads one line: its time, level and trace. *ret_us is absolute, microseconds since 1970.
 * Outcomes:  REPORT_LOG_UNDATED when it has no time of its own (a continuation); nothing is written
 * then. Source:    bv/log.h (JSON lines); log_line_prefix=%m of PostgreSQL; Redis 7; log4j's
 * "[yyyy-MM-dd HH:mm:ss,SSS] LEVEL". */
#define REPORT_LOG_UNDATED 1
int report_log_line_read(struct bv_bytes text, struct report_log_line *ret_line, int64_t *ret_us);

#endif
