#include "webhook_actor.h"

#include "../testing/lab.h"
#include "bv/http_call.h"
#include "bv/webhook.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lab lab;
static struct bv_lab_ops ops;
static struct bv_http_caller *caller;
static struct bv_arena *arena;
static char url[128];

static int
keep_url(struct bv_lab *base, struct bv_actor *actor, const char *name, struct bv_bytes value)
{
    (void)base, (void)actor;
    cr_assert_str_eq(name, "url");
    snprintf(url, sizeof url, "%.*s", BV_ARG(value));
    return 0;
}

static void setup(void)
{
    lab_open(&lab, NULL, &bv_protocol_webhook);
    ops = *lab.lab.ops;
    ops.set_variable = keep_url;
    lab.lab.ops = &ops;
    cr_assert_eq(lab_declare(&lab, LAB_WORDS("path", "/hook")), 0, "%s", lab.error.text);
    cr_assert_eq(bv_arena_open(1 << 22, &arena), 0);
    cr_assert_eq(bv_http_caller_open(&caller), 0);
}

static void teardown(void)
{
    bv_http_caller_close(&caller);
    bv_arena_close(&arena);
    lab_close(&lab);
}

TestSuite(webhook_actor, .init = setup, .fini = teardown);

static const char body[] =
    "{\"type\":\"ecommerce.order.paid.v1\",\"data\":{\"orderId\":\"o-1\",\"version\":3}}";
static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/* Status of one delivery, negative when there was none. target: a path, or what is added to the
 * actor's own address. */
static int64_t deliver(const char *signed_with, const char *target)
{
    char signature[BV_WEBHOOK_SIGNATURE_TEXT] = "";
    char stamp[32];
    char full[200];
    int64_t now_s = bv_wall_us(&lab.env) / 1000000;
    snprintf(stamp, sizeof stamp, "%lld", (long long)now_s);
    const char *own = strchr(url + strlen("http://"), '/');
    snprintf(full,
             sizeof full,
             "%.*s%s",
             (int)(target[0] == '/' ? own - url : (long)strlen(url)),
             url,
             target);
    if (signed_with)
        cr_assert_eq(
            bv_webhook_sign(
                bv_bytes_of(signed_with), BV_BYTES("msg_1"), now_s, bv_bytes_of(body), signature),
            0);
    struct bv_http_field fields[] = {
        {"content-type",      BV_BYTES("application/json")},
        {"webhook-id",        BV_BYTES("msg_1")           },
        {"webhook-timestamp", bv_bytes_of(stamp)          },
        {"webhook-signature", bv_bytes_of(signature)      }
    };
    struct bv_http_call call = {.method = "POST",
                                .url = full,
                                .fields = fields,
                                .field_count = signed_with ? 4 : 3,
                                .body = bv_bytes_of(body),
                                .timeout_ms = 5000};
    struct bv_http_answer answer;
    int rc = bv_http_call(caller, &call, arena, &answer, NULL);
    return rc < 0 ? rc : answer.status;
}

Test(webhook_actor, records_a_delivery_and_accepts_it)
{
    cr_assert_eq(deliver(NULL, ""), 204);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "type", NULL), "ecommerce.order.paid.v1");
    cr_expect_str_eq(lab_probe(&lab, message, "key", NULL), "o-1");
    cr_expect_str_eq(lab_probe(&lab, message, "sequence", NULL), "3");
    cr_expect_str_eq(lab_probe(&lab, message, "status", NULL), "204");
    cr_expect_str_eq(lab_probe(&lab, message, "signed", NULL), "no");
}

Test(webhook_actor, checks_signatures_once_it_knows_the_secret)
{
    cr_assert_eq(deliver(secret, ""), 204);
    cr_assert_eq(lab_run(&lab, "secret", LAB_WORDS("secret", secret), NULL), 0);
    cr_assert_eq(deliver(secret, ""), 204);
    cr_assert_eq(deliver("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""), 204);
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 1), "signed", NULL), "unknown");
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 2), "signed", NULL), "yes");
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 3), "signed", NULL), "badly");
}

Test(webhook_actor, fails_as_often_as_it_is_told)
{
    cr_assert_eq(lab_run(&lab, "fails", LAB_WORDS("count", "2", "status", "503"), NULL), 0);
    cr_expect_eq(deliver(NULL, ""), 503);
    cr_expect_eq(deliver(NULL, ""), 503);
    cr_expect_eq(deliver(NULL, ""), 204);
    cr_expect_eq(lab_count(&lab), 3);
}

Test(webhook_actor, resets_the_connection)
{
    cr_assert_eq(lab_run(&lab, "resets", LAB_WORDS("count", "1"), NULL), 0);
    cr_expect_eq(deliver(NULL, ""), BV_E_CLOSED);
    cr_expect_eq(deliver(NULL, ""), 204);
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 1), "status", NULL), "(absent)");
}

Test(webhook_actor, answers_late)
{
    cr_assert_eq(lab_run(&lab, "answers", LAB_WORDS("delay", "40ms"), NULL), 0);
    int64_t begin = bv_mono_us(&lab.env);
    cr_expect_eq(deliver(NULL, ""), 204);
    cr_expect_geq(bv_mono_us(&lab.env) - begin, 40000);
}

Test(webhook_actor, other_paths_are_no_deliveries)
{
    cr_expect_eq(deliver(NULL, "s"), 404);
    cr_expect_eq(deliver(NULL, "/hook"), 404, "of another listener that had this port before");
    cr_expect_eq(deliver(NULL, "?x=1"), 204);
    cr_expect_eq(lab_count(&lab), 1);
}

Test(webhook_actor, refuses_misbehaviours_out_of_range)
{
    cr_expect_eq(lab_run(&lab, "fails", LAB_WORDS("count", "-1"), NULL), BV_E_INVALID);
    cr_expect_eq(lab_run(&lab, "fails", LAB_WORDS("count", "1", "status", "99"), NULL),
                 BV_E_INVALID);
}

/* ---- one turn per delivery ---- */

static int plan(const struct bv_bytes *cells, size_t count)
{
    struct bv_call call = {
        .table = {1, count, cells}
    };
    const struct bv_verb *verb = NULL;
    for (size_t i = 0; i < bv_protocol_webhook.verb_count; i++)
        if (strcmp(bv_protocol_webhook.verbs[i].name, "misbehaves") == 0)
            verb = &bv_protocol_webhook.verbs[i];
    cr_assert_not_null(verb);
    lab.error = (struct bv_error){0};
    return verb->run(&lab.actor, &call, &lab.error);
}

/* Sends one delivery on a connection of its own and reads up to size bytes, or to the end. Returns
 * how many; *ret_errno is that of the last read. */
static size_t exchange(char *out, size_t size, int *ret_errno)
{
    char request[300];
    const int request_size = snprintf(request,
                                      sizeof request,
                                      "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
                                      strchr(url + strlen("http://"), '/'));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atol(strrchr(url, ':') + 1)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval wait = {5, 0};
    size_t used = 0;
    ssize_t got = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(send(fd, request, (size_t)request_size, MSG_NOSIGNAL), request_size);
    errno = 0;
    while (used < size && (got = recv(fd, out + used, size - used, 0)) > 0)
        used += (size_t)got;
    *ret_errno = got < 0 ? errno : 0;
    close(fd);
    return used;
}

static const struct {
    const char *turn;
    const char *answer; /* its begin */
    size_t read;        /* bytes to be had at least; then we leave */
    bool reset;
    const char *summary; /* NULL: the delivery was not even read */
} turns[] = {
    {"500",               "HTTP/1.1 500 ",                             20,     false, " -> 500"              },
    {"429 retry-after 7",
     "HTTP/1.1 429 Lab\r\nretry-after: 7\r\n",                         34,
     false,                                                                           " -> 429 retry-after 7"},
    {"307 to http://a/b",
     "HTTP/1.1 307 Lab\r\nlocation: http://a/b",                       38,
     false,                                                                           " -> 307 to http://a/b"},
    {"204 after 5ms",     "HTTP/1.1 204 ",                             20,     false, " -> 204"              },
    {"reset",             "",                                          0,      true,  " -> reset"            },
    {"unread",            "",                                          0,      true,  NULL                   },
    {"close",             "",                                          0,      false, " -> close"            },
    {"half head",         "HTTP/1.1 200 Lab\r\ncontent-le",            28,     false, " -> half head"        },
    {"half body",         "HTTP/1.1 200 Lab\r\ncontent-length: 1000",  49,     false, " -> half body"        },
    {"long body",         "HTTP/1.1 200 Lab\r\ncontent-length: 3\r\n", 57,     false, " -> long body"        },
    {"garbage",           "\x16\x03\x01",                              26,     false, " -> garbage"          },
    {"drip",              "HTTP/1.1 200 Lab\r\nx-drip: aa",            30,     false, " -> drip"             },
    {"endless body",      "HTTP/1.1 200 Lab\r\ntransfer-encoding",     300000, false, " -> endless body"     },
    {"endless interim",   "HTTP/1.1 103 Early Hints\r\n",              300000, false, " -> endless interim"  },
};

Test(webhook_actor, takes_a_turn_per_delivery_and_is_polite_again)
{
    static char data[400000];
    for (size_t i = 0; i < BV_COUNT(turns); i++) {
        const struct bv_bytes cell = bv_bytes_of(turns[i].turn);
        const size_t before = lab_count(&lab);
        const size_t size = turns[i].read ? turns[i].read : sizeof data;
        int last = 0;
        cr_assert_eq(plan(&cell, 1), 0, "%s: %s", turns[i].turn, lab.error.text);
        const size_t used = exchange(data, size, &last);
        cr_expect_geq(used, turns[i].read, "%s: %zu", turns[i].turn, used);
        cr_expect(memcmp(data, turns[i].answer, strlen(turns[i].answer)) == 0, "%s", turns[i].turn);
        cr_expect_eq(last, turns[i].reset ? ECONNRESET : 0, "%s: %d", turns[i].turn, last);
        if (!turns[i].summary)
            cr_expect_eq(lab_count(&lab), before, "%s", turns[i].turn);
        else
            cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, before + 1), "summary", NULL),
                             turns[i].summary);
        cr_expect_eq(deliver(NULL, ""), 204, "after %s", turns[i].turn);
    }
}

Test(webhook_actor, refuses_turns_that_it_does_not_know)
{
    static const char *const bad[] = {
        "", "199", "600", "50x", "429 retry-after soon", "301 to ", "reset after soon", "explode"};
    for (size_t i = 0; i < BV_COUNT(bad); i++) {
        const struct bv_bytes cells[] = {BV_BYTES("500"), bv_bytes_of(bad[i])};
        cr_expect_eq(plan(cells, 2), BV_E_INVALID, "%s", bad[i]);
        cr_expect_not_null(strstr(lab.error.text, "is no turn"), "%s", lab.error.text);
    }
    cr_expect_eq(deliver(NULL, ""), 204, "what was refused is not half planned");
}

/* What --check says of the cells of `misbehaves`. */
static int check_cells(const struct bv_bytes *cells, size_t count, struct bv_check *check)
{
    static struct bv_call call;
    const struct bv_verb *verb = NULL;
    for (size_t i = 0; i < bv_protocol_webhook.verb_count; i++)
        if (strcmp(bv_protocol_webhook.verbs[i].name, "misbehaves") == 0)
            verb = &bv_protocol_webhook.verbs[i];
    call.table = (struct bv_cells){1, count, cells};
    *check = (struct bv_check){.verb = verb, .call = &call};
    lab.error = (struct bv_error){0};
    return bv_protocol_webhook.check(check, &lab.error);
}

Test(webhook_actor, a_turn_that_is_none_is_told_before_the_run)
{
    struct bv_check check;
    const struct bv_bytes good[] = {BV_BYTES("500"),
                                    BV_BYTES_NONE,
                                    BV_BYTES("429 retry-after 1"),
                                    BV_BYTES("drip after 300ms")};
    const struct bv_bytes misspelt[] = {BV_BYTES("500"), BV_BYTES("half bdy")};
    const struct bv_bytes late[] = {BV_BYTES("500 after soon")};
    cr_expect_eq(check_cells(good, BV_COUNT(good), &check), 0, "%s", lab.error.text);
    cr_expect_eq(check_cells(misspelt, BV_COUNT(misspelt), &check), BV_E_INVALID);
    cr_expect_eq(check.place, BV_CHECK_CELL);
    cr_expect_eq(check.index, 1);
    cr_expect(strstr(lab.error.text, "did you mean \"half body\""), "%s", lab.error.text);
    cr_expect_eq(check_cells(late, 1, &check), BV_E_INVALID);
}
