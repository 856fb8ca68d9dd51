#include "inventory_batch.h"

#include "bv/test_stack.h"
#include "bv/uuid.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* Replicas of the service's heart (pool, store, group commit) over one database, all on one loop.
 */

#define REPLICAS 3
#define GUARD_MS 60000

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct replica {
    struct bv_pg *pg;
    struct inventory_store *store;
    struct inventory_batch *batch;
    struct bv_metrics *metrics;
};
struct fixture {
    struct bv_loop *loop;
    struct bv_timer *guard;
    char *database;
    struct replica replicas[REPLICAS];
    size_t pending;
    size_t changes;
};
struct call {
    struct inventory_op op; /* first */
    struct fixture *f;
    struct inventory_line lines[4];
    char order_id[BV_UUID_TEXT_SIZE];
    int rc;
    bool done;
};

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("nothing happened for %d ms", GUARD_MS);
}

static void on_committed(void *argument, const struct inventory_change *changes, size_t count)
{
    (void)changes;
    ((struct fixture *)argument)->changes += count;
}

static void replica_open(struct fixture *f, struct replica *r)
{
    struct bv_pg_config pg = {.conninfo = f->database,
                              .connections = 2,
                              .calls_max = 4096,
                              .call_timeout_ms = 20000,
                              .pipeline_depth = 8,
                              .application = "it"};
    cr_assert_eq(bv_metrics_open(1000, &r->metrics), 0);
    cr_assert_eq(bv_pg_open(f->loop, &pg, r->metrics, &r->pg), 0);
    cr_assert_eq(inventory_store_pg_open(r->pg, &r->store), 0);
    struct inventory_batch_deps deps = {f->loop, NULL, r->metrics, r->store, on_committed, f};
    cr_assert_eq(inventory_batch_open(&deps, 4096, &r->batch), 0);
}

static void replica_close(struct replica *r)
{
    bv_pg_close(&r->pg);
    inventory_batch_close(&r->batch);
    if (r->store)
        r->store->ops->close(&r->store);
    bv_metrics_close(&r->metrics);
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.database = bv_test_database("inventory")};
    cr_assert_eq(bv_loop_open(&env, &f->loop), 0);
    cr_assert_eq(bv_timer_open(f->loop, on_guard, f, &f->guard), 0);
    bv_timer_set(f->guard, GUARD_MS, 0);
    for (size_t i = 0; i < REPLICAS; i++)
        replica_open(f, &f->replicas[i]);
}

/* What must hold after anything: levels, ledger and reservations tell the same. */
static void check_books(struct fixture *f)
{
    cr_expect_eq(
        bv_test_sql_int(
            f->database,
            "SELECT count(*) FROM stock s JOIN (SELECT tenant, sku, sum(delta_on_hand) h, "
            "sum(delta_reserved) r,"
            " count(*) n, max(version) v FROM ledger GROUP BY 1, 2) l USING (tenant, sku)"
            " WHERE s.on_hand <> l.h OR s.reserved <> l.r OR s.version <> l.n OR s.version <> l.v"),
        0,
        "ledger and levels differ");
    cr_expect_eq(
        bv_test_sql_int(f->database,
                        "SELECT count(*) FROM (SELECT tenant, sku, on_hand, reserved,"
                        " sum(delta_on_hand) OVER w h, sum(delta_reserved) OVER w r FROM ledger"
                        " WINDOW w AS (PARTITION BY tenant, sku ORDER BY version)) x"
                        " WHERE on_hand <> h OR reserved <> r OR r < 0 OR h < r"),
        0,
        "a running sum of the ledger is wrong or negative");
    cr_expect_eq(bv_test_sql_int(
                     f->database,
                     "SELECT coalesce(sum(reserved), 0) - (SELECT "
                     "coalesce(sum((l->>'quantity')::bigint), 0) FROM reservations,"
                     " jsonb_array_elements(lines::jsonb) l WHERE state = 'RESERVED') FROM stock"),
                 0,
                 "what is reserved is not what orders hold");
    cr_expect_eq(bv_test_sql_int(
                     f->database,
                     "SELECT count(*) FROM (SELECT count(*) n, max(sequence) s FROM outbox"
                     " WHERE event_type <> 'ecommerce.stock.adjusted.v1' GROUP BY partition_key) x"
                     " WHERE n <> s"),
                 0,
                 "an order's events have a gap");
}

static void fixture_close(struct fixture *f)
{
    check_books(f);
    for (size_t i = 0; i < REPLICAS; i++)
        replica_close(&f->replicas[i]);
    bv_timer_close(&f->guard);
    bv_loop_close(&f->loop);
    free(f->database);
}

static void on_done(struct inventory_op *op, int rc, const struct bv_error *error)
{
    struct call *call = (struct call *)op;
    cr_assert(!call->done, "answered twice");
    cr_assert_eq(rc < 0, error != NULL);
    call->done = true;
    call->rc = rc;
    if (--call->f->pending == 0)
        bv_loop_stop(call->f->loop);
}

static void submit(struct fixture *f, size_t replica, struct call *call)
{
    call->f = f;
    call->done = false;
    call->op.done = on_done;
    call->op.tenant = BV_BYTES("default");
    call->op.trace = bv_trace_child(&env, NULL, 0);
    call->op.correlation_id = BV_BYTES("it");
    f->pending++;
    cr_assert_eq(inventory_batch_submit(f->replicas[replica].batch, &call->op), 0);
}

static void run(struct fixture *f)
{
    while (f->pending > 0)
        cr_assert_eq(bv_loop_run(f->loop), 0);
}

static enum inventory_answer run_one(struct fixture *f, size_t replica, struct call *call)
{
    submit(f, replica, call);
    run(f);
    return call->op.answer;
}

static void new_order(char order_id[BV_UUID_TEXT_SIZE])
{
    bv_uuid_format(bv_uuid_v7(&env), order_id);
}

/* A reserve of up to two lines (second NULL: one) for a new order. */
static void reserve(struct call *call,
                    const char *sku,
                    int64_t quantity,
                    const char *second,
                    int64_t second_quantity)
{
    *call = (struct call){0};
    new_order(call->order_id);
    call->lines[0] = (struct inventory_line){bv_bytes_of(sku), quantity, -1};
    call->lines[1] = (struct inventory_line){bv_bytes_of(second), second_quantity, -1};
    call->op.kind = INVENTORY_OP_RESERVE;
    call->op.order_id = bv_bytes_of(call->order_id);
    call->op.lines = call->lines;
    call->op.line_count = second ? 2 : 1;
}

static struct call again(const struct call *first)
{
    struct call call = {
        .op = {.kind = first->op.kind, .order_id = first->op.order_id}
    };
    memcpy(call.lines, first->lines, sizeof call.lines);
    call.op.line_count = first->op.line_count;
    return call;
}

static enum inventory_answer
move(struct fixture *f, size_t replica, enum inventory_op_kind kind, const char *order_id)
{
    struct call call = {
        .op = {.kind = kind,
               .order_id = bv_bytes_of(order_id),
               .reason = BV_BYTES("changed my mind")}
    };
    enum inventory_answer answer = run_one(f, replica, &call);
    cr_assert_eq(call.rc, 0);
    return answer;
}

static struct call
adjust(struct fixture *f, size_t replica, const char *sku, int64_t delta, const char *key)
{
    struct call call = {
        .op = {.kind = INVENTORY_OP_ADJUST,
               .sku = bv_bytes_of(sku),
               .delta = delta,
               .key = bv_bytes_of(key),
               .reason = BV_BYTES("counted")}
    };
    run_one(f, replica, &call);
    return call;
}

static int64_t level(struct fixture *f, const char *column, const char *sku)
{
    char sql[200];
    snprintf(sql,
             sizeof sql,
             "SELECT %s FROM stock WHERE tenant = 'default' AND sku = '%s'",
             column,
             sku);
    return bv_test_sql_int(f->database, sql);
}

Test(inventory_batch_it, sells_exactly_what_is_there_from_several_replicas)
{
    enum { CALLS = 500, UNITS = 300 };
    static struct call calls[CALLS];
    struct fixture f;
    fixture_open(&f);
    cr_assert_eq(adjust(&f, 0, "MUG", UNITS, "in").op.answer, INVENTORY_ANSWER_ADJUSTED);
    for (size_t i = 0; i < CALLS; i++) {
        reserve(&calls[i], "MUG", 1, NULL, 0);
        submit(&f, i % REPLICAS, &calls[i]);
    }
    run(&f);
    size_t reserved = 0;
    size_t sold_out = 0;
    for (size_t i = 0; i < CALLS; i++) {
        cr_assert_eq(calls[i].rc, 0);
        reserved += calls[i].op.answer == INVENTORY_ANSWER_RESERVED;
        sold_out += calls[i].op.answer == INVENTORY_ANSWER_SOLD_OUT;
    }
    cr_expect_eq(reserved, UNITS);
    cr_expect_eq(sold_out, CALLS - UNITS);
    cr_expect_eq(level(&f, "reserved", "MUG"), UNITS);
    cr_expect_eq(level(&f, "on_hand", "MUG"), UNITS);
    cr_expect_eq(bv_test_sql_int(f.database, "SELECT count(*) FROM ledger WHERE cause = 'RESERVE'"),
                 UNITS);
    cr_expect_eq(
        bv_test_sql_int(
            f.database,
            "SELECT count(*) FROM outbox WHERE event_type = 'ecommerce.stock.reserved.v1'"),
        UNITS);
    cr_expect_eq(f.changes, UNITS + 1);
    fixture_close(&f);
}

Test(inventory_batch_it, keeps_the_books_through_a_mixed_storm)
{
    enum { ORDERS = 240 };
    static const char *const skus[] = {"A", "B", "C", "D", "E"};
    static struct call reserves[ORDERS];
    static struct call moves[ORDERS * 2];
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < BV_COUNT(skus); i++)
        adjust(&f, i % REPLICAS, skus[i], 60, skus[i]);
    for (size_t i = 0; i < ORDERS; i++) { /* lines in either order: the locks must not cross */
        size_t first = i % 5;
        size_t second = (i / 5 + first + 1) % 5;
        second = second == first ? (second + 1) % 5 : second;
        reserve(&reserves[i], skus[first], 1 + (int64_t)(i % 3), skus[second], 1);
        submit(&f, i % REPLICAS, &reserves[i]);
        for (size_t k = 0; k < 2; k++) { /* at once, on other replicas: before, after, or twice */
            struct call *move_call = &moves[i * 2 + k];
            *move_call = (struct call){
                .op = {.kind = (i + k) % 3 ? INVENTORY_OP_COMMIT : INVENTORY_OP_RELEASE,
                       .order_id = reserves[i].op.order_id,
                       .reason = BV_BYTES("storm")}
            };
            submit(&f, (i + k + 1) % REPLICAS, move_call);
        }
    }
    run(&f);
    for (size_t i = 0; i < ORDERS; i++) {
        cr_expect_eq(reserves[i].rc, 0);
        cr_expect(moves[i * 2].rc == 0 && moves[i * 2 + 1].rc == 0);
    }
    fixture_close(&f);
}

Test(inventory_batch_it, holds_all_lines_or_none)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 10, "1");
    adjust(&f, 0, "CAP", 1, "2");
    struct call call;
    reserve(&call, "MUG", 2, "CAP", 2);
    cr_expect_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_SOLD_OUT);
    cr_expect_eq(call.lines[0].available, -1, "this line was not short");
    cr_expect_eq(call.lines[1].available, 1);
    cr_expect_eq(level(&f, "reserved", "MUG"), 0);
    reserve(&call, "MUG", 2, "NEVER-STOCKED", 1);
    cr_expect_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_SOLD_OUT);
    cr_expect_eq(call.lines[1].available, 0);
    reserve(&call, "MUG", 10, "CAP", 1);
    cr_expect_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_RESERVED);
    fixture_close(&f);
}

Test(inventory_batch_it, answers_a_repeated_call_the_same_on_every_replica)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    struct call held;
    struct call refused;
    reserve(&held, "MUG", 3, NULL, 0);
    reserve(&refused, "MUG", 3, NULL, 0);
    cr_expect_eq(run_one(&f, 0, &held), INVENTORY_ANSWER_RESERVED);
    cr_expect_eq(run_one(&f, 0, &refused), INVENTORY_ANSWER_SOLD_OUT);
    adjust(&f, 1, "MUG", 100, "more");
    for (size_t r = 0; r < REPLICAS; r++) {
        struct call second = again(&held);
        second.op.lines = second.lines;
        cr_expect_eq(run_one(&f, r, &second), INVENTORY_ANSWER_RESERVED, "replica %zu", r);
        second = again(&refused);
        second.op.lines = second.lines;
        cr_expect_eq(run_one(&f, r, &second),
                     INVENTORY_ANSWER_SOLD_OUT,
                     "restocked since, but that was the answer");
        cr_expect_eq(second.lines[0].available, 2, "also what was lacking");
        second = again(&held);
        second.op.lines = second.lines;
        second.lines[0].quantity = 2;
        run_one(&f, r, &second);
        cr_expect_eq(second.rc, BV_E_EXISTS);
    }
    for (size_t r = 0; r < REPLICAS; r++)
        cr_expect_eq(move(&f, r, INVENTORY_OP_COMMIT, held.order_id), INVENTORY_ANSWER_COMMITTED);
    for (size_t r = 0; r < REPLICAS; r++) {
        cr_expect_eq(move(&f, r, INVENTORY_OP_RELEASE, held.order_id),
                     INVENTORY_ANSWER_COMMITTED_BEFORE);
        cr_expect_eq(move(&f, r, INVENTORY_OP_COMMIT, refused.order_id),
                     INVENTORY_ANSWER_NOT_RESERVED);
    }
    cr_expect_eq(level(&f, "on_hand", "MUG"), 102);
    cr_expect_eq(level(&f, "reserved", "MUG"), 0);
    fixture_close(&f);
}

Test(inventory_batch_it, sees_what_another_replica_did_meanwhile)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 1, "in");
    struct call call;
    reserve(&call, "MUG", 2, NULL, 0);
    cr_expect_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_SOLD_OUT);
    adjust(&f, 1, "MUG", 1, "more"); /* replica 0 still believes in 1 */
    reserve(&call, "MUG", 2, NULL, 0);
    cr_expect_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_RESERVED);
    cr_expect_eq(adjust(&f, 2, "MUG", -1, "out").op.answer, INVENTORY_ANSWER_WOULD_BE_NEGATIVE);
    cr_expect_eq(move(&f, 1, INVENTORY_OP_RELEASE, call.order_id), INVENTORY_ANSWER_RELEASED);
    cr_expect_eq(adjust(&f, 0, "MUG", -1, "out again").op.answer, INVENTORY_ANSWER_ADJUSTED);
    cr_expect_eq(move(&f, 0, INVENTORY_OP_COMMIT, call.order_id), INVENTORY_ANSWER_NOT_RESERVED);
    fixture_close(&f);
}

Test(inventory_batch_it, refuses_the_late_reserve_of_a_released_order)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    struct call call;
    reserve(&call, "MUG", 3, NULL, 0);
    cr_expect_eq(move(&f, 1, INVENTORY_OP_RELEASE, call.order_id), INVENTORY_ANSWER_NOT_RESERVED);
    cr_expect_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_RELEASED_BEFORE);
    cr_expect_eq(move(&f, 2, INVENTORY_OP_RELEASE, call.order_id), INVENTORY_ANSWER_NOT_RESERVED);
    cr_expect_eq(level(&f, "reserved", "MUG"), 0);
    cr_expect_eq(
        bv_test_sql_int(f.database, "SELECT count(*) FROM reservations WHERE state = 'TOMBSTONE'"),
        1);
    fixture_close(&f);
}

Test(inventory_batch_it, a_repeated_reserve_is_told_what_another_replica_did_with_the_order)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    struct call call;
    reserve(&call, "MUG", 1, NULL, 0);
    cr_assert_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_RESERVED);
    cr_assert_eq(move(&f, 1, INVENTORY_OP_RELEASE, call.order_id), INVENTORY_ANSWER_RELEASED);
    struct call late = again(&call);
    late.op.lines = late.lines;
    cr_expect_eq(run_one(&f, 0, &late), INVENTORY_ANSWER_RELEASED_BEFORE);
    cr_expect_eq(level(&f, "reserved", "MUG"), 0);
    fixture_close(&f);
}

Test(inventory_batch_it, keeps_tenants_apart)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    struct call call;
    reserve(&call, "MUG", 1, NULL, 0);
    cr_assert_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_RESERVED);
    struct call other = {
        .f = &f,
        .op = {.kind = INVENTORY_OP_COMMIT, .order_id = call.op.order_id, .done = on_done}
    };
    other.op.tenant = BV_BYTES("other");
    other.op.trace = bv_trace_child(&env, NULL, 0);
    f.pending++;
    cr_assert_eq(inventory_batch_submit(f.replicas[1].batch, &other.op), 0);
    run(&f);
    cr_expect_eq(other.op.answer, INVENTORY_ANSWER_NOT_RESERVED);
    cr_expect_eq(level(&f, "reserved", "MUG"), 1);
    fixture_close(&f);
}

Test(inventory_batch_it, adjusts_once_per_key)
{
    struct fixture f;
    fixture_open(&f);
    struct call first = adjust(&f, 0, "MUG", 5, "key");
    struct call second = adjust(&f, 1, "MUG", 5, "key");
    cr_expect_eq(second.rc, 0);
    cr_expect_eq(second.op.answer, first.op.answer);
    cr_expect_eq(second.op.level.on_hand, 5);
    cr_expect_eq(second.op.level.version, 1);
    cr_expect_eq(adjust(&f, 0, "MUG", 6, "key").rc, BV_E_EXISTS);
    cr_expect_eq(adjust(&f, 2, "CAP", 5, "key").rc, BV_E_EXISTS);
    cr_expect_eq(adjust(&f, 0, "NEW", -1, "no").op.answer, INVENTORY_ANSWER_WOULD_BE_NEGATIVE);
    cr_expect_eq(adjust(&f, 1, "NEW", -1, "no").op.answer, INVENTORY_ANSWER_WOULD_BE_NEGATIVE);
    cr_expect_eq(level(&f, "on_hand", "MUG"), 5);
    cr_expect_eq(bv_test_sql_int(f.database, "SELECT count(*) FROM stock"), 1);
    fixture_close(&f);
}

Test(inventory_batch_it, isolates_the_one_operation_that_the_database_refuses)
{
    enum { CALLS = 50 };
    static struct call calls[CALLS];
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 1000, "in");
    for (size_t i = 0; i < CALLS; i++)
        reserve(&calls[i], "MUG", 1, NULL, 0);
    char sql[600];
    snprintf(
        sql,
        sizeof sql,
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.order_id IN "
        "('%s', '%s') THEN"
        " RAISE EXCEPTION 'spoilt'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER spoil BEFORE INSERT ON reservations FOR EACH ROW EXECUTE FUNCTION spoil()",
        calls[17].order_id,
        calls[40].order_id);
    bv_test_sql(f.database, sql);
    for (size_t i = 0; i < CALLS; i++)
        submit(&f, 0, &calls[i]);
    run(&f);
    for (size_t i = 0; i < CALLS; i++)
        if (i == 17 || i == 40)
            cr_expect_eq(calls[i].rc, BV_E_UNPROCESSABLE);
        else
            cr_expect(calls[i].rc == 0 && calls[i].op.answer == INVENTORY_ANSWER_RESERVED,
                      "call %zu: rc %d",
                      i,
                      calls[i].rc);
    cr_expect_eq(level(&f, "reserved", "MUG"), CALLS - 2);
    struct call after;
    reserve(&after, "MUG", 1, NULL, 0);
    cr_expect_eq(run_one(&f, 0, &after), INVENTORY_ANSWER_RESERVED);
    fixture_close(&f);
}

Test(inventory_batch_it, goes_on_after_a_restart)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    struct call call;
    reserve(&call, "MUG", 3, NULL, 0);
    cr_assert_eq(run_one(&f, 0, &call), INVENTORY_ANSWER_RESERVED);
    for (size_t i = 0; i < REPLICAS; i++) {
        replica_close(&f.replicas[i]);
        replica_open(&f, &f.replicas[i]);
    }
    cr_expect_eq(move(&f, 0, INVENTORY_OP_COMMIT, call.order_id), INVENTORY_ANSWER_COMMITTED);
    struct call next;
    reserve(&next, "MUG", 3, NULL, 0);
    cr_expect_eq(run_one(&f, 0, &next), INVENTORY_ANSWER_SOLD_OUT);
    cr_expect_eq(next.lines[0].available, 2);
    fixture_close(&f);
}

Test(inventory_batch_it, does_nothing_after_the_deadline_and_ends_what_waits_when_closed)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    struct call late;
    reserve(&late, "MUG", 1, NULL, 0);
    late.op.deadline_ms = bv_mono_ms(&env) - 1;
    run_one(&f, 0, &late);
    cr_expect_eq(late.rc, BV_E_TIMEOUT);
    struct call cut;
    reserve(&cut, "MUG", 1, NULL, 0);
    submit(&f, 0, &cut);
    replica_close(&f.replicas[0]);
    cr_expect(cut.done);
    cr_expect_eq(cut.rc, BV_E_CANCELLED);
    cr_expect_eq(level(&f, "reserved", "MUG"), 0);
    replica_open(&f, &f.replicas[0]);
    fixture_close(&f);
}

Test(inventory_batch_it, writes_a_ledger_that_nobody_can_change)
{
    struct fixture f;
    fixture_open(&f);
    adjust(&f, 0, "MUG", 5, "in");
    bv_test_sql(f.database,
                "DO $$ BEGIN UPDATE ledger SET on_hand = 6; RAISE 'changed'; EXCEPTION WHEN "
                "raise_exception THEN"
                " IF sqlerrm = 'changed' THEN RAISE 'the ledger was changed' USING ERRCODE = "
                "'data_exception'; END IF; END $$");
    fixture_close(&f);
}
