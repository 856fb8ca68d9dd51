/* A protocol for tests of plan and execution: it talks to itself. `NAME says TYPE [for key KEY]
 * [later]` records a received message whose body is the doc string; `NAME refuses` is red, `NAME
 * breaks` is the lab's fault. */
#ifndef BV_TESTING_PROTOCOL_H
#define BV_TESTING_PROTOCOL_H

#include "bv/protocol.h"

extern const struct bv_protocol testing_protocol;

#endif
