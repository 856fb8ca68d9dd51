#include "grpc_descriptors.h"

#include <criterion/criterion.h>
#include <stdlib.h>

extern const struct bv_bytes peer_descriptors;
extern const struct bv_bytes rpc_reflection_descriptors;

Test(grpc_descriptors, finds_every_kind_of_symbol)
{
    static const char *const known[] = {
        "bitvelocity.peer.v1.Peer",
        "bitvelocity.peer.v1.Peer.Echo",
        "bitvelocity.peer.v1.Kinds",
        "bitvelocity.peer.v1.Kinds.a_bool",
        "bitvelocity.peer.v1.Colour",
        "bitvelocity.peer.v1.RED",
        "grpc.reflection.v1alpha.ServerReflection",
    };
    struct rpc_descriptors index = {0};
    cr_assert_eq(rpc_descriptors_add(&index, peer_descriptors), 0);
    cr_assert_eq(rpc_descriptors_add(&index, rpc_reflection_descriptors), 0);
    cr_assert_eq(
        rpc_descriptors_add(&index, peer_descriptors), 0, "a file that is known is skipped");
    cr_expect_eq(index.file_count, 2);
    for (size_t i = 0; i < BV_COUNT(known); i++)
        cr_expect(rpc_descriptors_symbol(&index, bv_bytes_of(known[i])), "%s", known[i]);
    cr_expect_null(rpc_descriptors_symbol(&index, BV_BYTES("bitvelocity.peer.v1")));
    cr_expect_eq(rpc_descriptors_file(&index, BV_BYTES("peer.proto")), 0);
    cr_expect_eq(rpc_descriptors_file(&index, BV_BYTES("other.proto")), 2);
    rpc_descriptors_release(&index);
}

Test(grpc_descriptors, survives_every_truncation)
{
    unsigned refused = 0;
    for (size_t size = 1; size < peer_descriptors.size; size++) {
        struct rpc_descriptors index = {0};
        char *copy = malloc(size); /* exact, so that the address sanitizer sees a read past it */
        memcpy(copy, peer_descriptors.data, size);
        refused += rpc_descriptors_add(&index, (struct bv_bytes){copy, size}) == BV_E_INVALID;
        cr_assert_eq(index.symbol_count, 0);
        rpc_descriptors_release(&index);
        free(copy);
    }
    cr_expect_eq(refused, peer_descriptors.size - 1);
}
