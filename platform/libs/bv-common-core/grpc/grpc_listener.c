#include "grpc_listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 100 /* without descriptors or memory */

struct rpc_listener {
    int fd; /* owned; -1: none */
    int port;
    struct bv_poll *poll;   /* owned */
    struct bv_timer *pause; /* owned */
    void (*arrived)(void *argument, int fd);
    void *argument;
};

static void pause_over(void *argument)
{
    bv_poll_set(((struct rpc_listener *)argument)->poll, BV_POLL_READ);
}

static bool passing(int code)
{
    return code == EINTR || code == ECONNABORTED || code == EPROTO || code == ENETDOWN ||
           code == EHOSTUNREACH || code == ENETUNREACH;
}

static void incoming(void *argument, int events)
{
    struct rpc_listener *listener = argument;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            int one = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            listener->arrived(listener->argument, fd);
        } else if (errno == EAGAIN) {
            break;
        } else if (!passing(errno)) { /* EMFILE and its like: the connection waits in the backlog */
            bv_poll_set(listener->poll, BV_POLL_NONE);
            bv_timer_set(listener->pause, PAUSE_MS, 0);
            break;
        }
    }
}

static int bind_one(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
                    bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int listener_bind(struct rpc_listener *listener, const char *host, int64_t port)
{
    char service[8];
    snprintf(service, sizeof service, "%d", (int)port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return BV_E_UNAVAILABLE;
    for (const struct addrinfo *at = found; at && listener->fd < 0; at = at->ai_next)
        listener->fd = bind_one(at);
    freeaddrinfo(found);
    if (listener->fd < 0)
        return BV_E_UNAVAILABLE;
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    if (getsockname(listener->fd, (struct sockaddr *)&name, &size) != 0)
        return BV_E_IO;
    listener->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                                      : ((struct sockaddr_in *)&name)->sin_port);
    return 0;
}

int rpc_listener_open(struct bv_loop *loop,
                      const char *host,
                      int64_t port,
                      void (*arrived)(void *argument, int fd),
                      void *argument,
                      struct rpc_listener **ret_listener)
{
    struct rpc_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return BV_E_NOMEM;
    *listener = (struct rpc_listener){.fd = -1, .arrived = arrived, .argument = argument};
    int rc = listener_bind(listener, host, port);
    if (rc == 0)
        rc = bv_timer_open(loop, pause_over, listener, &listener->pause);
    if (rc == 0)
        rc = bv_poll_open(loop, listener->fd, incoming, listener, &listener->poll);
    if (rc < 0) {
        rpc_listener_close(&listener);
        return rc;
    }
    bv_poll_set(listener->poll, BV_POLL_READ);
    *ret_listener = listener;
    return 0;
}

int rpc_listener_port(const struct rpc_listener *listener)
{
    return listener->port;
}

void rpc_listener_close(struct rpc_listener **listener_at)
{
    struct rpc_listener *listener = *listener_at;
    if (!listener)
        return;
    *listener_at = NULL;
    bv_poll_close(&listener->poll);
    bv_timer_close(&listener->pause);
    if (listener->fd >= 0)
        close(listener->fd);
    free(listener);
}
