/* The protocol "redis": one command, its reply as JSON (status and bulk replies as text, integers
 * as numbers, nil as null). */
#ifndef BV_PROTOCOL_REDIS_H
#define BV_PROTOCOL_REDIS_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_redis;

#endif
