/* The parser of text/event-stream: bytes in any pieces go in, whole events come out.
 * Invariants: how the bytes are cut into pieces never changes what comes out; memory stays below
 * the two limits; an event that the stream's end cuts short never comes out. Bytes that are no
 * UTF-8 pass through as they are (the specification puts U+FFFD there). Thread: one owner. Source:
 * WHATWG HTML, "9.2.6 Interpreting an event stream". */
#ifndef BV_SSE_PARSER_H
#define BV_SSE_PARSER_H

#include "bv/bytes.h"

struct sse_event {        /* borrowed for the call */
    struct bv_bytes type; /* "message" where the stream names none */
    struct bv_bytes id;   /* the last event id as it stands, also when this event set none */
    struct bv_bytes data; /* lines joined by LF */
};
typedef void sse_sink(void *argument, const struct sse_event *event);

struct sse_parser_config {
    size_t line_bytes_max;
    size_t data_bytes_max; /* of one event */
    sse_sink *sink;
    void *argument;
};
struct sse_parser {
    struct sse_parser_config config;
    struct bv_buf line; /* the line so far */
    struct bv_buf type;
    struct bv_buf data;
    struct bv_buf id_next; /* set by the lines of the event that is being read */
    struct bv_buf id;      /* of the last event that ended: what Last-Event-ID says after a break */
    int64_t retry_ms;      /* -1: the stream said nothing */
    uint64_t comments;     /* lines that began with a colon */
    uint8_t bom_bytes;     /* of the byte order mark seen so far; 4: decided */
    bool after_cr;         /* an LF that comes next belongs to the line end before it */
};
void sse_parser_init(struct sse_parser *parser, const struct sse_parser_config *config);
void sse_parser_release(struct sse_parser *parser);
/* A new stream of the same source: forgets the unfinished event, keeps the id and the retry time.
 */
void sse_parser_reset(struct sse_parser *parser);
/* Reads bytes and calls the sink once per event that ends in them.
 * Errors: BV_E_TOO_LARGE past a limit, BV_E_NOMEM; the parser must be reset then. */
BV_MUST_CHECK int sse_parser_feed(struct sse_parser *parser, struct bv_bytes bytes);

#endif
