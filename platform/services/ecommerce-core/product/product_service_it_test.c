/* The product service as processes, on a real PostgreSQL, Redis and Kafka, with the keys of a real
 * auth service whose code is not linked here: a signing key of the test's own stands behind a tiny
 * JWKS endpoint. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bv/bus.h"
#include "bv/event.h"
#include "bv/jose.h"
#include "bv/schema.h"
#include "bv/test_loop.h"
#include "bv/test_service.h"
#include "bv/test_stack.h"
#include "product_service.h"

#define JSON "Content-Type: application/json"
#define TOKEN_MAX 2048
#define PAGE_ITEMS 40
#define EVENTS_MAX 16

/* ---- who signs: an issuer with one key ---- */

static struct bv_jose_key *signer;
static struct bv_buf jwks = {.max = 16384}; /* made before the fork */

static void make_signer(void)
{
    struct bv_jose_keys *keys = NULL;
    struct bv_jose_key *copy = NULL;
    struct bv_buf pem = {.max = 16384};
    struct bv_json_writer w = bv_json_writer(&jwks);
    cr_assert_eq(bv_jose_key_generate(BV_JOSE_EDDSA, &signer, NULL), 0);
    cr_assert_eq(bv_jose_key_to_pem(signer, &pem), 0);
    cr_assert_eq(
        bv_jose_key_from_pem(bv_buf_view(&pem), BV_JOSE_EDDSA, bv_jose_key_id(signer), &copy, NULL),
        0);
    cr_assert_eq(bv_jose_keys_open(2, &keys), 0);
    cr_assert_eq(bv_jose_keys_add(keys, &copy), 0); /* the set takes it */
    cr_assert_eq(bv_jose_keys_to_jwks(keys, &w), 0);
    bv_jose_keys_close(&keys);
    bv_buf_release(&pem);
}

static int get_jwks(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context, (void)error;
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "application/json",
                                                    .body = bv_buf_view(&jwks)});
}

static const struct bv_http_route issuer_routes[] = {
    {BV_GET, "/.well-known/jwks.json", "getJwks", NULL, get_jwks, 0, 0, NULL},
};
static int
issuer_init(void *state, struct bv_service *frame, const void *config, struct bv_error *error)
{
    (void)state, (void)frame, (void)config, (void)error;
    return 0;
}

static const struct bv_service_spec issuer_spec = {.name = "issuer",
                                                   .purpose = "Keys.",
                                                   .routes = issuer_routes,
                                                   .route_count = 1,
                                                   .init = issuer_init};

struct bench {
    char *database; /* owned */
    char redis[256];
    struct bv_test_service issuer, a;
    struct bv_test_answer answer;
    char writer[TOKEN_MAX], reader[TOKEN_MAX]; /* "Authorization: Bearer …" */
    char prefix[24];                           /* of the SKUs of this test */
};

static void sign(const struct bench *bench, const char *scope, char out[TOKEN_MAX])
{
    int64_t now_s = bv_wall_us(&bv_test_env_system) / 1000000;
    struct bv_buf token = {.max = TOKEN_MAX};
    struct bv_claims claims = {.issuer = bv_bytes_of(bench->issuer.url),
                               .subject = BV_BYTES("01936f3e-0a11-7c55-8f00-7d3c2b1a0f42"),
                               .audience = BV_BYTES("bitvelocity"),
                               .scope = bv_bytes_of(scope),
                               .tenant = BV_BYTES("default"),
                               .token_id = BV_BYTES("01936f3e-0a11-7c55-8f00-7d3c2b1a0f43"),
                               .issued_at_s = now_s,
                               .expires_at_s = now_s + 600};
    cr_assert_eq(bv_jwt_sign(signer, &claims, &token), 0);
    snprintf(out, TOKEN_MAX, "Authorization: Bearer %.*s", (int)token.size, token.data);
    bv_buf_release(&token);
}

static void start(const struct bench *bench, struct bv_test_service *service, const char *cache_ttl)
{
    bv_test_service_start(service,
                          &product_spec,
                          (const char *const[]){"--pg-url",
                                                bench->database,
                                                "--redis-url",
                                                bench->redis,
                                                "--kafka-brokers",
                                                bv_test_need("BV_TEST_KAFKA_BROKERS"),
                                                "--auth-url",
                                                bench->issuer.url,
                                                "--cache-ttl",
                                                cache_ttl,
                                                NULL});
    bv_test_service_await_ready(service);
    /* librdkafka 2.0 asserts when a member leaves within the first round of its group. */
    bv_test_service_await_log(service, "\"kafka.assigned\"");
}

static void open_with(struct bench *bench, const char *redis, const char *cache_ttl)
{
    static const struct bv_topic topic = {"ecommerce.products", 3, 0};
    struct bv_error error = {0};
    *bench = (struct bench){.database = bv_test_database("product")};
    int rc = bv_kafka_topics_create(
        bv_test_need("BV_TEST_KAFKA_BROKERS"), &topic, 1, BV_TEST_DEADLINE_MS, &error);
    cr_assert_eq(rc, 0, "%s", error.text);
    snprintf(bench->redis, sizeof(bench->redis), "%s", redis);
    snprintf(bench->prefix,
             sizeof(bench->prefix),
             "IT%llX",
             (unsigned long long)bv_random_u64(&bv_test_env_system));
    make_signer();
    bv_test_service_start(&bench->issuer, &issuer_spec, (const char *const[]){NULL});
    sign(bench, "products:write", bench->writer);
    sign(bench, "orders:write", bench->reader);
    start(bench, &bench->a, cache_ttl);
}

static void open_bench(struct bench *bench)
{
    open_with(bench, bv_test_need("BV_TEST_REDIS_URL"), "500ms");
}

static void close_bench(struct bench *bench)
{
    bv_test_service_stop(&bench->a);
    bv_test_service_stop(&bench->issuer);
    bv_test_answer_release(&bench->answer);
    bv_jose_key_free(&signer);
    bv_buf_release(&jwks);
    free(bench->database);
}

/* ---- requests ---- */

static int post(struct bench *bench, const char *sku, const char *name, const char *tags)
{
    char body[1024];
    snprintf(body,
             sizeof(body),
             "{\"sku\":\"%s-%s\",\"name\":\"%s\",\"priceMinor\":1250,\"currency\":\"EUR\","
             "\"tags\":[%s]}",
             bench->prefix,
             sku,
             name,
             tags);
    return bv_test_http(&bench->a,
                        "POST",
                        "/v1/products",
                        (const char *const[]){JSON, bench->writer, NULL},
                        body,
                        &bench->answer);
}

static const char *path_of(const struct bench *bench, const char *sku)
{
    static char path[128];
    snprintf(path, sizeof(path), "/v1/products/%s-%s", bench->prefix, sku);
    return path;
}

/* if_match: a whole field, NULL for none. */
static int put(struct bench *bench, const char *sku, const char *if_match, const char *name)
{
    char body[512];
    snprintf(body,
             sizeof(body),
             "{\"name\":\"%s\",\"priceMinor\":990,\"currency\":\"EUR\",\"tags\":[\"changed\"]}",
             name);
    return bv_test_http(&bench->a,
                        "PUT",
                        path_of(bench, sku),
                        (const char *const[]){JSON, bench->writer, if_match, NULL},
                        body,
                        &bench->answer);
}

static int drop(struct bench *bench, const char *sku, const char *if_match)
{
    return bv_test_http(&bench->a,
                        "DELETE",
                        path_of(bench, sku),
                        (const char *const[]){bench->writer, if_match, NULL},
                        NULL,
                        &bench->answer);
}

static int get_at(const struct bv_test_service *service,
                  const struct bench *bench,
                  const char *sku,
                  const char *field,
                  struct bv_test_answer *answer)
{
    return bv_test_http(
        service, "GET", path_of(bench, sku), (const char *const[]){field, NULL}, NULL, answer);
}

static int get(struct bench *bench, const char *sku, const char *field)
{
    return get_at(&bench->a, bench, sku, field, &bench->answer);
}

/* ---- one product ---- */

Test(product_it, versions_guard_every_change)
{
    struct bench bench;
    open_bench(&bench);
    cr_assert_eq(post(&bench, "CUP", "Cup", "\"kitchen\""), 201, "%s", bench.answer.body.data);
    cr_expect_str_eq(bv_test_field(&bench.answer, "ETag"), "\"1\"");
    cr_expect_str_eq(bv_test_field(&bench.answer, "Location"), path_of(&bench, "CUP"));
    char *created = strdup(bench.answer.body.data);
    cr_assert_eq(get(&bench, "CUP", NULL), 200);
    cr_expect_str_eq(bench.answer.body.data, created, "what was answered is what is stored");
    free(created);
    cr_expect_eq(get(&bench, "CUP", "If-None-Match: \"1\""), 304);
    cr_expect_eq(bench.answer.body.size, 0);
    cr_expect_eq(post(&bench, "CUP", "Again", ""), 409);

    cr_expect_eq(put(&bench, "CUP", NULL, "Mug"), 428);
    cr_expect_eq(put(&bench, "CUP", "If-Match: \"7\"", "Mug"), 412);
    cr_assert_eq(put(&bench, "CUP", "If-Match: \"1\"", "Mug"), 200, "%s", bench.answer.body.data);
    cr_expect_str_eq(bv_test_field(&bench.answer, "ETag"), "\"2\"");
    cr_expect_eq(put(&bench, "CUP", "If-Match: \"1\"", "Late"), 412, "a lost update");
    cr_assert_eq(get(&bench, "CUP", "If-None-Match: \"1\""), 200);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/name"), "Mug", "own writes are seen at once");
    cr_expect_str_eq(bv_test_text(&bench.answer, "/tags/0"), "changed");

    cr_expect_eq(drop(&bench, "CUP", NULL), 428);
    cr_expect_eq(drop(&bench, "CUP", "If-Match: \"1\""), 412);
    cr_expect_eq(drop(&bench, "CUP", "If-Match: \"2\""), 204);
    cr_expect_eq(get(&bench, "CUP", NULL), 404);
    cr_expect_eq(drop(&bench, "CUP", "If-Match: *"), 404);
    cr_expect_eq(put(&bench, "CUP", "If-Match: *", "Ghost"), 404);
    cr_assert_eq(post(&bench, "CUP", "Cup", ""), 201, "%s", bench.answer.body.data);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/version"), "4", "3 was the deletion");
    cr_expect_eq(get(&bench, "CUP", NULL), 200);
    cr_expect_str_eq(bv_test_field(&bench.answer, "ETag"), "\"4\"");
    close_bench(&bench);
}

Test(product_it, writing_needs_the_scope_and_valid_content)
{
    struct bench bench;
    char long_name[402];
    open_bench(&bench);
    const char *const fields[][3] = {
        {JSON, NULL,         NULL},
        {JSON, bench.reader, NULL}
    };
    const int statuses[] = {401, 403};
    for (size_t i = 0; i < BV_COUNT(statuses); i++)
        cr_expect_eq(bv_test_http(&bench.a, "POST", "/v1/products", fields[i], "{}", &bench.answer),
                     statuses[i]);
    cr_expect_eq(post(&bench, "low", "Cup", ""), 422);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/errors/0/pointer"), "/sku");
    cr_expect_eq(post(&bench, "CUP", "Cup", "\"a\",\"a\""), 422);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/errors/0/pointer"), "/tags/1");
    memset(long_name, 'x', 201);
    long_name[201] = '\0';
    cr_expect_eq(post(&bench, "CUP", long_name, ""), 422, "200 characters at most");
    cr_expect_str_eq(bv_test_text(&bench.answer, "/errors/0/pointer"), "/name");
    for (size_t i = 0; i < 200; i++)
        memcpy(long_name + 2 * i, "\xc3\xa9", 2);
    long_name[400] = '\0';
    cr_expect_eq(post(&bench, "CUP", long_name, ""), 201, "… characters, not bytes");
    close_bench(&bench);
}

/* ---- lists ---- */

struct noise {
    pthread_t thread;
    struct bench *bench;
    bool stop;
};

/* Creates and deletes products all over the range while somebody reads pages. */
static void *make_noise(void *argument)
{
    struct noise *noise = argument;
    struct bench own = *noise->bench;
    own.answer = (struct bv_test_answer){0};
    for (int i = 0; !__atomic_load_n(&noise->stop, __ATOMIC_ACQUIRE); i++) {
        char sku[32], path[128];
        snprintf(sku, sizeof(sku), "K%03d-NOISE%d", i * 7 % PAGE_ITEMS, i);
        post(&own, sku, "Noise", "\"paged\"");
        snprintf(path, sizeof(path), "/v1/products/%s-%s", own.prefix, sku);
        if (i % 2)
            bv_test_http(&own.a,
                         "DELETE",
                         path,
                         (const char *const[]){own.writer, "If-Match: *", NULL},
                         NULL,
                         &own.answer);
    }
    bv_test_answer_release(&own.answer);
    return NULL;
}

static void read_all_pages(struct bench *bench)
{
    char cursor[256] = "", last[128] = "";
    bool seen[PAGE_ITEMS] = {false};
    do {
        char path[512];
        snprintf(path,
                 sizeof(path),
                 "/v1/products?limit=3&tag=paged%s%s",
                 *cursor ? "&cursor=" : "",
                 cursor);
        cr_assert_eq(bv_test_http(&bench->a, "GET", path, NULL, NULL, &bench->answer), 200);
        const struct bv_json *items = bv_json_get(bench->answer.json, "items");
        cr_assert_leq(bv_json_size(items), 3);
        for (struct bv_json_iter it = bv_json_iter(items); bv_json_next(&it);) {
            const char *sku = bv_json_string(bv_json_get(it.value, "sku")).data;
            int number = -1;
            char rest = '\0';
            cr_assert_gt(strcmp(sku, last), 0, "%s after %s", sku, last);
            snprintf(last, sizeof(last), "%s", sku);
            if (sscanf(sku + strlen(bench->prefix), "-K%03d%c", &number, &rest) == 1)
                seen[number] = true;
        }
        snprintf(cursor, sizeof(cursor), "%s", bv_test_text(&bench->answer, "/nextCursor"));
    } while (*cursor);
    for (int i = 0; i < PAGE_ITEMS; i++)
        cr_expect(seen[i], "K%03d was on no page", i);
}

Test(product_it, pages_have_neither_gaps_nor_duplicates_while_others_write, .timeout = 120)
{
    struct bench bench;
    char sku[16];
    open_bench(&bench);
    for (int i = 0; i < PAGE_ITEMS; i++) {
        snprintf(sku, sizeof(sku), "K%03d", i);
        cr_assert_eq(post(&bench, sku, "Paged", "\"paged\""), 201);
    }
    struct noise noise = {.bench = &bench};
    cr_assert_eq(pthread_create(&noise.thread, NULL, make_noise, &noise), 0);
    for (int round = 0; round < 3; round++)
        read_all_pages(&bench);
    __atomic_store_n(&noise.stop, true, __ATOMIC_RELEASE);
    pthread_join(noise.thread, NULL);
    close_bench(&bench);
}

struct search {
    const char *query;
    const char *skus; /* without the prefix, with a space behind each */
};

static void expect_found(struct bench *bench, const struct search *search)
{
    char path[256], found[512] = "";
    snprintf(path, sizeof(path), "/v1/products?limit=100&%s", search->query);
    cr_assert_eq(bv_test_http(&bench->a, "GET", path, NULL, NULL, &bench->answer), 200);
    const struct bv_json *items = bv_json_get(bench->answer.json, "items");
    for (struct bv_json_iter it = bv_json_iter(items); bv_json_next(&it);) {
        strncat(found,
                bv_json_string(bv_json_get(it.value, "sku")).data + strlen(bench->prefix) + 1,
                40);
        strcat(found, " ");
    }
    cr_expect_str_eq(found, search->skus, "%s", search->query);
}

Test(product_it, search_by_tag_and_words_follows_every_change)
{
    static const struct search before[] = {
        {"tag=it-a",              "ONE TWO "},
        {"tag=it-b",              "TWO "    },
        {"q=zanzibar",            "ONE TWO "},
        {"q=Zanzibar%20lamp",     "ONE "    },
        {"q=zanzibar&tag=it-b",   "TWO "    },
        {"q=nothing-of-the-kind", ""        },
    };
    static const struct search after[] = {
        {"tag=it-a",            "TWO "},
        {"tag=changed",         "ONE "},
        {"q=zanzibar",          "TWO "},
        {"q=tanganyika",        "ONE "},
        {"q=zanzibar&tag=it-b", "TWO "},
    };
    static const char *const bad[] = {"tag=UPPER", "limit=0", "limit=101", "cursor=%21%21"};
    struct bench bench;
    open_bench(&bench);
    cr_assert_eq(post(&bench, "ONE", "Zanzibar lamp", "\"it-a\""), 201);
    cr_assert_eq(post(&bench, "TWO", "Zanzibar desk", "\"it-a\",\"it-b\""), 201);
    for (int again = 0; again < 2; again++) /* the second time from the cache */
        for (size_t i = 0; i < BV_COUNT(before); i++)
            expect_found(&bench, &before[i]);
    cr_assert_eq(put(&bench, "ONE", "If-Match: *", "Tanganyika"), 200);
    for (size_t i = 0; i < BV_COUNT(after); i++)
        expect_found(&bench, &after[i]);
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/v1/products?%s", bad[i]);
        cr_expect_eq(
            bv_test_http(&bench.a, "GET", path, NULL, NULL, &bench.answer), 400, "%s", bad[i]);
    }
    close_bench(&bench);
}

/* ---- caches ---- */

struct sight {
    struct bench *bench;
    struct bv_test_service *b;
    const char *sku, *name;
    bool write;
    int count;
};

/* Whether B says what A wrote; with write, A writes something new every time. */
static bool b_sees(void *argument)
{
    struct sight *sight = argument;
    struct bv_test_answer answer = {0};
    char name[32];
    snprintf(name, sizeof(name), "%s", sight->name ? sight->name : "");
    if (sight->write) {
        if (get_at(sight->b, sight->bench, sight->sku, NULL, &answer) != 200)
            return false; /* B has it in memory now */
        snprintf(name, sizeof(name), "name %d", ++sight->count);
        cr_assert_eq(put(sight->bench, sight->sku, "If-Match: *", name), 200);
        for (int i = 0; i < 40; i++) {
            get_at(sight->b, sight->bench, sight->sku, NULL, &answer);
            if (strcmp(bv_test_text(&answer, "/name"), name) == 0)
                break;
        }
    } else {
        get_at(sight->b, sight->bench, sight->sku, NULL, &answer);
    }
    bool same = strcmp(bv_test_text(&answer, "/name"), name) == 0;
    bv_test_answer_release(&answer);
    return same;
}

Test(product_it, change_at_one_replica_is_seen_by_the_other_that_had_it_cached, .timeout = 120)
{
    struct bench bench;
    struct bv_test_service b;
    struct bv_test_answer answer = {0};
    open_with(&bench, bv_test_need("BV_TEST_REDIS_URL"), "10m");
    start(&bench, &b, "10m");
    cr_assert_eq(post(&bench, "WARM", "name 0", ""), 201);
    cr_assert_eq(post(&bench, "CUP", "old", ""), 201);
    struct sight warm = {.bench = &bench, .b = &b, .sku = "WARM", .write = true};
    cr_assert(bv_test_await(b_sees, &warm), "B never joins the group that hears of changes");
    cr_assert_eq(get_at(&b, &bench, "CUP", NULL, &answer), 200);
    cr_assert_eq(get_at(&b, &bench, "NEW", NULL, &answer), 404);
    cr_assert_eq(put(&bench, "CUP", "If-Match: \"1\"", "changed"), 200);
    cr_expect(bv_test_await(
        b_sees, &(struct sight){.bench = &bench, .b = &b, .sku = "CUP", .name = "changed"}));
    cr_assert_eq(post(&bench, "NEW", "fresh", ""), 201);
    cr_expect(bv_test_await(
        b_sees, &(struct sight){.bench = &bench, .b = &b, .sku = "NEW", .name = "fresh"}));
    cr_assert_eq(drop(&bench, "CUP", "If-Match: *"), 204);
    cr_expect(
        bv_test_await(b_sees, &(struct sight){.bench = &bench, .b = &b, .sku = "CUP", .name = ""}));
    bv_test_answer_release(&answer);
    bv_test_service_stop(&b);
    close_bench(&bench);
}

static bool redis_counts(void *argument)
{
    struct bench *bench = argument;
    cr_assert_eq(get(bench, "CUP", NULL), 200);
    bv_test_http(&bench->a, "GET", "/metrics", NULL, NULL, &bench->answer);
    const char *at = strstr(bench->answer.body.data, "{source=\"redis\"} ");
    return at && (int)strtol(at + strlen("{source=\"redis\"} "), NULL, 10) > 0;
}

Test(product_it, reads_and_writes_go_on_without_redis, .timeout = 120)
{
    struct bench bench;
    char port[16], url[64];
    snprintf(port, sizeof(port), "%d", bv_test_free_port());
    snprintf(url, sizeof(url), "redis://127.0.0.1:%s", port);
    const char *const argv[] = {"redis-server",
                                "--port",
                                port,
                                "--bind",
                                "127.0.0.1",
                                "--save",
                                "",
                                "--appendonly",
                                "no",
                                NULL};
    pid_t redis = bv_test_spawn(argv);
    open_with(&bench, url, "0ms"); /* every read asks Redis */
    cr_assert_eq(post(&bench, "CUP", "Cup", "\"it-redis\""), 201);
    cr_assert(bv_test_await(redis_counts, &bench), "Redis never answers a read");
    bv_test_kill(redis);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(get(&bench, "CUP", NULL), 200);
        cr_expect_eq(
            bv_test_http(&bench.a, "GET", "/v1/products?tag=it-redis", NULL, NULL, &bench.answer),
            200);
    }
    cr_expect_eq(put(&bench, "CUP", "If-Match: \"1\"", "Mug"), 200);
    cr_assert_eq(get(&bench, "CUP", NULL), 200);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/name"), "Mug");
    cr_expect_eq(bv_test_http(&bench.a, "GET", "/readyz", NULL, NULL, &bench.answer), 200);
    close_bench(&bench);
}

/* ---- events ---- */

struct ear {
    const struct bench *bench;
    struct bv_schemas *schemas;
    char types[EVENTS_MAX][64];
    int64_t versions[EVENTS_MAX];
    size_t count, wanted;
};

static void heard_one(void *argument, const struct bv_record *record, struct bv_delivery *delivery)
{
    struct ear *ear = argument;
    struct bv_arena *arena = NULL;
    struct bv_event event;
    struct bv_error error = {0};
    char schema[128];
    size_t prefix = strlen(ear->bench->prefix);
    if (record->key.size < prefix || memcmp(record->key.data, ear->bench->prefix, prefix) != 0) {
        bv_bus_ack(delivery); /* of another test */
        return;
    }
    cr_assert_lt(ear->count, EVENTS_MAX);
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(bv_event_decode(arena, record->value, &event, &error), 0, "%s", error.text);
    snprintf(schema, sizeof(schema), "%.*s.schema.json", BV_ARG(event.type));
    cr_expect_eq(bv_schemas_check(ear->schemas, bv_bytes_of(schema), event.envelope, &error),
                 0,
                 "%s %s: %s",
                 schema,
                 error.pointer,
                 error.text);
    cr_expect(bv_bytes_equal(event.partition_key, record->key));
    cr_expect(bv_bytes_equal(event.correlation_id, BV_BYTES("it-correlation")),
              "%.*s",
              BV_ARG(event.correlation_id));
    snprintf(ear->types[ear->count], sizeof(ear->types[0]), "%.*s", BV_ARG(event.type));
    ear->versions[ear->count++] = bv_json_int(bv_json_get(event.payload, "version"), -1);
    bv_arena_close(&arena);
    bv_bus_ack(delivery);
}

static bool heard_all(void *argument)
{
    const struct ear *ear = argument;
    return ear->count >= ear->wanted;
}

static void listen_for(struct ear *ear)
{
    static const char *const topics[] = {"ecommerce.products", NULL};
    struct bv_kafka_config config = {.brokers = bv_test_need("BV_TEST_KAFKA_BROKERS")};
    struct bv_subscription_config subscription = {
        .group = ear->bench->prefix, .topics = topics, .prefetch = 64, .from = BV_FROM_EARLIEST};
    struct bv_subscription *handle = NULL;
    struct bv_loop *loop = NULL;
    struct bv_bus *bus = NULL;
    char folder[1024];
    struct bv_error error = {0};
    snprintf(folder, sizeof(folder), "%s/contracts/events", bv_test_source_folder());
    cr_assert_eq(bv_schemas_open(&ear->schemas), 0);
    bv_schemas_format(ear->schemas, BV_FORMAT_ASSERT);
    cr_assert_eq(bv_schemas_add_folder(ear->schemas, folder, &error), 0, "%s", error.text);
    cr_assert_eq(bv_schemas_link(ear->schemas, &error), 0, "%s", error.text);
    cr_assert_eq(bv_loop_open(&bv_test_env_system, &loop), 0);
    cr_assert_eq(bv_kafka_open(loop, &config, NULL, NULL, &bus), 0);
    cr_assert_eq(bv_bus_subscribe(bus, &subscription, heard_one, ear, &handle), 0);
    cr_expect(bv_test_run_until(loop, heard_all, ear, BV_TEST_DEADLINE_MS),
              "%zu of %zu events came",
              ear->count,
              ear->wanted);
    bv_bus_unsubscribe(&handle);
    bv_bus_close(&bus);
    bv_loop_close(&loop);
    bv_schemas_close(&ear->schemas);
}

static bool outbox_is_empty(void *argument)
{
    return bv_test_sql_int(argument, "SELECT count(*) FROM outbox") == 0;
}

Test(product_it, every_change_is_announced_once_in_order, .timeout = 120)
{
    static const char *const types[] = {"ecommerce.product.created.v1",
                                        "ecommerce.product.updated.v1",
                                        "ecommerce.product.deleted.v1",
                                        "ecommerce.product.created.v1"};
    struct bench bench;
    open_bench(&bench);
    size_t size = strlen(bench.writer);
    snprintf(bench.writer + size,
             sizeof(bench.writer) - size,
             "\r\ncorrelation-id: it-correlation"); /* one more field with every write */
    cr_assert_eq(post(&bench, "CUP", "Cup", "\"a\""), 201, "%s", bench.answer.body.data);
    cr_expect_eq(post(&bench, "CUP", "Cup", "\"a\""), 409, "a refusal announces nothing");
    cr_assert_eq(put(&bench, "CUP", "If-Match: \"1\"", "Mug"), 200);
    cr_expect_eq(put(&bench, "CUP", "If-Match: \"1\"", "Mug"), 412);
    cr_assert_eq(drop(&bench, "CUP", "If-Match: \"2\""), 204);
    cr_assert_eq(post(&bench, "CUP", "Cup", "\"a\""), 201);
    struct ear ear = {.bench = &bench, .wanted = BV_COUNT(types)};
    listen_for(&ear);
    cr_assert_eq(ear.count, BV_COUNT(types));
    for (size_t i = 0; i < BV_COUNT(types); i++) {
        cr_expect_str_eq(ear.types[i], types[i]);
        cr_expect_eq(ear.versions[i], (int64_t)i + 1);
    }
    cr_expect(bv_test_await(outbox_is_empty, bench.database));
    close_bench(&bench);
}
