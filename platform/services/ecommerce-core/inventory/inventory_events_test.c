#include "inventory_events.h"

#include "bv/event.h"
#include "bv/schema.h"
#include "bv/test_stack.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
#define ORDER_ID "01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01"

struct row {
    enum inventory_cause cause;
    struct inventory_delta delta;
    const char *order_id;
    const char *reason;
    const char *type;
    const char *key;
    int64_t delta_told;
};
static const struct row rows[] = {
    {INVENTORY_CAUSE_RESERVE, {0, 2},   ORDER_ID, "",      "ecommerce.stock.reserved.v1",  ORDER_ID, -2},
    {INVENTORY_CAUSE_COMMIT,  {-2, -2}, ORDER_ID, "",      "ecommerce.stock.committed.v1", ORDER_ID, -2},
    {INVENTORY_CAUSE_RELEASE, {0, -2},  ORDER_ID, "why",   "ecommerce.stock.released.v1",  ORDER_ID, 2 },
    {INVENTORY_CAUSE_ADJUST,  {5, 0},   "",       "count", "ecommerce.stock.adjusted.v1",  "MUG",    5 },
};

/* The one envelope of rows, unescaped from the array literal it stands in. */
static struct bv_bytes envelope_of(struct bv_arena *arena, const struct bv_outbox_rows *outbox)
{
    struct bv_bytes literal = bv_buf_view(&outbox->envelope);
    char *text = bv_arena_alloc(arena, literal.size);
    size_t size = 0;
    for (size_t i = 2; i + 2 < literal.size; i++) { /* {"…"} */
        if (literal.data[i] == '\\')
            i++;
        text[size++] = literal.data[i];
    }
    return (struct bv_bytes){text, size};
}

static struct bv_bytes encode(struct bv_arena *arena, const struct row *row)
{
    struct inventory_change change = {
        .key = {BV_BYTES("default"), BV_BYTES("MUG")},
        .level = {40, 2, 7},
        .delta = row->delta,
        .cause = row->cause
    };
    struct bv_trace trace = bv_trace_child(&env, NULL, 0);
    struct inventory_fact fact = {.cause = row->cause,
                                  .trace = &trace,
                                  .correlation_id = BV_BYTES("corr-1"),
                                  .tenant = BV_BYTES("default"),
                                  .order_id = bv_bytes_of(row->order_id),
                                  .reason = bv_bytes_of(row->reason),
                                  .sequence = 3,
                                  .at_us = bv_wall_us(&env) / 1000 * 1000,
                                  .changes = &change,
                                  .change_count = 1};
    struct bv_outbox_rows outbox;
    bv_outbox_rows_open(&outbox, 65536);
    cr_assert_eq(inventory_events_add(&outbox, &env, &fact), 0);
    bv_outbox_rows_close(&outbox);
    struct bv_bytes envelope = envelope_of(arena, &outbox);
    bv_outbox_rows_release(&outbox);
    return envelope;
}

Test(inventory_events, keep_the_contract_of_their_type)
{
    struct bv_schemas *schemas = NULL;
    struct bv_error error = {0};
    char folder[512];
    snprintf(folder, sizeof folder, "%s/contracts/events", bv_test_source_folder());
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    cr_assert_eq(bv_schemas_add_folder(schemas, folder, &error), 0, "%s", error.text);
    cr_assert_eq(bv_schemas_link(schemas, &error), 0, "%s", error.text);
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_arena *arena = NULL;
        const struct bv_json *root = NULL;
        char name[128];
        cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
        struct bv_bytes envelope = encode(arena, &rows[i]);
        cr_assert_eq(bv_json_parse(arena, envelope, &root, &error),
                     0,
                     "%.*s: %s",
                     BV_ARG(envelope),
                     error.text);
        snprintf(name, sizeof name, "%s.schema.json", rows[i].type);
        cr_expect_eq(bv_schemas_check(schemas, bv_bytes_of(name), root, &error),
                     0,
                     "%s %s: %.*s",
                     error.pointer,
                     error.text,
                     BV_ARG(envelope));
        cr_expect(bv_bytes_equal(bv_json_string(bv_json_get(root, "eventType")),
                                 bv_bytes_of(rows[i].type)));
        cr_expect(bv_bytes_equal(bv_json_string(bv_json_get(root, "partitionKey")),
                                 bv_bytes_of(rows[i].key)));
        cr_expect_eq(bv_json_int(bv_json_pointer(root, BV_BYTES("/payload/lines/0/delta")), 0),
                     rows[i].delta_told);
        bv_arena_close(&arena);
    }
    bv_schemas_close(&schemas);
}

Test(inventory_events, read_back_what_they_wrote)
{
    struct bv_arena *arena = NULL;
    struct inventory_news *news = NULL;
    size_t count = 0;
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(inventory_events_read(arena, encode(arena, &rows[0]), &news, &count), 0);
    cr_assert_eq(count, 1);
    cr_expect(bv_bytes_equal(news->key.name, BV_BYTES("MUG")));
    cr_expect(bv_bytes_equal(news->key.tenant, BV_BYTES("default")));
    cr_expect(news->level.on_hand == 40 && news->level.reserved == 2 && news->level.version == 7);
    cr_expect_lt(inventory_events_read(arena, BV_BYTES("{}"), &news, &count), 0);
    bv_arena_close(&arena);
}
