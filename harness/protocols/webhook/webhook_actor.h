/* The protocol "webhook": a partner's endpoint on loopback that records what is delivered and can
 * misbehave on request: wrong status n times, connection reset n times, slow answers, or one turn
 * per delivery from a table (statuses with Retry-After or Location, silence, cut and endless
 * answers, garbage). With no misbehaviour it answers 204 at once.
 * ${ACTOR.url} is its address. A delivery is one received message; `status` is what it was answered
 * with, absent when it was reset. Signatures are checked once the secret is known (Standard
 * Webhooks). */
#ifndef BV_PROTOCOL_WEBHOOK_H
#define BV_PROTOCOL_WEBHOOK_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_webhook;

#endif
