/* A bounded pool of threads. A job goes: queue -> thread -> finished list -> done on the loop
 * thread. */
#include "loop_private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKER_THREADS_MAX 64
#define WORKER_QUEUE_MAX 65536
#define WORKER_NAME_MAX 11 /* the kernel keeps 15 bytes of a thread's name */

struct job {
    struct job *next;
    void (*work)(void *argument);
    void (*done)(void *argument);
    void *argument;
};
struct job_list {
    struct job *first;
    struct job **end;
};

struct bv_workers {
    struct loop_member member;
    uv_async_t finished_wake;
    uint32_t outstanding; /* accepted, done not called; loop thread only */
    uint32_t outstanding_max;
    uint32_t thread_count;
    pthread_t threads[WORKER_THREADS_MAX];
    pthread_cond_t work_waits;
    pthread_mutex_t mutex; /* guards what follows */
    struct job_list waiting;
    struct job_list finished;
    bool ending;
};

static void list_append(struct job_list *list, struct job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

static void *worker_main(void *argument)
{
    struct bv_workers *workers = argument;
    pthread_mutex_lock(&workers->mutex);
    for (;;) {
        while (!workers->waiting.first && !workers->ending)
            pthread_cond_wait(&workers->work_waits, &workers->mutex);
        struct job *job = workers->waiting.first;
        if (!job)
            break;
        workers->waiting.first = job->next;
        if (!job->next)
            workers->waiting.end = &workers->waiting.first;
        pthread_mutex_unlock(&workers->mutex);
        job->work(job->argument);
        pthread_mutex_lock(&workers->mutex);
        list_append(&workers->finished, job);
        uv_async_send(&workers->finished_wake); /* within the lock: close cannot pass between */
    }
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

static void run_finished(struct bv_workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    struct job *job = workers->finished.first;
    workers->finished = (struct job_list){NULL, &workers->finished.first};
    pthread_mutex_unlock(&workers->mutex);
    while (job) {
        struct job *next = job->next;
        workers->outstanding--;
        if (job->done)
            job->done(job->argument);
        free(job);
        job = next;
    }
}

static void on_finished(uv_async_t *handle)
{
    run_finished(handle->data);
}

static void workers_free(uv_handle_t *handle)
{
    struct bv_workers *workers = handle->data;
    pthread_cond_destroy(&workers->work_waits);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}

static void workers_close(struct loop_member *member)
{
    struct bv_workers *workers = (struct bv_workers *)member;
    pthread_mutex_lock(&workers->mutex);
    workers->ending = true;
    pthread_cond_broadcast(&workers->work_waits);
    pthread_mutex_unlock(&workers->mutex);
    for (uint32_t i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    run_finished(workers);
    loop_member_remove(member);
    uv_close((uv_handle_t *)&workers->finished_wake, workers_free);
}

/* Signals are the loop thread's business: workers start with all of them blocked. */
static int start_threads(struct bv_workers *workers, const char *name, uint32_t threads)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    for (uint32_t i = 0; i < threads && rc == 0; i++) {
        rc = pthread_create(&workers->threads[i], NULL, worker_main, workers);
        if (rc != 0)
            break;
        workers->thread_count++;
        char label[16];
        snprintf(label, sizeof(label), "%s-%u", name, i);
        pthread_setname_np(workers->threads[i], label);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : BV_E_LIMIT;
}

int bv_workers_open(struct bv_loop *loop,
                    const char *name,
                    uint32_t threads,
                    uint32_t queue_max,
                    struct bv_workers **ret_workers)
{
    size_t name_size = strlen(name);
    if (name_size < 1 || name_size > WORKER_NAME_MAX || threads < 1 ||
        threads > WORKER_THREADS_MAX || queue_max > WORKER_QUEUE_MAX)
        return BV_E_INVALID;
    struct bv_workers *workers = calloc(1, sizeof(*workers));
    if (!workers)
        return BV_E_NOMEM;
    int rc = uv_async_init(&loop->uv, &workers->finished_wake, on_finished);
    if (rc < 0) {
        free(workers);
        return loop_fault(rc);
    }
    workers->finished_wake.data = workers;
    workers->outstanding_max = threads + queue_max;
    workers->waiting.end = &workers->waiting.first;
    workers->finished.end = &workers->finished.first;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->work_waits, NULL);
    loop_member_add(loop, &workers->member, workers_close);
    rc = start_threads(workers, name, threads);
    if (rc < 0) {
        workers_close(&workers->member);
        return rc;
    }
    *ret_workers = workers;
    return 0;
}

int bv_workers_run(struct bv_workers *workers,
                   void (*work)(void *argument),
                   void (*done)(void *argument),
                   void *argument)
{
    if (workers->ending) /* set by this thread */
        return BV_E_CLOSED;
    if (workers->outstanding >= workers->outstanding_max)
        return BV_E_LIMIT;
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return BV_E_NOMEM;
    job->work = work;
    job->done = done;
    job->argument = argument;
    workers->outstanding++;
    pthread_mutex_lock(&workers->mutex);
    list_append(&workers->waiting, job);
    pthread_cond_signal(&workers->work_waits);
    pthread_mutex_unlock(&workers->mutex);
    return 0;
}

void bv_workers_close(struct bv_workers **workers)
{
    if (*workers) /* the last done still find it */
        workers_close(&(*workers)->member);
    *workers = NULL;
}
