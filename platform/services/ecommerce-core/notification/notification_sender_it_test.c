#include "bv/webhook.h"
#include "fake_peer.h"
#include "notification_sender.h"
#include "notification_testing.h"

#define ANSWER(status) "HTTP/1.1 " status " x\r\nContent-Length: 0\r\n\r\n"
#define FAILED_COUNT "SELECT count(*) FROM deliveries WHERE state = 'FAILED'"
#define DELIVERED_COUNT "SELECT count(*) FROM deliveries WHERE state = 'DELIVERED'"
#define PENDING_COUNT "SELECT count(*) FROM deliveries WHERE state = 'PENDING'"

struct scene {
    struct bench bench;
    struct fake_peer *peer;
    struct notification_sender *sender;
    size_t wanted; /* requests */
    const char *sql;
    int64_t want;
    bool stopped;
};

static const struct notification_sender_config usual = {.backoff_base_ms = 20,
                                                        .attempts = 4,
                                                        .timeout_ms = 2000,
                                                        .concurrency = 16,
                                                        .concurrency_each = 8,
                                                        .privacy = NOTIFICATION_PRIVATE_ALLOWED};

static void sender_open(struct scene *scene, const struct notification_sender_config *config)
{
    cr_assert_eq(
        notification_sender_open(
            scene->bench.loop, config, scene->bench.store, NULL, NULL, NULL, &scene->sender),
        0);
}

static void scene_open(struct scene *scene, const struct fake_answer *script, size_t count)
{
    *scene = (struct scene){0};
    bench_open(&scene->bench);
    cr_assert_eq(fake_peer_open(scene->bench.loop, script, count, &scene->peer), 0);
    subscribe(&scene->bench, fake_peer_url(scene->peer, "/hook"));
}

static void scene_close(struct scene *scene)
{
    bv_pg_close(&scene->bench.pg);
    notification_sender_close(&scene->sender);
    fake_peer_close(&scene->peer);
    bench_close(&scene->bench);
}

static bool holds(void *argument)
{
    struct scene *scene = argument;
    return fake_peer_requests(scene->peer) >= scene->wanted &&
           (!scene->sql || bv_test_sql_int(scene->bench.conninfo, scene->sql) == scene->want);
}

/* Until the peer had so many requests and the store says so. */
static void await(struct scene *scene, size_t requests, const char *sql, int64_t want)
{
    scene->wanted = requests;
    scene->sql = sql;
    scene->want = want;
    bool had = bv_test_run_until(scene->bench.loop, holds, scene, WAIT_MS);
    cr_assert(had,
              "%zu requests, %s = %lld",
              fake_peer_requests(scene->peer),
              sql,
              (long long)bv_test_sql_int(scene->bench.conninfo, sql));
}

static struct bv_bytes field(struct bv_bytes request, const char *name)
{
    char start[64];
    snprintf(start, sizeof(start), "\r\n%s: ", name);
    const char *at = strcasestr(request.data, start);
    cr_assert_not_null(at, "no %s in %s", name, request.data);
    at += strlen(start);
    return (struct bv_bytes){at, strcspn(at, "\r")};
}

static bool tells_version(struct bv_bytes body, int64_t version)
{
    char want[32];
    snprintf(want, sizeof(want), "\"version\":%lld,", (long long)version);
    return strstr(body.data, want) != NULL;
}

static const struct fake_answer accepting[] = {
    {ANSWER("204"), FAKE_KEEP}
};

Test(notification_sender, signs_what_it_sends)
{
    struct scene scene;
    scene_open(&scene, accepting, BV_COUNT(accepting));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 1, DELIVERED_COUNT, 1);
    struct bv_bytes request = fake_peer_request(scene.peer, 0),
                    body = fake_peer_body(scene.peer, 0);
    cr_assert(bv_bytes_starts(request, BV_BYTES("POST /hook HTTP/1.1\r\n")));
    cr_assert_eq(bv_webhook_verify(BV_BYTES(SECRET),
                                   field(request, "webhook-id"),
                                   field(request, "webhook-timestamp"),
                                   field(request, "webhook-signature"),
                                   body,
                                   bv_wall_us(&bv_test_env_system) / 1000000,
                                   60,
                                   NULL),
                 0);
    cr_assert(bv_bytes_starts(field(request, "webhook-id"), BV_BYTES("msg_")));
    cr_assert(bv_bytes_starts(field(request, "traceparent"),
                              BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-")));
    cr_assert(bv_bytes_equal(field(request, "correlation-id"), BV_BYTES("corr")));
    cr_assert(bv_bytes_equal(
        body,
        BV_BYTES(
            "{\"type\":\"" CREATED
            "\",\"timestamp\":\"2026-11-23T01:15:04.250Z\",\"data\":{\"orderId\":"
            "\"01936f3e-7c2a-7b31-8000-000000000001\",\"version\":1,\"customerId\":\"ada\"}}")));
    scene_close(&scene);
}

static const struct fake_answer failing_twice[] = {
    {ANSWER("500"),
     FAKE_CLOSE               }, /* the next comes on a fresh connection: a reset of a kept one is no failure */
    {"",            FAKE_RESET},
    {ANSWER("204"), FAKE_KEEP },
};

Test(notification_sender, keeps_the_order_of_an_order_while_the_first_attempts_fail)
{
    struct scene scene;
    scene_open(&scene, failing_twice, BV_COUNT(failing_twice));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    for (int64_t version = 1; version <= 4; version++) {
        take_one(&scene.bench, "ada", 1, version, version == 1 ? CREATED : PAID);
        notification_sender_kick(scene.sender);
    }
    await(&scene, 6, DELIVERED_COUNT, 4);
    static const int64_t versions[] = {1, 1, 1, 2, 3, 4};
    for (size_t i = 0; i < BV_COUNT(versions); i++)
        cr_assert(tells_version(fake_peer_body(scene.peer, i), versions[i]),
                  "request %zu: %s",
                  i,
                  fake_peer_body(scene.peer, i).data);
    struct bv_bytes first = field(fake_peer_request(scene.peer, 0), "webhook-id");
    cr_assert(bv_bytes_equal(first, field(fake_peer_request(scene.peer, 2), "webhook-id")),
              "the id is that of the delivery");
    cr_assert_eq(
        bv_test_sql_int(scene.bench.conninfo,
                        "SELECT count(*) FROM deliveries WHERE version = 1 AND attempts = 3"
                        " AND attempt_log->0->>'httpStatus' = '500' AND attempt_log->1 ? 'error'"
                        " AND attempt_log->2->>'httpStatus' = '204'"),
        1);
    scene_close(&scene);
}

static const struct fake_answer asking[] = {
    {"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", FAKE_KEEP},
    {ANSWER("204"),                                                                   FAKE_KEEP},
};

Test(notification_sender, waits_as_long_as_the_partner_asks)
{
    struct scene scene;
    scene_open(&scene, asking, BV_COUNT(asking));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    int64_t begun_ms = bv_loop_now_ms(scene.bench.loop);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 2, DELIVERED_COUNT, 1);
    cr_assert_geq(bv_loop_now_ms(scene.bench.loop) - begun_ms, 1000, "Retry-After, not 20 ms");
    scene_close(&scene);
}

static const struct fake_answer refusing[] = {
    {ANSWER("503"), FAKE_KEEP}
};

Test(notification_sender, gives_up_after_so_many_attempts_and_goes_on)
{
    struct scene scene;
    scene_open(&scene, refusing, BV_COUNT(refusing));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    take_one(&scene.bench, "ada", 1, 2, PAID);
    int64_t begun_ms = bv_loop_now_ms(scene.bench.loop);
    notification_sender_kick(scene.sender);
    await(&scene, 8, FAILED_COUNT, 2);
    for (size_t i = 0; i < 8; i++)
        cr_assert(tells_version(fake_peer_body(scene.peer, i), i < 4 ? 1 : 2), "request %zu", i);
    cr_assert_geq(
        bv_loop_now_ms(scene.bench.loop) - begun_ms, 2 * (20 + 40 + 60), "linear backoff");
    cr_assert_eq(fake_peer_requests(scene.peer), 8);
    scene_close(&scene);
}

static const struct fake_answer gone[] = {
    {ANSWER("410"), FAKE_KEEP}
};

Test(notification_sender, ends_the_subscription_of_a_partner_that_is_gone)
{
    struct scene scene;
    scene_open(&scene, gone, BV_COUNT(gone));
    sender_open(&scene, &usual);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    take_one(&scene.bench, "ada", 1, 2, PAID);
    notification_sender_start(scene.sender);
    await(&scene, 1, FAILED_COUNT, 2);
    cr_assert_eq(take_one(&scene.bench, "ada", 2, 1, CREATED).deliveries, 0);
    cr_assert_eq(fake_peer_requests(scene.peer), 1);
    scene_close(&scene);
}

static const struct fake_answer redirecting[] = {
    {"HTTP/1.1 302 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", FAKE_KEEP},
    {ANSWER("204"),                                                         FAKE_KEEP},
};

Test(notification_sender, follows_no_redirect)
{
    struct scene scene;
    scene_open(&scene, redirecting, BV_COUNT(redirecting));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 2, DELIVERED_COUNT, 1);
    cr_assert(bv_bytes_starts(fake_peer_request(scene.peer, 1), BV_BYTES("POST /hook ")));
    scene_close(&scene);
}

static const struct fake_answer silent_then_accepting[] = {
    {"HTTP/1.1 200 x\r\n", FAKE_SILENT},
    {ANSWER("204"),        FAKE_KEEP  },
};

Test(notification_sender, a_partner_has_so_long_to_answer)
{
    struct scene scene;
    struct notification_sender_config config = usual;
    config.timeout_ms = 100;
    scene_open(&scene, silent_then_accepting, BV_COUNT(silent_then_accepting));
    sender_open(&scene, &config);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 2, DELIVERED_COUNT, 1);
    scene_close(&scene);
}

/* The process dies with an attempt under way: another one goes on once the lease has run out. */
Test(notification_sender, resumes_what_a_dead_process_had_under_way)
{
    struct scene scene;
    struct notification_sender_config config = usual;
    config.timeout_ms = 50;
    scene_open(&scene, silent_then_accepting, BV_COUNT(silent_then_accepting));
    struct bench heir;
    bench_open_on(&heir, scene.bench.loop, scene.bench.conninfo);
    sender_open(&scene, &config);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    take_one(&scene.bench, "ada", 1, 2, PAID);
    notification_sender_kick(scene.sender);
    await(&scene, 1, PENDING_COUNT, 2);
    bv_pg_close(&scene.bench.pg); /* nothing of it can be noted any more */
    notification_sender_close(&scene.sender);
    cr_assert_eq(bv_test_sql_int(heir.conninfo, "SELECT sum(attempts) FROM deliveries"), 1);
    cr_assert_eq(
        notification_sender_open(heir.loop, &config, heir.store, NULL, NULL, NULL, &scene.sender),
        0);
    notification_sender_start(scene.sender);
    await(&scene, 3, DELIVERED_COUNT, 2);
    cr_assert(tells_version(fake_peer_body(scene.peer, 1), 1));
    cr_assert(tells_version(fake_peer_body(scene.peer, 2), 2));
    cr_assert(bv_bytes_equal(field(fake_peer_request(scene.peer, 0), "webhook-id"),
                             field(fake_peer_request(scene.peer, 1), "webhook-id")));
    bv_pg_close(&heir.pg);
    notification_sender_close(&scene.sender);
    bench_close_on(&heir);
    scene_close(&scene);
}

static void on_stopped(void *argument)
{
    ((struct scene *)argument)->stopped = true;
}

static bool has_stopped(void *argument)
{
    return ((struct scene *)argument)->stopped;
}

Test(notification_sender, hands_its_leases_back_when_it_stops)
{
    struct scene scene;
    scene_open(&scene, silent_then_accepting, BV_COUNT(silent_then_accepting));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 1, PENDING_COUNT, 1);
    notification_sender_stop(scene.sender, 50, on_stopped, &scene);
    cr_assert(bv_test_run_until(scene.bench.loop, has_stopped, &scene, WAIT_MS));
    cr_assert_eq(bv_test_sql_int(scene.bench.conninfo,
                                 "SELECT count(*) FROM deliveries WHERE state = 'PENDING' AND "
                                 "attempts = 0 AND due_at <= now()"),
                 1);
    scene_close(&scene);
}

Test(notification_sender, goes_to_public_addresses_only_when_told_so)
{
    struct scene scene;
    struct notification_sender_config config = usual;
    config.privacy = NOTIFICATION_PRIVATE_REFUSED;
    config.attempts = 1;
    scene_open(&scene, accepting, BV_COUNT(accepting));
    sender_open(&scene, &config);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 0, FAILED_COUNT, 1);
    cr_assert_eq(fake_peer_requests(scene.peer), 0);
    scene_close(&scene);
}

/* Different orders at once, no more than the cap. */
Test(notification_sender, sends_other_orders_meanwhile)
{
    struct scene scene;
    static const struct fake_answer script[] = {
        {"HTTP/1.1 200 x\r\n", FAKE_SILENT},
        {ANSWER("204"),        FAKE_KEEP  },
    };
    scene_open(&scene, script, BV_COUNT(script));
    sender_open(&scene, &usual);
    notification_sender_start(scene.sender);
    take_one(&scene.bench, "ada", 1, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 1, PENDING_COUNT, 1);
    for (int order = 2; order <= 6; order++)
        take_one(&scene.bench, "ada", order, 1, CREATED);
    notification_sender_kick(scene.sender);
    await(&scene, 6, DELIVERED_COUNT, 5);
    scene_close(&scene);
}
