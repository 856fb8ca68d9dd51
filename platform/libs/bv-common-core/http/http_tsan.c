/* Replies from other threads under the thread sanitizer, under which Criterion does not run:
 * threads answer deferred requests while clients ask, leave and time out, until the server is
 * drained. */
#include "bv/http.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 3, CLIENTS = 3, REQUESTS = 300, RING = 1024 };

static struct bv_loop *loop;
static struct bv_http_server *server;
static atomic_int answered;
static atomic_bool ending;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct bv_http_token ring[RING];
static unsigned taken, given;

static int defer(struct bv_http_request *request, void *context, struct bv_error *error)
{
    (void)context;
    (void)error;
    const struct bv_http_token token = bv_http_defer(request);
    pthread_mutex_lock(&lock);
    ring[given++ % RING] = token;
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void *work(void *argument)
{
    const struct bv_http_response response = {
        .status = 200, .content_type = "text/plain", .body = BV_BYTES("from a thread")};
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (taken == given && !ending)
            pthread_cond_wait(&filled, &lock);
        const bool done = taken == given;
        const struct bv_http_token token = ring[taken % RING];
        taken += done ? 0 : 1;
        pthread_mutex_unlock(&lock);
        if (done)
            return NULL;
        if (bv_http_reply_any_thread(token, &response) != 0)
            abort();
    }
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)bv_http_server_port(server))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    return fd;
}

static void *ask(void *argument)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    char reply[1024];
    int fd = dial();
    (void)argument;
    for (int i = 0; i < REQUESTS; i++) {
        if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0)
            abort();
        if (i % 10 == 9) { /* leaves without waiting */
            const struct linger hard = {1, 0};
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            close(fd);
            fd = dial();
        } else if (recv(fd, reply, sizeof reply, 0) > 0) {
            atomic_fetch_add(&answered, 1);
        }
    }
    close(fd);
    return NULL;
}

static void *run(void *argument)
{
    (void)argument;
    if (bv_loop_run(loop) != 0)
        abort();
    return NULL;
}

static void on_drained(void *argument)
{
    (void)argument;
    bv_loop_stop(loop);
}

static void drain(void *argument)
{
    (void)argument;
    bv_http_server_drain(server, bv_loop_now_ms(loop) + 5000, on_drained, NULL);
}

int main(void)
{
    static const struct bv_http_route route = {.method = BV_GET, .path = "/", .handler = defer};
    const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    pthread_t loop_thread, workers[WORKERS], clients[CLIENTS];
    if (bv_loop_open(&env, &loop) != 0)
        return 1;
    const struct bv_http_deps deps = {.loop = loop};
    if (bv_http_server_open(&bv_http_config_default, &deps, &server) != 0 ||
        bv_http_server_routes(server, &route, 1, NULL) != 0 ||
        bv_http_server_start(server, NULL) != 0)
        return 1;
    pthread_create(&loop_thread, NULL, run, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&workers[i], NULL, work, NULL);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, ask, NULL);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    pthread_mutex_lock(&lock);
    ending = true;
    pthread_cond_broadcast(&filled);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    if (bv_loop_post(loop, drain, NULL) != 0)
        return 1;
    pthread_join(loop_thread, NULL);
    bv_http_server_close(&server);
    bv_loop_close(&loop);
    const int wanted = CLIENTS * REQUESTS * 9 / 10;
    if (atomic_load(&answered) != wanted)
        fprintf(stderr, "%d replies, not %d\n", atomic_load(&answered), wanted);
    return atomic_load(&answered) == wanted ? 0 : 1;
}
