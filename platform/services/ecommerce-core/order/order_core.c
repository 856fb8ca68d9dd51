/*            STOCK_RESERVED        PAYMENT_AUTHORIZED     CONFIRM            SHIP           DELIVER
 *  PENDING ────────────────▶ RESERVED ───────────▶ PAID ───────▶ CONFIRMED ──────▶ SHIPPED ──────▶
 * DELIVERED │ │                      │   │                │ CANCEL │ └─CANCEL─▶ CANCELLED ◀─┘
 * └─DECLINED──▶    ▼ └─SOLD_OUT─▶ REJECTED     PAYMENT_FAILED   REFUNDED ◀── a payment that arrives
 * after the end
 */
#include "order_core.h"

const struct order_transition order_transitions[] = {
    {ORDER_PENDING,        ORDER_ON_STOCK_RESERVED,     ORDER_RESERVED,       ORDER_STOCK_NONE   },
    {ORDER_PENDING,        ORDER_ON_STOCK_SOLD_OUT,     ORDER_REJECTED,       ORDER_STOCK_NONE   },
    {ORDER_PENDING,
     ORDER_ON_CANCEL,                                   ORDER_CANCELLED,
     ORDER_STOCK_RELEASE                                                                         }, /* leaves a tombstone for the late reserve */
    {ORDER_RESERVED,       ORDER_ON_PAYMENT_AUTHORIZED, ORDER_PAID,           ORDER_STOCK_NONE   },
    {ORDER_RESERVED,       ORDER_ON_PAYMENT_DECLINED,   ORDER_PAYMENT_FAILED, ORDER_STOCK_RELEASE},
    {ORDER_RESERVED,       ORDER_ON_CANCEL,             ORDER_CANCELLED,      ORDER_STOCK_RELEASE},
    {ORDER_PAID,           ORDER_ON_CONFIRM,            ORDER_CONFIRMED,      ORDER_STOCK_COMMIT },
    {ORDER_PAID,           ORDER_ON_CANCEL,             ORDER_REFUNDED,       ORDER_STOCK_RELEASE},
    {ORDER_CONFIRMED,      ORDER_ON_SHIP,               ORDER_SHIPPED,        ORDER_STOCK_NONE   },
    {ORDER_SHIPPED,        ORDER_ON_DELIVER,            ORDER_DELIVERED,      ORDER_STOCK_NONE   },
    {ORDER_CANCELLED,
     ORDER_ON_PAYMENT_AUTHORIZED,                       ORDER_REFUNDED,
     ORDER_STOCK_NONE                                                                            }, /* the money came too late: give it back */
    {ORDER_REJECTED,       ORDER_ON_PAYMENT_AUTHORIZED, ORDER_REFUNDED,       ORDER_STOCK_NONE   },
    {ORDER_PAYMENT_FAILED, ORDER_ON_PAYMENT_AUTHORIZED, ORDER_REFUNDED,       ORDER_STOCK_NONE   },
};
const size_t order_transition_count = BV_COUNT(order_transitions);

int order_decide(enum order_state from,
                 enum order_event on,
                 const struct order_transition **ret_transition)
{
    for (size_t i = 0; i < BV_COUNT(order_transitions); i++) {
        if (order_transitions[i].from == from && order_transitions[i].on == on) {
            *ret_transition = &order_transitions[i];
            return 0;
        }
    }
    bool payment = on == ORDER_ON_PAYMENT_AUTHORIZED || on == ORDER_ON_PAYMENT_DECLINED;
    return payment && from == ORDER_PENDING ? ORDER_TOO_EARLY : ORDER_REFUSED;
}

static const char *const state_names[] = {
#define ORDER_X_(name, suffix) #name,
    ORDER_STATES(ORDER_X_)
#undef ORDER_X_
};

const char *order_state_name(enum order_state state)
{
    return state_names[state];
}

int order_state_parse(struct bv_bytes text, enum order_state *ret_state)
{
    for (size_t i = 0; i < BV_COUNT(state_names); i++) {
        if (bv_bytes_equal(text, bv_bytes_of(state_names[i]))) {
            *ret_state = (enum order_state)i;
            return 0;
        }
    }
    return BV_E_INVALID;
}

const char *order_event_name(enum order_event event)
{
    static const char *const names[] = {
#define ORDER_X_(name) #name,
        ORDER_EVENTS(ORDER_X_)
#undef ORDER_X_
    };
    return names[event];
}

const char *order_state_announcement(enum order_state state)
{
    static const char *const types[] = {
#define ORDER_X_(name, suffix) "ecommerce.order." suffix ".v1",
        ORDER_STATES(ORDER_X_)
#undef ORDER_X_
    };
    return types[state];
}

const char *order_stock_task_name(enum order_stock_task task)
{
    static const char *const names[] = {NULL, "commit", "release"};
    return names[task];
}

int64_t order_total(const struct order_item *items, size_t count)
{
    int64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += items[i].quantity * items[i].unit_price_minor;
    return total;
}

bool order_sku_valid(struct bv_bytes sku)
{
    if (sku.size == 0 || sku.size > ORDER_SKU_MAX)
        return false;
    for (size_t i = 0; i < sku.size; i++) {
        char c = sku.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || !memchr("._-", c, 3)))
            return false;
    }
    return true;
}

int order_key_parse(struct bv_bytes field, struct bv_bytes *ret_key)
{
    struct bv_bytes key = field;
    if (key.size >= 2 && key.data[0] == '"' && key.data[key.size - 1] == '"')
        key = (struct bv_bytes){key.data + 1, key.size - 2};
    if (key.size == 0 || key.size > ORDER_KEY_MAX)
        return BV_E_INVALID;
    for (size_t i = 0; i < key.size; i++)
        if (key.data[i] < ' ' || key.data[i] > '~' || key.data[i] == '"' || key.data[i] == '\\')
            return BV_E_INVALID;
    *ret_key = key;
    return 0;
}
