#include "inventory_events.h"

#include "bv/event.h"

#define PAYLOAD_BYTES_MAX (64 * 1024)

static const char *const types[INVENTORY_CAUSE_COUNT] = {
    [INVENTORY_CAUSE_RESERVE] = "ecommerce.stock.reserved.v1",
    [INVENTORY_CAUSE_COMMIT] = "ecommerce.stock.committed.v1",
    [INVENTORY_CAUSE_RELEASE] = "ecommerce.stock.released.v1",
    [INVENTORY_CAUSE_ADJUST] = "ecommerce.stock.adjusted.v1",
};

/* Of on_hand where stock came or left, otherwise of what is available. */
static int64_t public_delta(const struct inventory_change *change)
{
    return change->delta.on_hand != 0 ? change->delta.on_hand : -change->delta.reserved;
}

static void write_payload(struct bv_buf *buf, const struct inventory_fact *fact)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    if (fact->order_id.size > 0)
        bv_jw_kv_string(&w, "orderId", fact->order_id);
    if (fact->reason.size > 0)
        bv_jw_kv_string(&w, "reason", fact->reason);
    bv_jw_key(&w, "lines");
    bv_jw_array(&w);
    for (size_t i = 0; i < fact->change_count; i++) {
        const struct inventory_change *change = &fact->changes[i];
        bv_jw_object(&w);
        bv_jw_kv_string(&w, "sku", change->key.name);
        bv_jw_kv_int(&w, "delta", public_delta(change));
        bv_jw_kv_int(&w, "onHand", change->level.on_hand);
        bv_jw_kv_int(&w, "reserved", change->level.reserved);
        bv_jw_kv_int(&w, "available", inventory_available(&change->level));
        bv_jw_kv_int(&w, "version", change->level.version);
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    bv_jw_end(&w);
}

int inventory_events_add(struct bv_outbox_rows *rows,
                         const struct bv_env *env,
                         const struct inventory_fact *fact)
{
    struct bv_buf payload = {.max = PAYLOAD_BYTES_MAX};
    write_payload(&payload, fact);
    int rc = payload.failed ? BV_E_TOO_LARGE : 0;
    if (rc == 0) {
        struct bv_event event = {
            .type = bv_bytes_of(types[fact->cause]),
            .occurred_at_us = fact->at_us,
            .producer = BV_BYTES("inventory"),
            .trace = *fact->trace,
            .correlation_id = fact->correlation_id,
            .tenant = fact->tenant,
            .partition_key = fact->order_id.size > 0 ? fact->order_id : fact->changes[0].key.name,
            .payload_text = bv_buf_view(&payload),
        };
        bv_event_stamp(env, &event);
        rc = bv_outbox_rows_add(rows, INVENTORY_TOPIC, fact->sequence, &event);
    }
    bv_buf_release(&payload);
    return rc;
}

int inventory_events_read(struct bv_arena *arena,
                          struct bv_bytes envelope,
                          struct inventory_news **ret_news,
                          size_t *ret_count)
{
    struct bv_event event;
    BV_TRY(bv_event_decode(arena, envelope, &event, NULL));
    const struct bv_json *lines = bv_json_get(event.payload, "lines");
    size_t count = bv_json_size(lines);
    if (count == 0 || count > INVENTORY_LINES_MAX)
        return BV_E_UNPROCESSABLE;
    struct inventory_news *news = bv_arena_array(arena, struct inventory_news, count);
    if (!news)
        return BV_E_NOMEM;
    size_t i = 0;
    for (struct bv_json_iter it = bv_json_iter(lines); bv_json_next(&it); i++)
        news[i] = (struct inventory_news){
            {event.tenant, bv_json_string(bv_json_get(it.value, "sku"))},
            {bv_json_int(bv_json_get(it.value, "onHand"), 0),
             bv_json_int(bv_json_get(it.value, "reserved"), 0),
             bv_json_int(bv_json_get(it.value, "version"), 0)},
        };
    *ret_news = news;
    *ret_count = count;
    return 0;
}
