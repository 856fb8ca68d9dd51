/* Property: whatever bytes results.jsonl holds, the page is well-formed UTF-8 with the three
 * scripts of the report and no other, no comment that could swallow markup, and nothing that looks
 * like a webhook key. */
#include "page.h"

#include <stdlib.h>

static size_t count(struct bv_bytes page, const char *needle)
{
    size_t found = 0;
    size_t size = strlen(needle);
    const char *end = page.data + page.size;
    for (const char *at = page.data; (at = memmem(at, (size_t)(end - at), needle, size));
         at += size)
        found++;
    return found;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(html_release) struct html html = {.out.max = 64 << 20, .scratch.max = 1 << 20};
    struct bv_bytes text = {(const char *)data, size};
    if (report_page_of(text, NULL, &html, NULL) < 0)
        return 0;
    struct bv_bytes page = bv_buf_view(&html.out);
    require(bv_bytes_utf8(page));
    require(count(page, "<script") == 4 && count(page, "</script") == 4);
    require(count(page, "<!--") == 0 && count(page, "<img") == 0);
    require(count(page, "whsec_") == 0);
    return 0;
}
