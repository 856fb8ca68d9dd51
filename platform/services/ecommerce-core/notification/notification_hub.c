#include "notification_hub.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 4096
#define PAGE_ROWS 128
#define PAGE_RETRY_MS 250 /* after a fault of the store */
#define DRAIN_MS 20       /* how soon a catching-up client with a full queue is looked at again */
#define TICK_MS 1000
#define RETRY_MS 1000 /* SSE retry field */
#define MESSAGE_BYTES_MAX (512 * 1024)
#define INCOMING_BYTES_MAX 1024
#define CURSOR_FRESH INT64_C(-1) /* the client's start is not decided yet */

static const struct bv_metric clients_metric = {
    .name = "bv_live_clients",
    .type = BV_GAUGE,
    .help = "Live clients, by transport.",
    .labels = "transport",
};
static const struct bv_metric messages_metric = {
    .name = "bv_live_messages_total",
    .type = BV_COUNTER,
    .help = "Messages queued for live clients: pushed at commit, read from the store, or reset.",
    .labels = "source",
};
static const struct bv_metric closed_metric = {
    .name = "bv_live_closed_total",
    .type = BV_COUNTER,
    .help = "Live clients that the hub closed, by reason.",
    .labels = "reason",
};
static const struct bv_metric lag_metric = {
    .name = "bv_live_lag_seconds",
    .type = BV_HISTOGRAM,
    .help = "From the transition to its being queued for a client, messages pushed at commit.",
    .labels = "",
};

enum source { SOURCE_COMMIT, SOURCE_STORE, SOURCE_RESET, SOURCE_COUNT };

struct live_user;
struct live_client {
    struct live_client *next;
    struct live_user *user;        /* NULL: the hub is closed */
    struct bv_http_stream *stream; /* borrowed until closed has run */
    enum notification_transport transport;
    int64_t cursor; /* as the client said it */
    int64_t sent;   /* last sequence sent; CURSOR_FRESH */
    bool awaited;   /* fresh: the page under way was asked for after it came */
    bool reset;     /* waits for a snapshot */
    bool stalled;   /* behind, its queue is half full */
    int64_t expires_at_s;
};
struct live_user {
    struct live_user *next;       /* in its bucket */
    struct notification_hub *hub; /* NULL: closed while reading */
    struct live_client *clients;
    struct bv_timer *timer; /* owned; made at the first wait */
    size_t client_count;
    int64_t known; /* highest sequence that exists as far as we were told */
    bool reading;  /* a page or a snapshot is asked for; the user lives until it came */
    bool waiting;  /* the timer runs */
    bool look;     /* must be read though nobody is behind, for all we know */
    size_t tenant_size, user_size;
    char text[]; /* tenant, then user */
};
struct notification_hub {
    struct bv_loop *loop;
    struct notification_store *store;
    struct bv_log *log;
    struct bv_metrics *metrics;
    struct notification_hub_config config;
    struct bv_timer *tick;
    struct bv_series *clients[2];
    struct bv_series *messages[SOURCE_COUNT];
    struct bv_series *lag;
    size_t client_count;
    struct live_user *buckets[BUCKETS];
};

static void pump(struct live_user *user);

/* ---- users ---- */

/* FNV-1a: users are authenticated, nobody chooses them to collide. */
static size_t bucket_of(struct bv_bytes tenant, struct bv_bytes user_id)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < tenant.size; i++)
        hash = (hash ^ (uint8_t)tenant.data[i]) * UINT64_C(1099511628211);
    for (size_t i = 0; i < user_id.size; i++)
        hash = (hash ^ (uint8_t)user_id.data[i]) * UINT64_C(1099511628211);
    return (size_t)(hash % BUCKETS);
}

static struct bv_bytes tenant_of(const struct live_user *user)
{
    return (struct bv_bytes){user->text, user->tenant_size};
}

static struct bv_bytes id_of(const struct live_user *user)
{
    return (struct bv_bytes){user->text + user->tenant_size, user->user_size};
}

static struct live_user *
user_find(const struct notification_hub *hub, struct bv_bytes tenant, struct bv_bytes user_id)
{
    struct live_user *user = hub->buckets[bucket_of(tenant, user_id)];
    while (user &&
           !(bv_bytes_equal(tenant_of(user), tenant) && bv_bytes_equal(id_of(user), user_id)))
        user = user->next;
    return user;
}

static struct live_user *
user_make(struct notification_hub *hub, struct bv_bytes tenant, struct bv_bytes user_id)
{
    struct live_user *user = user_find(hub, tenant, user_id);
    if (user)
        return user;
    user = calloc(1, sizeof(*user) + tenant.size + user_id.size);
    if (!user)
        return NULL;
    user->hub = hub;
    user->tenant_size = tenant.size;
    user->user_size = user_id.size;
    if (tenant.size)
        memcpy(user->text, tenant.data, tenant.size);
    if (user_id.size)
        memcpy(user->text + tenant.size, user_id.data, user_id.size);
    struct live_user **bucket = &hub->buckets[bucket_of(tenant, user_id)];
    user->next = *bucket;
    *bucket = user;
    return user;
}

/* Frees the user once nobody is left of it. */
static void user_settle(struct live_user *user)
{
    if (user->clients || user->reading)
        return;
    if (user->hub) {
        struct live_user **at = &user->hub->buckets[bucket_of(tenant_of(user), id_of(user))];
        while (*at != user)
            at = &(*at)->next;
        *at = user->next;
    }
    bv_timer_close(&user->timer);
    free(user);
}

/* A page is worth reading for a client that has room for a good part of it. */
static void on_wait_over(void *argument)
{
    struct live_user *user = argument;
    const size_t low = (size_t)user->hub->config.queue_bytes / 4;
    user->waiting = false;
    for (struct live_client *client = user->clients; client; client = client->next)
        if (bv_http_stream_queued(client->stream) <= low)
            client->stalled = false;
    pump(user);
}

static void wait_then_pump(struct live_user *user, int64_t delay_ms)
{
    if (!user->timer && bv_timer_open(user->hub->loop, on_wait_over, user, &user->timer) < 0)
        return; /* the next message comes back to it */
    if (!user->waiting)
        bv_timer_set(user->timer, delay_ms, 0);
    user->waiting = true;
}

/* ---- sending ---- */

static void close_client(struct live_client *client, int code, const char *reason)
{
    struct notification_hub *hub = client->user->hub;
    if (hub->metrics)
        bv_count(bv_metrics_series(hub->metrics, &closed_metric, &reason, 1), 1);
    bv_http_stream_close(client->stream, code, reason);
}

/* A message whose bytes are made when the first client takes it. */
struct offer {
    const struct notification_live *live;
    struct bv_http_message *message; /* owned */
    size_t bytes;
    enum source source;
};

static int
message_make(int64_t sequence, const struct bv_buf *body, struct bv_http_message **ret_message)
{
    char id[24];
    int size = snprintf(id, sizeof(id), "%lld", (long long)sequence);
    return bv_http_message_new(
        (struct bv_bytes){id, (size_t)size}, BV_BYTES_NONE, bv_buf_view(body), ret_message);
}

static int offer_encode(struct offer *offer)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = MESSAGE_BYTES_MAX};
    if (offer->message)
        return 0;
    notification_live_encode(&buf, offer->live);
    if (buf.failed)
        return BV_E_TOO_LARGE;
    offer->bytes = buf.size;
    return message_make(offer->live->sequence, &buf, &offer->message);
}

static void offer_to(struct live_client *client, struct offer *offer)
{
    struct notification_hub *hub = client->user->hub;
    size_t half = (size_t)hub->config.queue_bytes / 2;
    if (client->sent != offer->live->sequence - 1)
        return; /* has it, or is further behind; fresh ones are below any */
    if (offer_encode(offer) < 0) {
        close_client(client, 1011, "failed");
        return;
    }
    if (offer->source == SOURCE_STORE &&
        bv_http_stream_queued(client->stream) + offer->bytes > half &&
        bv_http_stream_queued(client->stream) > 0) {
        client->stalled = true;
        return;
    }
    int rc = bv_http_stream_send(client->stream, offer->message, BV_BYTES_NONE);
    if (rc == BV_E_LIMIT && hub->metrics) {
        const char *reason = "too slow";
        bv_count(bv_metrics_series(hub->metrics, &closed_metric, &reason, 1), 1);
    }
    client->sent =
        offer->live->sequence; /* of one that is closing: nothing is read for it any more */
    if (rc == 0 && hub->messages[offer->source])
        bv_count(hub->messages[offer->source], 1);
}

static void
offer_to_all(struct live_user *user, const struct notification_live *live, enum source source)
{
    struct offer offer = {.live = live, .source = source};
    if (user->known < live->sequence)
        user->known = live->sequence;
    for (struct live_client *client = user->clients; client; client = client->next)
        if (client->sent != CURSOR_FRESH && !client->reset && !client->stalled)
            offer_to(client, &offer);
    bv_http_message_free(&offer.message);
}

/* ---- reading ---- */

static bool behind(const struct live_client *client)
{
    return !client->stalled && !client->reset &&
           (client->sent == CURSOR_FRESH || client->sent < client->user->known);
}

/* Decides where fresh clients begin, and who has fallen out of what is kept. */
static void place(struct live_client *client, int64_t first, int64_t last)
{
    bool fresh = client->sent == CURSOR_FRESH;
    if (fresh && !client->awaited)
        return; /* came after this page was asked for */
    if (!fresh && client->sent >= first - 1)
        return;
    struct notification_resume resume =
        notification_resume(fresh ? client->cursor : client->sent, first, last);
    if (resume.start == NOTIFICATION_RESET || (!fresh && client->sent < first - 1))
        client->reset = true;
    else
        client->sent = resume.after;
}

static void
on_page(void *argument, int rc, const struct notification_page *page, const struct bv_error *error)
{
    struct live_user *user = argument;
    user->reading = false;
    if (!user->hub || !user->clients) {
        user_settle(user);
        return;
    }
    if (rc < 0) {
        bv_log(user->hub->log,
               BV_WARN,
               "notification.page_failed",
               NULL,
               BV_F_TEXT("why", error->text));
        user->look = true;
        wait_then_pump(user, PAGE_RETRY_MS);
        return;
    }
    if (user->known < page->last)
        user->known = page->last;
    for (struct live_client *client = user->clients; client; client = client->next)
        place(client, page->first, page->last);
    for (size_t i = 0; i < page->count; i++)
        offer_to_all(user, &page->rows[i], SOURCE_STORE);
    pump(user);
}

static void on_snapshot(void *argument,
                        int rc,
                        const struct notification_snapshot *snapshot,
                        const struct bv_error *error)
{
    struct live_user *user = argument;
    struct bv_http_message *message = NULL;
    user->reading = false;
    if (!user->hub || !user->clients) {
        user_settle(user);
        return;
    }
    if (rc < 0) {
        bv_log(user->hub->log,
               BV_WARN,
               "notification.snapshot_failed",
               NULL,
               BV_F_TEXT("why", error->text));
        wait_then_pump(user, PAGE_RETRY_MS);
        return;
    }
    struct bv_buf buf = {.max = (size_t)user->hub->config.queue_bytes};
    notification_reset_encode(&buf, snapshot->last, snapshot->orders);
    rc = buf.failed ? BV_E_TOO_LARGE : message_make(snapshot->last, &buf, &message);
    bv_buf_release(&buf);
    if (user->known < snapshot->last)
        user->known = snapshot->last;
    for (struct live_client *client = user->clients; client; client = client->next) {
        if (!client->reset)
            continue;
        client->reset = false;
        client->sent = snapshot->last;
        if (rc < 0)
            close_client(client, 1011, "failed");
        else if (bv_http_stream_send(client->stream, message, BV_BYTES_NONE) == 0 &&
                 user->hub->messages[SOURCE_RESET])
            bv_count(user->hub->messages[SOURCE_RESET], 1);
    }
    bv_http_message_free(&message);
    pump(user);
}

static bool ask_snapshot(struct live_user *user)
{
    struct notification_hub *hub = user->hub;
    struct live_client *client = user->clients;
    while (client && !client->reset)
        client = client->next;
    if (!client)
        return false;
    user->reading = true;
    if (hub->store->ops->snapshot(hub->store,
                                  tenant_of(user),
                                  id_of(user),
                                  hub->config.queue_bytes / 2,
                                  on_snapshot,
                                  user) < 0) {
        user->reading = false;
        wait_then_pump(user, PAGE_RETRY_MS);
    }
    return true;
}

static void ask_page(struct live_user *user, int64_t after)
{
    struct notification_hub *hub = user->hub;
    for (struct live_client *client = user->clients; client; client = client->next)
        client->awaited = true;
    user->look = false;
    user->reading = true;
    if (hub->store->ops->page(
            hub->store, tenant_of(user), id_of(user), after, PAGE_ROWS, on_page, user) < 0) {
        user->reading = false;
        user->look = true;
        wait_then_pump(user, PAGE_RETRY_MS);
    }
}

/* The one place that decides what a user needs: a snapshot, a page after the lowest cursor,
 * patience, or nothing. */
static void pump(struct live_user *user)
{
    int64_t after = INT64_MAX;
    bool wanted = user->look, stalled = false;
    if (user->reading || !user->clients || ask_snapshot(user))
        return;
    for (const struct live_client *client = user->clients; client; client = client->next) {
        stalled |= client->stalled;
        if (!behind(client) && !user->look)
            continue;
        int64_t from = client->sent != CURSOR_FRESH ? client->sent : client->cursor;
        wanted = true;
        if (from < after)
            after = from;
    }
    if (wanted)
        ask_page(user, after);
    else if (stalled)
        wait_then_pump(user, DRAIN_MS);
}

/* ---- clients ---- */

static void
on_message(void *argument, struct bv_http_stream *stream, struct bv_bytes data, bool text)
{
    struct live_client *client = argument;
    (void)stream, (void)data, (void)text;
    if (client->user)
        close_client(client, 1003, "unexpected data");
}

static void on_closed(void *argument, struct bv_http_stream *stream, int close_code)
{
    struct live_client *client = argument;
    struct live_user *user = client->user;
    (void)stream, (void)close_code;
    if (user) {
        struct live_client **at = &user->clients;
        while (*at != client)
            at = &(*at)->next;
        *at = client->next;
        user->client_count--;
        user->hub->client_count--;
        if (user->hub->metrics)
            bv_gauge_add(user->hub->clients[client->transport], -1);
        user_settle(user);
    }
    free(client);
}

static int start_stream(struct notification_hub *hub,
                        struct bv_http_request *request,
                        struct live_client *client,
                        struct bv_error *error)
{
    struct bv_http_stream_config config = {
        .message_bytes_max = INCOMING_BYTES_MAX,
        .queue_bytes_max = (size_t)hub->config.queue_bytes,
        .slow_policy = BV_SLOW_CLOSE,
        .heartbeat_ms = hub->config.heartbeat_ms,
        .retry_ms = client->transport == NOTIFICATION_SSE ? RETRY_MS : 0,
    };
    struct bv_http_stream_events events = {on_message, on_closed, client};
    return client->transport == NOTIFICATION_SSE
               ? bv_http_sse_start(request, &config, &events, &client->stream, error)
               : bv_http_websocket_start(request, &config, &events, &client->stream, error);
}

static int join_from(struct notification_hub *hub,
                     struct bv_http_request *request,
                     const struct notification_join *join,
                     struct bv_error *error)
{
    const struct bv_principal *principal = bv_http_principal(request);
    struct live_user *user = user_make(hub, principal->tenant, principal->subject);
    struct live_client *client = user ? calloc(1, sizeof(*client)) : NULL;
    int rc = client ? 0 : BV_E_NOMEM;
    if (rc == 0 && user->client_count >= (size_t)hub->config.clients_per_user)
        rc = bv_fail(error,
                     BV_E_LIMIT,
                     "a user has at most %lld live connections",
                     (long long)hub->config.clients_per_user);
    if (rc == 0) {
        *client = (struct live_client){.transport = join->transport,
                                       .cursor = join->cursor,
                                       .sent = CURSOR_FRESH,
                                       .expires_at_s = join->expires_at_s};
        rc = start_stream(hub, request, client, error);
    }
    if (rc < 0) {
        free(client);
        if (user)
            user_settle(user);
        return rc;
    }
    client->user = user;
    client->next = user->clients;
    user->clients = client;
    user->client_count++;
    hub->client_count++;
    if (hub->metrics)
        bv_gauge_add(hub->clients[client->transport], 1);
    pump(user);
    return 0;
}

/* A client without a cursor. "Now" is asked for before the stream opens: whoever sees it open will
 * be told everything from then on. */
struct arrival {
    struct notification_hub *hub;
    struct bv_http_token token;
    struct notification_join join;
};

static void
on_now(void *argument, int rc, const struct notification_page *page, const struct bv_error *error)
{
    struct arrival arrival = *(struct arrival *)argument;
    struct bv_http_request *request = bv_http_find(arrival.token);
    struct bv_error detail = {0};
    free(argument);
    if (!request)
        return;
    if (rc == 0) {
        arrival.join.cursor =
            notification_resume(NOTIFICATION_CURSOR_NOW, page->first, page->last).after;
        rc = join_from(arrival.hub, request, &arrival.join, &detail);
        error = &detail;
    }
    request = rc < 0 ? bv_http_find(arrival.token) : NULL; /* a bad handshake is answered already */
    if (request && bv_http_fail(request, rc, error) < 0)
        return; /* the connection itself is gone: nobody is left to tell */
}

int notification_hub_join(struct notification_hub *hub,
                          struct bv_http_request *request,
                          const struct notification_join *join,
                          struct bv_error *error)
{
    const struct bv_principal *principal = bv_http_principal(request);
    if (join->cursor != NOTIFICATION_CURSOR_NOW)
        return join_from(hub, request, join, error);
    struct arrival *arrival = malloc(sizeof(*arrival));
    if (!arrival)
        return BV_E_NOMEM;
    *arrival = (struct arrival){hub, bv_http_defer(request), *join};
    int rc = hub->store->ops->page(hub->store,
                                   principal->tenant,
                                   principal->subject,
                                   NOTIFICATION_SEQUENCE_MAX,
                                   1,
                                   on_now,
                                   arrival);
    if (rc < 0)
        free(arrival);
    return rc;
}

/* ---- what comes in ---- */

void notification_hub_offer(struct notification_hub *hub,
                            struct bv_bytes tenant,
                            struct bv_bytes user_id,
                            const struct notification_live *live)
{
    int64_t over = live->sequence - hub->config.keep_count;
    int64_t step = hub->config.keep_count / 16 > 0 ? hub->config.keep_count / 16 : 1;
    if (over > 0 && live->sequence % step == 0)
        (void)!hub->store->ops->trim(
            hub->store, tenant, user_id, over); /* a later one makes up for it */
    struct live_user *user = user_find(hub, tenant, user_id);
    int64_t occurred_at_us;
    if (!user)
        return;
    offer_to_all(user, live, SOURCE_COMMIT);
    if (hub->lag && bv_time_parse(live->occurred_at, &occurred_at_us) == 0)
        bv_observe(hub->lag, (double)(bv_wall_us(bv_loop_env(hub->loop)) - occurred_at_us) / 1e6);
    pump(user);
}

void notification_hub_hint(struct notification_hub *hub, const struct notification_hint *hint)
{
    struct live_user *user = user_find(hub, hint->tenant, hint->user_id);
    if (!user || hint->sequence <= user->known)
        return;
    user->known = hint->sequence;
    pump(user);
}

void notification_hub_resync(struct notification_hub *hub)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct live_user *user = hub->buckets[i]; user; user = user->next) {
            user->look = true;
            pump(user);
        }
    }
}

static void on_tick(void *argument)
{
    struct notification_hub *hub = argument;
    int64_t now_s = bv_wall_us(bv_loop_env(hub->loop)) / 1000000;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct live_user *user = hub->buckets[i]; user; user = user->next)
            for (struct live_client *client = user->clients; client; client = client->next)
                if (client->expires_at_s != 0 && client->expires_at_s <= now_s) {
                    client->expires_at_s = 0; /* once */
                    close_client(client, 1008, "token expired");
                }
}

/* ---- life ---- */

static void make_series(struct notification_hub *hub)
{
    static const char *const transports[] = {
        [NOTIFICATION_SSE] = "sse", [NOTIFICATION_WEBSOCKET] = "websocket"};
    static const char *const sources[] = {
        [SOURCE_COMMIT] = "commit", [SOURCE_STORE] = "store", [SOURCE_RESET] = "reset"};
    for (size_t i = 0; i < BV_COUNT(transports); i++)
        hub->clients[i] = bv_metrics_series(hub->metrics, &clients_metric, &transports[i], 1);
    for (size_t i = 0; i < SOURCE_COUNT; i++)
        hub->messages[i] = bv_metrics_series(hub->metrics, &messages_metric, &sources[i], 1);
    hub->lag = bv_metrics_series(hub->metrics, &lag_metric, NULL, 0);
}

int notification_hub_open(struct bv_loop *loop,
                          const struct notification_hub_config *config,
                          struct notification_store *store,
                          struct bv_log *log,
                          struct bv_metrics *metrics,
                          struct notification_hub **ret_hub)
{
    struct notification_hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return BV_E_NOMEM;
    hub->loop = loop;
    hub->store = store;
    hub->log = log;
    hub->metrics = metrics;
    hub->config = *config;
    if (metrics)
        make_series(hub);
    int rc = bv_timer_open(loop, on_tick, hub, &hub->tick);
    if (rc < 0) {
        notification_hub_close(&hub);
        return rc;
    }
    bv_timer_set(hub->tick, TICK_MS, TICK_MS);
    *ret_hub = hub;
    return 0;
}

void notification_hub_close(struct notification_hub **hub_at)
{
    struct notification_hub *hub = *hub_at;
    *hub_at = NULL;
    if (!hub)
        return;
    bv_timer_close(&hub->tick);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct live_user *user = hub->buckets[i], *next; user; user = next) {
            next = user->next;
            for (struct live_client *client = user->clients; client; client = client->next)
                client->user = NULL;
            user->clients = NULL;
            user->hub = NULL;
            bv_timer_close(&user->timer);
            user_settle(user);
        }
    }
    free(hub);
}

size_t notification_hub_clients(const struct notification_hub *hub)
{
    return hub->client_count;
}
