#include "inventory_watch.h"

#include "inventory.pb-c.h"

#include <stdlib.h>

#define BUCKETS 256
#define ASK_SKUS_MAX 64 /* of one look into the ledger */

typedef Bitvelocity__Inventory__V1__LevelChange change_message;

struct watched { /* one SKU of one watcher */
    struct watched *chain;
    struct watched *next; /* in order of appearance: the order of the snapshot */
    struct inventory_level snapshot;
    int64_t last; /* version the reader has */
    bool behind;  /* the ledger has, or may have, more */
    bool asked;   /* by the look under way */
    size_t sku_size;
    char sku[INVENTORY_SKU_BYTES_MAX + 1];
};
struct watcher {
    struct watcher *next;
    struct inventory_watches *watches;
    struct bv_grpc_call *call; /* NULL: gone, freed when its query ends */
    struct bv_bytes tenant;    /* in the call's arena */
    bool all;
    bool loaded;   /* the snapshot is here */
    bool querying; /* the store will call back */
    size_t asked_limit;
    struct watched *buckets[BUCKETS];
    struct watched *first;
    struct watched **last;
    struct watched *unsent; /* first whose snapshot has not been sent */
};
struct inventory_watches {
    struct inventory_store *store;
    const struct bv_env *env;
    struct watcher *watchers;
    size_t count;
    size_t max;
    struct bv_series *sent;
};

static void watcher_pump(struct watcher *watcher);

static const struct bv_metric metric_watchers = {
    "bv_inventory_watchers", BV_GAUGE, "Watch streams that are open.", "", NULL, 0};
static const struct bv_metric metric_sent = {"bv_inventory_watch_messages_total",
                                             BV_COUNTER,
                                             "Level changes sent to watchers.",
                                             "",
                                             NULL,
                                             0};

static double read_watchers(void *argument)
{
    return (double)((struct inventory_watches *)argument)->count;
}

/* ---- SKUs of a watcher ---- */

static size_t bucket_of(struct bv_bytes sku)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sku.size; i++)
        hash = (hash ^ (uint8_t)sku.data[i]) * 16777619u;
    return hash % BUCKETS;
}

static struct watched *watched_find(const struct watcher *watcher, struct bv_bytes sku)
{
    struct watched *watched = watcher->buckets[bucket_of(sku)];
    while (watched && !bv_bytes_equal((struct bv_bytes){watched->sku, watched->sku_size}, sku))
        watched = watched->chain;
    return watched;
}

/* Watchers of everything learn new SKUs; NULL when the SKU is not watched. */
static struct watched *watched_get(struct watcher *watcher, struct bv_bytes sku, bool make)
{
    struct watched *watched = watched_find(watcher, sku);
    if (watched || !make || sku.size > INVENTORY_SKU_BYTES_MAX)
        return watched;
    watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    memcpy(watched->sku, sku.data, sku.size);
    watched->sku_size = sku.size;
    watched->chain = watcher->buckets[bucket_of(sku)];
    watcher->buckets[bucket_of(sku)] = watched;
    *watcher->last = watched;
    watcher->last = &watched->next;
    return watched;
}

static void watcher_free(struct watcher *watcher)
{
    while (watcher->first) {
        struct watched *watched = watcher->first;
        watcher->first = watched->next;
        free(watched);
    }
    free(watcher);
}

/* ---- sending ---- */

static bool watcher_send(struct watcher *watcher,
                         struct watched *watched,
                         const struct inventory_change *change)
{
    static const Bitvelocity__Inventory__V1__LevelChange__Cause causes[] = {
        [INVENTORY_CAUSE_RESERVE] = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__RESERVE,
        [INVENTORY_CAUSE_COMMIT] = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__COMMIT,
        [INVENTORY_CAUSE_RELEASE] = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__RELEASE,
        [INVENTORY_CAUSE_ADJUST] = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__ADJUST,
        [INVENTORY_CAUSE_COUNT] = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__CAUSE__SNAPSHOT,
    };
    Bitvelocity__Inventory__V1__Level level = BITVELOCITY__INVENTORY__V1__LEVEL__INIT;
    change_message message = BITVELOCITY__INVENTORY__V1__LEVEL_CHANGE__INIT;
    char order_id[BV_UUID_TEXT_SIZE] = "";
    char at[BV_TIME_TEXT_SIZE];
    if (bv_grpc_stream_room(watcher->call) == 0)
        return false;
    level.sku = watched->sku;
    level.on_hand = change->level.on_hand;
    level.reserved = change->level.reserved;
    level.available = inventory_available(&change->level);
    level.version = (uint64_t)change->level.version;
    message.level = &level;
    message.delta = change->delta.on_hand != 0 ? change->delta.on_hand : -change->delta.reserved;
    message.cause = causes[change->cause];
    if (change->order_id.size > 0 && change->order_id.size < sizeof order_id)
        memcpy(order_id, change->order_id.data, change->order_id.size);
    message.order_id = order_id;
    bv_time_format(change->at_us, at);
    message.occurred_at = at;
    if (bv_grpc_stream_send(watcher->call, &message.base) < 0)
        return false;
    watched->last = change->level.version;
    bv_count(watcher->watches->sent, 1);
    return true;
}

static void watcher_send_snapshots(struct watcher *watcher)
{
    while (watcher->unsent) {
        struct watched *watched = watcher->unsent;
        struct inventory_change change = {.level = watched->snapshot,
                                          .cause = INVENTORY_CAUSE_COUNT,
                                          .at_us = bv_wall_us(watcher->watches->env)};
        if (watched->snapshot.version > 0 && !watcher_send(watcher, watched, &change))
            return;
        watcher->unsent = watched->next;
    }
}

/* ---- looking into the ledger ---- */

static void watcher_end(struct watcher *watcher, int code, const char *text)
{
    struct bv_grpc_call *call = watcher->call;
    struct watcher **at = &watcher->watches->watchers;
    while (*at != watcher)
        at = &(*at)->next;
    *at = watcher->next;
    watcher->watches->count--;
    watcher->call = NULL;
    if (code < 0)
        bv_grpc_stream_end(call, code, text);
    if (!watcher->querying)
        watcher_free(watcher);
}

static void watcher_gone(void *argument, struct bv_grpc_call *call)
{
    (void)call;
    watcher_end(argument, 0, NULL);
}

static void watcher_room(void *argument, struct bv_grpc_call *call)
{
    (void)call;
    watcher_pump(argument);
}

static void on_history(void *argument,
                       int rc,
                       const struct inventory_change *changes,
                       size_t count,
                       const struct bv_error *error)
{
    struct watcher *watcher = argument;
    (void)error;
    watcher->querying = false;
    if (!watcher->call) {
        watcher_free(watcher);
        return;
    }
    if (rc < 0) {
        watcher_end(watcher, BV_E_UNAVAILABLE, "the ledger cannot be read: watch again");
        return;
    }
    bool more = count == watcher->asked_limit;
    for (size_t i = 0; i < count; i++) {
        struct watched *watched = watched_find(watcher, changes[i].key.name);
        if (watched && changes[i].level.version == watched->last + 1)
            (void)watcher_send(
                watcher, watched, &changes[i]); /* asked for no more than there is room for */
    }
    for (struct watched *watched = watcher->first; watched; watched = watched->next) {
        if (watched->asked && more)
            watched->behind = true;
        watched->asked = false;
    }
    watcher_pump(watcher);
}

static void watcher_ask(struct watcher *watcher)
{
    struct inventory_key keys[ASK_SKUS_MAX];
    int64_t after[ASK_SKUS_MAX];
    size_t count = 0;
    watcher->asked_limit = bv_grpc_stream_room(watcher->call);
    if (watcher->asked_limit == 0)
        return; /* watcher_room comes back here */
    for (struct watched *watched = watcher->first; watched && count < ASK_SKUS_MAX;
         watched = watched->next) {
        if (!watched->behind)
            continue;
        keys[count] = (struct inventory_key){
            watcher->tenant, {watched->sku, watched->sku_size}
        };
        after[count++] = watched->last;
        watched->behind = false;
        watched->asked = true;
    }
    if (count == 0)
        return;
    struct inventory_store *store = watcher->watches->store;
    watcher->querying = true;
    if (store->ops->history(store, keys, after, count, watcher->asked_limit, on_history, watcher) <
        0) {
        watcher->querying = false;
        watcher_end(watcher, BV_E_UNAVAILABLE, "the ledger cannot be read: watch again");
    }
}

static void watcher_pump(struct watcher *watcher)
{
    if (!watcher->loaded || watcher->querying)
        return;
    watcher_send_snapshots(watcher);
    if (!watcher->unsent)
        watcher_ask(watcher);
}

/* ---- changes ---- */

static struct watched *
watcher_concerned(struct watcher *watcher, struct inventory_key sku, int64_t version)
{
    if (!bv_bytes_equal(watcher->tenant, sku.tenant))
        return NULL;
    struct watched *watched = watched_get(watcher, sku.name, watcher->all);
    return watched && version > watched->last ? watched : NULL;
}

void inventory_watches_committed(struct inventory_watches *watches,
                                 const struct inventory_change *changes,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (struct watcher *watcher = watches->watchers; watcher; watcher = watcher->next) {
            struct watched *watched =
                watcher_concerned(watcher, changes[i].key, changes[i].level.version);
            if (!watched)
                continue;
            bool next = changes[i].level.version == watched->last + 1;
            bool direct =
                next && watcher->loaded && !watcher->unsent && !watched->behind && !watched->asked;
            if (!direct || !watcher_send(watcher, watched, &changes[i]))
                watched->behind = true;
        }
    inventory_watches_pump(watches);
}

void inventory_watches_seen(struct inventory_watches *watches,
                            struct inventory_key sku,
                            int64_t version)
{
    for (struct watcher *watcher = watches->watchers; watcher; watcher = watcher->next) {
        struct watched *watched = watcher_concerned(watcher, sku, version);
        if (watched)
            watched->behind = true;
    }
}

void inventory_watches_pump(struct inventory_watches *watches)
{
    struct watcher *next = NULL;
    for (struct watcher *watcher = watches->watchers; watcher; watcher = next) {
        next = watcher->next; /* pumping may end this one, no other */
        watcher_pump(watcher);
    }
}

/* ---- life ---- */

static void on_snapshot(void *argument,
                        int rc,
                        const struct inventory_found *found,
                        const struct bv_error *error)
{
    struct watcher *watcher = argument;
    (void)error;
    watcher->querying = false;
    if (!watcher->call) {
        watcher_free(watcher);
        return;
    }
    for (size_t i = 0; rc == 0 && i < found->stock_count; i++) {
        struct watched *watched = watched_get(watcher, found->stock[i].key.name, true);
        if (watched)
            watched->snapshot = found->stock[i].level;
        else
            rc = BV_E_NOMEM;
    }
    if (rc < 0) {
        watcher_end(watcher, BV_E_UNAVAILABLE, "the levels cannot be read: watch again");
        return;
    }
    watcher->loaded = true;
    watcher->unsent = watcher->first;
    watcher_pump(watcher);
}

static int watcher_load(struct watcher *watcher, const struct bv_bytes *skus, size_t count)
{
    struct inventory_store *store = watcher->watches->store;
    if (count == 0)
        return store->ops->load_tenant(store, watcher->tenant, on_snapshot, watcher);
    struct inventory_key *keys = calloc(count, sizeof *keys);
    int rc = keys ? 0 : BV_E_NOMEM;
    for (size_t i = 0; i < count && rc == 0; i++) {
        keys[i] = (struct inventory_key){watcher->tenant, skus[i]};
        rc = watched_get(watcher, skus[i], true) ? 0 : BV_E_NOMEM;
    }
    struct inventory_want want = {.skus = keys, .sku_count = count};
    if (rc == 0)
        rc = store->ops->load(store, &want, on_snapshot, watcher);
    free(keys);
    return rc;
}

int inventory_watches_add(struct inventory_watches *watches,
                          struct bv_grpc_call *call,
                          struct bv_bytes tenant,
                          const struct bv_bytes *skus,
                          size_t count)
{
    if (watches->count == watches->max)
        return BV_E_LIMIT;
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return BV_E_NOMEM;
    watcher->watches = watches;
    watcher->call = call;
    watcher->tenant = tenant;
    watcher->all = count == 0;
    watcher->last = &watcher->first;
    watcher->querying = true;
    int rc = watcher_load(watcher, skus, count);
    if (rc < 0) {
        watcher_free(watcher);
        return rc;
    }
    watcher->next = watches->watchers;
    watches->watchers = watcher;
    watches->count++;
    bv_grpc_stream_on_cancel(call, watcher_gone, watcher);
    bv_grpc_stream_on_room(call, watcher_room, watcher);
    return 0;
}

int inventory_watches_open(struct inventory_store *store,
                           const struct bv_env *env,
                           struct bv_metrics *metrics,
                           size_t watchers_max,
                           struct inventory_watches **ret_watches)
{
    struct inventory_watches *watches = calloc(1, sizeof *watches);
    if (!watches)
        return BV_E_NOMEM;
    watches->store = store;
    watches->env = env;
    watches->max = watchers_max;
    watches->sent = bv_metrics_series(metrics, &metric_sent, NULL, 0);
    int rc = bv_metrics_callback(metrics, &metric_watchers, read_watchers, watches);
    if (rc < 0) {
        free(watches);
        return rc;
    }
    *ret_watches = watches;
    return 0;
}

void inventory_watches_close(struct inventory_watches **watches)
{
    if (!*watches)
        return;
    while ((*watches)->watchers)
        watcher_end((*watches)->watchers, BV_E_UNAVAILABLE, "the service is stopping");
    free(*watches);
    *watches = NULL;
}
