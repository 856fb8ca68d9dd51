#include "torture_check.h"

#include "torture_load.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { SQL_BYTES_MAX = 1 << 16 };

const char *torture_kind_name(enum torture_kind kind)
{
    static const char *const names[TORTURE_KIND_COUNT] = {
        "lost", "doubled", "unbalanced", "strange"};
    return names[kind];
}

const struct torture_check torture_checks[] = {
    {"an acknowledged order is stored",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT a.order_id, 'answered ' || a.status || ', not stored' FROM acks a "
     "LEFT JOIN orders o USING (order_id) WHERE o.order_id IS NULL"                               },
    {"with the acknowledged content",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT a.order_id, 'answered ' || a.status || ' ' || a.items || ', stored ' || o.state "
     "FROM acks a JOIN orders o USING (order_id) WHERE (a.status = 201 AND a.total <> "
     "o.total_minor)"
     " OR (a.status = 201) = (o.state = 'REJECTED') OR o.state = 'PENDING' OR a.items IS DISTINCT "
     "FROM"
     " (SELECT string_agg(i.sku || ':' || i.quantity, ',' ORDER BY i.line) FROM order_items i"
     "  WHERE i.order_id = o.order_id)"                                                           },
    {"an acknowledged transition stands",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT m.order_id, 'version ' || m.version || ' ' || m.state || ' was answered, not "
     "announced' "
     "FROM moves m WHERE NOT EXISTS (SELECT 1 FROM told t WHERE t.order_id = m.order_id"
     " AND t.version = m.version AND t.state = m.state)"                                          },
    {"a key makes one order",
     TORTURE_DOUBLED,    TORTURE_ORDERS,
     "SELECT min(order_id::text), idempotency_key || ' made ' || count(*) FROM orders "
     "GROUP BY tenant, customer_id, idempotency_key HAVING count(*) > 1"                          },
    {"no order that nobody was told of",
     TORTURE_DOUBLED,    TORTURE_ORDERS,
     "SELECT o.order_id, 'key ' || o.idempotency_key FROM orders o "
     "WHERE NOT EXISTS (SELECT 1 FROM acks a WHERE a.order_id = o.order_id)"                      },
    {"a key keeps its answer",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT o.order_id, 'key ' || o.idempotency_key FROM orders o LEFT JOIN idempotency_keys k "
     "ON k.order_id = o.order_id WHERE k.status IS NULL OR k.answer IS NULL"                      },
    {"nothing is left undone",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT order_id, 'PENDING' FROM orders WHERE state = 'PENDING' UNION ALL "
     "SELECT order_id, 'stock task ' || task FROM stock_tasks UNION ALL "
     "SELECT partition_key::uuid, 'outbox ' || event_type FROM outbox"                            },
    {"each transition is announced",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT o.order_id, 'version ' || v FROM orders o CROSS JOIN generate_series(1, o.version) v "
     "WHERE NOT EXISTS (SELECT 1 FROM told t WHERE t.order_id = o.order_id AND t.version = v)"    },
    {"and nothing else",
     TORTURE_DOUBLED,    TORTURE_ORDERS,
     "SELECT t.order_id, 'version ' || t.version FROM told t LEFT JOIN orders o USING (order_id) "
     "WHERE o.order_id IS NULL OR t.version > o.version OR t.key <> t.order_id::text"             },
    {"by one event",
     TORTURE_DOUBLED,    TORTURE_ORDERS,
     "SELECT order_id, 'version ' || version || ' by ' || count(DISTINCT event_id) FROM told "
     "GROUP BY order_id, version HAVING count(DISTINCT event_id) > 1"                             },
    {"first occurrences in order",
     TORTURE_STRANGE,    TORTURE_ORDERS,
     "SELECT order_id, 'version ' || version FROM (SELECT order_id, version, at, low, high,"
     "  lag(at) OVER (PARTITION BY order_id ORDER BY version) AS before FROM"
     "  (SELECT order_id, version, min(at) AS at, min(part) AS low, max(part) AS high FROM told"
     "   GROUP BY order_id, version) first) x WHERE at < before OR low <> high"                   },
    {"the last event tells the state",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT o.order_id, o.state || ', told ' || t.state FROM orders o JOIN told t "
     "ON t.order_id = o.order_id AND t.version = o.version WHERE t.state <> o.state"              },
    {"each payment has its effect",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT o.order_id, p.kind || ', the order is ' || o.state FROM payments p "
     "JOIN orders o USING (order_id) WHERE o.state IN ('PENDING', 'RESERVED')"                    },
    {"once",
     TORTURE_DOUBLED,    TORTURE_ORDERS,
     "SELECT order_id, state || ' ' || count(DISTINCT version) || ' times' FROM told "
     "GROUP BY order_id, state HAVING count(DISTINCT version) > 1"                                },
    {"no payment is parked",
     TORTURE_LOST,       TORTURE_ORDERS,
     "SELECT partition_key, topic FROM parked_keys"                                               },
    {"every answer kept its promise",
     TORTURE_STRANGE,    TORTURE_ORDERS,
     "SELECT key, what FROM wrong"                                                                },
    {"levels are the sums of the ledger",
     TORTURE_UNBALANCED, TORTURE_INVENTORY,
     "SELECT s.sku, s.on_hand || '/' || s.reserved || ', ledger ' || l.h || '/' || l.r FROM stock "
     "s "
     "JOIN (SELECT sku, sum(delta_on_hand) AS h, sum(delta_reserved) AS r, count(*) AS n,"
     " max(version) AS v FROM ledger GROUP BY sku) l USING (sku) "
     "WHERE s.on_hand <> l.h OR s.reserved <> l.r OR s.version <> l.v OR l.n <> l.v"              },
    {"never negative",
     TORTURE_UNBALANCED, TORTURE_INVENTORY,
     "SELECT sku, on_hand || '/' || reserved FROM ledger WHERE reserved < 0 OR on_hand < reserved"},
    {"reserved is what open orders hold",
     TORTURE_UNBALANCED, TORTURE_INVENTORY,
     "SELECT s.sku, s.reserved || ' reserved, orders hold ' || coalesce(h.n, 0) FROM stock s LEFT "
     "JOIN "
     "(SELECT split_part(x, ':', 1) AS sku, sum(split_part(x, ':', 2)::bigint) AS n FROM states, "
     "unnest(string_to_array(items, ',')) x WHERE state IN ('RESERVED', 'PAID') GROUP BY 1) h "
     "USING (sku) WHERE s.reserved <> coalesce(h.n, 0)"                                           },
    {"on hand is what was not sold",
     TORTURE_UNBALANCED, TORTURE_INVENTORY,
     "SELECT s.sku, s.on_hand || ' on hand, ' || l.on_hand || ' less ' || coalesce(h.n, 0) "
     "FROM stock s JOIN ledger l ON l.sku = s.sku AND l.version = 1 LEFT JOIN "
     "(SELECT split_part(x, ':', 1) AS sku, sum(split_part(x, ':', 2)::bigint) AS n FROM states, "
     "unnest(string_to_array(items, ',')) x WHERE state IN ('CONFIRMED', 'SHIPPED', 'DELIVERED') "
     "GROUP BY 1) h ON h.sku = s.sku WHERE s.on_hand <> l.on_hand - coalesce(h.n, 0)"             },
    {"reservations agree with orders",
     TORTURE_UNBALANCED, TORTURE_INVENTORY,
     "SELECT coalesce(s.order_id, r.order_id), coalesce(s.state, 'no order') || ', reservation ' "
     "|| "
     "coalesce(r.state, 'none') FROM states s FULL JOIN reservations r USING (order_id) WHERE CASE "
     "WHEN s.state IN ('RESERVED', 'PAID') THEN r.state = 'RESERVED' "
     "WHEN s.state IN ('CONFIRMED', 'SHIPPED', 'DELIVERED') THEN r.state = 'COMMITTED' "
     "WHEN s.state = 'REJECTED' THEN r.state = 'SOLD_OUT' "
     "WHEN s.state IN ('PAYMENT_FAILED', 'CANCELLED') THEN r.state IN ('RELEASED', 'TOMBSTONE') "
     "WHEN s.state = 'REFUNDED' THEN r.state IN ('RELEASED', 'TOMBSTONE', 'SOLD_OUT') END IS NOT "
     "TRUE"                                                                                       },
    {"no line moves stock twice",
     TORTURE_DOUBLED,    TORTURE_INVENTORY,
     "SELECT order_id, cause || ' ' || sku || ' ' || count(*) || ' times' FROM ledger "
     "WHERE order_id IS NOT NULL GROUP BY order_id, sku, cause HAVING count(*) > 1"               },
    {"each stock change is announced",
     TORTURE_LOST,       TORTURE_INVENTORY,
     "SELECT l.order_id, l.sku || ' version ' || l.version FROM ledger l WHERE l.order_id IS NOT "
     "NULL "
     "AND NOT EXISTS (SELECT 1 FROM stock_told t WHERE t.sku = l.sku AND t.version = l.version)"  },
    {"by one event of its order",
     TORTURE_DOUBLED,    TORTURE_INVENTORY,
     "SELECT min(key), sku || ' version ' || version FROM stock_told GROUP BY sku, version "
     "HAVING count(DISTINCT event_id) > 1 UNION ALL "
     "SELECT t.key, t.sku || ' version ' || t.version FROM stock_told t LEFT JOIN ledger l "
     "ON l.sku = t.sku AND l.version = t.version WHERE l.order_id::text IS DISTINCT FROM t.key"   },
    {"no stock event waits",
     TORTURE_LOST,       TORTURE_INVENTORY,
     "SELECT partition_key, event_type FROM outbox"                                               },
    {"sequences of a user have no gap",
     TORTURE_LOST,       TORTURE_NOTIFICATION,
     "SELECT u.user_id, 'last ' || u.last || ', ' || m.n || ' kept' FROM user_sequences u JOIN "
     "(SELECT user_id, count(*) AS n, min(sequence) AS low, max(sequence) AS high FROM "
     "live_messages "
     "GROUP BY user_id) m USING (user_id) WHERE m.high <> u.last OR m.n <> m.high OR m.low <> 1"  },
    {"each transition is told live",
     TORTURE_LOST,       TORTURE_NOTIFICATION,
     "SELECT t.order_id, 'version ' || t.version FROM (SELECT DISTINCT order_id, version FROM "
     "told) t "
     "LEFT JOIN live l USING (order_id, version) WHERE l.order_id IS NULL"                        },
    {"live once",
     TORTURE_DOUBLED,    TORTURE_NOTIFICATION,
     "SELECT order_id, 'version ' || version || ' ' || count(*) || ' times' FROM live "
     "GROUP BY order_id, version HAVING count(*) > 1"                                             },
    {"live in order",
     TORTURE_STRANGE,    TORTURE_NOTIFICATION,
     "SELECT order_id, 'version ' || version FROM (SELECT order_id, version, sequence, "
     "lag(sequence) "
     "OVER (PARTITION BY order_id ORDER BY version) AS before FROM live) x WHERE sequence < "
     "before"                                                                                     },
    {"each subscriber's delivery is made",
     TORTURE_LOST,       TORTURE_NOTIFICATION,
     "SELECT t.order_id, t.type || ', ' || coalesce(d.state, 'no delivery') FROM "
     "(SELECT DISTINCT order_id, version, type FROM told) t JOIN webhooks w ON t.type = ANY "
     "(w.event_types) LEFT JOIN deliveries d ON d.webhook_id = w.webhook_id AND "
     "d.order_id = t.order_id AND d.version = t.version WHERE d.state IS DISTINCT FROM "
     "'DELIVERED'"                                                                                },
    {"and was accepted",
     TORTURE_LOST,       TORTURE_NOTIFICATION,
     "SELECT d.order_id, d.type FROM deliveries d WHERE d.state = 'DELIVERED' AND NOT EXISTS "
     "(SELECT 1 "
     "FROM received r WHERE r.delivery_id = 'msg_' || d.delivery_id AND r.status < 300)"          },
    {"under one id",
     TORTURE_DOUBLED,    TORTURE_NOTIFICATION,
     "SELECT order_id, hook || ' version ' || version FROM received GROUP BY hook, order_id, "
     "version "
     "HAVING count(DISTINCT delivery_id) > 1"                                                     },
    {"and one that is known",
     TORTURE_STRANGE,    TORTURE_NOTIFICATION,
     "SELECT r.order_id, r.delivery_id FROM received r LEFT JOIN deliveries d "
     "ON r.delivery_id = 'msg_' || d.delivery_id WHERE d.delivery_id IS NULL"                     },
    {"rightly signed",
     TORTURE_STRANGE,    TORTURE_NOTIFICATION,
     "SELECT order_id, delivery_id FROM received WHERE signature <> 'good'"                       },
    {"no event is parked",
     TORTURE_LOST,       TORTURE_NOTIFICATION,
     "SELECT partition_key, topic FROM parked_keys"                                               },
};
const size_t torture_check_count = BV_COUNT(torture_checks);

/* Which facts lie beside which database, and what else its checks want. */
static const struct {
    enum torture_table tables[8];
    size_t count;
    const char *more;
} sides[TORTURE_DATABASES] = {
    {{TORTURE_ACKS, TORTURE_MOVES, TORTURE_WRONG, TORTURE_PAYMENTS, TORTURE_TOLD},
     5, "CREATE INDEX ON told (order_id, version); CREATE INDEX ON acks (order_id); "
     "ANALYZE acks, moves, payments, told, orders, order_items, idempotency_keys"},
    {{TORTURE_STATES, TORTURE_STOCK_TOLD},
     2, "CREATE INDEX ON stock_told (sku, version); "
     "ANALYZE states, stock_told, ledger, reservations"                          },
    {{TORTURE_RECEIVED, TORTURE_TOLD},
     2, "CREATE TEMP TABLE live AS SELECT (data::json->>'orderId')::uuid AS order_id, "
     "(data::json->>'version')::bigint AS version, user_id, sequence FROM live_messages; "
     "CREATE INDEX ON live (order_id, version); CREATE INDEX ON received (delivery_id); "
     "ANALYZE live, received, told, deliveries"                                  },
};
static const char *const undone_sql[TORTURE_DATABASES] = {
    "SELECT (SELECT count(*) FROM orders WHERE state = 'PENDING') + (SELECT count(*) FROM "
    "stock_tasks) + (SELECT count(*) FROM outbox)",
    "SELECT count(*) FROM outbox",
    "SELECT count(*) FROM deliveries WHERE state = 'PENDING'",
};

struct torture_judge {
    PGconn *databases[TORTURE_DATABASES]; /* owned */
};

static int refused(PGconn *connection, const char *what, struct bv_error *error)
{
    return bv_fail(error, BV_E_INTERNAL, "%s: %.120s", what, PQerrorMessage(connection));
}

static int run_sql(PGconn *connection, const char *sql, struct bv_error *error)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return 0;
    return refused(connection, "a query was refused", error);
}

void torture_judge_close(struct torture_judge **judge)
{
    if (!*judge)
        return;
    for (size_t i = 0; i < TORTURE_DATABASES; i++)
        PQfinish((*judge)->databases[i]);
    free(*judge);
    *judge = NULL;
}

int torture_judge_open(const char *const urls[TORTURE_DATABASES],
                       struct torture_judge **ret_judge,
                       struct bv_error *error)
{
    struct torture_judge *judge = calloc(1, sizeof *judge);
    int rc = judge ? 0 : BV_E_NOMEM;
    for (size_t i = 0; rc == 0 && i < TORTURE_DATABASES; i++) {
        judge->databases[i] = PQconnectdb(urls[i]);
        if (PQstatus(judge->databases[i]) != CONNECTION_OK)
            rc = bv_fail(error, BV_E_UNAVAILABLE, "%.120s", PQerrorMessage(judge->databases[i]));
    }
    if (rc < 0) {
        torture_judge_close(&judge);
        return rc;
    }
    *ret_judge = judge;
    return 0;
}

int torture_judge_stock(struct torture_judge *judge, struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf sql = {.max = SQL_BYTES_MAX};
    for (size_t i = 0; i < torture_sku_count; i++)
        if (torture_skus[i].units > 0)
            bv_buf_format(
                &sql,
                "INSERT INTO stock VALUES ('default', '%s', %lld, 0, 1); INSERT INTO ledger "
                "VALUES ('default', '%s', 1, %lld, 0, %lld, 0, 'ADJUST', NULL, 'counted', now());",
                torture_skus[i].sku,
                (long long)torture_skus[i].units,
                torture_skus[i].sku,
                (long long)torture_skus[i].units,
                (long long)torture_skus[i].units);
    bv_buf_char(&sql, '\0');
    if (sql.failed)
        return BV_E_NOMEM;
    return run_sql(judge->databases[TORTURE_INVENTORY], sql.data, error);
}

int torture_judge_undone(struct torture_judge *judge,
                         int64_t ret_undone[TORTURE_DATABASES],
                         struct bv_error *error)
{
    for (size_t i = 0; i < TORTURE_DATABASES; i++) {
        PGresult *result = PQexec(judge->databases[i], undone_sql[i]);
        bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
        if (good)
            ret_undone[i] = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
        if (!good)
            return refused(judge->databases[i], "undone work", error);
    }
    return 0;
}

/* ---- facts ---- */

static int
note_states(struct torture_judge *judge, struct torture_facts *facts, struct bv_error *error)
{
    PGconn *connection = judge->databases[TORTURE_ORDERS];
    PGresult *result = PQexec(
        connection,
        "SELECT o.order_id, o.state, (SELECT string_agg(i.sku || ':' || i.quantity, ',') FROM "
        "order_items i WHERE i.order_id = o.order_id) FROM orders o");
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
    for (int i = 0; good && i < PQntuples(result); i++)
        torture_note(facts,
                     TORTURE_STATES,
                     "%s\t%s\t%s",
                     PQgetvalue(result, i, 0),
                     PQgetvalue(result, i, 1),
                     PQgetvalue(result, i, 2));
    PQclear(result);
    return good ? 0 : refused(connection, "states of the orders", error);
}

static int copy_table(PGconn *connection,
                      struct torture_facts *facts,
                      enum torture_table table,
                      struct bv_error *error)
{
    enum { PIECE_BYTES = 1 << 20 };
    char sql[512];
    struct bv_bytes rows = torture_facts_rows(facts, table);
    snprintf(sql,
             sizeof sql,
             "CREATE TEMP TABLE %s (%s)",
             torture_tables[table].name,
             torture_tables[table].columns);
    BV_TRY(run_sql(connection, sql, error));
    snprintf(sql, sizeof sql, "COPY %s FROM STDIN", torture_tables[table].name);
    PGresult *result = PQexec(connection, sql);
    bool good = PQresultStatus(result) == PGRES_COPY_IN;
    PQclear(result);
    for (size_t at = 0; good && at < rows.size; at += PIECE_BYTES) {
        size_t size = rows.size - at < PIECE_BYTES ? rows.size - at : PIECE_BYTES;
        good = PQputCopyData(connection, rows.data + at, (int)size) == 1;
    }
    good = good && PQputCopyEnd(connection, NULL) == 1;
    while ((result = PQgetResult(connection))) {
        good = good && PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    return good ? 0 : refused(connection, torture_tables[table].name, error);
}

static int
copy_facts(struct torture_judge *judge, struct torture_facts *facts, struct bv_error *error)
{
    for (size_t i = 0; i < TORTURE_DATABASES; i++) {
        for (size_t t = 0; t < sides[i].count; t++)
            BV_TRY(copy_table(judge->databases[i], facts, sides[i].tables[t], error));
        BV_TRY(run_sql(judge->databases[i], sides[i].more, error));
    }
    return 0;
}

int torture_judge_all(struct torture_judge *judge,
                      struct torture_facts *facts,
                      void (*blame)(void *argument,
                                    const struct torture_check *check,
                                    struct bv_bytes subject),
                      void *argument,
                      struct torture_finding *ret_findings,
                      struct bv_error *error)
{
    BV_TRY(note_states(judge, facts, error));
    BV_TRY(copy_facts(judge, facts, error));
    for (size_t i = 0; i < torture_check_count; i++) {
        const struct torture_check *check = &torture_checks[i];
        PGconn *connection = judge->databases[check->database];
        PGresult *result = PQexec(connection, check->sql);
        bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
        ret_findings[i] = (struct torture_finding){.violations = good ? PQntuples(result) : 0};
        for (int row = 0; good && row < PQntuples(result); row++) {
            const char *subject = PQgetvalue(result, row, 0);
            if (row < TORTURE_EXAMPLES)
                snprintf(ret_findings[i].examples[row],
                         TORTURE_EXAMPLE_BYTES,
                         "%s: %s",
                         subject,
                         PQgetvalue(result, row, 1));
            blame(argument, check, bv_bytes_of(subject));
        }
        PQclear(result);
        if (!good)
            return refused(connection, check->promise, error);
    }
    return 0;
}
