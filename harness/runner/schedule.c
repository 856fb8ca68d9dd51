#include "schedule.h"

#include "seed.h"

static bool meet(const struct schedule_job *a, const struct schedule_job *b)
{
    if (a->plan != b->plan)
        return false;
    for (size_t i = 0; i < a->scenario->step_count; i++)
        if (a->scenario->steps[i].kind == PLAN_BARRIER &&
            barrier_named(b->scenario, a->scenario->steps[i].barrier))
            return true;
    return false;
}

static bool has_barrier(const struct plan_scenario *scenario)
{
    for (size_t i = 0; i < scenario->step_count; i++)
        if (scenario->steps[i].kind == PLAN_BARRIER)
            return true;
    return false;
}

static bool is_isolated(const struct plan_scenario *scenario)
{
    for (size_t i = 0; i < scenario->tag_count; i++)
        if (bv_bytes_equal(scenario->tags[i], BV_BYTES("@isolated")))
            return true;
    return false;
}

/* Appends jobs[order[from]] and everyone that it must meet; used marks them. */
static void take_unit(const struct schedule_job *jobs,
                      size_t count,
                      const size_t *order,
                      size_t from,
                      bool *used,
                      struct schedule *schedule)
{
    struct schedule_unit *unit = &schedule->units[schedule->unit_count++];
    unit->first = schedule->job_count;
    used[from] = true;
    schedule->jobs[schedule->job_count++] = jobs[order[from]];
    bool alone = !has_barrier(jobs[order[from]].scenario);
    for (size_t at = unit->first; !alone && at < schedule->job_count; at++) {
        for (size_t i = from + 1; i < count; i++) {
            if (used[i] || !meet(&schedule->jobs[at], &jobs[order[i]]))
                continue;
            used[i] = true;
            schedule->jobs[schedule->job_count++] = jobs[order[i]];
        }
    }
    unit->count = schedule->job_count - unit->first;
    for (size_t i = 0; i < unit->count; i++)
        unit->isolated = unit->isolated || is_isolated(schedule->jobs[unit->first + i].scenario);
    if (unit->count > schedule->largest)
        schedule->largest = unit->count;
}

int schedule_make(struct bv_arena *arena,
                  const struct schedule_job *jobs,
                  size_t count,
                  const struct bv_env *shuffle,
                  struct schedule *ret_schedule,
                  struct bv_error *error)
{
    size_t *order = bv_arena_array(arena, size_t, count + 1);
    bool *used = bv_arena_array(arena, bool, count + 1);
    struct schedule schedule = {.jobs = bv_arena_array(arena, struct schedule_job, count + 1),
                                .units = bv_arena_array(arena, struct schedule_unit, count + 1)};
    if (!order || !used || !schedule.jobs || !schedule.units)
        return BV_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    if (shuffle)
        seed_shuffle(shuffle, order, count);
    for (size_t i = 0; i < count; i++)
        if (!used[i])
            take_unit(jobs, count, order, i, used, &schedule);
    for (size_t i = 0; i < count; i++)
        schedule.jobs[i].number = i + 1;
    if (schedule.largest > BARRIER_PARTIES_MAX)
        return bv_fail(error,
                       BV_E_LIMIT,
                       "%zu scenarios must meet at barriers: at most %d can",
                       schedule.largest,
                       BARRIER_PARTIES_MAX);
    *ret_schedule = schedule;
    return 0;
}
