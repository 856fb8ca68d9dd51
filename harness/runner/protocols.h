/* Every protocol that a feature file may name, in the order of `bv scenario --steps`. */
#ifndef BV_PROTOCOLS_H
#define BV_PROTOCOLS_H

#include "bv/protocol.h"

extern const struct bv_protocol *const runner_protocols[];
extern const size_t runner_protocol_count;

#endif
