#include "inventory_batch.h"

#include "bv/uuid.h"

#include <criterion/criterion.h>

/* The group commit over a store that does as the test says. */

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct script {
    struct inventory_store base;
    struct bv_loop *loop;
    int apply_rc;       /* answer of each apply */
    size_t apply_times; /* as often; then 0 */
    size_t loads;
    size_t applies;
    size_t largest;          /* reservations of one apply */
    struct bv_bytes refused; /* order that makes an apply fail with BV_E_UNPROCESSABLE */
    inventory_loaded *loaded;
    inventory_applied *applied;
    void *argument;
    int rc;
};

static void load_now(void *argument)
{
    struct script *s = argument;
    struct inventory_stock_row row = {
        {BV_BYTES("default"), BV_BYTES("MUG")},
        0, {1000, 0, 7}
    };
    struct inventory_found found = {.stock = &row, .stock_count = 1};
    s->loaded(s->argument, 0, &found, NULL);
}

static int script_load(struct inventory_store *self,
                       const struct inventory_want *want,
                       inventory_loaded *done,
                       void *argument)
{
    struct script *s = (struct script *)self;
    (void)want;
    s->loads++;
    s->loaded = done;
    s->argument = argument;
    return bv_loop_post(s->loop, load_now, s);
}

static void apply_now(void *argument)
{
    struct script *s = argument;
    struct bv_error error = {0};
    if (s->rc < 0)
        bv_fail(&error, s->rc, "as scripted");
    s->applied(s->argument, s->rc, s->rc < 0 ? &error : NULL);
}

static int script_apply(struct inventory_store *self,
                        const struct inventory_write *write,
                        inventory_applied *done,
                        void *argument)
{
    struct script *s = (struct script *)self;
    s->rc = s->applies++ < s->apply_times ? s->apply_rc : 0;
    s->largest = write->reservation_count > s->largest ? write->reservation_count : s->largest;
    for (size_t i = 0; i < write->reservation_count; i++)
        if (s->refused.size > 0 && bv_bytes_equal(write->reservations[i].order_id, s->refused))
            s->rc = BV_E_UNPROCESSABLE;
    s->applied = done;
    s->argument = argument;
    return bv_loop_post(s->loop, apply_now, s);
}

static const struct inventory_store_ops script_ops = {.load = script_load, .apply = script_apply};

struct fixture {
    struct bv_metrics *metrics;
    struct inventory_batch *batch;
    struct script script;
    size_t pending;
    size_t committed;
    size_t order; /* of answers */
};
struct call {
    struct inventory_op op; /* first */
    struct fixture *f;
    struct inventory_line line;
    char order_id[BV_UUID_TEXT_SIZE];
    int rc;
    size_t place;
};

static void on_committed(void *argument, const struct inventory_change *changes, size_t count)
{
    (void)changes;
    ((struct fixture *)argument)->committed += count;
}

static void fixture_open(struct fixture *f, int64_t waiting_max)
{
    *f = (struct fixture){.script = {.base = {&script_ops}}};
    cr_assert_eq(bv_loop_open(&env, &f->script.loop), 0);
    cr_assert_eq(bv_metrics_open(100, &f->metrics), 0);
    struct inventory_batch_deps deps = {
        f->script.loop, NULL, f->metrics, &f->script.base, on_committed, f};
    cr_assert_eq(inventory_batch_open(&deps, waiting_max, &f->batch), 0);
}

static void fixture_close(struct fixture *f)
{
    inventory_batch_close(&f->batch);
    bv_metrics_close(&f->metrics);
    bv_loop_close(&f->script.loop);
}

static void on_done(struct inventory_op *op, int rc, const struct bv_error *error)
{
    struct call *call = (struct call *)op;
    (void)error;
    call->rc = rc;
    call->place = call->f->order++;
    if (--call->f->pending == 0)
        bv_loop_stop(call->f->script.loop);
}

static int submit(struct fixture *f, struct call *call)
{
    *call = (struct call){
        .f = f, .line = {BV_BYTES("MUG"), 1, -1}
    };
    bv_uuid_format(bv_uuid_v7(&env), call->order_id);
    call->op = (struct inventory_op){.kind = INVENTORY_OP_RESERVE,
                                     .tenant = BV_BYTES("default"),
                                     .order_id = bv_bytes_of(call->order_id),
                                     .lines = &call->line,
                                     .line_count = 1,
                                     .trace = bv_trace_child(&env, NULL, 0),
                                     .done = on_done};
    f->pending++;
    return inventory_batch_submit(f->batch, &call->op);
}

static void run(struct fixture *f)
{
    while (f->pending > 0)
        cr_assert_eq(bv_loop_run(f->script.loop), 0);
}

Test(inventory_batch, commits_together_what_arrived_together_at_most_64)
{
    static struct call calls[100];
    struct fixture f;
    fixture_open(&f, 1000);
    for (size_t i = 0; i < BV_COUNT(calls); i++)
        cr_assert_eq(submit(&f, &calls[i]), 0);
    run(&f);
    cr_expect_eq(f.script.applies, 2);
    cr_expect_eq(f.script.largest, INVENTORY_BATCH_MAX);
    cr_expect_eq(f.script.loads, 1, "the level was known to the second batch");
    cr_expect_eq(f.committed, BV_COUNT(calls));
    for (size_t i = 0; i < BV_COUNT(calls); i++)
        cr_expect(calls[i].rc == 0 && calls[i].place == i, "in order of arrival");
    fixture_close(&f);
}

Test(inventory_batch, decides_again_when_another_replica_was_faster)
{
    struct call call;
    struct fixture f;
    fixture_open(&f, 10);
    f.script.apply_rc = BV_E_CONFLICT;
    f.script.apply_times = INVENTORY_ATTEMPTS_MAX - 1;
    cr_assert_eq(submit(&f, &call), 0);
    run(&f);
    cr_expect_eq(call.rc, 0);
    cr_expect_eq(f.script.loads, INVENTORY_ATTEMPTS_MAX, "each time on fresh levels");
    cr_expect_eq(f.committed, 1, "only what was committed is told");
    fixture_close(&f);
}

Test(inventory_batch, gives_up_after_losing_too_often)
{
    struct call call;
    struct fixture f;
    fixture_open(&f, 10);
    f.script.apply_rc = BV_E_CONFLICT;
    f.script.apply_times = 1000;
    cr_assert_eq(submit(&f, &call), 0);
    run(&f);
    cr_expect_eq(call.rc, BV_E_UNAVAILABLE);
    cr_expect_eq(f.script.applies, INVENTORY_ATTEMPTS_MAX);
    fixture_close(&f);
}

Test(inventory_batch, fails_the_batch_whose_outcome_is_unknown_and_believes_nothing_of_it)
{
    static const int codes[] = {BV_E_UNAVAILABLE, BV_E_TIMEOUT};
    for (size_t i = 0; i < BV_COUNT(codes); i++) {
        struct call calls[3];
        struct call next;
        struct fixture f;
        fixture_open(&f, 10);
        f.script.apply_rc = codes[i];
        f.script.apply_times = 1;
        for (size_t k = 0; k < BV_COUNT(calls); k++)
            cr_assert_eq(submit(&f, &calls[k]), 0);
        run(&f);
        for (size_t k = 0; k < BV_COUNT(calls); k++)
            cr_expect_eq(calls[k].rc, codes[i]);
        cr_expect_eq(f.committed, 0);
        size_t loads = f.script.loads;
        cr_assert_eq(submit(&f, &next), 0);
        run(&f);
        cr_expect_eq(next.rc, 0);
        cr_expect_eq(f.script.loads, loads + 1, "the levels were loaded anew");
        fixture_close(&f);
    }
}

Test(inventory_batch, bisects_to_the_one_that_is_refused)
{
    for (size_t culprit = 0; culprit < 40; culprit += 13) {
        static struct call calls[40];
        struct fixture f;
        fixture_open(&f, 100);
        for (size_t i = 0; i < BV_COUNT(calls); i++)
            cr_assert_eq(submit(&f, &calls[i]), 0);
        f.script.refused = calls[culprit].op.order_id;
        run(&f);
        for (size_t i = 0; i < BV_COUNT(calls); i++)
            cr_expect_eq(calls[i].rc, i == culprit ? BV_E_UNPROCESSABLE : 0, "call %zu", i);
        cr_expect_leq(f.script.applies, 16, "%zu applies", f.script.applies);
        fixture_close(&f);
    }
}

Test(inventory_batch, refuses_what_would_wait_too_long_and_what_comes_after_stop)
{
    struct call calls[3];
    struct fixture f;
    fixture_open(&f, 2);
    cr_expect_eq(submit(&f, &calls[0]), 0);
    cr_expect_eq(submit(&f, &calls[1]), 0);
    cr_expect_eq(submit(&f, &calls[2]), BV_E_LIMIT);
    f.pending--;
    inventory_batch_stop(f.batch, NULL, NULL);
    cr_expect_eq(submit(&f, &calls[2]), BV_E_CLOSED);
    f.pending--;
    run(&f);
    cr_expect(calls[0].rc == 0 && calls[1].rc == 0, "what was taken is finished");
    fixture_close(&f);
}
