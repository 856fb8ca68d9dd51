#include "order_batch.h"
#include "bv/test_loop.h"
#include "bv/test_stack.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 64

/* One store on a fresh database; each test runs in its own process. */
static struct {
    char *conninfo;
    struct bv_loop *loop;
    struct order_store *store;
    int committed;
    size_t pending; /* completions still to come */
    int last_rc;
} bench;

static void committed(void *argument)
{
    (void)argument;
    bench.committed++;
}

static bool settled(void *argument)
{
    (void)argument;
    return bench.pending == 0;
}

static void await_all(void)
{
    cr_assert(bv_test_run_until(bench.loop, settled, NULL, 20000),
              "%zu completions are missing",
              bench.pending);
}

static void bench_open(void)
{
    bench.conninfo = bv_test_database("orders");
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    struct bv_pg_config config = {.conninfo = bench.conninfo,
                                  .connections = 2,
                                  .calls_max = 1024,
                                  .call_timeout_ms = 10000,
                                  .pipeline_depth = 4,
                                  .application = "order-test"};
    cr_assert_eq(order_store_pg_open(bench.loop, &config, NULL, committed, NULL, &bench.store), 0);
}

static void bench_close(void)
{
    bench.store->ops->release(&bench.store);
    bv_loop_close(&bench.loop);
    free(bench.conninfo);
}

/* An order with memory of its own. */
struct sample {
    struct order order;
    struct order_item item;
    char key[32];
    struct order_creation creation;
    struct order_change change;
    struct order_job job;
    int rc;
};

static void sample_init(struct sample *sample, int number)
{
    *sample = (struct sample){.rc = 1};
    sample->item = (struct order_item){BV_BYTES("MUG-1"), 2, 1250};
    sample->order = (struct order){.tenant = BV_BYTES("default"),
                                   .customer_id = BV_BYTES("customer"),
                                   .state = ORDER_PENDING,
                                   .version = 1,
                                   .items = &sample->item,
                                   .item_count = 1,
                                   .total_minor = 2500,
                                   .currency = BV_BYTES("EUR"),
                                   .correlation_id = BV_BYTES("c")};
    sample->order.trace = bv_trace_child(&bv_test_env_system, NULL, 0);
    sample->order.created_at_us = sample->order.updated_at_us = bv_wall_us(&bv_test_env_system);
    bv_uuid_format(bv_uuid_v7(&bv_test_env_system), sample->order.order_id);
    snprintf(sample->key, sizeof(sample->key), "key-%d", number);
    sample->creation = (struct order_creation){
        .order = &sample->order, .key = bv_bytes_of(sample->key), .fingerprint = BV_BYTES("f")};
}

static void done(void *argument, int rc, const struct bv_error *error)
{
    (void)error;
    if (argument)
        *(int *)argument = rc;
    bench.last_rc = rc;
    bench.pending--;
}

static void create_all(struct sample *samples, size_t count)
{
    struct order_creation *rows[ROWS_MAX];
    for (size_t i = 0; i < count; i++)
        rows[i] = &samples[i].creation;
    bench.pending++;
    cr_assert_eq(bench.store->ops->create(bench.store, rows, count, done, NULL), 0);
    await_all();
}

static void change_to(struct sample *sample, enum order_state state, struct bv_bytes event_id)
{
    sample->order.state = state;
    sample->order.version++;
    sample->change = (struct order_change){.order = &sample->order,
                                           .inbox_event_id = event_id,
                                           .answer_status = 201,
                                           .answer = BV_BYTES("{}")};
}

static void apply_all(struct sample *samples, size_t count)
{
    struct order_change *rows[ROWS_MAX];
    for (size_t i = 0; i < count; i++)
        rows[i] = &samples[i].change;
    bench.pending++;
    cr_assert_eq(bench.store->ops->apply(bench.store, rows, count, done, NULL), 0);
    await_all();
}

static int64_t count_of(const char *what)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", what);
    return bv_test_sql_int(bench.conninfo, sql);
}

Test(order_store, a_key_creates_one_order_also_within_a_batch_and_between_batches)
{
    struct sample samples[4];
    bench_open();
    for (int i = 0; i < 4; i++)
        sample_init(&samples[i], i / 2); /* two orders per key */
    create_all(samples, 4);
    cr_expect_eq(bench.last_rc, 0);
    cr_expect_eq(samples[0].creation.created + samples[1].creation.created, 1);
    cr_expect_eq(samples[2].creation.created + samples[3].creation.created, 1);
    create_all(samples, 4);
    for (int i = 0; i < 4; i++)
        cr_expect_not(samples[i].creation.created);
    cr_expect_eq(count_of("orders"), 2);
    cr_expect_eq(count_of("order_items"), 2);
    cr_expect_eq(count_of("outbox"), 2, "an order that was not created announces nothing");
    cr_expect_eq(bench.committed, 2);
    bench_close();
}

Test(order_store, the_version_lets_one_change_through)
{
    struct sample sample;
    bench_open();
    sample_init(&sample, 1);
    create_all(&sample, 1);
    change_to(&sample, ORDER_RESERVED, BV_BYTES_NONE);
    apply_all(&sample, 1);
    cr_expect(sample.change.applied);
    apply_all(&sample, 1); /* the same change again: its version has passed */
    cr_expect_not(sample.change.applied);
    cr_expect_eq(count_of("outbox"), 2);
    cr_expect_eq(bv_test_sql_int(bench.conninfo, "SELECT version FROM orders"), 2);
    cr_expect_eq(bv_test_sql_int(bench.conninfo, "SELECT status FROM idempotency_keys"), 201);
    bench_close();
}

Test(order_store, of_two_changes_that_meet_in_a_batch_only_the_winner_is_announced)
{
    struct sample samples[2];
    char winner[128];
    bench_open();
    sample_init(&samples[0], 1);
    create_all(samples, 1);
    samples[1] = samples[0];
    change_to(&samples[0], ORDER_RESERVED, BV_BYTES_NONE);
    change_to(&samples[1], ORDER_CANCELLED, BV_BYTES_NONE);
    samples[1].change.order = &samples[1].order;
    apply_all(samples, 2);
    cr_expect_eq(samples[0].change.applied + samples[1].change.applied, 1);
    cr_expect_eq(count_of("outbox"), 2, "created, and the change that won");
    snprintf(winner,
             sizeof(winner),
             "outbox o JOIN orders r ON o.event_type = 'ecommerce.order.' || lower(r.state) || "
             "'.v1' AND o.sequence = 2");
    cr_expect_eq(count_of(winner), 1);
    bench_close();
}

Test(order_store, an_event_takes_effect_once_though_it_comes_twice)
{
    static const struct bv_bytes event_id = {"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01", 36};
    struct sample sample;
    bench_open();
    sample_init(&sample, 1);
    create_all(&sample, 1);
    change_to(&sample, ORDER_RESERVED, event_id);
    apply_all(&sample, 1);
    cr_expect(sample.change.applied);
    change_to(&sample, ORDER_PAID, event_id); /* right version, known event */
    apply_all(&sample, 1);
    cr_expect_not(sample.change.applied);
    cr_expect_eq(count_of("inbox"), 1);
    cr_expect_eq(count_of("outbox"), 2);
    bench_close();
}

static struct order seen;
static struct order_item seen_item;
static char seen_sku[ORDER_SKU_MAX + 1];

static void loaded(void *argument,
                   int rc,
                   const struct order *orders,
                   size_t count,
                   bool inbox_seen,
                   const struct bv_error *error)
{
    (void)argument, (void)inbox_seen, (void)error;
    cr_expect_eq(rc, 0);
    cr_assert_eq(count, 1);
    seen = orders[0];
    seen_item = orders[0].items[0];
    snprintf(seen_sku, sizeof(seen_sku), "%.*s", BV_ARG(seen_item.sku));
    bench.pending--;
}

Test(order_store, reads_back_what_it_wrote)
{
    struct sample sample;
    bench_open();
    sample_init(&sample, 1);
    create_all(&sample, 1);
    bench.pending++;
    cr_assert_eq(bench.store->ops->load(bench.store,
                                        BV_BYTES("default"),
                                        bv_bytes_of(sample.order.order_id),
                                        BV_BYTES_NONE,
                                        loaded,
                                        NULL),
                 0);
    await_all();
    cr_expect_str_eq(seen.order_id, sample.order.order_id);
    cr_expect_eq(seen.total_minor, 2500);
    cr_expect_eq(seen.item_count, 1);
    cr_expect_eq(seen_item.quantity, 2);
    cr_expect_eq(seen_item.unit_price_minor, 1250);
    cr_expect_str_eq(seen_sku, "MUG-1");
    cr_expect_eq(seen.created_at_us / 1000, sample.order.created_at_us / 1000);
    cr_expect_eq(memcmp(seen.trace.trace_id, sample.order.trace.trace_id, 16), 0);
    bench_close();
}

static size_t pending_seen;

static void pending_found(void *argument,
                          int rc,
                          const struct order *orders,
                          size_t count,
                          bool inbox_seen,
                          const struct bv_error *error)
{
    (void)argument, (void)orders, (void)inbox_seen, (void)error;
    cr_expect_eq(rc, 0);
    pending_seen = count;
    bench.pending--;
}

Test(order_store, the_sweeper_finds_old_pending_orders_and_no_others)
{
    struct sample samples[3];
    bench_open();
    for (int i = 0; i < 3; i++)
        sample_init(&samples[i], i);
    samples[0].order.created_at_us -= 60 * 1000000LL;
    samples[1].order.created_at_us -= 60 * 1000000LL;
    create_all(samples, 3);
    change_to(&samples[1], ORDER_RESERVED, BV_BYTES_NONE);
    apply_all(&samples[1], 1);
    int64_t old_us = bv_wall_us(&bv_test_env_system) - 5 * 1000000LL;
    bench.pending++;
    cr_assert_eq(bench.store->ops->pending(bench.store, 0, old_us, 10, pending_found, NULL), 0);
    await_all();
    cr_expect_eq(pending_seen, 1, "one is young, one has left PENDING");
    bench.pending++;
    cr_assert_eq(
        bench.store->ops->pending(
            bench.store, samples[0].order.created_at_us + 1000, old_us, 10, pending_found, NULL),
        0);
    await_all();
    cr_expect_eq(pending_seen, 0);
    bench_close();
}

static void forget_old_keys(int *ret_rc)
{
    bench.pending++;
    cr_assert_eq(bench.store->ops->forget(bench.store, 3600000, 3600000, done, ret_rc), 0);
    await_all();
}

Test(order_store, what_is_old_is_forgotten_by_pieces_and_the_rest_stays)
{
    int rc = -1;
    bench_open();
    char sql[512];
    snprintf(sql,
             sizeof(sql),
             "INSERT INTO idempotency_keys SELECT 'default', 'c', 'old-' || g, 'f', "
             "gen_random_uuid(), 201, '{}', now() - interval '2 hours' FROM generate_series(1, %d) "
             "g",
             ORDER_FORGET_MAX + 1);
    bv_test_sql(bench.conninfo, sql);
    bv_test_sql(bench.conninfo,
                "INSERT INTO idempotency_keys VALUES ('default', 'c', 'young', 'f', "
                "gen_random_uuid(), 201, '{}', now()), ('default', 'c', 'under way', 'f', "
                "gen_random_uuid(), NULL, NULL, now() - interval '2 hours')");
    forget_old_keys(&rc);
    cr_expect_eq(rc, ORDER_FORGET_MORE);
    cr_expect_eq(count_of("idempotency_keys"), 3);
    forget_old_keys(&rc);
    cr_expect_eq(rc, 0);
    cr_expect_eq(count_of("idempotency_keys WHERE key IN ('young', 'under way')"), 2);
    cr_expect_eq(count_of("idempotency_keys"), 2);
    bench_close();
}

static int run_create(struct order_store *store,
                      void *const *rows,
                      size_t count,
                      order_batch_done *batch_done,
                      void *argument)
{
    return store->ops->create(
        store, (struct order_creation *const *)rows, count, batch_done, argument);
}

Test(order_store, a_poisoned_row_fails_alone)
{
    static struct sample samples[20];
    struct order_batch *batch = NULL;
    struct order_batch_config config = {run_create, 1, 1000};
    bench_open();
    cr_assert_eq(order_batch_open(bench.loop, bench.store, &config, &batch), 0);
    for (int i = 0; i < 20; i++) {
        sample_init(&samples[i], i);
        if (i == 7 || i == 13)
            samples[i].item.quantity = 0; /* the table refuses it */
        samples[i].job = (struct order_job){
            .row = &samples[i].creation, .done = done, .argument = &samples[i].rc};
        bench.pending++;
        cr_assert_eq(order_batch_add(batch, &samples[i].job), 0);
    }
    await_all();
    for (int i = 0; i < 20; i++) {
        bool poisoned = i == 7 || i == 13;
        cr_expect_eq(
            samples[i].rc, poisoned ? BV_E_UNPROCESSABLE : 0, "row %d: %d", i, samples[i].rc);
        cr_expect_eq(samples[i].creation.created, !poisoned, "row %d", i);
    }
    cr_expect_eq(count_of("orders"), 18);
    cr_expect_eq(count_of("outbox"), 18);
    cr_expect(order_batch_idle(batch));
    order_batch_close(&batch);
    bench_close();
}

Test(order_store, rows_that_arrive_during_a_commit_leave_together)
{
    static struct sample samples[ROWS_MAX];
    struct order_batch *batch = NULL;
    struct order_batch_config config = {run_create, 1, 1000};
    bench_open();
    cr_assert_eq(order_batch_open(bench.loop, bench.store, &config, &batch), 0);
    for (int i = 0; i < ROWS_MAX; i++) {
        sample_init(&samples[i], i);
        samples[i].job = (struct order_job){
            .row = &samples[i].creation, .done = done, .argument = &samples[i].rc};
        bench.pending++;
        cr_assert_eq(order_batch_add(batch, &samples[i].job), 0);
    }
    await_all();
    cr_expect_eq(bench.committed, 1, "64 rows, %d commits", bench.committed);
    order_batch_close(&batch);
    bench_close();
}

Test(order_store, a_full_queue_refuses)
{
    static struct sample samples[3];
    struct order_batch *batch = NULL;
    struct order_batch_config config = {run_create, 1, 2};
    bench_open();
    cr_assert_eq(order_batch_open(bench.loop, bench.store, &config, &batch), 0);
    for (int i = 0; i < 3; i++) {
        sample_init(&samples[i], i);
        samples[i].job = (struct order_job){
            .row = &samples[i].creation, .done = done, .argument = &samples[i].rc};
        int rc = order_batch_add(batch, &samples[i].job);
        cr_expect_eq(rc, i < 2 ? 0 : BV_E_LIMIT);
        bench.pending += rc == 0;
    }
    await_all();
    order_batch_close(&batch);
    bench_close();
}
