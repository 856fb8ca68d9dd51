/* Paths against the patterns of route tables ("/v1/orders/{id}"), as the services' router reads
 * them. Thread: any. */
#ifndef STACK_ROUTE_H
#define STACK_ROUTE_H

#include "bv/bytes.h"

/* How well path (without query) fits pattern: 0 not at all, otherwise the larger the more of its
 * segments are literal; a "{name}" takes one whole segment that is not empty. */
int stack_route_fit(struct bv_bytes pattern, struct bv_bytes path);

#endif
