/* The protocol "postgres": looks into a database of the stack, read-only. Each query is a message
 * sent, its rows are one received: a JSON array of objects, numbers and booleans as such,
 * everything else as text. */
#ifndef BV_PROTOCOL_POSTGRES_H
#define BV_PROTOCOL_POSTGRES_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_postgres;

#endif
