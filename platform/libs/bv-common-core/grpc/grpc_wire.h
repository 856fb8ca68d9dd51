/* Between protobuf-c and the core: messages, metadata, status codes.
 * Thread: any (no state). */
#ifndef BV_GRPC_WIRE_H
#define BV_GRPC_WIRE_H

#include "bv/arena.h"
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

/* NULL when memory runs out. The caller destroys it. */
grpc_byte_buffer *rpc_encode(const ProtobufCMessage *message);
/* Decodes into arena.
 * Errors: BV_E_INVALID when the bytes are no such message, when a string is not UTF-8 or
 * holds U+0000, or messages are nested deeper than 64; BV_E_TOO_LARGE when the arena's cap is
 * reached. */
BV_MUST_CHECK int rpc_decode(struct bv_arena *arena,
                             const ProtobufCMessageDescriptor *type,
                             grpc_byte_buffer *payload,
                             ProtobufCMessage **ret_message);
/* Value of the first entry named key; BV_BYTES_NONE when absent. Lives as long as the array's
 * call. */
struct bv_bytes rpc_metadata_find(const grpc_metadata_array *metadata, const char *key);
static inline struct bv_bytes rpc_slice_bytes(const grpc_slice *slice)
{
    return (struct bv_bytes){(const char *)GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)};
}
int rpc_code_of_status(grpc_status_code status); /* 0 for OK */

#endif
