#include "torture_rounds.h"

#include "bv/env.h"
#include "bv/probe.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TARGETS_MAX = 128,
    FIRE_MS_MAX = 30000,
    TRIES_MAX = 3, /* of a point that was never hit: then it is given up */
    READY_MS_MAX = 20000,
    TRY_MS = 500,
    PASSAGE_MAX = 3, /* which passage kills is drawn from 1 to this */
};

static const struct bv_env system_env = {.clock = &bv_clock_system, .random = &bv_random_system};

/* Points that only work left behind leads to: what leaves it behind. */
static const struct {
    enum bv_failpoint point;
    enum bv_failpoint primer;
} primers[] = {
    {BV_FAILPOINT_ORDER_SWEEP_FOUND_PENDING, BV_FAILPOINT_ORDER_RESERVE_AFTER_REPLY},
    {BV_FAILPOINT_ORDER_SWEEP_RESUMED,       BV_FAILPOINT_ORDER_RESERVE_AFTER_REPLY},
    {BV_FAILPOINT_ORDER_SWEEP_FOUND_TASKS,   BV_FAILPOINT_ORDER_RELEASE_BEFORE_SEND},
};

struct torture_rounds {
    struct torture_rounds_config config;
    struct torture_target targets[TARGETS_MAX];
    size_t target_count;
    pthread_mutex_t lock;         /* guards all below */
    struct torture_death *deaths; /* owned */
    size_t death_count;
    uint32_t done;
    int rc; /* of the first lane that failed */
    struct bv_error error;
};
struct lane {
    struct torture_rounds *rounds;
    const struct torture_lane_place *place;
    pthread_t thread;
    bool running;
};

/* ---- which ---- */

static bool in_list(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    return false;
}

static bool wanted(const char *only, const char *service, const char *name)
{
    char full[96];
    if (!only)
        return true;
    snprintf(full, sizeof full, "%s/%s", service, name);
    for (const char *at = only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t size = strcspn(at, ",");
        if (size > 0 && (strncmp(at, name, size) == 0 || strncmp(at, full, size) == 0))
            return true;
    }
    return false;
}

static int primer_of(enum bv_failpoint point)
{
    for (size_t i = 0; i < BV_COUNT(primers); i++)
        if (primers[i].point == point)
            return (int)primers[i].primer;
    return -1;
}

static int add_targets(struct torture_rounds *rounds, const struct torture_lane_place *place)
{
    for (size_t i = 0; i < BV_FAILPOINT_COUNT; i++) {
        const struct bv_failpoint_row *row = &bv_failpoint_rows[i];
        if (!in_list(row->services, place->service) ||
            !wanted(rounds->config.only, place->service, row->name))
            continue;
        assert(rounds->target_count < TARGETS_MAX);
        struct torture_target *target = &rounds->targets[rounds->target_count++];
        *target = (struct torture_target){.service = place->service,
                                          .point = (enum bv_failpoint)i,
                                          .primer = primer_of((enum bv_failpoint)i)};
        target->recovery_us = calloc(rounds->config.rounds + 1, sizeof *target->recovery_us);
        if (!target->recovery_us)
            return BV_E_NOMEM;
    }
    return 0;
}

int torture_rounds_open(const struct torture_rounds_config *config,
                        struct torture_rounds **ret_rounds,
                        struct bv_error *error)
{
    struct torture_rounds *rounds = calloc(1, sizeof *rounds);
    if (!rounds)
        return BV_E_NOMEM;
    rounds->config = *config;
    pthread_mutex_init(&rounds->lock, NULL);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < config->place_count; i++)
        rc = add_targets(rounds, &config->places[i]);
    if (rc == 0 && rounds->target_count == 0)
        rc = bv_fail(error,
                     BV_E_INVALID,
                     "no crash point begins with '%s' (bv failpoints lists them)",
                     config->only);
    if (rc == 0 && !(rounds->deaths = calloc(rounds->target_count * (config->rounds + 1),
                                             sizeof *rounds->deaths)))
        rc = BV_E_NOMEM;
    if (rc < 0) {
        torture_rounds_close(&rounds);
        return rc;
    }
    *ret_rounds = rounds;
    return 0;
}

void torture_rounds_close(struct torture_rounds **rounds)
{
    if (!*rounds)
        return;
    for (size_t i = 0; i < (*rounds)->target_count; i++)
        free((*rounds)->targets[i].recovery_us);
    free((*rounds)->deaths);
    pthread_mutex_destroy(&(*rounds)->lock);
    free(*rounds);
    *rounds = NULL;
}

size_t torture_rounds_targets(struct torture_rounds *rounds, struct torture_target **ret_targets)
{
    *ret_targets = rounds->targets;
    return rounds->target_count;
}

struct torture_target *torture_rounds_blame(struct torture_rounds *rounds, int64_t wall_ms)
{
    const struct torture_death *best = NULL;
    for (size_t i = 0; i < rounds->death_count; i++) {
        const struct torture_death *death = &rounds->deaths[i];
        if (death->wall_ms >= wall_ms && (!best || death->wall_ms < best->wall_ms))
            best = death;
    }
    return best ? &rounds->targets[best->target] : NULL;
}

/* ---- one death ---- */

static bool over(const struct torture_rounds *rounds)
{
    return rounds->config.cancel && *rounds->config.cancel;
}

static bool await_ready(struct lane *lane)
{
    int64_t ends_ms = bv_now_ms() + READY_MS_MAX;
    while (bv_now_ms() < ends_ms) {
        int status = 0;
        if (bv_http_probe(
                lane->place->port, "/readyz", bv_now_ms() + TRY_MS, &status, NULL, NULL) == 0 &&
            status == 200)
            return true;
        bv_retry_pause();
    }
    return false;
}

/* Whether the point was hit, by the count that the dying process left. */
static bool hit(struct lane *lane, enum bv_failpoint point, uint32_t passage)
{
    uint32_t before = atomic_load(&lane->place->board->fired[point]);
    bv_failpoint_arm(lane->place->board, point, passage);
    int64_t limit_ms = lane->rounds->config.fire_ms_max;
    int rc =
        bv_failpoint_await(lane->place->board, point, before, limit_ms ? limit_ms : FIRE_MS_MAX);
    if (rc < 0)
        bv_failpoint_disarm(lane->place->board);
    return rc == 0;
}

static void note_death(struct torture_rounds *rounds, size_t index, int64_t recovery_us)
{
    struct torture_target *target = &rounds->targets[index];
    pthread_mutex_lock(&rounds->lock);
    rounds->deaths[rounds->death_count++] = (struct torture_death){
        .wall_ms = (bv_wall_us(&system_env) - recovery_us) / 1000, .target = index};
    target->recovery_us[target->fired++] = recovery_us;
    pthread_mutex_unlock(&rounds->lock);
}

static void count_round(struct torture_rounds *rounds)
{
    pthread_mutex_lock(&rounds->lock);
    rounds->done++;
    if (rounds->config.progress)
        rounds->config.progress(rounds->config.progress_argument,
                                rounds->done,
                                (uint32_t)rounds->target_count * rounds->config.rounds);
    pthread_mutex_unlock(&rounds->lock);
}

static int one_round(struct lane *lane, size_t index)
{
    struct torture_target *target = &lane->rounds->targets[index];
    struct bv_failpoint_board *board = lane->place->board;
    int64_t armed_us = bv_mono_us(&system_env);
    bool fired;
    if (target->fired == 0 && target->asked == TRIES_MAX) {
        count_round(lane->rounds);
        return 0;
    }
    target->asked++;
    if (target->primer >= 0) /* its successor dies before it is ready, as soon as it sweeps */
        fired = hit(lane, (enum bv_failpoint)target->primer, 1) && hit(lane, target->point, 1);
    else
        fired = hit(lane, target->point, 1 + (uint32_t)bv_random_below(&system_env, PASSAGE_MAX));
    target->waited_us += bv_mono_us(&system_env) - armed_us;
    if (!await_ready(lane))
        return BV_E_TIMEOUT;
    if (fired)
        note_death(lane->rounds, index, bv_mono_us(&system_env) - atomic_load(&board->fired_at_us));
    count_round(lane->rounds);
    return 0;
}

/* ---- lanes ---- */

static void shuffle(size_t *order, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)bv_random_below(&system_env, i);
        size_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

static void *lane_run(void *argument)
{
    struct lane *lane = argument;
    struct torture_rounds *rounds = lane->rounds;
    size_t order[TARGETS_MAX], count = 0;
    int rc = 0;
    for (size_t i = 0; i < rounds->target_count; i++)
        if (strcmp(rounds->targets[i].service, lane->place->service) == 0)
            order[count++] = i;
    for (uint32_t round = 0; rc == 0 && round < rounds->config.rounds; round++) {
        shuffle(order, count);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = over(rounds) ? BV_E_CANCELLED : one_round(lane, order[i]);
    }
    pthread_mutex_lock(&rounds->lock);
    if (rc < 0 && rounds->rc == 0)
        rounds->rc = bv_fail(&rounds->error,
                             rc,
                             rc == BV_E_TIMEOUT ? "%s did not come back" : "%s: stopped",
                             lane->place->service);
    pthread_mutex_unlock(&rounds->lock);
    return NULL;
}

int torture_rounds_run(struct torture_rounds *rounds, struct bv_error *error)
{
    struct lane lanes[8] = {0};
    assert(rounds->config.place_count <= BV_COUNT(lanes));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rounds->config.place_count; i++) {
        lanes[i].rounds = rounds;
        lanes[i].place = &rounds->config.places[i];
        rc = pthread_create(&lanes[i].thread, NULL, lane_run, &lanes[i]) == 0 ? 0 : BV_E_LIMIT;
        lanes[i].running = rc == 0;
    }
    for (size_t i = 0; i < BV_COUNT(lanes); i++)
        if (lanes[i].running)
            pthread_join(lanes[i].thread, NULL);
    if (rc == 0 && rounds->rc < 0) {
        rc = rounds->rc;
        if (error)
            *error = rounds->error;
    }
    return rc;
}
