/* The protocol "sse": a client of server-sent events, which connects, breaks off and resumes when
 * the story says so and never by itself. Its thread runs one transfer at a time and records each
 * event the moment its empty line arrives. Source: WHATWG HTML, "9.2 Server-sent events". */
#ifndef BV_PROTOCOL_SSE_H
#define BV_PROTOCOL_SSE_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_sse;

#endif
