/* A tiny service as a process of its own: the test forks, the child is bv_service_main, the parent
 * speaks HTTP and sends signals. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bv/json.h"
#include "bv/service.h"
#include "fake_peer.h"

#define WAIT_MS 20000

/* ---- the example ---- */

struct greet_config {
    const char *greeting;
    const char *password;
    int64_t fail; /* enum greet_fail */
};
enum greet_fail {
    GREET_FINE,
    GREET_INIT_FAILS,
    GREET_START_FAILS,
    GREET_NEVER_STOPS,
    GREET_NOT_READY,
    GREET_BLOCKS,
    GREET_ABORTS,
    GREET_DEGRADED
};

struct greet {
    struct bv_service *service;
    const struct greet_config *config;
    struct bv_http_token waiting;
    void *built; /* owned: released after a fault of init, too */
};

#define AT(member) offsetof(struct greet_config, member)
static const struct bv_option greet_options[] = {
    {"greeting",       AT(greeting), BV_OPT_TEXT, "hello", 1, 40, BV_PUBLIC, "", "What is said."                },
    {"greet-password",
     AT(password),
     BV_OPT_TEXT,                                 "",
     0,                                                       40,
     BV_SECRET_VALUE,                                                        "",
     "Something secret."                                                                                        },
    {"fail",           AT(fail),     BV_OPT_INT,  "0",     0, 7,  BV_PUBLIC, "", "Which part of the life fails."},
};
#undef AT

static int get_greeting(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)error;
    const struct greet *greet = context;
    const struct bv_http_response response = {
        .status = 200, .content_type = "text/plain", .body = bv_bytes_of(greet->config->greeting)};
    return bv_http_reply(request, &response);
}

static int get_abort(struct bv_http_request *request, void *context, struct bv_error *error)
{
    struct greet *greet = context;
    bv_fail(error, BV_E_IO, "the greeting is lost");
    bv_service_abort(greet->service, error);
    static const struct bv_http_response response = {.status = 204};
    return bv_http_reply(request, &response);
}

static int get_later(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)error;
    struct greet *greet = context;
    greet->waiting = bv_http_defer(request);
    bv_log(bv_service_log(greet->service), BV_WARN, "greet.waiting", NULL, BV_F_INT("id", 1));
    return 0;
}

static const struct bv_http_route greet_routes[] = {
    {.method = BV_GET,
     .path = "/v1/greeting",
     .operation_id = "getGreeting",
     .handler = get_greeting},
    {.method = BV_GET, .path = "/v1/abort", .operation_id = "abort", .handler = get_abort},
    {.method = BV_GET,
     .path = "/v1/closed",
     .operation_id = "closed",
     .scope = "greet:closed",
     .handler = get_greeting},
    {.method = BV_GET, .path = "/v1/later", .operation_id = "later", .handler = get_later},
};

static int
greet_init(void *state, struct bv_service *service, const void *config, struct bv_error *error)
{
    struct greet *greet = state;
    greet->service = service;
    greet->config = config;
    greet->built = malloc(1);
    return greet->config->fail == GREET_INIT_FAILS
               ? bv_fail(error, BV_E_UNAVAILABLE, "no greeting today")
               : 0;
}

static int greet_start(void *state, struct bv_error *error)
{
    const struct greet *greet = state;
    if (greet->config->fail == GREET_START_FAILS)
        return bv_fail(error, BV_E_IO, "cannot begin to greet");
    if (greet->config->fail == GREET_ABORTS)
        bv_service_abort(greet->service,
                         &(struct bv_error){.code = BV_E_STALE, .text = "start gave up"});
    return 0;
}

static int greet_ready(void *state, struct bv_error *error)
{
    const struct greet *greet = state;
    if (greet->config->fail == GREET_DEGRADED)
        (void)bv_fail(error, BV_E_UNAVAILABLE, "half asleep");
    return greet->config->fail == GREET_NOT_READY
               ? bv_fail(error, BV_E_UNAVAILABLE, "still waking up")
               : 0;
}

static void greet_stop(void *state)
{
    const struct greet *greet = state;
    while (greet->config->fail == GREET_BLOCKS)
        poll(NULL, 0, -1);
    if (greet->config->fail != GREET_NEVER_STOPS)
        bv_service_stopped(greet->service);
}

static void greet_release(void *state)
{
    free(((struct greet *)state)->built);
}

static const char *const topics_in[] = {"greetings.asked", NULL};
static const struct bv_bytes openapi = BV_BYTES("openapi: 3.1.0\n");
static const struct bv_service_spec greet_spec = {
    .name = "greet",
    .purpose = "Says hello.",
    .options = greet_options,
    .option_count = BV_COUNT(greet_options),
    .config_bytes = sizeof(struct greet_config),
    .routes = greet_routes,
    .route_count = BV_COUNT(greet_routes),
    .openapi = &openapi,
    .topics_in = topics_in,
    .state_bytes = sizeof(struct greet),
    .init = greet_init,
    .start = greet_start,
    .ready = greet_ready,
    .stop = greet_stop,
    .release = greet_release,
};

/* ---- its process, seen from outside ---- */

struct child {
    pid_t pid;
    int out;
    int err;
    char log[65536];
    size_t log_size;
    int port;
};

static void read_more(struct child *child)
{
    struct pollfd ready = {.fd = child->err, .events = POLLIN};
    cr_assert_eq(poll(&ready, 1, WAIT_MS), 1, "the process says nothing more:\n%s", child->log);
    ssize_t size =
        read(child->err, child->log + child->log_size, sizeof(child->log) - 1 - child->log_size);
    cr_assert_gt(size, 0, "the log ended:\n%s", child->log);
    child->log_size += (size_t)size;
    child->log[child->log_size] = '\0';
}

static void await_log(struct child *child, const char *wanted)
{
    while (!strstr(child->log, wanted))
        read_more(child);
}

static void run(struct child *child, const char *const *options, size_t count)
{
    char *argv[16] = {(char *)"greet"};
    int out[2];
    int err[2];
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = (char *)options[i];
    memset(child, 0, sizeof(*child));
    cr_assert_eq(pipe(out), 0);
    cr_assert_eq(pipe(err), 0);
    fflush(NULL);
    child->pid = fork();
    cr_assert_geq(child->pid, 0);
    if (child->pid == 0) {
        dup2(out[1], 1);
        dup2(err[1], 2);
        close(out[0]);
        close(err[0]);
        signal(SIGALRM, SIG_DFL);
        exit(bv_service_main(&greet_spec, (int)count + 1, argv));
    }
    close(out[1]);
    close(err[1]);
    child->out = out[0];
    child->err = err[0];
}
#define RUN(child, ...)                                                                            \
    run((child), (const char *const[]){__VA_ARGS__}, BV_COUNT(((const char *const[]){__VA_ARGS__})))

static void await_started(struct child *child)
{
    await_log(child, "\"service.started\"");
    const char *at = strstr(child->log, "\"port\":");
    cr_assert_not_null(at, "%s", child->log);
    child->port = (int)strtol(at + strlen("\"port\":"), NULL, 10);
    cr_assert_gt(child->port, 0);
}

#define RUN_SERVER(child, ...) (RUN((child), "--http-port", "0", __VA_ARGS__), await_started(child))

static void read_rest(int fd, char *text, size_t size, size_t *used)
{
    ssize_t got;
    while (*used + 1 < size && (got = read(fd, text + *used, size - 1 - *used)) > 0)
        *used += (size_t)got;
    text[*used] = '\0';
}

/* The exit status; the rest of the log is in child->log, stdout in out when given. */
static int await_exit(struct child *child, char *out, size_t out_size)
{
    char unused[4096];
    size_t used = 0;
    int status = 0;
    alarm(WAIT_MS / 1000);
    if (!out) {
        out = unused;
        out_size = sizeof(unused);
    }
    read_rest(child->out, out, out_size, &used);
    read_rest(child->err, child->log, sizeof(child->log), &child->log_size);
    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    alarm(0);
    close(child->out);
    close(child->err);
    cr_assert(WIFEXITED(status), "it died of signal %d:\n%s", WTERMSIG(status), child->log);
    return WEXITSTATUS(status);
}

static int connect_to(const struct child *child)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)child->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setsockopt(fd,
               SOL_SOCKET,
               SO_RCVTIMEO,
               &(struct timeval){.tv_sec = WAIT_MS / 1000},
               sizeof(struct timeval));
    return fd;
}

static int send_get(const struct child *child, const char *path, const char *fields)
{
    char request[512];
    int size = snprintf(request,
                        sizeof(request),
                        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
                        path,
                        fields);
    int fd = connect_to(child);
    cr_assert_eq(write(fd, request, (size_t)size), size);
    return fd;
}

/* The status; the whole answer is in `answer`. */
static int
get_with(const struct child *child, const char *path, const char *fields, char answer[65536])
{
    size_t used = 0;
    int fd = send_get(child, path, fields);
    read_rest(fd, answer, 65536, &used);
    close(fd);
    cr_assert(strncmp(answer, "HTTP/1.1 ", 9) == 0, "%s", answer);
    return (int)strtol(answer + 9, NULL, 10);
}

static char answer[65536];

static int get(const struct child *child, const char *path)
{
    return get_with(child, path, "", answer);
}

/* ---- serving and stopping ---- */

Test(service, serves_its_routes_and_stops_on_sigterm)
{
    static struct child child;
    RUN_SERVER(&child, "--greeting", "good day");
    cr_expect_eq(get(&child, "/v1/greeting"), 200);
    cr_expect_not_null(strstr(answer, "\r\n\r\ngood day"), "%s", answer);
    kill(child.pid, SIGTERM);
    char out[256];
    cr_expect_eq(await_exit(&child, out, sizeof(out)), 0, "%s", child.log);
    cr_expect_str_eq(out, "", "nothing is printed on stdout");
    cr_expect_not_null(strstr(child.log, "\"service.stopped\""), "%s", child.log);
}

Test(service, stops_on_sigint)
{
    static struct child child;
    RUN_SERVER(&child, "--access-log=false");
    cr_expect_eq(get(&child, "/healthz"), 200);
    kill(child.pid, SIGINT);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
    cr_expect_null(strstr(child.log, "http.request"), "%s", child.log);
}

Test(service, operational_routes_answer)
{
    static struct child child;
    RUN_SERVER(&child, "--instance", "greet-7");
    cr_expect_eq(get(&child, "/healthz"), 200);
    cr_expect_eq(get(&child, "/readyz"), 200);
    cr_expect_eq(get(&child, "/metrics"), 200);
    cr_expect_not_null(strstr(answer, "\nprocess_resident_memory_bytes "), "%s", answer);
    cr_expect_not_null(strstr(answer, "text/plain; version=0.0.4"), "%s", answer);
    cr_expect_eq(get(&child, "/openapi.yaml"), 200);
    cr_expect_not_null(strstr(answer, "application/yaml"), "%s", answer);
    cr_expect_not_null(strstr(answer, "\r\n\r\nopenapi: 3.1.0\n"), "%s", answer);
    const char *etag = strcasestr(answer, "\r\netag: ");
    cr_assert_not_null(etag, "%s", answer);
    char condition[80];
    snprintf(condition, sizeof(condition), "If-None-Match: %.18s\r\n", etag + strlen("\r\netag: "));
    cr_expect_eq(get_with(&child, "/openapi.yaml", condition, answer), 304, "%s", answer);
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
    cr_expect_not_null(strstr(child.log, "greet-7"), "%s", child.log);
}

Test(service, an_unknown_switch_ends_the_process)
{
    static struct child child;
    setenv("BV_BREAK", "drop-everything", 1);
    RUN(&child, "--http-port", "0");
    cr_expect_eq(await_exit(&child, NULL, 0), 2, "%s", child.log);
}

#ifdef BV_TEST_SWITCHES
Test(service, a_planted_bug_is_said_at_the_start)
{
    static struct child child;
    setenv("BV_BREAK", "skip-signature", 1);
    RUN_SERVER(&child, "--greeting", "hi");
    cr_expect_not_null(strstr(child.log, "\"service.broken\""), "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"switch\":\"skip-signature\""), "%s", child.log);
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
}
#endif

Test(service, not_ready_says_why)
{
    static struct child child;
    RUN_SERVER(&child, "--fail", "4");
    cr_expect_eq(get(&child, "/readyz"), 503);
    cr_expect_not_null(strstr(answer, "application/problem+json"), "%s", answer);
    cr_expect_not_null(strstr(answer, "still waking up"), "%s", answer);
    cr_expect_eq(get(&child, "/healthz"), 200);
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
}

Test(service, ready_with_less_than_all_says_what_is_missing)
{
    static struct child child;
    RUN_SERVER(&child, "--fail", "7");
    cr_expect_eq(get(&child, "/readyz"), 200);
    cr_expect_not_null(strstr(answer, "\"status\":\"degraded\""), "%s", answer);
    cr_expect_not_null(strstr(answer, "half asleep"), "%s", answer);
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
}

Test(service, stop_that_never_ends_is_cut_at_the_deadline)
{
    static struct child child;
    RUN_SERVER(&child, "--fail", "3", "--drain-ms", "200");
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 1, "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"service.stop_overdue\""), "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"phase\":\"stopping\""), "%s", child.log);
}

Test(service, stop_that_blocks_the_loop_is_cut_too)
{
    static struct child child;
    RUN_SERVER(&child, "--fail", "5", "--drain-ms", "100");
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 1, "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"service.stop_stuck\""), "%s", child.log);
}

Test(service, request_that_is_never_answered_does_not_hold_the_stop_up)
{
    static struct child child;
    RUN_SERVER(&child, "--drain-ms", "400");
    int fd = send_get(&child, "/v1/later", "");
    await_log(&child, "\"greet.waiting\"");
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
    close(fd);
}

Test(service, second_signal_ends_it_at_once)
{
    static struct child child;
    RUN_SERVER(&child, "--fail", "3", "--drain-ms", "60s");
    kill(child.pid, SIGTERM);
    await_log(&child, "\"service.stopping\"");
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 1, "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"service.stop_forced\""), "%s", child.log);
}

Test(service, abort_is_told_and_stops_gracefully_with_status_1)
{
    static struct child child;
    RUN_SERVER(&child, "--greeting", "x");
    cr_expect_eq(get(&child, "/v1/abort"), 204);
    cr_expect_eq(await_exit(&child, NULL, 0), 1, "%s", child.log);
    cr_expect_not_null(strstr(child.log, "the greeting is lost"), "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"service.stopped\""), "%s", child.log);
}

/* ---- failing to start ---- */

struct start_failure {
    const char *fail;
    const char *event;
    const char *text;
};
static const struct start_failure start_failures[] = {
    {"1", "\"service.failed\"",  "no greeting today"    },
    {"2", "\"service.failed\"",  "cannot begin to greet"},
    {"6", "\"service.aborted\"", "start gave up"        },
};

Test(service, failed_start_is_one_line_and_status_1)
{
    for (size_t i = 0; i < BV_COUNT(start_failures); i++) {
        static struct child child;
        RUN(&child, "--http-port", "0", "--fail", start_failures[i].fail);
        cr_expect_eq(await_exit(&child, NULL, 0), 1, "%s", child.log);
        cr_expect_not_null(strstr(child.log, start_failures[i].event), "%s", child.log);
        cr_expect_not_null(strstr(child.log, start_failures[i].text), "%s", child.log);
        const char *end = strchr(child.log, '\n');
        cr_expect(child.log[0] == '{' && end && !strchr(end, '{'), "one line, not: %s", child.log);
    }
}

Test(service, taken_port_is_told)
{
    static struct child first;
    static struct child second;
    RUN_SERVER(&first, "--greeting", "x");
    char port[16];
    snprintf(port, sizeof(port), "%d", first.port);
    RUN(&second, "--http-port", port);
    cr_expect_eq(await_exit(&second, NULL, 0), 1, "%s", second.log);
    cr_expect_not_null(strstr(second.log, "\"service.failed\""), "%s", second.log);
    kill(first.pid, SIGTERM);
    cr_expect_eq(await_exit(&first, NULL, 0), 0, "%s", first.log);
}

/* ---- the command line ---- */

struct bad_options {
    const char *words[2];
    const char *text;
};
static const struct bad_options bad_options[] = {
    {{"--greting", "x"},       "did you mean --greeting?"},
    {{"--http-port", "70000"}, "--http-port"             },
    {{"--log-level", "loud"},  "--log-level"             },
    {{"--drain-ms", "1ms"},    "--drain-ms"              },
};

Test(service, bad_option_is_plain_text_and_status_2)
{
    for (size_t i = 0; i < BV_COUNT(bad_options); i++) {
        static struct child child;
        RUN(&child, bad_options[i].words[0], bad_options[i].words[1]);
        cr_expect_eq(await_exit(&child, NULL, 0), 2, "%s", child.log);
        cr_expect(strncmp(child.log, "greet: ", 7) == 0, "%s", child.log);
        cr_expect_not_null(strstr(child.log, bad_options[i].text), "%s", child.log);
    }
}

Test(service, help_lists_both_tables_and_the_actions)
{
    static struct child child;
    static char out[65536];
    RUN(&child, "--help");
    cr_expect_eq(await_exit(&child, out, sizeof(out)), 0);
    static const char *const wanted[] = {
        "Says hello.", "--http-port", "--greeting", "--describe", "--print-config", "BV_DRAIN_MS"};
    for (size_t i = 0; i < BV_COUNT(wanted); i++)
        cr_expect_not_null(strstr(out, wanted[i]), "%s is not in %s", wanted[i], out);
}

Test(service, print_config_hides_secrets)
{
    static struct child child;
    static char out[65536];
    setenv("BV_GREETING", "from the environment", 1);
    RUN(&child, "--print-config", "--greet-password", "hunter2");
    cr_expect_eq(await_exit(&child, out, sizeof(out)), 0, "%s", child.log);
    cr_expect_not_null(strstr(out, "\"greeting\":\"from the environment\""), "%s", out);
    cr_expect_not_null(strstr(out, "\"http-port\":8080"), "%s", out);
    cr_expect_null(strstr(out, "hunter2"), "%s", out);
}

Test(service, describe_is_json_of_routes_options_and_topics)
{
    static struct child child;
    static char out[65536];
    RUN(&child, "--describe");
    cr_expect_eq(await_exit(&child, out, sizeof(out)), 0, "%s", child.log);
    struct bv_arena *arena = NULL;
    const struct bv_json *root = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    cr_assert_eq(
        bv_json_parse(arena, bv_bytes_of(out), &root, &error), 0, "%s in %s", error.text, out);
    cr_expect_str_eq(bv_json_string(bv_json_get(root, "name")).data, "greet");
    cr_expect_eq(bv_json_size(bv_json_get(root, "routes")), BV_COUNT(greet_routes));
    cr_expect_str_eq(bv_json_string(bv_json_pointer(root, BV_BYTES("/routes/2/scope"))).data,
                     "greet:closed");
    cr_expect_eq(bv_json_type(bv_json_pointer(root, BV_BYTES("/routes/0/scope"))), BV_JSON_NULL);
    cr_expect_str_eq(bv_json_string(bv_json_pointer(root, BV_BYTES("/routes/0/operationId"))).data,
                     "getGreeting");
    cr_expect_eq(bv_json_size(bv_json_get(root, "options")), 9 + BV_COUNT(greet_options));
    cr_expect_str_eq(bv_json_string(bv_json_pointer(root, BV_BYTES("/options/1/environment"))).data,
                     "BV_HTTP_PORT");
    cr_expect_str_eq(bv_json_string(bv_json_pointer(root, BV_BYTES("/topicsIn/0"))).data,
                     "greetings.asked");
    cr_expect_eq(bv_json_size(bv_json_get(root, "topicsOut")), 0);
    bv_arena_close(&arena);
}

/* ---- trace export ---- */

struct collector {
    struct bv_loop *loop;
    struct fake_peer *peer;
};

static void on_export(void *argument)
{
    bv_loop_stop(((struct collector *)argument)->loop);
}

static void on_guard(void *argument)
{
    (void)argument;
    cr_assert_fail("no span came");
}

Test(service, span_of_a_request_reaches_the_collector)
{
    static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    static const struct fake_answer polite[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", FAKE_KEEP}
    };
    struct collector collector = {0};
    struct bv_timer *guard = NULL;
    static struct child child;
    cr_assert_eq(bv_loop_open(&env, &collector.loop), 0);
    cr_assert_eq(bv_timer_open(collector.loop, on_guard, NULL, &guard), 0);
    cr_assert_eq(fake_peer_open(collector.loop, polite, 1, &collector.peer), 0);
    fake_peer_on_request(collector.peer, on_export, &collector);
    RUN_SERVER(&child, "--otlp-url", fake_peer_url(collector.peer, ""));
    cr_expect_eq(get(&child, "/v1/greeting"), 200);
    bv_timer_set(guard, WAIT_MS, 0);
    cr_assert_eq(bv_loop_run(collector.loop), 0);
    struct bv_bytes body = fake_peer_body(collector.peer, 0);
    cr_expect_not_null(memmem(body.data, body.size, "/v1/greeting", 12));
    cr_expect_not_null(memmem(body.data, body.size, "greet", 5));
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
    bv_timer_close(&guard);
    fake_peer_close(&collector.peer);
    bv_loop_close(&collector.loop);
}

/* Its loop does not even turn while the service stops. */
Test(service, a_collector_that_does_not_answer_neither_holds_nor_fails_the_stop)
{
    static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    static const struct fake_answer silent[] = {
        {"", FAKE_SILENT}
    };
    struct collector collector = {0};
    struct bv_timer *guard = NULL;
    static struct child child;
    cr_assert_eq(bv_loop_open(&env, &collector.loop), 0);
    cr_assert_eq(bv_timer_open(collector.loop, on_guard, NULL, &guard), 0);
    cr_assert_eq(fake_peer_open(collector.loop, silent, 1, &collector.peer), 0);
    fake_peer_on_request(collector.peer, on_export, &collector);
    RUN_SERVER(&child, "--otlp-url", fake_peer_url(collector.peer, ""), "--drain-ms", "700");
    cr_expect_eq(get(&child, "/v1/greeting"), 200);
    bv_timer_set(guard, WAIT_MS, 0);
    cr_assert_eq(bv_loop_run(collector.loop), 0);
    kill(child.pid, SIGTERM);
    cr_expect_eq(await_exit(&child, NULL, 0), 0, "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"service.spans_unsent\""), "%s", child.log);
    cr_expect_not_null(strstr(child.log, "\"service.stopped\""), "%s", child.log);
    bv_timer_close(&guard);
    fake_peer_close(&collector.peer);
    bv_loop_close(&collector.loop);
}
