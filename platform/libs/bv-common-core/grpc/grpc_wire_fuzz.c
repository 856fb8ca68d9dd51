#include "bv/grpc.h"
#include "fuzz.h"
#include "grpc_wire.h"
#include "health.pb-c.h"
#include "inventory.pb-c.h"
#include "peer.pb-c.h"
#include "reflection.pb-c.h"

#include <grpc/slice.h>

/* Every message that a peer can send us, told apart by the first byte. What decodes is packed; that
 * decodes again and packs to the same bytes; its texts are UTF-8 without U+0000; JSON can say it.
 */

#define INVENTORY(name) &bitvelocity__inventory__v1__##name##__descriptor
#define PEER(name) &bitvelocity__peer__v1__##name##__descriptor
static const ProtobufCMessageDescriptor *const types[] = {
    INVENTORY(reserve_request),
    INVENTORY(commit_request),
    INVENTORY(release_request),
    INVENTORY(adjust_request),
    INVENTORY(get_levels_request),
    INVENTORY(watch_request),
    INVENTORY(reserve_reply),
    INVENTORY(commit_reply),
    INVENTORY(release_reply),
    INVENTORY(adjust_reply),
    INVENTORY(get_levels_reply),
    INVENTORY(level_change),
    &grpc__health__v1__health_check_request__descriptor,
    &grpc__health__v1__health_check_response__descriptor,
    &grpc__reflection__v1alpha__server_reflection_request__descriptor,
    &grpc__reflection__v1alpha__server_reflection_response__descriptor,
    PEER(kinds),
    PEER(meta_request),
    PEER(fail_request),
    PEER(count_request),
};

static int decode(struct bv_arena *arena,
                  const ProtobufCMessageDescriptor *type,
                  struct bv_bytes bytes,
                  ProtobufCMessage **ret_message)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes.data, bytes.size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    int rc = rpc_decode(arena, type, buffer, ret_message);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
    return rc;
}

static struct bv_bytes pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    FUZZ_REQUIRE(bytes && protobuf_c_message_pack(message, bytes) == size);
    return (struct bv_bytes){(const char *)bytes, size};
}

static void speaks_json(const ProtobufCMessage *message)
{
    struct bv_buf json = {.max = 1 << 22};
    int rc = bv_pb_to_json(&json, message);
    FUZZ_REQUIRE(rc == 0 || rc == BV_E_UNPROCESSABLE || rc == BV_E_TOO_LARGE);
    if (rc == 0)
        FUZZ_REQUIRE(bv_bytes_utf8(bv_buf_view(&json)) &&
                     !memchr(json.data, '\0', bv_buf_view(&json).size));
    bv_buf_release(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bv_bytes rest = fuzz_bytes(data, size);
    const ProtobufCMessageDescriptor *type = types[fuzz_byte(&rest) % BV_COUNT(types)];
    struct bv_arena *arena = NULL;
    ProtobufCMessage *first = NULL;
    ProtobufCMessage *second = NULL;
    if (bv_arena_open(1 << 22, &arena) < 0)
        return 0;
    if (decode(arena, type, rest, &first) == 0) {
        struct bv_bytes once = pack(first);
        int rc = decode(arena, type, once, &second);
        FUZZ_REQUIRE(rc == 0 || rc == BV_E_TOO_LARGE);
        if (rc == 0) {
            struct bv_bytes twice = pack(second);
            FUZZ_REQUIRE(bv_bytes_equal(once, twice));
            free((void *)(uintptr_t)twice.data);
        }
        speaks_json(first);
        free((void *)(uintptr_t)once.data);
    }
    bv_arena_close(&arena);
    return 0;
}
