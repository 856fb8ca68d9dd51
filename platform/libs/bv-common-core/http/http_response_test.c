#include "http_testing.h"
#include <zlib.h>

static char text_body[5000];

static int page(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_field field = {"Cache-Control", BV_BYTES("max-age=5")};
    (void)context;
    (void)error;
    return bv_http_reply(request,
                         &(struct bv_http_response){
                             .status = 200,
                             .content_type = "application/json",
                             .body = {text_body, sizeof text_body},
                             .etag = BV_BYTES("\"7\""),
                             .fields = &field,
                             .field_count = 1
    });
}

static int small(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "application/json",
                                                    .body = BV_BYTES("{}"),
                                                    .etag = BV_BYTES("\"7\"")});
}

static int image(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_http_reply(
        request,
        &(struct bv_http_response){
            .status = 200, .content_type = "image/png", .body = {text_body, sizeof text_body}
    });
}

static int noise(struct bv_http_request *request, void *context, struct bv_error *error)
{
    char *body = bv_arena_alloc(bv_http_arena(request), 4000);
    (void)context;
    (void)error;
    bv_random_system.fill(&bv_random_system, body, 4000);
    return bv_http_reply(request,
                         &(struct bv_http_response){
                             .status = 200,
                             .content_type = "text/plain",
                             .body = {body, 4000},
                             .body_in_arena = true
    });
}

static int empty(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_http_reply(request, &(struct bv_http_response){.status = 204});
}

static int splitting(struct bv_http_request *request, void *context, struct bv_error *error)
{
    const struct bv_http_field field = {"X-A", BV_BYTES("a\r\nX-B: b")};
    (void)context;
    return bv_fail(
        error,
        bv_http_reply(
            request, &(struct bv_http_response){.status = 200, .fields = &field, .field_count = 1}),
        "A field value holds a line end.");
}

static int put(struct bv_http_request *request, void *context, struct bv_error *error)
{
    int64_t version = -1;
    char text[32];
    (void)context;
    const int rc = bv_http_if_match(request, &version, error);
    if (rc < 0)
        return rc;
    (void)snprintf(text, sizeof text, "%d %lld", rc, (long long)version);
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "text/plain",
                                                    .body = bv_bytes_of(text)});
}

static void lines(struct bv_json_writer *w, const void *argument)
{
    bv_jw_kv_text(w, "orderId", argument);
}

static int sold_out(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_http_reply_problem(request,
                                 &(struct bv_http_problem){.status = 409,
                                                           .type = "/problems/sold-out",
                                                           .title = "Sold out",
                                                           .code = "sold-out",
                                                           .hint = "Order fewer.",
                                                           .detail = BV_BYTES("None left."),
                                                           .extra = lines,
                                                           .argument = "17",
                                                           .retry_after_s = 30});
}

static int invalid(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)request;
    (void)snprintf(error->pointer, sizeof error->pointer, "/items/0/sku");
    return bv_fail(error, BV_E_UNPROCESSABLE, "sku is missing");
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET,    .path = "/page",      .handler = page     },
    {.method = BV_GET,    .path = "/small",     .handler = small    },
    {.method = BV_GET,    .path = "/image",     .handler = image    },
    {.method = BV_GET,    .path = "/noise",     .handler = noise    },
    {.method = BV_DELETE, .path = "/empty",     .handler = empty    },
    {.method = BV_GET,    .path = "/splitting", .handler = splitting},
    {.method = BV_PUT,    .path = "/put",       .handler = put      },
    {.method = BV_POST,   .path = "/sold-out",  .handler = sold_out },
    {.method = BV_GET,    .path = "/invalid",   .handler = invalid  },
};

static struct testing t;
static struct client *c;
static struct client_reply reply;

static void begin(void)
{
    for (size_t i = 0; i < sizeof text_body; i++)
        text_body[i] = "{\"abc\": 12, "[i % 12];
    testing_start(&t, NULL, routes, BV_COUNT(routes));
    c = client_open(&t);
}

static void end(void)
{
    client_close(c);
    testing_stop(&t);
}

static int ask(const char *method, const char *path, const char *fields)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, fields);
    client_send(c, text);
    const bool none = strcmp(method, "HEAD") == 0 || strcasestr(fields, "if-none-match");
    client_read_kind(c, &reply, none && reply.status != -1 ? CLIENT_NO_BODY : CLIENT_BODY);
    return reply.status;
}

static bool head_has(const char *text)
{
    return strstr(reply.head, text) != NULL;
}

Test(http_response, equal_tags_give_304_without_a_body, .init = begin, .fini = end)
{
    static const char *const hits[] = {"\"7\"", "W/\"7\"", "\"6\", \"7\"", "*", "\"7--gzip\""};
    for (size_t i = 0; i < BV_COUNT(hits); i++) {
        char fields[64];
        (void)snprintf(fields, sizeof fields, "If-None-Match: %s\r\n", hits[i]);
        cr_expect_eq(ask("GET", "/small", fields), 304, "%s", hits[i]);
        cr_expect(head_has("ETag: \"7\"\r\n"));
        cr_expect_not(head_has("Content-Length"));
        cr_expect_eq(c->size, 0);
    }
    cr_expect_eq(ask("HEAD", "/small", "If-None-Match: \"7\"\r\n"), 304);
    cr_expect_eq(ask("GET", "/page", "If-None-Match: \"7\"\r\n"), 304);
    cr_expect(head_has("Cache-Control: max-age=5\r\n"));
    cr_expect(head_has("Vary: Accept-Encoding\r\n"));
}

Test(http_response, other_tags_give_the_body, .init = begin, .fini = end)
{
    client_send(c, "GET /small HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"77\", 7\r\n\r\n");
    client_read(c, &reply);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply.body, "{}");
}

Test(http_response, head_has_the_fields_of_get_and_no_body, .init = begin, .fini = end)
{
    cr_expect_eq(ask("HEAD", "/page", ""), 200);
    cr_expect(head_has("Content-Length: 5000\r\n"));
    cr_expect(head_has("Content-Type: application/json\r\n"));
    cr_expect_eq(c->size, 0);
    cr_expect_eq(ask("GET", "/small", ""), 200);
    cr_expect_str_eq(reply.body, "{}");
}

Test(http_response, gzip_is_used_where_accepted_and_where_it_pays, .init = begin, .fini = end)
{
    char unpacked[8192];
    z_stream z = {0};
    cr_expect_eq(ask("GET", "/page", "Accept-Encoding: br, gzip;q=0.5\r\n"), 200);
    cr_expect(head_has("Content-Encoding: gzip\r\n"));
    cr_expect(head_has("Vary: Accept-Encoding\r\n"));
    cr_expect(head_has("ETag: \"7--gzip\"\r\n"), "another representation, another strong tag");
    cr_expect_lt(reply.body_size, 500);
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)reply.body;
    z.avail_in = (uInt)reply.body_size;
    z.next_out = (Bytef *)unpacked;
    z.avail_out = sizeof unpacked;
    cr_expect_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    cr_expect_eq(z.total_out, sizeof text_body);
    cr_expect_eq(memcmp(unpacked, text_body, sizeof text_body), 0);
    inflateEnd(&z);
}

Test(http_response, gzip_stays_away_otherwise, .init = begin, .fini = end)
{
    static const struct {
        const char *path;
        const char *accept;
        bool vary;
    } rows[] = {
        {"/page",  "Accept-Encoding: gzip;q=0\r\n",            true },
        {"/page",  "Accept-Encoding: br\r\n",                  true },
        {"/page",  "",                                         true },
        {"/small", "Accept-Encoding: gzip\r\n",                false},
        {"/image", "Accept-Encoding: gzip\r\n",                false},
        {"/noise", "Accept-Encoding: gzip\r\n",                true },
        {"/page",  "Accept-Encoding: gzip;q=0.000, *;q=1\r\n", true },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_expect_eq(ask("GET", rows[i].path, rows[i].accept), 200);
        cr_expect_not(head_has("Content-Encoding"), "%s %s", rows[i].path, rows[i].accept);
        cr_expect_eq(
            head_has("Vary: Accept-Encoding"), rows[i].vary, "%s %s", rows[i].path, rows[i].accept);
    }
}

Test(http_response, no_content_has_no_length, .init = begin, .fini = end)
{
    cr_expect_eq(ask("DELETE", "/empty", ""), 204);
    cr_expect_not(head_has("Content-Length"));
    cr_expect_not(head_has("Content-Type"));
    cr_expect(head_has("Date: "));
}

Test(http_response, a_field_with_a_line_end_is_our_fault_and_never_sent, .init = begin, .fini = end)
{
    cr_expect_eq(ask("GET", "/splitting", ""), 400);
    cr_expect_not(head_has("X-B"));
}

Test(http_response, if_match_is_one_strong_version, .init = begin, .fini = end)
{
    static const struct {
        const char *field;
        int status;
        const char *body;
    } rows[] = {
        {"",                           428, NULL  },
        {"If-Match: \"7\"\r\n",        200, "0 7" },
        {"If-Match: \"7--gzip\"\r\n",  200, "0 7" },
        {"If-Match: *\r\n",            200, "1 -1"},
        {"If-Match: W/\"7\"\r\n",      412, NULL  },
        {"If-Match: \"abc\"\r\n",      412, NULL  },
        {"If-Match: 7\r\n",            400, NULL  },
        {"If-Match: \"7\", \"8\"\r\n", 400, NULL  },
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_expect_eq(ask("PUT", "/put", rows[i].field), rows[i].status, "%s", rows[i].field);
        if (rows[i].body)
            cr_expect_str_eq(reply.body, rows[i].body);
    }
}

Test(http_response, problems_carry_members_of_their_own, .init = begin, .fini = end)
{
    cr_expect_eq(ask("POST", "/sold-out", ""), 409);
    cr_expect(head_has("Retry-After: 30\r\n"));
    cr_expect(head_has("Content-Type: application/problem+json\r\n"));
    static const char *const parts[] = {"\"type\":\"/problems/sold-out\"",
                                        "\"title\":\"Sold out\"",
                                        "\"status\":409",
                                        "\"detail\":\"None left.\"",
                                        "\"instance\":\"/sold-out\"",
                                        "\"code\":\"sold-out\"",
                                        "\"hint\":\"Order fewer.\"",
                                        "\"orderId\":\"17\"",
                                        "\"traceId\":\""};
    for (size_t i = 0; i < BV_COUNT(parts); i++)
        cr_expect_not_null(strstr(reply.body, parts[i]), "%s", parts[i]);
    cr_expect_eq(ask("GET", "/invalid", ""), 422);
    cr_expect_not_null(
        strstr(reply.body,
               "\"errors\":[{\"pointer\":\"/items/0/sku\",\"detail\":\"sku is missing\"}]"),
        "%s",
        reply.body);
}

Test(http_response, a_version_is_a_quoted_tag)
{
    char tag[24];
    bv_http_etag_version(7, tag);
    cr_expect_str_eq(tag, "\"7\"");
    bv_http_etag_version(INT64_MAX, tag);
    cr_expect_str_eq(tag, "\"9223372036854775807\"");
}
