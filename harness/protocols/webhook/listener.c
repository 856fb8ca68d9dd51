/* Everything below the public functions runs on the listener's thread. A connection is in one of
 * three states: reading a request; waiting for the time of its answer, during which nothing is read
 * from it; or playing an answer that has no end, until the peer leaves. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <llhttp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 16384 };

struct connection {
    int fd; /* -1: free slot */
    llhttp_t parser;
    struct bv_buf head; /* target, then names and values, each NUL-terminated */
    size_t starts[2 * LISTENER_FIELDS_MAX + 2]; /* offsets of the texts in head */
    size_t text_count;
    struct bv_buf body;
    struct bv_buf input; /* read and not parsed yet */
    bool complete;
    bool begun;   /* bytes of the request have been read */
    bool waiting; /* also while it plays */
    bool playing;
    bool last; /* close after the answer */
    int64_t answer_at_us;
    struct listener_answer answer;
    size_t played; /* bytes of an answer without end */
};

struct listener {
    const struct bv_env *env;
    listener_handler *handler;
    listener_turns_away *turns_away; /* NULL: nobody */
    void *argument;
    int fd;
    int stop_fd;
    pthread_t thread;
    bool running;
    llhttp_settings_t settings;
    struct connection connections[LISTENER_CONNECTIONS_MAX];
};

/* ---- parsing ---- */

static int text_begin(struct connection *connection)
{
    if (connection->text_count == BV_COUNT(connection->starts))
        return HPE_USER;
    connection->starts[connection->text_count++] = connection->head.size;
    return HPE_OK;
}

static int text_more(llhttp_t *parser, const char *data, size_t size)
{
    struct connection *connection = parser->data;
    return bv_buf_append(&connection->head, data, size) < 0 ? HPE_USER : HPE_OK;
}

static int text_end(llhttp_t *parser)
{
    struct connection *connection = parser->data;
    return bv_buf_char(&connection->head, '\0') < 0 ? HPE_USER : HPE_OK;
}

static int on_begin(llhttp_t *parser)
{
    struct connection *connection = parser->data;
    bv_buf_reset(&connection->head);
    bv_buf_reset(&connection->body);
    connection->text_count = 0;
    connection->complete = false;
    return text_begin(connection); /* of the target */
}

static int on_text_end(llhttp_t *parser)
{
    int rc = text_end(parser);
    return rc == HPE_OK ? text_begin(parser->data) : rc;
}

static int on_body(llhttp_t *parser, const char *data, size_t size)
{
    struct connection *connection = parser->data;
    return bv_buf_append(&connection->body, data, size) < 0 ? HPE_USER : HPE_OK;
}

static int on_complete(llhttp_t *parser)
{
    struct connection *connection = parser->data;
    connection->complete = true;
    connection->last = !llhttp_should_keep_alive(parser);
    return HPE_PAUSED;
}

/* ---- connections ---- */

static void drop(struct connection *connection)
{
    close(connection->fd);
    bv_buf_release(&connection->head);
    bv_buf_release(&connection->body);
    bv_buf_release(&connection->input);
    connection->fd = -1;
    connection->waiting = connection->playing = false;
}

static void reset(struct connection *connection)
{
    struct linger now = {1, 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    drop(connection);
}

static void take(struct listener *listener, int fd)
{
    for (size_t i = 0; i < LISTENER_CONNECTIONS_MAX; i++) {
        struct connection *connection = &listener->connections[i];
        if (connection->fd >= 0)
            continue;
        memset(connection, 0, sizeof *connection);
        connection->fd = fd;
        connection->head.max = LISTENER_HEAD_MAX;
        connection->body.max = LISTENER_BODY_MAX;
        connection->input.max = LISTENER_BODY_MAX + LISTENER_HEAD_MAX;
        llhttp_init(&connection->parser, HTTP_REQUEST, &listener->settings);
        connection->parser.data = connection;
        return;
    }
    close(fd); /* full */
}

/* ---- answers ---- */

static void put_answer(struct connection *connection)
{
    char text[512];
    const struct listener_answer *answer = &connection->answer;
    int size = snprintf(text,
                        sizeof text,
                        "HTTP/1.1 %d Lab\r\n%s%s%s\r\n",
                        answer->status,
                        answer->fields,
                        answer->status == 204 ? "" : "content-length: 0\r\n",
                        connection->last ? "connection: close\r\n" : "");
    /* A fresh answer of some 100 bytes always fits the socket's buffer; a peer that does not read
     * gets cut. */
    if (send(connection->fd, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) != size ||
        connection->last)
        drop(connection);
}

/* What is sent once, for those that close afterwards. */
static const char *const last_words[] = {
    [LISTENER_CLOSES] = "",
    [LISTENER_GARBAGE] = "\x16\x03\x01 this is no HTTP \x00\xff\r\n\r\n",
    [LISTENER_CUTS_HEAD] = "HTTP/1.1 200 Lab\r\ncontent-le",
    [LISTENER_CUTS_BODY] = "HTTP/1.1 200 Lab\r\ncontent-length: 1000\r\n\r\nfar less",
    [LISTENER_LONG_BODY] = "HTTP/1.1 200 Lab\r\ncontent-length: 3\r\n\r\nfar more than that",
};

/* The head of an answer without end, and what is then repeated. */
static const struct {
    const char *head, *again;
} endless[] = {
    [LISTENER_STALLS] = {"",                                                       ""                                              },
    [LISTENER_DRIPS] = {"HTTP/1.1 200 Lab\r\nx-drip: ",                           "a"                                             },
    [LISTENER_HUGE_BODY] = {"HTTP/1.1 200 Lab\r\ntransfer-encoding: chunked\r\n\r\n",
                         "10\r\nbuffaloo buffalo\r\n"                                                                              },
    [LISTENER_INTERIM] = {"",                                                       "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"},
};

/* As much as the socket takes, or one byte; then the time of the next. */
static void play(struct listener *listener, struct connection *connection)
{
    const char *again = endless[connection->answer.conduct].again;
    const bool drips = connection->answer.conduct == LISTENER_DRIPS;
    char text[16384];
    size_t size = 0;
    while (*again && size + strlen(again) < (drips ? 2 : sizeof text)) {
        memcpy(text + size, again, strlen(again));
        size += strlen(again);
    }
    connection->answer_at_us =
        bv_mono_us(listener->env) + (drips || !size ? LISTENER_DRIP_MS * 1000 : 1000);
    /* A block that fits only in part would break its frame, which may be: the peer is to leave. */
    const ssize_t sent = send(connection->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size && sent < 0 && errno != EAGAIN && errno != EINTR) {
        drop(connection);
        return;
    }
    connection->played += sent > 0 ? (size_t)sent : 0;
    if (connection->played > LISTENER_FLOOD_MAX)
        drop(connection);
}

static void respond(struct listener *listener, struct connection *connection)
{
    const enum listener_conduct conduct = connection->answer.conduct;
    connection->waiting = false;
    if (!connection->answer.status) {
        reset(connection);
    } else if (conduct == LISTENER_ANSWERS) {
        put_answer(connection);
    } else if (conduct < BV_COUNT(last_words) && last_words[conduct]) {
        const char *words = last_words[conduct];
        const size_t size = conduct == LISTENER_GARBAGE ? 26 : strlen(words);
        (void)send(connection->fd, words, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        drop(connection);
    } else {
        const char *head = endless[conduct].head;
        connection->waiting = connection->playing = true;
        (void)send(connection->fd, head, strlen(head), MSG_NOSIGNAL | MSG_DONTWAIT);
        play(listener, connection);
    }
}

static void handle(struct listener *listener, struct connection *connection)
{
    struct bv_http_field fields[LISTENER_FIELDS_MAX];
    struct listener_request request = {.method = llhttp_method_name(connection->parser.method),
                                       .fields = fields,
                                       .body = bv_buf_view(&connection->body)};
    const char *head = connection->head.data;
    request.target = bv_bytes_of(head + connection->starts[0]);
    for (size_t i = 1; i + 1 < connection->text_count && request.field_count < LISTENER_FIELDS_MAX;
         i += 2)
        fields[request.field_count++] = (struct bv_http_field){
            head + connection->starts[i], bv_bytes_of(head + connection->starts[i + 1])};
    connection->answer = listener->handler(listener->argument, &request);
    connection->begun = false;
    connection->waiting = true;
    connection->answer_at_us = bv_mono_us(listener->env) + connection->answer.delay_ms * 1000;
    if (!connection->answer.delay_ms)
        respond(listener, connection);
}

/* Parses what was read, one request at a time. */
static void parse(struct listener *listener, struct connection *connection)
{
    while (connection->fd >= 0 && !connection->waiting && connection->input.size) {
        struct bv_buf *input = &connection->input;
        enum llhttp_errno rc = llhttp_execute(&connection->parser, input->data, input->size);
        size_t used = input->size;
        if (rc == HPE_PAUSED) {
            used = (size_t)(llhttp_get_error_pos(&connection->parser) - input->data);
            llhttp_resume(&connection->parser);
        } else if (rc != HPE_OK) {
            connection->answer = (struct listener_answer){.status = 400};
            connection->last = true;
            respond(listener, connection);
            return;
        }
        memmove(input->data, input->data + used, input->size - used);
        input->size -= used;
        if (connection->complete) {
            connection->complete = false;
            handle(listener, connection);
        }
    }
}

/* While it plays, all that matters is whether the peer is still there. */
static void watch_peer(struct connection *connection)
{
    char bytes[1024];
    const ssize_t size = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
        drop(connection);
}

static bool turned_away(struct listener *listener, struct connection *connection)
{
    char byte;
    if (connection->begun || connection->input.size || !listener->turns_away ||
        recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
        return false;
    connection->begun = true;
    if (!listener->turns_away(listener->argument))
        return false;
    drop(connection);
    return true;
}

static void readable(struct listener *listener, struct connection *connection)
{
    if (connection->playing) {
        watch_peer(connection);
        return;
    }
    if (turned_away(listener, connection))
        return;
    char *place = bv_buf_reserve(&connection->input, READ_BYTES);
    ssize_t size = place ? recv(connection->fd, place, READ_BYTES, MSG_DONTWAIT) : 0;
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        drop(connection);
        return;
    }
    connection->input.size += (size_t)size;
    parse(listener, connection);
}

/* ---- the thread ---- */

/* Milliseconds until the next answer is due, -1: none waits. Answers what is due. */
static int answer_due(struct listener *listener)
{
    int64_t nearest_us = -1;
    for (size_t i = 0; i < LISTENER_CONNECTIONS_MAX; i++) {
        struct connection *connection = &listener->connections[i];
        if (connection->fd < 0 || !connection->waiting)
            continue;
        if (connection->answer_at_us <= bv_mono_us(listener->env)) {
            connection->playing ? play(listener, connection) : respond(listener, connection);
            if (connection->fd >= 0 && !connection->waiting)
                parse(listener, connection);
        }
        if (connection->fd < 0 || !connection->waiting)
            continue;
        int64_t left_us = connection->answer_at_us - bv_mono_us(listener->env);
        left_us = left_us > 0 ? left_us : 0;
        if (nearest_us < 0 || left_us < nearest_us)
            nearest_us = left_us;
    }
    return nearest_us < 0 ? -1 : (int)(nearest_us / 1000 + 1);
}

static void *serve(void *argument)
{
    struct listener *listener = argument;
    pthread_setname_np(pthread_self(), "lab-webhook");
    for (;;) {
        struct pollfd polls[LISTENER_CONNECTIONS_MAX + 2] = {
            {listener->stop_fd, POLLIN, 0},
            {listener->fd,      POLLIN, 0}
        };
        int timeout_ms = answer_due(listener);
        for (size_t i = 0; i < LISTENER_CONNECTIONS_MAX; i++) {
            const struct connection *connection = &listener->connections[i];
            polls[i + 2] = (struct pollfd){
                connection->waiting && !connection->playing ? -1 : connection->fd, POLLIN, 0};
        }
        if (poll(polls, BV_COUNT(polls), timeout_ms) < 0 && errno != EINTR)
            return NULL;
        if (polls[0].revents)
            return NULL;
        for (size_t i = 0; i < LISTENER_CONNECTIONS_MAX; i++)
            if (polls[i + 2].revents && listener->connections[i].fd >= 0)
                readable(listener, &listener->connections[i]);
        int fd = polls[1].revents ? accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd >= 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
            take(listener, fd);
        }
    }
}

static int bind_port(struct listener *listener, uint16_t port, struct bv_error *error)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    listener->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (listener->fd < 0 || listener->stop_fd < 0)
        return bv_fail(error, BV_E_IO, "socket: %s", strerror(errno));
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return bv_fail(error,
                       errno == EADDRINUSE ? BV_E_EXISTS : BV_E_IO,
                       "port %u: %s",
                       port,
                       strerror(errno));
    if (listen(listener->fd, 128) < 0)
        return bv_fail(error, BV_E_IO, "listen: %s", strerror(errno));
    return 0;
}

int listener_bind(const struct bv_env *env,
                  uint16_t port,
                  listener_handler *handler,
                  void *argument,
                  struct listener **ret_listener,
                  struct bv_error *error)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return BV_E_NOMEM;
    listener->env = env;
    listener->handler = handler;
    listener->argument = argument;
    listener->fd = listener->stop_fd = -1;
    for (size_t i = 0; i < LISTENER_CONNECTIONS_MAX; i++)
        listener->connections[i].fd = -1;
    llhttp_settings_init(&listener->settings);
    listener->settings.on_message_begin = on_begin;
    listener->settings.on_url = text_more;
    listener->settings.on_url_complete = on_text_end;
    listener->settings.on_header_field = text_more;
    listener->settings.on_header_field_complete = on_text_end;
    listener->settings.on_header_value = text_more;
    listener->settings.on_header_value_complete = on_text_end;
    listener->settings.on_body = on_body;
    listener->settings.on_message_complete = on_complete;
    int rc = bind_port(listener, port, error);
    if (rc < 0)
        listener_close(&listener);
    else
        *ret_listener = listener;
    return rc;
}

void listener_door(struct listener *listener, listener_turns_away *turns_away)
{
    listener->turns_away = turns_away;
}

int listener_start(struct listener *listener, struct bv_error *error)
{
    if (pthread_create(&listener->thread, NULL, serve, listener) != 0)
        return bv_fail(error, BV_E_LIMIT, "no thread for the listener");
    listener->running = true;
    return 0;
}

int listener_open(const struct bv_env *env,
                  uint16_t port,
                  listener_handler *handler,
                  void *argument,
                  struct listener **ret_listener,
                  struct bv_error *error)
{
    struct listener *listener = NULL;
    BV_TRY(listener_bind(env, port, handler, argument, &listener, error));
    int rc = listener_start(listener, error);
    if (rc < 0)
        listener_close(&listener);
    else
        *ret_listener = listener;
    return rc;
}

void listener_close(struct listener **listener)
{
    struct listener *l = *listener;
    if (!l)
        return;
    if (l->running) {
        uint64_t one = 1;
        while (write(l->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
        pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < LISTENER_CONNECTIONS_MAX; i++)
        if (l->connections[i].fd >= 0)
            drop(&l->connections[i]);
    if (l->fd >= 0)
        close(l->fd);
    if (l->stop_fd >= 0)
        close(l->stop_fd);
    free(l);
    *listener = NULL;
}
