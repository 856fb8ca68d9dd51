#include "order_batch.h"
#include <stdlib.h>

struct order_batch {
    struct order_store *store; /* borrowed */
    struct order_batch_config config;
    struct bv_idle *idle;    /* owned: forms batches at the end of a loop turn */
    struct order_job *head;  /* waiting, first in first out */
    struct order_job **tail; /* where the next one goes */
    uint32_t waiting;
    uint32_t under_way;
};

/* One transaction under way. */
struct flight {
    struct order_batch *batch;
    size_t count;
    struct order_job *jobs[ORDER_BATCH_ROWS_MAX];
    void *rows[ORDER_BATCH_ROWS_MAX];
};

static void land(void *argument, int rc, const struct bv_error *error);

/* A fault of the database as a whole is not one row's; all others are worth a bisection. */
static bool is_shared(int rc)
{
    return rc == BV_E_UNAVAILABLE || rc == BV_E_TIMEOUT || rc == BV_E_CANCELLED ||
           rc == BV_E_LIMIT || rc == BV_E_NOMEM;
}

static void finish(struct flight *flight, int rc, const struct bv_error *error)
{
    for (size_t i = 0; i < flight->count; i++)
        flight->jobs[i]->done(flight->jobs[i]->argument, rc, error);
    free(flight);
}

static void launch(struct order_batch *batch, struct order_job *const *jobs, size_t count)
{
    struct flight *flight = malloc(sizeof(*flight));
    if (!flight) {
        for (size_t i = 0; i < count; i++)
            jobs[i]->done(jobs[i]->argument, BV_E_NOMEM, NULL);
        return;
    }
    flight->batch = batch;
    flight->count = count;
    for (size_t i = 0; i < count; i++) {
        flight->jobs[i] = jobs[i];
        flight->rows[i] = jobs[i]->row;
    }
    batch->under_way++;
    int rc = batch->config.run(batch->store, flight->rows, count, land, flight);
    if (rc < 0) {
        batch->under_way--;
        finish(flight, rc, NULL);
    }
}

static void end_waiting(struct order_batch *batch, int rc, const struct bv_error *error)
{
    struct order_job *job = batch->head;
    batch->head = NULL;
    batch->tail = &batch->head;
    batch->waiting = 0;
    while (job) {
        struct order_job *next = job->next;
        job->done(job->argument, rc, error);
        job = next;
    }
}

static void land(void *argument, int rc, const struct bv_error *error)
{
    struct flight *flight = argument;
    struct order_batch *batch = flight->batch;
    batch->under_way--;
    if (rc < 0 && flight->count > 1 && !is_shared(rc)) {
        size_t half = flight->count / 2;
        launch(batch, flight->jobs, half);
        launch(batch, flight->jobs + half, flight->count - half);
        free(flight);
    } else {
        finish(flight, rc, error);
        /* One after the other would wait for the deadline of its own. */
        if (rc < 0 && is_shared(rc) && !batch->store->ops->ready(batch->store))
            end_waiting(batch, rc, error);
    }
    if (batch->head)
        bv_idle_arm(batch->idle);
}

static void form(void *argument)
{
    struct order_batch *batch = argument;
    while (batch->head && batch->under_way < batch->config.batches_max) {
        struct order_job *jobs[ORDER_BATCH_ROWS_MAX];
        size_t count = 0;
        while (batch->head && count < ORDER_BATCH_ROWS_MAX) {
            jobs[count++] = batch->head;
            batch->head = batch->head->next;
        }
        if (!batch->head)
            batch->tail = &batch->head;
        batch->waiting -= (uint32_t)count;
        launch(batch, jobs, count);
    }
}

int order_batch_open(struct bv_loop *loop,
                     struct order_store *store,
                     const struct order_batch_config *config,
                     struct order_batch **ret_batch)
{
    struct order_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return BV_E_NOMEM;
    batch->store = store;
    batch->config = *config;
    batch->tail = &batch->head;
    int rc = bv_idle_open(loop, form, batch, &batch->idle);
    if (rc < 0) {
        free(batch);
        return rc;
    }
    *ret_batch = batch;
    return 0;
}

int order_batch_add(struct order_batch *batch, struct order_job *job)
{
    if (batch->waiting >= batch->config.queue_max)
        return BV_E_LIMIT;
    job->next = NULL;
    *batch->tail = job;
    batch->tail = &job->next;
    batch->waiting++;
    bv_idle_arm(batch->idle);
    return 0;
}

bool order_batch_idle(const struct order_batch *batch)
{
    return batch->under_way == 0 && !batch->head;
}

void order_batch_close(struct order_batch **batch_pointer)
{
    struct order_batch *batch = *batch_pointer;
    if (!batch)
        return;
    while (batch->head) {
        struct order_job *job = batch->head;
        batch->head = job->next;
        job->done(job->argument, BV_E_CANCELLED, NULL);
    }
    bv_idle_close(&batch->idle);
    free(batch);
    *batch_pointer = NULL;
}
