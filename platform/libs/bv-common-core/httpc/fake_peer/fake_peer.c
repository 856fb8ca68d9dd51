#include "fake_peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define REQUESTS_KEPT 16
#define REQUEST_BYTES_MAX (4u << 20)

struct fake_connection {
    struct fake_peer *peer;
    struct bv_poll *poll;
    int fd;
    struct bv_buf in;
};

struct fake_peer {
    struct bv_loop *loop;
    const struct fake_answer *script;
    size_t script_count;
    struct bv_poll *poll;
    int fd;
    int port;
    struct fake_connection connections[CONNECTIONS_MAX];
    size_t connection_count; /* ever accepted */
    struct bv_buf requests[REQUESTS_KEPT];
    size_t body_at[REQUESTS_KEPT];
    size_t request_count;
    void (*on_request)(void *argument);
    void *argument;
    char url[256];
};

static void end_connection(struct fake_connection *connection, bool reset)
{
    if (!connection->peer)
        return;
    bv_poll_close(&connection->poll);
    if (reset)
        setsockopt(
            connection->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(connection->fd);
    bv_buf_release(&connection->in);
    *connection = (struct fake_connection){.fd = -1};
}

static void send_all(int fd, const char *text)
{
    size_t left = strlen(text);
    while (
        left) { /* answers of tests fit the socket buffer; a peer that left is its own business */
        ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        left -= (size_t)sent;
    }
}

/* Size of the whole request in `in`, 0 when it is not complete. */
static size_t request_size(const struct bv_buf *in, size_t *ret_body_at)
{
    const char *end = memmem(in->data, in->size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    *ret_body_at = (size_t)(end - in->data) + 4;
    size_t length = 0;
    for (const char *line = in->data; line < end; line++)
        if (line[0] == '\n' && strncasecmp(line + 1, "content-length:", 15) == 0)
            length = strtoul(line + 16, NULL, 10);
    return in->size >= *ret_body_at + length ? *ret_body_at + length : 0;
}

static void answer(struct fake_connection *connection)
{
    struct fake_peer *peer = connection->peer;
    size_t row = peer->request_count - 1 < peer->script_count ? peer->request_count - 1
                                                              : peer->script_count - 1;
    const struct fake_answer *next = &peer->script[row];
    send_all(connection->fd, next->text);
    if (next->end == FAKE_CLOSE || next->end == FAKE_RESET)
        end_connection(connection, next->end == FAKE_RESET);
    if (peer->on_request)
        peer->on_request(peer->argument);
}

static void take_request(struct fake_connection *connection, size_t size, size_t body_at)
{
    struct fake_peer *peer = connection->peer;
    if (peer->request_count < REQUESTS_KEPT) {
        struct bv_buf *kept = &peer->requests[peer->request_count];
        kept->max = REQUEST_BYTES_MAX + 1;
        bv_buf_append(kept, connection->in.data, size);
        bv_buf_char(kept, '\0');
        peer->body_at[peer->request_count] = body_at;
    }
    peer->request_count++;
    memmove(connection->in.data, connection->in.data + size, connection->in.size - size);
    connection->in.size -= size;
    answer(connection);
}

static void on_bytes(void *argument, int events)
{
    (void)events;
    struct fake_connection *connection = argument;
    char bytes[16384];
    ssize_t size = recv(connection->fd, bytes, sizeof(bytes), 0);
    if (size <= 0 || bv_buf_append(&connection->in, bytes, (size_t)size) != 0) {
        end_connection(connection, false);
        return;
    }
    size_t body_at = 0;
    size_t whole = request_size(&connection->in, &body_at);
    if (whole)
        take_request(connection, whole, body_at);
}

static void on_accept(void *argument, int events)
{
    (void)events;
    struct fake_peer *peer = argument;
    int fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct fake_connection *connection = &peer->connections[i];
        if (connection->peer)
            continue;
        *connection =
            (struct fake_connection){.peer = peer, .fd = fd, .in = {.max = REQUEST_BYTES_MAX}};
        if (bv_poll_open(peer->loop, fd, on_bytes, connection, &connection->poll) != 0)
            abort();
        bv_poll_set(connection->poll, BV_POLL_READ);
        peer->connection_count++;
        return;
    }
    close(fd);
}

static int listen_any(struct fake_peer *peer)
{
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    if (peer->fd < 0 || bind(peer->fd, (struct sockaddr *)&address, size) != 0 ||
        listen(peer->fd, 64) != 0 || getsockname(peer->fd, (struct sockaddr *)&address, &size) != 0)
        return BV_E_IO;
    peer->port = ntohs(address.sin_port);
    return 0;
}

int fake_peer_open(struct bv_loop *loop,
                   const struct fake_answer *script,
                   size_t count,
                   struct fake_peer **ret_peer)
{
    struct fake_peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return BV_E_NOMEM;
    peer->loop = loop;
    peer->script = script;
    peer->script_count = count;
    int rc = listen_any(peer);
    if (rc == 0)
        rc = bv_poll_open(loop, peer->fd, on_accept, peer, &peer->poll);
    if (rc < 0) {
        fake_peer_close(&peer);
        return rc;
    }
    bv_poll_set(peer->poll, BV_POLL_READ);
    *ret_peer = peer;
    return 0;
}

void fake_peer_vanish(struct fake_peer *peer)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        end_connection(&peer->connections[i], false);
    bv_poll_close(&peer->poll);
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

void fake_peer_close(struct fake_peer **peer_at)
{
    struct fake_peer *peer = bv_take(peer_at);
    if (!peer)
        return;
    fake_peer_vanish(peer);
    for (size_t i = 0; i < REQUESTS_KEPT; i++)
        bv_buf_release(&peer->requests[i]);
    free(peer);
}

int fake_peer_port(const struct fake_peer *peer)
{
    return peer->port;
}

const char *fake_peer_url(struct fake_peer *peer, const char *path)
{
    snprintf(peer->url, sizeof(peer->url), "http://127.0.0.1:%d%s", peer->port, path);
    return peer->url;
}

size_t fake_peer_requests(const struct fake_peer *peer)
{
    return peer->request_count;
}

size_t fake_peer_connections(const struct fake_peer *peer)
{
    return peer->connection_count;
}

struct bv_bytes fake_peer_request(const struct fake_peer *peer, size_t index)
{
    if (index >= peer->request_count || index >= REQUESTS_KEPT)
        return BV_BYTES("");
    return (struct bv_bytes){peer->requests[index].data, peer->requests[index].size - 1};
}

struct bv_bytes fake_peer_body(const struct fake_peer *peer, size_t index)
{
    struct bv_bytes request = fake_peer_request(peer, index);
    if (request.size == 0)
        return request;
    return (struct bv_bytes){request.data + peer->body_at[index],
                             request.size - peer->body_at[index]};
}

void fake_peer_on_request(struct fake_peer *peer, void (*function)(void *argument), void *argument)
{
    peer->on_request = function;
    peer->argument = argument;
}
