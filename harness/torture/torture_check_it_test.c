/* Every check bites: a small world in which all promises are kept, then each promise broken once.
 */
#include "torture_check.h"

#include "bv/test_stack.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define A "0193aaaa-0000-7000-8000-00000000000a" /* confirmed */
#define B "0193aaaa-0000-7000-8000-00000000000b" /* sold out */
#define C "0193aaaa-0000-7000-8000-00000000000c" /* cancelled */
#define HOOK "0193aaaa-0000-7000-8000-0000000000f0"
#define EVENT(n) "0193aaaa-0000-7000-8000-0000000001" n
#define DELIVERY(n) "0193aaaa-0000-7000-8000-0000000002" n

static const struct {
    const char *event, *delivery, *order;
    int version;
    const char *state, *type;
} events[] = {
    {EVENT("01"), DELIVERY("01"), A, 1, "PENDING",   "ecommerce.order.created.v1"  },
    {EVENT("02"), DELIVERY("02"), A, 2, "RESERVED",  "ecommerce.order.reserved.v1" },
    {EVENT("03"), DELIVERY("03"), A, 3, "PAID",      "ecommerce.order.paid.v1"     },
    {EVENT("04"), DELIVERY("04"), A, 4, "CONFIRMED", "ecommerce.order.confirmed.v1"},
    {EVENT("05"), DELIVERY("05"), B, 1, "PENDING",   "ecommerce.order.created.v1"  },
    {EVENT("06"), DELIVERY("06"), B, 2, "REJECTED",  "ecommerce.order.rejected.v1" },
    {EVENT("07"), DELIVERY("07"), C, 1, "PENDING",   "ecommerce.order.created.v1"  },
    {EVENT("08"), DELIVERY("08"), C, 2, "RESERVED",  "ecommerce.order.reserved.v1" },
    {EVENT("09"), DELIVERY("09"), C, 3, "CANCELLED", "ecommerce.order.cancelled.v1"},
};

static const char orders_sql[] =
    "DELETE FROM orders; DELETE FROM order_items; DELETE FROM idempotency_keys; DELETE FROM "
    "stock_tasks; DELETE FROM outbox; DELETE FROM parked_keys;"
    "INSERT INTO orders SELECT id::uuid, 'default', 'u', state, version, total, 'EUR', NULL, 'c', "
    "'',"
    " key, now(), now() FROM (VALUES ('" A "', 'CONFIRMED', 4, 2500, 'kA'), ('" B
    "', 'REJECTED', 2, 900, 'kB'), ('" C "', 'CANCELLED', 3, 590, 'kC'))"
    " AS o (id, state, version, total, key);"
    "INSERT INTO order_items VALUES ('" A "', 0, 'MUG-BLUE', 2, 1250),"
    " ('" B "', 0, 'HEADPHONES-1', 1, 900), ('" C "', 0, 'PEN-GEL', 1, 590);"
    "INSERT INTO idempotency_keys SELECT 'default', 'u', idempotency_key, 'f', order_id, 201, '{}',"
    " now() FROM orders;";
static const char inventory_sql[] =
    "DELETE FROM stock; DELETE FROM ledger; DELETE FROM reservations; DELETE FROM outbox;"
    "INSERT INTO ledger VALUES"
    " ('default', 'MUG-BLUE', 1, 10, 0, 10, 0, 'ADJUST', NULL, 'counted', now()),"
    " ('default', 'MUG-BLUE', 2, 0, 2, 10, 2, 'RESERVE', '" A "', NULL, now()),"
    " ('default', 'MUG-BLUE', 3, -2, -2, 8, 0, 'COMMIT', '" A "', NULL, now()),"
    " ('default', 'PEN-GEL', 1, 10, 0, 10, 0, 'ADJUST', NULL, 'counted', now()),"
    " ('default', 'PEN-GEL', 2, 0, 1, 10, 1, 'RESERVE', '" C "', NULL, now()),"
    " ('default', 'PEN-GEL', 3, 0, -1, 10, 0, 'RELEASE', '" C "', NULL, now());"
    "INSERT INTO stock VALUES ('default', 'MUG-BLUE', 8, 0, 3), ('default', 'PEN-GEL', 10, 0, 3);"
    "INSERT INTO reservations SELECT id::uuid, 'default', state, 1, '[]', now() FROM (VALUES ('" A
    "', 'COMMITTED'), ('" B "', 'SOLD_OUT'), ('" C "', 'RELEASED')) AS r (id, state);";
static const char notification_sql[] =
    "DELETE FROM user_sequences; DELETE FROM live_messages; DELETE FROM webhooks; DELETE FROM "
    "deliveries; DELETE FROM parked_keys;"
    "INSERT INTO user_sequences VALUES ('default', 'u', 9);"
    "INSERT INTO webhooks (webhook_id, tenant, owner, url, event_types, secret) SELECT '" HOOK
    "', 'default', 'p', 'http://p', array_agg('ecommerce.order.' || x || '.v1'), 's' FROM unnest("
    "array['created', 'reserved', 'rejected', 'paid', 'confirmed', 'cancelled']) x;";

#define ORDERS TORTURE_ORDERS
#define INVENTORY TORTURE_INVENTORY
#define NOTIFICATION TORTURE_NOTIFICATION
#define NO_SQL ORDERS, NULL
#define TOLD_A(event, version, state, at)                                                          \
    event "\t" A "\t" A "\t" version "\t" state "\tecommerce.order.paid.v1\t0\t" at
#define HEARD(id, signature) "/all\tmsg_" id "\t" A "\t1\t204\t" signature
/* How a promise is broken: by a change of a database, a fact that is missing (its beginning), a
 * fact too many. */
static const struct {
    const char *promise;
    enum torture_database database;
    const char *sql;
    enum torture_table table;
    const char *missing, *added;
} harms[] = {
    {"an acknowledged order is stored",
     ORDERS, "DELETE FROM orders WHERE order_id = '" C "'",
     0, NULL,
     NULL},
    {"with the acknowledged content",
     ORDERS, "UPDATE orders SET total_minor = 1 WHERE order_id = '" A "'",
     0, NULL,
     NULL},
    {"an acknowledged transition stands", NO_SQL, TORTURE_MOVES, NULL, A "\t9\tSHIPPED"},
    {"a key makes one order", ORDERS, "UPDATE orders SET idempotency_key = 'kA'", 0, NULL, NULL},
    {"no order that nobody was told of", NO_SQL, TORTURE_ACKS, "kC", NULL},
    {"a key keeps its answer",
     ORDERS, "UPDATE idempotency_keys SET answer = NULL WHERE key = 'kA'",
     0, NULL,
     NULL},
    {"nothing is left undone",
     ORDERS, "INSERT INTO stock_tasks VALUES ('" A "', 'default', 'commit')",
     0, NULL,
     NULL},
    {"each transition is announced", NO_SQL, TORTURE_TOLD, EVENT("02"), NULL},
    {"and nothing else", NO_SQL, TORTURE_TOLD, NULL, TOLD_A(EVENT("99"), "9", "SHIPPED", "99")},
    {"by one event", NO_SQL, TORTURE_TOLD, NULL, TOLD_A(EVENT("99"), "3", "PAID", "99")},
    {"first occurrences in order",
     NO_SQL, TORTURE_TOLD,
     EVENT("03"),
     TOLD_A(EVENT("03"), "3", "PAID", "0")},
    {"the last event tells the state",
     NO_SQL, TORTURE_TOLD,
     EVENT("04"),
     TOLD_A(EVENT("04"), "4", "SHIPPED", "4")},
    {"each payment has its effect",
     ORDERS, "UPDATE orders SET state = 'RESERVED' WHERE order_id = '" A "'",
     0, NULL,
     NULL},
    {"once", NO_SQL, TORTURE_TOLD, NULL, TOLD_A(EVENT("99"), "5", "PAID", "99")},
    {"no payment is parked",
     ORDERS, "INSERT INTO parked_keys VALUES ('order', 'ecommerce.payments', 'x')",
     0, NULL,
     NULL},
    {"every answer kept its promise", NO_SQL, TORTURE_WRONG, NULL, "kA\tother bytes"},
    {"levels are the sums of the ledger",
     INVENTORY, "UPDATE stock SET version = 4 WHERE sku = 'PEN-GEL'",
     0, NULL,
     NULL},
    {"never negative",
     INVENTORY, "UPDATE ledger SET reserved = -1 WHERE sku = 'PEN-GEL' AND version = 3",
     0, NULL,
     NULL},
    {"reserved is what open orders hold",
     INVENTORY, "UPDATE stock SET reserved = 1 WHERE sku = 'PEN-GEL'",
     0, NULL,
     NULL},
    {"on hand is what was not sold",
     INVENTORY, "UPDATE stock SET on_hand = 9 WHERE sku = 'MUG-BLUE'",
     0, NULL,
     NULL},
    {"reservations agree with orders",
     INVENTORY, "UPDATE reservations SET state = 'RESERVED' WHERE order_id = '" C "'",
     0, NULL,
     NULL},
    {"no line moves stock twice",
     INVENTORY, "INSERT INTO ledger VALUES ('default', 'PEN-GEL', 4, 0, -1, 10, 0, 'RELEASE', '" C
     "', NULL, now())", 0,
     NULL, NULL},
    {"each stock change is announced", NO_SQL, TORTURE_STOCK_TOLD, EVENT("12"), NULL},
    {"by one event of its order",
     NO_SQL, TORTURE_STOCK_TOLD,
     NULL, EVENT("99") "\t" A "\tMUG-BLUE\t2"},
    {"no stock event waits",
     INVENTORY, "INSERT INTO outbox VALUES ('" A "', 't', '" A "', 1, 'e', '{}', '{}')",
     0, NULL,
     NULL},
    {"sequences of a user have no gap",
     NOTIFICATION, "UPDATE live_messages SET sequence = 10 WHERE sequence = 9",
     0, NULL,
     NULL},
    {"each transition is told live",
     NOTIFICATION, "DELETE FROM live_messages WHERE sequence = 9",
     0, NULL,
     NULL},
    {"live once",
     NOTIFICATION, "INSERT INTO live_messages SELECT tenant, user_id, 10, type, occurred_at, traceparent, data "
     "FROM live_messages WHERE sequence = 9", 0,
     NULL, NULL},
    {"live in order",
     NOTIFICATION, "UPDATE live_messages SET sequence = 100 WHERE sequence = 1; UPDATE live_messages SET "
     "sequence = 1 WHERE sequence = 2;"
     "UPDATE live_messages SET sequence = 2 WHERE sequence = 100", 0,
     NULL, NULL},
    {"each subscriber's delivery is made",
     NOTIFICATION, "UPDATE deliveries SET state = 'FAILED' WHERE number = 1",
     0, NULL,
     NULL},
    {"and was accepted", NO_SQL, TORTURE_RECEIVED, "/all\tmsg_" DELIVERY("01"), NULL},
    {"under one id", NO_SQL, TORTURE_RECEIVED, NULL, HEARD(DELIVERY("99"), "good")},
    {"and one that is known", NO_SQL, TORTURE_RECEIVED, NULL, HEARD(DELIVERY("99"), "good")},
    {"rightly signed", NO_SQL, TORTURE_RECEIVED, NULL, HEARD(DELIVERY("01"), "bad")},
    {"no event is parked",
     NOTIFICATION, "INSERT INTO parked_keys VALUES ('notification', 'ecommerce.orders', 'x')",
     0, NULL,
     NULL},
};
#define KEPT BV_COUNT(harms) /* no harm */

static char *urls[TORTURE_DATABASES];

static void worlds_open(void)
{
    urls[TORTURE_ORDERS] = bv_test_database("orders");
    urls[TORTURE_INVENTORY] = bv_test_database("inventory");
    urls[TORTURE_NOTIFICATION] = bv_test_database("notification");
    /* what the database itself forbids must be possible here */
    bv_test_sql(urls[TORTURE_INVENTORY],
                "ALTER TABLE ledger DISABLE TRIGGER USER;"
                "ALTER TABLE ledger DROP CONSTRAINT ledger_never_negative");
}

static void worlds_end(void)
{
    for (size_t i = 0; i < TORTURE_DATABASES; i++)
        free(urls[i]);
}

static void
note(struct torture_facts *facts, size_t harm, enum torture_table table, const char *row)
{
    bool missing = harm < KEPT && harms[harm].missing && harms[harm].table == table &&
                   strncmp(row, harms[harm].missing, strlen(harms[harm].missing)) == 0;
    if (!missing)
        torture_note(facts, table, "%s", row);
}

static void note_events(struct torture_facts *facts, size_t harm)
{
    char row[512];
    struct bv_buf sql = {.max = 1 << 16};
    bv_buf_text(&sql, notification_sql);
    for (size_t i = 0; i < BV_COUNT(events); i++) {
        snprintf(row,
                 sizeof row,
                 "%s\t%s\t%s\t%d\t%s\t%s\t0\t%zu",
                 events[i].event,
                 events[i].order,
                 events[i].order,
                 events[i].version,
                 events[i].state,
                 events[i].type,
                 i + 1);
        note(facts, harm, TORTURE_TOLD, row);
        snprintf(row,
                 sizeof row,
                 "/all\tmsg_%s\t%s\t%d\t204\tgood",
                 events[i].delivery,
                 events[i].order,
                 events[i].version);
        note(facts, harm, TORTURE_RECEIVED, row);
        bv_buf_format(&sql,
                      "INSERT INTO live_messages VALUES ('default', 'u', %zu, '%s', now(), '',"
                      " '{\"orderId\":\"%s\",\"version\":%d}');"
                      "INSERT INTO deliveries (number, delivery_id, webhook_id, order_id, version,"
                      " type, occurred_at, traceparent, correlation_id, data, state) VALUES (%zu,"
                      " '%s', '" HOOK "', '%s', %d, '%s', now(), '', '', '{}', 'DELIVERED');",
                      i + 1,
                      events[i].type,
                      events[i].order,
                      events[i].version,
                      i + 1,
                      events[i].delivery,
                      events[i].order,
                      events[i].version,
                      events[i].type);
    }
    bv_buf_char(&sql, '\0');
    cr_assert_not(sql.failed);
    bv_test_sql(urls[TORTURE_NOTIFICATION], sql.data);
    bv_buf_release(&sql);
}

static void note_others(struct torture_facts *facts, size_t harm)
{
    note(facts, harm, TORTURE_ACKS, "kA\t" A "\t201\t2500\tMUG-BLUE:2");
    note(facts, harm, TORTURE_ACKS, "kB\t" B "\t409\t-1\tHEADPHONES-1:1");
    note(facts, harm, TORTURE_ACKS, "kC\t" C "\t201\t590\tPEN-GEL:1");
    note(facts, harm, TORTURE_MOVES, A "\t4\tCONFIRMED");
    note(facts, harm, TORTURE_MOVES, C "\t3\tCANCELLED");
    note(facts, harm, TORTURE_PAYMENTS, EVENT("50") "\t" A "\tauthorized");
    note(facts, harm, TORTURE_STOCK_TOLD, EVENT("12") "\t" A "\tMUG-BLUE\t2");
    note(facts, harm, TORTURE_STOCK_TOLD, EVENT("13") "\t" A "\tMUG-BLUE\t3");
    note(facts, harm, TORTURE_STOCK_TOLD, EVENT("14") "\t" C "\tPEN-GEL\t2");
    note(facts, harm, TORTURE_STOCK_TOLD, EVENT("15") "\t" C "\tPEN-GEL\t3");
    if (harm < KEPT && harms[harm].added)
        torture_note(facts, harms[harm].table, "%s", harms[harm].added);
}

static void blame(void *argument, const struct torture_check *check, struct bv_bytes subject)
{
    (void)check, (void)subject;
    ++*(int64_t *)argument;
}

/* Builds the world anew, does the harm, judges; returns how many violations were blamed. */
static int64_t judge_world(size_t harm, struct torture_finding *findings)
{
    struct torture_facts *facts = NULL;
    struct torture_judge *judge = NULL;
    struct bv_error error = {0};
    int64_t blamed = 0;
    bv_test_sql(urls[TORTURE_ORDERS], orders_sql);
    bv_test_sql(urls[TORTURE_INVENTORY], inventory_sql);
    cr_assert_eq(torture_facts_open(&facts), 0);
    note_events(facts, harm);
    note_others(facts, harm);
    if (harm < KEPT && harms[harm].sql)
        bv_test_sql(urls[harms[harm].database], harms[harm].sql);
    cr_assert_eq(
        torture_judge_open((const char *const *)urls, &judge, &error), 0, "%s", error.text);
    cr_assert_eq(
        torture_judge_all(judge, facts, blame, &blamed, findings, &error), 0, "%s", error.text);
    torture_judge_close(&judge);
    torture_facts_close(&facts);
    return blamed;
}

Test(torture_check,
     a_world_that_keeps_every_promise_is_green,
     .init = worlds_open,
     .fini = worlds_end)
{
    struct torture_finding findings[64];
    cr_assert_leq(torture_check_count, BV_COUNT(findings));
    cr_expect_eq(judge_world(KEPT, findings), 0);
    for (size_t i = 0; i < torture_check_count; i++)
        cr_expect_eq(findings[i].violations,
                     0,
                     "%s: %s",
                     torture_checks[i].promise,
                     findings[i].examples[0]);
}

Test(torture_check,
     each_broken_promise_is_named,
     .init = worlds_open,
     .fini = worlds_end,
     .timeout = 120)
{
    struct torture_finding findings[64];
    for (size_t i = 0; i < torture_check_count; i++) {
        size_t harm = 0;
        while (harm < KEPT && strcmp(harms[harm].promise, torture_checks[i].promise) != 0)
            harm++;
        cr_assert_lt(harm, KEPT, "nothing here breaks: %s", torture_checks[i].promise);
        int64_t blamed = judge_world(harm, findings);
        cr_expect_gt(findings[i].violations, 0, "not seen: %s", torture_checks[i].promise);
        cr_expect_geq(blamed, findings[i].violations);
        cr_expect(findings[i].violations == 0 || findings[i].examples[0][0]);
    }
}

Test(torture_check, undone_work_is_counted, .init = worlds_open, .fini = worlds_end)
{
    struct torture_finding findings[64];
    struct torture_judge *judge = NULL;
    int64_t undone[TORTURE_DATABASES];
    judge_world(KEPT, findings);
    bv_test_sql(urls[TORTURE_ORDERS],
                "UPDATE orders SET state = 'PENDING' WHERE order_id = '" A "'");
    bv_test_sql(urls[TORTURE_NOTIFICATION],
                "UPDATE deliveries SET state = 'PENDING' WHERE number < 3");
    cr_assert_eq(torture_judge_open((const char *const *)urls, &judge, NULL), 0);
    cr_assert_eq(torture_judge_undone(judge, undone, NULL), 0);
    cr_expect_eq(undone[TORTURE_ORDERS], 1);
    cr_expect_eq(undone[TORTURE_INVENTORY], 0);
    cr_expect_eq(undone[TORTURE_NOTIFICATION], 2);
    torture_judge_close(&judge);
}
