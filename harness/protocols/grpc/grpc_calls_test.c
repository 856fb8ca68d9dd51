#include "grpc_calls.h"

#include "inventory.pb-c.h"
#include "lab.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* ---- an inventory of one SKU ---- */

struct shelf {
    struct lab_server server;
    struct bv_grpc_call *watcher; /* loop thread */
    int64_t delta;
    char authorization[128];
    char correlation_id[64];
    bool traced;
    bool cancelled;
};

typedef Bitvelocity__Inventory__V1__Level level_t;

static int adjust(struct bv_grpc_call *call,
                  const ProtobufCMessage *request,
                  void *context,
                  struct bv_error *error)
{
    struct shelf *shelf = context;
    const Bitvelocity__Inventory__V1__AdjustRequest *asked = (const void *)request;
    level_t level = BITVELOCITY__INVENTORY__V1__LEVEL__INIT;
    Bitvelocity__Inventory__V1__AdjustReply reply = BITVELOCITY__INVENTORY__V1__ADJUST_REPLY__INIT;
    const struct bv_bytes authorization = bv_grpc_metadata(call, "authorization");
    snprintf(shelf->authorization, sizeof shelf->authorization, "%.*s", BV_ARG(authorization));
    snprintf(shelf->correlation_id,
             sizeof shelf->correlation_id,
             "%.*s",
             BV_ARG(bv_grpc_correlation_id(call)));
    shelf->traced = bv_grpc_metadata(call, "traceparent").size == 55;
    if (asked->delta == 0)
        return bv_fail(error, BV_E_INVALID, "delta must not be 0");
    if (asked->delta == 404)
        return bv_fail(error, BV_E_NOT_FOUND, "no such thing");
    if (asked->delta == 1000)
        return 0; /* never answered: until the deadline */
    level.sku = asked->sku;
    level.on_hand = level.available = asked->delta;
    level.version = 1;
    reply.outcome = BITVELOCITY__INVENTORY__V1__ADJUST_REPLY__OUTCOME__ADJUSTED;
    reply.level = &level;
    return bv_grpc_reply(call, &reply.base);
}

static void send_change(struct shelf *shelf, Bitvelocity__Inventory__V1__LevelChange__Cause cause)
{
    level_t level = BITVELOCITY__INVENTORY__V1__LEVEL__INIT;
    Bitvelocity__Inventory__V1__LevelChange change = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__INIT;
    level.sku = (char *)(uintptr_t) "MUG";
    level.available = 8;
    change.level = &level;
    change.cause = cause;
    change.delta = shelf->delta;
    cr_assert_eq(bv_grpc_stream_send(shelf->watcher, &change.base), 0);
}

static void watch_cancelled(void *argument, struct bv_grpc_call *call)
{
    struct shelf *shelf = argument;
    (void)call;
    shelf->watcher = NULL;
    shelf->cancelled = true;
}

static int watch(struct bv_grpc_call *call,
                 const ProtobufCMessage *request,
                 void *context,
                 struct bv_error *error)
{
    struct shelf *shelf = context;
    const Bitvelocity__Inventory__V1__WatchRequest *asked = (const void *)request;
    if (asked->n_sku == 2)
        return bv_fail(error, BV_E_FORBIDDEN, "not for you");
    shelf->watcher = call;
    bv_grpc_stream_on_cancel(call, watch_cancelled, shelf);
    if (asked->n_sku == 1)
        send_change(shelf, BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__SNAPSHOT);
    return 0;
}

static void reserve_one(void *argument)
{
    struct shelf *shelf = argument;
    cr_assert_not_null(shelf->watcher);
    shelf->delta = -2;
    send_change(shelf, BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__RESERVE);
}

static void end_watch(void *argument)
{
    struct shelf *shelf = argument;
    bv_grpc_stream_end(shelf->watcher, BV_E_UNAVAILABLE, "draining");
    shelf->watcher = NULL;
}

static const struct bv_grpc_method methods[] = {
    {"/bitvelocity.inventory.v1.Inventory/Adjust",
     BV_GRPC_UNARY,         &bitvelocity__inventory__v1__adjust_request__descriptor,
     &bitvelocity__inventory__v1__adjust_reply__descriptor,
     adjust, 0},
    {"/bitvelocity.inventory.v1.Inventory/Watch",
     BV_GRPC_SERVER_STREAM, &bitvelocity__inventory__v1__watch_request__descriptor,
     &bitvelocity__inventory__v1__level_change__descriptor,
     watch,  0},
};

static void begin(struct shelf *shelf, struct lab *lab)
{
    *shelf = (struct shelf){0};
    lab_server_start(&shelf->server, NULL, 0, methods, BV_COUNT(methods), shelf);
    lab_open(lab, &shelf->server, &bv_protocol_grpc);
    cr_assert_eq(
        lab_declare(lab,
                    LAB_WORDS("target", "inventory", "identity", "staff", "key", "$.level.sku")),
        0,
        "%s",
        lab->error.text);
}

static void end(struct shelf *shelf, struct lab *lab)
{
    lab_close(lab);
    lab_server_stop(&shelf->server);
}

static const char *current(struct lab *lab, const char *probe, const char *argument)
{
    cr_assert_not_null(lab->actor.current);
    return lab_probe(lab, lab->actor.current, probe, argument);
}

Test(grpc_calls, calls_a_method_by_json_and_reads_the_reply)
{
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    cr_assert_eq(lab_run(&lab,
                         "calls",
                         LAB_WORDS("method", "Adjust"),
                         "{\"sku\":\"MUG\",\"delta\":10,\"idempotencyKey\":\"k\"}"),
                 0,
                 "%s",
                 lab.error.text);
    cr_expect_str_eq(current(&lab, "status", ""), "OK");
    cr_expect_str_eq(current(&lab, "json", "$.outcome"), "ADJUSTED");
    cr_expect_str_eq(current(&lab, "json", "$.level.onHand"), "10");
    cr_expect_str_eq(current(&lab, "key", ""), "MUG");
    cr_expect_str_eq(current(&lab, "type", ""), "Inventory/Adjust");
    cr_expect_str_eq(shelf.authorization, "Bearer " LAB_TOKEN);
    cr_expect_str_eq(shelf.correlation_id, "run-1");
    cr_expect(shelf.traced);
    const struct bv_message *sent = bv_recording_at(lab.lab.recording, lab.actor.current->answers);
    cr_expect_eq(sent->direction, BV_SENT);
    cr_expect_eq(
        memcmp(sent->trace.trace_id, lab.lab.trace.trace_id, 16), 0, "a child of the step's trace");
    end(&shelf, &lab);
}

Test(grpc_calls, shows_a_status_by_its_name_and_text)
{
    static const struct {
        const char *doc;
        const char *status;
        const char *text;
    } rows[] = {
        {"{}",              "INVALID_ARGUMENT", "delta must not be 0"},
        {"{\"delta\":404}", "NOT_FOUND",        "no such thing"      },
    };
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_assert_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Adjust"), rows[i].doc),
                     0,
                     "%s",
                     lab.error.text);
        cr_expect_str_eq(current(&lab, "status", ""), rows[i].status);
        cr_expect_str_eq(current(&lab, "message", ""), rows[i].text);
    }
    cr_assert_eq(lab_run(&lab, "calls", LAB_WORDS("method", "GetLevels"), NULL), 0);
    cr_expect_str_eq(current(&lab, "status", ""), "UNIMPLEMENTED");
    cr_assert_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Health/Check"), NULL), 0);
    cr_expect_str_eq(current(&lab, "json", "$.status"), "SERVING");
    end(&shelf, &lab);
}

Test(grpc_calls, refuses_what_is_no_request)
{
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    cr_expect_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Ajust"), "{}"), BV_E_NOT_FOUND);
    cr_expect_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Adjust"), "{\"colour\":1}"),
                 BV_E_UNPROCESSABLE);
    cr_expect_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Adjust"), "{"), BV_E_INVALID);
    cr_expect_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Watch"), "{}"), BV_E_INVALID);
    cr_expect_str_eq(lab.error.text, "Inventory/Watch is a stream: use `watches`");
    cr_expect_eq(lab_run(&lab, "watches", LAB_WORDS("method", "Adjust"), "{}"), BV_E_INVALID);
    cr_expect_eq(bv_recording_last(lab.lab.recording), 0, "nothing was sent");
    end(&shelf, &lab);
}

Test(grpc_calls, says_deadline_exceeded_when_no_answer_comes)
{
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    lab.lab.timeout_ms = 200;
    cr_assert_eq(lab_run(&lab, "calls", LAB_WORDS("method", "Adjust"), "{\"delta\":1000}"),
                 0,
                 "%s",
                 lab.error.text);
    cr_expect_str_eq(current(&lab, "status", ""), "DEADLINE_EXCEEDED");
    end(&shelf, &lab);
}

Test(grpc_calls, says_unavailable_when_nobody_listens)
{
    struct lab lab;
    lab_open(&lab, NULL, &bv_protocol_grpc);
    cr_assert_eq(lab_declare(&lab, LAB_WORDS("target", "inventory")), 0);
    cr_assert_eq(
        lab_run(&lab, "calls", LAB_WORDS("method", "Adjust"), "{}"), 0, "%s", lab.error.text);
    cr_expect_str_eq(current(&lab, "status", ""), "UNAVAILABLE");
    lab_close(&lab);
}

Test(grpc_calls, records_a_stream_in_the_background_until_it_is_stopped)
{
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    cr_assert_eq(
        lab_run(&lab, "watches", LAB_WORDS(), "{\"sku\":[\"MUG\"]}"), 0, "%s", lab.error.text);
    cr_expect_str_eq(current(&lab, "json", "$.cause"), "SNAPSHOT");
    cr_expect_str_eq(current(&lab, "sequence", ""), "1");
    lab_server_call(&shelf.server, reserve_one, &shelf);
    const struct bv_message *change = lab_received(&lab, 2);
    cr_expect_str_eq(lab_probe(&lab, change, "json", "$.cause"), "RESERVE");
    cr_expect_str_eq(lab_probe(&lab, change, "json", "$.delta"), "-2");
    cr_expect_str_eq(lab_probe(&lab, change, "key", ""), "MUG");
    cr_assert_eq(
        lab_run(&lab, "calls", LAB_WORDS("method", "Adjust"), "{\"sku\":\"MUG\",\"delta\":1}"),
        0,
        "while it goes on");
    cr_assert_eq(lab_run(&lab, "stops watching", LAB_WORDS(), NULL), 0, "%s", lab.error.text);
    cr_expect(lab_noted(&lab, "Inventory/Watch ended: CANCELLED"));
    end(&shelf, &lab);
}

Test(grpc_calls, is_red_when_a_stream_is_refused)
{
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    cr_expect_eq(lab_run(&lab, "watches", LAB_WORDS(), "{\"sku\":[\"A\",\"B\"]}"), BV_MISMATCH);
    cr_expect_str_eq(lab.error.text, "Inventory/Watch ended: PERMISSION_DENIED: not for you");
    lab.lab.timeout_ms = 200;
    cr_expect_eq(lab_run(&lab, "watches", LAB_WORDS(), "{}"), BV_MISMATCH, "no first message");
    end(&shelf, &lab);
}

Test(grpc_calls, notes_the_end_that_the_server_makes_and_closes_over_open_streams)
{
    struct shelf shelf;
    struct lab lab;
    begin(&shelf, &lab);
    cr_assert_eq(
        lab_run(&lab, "watches", LAB_WORDS(), "{\"sku\":[\"MUG\"]}"), 0, "%s", lab.error.text);
    lab_server_call(&shelf.server, end_watch, &shelf);
    cr_expect(lab_noted(&lab, "Inventory/Watch ended: UNAVAILABLE: draining"));
    cr_assert_eq(lab_run(&lab, "watches", LAB_WORDS("quietly", ""), "{}"), 0, "%s", lab.error.text);
    cr_assert_eq(
        lab_run(&lab, "watches", LAB_WORDS(), "{\"sku\":[\"MUG\"]}"), 0, "%s", lab.error.text);
    end(&shelf, &lab);
}
