#include "order_events.h"
#include "order_store.h"
#include "bv/failpoint.h"
#include <stdio.h>
#include <stdlib.h>

#define PARAMS_BYTES_MAX (4 * 1024 * 1024)
#define ROWS_ARENA_MAX (4 * 1024 * 1024)
#define ROWS_MAX 200

struct pg_store {
    struct order_store base;
    struct bv_pg *pg; /* owned */
    const struct bv_env *env;
    void (*committed)(void *argument);
    void *committed_argument;
};

/* What a completion needs to come back to its asker. */
struct ask {
    struct pg_store *store;
    union {
        order_batch_done *batch;
        order_key_done *key;
        order_rows_done *rows;
        order_tasks_done *tasks;
    } done;
    void *argument;
    struct order_creation *const
        *creations; /* borrowed from the asker, who keeps them until done */
    struct order_change *const *changes;
    size_t count;
};

/* One statement, one transaction: keys decide which orders are new, everything else joins with
 * them. Keys are inserted in one order by every batch, so that two batches with the same keys queue
 * up instead of deadlocking. */
static const struct bv_pg_statement create_sql = {
    "order_create",
    "WITH n AS (SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], "
    "$6::text[], $7::text[], $8::timestamptz[], $9::text[], "
    "$10::text[]) AS t(order_id, tenant, customer_id, total_minor, currency, correlation_id, "
    "traceparent, created_at, key, fingerprint)), "
    "k AS (INSERT INTO idempotency_keys (tenant, customer_id, key, fingerprint, order_id, "
    "created_at) "
    "SELECT tenant, customer_id, key, fingerprint, order_id, created_at FROM n ORDER BY tenant, "
    "customer_id, key "
    "ON CONFLICT DO NOTHING RETURNING order_id), "
    "o AS (INSERT INTO orders (order_id, tenant, customer_id, state, version, total_minor, "
    "currency, correlation_id, traceparent, idempotency_key, "
    "created_at, updated_at) SELECT n.order_id, tenant, customer_id, 'PENDING', 1, total_minor, "
    "currency, correlation_id, traceparent, key, created_at, "
    "created_at FROM n JOIN k USING (order_id)), "
    "i AS (INSERT INTO order_items (order_id, line, sku, quantity, unit_price_minor) SELECT "
    "x.order_id, x.line, x.sku, x.quantity, x.price "
    "FROM unnest($11::uuid[], $12::int[], $13::text[], $14::int[], $15::bigint[]) AS x(order_id, "
    "line, sku, quantity, price) JOIN k USING (order_id)), "
    "b AS (INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope) "
    "SELECT x.id, x.topic, x.partition_key, x.sequence, "
    "x.event_type, x.headers, x.envelope FROM unnest($16::uuid[], $17::text[], $18::text[], "
    "$19::bigint[], $20::text[], $21::text[], $22::text[]) "
    "AS x(id, topic, partition_key, sequence, event_type, headers, envelope) JOIN k ON k.order_id "
    "= x.partition_key::uuid) "
    "SELECT order_id::text FROM k"};

/* The version decides who changes an order; the inbox row of the causing event goes with the change
 * or not at all, and so does the event: two changes of one order may meet in a batch (a cancel and
 * a payment, a placement and the sweeper's), and only the one that won may be announced. */
static const struct bv_pg_statement apply_sql = {
    "order_apply",
    "WITH c AS (SELECT * FROM unnest($1::int[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], "
    "$6::text[], $7::text[], $8::timestamptz[], $9::uuid[], "
    "$10::int[], $11::text[]) AS t(index, order_id, expected, state, reason, task, traceparent, "
    "updated_at, event_id, status, answer)), "
    "u AS (UPDATE orders o SET state = c.state, version = o.version + 1, reason = c.reason, "
    "traceparent = c.traceparent, updated_at = c.updated_at FROM c "
    "WHERE o.order_id = c.order_id AND o.version = c.expected AND (c.event_id IS NULL OR NOT "
    "EXISTS (SELECT 1 FROM inbox i WHERE i.consumer = 'order' "
    "AND i.event_id = c.event_id)) RETURNING c.index, o.order_id, o.tenant, o.customer_id, "
    "o.idempotency_key, c.task, c.event_id, c.status, c.answer), "
    "x AS (INSERT INTO inbox (consumer, event_id) SELECT 'order', event_id FROM u WHERE event_id "
    "IS NOT NULL ON CONFLICT DO NOTHING), "
    "t AS (INSERT INTO stock_tasks (order_id, tenant, task) SELECT order_id, tenant, task FROM u "
    "WHERE task IS NOT NULL "
    "ON CONFLICT (order_id) DO UPDATE SET task = EXCLUDED.task, created_at = now()), "
    "a AS (UPDATE idempotency_keys k SET status = u.status, answer = u.answer FROM u WHERE "
    "u.status IS NOT NULL AND k.tenant = u.tenant "
    "AND k.customer_id = u.customer_id AND k.key = u.idempotency_key), "
    "b AS (INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope) "
    "SELECT e.id, e.topic, e.partition_key, e.sequence, "
    "e.event_type, e.headers, e.envelope FROM unnest($12::uuid[], $13::text[], $14::text[], "
    "$15::bigint[], $16::text[], $17::text[], $18::text[]) WITH ORDINALITY "
    "AS e(id, topic, partition_key, sequence, event_type, headers, envelope, number) "
    "JOIN u ON u.index = e.number - 1) "
    "SELECT index FROM u"};

#define ROW_COLUMNS                                                                                \
    "o.order_id::text, o.tenant, o.customer_id, o.state, o.version, o.total_minor, o.currency, "   \
    "coalesce(o.reason, ''), o.correlation_id, o.traceparent, "                                    \
    "(extract(epoch FROM o.created_at) * 1000000)::bigint, (extract(epoch FROM o.updated_at) * "   \
    "1000000)::bigint, "                                                                           \
    "(SELECT string_agg(concat_ws(':', i.sku, i.quantity, i.unit_price_minor), ',' ORDER BY "      \
    "i.line) FROM order_items i WHERE i.order_id = o.order_id)"

static const struct bv_pg_statement key_find_sql = {
    "order_key_find",
    "SELECT k.fingerprint, k.order_id::text, k.status, k.answer FROM idempotency_keys k WHERE "
    "k.tenant = $1 AND k.customer_id = $2 AND k.key = $3"};
static const struct bv_pg_statement load_sql = {
    "order_load",
    "SELECT " ROW_COLUMNS
    ", EXISTS (SELECT 1 FROM inbox x WHERE x.consumer = 'order' AND x.event_id = $3::uuid) "
    "FROM orders o WHERE o.tenant = $1 AND o.order_id = $2::uuid"};
static const struct bv_pg_statement list_sql = {
    "order_list",
    "SELECT " ROW_COLUMNS ", false FROM orders o WHERE o.tenant = $1 AND o.customer_id = $2 AND "
    "($3::text IS NULL OR o.state = $3) "
    "AND ($4::uuid IS NULL OR o.order_id < $4::uuid) ORDER BY o.order_id DESC LIMIT $5::bigint"};
static const struct bv_pg_statement list_all_sql = {
    "order_list_all",
    "SELECT " ROW_COLUMNS
    ", false FROM orders o WHERE o.tenant = $1 AND ($2::text IS NULL OR o.state = $2) "
    "AND ($3::uuid IS NULL OR o.order_id < $3::uuid) ORDER BY o.order_id DESC LIMIT $4::bigint"};
static const struct bv_pg_statement pending_sql = {
    "order_pending",
    "SELECT " ROW_COLUMNS
    ", false FROM orders o WHERE o.created_at >= to_timestamp($1::bigint / 1000000.0) "
    "AND o.created_at < to_timestamp($2::bigint / 1000000.0) AND o.state = 'PENDING' "
    "ORDER BY o.created_at LIMIT $3::bigint"};
static const struct bv_pg_statement tasks_sql = {
    "order_tasks",
    "SELECT order_id::text, tenant, task FROM stock_tasks WHERE created_at <= now() - "
    "make_interval(secs => $1::bigint / 1000.0) "
    "ORDER BY created_at LIMIT $2::bigint"};
static const struct bv_pg_statement task_clear_sql = {
    "order_task_clear", "DELETE FROM stock_tasks WHERE order_id = $1::uuid AND task = $2"};
static const struct bv_pg_statement forget_keys_sql = {
    "order_forget_keys",
    "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys WHERE "
    "created_at < now() - make_interval(secs => $1::bigint / 1000.0) AND status IS NOT NULL "
    "LIMIT $2::bigint))"};
static const struct bv_pg_statement forget_inbox_sql = {
    "order_forget_inbox",
    "DELETE FROM inbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM inbox WHERE received_at < now() - "
    "make_interval(secs => $1::bigint / 1000.0) LIMIT $2::bigint))"};

static int
call(const struct ask *ask, const struct bv_pg_query *queries, size_t count, bv_pg_done *done)
{
    return bv_pg_ask(ask->store->pg, queries, count, done, ask, sizeof(*ask));
}

/* ---- array parameters ---- */

#define COLUMNS_MAX 15
struct columns {
    struct bv_buf at[COLUMNS_MAX];
    size_t count;
};

static void columns_open(struct columns *columns, size_t count)
{
    columns->count = count;
    for (size_t i = 0; i < count; i++) {
        columns->at[i] = (struct bv_buf){.max = PARAMS_BYTES_MAX};
        bv_pg_array_open(&columns->at[i]);
    }
}

/* Ends the literals and makes them parameters; BV_E_TOO_LARGE when one did not fit. */
static int columns_params(struct columns *columns, struct bv_pg_param *params)
{
    for (size_t i = 0; i < columns->count; i++) {
        bv_pg_array_close(&columns->at[i]);
        if (columns->at[i].failed)
            return BV_E_TOO_LARGE;
        params[i] = BV_PG_P_TEXT(bv_buf_view(&columns->at[i]));
    }
    return 0;
}

static void columns_release(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        bv_buf_release(&columns->at[i]);
    columns->count = 0;
}

static void put_optional(struct bv_buf *column, struct bv_bytes text)
{
    if (text.size > 0)
        bv_pg_array_text(column, text);
    else
        bv_pg_array_null(column);
}

static void put_time(struct bv_buf *column, int64_t wall_us)
{
    char text[BV_TIME_TEXT_SIZE];
    bv_time_format(wall_us, text);
    bv_pg_array_text(column, bv_bytes_of(text));
}

static void put_trace(struct bv_buf *column, const struct bv_trace *trace)
{
    char text[BV_TRACEPARENT_SIZE];
    bv_trace_format(trace, text);
    bv_pg_array_text(column, bv_bytes_of(text));
}

/* ---- one batch: array columns and the events that go with them ---- */

#define PARAMS_MAX (COLUMNS_MAX + BV_OUTBOX_PARAMS)
struct batch {
    struct columns columns;
    struct bv_outbox_rows outbox;
    struct bv_buf scratch;
};

static void batch_open(struct batch *batch, size_t columns)
{
    columns_open(&batch->columns, columns);
    bv_outbox_rows_open(&batch->outbox, PARAMS_BYTES_MAX);
    batch->scratch = (struct bv_buf){.max = ORDER_JSON_MAX};
}

/* Sends it, unless a row could not be encoded (rc), and releases it in every case. */
static int batch_send(struct batch *batch,
                      int rc,
                      const struct bv_pg_statement *statement,
                      bv_pg_done *done,
                      const struct ask *ask)
{
    struct bv_pg_param params[PARAMS_MAX];
    const size_t count = batch->columns.count;
    bv_outbox_rows_close(&batch->outbox);
    if (rc == 0)
        rc = columns_params(&batch->columns, params);
    if (rc == 0) {
        bv_outbox_rows_params(&batch->outbox, params + count);
        rc = call(ask, &(struct bv_pg_query){statement, params, count + BV_OUTBOX_PARAMS}, 1, done);
    }
    columns_release(&batch->columns);
    bv_outbox_rows_release(&batch->outbox);
    bv_buf_release(&batch->scratch);
    return rc;
}

/* ---- create ---- */

#define CREATE_COLUMNS 15
static void put_creation(struct columns *columns, const struct order_creation *row)
{
    struct bv_buf *at = columns->at;
    const struct order *order = row->order;
    struct bv_bytes id = bv_bytes_of(order->order_id);
    bv_pg_array_text(&at[0], id);
    bv_pg_array_text(&at[1], order->tenant);
    bv_pg_array_text(&at[2], order->customer_id);
    bv_pg_array_int(&at[3], order->total_minor);
    bv_pg_array_text(&at[4], order->currency);
    bv_pg_array_text(&at[5], order->correlation_id);
    put_trace(&at[6], &order->trace);
    put_time(&at[7], order->created_at_us);
    bv_pg_array_text(&at[8], row->key);
    bv_pg_array_text(&at[9], row->fingerprint);
    for (size_t i = 0; i < order->item_count; i++) {
        bv_pg_array_text(&at[10], id);
        bv_pg_array_int(&at[11], (int64_t)i);
        bv_pg_array_text(&at[12], order->items[i].sku);
        bv_pg_array_int(&at[13], order->items[i].quantity);
        bv_pg_array_int(&at[14], order->items[i].unit_price_minor);
    }
}

static void on_created(void *argument,
                       int rc,
                       const struct bv_pg_result *const *results,
                       size_t count,
                       const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    for (size_t r = 0; rc == 0 && r < bv_pg_rows(results[0]); r++) {
        struct bv_bytes id = bv_pg_text(results[0], r, 0);
        for (size_t i = 0; i < ask.count; i++)
            if (bv_bytes_equal(id, bv_bytes_of(ask.creations[i]->order->order_id)))
                ask.creations[i]->created = true;
    }
    if (rc == 0) {
        BV_FAILPOINT(ORDER_CREATE_AFTER_COMMIT);
        ask.store->committed(ask.store->committed_argument);
    }
    ask.done.batch(ask.argument, rc, rc < 0 ? &failure->error : NULL);
}

static int create(struct order_store *self,
                  struct order_creation *const *rows,
                  size_t count,
                  order_batch_done *done,
                  void *argument)
{
    struct pg_store *store = (struct pg_store *)self;
    struct batch batch;
    int rc = 0;
    batch_open(&batch, CREATE_COLUMNS);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rows[i]->created = false;
        put_creation(&batch.columns, rows[i]);
        rc = order_outbox_add(&batch.outbox, store->env, rows[i]->order, &batch.scratch);
    }
    const struct ask ask = {.store = store,
                            .done.batch = done,
                            .argument = argument,
                            .creations = rows,
                            .count = count};
    BV_FAILPOINT(ORDER_CREATE_BEFORE_SEND);
    rc = batch_send(&batch, rc, &create_sql, on_created, &ask);
    BV_FAILPOINT(ORDER_CREATE_IN_DOUBT);
    return rc;
}

/* ---- apply ---- */

#define APPLY_COLUMNS 11
static void put_change(struct columns *columns, const struct order_change *row, size_t index)
{
    struct bv_buf *at = columns->at;
    const struct order *order = row->order;
    const char *task = order_stock_task_name(row->stock);
    bv_pg_array_int(&at[0], (int64_t)index);
    bv_pg_array_text(&at[1], bv_bytes_of(order->order_id));
    bv_pg_array_int(&at[2], order->version - 1);
    bv_pg_array_text(&at[3], bv_bytes_of(order_state_name(order->state)));
    put_optional(&at[4], order->reason);
    put_optional(&at[5], bv_bytes_of(task));
    put_trace(&at[6], &order->trace);
    put_time(&at[7], order->updated_at_us);
    put_optional(&at[8], row->inbox_event_id);
    if (row->answer_status > 0)
        bv_pg_array_int(&at[9], row->answer_status);
    else
        bv_pg_array_null(&at[9]);
    put_optional(&at[10], row->answer);
}

static void on_applied(void *argument,
                       int rc,
                       const struct bv_pg_result *const *results,
                       size_t count,
                       const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    for (size_t r = 0; rc == 0 && r < bv_pg_rows(results[0]); r++) {
        int64_t index = bv_pg_int(results[0], r, 0);
        if (index >= 0 && (size_t)index < ask.count)
            ask.changes[index]->applied = true;
    }
    if (rc == 0) {
        BV_FAILPOINT(ORDER_APPLY_AFTER_COMMIT);
        ask.store->committed(ask.store->committed_argument);
    }
    ask.done.batch(ask.argument, rc, rc < 0 ? &failure->error : NULL);
}

static int apply(struct order_store *self,
                 struct order_change *const *rows,
                 size_t count,
                 order_batch_done *done,
                 void *argument)
{
    struct pg_store *store = (struct pg_store *)self;
    struct batch batch;
    int rc = 0;
    batch_open(&batch, APPLY_COLUMNS);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rows[i]->applied = false;
        put_change(&batch.columns, rows[i], i);
        rc = order_outbox_add(&batch.outbox, store->env, rows[i]->order, &batch.scratch);
    }
    const struct ask ask = {
        .store = store, .done.batch = done, .argument = argument, .changes = rows, .count = count};
    BV_FAILPOINT(ORDER_APPLY_BEFORE_SEND);
    rc = batch_send(&batch, rc, &apply_sql, on_applied, &ask);
    BV_FAILPOINT(ORDER_APPLY_IN_DOUBT);
    return rc;
}

/* ---- reading ---- */

/* "SKU:2:1250,SKU:1:99" as the aggregate above writes it; no SKU holds a colon or a comma. */
static int parse_items(struct bv_arena *arena, struct bv_bytes text, struct order *order)
{
    struct order_item *items = bv_arena_array(arena, struct order_item, ORDER_ITEMS_MAX);
    size_t count = 0;
    if (!items)
        return BV_E_NOMEM;
    while (text.size > 0 && count < ORDER_ITEMS_MAX) {
        const char *comma = memchr(text.data, ',', text.size);
        struct bv_bytes part = {text.data, comma ? (size_t)(comma - text.data) : text.size};
        const char *first = memchr(part.data, ':', part.size);
        const char *second =
            first ? memchr(first + 1, ':', part.size - (size_t)(first + 1 - part.data)) : NULL;
        if (!second)
            return BV_E_INTERNAL;
        items[count].sku = (struct bv_bytes){part.data, (size_t)(first - part.data)};
        BV_TRY(bv_bytes_int64((struct bv_bytes){first + 1, (size_t)(second - first - 1)},
                              1,
                              ORDER_QUANTITY_MAX,
                              &items[count].quantity));
        BV_TRY(bv_bytes_int64(
            (struct bv_bytes){second + 1, part.size - (size_t)(second + 1 - part.data)},
            0,
            ORDER_PRICE_MAX,
            &items[count].unit_price_minor));
        count++;
        size_t step = part.size + (comma ? 1 : 0);
        text = (struct bv_bytes){text.data + step, text.size - step};
    }
    order->items = items;
    order->item_count = count;
    return 0;
}

static int
read_row(struct bv_arena *arena, const struct bv_pg_result *result, size_t row, struct order *order)
{
    struct bv_bytes id = bv_pg_text(result, row, 0);
    snprintf(order->order_id, sizeof(order->order_id), "%.*s", BV_ARG(id));
    order->tenant = bv_pg_text(result, row, 1);
    order->customer_id = bv_pg_text(result, row, 2);
    BV_TRY(order_state_parse(bv_pg_text(result, row, 3), &order->state));
    order->version = bv_pg_int(result, row, 4);
    order->total_minor = bv_pg_int(result, row, 5);
    order->currency = bv_pg_text(result, row, 6);
    order->reason = bv_pg_text(result, row, 7);
    order->correlation_id = bv_pg_text(result, row, 8);
    if (bv_trace_parse(bv_pg_text(result, row, 9), &order->trace) < 0)
        order->trace = (struct bv_trace){0};
    order->created_at_us = bv_pg_int(result, row, 10);
    order->updated_at_us = bv_pg_int(result, row, 11);
    return parse_items(arena, bv_pg_text(result, row, 12), order);
}

static void on_rows(void *argument,
                    int rc,
                    const struct bv_pg_result *const *results,
                    size_t count,
                    const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    struct order *orders = NULL;
    size_t rows = rc == 0 ? bv_pg_rows(results[0]) : 0;
    bool seen = rows > 0 && bv_pg_bool(results[0], 0, 13);
    if (rc == 0)
        rc = bv_arena_open(ROWS_ARENA_MAX, &arena);
    if (rc == 0)
        orders = bv_arena_array(arena, struct order, rows + 1);
    if (rc == 0 && !orders)
        rc = BV_E_NOMEM;
    for (size_t i = 0; rc == 0 && i < rows; i++)
        rc = read_row(arena, results[0], i, &orders[i]);
    ask.done.rows(
        ask.argument, rc, orders, rc == 0 ? rows : 0, seen, failure ? &failure->error : NULL);
}

static int ask_rows(struct order_store *self,
                    const struct bv_pg_statement *statement,
                    const struct bv_pg_param *params,
                    size_t count,
                    order_rows_done *done,
                    void *argument)
{
    struct ask ask = {.store = (struct pg_store *)self, .done.rows = done, .argument = argument};
    return call(&ask, &(struct bv_pg_query){statement, params, count}, 1, on_rows);
}

static struct bv_pg_param optional(struct bv_bytes text)
{
    return text.size > 0 ? BV_PG_P_TEXT(text) : BV_PG_P_NULL;
}

static int load(struct order_store *self,
                struct bv_bytes tenant,
                struct bv_bytes order_id,
                struct bv_bytes inbox_event_id,
                order_rows_done *done,
                void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(order_id), optional(inbox_event_id)};
    return ask_rows(self, &load_sql, params, BV_COUNT(params), done, argument);
}

static int list(struct order_store *self,
                const struct order_list_query *query,
                order_rows_done *done,
                void *argument)
{
    struct bv_pg_param state = query->state < 0
                                   ? BV_PG_P_NULL
                                   : BV_PG_P_CSTR(order_state_name((enum order_state)query->state));
    struct bv_pg_param own[] = {BV_PG_P_TEXT(query->tenant),
                                BV_PG_P_TEXT(query->customer_id),
                                state,
                                optional(query->before_id),
                                BV_PG_P_INT(query->limit)};
    struct bv_pg_param all[] = {own[0], own[2], own[3], own[4]};
    return query->customer_id.size > 0
               ? ask_rows(self, &list_sql, own, BV_COUNT(own), done, argument)
               : ask_rows(self, &list_all_sql, all, BV_COUNT(all), done, argument);
}

static int pending(struct order_store *self,
                   int64_t from_us,
                   int64_t before_us,
                   int64_t limit,
                   order_rows_done *done,
                   void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_INT(from_us), BV_PG_P_INT(before_us), BV_PG_P_INT(limit)};
    return ask_rows(self, &pending_sql, params, BV_COUNT(params), done, argument);
}

static void on_key(void *argument,
                   int rc,
                   const struct bv_pg_result *const *results,
                   size_t count,
                   const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct order_key_row row = {0};
    if (rc == 0 && bv_pg_rows(results[0]) > 0) {
        bool answered = !bv_pg_is_null(results[0], 0, 2);
        struct bv_bytes id = bv_pg_text(results[0], 0, 1);
        row.kind = answered ? ORDER_KEY_ANSWERED : ORDER_KEY_IN_PROGRESS;
        row.fingerprint = bv_pg_text(results[0], 0, 0);
        snprintf(row.order_id, sizeof(row.order_id), "%.*s", BV_ARG(id));
        row.status = answered ? (int)bv_pg_int(results[0], 0, 2) : 0;
        row.answer = answered ? bv_pg_text(results[0], 0, 3) : BV_BYTES_NONE;
    }
    ask.done.key(ask.argument, rc, rc == 0 ? &row : NULL, failure ? &failure->error : NULL);
}

static int key_find(struct order_store *self,
                    struct bv_bytes tenant,
                    struct bv_bytes customer_id,
                    struct bv_bytes key,
                    order_key_done *done,
                    void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(customer_id), BV_PG_P_TEXT(key)};
    struct ask ask = {.store = (struct pg_store *)self, .done.key = done, .argument = argument};
    return call(&ask, &(struct bv_pg_query){&key_find_sql, params, BV_COUNT(params)}, 1, on_key);
}

/* ---- stock tasks and retention ---- */

static void on_tasks(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct order_task tasks[ROWS_MAX] = {0};
    size_t n = 0;
    for (; rc == 0 && n < bv_pg_rows(results[0]) && n < ROWS_MAX; n++) {
        struct bv_bytes id = bv_pg_text(results[0], n, 0);
        snprintf(tasks[n].order_id, sizeof(tasks[n].order_id), "%.*s", BV_ARG(id));
        tasks[n].tenant = bv_pg_text(results[0], n, 1);
        tasks[n].task = bv_bytes_equal(bv_pg_text(results[0], n, 2), BV_BYTES("commit"))
                            ? ORDER_STOCK_COMMIT
                            : ORDER_STOCK_RELEASE;
    }
    ask.done.tasks(ask.argument, rc, tasks, n, failure ? &failure->error : NULL);
}

static int tasks(
    struct order_store *self, int64_t age_ms, int64_t limit, order_tasks_done *done, void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_INT(age_ms),
                                   BV_PG_P_INT(limit < ROWS_MAX ? limit : ROWS_MAX)};
    struct ask ask = {.store = (struct pg_store *)self, .done.tasks = done, .argument = argument};
    return call(&ask, &(struct bv_pg_query){&tasks_sql, params, BV_COUNT(params)}, 1, on_tasks);
}

static void on_plain(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)results, (void)count;
    const struct ask ask = *(const struct ask *)argument;
    ask.done.batch(ask.argument, rc, failure ? &failure->error : NULL);
}

static int task_clear(struct order_store *self,
                      struct bv_bytes order_id,
                      enum order_stock_task task,
                      order_batch_done *done,
                      void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(order_id),
                                   BV_PG_P_CSTR(order_stock_task_name(task))};
    struct ask ask = {.store = (struct pg_store *)self, .done.batch = done, .argument = argument};
    return call(
        &ask, &(struct bv_pg_query){&task_clear_sql, params, BV_COUNT(params)}, 1, on_plain);
}

static void on_forgotten(void *argument,
                         int rc,
                         const struct bv_pg_result *const *results,
                         size_t count,
                         const struct bv_pg_failure *failure)
{
    const struct ask ask = *(const struct ask *)argument;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (bv_pg_affected(results[i]) >= ORDER_FORGET_MAX)
            rc = ORDER_FORGET_MORE;
    ask.done.batch(ask.argument, rc, failure ? &failure->error : NULL);
}

static int forget(struct order_store *self,
                  int64_t key_age_ms,
                  int64_t inbox_age_ms,
                  order_batch_done *done,
                  void *argument)
{
    struct bv_pg_param key_age[] = {BV_PG_P_INT(key_age_ms), BV_PG_P_INT(ORDER_FORGET_MAX)},
                       inbox_age[] = {BV_PG_P_INT(inbox_age_ms), BV_PG_P_INT(ORDER_FORGET_MAX)};
    struct bv_pg_query queries[] = {
        {&forget_keys_sql,  key_age,   2},
        {&forget_inbox_sql, inbox_age, 2}
    };
    struct ask ask = {.store = (struct pg_store *)self, .done.batch = done, .argument = argument};
    return call(&ask, queries, BV_COUNT(queries), on_forgotten);
}

static bool ready(struct order_store *self)
{
    return bv_pg_ready(((struct pg_store *)self)->pg);
}

static void store_release(struct order_store **self)
{
    struct pg_store *store = (struct pg_store *)*self;
    if (!store)
        return;
    bv_pg_close(&store->pg);
    free(store);
    *self = NULL;
}

int order_store_pg_open(struct bv_loop *loop,
                        const struct bv_pg_config *config,
                        struct bv_metrics *metrics,
                        void (*committed)(void *argument),
                        void *argument,
                        struct order_store **ret_store)
{
    static const struct order_store_ops ops = {
        .create = create,
        .apply = apply,
        .key_find = key_find,
        .load = load,
        .list = list,
        .pending = pending,
        .tasks = tasks,
        .task_clear = task_clear,
        .forget = forget,
        .ready = ready,
        .release = store_release,
    };
    struct pg_store *store = calloc(1, sizeof(*store));
    if (!store)
        return BV_E_NOMEM;
    store->base.ops = &ops;
    store->env = bv_loop_env(loop);
    store->committed = committed;
    store->committed_argument = argument;
    int rc = bv_pg_open(loop, config, metrics, &store->pg);
    if (rc < 0) {
        free(store);
        return rc;
    }
    *ret_store = &store->base;
    return 0;
}

struct bv_pg *order_store_pg_pool(struct order_store *store)
{
    return ((struct pg_store *)store)->pg;
}
