#include "inventory_store.h"

#include "bv/json.h"
#include <stdlib.h>

#define ARRAY_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define RESULT_BYTES_MAX ((size_t)64 * 1024 * 1024)

#define NAME(name) #name,
const char *const inventory_cause_names[] = {INVENTORY_CAUSES(NAME)};
#undef NAME

struct pg_store {
    struct inventory_store base;
    struct bv_pg *pg; /* borrowed */
};

/* ---- lines ---- */

int inventory_lines_encode(struct bv_buf *buf, const struct inventory_line *lines, size_t count)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        bv_jw_object(&w);
        bv_jw_kv_string(&w, "sku", lines[i].sku);
        bv_jw_kv_int(&w, "quantity", lines[i].quantity);
        if (lines[i].available >= 0)
            bv_jw_kv_int(&w, "available", lines[i].available);
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

int inventory_lines_decode(struct bv_arena *arena,
                           struct bv_bytes text,
                           struct inventory_line **ret_lines,
                           size_t *ret_count)
{
    const struct bv_json *root = NULL;
    BV_TRY(bv_json_parse(arena, text, &root, NULL));
    size_t count = bv_json_size(root);
    struct inventory_line *lines = bv_arena_array(arena, struct inventory_line, count + 1);
    if (!lines)
        return BV_E_NOMEM;
    size_t i = 0;
    for (struct bv_json_iter it = bv_json_iter(root); bv_json_next(&it); i++)
        lines[i] = (struct inventory_line){bv_json_string(bv_json_get(it.value, "sku")),
                                           bv_json_int(bv_json_get(it.value, "quantity"), 0),
                                           bv_json_int(bv_json_get(it.value, "available"), -1)};
    *ret_lines = lines;
    *ret_count = count;
    return 0;
}

/* ---- array parameters: one buffer per column ---- */

struct columns {
    struct bv_buf *bufs; /* owned */
    size_t count;
};

static int columns_open(struct columns *columns, size_t count)
{
    columns->bufs = calloc(count, sizeof *columns->bufs);
    if (!columns->bufs)
        return BV_E_NOMEM;
    columns->count = count;
    for (size_t i = 0; i < count; i++) {
        columns->bufs[i].max = ARRAY_BYTES_MAX;
        bv_pg_array_open(&columns->bufs[i]);
    }
    return 0;
}

static int columns_close(struct columns *columns, struct bv_pg_param *params)
{
    for (size_t i = 0; i < columns->count; i++) {
        bv_pg_array_close(&columns->bufs[i]);
        if (columns->bufs[i].failed)
            return BV_E_TOO_LARGE;
        params[i] = BV_PG_P_TEXT(bv_buf_view(&columns->bufs[i]));
    }
    return 0;
}

static void columns_release(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        bv_buf_release(&columns->bufs[i]);
    free(columns->bufs);
    *columns = (struct columns){0};
}

static void put_optional(struct bv_buf *column, struct bv_bytes value)
{
    if (value.size > 0)
        bv_pg_array_text(column, value);
    else
        bv_pg_array_null(column);
}

static void put_keys(struct bv_buf *columns, const struct inventory_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bv_pg_array_text(&columns[0], keys[i].tenant);
        bv_pg_array_text(&columns[1], keys[i].name);
    }
}

/* ---- loading ---- */

static const struct bv_pg_statement load_stock = {
    "inventory_load_stock",
    "SELECT s.tenant, s.sku, s.on_hand, s.reserved, s.version FROM unnest($1::text[], $2::text[]) "
    "AS k (tenant, sku)"
    " JOIN stock s ON s.tenant = k.tenant AND s.sku = k.sku"};
static const struct bv_pg_statement load_tenant_stock = {
    "inventory_load_tenant",
    "SELECT tenant, sku, on_hand, reserved, version FROM stock WHERE tenant = $1 ORDER BY sku"};
static const struct bv_pg_statement load_reservations = {
    "inventory_load_reservations",
    "SELECT order_id, tenant, state, version, lines FROM reservations WHERE order_id = "
    "ANY($1::uuid[])"};
static const struct bv_pg_statement load_adjustments = {
    "inventory_load_adjustments",
    "SELECT a.tenant, a.key, a.sku, a.delta, a.reason, a.adjusted, a.on_hand, a.reserved, a.version"
    " FROM unnest($1::text[], $2::text[]) AS k (tenant, key) JOIN adjustments a ON a.tenant = "
    "k.tenant AND a.key = k.key"};
static const struct bv_pg_statement load_history = {
    "inventory_history",
    "SELECT l.tenant, l.sku, l.on_hand, l.reserved, l.version, l.delta_on_hand, l.delta_reserved, "
    "l.cause, l.order_id, l.reason,"
    " (extract(epoch FROM l.at) * 1000000)::bigint"
    " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (tenant, sku, after)"
    " JOIN ledger l ON l.tenant = k.tenant AND l.sku = k.sku AND l.version > k.after ORDER BY "
    "l.tenant, l.sku, l.version LIMIT $4::bigint"};

enum part { PART_STOCK, PART_RESERVATIONS, PART_ADJUSTMENTS, PART_COUNT };
struct loading {
    inventory_loaded *done;
    void *argument;
    int at[PART_COUNT]; /* index of the part's statement in the call, -1: not asked */
};

static struct inventory_level level_at(const struct bv_pg_result *r, size_t row, int column)
{
    return (struct inventory_level){
        bv_pg_int(r, row, column), bv_pg_int(r, row, column + 1), bv_pg_int(r, row, column + 2)};
}

static struct inventory_key key_at(const struct bv_pg_result *r, size_t row)
{
    return (struct inventory_key){bv_pg_text(r, row, 0), bv_pg_text(r, row, 1)};
}

static int
decode_stock(struct bv_arena *arena, const struct bv_pg_result *r, struct inventory_found *found)
{
    struct inventory_stock_row *rows =
        bv_arena_array(arena, struct inventory_stock_row, bv_pg_rows(r) + 1);
    if (!rows)
        return BV_E_NOMEM;
    for (size_t i = 0; i < bv_pg_rows(r); i++)
        rows[i] = (struct inventory_stock_row){.key = key_at(r, i), .level = level_at(r, i, 2)};
    found->stock = rows;
    found->stock_count = bv_pg_rows(r);
    return 0;
}

static int decode_reservations(struct bv_arena *arena,
                               const struct bv_pg_result *r,
                               struct inventory_found *found)
{
    struct inventory_reservation *rows =
        bv_arena_array(arena, struct inventory_reservation, bv_pg_rows(r) + 1);
    if (!rows)
        return BV_E_NOMEM;
    for (size_t i = 0; i < bv_pg_rows(r); i++) {
        struct inventory_line *lines = NULL;
        BV_TRY(inventory_lines_decode(arena, bv_pg_text(r, i, 4), &lines, &rows[i].line_count));
        struct bv_bytes state = bv_pg_text(r, i, 2);
        rows[i].order_id = bv_pg_text(r, i, 0);
        rows[i].tenant = bv_pg_text(r, i, 1);
        rows[i].state = inventory_state_named(state.data, state.size);
        rows[i].version = bv_pg_int(r, i, 3);
        rows[i].lines = lines;
        if (rows[i].state == INVENTORY_STATE_COUNT)
            return BV_E_INTERNAL;
    }
    found->reservations = rows;
    found->reservation_count = bv_pg_rows(r);
    return 0;
}

static int decode_adjustments(struct bv_arena *arena,
                              const struct bv_pg_result *r,
                              struct inventory_found *found)
{
    struct inventory_adjustment *rows =
        bv_arena_array(arena, struct inventory_adjustment, bv_pg_rows(r) + 1);
    if (!rows)
        return BV_E_NOMEM;
    for (size_t i = 0; i < bv_pg_rows(r); i++)
        rows[i] = (struct inventory_adjustment){
            key_at(r, i),
            bv_pg_text(r, i, 2),
            bv_pg_int(r, i, 3),
            bv_pg_text(r, i, 4),
            bv_pg_bool(r, i, 5) ? INVENTORY_ANSWER_ADJUSTED : INVENTORY_ANSWER_WOULD_BE_NEGATIVE,
            level_at(r, i, 6)};
    found->adjustments = rows;
    found->adjustment_count = bv_pg_rows(r);
    return 0;
}

static int decode_found(struct bv_arena *arena,
                        const struct loading *loading,
                        const struct bv_pg_result *const *results,
                        struct inventory_found *found)
{
    static int (*const decode[PART_COUNT])(
        struct bv_arena *, const struct bv_pg_result *, struct inventory_found *) = {
        decode_stock, decode_reservations, decode_adjustments};
    for (size_t part = 0; part < PART_COUNT; part++)
        if (loading->at[part] >= 0)
            BV_TRY(decode[part](arena, results[loading->at[part]], found));
    return 0;
}

static void load_done(void *argument,
                      int rc,
                      const struct bv_pg_result *const *results,
                      size_t count,
                      const struct bv_pg_failure *failure)
{
    struct loading loading = *(struct loading *)argument;
    free(argument);
    (void)count;
    struct bv_error error = {0};
    struct inventory_found found = {0};
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    if (rc < 0)
        error = failure->error;
    else if ((rc = bv_arena_open(RESULT_BYTES_MAX, &arena)) < 0 ||
             (rc = decode_found(arena, &loading, results, &found)) < 0)
        bv_fail(&error, rc, "rows of inventory cannot be read");
    loading.done(loading.argument, rc, rc == 0 ? &found : NULL, rc == 0 ? NULL : &error);
}

static int load_send(struct pg_store *store,
                     const struct bv_pg_query *queries,
                     size_t count,
                     struct loading loading)
{
    if (count == 0)
        return BV_E_INVALID;
    struct loading *kept = malloc(sizeof *kept);
    if (!kept)
        return BV_E_NOMEM;
    *kept = loading;
    int rc = bv_pg_call(store->pg, queries, count, load_done, kept);
    if (rc < 0)
        free(kept);
    return rc;
}

static int pg_load(struct inventory_store *self,
                   const struct inventory_want *want,
                   inventory_loaded *done,
                   void *argument)
{
    struct columns columns = {0};
    struct bv_pg_param params[5];
    struct bv_pg_query queries[PART_COUNT];
    struct loading loading = {
        done, argument, {-1, -1, -1}
    };
    size_t count = 0;
    BV_TRY(columns_open(&columns, BV_COUNT(params)));
    put_keys(&columns.bufs[0], want->skus, want->sku_count);
    for (size_t i = 0; i < want->order_count; i++)
        bv_pg_array_text(&columns.bufs[2], want->order_ids[i]);
    put_keys(&columns.bufs[3], want->adjustments, want->adjustment_count);
    int rc = columns_close(&columns, params);
    const struct {
        size_t wanted;
        struct bv_pg_query query;
    } parts[PART_COUNT] = {
        {want->sku_count,        {&load_stock, &params[0], 2}       },
        {want->order_count,      {&load_reservations, &params[2], 1}},
        {want->adjustment_count, {&load_adjustments, &params[3], 2} },
    };
    for (size_t part = 0; part < PART_COUNT; part++)
        if (parts[part].wanted > 0) {
            loading.at[part] = (int)count;
            queries[count++] = parts[part].query;
        }
    if (rc == 0)
        rc = load_send((struct pg_store *)self, queries, count, loading);
    columns_release(&columns);
    return rc;
}

static int pg_load_tenant(struct inventory_store *self,
                          struct bv_bytes tenant,
                          inventory_loaded *done,
                          void *argument)
{
    struct bv_pg_param param = BV_PG_P_TEXT(tenant);
    struct bv_pg_query query = {&load_tenant_stock, &param, 1};
    return load_send((struct pg_store *)self,
                     &query,
                     1,
                     (struct loading){
                         done, argument, {0, -1, -1}
    });
}

/* ---- applying ---- */

enum apply_column { /* as the parameters of inventory_apply */
                    S_TENANT,
                    S_SKU,
                    S_EXPECTED,
                    S_ON_HAND,
                    S_RESERVED,
                    S_VERSION,
                    L_TENANT,
                    L_SKU,
                    L_VERSION,
                    L_DELTA_ON_HAND,
                    L_DELTA_RESERVED,
                    L_ON_HAND,
                    L_RESERVED,
                    L_CAUSE,
                    L_ORDER_ID,
                    L_REASON,
                    R_ORDER_ID,
                    R_TENANT,
                    R_EXPECTED,
                    R_STATE,
                    R_VERSION,
                    R_LINES,
                    A_TENANT,
                    A_KEY,
                    A_SKU,
                    A_DELTA,
                    A_REASON,
                    A_ADJUSTED,
                    A_ON_HAND,
                    A_RESERVED,
                    A_VERSION,
                    APPLY_COLUMNS
};
#define APPLY_PARAMS (APPLY_COLUMNS + BV_OUTBOX_PARAMS + 1)

static const struct bv_pg_statement apply_statement = {
    "inventory_apply",
    "SELECT inventory_apply($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::bigint[],"
    " $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], "
    "$13::bigint[], $14::text[], $15::uuid[], $16::text[],"
    " $17::uuid[], $18::text[], $19::bigint[], $20::text[], $21::bigint[], $22::text[],"
    " $23::text[], $24::text[], $25::text[], $26::bigint[], $27::text[], $28::boolean[], "
    "$29::bigint[], $30::bigint[], $31::bigint[],"
    " $32::uuid[], $33::text[], $34::text[], $35::bigint[], $36::text[], $37::text[], $38::text[], "
    "$39::timestamptz)"};

static void put_stock(struct bv_buf *b, const struct inventory_stock_row *row)
{
    bv_pg_array_text(&b[S_TENANT], row->key.tenant);
    bv_pg_array_text(&b[S_SKU], row->key.name);
    bv_pg_array_int(&b[S_EXPECTED], row->expected);
    bv_pg_array_int(&b[S_ON_HAND], row->level.on_hand);
    bv_pg_array_int(&b[S_RESERVED], row->level.reserved);
    bv_pg_array_int(&b[S_VERSION], row->level.version);
}

static void put_change(struct bv_buf *b, const struct inventory_change *change)
{
    bv_pg_array_text(&b[L_TENANT], change->key.tenant);
    bv_pg_array_text(&b[L_SKU], change->key.name);
    bv_pg_array_int(&b[L_VERSION], change->level.version);
    bv_pg_array_int(&b[L_DELTA_ON_HAND], change->delta.on_hand);
    bv_pg_array_int(&b[L_DELTA_RESERVED], change->delta.reserved);
    bv_pg_array_int(&b[L_ON_HAND], change->level.on_hand);
    bv_pg_array_int(&b[L_RESERVED], change->level.reserved);
    bv_pg_array_text(&b[L_CAUSE], bv_bytes_of(inventory_cause_names[change->cause]));
    put_optional(&b[L_ORDER_ID], change->order_id);
    put_optional(&b[L_REASON], change->reason);
}

static int put_reservation(struct bv_buf *b, const struct inventory_reservation *row)
{
    struct bv_buf lines = {.max = 64 * 1024};
    int rc = inventory_lines_encode(&lines, row->lines, row->line_count);
    bv_pg_array_text(&b[R_ORDER_ID], row->order_id);
    bv_pg_array_text(&b[R_TENANT], row->tenant);
    bv_pg_array_int(&b[R_EXPECTED], row->expected);
    bv_pg_array_text(&b[R_STATE], bv_bytes_of(inventory_state_names[row->state]));
    bv_pg_array_int(&b[R_VERSION], row->version);
    bv_pg_array_text(&b[R_LINES], bv_buf_view(&lines));
    bv_buf_release(&lines);
    return rc;
}

static void put_adjustment(struct bv_buf *b, const struct inventory_adjustment *row)
{
    bv_pg_array_text(&b[A_TENANT], row->key.tenant);
    bv_pg_array_text(&b[A_KEY], row->key.name);
    bv_pg_array_text(&b[A_SKU], row->sku);
    bv_pg_array_int(&b[A_DELTA], row->delta);
    bv_pg_array_text(&b[A_REASON], row->reason);
    bv_pg_array_text(&b[A_ADJUSTED],
                     row->answer == INVENTORY_ANSWER_ADJUSTED ? BV_BYTES("t") : BV_BYTES("f"));
    bv_pg_array_int(&b[A_ON_HAND], row->level.on_hand);
    bv_pg_array_int(&b[A_RESERVED], row->level.reserved);
    bv_pg_array_int(&b[A_VERSION], row->level.version);
}

struct applying {
    inventory_applied *done;
    void *argument;
};

static void apply_done(void *argument,
                       int rc,
                       const struct bv_pg_result *const *results,
                       size_t count,
                       const struct bv_pg_failure *failure)
{
    struct applying applying = *(struct applying *)argument;
    free(argument);
    (void)results;
    (void)count;
    if (rc == BV_E_EXISTS) /* another replica made the same change, order or key first */
        rc = BV_E_CONFLICT;
    applying.done(applying.argument, rc, rc < 0 ? &failure->error : NULL);
}

static int apply_send(struct pg_store *store,
                      const struct bv_pg_param *params,
                      inventory_applied *done,
                      void *argument)
{
    struct applying *kept = malloc(sizeof *kept);
    if (!kept)
        return BV_E_NOMEM;
    *kept = (struct applying){done, argument};
    struct bv_pg_query query = {&apply_statement, params, APPLY_PARAMS};
    int rc = bv_pg_call(store->pg, &query, 1, apply_done, kept);
    if (rc < 0)
        free(kept);
    return rc;
}

static int pg_apply(struct inventory_store *self,
                    const struct inventory_write *write,
                    inventory_applied *done,
                    void *argument)
{
    struct columns columns = {0};
    struct bv_pg_param params[APPLY_PARAMS];
    char at[BV_TIME_TEXT_SIZE];
    BV_TRY(columns_open(&columns, APPLY_COLUMNS));
    int rc = 0;
    for (size_t i = 0; i < write->stock_count; i++)
        put_stock(columns.bufs, &write->stock[i]);
    for (size_t i = 0; i < write->change_count; i++)
        put_change(columns.bufs, &write->changes[i]);
    for (size_t i = 0; i < write->reservation_count && rc == 0; i++)
        rc = put_reservation(columns.bufs, &write->reservations[i]);
    for (size_t i = 0; i < write->adjustment_count; i++)
        put_adjustment(columns.bufs, &write->adjustments[i]);
    if (rc == 0)
        rc = columns_close(&columns, params);
    bv_outbox_rows_params(write->outbox, &params[APPLY_COLUMNS]);
    bv_time_format(write->at_us, at);
    params[APPLY_PARAMS - 1] = BV_PG_P_CSTR(at);
    if (rc == 0)
        rc = apply_send((struct pg_store *)self, params, done, argument);
    columns_release(&columns);
    return rc;
}

/* ---- history ---- */

struct listing {
    inventory_listed *done;
    void *argument;
};

static struct inventory_change change_at(const struct bv_pg_result *r, size_t row)
{
    struct bv_bytes cause = bv_pg_text(r, row, 7);
    struct inventory_change change = {
        key_at(r, row),
        level_at(r, row, 2),
        {bv_pg_int(r, row, 5), bv_pg_int(r, row, 6)},
        INVENTORY_CAUSE_RESERVE,
        bv_pg_text(r, row, 8),
        bv_pg_text(r, row, 9),
        bv_pg_int(r, row, 10)
    };
    for (size_t i = 0; i < INVENTORY_CAUSE_COUNT; i++)
        if (bv_bytes_equal(cause, bv_bytes_of(inventory_cause_names[i])))
            change.cause = (enum inventory_cause)i;
    return change;
}

static void history_done(void *argument,
                         int rc,
                         const struct bv_pg_result *const *results,
                         size_t count,
                         const struct bv_pg_failure *failure)
{
    struct listing listing = *(struct listing *)argument;
    free(argument);
    (void)count;
    if (rc < 0) {
        listing.done(listing.argument, rc, NULL, 0, &failure->error);
        return;
    }
    size_t rows = bv_pg_rows(results[0]);
    struct inventory_change *changes = calloc(rows + 1, sizeof *changes);
    for (size_t i = 0; changes && i < rows; i++)
        changes[i] = change_at(results[0], i);
    struct bv_error error = {0};
    if (!changes)
        rc = bv_fail(&error, BV_E_NOMEM, "no memory for %zu ledger rows", rows);
    listing.done(listing.argument, rc, changes, rc == 0 ? rows : 0, rc == 0 ? NULL : &error);
    free(changes);
}

static int pg_history(struct inventory_store *self,
                      const struct inventory_key *skus,
                      const int64_t *after,
                      size_t count,
                      size_t limit,
                      inventory_listed *done,
                      void *argument)
{
    struct columns columns = {0};
    struct bv_pg_param params[4];
    struct listing *kept = malloc(sizeof *kept);
    int rc = kept ? columns_open(&columns, 3) : BV_E_NOMEM;
    if (rc == 0) {
        *kept = (struct listing){done, argument};
        put_keys(columns.bufs, skus, count);
        for (size_t i = 0; i < count; i++)
            bv_pg_array_int(&columns.bufs[2], after[i]);
        rc = columns_close(&columns, params);
    }
    if (rc == 0) {
        params[3] = BV_PG_P_INT(limit);
        struct bv_pg_query query = {&load_history, params, 4};
        rc = bv_pg_call(((struct pg_store *)self)->pg, &query, 1, history_done, kept);
    }
    columns_release(&columns);
    if (rc < 0)
        free(kept);
    return rc;
}

/* ---- life ---- */

static bool pg_ready(const struct inventory_store *self)
{
    return bv_pg_ready(((const struct pg_store *)self)->pg);
}

static void pg_close(struct inventory_store **self)
{
    free(*self);
    *self = NULL;
}

int inventory_store_pg_open(struct bv_pg *pg, struct inventory_store **ret_store)
{
    static const struct inventory_store_ops ops = {
        pg_load, pg_load_tenant, pg_apply, pg_history, pg_ready, pg_close};
    struct pg_store *store = calloc(1, sizeof *store);
    if (!store)
        return BV_E_NOMEM;
    store->base.ops = &ops;
    store->pg = pg;
    *ret_store = &store->base;
    return 0;
}
