#include "bv/recording.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(redact, knows_secret_names_and_lets_others_be)
{
    static const char *const secret[] = {"Authorization",
                                         "authorization",
                                         "Set-Cookie",
                                         "cookie",
                                         "password",
                                         "client_secret",
                                         "clientSecret",
                                         "accessToken",
                                         "refresh_token",
                                         "secret",
                                         "x-api-key",
                                         "token"};
    static const char *const open[] = {
        "tokenType", "content-type", "orderId", "mapping", "secretCount", "webhook-signature", ""};
    for (size_t i = 0; i < BV_COUNT(secret); i++)
        cr_expect(bv_secret_name(bv_bytes_of(secret[i])), "%s", secret[i]);
    for (size_t i = 0; i < BV_COUNT(open); i++)
        cr_expect_not(bv_secret_name(bv_bytes_of(open[i])), "%s", open[i]);
}

static void writes(struct bv_message message, const char *wanted, const char *hidden)
{
    struct bv_arena *arena = NULL;
    struct bv_buf buf = {.max = 1 << 20};
    struct bv_json_writer w = bv_json_writer(&buf);
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    message.actor = "a";
    message.protocol = "rest";
    message.status = message.sequence = BV_NO_NUMBER;
    if (message.body.size && message.body.data[0] == '{')
        cr_assert_eq(bv_json_parse(arena, message.body, &message.json, NULL), 0);
    bv_message_write(&w, "s1", &message, 0);
    (void)bv_buf_char(&buf, '\0');
    cr_expect(strstr(buf.data, wanted), "%s", buf.data);
    cr_expect_null(strstr(buf.data, hidden), "%s", buf.data);
    bv_buf_release(&buf);
    bv_arena_close(&arena);
}

Test(redact, members_at_any_depth)
{
    writes((struct bv_message){.body = BV_BYTES("{\"a\":[{\"secret\":\"whsec_x\",\"id\":7}]}")},
           "{\"a\":[{\"secret\":\"[redacted]\",\"id\":7}]}",
           "whsec_x");
    writes(
        (struct bv_message){.body = BV_BYTES("{\"credentials\":{\"user\":\"u\",\"key\":\"k1\"}}")},
        "\"credentials\":\"[redacted]\"",
        "k1");
}

Test(redact, headers)
{
    struct bv_http_field fields[] = {
        {"Authorization", BV_BYTES("Bearer abc")},
        {"etag",          BV_BYTES("\"3\"")     }
    };
    writes((struct bv_message){.fields = fields, .field_count = 2},
           "{\"name\":\"etag\",\"value\":\"\\\"3\\\"\"}",
           "abc");
}

Test(redact, form_bodies)
{
    writes((struct bv_message){.media_type = BV_BYTES("application/x-www-form-urlencoded"),
                               .body = BV_BYTES("grant_type=x&client_secret=abc&scope=y")},
           "grant_type=x&client_secret=[redacted]&scope=y",
           "abc");
}

static void says(const char *text, const char *wanted)
{
    struct bv_buf buf = {.max = 1 << 20};
    bv_redact_text(&buf, bv_bytes_of(text));
    (void)bv_buf_char(&buf, '\0');
    cr_expect_str_eq(buf.data, wanted);
    bv_buf_release(&buf);
}

Test(redact, secrets_in_texts)
{
    says("GET /v1/live?access_token=abc.def&after=3 -> 101",
         "GET /v1/live?access_token=[redacted]&after=3 -> 101");
    says("https://x/cb#id_token=abc", "https://x/cb#id_token=[redacted]");
    says("select 1 from users where password = 'hun''ter' and name = 'ada'",
         "select 1 from users where password = '[redacted]' and name = 'ada'");
    says("select 1 where token='a b' or secret = \"c\"",
         "select 1 where token='[redacted]' or secret = \"[redacted]\"");
    says("{\"secret\": \"whsec_1\", \"id\": 7, \"tok",
         "{\"secret\": \"[redacted]\", \"id\": 7, \"tok");
    says("Authorization: Bearer eyJhbGci.x1.y", "Authorization: Bearer [redacted]");
    says("basic authentication, bearer of news", "basic authentication, bearer of news");
    says("postgres://bv:s3cret@127.0.0.1:5432/x", "postgres://bv:[redacted]@127.0.0.1:5432/x");
    says("http://127.0.0.1:80/@x token count = 3", "http://127.0.0.1:80/@x token count = 3");
    says("password", "password");
    says("password=", "password=");
    says("token='", "token='");
    says("token='a\\", "token='[redacted]");
    says("://a:", "://a:");
}

Test(redact, messages_have_none_in_their_lines)
{
    struct bv_http_field fields[] = {
        {"location", BV_BYTES("/next?token=abc1")}
    };
    writes((struct bv_message){.summary = BV_BYTES("GET /x?token=abc1"),
                               .type = BV_BYTES("GET /x?token=abc1"),
                               .fields = fields,
                               .field_count = 1,
                               .body = BV_BYTES("{\"url\":\"http://x/?token=abc1\"}")},
           "\"summary\":\"GET /x?token=[redacted]\"",
           "abc1");
    writes((struct bv_message){.media_type = BV_BYTES("application/sql"),
                               .body = BV_BYTES("select 1 where secret = 'abc1'")},
           "secret = '[redacted]'",
           "abc1");
}

/* A body that is cut is no JSON any more, and its secrets are secrets still. */
Test(redact, a_cut_body_keeps_its_secrets)
{
    static char body[BV_MESSAGE_BODY_MAX + 4096];
    const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    const struct bv_recording_config config = {.env = &env};
    struct bv_recording *recording = NULL;
    struct bv_buf buf = {.max = 4 << 20};
    int size = snprintf(body, sizeof body, "{\"secret\":\"whsec_x\",\"n\":7,\"fill\":\"");
    memset(body + size, 'x', sizeof body - (size_t)size - 2);
    memcpy(body + sizeof body - 2, "\"}", 2);
    struct bv_message message = {
        .actor = "a", .protocol = "rest", .direction = BV_RECEIVED, .body = {body, sizeof body}
    };
    cr_assert_eq(bv_recording_open(&config, &recording), 0);
    cr_assert_eq(bv_recording_append(recording, &message, NULL), 0);
    const struct bv_message *kept = bv_recording_at(recording, 1);
    cr_assert_not_null(kept->json, "the whole is read");
    cr_expect_eq(bv_json_int(bv_json_get(kept->json, "n"), 0), 7);
    struct bv_json_writer w = bv_json_writer(&buf);
    bv_message_write(&w, "s1", kept, 0);
    cr_expect_not(buf.failed);
    cr_expect_null(memmem(buf.data, buf.size, "whsec_x", 7));
    cr_expect_not_null(memmem(buf.data, buf.size, "[redacted]", 10));
    cr_expect_lt(buf.size, (size_t)BV_MESSAGE_BODY_MAX + 2048);
    bv_buf_release(&buf);
    bv_recording_close(&recording);
}
