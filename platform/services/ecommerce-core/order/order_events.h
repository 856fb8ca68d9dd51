/* Orders as JSON: the API's representation, the event payload, and the outbox row of a transition.
 * Thread: any. */
#ifndef ORDER_EVENTS_H
#define ORDER_EVENTS_H

#include "order_store.h"
#include "bv/outbox.h"

#define ORDER_TOPIC "ecommerce.orders"
#define ORDER_PRODUCER "order"
#define ORDER_JSON_MAX (16 * 1024)

enum order_shape {
    ORDER_SHAPE_API,
    ORDER_SHAPE_EVENT
}; /* the API also tells createdAt and updatedAt */
void order_write(struct bv_json_writer *w, const struct order *order, enum order_shape shape);
/* Adds the event that announces order->state: sequence = order->version, key = order id. scratch
 * holds the payload meanwhile and is reset. */
BV_MUST_CHECK int order_outbox_add(struct bv_outbox_rows *rows,
                                   const struct bv_env *env,
                                   const struct order *order,
                                   struct bv_buf *scratch);

/* ecommerce.payment.* payload. */
struct order_payment {
    struct bv_bytes order_id;
    struct bv_bytes reason; /* declined: why */
    int64_t amount_minor;
    struct bv_bytes currency;
};
BV_MUST_CHECK int order_payment_decode(const struct bv_json *payload,
                                       struct order_payment *ret_payment,
                                       struct bv_error *error);

#endif
