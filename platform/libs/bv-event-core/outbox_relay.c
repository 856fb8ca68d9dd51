/* The relay: one round at a time.
 *
 *   IDLE ──kick, timer──> ASKING: lock; delete what was published; select ──rows──> PUBLISHING
 * ──all reported──> ASKING … └── no lock, no rows, fault ──> IDLE
 *
 * Why the lock is asked for in every round: the pool reconnects by itself, and the lock lives in
 * the session. Asking again in the session that holds it only counts up, so the answer "true"
 * means: this session, now. Why created_at orders the rows of a key: it is the clock at the
 * insertion, and a writer inserts a key's next row only after it has seen the one before committed
 * (row lock or version check). A visible row's predecessors are therefore visible, and older.
 * Within the batch the sequence decides, so a clock that steps back can harm only where a full
 * batch cuts a key. */
#include "bv/breakage.h"
#include "bv/failpoint.h"
#include "bv/outbox.h"

#include <stdio.h>
#include <stdlib.h>

#define HELD_MAX 256
#define HOLD_MS 1000
#define LOCK_KEY_DEFAULT INT64_C(0x62764f7574626f78)

static const struct bv_metric published_metric = {
    .name = "bv_outbox_published_total",
    .type = BV_COUNTER,
    .help = "Outbox rows published, by result (ok or the error word).",
    .labels = "result",
};
static const struct bv_metric leader_metric = {
    .name = "bv_outbox_leader",
    .type = BV_GAUGE,
    .help = "1 while this relay holds the lock of its database.",
    .labels = "",
};
static const struct bv_metric batch_metric = {
    .name = "bv_outbox_batch",
    .type = BV_GAUGE,
    .help = "Rows of the last round.",
    .labels = "",
};
static const struct bv_metric age_metric = {
    .name = "bv_outbox_age_seconds",
    .type = BV_GAUGE,
    .help = "Age of the oldest row of the last round, 0 when there was none.",
    .labels = "",
};

static const struct bv_pg_statement lock_statement = {"outbox_lock",
                                                      "SELECT pg_try_advisory_lock($1::bigint)"};
static const struct bv_pg_statement delete_statement = {
    "outbox_delete", "DELETE FROM outbox WHERE id = ANY($1::uuid[])"};
static const struct bv_pg_statement select_statement = {
    "outbox_select",
    "SELECT id, topic, partition_key, headers, envelope,"
    "  (extract(epoch FROM clock_timestamp() - created_at) * 1000)::bigint AS age_ms"
    " FROM (SELECT * FROM outbox WHERE partition_key <> ALL($2::text[]) ORDER BY created_at, "
    "sequence LIMIT $1::bigint) batch"
    " ORDER BY min(created_at) OVER (PARTITION BY partition_key), partition_key, sequence"};
/* A deletion that is lost with the power publishes its rows again, which at least once allows: so
 * it need not wait for the disk. One plan for ever, by the index: the table is nearly empty
 * whenever the planner looks. */
#define SESSION_SETTINGS                                                                           \
    "SET synchronous_commit = off", "SET plan_cache_mode = force_generic_plan",                    \
        "SET enable_seqscan = off"
/* A leader that stands still, or whose machine is gone without a word, must not keep the lock for
 * as long as TCP believes in it: the server ends a session that has not asked for so long. */
#define IDLE_MS_MIN 10000
#define IDLE_POLLS 4
enum column { COLUMN_ID, COLUMN_TOPIC, COLUMN_KEY, COLUMN_HEADERS, COLUMN_ENVELOPE, COLUMN_AGE_MS };

enum row_state { ROW_SKIPPED, ROW_OUT, ROW_DONE, ROW_FAILED };
struct round;
struct row {
    struct round *round;
    struct bv_bytes id;  /* arena */
    struct bv_bytes key; /* arena */
    struct bv_trace trace;
    int64_t start_wall_us;
    enum row_state state;
};
/* Outlives the relay when reports are still out at close. */
struct round {
    struct bv_outbox_relay *relay; /* NULL: closed */
    struct bv_arena *arena;        /* owned */
    size_t out;
    size_t count;
    struct row rows[];
};
struct held_key {
    struct bv_bytes key; /* owned */
    int64_t until_ms;
};
enum relay_state { RELAY_IDLE, RELAY_ASKING, RELAY_PUBLISHING };
struct bv_outbox_relay {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_log *log;
    struct bv_span_sink *spans;
    struct bv_pg *pg;
    struct bv_idle *idle;
    struct bv_timer *timer;
    struct round *round;    /* owned while PUBLISHING */
    struct bv_buf done_ids; /* array literal without its end: published, not yet deleted */
    size_t done_count;
    struct held_key held[HELD_MAX];
    size_t held_count;
    int64_t lock_key;
    int64_t batch_max;
    int64_t poll_ms;
    int64_t gather_ms;
    int64_t asked_at_ms; /* the last round's start */
    struct bv_metrics *metrics;
    struct bv_series *leader, *batch, *age; /* NULL without metrics */
    enum relay_state state;
    bool leads;
    bool again;  /* kicked during a round */
    bool pacing; /* IDLE, and the timer rings for the next round */
    bool closing;
};

static const struct bv_env *env_of(const struct bv_outbox_relay *relay)
{
    return bv_loop_env(relay->loop);
}

static void gauge(struct bv_series *series, double value)
{
    if (series)
        bv_gauge_set(series, value);
}

static void count_result(struct bv_outbox_relay *relay, int rc)
{
    const char *values[] = {rc == 0 ? "ok" : bv_error_row(rc)->word};
    if (relay->metrics)
        bv_count(bv_metrics_series(relay->metrics, &published_metric, values, 1), 1);
}

static void lead_set(struct bv_outbox_relay *relay, bool leads, const struct bv_pg_failure *failure)
{
    if (leads != relay->leads)
        bv_log(relay->log,
               BV_INFO,
               leads ? "outbox.leads" : "outbox.stands_by",
               NULL,
               BV_F_TEXT("reason", failure ? failure->error.text : ""));
    relay->leads = leads;
    gauge(relay->leader, leads ? 1 : 0);
}

/* ---- keys that failed lately ---- */

static void held_expire(struct bv_outbox_relay *relay)
{
    int64_t now_ms = bv_mono_ms(env_of(relay));
    for (size_t i = 0; i < relay->held_count;) {
        if (relay->held[i].until_ms > now_ms) {
            i++;
            continue;
        }
        free((void *)(uintptr_t)relay->held[i].key.data);
        relay->held[i] = relay->held[--relay->held_count];
    }
}

/* False when there is no room for it: the key is tried again with the next round. */
static bool hold(struct bv_outbox_relay *relay, struct bv_bytes key)
{
    for (size_t i = 0; i < relay->held_count; i++) {
        if (bv_bytes_equal(relay->held[i].key, key))
            return true;
    }
    char *copy = relay->held_count < HELD_MAX ? strndup(key.data, key.size) : NULL;
    if (!copy)
        return false;
    relay->held[relay->held_count++] = (struct held_key){
        {copy, key.size},
        bv_mono_ms(env_of(relay)) + HOLD_MS
    };
    return true;
}

/* ---- rounds ---- */

static void round_free(struct round *round)
{
    bv_arena_close(&round->arena);
    free(round);
}

static void ask(struct bv_outbox_relay *relay);

static void rest(struct bv_outbox_relay *relay)
{
    relay->state = RELAY_IDLE;
    relay->pacing = false;
    bv_timer_set(relay->timer, relay->poll_ms, 0);
}

/* When more keys fail than can be held: the next round comes with the poll, whoever kicks. */
static void rest_through_kicks(struct bv_outbox_relay *relay)
{
    rest(relay);
    relay->pacing = true;
}

/* A round costs the same for one row as for fifty: under load rounds begin gather_ms apart, and an
 * idle relay begins at once. */
static void ask_paced(struct bv_outbox_relay *relay)
{
    int64_t wait_ms = relay->asked_at_ms + relay->gather_ms - bv_mono_ms(env_of(relay));
    if (wait_ms <= 0) {
        ask(relay);
        return;
    }
    relay->state = RELAY_IDLE;
    relay->pacing = true;
    bv_timer_set(relay->timer, wait_ms, 0);
}

/* Whether an earlier row of the same key failed. Failures are rare, rounds are small. */
static bool
blocked(const struct round *round, const struct row *row, const size_t *failed, size_t failed_count)
{
    for (size_t i = 0; i < failed_count; i++) {
        if (bv_bytes_equal(round->rows[failed[i]].key, row->key))
            return true;
    }
    return false;
}

/* Every row has its report: notes which to delete; the rest stays in the table. */
static void round_end(struct round *round)
{
    struct bv_outbox_relay *relay = round->relay;
    if (!relay) {
        round_free(round);
        return;
    }
    size_t *failed = bv_arena_array(round->arena, size_t, round->count);
    size_t failed_count = 0, skipped = 0;
    bool all_held = true;
    for (size_t i = 0; i < round->count && failed; i++) {
        struct row *row = &round->rows[i];
        if (row->state == ROW_DONE && !blocked(round, row, failed, failed_count)) {
            bv_pg_array_text(&relay->done_ids, row->id);
            relay->done_count++;
            continue;
        }
        skipped += row->state == ROW_SKIPPED;
        if (row->state != ROW_DONE && !blocked(round, row, failed, failed_count))
            failed[failed_count++] = i;
        if (row->state == ROW_FAILED)
            all_held = hold(relay, row->key) && all_held;
    }
    BV_FAILPOINT(RELAY_PUBLISHED);
    bool full = round->count == (size_t)relay->batch_max;
    relay->round = NULL;
    round_free(round);
    if (!all_held)
        rest_through_kicks(relay);
    else if (relay->done_count == 0 && (failed_count == 0 || skipped > 0))
        rest(relay);
    else if (full)
        ask(relay); /* deletes, and selects what else there is */
    else
        ask_paced(relay);
}

static void row_reported(void *argument, int rc, const struct bv_error *error)
{
    struct row *row = argument;
    struct round *round = row->round;
    struct bv_outbox_relay *relay = round->relay;
    row->state = rc == 0 ? ROW_DONE : ROW_FAILED;
    if (rc == 0)
        BV_FAILPOINT(RELAY_REPORTED);
    if (relay) {
        count_result(relay, rc);
        if (rc < 0)
            bv_log(relay->log,
                   BV_WARN,
                   "outbox.publish_failed",
                   &row->trace,
                   BV_F_STR("event_id", row->id),
                   BV_F_STR("key", row->key),
                   BV_F_TEXT("reason", error ? error->text : ""));
        const struct bv_span span = {.trace = row->trace,
                                     .name = "outbox publish",
                                     .kind = BV_SPAN_PRODUCER,
                                     .start_wall_us = row->start_wall_us,
                                     .end_wall_us = bv_wall_us(env_of(relay)),
                                     .error_code = rc};
        bv_span_finish(relay->spans, &span);
    }
    if (--round->out == 0)
        round_end(round);
}

/* The stored headers; the producer's span takes the place of the writer's when spans are kept. */
static size_t read_headers(struct round *round,
                           struct row *row,
                           struct bv_bytes text,
                           struct bv_header headers[BV_RECORD_HEADERS_MAX])
{
    struct bv_outbox_relay *relay = round->relay;
    const struct bv_json *root = NULL;
    size_t count = 0;
    if (bv_json_parse(round->arena, text, &root, NULL) < 0 || bv_json_type(root) != BV_JSON_OBJECT)
        return 0;
    for (struct bv_json_iter it = bv_json_iter(root);
         bv_json_next(&it) && count < BV_RECORD_HEADERS_MAX;) {
        struct bv_header *header = &headers[count++];
        *header = (struct bv_header){it.key, bv_json_string(it.value)};
        bool traced = bv_bytes_equal(it.key, BV_BYTES("traceparent"));
        if (traced && bv_breaks(BV_BREAK_DROP_TRACE_HEADER))
            count--;
        if (!traced || bv_trace_parse(header->value, &row->trace) < 0)
            continue;
        char *traceparent = relay->spans ? bv_arena_alloc(round->arena, BV_TRACEPARENT_SIZE) : NULL;
        if (!traceparent)
            continue;
        row->trace = bv_trace_child(env_of(relay), &row->trace, 0);
        bv_trace_format(&row->trace, traceparent);
        header->value = bv_bytes_of(traceparent);
    }
    return count;
}

/* Planted: what the relay takes as published without publishing it. */
#define ROW_LOST 1
static bool loses(const struct bv_record *record)
{
    static const struct bv_bytes end = BV_BYTES(".reserved.v1");
    struct bv_bytes type = bv_record_header(record, "event-type");
    return bv_breaks(BV_BREAK_LOSE_OUTBOX_ROW) && type.size > end.size &&
           memcmp(type.data + type.size - end.size, end.data, end.size) == 0;
}

static int
publish_row(struct round *round, struct row *row, const struct bv_pg_result *result, size_t i)
{
    struct bv_header headers[BV_RECORD_HEADERS_MAX];
    row->round = round;
    row->id = bv_arena_copy(round->arena, bv_pg_text(result, i, COLUMN_ID));
    row->key = bv_arena_copy(round->arena, bv_pg_text(result, i, COLUMN_KEY));
    row->start_wall_us = bv_wall_us(env_of(round->relay));
    struct bv_record record = {
        .topic = bv_pg_text(result, i, COLUMN_TOPIC),
        .key = row->key,
        .value = bv_pg_text(result, i, COLUMN_ENVELOPE),
        .headers = headers,
        .header_count = read_headers(round, row, bv_pg_text(result, i, COLUMN_HEADERS), headers),
        .partition = -1,
    };
    if (bv_arena_failed(round->arena))
        return BV_E_NOMEM;
    if (loses(&record))
        return ROW_LOST;
    return bv_bus_publish(round->relay->bus, &record, row_reported, row);
}

/* Publishes in order. A full queue ends the round early; a row that is refused at once blocks its
 * key. */
static void publish_rows(struct round *round, const struct bv_pg_result *result)
{
    size_t *failed = bv_arena_array(round->arena, size_t, round->count);
    size_t failed_count = 0;
    for (size_t i = 0; i < round->count && failed; i++) {
        struct row *row = &round->rows[i];
        struct bv_bytes key = bv_pg_text(result, i, COLUMN_KEY);
        if (blocked(round, &(struct row){.key = key}, failed, failed_count)) {
            row->state = ROW_FAILED;
            row->id = bv_arena_copy(round->arena, bv_pg_text(result, i, COLUMN_ID));
            row->key = bv_arena_copy(round->arena, key);
            continue;
        }
        int rc = publish_row(round, row, result, i);
        if (rc == BV_E_LIMIT || rc == BV_E_NOMEM || rc == BV_E_CLOSED)
            break;
        row->state = rc == ROW_LOST ? ROW_DONE : rc == 0 ? ROW_OUT : ROW_FAILED;
        round->out += rc == 0;
        if (rc < 0) {
            failed[failed_count++] = i;
            count_result(round->relay, rc);
            bv_log(round->relay->log,
                   BV_WARN,
                   "outbox.row_refused",
                   &row->trace,
                   BV_F_STR("event_id", row->id),
                   BV_F_TEXT("reason", bv_error_row(rc)->word));
        }
    }
}

static void round_start(struct bv_outbox_relay *relay, const struct bv_pg_result *result)
{
    size_t count = bv_pg_rows(result);
    gauge(relay->batch, (double)count);
    gauge(relay->age, count ? (double)bv_pg_int(result, 0, COLUMN_AGE_MS) / 1000.0 : 0);
    if (count == 0) {
        if (relay->again) {
            relay->again = false;
            ask_paced(relay);
        } else {
            rest(relay);
        }
        return;
    }
    struct round *round = calloc(1, sizeof *round + count * sizeof round->rows[0]);
    if (!round || bv_arena_open(8192 + count * 16384, &round->arena) < 0) {
        free(round);
        rest(relay);
        return;
    }
    round->relay = relay;
    round->count = count;
    relay->round = round;
    relay->state = RELAY_PUBLISHING;
    relay->again = false;
    bv_timer_set(relay->timer, relay->poll_ms, 0);
    BV_FAILPOINT(RELAY_SELECTED);
    publish_rows(round, result);
    BV_FAILPOINT(RELAY_PRODUCED);
    if (round->out == 0)
        round_end(round);
}

/* ---- asking ---- */

static void answered(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    struct bv_outbox_relay *relay = argument;
    if (relay->closing)
        return;
    if (rc < 0) {
        lead_set(relay, false, failure);
        bv_log(relay->log,
               BV_DEBUG,
               "outbox.round_failed",
               NULL,
               BV_F_TEXT("reason", failure ? failure->error.text : ""));
        rest(relay);
        return;
    }
    bool led = relay->leads;
    lead_set(relay, bv_pg_rows(results[0]) == 1 && bv_pg_bool(results[0], 0, 0), NULL);
    if (count > 1) {
        if (relay->done_count > 0)
            BV_FAILPOINT(RELAY_DELETED);
        bv_buf_reset(&relay->done_ids);
        relay->done_count = 0;
    }
    relay->state = RELAY_IDLE;
    if (!relay->leads)
        rest(relay);
    else if (!led || count < 3)
        ask(relay);
    else
        round_start(relay, results[2]);
}

/* A relay that stands by asks for the lock alone. */
static void ask(struct bv_outbox_relay *relay)
{
    struct bv_buf ids = {.max = SIZE_MAX / 2}, held = {.max = SIZE_MAX / 2};
    held_expire(relay);
    bv_pg_array_open(&held);
    for (size_t i = 0; i < relay->held_count; i++)
        bv_pg_array_text(&held, relay->held[i].key);
    bv_pg_array_close(&held);
    bv_pg_array_open(&ids);
    if (relay->done_ids.size > 0)
        bv_buf_append(&ids, relay->done_ids.data, relay->done_ids.size);
    bv_pg_array_close(&ids);
    const struct bv_pg_param lock[] = {BV_PG_P_INT(relay->lock_key)};
    const struct bv_pg_param delete[] = {BV_PG_P_TEXT(bv_buf_view(&ids))};
    const struct bv_pg_param select[] = {BV_PG_P_INT(relay->batch_max),
                                         BV_PG_P_TEXT(bv_buf_view(&held))};
    const struct bv_pg_query queries[] = {
        {&lock_statement,   lock,   1},
        {&delete_statement, delete, 1},
        {&select_statement, select, 2},
    };
    int rc = ids.failed || held.failed
                 ? BV_E_NOMEM
                 : bv_pg_call(relay->pg, queries, relay->leads ? 3 : 1, answered, relay);
    bv_buf_release(&ids);
    bv_buf_release(&held);
    if (rc < 0) {
        rest(relay);
        return;
    }
    if (relay->done_count > 0)
        BV_FAILPOINT(RELAY_DELETE_IN_DOUBT);
    relay->state = RELAY_ASKING;
    relay->pacing = false;
    relay->asked_at_ms = bv_mono_ms(env_of(relay));
    bv_timer_clear(relay->timer);
}

static void beaten(void *argument,
                   int rc,
                   const struct bv_pg_result *const *results,
                   size_t count,
                   const struct bv_pg_failure *failure)
{
    struct bv_outbox_relay *relay = argument;
    (void)count;
    if (relay->closing)
        return;
    if (rc < 0 || bv_pg_rows(results[0]) != 1 || !bv_pg_bool(results[0], 0, 0))
        lead_set(relay, false, failure);
    if (relay->state == RELAY_PUBLISHING)
        bv_timer_set(relay->timer, relay->poll_ms, 0);
}

/* Keeps the session, and with it the lock, while the broker makes us wait. */
static void beat(struct bv_outbox_relay *relay)
{
    const struct bv_pg_param lock[] = {BV_PG_P_INT(relay->lock_key)};
    const struct bv_pg_query query = {&lock_statement, lock, 1};
    if (bv_pg_call(relay->pg, &query, 1, beaten, relay) < 0)
        bv_timer_set(relay->timer, relay->poll_ms, 0);
}

static void timer_rings(void *argument)
{
    struct bv_outbox_relay *relay = argument;
    if (relay->state == RELAY_IDLE)
        ask(relay);
    else if (relay->state == RELAY_PUBLISHING)
        beat(relay);
}

static void kicked(void *argument)
{
    struct bv_outbox_relay *relay = argument;
    if (relay->state == RELAY_IDLE && relay->leads && !relay->pacing)
        ask_paced(relay);
}

void bv_outbox_relay_kick(struct bv_outbox_relay *relay)
{
    if (!relay)
        return;
    if (relay->state != RELAY_IDLE)
        relay->again = true;
    else if (relay->leads)
        bv_idle_arm(relay->idle);
}

bool bv_outbox_relay_leads(const struct bv_outbox_relay *relay)
{
    return relay->leads;
}

void bv_outbox_relay_close(struct bv_outbox_relay **slot)
{
    struct bv_outbox_relay *relay = *slot;
    if (!relay)
        return;
    *slot = NULL;
    relay->closing = true;
    bv_idle_close(&relay->idle);
    bv_timer_close(&relay->timer);
    bv_pg_close(&relay->pg);
    if (relay->round)
        relay->round->relay = NULL;
    for (size_t i = 0; i < relay->held_count; i++)
        free((void *)(uintptr_t)relay->held[i].key.data);
    bv_buf_release(&relay->done_ids);
    free(relay);
}

static int parts_open(struct bv_outbox_relay *relay, const char *conninfo)
{
    int64_t idle_ms = relay->poll_ms * IDLE_POLLS;
    char idle[64];
    snprintf(idle,
             sizeof idle,
             "SET idle_session_timeout = %lld",
             (long long)(idle_ms > IDLE_MS_MIN ? idle_ms : IDLE_MS_MIN));
    const char *const settings[] = {SESSION_SETTINGS, idle, NULL};
    const struct bv_pg_config config = {
        .conninfo = conninfo,
        .connections = 1,
        .calls_max = 4,
        .call_timeout_ms = 10000,
        .pipeline_depth = 1,
        .application = "outbox-relay",
        .on_connect = settings,
    };
    BV_TRY(bv_idle_open(relay->loop, kicked, relay, &relay->idle));
    BV_TRY(bv_timer_open(relay->loop, timer_rings, relay, &relay->timer));
    return bv_pg_open(relay->loop, &config, relay->metrics, &relay->pg);
}

int bv_outbox_relay_open(struct bv_loop *loop,
                         const struct bv_outbox_config *config,
                         struct bv_bus *bus,
                         struct bv_log *log,
                         struct bv_metrics *metrics,
                         struct bv_span_sink *spans,
                         struct bv_outbox_relay **ret_relay)
{
    int64_t batch_max = config->batch_max ? config->batch_max : 500;
    int64_t poll_ms = config->poll_ms ? config->poll_ms : 500;
    int64_t gather_ms = config->gather_ms ? config->gather_ms : 5;
    if (!config->conninfo || batch_max < 1 || batch_max > 10000 || poll_ms < 10 ||
        poll_ms > 60000 || gather_ms < 1 || gather_ms > 1000)
        return BV_E_INVALID;
    struct bv_outbox_relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return BV_E_NOMEM;
    *relay = (struct bv_outbox_relay){
        .loop = loop,
        .bus = bus,
        .log = log,
        .metrics = metrics,
        .spans = spans,
        .lock_key = config->lock_key ? config->lock_key : LOCK_KEY_DEFAULT,
        .batch_max = batch_max,
        .poll_ms = poll_ms,
        .gather_ms = gather_ms,
        .done_ids.max = SIZE_MAX / 2,
    };
    int rc = parts_open(relay, config->conninfo);
    if (rc < 0) {
        bv_outbox_relay_close(&relay);
        return rc;
    }
    if (metrics) {
        relay->leader = bv_metrics_series(metrics, &leader_metric, NULL, 0);
        relay->batch = bv_metrics_series(metrics, &batch_metric, NULL, 0);
        relay->age = bv_metrics_series(metrics, &age_metric, NULL, 0);
    }
    bv_timer_set(relay->timer, 0, 0);
    *ret_relay = relay;
    return 0;
}
