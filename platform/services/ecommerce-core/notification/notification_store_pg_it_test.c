#include "notification_testing.h"

Test(notification_store, sequences_count_per_user_in_the_order_told)
{
    struct bench bench;
    struct told told[4];
    struct notification_event events[4];
    bench_open(&bench);
    events[0] = *tell(&told[0], "ada", 1, 1, CREATED);
    events[1] = *tell(&told[1], "bob", 2, 1, CREATED);
    events[2] = *tell(&told[2], "ada", 3, 1, CREATED);
    events[3] = *tell(&told[3], "ada", 4, 1, CREATED);
    struct taking taking = take_all(&bench, events, 4);
    cr_assert_eq(bench.rc, 0);
    cr_assert_eq(taking.sequences[0], 1);
    cr_assert_eq(taking.sequences[1], 1);
    cr_assert_eq(taking.sequences[2], 2);
    cr_assert_eq(taking.sequences[3], 3);
    cr_assert_eq(take_one(&bench, "ada", 1, 2, PAID).sequences[0], 4);
    bench_close(&bench);
}

Test(notification_store, an_event_takes_effect_once)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://127.0.0.1:9/hook");
    cr_assert_eq(take_one(&bench, "ada", 1, 1, CREATED).deliveries, 1);
    struct taking again = take_one(&bench, "ada", 1, 1, CREATED);
    cr_assert_eq(again.sequences[0], 0);
    cr_assert_eq(again.deliveries, 0);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM live_messages"), 1);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM deliveries"), 1);
    bench_close(&bench);
}

/* After the inbox has forgotten: the version still tells. */
Test(notification_store, a_known_version_is_dropped)
{
    struct bench bench;
    bench_open(&bench);
    take_one(&bench, "ada", 1, 1, CREATED);
    take_one(&bench, "ada", 1, 2, PAID);
    bv_test_sql(bench.conninfo, "DELETE FROM inbox");
    cr_assert_eq(take_one(&bench, "ada", 1, 1, CREATED).sequences[0], 0);
    cr_assert_eq(take_one(&bench, "ada", 1, 2, PAID).sequences[0], 0);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT version FROM user_orders"), 2);
    bench_close(&bench);
}

/* As they come when a consumer catches up; and twice after its partitions were dealt anew. */
Test(notification_store, transitions_of_one_order_are_taken_in_together)
{
    struct bench bench;
    struct told told[5];
    struct notification_event events[5];
    const int64_t sequences[5] = {1, 2, 3, 0, 0};
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    events[0] = *tell(&told[0], "ada", 1, 1, CREATED);
    events[1] = *tell(&told[1], "ada", 1, 2, PAID);
    events[2] = *tell(&told[2], "ada", 2, 1, CREATED);
    events[3] = *tell(&told[3], "ada", 1, 2, PAID);
    events[4] = *tell(&told[4], "ada", 1, 1, CREATED);
    struct taking taking = take_all(&bench, events, 5);
    cr_assert_eq(bench.rc, 0);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(taking.sequences[i], sequences[i], "%d", i);
    cr_expect_eq(taking.deliveries, 3);
    cr_expect_eq(bv_test_sql_int(bench.conninfo, "SELECT max(version) FROM user_orders"), 2);
    cr_expect_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM user_orders"), 2);
    bench_close(&bench);
}

static bool both_ended(void *argument)
{
    struct bench *const *benches = argument;
    return benches[0]->ended && benches[1]->ended;
}

Test(notification_store, two_writers_give_out_each_sequence_once)
{
    struct bench east, west;
    bench_open(&east);
    bench_open_on(&west, east.loop, east.conninfo);
    struct bench *benches[2] = {&east, &west};
    for (int round = 0; round < 50; round++) {
        struct taking takings[2] = {{.bench = &east}, {.bench = &west}};
        struct told told[4];
        struct notification_event events[2][2];
        events[0][0] = *tell(&told[0], "ada", 4 * round, 1, CREATED);
        events[0][1] = *tell(&told[1], "bob", 4 * round + 1, 1, CREATED);
        events[1][0] = *tell(&told[2], "bob", 4 * round + 2, 1, CREATED);
        events[1][1] = *tell(&told[3], "ada", 4 * round + 3, 1, CREATED);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(benches[i]->store->ops->take(
                             benches[i]->store, events[i], 2, on_taking, &takings[i]),
                         0);
        cr_assert(bv_test_run_until(east.loop, both_ended, benches, WAIT_MS));
        cr_assert_eq(east.rc, 0);
        cr_assert_eq(west.rc, 0);
        east.ended = west.ended = false;
    }
    cr_assert_eq(bv_test_sql_int(east.conninfo,
                                 "SELECT count(DISTINCT (user_id, sequence)) FROM live_messages"),
                 200);
    cr_assert_eq(bv_test_sql_int(east.conninfo, "SELECT min(last) + max(last) FROM user_sequences"),
                 200);
    bench_close_on(&west);
    bench_close(&east);
}

Test(notification_store, an_owner_has_so_many_subscriptions)
{
    struct bench bench;
    bench_open(&bench);
    static const char *const ids[] = {"01936f40-11aa-7d20-9c3b-000000000001",
                                      "01936f40-11aa-7d20-9c3b-000000000002",
                                      "01936f40-11aa-7d20-9c3b-000000000003",
                                      "01936f40-11aa-7d20-9c3b-000000000004"};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(subscribe_as(&bench, ids[i], "partner", "http://a.example/", "[\"" PAID "\"]"),
                     1);
    cr_assert_eq(subscribe_as(&bench, ids[3], "partner", "http://a.example/", "[\"" PAID "\"]"),
                 BV_E_LIMIT);
    cr_assert_eq(subscribe_as(&bench, ids[3], "other", "http://a.example/", "[\"" PAID "\"]"), 1);
    bench_close(&bench);
}

/* Both find room for one more. */
Test(notification_store, two_replicas_fill_the_last_place_once)
{
    struct bench east, west;
    int limited = 0;
    bench_open(&east);
    bench_open_on(&west, east.loop, east.conninfo);
    struct bench *benches[2] = {&east, &west};
    for (int round = 0; round < 20; round++) {
        char ids[2][BV_UUID_TEXT_SIZE];
        for (int i = 0; i < 2; i++) {
            snprintf(ids[i], sizeof(ids[i]), "01936f40-11aa-7d20-9c3b-%012d", 2 * round + i);
            struct notification_webhook webhook = {.webhook_id = bv_bytes_of(ids[i]),
                                                   .tenant = BV_BYTES("default"),
                                                   .owner = BV_BYTES("partner"),
                                                   .url = BV_BYTES("http://a.example/"),
                                                   .event_types = BV_BYTES("[\"" PAID "\"]"),
                                                   .secret = BV_BYTES(SECRET)};
            cr_assert_eq(benches[i]->store->ops->webhook_insert(
                             benches[i]->store, &webhook, 1, on_webhook, benches[i]),
                         0);
        }
        cr_assert(bv_test_run_until(east.loop, both_ended, benches, WAIT_MS));
        limited += (east.rc == BV_E_LIMIT) + (west.rc == BV_E_LIMIT);
        cr_assert_eq(bv_test_sql_int(east.conninfo, "SELECT count(*) FROM webhooks"), 1);
        bv_test_sql(east.conninfo, "DELETE FROM webhooks");
        east.ended = west.ended = false;
    }
    cr_assert_eq(limited, 20);
    bench_close_on(&west);
    bench_close(&east);
}

Test(notification_store, only_the_owner_sees_and_ends_a_subscription)
{
    struct bench bench;
    struct notification_owner other = {BV_BYTES("default"), BV_BYTES("other")};
    struct notification_owner tenant = {BV_BYTES("elsewhere"), BV_BYTES("partner")};
    struct notification_owner owner = {BV_BYTES("default"), BV_BYTES("partner")};
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    take_one(&bench, "ada", 1, 1, CREATED);
    const struct {
        struct notification_owner owner;
        int rows;
    } rows[] = {
        {other,  0},
        {tenant, 0},
        {owner,  1},
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_assert_eq(bench.store->ops->webhook_get(
                         bench.store, rows[i].owner, BV_BYTES(WEBHOOK_ID), on_webhook, &bench),
                     0);
        bench_wait(&bench);
        cr_assert_eq(bench.rc, rows[i].rows, "get %zu", i);
        cr_assert_eq(bench.store->ops->webhook_delete(
                         bench.store, rows[i].owner, BV_BYTES(WEBHOOK_ID), on_webhook, &bench),
                     0);
        bench_wait(&bench);
        cr_assert_eq(bench.rc, rows[i].rows, "delete %zu", i);
    }
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM deliveries"), 0);
    bench_close(&bench);
}

static void on_plain(void *argument, int rc, const struct bv_error *error)
{
    struct bench *bench = argument;
    bench->ended = true;
    bench->rc = rc;
    (void)error;
}

/* Ages say that 1 and 3 are old: what is left must be an unbroken run up to the last. */
Test(notification_store, sweeping_leaves_an_unbroken_run)
{
    struct bench bench;
    struct notification_retention retention = {1000, 1000, 1000, 1000};
    bench_open(&bench);
    for (int order = 1; order <= 5; order++)
        take_one(&bench, "ada", order, 1, CREATED);
    bv_test_sql(
        bench.conninfo,
        "UPDATE live_messages SET created_at = now() - interval '1 hour' WHERE sequence IN (1, 3)");
    bv_test_sql(bench.conninfo,
                "UPDATE user_orders SET updated_at = now() - interval '1 hour' WHERE "
                "order_id::text LIKE '%1'");
    cr_assert_eq(bench.store->ops->sweep(bench.store, &retention, on_plain, &bench), 0);
    bench_wait(&bench);
    cr_assert_eq(bench.rc, 0);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT min(sequence) FROM live_messages"), 4);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM live_messages"), 2);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM user_orders"), 4);
    bench_close(&bench);
}

/* ---- claiming ---- */

struct claiming {
    struct bench *bench;
    size_t count;
    int64_t numbers[64], attempts[64];
    int64_t next_due_ms;
};

static void on_claiming(void *argument,
                        int rc,
                        const struct notification_claimed *rows,
                        size_t count,
                        int64_t next_due_ms,
                        const struct bv_error *error)
{
    struct claiming *claiming = argument;
    claiming->bench->ended = true;
    claiming->bench->rc = rc;
    claiming->count = count;
    claiming->next_due_ms = next_due_ms;
    cr_assert_eq(rc, 0, "%s", error ? error->text : "");
    for (size_t i = 0; i < count; i++) {
        claiming->numbers[i] = rows[i].number;
        claiming->attempts[i] = rows[i].attempt;
        cr_assert(bv_bytes_equal(rows[i].secret, BV_BYTES(SECRET)));
    }
}

static struct claiming
claim_busy(struct bench *bench, int64_t limit, int64_t each_max, int64_t lease_ms, int64_t busy)
{
    struct claiming claiming = {.bench = bench};
    struct notification_busy row = {BV_BYTES(WEBHOOK_ID), busy};
    struct notification_claim claim = {limit, each_max, lease_ms, &row, busy > 0};
    cr_assert_eq(bench->store->ops->claim(bench->store, &claim, on_claiming, &claiming), 0);
    bench_wait(bench);
    return claiming;
}

static struct claiming claim(struct bench *bench, int64_t lease_ms)
{
    return claim_busy(bench, 10, 10, lease_ms, 0);
}

static void end_as(
    struct bench *bench, int64_t number, int64_t attempt, enum notification_on on, int64_t delay_ms)
{
    struct notification_ended ended = {
        .number = number,
        .attempt = attempt,
        .webhook_id = BV_BYTES(WEBHOOK_ID),
        .delay_ms = delay_ms,
        .log = on == NOTIFICATION_ON_LOST ? BV_BYTES_NONE : BV_BYTES("{\"attempt\":1}")};
    cr_assert_eq(notification_deliver(NOTIFICATION_SENDING, on, &ended.step), 0);
    cr_assert_eq(bench->store->ops->ended(bench->store, &ended, on_plain, bench), 0);
    bench_wait(bench);
    cr_assert_eq(bench->rc, 0);
}

Test(notification_store, the_next_of_an_order_waits_for_the_one_before)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    take_one(&bench, "ada", 1, 1, CREATED);
    take_one(&bench, "ada", 1, 2, PAID);
    take_one(&bench, "ada", 2, 1, CREATED);
    struct claiming first = claim(&bench, 60000);
    cr_assert_eq(first.count, 2, "the heads of two orders");
    int64_t head = first.numbers[0] < first.numbers[1] ? first.numbers[0] : first.numbers[1];
    cr_assert_eq(claim(&bench, 60000).count, 0, "all that may be sent is leased");
    end_as(&bench, head, 1, NOTIFICATION_ON_REFUSED, 3600000);
    struct claiming later = claim(&bench, 60000);
    cr_assert_eq(later.count, 0, "version 2 waits while version 1 backs off");
    cr_assert(later.next_due_ms > 0 && later.next_due_ms <= 60000,
              "the lease of the other comes first");
    bv_test_sql(bench.conninfo, "UPDATE deliveries SET due_at = now() WHERE attempts = 1");
    struct claiming again = claim(&bench, 60000);
    cr_assert_eq(again.attempts[0], 2);
    end_as(&bench, head, 2, NOTIFICATION_ON_EXHAUSTED, 0);
    cr_assert_eq(claim(&bench, 60000).count, 1, "given up: version 2 goes on");
    bench_close(&bench);
}

Test(notification_store, a_lost_lease_is_taken_over_and_its_end_is_void)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    take_one(&bench, "ada", 1, 1, CREATED);
    struct claiming dead = claim(&bench, 0);
    struct claiming heir = claim(&bench, 60000);
    cr_assert_eq(heir.count, 1);
    cr_assert_eq(heir.attempts[0], 2);
    end_as(&bench, dead.numbers[0], 1, NOTIFICATION_ON_ACCEPTED, 0);
    cr_assert_eq(
        bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM deliveries WHERE state = 'PENDING'"),
        1);
    end_as(&bench, heir.numbers[0], 2, NOTIFICATION_ON_ACCEPTED, 0);
    cr_assert_eq(bv_test_sql_int(bench.conninfo,
                                 "SELECT count(*) FROM deliveries WHERE state = 'DELIVERED'"),
                 1);
    bench_close(&bench);
}

Test(notification_store, a_lease_handed_back_costs_no_attempt)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    take_one(&bench, "ada", 1, 1, CREATED);
    struct claiming mine = claim(&bench, 60000);
    end_as(&bench, mine.numbers[0], 1, NOTIFICATION_ON_LOST, 0);
    struct claiming next = claim(&bench, 60000);
    cr_assert_eq(next.count, 1);
    cr_assert_eq(next.attempts[0], 1);
    cr_assert_eq(
        bv_test_sql_int(bench.conninfo, "SELECT jsonb_array_length(attempt_log) FROM deliveries"),
        0);
    bench_close(&bench);
}

Test(notification_store, bulkheads_bound_what_is_claimed)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    for (int order = 1; order <= 6; order++)
        take_one(&bench, "ada", order, 1, CREATED);
    cr_assert_eq(claim_busy(&bench, 10, 4, 60000, 4).count, 0, "four are under way already");
    cr_assert_eq(claim_busy(&bench, 10, 4, 60000, 2).count, 2);
    cr_assert_eq(claim_busy(&bench, 1, 4, 60000, 0).count, 1);
    cr_assert_eq(claim_busy(&bench, 10, 10, 60000, 0).count, 3);
    bench_close(&bench);
}

Test(notification_store, a_partner_that_is_gone_gets_nothing_more)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    take_one(&bench, "ada", 1, 1, CREATED);
    take_one(&bench, "ada", 1, 2, PAID);
    struct claiming mine = claim(&bench, 60000);
    end_as(&bench, mine.numbers[0], 1, NOTIFICATION_ON_GONE, 0);
    cr_assert_eq(
        bv_test_sql_int(bench.conninfo, "SELECT count(*) FROM deliveries WHERE state = 'FAILED'"),
        2);
    cr_assert_eq(bv_test_sql_int(bench.conninfo,
                                 "SELECT count(*) FROM webhooks WHERE disabled_at IS NOT NULL"),
                 1);
    cr_assert_eq(take_one(&bench, "ada", 2, 1, CREATED).deliveries, 0);
    bench_close(&bench);
}

/* Each holds its own delivery and wants all others of the subscription. */
Test(notification_store, two_replicas_hear_at_once_that_a_partner_is_gone, .timeout = 60)
{
    struct bench east, west;
    bench_open(&east);
    bench_open_on(&west, east.loop, east.conninfo);
    struct bench *benches[2] = {&east, &west};
    subscribe(&east, "http://a.example/");
    for (int round = 0; round < 20; round++) {
        take_one(&east, "ada", 2 * round, 1, CREATED);
        take_one(&east, "ada", 2 * round + 1, 1, CREATED);
        struct claiming mine = claim(&east, 60000);
        cr_assert_eq(mine.count, 2);
        for (size_t i = 0; i < 2; i++) {
            struct notification_ended ended = {.number = mine.numbers[i],
                                               .attempt = 1,
                                               .webhook_id = BV_BYTES(WEBHOOK_ID),
                                               .log = BV_BYTES("{\"attempt\":1}")};
            cr_assert_eq(
                notification_deliver(NOTIFICATION_SENDING, NOTIFICATION_ON_GONE, &ended.step), 0);
            cr_assert_eq(
                benches[i]->store->ops->ended(benches[i]->store, &ended, on_plain, benches[i]), 0);
        }
        cr_assert(bv_test_run_until(east.loop, both_ended, benches, WAIT_MS));
        cr_assert_eq(east.rc, 0, "round %d", round);
        cr_assert_eq(west.rc, 0, "round %d", round);
        east.ended = west.ended = false;
        bv_test_sql(east.conninfo, "UPDATE webhooks SET disabled_at = NULL");
    }
    cr_assert_eq(
        bv_test_sql_int(east.conninfo, "SELECT count(*) FROM deliveries WHERE state = 'FAILED'"),
        40);
    bench_close_on(&west);
    bench_close(&east);
}

static bool claims_are_counted(void *argument)
{
    return bv_test_sql_int(argument,
                           "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM "
                           "pg_stat_user_tables WHERE relname = 'deliveries'") > 0;
}

/* What waits behind a partner's full places, or behind its first few, is not looked at. */
Test(notification_store, a_claim_reads_no_backlog, .timeout = 60)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://slow.example/");
    bv_test_sql(bench.conninfo,
                "INSERT INTO deliveries (webhook_id, order_id, version, type, occurred_at, "
                "traceparent, correlation_id, data) SELECT '" WEBHOOK_ID
                "', md5(n::text)::uuid, v, '" CREATED "', now(), 't', 'c', '{}' FROM "
                "generate_series(1, 5000) n, generate_series(1, 2) v");
    bv_test_sql(bench.conninfo, "ANALYZE");
    bv_test_sql(bench.conninfo, "SELECT pg_stat_reset()");
    cr_assert_eq(claim_busy(&bench, 8, 8, 60000, 8).count, 0);
    cr_assert_eq(claim_busy(&bench, 8, 8, 60000, 0).count, 8);
    bench_close_pg(&bench); /* a backend that ends tells what it read */
    cr_assert(bv_test_run_until(bench.loop, claims_are_counted, bench.conninfo, WAIT_MS));
    cr_expect_lt(bv_test_sql_int(bench.conninfo,
                                 "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables "
                                 "WHERE relname = 'deliveries'"),
                 500);
    bench_close(&bench);
}

#define LATER_ID "01936f40-11aa-7d20-9c3b-8e7f6a5b4c3e"

/* A place that becomes free goes to whoever has the fewest, not to the oldest backlog. */
Test(notification_store, slow_partners_with_a_backlog_leave_room_for_others)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://slow.example/");
    for (int order = 1; order <= 6; order++)
        take_one(&bench, "ada", order, 1, CREATED);
    cr_assert_eq(
        subscribe_as(&bench, LATER_ID, "partner", "http://quick.example/", "[\"" CREATED "\"]"), 1);
    take_one(&bench, "ada", 7, 1, CREATED);
    cr_assert_eq(claim_busy(&bench, 1, 8, 60000, 7).count, 1);
    cr_assert_eq(bv_test_sql_int(bench.conninfo,
                                 "SELECT count(*) FROM deliveries WHERE attempts = 1 AND "
                                 "webhook_id = '" LATER_ID "'"),
                 1);
    bench_close(&bench);
}

Test(notification_store, the_log_keeps_the_newest_twenty_attempts)
{
    struct bench bench;
    bench_open(&bench);
    subscribe(&bench, "http://a.example/");
    take_one(&bench, "ada", 1, 1, CREATED);
    for (int i = 1; i <= 23; i++) {
        struct claiming mine = claim(&bench, 60000);
        cr_assert_eq(mine.count, 1);
        end_as(&bench, mine.numbers[0], i, NOTIFICATION_ON_REFUSED, 0);
    }
    cr_assert_eq(
        bv_test_sql_int(bench.conninfo, "SELECT jsonb_array_length(attempt_log) FROM deliveries"),
        20);
    cr_assert_eq(bv_test_sql_int(bench.conninfo, "SELECT attempts FROM deliveries"), 23);
    bench_close(&bench);
}
