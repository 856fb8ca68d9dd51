/* Poison: parked keys and the way into the dead-letter topic. */
#include "consumer_private.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN_MS 1000

/* ---- the set of parked keys ---- */

static size_t bucket_of(struct bv_bytes topic, struct bv_bytes key)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < topic.size; i++)
        hash = (hash ^ (unsigned char)topic.data[i]) * UINT64_C(1099511628211);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    return (size_t)(hash ^ hash >> 32) % KEY_BUCKETS;
}

static struct parked_key **
find(struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key)
{
    struct parked_key **at = &keys->buckets[bucket_of(topic, key)];
    for (; *at; at = &(*at)->next) {
        const struct parked_key *row = *at;
        if (bv_bytes_equal(topic, (struct bv_bytes){row->text, row->topic_size}) &&
            bv_bytes_equal(key, (struct bv_bytes){row->text + row->topic_size, row->key_size}))
            return at;
    }
    return at;
}

bool parked_keys_has(const struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key)
{
    return keys->count > 0 && *find((struct parked_keys *)(uintptr_t)keys, topic, key);
}

int parked_keys_add(struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key)
{
    struct parked_key **at = find(keys, topic, key);
    if (*at || keys->count >= PARKED_KEYS_MAX)
        return 0; /* past the limit keys are not remembered: a flood of garbage costs their order,
                     not the memory */
    struct parked_key *row = malloc(sizeof *row + topic.size + key.size);
    if (!row)
        return BV_E_NOMEM;
    *row = (struct parked_key){.topic_size = topic.size, .key_size = key.size};
    memcpy(row->text, topic.data, topic.size);
    memcpy(row->text + topic.size, key.data, key.size);
    *at = row;
    keys->count++;
    return 0;
}

void parked_keys_remove(struct parked_keys *keys, struct bv_bytes topic, struct bv_bytes key)
{
    struct parked_key **at = find(keys, topic, key), *row = *at;
    if (!row)
        return;
    *at = row->next;
    free(row);
    keys->count--;
}

void parked_keys_release(struct parked_keys *keys)
{
    for (size_t i = 0; i < KEY_BUCKETS; i++) {
        while (keys->buckets[i]) {
            struct parked_key *row = keys->buckets[i];
            keys->buckets[i] = row->next;
            free(row);
        }
    }
    keys->count = 0;
}

static void gauge_keys(struct bv_consumer *consumer)
{
    if (consumer->parked_gauge)
        bv_gauge_set(consumer->parked_gauge, (double)consumer->keys.count);
}

/* ---- loading ---- */

/* Outlives a consumer that closes while the store is asked. */
struct consumer_load {
    struct bv_consumer *consumer; /* NULL: closed */
};

static void loaded_key(void *argument, struct bv_bytes topic, struct bv_bytes key)
{
    struct bv_consumer *consumer = ((struct consumer_load *)argument)->consumer;
    if (consumer && parked_keys_add(&consumer->incoming, topic, key) < 0)
        consumer->reload = true;
}

static void load_done(void *argument, int rc)
{
    struct consumer_load *load = argument;
    struct bv_consumer *consumer = load->consumer;
    free(load);
    if (!consumer)
        return;
    consumer->load = NULL;
    if (rc < 0 || consumer->reload) {
        parked_keys_release(&consumer->incoming);
        bv_timer_set(consumer->load_timer, rc < 0 ? AGAIN_MS / 2 : 0, 0);
        return;
    }
    parked_keys_release(&consumer->keys);
    consumer->keys = consumer->incoming;
    consumer->incoming = (struct parked_keys){0};
    consumer->loaded = true;
    gauge_keys(consumer);
    consumer_settle(consumer);
}

void consumer_load_keys(struct bv_consumer *consumer)
{
    struct bv_parked_store *store = consumer->config.parked;
    if (!store)
        return;
    consumer->loaded = false;
    consumer->reload = consumer->load != NULL;
    if (consumer->load)
        return;
    struct consumer_load *load = malloc(sizeof *load);
    int rc = load ? 0 : BV_E_NOMEM;
    if (load) {
        load->consumer = consumer;
        rc = store->load(store, consumer->group, loaded_key, load_done, load);
    }
    if (rc == 0) {
        consumer->load = load;
        return;
    }
    free(load);
    bv_timer_set(consumer->load_timer, AGAIN_MS / 2, 0);
}

void consumer_load_forget(struct bv_consumer *consumer)
{
    if (consumer->load)
        consumer->load->consumer = NULL;
    consumer->load = NULL;
}

/* ---- the dead-letter topic ---- */

struct dlq_text {
    char topic[256];
    char attempts[16];
    char source[256];
    char partition[16];
    char offset[24];
    char size[24];
};

/* The record's headers without older dlq-* ones, then ours. A record that was cut says how long its
 * value is; dlq-topic, -partition and -offset say where it lies. */
static size_t dlq_headers(const struct bv_consumer_event *under_way,
                          const struct dlq_text *text,
                          struct bv_header headers[BV_RECORD_HEADERS_MAX])
{
    const struct bv_header own[] = {
        {BV_BYTES("dlq-reason"),    bv_bytes_of(under_way->reason)},
        {BV_BYTES("dlq-attempts"),  bv_bytes_of(text->attempts)   },
        {BV_BYTES("dlq-topic"),     bv_bytes_of(text->source)     },
        {BV_BYTES("dlq-partition"), bv_bytes_of(text->partition)  },
        {BV_BYTES("dlq-offset"),    bv_bytes_of(text->offset)     },
        {BV_BYTES("dlq-cut-bytes"), bv_bytes_of(text->size)       },
    };
    const size_t own_count = under_way->cut ? BV_COUNT(own) : BV_COUNT(own) - 1;
    const struct bv_record *record = &under_way->record;
    const size_t kept_max = under_way->cut ? 0 : record->header_count;
    size_t count = 0;
    for (size_t i = 0; i < kept_max && count < BV_RECORD_HEADERS_MAX - BV_COUNT(own); i++) {
        if (!bv_bytes_starts(record->headers[i].key, BV_BYTES("dlq-")))
            headers[count++] = record->headers[i];
    }
    for (size_t i = 0; i < own_count; i++)
        headers[count++] = own[i];
    return count;
}

static void publish_dlq(struct bv_consumer_event *under_way);

static void publish_dlq_again(void *argument)
{
    publish_dlq(argument);
}

static void dlq_failed(struct bv_consumer_event *under_way, int rc, const struct bv_error *error)
{
    struct bv_consumer *consumer = under_way->consumer;
    under_way->busy = false;
    bv_log(consumer->log,
           BV_ERROR,
           "consumer.dlq_failed",
           &under_way->trace,
           BV_F_TEXT("group", consumer->group),
           BV_F_STR("topic", under_way->record.topic),
           BV_F_TEXT("reason", error && error->text[0] ? error->text : bv_error_row(rc)->title));
    /* A second try of what is too large would fail for ever, and its partition would stand still.
     */
    const bool cut = rc == BV_E_TOO_LARGE && !under_way->cut;
    under_way->cut = under_way->cut || cut;
    under_way_wait(under_way, cut ? 0 : AGAIN_MS, publish_dlq_again);
    consumer_settle(consumer);
}

static void dlq_published(void *argument, int rc, const struct bv_error *error)
{
    struct bv_consumer_event *under_way = argument;
    if (under_way_orphan(under_way))
        return;
    if (rc < 0) {
        dlq_failed(under_way, rc, error);
        return;
    }
    under_way->busy = false;
    consumer_count(under_way->consumer, RESULT_PARKED);
    under_way_finish(under_way);
}

/* What no event's key can be: nothing of that key will ever follow. */
static bool key_impossible(struct bv_bytes key)
{
    return key.size == 0 || key.size > BV_EVENT_KEY_BYTES_MAX || memchr(key.data, '\0', key.size) ||
           !bv_bytes_utf8(key);
}

static void publish_dlq(struct bv_consumer_event *under_way)
{
    struct bv_header headers[BV_RECORD_HEADERS_MAX];
    const struct bv_record *record = &under_way->record;
    struct dlq_text text;
    snprintf(text.topic, sizeof text.topic, "%.*s.dlq", BV_ARG(record->topic));
    snprintf(text.source, sizeof text.source, "%.*s", BV_ARG(record->topic));
    snprintf(text.attempts, sizeof text.attempts, "%u", under_way->attempts + 1);
    snprintf(text.partition, sizeof text.partition, "%d", record->partition);
    snprintf(text.offset, sizeof text.offset, "%lld", (long long)record->offset);
    snprintf(text.size, sizeof text.size, "%zu", record->value.size);
    const struct bv_record dead = {
        .topic = bv_bytes_of(text.topic),
        .key = under_way->cut && key_impossible(record->key) ? BV_BYTES_NONE : record->key,
        .value = under_way->cut ? BV_BYTES_NONE : record->value,
        .headers = headers,
        .header_count = dlq_headers(under_way, &text, headers),
        .partition = -1,
    };
    under_way->busy = true;
    int rc = bv_bus_publish(under_way->consumer->bus, &dead, dlq_published, under_way);
    if (rc < 0)
        dlq_failed(under_way, rc, NULL);
}

static void store_key(struct bv_consumer_event *under_way);

static void store_key_again(void *argument)
{
    store_key(argument);
}

static void key_stored(void *argument, int rc)
{
    struct bv_consumer_event *under_way = argument;
    if (under_way_orphan(under_way))
        return;
    under_way->busy = false;
    if (rc == 0) {
        publish_dlq(under_way);
        return;
    }
    under_way_wait(under_way, AGAIN_MS, store_key_again);
    consumer_settle(under_way->consumer);
}

/* The key is stored before the record is in the DLQ, and that before the acknowledgement: a crash
 * between repeats, never forgets. */
static void store_key(struct bv_consumer_event *under_way)
{
    struct bv_consumer *consumer = under_way->consumer;
    const struct bv_record *record = &under_way->record;
    struct bv_parked_store *store = consumer->config.parked;
    if (key_impossible(record->key)) {
        publish_dlq(under_way);
        return;
    }
    int rc = parked_keys_add(&consumer->keys, record->topic, record->key);
    if (rc == 0 && consumer->load)
        rc = parked_keys_add(&consumer->incoming, record->topic, record->key);
    gauge_keys(consumer);
    if (rc == 0 && !store) {
        publish_dlq(under_way);
        return;
    }
    under_way->busy = rc == 0;
    if (rc == 0)
        rc = store->park(store, consumer->group, record->topic, record->key, key_stored, under_way);
    if (rc == 0)
        return;
    under_way->busy = false;
    under_way_wait(under_way, AGAIN_MS, store_key_again);
}

void under_way_park(struct bv_consumer_event *under_way, const char *reason)
{
    struct bv_consumer *consumer = under_way->consumer;
    under_way->state = UNDER_WAY_PARKING;
    snprintf(under_way->reason,
             sizeof under_way->reason,
             "%s",
             reason && reason[0] ? reason : "unknown");
    bv_log(consumer->log,
           BV_WARN,
           "consumer.parked",
           &under_way->trace,
           BV_F_TEXT("group", consumer->group),
           BV_F_STR("topic", under_way->record.topic),
           BV_F_INT("partition", under_way->record.partition),
           BV_F_INT("offset", under_way->record.offset),
           BV_F_STR("key", under_way->record.key),
           BV_F_TEXT("reason", under_way->reason));
    store_key(under_way);
}

/* ---- release ---- */

static void release_again(void *argument)
{
    under_way_release_key(argument);
}

static void released(void *argument, int rc)
{
    struct bv_consumer_event *under_way = argument;
    if (under_way_orphan(under_way))
        return;
    struct bv_consumer *consumer = under_way->consumer;
    under_way->busy = false;
    if (rc < 0) {
        under_way_wait(under_way, AGAIN_MS, release_again);
        consumer_settle(consumer);
        return;
    }
    parked_keys_remove(&consumer->keys, under_way->record.topic, under_way->record.key);
    consumer->reload = consumer->load != NULL;
    gauge_keys(consumer);
    consumer_count(consumer, RESULT_DONE);
    under_way_finish(under_way);
}

void under_way_release_key(struct bv_consumer_event *under_way)
{
    struct bv_consumer *consumer = under_way->consumer;
    const struct bv_record *record = &under_way->record;
    struct bv_parked_store *store = consumer->config.parked;
    under_way->state = UNDER_WAY_RELEASING;
    under_way->busy = true;
    if (!store) {
        released(under_way, 0);
        return;
    }
    int rc =
        store->release(store, consumer->group, record->topic, record->key, released, under_way);
    if (rc == 0)
        return;
    under_way->busy = false;
    under_way_wait(under_way, AGAIN_MS, release_again);
}
