/* Property: parsing never crashes, and what parses prints to a text that parses again and prints to
 * the same bytes. */
#include "gherkin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int print(struct bv_bytes text, struct bv_buf *buf)
{
    bv_auto(bv_arena_close) struct bv_arena *arena = NULL;
    const struct gherkin_document *document = NULL;
    struct gherkin_error error;
    if (bv_arena_open((size_t)256 << 20, &arena) < 0)
        abort();
    int rc = gherkin_parse(arena, text, &document, &error);
    if (rc < 0) {
        if (rc == BV_E_INVALID && (!error.at.line || !error.text[0]))
            abort();
        return rc;
    }
    return gherkin_print(buf, document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf once = {.max = 16u << 20};
    bv_auto(bv_buf_release) struct bv_buf twice = {.max = 16u << 20};
    if (size > 65536 || print((struct bv_bytes){(const char *)data, size}, &once) < 0)
        return 0;
    if (print((struct bv_bytes){once.data ? once.data : "", once.size}, &twice) < 0 ||
        !bv_bytes_equal(bv_buf_view(&once), bv_buf_view(&twice)))
        abort();
    return 0;
}
