#include "bv/recording.h"

#include <criterion/criterion.h>

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
