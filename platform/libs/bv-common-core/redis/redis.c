#include "bv/redis.h"

#include <errno.h>
#include <hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bv/log.h"
#include "bv/resilience.h"

#include "redis_internal.h"

/* DOWN --timer--> CONNECTING --connected--> SETUP (AUTH, SELECT, PING) --answered--> READY
 *   ^------------------------- break_off: any failure, any state -----------------------' */

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_SETUP, REDIS_READY };
enum {
    REDIS_CONNECT_TIMEOUT_MS = 3000, /* until PING is answered */
    REDIS_READ_BYTES = 65536,
    REDIS_KEEP_BYTES = 1 << 20, /* a larger output buffer is given back once it is sent */
    ATTEMPT_CEILING = 16,
};

static const struct bv_backoff connect_backoff = {
    .name = "redis-connect",
    .law = BV_BACKOFF_EXPONENTIAL_FULL_JITTER,
    .base_ms = 20,
    .cap_ms = 1000,
    .attempts_max = UINT32_MAX,
};
static const struct bv_metric commands_metric = {
    .name = "bv_redis_commands_total",
    .type = BV_COUNTER,
    .help = "Redis commands by outcome",
    .labels = "outcome",
};
static const struct bv_metric seconds_metric = {
    .name = "bv_redis_command_seconds",
    .type = BV_HISTOGRAM,
    .help = "Time from bv_redis_send to its done",
    .labels = "",
};
static const struct bv_metric up_metric = {
    .name = "bv_redis_up",
    .type = BV_GAUGE,
    .help = "1 when the connection takes commands",
    .labels = "",
};

struct command {
    bv_redis_done *done;
    void *argument;
    int64_t started_us;
    int64_t deadline_ms;
};
struct bv_redis {
    struct bv_loop *loop;     /* borrowed */
    const struct bv_env *env; /* borrowed */
    struct redis_url url;
    int64_t command_timeout_ms;
    enum redis_state state;
    int fd;                 /* owned; -1 when down */
    struct bv_poll *poll;   /* owned */
    redisReader *reader;    /* owned; NULL when down */
    struct bv_timer *timer; /* next try when down, connect timeout until ready */
    struct bv_timer *sweep;
    bool sweeping;
    struct bv_idle *idle;
    uint32_t attempt;
    size_t setup_left; /* replies until READY */
    struct bv_buf out;
    size_t sent;              /* bytes of out */
    struct command *commands; /* owned ring */
    size_t commands_max;
    size_t first;
    size_t count;
    bool closing;
    struct bv_metrics *metrics; /* borrowed, may be NULL */
    struct bv_series *ok;
    struct bv_series *seconds;
    struct bv_series *up;
};

static void on_poll(void *argument, int events);

/* ---- commands ---- */

static struct command pop(struct bv_redis *redis)
{
    struct command command = redis->commands[redis->first];
    redis->first = (redis->first + 1) % redis->commands_max;
    redis->count--;
    return command;
}

static void finish(struct bv_redis *redis,
                   const struct command *command,
                   int rc,
                   const redisReply *reply,
                   const struct bv_error *error)
{
    if (redis->metrics) {
        const char *outcome = rc == 0 ? "ok" : bv_error_row(rc)->word;
        bv_count(rc == 0 ? redis->ok
                         : bv_metrics_series(redis->metrics, &commands_metric, &outcome, 1),
                 1);
        bv_observe(redis->seconds, (double)(bv_mono_us(redis->env) - command->started_us) / 1e6);
    }
    if (command->done)
        command->done(command->argument, rc, (const struct bv_redis_reply *)reply, error);
}

static void fail_all(struct bv_redis *redis, int rc_of_the_expired, int rc, const char *why)
{
    int64_t now_ms = bv_loop_now_ms(redis->loop);
    while (redis->count > 0) { /* none is added meanwhile: the state is not READY */
        struct command command = pop(redis);
        struct bv_error error = {0};
        int code = now_ms >= command.deadline_ms ? rc_of_the_expired : rc;
        bv_fail(&error, code, "%s", why);
        finish(redis, &command, code, NULL, &error);
    }
}

/* ---- ending a connection ---- */

static void drop(struct bv_redis *redis)
{
    bv_poll_close(&redis->poll);
    if (redis->fd >= 0)
        close(redis->fd);
    redis->fd = -1;
    if (redis->reader)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
    redis->state = REDIS_DOWN;
    bv_buf_release(&redis->out);
    redis->out.max = REDIS_BYTES_MAX;
    redis->sent = 0;
    if (redis->up)
        bv_gauge_set(redis->up, 0);
}

static void break_off(struct bv_redis *redis, const char *why)
{
    bool was_ready = redis->state == REDIS_READY;
    char reason[128]; /* why may live in the reader */
    size_t size = strnlen(why, sizeof reason - 1);
    memcpy(reason, why, size);
    reason[size] = '\0';
    if (was_ready || redis->attempt == 0)
        bv_log(redis->env->log,
               BV_WARN,
               was_ready ? "redis.connection_lost" : "redis.connect_failed",
               NULL,
               BV_F_TEXT("why", reason));
    drop(redis);
    int64_t delay_ms = connect_backoff.cap_ms;
    uint32_t attempt = redis->attempt < ATTEMPT_CEILING ? redis->attempt : ATTEMPT_CEILING;
    if (bv_backoff_next(redis->env, &connect_backoff, attempt, &delay_ms) != 0)
        delay_ms = connect_backoff.cap_ms;
    redis->attempt++;
    bv_timer_set(redis->timer, delay_ms, 0);
    fail_all(redis, BV_E_TIMEOUT, BV_E_UNAVAILABLE, reason);
}

/* ---- writing ---- */

static void write_out(struct bv_redis *redis)
{
    while (redis->sent < redis->out.size) {
        ssize_t n = send(
            redis->fd, redis->out.data + redis->sent, redis->out.size - redis->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            bv_poll_set(redis->poll, BV_POLL_READ | BV_POLL_WRITE);
            return;
        }
        if (n < 0) {
            break_off(redis, strerror(errno));
            return;
        }
        redis->sent += (size_t)n;
    }
    redis->sent = 0;
    if (redis->out.capacity > REDIS_KEEP_BYTES)
        bv_buf_release(&redis->out);
    else
        bv_buf_reset(&redis->out);
    redis->out.max = REDIS_BYTES_MAX;
    bv_poll_set(redis->poll, BV_POLL_READ);
}

static void on_idle(void *argument)
{
    struct bv_redis *redis = argument;
    if (redis->state == REDIS_READY)
        write_out(redis);
}

/* ---- connecting ---- */

static int append_setup(struct bv_redis *redis)
{
    const struct redis_url *url = &redis->url;
    redis->setup_left = 1;
    if (url->password[0]) {
        struct bv_bytes words[3] = {
            BV_BYTES("AUTH"), bv_bytes_of(url->user), bv_bytes_of(url->password)};
        size_t count = 3;
        if (!url->user[0]) {
            words[1] = words[2];
            count = 2;
        }
        BV_TRY(redis_command_append(&redis->out, words, count));
        redis->setup_left++;
    }
    if (url->database > 0) {
        char digits[24];
        snprintf(digits, sizeof digits, "%lld", (long long)url->database);
        BV_TRY(redis_command_append(
            &redis->out, (struct bv_bytes[]){BV_BYTES("SELECT"), bv_bytes_of(digits)}, 2));
        redis->setup_left++;
    }
    return redis_command_append(&redis->out, (struct bv_bytes[]){BV_BYTES("PING")}, 1);
}

static void connected(struct bv_redis *redis)
{
    int code = 0;
    socklen_t size = sizeof code;
    if (getsockopt(redis->fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0 || code != 0) {
        break_off(redis, strerror(code ? code : errno));
        return;
    }
    int on = 1;
    setsockopt(redis->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(redis->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    redis->state = REDIS_SETUP;
    if (append_setup(redis) != 0) {
        break_off(redis, "out of memory");
        return;
    }
    write_out(redis);
}

/* Opens a socket to one of the host's addresses, another one with every attempt. */
static const char *open_socket(struct bv_redis *redis)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int code = getaddrinfo(redis->url.host, redis->url.port, &hints, &addresses);
    if (code != 0)
        return gai_strerror(code);
    size_t count = 0;
    for (const struct addrinfo *a = addresses; a; a = a->ai_next)
        count++;
    const struct addrinfo *address = addresses;
    for (size_t skip = redis->attempt % count; skip > 0; skip--)
        address = address->ai_next;
    redis->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool begun =
        redis->fd >= 0 &&
        (connect(redis->fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS);
    freeaddrinfo(addresses);
    return begun ? NULL : strerror(errno);
}

static void start(struct bv_redis *redis)
{
    redis->state = REDIS_CONNECTING;
    const char *why = open_socket(redis);
    if (!why) {
        redis->reader = redisReaderCreate();
        if (!redis->reader ||
            bv_poll_open(redis->loop, redis->fd, on_poll, redis, &redis->poll) != 0)
            why = "out of memory";
    }
    if (why) {
        break_off(redis, why);
        return;
    }
    bv_timer_set(redis->timer, REDIS_CONNECT_TIMEOUT_MS, 0);
    bv_poll_set(redis->poll, BV_POLL_WRITE);
}

static void on_timer(void *argument)
{
    struct bv_redis *redis = argument;
    if (redis->state == REDIS_DOWN)
        start(redis);
    else
        break_off(redis, "no connection within the connect timeout");
}

/* ---- reading ---- */

/* One reply of AUTH, SELECT or PING; false when the connection is given up. */
static bool take_setup(struct bv_redis *redis, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        break_off(redis, reply->str);
        return false;
    }
    if (--redis->setup_left > 0)
        return true;
    redis->state = REDIS_READY;
    redis->attempt = 0;
    bv_timer_clear(redis->timer);
    if (redis->up)
        bv_gauge_set(redis->up, 1);
    bv_log(redis->env->log, BV_DEBUG, "redis.connected", NULL, BV_F_TEXT("host", redis->url.host));
    return true;
}

static bool take_reply(struct bv_redis *redis, const redisReply *reply)
{
    if (redis->state == REDIS_SETUP)
        return take_setup(redis, reply);
    if (redis->count == 0) {
        break_off(redis, "a reply without a command");
        return false;
    }
    struct command command = pop(redis);
    if (reply->type == REDIS_REPLY_ERROR) {
        struct bv_error error = {0};
        bv_fail(&error, BV_E_PROTOCOL, "Redis: %s", reply->str);
        finish(redis, &command, BV_E_PROTOCOL, NULL, &error);
    } else {
        finish(redis, &command, 0, reply, NULL);
    }
    return true;
}

/* Hands out the complete replies; false when the connection is given up. */
static bool take_replies(struct bv_redis *redis)
{
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
            break_off(redis, redis->reader->errstr);
            return false;
        }
        if (!reply)
            return true;
        bool kept = take_reply(redis, reply);
        freeReplyObject(reply);
        if (!kept)
            return false;
    }
}

static void read_in(struct bv_redis *redis)
{
    char data[REDIS_READ_BYTES];
    for (;;) {
        ssize_t n = recv(redis->fd, data, sizeof data, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            break_off(redis, n == 0 ? "the server closed the connection" : strerror(errno));
            return;
        }
        if (redisReaderFeed(redis->reader, data, (size_t)n) != REDIS_OK) {
            break_off(redis, "out of memory");
            return;
        }
        if (!take_replies(redis) || (size_t)n < sizeof data)
            return;
    }
}

static void on_poll(void *argument, int events)
{
    struct bv_redis *redis = argument;
    if (redis->state == REDIS_CONNECTING) {
        connected(redis);
        return;
    }
    if (events & BV_POLL_WRITE)
        write_out(redis);
    if ((events & BV_POLL_READ) && redis->fd >= 0)
        read_in(redis);
}

/* ---- timeouts ---- */

/* Commands are answered in order and share one timeout: the first tells. */
static void on_sweep(void *argument)
{
    struct bv_redis *redis = argument;
    if (redis->count > 0 &&
        bv_loop_now_ms(redis->loop) >= redis->commands[redis->first].deadline_ms)
        break_off(redis, "no answer within the command timeout, outcome unknown");
    if (redis->count == 0) {
        bv_timer_clear(redis->sweep);
        redis->sweeping = false;
    }
}

static void start_sweep(struct bv_redis *redis)
{
    if (redis->sweeping)
        return;
    int64_t every_ms = redis->command_timeout_ms / 8;
    every_ms = every_ms < 5 ? 5 : every_ms > 100 ? 100 : every_ms;
    bv_timer_set(redis->sweep, every_ms, every_ms);
    redis->sweeping = true;
}

int bv_redis_send(struct bv_redis *redis,
                  const struct bv_bytes *words,
                  size_t count,
                  bv_redis_done *done,
                  void *argument)
{
    if (redis->state != REDIS_READY || redis->closing)
        return BV_E_UNAVAILABLE;
    if (redis->count == redis->commands_max)
        return BV_E_LIMIT;
    BV_TRY(redis_command_append(&redis->out, words, count));
    redis->commands[(redis->first + redis->count) % redis->commands_max] = (struct command){
        .done = done,
        .argument = argument,
        .started_us = bv_mono_us(redis->env),
        .deadline_ms = bv_loop_now_ms(redis->loop) + redis->command_timeout_ms,
    };
    redis->count++;
    start_sweep(redis);
    bv_idle_arm(redis->idle);
    return 0;
}

/* ---- life ---- */

static int open_parts(struct bv_redis *redis, const struct bv_redis_config *config)
{
    struct bv_error error = {0};
    int rc = redis_url_parse(config->url, &redis->url, &error);
    if (rc < 0) {
        bv_log(redis->env->log, BV_ERROR, "redis.url_invalid", NULL, BV_F_TEXT("why", error.text));
        return rc;
    }
    redis->commands = calloc(redis->commands_max, sizeof *redis->commands);
    if (!redis->commands)
        return BV_E_NOMEM;
    BV_TRY(bv_timer_open(redis->loop, on_timer, redis, &redis->timer));
    BV_TRY(bv_timer_open(redis->loop, on_sweep, redis, &redis->sweep));
    BV_TRY(bv_idle_open(redis->loop, on_idle, redis, &redis->idle));
    if (redis->metrics) {
        const char *ok = "ok";
        redis->ok = bv_metrics_series(redis->metrics, &commands_metric, &ok, 1);
        redis->seconds = bv_metrics_series(redis->metrics, &seconds_metric, NULL, 0);
        redis->up = bv_metrics_series(redis->metrics, &up_metric, NULL, 0);
    }
    return 0;
}

int bv_redis_open(struct bv_loop *loop,
                  const struct bv_redis_config *config,
                  struct bv_metrics *metrics,
                  struct bv_redis **ret_redis)
{
    if (config->commands_max < 1 || config->command_timeout_ms < 1)
        return BV_E_INVALID;
    struct bv_redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return BV_E_NOMEM;
    redis->loop = loop;
    redis->env = bv_loop_env(loop);
    redis->metrics = metrics;
    redis->fd = -1;
    redis->commands_max = (size_t)config->commands_max;
    redis->command_timeout_ms = config->command_timeout_ms;
    redis->out.max = REDIS_BYTES_MAX;
    int rc = open_parts(redis, config);
    if (rc < 0) {
        bv_redis_close(&redis);
        return rc;
    }
    start(redis);
    *ret_redis = redis;
    return 0;
}

void bv_redis_close(struct bv_redis **handle)
{
    struct bv_redis *redis = *handle;
    if (!redis)
        return;
    redis->closing = true;
    drop(redis);
    fail_all(redis, BV_E_CANCELLED, BV_E_CANCELLED, "the client closes");
    bv_timer_close(&redis->timer);
    bv_timer_close(&redis->sweep);
    bv_idle_close(&redis->idle);
    free(redis->commands);
    bv_buf_release(&redis->out);
    free(redis);
    *handle = NULL;
}

bool bv_redis_ready(const struct bv_redis *redis)
{
    return redis->state == REDIS_READY;
}
