/* Lines end in LF, CR LF or CR. A CR ends its line at once, so that an event is not held back by
 * the wait for an LF that may follow; that LF is then skipped.
 *
 *   bytes -> [byte order mark] -> line -> field: value -> type, data, id, retry
 *                                      -> empty line   -> sink */
#include "sse_parser.h"

static const char bom[] = "\xEF\xBB\xBF";
enum { BOM_BYTES = 3, BOM_DECIDED = 4, TYPE_BYTES_MAX = 1024, ID_BYTES_MAX = 4096 };

void sse_parser_init(struct sse_parser *parser, const struct sse_parser_config *config)
{
    *parser = (struct sse_parser){
        .config = *config,
        .line = {.max = config->line_bytes_max},
        .type = {.max = TYPE_BYTES_MAX},
        .data = {.max = config->data_bytes_max},
        .id_next = {.max = ID_BYTES_MAX},
        .id = {.max = ID_BYTES_MAX},
        .retry_ms = -1,
    };
}

void sse_parser_release(struct sse_parser *parser)
{
    bv_buf_release(&parser->line);
    bv_buf_release(&parser->type);
    bv_buf_release(&parser->data);
    bv_buf_release(&parser->id_next);
    bv_buf_release(&parser->id);
    *parser = (struct sse_parser){0};
}

static int replace(struct bv_buf *buf, struct bv_bytes bytes)
{
    bv_buf_reset(buf);
    return bv_buf_bytes(buf, bytes);
}

void sse_parser_reset(struct sse_parser *parser)
{
    bv_buf_reset(&parser->line);
    bv_buf_reset(&parser->type);
    bv_buf_reset(&parser->data);
    (void)replace(&parser->id_next, bv_buf_view(&parser->id));
    parser->bom_bytes = 0;
    parser->after_cr = false;
}

static void read_retry(struct sse_parser *parser, struct bv_bytes value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9')
            return;
    int64_t retry_ms = 0;
    if (bv_bytes_int64(value, 0, INT64_MAX, &retry_ms) == 0)
        parser->retry_ms = retry_ms;
}

static int field(struct sse_parser *parser, struct bv_bytes name, struct bv_bytes value)
{
    if (bv_bytes_equal(name, BV_BYTES("data"))) {
        BV_TRY(bv_buf_bytes(&parser->data, value));
        return bv_buf_char(&parser->data, '\n');
    }
    if (bv_bytes_equal(name, BV_BYTES("event")))
        return replace(&parser->type, value);
    if (bv_bytes_equal(name, BV_BYTES("id")) &&
        (!value.size || !memchr(value.data, '\0', value.size)))
        return replace(&parser->id_next, value);
    if (bv_bytes_equal(name, BV_BYTES("retry")))
        read_retry(parser, value);
    return 0;
}

static int dispatch(struct sse_parser *parser)
{
    BV_TRY(replace(&parser->id, bv_buf_view(&parser->id_next)));
    if (parser->data.size) {
        const struct sse_event event = {
            .type = parser->type.size ? bv_buf_view(&parser->type) : BV_BYTES("message"),
            .id = bv_buf_view(&parser->id),
            .data = {parser->data.data, parser->data.size - 1},
        };
        parser->config.sink(parser->config.argument, &event);
    }
    bv_buf_reset(&parser->data);
    bv_buf_reset(&parser->type);
    return 0;
}

static int line(struct sse_parser *parser)
{
    const struct bv_bytes text = bv_buf_view(&parser->line);
    if (text.size == 0)
        return dispatch(parser);
    const char *colon = memchr(text.data, ':', text.size);
    if (!colon)
        return field(parser, text, BV_BYTES(""));
    if (colon == text.data) {
        parser->comments++;
        return 0;
    }
    const size_t name_bytes = (size_t)(colon - text.data);
    struct bv_bytes value = {colon + 1, text.size - name_bytes - 1};
    if (value.size && value.data[0] == ' ')
        value = (struct bv_bytes){value.data + 1, value.size - 1};
    return field(parser, (struct bv_bytes){text.data, name_bytes}, value);
}

static int end_line(struct sse_parser *parser)
{
    const int rc = line(parser);
    bv_buf_reset(&parser->line);
    return rc;
}

/* Bytes up to the next line end, or all of them. */
static size_t run_of(struct bv_bytes bytes)
{
    size_t size = 0;
    while (size < bytes.size && bytes.data[size] != '\n' && bytes.data[size] != '\r')
        size++;
    return size;
}

/* Takes a byte order mark off the front of the stream; what only looked like one goes to the line.
 */
static int skip_bom(struct sse_parser *parser, struct bv_bytes *bytes)
{
    while (parser->bom_bytes < BOM_BYTES && bytes->size) {
        if (bytes->data[0] != bom[parser->bom_bytes]) {
            const size_t seen = parser->bom_bytes;
            parser->bom_bytes = BOM_DECIDED;
            return bv_buf_append(&parser->line, bom, seen);
        }
        parser->bom_bytes++;
        *bytes = (struct bv_bytes){bytes->data + 1, bytes->size - 1};
    }
    return 0;
}

int sse_parser_feed(struct sse_parser *parser, struct bv_bytes bytes)
{
    BV_TRY(skip_bom(parser, &bytes));
    while (bytes.size) {
        if (parser->after_cr && bytes.data[0] == '\n') {
            parser->after_cr = false;
            bytes = (struct bv_bytes){bytes.data + 1, bytes.size - 1};
            continue;
        }
        parser->after_cr = false;
        const size_t run = run_of(bytes);
        BV_TRY(bv_buf_append(&parser->line, bytes.data, run));
        if (run == bytes.size)
            return 0;
        parser->after_cr = bytes.data[run] == '\r';
        BV_TRY(end_line(parser));
        bytes = (struct bv_bytes){bytes.data + run + 1, bytes.size - run - 1};
    }
    return 0;
}
