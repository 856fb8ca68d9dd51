/* The gRPC methods of contracts/proto, found by the names that stories use. Pure. Thread: any. */
#ifndef BV_GRPC_METHODS_H
#define BV_GRPC_METHODS_H

#include "bv/bytes.h"
#include <protobuf-c/protobuf-c.h>

enum grpc_shape { GRPC_SHAPE_UNARY, GRPC_SHAPE_SERVER_STREAM };
struct grpc_method {
    char path[128]; /* "/bitvelocity.inventory.v1.Inventory/Adjust" */
    char name[96];  /* "Inventory/Adjust" */
    enum grpc_shape shape;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
};
/* name is "Adjust", "Inventory/Adjust" or the full path, with or without its first slash. A bare
 * method name that several services have means the first of them, and the health service is the
 * last. Errors: BV_E_NOT_FOUND with the nearest method. */
BV_MUST_CHECK int
grpc_method_find(struct bv_bytes name, struct grpc_method *ret_method, struct bv_error *error);

/* The word of a status ("NOT_FOUND"); "STATUS_UNKNOWN" where there is none. Source: gRPC "Status
 * codes and their use". */
const char *grpc_status_word(int64_t status);

/* Rows of the table, for tests: index counts from 0; false past the end. */
bool grpc_method_at(size_t index, struct grpc_method *ret_method);

#endif
