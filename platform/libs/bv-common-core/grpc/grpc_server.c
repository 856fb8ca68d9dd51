#include "grpc_server.h"

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS_PER_METHOD                                                                           \
    32 /* calls that may arrive between two turns of the loop without waiting in the core */
#define SLOTS_UNKNOWN 4
#define METADATA_CUT_BYTES                                                                         \
    (64 << 10) /* past it the core ends the connection; grpc_call.c refuses less, politely */
#define PING_INTERVAL_MIN_MS 5000     /* peers that ask more often are sent away */
#define KEEPALIVE_MS 10000            /* a silent peer is asked whether it is there */
#define KEEPALIVE_WAIT_MS 5000        /* and is gone when it does not say so */
#define BUFFERS_BYTES_MAX (128 << 20) /* of what peers sent and handlers have not got */

/* A slot is armed in the core for one method (or for unknown ones) and armed again as soon as a
 * call came. */
struct rpc_slot {
    struct rpc_event event;
    struct bv_grpc_server *server;
    struct rpc_method *method; /* NULL: any path that is not registered */
    grpc_call *core;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_call_details details;
};

static const struct bv_metric metric_late = {
    "bv_grpc_server_late_replies_total",
    BV_COUNTER,
    "Replies that came after the deadline or the peer's leaving.",
    "",
    NULL,
    0};
static const struct bv_metric metric_refused = {"bv_grpc_server_refused_total",
                                                BV_COUNTER,
                                                "Calls refused because calls_max were active.",
                                                "",
                                                NULL,
                                                0};
static const struct bv_metric metric_active = {
    "bv_grpc_server_active", BV_GAUGE, "Calls and streams being served.", "", NULL, 0};
static const struct bv_metric metric_seconds = {"bv_grpc_server_seconds",
                                                BV_HISTOGRAM,
                                                "Time from a call's arrival to its end.",
                                                "method",
                                                NULL,
                                                0};

static double read_active(void *argument)
{
    return (double)((struct bv_grpc_server *)argument)->call_count;
}

/* ---- slots ---- */

static void slot_arm(struct rpc_slot *slot)
{
    struct bv_grpc_server *server = slot->server;
    grpc_completion_queue *queue = rpc_engine_queue(server->engine);
    slot->core = NULL;
    slot->payload = NULL;
    grpc_metadata_array_init(&slot->metadata);
    rpc_engine_starts(server->engine, &slot->event);
    grpc_call_error rc = GRPC_CALL_OK;
    if (slot->method) {
        grpc_byte_buffer **payload =
            slot->method->reading == RPC_READ_SINGLE ? &slot->payload : NULL;
        rc = grpc_server_request_registered_call(server->core,
                                                 slot->method->registered,
                                                 &slot->core,
                                                 &slot->deadline,
                                                 &slot->metadata,
                                                 payload,
                                                 queue,
                                                 queue,
                                                 &slot->event);
    } else {
        grpc_call_details_init(&slot->details);
        rc = grpc_server_request_call(
            server->core, &slot->core, &slot->details, &slot->metadata, queue, queue, &slot->event);
    }
    if (rc != GRPC_CALL_OK)
        abort(); /* see rpc_engine_batch */
}

static void slot_ran(struct rpc_event *event, bool ok)
{
    struct rpc_slot *slot = (struct rpc_slot *)((char *)event - offsetof(struct rpc_slot, event));
    struct bv_grpc_server *server = slot->server;
    struct rpc_incoming incoming = {
        slot->method, slot->core, slot->metadata, slot->payload, slot->deadline};
    if (!slot->method) {
        incoming.deadline = slot->details.deadline;
        grpc_call_details_destroy(&slot->details);
    }
    if (!ok || !incoming.core) { /* shutting down */
        grpc_metadata_array_destroy(&incoming.metadata);
        grpc_byte_buffer_destroy(incoming.payload);
        return;
    }
    if (!server->shutdown_started)
        slot_arm(slot);
    rpc_call_begin(server, &incoming);
}

static int slots_open(struct bv_grpc_server *server)
{
    size_t count = server->method_count * SLOTS_PER_METHOD + SLOTS_UNKNOWN;
    server->slots = calloc(count, sizeof *server->slots);
    if (!server->slots)
        return BV_E_NOMEM;
    server->slot_count = count;
    for (size_t i = 0; i < count; i++) {
        struct rpc_slot *slot = &server->slots[i];
        size_t method = i / SLOTS_PER_METHOD;
        slot->event.run = slot_ran;
        slot->server = server;
        slot->method = method < server->method_count ? &server->methods[method] : NULL;
    }
    return 0;
}

/* ---- table ---- */

static struct bv_bytes service_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (struct bv_bytes){path + 1, (size_t)(slash - path - 1)};
}

static bool path_valid(const char *path)
{
    if (!path || path[0] != '/')
        return false;
    const char *slash = strchr(path + 1, '/');
    return slash && slash > path + 1 && slash[1] != '\0' && !strchr(slash + 1, '/');
}

int rpc_server_add(struct bv_grpc_server *server,
                   const struct bv_grpc_method *row,
                   enum rpc_reading reading,
                   void *context)
{
    if (server->core || !path_valid(row->path))
        return BV_E_INVALID;
    for (size_t i = 0; i < server->method_count; i++)
        if (strcmp(server->methods[i].row->path, row->path) == 0)
            return BV_E_EXISTS;
    struct rpc_method *grown = realloc(server->methods, (server->method_count + 1) * sizeof *grown);
    if (!grown)
        return BV_E_NOMEM;
    server->methods = grown;
    struct rpc_method *method = &grown[server->method_count++];
    *method = (struct rpc_method){.row = row, .context = context, .reading = reading};
    if (server->deps.metrics)
        method->seconds = bv_metrics_series(
            server->deps.metrics, &metric_seconds, (const char *const[]){row->path}, 1);
    return 0;
}

int bv_grpc_server_methods(struct bv_grpc_server *server,
                           const struct bv_grpc_method *rows,
                           size_t count,
                           void *context)
{
    for (size_t i = 0; i < count; i++)
        BV_TRY(rpc_server_add(server, &rows[i], RPC_READ_SINGLE, context));
    return 0;
}

bool rpc_server_knows(const struct bv_grpc_server *server, struct bv_bytes service)
{
    if (service.size == 0)
        return true;
    for (size_t i = 0; i < server->method_count; i++)
        if (bv_bytes_equal(service_of(server->methods[i].row->path), service))
            return true;
    return false;
}

int bv_grpc_server_reflection(struct bv_grpc_server *server, struct bv_bytes descriptor_set)
{
    if (!server->reflection)
        BV_TRY(rpc_reflection_open(server, &server->reflection));
    return rpc_reflection_add(server->reflection, descriptor_set);
}

/* ---- life ---- */

static void sweep_due(void *argument)
{
    rpc_calls_sweep(argument);
}

static void drain_is_over(struct bv_grpc_server *server)
{
    void (*drained)(void *argument) = server->drained;
    server->drained = NULL;
    bv_timer_clear(server->limit);
    if (drained)
        drained(server->drained_argument);
}

static void limit_due(void *argument)
{
    struct bv_grpc_server *server = argument;
    if (server->core) {
        bv_log(server->deps.log,
               BV_WARN,
               "grpc.drain_deadline",
               NULL,
               BV_F_INT("calls_cut", server->call_count));
        grpc_server_cancel_all_calls(server->core);
    }
    drain_is_over(server);
}

void rpc_server_progress(struct bv_grpc_server *server)
{
    if (server->shutdown_done && server->call_count == 0 && server->drained)
        drain_is_over(server);
}

int bv_grpc_server_open(const struct bv_grpc_server_config *config,
                        const struct bv_grpc_deps *deps,
                        struct bv_grpc_server **ret_server)
{
    struct bv_grpc_server *server = calloc(1, sizeof *server);
    if (!server)
        return BV_E_NOMEM;
    server->config = *config;
    server->deps = *deps;
    int rc = rpc_engine_open(deps->loop, &server->engine);
    if (rc == 0)
        rc = bv_timer_open(deps->loop, sweep_due, server, &server->sweep);
    if (rc == 0)
        rc = bv_timer_open(deps->loop, limit_due, server, &server->limit);
    if (rc == 0 && deps->metrics) {
        server->late = bv_metrics_series(deps->metrics, &metric_late, NULL, 0);
        server->refused = bv_metrics_series(deps->metrics, &metric_refused, NULL, 0);
        rc = bv_metrics_callback(deps->metrics, &metric_active, read_active, server);
    }
    if (rc == 0)
        rc = rpc_health_open(server, &server->health);
    if (rc < 0) {
        bv_grpc_server_close(&server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

/* What a foreign peer may do to this process is bounded here: the limit of a message counts only
 * once the message is whole, so the buffers have a limit together; nothing is inflated. */
static void server_core(struct bv_grpc_server *server)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("bv-grpc");
    grpc_resource_quota_resize(quota, BUFFERS_BYTES_MAX);
    grpc_arg list[] = {
        {.type = GRPC_ARG_INTEGER, .key = GRPC_ARG_ALLOW_REUSEPORT,    .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = (int)server->config.message_bytes_max                          },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
         .value.integer = PING_INTERVAL_MIN_MS                                           },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_MAX_METADATA_SIZE,
         .value.integer = METADATA_CUT_BYTES                                             },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_KEEPALIVE_TIME_MS,
         .value.integer = KEEPALIVE_MS                                                   },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
         .value.integer = KEEPALIVE_WAIT_MS                                              },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS,
         .value.integer = 1                                                              },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA,
         .value.integer = 0                                                              },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
         .value.integer = 1 << GRPC_COMPRESS_NONE                                        },
        {.type = GRPC_ARG_INTEGER,
         .key = GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION,
         .value.integer = 0                                                              },
        {.type = GRPC_ARG_POINTER,
         .key = GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {quota, grpc_resource_quota_arg_vtable()}                      },
    };
    grpc_channel_args args = {BV_COUNT(list), list};
    server->core = grpc_server_create(&args, NULL);
    grpc_resource_quota_unref(quota);
    grpc_server_register_completion_queue(server->core, rpc_engine_queue(server->engine), NULL);
    for (size_t i = 0; i < server->method_count; i++) {
        struct rpc_method *method = &server->methods[i];
        method->registered = grpc_server_register_method(
            server->core,
            method->row->path,
            NULL,
            method->reading == RPC_READ_SINGLE ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER
                                               : GRPC_SRM_PAYLOAD_NONE,
            0);
    }
}

static void connection_arrived(void *argument, int fd)
{
    struct bv_grpc_server *server = argument;
    grpc_server_credentials *open_to_all = grpc_insecure_server_credentials_create();
    grpc_server_add_channel_from_fd(server->core, fd, open_to_all);
    grpc_server_credentials_release(open_to_all);
}

int bv_grpc_server_start(struct bv_grpc_server *server, struct bv_error *error)
{
    const struct bv_grpc_server_config *config = &server->config;
    int rc = rpc_listener_open(server->deps.loop,
                               config->host,
                               config->port,
                               connection_arrived,
                               server,
                               &server->listener);
    if (rc < 0)
        return bv_fail(error,
                       rc,
                       "cannot listen on %s:%d for gRPC: is the port in use?",
                       config->host,
                       (int)config->port);
    BV_TRY(slots_open(server));
    server->port = rpc_listener_port(server->listener);
    server_core(server);
    grpc_server_start(server->core);
    for (size_t i = 0; i < server->slot_count; i++)
        slot_arm(&server->slots[i]);
    rpc_health_set(server->health, BV_GRPC_SERVING);
    return 0;
}

int bv_grpc_server_port(const struct bv_grpc_server *server)
{
    return server->port;
}

void bv_grpc_server_health(struct bv_grpc_server *server, enum bv_grpc_health health)
{
    rpc_health_set(server->health, health);
}

static void shutdown_ran(struct rpc_event *event, bool ok)
{
    struct bv_grpc_server *server =
        (struct bv_grpc_server *)((char *)event - offsetof(struct bv_grpc_server, shutdown));
    (void)ok;
    server->shutdown_done = true;
    rpc_server_progress(server);
}

static void server_shutdown(struct bv_grpc_server *server)
{
    if (!server->core || server->shutdown_started)
        return;
    server->shutdown_started = true;
    rpc_listener_close(&server->listener);
    server->shutdown.run = shutdown_ran;
    rpc_engine_starts(server->engine, &server->shutdown);
    grpc_server_shutdown_and_notify(
        server->core, rpc_engine_queue(server->engine), &server->shutdown);
}

void bv_grpc_server_drain(struct bv_grpc_server *server,
                          int64_t within_ms,
                          void (*drained)(void *argument),
                          void *argument)
{
    server->drained = drained;
    server->drained_argument = argument;
    rpc_health_set(server->health, BV_GRPC_NOT_SERVING);
    server_shutdown(server);
    rpc_calls_cut_streams(server);
    bv_timer_set(server->limit, server->core ? within_ms : 0, 0);
}

void bv_grpc_server_close(struct bv_grpc_server **server_at)
{
    struct bv_grpc_server *server = *server_at;
    if (!server)
        return;
    *server_at = NULL;
    server->drained = NULL;
    rpc_listener_close(&server->listener);
    if (server->core) {
        server_shutdown(server);
        rpc_calls_forget(server);
        grpc_server_cancel_all_calls(server->core);
        rpc_engine_drain(server->engine);
        grpc_server_destroy(server->core);
    }
    rpc_engine_close(&server->engine);
    rpc_calls_release_spare(server);
    bv_timer_close(&server->sweep);
    bv_timer_close(&server->limit);
    rpc_reflection_close(&server->reflection);
    rpc_health_close(&server->health);
    free(server->methods);
    free(server->slots);
    free(server);
}
