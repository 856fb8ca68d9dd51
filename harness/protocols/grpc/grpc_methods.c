#include "grpc_methods.h"

#include "bv/config.h"
#include "health.pb-c.h"
#include "inventory.pb-c.h"
#include <stdio.h>

/* protobuf-c's descriptors do not say which methods stream; grpc_methods_test.c compares this
 * column with the .proto files. */
static const struct service {
    const ProtobufCServiceDescriptor *descriptor;
    const char *streams; /* its one server-streaming method, NULL: none */
} services[] = {
    {&bitvelocity__inventory__v1__inventory__descriptor, "Watch"},
    {&grpc__health__v1__health__descriptor,              "Watch"},
};
enum { NAMES_MAX = 64 };

static struct grpc_method method_of(const struct service *service,
                                    const ProtobufCMethodDescriptor *row)
{
    struct grpc_method method = {.request = row->input, .reply = row->output};
    const char *dot = strrchr(service->descriptor->name, '.');
    snprintf(method.path, sizeof method.path, "/%s/%s", service->descriptor->name, row->name);
    snprintf(method.name,
             sizeof method.name,
             "%s/%s",
             dot ? dot + 1 : service->descriptor->name,
             row->name);
    if (service->streams && strcmp(service->streams, row->name) == 0)
        method.shape = GRPC_SHAPE_SERVER_STREAM;
    return method;
}

bool grpc_method_at(size_t index, struct grpc_method *ret_method)
{
    for (size_t i = 0; i < BV_COUNT(services); i++) {
        if (index < services[i].descriptor->n_methods) {
            *ret_method = method_of(&services[i], &services[i].descriptor->methods[index]);
            return true;
        }
        index -= services[i].descriptor->n_methods;
    }
    return false;
}

static bool is_called(const struct grpc_method *method, struct bv_bytes name)
{
    const char *slash = strchr(method->name, '/');
    return bv_bytes_equal(name, bv_bytes_of(method->path)) ||
           bv_bytes_equal(name, bv_bytes_of(method->path + 1)) ||
           bv_bytes_equal(name, bv_bytes_of(method->name)) ||
           bv_bytes_equal(name, bv_bytes_of(slash + 1));
}

static int unknown(struct bv_bytes name, struct bv_error *error)
{
    struct grpc_method rows[NAMES_MAX];
    const char *names[NAMES_MAX];
    char text[64];
    size_t count = 0;
    const bool qualified = name.size && memchr(name.data, '/', name.size);
    for (; count < NAMES_MAX && grpc_method_at(count, &rows[count]); count++)
        names[count] = qualified ? rows[count].name : strchr(rows[count].name, '/') + 1;
    snprintf(text, sizeof text, "%.*s", BV_ARG(name));
    const char *near = bv_nearest(text, names, count);
    return bv_fail(error,
                   BV_E_NOT_FOUND,
                   "no gRPC method is called \"%s\"%s%s%s",
                   text,
                   near ? "; did you mean \"" : "",
                   near ? near : "",
                   near ? "\"?" : "");
}

int grpc_method_find(struct bv_bytes name, struct grpc_method *ret_method, struct bv_error *error)
{
    struct grpc_method method;
    for (size_t i = 0; grpc_method_at(i, &method); i++) {
        if (is_called(&method, name)) {
            *ret_method = method;
            return 0;
        }
    }
    return unknown(name, error);
}

const char *grpc_status_word(int64_t status)
{
    static const char *const words[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    return status >= 0 && (size_t)status < BV_COUNT(words) ? words[status] : "STATUS_UNKNOWN";
}
