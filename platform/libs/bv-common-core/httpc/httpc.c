/* The client: curl's sockets and its one timer hang on the loop; finished transfers are collected
 * after each call into curl.
 *
 *   bv_poll ──ready──▶ curl_multi_socket_action ──▶ callbacks of exchange.c
 *   bv_timer, bv_idle ─timeout─▶      │
 *                                     └─▶ collect: info_read → done
 */
#include "httpc_private.h"

#include <stdlib.h>

#define SPARE_MAX 64
#define CONNECTIONS_LIMIT 65536

const struct bv_httpc_config bv_httpc_config_default = {
    .connections_max = 256,
    .connections_per_host_max = 64,
    .requests_max = 1024,
    .response_bytes_max = 4 << 20,
    .user_agent = "bitvelocity",
};

struct socket_watch { /* one descriptor of curl's */
    struct bv_httpc *client;
    struct bv_poll *poll;
    curl_socket_t fd;
};

struct bv_httpc {
    struct bv_loop *loop; /* borrowed */
    struct bv_httpc_config config;
    char *user_agent; /* owned */
    bool curl_ready;
    bool closing;
    int depth; /* > 0 within a done */
    CURLM *multi;
    struct bv_timer *timeout;
    struct bv_idle *soon;    /* curl's timeout of zero */
    struct exchange running; /* ring head */
    size_t running_count;
    struct exchange *spare;
    size_t spare_count;
};

/* ---- exchanges: out of the pool, into the ring, back ---- */

static void ring_add(struct bv_httpc *client, struct exchange *exchange)
{
    exchange->next = &client->running;
    exchange->previous = client->running.previous;
    exchange->previous->next = exchange;
    client->running.previous = exchange;
    client->running_count++;
}

static void ring_remove(struct bv_httpc *client, struct exchange *exchange)
{
    exchange->previous->next = exchange->next;
    exchange->next->previous = exchange->previous;
    client->running_count--;
}

static void give_back(struct bv_httpc *client, struct exchange *exchange)
{
    if (client->spare_count >= SPARE_MAX || client->closing) {
        exchange_free(&exchange);
        return;
    }
    exchange_empty(exchange);
    exchange->next = client->spare;
    client->spare = exchange;
    client->spare_count++;
}

static void end_exchange(struct exchange *exchange, CURLcode result, int forced)
{
    struct bv_httpc *client = exchange->client;
    curl_multi_remove_handle(client->multi, exchange->easy);
    ring_remove(client, exchange);
    bv_timer_clear(exchange->deadline);
    struct bv_error error = {0};
    int rc;
    if (forced)
        rc = bv_fail(&error,
                     forced,
                     "%s",
                     forced == BV_E_TIMEOUT ? "no complete answer within the deadline"
                                            : "the client was closed");
    else
        rc = exchange_result(exchange, result, &error);
    struct bv_httpc_response response = {
        .status = exchange->status,
        .body = bv_buf_view(&exchange->body),
        .fields = exchange->fields,
        .field_count = exchange->field_count,
        .elapsed_us = bv_mono_us(bv_loop_env(client->loop)) - exchange->sent_at_us,
    };
    client->depth++;
    exchange->done(exchange->argument, rc, rc == 0 ? &response : NULL, &error);
    client->depth--;
    give_back(client, exchange);
}

static void on_deadline(void *argument)
{
    end_exchange(argument, CURLE_OK, BV_E_TIMEOUT);
}

/* ---- curl on the loop ---- */

static void collect(struct bv_httpc *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct exchange *exchange = NULL;
        CURLcode result = message->data.result;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange) ==
                CURLE_OK)
            end_exchange(exchange, result, 0);
    }
}

static void act(struct bv_httpc *client, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(client->multi, fd, events, &running);
    collect(client);
}

static void on_timeout(void *argument)
{
    act(argument, CURL_SOCKET_TIMEOUT, 0);
}

static void on_ready(void *argument, int events)
{
    const struct socket_watch *watch = argument;
    act(watch->client,
        watch->fd,
        (events & BV_POLL_READ ? CURL_CSELECT_IN : 0) |
            (events & BV_POLL_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *argument)
{
    (void)multi;
    struct bv_httpc *client = argument;
    bv_timer_clear(client->timeout);
    if (timeout_ms == 0)
        bv_idle_arm(client->soon);
    else if (timeout_ms > 0)
        bv_timer_set(client->timeout, timeout_ms, 0);
    return 0;
}

static struct socket_watch *watch_new(struct bv_httpc *client, curl_socket_t fd)
{
    struct socket_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->client = client;
    watch->fd = fd;
    if (bv_poll_open(client->loop, fd, on_ready, watch, &watch->poll) != 0) {
        free(watch);
        return NULL;
    }
    curl_multi_assign(client->multi, fd, watch);
    return watch;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *argument, void *assigned)
{
    (void)easy;
    struct socket_watch *watch = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            bv_poll_close(&watch->poll);
            free(watch);
        }
        return 0;
    }
    if (!watch)
        watch = watch_new(argument, fd);
    if (!watch)
        return -1; /* curl ends the transfers of this handle */
    bv_poll_set(watch->poll,
                (what & CURL_POLL_IN ? BV_POLL_READ : 0) |
                    (what & CURL_POLL_OUT ? BV_POLL_WRITE : 0));
    return 0;
}

/* ---- the public side ---- */

static bool in_range(int64_t value, int64_t max)
{
    return value >= 1 && value <= max;
}

static int open_multi(struct bv_httpc *client)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return BV_E_NOMEM;
    client->curl_ready = true;
    client->multi = curl_multi_init();
    if (!client->multi)
        return BV_E_NOMEM;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->config.connections_max);
    curl_multi_setopt(
        client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)client->config.connections_max);
    curl_multi_setopt(client->multi,
                      CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)client->config.connections_per_host_max);
    return 0;
}

static int open_parts(struct bv_httpc *client)
{
    if (client->config.user_agent) {
        client->user_agent = strdup(client->config.user_agent);
        if (!client->user_agent)
            return BV_E_NOMEM;
    }
    BV_TRY(bv_timer_open(client->loop, on_timeout, client, &client->timeout));
    BV_TRY(bv_idle_open(client->loop, on_timeout, client, &client->soon));
    return open_multi(client);
}

int bv_httpc_open(struct bv_loop *loop,
                  const struct bv_httpc_config *config,
                  struct bv_httpc **ret_client)
{
    if (!in_range(config->connections_max, CONNECTIONS_LIMIT) ||
        !in_range(config->connections_per_host_max, CONNECTIONS_LIMIT) ||
        !in_range(config->requests_max, INT32_MAX) ||
        !in_range(config->response_bytes_max, INT64_MAX / 2))
        return BV_E_INVALID;
    struct bv_httpc *client = calloc(1, sizeof(*client));
    if (!client)
        return BV_E_NOMEM;
    client->loop = loop;
    client->config = *config;
    client->running.next = client->running.previous = &client->running;
    int rc = open_parts(client);
    if (rc < 0) {
        bv_httpc_close(&client);
        return rc;
    }
    *ret_client = client;
    return 0;
}

void bv_httpc_close(struct bv_httpc **client_at)
{
    struct bv_httpc *client = bv_take(client_at);
    if (!client)
        return;
    assert(client->depth == 0);
    client->closing = true;
    while (client->running_count)
        end_exchange(client->running.next, CURLE_OK, BV_E_CANCELLED);
    while (client->spare) {
        struct exchange *exchange = client->spare;
        client->spare = exchange->next;
        exchange_free(&exchange);
    }
    if (client->multi)
        curl_multi_cleanup(client->multi); /* closes the kept connections */
    if (client->curl_ready)
        curl_global_cleanup();
    bv_idle_close(&client->soon);
    bv_timer_close(&client->timeout);
    free(client->user_agent);
    free(client);
}

static int take_exchange(struct bv_httpc *client, struct exchange **ret_exchange)
{
    struct exchange *exchange = client->spare;
    if (exchange) {
        client->spare = exchange->next;
        client->spare_count--;
        *ret_exchange = exchange;
        return 0;
    }
    BV_TRY(exchange_new(client,
                        (size_t)client->config.response_bytes_max,
                        client->user_agent,
                        client->config.public_only,
                        &exchange));
    int rc = bv_timer_open(client->loop, on_deadline, exchange, &exchange->deadline);
    if (rc < 0) {
        exchange_free(&exchange);
        return rc;
    }
    *ret_exchange = exchange;
    return 0;
}

int bv_httpc_send(struct bv_httpc *client,
                  const struct bv_httpc_request *request,
                  bv_httpc_done *done,
                  void *argument)
{
    if (client->closing)
        return BV_E_CLOSED;
    if (client->running_count >= (size_t)client->config.requests_max)
        return BV_E_LIMIT;
    struct exchange *exchange = NULL;
    BV_TRY(take_exchange(client, &exchange));
    int rc = exchange_fill(exchange, request, (size_t)client->config.response_bytes_max);
    if (rc == 0 && curl_multi_add_handle(client->multi, exchange->easy) != CURLM_OK)
        rc = BV_E_NOMEM;
    if (rc < 0) {
        give_back(client, exchange);
        return rc;
    }
    exchange->done = done;
    exchange->argument = argument;
    exchange->sent_at_us = bv_mono_us(bv_loop_env(client->loop));
    ring_add(client, exchange);
    bv_timer_set(exchange->deadline, request->timeout_ms, 0);
    return 0;
}

size_t bv_httpc_pending(const struct bv_httpc *client)
{
    return client->running_count;
}

struct bv_bytes bv_httpc_field(const struct bv_httpc_response *response, const char *name)
{
    struct bv_bytes wanted = bv_bytes_of(name);
    for (size_t i = 0; i < response->field_count; i++)
        if (bv_bytes_equal_nocase(bv_bytes_of(response->fields[i].name), wanted))
            return response->fields[i].value;
    return BV_BYTES_NONE;
}
