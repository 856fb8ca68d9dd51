/* grpc.health.v1: the whole process has one state; every service of the method table answers with
 * it. */
#include "grpc_server.h"
#include "health.pb-c.h"

#include <stdlib.h>

#define WATCHERS_MAX 64

struct watcher {
    struct bv_grpc_call *call;
    bool known;
};
struct rpc_health {
    struct bv_grpc_server *server;
    enum bv_grpc_health state;
    struct watcher watchers[WATCHERS_MAX];
    size_t watcher_count;
};

static Grpc__Health__V1__HealthCheckResponse health_answer(const struct rpc_health *health)
{
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = health->state == BV_GRPC_SERVING
                        ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                        : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return answer;
}

static int health_check(struct bv_grpc_call *call,
                        const ProtobufCMessage *message,
                        void *context,
                        struct bv_error *error)
{
    const struct rpc_health *health = context;
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
    if (!rpc_server_knows(health->server, bv_bytes_of(request->service)))
        return bv_fail(
            error, BV_E_NOT_FOUND, "this process does not serve %.80s", request->service);
    Grpc__Health__V1__HealthCheckResponse answer = health_answer(health);
    return bv_grpc_reply(call, &answer.base);
}

static void watch_gone(void *argument, struct bv_grpc_call *call)
{
    struct rpc_health *health = argument;
    for (size_t i = 0; i < health->watcher_count; i++)
        if (health->watchers[i].call == call) {
            health->watchers[i] = health->watchers[--health->watcher_count];
            return;
        }
}

static void watch_tell(struct rpc_health *health, const struct watcher *watcher)
{
    Grpc__Health__V1__HealthCheckResponse answer = health_answer(health);
    if (!watcher->known)
        answer.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    struct bv_grpc_call *call = watcher->call;
    if (bv_grpc_stream_send(call, &answer.base) == BV_E_LIMIT)
        watch_gone(health, call);
}

static int health_watch(struct bv_grpc_call *call,
                        const ProtobufCMessage *message,
                        void *context,
                        struct bv_error *error)
{
    struct rpc_health *health = context;
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
    if (health->watcher_count == WATCHERS_MAX)
        return bv_fail(error, BV_E_LIMIT, "at most %d health watches", WATCHERS_MAX);
    struct watcher *watcher = &health->watchers[health->watcher_count++];
    *watcher =
        (struct watcher){call, rpc_server_knows(health->server, bv_bytes_of(request->service))};
    bv_grpc_stream_on_cancel(call, watch_gone, health);
    watch_tell(health, watcher);
    return 0;
}

static const struct bv_grpc_method health_rows[] = {
    {"/grpc.health.v1.Health/Check",
     BV_GRPC_UNARY,         &grpc__health__v1__health_check_request__descriptor,
     &grpc__health__v1__health_check_response__descriptor,
     health_check, 5000},
    {"/grpc.health.v1.Health/Watch",
     BV_GRPC_SERVER_STREAM, &grpc__health__v1__health_check_request__descriptor,
     &grpc__health__v1__health_check_response__descriptor,
     health_watch, 0   },
};

int rpc_health_open(struct bv_grpc_server *server, struct rpc_health **ret_health)
{
    struct rpc_health *health = calloc(1, sizeof *health);
    if (!health)
        return BV_E_NOMEM;
    health->server = server;
    int rc = bv_grpc_server_methods(server, health_rows, BV_COUNT(health_rows), health);
    if (rc < 0) {
        free(health);
        return rc;
    }
    *ret_health = health;
    return 0;
}

void rpc_health_close(struct rpc_health **health)
{
    free(*health);
    *health = NULL;
}

void rpc_health_set(struct rpc_health *health, enum bv_grpc_health state)
{
    if (health->state == state)
        return;
    health->state = state;
    for (size_t i = health->watcher_count; i-- > 0;) /* backwards: telling may remove the entry */
        watch_tell(health, &health->watchers[i]);
}
