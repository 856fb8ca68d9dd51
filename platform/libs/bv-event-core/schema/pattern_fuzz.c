/* Input: a pattern, a NUL, a text. Property: translating twice gives the same, and matching ends.
 */
#include <stdlib.h>

#include "pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct bv_buf first = {.max = 65536}, second = {.max = 65536};
    struct pattern *pattern = NULL;
    if (!nul || nul - data > 64 || size > 512)
        return 0;
    const struct bv_bytes text = {(const char *)data, (size_t)(nul - data)};
    /* terminated: the sanitizer's regexec reads a C string, whatever REG_STARTEND says */
    char *copy = strndup((const char *)nul + 1, size - text.size - 1);
    const struct bv_bytes subject = bv_bytes_of(copy);
    int rc = pattern_translate(text, &first, NULL);
    if (rc != pattern_translate(text, &second, NULL) ||
        !bv_bytes_equal(bv_buf_view(&first), bv_buf_view(&second)))
        abort();
    /* bounded repeats of repeats cost regcomp seconds and gigabytes: patterns come from our own
     * contracts, not from outside */
    if (rc == 0 && !memchr(text.data, '{', text.size) && pattern_open(text, &pattern, NULL) == 0)
        (void)pattern_matches(pattern, subject);
    free(copy);
    pattern_close(&pattern);
    bv_buf_release(&first);
    bv_buf_release(&second);
    return 0;
}
