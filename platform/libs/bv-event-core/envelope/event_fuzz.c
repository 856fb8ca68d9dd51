/* Property: an envelope that decodes encodes again, and decodes to the same values then. */
#include <stdlib.h>

#include "bv/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct bv_bytes a, struct bv_bytes b)
{
    if (!bv_bytes_equal(a, b))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bv_arena *arena = NULL;
    struct bv_buf buf = {.max = 4 * BV_EVENT_BYTES_MAX}, again = {.max = 4 * BV_EVENT_BYTES_MAX};
    struct bv_event event, second;
    if (bv_arena_open(32u << 20, &arena) < 0)
        return 0;
    if (bv_event_decode(arena, (struct bv_bytes){(const char *)data, size}, &event, NULL) == 0 &&
        bv_event_encode(&buf, &event) == 0) {
        if (bv_event_decode(arena, bv_buf_view(&buf), &second, NULL) < 0 ||
            bv_event_encode(&again, &second) < 0)
            abort();
        same(bv_buf_view(&again), bv_buf_view(&buf));
        same(event.partition_key, second.partition_key);
        same(event.type, second.type);
    }
    bv_buf_release(&buf);
    bv_buf_release(&again);
    bv_arena_close(&arena);
    return 0;
}
