/* The life of an order: pure decisions, (state, event) to (state, effects). No I/O, no clock, no
 * allocation. Invariant: a pair that the table lacks changes nothing. Thread: any. */
#ifndef ORDER_CORE_H
#define ORDER_CORE_H

#include "bv/bytes.h"

/* X(state, event type suffix announced when it is entered) */
#define ORDER_STATES(X)                                                                            \
    X(PENDING, "created")                                                                          \
    X(RESERVED, "reserved")                                                                        \
    X(PAID, "paid")                                                                                \
    X(CONFIRMED, "confirmed")                                                                      \
    X(SHIPPED, "shipped")                                                                          \
    X(DELIVERED, "delivered")                                                                      \
    X(REJECTED, "rejected")                                                                        \
    X(PAYMENT_FAILED, "payment_failed")                                                            \
    X(CANCELLED, "cancelled")                                                                      \
    X(REFUNDED, "refunded")
enum order_state {
#define ORDER_X_(name, suffix) ORDER_##name,
    ORDER_STATES(ORDER_X_)
#undef ORDER_X_
        ORDER_STATE_COUNT,
};

#define ORDER_EVENTS(X)                                                                            \
    X(STOCK_RESERVED)                                                                              \
    X(STOCK_SOLD_OUT)                                                                              \
    X(PAYMENT_AUTHORIZED)                                                                          \
    X(PAYMENT_DECLINED)                                                                            \
    X(CONFIRM)                                                                                     \
    X(SHIP)                                                                                        \
    X(DELIVER)                                                                                     \
    X(CANCEL)
enum order_event {
#define ORDER_X_(name) ORDER_ON_##name,
    ORDER_EVENTS(ORDER_X_)
#undef ORDER_X_
        ORDER_EVENT_COUNT,
};

/* What inventory must hear after the transition is committed. */
enum order_stock_task { ORDER_STOCK_NONE, ORDER_STOCK_COMMIT, ORDER_STOCK_RELEASE };

struct order_transition {
    enum order_state from;
    enum order_event on;
    enum order_state to;
    enum order_stock_task stock;
};
extern const struct order_transition order_transitions[];
extern const size_t order_transition_count;

/* Looks up the one transition. Outcomes: ORDER_REFUSED (no row: not from this state),
 * ORDER_TOO_EARLY (a payment for an order that is still PENDING: comes again later). Errors: none.
 * Source: the table in order_core.c. */
#define ORDER_REFUSED 1
#define ORDER_TOO_EARLY 2
BV_MUST_CHECK int order_decide(enum order_state from,
                               enum order_event on,
                               const struct order_transition **ret_transition);

const char *order_state_name(enum order_state state);
/* BV_E_INVALID for anything that is no state's name. */
BV_MUST_CHECK int order_state_parse(struct bv_bytes text, enum order_state *ret_state);
const char *order_event_name(enum order_event event);
/* "ecommerce.order.reserved.v1": announced when the state is entered. */
const char *order_state_announcement(enum order_state state);
const char *order_stock_task_name(enum order_stock_task task); /* NULL for none */

#define ORDER_ITEMS_MAX 50
#define ORDER_QUANTITY_MAX 1000
#define ORDER_SKU_MAX 64
#define ORDER_PRICE_MAX INT64_C(100000000000)
#define ORDER_KEY_MAX 255
#define ORDER_REASON_MAX 200

struct order_item {
    struct bv_bytes sku;
    int64_t quantity;
    int64_t unit_price_minor;
};
/* Sum of quantity times price; within int64 by the limits above. */
int64_t order_total(const struct order_item *items, size_t count);
bool order_sku_valid(struct bv_bytes sku); /* ^[A-Z0-9][A-Z0-9._-]{0,63}$ */
/* The idempotency key of a field value: quoted, as the draft's structured field wants, or bare, as
 * most clients send it.
 * Ranges: *ret_key 1 to ORDER_KEY_MAX printable ASCII characters but " and \; lies in field.
 * Errors: BV_E_INVALID. */
BV_MUST_CHECK int order_key_parse(struct bv_bytes field, struct bv_bytes *ret_key);

#endif
