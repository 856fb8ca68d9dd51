/* For the fuzz targets of bv_http: a server with a clock that stands still and constant randomness,
 * and connections that are one end of a socket pair, so that the same bytes give the same answers.
 * Thread: one. */
#ifndef BV_HTTP_FUZZING_H
#define BV_HTTP_FUZZING_H

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_internal.h"

#include "fuzz.h"

enum { FUZZING_TURNS_MAX = 400, FUZZING_OUT_BYTES = 4 << 20 };

static inline int64_t fuzzing_now(const struct bv_clock *self)
{
    (void)self;
    return INT64_C(1700000000) * 1000000;
}
static inline void fuzzing_fill(const struct bv_random *self, void *data, size_t size)
{
    (void)self;
    memset(data, 0x11, size);
}

/* The server, opened when first asked for and kept; it does not listen. */
static inline struct bv_http_server *fuzzing_server(const struct bv_http_route *rows, size_t count)
{
    static const struct bv_clock clock = {fuzzing_now, fuzzing_now};
    static const struct bv_random random = {fuzzing_fill};
    static const struct bv_env env = {&clock, &random, NULL};
    static struct bv_loop *loop;
    static struct bv_http_server *server;
    if (server)
        return server;
    FUZZ_REQUIRE(bv_loop_open(&env, &loop) == 0);
    FUZZ_REQUIRE(bv_http_server_open(
                     &bv_http_config_default, &(struct bv_http_deps){.loop = loop}, &server) == 0);
    FUZZ_REQUIRE(bv_http_server_routes(server, rows, count, NULL) == 0);
    return server;
}

/* What http_connection_accept does, with a descriptor that is open. */
static inline void fuzzing_accept(struct bv_http_server *server, int fd)
{
    struct http_connection *connection = calloc(1, sizeof *connection);
    FUZZ_REQUIRE(connection && uv_tcp_init(server->uv, &connection->tcp) == 0);
    connection->server = server;
    connection->tcp.data = connection;
    server->handles++;
    server->connection_count++;
    server->connections = connection;
    FUZZ_REQUIRE(uv_tcp_open(&connection->tcp, fd) == 0);
    llhttp_init(&connection->parser, HTTP_REQUEST, &http_parser_settings);
    connection->parser.data = connection;
    http_connection_due(connection, server->config.idle_timeout_ms);
    http_connection_read_start(connection);
}

static inline void fuzzing_collect(int fd, struct bv_buf *out)
{
    char bytes[65536];
    ssize_t size;
    while ((size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        bv_buf_append(out, bytes, (size_t)size);
}

/* Sends input in pieces, ends the sending half, and appends all that comes back. A connection must
 * be gone then, without any deadline having passed. */
static inline void fuzzing_exchange(struct bv_http_server *server,
                                    struct bv_bytes input,
                                    size_t piece,
                                    struct bv_buf *out)
{
    int pair[2];
    bool ended = false;
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    fuzzing_accept(server, pair[0]);
    for (int turn = 0; turn < FUZZING_TURNS_MAX && server->connection_count > 0; turn++) {
        if (input.size > 0) {
            const size_t size = input.size < piece ? input.size : piece;
            const ssize_t sent = send(pair[1], input.data, size, MSG_NOSIGNAL);
            const size_t used = sent > 0 ? (size_t)sent : errno == EAGAIN ? 0 : input.size;
            input = (struct bv_bytes){input.data + used, input.size - used};
            turn = 0;
        } else if (!ended) {
            shutdown(pair[1], SHUT_WR);
            ended = true;
        }
        uv_run(server->uv, UV_RUN_NOWAIT);
        fuzzing_collect(pair[1], out);
    }
    FUZZ_REQUIRE(server->connection_count == 0);
    fuzzing_collect(pair[1], out);
    close(pair[1]);
}

#endif
