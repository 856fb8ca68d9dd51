#include "bv/grpc.h"
#include "peer.pb-c.h"

#include <stdlib.h>

/* What is read can be written, and what was written reads back as the same text. */

static int read_kinds(struct bv_arena *arena, struct bv_bytes json, ProtobufCMessage **ret_message)
{
    return bv_pb_from_json(
        arena, &bitvelocity__peer__v1__kinds__descriptor, json, ret_message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bv_arena *arena = NULL;
    ProtobufCMessage *message = NULL;
    struct bv_buf first = {.max = 1 << 22};
    struct bv_buf second = {.max = 1 << 22};
    if (bv_arena_open(1 << 22, &arena) < 0)
        return 0;
    if (read_kinds(arena, (struct bv_bytes){(const char *)data, size}, &message) == 0 &&
        bv_pb_to_json(&first, message) == 0) {
        if (read_kinds(arena, bv_buf_view(&first), &message) < 0 && !bv_arena_failed(arena))
            abort();
        if (!bv_arena_failed(arena) && (bv_pb_to_json(&second, message) < 0 ||
                                        !bv_bytes_equal(bv_buf_view(&first), bv_buf_view(&second))))
            abort();
    }
    bv_buf_release(&first);
    bv_buf_release(&second);
    bv_arena_close(&arena);
    return 0;
}
