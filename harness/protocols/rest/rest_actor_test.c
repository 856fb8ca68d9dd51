#include "rest_actor.h"

#include "lab.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lab lab;
static struct lab_server server;

static int echo(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context, (void)error;
    struct bv_buf body = {.max = 65536};
    struct bv_json_writer w = bv_json_writer(&body);
    bv_jw_object(&w);
    bv_jw_kv_string(&w, "body", bv_http_body(request));
    bv_jw_kv_string(&w, "key", bv_http_header(request, "idempotency-key"));
    bv_jw_kv_string(&w, "type", bv_http_header(request, "content-type"));
    bv_jw_kv_string(&w, "token", bv_http_header(request, "authorization"));
    bv_jw_kv_string(&w, "trace", bv_http_header(request, "traceparent"));
    bv_jw_kv_string(&w, "correlation", bv_http_header(request, "correlation-id"));
    bv_jw_kv_string(&w, "extra", bv_http_header(request, "x-extra"));
    bv_jw_end(&w);
    return bv_http_reply_json(request, 201, &body);
}

static int fail(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)request, (void)context;
    return bv_fail(error, BV_E_NOT_FOUND, "nothing here");
}

static int empty(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context, (void)error;
    return bv_http_reply(request, &(struct bv_http_response){.status = 204});
}

static const struct bv_http_route routes[] = {
    {.method = BV_POST,
     .path = "/echo",
     .operation_id = "echo",
     .handler = echo,
     .body_bytes_max = 4096},
    {.method = BV_GET, .path = "/echo", .operation_id = "read", .handler = echo},
    {.method = BV_GET, .path = "/missing", .operation_id = "missing", .handler = fail},
    {.method = BV_DELETE, .path = "/echo", .operation_id = "end", .handler = empty},
};

static void setup(void)
{
    lab_server_start(&server, routes, BV_COUNT(routes), NULL, 0, NULL);
    lab_open(&lab, &server, &bv_protocol_rest);
    cr_assert_eq(lab_declare(&lab, LAB_WORDS("target", "gateway", "identity", "customer")),
                 0,
                 "%s",
                 lab.error.text);
}

static void teardown(void)
{
    lab_close(&lab);
    lab_server_stop(&server);
}

TestSuite(rest_actor, .init = setup, .fini = teardown);

static const char *answer(const char *path)
{
    return lab_probe(&lab, lab.actor.current, "json", path);
}

Test(rest_actor, posts_json_with_key_token_and_trace)
{
    cr_assert_eq(lab_run(&lab, "posts", LAB_WORDS("path", "/echo?x=1", "key", "k-1"), "{\"a\":1}"),
                 0,
                 "%s",
                 lab.error.text);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "status", NULL), "201");
    cr_expect_str_eq(answer("$.body"), "{\"a\":1}");
    cr_expect_str_eq(answer("$.key"), "\"k-1\"");
    cr_expect_str_eq(answer("$.type"), "application/json");
    cr_expect_str_eq(answer("$.token"), "Bearer " LAB_TOKEN);
    cr_expect_str_eq(answer("$.correlation"), "run-1");
    char trace[33];
    bv_trace_id_format(&lab.lab.trace, trace);
    cr_expect(strstr(answer("$.trace"), trace), "%s", answer("$.trace"));
}

Test(rest_actor, records_the_request_and_its_answer)
{
    cr_assert_eq(lab_run(&lab, "posts", LAB_WORDS("path", "/echo"), "{}"), 0);
    const struct bv_message *got = lab.actor.current;
    const struct bv_message *sent = bv_recording_at(lab.lab.recording, got->answers);
    cr_assert_not_null(sent);
    cr_expect_eq(sent->direction, BV_SENT);
    cr_expect(bv_bytes_equal(sent->type, BV_BYTES("POST /echo")));
    cr_expect_gt(got->latency_us, 0);
    cr_expect(memcmp(got->trace.span_id, sent->trace.span_id, 8) == 0);
}

Test(rest_actor, an_error_answer_is_an_answer)
{
    cr_assert_eq(lab_run(&lab, "gets", LAB_WORDS("path", "/missing"), NULL), 0);
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "status", NULL), "404");
    cr_expect_str_eq(lab_probe(&lab, lab.actor.current, "header", "Content-Type"),
                     "application/problem+json");
}

Test(rest_actor, expecting_nothing_refuses_a_body)
{
    cr_expect_eq(lab_run(&lab, "deletes", LAB_WORDS("path", "/echo", "nothing", ""), NULL), 0);
    cr_expect_eq(lab_run(&lab, "gets", LAB_WORDS("path", "/echo", "nothing", ""), NULL),
                 BV_MISMATCH);
}

Test(rest_actor, who_asks_may_differ_per_request)
{
    cr_assert_eq(lab_run(&lab, "gets", LAB_WORDS("path", "/echo", "identity", "nobody"), NULL), 0);
    cr_expect_str_eq(answer("$.token"), "");
}

Test(rest_actor, nobody_listening_and_no_route_are_red)
{
    cr_expect_eq(lab_run(&lab, "gets", LAB_WORDS("path", "/unknown"), NULL), BV_MISMATCH);
    struct lab alone;
    lab_open(&alone, NULL, &bv_protocol_rest);
    cr_assert_eq(lab_declare(&alone, LAB_WORDS("target", "order")), 0);
    cr_expect_eq(lab_run(&alone, "gets", LAB_WORDS("path", "/x"), NULL), BV_MISMATCH);
    cr_expect(lab_noted(&alone, "GET http"));
    lab_close(&alone);
}

Test(rest_actor, a_path_begins_with_a_slash)
{
    cr_expect_eq(lab_run(&lab, "gets", LAB_WORDS("path", "echo"), NULL), BV_E_INVALID);
}

/* A server that takes the connection and never says a word. */
Test(rest_actor, an_interrupt_ends_a_request_that_nobody_answers, .timeout = 20)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(lab.url, sizeof lab.url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    lab.lab.timeout_ms = 3600000;
    bv_recording_interrupt(lab.lab.recording);
    cr_expect_eq(lab_run(&lab, "gets", LAB_WORDS("path", "/silent"), NULL), BV_E_CANCELLED);
    close(fd);
}

Test(rest_actor, a_request_ends_at_the_deadline_of_its_step, .timeout = 20)
{
    struct bv_call call = {.deadline_mono_us = 1};
    lab.lab.timeout_ms = 3600000;
    cr_expect_eq(bv_actor_left_ms(&lab.actor, &call), 1, "long ago");
    call.deadline_mono_us = bv_mono_us(lab.lab.env) + 3000000;
    cr_expect_leq(bv_actor_left_ms(&lab.actor, &call), 3000);
    lab.lab.timeout_ms = 10;
    cr_expect_eq(bv_actor_left_ms(&lab.actor, &call), 10);
    call.deadline_mono_us = 0;
    cr_expect_eq(bv_actor_left_ms(&lab.actor, &call), 10, "none");
}
