/* An index over serialised file descriptors: which file holds a symbol, which services exist.
 * Reads just the fields it needs from the wire form of google.protobuf.FileDescriptorSet; the
 * bytes of a file are handed out as they came.
 * Invariant: everything borrows the bytes given to rpc_descriptors_add.
 * Thread: one owner. */
#ifndef BV_GRPC_DESCRIPTORS_H
#define BV_GRPC_DESCRIPTORS_H

#include "bv/bytes.h"

struct rpc_file {
    struct bv_bytes name;
    struct bv_bytes bytes; /* a FileDescriptorProto */
};
struct rpc_symbol {
    char *full; /* owned: "package.Type.name", no leading dot */
    size_t file;
    bool service;
};
struct rpc_descriptors {
    struct rpc_file *files; /* owned */
    size_t file_count;
    struct rpc_symbol *symbols; /* owned */
    size_t symbol_count;
};
void rpc_descriptors_release(struct rpc_descriptors *index);
/* A file whose name is known already is skipped.
 * Errors: BV_E_INVALID for malformed bytes, BV_E_NOMEM; what was indexed before stays. */
BV_MUST_CHECK int rpc_descriptors_add(struct rpc_descriptors *index, struct bv_bytes set);
const struct rpc_symbol *rpc_descriptors_symbol(const struct rpc_descriptors *index,
                                                struct bv_bytes full);
/* Index of the file of that name, or file_count. */
size_t rpc_descriptors_file(const struct rpc_descriptors *index, struct bv_bytes name);
/* Marks file and everything it depends on in marks[file_count]. */
void rpc_descriptors_closure(const struct rpc_descriptors *index, size_t file, bool *marks);

#endif
