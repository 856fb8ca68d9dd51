/* What this replica believes of levels, reservations and adjustments: as last committed, and as
 * the batch under way would leave them. A wrong belief does no harm: the store refuses a batch
 * that was decided on it, and it is loaded anew; what may change and would be answered without a
 * write (a repeated Reserve) is loaded first.
 * Invariant: outside a batch every entry's working state equals its committed one.
 * Thread: loop. */
#ifndef INVENTORY_CACHE_H
#define INVENTORY_CACHE_H

#include "inventory_store.h"

#define INVENTORY_CACHE_LEVELS_MAX 65536
#define INVENTORY_CACHE_RESERVATIONS_MAX 16384

enum inventory_kind {
    INVENTORY_KIND_LEVEL,
    INVENTORY_KIND_RESERVATION,
    INVENTORY_KIND_ADJUSTMENT,
    INVENTORY_KIND_COUNT
};
struct inventory_node { /* head of each entry */
    struct inventory_node *chain;
    struct inventory_node *touched_next;
    uint32_t hash;
    bool touched; /* by the batch under way */
    uint16_t tenant_size;
    uint16_t name_size;
    char *text; /* owned: tenant, name */
};
struct inventory_level_entry {
    struct inventory_node node;
    struct inventory_level committed;
    struct inventory_level working;
};
struct inventory_reservation_entry { /* node: no tenant, name is the order id */
    struct inventory_node node;
    char tenant[INVENTORY_TENANT_BYTES_MAX + 1];
    enum inventory_state committed;
    enum inventory_state working;
    int64_t committed_version;
    int64_t working_version;
    struct inventory_line *lines; /* owned, with their text */
    size_t line_count;
};
struct inventory_adjustment_entry { /* lives for one batch */
    struct inventory_node node;
    bool answered; /* otherwise known to be new */
    bool committed;
    int64_t delta;
    enum inventory_answer answer;
    struct inventory_level level;
    char sku[INVENTORY_SKU_BYTES_MAX + 1];
    struct bv_bytes reason; /* borrowed from the operation */
};
struct inventory_cache;

BV_MUST_CHECK int inventory_cache_open(struct inventory_cache **ret_cache);
void inventory_cache_close(struct inventory_cache **cache);
static inline struct inventory_key inventory_node_key(const struct inventory_node *node)
{
    return (struct inventory_key){
        {node->text,                     node->tenant_size},
        {node->text + node->tenant_size, node->name_size  }
    };
}
/* The entry of that kind, or NULL: the caller knows its type. An order's key has an empty tenant.
 */
void *inventory_cache_find(const struct inventory_cache *cache,
                           enum inventory_kind kind,
                           struct inventory_key key);
/* The same, made all-zero when missing; NULL when memory ran out. */
void *inventory_cache_make(struct inventory_cache *cache,
                           enum inventory_kind kind,
                           struct inventory_key key);
/* Replaces the lines, copying; BV_E_NOMEM. */
BV_MUST_CHECK int inventory_cache_lines(struct inventory_reservation_entry *entry,
                                        const struct inventory_line *lines,
                                        size_t count);
void inventory_cache_touch(struct inventory_cache *cache,
                           enum inventory_kind kind,
                           struct inventory_node *node);
struct inventory_node *inventory_cache_touched(const struct inventory_cache *cache,
                                               enum inventory_kind kind); /* list by touched_next */
/* Ends the batch: its working states are committed, or everything it touched is forgotten. Then
 * trims to the maxima. */
void inventory_cache_commit(struct inventory_cache *cache);
void inventory_cache_forget(struct inventory_cache *cache);
/* Takes in what the store found; entries with a newer version than found keep theirs. BV_E_NOMEM.
 */
BV_MUST_CHECK int inventory_cache_learn(struct inventory_cache *cache,
                                        const struct inventory_found *found);

#endif
