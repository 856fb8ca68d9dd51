#include "notification_store.h"

#include <stdlib.h>

#define ARRAY_BYTES_MAX (64 * 1024 * 1024)
#define TAKE_COLUMNS 10
#define ROWS_MAX 1024
#define TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

struct pg_store {
    struct notification_store base;
    struct bv_pg *pg; /* borrowed */
};

/* What a callback needs to come back to its asker. */
struct ask {
    union {
        notification_taken_done *taken;
        notification_page_done *page;
        notification_snapshot_done *snapshot;
        notification_webhooks_done *webhooks;
        notification_deliveries_done *deliveries;
        notification_claimed_done *claimed;
        notification_store_done *plain;
    } done;
    void *argument;
    size_t count; /* of events taken */
};

/* ---- intake ---- */

/* The users' rows are locked in one order by all writers, and until commit: so sequences become
 * visible in order. What the inbox or the version of an order knows already is left out of
 * everything. */
static const struct bv_pg_statement take_sql = {
    "notification_take",
    "WITH input AS ("
    "  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], "
    "$6::text[], $7::timestamptz[],"
    "    $8::text[], $9::text[], $10::text[]) WITH ORDINALITY"
    "    AS i (event_id, tenant, user_id, order_id, version, type, occurred_at, traceparent, "
    "correlation_id, data, n)),"
    " fresh AS ("
    "  INSERT INTO inbox (consumer, event_id) SELECT 'notification', event_id FROM input ORDER BY "
    "event_id"
    "  ON CONFLICT DO NOTHING RETURNING event_id),"
    " told AS MATERIALIZED ("
    "  SELECT i.* FROM (SELECT *, max(version) OVER (PARTITION BY tenant, user_id, order_id ORDER "
    "BY n"
    "    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS told_before FROM input) i"
    "  JOIN fresh USING (event_id) WHERE coalesce(told_before, 0) < version AND NOT EXISTS ("
    "    SELECT 1 FROM user_orders o WHERE o.tenant = i.tenant AND o.user_id = i.user_id AND "
    "o.order_id = i.order_id"
    "    AND o.version >= i.version)),"
    " counts AS (SELECT tenant, user_id, count(*) AS count FROM told GROUP BY tenant, user_id),"
    " sequences AS ("
    "  INSERT INTO user_sequences AS s (tenant, user_id, last)"
    "  SELECT tenant, user_id, count FROM counts ORDER BY tenant, user_id"
    "  ON CONFLICT (tenant, user_id) DO UPDATE SET last = s.last + EXCLUDED.last RETURNING tenant, "
    "user_id, last),"
    " numbered AS MATERIALIZED ("
    "  SELECT t.*, s.last - c.count + row_number() OVER (PARTITION BY t.tenant, t.user_id ORDER BY "
    "t.n) AS sequence"
    "  FROM told t JOIN counts c USING (tenant, user_id) JOIN sequences s USING (tenant, user_id)),"
    " live AS ("
    "  INSERT INTO live_messages (tenant, user_id, sequence, type, occurred_at, traceparent, data)"
    "  SELECT tenant, user_id, sequence, type, occurred_at, traceparent, data FROM numbered),"
    " orders AS ("
    "  INSERT INTO user_orders AS o (tenant, user_id, order_id, version, data)"
    "  SELECT DISTINCT ON (tenant, user_id, order_id) tenant, user_id, order_id, version, data "
    "FROM "
    "numbered"
    "  ORDER BY tenant, user_id, order_id, version DESC"
    "  ON CONFLICT (tenant, user_id, order_id) DO UPDATE SET version = EXCLUDED.version, data = "
    "EXCLUDED.data,"
    "    updated_at = clock_timestamp() WHERE o.version < EXCLUDED.version),"
    " added AS ("
    "  INSERT INTO deliveries (webhook_id, order_id, version, type, occurred_at, traceparent, "
    "correlation_id, data)"
    "  SELECT w.webhook_id, n.order_id, n.version, n.type, n.occurred_at, n.traceparent, "
    "n.correlation_id, n.data"
    "  FROM numbered n JOIN webhooks w ON w.tenant = n.tenant AND w.disabled_at IS NULL AND n.type "
    "= ANY (w.event_types)"
    "  ORDER BY n.n FOR SHARE OF w ON CONFLICT DO NOTHING RETURNING 1)"
    " SELECT n, sequence, (SELECT count(*) FROM added),"
    "  pg_notify('live', sequence || ' ' || octet_length(tenant) || ' ' || tenant || user_id) FROM "
    "numbered"};

static const struct bv_pg_statement trim_sql = {
    "notification_trim",
    "DELETE FROM live_messages WHERE tenant = $1 AND user_id = $2 AND sequence <= $3::bigint"};

/* ---- live ---- */

static const struct bv_pg_statement page_sql = {
    "notification_page",
    "WITH kept AS (SELECT"
    "  coalesce((SELECT last FROM user_sequences WHERE tenant = $1 AND user_id = $2), 0) AS last,"
    "  (SELECT min(sequence) FROM live_messages WHERE tenant = $1 AND user_id = $2) AS first)"
    " SELECT k.last, coalesce(k.first, k.last + 1), m.sequence, m.type, " TIME(
        "m.occurred_at") ", m.traceparent, m.data"
                         " FROM kept k LEFT JOIN LATERAL ("
                         "  SELECT * FROM live_messages WHERE tenant = $1 AND user_id = $2 AND "
                         "sequence > $3::bigint ORDER BY sequence LIMIT $4::bigint)"
                         " m ON true ORDER BY m.sequence"};
static const struct bv_pg_statement snapshot_sql = {
    "notification_snapshot",
    "WITH newest AS ("
    "  SELECT data, order_id, sum(octet_length(data) + 1) OVER (ORDER BY order_id DESC) AS bytes"
    "  FROM user_orders WHERE tenant = $1 AND user_id = $2 ORDER BY order_id DESC LIMIT 1000)"
    " SELECT coalesce((SELECT last FROM user_sequences WHERE tenant = $1 AND user_id = $2), 0),"
    "  coalesce((SELECT string_agg(data, ',' ORDER BY order_id DESC) FROM newest WHERE bytes <= "
    "$3::bigint), '')"};

/* ---- webhooks ---- */

#define WEBHOOK_COLUMNS                                                                            \
    "webhook_id::text, url, to_json(event_types)::text, description, " TIME(                       \
        "created_at") ", " TIME("disabled_at")
/* Insertions of one owner take turns, so that two of them do not both find the last place. */
static const struct bv_pg_statement owner_lock_sql = {
    "notification_owner_lock",
    "SELECT pg_advisory_xact_lock(hashtextextended(octet_length($1) || ' ' || $1 || $2, "
    "0))::text"};
static const struct bv_pg_statement webhook_insert_sql = {
    "notification_webhook_insert",
    "INSERT INTO webhooks (webhook_id, tenant, owner, url, event_types, description, secret)"
    " SELECT $1::uuid, $2, $3, $4, ARRAY(SELECT json_array_elements_text($5::json)), $6, $7"
    " WHERE (SELECT count(*) FROM webhooks WHERE tenant = $2 AND owner = $3) < $8::bigint "
    "RETURNING " WEBHOOK_COLUMNS};
static const struct bv_pg_statement webhook_list_sql = {
    "notification_webhook_list",
    "SELECT " WEBHOOK_COLUMNS " FROM webhooks WHERE tenant = $1 AND owner = $2 AND ($3::uuid IS "
    "NULL OR webhook_id < $3::uuid)"
    " ORDER BY webhook_id DESC LIMIT $4::bigint"};
static const struct bv_pg_statement webhook_get_sql = {
    "notification_webhook_get",
    "SELECT " WEBHOOK_COLUMNS
    " FROM webhooks WHERE tenant = $1 AND owner = $2 AND webhook_id = $3::uuid"};
static const struct bv_pg_statement webhook_delete_sql = {
    "notification_webhook_delete",
    "WITH gone AS (DELETE FROM webhooks WHERE tenant = $1 AND owner = $2 AND webhook_id = $3::uuid "
    "RETURNING *),"
    " dropped AS (DELETE FROM deliveries WHERE webhook_id IN (SELECT webhook_id FROM gone))"
    " SELECT " WEBHOOK_COLUMNS " FROM gone"};

/* ---- deliveries ---- */

static const struct bv_pg_statement delivery_list_sql = {
    "notification_delivery_list",
    "WITH known AS (SELECT webhook_id FROM webhooks WHERE tenant = $1 AND owner = $2 AND "
    "webhook_id = $3::uuid)"
    " SELECT d.number, 'msg_' || d.delivery_id, d.type, d.order_id::text, d.version, "
    "d.state, " TIME("d.created_at") ", CASE WHEN d.state = 'PENDING' THEN " TIME(
        "d.next_attempt_at") " END, d.attempt_log::text"
                             " FROM known k LEFT JOIN LATERAL (SELECT * FROM deliveries WHERE "
                             "webhook_id = k.webhook_id AND number < $4::bigint"
                             "  ORDER BY number DESC LIMIT $5::bigint) d ON true ORDER BY d.number "
                             "DESC"};
/* The subscriptions that have something PENDING, found by leaps over the index: what a claim costs
 * grows with their number and not with what waits for them. */
#define WAITING                                                                                    \
    "WITH RECURSIVE waiting AS ("                                                                  \
    "  (SELECT webhook_id FROM deliveries WHERE state = 'PENDING' ORDER BY webhook_id LIMIT 1)"    \
    "  UNION ALL SELECT (SELECT d.webhook_id FROM deliveries d WHERE d.state = 'PENDING'"          \
    "    AND d.webhook_id > v.webhook_id ORDER BY d.webhook_id LIMIT 1)"                           \
    "  FROM waiting v WHERE v.webhook_id IS NOT NULL)"
/* The rows are chosen first, then locked and judged again: another worker may have taken them in
 * between. A later transition of an order is not chosen while an earlier one is PENDING, whoever
 * works on that. now() is the same in next_due, so that nothing falls between the two. A free place
 * goes to the subscription that has the fewest: the backlog of slow ones keeps nobody else waiting.
 */
static const struct bv_pg_statement claim_sql = {
    "notification_claim",
    WAITING
    ", places AS ("
    "  SELECT w.webhook_id, coalesce(b.used, 0) AS used FROM waiting JOIN webhooks w USING "
    "(webhook_id)"
    "  LEFT JOIN unnest($4::uuid[], $5::bigint[]) AS b (webhook_id, used) ON b.webhook_id = "
    "w.webhook_id"
    "  WHERE w.disabled_at IS NULL),"
    " due AS ("
    "  SELECT h.number FROM places p CROSS JOIN LATERAL ("
    "    SELECT d.number, d.due_at, p.used + row_number() OVER (ORDER BY d.due_at, d.number) AS nth"
    "    FROM (SELECT d.number, d.due_at FROM deliveries d WHERE d.webhook_id = p.webhook_id"
    "      AND d.state = 'PENDING' AND d.due_at <= now() AND NOT EXISTS ("
    "        SELECT 1 FROM deliveries e WHERE e.state = 'PENDING' AND e.webhook_id = d.webhook_id "
    "AND e.order_id = d.order_id"
    "        AND e.version < d.version)"
    "      ORDER BY d.due_at, d.number LIMIT greatest($2::bigint - p.used, 0)) d) h"
    "  ORDER BY h.nth, h.due_at, h.number LIMIT $1::bigint),"
    " locked AS ("
    "  SELECT d.number FROM deliveries d JOIN due USING (number) WHERE d.state = 'PENDING' AND "
    "d.due_at <= clock_timestamp()"
    "  FOR UPDATE OF d SKIP LOCKED)"
    " UPDATE deliveries d SET attempts = d.attempts + 1, due_at = clock_timestamp() + "
    "make_interval(secs => $3::float8 / 1000)"
    " FROM locked l, webhooks w WHERE d.number = l.number AND w.webhook_id = d.webhook_id"
    " RETURNING d.number, d.attempts, d.webhook_id::text, 'msg_' || d.delivery_id, w.url, "
    "w.secret, d.type, " TIME(
        "d.occurred_at") ", d.traceparent, d.correlation_id, d.data, (extract(epoch FROM "
                         "clock_timestamp() - d.created_at) * 1000)::bigint"};
static const struct bv_pg_statement next_due_sql = {
    "notification_next_due",
    WAITING " SELECT ceil(extract(epoch FROM min(n.due_at) - clock_timestamp()) * 1000)::bigint"
            " FROM waiting v CROSS JOIN LATERAL ("
            "  SELECT d.due_at FROM deliveries d WHERE d.webhook_id = v.webhook_id AND d.state = "
            "'PENDING' AND d.due_at > now() ORDER BY d.due_at LIMIT 1) n"};
/* $3 state, $4 delay, $5 the attempt or NULL: then none was made and the lease is handed back. */
static const struct bv_pg_statement ended_sql = {
    "notification_ended",
    "UPDATE deliveries SET state = $3, attempts = attempts - CASE WHEN $5::jsonb IS NULL THEN 1 "
    "ELSE 0 END,"
    " attempt_log = CASE WHEN $5::jsonb IS NULL THEN attempt_log WHEN "
    "jsonb_array_length(attempt_log) >= 20"
    "   THEN (attempt_log - 0) || $5::jsonb ELSE attempt_log || $5::jsonb END,"
    " due_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000),"
    " next_attempt_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000),"
    " finished_at = CASE WHEN $3 = 'PENDING' THEN NULL ELSE clock_timestamp() END"
    " WHERE number = $1::bigint AND attempts = $2::integer AND state = 'PENDING'"};
static const struct bv_pg_statement disable_sql = {
    "notification_disable",
    "UPDATE webhooks SET disabled_at = clock_timestamp() WHERE webhook_id = $1::uuid AND "
    "disabled_at IS NULL"};
static const struct bv_pg_statement withdraw_sql = {
    "notification_withdraw",
    "UPDATE deliveries SET state = 'FAILED', finished_at = clock_timestamp() WHERE webhook_id = "
    "$1::uuid AND state = 'PENDING'"};

/* ---- sweeping: an unbroken run must be left of a user's messages, whatever the clocks did ---- */

static const struct bv_pg_statement sweep_live_sql = {
    "notification_sweep_live",
    "DELETE FROM live_messages m USING (SELECT tenant, user_id, max(sequence) AS through FROM "
    "live_messages"
    "  WHERE created_at < clock_timestamp() - make_interval(secs => $1::float8 / 1000) GROUP BY "
    "tenant, user_id) o"
    " WHERE m.tenant = o.tenant AND m.user_id = o.user_id AND m.sequence <= o.through"};
static const struct bv_pg_statement sweep_orders_sql = {
    "notification_sweep_orders",
    "DELETE FROM user_orders WHERE updated_at < clock_timestamp() - make_interval(secs => "
    "$1::float8 / 1000)"};
static const struct bv_pg_statement sweep_deliveries_sql = {
    "notification_sweep_deliveries",
    "DELETE FROM deliveries WHERE state <> 'PENDING' AND finished_at < clock_timestamp() - "
    "make_interval(secs => $1::float8 / 1000)"};
static const struct bv_pg_statement sweep_inbox_sql = {
    "notification_sweep_inbox",
    "DELETE FROM inbox WHERE received_at < clock_timestamp() - make_interval(secs => $1::float8 / "
    "1000)"};
/* What was taken in while its subscription ended or was disabled. */
static const struct bv_pg_statement sweep_orphans_sql = {
    "notification_sweep_orphans",
    "DELETE FROM deliveries d WHERE state = 'PENDING' AND NOT EXISTS ("
    "  SELECT 1 FROM webhooks w WHERE w.webhook_id = d.webhook_id AND w.disabled_at IS NULL)"};

static int call(struct notification_store *self,
                const struct bv_pg_query *queries,
                size_t count,
                bv_pg_done *done,
                struct ask ask)
{
    return bv_pg_ask(((struct pg_store *)self)->pg, queries, count, done, &ask, sizeof(ask));
}

static void on_plain(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)results, (void)count;
    const struct ask ask = *(const struct ask *)argument;
    if (ask.done.plain)
        ask.done.plain(ask.argument, rc, rc < 0 ? &failure->error : NULL);
}

/* NULL columns as BV_BYTES_NONE. */
static struct bv_bytes text_or_none(const struct bv_pg_result *result, size_t row, int column)
{
    return bv_pg_is_null(result, row, column) ? BV_BYTES_NONE : bv_pg_text(result, row, column);
}

static struct bv_pg_param param_or_null(struct bv_bytes text)
{
    return text.data ? BV_PG_P_TEXT(text) : BV_PG_P_NULL;
}

/* ---- intake ---- */

static void on_taken(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    if (rc < 0) {
        ask.done.taken(ask.argument, rc, NULL, &failure->error);
        return;
    }
    int64_t sequences[ROWS_MAX] = {0};
    struct notification_taken taken = {sequences, ask.count, 0};
    for (size_t i = 0; i < bv_pg_rows(results[0]); i++) {
        int64_t n = bv_pg_int(results[0], i, 0);
        assert(n >= 1 && (size_t)n <= ask.count);
        sequences[n - 1] = bv_pg_int(results[0], i, 1);
        taken.deliveries = bv_pg_int(results[0], i, 2);
    }
    ask.done.taken(ask.argument, 0, &taken, NULL);
}

static void add_event(struct bv_buf *columns, const struct notification_event *event)
{
    const struct bv_bytes texts[TAKE_COLUMNS] = {event->event_id,
                                                 event->tenant,
                                                 event->user_id,
                                                 event->order_id,
                                                 BV_BYTES_NONE,
                                                 event->type,
                                                 event->occurred_at,
                                                 event->traceparent,
                                                 event->correlation_id,
                                                 event->data};
    for (size_t i = 0; i < TAKE_COLUMNS; i++) {
        if (i == 4)
            bv_pg_array_int(&columns[i], event->version);
        else
            bv_pg_array_text(&columns[i], texts[i]);
    }
}

static int take(struct notification_store *self,
                const struct notification_event *events,
                size_t count,
                notification_taken_done *done,
                void *argument)
{
    struct bv_buf columns[TAKE_COLUMNS];
    struct bv_pg_param params[TAKE_COLUMNS];
    bool failed = false;
    if (count == 0 || count > ROWS_MAX)
        return BV_E_INVALID;
    for (size_t i = 0; i < TAKE_COLUMNS; i++) {
        columns[i] = (struct bv_buf){.max = ARRAY_BYTES_MAX};
        bv_pg_array_open(&columns[i]);
    }
    for (size_t i = 0; i < count; i++)
        add_event(columns, &events[i]);
    for (size_t i = 0; i < TAKE_COLUMNS; i++) {
        bv_pg_array_close(&columns[i]);
        failed |= columns[i].failed;
        params[i] = BV_PG_P_TEXT(bv_buf_view(&columns[i]));
    }
    struct bv_pg_query query = {&take_sql, params, TAKE_COLUMNS};
    int rc = failed
                 ? BV_E_TOO_LARGE
                 : call(self, &query, 1, on_taken, (struct ask){{.taken = done}, argument, count});
    for (size_t i = 0; i < TAKE_COLUMNS; i++)
        bv_buf_release(&columns[i]);
    return rc;
}

static int trim(struct notification_store *self,
                struct bv_bytes tenant,
                struct bv_bytes user_id,
                int64_t through)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(user_id), BV_PG_P_INT(through)};
    struct bv_pg_query query = {&trim_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_plain, (struct ask){0});
}

/* ---- live ---- */

static void on_page(void *argument,
                    int rc,
                    const struct bv_pg_result *const *results,
                    size_t count,
                    const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    if (rc < 0) {
        ask.done.page(ask.argument, rc, NULL, &failure->error);
        return;
    }
    const struct bv_pg_result *result = results[0];
    struct notification_live rows[ROWS_MAX];
    struct notification_page page = {bv_pg_int(result, 0, 1), bv_pg_int(result, 0, 0), rows, 0};
    for (size_t i = 0; i < bv_pg_rows(result) && i < ROWS_MAX && !bv_pg_is_null(result, i, 2); i++)
        rows[page.count++] = (struct notification_live){bv_pg_int(result, i, 2),
                                                        bv_pg_text(result, i, 3),
                                                        bv_pg_text(result, i, 4),
                                                        bv_pg_text(result, i, 5),
                                                        bv_pg_text(result, i, 6)};
    ask.done.page(ask.argument, 0, &page, NULL);
}

static int page(struct notification_store *self,
                struct bv_bytes tenant,
                struct bv_bytes user_id,
                int64_t after,
                int64_t limit,
                notification_page_done *done,
                void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(user_id), BV_PG_P_INT(after), BV_PG_P_INT(limit)};
    struct bv_pg_query query = {&page_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_page, (struct ask){{.page = done}, argument, 0});
}

static void on_snapshot(void *argument,
                        int rc,
                        const struct bv_pg_result *const *results,
                        size_t count,
                        const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct notification_snapshot snapshot = {0};
    if (rc == 0)
        snapshot = (struct notification_snapshot){bv_pg_int(results[0], 0, 0),
                                                  bv_pg_text(results[0], 0, 1)};
    ask.done.snapshot(ask.argument, rc, rc < 0 ? NULL : &snapshot, rc < 0 ? &failure->error : NULL);
}

static int snapshot(struct notification_store *self,
                    struct bv_bytes tenant,
                    struct bv_bytes user_id,
                    int64_t bytes_max,
                    notification_snapshot_done *done,
                    void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(user_id), BV_PG_P_INT(bytes_max)};
    struct bv_pg_query query = {&snapshot_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_snapshot, (struct ask){{.snapshot = done}, argument, 0});
}

/* ---- webhooks ---- */

static struct notification_webhook webhook_row(const struct bv_pg_result *result, size_t row)
{
    return (struct notification_webhook){.webhook_id = bv_pg_text(result, row, 0),
                                         .url = bv_pg_text(result, row, 1),
                                         .event_types = bv_pg_text(result, row, 2),
                                         .description = text_or_none(result, row, 3),
                                         .created_at = bv_pg_text(result, row, 4),
                                         .disabled_at = text_or_none(result, row, 5)};
}

static void on_webhooks(void *argument,
                        int rc,
                        const struct bv_pg_result *const *results,
                        size_t count,
                        const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct notification_webhook rows[ROWS_MAX];
    size_t n = 0;
    for (size_t i = 0; rc == 0 && i < bv_pg_rows(results[0]) && i < ROWS_MAX; i++)
        rows[n++] = webhook_row(results[0], i);
    ask.done.webhooks(ask.argument, rc, rows, n, rc < 0 ? &failure->error : NULL);
}

static void on_inserted(void *argument,
                        int rc,
                        const struct bv_pg_result *const *results,
                        size_t count,
                        const struct bv_pg_failure *failure)
{
    struct bv_error full = {0};
    if (rc < 0 || bv_pg_rows(results[1]) > 0) {
        on_webhooks(argument, rc, rc < 0 ? NULL : &results[1], count, failure);
        return;
    }
    const struct ask ask = *(const struct ask *)argument;
    rc = bv_fail(&full, BV_E_LIMIT, "this owner has as many subscriptions as are allowed");
    ask.done.webhooks(ask.argument, rc, NULL, 0, &full);
}

static int webhook_insert(struct notification_store *self,
                          const struct notification_webhook *webhook,
                          int64_t per_owner_max,
                          notification_webhooks_done *done,
                          void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(webhook->webhook_id),
                                   BV_PG_P_TEXT(webhook->tenant),
                                   BV_PG_P_TEXT(webhook->owner),
                                   BV_PG_P_TEXT(webhook->url),
                                   BV_PG_P_TEXT(webhook->event_types),
                                   param_or_null(webhook->description),
                                   BV_PG_P_TEXT(webhook->secret),
                                   BV_PG_P_INT(per_owner_max)};
    struct bv_pg_query queries[] = {
        {&owner_lock_sql,     &params[1], 2               },
        {&webhook_insert_sql, params,     BV_COUNT(params)},
    };
    return call(self,
                queries,
                BV_COUNT(queries),
                on_inserted,
                (struct ask){{.webhooks = done}, argument, 0});
}

static int webhook_list(struct notification_store *self,
                        struct notification_owner owner,
                        struct bv_bytes before,
                        int64_t limit,
                        notification_webhooks_done *done,
                        void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(owner.tenant),
                                   BV_PG_P_TEXT(owner.owner),
                                   param_or_null(before),
                                   BV_PG_P_INT(limit)};
    struct bv_pg_query query = {&webhook_list_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_webhooks, (struct ask){{.webhooks = done}, argument, 0});
}

static int webhook_one(struct notification_store *self,
                       const struct bv_pg_statement *statement,
                       struct notification_owner owner,
                       struct bv_bytes webhook_id,
                       notification_webhooks_done *done,
                       void *argument)
{
    struct bv_pg_param params[] = {
        BV_PG_P_TEXT(owner.tenant), BV_PG_P_TEXT(owner.owner), BV_PG_P_TEXT(webhook_id)};
    struct bv_pg_query query = {statement, params, BV_COUNT(params)};
    return call(self, &query, 1, on_webhooks, (struct ask){{.webhooks = done}, argument, 0});
}

static int webhook_get(struct notification_store *self,
                       struct notification_owner owner,
                       struct bv_bytes webhook_id,
                       notification_webhooks_done *done,
                       void *argument)
{
    return webhook_one(self, &webhook_get_sql, owner, webhook_id, done, argument);
}

static int webhook_delete(struct notification_store *self,
                          struct notification_owner owner,
                          struct bv_bytes webhook_id,
                          notification_webhooks_done *done,
                          void *argument)
{
    return webhook_one(self, &webhook_delete_sql, owner, webhook_id, done, argument);
}

static void on_deliveries(void *argument,
                          int rc,
                          const struct bv_pg_result *const *results,
                          size_t count,
                          const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct notification_delivery_row rows[ROWS_MAX];
    size_t n = 0;
    bool known = rc == 0 && bv_pg_rows(results[0]) > 0;
    for (size_t i = 0; known && i < bv_pg_rows(results[0]) && i < ROWS_MAX; i++) {
        const struct bv_pg_result *result = results[0];
        if (bv_pg_is_null(result, i, 0)) /* the subscription alone */
            break;
        rows[n++] = (struct notification_delivery_row){bv_pg_int(result, i, 0),
                                                       bv_pg_text(result, i, 1),
                                                       bv_pg_text(result, i, 2),
                                                       bv_pg_text(result, i, 3),
                                                       bv_pg_int(result, i, 4),
                                                       bv_pg_text(result, i, 5),
                                                       bv_pg_text(result, i, 6),
                                                       text_or_none(result, i, 7),
                                                       bv_pg_text(result, i, 8)};
    }
    ask.done.deliveries(ask.argument, rc, known, rows, n, rc < 0 ? &failure->error : NULL);
}

static int delivery_list(struct notification_store *self,
                         struct notification_owner owner,
                         struct bv_bytes webhook_id,
                         int64_t before,
                         int64_t limit,
                         notification_deliveries_done *done,
                         void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(owner.tenant),
                                   BV_PG_P_TEXT(owner.owner),
                                   BV_PG_P_TEXT(webhook_id),
                                   BV_PG_P_INT(before),
                                   BV_PG_P_INT(limit)};
    struct bv_pg_query query = {&delivery_list_sql, params, BV_COUNT(params)};
    return call(self, &query, 1, on_deliveries, (struct ask){{.deliveries = done}, argument, 0});
}

/* ---- deliveries ---- */

static void on_claimed(void *argument,
                       int rc,
                       const struct bv_pg_result *const *results,
                       size_t count,
                       const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct notification_claimed rows[ROWS_MAX];
    size_t n = 0;
    int64_t next_due_ms = -1;
    for (size_t i = 0; rc == 0 && i < bv_pg_rows(results[0]) && i < ROWS_MAX; i++) {
        const struct bv_pg_result *result = results[0];
        rows[n++] = (struct notification_claimed){bv_pg_int(result, i, 0),
                                                  bv_pg_int(result, i, 1),
                                                  bv_pg_text(result, i, 2),
                                                  bv_pg_text(result, i, 3),
                                                  bv_pg_text(result, i, 4),
                                                  bv_pg_text(result, i, 5),
                                                  bv_pg_text(result, i, 6),
                                                  bv_pg_text(result, i, 7),
                                                  bv_pg_text(result, i, 8),
                                                  bv_pg_text(result, i, 9),
                                                  bv_pg_text(result, i, 10),
                                                  bv_pg_int(result, i, 11)};
    }
    if (rc == 0 && !bv_pg_is_null(results[1], 0, 0))
        next_due_ms = bv_pg_int(results[1], 0, 0) > 0 ? bv_pg_int(results[1], 0, 0) : 0;
    ask.done.claimed(ask.argument, rc, rows, n, next_due_ms, rc < 0 ? &failure->error : NULL);
}

static int claim(struct notification_store *self,
                 const struct notification_claim *wanted,
                 notification_claimed_done *done,
                 void *argument)
{
    bv_auto(bv_buf_release) struct bv_buf ids = {.max = ARRAY_BYTES_MAX};
    bv_auto(bv_buf_release) struct bv_buf used = {.max = ARRAY_BYTES_MAX};
    if (wanted->limit < 1 || wanted->limit > ROWS_MAX)
        return BV_E_INVALID;
    bv_pg_array_open(&ids);
    bv_pg_array_open(&used);
    for (size_t i = 0; i < wanted->busy_count; i++) {
        bv_pg_array_text(&ids, wanted->busy[i].webhook_id);
        bv_pg_array_int(&used, wanted->busy[i].count);
    }
    bv_pg_array_close(&ids);
    bv_pg_array_close(&used);
    if (ids.failed || used.failed)
        return BV_E_TOO_LARGE;
    struct bv_pg_param params[] = {BV_PG_P_INT(wanted->limit),
                                   BV_PG_P_INT(wanted->each_max),
                                   BV_PG_P_INT(wanted->lease_ms),
                                   BV_PG_P_TEXT(bv_buf_view(&ids)),
                                   BV_PG_P_TEXT(bv_buf_view(&used))};
    struct bv_pg_query queries[] = {
        {&claim_sql,    params, BV_COUNT(params)},
        {&next_due_sql, NULL,   0               }
    };
    return call(
        self, queries, BV_COUNT(queries), on_claimed, (struct ask){{.claimed = done}, argument, 0});
}

static int ended(struct notification_store *self,
                 const struct notification_ended *what,
                 notification_store_done *done,
                 void *argument)
{
    static const char *const states[NOTIFICATION_STATE_COUNT] = {
        [NOTIFICATION_WAITING] = "PENDING",
        [NOTIFICATION_SENDING] = "PENDING",
        [NOTIFICATION_DELIVERED] = "DELIVERED",
        [NOTIFICATION_FAILED] = "FAILED",
    };
    struct bv_pg_param params[] = {BV_PG_P_INT(what->number),
                                   BV_PG_P_INT(what->attempt),
                                   BV_PG_P_CSTR(states[what->step.to]),
                                   BV_PG_P_INT(what->delay_ms),
                                   param_or_null(what->log)};
    struct bv_pg_param webhook[] = {BV_PG_P_TEXT(what->webhook_id)};
    /* Subscription first, as its end by DELETE: two that held a delivery each and then wanted all
     * would wait for one another. */
    struct bv_pg_query queries[] = {
        {&disable_sql,  webhook, 1               },
        {&ended_sql,    params,  BV_COUNT(params)},
        {&withdraw_sql, webhook, 1               },
    };
    const bool disables = what->step.effect == NOTIFICATION_DISABLE;
    return call(self,
                disables ? queries : &queries[1],
                disables ? 3 : 1,
                on_plain,
                (struct ask){{.plain = done}, argument, 0});
}

static int sweep(struct notification_store *self,
                 const struct notification_retention *retention,
                 notification_store_done *done,
                 void *argument)
{
    struct bv_pg_param live[] = {BV_PG_P_INT(retention->live_ms)};
    struct bv_pg_param orders[] = {BV_PG_P_INT(retention->orders_ms)};
    struct bv_pg_param deliveries[] = {BV_PG_P_INT(retention->deliveries_ms)};
    struct bv_pg_param inbox[] = {BV_PG_P_INT(retention->inbox_ms)};
    struct bv_pg_query queries[] = {
        {&sweep_live_sql,       live,       1},
        {&sweep_orders_sql,     orders,     1},
        {&sweep_deliveries_sql, deliveries, 1},
        {&sweep_orphans_sql,    NULL,       0},
        {&sweep_inbox_sql,      inbox,      1},
    };
    return call(
        self, queries, BV_COUNT(queries), on_plain, (struct ask){{.plain = done}, argument, 0});
}

static bool ready(struct notification_store *self)
{
    return bv_pg_ready(((struct pg_store *)self)->pg);
}

static void store_release(struct notification_store **self)
{
    free(*self);
    *self = NULL;
}

int notification_store_pg_open(struct bv_pg *pg, struct notification_store **ret_store)
{
    static const struct notification_store_ops ops = {
        .take = take,
        .page = page,
        .snapshot = snapshot,
        .trim = trim,
        .webhook_insert = webhook_insert,
        .webhook_list = webhook_list,
        .webhook_get = webhook_get,
        .webhook_delete = webhook_delete,
        .delivery_list = delivery_list,
        .claim = claim,
        .ended = ended,
        .sweep = sweep,
        .ready = ready,
        .release = store_release,
    };
    struct pg_store *store = calloc(1, sizeof(*store));
    if (!store)
        return BV_E_NOMEM;
    store->base.ops = &ops;
    store->pg = pg;
    *ret_store = &store->base;
    return 0;
}
