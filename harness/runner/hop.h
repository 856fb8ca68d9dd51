/* The hop that a message took, for people: "order -> Kafka ecommerce.orders -> ledger". A red step
 * names it, so that nobody has to find out which of the parties is to blame. Thread: any. */
#ifndef BV_HOP_H
#define BV_HOP_H

#include "bv/recording.h"

/* Effect:    sender, protocol and receiver of message, as far as it tells: the producer of an
 *            envelope, the service that owns the operation or the stream.
 * Ownership: the text is arena's. NULL when it is out of memory.
 * Thread:    any. */
const char *hop_of(struct bv_arena *arena, const struct bv_message *message);

#endif
