/* For the tests of bv_http: a server on a loop thread of its own, and raw sockets as its clients.
 * Every wait has a deadline. */
#ifndef BV_HTTP_TESTING_H
#define BV_HTTP_TESTING_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_internal.h"

#define TESTING_WAIT_MS 10000

struct testing {
    struct bv_loop *loop;
    struct bv_http_server *server;
    struct bv_metrics *metrics;
    struct bv_log *log;
    int log_pipe[2];
    pthread_t thread;
    int port;
    void (*stopped)(void); /* runs when the loop's thread has ended; may be NULL */
};
static const struct bv_env testing_env = {&bv_clock_system, &bv_random_system, NULL};

static inline void *testing_main(void *argument)
{
    struct testing *t = argument;
    cr_assert_eq(bv_loop_run(t->loop), 0);
    return NULL;
}

/* Opens without running: more routes or an authenticator may follow. */
static inline void testing_open(struct testing *t,
                                const struct bv_http_config *config,
                                const struct bv_http_route *rows,
                                size_t count)
{
    const struct bv_log_config log = {
        .service = "test", .level = BV_INFO, .buffer_bytes_max = 65536};
    *t = (struct testing){0};
    cr_assert_eq(pipe(t->log_pipe), 0); /* made large: nobody reads it while a test runs */
    cr_assert_gt(fcntl(t->log_pipe[1], F_SETPIPE_SZ, 1 << 20), 0);
    struct bv_log_config piped = log;
    piped.fd = t->log_pipe[1];
    cr_assert_eq(bv_loop_open(&testing_env, &t->loop), 0);
    cr_assert_eq(bv_metrics_open(1000, &t->metrics), 0);
    cr_assert_eq(bv_log_open(&piped, &bv_clock_system, &t->log), 0);
    const struct bv_http_deps deps = {.loop = t->loop, .metrics = t->metrics, .log = t->log};
    cr_assert_eq(bv_http_server_open(config ? config : &bv_http_config_default, &deps, &t->server),
                 0);
    cr_assert_eq(bv_http_server_routes(t->server, rows, count, t), 0);
}

static inline void testing_run(struct testing *t)
{
    struct bv_error error = {0};
    cr_assert_eq(bv_http_server_start(t->server, &error), 0, "%s", error.text);
    t->port = bv_http_server_port(t->server);
    cr_assert_eq(pthread_create(&t->thread, NULL, testing_main, t), 0);
}

static inline void testing_start(struct testing *t,
                                 const struct bv_http_config *config,
                                 const struct bv_http_route *rows,
                                 size_t count)
{
    testing_open(t, config, rows, count);
    testing_run(t);
}

static inline void testing_stop(struct testing *t)
{
    bv_loop_stop(t->loop);
    cr_assert_eq(pthread_join(t->thread, NULL), 0);
    if (t->stopped)
        t->stopped();
    bv_http_server_close(&t->server);
    bv_loop_close(&t->loop);
    bv_log_close(&t->log);
    bv_metrics_close(&t->metrics);
    close(t->log_pipe[0]);
    close(t->log_pipe[1]);
}

static inline int64_t testing_now_ms(void)
{
    return bv_mono_ms(&testing_env);
}

/* Value of a series as /metrics prints it; -1 when it is not there. */
static inline double testing_metric(struct testing *t, const char *series)
{
    struct bv_buf text = {.max = 1 << 20};
    double value = -1;
    cr_assert_eq(bv_metrics_print(t->metrics, &text), 0);
    bv_buf_char(&text, '\0');
    char key[256];
    (void)snprintf(key, sizeof key, "\n%s ", series);
    const char *at = strstr(text.data, key);
    if (at)
        value = strtod(at + strlen(key), NULL);
    bv_buf_release(&text);
    return value;
}

static inline void testing_await_metric(struct testing *t, const char *series, double wanted)
{
    const int64_t deadline = testing_now_ms() + TESTING_WAIT_MS;
    double value = testing_metric(t, series);
    while (value != wanted && testing_now_ms() < deadline) {
        (void)poll(NULL, 0, 2);
        value = testing_metric(t, series);
    }
    cr_assert_eq(value, wanted, "%s is %g, not %g", series, value, wanted);
}

/* ---- a client
 * ------------------------------------------------------------------------------------------------------------------
 */

struct client {
    int fd;
    size_t size;
    size_t reads; /* calls of recv that brought bytes */
    char data[1 << 18];
};
struct client_reply {
    int status;
    size_t body_size;
    char head[8192];
    char body[1 << 17];
};

static inline struct client *client_open_buffer(struct testing *t, int receive_bytes)
{
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
    const struct timeval wait = {.tv_sec = TESTING_WAIT_MS / 1000};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_not_null(c);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(c->fd, 0);
    if (receive_bytes)
        cr_assert_eq(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes),
                     0);
    cr_assert_eq(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    cr_assert_eq(setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait), 0);
    const int one = 1;
    cr_assert_eq(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    cr_assert_eq(connect(c->fd, (struct sockaddr *)&address, sizeof address), 0);
    return c;
}

static inline struct client *client_open(struct testing *t)
{
    return client_open_buffer(t, 0);
}

static inline void client_close(struct client *c)
{
    close(c->fd);
    free(c);
}

static inline void client_reset(struct client *c) /* RST instead of FIN */
{
    const struct linger hard = {1, 0};
    cr_assert_eq(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    client_close(c);
}

static inline void client_send_bytes(struct client *c, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        const ssize_t sent = send(c->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0) /* the server may have refused already */
            return;
        at += sent;
        size -= (size_t)sent;
    }
}

static inline void client_send(struct client *c, const char *text)
{
    client_send_bytes(c, text, strlen(text));
}

/* More bytes: >0, 0 at the end of the stream or a reset; asserts on the deadline. */
static inline size_t client_more(struct client *c)
{
    cr_assert_lt(c->size, sizeof c->data - 1, "the client's buffer is full");
    const ssize_t size = recv(c->fd, c->data + c->size, sizeof c->data - 1 - c->size, 0);
    cr_assert(size >= 0 || errno == ECONNRESET, "nothing came in time");
    if (size <= 0)
        return 0;
    c->reads++;
    c->size += (size_t)size;
    c->data[c->size] = '\0';
    return (size_t)size;
}

static inline void client_drop(struct client *c, size_t size)
{
    memmove(c->data, c->data + size, c->size - size);
    c->size -= size;
    c->data[c->size] = '\0';
}

static inline const char *client_await_text(struct client *c, const char *text)
{
    const char *found = strstr(c->data, text);
    while (!found && client_more(c) > 0)
        found = strstr(c->data, text);
    return found;
}

static inline bool client_ended(struct client *c)
{
    while (client_more(c) > 0)
        continue;
    return true;
}

enum client_body { CLIENT_BODY, CLIENT_NO_BODY };

static inline void
client_read_kind(struct client *c, struct client_reply *reply, enum client_body kind)
{
    const char *end = client_await_text(c, "\r\n\r\n");
    cr_assert_not_null(end, "no whole reply, only: %s", c->data);
    const size_t head = (size_t)(end - c->data) + 4;
    cr_assert_lt(head, sizeof reply->head);
    memcpy(reply->head, c->data, head);
    reply->head[head] = '\0';
    cr_assert_eq(sscanf(reply->head, "HTTP/1.1 %d", &reply->status), 1, "%s", reply->head);
    const char *length = strcasestr(reply->head, "\r\ncontent-length:");
    reply->body_size = length && kind == CLIENT_BODY ? strtoul(length + 17, NULL, 10) : 0;
    cr_assert_lt(reply->body_size, sizeof reply->body);
    while (c->size < head + reply->body_size)
        cr_assert_gt(client_more(c), 0, "the body is cut");
    memcpy(reply->body, c->data + head, reply->body_size);
    reply->body[reply->body_size] = '\0';
    client_drop(c, head + reply->body_size);
}

static inline void client_read(struct client *c, struct client_reply *reply)
{
    client_read_kind(c, reply, CLIENT_BODY);
}

static inline int client_ask(struct client *c, struct client_reply *reply, const char *text)
{
    client_send(c, text);
    client_read(c, reply);
    return reply->status;
}

#endif
