#include "bv/probe.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 8), 0);
    return fd;
}

static uint16_t some_port(void)
{
    uint16_t port = 0;
    cr_assert_eq(bv_port_pick(NULL, 0, &port, NULL), 0);
    return port;
}

/* A peer that answers one connection with text and closes. */
static uint16_t peer_saying(const char *text)
{
    uint16_t port = some_port();
    int fd = listen_on(port);
    if (fork() == 0) {
        int client = accept(fd, NULL, NULL);
        char request[1024];
        (void)!read(client, request, sizeof request);
        (void)!write(client, text, strlen(text));
        _exit(0);
    }
    close(fd);
    return port;
}

Test(probe, picked_ports_lie_below_those_of_clients_and_differ)
{
    uint16_t taken[200];
    for (size_t i = 0; i < BV_COUNT(taken); i++) {
        cr_assert_eq(bv_port_pick(taken, i, &taken[i], NULL), 0);
        cr_assert_geq(taken[i], BV_PORT_MIN);
        cr_assert_lt(taken[i], BV_PORT_BELOW);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(taken[i], taken[j]);
    }
}

Test(probe, a_listener_takes_its_port)
{
    uint16_t port = some_port();
    cr_assert(bv_port_free(port));
    int fd = listen_on(port);
    cr_assert_not(bv_port_free(port));
    close(fd);
    cr_assert(bv_port_free(port));
}

Test(probe, waiting_for_nobody_ends_at_the_deadline)
{
    struct bv_error error = {0};
    int64_t before_ms = bv_now_ms();
    cr_assert_eq(bv_port_await(some_port(), before_ms + 60, NULL, &error), BV_E_TIMEOUT);
    cr_assert_geq(bv_now_ms(), before_ms + 60);
    cr_assert_lt(bv_now_ms(), before_ms + 5000);
}

Test(probe, get_reads_status_and_body)
{
    struct bv_buf body = {.max = 5};
    int status = 0;
    uint16_t port = peer_saying("HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\nnot yet");
    cr_assert_eq(bv_http_probe(port, "/readyz", bv_now_ms() + 5000, &status, &body, NULL), 0);
    cr_assert_eq(status, 503);
    cr_assert(bv_bytes_equal(bv_buf_view(&body), BV_BYTES("not y")), "cut to the buffer's maximum");
    bv_buf_release(&body);
}

Test(probe, other_protocols_and_silence_are_told_apart)
{
    int status = -1;
    cr_assert_eq(
        bv_http_probe(peer_saying("220 mail\r\n"), "/", bv_now_ms() + 5000, &status, NULL, NULL),
        BV_E_PROTOCOL);
    uint16_t port = some_port();
    cr_assert_eq(bv_http_probe(port, "/", bv_now_ms() + 5000, &status, NULL, NULL),
                 BV_E_UNAVAILABLE);
    int fd = listen_on(port);
    cr_assert_eq(bv_http_probe(port, "/", bv_now_ms() + 50, &status, NULL, NULL), BV_E_TIMEOUT);
    close(fd);
    cr_assert_eq(status, -1);
}
