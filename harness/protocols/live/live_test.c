#include "live.h"

#include <criterion/criterion.h>

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

Test(live, addresses_are_http_with_a_host_and_a_port)
{
    static const struct {
        const char *url;
        int rc;
        const char *host;
        uint16_t port;
    } rows[] = {
        {"http://127.0.0.1:14001", 0,            "127.0.0.1", 14001},
        {"http://localhost:80/",   0,            "localhost", 80   },
        {"http://localhost",       0,            "localhost", 80   },
        {"https://localhost:1",    BV_E_INVALID, "",          0    },
        {"http://:80",             BV_E_INVALID, "",          0    },
        {"http://a:0",             BV_E_INVALID, "",          0    },
        {"http://a:65536",         BV_E_INVALID, "",          0    },
        {"http://a:1/path",        BV_E_INVALID, "",          0    },
        {"",                       BV_E_INVALID, "",          0    },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        struct live_address address = {0};
        cr_expect_eq(live_address_parse(bv_bytes_of(rows[i].url), &address, NULL),
                     rows[i].rc,
                     "%s",
                     rows[i].url);
        cr_expect_str_eq(address.host, rows[i].host);
        cr_expect_eq(address.port, rows[i].port);
    }
}

Test(live, a_cursor_joins_the_query)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const int64_t after = 42;
    cr_assert_eq(bv_arena_open(4096, &arena), 0);
    cr_expect_str_eq(live_path(arena, BV_BYTES("/v1/live"), NULL), "/v1/live");
    cr_expect_str_eq(live_path(arena, BV_BYTES("/v1/live"), &after), "/v1/live?after=42");
    cr_expect_str_eq(live_path(arena, BV_BYTES("/v1/live?a=b"), &after), "/v1/live?a=b&after=42");
}

static struct bv_message described(struct bv_arena *arena, const char *body)
{
    struct bv_message message = {
        .body = bv_bytes_of(body), .type = BV_BYTES("text"), .sequence = BV_NO_NUMBER};
    live_describe(arena, LIVE_KEY_DEFAULT, &message);
    return message;
}

Test(live, a_message_tells_its_type_key_sequence_and_trace)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    cr_assert_eq(bv_arena_open(65536, &arena), 0);
    const struct bv_message message =
        described(arena,
                  "{\"sequence\":7,\"type\":\"a.b.v1\",\"traceparent\":\"00-"
                  "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\","
                  "\"data\":{\"orderId\":\"o\"}}");
    cr_expect(bv_bytes_equal(message.type, BV_BYTES("a.b.v1")));
    cr_expect(bv_bytes_equal(message.key, BV_BYTES("o")));
    cr_expect_eq(message.sequence, 7);
    cr_expect(bv_trace_present(&message.trace));
    cr_expect(bv_bytes_equal(live_summary(arena, &message), BV_BYTES("a.b.v1 #7")));
}

Test(live, what_a_message_does_not_tell_stays_as_it_was)
{
    static const char *const bodies[] = {
        "hello",
        "[1]",
        "{}",
        "{\"type\":1,\"sequence\":\"7\",\"traceparent\":\"x\",\"data\":[]}",
        "{"};
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    cr_assert_eq(bv_arena_open(65536, &arena), 0);
    for (size_t i = 0; i < BV_COUNT(bodies); i++) {
        const struct bv_message message = described(arena, bodies[i]);
        cr_expect(bv_bytes_equal(message.type, BV_BYTES("text")), "%s", bodies[i]);
        cr_expect_eq(message.key.size, 0);
        cr_expect_eq(message.sequence, BV_NO_NUMBER);
        cr_expect(!bv_trace_present(&message.trace));
    }
}

Test(live, a_link_settles_when_the_wish_is_done_and_the_state_is_at_rest)
{
    struct live_link link;
    enum live_state state = LIVE_IDLE;
    live_link_init(&link, &env);
    const int64_t now = bv_mono_us(&env);
    live_link_ask(&link, LIVE_WISH_OPEN);
    cr_expect_eq(live_link_settle(&link, now, &state), BV_NOT_YET, "nobody has taken the wish");
    live_link_done(&link, LIVE_WISH_CUT);
    cr_expect_eq(live_link_wish(&link), LIVE_WISH_OPEN, "another wish is not this one");
    live_link_done(&link, LIVE_WISH_OPEN);
    cr_expect_eq(live_link_settle(&link, now, &state), BV_NOT_YET, "still connecting");
    live_link_set(&link, LIVE_REFUSED, 403, 9, "status 403");
    cr_expect_eq(live_link_settle(&link, now, &state), 0);
    cr_expect_eq(state, LIVE_REFUSED);
    live_link_release(&link);
}

static void *open_it(void *argument)
{
    struct live_link *link = argument;
    live_link_done(link, LIVE_WISH_OPEN);
    live_link_set(link, LIVE_OPEN, 101, 1, "");
    return NULL;
}

Test(live, a_wait_ends_when_the_other_thread_is_done)
{
    struct live_link link;
    enum live_state state = LIVE_IDLE;
    pthread_t thread;
    live_link_init(&link, &env);
    live_link_ask(&link, LIVE_WISH_OPEN);
    cr_assert_eq(pthread_create(&thread, NULL, open_it, &link), 0);
    cr_expect_eq(live_link_settle(&link, bv_mono_us(&env) + 5000000, &state), 0);
    cr_expect_eq(state, LIVE_OPEN);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    live_link_release(&link);
}
