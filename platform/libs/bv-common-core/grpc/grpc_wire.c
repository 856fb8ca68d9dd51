#include "grpc_wire.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#define FIELD_NUMBER_MAX ((1 << 29) - 1)
#define DEPTH_MAX 64 /* nesting of messages in messages */

grpc_byte_buffer *rpc_encode(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(size);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static void *arena_alloc(void *arena, size_t size)
{
    return bv_arena_alloc(arena, size ? size : 1);
}

static void arena_keep(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool string_valid(const uint8_t *at, size_t size)
{
    return !memchr(at, '\0', size) && bv_bytes_utf8((struct bv_bytes){(const char *)at, size});
}

/* What protobuf-c does not look at. False when a string is not UTF-8, or holds U+0000: legal on the
 * wire, but the C text that it is unpacked into would end there, and two different keys would
 * become one; when messages are nested too deep for its recursion; when a field has an illegal
 * number, 0 spelt with more than one byte above all. Anything else that is amiss is left to it. */
static bool wire_valid(const ProtobufCMessageDescriptor *type,
                       const uint8_t *at,
                       const uint8_t *end,
                       unsigned depth)
{
    uint64_t tag, size;
    while (at < end && read_varint(&at, end, &tag)) {
        if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
            return false;
        switch (tag & 7) {
        case PROTOBUF_C_WIRE_TYPE_VARINT:
            if (!read_varint(&at, end, &size))
                return true;
            continue;
        case PROTOBUF_C_WIRE_TYPE_64BIT:
            size = 8;
            break;
        case PROTOBUF_C_WIRE_TYPE_32BIT:
            size = 4;
            break;
        case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
            if (!read_varint(&at, end, &size))
                return true;
            break;
        default:
            return true;
        }
        if (size > (uint64_t)(end - at))
            return true;
        const ProtobufCFieldDescriptor *field =
            (tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED
                ? protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3))
                : NULL;
        if (field && field->type == PROTOBUF_C_TYPE_STRING && size > 0 && !string_valid(at, size))
            return false;
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            (depth == DEPTH_MAX || !wire_valid(field->descriptor, at, at + size, depth + 1)))
            return false;
        at += size;
    }
    return true;
}

int rpc_decode(struct bv_arena *arena,
               const ProtobufCMessageDescriptor *type,
               grpc_byte_buffer *payload,
               ProtobufCMessage **ret_message)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, payload))
        return BV_E_INVALID;
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    ProtobufCAllocator allocator = {arena_alloc, arena_keep, arena};
    const uint8_t *start = GRPC_SLICE_START_PTR(bytes);
    size_t size = GRPC_SLICE_LENGTH(bytes);
    ProtobufCMessage *message = wire_valid(type, start, start + size, 0)
                                    ? protobuf_c_message_unpack(type, &allocator, size, start)
                                    : NULL;
    grpc_slice_unref(bytes);
    if (!message)
        return bv_arena_failed(arena) ? BV_E_TOO_LARGE : BV_E_INVALID;
    *ret_message = message;
    return 0;
}

struct bv_bytes rpc_metadata_find(const grpc_metadata_array *metadata, const char *key)
{
    struct bv_bytes wanted = bv_bytes_of(key);
    for (size_t i = 0; i < metadata->count; i++)
        if (bv_bytes_equal(rpc_slice_bytes(&metadata->metadata[i].key), wanted))
            return rpc_slice_bytes(&metadata->metadata[i].value);
    return BV_BYTES_NONE;
}

int rpc_code_of_status(grpc_status_code status)
{
    static const int codes[] = {
        [GRPC_STATUS_OK] = 0,
        [GRPC_STATUS_CANCELLED] = BV_E_CANCELLED,
        [GRPC_STATUS_UNKNOWN] = BV_E_INTERNAL,
        [GRPC_STATUS_INVALID_ARGUMENT] = BV_E_INVALID,
        [GRPC_STATUS_DEADLINE_EXCEEDED] = BV_E_TIMEOUT,
        [GRPC_STATUS_NOT_FOUND] = BV_E_NOT_FOUND,
        [GRPC_STATUS_ALREADY_EXISTS] = BV_E_EXISTS,
        [GRPC_STATUS_PERMISSION_DENIED] = BV_E_FORBIDDEN,
        [GRPC_STATUS_RESOURCE_EXHAUSTED] = BV_E_LIMIT,
        [GRPC_STATUS_FAILED_PRECONDITION] = BV_E_STALE,
        [GRPC_STATUS_ABORTED] = BV_E_CONFLICT,
        [GRPC_STATUS_OUT_OF_RANGE] = BV_E_INVALID,
        [GRPC_STATUS_UNIMPLEMENTED] = BV_E_UNIMPLEMENTED,
        [GRPC_STATUS_INTERNAL] = BV_E_INTERNAL,
        [GRPC_STATUS_UNAVAILABLE] = BV_E_UNAVAILABLE,
        [GRPC_STATUS_DATA_LOSS] = BV_E_IO,
        [GRPC_STATUS_UNAUTHENTICATED] = BV_E_UNAUTHENTICATED,
    };
    if ((int)status < 0 || (size_t)status >= BV_COUNT(codes))
        return BV_E_PROTOCOL;
    return codes[status];
}
