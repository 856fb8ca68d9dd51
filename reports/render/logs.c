#include "logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEFT_OUT = 4 }; /* rank after the last */

/* ---- one line ---- */

/* The value of a string member of a JSON line of ours; quotes within values are escaped there, so
 * the search cannot be fooled. */
static struct bv_bytes member(struct bv_bytes text, const char *key)
{
    size_t size = strlen(key);
    const char *at = memmem(text.data, text.size, key, size);
    if (!at)
        return BV_BYTES_NONE;
    at += size;
    size_t left = text.size - (size_t)(at - text.data);
    const char *end = memchr(at, '"', left);
    return end ? (struct bv_bytes){at, (size_t)(end - at)} : BV_BYTES_NONE;
}

static enum report_log_level level_of_word(struct bv_bytes word)
{
    static const struct {
        const char *word;
        enum report_log_level level;
    } words[] = {
        {"debug",   REPORT_LOG_DEBUG},
        {"warn",    REPORT_LOG_WARN },
        {"warning", REPORT_LOG_WARN },
        {"error",   REPORT_LOG_ERROR},
        {"fatal",   REPORT_LOG_ERROR},
        {"panic",   REPORT_LOG_ERROR},
    };
    for (size_t i = 0; i < BV_COUNT(words); i++)
        if (bv_bytes_equal_nocase(word, bv_bytes_of(words[i].word)))
            return words[i].level;
    return REPORT_LOG_INFO;
}

/* The loudest level word among the first words of a plain line. */
static enum report_log_level level_of_text(struct bv_bytes text)
{
    enum report_log_level level = REPORT_LOG_INFO;
    size_t limit = text.size < 96 ? text.size : 96;
    for (size_t at = 0; at < limit;) {
        size_t size = 0;
        while (at + size < limit && text.data[at + size] >= 'A' && text.data[at + size] <= 'Z')
            size++;
        enum report_log_level found = level_of_word((struct bv_bytes){text.data + at, size});
        if (found > level)
            level = found;
        at += size + 1;
    }
    return level;
}

/* Local wall clock taken as if it were UTC, moved to UTC. */
static int64_t from_local(int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * 1000000 + us % 1000000;
}

/* "31789:C 23 Nov 2026 02:38:24.173 # ..." */
static int redis_time(struct bv_bytes text, int64_t *ret_us)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char line[64] = "";
    char month[4] = "";
    int day, year, hour, minute, second, millisecond;
    memcpy(line, text.data, text.size < sizeof line - 1 ? text.size : sizeof line - 1);
    if (sscanf(line,
               "%*d:%*c %2d %3s %4d %2d:%2d:%2d.%3d",
               &day,
               month,
               &year,
               &hour,
               &minute,
               &second,
               &millisecond) != 7)
        return BV_E_INVALID;
    const char *place = strstr(months, month);
    if (!place || strlen(month) != 3 || (place - months) % 3)
        return BV_E_INVALID;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = (int)(place - months) / 3,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *ret_us = from_local((int64_t)timegm(&tm) * 1000000 + millisecond * 1000);
    return 0;
}

/* "[2026-11-23 02:38:25,670] INFO ..." */
static int log4j_time(struct bv_bytes text, int64_t *ret_us)
{
    char stamp[26];
    if (text.size < 25 || text.data[0] != '[' || text.data[24] != ']')
        return BV_E_INVALID;
    memcpy(stamp, text.data + 1, 23);
    stamp[23] = 'Z';
    int64_t us = 0;
    if (report_time((struct bv_bytes){stamp, 24}, &us) < 0)
        return BV_E_INVALID;
    *ret_us = from_local(us);
    return 0;
}

int report_log_line_read(struct bv_bytes text, struct report_log_line *ret_line, int64_t *ret_us)
{
    if (bv_bytes_starts(text, BV_BYTES("{\""))) {
        if (report_time(member(text, "\"ts\":\""), ret_us) < 0)
            return REPORT_LOG_UNDATED;
        ret_line->level = level_of_word(member(text, "\"level\":\""));
        ret_line->trace = member(text, "\"trace_id\":\"");
        return 0;
    }
    if (report_time(text, ret_us) < 0 && log4j_time(text, ret_us) < 0 &&
        redis_time(text, ret_us) < 0)
        return REPORT_LOG_UNDATED;
    ret_line->level = level_of_text(text);
    ret_line->trace = BV_BYTES("");
    return 0;
}

/* ---- which lines matter ---- */

static bool is_probe(struct bv_bytes text)
{
    static const char *const routes[] = {"/healthz", "/readyz", "/metrics"};
    struct bv_bytes route = member(text, "\"route\":\"");
    for (size_t i = 0; route.size && i < BV_COUNT(routes); i++)
        if (bv_bytes_equal(route, bv_bytes_of(routes[i])))
            return true;
    return false;
}

static bool beside_red_step(const struct report_scenario *scenario, int64_t us)
{
    for (size_t i = 0; i < scenario->steps.count; i++) {
        const struct bv_json *step = scenario->steps.list[i];
        int64_t from = bv_json_int(bv_json_get(step, "us"), 0);
        int64_t to = from + bv_json_int(bv_json_get(step, "durationUs"), 0);
        if (us >= from && us <= to && report_is_red(report_verdict_of(step)))
            return true;
    }
    return false;
}

/* -1 when the line falls into no scenario. */
static int rank_of(const struct report *report, const struct report_log_line *line)
{
    int rank = -1;
    for (size_t i = 0; i < report->scenario_count; i++) {
        const struct report_scenario *scenario = &report->scenarios[i];
        if (line->us < scenario->us - REPORT_LOG_EARLY_US ||
            line->us > scenario->end_us + REPORT_LOG_LATE_US)
            continue;
        if (line->level >= REPORT_LOG_WARN)
            return 0;
        struct bv_bytes trace = bv_json_string(bv_json_get(scenario->record, "traceId"));
        if (trace.size && bv_bytes_equal(trace, line->trace))
            return 1;
        int here = beside_red_step(scenario, line->us) ? 2 : 3;
        if (rank < 0 || here < rank)
            rank = here;
    }
    return line->level < REPORT_LOG_WARN && is_probe(line->text) ? -1 : rank;
}

/* ---- files ---- */

struct reading {
    const struct report *report;
    struct report_logs *logs;
    size_t capacity;
    int64_t origin_us;
};

static void keep_line(struct reading *reading, const struct report_log_line *line)
{
    struct report_logs *logs = reading->logs;
    if (logs->line_count == reading->capacity) {
        size_t capacity = reading->capacity ? reading->capacity * 2 : 256;
        void *lines = bv_arena_resize(reading->report->arena,
                                      logs->lines,
                                      reading->capacity * sizeof(*logs->lines),
                                      capacity * sizeof(*logs->lines));
        if (!lines)
            return;
        logs->lines = lines;
        reading->capacity = capacity;
    }
    struct report_log_line *kept = &logs->lines[logs->line_count];
    *kept = *line;
    if (kept->text.size > REPORT_LOG_LINE_BYTES_MAX)
        kept->text.size = REPORT_LOG_LINE_BYTES_MAX;
    kept->text = bv_arena_copy(reading->report->arena, kept->text);
    if (!kept->text.data)
        return;
    if (kept->trace.size)
        kept->trace = bv_arena_copy(reading->report->arena, kept->trace);
    logs->line_count++;
}

static void read_file(struct reading *reading, size_t part, struct bv_bytes text)
{
    struct report_log_line line = {
        .part = part, .us = INT64_MIN, .level = REPORT_LOG_INFO, .trace = BV_BYTES("")};
    while (text.size) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        line.text = (struct bv_bytes){text.data, size};
        size += end ? 1 : 0;
        text = (struct bv_bytes){text.data + size, text.size - size};
        int64_t us = 0;
        if (!line.text.size)
            continue;
        if (report_log_line_read(line.text, &line, &us) == 0)
            line.us = us - reading->origin_us;
        line.rank = rank_of(reading->report, &line);
        if (line.rank >= 0)
            keep_line(reading, &line);
    }
}

/* The end of a file into buf; false when it cannot be read. */
static bool load(const char *path, struct bv_buf *buf)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    bool well = fseek(file, 0, SEEK_END) == 0;
    long size = well ? ftell(file) : -1;
    long skip = size > (long)REPORT_LOG_FILE_BYTES_MAX ? size - (long)REPORT_LOG_FILE_BYTES_MAX : 0;
    well = size >= 0 && fseek(file, skip, SEEK_SET) == 0;
    char chunk[65536];
    for (size_t got; well && (got = fread(chunk, 1, sizeof chunk, file)) > 0;)
        if (bv_buf_append(buf, chunk, got) < 0)
            break;
    fclose(file);
    return well;
}

static bool stays_inside(struct bv_bytes path)
{
    return path.size && path.data[0] != '/' && !memmem(path.data, path.size, "..", 2) &&
           !memchr(path.data, '\0', path.size);
}

static void read_part(struct reading *reading, const char *folder, const struct bv_json *record)
{
    struct report_logs *logs = reading->logs;
    size_t index = logs->part_count++;
    struct report_log_part *part = &logs->parts[index];
    part->name = bv_json_string(bv_json_get(record, "part"));
    part->path = bv_json_string(bv_json_get(record, "path"));
    const char *path =
        bv_arena_format(reading->report->arena, "%s/%.*s", folder, BV_ARG(part->path));
    bv_auto(bv_buf_release) struct bv_buf text = {.max = REPORT_LOG_FILE_BYTES_MAX + 65536};
    part->missing = !path || !stays_inside(part->path) || !load(path, &text);
    if (!part->missing)
        read_file(reading, index, bv_buf_view(&text));
}

static int by_time(const void *a, const void *b)
{
    const struct report_log_line *x = a;
    const struct report_log_line *y = b;
    if (x->us != y->us)
        return x->us < y->us ? -1 : 1;
    return x->text.data < y->text.data ? -1 : x->text.data > y->text.data;
}

/* Keeps ranks from 0 upwards while they fit. */
static void fit(struct report_logs *logs)
{
    size_t left = REPORT_LOG_BYTES_MAX;
    for (int rank = 0; rank < LEFT_OUT; rank++)
        for (size_t i = 0; i < logs->line_count; i++) {
            struct report_log_line *line = &logs->lines[i];
            if (line->rank != rank)
                continue;
            bool fits = line->text.size <= left;
            left -= fits ? line->text.size : 0;
            if (fits) {
                logs->parts[line->part].kept++;
            } else {
                logs->parts[line->part].left_out++;
                line->rank = LEFT_OUT;
            }
        }
    size_t kept = 0;
    for (size_t i = 0; i < logs->line_count; i++)
        if (logs->lines[i].rank != LEFT_OUT)
            logs->lines[kept++] = logs->lines[i];
    logs->line_count = kept;
}

int report_logs_read(const struct report *report, const char *folder, struct report_logs *ret_logs)
{
    struct report_logs logs = {0};
    struct reading reading = {
        .report = report, .logs = &logs, .origin_us = report_origin_us(report)};
    logs.parts = bv_arena_array(report->arena, struct report_log_part, report->logs.count + 1);
    if (!logs.parts)
        return BV_E_NOMEM;
    for (size_t i = 0; i < report->logs.count; i++)
        read_part(&reading, folder, report->logs.list[i]);
    if (bv_arena_failed(report->arena))
        return BV_E_LIMIT;
    if (logs.line_count)
        qsort(logs.lines, logs.line_count, sizeof(*logs.lines), by_time);
    fit(&logs);
    *ret_logs = logs;
    return 0;
}
