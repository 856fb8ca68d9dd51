/* What crosses threads in a recording: appends of several threads arrive all, each thread's in
 * order, and two readers that wait see the same list. Plain program for the thread sanitizer, since
 * Criterion's process model aborts under it; exit status 0 is success. */
#include "bv/recording.h"
#include "bv/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITERS = 4, READERS = 2, EACH = 2000, TOTAL = WRITERS * EACH, WAIT_US = 60000000 };

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct worker {
    struct bv_recording *recording;
    pthread_t thread;
    int number;
};

static void *write_all(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < EACH; i++) {
        struct bv_message message = {
            .actor = "writer",
            .protocol = "test",
            .direction = BV_RECEIVED,
            .status = worker->number,
            .sequence = i,
            .body = BV_BYTES("{\"a\":[1,2,3]}"),
        };
        CHECK(bv_recording_append(worker->recording, &message, NULL) == 0);
    }
    return NULL;
}

static bool any(void *argument, const struct bv_message *message)
{
    (void)argument;
    return message->json != NULL;
}

static void *read_all(void *argument)
{
    struct worker *worker = argument;
    int64_t next[WRITERS] = {0};
    for (uint64_t seen = 0; seen < TOTAL; seen++) {
        const struct bv_message *message = NULL;
        CHECK(bv_recording_await(
                  worker->recording, seen, bv_mono_us(&env) + WAIT_US, any, NULL, &message) == 0);
        CHECK(message->id == seen + 1);
        CHECK(message->sequence == next[message->status]++);
    }
    return NULL;
}

int main(void)
{
    struct worker workers[WRITERS + READERS];
    struct bv_recording_config config = {.env = &env};
    struct bv_recording *recording = NULL;
    CHECK(bv_recording_open(&config, &recording) == 0);
    for (int i = 0; i < WRITERS + READERS; i++) {
        workers[i] = (struct worker){.recording = recording, .number = i};
        CHECK(pthread_create(
                  &workers[i].thread, NULL, i < WRITERS ? write_all : read_all, &workers[i]) == 0);
    }
    for (int i = 0; i < WRITERS + READERS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    CHECK(bv_recording_last(recording) == TOTAL);
    bv_recording_close(&recording);
    return 0;
}
