#include "product_catalogue.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include "bv/resilience.h"

#define KEY_MAX 192
#define BODY_MAX (4 * 1024 * 1024)
#define FLIGHTS_MAX 4096
#define WAITERS_MAX 16384
#define FLUSH_SETS_MAX (PRODUCT_TAGS_MAX + 2)
#define ASKS_MAX 4 /* of one look-up; then it tells what it has, and nothing is kept */

/* Drops every page that a set names, then the set. */
static const char flush_script[] =
    "for _,s in ipairs(KEYS) do for _,k in ipairs(redis.call('SMEMBERS',s)) do "
    "redis.call('UNLINK',k) end redis.call('UNLINK',s) end";

struct entry {
    char key[KEY_MAX];            /* "tenant:sku" */
    int64_t expires_at_ms;        /* 0: empty */
    struct product_answer answer; /* body owned */
};

struct product_catalogue {
    struct product_catalogue_config config;
    struct product_catalogue_deps deps;
    struct entry *entries;      /* owned */
    struct bv_flights *flights; /* owned */
    struct lookup *lookups;     /* under way */
    struct bv_series *from_memory, *from_redis, *from_store;
};

/* A look-up under way; the waiters hang on the flight of its key. */
struct lookup {
    struct lookup *next, **link; /* among those under way */
    struct product_catalogue *catalogue;
    bool stale; /* what it reads may be older than a change that was told since */
    int asks;   /* of the store */
    char key[KEY_MAX];
    char tenant[KEY_MAX / 2];
    char sku[PRODUCT_SKU_MAX + 1]; /* "" for a list */
    /* lists */
    char text[128];
    char tag[PRODUCT_TAG_MAX + 1];
    char after_sku[PRODUCT_SKU_MAX + 1];
    int64_t limit;
};
struct waiter {
    product_answered *done;
    void *argument;
};

static const struct bv_metric reads_metric = {"product_reads_total",
                                              BV_COUNTER,
                                              "Catalogue reads by where they were answered.",
                                              "source",
                                              NULL,
                                              0};

/* ---- memory ---- */

static void key_of(char out[KEY_MAX], struct bv_bytes tenant, struct bv_bytes sku)
{
    snprintf(out,
             KEY_MAX,
             "%.*s:%.*s",
             tenant.size > 64 ? 64 : (int)tenant.size,
             tenant.data,
             BV_ARG(sku));
}

static uint64_t hash_add(uint64_t hash, struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

static struct entry *
slot_of(struct product_catalogue *catalogue, struct bv_bytes tenant, struct bv_bytes sku)
{
    uint64_t hash = hash_add(hash_add(UINT64_C(14695981039346656037), tenant), sku);
    return &catalogue->entries[hash % (uint64_t)catalogue->config.memory_entries];
}

static bool holds(const struct entry *entry, struct bv_bytes tenant, struct bv_bytes sku)
{
    const char *key = entry->key;
    return strlen(key) == tenant.size + 1 + sku.size &&
           memcmp(key, tenant.data, tenant.size) == 0 && key[tenant.size] == ':' &&
           memcmp(key + tenant.size + 1, sku.data, sku.size) == 0;
}

const struct product_answer *product_catalogue_peek(struct product_catalogue *catalogue,
                                                    struct bv_bytes tenant,
                                                    struct bv_bytes sku)
{
    struct entry *entry = slot_of(catalogue, tenant, sku);
    if (entry->expires_at_ms <= bv_loop_now_ms(catalogue->deps.loop) || !holds(entry, tenant, sku))
        return NULL;
    bv_count(catalogue->from_memory, 1);
    return &entry->answer;
}

static void forget(struct entry *entry)
{
    free((char *)(uintptr_t)entry->answer.body.data);
    *entry = (struct entry){0};
}

static void remember(struct product_catalogue *catalogue,
                     const struct lookup *lookup,
                     const struct product_answer *answer)
{
    struct bv_bytes tenant = bv_bytes_of(lookup->tenant), sku = bv_bytes_of(lookup->sku);
    struct entry *entry = slot_of(catalogue, tenant, sku);
    char *body = answer->body.size > 0 ? malloc(answer->body.size) : NULL;
    if (answer->body.size > 0 && !body)
        return;
    forget(entry);
    key_of(entry->key, tenant, sku);
    entry->answer = *answer;
    if (body)
        memcpy(body, answer->body.data, answer->body.size);
    entry->answer.body.data = body;
    entry->expires_at_ms = bv_loop_now_ms(catalogue->deps.loop) + catalogue->config.memory_ttl_ms;
}

/* ---- landing ---- */

static void landed(void *argument, int rc, const void *result)
{
    struct waiter waiter = *(struct waiter *)argument;
    free(argument);
    waiter.done(waiter.argument, rc, result, NULL);
}

static void land(struct lookup *lookup, int rc, const struct product_answer *answer)
{
    struct product_catalogue *catalogue = lookup->catalogue;
    if (rc == 0 && *lookup->sku && !lookup->stale)
        remember(catalogue, lookup, answer);
    *lookup->link = lookup->next;
    if (lookup->next)
        lookup->next->link = lookup->link;
    bv_flight_land(catalogue->flights, bv_bytes_of(lookup->key), rc, rc == 0 ? answer : NULL);
    free(lookup);
}

/* ---- Redis ---- */

static struct bv_bytes redis_key(const char *key, char out[KEY_MAX + 16])
{
    int size = snprintf(out, KEY_MAX + 16, "catalogue:%s", key);
    return (struct bv_bytes){out, (size_t)size};
}

static void send(struct product_catalogue *catalogue, const struct bv_bytes *words, size_t count)
{
    int rc = bv_redis_send(catalogue->deps.redis, words, count, NULL, NULL);
    if (rc < 0)
        bv_log(catalogue->deps.log,
               BV_DEBUG,
               "product.redis_skipped",
               NULL,
               BV_F_TEXT("fault", bv_error_row(rc)->word));
}

/* "<version>\n<json>"; nothing is cached for what does not exist. */
static void redis_store(struct lookup *lookup, struct bv_bytes value)
{
    char key[KEY_MAX + 16], ttl[24];
    snprintf(ttl, sizeof(ttl), "%lld", (long long)lookup->catalogue->config.redis_ttl_ms);
    struct bv_bytes words[] = {
        BV_BYTES("SET"), redis_key(lookup->key, key), value, BV_BYTES("PX"), bv_bytes_of(ttl)};
    send(lookup->catalogue, words, BV_COUNT(words));
}

static struct bv_bytes
set_name(char out[KEY_MAX], const char *tenant, const char *kind, struct bv_bytes name)
{
    int size = snprintf(out, KEY_MAX, "catalogue:set:%.64s:%s:%.*s", tenant, kind, BV_ARG(name));
    return (struct bv_bytes){out, (size_t)size};
}

/* Registers a list page under what must flush it. */
static void redis_register(struct lookup *lookup, struct bv_bytes set)
{
    char key[KEY_MAX + 16], ttl[24];
    snprintf(ttl, sizeof(ttl), "%lld", (long long)lookup->catalogue->config.redis_ttl_ms);
    struct bv_bytes add[] = {BV_BYTES("SADD"), set, redis_key(lookup->key, key)};
    struct bv_bytes expire[] = {BV_BYTES("PEXPIRE"), set, bv_bytes_of(ttl)};
    send(lookup->catalogue, add, BV_COUNT(add));
    send(lookup->catalogue, expire, BV_COUNT(expire));
}

/* Look-ups under way may have read what was before the change: they read once more, since those who
 * ask from now on join them. */
static void lookups_stale(struct product_catalogue *catalogue, const struct product *product)
{
    for (struct lookup *lookup = catalogue->lookups; lookup; lookup = lookup->next)
        if (bv_bytes_equal(bv_bytes_of(lookup->tenant), product->tenant) &&
            (!*lookup->sku || bv_bytes_equal(bv_bytes_of(lookup->sku), product->sku)))
            lookup->stale = true;
}

void product_catalogue_flush(struct product_catalogue *catalogue, const struct product *product)
{
    char tenant[65], key[KEY_MAX], own[KEY_MAX + 16], names[FLUSH_SETS_MAX][KEY_MAX], count_text[8];
    struct bv_bytes words[3 + FLUSH_SETS_MAX] = {BV_BYTES("EVAL"), bv_bytes_of(flush_script)};
    size_t sets = 0;
    struct entry *entry = slot_of(catalogue, product->tenant, product->sku);
    if (holds(entry, product->tenant, product->sku))
        forget(entry);
    lookups_stale(catalogue, product);
    snprintf(tenant, sizeof(tenant), "%.*s", BV_ARG(product->tenant));
    key_of(key, product->tenant, product->sku);
    struct bv_bytes drop[] = {BV_BYTES("UNLINK"), redis_key(key, own)};
    send(catalogue, drop, BV_COUNT(drop));
    words[3 + sets] = set_name(names[sets], tenant, "all", BV_BYTES(""));
    sets++;
    words[3 + sets] = set_name(names[sets], tenant, "sku", product->sku);
    sets++;
    for (size_t i = 0; i < product->tag_count; i++, sets++)
        words[3 + sets] = set_name(names[sets], tenant, "tag", product->tags[i]);
    snprintf(count_text, sizeof(count_text), "%zu", sets);
    words[2] = bv_bytes_of(count_text);
    send(catalogue, words, 3 + sets);
}

/* ---- the store ---- */

static int ask_store(struct lookup *lookup);

/* True when what the store answered is stale and it was asked again. */
static bool asked_again(struct lookup *lookup)
{
    if (!lookup->stale || lookup->asks >= ASKS_MAX)
        return false;
    lookup->stale = ask_store(lookup) < 0;
    return !lookup->stale;
}

static void
store_found(void *argument, int rc, const struct product *product, const struct bv_error *error)
{
    struct lookup *lookup = argument;
    struct bv_buf value = {.max = PRODUCT_JSON_MAX + 32};
    struct product_answer answer = {0};
    (void)error;
    if (rc == 0 && asked_again(lookup))
        return;
    if (rc == 0 && product && !product->deleted) {
        bv_buf_format(&value, "%lld\n", (long long)product->version);
        size_t head = value.size;
        struct bv_json_writer w = bv_json_writer(&value);
        product_write(&w, product);
        rc = value.failed ? BV_E_TOO_LARGE : 0;
        answer.found = true;
        snprintf(answer.etag, sizeof(answer.etag), "\"%lld\"", (long long)product->version);
        answer.body = (struct bv_bytes){value.data + head, value.size - head};
    }
    if (rc == 0 && answer.found && !lookup->stale)
        redis_store(lookup, bv_buf_view(&value));
    bv_count(lookup->catalogue->from_store, 1);
    land(lookup, rc, &answer);
    bv_buf_release(&value);
}

static void
write_page(struct bv_buf *buf, const struct product *products, size_t count, size_t limit)
{
    struct bv_json_writer w = bv_json_writer(buf);
    char cursor[2 * PRODUCT_SKU_MAX];
    size_t shown = count > limit ? limit : count;
    bv_jw_object(&w);
    bv_jw_key(&w, "items");
    bv_jw_array(&w);
    for (size_t i = 0; i < shown; i++)
        product_write(&w, &products[i]);
    bv_jw_end(&w);
    bv_jw_key(&w, "nextCursor");
    if (count > shown)
        bv_jw_string(
            &w, (struct bv_bytes){cursor, product_cursor_write(products[shown - 1].sku, cursor)});
    else
        bv_jw_null(&w);
    bv_jw_end(&w);
}

static void store_listed(void *argument,
                         int rc,
                         const struct product *products,
                         size_t count,
                         const struct bv_error *error)
{
    struct lookup *lookup = argument;
    struct bv_buf page = {.max = BODY_MAX};
    struct product_answer answer = {.found = true};
    char name[KEY_MAX];
    (void)error;
    if (rc == 0 && asked_again(lookup))
        return;
    if (rc == 0) {
        bv_buf_text(&page, "0\n");
        write_page(&page, products, count, (size_t)lookup->limit - 1);
        rc = page.failed ? BV_E_TOO_LARGE : 0;
        answer.body = (struct bv_bytes){page.data + 2, page.size - 2};
    }
    if (rc == 0 && !lookup->stale) {
        redis_store(lookup, bv_buf_view(&page));
        redis_register(lookup,
                       *lookup->tag
                           ? set_name(name, lookup->tenant, "tag", bv_bytes_of(lookup->tag))
                           : set_name(name, lookup->tenant, "all", BV_BYTES("")));
        for (size_t i = 0; i < count; i++)
            redis_register(lookup, set_name(name, lookup->tenant, "sku", products[i].sku));
    }
    bv_count(lookup->catalogue->from_store, 1);
    land(lookup, rc, &answer);
    bv_buf_release(&page);
}

static int ask_store(struct lookup *lookup)
{
    struct product_store *store = lookup->catalogue->deps.store;
    struct bv_bytes tenant = bv_bytes_of(lookup->tenant);
    lookup->stale = false;
    lookup->asks++;
    if (*lookup->sku)
        return store->ops->find(store, tenant, bv_bytes_of(lookup->sku), store_found, lookup);
    struct product_query query = {tenant,
                                  bv_bytes_of(lookup->text),
                                  bv_bytes_of(lookup->tag),
                                  bv_bytes_of(lookup->after_sku),
                                  lookup->limit};
    return store->ops->list(store, &query, store_listed, lookup);
}

static void redis_found(void *argument,
                        int rc,
                        const struct bv_redis_reply *reply,
                        const struct bv_error *error)
{
    struct lookup *lookup = argument;
    (void)error;
    if (rc == 0 && !lookup->stale && bv_redis_type(reply) == BV_REDIS_STRING) {
        struct bv_bytes value = bv_redis_bytes(reply);
        const char *line = memchr(value.data, '\n', value.size < 24 ? value.size : 24);
        if (line) {
            struct product_answer answer = {.found = true};
            size_t head = (size_t)(line - value.data) + 1;
            snprintf(answer.etag, sizeof(answer.etag), "\"%.*s\"", (int)head - 1, value.data);
            answer.body = (struct bv_bytes){value.data + head, value.size - head};
            bv_count(lookup->catalogue->from_redis, 1);
            land(lookup, 0, &answer);
            return;
        }
    }
    rc = ask_store(lookup);
    if (rc < 0)
        land(lookup, rc, NULL);
}

static void lead(struct lookup *lookup)
{
    struct product_catalogue *catalogue = lookup->catalogue;
    char key[KEY_MAX + 16];
    lookup->next = catalogue->lookups;
    lookup->link = &catalogue->lookups;
    if (lookup->next)
        lookup->next->link = &lookup->next;
    catalogue->lookups = lookup;
    struct bv_bytes words[] = {BV_BYTES("GET"), redis_key(lookup->key, key)};
    int rc = bv_redis_send(catalogue->deps.redis, words, BV_COUNT(words), redis_found, lookup);
    if (rc < 0)
        rc = ask_store(lookup);
    if (rc < 0)
        land(lookup, rc, NULL);
}

/* Joins the flight of the key; the first asker goes on with a copy of the look-up. */
static int join(const struct lookup *lookup, product_answered *done, void *argument)
{
    struct waiter *waiter = malloc(sizeof(*waiter));
    struct lookup *copy = malloc(sizeof(*copy));
    int rc = BV_E_NOMEM;
    if (waiter && copy) {
        *waiter = (struct waiter){done, argument};
        *copy = *lookup;
        rc = bv_flight_join(lookup->catalogue->flights, bv_bytes_of(lookup->key), landed, waiter);
    }
    if (rc < 0)
        free(waiter);
    if (rc == BV_FLIGHT_LEADER)
        lead(copy);
    else
        free(copy);
    return rc < 0 ? rc : 0;
}

static void text_set(char *out, size_t room, struct bv_bytes text)
{
    snprintf(out, room, "%.*s", BV_ARG(text));
}

int product_catalogue_fetch(struct product_catalogue *catalogue,
                            struct bv_bytes tenant,
                            struct bv_bytes sku,
                            product_answered *done,
                            void *argument)
{
    const struct product_answer *answer = product_catalogue_peek(catalogue, tenant, sku);
    if (answer) {
        done(argument, 0, answer, NULL);
        return 0;
    }
    struct lookup lookup = {.catalogue = catalogue};
    text_set(lookup.tenant, sizeof(lookup.tenant), tenant);
    text_set(lookup.sku, sizeof(lookup.sku), sku);
    key_of(lookup.key, tenant, sku);
    return join(&lookup, done, argument);
}

int product_catalogue_list(struct product_catalogue *catalogue,
                           const struct product_query *query,
                           product_answered *done,
                           void *argument)
{
    struct lookup lookup = {.catalogue = catalogue,
                            .limit =
                                query->limit + 1}; /* one more tells whether there is a next page */
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char canonical[512], hex[2 * SHA256_DIGEST_LENGTH + 1];
    text_set(lookup.tenant, sizeof(lookup.tenant), query->tenant);
    text_set(lookup.text, sizeof(lookup.text), query->text);
    text_set(lookup.tag, sizeof(lookup.tag), query->tag);
    text_set(lookup.after_sku, sizeof(lookup.after_sku), query->after_sku);
    snprintf(canonical,
             sizeof(canonical),
             "%s\n%s\n%s\n%lld",
             lookup.text,
             lookup.tag,
             lookup.after_sku,
             (long long)query->limit);
    SHA256((const unsigned char *)canonical, strlen(canonical), digest);
    hex[bv_hex_encode(digest, sizeof(digest), hex)] = '\0';
    snprintf(lookup.key, sizeof(lookup.key), "list:%.64s:%s", lookup.tenant, hex);
    return join(&lookup, done, argument);
}

/* ---- life ---- */

void product_catalogue_close(struct product_catalogue **catalogue_pointer)
{
    struct product_catalogue *catalogue = *catalogue_pointer;
    if (!catalogue)
        return;
    for (int64_t i = 0; catalogue->entries && i < catalogue->config.memory_entries; i++)
        forget(&catalogue->entries[i]);
    free(catalogue->entries);
    bv_flights_close(&catalogue->flights);
    free(catalogue);
    *catalogue_pointer = NULL;
}

int product_catalogue_open(const struct product_catalogue_config *config,
                           const struct product_catalogue_deps *deps,
                           struct product_catalogue **ret_catalogue)
{
    struct product_catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (!catalogue)
        return BV_E_NOMEM;
    catalogue->config = *config;
    catalogue->deps = *deps;
    catalogue->from_memory =
        bv_metrics_series(deps->metrics, &reads_metric, (const char *const[]){"memory"}, 1);
    catalogue->from_redis =
        bv_metrics_series(deps->metrics, &reads_metric, (const char *const[]){"redis"}, 1);
    catalogue->from_store =
        bv_metrics_series(deps->metrics, &reads_metric, (const char *const[]){"postgres"}, 1);
    catalogue->entries = calloc((size_t)config->memory_entries, sizeof(*catalogue->entries));
    int rc = catalogue->entries ? bv_flights_open(FLIGHTS_MAX, WAITERS_MAX, &catalogue->flights)
                                : BV_E_NOMEM;
    if (rc < 0)
        product_catalogue_close(&catalogue);
    else
        *ret_catalogue = catalogue;
    return rc;
}
