/* The consumer on the bus in memory. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/consumer.h"
#include "bv/parked.h"
#include "bv/schema.h"
#include "bv/test_bus.h"
#include "bv/test_loop.h"

#define EVENTS_MAX 512
#define TYPE "test.thing.changed.v1"

struct bench {
    struct bv_loop *loop;
    struct bv_bus *bus;
    struct bv_consumer *consumer;
    struct bv_metrics *metrics;
    size_t handled;        /* handler calls */
    size_t effects;        /* distinct events done */
    int order[EVENTS_MAX]; /* number of each handler call */
    bool done[EVENTS_MAX];
    int running[16]; /* per key: events in the handler */
    size_t overlaps;
    size_t disorder;
    int last[16];
    int poison;    /* this number fails for good; -1 none */
    int transient; /* this number fails `transient_left` times */
    int transient_left;
    bool later; /* answer from a timer */
    size_t stopped;
    size_t wanted;
};
static struct bench bench;

struct answer {
    struct bv_consumer_event *under_way;
    struct bv_timer *timer;
    int number, key, rc;
};

static void give(struct answer *answer)
{
    struct bv_error error = {0};
    bench.running[answer->key]--;
    if (answer->rc == 0 && !bench.done[answer->number]) {
        bench.done[answer->number] = true;
        bench.effects++;
        bench.disorder += answer->number < bench.last[answer->key];
        bench.last[answer->key] = answer->number;
    }
    if (answer->rc < 0)
        (void)bv_fail(&error, answer->rc, "planted %d", answer->number);
    bv_consumer_done(answer->under_way, answer->rc, &error);
}

static void give_later(void *argument)
{
    struct answer *answer = argument;
    bv_timer_close(&answer->timer);
    give(answer);
    free(answer);
}

static void handle(void *context,
                   struct bv_consumer_event *under_way,
                   const struct bv_event *event,
                   const struct bv_record *record)
{
    cr_assert_eq(context, &bench);
    cr_assert(bv_bytes_equal(record->key, event->partition_key));
    struct answer answer = {.under_way = under_way,
                            .number = (int)bv_json_int(bv_json_get(event->payload, "number"), -1),
                            .key = (int)bv_json_int(bv_json_get(event->payload, "key"), -1)};
    cr_assert_eq(memcmp(bv_consumer_trace(under_way)->trace_id, event->trace.trace_id, 16), 0);
    bench.order[bench.handled++] = answer.number;
    bench.overlaps += bench.running[answer.key]++ > 0;
    if (answer.number == bench.poison)
        answer.rc = BV_E_UNPROCESSABLE;
    if (answer.number == bench.transient && bench.transient_left-- > 0)
        answer.rc = BV_E_UNAVAILABLE;
    if (!bench.later) {
        give(&answer);
        return;
    }
    struct answer *copy = malloc(sizeof *copy);
    *copy = answer;
    cr_assert_eq(bv_timer_open(bench.loop, give_later, copy, &copy->timer), 0);
    bv_timer_set(copy->timer, answer.number % 3, 0);
}

static const struct bv_consumer_row rows[] = {
    {TYPE, handle},
};
static const struct bv_backoff quick = {
    .name = "quick", .law = BV_BACKOFF_LINEAR, .base_ms = 1, .cap_ms = 3, .attempts_max = 4};

static void bench_open(const struct bv_test_bus_config *faults)
{
    bench = (struct bench){.poison = -1, .transient = -1};
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &bench.loop), 0);
    cr_assert_eq(bv_metrics_open(32, &bench.metrics), 0);
    cr_assert_eq(bv_test_bus_open(bench.loop, faults, &bench.bus), 0);
}

static void
consumer_open(uint32_t prefetch, const struct bv_schemas *schemas, struct bv_parked_store *parked)
{
    static const char *const topics[] = {"t", NULL};
    const struct bv_consumer_config config = {.group = "g",
                                              .topics = topics,
                                              .rows = rows,
                                              .row_count = BV_COUNT(rows),
                                              .retry = &quick,
                                              .prefetch = prefetch,
                                              .schemas = schemas,
                                              .parked = parked};
    cr_assert_eq(
        bv_consumer_open(
            bench.loop, bench.bus, &config, NULL, bench.metrics, NULL, &bench, &bench.consumer),
        0);
}

static void bench_close(void)
{
    bv_consumer_close(&bench.consumer);
    bv_bus_close(&bench.bus);
    bv_metrics_close(&bench.metrics);
    bv_loop_close(&bench.loop);
}

static void publish_text(const char *key, struct bv_bytes value, const char *replay)
{
    const struct bv_header headers[] = {
        {BV_BYTES("x-kept"),     BV_BYTES("yes")    },
        {BV_BYTES("dlq-reason"), BV_BYTES("older")  },
        {BV_BYTES("dlq-replay"), bv_bytes_of(replay)},
    };
    const struct bv_record record = {.topic = BV_BYTES("t"),
                                     .key = bv_bytes_of(key),
                                     .value = value,
                                     .headers = headers,
                                     .header_count = replay ? 3 : 2};
    cr_assert_eq(bv_bus_publish(bench.bus, &record, NULL, NULL), 0);
}

static void
publish_under(const char *record_key, int key, int number, const char *type, const char *replay)
{
    char key_text[16], payload[64];
    struct bv_buf buf = {.max = 4096};
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(payload, sizeof payload, "{\"key\":%d,\"number\":%d}", key, number);
    struct bv_event event = {.type = bv_bytes_of(type),
                             .producer = BV_BYTES("it"),
                             .partition_key = bv_bytes_of(key_text),
                             .payload_text = bv_bytes_of(payload)};
    bv_event_stamp(&bv_test_env_system, &event);
    cr_assert_eq(bv_event_encode(&buf, &event), 0);
    publish_text(record_key ? record_key : key_text, bv_buf_view(&buf), replay);
    bv_buf_release(&buf);
}

static void publish_type(int key, int number, const char *type, const char *replay)
{
    publish_under(NULL, key, number, type, replay);
}

static void publish(int key, int number)
{
    publish_type(key, number, TYPE, NULL);
}

static bool effects_reached(void *argument)
{
    (void)argument;
    return bench.effects >= bench.wanted && bv_test_bus_lag(bench.bus, "g", "t") == 0;
}

static bool dlq_reached(void *argument)
{
    (void)argument;
    return bv_test_bus_count(bench.bus, "t.dlq") >= bench.wanted &&
           bv_test_bus_lag(bench.bus, "g", "t") == 0;
}

static void await_effects(size_t wanted)
{
    bench.wanted = wanted;
    cr_assert(bv_test_run_until(bench.loop, effects_reached, NULL, 10000),
              "%zu of %zu",
              bench.effects,
              wanted);
}

static void await_dlq(size_t wanted)
{
    bench.wanted = wanted;
    cr_assert(bv_test_run_until(bench.loop, dlq_reached, NULL, 10000));
    cr_assert_eq(bv_test_bus_count(bench.bus, "t.dlq"), wanted);
}

static const char *dlq_header(size_t index, const char *name)
{
    static char text[600];
    struct bv_bytes value = bv_record_header(bv_test_bus_record(bench.bus, "t.dlq", index), name);
    snprintf(text, sizeof text, "%.*s", BV_ARG(value));
    return text;
}

Test(consumer, handles_keys_in_order_and_different_keys_at_once)
{
    bench_open(&(struct bv_test_bus_config){.partitions = 2});
    bench.later = true;
    consumer_open(16, NULL, NULL);
    for (int i = 0; i < 200; i++)
        publish(i % 8, i);
    await_effects(200);
    cr_assert_eq(bench.overlaps, 0);
    cr_assert_eq(bench.disorder, 0);
    cr_assert_eq(bench.handled, 200);
    bench_close();
}

Test(consumer, survives_every_fault_of_the_bus_by_seed)
{
    for (uint64_t seed = 1; seed <= 15; seed++) {
        bench_open(&(struct bv_test_bus_config){.seed = seed,
                                                .partitions = 3,
                                                .duplicate_per_mille = 100,
                                                .reorder_per_mille = 100,
                                                .rebalance_per_mille = 50,
                                                .delay_ms_max = 2});
        bench.later = true;
        bench.transient = 50;
        bench.transient_left = 3;
        consumer_open(8, NULL, NULL);
        for (int i = 0; i < 150; i++)
            publish(i % 8, i);
        await_effects(150);
        cr_assert_eq(bench.disorder, 0, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(bv_test_bus_count(bench.bus, "t.dlq"), 0);
        bench_close();
    }
}

Test(consumer, a_transient_fault_is_tried_again_while_its_key_waits)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.transient = 0;
    bench.transient_left = 4;
    consumer_open(8, NULL, NULL);
    publish(0, 0);
    publish(0, 1);
    publish(1, 2);
    await_effects(3);
    cr_assert_eq(bench.handled, 7);
    cr_assert_eq(bench.order[1], 2); /* the other key does not wait */
    cr_assert_eq(bench.order[6], 1);
    cr_assert_eq(bv_test_bus_count(bench.bus, "t.dlq"), 0);
    bench_close();
}

Test(consumer, exhausted_tries_go_to_the_dlq_with_their_number)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.transient = 0;
    bench.transient_left = 100;
    consumer_open(1, NULL, NULL);
    publish(0, 0);
    await_dlq(1);
    cr_assert_eq(bench.handled, 5);
    cr_assert_str_eq(dlq_header(0, "dlq-attempts"), "5");
    cr_assert_str_eq(dlq_header(0, "dlq-reason"), "planted 0");
    bench_close();
}

Test(consumer, another_version_of_what_is_handled_is_poison_and_other_types_are_not)
{
    bench_open(&(struct bv_test_bus_config){0});
    consumer_open(4, NULL, NULL);
    publish_type(0, 0, "test.thing.changed.v9", NULL);
    publish_type(1, 1, "test.other.happened.v9", NULL);
    publish(1, 2);
    await_dlq(1);
    cr_assert_str_eq(dlq_header(0, "dlq-reason"), "this version of the event is not known here");
    await_effects(1);
    cr_assert_eq(bv_test_bus_count(bench.bus, "t.dlq"), 1);
    bench_close();
}

Test(consumer, what_is_too_large_for_the_dlq_leaves_its_place_there)
{
    static char large[5000];
    memset(large, 'x', sizeof large);
    bench_open(&(struct bv_test_bus_config){0});
    consumer_open(1, NULL, NULL);
    publish_text("k1", (struct bv_bytes){large, sizeof large}, NULL);
    publish(2, 1);
    bv_test_bus_faults(bench.bus, &(struct bv_test_bus_config){.record_bytes_max = sizeof large});
    await_dlq(1);
    await_effects(1);
    cr_assert_eq(bv_test_bus_record(bench.bus, "t.dlq", 0)->value.size, 0);
    cr_assert(bv_bytes_equal(bv_test_bus_record(bench.bus, "t.dlq", 0)->key, BV_BYTES("k1")));
    cr_assert_str_eq(dlq_header(0, "dlq-cut-bytes"), "5000");
    cr_assert_str_eq(dlq_header(0, "dlq-offset"), "0");
    bench_close();
}

Test(consumer, poison_takes_the_later_events_of_its_key_along_and_no_others)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.poison = 1;
    consumer_open(4, NULL, NULL);
    for (int i = 0; i < 9; i++)
        publish(i % 3, i);
    await_dlq(3); /* 1, 4, 7 */
    cr_assert_eq(bench.effects, 6);
    cr_assert_str_eq(dlq_header(0, "dlq-reason"), "planted 1");
    cr_assert_str_eq(dlq_header(1, "dlq-reason"), "an earlier event of this key is parked");
    cr_assert_str_eq(dlq_header(0, "dlq-topic"), "t");
    cr_assert_str_eq(dlq_header(0, "dlq-partition"), "0");
    cr_assert_str_eq(dlq_header(0, "dlq-offset"), "1");
    cr_assert_str_eq(dlq_header(0, "x-kept"), "yes");
    cr_assert_eq(bv_test_bus_record(bench.bus, "t.dlq", 0)->header_count,
                 6); /* the older dlq-reason is gone */
    const struct bv_record *original = bv_test_bus_record(bench.bus, "t", 1);
    cr_assert(bv_bytes_equal(original->value, bv_test_bus_record(bench.bus, "t.dlq", 0)->value));
    cr_assert(bv_bytes_equal(original->key, bv_test_bus_record(bench.bus, "t.dlq", 0)->key));
    bench_close();
}

Test(consumer, what_cannot_be_decoded_goes_to_the_dlq)
{
    bench_open(&(struct bv_test_bus_config){0});
    consumer_open(4, NULL, NULL);
    publish_text("k1", BV_BYTES("{not json"), NULL);
    publish_text("k2", BV_BYTES("{\"eventId\": 1}"), NULL);
    publish_text("k3", BV_BYTES(""), NULL);
    publish(0, 0);
    await_dlq(3);
    cr_assert_eq(bench.effects, 1);
    cr_assert_str_eq(dlq_header(0, "dlq-attempts"), "1");
    cr_assert_neq(strlen(dlq_header(0, "dlq-reason")), 0);
    bench_close();
}

Test(consumer, an_event_under_a_foreign_key_has_no_order_and_goes_to_the_dlq)
{
    bench_open(&(struct bv_test_bus_config){0});
    consumer_open(4, NULL, NULL);
    publish_under("k7", 1, 1, TYPE, NULL);
    publish(0, 0);
    await_dlq(1);
    cr_assert_eq(bench.effects, 1);
    cr_assert_str_eq(dlq_header(0, "dlq-reason"), "the record's key is not the partitionKey");
    bench_close();
}

Test(consumer, replay_in_order_releases_the_key)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.poison = 0;
    consumer_open(4, NULL, NULL);
    for (int i = 0; i < 3; i++)
        publish(5, i);
    await_dlq(3);
    bench.poison = -1;
    publish_type(5, 0, TYPE, "next");
    publish(5, 3); /* still parked */
    publish_type(5, 1, TYPE, "next");
    publish_type(5, 2, TYPE, "next");
    publish_type(5, 3, TYPE, "last");
    publish(5, 4);
    await_effects(5);
    await_dlq(4);
    cr_assert_eq(bench.disorder, 0);
    bench_close();
}

Test(consumer, an_unknown_type_is_ignored)
{
    bench_open(&(struct bv_test_bus_config){0});
    consumer_open(4, NULL, NULL);
    publish_type(0, 0, "test.thing.forgotten.v1", NULL);
    publish(0, 1);
    await_effects(1);
    cr_assert_eq(bench.handled, 1);
    cr_assert_eq(bv_test_bus_count(bench.bus, "t.dlq"), 0);
    bench_close();
}

Test(consumer, a_payload_against_its_schema_goes_to_the_dlq)
{
    struct bv_schemas *schemas = NULL;
    bench_open(&(struct bv_test_bus_config){0});
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    cr_assert_eq(bv_schemas_add(schemas,
                                BV_BYTES(TYPE ".schema.json"),
                                BV_BYTES("{\"properties\": {\"payload\": {\"properties\": "
                                         "{\"number\": {\"maximum\": 5}}}}}"),
                                NULL),
                 0);
    cr_assert_eq(bv_schemas_link(schemas, NULL), 0);
    consumer_open(4, schemas, NULL);
    publish(0, 5);
    publish(1, 6);
    await_dlq(1);
    cr_assert_eq(bench.effects, 1);
    cr_assert_str_eq(dlq_header(0, "dlq-reason"), "/payload/number: is more than 5");
    bench_close();
    bv_schemas_close(&schemas);
}

Test(consumer, a_row_without_schema_is_found_at_open)
{
    static const char *const topics[] = {"t", NULL};
    struct bv_schemas *schemas = NULL;
    bench_open(&(struct bv_test_bus_config){0});
    cr_assert_eq(bv_schemas_open(&schemas), 0);
    const struct bv_consumer_config config = {
        .group = "g", .topics = topics, .rows = rows, .row_count = 1, .schemas = schemas};
    cr_assert_eq(
        bv_consumer_open(bench.loop, bench.bus, &config, NULL, NULL, NULL, NULL, &bench.consumer),
        BV_E_NOT_FOUND);
    bv_schemas_close(&schemas);
    bench_close();
}

Test(consumer, poison_waits_for_the_dlq_to_come_back)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.poison = 0;
    consumer_open(4, NULL, NULL);
    publish(0, 0);
    bv_test_run_for(bench.loop, 1);
    bv_test_bus_outage(bench.bus, BV_E_UNAVAILABLE);
    bv_test_run_for(bench.loop, 50);
    bv_test_bus_outage(bench.bus, 0);
    await_dlq(1);
    bench_close();
}

static void stopped(void *argument)
{
    (void)argument;
    bench.stopped++;
}

static bool is_stopped(void *argument)
{
    (void)argument;
    return bench.stopped == 1;
}

Test(consumer, stop_lets_what_is_under_way_finish_and_starts_nothing)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.later = true;
    consumer_open(4, NULL, NULL);
    for (int i = 0; i < 50; i++)
        publish(i % 4, i);
    bench.wanted = 5;
    while (bench.handled < 5)
        bv_test_run_for(bench.loop, 1);
    size_t handled = bench.handled;
    bv_consumer_stop(bench.consumer, stopped, NULL);
    cr_assert(bv_test_run_until(bench.loop, is_stopped, NULL, 5000));
    cr_assert_eq(bench.handled, handled);
    cr_assert_eq(bench.effects, handled);
    bv_consumer_close(&bench.consumer);
    consumer_open(
        4,
        NULL,
        NULL); /* a successor takes up the rest, and repeats nothing that was done in a row */
    bench.wanted = 50;
    await_effects(50);
    cr_assert_eq(bench.disorder, 0);
    bench_close();
}

Test(consumer, a_done_after_close_is_harmless)
{
    bench_open(&(struct bv_test_bus_config){0});
    bench.later = true;
    consumer_open(4, NULL, NULL);
    publish(0, 2);
    while (bench.handled < 1)
        bv_test_run_for(bench.loop, 1);
    bv_consumer_close(&bench.consumer);
    bench.wanted = 0;
    bv_test_run_for(bench.loop, 20);
    cr_assert_eq(bench.effects, 1);
    bench_close();
}

/* A store that remembers across consumers and answers later. */
struct memory_store {
    struct bv_parked_store base;
    bool parked;
    size_t loads, parks, releases;
    int fail; /* so many calls fail first */
};
struct memory_call {
    struct memory_store *store;
    bv_parked_key *each;
    bv_parked_done *done;
    void *argument;
    struct bv_timer *timer;
    int rc;
};

static void memory_answer(void *argument)
{
    struct memory_call *call = argument;
    bv_timer_close(&call->timer);
    if (call->rc == 0 && call->each && call->store->parked)
        call->each(call->argument, BV_BYTES("t"), BV_BYTES("k0"));
    call->done(call->argument, call->rc);
    free(call);
}

static int
memory_start(struct memory_store *store, bv_parked_key *each, bv_parked_done *done, void *argument)
{
    struct memory_call *call = calloc(1, sizeof *call);
    *call = (struct memory_call){
        store, each, done, argument, NULL, store->fail-- > 0 ? BV_E_UNAVAILABLE : 0};
    cr_assert_eq(bv_timer_open(bench.loop, memory_answer, call, &call->timer), 0);
    bv_timer_set(call->timer, 5, 0);
    return 0;
}

static int memory_load(struct bv_parked_store *self,
                       const char *group,
                       bv_parked_key *each,
                       bv_parked_done *done,
                       void *argument)
{
    (void)group;
    ((struct memory_store *)self)->loads++;
    return memory_start((struct memory_store *)self, each, done, argument);
}

static int memory_park(struct bv_parked_store *self,
                       const char *group,
                       struct bv_bytes topic,
                       struct bv_bytes key,
                       bv_parked_done *done,
                       void *argument)
{
    (void)group, (void)topic, (void)key;
    ((struct memory_store *)self)->parks++;
    ((struct memory_store *)self)->parked = true;
    return memory_start((struct memory_store *)self, NULL, done, argument);
}

static int memory_release(struct bv_parked_store *self,
                          const char *group,
                          struct bv_bytes topic,
                          struct bv_bytes key,
                          bv_parked_done *done,
                          void *argument)
{
    (void)group, (void)topic, (void)key;
    ((struct memory_store *)self)->releases++;
    ((struct memory_store *)self)->parked = false;
    return memory_start((struct memory_store *)self, NULL, done, argument);
}

Test(consumer, parked_keys_survive_a_restart_by_their_store)
{
    struct memory_store store = {
        .base = {memory_load, memory_park, memory_release},
          .fail = 1
    };
    bench_open(&(struct bv_test_bus_config){0});
    bench.poison = 0;
    consumer_open(4, NULL, &store.base);
    publish(0, 0);
    publish(1, 1);
    await_dlq(1);
    bv_consumer_close(&bench.consumer);
    bench.poison = -1;
    consumer_open(4, NULL, &store.base);
    publish(0, 2); /* follows, though this consumer has never seen the poison */
    await_dlq(2);
    bv_test_bus_rebalance(bench.bus);
    publish(0, 3);
    await_dlq(3);
    cr_assert_geq(store.loads, 3);
    publish_type(0, 0, TYPE, "next");
    publish_type(0, 2, TYPE, "next");
    publish_type(0, 3, TYPE, "last");
    publish(0, 4);
    await_effects(5);
    cr_assert_eq(store.releases, 1);
    cr_assert_eq(bench.disorder, 0);
    bench_close();
}

/* A database refuses such keys, and every try again would fail like the first. */
Test(consumer, a_key_that_no_event_can_have_is_not_parked)
{
    static char long_key[BV_EVENT_KEY_BYTES_MAX + 2];
    memset(long_key, 'k', sizeof long_key - 1);
    struct memory_store store = {
        .base = {memory_load, memory_park, memory_release}
    };
    bench_open(&(struct bv_test_bus_config){0});
    consumer_open(1, NULL, &store.base);
    publish_text("\xff\xfe", BV_BYTES("noise"), NULL);
    publish_text(long_key, BV_BYTES("noise"), NULL);
    publish(2, 1);
    await_dlq(2);
    await_effects(1);
    cr_assert_eq(store.parks, 0);
    bench_close();
}
