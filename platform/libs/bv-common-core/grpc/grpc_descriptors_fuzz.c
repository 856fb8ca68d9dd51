#include "grpc_descriptors.h"

#include <stdlib.h>

/* Whatever was indexed is found again, in a file that exists, with the same full name. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_descriptors index = {0};
    int rc = rpc_descriptors_add(&index, (struct bv_bytes){(const char *)data, size});
    for (size_t i = 0; rc == 0 && i < index.symbol_count && i < 64; i++) {
        const struct rpc_symbol *found =
            rpc_descriptors_symbol(&index, bv_bytes_of(index.symbols[i].full));
        if (!found || found->file >= index.file_count)
            abort();
    }
    bool *marks = calloc(index.file_count + 1, sizeof *marks);
    for (size_t i = 0; marks && i < index.file_count && i < 64; i++)
        rpc_descriptors_closure(&index, i, marks);
    free(marks);
    rpc_descriptors_release(&index);
    return 0;
}
