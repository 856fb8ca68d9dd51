/* Runs a fuzz target under AFL++ (afl-clang-fast): persistent mode, inputs through shared memory.
 * Without afl-fuzz it takes one input from stdin. Built by the preset "afl"; see fuzz/README.md. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUNS_PER_PROCESS = 10000 };

__AFL_FUZZ_INIT();

int main(void)
{
    __AFL_INIT();
    const unsigned char *input = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(RUNS_PER_PROCESS)) {
#pragma clang diagnostic push /* of what stands in the macro */
#pragma clang diagnostic ignored "-Wshorten-64-to-32"
        const size_t size = (size_t)__AFL_FUZZ_TESTCASE_LEN;
#pragma clang diagnostic pop
        /* Exactly size bytes on the heap, so that a sanitizer sees one byte too far. */
        uint8_t *data = malloc(size ? size : 1);
        if (!data)
            return 1;
        memcpy(data, input, size);
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    return 0;
}
