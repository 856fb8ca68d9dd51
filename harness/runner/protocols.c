/* Protocols whose libraries are large (gRPC alone starts for ten milliseconds) are files of their
 * own, ../lib/bv-NAME.so beside the program, loaded when a story names them. */
#include "protocols.h"

#include "rest_actor.h"
#include "sse_client.h"
#include "stack.h"
#include "webhook_actor.h"
#include "bv/fs.h"
#include <dlfcn.h>
#include <stdio.h>

static const struct bv_protocol *load(const struct bv_protocol *protocol, struct bv_error *error)
{
    char folder[BV_PATH_MAX];
    char path[BV_PATH_MAX];
    char symbol[64];
    if (bv_stack_bin_dir(folder, sizeof folder, error) < 0 ||
        bv_path(path, error, "%s/../lib/bv-%s.so", folder, protocol->name) < 0)
        return NULL;
    snprintf(symbol, sizeof symbol, "bv_protocol_%s", protocol->name);
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    const struct bv_protocol *loaded = library ? dlsym(library, symbol) : NULL;
    if (!loaded)
        (void)bv_fail(error, BV_E_NOT_FOUND, "protocol %s: %s", protocol->name, dlerror());
    return loaded;
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
};
const size_t runner_protocol_count = BV_COUNT(runner_protocols);
