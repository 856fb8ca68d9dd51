#include "server_clients.h"

#include "bv/loadable.h"

const struct stack_clients *stack_clients(struct bv_error *error)
{
    return bv_loadable("servers", "bv_stack_clients", error);
}
