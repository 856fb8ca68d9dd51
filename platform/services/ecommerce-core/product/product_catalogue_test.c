/* The read path against a store that answers when the test says, with what was there when it was
 * asked, and a Redis that is away. */
#include "product_catalogue.h"
#include "bv/test_loop.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define DEADLINE_MS 10000
#define ASKS_MAX 8

struct question {
    product_found *found;   /* of a find */
    product_listed *listed; /* of a list */
    void *argument;
    int64_t version; /* of the product when it was asked */
};

static struct {
    struct product_store store;
    struct question asked[ASKS_MAX];
    size_t count, answered;
    int64_t version; /* of the only product, now */
} memory;

static struct {
    struct bv_loop *loop;
    struct bv_metrics *metrics;
    struct bv_redis *redis;
    struct product_catalogue *catalogue;
    size_t wanted;
    int answers;
    char etag[24];
    char body[1024];
} bench;

static struct product product_of(int64_t version)
{
    return (struct product){.tenant = BV_BYTES("default"),
                            .sku = BV_BYTES("CUP"),
                            .name = BV_BYTES("Cup"),
                            .currency = BV_BYTES("EUR"),
                            .version = version};
}

static int note(struct question question)
{
    cr_assert_lt(memory.count, ASKS_MAX);
    question.version = memory.version;
    memory.asked[memory.count++] = question;
    return 0;
}

static int find(struct product_store *self,
                struct bv_bytes tenant,
                struct bv_bytes sku,
                product_found *done,
                void *argument)
{
    (void)self, (void)tenant, (void)sku;
    return note((struct question){.found = done, .argument = argument});
}

static int list(struct product_store *self,
                const struct product_query *query,
                product_listed *done,
                void *argument)
{
    (void)self, (void)query;
    return note((struct question){.listed = done, .argument = argument});
}

static void store_answers(void)
{
    const struct question *question = &memory.asked[memory.answered++];
    struct product product = product_of(question->version);
    if (question->found)
        question->found(question->argument, 0, &product, NULL);
    else
        question->listed(question->argument, 0, &product, 1, NULL);
}

/* A commit, and what follows it in this replica. */
static void change(void)
{
    struct product product = product_of(++memory.version);
    product_catalogue_flush(bench.catalogue, &product);
}

static void bench_open(void)
{
    static const struct product_store_ops ops = {.find = find, .list = list};
    const struct product_catalogue_config config = {60000, 64, 60000};
    const struct bv_redis_config redis = {"redis://127.0.0.1:9", 64, 20};
    memory.store.ops = &ops;
    memory.version = 1;
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    cr_assert_eq(bv_metrics_open(64, &bench.metrics), 0);
    cr_assert_eq(bv_redis_open(bench.loop, &redis, bench.metrics, &bench.redis), 0);
    const struct product_catalogue_deps deps = {
        bench.loop, NULL, bench.metrics, &memory.store, bench.redis};
    cr_assert_eq(product_catalogue_open(&config, &deps, &bench.catalogue), 0);
}

static void bench_close(void)
{
    bv_redis_close(&bench.redis);
    product_catalogue_close(&bench.catalogue);
    bv_metrics_close(&bench.metrics);
    bv_loop_close(&bench.loop);
}

static void
answered(void *argument, int rc, const struct product_answer *answer, const struct bv_error *error)
{
    (void)argument, (void)error;
    cr_assert_eq(rc, 0);
    bench.answers++;
    snprintf(bench.etag, sizeof(bench.etag), "%s", answer->etag);
    snprintf(bench.body, sizeof(bench.body), "%.*s", BV_ARG(answer->body));
}

static bool store_is_asked(void *argument)
{
    (void)argument;
    return memory.count >= bench.wanted;
}

static void await_questions(size_t count)
{
    bench.wanted = count;
    cr_assert(bv_test_run_until(bench.loop, store_is_asked, NULL, DEADLINE_MS),
              "the store was asked %zu times, not %zu",
              memory.count,
              count);
}

static void fetch(void)
{
    cr_assert_eq(product_catalogue_fetch(
                     bench.catalogue, BV_BYTES("default"), BV_BYTES("CUP"), answered, NULL),
                 0);
}

static void fetch_list(void)
{
    const struct product_query query = {.tenant = BV_BYTES("default"), .limit = 20};
    cr_assert_eq(product_catalogue_list(bench.catalogue, &query, answered, NULL), 0);
}

Test(product_catalogue, a_row_that_was_read_before_a_change_is_neither_told_nor_kept_after_it)
{
    bench_open();
    fetch();
    await_questions(1);
    change();
    fetch(); /* after the change: joins the look-up that is under way */
    store_answers();
    cr_assert_eq(bench.answers, 0, "version %s was told", bench.etag);
    await_questions(2);
    store_answers();
    cr_assert_eq(bench.answers, 2);
    cr_assert_str_eq(bench.etag, "\"2\"");
    const struct product_answer *kept =
        product_catalogue_peek(bench.catalogue, BV_BYTES("default"), BV_BYTES("CUP"));
    cr_assert_not_null(kept);
    cr_assert_str_eq(kept->etag, "\"2\"");
    bench_close();
}

Test(product_catalogue, a_page_that_was_read_before_a_change_is_not_told_after_it)
{
    bench_open();
    fetch_list();
    await_questions(1);
    change();
    fetch_list();
    store_answers();
    cr_assert_eq(bench.answers, 0, "%s was told", bench.body);
    await_questions(2);
    store_answers();
    cr_assert_eq(bench.answers, 2);
    cr_assert(strstr(bench.body, "\"version\":2"), "%s", bench.body);
    bench_close();
}

Test(product_catalogue, changes_without_end_do_not_keep_a_reader_waiting)
{
    bench_open();
    fetch();
    for (size_t asks = 1; bench.answers == 0; asks++) {
        await_questions(asks);
        change();
        store_answers();
    }
    cr_assert_null(product_catalogue_peek(bench.catalogue, BV_BYTES("default"), BV_BYTES("CUP")),
                   "what is told all the same is not kept");
    bench_close();
}

Test(product_catalogue, a_change_of_another_product_costs_no_second_question)
{
    bench_open();
    fetch();
    await_questions(1);
    struct product other = product_of(7);
    other.sku = BV_BYTES("POT");
    product_catalogue_flush(bench.catalogue, &other);
    store_answers();
    cr_assert_eq(bench.answers, 1);
    cr_assert_str_eq(bench.etag, "\"1\"");
    bench_close();
}
