#include "records.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *report_verdict_word(enum report_verdict verdict)
{
    static const char *const words[] = {
#define BV_X_(name, word, title) word,
        REPORT_VERDICT_LIST(BV_X_)
#undef BV_X_
    };
    return words[verdict];
}

const char *report_verdict_title(enum report_verdict verdict)
{
    static const char *const titles[] = {
#define BV_X_(name, word, title) title,
        REPORT_VERDICT_LIST(BV_X_)
#undef BV_X_
    };
    return titles[verdict];
}

enum report_verdict report_verdict_of(const struct bv_json *record)
{
    struct bv_bytes word = bv_json_string(bv_json_get(record, "verdict"));
    for (int v = 0; v < REPORT_UNFINISHED; v++)
        if (bv_bytes_equal(word, bv_bytes_of(report_verdict_word((enum report_verdict)v))))
            return (enum report_verdict)v;
    return REPORT_UNFINISHED;
}

bool report_is_red(enum report_verdict verdict)
{
    return verdict == REPORT_FAILED || verdict == REPORT_BROKEN;
}

/* ---- lists ---- */

/* Room for one element more in an array that doubles at each power of two. */
static void *grow(struct bv_arena *arena, void *list, size_t count, size_t size)
{
    if (count && (count < 8 || (count & (count - 1))))
        return list;
    size_t capacity = count < 8 ? 8 : count * 2;
    return bv_arena_resize(arena, count ? list : NULL, count * size, capacity * size);
}

static void push(struct report *report, struct report_items *items, const struct bv_json *record)
{
    void *list = grow(report->arena, items->list, items->count, sizeof(*items->list));
    if (!list)
        return; /* the arena has failed, which report_read sees */
    items->list = list;
    items->list[items->count++] = record;
}

static struct report_scenario *find_scenario(struct report *report, struct bv_bytes id)
{
    for (size_t i = report->scenario_count; i > 0; i--)
        if (bv_bytes_equal(report->scenarios[i - 1].id, id))
            return &report->scenarios[i - 1];
    return NULL;
}

static struct report_scenario *find_trace(struct report *report, struct bv_bytes trace)
{
    for (size_t i = report->scenario_count; trace.size && i > 0; i--) {
        const struct bv_json *record = report->scenarios[i - 1].record;
        if (bv_bytes_equal(bv_json_string(bv_json_get(record, "traceId")), trace))
            return &report->scenarios[i - 1];
    }
    return NULL;
}

/* ---- records ---- */

typedef void take(struct report *report, const struct bv_json *record);

static void take_run(struct report *report, const struct bv_json *record)
{
    report->run = record;
}

static void take_environment(struct report *report, const struct bv_json *record)
{
    report->environment = record;
}

static void take_end(struct report *report, const struct bv_json *record)
{
    report->end = record;
}

static void take_feature(struct report *report, const struct bv_json *record)
{
    push(report, &report->features, record);
}

static void take_log(struct report *report, const struct bv_json *record)
{
    push(report, &report->logs, record);
}

static const struct bv_json *find_feature(const struct report *report, struct bv_bytes id)
{
    for (size_t i = 0; i < report->features.count; i++)
        if (bv_bytes_equal(bv_json_string(bv_json_get(report->features.list[i], "id")), id))
            return report->features.list[i];
    return NULL;
}

static void take_scenario(struct report *report, const struct bv_json *record)
{
    struct report_scenario *list =
        grow(report->arena, report->scenarios, report->scenario_count, sizeof(*list));
    if (!list)
        return;
    report->scenarios = list;
    int64_t us = bv_json_int(bv_json_get(record, "us"), 0);
    list[report->scenario_count++] = (struct report_scenario){
        .record = record,
        .id = bv_json_string(bv_json_get(record, "id")),
        .feature = find_feature(report, bv_json_string(bv_json_get(record, "feature"))),
        .us = us,
        .end_us = us,
    };
}

static struct report_scenario *scenario_of(struct report *report, const struct bv_json *record)
{
    struct report_scenario *scenario =
        find_scenario(report, bv_json_string(bv_json_get(record, "scenario")));
    if (!scenario) {
        report->strays++;
        return NULL;
    }
    int64_t us =
        bv_json_int(bv_json_get(record, "us"), 0) +
        (bv_json_get(record, "text") ? bv_json_int(bv_json_get(record, "durationUs"), 0) : 0);
    if (us > scenario->end_us)
        scenario->end_us = us;
    return scenario;
}

static void take_actor(struct report *report, const struct bv_json *record)
{
    struct report_scenario *scenario = scenario_of(report, record);
    if (scenario)
        push(report, &scenario->actors, record);
}

static void take_message(struct report *report, const struct bv_json *record)
{
    struct report_scenario *scenario = scenario_of(report, record);
    if (scenario)
        push(report, &scenario->messages, record);
}

static void take_step(struct report *report, const struct bv_json *record)
{
    struct report_scenario *scenario = scenario_of(report, record);
    if (scenario)
        push(report, &scenario->steps, record);
}

static void take_scenario_end(struct report *report, const struct bv_json *record)
{
    struct report_scenario *scenario = scenario_of(report, record);
    if (scenario)
        scenario->end = record;
}

/* Spans arrive from outside the scenario's thread: by its id, else by its trace. Of other traces
 * there is nothing to show. */
static void take_span(struct report *report, const struct bv_json *record)
{
    struct report_scenario *scenario =
        find_scenario(report, bv_json_string(bv_json_get(record, "scenario")));
    if (!scenario)
        scenario = find_trace(report, bv_json_string(bv_json_get(record, "traceId")));
    if (scenario)
        push(report, &scenario->spans, record);
}

static const struct {
    const char *kind;
    take *take;
} kinds[] = {
    {"message",      take_message     },
    {"step",         take_step        },
    {"actor",        take_actor       },
    {"span",         take_span        },
    {"scenario",     take_scenario    },
    {"scenario-end", take_scenario_end},
    {"feature",      take_feature     },
    {"log",          take_log         },
    {"run",          take_run         },
    {"environment",  take_environment },
    {"end",          take_end         },
};

static void count_unknown(struct report *report, struct bv_bytes kind)
{
    report->unknown_records++;
    for (size_t i = 0; i < report->unknown_kinds; i++)
        if (bv_bytes_equal(report->unknown[i].name, kind)) {
            report->unknown[i].count++;
            return;
        }
    if (report->unknown_kinds < REPORT_KINDS_NAMED)
        report->unknown[report->unknown_kinds++] = (struct report_kind){kind, 1};
}

static void take_record(struct report *report, const struct bv_json *record)
{
    struct bv_bytes kind = bv_json_string(bv_json_get(record, "record"));
    for (size_t i = 0; i < BV_COUNT(kinds); i++)
        if (bv_bytes_equal(kind, bv_bytes_of(kinds[i].kind))) {
            kinds[i].take(report, record);
            return;
        }
    count_unknown(report, kind.data ? kind : BV_BYTES("(none)"));
}

static void bad_line(struct report *report, const char *reason)
{
    if (report->bad_lines++ == 0) {
        report->bad_line_first = report->lines;
        report->bad_reason = bv_arena_copy(report->arena, bv_bytes_of(reason));
    }
}

static void read_line(struct report *report, struct bv_bytes line)
{
    report->lines++;
    while (line.size && strchr(" \t\r", line.data[line.size - 1]))
        line.size--;
    if (!line.size)
        return;
    struct bv_error error = {0};
    const struct bv_json *record = NULL;
    int rc = bv_json_parse(report->arena, line, &record, &error);
    if (rc < 0)
        bad_line(report, error.text);
    else if (bv_json_type(record) != BV_JSON_OBJECT)
        bad_line(report, "it is no object");
    else
        take_record(report, record);
}

int report_read(struct bv_bytes text, struct report *ret_report, struct bv_error *error)
{
    struct report report = {0};
    if (bv_arena_open(REPORT_MEMORY_BYTES_MAX, &report.arena) < 0)
        return bv_fail(error, BV_E_NOMEM, "out of memory");
    while (text.size) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        read_line(&report, (struct bv_bytes){text.data, size});
        size += end ? 1 : 0;
        text = (struct bv_bytes){text.data + size, text.size - size};
    }
    if (bv_arena_failed(report.arena)) {
        report_release(&report);
        return bv_fail(error,
                       BV_E_LIMIT,
                       "the results need more than %zu MiB of memory",
                       REPORT_MEMORY_BYTES_MAX >> 20);
    }
    *ret_report = report;
    return 0;
}

void report_release(struct report *report)
{
    bv_arena_close(&report->arena);
    *report = (struct report){0};
}

/* ---- what follows from the records ---- */

enum report_verdict report_scenario_verdict(const struct report_scenario *scenario)
{
    return scenario->end ? report_verdict_of(scenario->end) : REPORT_UNFINISHED;
}

void report_count(const struct report *report, size_t ret_counts[REPORT_VERDICTS])
{
    memset(ret_counts, 0, REPORT_VERDICTS * sizeof(*ret_counts));
    for (size_t i = 0; i < report->scenario_count; i++)
        ret_counts[report_scenario_verdict(&report->scenarios[i])]++;
}

enum report_verdict report_run_verdict(const struct report *report)
{
    size_t counts[REPORT_VERDICTS];
    report_count(report, counts);
    enum report_verdict said = report->end ? report_verdict_of(report->end) : REPORT_UNFINISHED;
    if (said == REPORT_FAILED || counts[REPORT_FAILED])
        return REPORT_FAILED;
    if (said == REPORT_BROKEN || counts[REPORT_BROKEN])
        return REPORT_BROKEN;
    return said;
}

int64_t report_last_us(const struct report *report)
{
    int64_t last = bv_json_int(bv_json_get(report->end, "us"), 0);
    for (size_t i = 0; i < report->scenario_count; i++)
        if (report->scenarios[i].end_us > last)
            last = report->scenarios[i].end_us;
    return last;
}

int64_t report_origin_us(const struct report *report)
{
    int64_t us = 0;
    return report_time(bv_json_string(bv_json_get(report->run, "startedAt")), &us) == 0 ? us : 0;
}

static bool digits(const char *text, size_t count, int *ret_value)
{
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return true;
}

int report_time(struct bv_bytes text, int64_t *ret_us)
{
    struct tm tm = {0};
    const char *at = text.data;
    if (text.size < 20 || !digits(at, 4, &tm.tm_year) || !digits(at + 5, 2, &tm.tm_mon) ||
        !digits(at + 8, 2, &tm.tm_mday) || !digits(at + 11, 2, &tm.tm_hour) ||
        !digits(at + 14, 2, &tm.tm_min) || !digits(at + 17, 2, &tm.tm_sec) || at[4] != '-' ||
        at[7] != '-' || (at[10] != 'T' && at[10] != ' ') || at[13] != ':' || at[16] != ':')
        return BV_E_INVALID;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t fraction = 0;
    int64_t unit = 100000;
    size_t i = 19;
    if (at[i] == '.' || at[i] == ',')
        for (i++; i < text.size && at[i] >= '0' && at[i] <= '9'; i++, unit /= 10)
            fraction += unit * (at[i] - '0');
    int64_t offset_s = 0;
    int hours = 0, minutes = 0;
    if (i + 6 <= text.size && (at[i] == '+' || at[i] == '-') && digits(at + i + 1, 2, &hours) &&
        digits(at + i + 4, 2, &minutes))
        offset_s = (at[i] == '-' ? -60 : 60) * (int64_t)(hours * 60 + minutes);
    else if (i >= text.size || (at[i] != 'Z' && at[i] != ' '))
        return BV_E_INVALID;
    *ret_us = ((int64_t)timegm(&tm) - offset_s) * 1000000 + fraction;
    return 0;
}
