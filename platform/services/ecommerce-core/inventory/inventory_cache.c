#include "inventory_cache.h"

#include <stdlib.h>

#define BUCKETS 16384 /* power of two */

struct table {
    struct inventory_node **buckets; /* owned */
    size_t count;
    struct inventory_node *touched;
};
struct inventory_cache {
    struct table tables[INVENTORY_KIND_COUNT];
};

static const size_t entry_sizes[INVENTORY_KIND_COUNT] = {sizeof(struct inventory_level_entry),
                                                         sizeof(struct inventory_reservation_entry),
                                                         sizeof(struct inventory_adjustment_entry)};
static const size_t entry_maxima[INVENTORY_KIND_COUNT] = {
    INVENTORY_CACHE_LEVELS_MAX, INVENTORY_CACHE_RESERVATIONS_MAX, 0};

static void entry_free(enum inventory_kind kind, struct inventory_node *node)
{
    if (kind == INVENTORY_KIND_RESERVATION)
        free(((struct inventory_reservation_entry *)node)->lines);
    free(node->text);
    free(node);
}

int inventory_cache_open(struct inventory_cache **ret_cache)
{
    struct inventory_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return BV_E_NOMEM;
    for (size_t kind = 0; kind < INVENTORY_KIND_COUNT; kind++) {
        cache->tables[kind].buckets = calloc(BUCKETS, sizeof(struct inventory_node *));
        if (!cache->tables[kind].buckets) {
            inventory_cache_close(&cache);
            return BV_E_NOMEM;
        }
    }
    *ret_cache = cache;
    return 0;
}

static void table_clear(struct inventory_cache *cache, enum inventory_kind kind)
{
    struct table *table = &cache->tables[kind];
    for (size_t i = 0; table->buckets && i < BUCKETS; i++)
        while (table->buckets[i]) {
            struct inventory_node *node = table->buckets[i];
            table->buckets[i] = node->chain;
            entry_free(kind, node);
        }
    table->count = 0;
    table->touched = NULL;
}

void inventory_cache_close(struct inventory_cache **cache_at)
{
    struct inventory_cache *cache = *cache_at;
    if (!cache)
        return;
    for (size_t kind = 0; kind < INVENTORY_KIND_COUNT; kind++) {
        table_clear(cache, (enum inventory_kind)kind);
        free(cache->tables[kind].buckets);
    }
    free(cache);
    *cache_at = NULL;
}

static uint32_t hash_of(struct inventory_key key) /* FNV-1a */
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key.tenant.size; i++)
        hash = (hash ^ (uint8_t)key.tenant.data[i]) * 16777619u;
    hash = (hash ^ 0xffu) * 16777619u;
    for (size_t i = 0; i < key.name.size; i++)
        hash = (hash ^ (uint8_t)key.name.data[i]) * 16777619u;
    return hash;
}

static struct inventory_node **place_of(const struct inventory_cache *cache,
                                        enum inventory_kind kind,
                                        struct inventory_key key,
                                        uint32_t hash)
{
    struct inventory_node **at = &cache->tables[kind].buckets[hash & (BUCKETS - 1)];
    while (*at) {
        struct inventory_key other = inventory_node_key(*at);
        if ((*at)->hash == hash && bv_bytes_equal(other.name, key.name) &&
            bv_bytes_equal(other.tenant, key.tenant))
            break;
        at = &(*at)->chain;
    }
    return at;
}

void *inventory_cache_find(const struct inventory_cache *cache,
                           enum inventory_kind kind,
                           struct inventory_key key)
{
    return *place_of(cache, kind, key, hash_of(key));
}

void *inventory_cache_make(struct inventory_cache *cache,
                           enum inventory_kind kind,
                           struct inventory_key key)
{
    uint32_t hash = hash_of(key);
    struct inventory_node **at = place_of(cache, kind, key, hash);
    if (*at)
        return *at;
    struct inventory_node *node = calloc(1, entry_sizes[kind]);
    char *text = malloc(key.tenant.size + key.name.size + 1);
    if (!node || !text) {
        free(node);
        free(text);
        return NULL;
    }
    if (key.tenant.size > 0)
        memcpy(text, key.tenant.data, key.tenant.size);
    if (key.name.size > 0)
        memcpy(text + key.tenant.size, key.name.data, key.name.size);
    node->text = text;
    node->tenant_size = (uint16_t)key.tenant.size;
    node->name_size = (uint16_t)key.name.size;
    node->hash = hash;
    *at = node;
    cache->tables[kind].count++;
    return node;
}

int inventory_cache_lines(struct inventory_reservation_entry *entry,
                          const struct inventory_line *lines,
                          size_t count)
{
    size_t bytes = count * sizeof *lines + 1;
    for (size_t i = 0; i < count; i++)
        bytes += lines[i].sku.size;
    struct inventory_line *copy = malloc(bytes);
    if (!copy)
        return BV_E_NOMEM;
    char *text = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        copy[i] = lines[i];
        copy[i].sku.data = memcpy(text, lines[i].sku.data, lines[i].sku.size);
        text += lines[i].sku.size;
    }
    free(entry->lines);
    entry->lines = copy;
    entry->line_count = count;
    return 0;
}

void inventory_cache_touch(struct inventory_cache *cache,
                           enum inventory_kind kind,
                           struct inventory_node *node)
{
    if (node->touched)
        return;
    node->touched = true;
    node->touched_next = cache->tables[kind].touched;
    cache->tables[kind].touched = node;
}

struct inventory_node *inventory_cache_touched(const struct inventory_cache *cache,
                                               enum inventory_kind kind)
{
    return cache->tables[kind].touched;
}

static void
node_remove(struct inventory_cache *cache, enum inventory_kind kind, struct inventory_node *node)
{
    struct inventory_node **at = place_of(cache, kind, inventory_node_key(node), node->hash);
    *at = node->chain;
    cache->tables[kind].count--;
    entry_free(kind, node);
}

/* Says whether there is anything to remember: that something does not exist holds for this batch
 * only. */
static bool entry_commit(enum inventory_kind kind, struct inventory_node *node)
{
    if (kind == INVENTORY_KIND_LEVEL) {
        struct inventory_level_entry *entry = (struct inventory_level_entry *)node;
        entry->committed = entry->working;
        return entry->committed.version > 0;
    }
    if (kind == INVENTORY_KIND_RESERVATION) {
        struct inventory_reservation_entry *entry = (struct inventory_reservation_entry *)node;
        entry->committed = entry->working;
        entry->committed_version = entry->working_version;
        return entry->committed != INVENTORY_NONE;
    }
    return false;
}

void inventory_cache_commit(struct inventory_cache *cache)
{
    for (size_t i = 0; i < INVENTORY_KIND_COUNT; i++) {
        enum inventory_kind kind = (enum inventory_kind)i;
        struct table *table = &cache->tables[kind];
        while (table->touched) {
            struct inventory_node *node = table->touched;
            table->touched = node->touched_next;
            node->touched = false;
            if (!entry_commit(kind, node))
                node_remove(cache, kind, node);
        }
        if (table->count > entry_maxima[kind])
            table_clear(cache, kind);
    }
}

void inventory_cache_forget(struct inventory_cache *cache)
{
    for (size_t i = 0; i < INVENTORY_KIND_COUNT; i++) {
        enum inventory_kind kind = (enum inventory_kind)i;
        struct table *table = &cache->tables[kind];
        while (table->touched) {
            struct inventory_node *node = table->touched;
            table->touched = node->touched_next;
            node_remove(cache, kind, node);
        }
    }
    table_clear(cache, INVENTORY_KIND_ADJUSTMENT);
}

static int learn_reservation(struct inventory_cache *cache, const struct inventory_reservation *row)
{
    struct inventory_key key = {BV_BYTES_NONE, row->order_id};
    struct inventory_reservation_entry *entry =
        inventory_cache_make(cache, INVENTORY_KIND_RESERVATION, key);
    if (!entry)
        return BV_E_NOMEM;
    if (entry->committed_version > row->version)
        return 0;
    if (row->tenant.size >= sizeof entry->tenant)
        return BV_E_INTERNAL;
    memcpy(entry->tenant, row->tenant.data, row->tenant.size);
    entry->tenant[row->tenant.size] = '\0';
    entry->committed = entry->working = row->state;
    entry->committed_version = entry->working_version = row->version;
    return inventory_cache_lines(entry, row->lines, row->line_count);
}

int inventory_cache_learn(struct inventory_cache *cache, const struct inventory_found *found)
{
    for (size_t i = 0; i < found->stock_count; i++) {
        struct inventory_level_entry *entry =
            inventory_cache_make(cache, INVENTORY_KIND_LEVEL, found->stock[i].key);
        if (!entry)
            return BV_E_NOMEM;
        if (found->stock[i].level.version > entry->committed.version)
            entry->committed = entry->working = found->stock[i].level;
    }
    for (size_t i = 0; i < found->reservation_count; i++)
        BV_TRY(learn_reservation(cache, &found->reservations[i]));
    for (size_t i = 0; i < found->adjustment_count; i++) {
        const struct inventory_adjustment *row = &found->adjustments[i];
        struct inventory_adjustment_entry *entry =
            inventory_cache_make(cache, INVENTORY_KIND_ADJUSTMENT, row->key);
        if (!entry)
            return BV_E_NOMEM;
        if (row->sku.size >= sizeof entry->sku)
            return BV_E_INTERNAL;
        entry->answered = entry->committed = true;
        entry->delta = row->delta;
        entry->answer = row->answer;
        entry->level = row->level;
        memcpy(entry->sku, row->sku.data, row->sku.size);
    }
    return 0;
}
