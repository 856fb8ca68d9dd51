#include "barrier.h"

#include "bv/recording.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A name for %.*s, cut. */
#define SHOWN(name) (int)((name).size < 60 ? (name).size : 60), (name).data

struct place { /* one barrier */
    const char *name;
    bool party[BARRIER_PARTIES_MAX];
    uint32_t arrivals[BARRIER_PARTIES_MAX];
};
struct barriers {
    const struct plan_scenario *scenarios[BARRIER_PARTIES_MAX];
    size_t count;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool ended[BARRIER_PARTIES_MAX];
    bool interrupted;
    struct place *places; /* owned */
    size_t place_count;
};

bool barrier_named(const struct plan_scenario *scenario, const char *name)
{
    for (size_t i = 0; i < scenario->step_count; i++)
        if (scenario->steps[i].kind == PLAN_BARRIER &&
            strcmp(scenario->steps[i].barrier, name) == 0)
            return true;
    return false;
}

/* ---- life ---- */

static struct place *place_of(const struct barriers *barriers, const char *name)
{
    for (size_t i = 0; i < barriers->place_count; i++)
        if (strcmp(barriers->places[i].name, name) == 0)
            return &barriers->places[i];
    return NULL;
}

static int add_place(struct barriers *barriers, const char *name)
{
    if (place_of(barriers, name))
        return 0;
    struct place *places = realloc(barriers->places, (barriers->place_count + 1) * sizeof *places);
    if (!places)
        return BV_E_NOMEM;
    barriers->places = places;
    struct place *place = &places[barriers->place_count++];
    *place = (struct place){.name = name};
    for (size_t i = 0; i < barriers->count; i++)
        place->party[i] = barrier_named(barriers->scenarios[i], name);
    return 0;
}

int barriers_open(const struct plan_scenario *const *scenarios,
                  size_t count,
                  struct barriers **ret_barriers)
{
    int rc = 0;
    if (count > BARRIER_PARTIES_MAX)
        return BV_E_LIMIT;
    struct barriers *barriers = calloc(1, sizeof *barriers);
    if (!barriers)
        return BV_E_NOMEM;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&barriers->changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&barriers->lock, NULL);
    barriers->count = count;
    for (size_t i = 0; i < count; i++)
        barriers->scenarios[i] = scenarios[i];
    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t s = 0; rc == 0 && s < scenarios[i]->step_count; s++)
            if (scenarios[i]->steps[s].kind == PLAN_BARRIER)
                rc = add_place(barriers, scenarios[i]->steps[s].barrier);
    if (rc < 0)
        barriers_close(&barriers);
    else
        *ret_barriers = barriers;
    return rc;
}

void barriers_close(struct barriers **barriers)
{
    if (!*barriers)
        return;
    pthread_cond_destroy(&(*barriers)->changed);
    pthread_mutex_destroy(&(*barriers)->lock);
    free((*barriers)->places);
    free(*barriers);
    *barriers = NULL;
}

/* ---- meeting; all of it with the lock held ---- */

static size_t index_of(const struct barriers *barriers, const struct plan_scenario *scenario)
{
    size_t i = 0;
    while (i < barriers->count && barriers->scenarios[i] != scenario)
        i++;
    return i;
}

static struct barrier_report
count_of(const struct barriers *barriers, const struct place *place, uint32_t round)
{
    struct barrier_report report = {0};
    for (size_t i = 0; i < barriers->count; i++) {
        report.parties += place->party[i];
        report.arrived += place->party[i] && place->arrivals[i] >= round;
    }
    return report;
}

/* The first party that has not arrived, among those that have ended or among all. NULL: none. */
static const struct plan_scenario *
absent(const struct barriers *barriers, const struct place *place, uint32_t round, bool ended)
{
    for (size_t i = 0; i < barriers->count; i++)
        if (place->party[i] && place->arrivals[i] < round && (!ended || barriers->ended[i]))
            return barriers->scenarios[i];
    return NULL;
}

static struct timespec time_after(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    return until;
}

static int wait_for_all(struct barriers *barriers,
                        const struct place *place,
                        uint32_t round,
                        int64_t within_ms,
                        struct bv_error *error)
{
    struct timespec until = time_after(within_ms);
    const struct plan_scenario *missing = NULL;
    int rc = 0;
    for (;;) {
        if (!absent(barriers, place, round, false))
            return 0;
        if (barriers->interrupted)
            return bv_fail(error, BV_E_CANCELLED, "interrupted");
        missing = absent(barriers, place, round, true);
        if (missing || rc == ETIMEDOUT)
            break;
        rc = pthread_cond_timedwait(&barriers->changed, &barriers->lock, &until);
    }
    if (missing)
        (void)bv_fail(error,
                      BV_E_CONFLICT,
                      "barrier '%.40s': scenario \"%.*s\" (line %u) ended before it",
                      place->name,
                      SHOWN(missing->name),
                      missing->line);
    else if ((missing = absent(barriers, place, round, false)))
        (void)bv_fail(error,
                      BV_E_TIMEOUT,
                      "barrier '%.40s': scenario \"%.*s\" (line %u) did not come within %lld ms",
                      place->name,
                      SHOWN(missing->name),
                      missing->line,
                      (long long)within_ms);
    return BV_MISMATCH;
}

int barriers_meet(struct barriers *barriers,
                  const struct plan_scenario *scenario,
                  const char *name,
                  int64_t within_ms,
                  struct barrier_report *ret_report,
                  struct bv_error *error)
{
    *ret_report = (struct barrier_report){1, 1};
    if (!barriers)
        return 0;
    pthread_mutex_lock(&barriers->lock);
    struct place *place = place_of(barriers, name);
    size_t party = index_of(barriers, scenario);
    int rc = 0;
    if (place && party < barriers->count) {
        uint32_t round = ++place->arrivals[party];
        pthread_cond_broadcast(&barriers->changed);
        rc = wait_for_all(barriers, place, round, within_ms, error);
        *ret_report = count_of(barriers, place, round);
        if (rc != 0) /* it goes on without the others, so they must not count on it */
            place->arrivals[party]--;
    }
    pthread_mutex_unlock(&barriers->lock);
    return rc;
}

void barriers_leave(struct barriers *barriers, const struct plan_scenario *scenario)
{
    if (!barriers)
        return;
    pthread_mutex_lock(&barriers->lock);
    size_t party = index_of(barriers, scenario);
    if (party < barriers->count)
        barriers->ended[party] = true;
    pthread_cond_broadcast(&barriers->changed);
    pthread_mutex_unlock(&barriers->lock);
}

void barriers_interrupt(struct barriers *barriers)
{
    if (!barriers)
        return;
    pthread_mutex_lock(&barriers->lock);
    barriers->interrupted = true;
    pthread_cond_broadcast(&barriers->changed);
    pthread_mutex_unlock(&barriers->lock);
}
