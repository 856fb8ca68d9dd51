#include "bv/test_service.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPTIONS_MAX 40
#define LOG_BYTES_MAX (256 * 1024)
#define BODY_BYTES_MAX (8 * 1024 * 1024)
#define POLL_MS 3
#define PORT_LOW 20000
#define PORT_COUNT 12000

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool bv_test_await(bool (*until)(void *argument), void *argument)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    int64_t deadline = now_ms() + BV_TEST_DEADLINE_MS;
    while (!until(argument)) {
        if (now_ms() > deadline)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* ---- processes ---- */

static const char *log_text(const struct bv_test_service *service)
{
    static char text[LOG_BYTES_MAX];
    ssize_t size = pread(service->log_fd, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static pid_t fork_bound(void)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        signal(SIGALRM, SIG_DFL);
    }
    return pid;
}

static bool has_started(void *argument)
{
    const struct bv_test_service *service = argument;
    siginfo_t info = {0};
    cr_assert_eq(waitid(P_PID, (id_t)service->pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    cr_assert_eq(info.si_pid, 0, "%s ended:\n%s", service->name, log_text(service));
    return strstr(log_text(service), "\"service.started\"");
}

void bv_test_service_start(struct bv_test_service *service,
                           const struct bv_service_spec *spec,
                           const char *const *options)
{
    char *argv[OPTIONS_MAX] = {(char *)(uintptr_t)spec->name,
                               (char *)(uintptr_t) "--http-port",
                               (char *)(uintptr_t) "0",
                               (char *)(uintptr_t) "--access-log=false"};
    int argc = 4;
    for (; *options && argc < OPTIONS_MAX - 1; options++)
        argv[argc++] = (char *)(uintptr_t)*options;
    cr_assert_null(*options, "more options than fit");
    *service = (struct bv_test_service){.name = spec->name};
    service->log_fd = memfd_create("log", MFD_CLOEXEC);
    cr_assert_geq(service->log_fd, 0);
    fcntl(service->log_fd, F_SETFL, O_APPEND);
    service->pid = fork_bound();
    if (service->pid == 0) {
        dup2(service->log_fd, 1);
        dup2(service->log_fd, 2);
        exit(bv_service_main(spec, argc, argv));
    }
    cr_assert(bv_test_await(has_started, service),
              "%s does not start:\n%s",
              service->name,
              log_text(service));
    const char *at = strstr(strstr(log_text(service), "\"service.started\""), "\"port\":");
    cr_assert_not_null(at, "%s", log_text(service));
    service->port = (int)strtol(at + strlen("\"port\":"), NULL, 10);
    snprintf(service->url, sizeof(service->url), "http://127.0.0.1:%d", service->port);
}

static bool is_ready(void *argument)
{
    struct bv_test_answer answer = {0};
    bool ready = has_started(argument) &&
                 bv_test_http(argument, "GET", "/readyz", NULL, NULL, &answer) == 200;
    bv_test_answer_release(&answer);
    return ready;
}

void bv_test_service_await_ready(const struct bv_test_service *service)
{
    cr_assert(bv_test_await(is_ready, (void *)(uintptr_t)service),
              "%s is not ready:\n%s",
              service->name,
              log_text(service));
}

struct log_wish {
    const struct bv_test_service *service;
    const char *text;
};

static bool log_has(void *argument)
{
    const struct log_wish *wish = argument;
    return strstr(log_text(wish->service), wish->text);
}

void bv_test_service_await_log(const struct bv_test_service *service, const char *text)
{
    struct log_wish wish = {service, text};
    cr_assert(bv_test_await(log_has, &wish),
              "%s does not log %s:\n%s",
              service->name,
              text,
              log_text(service));
}

static bool has_ended(void *argument)
{
    siginfo_t info = {0};
    return waitid(P_PID, *(id_t *)argument, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

void bv_test_service_stop(struct bv_test_service *service)
{
    int status = 0;
    id_t pid = (id_t)service->pid;
    kill(service->pid, SIGTERM);
    cr_assert(bv_test_await(has_ended, &pid), "does not stop:\n%s", log_text(service));
    cr_assert_eq(waitpid(service->pid, &status, 0), service->pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0,
              "%s ended with %#x:\n%s",
              service->name,
              (unsigned)status,
              log_text(service));
    close(service->log_fd);
    *service = (struct bv_test_service){.log_fd = -1};
}

pid_t bv_test_spawn(const char *const *argv)
{
    pid_t pid = fork_bound();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

void bv_test_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

int bv_test_free_port(void)
{
    for (int attempt = 0; attempt < 200; attempt++) {
        int port = PORT_LOW + (int)((now_ms() * 7 + getpid() * 31 + attempt * 97) % PORT_COUNT);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (rc == 0)
            return port;
    }
    cr_assert_fail("no free port");
    return -1;
}

/* ---- HTTP ---- */

static size_t take(char *data, size_t size, size_t count, void *argument)
{
    struct bv_buf *buf = argument;
    return bv_buf_append(buf, data, size * count) < 0 ? 0 : size * count;
}

void bv_test_answer_release(struct bv_test_answer *answer)
{
    bv_buf_release(&answer->head);
    bv_buf_release(&answer->body);
    bv_arena_close(&answer->arena);
    *answer = (struct bv_test_answer){0};
}

static void read_json(struct bv_test_answer *answer)
{
    cr_assert_eq(bv_arena_open(16 * BODY_BYTES_MAX, &answer->arena), 0);
    if (bv_json_parse(answer->arena, bv_buf_view(&answer->body), &answer->json, NULL) < 0)
        answer->json = NULL;
    bv_buf_char(&answer->body, '\0');
    answer->body.size--;
    bv_buf_char(&answer->head, '\0');
    answer->head.size--;
}

int bv_test_http(const struct bv_test_service *service,
                 const char *method,
                 const char *path,
                 const char *const *fields,
                 const char *body,
                 struct bv_test_answer *answer)
{
    char url[1024];
    long status = 0;
    struct curl_slist *list = NULL;
    CURL *curl = curl_easy_init();
    bv_test_answer_release(answer);
    answer->head.max = answer->body.max = BODY_BYTES_MAX;
    snprintf(url, sizeof(url), "%s%s", service->url, path);
    for (; fields && *fields; fields++)
        list = curl_slist_append(list, *fields);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)BV_TEST_DEADLINE_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer->head);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    read_json(answer);
    answer->status = (int)status;
    return answer->status;
}

const char *bv_test_field(struct bv_test_answer *answer, const char *name)
{
    const char *line = answer->head.data;
    size_t size = strlen(name);
    for (; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncasecmp(line, name, size) != 0 || line[size] != ':')
            continue;
        line += size + 1;
        line += strspn(line, " ");
        return bv_arena_text(answer->arena, (struct bv_bytes){line, strcspn(line, "\r\n")});
    }
    return NULL;
}

const char *bv_test_text(const struct bv_test_answer *answer, const char *pointer)
{
    const struct bv_json *value =
        answer->json ? bv_json_pointer(answer->json, bv_bytes_of(pointer)) : NULL;
    if (bv_json_type(value) == BV_JSON_STRING)
        return bv_json_string(value).data;
    if (bv_json_type(value) == BV_JSON_INT)
        return bv_arena_format(answer->arena, "%lld", (long long)bv_json_int(value, 0));
    return "";
}
