/* The way to the world: clock and randomness as vtables, so that cores run on virtual time with
 * seeded randomness. Only bv-common-core calls the operating system for these. Thread: a vtable
 * says; the system ones: any. */
#ifndef BV_ENV_H
#define BV_ENV_H

#include "bv/bytes.h"

struct bv_clock {
    int64_t (*wall_us)(
        const struct bv_clock *self); /* microseconds since 1970-01-01T00:00:00Z, may jump */
    int64_t (*mono_us)(
        const struct bv_clock *self); /* microseconds since an arbitrary start, never goes back */
};
struct bv_random {
    void (*fill)(const struct bv_random *self, void *data, size_t size); /* never fails */
};
struct bv_log;

struct bv_env {
    const struct bv_clock *clock;
    const struct bv_random *random;
    struct bv_log *log; /* may be NULL: nothing is logged */
};

extern const struct bv_clock bv_clock_system;   /* clock_gettime */
extern const struct bv_random bv_random_system; /* getrandom, buffered per thread, safe over fork */

static inline int64_t bv_wall_us(const struct bv_env *env)
{
    return env->clock->wall_us(env->clock);
}
static inline int64_t bv_mono_us(const struct bv_env *env)
{
    return env->clock->mono_us(env->clock);
}
static inline int64_t bv_mono_ms(const struct bv_env *env)
{
    return env->clock->mono_us(env->clock) / 1000;
}
uint64_t bv_random_u64(const struct bv_env *env);
/* Uniform in 0..bound-1 without modulo bias; bound >= 1. */
uint64_t bv_random_below(const struct bv_env *env, uint64_t bound);

/* RFC 3339 in UTC with milliseconds: "2026-01-02T03:04:05.678Z" (24 bytes + NUL). Finer digits are
 * cut off; times outside the years 0000..9999 become the nearest one inside. Thread: any. */
#define BV_TIME_TEXT_SIZE 25
void bv_time_format(int64_t wall_us, char out[BV_TIME_TEXT_SIZE]);
/* Reads an RFC 3339 date-time with any offset.
 * Ranges:    years 0000..9999; digits past the microsecond are dropped; a leap second (:60 at the
 *            end of a UTC day) reads as the second that follows.
 * Outcomes:  none. Errors: BV_E_INVALID (ret_wall_us untouched). Thread: any.
 * Source:    RFC 3339, 5.6. */
BV_MUST_CHECK int bv_time_parse(struct bv_bytes text, int64_t *ret_wall_us);

#endif
