/* The protocol "websocket": a client of one socket, which opens, is cut, closes and opens again
 * when the story says so and never by itself. Its thread records each whole message, and the close
 * of the peer, the moment it arrives. Source: RFC 6455, libwebsockets. */
#ifndef BV_PROTOCOL_WEBSOCKET_H
#define BV_PROTOCOL_WEBSOCKET_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_websocket;

#endif
