/* The protocol "forger": makes bearer tokens that must be refused. It takes a genuine token of an
 * identity, and the issuer's signing key out of the issuer's database, as an attacker might who got
 * hold of a backup. */
#ifndef BV_PROTOCOL_FORGER_H
#define BV_PROTOCOL_FORGER_H

#include "bv/protocol.h"

extern const struct bv_protocol bv_protocol_forger;

#endif
