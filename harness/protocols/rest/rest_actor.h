/* The protocol "rest": requests over HTTP/1.1, one actor is one client with its identity and one
 * kept connection. Every request carries a traceparent of its own under the step's trace; request
 * and answer are two messages. */
#ifndef BV_PROTOCOL_REST_H
#define BV_PROTOCOL_REST_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_rest;

#endif
