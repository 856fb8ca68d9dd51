/* Placing an order; the picture stands in order_saga.h. */
#include "order_saga_internal.h"

#include "bv/breakage.h"
#include "bv/failpoint.h"
#include <stdlib.h>

#define ANSWER_BYTES_MAX (16 * 1024)

struct placement {
    struct order_saga *saga;
    struct bv_arena *arena;  /* owned; holds everything below that is variable */
    order_answer_done *done; /* NULL: resumed by the sweeper, nobody waits */
    void *argument;
    struct order order;
    struct order_item *items; /* arena */
    size_t prices_left;
    int price_rc;
    uint64_t unknown_lines;
    bool currencies_differ;
    struct bv_bytes key, fingerprint;
    struct order_creation creation;
    struct order_change change;
    struct order_job job;
    struct bv_buf answer;
};

struct price_ask {
    struct placement *placement;
    size_t line;
};

static void finish(struct placement *placement, const struct order_answer *answer)
{
    struct order_saga *saga = placement->saga;
    if (placement->done)
        placement->done(placement->argument, answer);
    bv_buf_release(&placement->answer);
    bv_arena_close(&placement->arena);
    free(placement);
    order_saga_end(saga);
}

static void finish_fault(struct placement *placement, int rc, const struct bv_error *error)
{
    finish(placement, &(struct order_answer){.kind = ORDER_ANSWER_FAULT, .rc = rc, .error = error});
}

/* ---- the stored answer of the key ---- */

static void finish_replayed(struct placement *placement, const struct order_key_row *row)
{
    BV_FAILPOINT(ORDER_KEY_BEFORE_REPLY);
    finish(placement,
           &(struct order_answer){.kind = ORDER_ANSWER_STORED,
                                  .status = row->status,
                                  .body = row->answer,
                                  .order_id = row->order_id});
}

static void
key_found(void *argument, int rc, const struct order_key_row *row, const struct bv_error *error)
{
    struct placement *placement = argument;
    if (rc < 0)
        finish_fault(placement, rc, error);
    else if (row->kind == ORDER_KEY_NONE) /* forgotten between the two looks */
        finish_fault(placement, BV_E_CONFLICT, NULL);
    else if (!bv_bytes_equal(row->fingerprint, placement->fingerprint))
        finish(placement, &(struct order_answer){.kind = ORDER_ANSWER_KEY_REUSED});
    else if (row->kind == ORDER_KEY_IN_PROGRESS)
        finish(placement, &(struct order_answer){.kind = ORDER_ANSWER_IN_PROGRESS});
    else
        finish_replayed(placement, row);
}

static void ask_key(struct placement *placement, order_key_done *done)
{
    struct order_store *store = placement->saga->deps.store;
    int rc = store->ops->key_find(store,
                                  placement->order.tenant,
                                  placement->order.customer_id,
                                  placement->key,
                                  done,
                                  placement);
    if (rc < 0)
        finish_fault(placement, rc, NULL);
}

static void answer_from_key(struct placement *placement)
{
    ask_key(placement, key_found);
}

/* ---- second commit: RESERVED or REJECTED ---- */

static void write_problem(struct bv_json_writer *w,
                          const struct order *order,
                          const char *code,
                          const char *title,
                          const char *detail,
                          const char *hint)
{
    char trace_id[33];
    bv_trace_id_format(&order->trace, trace_id);
    bv_jw_object(w);
    bv_jw_key(w, "type");
    char type[64] = "/problems/";
    strncat(type, code, sizeof(type) - strlen(type) - 1);
    bv_jw_text(w, type);
    bv_jw_kv_text(w, "title", title);
    bv_jw_kv_int(w, "status", 409);
    bv_jw_kv_text(w, "detail", detail);
    bv_jw_kv_text(w, "instance", "/v1/orders");
    bv_jw_kv_text(w, "code", code);
    bv_jw_kv_text(w, "hint", hint);
    bv_jw_kv_text(w, "traceId", trace_id);
    bv_jw_kv_text(w, "orderId", order->order_id);
}

void order_answer_conflict(struct bv_buf *buf, const struct order *order)
{
    struct bv_json_writer w = bv_json_writer(buf);
    write_problem(&w,
                  order,
                  "conflict",
                  "Conflict",
                  "the order was cancelled before its stock was reserved",
                  "place a new order with a new key");
    bv_jw_end(&w);
}

static void answer_sold_out(struct placement *placement,
                            const struct order_reservation *reservation)
{
    struct bv_json_writer w = bv_json_writer(&placement->answer);
    const char *detail = bv_arena_format(placement->arena,
                                         "%zu line%s stock",
                                         reservation->shortage_count,
                                         reservation->shortage_count == 1 ? " lacks" : "s lack");
    write_problem(&w,
                  &placement->order,
                  "sold-out",
                  "Sold out",
                  detail ? detail : "stock is lacking",
                  "order less, or try again later with a new key");
    bv_jw_key(&w, "lines");
    bv_jw_array(&w);
    for (size_t i = 0; i < reservation->shortage_count; i++) {
        bv_jw_object(&w);
        bv_jw_kv_string(&w, "sku", reservation->shortages[i].sku);
        bv_jw_kv_int(&w, "requested", reservation->shortages[i].requested);
        bv_jw_kv_int(&w, "available", reservation->shortages[i].available);
        bv_jw_end(&w);
    }
    bv_jw_end(&w);
    bv_jw_end(&w);
}

static void applied(void *argument, int rc, const struct bv_error *error)
{
    struct placement *placement = argument;
    if (rc < 0) {
        finish_fault(placement, rc, error); /* the sweeper takes it up */
        return;
    }
    if (!placement->change.applied) { /* cancelled, or resumed by another replica: the stored answer
                                         is the answer */
        if (placement->done)
            answer_from_key(placement);
        else
            finish_fault(placement, BV_E_CONFLICT, NULL);
        return;
    }
    bv_count(placement->saga->placed[placement->order.state == ORDER_RESERVED ? 0 : 1], 1);
    if (placement->order.state == ORDER_RESERVED)
        BV_FAILPOINT(ORDER_PLACE_BEFORE_REPLY);
    else
        BV_FAILPOINT(ORDER_REJECT_BEFORE_REPLY);
    finish(placement,
           &(struct order_answer){.kind = ORDER_ANSWER_STORED,
                                  .status = placement->change.answer_status,
                                  .body = bv_buf_view(&placement->answer),
                                  .order_id = placement->order.order_id});
}

static void reserved(void *argument,
                     int rc,
                     const struct order_reservation *reservation,
                     const struct bv_error *error)
{
    struct placement *placement = argument;
    const struct order_transition *row;
    if (rc < 0) {
        finish_fault(placement, rc, error);
        return;
    }
    if (reservation->outcome == ORDER_RESERVE_RELEASED_BEFORE) {
        answer_from_key(placement);
        return;
    }
    bool held = reservation->outcome == ORDER_RESERVE_HELD;
    if (held)
        BV_FAILPOINT(ORDER_RESERVE_AFTER_REPLY);
    else
        BV_FAILPOINT(ORDER_REJECT_AFTER_REPLY);
    if (order_decide(placement->order.state,
                     held ? ORDER_ON_STOCK_RESERVED : ORDER_ON_STOCK_SOLD_OUT,
                     &row) != 0) {
        finish_fault(placement, BV_E_INTERNAL, NULL);
        return;
    }
    struct order *order = &placement->order;
    order->state = row->to;
    order->version++;
    order->updated_at_us = bv_wall_us(bv_loop_env(placement->saga->deps.loop));
    if (!held)
        order->reason = BV_BYTES("sold out");
    if (held) {
        struct bv_json_writer w = bv_json_writer(&placement->answer);
        order_write(&w, order, ORDER_SHAPE_API);
    } else {
        answer_sold_out(placement, reservation);
    }
    placement->change = (struct order_change){.order = order,
                                              .stock = row->stock,
                                              .answer_status = held ? 201 : 409,
                                              .answer = bv_buf_view(&placement->answer)};
    placement->job =
        (struct order_job){.row = &placement->change, .done = applied, .argument = placement};
    rc = placement->answer.failed ? BV_E_TOO_LARGE
                                  : order_batch_add(placement->saga->applies, &placement->job);
    if (rc < 0)
        finish_fault(placement, rc, NULL);
}

static void reserve(struct placement *placement)
{
    int rc =
        order_stock_reserve(placement->saga->deps.stock, &placement->order, reserved, placement);
    BV_FAILPOINT(ORDER_RESERVE_IN_DOUBT);
    if (rc < 0)
        finish_fault(placement, rc, NULL);
}

/* ---- first commit: PENDING ---- */

static void created(void *argument, int rc, const struct bv_error *error)
{
    struct placement *placement = argument;
    if (rc == BV_E_UNAVAILABLE || rc == BV_E_TIMEOUT || rc == BV_E_CANCELLED)
        order_saga_doubt(placement->saga, placement->order.created_at_us);
    if (rc < 0)
        finish_fault(placement, rc, error);
    else if (placement->creation.created)
        reserve(placement);
    else
        answer_from_key(placement);
}

static bool unpriced(const struct placement *placement)
{
    return placement->price_rc < 0 || placement->unknown_lines || placement->currencies_differ;
}

/* A repeated request gets its first answer also when the catalogue has changed since, or does not
 * answer. */
static void unpriced_key_found(void *argument,
                               int rc,
                               const struct order_key_row *row,
                               const struct bv_error *error)
{
    struct placement *placement = argument;
    if (rc < 0 || row->kind != ORDER_KEY_NONE)
        key_found(placement, rc, row, error);
    else if (placement->price_rc < 0)
        finish_fault(placement, placement->price_rc, NULL);
    else
        finish(placement,
               &(struct order_answer){.kind = placement->unknown_lines ? ORDER_ANSWER_UNKNOWN_SKU
                                                                       : ORDER_ANSWER_CURRENCIES,
                                      .lines = placement->unknown_lines});
}

static void priced(struct placement *placement)
{
    if (unpriced(placement)) {
        ask_key(placement, unpriced_key_found);
        return;
    }
    placement->order.total_minor = order_total(placement->items, placement->order.item_count);
    placement->creation = (struct order_creation){
        .order = &placement->order, .key = placement->key, .fingerprint = placement->fingerprint};
    placement->job =
        (struct order_job){.row = &placement->creation, .done = created, .argument = placement};
    int rc = order_batch_add(placement->saga->creates, &placement->job);
    if (rc < 0)
        finish_fault(placement, rc, NULL);
}

/* ---- prices ---- */

static void take_price(struct placement *placement, size_t line, const struct order_price *price)
{
    struct bv_bytes currency = bv_bytes_of(price->currency);
    placement->items[line].unit_price_minor = price->price_minor;
    if (placement->order.currency.size == 0)
        placement->order.currency = bv_arena_copy(placement->arena, currency);
    else if (!bv_bytes_equal(placement->order.currency, currency))
        placement->currencies_differ = true;
}

static void price_fetched(void *argument, int rc, const struct order_price *price)
{
    struct price_ask *ask = argument;
    struct placement *placement = ask->placement;
    if (rc < 0)
        placement->price_rc = rc;
    else if (price)
        take_price(placement, ask->line, price);
    else
        placement->unknown_lines |= UINT64_C(1) << ask->line;
    if (--placement->prices_left == 0)
        priced(placement);
}

static void ask_prices(struct placement *placement)
{
    struct order_prices *prices = placement->saga->deps.prices;
    placement->prices_left =
        1; /* our own hold, so that the last answer finds all questions asked */
    for (size_t i = 0; i < placement->order.item_count; i++) {
        struct order_price price;
        if (order_prices_find(prices, placement->items[i].sku, &price) == 0) {
            take_price(placement, i, &price);
            continue;
        }
        struct price_ask *ask = bv_arena_new(placement->arena, struct price_ask);
        if (!ask) {
            placement->price_rc = BV_E_NOMEM;
            break;
        }
        *ask = (struct price_ask){placement, i};
        placement->prices_left++;
        int rc = order_prices_fetch(
            prices, placement->items[i].sku, &placement->order.trace, price_fetched, ask);
        if (rc < 0) {
            placement->price_rc = rc;
            placement->prices_left--;
        }
    }
    if (--placement->prices_left == 0)
        priced(placement);
}

/* ---- beginning ---- */

static int placement_new(struct order_saga *saga, struct placement **ret_placement)
{
    struct placement *placement = calloc(1, sizeof(*placement));
    if (!placement)
        return BV_E_NOMEM;
    int rc = bv_arena_open(ORDER_WORK_ARENA_MAX, &placement->arena);
    if (rc < 0) {
        free(placement);
        return rc;
    }
    placement->saga = saga;
    placement->answer.max = ANSWER_BYTES_MAX;
    order_saga_begin(saga);
    *ret_placement = placement;
    return 0;
}

static int copy_request(struct placement *placement, const struct order_request *request)
{
    struct bv_arena *arena = placement->arena;
    struct order from = {.tenant = request->tenant,
                         .customer_id = request->customer_id,
                         .items = request->items,
                         .item_count = request->item_count,
                         .correlation_id = request->correlation_id,
                         .trace = request->trace};
    BV_TRY(order_copy(arena, &from, &placement->order));
    const struct bv_env *env = bv_loop_env(placement->saga->deps.loop);
    placement->items =
        (struct order_item *)(uintptr_t)placement->order.items; /* the copy is ours to fill */
    placement->key = bv_arena_copy(arena, request->key);
    placement->fingerprint = bv_arena_copy(arena, request->fingerprint);
    placement->order.state = ORDER_PENDING;
    placement->order.version = 1;
    placement->order.created_at_us = placement->order.updated_at_us = bv_wall_us(env);
    bv_uuid_format(bv_uuid_v7(env), placement->order.order_id);
    if (bv_breaks(BV_BREAK_FORGET_IDEMPOTENCY_KEY)) /* no retry can have the id of a new order */
        placement->key = bv_bytes_of(placement->order.order_id);
    return bv_arena_failed(arena) ? BV_E_NOMEM : 0;
}

int order_saga_place(struct order_saga *saga,
                     const struct order_request *request,
                     order_answer_done *done,
                     void *argument)
{
    struct placement *placement;
    BV_TRY(placement_new(saga, &placement));
    int rc = copy_request(placement, request);
    if (rc < 0) {
        finish_fault(placement, rc, NULL); /* done is not set yet: nobody is told twice */
        return rc;
    }
    placement->done = done;
    placement->argument = argument;
    ask_prices(placement);
    return 0;
}

void order_saga_resume(struct order_saga *saga, const struct order *order)
{
    struct placement *placement;
    if (placement_new(saga, &placement) < 0)
        return; /* the next sweep finds it again */
    int rc = order_copy(placement->arena, order, &placement->order);
    if (rc < 0) {
        finish_fault(placement, rc, NULL);
        return;
    }
    bv_count(saga->resumed, 1);
    bv_log(saga->deps.log,
           BV_INFO,
           "order.resumed",
           &order->trace,
           BV_F_TEXT("orderId", order->order_id));
    reserve(placement);
}
