/* Placing an order against a store in memory and a product service that answers as the script
 * says. */
#include "order_saga.h"
#include "bv/test_env.h"
#include "bv/test_loop.h"
#include "fake_peer.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define DEADLINE_MS 10000
#define SWEEP_AGE_MS 5000
#define LENGTH_0 "Content-Length: 0\r\n\r\n"

#define MUG "{\"sku\":\"MUG-1\",\"priceMinor\":1250,\"currency\":\"EUR\"}"

static const struct fake_answer priced = {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" MUG,
                                          FAKE_KEEP};
static const struct fake_answer gone = {"HTTP/1.1 404 Not Found\r\n" LENGTH_0, FAKE_KEEP};
static const struct fake_answer failing = {"HTTP/1.1 500 Oops\r\n" LENGTH_0, FAKE_KEEP};

/* Of the store one key, perhaps none; a creation whose outcome nobody knows; and what the sweeper
 * asks for. */
static struct {
    struct order_store store;
    int64_t created_at_us;
    int64_t looked_from_us, looked_before_us;
    int looks;
    struct order_key_row row; /* what is kept of the key */
    struct bv_timer *timer;
    order_key_done *done;
    void *argument;
    int finds;
} memory;

static void find_answers(void *argument)
{
    (void)argument;
    memory.done(memory.argument, 0, &memory.row, NULL);
}

static int key_find(struct order_store *self,
                    struct bv_bytes tenant,
                    struct bv_bytes customer_id,
                    struct bv_bytes key,
                    order_key_done *done,
                    void *argument)
{
    (void)self;
    cr_assert(bv_bytes_equal(tenant, BV_BYTES("default")));
    cr_assert(bv_bytes_equal(customer_id, BV_BYTES("customer")));
    cr_assert(bv_bytes_equal(key, BV_BYTES("key-1")));
    memory.finds++;
    memory.done = done;
    memory.argument = argument;
    bv_timer_set(memory.timer, 0, 0);
    return 0;
}

static int create_refused(struct order_store *self,
                          struct order_creation *const *rows,
                          size_t count,
                          order_batch_done *done,
                          void *argument)
{
    (void)self, (void)rows, (void)count, (void)done, (void)argument;
    cr_assert(false, "an order without prices was stored");
    return BV_E_INTERNAL;
}

/* No answer came: it may be committed, now or much later. */
static int create_in_doubt(struct order_store *self,
                           struct order_creation *const *rows,
                           size_t count,
                           order_batch_done *done,
                           void *argument)
{
    (void)self, (void)count, (void)done, (void)argument;
    memory.created_at_us = rows[0]->order->created_at_us;
    return BV_E_TIMEOUT;
}

static int pending(struct order_store *self,
                   int64_t from_us,
                   int64_t before_us,
                   int64_t limit,
                   order_rows_done *done,
                   void *argument)
{
    (void)self, (void)limit;
    memory.looks++;
    memory.looked_from_us = from_us;
    memory.looked_before_us = before_us;
    done(argument, 0, NULL, 0, false, NULL);
    return 0;
}

static int tasks(
    struct order_store *self, int64_t age_ms, int64_t limit, order_tasks_done *done, void *argument)
{
    (void)self, (void)age_ms, (void)limit;
    done(argument, 0, NULL, 0, NULL);
    return 0;
}

static int forget(struct order_store *self,
                  int64_t key_age_ms,
                  int64_t inbox_age_ms,
                  order_batch_done *done,
                  void *argument)
{
    (void)self, (void)key_age_ms, (void)inbox_age_ms;
    done(argument, 0, NULL);
    return 0;
}

static struct {
    struct bv_test_env clock;
    struct bv_loop *loop;
    struct fake_peer *product;
    struct bv_httpc *client;
    struct bv_metrics *metrics;
    struct order_prices *prices;
    struct order_stock *stock;
    struct order_saga *saga;
    char url[64];
    bool answered;
    enum order_answer_kind kind;
    int rc;
    int status;
    uint64_t lines;
    char body[64];
} bench;

static void bench_open(const struct fake_answer *script)
{
    static const struct order_store_ops without_prices = {.create = create_refused,
                                                          .key_find = key_find},
                                        with_prices = {.create = create_in_doubt,
                                                       .key_find = key_find,
                                                       .pending = pending,
                                                       .tasks = tasks,
                                                       .forget = forget};
    static const struct order_config config = {
        .batches_max = 1, .queue_max = 16, .sweep_interval_ms = 1, .sweep_age_ms = SWEEP_AGE_MS};
    memory.store.ops = script == &priced ? &with_prices : &without_prices;
    bv_test_env_init(&bench.clock, 1);
    cr_assert_eq(bv_loop_open(&bench.clock.env, &bench.loop), 0);
    cr_assert_eq(bv_timer_open(bench.loop, find_answers, NULL, &memory.timer), 0);
    cr_assert_eq(fake_peer_open(bench.loop, script, 1, &bench.product), 0);
    snprintf(bench.url, sizeof(bench.url), "http://127.0.0.1:%d", fake_peer_port(bench.product));
    cr_assert_eq(bv_httpc_open(bench.loop, &bv_httpc_config_default, &bench.client), 0);
    cr_assert_eq(bv_metrics_open(64, &bench.metrics), 0);
    struct order_prices_config prices = {bench.url, 1000, 16, 2000};
    cr_assert_eq(order_prices_open(bench.loop, bench.client, &prices, bench.metrics, &bench.prices),
                 0);
    struct order_stock_config stock = {"127.0.0.1:9", 1000, 16}; /* never asked */
    cr_assert_eq(order_stock_open(bench.loop, &stock, bench.metrics, &bench.stock), 0);
    struct order_saga_deps deps = {
        bench.loop, NULL, bench.metrics, &memory.store, bench.prices, bench.stock, &config};
    cr_assert_eq(order_saga_open(&deps, &bench.saga), 0);
}

static void bench_close(void)
{
    order_saga_close(&bench.saga);
    order_stock_close(&bench.stock);
    bv_httpc_close(&bench.client);
    order_prices_close(&bench.prices);
    bv_metrics_close(&bench.metrics);
    fake_peer_close(&bench.product);
    bv_timer_close(&memory.timer);
    bv_loop_close(&bench.loop);
}

static void answered(void *argument, const struct order_answer *answer)
{
    (void)argument;
    bench.answered = true;
    bench.kind = answer->kind;
    bench.rc = answer->rc;
    bench.status = answer->status;
    bench.lines = answer->lines;
    snprintf(bench.body, sizeof(bench.body), "%.*s", BV_ARG(answer->body));
}

static bool is_answered(void *argument)
{
    (void)argument;
    return bench.answered;
}

static void place(void)
{
    static const struct order_item items[] = {
        {BV_BYTES("MUG-1"), 2, 0}
    };
    struct order_request request = {.tenant = BV_BYTES("default"),
                                    .customer_id = BV_BYTES("customer"),
                                    .key = BV_BYTES("key-1"),
                                    .fingerprint = BV_BYTES("f"),
                                    .correlation_id = BV_BYTES("c"),
                                    .items = items,
                                    .item_count = 1};
    cr_assert_eq(order_saga_place(bench.saga, &request, answered, NULL), 0);
    cr_assert(bv_test_run_until(bench.loop, is_answered, NULL, DEADLINE_MS), "no answer came");
}

static void key_is(int kind, struct bv_bytes fingerprint)
{
    memory.row = (struct order_key_row){.kind = kind,
                                        .fingerprint = fingerprint,
                                        .order_id = "01936f3e-0a11-7c55-8f00-7d3c2b1a0f42",
                                        .status = kind == ORDER_KEY_ANSWERED ? 201 : 0,
                                        .answer = BV_BYTES("{\"first\":1}")};
}

Test(order_place, a_key_is_answered_from_its_stored_answer_although_the_product_is_gone)
{
    bench_open(&gone);
    key_is(ORDER_KEY_ANSWERED, BV_BYTES("f"));
    place();
    cr_assert_eq(bench.kind, ORDER_ANSWER_STORED, "kind %d", bench.kind);
    cr_assert_eq(bench.status, 201);
    cr_assert_str_eq(bench.body, "{\"first\":1}");
    bench_close();
}

Test(order_place, a_key_is_answered_from_its_stored_answer_although_prices_cannot_be_had)
{
    bench_open(&failing);
    key_is(ORDER_KEY_ANSWERED, BV_BYTES("f"));
    place();
    cr_assert_eq(bench.kind, ORDER_ANSWER_STORED, "kind %d", bench.kind);
    cr_assert_str_eq(bench.body, "{\"first\":1}");
    bench_close();
}

Test(order_place, a_key_with_another_body_is_refused_before_its_products_are)
{
    bench_open(&gone);
    key_is(ORDER_KEY_ANSWERED, BV_BYTES("another"));
    place();
    cr_assert_eq(bench.kind, ORDER_ANSWER_KEY_REUSED, "kind %d", bench.kind);
    bench_close();
}

Test(order_place, a_key_under_way_is_told_so_although_prices_cannot_be_had)
{
    bench_open(&failing);
    key_is(ORDER_KEY_IN_PROGRESS, BV_BYTES("f"));
    place();
    cr_assert_eq(bench.kind, ORDER_ANSWER_IN_PROGRESS, "kind %d", bench.kind);
    bench_close();
}

Test(order_place, a_new_key_hears_that_its_product_is_unknown)
{
    bench_open(&gone);
    key_is(ORDER_KEY_NONE, BV_BYTES_NONE);
    place();
    cr_assert_eq(bench.kind, ORDER_ANSWER_UNKNOWN_SKU, "kind %d", bench.kind);
    cr_assert_eq(bench.lines, 1);
    bench_close();
}

Test(order_place, a_new_key_hears_that_prices_cannot_be_had)
{
    bench_open(&failing);
    key_is(ORDER_KEY_NONE, BV_BYTES_NONE);
    place();
    cr_assert_eq(bench.kind, ORDER_ANSWER_FAULT, "kind %d", bench.kind);
    cr_assert_eq(bench.rc, BV_E_UNAVAILABLE);
    bench_close();
}

static bool looked(void *argument)
{
    return memory.looks >= *(int *)argument;
}

static void await_looks(int more)
{
    int wanted = memory.looks + more;
    cr_assert(bv_test_run_until(bench.loop, looked, &wanted, DEADLINE_MS), "no sweep came");
}

static bool looked_for_it(void *argument)
{
    (void)argument;
    return memory.looked_from_us <= memory.created_at_us;
}

static bool stopped;
static void note_stopped(void *argument)
{
    (void)argument;
    stopped = true;
}

Test(order_place, an_order_that_may_be_committed_late_is_looked_for_long_after)
{
    bench_open(&priced);
    key_is(ORDER_KEY_NONE, BV_BYTES_NONE);
    order_saga_start(bench.saga);
    bv_test_env_advance_ms(&bench.clock, 86400000);
    place();
    cr_assert_eq(bench.rc, BV_E_TIMEOUT);
    for (int minutes = 2; minutes < 30; minutes += 2) {
        bv_test_env_advance_ms(&bench.clock, 120000);
        cr_assert(bv_test_run_until(bench.loop, looked_for_it, NULL, DEADLINE_MS),
                  "after %d minutes only what is %lld s younger is looked for",
                  minutes,
                  (long long)(memory.looked_from_us - memory.created_at_us) / 1000000);
        await_looks(3);
        cr_assert_gt(memory.looked_from_us,
                     bv_wall_us(&bench.clock.env) - INT64_C(120000000),
                     "most looks are at the newest only");
    }
    order_saga_stop(bench.saga, note_stopped, NULL);
    cr_assert(stopped);
    bench_close();
}

Test(order_place, the_clock_that_stamps_orders_says_which_are_old)
{
    bench_open(&priced);
    order_saga_start(bench.saga);
    await_looks(2);
    cr_assert_eq(memory.looked_before_us,
                 bv_wall_us(&bench.clock.env) - INT64_C(1000) * SWEEP_AGE_MS);
    order_saga_stop(bench.saga, note_stopped, NULL);
    cr_assert(stopped);
    bench_close();
}
