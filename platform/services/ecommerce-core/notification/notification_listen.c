/* DOWN --timer--> CONNECTING --up--> ASKING (LISTEN sent) --its result--> READY
 *   ^------------------------ lost: any failure, any state ----------------' */
#include "notification_listen.h"

#include <libpq-fe.h>
#include <stdlib.h>

#include "bv/resilience.h"

#define CONNECT_TIMEOUT_MS 5000
#define PING_MS 5000
#define ATTEMPT_CEILING 16

static const struct bv_backoff reconnect = {
    "notification-listen", BV_BACKOFF_EXPONENTIAL_FULL_JITTER, 50, 2000, UINT32_MAX};

enum listen_state { LISTEN_DOWN, LISTEN_CONNECTING, LISTEN_ASKING, LISTEN_READY };
struct notification_listen {
    struct bv_loop *loop;
    const char *conninfo;
    struct bv_log *log;
    struct notification_listen_events events;
    PGconn *libpq;          /* owned */
    struct bv_poll *poll;   /* owned */
    struct bv_timer *timer; /* owned: next try, connect timeout, or ping */
    enum listen_state state;
    uint32_t attempt;
    bool asked; /* a ping is out */
};

static void on_poll(void *argument, int events);

static void lost(struct notification_listen *listen, const char *why)
{
    int64_t delay_ms = reconnect.cap_ms;
    uint32_t attempt = listen->attempt < ATTEMPT_CEILING ? listen->attempt : ATTEMPT_CEILING;
    if (listen->state == LISTEN_READY || listen->attempt == 0)
        bv_log(listen->log, BV_WARN, "notification.listen_lost", NULL, BV_F_TEXT("why", why));
    bv_poll_close(&listen->poll); /* before libpq closes the descriptor */
    if (listen->libpq)
        PQfinish(listen->libpq);
    listen->libpq = NULL;
    listen->state = LISTEN_DOWN;
    listen->asked = false;
    listen->attempt++;
    (void)!bv_backoff_next(bv_loop_env(listen->loop), &reconnect, attempt, &delay_ms);
    bv_timer_set(listen->timer, delay_ms, 0);
}

static void no_notice(void *argument, const char *message)
{
    (void)argument, (void)message;
}

/* Watches anew: while it connects libpq may change its socket. */
static void watch(struct notification_listen *listen, int events)
{
    bv_poll_close(&listen->poll);
    if (bv_poll_open(listen->loop, PQsocket(listen->libpq), on_poll, listen, &listen->poll) < 0)
        lost(listen, "cannot watch the socket");
    else
        bv_poll_set(listen->poll, events);
}

static void start(struct notification_listen *listen)
{
    const char *const keywords[] = {"dbname", "application_name", "gssencmode", NULL};
    const char *const values[] = {listen->conninfo, "notification-listen", "disable", NULL};
    listen->libpq = PQconnectStartParams(keywords, values, 1);
    listen->state = LISTEN_CONNECTING;
    bv_timer_set(listen->timer, CONNECT_TIMEOUT_MS, 0);
    if (!listen->libpq || PQstatus(listen->libpq) == CONNECTION_BAD) {
        lost(listen, listen->libpq ? PQerrorMessage(listen->libpq) : "out of memory");
        return;
    }
    PQsetNoticeProcessor(listen->libpq, no_notice, NULL);
    watch(listen, BV_POLL_WRITE);
}

/* Sends what waits, then watches for the rest. */
static void flush(struct notification_listen *listen)
{
    int rest = PQflush(listen->libpq);
    if (rest < 0)
        lost(listen, PQerrorMessage(listen->libpq));
    else
        bv_poll_set(listen->poll, rest ? BV_POLL_READ | BV_POLL_WRITE : BV_POLL_READ);
}

static void ask(struct notification_listen *listen, const char *sql)
{
    if (!PQsendQuery(listen->libpq, sql))
        lost(listen, PQerrorMessage(listen->libpq));
    else
        flush(listen);
}

static void on_timer(void *argument)
{
    struct notification_listen *listen = argument;
    if (listen->state == LISTEN_DOWN) {
        start(listen);
    } else if (listen->state != LISTEN_READY) {
        lost(listen, "no connection within the connect timeout");
    } else if (listen->asked) {
        lost(listen, "no answer to a ping");
    } else {
        listen->asked = true;
        bv_timer_set(listen->timer, PING_MS, 0);
        ask(listen, "SELECT 1");
    }
}

static void on_connecting(struct notification_listen *listen)
{
    bv_poll_close(&listen->poll); /* before libpq may close the descriptor */
    PostgresPollingStatusType next = PQconnectPoll(listen->libpq);
    if (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        watch(listen, next == PGRES_POLLING_READING ? BV_POLL_READ : BV_POLL_WRITE);
        return;
    }
    if (next != PGRES_POLLING_OK) {
        lost(listen, PQerrorMessage(listen->libpq));
        return;
    }
    watch(listen, BV_POLL_READ);
    if (listen->state == LISTEN_DOWN)
        return;
    if (PQsetnonblocking(listen->libpq, 1) != 0) {
        lost(listen, PQerrorMessage(listen->libpq));
        return;
    }
    listen->state = LISTEN_ASKING;
    ask(listen, "LISTEN live");
}

/* Results of LISTEN and of pings. False: the connection is lost. */
static bool take_results(struct notification_listen *listen)
{
    while (!PQisBusy(listen->libpq)) {
        PGresult *result = PQgetResult(listen->libpq);
        if (!result)
            return true;
        bool good =
            PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
        PQclear(result);
        if (!good) {
            lost(listen, PQerrorMessage(listen->libpq));
            return false;
        }
        listen->asked = false;
        if (listen->state == LISTEN_ASKING) {
            listen->state = LISTEN_READY;
            listen->attempt = 0;
            bv_timer_set(listen->timer, PING_MS, 0);
            bv_log(
                listen->log, BV_INFO, "notification.listening", NULL, BV_F_TEXT("channel", "live"));
            listen->events.missed(listen->events.argument);
        }
    }
    return true;
}

static void on_poll(void *argument, int events)
{
    struct notification_listen *listen = argument;
    (void)events;
    if (listen->state == LISTEN_CONNECTING) {
        on_connecting(listen);
        return;
    }
    if (!PQconsumeInput(listen->libpq)) {
        lost(listen, PQerrorMessage(listen->libpq));
        return;
    }
    if (!take_results(listen))
        return;
    for (PGnotify *notify = PQnotifies(listen->libpq); notify; notify = PQnotifies(listen->libpq)) {
        listen->events.hint(listen->events.argument, bv_bytes_of(notify->extra));
        PQfreemem(notify);
    }
    flush(listen);
}

int notification_listen_open(struct bv_loop *loop,
                             const char *conninfo,
                             struct bv_log *log,
                             const struct notification_listen_events *events,
                             struct notification_listen **ret_listen)
{
    struct notification_listen *listen = calloc(1, sizeof(*listen));
    if (!listen)
        return BV_E_NOMEM;
    *listen = (struct notification_listen){
        .loop = loop, .conninfo = conninfo, .log = log, .events = *events};
    int rc = bv_timer_open(loop, on_timer, listen, &listen->timer);
    if (rc < 0) {
        notification_listen_close(&listen);
        return rc;
    }
    bv_timer_set(listen->timer, 0, 0);
    *ret_listen = listen;
    return 0;
}

bool notification_listen_ready(const struct notification_listen *listen)
{
    return listen->state == LISTEN_READY;
}

void notification_listen_close(struct notification_listen **listen_at)
{
    struct notification_listen *listen = *listen_at;
    *listen_at = NULL;
    if (!listen)
        return;
    bv_poll_close(&listen->poll);
    bv_timer_close(&listen->timer);
    if (listen->libpq)
        PQfinish(listen->libpq);
    free(listen);
}
