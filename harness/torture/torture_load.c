#include "torture_load.h"

#include "bv/arena.h"
#include "bv/env.h"
#include "bv/http_call.h"
#include "bv/json.h"
#include "bv/probe.h"
#include "bv/uuid.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    CALL_MS = 4000,
    PAUSE_MS = 20, /* before a call is repeated; up to twice as long */
    ARENA_MAX = 1 << 20,
    TOKEN_MAX = 4096,
    PAID_MAX = 128, /* orders of one client that wait for their payment */
    LINES_MAX = 3,
    PERCENT = 100,
};

static const struct bv_env system_env = {.clock = &bv_clock_system, .random = &bv_random_system};

#define MANY INT64_C(1000000000)
const struct torture_sku torture_skus[] = {
    {"MUG-BLUE",     MANY                },
    {"MUG-GREEN",    MANY                },
    {"MUG-TRAVEL",   MANY                },
    {"TEAPOT-IRON",  MANY                },
    {"KETTLE-1L",    MANY                },
    {"PEN-GEL",      MANY                },
    {"GRINDER-HAND", TORTURE_SCARCE_UNITS},
    {"TENT-2P",      TORTURE_SCARCE_UNITS},
    {"HEADPHONES-1", 0                   },
};
const size_t torture_sku_count = BV_COUNT(torture_skus);

enum user { CUSTOMER, OTHER, STAFF, USERS };
static const char *const user_names[USERS] = {"customer", "other-customer", "staff"};

struct torture_load;
struct paid {
    char order_id[BV_UUID_TEXT_SIZE];
    enum user owner;
};
struct client {
    struct torture_load *load;
    pthread_t thread;
    bool running;
    uint32_t number;
    uint64_t placed;
    enum user user;
    struct bv_http_caller *caller; /* owned */
    struct bv_arena *arena;        /* owned; of one call */
    char authorization[USERS][TOKEN_MAX];
    struct paid paid[PAID_MAX]; /* a ring */
    size_t paid_first, paid_count;
};
struct torture_load {
    struct torture_load_config config;
    char run[16];         /* begins every key */
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t stops;
    bool stopping;
    _Atomic int64_t gives_up_ms; /* 0: never */
    struct client clients[];
};

static bool chance(int percent)
{
    return (int)bv_random_below(&system_env, PERCENT) < percent;
}

/* Waits until at_ms; false when the load stops before. */
static bool pause_until(struct torture_load *load, int64_t at_ms)
{
    struct timespec until = {at_ms / 1000, at_ms % 1000 * 1000000};
    pthread_mutex_lock(&load->lock);
    while (!load->stopping &&
           pthread_cond_timedwait(&load->stops, &load->lock, &until) != ETIMEDOUT) {
    }
    bool goes_on = !load->stopping;
    pthread_mutex_unlock(&load->lock);
    return goes_on;
}

/* ---- one call, repeated until it has a final answer ---- */

static int
call_once(struct client *client, const struct bv_http_call *call, struct bv_http_answer *answer)
{
    bv_arena_reset(client->arena);
    return bv_http_call(client->caller, call, client->arena, answer, NULL);
}

static int login(struct client *client, enum user user)
{
    char url[300], body[256];
    struct bv_http_field fields[] = {
        {"content-type", BV_BYTES("application/json")}
    };
    struct bv_http_answer answer;
    const struct bv_json *root = NULL;
    snprintf(url, sizeof url, "%s/v1/login", client->load->config.auth_url);
    snprintf(body,
             sizeof body,
             "{\"username\":\"%s\",\"password\":\"%s\"}",
             user_names[user],
             client->load->config.password);
    struct bv_http_call call = {.method = "POST",
                                .url = url,
                                .fields = fields,
                                .field_count = BV_COUNT(fields),
                                .body = bv_bytes_of(body),
                                .timeout_ms = CALL_MS};
    BV_TRY(call_once(client, &call, &answer));
    if (answer.status != 200)
        return BV_E_UNAUTHENTICATED;
    BV_TRY(bv_json_parse(client->arena, answer.body, &root, NULL));
    struct bv_bytes token = bv_json_string(bv_json_get(root, "accessToken"));
    int size = snprintf(client->authorization[user], TOKEN_MAX, "Bearer %.*s", BV_ARG(token));
    return token.size > 0 && size < TOKEN_MAX ? 0 : BV_E_UNAUTHENTICATED;
}

static struct bv_bytes code_of(struct client *client, const struct bv_http_answer *answer)
{
    const struct bv_json *root = NULL;
    if (bv_json_parse(client->arena, answer->body, &root, NULL) < 0)
        return BV_BYTES_NONE;
    return bv_json_string(bv_json_get(root, "code"));
}

/* An answer that says "not now": the caller may not conclude anything from it. */
static bool is_final(struct client *client, const struct bv_http_answer *answer)
{
    if (answer->status == 409)
        return !bv_bytes_equal(code_of(client, answer), BV_BYTES("idempotency-in-progress"));
    return answer->status != 503 && answer->status != 504 && answer->status != 429 &&
           answer->status != 401;
}

static bool gives_up(const struct torture_load *load)
{
    int64_t at_ms = atomic_load(&load->gives_up_ms);
    return at_ms > 0 && bv_now_ms() >= at_ms;
}

/* Outcomes: GAVE_UP. */
enum { GAVE_UP = 1 };
static int call_until_final(struct client *client,
                            enum user user,
                            struct bv_http_call *call,
                            const char *key,
                            struct bv_http_answer *answer)
{
    for (;;) {
        struct bv_http_field fields[] = {
            {"authorization",   bv_bytes_of(client->authorization[user])},
            {"content-type",    BV_BYTES("application/json")            },
            {"idempotency-key", bv_bytes_of(key)                        },
        };
        call->fields = fields;
        call->field_count = key ? 3 : call->body.data ? 2 : 1;
        call->timeout_ms = CALL_MS;
        int rc = call_once(client, call, answer);
        if (rc == 0 && is_final(client, answer))
            return 0;
        if (rc == 0 && answer->status == 401 && login(client, user) == 0)
            continue;
        if (gives_up(client->load))
            return GAVE_UP;
        struct timespec pause = {
            0, (PAUSE_MS + (long)bv_random_below(&system_env, PAUSE_MS)) * 1000000};
        nanosleep(&pause, NULL); /* between two tries of one request */
    }
}

static void note_wrong(struct client *client, const char *key, const char *what, int64_t status)
{
    torture_note(
        client->load->config.facts, TORTURE_WRONG, "%s\t%s (%lld)", key, what, (long long)status);
}

/* ---- placing ---- */

struct wish {
    char key[64];
    char body[512];
    char items[256]; /* "SKU:2,SKU:1", as the checks compare it */
};
struct placed {
    char order_id[BV_UUID_TEXT_SIZE];
    char currency[4];
    int64_t status;
    int64_t total_minor;
    char *body; /* owned */
    size_t body_size;
};

static void make_wish(struct client *client, struct wish *wish)
{
    size_t first = (size_t)bv_random_below(&system_env, torture_sku_count);
    size_t lines = 1 + (size_t)bv_random_below(&system_env, LINES_MAX);
    int body = snprintf(wish->body, sizeof wish->body, "{\"items\":[");
    int items = 0;
    snprintf(wish->key,
             sizeof wish->key,
             "%s-%u-%llu",
             client->load->run,
             client->number,
             (unsigned long long)client->placed++);
    for (size_t i = 0; i < lines; i++) {
        const char *sku = torture_skus[(first + i) % torture_sku_count].sku;
        unsigned quantity = 1 + (unsigned)bv_random_below(&system_env, 3);
        body += snprintf(wish->body + body,
                         sizeof wish->body - (size_t)body,
                         "%s{\"sku\":\"%s\",\"quantity\":%u}",
                         i ? "," : "",
                         sku,
                         quantity);
        items += snprintf(wish->items + items,
                          sizeof wish->items - (size_t)items,
                          "%s%s:%u",
                          i ? "," : "",
                          sku,
                          quantity);
    }
    snprintf(wish->body + body, sizeof wish->body - (size_t)body, "]}");
}

static int post_order(struct client *client, const struct wish *wish, struct bv_http_answer *answer)
{
    char url[300];
    snprintf(url, sizeof url, "%s/v1/orders", client->load->config.order_url);
    struct bv_http_call call = {.method = "POST", .url = url, .body = bv_bytes_of(wish->body)};
    return call_until_final(client, client->user, &call, wish->key, answer);
}

static bool
read_placed(struct client *client, const struct bv_http_answer *answer, struct placed *placed)
{
    const struct bv_json *root = NULL;
    if ((answer->status != 201 && answer->status != 409) ||
        bv_json_parse(client->arena, answer->body, &root, NULL) < 0)
        return false;
    struct bv_bytes id = bv_json_string(bv_json_get(root, "orderId"));
    struct bv_bytes currency = bv_json_string(bv_json_get(root, "currency"));
    if (id.size + 1 != BV_UUID_TEXT_SIZE)
        return false;
    memcpy(placed->order_id, id.data, id.size + 1);
    snprintf(placed->currency, sizeof placed->currency, "%.*s", BV_ARG(currency));
    placed->status = answer->status;
    placed->total_minor = bv_json_int(bv_json_get(root, "totalMinor"), -1);
    placed->body = malloc(answer->body.size + 1);
    placed->body_size = answer->body.size;
    if (placed->body)
        memcpy(placed->body, answer->body.data, answer->body.size);
    return placed->body != NULL;
}

/* The same key again: the same bytes, whatever died meanwhile. */
static void repeat_key(struct client *client, const struct wish *wish, const struct placed *placed)
{
    struct bv_http_answer answer;
    if (post_order(client, wish, &answer) != 0)
        return;
    if (answer.status != placed->status ||
        !bv_bytes_equal(answer.body, (struct bv_bytes){placed->body, placed->body_size}))
        note_wrong(client, wish->key, "a repeated key has another answer", answer.status);
}

/* Outcomes: GAVE_UP: no order came of it. */
static int place(struct client *client, struct placed *placed)
{
    struct wish wish;
    struct bv_http_answer answer;
    make_wish(client, &wish);
    if (post_order(client, &wish, &answer) != 0) {
        note_wrong(client, wish.key, "a key was never answered", 0);
        return GAVE_UP;
    }
    if (!read_placed(client, &answer, placed)) {
        note_wrong(client, wish.key, "an order has a strange answer", answer.status);
        return GAVE_UP;
    }
    torture_note(client->load->config.facts,
                 TORTURE_ACKS,
                 "%s\t%s\t%lld\t%lld\t%s",
                 wish.key,
                 placed->order_id,
                 (long long)placed->status,
                 (long long)placed->total_minor,
                 wish.items);
    if (chance(25))
        repeat_key(client, &wish, placed);
    return 0;
}

/* ---- moving ---- */

static void note_move(struct client *client, const struct bv_http_answer *answer)
{
    const struct bv_json *root = NULL;
    if (bv_json_parse(client->arena, answer->body, &root, NULL) < 0)
        return;
    torture_note(client->load->config.facts,
                 TORTURE_MOVES,
                 "%.*s\t%lld\t%.*s",
                 BV_ARG(bv_json_string(bv_json_get(root, "orderId"))),
                 (long long)bv_json_int(bv_json_get(root, "version"), -1),
                 BV_ARG(bv_json_string(bv_json_get(root, "state"))));
}

/* A move that is acknowledged is noted; a conflict may be its own first try, whose reply was lost.
 */
static void move(struct client *client, enum user user, const char *order_id, const char *step)
{
    char url[400];
    struct bv_http_answer answer;
    snprintf(url, sizeof url, "%s/v1/orders/%s/%s", client->load->config.order_url, order_id, step);
    struct bv_http_call call = {.method = "POST", .url = url};
    if (call_until_final(client, user, &call, NULL, &answer) != 0)
        return;
    if (answer.status == 200)
        note_move(client, &answer);
    else if (answer.status != 409)
        note_wrong(client, order_id, "a move has a strange answer", answer.status);
}

static void pay(struct client *client, const struct placed *placed, bool declined)
{
    struct torture_payment payment = {.order_id = placed->order_id,
                                      .amount_minor = placed->total_minor,
                                      .currency = bv_bytes_of(placed->currency),
                                      .declined = declined,
                                      .copies = chance(10) ? 2 : 1};
    for (int tries = chance(5) ? 2 : 1; tries > 0; tries--) /* some are paid by two payments */
        if (torture_kafka_pay(client->load->config.kafka, &payment) < 0)
            return; /* noted only when it was produced */
    if (declined || client->paid_count == PAID_MAX)
        return;
    struct paid *paid = &client->paid[(client->paid_first + client->paid_count++) % PAID_MAX];
    memcpy(paid->order_id, placed->order_id, sizeof paid->order_id);
    paid->owner = client->user;
}

/* Looks at the order that waits longest: paid ones are confirmed or refunded, others wait on. */
static void follow_up(struct client *client)
{
    char url[400];
    struct bv_http_answer answer;
    const struct bv_json *root = NULL;
    if (client->paid_count == 0)
        return;
    struct paid paid = client->paid[client->paid_first];
    snprintf(url, sizeof url, "%s/v1/orders/%s", client->load->config.order_url, paid.order_id);
    struct bv_http_call call = {.method = "GET", .url = url};
    if (call_until_final(client, paid.owner, &call, NULL, &answer) != 0)
        return;
    client->paid_first = (client->paid_first + 1) % PAID_MAX;
    client->paid_count--;
    if (answer.status != 200 || bv_json_parse(client->arena, answer.body, &root, NULL) < 0) {
        note_wrong(client, paid.order_id, "an acknowledged order is not found", answer.status);
        return;
    }
    struct bv_bytes state = bv_json_string(bv_json_get(root, "state"));
    bool confirms = chance(70);
    if (bv_bytes_equal(state, BV_BYTES("PAID")))
        move(client,
             confirms || chance(50) ? STAFF : paid.owner,
             paid.order_id,
             confirms ? "confirm" : "cancel");
    else if (bv_bytes_equal(state, BV_BYTES("RESERVED")))
        client->paid[(client->paid_first + client->paid_count++) % PAID_MAX] = paid;
}

/* ---- a client ---- */

static void live(struct client *client)
{
    struct placed placed = {0};
    if (place(client, &placed) == 0 && placed.status == 201) {
        int what = (int)bv_random_below(&system_env, PERCENT);
        if (what < 30) {
            move(client, client->user, placed.order_id, "cancel");
            if (what < 5)
                pay(client, &placed, false); /* after the end: refunded */
        } else if (what < 85) {
            pay(client, &placed, what >= 75);
        }
    }
    free(placed.body);
    follow_up(client);
}

static void *client_run(void *argument)
{
    struct client *client = argument;
    const struct torture_load_config *config = &client->load->config;
    int64_t every_ms = (int64_t)config->clients * 1000 / config->orders_per_s;
    int64_t at_ms = bv_now_ms() + (int64_t)bv_random_below(&system_env, (uint64_t)every_ms + 1);
    while (pause_until(client->load, at_ms)) {
        live(client);
        at_ms += every_ms;
        if (at_ms < bv_now_ms() - 1000)
            at_ms = bv_now_ms(); /* a pause of a second is not made up for */
    }
    return NULL;
}

static int client_start(struct torture_load *load, uint32_t number, struct bv_error *error)
{
    struct client *client = &load->clients[number];
    client->load = load;
    client->number = number;
    client->user = number % 2 ? OTHER : CUSTOMER;
    BV_TRY(bv_arena_open(ARENA_MAX, &client->arena));
    BV_TRY(bv_http_caller_open(&client->caller));
    for (size_t i = 0; i < USERS; i++) {
        if (number > 0) /* a password costs a tenth of a CPU-second: the first client's will do */
            memcpy(client->authorization[i], load->clients[0].authorization[i], TOKEN_MAX);
        else if (login(client, (enum user)i) < 0)
            return bv_fail(error, BV_E_UNAVAILABLE, "%s cannot log in", user_names[i]);
    }
    if (pthread_create(&client->thread, NULL, client_run, client) != 0)
        return bv_fail(error, BV_E_LIMIT, "no thread for a client");
    client->running = true;
    return 0;
}

void torture_load_stop(struct torture_load **load_at, int64_t timeout_ms)
{
    struct torture_load *load = *load_at;
    if (!load)
        return;
    atomic_store(&load->gives_up_ms, bv_now_ms() + timeout_ms);
    pthread_mutex_lock(&load->lock);
    load->stopping = true;
    pthread_cond_broadcast(&load->stops);
    pthread_mutex_unlock(&load->lock);
    for (uint32_t i = 0; i < load->config.clients; i++) {
        struct client *client = &load->clients[i];
        if (client->running)
            pthread_join(client->thread, NULL);
        bv_http_caller_close(&client->caller);
        bv_arena_close(&client->arena);
    }
    pthread_cond_destroy(&load->stops);
    pthread_mutex_destroy(&load->lock);
    free(load);
    *load_at = NULL;
}

int torture_load_start(const struct torture_load_config *config,
                       struct torture_load **ret_load,
                       struct bv_error *error)
{
    assert(config->clients >= 1 && config->clients <= TORTURE_CLIENTS_MAX);
    struct torture_load *load = calloc(1, sizeof *load + config->clients * sizeof load->clients[0]);
    pthread_condattr_t monotonic;
    if (!load)
        return BV_E_NOMEM;
    load->config = *config;
    snprintf(load->run,
             sizeof load->run,
             "t%llx",
             (unsigned long long)bv_random_below(&system_env, UINT64_C(1) << 40));
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&load->lock, NULL);
    pthread_cond_init(&load->stops, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < config->clients; i++)
        rc = client_start(load, i, error);
    if (rc < 0) {
        torture_load_stop(&load, 0);
        return rc;
    }
    *ret_load = load;
    return 0;
}
