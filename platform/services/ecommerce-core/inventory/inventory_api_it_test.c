#include "inventory_service.h"

#include "bv/test_stack.h"
#include "bv/uuid.h"
#include "inventory.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* The gRPC methods and watch streams of two replicas over one database, without Kafka: the test
 * carries the news between them. */

#define REPLICAS 2
#define GUARD_MS 30000
#define PATH(name) "/bitvelocity.inventory.v1.Inventory/" name

typedef Bitvelocity__Inventory__V1__LevelChange level_change;
typedef Bitvelocity__Inventory__V1__ReserveReply reserve_reply;
typedef Bitvelocity__Inventory__V1__ReleaseReply release_reply;
typedef Bitvelocity__Inventory__V1__CommitReply commit_reply;
typedef Bitvelocity__Inventory__V1__AdjustReply adjust_reply;
typedef Bitvelocity__Inventory__V1__GetLevelsReply levels_reply;

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

struct replica {
    struct inventory_service service;
    struct bv_metrics *metrics;
    struct bv_grpc_client *client;
};
struct fixture {
    struct bv_loop *loop;
    struct bv_timer *guard;
    char *database;
    struct replica replicas[REPLICAS];
    bool done;
    int rc;
    char text[160];
    char json[65536];
};

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("nothing happened for %d ms", GUARD_MS);
}

static void on_committed(void *argument, const struct inventory_change *changes, size_t count)
{
    struct replica *replica = argument;
    inventory_watches_committed(replica->service.watches, changes, count);
}

static void replica_open(struct fixture *f, struct replica *r)
{
    struct inventory_service *s = &r->service;
    struct bv_pg_config pg = {.conninfo = f->database,
                              .connections = 2,
                              .calls_max = 4096,
                              .call_timeout_ms = 20000,
                              .pipeline_depth = 8,
                              .application = "it"};
    cr_assert_eq(bv_metrics_open(1000, &r->metrics), 0);
    struct bv_grpc_server_config server = {"127.0.0.1", 0, 4096, 65536};
    struct bv_grpc_deps grpc = {.loop = f->loop, .metrics = r->metrics};
    cr_assert_eq(bv_grpc_server_open(&server, &grpc, &s->grpc), 0);
    cr_assert_eq(bv_grpc_server_methods(s->grpc, inventory_methods, inventory_method_count, s), 0);
    cr_assert_eq(bv_pg_open(f->loop, &pg, r->metrics, &s->pg), 0);
    cr_assert_eq(inventory_store_pg_open(s->pg, &s->store), 0);
    cr_assert_eq(inventory_watches_open(s->store, &env, r->metrics, 8, &s->watches), 0);
    struct inventory_batch_deps deps = {f->loop, NULL, r->metrics, s->store, on_committed, r};
    cr_assert_eq(inventory_batch_open(&deps, 4096, &s->batch), 0);
    inventory_api_metrics(s, r->metrics);
    cr_assert_eq(bv_grpc_server_start(s->grpc, NULL), 0);
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%d", bv_grpc_server_port(s->grpc));
    struct bv_grpc_client_config to = {target, 4096, 65536};
    cr_assert_eq(bv_grpc_client_open(f->loop, &to, &r->client), 0);
}

static void replica_close(struct replica *r)
{
    struct inventory_service *s = &r->service;
    bv_grpc_client_close(&r->client);
    bv_pg_close(&s->pg);
    inventory_batch_close(&s->batch);
    inventory_watches_close(&s->watches);
    s->store->ops->close(&s->store);
    bv_grpc_server_close(&s->grpc);
    bv_metrics_close(&r->metrics);
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.database = bv_test_database("inventory")};
    cr_assert_eq(bv_loop_open(&env, &f->loop), 0);
    cr_assert_eq(bv_timer_open(f->loop, on_guard, f, &f->guard), 0);
    bv_timer_set(f->guard, GUARD_MS, 0);
    for (size_t i = 0; i < REPLICAS; i++)
        replica_open(f, &f->replicas[i]);
}

static void fixture_close(struct fixture *f)
{
    for (size_t i = 0; i < REPLICAS; i++)
        replica_close(&f->replicas[i]);
    bv_timer_close(&f->guard);
    bv_loop_close(&f->loop);
    free(f->database);
}

static void
on_done(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    struct fixture *f = argument;
    f->done = true;
    f->rc = rc;
    snprintf(f->text, sizeof f->text, "%s", error ? error->text : "");
    f->json[0] = '\0';
    if (rc == 0) {
        struct bv_buf buf = {.max = sizeof f->json - 1};
        cr_assert_eq(bv_pb_to_json(&buf, reply), 0);
        memcpy(f->json, buf.data, buf.size);
        f->json[buf.size] = '\0';
        bv_buf_release(&buf);
    }
    bv_loop_stop(f->loop);
}

/* Calls a method with a request in JSON; the reply is f->json, or f->rc says why there is none. */
static const char *
call(struct fixture *f, size_t replica, const char *method, const char *format, ...)
    BV_PRINTF(4, 5);
static const char *
call(struct fixture *f, size_t replica, const char *method, const char *format, ...)
{
    static char json[65536];
    char path[100];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(json, sizeof json, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, PATH("%s"), method);
    const struct bv_grpc_method *row = NULL;
    for (size_t i = 0; i < inventory_method_count; i++)
        if (strcmp(inventory_methods[i].path, path) == 0)
            row = &inventory_methods[i];
    cr_assert_not_null(row);
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    ProtobufCMessage *message = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_pb_from_json(arena, row->request, bv_bytes_of(json), &message, &error),
                 0,
                 "%s: %s",
                 json,
                 error.text);
    struct bv_grpc_request request = {
        .path = path, .message = message, .reply = row->reply, .timeout_ms = 10000};
    f->done = false;
    cr_assert_eq(bv_grpc_send(f->replicas[replica].client, &request, on_done, f), 0);
    while (!f->done)
        cr_assert_eq(bv_loop_run(f->loop), 0);
    return f->json;
}

static const char *new_order(void)
{
    static char order_id[BV_UUID_TEXT_SIZE];
    bv_uuid_format(bv_uuid_v7(&env), order_id);
    return order_id;
}

static void stock(struct fixture *f, size_t replica, const char *sku, int delta, const char *key)
{
    const char *reply =
        call(f,
             replica,
             "Adjust",
             "{\"sku\":\"%s\",\"delta\":\"%d\",\"reason\":\"count\",\"idempotencyKey\":\"%s\"}",
             sku,
             delta,
             key);
    cr_assert(strstr(reply, "\"ADJUSTED\""), "%s %s", reply, f->text);
}

/* ---- watching ---- */

struct watching {
    struct fixture *f;
    struct bv_grpc_stream *stream;
    size_t snapshots;
    size_t changes;
    bool ended;
    int rc;
    int64_t versions[1000]; /* per SKU, by its number at the end of the name */
    char log[4096];         /* of changes, while they fit */
};

static void on_change(void *argument, const ProtobufCMessage *reply)
{
    struct watching *w = argument;
    const level_change *change = (const level_change *)reply;
    const char *digits = change->level->sku;
    digits += strcspn(digits, "0123456789");
    size_t number = strtoul(digits[0] ? digits : "0", NULL, 10);
    bool snapshot = change->cause == BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__SNAPSHOT;
    cr_assert(number < BV_COUNT(w->versions));
    if (snapshot)
        cr_assert_eq(w->versions[number], 0, "a snapshot comes first and once");
    else
        cr_assert_eq((int64_t)change->level->version,
                     w->versions[number] + 1,
                     "a gap after version %lld of %s",
                     (long long)w->versions[number],
                     change->level->sku);
    w->versions[number] = (int64_t)change->level->version;
    w->snapshots += snapshot;
    w->changes += !snapshot;
    size_t size = strlen(w->log);
    snprintf(w->log + size,
             sizeof w->log - size,
             "%s %s %+lld -> %lld/%lld v%llu\n",
             change->level->sku,
             protobuf_c_enum_descriptor_get_value(
                 &bitvelocity__inventory__v1__level_change__cause__descriptor, (int)change->cause)
                 ->name,
             (long long)change->delta,
             (long long)change->level->reserved,
             (long long)change->level->on_hand,
             (unsigned long long)change->level->version);
    bv_loop_stop(w->f->loop);
}

static void
on_end(void *argument, int rc, const ProtobufCMessage *reply, const struct bv_error *error)
{
    struct watching *w = argument;
    (void)reply;
    (void)error;
    w->ended = true;
    w->rc = rc;
    bv_loop_stop(w->f->loop);
}

static void watch(struct fixture *f, size_t replica, struct watching *w, char **skus, size_t count)
{
    Bitvelocity__Inventory__V1__WatchRequest message =
        BITVELOCITY__INVENTORY__V1__WATCH_REQUEST__INIT;
    message.sku = skus;
    message.n_sku = count;
    struct bv_grpc_request request = {.path = PATH("Watch"),
                                      .message = &message.base,
                                      .reply =
                                          &bitvelocity__inventory__v1__level_change__descriptor};
    *w = (struct watching){.f = f};
    cr_assert_eq(bv_grpc_stream_open(
                     f->replicas[replica].client, &request, on_change, on_end, w, &w->stream),
                 0);
}

static void await(struct watching *w, size_t snapshots, size_t changes)
{
    while (w->snapshots < snapshots || w->changes < changes)
        cr_assert_eq(bv_loop_run(w->f->loop), 0);
}

static void unwatch(struct watching *w)
{
    bv_grpc_stream_cancel(w->stream);
    while (!w->ended)
        cr_assert_eq(bv_loop_run(w->f->loop), 0);
}

Test(inventory_api_it, serves_an_order_from_reserve_to_commit)
{
    struct fixture f;
    fixture_open(&f);
    stock(&f, 0, "MUG", 5, "in");
    const char *order_id = new_order();
    cr_expect_str_eq(call(&f,
                          0,
                          "Reserve",
                          "{\"orderId\":\"%s\",\"lines\":[{\"sku\":\"MUG\",\"quantity\":2}]}",
                          order_id),
                     "{\"outcome\":\"RESERVED\",\"shortages\":[]}");
    cr_expect_str_eq(call(&f, 1, "GetLevels", "{\"sku\":[\"NONE\",\"MUG\"]}"),
                     "{\"levels\":[{\"sku\":\"MUG\",\"onHand\":\"5\",\"reserved\":\"2\","
                     "\"available\":\"3\",\"version\":\"2\"}]}");
    cr_expect_str_eq(call(&f, 1, "Commit", "{\"orderId\":\"%s\"}", order_id),
                     "{\"outcome\":\"COMMITTED\"}");
    cr_expect_str_eq(call(&f, 0, "Release", "{\"orderId\":\"%s\",\"reason\":\"late\"}", order_id),
                     "{\"outcome\":\"COMMITTED_BEFORE\"}");
    cr_expect_str_eq(call(&f,
                          0,
                          "Reserve",
                          "{\"orderId\":\"%s\",\"lines\":[{\"sku\":\"MUG\",\"quantity\":9}]}",
                          new_order()),
                     "{\"outcome\":\"SOLD_OUT\",\"shortages\":[{\"sku\":\"MUG\",\"requested\":"
                     "\"9\",\"available\":\"3\"}]}");
    order_id = new_order();
    cr_expect_str_eq(call(&f, 0, "Release", "{\"orderId\":\"%s\",\"reason\":\"early\"}", order_id),
                     "{\"outcome\":\"NOT_RESERVED\"}");
    cr_expect_str_eq(call(&f,
                          1,
                          "Reserve",
                          "{\"orderId\":\"%s\",\"lines\":[{\"sku\":\"MUG\",\"quantity\":1}]}",
                          order_id),
                     "{\"outcome\":\"RELEASED_BEFORE\",\"shortages\":[]}");
    cr_expect_str_eq(
        call(&f,
             1,
             "Adjust",
             "{\"sku\":\"MUG\",\"delta\":-4,\"reason\":\"r\",\"idempotencyKey\":\"k\"}"),
        "{\"outcome\":\"WOULD_BE_NEGATIVE\",\"level\":{\"sku\":\"MUG\",\"onHand\":\"3\","
        "\"reserved\":\"0\","
        "\"available\":\"3\",\"version\":\"3\"}}");
    fixture_close(&f);
}

Test(inventory_api_it, refuses_input_outside_the_contract)
{
    static const struct {
        const char *method;
        const char *json;
    } rows[] = {
        {"Reserve",   "{\"orderId\":\"x\",\"lines\":[{\"sku\":\"A\",\"quantity\":1}]}"       },
        {"Reserve",
         "{\"orderId\":\"8e03978e-40d5-43dd-bc93-6894a57f9324\",\"lines\":[{\"sku\":\"A\","
         "\"quantity\":1}]}"                                                                 },
        {"Reserve",   "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\"}"               },
        {"Reserve",
         "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"lines\":[{\"sku\":\"A\"}]}"},
        {"Reserve",
         "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"lines\":[{\"sku\":\"A\","
         "\"quantity\":1001}]}"                                                              },
        {"Reserve",
         "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"lines\":[{\"sku\":\"a\","
         "\"quantity\":1}]}"                                                                 },
        {"Reserve",
         "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"lines\":[{\"sku\":\"\","
         "\"quantity\":1}]}"                                                                 },
        {"Reserve",
         "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"lines\":[{\"sku\":\"A\","
         "\"quantity\":1},{\"sku\":\"A\",\"quantity\":1}]}"                                  },
        {"Reserve",
         "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\",\"tenantId\":\"-x\",\"lines\":[{"
         "\"sku\":\"A\",\"quantity\":1}]}"                                                   },
        {"Release",   "{\"orderId\":\"01936f3e-7c2a-7b31-9d4e-2f6a1c8b5e01\"}"               },
        {"Commit",    "{}"                                                                   },
        {"Adjust",    "{\"sku\":\"A\",\"delta\":0,\"reason\":\"r\",\"idempotencyKey\":\"k\"}"},
        {"Adjust",
         "{\"sku\":\"A\",\"delta\":1000000001,\"reason\":\"r\",\"idempotencyKey\":\"k\"}"    },
        {"Adjust",    "{\"sku\":\"A\",\"delta\":1,\"idempotencyKey\":\"k\"}"                 },
        {"Adjust",    "{\"sku\":\"A\",\"delta\":1,\"reason\":\"r\"}"                         },
        {"GetLevels", "{}"                                                                   },
        {"GetLevels", "{\"sku\":[\"A B\"]}"                                                  },
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        call(&f, 0, rows[i].method, "%s", rows[i].json);
        cr_expect_eq(
            f.rc, BV_E_INVALID, "%s %s: %d %s", rows[i].method, rows[i].json, f.rc, f.json);
    }
    cr_expect_eq(bv_test_sql_int(
                     f.database,
                     "SELECT (SELECT count(*) FROM reservations) + (SELECT count(*) FROM stock)"),
                 0);
    stock(&f, 0, "A", 1, "k");
    call(&f, 0, "Adjust", "{\"sku\":\"A\",\"delta\":2,\"reason\":\"r\",\"idempotencyKey\":\"k\"}");
    cr_expect_eq(f.rc, BV_E_EXISTS);
    fixture_close(&f);
}

Test(inventory_api_it, tells_a_watcher_each_change_in_order)
{
    struct fixture f;
    struct watching w;
    fixture_open(&f);
    stock(&f, 0, "MUG", 5, "in");
    stock(&f, 0, "CAP", 5, "other");
    char *skus[] = {(char *)(uintptr_t) "MUG", (char *)(uintptr_t) "NOT-YET"};
    watch(&f, 0, &w, skus, 2);
    await(&w, 1, 0);
    const char *order_id = new_order();
    call(&f,
         0,
         "Reserve",
         "{\"orderId\":\"%s\",\"lines\":[{\"sku\":\"MUG\",\"quantity\":2},{\"sku\":\"CAP\","
         "\"quantity\":1}]}",
         order_id);
    call(&f, 0, "Commit", "{\"orderId\":\"%s\"}", order_id);
    order_id = new_order();
    call(&f,
         0,
         "Reserve",
         "{\"orderId\":\"%s\",\"lines\":[{\"sku\":\"MUG\",\"quantity\":3}]}",
         order_id);
    call(&f, 0, "Release", "{\"orderId\":\"%s\",\"reason\":\"r\"}", order_id);
    stock(&f, 0, "MUG", -1, "out");
    await(&w, 1, 5);
    cr_expect_str_eq(w.log,
                     "MUG SNAPSHOT +0 -> 0/5 v1\n"
                     "MUG RESERVE -2 -> 2/5 v2\n"
                     "MUG COMMIT -2 -> 0/3 v3\n"
                     "MUG RESERVE -3 -> 3/3 v4\n"
                     "MUG RELEASE +3 -> 0/3 v5\n"
                     "MUG ADJUST -1 -> 0/2 v6\n");
    unwatch(&w);
    cr_expect_eq(w.rc, BV_E_CANCELLED);
    fixture_close(&f);
}

Test(inventory_api_it, tells_a_watcher_of_everything_more_skus_than_its_queue_holds_and_new_ones)
{
    enum { SKUS = 600 };
    struct fixture f;
    static struct watching w;
    fixture_open(&f);
    bv_test_sql(
        f.database,
        "INSERT INTO stock SELECT 'default', 'S' || n, 10, 0, 1 FROM generate_series(1, 600) n;"
        "INSERT INTO ledger SELECT 'default', 'S' || n, 1, 10, 0, 10, 0, 'ADJUST', NULL, 'seed', "
        "now()"
        " FROM generate_series(1, 600) n");
    watch(&f, 0, &w, NULL, 0);
    await(&w, SKUS, 0);
    stock(&f, 0, "S601", 1, "new");
    await(&w, SKUS, 1);
    cr_expect_eq(w.versions[601], 1);
    unwatch(&w);
    fixture_close(&f);
}

Test(inventory_api_it, tells_a_watcher_what_another_replica_did_without_a_gap)
{
    enum { CHANGES = 600 };
    struct fixture f;
    static struct watching w;
    fixture_open(&f);
    stock(&f, 0, "S1", 1, "in");
    watch(&f, 1, &w, NULL, 0);
    await(&w, 1, 0);
    bv_test_sql(f.database,
                "INSERT INTO ledger SELECT 'default', 'S1', n, 1, 0, n, 0, 'ADJUST', NULL, "
                "'elsewhere', now()"
                " FROM generate_series(2, 601) n; UPDATE stock SET on_hand = 601, version = 601");
    struct inventory_service *second = &f.replicas[1].service;
    struct inventory_key key = {BV_BYTES("default"), BV_BYTES("S1")};
    inventory_watches_seen(second->watches, key, 400);
    inventory_watches_seen(second->watches, key, 300);
    inventory_watches_pump(second->watches);
    await(&w, 1, CHANGES);
    stock(&f, 1, "S1", 1, "here");
    await(&w, 1, CHANGES + 1);
    cr_expect_eq(w.versions[1], CHANGES + 2);
    unwatch(&w);
    fixture_close(&f);
}

Test(inventory_api_it, bounds_its_watchers_and_frees_their_places)
{
    struct fixture f;
    static struct watching ws[9];
    fixture_open(&f);
    stock(&f, 0, "S1", 1, "in");
    for (size_t i = 0; i < 8; i++) {
        watch(&f, 0, &ws[i], NULL, 0);
        await(&ws[i], 1, 0);
    }
    watch(&f, 0, &ws[8], NULL, 0);
    while (!ws[8].ended)
        cr_assert_eq(bv_loop_run(f.loop), 0);
    cr_expect_eq(ws[8].rc, BV_E_LIMIT);
    unwatch(&ws[0]);
    do { /* the server hears of the leaving a moment later */
        watch(&f, 0, &ws[0], NULL, 0);
        while (!ws[0].ended && ws[0].snapshots == 0)
            cr_assert_eq(bv_loop_run(f.loop), 0);
    } while (ws[0].ended);
    for (size_t i = 0; i < 8; i++)
        unwatch(&ws[i]);
    fixture_close(&f);
}
