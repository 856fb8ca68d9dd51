#include "bv/probe.h"

#include "bv/env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PICK_TRIES = 1000, RETRY_PAUSE_NS = 5000000, HEAD_BYTES_MAX = 16384 };

int64_t bv_now_ms(void)
{
    return bv_clock_system.mono_us(&bv_clock_system) / 1000;
}

/* A process that does not listen yet sends no signal of it: all one can do is ask again. */
void bv_retry_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = RETRY_PAUSE_NS}, NULL);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

bool bv_port_free(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    struct sockaddr_in address = loopback(port);
    int on = 1; /* as the servers do: a port in TIME_WAIT is free */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool ok = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    close(fd);
    return ok;
}

static uint16_t port_below(void)
{
    unsigned first = BV_PORT_BELOW;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file) {
        if (fscanf(file, "%u", &first) != 1)
            first = BV_PORT_BELOW;
        fclose(file);
    }
    return (uint16_t)(first > BV_PORT_MIN + 1000 && first < BV_PORT_BELOW ? first : BV_PORT_BELOW);
}

static bool contains(const uint16_t *ports, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

int bv_port_pick(const uint16_t *taken, size_t count, uint16_t *ret_port, struct bv_error *error)
{
    const struct bv_env env = {.clock = &bv_clock_system, .random = &bv_random_system};
    uint16_t below = port_below();
    for (int i = 0; i < PICK_TRIES; i++) {
        uint16_t port =
            (uint16_t)(BV_PORT_MIN + bv_random_below(&env, (uint64_t)below - BV_PORT_MIN));
        if (contains(taken, count, port) || !bv_port_free(port))
            continue;
        *ret_port = port;
        return 0;
    }
    return bv_fail(error,
                   BV_E_LIMIT,
                   "no free port on 127.0.0.1 between %d and %d (ss -ltn shows what is taken)",
                   BV_PORT_MIN,
                   below - 1);
}

static int wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - bv_now_ms();
        if (left <= 0)
            return -1;
        struct pollfd wait = {.fd = fd, .events = events};
        int n = poll(&wait, 1, (int)(left > 60000 ? 60000 : left));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -1;
    }
}

static int connect_once(uint16_t port, int64_t deadline_ms)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_in address = loopback(port);
    int refused = 0;
    socklen_t size = sizeof refused;
    if ((connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) &&
        wait_for(fd, POLLOUT, deadline_ms) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &refused, &size) == 0 && refused == 0)
        return fd;
    close(fd);
    return -1;
}

int bv_port_await(uint16_t port, int64_t deadline_ms, int *ret_fd, struct bv_error *error)
{
    for (;;) {
        int fd = connect_once(port, deadline_ms);
        if (fd >= 0) {
            if (ret_fd)
                *ret_fd = fd;
            else
                close(fd);
            return 0;
        }
        if (bv_now_ms() >= deadline_ms)
            return bv_fail(error, BV_E_TIMEOUT, "nobody accepts on 127.0.0.1:%u", port);
        bv_retry_pause();
    }
}

static int ask(int fd,
               uint16_t port,
               const char *path,
               int64_t deadline_ms,
               struct bv_buf *answer,
               struct bv_error *error)
{
    char request[512];
    int size = snprintf(request,
                        sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n",
                        path,
                        port);
    if (size >= (int)sizeof request || send(fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        return bv_fail(error, BV_E_UNAVAILABLE, "127.0.0.1:%u took no request", port);
    for (;;) {
        if (wait_for(fd, POLLIN, deadline_ms) < 0)
            return bv_fail(error, BV_E_TIMEOUT, "127.0.0.1:%u gave no answer in time", port);
        char chunk[4096];
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return bv_fail(error, BV_E_UNAVAILABLE, "127.0.0.1:%u: %s", port, strerror(errno));
        if (n > 0 && bv_buf_append(answer, chunk, (size_t)n) < 0)
            return 0; /* enough to judge */
    }
}

int bv_http_probe(uint16_t port,
                  const char *path,
                  int64_t deadline_ms,
                  int *ret_status,
                  struct bv_buf *body,
                  struct bv_error *error)
{
    int fd = connect_once(port, deadline_ms);
    if (fd < 0)
        return bv_fail(error, BV_E_UNAVAILABLE, "nobody accepts on 127.0.0.1:%u", port);
    struct bv_buf answer = {.max = HEAD_BYTES_MAX + (body ? body->max : 0)};
    int rc = ask(fd, port, path, deadline_ms, &answer, error);
    close(fd);
    int status = 0;
    if (rc == 0 && bv_buf_char(&answer, '\0') < 0)
        rc = bv_fail(
            error, BV_E_TOO_LARGE, "127.0.0.1:%u answers more than %d bytes", port, HEAD_BYTES_MAX);
    if (rc == 0 && (!answer.data || sscanf(answer.data, "HTTP/1.%*c %3d", &status) != 1))
        rc = bv_fail(error, BV_E_PROTOCOL, "127.0.0.1:%u does not speak HTTP", port);
    if (rc == 0) {
        *ret_status = status;
        const char *end = strstr(answer.data, "\r\n\r\n");
        if (end && body) {
            size_t size = strlen(end + 4);
            bv_buf_append(body, end + 4, size < body->max ? size : body->max);
        }
    }
    bv_buf_release(&answer);
    return rc;
}
