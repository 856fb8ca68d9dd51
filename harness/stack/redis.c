#include "stack_servers.h"

#include "bv/probe.h"

#include <hiredis/hiredis.h>
#include <sys/time.h>

static int command(const struct stack_world *world,
                   const struct stack_unit *unit,
                   struct stack_command *cmd,
                   struct bv_error *error)
{
    (void)error;
    stack_arg(cmd, "%s", world->redis_server);
    const char *const flags[] = {"--bind",
                                 "127.0.0.1",
                                 "--save",
                                 "",
                                 "--appendonly",
                                 "no",
                                 "--daemonize",
                                 "no",
                                 "--maxmemory",
                                 "128mb",
                                 "--maxmemory-policy",
                                 "noeviction"};
    for (size_t i = 0; i < BV_COUNT(flags); i++)
        stack_arg(cmd, "%s", flags[i]);
    stack_arg(cmd, "--port");
    stack_arg(cmd, "%u", unit->ports[0]);
    stack_arg(cmd, "--dir");
    stack_arg(cmd, "%s/data", world->run);
    return 0;
}

int stack_probe_redis(uint16_t port, int64_t deadline_ms, struct bv_error *error)
{
    for (;;) {
        BV_TRY(bv_port_await(port, deadline_ms, NULL, error));
        const struct timeval limit = {.tv_sec = 1};
        redisContext *context = redisConnectWithTimeout("127.0.0.1", port, limit);
        redisReply *reply = NULL;
        if (context && !context->err && redisSetTimeout(context, limit) == REDIS_OK)
            reply = redisCommand(context, "PING");
        bool ok = reply && reply->type == REDIS_REPLY_STATUS;
        if (reply)
            freeReplyObject(reply);
        if (context)
            redisFree(context);
        if (ok)
            return 0;
        if (bv_now_ms() >= deadline_ms)
            return bv_fail(error, BV_E_TIMEOUT, "Redis on port %u does not answer PING", port);
        bv_retry_pause();
    }
}

static int ready(const struct stack_world *world,
                 const struct stack_unit *unit,
                 int64_t deadline_ms,
                 struct bv_error *error)
{
    (void)world;
    return stack_probe_redis(unit->ports[0], deadline_ms, error);
}

const struct stack_ops stack_redis = {NULL, NULL, command, ready};
