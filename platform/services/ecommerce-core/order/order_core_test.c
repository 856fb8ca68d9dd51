#include "order_core.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* What may follow what, written down a second time and independently of the table: a row per state,
 * a bit per event. */
#define ON(event) (1u << ORDER_ON_##event)
static const unsigned allowed[ORDER_STATE_COUNT] = {
    [ORDER_PENDING] = ON(STOCK_RESERVED) | ON(STOCK_SOLD_OUT) | ON(CANCEL),
    [ORDER_RESERVED] = ON(PAYMENT_AUTHORIZED) | ON(PAYMENT_DECLINED) | ON(CANCEL),
    [ORDER_PAID] = ON(CONFIRM) | ON(CANCEL),
    [ORDER_CONFIRMED] = ON(SHIP),
    [ORDER_SHIPPED] = ON(DELIVER),
    [ORDER_CANCELLED] = ON(PAYMENT_AUTHORIZED),
    [ORDER_REJECTED] = ON(PAYMENT_AUTHORIZED),
    [ORDER_PAYMENT_FAILED] = ON(PAYMENT_AUTHORIZED),
};

Test(order_core, every_state_and_event_has_its_answer)
{
    for (int state = 0; state < ORDER_STATE_COUNT; state++) {
        for (int event = 0; event < ORDER_EVENT_COUNT; event++) {
            const struct order_transition *row = NULL;
            int rc = order_decide((enum order_state)state, (enum order_event)event, &row);
            bool is_allowed = allowed[state] & (1u << event);
            cr_expect_eq(rc == 0,
                         is_allowed,
                         "%s on %s",
                         order_state_name((enum order_state)state),
                         order_event_name((enum order_event)event));
            cr_expect_eq(row != NULL, is_allowed);
        }
    }
}

Test(order_core, a_payment_before_the_reservation_comes_again)
{
    const struct order_transition *row;
    cr_expect_eq(order_decide(ORDER_PENDING, ORDER_ON_PAYMENT_AUTHORIZED, &row), ORDER_TOO_EARLY);
    cr_expect_eq(order_decide(ORDER_PENDING, ORDER_ON_PAYMENT_DECLINED, &row), ORDER_TOO_EARLY);
    cr_expect_eq(order_decide(ORDER_PENDING, ORDER_ON_SHIP, &row), ORDER_REFUSED);
    cr_expect_eq(order_decide(ORDER_PAID, ORDER_ON_PAYMENT_AUTHORIZED, &row),
                 ORDER_REFUSED,
                 "twice paid changes nothing");
}

/* Stock that was reserved is freed or taken exactly once on every path to an end. */
static void walk(enum order_state state, bool held, int depth)
{
    cr_assert_lt(depth, 12, "the table has no cycle");
    bool ended = state == ORDER_DELIVERED || state == ORDER_REJECTED ||
                 state == ORDER_PAYMENT_FAILED || state == ORDER_CANCELLED ||
                 state == ORDER_REFUNDED;
    if (ended)
        cr_expect_not(held, "%s ends with stock held", order_state_name(state));
    for (size_t i = 0; i < order_transition_count; i++) {
        const struct order_transition *row = &order_transitions[i];
        if (row->from != state)
            continue;
        bool now_held = held || row->on == ORDER_ON_STOCK_RESERVED;
        if (row->stock != ORDER_STOCK_NONE) {
            cr_expect(held || row->from == ORDER_PENDING,
                      "%s releases what it has not",
                      order_state_name(state));
            now_held = false;
        }
        walk(row->to, now_held, depth + 1);
    }
}

Test(order_core, reserved_stock_is_settled_once_on_every_path)
{
    walk(ORDER_PENDING, false, 0);
}

Test(order_core, state_names_round_trip)
{
    for (int state = 0; state < ORDER_STATE_COUNT; state++) {
        enum order_state parsed = ORDER_STATE_COUNT;
        cr_assert_eq(
            order_state_parse(bv_bytes_of(order_state_name((enum order_state)state)), &parsed), 0);
        cr_expect_eq((int)parsed, state);
    }
    enum order_state parsed;
    cr_expect_eq(order_state_parse(BV_BYTES("paid"), &parsed), BV_E_INVALID);
    cr_expect_eq(order_state_parse(BV_BYTES("PAI"), &parsed), BV_E_INVALID);
    cr_expect_str_eq(order_state_announcement(ORDER_PAYMENT_FAILED),
                     "ecommerce.order.payment_failed.v1");
}

Test(order_core, the_dearest_order_fits_int64)
{
    struct order_item items[ORDER_ITEMS_MAX];
    for (size_t i = 0; i < ORDER_ITEMS_MAX; i++)
        items[i] = (struct order_item){BV_BYTES("A"), ORDER_QUANTITY_MAX, ORDER_PRICE_MAX};
    cr_expect_eq(order_total(items, ORDER_ITEMS_MAX), INT64_C(5000000000000000));
}

Test(order_core, skus)
{
    static const char *const good[] = {
        "A",
        "MUG-BLUE",
        "0",
        "A.B_C-D",
        "X123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {
        "",
        "a",
        "-A",
        "A B",
        "A\n",
        "Ä",
        "X1234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < BV_COUNT(good); i++)
        cr_expect(order_sku_valid(bv_bytes_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_expect_not(order_sku_valid(bv_bytes_of(bad[i])), "%s", bad[i]);
}

Test(order_core, the_readme_tells_the_same_transitions)
{
    static char readme[65536];
    FILE *file = fopen(BV_SERVICE_FOLDER "/README.md", "r");
    cr_assert_not_null(file);
    readme[fread(readme, 1, sizeof(readme) - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < order_transition_count; i++) {
        const struct order_transition *row = &order_transitions[i];
        const char *stock = order_stock_task_name(row->stock);
        char line[160];
        snprintf(line,
                 sizeof(line),
                 "| %s | %s | %s |%s%s |\n",
                 order_state_name(row->from),
                 order_event_name(row->on),
                 order_state_name(row->to),
                 stock ? " " : "",
                 stock ? stock : "");
        cr_expect(strstr(readme, line), "README.md lacks %s", line);
    }
}

Test(order_core, a_key_is_the_same_with_and_without_quotes)
{
    static const struct {
        struct bv_bytes field, key;
    } rows[] = {
        {BV_BYTES("abc"),      BV_BYTES("abc") },
        {BV_BYTES("\"abc\""),  BV_BYTES("abc") },
        {BV_BYTES("\"a b~\""), BV_BYTES("a b~")},
        {BV_BYTES(""),         BV_BYTES_NONE   },
        {BV_BYTES("\""),       BV_BYTES_NONE   },
        {BV_BYTES("\"\""),     BV_BYTES_NONE   },
        {BV_BYTES("\"a\"b\""), BV_BYTES_NONE   },
        {BV_BYTES("a\\b"),     BV_BYTES_NONE   },
        {BV_BYTES("a\tb"),     BV_BYTES_NONE   },
        {BV_BYTES("\xc3\xa4"), BV_BYTES_NONE   },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct bv_bytes key = BV_BYTES_NONE;
        cr_expect_eq(order_key_parse(rows[i].field, &key), rows[i].key.data ? 0 : BV_E_INVALID);
        cr_expect(bv_bytes_equal(key, rows[i].key), "row %zu", i);
    }
}

Test(order_core, a_key_has_at_most_255_characters)
{
    char text[ORDER_KEY_MAX + 3];
    struct bv_bytes key;
    memset(text, 'k', sizeof(text));
    text[0] = text[ORDER_KEY_MAX + 1] = '"';
    cr_expect_eq(order_key_parse((struct bv_bytes){text, ORDER_KEY_MAX + 2}, &key), 0);
    cr_expect_eq(key.size, ORDER_KEY_MAX);
    cr_expect_eq(order_key_parse((struct bv_bytes){text + 1, ORDER_KEY_MAX + 1}, &key),
                 BV_E_INVALID);
}
