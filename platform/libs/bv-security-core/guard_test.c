#include "bv/guard.h"
#include "fake_peer.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define NOW_SLACK_S 300
#define WAIT_MS 10000

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

/* An issuer with two keys, of which it publishes one, or both from the second time on. */
struct bench {
    struct bv_loop *loop;
    struct bv_httpc *client;
    struct fake_peer *issuer;
    struct bv_guard *guard;
    struct bv_arena *arena;
    struct bv_jose_key *old, *fresh;
    struct bv_timer *deadline;
    char issuer_url[128];
    size_t answers, answers_wanted;
};
static struct bench bench;
static char both_keys[4096], old_key[4096];

static void answered(void *argument)
{
    (void)argument;
    if (++bench.answers == bench.answers_wanted)
        bv_loop_stop(bench.loop);
}

static void too_late(void *argument)
{
    (void)argument;
    cr_assert_fail("the guard did not hear %zu answers", bench.answers_wanted);
}

/* Runs until the guard has heard so many answers in all, bad ones included. */
static void await_answers(size_t count)
{
    bench.answers_wanted = count;
    if (bench.answers < count)
        cr_assert_eq(bv_loop_run(bench.loop), 0);
    cr_assert_eq(bench.answers, count);
}

static void add_copy(struct bv_jose_keys *keys, const struct bv_jose_key *key)
{
    struct bv_jose_key *copy = NULL;
    struct bv_buf pem = {.max = 16384};
    cr_assert_eq(bv_jose_key_to_pem(key, &pem), 0);
    cr_assert_eq(bv_jose_key_from_pem(bv_buf_view(&pem), BV_JOSE_EDDSA, BV_BYTES_NONE, &copy, NULL),
                 0);
    cr_assert_eq(bv_jose_keys_add(keys, &copy), 0);
    bv_buf_release(&pem);
}

static void
jwks_answer(char out[4096], const struct bv_jose_key *first, const struct bv_jose_key *second)
{
    struct bv_jose_keys *keys = NULL;
    struct bv_buf jwks = {.max = 3000};
    struct bv_json_writer w = bv_json_writer(&jwks);
    cr_assert_eq(bv_jose_keys_open(4, &keys), 0);
    add_copy(keys, first);
    if (second)
        add_copy(keys, second);
    cr_assert_eq(bv_jose_keys_to_jwks(keys, &w), 0);
    snprintf(out,
             4096,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
             jwks.size,
             BV_ARG(bv_buf_view(&jwks)));
    bv_jose_keys_close(&keys);
    bv_buf_release(&jwks);
}

static void begin(void)
{
    static struct fake_answer script[] = {
        {old_key,   FAKE_KEEP},
        {both_keys, FAKE_KEEP}
    };
    bench = (struct bench){0};
    cr_assert_eq(bv_jose_key_generate(BV_JOSE_EDDSA, &bench.old, NULL), 0);
    cr_assert_eq(bv_jose_key_generate(BV_JOSE_EDDSA, &bench.fresh, NULL), 0);
    jwks_answer(old_key, bench.old, NULL);
    jwks_answer(both_keys, bench.old, bench.fresh);
    cr_assert_eq(bv_loop_open(&env, &bench.loop), 0);
    cr_assert_eq(bv_arena_open(8 << 20, &bench.arena), 0);
    cr_assert_eq(bv_timer_open(bench.loop, too_late, NULL, &bench.deadline), 0);
    bv_timer_set(bench.deadline, WAIT_MS, 0);
    cr_assert_eq(fake_peer_open(bench.loop, script, BV_COUNT(script), &bench.issuer), 0);
    cr_assert_eq(bv_httpc_open(bench.loop, &bv_httpc_config_default, &bench.client), 0);
    snprintf(bench.issuer_url,
             sizeof bench.issuer_url,
             "http://127.0.0.1:%d",
             fake_peer_port(bench.issuer));
    const struct bv_guard_config config = {bench.issuer_url, "bitvelocity", 30000, 3600000, 16};
    cr_assert_eq(bv_guard_open(bench.loop, bench.client, &config, NULL, &bench.guard), 0);
    bv_guard_on_answer(bench.guard, answered, NULL);
}

static void end(void)
{
    bv_guard_close(&bench.guard);
    bv_httpc_close(&bench.client);
    fake_peer_close(&bench.issuer);
    bv_timer_close(&bench.deadline);
    bv_loop_close(&bench.loop);
    bv_arena_close(&bench.arena);
    bv_jose_key_free(&bench.old);
    bv_jose_key_free(&bench.fresh);
}

static struct bv_bytes token_of(const struct bv_jose_key *key, int64_t expires_in_s)
{
    struct bv_buf token = {.max = BV_JWT_BYTES_MAX};
    const int64_t now_s = bv_wall_us(&env) / 1000000;
    const struct bv_claims claims = {.issuer = bv_bytes_of(bench.issuer_url),
                                     .subject = BV_BYTES("user-1"),
                                     .audience = BV_BYTES("bitvelocity"),
                                     .issued_at_s = now_s,
                                     .expires_at_s = now_s + expires_in_s};
    cr_assert_eq(bv_jwt_sign(key, &claims, &token), 0);
    const struct bv_bytes copy = bv_arena_copy(bench.arena, bv_buf_view(&token));
    bv_buf_release(&token);
    return copy;
}

/* A token whose header is of our making; its signature is never looked at. */
static struct bv_bytes token_with(const char *header)
{
    char *token = bv_arena_alloc(bench.arena, 512);
    const size_t size = bv_base64url_encode(header, strlen(header), token);
    memcpy(token + size, ".e30.AAAA", 10);
    return bv_bytes_of(token);
}

static int ask(struct bv_bytes token)
{
    struct bv_principal principal = {0};
    struct bv_error error = {0};
    return bv_guard_authenticate(bench.guard, bench.arena, token, &principal, &error);
}

Test(guard, who_comes_before_the_first_keys_waits_for_them, .init = begin, .fini = end)
{
    const struct bv_bytes token = token_of(bench.old, NOW_SLACK_S);
    cr_expect_eq(ask(token), BV_HTTP_LATER);
    await_answers(1);
    cr_expect_eq(ask(token), 0);
    cr_expect_eq(ask(token_of(bench.old, -60)), BV_E_UNAUTHENTICATED);
}

Test(guard, a_new_key_is_fetched_once_for_all_who_wait_for_it, .init = begin, .fini = end)
{
    await_answers(1);
    for (int i = 0; i < 20; i++)
        cr_expect_eq(ask(token_of(bench.fresh, NOW_SLACK_S + i)), BV_HTTP_LATER);
    cr_expect_eq(ask(token_of(bench.old, NOW_SLACK_S)), 0, "the others do not wait");
    await_answers(2);
    cr_expect_eq(ask(token_of(bench.fresh, NOW_SLACK_S)), 0);
    cr_expect_eq(fake_peer_requests(bench.issuer), 2);
}

/* Whatever the running fetch brings may be older than the key. */
Test(guard, a_fetch_that_began_before_does_not_decide, .init = begin, .fini = end)
{
    const struct bv_bytes token = token_of(bench.fresh, NOW_SLACK_S);
    cr_expect_eq(ask(token), BV_HTTP_LATER);
    await_answers(1);
    cr_expect_eq(ask(token), BV_HTTP_LATER);
    await_answers(2);
    cr_expect_eq(ask(token), 0);
}

Test(guard, a_made_up_key_is_refused_and_not_asked_for_again, .init = begin, .fini = end)
{
    await_answers(1);
    const struct bv_bytes token = token_with("{\"alg\":\"EdDSA\",\"kid\":\"made-up\"}");
    cr_expect_eq(ask(token), BV_HTTP_LATER);
    await_answers(2);
    for (int i = 0; i < 100; i++)
        cr_expect_eq(ask(token), BV_E_UNAUTHENTICATED);
    cr_expect_eq(fake_peer_requests(bench.issuer), 2);
}

#define LONG_KID "0123456789012345678901234567890123456789012345678901234567890123x"

Test(guard, what_no_key_can_be_called_is_refused_at_once, .init = begin, .fini = end)
{
    static const char *const headers[] = {
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"\"}",
        "{\"alg\":\"EdDSA\",\"kid\":7}",
        "{\"alg\":\"EdDSA\",\"kid\":\"../../../../dev/null\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"x' OR '1'='1\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"" LONG_KID "\"}",
        "{\"alg\":\"none\",\"kid\":\"made-up\"}",
        "{\"alg\":\"HS256\",\"kid\":\"made-up\"}",
        "{\"kid\":\"made-up\"}",
        "[]",
        "",
    };
    await_answers(1);
    for (size_t i = 0; i < BV_COUNT(headers); i++)
        cr_expect_eq(ask(token_with(headers[i])), BV_E_UNAUTHENTICATED, "%s", headers[i]);
    cr_expect_eq(fake_peer_requests(bench.issuer), 1);
}

Test(guard, a_flood_of_made_up_keys_costs_one_fetch_and_no_more_room, .init = begin, .fini = end)
{
    char header[64];
    size_t later = 0;
    await_answers(1);
    for (int i = 0; i < 2000; i++) {
        snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"made-up-%d\"}", i);
        const int rc = ask(token_with(header));
        later += rc == BV_HTTP_LATER;
        cr_expect(rc == BV_HTTP_LATER || rc == BV_E_UNAUTHENTICATED, "%d", rc);
    }
    cr_expect_eq(later, 256);
    await_answers(2);
    cr_expect_eq(ask(token_with("{\"alg\":\"EdDSA\",\"kid\":\"made-up-0\"}")),
                 BV_E_UNAUTHENTICATED);
    cr_expect_eq(ask(token_of(bench.fresh, NOW_SLACK_S)), 0);
    cr_expect_eq(fake_peer_requests(bench.issuer), 2);
}

Test(guard, a_dead_issuer_leaves_known_keys_good_and_new_ones_unknown, .init = begin, .fini = end)
{
    await_answers(1);
    fake_peer_vanish(bench.issuer);
    const struct bv_bytes token = token_of(bench.fresh, NOW_SLACK_S);
    cr_expect_eq(ask(token), BV_HTTP_LATER);
    await_answers(2);
    cr_expect_eq(ask(token), BV_E_UNAVAILABLE);
    cr_expect_eq(ask(token_of(bench.old, NOW_SLACK_S)), 0);
}
