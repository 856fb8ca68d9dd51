#include "order_events.h"

static void write_time(struct bv_json_writer *w, const char *key, int64_t wall_us)
{
    char text[BV_TIME_TEXT_SIZE];
    bv_time_format(wall_us, text);
    bv_jw_kv_text(w, key, text);
}

static void write_items(struct bv_json_writer *w, const struct order *order)
{
    bv_jw_key(w, "items");
    bv_jw_array(w);
    for (size_t i = 0; i < order->item_count; i++) {
        bv_jw_object(w);
        bv_jw_kv_string(w, "sku", order->items[i].sku);
        bv_jw_kv_int(w, "quantity", order->items[i].quantity);
        bv_jw_kv_int(w, "unitPriceMinor", order->items[i].unit_price_minor);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

void order_write(struct bv_json_writer *w, const struct order *order, enum order_shape shape)
{
    bv_jw_object(w);
    bv_jw_kv_text(w, "orderId", order->order_id);
    bv_jw_kv_int(w, "version", order->version);
    bv_jw_kv_text(w, "state", order_state_name(order->state));
    bv_jw_kv_string(w, "customerId", order->customer_id);
    write_items(w, order);
    bv_jw_kv_int(w, "totalMinor", order->total_minor);
    bv_jw_kv_string(w, "currency", order->currency);
    if (shape == ORDER_SHAPE_API) {
        write_time(w, "createdAt", order->created_at_us);
        write_time(w, "updatedAt", order->updated_at_us);
    }
    if (order->reason.size > 0)
        bv_jw_kv_string(w, "reason", order->reason);
    bv_jw_end(w);
}

int order_outbox_add(struct bv_outbox_rows *rows,
                     const struct bv_env *env,
                     const struct order *order,
                     struct bv_buf *scratch)
{
    struct bv_json_writer w = bv_json_writer(scratch);
    order_write(&w, order, ORDER_SHAPE_EVENT);
    if (scratch->failed)
        return BV_E_TOO_LARGE;
    struct bv_event event = {
        .type = bv_bytes_of(order_state_announcement(order->state)),
        .producer = BV_BYTES(ORDER_PRODUCER),
        .trace = order->trace,
        .correlation_id = order->correlation_id,
        .tenant = order->tenant,
        .partition_key = bv_bytes_of(order->order_id),
        .payload_text = bv_buf_view(scratch),
    };
    bv_event_stamp(env, &event);
    int rc = bv_outbox_rows_add(rows, ORDER_TOPIC, order->version, &event);
    bv_buf_reset(scratch);
    return rc;
}

int order_payment_decode(const struct bv_json *payload,
                         struct order_payment *ret_payment,
                         struct bv_error *error)
{
    static const struct bv_field fields[] = {
        {"orderId",     offsetof(struct order_payment, order_id),     BV_FIELD_STRING, true,  36, 36                       },
        {"amountMinor",
         offsetof(struct order_payment,                amount_minor),
         BV_FIELD_INT64,                                                               true,
         0,                                                                                       INT64_C(5000000000000000)},
        {"currency",    offsetof(struct order_payment, currency),     BV_FIELD_STRING, true,  3,  3                        },
        {"reason",
         offsetof(struct order_payment,                reason),
         BV_FIELD_STRING,                                                              false,
         1,                                                                                       ORDER_REASON_MAX         },
    };
    struct order_payment payment = {0};
    BV_TRY(bv_json_decode(payload, fields, BV_COUNT(fields), BV_LENIENT, &payment, error));
    *ret_payment = payment;
    return 0;
}
