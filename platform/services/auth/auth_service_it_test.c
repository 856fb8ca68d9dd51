/* The auth service as a process, on a real PostgreSQL. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth_service.h"
#include "bv/test_service.h"
#include "bv/test_stack.h"

#define PASSWORD "correct horse battery"
#define CLIENT_SECRET "a-secret-of-the-lab-0123456789"
#define FORM "Content-Type: application/x-www-form-urlencoded"
#define JSON "Content-Type: application/json"
#define RACERS 8
#define ROUNDS 6
#define HASHERS 12

struct bench {
    char *database; /* owned */
    struct bv_test_service service;
    struct bv_test_answer answer;
};

static void launch(struct bv_test_service *service, const char *database)
{
    bv_test_service_start(service,
                          &auth_spec,
                          (const char *const[]){"--pg-url",
                                                database,
                                                "--issuer",
                                                "http://auth.example",
                                                "--demo-password",
                                                PASSWORD,
                                                "--demo-client-secret",
                                                CLIENT_SECRET,
                                                "--keys-reload",
                                                "200ms",
                                                NULL});
}

static void start(struct bv_test_service *service, const char *database)
{
    launch(service, database);
    bv_test_service_await_ready(service);
}

static void open_bench(struct bench *bench)
{
    *bench = (struct bench){.database = bv_test_database("auth")};
    start(&bench->service, bench->database);
}

static void close_bench(struct bench *bench)
{
    bv_test_service_stop(&bench->service);
    bv_test_answer_release(&bench->answer);
    free(bench->database);
}

static int post_json(struct bench *bench, const char *path, const char *body)
{
    return bv_test_http(
        &bench->service, "POST", path, (const char *const[]){JSON, NULL}, body, &bench->answer);
}

static int login(struct bench *bench, const char *name, const char *password)
{
    char body[1024];
    snprintf(body, sizeof(body), "{\"username\":\"%s\",\"password\":\"%s\"}", name, password);
    return post_json(bench, "/v1/login", body);
}

/* Logs in and copies both tokens; either may be NULL. */
static void must_login(struct bench *bench,
                       const char *name,
                       char access[2048],
                       char refresh[AUTH_REFRESH_TEXT])
{
    cr_assert_eq(login(bench, name, PASSWORD), 200, "%s", bench->answer.body.data);
    if (access)
        snprintf(access, 2048, "%s", bv_test_text(&bench->answer, "/accessToken"));
    if (refresh)
        snprintf(refresh, AUTH_REFRESH_TEXT, "%s", bv_test_text(&bench->answer, "/refreshToken"));
}

static int me(const struct bv_test_service *service, const char *access, struct bv_test_answer *out)
{
    char field[2200];
    snprintf(field, sizeof(field), "Authorization: Bearer %s", access);
    return bv_test_http(service, "GET", "/v1/me", (const char *const[]){field, NULL}, NULL, out);
}

static int refresh_at(const struct bv_test_service *service,
                      const char *token,
                      const char *scope,
                      struct bv_test_answer *out)
{
    char body[512];
    snprintf(body, sizeof(body), "grant_type=refresh_token&refresh_token=%s%s", token, scope);
    return bv_test_http(
        service, "POST", "/oauth2/token", (const char *const[]){FORM, NULL}, body, out);
}

static void expect_oauth_error(struct bv_test_answer *answer, int status, const char *code)
{
    cr_expect_eq(answer->status, status, "%d %s", answer->status, answer->body.data);
    cr_expect_str_eq(bv_test_text(answer, "/error"), code, "%s", answer->body.data);
    cr_expect_str_eq(bv_test_field(answer, "Cache-Control"), "no-store");
}

/* ---- users and login ---- */

Test(auth_it, login_gives_tokens_that_me_accepts)
{
    struct bench bench;
    open_bench(&bench);
    cr_assert_eq(
        post_json(&bench, "/v1/users", "{\"username\":\"ada\",\"password\":\"" PASSWORD "\"}"),
        201,
        "%s",
        bench.answer.body.data);
    char id[64], access[2048];
    snprintf(id, sizeof(id), "%s", bv_test_text(&bench.answer, "/userId"));
    cr_expect_null(strstr(bench.answer.body.data, "correct"), "no answer repeats a password");
    must_login(&bench, "ada", access, NULL);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/tokenType"), "Bearer");
    cr_expect_str_eq(bv_test_text(&bench.answer, "/expiresIn"), "900");
    cr_expect_str_eq(bv_test_text(&bench.answer, "/scope"), "products:read orders:write");
    cr_expect_str_eq(bv_test_field(&bench.answer, "Cache-Control"), "no-store");
    cr_assert_eq(me(&bench.service, access, &bench.answer), 200);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/userId"), id);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/username"), "ada");
    cr_expect_str_eq(bv_test_text(&bench.answer, "/tenantId"), "default");
    access[strlen(access) - 8] ^= 1; /* within the signature */
    cr_expect_eq(me(&bench.service, access, &bench.answer), 401);
    cr_expect_not_null(strstr(bv_test_field(&bench.answer, "WWW-Authenticate"), "Bearer"),
                       "who refuses says why");
    cr_expect_eq(bv_test_sql_int(bench.database,
                                 "SELECT count(*) FROM users WHERE password_hash LIKE '$scrypt$%'"),
                 5,
                 "four of the demo, and ada");
    close_bench(&bench);
}

/* Drops what names the one request: the trace id. */
static void neutral(const struct bv_test_answer *answer, char out[1024])
{
    snprintf(out, 1024, "%s", answer->body.data);
    char *at = strstr(out, "\"traceId\":\"");
    cr_assert_not_null(at, "%s", out);
    memset(at + strlen("\"traceId\":\""), 'x', 32);
}

Test(auth_it, wrong_password_and_unknown_user_answer_alike)
{
    struct bench bench;
    char wrong[1024], unknown[1024];
    open_bench(&bench);
    cr_expect_eq(login(&bench, "customer", "not the password"), 401);
    neutral(&bench.answer, wrong);
    cr_expect_eq(login(&bench, "nobody-here", "not the password"), 401);
    neutral(&bench.answer, unknown);
    cr_expect_str_eq(wrong, unknown);
    close_bench(&bench);
}

Test(auth_it, guessing_at_a_name_is_slowed_down_known_or_not)
{
    static const char *const names[] = {"customer", "nobody-here"};
    struct bench bench = {.database = bv_test_database("auth")};
    bv_test_service_start(&bench.service,
                          &auth_spec,
                          (const char *const[]){"--pg-url",
                                                bench.database,
                                                "--issuer",
                                                "http://auth.example",
                                                "--demo-password",
                                                PASSWORD,
                                                "--login-failures",
                                                "3",
                                                "--login-refill",
                                                "1h",
                                                NULL});
    bv_test_service_await_ready(&bench.service);
    for (size_t i = 0; i < BV_COUNT(names); i++) {
        for (int j = 0; j < 3; j++)
            cr_expect_eq(login(&bench, names[i], "not the password"), 401);
        cr_expect_eq(login(&bench, names[i], "not the password"), 429);
        cr_expect_not_null(bv_test_field(&bench.answer, "Retry-After"));
        cr_expect_eq(login(&bench, names[i], PASSWORD), 429, "no hint that this one is right");
    }
    cr_expect_eq(login(&bench, "other-customer", PASSWORD), 200);
    close_bench(&bench);
}

struct caller {
    pthread_t thread;
    const struct bv_test_service *service;
    struct bv_test_answer answer;
};

static void *call_login(void *argument)
{
    struct caller *caller = argument;
    bv_test_http(caller->service,
                 "POST",
                 "/v1/login",
                 (const char *const[]){JSON, NULL},
                 "{\"username\":\"customer\",\"password\":\"not the right one\"}",
                 &caller->answer);
    return NULL;
}

Test(auth_it, a_login_that_waited_too_long_for_a_thread_gets_429)
{
    struct bench bench = {.database = bv_test_database("auth")};
    struct caller callers[HASHERS] = {0};
    int refused = 0;
    bv_test_service_start(&bench.service,
                          &auth_spec,
                          (const char *const[]){"--pg-url",
                                                bench.database,
                                                "--issuer",
                                                "http://auth.example",
                                                "--hash-threads",
                                                "1",
                                                "--hash-wait",
                                                "10ms",
                                                NULL});
    bv_test_service_await_ready(&bench.service);
    for (size_t i = 0; i < HASHERS; i++) {
        callers[i].service = &bench.service;
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, call_login, &callers[i]), 0);
    }
    for (size_t i = 0; i < HASHERS; i++) {
        pthread_join(callers[i].thread, NULL);
        bool late = callers[i].answer.status == 429;
        cr_expect(late || callers[i].answer.status == 401, "%s", callers[i].answer.body.data);
        if (late)
            cr_expect_not_null(bv_test_field(&callers[i].answer, "Retry-After"));
        refused += late;
        bv_test_answer_release(&callers[i].answer);
    }
    cr_expect_gt(refused, 0);
    close_bench(&bench);
}

#define U6 "\u00e4\u00f6\u00fc\u00c4\u00d6\u00dc" /* 12 bytes */
#define U24 U6 U6 U6 U6
#define U128 U24 U24 U24 U24 U24 U6 "xy"

Test(auth_it, lengths_are_counted_in_characters)
{
    struct bench bench;
    open_bench(&bench);
    cr_expect_eq(post_json(&bench, "/v1/users", "{\"username\":\"ada\",\"password\":\"" U128 "\"}"),
                 201,
                 "%s",
                 bench.answer.body.data);
    cr_expect_eq(login(&bench, "ada", U128), 200, "%s", bench.answer.body.data);
    cr_expect_eq(login(&bench, "ada", U24 U24 U24 U24 U24 U6 "xz"), 401, "the last one counts");
    cr_expect_eq(login(&bench, U24 U24 U6 U6, PASSWORD), 401, "may be asked for, and is nobody");
    cr_expect_eq(login(&bench, U24 U24 U6 U6 U6, PASSWORD), 422);
    close_bench(&bench);
}

Test(auth_it, name_is_taken_once_and_faults_have_a_pointer)
{
    static const struct {
        const char *body, *pointer;
        int status;
    } rows[] = {
        {"{\"username\":\"customer\",\"password\":\"" PASSWORD "\"}",            "",          409},
        {"{\"username\":\"x\",\"password\":\"" PASSWORD "\"}",                   "/username", 422},
        {"{\"username\":\"Upper\",\"password\":\"" PASSWORD "\"}",               "/username", 422},
        {"{\"username\":\"eve\",\"password\":\"short\"}",                        "/password", 422},
        {"{\"username\":\"eve\",\"password\":\"" U6 "\"}",                       "/password", 422},
        {"{\"username\":\"eve\",\"password\":\"" U128 "x\"}",                    "/password", 422},
        {"{\"username\":\"eve\"}",                                               "/password", 422},
        {"{\"username\":\"eve\",\"password\":\"" PASSWORD "\",\"scope\":\"*\"}", "/scope",    422},
        {"{\"username\":",                                                       "",          400},
    };
    struct bench bench;
    open_bench(&bench);
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_expect_eq(post_json(&bench, "/v1/users", rows[i].body),
                     rows[i].status,
                     "%s: %s",
                     rows[i].body,
                     bench.answer.body.data);
        cr_expect_str_eq(bv_test_text(&bench.answer, "/errors/0/pointer"),
                         rows[i].pointer,
                         "%s: %s",
                         rows[i].body,
                         bench.answer.body.data);
        cr_expect_str_eq(bv_test_field(&bench.answer, "Content-Type"), "application/problem+json");
    }
    close_bench(&bench);
}

/* ---- refresh tokens ---- */

Test(auth_it, refresh_rotates_and_reuse_revokes_the_family)
{
    struct bench bench;
    char first[AUTH_REFRESH_TEXT], second[AUTH_REFRESH_TEXT], other[AUTH_REFRESH_TEXT];
    char access[2048];
    open_bench(&bench);
    must_login(&bench, "customer", NULL, other); /* a family of its own */
    must_login(&bench, "customer", NULL, first);
    cr_assert_eq(refresh_at(&bench.service, first, "", &bench.answer), 200);
    snprintf(second, sizeof(second), "%s", bv_test_text(&bench.answer, "/refresh_token"));
    snprintf(access, sizeof(access), "%s", bv_test_text(&bench.answer, "/access_token"));
    cr_expect_str_neq(second, first);
    cr_expect_eq(strlen(second), AUTH_REFRESH_TEXT - 2, "%s", second);
    cr_expect_eq(me(&bench.service, access, &bench.answer), 200);
    refresh_at(&bench.service, first, "", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_grant");
    refresh_at(&bench.service, second, "", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_grant");
    cr_expect_eq(refresh_at(&bench.service, other, "", &bench.answer), 200, "another session ends");
    refresh_at(&bench.service, "rt_made-up", "", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_grant");
    close_bench(&bench);
}

Test(auth_it, refresh_narrows_scope_and_a_refused_wish_costs_no_session)
{
    struct bench bench;
    char refresh[AUTH_REFRESH_TEXT];
    open_bench(&bench);
    must_login(&bench, "customer", NULL, refresh);
    refresh_at(&bench.service, refresh, "&scope=keys:rotate", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_scope");
    refresh_at(&bench.service, refresh, "&scope=%FF", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_scope");
    refresh_at(&bench.service, refresh, "&scope=orders:write%00keys:rotate", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_scope");
    refresh_at(&bench.service, refresh, "&scope=orders:write&scope=orders:write", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_request");
    cr_assert_eq(refresh_at(&bench.service, refresh, "&scope=orders:write", &bench.answer),
                 200,
                 "the token was not spent: %s",
                 bench.answer.body.data);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/scope"), "orders:write");
    close_bench(&bench);
}

struct racer {
    pthread_t thread;
    const struct bv_test_service *service;
    pthread_barrier_t *barrier;
    const char *token;
    struct bv_test_answer answer;
};

static void *race(void *argument)
{
    struct racer *racer = argument;
    pthread_barrier_wait(racer->barrier);
    refresh_at(racer->service, racer->token, "", &racer->answer);
    return NULL;
}

static void run_race(struct racer *racers, size_t count)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        racers[i].barrier = &barrier;
        cr_assert_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(racers[i].thread, NULL);
    pthread_barrier_destroy(&barrier);
}

Test(auth_it, one_of_many_presenters_of_a_refresh_token_wins, .timeout = 150)
{
    struct bench bench;
    struct bv_test_service replica;
    open_bench(&bench);
    start(&replica, bench.database);
    for (int round = 0; round < ROUNDS; round++) {
        struct racer racers[RACERS] = {0};
        char refresh[AUTH_REFRESH_TEXT];
        int won = 0;
        must_login(&bench, "customer", NULL, refresh);
        for (size_t i = 0; i < RACERS; i++) {
            racers[i].service = i % 2 ? &replica : &bench.service;
            racers[i].token = refresh;
        }
        run_race(racers, RACERS);
        for (size_t i = 0; i < RACERS; i++) {
            if (racers[i].answer.status == 200)
                won++;
            else
                expect_oauth_error(&racers[i].answer, 400, "invalid_grant");
            bv_test_answer_release(&racers[i].answer);
        }
        cr_assert_eq(won, 1, "round %d: %d winners", round, won);
    }
    bv_test_service_stop(&replica);
    close_bench(&bench);
}

static bool insert_sleeps(void *argument)
{
    return bv_test_sql_int(argument,
                           "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                           "current_database() AND wait_event = 'PgSleep'") > 0;
}

/* The thief presents a used token while a rotation of the fresh one has placed its successor, not
 * committed: nothing of the family is good afterwards. */
Test(auth_it, revoking_a_family_leaves_no_token_that_is_made_meanwhile)
{
    struct bench bench;
    struct bv_test_service replica; /* with connections of its own */
    char used[AUTH_REFRESH_TEXT], fresh[AUTH_REFRESH_TEXT];
    pthread_barrier_t barrier;
    open_bench(&bench);
    start(&replica, bench.database);
    must_login(&bench, "customer", NULL, used);
    cr_assert_eq(refresh_at(&bench.service, used, "", &bench.answer), 200);
    snprintf(fresh, sizeof(fresh), "%s", bv_test_text(&bench.answer, "/refresh_token"));
    bv_test_sql(bench.database,
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM "
                "pg_sleep(0.5); RETURN NULL; END';"
                "CREATE TRIGGER slow AFTER INSERT ON refresh_tokens FOR EACH ROW EXECUTE FUNCTION "
                "slow()");
    pthread_barrier_init(&barrier, NULL, 1);
    struct racer rotation = {.service = &bench.service, .barrier = &barrier, .token = fresh};
    cr_assert_eq(pthread_create(&rotation.thread, NULL, race, &rotation), 0);
    cr_assert(bv_test_await(insert_sleeps, bench.database));
    refresh_at(&replica, used, "", &bench.answer);
    expect_oauth_error(&bench.answer, 400, "invalid_grant");
    pthread_join(rotation.thread, NULL);
    pthread_barrier_destroy(&barrier);
    cr_expect_eq(rotation.answer.status, 200, "it came first");
    cr_expect_eq(bv_test_sql_int(bench.database,
                                 "SELECT count(*) FROM refresh_tokens WHERE revoked_at IS NULL"),
                 0);
    bv_test_answer_release(&rotation.answer);
    bv_test_service_stop(&replica);
    close_bench(&bench);
}

Test(auth_it, restart_keeps_sessions_and_keys)
{
    struct bench bench;
    char access[2048], refresh[AUTH_REFRESH_TEXT];
    open_bench(&bench);
    must_login(&bench, "customer", access, refresh);
    bv_test_service_stop(&bench.service);
    start(&bench.service, bench.database);
    cr_expect_eq(me(&bench.service, access, &bench.answer), 200);
    cr_expect_eq(refresh_at(&bench.service, refresh, "", &bench.answer), 200);
    cr_expect_eq(bv_test_sql_int(bench.database, "SELECT count(*) FROM signing_keys"), 1);
    close_bench(&bench);
}

/* ---- clients ---- */

static int client_token(struct bench *bench, const char *basic, const char *body)
{
    char field[512], encoded[400];
    encoded[bv_base64_encode(basic, strlen(basic), encoded)] = '\0';
    snprintf(field, sizeof(field), "Authorization: Basic %s", encoded);
    return bv_test_http(&bench->service,
                        "POST",
                        "/oauth2/token",
                        (const char *const[]){FORM, field, NULL},
                        body,
                        &bench->answer);
}

/* What boot still owes then ends with the pool. */
Test(auth_it, stops_cleanly_when_the_database_never_answered)
{
    struct bv_test_service service = {0};
    char url[64];
    snprintf(url, sizeof(url), "postgresql://x@127.0.0.1:%d/x", bv_test_free_port());
    launch(&service, url);
    bv_test_service_await_log(&service, "pg.connect_failed");
    bv_test_service_stop(&service);
}

Test(auth_it, client_gets_a_token_of_the_scopes_it_asks)
{
    struct bench bench;
    char access[2048];
    open_bench(&bench);
    cr_assert_eq(client_token(&bench, "lab:" CLIENT_SECRET, "grant_type=client_credentials"), 200);
    cr_expect_not_null(strstr(bv_test_text(&bench.answer, "/scope"), "products:write"));
    cr_expect_str_eq(bv_test_text(&bench.answer, "/refresh_token"), "", "RFC 6749, 4.4.3");
    cr_assert_eq(
        client_token(&bench,
                     "lab:" CLIENT_SECRET,
                     "grant_type=client_credentials&scope=webhooks%3Amanage+orders%3Awrite"),
        200);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/scope"), "webhooks:manage orders:write");
    snprintf(access, sizeof(access), "%s", bv_test_text(&bench.answer, "/access_token"));
    cr_assert_eq(me(&bench.service, access, &bench.answer), 200);
    cr_expect_str_eq(bv_test_text(&bench.answer, "/clientId"), "lab");
    cr_expect_str_eq(bv_test_text(&bench.answer, "/scope"), "webhooks:manage orders:write");
    client_token(
        &bench, "partner:" CLIENT_SECRET, "grant_type=client_credentials&scope=products:write");
    expect_oauth_error(&bench.answer, 400, "invalid_scope");
    client_token(&bench, "lab:" CLIENT_SECRET, "grant_type=password");
    expect_oauth_error(&bench.answer, 400, "unsupported_grant_type");
    client_token(&bench, "lab:" CLIENT_SECRET, "scope=products:write");
    expect_oauth_error(&bench.answer, 400, "invalid_request");
    close_bench(&bench);
}

Test(auth_it, wrong_secret_is_invalid_client)
{
    static const char unknown_client[] = "nobody:" CLIENT_SECRET;
    const char *const wrong[] = {"lab:a wrong secret", "lab:", "lab", unknown_client, ":"};
    struct bench bench;
    open_bench(&bench);
    for (size_t i = 0; i < BV_COUNT(wrong); i++) {
        client_token(&bench, wrong[i], "grant_type=client_credentials");
        expect_oauth_error(&bench.answer, 401, "invalid_client");
        const char *challenge = bv_test_field(&bench.answer, "WWW-Authenticate");
        cr_expect(challenge && strncmp(challenge, "Basic realm=", 12) == 0, "%s", wrong[i]);
    }
    close_bench(&bench);
}

static bool is_swept(void *argument)
{
    return bv_test_sql_int(argument, "SELECT count(*) FROM refresh_tokens") == 3 &&
           bv_test_sql_int(argument, "SELECT count(*) FROM signing_keys") == 2;
}

/* A family stays whole until its last token has expired, and a key until no token is of it. */
Test(auth_it, what_no_token_needs_is_swept)
{
    struct bench bench = {.database = bv_test_database("auth")};
    bv_test_sql(bench.database,
                "INSERT INTO users VALUES (gen_random_uuid(), 'default', 'ada', 'x', '');"
                "INSERT INTO refresh_tokens SELECT 'old-' || n, "
                "'01936f40-11aa-7d20-9c3b-000000000001', user_id, '', now(), now() - interval '2 "
                "hours' FROM users, generate_series(1, 4) n;"
                "INSERT INTO refresh_tokens SELECT 'live-' || n, "
                "'01936f40-11aa-7d20-9c3b-000000000002', user_id, '', now(), now() + interval '2 "
                "hours' - interval '4 hours' * (n % 2) FROM users, generate_series(1, 3) n;"
                "INSERT INTO signing_keys SELECT 'key-' || n, 'EdDSA', 'x', now(), now() - "
                "interval '2 days' FROM generate_series(1, 3) n;"
                "UPDATE signing_keys SET retired_at = now() - interval '2 hours' WHERE kid = "
                "'key-1'");
    start(&bench.service, bench.database);
    cr_expect(bv_test_await(is_swept, bench.database),
              "%lld tokens, %lld keys",
              (long long)bv_test_sql_int(bench.database, "SELECT count(*) FROM refresh_tokens"),
              (long long)bv_test_sql_int(bench.database, "SELECT count(*) FROM signing_keys"));
    cr_expect_eq(bv_test_sql_int(bench.database,
                                 "SELECT count(*) FROM refresh_tokens WHERE token_hash LIKE "
                                 "'live-%'"),
                 3);
    close_bench(&bench);
}

/* ---- keys ---- */

static int rotate(struct bench *bench, const char *access)
{
    char field[2200];
    snprintf(field, sizeof(field), "Authorization: Bearer %s", access);
    return bv_test_http(&bench->service,
                        "POST",
                        "/v1/keys/rotate",
                        (const char *const[]){field, NULL},
                        NULL,
                        &bench->answer);
}

struct jwks_wish {
    const struct bv_test_service *service;
    const char *kid;
};

static bool jwks_has(void *argument)
{
    struct jwks_wish *wish = argument;
    struct bv_test_answer answer = {0};
    bool has =
        bv_test_http(wish->service, "GET", "/.well-known/jwks.json", NULL, NULL, &answer) == 200 &&
        strstr(answer.body.data, wish->kid) && !strstr(answer.body.data, "\"d\"");
    bv_test_answer_release(&answer);
    return has;
}

Test(auth_it, rotation_keeps_old_tokens_and_reaches_other_replicas)
{
    struct bench bench;
    struct bv_test_service replica;
    char admin[2048], fresh[2048], kid[128], previous[128];
    open_bench(&bench);
    start(&replica, bench.database);
    must_login(&bench, "customer", fresh, NULL);
    cr_expect_eq(rotate(&bench, fresh), 403, "a customer rotates no keys");
    must_login(&bench, "admin", admin, NULL);
    cr_assert_eq(rotate(&bench, admin), 200, "%s", bench.answer.body.data);
    snprintf(kid, sizeof(kid), "%s", bv_test_text(&bench.answer, "/kid"));
    snprintf(previous, sizeof(previous), "%s", bv_test_text(&bench.answer, "/previousKid"));
    cr_expect_str_neq(kid, previous);
    cr_expect(jwks_has(&(struct jwks_wish){&bench.service, kid}));
    cr_expect(jwks_has(&(struct jwks_wish){&bench.service, previous}));
    cr_expect_eq(me(&bench.service, admin, &bench.answer), 200, "tokens of the old key hold");
    must_login(&bench, "customer", fresh, NULL);
    cr_expect(bv_test_await(jwks_has, &(struct jwks_wish){&replica, kid}));
    cr_expect_eq(me(&replica, fresh, &bench.answer), 200, "%s", bench.answer.body.data);
    cr_expect_eq(me(&replica, admin, &bench.answer), 200, "%s", bench.answer.body.data);
    bv_test_service_stop(&replica);
    close_bench(&bench);
}

struct rotation {
    struct bench *bench;
    const char *access;
};

static bool may_rotate(void *argument)
{
    const struct rotation *rotation = argument;
    return rotate(rotation->bench, rotation->access) == 200;
}

/* A retired key is kept until its last token has expired; there is room for so many. */
Test(auth_it, a_rotation_that_would_drop_a_needed_key_is_refused)
{
    struct bench bench = {.database = bv_test_database("auth")};
    char admin[2048];
    bv_test_service_start(&bench.service,
                          &auth_spec,
                          (const char *const[]){"--pg-url",
                                                bench.database,
                                                "--issuer",
                                                "http://auth.example",
                                                "--demo-password",
                                                PASSWORD,
                                                "--signing-alg",
                                                "EdDSA",
                                                NULL});
    bv_test_service_await_ready(&bench.service);
    must_login(&bench, "admin", admin, NULL);
    for (int i = 1; i < 16; i++)
        cr_assert_eq(rotate(&bench, admin), 200, "%d: %s", i, bench.answer.body.data);
    cr_expect_eq(rotate(&bench, admin), 429, "%s", bench.answer.body.data);
    cr_expect_eq(me(&bench.service, admin, &bench.answer), 200, "%s", bench.answer.body.data);
    bv_test_sql(bench.database,
                "UPDATE signing_keys SET retired_at = now() - interval '1 day' WHERE kid = (SELECT "
                "kid FROM signing_keys ORDER BY retired_at DESC NULLS LAST LIMIT 1)");
    cr_expect(bv_test_await(may_rotate, &(struct rotation){&bench, admin}), "one is not needed");
    close_bench(&bench);
}

/* A replica signs with the key that it knows until it has heard of the next. */
Test(auth_it, a_retired_key_is_kept_for_those_who_hear_of_it_late)
{
    struct bench bench;
    char admin[2048], previous[128];
    open_bench(&bench);
    must_login(&bench, "admin", admin, NULL);
    cr_assert_eq(rotate(&bench, admin), 200, "%s", bench.answer.body.data);
    snprintf(previous, sizeof(previous), "%s", bv_test_text(&bench.answer, "/previousKid"));
    bv_test_service_stop(&bench.service);
    bv_test_sql(bench.database,
                "UPDATE signing_keys SET retired_at = now() - interval '70 s' WHERE retired_at IS "
                "NOT NULL");
    bv_test_service_start(&bench.service,
                          &auth_spec,
                          (const char *const[]){"--pg-url",
                                                bench.database,
                                                "--issuer",
                                                "http://auth.example",
                                                "--access-ttl",
                                                "1s",
                                                "--keys-reload",
                                                "5m",
                                                NULL});
    bv_test_service_await_ready(&bench.service);
    cr_expect(jwks_has(&(struct jwks_wish){&bench.service, previous}));
    close_bench(&bench);
}

struct holder {
    pthread_t thread;
    const struct bench *bench;
    int number;
};

static void *hold_keys(void *argument)
{
    bv_test_sql(
        ((struct holder *)argument)->bench->database,
        "DO $$ BEGIN LOCK TABLE signing_keys IN ACCESS EXCLUSIVE MODE; LOOP EXIT WHEN EXISTS "
        "(SELECT 1 FROM clients WHERE client_id = 'go'); PERFORM pg_sleep(0.002); END LOOP; "
        "END $$");
    return NULL;
}

static void *register_one(void *argument)
{
    struct holder *holder = argument;
    struct bv_test_answer answer = {0};
    char body[128];
    snprintf(body,
             sizeof(body),
             "{\"username\":\"user-%d\",\"password\":\"" PASSWORD "\"}",
             holder->number);
    bv_test_http(&holder->bench->service,
                 "POST",
                 "/v1/users",
                 (const char *const[]){JSON, NULL},
                 body,
                 &answer);
    bv_test_answer_release(&answer);
    return NULL;
}

static bool load_waits(void *argument)
{
    return bv_test_sql_int(argument,
                           "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                           "current_database() AND application_name = 'auth' AND wait_event_type = "
                           "'Lock'") > 0;
}

static bool hashing_began(void *argument)
{
    const struct bench *bench = argument;
    char path[64];
    unsigned long long ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)bench->service.pid);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_eq(
        fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu", &ticks), 1);
    fclose(file);
    static unsigned long long first;
    first = first ? first : ticks;
    return ticks > first + 4;
}

struct rotator {
    pthread_t thread;
    struct bench *bench;
    const char *access;
};

static void *rotate_one(void *argument)
{
    struct rotator *rotator = argument;
    rotate(rotator->bench, rotator->access);
    return NULL;
}

/* A load that is under way when the rotation begins knows nothing of the new key. The table is held
 * so that a load waits, and the workers are busy so that it comes back before the key is made. */
Test(auth_it, rotation_is_not_answered_by_an_earlier_load)
{
    struct bench bench;
    struct holder others[HASHERS], holder = {.bench = &bench};
    char admin[2048];
    open_bench(&bench);
    must_login(&bench, "admin", admin, NULL);
    cr_assert_eq(pthread_create(&holder.thread, NULL, hold_keys, &holder), 0);
    cr_assert(bv_test_await(load_waits, bench.database));
    hashing_began(&bench);
    for (int i = 0; i < HASHERS; i++) {
        others[i] = (struct holder){.bench = &bench, .number = i};
        cr_assert_eq(pthread_create(&others[i].thread, NULL, register_one, &others[i]), 0);
    }
    cr_assert(bv_test_await(hashing_began, &bench));
    struct rotator rotator = {.bench = &bench, .access = admin};
    struct bv_test_answer other = {0};
    cr_assert_eq(pthread_create(&rotator.thread, NULL, rotate_one, &rotator), 0);
    for (int i = 0; i < 3; i++) /* round trips after it was sent */
        cr_expect_eq(bv_test_http(&bench.service, "GET", "/healthz", NULL, NULL, &other), 200);
    bv_test_answer_release(&other);
    bv_test_sql(bench.database,
                "INSERT INTO clients (client_id, secret_hash, scope) VALUES ('go', '', '')");
    pthread_join(rotator.thread, NULL);
    cr_expect_eq(bench.answer.status, 200, "%s", bench.answer.body.data);
    cr_expect_str_neq(bv_test_text(&bench.answer, "/kid"),
                      bv_test_text(&bench.answer, "/previousKid"));
    char kid[128];
    snprintf(kid, sizeof(kid), "%s", bv_test_text(&bench.answer, "/kid"));
    cr_expect(jwks_has(&(struct jwks_wish){&bench.service, kid}));
    for (int i = 0; i < HASHERS; i++)
        pthread_join(others[i].thread, NULL);
    pthread_join(holder.thread, NULL);
    close_bench(&bench);
}

Test(auth_it, replicas_that_start_at_once_agree_on_one_key)
{
    struct bench bench = {.database = bv_test_database("auth")};
    struct bv_test_service replica;
    char access[2048];
    launch(&bench.service, bench.database);
    launch(&replica, bench.database);
    bv_test_service_await_ready(&bench.service);
    bv_test_service_await_ready(&replica);
    cr_expect_eq(bv_test_sql_int(bench.database, "SELECT count(*) FROM signing_keys"), 1);
    must_login(&bench, "customer", access, NULL);
    cr_expect_eq(me(&replica, access, &bench.answer), 200, "%s", bench.answer.body.data);
    bv_test_service_stop(&replica);
    close_bench(&bench);
}
