#include "crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct crew;
struct worker {
    struct crew *crew;
    pthread_t thread;
    struct runner_lab *lab; /* owned; NULL until its first scenario */
};
struct crew {
    const struct crew_config *config;
    const struct schedule *schedule;
    int done_fd; /* readable when the last worker has ended */
    struct worker workers[CREW_JOBS_MAX];
    size_t worker_count;  /* threads that were started */
    pthread_mutex_t lock; /* guards what follows, and the labs of the workers */
    pthread_cond_t changed;
    size_t unit;                /* the next one, or the one that is handed out */
    size_t handed;              /* scenarios of it that have a worker; 0: it waits for its turn */
    size_t running;             /* scenarios that run or are about to */
    bool isolated;              /* those of a unit that nothing may run beside */
    size_t ended;               /* workers */
    struct barriers **barriers; /* owned: of each unit, NULL: none */
    bool stop;
    bool interrupted;
    int rc;
    struct bv_error error;
};

static void fail(struct crew *crew, int rc, const struct bv_error *error)
{
    crew->stop = true;
    if (crew->rc < 0)
        return;
    crew->rc = rc;
    if (error && error->text[0])
        crew->error = *error;
    else
        (void)bv_fail(&crew->error, rc, "%s", bv_error_row(rc)->title);
}

/* ---- what runs next; with the lock held ---- */

static int open_barriers(struct crew *crew, const struct schedule_unit *unit)
{
    const struct plan_scenario *scenarios[BARRIER_PARTIES_MAX];
    if (unit->count == 1)
        return 0;
    for (size_t i = 0; i < unit->count; i++)
        scenarios[i] = crew->schedule->jobs[unit->first + i].scenario;
    return barriers_open(scenarios, unit->count, &crew->barriers[crew->unit]);
}

/* Whether the unit at hand may start: nothing else runs, or it fits. */
static bool may_start(const struct crew *crew)
{
    const struct schedule_unit *unit = &crew->schedule->units[crew->unit];
    return crew->running == 0 || (!unit->isolated && !crew->isolated &&
                                  crew->running + unit->count <= crew->config->jobs);
}

/* The next scenario for a worker; waits for its turn. false: there is none. */
static bool
next_job(struct crew *crew, const struct schedule_job **ret_job, struct barriers **ret_barriers)
{
    for (;;) {
        bool handing = crew->handed > 0; /* the whole of a unit runs, or nothing of it */
        if ((crew->stop && !handing) || crew->unit == crew->schedule->unit_count)
            return false;
        if (handing || may_start(crew))
            break;
        pthread_cond_wait(&crew->changed, &crew->lock);
    }
    const struct schedule_unit *unit = &crew->schedule->units[crew->unit];
    if (crew->handed == 0) {
        int rc = open_barriers(crew, unit);
        if (rc < 0) {
            fail(crew, rc, NULL);
            return false;
        }
        crew->running += unit->count;
        crew->isolated = unit->isolated;
    }
    *ret_job = &crew->schedule->jobs[unit->first + crew->handed];
    *ret_barriers = crew->barriers[crew->unit];
    if (++crew->handed == unit->count) {
        crew->handed = 0;
        crew->unit++;
    }
    pthread_cond_broadcast(&crew->changed);
    return true;
}

/* ---- a worker ---- */

static int open_lab(struct worker *worker)
{
    struct crew *crew = worker->crew;
    struct runner_lab *lab = NULL;
    if (worker->lab)
        return 0;
    BV_TRY(runner_lab_open(crew->config->lab, &lab));
    pthread_mutex_lock(&crew->lock);
    worker->lab = lab;
    if (crew->interrupted)
        runner_lab_interrupt(lab);
    pthread_mutex_unlock(&crew->lock);
    return 0;
}

static int run_job(struct worker *worker,
                   const struct schedule_job *job,
                   struct barriers *barriers,
                   struct bv_error *error)
{
    const struct crew *crew = worker->crew;
    const struct crew_hooks *hooks = &crew->config->hooks;
    struct execute_listener listener = {0};
    struct scenario_outcome outcome;
    enum crew_company company = crew->config->jobs == 1 && !barriers ? CREW_ALONE : CREW_TOGETHER;
    int rc = open_lab(worker);
    if (rc == 0)
        rc = hooks->begins(hooks->argument, job, company, &listener);
    if (rc < 0) {
        barriers_leave(barriers, job->scenario);
        return rc;
    }
    rc = execute_scenario(worker->lab, job->scenario, job->number, barriers, &listener, &outcome);
    int end = hooks->ends(hooks->argument, job, &listener);
    if (rc < 0)
        (void)bv_fail(error, rc, "%s", bv_error_row(rc)->title);
    return rc < 0 ? rc : end;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    const struct schedule_job *job = NULL;
    struct barriers *barriers = NULL;
    pthread_mutex_lock(&crew->lock);
    while (next_job(crew, &job, &barriers)) {
        struct bv_error error = {0};
        pthread_mutex_unlock(&crew->lock);
        int rc = run_job(worker, job, barriers, &error);
        pthread_mutex_lock(&crew->lock);
        crew->running--;
        if (rc < 0)
            fail(crew, rc, &error);
        else if (rc == CREW_STOP)
            crew->stop = true;
        pthread_cond_broadcast(&crew->changed);
    }
    struct runner_lab *lab = worker->lab;
    worker->lab = NULL;
    pthread_mutex_unlock(&crew->lock);
    runner_lab_close(&lab);
    pthread_mutex_lock(&crew->lock);
    bool last = ++crew->ended == crew->worker_count;
    pthread_mutex_unlock(&crew->lock);
    uint64_t one = 1;
    if (last && write(crew->done_fd, &one, sizeof one) < 0)
        abort(); /* an eventfd takes 2^64-2 of them */
    return NULL;
}

/* ---- the thread of the caller ---- */

static void interrupt(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->stop = crew->interrupted = true;
    for (size_t i = 0; i < crew->schedule->unit_count; i++)
        barriers_interrupt(crew->barriers[i]); /* first: nobody is to blame for ending early */
    for (size_t i = 0; i < crew->worker_count; i++)
        if (crew->workers[i].lab)
            runner_lab_interrupt(crew->workers[i].lab);
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

static void await(struct crew *crew)
{
    struct pollfd fds[] = {
        {crew->done_fd,              POLLIN, 0},
        {crew->config->interrupt_fd, POLLIN, 0}
    };
    bool cut = false;
    bool told = false;
    while (!(fds[0].revents & POLLIN)) {
        int ready = poll(fds, cut ? 1 : 2, cut && !told ? CREW_GRACE_MS : -1);
        if (ready < 0 && errno != EINTR)
            return;
        if (ready > 0 && !cut && (fds[1].revents & POLLIN)) {
            cut = true;
            interrupt(crew);
        } else if (ready == 0 && !told) {
            told = true;
            if (crew->config->hooks.stuck)
                crew->config->hooks.stuck(crew->config->hooks.argument);
        }
    }
}

/* Threads that take no signals of the process. */
static int start(struct crew *crew, size_t count)
{
    sigset_t all;
    sigset_t before;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&crew->lock); /* nobody is the last one before all have started */
    for (size_t i = 0; rc == 0 && i < count; i++) {
        crew->workers[i].crew = crew;
        rc = pthread_create(&crew->workers[i].thread, NULL, work, &crew->workers[i]);
        if (rc == 0)
            crew->worker_count++;
    }
    if (crew->worker_count < crew->schedule->largest || !crew->worker_count)
        fail(crew, BV_E_LIMIT, NULL);
    pthread_mutex_unlock(&crew->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return crew->worker_count ? 0 : BV_E_LIMIT;
}

int crew_run(const struct crew_config *config,
             const struct schedule *schedule,
             struct bv_error *error)
{
    size_t count = config->jobs > schedule->largest ? config->jobs : schedule->largest;
    if (count > schedule->job_count)
        count = schedule->job_count;
    if (!count)
        return 0;
    struct crew *crew = calloc(1, sizeof *crew);
    if (!crew)
        return BV_E_NOMEM;
    crew->config = config;
    crew->schedule = schedule;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
    crew->done_fd = eventfd(0, EFD_CLOEXEC);
    crew->barriers = calloc(schedule->unit_count, sizeof(struct barriers *));
    int rc = crew->done_fd < 0 || !crew->barriers ? BV_E_NOMEM : start(crew, count);
    if (rc == 0)
        await(crew);
    for (size_t i = 0; i < crew->worker_count; i++)
        pthread_join(crew->workers[i].thread, NULL);
    if (rc == 0)
        rc = crew->rc < 0 ? crew->rc : crew->interrupted ? CREW_INTERRUPTED : 0;
    if (rc < 0 && crew->error.text[0])
        *error = crew->error;
    for (size_t i = 0; crew->barriers && i < schedule->unit_count; i++)
        barriers_close(&crew->barriers[i]);
    free(crew->barriers);
    if (crew->done_fd >= 0)
        close(crew->done_fd);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
    return rc;
}
