#include "http_testing.h"

static int echo(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    return bv_http_reply(request,
                         &(struct bv_http_response){.status = 200,
                                                    .content_type = "text/plain",
                                                    .body = bv_http_body(request)});
}

static const struct bv_http_route routes[] = {
    {.method = BV_GET, .path = "/", .handler = echo},
    {.method = BV_GET, .path = "/items/{id}", .handler = echo},
    {.method = BV_POST, .path = "/echo", .handler = echo, .body_bytes_max = 64},
    {.method = BV_POST,
     .path = "/json",
     .handler = echo,
     .body_bytes_max = 64,
     .consumes = "application/json"},
};

#define OK_LATER "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* Each probe is sent on a connection of its own with a good request behind it: after a broken one
 * nothing more may be answered. */
enum after { GOES_ON, ENDS };
static const struct probe {
    const char *name;
    const char *text;
    int status;
    enum after after;
} probes[] = {
    {"plain",                                                     "GET / HTTP/1.1\r\nHost: x\r\n\r\n",                                  200, GOES_ON},
    {"leading empty line",                                        "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",                              200, GOES_ON},
    {"absolute form",                                             "GET http://x/items/1 HTTP/1.1\r\nHost: x\r\n\r\n",                   200, GOES_ON},
    {"host with port",                                            "GET / HTTP/1.1\r\nHost: example.org:8080\r\n\r\n",                   200, GOES_ON},
    {"IPv6 host",                                                 "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",                           200, GOES_ON},
    {"1.0 without host",                                          "GET / HTTP/1.0\r\n\r\n",                                             200, ENDS   },
    {"1.0 keep-alive",                                            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",                   200, GOES_ON},
    {"close",                                                     "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",             200, ENDS   },
    {"chunked",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",                                     200,
     GOES_ON                                                                                                                                        },
    {"chunk extension",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",                                                                                      200,
     GOES_ON                                                                                                                                        },
    {"trailer",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: y\r\n\r\n",                                        200,
     GOES_ON                                                                                                                                        },
    {"h2c upgrade is ignored",
     "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",                                                        200,
     GOES_ON                                                                                                                                        },
    {"no host",                                                   "GET / HTTP/1.1\r\n\r\n",                                             400, ENDS   },
    {"two hosts",                                                 "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",                       400, ENDS   },
    {"empty host",                                                "GET / HTTP/1.1\r\nHost:\r\n\r\n",                                    400, ENDS   },
    {"host with space",                                           "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",                                400, ENDS   },
    {"host with slash",                                           "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",                                400, ENDS   },
    {"host with user",                                            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",                                400, ENDS   },
    {"host with bad port",                                        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",                            400, ENDS   },
    {"host with letters as port",                                 "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",                                400, ENDS   },
    {"host list",                                                 "GET / HTTP/1.1\r\nHost: a, b/\r\n\r\n",                              400, ENDS   },
    {"version 2.0",                                               "GET / HTTP/2.0\r\nHost: x\r\n\r\n",                                  505, ENDS   },
    {"version 1.2",                                               "GET / HTTP/1.2\r\nHost: x\r\n\r\n",                                  505, ENDS   },
    {"version 0.9",                                               "GET / HTTP/0.9\r\nHost: x\r\n\r\n",                                  505, ENDS   },
    {"version 3.1",                                               "GET / HTTP/3.1\r\nHost: x\r\n\r\n",                                  505, ENDS   },
    {"HTTP/2 preface",                                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",                                   505, ENDS   },
    {"HTTP/0.9 without a version",                                "GET /\r\n\r\n",                                                      505, ENDS   },
    {"lower-case protocol",                                       "GET / http/1.1\r\nHost: x\r\n\r\n",                                  400, ENDS   },
    {"length and chunked",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",                                                                                                        400,
     ENDS                                                                                                                                           },
    {"chunked and length",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: "
     "5\r\n\r\n0\r\n\r\n",                                                                                                              400,
     ENDS                                                                                                                                           },
    {"two lengths",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",                                           400,
     ENDS                                                                                                                                           },
    {"two equal lengths",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",                                           400,
     ENDS                                                                                                                                           },
    {"length list",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",                                                             400,
     ENDS                                                                                                                                           },
    {"negative length",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",                                                               400,
     ENDS                                                                                                                                           },
    {"length with plus",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",                                                               400,
     ENDS                                                                                                                                           },
    {"length overflow",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nhello",                                             400,
     ENDS                                                                                                                                           },
    {"hex length",                                                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello", 400, ENDS   },
    {"empty length",                                              "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",          400, ENDS   },
    {"bad chunk size",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",                                                                                        400,
     ENDS                                                                                                                                           },
    {"chunk with minus",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",                                    400,
     ENDS                                                                                                                                           },
    {"chunk too long",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",                                    400,
     ENDS                                                                                                                                           },
    {"chunk size overflow",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",                                       400,
     ENDS                                                                                                                                           },
    {"chunk ended by LF",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",                                             400,
     ENDS                                                                                                                                           },
    {"coding not last",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",                                             400,
     ENDS                                                                                                                                           },
    {"other coding",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",                                             501,
     ENDS                                                                                                                                           },
    {"chunked in 1.0",
     "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",                                                              400,
     ENDS                                                                                                                                           },
    {"space before colon",                                        "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",                         400, ENDS   },
    {"host with space before colon",                              "GET / HTTP/1.1\r\nHost : x\r\n\r\n",                                 400, ENDS   },
    {"folded line",                                               "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",                    400, ENDS   },
    {"space before first field",                                  "GET / HTTP/1.1\r\n Host: x\r\n\r\n",                                 400, ENDS   },
    {"field without colon",                                       "GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",                      400, ENDS   },
    {"empty field name",                                          "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",                           400, ENDS   },
    {"bad field name",                                            "GET / HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n",                       400, ENDS   },
    {"control character",                                         "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n",                      400, ENDS   },
    {"bare CR in value",                                          "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",                       400, ENDS   },
    {"bare LF lines",                                             "GET / HTTP/1.1\nHost: x\n\n",                                        400, ENDS   },
    {"unknown method",                                            "BREW / HTTP/1.1\r\nHost: x\r\n\r\n",                                 400, ENDS   },
    {"lower-case method",                                         "get / HTTP/1.1\r\nHost: x\r\n\r\n",                                  400, ENDS   },
    {"connect",                                                   "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",                        501, ENDS   },
    {"tab in request line",                                       "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",                                 400, ENDS   },
    {"two spaces in request line, as RFC 9112 section 3 lets us",
     "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",                                                                                              200,
     GOES_ON                                                                                                                                        },
    {"text after version",                                        "GET / HTTP/1.1 x\r\nHost: x\r\n\r\n",                                400, ENDS   },
    {"relative target",                                           "GET items HTTP/1.1\r\nHost: x\r\n\r\n",                              400, ENDS   },
    {"TLS hello",                                                 "\x16\x03\x01\x02",                                                   400, ENDS   },
    {"asterisk with GET",                                         "GET * HTTP/1.1\r\nHost: x\r\n\r\n",                                  400, GOES_ON},
    {"asterisk with OPTIONS",                                     "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",                              204, GOES_ON},
    {"OPTIONS",                                                   "OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n",                          204, GOES_ON},
    {"unknown path",                                              "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n",                              404, GOES_ON},
    {"other method",                                              "DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n",                           405, GOES_ON},
    {"TRACE",                                                     "TRACE /echo HTTP/1.1\r\nHost: x\r\n\r\n",                            405, GOES_ON},
    {"dot segments",                                              "GET /items/../x HTTP/1.1\r\nHost: x\r\n\r\n",                        400, GOES_ON},
    {"escaped dot segments",                                      "GET /items/%2e%2E HTTP/1.1\r\nHost: x\r\n\r\n",                      400, GOES_ON},
    {"single dot",                                                "GET /./items HTTP/1.1\r\nHost: x\r\n\r\n",                           400, GOES_ON},
    {"bad escape",                                                "GET /items/%zz HTTP/1.1\r\nHost: x\r\n\r\n",                         400, GOES_ON},
    {"cut escape",                                                "GET /items/%4 HTTP/1.1\r\nHost: x\r\n\r\n",                          400, GOES_ON},
    {"escaped NUL",                                               "GET /items/a%00b HTTP/1.1\r\nHost: x\r\n\r\n",                       400, GOES_ON},
    {"escaped bad UTF-8",                                         "GET /items/%ff HTTP/1.1\r\nHost: x\r\n\r\n",                         400, GOES_ON},
    {"bad escape in query",                                       "GET /items/1?a=%g1 HTTP/1.1\r\nHost: x\r\n\r\n",                     400, GOES_ON},
    {"fragment",                                                  "GET /items/1#a HTTP/1.1\r\nHost: x\r\n\r\n",                         400, GOES_ON},
    {"body where none is taken",
     "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",                                                                        413,
     GOES_ON                                                                                                                                        },
    {"body over the cap",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n"
     "0123456789012345678901234567890123456789012345678901234567890123x",                                                               413,
     GOES_ON                                                                                                                                        },
    {"announced body far over the cap",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",                                                                413,
     ENDS                                                                                                                                           },
    {"chunked body over the cap",
     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n"
     "0123456789012345678901234567890123456789012345678901234567890123x\r\n0\r\n\r\n",                                                  413,
     ENDS                                                                                                                                           },
    {"wrong type",
     "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",                                       415,
     GOES_ON                                                                                                                                        },
    {"no type",                                                   "POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",      415, GOES_ON},
    {"type with parameter",
     "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: Application/JSON; "
     "charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",                                                                                    200,
     GOES_ON                                                                                                                                        },
    {"gzipped body",
     "POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: "
     "gzip\r\nContent-Length: 2\r\n\r\n{}",                                                                                             415,
     GOES_ON                                                                                                                                        },
    {"unknown expectation",
     "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 2\r\n\r\nab",                                                    417,
     ENDS                                                                                                                                           },
    {"refused expectation",
     "POST /nope HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",                                             404,
     ENDS                                                                                                                                           },
};

Test(http_parse, every_probe_gets_its_status_and_a_broken_stream_no_second_answer)
{
    struct testing t;
    struct client_reply *reply = calloc(1, sizeof *reply);
    testing_start(&t, NULL, routes, BV_COUNT(routes));
    for (size_t i = 0; i < BV_COUNT(probes); i++) {
        struct client *c = client_open(&t);
        client_send(c, probes[i].text);
        client_send(c, OK_LATER);
        client_read(c, reply);
        cr_expect_eq(reply->status,
                     probes[i].status,
                     "%s: %d, not %d\n%s",
                     probes[i].name,
                     reply->status,
                     probes[i].status,
                     reply->body);
        if (probes[i].after == GOES_ON) {
            client_read(c, reply);
            cr_expect_eq(reply->status,
                         200,
                         "%s: the next request is answered %d",
                         probes[i].name,
                         reply->status);
        } else {
            cr_expect_not_null(strstr(reply->head, "Connection: close\r\n"), "%s", probes[i].name);
            (void)client_ended(c);
            cr_expect_eq(c->size, 0, "%s: a second answer: %s", probes[i].name, c->data);
        }
        client_close(c);
    }
    free(reply);
    testing_stop(&t);
}

Test(http_parse, bytes_may_come_one_by_one)
{
    struct testing t;
    struct client_reply *reply = calloc(1, sizeof *reply);
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Long: "
        "abcdefgh\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n";
    testing_start(&t, NULL, routes, BV_COUNT(routes));
    struct client *c = client_open(&t);
    for (size_t i = 0; i + 1 < sizeof text; i++)
        client_send_bytes(c, text + i, 1);
    client_read(c, reply);
    cr_expect_eq(reply->status, 200);
    cr_expect_str_eq(reply->body, "helloyou");
    client_close(c);
    free(reply);
    testing_stop(&t);
}

Test(http_parse, a_nul_is_refused_wherever_it_stands)
{
    static const char text[] = "GET /items/1 HTTP/1.1\r\nHost: x\r\nAbc: def\r\n\r\n";
    struct testing t;
    struct client_reply *reply = calloc(1, sizeof *reply);
    testing_start(&t, NULL, routes, BV_COUNT(routes));
    for (size_t i = 0; i + 3 < sizeof text; i++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        struct client *c = client_open(&t);
        client_send_bytes(c, copy, sizeof text - 1);
        client_read(c, reply);
        cr_expect(reply->status == 400 || reply->status == 505, "NUL at %zu: %d", i, reply->status);
        (void)client_ended(c);
        cr_expect_eq(c->size, 0);
        client_close(c);
    }
    free(reply);
    testing_stop(&t);
}

static void send_long(struct client *c, const char *before, size_t count, const char *after)
{
    char *text = malloc(count);
    memset(text, 'a', count);
    client_send(c, before);
    client_send_bytes(c, text, count);
    client_send(c, after);
    free(text);
}

Test(http_parse, long_targets_fields_and_field_counts_are_refused)
{
    struct testing t;
    struct client_reply *reply = calloc(1, sizeof *reply);
    testing_start(&t, NULL, routes, BV_COUNT(routes));
    struct client *c = client_open(&t);
    send_long(c, "GET /items/", 17000, " HTTP/1.1\r\nHost: x\r\n\r\n");
    client_read(c, reply);
    cr_expect_eq(reply->status, 414);
    client_close(c);
    c = client_open(&t);
    send_long(c, "GET / HTTP/1.1\r\nHost: x\r\nA: ", 17000, "\r\n\r\n");
    client_read(c, reply);
    cr_expect_eq(reply->status, 431);
    client_close(c);
    c = client_open(&t);
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 100; i++)
        client_send(c, "a: b\r\n");
    client_send(c, "\r\n");
    client_read(c, reply);
    cr_expect_eq(reply->status, 431);
    client_close(c);
    c = client_open(&t);
    send_long(c,
              "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
              17000,
              "\r\nx\r\n0\r\n\r\n");
    client_read(c, reply);
    cr_expect_eq(reply->status, 400);
    client_close(c);
    free(reply);
    testing_stop(&t);
}

Test(http_parse, continue_is_sent_before_a_welcome_body)
{
    struct testing t;
    struct client_reply *reply = calloc(1, sizeof *reply);
    testing_start(&t, NULL, routes, BV_COUNT(routes));
    struct client *c = client_open(&t);
    client_send(
        c, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    cr_assert_not_null(client_await_text(c, "\r\n\r\n"));
    cr_expect_str_eq(c->data, "HTTP/1.1 100 Continue\r\n\r\n");
    client_drop(c, c->size);
    cr_expect_eq(client_ask(c, reply, "ab"), 200);
    cr_expect_str_eq(reply->body, "ab");
    client_close(c);
    free(reply);
    testing_stop(&t);
}
