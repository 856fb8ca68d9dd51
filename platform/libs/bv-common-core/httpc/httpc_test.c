#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bv/httpc.h"
#include "fake_peer.h"

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind:  plain \r\n\r\nok"

/* One client, one peer; done writes down what came. */
struct bench {
    struct bv_loop *loop;
    struct bv_httpc *client;
    struct fake_peer *peer;
    struct bv_timer *guard;
    size_t done;
    size_t done_to_stop;
    size_t cancelled;
    size_t timeouts;
    int rc;
    int status;
    int64_t elapsed_us;
    char body[128];
    char kind[32];
    char reason[160];
    const struct bv_httpc_request *again; /* sent from the first done */
};

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("nothing came within ten seconds");
}

static void open_bench(struct bench *bench,
                       const struct fake_answer *script,
                       size_t count,
                       const struct bv_httpc_config *config)
{
    *bench = (struct bench){.done_to_stop = 1};
    cr_assert_eq(bv_loop_open(&env, &bench->loop), 0);
    cr_assert_eq(bv_timer_open(bench->loop, on_guard, NULL, &bench->guard), 0);
    bv_timer_set(bench->guard, 10000, 0);
    cr_assert_eq(fake_peer_open(bench->loop, script, count, &bench->peer), 0);
    cr_assert_eq(
        bv_httpc_open(bench->loop, config ? config : &bv_httpc_config_default, &bench->client), 0);
}

static void close_bench(struct bench *bench)
{
    bv_httpc_close(&bench->client);
    fake_peer_close(&bench->peer);
    bv_timer_close(&bench->guard);
    bv_loop_close(&bench->loop);
}

static void on_done(void *argument,
                    int rc,
                    const struct bv_httpc_response *response,
                    const struct bv_error *error)
{
    struct bench *bench = argument;
    bench->rc = rc;
    cr_assert_eq(rc == 0, response != NULL);
    if (response) {
        bench->status = response->status;
        bench->elapsed_us = response->elapsed_us;
        snprintf(bench->body, sizeof(bench->body), "%.*s", BV_ARG(response->body));
        snprintf(
            bench->kind, sizeof(bench->kind), "%.*s", BV_ARG(bv_httpc_field(response, "x-kind")));
    } else {
        cr_assert_eq(error->code, rc);
        snprintf(bench->reason, sizeof(bench->reason), "%s", error->text);
        bench->timeouts += rc == BV_E_TIMEOUT;
        bench->cancelled += rc == BV_E_CANCELLED;
    }
    const struct bv_httpc_request *again = bench->again;
    bench->again = NULL;
    if (again)
        cr_assert_eq(bv_httpc_send(bench->client, again, on_done, bench),
                     bench->client ? 0 : BV_E_CLOSED);
    if (++bench->done == bench->done_to_stop)
        bv_loop_stop(bench->loop);
}

static struct bv_httpc_request get(struct bench *bench)
{
    return (struct bv_httpc_request){
        .method = "GET", .url = fake_peer_url(bench->peer, "/a?b=1"), .timeout_ms = 5000};
}

static void exchange(struct bench *bench, const struct bv_httpc_request *request)
{
    bench->done = 0;
    cr_assert_eq(bv_httpc_send(bench->client, request, on_done, bench), 0);
    cr_assert_eq(bench->done, 0, "done is never called from within send");
    cr_assert_eq(bv_loop_run(bench->loop), 0);
}

static const struct fake_answer polite[] = {
    {OK_2, FAKE_KEEP}
};

Test(httpc, answer_comes_with_status_fields_and_body)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_httpc_request request = get(&bench);
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    cr_assert_eq(bench.status, 200);
    cr_assert_str_eq(bench.body, "ok");
    cr_assert_str_eq(bench.kind, "plain");
    cr_assert_gt(bench.elapsed_us, 0);
    cr_assert(
        bv_bytes_starts(fake_peer_request(bench.peer, 0), BV_BYTES("GET /a?b=1 HTTP/1.1\r\n")));
    close_bench(&bench);
}

Test(httpc, request_carries_fields_trace_and_body)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_trace trace = bv_trace_child(&env, NULL, 1000000);
    struct bv_http_field fields[] = {
        {"Content-Type", BV_BYTES("application/json")},
        {"X-Empty",      BV_BYTES("")                },
    };
    struct bv_httpc_request request = get(&bench);
    request.method = "POST";
    request.fields = fields;
    request.field_count = BV_COUNT(fields);
    request.body = BV_BYTES("{\"a\":\"\0\"}");
    request.trace = &trace;
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    const char *sent = fake_peer_request(bench.peer, 0).data;
    char expected[128] = "\r\ntraceparent: ";
    bv_trace_format(&trace, expected + strlen(expected));
    cr_assert_not_null(strstr(sent, expected), "%s", sent);
    cr_assert_not_null(strstr(sent, "\r\nContent-Type: application/json\r\n"), "%s", sent);
    cr_assert_not_null(strstr(sent, "\r\nX-Empty:\r\n"), "%s", sent);
    cr_assert_not_null(strstr(sent, "\r\nContent-Length: 9\r\n"), "%s", sent);
    cr_assert_not_null(strstr(sent, "\r\nUser-Agent: bitvelocity\r\n"), "%s", sent);
    cr_assert_null(strstr(sent, "Expect:"));
    cr_assert(bv_bytes_equal(fake_peer_body(bench.peer, 0), request.body));
    close_bench(&bench);
}

Test(httpc, no_field_of_the_former_request_stays)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_http_field fields[] = {
        {"X-Former", BV_BYTES("1")}
    };
    struct bv_httpc_request request = get(&bench);
    request.method = "PUT";
    request.body = BV_BYTES("former");
    request.fields = fields;
    request.field_count = 1;
    exchange(&bench, &request);
    request = get(&bench);
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    const char *sent = fake_peer_request(bench.peer, 1).data;
    cr_assert(strncmp(sent, "GET ", 4) == 0, "%s", sent);
    cr_assert_null(strstr(sent, "X-Former"));
    cr_assert_null(strstr(sent, "Content-Length"));
    close_bench(&bench);
}

Test(httpc, empty_post_says_its_length)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_httpc_request request = get(&bench);
    request.method = "POST";
    exchange(&bench, &request);
    const char *sent = fake_peer_request(bench.peer, 0).data;
    cr_assert_not_null(strstr(sent, "\r\nContent-Length: 0\r\n"), "%s", sent);
    cr_assert_null(strstr(sent, "Content-Type"), "%s", sent);
    close_bench(&bench);
}

Test(httpc, connection_is_kept_and_used_again)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_httpc_request request = get(&bench);
    for (int i = 0; i < 5; i++) {
        exchange(&bench, &request);
        cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    }
    cr_assert_eq(fake_peer_requests(bench.peer), 5);
    cr_assert_eq(fake_peer_connections(bench.peer), 1);
    close_bench(&bench);
}

Test(httpc, head_has_no_body_whatever_its_length_says)
{
    static const struct fake_answer script[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nX-Kind: h\r\n\r\n", FAKE_KEEP},
        {OK_2,                                                               FAKE_KEEP}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), NULL);
    struct bv_httpc_request request = get(&bench);
    request.method = "HEAD";
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    cr_assert_str_eq(bench.kind, "h");
    cr_assert_str_eq(bench.body, "");
    request.method = "GET";
    exchange(&bench, &request);
    cr_assert_str_eq(bench.body, "ok");
    close_bench(&bench);
}

Test(httpc, interim_answer_is_skipped_and_redirect_is_not_followed)
{
    static const struct fake_answer script[] = {
        {"HTTP/1.1 103 Early Hints\r\nX-Kind: early\r\n\r\nHTTP/1.1 302 Found\r\nLocation: "
         "/b\r\nContent-Length: 0\r\n\r\n", FAKE_KEEP}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), NULL);
    struct bv_httpc_request request = get(&bench);
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    cr_assert_eq(bench.status, 302);
    cr_assert_str_eq(bench.kind, "");
    cr_assert_eq(fake_peer_requests(bench.peer), 1);
    close_bench(&bench);
}

Test(httpc, chunked_answer_is_joined_and_its_trailer_dropped)
{
    static const struct fake_answer script[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nX-Kind: "
         "late\r\n\r\n", FAKE_KEEP}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), NULL);
    struct bv_httpc_request request = get(&bench);
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    cr_assert_str_eq(bench.body, "abcde");
    cr_assert_str_eq(bench.kind, "");
    close_bench(&bench);
}

/* One misbehaviour, one code. */
struct misbehaviour {
    const char *name;
    struct fake_answer answer;
    int rc;
};
static const struct misbehaviour misbehaviours[] = {
    {"silent",            {"", FAKE_SILENT},                                                    BV_E_TIMEOUT    },
    {"half an answer",
     {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", FAKE_SILENT},
     BV_E_TIMEOUT                                                                                               },
    {"closed",            {"", FAKE_CLOSE},                                                     BV_E_UNAVAILABLE},
    {"reset",             {"", FAKE_RESET},                                                     BV_E_UNAVAILABLE},
    {"cut body",
     {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", FAKE_CLOSE},
     BV_E_UNAVAILABLE                                                                                           },
    {"cut head",          {"HTTP/1.1 200 OK\r\nContent-Le", FAKE_CLOSE},                        BV_E_UNAVAILABLE},
    {"cut after a field", {"HTTP/1.1 204 No Content\r\nx: y\r\n", FAKE_CLOSE},                  BV_E_UNAVAILABLE},
    {"no HTTP",           {"hello there\r\n\r\n", FAKE_CLOSE},                                  BV_E_PROTOCOL   },
    {"big by length",
     {"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", FAKE_SILENT},
     BV_E_TOO_LARGE                                                                                             },
    {"big by bytes",
     {"HTTP/1.1 200 OK\r\n\r\n01234567890123456789012345678901234567890123456789", FAKE_CLOSE},
     BV_E_TOO_LARGE                                                                                             },
};

Test(httpc, each_misbehaviour_has_its_code)
{
    for (size_t i = 0; i < BV_COUNT(misbehaviours); i++) {
        struct bv_httpc_config config = bv_httpc_config_default;
        config.response_bytes_max = 32;
        struct bench bench;
        open_bench(&bench, &misbehaviours[i].answer, 1, &config);
        struct bv_httpc_request request = get(&bench);
        request.timeout_ms = misbehaviours[i].rc == BV_E_TIMEOUT ? 30 : 5000;
        exchange(&bench, &request);
        cr_expect_eq(bench.rc,
                     misbehaviours[i].rc,
                     "%s: %d %s",
                     misbehaviours[i].name,
                     bench.rc,
                     bench.reason);
        cr_expect_neq(bench.reason[0], '\0', "%s", misbehaviours[i].name);
        close_bench(&bench);
    }
}

Test(httpc, refused_connection_is_unavailable)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_httpc_request request = get(&bench);
    fake_peer_vanish(bench.peer);
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, BV_E_UNAVAILABLE, "%s", bench.reason);
    close_bench(&bench);
}

Test(httpc, kept_connection_that_the_peer_closed_is_replaced)
{
    static const struct fake_answer script[] = {
        {OK_2, FAKE_CLOSE}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), NULL);
    struct bv_httpc_request request = get(&bench);
    for (int i = 0; i < 3; i++) {
        exchange(&bench, &request);
        cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    }
    cr_assert_eq(fake_peer_connections(bench.peer), 3);
    close_bench(&bench);
}

Test(httpc, deadline_counts_the_wait_for_a_connection)
{
    static const struct fake_answer script[] = {
        {"", FAKE_SILENT}
    };
    struct bv_httpc_config config = bv_httpc_config_default;
    config.connections_per_host_max = 1;
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), &config);
    struct bv_httpc_request request = get(&bench);
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), 0);
    request.timeout_ms = 30;
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), 0);
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    cr_assert_eq(bench.timeouts, 1);
    cr_assert_eq(bv_httpc_pending(bench.client), 1, "the first still runs");
    cr_assert_eq(fake_peer_connections(bench.peer), 1);
    close_bench(&bench);
    cr_assert_eq(bench.cancelled, 1);
}

Test(httpc, requests_past_the_limit_are_refused)
{
    struct bv_httpc_config config = bv_httpc_config_default;
    config.requests_max = 2;
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), &config);
    struct bv_httpc_request request = get(&bench);
    bench.done_to_stop = 2;
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), 0);
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), 0);
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), BV_E_LIMIT);
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), 0, "room again");
    close_bench(&bench);
}

Test(httpc, close_cancels_what_runs_and_takes_nothing_new)
{
    static const struct fake_answer script[] = {
        {"", FAKE_SILENT}
    };
    struct bench bench;
    open_bench(&bench, script, BV_COUNT(script), NULL);
    struct bv_httpc_request request = get(&bench);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), 0);
    bv_httpc_close(&bench.client);
    cr_assert_eq(bench.cancelled, 3);
    close_bench(&bench);
}

Test(httpc, done_may_send_the_next)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_httpc_request request = get(&bench);
    bench.again = &request;
    bench.done_to_stop = 2;
    exchange(&bench, &request);
    cr_assert_eq(bench.done, 2);
    cr_assert_eq(fake_peer_requests(bench.peer), 2);
    close_bench(&bench);
}

struct refusal {
    struct bv_httpc_request request;
    struct bv_http_field field;
};
static const struct refusal refusals[] = {
    {{.method = "GET", .url = "http://user:pw@127.0.0.1:1/", .timeout_ms = 1}, {0}                         },
    {{.method = "GET", .url = "ftp://127.0.0.1/", .timeout_ms = 1},            {0}                         },
    {{.method = "GET", .url = "file:///etc/hostname", .timeout_ms = 1},        {0}                         },
    {{.method = "GET", .url = "/relative", .timeout_ms = 1},                   {0}                         },
    {{.method = "GET", .url = "127.0.0.1:80/", .timeout_ms = 1},               {0}                         },
    {{.method = "GET", .url = "http://127.0.0.1/a b", .timeout_ms = 1},        {0}                         },
    {{.method = "GET", .url = "http://127.0.0.1/\r\nX: y", .timeout_ms = 1},   {0}                         },
    {{.method = "get", .url = "http://127.0.0.1/", .timeout_ms = 1},           {0}                         },
    {{.method = "GET /x HTTP", .url = "http://127.0.0.1/", .timeout_ms = 1},   {0}                         },
    {{.method = "", .url = "http://127.0.0.1/", .timeout_ms = 1},              {0}                         },
    {{.method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 0},           {0}                         },
    {{.method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 1},           {"X", {"a\r\nY: b", 7}}     },
    {{.method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 1},           {"X", {"a\0b", 3}}          },
    {{.method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 1},           {"X: y", {"a", 1}}          },
    {{.method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 1},           {"content-length", {"1", 1}}},
    {{.method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 1},
     {"Transfer-Encoding", {"chunked", 7}}                                                                 },
};

Test(httpc, malformed_requests_are_refused)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    for (size_t i = 0; i < BV_COUNT(refusals); i++) {
        struct bv_httpc_request request = refusals[i].request;
        request.fields = &refusals[i].field;
        request.field_count = refusals[i].field.name ? 1 : 0;
        cr_expect_eq(
            bv_httpc_send(bench.client, &request, on_done, &bench), BV_E_INVALID, "row %zu", i);
    }
    cr_assert_eq(bv_httpc_pending(bench.client), 0);
    close_bench(&bench);
}

Test(httpc, too_many_fields_are_refused)
{
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_http_field fields[BV_HTTPC_FIELDS_MAX + 1];
    for (size_t i = 0; i < BV_COUNT(fields); i++)
        fields[i] = (struct bv_http_field){"X-Field", BV_BYTES("1")};
    struct bv_httpc_request request = get(&bench);
    request.fields = fields;
    request.field_count = BV_COUNT(fields);
    cr_assert_eq(bv_httpc_send(bench.client, &request, on_done, &bench), BV_E_TOO_LARGE);
    request.field_count--;
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    close_bench(&bench);
}

Test(httpc, proxy_of_the_environment_is_ignored)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    struct bench bench;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    struct bv_httpc_request request = get(&bench);
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, 0, "%s", bench.reason);
    close_bench(&bench);
}

Test(httpc, config_out_of_range_is_refused)
{
    struct bv_loop *loop = NULL;
    struct bv_httpc *client = NULL;
    cr_assert_eq(bv_loop_open(&env, &loop), 0);
    struct bv_httpc_config config = bv_httpc_config_default;
    config.connections_max = 0;
    cr_assert_eq(bv_httpc_open(loop, &config, &client), BV_E_INVALID);
    cr_assert_null(client);
    bv_loop_close(&loop);
}

/* By address and by a name that resolves to it: nothing is connected to. */
Test(httpc, a_public_only_client_keeps_away_from_the_loopback)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    struct bench bench;
    struct bv_httpc_config config = bv_httpc_config_default;
    config.public_only = true;
    open_bench(&bench, polite, BV_COUNT(polite), &config);
    for (size_t i = 0; i < BV_COUNT(hosts); i++) {
        char url[64];
        snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], fake_peer_port(bench.peer));
        struct bv_httpc_request request = {.method = "GET", .url = url, .timeout_ms = 5000};
        exchange(&bench, &request);
        cr_assert_eq(bench.rc, BV_E_UNAVAILABLE, "%s", hosts[i]);
    }
    cr_assert_eq(fake_peer_connections(bench.peer), 0);
    close_bench(&bench);
}

/* A name server that does not answer for one name: in place of libc's function for this program,
 * curl's threads included. */
static sem_t name_wanted;
static sem_t name_asked;
static sem_t name_given_up;
static atomic_bool name_came_too_late;

int getaddrinfo(const char *node,
                const char *service,
                const struct addrinfo *hints,
                struct addrinfo **ret_addresses)
{
    if (!node || strcmp(node, "stalled.test") != 0) {
        int (*libc)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
        *(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
        return libc(node, service, hints, ret_addresses);
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    sem_post(&name_asked);
    atomic_store(&name_came_too_late, sem_timedwait(&name_wanted, &until) != 0);
    sem_post(&name_given_up);
    return EAI_AGAIN;
}

static void on_asked(void *argument)
{
    if (sem_trywait(&name_asked) == 0)
        bv_loop_stop(argument);
}

Test(httpc, a_name_server_that_does_not_answer_never_stops_the_loop)
{
    struct bench bench;
    struct bv_timer *look;
    open_bench(&bench, polite, BV_COUNT(polite), NULL);
    sem_init(&name_wanted, 0, 0);
    sem_init(&name_asked, 0, 0);
    sem_init(&name_given_up, 0, 0);
    const struct bv_httpc_request request = {
        .method = "GET", .url = "http://stalled.test/", .timeout_ms = 300};
    exchange(&bench, &request);
    cr_assert_eq(bench.rc, BV_E_TIMEOUT, "%s", bench.reason);
    sem_post(&name_wanted);
    sem_wait(&name_given_up);
    cr_assert_not(atomic_load(&name_came_too_late), "the deadline waited for the name");

    sem_wait(&name_asked);
    const struct bv_httpc_request longer = {
        .method = "GET", .url = "http://stalled.test/", .timeout_ms = 30000};
    bench.done_to_stop = SIZE_MAX;
    cr_assert_eq(bv_httpc_send(bench.client, &longer, on_done, &bench), 0);
    cr_assert_eq(bv_timer_open(bench.loop, on_asked, bench.loop, &look), 0);
    bv_timer_set(look, 1, 1);
    cr_assert_eq(bv_loop_run(bench.loop), 0);
    bv_timer_close(&look);
    close_bench(&bench);
    cr_assert_eq(bench.cancelled, 1);
    sem_post(&name_wanted);
    sem_wait(&name_given_up);
    cr_assert_not(atomic_load(&name_came_too_late), "the close waited for the name");
}
