/* What crosses threads in bv-loop: posts from several threads arrive all and in order per thread,
 * workers hand their jobs back, a stop from another thread ends the loop. Plain program for the
 * thread sanitizer; exit status 0 is success. */
#include "bv/check.h"
#include "bv/loop.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define POSTERS 4
#define POSTS_EACH 20000
#define JOBS 2000

struct bench;
struct poster {
    struct bench *bench;
    pthread_t thread;
    int arrived; /* loop thread only */
};
struct message {
    struct poster *poster;
    int number;
};
struct work_item {
    struct bench *bench;
    int input;
    int output;
};
struct bench {
    struct bv_loop *loop;
    struct bv_workers *workers;
    struct poster posters[POSTERS];
    int posters_done;
    int jobs_sent;
    int jobs_done;
    pthread_t stopper;
};

static void *stop_main(void *argument)
{
    bv_loop_stop(((struct bench *)argument)->loop);
    return NULL;
}

static void finish_when_done(struct bench *bench)
{
    if (bench->posters_done == POSTERS && bench->jobs_done == JOBS)
        CHECK(pthread_create(&bench->stopper, NULL, stop_main, bench) == 0);
}

static void on_message(void *argument)
{
    struct message *message = argument;
    struct poster *poster = message->poster;
    CHECK(message->number == poster->arrived);
    poster->arrived++;
    free(message);
    if (poster->arrived == POSTS_EACH) {
        poster->bench->posters_done++;
        finish_when_done(poster->bench);
    }
}

static void *poster_main(void *argument)
{
    struct poster *poster = argument;
    for (int i = 0; i < POSTS_EACH; i++) {
        struct message *message = malloc(sizeof(*message));
        CHECK(message);
        *message = (struct message){poster, i};
        int rc = bv_loop_post(poster->bench->loop, on_message, message);
        while (rc == BV_E_LIMIT) {
            sched_yield();
            rc = bv_loop_post(poster->bench->loop, on_message, message);
        }
        CHECK(rc == 0);
    }
    return NULL;
}

static void work(void *argument)
{
    struct work_item *item = argument;
    item->output = item->input * 2;
}

static void send_jobs(struct bench *bench);

static void done(void *argument)
{
    struct work_item *item = argument;
    struct bench *bench = item->bench;
    CHECK(item->output == item->input * 2);
    free(item);
    bench->jobs_done++;
    send_jobs(bench);
    finish_when_done(bench);
}

static void send_jobs(struct bench *bench)
{
    while (bench->jobs_sent < JOBS) {
        struct work_item *item = malloc(sizeof(*item));
        CHECK(item);
        *item = (struct work_item){bench, bench->jobs_sent, -1};
        int rc = bv_workers_run(bench->workers, work, done, item);
        if (rc == BV_E_LIMIT) {
            free(item);
            return;
        }
        CHECK(rc == 0);
        bench->jobs_sent++;
    }
}

int main(void)
{
    static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    static struct bench bench;
    CHECK(bv_loop_open(&env, &bench.loop) == 0);
    CHECK(bv_workers_open(bench.loop, "jobs", 3, 16, &bench.workers) == 0);
    for (int i = 0; i < POSTERS; i++) {
        bench.posters[i].bench = &bench;
        CHECK(pthread_create(&bench.posters[i].thread, NULL, poster_main, &bench.posters[i]) == 0);
    }
    send_jobs(&bench);
    CHECK(bv_loop_run(bench.loop) == 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(bench.posters[i].thread, NULL);
    pthread_join(bench.stopper, NULL);
    CHECK(bench.posters_done == POSTERS && bench.jobs_done == JOBS);
    bv_workers_close(&bench.workers);
    bv_loop_close(&bench.loop);
    return 0;
}
