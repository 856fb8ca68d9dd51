/* What the integration tests share: a loop, a migrated database, a store, calls that wait for their
 * end. Thread: the test's. */
#ifndef NOTIFICATION_TESTING_H
#define NOTIFICATION_TESTING_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/test_loop.h"
#include "bv/test_stack.h"
#include "notification_store.h"

#define WAIT_MS 10000

struct bench { /* several may share a database: replicas */
    char *conninfo;
    struct bv_loop *loop;
    struct bv_pg *pg;
    struct notification_store *store;
    bool ended;
    int rc;
};

static inline void bench_open_on(struct bench *bench, struct bv_loop *loop, const char *conninfo)
{
    *bench = (struct bench){.conninfo = strdup(conninfo), .loop = loop};
    struct bv_pg_config pg = {.conninfo = bench->conninfo,
                              .connections = 2,
                              .calls_max = 1000,
                              .call_timeout_ms = 5000,
                              .pipeline_depth = 16};
    cr_assert_eq(bv_pg_open(loop, &pg, NULL, &bench->pg), 0);
    cr_assert_eq(notification_store_pg_open(bench->pg, &bench->store), 0);
}

static inline void bench_open(struct bench *bench)
{
    struct bv_loop *loop;
    char *conninfo = bv_test_database("notification");
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &loop), 0);
    bench_open_on(bench, loop, conninfo);
    free(conninfo);
}

static inline void bench_close_pg(struct bench *bench)
{
    bv_pg_close(&bench->pg);
}

static inline void bench_close_on(struct bench *bench)
{
    bv_pg_close(&bench->pg);
    bench->store->ops->release(&bench->store);
    free(bench->conninfo);
}

static inline void bench_close(struct bench *bench)
{
    bench_close_on(bench);
    bv_loop_close(&bench->loop);
}

static inline bool bench_ended(void *argument)
{
    return ((struct bench *)argument)->ended;
}

static inline void bench_wait(struct bench *bench)
{
    cr_assert(bv_test_run_until(bench->loop, bench_ended, bench, WAIT_MS),
              "the store did not answer");
    bench->ended = false;
}

/* ---- events ---- */

struct told { /* an event and its texts */
    struct notification_event event;
    char event_id[BV_UUID_TEXT_SIZE], order_id[BV_UUID_TEXT_SIZE], user[32], data[128];
};

/* Version of order `order` of a user; the same arguments make the same event. */
static inline struct notification_event *
tell(struct told *told, const char *user, int order, int64_t version, const char *type)
{
    snprintf(told->user, sizeof(told->user), "%s", user);
    snprintf(
        told->order_id, sizeof(told->order_id), "01936f3e-7c2a-7b31-8000-%012x", (unsigned)order);
    snprintf(told->event_id,
             sizeof(told->event_id),
             "01936f3e-7c2a-7b31-9%03x-%012x",
             (unsigned)version,
             (unsigned)order);
    snprintf(told->data,
             sizeof(told->data),
             "{\"orderId\":\"%s\",\"version\":%lld,\"customerId\":\"%s\"}",
             told->order_id,
             (long long)version,
             told->user);
    told->event = (struct notification_event){
        .event_id = bv_bytes_of(told->event_id),
        .tenant = BV_BYTES("default"),
        .user_id = bv_bytes_of(told->user),
        .order_id = bv_bytes_of(told->order_id),
        .version = version,
        .type = bv_bytes_of(type),
        .occurred_at = BV_BYTES("2026-11-23T01:15:04.250Z"),
        .traceparent = BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        .correlation_id = BV_BYTES("corr"),
        .data = bv_bytes_of(told->data)};
    return &told->event;
}

struct taking {
    struct bench *bench;
    int64_t sequences[64];
    int64_t deliveries;
};

static inline void on_taking(void *argument,
                             int rc,
                             const struct notification_taken *taken,
                             const struct bv_error *error)
{
    struct taking *taking = argument;
    taking->bench->ended = true;
    taking->bench->rc = rc;
    (void)error;
    for (size_t i = 0; rc == 0 && i < taken->count; i++)
        taking->sequences[i] = taken->sequences[i];
    taking->deliveries = rc == 0 ? taken->deliveries : -1;
}

static inline struct taking
take_all(struct bench *bench, const struct notification_event *events, size_t count)
{
    struct taking taking = {.bench = bench};
    cr_assert_eq(bench->store->ops->take(bench->store, events, count, on_taking, &taking), 0);
    bench_wait(bench);
    return taking;
}

static inline struct taking
take_one(struct bench *bench, const char *user, int order, int64_t version, const char *type)
{
    struct told told;
    return take_all(bench, tell(&told, user, order, version, type), 1);
}

#define CREATED "ecommerce.order.created.v1"
#define PAID "ecommerce.order.paid.v1"

/* ---- subscriptions ---- */

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define WEBHOOK_ID "01936f40-11aa-7d20-9c3b-8e7f6a5b4c3d"

static inline void on_webhook(void *argument,
                              int rc,
                              const struct notification_webhook *rows,
                              size_t count,
                              const struct bv_error *error)
{
    struct bench *bench = argument;
    (void)rows, (void)error;
    bench->ended = true;
    bench->rc = rc < 0 ? rc : (int)count;
}

static inline int subscribe_as(
    struct bench *bench, const char *id, const char *owner, const char *url, const char *types)
{
    struct notification_webhook webhook = {.webhook_id = bv_bytes_of(id),
                                           .tenant = BV_BYTES("default"),
                                           .owner = bv_bytes_of(owner),
                                           .url = bv_bytes_of(url),
                                           .event_types = bv_bytes_of(types),
                                           .secret = BV_BYTES(SECRET)};
    cr_assert_eq(bench->store->ops->webhook_insert(bench->store, &webhook, 3, on_webhook, bench),
                 0);
    bench_wait(bench);
    return bench->rc;
}

static inline void subscribe(struct bench *bench, const char *url)
{
    cr_assert_eq(subscribe_as(bench, WEBHOOK_ID, "partner", url, "[\"" CREATED "\",\"" PAID "\"]"),
                 1);
}

#endif
