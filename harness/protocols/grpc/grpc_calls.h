/* The protocol "grpc": calls any unary method of contracts/proto with a JSON request, and follows
 * server streams in the background. Messages are recorded as JSON (proto3 JSON mapping; 64-bit
 * integers are strings there), statuses by their gRPC names. Source: gRPC over HTTP/2, proto3
 * language guide "JSON Mapping". */
#ifndef BV_PROTOCOL_GRPC_H
#define BV_PROTOCOL_GRPC_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_grpc;

#endif
