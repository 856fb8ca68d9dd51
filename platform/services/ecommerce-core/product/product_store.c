#include "product_store.h"
#include <stdlib.h>

#define ROW_BYTES_MAX (64 * 1024)
#define LIST_MAX 101

struct pg_store {
    struct product_store base;
    struct bv_pg *pg; /* owned */
    const struct bv_env *env;
};

struct ask {
    union {
        product_found *found;
        product_listed *listed;
        product_saved *saved;
    } done;
    void *argument;
};

#define COLUMNS                                                                                    \
    "tenant, sku, name, description, price_minor, currency, array_to_string(tags, ' '), version, " \
    "deleted, "                                                                                    \
    "(extract(epoch FROM created_at) * 1000000)::bigint, (extract(epoch FROM updated_at) * "       \
    "1000000)::bigint"
#define OUTBOX_INSERT(first)                                                                       \
    "b AS (INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, "          \
    "envelope) SELECT x.* FROM unnest(" first                                                      \
    ") AS x(id, topic, partition_key, sequence, event_type, headers, envelope) WHERE EXISTS "      \
    "(SELECT 1 FROM p)) SELECT sku FROM p"

static const struct bv_pg_statement find_sql = {
    "product_find", "SELECT " COLUMNS " FROM products WHERE tenant = $1 AND sku = $2"};
static const struct bv_pg_statement list_sql = {
    "product_list",
    "SELECT " COLUMNS " FROM products WHERE tenant = $1 AND NOT deleted AND ($2::text IS NULL OR "
    "tags @> ARRAY[$2::text]) "
    "AND ($3::text IS NULL OR search @@ websearch_to_tsquery('simple', $3)) AND ($4::text IS NULL "
    "OR sku > $4 COLLATE \"C\") "
    "ORDER BY sku COLLATE \"C\" LIMIT $5::bigint"};
static const struct bv_pg_statement insert_sql = {
    "product_insert",
    "WITH p AS (INSERT INTO products (tenant, sku, name, description, price_minor, currency, tags, "
    "version, created_at, updated_at) "
    "VALUES ($1, $2, $3, $4, $5::bigint, $6, $7::text[], 1, to_timestamp($8::bigint / 1000000.0), "
    "to_timestamp($8::bigint / 1000000.0)) "
    "ON CONFLICT DO NOTHING RETURNING sku), " OUTBOX_INSERT(
        "$9::uuid[], $10::text[], $11::text[], $12::bigint[], $13::text[], $14::text[], "
        "$15::text[]")};
static const struct bv_pg_statement update_sql = {
    "product_update",
    "WITH p AS (UPDATE products SET name = $3, description = $4, price_minor = $5::bigint, "
    "currency = $6, tags = $7::text[], version = $8::bigint, "
    "deleted = $9::bool, updated_at = to_timestamp($10::bigint / 1000000.0), created_at = "
    "to_timestamp($11::bigint / 1000000.0) "
    "WHERE tenant = $1 AND sku = $2 AND version = $8::bigint - 1 RETURNING sku), " OUTBOX_INSERT(
        "$12::uuid[], $13::text[], $14::text[], $15::bigint[], $16::text[], $17::text[], "
        "$18::text[]")};

static int
call(struct product_store *self, const struct bv_pg_query *query, bv_pg_done *done, struct ask ask)
{
    return bv_pg_ask(((struct pg_store *)self)->pg, query, 1, done, &ask, sizeof(ask));
}

static void read_tags(struct bv_bytes text, struct product *product)
{
    while (text.size > 0 && product->tag_count < PRODUCT_TAGS_MAX) {
        const char *space = memchr(text.data, ' ', text.size);
        size_t size = space ? (size_t)(space - text.data) : text.size;
        product->tags[product->tag_count++] = (struct bv_bytes){text.data, size};
        size += space ? 1 : 0;
        text = (struct bv_bytes){text.data + size, text.size - size};
    }
}

static void read_row(const struct bv_pg_result *result, size_t row, struct product *product)
{
    *product = (struct product){
        .tenant = bv_pg_text(result, row, 0),
        .sku = bv_pg_text(result, row, 1),
        .name = bv_pg_text(result, row, 2),
        .description = bv_pg_text(result, row, 3),
        .price_minor = bv_pg_int(result, row, 4),
        .currency = bv_pg_text(result, row, 5),
        .version = bv_pg_int(result, row, 7),
        .deleted = bv_pg_bool(result, row, 8),
        .created_at_us = bv_pg_int(result, row, 9),
        .updated_at_us = bv_pg_int(result, row, 10),
    };
    read_tags(bv_pg_text(result, row, 6), product);
}

static void on_found(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    struct product product;
    bool found = rc == 0 && bv_pg_rows(results[0]) > 0;
    if (found)
        read_row(results[0], 0, &product);
    ask.done.found(ask.argument, rc, found ? &product : NULL, rc < 0 ? &failure->error : NULL);
}

static int find(struct product_store *self,
                struct bv_bytes tenant,
                struct bv_bytes sku,
                product_found *done,
                void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(tenant), BV_PG_P_TEXT(sku)};
    return call(self,
                &(struct bv_pg_query){&find_sql, params, BV_COUNT(params)},
                on_found,
                (struct ask){.done.found = done, .argument = argument});
}

static void on_listed(void *argument,
                      int rc,
                      const struct bv_pg_result *const *results,
                      size_t count,
                      const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    size_t rows = rc == 0 ? bv_pg_rows(results[0]) : 0;
    struct product *products = calloc(rows + 1, sizeof(*products));
    if (!products) {
        ask.done.listed(ask.argument, BV_E_NOMEM, NULL, 0, NULL);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        read_row(results[0], i, &products[i]);
    ask.done.listed(ask.argument, rc, products, rows, rc < 0 ? &failure->error : NULL);
    free(products);
}

static struct bv_pg_param optional(struct bv_bytes text)
{
    return text.size > 0 ? BV_PG_P_TEXT(text) : BV_PG_P_NULL;
}

static int list(struct product_store *self,
                const struct product_query *query,
                product_listed *done,
                void *argument)
{
    struct bv_pg_param params[] = {BV_PG_P_TEXT(query->tenant),
                                   optional(query->tag),
                                   optional(query->text),
                                   optional(query->after_sku),
                                   BV_PG_P_INT(query->limit < LIST_MAX ? query->limit : LIST_MAX)};
    return call(self,
                &(struct bv_pg_query){&list_sql, params, BV_COUNT(params)},
                on_listed,
                (struct ask){.done.listed = done, .argument = argument});
}

static void on_saved(void *argument,
                     int rc,
                     const struct bv_pg_result *const *results,
                     size_t count,
                     const struct bv_pg_failure *failure)
{
    (void)count;
    const struct ask ask = *(const struct ask *)argument;
    ask.done.saved(
        ask.argument, rc, rc == 0 && bv_pg_rows(results[0]) > 0, rc < 0 ? &failure->error : NULL);
}

static int
outbox_row(struct pg_store *store, const struct product_change *change, struct bv_outbox_rows *rows)
{
    struct bv_buf payload = {.max = PRODUCT_JSON_MAX};
    struct bv_json_writer w = bv_json_writer(&payload);
    product_write(&w, change->product);
    struct bv_event event = {
        .type = bv_bytes_of(change->event_type),
        .producer = BV_BYTES("product"),
        .trace = change->trace,
        .correlation_id = change->correlation_id,
        .tenant = change->product->tenant,
        .partition_key = change->product->sku,
        .payload_text = bv_buf_view(&payload),
    };
    bv_event_stamp(store->env, &event);
    bv_outbox_rows_open(rows, ROW_BYTES_MAX);
    int rc = payload.failed
                 ? BV_E_TOO_LARGE
                 : bv_outbox_rows_add(rows, "ecommerce.products", change->product->version, &event);
    bv_outbox_rows_close(rows);
    bv_buf_release(&payload);
    return rc;
}

static int save(struct product_store *self,
                const struct product_change *change,
                product_saved *done,
                void *argument)
{
    const struct product *product = change->product;
    struct bv_outbox_rows rows = {0};
    struct bv_buf tags = {.max = ROW_BYTES_MAX};
    struct bv_pg_param params[11 + BV_OUTBOX_PARAMS] = {BV_PG_P_TEXT(product->tenant),
                                                        BV_PG_P_TEXT(product->sku),
                                                        BV_PG_P_TEXT(product->name),
                                                        BV_PG_P_TEXT(product->description),
                                                        BV_PG_P_INT(product->price_minor),
                                                        BV_PG_P_TEXT(product->currency)};
    bool inserts = product->version == 1;
    size_t count = 6;
    bv_pg_array_open(&tags);
    for (size_t i = 0; i < product->tag_count; i++)
        bv_pg_array_text(&tags, product->tags[i]);
    bv_pg_array_close(&tags);
    params[count++] = BV_PG_P_TEXT(bv_buf_view(&tags));
    if (!inserts) {
        params[count++] = BV_PG_P_INT(product->version);
        params[count++] = BV_PG_P_CSTR(product->deleted ? "true" : "false");
    }
    params[count++] = BV_PG_P_INT(product->updated_at_us);
    if (!inserts)
        params[count++] = BV_PG_P_INT(product->created_at_us);
    int rc = tags.failed ? BV_E_TOO_LARGE : outbox_row((struct pg_store *)self, change, &rows);
    if (rc == 0) {
        bv_outbox_rows_params(&rows, params + count);
        struct bv_pg_query query = {
            inserts ? &insert_sql : &update_sql, params, count + BV_OUTBOX_PARAMS};
        rc = call(self, &query, on_saved, (struct ask){.done.saved = done, .argument = argument});
    }
    bv_outbox_rows_release(&rows);
    bv_buf_release(&tags);
    return rc;
}

static bool ready(struct product_store *self)
{
    return bv_pg_ready(((struct pg_store *)self)->pg);
}

static void store_release(struct product_store **self)
{
    struct pg_store *store = (struct pg_store *)*self;
    if (!store)
        return;
    bv_pg_close(&store->pg);
    free(store);
    *self = NULL;
}

int product_store_pg_open(struct bv_loop *loop,
                          const struct bv_pg_config *config,
                          struct bv_metrics *metrics,
                          struct product_store **ret_store)
{
    static const struct product_store_ops ops = {find, list, save, ready, store_release};
    struct pg_store *store = calloc(1, sizeof(*store));
    if (!store)
        return BV_E_NOMEM;
    store->base.ops = &ops;
    store->env = bv_loop_env(loop);
    int rc = bv_pg_open(loop, config, metrics, &store->pg);
    if (rc < 0) {
        free(store);
        return rc;
    }
    *ret_store = &store->base;
    return 0;
}
