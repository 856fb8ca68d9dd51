#include "bv/env.h"

#include "number_text.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_wall_us(const struct bv_clock *self)
{
    (void)self;
    return read_us(CLOCK_REALTIME);
}

static int64_t system_mono_us(const struct bv_clock *self)
{
    (void)self;
    return read_us(CLOCK_MONOTONIC);
}

const struct bv_clock bv_clock_system = {.wall_us = system_wall_us, .mono_us = system_mono_us};

/* Random bytes are fetched 512 at a time per thread. A fork copies the buffer, and parent and child
 * would draw the same "random" numbers; therefore a fork handler moves the generation on and stale
 * buffers are refilled. */
enum { RANDOM_BYTES = 512 };

struct random_buffer {
    unsigned generation; /* 0: never filled */
    size_t used;
    unsigned char bytes[RANDOM_BYTES];
};

static _Thread_local struct random_buffer random_buffer;
static atomic_uint fork_generation = 1;
static pthread_once_t fork_watch = PTHREAD_ONCE_INIT;

static void forked(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forked);
}

static void from_kernel(unsigned char *to, size_t size)
{
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort(); /* no safe way to go on without randomness */
        }
        to += got;
        size -= (size_t)got;
    }
}

static void system_fill(const struct bv_random *self, void *data, size_t size)
{
    (void)self;
    struct random_buffer *buffer = &random_buffer;
    if (size > RANDOM_BYTES / 2) {
        from_kernel(data, size);
        return;
    }
    unsigned generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if (buffer->generation != generation || RANDOM_BYTES - buffer->used < size) {
        if (buffer->generation == 0)
            pthread_once(&fork_watch, watch_forks);
        from_kernel(buffer->bytes, RANDOM_BYTES);
        buffer->used = 0;
        buffer->generation = generation;
    }
    memcpy(data, buffer->bytes + buffer->used, size);
    memset(buffer->bytes + buffer->used, 0, size);
    buffer->used += size;
}

const struct bv_random bv_random_system = {.fill = system_fill};

uint64_t bv_random_u64(const struct bv_env *env)
{
    uint64_t value;
    env->random->fill(env->random, &value, sizeof(value));
    return value;
}

/* Lemire, "Fast Random Integer Generation in an Interval", 2019. */
uint64_t bv_random_below(const struct bv_env *env, uint64_t bound)
{
    assert(bound >= 1);
    unsigned __int128 product = (unsigned __int128)bv_random_u64(env) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound;
        while ((uint64_t)product < threshold)
            product = (unsigned __int128)bv_random_u64(env) * bound;
    }
    return (uint64_t)(product >> 64);
}

struct civil {
    int64_t year;
    uint32_t month;
    uint32_t day;
};

/* Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, eras are 400 years.
 */
static struct civil civil_of_days(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    uint32_t day_of_era = (uint32_t)(days - era * 146097);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t march_month = (5 * day_of_year + 2) / 153;
    uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct civil){(int64_t)year_of_era + era * 400 + (month <= 2 ? 1 : 0),
                          month,
                          day_of_year - (153 * march_month + 2) / 5 + 1};
}

static int64_t days_of_civil(struct civil date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t march_month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * march_month + 2) / 5 + date.day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

#define DAY_US INT64_C(86400000000)
#define YEAR_0_US (INT64_C(-62167219200) * 1000000)
#define YEAR_9999_END_US (INT64_C(253402300800) * 1000000 - 1)

void bv_time_format(int64_t wall_us, char out[BV_TIME_TEXT_SIZE])
{
    wall_us = wall_us < YEAR_0_US          ? YEAR_0_US
              : wall_us > YEAR_9999_END_US ? YEAR_9999_END_US
                                           : wall_us;
    int64_t days = (wall_us >= 0 ? wall_us : wall_us - DAY_US + 1) / DAY_US;
    uint32_t ms = (uint32_t)((wall_us - days * DAY_US) / 1000);
    struct civil date = civil_of_days(days);
    memcpy(out, "0000-00-00T00:00:00.000Z", BV_TIME_TEXT_SIZE);
    bv_digits_text((uint32_t)date.year, 4, out);
    bv_digits_text(date.month, 2, out + 5);
    bv_digits_text(date.day, 2, out + 8);
    bv_digits_text(ms / 3600000, 2, out + 11);
    bv_digits_text(ms / 60000 % 60, 2, out + 14);
    bv_digits_text(ms / 1000 % 60, 2, out + 17);
    bv_digits_text(ms % 1000, 3, out + 20);
}

static bool digits(struct bv_bytes *text, size_t count, uint32_t *ret_value)
{
    uint32_t value = 0;
    if (text->size < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text->data[i] - '0');
    }
    *text = (struct bv_bytes){text->data + count, text->size - count};
    *ret_value = value;
    return true;
}

static bool one_of(struct bv_bytes *text, char a, char b)
{
    if (text->size == 0 || (text->data[0] != a && text->data[0] != b))
        return false;
    *text = (struct bv_bytes){text->data + 1, text->size - 1};
    return true;
}

static bool parse_date(struct bv_bytes *text, int64_t *ret_days)
{
    static const uint32_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t year;
    uint32_t month;
    uint32_t day;
    if (!digits(text, 4, &year) || !one_of(text, '-', '-') || !digits(text, 2, &month) ||
        !one_of(text, '-', '-') || !digits(text, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 ||
        day > month_days[month - 1] + (month == 2 && leap ? 1 : 0))
        return false;
    *ret_days = days_of_civil((struct civil){year, month, day});
    return true;
}

/* Microseconds of "." digits; digits past the sixth are dropped. */
static bool parse_fraction(struct bv_bytes *text, uint32_t *ret_us)
{
    uint32_t us = 0;
    uint32_t weight = 100000;
    uint32_t digit;
    *ret_us = 0;
    if (!one_of(text, '.', '.'))
        return true;
    if (!digits(text, 1, &digit))
        return false;
    do {
        us += digit * weight;
        weight /= 10;
    } while (digits(text, 1, &digit));
    *ret_us = us;
    return true;
}

static bool parse_offset(struct bv_bytes *text, int64_t *ret_minutes)
{
    uint32_t hours;
    uint32_t minutes;
    *ret_minutes = 0;
    if (one_of(text, 'Z', 'z'))
        return true;
    int64_t sign = text->size > 0 && text->data[0] == '-' ? -1 : 1;
    if (!one_of(text, '+', '-') || !digits(text, 2, &hours) || !one_of(text, ':', ':') ||
        !digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = sign * (int64_t)(hours * 60 + minutes);
    return true;
}

int bv_time_parse(struct bv_bytes text, int64_t *ret_wall_us)
{
    int64_t days;
    int64_t offset_minutes;
    uint32_t hour;
    uint32_t minute;
    uint32_t second;
    uint32_t us;
    if (!parse_date(&text, &days) || !one_of(&text, 'T', 't') || !digits(&text, 2, &hour) ||
        !one_of(&text, ':', ':') || !digits(&text, 2, &minute) || !one_of(&text, ':', ':') ||
        !digits(&text, 2, &second) || !parse_fraction(&text, &us) ||
        !parse_offset(&text, &offset_minutes) || text.size > 0)
        return BV_E_INVALID;
    if (hour > 23 || minute > 59 || second > 60)
        return BV_E_INVALID;
    int64_t minutes = days * 1440 + (int64_t)(hour * 60 + minute) - offset_minutes;
    if (second == 60 && ((minutes % 1440) + 1440) % 1440 != 1439)
        return BV_E_INVALID; /* a leap second is the last one of a UTC day */
    *ret_wall_us = (minutes * 60 + second) * 1000000 + us;
    return 0;
}
