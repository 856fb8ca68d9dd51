#include "notification_events.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "bv/test_bus.h"
#include "bv/test_loop.h"

#define WAIT_MS 5000
#define ORDER "01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01"
#define PAYLOAD                                                                                    \
    "{\"orderId\":\"" ORDER                                                                        \
    "\",\"version\":3,\"state\":\"PAID\",\"customerId\":\"ada\",\"items\":[{\"sku\":\"MUG\","      \
    "\"quantity\":2,\"unitPriceMinor\":1250}],\"totalMinor\":2500,\"currency\":\"EUR\"}"

/* ---- reading ---- */

static int read_payload(struct bv_arena *arena,
                        const char *payload,
                        struct notification_event *ret_event,
                        struct bv_error *error)
{
    struct bv_event event = {.type = BV_BYTES("ecommerce.order.paid.v1"),
                             .occurred_at_us = 1795396504250000,
                             .tenant = BV_BYTES("default"),
                             .correlation_id = BV_BYTES("corr")};
    struct bv_trace trace = {.trace_id = {1}, .span_id = {2}};
    cr_assert_eq(
        bv_json_parse(arena, bv_bytes_of(payload), &event.payload, error), 0, "%s", error->text);
    return notification_event_read(arena, &event, &trace, ret_event, error);
}

Test(notification_events, reads_what_is_to_be_told)
{
    struct bv_arena *arena;
    struct bv_error error = {0};
    struct notification_event event;
    cr_assert_eq(bv_arena_open(65536, &arena), 0);
    cr_assert_eq(read_payload(arena, PAYLOAD, &event, &error), 0, "%s", error.text);
    cr_assert(bv_bytes_equal(event.user_id, BV_BYTES("ada")));
    cr_assert(bv_bytes_equal(event.order_id, BV_BYTES(ORDER)));
    cr_assert_eq(event.version, 3);
    cr_assert(
        bv_bytes_equal(event.data, BV_BYTES(PAYLOAD)), "as it came: %.*s", BV_ARG(event.data));
    cr_assert(bv_bytes_equal(event.traceparent,
                             BV_BYTES("00-01000000000000000000000000000000-0200000000000000-00")));
    bv_arena_close(&arena);
}

static const char *const bad[] = {
    "{}",
    "{\"orderId\":\"x\",\"version\":3,\"state\":\"PAID\",\"customerId\":\"a\",\"items\":[],"
    "\"totalMinor\":1,\"currency\":\"EUR\"}",
    "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5exx\",\"version\":3,\"state\":\"PAID\","
    "\"customerId\":\"a\",\"items\":[],"
    "\"totalMinor\":1,\"currency\":\"EUR\"}",
    "{\"orderId\":\"" ORDER "\",\"version\":0,\"state\":\"PAID\",\"customerId\":\"a\",\"items\":[],"
    "\"totalMinor\":1,\"currency\":\"EUR\"}",
    "{\"orderId\":\"" ORDER "\",\"version\":1,\"state\":\"PAID\",\"customerId\":\"\",\"items\":[],"
    "\"totalMinor\":1,\"currency\":\"EUR\"}",
    "{\"orderId\":\"" ORDER "\",\"version\":1,\"state\":\"PAID\",\"customerId\":\"a\\u0000b\","
    "\"items\":[],\"totalMinor\":1,\"currency\":\"EUR\"}",
};

Test(notification_events, refuses_what_cannot_be_told)
{
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        struct bv_arena *arena;
        struct bv_error error = {0};
        struct notification_event event;
        cr_assert_eq(bv_arena_open(65536, &arena), 0);
        cr_assert_eq(read_payload(arena, bad[i], &event, &error), BV_E_UNPROCESSABLE, "row %zu", i);
        bv_arena_close(&arena);
    }
}

/* ---- batches, on a store that answers when told ---- */

struct call {
    size_t count;
    char ids[8]; /* last digit of each event's id */
};
struct scripted {
    struct notification_store base;
    struct call calls[16];
    size_t call_count;
    char poison; /* a batch with that event fails for good */
    int fault;   /* the next call fails with it */
    notification_taken_done *done;
    void *argument;
    int rc;
};

static int scripted_take(struct notification_store *self,
                         const struct notification_event *events,
                         size_t count,
                         notification_taken_done *done,
                         void *argument)
{
    struct scripted *store = (struct scripted *)self;
    struct call *call = &store->calls[store->call_count++];
    call->count = count;
    store->rc = store->fault;
    store->fault = 0;
    for (size_t i = 0; i < count; i++) {
        call->ids[i] = events[i].event_id.data[35];
        if (call->ids[i] == store->poison)
            store->rc = BV_E_UNPROCESSABLE;
    }
    store->done = done;
    store->argument = argument;
    return 0;
}

static const struct notification_store_ops scripted_ops = {.take = scripted_take};

static void answer(struct scripted *store)
{
    static const int64_t sequences[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct notification_taken taken = {sequences, store->calls[store->call_count - 1].count, 1};
    notification_taken_done *done = store->done;
    cr_assert_not_null(done, "no call is out");
    store->done = NULL;
    done(store->argument, store->rc, store->rc == 0 ? &taken : NULL, NULL);
}

struct desk {
    struct bv_loop *loop;
    struct scripted store;
    struct notification_intake *intake;
    struct notification_event events[8];
    char ids[8][BV_UUID_TEXT_SIZE];
    int rcs[8]; /* 1: not done */
    size_t committed, kicks;
};

static void on_committed(void *argument, const struct notification_event *event, int64_t sequence)
{
    struct desk *desk = argument;
    (void)event;
    cr_assert_gt(sequence, 0);
    desk->committed++;
}

static void on_kick(void *argument)
{
    ((struct desk *)argument)->kicks++;
}

struct ticket {
    struct desk *desk;
    size_t index;
};
static struct ticket tickets[8];

static void on_done(void *argument, int rc, const struct bv_error *error)
{
    struct ticket *ticket = argument;
    (void)error;
    cr_assert_eq(ticket->desk->rcs[ticket->index], 1, "done once");
    ticket->desk->rcs[ticket->index] = rc;
}

static void desk_open(struct desk *desk, int64_t batch_max)
{
    *desk = (struct desk){.store.base.ops = &scripted_ops, .store.poison = '-'};
    struct notification_intake_config config = {batch_max};
    struct notification_intake_events events = {on_committed, on_kick, desk};
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &desk->loop), 0);
    cr_assert_eq(notification_intake_open(
                     desk->loop, &config, &desk->store.base, NULL, &events, &desk->intake),
                 0);
}

static void add(struct desk *desk, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        snprintf(desk->ids[i], sizeof(desk->ids[i]), "01936f3e-7c2a-7b31-9d4e-00000000000%zu", i);
        desk->events[i] = (struct notification_event){.event_id = bv_bytes_of(desk->ids[i])};
        desk->rcs[i] = 1;
        tickets[i] = (struct ticket){desk, i};
        cr_assert_eq(notification_intake_add(desk->intake, &desk->events[i], on_done, &tickets[i]),
                     0);
    }
}

static bool call_is_out(void *argument)
{
    return ((struct desk *)argument)->store.done != NULL;
}

static void next_call(struct desk *desk, const char *ids)
{
    cr_assert(bv_test_run_until(desk->loop, call_is_out, desk, WAIT_MS));
    struct call *call = &desk->store.calls[desk->store.call_count - 1];
    cr_assert_eq(call->count, strlen(ids));
    cr_assert_eq(
        memcmp(call->ids, ids, call->count), 0, "%.*s, not %s", (int)call->count, call->ids, ids);
    answer(&desk->store);
}

static void desk_close(struct desk *desk)
{
    notification_intake_close(&desk->intake);
    bv_loop_close(&desk->loop);
}

Test(notification_intake, takes_together_what_comes_together)
{
    struct desk desk;
    desk_open(&desk, 3);
    add(&desk, 0, 5);
    next_call(&desk, "012");
    add(&desk, 5, 2); /* while 3 and 4 are committing */
    next_call(&desk, "34");
    next_call(&desk, "56");
    cr_assert_eq(desk.committed, 7);
    cr_assert_eq(desk.kicks, 3);
    for (int i = 0; i < 7; i++)
        cr_assert_eq(desk.rcs[i], 0);
    desk_close(&desk);
}

Test(notification_intake, only_the_bad_one_of_a_batch_fails)
{
    struct desk desk;
    desk_open(&desk, 8);
    desk.store.poison = '1';
    add(&desk, 0, 3);
    next_call(&desk, "012");
    add(&desk, 3, 2);
    next_call(&desk, "0");
    next_call(&desk, "1");
    next_call(&desk, "2");
    next_call(&desk, "34");
    static const int want[] = {0, BV_E_UNPROCESSABLE, 0, 0, 0};
    for (size_t i = 0; i < BV_COUNT(want); i++)
        cr_assert_eq(desk.rcs[i], want[i], "event %zu", i);
    cr_assert_eq(desk.committed, 4);
    desk_close(&desk);
}

Test(notification_intake, a_batch_that_may_succeed_later_fails_as_a_whole)
{
    struct desk desk;
    desk_open(&desk, 8);
    desk.store.fault = BV_E_UNAVAILABLE;
    add(&desk, 0, 3);
    next_call(&desk, "012");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(desk.rcs[i], BV_E_UNAVAILABLE, "the consumer tries it again");
    desk_close(&desk);
}

Test(notification_intake, closing_ends_what_waits)
{
    struct desk desk;
    desk_open(&desk, 1);
    add(&desk, 0, 2);
    cr_assert(bv_test_run_until(desk.loop, call_is_out, &desk, WAIT_MS));
    desk.store.rc = BV_E_CANCELLED;
    answer(&desk.store);
    cr_assert_eq(desk.rcs[0], BV_E_CANCELLED);
    desk.store.rc = BV_E_CANCELLED;
    answer(&desk.store);
    add(&desk, 2, 1);
    notification_intake_close(&desk.intake);
    cr_assert_eq(desk.rcs[2], BV_E_CANCELLED);
    bv_loop_close(&desk.loop);
}

/* ---- as the handler of a consumer ---- */

struct wire {
    struct desk desk;
    struct bv_bus *bus;
    struct bv_consumer *consumer;
};

static bool committed_two(void *argument)
{
    struct wire *wire = argument;
    if (wire->desk.store.done)
        answer(&wire->desk.store);
    return bv_test_bus_lag(wire->bus, "notification", "ecommerce.orders") == 0 &&
           wire->desk.committed == 2;
}

static void publish(struct wire *wire, const char *payload)
{
    struct bv_event event = {.type = BV_BYTES("ecommerce.order.paid.v1"),
                             .producer = BV_BYTES("order"),
                             .partition_key = BV_BYTES(ORDER),
                             .payload_text = bv_bytes_of(payload)};
    struct bv_event_headers_storage {
        struct bv_header rows[1];
    } headers;
    struct bv_buf text = {.max = 65536};
    char traceparent[BV_TRACEPARENT_SIZE];
    bv_event_stamp(&bv_test_env_system, &event);
    cr_assert_eq(bv_event_encode(&text, &event), 0);
    bv_trace_format(&event.trace, traceparent);
    headers.rows[0] = (struct bv_header){BV_BYTES("traceparent"), bv_bytes_of(traceparent)};
    struct bv_record record = {.topic = BV_BYTES("ecommerce.orders"),
                               .key = BV_BYTES(ORDER),
                               .value = bv_buf_view(&text),
                               .headers = headers.rows,
                               .header_count = 1};
    cr_assert_eq(bv_bus_publish(wire->bus, &record, NULL, NULL), 0);
    bv_buf_release(&text);
}

Test(notification_events, events_of_the_topic_reach_the_store)
{
    static const char *const topics[] = {"ecommerce.orders", NULL};
    struct wire wire;
    struct bv_test_bus_config polite = {0};
    desk_open(&wire.desk, 8);
    struct bv_consumer_config config = {.group = "notification",
                                        .topics = topics,
                                        .rows = notification_consumer_rows,
                                        .row_count = NOTIFICATION_TYPE_COUNT,
                                        .prefetch = 8};
    cr_assert_eq(bv_test_bus_open(wire.desk.loop, &polite, &wire.bus), 0);
    cr_assert_eq(
        bv_consumer_open(
            wire.desk.loop, wire.bus, &config, NULL, NULL, NULL, wire.desk.intake, &wire.consumer),
        0);
    publish(&wire, PAYLOAD);
    publish(&wire, PAYLOAD);
    cr_assert(bv_test_run_until(wire.desk.loop, committed_two, &wire, WAIT_MS));
    cr_assert_eq(wire.desk.store.call_count, 2, "of one key one after another");
    bv_consumer_close(&wire.consumer);
    bv_bus_close(&wire.bus);
    desk_close(&wire.desk);
}
