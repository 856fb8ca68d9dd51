/* The protocol "kafka": reads a topic from its end as it was at the declaration, and publishes
 * events with the full envelope and headers of contracts/events. No consumer group: each actor is
 * assigned to all partitions at their high watermarks before the declaration returns, so what is
 * published afterwards cannot be missed and nothing older is seen. */
#ifndef BV_PROTOCOL_KAFKA_H
#define BV_PROTOCOL_KAFKA_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_kafka;

#endif
