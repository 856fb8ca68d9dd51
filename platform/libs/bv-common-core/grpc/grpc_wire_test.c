#include "grpc_wire.h"
#include "peer.pb-c.h"

#include <criterion/criterion.h>
#include <grpc/slice.h>

#define KINDS (&bitvelocity__peer__v1__kinds__descriptor)
#define INNER (&bitvelocity__peer__v1__inner__descriptor)

static int decode(const ProtobufCMessageDescriptor *type, struct bv_bytes bytes)
{
    struct bv_arena *arena;
    ProtobufCMessage *message;
    cr_assert_eq(bv_arena_open(1 << 20, &arena), 0);
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes.data, bytes.size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    int rc = rpc_decode(arena, type, buffer, &message);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
    bv_arena_close(&arena);
    return rc;
}

Test(grpc_wire, refuses_strings_that_c_text_would_cut)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        struct bv_bytes bytes;
        int rc;
    } rows[] = {
        {KINDS,
         BV_BYTES("\x72\x03"
                  "a-b"),
         0                                                    }, /* a_string */
        {KINDS,
         BV_BYTES("\x72\x03"
                  "a\0b"),
         BV_E_INVALID                                         },
        {KINDS, BV_BYTES("\x08\x01\x72\x01\x00"), BV_E_INVALID}, /* after another member */
        {KINDS,
         BV_BYTES("\x7a\x03"
                  "a\0b"),
         0                                                    }, /* a_bytes may hold anything */
        {INNER,
         BV_BYTES("\x12\x05\x0a\x03"
                  "a-b"),
         0                                                    },
        {INNER,
         BV_BYTES("\x12\x05\x0a\x03"
                  "a\0b"),
         BV_E_INVALID                                         }, /* of a message inside */
        {INNER,
         BV_BYTES("\x0a\x09"
                  "ab"),
         BV_E_INVALID                                         }, /* cut */
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_eq(decode(rows[i].type, rows[i].bytes), rows[i].rc, "row %zu", i);
}

Test(grpc_wire, refuses_what_protobuf_c_lets_pass)
{
    static const struct {
        struct bv_bytes bytes;
        int rc;
    } rows[] = {
        {BV_BYTES("\x72\x04gr\xc3\xbc"),       0           },
        {BV_BYTES("\x72\x01\xff"),             BV_E_INVALID},
        {BV_BYTES("\x72\x02\xc0\xaf"),         BV_E_INVALID}, /* overlong */
        {BV_BYTES("\x72\x03\xed\xa0\x80"),     BV_E_INVALID}, /* a surrogate */
        {BV_BYTES("\x7a\x01\xff"),             0           }, /* bytes */
        {BV_BYTES("\xf8\xff\xff\xff\x0f\x01"), 0           }, /* the largest field number */
        {BV_BYTES("\x80\x80\x80\x80\x10\x01"), BV_E_INVALID}, /* one more */
        {BV_BYTES("\x80\x80\x80\x80\x00\x01"), BV_E_INVALID}, /* 0 in five bytes */
    };
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        cr_expect_eq(decode(KINDS, rows[i].bytes), rows[i].rc, "row %zu", i);
}

/* protobuf-c unpacks by recursion and has no limit of its own. */
Test(grpc_wire, refuses_messages_nested_without_end)
{
    enum { LEVELS = 16000, BYTES = 5 * LEVELS };
    static char bytes[BYTES];
    size_t at = BYTES;
    for (size_t i = 0; i < LEVELS && at >= 5; i++) {
        size_t size = BYTES - at;
        if (size >= 16384)
            bytes[--at] = (char)(size >> 14);
        if (size >= 128)
            bytes[--at] = (char)((size >> 7 & 0x7f) | (size >= 16384 ? 0x80 : 0));
        bytes[--at] = (char)((size & 0x7f) | (size >= 128 ? 0x80 : 0));
        bytes[--at] = 0x12;
    }
    cr_expect_eq(decode(INNER, (struct bv_bytes){bytes + at, BYTES - at}), BV_E_INVALID);
}
