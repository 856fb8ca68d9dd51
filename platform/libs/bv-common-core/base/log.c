#include "bv/log.h"

#include "bv/json.h"
#include "bv/trace.h"
#include "number_text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_BYTES_MIN = 1024,
    CLOSE_WAIT_MS = 1000, /* at close, for a reader that takes nothing */
};

struct bv_log {
    const struct bv_clock *clock; /* borrowed */
    int fd;
    bool is_file;   /* takes any amount without waiting for a reader */
    bool must_poll; /* a pipe or the like whose write would wait */
    atomic_int level;
    struct bv_buf common; /* ,"service":"x","instance":"y": the same in each line */
    pthread_mutex_t lock;
    struct bv_buf lines; /* whole lines waiting for a flush */
    uint64_t dropped;    /* lines lost since the last one that told */
    uint64_t told;       /* by a line that has not left yet */
    bool mid_line;       /* what was written last was no whole line */
};

static const struct {
    const char *name;
    struct bv_bytes prefix;
} levels[] = {
    [BV_DEBUG] = {"debug", {"\",\"level\":\"debug\"", 17}},
    [BV_INFO] = {"info",  {"\",\"level\":\"info\"", 16} },
    [BV_WARN] = {"warn",  {"\",\"level\":\"warn\"", 16} },
    [BV_ERROR] = {"error", {"\",\"level\":\"error\"", 17}},
};

int bv_level_parse(struct bv_bytes text, enum bv_level *ret_level)
{
    for (size_t i = 0; i < BV_COUNT(levels); i++)
        if (bv_bytes_equal(text, bv_bytes_of(levels[i].name))) {
            *ret_level = (enum bv_level)i;
            return 0;
        }
    return BV_E_INVALID;
}

static void append_member(struct bv_buf *buf, const char *key, struct bv_bytes text)
{
    bv_buf_char(buf, ',');
    bv_json_quote(buf, bv_bytes_of(key));
    bv_buf_char(buf, ':');
    bv_json_quote(buf, text);
}

int bv_log_open(const struct bv_log_config *config,
                const struct bv_clock *clock,
                struct bv_log **ret_log)
{
    size_t max =
        config->buffer_bytes_max < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : config->buffer_bytes_max;
    struct bv_log *log = calloc(1, sizeof(*log));
    if (!log)
        return BV_E_NOMEM;
    log->clock = clock;
    log->fd = config->fd;
    struct stat kind;
    log->is_file = fstat(log->fd, &kind) == 0 && S_ISREG(kind.st_mode);
    const int flags = fcntl(log->fd, F_GETFL);
    log->must_poll = !log->is_file && flags >= 0 && !(flags & O_NONBLOCK);
    atomic_init(&log->level, (int)config->level);
    pthread_mutex_init(&log->lock, NULL);
    log->lines.max = max;
    log->common.max = max / 2;
    append_member(&log->common, "service", bv_bytes_of(config->service));
    if (config->instance)
        append_member(&log->common, "instance", bv_bytes_of(config->instance));
    /* All memory now: a line must not fail for lack of it. */
    if (log->common.failed || !bv_buf_reserve(&log->lines, max)) {
        bv_log_close(&log);
        return BV_E_NOMEM;
    }
    *ret_log = log;
    return 0;
}

/* How much to write at once: to a file everything; to a pipe whole lines of up to PIPE_BUF bytes,
 * which it takes whole or not at all, and without waiting once it says that it is writable. */
static size_t piece_size(const struct bv_log *log, const char *data, size_t size)
{
    if (log->is_file || size <= PIPE_BUF)
        return size;
    const char *last = memrchr(data, '\n', PIPE_BUF);
    return last ? (size_t)(last - data) + 1 : PIPE_BUF;
}

static bool writable(const struct bv_log *log, int wait_ms)
{
    struct pollfd fd = {.fd = log->fd, .events = POLLOUT};
    return poll(&fd, 1, wait_ms) > 0;
}

/* Nobody will ever read it, or the disk is full. */
static void drop_lines(struct bv_log *log, const char *data, size_t size)
{
    const char *end = data + size;
    if (log->mid_line && size > 0 && *data == '\n')
        data++; /* ends what is there already */
    for (const char *at = data; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        log->dropped++;
    if (log->told > 0 && log->dropped > 0)
        log->dropped += log->told - 1; /* the line that told is lost as well */
    log->told = 0;
}

/* What a full pipe refuses stays in the buffer, so that no line is ever torn. */
static void flush(struct bv_log *log)
{
    struct bv_buf *lines = &log->lines;
    size_t done = 0;
    while (done < lines->size) {
        const char *data = lines->data + done;
        size_t size = piece_size(log, data, lines->size - done);
        if (log->must_poll && !writable(log, 0))
            break;
        ssize_t wrote = write(log->fd, data, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (wrote < 0) {
            drop_lines(log, data, lines->size - done);
            done = lines->size;
            break;
        }
        done += (size_t)wrote;
        log->mid_line = wrote > 0 ? data[wrote - 1] != '\n' : log->mid_line;
        log->told = 0;
    }
    lines->size -= done;
    memmove(lines->data, lines->data + done, lines->size);
    if (lines->size == 0 && log->mid_line)
        bv_buf_char(lines, '\n'); /* the rest of that line is lost */
}

void bv_log_flush(struct bv_log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    flush(log);
    pthread_mutex_unlock(&log->lock);
}

void bv_log_close(struct bv_log **log)
{
    if (!log || !*log)
        return;
    if ((*log)->lines.data) {
        flush(*log);
        while ((*log)->lines.size > 1 && writable(*log, CLOSE_WAIT_MS))
            flush(*log);
    }
    bv_buf_release(&(*log)->lines);
    bv_buf_release(&(*log)->common);
    pthread_mutex_destroy(&(*log)->lock);
    free(*log);
    *log = NULL;
}

void bv_log_level_set(struct bv_log *log, enum bv_level level)
{
    if (log)
        atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool bv_log_wants(const struct bv_log *log, enum bv_level level)
{
    return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

static bool names_secret(const char *key)
{
    static const struct bv_bytes names[] = {
        {"authorization", 13},
        {"password",      8 },
        {"secret",        6 },
        {"token",         5 },
        {"cookie",        6 },
    };
    struct bv_bytes rest = bv_bytes_of(key);
    for (; rest.size >= 5; rest = (struct bv_bytes){rest.data + 1, rest.size - 1})
        for (size_t i = 0; i < BV_COUNT(names); i++)
            if ((rest.data[0] | 0x20) == names[i].data[0] && rest.size >= names[i].size &&
                bv_bytes_equal_nocase((struct bv_bytes){rest.data, names[i].size}, names[i]))
                return true;
    return false;
}

static void append_ms(struct bv_buf *buf, int64_t us)
{
    char text[BV_NUMBER_TEXT_MAX];
    uint64_t magnitude = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    if (us < 0)
        bv_buf_char(buf, '-');
    size_t size = bv_uint64_text(magnitude / 1000, text);
    text[size] = '.';
    bv_digits_text((uint32_t)(magnitude % 1000), 3, text + size + 1);
    bv_buf_append(buf, text, size + 4);
}

static void append_field(struct bv_buf *buf, const struct bv_log_field *field)
{
    bv_buf_char(buf, ',');
    bv_json_quote(buf, bv_bytes_of(field->key));
    bv_buf_char(buf, ':');
    switch (field->kind) {
    case BV_LOG_INT:
        bv_buf_int64(buf, field->number);
        break;
    case BV_LOG_BOOL:
        bv_buf_text(buf, field->number != 0 ? "true" : "false");
        break;
    case BV_LOG_MS:
        append_ms(buf, field->number);
        break;
    case BV_LOG_STRING:
        if (!field->text.data)
            bv_buf_text(buf, "null");
        else if (names_secret(field->key))
            bv_buf_text(buf, "\"***\"");
        else
            bv_json_quote(buf, field->text);
        break;
    case BV_LOG_SECRET:
        bv_buf_text(buf, "\"***\"");
        break;
    }
}

static void append_trace(struct bv_buf *buf, const struct bv_trace *trace)
{
    char hex[32];
    bv_buf_text(buf, ",\"trace_id\":\"");
    bv_buf_append(buf, hex, bv_hex_encode(trace->trace_id, sizeof(trace->trace_id), hex));
    bv_buf_text(buf, "\",\"span_id\":\"");
    bv_buf_append(buf, hex, bv_hex_encode(trace->span_id, sizeof(trace->span_id), hex));
    bv_buf_char(buf, '"');
}

struct line {
    enum bv_level level;
    int64_t wall_us;
    const char *event;
    const struct bv_trace *trace;
    const struct bv_log_field *fields;
    size_t count;
};

/* Appends the line, or leaves the buffer as it was and returns false. */
static bool append_line(struct bv_log *log, const struct line *line)
{
    struct bv_buf *buf = &log->lines;
    size_t before = buf->size;
    char time_text[BV_TIME_TEXT_SIZE];
    bv_time_format(line->wall_us, time_text);
    bv_buf_text(buf, "{\"ts\":\"");
    bv_buf_append(buf, time_text, BV_TIME_TEXT_SIZE - 1);
    bv_buf_bytes(buf, levels[line->level].prefix);
    bv_buf_bytes(buf, bv_buf_view(&log->common));
    bv_buf_text(buf, ",\"event\":");
    bv_json_quote(buf, bv_bytes_of(line->event));
    if (line->trace && bv_trace_present(line->trace))
        append_trace(buf, line->trace);
    for (size_t i = 0; i < line->count; i++)
        append_field(buf, &line->fields[i]);
    bv_buf_text(buf, "}\n");
    if (!buf->failed)
        return true;
    buf->failed = false;
    buf->size = before;
    return false;
}

static bool append_or_make_room(struct bv_log *log, const struct line *line)
{
    if (append_line(log, line))
        return true;
    flush(log);
    return append_line(log, line);
}

static void tell_dropped(struct bv_log *log, int64_t wall_us)
{
    const struct bv_log_field lost = BV_F_INT("lines", log->dropped);
    const struct line line = {BV_WARN, wall_us, "log.lines_dropped", NULL, &lost, 1};
    if (append_line(log, &line)) {
        log->told = log->dropped;
        log->dropped = 0;
    }
}

void bv_log_line(struct bv_log *log,
                 enum bv_level level,
                 const char *event,
                 const struct bv_trace *trace,
                 const struct bv_log_field *fields,
                 size_t count)
{
    if (!bv_log_wants(log, level))
        return;
    struct line line = {level, log->clock->wall_us(log->clock), event, trace, fields, count};
    pthread_mutex_lock(&log->lock);
    if (log->dropped > 0)
        tell_dropped(log, line.wall_us);
    bool appended = append_or_make_room(log, &line);
    if (!appended) { /* larger than the buffer, or the reader is stuck */
        const struct bv_log_field cut = BV_F_BOOL("truncated", true);
        line.fields = &cut;
        line.count = 1;
        appended = append_line(log, &line);
    }
    if (!appended)
        log->dropped++;
    if (level >= BV_WARN)
        flush(log);
    pthread_mutex_unlock(&log->lock);
}
