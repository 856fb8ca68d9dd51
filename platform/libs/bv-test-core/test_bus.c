/*   publish ──faults──> topic: log[] (all partitions, in order of arrival; visible_at per record)
 *                                │ lane per (subscription, topic, partition): `next` index into the
 * log ▼ receive <── deliveries, at most prefetch ──ack──> lane->done: committed per (group, topic,
 * partition)
 *
 * Everything happens in `turn`, which an idle or the timer calls, so that no callback comes from
 * within a call. */
#include "bv/test_bus.h"

#include <stdlib.h>

#include "bv/test_env.h"

#define HOLD_BACK_MS 5

struct entry {
    struct bv_record record; /* owned with its bytes: one block */
    int64_t visible_at_ms;
};
struct commit {
    struct commit *next;
    char *group; /* owned */
    int32_t partition;
    int64_t offset; /* first that is not done */
};
struct topic {
    struct topic *next;
    char *name; /* owned */
    struct entry **log;
    size_t count;
    size_t capacity;
    struct entry *held; /* to be appended behind the next */
    int64_t held_until_ms;
    int64_t *ends; /* next offset per partition */
    struct commit *commits;
};
struct report {
    struct report *next;
    bv_bus_done *done;
    void *argument;
    int rc;
};
enum delivery_state { DELIVERY_OUT, DELIVERY_WAITING, DELIVERY_DONE };
struct lane;
struct delivery {
    struct bv_delivery base;
    struct lane *lane; /* NULL: stale */
    struct delivery *next;
    const struct entry *entry;
    enum delivery_state state;
    int64_t due_ms; /* WAITING */
};
struct subscription;
struct lane {
    struct lane *next;
    struct subscription *subscription;
    struct topic *topic;
    int32_t partition;
    size_t at; /* index into the log */
    struct delivery *head;
    uint32_t out;
    uint32_t waiting;
};
struct test_bus;
struct subscription {
    struct bv_subscription base;
    struct subscription *next;
    struct test_bus *bus;
    char *group;           /* owned */
    struct topic **topics; /* owned */
    size_t topic_count;
    uint32_t prefetch;
    bool assigned_due;
    size_t assigned_count;
    bv_bus_receive *receive;
    void (*assigned)(void *argument, size_t partitions);
    void *argument;
    struct lane *lanes;
};
struct test_bus {
    struct bv_bus base;
    struct bv_loop *loop;
    struct bv_test_env random;
    struct bv_test_bus_config config;
    int32_t partitions;
    struct bv_idle *idle;
    struct bv_timer *timer;
    struct topic *topics;
    struct subscription *subscriptions;
    struct report *reports, **reports_end;
    uint64_t round_robin;
    int outage;
    bool closing;
};

static void out_of_memory(void)
{
    abort(); /* a test's bus has no better answer */
}

static void *must(void *memory)
{
    if (!memory)
        out_of_memory();
    return memory;
}

static int64_t now_ms(const struct test_bus *bus)
{
    return bv_mono_ms(bv_loop_env(bus->loop));
}

static bool chance(struct test_bus *bus, uint32_t per_mille)
{
    return per_mille > 0 && bv_random_below(&bus->random.env, 1000) < per_mille;
}

/* ---- topics ---- */

static struct topic *topic_of(struct test_bus *bus, struct bv_bytes name)
{
    for (struct topic *topic = bus->topics; topic; topic = topic->next) {
        if (bv_bytes_equal(name, bv_bytes_of(topic->name)))
            return topic;
    }
    struct topic *topic = must(calloc(1, sizeof *topic));
    topic->name = must(strndup(name.data, name.size));
    topic->ends = must(calloc((size_t)bus->partitions, sizeof *topic->ends));
    topic->next = bus->topics;
    bus->topics = topic;
    return topic;
}

static struct commit *commit_of(struct topic *topic, const char *group, int32_t partition)
{
    for (struct commit *commit = topic->commits; commit; commit = commit->next) {
        if (commit->partition == partition && strcmp(commit->group, group) == 0)
            return commit;
    }
    struct commit *commit = must(calloc(1, sizeof *commit));
    *commit = (struct commit){topic->commits, must(strdup(group)), partition, 0};
    topic->commits = commit;
    return commit;
}

static char *put(char **at, struct bv_bytes bytes)
{
    char *start = *at;
    if (bytes.size)
        memcpy(start, bytes.data, bytes.size);
    *at += bytes.size;
    return start;
}

static struct entry *entry_new(const struct bv_record *record, struct bv_bytes topic)
{
    size_t bytes = record->key.size + record->value.size;
    for (size_t i = 0; i < record->header_count; i++)
        bytes += record->headers[i].key.size + record->headers[i].value.size;
    struct entry *entry =
        must(calloc(1, sizeof *entry + record->header_count * sizeof(struct bv_header) + bytes));
    struct bv_header *headers = (struct bv_header *)(entry + 1);
    char *at = (char *)(headers + record->header_count);
    entry->record = *record;
    entry->record.topic = topic;
    entry->record.key = (struct bv_bytes){put(&at, record->key), record->key.size};
    entry->record.value = (struct bv_bytes){put(&at, record->value), record->value.size};
    entry->record.headers = headers;
    for (size_t i = 0; i < record->header_count; i++) {
        headers[i].key =
            (struct bv_bytes){put(&at, record->headers[i].key), record->headers[i].key.size};
        headers[i].value =
            (struct bv_bytes){put(&at, record->headers[i].value), record->headers[i].value.size};
    }
    return entry;
}

static int32_t partition_of(struct test_bus *bus, struct bv_bytes key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    if (key.size == 0)
        return (int32_t)(bus->round_robin++ % (uint64_t)bus->partitions);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    return (int32_t)((hash ^ hash >> 32) % (uint64_t)bus->partitions);
}

static void append(struct test_bus *bus, struct topic *topic, struct entry *entry)
{
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity ? topic->capacity * 2 : 64;
        topic->log = must(realloc(topic->log, topic->capacity * sizeof(struct entry *)));
    }
    entry->record.offset = topic->ends[entry->record.partition]++;
    entry->record.timestamp_ms = bv_wall_us(bv_loop_env(bus->loop)) / 1000;
    entry->visible_at_ms = now_ms(bus);
    if (bus->config.delay_ms_max > 0)
        entry->visible_at_ms +=
            (int64_t)bv_random_below(&bus->random.env, (uint64_t)bus->config.delay_ms_max + 1);
    topic->log[topic->count++] = entry;
}

static void append_held(struct test_bus *bus, struct topic *topic)
{
    struct entry *held = topic->held;
    topic->held = NULL;
    if (held)
        append(bus, topic, held);
}

static void store(struct test_bus *bus, struct topic *topic, const struct bv_record *record)
{
    struct entry *entry = entry_new(record, bv_bytes_of(topic->name));
    entry->record.partition = partition_of(bus, record->key);
    if (topic->held && bv_bytes_equal(topic->held->record.key, record->key))
        append_held(bus, topic);
    if (!topic->held && chance(bus, bus->config.reorder_per_mille)) {
        topic->held = entry;
        topic->held_until_ms = now_ms(bus) + HOLD_BACK_MS;
        return;
    }
    append(bus, topic, entry);
    append_held(bus, topic);
}

/* ---- lanes ---- */

static void lane_advance(struct lane *lane)
{
    while (lane->head && lane->head->state == DELIVERY_DONE) {
        struct delivery *delivery = lane->head;
        lane->head = delivery->next;
        lane->out--;
        commit_of(lane->topic, lane->subscription->group, lane->partition)->offset =
            delivery->entry->record.offset + 1;
        free(delivery);
    }
}

static void lane_close(struct lane *lane)
{
    while (lane->head) {
        struct delivery *delivery = lane->head;
        lane->head = delivery->next;
        delivery->lane = NULL;
        if (delivery->state != DELIVERY_OUT)
            free(delivery);
    }
    free(lane);
}

static void lanes_close(struct subscription *subscription)
{
    while (subscription->lanes) {
        struct lane *lane = subscription->lanes;
        subscription->lanes = lane->next;
        lane_close(lane);
    }
}

static void lane_open(struct subscription *subscription, struct topic *topic, int32_t partition)
{
    struct lane *lane = must(calloc(1, sizeof *lane));
    int64_t from = commit_of(topic, subscription->group, partition)->offset;
    *lane = (struct lane){.next = subscription->lanes,
                          .subscription = subscription,
                          .topic = topic,
                          .partition = partition};
    while (lane->at < topic->count && (topic->log[lane->at]->record.partition != partition ||
                                       topic->log[lane->at]->record.offset < from))
        lane->at++;
    subscription->lanes = lane;
    subscription->assigned_count++;
}

/* Members of a group share partitions in turn. */
static void group_assign(struct test_bus *bus, const char *group)
{
    size_t members = 0, index = 0;
    for (struct subscription *row = bus->subscriptions; row; row = row->next)
        members += strcmp(row->group, group) == 0;
    for (struct subscription *row = bus->subscriptions; row; row = row->next) {
        if (strcmp(row->group, group) != 0)
            continue;
        lanes_close(row);
        row->assigned_count = 0;
        row->assigned_due = true;
        for (size_t i = 0; i < row->topic_count; i++) {
            for (int32_t partition = 0; partition < bus->partitions; partition++) {
                if ((size_t)partition % members == index)
                    lane_open(row, row->topics[i], partition);
            }
        }
        index++;
    }
    bv_idle_arm(bus->idle);
}

/* ---- the turn ---- */

/* Those of before the turn: a publisher that tries again at once is served in the next. */
static void reports_run(struct test_bus *bus)
{
    struct report *reports = bus->reports;
    bus->reports = NULL;
    bus->reports_end = &bus->reports;
    while (reports) {
        struct report *report = reports;
        struct bv_error error = {0};
        reports = report->next;
        if (report->rc < 0)
            (void)bv_fail(&error, report->rc, "planted fault");
        if (report->done)
            report->done(report->argument, report->rc, &error);
        free(report);
    }
}

static void wake_at(int64_t *next_ms, int64_t at_ms)
{
    if (*next_ms < 0 || at_ms < *next_ms)
        *next_ms = at_ms;
}

/* One callback at most, since anything may change in it. Returns whether there was one. */
static bool lane_step(struct test_bus *bus, struct lane *lane, int64_t *next_ms)
{
    struct subscription *subscription = lane->subscription;
    int64_t now = now_ms(bus);
    struct delivery **end = &lane->head;
    for (; *end; end = &(*end)->next) {
        struct delivery *delivery = *end;
        if (delivery->state != DELIVERY_WAITING)
            continue;
        if (delivery->due_ms > now) {
            wake_at(next_ms, delivery->due_ms);
            continue;
        }
        delivery->state = DELIVERY_OUT;
        lane->waiting--;
        subscription->receive(subscription->argument, &delivery->entry->record, &delivery->base);
        return true;
    }
    while (lane->at < lane->topic->count &&
           lane->topic->log[lane->at]->record.partition != lane->partition)
        lane->at++;
    if (lane->at >= lane->topic->count || lane->out >= subscription->prefetch || lane->waiting > 0)
        return false;
    const struct entry *entry = lane->topic->log[lane->at];
    if (entry->visible_at_ms > now) {
        wake_at(next_ms, entry->visible_at_ms);
        return false;
    }
    struct delivery *delivery = must(calloc(1, sizeof *delivery));
    *delivery = (struct delivery){.base.ops = bus->base.ops, .lane = lane, .entry = entry};
    *end = delivery;
    lane->out++;
    lane->at++;
    subscription->receive(subscription->argument, &entry->record, &delivery->base);
    return true;
}

static bool step(struct test_bus *bus, int64_t *next_ms)
{
    for (struct topic *topic = bus->topics; topic; topic = topic->next) {
        if (topic->held && topic->held_until_ms <= now_ms(bus))
            append_held(bus, topic);
        if (topic->held)
            wake_at(next_ms, topic->held_until_ms);
    }
    for (struct subscription *row = bus->subscriptions; row; row = row->next) {
        if (row->assigned_due) {
            row->assigned_due = false;
            if (row->assigned)
                row->assigned(row->argument, row->assigned_count);
            return true;
        }
        for (struct lane *lane = row->lanes; lane; lane = lane->next) {
            if (lane_step(bus, lane, next_ms))
                return true;
        }
    }
    return false;
}

static void turn(void *argument)
{
    struct test_bus *bus = argument;
    int64_t next_ms = -1;
    reports_run(bus);
    for (int budget = 1000; budget > 0 && step(bus, &next_ms); budget--)
        next_ms = -1;
    if (bus->reports)
        bv_idle_arm(bus->idle);
    if (next_ms >= 0)
        bv_timer_set(bus->timer, next_ms > now_ms(bus) ? next_ms - now_ms(bus) : 0, 0);
    else
        bv_timer_set(bus->timer, 20, 0); /* also the way on after a spent budget */
}

/* ---- operations ---- */

static size_t size_of(const struct bv_record *record)
{
    size_t size = record->key.size + record->value.size;
    for (size_t i = 0; i < record->header_count; i++)
        size += record->headers[i].key.size + record->headers[i].value.size;
    return size;
}

static int
publish(struct bv_bus *self, const struct bv_record *record, bv_bus_done *done, void *argument)
{
    struct test_bus *bus = (struct test_bus *)self;
    if (bus->closing)
        return BV_E_CLOSED;
    if (record->topic.size == 0 || record->topic.size > 249 ||
        record->header_count > BV_RECORD_HEADERS_MAX)
        return BV_E_INVALID;
    struct report *report = must(calloc(1, sizeof *report));
    *report = (struct report){NULL, done, argument, bus->outage};
    *bus->reports_end = report;
    bus->reports_end = &report->next;
    bv_idle_arm(bus->idle);
    if (bus->outage < 0)
        return 0;
    if (bus->config.record_bytes_max > 0 && size_of(record) > bus->config.record_bytes_max) {
        report->rc = BV_E_TOO_LARGE;
        return 0;
    }
    if (chance(bus, bus->config.drop_per_mille)) {
        report->rc = BV_E_UNAVAILABLE;
        return 0;
    }
    struct topic *topic = topic_of(bus, record->topic);
    store(bus, topic, record);
    if (chance(bus, bus->config.duplicate_per_mille))
        store(bus, topic, record);
    if (chance(bus, bus->config.lost_ack_per_mille))
        report->rc = BV_E_TIMEOUT;
    if (chance(bus, bus->config.rebalance_per_mille))
        bv_test_bus_rebalance(self);
    return 0;
}

static int subscribe(struct bv_bus *self,
                     const struct bv_subscription_config *config,
                     bv_bus_receive *receive,
                     void *argument,
                     struct bv_subscription **ret_subscription)
{
    struct test_bus *bus = (struct test_bus *)self;
    if (!config->group || !config->group[0] || !config->topics || !config->topics[0])
        return BV_E_INVALID;
    struct subscription *subscription = must(calloc(1, sizeof *subscription));
    *subscription = (struct subscription){
        .base.ops = bus->base.ops,
        .next = bus->subscriptions,
        .bus = bus,
        .group = must(strdup(config->group)),
        .prefetch = config->prefetch ? config->prefetch : 1,
        .receive = receive,
        .assigned = config->assigned,
        .argument = argument,
    };
    while (config->topics[subscription->topic_count])
        subscription->topic_count++;
    subscription->topics = must(calloc(subscription->topic_count, sizeof(struct topic *)));
    for (size_t i = 0; i < subscription->topic_count; i++)
        subscription->topics[i] = topic_of(bus, bv_bytes_of(config->topics[i]));
    bus->subscriptions = subscription;
    group_assign(bus, subscription->group);
    *ret_subscription = &subscription->base;
    return 0;
}

static void ack(struct bv_delivery *base)
{
    struct delivery *delivery = (struct delivery *)base;
    struct lane *lane = delivery->lane;
    if (!lane) {
        free(delivery);
        return;
    }
    delivery->state = DELIVERY_DONE;
    lane_advance(lane);
    bv_idle_arm(lane->subscription->bus->idle);
}

static void retry(struct bv_delivery *base, int64_t delay_ms)
{
    struct delivery *delivery = (struct delivery *)base;
    struct lane *lane = delivery->lane;
    if (!lane) {
        free(delivery);
        return;
    }
    delivery->state = DELIVERY_WAITING;
    delivery->due_ms = now_ms(lane->subscription->bus) + delay_ms;
    lane->waiting++;
    bv_idle_arm(lane->subscription->bus->idle);
}

static void unsubscribe(struct bv_subscription **slot)
{
    struct subscription *subscription = (struct subscription *)*slot;
    struct test_bus *bus = subscription->bus;
    *slot = NULL;
    struct subscription **at = &bus->subscriptions;
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    lanes_close(subscription);
    if (!bus->closing)
        group_assign(bus, subscription->group);
    free(subscription->topics);
    free(subscription->group);
    free(subscription);
}

static bool ready(struct bv_bus *self)
{
    return ((struct test_bus *)self)->outage == 0;
}

static void topic_free(struct topic *topic)
{
    for (size_t i = 0; i < topic->count; i++)
        free(topic->log[i]);
    while (topic->commits) {
        struct commit *commit = topic->commits;
        topic->commits = commit->next;
        free(commit->group);
        free(commit);
    }
    free(topic->held);
    free(topic->log);
    free(topic->ends);
    free(topic->name);
    free(topic);
}

static void close_bus(struct bv_bus **self)
{
    struct test_bus *bus = (struct test_bus *)*self;
    *self = NULL;
    bus->closing = true;
    while (bus->subscriptions) {
        struct bv_subscription *subscription = &bus->subscriptions->base;
        unsubscribe(&subscription);
    }
    reports_run(bus);
    bv_idle_close(&bus->idle);
    bv_timer_close(&bus->timer);
    while (bus->topics) {
        struct topic *topic = bus->topics;
        bus->topics = topic->next;
        topic_free(topic);
    }
    free(bus);
}

static const struct bv_bus_ops ops = {
    publish, subscribe, ack, retry, unsubscribe, ready, close_bus};

int bv_test_bus_open(struct bv_loop *loop,
                     const struct bv_test_bus_config *config,
                     struct bv_bus **ret_bus)
{
    struct test_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return BV_E_NOMEM;
    bus->base.ops = &ops;
    bus->loop = loop;
    bus->config = *config;
    bus->partitions = config->partitions > 0 ? config->partitions : 1;
    bus->reports_end = &bus->reports;
    bv_test_env_init(&bus->random, config->seed);
    int rc = bv_idle_open(loop, turn, bus, &bus->idle);
    if (rc == 0)
        rc = bv_timer_open(loop, turn, bus, &bus->timer);
    if (rc < 0) {
        bv_idle_close(&bus->idle);
        free(bus);
        return rc;
    }
    *ret_bus = &bus->base;
    return 0;
}

void bv_test_bus_faults(struct bv_bus *self, const struct bv_test_bus_config *config)
{
    struct test_bus *bus = (struct test_bus *)self;
    bus->config = *config;
    bus->random.state = config->seed;
}

void bv_test_bus_outage(struct bv_bus *self, int rc)
{
    ((struct test_bus *)self)->outage = rc;
}

void bv_test_bus_rebalance(struct bv_bus *self)
{
    struct test_bus *bus = (struct test_bus *)self;
    for (struct subscription *row = bus->subscriptions; row; row = row->next) {
        bool first = true; /* of its group */
        for (struct subscription *other = bus->subscriptions; other != row; other = other->next)
            first = first && strcmp(other->group, row->group) != 0;
        if (first)
            group_assign(bus, row->group);
    }
}

size_t bv_test_bus_count(const struct bv_bus *self, const char *name)
{
    for (const struct topic *topic = ((const struct test_bus *)self)->topics; topic;
         topic = topic->next) {
        if (strcmp(topic->name, name) == 0)
            return topic->count + (topic->held != NULL);
    }
    return 0;
}

const struct bv_record *
bv_test_bus_record(const struct bv_bus *self, const char *name, size_t index)
{
    for (const struct topic *topic = ((const struct test_bus *)self)->topics; topic;
         topic = topic->next) {
        if (strcmp(topic->name, name) != 0)
            continue;
        return index < topic->count ? &topic->log[index]->record
               : topic->held        ? &topic->held->record
                                    : NULL;
    }
    return NULL;
}

size_t bv_test_bus_lag(const struct bv_bus *self, const char *group, const char *name)
{
    const struct test_bus *bus = (const struct test_bus *)self;
    size_t lag = 0;
    for (struct topic *topic = bus->topics; topic; topic = topic->next) {
        for (int32_t partition = 0; strcmp(topic->name, name) == 0 && partition < bus->partitions;
             partition++)
            lag += (size_t)(topic->ends[partition] - commit_of(topic, group, partition)->offset);
    }
    return lag;
}
