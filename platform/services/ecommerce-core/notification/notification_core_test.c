#include "notification_core.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "bv/arena.h"
#include "bv/json.h"

/* ---- resuming ---- */

static const struct {
    int64_t cursor, first, last;
    struct notification_resume want;
} resumes[] = {
    {NOTIFICATION_CURSOR_NOW, 1,  0, {NOTIFICATION_REPLAY, 0}}, /* nothing ever came */
    {NOTIFICATION_CURSOR_NOW, 5,  9, {NOTIFICATION_REPLAY, 9}},
    {0,                       1,  0, {NOTIFICATION_REPLAY, 0}},
    {0,                       1,  9, {NOTIFICATION_REPLAY, 0}},
    {0,                       5,  9, {NOTIFICATION_REPLAY, 4}}, /* all that is kept */
    {9,                       5,  9, {NOTIFICATION_REPLAY, 9}},
    {7,                       5,  9, {NOTIFICATION_REPLAY, 7}},
    {4,                       5,  9, {NOTIFICATION_REPLAY, 4}}, /* the next one is just kept */
    {3,                       5,  9, {NOTIFICATION_RESET, 9} }, /* 4 is gone */
    {10,                      5,  9, {NOTIFICATION_RESET, 9} }, /* never given out */
    {1,                       1,  0, {NOTIFICATION_RESET, 0} },
    {9,                       10, 9, {NOTIFICATION_REPLAY, 9}}, /* none is kept, none is missed */
    {8,                       10, 9, {NOTIFICATION_RESET, 9} },
};

Test(notification_core, resumes_without_gap_or_resets)
{
    for (size_t i = 0; i < BV_COUNT(resumes); i++) {
        struct notification_resume got =
            notification_resume(resumes[i].cursor, resumes[i].first, resumes[i].last);
        cr_assert_eq(got.start, resumes[i].want.start, "row %zu", i);
        cr_assert_eq(got.after, resumes[i].want.after, "row %zu", i);
    }
}

/* Whatever is decided, nobody who said a sequence misses one without being told. */
Test(notification_core, every_cursor_is_served_whole_or_reset)
{
    for (int64_t last = 0; last <= 6; last++) {
        for (int64_t first = 1; first <= last + 1; first++) {
            for (int64_t cursor = 1; cursor <= 8; cursor++) {
                struct notification_resume got = notification_resume(cursor, first, last);
                bool whole = cursor <= last && cursor + 1 >= first;
                cr_assert_eq(got.start, whole ? NOTIFICATION_REPLAY : NOTIFICATION_RESET);
                cr_assert(!whole || got.after == cursor);
            }
        }
    }
}

static const struct {
    const char *header, *after;
    int rc;
    int64_t want;
} cursors[] = {
    {NULL, NULL,                0,            NOTIFICATION_CURSOR_NOW  },
    {NULL, "0",                 0,            0                        },
    {NULL, "41",                0,            41                       },
    {"7",  "41",                0,            7                        },
    {"7",  "x",                 0,            7                        },
    {"",   NULL,                BV_E_INVALID, 0                        },
    {NULL, "-1",                BV_E_INVALID, 0                        },
    {NULL, "+1",                BV_E_INVALID, 0                        },
    {NULL, "1.5",               BV_E_INVALID, 0                        },
    {NULL, "",                  BV_E_INVALID, 0                        },
    {NULL, "9007199254740991",  0,            NOTIFICATION_SEQUENCE_MAX},
    {NULL, "9007199254740992",  BV_E_INVALID, 0                        },
    {NULL, "00000000000000001", BV_E_INVALID, 0                        },
};

Test(notification_core, reads_cursors)
{
    for (size_t i = 0; i < BV_COUNT(cursors); i++) {
        int64_t cursor = 0;
        struct bv_error error = {0};
        int rc = notification_cursor(
            bv_bytes_of(cursors[i].header), bv_bytes_of(cursors[i].after), &cursor, &error);
        cr_assert_eq(rc, cursors[i].rc, "row %zu", i);
        if (rc == 0)
            cr_assert_eq(cursor, cursors[i].want, "row %zu", i);
    }
}

Test(notification_core, hints_carry_any_user)
{
    struct notification_hint hint;
    cr_assert_eq(notification_hint_parse(BV_BYTES("42 7 defaulta b 7 c"), &hint), 0);
    cr_assert_eq(hint.sequence, 42);
    cr_assert(bv_bytes_equal(hint.tenant, BV_BYTES("default")));
    cr_assert(bv_bytes_equal(hint.user_id, BV_BYTES("a b 7 c")));
    static const char *const bad[] = {
        "", "42", "42 7", "x 7 default", "42 -1 a", "42 9 short", "42  a"};
    for (size_t i = 0; i < BV_COUNT(bad); i++)
        cr_assert_eq(
            notification_hint_parse(bv_bytes_of(bad[i]), &hint), BV_E_INVALID, "%s", bad[i]);
}

Test(notification_core, messages_are_json_of_the_contract)
{
    struct bv_buf buf = {.max = 4096};
    struct notification_live live = {
        42,
        BV_BYTES("ecommerce.order.paid.v1"),
        BV_BYTES("2026-11-23T01:15:04.250Z"),
        BV_BYTES("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        BV_BYTES("{\"version\":3}")};
    notification_live_encode(&buf, &live);
    cr_assert(bv_bytes_equal(bv_buf_view(&buf),
                             BV_BYTES("{\"sequence\":42,\"type\":\"ecommerce.order.paid.v1\","
                                      "\"occurredAt\":\"2026-11-23T01:15:04.250Z\","
                                      "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-"
                                      "00f067aa0ba902b7-01\",\"data\":{\"version\":3}}")));
    bv_buf_reset(&buf);
    notification_reset_encode(&buf, 57, BV_BYTES("{\"a\":1},{\"b\":2}"));
    cr_assert(bv_bytes_equal(
        bv_buf_view(&buf),
        BV_BYTES(
            "{\"type\":\"reset\",\"sequence\":57,\"data\":{\"orders\":[{\"a\":1},{\"b\":2}]}}")));
    bv_buf_release(&buf);
}

/* ---- deliveries: all pairs ---- */

#define NO                                                                                         \
    {                                                                                              \
        NOTIFICATION_STATE_COUNT, NOTIFICATION_NOTHING                                             \
    }
static const struct notification_step pairs[NOTIFICATION_STATE_COUNT][NOTIFICATION_ON_COUNT] = {
    [NOTIFICATION_WAITING] = {[NOTIFICATION_ON_CLAIMED] = {NOTIFICATION_SENDING, NOTIFICATION_SEND},
                              [NOTIFICATION_ON_ACCEPTED] = NO,
                              [NOTIFICATION_ON_REFUSED] = NO,
                              [NOTIFICATION_ON_EXHAUSTED] = NO,
                              [NOTIFICATION_ON_GONE] = NO,
                              [NOTIFICATION_ON_LOST] = NO,
                              [NOTIFICATION_ON_WITHDRAWN] = {NOTIFICATION_FAILED,
                                                             NOTIFICATION_GIVE_UP}                                          },
    [NOTIFICATION_SENDING] =
        {[NOTIFICATION_ON_CLAIMED] = NO,
                              [NOTIFICATION_ON_ACCEPTED] = {NOTIFICATION_DELIVERED, NOTIFICATION_FINISH},
                              [NOTIFICATION_ON_REFUSED] = {NOTIFICATION_WAITING, NOTIFICATION_BACK_OFF},
                              [NOTIFICATION_ON_EXHAUSTED] = {NOTIFICATION_FAILED, NOTIFICATION_GIVE_UP},
                              [NOTIFICATION_ON_GONE] = {NOTIFICATION_FAILED, NOTIFICATION_DISABLE},
                              [NOTIFICATION_ON_LOST] = {NOTIFICATION_WAITING, NOTIFICATION_NOTHING},
                              [NOTIFICATION_ON_WITHDRAWN] = {NOTIFICATION_FAILED, NOTIFICATION_GIVE_UP}                     },
    [NOTIFICATION_DELIVERED] = {NO,                                                                    NO,  NO, NO, NO, NO, NO},
    [NOTIFICATION_FAILED] = {NO,                                                                    NO,  NO, NO, NO, NO, NO},
};

Test(notification_core, deliveries_step_only_as_the_table_says)
{
    for (int from = 0; from < NOTIFICATION_STATE_COUNT; from++) {
        for (int on = 0; on < NOTIFICATION_ON_COUNT; on++) {
            struct notification_step want = pairs[from][on], got = NO;
            int rc =
                notification_deliver((enum notification_state)from, (enum notification_on)on, &got);
            const char *pair[] = {notification_state_name((enum notification_state)from),
                                  notification_on_name((enum notification_on)on)};
            cr_assert_eq(rc,
                         want.to == NOTIFICATION_STATE_COUNT ? NOTIFICATION_REFUSED_STEP : 0,
                         "%s on %s",
                         pair[0],
                         pair[1]);
            cr_assert_eq(got.to, want.to, "%s on %s", pair[0], pair[1]);
            cr_assert_eq(got.effect, want.effect, "%s on %s", pair[0], pair[1]);
        }
    }
}

static const struct {
    int rc, status;
    int64_t attempt;
    enum notification_on want;
} ends[] = {
    {0,                200, 1, NOTIFICATION_ON_ACCEPTED },
    {0,                204, 3, NOTIFICATION_ON_ACCEPTED },
    {0,                299, 1, NOTIFICATION_ON_ACCEPTED },
    {0,                301, 1, NOTIFICATION_ON_REFUSED  },
    {0,                302, 3, NOTIFICATION_ON_EXHAUSTED},
    {0,                400, 1, NOTIFICATION_ON_REFUSED  },
    {0,                410, 1, NOTIFICATION_ON_GONE     },
    {0,                410, 3, NOTIFICATION_ON_GONE     },
    {0,                500, 2, NOTIFICATION_ON_REFUSED  },
    {0,                500, 3, NOTIFICATION_ON_EXHAUSTED},
    {0,                500, 4, NOTIFICATION_ON_EXHAUSTED},
    {BV_E_TIMEOUT,     0,   1, NOTIFICATION_ON_REFUSED  },
    {BV_E_UNAVAILABLE, 0,   3, NOTIFICATION_ON_EXHAUSTED},
};

Test(notification_core, attempts_end_by_status_and_count)
{
    for (size_t i = 0; i < BV_COUNT(ends); i++)
        cr_assert_eq(notification_attempt_ended(ends[i].rc, ends[i].status, ends[i].attempt, 3),
                     ends[i].want,
                     "row %zu",
                     i);
}

static const struct {
    int64_t backoff_ms;
    int status;
    const char *retry_after; /* NULL: not said */
    int64_t want_ms;
} delays[] = {
    {500,  429, "2",                             2000   },
    {500,  503, "2 ",                            2000   },
    {5000, 429, "2",                             5000   },
    {500,  429, "0",                             500    },
    {500,  500, "2",                             500    },
    {500,  0,   "2",                             500    },
    {500,  429, NULL,                            500    },
    {500,  429, "",                              500    },
    {500,  429, "-1",                            500    },
    {500,  429, "1.5",                           500    },
    {500,  429, "Wed, 21 Oct 2015 07:28:00 GMT", 500    },
    {500,  429, "86400",                         3600000},
    {500,  429, "9007199254740991",              3600000},
    {500,  429, "99999999999999999999",          500    },
};

Test(notification_core, waits_as_long_as_the_partner_asks_within_an_hour)
{
    for (size_t i = 0; i < BV_COUNT(delays); i++)
        cr_expect_eq(notification_retry_delay(delays[i].backoff_ms,
                                              delays[i].status,
                                              bv_bytes_of(delays[i].retry_after)),
                     delays[i].want_ms,
                     "row %zu",
                     i);
}

/* ---- URLs ---- */

static const struct {
    const char *url;
    bool allowed, public; /* where private addresses are allowed, and where they are not */
} urls[] = {
    {"https://partner.example/hook",       true,  true },
    {"http://partner.example:8080/a?b=c",  true,  true },
    {"https://partner.example?x",          true,  true },
    {"http://127.0.0.1:3000/hook",         true,  false},
    {"http://2130706433/hook",             true,  false},
    {"http://localhost/hook",              true,  false},
    {"http://[::1]:80/hook",               true,  false},
    {"http://[2606:4700::1111]/hook",      true,  true },
    {"http://10.0.0.1/hook",               true,  false},
    {"HTTP://partner.example/",            false, false},
    {"ftp://partner.example/",             false, false},
    {"https://user@partner.example/",      false, false},
    {"https://partner.example/#part",      false, false},
    {"https://partner.example/a b",        false, false},
    {"https://partner.example/\xc3\xa9",   false, false},
    {"https://partner.example\\@10.0.0.1", false, false},
    {"https:///hook",                      false, false},
    {"https://:80/hook",                   false, false},
    {"http://[::1/hook",                   false, false},
    {"http://a/",                          false, false},
    {"http://partner.example:0/",          false, false},
    {"http://partner.example:65536/",      false, false},
    {"http://partner.example:http/",       false, false},
    {"http://partner.example:/",           false, false},
    {"http://[::1]80/hook",                false, false},
};

Test(notification_core, urls_are_judged)
{
    for (size_t i = 0; i < BV_COUNT(urls); i++) {
        struct bv_error error = {0};
        struct bv_bytes url = bv_bytes_of(urls[i].url);
        int allowed = notification_url_check(url, NOTIFICATION_PRIVATE_ALLOWED, &error);
        int public = notification_url_check(url, NOTIFICATION_PRIVATE_REFUSED, &error);
        cr_assert_eq(allowed, urls[i].allowed ? 0 : BV_E_UNPROCESSABLE, "%s", urls[i].url);
        cr_assert_eq(public, urls[i].public ? 0 : BV_E_UNPROCESSABLE, "%s", urls[i].url);
    }
}

Test(notification_core, urls_have_a_longest)
{
    char url[NOTIFICATION_URL_MAX + 2] = "https://a.example/";
    memset(url + 18, 'x', sizeof(url) - 19);
    struct bv_bytes text = {url, NOTIFICATION_URL_MAX};
    cr_assert_eq(notification_url_check(text, NOTIFICATION_PRIVATE_REFUSED, NULL), 0);
    text.size++;
    cr_assert_eq(notification_url_check(text, NOTIFICATION_PRIVATE_REFUSED, NULL),
                 BV_E_UNPROCESSABLE);
}
