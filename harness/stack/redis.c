#include "stack_servers.h"

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

static int ready(const struct stack_world *world,
                 const struct stack_unit *unit,
                 int64_t deadline_ms,
                 struct bv_error *error)
{
    (void)world;
    const struct stack_clients *clients = stack_clients(error);
    return clients ? clients->redis(unit->ports[0], deadline_ms, error) : BV_E_NOT_FOUND;
}

const struct stack_ops stack_redis = {NULL, NULL, command, ready};
