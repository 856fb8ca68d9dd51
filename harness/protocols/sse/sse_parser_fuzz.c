/* Properties: how a stream is cut into pieces never changes its events; events written down again
 * and parsed give the same events; memory stays below the limits. The first byte of the input
 * chooses the size of the pieces. */
#include "sse_parser.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096, SEEN_MAX = 8 << 20 };

/* An event as a stream again. CR cannot stand in it, for it ended a line. */
static void write_event(void *argument, const struct sse_event *event)
{
    struct bv_buf *buf = argument;
    (void)bv_buf_format(buf, "id: %.*s\nevent: ", BV_ARG(event->id));
    (void)bv_buf_bytes(buf, event->type);
    (void)bv_buf_text(buf, "\ndata: ");
    for (size_t i = 0; i < event->data.size; i++)
        (void)(event->data.data[i] == '\n' ? bv_buf_text(buf, "\ndata: ")
                                           : bv_buf_char(buf, event->data.data[i]));
    (void)bv_buf_text(buf, "\n\n");
}

static int parse(struct bv_bytes bytes, size_t piece, struct bv_buf *ret_events)
{
    struct sse_parser parser;
    int rc = 0;
    sse_parser_init(&parser, &(struct sse_parser_config){LIMIT, LIMIT, write_event, ret_events});
    for (size_t at = 0; rc == 0 && at < bytes.size; at += piece)
        rc = sse_parser_feed(
            &parser,
            (struct bv_bytes){bytes.data + at, bytes.size - at < piece ? bytes.size - at : piece});
    if (parser.line.size > LIMIT || parser.data.size > LIMIT)
        abort();
    sse_parser_release(&parser);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bv_auto(bv_buf_release) struct bv_buf whole = {.max = SEEN_MAX};
    bv_auto(bv_buf_release) struct bv_buf cut = {.max = SEEN_MAX};
    bv_auto(bv_buf_release) struct bv_buf again = {.max = SEEN_MAX};
    if (size == 0 || size > 65536)
        return 0;
    const struct bv_bytes stream = {(const char *)data + 1, size - 1};
    const int rc = parse(stream, size, &whole);
    if (parse(stream, data[0] % 7u + 1, &cut) != rc ||
        !bv_bytes_equal(bv_buf_view(&whole), bv_buf_view(&cut)))
        abort();
    if (whole.failed || parse(bv_buf_view(&whole), SIZE_MAX / 2, &again) != 0)
        return 0; /* "data: " in front of a line at the limit is over it */
    if (!bv_bytes_equal(bv_buf_view(&whole), bv_buf_view(&again)))
        abort();
    return 0;
}
