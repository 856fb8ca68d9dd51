/* Input: a byte for the size of the pieces, then what a client sends on one connection. Properties:
 * how the stream is cut never changes what is answered; the answers are a sequence of well-formed
 * responses (judged by llhttp as the client's parser), nothing follows one that says "close"; what
 * a handler is given is decoded: UTF-8 without NUL in paths and queries, bodies within their cap;
 * when the client has ended, the connection ends at once. */
#include "http_fuzzing.h"

enum { BODY_MAX = 600 };

static int show(struct bv_http_request *request, void *context, struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 1 << 20};
    const struct bv_bytes id = bv_http_param(request, "id");
    const struct bv_bytes q = bv_http_query(request, "q");
    int64_t limit = 0;
    (void)context;
    FUZZ_REQUIRE(id.size > 0 && bv_bytes_utf8(id) && !memchr(id.data, 0, id.size));
    FUZZ_REQUIRE(bv_bytes_utf8(q) && !(q.size && memchr(q.data, 0, q.size)));
    FUZZ_REQUIRE(bv_http_body(request).size <= BODY_MAX);
    BV_TRY(bv_http_query_int(request, "limit", 1, 100, 20, &limit, error));
    FUZZ_REQUIRE(limit >= 1 && limit <= 100);
    bv_buf_format(&buf, "%.*s|%.*s|%lld|", BV_ARG(id), BV_ARG(q), (long long)limit);
    bv_buf_bytes(&buf, bv_http_header(request, "x-a"));
    bv_buf_bytes(&buf, bv_http_body(request));
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "text/plain",
                                                    .body = bv_buf_view(&buf)});
}

static int json(struct bv_http_request *request, void *context, struct bv_error *error)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 1 << 20};
    const struct bv_json *root = NULL;
    (void)context;
    BV_TRY(bv_http_json(request, &root, error));
    bv_json_write(&buf, root);
    return bv_http_reply_json(request, 201, &buf);
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/show/{id}", .handler = show},
    {.method = BV_POST, .path = "/show/{id}", .handler = show, .body_bytes_max = BODY_MAX},
    {.method = BV_PUT,
     .path = "/json",
     .handler = json,
     .body_bytes_max = BODY_MAX,
     .consumes = "application/json"},
    {.method = BV_DELETE, .path = "/", .handler = json, .scope = "any"},
};

struct client {
    bool whole;
};

static int on_end(llhttp_t *parser)
{
    ((struct client *)parser->data)->whole = true;
    return 0;
}

static int on_begin(llhttp_t *parser)
{
    ((struct client *)parser->data)->whole = false;
    return 0;
}

static void check_answers(struct bv_bytes out)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    struct client client = {.whole = true};
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_end;
    settings.on_message_begin = on_begin;
    llhttp_init(&parser, HTTP_RESPONSE, &settings);
    parser.data = &client;
    const llhttp_errno_t rc = llhttp_execute(&parser, out.data, out.size);
    if (rc != HPE_OK)
        fprintf(stderr, "%s after:\n%.*s\n", llhttp_get_error_reason(&parser), BV_ARG(out));
    FUZZ_REQUIRE(rc == HPE_OK && client.whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf whole = {.max = FUZZING_OUT_BYTES};
    bv_auto(bv_buf_release) struct bv_buf cut = {.max = FUZZING_OUT_BYTES};
    struct bv_bytes input = fuzz_bytes(data, size);
    const size_t piece = fuzz_byte(&input) % 31u + 1;
    if (input.size == 0 || input.size > 8192)
        return 0;
    struct bv_http_server *server = fuzzing_server(routes, BV_COUNT(routes));
    fuzzing_exchange(server, input, input.size, &whole);
    fuzzing_exchange(server, input, piece, &cut);
    FUZZ_REQUIRE(bv_bytes_equal(bv_buf_view(&whole), bv_buf_view(&cut)));
    /* An answer to HEAD has a length and no body, which its reader must know of. */
    if (whole.size > 0 && !memmem(input.data, input.size, "HEAD", 4))
        check_answers(bv_buf_view(&whole));
    return 0;
}
