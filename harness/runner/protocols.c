/* Protocols whose libraries are large (gRPC alone starts for ten milliseconds) are files of their
 * own, ../lib/bv-NAME.so beside the program, loaded when a story names them. */
#include "protocols.h"

#include "rest_actor.h"
#include "sse_client.h"
#include "webhook_actor.h"
#include "bv/loadable.h"
#include <stdio.h>

static const struct bv_protocol *load(const struct bv_protocol *protocol, struct bv_error *error)
{
    char symbol[64];
    snprintf(symbol, sizeof symbol, "bv_protocol_%s", protocol->name);
    return bv_loadable(protocol->name, symbol, error);
}

#define LOADABLE(name)                                                                             \
    &(const struct bv_protocol)                                                                    \
    {                                                                                              \
        name, .load = load                                                                         \
    }
const struct bv_protocol *const runner_protocols[] = {
    &bv_protocol_rest,
    LOADABLE("grpc"),
    LOADABLE("websocket"),
    &bv_protocol_sse,
    LOADABLE("kafka"),
    &bv_protocol_webhook,
    LOADABLE("postgres"),
    LOADABLE("redis"),
    LOADABLE("forger"),
};
const size_t runner_protocol_count = BV_COUNT(runner_protocols);
