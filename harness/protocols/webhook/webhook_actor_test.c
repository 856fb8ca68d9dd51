#include "webhook_actor.h"

#include "../testing/lab.h"
#include "bv/http_call.h"
#include "bv/webhook.h"
#include <criterion/criterion.h>
#include <stdio.h>

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

/* Status of one delivery, negative when there was none. */
static int64_t deliver(const char *signed_with, const char *target)
{
    char signature[BV_WEBHOOK_SIGNATURE_TEXT] = "";
    char stamp[32];
    char full[200];
    int64_t now_s = bv_wall_us(&lab.env) / 1000000;
    snprintf(stamp, sizeof stamp, "%lld", (long long)now_s);
    snprintf(full, sizeof full, "%.*s%s", (int)(strlen(url) - strlen("/hook")), url, target);
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
    cr_assert_eq(deliver(NULL, "/hook"), 204);
    const struct bv_message *message = lab_received(&lab, 1);
    cr_expect_str_eq(lab_probe(&lab, message, "type", NULL), "ecommerce.order.paid.v1");
    cr_expect_str_eq(lab_probe(&lab, message, "key", NULL), "o-1");
    cr_expect_str_eq(lab_probe(&lab, message, "sequence", NULL), "3");
    cr_expect_str_eq(lab_probe(&lab, message, "status", NULL), "204");
    cr_expect_str_eq(lab_probe(&lab, message, "signed", NULL), "no");
}

Test(webhook_actor, checks_signatures_once_it_knows_the_secret)
{
    cr_assert_eq(deliver(secret, "/hook"), 204);
    cr_assert_eq(lab_run(&lab, "secret", LAB_WORDS("secret", secret), NULL), 0);
    cr_assert_eq(deliver(secret, "/hook"), 204);
    cr_assert_eq(deliver("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "/hook"), 204);
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 1), "signed", NULL), "unknown");
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 2), "signed", NULL), "yes");
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 3), "signed", NULL), "badly");
}

Test(webhook_actor, fails_as_often_as_it_is_told)
{
    cr_assert_eq(lab_run(&lab, "fails", LAB_WORDS("count", "2", "status", "503"), NULL), 0);
    cr_expect_eq(deliver(NULL, "/hook"), 503);
    cr_expect_eq(deliver(NULL, "/hook"), 503);
    cr_expect_eq(deliver(NULL, "/hook"), 204);
    cr_expect_eq(lab_count(&lab), 3);
}

Test(webhook_actor, resets_the_connection)
{
    cr_assert_eq(lab_run(&lab, "resets", LAB_WORDS("count", "1"), NULL), 0);
    cr_expect_eq(deliver(NULL, "/hook"), BV_E_CLOSED);
    cr_expect_eq(deliver(NULL, "/hook"), 204);
    cr_expect_str_eq(lab_probe(&lab, lab_received(&lab, 1), "status", NULL), "(absent)");
}

Test(webhook_actor, answers_late)
{
    cr_assert_eq(lab_run(&lab, "answers", LAB_WORDS("delay", "40ms"), NULL), 0);
    int64_t begin = bv_mono_us(&lab.env);
    cr_expect_eq(deliver(NULL, "/hook"), 204);
    cr_expect_geq(bv_mono_us(&lab.env) - begin, 40000);
}

Test(webhook_actor, other_paths_are_no_deliveries)
{
    cr_expect_eq(deliver(NULL, "/hooks"), 404);
    cr_expect_eq(deliver(NULL, "/hook?x=1"), 204);
    cr_expect_eq(lab_count(&lab), 1);
}

Test(webhook_actor, refuses_misbehaviours_out_of_range)
{
    cr_expect_eq(lab_run(&lab, "fails", LAB_WORDS("count", "-1"), NULL), BV_E_INVALID);
    cr_expect_eq(lab_run(&lab, "fails", LAB_WORDS("count", "1", "status", "99"), NULL),
                 BV_E_INVALID);
}
